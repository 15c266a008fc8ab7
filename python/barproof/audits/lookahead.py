"""SPL-07: nothing at bar t depends on data after t."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from barproof.audits.common import audited, capped, made, plural
from barproof.audits.differing import (
    RELATIVE,
    Ints,
    Scale,
    Table,
    difference,
    kind,
    of_array,
    on_bars,
    table_of,
)
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.paths import CUTS, caller, clock_of, cut_places, warmup_of
from barproof.errors import ParameterError

if TYPE_CHECKING:
    from barproof.features import FeatureSet

__all__ = ["lookahead"]

TAIL = 1_000
TAILS = 1e-8
"""Relative difference allowed on rows that were computed from their memory alone: features that fade keep 1e-9."""
WHOLE = 5

GATE_WHY = "what changes when later bars are taken away was made from them"


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
    models_window: int = 1,
    models_agree: float = RELATIVE,
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
        FeatureSet it is known; else `warmup`), and 5 prefixes whole. Where last rows differ the prefix is computed
        whole too, and it alone decides. Default: all prefixes whole.
    models_window : int, default 1
        Rows that `models` looks at for one prediction.
    models_agree : float, default 1e-9
        What predictions of the same rows may differ by, of their size: nets in single precision sum in other orders for
        other numbers of rows.
    max_seconds : float, optional
        Budget; when it is spent the finding is inconclusive, or fails by what was found.

    Returns
    -------
    Finding
        Names the first column, bar and both values; with `window` also at how many cuts the last rows sufficed, and
        at how many they needed more than their memory. Inconclusive for fewer than 10 bars, or a path that gives no
        rows or only NaN.

    Raises
    ------
    LayoutError
        If `path` is neither, or gives no table.
    ParameterError
        If `cuts`, `window` or `models_window` is below 1.

    Examples
    --------
    >>> import barproof as bp
    >>> import polars as pl
    >>> candles = bp.simulate_candles(1, bars=500)
    >>> finding = lookahead(lambda candles: candles.to_polars().select(pl.col("close").shift(-1)), candles)
    >>> finding.outcome, finding.evidence["rows"][0]["column"]
    ('fail', 'close')
    """
    if cuts < 1:
        raise ParameterError(f"`cuts` must be at least 1, was {cuts}")
    if window is not None and window < 1:
        raise ParameterError(f"`window` must be at least 1 row, was {window}")
    if models_window < 1:
        raise ParameterError(f"`models_window` must be at least 1 row, was {models_window}")
    call, known = caller(path), _feature_set(path)
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
        warmup = warmup_of(path, candles)
    clock = clock_of(candles)
    frame = call(candles)
    raw = table_of(frame)
    whole = on_bars(raw, clock)
    if whole is None or not whole.defined():
        told = (
            "gives no rows that can be joined to bars" if whole is None else "gives no finite value"
        )
        return made(
            "SPL-07",
            "inconclusive",
            f"the path {told}: nothing to compare",
            measured=Measured("rows", raw.height, "count", n=n),
            gate=gate,
            remedy="give one row a bar, or a column open_time",
        )
    exact = callable(getattr(path, "compute", None)) if exact is None else exact
    scale = Scale(whole)
    found: list[dict[str, Any]] = []
    if used is not None:
        found += _against_used(whole, used, clock, warmup)
    predicted = table_of(models(frame)) if models is not None else None
    if predicted is not None and predicted.height != n:
        predicted = None
    places = cut_places(candles, cuts, warmup, seed)
    done, total, tails, beyond = 0, len(places), 0, 0
    # The first prefix fully, and then those that show most: the longest.
    parts = None if window is None else _parts(call, known, candles, warmup)
    complete = set(np.linspace(0, total - 1, WHOLE).astype(int).tolist())
    for i, place in enumerate(places):
        if max_seconds is not None and time.perf_counter() - began > max_seconds:
            break
        done += 1
        if parts is None or window is None or i in complete:
            same = known is not None and _same_bits(known, whole, candles[: place + 1])
        else:
            same = _same_tails(parts, whole, candles, place, window, scale)
            # A path that remembers more than it says differs too: what later bars did only whole prefixes tell.
            tails, beyond = tails + same, beyond + (not same)
        part = None if same else call(candles[: place + 1])
        rows: list[dict[str, Any]] = []
        if part is not None:
            rows = _prefix(part, whole, clock, place, exact=exact, scale=scale)
        found += rows
        if (
            predicted is not None
            and models is not None
            and not any(r["column"] == "all" for r in rows)
        ):
            begin = 0 if i == 0 else max(0, place + 1 - TAIL)
            # Where the rows agree those of all candles stand for the prefix.
            # The first rows of the tail have windows that begin before it.
            lead = max(0, begin - (models_window - 1))
            tail = frame[lead : place + 1] if part is None else part[lead:] if lead else part
            answer = table_of(models(tail))
            if answer.height == place + 1 - lead:
                answer = _rows(answer, begin - lead, answer.height)
            shown = _rows(predicted, begin, place + 1)
            for row in _compare(
                shown, answer, place, exact=False, scale=lambda _: 0.0, relative=models_agree
            ):
                found.append({**row, "column": f"model {row['column']}", "bar": row["bar"] + begin})
    ways: dict[str, Any] = {"last_rows": {"cuts": tails, "rows": window}} if tails else {}
    ways |= {"cuts_beyond_memory": beyond} if beyond else {}
    return _judged(found, done, total, ways, whole, gate, remedy, seed, n)


