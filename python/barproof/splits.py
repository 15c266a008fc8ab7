"""Splits in time: which rows train, which tune, which judge.

A fold is laid out from left to right as train, gap, tune, gap, test. Rows whose label reaches a later part are
dropped (*purged*); a label may end inside the gap.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from itertools import combinations, count, pairwise
from math import comb
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof._axis import DAY, Axis, Length, Moment, read_time
from barproof._cross import CrossSplits, cut, group_paths, whole
from barproof._folds import Fold, Layout, RowRange, make_fold, rows_digest, span_ends
from barproof.candles.table import Ints, show_time
from barproof.errors import LayoutError, ParameterError, WindowError

__all__ = [
    "CombinatorialPurged",
    "DateSplit",
    "Fold",
    "PurgedKFold",
    "WalkForward",
    "rows_digest",
    "uniqueness",
]

Bound: TypeAlias = str | date | datetime | None


class _Splitter(ABC):
    """scikit-learn's protocol, and folds with purging, over a layout of row ranges."""

    @abstractmethod
    def _layout(self, data: Any) -> tuple[int, list[Layout]]:
        """Count of rows, and their ranges in each fold."""

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: ARG002, N803
        """Train and test rows of each fold, as scikit-learn asks for them.

        Tune rows and gaps are in neither. Nothing is purged, as labels come without spans here: set `gap` to the
        labels' length or more, or give ``cv=[(fold.train, fold.test) for fold in splitter.folds(data, labels)]``.

        Parameters
        ----------
        X : Candles, frame or array of n rows
            Candles or a polars or pandas frame with `open_time`; if no length is a duration or date, anything with
            a length.
        y, groups : ignored
            Part of the protocol.

        Yields
        ------
        train, test : ndarray of shape (n_rows,), int64
            Consecutive row numbers, read-only.

        Raises
        ------
        LayoutError
            If times are needed and `X` has none.
        ParameterError
            If times do not increase, or a length is less than a bar.
        WindowError
            If the data are too short for one fold.
        """
        for fold in self.folds(X):
            yield fold.train, fold.test

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: ARG002, N803
        """Count the folds.

        Parameters
        ----------
        X : Candles, frame or array of n rows
            As for :meth:`split`; needed, because lengths are fixed and the number of folds follows.
        y, groups : ignored
            Part of the protocol.

        Returns
        -------
        int
            Folds that :meth:`split` gives.
        """
        return len(self._layout(X)[1])

    def folds(self, data: Any, labels: Any = None) -> list[Fold]:
        """Folds with their tune rows, purged by label spans.

        A train row is dropped if its label's last bar is the first row of the next part or later; so is a tune row
        that reaches test, and a row of the first half of tune, which calibrates, that reaches the second. A label may
        end inside the gap.

        Parameters
        ----------
        data : Candles, frame or array of n rows
            As for :meth:`split`.
        labels : object with `start` and `end`, or pair of array_like of shape (n,), optional
            First and last bar that each row's label looks at, both included, int; -1 and -1 where a row has no label.
            Default: nothing is purged, and ``fold.purged`` is None.

        Returns
        -------
        list of Fold
            In time order, numbered from 0.

        Raises
        ------
        ShapeError
            If there is not one span a row.
        ParameterError
            If a label ends before it starts, or starts before its row.
        LayoutError
            If spans are no bar numbers, or times are needed and `data` has none.
        WindowError
            If the data are too short for one fold, or purging leaves nothing of a part.
        """
        n, layout = self._layout(data)
        ends = None if labels is None else span_ends(labels, n)
        rows = np.arange(n)
        return [make_fold(i, rows, parts, ends) for i, parts in enumerate(layout)]

    def __repr__(self) -> str:
        default = {f.name: f.default for f in fields(self)}  # type: ignore[arg-type]
        shown = [(name, getattr(self, name)) for name in default]
        inner = ", ".join(f"{name}={v!r}" for name, v in shown if v != default[name])
        return f"{type(self).__name__}({inner})"


