"""Windows: the bar ranges that backtests and sweeps run on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from barproof.errors import LayoutError, ParameterError, WindowError

if TYPE_CHECKING:
    from barproof.candles import Candles

Bound: TypeAlias = int | str | date | datetime | None
Window: TypeAlias = tuple[int, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DURATION = re.compile(r"(\d{1,6})(mo|m|h|d|w|q|y)")
_FIXED = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_MONTHS = {"mo": 1, "q": 3, "y": 12}


def milliseconds_of(bound: object) -> int | None:
    """Milliseconds UTC of a time, rounded up; None of what is no time.

    Dates are their midnight, and what names no zone is UTC. Text that cannot be read is a ValueError: callers know
    what it was meant for.
    """
    if isinstance(bound, str):
        bound = datetime.fromisoformat(bound)
    if isinstance(bound, date) and not isinstance(bound, datetime):
        bound = datetime(bound.year, bound.month, bound.day, tzinfo=UTC)
    if not isinstance(bound, datetime):
        return None
    if bound.tzinfo is None:
        bound = bound.replace(tzinfo=UTC)
    return -((_EPOCH - bound) // timedelta(milliseconds=1))


def bar_at(candles: Candles, bound: Bound, name: str, default: int) -> int:
    """Position of a bound: a bar number, or the first bar that opens at or after a time."""
    if bound is None:
        return default
    if isinstance(bound, (int, np.integer)) and not isinstance(bound, bool):
        if bound < 0:
            raise WindowError(
                f"{name} is {int(bound)}, but bars count from 0: give a bar number >= 0 or a time"
            )
        # Beyond the end it is beyond the end, however far.
        return min(int(bound), len(candles) + 1)
    try:
        ms = milliseconds_of(bound)
    except ValueError:
        raise WindowError(
            f"{name} is {bound!r}, which is no time: write it like 2024-01-31 or 2024-01-31 13:00"
        ) from None
    if ms is None:
        raise LayoutError(f"{name} must be a bar number or a time, was {type(bound).__name__}")
    return int(np.searchsorted(candles.open_time, ms, side="left"))


def as_window(candles: Candles, window: tuple[Bound, Bound] | None) -> Window:
    """Bar range of one window; None is all bars."""
    if window is None:
        window = (None, None)
    if not isinstance(window, (tuple, list)) or len(window) != 2:
        raise LayoutError(
            f"a window must be a pair (start, end) of bar numbers or times, was {window!r}"
        )
    start = bar_at(candles, window[0], "start of the window", 0)
    stop = bar_at(candles, window[1], "end of the window", len(candles))
    if not 0 <= start < stop <= len(candles):
        span = (
            f"{candles.start:%Y-%m-%d %H:%M} to {candles.end:%Y-%m-%d %H:%M}"
            if len(candles)
            else "nothing"
        )
        raise WindowError(
            f"window {window[0]!r} to {window[1]!r} holds no bars or leaves the candles (bars {start}..{stop}): they "
            f"have {len(candles)} bars, {span}"
        )
    return start, stop


def as_windows(candles: Candles, windows: Any) -> list[Window]:
    """Bar ranges of many windows: pairs, a duration such as ``"1mo"``, or a splitter's test parts."""
    if windows is None:
        return [as_window(candles, None)]
    if isinstance(windows, str):
        return _by_duration(candles, windows)
    if hasattr(windows, "split"):
        return [judged_part(i, part) for i, part in enumerate(windows.split(candles))]
    if not isinstance(windows, Sequence):
        raise LayoutError(
            f"`windows` must be a list of (start, end), a duration or a splitter, was {type(windows).__name__}"
        )
    if not windows:
        raise WindowError(
            "`windows` is empty: give at least one (start, end), or None for all bars"
        )
    return [as_window(candles, window) for window in windows]


def _by_duration(candles: Candles, text: str) -> list[Window]:
    """Consecutive windows from the first bar's month, day or hour on; periods without bars are skipped."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or int(match[1]) == 0:
        raise ParameterError(
            f"`windows` is {text!r}, which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y"
        )
    count, unit = int(match[1]), match[2]
    times = candles.open_time
    if unit in _FIXED:
        length = count * _FIXED[unit]
        anchor_unit = min(_FIXED[unit], _FIXED["d"])
        anchor = int(times[0]) // anchor_unit * anchor_unit
        period = (times - anchor) // length
    else:
        months = times.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
        step = count * _MONTHS[unit]
        first = int(months[0]) // _MONTHS[unit] * _MONTHS[unit]
        period = (months - first) // step
    edges = np.flatnonzero(np.diff(period)) + 1
    bounds = [0, *edges.tolist(), len(times)]
    return list(pairwise(bounds))


def judged_part(fold: int, part: Any) -> Window:
    """Bar range of the test rows of a (train, test) pair."""
    try:
        _, test = part
        rows = np.asarray(test, dtype=np.int64)
    except (TypeError, ValueError):
        raise LayoutError(
            f"fold {fold} of the splitter must be a pair of row numbers (train, test)"
        ) from None
    if rows.ndim != 1 or not len(rows) or rows[0] < 0 or np.any(np.diff(rows) != 1):
        raise WindowError(
            f"test part of fold {fold} is no unbroken run of bars: a window needs consecutive bars"
        )
    return int(rows[0]), int(rows[-1]) + 1


def union(windows: Sequence[Window]) -> list[Window]:
    """Bar ranges in order that hold the bars of all windows once."""
    out: list[Window] = []
    for start, stop in sorted(windows):
        if out and start <= out[-1][1]:
            out[-1] = out[-1][0], max(out[-1][1], stop)
        else:
            out.append((start, stop))
    return out


def overlap(windows: list[Window]) -> bool:
    """Whether windows, in their order, overlap or run backwards."""
    return any(a[1] > b[0] for a, b in pairwise(windows))
