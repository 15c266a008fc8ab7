"""Feature sets over whole candles: whose rows, arrays that the core fills in place, files written in blocks."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._frames import TIME, times
from barproof._machine import thread_count
from barproof._progress import Progress, reporter
from barproof._whole import whole
from barproof.errors import FeatureError, FileError, LayoutError, ParameterError
from barproof.features.rooms import HUGE_PAGE, rooms

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.features.sets import FeatureSet

__all__ = ["Book", "columns", "fill", "plan", "windows", "write_array", "write_parquet"]

Dtype = Literal["f32", "f64"]
Join = Literal["left", "inner"]
# Rows are made and written in blocks of about this size, whole blocks of the core.
_BLOCK_BYTES = 32 * 2**20
_BLOCK_ROWS = 2048
_GROUP_BLOCKS = 4
# Small columns share arrays of about this size, which stay as long as one of them does; a room may be larger by a bit.
_SHARED = 26 * 2**20
# Of this size many fit the memory that a process keeps for itself.
_SMALL = 64 * 2**10


@dataclass(frozen=True)
class Book:
    """A symbol whose rows are wanted.

    Attributes
    ----------
    symbol : str
        Its name.
    candles : Candles
        Its bars.
    books : dict of str to Candles
        Its own candles first, then every other symbol's.
    keep : ndarray of int64 or None
        Bars that get a row; None: all.
    """

    symbol: str
    candles: Candles
    books: dict[str, Candles]
    keep: NDArray[np.int64] | None

    @property
    def open_time(self) -> NDArray[np.int64]:
        """Opening times of the rows."""
        return self.candles.open_time if self.keep is None else self.candles.open_time[self.keep]


def plan(features: FeatureSet, candles: Any, symbol: str | None, join: str) -> list[Book]:
    """Say whose rows a table has.

    Parameters
    ----------
    features : FeatureSet
        The set.
    candles : Candles or mapping of str to Candles
        Bars.
    symbol : str or None
        Whose rows alone; None: those of every symbol, one below the other.
    join : {"left", "inner"}
        Rows of all bars, or of those at whose time every symbol that features name has one.

    Returns
    -------
    list of Book
        In the order of the rows.
    """
    if join not in ("left", "inner"):
        raise ParameterError(f'`join` must be "left" or "inner", was {join!r}')
    if symbol is not None and not isinstance(symbol, str):
        raise LayoutError(f"`symbol` must be text such as ETHUSDT, was {symbol!r}")
    many = isinstance(candles, Mapping)
    books = _checked(candles) if many else {one_of(candles).symbol: candles}
    if symbol is not None and symbol not in books:
        raise FeatureError(
            f"`symbol` {symbol!r} is not among the candles of {', '.join(books)}: name one of them"
        )
    wanted = list(books) if symbol is None else [symbol]
    return [
        Book(name, books[name], {name: books[name], **books}, _kept(features, name, books, join))
        for name in wanted
    ]


def _kept(
    features: FeatureSet, symbol: str, books: Mapping[str, Candles], join: str
) -> NDArray[np.int64] | None:
    """Bars at whose time every symbol that features name has a bar; None where that is all."""
    if join == "left":
        return None
    mine = books[symbol].open_time
    there = np.ones(len(mine), dtype=bool)
    for name in features.symbols:
        if name in books and name != symbol:
            there &= np.isin(mine, books[name].open_time, assume_unique=True)
    return None if there.all() else np.flatnonzero(there)


def one_of(candles: Any) -> Candles:
    """Candles and nothing else."""
    from barproof.candles import Candles

    if not isinstance(candles, Candles):
        raise LayoutError(
            f"`candles` must be Candles or a dict of them by symbol, was {type(candles).__name__}"
        )
    return candles


def _checked(candles: Mapping[str, Candles]) -> dict[str, Candles]:
    if not candles:
        raise ParameterError("`candles` holds none: give a dict of candles by symbol")
    for name in candles:
        if not isinstance(name, str):
            raise LayoutError(f"`candles` must have symbols as keys, had {name!r}: give text")
    return {name: one_of(one) for name, one in candles.items()}


def _table(features: FeatureSet, books: list[Book], threads: int | None) -> Any:
    """Give the core what it fills arrays from."""
    given = [
        (
            [(name, candles._bars) for name, candles in book.books.items()],
            [one.compute(book.candles) for one in features.own],
            book.keep,
        )
        for book in books
    ]
    return features._graph.table(given, threads=thread_count(threads))


def fill(
    features: FeatureSet,
    books: list[Book],
    dtype: str,
    threads: int | None,
    progress: bool | Progress | None,
) -> NDArray[Any]:
    """Compute rows into one array, which nothing is copied to."""
    table = _table(features, books, threads)
    out = rooms.array((table.rows, table.width), _dtype(dtype))
    cells = table.rows * table.width
    with reporter(progress, table.rows, "features") as report:
        table.fill(out, columns=False, progress=_counted(report, 0, table.rows, cells))
    return out


def columns(rows: int, count: int) -> list[NDArray[np.float64]]:
    """Make empty columns for the core to fill.

    Fresh memory in small pages costs more than the arithmetic. So small columns lie side by side in one array, which
    then gets huge pages, and large arrays lie in memory that earlier results have left (`barproof.features.rooms`).

    Parameters
    ----------
    rows : int
        Numbers of a column.
    count : int
        Number of columns.

    Returns
    -------
    list of ndarray of float64
        Contiguous; some may share an array.
    """
    if 8 * rows < _SMALL:
        return [np.empty(rows) for _ in range(count)]
    shared = 1
    if 8 * rows < 2 * HUGE_PAGE:
        shared = max(1, _SHARED // (8 * max(rows, 1)))
    made = [
        rooms.array((min(shared, count - first), rows), np.float64)
        for first in range(0, count, shared)
    ]
    return [column for room in made for column in room]


def _dtype(dtype: str) -> Any:
    if dtype not in ("f32", "f64"):
        raise ParameterError(f'`dtype` must be "f32" or "f64", was {dtype!r}')
    return np.float32 if dtype == "f32" else np.float64


def _counted(
    report: Progress | None, before: int, rows: int, cells: int
) -> Callable[[int], None] | None:
    """Turn cells that the core counts into rows, after those that were there before."""
    if report is None:
        return None
    width = cells / max(rows, 1)
    return lambda done: report(min(rows, before + int(done / width)), rows)


def _blocks(width: int, itemsize: int) -> int:
    """Rows of a block."""
    rows = _BLOCK_BYTES // (max(width, 1) * itemsize)
    return max(_BLOCK_ROWS, rows // _BLOCK_ROWS * _BLOCK_ROWS)


@contextlib.contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a file, which takes its place when all is written."""
    try:
        with whole(path) as temporary:
            yield temporary
    except OSError as error:
        raise FileError(
            f"`out` {str(path)!r} cannot be written: {error.strerror or error}; choose a folder with room and write "
            "permission"
        ) from error


