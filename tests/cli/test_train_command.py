"""`barproof train`: what it prints and writes is what the library trains, and other commands read it as it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.cli import study

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

STUDY = ["-f", "log_return(1)", "-f", "rsi(14)", "--label-bars", "6", "--label-threshold", "0.002"]
MODEL = ["-m", "logistic", "--param", "C=0.5", "--seed", "7"]
FOLDS = ["--train", "10d", "--tune", "3d", "--test", "3d"]


def spot(files: Files) -> list[str]:
    return [str(files.candles), "-i", "spot"]


def words(files: Files, *more: str) -> list[str]:
    return ["train", *spot(files), *STUDY, *MODEL, *FOLDS, *more]


def candles(files: Files) -> bp.Candles:
    return bp.read_candles(files.candles, instrument="spot")


@pytest.fixture(scope="module")
def trained(files: Files) -> bp.Run:
    """The same in Python."""
    bars = candles(files)
    return bp.train(
        bp.models.Logistic(C=0.5),
        bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(bars),
        bp.labels.horizon(bars, bars=6, threshold=0.002),
        bp.WalkForward(train="10d", tune="3d", test="3d"),
        seed=7,
        ledger=False,
    )


def test_predictions_are_those_of_the_library(
    run_json: RunJson, files: Files, trained: bp.Run
) -> None:
    code, document = run_json(*words(files, "--out", "deep/out"))
    assert code == 0
    assert sorted(os.listdir("deep/out")) == ["bundles", "predictions.parquet", "run.json"]
    made = pl.read_parquet("deep/out/predictions.parquet")
    assert made.columns == [
        *("open_time", "fold", "part", "label", "p_-1", "p_0", "p_1", "long", "short"),
    ]
    assert document["provenance"]["bundles"] == trained.provenance["bundles"]
    for number, fold in enumerate(trained.folds):
        for part, rows in (("tune", fold.tune_choose), ("test", fold.test)):
            here = made.filter(pl.col("fold") == number, pl.col("part") == part)
            times = trained.candles.open_time[rows]
            assert (here["open_time"].dt.epoch("ms").to_numpy() == times).all()
            signals = trained.signals(part, fold=number)  # type: ignore[arg-type]
            for name in ("long", "short"):
                np.testing.assert_array_equal(here[name], signals[name][rows])
            np.testing.assert_array_equal(here["p_1"], here["long"])
            np.testing.assert_array_equal(here["label"], trained.labels.values[rows])
    assert made.height == sum(len(f.tune_choose) + len(f.test) for f in trained.folds)
    outside = ("command", "version", "exit_code", "written")
    record = json.loads(Path("deep/out/run.json").read_text())
    assert record == {name: value for name, value in document.items() if name not in outside}


def test_the_folds_are_shown_with_their_skill(run: Run, files: Files, trained: bp.Run) -> None:
    code, out, err = run(*words(files))
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    for number, bundle in enumerate(trained.bundles):
        told = bundle.manifest["parts"]["model"]
        scores = told["test"]
        assert [
            str(number),
            bundle.manifest["rows"]["test"]["shown"][:10],
            f"{told['train_rows']['n']:,}",
            f"{scores['n']:,}",
            *(f"{scores[name]['value']:.4f}" for name in ("auc_up", "auc_down", "log_loss")),
            f"{scores['log_loss']['baseline']:.4f}",
        ] in lines
    assert "folds 2: train 10d, tune 3d, test 3d" in " ".join(out.split())
    assert "model Logistic(C=0.5), seed 7" in " ".join(out.split())
    assert err.startswith(
        "warning: the market is simulated: its numbers say nothing about any real one\n"
    )
    assert max(map(len, out.splitlines())) <= 80
    assert os.listdir() == []


def test_areas_by_hand(run_json: RunJson, files: Files) -> None:
    """Of all pairs of a rise and no rise: how often the rise scored higher."""
    _, document = run_json(*words(files, "--out", "out"))
    made = pl.read_parquet("out/predictions.parquet").filter(pl.col("part") == "test")
    for fold, told in enumerate(document["folds"]):
        here = made.filter(pl.col("fold") == fold)
        p, y = here["p_1"].to_numpy(), here["label"].to_numpy() == 1
        area = np.mean((p[y][:, None] > p[~y]) + 0.5 * (p[y][:, None] == p[~y]))
        assert told["metrics"]["auc_up"]["value"] == pytest.approx(area, rel=1e-9)
    p = made.select("p_-1", "p_0", "p_1").to_numpy()
    y = made["label"].to_numpy()
    loss = -np.mean(np.log(p[np.arange(len(y)), (y + 1).astype(int)]))
    shares = np.array([np.mean(y == c) for c in (-1, 0, 1)])
    (row,) = [row for row in document["test"] if row["metric"] == "log_loss"]
    assert row["value"] == pytest.approx(loss, rel=1e-9)
    assert row["baseline"] == pytest.approx(-np.sum(shares * np.log(shares)), rel=1e-9)
    assert row["n"] == len(y)


def test_backtest_and_sweep_read_it_as_it_is(
    run_json: RunJson, files: Files, trained: bp.Run
) -> None:
    assert run_json(*words(files, "--out", "out"))[0] == 0
    table = ["-s", "out/predictions.parquet", "--taker", "0.0005"]
    code, document = run_json("backtest", *spot(files), *table, "-r", "entry_long+entry_short=0.3")
    assert code == 0
    result = bp.backtest(
        trained.candles,
        trained.signals(),
        bp.Rules(entry_long=0.3, entry_short=0.3),
        costs=bp.Costs(taker=0.0005),
        ledger=False,
    )
    assert document["metrics"]["trades"] == result.metrics["trades"] > 0
    assert document["metrics"]["final_equity"] == result.metrics["final_equity"]
    code, document = run_json("sweep", *spot(files), *table, "-a", "entry_long=0.3,0.35")
    assert (code, document["combinations"]) == (0, 2)


def test_exits_by_the_other_side(run_json: RunJson, files: Files) -> None:
    assert run_json(*words(files, "--exit", "opposite", "--out", "out"))[0] == 0
    made = pl.read_parquet("out/predictions.parquet")
    assert (made["exit_long"] == made["short"]).all()
    assert (made["exit_short"] == made["long"]).all()


def test_returns_become_scores(run: Run, run_json: RunJson, files: Files) -> None:
    study = [
        "-f",
        "rsi(14)",
        "--label-bars",
        "6",
        "-m",
        "logistic",
        "--train",
        "0.5",
        "--test",
        "800",
    ]
    code, document = run_json("train", *spot(files), *study, "--out", "out")
    assert code == 0
    made = pl.read_parquet("out/predictions.parquet")
    assert made["part"].unique().to_list() == ["test"]
    assert (made["long"] == made["prediction"]).all()
    assert (made["short"] == -made["prediction"]).all()
    assert {row["metric"] for row in document["test"]} >= {"correlation", "rmse"}
    # The kind need not be told: the table says that these are no probabilities.
    code, out, _ = run(
        "backtest",
        *spot(files),
        "-s",
        "out/predictions.parquet",
        "--free",
        "-r",
        "entry_long=0.0001",
    )
    assert code == 0
    assert "signals  long, short (score)" in out


def test_selection_and_calibration_are_told(run_json: RunJson, files: Files) -> None:
    _, document = run_json(*words(files, "--select", "1", "--calibrate", "none"))
    assert {len(fold["selected"]) for fold in document["folds"]} == {1}
    assert {fold["calibration"] for fold in document["folds"]} == {None}
    _, document = run_json(*[*words(files)[:-4], "--test", "3d"])
    assert (
        "fold 0 and 2 more not calibrated: there are no tune rows to calibrate on"
        in document["warnings"]
    )


def test_the_project_tells_everything_and_options_win(
    run_json: RunJson, files: Files, trained: bp.Run
) -> None:
    shutil.copy(files.candles, "c.parquet")
    Path("barproof.toml").write_text(
        """
