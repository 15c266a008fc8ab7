"""The search of hyper-parameters: chosen on tune rows, judged on test rows, every trial counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss

import barproof as bp
from barproof import models
from tests.models.market import candles, table

optuna = pytest.importorskip("optuna")

BARS = candles(2_000)
X = table(BARS)
BINARY = bp.labels.horizon(BARS, bars=3, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=3)
FOLDS = bp.WalkForward(800, 300, tune=300)


def suggest(trial: Any) -> Any:
    return models.Logistic(C=trial.suggest_float("C", 1e-6, 10.0, log=True))


def searched(given: Any = suggest, labels: Any = BINARY, folds: Any = FOLDS, **o: Any) -> bp.Search:
    options: dict[str, Any] = {"trials": 4, "seed": 3, "ledger": False, "threads": 1}
    return bp.search(given, X, labels, folds, **(options | o))


def test_the_best_trial_is_the_best_on_tune_rows() -> None:
    found = searched()
    values = []
    for C in found.frame["C"]:
        run = bp.train(models.Logistic(C=C), X, BINARY, FOLDS, seed=3, ledger=False)
        frame = run.predictions("tune").drop_nans("label")
        values.append(log_loss(frame["label"], frame["p_1"]))
    np.testing.assert_allclose(found.frame["value"], values, rtol=1e-9)
    assert found.best == int(np.argmin(values))
    assert found.model.params["C"] == found.frame["C"][found.best]
    assert (found.trials, found.metric) == (4, "log_loss")
    assert found.frame.columns == ["trial", "value", "seconds", "model_digest", "ledger", "C"]
    own = bp.train(found.model, X, BINARY, FOLDS, seed=3, ledger=False)
    np.testing.assert_array_equal(own.predictions()["p_1"], found.run.predictions()["p_1"])
    assert "4 trials, best log_loss" in repr(found)


def test_metrics_that_should_be_large() -> None:
    found = searched(metric="auc")
    assert found.best == int(np.argmax(found.frame["value"].to_numpy()))
    assert searched(labels=RETURN, trials=2).metric == "rmse"


def test_test_rows_choose_nothing() -> None:
    from dataclasses import replace

    tests = np.concatenate([fold.test for fold in FOLDS.folds(BARS, BINARY)])
    tunes = np.concatenate([f.tune for f in FOLDS.folds(BARS, BINARY)])
    trains = np.concatenate([f.train for f in FOLDS.folds(BARS, BINARY)])
    only = np.setdiff1d(tests, np.union1d(trains, tunes))
    assert len(only) > 100
    values = BINARY.values.copy()
    values[only] = 1.0 - values[only]
    turned = replace(BINARY, values=values, start=BINARY.start.copy(), end=BINARY.end.copy())
    a, b = searched(), searched(labels=turned)
    assert a.frame["C"].equals(b.frame["C"])
    assert a.frame["value"].equals(b.frame["value"])


def test_a_seed_repeats_the_search() -> None:
    assert searched().frame.drop("seconds").equals(searched().frame.drop("seconds"))
    assert not searched().frame["C"].equals(searched(seed=4).frame["C"])


def test_every_trial_is_in_the_ledger(tmp_path: Path) -> None:
    book = bp.Ledger.open(tmp_path / "trials.db")
    found = searched(ledger=book, trials=3)
    assert book.trials() == 3
    assert [text.partition(",")[0] for text in found.frame["ledger"]] == ["run 1", "run 2", "run 3"]
    searched(ledger=book, trials=2)
    assert book.trials() == 5


def test_samplers_and_kinds_of_models_are_free() -> None:
    def either(trial: Any) -> Any:
        if trial.suggest_categorical("kind", ["line", "trees"]) == "line":
            return models.Logistic(C=trial.suggest_float("C", 0.1, 1.0))
        return models.GradientBoosting(max_iter=trial.suggest_int("trees", 2, 4))

    told: list[tuple[int, int]] = []
    found = searched(
        either,
        trials=6,
        sampler=optuna.samplers.RandomSampler(seed=1),
        progress=lambda done, total: told.append((done, total)),
    )
    assert set(found.frame["kind"]) == {"line", "trees"}
    assert found.frame.filter(kind="line")["trees"].is_null().all()
    assert told == [(i + 1, 6) for i in range(6)]
    assert found.frame["model_digest"].n_unique() >= 4
