"""Models as estimators of scikit-learn; imported where one is asked for, since it imports scikit-learn."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from barproof.errors import LayoutError, ParameterError, TrainingError
from barproof.models.linear import Logistic
from barproof.models.protocol import Floats, Kind, Model

_CODES = {2: (0.0, 1.0), 3: (-1.0, 0.0, 1.0)}


class _Estimator(BaseEstimator):
    """What classifier and regressor share; parameters are looked at by `fit`, as scikit-learn wants it."""

    def __init__(self, model: Model | None = None, *, span: int = 0, seed: int = 0) -> None:
        self.model = model
        self.span = span
        self.seed = seed

    def _own(self) -> Model:
        return Logistic() if self.model is None else self.model

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = bool(getattr(self._own(), "allows_nan", False))
        return tags

    def _matrix(self, X: Any, **told: Any) -> Any:  # noqa: N803
        # A model that is none is refused by `fit`, in words of its own.
        finite = "allow-nan" if getattr(self._own(), "allows_nan", False) else True
        return validate_data(self, X, dtype=np.float64, ensure_all_finite=finite, **told)

    def _learn(self, X: Floats, y: Floats, kind: Kind) -> None:  # noqa: N803
        """Check the parameters and fit a copy of the model on rows without their neighbours."""
        model = self._own()
        if isinstance(model, type) or not hasattr(model, "clone"):
            raise LayoutError(
                f"`model` of {type(self).__name__} must be a model of this package or one like it, was {model!r}: see "
                "barproof.models.Model"
            )
        window = int(getattr(model, "window", 1))
        if window != 1:
            raise ParameterError(
                f"`model` {model.name} looks at windows of {window} bars, and scikit-learn hands over rows without "
                "their neighbours: take window=1, or barproof.train"
            )
        if isinstance(self.span, bool) or not isinstance(self.span, (int, np.integer)):
            raise LayoutError(
                f"`span` of {type(self).__name__} must be a whole number of rows, was {self.span!r}"
            )
        if self.span < 0:
            raise ParameterError(
                f"`span` of {type(self).__name__} must be at least 0, was {self.span}: rows that a label looks ahead"
            )
        rows = np.arange(len(X), dtype=np.int64)
        fitted = model.clone()
        # Rows that were left out only bring the others closer: a span counted in rows is then no shorter than in bars.
        fitted.fit(X, y, kind=kind, rows=rows, ends=rows + self.span, seed=self.seed)
        self.model_ = fitted


class ModelClassifier(ClassifierMixin, _Estimator):
    """A model as a classifier of scikit-learn, of two or three classes of any name.

    Made by :func:`barproof.models.as_estimator`, which says what the parameters are.

    Parameters
    ----------
    model, span, seed
        As for :func:`barproof.models.as_estimator`.

    Attributes
    ----------
    model_ : model
        The copy that was fitted.
    classes_ : ndarray
        Sorted classes.
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> X = np.linspace(-1.0, 1.0, 40)[:, None]
    >>> ModelClassifier().fit(X, np.where(X[:, 0] > 0, "up", "down")).predict([[-0.5], [0.5]]).tolist()
    ['down', 'up']
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit a copy of the model.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features, rows in time order; NaN only where the model takes it.
        y : array_like of shape (n,)
            Classes: two, or three in the order down, flat, up.

        Returns
        -------
        ModelClassifier
            Itself.

        Raises
        ------
        TrainingError
            If there are other than two or three classes.
        LayoutError, ParameterError
            If a parameter is wrong, or the model looks at windows.
        """
        X, y = self._matrix(X, y=y, ensure_min_samples=2)  # noqa: N806
        check_classification_targets(y)
        self.classes_, at = np.unique(y, return_inverse=True)
        codes = _CODES.get(len(self.classes_))
        if codes is None:
            raise TrainingError(
                f"labels have {len(self.classes_)} class{'es' * (len(self.classes_) != 1)}, and models know two or "
                "three: merge classes, or take more rows"
            )
        self._learn(X, np.array(codes)[at], "binary" if len(codes) == 2 else "ternary")
        return self

    def predict_proba(self, X: Any) -> Floats:  # noqa: N803
        """Probabilities of the classes.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n, n_classes), float64
            In the order of `classes_`.
        """
        check_is_fitted(self)
        return np.asarray(self.model_.predict_proba(self._matrix(X, reset=False)), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """Most probable classes.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,)
            Of the type of the labels; the first of equals.
        """
        best = np.argmax(self.predict_proba(X), axis=1)
        out: NDArray[Any] = self.classes_[best]
        return out


class ModelRegressor(RegressorMixin, _Estimator):
    """A model as a regressor of scikit-learn.

    Made by :func:`barproof.models.as_estimator`, which says what the parameters are.

    Parameters
    ----------
    model, span, seed
        As for :func:`barproof.models.as_estimator`.

    Attributes
    ----------
    model_ : model
        The copy that was fitted.
    n_features_in_ : int
        Columns.

    Examples
    --------
    >>> X = np.linspace(-1.0, 1.0, 400)[:, None]
    >>> ModelRegressor().fit(X, 2 * X[:, 0]).predict([[0.5]]).round(1)
    array([1.])
    """

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Fit a copy of the model.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features, rows in time order; NaN only where the model takes it.
        y : array_like of shape (n,)
            Numbers.

        Returns
        -------
        ModelRegressor
            Itself.

        Raises
        ------
        LayoutError, ParameterError
            If a parameter is wrong, or the model looks at windows.
        """
        X, y = self._matrix(X, y=y, ensure_min_samples=2)  # noqa: N806
        self._learn(X, np.asarray(y, dtype=np.float64), "regression")
        return self

    def predict(self, X: Any) -> Floats:  # noqa: N803
        """Predictions.

        Parameters
        ----------
        X : array_like of shape (n, n_features)
            Features.

        Returns
        -------
        ndarray of shape (n,), float64
            In units of the labels.
        """
        check_is_fitted(self)
        return np.asarray(self.model_.predict(self._matrix(X, reset=False)), dtype=np.float64)
