"""SPL-07: nothing at bar t depends on data after t."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import audited, capped, made, plural
from barproof.audits.data import milliseconds
from barproof.audits.model import Finding, Gate, Measured
from barproof.candles.interval import DAY, HOUR
from barproof.errors import LayoutError, ParameterError

__all__ = ["clock_of", "lookahead"]

CUTS = 59  # finds a fault in 5% of the bars with 95% probability: ln(0.05) / ln(0.95)
TAIL = 1_000
RELATIVE = 1e-9
TAILS = 1e-8
"""Relative difference allowed on rows that were computed from their memory alone: features that fade keep 1e-9."""
WHOLE = 5
_EDGES = 3  # cuts at holes, and at edges of hours and days, of each kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
GATE_WHY = "what changes when later bars are taken away was made from them"


class _Table(NamedTuple):
    """What the path gave: one row a bar."""

    names: list[str]
    values: Floats
    time: Ints | None


class _Difference(NamedTuple):
    """Where two tables differ first."""

    column: str
    bar: int
    whole: float
    cut: float
    cells: int


def _call(path: Any) -> Callable[[Any], Any]:
    compute = getattr(path, "compute", None)
    if callable(compute):
        return compute  # type: ignore[no-any-return]
    if callable(path):
        return path  # type: ignore[no-any-return]
    raise LayoutError(
        f"`path` must be a FeatureSet or a function of candles, was {type(path).__name__}"
    )


def _warmup(path: Any, candles: Any) -> int:
    """Bars that a path needs; features on longer bars tell it for the interval of the candles."""
    facts = getattr(path, "facts", None)
    if callable(facts):
        return max((int(row[2]) for row in facts(candles.interval).values()), default=0)
    return int(getattr(path, "warmup", 0) or 0)


def _table(made_: Any) -> _Table:
    """Turn the output of a path into columns of floats."""
    if isinstance(made_, pl.Series):
        made_ = made_.to_numpy()
    if hasattr(made_, "columns") and not isinstance(made_, pl.DataFrame):
        made_ = pl.DataFrame({str(name): np.asarray(made_[name]) for name in made_.columns})
    if isinstance(made_, pl.DataFrame):
        clock = milliseconds("open_time", made_["open_time"]) if "open_time" in made_ else None
        names = [
            name
            for name in made_.columns
            if name != "open_time"
            and (made_[name].dtype.is_numeric() or made_[name].dtype == pl.Boolean)
        ]
        # Column by column, as frames have them and as they are compared.
        held = np.empty((made_.height, len(names)), order="F")
        for j, name in enumerate(names):
            column = made_[name]
            # Nulls of a float column are NaN in numpy.
            floats = column if column.dtype == pl.Float64 else column.cast(pl.Float64)
            held[:, j] = floats.to_numpy()
        return _Table(names, held, clock)
    array = np.asarray(made_, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise LayoutError(
            f"a path must give a frame or an array of one row a bar, gave {array.ndim} dimensions"
        )
    return _Table([f"column {i}" for i in range(array.shape[1])], array, None)


def _on_bars(table: _Table, clock: Ints) -> _Table | None:
    """Rows of the table on the bars of the candles; None where they cannot be told."""
    if table.time is None:
        return table if len(table.values) == len(clock) else None
    if np.array_equal(table.time, clock):
        return table
    at = np.searchsorted(clock, table.time)
    known = (at < len(clock)) & (clock[np.minimum(at, len(clock) - 1)] == table.time)
    out = np.full((len(clock), len(table.names)), np.nan)
    out[at[known]] = table.values[known]
    return _Table(table.names, out, clock)


def _difference(
    whole: _Table,
    cut: _Table,
    rows: slice,
    *,
    exact: bool,
    scale: Floats,
    relative: float = RELATIVE,
) -> _Difference | None:
    """First difference in time of two tables on some rows, both directions."""
    a, b = whole.values[rows], cut.values[rows]
    # Equal bits need no second look; NaN has the same ones wherever one path makes it.
    if np.array_equal(a.view(np.int64), b.view(np.int64)):
        return None
    with np.errstate(invalid="ignore"):
        if exact:
            same = a == b
        else:
            same = np.abs(a - b) <= relative * (np.maximum(np.abs(a), np.abs(b)) + scale)
            # Equal infinities have no difference.
            same |= a == b
    same |= np.isnan(a) & np.isnan(b)
    if bool(np.all(same)):
        return None
    bad = ~same
    row = int(np.argmax(bad.any(axis=1)))
    column = int(np.argmax(bad[row]))
    return _Difference(
        whole.names[column],
        row + (rows.start or 0),
        float(a[row, column]),
        float(b[row, column]),
        int(bad.sum()),
    )


def clock_of(candles: Any) -> Ints:
    """Read opening times of candles or of a frame; row numbers where a frame has none."""
    if hasattr(candles, "open_time") and not hasattr(candles, "columns"):
        return np.asarray(candles.open_time, dtype=np.int64)
    if "open_time" in candles.columns:
        return milliseconds("open_time", candles["open_time"])
    return np.arange(len(candles), dtype=np.int64)


def _step(candles: Any, clock: Ints) -> int:
    """Length of a bar in units of the clock."""
    held = getattr(candles, "interval_ms", None)
    return int(held) if held is not None else int(np.median(np.diff(clock)))


def _cuts(candles: Any, cuts: int, warmup: int, seed: int) -> list[int]:
    """Last bars of the prefixes: random ones, and those before boundaries."""
    n = len(candles)
    clock = clock_of(candles)
    low = min(max(warmup + 1, n // 20, 1), n - 2)
    chosen = set((low + np.floor(stats.uniforms(seed, cuts) * (n - 1 - low))).astype(int).tolist())
    step = _step(candles, clock)
    kinds = [np.flatnonzero(np.diff(clock) > step) + 1]
    kinds += [
        np.flatnonzero(clock // edge != np.r_[clock[0], clock[:-1]] // edge) for edge in (HOUR, DAY)
    ]
    for k, places in enumerate(kinds):
        places = places[(places >= low) & (places < n - 1)]
        if len(places):
            picks = np.floor(stats.uniforms(seed + 1 + k, _EDGES) * len(places)).astype(int)
            # The first bar of the new hour, day or session, and the last of the old.
            for place in places[picks]:
                chosen |= {int(place), max(int(place) - 1, low)}
    # The longest prefix misses only the last bar: a shift(-1) shows there whatever the rest.
    chosen.add(n - 2)
    return sorted(chosen)


@audited
def lookahead(
    path: Any,
    candles: Any,
    *,
    cuts: int = CUTS,
    warmup: int | None = None,
    seed: int = 0,
    exact: bool | None = None,
    models: Callable[[Any], Any] | None = None,
    used: Any = None,
    window: int | None = None,
    max_seconds: float | None = None,
) -> Finding:
    """SPL-07: a path computed on fewer bars gives the same rows.

    Parameters
    ----------
    path : FeatureSet or callable
        Candles to one row a bar: a frame (with `open_time` or of the candles' length), or an array. Called once on all
        candles and once on each prefix. A frame with `open_time` need not have a row for every bar: signals that vanish
        and signals that appear are found.
    candles : Candles or frame
        The bars; a frame goes to the path as it is.
    cuts : int, default 59
        Random prefixes, at least 1; prefixes that end at holes and at edges of UTC hours and days come on top.
    warmup : int, optional
        Bars that the path needs; prefixes are longer. Default: `warmup` of the path, or 0.
    seed : int, default 0
        Of the choice of prefixes, in [0, 2**64 - 4).
    exact : bool, optional
        Whether every bit must agree; else 1e-9 relative. Default: for a FeatureSet.
    models : callable, optional
        What the path gives to predictions of the same number of rows, compared on the last 1,000 rows of each prefix.
    used : frame, optional
        The table that a model was trained on: it must be what the path gives.
    window : int, optional
        Compare this many last rows of each prefix, computed from the bars before them that the path remembers (of a
        FeatureSet it is known; else `warmup`), and 5 prefixes whole. Default: all prefixes whole.
    max_seconds : float, optional
        Budget; when it is spent the finding is inconclusive, or fails by what was found.

    Returns
    -------
    Finding
        Names the first column, bar and both values. Inconclusive for fewer than 10 bars, or a path that gives no rows
        or only NaN.

    Raises
    ------
    LayoutError
        If `path` is neither, or gives no table.
    ParameterError
        If `cuts` is below 1.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=500)
    >>> finding = lookahead(lambda candles: candles.to_polars().select(pl.col("close").shift(-1)), candles)
    >>> finding.outcome, finding.evidence["rows"][0]["column"]
    ('fail', 'close')
    """
    if cuts < 1:
        raise ParameterError(f"`cuts` must be at least 1, was {cuts}")
    call = _call(path)
    began = time.perf_counter()
    n = len(candles)
    gate = Gate("=", 0, "default", GATE_WHY)
    remedy = "compute features with bp.FeatureSet(...), or from closed bars up to t only: no shift(-k), no center=True"
    if n < 10:
        return made(
            "SPL-07",
            "inconclusive",
            f"{plural(n, 'bar')}: too few to cut",
            gate=gate,
            remedy="give more candles",
        )
    if warmup is None:
        warmup = _warmup(path, candles)
    clock = clock_of(candles)
    frame = call(candles)
    raw = _table(frame)
    whole = _on_bars(raw, clock)
    if whole is None or not whole.names or not np.any(np.isfinite(whole.values)):
        told = (
            "gives no rows that can be joined to bars" if whole is None else "gives no finite value"
        )
        return made(
            "SPL-07",
            "inconclusive",
            f"the path {told}: nothing to compare",
            measured=Measured("rows", len(raw.values), "count", n=n),
            gate=gate,
            remedy="give one row a bar, or a column open_time",
        )
    exact = callable(getattr(path, "compute", None)) if exact is None else exact
    scale = _sizes(whole)
    found: list[dict[str, Any]] = []
    if used is not None:
        found += _against_used(whole, used, clock, warmup)
    predicted = _table(models(frame)) if models is not None else None
    places = _cuts(candles, cuts, warmup, seed)
    done, total = 0, len(places)
    # The first prefix fully, and then those that show most: the longest.
    groups = None if window is None else _groups(path, candles, warmup)
    complete = set(np.linspace(0, total - 1, WHOLE).astype(int).tolist())
    for i, place in enumerate(places):
        if groups is not None and window is not None and i not in complete:
            if max_seconds is not None and time.perf_counter() - began > max_seconds:
                break
            done += 1
            found += _tail(groups, whole, candles, place, window, scale)
            continue
        if max_seconds is not None and time.perf_counter() - began > max_seconds:
            break
        prefix = candles[: place + 1]
        part = call(prefix)
        if models is None and _same_bits(part, whole, place + 1):
            done += 1
            continue
        cut = _on_bars(_table(part), clock[: place + 1])
        done += 1
        if cut is None or cut.names != whole.names:
            found.append(
                {"cut": place, "column": "all", "bar": place, "whole": None, "cut_value": None}
            )
            continue
        rows = slice(0, place + 1)
        for row in _compare(whole, cut, rows, place, exact=exact, scale=scale):
            found.append(row)
        if predicted is not None and models is not None and len(predicted.values) == n:
            begin = 0 if i == 0 else max(0, place + 1 - TAIL)
            tail = part[begin:] if begin else part
            answer = _table(models(tail))
            shown = _Table(predicted.names, predicted.values[begin : place + 1], None)
            size = np.zeros(len(predicted.names))
            for row in _compare(shown, answer, slice(0, None), place, exact=False, scale=size):
                found.append({**row, "column": f"model {row['column']}", "bar": row["bar"] + begin})
    return _judged(found, done, total, whole, gate, remedy, seed, n)


def _compare(
    whole: _Table, cut: _Table, rows: slice, place: int, *, exact: bool, scale: Floats
) -> Iterator[dict[str, Any]]:
    if len(cut.values) != len(whole.values[rows]):
        yield {
            "cut": place,
            "column": "all",
            "bar": 0,
            "whole": len(whole.values[rows]),
            "cut_value": len(cut.values),
        }
        return
    bounded = slice(0, len(cut.values))
    first = _difference(whole, cut, bounded, exact=exact, scale=scale)
    if first is not None:
        yield {
            "cut": place,
            "column": first.column,
            "bar": first.bar,
            "whole": first.whole,
            "cut_value": first.cut,
            "cells": first.cells,
            "kind": _kind(first),
        }


def _same_bits(frame: Any, whole: _Table, rows: int) -> bool:
    """Whether a frame of floats is the first rows of the whole, without a copy of it."""
    if not isinstance(frame, pl.DataFrame) or frame.height != rows:
        return False
    names = [name for name in frame.columns if name != "open_time"]
    if names != whole.names or any(frame[name].dtype != pl.Float64 for name in names):
        return False
    if "open_time" in frame.columns and whole.time is not None:
        clock = milliseconds("open_time", frame["open_time"])
        if not np.array_equal(clock, whole.time[:rows]):
            return False
    return all(
        np.array_equal(frame[name].to_numpy().view(np.int64), whole.values[:rows, j].view(np.int64))
        for j, name in enumerate(names)
    )


def _sizes(table: _Table) -> Floats:
    """Mean size of each column, for differences that are relative to it; what is not finite counts as 0."""
    out = np.zeros(len(table.names))
    for j in range(len(out)):
        column = table.values[:, j]
        good = np.isfinite(column)
        out[j] = np.abs(column[good]).sum() / max(len(column), 1)
    return out


def _groups(path: Any, candles: Any, warmup: int) -> list[tuple[Callable[[Any], Any], int]]:
    """Parts of a path and the bars that each remembers, so that few columns need the longest memory."""
    facts = getattr(path, "facts", None)
    if not callable(facts):
        return [(_call(path), warmup)]
    kept: dict[int, list[str]] = {}
    for name, (_, memory, first) in facts(candles.interval).items():
        if memory is not None:
            need = max(int(memory), int(first)) + 1
            # Memories of one power of eight go together: a call costs more than the rows it computes in vain.
            kept.setdefault(8 ** math.ceil(math.log(max(need, 512), 8)), []).append(name)
    sizes = facts(candles.interval)
    made_: list[tuple[Callable[[Any], Any], int]] = []
    for names in kept.values():
        need = max(max(int(sizes[name][1]), int(sizes[name][2])) + 1 for name in names)
        made_.append((type(path)(names).compute, need))
    return made_


def _tail(
    groups: list[tuple[Callable[[Any], Any], int]],
    whole: _Table,
    candles: Any,
    place: int,
    window: int,
    scale: Floats,
) -> Iterator[dict[str, Any]]:
    """Compare the last rows of a prefix, computed from what the path remembers."""
    for call, memory in groups:
        begin = max(0, place + 1 - memory - window)
        part = candles[begin : place + 1]
        first = max(begin + (memory if begin else 0), place + 1 - window)
        answer = call(part)
        if isinstance(answer, pl.DataFrame) and answer.height == len(part):
            # Rows that are not compared need not be read.
            answer = answer[first - begin :]
            part = part[first - begin :]
            begin = first
        cut = _on_bars(_table(answer), clock_of(part))
        if cut is None or not set(cut.names) <= set(whole.names):
            yield {"cut": place, "column": "all", "bar": place, "whole": None, "cut_value": None}
            continue
        columns = [whole.names.index(name) for name in cut.names]
        a = _Table(cut.names, whole.values[first : place + 1, columns], None)
        b = _Table(cut.names, cut.values[first - begin :], None)
        found = _difference(a, b, slice(0, None), exact=False, scale=scale[columns], relative=TAILS)
        if found is not None:
            yield {
                "cut": place,
                "column": found.column,
                "bar": found.bar + first,
                "whole": found.whole,
                "cut_value": found.cut,
                "cells": found.cells,
                "kind": _kind(found),
            }


def _kind(found: _Difference) -> str:
    """Say what later bars did to a value."""
    if math.isnan(found.whole):
        return "vanishes with later bars"
    return "appears with later bars" if math.isnan(found.cut) else "moves with later bars"


def _against_used(whole: _Table, used: Any, clock: Ints, warmup: int) -> Iterator[dict[str, Any]]:
    """Compare the table that was trained on with what the path gives, column by column."""
    given = _on_bars(_table(used), clock)
    if given is None:
        return
    for column, name in enumerate(given.names):
        if name not in whole.names:
            continue
        a = whole.values[:, whole.names.index(name)]
        b = given.values[:, column]
        rows = slice(min(warmup, len(a)), None)
        one, other = _Table([name], a[:, None], None), _Table([name], b[:, None], None)
        size = (
            np.array([float(np.mean(np.abs(a[np.isfinite(a)])))])
            if np.any(np.isfinite(a))
            else np.zeros(1)
        )
        first = _difference(one, other, rows, exact=False, scale=size)
        if first is not None:
            yield {
                "cut": None,
                "column": name,
                "bar": first.bar,
                "whole": first.whole,
                "trained_on": first.cut,
                "cells": first.cells,
            }


def _judged(
    found: list[dict[str, Any]],
    done: int,
    total: int,
    whole: _Table,
    gate: Gate,
    remedy: str,
    seed: int,
    n: int,
) -> Finding:
    provenance = {"seed": seed}
    measured = Measured("prefixes that differ", len({row["cut"] for row in found}), "count", n=done)
    if found:
        first = min(found, key=lambda row: (row["cut"] is not None, row["bar"]))
        if "trained_on" in first:
            title = (
                f"the model was trained on another table: `{first['column']}` at bar {first['bar']} is "
                f"{first['trained_on']:.6g}, the features give {first['whole']:.6g}"
            )
        elif first["whole"] is None or first["column"] == "all":
            title = f"the path gives other rows or columns on the bars up to {first['cut']}"
        else:
            title = (
                f"`{first['column']}` at bar {first['bar']} knows later bars: {first['whole']:.6g} with them, "
                f"{first['cut_value']:.6g} when the data end at bar {first['cut']}"
            )
        return made(
            "SPL-07",
            "fail",
            title,
            measured=measured,
            gate=gate,
            evidence={
                **capped(found, len(found)),
                "columns": sorted({str(row["column"]) for row in found})[:20],
            },
            cause=(
                "a centred or negative shift",
                "statistics over the whole table: normalisers, quantile bins, PCA",
                "a higher timeframe joined before its bar has closed",
            ),
            remedy=remedy,
            scope={"column": first["column"], "bar": first["bar"]},
            provenance=provenance,
        )
    if done < total:
        return made(
            "SPL-07",
            "inconclusive",
            f"{done} of {total} prefixes compared before the budget was spent, none differs",
            measured=measured,
            gate=gate,
            remedy="give more time: max_seconds=None",
            provenance=provenance,
        )
    return made(
        "SPL-07",
        "pass",
        f"{plural(len(whole.names), 'column')} the same on {plural(done, 'prefix', 'prefixes')} of {n:,} bars",
        measured=measured,
        gate=gate,
        # Of faults that touch a share of the bars at random; edges of hours and days have cuts of their own.
        evidence={
            "cuts": done,
            "columns": len(whole.names),
            "chance_to_miss": {f"{q:.0%} of bars": (1 - q) ** done for q in (0.01, 0.05, 0.10)},
        },
        assumptions={"a fault touches at least 5% of the bars": "unchecked"},
        provenance=provenance,
    )
