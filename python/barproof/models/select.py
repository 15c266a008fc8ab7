"""Feature selection inside the fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from barproof.errors import LayoutError, ParameterError
from barproof.models.protocol import Configured, Floats, Ints, Kind

_BINS = 16


class Selector(Protocol):
    """Chooses features from train rows; any class with these members will do.

    Attributes
    ----------
    name : str
        What it is called in bundles.
    params : mapping of str to value
        What it was made with; JSON must be able to hold it.
    """

    @property
    def name(self) -> str:
        """What it is called in bundles."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What it was made with."""

    def choose(self, X: Floats, y: Floats, *, kind: Kind) -> Ints:  # noqa: N803
        """Positions of the chosen columns; `X` is of shape (n, n_features) with NaN, `y` of shape (n,) without."""


@dataclass(eq=False, repr=False)
class TopK(Configured):
    """The k features that tell most about the label, one at a time, by train rows only.

    Parameters
    ----------
    k : int
        Features to keep, at least 1 and at most as many as there are.
    score : {"mutual_info", "f"}, default "mutual_info"
        ``"mutual_info"``: plug-in mutual information, in nats, of the label and the feature cut into 16 bins of equal
        share (returns are cut alike); sees any dependence, and nothing is random. ``"f"``: the F statistic, of the
        analysis of variance for classes, of the correlation for returns; sees shifts of the mean.

    Notes
    -----
    Rows where a feature is NaN do not count for it. Ties go to the earlier column. A constant feature scores 0.

    Examples
    --------
    >>> y = np.repeat([0.0, 1.0], 8)
    >>> X = np.column_stack([np.tile([0.0, 1.0], 8), y + np.tile([0.0, 0.1], 8)])
    >>> TopK(1, score="f").choose(X, y, kind="binary")
    array([1])
    """

    k: int
    score: Literal["mutual_info", "f"] = "mutual_info"

    def scores(self, X: Floats, y: Floats, *, kind: Kind) -> Floats:  # noqa: N803
        """Score of every feature.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, NaN where undefined.
        y : ndarray of shape (n,), float64
            Labels, none NaN.
        kind : {"regression", "binary", "ternary"}
            What the labels are.

        Returns
        -------
        ndarray of shape (n_features,)
            Higher is better; 0 where nothing can be said.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        """
        self._whole("k", 1, 10**9)
        if self.score not in ("mutual_info", "f"):
            raise ParameterError(
                f'`score` of TopK must be "mutual_info" or "f", was {self.score!r}'
            )
        rate = _mutual_information if self.score == "mutual_info" else _f_statistic
        out = np.zeros(X.shape[1])
        for j in range(X.shape[1]):
            there = ~np.isnan(X[:, j])
            x = X[there, j]
            if len(x) > 2 and np.min(x) < np.max(x):
                out[j] = rate(x, y[there], kind)
        return out

    def choose(self, X: Floats, y: Floats, *, kind: Kind) -> Ints:  # noqa: N803
        """Positions of the best features.

        Parameters
        ----------
        X, y, kind
            As for :meth:`scores`.

        Returns
        -------
        ndarray of shape (k,), int64
            Increasing positions of columns.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type, or there are fewer than k features.
        """
        scores = self.scores(X, y, kind=kind)
        if self.k > len(scores):
            raise ParameterError(
                f"`k` of TopK is {self.k}, but there are {len(scores)} features: choose fewer"
            )
        best = np.argsort(-scores, kind="stable")[: self.k]
        return np.sort(best).astype(np.int64)


def _f_statistic(x: Floats, y: Floats, kind: Kind) -> float:
    """F statistic of one feature: of a regression, or of the means of classes."""
    n = len(x)
    if kind == "regression":
        centred, target = x - x.mean(), y - y.mean()
        power = float(centred @ centred) * float(target @ target)
        if power == 0.0:
            return 0.0
        square = min(float(centred @ target) ** 2 / power, 1.0)
        return square / (1.0 - square) * (n - 2) if square < 1.0 else float("inf")
    groups = [x[y == c] for c in np.unique(y)]
    if len(groups) < 2 or n <= len(groups):
        return 0.0
    middle = x.mean()
    between = sum(len(g) * (g.mean() - middle) ** 2 for g in groups) / (len(groups) - 1)
    within = sum(float(np.sum((g - g.mean()) ** 2)) for g in groups) / (n - len(groups))
    return float(between / within) if within > 0.0 else float("inf")


def _binned(x: Floats) -> Ints:
    """Bins of equal share; equal values share a bin."""
    edges = np.unique(np.quantile(x, np.arange(1, _BINS) / _BINS))
    return np.searchsorted(edges, x, side="right").astype(np.int64)


def _mutual_information(x: Floats, y: Floats, kind: Kind) -> float:
    a = _binned(x)
    b = _binned(y) if kind == "regression" else np.unique(y, return_inverse=True)[1]
    width = int(b.max()) + 1
    joint = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width)
    share = joint / len(x)
    product = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
    met = share > 0
    return max(float(np.sum(share[met] * np.log(share[met] / product[met]))), 0.0)


def check_choice(name: str, chosen: Any, n: int) -> Ints:
    """Positions of columns that a selector gave, checked."""
    at = np.asarray(chosen)
    if (
        at.ndim != 1
        or not len(at)
        or at.dtype.kind not in "iu"
        or not np.all((at >= 0) & (at < n))
        or len(np.unique(at)) < len(at)
    ):
        raise LayoutError(
            f"selector {name} must choose different columns from 0 to {n - 1}, at least one, as whole numbers, "
            f"chose {chosen!r}"
        )
    return np.sort(at).astype(np.int64)
