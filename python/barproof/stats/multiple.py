"""Many looks: p-values that know of each other, and how many trials there really were."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from barproof.stats._common import Floats, Stat, floats, panel, series, undefined
from barproof.stats.grouping import CLUSTERED, clusters_of_trials, spread

__all__ = [
    "Adjusted",
    "EffectiveTrials",
    "benjamini_hochberg",
    "benjamini_yekutieli",
    "bonferroni",
    "effective_rank",
    "effective_trials",
    "effective_trials_of",
    "holm",
    "sidak",
]


@dataclass(frozen=True, repr=False, eq=False)
class Adjusted(Stat):
    """p-values adjusted for one another, in the order given.

    Attributes
    ----------
    p : ndarray of shape (n,)
        Monotone in the raw ones, at most 1.
    method : str
        By whom.
    """

    p: Floats
    method: str

    def rejected(self, level: float = 0.05) -> list[int]:
        """Places of those at or below a level."""
        return [int(i) for i in np.flatnonzero(self.p <= level)]


def _checked(p: ArrayLike) -> tuple[Floats, str]:
    x, reason = series(p, least=1, varies=False)
    if not reason and not bool(np.all((x >= 0) & (x <= 1))):
        bad = x[(x < 0) | (x > 1)][0]
        reason = f"a p-value is {bad:.6g}"
    return x, reason


def _step(p: ArrayLike, method: str, down: bool, factors: str) -> Adjusted:
    """Adjust p-values in order: weighed, then made monotone downwards or upwards, at most 1."""
    x, reason = _checked(p)
    if reason:
        return undefined(Adjusted, reason, method=method)
    n = len(x)
    order = np.argsort(x, kind="stable")
    rank = np.arange(1, n + 1)
    weight = n - rank + 1.0 if factors == "holm" else n / rank
    if factors == "yekutieli":
        weight = weight * np.sum(1.0 / rank)
    scaled = x[order] * weight
    stepped = np.maximum.accumulate(scaled) if down else np.minimum.accumulate(scaled[::-1])[::-1]
    out = np.empty(n)
    out[order] = np.minimum(stepped, 1.0)
    return Adjusted(out, method)


def holm(p: ArrayLike) -> Adjusted:
    """Adjust so that the chance of any false rejection is bounded, whatever the dependence.

    Parameters
    ----------
    p : array_like of shape (n,)
        Raw p-values, all looks that were taken.

    Returns
    -------
    Adjusted
        Undefined for none, or values outside [0, 1]. S. Holm 1979.

    Examples
    --------
    >>> holm([0.01, 0.04]).p.tolist()
    [0.02, 0.04]
    """
    return _step(p, "holm", True, "holm")


def benjamini_hochberg(p: ArrayLike) -> Adjusted:
    """Adjust so that the expected share of false rejections is bounded, under positive dependence.

    Parameters
    ----------
    p : array_like of shape (n,)
        Raw p-values.

    Returns
    -------
    Adjusted
        Undefined for none, or values outside [0, 1]. Y. Benjamini and Y. Hochberg 1995.

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04]).p.tolist()
    [0.02, 0.04]
    """
    return _step(p, "benjamini-hochberg", False, "hochberg")


def benjamini_yekutieli(p: ArrayLike) -> Adjusted:
    """Adjust so that the expected share of false rejections is bounded, whatever the dependence.

    Parameters
    ----------
    p : array_like of shape (n,)
        Raw p-values.

    Returns
    -------
    Adjusted
        Undefined for none, or values outside [0, 1]. Y. Benjamini and D. Yekutieli 2001.

    Examples
    --------
    >>> benjamini_yekutieli([0.01, 0.04]).p.tolist()
    [0.03, 0.06]
    """
    return _step(p, "benjamini-yekutieli", False, "yekutieli")


def bonferroni(p: ArrayLike) -> Adjusted:
    """Multiply by the number of looks, at most 1.

    Parameters
    ----------
    p : array_like of shape (n,)
        Raw p-values.

    Returns
    -------
    Adjusted
        Undefined for none, or values outside [0, 1].

    Examples
    --------
    >>> bonferroni([0.01, 0.6]).p.tolist()
    [0.02, 1.0]
    """
    x, reason = _checked(p)
    if reason:
        return undefined(Adjusted, reason, method="bonferroni")
    return Adjusted(np.minimum(1.0, len(x) * x), "bonferroni")


def sidak(p: ArrayLike) -> Adjusted:
    """Compute ``1 - (1 - p)^n``: exact for independent looks.

    Parameters
    ----------
    p : array_like of shape (n,)
        Raw p-values.

    Returns
    -------
    Adjusted
        Undefined for none, or values outside [0, 1]. Z. Sidak 1967.

    Examples
    --------
    >>> sidak([0.01, 1.0]).p.round(6).tolist()
    [0.0199, 1.0]
    """
    x, reason = _checked(p)
    if reason:
        return undefined(Adjusted, reason, method="sidak")
    with np.errstate(divide="ignore"):
        return Adjusted(-np.expm1(len(x) * np.log1p(-x)), "sidak")


def effective_trials_of(trials: float, correlation: float) -> float:
    """Count independent trials by a mean correlation.

    Parameters
    ----------
    trials : float
        Trials.
    correlation : float
        Mean of their pairwise correlations.

    Returns
    -------
    float
        ``rho + (1 - rho) M`` (D. Bailey and M. Lopez de Prado 2014).

    Examples
    --------
    >>> effective_trials_of(100, 0.5)
    50.5
    """
    return correlation + (1 - correlation) * trials


def effective_rank(matrix: ArrayLike) -> tuple[float, float, int]:
    """Count the dimensions of a correlation matrix.

    Parameters
    ----------
    matrix : array_like of shape (n, n)
        Symmetric.

    Returns
    -------
    entropy : float
        ``exp`` of the entropy of the eigenvalues' shares (O. Roy and M. Vetterli 2007).
    participation : float
        Square of their sum over the sum of their squares.
    dropped : int
        Eigenvalues below 0, which pairwise deletion can leave and which are dropped. The first two are NaN for what is
        no square matrix of finite numbers.

    Examples
    --------
    >>> entropy, participation, dropped = effective_rank([[1.0, 0.0], [0.0, 1.0]])
    >>> round(entropy, 12), round(participation, 12), dropped
    (2.0, 2.0, 0)
    """
    try:
        square = floats(matrix)
    except (TypeError, ValueError):
        square = np.empty(0)
    shape = square.shape
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0] or not np.all(np.isfinite(square)):
        return math.nan, math.nan, 0
    values: Floats = np.linalg.eigvalsh(square).astype(np.float64)
    return _dimensions(values)


def _dimensions(values: Floats) -> tuple[float, float, int]:
    largest = float(values.max(initial=0.0))
    if not largest > 0:
        return math.nan, math.nan, len(values)
    floor = 1e-12 * largest
    dropped = int(np.sum(values < -floor))
    share = values[values > floor]
    share = share / share.sum()
    entropy = math.exp(-float(np.sum(share * np.log(share))))
    return entropy, 1 / float(np.sum(share * share)), dropped


@dataclass(frozen=True, repr=False, eq=False)
class EffectiveTrials(Stat):
    """How many independent trials many dependent ones are worth, by several methods.

    Attributes
    ----------
    mean_correlation : float
        Mean of the pairwise correlations.
    by_correlation : float
        ``rho + (1 - rho) M``.
    by_rank : float
        Effective rank: exp of the entropy of the eigenvalues.
    by_participation : float
        Participation ratio of the eigenvalues.
    by_clusters : float
        Groups of trials that stand apart (:func:`barproof.stats.clusters`).
    largest : float
        Largest of them: what a gate uses.
    clustered : int
        Trials that were grouped: of more than 256 every so many, and `by_clusters` is then a lower bound.
    trials : int
        Trials.
    left_out : int
        Trials without any variation, which correlate with nothing.
    """

    mean_correlation: float
    by_correlation: float
    by_rank: float
    by_participation: float
    by_clusters: float
    largest: float
    clustered: int
    trials: int
    left_out: int


class Correlations:
    """What correlations between trials come to, trials added part by part; the trials themselves are not kept.

    The eigenvalues of ``Z'Z`` and ``ZZ'`` agree but for zeros, and one of the two is periods x periods, however many
    trials there are.
    """

    def __init__(self, periods: int) -> None:
        self._gram = np.zeros((periods, periods))
        self._sum = np.zeros(periods)
        self._kept = self._seen = 0

    def add(self, rows: Floats) -> None:
        """Add trials, a row each."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        size = np.sqrt(np.einsum("ij,ij->i", centred, centred))
        kept = size > 1e-14 * np.sqrt(rows.shape[1]) * np.abs(rows).max(axis=1, initial=0.0)
        z = centred[kept] / size[kept, None]
        self._gram += z.T @ z
        self._sum += z.sum(axis=0)
        self._kept += int(kept.sum())
        self._seen += len(rows)

    def result(self, some: Floats) -> EffectiveTrials:
        """Put together, with some of the trials to group, a row each."""
        m, left = self._kept, self._seen - self._kept
        if m == 0:
            return undefined(EffectiveTrials, "no trial varies", trials=self._seen, left_out=left)
        rho = 1.0 if m == 1 else (float(self._sum @ self._sum) - m) / (m * (m - 1))
        values: Floats = np.linalg.eigvalsh(self._gram).astype(np.float64)
        by_rank, by_participation, _ = _dimensions(values)
        by_correlation = min(max(effective_trials_of(m, rho), 1.0), float(m))
        methods = (by_correlation, by_rank, by_participation, float(clusters_of_trials(some)))
        return EffectiveTrials(rho, *methods, max(methods), len(some), self._seen, left)


def effective_trials(returns: ArrayLike) -> EffectiveTrials:
    """Count independent trials among those that were run, by correlation, by dimensions and by groups.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Returns of every trial on one calendar.

    Returns
    -------
    EffectiveTrials
        Undefined for a ragged panel, values that are not finite, fewer than two periods, or no variation.

    Notes
    -----
    The rank is at most the number of periods less one: with more trials than periods it is a lower bound. Trials that
    have nothing to do with each other form groups all the same, by chance: the number of groups is then too small, and
    the largest of the methods is what counts.

    Examples
    --------
    >>> effective_trials([[1.0, 1.0], [2.0, 2.0], [4.0, 4.0]]).trials
    2
    """
    x, reason = panel(returns, columns=1)
    if reason:
        return undefined(EffectiveTrials, reason)
    parts = Correlations(x.shape[0])
    rows = np.ascontiguousarray(x.T)
    parts.add(rows)
    return parts.result(rows[spread(len(rows), CLUSTERED)])
