"""`BarClock`: bars of several symbols as they arrive, and a row when every symbol has shown its bar."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from operator import index
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from barproof.errors import FeatureError, LayoutError, ParameterError

if TYPE_CHECKING:
    from barproof.features._bar_reading import BarLike
    from barproof.features.streams import FeatureStream

__all__ = ["BarClock", "TimedRow"]


class TimedRow(NamedTuple):
    """A row that came out of a :class:`BarClock`.

    Attributes
    ----------
    open_time : int
        Of the bars it is made of, milliseconds UTC.
    values : ndarray of shape (n_features,), float64
        In the order of the set; NaN where undefined.
    missing : tuple of str
        Symbols that had no bar at this time.
    """

    open_time: int
    values: NDArray[np.float64]
    missing: tuple[str, ...]


class BarClock:
    """Bars of several symbols in the order in which they arrive; made by :meth:`barproof.FeatureStream.gather`.

    A time is settled when every symbol has shown its bar of that time or a later one: bars of one symbol come in order,
    so that a later one says that there is none. Then the row of the stream's own symbol comes out, with the bits of
    :meth:`barproof.FeatureSet.compute`; at a time at which the own symbol has no bar, those of the others are taken
    and no row comes out. Threads may share it.

    Attributes
    ----------
    stream : FeatureStream
        What the bars go to.
    dropped : int
        Bars that came after their time was given up, with ``late="drop"``.
    """

    def __init__(
        self,
        stream: FeatureStream,
        *,
        missing: Literal["nan", "skip"],
        patience: int | None,
        late: Literal["raise", "drop"],
    ) -> None:
        for name, value, known in (
            ("missing", missing, ("nan", "skip")),
            ("late", late, ("raise", "drop")),
        ):
            if value not in known:
                raise ParameterError(f"`{name}` must be {' or '.join(known)}, was {value!r}")
        if patience is not None:
            if isinstance(patience, bool) or not isinstance(patience, SupportsIndex):
                raise LayoutError(f"`patience` must be a number of bars, was {patience!r}")
            if index(patience) < 1:
                raise ParameterError(f"`patience` must be at least 1 bar, was {patience}")
        if not stream.symbols:
            raise FeatureError(
                "gather(...) waits for several symbols, and the features name one: use update(...)"
            )
        if stream._interval_ms is None:
            raise FeatureError(
                'gather(...) needs the interval of the bars: make the stream with it, such as stream("5m", ...)'
            )
        self.stream = stream
        self.dropped = 0
        self._missing = missing
        self._patience = patience
        self._late = late
        self._waiting: dict[str, deque[tuple[int, Any]]] = {
            name: deque() for name in stream.symbols
        }
        self._newest: dict[str, int | None] = dict.fromkeys(stream.symbols)
        self._settled: int | None = None
        self._rows: list[TimedRow] = []
        self._lock = threading.RLock()

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols that are waited for, the one whose rows come out first."""
        return self.stream.symbols

    @property
    def waiting(self) -> dict[str, int]:
        """Bars of each symbol that wait for the others."""
        return {name: len(bars) for name, bars in self._waiting.items()}

    def push(self, bars: Mapping[str, BarLike]) -> list[TimedRow]:
        """Take closed bars of any of the symbols.

        Parameters
        ----------
        bars : mapping of str to bar
            As for :meth:`barproof.FeatureStream.update`; those of one symbol in time order, otherwise in any.

        Returns
        -------
        list of TimedRow
            Rows that are complete now, in time order; often none, several after a symbol was waited for.

        Raises
        ------
        FeatureError
            If a symbol is not among those named, a bar comes twice, late or is not sound; none of the bars is taken
            then.
        LayoutError
            If something is no bar.
        """
        if not isinstance(bars, Mapping):
            raise LayoutError(
                f"`bars` must be a dict of symbol to bar, was {type(bars).__name__}: such as {{'BTCUSDT': bar}}"
            )
        with self._lock:
            taken: list[tuple[str, int, Any]] = []
            dropped = 0
            for name, bar in bars.items():
                time = self._checked(name, bar)
                if time is None:
                    dropped += 1
                else:
                    taken.append((name, time, bar))
            self.dropped += dropped
            for name, time, bar in taken:
                self._waiting[name].append((time, bar))
                self._newest[name] = time
            return self._release(everything=False)

    def flush(self) -> list[TimedRow]:
        """Give up waiting: what has no bar so far has none.

        Returns
        -------
        list of TimedRow
            As :meth:`push`, for every time of which a bar is there.
        """
        with self._lock:
            return self._release(everything=True)

    def _checked(self, name: str, bar: Any) -> int | None:
        """Time of a sound bar; None where it is late and dropped."""
        symbols = self.stream.symbols
        if name not in symbols:
            raise FeatureError(
                f"push(...) takes bars of {', '.join(symbols)}, was given {name!r}: leave it out"
            )
        waiting = (held for _, held in self._waiting[name])
        one = self.stream._read(symbols.index(name), bar, waiting)
        time = int(one[1][0])
        if self._settled is not None and time <= self._settled:
            if self._late == "drop":
                return None
            raise FeatureError(
                f"bar of {name} at {time} ms comes after the row of {self._settled} ms came out: wait longer with a "
                f'larger `patience`, or leave late bars out with late="drop"'
            )
        last, step = self._newest[name], self.stream._known()
        if last is not None and time < last + step:
            raise FeatureError(
                f"bar of {name} at {time} ms comes less than one interval after the last one at {last} ms: "
                f"give each closed bar once, in time order"
            )
        self.stream._core.check(*one)
        return time

    def _release(self, *, everything: bool) -> list[TimedRow]:
        """Step the stream through all times that no waiting symbol can add to; their rows."""
        mine = self.stream.symbols[0]
        while True:
            heads = {name: bars[0] for name, bars in self._waiting.items() if bars}
            if not heads:
                break
            time = min(at for at, _ in heads.values())
            if not everything and any(self._may_come(name, time) for name in self._waiting):
                break
            there = {name: bar for name, (at, bar) in heads.items() if at == time}
            if mine in there:
                absent = tuple(name for name in self._waiting if name not in there)
                values = self.stream.update(there)
                if not absent or self._missing == "nan":
                    self._rows.append(TimedRow(time, values, absent))
            else:
                self.stream.feed(there)
            for name in there:
                self._waiting[name].popleft()
            self._settled = time
        # Where the stream refused to go on, rows before that wait for the next call.
        rows, self._rows = self._rows, []
        return rows

    def _may_come(self, name: str, time: int) -> bool:
        """Whether a bar of this time is still waited for."""
        last = self._newest[name]
        if last is not None and last >= time:
            return False
        if self._patience is None:
            return True
        newest = max(at for at in self._newest.values() if at is not None)
        return newest < time + self._patience * self.stream._known()

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            state = (
                dict(self._waiting),
                dict(self._newest),
                self._settled,
                self._rows,
                self.dropped,
            )
            policy = (self._missing, self._patience, self._late)
            return _rebuild, (self.stream, policy, state)

    def __repr__(self) -> str:
        held = sum(self.waiting.values())
        return f"BarClock({len(self.symbols)} symbols, {held} bars waiting, {self.stream.bars:,} taken)"


def _rebuild(stream: FeatureStream, policy: tuple[Any, ...], state: tuple[Any, ...]) -> BarClock:
    missing, patience, late = policy
    clock = BarClock(stream, missing=missing, patience=patience, late=late)
    clock._waiting, clock._newest, clock._settled, clock._rows, clock.dropped = state
    return clock
