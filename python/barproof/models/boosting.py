"""Gradient boosting over histograms, stopped early on the latest train rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from barproof.errors import ParameterError
from barproof.models.protocol import Configured, Floats, Ints, Kind, class_weights, holdout
from barproof.models.state import Reading, State, dump_object, load_object

_MOST_ITERATIONS = 100_000


@dataclass(kw_only=True, eq=False, repr=False)
class GradientBoosting(Configured):
    """Boosted trees of scikit-learn (``HistGradientBoostingClassifier``, ``Regressor``).

    NaN features are allowed: trees learn where to send them. The number of trees is chosen on the last share of the
    train rows, the rows before whose labels reach into it being left out; then all train rows are fitted with that
    number, because the latest rows are the ones most like those to come. Nothing is drawn or shuffled.

    Parameters
    ----------
    max_iter : int, default 80
        Trees at most (a class, for three classes), from 1 to 100,000.
    learning_rate : float, default 0.1
        Above 0, at most 1.
    max_leaf_nodes : int, default 15
        Leaves a tree, at least 2.
    max_depth : int, optional
        Default: not limited.
    min_samples_leaf : int, default 200
        Rows a leaf; with fewer than twice as many train rows every prediction is the same.
    l2 : float, default 1.0
        Shrinks leaf values, at least 0.
    max_features : float, default 1.0
        Share of the features that a split looks at, drawn by the seed; above 0, at most 1.
    max_bins : int, default 255
        Histogram bins a feature, from 2 to 255.
    early_stopping : bool, default True
        Choose the number of trees as told above; else `max_iter` are grown.
    validation : float, default 0.2
        Share of the train rows that chooses, above 0, at most 0.9.
    patience : int, default 20
        Trees without a lower loss, at least, after which no more are tried; at least 1.
    balanced : bool, default False
        Weigh classes to the same total. Probabilities are then no longer those of the market: thresholds and
        calibration suffer, and calibration on tune rows can only partly mend it. Not for regression.

    Attributes
    ----------
    iterations_ : int
        Trees grown, after `fit`.

    Examples
    --------
    >>> GradientBoosting(max_iter=40)
    GradientBoosting(max_iter=40)
    """

    max_iter: int = 80
    learning_rate: float = 0.1
    max_leaf_nodes: int = 15
    max_depth: int | None = None
    min_samples_leaf: int = 200
    l2: float = 1.0
    max_features: float = 1.0
    max_bins: int = 255
    early_stopping: bool = True
    validation: float = 0.2
    patience: int = 20
    balanced: bool = False

    @property
    def allows_nan(self) -> bool:
        """Trees take NaN as it is."""
        return True

    @property
    def facts(self) -> dict[str, Any]:
        """How many trees were grown, and why."""
        return {
            "iterations": self.iterations_,
            "tried": self._tried,
            "stopped_by": self._stopped_by,
        }

    def _check(self, kind: Kind) -> None:
        self._whole("max_iter", 1, _MOST_ITERATIONS)
        self._real("learning_rate", 0.0, 1.0, open_low=True)
        self._whole("max_leaf_nodes", 2, 65_536)
        self._whole("max_depth", 1, 1_000, optional=True)
        self._whole("min_samples_leaf", 1, 10**9)
        self._real("l2", 0.0)
        self._real("max_features", 0.0, 1.0, open_low=True)
        self._whole("max_bins", 2, 255)
        self._flag("early_stopping")
        self._real("validation", 0.0, 0.9, open_low=True)
        self._whole("patience", 1, _MOST_ITERATIONS)
        self._flag("balanced")
        if self.balanced and kind == "regression":
            raise ParameterError(
                "balanced=True of GradientBoosting weighs classes, and regression labels have none: leave it out"
            )

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        *,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seed: int,
    ) -> Self:
        """Choose the number of trees, then fit; arguments as for :meth:`Model.fit`.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        GradientBoosting
            Itself.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        """
        self._check(kind)
        self._tried = 0
        self.iterations_, self._stopped_by = self._choose(X, y, kind, rows, ends, seed)
        self._model = self._grow(X, y, kind, self.iterations_, seed)
        return self

    def _grow(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        kind: Kind,
        iterations: int,
        seed: int,
        begun: Any = None,
    ) -> Any:
        """Grow trees, or more of them."""
        from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

        make = (
            HistGradientBoostingRegressor
            if kind == "regression"
            else HistGradientBoostingClassifier
        )
        if begun is not None:
            return begun.set_params(max_iter=iterations, warm_start=True).fit(
                X, y, sample_weight=class_weights(y) if self.balanced else None
            )
        trees = make(
            max_iter=iterations,
            learning_rate=self.learning_rate,
            max_leaf_nodes=self.max_leaf_nodes,
            max_depth=self.max_depth,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2,
            max_features=self.max_features,
            max_bins=self.max_bins,
            # scikit-learn's own early stopping holds out rows at random, whose labels overlap with their neighbours'.
            early_stopping=False,
            random_state=seed,
        )
        return trees.fit(X, y, sample_weight=class_weights(y) if self.balanced else None)

    def _choose(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seed: int,
    ) -> tuple[int, str]:
        """Choose the number of trees by the loss on the last train rows; the number, and by what."""
        if not self.early_stopping:
            return self.max_iter, "max_iter: early stopping is off"
        kept, held = holdout(rows, ends, self.validation)
        if not len(kept) or not len(held):
            return self.max_iter, "max_iter: too few train rows to hold some out"
        classes = np.unique(y)
        several = len(np.unique(y[kept])) == len(classes) and len(np.unique(y[held])) > 1
        if kind != "regression" and not several:
            return self.max_iter, "max_iter: a class is missing where the number is chosen"
        weights = class_weights(y[held]) if self.balanced else None
        losses: list[float] = []
        trees: Any = None
        front, later = np.ascontiguousarray(X[kept]), np.ascontiguousarray(X[held])
        while len(losses) < self.max_iter:
            most = min(len(losses) + self.patience, self.max_iter)
            trees = self._grow(front, y[kept], kind, most, seed, trees)
            staged = trees.staged_predict if kind == "regression" else trees.staged_predict_proba
            fresh = list(staged(later))[len(losses) :]
            losses += [_loss(p, y[held], kind, classes, weights) for p in fresh]
            if len(losses) - 1 - int(np.argmin(losses)) >= self.patience:
                break
        self._tried = len(losses)
        return int(np.argmin(losses)) + 1, f"loss on the last {len(held)} train rows"

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, NaN allowed.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes.
        """
        out: Floats = self._model.predict_proba(X)
        return out

    def predict(self, X: Floats) -> Floats:  # noqa: N803
        """Predicted returns.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features, NaN allowed.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        out: Floats = self._model.predict(X)
        return out

    def state(self) -> State:
        """Trees as a skops file.

        Returns
        -------
        State
            What :meth:`restore` reads.
        """
        return State({"trees.skops": dump_object(self._model)}, self.facts)

    @classmethod
    def restore(
        cls,
        params: dict[str, Any],
        state: State,
        *,
        features: int,  # noqa: ARG003
        reading: Reading,
    ) -> Self:
        """Make a fitted model again; the same bits.

        Parameters
        ----------
        params, state, features, reading
            As for :meth:`Logistic.restore`.

        Returns
        -------
        GradientBoosting
            Fitted.

        Raises
        ------
        BundleError
            If the trees cannot be read.
        """
        model = cls(**params)
        model._model = load_object(state.files["trees.skops"], "trees.skops", reading)
        model.iterations_ = int(state.facts["iterations"])
        model._tried = int(state.facts["tried"])
        model._stopped_by = str(state.facts["stopped_by"])
        return model


def _loss(p: Floats, y: Floats, kind: Kind, classes: Floats, weights: Floats | None) -> float:
    if kind == "regression":
        return float(np.mean((p - y) ** 2))
    own = p[np.arange(len(y)), np.searchsorted(classes, y)]
    return float(np.average(-np.log(np.maximum(own, 1e-15)), weights=weights))
