"""Funding and further columns as inputs: what is known when, the same bar by bar, and what is refused."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.features import markets

HOUR = markets.HOUR
START = 1_704_067_200_000  # 2024-01-01
TEXTS = [
    "funding_rate()",
    "funding_change()",
    "funding_annual()",
    "funding_age()",
    "funding_to_next()",
    "funding_sum(3)",
    "funding_total()",
]
FEATURES = bp.FeatureSet(TEXTS)


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def hours(
    n: int, settled: dict[float, float] | None, *, symbol: str = "X", every: int = 1
) -> bp.Candles:
    """Flat bars; settlements by the hour, and their rates."""
    time = START + every * HOUR * np.arange(n, dtype=np.int64)
    when = pl.Datetime("ms", "UTC")
    frame = pl.DataFrame({"open_time": time, "volume": np.ones(n)}).with_columns(
        pl.col("open_time").cast(when),
        *(pl.lit(1.0).alias(k) for k in ("open", "high", "low", "close")),
    )
    funding: Any = "none"
    if settled is not None:
        told = [round(START + HOUR * hour) for hour in settled]
        funding = pl.DataFrame(
            {"funding_time": pl.Series(told).cast(when), "funding_rate": list(settled.values())}
        )
    return bp.read_candles(
        frame,
        instrument="perpetual",
        funding=funding,
        symbol=symbol,
        interval=f"{every}h",
        on_fault="ignore",
    )


# A settlement with the close of bar 1 is known to bar 2; two in bar 4; stamps are some milliseconds late.
SETTLED = {-8: 0.5, 0.0: 0.25, 2.000001: 0.125, 4.25: 1.0, 4.75: 2.0, 6.5: -1.0}


def test_what_each_bar_knows() -> None:
    table = FEATURES.compute(hours(7, SETTLED))
    nan = math.nan
    same(table["funding_rate()"], [0.25, 0.25, 0.125, 0.125, 2.0, 2.0, -1.0])
    same(table["funding_change()"], [-0.25, -0.25, -0.125, -0.125, 1.0, 1.0, -3.0])
    same(table["funding_age()"], [1.0, 2.0, 1.0, 2.0, 0.25, 1.25, 0.5])
    same(table["funding_to_next()"], [7.0, 6.0, 1.0, 0.0, 0.25, 0.25, 1.25])
    same(table["funding_sum(3)"], [nan, nan, 0.375, 0.125, 3.125, 3.0, 2.0])
    same(table["funding_total()"], [0.25, 0.25, 0.375, 0.375, 3.375, 3.375, 2.375])


def test_before_the_first_settlements_nothing_is_known() -> None:
    table = FEATURES.compute(hours(4, {1.5: 0.5, 2.5: 0.25}))
    nan = math.nan
    same(table["funding_rate()"], [nan, 0.5, 0.25, 0.25])
    same(table["funding_change()"], [nan, nan, -0.25, -0.25])
    same(table["funding_total()"], [0.0, 0.5, 0.75, 0.75])


def stepped(bars: Any, features: bp.FeatureSet = FEATURES) -> Any:
    stream = features.stream("1h")
    return [stream.update(bar) for bar in bars]


def as_mapping(bar: bp.Bar, **more: Any) -> dict[str, Any]:
    return {**bar._asdict(), **more}


def test_bar_by_bar_by_all_ways() -> None:
    candles = hours(7, SETTLED)
    expected = FEATURES.matrix(candles, dtype="f64")
    times = {round(START + HOUR * hour): rate for hour, rate in SETTLED.items()}
    same(stepped(candles), expected)
    same(stepped(candles[i] for i in range(7)), expected)
    same(FEATURES.stream("1h").update_many(candles), expected)

    def told(bar: bp.Bar) -> list[tuple[int, float]]:
        # All that lies before the close, again and again: what is known is passed over.
        return [(t, r) for t, r in times.items() if t < bar.open_time + HOUR]

    same(stepped(as_mapping(bar, funding=told(bar)) for bar in candles), expected)
    # One that lies behind the close may come early: nobody sees it.
    all_of_it = list(times.items())
    same(stepped(as_mapping(bar, funding=all_of_it) for bar in candles), expected)
    stream = FEATURES.stream("1h")
    rows, left = [], list(times.items())
    for bar in candles:
        while left and left[0][0] < bar.open_time + HOUR:
            when: Any = left[0][0]
            if len(left) % 2:
                when = datetime.fromtimestamp(when / 1000, UTC)
            stream.settle(when, left.pop(0)[1])
        rows.append(stream.update(bar[:6]))
    same(rows, expected)


def test_the_last_settlement_of_a_joined_frame_is_enough_where_none_is_skipped() -> None:
    settled = {-8: 0.5, 0.25: 0.25, 2.5: 0.125, 5.5: -1.0}
    candles = hours(7, settled)
    joined = candles.funding_frame()
    rows = [
        as_mapping(
            bar,
            funding_time=joined["funding_time"].dt.epoch("ms")[i],
            funding_rate=joined["funding_rate"][i],
        )
        for i, bar in enumerate(candles)
    ]
    first = {**rows[0], "funding": [(START - 8 * HOUR, 0.5), (START + HOUR // 4, 0.25)]}
    same(stepped([first, *rows[1:]]), FEATURES.matrix(candles, dtype="f64"))


@pytest.mark.parametrize("cut", range(8))
def test_snapshots_pickles_and_pieces(cut: int) -> None:
    candles = hours(8, SETTLED)
    expected = FEATURES.matrix(candles, dtype="f64")
    stream = FEATURES.stream("1h")
    same(stream.update_many(candles[:cut]), expected[:cut])
    rest = [bar[:6] for bar in candles[cut:]]
    if cut:
        copy = pickle.loads(pickle.dumps(stream))
        other = FEATURES.stream("1h").restore(stream.snapshot())
        assert other.snapshot() == stream.snapshot()
        for one in (copy, other):
            same(one.update_many(candles[cut:]), expected[cut:])
    if cut == 7:
        # What the candles knew is still known when bars say nothing.
        same(stream.update(rest[0]), expected[7])
    else:
        same([stream.update(bar) for bar in candles[cut:]], expected[cut:])


def test_a_later_start_knows_what_was_settled_before() -> None:
    candles = hours(8, SETTLED)
    whole = FEATURES.matrix(candles, dtype="f64")
    for start in range(8):
        late = FEATURES.matrix(candles[start:], dtype="f64")
        same(late[:, :5], whole[start:, :5])


def test_of_another_symbol() -> None:
    features = bp.FeatureSet(["funding_rate()@B", "funding_sum(2)@B", "funding_rate()"])
    books = {
        "A": hours(7, {-1: 0.5, 3.5: 0.25}, symbol="A"),
        "B": hours(7, SETTLED, symbol="B"),
    }
    expected = (
        features.compute(books).filter(pl.col("symbol") == "A").select(features.names).to_numpy()
    )
    same(expected[:, 0], [0.25, 0.25, 0.125, 0.125, 2.0, 2.0, -1.0])
    stream = features.stream("1h", symbol="A")
    rows = [stream.update({name: book[i] for name, book in books.items()}) for i in range(7)]
    same(rows, expected)
    stream = features.stream("1h", symbol="A")
    for name, book in books.items():
        frame = book.funding
        assert frame is not None
        for time, rate in zip(frame["funding_time"], frame["funding_rate"], strict=True):
            stream.settle(time, rate, symbol=name)
    rows = [stream.update({name: tuple(book[i]) for name, book in books.items()}) for i in range(7)]
    same(rows, expected)


def test_on_longer_bars() -> None:
    candles = hours(8, SETTLED)
    table = bp.FeatureSet(["funding_rate()@2h", "funding_sum(1)@2h"]).compute(candles)
    nan = math.nan
    same(table["funding_rate()@2h"], [nan, 0.25, 0.25, 0.125, 0.125, 2.0, 2.0, -1.0])
    same(table["funding_sum(1)@2h"], [nan, 0.25, 0.25, 0.125, 0.125, 3.0, 3.0, -1.0])
    longer = bp.FeatureSet(TEXTS[:5]).compute(bp.resample(candles, "2h"))
    short = bp.FeatureSet([f"{text}@2h" for text in TEXTS[:5]]).compute(candles)
    for text in TEXTS[:5]:
        same(short[f"{text}@2h"].to_numpy()[1::2], longer[text])


def test_a_column_of_the_same_name_comes_first() -> None:
    candles = hours(3, SETTLED)
    frame = candles.to_polars().with_columns(funding_rate=pl.Series([5.0, 6.0, 7.0]))
    mine = bp.read_candles(frame, instrument="spot", symbol="X")
    features = bp.FeatureSet(["funding_rate()"])
    same(features.compute(mine)["funding_rate()"], [5.0, 6.0, 7.0])
    same([row[0] for row in stepped(mine, features)], [5.0, 6.0, 7.0])


def test_a_refused_bar_changes_nothing() -> None:
    candles = hours(7, SETTLED)
    expected = FEATURES.matrix(candles, dtype="f64")
    stream = FEATURES.stream("1h")
    stream.update_many(candles[:3])
    early = as_mapping(candles[1], funding=[(START + 90 * HOUR, 9.0)])
    with pytest.raises(bp.FeatureError):
        stream.update(early)
    with pytest.raises(bp.LayoutError):
        stream.update(as_mapping(candles[3], funding=[(START + 90 * HOUR, math.inf)]))
    same([stream.update(bar) for bar in candles[3:]], expected[3:])


def test_bars_of_candles_carry_their_settlements() -> None:
    bars = list(hours(7, SETTLED))
    at = {round(hour, 2): (round(START + HOUR * hour, -3), rate) for hour, rate in SETTLED.items()}
    assert bars[0].funding == (at[-8], at[0.0])  # type: ignore[attr-defined]
    assert bars[3].funding == (at[0.0], at[2.0])  # type: ignore[attr-defined]
    assert bars[4].funding == (at[4.25], at[4.75])  # type: ignore[attr-defined]
    assert bars[6].funding == (at[4.75], at[6.5])  # type: ignore[attr-defined]
    assert pickle.loads(pickle.dumps(bars[4])).funding == bars[4].funding  # type: ignore[attr-defined]
    assert bars[4]._replace(close=2.0).funding == bars[4].funding  # type: ignore[attr-defined]
    assert next(iter(hours(1, None))).funding is None  # type: ignore[attr-defined]


def test_own_features_beside_funding() -> None:
    mine = bp.feature(lambda c: c.close * 2, name="mine", memory=bp.finite(1))
    features = bp.FeatureSet([mine, "funding_change()"])
    candles = hours(7, SETTLED)
    expected = features.matrix(candles, dtype="f64")
    stream = features.stream("1h")
    same(stream.update_many(candles[:4]), expected[:4])
    other = features.stream("1h").restore(stream.snapshot())
    same(other.update_many(candles[4:]), expected[4:])


def test_verify_takes_funding() -> None:
    candles = markets.walk(5, 300).candles()
    found = bp.FeatureSet([*TEXTS, "trade_size()", "kyle_lambda(9)"]).verify(candles, cuts=5)
    assert "no lookahead" in repr(found)


def told(i: int, **more: object) -> dict[str, object]:
    """Bar i of a market of hours that stands still."""
    prices = dict.fromkeys(("open", "high", "low", "close", "volume"), 1.0)
    return {"open_time": i * 3_600_000, **prices, **more}


def test_a_pickle_before_the_first_bar_keeps_what_was_settled() -> None:
    stream = bp.FeatureSet(["funding_rate()"]).stream()
    stream.settle(8 * 3_600_000, 0.1)
    assert pickle.loads(pickle.dumps(stream))._funding[0].save() == stream._funding[0].save() != []


def test_bars_that_wait_know_the_funding_of_those_before() -> None:
    features = bp.FeatureSet(["funding_rate()", "close@B"])
    clock = features.stream("1h", symbol="A").gather()
    assert clock.push({"A": told(1, funding=[(3_600_000, 0.1)])}) == []
    assert clock.push({"A": told(2)}) == []
    rows = clock.push({"B": told(2)})
    assert [row.values[0] for row in rows] == [0.1, 0.1]


def test_a_refused_bar_leaves_no_settlement() -> None:
    hour = 3_600_000
    stream = bp.FeatureSet(["funding_rate()"]).stream("1h")
    stream.update(told(1, funding=[(hour, 0.1)]))
    with pytest.raises(bp.FeatureError):
        stream.update(told(1, funding=[(hour, 0.1), (2 * hour, 0.9)]))
    stream.update(told(2, funding_rate=0.5))
    assert stream._funding[0].save() == [[hour, 0.1]]
