"""`barproof labels`: classes, their shares, and the move that counts beside the costs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

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
    assert (made["label"][:-13] == np.sign(moves) * (np.abs(moves) > 0.002)).all()
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
