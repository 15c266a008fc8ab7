"""Candle columns on their way in: plain arrays that checks read and repairs replace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PRICES", "Floats", "Ints", "Table", "show_time"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

PRICES = ("open", "high", "low", "close")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Table:
    """Candles of one symbol, not yet checked.

    Attributes
    ----------
    time : ndarray of shape (n,), int64
        Opening times, milliseconds UTC, in any order.
    open, high, low, close, volume : ndarray of shape (n,), float64
        As read; NaN where the source held none.
    extra : dict of str to ndarray of shape (n,)
        Further columns by canonical name.
    row : ndarray of shape (n,), int64
        Row of the source that each bar came from, counted from 0; -1 for bars that a repair made.
    no_volume : bool
        The source had no volume column; `volume` is 0.
    """

    time: Ints
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    extra: dict[str, Floats] = field(default_factory=dict)
    row: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    no_volume: bool = False

    def __post_init__(self) -> None:
        if len(self.row) != len(self.time):
            object.__setattr__(self, "row", np.arange(len(self.time), dtype=np.int64))

    def __len__(self) -> int:
        return len(self.time)

    def price(self, name: str) -> Floats:
        """Return a price column by name."""
        values: Floats = getattr(self, name)
        return values

    def each(self, change: Callable[[Any], Any]) -> Table:
        """Apply the same selection to every column."""
        return replace(
            self,
            time=change(self.time),
            row=change(self.row),
            extra={name: change(values) for name, values in self.extra.items()},
            **{name: change(getattr(self, name)) for name in (*PRICES, "volume")},
        )

    def take(self, index: Any) -> Table:
        """Keep the rows of a mask, a slice or an index array."""
        return self.each(lambda values: values[index])

    def sorted(self) -> Table:
        """Sort by time; rows of equal time keep their order."""
        if bool((self.time[1:] >= self.time[:-1]).all()):
            return self
        return self.take(np.argsort(self.time, kind="stable"))


def show_time(ms: int) -> str:
    """Write milliseconds UTC as text, with seconds only where there are any.

    Examples
    --------
    >>> show_time(0), show_time(20_799)
    ('1970-01-01 00:00', '1970-01-01 00:00:20.799')
    """
    try:
        at = _EPOCH + timedelta(milliseconds=int(ms))
    except OverflowError:
        return f"{int(ms)} ms"
    if at.microsecond:
        return at.strftime("%Y-%m-%d %H:%M:%S.") + f"{at.microsecond // 1000:03d}"
    return at.strftime("%Y-%m-%d %H:%M:%S" if at.second else "%Y-%m-%d %H:%M")
