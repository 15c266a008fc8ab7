"""Control experiments: random entries keep what they should, and tell an edge from none."""

from __future__ import annotations

import numpy as np
import pytest

import barproof as bp
from barproof import _controls
from tests.tolerances import REFERENCE

near = pytest.approx
RULES = bp.Rules(entry_long=1.0, entry_short=1.0, max_hold=4)


def result(edge: float, seed: int = 3, bars: int = 4_000, **options: object) -> bp.Result:
    candles = bp.simulate_candles(seed, bars=bars, interval="1h", edge=edge)
    planted = candles.planted
    assert planted is not None
    signals = bp.Signals(long=planted, short=-planted, kind="score")
    costs = bp.Costs(taker=0.0002)
    return bp.backtest(candles, signals, RULES, costs=costs, ledger=False, **options)  # type: ignore[arg-type]


def test_random_entries_tell_an_edge_from_none(monkeypatch: pytest.MonkeyPatch) -> None:
    found = bp.random_entries(result(0.2), draws=99)
    assert found.p == 0.01 and found.real > found.drawn.max()
    assert found.drawn_trades == near(found.trades, rel=0.15)
    none = [bp.random_entries(result(0.0, seed=s, bars=1_500), draws=19).p for s in range(20)]
    assert 0.25 < float(np.mean(none)) < 0.8 and min(none) < 0.5
    # Few at a time, the same draws.
    monkeypatch.setattr(_controls, "_BYTES", 8 * 4_000 * 2 * 7)
    again = bp.random_entries(result(0.2), draws=99, threads=1)
    assert again.drawn.tolist() == found.drawn.tolist()


def test_entries_keep_sides_number_and_window() -> None:
    real = result(0.1, window=(1_000, 3_000))
    bars = real.trades["signal_bar"].to_numpy()
    for sets in _controls._sets(real, ["long", "short"], 24, 6, 1):
        for signals in sets.values():
            for side in ("long", "short"):
                array = signals[side]
                at = np.flatnonzero(~np.isnan(array))
                assert len(at) == real.trades.filter(side=side).height
                assert at.min() >= 1_000 and at.max() < 3_000
                # Places within a day stay, as blocks of a day are shuffled; the last block is shorter.
                assert len(bars) == real.trades.height


def test_a_bar_later_and_other_costs() -> None:
    real = result(0.2)
    later = bp.one_bar_later(real)
    shifted = np.concatenate([[np.nan], real.signals["long"][:-1]])
    assert np.array_equal(later.signals["long"], shifted, equal_nan=True)
    assert later.metrics["total_return"] != real.metrics["total_return"]
    curve = bp.cost_curve(real, factors=[0, 1, 2])
    assert curve["total_return"][1] == near(real.metrics["total_return"], rel=REFERENCE)
    assert curve["total_return"].is_sorted(descending=True) and curve["fees"][0] == 0


def test_nothing_to_compare_has_a_reason() -> None:
    candles = bp.simulate_candles(3, bars=100, interval="1h")
    idle = bp.backtest(
        candles,
        bp.Signals(long=np.full(100, 0.1)),
        bp.Rules(entry_long=0.5),
        costs=bp.Costs(taker=0.0),
        ledger=False,
    )
    assert "no trade" in bp.random_entries(idle, draws=19).reason
    few = result(0.2, bars=60)
    assert "blocks" in bp.random_entries(few, draws=19, block=40).reason
