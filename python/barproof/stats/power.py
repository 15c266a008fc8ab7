"""How many observations a question about a share needs, and what those at hand can see."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from barproof.errors import ParameterError
from barproof.stats._common import Stat, check_level, check_positive, quantile, tail, undefined
from barproof.stats.shares import two_sided

__all__ = [
    "RequiredTrials",
    "detectable_share",
    "interval_size",
    "least_trials",
    "power_of_share",
    "required_trials",
]


@dataclass(frozen=True, repr=False, eq=False)
class RequiredTrials(Stat):
    """Trials that a test of a share needs.

    Attributes
    ----------
    n : float
        With the variances of null and alternative.
    n_arcsine : float
        By the arcsine transform.
    """

    n: float
    n_arcsine: float


def required_trials(
    null: float, share: float, *, level: float = 0.05, power: float = 0.80
) -> RequiredTrials:
    """Count the trials that a two-sided test needs to tell a share from another.

    Parameters
    ----------
    null, share : float
        Shares under the null and in truth, in (0, 1).
    level : float, default 0.05
        Two-sided.
    power : float, default 0.80
        Chance of telling them apart.

    Returns
    -------
    RequiredTrials
        Undefined where the two are equal: no number is enough.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Notes
    -----
    ``((z_a sqrt(p0 q0) + z_b sqrt(p1 q1)) / (p1 - p0))^2``, one tail; the arcsine form counts both tails:
    ``Phi(h sqrt(n) - z_a) + Phi(-h sqrt(n) - z_a) = power`` with ``h = 2 asin(sqrt p1) - 2 asin(sqrt p0)``.

    Examples
    --------
    >>> round(required_trials(0.5, 0.55).n)
    783
    """
    for name, value in (("null", null), ("share", share), ("level", level), ("power", power)):
        check_level(name, value)
    if null == share:
        return undefined(RequiredTrials, "the shares are equal: no number of trials is enough")
    za, zb = two_sided(1 - level), quantile(power)
    spread = za * math.sqrt(null * (1 - null)) + zb * math.sqrt(share * (1 - share))
    step = abs(2 * math.asin(math.sqrt(share)) - 2 * math.asin(math.sqrt(null)))
    n = (spread / (share - null)) ** 2
    if power <= level:
        return RequiredTrials(n, 0.0)
    from scipy.optimize import brentq

    def missing(root: float) -> float:
        return tail(za - step * root) + tail(za + step * root) - power

    top = (za + abs(zb) + 1) / step
    return RequiredTrials(n, float(brentq(missing, 0.0, top, xtol=1e-300, rtol=1e-15)) ** 2)


def detectable_share(
    n: int, *, null: float = 0.5, level: float = 0.05, power: float = 0.80
) -> float:
    """Find the smallest share above the null that a number of trials can tell from it.

    Parameters
    ----------
    n : int
        Trials.
    null : float, default 0.5
        Share under the null.
    level, power : float
        As in :func:`required_trials`.

    Returns
    -------
    float
        Where :func:`required_trials` is `n`; NaN where even a share near 1 needs more.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(detectable_share(100), 3)
    0.638
    """
    check_positive("n", n)
    for name, value in (("null", null), ("level", level), ("power", power)):
        check_level(name, value)
    from scipy.optimize import brentq

    def missing(share: float) -> float:
        return required_trials(null, share, level=level, power=power).n - n

    low, high = null + 1e-9 * (1 - null), 1 - 1e-12
    if missing(high) > 0:
        return math.nan
    return float(brentq(missing, low, high, xtol=1e-15, rtol=1e-14))


def interval_size(half_width: float, *, share: float = 0.5, level: float = 0.95) -> float:
    """Count the trials at which a share's interval has a half width.

    Parameters
    ----------
    half_width : float
        Wanted, in (0, 1).
    share : float, default 0.5
        Expected; one half needs most.
    level : float, default 0.95
        Two-sided coverage.

    Returns
    -------
    float
        ``z^2 p (1 - p) / half_width^2``, not rounded.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(interval_size(0.05), 1)
    384.1
    """
    for name, value in (("half_width", half_width), ("share", share), ("level", level)):
        check_level(name, value)
    return (two_sided(level) / half_width) ** 2 * share * (1 - share)


def power_of_share(
    n: int,
    share: float,
    *,
    null: float = 0.5,
    level: float = 0.05,
    alternative: Literal["two-sided", "greater"] = "two-sided",
) -> float:
    """Compute the exact chance that a binomial test tells a share from the null.

    Parameters
    ----------
    n : int
        Trials.
    share, null : float
        In truth, and under the null.
    level : float, default 0.05
        Of the test; two-sided by doubling.
    alternative : {"two-sided", "greater"}, default "two-sided"
        Side.

    Returns
    -------
    float
        0 where no outcome rejects, as with 3 trades: 5 are needed one-sided at one half.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> power_of_share(3, 0.9, alternative="greater")
    0.0
    """
    check_level("share", share)
    check_level("null", null)
    check_level("level", level)
    if alternative not in ("two-sided", "greater"):
        raise ParameterError(f"`alternative` must be two-sided or greater, was {alternative!r}")
    if n < 1:
        return 0.0
    import numpy as np
    from scipy.stats import binom

    k = np.arange(n + 1)
    side = level if alternative == "greater" else level / 2
    rejected = binom.sf(k - 1, n, null) <= side
    if alternative == "two-sided":
        rejected |= binom.cdf(k, n, null) <= side
    return float(np.sum(binom.pmf(k[rejected], n, share)))


def least_trials(null: float = 0.5, *, level: float = 0.05) -> int:
    """Count the trials below which no outcome at all can reject, one-sided.

    Parameters
    ----------
    null : float, default 0.5
        Share under the null.
    level : float, default 0.05
        One-sided.

    Returns
    -------
    int
        Least n with ``null^n <= level``.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> least_trials()
    5
    """
    check_level("null", null)
    check_level("level", level)
    n = max(1, math.floor(math.log(level) / math.log(null)))
    return n if null**n <= level else n + 1
