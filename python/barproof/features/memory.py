"""How much of the past a feature depends on, as its author declares it."""

from __future__ import annotations

from dataclasses import dataclass
from operator import index
from typing import Literal, SupportsIndex

from barproof.errors import LayoutError, ParameterError

__all__ = ["Memory", "cumulative", "fading", "finite"]

# More bars than any candles hold would only take memory in streams.
_MOST = 10_000_000


@dataclass(frozen=True)
class Memory:
    """Memory of a feature.

    Attributes
    ----------
    kind : {"finite", "fading", "cumulative"}
        Finite: a value depends on the last `bars` bars alone, its own included. Fading: on everything, but from any
        start it is within 1e-9 relative after `bars` bars. Cumulative: on everything for good.
    bars : int or None
        None where cumulative.
    """

    kind: Literal["finite", "fading", "cumulative"]
    bars: int | None = None

    def __post_init__(self) -> None:
        kind, bars = self.kind, self.bars
        if kind not in ("finite", "fading", "cumulative"):
            raise ParameterError(
                f"`kind` of memory must be finite, fading or cumulative, was {kind!r}: use bp.finite(n), "
                f"bp.fading(n) or bp.cumulative()"
            )
        if kind == "cumulative":
            if bars is not None:
                raise ParameterError(
                    f"`bars` of cumulative memory must be left out, was {bars!r}: it has no end"
                )
            return
        if isinstance(bars, bool) or not isinstance(bars, SupportsIndex):
            raise LayoutError(f"`bars` of {kind} memory must be a whole number, was {bars!r}")
        if not 1 <= index(bars) <= _MOST:
            raise ParameterError(
                f"`bars` of {kind} memory must be from 1 to {_MOST:,}, was {bars}: a bar itself counts"
            )
        object.__setattr__(self, "bars", index(bars))

    def __str__(self) -> str:
        return self.kind if self.bars is None else f"{self.kind}({self.bars})"


def finite(bars: int) -> Memory:
    """Depend on the last bars alone.

    Parameters
    ----------
    bars : int
        Bars that a value depends on, its own included; at least 1.

    Returns
    -------
    Memory
        For :func:`barproof.feature`.

    Examples
    --------
    >>> print(finite(20))
    finite(20)
    """
    return Memory("finite", bars)


def fading(bars: int) -> Memory:
    """Depend on everything, with weights that fade, as an exponential mean does.

    Parameters
    ----------
    bars : int
        Bars after which values from any start agree within 1e-9 relative; at least 1.

    Returns
    -------
    Memory
        For :func:`barproof.feature`.
    """
    return Memory("fading", bars)


def cumulative() -> Memory:
    """Depend on everything for good, as a running total does; the start is part of the value.

    Returns
    -------
    Memory
        For :func:`barproof.feature`.
    """
    return Memory("cumulative")
