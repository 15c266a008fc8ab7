"""``barproof sweep --out-dir``: parts, going on, refusals; grids that are drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from .market import Files

Run = Callable[..., tuple[int, str, str]]
RunJson = Callable[..., tuple[int, Any]]
AXES = ("--axis", "entry_long=1,1.5,2,2.5", "--axis", "stop_loss=0.01,0.02,0.03,none")


def test_a_folder_is_written_and_gone_on_with(run_json: RunJson, run: Run, files: Files) -> None:
    words = ["sweep", *files.run, *AXES, "--windows", "1w", "--out-dir", "parts"]
    code, first = run_json(*words)
    assert code == 0
    assert first["written"]["out_dir"] == "parts"
    assert first["plan"]["parts"] == 1
    rows = pl.read_parquet("parts/frame/*.parquet")
    code, again = run_json(*words, "--out", "frame.parquet")
    assert code == 0
    assert again["best"] == first["best"]
    assert pl.read_parquet("frame.parquet").equals(rows)
    code, _, err = run(*words[:-4], "--out-dir", "parts")
    assert code == 2
    assert "holds another sweep, which differs in windows" in " ".join(err.split())


def test_a_plan_makes_no_folder(run_json: RunJson, files: Files) -> None:
    code, document = run_json("sweep", *files.run, *AXES, "--out-dir", "parts", "--plan")
    assert (code, document["plan"]["parts"]) == (0, 1)
    assert not Path("parts").exists()


@pytest.mark.parametrize("count", [4, 8])
def test_a_latin_draw_meets_levels_equally_often(
    run_json: RunJson, files: Files, count: int
) -> None:
    draw = ("--sample", str(count), "--method", "latin", "--top", "16", "--min-trades", "0")
    code, document = run_json("sweep", *files.run, *AXES, *draw, "--metric", "total_return")
    assert code == 0
    met = [row["entry_long"] for row in document["best"]]
    assert sorted(met) == sorted([1.0, 1.5, 2.0, 2.5] * (count // 4))


def test_too_large_a_sample_is_refused(run: Run, files: Files) -> None:
    code, _, err = run("sweep", *files.run, *AXES, "--sample", "17")
    assert code == 2
    assert "`sample` is 17, but the grid has only 16 combinations" in " ".join(err.split())
    code, _, err = run("sweep", *files.run, *AXES, "--sample", "4", "--method", "sobol")
    assert code == 2
    assert '`method` of a grid must be "random" or "latin"' in " ".join(err.split())
