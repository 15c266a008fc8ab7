"""What a column that differs holds instead: another feature, another parameter, an older value, an open hour.

Each guess is made by comparing bits of all rows at hand, never by how a series looks; where nothing fits, nothing is
said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.candles import Candles
from barproof.candles.interval import format_interval, parse_interval
from barproof.errors import BarproofError
from barproof.features import FeatureSet

__all__ = ["bar_cause", "column_cause", "same"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

NEEDED = 8
"""Rows with a value that a guess must explain."""
REACH = 3
"""Bars, beyond two of the feature's own timeframe, that values may be late or early."""
LARGEST = 400
"""Parameters are tried up to this."""
ROWS = 5_000
"""Rows on which parameters are tried."""
_WHOLE = re.compile(r"(?<![\w.])(\d+)(?![\w.])")
_FRAME = re.compile(r"@(?:[^/]*/)?(\d+(?:ms|[smhdw]))")


def same(a: Floats, b: Floats) -> Flags:
    """Whether values are the same number, or both undefined."""
    held: Flags = (a == b) | (np.isnan(a) & np.isnan(b))
    return held


def _explains(logged: Floats, guess: Floats) -> bool:
    """Whether a guess gives every value of the log, and enough of them."""
    there = np.isfinite(logged) & np.isfinite(guess)
    return (
        int(there.sum()) >= NEEDED
        and bool(np.ptp(logged[there]) > 0)
        and bool(same(logged, guess).all())
    )


def column_cause(
    name: str,
    logged: Floats,
    values: Floats,
    names: Sequence[str],
    at: Ints,
    candles: Candles,
    books: Mapping[str, Candles] | None = None,
) -> str:
    """Say what a logged column holds instead of its feature.

    Parameters
    ----------
    name : str
        The feature.
    logged : ndarray of shape (n,)
        What the log has.
    values : ndarray of shape (n_bars, n_features)
        What the backtest has, at all bars.
    names : sequence of str
        Features by column.
    at : ndarray of shape (n,), int64
        Bars of the logged rows.
    candles : Candles
        Bars.
    books : dict of str to Candles, optional
        Of several symbols.

    Returns
    -------
    str
        Empty where no guess gives every logged value.
    """
    own = values[:, list(names).index(name)]
    for j, other in enumerate(names):
        if other != name and _explains(logged, values[at, j]):
            return f"it holds the values of `{other}`: features are in another order"
    length = _length(name, candles)
    guesses: tuple[Callable[[], str], ...] = (
        lambda: _shifted(logged, own, at, length),
        lambda: _rounded(logged, own[at]),
        lambda: _scaled(logged, own[at]),
        lambda: _parameter(name, logged, at, candles, books),
        lambda: _open_frame(logged, own, at, candles, length),
        lambda: _frozen(logged, own[at]),
        lambda: _fading(logged, own[at]),
    )
    for guess in guesses:
        told = guess()
        if told:
            return told
    return ""