@dataclass(frozen=True, repr=False)
class WalkForward(_Splitter):
    """Folds that walk forward through time: train, then tune, then test, then on by `step`.

    Lengths are bars (whole numbers, counted in rows), fractions of the rows (floats between 0 and 1, rounded down) or
    durations: ``m h d w``, and ``mo q y`` by the calendar. Durations are measured on `open_time` from the first bar,
    so that holes shorten a part and never shift the next one; months are taken from the first bar's day, the 31st
    becoming the last day of a shorter month. A test part is complete or it is left out; folds in which a hole
    swallows a whole part are left out too.

    Parameters
    ----------
    train : int, float or str
        Rows that fit the model.
    test : int, float or str
        Rows that judge, just after them.
    tune : int, float or str, optional
        Rows between train and test, out of sample to the model, that calibrate it and choose rules. Default: none.
    step : int, float or str, optional
        From one test part's start to the next's, of the same kind as `test`. Default: `test`.
    gap : int or str, default 0
        Bars, or a duration, dropped before tune and before test. Where the other lengths are durations and the gap is
        in bars, train and tune end at the gap and are measured back from there.
    anchored : bool, default False
        Train from the first row on, growing.

    Attributes
    ----------
    overlapping : bool
        Whether test parts may share rows, `step` being shorter than `test`.

    Raises
    ------
    ParameterError
        If a length is not positive, no duration or no fraction, or `step` is of another kind than `test`.
    LayoutError
        If a length is neither number nor text.

    Examples
    --------
    >>> WalkForward(train=6, tune=2, test=3, gap=1).folds(range(16))
    [Fold(0: train 0..5 (6 rows), tune 7..8 (2 rows), test 10..12 (3 rows)),
     Fold(1: train 3..8 (6 rows), tune 10..11 (2 rows), test 13..15 (3 rows))]
    >>> WalkForward(train="60d", tune="10d", test="5d")
    WalkForward(train='60d', test='5d', tune='10d')
    """

    train: int | float | str
    test: int | float | str
    tune: int | float | str | None = None
    step: int | float | str | None = None
    gap: int | str = 0
    anchored: bool = False

    def __post_init__(self) -> None:
        lengths = self._lengths()
        if lengths["step"].kind != lengths["test"].kind:
            raise ParameterError(
                f"`step` is {self.step!r} and `test` {self.test!r}: give both in bars, as fractions or as durations"
            )
        if not isinstance(self.anchored, (bool, np.bool_)):
            raise ParameterError(f"`anchored` must be True or False, was {self.anchored!r}")

    def _lengths(self) -> dict[str, Length]:
        given = {"train": self.train, "tune": self.tune, "test": self.test, "step": self.step}
        read = {name: Length.read(name, v) for name, v in given.items() if v is not None}
        read.setdefault("step", read["test"])
        return {**read, "gap": Length.read("gap", self.gap, least=0)}

    @property
    def overlapping(self) -> bool:
        """Whether test parts may share rows: `step` is shorter than `test`."""
        step, test = self._lengths()["step"], self._lengths()["test"]
        if step.months and not test.months:
            return step.months * 28 * DAY < test.ms
        if test.months and not step.months:
            return step.ms < test.months * 31 * DAY
        return (step.rows, step.fraction, step.months, step.ms) < (
            test.rows,
            test.fraction,
            test.months,
            test.ms,
        )

    def _layout(self, data: Any) -> tuple[int, list[Layout]]:
        read = self._lengths()
        timed = [n for n, length in read.items() if length.kind == "duration" and n != "step"]
        axis = Axis.of(data, f"`{timed[0]}` of {getattr(self, timed[0])!r}" if timed else None)
        given = {name: getattr(self, name) for name in read}
        given["step"] = self.test if self.step is None else self.step
        lengths = {
            name: length.on(axis, name, given[name]) if given[name] != 0 else length
            for name, length in read.items()
        }
        train, test, step, gap = (lengths[name] for name in ("train", "test", "step", "gap"))
        tune = lengths.get("tune")
        found: list[Layout] = []
        first: int | Moment = 0
        first = axis.move(first, train, 1)
        if tune is not None:
            first = axis.move(axis.move(first, gap, 1), tune, 1)
        first = axis.move(first, gap, 1)
        needed = axis.row(axis.move(first, test, 1))
        if needed > axis.n:
            raise WindowError(
                f"one fold of {self!r} needs {needed:,} bars, but the data have {axis.n:,}: shorten its parts"
            )
        for k in count():
            start = axis.move(first, step, k)
            stop = axis.row(axis.move(start, test, 1))
            if stop > axis.n:
                break
            # Backwards from the test part: its place is fixed, whatever bars the gap meets.
            edge = axis.move(start, gap, -1)
            middle: RowRange | None = None
            if tune is not None:
                begin = axis.move(edge, tune, -1)
                middle = axis.row(begin), axis.row(edge)
                edge = axis.move(begin, gap, -1)
            begin = 0 if self.anchored else axis.move(edge, train, -1)
            parts = (max(axis.row(begin), 0), axis.row(edge)), middle, (axis.row(start), stop)
            if all(part is None or part[0] < part[1] for part in parts):
                found.append(parts)
        if not found:
            raise WindowError(
                f"no fold of {self!r} has rows in all its parts: the data have holes as long as a part"
            )
        return axis.n, found


