"""What a report asks of a result and of a sweep, and the series it draws from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.report import formats

__all__ = [
    "AuditLike",
    "Curves",
    "FindingLike",
    "Floats",
    "ResultLike",
    "RunLike",
    "SweepLike",
    "Times",
    "column",
    "curves",
    "drawdown",
    "folds_of",
    "mean",
    "milliseconds",
    "rule_fields",
    "rule_sets",
    "rule_values",
]

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.datetime64]


class ResultLike(Protocol):
    """What the report reads of a backtest's result."""

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Metrics by name."""

    @property
    def trades(self) -> pl.DataFrame:
        """One row a trade."""

    @property
    def equity(self) -> pl.DataFrame:
        """``open_time`` and ``equity``, one row a bar."""

    @property
    def candles(self) -> Any:
        """The candles."""

    @property
    def signals(self) -> Any:
        """The signals."""

    @property
    def rules(self) -> Any:
        """Rules, or a schedule: a list of (start, rules)."""

    @property
    def costs(self) -> Any:
        """Fees and slippage."""

    @property
    def initial_equity(self) -> float:
        """Equity before the first bar."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the result was made of."""

    def stats(self) -> pl.DataFrame:
        """Metrics beside buy-and-hold."""

    def range(self) -> Any:
        """Metrics under the pessimistic and the optimistic intrabar rule, or None."""

    def by(self, group: Any, /) -> pl.DataFrame:
        """Trades by group."""


class SweepLike(Protocol):
    """What the report reads of a sweep."""

    @property
    def frame(self) -> pl.DataFrame:
        """One row per combination and window."""

    @property
    def pooled(self) -> pl.DataFrame:
        """One row per combination."""

    @property
    def axes(self) -> Sequence[str]:
        """Columns that vary."""

    @property
    def axis_groups(self) -> Sequence[Sequence[str]]:
        """Columns that vary together."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the sweep was made of."""


class FindingLike(Protocol):
    """What the report reads of one audit's finding."""

    @property
    def id(self) -> str:
        """Stable code, such as ``"ECO-01"``."""

    @property
    def slug(self) -> str:
        """Short name."""

    @property
    def outcome(self) -> str:
        """One of pass, warn, fail, inconclusive, error, skipped."""

    @property
    def severity(self) -> str:
        """One of critical, high, medium, low, info."""

    @property
    def title(self) -> str:
        """One sentence with its numbers."""

    @property
    def measured(self) -> Any:
        """Value, interval and numbers of observations, or None."""

    @property
    def gate(self) -> Any:
        """Operator, threshold, source and reason, or None."""

    @property
    def evidence(self) -> Mapping[str, Any]:
        """First offending ``rows`` with their ``total``, and further numbers."""

    @property
    def cause(self) -> Sequence[str]:
        """Likely causes, the likeliest first."""

    @property
    def remedy(self) -> str:
        """What to do."""

    @property
    def fixable(self) -> bool:
        """Whether doing it is mechanical."""

    @property
    def scope(self) -> Mapping[str, Any]:
        """Split, fold, side, period."""

    @property
    def assumptions(self) -> Mapping[str, str]:
        """Each checked, violated or unchecked."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What it was made of."""

    @property
    def waiver(self) -> Mapping[str, Any] | None:
        """The waiver that matched, or None."""

    @property
    def docs(self) -> str:
        """Page and anchor of the rule."""


class AuditLike(Protocol):
    """What the report reads of an audit's report."""

    @property
    def findings(self) -> Sequence[FindingLike]:
        """Findings, worst first."""

    @property
    def verdict(self) -> str:
        """One of sound, refuted, crashed, nothing proved."""

    @property
    def reasons(self) -> Sequence[str]:
        """Why the verdict is what it is."""

    @property
    def required(self) -> Sequence[str]:
        """Groups without whose evidence nothing is proved."""

    @property
    def fail_on(self) -> str:
        """Least severity at which a failure refutes."""

    @property
    def exit_code(self) -> int:
        """What a command that ends with this verdict exits with."""

    @property
    def inputs(self) -> Mapping[str, Any]:
        """What was audited."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Version, seed, seconds."""


