"""Sharpe ratios that were chosen: the best of many trials without skill, and what is left when it is taken off."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

from barproof.errors import ParameterError
from barproof.stats._common import (
    Stat,
    check_level,
    check_positive,
    quantile,
    tail,
    undefined,
)
from barproof.stats.sharpe import psr_of, sharpe_error

__all__ = [
    "Deflated",
    "Odds",
    "deflated_sharpe",
    "deflated_size",
    "deviation_of_maximum",
    "expected_maximum",
    "min_backtest_years",
    "odds_of_skill",
]

_EULER = 0.577_215_664_901_532_9


def expected_maximum(trials: float, *, exact: bool = False) -> float:
    """Compute the expected best of independent standard normals.

    Parameters
    ----------
    trials : float
        How many, at least 1; whole if `exact`.
    exact : bool, default False
        Integrate the order statistic; else the usual approximation.

    Returns
    -------
    float
        0 for one. The approximation ``(1 - g) Phi^-1(1 - 1/N) + g Phi^-1(1 - 1/(N e))`` (D. Bailey et al. 2014) is a
        little high: 2.531 for 2.508 at 100.

    Raises
    ------
    ParameterError
        If `trials` is below 1.

    Examples
    --------
    >>> round(expected_maximum(100), 4), round(expected_maximum(100, exact=True), 4)
    (2.5306, 2.5076)
    """
    _check_trials(trials)
    if trials == 1:
        return 0.0
    if exact:
        return _moment_of_maximum(trials, 1)
    near, far = 1 - 1 / trials, 1 - 1 / (trials * math.e)
    # Between one and two trials the approximation falls below 0.
    return max(0.0, (1 - _EULER) * quantile(near) + _EULER * quantile(far))


def deviation_of_maximum(trials: float) -> float:
    """Compute the standard deviation of the best of independent standard normals.

    Parameters
    ----------
    trials : float
        How many, at least 1.

    Returns
    -------
    float
        By integrating the order statistic; 1 for one.

    Raises
    ------
    ParameterError
        If `trials` is below 1.

    Examples
    --------
    >>> round(deviation_of_maximum(100), 4)
    0.4294
    """
    _check_trials(trials)
    if trials == 1:
        return 1.0
    first = _moment_of_maximum(trials, 1)
    return math.sqrt(_moment_of_maximum(trials, 2) - first * first)


def _moment_of_maximum(trials: float, power: int) -> float:
    """Moment of the largest of independent normal draws, by quadrature."""
    from scipy.integrate import quad
    from scipy.special import log_ndtr

    def weight(x: float) -> float:
        log = math.log(trials) + (trials - 1) * float(log_ndtr(x)) - x * x / 2
        return math.exp(log) * x**power / math.sqrt(2 * math.pi)

    centre = expected_maximum(trials)
    cuts = [-40.0, centre - 3, centre, centre + 3, 40.0]
    parts = (
        quad(weight, a, b, epsabs=1e-13, epsrel=1e-12, limit=200)[0]
        for a, b in itertools.pairwise(cuts)
    )
    return float(sum(parts))


@dataclass(frozen=True, repr=False, eq=False)
class Deflated(Stat):
    """Deflated Sharpe ratio, in its forms.

    Attributes
    ----------
    dsr_2014 : float
        The form of 2012 of the probabilistic ratio against the hurdle.
    dsr_2025 : float
        The form of 2025 against the hurdle: error at the hurdle.
    dsr_2025_maximum : float
        The same with the deviation of the best of N in place of that of one.
    hurdle : float
        Ratio per period that the best of so many trials without skill is expected to have.
    sidak : float
        Chance that the best of N independent trials without skill does so well: ``1 - Phi(z)^N``, with the error of z
        at the estimate and, unlike in the form of 2014, the autocorrelation `rho` in it.
    variance : float
        Of the ratios over trials, as used.
    sample_variance, sampling_variance : float
        As given, and that of one estimated ratio without skill; the larger is used.
    trials : float
        Trials.
    sharpe : float
        Of the chosen trial, per period.
    n : int
        Observations.
    """

    dsr_2014: float
    dsr_2025: float
    dsr_2025_maximum: float
    hurdle: float
    sidak: float
    variance: float
    sample_variance: float
    sampling_variance: float
    trials: float
    sharpe: float
    n: int


def deflated_sharpe(
    sharpe: float,
    n: int,
    *,
    trials: float | None,
    variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    rho: float = 0.0,
) -> Deflated:
    """Compute the chance that the best of many trials has skill.

    Parameters
    ----------
    sharpe : float
        Of the chosen trial, per period.
    n : int
        Its observations.
    trials : float or None
        How many were tried, ever; None if unknown.
    variance : float
        Of the trials' ratios, per period squared.
    skewness, kurtosis, rho : float
        Of the chosen trial's returns; `rho` is used by the form of 2025 and by `sidak`.

    Returns
    -------
    Deflated
        Undefined where the number of trials is unknown, or a moment is.

    Raises
    ------
    ParameterError
        If `trials` is below 1 or the variance negative.

    Notes
    -----
    D. Bailey and M. Lopez de Prado 2014: the hurdle is ``sqrt(V) E[max_N]``. Trials that copy each other make V and the
    hurdle small, so V is at least what sampling alone gives one ratio. One trial has the hurdle 0. At 0.95 the form of
    2014 has a true size of 0.15% at 100 trials, the form with the deviation of the maximum 5.9%
    (:func:`deflated_size`). The p-value of Sidak without `rho` passes 15% of AR(1) noise with 0.2 at 5% (10 trials,
    250 days); given it, as :func:`barproof.stats.overfitting` does, it holds its level.

    Examples
    --------
    >>> found = deflated_sharpe(2.5 / 250**0.5, 1_250, trials=100, variance=0.5 / 250, skewness=-3, kurtosis=10)
    >>> round(found.dsr_2014, 4), round(found.dsr_2025, 4), round(found.dsr_2025_maximum, 4)
    (0.9004, 0.9128, 0.9992)
    """
    known = {"sharpe": sharpe, "n": n, "sample_variance": variance}
    if trials is None:
        return undefined(Deflated, "the number of trials is unknown", **known)
    _check_trials(trials)
    if variance < 0:
        raise ParameterError(f"`variance` of the trials must be >= 0, was {variance!r}")
    known["trials"] = float(trials)
    if n < 2 or not all(map(math.isfinite, (sharpe, variance, skewness, kurtosis, rho))):
        return undefined(Deflated, f"{n} observations, or a moment is not finite", **known)
    sampling = sharpe_error(0.0, n) ** 2
    used = max(variance, sampling)
    hurdle = math.sqrt(used) * expected_maximum(trials)
    shape = {"skewness": skewness, "kurtosis": kurtosis, "rho": rho}
    old = psr_of(sharpe, n, benchmark=hurdle, form="2012", **shape)
    new = psr_of(sharpe, n, benchmark=hurdle, form="2025", **shape)
    if not (old.defined and new.defined):
        return undefined(Deflated, old.reason or new.reason, **known)
    error = sharpe_error(sharpe, n - 1, **shape)
    if not error > 0:
        return undefined(Deflated, "skewness, kurtosis and rho leave no positive variance", **known)
    z = sharpe / error
    # ln(1 - tail) keeps what 1 - Phi(z)^N would lose.
    below = math.log1p(-tail(z)) if z > -8 else -math.inf
    return Deflated(
        dsr_2014=old.psr,
        dsr_2025=new.psr,
        dsr_2025_maximum=tail(-new.z / deviation_of_maximum(trials)),
        hurdle=hurdle,
        sidak=-math.expm1(trials * below),
        variance=used,
        sampling_variance=sampling,
        **known,  # type: ignore[arg-type]
    )


def deflated_size(
    trials: float, *, level: float = 0.95, form: Literal["2014", "2025"] = "2014"
) -> float:
    """Compute how often a gate on the deflated Sharpe ratio lets through the best of trials without skill.

    Parameters
    ----------
    trials : float
        Independent trials.
    level : float, default 0.95
        The gate.
    form : {"2014", "2025"}, default "2014"
        2025 is the one with the deviation of the maximum.

    Returns
    -------
    float
        ``1 - Phi(hurdle + z s)^N`` with s = 1, or the deviation of the best of N; many observations are assumed.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Examples
    --------
    >>> round(deflated_size(100), 4), round(deflated_size(100, form="2025"), 3)
    (0.0015, 0.059)
    """
    check_level("level", level)
    if form not in ("2014", "2025"):
        raise ParameterError(f"`form` of the size must be 2014 or 2025, was {form!r}")
    spread = 1.0 if form == "2014" else deviation_of_maximum(trials)
    bar = expected_maximum(trials) + quantile(level) * spread
    return -math.expm1(trials * math.log1p(-tail(bar)))


def min_backtest_years(trials: float, sharpe: float = 1.0) -> float:
    """Compute how long a backtest must be for the best of trials without skill not to show a ratio.

    Parameters
    ----------
    trials : float
        Trials, at least 1.
    sharpe : float, default 1.0
        Ratio a year, > 0.

    Returns
    -------
    float
        ``(E[max_N] / SR)^2`` years (D. Bailey et al. 2014): 45 trials explain a ratio of 1 in 5 years.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(min_backtest_years(45), 2)
    5.0
    """
    check_positive("sharpe", sharpe)
    return (expected_maximum(trials) / sharpe) ** 2


@dataclass(frozen=True, repr=False, eq=False)
class Odds(Stat):
    """What a test of skill can tell, given how rare skill is.

    Attributes
    ----------
    beta : float
        Chance to miss skill of the size asked about.
    pfdr : float
        Share without skill among all that pass the test.
    ofdr : float
        Chance that this one, with the ratio that was seen, has no skill; NaN where none was given.
    critical : float
        Ratio per period from which on the test passes.
    """

    beta: float
    pfdr: float
    ofdr: float
    critical: float


def odds_of_skill(
    n: int,
    *,
    skill: float,
    prior: float,
    sharpe: float | None = None,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    rho: float = 0.0,
    level: float = 0.05,
) -> Odds:
    """Compute power and false discoveries of a test of a Sharpe ratio.

    Parameters
    ----------
    n : int
        Observations.
    skill : float
        Ratio of those that have skill, per period, above the benchmark.
    prior : float
        Share of strategies that have it, in (0, 1).
    sharpe : float, optional
        Ratio that was seen, per period.
    benchmark : float, default 0.0
        Ratio of those that have none.
    skewness, kurtosis, rho : float
        Of the returns.
    level : float, default 0.05
        Of the test, one-sided.

    Returns
    -------
    Odds
        Undefined where the moments leave no variance.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Notes
    -----
    M. Lopez de Prado, A. Lipton and V. Zoonekynd 2025. Good prose, never a gate: the answer is as good as the prior.

    Examples
    --------
    >>> found = odds_of_skill(24, skill=0.5, prior=0.05, sharpe=0.036 / 0.079, skewness=-2.448, kurtosis=10.164)
    >>> round(found.beta, 3), round(found.pfdr, 3), round(found.ofdr, 3)
    (0.315, 0.581, 0.306)
    """
    check_level("level", level)
    check_level("prior", prior)
    check_positive("skill", skill - benchmark)
    shape = {"skewness": skewness, "kurtosis": kurtosis, "rho": rho}
    none = sharpe_error(benchmark, n, **shape)
    some = sharpe_error(skill, n, **shape)
    if not (none > 0 and some > 0):
        return undefined(Odds, "skewness and kurtosis leave no positive variance")
    critical = benchmark + quantile(1 - level) * none
    beta = tail((skill - critical) / some)
    pfdr = 1 / (1 + (1 - beta) * prior / (level * (1 - prior)))
    ofdr = math.nan
    if sharpe is not None:
        p0, p1 = tail((sharpe - benchmark) / none), tail((sharpe - skill) / some)
        weight = p0 * (1 - prior) + p1 * prior
        ofdr = p0 * (1 - prior) / weight if weight > 0 else math.nan
    return Odds(beta, pfdr, ofdr, critical)


def _check_trials(trials: float) -> None:
    if not (trials >= 1 and math.isfinite(trials)):
        raise ParameterError(f"`trials` must be finite and at least 1, was {trials!r}")
