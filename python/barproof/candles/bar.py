"""One closed bar, as iteration over candles and streams give it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

__all__ = ["Bar", "ClockBar", "bar_class", "rebuild_bar"]


class Bar(NamedTuple):
    """One closed bar.

    Attributes
    ----------
    open_time : int
        Milliseconds UTC at which the bar opens; it is complete one interval later.
    open, high, low, close : float
        Prices in quote units.
    volume : float
        Base units; 0 where the source has none.
    """

    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class ClockBar(Bar):
    """A bar of candles, which knows how long it is and what further columns say; equal to a plain one.

    Attributes
    ----------
    interval_ms : int
        Bar length.
    extra : mapping of str to float
        Further columns.
    funding : tuple of (int, float) or None
        Times (milliseconds UTC) and rates of the settlements within the bar, and of as many before as make two; None
        where the candles carry no funding.
    """

    interval_ms: ClassVar[int] = 0
    extra: Mapping[str, float] = MappingProxyType({})
    funding: tuple[tuple[int, float], ...] | None = None

    def _replace(self, **changes: Any) -> Self:
        new = super()._replace(**changes)
        if self.extra:
            new.extra = self.extra
        if self.funding is not None:
            new.funding = self.funding
        return new

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_bar, (self.interval_ms, tuple(self), dict(self.extra), self.funding)


@cache
def bar_class(interval_ms: int) -> type[ClockBar]:
    """Class of the bars of one interval: the length costs a bar nothing."""
    return type("Bar", (ClockBar,), {"interval_ms": interval_ms, "__doc__": Bar.__doc__})


def rebuild_bar(
    interval_ms: int,
    values: tuple[Any, ...],
    extra: dict[str, float],
    funding: tuple[tuple[int, float], ...] | None = None,
) -> ClockBar:
    """Make a bar of one interval; further columns and settlements only where there are any."""
    bar = bar_class(interval_ms)._make(values)
    if extra:
        bar.extra = extra
    if funding is not None:
        bar.funding = funding
    return bar
