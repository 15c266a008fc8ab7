"""`Candles` behaves like a sequence, keeps what matters on slices, and has one identity."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barproof.candles import Bar, Candles, Instrument, read_candles

from .error_examples import HOUR, START, columns, funding


def perpetual(n: int = 20) -> Candles:
    settled = {
        "funding_time": [START - 8 * HOUR, START, START + 8 * HOUR + 7, START + 16 * HOUR],
        "funding_rate": [1e-4, 2e-4, 3e-4, 4e-4],
    }
    return read_candles(columns(n), instrument="perpetual", funding=settled, symbol="BTCUSDT")


def test_sequence() -> None:
    candles = read_candles(columns(5), instrument="spot")
    assert len(candles) == 5
    assert candles[1] == Bar(START + HOUR, 10.0, 11.0, 9.0, 10.5, 1.0)
    assert candles[-1] == candles[np.int64(4)] == list(candles)[-1]
    assert candles[-1].open_time == START + 4 * HOUR
    assert isinstance(candles[0].close, float)
    assert (candles.start, candles.end) == (
        datetime(2024, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 5, tzinfo=UTC),
    )
    assert candles[1:3][0] == candles[1]
    assert len(candles[3:1]) == 0
    assert repr(candles[:0]) == "Candles(UNKNOWN, 1h, 0 bars, spot)"


def test_iteration_crosses_chunks() -> None:
    candles = read_candles(columns(10_000), instrument="spot")
    assert [bar.open_time for bar in candles] == candles.open_time.tolist()


def test_slices_by_time() -> None:
    candles = read_candles(columns(72), instrument="spot")
    day: Any = candles["2024-01-02":"2024-01-03"]
    assert day == candles[24:48]
    start: Any = datetime(2024, 1, 2, 0, 30)
    assert candles[start:] == candles[25:]
    assert candles[: start.replace(tzinfo=UTC)] == candles[:25]


def test_slices_hold_the_funding_known_at_their_end() -> None:
    candles = perpetual()
    assert candles.funding is not None
    assert candles.funding["funding_rate"].to_list() == [1e-4, 2e-4, 3e-4, 4e-4]
    part = candles[4:10].funding
    assert part is not None
    assert part["funding_rate"].to_list() == [1e-4, 2e-4, 3e-4]
    assert candles[:] == candles
    assert candles[:10] == perpetual(10)


def test_funding_is_rounded_and_joined_before_the_close() -> None:
    joined = perpetual().funding_frame()
    assert joined["funding_rate"].to_list() == [2e-4] * 8 + [3e-4] * 8 + [4e-4] * 4
    assert joined["age"].dt.total_hours().to_list() == [*range(1, 9), *range(1, 9), *range(1, 5)]


def test_funding_declined() -> None:
    none = read_candles(columns(), instrument="perpetual", funding="none")
    assert none.funding is None
    assert "no funding" in repr(none)
    attached = none.with_funding(funding())
    assert attached.funding is not None
    assert attached != none
    assert attached.with_funding("none") == none


def test_part_of_the_funding() -> None:
    some = {"funding_time": [START, START + 8 * HOUR], "funding_rate": [1e-4, 1e-4]}
    candles = read_candles(columns(32), instrument="perpetual", funding=some)
    assert [fault.code for fault in candles.faults] == ["funding_share"]
    assert "50.0%" in candles.faults[0].message
    missed = {
        "funding_time": [START + k * 8 * HOUR for k in (0, 1, 2, 4, 5)],
        "funding_rate": [0.0] * 5,
    }
    candles = read_candles(columns(48), instrument="perpetual", funding=missed)
    assert [(fault.code, fault.rows) for fault in candles.faults] == [("funding_hole", (3,))]


@pytest.mark.parametrize(
    "clone", [lambda c: pickle.loads(pickle.dumps(c)), copy.copy, copy.deepcopy]
)
def test_copies_are_equal(clone: Any) -> None:
    for candles in (perpetual(), read_candles(columns(), instrument="spot").resample("2h")):
        other = clone(candles)
        assert other == candles
        assert hash(other) == hash(candles)
        assert repr(other) == repr(candles)
        assert other.faults == candles.faults


def test_equality() -> None:
    candles = read_candles(columns(), instrument="spot")
    assert candles != read_candles(columns(), instrument="equity")
    assert candles != read_candles(columns(), instrument="spot", symbol="A")
    assert candles != "candles"
    assert candles == read_candles(candles.to_polars(), instrument="spot")


def test_from_arrays_keeps_planted() -> None:
    base = columns(6)
    made = Candles._from_arrays(
        np.array(base["open_time"]),
        *(np.array(base[name]) for name in ("open", "high", "low", "close", "volume")),
        symbol="SIM",
        interval_ms=HOUR,
        instrument=Instrument("perpetual"),
        funding_time=np.array([START]),
        funding_rate=np.array([1e-4]),
        planted=np.arange(6.0),
    )
    assert made.planted is not None
    assert made.planted.tolist() == [0, 1, 2, 3, 4, 5]
    assert not made.planted.flags.writeable
    part = made[2:4].planted
    assert part is not None
    assert part.tolist() == [2, 3]
    assert pickle.loads(pickle.dumps(made)).planted.tolist() == made.planted.tolist()


def test_to_polars() -> None:
    data = perpetual().to_polars()
    assert data.columns == ["open_time", "open", "high", "low", "close", "volume"]
    assert data.schema["open_time"] == pl.Datetime("ms", "UTC")


@given(st.integers(-25, 25), st.integers(-25, 25), st.integers(-25, 25), st.integers(-25, 25))
def test_slices_of_slices(a: int, b: int, c: int, d: int) -> None:
    candles = read_candles(columns(20), instrument="spot")
    rows = list(range(20))[a:b][c:d]
    assert candles[a:b][c:d].open_time.tolist() == candles.open_time[rows].tolist()
    if rows:
        assert candles[a:b][c:d] == candles[rows[0] : rows[-1] + 1]
