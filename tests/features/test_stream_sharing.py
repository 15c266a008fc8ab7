"""Streams in threads and pickles, and the short way that plain bars take."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import barproof as bp
from tests.features import markets

Floats = NDArray[np.float64]
CANDLES = markets.walk(21, 3_000).candles("ETH")
TEXTS = ["sma(20)", "rsi(14)", "obv()", "stoch(5, 3, 2)", "max(high, 30)@1h"]
FEATURES = bp.FeatureSet(TEXTS)


class Total:
    """Running total of volumes, which says its state."""

    def __init__(self) -> None:
        self.total = 0.0

    def __call__(self, bar: bp.Bar) -> float:
        self.total += bar.volume
        return self.total

    def save(self) -> dict[str, float]:
        return {"total": self.total}

    def load(self, state: dict[str, float]) -> None:
        self.total = state["total"]


class Silent(Total):
    """The same without a way to say it."""

    save = None  # type: ignore[assignment]


def volumes(candles: bp.Candles) -> Floats:
    return np.cumsum(candles.volume)


def mean(candles: bp.Candles) -> Floats:
    out = np.full(len(candles), np.nan)
    for t in range(3, len(candles)):
        out[t] = candles.close[t - 3 : t + 1].sum() / 4
    return out


TOTAL = bp.feature(volumes, name="total", memory=bp.cumulative(), stream=Total)
SILENT = bp.feature(volumes, name="silent", memory=bp.cumulative(), stream=Silent)
MEAN = bp.feature(mean, name="mean", memory=bp.finite(4))


@pytest.fixture
def switching() -> Iterator[None]:
    """Change threads as often as Python can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


# Threads.


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize(
    "features", [FEATURES, bp.FeatureSet([*TEXTS, TOTAL, MEAN])], ids=["plain", "own"]
)
def test_threads_that_share_a_stream_take_turns(features: bp.FeatureSet) -> None:
    """Four threads race for the same bars: each bar is taken by one of them, whole, and refused to the others."""
    candles = CANDLES[:600]
    stream, rows = features.stream("5m"), dict[int, Floats]()
    refused = []

    def run() -> None:
        for bar in candles:
            try:
                rows[bar.open_time] = stream.update(bar).copy()
            except bp.FeatureError as error:
                refused.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A thread that is ahead makes bars late for the others, so that some may never have been taken.
    assert len(rows) + len(refused) == 4 * len(candles)
    assert all("less than one interval after the last one" in text for text in refused)
    taken = [bar for bar in candles if bar.open_time in rows]
    alone = features.stream("5m")
    for bar in taken:
        np.testing.assert_array_equal(rows[bar.open_time], alone.update(bar))
    assert stream.bars == len(taken)


def test_a_bar_waits_while_many_are_taken() -> None:
    """`update_many` lets the interpreter's lock go; a bar that comes meanwhile is the next one, and none is lost."""
    candles = bp.simulate_candles(1, bars=150_000)
    stream = bp.FeatureSet(["median(200)", "sma(20)"]).stream("5m")
    found: list[Floats] = []
    many = threading.Thread(target=lambda: found.append(stream.update_many(candles[:-1])))
    many.start()
    while stream.bars == 0 and many.is_alive() and not stream._at_work:
        pass
    row = stream.update(candles[-1])
    many.join()
    whole = stream.features.matrix(candles, dtype="f64")
    np.testing.assert_array_equal(np.concatenate([found[0], row[None, :]]), whole)


def test_streams_of_several_threads_are_their_own() -> None:
    rows: dict[int, Floats] = {}

    def run(seed: int) -> None:
        rows[seed] = FEATURES.stream("5m").update_many(markets.walk(seed, 2_000).candles())

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, found in rows.items():
        expected = FEATURES.matrix(markets.walk(seed, 2_000).candles(), dtype="f64")
        np.testing.assert_array_equal(found, expected)


# Pickles and snapshots.


@pytest.mark.parametrize(
    "own", [[TOTAL], [SILENT], [MEAN, SILENT, "diff(silent, 3)", "zscore(mean, 9)"]]
)
def test_a_pickle_goes_on_where_the_stream_stood(own: list[Any]) -> None:
    features = bp.FeatureSet([*TEXTS, *own])
    stream = features.stream("5m")
    for bar in CANDLES[:150]:
        stream.update(bar)
    copy = pickle.loads(pickle.dumps(stream))
    for bar in CANDLES[150:260]:
        np.testing.assert_array_equal(copy.update(bar), stream.update(bar))
    assert copy.bars == stream.bars == 260


