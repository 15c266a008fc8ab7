"""The simulated market, as Python hands it out; its statistics are held by the core's own tests."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import numpy as np
import pytest

import barproof as bp


def test_the_same_seed_gives_the_same_market() -> None:
    first, again = (bp.simulate_candles(3, bars=2_000) for _ in range(2))
    assert first == again
    assert first != bp.simulate_candles(4, bars=2_000)
    assert pickle.loads(pickle.dumps(first)) == first
    assert len(first) == 2_000
    assert first.start == datetime(2022, 1, 1, tzinfo=UTC)
    assert first.instrument.kind == "perpetual"


def test_more_symbols_change_none_that_were_there() -> None:
    two = bp.simulate_candles(3, bars=500, symbols=["A", "B"])
    three = bp.simulate_candles(3, bars=500, symbols=["A", "B", "C"])
    for name in two:
        assert np.array_equal(two[name].close, three[name].close)
    assert not np.array_equal(three["A"].close, three["B"].close)


def test_the_edge_is_as_large_as_asked_for_and_none_is_none() -> None:
    for edge in (0.0, 0.1):
        candles = bp.simulate_candles(11, bars=120_000, edge=edge)
        assert candles.planted is not None
        following = np.log(candles.close[1:] / candles.open[1:])
        # Ranks, because volatility varies: the edge is stated in units of volatility.
        size = np.abs(following)
        local = np.convolve(size, np.ones(97) / 97, mode="same")
        measured = np.corrcoef(candles.planted[:-1], following / local)[0, 1]
        assert measured == pytest.approx(edge, abs=0.015)


def test_reading_finds_no_fault_in_it() -> None:
    candles = bp.simulate_candles(5, bars=20_000)
    again = bp.read_candles(
        candles.to_polars(), instrument="perpetual", symbol="SIM", funding=candles.funding
    )
    assert not [fault for fault in again.faults if fault.severity == "error"]
    assert np.array_equal(again.close, candles.close)
    assert candles.funding is not None
    assert candles.funding.height == pytest.approx(20_000 / 96, abs=1)


def test_intervals_and_starts_are_taken() -> None:
    daily = bp.simulate_candles(1, bars=400, interval="1d", start="2020-02-03")
    assert daily.interval == "1d"
    assert daily.start == datetime(2020, 2, 3, tzinfo=UTC)
    assert len(bp.simulate_candles(1, bars=1)) == 1


def test_the_planted_score_leaves_a_trace_in_what_takers_buy() -> None:
    for edge in (0.0, 0.2):
        candles = bp.simulate_candles(3, bars=20_000, edge=edge)
        share = candles.extra["taker_buy_volume"] / candles.volume
        planted = candles.planted
        assert planted is not None
        # 0.03 of the score, 0.03 of the bar's move, which the score before has moved already, 0.06 of noise.
        lean = 0.03 + 0.03 * edge * 0.97
        expected = lean / np.hypot(lean, np.hypot(0.03, 0.06))
        assert abs(np.corrcoef(share, planted)[0, 1] - expected) < 0.05
        # Other columns do not carry it without an edge.
        if not edge:
            assert abs(np.corrcoef(np.diff(np.log(candles.close)), planted[1:])[0, 1]) < 0.03
