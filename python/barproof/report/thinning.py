"""Fewer points for a plot, without losing what the eye looks for: the extremes, the first and the last."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_POINTS", "MAX_TRADES", "extremes", "spread"]

MAX_POINTS = 4_000
"""Points of a line; a screen has fewer columns."""

MAX_TRADES = 1_500
"""Trades drawn as single marks; more are neither legible nor quick."""


def extremes(values: npt.ArrayLike, limit: int = MAX_POINTS) -> npt.NDArray[np.intp]:
    """Choose the points of a line that keep its outline.

    The line is cut into blocks of equal length; of each the smallest and the largest value stay, and the ends of the
    line. The outline on a screen is the same; the smallest and the largest value of all are always kept.

    Parameters
    ----------
    values : array_like of shape (n,)
        The line, in order; NaN are points that may be dropped.
    limit : int, default 4000
        Points at most, at least 4.

    Returns
    -------
    ndarray of intp
        Ascending positions, all of them where ``n <= limit``.

    Examples
    --------
    >>> extremes([0.0, 9.0, 1.0, 2.0, -5.0, 3.0, 4.0], limit=4).tolist()
    [0, 1, 4, 6]
    """
    line = np.asarray(values, dtype=np.float64)
    n = line.size
    if n <= limit:
        return np.arange(n, dtype=np.intp)
    edges = np.linspace(0, n, (limit - 2) // 2 + 1).astype(np.intp)
    starts = edges[:-1]
    width = int(np.diff(edges).max())
    # One row a block, filled up with the block's own last value, which changes neither extreme.
    grid = np.minimum(starts[:, None] + np.arange(width), (edges[1:] - 1)[:, None])
    blocks = line[grid]
    hole = np.isnan(blocks)
    rows = np.arange(starts.size)
    low = grid[rows, np.where(hole, np.inf, blocks).argmin(axis=1)]
    high = grid[rows, np.where(hole, -np.inf, blocks).argmax(axis=1)]
    ends = np.array([0, n - 1], dtype=np.intp)
    return np.unique(np.concatenate([ends, low, high])).astype(np.intp)


def spread(
    n: int, limit: int = MAX_TRADES, weight: npt.ArrayLike | None = None
) -> npt.NDArray[np.intp]:
    """Choose rows evenly over `n`, and those of largest weight.

    Parameters
    ----------
    n : int
        Rows there are.
    limit : int, default 1500
        Rows at most.
    weight : array_like of shape (n,), optional
        A fifth of the rows are those of largest absolute weight.

    Returns
    -------
    ndarray of intp
        Ascending positions, all of them where ``n <= limit``.
    """
    if n <= limit:
        return np.arange(n, dtype=np.intp)
    chosen = np.empty(0, dtype=np.intp)
    if weight is not None:
        size = np.nan_to_num(np.abs(np.asarray(weight, dtype=np.float64)), nan=0.0)
        chosen = np.argsort(-size, kind="stable")[: limit // 5]
    even = np.linspace(0, n - 1, limit - chosen.size).astype(np.intp)
    return np.unique(np.concatenate([chosen, even])).astype(np.intp)