@dataclass(frozen=True, repr=False, kw_only=True)
class DateSplit(_Splitter):
    """One fold by dates.

    Parameters
    ----------
    train, tune, test : pair of (str, date or datetime)
        Start and end by opening time, the end left out; times without a zone are UTC. `tune` is optional. The first
        start and the last end may be None, the data's own. Parts stand in order and share no time; what lies between
        them is a gap.

    Raises
    ------
    LayoutError
        If a part is no pair of times.
    ParameterError
        If a text is no time.
    WindowError
        If parts are out of order or overlap.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=1_000, interval="1h")
    >>> DateSplit(train=(None, "2022-01-21"), test=("2022-02-01", None)).folds(candles)
    [Fold(0: train 0..479 (480 rows), no tune, test 744..999 (256 rows))]
    """

    train: tuple[Bound, Bound]
    tune: tuple[Bound, Bound] | None = None
    test: tuple[Bound, Bound] = field()

    def __post_init__(self) -> None:
        bounds = self._bounds()
        last: tuple[str, int] | None = None
        names = list(bounds)
        for name, pair in bounds.items():
            for which, at in zip(("start", "end"), pair, strict=True):
                open_end = (name, which) in ((names[0], "start"), (names[-1], "end"))
                here = f"{which} of `{name}`"
                if at is None and not open_end:
                    raise WindowError(
                        f"{here} is None: only the first part's start and the last one's end may be open"
                    )
                if at is None:
                    continue
                if last is not None and (at < last[1] or (at == last[1] and which == "end")):
                    raise WindowError(
                        f"{here} is {show_time(at)}, but {last[0]} is {show_time(last[1])}: parts stand in order and "
                        "share no time"
                    )
                last = here, at

    def _bounds(self) -> dict[str, tuple[int | None, int | None]]:
        given = {"train": self.train, "tune": self.tune, "test": self.test}
        return {name: _pair(name, part) for name, part in given.items() if part is not None}

    def _layout(self, data: Any) -> tuple[int, list[Layout]]:
        axis = Axis.of(data, "DateSplit")
        assert axis.times is not None
        found: dict[str, RowRange] = {}
        for name, (a, b) in self._bounds().items():
            start = 0 if a is None else int(np.searchsorted(axis.times, a, side="left"))
            stop = axis.n if b is None else int(np.searchsorted(axis.times, b, side="left"))
            if start >= stop:
                raise WindowError(
                    f"`{name}` {getattr(self, name)!r} holds no rows: the data have {axis.n:,}, from "
                    f"{show_time(axis.times[0])} to {show_time(axis.times[-1])}"
                )
            found[name] = start, stop
        return axis.n, [(found["train"], found.get("tune"), found["test"])]


@dataclass(frozen=True, repr=False)
class PurgedKFold(CrossSplits, _Splitter):
    """K folds of consecutive rows; train rows are all others that share no bar with a test row.

    Models are judged on rows older than some that trained them, so the result says how well something can be learned,
    and not what trading it would have earned: for that there is :class:`WalkForward`.

    Parameters
    ----------
    k : int, default 5
        Folds, at least 2; parts differ by a row at most.
    embargo : int or str, default 0
        Bars, or a duration such as ``"1d"``, left out behind the last bar of the test labels. Windows of a sequence
        model and slow features reach back into test rows: give their length.
    labels : object with `start` and `end`, or pair of array_like of shape (n,), optional
        Spans that :meth:`split` purges by where scikit-learn calls it; :meth:`folds` takes its own.

    Raises
    ------
    ParameterError, LayoutError
        If a length is out of bounds or of the wrong type.

    Notes
    -----
    M. Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 7.

    Examples
    --------
    >>> start = np.arange(12)
    >>> for fold in PurgedKFold(3, embargo=1).folds(range(12), (start, start + 1)):
    ...     print(fold.train, fold.test)
    [ 6  7  8  9 10 11] [0 1 2 3]
    [ 0  1  2 10 11] [4 5 6 7]
    [0 1 2 3 4 5 6] [ 8  9 10 11]
    """

    k: int = 5
    embargo: int | str = 0
    labels: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        whole("k", self.k, 2, 10_000)
        self._embargo()

    def _tests(self, n: int) -> list[Ints]:
        edges = cut(n, self.k, "k")
        return [np.arange(a, b) for a, b in pairwise(edges.tolist())]


