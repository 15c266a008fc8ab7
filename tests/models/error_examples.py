"""An example of every error of models, training and what runs are asked: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

import barproof as bp
from barproof import _prepare, models
from tests.models.market import candles, down, quiet, table

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = candles(400)
X = table(BARS)
NAN = float("nan")
ODD: Any = np.array([1.0])
# Wrong on purpose, so their types are left aside.
GradientBoosting: Any = models.GradientBoosting
Sklearn: Any = models.Sklearn
TopK: Any = models.TopK
BINARY = bp.labels.horizon(BARS, bars=3, kind="binary")
TERNARY = bp.labels.horizon(BARS, bars=3, threshold=0.001)
RETURN = bp.labels.horizon(BARS, bars=3)
FALL = down(TERNARY)
WALK = bp.WalkForward(200, 50, tune=50)
LONG = bp.Part(models.Logistic(), X, TERNARY)
SHORT = bp.Part(models.Logistic(), X, TERNARY)


def train(
    model: Any = None, X: Any = X, labels: Any = BINARY, folds: Any = WALK, **o: Any
) -> bp.Run:
    return quiet(models.Logistic() if model is None else model, X, labels, folds, **o)


def parts(*, folds: Any = WALK, **named: Any) -> bp.Run:
    return quiet(named, folds=folds)


def fold(train: Any, tune: Any, test: Any) -> bp.Fold:
    return bp.Fold(0, *(np.array(rows, dtype=np.int64) for rows in (train, tune, test)))  # type: ignore[arg-type]


def with_values(values: Any, labels: Any = BINARY) -> Any:
    return replace(
        labels,
        values=np.asarray(values, dtype=float),
        start=labels.start.copy(),
        end=labels.end.copy(),
    )


def without(rows: int) -> pl.DataFrame:
    """Features of which one begins late."""
    late = np.where(np.arange(len(BARS)) < rows, NAN, X["noise0"].to_numpy())
    return X.with_columns(noise0=late)


class Odd(models.Logistic):
    """A model whose output is what it is told to be."""

    out: Any = None

    def fit(self, *_: Any, **__: Any) -> Any:
        return self

    def clone(self) -> Any:
        return self

    def predict_proba(self, X: Any) -> Any:
        return type(self).out(len(X))


class WrongShape(Odd):
    out = staticmethod(lambda n: np.full(n, 0.5))


class Undefined(Odd):
    out = staticmethod(lambda n: np.full((n, 2), NAN))


class Unnormalised(Odd):
    out = staticmethod(lambda n: np.full((n, 2), 0.7))


class OddChoice:
    name = "OddChoice"
    params: dict[str, Any] = {}  # noqa: RUF012

    def choose(self, X: Any, y: Any, *, kind: Any) -> Any:
        return [0, 0]


def interrupted() -> bp.Run:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    one = bp.WalkForward(200, 100, tune=50)
    return train(folds=one, progress=stop, threads=1)


def small_memory() -> bp.Run:
    with mock.patch.object(_prepare, "available_bytes", return_value=1_000):
        return train(threads=1)


RUN: Any = train()
BOTH: Any = parts(long=LONG, short=SHORT)
UNTUNED: Any = train(folds=bp.WalkForward(200, 50))
OVERLAPPING: Any = train(folds=bp.WalkForward(200, 50, tune=50, step=25))
LEAVING: Any = parts(long=LONG, short=SHORT, exit_long=LONG)
LONG_ONLY: Any = parts(long=LONG)
FALLING: Any = train(labels=FALL)
OTHER = candles(300)

EXAMPLES: list[Example] = [
    (
        "boosting whole",
        lambda: train(GradientBoosting(max_iter=1.5)),
        bp.LayoutError,
        "`max_iter` of GradientBoosting must be a whole number, was 1.5",
    ),
    (
        "boosting range",
        lambda: train(GradientBoosting(max_iter=0)),
        bp.ParameterError,
        "`max_iter` of GradientBoosting must be from 1 to 100,000, was 0",
    ),
    (
        "boosting real",
        lambda: train(GradientBoosting(learning_rate="fast")),
        bp.LayoutError,
        "`learning_rate` of GradientBoosting must be a number, was 'fast'",
    ),
    (
        "boosting bound",
        lambda: train(GradientBoosting(learning_rate=0.0)),
        bp.ParameterError,
        "`learning_rate` of GradientBoosting must be above 0 and at most 1, was 0.0",
    ),
    (
        "boosting flag",
        lambda: train(GradientBoosting(early_stopping=1)),
        bp.LayoutError,
        "`early_stopping` of GradientBoosting must be True or False, was 1",
    ),
    (
        "boosting balanced returns",
        lambda: train(GradientBoosting(balanced=True), labels=RETURN),
        bp.ParameterError,
        "balanced=True of GradientBoosting weighs classes, and regression labels have none: leave it out",
    ),
    (
        "logistic balanced returns",
        lambda: train(models.Logistic(balanced=True), labels=RETURN),
        bp.ParameterError,
        "balanced=True of Logistic weighs classes, and regression labels have none: leave it out",
    ),
    (
        "top k score",
        lambda: train(select=TopK(1, score="luck")),
        bp.ParameterError,
        '`score` of TopK must be "mutual_info" or "f", was \'luck\'',
    ),
    (
        "top k too many",
        lambda: train(select=TopK(4)),
        bp.ParameterError,
        "`k` of TopK is 4, but there are 3 features: choose fewer",
    ),
    (
        "selector choice",
        lambda: train(select=OddChoice()),
        bp.LayoutError,
        "selector OddChoice must choose different columns from 0 to 2, at least one, as whole numbers, chose [0, 0]",
    ),
    (
        "sklearn no estimator",
        lambda: train(Sklearn(LinearRegression)),
        bp.LayoutError,
        "`estimator` of models.Sklearn must be an estimator of scikit-learn, was <class 'sklearn.linear_model._base.LinearRegression'>: give an object with get_params, fit and predict",
    ),
    (
        "sklearn kind",
        lambda: train(Sklearn(LinearRegression())),
        bp.TrainingError,
        "`estimator` LinearRegression does not fit binary labels: give a regressor for regression labels, else a classifier",
    ),
    (
        "sklearn no probabilities",
        lambda: train(Sklearn(LinearSVC())),
        bp.TrainingError,
        "`estimator` LinearSVC has no predict_proba, and signals are probabilities: give a classifier that has",
    ),
    (
        "sklearn random stop",
        lambda: train(Sklearn(HistGradientBoostingClassifier())),
        bp.ParameterError,
        "`early_stopping` of HistGradientBoostingClassifier is 'auto': it would stop on train rows drawn at random, which overlap with their neighbours; switch it off, or use models.GradientBoosting, which holds out the latest rows",
    ),
    (
        "seed text",
        lambda: train(seed="7"),
        bp.LayoutError,
        "`seed` must be a whole number, was '7'",
    ),
    (
        "seed negative",
        lambda: train(seed=-1),
        bp.ParameterError,
        "`seed` must be from 0 to 2**63 - 1, was -1",
    ),
    (
        "calibrate",
        lambda: train(calibrate="sigmoid"),
        bp.ParameterError,
        "`calibrate` must be temperature, isotonic, platt or None, was 'sigmoid'",
    ),
    (
        "interrupted",
        lambda: interrupted(),
        bp.Interrupted,
        "interrupted after 1 of 1 folds; `partial` of this exception holds them",
    ),
    (
        "no label",
        lambda: train(labels=with_values(np.full(400, NAN))),
        bp.TrainingError,
        "no train row of fold 0 has a label: 196 rows, all undefined",
    ),
    (
        "feature without value",
        lambda: train(X=without(300)),
        bp.TrainingError,
        "feature `noise0` has no value in the 196 train rows of fold 0: make train longer than its warm-up, start later, or leave it out",
    ),
    (
        "window longer than train",
        lambda: train(model=models.LstmClassifier(window=300, hidden=4, layers=1, epochs=1)),
        bp.TrainingError,
        "no train row of fold 0 has a whole window of 300 bars: 196 rows have label and features, and the last is bar 195; make train longer, or the window shorter",
    ),
    (
        "no complete row",
        lambda: train(
            X=X.with_columns(
                score=np.where(np.arange(400) % 2, NAN, 1.0),
                noise0=np.where(np.arange(400) % 2, 1.0, NAN),
            )
        ),
        bp.TrainingError,
        "no train row of fold 0 is complete: in each of 196 rows one of 3 features is NaN; make train longer than their warm-up, or leave features out",
    ),
    (
        "one class",
        lambda: train(labels=with_values(np.ones(400))),
        bp.TrainingError,
        "all 196 train rows of fold 0 are of class 1: make train longer, or the threshold of the labels smaller",
    ),
    (
        "parts and X",
        lambda: quiet({"long": LONG}, X, folds=WALK),
        bp.ParameterError,
        "parts bring their own `X`, `labels` and `select`: give train(parts, folds=...)",
    ),
    (
        "no parts",
        lambda: quiet({}, folds=WALK),
        bp.ParameterError,
        "there are no parts to train: give at least one of long, short, exit_long, exit_short",
    ),
    (
        "unknown part",
        lambda: quiet({"up": LONG}, folds=WALK),
        bp.ParameterError,
        "unknown part 'up'; known: long, short, exit_long, exit_short",
    ),
    (
        "no part",
        lambda: quiet({"long": models.Logistic()}, folds=WALK),
        bp.LayoutError,
        "part `long` must be a Part(model, X, labels), was Logistic",
    ),
    (
        "no X",
        lambda: quiet(models.Logistic(), None, BINARY, WALK),
        bp.LayoutError,
        "`X` is missing: give the table of features",
    ),
    (
        "no model",
        lambda: train(LinearSVC),
        bp.LayoutError,
        "`model` must be a model, was <class 'sklearn.svm._classes.LinearSVC'>: use one of barproof.models, or models.Sklearn(estimator)",
    ),
    (
        "no labels",
        lambda: train(labels=BINARY.values),
        bp.LayoutError,
        "`labels` must be Labels, was ndarray: see barproof.labels",
    ),
    (
        "no selector",
        lambda: train(select=3),
        bp.LayoutError,
        "`select` must choose features, was 3: use models.TopK(k)",
    ),
    (
        "rise as fall",
        lambda: parts(short=bp.Part(models.Logistic(), X, BINARY)),
        bp.TrainingError,
        "class 1 of binary horizon labels is a rise, but part `short` needs the chance of a fall: give it ternary labels",
    ),
    (
        "trades of the other side",
        lambda: parts(
            long=bp.Part(
                models.Logistic(),
                X,
                bp.labels.triple_barrier(
                    BARS, bp.Rules(max_hold=5), costs=bp.Costs.free(), side="short"
                ),
            )
        ),
        bp.TrainingError,
        "part `long` waits for prices to go up, but its labels are of trades that gain when they go the other way: give "
        "it those of its own side",
    ),
    (
        "other candles",
        lambda: parts(
            long=LONG,
            short=replace(SHORT, labels=bp.labels.horizon(OTHER, bars=3, threshold=0.001)),
        ),
        bp.TrainingError,
        "labels of parts `long` and `short` are of different candles: make all from the same",
    ),
    (
        "mixed kinds",
        lambda: parts(long=LONG, short=replace(SHORT, labels=RETURN)),
        bp.TrainingError,
        "part `long` has ternary labels and part `short` regression ones: signals are all probabilities or all scores",
    ),
    (
        "features text",
        lambda: train(features="score"),
        bp.LayoutError,
        "`features` must be a list of columns, was the text 'score'",
    ),
    (
        "features twice",
        lambda: train(features=["score", "score"]),
        bp.ParameterError,
        "`features` names `score` twice: name each column once",
    ),
    (
        "feature of two values",
        lambda: parts(long=LONG, short=replace(SHORT, X=table(BARS, seed=1))),
        bp.TrainingError,
        "feature `noise0` of part `short` has other values than in the part before: give it another name",
    ),
    (
        "folds",
        lambda: train(folds=3),
        bp.LayoutError,
        '`folds` must be a splitter or a list of Fold, was int: use WalkForward(train="60d", tune="10d", test="5d")',
    ),
    (
        "no folds",
        lambda: train(folds=[]),
        bp.ParameterError,
        "`folds` is an empty list: there is nothing to train",
    ),
    (
        "fold without test",
        lambda: train(folds=[fold(range(200), [], [])]),
        bp.TrainingError,
        "fold 0 has no train or no test rows: leave it out",
    ),
    (
        "fold beyond",
        lambda: train(folds=[fold(range(200), [], range(390, 410))]),
        bp.TrainingError,
        "row 409 of fold 0 lies beyond the 400 bars of the labels' candles: make the folds from the same candles",
    ),
    (
        "purged away",
        lambda: train(folds=[fold([98, 99], [], range(100, 110))]),
        bp.TrainingError,
        "no train row of fold 0 is left: the labels of all 2 reach tune or test rows; make train longer or the labels shorter",
    ),
    (
        "memory",
        lambda: small_memory(),
        bp.PlanError,
        "196 train rows x 3 features in 1 folds at once need about 32,640 bytes, 1,000 are free: take fewer threads, features or rows",
    ),
    (
        "fold number",
        lambda: RUN.signals(fold=1.0),
        bp.LayoutError,
        "`fold` must be the number of a fold or None, was 1.0",
    ),
    (
        "fold range",
        lambda: RUN.signals(fold=9),
        bp.ParameterError,
        "fold 9 does not exist: the run has 3, counted from 0",
    ),
    (
        "part of rows",
        lambda: RUN.signals("train"),
        bp.ParameterError,
        '`part` must be "test" or "tune" (its second half, which chooses rules), was \'train\'',
    ),
    (
        "overlap",
        lambda: OVERLAPPING.signals(),
        bp.TrainingError,
        "bar 275 is a test row of folds 0 and 1: name one with fold=, or let the folds step by the length of their test rows",
    ),
    (
        "exit",
        lambda: RUN.signals(exit="both"),
        bp.ParameterError,
        "`exit` must be \"opposite\" or None, was 'both'",
    ),
    (
        "no tune",
        lambda: UNTUNED.signals("tune"),
        bp.TrainingError,
        "no fold has tune rows: give the splitter `tune`, such as WalkForward(..., tune=...)",
    ),
    (
        "opposite twice",
        lambda: LEAVING.signals(exit="opposite"),
        bp.ParameterError,
        'exit="opposite" feeds `exit_long` from `short`, but there is a part `exit_long`: leave `exit` out',
    ),
    (
        "opposite lacks",
        lambda: LONG_ONLY.signals(exit="opposite"),
        bp.ParameterError,
        'exit="opposite" feeds `exit_long` from `short`, but no part `short`: leave `exit` out',
    ),
    (
        "labels too short",
        lambda: train(labels=with_values(BINARY.values[:-1])),
        bp.ShapeError,
        "`labels` have shape (399,), but their candles 400 bars: give one value a bar",
    ),
    (
        "strange class",
        lambda: train(labels=with_values(np.full(400, 2.0))),
        bp.TrainingError,
        "label of bar 0 is 2: binary labels are 0 or 1, or NaN",
    ),
    (
        "params that JSON cannot hold",
        lambda: train(models.Logistic(C=ODD)),
        bp.LayoutError,
        "`params` of Logistic must be a mapping that JSON can hold, was refused: Object of type ndarray is not JSON serializable",
    ),
]
