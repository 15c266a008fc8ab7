"""``barproof init``: a project that runs at once, whole or not there at all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import barproof as bp
from barproof.cli import init as init_module
from barproof.cli import main

from .conftest import Run
from .market import Files

HELD = {"barproof.toml", "study.py", "README.md", ".gitignore", ".barproof", "data"}
ENV = {**os.environ, "PYTHONPATH": str(Path(bp.__file__).parents[1]), "NO_COLOR": "1"}


def python(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=ENV, capture_output=True, text=True, timeout=240
    )


@pytest.mark.timeout(280)
def test_a_project_runs_at_once_to_a_report(run: Run, tmp_path: Path) -> None:
    code, out, err = run("init", "momentum")
    assert (code, err) == (0, "")
    project = tmp_path / "momentum"
    assert set(os.listdir(project)) == HELD
    assert out.splitlines()[-3:] == ["  cd momentum", "  python study.py", "  barproof audit --run"]
    # The study as a program.
    done = python(project, "study.py")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[-1] == "the page: report.html"
    (verdict,) = [one for one in lines if one in ("sound", "refuted", "nothing proved")]
    # Why stands below the word, where it is not the best one.
    assert all(one.startswith("  ") for one in lines[lines.index(verdict) + 1 : -1])
    page = (project / "report.html").read_text(encoding="utf-8")
    assert page.lower().startswith("<!doctype html>")
    # The same one from the configuration: the same trades, the same verdict.
    told = python(project, "-m", "barproof", "audit", "--run", "--json")
    document = json.loads(told.stdout)
    assert document["report"]["verdict"] == verdict
    # Both are in the ledger of the project, and their candles are the same.
    runs = bp.Ledger.open(project / ".barproof" / "ledger.sqlite").runs()
    assert runs["kind"].to_list() == ["train", "walk_forward_optimise", "audit"] * 2
    assert runs["data_digest"].n_unique() == 1
    check = python(project, "-m", "barproof", "check")
    assert check.returncode == 0, check.stderr
    assert "no faults" in check.stdout


@pytest.mark.timeout(280)
def test_a_project_of_own_candles(run: Run, files: Files, tmp_path: Path) -> None:
    code, _, err = run("init", "mine", "--candles", *files.market)
    assert code == 0, err
    project = tmp_path / "mine"
    assert os.listdir(project / "data") == ["README"]
    told = tomllib.loads((project / "barproof.toml").read_text())
    assert (project / told["candles"]["source"]).resolve() == files.candles.resolve()
    assert (project / told["candles"]["funding"]).resolve() == files.funding.resolve()
    assert python(project, "-m", "barproof", "check").returncode == 0
    done = python(project, "study.py")
    assert done.returncode == 0, done.stderr
    assert (project / "report.html").exists()
    # A code alone tells nobody anything: what decided is told with what it found.
    lines = done.stdout.splitlines()
    why = lines[lines.index("refuted") + 1 : -1]
    assert why
    assert [one for one in why if not re.match(r"  [A-Z]+-\d\d failed: \S.* ", one)] == []


def test_names_that_need_quotes(run: Run, files: Files) -> None:
    odd = Path("a 'b' \"c\" \\ d.parquet")
    odd.write_bytes(files.candles.read_bytes())
    code, _, err = run("init", "p q", "--candles", str(odd), "-i", "spot")
    assert code == 0, err
    told = tomllib.loads(Path("p q/barproof.toml").read_text())
    assert (Path("p q") / told["candles"]["source"]).exists()
    compile(Path("p q/study.py").read_text(), "study.py", "exec")
    assert f'"{json.dumps(told["candles"]["source"])[1:-1]}"' in Path("p q/study.py").read_text()


def test_an_empty_folder_is_filled_and_one_that_is_not_is_refused(run: Run, tmp_path: Path) -> None:
    Path("empty").mkdir()
    os.chdir("empty")
    assert main(["init", "."]) == 0
    assert set(os.listdir()) == HELD
    assert os.listdir(tmp_path) == ["empty"]
    os.chdir(tmp_path)
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("keep")
    for name in ("empty", "mine"):
        held = sorted(Path(name).rglob("*"))
        code, _, err = run("init", name)
        assert code == 2
        assert f"{name!r} is not empty" in err
        assert sorted(Path(name).rglob("*")) == held
    Path("link").symlink_to("nowhere")
    assert run("init", "link")[0] == 2
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("failing", ["write_text", "mkdir", "write_parquet", "rename"])
def test_nothing_is_half_written(
    run: Run, monkeypatch: pytest.MonkeyPatch, failing: str, there: bool
) -> None:
    if there:
        Path("p").mkdir()
    before = sorted(map(str, Path().rglob("*")))
    left = 3

    def fail(*args: Any, **options: Any) -> Any:
        nonlocal left
        left -= 1
        if left < 0 or failing in ("mkdir", "write_parquet"):
            raise OSError(28, "No space left on device")
        return plain(*args, **options)

    where: Any = {"rename": os, "write_parquet": pl.DataFrame}.get(failing, Path)
    plain = getattr(where, failing)
    if failing == "rename" and not there:
        left = 0
    with monkeypatch.context() as patched:
        patched.setattr(where, failing, fail)
        code, _, err = run("init", "p")
    assert code == 2
    assert "'p' cannot be made: No space left on device; nothing was written" in err
    assert sorted(map(str, Path().rglob("*"))) == before


def test_candles_that_cannot_be_read_make_no_project(run: Run, files: Files) -> None:
    pl.read_parquet(files.candles).reverse().write_parquet("r.parquet")
    code, _, err = run("init", "p", "--candles", "r.parquet", "-i", "spot")
    assert code == 2
    assert "disorder" in err
    assert os.listdir() == ["r.parquet"]
    code, _, err = run("init", "p", "--candles", "r.parquet", "-i", "perpetual")
    assert "a perpetual pays funding" in err
    assert init_module.BARS == 40_000
