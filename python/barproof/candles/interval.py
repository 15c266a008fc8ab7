"""Bar lengths: text such as ``"5m"`` to milliseconds and back."""

from __future__ import annotations

import re
from datetime import timedelta

from barproof.errors import LayoutError, ParameterError

__all__ = ["DAY", "HOUR", "MINUTE", "SECOND", "WEEK", "format_interval", "parse_interval"]

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY

_UNITS = {
    "ms": 1,
    "s": SECOND,
    "sec": SECOND,
    "m": MINUTE,
    "min": MINUTE,
    "h": HOUR,
    "H": HOUR,
    "minute": MINUTE,
    "hour": HOUR,
    "d": DAY,
    "D": DAY,
    "day": DAY,
    "w": WEEK,
    "W": WEEK,
    "week": WEEK,
}


def parse_interval(value: str | timedelta, *, name: str = "interval") -> int:
    """Read the length of a bar.

    Parameters
    ----------
    value : str or timedelta
        A number and a unit of ``ms s m h d w``. There is no unit for months: they differ in length.
    name : str
        Argument to name in errors.

    Returns
    -------
    int
        Length in milliseconds, > 0.

    Raises
    ------
    LayoutError
        If `value` is neither text nor a timedelta.
    ParameterError
        If it cannot be read or is not positive.

    Examples
    --------
    >>> parse_interval("5m")
    300000
    >>> parse_interval(timedelta(hours=1))
    3600000
    """
    if isinstance(value, timedelta):
        ms = value // timedelta(milliseconds=1)
    elif isinstance(value, str):
        match = re.fullmatch(r"\s*(\d{1,9})\s*([A-Za-z]+)\s*", value)
        unit = match[2] if match else ""
        if len(unit) > 2:
            unit = unit.lower().removesuffix("s")
        ms = int(match[1]) * _UNITS[unit] if match and unit in _UNITS else 0
    else:
        raise LayoutError(
            f'`{name}` must be text such as "5m" or a timedelta, was {type(value).__name__}'
        )
    if ms <= 0:
        raise ParameterError(
            f"`{name}` must be a number > 0 and a unit of ms, s, m, h, d, w "
            f'such as "5m" or "1h", was {value!r}'
        )
    return ms


def format_interval(ms: int) -> str:
    """Write a bar length in its largest whole unit.

    Examples
    --------
    >>> format_interval(300_000), format_interval(86_400_000), format_interval(90_000)
    ('5m', '1d', '90s')
    """
    for unit in ("w", "d", "h", "m", "s"):
        if ms % _UNITS[unit] == 0:
            return f"{ms // _UNITS[unit]}{unit}"
    return f"{ms}ms"
