"""What the statistics share: results that may be undefined, and series and panels that are looked at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from statistics import NormalDist
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof._shown import shown, stat_facts
from barproof.errors import ParameterError

__all__ = [
    "Floats",
    "Report",
    "Stat",
    "check_level",
    "floats",
    "panel",
    "quantile",
    "series",
    "tail",
    "undefined",
]

Floats = NDArray[np.float64]
Report: TypeAlias = "bool | Callable[[int, int], None] | None"

LARGEST = 1e60
"""Values whose fourth powers, and the sums of those, are numbers; what is smaller than its inverse has none."""

_EMPTY: dict[str, Any] = {"float": math.nan, "int": 0, "str": "", "bool": False}


@shown(stat_facts)
@dataclass(frozen=True, eq=False)
class Stat:
    """A result; where it is undefined its numbers are NaN and `reason` says why.

    Attributes
    ----------
    reason : str
        Why it is undefined; empty where it is defined.
    """

    reason: str = field(default="", kw_only=True)

    @property
    def defined(self) -> bool:
        """Whether there is a result."""
        return not self.reason

    def __repr__(self) -> str:
        name = type(self).__name__
        if self.reason:
            return f"{name}(undefined: {self.reason})"
        shown = [
            (f.name, getattr(self, f.name)) for f in fields(self) if f.repr and f.name != "reason"
        ]
        return f"{name}({', '.join(f'{key}={_text(value)}' for key, value in shown)})"


def _text(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"<{' x '.join(map(str, value.shape))}>"
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


S = TypeVar("S", bound=Stat)


def undefined(kind: type[S], reason: str, /, **known: Any) -> S:
    """Make a result without numbers; `known` are fields that are known all the same."""
    values = {
        f.name: known.get(f.name, _EMPTY.get(str(f.type), np.empty(0)))
        for f in fields(kind)
        if f.name != "reason"
    }
    return kind(**values, reason=reason)


def floats(values: ArrayLike) -> Floats:
    """Take numbers as they are: complex ones, dates, texts and objects are none, and a TypeError of numpy's."""
    return np.asarray(values).astype(np.float64, casting="same_kind", copy=False)


def series(values: ArrayLike, *, least: int = 2, varies: bool = True) -> tuple[Floats, str]:
    """Look at a series: its numbers, and why nothing can be said of it, or an empty text."""
    try:
        x = np.ascontiguousarray(floats(values))
    except (TypeError, ValueError):
        return np.empty(0), "the values are no plain series of numbers"
    if np.ndim(values) != 1:
        return np.empty(0), f"the values have {np.ndim(values)} dimensions, not 1"
    bad = np.flatnonzero(~np.isfinite(x))
    if len(bad):
        return x, f"value {bad[0]} is {x[bad[0]]}, as are {len(bad) - 1} more not finite"
    if len(x) < least:
        return x, f"{len(x)} observations, {least} are needed"
    size = float(np.max(np.abs(x), initial=0.0))
    if size > LARGEST:
        return x, f"a value is {size:.3g} in size: beyond {LARGEST:g} its powers are no numbers"
    if varies and not flat(x) > 0:
        return x, "the values are constant"
    if varies and size < 1 / LARGEST:
        return x, f"no value is above {size:.3g} in size: below {1 / LARGEST:g} its powers are 0"
    return x, ""


def panel(values: ArrayLike, *, least: int = 2, columns: int = 1) -> tuple[Floats, str]:
    """Look at a panel of periods x trials: its numbers, and why nothing can be said of it."""
    try:
        x = floats(values)
    except (TypeError, ValueError):
        return np.empty((0, 0)), "the panel is ragged or holds what is no number"
    if x.ndim != 2:
        return np.empty((0, 0)), f"the panel has {x.ndim} dimensions, not 2 (periods x trials)"
    finite = np.isfinite(x)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        return x, f"return {row} of trial {column} is {x[row, column]}"
    if x.shape[0] < least:
        return x, f"{x.shape[0]} periods, {least} are needed"
    if x.shape[1] < columns:
        return x, f"{x.shape[1]} trials, {columns} are needed"
    size = float(max(x.max(initial=0.0), -x.min(initial=0.0)))
    if size > LARGEST:
        return x, f"a return is {size:.3g} in size: beyond {LARGEST:g} its powers are no numbers"
    return x, ""


def flat(x: Floats) -> float:
    """Spread beyond what rounding makes of a constant; 0 where there is none."""
    width = float(np.ptp(x)) if len(x) else 0.0
    return width if width > 1e-14 * float(np.max(np.abs(x), initial=0.0)) else 0.0


def quantile(p: float) -> float:
    """Quantile of the standard normal."""
    return NormalDist().inv_cdf(p)


def tail(z: float) -> float:
    """Chance that a standard normal exceeds z; exact far out too."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def check_level(name: str, value: float) -> None:
    """Refuse levels, powers and shares outside (0, 1)."""
    if not 0 < value < 1:
        raise ParameterError(f"`{name}` must lie strictly between 0 and 1, was {value!r}")


def check_positive(name: str, value: float) -> None:
    """Refuse what is not above 0 or not finite."""
    if not (value > 0 and math.isfinite(value)):
        raise ParameterError(f"`{name}` must be finite and > 0, was {value!r}")
