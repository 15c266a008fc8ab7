"""Memory of a series: long-run errors, effective sizes, annualisation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from barproof.errors import ParameterError, ShapeError
from barproof.stats._common import Floats, Stat, check_positive, floats, series, undefined

__all__ = [
    "EffectiveSize",
    "HacMean",
    "annualisation",
    "autocorrelations",
    "bartlett",
    "effective_labels",
    "effective_size",
    "effective_size_of",
    "hac_mean",
    "lags_of",
]


def autocorrelations(values: ArrayLike, most: int | None = None) -> Floats:
    """Compute autocorrelations from lag 1 on.

    Parameters
    ----------
    values : array_like of shape (n,)
        In time order.
    most : int, optional
        Largest lag. Default: n - 1.

    Returns
    -------
    ndarray of shape (most,)
        Sums of products over n times the variance; empty where the series is undefined or constant.

    Examples
    --------
    >>> autocorrelations([1.0, -1.0, 1.0, -1.0]).tolist()
    [-0.75, 0.5, -0.25]
    """
    x, reason = series(values)
    if reason:
        return np.empty(0)
    n = len(x)
    c = x - x.mean()
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(c, size)
    gamma = np.fft.irfft(spectrum * np.conj(spectrum), size)[:n]
    top = n - 1 if most is None else min(most, n - 1)
    out: Floats = gamma[1 : top + 1] / gamma[0]
    return out


def bartlett(values: Floats, lags: int) -> float:
    """Long-run variance of centred values, by Bartlett's window."""
    n = len(values)
    total = float(values @ values) / n
    for k in range(1, min(lags, n - 1) + 1):
        total += 2 * (1 - k / (lags + 1)) * float(values[k:] @ values[:-k]) / n
    return total


def lags_of(n: int) -> int:
    """Lags of a Bartlett window for n observations: ``floor(4 (n / 100)^(2/9))`` (W. Newey and K. West 1994)."""
    return int(4 * (n / 100) ** (2 / 9))


@dataclass(frozen=True, repr=False, eq=False)
class HacMean(Stat):
    """A mean with its error under autocorrelation.

    Attributes
    ----------
    mean, error : float
        Mean, and its standard error.
    lags : int
        Of the Bartlett window.
    n : int
        Observations.
    """

    mean: float
    error: float
    lags: int
    n: int


def hac_mean(values: ArrayLike, *, lags: int | None = None) -> HacMean:
    """Compute a mean and its error for observations that depend on each other.

    Parameters
    ----------
    values : array_like of shape (n,)
        In time order.
    lags : int, optional
        Of the Bartlett window. Default: :func:`lags_of` n.

    Returns
    -------
    HacMean
        Undefined for fewer than two values, a constant, or values that are not finite.

    Notes
    -----
    W. Newey and K. West 1987, without a correction for small samples.

    Examples
    --------
    >>> hac_mean([1.0, 2.0, 3.0, 4.0], lags=0).error
    0.559016...
    """
    x, reason = series(values)
    width = lags_of(len(x)) if lags is None else lags
    if not reason and not 0 <= width < len(x):
        reason = f"{width} lags of {len(x)} observations"
    if reason:
        return undefined(HacMean, reason, n=len(x), lags=width)
    mean = float(x.mean())
    return HacMean(mean, math.sqrt(bartlett(x - mean, width) / len(x)), width, len(x))


@dataclass(frozen=True, repr=False, eq=False)
class EffectiveSize(Stat):
    """What dependent observations are worth.

    Attributes
    ----------
    size : float
        Independent observations with the same error of the mean.
    inflation : float
        Variance of the mean over that of independent observations.
    n : int
        Observations.
    """

    size: float
    inflation: float
    n: int


def _given(correlations: ArrayLike) -> tuple[Floats, str]:
    """Autocorrelations from lag 1 on, or one that falls off by powers; and why they are none."""
    try:
        one = floats(correlations)
    except (TypeError, ValueError):
        return np.empty(0), "they are no plain series of numbers"
    if one.ndim:
        return series(one, least=0, varies=False)
    return one, "" if np.isfinite(one) else f"the first is {one}"


