"""`train` with nets and boosted trees, and `evaluate` of what it saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

from .conftest import Run
from .market import Files
from .test_train_command import RunJson, spot

FOLDS = ["--train", "8d", "--tune", "3d", "--test", "8d"]
RULE = ["--label-bars", "6", "--label-threshold", "0.002"]
STUDY = ["-f", "log_return(1)", "-f", "rsi(14)", *RULE, *FOLDS, "--seed", "7"]
NETS: list[tuple[str, list[str], Any]] = [
    (
        "feed-forward",
        ["hidden=8,4", "epochs=2", "dropout=0"],
        bp.models.FeedForward(hidden=(8, 4), epochs=2, dropout=0),
    ),
    (
        "lstm",
        ["window=4", "hidden=6", "epochs=1"],
        bp.models.LstmClassifier(window=4, hidden=6, epochs=1),
    ),
    (
        "bar-transformer",
        ["window=4", "d_model=8", "heads=2", "layers=1", "epochs=1"],
        bp.models.BarTransformer(window=4, d_model=8, heads=2, layers=1, epochs=1),
    ),
    (
        "cross-market-transformer",
        ["window=4", "steps=2", "d_model=8", "heads=2", "encoders=1", "decoders=1", "epochs=1"],
        bp.models.CrossMarketTransformer(
            window=4, steps=2, d_model=8, heads=2, encoders=1, decoders=1, epochs=1
        ),
    ),
    ("xgboost", ["n_estimators=5"], bp.models.XGBoost(n_estimators=5)),
    ("lightgbm", ["n_estimators=5"], bp.models.LightGBM(n_estimators=5)),
]


@pytest.mark.parametrize(("name", "params", "model"), NETS, ids=[name for name, _, _ in NETS])
def test_models_by_name_are_those_of_the_library(
    run_json: RunJson, files: Files, name: str, params: list[str], model: Any
) -> None:
    pytest.importorskip("torch" if "n_estimators=5" not in params else name)
    told = [word for param in params for word in ("--param", param)]
    code, document = run_json(
        "train", *spot(files), *STUDY, "--model", name, *told, "--out", "study"
    )
    assert code == 0
    assert document["model"]["name"] == model.name
    bars = bp.read_candles(files.candles, instrument="spot")
    run = bp.train(
        model,
        bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(bars),
        bp.labels.horizon(bars, bars=6, threshold=0.002),
        bp.WalkForward(train="8d", tune="3d", test="8d"),
        seed=7,
        ledger=False,
    )
    made = pl.read_parquet("study/predictions.parquet").filter(pl.col("part") == "test")
    np.testing.assert_array_equal(made["p_1"], run.predictions("test")["p_1"])
    saved = bp.Bundle.load("study/bundles/fold-0")
    assert saved.part().model.params == run.bundles[0].part().model.params
    # The saved bundle is judged as the library judges it.
    start = bars.open_time[int(run.folds[0].test[0])]
    code, document = run_json("evaluate", *spot(files), "--bundle", "study/bundles/fold-0")
    judged = bp.evaluate(saved, bars)
    assert code == 0
    for row, own in zip(document["metrics"], judged.frame.iter_rows(named=True), strict=True):
        assert (row["metric"], row["value"], row["n"]) == (own["metric"], own["value"], own["n"])
    assert document["in_sample"] == judged.in_sample > 0
    assert any("lie where the bundle was trained" in text for text in document["warnings"])
    assert start > bars.open_time[0]


def test_a_bundle_is_judged_on_later_bars(run: Run, files: Files) -> None:
    assert run("train", *spot(files), *STUDY, "--model", "logistic", "--out", "study")[0] == 0
    saved = bp.Bundle.load("study/bundles/fold-0")
    bars = bp.read_candles(files.candles, instrument="spot")
    test = saved.manifest["rows"]["test"]
    day = str(np.datetime64(test["from"], "ms"))[:19]
    end = str(np.datetime64(test["to"], "ms"))[:19]
    code, out, err = run(
        "evaluate", *spot(files), "-b", "study/bundles/fold-0", "--window", day, end
    )
    assert code == 0
    assert "no evidence" not in err
    judged = bp.evaluate(saved, bars, start=day, end=end)
    assert judged.in_sample == 0
    assert f"{judged['auc_up']:.4f}" in out
    assert "fold-0: Logistic(), trained on" in " ".join(out.split())


def test_a_bundle_with_features_of_its_own_needs_their_table(run: Run, files: Files) -> None:
    frame = pl.read_parquet(files.candles).select("open_time", mine=pl.col("close").pct_change())
    frame.write_parquet("own.parquet")
    words = ["--feature-table", "own.parquet"]
    assert run("train", *spot(files), *STUDY, "-m", "logistic", *words, "--out", "study")[0] == 0
    bundle = ["-b", "study/bundles/fold-0"]
    code, out, _ = run("evaluate", *spot(files), *bundle, *words)
    assert code == 0
    assert "log loss" in out
    code, _, err = run("evaluate", *spot(files), *bundle)
    assert code == 2
    assert "mine" in err


def test_damaged_bundles_are_refused(run: Run, files: Files) -> None:
    assert run("train", *spot(files), *STUDY, "--model", "logistic", "--out", "study")[0] == 0
    path = Path("study/bundles/fold-0/model.weights.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    code, _, err = run("evaluate", *spot(files), "-b", "study/bundles/fold-0")
    assert code == 2
    assert "model.weights.safetensors" in err
