"""What is traded: the kind of contract and the figures an exchange sets for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal, cast, get_args

from barproof._shown import facts_of, shown
from barproof.errors import LayoutError, ParameterError

__all__ = ["Instrument", "Kind", "as_instrument"]

Kind = Literal["perpetual", "spot", "equity", "fx"]
KINDS: tuple[str, ...] = get_args(Kind)


@shown(facts_of)
@dataclass(frozen=True)
class Instrument:
    """A contract and its trading limits.

    Parameters
    ----------
    kind : {"perpetual", "spot", "equity", "fx"}
        Perpetuals pay funding; spot and perpetual trade around the clock, equity and fx in sessions.
    maintenance : float, default 0.005
        Maintenance margin rate, a fraction of the notional in [0, 1).
    lot : float, default 0.0
        Smallest step of the quantity in base units; 0 = no steps.
    min_notional : float, default 0.0
        Smallest order value in quote units; 0 = none.

    Raises
    ------
    ParameterError
        If a value is outside its bounds.
    LayoutError
        If a figure is not a number.

    Examples
    --------
    >>> Instrument("perpetual", lot=0.001)
    Instrument(kind='perpetual', maintenance=0.005, lot=0.001, min_notional=0.0)
    """

    kind: Kind
    maintenance: float = 0.005
    lot: float = 0.0
    min_notional: float = 0.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            near = get_close_matches(str(self.kind), KINDS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ParameterError(
                f"`kind` of an instrument must be one of {', '.join(KINDS)}, "
                f"was {self.kind!r}{hint}"
            )
        for name in ("maintenance", "lot", "min_notional"):
            value = getattr(self, name)
            try:
                number = float(value)
            except (TypeError, ValueError):
                raise LayoutError(
                    f"`{name}` of an instrument must be a number, was {value!r}"
                ) from None
            top = 1.0 if name == "maintenance" else math.inf
            if not 0.0 <= number < top:
                bound = "in [0, 1)" if name == "maintenance" else ">= 0 and finite"
                raise ParameterError(f"`{name}` of an instrument must be {bound}, was {value}")
            object.__setattr__(self, name, number)

    @property
    def calendar(self) -> str:
        """Calendar assumed where none is given: ``"24/7"`` or ``"sessions"``."""
        return "24/7" if self.kind in ("perpetual", "spot") else "sessions"

    def _labels(self) -> list[tuple[str, str]]:
        """Facts that belong to the digest of candles."""
        return [
            ("kind", self.kind),
            ("maintenance", repr(self.maintenance)),
            ("lot", repr(self.lot)),
            ("min_notional", repr(self.min_notional)),
        ]


def as_instrument(value: Instrument | str) -> Instrument:
    """Accept an instrument or the name of a kind."""
    if isinstance(value, Instrument):
        return value
    if not isinstance(value, str):
        raise LayoutError(
            f"`instrument` must be one of {', '.join(KINDS)} or an Instrument, "
            f"was {type(value).__name__}"
        )
    return Instrument(cast(Kind, value))
