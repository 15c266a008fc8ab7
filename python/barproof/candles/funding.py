"""Funding of perpetuals: read, checked, rounded to the second, and how much of the candles it covers."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import polars as pl

from barproof.candles.columns import (
    SYMBOL_NAMES,
    floats,
    one_symbol,
    plain,
    rows_text,
    times,
    words,
)
from barproof.candles.faults import Fault
from barproof.candles.interval import HOUR
from barproof.candles.sources import load
from barproof.candles.table import Floats, Ints, show_time
from barproof.errors import FundingError

__all__ = ["funding_faults", "read_funding", "rounded"]

TIME_NAMES = words(
    "fundingtime fundingtimestamp fundingratetimestamp calctime settletime timestamp time datetime date ts t"
)
RATE_NAMES = words("fundingrate lastfundingrate realizedrate rate funding r")

USUAL_STEP = 8 * HOUR


def rounded(time: Ints) -> Ints:
    """Round to the nearest second, halves up: exchanges stamp settlements some milliseconds late.

    Examples
    --------
    >>> rounded(np.array([28_800_016, 57_599_999])).tolist()
    [28800000, 57600000]
    """
    return (time + 500) // 1000 * 1000


def read_funding(source: Any, symbol: str) -> tuple[Ints, Floats]:
    """Read settlements.

    Parameters
    ----------
    source : path, frame, table or mapping
        A column of times and one of rates (fraction per settlement; positive: longs pay shorts) under the names that
        exchanges use. Times as in `read_candles`.
    symbol : str
        Symbol of the candles; chooses rows where the source has a symbol column.

    Returns
    -------
    time : ndarray of shape (n,), int64
        Milliseconds UTC on whole seconds, strictly increasing.
    rate : ndarray of shape (n,), float64
        Finite.

    Raises
    ------
    FundingError
        If a column is missing, times are out of order or given twice, or a rate is not finite.
    """
    frame, _ = load(source, name="funding")
    column = next((c for c in frame.columns if plain(c) in SYMBOL_NAMES), None)
    if column is not None and symbol != "UNKNOWN" and not frame.schema[column].is_numeric():
        names = frame[column].cast(pl.String).drop_nulls().unique().sort().to_list()
        if len(names) > 1:
            frame, _ = one_symbol(frame, symbol)
        elif names and not plain(names[0]).startswith(plain(symbol)):
            raise FundingError(
                f"`funding` is that of {names[0]!r}, the candles are of {symbol!r}: give the "
                f"funding of the same symbol"
            )
    by_name = {plain(c): c for c in reversed(frame.columns)}
    time_name = next((by_name[n] for n in TIME_NAMES if n in by_name), None)
    rate_name = next((by_name[n] for n in RATE_NAMES if n in by_name), None)
    if time_name is None or rate_name is None:
        lacking = "funding_time" if time_name is None else "funding_rate"
        free = [c for c in frame.columns if c not in (time_name, rate_name)]
        near = get_close_matches(lacking, free, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise FundingError(
            f"`funding` lacks a column {lacking}; it has "
            f"{', '.join(frame.columns[:20]) or 'no columns'}{hint}"
        )
    time = rounded(times(frame[time_name], "funding_time"))
    rate = floats(frame[rate_name], "funding_rate")
    bad = np.flatnonzero(~np.isfinite(rate))
    if len(bad):
        raise FundingError(
            f"`funding_rate` is not finite in {rows_text(bad)} (first "
            f"{show_time(time[bad[0]])}): drop the rows or find the rates"
        )
    bad = np.flatnonzero(time[1:] <= time[:-1]) + 1
    if len(bad):
        i = int(bad[0])
        how = "given twice" if time[i] == time[i - 1] else "out of order"
        raise FundingError(
            f"`funding_time` is {how} in {rows_text(bad)} (row {i}: {show_time(time[i])} after "
            f"{show_time(time[i - 1])}, to the second): sort the funding and keep one row a time"
        )
    return time, rate


def funding_faults(time: Ints, open_time: Ints, interval_ms: int) -> list[Fault]:
    """Compare settlements with the candles that should pay them.

    Raises
    ------
    FundingError
        If none of the candles are covered.
    """
    if not len(time) or not len(open_time):
        covered = np.zeros(len(open_time), bool)
        step = USUAL_STEP
    else:
        steps = np.diff(time)
        step = int(np.median(steps)) if len(steps) else USUAL_STEP
        covered = (open_time >= time[0] - step) & (open_time < time[-1] + step)
    share = float(covered.mean()) if len(open_time) else 1.0
    if share == 0.0:
        span = f"{show_time(time[0])} to {show_time(time[-1])}" if len(time) else "no rows"
        raise FundingError(
            f"`funding` ({span}) covers none of the candles ({show_time(open_time[0])} to "
            f'{show_time(open_time[-1])}): give the funding of the same period, or funding="none" '
            f"to run without"
        )
    faults = []
    if share < 1.0:
        faults.append(
            Fault(
                "funding_share",
                "warning",
                int((~covered).sum()),
                tuple(int(i) for i in np.flatnonzero(~covered)[:20]),
                f"funding covers {share:.1%} of the bars ({show_time(time[0])} to "
                f"{show_time(time[-1])}); the others pay none",
                "get the rest of the funding or cut the candles to its period",
            )
        )
    inside = (time > open_time[0] - step) & (time <= open_time[-1] + interval_ms + step)
    times_inside = time[inside]
    steps = np.diff(times_inside)
    if len(steps) > 2:
        beside = np.maximum(np.r_[0, steps[:-1]], np.r_[steps[1:], 0])
        at = np.flatnonzero((steps > 1.5 * beside) | (steps > 36 * HOUR))
        if len(at):
            first = int(at[0])
            rows = np.flatnonzero(inside)[at + 1]
            faults.append(
                Fault(
                    "funding_hole",
                    "warning",
                    len(at),
                    tuple(int(i) for i in rows[:20]),
                    f"settlements seem to be absent before {rows_text(rows)} of the funding (first "
                    f"{show_time(times_inside[first])} -> {show_time(times_inside[first + 1])})",
                    "compare with the exchange; what is absent is not charged",
                )
            )
    return faults
