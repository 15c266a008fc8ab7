"""Several models as one: their mean, their vote, or a model on top of them."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from typing import Any, Self

import numpy as np

from barproof._tensors import read_tensors
from barproof.errors import BundleError, LayoutError, ParameterError, TrainingError
from barproof.inference import window_of
from barproof.models.linear import Logistic
from barproof.models.protocol import Floats, Ints, Kind, Model, holdout
from barproof.models.state import Reading, State

_HOW = ("mean", "vote", "stack")


class Ensemble:
    """Several models that learn the same rows and are asked together.

    Parameters
    ----------
    models : sequence of Model
        At least two; each draws a seed of its own. Equal models with different seeds are welcome. Windows may differ:
        rows count where the longest is whole, and models without one see the row alone.
    how : {"mean", "vote", "stack"}
        ``"mean"`` averages probabilities or returns. ``"vote"``: the share of the models that find a class
        likeliest (ties share the vote); a coarse number, not for returns. ``"stack"``: logistic regression, or ridge
        for returns, on what models fitted on the earlier train rows say about the last ones; the models are then fitted
        on all train rows.
    validation : float, default 0.3
        Share of the train rows that the stack learns from; rows before it whose labels reach into it are left out.

    Examples
    --------
    >>> from barproof.models import GradientBoosting
    >>> Ensemble([Logistic(), GradientBoosting()]).name
    'Ensemble(mean: Logistic, GradientBoosting)'
    """

    def __init__(
        self, models: Sequence[Model], *, how: str = "mean", validation: float = 0.3
    ) -> None:
        self.models = list(models)
        self.how = how
        self.validation = validation
        self._stacked = 0
        self.top_: Logistic | None = None

    @property
    def name(self) -> str:
        """How, and the names of its models."""
        return f"Ensemble({self.how}: {', '.join(model.name for model in self.models)})"

    @property
    def params(self) -> dict[str, Any]:
        """How, and class and parameters of every model."""
        members = [
            {"type": type(model).__name__, "params": dict(model.params)} for model in self.models
        ]
        return {"how": self.how, "validation": self.validation, "models": members}

    @property
    def allows_nan(self) -> bool:
        """If all its models do."""
        return all(model.allows_nan for model in self.models)

    @property
    def window(self) -> int:
        """Bars that its models look at, at most."""
        return max((window_of(model) for model in self.models), default=1)

    @property
    def precision(self) -> str:
        """That of its coarsest model."""
        told = {getattr(model, "precision", "f64") for model in self.models}
        return next(name for name in ("half", "f32", "f64") if name in told)

    @property
    def facts(self) -> dict[str, Any]:
        """What its models and the one on top found."""
        return {
            "models": [dict(getattr(model, "facts", {})) for model in self.models],
            "stacked_rows": self._stacked,
        }

    def fault(self, features: int) -> str:
        """Name what one of its nets is not any more since it was fitted; empty if nothing."""
        told = (model.fault(features) for model in self.models if hasattr(model, "fault"))
        return next((fault for fault in told if fault), "")

    def clone(self) -> Self:
        """Copy without what was fitted."""
        models = [model.clone() for model in self.models]
        return type(self)(models, how=self.how, validation=self.validation)

    def _check(self, kind: Kind) -> None:
        if len(self.models) < 2:
            raise LayoutError(f"`models` of Ensemble must be two or more, were {len(self.models)}")
        if self.how not in _HOW:
            raise ParameterError(f"`how` of Ensemble must be {', '.join(_HOW)}, was {self.how!r}")
        if self.how == "vote" and kind == "regression":
            raise ParameterError(
                'how="vote" of Ensemble counts classes, and returns have none: take the mean'
            )
        if not 0.0 < self.validation < 1.0:
            raise ParameterError(
                f"`validation` of Ensemble must be above 0 and below 1, was {self.validation!r}"
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
        """Fit every model, and the one on top.

        Parameters
        ----------
        X, y, kind, rows, ends, seed
            As for :meth:`barproof.models.Model.fit`.

        Returns
        -------
        Ensemble
            Itself.

        Raises
        ------
        ParameterError, LayoutError
            If a parameter is out of bounds or of the wrong type.
        TrainingError
            If the rows that a stack learns from lack a class.
        """
        self._check(kind)
        self._stacked, self.top_ = 0, None
        seeds = np.random.SeedSequence(seed).generate_state(len(self.models) + 1)
        if self.how == "stack":
            self._stack(X, y, kind, rows, ends, seeds)
        for model, own in zip(self.models, seeds, strict=False):
            self._fit(model, X, y, kind, rows, ends, int(own))
        return self

    def _fit(
        self,
        model: Any,
        X: Floats,  # noqa: N803
        y: Floats,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seed: int,
    ) -> None:
        """Give a model its windows, or the rows alone where it has none and others do."""
        seen = X[rows] if self.window > 1 and window_of(model) == 1 else X
        model.fit(seen, y, kind=kind, rows=rows, ends=ends, seed=seed)

    def _stack(
        self,
        X: Floats,  # noqa: N803
        y: Floats,
        kind: Kind,
        rows: Ints,
        ends: Ints,
        seeds: Any,
    ) -> None:
        """Fit the model on top on what the others, fitted on earlier rows, say of the last train rows."""
        kept, held = holdout(rows, ends, self.validation)
        classes = np.unique(y)
        whole = kind == "regression" or (
            len(np.unique(y[kept])) == len(np.unique(y[held])) == len(classes)
        )
        if not len(kept) or not len(held) or not whole:
            raise TrainingError(
                f"a stack learns from the last {len(held):,} train rows what models of the {len(kept):,} before them "
                "say: a class is missing in one of them; make train longer, or take the mean"
            )
        said = []
        for model, own in zip(self.models, seeds, strict=False):
            early = model.clone()
            seen = X[kept] if self.window == 1 else X[: rows[kept[-1]] + 1]
            self._fit(early, seen, y[kept], kind, rows[kept], ends[kept], int(own))
            said.append(_ask(early, X, kind, held if self.window == 1 else rows[held]))
        self._stacked = len(held)
        self.top_ = Logistic().fit(
            _inputs(said, kind), y[held], kind=kind, rows=rows[held], ends=ends[held], seed=0
        )

    def predict_proba(self, X: Floats, rows: Ints | None = None) -> Floats:  # noqa: N803
        """Probabilities of the classes that were fitted.

        Parameters
        ----------
        X : ndarray of shape (n, n_features), float64
            Features; of consecutive bars for models with a window.
        rows : ndarray of int, optional
            Rows to predict. Default: all.

        Returns
        -------
        ndarray of shape (n, n_classes)
            In the order of the classes.
        """
        said = ask_each(self.models, X, rows, "binary")
        if self.top_ is not None:
            return self.top_.predict_proba(_inputs(said, "binary"))
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
        said = ask_each(self.models, X, rows, "regression")
        if self.top_ is not None:
            return self.top_.predict(_inputs(said, "regression"))
        return _mean(said)

    def state(self) -> State:
        """Files of every model, and of the one on top.

        Returns
        -------
        State
            What :meth:`restore` reads.

        Raises
        ------
        BundleError
            If a model cannot be saved.
        """
        files: dict[str, bytes] = {}
        members = []
        for i, model in enumerate([*self.models, *([self.top_] if self.top_ is not None else [])]):
            if not hasattr(model, "state"):
                raise BundleError(
                    f"model {model.name} of an Ensemble cannot be saved: give its class the methods `state` and "
                    "`restore`, as models.Logistic has them"
                )
            own: State = model.state()
            files |= {f"m{i}.{name}": data for name, data in own.files.items()}
            members.append({"facts": dict(own.facts), "files": sorted(own.files)})
        return State(files, {"members": members, "stacked_rows": self._stacked})

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
        Ensemble
            Fitted.

        Raises
        ------
        BundleError
            If a model cannot be read.
        """
        from barproof.bundle import KNOWN

        told, members = params["models"], state.facts["members"]
        models: list[Model] = []
        for i, own in enumerate(told):
            if own["type"] not in KNOWN:
                raise BundleError(
                    f"{reading.where} holds an Ensemble of {str(own['type'])[:80]!r}, which is no model of this "
                    "package: save such models in bundles of their own"
                )
            maker = getattr(importlib.import_module("barproof.models"), own["type"])
            part = _part(state, i)
            models.append(maker.restore(own["params"], part, features=features, reading=reading))
        ensemble = cls(models, how=params["how"], validation=params["validation"])
        ensemble._stacked, ensemble.top_ = int(state.facts["stacked_rows"]), None
        if len(members) > len(told):
            top = _part(state, len(told))
            name = "weights.safetensors"
            width = len(read_tensors(top.files[name], reading.of(name))["mean"])
            ensemble.top_ = Logistic.restore(
                Logistic().params, top, features=width, reading=reading
            )
        return ensemble

    def __repr__(self) -> str:
        inner = ", ".join(repr(model) for model in self.models)
        return f"Ensemble([{inner}], how={self.how!r})"