[candles]
source = "c.parquet"
instrument = "spot"
[features]
names = ["log_return(1)", "rsi(14)"]
[labels]
bars = 6
threshold = 0.002
[model]
name = "logistic"
params = { C = 0.5 }
seed = 7
[folds]
train = "10d"
tune = "3d"
test = "3d"
"""
    )
    code, document = run_json("train")
    assert code == 0
    assert document["test"] == run_json(*words(files))[1]["test"]
    # The project has a ledger now, and the run is in it.
    assert document["provenance"]["ledger"].startswith("run ")
    _, document = run_json("train", "--seed", "8", "--param", "C=2", "--tune", "2d", "--rolling")
    assert (document["seed"], document["model"]["params"]["C"]) == (8, 2)
    assert document["splitter"] == "WalkForward(train='10d', test='3d', tune='2d')"
    # Parameters of the file are those of its model.
    _, document = run_json("train", "--model", "gradient-boosting", "--param", "max_iter=5")
    assert document["model"]["params"]["max_iter"] == 5
    assert "C" not in document["model"]["params"]


def test_ctrl_c_writes_the_folds_that_were_finished(
    run: Run, files: Files, trained: bp.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise bp.Interrupted("interrupted after 2 of 9 folds", 2, 9, trained)

    monkeypatch.setattr(study, "train_models", stopped)
    assert run(*words(files)) == (
        130,
        "",
        "error: interrupted after 2 of 9 folds, nothing was written\n",
    )
    assert run(*words(files, "--out", "out")) == (
        130,
        "",
        "error: interrupted after 2 of 9 folds, written to out\n",
    )
    assert pl.read_parquet("out/predictions.parquet")["fold"].unique().sort().to_list() == [0, 1]


def test_a_model_that_cannot_be_trained_is_code_2(run: Run, files: Files) -> None:
    code, _, err = run(*words(files, "--param", "C=-1"))
    assert (code, err) == (2, "error: `C` of Logistic must be above 0, was -1\n")
    code, _, err = run(
        "train",
        *spot(files),
        "-f",
        "rsi(14)",
        "--label-bars",
        "6",
        "--label-threshold",
        "0.9",
        *FOLDS,
    )
    assert code == 2
    assert "train rows of fold 0 are of class 0" in err
    assert err.count("\n") == 1


def test_nothing_is_written_over_an_input(run: Run, files: Files) -> None:
    os.makedirs("out")
    shutil.copy(files.candles, "out/predictions.parquet")
    before = Path("out/predictions.parquet").read_bytes()
    code, _, err = run(
        "train", "out/predictions.parquet", "-i", "spot", *STUDY, *MODEL, *FOLDS, "--out", "out"
    )
    assert code == 2
    assert "give another name" in " ".join(err.split())
    assert Path("out/predictions.parquet").read_bytes() == before


RULES = ["--label-rule", "stop_loss=0.008", "--label-rule", "take_profit=0.012"]
BARRIER = bp.Rules(stop_loss=0.008, take_profit=0.012, max_hold=24)
COSTS = bp.Costs(taker=0.0005)
FILE = """
[features]
names = ["log_return(1)", "rsi(14)"]

