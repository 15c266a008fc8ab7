"""Probabilities against outcomes: calibration with its null, proper scores, constant forecasts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from barproof.errors import ParameterError
from barproof.stats._common import Floats, Stat, check_level, floats, tail, undefined
from barproof.stats.shares import _check_share

__all__ = [
    "Baseline",
    "CalibrationError",
    "Murphy",
    "Scores",
    "Spiegelhalter",
    "calibration_error",
    "constant_forecast",
    "murphy",
    "scores",
    "spiegelhalter",
    "spread_of_forecast",
]

_CLIP = 1e-15


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


def _rows(p: ArrayLike, y: ArrayLike, least: int = 1) -> tuple[Floats, Floats, str]:
    """Probabilities and outcomes, and why nothing can be said of them."""
    try:
        q, z = floats(p), floats(y)
    except (TypeError, ValueError):
        return np.empty(0), np.empty(0), "probabilities or outcomes are no plain series of numbers"
    if q.ndim != 1 or q.shape != z.shape:
        return (
            np.empty(0),
            np.empty(0),
            f"shapes {q.shape} and {z.shape}: one outcome a probability",
        )
    if len(q) < least:
        return q, z, f"{len(q)} rows, {least} are needed"
    if not np.all((q >= 0) & (q <= 1)):
        at = int(np.flatnonzero(~((q >= 0) & (q <= 1)))[0])
        return q, z, f"probability {at} is {q[at]}"
    if not np.all((z == 0) | (z == 1)):
        at = int(np.flatnonzero(~((z == 0) | (z == 1)))[0])
        return q, z, f"outcome {at} is {z[at]}, not 0 or 1"
    return q, z, ""


@dataclass(frozen=True, repr=False, eq=False)
class CalibrationError(Stat):
    """Expected calibration error, with what a perfectly calibrated forecast would show.

    Attributes
    ----------
    ece : float
        ``sum n_b / n |mean y - mean p|``.
    null : float
        Its expectation where the forecast is calibrated: pure bias.
    excess : float
        The one less the other: what to gate on.
    l2 : float
        Root of the mean squared gap with each bin's sampling variance taken off, 0 where that leaves nothing.
    bins : int
        Bins with rows.
    n : int
        Rows.
    form : str
        Which bins.
    """

    ece: float
    null: float
    excess: float
    l2: float
    bins: int
    n: int
    form: str


def calibration_error(
    p: ArrayLike, y: ArrayLike, *, bins: int = 10, form: Literal["mass", "width"] = "mass"
) -> CalibrationError:
    """Compute the calibration error of probabilities of a binary outcome.

    Parameters
    ----------
    p : array_like of shape (n,)
        Probabilities of outcome 1.
    y : array_like of shape (n,)
        Outcomes, 0 or 1.
    bins : int, default 10
        Bins.
    form : {"mass", "width"}, default "mass"
        Bins of equal mass (sorted rows, cut evenly, the first bins one row longer), or of equal width, closed to the
        left.

    Returns
    -------
    CalibrationError
        Undefined without rows, or for what is no probability or outcome.

    Raises
    ------
    ParameterError
        If `bins` or `form` is out of bounds.

    Notes
    -----
    M. Naeini et al. 2015, C. Guo et al. 2017; equal mass K. Nguyen and B. O'Connor 2015; the debiased form J. Brocker
    2012, C. Ferro and T. Fricker 2012, A. Kumar et al. 2019. The null is
    ``sqrt(2 / pi) sum n_b / n sqrt(p_b (1 - p_b) / n_b)``: a calibrated forecast scores 0.05 with 10 bins and 0.11
    with 50 at 400 rows.

    Examples
    --------
    >>> calibration_error([0.5, 0.5, 0.5, 0.5], [0, 1, 0, 1], bins=1).ece
    0.0
    """
    if bins < 1 or form not in ("mass", "width"):
        raise ParameterError(
            f"`bins` must be at least 1 and `form` mass or width, were {bins!r} and {form!r}"
        )
    q, z, reason = _rows(p, y)
    name = f"{bins} bins of equal {form}"
    n = len(q)
    if reason:
        return undefined(CalibrationError, reason, n=n, form=name)
    if form == "mass":
        order = np.argsort(q, kind="stable")
        groups = [g for g in np.array_split(order, bins) if len(g)]
    else:
        at = np.minimum((q * bins).astype(np.int64), bins - 1)
        groups = [g for g in (np.flatnonzero(at == b) for b in range(bins)) if len(g)]
    size = np.array([len(g) for g in groups], dtype=np.float64)
    forecast = np.array([q[g].mean() for g in groups])
    observed = np.array([z[g].mean() for g in groups])
    gap = np.abs(observed - forecast)
    ece = float(np.sum(size / n * gap))
    spread = np.sqrt(forecast * (1 - forecast) / size)
    null = math.sqrt(2 / math.pi) * float(np.sum(size / n * spread))
    # A bin of one row has no variance to take off; its square gap is kept whole.
    noise = np.where(size > 1, observed * (1 - observed) / np.maximum(size - 1, 1), 0.0)
    square = float(np.sum(size / n * (gap**2 - noise)))
    return CalibrationError(
        ece, null, ece - null, math.sqrt(max(0.0, square)), len(groups), n, name
    )


@dataclass(frozen=True, repr=False, eq=False)
class Scores(Stat):
    """Proper scores, and the same of the best constant.

    Attributes
    ----------
    brier, log_loss : float
        Mean squared error, and mean negative log likelihood in nats.
    brier_skill, log_skill : float
        One less score over that of the base rate; NaN where outcomes are all alike.
    clipped : float
        Share of probabilities within 1e-15 of 0 or 1, which were moved there so that the logarithm is finite.
    n : int
        Rows.
    """

    brier: float
    log_loss: float
    brier_skill: float
    log_skill: float
    clipped: float
    n: int


def scores(p: ArrayLike, y: ArrayLike) -> Scores:
    """Compute Brier score and log loss, with their skill over the base rate.

    Parameters
    ----------
    p : array_like of shape (n,)
        Probabilities of outcome 1.
    y : array_like of shape (n,)
        Outcomes, 0 or 1.

    Returns
    -------
    Scores
        Undefined without rows, or for what is no probability or outcome.

    Examples
    --------
    >>> scores([0.5, 0.5], [0, 1]).brier
    0.25
    """
    q, z, reason = _rows(p, y)
    n = len(q)
    if reason:
        return undefined(Scores, reason, n=n)
    brier = float(np.mean((q - z) ** 2))
    safe = np.clip(q, _CLIP, 1 - _CLIP)
    loss = -float(np.mean(np.where(z == 1, np.log(safe), np.log1p(-safe))))
    base = constant_forecast(int(z.sum()), n)
    varied = 0 < base.share < 1
    return Scores(
        brier,
        loss,
        1 - brier / base.brier if varied else math.nan,
        1 - loss / base.entropy if varied else math.nan,
        float(np.mean(safe != q)),
        n,
    )


@dataclass(frozen=True, repr=False, eq=False)
class Murphy(Stat):
    """The Brier score in parts.

    Attributes
    ----------
    reliability, resolution, uncertainty : float
        Squared gaps of bins; squared distance of bins from the base rate; variance of the outcome.
    within : float
        What forecasts vary within bins: the Brier score is reliability - resolution + uncertainty + within.
    brier : float
        The score itself.
    bins, n : int
        Bins, and rows.
    """

    reliability: float
    resolution: float
    uncertainty: float
    within: float
    brier: float
    bins: int
    n: int


def murphy(p: ArrayLike, y: ArrayLike, *, bins: int | None = None) -> Murphy:
    """Take the Brier score apart into reliability, resolution and uncertainty.

    Parameters
    ----------
    p : array_like of shape (n,)
        Probabilities of outcome 1.
    y : array_like of shape (n,)
        Outcomes, 0 or 1.
    bins : int, optional
        Bins of equal width. Default: every distinct probability is a bin, and the parts add up with `within` 0.

    Returns
    -------
    Murphy
        Undefined without rows, or for what is no probability or outcome.

    Raises
    ------
    ParameterError
        If `bins` is below 1.

    Notes
    -----
    A. Murphy 1973; with bins D. Stephenson et al. 2008.

    Examples
    --------
    >>> found = murphy([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 1])
    >>> round(found.reliability - found.resolution + found.uncertainty, 12) == round(found.brier, 12)
    True
    """
    if bins is not None and bins < 1:
        raise ParameterError(f"`bins` of the score must be at least 1, was {bins!r}")
    q, z, reason = _rows(p, y)
    n = len(q)
    if reason:
        return undefined(Murphy, reason, n=n)
    keys = q if bins is None else np.minimum((q * bins).astype(np.int64), bins - 1)
    _, at, count = np.unique(keys, return_inverse=True, return_counts=True)
    forecast = np.bincount(at, weights=q) / count
    observed = np.bincount(at, weights=z) / count
    base = float(z.mean())
    share = count / n
    reliability = float(np.sum(share * (forecast - observed) ** 2))
    resolution = float(np.sum(share * (observed - base) ** 2))
    brier = float(np.mean((q - z) ** 2))
    within = brier - (reliability - resolution + base * (1 - base))
    if bins is None:
        within = 0.0
    return Murphy(reliability, resolution, base * (1 - base), within, brier, len(count), n)


@dataclass(frozen=True, repr=False, eq=False)
class Spiegelhalter(Stat):
    """Test of calibration.

    Attributes
    ----------
    z, p : float
        Standard normal for a calibrated forecast, and its two-sided p-value.
    n : int
        Rows.
    """

    z: float
    p: float
    n: int


def spiegelhalter(p: ArrayLike, y: ArrayLike) -> Spiegelhalter:
    """Test whether probabilities are calibrated.

    Parameters
    ----------
    p : array_like of shape (n,)
        Probabilities of outcome 1.
    y : array_like of shape (n,)
        Outcomes, 0 or 1, independent: thin labels that overlap.

    Returns
    -------
    Spiegelhalter
        ``sum (y - p)(1 - 2p) / sqrt(sum (1 - 2p)^2 p (1 - p))`` (D. Spiegelhalter 1986); undefined without rows, for
        what is no probability or outcome, or where all probabilities are 0, one half or 1.

    Examples
    --------
    >>> round(spiegelhalter([0.2, 0.2, 0.2, 0.2, 0.2], [1, 0, 0, 0, 0]).z, 12)
    0.0
    """
    q, z, reason = _rows(p, y)
    n = len(q)
    if reason:
        return undefined(Spiegelhalter, reason, n=n)
    variance = float(np.sum((1 - 2 * q) ** 2 * q * (1 - q)))
    if not variance > 0:
        return undefined(Spiegelhalter, "all probabilities are 0, one half or 1", n=n)
    score = float(np.sum((z - q) * (1 - 2 * q))) / math.sqrt(variance)
    return Spiegelhalter(score, 2 * tail(abs(score)), n)


def spread_of_forecast(auc: float, share: float) -> float:
    """Compute how much a calibrated forecast varies, given how well it ranks.

    Parameters
    ----------
    auc : float
        Area under the curve, in (0.5, 1).
    share : float
        Base rate, in (0, 1).

    Returns
    -------
    float
        Standard deviation of the probabilities where log odds of both classes are normal with one variance.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(spread_of_forecast(0.55, 0.1942), 4)
    0.0278
    """
    check_level("share", share)
    check_level("auc", auc)
    from scipy.integrate import quad
    from scipy.special import expit, ndtri

    gap = math.sqrt(2.0) * float(ndtri(auc))
    prior = math.log(share / (1 - share))

    def mean(power: int) -> float:
        def weight(x: float) -> float:
            both = share * math.exp(-((x - gap) ** 2) / 2) + (1 - share) * math.exp(-x * x / 2)
            q = float(expit(prior + gap * x - gap * gap / 2))
            return q**power * both / math.sqrt(2 * math.pi)

        found = quad(weight, -12, 12 + gap, epsabs=1e-14, epsrel=1e-12, limit=200)[0]
        return float(found)

    first = mean(1)
    return math.sqrt(mean(2) - first * first)


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
