"""Any classifier or regressor of scikit-learn, behind the protocol."""

from __future__ import annotations

import json
from typing import Any, Self

import numpy as np

from barproof.errors import LayoutError, ParameterError, TrainingError
from barproof.models.protocol import Floats, Ints, Kind
from barproof.models.state import Reading, State, dump_object, load_object


class Sklearn:
    """A scikit-learn classifier or regressor, or one that keeps its rules, as a model.

    Every ``random_state`` that is None is set by the seed of the fold. An estimator that would hold out rows at random
    inside `fit` is refused: labels overlap in time, so such rows are no judges.

    Parameters
    ----------
    estimator : estimator
        Classifier with `predict_proba`, or regressor. It is cloned, never fitted itself.
    allows_nan : bool, optional
        Whether it takes NaN features. Default: what its tags say.

    Examples
    --------
    >>> from sklearn.naive_bayes import GaussianNB
    >>> Sklearn(GaussianNB())
    Sklearn(GaussianNB())
    """

    def __init__(self, estimator: Any, *, allows_nan: bool | None = None) -> None:
        self.estimator = estimator
        self._allows_nan = allows_nan

    @property
    def name(self) -> str:
        """Class name of the estimator."""
        return type(self.estimator).__name__

    @property
    def params(self) -> dict[str, Any]:
        """Parameters of the estimator and of those inside it; what JSON cannot hold as text."""
        return {name: _plain(value) for name, value in sorted(self._raw().items())}

    def _raw(self) -> dict[str, Any]:
        if not hasattr(self.estimator, "get_params") or isinstance(self.estimator, type):
            raise LayoutError(
                f"`estimator` of models.Sklearn must be an estimator of scikit-learn, was {self.estimator!r}: give an "
                "object with get_params, fit and predict"
            )
        found: dict[str, Any] = self.estimator.get_params(deep=True)
        return found

    @property
    def allows_nan(self) -> bool:
        """As given, or as the estimator's tags say."""
        if self._allows_nan is not None:
            return self._allows_nan
        try:
            from sklearn.utils import get_tags

            return bool(get_tags(self.estimator).input_tags.allow_nan)
        except (ImportError, AttributeError, TypeError, ValueError):
            # Estimators of other libraries, and older releases, have no such tags.
            return False

    def clone(self) -> Self:
        """Copy without what was fitted."""
        return type(self)(self.estimator, allows_nan=self._allows_nan)

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        *,
        kind: Kind,
        rows: Ints,  # noqa: ARG002
        ends: Ints,  # noqa: ARG002
        seed: int,
    ) -> Self:
        """Fit a clone of the estimator.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        Sklearn
            Itself.

        Raises
        ------
        TrainingError
            If the estimator does not fit the kind of the labels.
        ParameterError
            If the estimator would hold out rows at random.
        """
        from sklearn.base import clone, is_regressor

        raw = self._raw()
        if (kind == "regression") != is_regressor(self.estimator):
            raise TrainingError(
                f"`estimator` {self.name} does not fit {kind} labels: give a regressor for regression labels, else a "
                "classifier"
            )
        if kind != "regression" and not hasattr(self.estimator, "predict_proba"):
            raise TrainingError(
                f"`estimator` {self.name} has no predict_proba, and signals are probabilities: give a classifier that "
                "has"
            )
        _refuse_random_holdout(self.name, raw)
        free = {
            name: seed
            for name, value in raw.items()
            if value is None and name.rpartition("__")[2] == "random_state"
        }
        self.fitted_ = clone(self.estimator).set_params(**free).fit(X, y)
        return self

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """Probabilities as the estimator gives them.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes.
        """
        return np.asarray(self.fitted_.predict_proba(X), dtype=np.float64)

    def predict(self, X: Floats) -> Floats:  # noqa: N803
        """Predictions as the estimator gives them.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        return np.asarray(self.fitted_.predict(X), dtype=np.float64).reshape(len(X))

    def state(self) -> State:
        """Estimator, as given and as fitted, as a skops file.

        Returns
        -------
        State
            What :meth:`restore` reads.
        """
        both = {"estimator": self.estimator, "fitted": self.fitted_}
        return State({"estimator.skops": dump_object(both)}, {"allows_nan": self._allows_nan})

    @classmethod
    def restore(
        cls,
        params: dict[str, Any],  # noqa: ARG003
        state: State,
        *,
        features: int,  # noqa: ARG003
        reading: Reading,
    ) -> Self:
        """Make a fitted model again; the same bits with the same scikit-learn.

        Parameters
        ----------
        params, state, features, reading
            As for :meth:`Logistic.restore`; parameters are those of the estimator in the file.

        Returns
        -------
        Sklearn
            Fitted.

        Raises
        ------
        BundleError
            If the estimator cannot be read, or holds types that nobody has reviewed.
        """
        both = load_object(state.files["estimator.skops"], "estimator.skops", reading)
        model = cls(both["estimator"], allows_nan=state.facts["allows_nan"])
        model.fitted_ = both["fitted"]
        return model

    def __repr__(self) -> str:
        return f"Sklearn({self.estimator!r})"


def _plain(value: Any) -> Any:
    if isinstance(value, (bool, int, str, type(None))):
        return value
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return repr(value) if " at 0x" not in repr(value) else type(value).__name__


def _refuse_random_holdout(name: str, raw: dict[str, Any]) -> None:
    for prefix in {p.rpartition("__")[0] for p in raw if p.endswith("validation_fraction")}:
        head = f"{prefix}__" if prefix else ""
        switch = f"{head}early_stopping"
        on = raw[switch] if switch in raw else raw.get(f"{head}n_iter_no_change") is not None
        if on:
            shown = switch if switch in raw else f"{head}n_iter_no_change"
            raise ParameterError(
                f"`{shown}` of {name} is {raw[shown]!r}: it would stop on train rows drawn at random, which overlap "
                "with their neighbours; switch it off, or use models.GradientBoosting, which holds out the latest rows"
            )
