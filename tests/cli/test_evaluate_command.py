"""`barproof evaluate`: tables of predictions against what came."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

RULE = ["--label-bars", "6", "--label-threshold", "0.002"]


def spot(files: Files) -> list[str]:
    return [str(files.candles), "-i", "spot"]


def moves(files: Files, bars: int) -> Any:
    opens = pl.read_parquet(files.candles)["open"].to_numpy()
    out = np.full(len(opens), np.nan)
    out[: -bars - 1] = opens[bars + 1 :] / opens[1:-bars] - 1
    return out


def write_table(files: Files, path: str, **columns: Any) -> pl.DataFrame:
    frame = (
        pl.read_parquet(files.candles)
        .select("open_time")
        .with_columns(**{k: pl.Series(v) for k, v in columns.items()})
    )
    frame.write_parquet(path)
    return frame


@pytest.fixture
def noisy(run: Run, files: Files) -> Any:
    """Probability of a rise in 6 bars, which knows something: written as `p.parquet`."""
    rng = np.random.default_rng(5)
    came = moves(files, 6)
    p = 1 / (1 + np.exp(-(np.nan_to_num(np.sign(came)) * 0.3 + rng.normal(0, 0.5, len(came)))))
    write_table(files, "p.parquet", up=p)
    return p


def metric(document: Any, name: str) -> Any:
    return next(row for row in document["metrics"] if row["metric"] == name)


def test_metrics_by_hand(run_json: RunJson, files: Files, noisy: Any) -> None:
    code, document = run_json(
        "evaluate",
        *spot(files),
        "-p",
        "p.parquet",
        "--signal-column",
        "long=up",
        "--label-bars",
        "6",
        "--label-kind",
        "binary",
    )
    assert code == 0
    came = moves(files, 6)
    known = ~np.isnan(came)
    p, y = noisy[known], came[known] > 0
    area = np.mean((p[y][:, None] > p[~y]) + 0.5 * (p[y][:, None] == p[~y]))
    loss = -np.mean(np.where(y, np.log(p), np.log(1 - p)))
    share = y.mean()
    assert metric(document, "auc")["value"] == pytest.approx(area, rel=1e-9)
    assert metric(document, "auc")["baseline"] == 0.5
    assert metric(document, "log_loss")["value"] == pytest.approx(loss, rel=1e-9)
    assert metric(document, "log_loss")["baseline"] == pytest.approx(
        -(share * np.log(share) + (1 - share) * np.log(1 - share)), rel=1e-9
    )
    assert metric(document, "brier")["value"] == pytest.approx(np.mean((p - y) ** 2), rel=1e-9)
    assert metric(document, "accuracy")["value"] == pytest.approx(np.mean((p > 0.5) == y), rel=1e-9)
    for row in document["metrics"]:
        assert row["low"] < row["value"] < row["high"]
        assert row["n"] == known.sum()
        assert row["n_eff"] < row["n"] / 5  # labels of six bars overlap
    for row in document["calibration"]:
        here = np.floor(p * 10) == row["bin"]
        assert row["class"] == 1
        assert row["n"] == here.sum()
        assert row["mean_p"] == pytest.approx(p[here].mean(), rel=1e-9)
        assert row["share"] == pytest.approx(y[here].mean(), rel=1e-9)
    assert document["warnings"] == []


def test_it_is_the_evaluation_of_the_bundle(run_json: RunJson, files: Files) -> None:
    """One fold written by train, judged from its table, and by `evaluate` from its bundle."""
    folds = ["--train", "3000", "--tune", "1000", "--test", "1500"]
    words = ["-f", "rsi(14)", *RULE, "-m", "logistic", *folds, "--out", "out"]
    assert run_json("train", *spot(files), *words)[0] == 0
    code, document = run_json("evaluate", *spot(files), "-p", "out/predictions.parquet", *RULE)
    assert code == 0
    candles = bp.read_candles(files.candles, instrument="spot")
    run = bp.train(
        bp.models.Logistic(),
        bp.FeatureSet(["rsi(14)"]).compute(candles),
        bp.labels.horizon(candles, bars=6, threshold=0.002),
        bp.WalkForward(train=3000, tune=1000, test=1500),
        ledger=False,
    )
    (fold,) = run.folds
    found = bp.evaluate(
        run.bundles[0], candles, start=int(fold.test[0]), end=int(fold.test[-1]) + 1
    )
    assert [row["value"] for row in document["metrics"]] == found.frame["value"].to_list()
    assert [row["low"] for row in document["metrics"]] == found.frame["low"].to_list()
    assert len(document["calibration"]) == found.calibration.height
    tune = run_json(
        "evaluate", *spot(files), "-p", "out/predictions.parquet", *RULE, "--part", "tune"
    )[1]
    assert metric(tune, "accuracy")["n"] == len(fold.tune_choose)


def test_sides_that_are_named_long_and_short(run_json: RunJson, files: Files) -> None:
    came = moves(files, 6)
    up, down = came > 0.002, came < -0.002
    long, short = np.where(up, 0.5, 0.2), np.where(down, 0.5, 0.2)
    write_table(files, "s.parquet", long=long, short=short)
    code, document = run_json("evaluate", *spot(files), "-p", "s.parquet", *RULE)
    assert code == 0
    assert metric(document, "auc_up")["value"] == 1.0
    flat = 1 - long - short
    likely = np.where(up, long, np.where(down, short, flat))[~np.isnan(came)]
    assert metric(document, "log_loss")["value"] == pytest.approx(
        -np.mean(np.log(likely)), rel=1e-9
    )


def test_what_it_writes(run: Run, files: Files, noisy: Any) -> None:
    words = ["--signal-column", "long=up", "--label-bars", "6", "--label-kind", "binary"]
    files_out = ["--out", "m.csv", "--calibration", "c.csv"]
    code, out, err = run("evaluate", *spot(files), "-p", "p.parquet", *words, *files_out)
    assert (code, err) == (0, "")
    assert pl.read_csv("m.csv")["metric"].to_list() == ["accuracy", "auc", "log_loss", "brier"]
    assert pl.read_csv("c.csv")["n"].sum() == 5_993
    assert out.endswith("out: m.csv\ncalibration: c.csv\n")
    assert max(map(len, out.splitlines())) <= 80
    row = pl.read_csv("m.csv").row(1, named=True)
    assert f"AUC {row['value']:.4f} {row['low']:.4f} to {row['high']:.4f} 0.5000 5,993" in " ".join(
        out.split()
    )


def test_no_skill_is_said(run: Run, files: Files) -> None:
    p = np.random.default_rng(1).uniform(0.4, 0.6, 6_000)
    write_table(files, "p.parquet", p_0=1 - p, p_1=p)
    words = ["-p", "p.parquet", "--label-bars", "1", "--label-kind", "binary"]
    code, _, err = run("evaluate", *spot(files), *words)
    assert code == 0
    assert err == "warning: no skill is shown: the interval of the AUC holds 0.5 or lies below it\n"


def test_labels_of_another_rule_are_noticed(run: Run, files: Files) -> None:
    came = moves(files, 6)
    label = (came > 0).astype(float)
    label[np.isnan(came)] = np.nan
    label[10:13] = 1 - label[10:13]
    p = np.where(np.nan_to_num(label) > 0, 0.6, 0.4)
    write_table(files, "p.parquet", p_0=1 - p, p_1=p, label=label)
    words = ["-p", "p.parquet", "--label-bars", "6", "--label-kind", "binary"]
    code, _, err = run("evaluate", *spot(files), *words)
    assert code == 0
    assert err == (
        "warning: 3 of 5,993 labels in the table are others than this rule makes: it was trained by another rule, or "
        "on other candles\n"
    )


def test_a_window(run_json: RunJson, files: Files, noisy: Any) -> None:
    words = ["--signal-column", "long=up", "--label-bars", "6", "--label-kind", "binary"]
    window = ["--window", "2022-01-03", "2022-01-05"]
    code, document = run_json("evaluate", *spot(files), "-p", "p.parquet", *words, *window)
    assert code == 0
    assert document["window"] == [576, 1152]
    assert metric(document, "auc")["n"] == 576


def test_times_as_text_and_the_project(run_json: RunJson, files: Files, noisy: Any) -> None:
    frame = pl.read_parquet("p.parquet")
    frame.select(when=pl.col("open_time").dt.to_string("%Y-%m-%d %H:%M:%S"), up="up").write_csv(
        "p.csv"
    )
    words = [*spot(files), "--label-bars", "6", "--label-kind", "binary"]
    told = ["-p", "p.csv", "--signal-time", "when", "--signal-column", "long=up"]
    code, document = run_json("evaluate", *words, *told)
    assert code == 0
    Path("barproof.toml").write_text(
        '[signals]\nsource = "p.csv"\ntime = "when"\ncolumns = { long = "up" }\n'
    )
    assert run_json("evaluate", *words)[1]["metrics"] == document["metrics"]


def test_what_is_no_probability_is_refused(run: Run, files: Files) -> None:
    write_table(files, "p.parquet", p_0=np.full(6_000, 0.5), p_1=np.full(6_000, 0.7))
    words = ["-p", "p.parquet", "--label-bars", "6", "--label-kind", "binary", "--out", "m.csv"]
    code, _, err = run("evaluate", *spot(files), *words)
    assert (code, err) == (
        2,
        "error: predictions of 6,000 bars are no probabilities, first bar 0: 0.5, 0.7; they must lie in [0, 1] and "
        "sum to 1\n",
    )
    assert os.listdir() == ["p.parquet"]


def test_nothing_is_written_over_an_input(run: Run, files: Files, noisy: Any) -> None:
    words = ["-p", "p.parquet", "--label-bars", "6", "--out", "p.parquet"]
    code, _, err = run("evaluate", *spot(files), *words)
    assert code == 2
    assert "the file that the predictions are read from" in " ".join(err.split())
