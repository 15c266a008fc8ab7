"""`FeatureSet`: an ordered list of features, compiled to one graph."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._frames import times
from barproof._machine import thread_count
from barproof._progress import Progress
from barproof._shown import feature_rows, shown
from barproof.candles.interval import parse_interval
from barproof.errors import FeatureError, LayoutError, ParameterError
from barproof.features._telling import describe, explain, memory_facts
from barproof.features.own import OwnFeature
from barproof.features.presets import PRESETS
from barproof.features.tables import (
    Book,
    Dtype,
    Join,
    columns,
    fill,
    plan,
    windows,
    write_array,
    write_parquet,
)

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.features.streams import FeatureStream
    from barproof.features.verification import Verification

__all__ = ["FeatureSet"]


@shown(feature_rows)
class FeatureSet(Sequence[str]):
    """Features in order, computed as one graph: equal parts once.

    A feature is text such as ``"rsi(14)"``, ``"zscore(rsi(14), 100)"``, ``"macd(12, 26, 9).hist"``,
    ``"rsi(14)@1h"`` (last closed hour), ``"close@BTCUSDT"`` (another symbol), or one of your own
    (:func:`barproof.feature`). Functions and grammar: docs/features.md, or ``barproof features``. Where a function
    with several outputs names none, all of them join the set.

    Parameters
    ----------
    features : sequence of str or OwnFeature
        At least one, none twice.

    Attributes
    ----------
    names : tuple of str
        Canonical text of each feature, the names of the columns.
    digest : str
        Identity of the ordered names, 64 hexadecimal digits, as bundles keep it.

    Raises
    ------
    FeatureError
        If a feature cannot be read, is given twice, or names what does not exist; the nearest names are told.
    LayoutError
        If something else than text or an own feature is given.

    Examples
    --------
    >>> import barproof as bp
    >>> features = bp.FeatureSet(["log_return()", "rsi(14)", "rsi(14)@1h", "macd(12,26,9).hist"])
    >>> features.names
    ('log_return(1)', 'rsi(14)', 'rsi(14)@1h', 'macd(12, 26, 9).hist')
    >>> features.compute(bp.simulate_candles(7, bars=1_000)).shape
    (1000, 5)
    """

    def __init__(self, features: Sequence[str | OwnFeature]) -> None:
        given: Any = features._given if isinstance(features, FeatureSet) else features
        if isinstance(given, (str, OwnFeature)) or not isinstance(given, Sequence):
            raise LayoutError(f'`features` must be a list such as ["rsi(14)"], was {given!r}')
        if not given:
            raise FeatureError('`features` holds none: give at least one, such as ["rsi(14)"]')
        own: dict[str, OwnFeature] = {}
        for one in given:
            if isinstance(one, OwnFeature):
                if own.setdefault(one.name, one) != one:
                    raise FeatureError(
                        f"`features` holds two features of the name `{one.name}`: rename one"
                    )
            elif not isinstance(one, str):
                raise LayoutError(
                    f"`features` must hold texts or bp.feature(...), held {type(one).__name__}"
                )
        self._given: tuple[str | OwnFeature, ...] = tuple(given)
        self._own = tuple(own.values())
        self._graph: _core.FeatureGraph = _core.FeatureGraph([str(one) for one in given], list(own))
        self.names: tuple[str, ...] = tuple(self._graph.names)
        told: set[str] = set()
        for name in self.names:
            if name in told:
                raise FeatureError(f"feature `{name}` is given twice: keep one")
            told.add(name)

    @property
    def digest(self) -> str:
        """Identity of the ordered names."""
        return self._graph.digest

    @property
    def symbols(self) -> tuple[str, ...]:
        """Other symbols that features name."""
        return tuple(self._graph.symbols)

    @property
    def own(self) -> tuple[OwnFeature, ...]:
        """Features of the user's own."""
        return self._own

    @classmethod
    def preset(cls, name: str) -> FeatureSet:
        """Make one of the sets that come with barproof.

        Parameters
        ----------
        name : str
            ``"cross_market_20"``, ``"classifier_72"``, ``"gating_short_79"``, ``"gating_long_85"``, ``"gating_109"`` or
            ``"gating_171"``; docs/features.md says what each is. All need open, high, low, close and volume alone.

        Returns
        -------
        FeatureSet
            With as many features as its name says.

        Raises
        ------
        FeatureError
            If there is no such preset.

        Examples
        --------
        >>> import barproof as bp
        >>> len(bp.FeatureSet.preset("gating_171"))
        171
        """
        if not isinstance(name, str) or name not in PRESETS:
            near = get_close_matches(str(name), PRESETS, n=1)
            hint = f"; did you mean {near[0]}?" if near else f": there are {', '.join(PRESETS)}"
            raise FeatureError(f"there is no preset {name!r}{hint}")
        return cls(PRESETS[name].features)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> Any:
        return self.names[index]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FeatureSet):
            return NotImplemented
        return self.names == other.names and self._own == other._own

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Any, ...]:
        return FeatureSet, (self._given,)

    def __repr__(self) -> str:
        shown = ", ".join(repr(name) for name in self.names[:8])
        more = f", and {len(self) - 8} more" if len(self) > 8 else ""
        return f"FeatureSet([{shown}{more}])"

    @cached_property
    def memory(self) -> dict[str, tuple[str, int | None]]:
        """Memory of each feature in bars of the candles; see :meth:`facts`."""
        return {name: (kind, bars) for name, (kind, bars, _) in self.facts().items()}

    @cached_property
    def warmup(self) -> int:
        """Bars before every feature has its first value, at most; see :meth:`facts`."""
        return max(warmup for _, _, warmup in self.facts().values())

    def facts(self, interval: str | None = None) -> dict[str, tuple[str, int | None, int]]:
        """Memory and warm-up of each feature, in bars of the candles.

        Parameters
        ----------
        interval : str, optional
            Of the candles, such as ``"5m"``; needed where a feature names a longer one.

        Returns
        -------
        dict of str to (str, int or None, int)
            Name to kind of memory (``"finite"``, ``"fading"``, ``"cumulative"``), its bars (None where cumulative), and
            the bars before the first value, at most. Of a function of your own a whole memory may be undefined.

        Raises
        ------
        FeatureError
            If the interval is needed and not given, or a longer one is no multiple of it.

        Examples
        --------
        >>> import barproof as bp
        >>> bp.FeatureSet(["sma(20)", "obv()", "sma(20)@1h"]).facts("5m")
        {'sma(20)': ('finite', 20, 19), 'obv()': ('cumulative', None, 0), 'sma(20)@1h': ('finite', 252, 250)}
        """
        facts = self._told(interval)
        if facts is None:
            raise FeatureError(
                "memory and warm-up of features on longer bars are counted in bars of the candles: "
                'say how long those are, such as facts("5m")'
            )
        return dict(zip(self.names, facts, strict=True))

    def _told(self, interval: str | None) -> list[tuple[str, int | None, int]] | None:
        told = None if interval is None else parse_interval(interval)
        return self._graph.facts(told, [memory_facts(one.memory) for one in self._own])

    def describe(self, interval: str | None = None) -> pl.DataFrame:
        """List the features.

        Parameters
        ----------
        interval : str, optional
            Of the candles; without it features on longer bars have no memory and warm-up told.

        Returns
        -------
        polars.DataFrame
            Columns `feature`, `summary`, `memory`, `bars` (null where cumulative), `warmup`.

        Examples
        --------
        >>> import barproof as bp
        >>> bp.FeatureSet(["rsi(14)", "rsi(14)@1h"]).describe()["memory"].to_list()
        ['fading', None]
        """
        return describe(self, interval)

    def explain(self) -> str:
        """Say what each feature is made of, and what is shared.

        Returns
        -------
        str
            Features from the outside in, each formula once; outputs of one call stand together. Last the steps of the
            graph. Lines are up to 100 characters long.

        Examples
        --------
        >>> import barproof as bp
        >>> print(bp.FeatureSet(["zscore(volume, 50)@1h"]).explain())
        zscore(volume, 50)@1h: value of the last closed 1h bar
          zscore(volume, 50): Distance from the mean of the last bars in standard deviations
              (x - mean) / sd over the last period values, sd with ddof 0; NaN where they are all equal.
            volume: column of the candles
        1 feature in 2 steps
        """
        return explain(self)

    @overload
    def compute(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        symbol: str | None = ...,
        join: Join = ...,
        threads: int | None = ...,
        out: None = ...,
        progress: bool | Progress | None = ...,
    ) -> pl.DataFrame: ...
    @overload
    def compute(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        symbol: str | None = ...,
        join: Join = ...,
        threads: int | None = ...,
        out: str | os.PathLike[str],
        progress: bool | Progress | None = ...,
    ) -> pl.LazyFrame: ...
    def compute(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        symbol: str | None = None,
        join: Join = "left",
        threads: int | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: bool | Progress | None = False,
    ) -> pl.DataFrame | pl.LazyFrame:
        """Compute every feature for every bar.

        Parameters
        ----------
        candles : Candles or mapping of str to Candles
            Bars; of several symbols where features name them, or to compute for each.
        symbol : str, optional
            Of a mapping: whose rows alone. Default: those of every symbol, one below the other.
        join : {"left", "inner"}, default "left"
            Rows of all bars, or of those at whose time every symbol that features name has a bar. All bars are computed
            either way.
        threads : int, optional
            Worker threads; the bits do not depend on it. Default: ``BARPROOF_THREADS``, or all cores.
        out : str or path, optional
            Parquet file to write to, block by block: what does not fit memory. It appears when it is whole.
        progress : bool or callable, default False
            With `out`: a bar on stderr (None: on a terminal), or a function of rows done and rows in all.

        Returns
        -------
        polars.DataFrame
            `open_time` and one Float64 column a feature, one row a bar; for a mapping without `symbol` the column
            `symbol` comes first and symbols follow each other. Row t knows bars up to t. NaN where undefined: in the
            warm-up, and as docs/features.md says. With `out` the file as a polars.LazyFrame.

        Raises
        ------
        FeatureError
            If a symbol or column is missing, a timeframe is no multiple of the bars, or an own feature gives what it
            must not.
        FileError
            If the file cannot be written; what was there before stands.
        """
        books = plan(self, candles, symbol, join)
        named = isinstance(candles, Mapping) and symbol is None
        if out is not None:
            return write_parquet(self, books, out, named, threads, progress)
        frames = []
        for book in books:
            frame = self._frame(book, threads)
            if named:
                names = pl.Series("symbol", [book.symbol] * frame.height, dtype=pl.String)
                frame.insert_column(0, names)
            frames.append(frame)
        return frames[0] if len(frames) == 1 else pl.concat(frames)

    def _frame(self, book: Book, threads: int | None) -> pl.DataFrame:
        made = columns(len(book.candles), len(self.names))
        self._graph.compute(
            [(name, one._bars) for name, one in book.books.items()],
            [one.compute(book.candles) for one in self._own],
            made,
            threads=thread_count(threads),
        )
        if book.keep is not None:
            made = [column[book.keep] for column in made]
        series = [pl.Series(n, column) for n, column in zip(self.names, made, strict=True)]
        return pl.DataFrame([times(book.open_time).alias("open_time"), *series])

    def matrix(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        dtype: Dtype = "f32",
        symbol: str | None = None,
        join: Join = "left",
        threads: int | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: bool | Progress | None = False,
    ) -> NDArray[Any]:
        """Compute every feature as one array for models.

        The core writes into the array as it computes, so that it is all the memory that is taken; symbols and features
        run in parallel.

        Parameters
        ----------
        candles : Candles or mapping of str to Candles
            As for :meth:`compute`; symbols stand one below the other.
        dtype : {"f32", "f64"}, default "f32"
            Values are computed in f64 and rounded once.
        symbol, join, threads
            As for :meth:`compute`.
        out : str or path, optional
            ``.npy`` file to write to, block by block.
        progress : bool or callable, default False
            As for :meth:`compute`.

        Returns
        -------
        ndarray of shape (n_bars, n_features)
            Row-major; the same values as :meth:`compute`. With `out` the file as a read-only array, mapped into
            memory.
        """
        books = plan(self, candles, symbol, join)
        if out is not None:
            return write_array(self, books, out, dtype, threads, progress)
        return fill(self, books, dtype, threads, progress)

    def windows(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        length: int,
        dtype: Dtype = "f32",
        symbol: str | None = None,
        join: Join = "left",
        threads: int | None = None,
    ) -> NDArray[Any]:
        """Compute every feature, seen through windows of consecutive rows.

        Parameters
        ----------
        candles : Candles or mapping of str to Candles
            Of one symbol; a mapping where features name others, with `symbol`.
        length : int
            Rows of a window.
        dtype, symbol, join, threads
            As for :meth:`matrix`.

        Returns
        -------
        ndarray of shape (n_bars - length + 1, length, n_features)
            A read-only view of one :meth:`matrix`: window i ends at row i + length - 1, the bar that it may be used at.
            The first ``warmup`` windows touch the warm-up of the set, and windows that touch a NaN hold it. With
            ``join="inner"`` consecutive rows may be more than a bar apart.

        Raises
        ------
        ParameterError
            If there are fewer rows than `length`, or the rows of several symbols would stand in one window.

        Examples
        --------
        >>> import barproof as bp
        >>> features = bp.FeatureSet(["log_return()", "rsi(14)"])
        >>> features.windows(bp.simulate_candles(7, bars=1_000), length=120).shape
        (881, 120, 2)
        """
        books = plan(self, candles, symbol, join)
        if len(books) > 1:
            raise ParameterError(
                f"windows of {len(books)} symbols would run from one into the next: say whose rows, such as "
                f"symbol={books[0].symbol!r}, or put the features of all side by side with `on`"
            )
        return windows(fill(self, books, dtype, threads, False), length)

    def on(self, symbols: Sequence[str]) -> FeatureSet:
        """Put the same features of several symbols side by side, as cross-market models read them.

        Parameters
        ----------
        symbols : sequence of str
            In the order of their channels.

        Returns
        -------
        FeatureSet
            Every feature of the first symbol, then every feature of the second: ``rsi(14)@BTCUSDT``,
            ``rsi(14)@BTCUSDT/1h``. See :meth:`channels`.

        Raises
        ------
        FeatureError
            If a feature names a symbol already or is a function of your own, or a symbol cannot be written.
        LayoutError
            If `symbols` is no list of text.

        Examples
        --------
        >>> import barproof as bp
        >>> markets = bp.FeatureSet(["log_return()", "rsi(14)@1h"]).on(["BTCUSDT", "WLDUSDT"])
        >>> markets.names[2:]
        ('log_return(1)@WLDUSDT', 'rsi(14)@WLDUSDT/1h')
        >>> books = bp.simulate_candles(7, bars=500, symbols=["BTCUSDT", "WLDUSDT"])
        >>> markets.matrix(books, symbol="BTCUSDT").shape
        (500, 4)
        """
        if isinstance(symbols, str) or not isinstance(symbols, Sequence):
            raise LayoutError(
                f'`symbols` must be a list such as ["BTCUSDT", "ETHUSDT"], was {symbols!r}'
            )
        if not symbols:
            raise FeatureError("`symbols` holds none: give at least one, such as BTCUSDT")
        for symbol in symbols:
            if not isinstance(symbol, str):
                raise LayoutError(f"`symbols` must hold texts, held {symbol!r}")
        if self._own:
            raise FeatureError(
                f"feature `{self._own[0].name}` of your own lives on the candles' own bars and cannot be put on "
                f"symbols: compute it for each and join the tables"
            )
        return FeatureSet([text for symbol in symbols for text in self._graph.on(symbol)])

    def channels(self, symbol: str) -> tuple[int, ...]:
        """Positions of the features of another symbol.

        Parameters
        ----------
        symbol : str
            That features name outermost, as in ``rsi(14)@WLDUSDT``.

        Returns
        -------
        tuple of int
            Columns of :meth:`matrix`, counted from 0.

        Raises
        ------
        FeatureError
            If no feature names it so.

        Examples
        --------
        >>> import barproof as bp
        >>> bp.FeatureSet(["close", "volume"]).on(["BTC", "ETH", "WLD"]).channels("WLD")
        (4, 5)
        """
        found = tuple(k for k, of in enumerate(self._graph.of) if of == symbol)
        if not found:
            raise FeatureError(
                f"no feature is of {symbol!r}: the set names {', '.join(self.symbols) or 'no symbol'}"
            )
        return found

    def stream(self, interval: str | None = None, *, symbol: str | None = None) -> FeatureStream:
        """Compute the same bits bar by bar.

        Parameters
        ----------
        interval : str, optional
            Of the bars, such as ``"5m"``. Default: that of the first bar, if it comes from candles.
        symbol : str, optional
            Whose rows; needed where features name other symbols.

        Returns
        -------
        FeatureStream
            At its start.

        Raises
        ------
        FeatureError
            If a cumulative feature of your own has no `stream`.
        """
        from barproof.features.streams import FeatureStream

        return FeatureStream(self, interval, symbol)

    def verify(
        self,
        candles: Candles | Mapping[str, Candles],
        *,
        symbol: str | None = None,
        cuts: int = 59,
        seed: int = 0,
    ) -> Verification:
        """Hold every feature to the contract: no lookahead, memory and stream as declared.

        The set is computed again on candles that end at `cuts` random bars, and at a few early ones: 59 find a fault
        that touches one bar in twenty with probability 95%. Then from later starts, and bar by bar. Built-in features
        must give the same bits, features that rest on functions of your own the same values to 1e-9 of their size.

        Parameters
        ----------
        candles : Candles or mapping of str to Candles
            Bars to try it on, at least 10; a few thousand are enough, more than the longest memory are needed. A
            mapping where features name other symbols; these are cut at the same times.
        symbol : str, optional
            Of a mapping: whose rows. Default: the first.
        cuts : int, default 59
            Random bars to cut at.
        seed : int, default 0
            Chooses them.

        Returns
        -------
        Verification
            What was done, and what could not be.

        Raises
        ------
        LookaheadError
            If a value changes when later bars are taken away; names column, bar and both values.
        FeatureError
            If memory or stream are not as declared, or a function gives two answers or a wrong shape.
        ParameterError
            If there are fewer than 10 bars, or no cuts.
        """
        from barproof.features.verification import verify

        first = next(iter(candles), None) if isinstance(candles, Mapping) else None
        (book,) = plan(self, candles, first if symbol is None else symbol, "left")
        return verify(self, book, cuts, seed)
