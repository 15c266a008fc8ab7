"""S002 at small size: every code fires where all labels are 1, and none where they are moves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from examples.s002_all_up.study import CODES, STEPS

import barproof as bp
from tests.examples.variants import FAST, VARIANTS, hold, play

pytest.importorskip("torch")
pytest.importorskip("xgboost")

NAMED = "LAB-01 LAB-02 PRED-06 CLM-07 SPL-02 SPL-03 DATA-02".split()
"""Audits of S002 in the table of case studies."""
SEEDS = [FAST, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (11, 23))]
# One class leaves every judge of probabilities without an answer, and one number nothing to hold a claim against.
WITHOUT_ANSWER = (
    "CAL-01 CAL-02 CAL-03 CAL-04 CAL-05 PRED-04 PRED-07 PRED-13 LAB-03 LAB-08 DATA-08 SPL-06 "
    "CLM-01 CLM-02 CLM-03 CLM-04 CLM-05 CLM-06 CLM-08 CLM-09 CLM-10"
).split()
# One claim tells no return, rate or second number; hourly features drift; labels overlap.
OPEN = "CLM-04 CLM-05 CLM-08 CLM-09 CLM-10 PAR-06 LAB-03 LAB-06 LAB-08 SPL-06 SPL-12 CAL-03 CAL-04".split()


def test_the_study_speaks_of_all_codes_of_the_case() -> None:
    assert set(CODES) == set(NAMED)
    assert [name[0] for name in STEPS] == [*"123456", "r"]


def held(variant: str, code: int, facts: dict[str, Any]) -> None:
    """Hold a run to its codes."""
    hold(variant, code, facts, NAMED, also=WITHOUT_ANSWER if variant == "broken" else OPEN)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_codes(variant: str, seed: int, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, facts = play("s002_all_up", variant, seed, out)
    held(variant, code, facts)
    report = bp.Report.from_json((out / "report.json").read_text())
    if variant == "broken":
        assert facts["figures"]["accuracy"] == 1.0
        # Which rule the label really follows.
        assert report["LAB-02"].evidence["rule"] == "close > 0"
        assert any("bp.train refuses" in line for line in facts["said"])
    else:
        claim = bp.claims.load_claims(out / "claims.toml").claims[0]
        assert claim.n and claim.low and claim.high and claim.null
        told = json.loads((out / "evaluation.json").read_text())["accuracy"]
        assert claim.low < told < claim.high and claim.null < claim.low
