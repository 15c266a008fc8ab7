"""The temperature that logits need: how much surer they are than they may be."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof.errors import ParameterError
from barproof.stats._common import Floats, Stat, floats, undefined
from barproof.stats.scores import _rows

__all__ = ["Temperature", "saturated_temperature", "temperature"]


@dataclass(frozen=True, repr=False, eq=False)
class Temperature(Stat):
    """Temperature that fits logits to outcomes.

    Attributes
    ----------
    temperature : float
        Above 1 where the forecast is too sure.
    loss_before, loss_after : float
        Log loss in nats.
    n : int
        Rows.
    """

    temperature: float
    loss_before: float
    loss_after: float
    n: int


def temperature(logits: ArrayLike, y: ArrayLike) -> Temperature:
    """Find the temperature of least log loss.

    Parameters
    ----------
    logits : array_like of shape (n,) or (n, n_classes)
        Log odds of outcome 1, or a logit a class.
    y : array_like of shape (n,)
        Outcomes, 0 or 1 or the number of the class, of rows that were used for nothing else.

    Returns
    -------
    Temperature
        Undefined without rows, for logits that are not finite or all 0, all on the right side (T would be 0), or not
        pointing to outcomes at all (infinite).

    Notes
    -----
    C. Guo et al. 2017: the root of the derivative of the log loss of ``logits / T``. It never changes which side of one
    half a row is on, or which class is likeliest. Two classes with logits 0 and x have the temperature of x alone.

    Examples
    --------
    >>> round(temperature([2.0, 2.0, 2.0, -2.0], [1, 1, 0, 0]).temperature, 4)
    1.8205
    """
    try:
        x = floats(logits)
    except (TypeError, ValueError):
        return undefined(Temperature, "the logits are no plain series of numbers")
    if x.ndim not in (1, 2) or not np.all(np.isfinite(x)):
        return undefined(Temperature, "the logits are not finite numbers, one a row or one a class")
    if x.ndim == 2:
        return _temperature_of_classes(x, y)
    q, z, reason = _rows(np.full(len(x), 0.5), y)
    n = len(q)
    if reason or n != len(x):
        return undefined(Temperature, reason, n=n)
    scale = float(np.max(np.abs(x)))
    if not scale > 0:
        return undefined(Temperature, "all logits are 0", n=n)
    from scipy.special import expit

    def slope(inverse: float) -> float:
        return float(np.mean((expit(inverse * x) - z) * x))

    def loss(inverse: float) -> float:
        return float(np.mean(np.logaddexp(0.0, inverse * x) - z * inverse * x))

    return _coldest(slope, loss, 1.0 / scale, bool(np.all((2 * z - 1) * x >= 0)), n)


def _temperature_of_classes(x: Floats, y: ArrayLike) -> Temperature:
    """Temperature of logits, a column a class."""
    n = len(x)
    z, reason = _class_numbers(y, x.shape)
    if reason:
        return undefined(Temperature, reason, n=n)
    from scipy.special import logsumexp, softmax

    # Only gaps count, and these cannot overflow.
    x = x - x.max(axis=1, keepdims=True)
    own = x[np.arange(n), z]
    scale = float(-x.min())
    if not scale > 0:
        return undefined(Temperature, "all logits of a row are the same", n=n)

    def slope(inverse: float) -> float:
        return float(np.mean((softmax(inverse * x, axis=1) * x).sum(axis=1) - own))

    def loss(inverse: float) -> float:
        return float(np.mean(logsumexp(inverse * x, axis=1) - inverse * own))

    return _coldest(slope, loss, 1.0 / scale, bool(np.all(own == 0)), n)


def _class_numbers(y: ArrayLike, shape: tuple[int, ...]) -> tuple[NDArray[np.int64], str]:
    """Class of each row, and why there is none."""
    nothing = np.empty(0, dtype=np.int64)
    try:
        z = floats(y)
    except (TypeError, ValueError):
        return nothing, "the outcomes are no plain series of numbers"
    if not shape[0] or shape[1] < 2:
        return nothing, "no rows, or a single class"
    if z.shape != shape[:1]:
        return nothing, "not one outcome a row"
    if not np.all((z >= 0) & (z < shape[1]) & (z == np.floor(z))):
        return nothing, "outcomes are no numbers of classes"
    return z.astype(np.int64), ""


def _coldest(
    slope: Callable[[float], float],
    loss: Callable[[float], float],
    high: float,
    right: bool,
    n: int,
) -> Temperature:
    """Find the root of the slope of the loss in 1 / T; it rises."""
    from scipy.optimize import brentq

    if slope(0.0) >= 0:
        return undefined(Temperature, "logits do not point to outcomes: T is infinite", n=n)
    if right:
        return undefined(Temperature, "every logit is on the right side: T is 0", n=n)
    while slope(high) < 0:
        high *= 2
    found = float(brentq(slope, 0.0, high, xtol=1e-300, rtol=1e-14))
    return Temperature(1 / found, loss(1.0), loss(found), n)


def saturated_temperature(size: float, accuracy: float) -> float:
    """Compute the temperature that logits of one size need at an accuracy.

    Parameters
    ----------
    size : float
        Size of every logit (or gap of two), > 0.
    accuracy : float
        Share that is right, in (0.5, 1).

    Returns
    -------
    float
        ``size / ln(c / (1 - c))``.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(saturated_temperature(158_041, 0.70))
    186524
    """
    if not size > 0 or not 0.5 < accuracy < 1:
        raise ParameterError(
            f"`size` must be > 0 and `accuracy` in (0.5, 1), were {size!r} and {accuracy!r}"
        )
    return size / math.log(accuracy / (1 - accuracy))
