"""An example of every error of models, training, bundles and their evaluation: id, call, class, exact message."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

import barproof as bp
from barproof import _prepare, models
from barproof.inference import read_features
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


def no_features() -> bp.Evaluation:
    def refuse(names: list[str]) -> Any:
        raise bp.ParameterError(f"unknown feature `{names[0]}`")

    with mock.patch.dict(sys.modules, {"barproof.features": SimpleNamespace(FeatureSet=refuse)}):
        return bp.evaluate(RUN.bundles[0], BARS)


def evaluate(bundle: Any = None, bars: Any = BARS, **options: Any) -> bp.Evaluation:
    return bp.evaluate(RUN.bundles[0] if bundle is None else bundle, bars, **{"X": X, **options})


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
        "evaluation metric",
        lambda: evaluate()["f1"],
        bp.ParameterError,
        "unknown metric `f1` of the evaluation; known: accuracy, auc, log_loss, brier",
    ),
    (
        "no bundle",
        lambda: evaluate(RUN),
        bp.LayoutError,
        "`bundle` must be a Bundle, was Run: see run.bundles",
    ),
    (
        "level",
        lambda: evaluate(level=1.0),
        bp.ParameterError,
        "`level` must be between 0 and 1, was 1.0",
    ),
    (
        "X and features",
        lambda: evaluate(features=object()),
        bp.ParameterError,
        "`X` and `features` are both given: one of them tells the features",
    ),
    (
        "nothing to judge",
        lambda: evaluate(X=X.with_columns(score=pl.lit(NAN))),
        bp.BundleError,
        "no bar from 0 to 400 has both a label and a prediction of part `model`: 396 have a label, 0 a prediction; give more bars for the features' warm-up",
    ),
    (
        "features not computed",
        lambda: no_features(),
        bp.BundleError,
        "features of the bundle cannot be computed from the candles: unknown feature `score`; give X= or features=",
    ),
    (
        "label rule",
        lambda: evaluate(FALLING.bundles[0]),
        bp.BundleError,
        "labels of part `model` cannot be made again by the rule of the bundle: rule 'fall' is of no maker of labels: "
        "known are horizon, triple barrier, meta labels, exit labels, k of n, volume filter; give the labels "
        "themselves; or make them of these candles and give labels=",
    ),
    (
        "no labels to judge",
        lambda: evaluate(labels=3),
        bp.LayoutError,
        "`labels` of part `model` must be Labels, was int: see barproof.labels",
    ),
    (
        "labels of others",
        lambda: evaluate(labels=bp.labels.horizon(OTHER, bars=3, kind="binary")),
        bp.BundleError,
        "`labels` of part `model` are of other candles: make them from those that are given",
    ),
    (
        "labels of another kind",
        lambda: evaluate(labels=TERNARY),
        bp.BundleError,
        "`labels` of part `model` are ternary, but it was trained on binary ones",
    ),
    (
        "several parts",
        lambda: BOTH.bundles[0].predict(X),
        bp.BundleError,
        'the bundle has several parts, "long", "short": name one with part=',
    ),
    (
        "no such part",
        lambda: BOTH.bundles[0].predict(X, part="up"),
        bp.BundleError,
        'the bundle has no part \'up\'; it has "long", "short"',
    ),
    (
        "lacking columns",
        lambda: RUN.bundles[0].predict(X.drop("score")),
        bp.BundleError,
        "features lack 1 of the 3 columns of the bundle: `score`; compute them with the bundle's own list, `features`",
    ),
    (
        "no time",
        lambda: train(X=X.drop("open_time")),
        bp.LayoutError,
        "features have no column `open_time` to join them to the candles by: keep the one of compute(...)",
    ),
    (
        "strange time",
        lambda: train(X=X.with_columns(pl.col("open_time") + 1)),
        bp.ParameterError,
        "400 of 400 times of the features meet no bar, first 2022-01-01 00:00:00.001: `open_time` must hold opening times of these candles, 2022-01-01 00:00 to 2022-01-02 09:15",
    ),
    (
        "only times",
        lambda: train(X=X.select("open_time")),
        bp.LayoutError,
        "features have no columns but `open_time`: give at least one feature",
    ),
    (
        "unknown columns",
        lambda: train(features=["score", "rsi(14)"]),
        bp.LayoutError,
        "features lack 1 of 2 columns: `rsi(14)`; columns are found by name, give them all",
    ),
    (
        "column of whole numbers",
        lambda: train(X=X.with_columns(noise0=pl.lit(1))),
        bp.LayoutError,
        "feature `noise0` must be a column of floats, was Int32: cast it, or leave it out",
    ),
    (
        "infinite",
        lambda: train(X=X.with_columns(noise0=pl.lit(float("inf")))),
        bp.ParameterError,
        "feature `noise0` is infinite in 400 rows, first row 0: make it NaN where it is undefined",
    ),
    (
        "columns twice",
        lambda: read_features(SimpleNamespace(columns=["a", "a"])),
        bp.LayoutError,
        "features have more than one column `a`: give each a name",
    ),
    (
        "no table",
        lambda: train(X=np.zeros((400, 2))),
        bp.LayoutError,
        "features must be a frame or a mapping of columns, was ndarray: columns are found by name",
    ),
    (
        "unequal columns",
        lambda: read_features({"a": [1.0], "b": [1.0, 2.0]}),
        bp.LayoutError,
        "features cannot be read from this dict: give columns of equal length, one number a row",
    ),
    (
        "output shape",
        lambda: train(WrongShape()),
        bp.TrainingError,
        "predictions of WrongShape have shape (19,), not (19, 2): one row a row, one column a class in the order of np.unique(y)",
    ),
    (
        "output undefined",
        lambda: train(Undefined()),
        bp.TrainingError,
        "predictions of Undefined are not all finite: rows with NaN features come only if it sets allows_nan",
    ),
    (
        "output not normalised",
        lambda: train(Unnormalised()),
        bp.TrainingError,
        "probabilities of Unnormalised must be >= 0 and sum to 1 in every row: have predict_proba normalise them",
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
