"""What comes in: bars are read, held against the clock and the calendar, and refused with one line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from barproof.candles.interval import format_interval
from barproof.candles.table import show_time
from barproof.errors import BarproofError, CandleError, LayoutError
from barproof.features._bar_reading import bar_numbers, further
from barproof.features.settlements import FUNDING_COLUMNS, told

__all__ = ["Arrival", "Row", "check_closed", "check_place", "read_bar"]

_NOT_EXTRA = frozenset((*FUNDING_COLUMNS, "funding", "close_time", "server_time", "interval_ms"))
Row = tuple[int, float, float, float, float, float]


class Arrival(NamedTuple):
    """A bar as it was read.

    Attributes
    ----------
    values : tuple
        Opening time (milliseconds UTC), prices, volume.
    extra : dict of str to float
        Further columns.
    funding : list of (int, float)
        Settlements that it tells of.
    """

    values: Row
    extra: dict[str, float]
    funding: list[tuple[int, float]]


def read_bar(bar: Any, symbol: str, interval_ms: int) -> Arrival:
    """Read a bar and check what can be checked of it alone.

    Parameters
    ----------
    bar : BarLike
        As :meth:`barproof.FeatureStream.update` takes it; a mapping may say `interval` or `close_time`.
    symbol : str
        Whose.
    interval_ms : int
        Of the session.

    Returns
    -------
    Arrival
        Sound.
    """
    length = getattr(bar, "interval_ms", 0)
    if length == interval_ms and isinstance(bar, tuple):
        # A bar of candles: numbers, and what it knows of funding.
        values: Any = tuple(bar)
        extra = dict(bar.extra) if bar.extra else {}  # type: ignore[attr-defined]
        funding = list(bar.funding) if bar.funding else []  # type: ignore[attr-defined]
    else:
        try:
            values, _ = bar_numbers(bar, symbol, [], lambda _a, _b: {})
            funding = told(bar, symbol) or []
            extra = {k: v for k, v in further(bar).items() if k not in _NOT_EXTRA}
        except LayoutError:
            raise
        except BarproofError as error:
            raise CandleError(f"{error}") from error
        if isinstance(bar, Mapping):
            close_time = bar.get("close_time")
            if isinstance(close_time, int) and close_time > values[0]:
                # Some exchanges stamp the close one millisecond early.
                length = -((values[0] - close_time) // 1000) * 1000
        if length and length != interval_ms:
            raise CandleError(
                f"bar of {symbol} at {_when(values[0])} is {format_interval(length)} long, the session runs on "
                f"{format_interval(interval_ms)}: feed bars of the session's interval"
            )
    time, o, h, low, c, volume = values
    if not (0.0 < low <= o <= h < math.inf and low <= c <= h and 0.0 <= volume < math.inf):
        raise CandleError(
            f"bar of {symbol} at {_when(time)} must have finite prices > 0, a high and a low that hold the others and "
            f"a volume >= 0, was open {o!r}, high {h!r}, low {low!r}, close {c!r}, volume {volume!r}: ask the feed "
            "again"
        )
    return Arrival(values, extra, funding)


def check_closed(time: int, symbol: str, interval_ms: int, now: int) -> None:
    """Refuse a bar that has not closed by the clock."""
    ahead = time + interval_ms - now
    if ahead <= 0:
        return
    if ahead <= interval_ms:
        raise CandleError(
            f"bar of {symbol} at {_when(time)} is still forming: it closes in {ahead / 1000:g} s by the clock, "
            f"{_when(now)}; feed closed bars only"
        )
    raise CandleError(
        f"bar of {symbol} at {_when(time)} lies in the future: the clock says {_when(now)}; set the clock right, or "
        "the times of the feed"
    )


def check_place(time: int, symbol: str, interval_ms: int, anchor: int | None) -> None:
    """Refuse a bar off the grid of those before it."""
    if anchor is not None and time % interval_ms != anchor:
        raise CandleError(
            f"bar of {symbol} at {_when(time)} lies off the grid of {format_interval(interval_ms)} bars that the "
            "session has seen: feed bars of the session's interval, stamped with their opening times"
        )


def _when(time: int) -> str:
    try:
        return show_time(time)
    except (ValueError, OverflowError):
        return f"{time} ms"
