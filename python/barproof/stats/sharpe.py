"""The Sharpe ratio: its error, whether it is one, and what it is worth after many trials.

Everything is per period; :func:`barproof.stats.annualisation` turns a ratio into one of a year. Kurtosis is Pearson's:
3 for a normal. Forms are named by their paper, because they disagree: of one track record the same question is answered
with 0.9004, 0.9128 and 0.9992.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from barproof.errors import ParameterError
from barproof.stats._common import (
    Floats,
    Stat,
    check_level,
    check_positive,
    quantile,
    series,
    tail,
    undefined,
)
from barproof.stats.memory import bartlett, lags_of

__all__ = [
    "Deflated",
    "HacSharpe",
    "Moments",
    "Odds",
    "Psr",
    "deflated_sharpe",
    "deflated_size",
    "deviation_of_maximum",
    "expected_maximum",
    "min_backtest_years",
    "min_track_record",
    "moments",
    "odds_of_skill",
    "psr",
    "psr_of",
    "sharpe_error",
    "sharpe_hac",
    "sharpe_influence",
]

Form: TypeAlias = Literal["2012", "2025"]

_EULER = 0.577_215_664_901_532_9


@dataclass(frozen=True, repr=False, eq=False)
class Moments(Stat):
    """Moments of a series of returns.

    Attributes
    ----------
    n : int
        Observations.
    mean, deviation : float
        Mean and standard deviation.
    sharpe : float
        Their ratio, per period.
    skewness, kurtosis : float
        Kurtosis is Pearson's: 3 for a normal.
    rho : float
        First autocorrelation.
    """

    n: int
    mean: float
    deviation: float
    sharpe: float
    skewness: float
    kurtosis: float
    rho: float


def moments(returns: ArrayLike, *, corrected: bool = False) -> Moments:
    """Compute mean, deviation, Sharpe ratio, skewness, kurtosis and first autocorrelation.

    Parameters
    ----------
    returns : array_like of shape (n,)
        In time order.
    corrected : bool, default False
        Use the forms with n - 1 degrees of freedom and without bias for normal data (as pandas); else those of the
        population.

    Returns
    -------
    Moments
        Undefined for fewer than two values (four if `corrected`), a constant, or values that are not finite.

    Examples
    --------
    >>> moments([1.0, 2.0, 3.0, 4.0]).kurtosis
    1.64
    """
    x, reason = series(returns, least=4 if corrected else 2)
    n = len(x)
    if reason:
        return undefined(Moments, reason, n=n)
    mean = float(x.mean())
    c = x - mean
    m2, m3, m4 = (float(np.mean(c**k)) for k in (2, 3, 4))
    deviation, skewness, kurtosis = math.sqrt(m2), m3 / m2**1.5, m4 / m2**2
    if corrected:
        deviation *= math.sqrt(n / (n - 1))
        skewness *= math.sqrt(n * (n - 1)) / (n - 2) if n > 2 else math.nan
        kurtosis = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * (kurtosis - 3) + 6) + 3
    rho = float(c[1:] @ c[:-1]) / (n * m2)
    return Moments(n, mean, deviation, mean / deviation, skewness, kurtosis, rho)


def sharpe_error(
    sharpe: float, n: int, *, skewness: float = 0.0, kurtosis: float = 3.0, rho: float = 0.0
) -> float:
    """Compute the standard error of a Sharpe ratio.

    Parameters
    ----------
    sharpe : float
        Per period; the true one, or the one under a null.
    n : int
        Observations.
    skewness, kurtosis : float
        Of the returns; kurtosis is Pearson's.
    rho : float, default 0.0
        First-order autoregression of the returns, in (-1, 1).

    Returns
    -------
    float
        Root of ``(a - b g3 SR + c (g4 - 1) / 4 SR^2) / n``, with a = (1 + rho) / (1 - rho),
        b = 1 + rho / (1 - rho) + rho^2 / (1 - rho^2), c = (1 + rho^2) / (1 - rho^2); NaN where that is negative.

    Raises
    ------
    ParameterError
        If `n` or `rho` is out of bounds.

    Notes
    -----
    A. Lo 2002 for normal returns, E. Mertens 2002 with skewness and kurtosis, M. Lopez de Prado, A. Lipton and
    V. Zoonekynd 2025 (eq. 5) with autocorrelation; each holds the one before.

    Examples
    --------
    >>> round(sharpe_error(0.5, 12), 3)
    0.306
    """
    check_positive("n", n)
    if not -1 < rho < 1:
        raise ParameterError(f"`rho` must lie strictly between -1 and 1, was {rho!r}")
    b, c = rho / (1 - rho), rho * rho / (1 - rho * rho)
    square = (1 + 2 * b) - (1 + b + c) * skewness * sharpe
    square += (1 + 2 * c) * (kurtosis - 1) / 4 * sharpe * sharpe
    return math.sqrt(square / n) if square > 0 else math.nan


def sharpe_influence(returns: Floats) -> Floats:
    """Influence of each return on the Sharpe ratio: ``z - SR / 2 (z^2 - 1)`` with population moments."""
    z = (returns - returns.mean()) / returns.std()
    ratio = float(returns.mean() / returns.std())
    out: Floats = z - ratio / 2 * (z * z - 1)
    return out


@dataclass(frozen=True, repr=False, eq=False)
class HacSharpe(Stat):
    """A Sharpe ratio with its error under autocorrelation.

    Attributes
    ----------
    sharpe, error : float
        Ratio per period, and its standard error.
    lags : int
        Of the Bartlett window.
    n : int
        Observations.
    """

    sharpe: float
    error: float
    lags: int
    n: int


def sharpe_hac(returns: ArrayLike, *, lags: int | None = None) -> HacSharpe:
    """Compute a Sharpe ratio and an error that holds for dependent returns.

    Parameters
    ----------
    returns : array_like of shape (n,)
        In time order.
    lags : int, optional
        Of the Bartlett window. Default: ``floor(4 (n / 100)^(2/9))``.

    Returns
    -------
    HacSharpe
        Undefined for fewer than four values, a constant, or values that are not finite.

    Notes
    -----
    Long-run variance of the influence function ``z - SR / 2 (z^2 - 1)`` (A. Lo 2002; J. Opdyke 2007).

    Examples
    --------
    >>> sharpe_hac([0.01, -0.01, 0.02, 0.0, 0.01]).lags
    2
    """
    x, reason = series(returns, least=4)
    width = lags_of(len(x)) if lags is None else lags
    if not reason and not 0 <= width < len(x):
        reason = f"{width} lags of {len(x)} observations"
    if reason:
        return undefined(HacSharpe, reason, n=len(x), lags=width)
    error = math.sqrt(bartlett(sharpe_influence(x), width) / len(x))
    return HacSharpe(float(x.mean() / x.std()), error, width, len(x))


@dataclass(frozen=True, repr=False, eq=False)
class Psr(Stat):
    """Probabilistic Sharpe ratio.

    Attributes
    ----------
    psr : float
        Chance that the true ratio is above the benchmark, read the usual way.
    z : float
        Standard normal under the null.
    error : float
        Standard error that z is made with.
    sharpe, benchmark : float
        Per period.
    n : int
        Observations.
    form : str
        "2012" or "2025".
    """

    psr: float
    z: float
    error: float
    sharpe: float
    benchmark: float
    n: int
    form: str


def psr_of(
    sharpe: float,
    n: int,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    rho: float = 0.0,
    form: Form = "2012",
) -> Psr:
    """Compute the probabilistic Sharpe ratio from moments.

    Parameters
    ----------
    sharpe : float
        Per period, as estimated.
    n : int
        Observations.
    benchmark : float, default 0.0
        Ratio to beat, per period.
    skewness, kurtosis, rho : float
        Of the returns; `rho` is used by the form of 2025 alone.
    form : {"2012", "2025"}, default "2012"
        2012 takes the error at the estimate and n - 1 observations; 2025 at the benchmark, and n.

    Returns
    -------
    Psr
        Undefined for fewer than two observations, moments that are not finite, or an error that is not.

    Raises
    ------
    ParameterError
        If there is no such form.

    Notes
    -----
    D. Bailey and M. Lopez de Prado 2012; M. Lopez de Prado, A. Lipton and V. Zoonekynd 2025. Without skill, 250 returns
    with autocorrelation 0.3 pass the form of 2012 at 0.95 in 12% of cases; the form of 2025 at a benchmark of 0
    ignores skewness. Where they matter let :func:`barproof.stats.mean_interval` decide.

    Examples
    --------
    >>> round(psr_of(0.036 / 0.079, 24, skewness=-2.448, kurtosis=10.164, form="2025").psr, 3)
    0.987
    """
    _check_form(form)
    known = {"sharpe": sharpe, "benchmark": benchmark, "n": n, "form": form}
    if not all(map(math.isfinite, (sharpe, benchmark, skewness, kurtosis, rho))):
        return undefined(Psr, "a moment is not finite", **known)
    if n < 2 or not -1 < rho < 1:
        return undefined(Psr, f"{n} observations with autocorrelation {rho:.3g}", **known)
    if form == "2012":
        error = sharpe_error(sharpe, n - 1, skewness=skewness, kurtosis=kurtosis)
    else:
        error = sharpe_error(benchmark, n, skewness=skewness, kurtosis=kurtosis, rho=rho)
    if not error > 0:
        return undefined(Psr, "skewness and kurtosis leave no positive variance", **known)
    z = (sharpe - benchmark) / error
    return Psr(psr=tail(-z), z=z, error=error, **known)  # type: ignore[arg-type]


def psr(returns: ArrayLike, *, benchmark: float = 0.0, form: Form = "2012") -> Psr:
    """Compute the probabilistic Sharpe ratio of a series of returns.

    Parameters
    ----------
    returns : array_like of shape (n,)
        In time order.
    benchmark : float, default 0.0
        Ratio to beat, per period.
    form : {"2012", "2025"}, default "2012"
        As in :func:`psr_of`; 2025 with the first autocorrelation of the sample.

    Returns
    -------
    Psr
        Undefined where moments are.

    Raises
    ------
    ParameterError
        If there is no such form.

    Examples
    --------
    >>> psr([0.01, -0.01, 0.02, 0.0, 0.01] * 10).psr > 0.99
    True
    """
    _check_form(form)
    m = moments(returns)
    if not m.defined:
        return undefined(Psr, m.reason, n=m.n, benchmark=benchmark, form=form)
    more = {"skewness": m.skewness, "kurtosis": m.kurtosis, "rho": m.rho}
    return psr_of(m.sharpe, m.n, benchmark=benchmark, form=form, **more)


def min_track_record(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    rho: float = 0.0,
    level: float = 0.95,
    form: Form = "2012",
) -> float:
    """Count the observations at which a Sharpe ratio would be significant.

    Parameters
    ----------
    sharpe, benchmark : float
        Per period.
    skewness, kurtosis, rho : float
        Of the returns; `rho` is used by the form of 2025 alone.
    level : float, default 0.95
        Probabilistic Sharpe ratio wanted.
    form : {"2012", "2025"}, default "2012"
        ``1 + (1 - g3 SR + (g4 - 1) / 4 SR^2) (z / (SR - SR*))^2``, or n with the error at the benchmark.

    Returns
    -------
    float
        Periods; infinite where the ratio is not above the benchmark, NaN where the moments leave no variance.

    Raises
    ------
    ParameterError
        If the level or the form is out of bounds.

    Examples
    --------
    >>> round(min_track_record(2 / 12**0.5, benchmark=1 / 12**0.5) / 12, 2)
    3.24
    """
    check_level("level", level)
    _check_form(form)
    if not sharpe > benchmark:
        return math.inf if sharpe <= benchmark else math.nan
    at = sharpe if form == "2012" else benchmark
    more = 0.0 if form == "2012" else rho
    one = sharpe_error(at, 1, skewness=skewness, kurtosis=kurtosis, rho=more)
    need = (one * quantile(level) / (sharpe - benchmark)) ** 2
    return 1 + need if form == "2012" else need


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
        Chance that the best of N independent trials without skill does so well: ``1 - Phi(z)^N``.
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
        Of the chosen trial's returns; `rho` is used by the form of 2025 alone.

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
    (:func:`deflated_size`).

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
    plain = psr_of(sharpe, n, form="2012", **shape)
    if not (old.defined and new.defined and plain.defined):
        return undefined(Deflated, old.reason or new.reason or plain.reason, **known)
    # ln(1 - tail) keeps what 1 - Phi(z)^N would lose.
    below = math.log1p(-tail(plain.z)) if plain.z > -8 else -math.inf
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


def _check_form(form: str) -> None:
    if form not in ("2012", "2025"):
        raise ParameterError(f"`form` must be 2012 or 2025, was {form!r}")


def _check_trials(trials: float) -> None:
    if not (trials >= 1 and math.isfinite(trials)):
        raise ParameterError(f"`trials` must be finite and at least 1, was {trials!r}")
