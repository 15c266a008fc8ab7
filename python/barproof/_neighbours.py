"""Who stands beside whom in a table of combinations, and the plateaus they form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._frames import METRICS
from barproof._sweep_job import RANGE
from barproof.candles.table import Ints
from barproof.errors import ParameterError

__all__ = ["Axis", "Floats", "Neighbours", "floats"]

Floats: TypeAlias = NDArray[np.float64]

APART = ("signals", "symbol")
"""Columns whose values are no step of a rule away from each other: another model, another market."""

SCALE = 1 << 16
"""Length of an axis where distances are measured: whole numbers, so that ties are exact."""

BLOCK = 1 << 15
"""Combinations looked at together, which bounds the memory."""

BALLS = 1 << 10
"""Combinations whose surroundings are searched together."""

UNKNOWN = -2
"""In place of a neighbour that was not searched yet."""


def floats(series: pl.Series) -> Floats:
    """Values as floats, null as NaN."""
    return series.cast(pl.Float64).fill_null(float("nan")).to_numpy()


@dataclass(frozen=True, eq=False)
class Axis:
    """Levels along which combinations differ; fields that vary together are one axis.

    Levels are counted class by class. A class holds the levels that share their choices, in the order of their numbers;
    steps are taken within it. Where nothing but choices varies, every other level is one step away.
    """

    names: list[str]
    # Level of each combination.
    level: Ints
    # Of each level: its class, its place there, and whether it is an outermost one.
    kind: Ints
    place: Ints
    edge: NDArray[np.bool_]
    # All levels are beside each other.
    choices: bool

    @property
    def levels(self) -> int:
        """How many levels the axis has."""
        return len(self.kind)

    @cached_property
    def beside(self) -> Ints:
        """Levels one step away, a row a level; -1 where there is none."""
        n = self.levels
        if self.choices:
            every = np.tile(np.arange(n), (n, 1))
            return every[~np.eye(n, dtype=bool)].reshape(n, n - 1)
        up = np.append(np.where(self.kind[1:] == self.kind[:-1], np.arange(1, n), -1), -1)
        down = np.append(-1, np.where(self.kind[1:] == self.kind[:-1], np.arange(n - 1), -1))
        return np.column_stack([down, up])

    @cached_property
    def spots(self) -> Floats:
        """Where levels lie, a row each: distances along the coordinates add up to those between the levels.

        The first is the place, on a scale that is the same for every axis; the others set classes one length apart.
        """
        longest = np.bincount(self.kind)[self.kind] - 1
        place = np.rint(SCALE * self.place / np.maximum(longest, 1))
        kinds = self.kind[:, None] == np.unique(self.kind)
        return (
            np.column_stack([place, kinds * (SCALE / 2)]) if kinds.shape[1] > 1 else place[:, None]
        )


class Neighbours:
    """Who stands beside whom in a table of combinations.

    Parameters
    ----------
    table : polars.DataFrame
        One row a combination, with its axes; further columns of a sweep's pooled frame may be there.
    groups : list of list of str
        Fields that vary together.
    """

    def __init__(self, table: pl.DataFrame, groups: Sequence[Sequence[str]]) -> None:
        self._n = table.height
        known = {name for group in groups for name in group}
        known |= {"combination", "pooling", *(row["name"] for row in METRICS)}
        known |= {f"{metric}_{way}" for metric, way in RANGE}
        away = [c for c in table.columns if c not in known or c in APART]
        self._island = _codes(table.select(away)) if away else np.zeros(self._n, np.int64)
        named = [[name for name in group if name not in APART] for group in groups]
        self.axes = [axis for group in named if group for axis in _axes(table.select(group))]
        self._varying = [axis for axis in self.axes if axis.levels > 1]
        self._sorted = self._keys()
        self.steps = self._has_steps()

    @property
    def rule(self) -> str:
        """How neighbours are found, in words."""
        return "one step along one axis" if self.steps else f"{self.nearest} nearest by rank"

    @property
    def nearest(self) -> int:
        """Neighbours of a combination where there are no steps: as many as an inner one of a product has."""
        return 2 * len(self._varying)

    def _keys(self) -> tuple[Ints, Ints, Ints] | None:
        """Each combination as one number, with its order; None if the numbers would be too large."""
        room = (int(self._island.max(initial=0)) + 1) * int(
            np.prod([float(axis.levels) for axis in self._varying])
        )
        if room > 1 << 62:
            return None
        key = self._island.copy()
        for axis in self._varying:
            key = key * axis.levels + axis.level
        order = np.argsort(key, kind="stable")
        return key, key[order], order

    def _has_steps(self) -> bool:
        """Tell whether at least half of the combinations have a neighbour along every axis that they could have."""
        if self._sorted is None:
            return False
        # A sample of a large table tells as much.
        rows = np.unique(np.linspace(0, self._n - 1, min(self._n, BLOCK)).astype(np.int64))
        full = np.ones(len(rows), dtype=bool)
        for axis, found in self._along(rows):
            could = (axis.beside[axis.level[rows]] >= 0).any(axis=1)
            full &= (found >= 0).any(axis=1) | ~could
        return bool(full.mean() >= 0.5) if len(rows) else True

    def _along(self, rows: Ints) -> Iterator[tuple[Axis, Ints]]:
        """Neighbours of rows, axis by axis; -1 where there is none."""
        assert self._sorted is not None
        key, keys, order = self._sorted
        stride = 1
        for axis in reversed(self._varying):
            here = axis.level[rows]
            to = axis.beside[here]
            wanted = key[rows][:, None] + (to - here[:, None]) * stride
            at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
            yield axis, np.where((to >= 0) & (keys[at] == wanted), order[at], -1)
            stride *= axis.levels

    def of(self, rows: Ints) -> Ints:
        """Neighbours of combinations by row of the table, one row each; -1 fills up."""
        if self.steps:
            found = [one for _, one in self._along(rows)]
            return np.hstack(found) if found else np.full((len(rows), 0), -1, np.int64)
        missing = rows[self._near[rows, 0] == UNKNOWN] if self._near.size else rows[:0]
        for start in range(0, len(missing), BALLS):
            self._search(missing[start : start + BALLS])
        return self._near[rows].astype(np.int64)

    @cached_property
    def _near(self) -> NDArray[np.int32]:
        """Nearest of those rows that were asked for so far: they are the same in every fold."""
        return np.full((self._n, min(self.nearest, self._n - 1)), UNKNOWN, np.int32)

    @cached_property
    def _islands(self) -> list[tuple[Ints, Floats, Any]]:
        """Rows that may be neighbours, with their coordinates and a tree over them."""
        from scipy.spatial import cKDTree

        spots = np.hstack([axis.spots[axis.level] for axis in self._varying])
        out = []
        for island in range(int(self._island.max()) + 1):
            members = np.flatnonzero(self._island == island)
            out.append((members, spots[members], cKDTree(spots[members])))
        return out

    def _search(self, rows: Ints) -> None:
        """Find the nearest of these rows; of those at one distance the lower numbers."""
        near = self._near
        for island, (members, spots, tree) in enumerate(self._islands):
            some = rows[self._island[rows] == island]
            k = min(near.shape[1], len(members) - 1)
            near[some] = -1
            if not len(some) or not k:
                continue
            at = np.searchsorted(members, some)
            # Itself is among the k + 1. Distances are whole numbers, and half of one is no distance.
            far = tree.query(spots[at], k=[k + 1], p=1)[0][:, 0]
            balls = tree.query_ball_point(spots[at], far + 0.5, p=1)
            for row, here, ball in zip(some, at, balls, strict=True):
                others = np.sort(np.array(ball, np.int64))
                others = others[others != here]
                distance = np.abs(spots[others] - spots[here]).sum(axis=1)
                near[row, :k] = members[others[np.argsort(distance, kind="stable")[:k]]]

    def check(self, what: str) -> None:
        """Refuse a table in which nobody has a neighbour."""
        if self._n and not self._varying:
            raise ParameterError(
                f"{what} needs combinations that stand beside each other, but no number or choice of the grid varies: "
                "give it an axis"
            )

    @cached_property
    def edge(self) -> NDArray[np.bool_]:
        """Combinations on an outermost level of an axis."""
        out = np.zeros(self._n, dtype=bool)
        for axis in self._varying:
            out |= axis.edge[axis.level]
        return out

    def plateau(self, goodness: Floats, rows: Ints | None = None) -> tuple[Floats, Ints]:
        """Medians over combinations and their neighbours, and how many neighbours there were.

        Parameters
        ----------
        goodness : ndarray
            More is better; NaN is undefined and counts as worse than any value.
        rows : ndarray, optional
            Rows that are wanted. Default: all.

        Returns
        -------
        tuple of ndarray
            Medians, NaN where the combination, the median or every neighbour is missing; and counts.
        """
        rows = np.arange(self._n) if rows is None else rows
        # Places among the values that occur; 0 is undefined, so that it sorts lowest.
        values = np.unique(goodness[~np.isnan(goodness)])
        code = np.where(np.isnan(goodness), 0, np.searchsorted(values, goodness) + 1)
        absent = len(values) + 1
        padded, values = np.append(code, absent), np.append(np.nan, values)
        medians, counts = np.empty(len(rows)), np.empty(len(rows), np.int64)
        for start in range(0, len(rows), BLOCK):
            some = rows[start : start + BLOCK]
            beside = self.of(some)
            count = (beside >= 0).sum(axis=1)
            around = np.sort(np.column_stack([code[some], padded[beside]]), axis=1)
            every = np.arange(len(some))
            low, high = around[every, count // 2], around[every, (count + 1) // 2]
            with np.errstate(invalid="ignore"):
                middle = np.where(low == high, values[low], 0.5 * values[low] + 0.5 * values[high])
            middle[(code[some] == 0) | (low == 0) | (count == 0)] = np.nan
            medians[start : start + BLOCK], counts[start : start + BLOCK] = middle, count
        return medians, counts


def _codes(frame: pl.DataFrame) -> Ints:
    """Give equal rows equal numbers, in the order in which they come first."""
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault(row, len(seen)) for row in frame.iter_rows()], np.int64)


def _axes(frame: pl.DataFrame) -> list[Axis]:
    """Axes that the columns of one group span: one, if their levels follow each other, else several."""
    whole = _axis(frame)
    if whole is not None:
        return [whole]
    found: list[tuple[list[str], Axis]] = []
    for name in frame.columns:
        for i, (names, axis) in enumerate(found):
            joined = _axis(frame.select([*names, name]))
            alone = _axis(frame.select(name))
            assert alone is not None
            if joined is not None and joined.levels == axis.levels == alone.levels:
                found[i] = ([*names, name], joined)
                break
        else:
            alone = _axis(frame.select(name))
            assert alone is not None
            found.append(([name], alone))
    return [axis for _, axis in found]


def _axis(frame: pl.DataFrame) -> Axis | None:
    """Columns as one axis; None if their numbers do not rise and fall together."""
    numbers = [c for c in frame.columns if frame[c].dtype.is_numeric() or frame[c].dtype == pl.Null]
    picks = [c for c in frame.columns if c not in numbers]
    ranks = {c: _ranks(frame[c]) for c in numbers}
    sides = _codes(frame.select(picks)) if picks else np.zeros(frame.height, np.int64)
    columns = [sides, *ranks.values()]
    rows, level = _distinct(np.column_stack(columns))
    kind = rows[:, 0]
    first = np.append(True, kind[1:] != kind[:-1]) if len(rows) else np.zeros(0, bool)
    within = ~first[1:]
    for column in rows.T[1:]:
        change = np.diff(column)[within]
        if (change < 0).any() and (change > 0).any():
            return None
    n = len(rows)
    starts = np.flatnonzero(first)
    place = np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))
    sizes = np.bincount(kind, minlength=1)
    choices = bool(picks) and bool((sizes == 1).all()) and n > 1
    edge = np.zeros(n, dtype=bool)
    if not choices:
        last = place == sizes[kind] - 1
        edge = (first | last) & (sizes[kind] > 2) & ~_natural(frame, numbers, level, n)
    return Axis(frame.columns, level, kind, place, edge, choices)


def _distinct(table: Ints) -> tuple[Ints, Ints]:
    """Distinct rows in order, and which of them each row is; numpy's own sorts rows as bytes, ten times slower."""
    order = np.lexsort(table.T[::-1])
    ordered = table[order]
    new = np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1))[: len(table)]
    at = np.empty(len(table), np.int64)
    at[order] = np.cumsum(new) - 1
    return ordered[new], at


def _ranks(series: pl.Series) -> Ints:
    """Places of numbers among those that occur; None is the last: no stop is the widest, no threshold the highest."""
    missing = series.is_null().to_numpy()
    values = floats(series)
    distinct = np.unique(values[~missing])
    return np.where(missing, len(distinct), np.searchsorted(distinct, values))


def _natural(frame: pl.DataFrame, numbers: list[str], level: Ints, n: int) -> NDArray[np.bool_]:
    """Levels beyond which there is nothing: a rule that is off, or a value at the bound of its field."""
    bounds = {row["name"]: str(row["bound"]) for row in _core.rules_table()}
    out = np.zeros(n, dtype=bool)
    for name in numbers:
        series = frame[name]
        values = floats(series)
        ends = series.is_null().to_numpy()
        bound = bounds.get(name, "")
        for pattern in (r">= (\d+)", r"\[(\d+)", r"(\d+)\]"):
            if match := re.search(pattern, bound):
                ends = ends | (values == float(match[1]))
        out[level[ends]] = True
    return out