def _target(out: Any, suffix: str, what: str) -> Path:
    if not isinstance(out, (str, os.PathLike)):
        raise LayoutError(f"`out` must be a path, was {type(out).__name__}")
    path = Path(out)
    if path.suffix.lower() != suffix:
        raise ParameterError(
            f"`out` must end in {suffix}, which holds {what}, was {str(path)!r}: rename it"
        )
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise FileError(f"`out` {str(path)!r} is a folder or lies in none: name a file in one")
    return path


def write_array(
    features: FeatureSet,
    books: list[Book],
    out: Any,
    dtype: str,
    threads: int | None,
    progress: bool | Progress | None,
) -> NDArray[Any]:
    """Compute rows into a ``.npy`` file, block by block; the file as a read-only array."""
    path, kind = _target(out, ".npy", "an array"), np.dtype(_dtype(dtype))
    table = _table(features, books, threads)
    rows = _blocks(table.width, kind.itemsize)
    head = {"descr": kind.str, "fortran_order": False, "shape": (table.rows, table.width)}
    with (
        reporter(progress, table.rows, "features") as report,
        _whole_file(path) as temporary,
        temporary.open("wb") as file,
    ):
        np.lib.format.write_array_header_1_0(file, head)
        for _, _, block in _filled(table, rows, kind, False, report):
            file.write(block.data)
    if table.rows == 0:
        return np.load(path)  # type: ignore[no-any-return]
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _filled(
    table: Any, rows: int, dtype: Any, columns: bool, report: Progress | None
) -> Iterator[tuple[int, int, NDArray[Any]]]:
    """Fill one block after the other: first row, number of rows, and the block.

    Each is an array of its own, as polars may still hold the one before.
    """
    before, cells = 0, table.rows * table.width
    while before < table.rows:
        count = min(rows, table.rows - before)
        block = rooms.array((table.width, count) if columns else (count, table.width), dtype)
        told = _counted(report, before, table.rows, cells)
        table.fill(block, columns=columns, progress=told)
        yield before, count, block
        before += count


