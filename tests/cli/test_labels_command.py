"""`barproof labels`: classes, their shares, and the move that counts beside the costs."""

from __future__ import annotations

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

SCREEN = """\
SIMUSDT 5m spot, 6,000 bars, 2022-01-01 00:00 to 2022-01-21 20:00 UTC
  rule       ternary: return from the next open to the open 12 bars on, moves
             beyond 0.002 count
  undefined  13 of 6,000 bars
"""


def forward(files: Files, bars: int) -> Any:
    """Return from the next open to the open `bars` later, by hand."""
    opens = pl.read_parquet(files.candles)["open"].to_numpy()
    return np.array([opens[i + 1 + bars] / opens[i + 1] - 1 for i in range(len(opens) - bars - 1)])


def spot(files: Files) -> list[str]:
    return [str(files.candles), "-i", "spot"]


def test_shares_are_counted(run: Run, run_json: RunJson, files: Files) -> None:
    words = [*spot(files), "--bars", "12", "--threshold", "0.002", "--out", "l.parquet"]
    code, document = run_json("labels", *words)
    moves = forward(files, 12)
    want = {"down": moves < -0.002, "flat": np.abs(moves) <= 0.002, "up": moves > 0.002}
    assert code == 0
    assert [row["name"] for row in document["classes"]] == list(want)
    for row in document["classes"]:
        here = want[row["name"]]
        assert row["bars"] == here.sum()
        assert row["share"] == pytest.approx(here.mean(), rel=1e-12)
        assert row["mean_return"] == pytest.approx(moves[here].mean(), rel=1e-9)
    assert document["undefined"] == 13
    assert document["median_move"] == pytest.approx(np.median(np.abs(moves)), rel=1e-12)
    assert document["round_trip"] is None
    made = pl.read_parquet("l.parquet")
    assert made.columns == ["open_time", "label", "start", "end"]
    assert (made["label"][:-13].to_numpy() == np.sign(moves) * (np.abs(moves) > 0.002)).all()
    assert made["label"][-13:].is_nan().all()
    code, out, err = run("labels", *words)
    assert (code, err) == (0, "")
    assert "\n".join(line.rstrip() for line in out.splitlines()).startswith(SCREEN)
    assert out.endswith("out: l.parquet\n")


def test_costs_stand_beside_the_threshold(run: Run, run_json: RunJson, files: Files) -> None:
    words = [*spot(files), "--bars", "12", "--threshold", "0.001"]
    costs = ["--taker", "0.0005", "--slippage", "0.0001"]
    code, document = run_json("labels", *words, *costs)
    assert document["round_trip"] == pytest.approx(0.0012)
    assert document["moves_beyond_costs"] == pytest.approx(
        np.mean(np.abs(forward(files, 12)) > 0.0012)
    )
    code, out, err = run("labels", *words, *costs)
    assert code == 0
    assert "a round trip of market orders costs 0.120%" in out
    assert err == (
        "warning: a move of 0.10% counts, but a round trip of market orders costs 0.12%: a forecast that is right may "
        "still lose\n"
    )
    assert run("labels", *words, "--taker", "0.0002")[2] == ""
    assert run_json("labels", *words, "--free")[1]["round_trip"] == 0.0


def test_kinds_and_clocks(run_json: RunJson, files: Files) -> None:
    _, document = run_json("labels", *spot(files), "--bars", "5", "--kind", "binary")
    rises = forward(files, 5) > 0
    assert [(row["name"], row["bars"]) for row in document["classes"]] == [
        ("no rise", int((~rises).sum())),
        ("rise", int(rises.sum())),
    ]
    _, document = run_json("labels", *spot(files), "--bars", "5", "--clock", "close")
    closes = pl.read_parquet(files.candles)["close"].to_numpy()
    (row,) = document["classes"]
    assert (document["kind"], row["name"], row["bars"]) == ("regression", "all", 5_995)
    assert row["mean_return"] == pytest.approx((closes[5:] / closes[:-5] - 1).mean(), rel=1e-9)


def test_a_class_that_is_empty_is_named(run: Run, files: Files) -> None:
    code, _, err = run("labels", *spot(files), "--bars", "3", "--threshold", "0.9")
    assert code == 0
    assert (
        err == "warning: no bar is down or up: make the threshold smaller, or the horizon longer\n"
    )


def test_the_project_tells_the_rule(run: Run, run_json: RunJson, files: Files) -> None:
    Path("barproof.toml").write_text(
        "[labels]\nbars = 6\nthreshold = 0.002\n[costs]\ntaker = 0.0005\n"
    )
    code, document = run_json("labels", *spot(files))
    assert document["rule"] == {
        "name": "horizon",
        "bars": 6,
        "threshold": 0.002,
        "kind": "ternary",
        "clock": "open",
    }
    assert document["round_trip"] == pytest.approx(0.001)
    assert run_json("labels", *spot(files), "--bars", "7")[1]["rule"]["bars"] == 7
    code, _, err = run("labels", *spot(files), "--bars", "6000")
    assert (code, err) == (
        2,
        "error: `bars` of the horizon is 6000, but the candles hold 6000 bars: a label needs 6002\n",
    )


def test_nothing_is_written_over_candles(run: Run, files: Files) -> None:
    before = files.candles.read_bytes()
    code, _, _ = run("labels", *spot(files), "--bars", "3", "--out", str(files.candles))
    assert (code, files.candles.read_bytes()) == (2, before)


