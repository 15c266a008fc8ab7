"""S001 at small size: every code fires where raw prices meet the net, and none where the scaler is a layer of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from examples.s001_raw_prices.study import CODES, MENDED, NAMES

import barproof as bp
from tests.examples.variants import FAST, VARIANTS, hold, play

pytest.importorskip("torch")

NAMED = "PAR-03 PAR-04 PAR-05 CKP-05 PRED-02 PRED-03 PRED-04 CAL-01 CAL-05".split()
"""Audits of S001 in the table of case studies."""
SEEDS = [FAST, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (11, 23))]


def test_the_study_speaks_of_all_codes_of_the_case() -> None:
    assert set(CODES) == set(NAMED)
    assert len(NAMES) == len(set(MENDED)) == 72


def held(variant: str, code: int, facts: dict[str, Any]) -> None:
    """Hold a run to its codes."""
    # Thirds are no balance, labels overlap, and some of 72 features say the same.
    also = {"LAB-03", "LAB-06", "LAB-07", "LAB-08", "PAR-07", "SPL-06", "SPL-12", "PRED-06"}
    hold(variant, code, facts, NAMED, also=set() if variant == "broken" else also)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_codes(variant: str, seed: int, tmp_path: Path) -> None:
    code, facts = play("s001_raw_prices", variant, seed, tmp_path / "out")
    held(variant, code, facts)
    for symbol in ("BTC", "ETH", "SOL"):
        told = facts["figures"][f"{symbol} V7"]
        if variant == "broken":
            assert told["largest_logit"] > 20 and not told["scaler"]
        else:
            assert told["largest_logit"] <= 10 and told["scaler"]
            assert told["above_0.99"] < 0.10
            assert " by limit in " in facts["figures"]["signals"][symbol]


def test_prices_behind_a_scaler_are_not_saved_either(tmp_path: Path) -> None:
    # Whoever only puts the scaler back has volumes of fifty deviations in the net.
    candles = bp.simulate_candles(21, bars=16_000, interval="1m", edge=0.2, price=79_568.0)
    X = bp.FeatureSet(list(NAMES)).compute(candles)
    labels = bp.labels.horizon(candles, bars=5, threshold=0.0005)
    net = bp.models.FeedForward(hidden=(8,), epochs=1)
    folds = bp.WalkForward(train=10_400, tune=1_600, test=3_200, gap=5)
    run = bp.train(net, X, labels, folds, seed=7, progress=False, ledger=False)
    with pytest.raises(bp.BundleError, match="fail PAR-03"):
        run.bundles[0].save(tmp_path / "bundle")
