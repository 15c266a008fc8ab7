"""The stationary bootstrap and the generator behind it."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof import _core
from barproof._machine import thread_count
from barproof.errors import ParameterError, ShapeError
from barproof.stats._common import series

__all__ = [
    "Interval",
    "block_length",
    "given_indices",
    "mean_interval",
    "normals",
    "stationary_indices",
    "uniforms",
]

Floats = NDArray[np.float64]

_GAMMA = 0x9E3779B97F4A7C15


class Interval(NamedTuple):
    """An estimate with its interval.

    Attributes
    ----------
    estimate, low, high : float
        NaN where undefined.
    n : int
        Observations.
    level : float
        Coverage aimed at, such as 0.95.
    method : str
        How it was made.
    reason : str
        Why there is no interval; empty where there is one.
    """

    estimate: float
    low: float
    high: float
    n: int
    level: float
    method: str
    reason: str = ""

    @property
    def defined(self) -> bool:
        """Whether there is an interval."""
        return not self.reason


def uniforms(seed: int, n: int, *, skip: int = 0) -> Floats:
    """Draw numbers in [0, 1) from SplitMix64.

    Parameters
    ----------
    seed : int
        In [0, 2**64).
    n : int
        How many.
    skip : int, default 0
        Numbers to leave out first.

    Returns
    -------
    ndarray of shape (n,)
        The top 53 bits of each output times 2^-53 (S. Vigna's SplitMix64).

    Raises
    ------
    ParameterError
        If the seed does not fit 64 bits.

    Examples
    --------
    >>> float(uniforms(0, 1)[0]).hex()
    '0x1.c4415072f63b9p-1'
    """
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**64:
        raise ParameterError(f"`seed` must be a whole number in [0, 2**64), was {seed!r}")
    with np.errstate(over="ignore"):
        steps = np.arange(skip + 1, skip + n + 1, dtype=np.uint64)
        z = np.uint64(seed) + steps * np.uint64(_GAMMA)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(seed: int, n: int) -> Floats:
    """Draw nearly normal numbers: the sum of twelve uniforms minus six.

    Parameters
    ----------
    seed : int
        In [0, 2**64).
    n : int
        How many.

    Returns
    -------
    ndarray of shape (n,)
        Mean 0, variance 1, within [-6, 6] (Irwin-Hall); the same bits everywhere, which exact normals would not have.

    Examples
    --------
    >>> len(normals(1, 3))
    3
    """
    total = np.zeros(n)
    for column in uniforms(seed, 12 * n).reshape(n, 12).T:
        total += column
    return total - 6.0


def stationary_indices(n: int, *, mean_block: float, rows: int, seed: int) -> NDArray[np.int64]:
    """Draw the rows of a stationary bootstrap.

    Parameters
    ----------
    n : int
        Observations, at least 1.
    mean_block : float
        Mean length of the blocks, at least 1; 1 draws each observation by itself.
    rows : int
        Resamples.
    seed : int
        In [0, 2**64).

    Returns
    -------
    ndarray of shape (rows, n), int64
        Positions: blocks of geometric length that wrap around the end (D. N. Politis and J. P. Romano 1994).

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Notes
    -----
    With ``p = 1 / mean_block``: a row begins at ``floor(u n)``; then one uniform decides each step: below ``p`` a fresh
    ``floor(u n)`` from the next uniform, else the position after the last.

    Examples
    --------
    >>> stationary_indices(5, mean_block=2, rows=2, seed=1).shape
    (2, 5)
    """
    if n < 1 or rows < 1 or not mean_block >= 1:
        raise ParameterError(
            f"a bootstrap needs `n` >= 1, `rows` >= 1 and `mean_block` >= 1, were {n!r}, {rows!r} and {mean_block!r}"
        )
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**64:
        raise ParameterError(
            f"`seed` of a bootstrap must be a whole number in [0, 2**64), was {seed!r}"
        )
    flat = _core.stationary_positions(
        n, mean_block=mean_block, rows=rows, seed=seed, threads=thread_count(None)
    )
    return flat.reshape(rows, n)


def given_indices(indices: ArrayLike, n: int) -> NDArray[np.int64]:
    """Check resamples that were made elsewhere.

    Parameters
    ----------
    indices : array_like of shape (resamples, n), int
        Positions in [0, n).
    n : int
        Observations.

    Returns
    -------
    ndarray of shape (resamples, n), int64
        The same.

    Raises
    ------
    ShapeError
        If a row is not of n positions.
    ParameterError
        If a position is out of bounds.

    Examples
    --------
    >>> given_indices([[0, 1, 1]], 3).shape
    (1, 3)
    """
    index = np.asarray(indices)
    if index.ndim != 2 or index.shape[1] != n or not len(index) or index.dtype.kind not in "iu":
        raise ShapeError(
            f"`indices` must be whole numbers of shape (resamples, {n}), had shape {index.shape} of {index.dtype}"
        )
    if int(index.min()) < 0 or int(index.max()) >= n:
        raise ParameterError(
            f"`indices` must lie in [0, {n}), were from {index.min()} to {index.max()}"
        )
    return np.ascontiguousarray(index, dtype=np.int64)


def block_length(
    values: ArrayLike, *, bootstrap: Literal["stationary", "circular"] = "stationary"
) -> float:
    """Mean block length that suits the memory of a series.

    Parameters
    ----------
    values : array_like of shape (n,)
        Observations in time order, finite.
    bootstrap : {"stationary", "circular"}, default "stationary"
        For blocks of geometric length, or of one fixed length.

    Returns
    -------
    float
        At least 1; 1 for a constant or fewer than 8 observations, NaN where one is not finite.

    Raises
    ------
    ParameterError
        If there is no such bootstrap.

    Notes
    -----
    For the stationary bootstrap, by D. N. Politis and H. White 2004 with the correction of A. Patton, D. N. Politis and
    H. White 2009: a flat-top window over autocovariances, whose width is where five or more successive autocorrelations
    fall within two standard errors.

    Examples
    --------
    >>> block_length([1.0, -1.0, 1.0])
    1.0
    """
    if bootstrap not in ("stationary", "circular"):
        raise ParameterError(f"`bootstrap` must be stationary or circular, was {bootstrap!r}")
    x, reason = series(values, least=0, varies=False)
    n = len(x)
    if reason:
        return math.nan
    if n < 8 or not np.ptp(x) > 0:
        return 1.0
    x = x - x.mean()
    run = max(5, int(math.log10(n)))
    most = math.ceil(math.sqrt(n)) + run
    lags = range(min(most, n - 2) + 1)
    covariance = np.array([x[k:] @ x[: n - k] / n for k in lags])
    scale = np.array(
        [math.sqrt((x[k + 1 :] @ x[k + 1 :]) * (x[: n - k - 1] @ x[: n - k - 1])) for k in lags]
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        correlation = np.abs(covariance * n / scale)
    quiet = correlation < 2 * math.sqrt(math.log10(n) / n)
    width = most
    for first in range(len(quiet) - run):
        if bool(np.all(quiet[first : first + run])):
            width = min(2 * max(first, 1), most)
            break
    k = np.arange(1, min(width, len(covariance) - 1) + 1)
    taper = np.minimum(1.0, 2.0 * (1.0 - k / width))
    slope = 2.0 * float(np.sum(taper * k * covariance[k]))
    spectrum = float(covariance[0] + 2.0 * np.sum(taper * covariance[k]))
    if spectrum == 0:
        return 1.0
    efficiency = 1.0 if bootstrap == "stationary" else 1.5
    length = (efficiency * slope * slope / (spectrum * spectrum)) ** (1 / 3) * n ** (1 / 3)
    return float(min(max(1.0, length), math.ceil(min(3 * math.sqrt(n), n / 3))))


def mean_interval(
    values: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
    mean_block: float | None = None,
    studentise: bool = True,
) -> Interval:
    """Interval of a mean by the stationary bootstrap, for observations that need not be independent.

    Parameters
    ----------
    values : array_like of shape (n,)
        Observations in time order, finite.
    level : float, default 0.95
        Two-sided coverage, in (0, 1).
    resamples : int, default 2000
        Bootstrap rows, at least 99.
    seed : int, default 0
        In [0, 2**64).
    mean_block : float, optional
        Mean block length. Default: :func:`block_length`.
    studentise : bool, default True
        Resample the mean over its own standard error (bootstrap-t), which follows skewed data better; else take
        percentiles of the resampled means, which claim no coverage where data are skewed (of 1 - Exp(1), 250 days, 95%
        miss the mean in 8% of cases).

    Returns
    -------
    Interval
        NaN, with a reason, for fewer than two observations, values that are not finite, a constant (which says nothing
        of how far its mean may move), or blocks beyond a fifth of the sample.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Notes
    -----
    The standard error of the sample is that of the stationary bootstrap itself, in closed form (Politis and Romano
    1994, Lemma 1); that of a resample is the root of the summed squares of its blocks' centred sums, over n
    (F. Goetze and H. R. Kuensch 1996).

    Examples
    --------
    >>> interval = mean_interval([0.01, -0.005] * 50, resamples=999)
    >>> interval.low < 0.0025 < interval.high
    True
    """
    if not 0 < level < 1:
        raise ParameterError(f"`level` of a mean must lie between 0 and 1, was {level!r}")
    if resamples < 99:
        raise ParameterError(f"`resamples` must be at least 99, was {resamples}")
    if mean_block is not None and not mean_block >= 1:
        raise ParameterError(f"`mean_block` of a mean must be at least 1, was {mean_block!r}")
    x, reason = series(values)
    n = len(x)
    kind = "stationary bootstrap, studentised" if studentise else "stationary bootstrap, percentile"
    mean = float(np.mean(x)) if n and np.all(np.isfinite(x)) else math.nan
    if reason:
        return Interval(mean, math.nan, math.nan, n, level, kind, reason)
    block = block_length(x) if mean_block is None else float(mean_block)
    if block > n / 5:
        reason = f"mean block {block:.1f} of {n} observations: more than a fifth says nothing"
        return Interval(mean, math.nan, math.nan, n, level, kind, reason)
    centred = x - mean
    error = _standard_error(centred, block)
    found = _resampled(centred, block, resamples, seed, studentise)
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    method = f"{kind}, mean block {block:.1f}, {resamples:,} resamples"
    if not studentise:
        return Interval(mean, float(mean + low), float(mean + high), n, level, method)
    return Interval(mean, float(mean - high * error), float(mean - low * error), n, level, method)


def _standard_error(centred: Floats, block: float) -> float:
    """Compute the standard deviation of the mean of a stationary resample, in closed form."""
    n, q = len(centred), 1.0 - 1.0 / block
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(centred, size)
    plain = np.fft.irfft(spectrum * np.conj(spectrum), size)[:n] / n
    lag = np.arange(1, n)
    circular = plain[1:] + plain[:0:-1]
    weight = (1 - lag / n) * q**lag
    variance = plain[0] + 2.0 * float(np.sum(weight * circular))
    # Strong negative dependence can push the estimate to nothing.
    return math.sqrt(max(variance, plain[0] * 1e-6) / n)


def _resampled(centred: Floats, block: float, rows: int, seed: int, studentise: bool) -> Floats:
    """Means of the resamples, or each over its own standard error; 0 where that is only rounding."""
    # The largest over one trial is its own.
    size = float(np.max(np.abs(centred)))
    found, _ = _core.resampled_maxima(
        centred / size,
        periods=len(centred),
        deviations=np.ones(1),
        offsets=(np.zeros(1), np.zeros(1)),
        statistics=np.zeros(1),
        before=None,
        positions=None,
        anew=studentise,
        mean_block=block,
        rows=rows,
        seed=seed,
        threads=thread_count(None),
        progress=None,
    )
    out: Floats = found[0] if studentise else found[0] * (size / math.sqrt(len(centred)))
    return out