RULES = ["-r", "stop_loss=0.008", "-r", "take_profit=0.012", "-r", "max_hold=24"]
COSTS = bp.Costs(taker=0.0005)


def candles_of(files: Files) -> bp.Candles:
    return bp.read_candles(files.candles, instrument="spot")


def primary(files: Files) -> np.ndarray[Any, Any]:
    """Write a primary signal that lacks the first bars."""
    times = pl.read_parquet(files.candles)["open_time"]
    side = np.resize([1, -1, 0, 0], len(times) - 100)
    pl.DataFrame({"open_time": times[100:], "side": side}).write_parquet("side.parquet")
    return np.append(np.zeros(100), side)


def shown(document: Any) -> list[tuple[str, int]]:
    return [(row["name"], row["bars"]) for row in document["classes"]]


def counts(labels: bp.labels.Labels) -> list[int]:
    classes = (-1, 0, 1) if labels.kind == "ternary" else (0, 1)
    return [int((labels.values == c).sum()) for c in classes]


def test_barriers_are_those_of_the_library(run: Run, run_json: RunJson, files: Files) -> None:
    words = [*spot(files), "--method", "barrier", *RULES, "--taker", "0.0005"]
    rules = bp.Rules(stop_loss=0.008, take_profit=0.012, max_hold=24)
    for side, names in (
        ("long", ["lost", "won"]),
        ("short", ["lost", "won"]),
        ("both", ["short", "neither", "long"]),
    ):
        code, document = run_json("labels", *words, "--side", side, "--out", "l.parquet")
        want = bp.labels.triple_barrier(candles_of(files), rules, costs=COSTS, side=side)  # type: ignore[arg-type]
        assert code == 0
        assert shown(document) == list(zip(names, counts(want), strict=True))
        assert document["digest"] == want.digest
        assert pl.read_parquet("l.parquet").equals(want.to_polars(), null_equal=True)
    code, out, err = run("labels", *words)
    assert (code, err) == (0, "")
    assert "binary: a long trade earns more than 0; stop_loss 0.008, take_profit 0.012" in " ".join(
        out.split()
    )
    kept = [*words, "--min-volume", "20", "--volume-bars", "3"]
    made = bp.labels.triple_barrier(candles_of(files), rules, costs=COSTS)
    assert (
        run_json("labels", *kept)[1]["digest"]
        == bp.labels.volume_filter(made, least=20, bars=3).digest
    )
    assert "volume of 3 bars at least 20" in " ".join(run("labels", *kept)[1].split())


def test_meta_and_exit_labels_follow_a_primary_signal(run_json: RunJson, files: Files) -> None:
    code, _ = run_json("labels", *spot(files), "--bars", "3")
    assert code == 0
    sides = primary(files)
    rules = bp.Rules(stop_loss=0.008, take_profit=0.012, max_hold=24)
    for method, maker in (("meta", bp.labels.meta), ("exits", bp.labels.exits)):
        words = [
            *spot(files),
            "--method",
            method,
            "--primary",
            "side.parquet",
            *RULES,
            "--taker",
            "0.0005",
        ]
        _, document = run_json("labels", *words)
        want = maker(candles_of(files), sides, rules, costs=COSTS)
        assert document["digest"] == want.digest
        assert [n for _, n in shown(document)] == counts(want)


def test_votes(run_json: RunJson, files: Files) -> None:
    _, document = run_json(
        "labels", *spot(files), "--method", "vote", "--lengths", "3,6,12", "--k", "2"
    )
    ballots = [bp.labels.horizon(candles_of(files), bars=h, kind="binary") for h in (3, 6, 12)]
    want = bp.labels.vote(ballots, k=2)
    assert document["digest"] == want.digest
    assert shown(document) == list(zip(["no rise", "rise"], counts(want), strict=True))
    assert document["median_move"] is None


def test_sweeps_show_every_cell(run: Run, run_json: RunJson, files: Files) -> None:
    words = [*spot(files), "--sweep", "--taker", "0.0005"]
    axes = ["-a", "bars=6,12", "-a", "threshold=0.001,0.002", "-a", "min_volume=0,20"]
    code, document = run_json("labels", *words, *axes)
    want = bp.labels.sweep(
        candles_of(files), costs=COSTS, bars=[6, 12], threshold=[0.001, 0.002], min_volume=[0, 20], ledger=False
    )  # fmt: skip
    assert code == 0
    assert [row["positive_share"] for row in document["cells"]] == want.frame[
        "positive_share"
    ].to_list()
    code, out, _ = run("labels", *words, *axes, "--out", "cells.csv")
    assert code == 0
    assert "8: bars, threshold, min_volume" in out
    assert len(pl.read_csv("cells.csv")) == 8
    barriers = [
        "--method",
        "barrier",
        "-r",
        "max_hold=24",
        "-a",
        "stop_loss=0.01,none",
        "-a",
        "side=long,short",
    ]
    _, document = run_json("labels", *words, *barriers)
    grid = bp.Grid(bp.Rules(max_hold=24), stop_loss=[0.01, None])
    want = bp.labels.sweep(
        candles_of(files), costs=COSTS, rules=grid, side=["long", "short"], ledger=False
    )
    assert [row["mean_return"] for row in document["cells"]] == want.frame["mean_return"].to_list()
