"""Cross-validation in time: every row is judged, and what shares a bar with a judged row trains nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof._axis import Axis, Length, Moment
from barproof._folds import Fold, Layout, span_ends
from barproof.candles.table import Ints
from barproof.errors import LayoutError, ParameterError, WindowError

__all__ = ["CrossSplits", "cut", "free_rows", "group_paths", "whole"]


def cut(n: int, groups: int, name: str) -> Ints:
    """Edges of groups of consecutive rows, as even as they can be."""
    if groups > n:
        raise WindowError(f"`{name}` is {groups}, but the data have {n:,} rows: take fewer")
    return np.array([n * i // groups for i in range(groups + 1)], dtype=np.int64)


def whole(name: str, value: object, low: int, high: int) -> int:
    """Check a count."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise LayoutError(f"`{name}` must be a whole number, was {value!r}")
    if not low <= value <= high:
        raise ParameterError(f"`{name}` must be from {low} to {high:,}, was {value}")
    return int(value)


def free_rows(judged: NDArray[np.bool_], ends: Ints, axis: Axis, embargo: Length) -> Ints:
    """Rows that share no bar with a judged one, and lie behind none within the embargo.

    Bars of a row run from the row itself, where its features are known, to the last one of its label. Judged rows of
    one block touch, so their bars are those from its first row to the end of its longest label.
    """
    n = len(judged)
    reach = np.maximum(ends, np.arange(n))
    free = ~judged
    edges = np.flatnonzero(np.diff(np.concatenate([[False], judged, [False]])))
    for first, stop in edges.reshape(-1, 2):
        last = int(reach[first:stop].max())
        resumes = last + 1 + embargo.rows
        if embargo.kind == "duration":
            # From the end of the last bar on, whatever hole comes after it.
            at = axis.moment(last)
            over = Moment(at.base, at.months, at.offset + axis.interval)
            resumes = axis.row(axis.move(over, embargo, 1))
        free[(reach >= first) & (np.arange(n) < resumes)] = False
    return np.flatnonzero(free).astype(np.int64)


class CrossSplits(ABC):
    """What the splitters below share: purging by labels that the splitter holds, or that `folds` is given."""

    labels: Any
    embargo: int | str

    @abstractmethod
    def _tests(self, n: int) -> list[Ints]:
        """Test rows of each fold."""

    def _embargo(self) -> Length:
        return Length.read("embargo", self.embargo, least=0)

    def _layout(self, data: Any) -> tuple[int, list[Layout]]:
        """Count the folds, as the protocol asks; test parts need not be consecutive here."""
        axis = self._axis(data)
        return axis.n, [((0, 0), None, (0, 0))] * len(self._tests(axis.n))

    def _axis(self, data: Any) -> Axis:
        timed = self._embargo().kind == "duration"
        return Axis.of(data, f"`embargo` of {self.embargo!r}" if timed else None)

    def folds(self, data: Any, labels: Any = None) -> list[Fold]:
        """Folds whose train rows share no bar with a test row.

        A row's bars run from itself to the last one of its label. Train rows may lie on both sides of the test rows;
        those behind them also keep away from them by the embargo. There are no tune rows.

        Parameters
        ----------
        data : Candles, frame or array of n rows
            Candles or a frame with `open_time`; anything with a length if the embargo is in bars.
        labels : object with `start` and `end`, or pair of array_like of shape (n,), optional
            First and last bar of each row's label. Default: those of the splitter; without any nothing is purged but
            the embargo, and ``fold.purged`` is None.

        Returns
        -------
        list of Fold
            In the order of the test groups, numbered from 0.

        Raises
        ------
        ShapeError, LayoutError, ParameterError
            If spans are not one a row, or an argument is out of bounds.
        WindowError
            If there are more groups than rows, or purging leaves no train row.
        """
        axis = self._axis(data)
        given = self.labels if labels is None else labels
        ends = np.arange(axis.n) if given is None else span_ends(given, axis.n)
        embargo = self._embargo()
        out = []
        for number, test in enumerate(self._tests(axis.n)):
            judged = np.zeros(axis.n, dtype=bool)
            judged[test] = True
            train = free_rows(judged, ends, axis, embargo)
            if not len(train):
                raise WindowError(
                    f"no train row of fold {number} is left: labels and the embargo of {self.embargo!r} reach all "
                    f"{axis.n - len(test):,}; take fewer groups or a shorter embargo"
                )
            purged = None if given is None else axis.n - len(test) - len(train)
            out.append(Fold(number, train, np.empty(0, dtype=np.int64), test, purged=purged))
        return out


def group_paths(groups: int, tests: int) -> list[list[int]]:
    """Fold that judges each group, path by path: every fold serves each of its groups in one path."""
    served: list[list[int]] = [[] for _ in range(groups)]
    for number, chosen in enumerate(combinations(range(groups), tests)):
        for group in chosen:
            served[group].append(number)
    return [list(path) for path in zip(*served, strict=True)]
