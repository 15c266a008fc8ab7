"""`FeatureStream`: a feature set bar by bar, with the same bits as the whole table."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof.candles.interval import format_interval, parse_interval
from barproof.candles.model import Candles
from barproof.errors import FeatureError, LayoutError
from barproof.features._bar_reading import BarLike, bar_numbers, further, milliseconds
from barproof.features._own_streams import OwnStream
from barproof.features._stream_state import load, rebuilt, saved, settled, settlements
from barproof.features.settlements import FUNDING_COLUMNS, Settlements, told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from barproof.features.bar_clock import BarClock
    from barproof.features.sets import FeatureSet

__all__ = ["FeatureStream"]

_Read: TypeAlias = "tuple[int, tuple[Any, ...], list[float]]"
_ALONE = "UNKNOWN"


class FeatureStream:
    """Rows of a feature set, one closed bar after the other.

    Made by :meth:`barproof.FeatureSet.stream`. Batch and stream run the same code, so rows are those of
    :meth:`barproof.FeatureSet.compute` from the same first bar on, bit for bit; a function of your own without a
    `stream` of its own is called on the last bars, where sums may be grouped otherwise.

    Threads may share a stream: calls run one after the other, in the order in which they come. Processes may not: a
    pickle is a copy that goes on by itself.

    Attributes
    ----------
    features : FeatureSet
        The set.
    bars : int
        Bars taken so far.
    """

    def __init__(self, features: FeatureSet, interval: str | None, symbol: str | None) -> None:
        if symbol is not None and (not isinstance(symbol, str) or not symbol):
            raise LayoutError(f"`symbol` of a stream must be text such as ETHUSDT, was {symbol!r}")
        if features.symbols and symbol is None:
            raise FeatureError(
                f"features name other symbols ({', '.join(features.symbols)}): say whose rows the stream makes, "
                f'such as stream(symbol="ETHUSDT")'
            )
        self.features = features
        self._symbol = symbol
        self._others = tuple(name for name in features.symbols if name != symbol)
        self._interval_ms: int | None = None
        self._core: Any = None
        self._reads: list[list[bool]] = []
        self._warmup = 0
        self._extra: list[str] = list(features._graph.extra)
        self._plain = not (features.own or features.symbols or self._extra)
        self._readers: list[str] = list(features._graph.readers)
        self._funded = any(name in FUNDING_COLUMNS for name in self._extra)
        self._funding = [Settlements() for _ in (self._name, *self._others)]
        self._told: dict[int, Settlements] = {}
        self._own = [OwnStream(one) for one in features.own]
        self._spoiled: str | None = None
        self._lock = threading.RLock()
        self._at_work = False
        if interval is not None:
            self._start(parse_interval(interval))

    def _start(self, interval_ms: int) -> None:
        core = self.features._graph.stream(self._name, interval_ms)
        facts = self.features.facts(format_interval(interval_ms)).values()
        self._warmup = max(warmup for _, _, warmup in facts)
        self._interval_ms = interval_ms
        self._put(core)

    def _put(self, core: Any) -> None:
        """Take a core; where bars are all that it reads, calls go there first, and come back here if need be."""
        self._core, self._reads = core, core.reads
        if self._plain:
            core.hand_on(self._update)
            self.update = core.row  # type: ignore[method-assign]

    def _drop(self) -> None:
        self._core, self._interval_ms = None, None
        self.__dict__.pop("update", None)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other threads out; the same one may not come in twice."""
        with self._lock:
            if self._at_work:
                raise FeatureError(
                    "a function of your own calls the stream that is calling it: give it a stream of its own"
                )
            self._at_work = True
            try:
                yield
            finally:
                self._at_work = False

    @property
    def _name(self) -> str:
        return self._symbol or _ALONE

    @property
    def bars(self) -> int:
        """Bars taken so far."""
        return 0 if self._core is None else int(self._core.bars)

    @property
    def ready(self) -> bool:
        """Whether every feature has left its warm-up."""
        return self._core is not None and self.bars > self._warmup

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols whose bars :meth:`update` needs, its own first; empty where it is only one."""
        return (self._name, *self._others) if self._others else ()

    def update(
        self,
        bar: BarLike | Mapping[str, BarLike],
        out: NDArray[np.float64] | None = None,
    ) -> NDArray[np.float64]:
        """Take the next closed bar and give its row.

        Parameters
        ----------
        bar : Bar, six values or mapping
            A :class:`barproof.Bar`, six values in its order, or a mapping with its names and those of further columns
            that features read; the time in milliseconds UTC or as a datetime (naive ones are UTC). Where features read
            funding, a mapping says ``funding``: pairs of time and rate of settlements, or ``funding_time`` and
            ``funding_rate`` of the last; what is known already is passed over, and :meth:`settle` serves as well. Where
            features name other symbols: a mapping of symbol to bar, all of one time; a symbol without one is left out.
        out : ndarray of shape (n_features,), float64, optional
            Written to and given back, to save a new array.

        Returns
        -------
        ndarray of shape (n_features,), float64
            In the order of the set; NaN where undefined.

        Raises
        ------
        FeatureError
            If bars are out of order, a price is not positive, or something that features read is missing; the stream
            then stands where it stood. After an error in the `stream` function of a feature of your own it cannot, and
            refuses to go on.
        LayoutError
            If it is no bar, or `out` no array of that shape.
        """
        return self._update(bar, out)

    def _update(self, bar: Any, out: Any = None) -> NDArray[np.float64]:
        """Take a bar of any kind."""
        if out is not None and (
            not isinstance(out, np.ndarray)
            or out.shape != (len(self.features),)
            or out.dtype != np.float64
            or not out.flags.writeable
        ):
            what = (
                f"{out.dtype} of shape {out.shape}"
                if isinstance(out, np.ndarray)
                else type(out).__name__
            )
            raise LayoutError(
                f"`out` must be a writeable float64 array of shape ({len(self.features)},), was {what}"
            )
        with self._alone():
            self._check_sound()
            mine, theirs = self._books(bar)
            with self._started(mine):
                read = self._read(0, mine)
                others = [self._read(feed, one) for feed, one in theirs]
                for other in others:
                    if other[1][0] != read[1][0]:
                        raise FeatureError(
                            f"bar of {self._core.feeds[other[0]]} opens at {other[1][0]} ms, that of {self._symbol} at "
                            f"{read[1][0]} ms: give bars of one time, and leave out what is not there"
                        )
                # Everything is checked before anything is taken.
                for one in (read, *others):
                    self._core.check(*one)
                own = self._own_values(mine, read[1])
            for other in others:
                self._give(other)
            if self._plain and isinstance(mine, tuple):
                # It was read as a bar of this interval: the next of its kind need not be asked again.
                self._core.know(type(mine))
            return self._take(read, own, out)

    def feed(self, bars: Mapping[str, BarLike]) -> None:
        """Take closed bars of other symbols at a time at which the stream's own has none.

        Parameters
        ----------
        bars : mapping of str to bar
            As for :meth:`update`, without the stream's own symbol.

        Raises
        ------
        FeatureError
            If a symbol is not among those that features name, or bars are not as for :meth:`update`.
        """
        with self._alone():
            self._feed(bars)

    def _feed(self, bars: Any) -> None:
        self._check_sound()
        if not isinstance(bars, Mapping) or not bars:
            raise LayoutError(
                f"`bars` must be a dict of symbol to bar, was {type(bars).__name__}: such as {{'BTCUSDT': bar}}"
            )
        unknown = [name for name in bars if name not in self._others]
        if unknown:
            raise FeatureError(
                f"feed(...) takes bars of {', '.join(self._others) or 'no symbol'}, was given {unknown[0]!r}: "
                f"bars of the stream's own symbol go to update(...)"
            )
        with self._started(next(iter(bars.values()))):
            found = [self._read(1 + self._others.index(name), bar) for name, bar in bars.items()]
            for one in found:
                self._core.check(*one)
        for one in found:
            self._give(one)

    def settle(
        self, funding_time: int | datetime, funding_rate: float, *, symbol: str | None = None
    ) -> None:
        """Take a settlement of funding; bars that close after it know it.

        Parameters
        ----------
        funding_time : int or datetime
            Milliseconds UTC, or a datetime; rounded to the nearest second, as in candles.
        funding_rate : float
            A fraction; positive where longs pay shorts.
        symbol : str, optional
            Whose; the stream's own by default.

        Raises
        ------
        FeatureError
            If it is not later than the last one, or the symbol is not among those that features name.
        LayoutError
            If time or rate is no number.

        Examples
        --------
        >>> import barproof as bp
        >>> stream = bp.FeatureSet(["funding_age()"]).stream("1h")
        >>> stream.settle(28_800_000, 0.0001)
        >>> stream.update((32_400_000, 1.0, 1.0, 1.0, 1.0, 0.0))
        array([2.])
        """
        with self._alone():
            self._settle(funding_time, funding_rate, symbol)

    def _settle(self, funding_time: Any, funding_rate: Any, symbol: str | None) -> None:
        names = (self._name, *self._others)
        whose = names[0] if symbol is None or symbol == self._symbol else symbol
        if whose not in names:
            raise FeatureError(
                f"settle(...) takes funding of {', '.join(names)}, was given that of {whose!r}: name one of them"
            )
        given = (
            milliseconds(funding_time, whose)
            if isinstance(funding_time, datetime)
            else funding_time
        )
        found = told({"funding": [(given, funding_rate)]}, whose) or []
        feed = names.index(whose)
        new = self._funding[feed].joined_by(found)
        if new.last == self._funding[feed].last:
            raise FeatureError(
                f"settlement of {whose} at {found[0][0]} ms does not come after the last one, which was at "
                f"{new.last} ms: give each once, in order"
            )
        self._funding[feed] = new

    def _give(self, read: _Read) -> None:
        self._core.feed(*read)
        self._keep_funding(read)

    def _keep_funding(self, read: _Read) -> None:
        """Take the settlements of a bar that was taken."""
        if read[0] in self._told:
            self._funding[read[0]] = self._told.pop(read[0])
            self._funding[read[0]].keep(read[1][0])

    def _funding_known(
        self, feed: int, bar: Any, whose: str, reader: str, waiting: Iterable[Any] | None
    ) -> Settlements:
        """Settlements with those that a bar tells, which :meth:`_keep_funding` then takes for good."""
        found, known = told(bar, whose), self._funding[feed]
        if found is None and not known and not any(told(one, whose) for one in waiting or ()):
            raise FeatureError(
                f"bar of {whose} says nothing of funding, which `{reader}` needs: give a mapping with `funding`, "
                f"pairs of time and rate, or tell the stream by settle(...)"
            )
        return known.joined_by(found or [])

    def _take(
        self, read: _Read, own: list[float], out: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        row: NDArray[np.float64] = self._core.update(read[1], read[2], own, out)
        self._keep_funding(read)
        for one in self._own:
            one.keep()
        return row

    def _own_values(self, bar: Any, values: tuple[Any, ...]) -> list[float]:
        """Values of own features; functions that keep a state run last, as nobody can set them back."""
        found = [np.nan] * len(self._own)
        if not self._own:
            return found
        known, interval_ms = further(bar), self._known()
        for k in sorted(range(len(self._own)), key=lambda k: self._own[k].steps):
            one = self._own[k]
            try:
                found[k] = one.step(values, known, interval_ms, self._name)
            except BaseException:
                if one.steps:
                    self._spoiled = one.feature.name
                raise
        return found

    def _check_sound(self) -> None:
        if self._spoiled is not None:
            raise FeatureError(
                f"the stream cannot go on: `stream` of feature `{self._spoiled}` failed at a bar, and its state is not "
                f"known since; make a new stream and rebuild it with update_many"
            )

    def _known(self) -> int:
        assert self._interval_ms is not None
        return self._interval_ms

    @contextmanager
    def _started(self, bar: Any) -> Iterator[None]:
        """Take the interval from a first bar, unless it is refused."""
        length = int(getattr(bar, "interval_ms", 0))
        if self._core is not None:
            if length and length != self._interval_ms:
                raise FeatureError(
                    f"bar of {format_interval(length)} does not belong to a stream of "
                    f"{format_interval(self._known())}: resample the candles"
                )
            yield
            return
        if not length:
            raise FeatureError(
                "`interval` of the stream is not known, as the first bar does not come from candles: "
                'say it, such as stream("5m")'
            )
        self._start(length)
        try:
            yield
        except BaseException:
            self._drop()
            raise

    def _books(self, bars: Any) -> tuple[Any, list[tuple[int, Any]]]:
        """Bar of the own symbol, and those of the others with their feeds."""
        held = isinstance(bars, Mapping) and self._symbol is not None and self._symbol in bars
        if not self._others:
            return (bars[self._symbol], []) if held else (bars, [])
        if not held:
            raise FeatureError(
                f"a bar of {self._symbol} is missing: features name {', '.join(self._others)} too, so give a dict of "
                f"symbol to bar; bars of others alone go to feed(...)"
            )
        found = [(1 + k, bars[name]) for k, name in enumerate(self._others) if name in bars]
        return bars[self._symbol], found

    def _read(self, feed: int, bar: Any, waiting: Iterable[Any] | None = None) -> _Read:
        """Feed, six values and further columns of a bar, as the core takes them.

        With `waiting`, bars of the feed that come before and were not taken yet, it is only looked at.
        """
        whose = (self._name, *self._others)[feed]
        if waiting is None:
            self._told.pop(feed, None)

        def funding(open_time: int, reader: str) -> Mapping[str, float]:
            known = self._funding_known(feed, bar, whose, reader, waiting)
            if waiting is None:
                self._told[feed] = known
            return known.columns(open_time, open_time + self._known())

        columns = list(zip(self._extra, self._reads[feed], self._readers, strict=True))
        return feed, *bar_numbers(bar, whose, columns, funding)

    def update_many(self, candles: Candles | Mapping[str, Candles]) -> NDArray[np.float64]:
        """Take many closed bars.

        Parameters
        ----------
        candles : Candles or mapping of str to Candles
            The bars that come next; a mapping where features name other symbols. Bars of others behind the last one of
            the stream's own are taken too: no bar before them can follow.

        Returns
        -------
        ndarray of shape (n_bars, n_features), float64
            One row a bar.

        Raises
        ------
        FeatureError
            If they do not come next, or a symbol is missing; the stream then stands where it stood, unless a `stream`
            function of your own failed, after which it refuses to go on.
        """
        with self._alone():
            return self._update_many(candles)

    def _update_many(self, candles: Any) -> NDArray[np.float64]:
        self._check_sound()
        books = self._candles(candles)
        with self._started(books[0]):
            if self._own:
                # Own features may keep a state that only steps can move.
                return self._step_many(books)
            rows: NDArray[np.float64] = self._core.update_many([one._bars for one in books], [])
            if self._funded:
                for feed, one in enumerate(books):
                    self._funding[feed] = settled(self._funding[feed], one)
            return rows

    def _candles(self, candles: Any) -> list[Candles]:
        """Candles of every feed."""
        wanted = (self._name, *self._others)
        if isinstance(candles, Candles) and not self._others:
            return [candles]
        if not isinstance(candles, Mapping) or self._symbol is None:
            kind = "a dict of Candles by symbol" if self._others else "Candles"
            raise LayoutError(f"`candles` must be {kind}, was {type(candles).__name__}")
        for name in wanted:
            if name not in candles:
                raise FeatureError(
                    f"candles of {name} are missing: the stream needs {', '.join(wanted)}"
                )
            if not isinstance(candles[name], Candles):
                raise LayoutError(
                    f"`candles` must hold Candles, {name!r} is {type(candles[name]).__name__}"
                )
        return [candles[name] for name in wanted]

    def _step_many(self, books: list[Candles]) -> NDArray[np.float64]:
        for feed, one in enumerate(books):
            if len(one):
                with self._started(one):
                    self._core.check(*self._read(feed, one[0]))
        before, kept = self._core.copy(), [one.save() for one in self._own]
        funding = list(self._funding)
        rows, at = [], [0] * len(books)
        try:
            for bar in books[0]:
                self._feed_until(books, at, bar.open_time)
                read = self._read(0, bar)
                rows.append(self._take(read, self._own_values(bar, read[1]), None))
            self._feed_until(books, at, None)
        except BaseException:
            self._core, self._funding = before, funding
            for mine, saved in zip(self._own, kept, strict=True):
                mine.load(saved)
                if rows and mine.steps and not mine.saves and self._spoiled is None:
                    self._spoiled = mine.feature.name
            raise
        return np.array(rows, dtype=np.float64).reshape(len(books[0]), len(self.features))

    def _feed_until(self, books: list[Candles], at: list[int], time: int | None) -> None:
        """Take bars of the other symbols up to a time, or all."""
        for feed in range(1, len(books)):
            one = books[feed]
            while at[feed] < len(one) and (time is None or one.open_time[at[feed]] <= time):
                self._give(self._read(feed, one[at[feed]]))
                at[feed] += 1

    def snapshot(self) -> bytes:
        """Save the state, to go on after a restart with the same bits.

        Returns
        -------
        bytes
            Format, identity of the features, state and checksum. What a `stream=` of your own makes is held by what its
            ``save()`` gives, which JSON must be able to hold; its ``load(state)`` takes it back.

        Raises
        ------
        FeatureError
            Before the interval is known, or if a feature of your own keeps a state in Python without `save` and
            `load`; a pickle of the stream holds it all the same.
        """
        for one in self._own:
            if one.steps and not one.saves:
                raise FeatureError(
                    f"feature `{one.feature.name}` keeps its state in Python, which a snapshot does not hold: give "
                    f"what its `stream=` makes save() and load(state), pickle the stream, or rebuild it with "
                    f"update_many"
                )
        if self._core is None:
            raise FeatureError(
                "a stream has no state before its first bar: there is nothing to save"
            )
        with self._alone():
            self._check_sound()
            return saved(self)

    def restore(self, snapshot: bytes) -> FeatureStream:
        """Go on from a snapshot.

        Parameters
        ----------
        snapshot : bytes
            From a stream of the same features, symbols and interval.

        Returns
        -------
        FeatureStream
            This one.

        Raises
        ------
        FeatureError
            If it is damaged, of another format, or of other features; says how many bars rebuild the state. The stream
            then stands where it stood.
        LayoutError
            If it is not bytes.
        """
        if not isinstance(snapshot, (bytes, bytearray, memoryview)):
            raise LayoutError(f"`snapshot` must be bytes, was {type(snapshot).__name__}")
        if self._core is None:
            raise FeatureError(
                'restore(...) needs the interval of the bars: make the stream with it, such as stream("5m")'
            )
        with self._alone():
            load(self, bytes(snapshot), None)
        return self

    def gather(
        self,
        *,
        missing: Literal["nan", "skip"] = "nan",
        patience: int | None = None,
        late: Literal["raise", "drop"] = "raise",
    ) -> BarClock:
        """Take bars of several symbols in the order in which they arrive.

        A row comes out when every symbol has shown its bar of a time, or a later one.

        Parameters
        ----------
        missing : {"nan", "skip"}, default "nan"
            At a time at which a symbol turns out to have no bar: give the row with NaN where that symbol is read, as
            :meth:`barproof.FeatureSet.compute` does, or give none; the bars that are there are taken either way.
        patience : int, optional
            A symbol that is so many bars behind the newest counts as having none. Default: wait for good.
        late : {"raise", "drop"}, default "raise"
            What to do with a bar of a time that was given up.

        Returns
        -------
        BarClock
            Around this stream, which should not be updated by anybody else from then on.

        Raises
        ------
        FeatureError
            If the features name no other symbol, or the interval of the stream is not known yet.
        """
        from barproof.features.bar_clock import BarClock

        return BarClock(self, missing=missing, patience=patience, late=late)

    def __reduce__(self) -> tuple[Any, ...]:
        with self._alone():
            self._check_sound()
            interval = None if self._interval_ms is None else format_interval(self._interval_ms)
            state = None if self._core is None else saved(self)
            steppers = [one.stepper for one in self._own]
            funding = settlements(self)
        return rebuilt, (self.features, interval, self._symbol, state, steppers, funding)

    def __repr__(self) -> str:
        clock = "" if self._interval_ms is None else f" of {format_interval(self._interval_ms)}"
        s = "s" * (len(self.features) != 1)
        return f"FeatureStream({len(self.features)} feature{s}, {self.bars:,} bars{clock})"
