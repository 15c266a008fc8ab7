"""Folds: rows of train, tune and test, and purging by label spans."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from barproof import _core
from barproof.candles.table import Ints
from barproof.errors import LayoutError, ParameterError, ShapeError, WindowError

# Half-open row ranges of train, tune (None if there is none) and test.
RowRange: TypeAlias = tuple[int, int]
Layout: TypeAlias = tuple[RowRange, RowRange | None, RowRange]

PARTS = ("train", "tune", "test")


def rows_digest(rows: ArrayLike) -> str:
    """Identity of a set of rows, 64 hexadecimal digits.

    Parameters
    ----------
    rows : array_like of shape (n_rows,), int
        Increasing row numbers, counted from 0.

    Returns
    -------
    str
        Equal for equal rows, however they were made.

    Examples
    --------
    >>> rows_digest(range(3)) == rows_digest([0, 1, 2])
    True
    """
    numbers = np.asarray(rows, dtype=np.int64)
    cuts = np.flatnonzero(np.diff(numbers) != 1) + 1
    runs = np.split(numbers, cuts) if len(numbers) else []
    return _core.digest("rows/1", [f"{run[0]}..{run[-1]}" for run in runs])


@dataclass(frozen=True, eq=False, repr=False)
class Fold:
    """One train / tune / test triple.

    Making one checks that no row stands in two parts.

    Parameters
    ----------
    number : int
        Position among the folds, counted from 0.
    train, tune, test : array_like of shape (n_rows,), int
        Increasing row numbers of the data, counted from 0; `tune` may be empty. Kept as read-only int64 arrays.
    calibrate : array_like of shape (n_rows,), int, optional
        Rows of the first half of `tune` whose labels end before the second half. Default: all of the first half.
    purged : int, optional
        Rows dropped from train, tune and `calibrate` because their labels reached a later part; None if no label
        spans were given, so that nothing could be purged.

    Raises
    ------
    LayoutError
        If rows are not increasing whole numbers >= 0.
    WindowError
        If a row stands in two parts.

    Examples
    --------
    >>> fold = Fold(0, range(0, 6), range(6, 10), range(10, 13))
    >>> fold
    Fold(0: train 0..5 (6 rows), tune 6..9 (4 rows), test 10..12 (3 rows))
    >>> fold.tune_calibrate, fold.tune_choose
    (array([6, 7]), array([8, 9]))
    """

    number: int
    train: Ints
    tune: Ints
    test: Ints
    calibrate: Ints | None = None
    purged: int | None = None

    def __post_init__(self) -> None:
        for name in (*PARTS, "calibrate"):
            given = getattr(self, name)
            if given is None:
                continue
            rows = np.asarray(given)
            if not len(rows):
                rows = rows.astype(np.int64)
            if rows.ndim != 1 or rows.dtype.kind not in "iu" or not _increasing(rows):
                raise LayoutError(
                    f"`{name}` of fold {self.number} must hold increasing row numbers >= 0, was {given!r}"
                )
            rows = rows.astype(np.int64, copy=False).view()
            rows.flags.writeable = False
            object.__setattr__(self, name, rows)
        pairs = [("train", "tune"), ("train", "test"), ("tune", "test")]
        parts = {name: getattr(self, name) for name in PARTS}
        if self.calibrate is not None:
            pairs.append(("calibrate", "tune_choose"))
            parts |= {"calibrate": self.calibrate, "tune_choose": self.tune_choose}
        for a, b in pairs:
            shared = _shared(parts[a], parts[b])
            if len(shared):
                raise WindowError(
                    f"row {shared[0]} of fold {self.number} stands in `{a}` and in `{b}`: a row serves one purpose"
                )

    @property
    def tune_calibrate(self) -> Ints:
        """First half of `tune`, without rows whose labels reach the second: calibrates the model."""
        return self.tune[: len(self.tune) // 2] if self.calibrate is None else self.calibrate

    @property
    def tune_choose(self) -> Ints:
        """Second half of `tune`, the longer one by a row if `tune` is odd: chooses the rules."""
        return self.tune[len(self.tune) // 2 :]

    @property
    def rows_digest(self) -> dict[str, str]:
        """Digest of the rows of each purpose: train, tune_calibrate, tune_choose, test."""
        purposes = ("train", "tune_calibrate", "tune_choose", "test")
        return {name: rows_digest(getattr(self, name)) for name in purposes}

    def _state(self) -> tuple[Any, ...]:
        return tuple(getattr(self, part.name) for part in fields(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return Fold, self._state()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fold):
            return NotImplemented
        pairs = zip(self._state(), other._state(), strict=True)
        return all(np.array_equal(a, b) if a is not None else b is None for a, b in pairs)

    def __hash__(self) -> int:
        return hash((self.number, len(self.train), len(self.tune), len(self.test)))

    def __repr__(self) -> str:
        parts = [
            f"{name} {rows[0]}..{rows[-1]} ({len(rows):,} rows)" if len(rows) else f"no {name}"
            for name, rows in ((name, getattr(self, name)) for name in PARTS)
        ]
        purged = f", {self.purged:,} purged" if self.purged else ""
        return f"Fold({self.number}: {', '.join(parts)}{purged})"


def _increasing(rows: Any) -> bool:
    return not len(rows) or bool(rows[0] >= 0 and np.all(rows[1:] > rows[:-1]))


def _shared(a: Ints, b: Ints) -> Ints:
    if not len(a) or not len(b) or a[-1] < b[0] or b[-1] < a[0]:
        return a[:0]
    return np.intersect1d(a, b, assume_unique=True)


def span_ends(labels: Any, n: int) -> Ints:
    """Last bar of each row's label, checked."""
    if hasattr(labels, "start") and hasattr(labels, "end"):
        spans = [labels.start, labels.end]
    elif isinstance(labels, (tuple, list)) and len(labels) == 2:
        spans = list(labels)
    else:
        raise LayoutError(
            f"`labels` must have `start` and `end`, or be a pair of them, was {type(labels).__name__}"
        )
    arrays = []
    for name, values in zip(("start", "end"), spans, strict=True):
        array = np.asarray(values)
        if array.dtype.kind not in "iu":
            raise LayoutError(
                f"`{name}` of the labels must hold bar numbers, was {array.dtype}: -1 where a row has no label"
            )
        if array.shape != (n,):
            raise ShapeError(
                f"`{name}` of the labels has shape {array.shape}, but the data have {n:,} rows: give one a row"
            )
        arrays.append(array.astype(np.int64, copy=False))
    start, end = arrays
    backward = np.flatnonzero(end < start)
    if len(backward):
        row = backward[0]
        raise ParameterError(
            f"label of row {row} ends at bar {end[row]}, before its start at bar {start[row]}"
        )
    early = np.flatnonzero((start < np.arange(n)) & (end >= 0))
    if len(early):
        row = early[0]
        raise ParameterError(
            f"label of row {row} starts at bar {start[row]}, before its row: labels span bars to come, or are -1, -1"
        )
    return end