[labels]
method = "{method}"
{keys}
rules = {{ stop_loss = 0.008, take_profit = 0.012, max_hold = 24 }}

[model]
name = "logistic"
params = {{ C = 0.5 }}
seed = 7

[folds]
train = "10d"
tune = "3d"
test = "3d"

[costs]
taker = 0.0005
"""


def momentum(files: Files) -> Any:
    """Side of the last twelve bars, also as a table."""
    closes = candles(files).close
    sides = np.zeros(len(closes))
    sides[12:] = np.sign(closes[12:] / closes[:-12] - 1)
    times = pl.read_parquet(files.candles)["open_time"]
    pl.DataFrame({"open_time": times, "side": sides}).write_parquet("side.parquet")
    return sides


@pytest.mark.parametrize("method", ["barrier", "meta", "exits", "vote"])
def test_every_maker_of_labels_trains_and_is_made_again(
    method: str, run_json: RunJson, files: Files
) -> None:
    """By options and by barproof.toml the same bundles as in Python; `evaluate` makes their labels itself."""
    bars, sides = candles(files), momentum(files)
    keys, more = "", ["--label-method", method]
    if method == "vote":
        more += ["--label-lengths", "3,6,12", "--label-k", "2"]
        ballots = [bp.labels.horizon(bars, bars=h, kind="binary") for h in (3, 6, 12)]
        labels: bp.labels.Labels = bp.labels.vote(ballots, k=2)
        text = FILE.format(method=method, keys="lengths = [3, 6, 12]\nk = 2").replace(
            "rules = {", "# rules = {"
        )
    else:
        more += [*RULES, "--label-rule", "max_hold=24", "--taker", "0.0005"]
        if method == "barrier":
            more += ["--label-side", "both", "--label-min-volume", "1"]
            keys = 'side = "both"\nmin_volume = 1.0'
            labels = bp.labels.triple_barrier(bars, BARRIER, costs=COSTS, side="both")
            labels = bp.labels.volume_filter(labels, least=1.0)
        else:
            more += ["--label-primary", "side.parquet"]
            keys = 'primary = "side.parquet"'
            maker = bp.labels.meta if method == "meta" else bp.labels.exits
            labels = maker(bars, sides, BARRIER, costs=COSTS)
        text = FILE.format(method=method, keys=keys)
    X = bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(bars)
    folds = bp.WalkForward(train="10d", tune="3d", test="3d")
    want = bp.train(bp.models.Logistic(C=0.5), X, labels, folds, seed=7, ledger=False)
    told = ["-f", "log_return(1)", "-f", "rsi(14)", *more, *MODEL, *FOLDS]
    code, document = run_json("train", *spot(files), *told, "--out", "out")
    assert code == 0
    assert document["labels"] == json.loads(json.dumps(labels.rule))
    assert document["provenance"]["bundles"] == want.provenance["bundles"]
    assert pl.read_parquet("out/predictions.parquet").columns[-len(want.signals().names) :] == list(
        want.signals().names
    )
    Path("barproof.toml").write_text(text)
    code, document = run_json("train", *spot(files))
    assert code == 0
    assert document["provenance"]["bundles"] == want.provenance["bundles"]
    Path("barproof.toml").unlink()
    asked = ["evaluate", *spot(files), "--bundle", "out/bundles/fold-0"]
    if method in ("meta", "exits"):
        code, document = run_json(*asked)
        assert code == 2
        assert "look at `primary`" in document["error"]["message"]
        asked += ["--label-primary", "side.parquet"]
    code, document = run_json(*asked)
    assert code == 0
    judged = bp.evaluate(want.bundles[0], bars, X=X, labels=labels)
    assert [row["value"] for row in document["metrics"]] == judged.frame["value"].to_list()


def test_what_a_method_has_no_use_for_is_refused(run: Run, files: Files) -> None:
    bare = ["-f", "rsi(14)", *MODEL, *FOLDS]
    for more, text in (
        (["--label-bars", "6", "--label-side", "long"], "`--label-side` goes with `--label-method` barrier"),
        (["--label-bars", "6", "--taker", "0.001"], "costs are told, but labels by horizon have no use for them"),
        (["--label-method", "barrier", *RULES], "costs are missing"),
        (["--label-method", "trade"], "`--label-method` must be one of"),
        (
            ["--label-method", "barrier", *RULES, "--label-rule", "max_hold=9", "--free", "--exit", "opposite"],
            "`--exit opposite` closes a side by the other's entry",
        ),
    ):  # fmt: skip
        code, _, err = run("train", *spot(files), *bare, *more)
        assert code == 2
        assert text in " ".join(err.split())
