"""Control experiments: random entries keep what they should, and tell an edge from none."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import stats
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


def test_random_entries_tell_an_edge_from_none() -> None:
    found = bp.random_entries(result(0.2), draws=99)
    assert found.p == 0.01 and found.real > found.drawn.max()
    assert found.drawn_trades == near(found.trades, rel=0.15)
    none = [bp.random_entries(result(0.0, seed=s, bars=1_500), draws=19).p for s in range(20)]
    assert 0.25 < float(np.mean(none)) < 0.8 and min(none) < 0.5
    again = bp.random_entries(result(0.2), draws=99, threads=1)
    assert again.drawn.tolist() == found.drawn.tolist()


@pytest.mark.slow
def test_random_entries_reject_as_often_as_they_say_in_500_nulls() -> None:
    """Of 19 draws a p-value is uniform on 0.05, 0.10, ..., 1: shares at three places within exact bounds."""
    p = np.array(
        [
            bp.random_entries(result(0.0, seed=90_000 + s, bars=1_500), draws=19, seed=s).p
            for s in range(500)
        ]
    )
    shares = {at: int(np.sum(p <= at + 1e-9)) for at in (0.05, 0.25, 0.5)}
    print({at: k / len(p) for at, k in shares.items()})
    for at, k in shares.items():
        assert stats.binomial_test(k, len(p), at).p > 0.001, (at, k)


@pytest.mark.parametrize("engine", ["indexed", "replay"])
def test_draws_are_backtests_of_the_shuffled_pattern(engine: str) -> None:
    """Each draw against a backtest of whole arrays, made from the definition: blocks of a day in another order."""
    rules = bp.Rules(
        entry_long=0.7,
        entry_short=0.75,
        exit_long=0.9,
        max_hold=9,
        stop_loss=0.01,
        sizing="confidence",
    )
    candles = bp.simulate_candles(7, bars=1_515, interval="1h", edge=0.1)
    planted = candles.planted
    assert planted is not None
    up = 1 / (1 + np.exp(-planted))
    signals = bp.Signals(long=up, short=1 - up, exit_long=1 - up)
    options: dict[str, Any] = {"costs": bp.Costs(taker=0.0004), "window": (40, 1_490)}
    real = bp.backtest(candles, signals, rules, engine=engine, ledger=False, **options)
    found = bp.random_entries(real, draws=19, seed=5)
    low, high = real.window
    pattern = np.full((2, high - low), np.nan)
    for trade in real.trades.iter_rows(named=True):
        pattern[int(trade["side"] == "short"), trade["signal_bar"]] = trade["p_entry"]
    blocks = -(-(high - low) // 24)
    for number, drawn in enumerate(found.drawn):
        order = np.argsort(stats.uniforms(5, blocks, skip=number * blocks), kind="stable")
        cut = [pattern[:, 24 * b : 24 * (b + 1)] for b in order]
        whole = np.full((2, len(candles)), np.nan)
        whole[:, low:high] = np.concatenate(cut, axis=1)
        moved = bp.Signals(long=whole[0], short=whole[1], exit_long=1 - up)
        want = bp.backtest(candles, moved, rules, engine=engine, ledger=False, **options)
        assert drawn == want.metrics["total_return"]


def test_random_entries_take_no_memory_by_bar() -> None:
    """500 whole arrays of a million bars would be 4 GB."""
    code = """
import resource
import numpy as np
import barproof as bp
candles = bp.simulate_candles(3, bars=1_000_000)
long = np.full(len(candles), np.nan)
long[100::1_000] = 1.0
rules = bp.Rules(entry_long=0.5, max_hold=60)
real = bp.backtest(candles, bp.Signals(long=long), rules, costs=bp.Costs(taker=0.0), ledger=False)
bp.random_entries(real, draws=19)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = bp.random_entries(real, draws=500)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, len(found.drawn))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, draws = map(int, done.stdout.split())
    assert draws == 500 and grown < 64 * 1024  # KiB


def test_an_ablation_tells_entries_from_exits() -> None:
    # The edge is the entry's: how long a trade is held is the same for all.
    found = bp.ablation(result(0.2), draws=60)
    assert found.defined and found.hold == 4 and found.frame.height == 4
    assert found.entry.low > 0
    assert found.exit.estimate == 0 and "constant" in found.exit.reason
    none = bp.ablation(result(0.0, seed=8), draws=60)
    assert none.entry.low <= 0 <= none.entry.high


def test_an_ablation_finds_exits_that_help() -> None:
    """Entries without any edge; the exit signal knows that the next bars fall."""
    candles = bp.simulate_candles(4, bars=8_000, interval="1h", edge=0.2)
    planted = candles.planted
    assert planted is not None
    rng = np.random.default_rng(5)
    signals = bp.Signals(long=rng.normal(size=8_000), exit_long=-planted, kind="score")
    rules = bp.Rules(entry_long=1.0, exit_long=0.3)
    real = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0), ledger=False)
    found = bp.ablation(real, draws=60)
    assert found.exit.low > 0 and found.entry.low <= 0 <= found.entry.high


def test_effects_are_those_of_the_four_runs() -> None:
    real = result(0.1, bars=3_000)
    found = bp.ablation(real, draws=19, hold=7, mean_block=2, resamples=199, seed=3)
    again = bp.ablation(real, draws=19, hold=7, mean_block=2, resamples=199, seed=3, threads=1)
    assert repr(found) == repr(again)
    mean = {(row["entries"], row["exits"]): row["mean_return"] for row in found.frame.to_dicts()}
    mm, mt, rm, rt = (mean[a, b] for a in ("model", "random") for b in ("model", "time"))
    assert mm == near(real.daily_returns["return"].mean(), rel=1e-12)
    assert found.entry.estimate == near(((mm - rm) + (mt - rt)) / 2, rel=1e-9)
    assert found.exit.estimate == near(((mm - mt) + (rm - rt)) / 2, rel=1e-9)
    assert found.interaction.estimate == near((mm - rm) - (mt - rt), rel=1e-9)
    timed = bp.backtest(
        real.candles,
        real.signals,
        bp.Rules(entry_long=1.0, entry_short=1.0, max_hold=7),
        costs=real.costs,
        ledger=False,
    )
    assert mt == near(timed.daily_returns["return"].mean(), rel=1e-12)


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
    assert "no trade" in bp.ablation(idle, draws=19).reason
    assert "days" in bp.ablation(few, draws=19).reason
    assert "fifth" in bp.ablation(result(0.2, bars=900), draws=19, mean_block=30).reason
    by_risk = bp.Rules(entry_long=1.0, stop_loss=0.01, sizing="risk", risk=0.01)
    planted = few.candles.planted
    assert planted is not None
    risky = bp.backtest(
        few.candles,
        bp.Signals(long=planted, kind="score"),
        by_risk,
        costs=bp.Costs(taker=0.0),
        ledger=False,
    )
    assert "risk" not in bp.ablation(few, draws=19).reason
    assert "sizes go by the stop" in bp.ablation(risky, draws=19).reason
