"""Calendar months and days, UTC: the pieces in which candles are asked for and kept."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from barproof.candles.interval import DAY

__all__ = ["Period", "days_of", "joined", "months_of", "ms_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """A month or a day, or a part of one.

    Attributes
    ----------
    name : str
        Such as ``"2024-01"`` or ``"2024-01-31"``.
    first, end : int
        Milliseconds UTC; the end is left out.
    """

    name: str
    first: int
    end: int

    @property
    def is_day(self) -> bool:
        """Whether it is a day."""
        return len(self.name) > 7

    def cut(self, first: int, end: int) -> Period:
        """Keep what lies in a span; the name stays."""
        return Period(self.name, max(self.first, first), min(self.end, end))


def ms_of(moment: datetime) -> int:
    """Give milliseconds UTC of a moment."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def months_of(first: int, end: int) -> Iterator[Period]:
    """Give the whole months that a span touches.

    Examples
    --------
    >>> [month.name for month in months_of(1_706_659_200_000, 1_706_745_600_001)]
    ['2024-01', '2024-02']
    """
    at = _moment(first).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    while ms_of(at) < end:
        after = (at + timedelta(days=32)).replace(day=1)
        yield Period(f"{at:%Y-%m}", ms_of(at), ms_of(after))
        at = after


def days_of(period: Period) -> list[Period]:
    """Give the days of a month, whole.

    Examples
    --------
    >>> days = days_of(next(months_of(1_706_659_200_000, 1_706_659_200_001)))
    >>> len(days), days[-1].name
    (31, '2024-01-31')
    """
    starts = range(period.first // DAY * DAY, period.end, DAY)
    return [Period(f"{_moment(ms):%Y-%m-%d}", ms, ms + DAY) for ms in starts]


def joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join spans that touch.

    Examples
    --------
    >>> joined([(0, 5), (5, 7), (9, 10)])
    [(0, 7), (9, 10)]
    """
    out: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(end, out[-1][1]))
        else:
            out.append((first, end))
    return out
