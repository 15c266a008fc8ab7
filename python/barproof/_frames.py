"""Frames that the core's columns become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core

TIME = pl.Datetime("ms", "UTC")

METRICS: tuple[dict[str, Any], ...] = tuple(_core.metrics_table())
"""Rows of the table of metrics: name, unit, label, better, doc."""

_TEXTS = {"side": pl.String, "reason": pl.String}
_SIDES = ("long", "short")
_REASONS = (
    "signal", "stop", "take", "trail", "breakeven", "time", "liquidation", "reverse", "end",
)  # fmt: skip
_COUNTS = ("signal_bar", "entry_bar", "exit_bar", "bars_held")


def times(values: NDArray[np.int64]) -> pl.Series:
    """Milliseconds as UTC datetimes."""
    return pl.Series(values, dtype=pl.Int64).cast(TIME)


def texts(name: str, choices: Sequence[str], numbers: NDArray[Any]) -> pl.Series:
    """Texts by their numbers among some choices: made in one go, and not one by one as objects."""
    return pl.Series(name, choices, dtype=pl.String)[numbers]


def account_trades(columns: Mapping[str, Any], symbols: Sequence[str]) -> pl.DataFrame:
    """Trades of an account with its symbols first; sides, reasons and symbols come as numbers."""
    choices = {"symbol": symbols, "side": _SIDES, "reason": _REASONS}
    return pl.DataFrame(
        [
            texts(name, choices[name], values)
            if name in choices
            else times(values).alias(name)
            if name.endswith("_time")
            else pl.Series(name, values)
            for name, values in columns.items()
        ]
    )


def trades_frame(columns: Mapping[str, Any], combination: int = 0, window: int = 0) -> pl.DataFrame:
    """Trades with the columns of the contract, in its order.

    Made from finished columns: expressions would wake polars' thread pool, which does not survive a fork.
    """
    n = len(columns["reason"])
    series = [
        pl.Series("combination", np.full(n, combination, np.uint32)),
        pl.Series("window", np.full(n, window, np.uint32)),
    ]
    for name, values in columns.items():
        if name in _COUNTS:
            series.append(pl.Series(name, values.astype(np.uint32)))
        elif name.endswith("_time"):
            series.append(times(values).alias(name))
        else:
            series.append(pl.Series(name, values, dtype=_TEXTS.get(name)))
    return pl.DataFrame(series)


def metric_value(row: Mapping[str, Any], value: float) -> float | int:
    """Turn counts into whole numbers."""
    return int(value) if row["unit"] == "count" and value == value else value


def metrics_mapping(values: Mapping[str, float]) -> dict[str, float | int]:
    """Metrics by name, counts as whole numbers."""
    return {row["name"]: metric_value(row, values[row["name"]]) for row in METRICS}


_FEW = 4_096
"""Rows of a frame whose columns are made as slices of one: a series of its own costs 6 us a column."""


def metric_series(columns: Sequence[NDArray[np.float64]], *, counts: bool) -> list[pl.Series]:
    """Metric columns of a frame; `counts` makes whole numbers of counts (means over windows have none)."""
    whole = [counts and row["unit"] == "count" for row in METRICS]
    found: dict[bool, Iterator[pl.Series]] = {}
    for kind in (False, True):
        # Cast by numpy: a cast in polars costs a query of its own.
        made = [
            column.astype(np.uint32) if kind else column
            for column, is_whole in zip(columns, whole, strict=True)
            if is_whole == kind
        ]
        found[kind] = iter(_slices(made) if made and len(made[0]) <= _FEW else map(pl.Series, made))
    return [next(found[w]).alias(row["name"]) for row, w in zip(METRICS, whole, strict=True)]


def _slices(columns: list[NDArray[Any]]) -> list[pl.Series]:
    """Columns of one length and kind as slices of one series."""
    n = len(columns[0])
    joined = pl.Series(np.concatenate(columns))
    return [joined.slice(i * n, n) for i in range(len(columns))]


HOLD = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe_daily",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "final_equity",
    "buy_hold_return",
)
"""Metrics that buy-and-hold has too."""


def stats_frame(
    bars: int,
    initial_equity: float,
    metrics: Mapping[str, float | int],
    hold: Mapping[str, float | int],
) -> pl.DataFrame:
    """Labelled metrics with those of buy-and-hold beside them."""
    rows: list[tuple[str, float | None, float | None]] = [
        ("Bars", float(bars), None),
        ("Equity Initial", initial_equity, initial_equity),
    ]
    for row in METRICS:
        label, factor = row["label"], 1.0
        if row["unit"] == "fraction":
            label, factor = f"{label} [%]", 100.0
        name = row["name"]
        held = hold[name] if name in HOLD else np.nan
        rows.append((label, _or_none(metrics[name] * factor), _or_none(held * factor)))
    schema = {"metric": pl.String, "strategy": pl.Float64, "buy_and_hold": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def daily_frame(days: Any, returns: Any) -> pl.DataFrame:
    """Daily returns by UTC date."""
    return pl.DataFrame({"date": pl.Series(days, dtype=pl.Int32).cast(pl.Date), "return": returns})
