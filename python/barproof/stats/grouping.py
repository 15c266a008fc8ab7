"""Groups of trials that are one idea in several guises."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof.errors import ParameterError, ShapeError
from barproof.stats._common import Floats, floats

__all__ = ["clusters", "clusters_of_trials", "spread"]

CLUSTERED = 256
"""Trials that are looked at; more are thinned out evenly. The search takes time with their third power."""
_ROUNDS = 50
_SAME = 1 - 1e-12

Labels = NDArray[np.int64]


def spread(count: int, most: int) -> NDArray[np.int64]:
    """Up to so many places in ``range(count)``, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).astype(np.int64))


def clusters(correlations: ArrayLike, *, most: int | None = None) -> Labels:
    """Group trials by their correlations: as many groups as stand apart best.

    Parameters
    ----------
    correlations : array_like of shape (n, n)
        Of the trials, finite; symmetric, ones on the diagonal.
    most : int, optional
        Largest number of groups at a step. Default: half of the trials.

    Returns
    -------
    ndarray of shape (n,), int64
        Number of the group of each trial, from 0 in the order in which they first appear.

    Raises
    ------
    ShapeError
        If it is no square matrix of finite numbers.
    ParameterError
        If `most` is below 2.

    Notes
    -----
    Optimal number of clusters (M. Lopez de Prado and M. Lewis 2019): k-means on the rows of ``sqrt((1 - rho) / 2)`` for
    every number of groups from 2 on; the grouping with the largest mean silhouette over its deviation is kept. Groups
    whose own ratio is below the mean of all are grouped again among themselves. Two steps differ from the paper's. Its
    k-means starts at random: of 25 groups of ten trials with correlations of 0.7, five starts a number found 2; here it
    starts from the cuts of Ward's tree. And a second grouping is kept where the mean ratio of its own groups rises, not
    that of all, which the groups that stand apart lift: by that rule it merges what was told apart. Trials that
    correlate by 1 count once, so that copies change nothing. Two trials that differ are two groups: the method has
    nothing to say of them. Loose groups beside tight ones are told apart less well, and count as one.

    Examples
    --------
    >>> import numpy as np
    >>> near, far = np.full((3, 3), 0.9), np.zeros((3, 3))
    >>> rho = np.block([[near, far], [far, near]])
    >>> np.fill_diagonal(rho, 1.0)
    >>> clusters(rho).tolist()
    [0, 0, 0, 1, 1, 1]
    """
    try:
        rho = np.array(floats(correlations))
    except (TypeError, ValueError):
        rho = np.empty(0)
    if rho.ndim != 2 or rho.shape[0] != rho.shape[1] or not np.all(np.isfinite(rho)):
        raise ShapeError(
            f"`correlations` must be a square matrix of finite numbers, had shape {rho.shape}"
        )
    if most is not None and most < 2:
        raise ParameterError(f"`most` groups must be at least 2, was {most!r}")
    n = len(rho)
    if n == 0:
        return np.empty(0, np.int64)
    # The first trial that each is a copy of.
    first = np.argmax(rho >= _SAME, axis=1)
    first = np.minimum(first, np.arange(n))
    kept, at = np.unique(first, return_inverse=True)
    if len(kept) <= 2:
        return _in_order(at.astype(np.int64))
    found = _top(rho[np.ix_(kept, kept)], most)
    return _in_order(found[at])


def clusters_of_trials(rows: Floats) -> int:
    """Count the groups of trials, a row each; those without variation are left out."""
    centred = rows - rows.mean(axis=1, keepdims=True)
    size = np.sqrt(np.einsum("ij,ij->i", centred, centred))
    varied = size > 1e-14 * np.sqrt(rows.shape[1]) * np.abs(rows).max(axis=1, initial=0.0)
    if not varied.any():
        return 0
    z = centred[varied] / size[varied, None]
    return int(clusters(np.clip(z @ z.T, -1.0, 1.0)).max()) + 1


