"""What every command does when all is well."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import barproof as bp
from barproof import _core
from barproof.cli import doctor as doctor_module
from barproof.cli import main, output

from .conftest import Run
from .market import Files

RunJson = Callable[..., tuple[int, Any]]

RULES = [
    "--rule",
    "entry_long+entry_short=1.5",
    "--rule",
    "stop_loss=0.01",
    "--rule",
    "max_hold=24",
]
GRID = ["--axis", "entry_long+entry_short=1,1.5", "--axis", "stop_loss=0.01,0.02,none"]


def test_version(run: Run) -> None:
    assert run("--version") == (0, f"barproof {bp.__version__}\n", "")


def test_no_command_shows_the_help(run: Run) -> None:
    code, out, _ = run()
    assert code == 2
    assert "backtest" in out


@pytest.mark.parametrize(
    "command",
    [
        *("check", "features", "labels", "train", "evaluate", "backtest", "sweep", "audit"),
        *("explain", "demo", "doctor", "rules", "metrics", "ledger"),
    ],
)
def test_help_fits_the_screen_and_names_the_exit_codes(run: Run, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Exit codes: 0 done" in out
    assert max(map(len, out.splitlines())) <= 80


def test_module_and_script_are_the_same() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "barproof", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"barproof {bp.__version__}\n"


def test_import_of_the_package_loads_no_command_line() -> None:
    program = (
        "import sys, barproof; print([m for m in ('typer', 'rich', 'pydantic', 'plotly', 'barproof.cli')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_commands_load_what_they_use() -> None:
    """Statistics, models and charts are loaded by the commands that compute with them."""
    program = (
        "import sys; from barproof.cli import main; main(['audit', '--help']); print([m for m in ('sklearn', 'scipy', "
        "'plotly', 'barproof.audits') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_rules_derive_from_the_table(run: Run, run_json: RunJson) -> None:
    names = [row["name"] for row in _core.rules_table()]
    code, out, _ = run("rules")
    assert code == 0
    assert [name for name in names if name not in out] == []
    assert run("backtest", "--help-rules") == (0, out, "")
    code, document = run_json("rules")
    assert [row["name"] for row in document["rules"]] == names


def test_metrics_derive_from_the_table(run: Run, run_json: RunJson) -> None:
    names = [row["name"] for row in _core.metrics_table()]
    code, out, _ = run("metrics")
    assert code == 0
    assert [name for name in names if name not in out] == []
    assert [row["name"] for row in run_json("metrics")[1]["metrics"]] == names


def test_doctor(run: Run, run_json: RunJson) -> None:
    code, out, _ = run("doctor")
    assert code == 0
    assert "all is well" in out
    code, document = run_json("doctor")
    assert code == 0
    assert document["release_build"] is True
    assert document["import_seconds"] > 0


def test_doctor_names_a_debug_build(
    run: Run, run_json: RunJson, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_core, "RELEASE_BUILD", False)
    monkeypatch.setattr(doctor_module, "_import_seconds", lambda: 0.1)
    code, out, _ = run("doctor")
    assert code == 1
    assert "fault: the extension is a debug build" in out
    assert run_json("doctor")[1]["exit_code"] == 1


def test_check(run: Run, run_json: RunJson, files: Files) -> None:
    code, out, _ = run("check", *files.market)
    assert code == 0
    assert "SIMUSDT 5m, perpetual, calendar 24/7" in out
    code, document = run_json("check", *files.market)
    assert code == 0
    (facts,) = document["files"]
    assert facts["bars"] == 6_000
    assert facts["holes"] == 0
    assert facts["ok"] is True
    candles = bp.read_candles(files.candles, instrument="perpetual", funding=files.funding)
    assert facts["digest"] == candles.digest


def broken(files: Files, path: Path) -> Path:
    """Write candles with an OHLC fault, out of order and with a repeated row."""
    frame = pl.read_parquet(files.candles)
    frame = frame.with_columns(
        high=pl.when(pl.int_range(pl.len()) == 7).then(0.5).otherwise("high")
    )
    pl.concat([frame[1000:], frame[:1001]]).write_parquet(path)
    return path


def test_check_needs_no_funding_but_says_that_runs_will(run: Run, files: Files) -> None:
    code, out, _ = run("check", str(files.candles), "--instrument", "perpetual")
    assert code == 0
    assert "none attached; backtest and sweep ask for --funding" in " ".join(out.split())


def test_check_finds_faults_and_its_repair_works(run: Run, run_json: RunJson, files: Files) -> None:
    path = broken(files, Path("broken.parquet"))
    code, out, err = run("check", str(path), "-i", "spot")
    assert code == 1
    assert err == ""
    assert "error disorder" in out
    assert "remedy: pass --repair sort" in out
    code, document = run_json("check", str(path), "-i", "spot")
    assert code == 1
    (facts,) = document["files"]
    assert facts["errors"] >= 2
    words = facts["remedy"].split()
    assert words[:3] == ["barproof", "check", "broken.parquet"]
    assert main(words[1:]) == 0


def test_check_of_several_files(run: Run, run_json: RunJson, files: Files) -> None:
    bad = broken(files, Path("broken.parquet"))
    code, out, _ = run("check", str(files.candles), str(bad), "-i", "spot")
    assert code == 1
    assert out.rstrip().endswith("2 files: 1 sound, 1 not")
    code, out, err = run("check", str(files.candles), "absent.parquet", "-i", "spot")
    assert code == 2
    assert err.startswith("error: `source` file 'absent.parquet' does not exist")
    code, document = run_json("check", str(files.candles), str(bad), "-i", "spot")
    assert [f["ok"] for f in document["files"]] == [True, False]


def test_check_strict_fails_on_warnings(run: Run, files: Files) -> None:
    frame = pl.read_parquet(files.candles)
    frame[:2000].vstack(frame[2003:]).write_parquet("hole.parquet")
    assert run("check", "hole.parquet", "-i", "spot")[0] == 0
    assert run("check", "hole.parquet", "-i", "spot", "--on-fault", "strict")[0] == 1


def test_backtest_agrees_with_the_library(run: Run, run_json: RunJson, files: Files) -> None:
    code, out, _ = run("backtest", *files.run, *RULES)
    assert code == 0
    assert "buy & hold" in out
    assert "exit" in out
    code, document = run_json("backtest", *files.run, *RULES)
    assert code == 0
    candles = bp.read_candles(files.candles, instrument="perpetual", funding=files.funding)
    signals = bp.Signals.from_frame(pl.read_parquet(files.signals), kind="score")
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, stop_loss=0.01, max_hold=24)
    result = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0005, slippage=0.0001))
    assert document["metrics"] == output.plain(result.metrics)
    assert document["provenance"]["candles"] == candles.digest
    assert document["warnings"] == [
        "the market is simulated: its numbers say nothing about any real one"
    ]


def test_backtest_writes_what_was_asked_for(run: Run, run_json: RunJson, files: Files) -> None:
    words = ["--trades", "t.csv", "--equity", "e.parquet", "--report", "r.html"]
    window = ["--window", "2022-01-03", "2022-01-10"]
    code, document = run_json("backtest", *files.run, *RULES, *window, *words)
    assert code == 0
    assert pl.read_csv("t.csv").height == document["metrics"]["trades"]
    assert pl.read_parquet("e.parquet").height == 7 * 288
    assert Path("r.html").read_text().lower().startswith("<!doctype html>")
    assert sorted(os.listdir()) == ["e.parquet", "r.html", "t.csv"]


def test_backtest_warns(run: Run, files: Files) -> None:
    words = [str(files.candles), "-i", "perpetual", "--funding", "none", "-s", str(files.signals)]
    code, out, err = run("backtest", *words, "--kind", "score", "-r", "entry_long=9", "--free")
    assert code == 0
    assert "warning" not in out
    assert err.splitlines() == [
        "warning: the market is simulated: its numbers say nothing about any real one",
        "warning: no costs were charged: no market is free",
        "warning: a perpetual without funding: holding it cost nothing here",
        "warning: no trade was made: the thresholds were never reached, or sizes fell below the minimum",
    ]


def test_signal_columns_and_times_as_text(run_json: RunJson, files: Files) -> None:
    pl.read_parquet(files.signals).select(
        pl.col("open_time").dt.to_string("%Y-%m-%d %H:%M:%S").alias("time"), p=pl.col("long")
    ).write_csv("s.csv")
    words = ["-s", "s.csv", "--signal-time", "time", "--signal-column", "long=p"]
    code, document = run_json("backtest", *files.run, *words, "-r", "entry_long=1")
    assert code == 0
    assert document["metrics"]["trades"] > 0


def test_sweep(run: Run, run_json: RunJson, files: Files) -> None:
    words = ["--windows", "1w", "--out", "o.parquet", "--pooled", "p.csv", "--report", "r.html"]
    code, out, err = run("sweep", *files.run, *GRID, *words)
    assert code == 0
    assert "6 combinations x 3 windows" in out
    assert "the best of 6 was chosen on the bars that judge it" in " ".join(out.split())
    assert err.startswith("warning: the market is simulated")
    assert pl.read_parquet("o.parquet").height == 18
    assert pl.read_csv("p.csv").height == 6
    assert sorted(os.listdir()) == ["o.parquet", "p.csv", "r.html"]
    code, document = run_json("sweep", *files.run, *GRID, "--windows", "1w", "--top", "2")
    assert code == 0
    assert len(document["best"]) == 2
    pooled = pl.read_csv("p.csv")
    assert document["best"][0]["sharpe"] == pytest.approx(pooled["sharpe"].max(), rel=1e-12)


def test_sweep_plan_runs_nothing(run: Run, run_json: RunJson, files: Files) -> None:
    code, out, _ = run("sweep", *files.run, *GRID, "--plan", "--out", "o.parquet")
    assert code == 0
    assert "best" not in out
    assert os.listdir() == []
    code, document = run_json("sweep", *files.run, *GRID, "--plan")
    assert document["plan"]["combinations"] == 6


def test_sweep_together_and_sample(run_json: RunJson, files: Files) -> None:
    axes = ["--together", "entry_long=1,1.5,2 stop_loss=0.01,0.02,0.03", "--axis", "max_hold=12,24"]
    code, document = run_json("sweep", *files.run, *axes)
    assert code == 0
    assert document["combinations"] == 6
    pairs = {(row["entry_long"], row["stop_loss"]) for row in document["best"]}
    assert pairs == {(1.0, 0.01), (1.5, 0.02), (2.0, 0.03)}
    code, document = run_json("sweep", *files.run, *axes, "--sample", "2", "--seed", "5")
    assert document["combinations"] == 2


def test_demo(run: Run, run_json: RunJson) -> None:
    words = ["demo", "--bars", "40000", "--out", "deep/demo"]
    code, out, _ = run(*words)
    assert code == 0
    assert out.rstrip().splitlines()[-1] == str(Path("deep/demo/report.html"))
    assert "simulated" in out
    assert os.listdir("deep/demo") == ["report.html"]
    code, document = run_json(*words)
    assert code == 0
    assert document["sweep"]["combinations"] >= 256
    assert document["twin"]["verdict"] == "refuted"
    assert {"SPL-07", "PRED-05", "ECO-09"} <= set(document["twin"]["failed"])
    assert document["audit"]["exit_code"] in (0, 1, 4)
    assert document["report"] == str(Path("deep/demo/report.html"))


def test_tables_fit_80_columns(run: Run, files: Files) -> None:
    for words in (
        ["backtest", *files.run, *RULES],
        ["sweep", *files.run, *GRID, "--axis", "take_profit=0.01,none", "--axis", "max_hold=12,24"],
        ["rules"],
        ["metrics"],
        ["doctor"],
    ):
        _, out, _ = run(*words)
        assert max(map(len, out.splitlines())) <= 80, words[0]


def test_no_color(files: Files) -> None:
    """Colours appear where a terminal is forced, and never with NO_COLOR."""
    words = [sys.executable, "-m", "barproof", "check", *files.market]
    base = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    coloured = subprocess.run(
        words, env={**base, "FORCE_COLOR": "1", "TERM": "xterm"}, capture_output=True, check=True
    )
    plain = subprocess.run(words, env={**base, "NO_COLOR": "1"}, capture_output=True, check=True)
    both = subprocess.run(
        words,
        env={**base, "NO_COLOR": "1", "FORCE_COLOR": "1", "TERM": "xterm"},
        capture_output=True,
        check=True,
    )
    assert b"\x1b[" in coloured.stdout
    assert b"\x1b[" not in plain.stdout
    assert b"\x1b[3" not in both.stdout  # bold and dim may stay, colours not


def test_output_that_knows_no_unicode(files: Files) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "barproof", "backtest", *files.run, *RULES],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.isascii()


def test_json_is_one_document(files: Files) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "barproof", "sweep", *files.run, *GRID, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["exit_code"] == 0