def _part(state: State, i: int) -> State:
    """One of the models that stand in the files of an ensemble."""
    member = state.facts["members"][i]
    return State({name: state.files[f"m{i}.{name}"] for name in member["files"]}, member["facts"])


def ask_each(models: Iterable[Any], X: Floats, rows: Ints | None, kind: str) -> list[Floats]:  # noqa: N803
    """Ask every model about the same rows, by default all."""
    at = np.arange(len(X), dtype=np.int64) if rows is None else rows
    return [_ask(model, X, kind, at) for model in models]


def _ask(model: Any, X: Floats, kind: str, rows: Ints) -> Floats:  # noqa: N803
    if window_of(model) > 1:
        said = (
            model.predict(X, rows=rows)
            if kind == "regression"
            else model.predict_proba(X, rows=rows)
        )
    else:
        said = model.predict(X[rows]) if kind == "regression" else model.predict_proba(X[rows])
    return np.asarray(said, dtype=np.float64)


def _inputs(said: Sequence[Floats], kind: str) -> Floats:
    """Join what the model on top sees: returns, or logarithms of probabilities."""
    if kind == "regression":
        return np.column_stack(said)
    # The first class follows from the others.
    return np.column_stack([np.log(np.maximum(p[:, 1:], 1e-9)) for p in said])


def _mean(said: Sequence[Floats]) -> Floats:
    """Sum in order, so that it is the same bits for any number of rows."""
    total = said[0].copy()
    for one in said[1:]:
        total += one
    return total / len(said)
