"""Models: what they learn, what they hold out, what they never do."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import f_classif, f_regression
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import mutual_info_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import barproof as bp
from barproof.models import Logistic, Sklearn, TopK, holdout
from barproof.models.protocol import class_sums, class_weights
from tests.tolerances import METRIC, REFERENCE

# Parameters are given as mappings here, whose types say too little.
GradientBoosting: Any = bp.models.GradientBoosting


def sample(kind: str, n: int = 600, seed: int = 3) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 3))
    move = X[:, 0] + 0.5 * rng.standard_normal(n)
    y = {
        "regression": move,
        "binary": (move > 0.4) * 1.0,
        "ternary": (move > 0.4) * 1.0 - (move < -0.4),
    }[kind]
    return X, y


def fit(model: Any, X: Any, y: Any, kind: str, *, reach: int = 0, seed: int = 1) -> Any:
    rows = np.arange(len(y))
    return model.clone().fit(X, y, kind=kind, rows=rows, ends=rows + reach, seed=seed)


def test_holdout_keeps_what_ends_before_the_held_rows_begin() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = int(rng.integers(1, 60))
        rows = np.sort(rng.choice(200, n, replace=False))
        ends = rows + rng.integers(0, 15, n)
        share = float(rng.uniform(0.05, 0.9))
        kept, held = holdout(rows, ends, share)
        first = n - int(n * share)
        assert held.tolist() == list(range(first, n))
        start = rows[first] if first < n else np.inf
        assert kept.tolist() == [i for i in range(first) if ends[i] < start]


def test_class_weights_give_every_class_the_same_total() -> None:
    y = np.array([0.0, 0, 0, 1, -1, -1])
    weights = class_weights(y)
    assert [weights[y == c].sum() for c in (-1, 0, 1)] == pytest.approx([2.0, 2.0, 2.0])


@pytest.mark.parametrize("kind", ["binary", "ternary", "regression"])
def test_logistic_is_scikit_learns_on_standardised_features(kind: str) -> None:
    X, y = sample(kind)
    X = X * [1.0, 100.0, 0.01] + [0.0, 5.0, -1.0]
    found = fit(Logistic(C=0.3), X, y, kind)
    line = (
        Ridge(alpha=1 / 0.3) if kind == "regression" else LogisticRegression(C=0.3, max_iter=1_000)
    )
    twin = make_pipeline(StandardScaler(), line).fit(X, y)
    if kind == "regression":
        np.testing.assert_allclose(
            found.predict(X), twin.predict(X), rtol=REFERENCE, atol=REFERENCE
        )
    else:
        np.testing.assert_allclose(found.predict_proba(X), twin.predict_proba(X), rtol=METRIC)
        assert found.facts["converged"]


def test_logistic_gives_each_row_the_same_bits_alone_and_among_others() -> None:
    X, y = sample("ternary")
    model = fit(Logistic(), X, y, "ternary")
    together = model.predict_proba(X)
    alone = np.vstack([model.predict_proba(X[i : i + 1]) for i in range(50)])
    assert np.array_equal(together[:50], alone)


def test_a_constant_feature_is_no_feature() -> None:
    X, y = sample("binary")
    with_constant = np.column_stack([X, np.full(len(X), 7.0)])
    a = fit(Logistic(), X, y, "binary").predict_proba(X)
    b = fit(Logistic(), with_constant, y, "binary").predict_proba(with_constant)
    np.testing.assert_allclose(a, b, rtol=METRIC)


@pytest.mark.parametrize("kind", ["binary", "ternary", "regression"])
def test_boosting_stops_where_the_loss_on_the_latest_rows_is_least(kind: str) -> None:
    X, y = sample(kind, 900)
    options = {"max_iter": 30, "min_samples_leaf": 20, "learning_rate": 0.3, "patience": 30}
    found = fit(GradientBoosting(**options), X, y, kind, reach=5)
    # By hand: front rows whose label ends before the last fifth, every number of trees grown afresh.
    first = 900 - 180
    front = [i for i in range(first) if i + 5 < first]
    losses = []
    for trees in range(1, 31):
        one = fit(
            GradientBoosting(**{**options, "max_iter": trees}, early_stopping=False),
            X[front],
            y[front],
            kind,
        )
        if kind == "regression":
            losses.append(np.mean((one.predict(X[first:]) - y[first:]) ** 2))
        else:
            p = one.predict_proba(X[first:])
            classes = np.unique(y).tolist()
            losses.append(
                -np.mean([np.log(p[i, classes.index(c)]) for i, c in enumerate(y[first:])])
            )
    assert found.iterations_ == int(np.argmin(losses)) + 1
    assert 1 < found.iterations_ < 30
    assert found.facts["stopped_by"] == "loss on the last 180 train rows"
    # What is kept is fitted on all train rows with that number of trees.
    again = fit(
        GradientBoosting(**{**options, "max_iter": found.iterations_}, early_stopping=False),
        X,
        y,
        kind,
    )
    ask = "predict" if kind == "regression" else "predict_proba"
    assert np.array_equal(getattr(found, ask)(X), getattr(again, ask)(X))


def test_rows_whose_labels_reach_the_held_rows_do_not_choose_the_number_of_trees(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    X, y = sample("binary", 900)
    seen: list[Any] = []
    grow = GradientBoosting._grow

    def spy(self: Any, X: Any, y: Any, *rest: Any) -> Any:
        seen.append(X)
        return grow(self, X, y, *rest)

    monkeypatch.setattr(GradientBoosting, "_grow", spy)
    fit(GradientBoosting(min_samples_leaf=20), X, y, "binary", reach=9)
    *chosen, kept = seen
    chose = chosen[0]
    assert np.array_equal(chose, X[:711])
    assert np.array_equal(kept, X)


@pytest.mark.parametrize(
    ("y", "reason"),
    [
        (np.r_[np.zeros(480), np.ones(120)], "a class is missing"),
        (np.r_[np.tile([0.0, 1.0], 240), np.ones(120)], "a class is missing"),
    ],
)
def test_boosting_says_why_it_did_not_stop(y: Any, reason: str) -> None:
    X, _ = sample("binary")
    model = fit(GradientBoosting(max_iter=3, min_samples_leaf=20), X, y, "binary")
    assert model.iterations_ == 3
    assert reason in model.facts["stopped_by"]


def test_boosting_that_may_not_stop_grows_all_trees() -> None:
    X, y = sample("binary")
    model = fit(GradientBoosting(max_iter=7, early_stopping=False), X, y, "binary")
    assert model.iterations_ == 7
    assert fit(GradientBoosting(max_iter=7), X, y, "binary", reach=600).iterations_ == 7


@pytest.mark.parametrize("patience", [2, 7])
def test_boosting_gives_up_when_the_loss_falls_no_more(patience: int) -> None:
    X, y = sample("binary", 900)
    options = {"max_iter": 200, "min_samples_leaf": 20, "learning_rate": 0.4}
    model = fit(GradientBoosting(**options, patience=patience), X, y, "binary")
    tried, best = model.facts["tried"], model.facts["iterations"]
    assert patience <= tried - best < 2 * patience
    assert tried % patience == 0
    # The trees that were tried are those of one go.
    whole = fit(GradientBoosting(**{**options, "max_iter": tried}, patience=tried), X, y, "binary")
    assert whole.iterations_ == best


def test_every_parameter_of_boosting_has_an_effect() -> None:
    X, y = sample("binary", 2_000)
    X[::7, 1] = np.nan
    base = {"max_iter": 20, "min_samples_leaf": 20, "max_features": 0.5}
    before = fit(GradientBoosting(**base), X, y, "binary").predict_proba(X)
    changes: dict[str, Any] = {
        "max_iter": 2,
        "learning_rate": 0.5,
        "max_leaf_nodes": 3,
        "max_depth": 1,
        "min_samples_leaf": 100,
        "l2": 50.0,
        "max_features": 1.0,
        "max_bins": 4,
        "early_stopping": False,
        "validation": 0.5,
        "balanced": True,
    }
    assert {*changes, "patience"} == set(GradientBoosting().params)
    for name, value in changes.items():
        options = {**base, name: value}
        if name in ("validation", "early_stopping"):
            options |= {"max_iter": 300, "learning_rate": 0.5}
        one = fit(GradientBoosting(**options), X, y, "binary")
        other = fit(
            GradientBoosting(
                **{**options, name: base.get(name, getattr(GradientBoosting(), name))}
            ),
            X,
            y,
            "binary",
        )
        assert not np.array_equal(one.predict_proba(X), other.predict_proba(X)), name
    assert not np.array_equal(
        before, fit(GradientBoosting(**base), X, y, "binary", seed=2).predict_proba(X)
    )
    assert np.array_equal(before, fit(GradientBoosting(**base), X, y, "binary").predict_proba(X))


def test_balanced_classes_shift_probabilities_to_the_rare_one() -> None:
    rng = np.random.default_rng(5)
    X = rng.standard_normal((3_000, 2))
    y = (rng.uniform(size=3_000) < 0.1) * 1.0
    for plain, balanced in (
        (Logistic(), Logistic(balanced=True)),
        (GradientBoosting(), GradientBoosting(balanced=True)),
    ):
        assert fit(plain, X, y, "binary").predict_proba(X)[:, 1].mean() == pytest.approx(
            0.1, abs=0.02
        )
        assert fit(balanced, X, y, "binary").predict_proba(X)[:, 1].mean() == pytest.approx(
            0.5, abs=0.05
        )


@pytest.mark.parametrize(
    "model", [GradientBoosting(max_iter=3), Logistic(C=2.0), TopK(2, score="f")]
)
def test_the_constructor_stores_and_params_make_the_same_again(model: Any) -> None:
    copy = model.clone()
    assert copy is not model
    assert copy.params == model.params
    assert json.loads(json.dumps(model.params)) == model.params
    assert repr(eval(repr(model), {**vars(bp.models)})) == repr(model)
    # Nothing is checked before it is used.
    assert GradientBoosting(max_iter=-1).params["max_iter"] == -1


@pytest.mark.parametrize(
    "name",
    [
        "learning_rate",
        "max_leaf_nodes",
        "max_depth",
        "min_samples_leaf",
        "l2",
        "max_features",
        "max_bins",
        "validation",
    ],
)
def test_bounds_are_refused_by_name(name: str) -> None:
    X, y = sample("binary")
    with pytest.raises(bp.ParameterError, match=f"`{name}` of GradientBoosting"):
        fit(GradientBoosting(**{name: -1}), X, y, "binary")
    with pytest.raises(bp.LayoutError, match=f"`{name}` of GradientBoosting"):
        fit(GradientBoosting(**{name: "many"}), X, y, "binary")


def test_nan_parameters_are_refused() -> None:
    X, y = sample("binary")
    for value in (float("nan"), 0.0, -1.0):
        with pytest.raises(bp.ParameterError, match="`C` of Logistic must be above 0"):
            fit(Logistic(C=value), X, y, "binary")


def test_wrapped_estimators_are_cloned_and_seeded() -> None:
    X, y = sample("binary")
    forest = RandomForestClassifier(n_estimators=5)
    model = Sklearn(forest)
    one = fit(model, X, y, "binary", seed=4).predict_proba(X)
    assert np.array_equal(one, fit(model, X, y, "binary", seed=4).predict_proba(X))
    assert not np.array_equal(one, fit(model, X, y, "binary", seed=5).predict_proba(X))
    twin = RandomForestClassifier(n_estimators=5, random_state=4).fit(X, y).predict_proba(X)
    assert np.array_equal(one, twin)
    assert not hasattr(forest, "classes_")
    assert forest.random_state is None
    fixed = Sklearn(RandomForestClassifier(n_estimators=5, random_state=9))
    assert np.array_equal(
        fit(fixed, X, y, "binary", seed=4).predict_proba(X),
        fit(fixed, X, y, "binary", seed=5).predict_proba(X),
    )
    assert json.loads(json.dumps(model.params)) == model.params


def test_wrapped_estimators_tell_whether_they_take_nan() -> None:
    assert Sklearn(HistGradientBoostingClassifier()).allows_nan
    assert not Sklearn(LogisticRegression()).allows_nan
    assert Sklearn(LogisticRegression(), allows_nan=True).allows_nan

    class Untagged:
        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {}

    assert not Sklearn(Untagged()).allows_nan


def test_wrapped_regressors_predict_returns() -> None:
    X, y = sample("regression")
    found = fit(Sklearn(LinearRegression()), X, y, "regression").predict(X)
    design = np.column_stack([X, np.ones(len(X))])
    np.testing.assert_allclose(
        found, design @ np.linalg.lstsq(design, y, rcond=None)[0], rtol=METRIC, atol=METRIC
    )


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(early_stopping=True),
        GradientBoostingClassifier(n_iter_no_change=3),
        make_pipeline(StandardScaler(), GradientBoostingClassifier(n_iter_no_change=3)),
    ],
)
def test_random_holdouts_are_refused(estimator: Any) -> None:
    X, y = sample("binary")
    with pytest.raises(bp.ParameterError, match="drawn at random"):
        fit(Sklearn(estimator), X, y, "binary")


@pytest.mark.parametrize(
    "estimator",
    [HistGradientBoostingClassifier(early_stopping=False), GradientBoostingClassifier()],
)
def test_estimators_without_random_holdouts_are_welcome(estimator: Any) -> None:
    X, y = sample("binary", 100)
    assert fit(Sklearn(estimator), X, y, "binary").predict_proba(X).shape == (100, 2)


@pytest.mark.parametrize("kind", ["binary", "ternary", "regression"])
def test_f_scores_are_scikit_learns(kind: str) -> None:
    X, y = sample(kind)
    want = f_regression(X, y)[0] if kind == "regression" else f_classif(X, y)[0]
    np.testing.assert_allclose(TopK(1, score="f").scores(X, y, kind=kind), want, rtol=REFERENCE)  # type: ignore[arg-type]
    # NaN rows count for no feature but the one they are in.
    holed = X.copy()
    holed[::3, 1] = np.nan
    there = ~np.isnan(holed[:, 1])
    one = (
        f_regression(X[there], y[there])[0]
        if kind == "regression"
        else f_classif(X[there], y[there])[0]
    )
    found = TopK(1, score="f").scores(holed, y, kind=kind)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [want[0], one[1], want[2]], rtol=REFERENCE)


@pytest.mark.parametrize("kind", ["binary", "ternary", "regression"])
def test_mutual_information_is_that_of_equal_bins(kind: str) -> None:
    X, y = sample(kind)

    def bins(x: Any) -> Any:
        return np.digitize(x, np.quantile(x, [i / 16 for i in range(1, 16)]))

    found = TopK(1).scores(X, y, kind=kind)  # type: ignore[arg-type]
    other = bins(y) if kind == "regression" else y
    want = [mutual_info_score(bins(X[:, j]), other) for j in range(3)]
    np.testing.assert_allclose(found, want, rtol=REFERENCE)


def test_mutual_information_sees_what_a_shift_of_the_mean_does_not() -> None:
    rng = np.random.default_rng(2)
    X = rng.standard_normal((2_000, 4))
    y = (np.abs(X[:, 2]) > 1).astype(np.float64)
    assert TopK(1).choose(X, y, kind="binary").tolist() == [2]
    assert stats.norm.sf(1) * 2 == pytest.approx(y.mean(), abs=0.05)


def test_top_k_breaks_ties_by_order_and_scores_constants_zero() -> None:
    y = np.tile([0.0, 1.0], 50)
    X = np.column_stack([np.full(100, 3.0), y, y, np.full(100, np.nan)])
    for score in ("mutual_info", "f"):
        chosen = TopK(2, score=score)
        assert chosen.choose(X, y, kind="binary").tolist() == [1, 2]
        assert chosen.scores(X, y, kind="binary")[[0, 3]].tolist() == [0.0, 0.0]
    assert TopK(1).choose(X, y, kind="binary").tolist() == [1]


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_sums_by_columns_are_those_by_rows(columns: int) -> None:
    p = np.random.default_rng(columns).random((10_000, columns))
    np.testing.assert_array_equal(class_sums(p), p.sum(axis=1))
    np.testing.assert_array_equal(class_sums(p[::3]), p[::3].sum(axis=1))
