"""What notebooks and `rich` show of an object: its repr as a heading, and one table below it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from html import escape
from typing import Any, TypeVar

import polars as pl

__all__ = [
    "array_rows",
    "axes",
    "best_rows",
    "differences",
    "ends",
    "facts",
    "facts_of",
    "feature_rows",
    "fold_rows",
    "label_rows",
    "part_rows",
    "shown",
    "stat_facts",
]

ROWS = 60
"""Rows of a table that is shown whole."""
ENDS = 10
"""Rows that are shown of each end of a longer one."""
COLUMNS = 12

T = TypeVar("T")


def shown(
    table: Callable[[Any], pl.DataFrame], *, height: Callable[[Any], int] | None = None
) -> Callable[[type[T]], type[T]]:
    """Give a class what notebooks (``_repr_html_``) and `rich` (``__rich__``) ask for.

    Parameters
    ----------
    table : callable
        From an object to the frame that is shown below its repr; the ends of a long one, and 12 columns.
    height : callable, optional
        From an object to the rows of the whole table, where `table` gives its ends alone.

    Returns
    -------
    callable
        Decorator of a class.
    """

    def give(cls: type[T]) -> type[T]:
        """Add both methods."""

        def _repr_html_(self: Any) -> str:
            """Write for a notebook: every text escaped."""
            head, rows = _cells(table(self), 0 if height is None else height(self))
            top = "".join(f"<th>{escape(name)}</th>" for name in head)
            body = "".join(
                f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
            )
            return (
                f'<div class="barproof"><pre>{escape(repr(self))}</pre>'
                f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
            )

        def __rich__(self: Any) -> Any:  # noqa: N807
            """Write for `rich`: texts as they are, without its markup."""
            from rich.console import Group
            from rich.table import Table
            from rich.text import Text

            head, rows = _cells(table(self), 0 if height is None else height(self))
            made = Table()
            for name in head:
                made.add_column(Text(name))
            for row in rows:
                made.add_row(*(Text(cell) for cell in row))
            return Group(Text(repr(self)), made)

        for method in (_repr_html_, __rich__):
            method.__qualname__ = f"{cls.__qualname__}.{method.__name__}"
            setattr(cls, method.__name__, method)
        return cls

    return give


def facts(rows: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> pl.DataFrame:
    """Make a table of names and values.

    Parameters
    ----------
    rows : mapping or iterable of pairs
        Name and value; None is left empty.

    Returns
    -------
    polars.DataFrame
        Columns `what` and `value`, texts.
    """
    pairs = list(rows.items() if isinstance(rows, Mapping) else rows)
    told = {"what": [str(k) for k, _ in pairs], "value": [_text(v) for _, v in pairs]}
    return pl.DataFrame(told, schema={"what": pl.String, "value": pl.String})


def facts_of(thing: Any) -> pl.DataFrame:
    """Make a table of the fields of a dataclass that its repr may show."""
    return facts((f.name, getattr(thing, f.name)) for f in fields(thing) if f.repr)


def _cells(frame: pl.DataFrame, height: int) -> tuple[list[str], list[list[str]]]:
    """Head and rows as texts; what is left out is said in a row and a column of dots."""
    names = frame.columns[:COLUMNS]
    wide = [] if len(names) == len(frame.columns) else ["..."]
    total = max(height, frame.height)
    cut = total > ROWS
    parts = [frame.head(ENDS), frame.tail(ENDS)] if cut else [frame]
    rows = [[*map(_text, row), *wide] for p in parts for row in p.select(names).iter_rows()]
    if cut:
        rows.insert(ENDS, [f"... {total - 2 * ENDS:,} more", *[""] * (len(names) - 1), *wide])
    return [*names, *wide], rows


def _text(value: Any) -> str:
    """One cell: six digits of a number, times in UTC, nothing for what is undefined."""
    if value is None:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:,.6g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:197]}..."


def ends(candles: Any) -> pl.DataFrame:
    """First and last bars, without a frame of all of them."""
    if len(candles) <= ROWS:
        return pl.DataFrame(candles.to_polars())
    frames: list[pl.DataFrame] = [candles[:ENDS].to_polars(), candles[-ENDS:].to_polars()]
    return pl.concat(frames)


def axes(grid: Any) -> pl.DataFrame:
    """One row a field of a grid that varies: how many values it takes, and the first of them."""
    rows = []
    for name, values in grid._columns.items():
        some = list(dict.fromkeys(values))
        more = ", ..." if len(some) > 8 else ""
        rows.append((name, len(some), ", ".join(str(v) for v in some[:8]) + more))
    schema = {"axis": pl.String, "values": pl.Int64, "such as": pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def best_rows(sweep: Any) -> pl.DataFrame:
    """Take the combinations of a sweep with the highest Sharpe ratio, and the metrics that are read first."""
    table: pl.DataFrame = sweep.overall.with_columns(pl.col("sharpe").fill_nan(None))
    names = ["sharpe", "total_return", "max_drawdown", "trades"]
    keep = ["combination", *(name for name in sweep.axes if name in table.columns), *names]
    return table.sort("sharpe", descending=True, nulls_last=True).head(ENDS)[keep]


def fold_rows(run: Any) -> pl.DataFrame:
    """One row a fold of a run: how many rows each purpose has, and how many were purged."""
    from barproof._folds import PARTS

    rows = [
        {"fold": i, **{name: len(getattr(fold, name)) for name in PARTS}, "purged": fold.purged}
        for i, fold in enumerate(run.folds)
    ]
    return pl.DataFrame(rows)


def part_rows(bundle: Any) -> pl.DataFrame:
    """Model of each part of a bundle, and the features that it asks for."""
    rows = [(name, repr(part.model)) for name, part in bundle.parts.items()]
    return facts([*rows, ("features", ", ".join(bundle.features)), ("digest", bundle.digest)])


def array_rows(signals: Any) -> pl.DataFrame:
    """One row an array of signals: how many bars have a value, and its range."""
    rows = []
    for name in signals.names:
        known = pl.Series(name, signals[name]).drop_nans()
        rows.append((name, len(known), known.min(), known.mean(), known.max()))
    numbers = dict.fromkeys(("low", "mean", "high"), pl.Float64)
    schema = {"array": pl.String, "bars with a value": pl.Int64, **numbers}
    return pl.DataFrame(rows, schema=schema, orient="row")


def feature_rows(features: Any) -> pl.DataFrame:
    """One row a feature: its memory, and the bars before its first value, where the interval need not be known."""
    if features._told(None) is None:
        return pl.DataFrame({"feature": list(features.names)}, schema={"feature": pl.String})
    rows = [(name, kind, bars, warmup) for name, (kind, bars, warmup) in features.facts().items()]
    schema = {"feature": pl.String, "memory": pl.String, "bars": pl.Int64, "warm-up": pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def differences(parity: Any) -> pl.DataFrame:
    """One row a column that differs between live and backtest; what was compared where none does."""
    if not parity.divergences:
        rows = list(parity.compared.items())
        return pl.DataFrame(rows, schema={"layer": pl.String, "compared": pl.Int64}, orient="row")
    names = ("layer", "symbol", "column", "open_time", "live", "replayed", "differing", "compared")
    return pl.DataFrame(
        [{name: getattr(one, name) for name in names} for one in parity.divergences],
        schema_overrides=dict.fromkeys(("live", "replayed"), pl.Object),
    )


def label_rows(labels: Any) -> pl.DataFrame:
    """Rule of the labels, and the share of each class."""
    shares = [(f"share of {value:g}", share) for value, share in labels.shares().items()]
    return facts([*labels.rule.items(), *shares])


def stat_facts(stat: Any) -> pl.DataFrame:
    """Fields of a statistic, arrays and frames by their shape."""
    rows = []
    for one in fields(stat):
        value = getattr(stat, one.name)
        size = getattr(value, "shape", None)
        rows.append((one.name, f"<{' x '.join(map(str, size))}>" if size else value))
    return facts(rows)
