"""Longer bars from shorter ones, and several symbols on one clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import reduce
from typing import Literal

import numpy as np

from barproof.candles.interval import DAY, WEEK, format_interval, parse_interval
from barproof.candles.model import Candles
from barproof.candles.repair import fill_bars
from barproof.candles.table import PRICES, Floats, Ints, Table, show_time
from barproof.errors import CandleError, LayoutError, ParameterError

__all__ = ["align", "resample"]

# 1970-01-01 was a Thursday; weeks begin on Mondays.
_MONDAY = 4 * DAY


def resample(candles: Candles, interval: str) -> Candles:
    """Make longer bars of closed ones.

    Bars are anchored on the UTC clock, ``floor(open_time / interval)``, weeks on Mondays. A long bar is given once the
    candles reach its end, so that appending bars never changes one; on a calendar without closures a first bar whose
    beginning is absent is left out as well. Holes inside a bar do not matter, a bar without any source is a hole.

    Parameters
    ----------
    candles : Candles
        Source.
    interval : str
        Length, a multiple of the source's.

    Returns
    -------
    Candles
        Volumes and counts are sums, asks are opened, widened and closed as bids are, other columns are those of the
        last bar. Funding is kept; `planted` is not.

    Raises
    ------
    ParameterError
        If `interval` is not a multiple of the source's.
    CandleError
        If not one long bar is complete.

    Examples
    --------
    >>> import polars as pl
    >>> frame = pl.DataFrame({"time": [1704067200000 + 60000 * i for i in range(7)], "open": 1.0, "high": 2.0,
    ...                       "low": 0.5, "close": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6], "volume": 10.0})
    >>> from barproof.candles import read_candles
    >>> resample(read_candles(frame, instrument="spot"), "3m").to_polars()["close", "volume"].rows()
    [(1.2, 30.0), (1.5, 30.0)]
    """
    length = parse_interval(interval)
    if length % candles.interval_ms:
        raise ParameterError(
            f"`interval` must be a multiple of the candles' {candles.interval}, was {interval}"
        )
    if length == candles.interval_ms:
        return candles
    anchor = _MONDAY if length % WEEK == 0 else 0
    slot = (candles.open_time - anchor) // length
    first = np.flatnonzero(np.r_[True, slot[1:] != slot[:-1]])[: len(slot)]
    open_time = slot[first] * length + anchor
    stop = np.r_[first[1:], len(slot)]
    whole = np.ones(len(first), bool)
    if len(first):
        # A session's last bar of the day is closed by the clock: the day after shows that its end was passed.
        whole[-1] = open_time[-1] + length <= candles.open_time[-1] + candles.interval_ms
        if candles.calendar == "24/7":
            whole[0] &= candles.open_time[0] < open_time[0] + candles.interval_ms
    first, stop, open_time = first[whole], stop[whole], open_time[whole]
    if not len(first):
        raise CandleError(
            f"candles of {candles.symbol} ({len(candles)} bars of {candles.interval}) hold not one "
            f"complete bar of {interval}: use more bars or a shorter interval"
        )
    end = int(stop[-1])
    return candles._replace(
        open_time=open_time,
        open=candles.open[first],
        high=np.maximum.reduceat(candles.high[:end], first),
        low=np.minimum.reduceat(candles.low[:end], first),
        close=candles.close[stop - 1],
        volume=np.add.reduceat(candles.volume[:end], first),
        interval_ms=length,
        extra={name: _merge(name, v, first, stop) for name, v in candles.extra.items()},
        planted=None,
    )


def _merge(name: str, values: Floats, first: Ints, stop: Ints) -> Floats:
    if name.endswith("volume") or name == "trades":
        out: Floats = np.add.reduceat(values[: stop[-1]], first)
    elif name == "ask_open":
        out = values[first]
    elif name == "ask_high":
        out = np.fmax.reduceat(values[: stop[-1]], first)
    elif name == "ask_low":
        out = np.fmin.reduceat(values[: stop[-1]], first)
    else:
        out = values[stop - 1]
    return out


def align(
    candles: Mapping[str, Candles] | Sequence[Candles], how: Literal["inner", "fill"] = "inner"
) -> dict[str, Candles]:
    """Put several symbols on one clock: afterwards bar i is the same time in all of them.

    Parameters
    ----------
    candles : mapping of str to Candles, or sequence of Candles
        Symbols of one interval; in a sequence they go by their `symbol`.
    how : {"inner", "fill"}
        ``"inner"`` keeps the times that all have. ``"fill"`` keeps every time between the latest start and the earliest
        end that any has; where a symbol lacks it, it gets a flat bar at its last close with volume 0, recorded in
        `repairs`.

    Returns
    -------
    dict of str to Candles
        In the order given.

    Raises
    ------
    ParameterError
        If there are no candles, two of one symbol, an unknown `how`, or different intervals.
    LayoutError
        If something else than candles is given.
    CandleError
        If no time is common.
    """
    if how not in ("inner", "fill"):
        near = get_close_matches(str(how), ("inner", "fill"), n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ParameterError(f'`how` must be "inner" or "fill", was {how!r}{hint}')
    if not isinstance(candles, Iterable):
        raise LayoutError(
            f"`candles` must be a dict or a list of Candles, was {type(candles).__name__}"
        )
    items = list(candles.items()) if isinstance(candles, Mapping) else []
    if not items and not isinstance(candles, (Mapping, Candles)):
        items = [(getattr(one, "symbol", ""), one) for one in candles]
    if not items:
        raise ParameterError("`candles` holds none: give a dict or a list of Candles")
    for name, one in items:
        if not isinstance(one, Candles):
            raise LayoutError(f"`candles` must hold Candles, {name!r} is {type(one).__name__}")
    names = [name for name, _ in items]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ParameterError(
            f"`candles` holds {twice!r} more than once: give a dict with a name for each"
        )
    lengths = {one.interval_ms for _, one in items}
    if len(lengths) > 1:
        texts = ", ".join(f"{name} {one.interval}" for name, one in items)
        raise ParameterError(
            f"`candles` must share one interval, were {texts}: resample to "
            f"{format_interval(max(lengths))} first"
        )
    clocks = [one.open_time for _, one in items]
    if how == "inner":
        clock = reduce(lambda a, b: np.intersect1d(a, b, assume_unique=True), clocks)
    else:
        clock = reduce(np.union1d, clocks)
        starts, ends = (
            max((c[0] for c in clocks if len(c)), default=0),
            min((c[-1] for c in clocks if len(c)), default=-1),
        )
        clock = clock[(clock >= starts) & (clock <= ends)]
    if not len(clock):
        spans = "; ".join(
            f"{name} {show_time(c[0])} to {show_time(c[-1])}" if len(c) else f"{name} no bars"
            for name, c in zip(names, clocks, strict=True)
        )
        raise CandleError(
            f"`candles` have no time in common ({spans}): give candles of the same period"
        )
    return {name: _on_clock(one, clock) for name, one in items}


def _on_clock(candles: Candles, clock: Ints) -> Candles:
    """Candles at exactly these times: flat bars where there are none, others left out."""
    absent = np.setdiff1d(clock, candles.open_time, assume_unique=True)
    if len(absent):
        columns = {name: getattr(candles, name) for name in (*PRICES, "volume")}
        table = fill_bars(Table(candles.open_time, extra=candles.extra, **columns), absent)
        planted = candles.planted
        if planted is not None:
            old = table.row >= 0
            planted = np.full(len(table), np.nan)
            planted[old] = candles.planted
        candles = candles._replace(
            open_time=table.time,
            **{name: getattr(table, name) for name in (*PRICES, "volume")},
            extra=table.extra,
            planted=planted,
            repairs=(*candles.repairs, f"align_fill: {len(absent)} rows"),
        )
    if len(clock) == len(candles):
        return candles
    return candles._take(np.searchsorted(candles.open_time, clock))