@dataclass(frozen=True, repr=False)
class CombinatorialPurged(CrossSplits, _Splitter):
    """Every choice of some of the groups judges once; together the folds make several paths through all rows.

    Parameters
    ----------
    groups : int, default 6
        Groups of consecutive rows, at least 2.
    tests : int, default 2
        Groups that judge in a fold, at least 1 and fewer than `groups`.
    embargo : int or str, default 0
        As for :class:`PurgedKFold`, behind every run of test groups.
    labels : object with `start` and `end`, or pair of array_like of shape (n,), optional
        As for :class:`PurgedKFold`.

    Raises
    ------
    ParameterError, LayoutError
        If a length is out of bounds or of the wrong type, or there would be more than 10,000 folds.

    Notes
    -----
    There are C(groups, tests) folds and C(groups - 1, tests - 1) paths. M. Lopez de Prado, "Advances in Financial
    Machine Learning", 2018, chapter 12.

    Examples
    --------
    >>> splitter = CombinatorialPurged(4, 2)
    >>> splitter.get_n_splits(range(8))
    6
    >>> [[fold for fold, _ in path] for path in splitter.paths(range(8))]
    [[0, 0, 1, 2], [1, 3, 3, 4], [2, 4, 5, 5]]
    """

    groups: int = 6
    tests: int = 2
    embargo: int | str = 0
    labels: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        whole("groups", self.groups, 2, 10_000)
        whole("tests", self.tests, 1, self.groups - 1)
        if comb(self.groups, self.tests) > 10_000:
            raise ParameterError(
                f"`groups` {self.groups} and `tests` {self.tests} make {comb(self.groups, self.tests):,} folds, more "
                "than 10,000: take fewer"
            )
        self._embargo()

    def _tests(self, n: int) -> list[Ints]:
        edges = cut(n, self.groups, "groups")
        return [
            np.concatenate([np.arange(edges[g], edges[g + 1]) for g in chosen])
            for chosen in combinations(range(self.groups), self.tests)
        ]

    def paths(self, data: Any) -> list[list[tuple[int, Ints]]]:
        """Ways through all rows, each row judged once by a model that has not seen it.

        Parameters
        ----------
        data : Candles, frame or array of n rows
            As for :meth:`folds`.

        Returns
        -------
        list of list of (int, ndarray)
            For each path the number of the fold that judges each group, and the group's rows, in time order.
        """
        n = self._axis(data).n
        edges = cut(n, self.groups, "groups")
        return [
            [(fold, np.arange(edges[g], edges[g + 1])) for g, fold in enumerate(path)]
            for path in group_paths(self.groups, self.tests)
        ]


def uniqueness(labels: Any, *, rows: Any = None) -> NDArray[np.float64]:
    """Weigh labels by how much of them is theirs alone.

    The mean over a label's bars of 1 / (labels alive at the bar): 1 where nothing overlaps, 1/h for labels of h bars at
    every bar. Their sum is the number of independent labels that they are worth.

    Parameters
    ----------
    labels : object with `start` and `end`, or pair of array_like of shape (n,)
        First and last bar of each row's label, both included; -1 and -1 where there is none.
    rows : array_like of int, optional
        Rows that count, such as ``fold.train``. Default: all.

    Returns
    -------
    ndarray of shape (n,), or of `rows`
        Above 0, at most 1; NaN where there is no label. As ``sample_weight`` of scikit-learn.

    Raises
    ------
    ShapeError, LayoutError, ParameterError
        If spans are not one a row, or run backward.

    Notes
    -----
    M. Lopez de Prado, "Advances in Financial Machine Learning", 2018, chapter 4.

    Examples
    --------
    >>> uniqueness(([0, 1, 4], [2, 3, 4]))
    array([0.66666667, 0.66666667, 1.        ])
    """
    first = np.asarray(labels.start if hasattr(labels, "start") else labels[0])
    end = span_ends(labels, len(first))
    at = np.arange(len(end)) if rows is None else np.asarray(rows, dtype=np.int64)
    start, stop = first[at].astype(np.int64), end[at]
    there = stop >= 0
    weights = np.full(len(at), np.nan)
    if not there.any():
        return weights
    a, b = start[there], stop[there] + 1
    length = int(b.max())
    alive = np.cumsum(np.bincount(a, minlength=length + 1) - np.bincount(b, minlength=length + 1))[
        :length
    ]
    share = np.divide(1.0, alive, out=np.zeros(length), where=alive > 0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    weights[there] = (total[b] - total[a]) / (b - a)
    return weights


def _pair(name: str, part: Any) -> tuple[int | None, int | None]:
    if not isinstance(part, (tuple, list)) or len(part) != 2:
        raise LayoutError(f"`{name}` must be a pair (start, end) of times, was {part!r}")
    return read_time(f"start of `{name}`", part[0]), read_time(f"end of `{name}`", part[1])
