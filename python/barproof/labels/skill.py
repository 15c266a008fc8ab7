"""Whether a cheap model can learn labels at all: a logistic regression on purged folds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barproof.errors import LayoutError, ParameterError, ShapeError
from barproof.labels.model import Labels

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["Skill", "feature_rows", "purged_skill"]

# One-sided 95% bound.
_Z = 1.6448536269514722


class Skill(NamedTuple):
    """Area under the curve of label 1, its lower bound, and the p-value of no skill; NaN where undefined."""

    auc: float
    low: float
    p: float


UNDEFINED = Skill(math.nan, math.nan, math.nan)


def feature_rows(features: Any, candles: Candles, threads: int) -> NDArray[np.float64]:
    """Features as one row a bar."""
    from barproof.features import FeatureSet

    if isinstance(features, FeatureSet):
        features = features.compute(candles, threads=threads)
    if isinstance(features, np.ndarray):
        if features.ndim != 2 or features.dtype.kind != "f":
            raise LayoutError(
                f"`features` of a label sweep must be bars x features of floats, was {features.dtype} of "
                f"{features.ndim} dimensions"
            )
        if len(features) != len(candles):
            raise ShapeError(
                f"`features` of a label sweep hold {len(features):,} rows, but the candles {len(candles):,} bars: give "
                "one row a bar"
            )
        return features.astype(np.float64)
    from barproof.inference import read_features

    return np.asarray(read_features(features).onto(candles), dtype=np.float64)


def check_folds(folds: Any, max_rows: Any) -> None:
    """Check how skill is measured."""
    for name, value, least in (("folds", folds, 2), ("max_rows", max_rows, 100)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ParameterError(
                f"`{name}` of a label sweep must be a whole number >= {least}, was {value!r}"
            )


def purged_skill(labels: Labels, rows: NDArray[np.float64], folds: int, max_rows: int) -> Skill:
    """Mean area under the curve of label 1 over purged folds.

    Fitted on standardised train rows, judged on test rows. The standard error is that of Hanley and McNeil (1982) with
    the labels' uniqueness for their number, as overlapping labels are no independent ones.
    """
    from scipy.special import ndtr
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    from barproof.splits import PurgedKFold, uniqueness

    usable = np.flatnonzero(labels.defined & np.isfinite(rows).all(axis=1))
    usable = usable[:: max(1, -(-len(usable) // max_rows))]
    truth = labels.values == 1.0
    if len(usable) < 10 * folds or np.ptp(truth[usable].astype(np.int8)) == 0:
        return UNDEFINED
    weight = np.zeros(len(labels))
    weight[usable] = uniqueness((labels.start, labels.end), rows=usable)
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[usable] = True
    areas, under_null, at_area = [], 0.0, 0.0
    spans = (labels.start, labels.end)
    for fold in PurgedKFold(folds).folds(range(len(labels)), spans):
        train, test = (part[chosen[part]] for part in (fold.train, fold.test))
        if not (_both(truth[train]) and _both(truth[test])):
            continue
        mean, spread = rows[train].mean(axis=0), rows[train].std(axis=0)
        spread[spread == 0] = 1.0
        # Sums over threads depend on how many there are.
        with threadpool_limits(1):
            model = LogisticRegression(max_iter=200)
            model.fit((rows[train] - mean) / spread, truth[train])
            scores = model.decision_function((rows[test] - mean) / spread)
        area = area_of(scores, truth[test])
        ones = float(weight[test[truth[test]]].sum())
        zeros = float(weight[test[~truth[test]]].sum())
        areas.append(area)
        under_null += (ones + zeros + 1) / (12 * ones * zeros)
        q1, q2 = area / (2 - area), 2 * area * area / (1 + area)
        spread_at = area * (1 - area) + (ones - 1) * (q1 - area**2) + (zeros - 1) * (q2 - area**2)
        at_area += max(spread_at, 0.0) / (ones * zeros)
    if not areas:
        return UNDEFINED
    auc = float(np.mean(areas))
    low = auc - _Z * math.sqrt(at_area) / len(areas)
    p = float(ndtr(-(auc - 0.5) * len(areas) / math.sqrt(under_null)))
    return Skill(auc, low, p)


def _both(truth: NDArray[np.bool_]) -> bool:
    return bool(truth.any() and not truth.all())


def area_of(score: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Chance that a score of a true row exceeds one of another, ties counting half."""
    from scipy.stats import rankdata

    ones = int(truth.sum())
    ranks = float(rankdata(score)[truth].sum())
    return (ranks - ones * (ones + 1) / 2) / (ones * (len(truth) - ones))
