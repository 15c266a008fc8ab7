"""`Candles`: a validated, immutable sequence of bars."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import index
from typing import Any, SupportsIndex, overload

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof._core import Bars
from barproof._shown import ends, shown
from barproof.candles.bar import Bar, bar_class, rebuild_bar
from barproof.candles.calendars import find_holes
from barproof.candles.faults import Fault
from barproof.candles.funding import funding_faults, read_funding
from barproof.candles.instrument import Instrument
from barproof.candles.interval import format_interval
from barproof.candles.table import PRICES, Floats, Ints, show_time
from barproof.errors import CandleError, FundingError, LayoutError, ParameterError

__all__ = ["Candles"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 4096


@shown(ends, height=len)
class Candles(Sequence[Bar]):
    """Bars of one symbol, validated once, never changed.

    Made by :func:`barproof.read_candles` or :func:`barproof.simulate_candles`. ``len``, ``candles[i]`` (a
    :class:`Bar`), ``candles[a:b]`` (candles again) and iteration work as on a list;
    ``candles["2024-03-01":"2024-04-01"]`` cuts by opening time, the end left out. Two candles are equal if
    their digests are.

    Attributes
    ----------
    open_time : ndarray of shape (n,), int64
        Opening times, milliseconds UTC, strictly increasing; read-only, as all arrays here.
    open, high, low, close, volume : ndarray of shape (n,), float64
        Finite; prices > 0, volume >= 0.
    extra : dict of str to ndarray of shape (n,)
        Further columns, NaN where the source had nothing.
    symbol : str
        ``"UNKNOWN"`` if neither the caller nor the source named it.
    interval, interval_ms : str, int
        Bar length.
    instrument : Instrument
        What is traded.
    calendar : str
        ``"24/7"``, ``"sessions"`` or the name of an exchange calendar.
    faults : tuple of Fault
        What validation found and let pass; rows are those of the source, also on slices.
    repairs : tuple of str
        Repairs applied, with the rows they touched.
    planted : ndarray of shape (n,) or None
        Hidden score that the edge of simulated candles follows.
    digest : str
        64 hexadecimal digits over all columns, funding, symbol, instrument, calendar and names of repairs.
    """

    __slots__ = (
        "_bars",
        "_calendar",
        "_faults",
        "_instrument",
        "_no_funding",
        "_planted",
        "_repairs",
        "_symbol",
    )

    _bars: Bars
    _symbol: str
    _instrument: Instrument
    _calendar: str
    _faults: tuple[Fault, ...]
    _repairs: tuple[str, ...]
    _no_funding: bool
    _planted: Floats | None

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise LayoutError(
            "candles are not made by hand: use read_candles(frame, instrument=...), which takes "
            "frames and mappings of arrays too"
        )

    @classmethod
    def _from_arrays(
        cls,
        open_time: Ints,
        open: Floats,  # noqa: A002
        high: Floats,
        low: Floats,
        close: Floats,
        volume: Floats,
        *,
        symbol: str,
        interval_ms: int,
        instrument: Instrument,
        calendar: str | None = None,
        extra: Mapping[str, Floats] | None = None,
        funding_time: Ints | None = None,
        funding_rate: Floats | None = None,
        no_funding: bool = False,
        faults: Sequence[Fault] = (),
        repairs: Sequence[str] = (),
        planted: Floats | None = None,
    ) -> Candles:
        """Make candles from columns that have been checked.

        Funding settled after the last bar's close is left out: what the last bar cannot know does not belong to it.
        ``no_funding`` says that the caller chose to run a perpetual without (``funding="none"``); the core then gets
        empty arrays, where absent ones make a backtest raise.
        """
        calendar = calendar or instrument.calendar
        if no_funding:
            funding_time, funding_rate = np.empty(0, np.int64), np.empty(0)
        elif funding_time is not None and funding_rate is not None:
            end = int(open_time[-1]) + interval_ms if len(open_time) else 0
            known = int(np.searchsorted(funding_time, end, side="right"))
            funding_time, funding_rate = funding_time[:known], funding_rate[:known]
        labels = [("symbol", symbol), ("calendar", calendar), *instrument._labels()]
        labels.append(("repairs", ",".join(text.split(":")[0] for text in repairs)))
        labels.append(("funding", "none" if no_funding else ""))
        new = object.__new__(cls)
        new._bars = Bars(
            open_time,
            open,
            high,
            low,
            close,
            volume,
            interval_ms=interval_ms,
            extra=dict(extra or {}),
            funding_time=funding_time,
            funding_rate=funding_rate,
            labels=labels,
        )
        new._symbol = symbol
        new._instrument = instrument
        new._calendar = calendar
        new._faults = tuple(faults)
        new._repairs = tuple(repairs)
        new._no_funding = no_funding
        new._planted = None
        if planted is not None:
            copy = np.array(planted, dtype=np.float64)
            copy.flags.writeable = False
            # A view: the owner of the memory could be made writable again.
            new._planted = copy.view()
        return new

    def _replace(self, **changes: Any) -> Candles:
        """Copy with other columns or facts."""
        return Candles._from_arrays(**{**self._state(), **changes})

    def _state(self) -> dict[str, Any]:
        """Arguments of `_from_arrays` that make the same candles again."""
        return {
            **{name: getattr(self, name) for name in ("open_time", *PRICES, "volume")},
            "symbol": self._symbol,
            "interval_ms": self.interval_ms,
            "instrument": self._instrument,
            "calendar": self._calendar,
            "extra": self.extra,
            "funding_time": self._bars.funding_time,
            "funding_rate": self._bars.funding_rate,
            "no_funding": self._no_funding,
            "faults": self._faults,
            "repairs": self._repairs,
            "planted": self._planted,
        }

    def _take(self, index: Any) -> Candles:
        """Keep the bars of a slice or an increasing index array."""
        planted = None if self._planted is None else self._planted[index]
        return self._replace(
            **{name: getattr(self, name)[index] for name in ("open_time", *PRICES, "volume")},
            extra={name: values[index] for name, values in self.extra.items()},
            planted=planted,
        )

    @property
    def open_time(self) -> Ints:
        """Opening times, milliseconds UTC."""
        return self._bars.open_time

    @property
    def open(self) -> Floats:
        """First prices."""
        return self._bars.open

    @property
    def high(self) -> Floats:
        """Highest prices."""
        return self._bars.high

    @property
    def low(self) -> Floats:
        """Lowest prices."""
        return self._bars.low

    @property
    def close(self) -> Floats:
        """Last prices."""
        return self._bars.close

    @property
    def volume(self) -> Floats:
        """Traded volume in base units."""
        return self._bars.volume

    @property
    def extra(self) -> dict[str, Floats]:
        """Further columns by name."""
        return self._bars.extra

    @property
    def symbol(self) -> str:
        """Name of the market."""
        return self._symbol

    @property
    def interval(self) -> str:
        """Bar length as text, such as ``"5m"``."""
        return format_interval(self.interval_ms)

    @property
    def interval_ms(self) -> int:
        """Bar length in milliseconds."""
        return self._bars.interval_ms

    @property
    def instrument(self) -> Instrument:
        """What is traded."""
        return self._instrument

    @property
    def calendar(self) -> str:
        """When the market is open."""
        return self._calendar

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What validation found and let pass."""
        return self._faults

    @property
    def repairs(self) -> tuple[str, ...]:
        """Repairs applied."""
        return self._repairs

    @property
    def planted(self) -> Floats | None:
        """Hidden score of simulated candles."""
        return self._planted

    @property
    def digest(self) -> str:
        """Identity of the candles."""
        return self._bars.digest

    @property
    def funding(self) -> pl.DataFrame | None:
        """Settlements up to the last close (`funding_time`, `funding_rate`), or None without funding."""
        if self._no_funding or self._bars.funding_time is None:
            return None
        return pl.DataFrame(
            {
                "funding_time": _moments(self._bars.funding_time),
                "funding_rate": self._bars.funding_rate,
            }
        )

    @property
    def start(self) -> datetime:
        """Opening time of the first bar, UTC."""
        return self._moment(0)

    @property
    def end(self) -> datetime:
        """Closing time of the last bar, UTC."""
        return self._moment(-1) + timedelta(milliseconds=self.interval_ms)

    def _moment(self, index: int) -> datetime:
        if not len(self):
            raise CandleError(
                f"candles of {self._symbol} hold no bars, so they have no start and no end: "
                f"check the slice"
            )
        return _EPOCH + timedelta(milliseconds=int(self.open_time[index]))

    def __len__(self) -> int:
        return len(self._bars)

    @overload
    def __getitem__(self, index: SupportsIndex) -> Bar: ...
    @overload
    def __getitem__(self, index: slice) -> Candles: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Bar | Candles:
        if isinstance(index, slice):
            if index.step not in (None, 1):
                raise ParameterError(
                    f"candles are cut without a step, was {index.step}: use resample for longer bars"
                )
            start, stop, _ = slice(self._bound(index.start), self._bound(index.stop)).indices(
                len(self)
            )
            return self._take(slice(start, max(start, stop)))
        try:
            i = index.__index__()
        except (
            AttributeError,
            TypeError,
        ):  # an array of several numbers has the method, and refuses
            raise LayoutError(
                f"candles are indexed by a number or a slice, was {type(index).__name__}"
            ) from None
        if not -len(self) <= i < len(self):
            # IndexError ends iteration over sequences; every other class would break the protocol.
            raise IndexError(f"bar {i} does not exist: the candles hold {len(self)} bars")
        columns = (self.open, self.high, self.low, self.close, self.volume)
        values = (int(self.open_time[i]), *(float(values[i]) for values in columns))
        extra = {name: float(column[i]) for name, column in self.extra.items()}
        settled = self._settled(slice(i, i + 1 or None))
        return rebuild_bar(self.interval_ms, values, extra, next(settled) if settled else None)

    def _settled(self, rows: slice) -> Iterator[tuple[tuple[int, float], ...]] | None:
        """Settlements that bars carry: those within each, and as many before as make two."""
        time, rate = self._bars.funding_time, self._bars.funding_rate
        if time is None or rate is None or self._no_funding:
            return None
        opens = self.open_time[rows]
        end = np.searchsorted(time, opens + self.interval_ms)
        begin = np.maximum(0, np.minimum(np.searchsorted(time, opens), end - 2))
        made: dict[tuple[int, int], tuple[tuple[int, float], ...]] = {}

        def each() -> Iterator[tuple[tuple[int, float], ...]]:
            for a, b in zip(begin.tolist(), end.tolist(), strict=True):
                if (a, b) not in made:
                    # Bars between two settlements share what they carry.
                    made.clear()
                    made[a, b] = tuple(zip(time[a:b].tolist(), rate[a:b].tolist(), strict=True))
                yield made[a, b]

        return each()

    def _bound(self, bound: Any) -> int | None:
        """Turn a bound of a slice into a position."""
        if bound is None:
            return None
        if hasattr(bound, "__index__"):
            try:
                return index(bound)
            except TypeError:
                raise LayoutError(
                    f"candles are cut at one position, was an array of {np.size(bound)}: "
                    f"use one number"
                ) from None
        if isinstance(bound, str):
            try:
                bound = datetime.fromisoformat(bound)
            except ValueError:
                raise ParameterError(
                    f"candles are cut by positions or ISO 8601 times, was {bound!r}: "
                    f'write "2024-01-31" or "2024-01-31 13:00"'
                ) from None
        if not isinstance(bound, datetime):
            raise LayoutError(
                f"candles are cut by positions, datetimes or ISO 8601 text, "
                f"was {type(bound).__name__}"
            )
        if bound.tzinfo is None:
            bound = bound.replace(tzinfo=UTC)
        ms = -((_EPOCH - bound) // timedelta(milliseconds=1))
        return int(np.searchsorted(self.open_time, ms, side="left"))

    def __iter__(self) -> Iterator[Bar]:
        columns = (self.open_time, self.open, self.high, self.low, self.close, self.volume)
        make = bar_class(self.interval_ms)._make
        extra = self.extra
        for start in range(0, len(self), _CHUNK):
            part = slice(start, start + _CHUNK)
            bars = map(make, zip(*(values[part].tolist() for values in columns), strict=True))
            settled = self._settled(part)
            if not extra and settled is None:
                yield from bars
                continue
            more = zip(*(values[part].tolist() for values in extra.values()), strict=True)
            for bar in bars:
                if extra:
                    bar.extra = dict(zip(extra, next(more), strict=True))
                if settled is not None:
                    bar.funding = next(settled)
                yield bar

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, Candles) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self._state(),)

    def __repr__(self) -> str:
        parts = [self._symbol, self.interval, f"{len(self):,} bars"]
        if len(self):
            last = show_time(int(self.open_time[-1]) + self.interval_ms)
            parts.append(f"{show_time(int(self.open_time[0]))} to {last}")
        parts.append(self._instrument.kind)
        if self._no_funding:
            parts.append("no funding")
        elif self._bars.funding_time is not None:
            parts.append(f"{len(self._bars.funding_time):,} settlements")
        if self._faults:
            parts.append(f"{len(self._faults)} fault{'s' if len(self._faults) > 1 else ''}")
        return f"Candles({', '.join(parts)})"

    def to_polars(self) -> pl.DataFrame:
        """Copy to a frame: `open_time` (milliseconds UTC), prices, `volume`, further columns.

        Returns
        -------
        polars.DataFrame
            One row a bar.
        """
        columns: dict[str, Any] = {"open_time": _moments(self.open_time)}
        columns |= {name: getattr(self, name) for name in (*PRICES, "volume")}
        return pl.DataFrame({**columns, **self.extra})

    def resample(self, interval: str) -> Candles:
        """Make longer bars; see :func:`barproof.resample`."""
        from barproof.candles.resample import resample

        return resample(self, interval)

    def holes(self) -> pl.DataFrame:
        """List the stretches in which the calendar expects bars and there are none.

        Returns
        -------
        polars.DataFrame
            `before` and `after` (opening times of the bars around each hole) and `absent` (bars).
        """
        found = find_holes(self.open_time, self.interval_ms, self._calendar)
        return pl.DataFrame(
            {
                "before": _moments(found.before),
                "after": _moments(found.after),
                "absent": found.missing,
            }
        )

    def with_funding(self, funding: str | os.PathLike[str] | Any) -> Candles:
        """Attach funding, in place of what was attached.

        Parameters
        ----------
        funding : path, frame, table or "none"
            Settlement times and rates (fraction per settlement; positive: longs pay shorts). Times are rounded to the
            nearest second. ``"none"`` runs without, which is recorded.

        Raises
        ------
        FundingError
            If the candles are of no perpetual, or the funding cannot be used.
        """
        old = tuple(f for f in self._faults if not f.code.startswith("funding"))
        if isinstance(funding, str) and funding == "none":
            declined = self._instrument.kind == "perpetual"
            return self._replace(
                faults=old, funding_time=None, funding_rate=None, no_funding=declined
            )
        if self._instrument.kind != "perpetual":
            raise FundingError(
                f"`funding` belongs to perpetuals, the candles are of kind "
                f"{self._instrument.kind!r}: leave it out"
            )
        time, rate = read_funding(funding, self._symbol)
        faults = funding_faults(time, self.open_time, self.interval_ms)
        return self._replace(
            faults=(*old, *faults), funding_time=time, funding_rate=rate, no_funding=False
        )

    def funding_frame(self) -> pl.DataFrame:
        """Join to every bar the last settlement before its close.

        A settlement stamped with the very close is left out: exchanges publish it some milliseconds later.

        Returns
        -------
        polars.DataFrame
            `open_time`, `funding_time`, `funding_rate` and `age` (close minus settlement), one row a bar; null before
            the first settlement.

        Raises
        ------
        FundingError
            If no funding is attached.
        """
        funding = self.funding
        if funding is None:
            raise FundingError(
                f"candles of {self._symbol} carry no funding: attach it with "
                f"`funding=` or with_funding"
            )
        close = pl.col("open_time") + pl.duration(milliseconds=self.interval_ms)
        bars = pl.DataFrame({"open_time": _moments(self.open_time)}).with_columns(close=close)
        joined = bars.join_asof(
            funding.sort("funding_time"),
            left_on=pl.col("close").set_sorted(),
            right_on="funding_time",
            strategy="backward",
            allow_exact_matches=False,
            coalesce=False,
        )
        age = pl.col("close") - pl.col("funding_time")
        return joined.select("open_time", "funding_time", "funding_rate", age=age)


def _moments(ms: npt.ArrayLike) -> pl.Series:
    return pl.Series(np.asarray(ms, dtype=np.int64)).cast(pl.Datetime("ms", "UTC"))


def _rebuild(state: dict[str, Any]) -> Candles:
    return Candles._from_arrays(**state)
