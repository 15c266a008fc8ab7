"""Case S003: what fires on the flat transformer and its labels, and what is silent on the mended ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples.s003_flat.study import CODES

from tests.examples.variants import SEEDS, VARIANTS, hold, play

pytest.importorskip("torch")


NAMED = "PRED-01 PRED-11 PRED-12 LAB-03 LAB-04 LAB-05 DATA-04".split()
"""Audits of S003 in the table of case studies."""


def test_the_study_speaks_of_all_codes_of_the_case() -> None:
    assert set(CODES) == set(NAMED)


def held(variant: str, code: int, facts: dict[str, Any]) -> None:
    """Hold a run to its codes."""
    hold(variant, code, facts, NAMED)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_flat_net_is_refuted_where_there_is_something_to_learn(tmp_path: Path) -> None:
    code, facts = play("s003_flat", "broken", 7, tmp_path / "run", "--edge", "0.3")
    assert code == 1
    assert set(NAMED) - set(facts["fired"]) == {"LAB-04"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_codes_and_verdict(variant: str, seed: int, tmp_path: Path) -> None:
    code, facts = play("s003_flat", variant, seed, tmp_path / "run")
    held(variant, code, facts)
    figures = facts["figures"]
    said = "\n".join(facts["said"])
    assert (figures["deviation"] < 1e-4) == (variant == "broken")
    assert (0.25 <= figures["positive"] <= 0.35) == (variant == "mended")
    assert ("with the flat forecast waived for 30 days the verdict is refuted" in said) == (
        variant == "broken"
    )
    assert "rows a second" in said and "label rules swept" in said
