"""`barproof bundle`: what it says is what the library finds."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

from .conftest import Run
from .market import Files
from .test_train_command import FOLDS, STUDY

RunJson = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def folder(files: Files, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of two folds."""
    bars = bp.read_candles(files.candles, instrument="spot")
    run = bp.train(
        bp.models.Logistic(),
        bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(bars),
        bp.labels.horizon(bars, bars=6, threshold=0.002),
        bp.WalkForward(train="10d", tune="3d", test="3d"),
        ledger=False,
    )
    out = tmp_path_factory.mktemp("bundles")
    for i, bundle in enumerate(run.bundles):
        bundle.save(out / f"fold-{i}")
    return out


def test_train_writes_bundles_that_predict_what_it_wrote(run_json: RunJson, files: Files) -> None:
    words = ["train", str(files.candles), "-i", "spot", *STUDY, "-m", "logistic", *FOLDS]
    code, document = run_json(*words, "--out", "out")
    assert code == 0
    assert document["written"]["bundles"] == "out/bundles"
    assert sorted(os.listdir("out/bundles")) == ["fold-0", "fold-1"]
    bars = bp.read_candles(files.candles, instrument="spot")
    made = pl.read_parquet("out/predictions.parquet")
    for number in (0, 1):
        bundle = bp.Bundle.load(f"out/bundles/fold-{number}")
        p = bundle.predict(bp.FeatureSet(list(bundle.features)).compute(bars))
        told = made.filter(pl.col("fold") == number)
        rows = np.searchsorted(bars.open_time, told["open_time"].dt.epoch("ms").to_numpy())
        np.testing.assert_array_equal(p[rows, 2], told["p_1"].to_numpy())
    # A shorter run into the same folder leaves none of the longer one behind.
    Path("out/bundles/mine").mkdir()
    code, document = run_json(*words[:-1], "6d", "--out", "out")
    assert code == 0
    count = len(document["folds"])
    assert sorted(os.listdir("out/bundles")) == [*(f"fold-{i}" for i in range(count)), "mine"]


def test_verify(run: Run, run_json: RunJson, folder: Path) -> None:
    code, out, err = run("bundle", "verify", folder / "fold-0", folder / "fold-1")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        f"{folder / f'fold-{i}'}: sound, 32 probe rows, the same bits" for i in (0, 1)
    ]
    code, document = run_json("bundle", "verify", folder / "fold-1")
    told = document["bundles"][0]
    assert told["bundle"] == bp.Bundle.load(folder / "fold-1").digest
    assert (told["rows"], told["difference"], told["same_bits"]) == (32, 0.0, True)
    bad = Path("bad")
    bp.Bundle.load(folder / "fold-0").save(bad)
    (bad / "extra").write_text("x")
    code, document = run_json("bundle", "verify", folder / "fold-0", bad)
    assert code == document["exit_code"] == 1
    assert [one["sound"] for one in document["bundles"]] == [True, False]
    assert document["bundles"][1]["reason"] == (
        "bundle 'bad' holds 'extra', which its manifest does not know: nothing may be put into it; remove it"
    )
    code, out, _ = run("bundle", "verify", bad)
    assert (code, out.startswith("refused: bundle 'bad' holds 'extra'")) == (1, True)
    code, document = run_json("bundle", "verify", folder / "fold-0", "--limit-bytes", "100")
    assert "the limit is 100" in document["bundles"][0]["reason"]


def test_inspect(run: Run, run_json: RunJson, folder: Path) -> None:
    code, document = run_json("bundle", "inspect", folder / "fold-0")
    assert code == 0
    found = bp.checkpoints.inspect(folder / "fold-0").to_dict()
    assert {name: document[name] for name in found} == found
    code, out, _ = run("bundle", "inspect", folder / "fold-0", "--all")
    assert "missing       nothing" in out
    assert "model.coef" in out
    Path("evil.pkl").write_bytes(pickle.dumps({"f": os.system}))
    code, out, err = run("bundle", "inspect", "evil.pkl")
    assert code == 0
    assert err == "warning: loading it by pickle would run posix.system\n"
    code, _, err = run("bundle", "inspect", "nowhere.pt")
    assert code == 2
    assert err == "error: there is no checkpoint 'nowhere.pt': check the path\n"


def test_recreate(run: Run, run_json: RunJson, files: Files, folder: Path) -> None:
    words = ["bundle", "recreate", str(folder / "fold-1"), str(files.candles), "-i", "spot"]
    code, document = run_json(*words, "--metric", "auc_up")
    assert (code, document["outcome"]) == (0, "pass")
    told = json.loads((folder / "fold-1" / "manifest.json").read_text())["bundle"]
    assert document["stored"] == told["parts"]["model"]["test"]["auc_up"]["value"]
    assert (document["scenario"]["rows"], document["scenario"]["shift"]) == ("test", 0)
    code, out, _ = run(*words)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = run(*words, "--value", "0.5")
    assert code == 1
    assert "none of" in out
    code, _, err = run(*words, "--metric", "luck")
    assert code == 2
    assert err.startswith("error: the manifest tells no `luck` of test rows, but accuracy, ")
