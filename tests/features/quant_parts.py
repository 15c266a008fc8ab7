"""What slow twins of the functions for quantitative models share."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tests.features.markets import HOUR, Floats
from tests.features.twin import defined, recursive_mean, rolling, shifted

LN2 = math.log(2.0)
DAY = 24 * HOUR
NOTHING = 1e-13
"""Share of a spread that counts as none: what rounding leaves."""


def rolled(
    columns: list[Floats], width: int, compute: Callable[..., float], *, first: int = 0
) -> Floats:
    """Apply `compute` to the last `width` rows of some columns; NaN where one is missing."""
    n = len(columns[0])
    out = np.full(n, np.nan)
    for t in range(width - 1 + first, n):
        windows = [column[t - width + 1 : t + 1] for column in columns]
        if not any(np.isnan(w).any() for w in windows):
            with np.errstate(all="ignore"):
                out[t] = compute(*windows)
    return defined(out)


def over(a: float, b: float) -> float:
    return a / b if b != 0.0 else math.nan


def logs(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        share = np.where((a > 0) & (b > 0), a / b, np.nan)
        return defined(np.array([math.log(s) if 0 < s < math.inf else math.nan for s in share]))


def growth(x: Floats) -> Floats:
    return logs(x, shifted(x, 1))


def means(x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: math.fsum(w) / len(w))


def ema_of(x: Floats, period: int) -> Floats:
    return recursive_mean(x, period, 2.0 / (period + 1.0))


def wma_of(x: Floats, period: int) -> Floats:
    weights = np.arange(1.0, period + 1.0)
    return rolling(x, period, lambda w: math.fsum(weights * w) / weights.sum())


def central(w: Floats, power: int) -> float:
    mean = w[0] + math.fsum(w - w[0]) / len(w)
    return math.fsum((w - mean) ** power) / len(w)


def co_moments(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Sums of squares and products about the means."""
    dx = (x - x[0]) - math.fsum(x - x[0]) / len(x)
    dy = (y - y[0]) - math.fsum(y - y[0]) / len(y)
    return math.fsum(dx * dx), math.fsum(dy * dy), math.fsum(dx * dy)
