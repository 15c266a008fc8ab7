"""Lengths and points on an axis that counts rows and, where the data have them, times."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import polars as pl

from barproof._tables import pandas_series
from barproof._windows import _DURATION, _FIXED, _MONTHS, milliseconds_of
from barproof.candles import Candles
from barproof.candles.table import Ints, show_time
from barproof.errors import LayoutError, ParameterError, WindowError

DAY = _FIXED["d"]


@dataclass(frozen=True)
class Length:
    """A length: rows, or a fraction of them, or calendar months and milliseconds."""

    kind: str
    rows: int = 0
    fraction: float = 0.0
    months: int = 0
    ms: int = 0

    @classmethod
    def read(cls, name: str, value: object, least: int = 1) -> Length:
        """Read a whole number of bars, a fraction or a duration; `least` is the fewest bars."""
        if isinstance(value, str):
            match = _DURATION.fullmatch(value.strip())
            if match is None or int(match[1]) == 0:
                raise ParameterError(
                    f"`{name}` is {value!r}, which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y"
                )
            number, unit = int(match[1]), match[2]
            if unit in _FIXED:
                return cls("duration", ms=number * _FIXED[unit])
            return cls("duration", months=number * _MONTHS[unit])
        if isinstance(value, bool) or not isinstance(value, Real):
            raise LayoutError(
                f'`{name}` must be a whole number of bars, a fraction or a duration such as "5d", was {value!r}'
            )
        if isinstance(value, Integral):
            if value < least:
                raise ParameterError(f"`{name}` must be at least {least} bars, was {value}")
            return cls("bars", rows=int(value))
        if least == 0:
            raise ParameterError(
                f"`{name}` must be a whole number of bars or a duration, was {value}"
            )
        if not 0.0 < float(value) < 1.0:
            raise ParameterError(
                f"`{name}` as a fraction of the data must be between 0 and 1, was {value}: bars are whole numbers"
            )
        return cls("fraction", fraction=float(value))

    def on(self, axis: Axis, name: str, value: object) -> Length:
        """Fractions to rows; refuse what is shorter than a bar."""
        length = self
        if self.kind == "fraction":
            # A whisker more, so that 0.29 of 100 rows is 29 and not 28.
            length = Length("bars", rows=int(self.fraction * axis.n * (1 + 1e-12)))
        short = not length.months and length.ms < axis.interval
        if short if length.kind == "duration" else not length.rows:
            raise ParameterError(
                f"`{name}` is {value!r}, less than one bar of the {axis.n:,} bars: make it longer"
            )
        return length


@dataclass(frozen=True)
class Moment:
    """A time that keeps its offsets apart, so that steps of months are taken from one base and do not drift."""

    base: int
    months: int = 0
    offset: int = 0

    def time(self) -> int:
        """Milliseconds UTC: the base, moved by months first and by milliseconds then."""
        if not self.months:
            return self.base + self.offset
        month = np.datetime64(self.base, "ms").astype("datetime64[M]")
        within = self.base - first_day(month)
        target = month + self.months
        # The 31st becomes the last day of a shorter month.
        days = (first_day(target + 1) - first_day(target)) // DAY
        day = min(within // DAY, days - 1)
        return first_day(target) + day * DAY + within % DAY + self.offset


def first_day(month: Any) -> int:
    """Milliseconds UTC at which a month begins."""
    return int(month.astype("datetime64[ms]").astype(np.int64))


@dataclass(frozen=True, eq=False)
class Axis:
    """Rows and times of the data. Beyond either end time goes on at one bar a row."""

    n: int
    times: Ints | None = None
    interval: int = 1

    @classmethod
    def of(cls, data: Any, needed_for: str | None) -> Axis:
        """Axis of candles, a frame or an array; `needed_for` names what cannot do without times."""
        times, interval = None, 0
        if isinstance(data, Candles):
            times, interval = data.open_time, data.interval_ms
        elif isinstance(data, pl.DataFrame) and "open_time" in data.columns:
            times = milliseconds(data["open_time"])
        elif hasattr(data, "iloc") and "open_time" in getattr(data, "columns", ()):
            times = milliseconds(pandas_series("open_time", data["open_time"]))
        elif type(getattr(data, "index", None)).__name__ == "DatetimeIndex":
            times = milliseconds(pandas_series("index", data.index.to_series()))
        if times is None and needed_for is not None:
            raise LayoutError(
                f"{needed_for} needs times, and {type(data).__name__} has none: give Candles, a frame with a column "
                "`open_time`, or lengths in bars"
            )
        shape = getattr(data, "shape", None)
        if not shape and not hasattr(data, "__len__"):
            raise LayoutError(
                f"a split needs the data: Candles, a frame or an array, was {type(data).__name__}"
            )
        n = int(shape[0]) if shape else len(data)
        if n == 0:
            raise WindowError("the data hold no rows: there is nothing to split")
        if times is not None and not interval:
            interval = int(np.min(np.diff(times), initial=_FIXED["w"]))
        return cls(n, times, interval)

    def row(self, point: int | Moment) -> int:
        """First row at or after a point."""
        if isinstance(point, int):
            return point
        assert self.times is not None
        time = point.time()
        end = int(self.times[-1]) + self.interval
        if time > end:
            return self.n - (end - time) // self.interval
        return int(np.searchsorted(self.times, time, side="left"))

    def moment(self, point: int | Moment) -> Moment:
        """Time of a row."""
        if isinstance(point, Moment):
            return point
        assert self.times is not None
        inside = min(max(point, 0), self.n - 1)
        return Moment(int(self.times[inside]) + (point - inside) * self.interval)

    def move(self, point: int | Moment, length: Length, times: int) -> int | Moment:
        """Point that lies `times` lengths away, to the left if negative."""
        if length.kind == "bars":
            return self.row(point) + times * length.rows if length.rows else point
        at = self.moment(point)
        return Moment(at.base, at.months + times * length.months, at.offset + times * length.ms)


def milliseconds(series: pl.Series) -> Ints:
    """Read opening times as milliseconds UTC; they must increase."""
    if not isinstance(series.dtype, (pl.Datetime, pl.Date)) and not series.dtype.is_integer():
        raise LayoutError(
            f"`open_time` must hold datetimes or integer milliseconds, was {series.dtype}: parse it first"
        )
    if not series.dtype.is_integer():
        series = series.cast(pl.Datetime("ms")) if series.dtype == pl.Date else series
        series = series.dt.epoch("ms")
    bad = (series.is_null() | (series.diff() <= 0)).fill_null(False).arg_true()
    if len(bad):
        row = int(bad[0])
        shown = "missing" if series[row] is None else show_time(series[row])
        raise ParameterError(
            f"`open_time` of row {row} is {shown}, must be later than the row before: sort the data by time"
        )
    return series.cast(pl.Int64).to_numpy()


def read_time(name: str, bound: Any) -> int | None:
    """Milliseconds UTC of a bound of a part, rounded up; None where it is open."""
    if bound is None:
        return None
    try:
        ms = milliseconds_of(bound)
    except ValueError:
        raise ParameterError(
            f"{name} is {bound!r}, which is no time: write it like 2024-01-31 or 2024-01-31 13:00"
        ) from None
    if ms is None:
        raise LayoutError(f"{name} must be a time or None, was {type(bound).__name__}")
    return ms
