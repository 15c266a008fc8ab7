"""Audits of the splits: SPL-01 and SPL-02."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.audits.common import audited, capped, made, plural
from barproof.audits.model import Finding, Gate, Measured
from barproof.errors import LayoutError

__all__ = ["parts_of", "purge", "split_order"]

Ints = NDArray[np.int64]
_EMPTY = np.empty(0, np.int64)


def parts_of(folds: Iterable[Any]) -> list[dict[str, Ints]]:
    """Rows of every part of every fold; pairs of (train, test) are welcome."""
    out = []
    for i, fold in enumerate(folds):
        if hasattr(fold, "train") and hasattr(fold, "test"):
            names: tuple[str, ...] = ("train", "tune", "tune_calibrate", "tune_choose", "test")
            parts = {name: getattr(fold, name, _EMPTY) for name in names}
        elif isinstance(fold, Sequence) and len(fold) in (2, 3):
            names = ("train", "test") if len(fold) == 2 else ("train", "tune", "test")
            parts = dict(zip(names, fold, strict=True))
        else:
            raise LayoutError(
                f"fold {i} must be a Fold, or rows as (train, test) or (train, tune, test), was {type(fold).__name__}"
            )
        rows = {}
        for name, values in parts.items():
            array = np.asarray(_EMPTY if values is None else values)
            if array.size and array.dtype.kind not in "iu":
                raise LayoutError(
                    f"`{name}` of fold {i} must hold row numbers, was {array.dtype}: use np.flatnonzero for masks"
                )
            rows[name] = array.astype(np.int64).ravel()
        out.append(rows)
    return out


def _twice(fold: int, name: str, held: Ints, again: int) -> dict[str, Any]:
    """Evidence of a row that stands twice in one part."""
    values, counts = np.unique(held, return_counts=True)
    row = int(values[np.argmax(counts > 1)])
    return {
        "fold": fold,
        "part": name,
        "row": row,
        "misplaced": again,
        "later_part": name,
        "begins": row,
    }


@audited
def split_order(folds: Iterable[Any]) -> Finding:
    """SPL-01: train before tune before test, and no row twice.

    Parameters
    ----------
    folds : iterable of Fold, or of tuples (train, test) or (train, tune, test) of row numbers
        Rows count bars in time order.

    Returns
    -------
    Finding
        Inconclusive without folds, or where a fold has no train or no test rows.

    Raises
    ------
    LayoutError
        If a fold is no fold, or rows are no row numbers.

    Examples
    --------
    >>> split_order([(range(0, 8), range(8, 10))]).outcome
    'pass'
    >>> split_order([([0, 2, 4], [1, 3, 5])]).outcome
    'fail'
    """
    every = parts_of(folds)
    rows: list[dict[str, Any]] = []
    empty = 0
    wrong = 0
    for i, parts in enumerate(every):
        if len(parts["train"]) < 2 or len(parts["test"]) < 2:
            empty += 1
        for name, held in parts.items():
            again = len(held) - len(np.unique(held))
            if again:
                wrong += again
                rows.append(_twice(i, name, held, again))
        for early, late in (("train", "tune"), ("train", "test"), ("tune", "test")):
            a, b = parts.get(early, _EMPTY), parts.get(late, _EMPTY)
            if not len(a) or not len(b):
                continue
            first = int(b.min())
            misplaced = np.sort(a[a >= first])
            if len(misplaced):
                wrong += len(misplaced)
                rows.append(
                    {
                        "fold": i,
                        "part": early,
                        "row": int(misplaced[0]),
                        "misplaced": len(misplaced),
                        "later_part": late,
                        "begins": first,
                    }
                )
    measured = Measured("rows out of order", wrong, "count", n=len(every))
    gate = Gate("=", 0, "case S002", "a model must be judged on bars after those that made it")
    remedy = "split by time: bp.WalkForward(train=..., tune=..., test=...)"
    if wrong:
        first_row = rows[0]
        return made(
            "SPL-01",
            "fail",
            f"{plural(wrong, 'row')} out of order: row {first_row['row']} of {first_row['part']} of fold "
            f"{first_row['fold']} stands after row {first_row['begins']}, where {first_row['later_part']} begins",
            measured=measured,
            gate=gate,
            evidence=capped(rows, len(rows)),
            cause=("a shuffled or k-fold split", "indices of another table"),
            remedy=remedy,
        )
    if not every or empty:
        return made(
            "SPL-01",
            "inconclusive",
            f"{empty} of {len(every)} folds with fewer than 2 train or test rows"
            if every
            else "no folds",
            measured=measured,
            gate=gate,
            remedy=remedy,
        )
    return made(
        "SPL-01", "pass", f"{plural(len(every), 'fold')} in order", measured=measured, gate=gate
    )


def _spans(labels: Any) -> tuple[Ints, Ints] | None:
    """First and last bars of labels, from labels or a pair of arrays."""
    if labels is None:
        return None
    if hasattr(labels, "start") and hasattr(labels, "end"):
        pair: Sequence[Any] = (labels.start, labels.end)
    else:
        pair = labels
    if len(pair) != 2 or len(pair[0]) != len(pair[1]):
        raise LayoutError(
            "`labels` must have `start` and `end`, or be a pair of them, one bar a row"
        )
    start, end = (np.asarray(values) for values in pair)
    if start.dtype.kind not in "iu" or end.dtype.kind not in "iu":
        raise LayoutError(
            f"spans of labels must be bar numbers, were {start.dtype} and {end.dtype}: -1 where a row has no label"
        )
    return start.astype(np.int64), end.astype(np.int64)


@audited
def purge(folds: Iterable[Any], labels: Any = None) -> Finding:
    """SPL-02: no label of an earlier part looks at bars of a later one.

    Parameters
    ----------
    folds : iterable of Fold, or of tuples (train, test) or (train, tune, test) of row numbers
        Rows count bars.
    labels : object with `start` and `end`, or pair of array_like of shape (n,), int, optional
        First and last bar that each row's label looks at, both included; -1 and -1 where a row has no label.

    Returns
    -------
    Finding
        Inconclusive without spans or without folds.

    Raises
    ------
    LayoutError
        If folds or spans are none.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.arange(10)
    >>> purge([(rows[:6], rows[6:])], (rows, rows + 1)).evidence["rows"][0]["row"]
    5
    """
    every = parts_of(folds)
    spans = _spans(labels)
    gate = Gate(
        "=", 0, "default", "a train label that looks at test bars tells the model about them"
    )
    remedy = "hand the labels to the splitter: splitter.folds(candles, labels), or set gap= to the span of a label"
    if spans is None or not every:
        told = "no label spans were given" if spans is None else "no folds were given"
        return made(
            "SPL-02",
            "inconclusive",
            f"{told}: whether labels reach into later parts is unknown",
            gate=gate,
            remedy="give labels= with `start` and `end`, as bp.labels makes them",
        )
    start, end = spans
    rows: list[dict[str, Any]] = []
    overlaps = seen = outside = 0
    for i, parts in enumerate(every):
        pairs = (
            ("train", "tune"),
            ("train", "test"),
            ("tune", "test"),
            ("tune_calibrate", "tune_choose"),
        )
        seen += len(parts["train"])
        for early, late in pairs:
            a, b = parts.get(early, _EMPTY), parts.get(late, _EMPTY)
            beyond = int(np.sum(a >= len(start)) + np.sum(b >= len(start)))
            outside += beyond
            a, b = a[a < len(start)], b[b < len(start)]
            hit = _overlap(a, b, start, end)
            if not len(hit):
                continue
            overlaps += len(hit)
            row = int(hit[0])
            rows.append(
                {
                    "fold": i,
                    "part": early,
                    "row": row,
                    "label_start": int(start[row]),
                    "label_end": int(end[row]),
                    "later_part": late,
                    "begins": int(b.min()),
                    "overlapping": len(hit),
                }
            )
    measured = Measured("overlapping labels", overlaps, "count", n=seen)
    if overlaps:
        first = rows[0]
        return made(
            "SPL-02",
            "fail",
            f"{overlaps:,} of {seen:,} labels reach into a later part (first: fold {first['fold']}, row "
            f"{first['row']} "
            f"of {first['part']} ends at {first['label_end']}, {first['later_part']} starts at {first['begins']})",
            measured=measured,
            gate=gate,
            evidence=capped(rows, len(rows)),
            cause=("a split without gap", "purging by a number of rows where spans vary"),
            remedy=remedy,
            fixable=True,
        )
    if outside or not seen:
        return made(
            "SPL-02",
            "inconclusive",
            f"{plural(outside, 'row')} of the folds have no label span"
            if outside
            else "no train rows",
            measured=measured,
            gate=gate,
            remedy="folds and labels must be of the same candles",
        )
    return made(
        "SPL-02",
        "pass",
        f"none of {seen:,} train labels in {plural(len(every), 'fold')} reaches a later part",
        measured=measured,
        gate=gate,
    )


def _overlap(train: Ints, test: Ints, start: Ints, end: Ints) -> Ints:
    """Rows of `train` whose label meets the labels of a contiguous run of `test`."""
    test = test[end[test] >= 0]
    train = train[end[train] >= 0]
    if not len(train) or not len(test):
        return _EMPTY
    test = np.sort(test)
    hit = np.zeros(len(train), bool)
    for run in np.split(test, np.flatnonzero(np.diff(test) != 1) + 1):
        hit |= (start[train] <= end[run].max()) & (end[train] >= start[run].min())
    return np.sort(train[hit])