def make_fold(number: int, rows: Ints, parts: Layout, ends: Ints | None) -> Fold:
    """Make a fold of parts of `rows`: purged of rows whose labels reach beyond their part, tune rows halved."""
    ranges = dict(zip(PARTS, parts, strict=True))
    kept = {name: rows[slice(*part)] if part else rows[:0] for name, part in ranges.items()}
    if ends is None:
        return Fold(number, kept["train"], kept["tune"], kept["test"])
    test = parts[2][0]
    before = len(kept["train"]) + len(kept["tune"])
    for name, limit in (("train", parts[1][0] if parts[1] else test), ("tune", test)):
        if not len(kept[name]):
            continue
        left = kept[name][ends[kept[name]] < limit]
        if not len(left):
            raise WindowError(
                f"no row of `{name}` of fold {number} is left: the labels of all {len(kept[name])} reach row {limit}, "
                f"where the next part begins; make `{name}` longer or the labels shorter"
            )
        # A run of rows stays a view: a thousand growing train parts must not be copied.
        run = left[-1] - left[0] + 1 == len(left)
        kept[name] = rows[left[0] : left[-1] + 1] if run else left
    half = len(kept["tune"]) // 2
    calibrate = kept["tune"][:half]
    if half:
        calibrate = calibrate[ends[calibrate] < kept["tune"][half]]
    purged = before - len(kept["train"]) - len(kept["tune"]) + half - len(calibrate)
    return Fold(number, kept["train"], kept["tune"], kept["test"], calibrate, purged)
