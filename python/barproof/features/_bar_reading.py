"""What counts as a bar of a stream, and its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof.candles.bar import Bar
from barproof.errors import FeatureError, LayoutError
from barproof.features.settlements import FUNDING_COLUMNS

__all__ = ["FIELDS", "BarLike", "bar_numbers", "further", "is_number", "milliseconds"]

BarLike: TypeAlias = "Bar | tuple[Any, ...] | list[Any] | NDArray[Any] | Mapping[str, Any]"
FIELDS = Bar._fields
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def bar_numbers(
    bar: Any,
    whose: str,
    columns: list[tuple[str, bool, str]],
    funding: Callable[[int, str], Mapping[str, float]],
) -> tuple[tuple[Any, ...], list[float]]:
    """Six values and further columns of a bar, as the core takes them.

    Parameters
    ----------
    bar : BarLike
        The bar.
    whose : str
        Its symbol, for messages.
    columns : list of (str, bool, str)
        Further columns that the set reads of some symbol: name, whether it reads it of this one, and what needs it.
    funding : callable
        Gives the columns of funding at the bar of an opening time, or says that what needs them has none; asked where
        the bar does not carry them as they are.

    Returns
    -------
    tuple and list of float
        Time and prices; the columns, NaN where not read.
    """
    known: Mapping[str, Any]
    if isinstance(bar, Mapping):
        known = bar
        missing = [name for name in FIELDS if name not in bar]
        if missing:
            raise FeatureError(
                f"bar of {whose} has no `{missing[0]}`: give a mapping with {', '.join(FIELDS)}"
            )
        given = [bar[name] for name in FIELDS]
    elif (isinstance(bar, (tuple, list)) and len(bar) == len(FIELDS)) or (
        isinstance(bar, np.ndarray) and bar.shape == (len(FIELDS),)
    ):
        known = getattr(bar, "extra", {})
        given = list(bar)
    else:
        raise LayoutError(
            f"a bar must be bp.Bar, six values or a mapping, was {type(bar).__name__}: give open_time, open, "
            f"high, low, close, volume"
        )
    values = (milliseconds(given[0], whose), *map(number, FIELDS[1:], given[1:]))
    extra = []
    settled: Mapping[str, float] | None = None
    for name, read, reader in columns:
        if read and name in FUNDING_COLUMNS and (name not in known or "funding_time" in known):
            if settled is None:
                settled = funding(int(values[0]), reader)
            extra.append(settled[name])
            continue
        if read and name not in known:
            raise FeatureError(
                f"bar of {whose} has no column `{name}`, which `{reader}` needs: give a mapping with it"
            )
        value = known[name] if read else None
        extra.append(np.nan if value is None else number(name, value))
    return values, extra


def is_number(value: Any) -> bool:
    """Whether a value of a bar is a number; True and False are none."""
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def number(name: str, value: Any) -> float:
    """Read a number of a bar."""
    if not is_number(value):
        raise LayoutError(f"`{name}` of a bar must be a number, was {value!r}")
    return float(value)


def milliseconds(value: Any, whose: str) -> int:
    """Milliseconds UTC; naive datetimes are UTC, as in frames."""
    if isinstance(value, np.datetime64):
        value = value.astype("datetime64[ms]").astype(np.int64)
    if isinstance(value, datetime):
        aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
        return (aware - _EPOCH) // timedelta(milliseconds=1)
    if not is_number(value) or value != value or abs(value) > 2**53 or int(value) != value:
        raise LayoutError(
            f"`open_time` of a bar must be milliseconds UTC or a datetime, was {value!r} for {whose}"
        )
    return int(value)


def further(bar: Any) -> dict[str, float]:
    """Further columns that a bar carries; what is no number is not for features."""
    known = bar if isinstance(bar, Mapping) else getattr(bar, "extra", {})
    return {
        str(name): np.nan if value is None else float(value)
        for name, value in known.items()
        if name not in FIELDS and (value is None or is_number(value))
    }
