"""Did a distribution move? Indices of shift with what no shift at all would give."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from barproof.errors import ParameterError
from barproof.stats._common import Floats, Stat, check_positive, series, undefined

__all__ = [
    "KolmogorovSmirnov",
    "Psi",
    "Wasserstein",
    "jensen_shannon",
    "ks",
    "ks_p",
    "psi",
    "psi_null",
    "psi_of",
    "wasserstein",
]


def _shares(name: str, values: ArrayLike) -> Floats:
    x, reason = series(values, least=1, varies=False)
    if reason or x.min() < 0 or not x.sum() > 0:
        raise ParameterError(f"`{name}` must be shares >= 0 with a sum above 0, was {values!r}")
    out: Floats = x / x.sum()
    return out


def _both(expected: ArrayLike, actual: ArrayLike) -> tuple[Floats, Floats]:
    e, a = _shares("expected", expected), _shares("actual", actual)
    if len(e) != len(a):
        raise ParameterError(
            f"`expected` and `actual` must have one number of shares, had {len(e)} and {len(a)}"
        )
    return e, a


def psi_of(expected: ArrayLike, actual: ArrayLike) -> float:
    """Compute the population stability index of shares.

    Parameters
    ----------
    expected, actual : array_like of shape (n_bins,)
        Shares, or counts, of the same bins.

    Returns
    -------
    float
        ``sum (a - e) ln(a / e)``; infinite where a bin is empty on one side alone.

    Raises
    ------
    ParameterError
        If they are no shares, or differ in number.

    Examples
    --------
    >>> psi_of([1, 1], [1, 1])
    0.0
    """
    e, a = _both(expected, actual)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = (a - e) * np.log(a / e)
    return float(np.sum(np.where((a == 0) & (e == 0), 0.0, terms)))


def psi_null(bins: int, n: int, m: int, *, level: float = 0.95) -> tuple[float, float]:
    """Compute what the index is between two samples of one distribution.

    Parameters
    ----------
    bins : int
        Bins, at least 2.
    n, m : int
        Sizes of the samples.
    level : float, default 0.95
        Of the quantile.

    Returns
    -------
    mean, quantile : float
        Of chi-square with bins - 1 degrees of freedom times ``1/n + 1/m`` (B. Yurdakul and J. Naranjo 2020).

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> mean, most = psi_null(10, 1_000, 1_000)
    >>> round(mean, 3), round(most, 3)
    (0.018, 0.034)
    """
    check_positive("bins", bins - 1)
    check_positive("n", n)
    check_positive("m", m)
    from scipy.stats import chi2

    scale = 1 / n + 1 / m
    return (bins - 1) * scale, float(chi2.ppf(level, bins - 1)) * scale


@dataclass(frozen=True, repr=False, eq=False)
class Psi(Stat):
    """Population stability index with its null.

    Attributes
    ----------
    psi : float
        The index.
    null_mean, null_95 : float
        Mean and 95% quantile where nothing moved.
    bins, empty : int
        Bins, and those that were empty on one side and were given half an observation.
    n, m : int
        Sizes of reference and current sample.
    """

    psi: float
    null_mean: float
    null_95: float
    bins: int
    empty: int
    n: int
    m: int


def psi(reference: ArrayLike, current: ArrayLike, *, bins: int = 10) -> Psi:
    """Compute the population stability index over quantile bins of the reference.

    Parameters
    ----------
    reference, current : array_like of shape (n,), (m,)
        Samples.
    bins : int, default 10
        Of equal mass in the reference; ties join bins.

    Returns
    -------
    Psi
        Undefined for an empty sample, a constant reference, or values that are not finite.

    Raises
    ------
    ParameterError
        If `bins` is below 2.

    Notes
    -----
    0.10 and 0.25 are a convention (N. Siddiqi 2006), lenient for large samples and noise below 300 rows: hold the
    index against `null_95` too, which takes observations to be independent.

    Examples
    --------
    >>> psi(range(100), range(100)).psi
    0.0
    """
    check_positive("bins", bins - 1)
    x, first = series(reference, least=2)
    y, second = series(current, least=1, varies=False)
    known: dict[str, Any] = {"n": len(x), "m": len(y)}
    if first or second:
        reason = f"the reference: {first}" if first else f"the current sample: {second}"
        return undefined(Psi, reason, **known)
    inner = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    e, a = (np.histogram(v, edges)[0].astype(np.float64) for v in (x, y))
    kept = (e > 0) | (a > 0)
    e, a = e[kept], a[kept]
    empty = int(np.sum((e == 0) | (a == 0)))
    if len(e) < 2:
        return undefined(Psi, "one bin holds everything", **known)
    value = psi_of(np.where(e == 0, 0.5, e), np.where(a == 0, 0.5, a)) if empty else psi_of(e, a)
    return Psi(value, *psi_null(len(e), len(x), len(y)), len(e), empty, **known)


@dataclass(frozen=True, repr=False, eq=False)
class KolmogorovSmirnov(Stat):
    """Largest distance of two distributions.

    Attributes
    ----------
    d : float
        The distance: what to gate on.
    p : float
        Two-sided: it measures sample size as much as distance.
    n, m : int
        Sizes.
    """

    d: float
    p: float
    n: int
    m: int


def ks(a: ArrayLike, b: ArrayLike) -> KolmogorovSmirnov:
    """Compare two samples by Kolmogorov and Smirnov.

    Parameters
    ----------
    a, b : array_like of shape (n,), (m,)
        Samples; observations are taken to be independent. Where they are not no level is claimed: of AR(1) noise with
        0.2, 250 a side, 7.3% are told apart at 5%.

    Returns
    -------
    KolmogorovSmirnov
        Exact p up to 10,000 observations, then asymptotic (as scipy); undefined for an empty sample, or values that
        are not finite.

    Examples
    --------
    >>> ks([1.0, 2.0], [1.0, 2.0]).d
    0.0
    """
    x, first = series(a, least=1, varies=False)
    y, second = series(b, least=1, varies=False)
    if first or second:
        reason = f"the first: {first}" if first else f"the second: {second}"
        return undefined(KolmogorovSmirnov, reason, n=len(x), m=len(y))
    from scipy.stats import ks_2samp

    found = ks_2samp(x, y)
    return KolmogorovSmirnov(float(found.statistic), float(found.pvalue), len(x), len(y))


def ks_p(d: float, n: int, m: int) -> float:
    """Compute the asymptotic p-value of a distance.

    Parameters
    ----------
    d : float
        Distance, in [0, 1].
    n, m : int
        Sizes.

    Returns
    -------
    float
        Kolmogorov's distribution at ``d sqrt(n m / (n + m))``.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(ks_p(0.02, 1_000, 1_000), 2)
    0.99
    """
    check_positive("n", n)
    check_positive("m", m)
    if not 0 <= d <= 1:
        raise ParameterError(f"`d` must lie in [0, 1], was {d!r}")
    from scipy.stats import kstwobign

    return float(kstwobign.sf(d * math.sqrt(n * m / (n + m))))


@dataclass(frozen=True, repr=False, eq=False)
class Wasserstein(Stat):
    """How far mass must be moved from one distribution to the other.

    Attributes
    ----------
    distance : float
        In the unit of the values.
    relative : float
        Over the standard deviation (population) of the first.
    n, m : int
        Sizes.
    """

    distance: float
    relative: float
    n: int
    m: int


def wasserstein(reference: ArrayLike, current: ArrayLike) -> Wasserstein:
    """Compute the first Wasserstein distance of two samples.

    Parameters
    ----------
    reference, current : array_like of shape (n,), (m,)
        Samples.

    Returns
    -------
    Wasserstein
        Undefined for an empty sample, a constant reference, or values that are not finite.

    Examples
    --------
    >>> wasserstein([0.0, 1.0], [1.0, 2.0]).distance
    1.0
    """
    x, first = series(reference)
    y, second = series(current, least=1, varies=False)
    if first or second:
        reason = f"the reference: {first}" if first else f"the current sample: {second}"
        return undefined(Wasserstein, reason, n=len(x), m=len(y))
    from scipy.stats import wasserstein_distance

    distance = float(wasserstein_distance(x, y))
    return Wasserstein(distance, distance / float(x.std()), len(x), len(y))


def jensen_shannon(expected: ArrayLike, actual: ArrayLike) -> tuple[float, float]:
    """Compute the Jensen-Shannon distance and divergence of shares.

    Parameters
    ----------
    expected, actual : array_like of shape (n_bins,)
        Shares, or counts, of the same bins.

    Returns
    -------
    distance, divergence : float
        Base 2, so that both lie in [0, 1]; the first is the root of the second.

    Raises
    ------
    ParameterError
        If they are no shares, or differ in number.

    Examples
    --------
    >>> jensen_shannon([1, 0], [0, 1])
    (1.0, 1.0)
    """
    e, a = _both(expected, actual)
    middle = (e + a) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [np.where(v > 0, v * np.log2(v / middle), 0.0) for v in (e, a)]
    divergence = max(0.0, float(sum(p.sum() for p in parts)) / 2)
    return math.sqrt(divergence), divergence
