"""Forecasts of several series and steps: what is learned, what leaks, and one market out of the output by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import models
from barproof._tensors import read_sealed, read_tensors, write_sealed, write_tensors

torch = pytest.importorskip("torch")

NET: dict[str, Any] = {
    "window": 6, "steps": 3, "d_model": 16, "heads": 2, "encoders": 1, "decoders": 1,
    "feed_forward": 16, "dropout": 0.0, "epochs": 8, "batch": 64, "learning_rate": 0.01,
}  # fmt: skip
TARGETS = ["B.close", "A.close"]


def series(n: int = 900, seed: int = 0) -> pl.DataFrame:
    """Three series; the changes of B follow the last value of `lead`, those of A and C are noise."""
    rng = np.random.default_rng(seed)
    lead = rng.standard_normal(n)
    b = 100.0 + np.cumsum(np.concatenate([[0.0], lead[:-1]]) + 0.2 * rng.standard_normal(n))
    a = 50.0 + np.cumsum(rng.standard_normal(n))
    return pl.DataFrame({"A.close": a, "lead": lead, "B.close": b, "C.close": rng.normal(9, 1, n)})


def fitted(X: Any = None, **options: Any) -> models.Forecaster:
    made = models.Forecaster(models.CrossMarketTransformer(**NET), targets=TARGETS)
    told: dict[str, Any] = {"train": (0, 600), "seed": 1} | options
    return made.fit(series() if X is None else X, **told)


def test_it_learns_what_can_be_known_and_nothing_else() -> None:
    X = series()
    made = fitted(X)
    scores = made.scores(X, np.arange(600, 890))
    first = scores.filter(target="B.close", step=1).row(0, named=True)
    other = scores.filter(target="A.close", step=1).row(0, named=True)
    assert first["correlation"] > 0.7
    assert first["r2"] > 0.4
    assert first["direction"] > 0.75
    assert abs(other["correlation"]) < 0.25
    # Of the walk after the first step nothing can be known: the error grows with the steps.
    rmse = scores.filter(target="B.close")["rmse"].to_list()
    assert rmse == sorted(rmse)
    assert scores.height == 6
    assert set(scores["n"]) == {290}


def test_scores_are_those_of_their_definitions() -> None:
    X = series()
    made = fitted(X)
    rows = np.arange(600, 880)
    told = made.predict(X, rows)
    assert told.shape == (280, 3, 2)
    for j, name in enumerate(TARGETS):
        x = X[name].to_numpy()
        for s in range(3):
            said, came, now = told[:, s, j], x[rows + 1 + s], x[rows]
            row = made.scores(X, rows).filter(target=name, step=s + 1).row(0, named=True)
            level = 1 - ((came - said) ** 2).sum() / ((came - came.mean()) ** 2).sum()
            assert row["r2_level"] == pytest.approx(level, rel=1e-9)
            change = np.corrcoef(said - now, came - now)[0, 1]
            assert row["correlation"] == pytest.approx(change, rel=1e-9)


def test_one_series_is_taken_out_by_its_name() -> None:
    X = series()
    made = fitted(X)
    whole = made.predict(X)
    for j, name in enumerate(TARGETS):
        for step in (1, 3, None):
            s = 3 if step is None else step
            np.testing.assert_array_equal(made.forecast(X, name, step=step), whole[:, s - 1, j])
    # Columns are found by name, wherever they stand.
    turned = X.select(list(reversed(X.columns)))
    np.testing.assert_array_equal(made.predict(turned), whole)
    assert np.isnan(whole[:5]).all() and not np.isnan(whole[5:]).any()
    signals = made.signals(X, "B.close", step=1)
    assert signals.kind == "score"
    np.testing.assert_allclose(
        signals["long"][5:], whole[5:, 0, 0] / X["B.close"].to_numpy()[5:] - 1, rtol=1e-12
    )
    np.testing.assert_array_equal(signals["short"][5:], -signals["long"][5:])


def test_scores_trade_in_a_backtest() -> None:
    candles = bp.simulate_candles(5, bars=700, edge=0.2)
    X = candles.to_polars().select("open_time", "close", score=candles.planted)
    net = models.CrossMarketTransformer(**(NET | {"epochs": 1}))
    made = models.Forecaster(net, targets=["close"]).fit(X, train=(0, 500))
    result = bp.backtest(
        candles, made.signals(X, "close"), bp.Rules(entry_long=0.0, max_hold=3),
        costs=bp.Costs(taker=0.0005), window=(500, 700), ledger=False,
    )  # fmt: skip
    assert result.metrics["trades"] > 0


def test_nothing_behind_the_train_rows_is_looked_at() -> None:
    X = series()
    rng = np.random.default_rng(9)
    poisoned = X.with_columns(
        **{
            name: np.concatenate([X[name].to_numpy()[:600], rng.normal(0, 1e4, 300)])
            for name in X.columns
        }
    )
    a, b = fitted(X), fitted(poisoned)
    np.testing.assert_array_equal(a.predict(X), b.predict(X))
    assert a.facts["last_row"] == 599
    # What lies within is looked at: the very last row ends the last step of a held row.
    for row, held in ((599, True), (300, False)):
        values = X["B.close"].to_numpy().copy()
        values[row] += 50.0
        c = fitted(X.with_columns(pl.Series("B.close", values)))
        name = "held" if held else "train"
        assert a.facts["curve"][0][name] != c.facts["curve"][0][name]


def test_changes_are_those_of_the_series() -> None:
    from barproof.models._fitting import _Changes, _step_scale
    from barproof.models._task import Steps

    x = series()[TARGETS].to_numpy()
    at = np.array([10, 3, 700])
    scale = _step_scale(Steps(x, 3), at)
    by_hand = np.array([[x[t + s] - x[t] for s in (1, 2, 3)] for t in at])
    np.testing.assert_allclose(scale, np.sqrt((by_hand**2).mean(axis=(0, 1))), rtol=1e-12)
    made = _Changes(Steps(x, 3), at, scale, torch.device("cpu"))
    np.testing.assert_allclose(made[torch.arange(3)].numpy(), by_hand / scale, rtol=1e-5, atol=1e-6)


def test_walking_forward_uses_a_net_a_fold() -> None:
    candles = bp.simulate_candles(5, bars=900, edge=0.0)
    X = series()
    folds = bp.WalkForward(400, 200).folds(candles, bp.labels.horizon(candles, bars=3))
    made = models.Forecaster(
        models.CrossMarketTransformer(**(NET | {"epochs": 2})), targets=TARGETS
    )
    found = made.walk_forward(X, folds, "B.close", step=1, seed=4)
    tests = np.concatenate([fold.test for fold in folds])
    assert np.array_equal(np.flatnonzero(~np.isnan(found)), tests)
    # The first fold's forecasts do not know that there are later ones.
    alone = made.walk_forward(X, folds[:1], "B.close", step=1, seed=4)
    np.testing.assert_array_equal(alone[folds[0].test], found[folds[0].test])
    assert not made.features_


def test_the_same_bits_come_back(tmp_path: Path) -> None:
    X = series()
    made = fitted(X, train=(0, 300))
    path = made.save(tmp_path / "f.safetensors")
    assert [file.name for file in tmp_path.iterdir()] == ["f.safetensors"]
    again = models.Forecaster.load(path)
    np.testing.assert_array_equal(again.predict(X), made.predict(X))
    assert (again.targets, again.features_) == (TARGETS, tuple(X.columns))
    assert "target_scale" in read_tensors(path.read_bytes(), "f")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = fitted(train=(0, 300)).save(tmp_path / "f.safetensors")
    arrays = read_sealed(path.read_bytes(), "f")
    text = arrays["told"].tobytes().replace(b'"lead", "B.close"', b'"B.close", "lead"')
    turned = np.frombuffer(text, dtype=np.uint8)
    for change, message in (
        ({k: v for k, v in arrays.items() if k != "scaler.mean"}, "holds nothing as 'scaler.mean'"),
        ({k: v for k, v in arrays.items() if k != "target_scale"}, "nothing as 'target_scale'"),
        (arrays | {"told": arrays["told"][:-1]}, "tells not what it is"),
        ({k: v for k, v in arrays.items() if k != "told"}, "tells not what it is"),
        (
            arrays | {"told": turned},
            "list of its features was changed",
        ),
    ):  # fmt: skip
        path.write_bytes(write_sealed(change))
        with pytest.raises(bp.BundleError, match=message):
            models.Forecaster.load(path)
    path.write_bytes(write_tensors(arrays))
    with pytest.raises(bp.BundleError, match="its arrays have another digest than it says"):
        models.Forecaster.load(path)


def test_a_killed_training_goes_on(tmp_path: Path) -> None:
    X = series(400)
    whole = models.Forecaster(models.CrossMarketTransformer(**NET), targets=TARGETS).fit(X)
    net = models.CrossMarketTransformer(**(NET | {"resume": str(tmp_path)}))
    from unittest import mock

    from barproof.models import _resuming

    real, left = _resuming.Saved.write, [3]

    def write(self: Any, *args: Any) -> None:
        real(self, *args)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    with mock.patch.object(_resuming.Saved, "write", write), pytest.raises(KeyboardInterrupt):
        models.Forecaster(net, targets=TARGETS).fit(X)
    again = models.Forecaster(net, targets=TARGETS).fit(X)
    np.testing.assert_array_equal(again.predict(X), whole.predict(X))
