"""Labels by the horizon, against loops written from the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from tests.helpers import flat, market


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(5, 80),
    bars=st.integers(1, 30),
    threshold=st.sampled_from([None, 0.0, 0.001, 0.02]),
    kind=st.sampled_from([None, "regression", "binary", "ternary"]),
    clock=st.sampled_from(["open", "close"]),
)
def test_horizon_equals_its_definition(
    seed: int, n: int, bars: int, threshold: float | None, kind: str | None, clock: str
) -> None:
    candles = bp.simulate_candles(seed, bars=n, interval="1h")
    lead = 1 if clock == "open" else 0
    if bars + lead >= n:
        with pytest.raises(bp.ParameterError, match="the candles hold"):
            bp.labels.horizon(candles, bars=bars, clock=clock)  # type: ignore[arg-type]
        return
    labels = bp.labels.horizon(candles, bars=bars, threshold=threshold, kind=kind, clock=clock)  # type: ignore[arg-type]
    level = threshold or 0.0
    expected = kind or ("ternary" if level > 0 else "regression")
    assert labels.kind == expected
    for i in range(n):
        begin, end = i + lead, i + lead + bars
        assert (labels.start[i], labels.end[i]) == (begin, end)
        if end >= n:
            assert math.isnan(labels.values[i])
            continue
        bar, last = candles[begin], candles[end]
        change = last.open / bar.open - 1 if clock == "open" else last.close / bar.close - 1
        if expected == "regression":
            want = change
        elif expected == "binary":
            want = 1.0 if change > level else 0.0
        else:
            want = 1.0 if change > level else -1.0 if change < -level else 0.0
        assert labels.values[i] == want


def test_a_label_is_the_trade_that_a_decision_at_the_close_would_make() -> None:
    candles = bp.simulate_candles(3, bars=500)
    labels = bp.labels.horizon(candles, bars=5)
    signals = bp.Signals.sparse(candles, long=[(100, 1.0)])
    rules = bp.Rules(entry_long=0.5, max_hold=5)
    trade = bp.backtest(candles, signals, rules, costs=bp.Costs.free()).trades.row(0, named=True)
    assert trade["exit_bar"] == labels.end[100]
    assert trade["entry_bar"] == labels.start[100]
    funding = trade["funding"] / trade["notional"]
    assert trade["return"] - funding == pytest.approx(labels.values[100])


def test_labels_keep_their_candles_and_identity() -> None:
    candles = bp.simulate_candles(3, bars=500)
    labels = bp.labels.horizon(candles, bars=5, threshold=0.001)
    assert labels.candles is candles
    assert labels.digest == bp.labels.horizon(candles, bars=5, threshold=0.001).digest
    assert labels.digest != bp.labels.horizon(candles, bars=6, threshold=0.001).digest
    assert labels.digest != bp.labels.horizon(candles[:400], bars=5, threshold=0.001).digest
    assert sum(labels.shares().values()) == pytest.approx(1)
    assert labels.to_polars().columns == ["open_time", "label", "start", "end"]
    with pytest.raises(ValueError, match="read-only"):
        labels.values[0] = 1.0


def test_a_flat_market_is_neutral() -> None:
    labels = bp.labels.horizon(market(flat(100.0, 20)), bars=3, threshold=0.001)
    assert labels.shares() == {-1.0: 0.0, 0.0: 1.0, 1.0: 0.0}
    assert np.isnan(labels.values).sum() == 4
