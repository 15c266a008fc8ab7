"""A path from candles to rows, as an audit meets it: how it is called, what it remembers, where it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from barproof import stats
from barproof.audits.data import milliseconds
from barproof.audits.differing import Ints
from barproof.candles.interval import DAY, HOUR
from barproof.errors import LayoutError

CUTS = 59  # finds a fault in 5% of the bars with 95% probability: ln(0.05) / ln(0.95)
_EDGES = 3  # cuts at holes, and at edges of hours and days, of each kind


def caller(path: Any) -> Callable[[Any], Any]:
    """Take what turns candles into rows: `compute` of a FeatureSet, or the function itself."""
    compute = getattr(path, "compute", None)
    if callable(compute):
        return compute  # type: ignore[no-any-return]
    if callable(path):
        return path  # type: ignore[no-any-return]
    raise LayoutError(
        f"`path` must be a FeatureSet or a function of candles, was {type(path).__name__}"
    )


def warmup_of(path: Any, candles: Any) -> int:
    """Bars that a path needs; features on longer bars tell it for the interval of the candles."""
    facts = getattr(path, "facts", None)
    if callable(facts):
        return max((int(row[2]) for row in facts(candles.interval).values()), default=0)
    return int(getattr(path, "warmup", 0) or 0)


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


def cut_places(candles: Any, cuts: int, warmup: int, seed: int) -> list[int]:
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
