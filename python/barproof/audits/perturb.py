"""SPL-08 and SPL-09: bars after t are replaced, and bars long before t are left out."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import polars as pl

from barproof import stats
from barproof.audits.common import audited, capped, made, plural, unable
from barproof.audits.differing import Floats, Scale, Table, difference, kind, on_bars, table_of
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.paths import CUTS, caller, clock_of, cut_places, warmup_of
from barproof.errors import ParameterError

__all__ = ["bars_to_forget", "future_perturbation", "start_weight", "warmup_needed"]

TOLERANCE = 1e-6
_PRICES = ("open", "high", "low", "close", "volume")


def _perturbed(candles: Any, cut: int, how: str, seed: int) -> Any:
    """Candles or a frame of the same length whose rows after `cut` are others; None where that cannot be."""
    n = len(candles)
    order = np.arange(n)
    tail = n - cut - 1
    if how == "permuted":
        order[cut + 1 :] = cut + 1 + np.argsort(stats.uniforms(seed, tail), kind="stable")
    factor = np.where(np.arange(n) > cut, 1.5, 1.0)
    if isinstance(candles, pl.DataFrame):
        late = pl.int_range(pl.len()) > cut
        changed: list[Any] = []
        for name in candles.columns:
            if name == "open_time" or not candles[name].dtype.is_numeric():
                continue
            column = candles[name]
            if how == "missing":
                changed.append(pl.when(late).then(None).otherwise(pl.col(name)).alias(name))
            elif how == "permuted":
                changed.append(column[order.tolist()].alias(name))
            else:
                changed.append((column * factor).alias(name))
        return candles.with_columns(changed)
    if how == "missing":
        return None
    columns = {name: np.asarray(getattr(candles, name))[order] for name in _PRICES}
    extra = {name: values[order] for name, values in candles.extra.items()}
    if how == "scaled":
        columns = {name: values * factor for name, values in columns.items()}
        extra = {name: values * factor for name, values in extra.items()}
    return candles._replace(**columns, extra=extra)


@audited
def future_perturbation(
    path: Any,
    candles: Any,
    *,
    cuts: int = CUTS,
    warmup: int | None = None,
    seed: int = 0,
    exact: bool | None = None,
    max_seconds: float | None = None,
) -> Finding:
    """SPL-08: rows up to t stay when the bars after t are replaced.

    Parameters
    ----------
    path : FeatureSet or callable
        Candles (or frames) to one row a bar.
    candles : Candles or frame
        The bars. Frames are also made missing after t, which candles cannot be.
    cuts : int, default 59
        Random bars t, at least 1; edges of hours and days come on top.
    warmup : int, optional
        Bars that the path needs. Default: `warmup` of the path, or 0.
    seed : int, default 0
        Of bars and permutations, in [0, 2**64 - 4).
    exact : bool, optional
        Whether every bit must agree; else 1e-9 relative. Default: for a FeatureSet.
    max_seconds : float, optional
        Budget; when it is spent the finding is inconclusive, or fails by what was found.

    Returns
    -------
    Finding
        Names the first column, bar, both values and the replacement. Inconclusive for fewer than 10 bars, or a path
        that gives nothing to compare.

    Raises
    ------
    ParameterError
        If `cuts` is below 1.
    """
    if cuts < 1:
        raise ParameterError(f"`cuts` of SPL-08 must be at least 1, was {cuts}")
    call = caller(path)
    began = time.perf_counter()
    n = len(candles)
    gate = Gate("=", 0, "default", "what moves when later bars are replaced was made from them")
    remedy = "compute features from closed bars up to t only; a leak that hides bad trades shows here alone"
    if n < 10:
        return unable("SPL-08", f"{plural(n, 'bar')}: too few to cut", remedy, gate=gate)
    warmup = warmup_of(path, candles) if warmup is None else warmup
    clock = clock_of(candles)
    whole = on_bars(table_of(call(candles)), clock)
    if whole is None or not whole.defined():
        return unable("SPL-08", "the path gives nothing to compare", remedy, gate=gate)
    exact = callable(getattr(path, "compute", None)) if exact is None else exact
    scale = Scale(whole)
    found: list[dict[str, Any]] = []
    places = cut_places(candles, cuts, warmup, seed)
    done = 0
    for i, place in enumerate(places):
        if max_seconds is not None and time.perf_counter() - began > max_seconds:
            break
        done += 1
        # One replacement a cut, in turn: each meets a third of the cuts.
        how = ("permuted", "scaled", "missing")[i % 3]
        changed = _perturbed(candles, place, how, seed + i)
        if changed is None:
            how = "scaled"
            changed = _perturbed(candles, place, how, seed + i)
        other = on_bars(table_of(call(changed)), clock)
        row = {"cut": place, "replaced": how}
        if other is None or other.names != whole.names:
            found.append(
                {**row, "column": "all", "bar": place, "whole": None, "replaced_value": None}
            )
            continue
        # A permutation may leave the next bars as they were, but 1.5 times never does.
        first = difference(whole, other, slice(0, place + 1), exact=exact, scale=scale)
        if first is not None:
            found.append(
                {
                    **row,
                    "column": first.column,
                    "bar": first.bar,
                    "whole": first.whole,
                    "replaced_value": first.cut,
                    "kind": kind(first),
                }
            )
    measured = Measured("bars whose past moved", len(found), "count", n=done)
    if found:
        worst = found[0]
        return made(
            "SPL-08",
            "fail",
            (
                f"`{worst['column']}` at bar {worst['bar']} moves when "
                f"the bars after {worst['cut']} are {worst['replaced']}"
            ),
            measured=measured,
            gate=gate,
            evidence={
                **capped(found, len(found)),
                "columns": sorted({str(row["column"]) for row in found})[:20],
            },
            cause=(
                "a centred or negative shift",
                "statistics over the whole table",
                "a filter that looks ahead",
            ),
            remedy=remedy,
            scope={"column": worst["column"], "bar": worst["bar"]},
            provenance={"seed": seed},
        )
    if done < len(places):
        return unable(
            "SPL-08",
            (f"{done} of {len(places)} bars before the budget was spent, none moves"),
            measured=measured,
        )
    return made(
        "SPL-08",
        "pass",
        (
            f"{plural(len(whole.names), 'column')} stay when later "
            f"bars are replaced after {plural(done, 'bar')} of {n:,}"
        ),
        measured=measured,
        gate=gate,
        evidence={
            "chance_to_miss": {f"{q:.0%} of bars": (1 - q) ** done for q in (0.01, 0.05, 0.10)}
        },
        provenance={"seed": seed},
    )


@audited
def warmup_needed(
    path: Any,
    candles: Any,
    *,
    declared: int | None = None,
    bars: int = 10,
    tolerance: float = TOLERANCE,
    seed: int = 0,
) -> Finding:
    """SPL-09: a live window of the declared length gives the values of the full history.

    Parameters
    ----------
    path : FeatureSet or callable
        Candles (or frames) to one row a bar.
    candles : Candles or frame
        The bars.
    declared : int, optional
        Bars that a live system loads. Default: the memory of a FeatureSet, or `warmup` of the path.
    bars : int, default 10
        Bars compared, drawn from the last part of the history.
    tolerance : float, default 1e-6
        Error allowed, over the value or the standard deviation of its column, whichever is larger.
    seed : int, default 0
        Of the choice of bars.

    Returns
    -------
    Finding
        Names the slowest column and the window that it needs; inconclusive where the history is shorter than twice the
        declared window, or no length is declared.
    """
    call = caller(path)
    n = len(candles)
    gate = Gate(
        "<=",
        tolerance,
        "default",
        "a bot that loads too few bars trades other features than its backtest",
    )
    remedy = (
        "load as many bars as the slowest feature needs, or carry the state on (bp.FeatureStream)"
    )
    if declared is None:
        declared = _memory(path, candles)
    if declared < 1 or n < 2 * declared or n < 10:
        told = (
            "no window is declared" if declared < 1 else f"{n:,} bars for a window of {declared:,}"
        )
        return unable("SPL-09", f"{told}: nothing to compare", remedy, gate=gate)
    clock = clock_of(candles)
    whole = on_bars(table_of(call(candles)), clock)
    if whole is None or not whole.defined():
        return unable("SPL-09", "the path gives nothing to compare", remedy, gate=gate)
    low = max(2 * declared, n // 2) - 1
    places = sorted({low + int(u * (n - low)) for u in stats.uniforms(seed, bars)})
    deviation = np.zeros(len(whole.names))
    for j in range(len(whole.names)):
        held = whole.columns[j][np.isfinite(whole.columns[j])]
        deviation[j] = held.std() if len(held) else 0.0
    ladder = [declared]
    while ladder[-1] * 2 <= low:
        ladder.append(ladder[-1] * 2)
    needed = np.full(len(whole.names), math.inf)
    errors: Floats = np.zeros(len(whole.names))
    for k in ladder:
        error = _errors(call, candles, whole, places, k, deviation)
        errors = error if k == declared else errors
        needed = np.where(np.isinf(needed) & (error <= tolerance), k, needed)
        if np.all(np.isfinite(needed)):
            break
    slow = np.flatnonzero(needed > declared)
    rows = [
        {
            "column": whole.names[j],
            "error": float(errors[j]),
            "needs": None if math.isinf(needed[j]) else f"at most {int(needed[j]):,} bars",
        }
        for j in sorted(range(len(whole.names)), key=lambda j: (-needed[j], -errors[j]))
    ]
    measured = Measured(
        "largest error", float(errors.max()), form="over the value or its deviation", n=len(places)
    )
    if len(slow):
        worst = rows[0]
        needs = worst["needs"] or "no window of this history"
        title = (
            f"{plural(len(slow), 'column')} differ with {declared:,} bars: `{worst['column']}` by "
            f"{worst['error']:.2g}, needs {needs}"
        )
        return made(
            "SPL-09",
            "fail",
            title,
            measured=measured,
            gate=gate,
            evidence=capped(rows, len(slow)),
            cause=(
                "an exponential mean with a long memory",
                "a sum since the start: it never converges",
            ),
            remedy=remedy,
            scope={"column": worst["column"]},
            provenance={"seed": seed},
        )
    return made(
        "SPL-09",
        "pass",
        (
            f"a window of {declared:,} bars gives {plural(len(whole.names), 'column')} "
            f"within {errors.max():.1g} at {plural(len(places), 'bar')}"
        ),
        measured=measured,
        gate=gate,
        evidence=capped(rows, len(rows)),
        provenance={"seed": seed},
    )


def start_weight(alpha: float, bars: float) -> float:
    """Weight that the start of an exponential mean still has after so many bars.

    Parameters
    ----------
    alpha : float
        Weight of the newest value, in (0, 1): ``2 / (span + 1)``, or ``1 / period`` of Wilder's.
    bars : float
        Bars since the start, >= 0.

    Returns
    -------
    float
        ``(1 - alpha) ** bars``.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> f"{start_weight(2 / 21, 199):.1e}"
    '2.2e-09'
    """
    if not 0 < alpha < 1 or not 0 <= bars < math.inf:
        raise ParameterError(
            f"`alpha` must lie between 0 and 1 and `bars` be finite and >= 0, were {alpha!r} and {bars!r}"
        )
    return math.exp(bars * math.log1p(-alpha))


def bars_to_forget(alpha: float, *, tolerance: float = TOLERANCE) -> int:
    """Bars after which an exponential mean has forgotten its start.

    Parameters
    ----------
    alpha : float
        As for :func:`start_weight`.
    tolerance : float, default 1e-6
        Weight of the start that is nothing, in (0, 1).

    Returns
    -------
    int
        Least k with ``(1 - alpha) ** k <= tolerance``: ``ceil(ln(tolerance) / ln(1 - alpha))``.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> bars_to_forget(2 / 21), bars_to_forget(1 / 14)
    (139, 187)
    """
    if not 0 < alpha < 1 or not 0 < tolerance < 1:
        raise ParameterError(
            f"`alpha` and `tolerance` must lie between 0 and 1, were {alpha!r} and {tolerance!r}"
        )
    return math.ceil(math.log(tolerance) / math.log1p(-alpha))


def _memory(path: Any, candles: Any) -> int:
    facts = getattr(path, "facts", None)
    if not callable(facts):
        return warmup_of(path, candles)
    sizes = facts(candles.interval).values()
    return max((max(int(row[1] or row[2]), int(row[2])) + 1 for row in sizes), default=0)


def _errors(
    call: Any, candles: Any, whole: Table, places: list[int], k: int, deviation: Floats
) -> Floats:
    """Largest error of each column with a window of k bars; infinite where a value is missing on one side only."""
    out = np.zeros(len(whole.names))
    for place in places:
        part = candles[place + 1 - k : place + 1]
        table = on_bars(table_of(call(part)), clock_of(part))
        if table is None or table.names != whole.names:
            return np.full(len(whole.names), math.inf)
        a, b = whole.row(place), table.row(-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            error = np.abs(a - b) / np.maximum(np.abs(a), deviation)
        error = np.where(a == b, 0.0, error)
        error = np.where(np.isnan(a) & np.isnan(b), 0.0, error)
        out = np.maximum(out, np.where(np.isnan(error), math.inf, error))
    return out
