"""Longer bars against polars, and symbols on one clock."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barproof.candles import Candles, align, read_candles, resample
from barproof.candles.interval import MINUTE
from barproof.errors import CandleError

from .error_examples import HOUR, columns
from .test_faults import START, market, sessions, without


def twin(candles: Candles, every: str) -> pl.DataFrame:
    """Let polars group the same bars; incomplete ones included."""
    return (
        candles.to_polars()
        .group_by_dynamic("open_time", every=every, start_by="window")
        .agg(
            pl.col("open").first(),
            pl.col("high").max(),
            pl.col("low").min(),
            pl.col("close").last(),
            pl.col("volume").sum(),
        )
    )


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["3m", "5m", "15m", "1h", "4h"]),
    st.integers(0, 700),
    st.lists(st.integers(1, 998), max_size=8),
)
def test_against_polars(every: str, skip: int, absent: list[int]) -> None:
    data = market(1_000).with_columns(pl.col("open_time") + skip * MINUTE)
    data = data.filter(~pl.int_range(pl.len()).is_in(absent))
    candles = read_candles(data, instrument="spot")
    mine = resample(candles, every)
    expected = twin(candles, every)
    end = pl.col("open_time").dt.epoch("ms") + mine.interval_ms
    whole = expected.filter(end <= int(candles.open_time[-1]) + MINUTE)
    if int(candles.open_time[0]) % mine.interval_ms:
        whole = whole[1:]
    got = mine.to_polars()
    assert got.drop("volume").equals(whole.drop("volume"))
    np.testing.assert_allclose(got["volume"], whole["volume"], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(60, 600), st.integers(0, 59))
def test_later_bars_change_nothing(cut: int, skip: int) -> None:
    data = market(600).with_columns(pl.col("open_time") + skip * MINUTE)
    candles = read_candles(data, instrument="spot")
    try:
        part = resample(candles[:cut], "1h")
    except CandleError:
        return
    assert part.to_polars().equals(resample(candles, "1h")[: len(part)].to_polars())


def test_resampling_twice_equals_once() -> None:
    candles = read_candles(market(), instrument="spot")
    two = candles.resample("5m").resample("1h")
    one = candles.resample("1h")
    assert two.to_polars().drop("volume").equals(one.to_polars().drop("volume"))
    assert one.resample("1h") is one


def test_weeks_begin_on_monday() -> None:
    candles = read_candles(columns(24 * 21), instrument="spot")
    assert candles.resample("1w").to_polars()["open_time"].dt.weekday().to_list() == [1, 1, 1]


def test_sessions_keep_their_first_day_and_wait_for_the_last() -> None:
    candles = read_candles(sessions(), instrument="equity")
    days = candles.resample("1d")
    assert len(days) == 149
    assert days.open[0] == candles.open[0]
    assert (days.interval, days.faults) == ("1d", ())


def test_funding_and_asks_come_along() -> None:
    data = market(600).with_columns(
        ask_open=pl.col("open") + 1,
        ask_high=pl.col("high") + 1,
        ask_low=pl.col("low") + 1,
        ask_close=pl.col("close") + 1,
        trades=pl.lit(2.0),
    )
    funding = {"funding_time": [START, START + 8 * HOUR], "funding_rate": [1e-4, 2e-4]}
    candles = read_candles(data, instrument="perpetual", funding=funding).resample("1h")
    assert candles.funding is not None
    assert candles.funding["funding_rate"].to_list() == [1e-4, 2e-4]
    for name in ("open", "high", "low", "close"):
        np.testing.assert_allclose(candles.extra[f"ask_{name}"], getattr(candles, name) + 1)
    assert set(candles.extra["trades"].tolist()) == {120.0}


def spot(data: Any, symbol: str) -> Candles:
    return read_candles(data, instrument="spot", symbol=symbol)


def test_align_inner_keeps_common_times() -> None:
    a = spot(market(500), "A")
    b = spot(without(market(600, seed=2), 100, 105)[50:], "B")
    both = align([a, b])
    assert list(both) == ["A", "B"]
    assert both["A"].open_time.tolist() == both["B"].open_time.tolist()
    assert len(both["A"]) == 445
    assert both["A"][60] == a[115]
    assert align({"x": a})["x"] == a


def test_align_fill_makes_flat_bars() -> None:
    a = spot(market(500), "A")
    b = spot(without(market(600, seed=2), 100, 105)[50:], "B")
    both = align([a, b], how="fill")
    assert len(both["A"]) == len(both["B"]) == 450
    assert both["A"] == a[50:]
    assert both["B"].repairs == ("align_fill: 5 rows",)
    assert both["B"].close[50:55].tolist() == [b.close[49]] * 5
    assert not both["B"].volume[50:55].any()


def test_resample_leaves_no_empty_result() -> None:
    with pytest.raises(CandleError, match="not one complete bar"):
        spot(market(30)[7:], "A").resample("1h")
