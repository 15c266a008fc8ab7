"""`barproof features`: functions, features of candles, and what they are made of."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _core

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

RSI = """\
rsi(x=close, period=14): Wilder's relative strength index
  formula   100 * u / (u + d), u and d the Wilder means (alpha = 1 / period,
            seeded with the plain mean of the first period changes) of gains and
            losses; in [0, 100], 50 where nothing moved.
  period    {bound}; default 14
  reads     close
  source    J. W. Wilder, New Concepts in Technical Trading Systems, 1978; as
            RSI of TA-Lib, which gives 0 where nothing moved.
  known as  relative_strength_index, wilder_rsi
"""

EXPLAINED = """\
zscore(rsi(14), 100): Distance from the mean of the last bars in standard
    deviations
    (x - mean) / sd over the last period values, sd with ddof 0; NaN where they
        are all equal.
  rsi(14): Wilder's relative strength index
"""


def trimmed(text: str) -> str:
    """Text without the blanks that fill lines up."""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def closes(files: Files) -> Any:
    return pl.read_parquet(files.candles)["close"].to_numpy()


def spot(files: Files) -> list[str]:
    return [str(files.candles), "-i", "spot"]


@pytest.mark.parametrize("words", [[], ["--list"]])
def test_the_list_holds_every_function(run: Run, run_json: RunJson, words: list[str]) -> None:
    code, out, err = run("features", *words)
    assert (code, err) == (0, "")
    rows = _core.feature_table()
    # The longest signatures take two lines, beside what they mean.
    assert [row["name"] for row in rows if f"{row['name']}(" not in out] == []
    assert all(" ".join(row["summary"].split()[:2]) in out for row in rows)
    assert max(map(len, out.splitlines())) <= 80
    code, document = run_json("features", *words)
    assert [row["name"] for row in document["functions"]] == [row["name"] for row in rows]


@pytest.mark.parametrize("name", ["rsi", "RSI", "wilder_rsi"])
def test_a_function_is_explained_by_any_of_its_names(
    run: Run, run_json: RunJson, name: str
) -> None:
    code, out, _ = run("features", name)
    ((_, bound, _),) = next(r for r in _core.feature_table() if r["name"] == "rsi")["parameters"]
    assert (code, trimmed(out)) == (0, RSI.format(bound=bound))
    code, document = run_json("features", name)
    assert document["function"]["name"] == "rsi"
    assert document["function"]["parameters"] == [
        {"name": "period", "accepts": bound, "default": 14.0}
    ]


def test_values_are_those_of_the_definitions(run: Run, run_json: RunJson, files: Files) -> None:
    words = [*spot(files), "-f", "log_return(1)", "-f", "sma(3)", "--out", "x.parquet"]
    code, document = run_json("features", *words)
    assert code == 0
    made, close = pl.read_parquet("x.parquet"), closes(files)
    assert made.columns == ["open_time", "log_return(1)", "sma(3)"]
    assert made["open_time"].equals(
        pl.read_parquet(files.candles)["open_time"].cast(made["open_time"].dtype)
    )
    assert np.isnan(made["log_return(1)"][0])
    np.testing.assert_allclose(
        made["log_return(1)"][1:], np.log(close[1:] / close[:-1]), rtol=1e-9, atol=1e-15
    )
    np.testing.assert_allclose(
        made["sma(3)"][2:], (close[2:] + close[1:-1] + close[:-2]) / 3, rtol=1e-12
    )
    mean = document["features"][1]
    assert (mean["feature"], mean["warmup"], mean["first"], mean["undefined"]) == (
        "sma(3)",
        2,
        2,
        2,
    )
    assert mean["low"] == made["sma(3)"][2:].min()
    assert mean["last"] == made["sma(3)"][-1]
    assert document["digest"] == bp.FeatureSet(["log_return(1)", "sma(3)"]).digest


def test_the_screen_shows_what_was_computed(run: Run, files: Files) -> None:
    words = [*spot(files), "-f", "sma(3)", "--verify", "--out", "x.csv"]
    code, out, err = run("features", *words)
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    values = pl.read_csv("x.csv", null_values="NaN")["sma(3)"][2:].to_numpy()
    shown = [f"{v:.4g}" for v in (values.mean(), values.std(), values.min(), values.max())]
    assert ["sma(3)", "2", *shown] in lines
    held = bp.FeatureSet(["sma(3)"]).verify(bp.read_candles(files.candles, instrument="spot"))
    told = f"verified no lookahead at {held.cuts} cuts, memory from {held.starts} starts, {held.streamed}"
    assert told in " ".join(out.split())
    assert out.endswith("out: x.csv\n")
    assert max(map(len, out.splitlines())) <= 80


def test_columns_of_your_own_join_by_time(run_json: RunJson, files: Files) -> None:
    frame = pl.read_parquet(files.candles)
    kept = frame[10:].with_columns(up=(pl.col("close") > pl.col("open")))
    kept.select(pl.col("open_time").dt.to_string("%Y-%m-%d %H:%M:%S"), "up").write_csv("own.csv")
    words = [*spot(files), "-f", "sma(3)", "--feature-table", "own.csv", "--out", "x.parquet"]
    code, _ = run_json("features", *words)
    made = pl.read_parquet("x.parquet")
    assert (code, made.columns) == (0, ["open_time", "sma(3)", "up"])
    assert made["up"][:10].is_nan().all()
    assert (made["up"][10:] == kept["up"].cast(pl.Float64)).all()


def test_explain_and_describe_need_no_candles(run: Run, run_json: RunJson) -> None:
    code, out, _ = run("features", "-f", "zscore(rsi(14), 100)", "--explain", "--describe")
    assert code == 0
    assert trimmed(out).startswith(EXPLAINED)
    code, document = run_json("features", "-f", "zscore(rsi(14), 100)", "--describe")
    (row,) = document["features"]
    assert (row["memory"], row["warmup"]) == ("fading", 113)
    code, out, _ = run("features", "-f", "rsi(14)@1h", "--describe")
    assert "name candles to see them" in out


def test_memory_on_longer_bars_is_counted_in_bars_of_the_candles(
    run_json: RunJson, files: Files
) -> None:
    code, document = run_json("features", *spot(files), "-f", "sma(3)@1h", "--describe")
    assert code == 0
    assert document["interval"] == "5m"
    # Three closed hours of twelve bars, up to eleven bars after the last one closed.
    assert document["features"][0]["bars"] >= 36
    assert os.listdir() == []


def test_the_project_tells_features_and_options_win(run_json: RunJson, files: Files) -> None:
    shutil.copy(files.candles, "c.parquet")
    Path("barproof.toml").write_text(
        '[candles]\nsource = "c.parquet"\ninstrument = "spot"\n[features]\nnames = ["sma(3)"]\n'
    )
    _, document = run_json("features", "--out", "x.csv")
    assert [row["feature"] for row in document["features"]] == ["sma(3)"]
    _, document = run_json("features", "c.parquet", "-f", "ema(4)")
    assert [row["feature"] for row in document["features"]] == ["ema(4)"]
    assert "functions" in run_json("features")[1]


def test_nothing_is_written_over_candles_or_by_a_faulty_feature(run: Run, files: Files) -> None:
    before = files.candles.read_bytes()
    code, _, err = run("features", *spot(files), "-f", "sma(3)", "--out", str(files.candles))
    assert code == 2
    assert "give another name" in " ".join(err.split())
    assert files.candles.read_bytes() == before
    code, _, err = run("features", *spot(files), "-f", "rsii(3)", "--out", "x.csv")
    assert (code, err) == (
        2,
        "error: unknown function `rsii`; did you mean `rsi`? in feature `rsii(3)`\n",
    )
    code, _, err = run("features", *spot(files), "-f", "sma(3)@7m", "--out", "x.csv")
    assert code == 2
    assert "is not a multiple of the candles' 5m" in err
    assert os.listdir() == []


# Presets and files.


@pytest.mark.parametrize(
    "words", [["--preset", "gating_109"], ["--preset", "gating_109", "-f", "sma(3)"]]
)
def test_a_preset_comes_before_what_is_added(
    run_json: RunJson, files: Files, words: list[str]
) -> None:
    code, document = run_json("features", *words, "--describe")
    names = [row["feature"] for row in document["features"]]
    assert code == 0
    assert names == [*bp.FeatureSet.preset("gating_109"), *words[3:]]
    code, document = run_json("features", *spot(files), *words, "--out", "x.parquet")
    assert (code, len(document["features"])) == (0, len(names))
    assert pl.read_parquet("x.parquet").columns == ["open_time", *names]


def test_a_preset_may_stand_in_the_file(run_json: RunJson, files: Files) -> None:
    Path("barproof.toml").write_text(
        f'[candles]\nsource = "{files.candles}"\ninstrument = "spot"\n'
        '[features]\npreset = "cross_market_20"\nnames = ["sma(3)"]\n'
    )
    code, document = run_json("features", "--describe")
    assert code == 0
    assert len(document["features"]) == 21
    # What is told wins over the file, both ways.
    code, document = run_json("features", "--describe", "-f", "rsi(7)")
    assert [row["feature"] for row in document["features"]] == ["rsi(7)"]
    code, document = run_json("features", "--describe", "--preset", "classifier_72")
    assert len(document["features"]) == 72


def test_a_preset_that_does_not_exist_is_told(run: Run) -> None:
    code, _, err = run("features", "--preset", "gating_17", "--explain")
    assert code == 2
    assert "there is no preset 'gating_17'; did you mean gating_171?" in err
    Path("barproof.toml").write_text('[features]\nnames = []\npreset = "classifier"\n')
    code, _, err = run("features", "--explain")
    assert code == 2
    assert (
        "line 3: there is no preset 'classifier'; did you mean classifier_72?, in [features]"
        in " ".join(err.split())
    )


def test_a_parquet_file_written_in_blocks_says_what_the_table_says(
    run_json: RunJson, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [*spot(files), "-f", "rsi(14)", "-f", "obv()", "-f", "macd(3, 6, 4)"]
    code, by_frame = run_json("features", *words, "--out", "x.feather")
    assert code == 0
    monkeypatch.setattr("barproof.features.tables._BLOCK_BYTES", 1)
    code, by_block = run_json("features", *words, "--out", "x.parquet")
    assert code == 0
    assert by_block["features"] == by_frame["features"]
    assert pl.read_parquet("x.parquet").equals(pl.read_ipc("x.feather"), null_equal=True)


def test_rows_are_counted_on_a_terminal_and_nowhere_else(
    run: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barproof._progress.time.perf_counter", itertools.count().__next__)
    monkeypatch.setattr("barproof.features.tables._BLOCK_BYTES", 1)
    words = ["features", *spot(files), "-f", "sma(3)", "--out", "x.parquet"]
    code, _, err = run(*words)
    assert (code, err) == (0, "")
    rows = pl.read_parquet("x.parquet").height
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run(*words)
    assert code == 0
    assert "features" in err
    assert f"{rows}/{rows}" in err
    assert f"{rows}/{rows}" not in out


def test_a_run_that_fails_leaves_no_file(
    run: Run, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pl.LazyFrame, "sink_parquet", refuse)
    Path("x.parquet").write_bytes(b"before")
    code, _, err = run("features", *spot(files), "-f", "sma(3)", "--out", "x.parquet")
    assert code == 2
    assert "No space left on device" in err
    assert Path("x.parquet").read_bytes() == b"before"
    assert [path for path in os.listdir() if path.endswith(".tmp")] == []
