"""What a model must be able to do, and what the models of this package share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof.errors import LayoutError, ParameterError

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Kind = Literal["regression", "binary", "ternary"]


class Model(Protocol):
    """An estimator that :func:`barproof.train` can fit, one copy a fold.

    Any class with these members will do; nothing has to be inherited. ``facts``, a dict of what was learned about the
    fit that JSON can hold, is optional and goes into the bundle.

    Attributes
    ----------
    name : str
        What it is called in bundles.
    params : mapping of str to value
        What it was made with; JSON must be able to hold it. Two models with equal names and params are the same
        configuration.
    window : int, optional
        Bars that it looks at for one prediction, default 1. A model with more gets `X` of all bars up to the last train
        row, of which `rows` are labelled and whole, and is asked ``predict_proba(X, rows=...)`` for some rows of
        consecutive bars.
    allows_nan : bool
        Whether rows with NaN in some features are usable. If False they train nothing and get NaN predictions. Rows
        without a single feature are never used.
    """

    @property
    def name(self) -> str:
        """What it is called in bundles."""

    @property
    def params(self) -> Mapping[str, Any]:
        """What it was made with."""

    @property
    def allows_nan(self) -> bool:
        """Whether rows with NaN in some features are usable."""

    def clone(self) -> Model:
        """Copy without what was fitted."""

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        *,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seed: int,
    ) -> Any:
        """Learn from train rows.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, in time order; no row without a value, NaN only if `allows_nan`.
        y : ndarray of shape (n,), float64
            Labels, none NaN: returns (regression) or classes (0 and 1; -1, 0 and 1), at least two of them.
        kind : {"regression", "binary", "ternary"}
            What the labels are.
        rows, ends : ndarray of shape (n,), int64
            Bar of each row, and the last bar that its label looks at: what is held out inside the train rows must
            start after the labels of what is kept have ended (:func:`barproof.models.holdout`).
        seed : int
            Of whatever is random, in [0, 2**32).
        """

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """Probabilities of shape (n, n_classes), in the order of ``np.unique(y)``; asked for classes only."""

    def predict(self, X: Floats) -> Floats:  # noqa: N803
        """Predictions of shape (n,); asked for regression only."""


@dataclass(kw_only=True, eq=False, repr=False)
class Configured:
    """Parameters as dataclass fields: stored by the constructor, looked at by `fit`."""

    @property
    def name(self) -> str:
        """Class name."""
        return type(self).__name__

    @property
    def params(self) -> dict[str, Any]:
        """Every parameter, defaults included."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def clone(self) -> Self:
        """Copy without what was fitted."""
        return type(self)(**self.params)

    def __repr__(self) -> str:
        changed = [
            f"{field.name}={getattr(self, field.name)!r}"
            for field in fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{self.name}({', '.join(changed)})"

    def _whole(self, name: str, low: int, high: int, *, optional: bool = False) -> None:
        value = getattr(self, name)
        if optional and value is None:
            return
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise LayoutError(f"`{name}` of {self.name} must be a whole number, was {value!r}")
        if not low <= value <= high:
            raise ParameterError(
                f"`{name}` of {self.name} must be from {low:,} to {high:,}, was {value}"
            )

    def _real(
        self, name: str, low: float, high: float = float("inf"), *, open_low: bool = False
    ) -> None:
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
            raise LayoutError(f"`{name}` of {self.name} must be a number, was {value!r}")
        if not (low < value if open_low else low <= value) or not value <= high:
            bound = f"above {low:g}" if open_low else f"at least {low:g}"
            most = "" if high == float("inf") else f" and at most {high:g}"
            raise ParameterError(f"`{name}` of {self.name} must be {bound}{most}, was {value!r}")

    def _flag(self, name: str) -> None:
        value = getattr(self, name)
        if not isinstance(value, (bool, np.bool_)):
            raise LayoutError(f"`{name}` of {self.name} must be True or False, was {value!r}")


def holdout(rows: Ints, ends: Ints, share: float) -> tuple[Ints, Ints]:
    """Split train rows in time: the last share is held out, and what reaches into it is dropped.

    Parameters
    ----------
    rows, ends : ndarray of shape (n,), int64
        Bar of each row, increasing, and the last bar that its label looks at.
    share : float
        Share of the rows to hold out, between 0 and 1; rounded down.

    Returns
    -------
    kept, held : ndarray, int64
        Positions in `rows`. Labels of kept rows end before the first held row; either may be empty.

    Examples
    --------
    >>> holdout(np.arange(10, 20), np.arange(12, 22), 0.3)
    (array([0, 1, 2, 3, 4]), array([7, 8, 9]))
    """
    first = len(rows) - int(len(rows) * share)
    at = np.arange(len(rows), dtype=np.int64)
    held = at[first:]
    kept = at[:first]
    if len(held):
        kept = kept[ends[:first] < rows[first]]
    return kept, held


def class_weights(y: Floats) -> Floats:
    """One weight a row, so that every class weighs the same; their mean is 1."""
    classes, at, counts = np.unique(y, return_inverse=True, return_counts=True)
    return (len(y) / (len(classes) * counts))[at]


def class_sums(p: Floats) -> Floats:
    """Sum of each row of a few columns, bits of ``p.sum(axis=1)``; by columns, as numpy is slow over short rows."""
    total: Floats = p[:, 0].copy()
    for j in range(1, p.shape[1]):
        total += p[:, j]
    return total
