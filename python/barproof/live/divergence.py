"""`Divergence`: a column that differs between live and backtest, and how one is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.live.replayed import Replayed

__all__ = ["EXACT", "LAYERS", "Divergence", "column_divergence", "moment"]

Flags = NDArray[np.bool_]

LAYERS = ("bars", "features", "probabilities", "decisions", "trades")
"""In the order in which one follows from the other."""
EXACT = 1e-9
"""Two engines in double precision, relative (PAR-02)."""


@dataclass(frozen=True)
class Divergence:
    """A column that differs between live and backtest.

    Attributes
    ----------
    layer : {"bars", "features", "probabilities", "decisions", "trades"}
        What differs.
    symbol, column : str
        Where.
    open_time : datetime
        Of the first bar that differs, UTC.
    live, replayed : float or str
        Both values there.
    differing, compared : int
        Rows that differ, of how many.
    cause : str
        What the log holds instead, where that is certain; empty else.
    """

    layer: str
    symbol: str
    column: str
    open_time: datetime
    live: float | str
    replayed: float | str
    differing: int
    compared: int
    cause: str = ""

    def __str__(self) -> str:
        where = f"{self.symbol} " if self.symbol else ""
        told = f"; {self.cause}" if self.cause else ""
        return (
            f"{self.layer}: `{self.column}` of the bar {where}{self.open_time:%Y-%m-%d %H:%M} is "
            f"{_shown(self.live)} live and {_shown(self.replayed)} in the backtest "
            f"({self.differing:,} of {self.compared:,} differ){told}"
        )


def _shown(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def moment(ms: int) -> datetime:
    """Milliseconds as a datetime, UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))


def column_divergence(
    layer: str,
    made: Replayed,
    name: str,
    pair: tuple[Any, Any],
    wrong: Flags,
    at: NDArray[np.int64],
    cause: Callable[[], str] | None = None,
) -> list[Divergence]:
    """Divergence of one column, where it has any."""
    bad = np.flatnonzero(wrong)
    if not len(bad):
        return []
    first = int(bad[0])
    live, replayed = (
        float(v[first]) if isinstance(v[first], (float, np.floating)) else str(v[first])
        for v in pair
    )
    return [
        Divergence(
            layer,
            made.symbol,
            name,
            moment(int(made.candles.open_time[at[first]])),
            live,
            replayed,
            len(bad),
            len(wrong),
            cause() if cause is not None else "",
        )
    ]