def _top(rho: Floats, most: int | None) -> Labels:
    """Group, then group again what stands apart less than the rest."""
    x = np.sqrt(np.maximum(0.0, (1.0 - rho) / 2))
    apart = _distances(x)
    labels = _best(x, apart, max(2, min(len(x) // 2 if most is None else most, len(x) - 1)))
    quality = _ratios(_silhouettes(apart, labels), labels)
    weak = np.flatnonzero(quality < _finite_mean(quality))
    inside = np.isin(labels, weak)
    if not 2 <= len(weak) < len(quality) or inside.sum() < 3:
        return labels
    again = _top(rho[np.ix_(inside, inside)], most)
    merged = np.empty_like(labels)
    merged[~inside] = _in_order(labels[~inside])
    merged[inside] = again + int(merged[~inside].max()) + 1
    after = _ratios(_silhouettes(apart, merged), merged)
    fresh = np.unique(merged[inside])
    return merged if _finite_mean(after[fresh]) > _finite_mean(quality[weak]) else labels


def _best(x: Floats, apart: Floats, limit: int) -> Labels:
    """Of the groupings into 2 to `limit`, the one whose silhouettes are largest and most alike."""
    best, kept = -np.inf, np.zeros(len(x), np.int64)
    for cut in _tree(apart, limit):
        labels = _k_means(x, cut)
        ratio = _ratio(_silhouettes(apart, labels)) if labels.max() else -np.inf
        if ratio > best:
            best, kept = ratio, labels
    return kept


def _tree(apart: Floats, limit: int) -> list[Labels]:
    """Cuts of Ward's tree into 2 to `limit` groups: two are joined that add least to the squares within."""
    n = len(apart)
    cost = apart**2
    np.fill_diagonal(cost, np.inf)
    size, labels = np.ones(n), np.arange(n)
    cuts = []
    for left in range(n - 1, 1, -1):
        a, b = sorted(divmod(int(np.argmin(cost)), n))
        # G. Lance and W. Williams 1967.
        total = size[a] + size[b] + size
        joined = (size[a] + size) * cost[a] + (size[b] + size) * cost[b] - size * cost[a, b]
        joined /= total
        joined[[a, b]] = np.inf
        cost[a], cost[:, a] = joined, joined
        cost[b], cost[:, b] = np.inf, np.inf
        size[a] += size[b]
        labels[labels == b] = a
        if left <= limit:
            cuts.append(_in_order(labels))
    return cuts[::-1]


def _distances(x: Floats) -> Floats:
    square = np.einsum("ij,ij->i", x, x)
    between = square[:, None] + square[None, :] - 2.0 * (x @ x.T)
    np.fill_diagonal(between, 0.0)
    out: Floats = np.sqrt(np.maximum(between, 0.0))
    return out


def _k_means(x: Floats, labels: Labels) -> Labels:
    """Lloyd's rounds from a grouping."""
    k = int(labels.max()) + 1
    centres = np.zeros((k, x.shape[1]))
    for _ in range(_ROUNDS):
        member = np.zeros((k, len(x)))
        member[labels, np.arange(len(x))] = 1.0
        count = member.sum(axis=1)
        some = count > 0
        centres[some] = (member[some] @ x) / count[some, None]
        far = np.einsum("ij,ij->i", centres, centres)[None, :] - 2.0 * (x @ centres.T)
        fresh = np.argmin(far, axis=1)
        if np.array_equal(fresh, labels):
            break
        labels = fresh
    return _in_order(labels)


def _silhouettes(apart: Floats, labels: Labels) -> Floats:
    """How much nearer each is to its own group than to the next (P. Rousseeuw 1987); 0 for one by itself."""
    n, k = len(labels), int(labels.max()) + 1
    member = np.zeros((n, k))
    member[np.arange(n), labels] = 1.0
    count = member.sum(axis=0)
    sums = apart @ member
    own = count[labels]
    inside = sums[np.arange(n), labels] / np.maximum(own - 1, 1)
    others = sums / count
    others[np.arange(n), labels] = np.inf
    outside = others.min(axis=1)
    larger = np.maximum(inside, outside)
    usable = (own > 1) & (larger > 0)
    return np.where(usable, (outside - inside) / np.where(larger > 0, larger, 1.0), 0.0)


def _ratio(silhouettes: Floats) -> float:
    spread_ = float(silhouettes.std())
    mean = float(silhouettes.mean())
    if spread_ > 0:
        return mean / spread_
    return np.inf if mean > 0 else 0.0


def _ratios(silhouettes: Floats, labels: Labels) -> Floats:
    each = range(int(labels.max()) + 1)
    return np.array([_ratio(silhouettes[labels == k]) for k in each])


def _finite_mean(values: Floats) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else np.inf


def _in_order(labels: Labels) -> Labels:
    """Numbers in the order in which groups first appear, none left out."""
    _, first, at = np.unique(labels, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    out: Labels = rank[at]
    return out