def test_a_snapshot_holds_what_steps_say() -> None:
    features = bp.FeatureSet([TOTAL, MEAN, "diff(total, 3)"])
    stream = features.stream("5m")
    stream.update_many(CANDLES[:100])
    fresh = features.stream("5m").restore(stream.snapshot())
    for bar in CANDLES[100:130]:
        np.testing.assert_array_equal(fresh.update(bar), stream.update(bar))
    with pytest.raises(bp.FeatureError, match="give what its `stream=` makes save"):
        bp.FeatureSet([SILENT]).stream("5m").snapshot()


def test_steps_that_say_their_state_survive_an_error_midway() -> None:
    def failing(candles: bp.Candles) -> Floats:
        if candles.open_time[-1] == CANDLES.open_time[40]:
            raise ZeroDivisionError
        return candles.close

    fails = bp.feature(failing, name="fails", memory=bp.finite(1))
    stream = bp.FeatureSet([TOTAL, fails]).stream("5m")
    stream.update_many(CANDLES[:20])
    with pytest.raises(ZeroDivisionError):
        stream.update_many(CANDLES[20:60])
    row = stream.update(CANDLES[20])
    assert row[0] == volumes(CANDLES[:21])[-1]


# The short way.


def test_plain_bars_take_the_short_way_and_others_the_long_one() -> None:
    stream = FEATURES.stream("5m")
    long: list[Any] = []

    def slow(bar: Any, out: Any) -> Floats:
        long.append(bar)
        return stream._update(bar, out)

    stream._core.hand_on(slow)
    out = np.empty(len(FEATURES))
    rows = []
    for k, bar in enumerate(CANDLES[:60]):
        given: Any = (bar, tuple(bar), bar._asdict(), list(bar), bp.Bar(*bar))[k % 5]
        rows.append(stream.update(given, out=out).copy())
    np.testing.assert_array_equal(rows, FEATURES.matrix(CANDLES[:60], dtype="f64"))
    # Bars of candles are known after the first; a class of its own is asked whenever it comes after another.
    kinds = {type(bar).__name__ for bar in long}
    assert kinds == {"Bar", "dict", "list"}
    assert not any(type(bar) is tuple for bar in long)
    before = len(long)
    stream.update(CANDLES[60], out=out)
    for bar in CANDLES[61:90]:
        stream.update(bar, out=out)
    assert len(long) <= before + 1


@pytest.mark.parametrize(
    "out",
    [
        np.empty(len(FEATURES), np.float32),
        np.empty((len(FEATURES), 1)),
        np.empty(len(FEATURES) + 1),
        np.empty(len(FEATURES), ">f8"),
        np.frombuffer(bytes(8 * len(FEATURES))),
        [0.0] * len(FEATURES),
    ],
    ids=["f32", "two dimensions", "longer", "big endian", "read-only", "list"],
)
def test_an_array_that_rows_do_not_fit_is_refused_and_no_bar_taken(out: Any) -> None:
    stream = FEATURES.stream("5m")
    stream.update(CANDLES[0])
    state = stream.snapshot()
    with pytest.raises(bp.LayoutError, match="`out` must be a writeable float64 array"):
        stream.update(CANDLES[1], out=out)
    assert stream.snapshot() == state


def test_arrays_of_odd_layout_are_filled_all_the_same() -> None:
    stream = FEATURES.stream("5m")
    raw = np.zeros(8 * len(FEATURES) + 1, np.uint8)
    for out in (
        np.zeros(3 * len(FEATURES))[::3],
        np.zeros(len(FEATURES))[::-1],
        raw[1:].view(np.float64),
        np.zeros(len(FEATURES)).view(np.recarray),
    ):
        bar = CANDLES[stream.bars]
        assert stream.update(bar, out=out) is out
        expected = FEATURES.matrix(CANDLES[: stream.bars], dtype="f64")[-1]
        np.testing.assert_array_equal(np.asarray(out), expected)


def test_a_stream_is_freed_with_what_it_calls() -> None:
    import gc
    import weakref

    stream = FEATURES.stream("5m")
    stream.update(CANDLES[0])
    gone = weakref.ref(stream)
    del stream
    gc.collect()
    assert gone() is None


def test_bars_of_another_interval_are_refused_on_the_short_way_too() -> None:
    hours = bp.resample(CANDLES, "1h")
    stream = FEATURES.stream("5m")
    stream.update(CANDLES[0])
    stream.update(CANDLES[1])
    with pytest.raises(bp.FeatureError, match="bar of 1h does not belong to a stream of 5m"):
        stream.update(hours[5])
    with pytest.raises(bp.FeatureError, match="finite prices > 0"):
        stream.update(CANDLES[2]._replace(low=float("nan")))
    assert stream.bars == 2
