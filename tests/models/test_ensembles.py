"""Ensembles, XGBoost and LightGBM: by hand, through bundles, and without leaks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import barproof as bp
from barproof.models import Ensemble, GradientBoosting, LightGBM, Logistic, LstmClassifier, XGBoost
from tests.models import forged
from tests.models.market import candles, quiet, table

BARS = candles()
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=4)
WALK = bp.WalkForward(1_200, 600, tune=400)
MEMBERS: list[Any] = [Logistic(C=0.1), GradientBoosting(max_iter=8, min_samples_leaf=30)]


def fitted(bundle: bp.Bundle) -> Any:
    return bundle.part().model


def rows_of(bundle: bp.Bundle) -> Any:
    return X.select(bundle.features).to_numpy()[1_000:1_400]


@pytest.mark.parametrize("how", ["mean", "vote", "stack"])
@pytest.mark.parametrize("labels", [TERNARY, BINARY, RETURN], ids=["ternary", "binary", "return"])
def test_ensembles_by_hand_and_back_from_disk(how: str, labels: Any, tmp_path: Path) -> None:
    if how == "vote" and labels is RETURN:
        return
    made = quiet(Ensemble(MEMBERS, how=how), X, labels, WALK, seed=3).bundles[0]
    model, x = fitted(made), rows_of(made)
    returns = labels is RETURN
    said = [one.predict(x) if returns else one.predict_proba(x) for one in model.models]
    found = model.predict(x) if returns else model.predict_proba(x)
    if how == "mean":
        np.testing.assert_allclose(found, (said[0] + said[1]) / 2, rtol=1e-15)
    elif how == "vote":
        votes = np.zeros_like(said[0])
        for p in said:
            votes[np.arange(len(p)), p.argmax(axis=1)] += 0.5
        np.testing.assert_allclose(found, votes)
    else:
        assert model.facts["stacked_rows"] > 100
        assert np.abs(found - (said[0] + said[1]) / 2).max() > 0
    again = bp.Bundle.load(made.save(tmp_path / "b"))
    assert again.predict(X).tobytes() == made.predict(X).tobytes()
    assert fitted(again).params == model.params
    assert again.part().calibration == made.part().calibration


@pytest.mark.parametrize("how", ["mean", "stack"])
def test_models_with_and_without_a_window_stand_together(how: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    # S002: an LSTM over 20 bars, and trees that see one.
    net = LstmClassifier(window=5, hidden=4, layers=1, epochs=1)
    made = quiet(Ensemble([net, Logistic(C=0.1)], how=how), X, BINARY, WALK, seed=3).bundles[0]
    model, fold = fitted(made), WALK.folds(BARS, BINARY)[0]
    assert model.window == 5
    x = X.select("score", "noise0", "noise1").to_numpy()
    rows = fold.train[~np.isnan(BINARY.values[fold.train])]
    rows = rows[(rows >= 4) & ~np.isnan(x[rows]).any(axis=1)]
    seed = int(np.random.SeedSequence(made.manifest["parts"]["model"]["seed"]).generate_state(3)[1])
    own = Logistic(C=0.1).fit(
        x[rows], BINARY.values[rows], kind="binary", rows=rows, ends=BINARY.end[rows], seed=seed
    )
    asked = fold.test[:50]
    said = [model.models[0].predict_proba(x, rows=asked), own.predict_proba(x[asked])]
    if how == "mean":
        found = model.predict_proba(x, rows=asked)
        np.testing.assert_allclose(found, (said[0] + said[1]) / 2, rtol=1e-12)
    again = bp.Bundle.load(made.save(tmp_path / "b"))
    assert again.predict(X).tobytes() == made.predict(X).tobytes()
    # The first row that has a whole window is the first with a prediction.
    assert np.isnan(made.predict(X)[:4]).all() and np.isfinite(made.predict(X)[fold.test]).all()


def test_a_stack_learns_from_rows_that_its_models_have_not_seen() -> None:
    fold = WALK.folds(BARS, BINARY)[0]
    rows = fold.train[~np.isnan(BINARY.values[fold.train])]
    first = len(rows) - int(len(rows) * 0.3)
    kept = np.arange(first)[BINARY.end[rows[:first]] < rows[first]]
    x = X.select("score", "noise0", "noise1").to_numpy()
    y = BINARY.values
    columns = []
    for member, seed in zip(MEMBERS, np.random.SeedSequence(5).generate_state(3), strict=False):
        model = member.clone()
        model.fit(
            x[rows[kept]], y[rows[kept]], kind="binary", rows=rows[kept], ends=BINARY.end[rows[kept]],
            seed=int(seed),
        )  # fmt: skip
        columns.append(np.log(model.predict_proba(x[rows[first:]])[:, 1]))
    held = rows[first:]
    top = Logistic().fit(
        np.column_stack(columns), y[held], kind="binary", rows=held, ends=BINARY.end[held], seed=0
    )
    own = Ensemble(MEMBERS, how="stack").clone()
    own.fit(x[rows], y[rows], kind="binary", rows=rows, ends=BINARY.end[rows], seed=5)
    assert own.top_ is not None
    np.testing.assert_allclose(own.top_.coef_, top.coef_, rtol=1e-9)
    assert own.facts["stacked_rows"] == len(held)


def test_garbage_outside_train_changes_no_ensemble() -> None:
    for how in ("mean", "stack"):
        model = Ensemble(MEMBERS, how=how)
        clean = quiet(model, X, BINARY, WALK, seed=3)
        fold = clean.folds[0]
        values = BINARY.values.copy()
        values[fold.test] = np.random.default_rng(1).choice([0.0, 1.0], len(fold.test))
        dirty = replace(BINARY, values=values, start=BINARY.start.copy(), end=BINARY.end.copy())
        other = quiet(model, X, dirty, [fold], seed=3)
        a, b = (run.bundles[0].predict(X, calibrated=False) for run in (clean, other))
        assert a.tobytes() == b.tobytes()


LIBRARIES = [(XGBoost, "xgboost"), (LightGBM, "lightgbm")]


@pytest.mark.parametrize(("kind", "module"), LIBRARIES)
@pytest.mark.parametrize("labels", [TERNARY, BINARY, RETURN], ids=["ternary", "binary", "return"])
def test_libraries_find_the_edge_and_come_back(
    kind: Any, module: str, labels: Any, tmp_path: Path
) -> None:
    pytest.importorskip(module)
    run = quiet(kind(n_estimators=60, max_depth=3), X, labels, WALK, seed=3)
    made = run.bundles[0]
    if labels is BINARY:
        frame = run.predictions("test").drop_nulls()
        y, p = frame["label"].to_numpy(), frame["p_1"].to_numpy()
        known = ~np.isnan(y)
        assert roc_auc_score(y[known], p[known]) > 0.6
    again = bp.Bundle.load(made.save(tmp_path / "b"))
    assert again.predict(X).tobytes() == made.predict(X).tobytes()
    assert fitted(made).iterations_ <= 60
    both = quiet(kind(n_estimators=60, max_depth=3), X, labels, WALK, seed=3, threads=2)
    assert both.bundles[0].digest == made.digest


@pytest.mark.parametrize(("kind", "module"), LIBRARIES)
def test_libraries_agree_with_themselves(kind: Any, module: str) -> None:
    """The same numbers as the library's own scikit-learn face."""
    library = pytest.importorskip(module)
    made = quiet(
        kind(n_estimators=20, max_depth=3, validation=0.0), X, BINARY, WALK, seed=3
    ).bundles[0]
    fold = WALK.folds(BARS, BINARY)[0]
    rows = fold.train[~np.isnan(BINARY.values[fold.train])]
    x, y = X.select(made.features).to_numpy(), BINARY.values
    common: dict[str, Any] = {
        "n_estimators": 20,
        "learning_rate": 0.1,
        "max_depth": 3,
        "reg_lambda": 1.0,
        "n_jobs": 1,
    }
    if module == "xgboost":
        theirs = library.XGBClassifier(tree_method="hist", **common)
    else:
        theirs = library.LGBMClassifier(num_leaves=8, force_row_wise=True, verbosity=-1, **common)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs.fit(x[rows], y[rows].astype(int))
        expected = theirs.predict_proba(x[fold.test])
    np.testing.assert_allclose(fitted(made).predict_proba(x[fold.test]), expected, rtol=1e-6)


@pytest.mark.parametrize(("kind", "module"), LIBRARIES)
def test_a_file_that_crashes_its_parser_is_refused(kind: Any, module: str, tmp_path: Path) -> None:
    pytest.importorskip(module)
    made = quiet(kind(n_estimators=5), X, BINARY, WALK).bundles[0]
    document, files = forged.contents(made.save(tmp_path / "b"))
    name = f"model.{kind.file}"
    from barproof._bundle_files import write_folder

    for i, data in enumerate(
        (b"", b"\0" * 100, files[name][: len(files[name]) // 2], forged.payload(tmp_path / "ran"))
    ):
        (tmp_path / str(i)).mkdir()
        content = {key: document[key] for key in ("bundle", "parts")}
        path = write_folder(tmp_path / str(i) / "b", content, files | {name: data})
        with pytest.raises(
            bp.BundleError,
            match=r"was tried in a process of its own|predicts its probe rows otherwise",
        ):
            bp.Bundle.load(path)
    assert not (tmp_path / "ran").exists()
