"""Numbers about probabilities: reliability by bins of equal mass, skill of each fold against a constant forecast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof._scores import block_counts, effective_rows, resampled_interval, wilson
from barproof.report.inputs import Floats, RunLike, column, milliseconds

__all__ = ["Bin", "Forecasts", "Skill", "forecasts", "reliability", "skill_by_fold", "skill_pooled"]

BINS = 10
LEVEL = 0.95
LEAST_ROWS = 30
"""Rows that a bin holds at least, where there are as many."""

DRAWS = 300
LEAST_P = 1e-15
SEED = 0

Ints = npt.NDArray[np.int64]


class Forecasts(NamedTuple):
    """Out-of-sample forecasts of one part of a run, in time order, one row a bar.

    Attributes
    ----------
    part : str
        Its name.
    classes : tuple of int
        Ascending; empty for regression.
    fold, at : ndarray of int64
        Fold and opening time of each row.
    p : ndarray of shape (n, n_classes)
        Probabilities; of one column, the prediction, for regression.
    label : ndarray of shape (n,)
        What came.
    repeated : int
        Rows left out because another fold forecast the same bar.
    missing : int
        Rows left out for want of a label or a forecast.
    n_eff : float
        Rows that labels without overlap would come to.
    reach : int
        Bars of the longest label.
    """

    part: str
    classes: tuple[int, ...]
    fold: Ints
    at: Ints
    p: Floats
    label: Floats
    repeated: int
    missing: int
    n_eff: float
    reach: int


class Bin(NamedTuple):
    """Forecasts of like probability.

    Attributes
    ----------
    low, high, mean : float
        Lowest, highest and mean probability.
    share, share_low, share_high : float
        Rows that were of the class, with Wilson's interval.
    n : int
        Rows.
    n_eff : float
        Rows that labels without overlap would come to.
    """

    low: float
    high: float
    mean: float
    share: float
    share_low: float
    share_high: float
    n: int
    n_eff: float

    @property
    def agrees(self) -> bool:
        """Whether the mean probability lies in the interval of the share."""
        return self.share_low <= self.mean <= self.share_high


class Skill(NamedTuple):
    """How forecasts did against one constant forecast with hindsight.

    Attributes
    ----------
    fold : int
        Number of the fold; -1 for all of them.
    start : int
        First opening time, milliseconds.
    n : int
        Rows.
    loss, constant : float
        Mean log loss of the forecasts, and of the shares of these very rows; of regression the mean square error, and
        that of these rows' own mean.
    skill : float
        ``1 - loss / constant``; NaN where one class alone came, or labels do not vary.
    low, high : float
        Interval of the skill, by blocks over time; NaN where it was not computed.
    """

    fold: int
    start: int
    n: int
    loss: float
    constant: float
    skill: float
    low: float = np.nan
    high: float = np.nan


def forecasts(run: RunLike) -> list[Forecasts]:
    """Collect the out-of-sample forecasts of a run.

    Parameters
    ----------
    run : Run
        What :func:`barproof.train` returned.

    Returns
    -------
    list of Forecasts
        One a part, in the order of the run; a part without a single row stays in, empty.
    """
    frame = run.predictions(part="test")
    names = list(dict.fromkeys(frame["part"].to_list())) if frame.height else list(run.parts)
    return [_part(run, frame.filter(pl.col("part") == name), name) for name in names]


def _part(run: RunLike, frame: pl.DataFrame, name: str) -> Forecasts:
    """Forecasts and labels of the test rows of one part."""
    given = [
        c for c in frame.columns if c.startswith("p_") and frame[c].null_count() < frame.height
    ]
    classes = tuple(sorted(int(c.removeprefix("p_")) for c in given))
    columns = [f"p_{c}" for c in classes] or ["prediction"]
    p = np.column_stack([column(frame, c) for c in columns])
    label = column(frame, "label")
    known = np.isfinite(p).all(axis=1) & np.isfinite(label)
    rows = frame["row"].cast(pl.Int64).to_numpy()
    # Of folds that share test rows the first counts: a row that counts twice would look like two.
    first = np.zeros(len(rows), dtype=bool)
    first[np.flatnonzero(known)[np.unique(rows[known], return_index=True)[1]]] = True
    keep = np.flatnonzero(first)
    keep = keep[np.argsort(rows[keep], kind="stable")]
    n_eff, reach = _independent(run, name, rows[keep])
    return Forecasts(
        part=name,
        classes=classes,
        fold=frame["fold"].cast(pl.Int64).to_numpy()[keep],
        at=milliseconds(frame["open_time"])[keep],
        p=p[keep],
        label=label[keep],
        repeated=int(np.count_nonzero(known)) - len(keep),
        missing=int(np.count_nonzero(~known)),
        n_eff=n_eff,
        reach=reach,
    )


def _independent(run: RunLike, name: str, rows: Ints) -> tuple[float, int]:
    labels: Any = getattr(run.parts.get(name), "labels", None)
    start, end = (getattr(labels, side, None) for side in ("start", "end"))
    if start is None or end is None or rows.size == 0:
        return float(rows.size), 1
    spans = np.asarray(start)[rows].astype(np.int64), np.asarray(end)[rows].astype(np.int64)
    return effective_rows(*spans), int(np.max(spans[1] - spans[0])) + 1


def reliability(made: Forecasts, which: int) -> list[Bin]:
    """Compare probabilities with what came, by bins of equal mass.

    Parameters
    ----------
    made : Forecasts
        Forecasts of classes.
    which : int
        Position of the class.

    Returns
    -------
    list of Bin
        Ascending, at most ten, of 30 rows or more where there are as many; equal probabilities share a bin.
    """
    p, hit = made.p[:, which], made.label == made.classes[which]
    n = p.size
    if n == 0:
        return []
    wanted = int(np.clip(n // LEAST_ROWS, 1, BINS))
    edges = np.unique(np.quantile(p, np.arange(1, wanted) / wanted)) if wanted > 1 else np.empty(0)
    place = np.searchsorted(edges, p, side="left")
    share_eff = min(1.0, made.n_eff / n)
    bins = []
    for i in np.unique(place):
        here = place == i
        count = int(np.count_nonzero(here))
        rate, worth = float(hit[here].mean()), count * share_eff
        low, high = wilson(rate, worth, LEVEL)
        own = p[here]
        mean = float(np.clip(own.mean(), own.min(), own.max()))
        bins.append(Bin(float(own.min()), float(own.max()), mean, rate, low, high, count, worth))
    return bins


def _losses(made: Forecasts) -> Floats:
    if not made.classes:
        return np.asarray((made.p[:, 0] - made.label) ** 2, dtype=np.float64)
    place = np.searchsorted(made.classes, made.label)
    place = np.minimum(place, len(made.classes) - 1)
    told = np.asarray(made.classes)[place] == made.label
    p = np.where(told, made.p[np.arange(place.size), place], 0.0)
    return -np.log(np.maximum(p, LEAST_P))


def _constant(made: Forecasts, rows: Sequence[bool] | npt.NDArray[np.bool_]) -> Floats:
    """Loss, row by row, of the best constant forecast of these rows."""
    label = made.label[np.asarray(rows)]
    if not made.classes:
        return np.asarray((label - label.mean()) ** 2, dtype=np.float64)
    _, place, counts = np.unique(label, return_inverse=True, return_counts=True)
    return np.asarray(-np.log(counts / label.size)[place], dtype=np.float64)


def _skill(loss: float, constant: float) -> float:
    return 1.0 - loss / constant if constant > 0.0 else np.nan


def skill_by_fold(made: Forecasts) -> list[Skill]:
    """Compute the skill of every fold against the best constant forecast of its own rows.

    Parameters
    ----------
    made : Forecasts
        Forecasts of one part.

    Returns
    -------
    list of Skill
        In the order of the folds.
    """
    loss = _losses(made)
    found = []
    for fold in np.unique(made.fold):
        rows = made.fold == fold
        mine, constant = float(loss[rows].mean()), float(_constant(made, rows).mean())
        first, n = int(made.at[rows].min()), int(np.count_nonzero(rows))
        found.append(Skill(int(fold), first, n, mine, constant, _skill(mine, constant)))
    return found


def skill_pooled(made: Forecasts) -> Skill | None:
    """Compute the skill over all rows, with an interval by blocks over time.

    Parameters
    ----------
    made : Forecasts
        Forecasts of one part.

    Returns
    -------
    Skill or None
        None without rows. The constant is held fixed while blocks are drawn.
    """
    n = made.label.size
    if n == 0:
        return None
    loss, constant = _losses(made), _constant(made, np.ones(n, dtype=bool))
    mine, other = float(loss.mean()), float(constant.mean())
    skill = _skill(mine, other)
    low = high = np.nan
    block = max(made.reach, int(np.ceil(n ** (1 / 3))))
    if np.isfinite(skill) and n >= 2 * block:
        drawn = [
            1.0 - (w @ loss) / np.maximum(w @ constant, LEAST_P)
            for w in block_counts(n, block, DRAWS, SEED)
        ]
        low, high = resampled_interval(np.concatenate(drawn), LEVEL)
    return Skill(-1, int(made.at.min()), n, mine, other, skill, low, high)
