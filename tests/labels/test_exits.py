"""Exit labels, against backtests that leave at one bar."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.tolerances import ROUNDING

COSTS = bp.Costs(taker=0.0005, slippage=0.0001)


def trades_of(
    candles: bp.Candles, primary: Any, rules: bp.Rules, leave_at: int | None
) -> pl.DataFrame:
    """Run the engine on the decisions of the primary signal, with one bar that says to leave."""
    leave = np.full(len(candles), np.nan)
    if leave_at is not None:
        leave[leave_at] = 1.0
    signals = bp.Signals(
        long=(primary > 0).astype(float),
        short=(primary < 0).astype(float),
        exit_long=leave,
        exit_short=leave,
    )
    made = rules.replace(entry_long=0.5, entry_short=0.5, exit_long=0.5, exit_short=0.5)
    return bp.backtest(candles, signals, made, costs=COSTS, engine="replay", ledger=False).trades


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"cooldown": 3},
        {"entry": "limit", "limit_offset": 0.001, "limit_bars": 3},
        {"trailing": 0.006, "leverage": 30.0},
    ],
    ids=["plain", "cooldown", "limit", "levered"],
)
def test_leaving_and_staying_are_trades_of_the_engine(more: dict[str, Any], seed: int) -> None:
    n = 150
    candles = bp.simulate_candles(seed, bars=n, interval="1h")
    primary = np.random.default_rng(seed).choice([1.0, -1.0, 0.0, 0.0, np.nan], size=n)
    rules = bp.Rules(stop_loss=0.012, take_profit=0.012, max_hold=12, **more)
    labels = bp.labels.exits(candles, primary, rules, costs=COSTS, kind="regression")
    stays = trades_of(candles, primary, rules, None)
    held: dict[int, dict[str, Any]] = {}
    for trade in stays.iter_rows(named=True):
        inside = trade["exit_bar"] if trade["reason"] != "end" else n - 1
        held |= dict.fromkeys(range(trade["entry_bar"], inside), trade)
    assert labels.outcomes["bar"].to_list() == sorted(held)
    rows = {row["bar"]: row for row in labels.outcomes.iter_rows(named=True)}
    for i in range(n):
        if i not in held:
            assert math.isnan(labels.values[i])
            assert (labels.start[i], labels.end[i]) == (-1, -1)
            continue
        stay, row = held[i], rows[i]
        left = trades_of(candles, primary, rules, i).filter(
            pl.col("entry_bar") == stay["entry_bar"]
        )
        # Per unit of the equity at entry both are the same for any account.
        assert row["leave"] == pytest.approx(left["return"][0], rel=ROUNDING)
        assert (row["side"], row["entry_bar"]) == (stay["side"], stay["entry_bar"])
        if stay["reason"] == "end":
            assert math.isnan(labels.values[i])
            assert labels.end[i] == n
            continue
        assert row["stay"] == pytest.approx(stay["return"], rel=ROUNDING)
        assert labels.values[i] == row["leave"] - row["stay"]
        assert (labels.start[i], labels.end[i]) == (i + 1, stay["exit_bar"])
    classes = bp.labels.exits(candles, primary, rules, costs=COSTS, threshold=0.001)
    known = classes.defined
    assert (classes.values[known] == (labels.values[known] > 0.001)).all()
    assert known.sum() > 20


def test_sides_are_told_apart() -> None:
    candles = bp.simulate_candles(3, bars=400)
    primary = np.where(np.arange(400) % 100 < 50, 1, -1)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=30)
    labels = bp.labels.exits(candles, primary, rules, costs=COSTS)
    long, short = labels.of("long"), labels.of("short")
    assert (long.defined ^ short.defined)[labels.defined].all()
    assert not (long.defined & short.defined).any()
    assert set(long.outcomes["side"]) == {"long"}
    assert long.digest != labels.digest != short.digest
    assert (long.end[~long.defined & (long.end < 400)] == -1).all()


def test_the_bar_before_a_timed_exit_has_nothing_to_gain() -> None:
    candles = bp.simulate_candles(3, bars=400)
    rules = bp.Rules(max_hold=10)
    labels = bp.labels.exits(candles, np.ones(400), rules, costs=COSTS, kind="regression")
    last = labels.outcomes.filter(pl.col("bar") == pl.col("exit_bar") - 1)
    assert len(last) > 30
    assert (labels.values[last["bar"].to_numpy()] == 0).all()
    assert labels.outcomes.equals(
        bp.labels.exits(
            candles, np.ones(400), rules, costs=COSTS, kind="regression", threads=1
        ).outcomes
    )
