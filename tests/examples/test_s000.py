"""S000 at small size: every code fires on the checkpoint as it was read, and none on the one that is read by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from examples.s000_cross_market import study
from examples.s000_cross_market.study import CODES

from barproof import checkpoints
from tests.examples.variants import SEEDS, VARIANTS, hold, play

pytest.importorskip("torch")

NAMED = "CKP-01 CKP-02 CKP-03 CKP-04 CKP-07 PAR-08 PRED-07 PRED-08 PRED-09 PRED-10 DATA-06".split()
"""Audits of S000 in the table of case studies."""


def test_the_study_speaks_of_all_codes_of_the_case() -> None:
    assert set(CODES) == set(NAMED)


def held(variant: str, code: int, facts: dict[str, Any]) -> None:
    """Hold a run to its codes."""
    # Weeks on which the direction is no better than a coin.
    hold(variant, code, facts, NAMED, also={"PRED-14"})


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_codes(variant: str, seed: int, tmp_path: Path) -> None:
    code, facts = play("s000_cross_market", variant, seed, tmp_path / "out")
    held(variant, code, facts)
    figures = facts["figures"]
    if variant == "broken":
        assert figures["direction"] < 0.5 and figures["correlation"] < 0
        assert abs(figures["recomputed"] / figures["loss"] - 1) > 0.1
    else:
        assert figures["recomputed"] == pytest.approx(figures["loss"], rel=1e-6)
        assert figures["direction"] > 0.55
        # A row for each of 240 channels and 24 steps.
        scores = pl.read_csv(tmp_path / "out" / "scores.csv")
        assert scores.height == 240 * 24 and scores["target"].n_unique() == 240


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_study_goes_on_with_its_net(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    monkeypatch.setattr(checkpoints, "recreate", stop)
    assert study.main(["--mended", "--out", str(out), "--quiet"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
    trained = (out / "net.safetensors").stat()
    monkeypatch.undo()
    code, facts = play("s000_cross_market", "mended", 7, out)
    held("mended", code, facts)
    assert (out / "net.safetensors").stat().st_mtime_ns == trained.st_mtime_ns
