"""scikit-learn's own checks of estimators, on models of ours, and its helpers on splitters of ours."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, check_cv, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import barproof as bp
from barproof import models
from tests.models.market import candles, quiet, table

MODELS: dict[str, Any] = {
    "Logistic": models.Logistic(),
    # The checks train on tens of rows: fewer rows a leaf than the default's 200.
    "GradientBoosting": models.GradientBoosting(min_samples_leaf=5, max_iter=40, max_leaf_nodes=8),
    "XGBoost": models.XGBoost(n_estimators=20),
    "LightGBM": models.LightGBM(n_estimators=40),
    "FeedForward": models.FeedForward(hidden=(16,), epochs=30, batch=32, learning_rate=0.02),
    "Ensemble": models.Ensemble([models.Logistic(), models.XGBoost(n_estimators=20)], how="mean"),
}
NEEDS = {
    "XGBoost": "xgboost",
    "LightGBM": "lightgbm",
    "FeedForward": "torch",
    "Ensemble": "xgboost",
}
# The only check that does not apply: it trains on four classes, and a label here is up or not, or down, flat, up.
FOUR_CLASSES = {"check_dtype_object": "models know two or three classes"}


def model(name: str) -> Any:
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    return MODELS[name]


@pytest.mark.parametrize("task", ["classification", "regression"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.filterwarnings("ignore")  # the checks warn on purpose
def test_checks_of_scikit_learn_pass(name: str, task: Any) -> None:
    estimator = models.as_estimator(model(name), task=task)
    expected = FOUR_CLASSES if task == "classification" else {}
    done = check_estimator(estimator, expected_failed_checks=expected, on_fail=None, on_skip=None)
    by_status: dict[str, set[str]] = {}
    for one in done:
        by_status.setdefault(one["status"], set()).add(one["check_name"])
    failed = {one["check_name"]: one["exception"] for one in done if one["status"] == "failed"}
    assert not failed
    assert by_status.get("xfail", set()) == set(expected)
    # Arrays of other libraries are off unless SCIPY_ARRAY_API is set before scipy is loaded.
    assert by_status.get("skipped", set()) <= {"check_array_api_input"}
    assert len(by_status["passed"]) >= 45


def test_estimators_predict_what_their_models_do() -> None:
    """Rows and labels reach the model as `train` hands them over: the same bits."""
    bars = candles()
    X = table(bars)
    values = X.drop("open_time").to_numpy()
    labels = bp.labels.horizon(bars, bars=4, threshold=0.0015)
    fold = bp.WalkForward(1_400, 600).folds(bars, labels)[0]
    run = quiet(models.GradientBoosting(), X, labels, bp.WalkForward(1_400, 600), seed=3)
    name = np.array(["down", "flat", "up"])[labels.values[fold.train].astype(int) + 1]
    # Spans of labels are 1 to 5 bars ahead; the code of the fold's seed is the bundle's.
    seed = run.bundles[0].manifest["parts"]["model"]["seed"]
    estimator = models.as_estimator(models.GradientBoosting(), span=5, seed=seed)
    estimator.fit(values[fold.train], name)
    assert estimator.classes_.tolist() == ["down", "flat", "up"]
    p = estimator.predict_proba(values[fold.test])
    np.testing.assert_array_equal(p, run.bundles[0].parts["model"].predict(values[fold.test]))
    assert set(estimator.predict(values[fold.test])) <= {"down", "flat", "up"}
    again = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(again.predict_proba(values[fold.test]), p)


def test_span_keeps_held_rows_apart() -> None:
    told: list[tuple[Any, Any, int]] = []

    class Spy(models.Logistic):
        def fit(self, X: Any, y: Any, *, kind: Any, rows: Any, ends: Any, seed: int) -> Any:
            told.append((rows, ends, seed))
            return super().fit(X, y, kind=kind, rows=rows, ends=ends, seed=seed)

    X = np.random.default_rng(0).standard_normal((50, 2))
    models.as_estimator(Spy(), span=7, seed=11).fit(X, X[:, 0] > 0)
    rows, ends, seed = told[0]
    assert rows.tolist() == list(range(50))
    assert ends.tolist() == list(range(7, 57))
    assert seed == 11


def test_kinds_parameters_and_clones() -> None:
    classifier = models.as_estimator(models.Logistic(C=0.5), seed=4)
    regressor = models.as_estimator(models.Logistic(), task="regression")
    assert is_classifier(classifier) and not is_regressor(classifier)
    assert is_regressor(regressor) and not is_classifier(regressor)
    assert set(classifier.get_params()) == {"model", "span", "seed"}
    copy = clone(classifier)
    assert copy is not classifier
    assert (copy.model.params, copy.seed) == (classifier.model.params, 4)
    X = np.random.default_rng(0).standard_normal((80, 2))
    classifier.fit(X, X[:, 0] > 0)
    assert not hasattr(classifier.model, "coef_")  # a copy was fitted


SPLITTERS: dict[str, Any] = {
    "walk": bp.WalkForward(120, 40, tune=20, gap=3),
    "anchored": bp.WalkForward(120, 40, anchored=True),
    "purged": bp.PurgedKFold(5, embargo=4),
    "combinatorial": bp.CombinatorialPurged(5, 2, embargo=4),
}


@pytest.mark.parametrize("name", SPLITTERS)
def test_splitters_are_taken_by_scikit_learn(name: str) -> None:
    splitter = SPLITTERS[name]
    draws = np.random.default_rng(2)
    X = draws.standard_normal((400, 3))
    y = (X[:, 0] + 0.5 * draws.standard_normal(400) > 0).astype(int)
    pairs = list(splitter.split(X, y))
    cv = check_cv(splitter, y, classifier=True)
    assert cv is splitter
    assert cv.get_n_splits(X, y) == len(pairs) > 2
    assert len(list(check_cv(list(splitter.split(X)), y).split(X, y))) == len(pairs)
    for train, test in pairs:
        assert len(train) and len(test) and not np.intersect1d(train, test).size
        assert train.min() >= 0 and max(train.max(), test.max()) < len(X)
    estimator = models.as_estimator(models.Logistic())
    scores = cross_val_score(estimator, X, y, cv=splitter, error_score="raise")
    # Independent: fit and judge fold by fold.
    plain = []
    for train, test in pairs:
        fitted = models.as_estimator(models.Logistic()).fit(X[train], y[train])
        plain.append(np.mean(fitted.predict(X[test]) == y[test]))
    assert scores.tolist() == plain
    # What the regression of scikit-learn gets, which is ours without the scaler.
    theirs = cross_val_score(
        make_pipeline(StandardScaler(), LogisticRegression()), X, y, cv=splitter
    )
    np.testing.assert_allclose(scores, theirs, atol=1.01 / min(len(test) for _, test in pairs))


def test_searches_and_pipelines() -> None:
    draws = np.random.default_rng(5)
    X = draws.standard_normal((300, 3))
    y = np.where(X[:, 1] + 0.3 * draws.standard_normal(300) > 0, "up", "down")
    cv = bp.PurgedKFold(4, embargo=3)
    strengths = [models.Logistic(C=c) for c in (1e-6, 1.0)]
    search = GridSearchCV(models.as_estimator(strengths[0]), {"model": strengths}, cv=cv)
    # So strong a penalty that probabilities are those of the classes: loss tells, accuracy need not.
    search.set_params(scoring="neg_log_loss").fit(X, y)
    assert search.best_params_["model"].params["C"] == 1.0
    line = make_pipeline(StandardScaler(), models.as_estimator(models.Logistic()))
    p = cross_val_predict(line, X, y, cv=cv, method="predict_proba")
    assert p.shape == (300, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    assert np.mean(np.where(p[:, 1] > 0.5, "up", "down") == y) > 0.85
