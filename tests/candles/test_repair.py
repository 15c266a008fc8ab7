"""Repairs do what their name says, are recorded, and undo what was done to clean candles."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barproof.candles import read_candles
from barproof.candles.interval import MINUTE
from barproof.candles.repair import _longest_segment
from barproof.candles.table import Table
from barproof.errors import CandleError

from .test_faults import START, change, market, without


@settings(max_examples=25, deadline=None)
@given(st.permutations(range(30)))
def test_sort_undoes_any_permutation(order: list[int]) -> None:
    clean = read_candles(market(30), instrument="spot", repair="sort")
    mixed = read_candles(market(30)[list(order)], instrument="spot", repair="sort", interval="1m")
    assert mixed == clean
    assert mixed.digest == clean.digest
    # The clean file read without the repair is another identity: what was done to data belongs to it.
    assert clean != read_candles(market(30), instrument="spot")


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 29), max_size=10))
def test_drop_identical_undoes_repetition(again: list[int]) -> None:
    data = market(30)
    mixed = pl.concat([data, data[again]]) if again else data
    repaired = read_candles(mixed, instrument="spot", repair=["drop_identical"])
    assert repaired.to_polars().equals(read_candles(data, instrument="spot").to_polars())
    assert repaired.repairs == (
        f"drop_identical: {len(again)} row{'s' if len(again) != 1 else ''}",
    )


def test_keep_last_and_first_follow_the_order_of_the_source() -> None:
    data = pl.concat([market(10), change(market(10), 4, volume=50.0)[4:5]])
    last = read_candles(data, instrument="spot", repair=["sort", "keep_last"])
    first = read_candles(data, instrument="spot", repair=["sort", "keep_first"])
    assert (last.volume[4], first.volume[4]) == (50.0, market(10)["volume"][4])
    unsorted = read_candles(data, instrument="spot", repair=["keep_first"])
    assert unsorted.to_polars().equals(first.to_polars())


def test_snap_to_grid_rounds_down() -> None:
    data = change(
        change(market(), 3, open_time=START + 3 * MINUTE + 59_999),
        9,
        open_time=START + 9 * MINUTE + 1,
    )
    candles = read_candles(data, instrument="spot", repair="snap_to_grid")
    assert candles.repairs == ("snap_to_grid: 2 rows",)
    assert candles.to_polars().equals(read_candles(market(), instrument="spot").to_polars())


def test_fill_gap_makes_flat_bars() -> None:
    data = without(market(), 100, 110).with_columns(trades=pl.lit(3.0), other=pl.lit(1.0))
    candles = read_candles(data, instrument="spot", repair="fill_gap")
    assert len(candles) == 2_000
    made = candles[100:110].to_polars()
    flat = market()["close"][99]
    for name in ("open", "high", "low", "close"):
        assert made[name].to_list() == [flat] * 10
    assert made["volume"].to_list() == made["trades"].to_list() == [0.0] * 10
    assert made["other"].is_nan().all()
    assert candles.repairs == ("fill_gap: 10 rows",)
    assert candles.open_time.tolist() == market()["open_time"].to_list()


def test_much_filling_is_a_warning() -> None:
    candles = read_candles(without(market(), 100, 200), instrument="spot", repair="fill_gap")
    assert {fault.code: fault.count for fault in candles.faults} == {"filled": 100, "stale_run": 1}


def test_fill_gap_leaves_long_holes() -> None:
    with pytest.raises(CandleError, match="error long_hole"):
        read_candles(without(market(5_000), 100, 1_700), instrument="spot", repair="fill_gap")


def test_clip_wicks_pulls_back_to_the_body() -> None:
    data = change(change(change(market(), 55, low=50.0), 55, high=200.0), 80, high=300.0)
    candles = read_candles(data, instrument="spot", repair="clip_wicks")
    body = market()[55].select("open", "close").row(0)
    assert (candles[55].low, candles[55].high) == (min(body), max(body))
    assert candles.repairs == ("clip_wicks: 2 rows",)
    assert candles.faults == ()


def test_fix_ohlc_only_widens() -> None:
    data = change(change(market(), 4, high=90.0), 7, low=110.0)
    candles = read_candles(data, instrument="spot", repair="fix_ohlc")
    assert candles[4].high == max(candles[4].open, candles[4].close)
    assert candles[7].low == min(candles[7].open, candles[7].close)
    assert candles.close.tolist() == market()["close"].to_list()


def test_drop_zero_volume() -> None:
    candles = read_candles(
        change(market(), 5, volume=0.0), instrument="spot", repair="drop_zero_volume"
    )
    assert len(candles) == 1_999


def test_order_matters_and_is_kept() -> None:
    data = change(market(), 3, open_time=START + 2 * MINUTE + 5)
    candles = read_candles(data, instrument="spot", repair=["snap_to_grid", "keep_last"])
    assert candles.repairs == ("snap_to_grid: 1 row", "keep_last: 1 row")
    with pytest.raises(CandleError, match="duplicate_conflict"):
        read_candles(data, instrument="spot", repair=["keep_last", "snap_to_grid"])


def brute_longest(slots: list[int]) -> int:
    """Try every stretch."""
    best = 1
    for i in range(len(slots)):
        for j in range(i, len(slots)):
            span = slots[j] - slots[i] + 1
            steps = np.diff(slots[i : j + 1])
            day = 24 * 60
            if span - (j - i + 1) <= 0.01 * span + 1e-9 and (steps <= day + 1).all():
                best = max(best, j - i + 1)
    return best


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([1] * 40 + [2, 3, 30, 1_500]), min_size=2, max_size=160))
def test_longest_segment_is_the_longest(steps: list[int]) -> None:
    slots = np.cumsum([0, *steps])
    ones = np.ones(len(slots))
    table = Table(START + MINUTE * slots, ones, ones, ones, ones, ones)
    kept, dropped = _longest_segment(table, MINUTE, "24/7")
    assert len(kept) + dropped == len(slots)
    assert len(kept) == brute_longest(slots.tolist())