def _prefix(
    part: Any, whole: Table, clock: Ints, place: int, *, exact: bool, scale: Scale
) -> list[dict[str, Any]]:
    """Compare what a prefix gave with the same rows of the whole."""
    cut = on_bars(table_of(part), clock[: place + 1])
    if cut is None or cut.names != whole.names:
        return [{"cut": place, "column": "all", "bar": place, "whole": None, "cut_value": None}]
    shown = _rows(whole, 0, place + 1)
    return list(_compare(shown, cut, place, exact=exact, scale=scale))


def _rows(table: Table, first: int, end: int) -> Table:
    return Table(table.names, [c[first:end] for c in table.columns], None, end - first)


def _compare(
    whole: Table,
    cut: Table,
    place: int,
    *,
    exact: bool,
    scale: Callable[[str], float],
    relative: float = RELATIVE,
) -> Iterator[dict[str, Any]]:
    """Give the first difference of a prefix from the whole, as a row of evidence."""
    if cut.height != whole.height:
        yield {
            "cut": place,
            "column": "all",
            "bar": 0,
            "whole": whole.height,
            "cut_value": cut.height,
        }
        return
    first = difference(whole, cut, slice(0, None), exact=exact, scale=scale, relative=relative)
    if first is not None:
        yield {
            "cut": place,
            "column": first.column,
            "bar": first.bar,
            "whole": first.whole,
            "cut_value": first.cut,
            "cells": first.cells,
            "kind": kind(first),
        }


def _feature_set(path: Any) -> FeatureSet | None:
    from barproof.features import FeatureSet

    return path if isinstance(path, FeatureSet) else None


def _same_bits(features: FeatureSet, whole: Table, candles: Any) -> bool:
    """Whether features on fewer candles have the bits of the first rows of the whole."""
    from barproof.features.tables import each_block, plan

    if list(features.names) != whole.names:
        return False
    for first, block in each_block(features, plan(features, candles, None, "left"), None):
        rows = slice(first, first + block.shape[1])
        for mine, column in zip(whole.columns, block, strict=True):
            if not bool((mine[rows].view(np.int64) == column.view(np.int64)).all()):
                return False
    return True


class _Part(NamedTuple):
    """Columns of a path that are computed together, and the bars that they remember; None for all."""

    call: Callable[[Any], Table | None]
    memory: int | None


def _parts(
    call: Callable[[Any], Any], features: FeatureSet | None, candles: Any, warmup: int
) -> list[_Part]:
    """Parts of a path by memory, so that few columns need the longest."""

    def whole(part: Any) -> Table | None:
        return on_bars(table_of(call(part)), clock_of(part))

    if features is None:
        return [_Part(whole, warmup)]
    sizes = features.facts(candles.interval)
    needs = {
        name: None if memory is None else max(int(memory), int(first)) + 1
        for name, (_, memory, first) in sizes.items()
    }
    if features.own:
        # A part of a set would need the functions that it names: the whole, by the longest memory.
        known = [need for need in needs.values() if need is not None]
        memory = max(known) if len(known) == len(needs) else None
        return [_Part(whole, memory)]
    from barproof.features import FeatureSet

    kept: dict[int | None, list[str]] = {}
    for name, need in needs.items():
        # Memories of one power of eight go together: a call costs more than the rows it computes in vain.
        power = None if need is None else math.ceil(math.log(max(need, 512), 8))
        kept.setdefault(power, []).append(name)
    return [
        _Part(
            _few(FeatureSet(names)),
            None if power is None else max(needs[name] or 0 for name in names),
        )
        for power, names in kept.items()
    ]


def _few(features: FeatureSet) -> Callable[[Any], Table]:
    """Compute few rows of a feature set: threads and columns of their own would take longer than the values."""
    names = list(features.names)
    return lambda part: of_array(names, features.matrix(part, dtype="f64", threads=1))


def _same_tails(
    parts: list[_Part], whole: Table, candles: Any, place: int, window: int, scale: Scale
) -> bool:
    """Whether the last rows of a prefix, computed from what the path remembers, are those of the whole."""
    for call, memory in parts:
        begin = 0 if memory is None else max(0, place + 1 - memory - window)
        cut = call(candles[begin : place + 1])
        if cut is None or not set(cut.names) <= set(whole.names):
            return False
        # Of a prefix that begins with the candles the rows before the memory are right too.
        first = max(begin + (memory or 0) if begin else 0, place + 1 - window)
        columns = [whole.columns[whole.names.index(name)] for name in cut.names]
        mine = _rows(Table(cut.names, columns, None, whole.height), first, place + 1)
        other = _rows(cut, first - begin, place + 1 - begin)
        if difference(mine, other, slice(0, None), exact=False, scale=scale, relative=TAILS):
            return False
    return True


def _against_used(whole: Table, used: Any, clock: Ints, warmup: int) -> Iterator[dict[str, Any]]:
    """Compare the table that was trained on with what the path gives, column by column."""
    given = on_bars(table_of(used), clock)
    if given is None:
        return
    rows = slice(min(warmup, whole.height), None)
    for name, b in zip(given.names, given.columns, strict=True):
        if name not in whole.names:
            continue
        a = whole.columns[whole.names.index(name)]
        good = np.isfinite(a)
        size = {name: float(np.mean(np.abs(a[good]))) if np.any(good) else 0.0}
        one, other = Table([name], [a], None, len(a)), Table([name], [b], None, len(b))
        first = difference(one, other, rows, exact=False, scale=size.__getitem__)
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
    ways: dict[str, Any],
    whole: Table,
    gate: Gate,
    remedy: str,
    seed: int,
    n: int,
) -> Finding:
    """Make a finding of the differences that were found."""
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
            **ways,
            "chance_to_miss": {f"{q:.0%} of bars": (1 - q) ** done for q in (0.01, 0.05, 0.10)},
        },
        assumptions={"a fault touches at least 5% of the bars": "unchecked"},
        provenance=provenance,
    )
