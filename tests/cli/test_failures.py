"""What the command line does when something is wrong: one line, the right code, nothing half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from barproof.cli import check as check_module
from barproof.cli import output
from tests.processes import linux, spent_from_now

from .conftest import Run
from .market import Files, write_market

RunJson = Callable[..., tuple[int, Any]]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["bactest"], "no such command 'bactest'; did you mean 'backtest'; see `barproof --help`"),
        (["check", "--repare", "sort"], "no such option: --repare"),
        (["sweep", "--top", "x"], "invalid value 'x' for '--top'"),
        (["sweep", "--top", "0"], "invalid value '0' for '--top'"),
        (
            ["backtest", "-i", "perpetual", "x.parquet", "--signals", "s.parquet", "--taker", "0"],
            "a perpetual pays funding: give `--funding` PATH",
        ),
        (["check", "-i", "perp", "x.parquet"], "must be one of perpetual, spot, equity, fx"),
        (["check", "-i", "spot", "x.parquet"], "`source` file 'x.parquet' does not exist"),
        (["backtest", "x.parquet", "-i", "spot"], "costs are missing"),
        (["demo", "--bars", "10"], "invalid value '10' for '--bars'"),
    ],
)
def test_usage_is_one_line_and_code_2(
    run: Run, run_json: RunJson, words: list[str], message: str
) -> None:
    code, out, err = run(*words)
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert err.count("\n") == 1
    code, document = run_json(*words)
    assert code == document["exit_code"] == 2
    assert message in document["error"]["message"]
    assert os.listdir() == []


def test_library_errors_speak_of_options(run: Run, files: Files) -> None:
    words = [word for word in files.run if word not in ("--kind", "score")]
    code, _, err = run("backtest", *words, "-r", "entry_long=1")
    assert code == 2
    assert err.count("\n") == 1
    assert "scores go in with --kind score" in err


def test_what_python_would_call_is_told_as_an_option(run: Run, files: Files) -> None:
    code, _, err = run("features", str(files.candles), "-i", "spot", "-f", "funding_rate()")
    assert code == 2
    assert err.endswith("which its candles do not carry: give --funding PATH\n")
    Path("log.csv").write_text("a,b\n1,2\n")
    words = ["log.csv", "--candles", str(files.candles), "-i", "spot", "--bundle", "none"]
    code, _, err = run("parity", *words, "--free")
    assert code == 2
    assert err.endswith("its columns are a, b; name it with --log-column open_time=NAME\n")


def test_of_several_files_the_one_that_cannot_be_read_is_named(run: Run, files: Files) -> None:
    code, _, err = run("check", str(files.candles), str(files.signals), "-i", "spot")
    assert code == 2
    assert err.startswith(f"error: {files.signals}: source lacks columns ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "first"), [("backtest", "candles are missing"), ("live", "`--bundle` is missing")]
)
def test_what_a_command_is_about_is_asked_for_first(run: Run, command: str, first: str) -> None:
    code, out, err = run(command)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {first}")


def test_a_sweep_into_a_file_is_refused_before_anything_is_printed(run: Run, files: Files) -> None:
    Path("o").write_text("kept")
    told = run("sweep", *files.run, "--axis", "entry_long=1,2", "--out-dir", "o")
    assert told == (2, "", "error: `--out-dir` 'o' is a file: give the name of a folder\n")
    assert Path("o").read_text() == "kept"


def test_faulty_candles_are_one_line(run: Run, files: Files) -> None:
    pl.read_parquet(files.candles).reverse().write_parquet("r.parquet")
    words = ["r.parquet", "-i", "spot", "-s", str(files.signals), "--kind", "score", "--taker", "0"]
    code, _, err = run("backtest", *words, "-r", "entry_long=1")
    assert code == 2
    assert err.count("\n") == 1
    assert "(disorder): list them with `barproof check`; --repair sort" in err


def test_no_folder_no_work(run: Run, files: Files) -> None:
    code, _, err = run("sweep", *files.run, "--axis", "entry_long=1,2", "--out", "no/o.parquet")
    assert code == 2
    assert err == "error: `--out` 'no/o.parquet' lies in a folder that does not exist: mkdir 'no'\n"


def test_a_bug_is_code_3_and_asks_for_a_report(
    run: Run, run_json: RunJson, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(check_module, "_document", crash)
    code, out, err = run("check", *files.market)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "unexpected ZeroDivisionError" in err
    assert "please report it" in err
    code, document = run_json("check", *files.market)
    assert code == document["exit_code"] == 3
    monkeypatch.setenv("BARPROOF_DEBUG", "1")
    assert "Traceback" in run("check", *files.market)[2]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "o.parquet"
    target.write_text("old")

    def fail() -> None:
        with output.whole_file(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(tmp_path) == ["o.parquet"]
    assert target.read_text() == "old"


def test_ctrl_c_in_process(run: Run, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "_document", stop)
    assert run("check", *files.market) == (130, "", "error: interrupted\n")


@linux
@pytest.mark.parametrize("written", [True, False])
def test_ctrl_c_stops_a_sweep_within_a_second(tmp_path: Path, written: bool) -> None:
    files = write_market(tmp_path, bars=100_000)
    kept = sorted(os.listdir(tmp_path))
    thresholds = ",".join(str(0.5 + i / 100) for i in range(200))
    stops = ",".join(str(0.002 + i / 10_000) for i in range(100))
    words = ["--axis", f"entry_long+entry_short={thresholds}", "--axis", f"stop_loss={stops}"]
    # Reversing keeps entries from being shared, and a stop that moves is then stepped bar by bar: long enough to be
    # stopped.
    words += ["--rule", "trailing=0.05", "--rule", "reverse=true"]
    target = tmp_path / "o.parquet"
    process = subprocess.Popen(
        [sys.executable, "-m", "barproof", "sweep", *files.run, *words]
        + (["--out", str(target)] if written else []),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    # The plan is printed when the sweep is about to begin.
    for line in process.stdout:
        if "plan" in line:
            break
    time.sleep(1.0)
    spent = spent_from_now(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert spent() < 1.0
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert err.startswith("error: interrupted after ")
    if written:
        assert sorted(os.listdir(tmp_path)) == sorted([*kept, "o.parquet"])
        done = int(err.split()[3].replace(",", ""))
        assert pl.read_parquet(target).height == done > 0
    else:
        assert "nothing was written" in err
        assert sorted(os.listdir(tmp_path)) == kept


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_that_leaves(files: Files) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "barproof", "rules"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert err == b""


def test_nothing_is_written_over_what_is_read(run: Run, files: Files) -> None:
    before = {path: path.read_bytes() for path in (files.candles, files.signals, files.funding)}
    for path in before:
        code, _, err = run("backtest", *files.run, "--rule", "entry_long=1", "--trades", str(path))
        assert code == 2
        assert "give another name" in " ".join(err.split())
    code, _, err = run("sweep", *files.run, "--axis", "entry_long=1,2", "--out", str(files.signals))
    assert code == 2
    assert {path: path.read_bytes() for path in before} == before


def test_an_equity_of_zero_is_refused_and_not_replaced(run: Run, files: Files) -> None:
    code, _, err = run("backtest", *files.run, "--rule", "entry_long=1", "--equity-start", "0")
    assert code == 2
    assert "`initial_equity` must be finite and > 0" in " ".join(err.split())
