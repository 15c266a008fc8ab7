"""Bars of several symbols as they arrive: rows of the table whatever the order, missing and late bars."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import barproof as bp
from barproof.features.bar_clock import BarClock, TimedRow
from tests.features import markets

NAMES = ("ETH", "BTC", "SOL")
FEATURES = bp.FeatureSet(
    ["close", "ratio(close, close@BTC)", "sma(3)@SOL", "sma(2)@BTC/15m", "zscore(sma(2), 5)@30m"]
)


def books(seed: int, n: int = 240, drop: float = 0.1) -> dict[str, bp.Candles]:
    found = {}
    for k, name in enumerate(NAMES):
        keep = np.random.default_rng([seed, k]).uniform(size=n) >= drop
        keep[0] = keep[-1] = True
        found[name] = markets.walk(10 * seed + k, n).take(keep).candles(name)
    return found


def clock(**options: Any) -> BarClock:
    return FEATURES.stream("5m", symbol="ETH").gather(**options)


def shuffled(held: dict[str, bp.Candles], seed: int, most: int) -> list[tuple[str, bp.Bar]]:
    """Bars of each symbol in order, the symbols as luck has it, no more than `most` bars apart."""
    rng = np.random.default_rng(seed)
    at = dict.fromkeys(held, 0)
    order = []
    while any(at[name] < len(held[name]) for name in held):
        times = {n: int(held[n].open_time[at[n]]) for n in held if at[n] < len(held[n])}
        first = min(times.values())
        ready = [name for name, time in times.items() if time <= first + most * 300_000]
        name = str(rng.choice(ready))
        order.append((name, held[name][at[name]]))
        at[name] += 1
    return order


def table(held: dict[str, bp.Candles], join: Any) -> tuple[list[int], NDArray[np.float64]]:
    frame = FEATURES.compute(held, symbol="ETH", join=join)
    times = frame["open_time"].dt.epoch("ms").to_list()
    return times, frame.select(FEATURES.names).to_numpy()


def same(rows: list[TimedRow], held: dict[str, bp.Candles], join: str) -> None:
    times, values = table(held, join)
    assert [row.open_time for row in rows] == times
    np.testing.assert_array_equal(np.array([row.values for row in rows]), values)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("missing", "join"), [("nan", "left"), ("skip", "inner")])
def test_rows_are_those_of_the_table_in_whatever_order_bars_arrive(
    seed: int, missing: str, join: str
) -> None:
    held = books(seed)
    made = clock(missing=missing)
    rows: list[TimedRow] = []
    for name, bar in shuffled(held, seed, most=4):
        rows += made.push({name: bar})
        if seed == 1:
            made = pickle.loads(pickle.dumps(made))
    rows += made.flush()
    same(rows, held, join)
    assert made.waiting == dict.fromkeys(NAMES, 0)
    for row in rows:
        absent = [n for n in NAMES if row.open_time not in set(held[n].open_time.tolist())]
        assert row.missing == tuple(absent)


def test_a_row_waits_for_every_symbol() -> None:
    held = books(1, drop=0.0)
    eth, btc, sol = (held[name] for name in NAMES)
    made = clock()
    assert made.push({"ETH": eth[0], "BTC": btc[0]}) == []
    assert made.push({"ETH": eth[1], "BTC": btc[1]}) == []
    assert made.waiting == {"ETH": 2, "BTC": 2, "SOL": 0}
    assert repr(made) == "BarClock(3 symbols, 4 bars waiting, 0 taken)"
    (row,) = made.push({"SOL": sol[0]})
    assert (row.open_time, row.missing) == (eth.open_time[0], ())
    # A later bar says that there is none in between.
    (row,) = made.push({"SOL": sol[2]})
    assert (row.open_time, row.missing) == (eth.open_time[1], ("SOL",))
    assert np.isnan(row.values[2])
    (row,) = made.push({"ETH": eth[2], "BTC": btc[2]})
    assert row.open_time == eth.open_time[2]


def test_patience_ends_and_late_bars_are_refused_or_dropped() -> None:
    held = books(2, drop=0.0)
    eth, btc, sol = (held[name] for name in NAMES)
    made = clock(patience=2, late="drop")
    made.push({"SOL": sol[0], "ETH": eth[0], "BTC": btc[0]})
    assert made.push({"ETH": eth[1], "BTC": btc[1]}) == []
    assert made.push({"ETH": eth[2], "BTC": btc[2]}) == []
    (row,) = made.push({"ETH": eth[3]})
    assert (row.open_time, row.missing) == (eth.open_time[1], ("SOL",))
    assert made.push({"SOL": sol[1]}) == []
    assert made.dropped == 1
    (row,) = made.push({"SOL": sol[2]})
    assert (row.open_time, row.missing) == (eth.open_time[2], ())


def test_a_refused_push_takes_none_of_its_bars() -> None:
    held = books(3, drop=0.0)
    eth, btc = held["ETH"], held["BTC"]
    made = clock()
    before = pickle.dumps(made)
    wrongs: list[dict[str, Any]] = [
        {"BTC": btc[0]._replace(close=-1.0)},
        {"BTC": 3},
        {"XRP": btc[0]},
    ]
    for wrong in wrongs:
        with pytest.raises((bp.FeatureError, bp.LayoutError)):
            made.push({"ETH": eth[0], **wrong})
        assert made.waiting == dict.fromkeys(NAMES, 0)
    assert pickle.dumps(made) == before


def test_times_without_a_bar_of_the_own_symbol_move_the_others() -> None:
    held = books(4)
    made, rows = clock(), []
    for name, bar in sorted(
        ((n, bar) for n in NAMES for bar in held[n]), key=lambda one: one[1].open_time
    ):
        rows += made.push({name: bar})
    rows += made.flush()
    assert len(rows) == len(held["ETH"])
    same(rows, held, "left")


def test_threads_that_push_each_a_symbol_get_every_row_once() -> None:
    held = books(5, n=600, drop=0.05)
    made = clock()
    rows: list[TimedRow] = []

    def run(name: str) -> None:
        for bar in held[name]:
            rows.extend(made.push({name: bar}))

    threads = [threading.Thread(target=run, args=(name,)) for name in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows += made.flush()
    same(sorted(rows, key=lambda row: row.open_time), held, "left")
