"""An example of every error of plans, watched trainings, faults of parts and joint inference."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import barproof as bp
from barproof import models
from barproof.inference import changed_decisions
from barproof.models.state import Reading, State
from tests.models.error_examples import BARS, BINARY, RETURN, WALK, X, train, with_values

Example = tuple[str, Callable[[], object], type[BaseException], str]

LOGISTIC: Any = models.Logistic()


class Faulty(models.Logistic):
    """A model that says what is wrong with it."""

    def fault(self, features: int) -> str:
        return f"CKP-07: it is asked about {features} features"


class Windowed(models.Logistic):
    """A model that looks at more than a bar."""

    window = 8


def as_estimator(model: Any = LOGISTIC, classes: int = 2, **options: Any) -> object:
    rows = np.arange(40)
    return models.as_estimator(model, **options).fit(rows[:, None] / 40, rows % classes)


def faulty() -> object:
    bundle = train().bundles[0]
    bundle.parts["model"] = replace(bundle.parts["model"], model=Faulty())
    return bundle.verify()


def reordered() -> object:
    bundle = train().bundles[0]
    bundle.parts["model"] = replace(bundle.parts["model"], features=("noise1", "noise0", "score"))
    return bundle.verify()


def plan(X: Any = X, labels: Any = BINARY, **options: Any) -> object:
    return bp.plan_training(LOGISTIC, X, labels, WALK, **options)


def without_optuna() -> object:
    with mock.patch.dict(sys.modules, {"optuna": None}):
        return search()


def search(suggest: Any = lambda _: models.Logistic(), folds: Any = WALK, **options: Any) -> object:
    return bp.search(suggest, X, options.pop("labels", BINARY), folds, ledger=False, **options)


def forecaster(X: Any = None, targets: Any = ("a",), net: Any = None, **options: Any) -> Any:
    """Fit a small one; its messages need no torch but the one that says so."""
    own = models.CrossMarketTransformer(window=2, steps=2) if net is None else net
    table = {"a": [1.0, 2.0, 3.0, 2.0, 1.0, 2.0]} if X is None else X
    return models.Forecaster(own, targets=targets).fit(table, **options)


def without_torch() -> object:
    with mock.patch.dict(sys.modules, {"torch": None}):
        return forecaster()


def named(**asked: Any) -> object:
    made = models.Forecaster(models.CrossMarketTransformer(steps=2), targets=["a"])
    return made._place(asked.get("target", "a"), asked.get("step"))


def loaded(**arrays: Any) -> object:
    from barproof._tensors import write_tensors

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(write_tensors(arrays))
        try:
            return models.Forecaster.load(path)
        except bp.BundleError as error:
            error.args = (str(error).replace(str(path), "f"),)
            raise


def told(**changed: Any) -> Any:
    plain = {
        "format": "forecaster/1",
        "net": {},
        "targets": ["a"],
        "features": ["a"],
        "features_digest": "other",
        "facts": {},
    }
    return np.frombuffer(json.dumps(plain | changed).encode(), dtype=np.uint8)


def folds(labels: Any = BINARY, rows: int = 100, **options: Any) -> object:
    at = np.arange(rows)
    made = models.FoldEnsemble(models.Logistic(), **options)
    values = X.select("score").to_numpy()[:rows]
    return made.fit(
        values, labels.values[:rows], kind=labels.kind, rows=at, ends=labels.end[:rows], seed=0
    )


class Stateless:
    """A fitted model that cannot be saved."""

    name = "Stateless"


def unsaved() -> object:
    made = models.FoldEnsemble(models.Logistic())
    made.models = [Stateless()]
    return made.state()


def stranger() -> object:
    params = {"model": {"type": "Own", "params": {}}, "how": "mean", "folds": 2}
    state = State({}, {"members": [], "losses": [], "kind": "binary"})
    return models.FoldEnsemble.restore(params, state, features=1, reading=Reading("bundle 'b'", 1))


def rising_tune() -> object:
    values = BINARY.values.copy()
    values[200:] = 1.0
    return search(labels=with_values(values), metric="auc", trials=1)


EXAMPLES: list[Example] = [
    (
        "reordered part",
        reordered,
        bp.BundleError,
        "part `model` fails PAR-01: names or order of its 3 features are not those that it was trained with; load the bundle again",
    ),
    (
        "faulty part",
        faulty,
        bp.BundleError,
        "part `model` fails CKP-07: it is asked about 3 features",
    ),
    (
        "no watcher",
        lambda: train(watch=3),
        bp.LayoutError,
        "`watch` must be a function of an Epoch, was 3",
    ),
    (
        "price",
        lambda: plan(price_per_hour=-1),
        bp.ParameterError,
        "`price_per_hour` must be at least 0, was -1",
    ),
    (
        "nothing to plan with",
        lambda: plan(labels=with_values(np.full(len(BARS), np.nan))),
        bp.TrainingError,
        "no train row of fold 0, part `model`, is complete and has a label: make train longer than the features' warm-up",
    ),
    (
        "one class to plan with",
        lambda: plan(labels=with_values(np.ones(len(BARS)))),
        bp.TrainingError,
        "all 196 train rows of fold 0 are of one class: make train longer, or the threshold of the labels smaller",
    ),
    (
        "no bundles",
        lambda: bp.predict_together([3], X),  # type: ignore[list-item]
        bp.LayoutError,
        "`bundles` must hold Bundles, one was int: see run.bundles",
    ),
    (
        "other rows",
        lambda: changed_decisions(np.ones((2, 1)), np.ones((3, 1))),
        bp.ShapeError,
        "predictions have shapes (2, 1) and (3, 1): give two of the same rows, a column a class",
    ),
    (
        "no optuna",
        without_optuna,
        bp.TrainingError,
        "a search needs optuna, which is not installed: pip install 'barproof[search]'",
    ),
    (
        "nothing suggested",
        lambda: search(3),
        bp.LayoutError,
        "`suggest` must be a function of an optuna.Trial that gives a model, was 3",
    ),
    (
        "no trials",
        lambda: search(trials=0),
        bp.ParameterError,
        "`trials` must be a whole number of at least 1, was 0",
    ),
    (
        "unknown metric",
        lambda: search(metric="luck"),
        bp.ParameterError,
        "`metric` must be one of log_loss, brier, rmse, accuracy, auc, auc_up, auc_down, direction, correlation, r2, was 'luck'",
    ),
    (
        "metric of other labels",
        lambda: search(metric="rmse", trials=1),
        bp.ParameterError,
        "binary labels have no metric 'rmse': take one of accuracy, auc, log_loss, brier",
    ),
    (
        "no tune rows",
        lambda: search(folds=bp.WalkForward(200, 50), trials=1),
        bp.TrainingError,
        "0 of 0 tune rows that choose have a label and a prediction: give folds with tune=, such as WalkForward(..., tune=...), and one model",
    ),
    (
        "undefined metric",
        rising_tune,
        bp.TrainingError,
        "auc is undefined on the tune rows in all 1 trials: one class alone came, or predictions do not vary; make tune longer, or take another `metric`",
    ),
    (
        "net of a forecaster",
        lambda: forecaster(net=LOGISTIC),
        bp.LayoutError,
        "`net` of Forecaster must be a CrossMarketTransformer, was Logistic",
    ),
    (
        "targets of a forecaster",
        lambda: forecaster(targets="a"),
        bp.ParameterError,
        "`targets` of Forecaster must be a list of different columns, was 'a'",
    ),
    (
        "targets that are no columns",
        lambda: forecaster(targets=["a", "b"]),
        bp.LayoutError,
        "targets `b` are no columns of the table: it has 1, such as `a`",
    ),
    (
        "train rows of a forecaster",
        lambda: forecaster(train=(3, 9)),
        bp.ParameterError,
        "`train` must be rows from 0 to 6, the second behind the first, was (3, 9)",
    ),
    (
        "too few rows",
        lambda: forecaster(train=(0, 3)),
        bp.TrainingError,
        "0 of 3 train rows have a whole window of 2 bars and 2 steps after it: make train longer, or leave columns with NaN out",
    ),
    (
        "forecaster without torch",
        without_torch,
        bp.TrainingError,
        "model Forecaster needs torch, which is not installed: pip install 'barproof[torch]'",
    ),
    (
        "not fitted",
        lambda: models.Forecaster(targets=["a"]).predict({"a": [1.0]}),
        bp.TrainingError,
        "the Forecaster is not fitted: call fit, or load one",
    ),
    (
        "another target",
        lambda: named(target="b"),
        bp.ParameterError,
        "`target` must be one of a, was 'b'",
    ),
    (
        "another step",
        lambda: named(step=3),
        bp.ParameterError,
        "`step` must be a whole number from 1 to 2, was 3",
    ),
    (
        "no forecaster",
        lambda: loaded(a=np.ones(2)),
        bp.BundleError,
        "forecaster 'f' tells not what it is: KeyError: 'told'; it is damaged, or of something else",
    ),
    (
        "features of a forecaster",
        lambda: loaded(told=told()),
        bp.BundleError,
        "forecaster 'f' is of another format, or the list of its features was changed: save it again",
    ),
    (
        "folds of an ensemble",
        lambda: folds(folds=2.5),
        bp.LayoutError,
        "`folds` of FoldEnsemble must be a whole number, was 2.5",
    ),
    (
        "one fold",
        lambda: folds(folds=1),
        bp.ParameterError,
        "`folds` of FoldEnsemble must be from 2 to 100, was 1",
    ),
    (
        "vote of returns",
        lambda: folds(labels=RETURN, how="vote"),
        bp.ParameterError,
        "`how` of FoldEnsemble must be mean, vote, best, and vote of classes only, was 'vote'",
    ),
    (
        "fold of one class",
        lambda: folds(labels=with_values(np.repeat([0.0, 1.0], [60, len(BARS) - 60])), folds=4),
        bp.TrainingError,
        "fold 0 of FoldEnsemble learns from 16 train rows and is judged on 20: a class or all rows are missing; make train longer, or take fewer folds",
    ),
    (
        "fold ensemble that cannot be saved",
        unsaved,
        bp.BundleError,
        "model Stateless of a FoldEnsemble cannot be saved: give its class the methods `state` and `restore`, as models.Logistic has them",
    ),
    (
        "fold ensemble of strangers",
        stranger,
        bp.BundleError,
        "bundle 'b' holds a FoldEnsemble of 'Own', which is no model of this package: save such models in bundles of their own",
    ),
    (
        "task of an estimator",
        lambda: as_estimator(task="ranking"),
        bp.ParameterError,
        '`task` of as_estimator must be "classification" or "regression", was \'ranking\'',
    ),
    (
        "estimator of no model",
        lambda: as_estimator(3),
        bp.LayoutError,
        "`model` of ModelClassifier must be a model of this package or one like it, was 3: see barproof.models.Model",
    ),
    (
        "estimator that looks at windows",
        lambda: as_estimator(Windowed()),
        bp.ParameterError,
        "`model` Windowed looks at windows of 8 bars, and scikit-learn hands over rows without their neighbours: take window=1, or barproof.train",
    ),
    (
        "span that is no number",
        lambda: as_estimator(span=1.5),
        bp.LayoutError,
        "`span` of ModelClassifier must be a whole number of rows, was 1.5",
    ),
    (
        "span below zero",
        lambda: as_estimator(span=-1),
        bp.ParameterError,
        "`span` of ModelClassifier must be at least 0, was -1: rows that a label looks ahead",
    ),
    (
        "one class for an estimator",
        lambda: as_estimator(classes=1),
        bp.TrainingError,
        "labels have 1 class, and models know two or three: merge classes, or take more rows",
    ),
    (
        "four classes for an estimator",
        lambda: as_estimator(classes=4),
        bp.TrainingError,
        "labels have 4 classes, and models know two or three: merge classes, or take more rows",
    ),
]
