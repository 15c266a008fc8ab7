"""Statistics as plain functions, per observation: what the audits compute with.

Nothing here is annualised. Shares and tests on them assume independent observations; intervals for a mean do not. What
is undefined is NaN. Random numbers come from one documented generator, so that every implementation can repeat them to
the last digit.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from barproof._bootstrap import (
    Interval,
    block_length,
    mean_interval,
    normals,
    stationary_indices,
    uniforms,
)
from barproof.errors import ParameterError, ShapeError

__all__ = [
    "Baseline",
    "Interval",
    "ScoreTest",
    "binomial_tail",
    "block_length",
    "break_even",
    "clopper_pearson",
    "constant_forecast",
    "effective_labels",
    "mean_interval",
    "normals",
    "proportion_test",
    "stationary_indices",
    "two_proportions",
    "uniforms",
    "upper_bound",
    "wilson",
]

_LN10 = math.log(10.0)


class ScoreTest(NamedTuple):
    """A test statistic with its two-sided p-value.

    Attributes
    ----------
    z : float
        Standard normal under the null.
    log10_p : float
        Logarithm of the p-value; p itself may be too small for a float.
    """

    z: float
    log10_p: float

    @property
    def p(self) -> float:
        """Two-sided p-value, 0.0 where no float is small enough."""
        return float(10.0**self.log10_p) if self.log10_p > -307 else 0.0


class Baseline(NamedTuple):
    """What the best constant forecast of a binary label scores.

    Attributes
    ----------
    share : float
        Share of positives.
    entropy : float
        Log loss of that share as forecast, nats.
    brier : float
        Its Brier score.
    weight : float
        Negatives per positive, the usual class weight.
    weighted_loss : float
        Log loss of the best constant, which then is one half, under that weight.
    """

    share: float
    entropy: float
    brier: float
    weight: float
    weighted_loss: float


def wilson(k: float, n: float, *, level: float = 0.95) -> Interval:
    """Interval of a share by Wilson's score method.

    Parameters
    ----------
    k, n : float
        Successes and trials, 0 <= k <= n; effective counts need not be whole.
    level : float, default 0.95
        Two-sided coverage, in (0, 1).

    Returns
    -------
    Interval
        Within [0, 1]; NaN without trials.

    Raises
    ------
    ParameterError
        If a count or the level is out of bounds.

    Notes
    -----
    Centre ``(p + z^2/2n) / (1 + z^2/n)``, half width ``z/(1 + z^2/n) * sqrt(p(1-p)/n + z^2/4n^2)`` (E. B. Wilson 1927).
    Trials are taken to be independent.

    Examples
    --------
    >>> interval = wilson(2, 3)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.2077, 0.9385)
    """
    _check_share(k, n, level)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, level, "wilson")
    z, p = _quantile(level), k / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the formula is exact, the arithmetic is not.
    low = 0.0 if k == 0 else max(0.0, centre - half)
    high = 1.0 if k == n else min(1.0, centre + half)
    return Interval(p, low, high, int(n), level, "wilson")


def clopper_pearson(k: int, n: int, *, level: float = 0.95) -> Interval:
    """Interval of a share that never covers less than it says.

    Parameters
    ----------
    k, n : int
        Successes and trials, 0 <= k <= n.
    level : float, default 0.95
        Two-sided coverage, in (0, 1).

    Returns
    -------
    Interval
        Wider than :func:`wilson`; NaN without trials.

    Raises
    ------
    ParameterError
        If a count or the level is out of bounds.

    Notes
    -----
    Quantiles of beta distributions (C. J. Clopper and E. S. Pearson 1934). Trials are taken to be independent.

    Examples
    --------
    >>> interval = clopper_pearson(2, 3)
    >>> round(interval.low, 4), round(interval.high, 4)
    (0.0943, 0.9916)
    """
    _check_share(k, n, level)
    if n == 0:
        return Interval(math.nan, math.nan, math.nan, 0, level, "clopper-pearson")
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = 0.0 if k == 0 else float(betaincinv(k, n - k + 1, tail))
    high = 1.0 if k == n else float(betaincinv(k + 1, n - k, 1 - tail))
    return Interval(k / n, low, high, int(n), level, "clopper-pearson")


def upper_bound(k: int, n: int, *, level: float = 0.95) -> float:
    """One-sided upper bound of a share: exact, also for no successes at all.

    Parameters
    ----------
    k, n : int
        Successes and trials, 0 <= k <= n.
    level : float, default 0.95
        One-sided coverage, in (0, 1).

    Returns
    -------
    float
        In (0, 1]; NaN without trials.

    Raises
    ------
    ParameterError
        If a count or the level is out of bounds.

    Examples
    --------
    >>> f"{upper_bound(0, 8641):.2e}"
    '3.47e-04'
    """
    _check_share(k, n, level)
    if n == 0:
        return math.nan
    if k == 0:
        return float(-math.expm1(math.log1p(-level) / n))
    if k == n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(k + 1, n - k, level))


def proportion_test(k: float, n: float, null: float) -> ScoreTest:
    """Score test of a share against a value.

    Parameters
    ----------
    k, n : float
        Successes and trials, 0 <= k <= n.
    null : float
        Share under the null, in (0, 1).

    Returns
    -------
    ScoreTest
        NaN without trials.

    Raises
    ------
    ParameterError
        If a count or the null is out of bounds.

    Examples
    --------
    >>> round(proportion_test(2008, 3892, 0.659055).z, 2)
    -18.84
    """
    _check_share(k, n, 0.95)
    if not 0 < null < 1:
        raise ParameterError(f"`null` share must lie between 0 and 1, was {null!r}")
    if n == 0:
        return ScoreTest(math.nan, math.nan)
    return _test((k / n - null) / math.sqrt(null * (1 - null) / n))


def two_proportions(k1: float, n1: float, k2: float, n2: float) -> ScoreTest:
    """Test whether two samples share one proportion, with the pooled variance.

    Parameters
    ----------
    k1, n1, k2, n2 : float
        Successes and trials of each sample.

    Returns
    -------
    ScoreTest
        NaN where a sample is empty or both are all or nothing.

    Raises
    ------
    ParameterError
        If a count is out of bounds.

    Examples
    --------
    >>> test = two_proportions(8135, 8135, 4142, 8129)
    >>> round(test.z, 1), round(test.log10_p)
    (72.7, -1150)
    """
    _check_share(k1, n1, 0.95)
    _check_share(k2, n2, 0.95)
    if not (n1 and n2):
        return ScoreTest(math.nan, math.nan)
    pooled = (k1 + k2) / (n1 + n2)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))
    return _test((k1 / n1 - k2 / n2) / spread) if spread else ScoreTest(math.nan, math.nan)


def binomial_tail(k: int, n: int, p: float) -> float:
    """Logarithm (base 10) of the chance of `k` or more successes in `n` trials.

    Parameters
    ----------
    k, n : int
        Successes and trials, 0 <= k <= n.
    p : float
        Chance of one success, in (0, 1).

    Returns
    -------
    float
        At most 0.

    Raises
    ------
    ParameterError
        If a count or the chance is out of bounds.

    Examples
    --------
    >>> round(10 ** binomial_tail(2, 3, 0.5), 3)
    0.5
    """
    _check_share(k, n, 0.95)
    if not 0 < p < 1:
        raise ParameterError(f"`p` of one success must lie between 0 and 1, was {p!r}")
    from scipy.stats import binom

    return float(binom.logsf(k - 1, n, p)) / _LN10


def break_even(win: float, loss: float, *, cost: float = 0.0) -> float:
    """Win rate at which a payoff earns nothing.

    Parameters
    ----------
    win, loss : float
        Mean win and mean loss, both as positive numbers in one unit.
    cost : float, default 0.0
        Round-trip cost in the same unit, where `win` and `loss` are before costs.

    Returns
    -------
    float
        ``(loss + cost) / (win + loss)``; above 1 where no win rate is enough, NaN where nothing is won or lost.

    Raises
    ------
    ParameterError
        If a number is negative.

    Examples
    --------
    >>> round(break_even(0.5524, 1.0678), 4)
    0.6591
    """
    if min(win, loss, cost) < 0:
        raise ParameterError(
            f"`win`, `loss` and `cost` must be >= 0, were {win!r}, {loss!r} and {cost!r}: give sizes"
        )
    return (loss + cost) / (win + loss) if win + loss > 0 else math.nan


def constant_forecast(positives: int, n: int) -> Baseline:
    """Scores of the best constant forecast of a binary label.

    Parameters
    ----------
    positives, n : int
        Positive labels, and labels.

    Returns
    -------
    Baseline
        NaN without labels; the weight is infinite without positives.

    Raises
    ------
    ParameterError
        If a count is out of bounds.

    Examples
    --------
    >>> base = constant_forecast(57076, 293853)
    >>> round(base.entropy, 4), round(base.weight, 3), round(base.weighted_loss, 3)
    (0.4923, 4.148, 1.117)
    """
    _check_share(positives, n, 0.95)
    if n == 0:
        return Baseline(*[math.nan] * 5)
    b = positives / n
    entropy = -sum(q * math.log(q) for q in (b, 1 - b) if q > 0)
    weight = (1 - b) / b if b > 0 else math.inf
    weighted = 2 * (1 - b) * math.log(2) if b > 0 else math.nan
    return Baseline(b, entropy, b * (1 - b), weight, weighted)


def effective_labels(start: ArrayLike, end: ArrayLike) -> float:
    """Count the independent observations among labels that overlap.

    Parameters
    ----------
    start, end : array_like of shape (n,), int
        First and last bar of each label, both included.

    Returns
    -------
    float
        Sum over labels of the mean, over their bars, of 1 / (labels alive there) (M. Lopez de Prado 2018, ch. 4).

    Raises
    ------
    ShapeError
        If there is not one end a start.
    ParameterError
        If a label ends before it starts.

    Examples
    --------
    >>> round(effective_labels(range(20), range(2, 22)), 2)
    7.33
    """
    first, last = np.asarray(start, dtype=np.int64), np.asarray(end, dtype=np.int64)
    if first.shape != last.shape or first.ndim != 1:
        raise ShapeError(
            f"`start` and `end` of labels must be two arrays of one length, had shapes {first.shape} and {last.shape}"
        )
    if not len(first):
        return 0.0
    if bool(np.any(last < first)):
        row = int(np.flatnonzero(last < first)[0])
        raise ParameterError(
            f"label {row} ends at bar {last[row]}, before its start at bar {first[row]}"
        )
    zero = int(first.min())
    width = int(last.max()) - zero + 1
    alive = np.zeros(width + 1)
    np.add.at(alive, first - zero, 1.0)
    np.add.at(alive, last - zero + 1, -1.0)
    alive = np.cumsum(alive)[:-1]
    share = np.where(alive > 0, 1.0 / np.maximum(alive, 1.0), 0.0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    return float(np.sum((total[last - zero + 1] - total[first - zero]) / (last - first + 1)))


def _quantile(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)


def _test(z: float) -> ScoreTest:
    from scipy.special import log_ndtr

    return ScoreTest(z, (float(log_ndtr(-abs(z))) + math.log(2)) / _LN10)


def _check_share(k: float, n: float, level: float) -> None:
    if not 0 <= k <= n or not math.isfinite(n):
        raise ParameterError(f"successes and trials must hold 0 <= k <= n, were {k!r} and {n!r}")
    if not 0 < level < 1:
        raise ParameterError(f"`level` must lie between 0 and 1, was {level!r}")