class RunLike(Protocol):
    """What the report reads of a training run."""

    @property
    def candles(self) -> Any:
        """The candles."""

    @property
    def folds(self) -> Sequence[Any]:
        """Folds, one model each."""

    @property
    def parts(self) -> Mapping[str, Any]:
        """What was trained, by name; each has its `labels`."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """What the run was made of."""

    def predictions(self, part: Any = "test") -> pl.DataFrame:
        """Out-of-sample predictions with their labels."""


class Curves(NamedTuple):
    """The lines of a result, one value a bar.

    Attributes
    ----------
    times : ndarray of datetime64[ms]
        Opening times of the bars.
    equity, hold : ndarray of float64
        Equity of the strategy, and of the same money held in the asset since the first open.
    drawdown, hold_drawdown : ndarray of float64
        Fraction below the running peak, zero or negative.
    close : ndarray of float64
        Closing prices.
    """

    times: Times
    equity: Floats
    hold: Floats
    drawdown: Floats
    hold_drawdown: Floats
    close: Floats


def milliseconds(series: pl.Series) -> npt.NDArray[np.int64]:
    """Give times as milliseconds UTC."""
    if isinstance(series.dtype, pl.Datetime):
        series = series.dt.epoch("ms")
    return series.cast(pl.Int64).to_numpy().astype(np.int64)


def column(frame: pl.DataFrame, name: str) -> Floats:
    """Give a column as floats, nulls as NaN; a column that is absent is all NaN."""
    if name not in frame.columns:
        return np.full(frame.height, np.nan)
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)


def mean(values: Floats) -> float:
    """Compute the mean of what is no NaN; NaN where nothing is left."""
    known = values[~np.isnan(values)]
    with np.errstate(all="ignore"):
        return float(known.mean()) if known.size else np.nan


def drawdown(equity: Floats, initial: float) -> Floats:
    """Compute the fraction below the running peak, the peak starting at `initial`."""
    if equity.size == 0:
        return equity
    peak = np.maximum(np.fmax.accumulate(equity), initial)
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = equity / peak - 1.0
    return np.where(peak > 0, depth, 0.0)


def curves(result: ResultLike) -> Curves:
    """Collect the lines of a result on the bars of its window.

    Parameters
    ----------
    result : Result
        A backtest's result.

    Returns
    -------
    Curves
        Lines of equal length; empty where the equity is empty.
    """
    equity = column(result.equity, "equity")
    stamps = milliseconds(result.equity["open_time"])
    initial = formats.as_float(result.initial_equity)
    bars = result.candles.to_polars()
    at = milliseconds(bars["open_time"])
    close = np.full(equity.size, np.nan)
    hold = np.full(equity.size, np.nan)
    if equity.size and at.size:
        place = np.minimum(np.searchsorted(at, stamps), at.size - 1)
        known = at[place] == stamps
        close[known] = column(bars, "close")[place[known]]
        if known.any():
            first = column(bars, "open")[place[np.argmax(known)]]
            hold = initial * close / first
    return Curves(
        stamps.astype("datetime64[ms]"),
        equity,
        hold,
        drawdown(equity, initial),
        drawdown(hold, initial),
        close,
    )


def folds_of(result: ResultLike, run: RunLike | None) -> list[tuple[int, int]]:
    """Give the judged bars of every fold as opening times: of a walk-forward choice its own, else those of the run.

    Parameters
    ----------
    result : Result
        What :func:`barproof.backtest` or :func:`barproof.walk_forward_optimise` returned.
    run : Run, optional
        What made the signals.

    Returns
    -------
    list of (int, int)
        First opening time and end, milliseconds UTC; empty where neither tells of folds.
    """
    choices = getattr(result, "choices", None)
    if isinstance(choices, pl.DataFrame) and {"start", "end"} <= set(choices.columns):
        start, end = (milliseconds(choices[name]).tolist() for name in ("start", "end"))
        return list(zip(start, end, strict=True))
    at = getattr(getattr(run, "candles", None), "open_time", None)
    tests: list[Any] = [getattr(fold, "test", ()) for fold in getattr(run, "folds", ())]
    if at is None or run is None or not all(len(rows) for rows in tests):
        return []
    stamps = np.asarray(at).astype("datetime64[ms]").astype(np.int64)
    return [(int(stamps[rows[0]]), int(stamps[rows[-1]])) for rows in tests]


def rule_sets(rules: Any) -> list[tuple[Any, Any]]:
    """Give rules as a schedule: (start, rules), the start None where there is no schedule."""
    if isinstance(rules, list | tuple) and not hasattr(rules, "_fields"):
        return [
            (item[0], item[1]) if isinstance(item, list | tuple) else (None, item) for item in rules
        ]
    return [(None, rules)]


def rule_fields(rules: Any) -> dict[str, Any]:
    """Give the fields of rules or costs by name."""
    if isinstance(rules, Mapping):
        return dict(rules)
    if dataclasses.is_dataclass(rules) and not isinstance(rules, type):
        return {f.name: getattr(rules, f.name) for f in dataclasses.fields(rules)}
    return {k: v for k, v in getattr(rules, "__dict__", {}).items() if not k.startswith("_")}


def rule_values(rules: Any, name: str) -> list[Any]:
    """List the different values of a field over a schedule, in order of appearance."""
    values: list[Any] = []
    for _, one in rule_sets(rules):
        value = rule_fields(one).get(name)
        if value not in values:
            values.append(value)
    return values
