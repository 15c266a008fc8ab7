"""The Sharpe ratio: its error, and how sure it is.

Everything is per period; :func:`barproof.stats.annualisation` turns a ratio into one of a year. Kurtosis is Pearson's:
3 for a normal. Forms are named by their paper, because they disagree: of one track record the same question is answered
with 0.9004, 0.9128 and 0.9992.
"""

from __future__ import annotations

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
    "HacSharpe",
    "Moments",
    "Psr",
    "min_track_record",
    "moments",
    "psr",
    "psr_of",
    "sharpe_error",
    "sharpe_hac",
    "sharpe_influence",
]

Form: TypeAlias = Literal["2012", "2025"]


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
    with autocorrelation 0.3 pass the form of 2012 at 0.95 in 12% of cases (with 0.2, 8.5%): it claims its level for
    independent returns alone. The form of 2025 at a benchmark of 0 ignores skewness and claims it for symmetric ones
    (6.5% of 250 returns with a skewness of -2). Where they matter let :func:`barproof.stats.mean_interval` decide.

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


def _check_form(form: str) -> None:
    if form not in ("2012", "2025"):
        raise ParameterError(f"`form` must be 2012 or 2025, was {form!r}")
