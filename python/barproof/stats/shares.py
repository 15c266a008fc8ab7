"""Shares, counts and tests of them: intervals, exact tests, power, sample sizes.

All of them take trials to be independent and claim no level elsewhere: signs of AR(1) returns with 0.2 are rejected at
5% in 9% of cases. Give them effective counts (:func:`barproof.stats.effective_size`) where trials depend on each other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal, NamedTuple

from barproof.errors import ParameterError
from barproof.stats._common import Stat, check_level, check_positive, undefined
from barproof.stats.bootstrap import Interval

__all__ = [
    "BinomialTest",
    "RateTest",
    "ScoreTest",
    "binomial_tail",
    "binomial_test",
    "clopper_pearson",
    "mcnemar",
    "proportion_test",
    "rate_test",
    "two_proportions",
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
    def reason(self) -> str:
        """Why there is no test; empty where there is one."""
        return "" if math.isfinite(self.z) else "a sample without trials, or both all or nothing"

    @property
    def defined(self) -> bool:
        """Whether there is a test."""
        return not self.reason

    @property
    def p(self) -> float:
        """Two-sided p-value, 0.0 where no float is small enough."""
        if self.reason:
            return math.nan
        return float(10.0**self.log10_p) if self.log10_p > -307 else 0.0


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
        return Interval(math.nan, math.nan, math.nan, 0, level, "wilson", "no trials")
    z, p = two_sided(level), k / n
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
        return Interval(math.nan, math.nan, math.nan, 0, level, "clopper-pearson", "no trials")
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
    if not spread > 0:
        return ScoreTest(math.nan, math.nan)
    return _test((k1 / n1 - k2 / n2) / spread)


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


@dataclass(frozen=True, repr=False, eq=False)
class BinomialTest(Stat):
    """Exact test of a count.

    Attributes
    ----------
    p : float
        Chance, under the null, of a count at least as extreme.
    k, n : int
        Successes and trials.
    null : float
        Share under the null.
    alternative : str
        "greater", "less" or "two-sided".
    form : str
        How two sides were put together.
    """

    p: float
    k: int
    n: int
    null: float
    alternative: str
    form: str


def binomial_test(
    k: int,
    n: int,
    null: float = 0.5,
    *,
    alternative: Literal["two-sided", "greater", "less"] = "two-sided",
    form: Literal["likelihood", "doubled"] = "likelihood",
) -> BinomialTest:
    """Test a share exactly.

    Parameters
    ----------
    k, n : int
        Successes and trials, 0 <= k <= n.
    null : float, default 0.5
        Share under the null, in (0, 1).
    alternative : {"two-sided", "greater", "less"}, default "two-sided"
        "greater" is the chance of k or more.
    form : {"likelihood", "doubled"}, default "likelihood"
        Two sides: all counts that are no likelier than k (as scipy), or twice the smaller side, at most 1.

    Returns
    -------
    BinomialTest
        Undefined without trials.

    Raises
    ------
    ParameterError
        If a count, the null or a choice is out of bounds.

    Notes
    -----
    Trials are taken to be independent. The chance of exactly k is no p-value: 2 of 3 at one half is 0.375, 2 or
    more 0.5.

    Examples
    --------
    >>> binomial_test(2, 3, alternative="greater").p
    0.5
    """
    _check_share(k, n, 0.95)
    check_level("null", null)
    if alternative not in ("two-sided", "greater", "less") or form not in ("likelihood", "doubled"):
        raise ParameterError(
            "`alternative` must be two-sided, greater or less and `form` likelihood or doubled, "
            f"were {alternative!r} and {form!r}"
        )
    known: dict[str, Any] = {
        "k": int(k),
        "n": int(n),
        "null": null,
        "alternative": alternative,
        "form": form,
    }
    if n == 0:
        return undefined(BinomialTest, "no trials", **known)
    from scipy.stats import binom, binomtest

    if alternative == "two-sided" and form == "doubled":
        sides = float(binom.cdf(k, n, null)), float(binom.sf(k - 1, n, null))
        return BinomialTest(p=min(1.0, 2 * min(sides)), **known)
    return BinomialTest(p=float(binomtest(k, n, null, alternative).pvalue), **known)


@dataclass(frozen=True, repr=False, eq=False)
class RateTest(Stat):
    """Exact test of a number of events against a rate.

    Attributes
    ----------
    less, greater : float
        Chance of so many events or fewer, and of so many or more.
    p : float
        Twice the smaller of the two, at most 1.
    expected : float
        Events that the rate expects.
    """

    less: float
    greater: float
    p: float
    expected: float


def rate_test(events: int, exposure: float, rate: float) -> RateTest:
    """Test a number of events against a rate, such as 4 trades in 3 days against 4.6 a day.

    Parameters
    ----------
    events : int
        What was counted, >= 0.
    exposure : float
        Over how long, > 0.
    rate : float
        Events per unit of exposure under the null, > 0.

    Returns
    -------
    RateTest
        Poisson probabilities; events are taken to be independent.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(rate_test(4, 3, 4.6).less, 4)
    0.0021
    """
    check_positive("exposure", exposure)
    check_positive("rate", rate)
    if events < 0 or events != int(events):
        raise ParameterError(f"`events` must be a whole number >= 0, was {events!r}")
    from scipy.special import gammaincc
    from scipy.stats import poisson

    expected = exposure * rate
    less = float(gammaincc(events + 1, expected))
    greater = float(poisson.sf(events - 1, expected))
    return RateTest(less, greater, min(1.0, 2 * min(less, greater)), expected)


def mcnemar(first_only: int, second_only: int) -> BinomialTest:
    """Compare two classifiers on the same rows, exactly.

    Parameters
    ----------
    first_only, second_only : int
        Rows that only the first, and only the second, got right. Rows that both got right or wrong say nothing.

    Returns
    -------
    BinomialTest
        Two-sided; undefined where the two never disagree.

    Raises
    ------
    ParameterError
        If a count is negative.

    Notes
    -----
    Q. McNemar 1947, in its exact form: `first_only` of all disagreements, at one half. Rows are taken to be
    independent.

    Examples
    --------
    >>> round(mcnemar(15, 5).p, 4)
    0.0414
    """
    _check_share(first_only, first_only + second_only, 0.95)
    found = binomial_test(first_only, first_only + second_only)
    if not found.defined:
        return undefined(BinomialTest, "the two never disagree", null=0.5)
    return found


def two_sided(level: float) -> float:
    """Quantile beyond which both tails of the standard normal hold what the level leaves."""
    return NormalDist().inv_cdf(0.5 + level / 2)


def _test(z: float) -> ScoreTest:
    from scipy.special import log_ndtr

    return ScoreTest(z, (float(log_ndtr(-abs(z))) + math.log(2)) / _LN10)


def _check_share(k: float, n: float, level: float) -> None:
    if not 0 <= k <= n or not math.isfinite(n):
        raise ParameterError(f"successes and trials must hold 0 <= k <= n, were {k!r} and {n!r}")
    if not 0 < level < 1:
        raise ParameterError(f"`level` must lie between 0 and 1, was {level!r}")
