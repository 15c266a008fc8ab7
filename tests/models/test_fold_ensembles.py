"""Copies fitted on growing shares of the train rows: what each learns, which is kept, and that it is flagged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import log_loss
from sklearn.model_selection import TimeSeriesSplit

import barproof as bp
from barproof import models
from tests.models.market import candles, quiet, table

BARS = candles()
X = table(BARS)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
RETURN = bp.labels.horizon(BARS, bars=4)
WALK = bp.WalkForward(1_400, 600, tune=600)
ROWS = np.arange(1_200)


def fit(how: str, labels: Any, folds: int = 5) -> models.FoldEnsemble:
    values = X.select("score", "noise0", "noise1").to_numpy()[ROWS]
    made = models.FoldEnsemble(models.Logistic(), folds=folds, how=how)
    return made.fit(
        values, labels.values[ROWS], kind=labels.kind, rows=ROWS, ends=labels.end[ROWS], seed=3
    )


@pytest.mark.parametrize("labels", [BINARY, TERNARY, RETURN], ids=["binary", "ternary", "return"])
@pytest.mark.parametrize("how", ["mean", "vote", "best"])
def test_folds_are_those_of_a_time_series_split(how: str, labels: Any) -> None:
    if how == "vote" and labels is RETURN:
        return
    made = fit(how, labels)
    values = X.select("score", "noise0", "noise1").to_numpy()
    y = labels.values
    said, losses = [], []
    for train, test in TimeSeriesSplit(5).split(ROWS):
        kept = train[labels.end[train] < test[0]]
        one = models.Logistic().fit(
            values[kept], y[kept], kind=labels.kind, rows=kept, ends=labels.end[kept], seed=0
        )
        ask: Any = one.predict if labels is RETURN else one.predict_proba
        said.append(ask(values[2_000:2_400]))
        if labels is RETURN:
            losses.append(np.mean((ask(values[test]) - y[test]) ** 2))
        else:
            losses.append(log_loss(y[test], ask(values[test])))
    np.testing.assert_allclose(made.facts["losses"], losses, rtol=1e-9)
    best = int(np.argmin(losses))
    assert made.facts["best"] == best
    if how == "best":
        expected = said[best]
    elif how == "mean":
        expected = np.mean(said, axis=0)
    else:
        most = [p.argmax(axis=1) for p in said]
        expected = np.mean([np.eye(p.shape[1])[m] for p, m in zip(said, most, strict=True)], axis=0)
    ask = made.predict if labels is RETURN else made.predict_proba
    np.testing.assert_allclose(ask(values[2_000:2_400]), expected, rtol=1e-9, atol=1e-12)


def test_the_best_fold_is_flagged_in_the_manifest() -> None:
    model: Any = models.FoldEnsemble(models.Logistic(), folds=4, how="best")
    run = quiet(model, X, BINARY, WALK)
    told = run.bundles[0].manifest["parts"]["model"]["model"]["fit"]
    assert len(told["losses"]) == 4
    assert len(told["models"]) == 1
    flag = told["flagged"]
    assert flag.startswith(f"OVF-07: fold {told['best']} was kept because its loss of ")
    assert flag.endswith("it is no evidence")
    assert told["loss_mean"] == pytest.approx(np.mean(told["losses"]))
    assert told["loss_sd"] == pytest.approx(np.std(told["losses"], ddof=1))
    for how in ("mean", "vote"):
        other: Any = models.FoldEnsemble(models.Logistic(), folds=4, how=how)
        made = quiet(other, X, BINARY, WALK).bundles[0]
        assert "flagged" not in made.manifest["parts"]["model"]["model"]["fit"]


@pytest.mark.parametrize("how", ["mean", "best"])
def test_the_same_bits_come_back(how: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    net = models.LstmClassifier(window=4, hidden=6, layers=1, epochs=1)
    both: list[Any] = [models.Logistic(), net]
    for number, model in enumerate(both):
        ensemble: Any = models.FoldEnsemble(model, folds=2, how=how)
        made = quiet(ensemble, X, TERNARY, WALK).bundles[0]
        again = bp.Bundle.load(made.save(tmp_path / f"b{number}"))
        assert again.predict(X).tobytes() == made.predict(X).tobytes()
        assert again.part().model.params == made.part().model.params
        assert again.part().model.facts["losses"] == made.part().model.facts["losses"]  # type: ignore[attr-defined]
