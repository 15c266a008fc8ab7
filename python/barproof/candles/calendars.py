"""Where bars should be: holes on a clock that never stops, in sessions, and on an exchange's own calendar.

The ``"sessions"`` calendar knows no holidays; it learns from the data. A slot (one bar length of the clock) is expected
if more than half of the same slots in the four weeks before and the four weeks after hold a bar: a strict majority, so
that a change to daylight saving, which shifts sessions against UTC, makes no holes. What is missed among expected slots
is no hole where it looks like a holiday (at least one and less than two usual days) or an early close (less than a
day, up to the usual close).
"""

from __future__ import annotations

import warnings
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.candles.interval import DAY, HOUR, WEEK, format_interval
from barproof.candles.table import Ints, show_time
from barproof.errors import LayoutError, ParameterError

__all__ = ["Holes", "check_calendar", "find_holes", "grid_offset", "slots_of"]

MAX_SLOTS = 100_000_000
"""Slots that the sessions calendar looks at, at about five bytes each."""


class Holes(NamedTuple):
    """Stretches in which bars are absent.

    Attributes
    ----------
    before, after : ndarray of shape (n_holes,), int64
        Opening times of the last bar before and the first bar after each hole, ms UTC.
    missing : ndarray of shape (n_holes,), int64
        Bars absent in each.
    expected : int
        Bars that the whole span should hold.
    slots : ndarray or None
        Times of the absent bars on calendars with closures; None where every slot of a hole is absent.
    outside : int
        Bars at times when an exact calendar says the exchange is closed.
    """

    before: Ints
    after: Ints
    missing: Ints
    expected: int
    slots: Ints | None = None
    outside: int = 0

    def absent(self, keep: npt.NDArray[np.bool_], interval_ms: int) -> Ints:
        """List the absent bars of the holes in the mask `keep`."""
        if self.slots is None:
            steps = [
                np.arange(a + interval_ms, b, interval_ms, dtype=np.int64)
                for a, b in zip(self.before[keep], self.after[keep], strict=True)
            ]
            return np.concatenate(steps) if steps else np.empty(0, np.int64)
        owner = np.searchsorted(self.before, self.slots, side="left") - 1
        return self.slots[keep[owner]]


def check_calendar(calendar: str) -> str:
    """Refuse what is no calendar, before anything is read."""
    if not isinstance(calendar, str):
        raise LayoutError(
            f'`calendar` must be "24/7", "sessions" or the name of an exchange calendar, '
            f"was {type(calendar).__name__}"
        )
    if calendar not in ("24/7", "sessions"):
        _exchange_names(calendar)
    return calendar


def grid_offset(time: Ints, interval_ms: int, calendar: str) -> tuple[int, int]:
    """Find the grid that most bars lie on.

    Returns
    -------
    unit, offset : int
        A time t is on the grid if ``t % unit == offset``. Session bars longer than an hour may move by whole hours
        with daylight saving, so there the unit is an hour.
    """
    unit = interval_ms
    if calendar != "24/7" and interval_ms > HOUR and interval_ms % HOUR == 0:
        unit = HOUR
    rest, counts = np.unique(time % unit, return_counts=True)
    best = int(np.argmax(counts))
    if 2 * counts[best] <= len(time):
        return unit, 0
    return unit, int(rest[best])


def slots_of(time: Ints, interval_ms: int, offset: int, *, nearest: bool = False) -> Ints:
    """Give the number of the clock slot that each time falls into."""
    shift = interval_ms // 2 if nearest else 0
    return (time - offset + shift) // interval_ms


def find_holes(time: Ints, interval_ms: int, calendar: str) -> Holes:
    """List the stretches in which bars are absent.

    Parameters
    ----------
    time : ndarray of shape (n,), int64
        Opening times in order, ms UTC; times off the grid count for the slot they fall into.
    interval_ms : int
        Bar length.
    calendar : str
        ``"24/7"``, ``"sessions"`` or a name that `exchange_calendars` knows.

    Raises
    ------
    ParameterError
        If sessions span more slots than can be looked at.
    """
    none = np.empty(0, np.int64)
    if len(time) < 2:
        return Holes(none, none, none, len(time))
    if calendar == "24/7" or interval_ms > WEEK:
        _, offset = grid_offset(time, interval_ms, "24/7")
        slot = slots_of(time, interval_ms, offset)
        slot = slot[np.r_[True, slot[1:] > slot[:-1]]]
        step = np.diff(slot)
        at = np.flatnonzero(step > 1)
        return Holes(
            slot[at] * interval_ms + offset,
            slot[at + 1] * interval_ms + offset,
            step[at] - 1,
            int(slot[-1] - slot[0]) + 1,
        )
    if calendar == "sessions":
        return _session_holes(time, interval_ms)
    return _exchange_holes(time, interval_ms, calendar)