def _length(name: str, candles: Candles) -> int:
    """Bars of the candles in one of the longest timeframe that the feature names."""
    found = [parse_interval(text) for text in _FRAME.findall(name)]
    return max([1, *(ms // candles.interval_ms for ms in found)])


def _shifted(logged: Floats, own: Floats, at: Ints, length: int) -> str:
    """Say that a column holds its own value of some bars earlier or later; empty if none explains it."""
    # What is late lacks its first values.
    begin = int(np.argmax(~np.isnan(logged)))
    logged, at = logged[begin:], at[begin:]
    for size in range(1, 2 * length + REACH + 1):
        for step in (size, -size):
            bars = at - step
            if bars.min() < 0 or bars.max() >= len(own):
                inside = (bars >= 0) & (bars < len(own))
                if not _explains(logged[inside], own[bars[inside]]):
                    continue
            elif not _explains(logged, own[bars]):
                continue
            if step < 0:
                return f"it holds the value of {_bars(size)} later: it knows the future"
            if length > 1 and size % length == 0:
                return (
                    f"it holds the value of {_bars(size)} earlier: a higher timeframe that is stale"
                )
            return f"it holds the value of {_bars(size)} earlier: it is stale"
    return ""


def _bars(n: int) -> str:
    return f"{n} bar{'s' if n > 1 else ''}"


def _rounded(logged: Floats, own: Floats) -> str:
    with np.errstate(over="ignore"):
        if _explains(logged, own.astype(np.float32).astype(np.float64)):
            return "it is rounded to single precision"
    return ""


def _scaled(logged: Floats, own: Floats) -> str:
    there = np.isfinite(logged) & np.isfinite(own) & (own != 0) & (logged != 0)
    if int(there.sum()) < NEEDED or np.ptp(own[there]) == 0:
        return ""
    ratio = logged[there] / own[there]
    factor = float(np.median(ratio))
    if factor == 1.0 or not np.allclose(ratio, factor, rtol=1e-9, atol=0.0):
        return ""
    return f"it is {factor:.6g} times the value: another unit"


def _parameter(
    name: str,
    logged: Floats,
    at: Ints,
    candles: Candles,
    books: Mapping[str, Candles] | None,
) -> str:
    """Try other whole numbers in each place of the feature's text."""
    places = list(_WHOLE.finditer(name.split("@")[0]))
    stop = int(at[: ROWS + 1][-1]) + 1
    few = at[at < stop]
    for place in places:
        given = int(place[1])
        tried = [k for k in range(1, min(LARGEST, max(4 * given, 60)) + 1) if k != given]
        texts = {}
        for k in tried:
            text = f"{name[: place.start()]}{k}{name[place.end() :]}"
            try:
                texts[FeatureSet([text]).names[0]] = text
            except BarproofError:
                continue
        if not texts:
            continue
        try:
            held = FeatureSet(list(texts))
            if held.symbols and books is not None:
                cut = {n: c[: int(np.searchsorted(c.open_time, candles.open_time[stop - 1])) + 1]
                       for n, c in books.items()}  # fmt: skip
                frame: Any = held.compute(cut, symbol=candles.symbol, threads=1)
            else:
                frame = held.compute(candles[:stop], threads=1)
        except BarproofError:
            continue
        for text in held.names:
            if _explains(logged[: len(few)], frame[text].to_numpy()[few]):
                return f"it holds the values of `{text}`: another parameter"
    return ""


def _open_frame(logged: Floats, own: Floats, at: Ints, candles: Candles, length: int) -> str:
    """Tell a higher timeframe that agrees where its bars close, and nowhere else."""
    if length == 1:
        return ""
    frame = length * candles.interval_ms
    closes = (candles.open_time[at] + candles.interval_ms) % frame == 0
    alike = same(logged, own[at])
    if closes.sum() < 2 or not alike[closes].all() or alike[~closes].mean() > 0.5:
        return ""
    return f"it agrees only where a bar of {format_interval(frame)} closes: it knows the open one"


def _frozen(logged: Floats, own: Floats) -> str:
    held = logged[np.isfinite(logged)]
    if len(held) >= NEEDED and np.ptp(held) == 0 and np.ptp(own[np.isfinite(own)]) > 0:
        return f"it is {held[0]:.6g} at every bar: it does not move"
    if len(logged) >= NEEDED and np.isnan(logged).all():
        return "it is undefined at every bar"
    return ""


def _fading(logged: Floats, own: Floats) -> str:
    """Differences that die out are those of a start with too little history."""
    away = np.abs(logged - own)
    good = np.flatnonzero(np.isfinite(away))
    if len(good) < 4 * NEEDED:
        return ""
    quarter = len(good) // 4
    first, last = away[good[:quarter]].max(), away[good[-quarter:]].max()
    if first > 0 and last < 1e-3 * first:
        return "the difference dies out: it was started with too little history"
    return ""


def bar_cause(live: Mapping[str, float], bar: Mapping[str, float], later: bool) -> str:
    """Say what a logged bar is instead of its bar.

    Parameters
    ----------
    live, bar : dict of str to float
        Open, high, low, close and volume of the log and of the candles.
    later : bool
        Whether the log's bar is one of the candles at another time.

    Returns
    -------
    str
        Empty where nothing fits.
    """
    if later:
        return "it is the bar of another time: times of opens and closes may be mixed up"
    inside = live["high"] <= bar["high"] and live["low"] >= bar["low"]
    if live["open"] == bar["open"] and inside and live["volume"] < bar["volume"]:
        return "its range and volume are part of the bar's: it had not closed"
    prices = all(live[name] == bar[name] for name in ("open", "high", "low", "close"))
    return "prices agree, volume does not: another feed" if prices else ""
