"""Streams of one symbol and of several give the bits of the batch, and take nothing that is no bar."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.errors import BarproofError
from tests.features import markets
from tests.features.laws import assert_same_bits, bar, check_alone, mixed, values
from tests.features.markets import Floats, Market


def test_equal_parts_are_computed_once() -> None:
    shared = bp.FeatureSet(["zscore(rsi(14), 100)", "rsi(14)", "sma(rsi(close, 14), 5)", "rsi(15)"])
    steps = [what for _, what, *_ in shared._graph.steps()]
    assert len(steps) == len(set(steps)) == 4, steps
    check_alone(shared, mixed(1)[1])


def test_stream_of_bars() -> None:
    """`update` takes the bars of candles themselves, and writes into an array that is given."""
    features = bp.FeatureSet(["rsi(14)", "macd(3, 7, 4).hist", "sma(5)@1h"])
    candles = mixed(1)[1]
    expected = values(features, candles)
    stream = features.stream("5m")
    out = np.empty(3)
    for t, one in enumerate(candles):
        row = stream.update(one, out=out)
        assert row is out
        assert_same_bits(row, expected[t], t)


def test_stream_refuses_what_is_out_of_order() -> None:
    features = bp.FeatureSet(["ema(5)", "sma(3)"])
    candles = mixed(1)[1]
    expected = values(features, candles)
    stream = features.stream("5m")
    stream.update_many(candles[:50])
    for late in (candles[49], candles[10], candles[50]._replace(close=float("nan"))):
        with pytest.raises(BarproofError):
            stream.update(late)
    with pytest.raises(BarproofError):
        stream.update_many(candles[49:60])
    assert_same_bits(stream.update_many(candles[50:]), expected[50:], "refused bars left a trace")


@pytest.mark.parametrize(
    "out", [np.empty(1), np.empty(3), np.empty(2, np.float32), np.empty((2, 1))]
)
def test_stream_refuses_an_array_that_does_not_fit(out: Any) -> None:
    features = bp.FeatureSet(["ema(5)", "sma(3)"])
    candles = mixed(1)[1]
    stream = features.stream("5m")
    with pytest.raises((BarproofError, TypeError)):
        stream.update(candles[0], out=out)
    assert_same_bits(
        stream.update_many(candles), values(features, candles), "a refused array left a trace"
    )


def test_snapshot_of_another_set_or_of_nothing_is_refused() -> None:
    candles = mixed(1)[1]
    stream = bp.FeatureSet(["ema(5)", "sma(3)"]).stream("5m")
    stream.update_many(candles[:60])
    saved = stream.snapshot()
    other = bp.FeatureSet(["ema(5)", "sma(4)"]).stream("5m")
    fresh = other.snapshot()
    rng = np.random.default_rng(1)
    damaged = [saved, b"", b"abc", saved[:-1], saved + b"\0", saved[: len(saved) // 2]]
    for wrong in damaged:
        with pytest.raises(BarproofError):
            other.restore(wrong)
        assert other.snapshot() == fresh
    hourly = bp.FeatureSet(["ema(5)", "sma(3)"]).stream("1h")
    with pytest.raises(BarproofError):
        hourly.restore(saved)
    for _ in range(300):
        turned = bytearray(saved)
        turned[int(rng.integers(len(saved)))] ^= 1 << int(rng.integers(8))
        same = bp.FeatureSet(["ema(5)", "sma(3)"]).stream("5m")
        with pytest.raises(BarproofError):
            same.restore(bytes(turned))


def test_snapshot_of_own_features_is_whole_or_refused() -> None:
    own = bp.feature(lambda candles: candles.close * 2.0, name="twice", memory=bp.finite(3))
    features = bp.FeatureSet([own, "ema(5)", "sma(twice, 4)"])
    candles = mixed(1)[1]
    stream = features.stream("5m")
    stream.update_many(candles[:60])
    saved = stream.snapshot()
    expected = stream.update_many(candles[60:])
    assert_same_bits(features.stream("5m").restore(saved).update_many(candles[60:]), expected)
    rng = np.random.default_rng(2)
    for at in [*range(24), *rng.integers(0, len(saved), 100).tolist()]:
        turned = bytearray(saved)
        turned[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(BarproofError):
            features.stream("5m").restore(bytes(turned))


def test_a_time_at_the_end_of_time_is_refused_or_the_last() -> None:
    """Adding an interval to it must not wrap around to the past."""
    candles = mixed(1)[1]
    stream = bp.FeatureSet(["ema(5)", "sma(3)@1h"]).stream("5m")
    stream.update(candles[0])
    for time in (2**63 - 1, 2**63 - 300_000, -(2**63), 2**70):
        with pytest.raises(BarproofError):
            stream.update(candles[0]._replace(open_time=time))
    stream.update(candles[1])


@pytest.mark.parametrize(
    "changes",
    [{"open_time": "x"}, {"open_time": 1.5}, {"close": None}, {"volume": "1"}, {"high": 0.0}],
    ids=str,
)
def test_stream_refuses_what_is_no_bar(changes: dict[str, Any]) -> None:
    candles = mixed(1)[1]
    stream = bp.FeatureSet(["ema(5)"]).stream("5m")
    with pytest.raises(BarproofError):
        stream.update(candles[0]._replace(**changes))
    assert stream.bars == 0


def test_many_symbols_by_threads() -> None:
    texts = ["rsi(14)", "zscore(close, 20)", "ratio(close, close@B)", "sma(3)@B/1h"]
    features = bp.FeatureSet(texts)
    given_ = {name: markets.mixed(i, 300).candles(name) for i, name in enumerate("ABC")}
    one = features.compute(given_, threads=1)
    for threads in (2, 4, None):
        assert features.compute(given_, threads=threads).equals(one, null_equal=True)
    alone = bp.FeatureSet(texts[:2])
    for name, candles in given_.items():
        rows = one.filter(pl.col("symbol") == name)
        assert_same_bits(rows.select(texts[:2]).to_numpy(), values(alone, candles), name)


OF_OTHERS = [
    "close@BTC",
    "log_return(1)@BTC",
    "ratio(close, ema(3)@BTC/1h)",
    "sma(3)@1h",
    "zscore(ratio(close, close@BTC), 8)",
    "rsi(5)@BTC/15m",
    "max(3)@XRP",
]


def trio(seed: int, *, apart: bool) -> dict[str, Market]:
    """Three markets; `apart`: each lacks bars that others have, else the first has all that others have."""
    books = {"ETH": markets.mixed(seed, 300) if apart else markets.walk(seed, 300)}
    for i, name in enumerate(("BTC", "XRP")):
        market = markets.walk(seed + i + 1, 300)
        keep = np.random.default_rng([seed, i]).uniform(size=300) > 0.1
        books[name] = market.take(keep)
    return books


def batch_of(books: dict[str, Market], symbol: str) -> Floats:
    features = bp.FeatureSet(OF_OTHERS)
    frame = features.compute({name: market.candles(name) for name, market in books.items()})
    return frame.filter(pl.col("symbol") == symbol).select(features.names).to_numpy()


@pytest.mark.parametrize("seed", range(3))
def test_stream_of_symbols(seed: int) -> None:
    books = trio(seed, apart=False)
    expected = batch_of(books, "ETH")
    stream = bp.FeatureSet(OF_OTHERS).stream("5m", symbol="ETH")
    at = {n: {t: i for i, t in enumerate(m.open_time.tolist())} for n, m in books.items()}
    rows = []
    for time in books["ETH"].open_time.tolist():
        bars = {name: bar(books[name], rows_[time]) for name, rows_ in at.items() if time in rows_}
        rows.append(stream.update(bars))
    assert_same_bits(rows, expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("apart", [False, True])
def test_stream_of_symbols_in_pieces(seed: int, apart: bool) -> None:
    books = trio(seed, apart=apart)
    expected = batch_of(books, "ETH")
    stream = bp.FeatureSet(OF_OTHERS).stream("5m", symbol="ETH")
    rng = np.random.default_rng(seed)
    ends = markets.MONDAY + 5 * markets.MINUTE * np.sort(rng.integers(0, 400, 7))
    candles = {name: market.candles(name) for name, market in books.items()}
    rows, begin = [], 0
    for end in [*ends.tolist(), 2**60]:
        cut = {}
        for name, one in candles.items():
            a, b = np.searchsorted(one.open_time, [begin, end])
            cut[name] = one[int(a) : int(b)]
        rows.append(stream.update_many(cut))
        saved = stream.snapshot()
        stream = bp.FeatureSet(OF_OTHERS).stream("5m", symbol="ETH")
        stream.restore(saved)
        begin = end
    assert_same_bits(np.concatenate(rows), expected)


@pytest.mark.parametrize("seed", range(3))
def test_bars_of_others_while_the_first_has_none(seed: int) -> None:
    """A bar of another symbol counts as well where the first symbol has a hole."""
    books = trio(seed, apart=True)
    expected = batch_of(books, "ETH")
    stream = bp.FeatureSet(OF_OTHERS).stream("5m", symbol="ETH")
    at = {n: {t: i for i, t in enumerate(m.open_time.tolist())} for n, m in books.items()}
    rows = []
    for time in sorted(set().union(*at.values())):
        bars = {name: bar(books[name], rows_[time]) for name, rows_ in at.items() if time in rows_}
        if "ETH" in bars:
            rows.append(stream.update(bars))
        else:
            stream.feed(bars)
        if time // 300_000 % 7 == 0:
            stream = bp.FeatureSet(OF_OTHERS).stream("5m", symbol="ETH").restore(stream.snapshot())
    assert_same_bits(rows, expected)


def test_a_refused_bar_of_symbols_leaves_no_trace() -> None:
    books = trio(1, apart=False)
    features = bp.FeatureSet(["close@BTC", "sma(3)"])
    stream, clean = features.stream("5m", symbol="ETH"), features.stream("5m", symbol="ETH")
    for t in range(4):
        good = {"ETH": bar(books["ETH"], t), "BTC": bar(books["ETH"], t)}
        for wrong in ("ETH", "BTC"):
            with pytest.raises(BarproofError):
                stream.update({**good, wrong: {**good[wrong], "close": float("nan")}})
        assert_same_bits(stream.update(good), clean.update(good), t)