def _session_holes(time: Ints, interval_ms: int) -> Holes:
    """Find slots that most of the weeks around fill; holidays and early closes are no holes."""
    start = int(time[0])
    slot = slots_of(time, interval_ms, start, nearest=interval_ms > HOUR)
    slot = slot[np.r_[True, slot[1:] > slot[:-1]]]
    n = int(slot[-1]) + 1
    if n > MAX_SLOTS:
        raise ParameterError(
            f"candles of {format_interval(interval_ms)} from {show_time(start)} to "
            f"{show_time(int(time[-1]))} span {n} slots, more than {MAX_SLOTS}: "
            f"check the times, or read a shorter period"
        )
    present = np.zeros(n, bool)
    present[slot] = True
    votes = np.zeros(n, np.int8)
    asked = np.zeros(n, np.int8)
    week = max(1, round(WEEK / interval_ms))
    for k in range(1, 5):
        shift = k * week
        if shift < n:
            votes[shift:] += present[:-shift]
            asked[shift:] += 1
            votes[:-shift] += present[shift:]
            asked[:-shift] += 1
    usual = (2 * votes > asked) & (asked >= 3)
    absent = np.flatnonzero(usual & ~present)
    gap = np.searchsorted(slot, absent) - 1
    where, missing = np.unique(gap, return_counts=True)
    _, a_day = np.unique(slot * interval_ms // DAY, return_counts=True)
    day = float(np.median(a_day))
    early = (missing < day) & ~usual[slot[where + 1] - 1]
    holiday = (missing >= day) & (missing < 2 * day)
    hole = ~(early | holiday)
    listed = hole[np.searchsorted(where, gap)]
    return Holes(
        slot[where[hole]] * interval_ms + start,
        slot[where[hole] + 1] * interval_ms + start,
        missing[hole].astype(np.int64),
        len(slot) + int(listed.sum()),
        absent[listed].astype(np.int64) * interval_ms + start,
    )


def _exchange_holes(time: Ints, interval_ms: int, calendar: str) -> Holes:
    """Find bars that the sessions of an exchange ask for and that are absent."""
    module = _exchange_names(calendar)
    first, last = (np.datetime64(int(t) // DAY, "D") for t in (time[0], time[-1]))
    with warnings.catch_warnings():
        # Deprecations inside the package are no matter of the caller's.
        warnings.simplefilter("ignore")
        exchange = module.get_calendar(calendar, start=str(first - 3), end=str(last + 3))
        schedule = exchange.schedule
    opens = (
        schedule["open"].dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    )
    closes = (
        schedule["close"].dt.tz_convert(None).to_numpy().astype("datetime64[ms]").astype(np.int64)
    )
    if interval_ms >= DAY:
        # Daily bars are labelled with the session's date, at midnight UTC or at midnight of the exchange.
        days = schedule.index.to_numpy().astype("datetime64[D]").astype(np.int64)
        bars = time // DAY
        if bool((time % DAY != 0).any()):
            local = (
                pl.Series(time)
                .cast(pl.Datetime("ms", "UTC"))
                .dt.convert_time_zone(str(exchange.tz))
            )
            bars = local.dt.date().cast(pl.Int64).to_numpy()
        bars = np.unique(bars)
        due, unit, start = days, DAY, 0
    else:
        _, start = grid_offset(time, interval_ms, calendar)
        begin = slots_of(opens, interval_ms, start)
        end = slots_of(closes - 1, interval_ms, start) + 1
        length = end - begin
        due = np.repeat(begin, length) + _ramp(length)
        bars, unit = np.unique(slots_of(time, interval_ms, start)), interval_ms
    due = np.unique(due[(due >= bars[0]) & (due <= bars[-1])])
    absent = np.setdiff1d(due, bars, assume_unique=True)
    outside = len(np.setdiff1d(bars, due, assume_unique=True))
    where, missing = np.unique(np.searchsorted(bars, absent) - 1, return_counts=True)
    return Holes(
        bars[where] * unit + start,
        bars[where + 1] * unit + start,
        missing.astype(np.int64),
        len(due),
        absent * unit + start,
        outside,
    )


def _ramp(length: Ints) -> Ints:
    """Count 0..n-1 for each n in turn."""
    ends = np.cumsum(length)
    return np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - length, length)


def _exchange_names(calendar: str) -> Any:
    """Load the package of exchange calendars, and refuse a name that it does not know."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import exchange_calendars
    except ImportError:
        raise ParameterError(
            f'`calendar` {calendar!r} is neither "24/7" nor "sessions", and exchange calendars '
            f"are not installed: pip install 'barproof[calendars]'"
        ) from None
    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if calendar not in names:
        near = get_close_matches(calendar, names, n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise ParameterError(
            f'`calendar` must be "24/7", "sessions" or an exchange calendar such as "XNYS", '
            f"was {calendar!r}{hint}"
        )
    return exchange_calendars
