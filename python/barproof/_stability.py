"""How steady choices were from fold to fold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._neighbours import floats

__all__ = ["RankCorrelation"]


class RankCorrelation(NamedTuple):
    """Spearman's rank correlation and the number of pairs it comes from."""

    value: float
    n: int


def stability(choices: pl.DataFrame, groups: Sequence[Sequence[str]]) -> pl.DataFrame:
    """One row an axis; see `WalkForwardResult.stability`."""
    rows = [_steadiness(group, _chosen(choices, group)) for group in groups]
    kinds = {
        "axis": pl.String,
        "distinct": pl.UInt32,
        "changes": pl.UInt32,
        "agreement": pl.Float64,
        "most_common": pl.String,
        "share": pl.Float64,
        "entropy": pl.Float64,
    }
    return pl.DataFrame(rows, schema=kinds, orient="row")


def agreement(choices: pl.DataFrame, groups: Sequence[Sequence[str]]) -> float:
    """Mean over the axes of the share of steps without a change."""
    each = [_unchanged(_chosen(choices, group)) for group in groups]
    return float(np.mean(each)) if each else float("nan")


def rank_correlation(choices: pl.DataFrame, metric: str) -> RankCorrelation:
    """Of the metric where it chose with the metric where it was judged, over the folds."""
    chosen, judged = (floats(choices[f"{which}_{metric}"]) for which in ("chosen", "judged"))
    known = ~(np.isnan(chosen) | np.isnan(judged))
    n = int(known.sum())
    a, b = _ranks(chosen[known]), _ranks(judged[known])
    a, b = a - a.mean() if n else a, b - b.mean() if n else b
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return RankCorrelation(float(a @ b) / spread if n > 2 and spread > 0 else float("nan"), n)


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places by size; equal values share the mean of theirs."""
    distinct, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    means: NDArray[np.float64] = ends - (counts - 1) / 2
    return means[at] if len(distinct) else np.zeros(0)


def _chosen(choices: pl.DataFrame, group: Sequence[str]) -> list[tuple[Any, ...]]:
    """Levels of an axis, fold by fold, without the folds in which nothing was chosen."""
    return choices.filter(choices["combination"].is_not_null()).select(group).rows()


def _unchanged(levels: list[tuple[Any, ...]]) -> float:
    steps = [a == b for a, b in pairwise(levels)]
    return sum(steps) / len(steps) if steps else float("nan")


def _steadiness(group: Sequence[str], levels: list[tuple[Any, ...]]) -> tuple[Any, ...]:
    """One row of the table: how often one choice changed, and how evenly its levels were taken."""
    name, n = "+".join(group), len(levels)
    if not n:
        return name, 0, 0, float("nan"), None, float("nan"), float("nan")
    counted = Counter(levels)
    level, most = counted.most_common(1)[0]
    shares = [count / n for count in counted.values()]
    return (
        name,
        len(counted),
        sum(a != b for a, b in pairwise(levels)),
        _unchanged(levels),
        " + ".join("off" if value is None else str(value) for value in level),
        most / n,
        # Not minus zero where one value was always chosen.
        sum(share * -log2(share) for share in shares) + 0.0,
    )
