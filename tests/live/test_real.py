"""Real bars, eight thousand or fifty, stepped: features bit for bit, probabilities, decisions and trades."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest

import barproof as bp
from barproof.live.identity import row_digest
from tests.live.market import folder, signals_of
from tests.live.test_session import assert_trades_equal, rows
from tests.models.market import quiet
from tests.tolerances import ROUNDING

DATA = os.environ.get("BARPROOF_DATA")
START = 3_000


@pytest.mark.skipif(not DATA, reason="needs BARPROOF_DATA")
@pytest.mark.parametrize(
    ("bars", "entry"), [(8_000, 0.505), pytest.param(50_000, 0.52, marks=pytest.mark.slow)]
)
@pytest.mark.timeout(900)
def test_real_bars(bars: int, entry: float) -> None:
    place = Path(DATA or "")
    with warnings.catch_warnings():
        # Funding begins after the first bars.
        warnings.simplefilter("ignore", bp.DataWarning)
        of = bp.read_candles(
            place / "binanceum_solusdt_5m.parquet",
            instrument="perpetual",
            symbol="SOLUSDT",
            funding=place / "binanceum_solusdt_funding.parquet",
            on_fault="warn",
        )
    assert len(of) >= START + bars
    of = of[: START + bars]
    features = bp.FeatureSet.preset("gating_171")
    X = features.compute(of)
    labels = bp.labels.horizon(of, bars=6, kind="binary")
    run = quiet(bp.models.Logistic(), X, labels, bp.WalkForward(9_000, 500, tune=1_000))
    bundle = run.bundles[0]
    rules = bp.Rules(
        entry_long=entry, entry_short=entry, stop_loss=0.01, take_profit=0.015, max_hold=48
    )
    costs = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
    decisions = []
    with folder() as state:
        live = bp.LiveSession(bundle, rules, costs=costs, state=state, candles=of[:START])
        decisions += [live.on_bar(bar) for bar in of[START:]]
        live.close()
        want = X.drop("open_time").to_numpy()[START:]
        digests = [
            digest
            for (digest,) in rows(state, "SELECT feature_digest FROM decisions ORDER BY open_time")
        ]
        assert digests == [row_digest(row) for row in want]
        said = np.array([d.p_long for d in decisions], dtype=float)
        batch = bundle.predict(X)[START:, 1]
        assert np.array_equal(np.isnan(said), np.isnan(batch))
        assert np.nanmax(np.abs(said - batch)) <= ROUNDING
        assert rules.entry_long is not None and rules.entry_short is not None
        for threshold in (rules.entry_long, 1.0 - rules.entry_short):
            clear = np.abs(batch - threshold) > 1e-6
            assert np.array_equal((said >= threshold)[clear], (batch >= threshold)[clear])
        result = bp.backtest(
            of,
            signals_of(decisions, len(of), START),
            rules,
            costs=costs,
            window=(START, len(of)),
            engine="replay",
            ledger=False,
        )
        assert len(result.trades) > bars // 500
        assert_trades_equal(state, result)
        assert [d.equity for d in decisions][:-1] == result.equity["equity"].to_list()[:-1]
