"""At what rate the studies keep their codes on seeds that nobody chose: the first twenty."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from tests.examples.variants import VARIANTS, play

SEEDS = range(1, 21)
CASES = {
    "s000": "s000_cross_market",
    "s001": "s001_raw_prices",
    "s002": "s002_all_up",
    "s003": "s003_flat",
    "s004": "s004_gating",
}
MISSES = {("s004", "mended"): 8}
"""Seeds of twenty that may be missed, with the reason in the README of the case; none where nothing is said.

S004 mended: 5 of these twenty were missed when it was measured, a quarter. Where a quarter is missed, 9 or more of
twenty are missed with a chance of 4.1% (binomial); so many say that something has become worse.
"""


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("case", CASES)
def test_any_seed(case: str, variant: str, tmp_path: Path) -> None:
    held = importlib.import_module(f"tests.examples.test_{case}").held
    missed = {}
    for seed in SEEDS:
        code, facts = play(CASES[case], variant, seed, tmp_path / str(seed))
        try:
            held(variant, code, facts)
        except AssertionError as error:
            missed[seed] = str(error).splitlines()[0]
    assert len(missed) <= MISSES.get((case, variant), 0), missed