def each_block(
    features: FeatureSet, books: list[Book], threads: int | None
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """First row and columns of one block after the other, each in the memory of the one before.

    A table that is only looked at once is so read from the cache, and never asks the system for its pages.
    """
    table = _table(features, books, threads)
    rows = _blocks(table.width, 8)
    block = np.empty((table.width, min(rows, table.rows)))
    for first in range(0, table.rows, rows):
        count = min(rows, table.rows - first)
        if count < block.shape[1]:
            block = np.empty((table.width, count))
        table.fill(block, columns=True, progress=None)
        yield first, block


def write_parquet(
    features: FeatureSet,
    books: list[Book],
    out: Any,
    named: bool,
    threads: int | None,
    progress: bool | Progress | None,
) -> pl.LazyFrame:
    """Compute the table of `FeatureSet.compute` into a Parquet file, block by block; the file as a lazy frame."""
    path = _target(out, ".parquet", "columns")
    table = _table(features, books, threads)
    rows = _blocks(table.width, 8)
    schema: dict[str, Any] = {"symbol": pl.String} if named else {}
    schema |= {"open_time": TIME, **dict.fromkeys(features.names, pl.Float64)}
    starts = np.cumsum([0, *(len(book.open_time) for book in books)])
    with reporter(progress, table.rows, "features") as report, _whole_file(path) as temporary:
        if table.rows == 0:
            pl.DataFrame(schema=schema).write_parquet(temporary)
        else:
            with _Sink(temporary, schema, _GROUP_BLOCKS * rows) as sink:
                for first, count, block in _filled(table, rows, np.float64, True, report):
                    head = _heads(books, starts, first, count, named)
                    values = zip(features.names, block, strict=True)
                    sink.put(pl.DataFrame([*head, *(pl.Series(n, column) for n, column in values)]))
    return pl.scan_parquet(path)


def _heads(
    books: list[Book], starts: NDArray[np.int64], first: int, count: int, named: bool
) -> list[pl.Series]:
    """Symbol and time of the rows of a block."""
    clocks, names = [], []
    for k, book in enumerate(books):
        low, high = max(first, starts[k]), min(first + count, starts[k + 1])
        if low < high:
            clocks.append(book.open_time[low - starts[k] : high - starts[k]])
            names.append(pl.repeat(book.symbol, int(high - low), dtype=pl.String, eager=True))
    time = times(np.concatenate(clocks)).alias("open_time")
    return [pl.concat(names).alias("symbol"), time] if named else [time]


class _Sink:
    """A Parquet file that takes frames one after the other; polars writes on a thread of its own."""

    def __init__(self, path: Path, schema: dict[str, Any], group: int) -> None:
        self._path, self._schema, self._group = path, schema, group
        self._frames: queue.Queue[pl.DataFrame | None] = queue.Queue(maxsize=1)
        self._error: BaseException | None = None
        self._given_up = False
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> _Sink:
        self._thread.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._given_up = kind is not None
        self._hand(None)
        self._thread.join()
        if self._error is not None and kind is None:
            raise self._error

    def put(self, frame: pl.DataFrame) -> None:
        """Take the next rows."""
        self._hand(frame)
        if self._error is not None:
            raise self._error

    def _hand(self, frame: pl.DataFrame | None) -> None:
        while self._thread.is_alive():
            try:
                self._frames.put(frame, timeout=0.1)
                return
            except queue.Full:
                continue

    def _write(self) -> None:
        """Write frames to a Parquet file as they come; runs on a thread of its own."""
        from polars.io.plugins import register_io_source

        def source(*_: Any) -> Iterator[pl.DataFrame]:
            while (frame := self._frames.get()) is not None:
                yield frame
            if self._given_up:
                raise InterruptedError

        try:
            lazy = register_io_source(source, schema=self._schema)
            lazy.sink_parquet(self._path, row_group_size=self._group)
        except BaseException as error:
            self._error = error


def windows(matrix: NDArray[Any], length: int) -> NDArray[Any]:
    """Look at an array of rows through windows, without a copy.

    Parameters
    ----------
    matrix : ndarray of shape (n_bars, n_features)
        Row-major, as :meth:`barproof.FeatureSet.matrix` gives it.
    length : int
        Rows of a window, from 1 to n_bars.

    Returns
    -------
    ndarray of shape (n_bars - length + 1, length, n_features)
        A read-only view: window i holds rows i to i + length - 1, oldest first, so it ends at (and knows nothing
        beyond) bar i + length - 1, which is the bar that its label belongs to. NaN stands where the rows have it: of a
        set whose warm-up is w, window w is the first without any of it.

    Raises
    ------
    LayoutError
        If the array has not two dimensions, or `length` is no whole number.
    ParameterError
        If it holds no window of that length.

    Examples
    --------
    >>> import numpy as np
    >>> view = windows(np.arange(8.0).reshape(4, 2), 3)
    >>> view.shape
    (2, 3, 2)
    >>> view[1]
    array([[2., 3.],
           [4., 5.],
           [6., 7.]])
    """
    if not isinstance(matrix, np.ndarray) or matrix.ndim != 2:
        what = (
            f"{matrix.ndim} dimensions" if isinstance(matrix, np.ndarray) else type(matrix).__name__
        )
        raise LayoutError(
            f"`matrix` must be an array of rows, was {what}: give features.matrix(...)"
        )
    if isinstance(length, bool) or not isinstance(length, (int, np.integer)):
        raise LayoutError(f"`length` of windows must be a whole number of rows, was {length!r}")
    if not 1 <= length <= len(matrix):
        raise ParameterError(
            f"`length` of windows must be from 1 to the {len(matrix):,} rows there are, was {length}"
        )
    view = np.lib.stride_tricks.sliding_window_view(matrix, int(length), axis=0)
    return view.transpose(0, 2, 1)
