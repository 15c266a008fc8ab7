"""Runs on finer candles against the twin, and the laws that tie them to runs without."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.reference import compare
from tests.reference.draws import Case, draw
from tests.reference.finer import draw_with_finer
from tests.reference.records import Market

CHUNK = 250
CHUNKS = 10

# What the draws must reach, and how many times at least: finer bars after the first of their bar.
EVENTS = {
    "finer_stop_open": 100,
    "finer_take_open": 100,
    "finer_liquidation_open": 50,
    "finer_stop_inside": 500,
    "finer_take_inside": 500,
    "finer_limit_open": 100,
    "finer_limit_inside": 300,
    "finer_stop_after_limit": 50,
    "finer_take_after_limit": 50,
    "finer_stop_settled": 100,
    "finer_take_settled": 100,
    "finer_ambiguous": 100,
    "finer_trail_not_asked": 500,
    "limit_marketable": 50,
    "limit_lapsed": 50,
    "ruin": 50,
    "bars on finer ones": 50_000,
    "bars on themselves": 10_000,
    "ambiguous_trail": 20,
}


def reached(seed: int) -> Counter[str]:
    """Hold one draw against the twin and say what it reached."""
    case = draw_with_finer(seed)
    want = compare.twin(case)
    got = compare.replay(case)
    where = f"seed {seed}: {case.rules}"
    compare.assert_same(got, want, where)
    bars, contradicted, first = got["unserved"]
    assert (bars, contradicted) == (want.not_on_finer, 0), where
    assert (first is None) == (bars == 0), where
    # Asked for the other engine, the same way is taken.
    compare.assert_same_bits(compare.replay(case, engine="indexed"), got, where)
    seen = Counter(want.events)
    seen["bars on finer ones"] += len(want.equity) - bars
    seen["bars on themselves"] += bars
    return seen


@pytest.fixture(scope="module")
def coverage() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_finer_candles_equal_twin(chunk: int, coverage: Counter[str]) -> None:
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        coverage.update(reached(seed))


def test_draws_reach_every_rule(coverage: Counter[str]) -> None:
    if not coverage:
        for seed in range(1_500):
            coverage.update(reached(seed))
    assert {name: coverage[name] for name, least in EVENTS.items() if coverage[name] < least} == {}


@pytest.mark.slow
def test_finer_candles_equal_twin_for_long() -> None:
    for seed in range(10_000, 60_000):
        reached(seed)


def with_bars_as_finer(case: Case, kept: float, seed: int) -> Case:
    """Give a case its own bars as finer ones, said to be half as long: one finer bar a bar."""
    m = case.market
    rows = np.random.default_rng(seed).random(len(m.open)) < kept
    finer = Market(
        open_time=m.open_time[rows],
        open=m.open[rows],
        high=m.high[rows],
        low=m.low[rows],
        close=m.close[rows],
        interval_ms=m.interval_ms // 2,
        kind=m.kind,
    )
    return replace(case, market=replace(m, finer=finer))


def without(result: dict[str, Any], *left_out: str) -> dict[str, Any]:
    """Leave out what two results may differ in."""
    kept = {name: value for name, value in result.items() if name != "unserved"}
    for part in ("trades", "metrics"):
        kept[part] = {name: v for name, v in kept[part].items() if name not in left_out}
    return kept


def test_one_finer_bar_a_bar_changes_no_bit() -> None:
    asked = 0
    for seed in range(600):
        case = draw(seed)
        plain = compare.replay(case)
        finer = compare.replay(with_bars_as_finer(case, 1.0, seed))
        assert finer["unserved"] == (0, 0, None)
        differ = ("ambiguous_trail", "ambiguous_trail_share")
        compare.assert_same_bits(without(finer, *differ), without(plain, *differ), f"seed {seed}")
        assert not finer["trades"]["ambiguous_trail"].any()
        asked += int(plain["trades"]["ambiguous_trail"].sum())
    assert asked > 1_000


def test_bars_without_finer_ones_are_run_as_ever() -> None:
    for seed in range(300):
        case = draw(seed)
        plain = compare.replay(case)
        finer = compare.replay(with_bars_as_finer(case, 0.0, seed))
        start, stop = case.window or (0, len(case.market.open))
        assert finer["unserved"] == (stop - start, 0, start)
        compare.assert_same_bits(without(finer), without(plain), f"seed {seed}")
        some = compare.replay(with_bars_as_finer(case, 0.5, seed))
        differ = ("ambiguous_trail", "ambiguous_trail_share")
        compare.assert_same_bits(without(some, *differ), without(plain, *differ), f"seed {seed}")


def test_finer_bars_after_the_window_change_nothing() -> None:
    compared = 0
    for seed in range(400):
        case = draw_with_finer(seed)
        finer = case.market.finer
        if case.window is None or finer is None:
            continue
        end = int(case.market.open_time[case.window[1] - 1]) + case.market.interval_ms
        before = finer.open_time < end
        cut = replace(
            finer,
            **{
                name: getattr(finer, name)[before]
                for name in ("open_time", "open", "high", "low", "close")
            },
        )
        shorter = replace(case, market=replace(case.market, finer=cut))
        compare.assert_same_bits(compare.replay(shorter), compare.replay(case), f"seed {seed}")
        compared += 1
    assert compared > 50