def effective_size_of(n: int, correlations: ArrayLike) -> EffectiveSize:
    """Count the independent observations in dependent ones, by given autocorrelations.

    Parameters
    ----------
    n : int
        Observations.
    correlations : array_like, or float
        Autocorrelations from lag 1 on; one number is that of a first-order autoregression.

    Returns
    -------
    EffectiveSize
        ``n / (1 + 2 sum_k (1 - k/n) rho_k)``.

    Raises
    ------
    ParameterError
        If `n` is not above 0.

    Examples
    --------
    >>> round(effective_size_of(1_000, 0.9).size)
    53
    """
    check_positive("n", n)
    rho, reason = _given(correlations)
    if reason:
        return undefined(EffectiveSize, f"the correlations: {reason}", n=n)
    if rho.ndim == 0:
        rho = np.power(float(rho), np.arange(1, n)).astype(np.float64)
    k = np.arange(1, len(rho) + 1)
    inflation = 1 + 2 * float(np.sum((1 - k / n) * rho))
    if not (inflation > 0 and math.isfinite(inflation)):
        return undefined(EffectiveSize, f"the variance factor is {inflation:.3g}", n=n)
    return EffectiveSize(n / inflation, inflation, n)


def effective_size(values: ArrayLike) -> EffectiveSize:
    """Count the independent observations in a series.

    Parameters
    ----------
    values : array_like of shape (n,)
        In time order.

    Returns
    -------
    EffectiveSize
        At most n: what negative dependence would add is not claimed. Undefined for a constant, fewer than 4
        observations, or values that are not finite.

    Notes
    -----
    Autocorrelations are summed while their pairs stay positive and do not grow: the initial monotone sequence
    (C. Geyer 1992). Rows that are repeated are worth no more than once where they stand side by side.

    Examples
    --------
    >>> effective_size([0.0, 1.0] * 50).size
    100.0
    """
    x, reason = series(values, least=4)
    n = len(x)
    if reason:
        return undefined(EffectiveSize, reason, n=n)
    rho = np.concatenate([[1.0], autocorrelations(x)])
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs <= 0)
    pairs = np.minimum.accumulate(pairs[: ends[0]] if len(ends) else pairs)
    inflation = max(1.0, 2 * float(pairs.sum()) - 1)
    return EffectiveSize(n / inflation, inflation, n)


def annualisation(periods: int, correlations: ArrayLike = 0.0) -> float:
    """Compute what a Sharpe ratio per period is multiplied with for one of many periods.

    Parameters
    ----------
    periods : int
        Periods that are put together, such as 12 months, at least 1.
    correlations : array_like or float, default 0.0
        Autocorrelations from lag 1 on; one number is that of a first-order autoregression.

    Returns
    -------
    float
        ``q / sqrt(q + 2 sum_k (q - k) rho_k)``, the square root of q without autocorrelation (A. Lo 2002); NaN where
        the variance of the sum would not be positive.

    Raises
    ------
    ParameterError
        If `periods` is below 1.

    Examples
    --------
    >>> round(annualisation(12, 0.2), 3)
    2.879
    """
    if periods < 1:
        raise ParameterError(f"`periods` must be at least 1, was {periods!r}")
    rho, reason = _given(correlations)
    if reason:
        return math.nan
    if rho.ndim == 0:
        rho = np.power(float(rho), np.arange(1, periods)).astype(np.float64)
    rho = rho[: periods - 1]
    k = np.arange(1, len(rho) + 1)
    variance = periods + 2 * float(np.sum((periods - k) * rho))
    return periods / math.sqrt(variance) if variance > 0 else math.nan


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
    spans = [series(x, least=0, varies=False) for x in (start, end)]
    if any(reason and "dimensions" not in reason for _, reason in spans):
        return math.nan
    if any(bool(np.any(np.abs(x) >= 2.0**53)) for x, _ in spans):
        return math.nan  # no bar is counted so far, and none could be told from its neighbour
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
    # Between two places where a label begins or has ended their number stays: gaps take no memory.
    places, at = np.unique(np.concatenate([first, last + 1]), return_inverse=True)
    begin, stop = at[: len(first)], at[len(first) :]
    alive = np.zeros(len(places))
    np.add.at(alive, begin, 1.0)
    np.add.at(alive, stop, -1.0)
    alive = np.cumsum(alive)[:-1]
    share = np.where(alive > 0, np.diff(places) / np.maximum(alive, 1.0), 0.0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    return float(np.sum((total[stop] - total[begin]) / (last - first + 1)))
