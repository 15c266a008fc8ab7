"""Hold features to their contract: no lookahead, memory and stream as declared.

Built-in features must give the same bits, functions of the user's own the same values to 1e-9 of their size: library
sums may be grouped by the length of an array. Where a memory fades, what is left of an old value is small against that
value, which may be larger than all that came after: there the tolerance widens by the range of the market.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import index
from typing import TYPE_CHECKING, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from barproof.candles.interval import format_interval
from barproof.candles.table import show_time
from barproof.errors import FeatureError, LayoutError, LookaheadError, ParameterError

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.features.sets import FeatureSet
    from barproof.features.tables import Book

__all__ = ["Verification", "first_difference", "verify"]

Rows = NDArray[np.float64]
_TOLERANCE = 1e-9
_STARTS = 7
_STREAMED = 300
_LEAST = 10
_FOR_OWN = "use bars up to t alone: no shift(-k), no centred window, no statistics over all rows"
_BUG = "this is a bug of barproof, please report it"


@dataclass(frozen=True)
class Verification:
    """What :meth:`barproof.FeatureSet.verify` did; it raises where something is wrong.

    Attributes
    ----------
    features, bars : int
        Columns held, and bars they were held on.
    cuts : int
        Ends at which the set was computed again.
    starts : int
        Later starts from which it was computed again.
    streamed : int
        Bars that were taken one by one; 0 where the set cannot be streamed.
    not_held : tuple of str
        Features whose memory could not be held to anything: it is as long as the candles, or has no end.
    """

    features: int
    bars: int
    cuts: int
    starts: int
    streamed: int
    not_held: tuple[str, ...] = ()

    def __repr__(self) -> str:
        left = [f"memory of {', '.join(self.not_held)}"] if self.not_held else []
        left += [] if self.streamed else ["stream"]
        held = [] if len(self.not_held) == self.features else ["memory"]
        held += ["stream"] if self.streamed else []
        text = f"no lookahead, {' and '.join(held)} as declared" if held else "no lookahead"
        free = f"; not tried: {', '.join(left)}" if left else ""
        count = f"{self.features} feature{'s' * (self.features != 1)} over {self.bars:,} bars"
        return f"Verification({count}: {text}{free})"


def first_difference(a: Rows, b: Rows, tolerance: float, scale: float = 0.0) -> int | None:
    """First row in which two columns differ: in bits where the tolerance is 0, else relatively.

    Parameters
    ----------
    a, b : ndarray of shape (n,)
        Columns; NaN equals NaN.
    tolerance : float
        Relative; 0 asks for equal bits.
    scale : float, default 0.0
        Least size that differences are relative to.

    Returns
    -------
    int or None
        Row, counted from 0; None if there is none.
    """
    missing = np.isnan(a) != np.isnan(b)
    with np.errstate(invalid="ignore", over="ignore"):
        if tolerance:
            size = np.maximum(np.maximum(np.abs(a), np.abs(b)), scale)
            moved = np.abs(a - b) > tolerance * size
        else:
            moved = (a != b) | (np.signbit(a) != np.signbit(b))
            moved &= ~(np.isnan(a) & np.isnan(b))
    rows = np.flatnonzero(missing | moved)
    return int(rows[0]) if len(rows) else None


@dataclass(frozen=True)
class _Column:
    """A column and what it is held to."""

    number: int
    name: str
    own: bool
    kind: str
    bars: int | None
    scale: float
    swing: float

    def differs(self, a: Rows, b: Rows, *, faded: bool = False) -> int | None:
        """First row in which two tables differ, in this column; `faded`: one has forgotten what the other knows."""
        a, b = a[:, self.number], b[:, self.number]
        if faded and self.kind == "fading":
            return first_difference(a, b, _TOLERANCE * self.swing, self.scale)
        return first_difference(a, b, _TOLERANCE if self.own else 0.0, self.scale)


class _Market:
    """Candles of one symbol, and of the others that features name, cut at the same times."""

    def __init__(self, features: FeatureSet, book: Book) -> None:
        self.features = features
        self.symbol = book.symbol
        self.candles = book.candles
        self.others = {name: book.books[name] for name in features.symbols if name in book.books}
        self.others.pop(book.symbol, None)
        self._books = book.books

    def whole(self) -> Rows:
        """Every row."""
        return self._rows(self._books)

    def until(self, end: int) -> Rows:
        """Rows of the first `end` bars, where nothing later is known of any symbol."""
        last = self.candles.open_time[end - 1]
        cut = {
            name: one[: int(np.searchsorted(one.open_time, last, side="right"))]
            for name, one in self.others.items()
        }
        return self._rows({**cut, self.symbol: self.candles[:end]})

    def since(self, start: int) -> Rows:
        """Rows from bar `start` on, where nothing earlier is known of any symbol."""
        first = self.candles.open_time[start]
        cut = {
            name: one[int(np.searchsorted(one.open_time, first)) :]
            for name, one in self.others.items()
        }
        return self._rows({**cut, self.symbol: self.candles[start:]})

    def _rows(self, books: Mapping[str, Candles]) -> Rows:
        return self.features.matrix(books, dtype="f64", symbol=self.symbol)

    @cached_property
    def common(self) -> NDArray[np.int64]:
        """For each bar, how many up to it and with it stand at times at which every symbol has one."""
        there = np.ones(len(self.candles), dtype=bool)
        for one in self.others.values():
            there &= np.isin(self.candles.open_time, one.open_time)
        return np.cumsum(there)

    def after(self, start: int, bars: int) -> int:
        """First bar at which every symbol has shown so many bars since bar `start`; as many as there are if none.

        A window over bars of one symbol may look at another one from within, so that only times that all have count.
        """
        before = int(self.common[start - 1]) if start else 0
        return int(np.searchsorted(self.common, before + bars))


def verify(features: FeatureSet, book: Book, cuts: int, seed: int) -> Verification:
    """See :meth:`barproof.FeatureSet.verify`."""
    candles = book.candles
    n = len(candles)
    if n < _LEAST:
        raise ParameterError(f"`candles` hold {n} bars: verify needs at least {_LEAST}")
    for name, value, least in (("cuts", cuts, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, SupportsIndex):
            raise LayoutError(f"`{name}` must be a whole number, was {value!r}")
        if index(value) < least:
            raise ParameterError(f"`{name}` must be at least {least}, was {value}")
    market = _Market(features, book)
    whole = market.whole()
    # What the user wrote stands before what rests on it, so that errors name the cause.
    names = {one.name for one in features.own}
    columns = sorted(_columns(features, candles, whole), key=lambda c: c.name not in names)
    again = market.whole()
    for column in columns:
        row = first_difference(whole[:, column.number], again[:, column.number], 0.0)
        if row is not None:
            k = column.number
            raise FeatureError(
                f"feature `{column.name}` gives two answers for the same candles, first at bar {row}: "
                f"{whole[row, k]} and {again[row, k]}; it must not keep a state or draw random numbers"
            )
    rng = np.random.default_rng(seed)
    # The first bars are where warm-ups are filled from behind; few random ends come near them.
    early = [end for k in range(n.bit_length()) if (end := (_LEAST // 2) << k) < n]
    ends = np.unique(np.r_[rng.integers(_LEAST // 2, n, size=cuts), early, n - 1])
    _hold_to_the_past(market, whole, ends, columns)
    starts, held = _hold_to_memory(market, whole, rng, columns)
    streamed = _hold_to_stream(market, whole, columns)
    free = tuple(column.name for column in columns if column.number not in held)
    return Verification(len(features), n, len(ends), starts, streamed, free)


def _columns(features: FeatureSet, candles: Candles, whole: Rows) -> Iterator[_Column]:
    """Facts of each column that comparisons need: its memory, whose it is, its scale."""
    names = {one.name for one in features.own}
    facts = features.facts(format_interval(candles.interval_ms)).values()
    prices = _swing(np.r_[candles.high, candles.low])
    volumes = _swing(candles.volume)
    for k, (name, (kind, bars, _)) in enumerate(zip(features.names, facts, strict=True)):
        parts = features._graph.explain(k)
        yield _Column(
            number=k,
            name=name,
            own=any(text in names for _, text, *_ in parts),
            kind=kind,
            bars=bars,
            scale=_size(whole[:, k]),
            swing=max(prices, volumes) if "volume" in name else prices,
        )


def _swing(values: Rows) -> float:
    """Ratio of the largest value to the smallest that is not 0."""
    known = values[values > 0.0]
    return float(known.max() / known.min()) if len(known) else 1.0


def _size(column: Rows) -> float:
    """Typical size of a column, so that a value near 0 is not held to 1e-9 of itself; spikes do not widen it."""
    known = column[~np.isnan(column)]
    return float(np.median(np.abs(known))) if len(known) else 0.0


def _hold_to_the_past(
    market: _Market,
    whole: Rows,
    ends: NDArray[np.int64],
    columns: list[_Column],
) -> None:
    """Refuse a column that changes where later bars are taken away."""
    found: list[tuple[int, int, int, float]] = []
    for end in ends.tolist():
        part = market.until(end)
        for place, column in enumerate(columns):
            row = column.differs(whole[:end], part)
            if row is not None:
                found.append((row, place, end, float(part[row, column.number])))
    if found:
        row, place, end, cut = min(found)
        column, candles = columns[place], market.candles
        raise LookaheadError(
            f"feature `{column.name}` looks ahead: at bar {row} ({show_time(candles.open_time[row])}) it is "
            f"{whole[row, column.number]} with {len(candles) - end} later bars and {cut} where the candles end at bar "
            f"{end - 1}; {_FOR_OWN if column.own else _BUG}"
        )


def _hold_to_memory(
    market: _Market,
    whole: Rows,
    rng: np.random.Generator,
    columns: list[_Column],
) -> tuple[int, set[int]]:
    """Compute from later starts; their number, and the columns that could be held to one."""
    n = len(market.candles)
    found: set[int] = set()
    held: set[int] = set()
    # Every length of memory gets starts that leave room for it.
    for bars in sorted({column.bars for column in columns if column.bars is not None}):
        if n - bars >= 1:
            found.update(rng.integers(1, n - bars + 1, size=_STARTS).tolist())
    for start in sorted(found):
        part = market.since(start)
        for column in columns:
            k = column.number
            # A value rests on its own bar and the ones before: the first whole memory ends `bars - 1` rows on.
            if column.bars is None or (skip := market.after(start, column.bars)) >= n:
                continue
            held.add(k)
            row = column.differs(whole[skip:], part[skip - start :], faded=True)
            if row is not None:
                at = skip + row
                remedy = "declare a longer memory, or none that ends" if column.own else _BUG
                raise FeatureError(
                    f"feature `{column.name}` remembers more than the declared {column.kind}({column.bars}): at bar "
                    f"{at} it is {whole[at, k]}, and {part[at - start, k]} where the candles begin at bar {start}; "
                    f"{remedy}"
                )
    return len(found), held


def _hold_to_stream(market: _Market, whole: Rows, columns: list[_Column]) -> int:
    """Refuse a column whose stream gives other values than its table; how many bars were streamed."""
    features, candles = market.features, market.candles
    if any(one.stream is None and one.memory.bars is None for one in features.own):
        return 0
    n = len(candles)
    if features.own:
        # Long enough to fill what the longest function of the user's own is given.
        longest = max((one.memory.bars or 1) for one in features.own)
        first, last = 0, min(n, 2 * _STREAMED + longest)
    else:
        first, last = max(0, n - _STREAMED), n
    streamed = _streamed(market, first, last)
    for column in columns:
        # A function without `stream=` knows the last bars alone, so that it may have forgotten.
        row, k = column.differs(whole[:last], streamed, faded=column.own), column.number
        if row is not None:
            # Every streamed bar is an end too: what differs may be a lookahead that no cut met.
            _hold_to_the_past(market, whole, np.array([row + 1]), columns)
            remedy = "mend its `stream=`, or declare the memory that its function has"
            raise FeatureError(
                f"feature `{column.name}` gives other values bar by bar: at bar {row} it is {whole[row, k]} in the "
                f"table and {streamed[row, k]} in the stream; {remedy if column.own else _BUG}"
            )
    return last - first


def _streamed(market: _Market, first: int, last: int) -> Rows:
    """Rows of the stream: many bars at once up to `first`, then one by one."""
    candles = market.candles
    stream = market.features.stream(format_interval(candles.interval_ms), symbol=market.symbol)
    if not market.others:
        rows = [stream.update_many(candles[:first])] if first else []
        rows.extend(stream.update(candles[i])[None, :] for i in range(first, last))
        return np.concatenate(rows)
    rows, at = [], dict.fromkeys(market.others, 0)
    if first:
        end = candles.open_time[first - 1]
        for name, one in market.others.items():
            at[name] = int(np.searchsorted(one.open_time, end, side="right"))
        past = {name: one[: at[name]] for name, one in market.others.items()}
        rows.append(stream.update_many({**past, market.symbol: candles[:first]}))
    clock = stream.gather()
    for i in range(first, last):
        for name, one in market.others.items():
            while at[name] < len(one) and one.open_time[at[name]] <= candles.open_time[i]:
                rows.extend(row.values[None, :] for row in clock.push({name: one[at[name]]}))
                at[name] += 1
        rows.extend(row.values[None, :] for row in clock.push({market.symbol: candles[i]}))
    rows.extend(row.values[None, :] for row in clock.flush())
    return np.concatenate(rows)
