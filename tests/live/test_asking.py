"""One row asked alone, with what is spared around the model: the bits of the table's way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import models
from barproof._calibration import apply_calibration, tempered
from barproof.live.asking import RowAsker
from barproof.models.single_row import single_row
from tests.live.market import NAMES
from tests.models.market import quiet

CANDLES = bp.simulate_candles(7, bars=1_200, edge=0.3)
X = bp.FeatureSet(NAMES).compute(CANDLES)
VALUES = X.drop("open_time").to_numpy()
MADE: dict[str, Callable[[], Any]] = {
    "logistic": models.Logistic,
    "boosting": lambda: models.GradientBoosting(max_iter=10, min_samples_leaf=20),
    "xgboost": lambda: models.XGBoost(n_estimators=20),
    "lightgbm": lambda: models.LightGBM(n_estimators=20),
}


def part_of(model: Any, calibration: str | None) -> Any:
    labels = bp.labels.horizon(CANDLES, bars=3, kind="binary")
    folds = bp.WalkForward(600, 150, tune=150)
    return quiet(model, X, labels, folds, calibrate=calibration).bundles[0].part()


@pytest.mark.parametrize("calibration", ["temperature", "isotonic", "platt", None])
@pytest.mark.parametrize("name", MADE)
def test_a_row_alone_has_the_bits_of_the_table(name: str, calibration: str | None) -> None:
    if name in ("xgboost", "lightgbm"):
        pytest.importorskip(name)
    part = part_of(MADE[name](), calibration)
    columns = np.array([NAMES.index(f) for f in part.features], dtype=np.int64)
    asker = RowAsker(part, columns, len(NAMES))
    assert asker.plain
    values = VALUES[:400].copy()
    values[100, 0] = values[120, 3] = np.nan
    values[130] = np.nan
    want = part.predict(values[:, columns])
    got = np.concatenate([asker(values[i : i + 1]) for i in range(len(values))])
    assert np.array_equal(got, want, equal_nan=True)
    assert np.isnan(got).any() and np.isfinite(got).any()


def test_columns_of_another_order_are_taken() -> None:
    part = part_of(models.Logistic(), "temperature")
    turned = VALUES[700:760, ::-1].copy()
    columns = np.array([len(NAMES) - 1 - NAMES.index(f) for f in part.features], dtype=np.int64)
    asker = RowAsker(part, columns, len(NAMES))
    assert asker.columns is not None
    got = np.concatenate([asker(turned[i : i + 1]) for i in range(len(turned))])
    assert np.array_equal(got, part.predict(VALUES[700:760]))


def test_temperature_of_one_pair_has_the_bits_of_many() -> None:
    chance = np.random.default_rng(1)
    up = np.concatenate([chance.random(20_000), 10.0 ** -chance.uniform(0, 12, 5_000), [0.0, 1.0]])
    p = np.column_stack([1.0 - up, up])
    for temperature in (0.01, 0.37, 1.0, 3.3, 100.0):
        fitted = {"method": "temperature", "classes": [0, 1], "temperature": temperature}
        want = apply_calibration(fitted, p)
        got = np.array([tempered(temperature, *pair) for pair in p.tolist()])
        assert np.array_equal(got, want)


@pytest.mark.parametrize("name", ["xgboost", "lightgbm"])
def test_a_library_that_answers_otherwise_is_not_believed(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first answer decides whether the shorter way is gone at all."""
    pytest.importorskip(name)
    model = part_of(MADE[name](), None).model
    rows = VALUES[700:705].copy()
    asked = single_row(model, rows.shape[1])
    short: Any = asked
    if name == "xgboost":
        monkeypatch.setattr(
            model._booster, "inplace_predict", lambda *_a, **_k: np.array([0.25], np.float32)
        )
    else:
        monkeypatch.setattr(short, "_call", lambda *_: 0)
    want = model.predict_proba(rows)
    for i in range(len(rows)):
        assert np.array_equal(asked(rows[i : i + 1]), want[i : i + 1])


def test_what_is_no_probability_is_refused_as_in_tables() -> None:
    part = part_of(models.Logistic(), "temperature")
    asker = RowAsker(part, np.arange(len(NAMES)), len(NAMES))
    wrong = np.array([[0.7, 0.7]])
    asker._ask = lambda _: wrong
    part.model.predict_proba = lambda _: wrong
    with pytest.raises(bp.TrainingError, match="must be >= 0 and sum to 1"):
        asker(VALUES[700:701])
