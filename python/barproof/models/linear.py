"""Logistic regression, and ridge regression where labels are returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from barproof._tensors import write_tensors
from barproof.errors import ParameterError
from barproof.models.protocol import Configured, Floats, Ints, Kind
from barproof.models.state import Reading, State, take_arrays


@dataclass(kw_only=True, eq=False, repr=False)
class Logistic(Configured):
    """Linear model over standardised features: ``LogisticRegression``, or ``Ridge`` for regression labels.

    Mean and scale are those of the train rows. Rows with a NaN feature train nothing and get NaN predictions.
    Predictions add feature by feature, so that they are the same bits for any number of rows and threads.

    Parameters
    ----------
    C : float, default 1.0
        Inverse of the penalty, above 0; ridge takes ``alpha = 1 / C``.
    max_iter : int, default 1_000
        Steps at most, from 1 to 1,000,000.
    balanced : bool, default False
        Weigh classes to the same total; probabilities are then no longer those of the market, and calibration
        suffers. Not for regression.

    Attributes
    ----------
    mean_, scale_ : ndarray of shape (n_features,)
        Of the train rows; the scale of a constant feature is 1.
    coef_, intercept_ : ndarray of shape (n_rows, n_features) and (n_rows,)
        Of the standardised features; one row for two classes and regression, else one a class.

    Examples
    --------
    >>> Logistic(C=0.1).params
    {'C': 0.1, 'max_iter': 1000, 'balanced': False}
    """

    C: float = 1.0
    max_iter: int = 1_000
    balanced: bool = False

    @property
    def allows_nan(self) -> bool:
        """A sum with NaN is NaN."""
        return False

    @property
    def facts(self) -> dict[str, Any]:
        """Whether the solver came to its end."""
        return {"steps": self._steps, "converged": self._steps < self.max_iter}

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        *,
        kind: Kind,
        rows: Ints,  # noqa: ARG002
        ends: Ints,  # noqa: ARG002
        seed: int,  # noqa: ARG002
    ) -> Self:
        """Standardise and fit; nothing is random.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        Logistic
            Itself.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        """
        from sklearn.linear_model import LogisticRegression, Ridge
        from sklearn.preprocessing import StandardScaler

        self._real("C", 0.0, open_low=True)
        self._whole("max_iter", 1, 1_000_000)
        self._flag("balanced")
        if self.balanced and kind == "regression":
            raise ParameterError(
                "balanced=True of Logistic weighs classes, and regression labels have none: leave it out"
            )
        scaler = StandardScaler().fit(X)
        self.mean_: Floats = scaler.mean_
        self.scale_: Floats = scaler.scale_
        scaled = (X - self.mean_) / self.scale_
        if kind == "regression":
            line = Ridge(alpha=1.0 / self.C).fit(scaled, y)
            self._steps = 0
        else:
            weight = "balanced" if self.balanced else None
            line = LogisticRegression(C=self.C, max_iter=self.max_iter, class_weight=weight).fit(
                scaled, y
            )
            self._steps = int(np.max(line.n_iter_))
        self.coef_: Floats = np.atleast_2d(line.coef_)
        self.intercept_: Floats = np.atleast_1d(line.intercept_)
        return self

    def _lines(self, X: Floats) -> Floats:  # noqa: N803
        out = np.tile(self.intercept_, (len(X), 1))
        for j, (mean, scale) in enumerate(zip(self.mean_, self.scale_, strict=True)):
            # A product of matrices would take other sums for other numbers of rows.
            out += ((X[:, j] - mean) / scale)[:, None] * self.coef_[:, j]
        return out

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes.
        """
        lines = self._lines(X)
        if lines.shape[1] == 1:
            lines = np.hstack([np.zeros_like(lines), lines])
        lines -= lines.max(axis=1, keepdims=True)
        raised = np.exp(lines)
        out: Floats = raised / raised.sum(axis=1, keepdims=True)
        return out

    def predict(self, X: Floats) -> Floats:  # noqa: N803
        """Predicted returns.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        out: Floats = self._lines(X)[:, 0]
        return out

    def state(self) -> State:
        """Scaler and coefficients as arrays.

        Returns
        -------
        State
            What :meth:`restore` reads.
        """
        arrays = {
            "mean": self.mean_,
            "scale": self.scale_,
            "coef": self.coef_,
            "intercept": self.intercept_,
        }
        return State({"weights.safetensors": write_tensors(arrays)}, {"steps": self._steps})

    @classmethod
    def restore(
        cls, params: dict[str, Any], state: State, *, features: int, reading: Reading
    ) -> Self:
        """Make a fitted model again; the same bits.

        Parameters
        ----------
        params : dict
            What it was made with.
        state : State
            From :meth:`state`.
        features : int
            Columns that it takes.
        reading : Reading
            What may be read.

        Returns
        -------
        Logistic
            Fitted.

        Raises
        ------
        BundleError
            If arrays are missing or of other shapes.
        """
        model = cls(**params)
        shapes: dict[str, tuple[int | None, ...]] = {
            "mean": (features,),
            "scale": (features,),
            "coef": (None, features),
            "intercept": (None,),
        }
        found = take_arrays(state, shapes, reading)
        model.mean_, model.scale_ = found["mean"], found["scale"]
        model.coef_, model.intercept_ = found["coef"], found["intercept"]
        model._steps = int(state.facts["steps"])
        return model
