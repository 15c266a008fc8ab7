"""Copies of a model that were fitted on growing shares of the train rows, asked together or the best of them alone."""

from __future__ import annotations

import importlib
from typing import Any, Self

import numpy as np

from barproof.errors import BundleError, LayoutError, ParameterError, TrainingError
from barproof.models.ensembles import Ensemble, _ask, _mean, ask_each
from barproof.models.protocol import Floats, Ints, Kind, Model
from barproof.models.state import Reading, State

_HOW = ("mean", "vote", "best")


class FoldEnsemble:
    """A time series split inside the train rows: one copy of a model a fold, asked together or the best alone.

    Copy k learns the first k + 1 of ``folds + 1`` equal blocks of train rows, less the rows whose labels reach beyond
    them, and is judged on the next block. ``how="best"`` keeps the copy with the least loss there, as S004 did: it is
    the luckiest of them, and it says so. `facts` holds the loss of every fold and the flag (OVF-07); the loss of the
    best is no evidence for anything.

    Parameters
    ----------
    model : Model
        What is copied.
    folds : int, default 5
        Copies, from 2 to 100.
    how : {"mean", "vote", "best"}
        As for :class:`Ensemble`; ``"best"`` keeps one.

    Examples
    --------
    >>> from barproof.models import Logistic
    >>> FoldEnsemble(Logistic(), folds=3, how="best").name
    'FoldEnsemble(best of 3: Logistic)'
    """

    def __init__(self, model: Model, *, folds: int = 5, how: str = "mean") -> None:
        self.model = model
        self.folds = folds
        self.how = how
        self._losses: list[float] = []
        self._kind: Kind = "binary"

    @property
    def name(self) -> str:
        """How, how many, and the name of its model."""
        return f"FoldEnsemble({self.how} of {self.folds}: {self.model.name})"

    @property
    def params(self) -> dict[str, Any]:
        """How, how many, and class and parameters of the model."""
        own = {"type": type(self.model).__name__, "params": dict(self.model.params)}
        return {"how": self.how, "folds": self.folds, "model": own}

    @property
    def allows_nan(self) -> bool:
        """If its model does."""
        return self.model.allows_nan

    @property
    def window(self) -> int:
        """Bars that its model looks at."""
        return int(getattr(self.model, "window", 1))

    @property
    def precision(self) -> str:
        """That of its model."""
        return str(getattr(self.model, "precision", "f64"))

    @property
    def facts(self) -> dict[str, Any]:
        """Loss of every fold on the block after it, which is kept, and the flag of a best fold."""
        losses = np.array(self._losses)
        best = int(np.argmin(losses))
        told: dict[str, Any] = {
            "models": [dict(getattr(model, "facts", {})) for model in self.models],
            "losses": self._losses,
            "loss_mean": float(losses.mean()),
            "loss_sd": float(losses.std(ddof=1)),
            "best": best,
        }
        if self.how == "best":
            told["flagged"] = (
                f"OVF-07: fold {best} was kept because its loss of {losses[best]:.4g} is the least of "
                f"{len(losses)} (mean {losses.mean():.4g}, SD {losses.std(ddof=1):.4g}); it is no evidence"
            )
        return told

    def fault(self, features: int) -> str:
        """Name what one of its nets is not any more since it was fitted; empty if nothing."""
        return Ensemble(self.models).fault(features)

    def clone(self) -> Self:
        """Copy without what was fitted."""
        return type(self)(self.model.clone(), folds=self.folds, how=self.how)

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
        """Fit a copy a fold, and judge each on the block after it.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        FoldEnsemble
            Itself.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        TrainingError
            If a block lacks a class.
        """
        if isinstance(self.folds, bool) or not isinstance(self.folds, int):
            raise LayoutError(f"`folds` of FoldEnsemble must be a whole number, was {self.folds!r}")
        if not 2 <= self.folds <= 100:
            raise ParameterError(f"`folds` of FoldEnsemble must be from 2 to 100, was {self.folds}")
        if self.how not in _HOW or (self.how == "vote" and kind == "regression"):
            raise ParameterError(
                f"`how` of FoldEnsemble must be {', '.join(_HOW)}, and vote of classes only, was {self.how!r}"
            )
        edges = np.linspace(0, len(rows), self.folds + 2).astype(np.int64)
        seeds = np.random.SeedSequence(seed).generate_state(self.folds)
        classes = np.unique(y)
        self.models: list[Any] = []
        self._losses, self._kind = [], kind
        for k in range(self.folds):
            held = np.arange(edges[k + 1], edges[k + 2])
            kept = np.arange(edges[k + 1])
            kept = kept[ends[kept] < rows[held[0]]] if len(held) else kept[:0]
            whole = kind == "regression" or len(np.unique(y[kept])) == len(classes)
            if not len(kept) or not len(held) or not whole:
                raise TrainingError(
                    f"fold {k} of FoldEnsemble learns from {len(kept):,} train rows and is judged on {len(held):,}: a "
                    "class or all rows are missing; make train longer, or take fewer folds"
                )
            model = self.model.clone()
            seen = X[kept] if self.window == 1 else X[: rows[kept[-1]] + 1]
            model.fit(
                seen, y[kept], kind=kind, rows=rows[kept], ends=ends[kept], seed=int(seeds[k])
            )
            said = _ask(model, X, kind, held if self.window == 1 else rows[held])
            self._losses.append(_loss(said, y[held], classes, kind))
            self.models.append(model)
        if self.how == "best":
            self.models = [self.models[int(np.argmin(self._losses))]]
        return self

    def predict_proba(self, X: Floats, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features; of consecutive bars for a model with a window.
        rows : ndarray of int, optional
            Rows to predict. Default: all.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes.
        """
        said = ask_each(self.models, X, rows, "binary")
        if self.how == "vote":
            most = [p == p.max(axis=1, keepdims=True) for p in said]
            said = [m / m.sum(axis=1, keepdims=True) for m in most]
        return _mean(said)

    def predict(self, X: Floats, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Predicted returns.

        Parameters
        ----------
        X, rows
            As for :meth:`predict_proba`.

        Returns
        -------
        ndarray of shape (n,)
            In units of the labels.
        """
        return _mean(ask_each(self.models, X, rows, "regression"))

    def state(self) -> State:
        """Files of every copy that is asked.

        Returns
        -------
        State
            What :meth:`restore` reads.

        Raises
        ------
        BundleError
            If the model cannot be saved.
        """
        files: dict[str, bytes] = {}
        members = []
        for i, model in enumerate(self.models):
            if not hasattr(model, "state"):
                raise BundleError(
                    f"model {model.name} of a FoldEnsemble cannot be saved: give its class the methods `state` and "
                    "`restore`, as models.Logistic has them"
                )
            own: State = model.state()
            files |= {f"m{i}.{name}": data for name, data in own.files.items()}
            members.append({"facts": dict(own.facts), "files": sorted(own.files)})
        return State(files, {"members": members, "losses": self._losses, "kind": self._kind})

    @classmethod
    def restore(
        cls, params: dict[str, Any], state: State, *, features: int, reading: Reading
    ) -> Self:
        """Make a fitted ensemble again; the same bits as its models.

        Parameters
        ----------
        params, state, features, reading
            As for :meth:`barproof.models.Logistic.restore`.

        Returns
        -------
        FoldEnsemble
            Fitted.

        Raises
        ------
        BundleError
            If a model cannot be read.
        """
        from barproof.bundle import KNOWN

        told = params["model"]
        if told["type"] not in KNOWN:
            raise BundleError(
                f"{reading.where} holds a FoldEnsemble of {str(told['type'])[:80]!r}, which is no model of this "
                "package: save such models in bundles of their own"
            )
        maker = getattr(importlib.import_module("barproof.models"), told["type"])
        models = []
        for i, member in enumerate(state.facts["members"]):
            files = {name: state.files[f"m{i}.{name}"] for name in member["files"]}
            own = State(files, member["facts"])
            models.append(maker.restore(told["params"], own, features=features, reading=reading))
        made = cls(models[0].clone(), folds=params["folds"], how=params["how"])
        made.models, made._kind = models, state.facts["kind"]
        made._losses = [float(loss) for loss in state.facts["losses"]]
        return made

    def __repr__(self) -> str:
        return f"FoldEnsemble({self.model!r}, folds={self.folds}, how={self.how!r})"


def _loss(said: Floats, y: Floats, classes: Floats, kind: Kind) -> float:
    """Mean log loss, or mean square error."""
    if kind == "regression":
        return float(np.mean((said - y) ** 2))
    own = said[np.arange(len(y)), np.searchsorted(classes, y)]
    return float(-np.mean(np.log(np.maximum(own, 1e-15))))
