"""Two strategies or forecasts on the same periods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof.errors import ParameterError
from barproof.stats._common import Floats, Stat, check_level, series, tail, undefined
from barproof.stats.bootstrap import block_length, given_indices, stationary_indices
from barproof.stats.memory import bartlett, lags_of
from barproof.stats.sharpe import sharpe_influence

__all__ = [
    "ClusteredMean",
    "ForecastTest",
    "PairedDifference",
    "SharpeDifference",
    "clustered_mean",
    "diebold_mariano",
    "paired_difference",
    "sharpe_difference",
]


_HELD = 2_000_000  # resampled values at a time


def _pair(a: ArrayLike, b: ArrayLike, least: int) -> tuple[Floats, Floats, str]:
    x, first = series(a, least=least, varies=False)
    y, second = series(b, least=least, varies=False)
    if first or second:
        return x, y, f"the first: {first}" if first else f"the second: {second}"
    if len(x) != len(y):
        return x, y, f"{len(x)} and {len(y)} periods: put both on one calendar first"
    return x, y, ""


@dataclass(frozen=True, repr=False, eq=False)
class PairedDifference(Stat):
    """A difference of two means with its bootstrap, both resampled alike.

    Attributes
    ----------
    difference : float
        Mean of the first less mean of the second.
    error : float
        Standard deviation of the resampled differences.
    low, high : float
        Percentile interval at `level`.
    p : float
        Two-sided: (1 + #) / (1 + resamples) of centred differences at least so large.
    level, mean_block : float
        Coverage, and mean length of the blocks (NaN where indices were given).
    n, resamples : int
        Periods, and resamples.
    """

    difference: float
    error: float
    low: float
    high: float
    p: float
    level: float
    mean_block: float
    n: int
    resamples: int


def paired_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    indices: ArrayLike | None = None,
) -> PairedDifference:
    """Compare the means of two series over the same periods.

    Parameters
    ----------
    a, b : array_like of shape (n,)
        Returns of both, period by period on one calendar. Trades of two strategies are no pairs; days are.
    level : float, default 0.95
        Coverage of the interval.
    resamples : int, default 2000
        Resamples.
    mean_block : float, optional
        Mean length of blocks. Default: :func:`barproof.stats.block_length` of the differences.
    seed : int, default 0
        In [0, 2**64).
    indices : array_like of shape (resamples, n), optional
        Resamples by position, instead of drawn ones.

    Returns
    -------
    PairedDifference
        Undefined for fewer than two periods, calendars that do not match, values that are not finite, differences that
        are constant, or blocks beyond a fifth of the sample.

    Raises
    ------
    ParameterError, ShapeError
        If an argument is out of bounds.

    Notes
    -----
    One set of indices serves both. Resampled apart, two series with correlation 0.6 show an error a seventh too large.

    Examples
    --------
    >>> x = [0.01, -0.01, 0.02, 0.00, 0.01, -0.02] * 10
    >>> paired_difference([v + 0.001 for v in x], [2 * v for v in x], resamples=199).defined
    True
    """
    check_level("level", level)
    x, y, reason = _pair(a, b, 2)
    n = len(x)
    difference, why = series(x - y) if not reason else (x, reason)
    if why:
        reason = reason or f"the differences: {why}"
        return undefined(PairedDifference, reason, n=n, level=level)
    block = math.nan
    if indices is None:
        block = block_length(difference) if mean_block is None else float(mean_block)
        if block > n / 5:
            reason = f"mean block {block:.1f} of {n} periods: more than a fifth says nothing"
            return undefined(PairedDifference, reason, n=n, level=level, mean_block=block)
        index = stationary_indices(n, mean_block=block, rows=resamples, seed=seed)
    else:
        index = given_indices(indices, n)
    means = difference[index].mean(axis=1)
    centre = float(difference.mean())
    extreme = int(np.sum(np.abs(means - centre) >= abs(centre)))
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return PairedDifference(
        centre,
        float(means.std(ddof=1)),
        float(low),
        float(high),
        (1 + extreme) / (1 + len(index)),
        level,
        block,
        n,
        len(index),
    )


@dataclass(frozen=True, repr=False, eq=False)
class SharpeDifference(Stat):
    """A difference of two Sharpe ratios.

    Attributes
    ----------
    difference : float
        First less second, per period.
    error_independent : float
        Standard error for independent periods.
    error : float
        Under autocorrelation, by Bartlett's window.
    z, p : float
        Difference over `error`, and its two-sided p-value.
    p_bootstrap : float
        By the studentised bootstrap; NaN where none was asked for.
    lags, n : int
        Of the window, and periods.
    """

    difference: float
    error_independent: float
    error: float
    z: float
    p: float
    p_bootstrap: float
    lags: int
    n: int


def sharpe_difference(
    a: ArrayLike,
    b: ArrayLike,
    *,
    lags: int | None = None,
    resamples: int = 0,
    mean_block: float | None = None,
    seed: int = 0,
) -> SharpeDifference:
    """Test whether two strategies have the same Sharpe ratio.

    Parameters
    ----------
    a, b : array_like of shape (n,)
        Returns of both over the same periods.
    lags : int, optional
        Of the Bartlett window. Default: ``floor(4 (n / 100)^(2/9))``.
    resamples : int, default 0
        Resamples of the studentised bootstrap.
    mean_block : float, optional
        Mean length of its blocks. Default: :func:`barproof.stats.block_length` of the influence.
    seed : int, default 0
        In [0, 2**64).

    Returns
    -------
    SharpeDifference
        Undefined for fewer than four periods, calendars that do not match, a constant, values that are not finite,
        or blocks beyond a fifth of the sample.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Notes
    -----
    O. Ledoit and M. Wolf 2008: the delta method on the difference of the influence functions; in the bootstrap each
    resample is studentised by its own blocks' sums. The older test of Jobson and Korkie assumes independent normals.

    Examples
    --------
    >>> x = [0.01, -0.01, 0.02, 0.00, 0.01, -0.02] * 10
    >>> round(sharpe_difference(x, x[::-1]).difference, 12)
    0.0
    """
    x, y, reason = _pair(a, b, 4)
    n = len(x)
    width = lags_of(n) if lags is None else lags
    if not reason:
        for name, values in (("first", x), ("second", y)):
            reason = reason or (f"the {name}: {why}" if (why := series(values)[1]) else "")
    if not reason and not 0 <= width < n:
        reason = f"{width} lags of {n} periods"
    known = {"lags": width, "n": n}
    if reason:
        return undefined(SharpeDifference, reason, **known)
    influence = sharpe_influence(x) - sharpe_influence(y)
    difference = float(x.mean() / x.std() - y.mean() / y.std())
    if series(influence)[1] != "":
        return undefined(SharpeDifference, "the two do not differ beyond scale", **known)
    independent = math.sqrt(bartlett(influence, 0) / n)
    error = math.sqrt(bartlett(influence, width) / n)
    z = difference / error
    p_bootstrap = math.nan
    if resamples:
        block = block_length(influence) if mean_block is None else float(mean_block)
        if block > n / 5:
            reason = f"mean block {block:.1f} of {n} periods: more than a fifth says nothing"
            return undefined(SharpeDifference, reason, **known)
        index = stationary_indices(n, mean_block=block, rows=resamples, seed=seed)
        some = max(1, _HELD // n)
        parts = [index[at : at + some] for at in range(0, resamples, some)]
        extreme = sum(
            int(np.sum(np.abs(_resampled_z(x, y, part, difference)) >= abs(z))) for part in parts
        )
        p_bootstrap = (1 + extreme) / (1 + resamples)
    return SharpeDifference(
        difference, independent, error, z, 2 * tail(abs(z)), p_bootstrap, width, n
    )


def _resampled_z(x: Floats, y: Floats, index: NDArray[np.int64], centre: float) -> Floats:
    """Studentised differences of resamples, a row each; infinite where one has no spread, which counts against."""
    rows, n = index.shape
    ratios, influence = np.zeros(rows), np.zeros((rows, n))
    spread = np.ones(rows, bool)
    for sign, values in ((1, x), (-1, y)):
        drawn = values[index]
        varied = np.ptp(drawn, axis=1) > 0
        deviation = np.where(varied, drawn.std(axis=1), 1.0)
        mean = drawn.mean(axis=1)
        z = (drawn - mean[:, None]) / deviation[:, None]
        ratio = mean / deviation
        influence += sign * (z - ratio[:, None] / 2 * (z * z - 1))
        ratios += sign * ratio
        spread &= varied
    fresh = np.ones((rows, n), bool)
    fresh[:, 1:] = index[:, 1:] != (index[:, :-1] + 1) % n
    starts = np.flatnonzero(fresh)
    sums = np.add.reduceat(influence.ravel(), starts)
    error = np.sqrt(np.bincount(starts // n, weights=sums * sums, minlength=rows)) / n
    usable = spread & (error > 0)
    return np.where(usable, (ratios - centre) / np.where(usable, error, 1.0), np.inf)


@dataclass(frozen=True, repr=False, eq=False)
class ForecastTest(Stat):
    """Whether two forecasts lose alike.

    Attributes
    ----------
    statistic, p : float
        Of the test, and its p-value.
    difference : float
        Mean loss of the first less that of the second.
    horizon, n : int
        Steps ahead, and forecasts.
    """

    statistic: float
    p: float
    difference: float
    horizon: int
    n: int


def diebold_mariano(
    loss_a: ArrayLike,
    loss_b: ArrayLike,
    *,
    horizon: int = 1,
    alternative: Literal["two-sided", "less", "greater"] = "two-sided",
    corrected: bool = True,
) -> ForecastTest:
    """Test whether two forecasts of the same outcomes are equally good.

    Parameters
    ----------
    loss_a, loss_b : array_like of shape (n,)
        Losses of both, outcome by outcome in time order.
    horizon : int, default 1
        Steps ahead; errors of overlapping forecasts depend on each other up to ``horizon - 1`` lags.
    alternative : {"two-sided", "less", "greater"}, default "two-sided"
        "less": the first loses less.
    corrected : bool, default True
        For small samples, with Student's t (D. Harvey, S. Leybourne and P. Newbold 1997).

    Returns
    -------
    ForecastTest
        Undefined for too few outcomes, lengths that differ, values that are not finite, losses that do not differ, or
        a long-run variance that is not positive.

    Raises
    ------
    ParameterError
        If the horizon or the alternative is out of bounds.

    Notes
    -----
    F. Diebold and R. Mariano 1995: mean difference over the root of ``(gamma_0 + 2 sum gamma_k) / n`` up to lag
    ``horizon - 1``. Its level is claimed where differences depend on each other up to that lag and no further.

    Examples
    --------
    >>> diebold_mariano([1.0, 2.0, 1.0, 3.0], [2.0, 2.5, 1.5, 3.0], alternative="less").p < 0.1
    True
    """
    if horizon < 1:
        raise ParameterError(f"`horizon` must be at least 1, was {horizon!r}")
    if alternative not in ("two-sided", "less", "greater"):
        raise ParameterError(
            f"`alternative` must be two-sided, less or greater, was {alternative!r}"
        )
    x, y, reason = _pair(loss_a, loss_b, max(3, 2 * horizon))
    n = len(x)
    known = {"horizon": horizon, "n": n}
    if not reason:
        why = series(x - y)[1]
        reason = f"the differences: {why}" if why else ""
    if reason:
        return undefined(ForecastTest, reason, **known)
    d = x - y
    c = d - d.mean()
    variance = float(c @ c) / n + 2 * sum(float(c[k:] @ c[:-k]) / n for k in range(1, horizon))
    if not variance > 0:
        return undefined(ForecastTest, "the long-run variance is not positive", **known)
    statistic = float(d.mean()) / math.sqrt(variance / n)
    if corrected:
        statistic *= math.sqrt((n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n)
        from scipy.stats import t

        above = float(t.sf(statistic, n - 1))
    else:
        above = tail(statistic)
    p = {"greater": above, "less": 1 - above, "two-sided": 2 * min(above, 1 - above)}[alternative]
    return ForecastTest(statistic, p, float(d.mean()), horizon, n)


@dataclass(frozen=True, repr=False, eq=False)
class ClusteredMean(Stat):
    """A mean of trades that come in clusters.

    Attributes
    ----------
    mean, error, t, p : float
        Mean, its standard error over clusters, their ratio, and its two-sided p-value by Student's t.
    clusters, n : int
        Clusters, and observations.
    """

    mean: float
    error: float
    t: float
    p: float
    clusters: int
    n: int


def clustered_mean(values: ArrayLike, clusters: ArrayLike) -> ClusteredMean:
    """Test a mean where observations of a cluster depend on each other, as trades of a day do.

    Parameters
    ----------
    values : array_like of shape (n,)
        Such as returns of trades.
    clusters : array_like of shape (n,)
        Such as their days.

    Returns
    -------
    ClusteredMean
        Undefined for fewer than two clusters, lengths that differ, values that are not finite, clusters without a
        name, or no spread.

    Notes
    -----
    Error by sums of residuals over clusters, with the factor ``G / (G - 1) (n - 1) / (n - 1)`` and G - 1 degrees of
    freedom (as cluster-robust least squares on a constant).

    Examples
    --------
    >>> clustered_mean([1.0, 1.0, 2.0, 2.0], [0, 0, 1, 1]).clusters
    2
    """
    x, reason = series(values)
    n = len(x)
    try:
        labels = np.asarray(clusters)
    except ValueError:
        labels = np.empty((0, 0))
    if not reason and labels.shape != x.shape:
        reason = f"{n} values with clusters of shape {labels.shape}"
    if not reason and bool(np.any(labels != labels)):
        reason = "a cluster is NaN: every value needs the name of its own"
    if reason:
        return undefined(ClusteredMean, reason, n=n)
    names, at = np.unique(labels, return_inverse=True)
    groups = len(names)
    if groups < 2:
        return undefined(ClusteredMean, "one cluster", n=n, clusters=groups)
    mean = float(x.mean())
    sums = np.bincount(at, weights=x - mean)
    error = math.sqrt(groups / (groups - 1) * float(sums @ sums)) / n
    if not error > 0:
        return undefined(ClusteredMean, "clusters do not differ", n=n, clusters=groups)
    from scipy.stats import t

    ratio = mean / error
    return ClusteredMean(mean, error, ratio, float(2 * t.sf(abs(ratio), groups - 1)), groups, n)
