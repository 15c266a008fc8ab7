"""An example of every error of evaluation and of the features that a bundle reads: id, call, class, exact message."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import barproof as bp
from barproof.inference import read_features
from tests.models.error_examples import (
    BARS,
    BOTH,
    FALLING,
    NAN,
    OTHER,
    RUN,
    TERNARY,
    Example,
    Undefined,
    Unnormalised,
    WrongShape,
    X,
    train,
)


def no_features() -> bp.Evaluation:
    def refuse(names: list[str]) -> Any:
        raise bp.ParameterError(f"unknown feature `{names[0]}`")

    with mock.patch.dict(sys.modules, {"barproof.features": SimpleNamespace(FeatureSet=refuse)}):
        return bp.evaluate(RUN.bundles[0], BARS)


def evaluate(bundle: Any = None, bars: Any = BARS, **options: Any) -> bp.Evaluation:
    return bp.evaluate(RUN.bundles[0] if bundle is None else bundle, bars, **{"X": X, **options})


EXAMPLES: list[Example] = [
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
]
