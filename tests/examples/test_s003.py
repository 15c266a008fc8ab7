"""Case S003: what fires on the flat transformer and its labels, and what is silent on the mended ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.examples.variants import SEEDS, VARIANTS, hold, play


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_codes_and_verdict(variant: str, seed: int, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from examples.s003_flat.study import CODES

    code, facts = play("s003_flat", variant, seed, tmp_path / "run")
    hold(variant, code, facts, CODES)
    figures = facts["figures"]
    said = "\n".join(facts["said"])
    assert (figures["deviation"] < 1e-4) == (variant == "broken")
    assert (0.25 <= figures["positive"] <= 0.35) == (variant == "mended")
    assert ("with the flat forecast waived for 30 days the verdict is refuted" in said) == (
        variant == "broken"
    )
    assert "rows a second" in said and "label rules swept" in said
