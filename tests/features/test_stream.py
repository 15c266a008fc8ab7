"""Streams: what bars they take, what they refuse without a trace, snapshots, hostile bytes."""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import barproof as bp
from tests.features import markets
from tests.tolerances import REFERENCE

Floats = NDArray[np.float64]
CANDLES = markets.walk(3, 400).candles("ETH")
MIXED = ["rsi(14)", "sma(5)", "obv()", "macd(3, 6, 4).hist", "zscore(close, 7)@15m", "max(high, 9)"]


def same(actual: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(actual), np.asarray(expected))


def body(candles: bp.Candles) -> Floats:
    return (candles.close - candles.open) / candles.open


def slow(candles: bp.Candles) -> Floats:
    """Mean of four closes, by a loop."""
    out = np.full(len(candles), np.nan)
    for t in range(3, len(candles)):
        out[t] = float(np.mean(candles.close[t - 3 : t + 1]))
    return out


def taker(candles: bp.Candles) -> Floats:
    return candles.extra["taker_buy_volume"] / (1 + candles.volume)


class Total:
    """Steps that keep a running total; refuses volumes of exactly `poison`."""

    def __init__(self, poison: float = -1.0) -> None:
        self.total = 0.0
        self.poison = poison

    def __call__(self, bar: bp.Bar) -> float:
        self.total += bar.volume
        if bar.volume == self.poison:
            raise RuntimeError("poisoned")
        return self.total


def total(candles: bp.Candles) -> Floats:
    return np.cumsum(candles.volume)


BODY = bp.feature(body, name="body", memory=bp.finite(1))
SLOW = bp.feature(slow, name="slow", memory=bp.finite(4))
TAKER = bp.feature(taker, name="taker", memory=bp.finite(1))
TOTAL = bp.feature(total, name="total", memory=bp.cumulative(), stream=Total)


# What counts as a bar.


def as_is(bar: bp.Bar) -> Any:
    return bar


BARS: dict[str, Callable[[bp.Bar], Any]] = {
    "bar": as_is,
    "tuple": tuple,
    "list": list,
    "array": np.array,
    "scalars": lambda bar: (np.int64(bar.open_time), *map(np.float64, bar[1:])),
    "dict": lambda bar: bar._asdict(),
    "datetime": lambda bar: {
        **bar._asdict(),
        "open_time": pl.Series([bar.open_time]).cast(pl.Datetime("ms", "UTC"))[0],
    },
    "naive datetime": lambda bar: (
        pl.Series([bar.open_time]).cast(pl.Datetime("ms"))[0],
        *bar[1:],
    ),
    "datetime64": lambda bar: (np.datetime64(bar.open_time, "ms"), *bar[1:]),
}


@pytest.mark.parametrize("kind", BARS)
@pytest.mark.parametrize("texts", [["sma(5)", "rsi(3)"], ["sma(5)", BODY]], ids=["plain", "own"])
def test_bars_come_in_many_kinds(kind: str, texts: list[Any]) -> None:
    features = bp.FeatureSet(texts)
    stream = features.stream("5m")
    rows = [stream.update(BARS[kind](bar)) for bar in CANDLES[:20]]
    same(rows, features.matrix(CANDLES[:20], dtype="f64"))


def test_rows_of_a_polars_table_are_bars() -> None:
    features = bp.FeatureSet(["taker_imbalance()", TAKER, "zscore(taker, 5)"])
    stream = features.stream("5m")
    rows = [stream.update(row) for row in CANDLES[:30].to_polars().iter_rows(named=True)]
    same(rows, features.matrix(CANDLES[:30], dtype="f64"))


def test_what_is_no_number_beside_the_bar_is_passed_over() -> None:
    stream = bp.FeatureSet([BODY]).stream("5m")
    bar = {**CANDLES[0]._asdict(), "symbol": "ETH", "closed": True, "taker_buy_volume": None}
    same(stream.update(bar), [body(CANDLES[:1])[0]])


@pytest.mark.parametrize(
    "change",
    [
        {"open": "100.0"},
        {"close": None},
        {"open_time": "2024-01-01"},
        {"open_time": float("nan")},
        {"open_time": 1.5},
        {"open_time": 10**30},
        {"high": [1.0]},
    ],
)
@pytest.mark.parametrize("texts", [["sma(2)"], ["sma(2)", BODY]], ids=["plain", "own"])
def test_what_is_no_bar_is_refused_without_a_trace(
    texts: list[Any], change: dict[str, Any]
) -> None:
    stream = bp.FeatureSet(texts).stream("5m")
    stream.update(CANDLES[0])
    before = stream.snapshot()
    wrong = {**CANDLES[1]._asdict(), **change}
    for bar in (wrong, tuple(wrong.values())):
        with pytest.raises(bp.LayoutError):
            stream.update(bar)
    assert stream.snapshot() == before


@pytest.mark.parametrize(
    "change",
    [
        {"open": 0.0},
        {"close": float("nan")},
        {"high": float("inf")},
        {"volume": -1.0},
        {"open_time": CANDLES[0].open_time},
        {"open_time": CANDLES[0].open_time + 299_999},
        {"open_time": -(2**60)},
        {"open_time": 2**60},
    ],
)
def test_a_refused_bar_does_not_reach_functions_of_the_user(change: dict[str, Any]) -> None:
    """Their state cannot be set back, so that everything is checked before they run."""
    stream = bp.FeatureSet(["sma(2)", TOTAL, BODY]).stream("5m")
    clean = bp.FeatureSet(["sma(2)", TOTAL, BODY]).stream("5m")
    same(stream.update(CANDLES[0]), clean.update(CANDLES[0]))
    for _ in range(3):
        with pytest.raises((bp.FeatureError, bp.LayoutError)):
            stream.update({**CANDLES[1]._asdict(), **change})
    same(stream.update(CANDLES[1]), clean.update(CANDLES[1]))


def test_the_interval_is_that_of_the_first_bar_unless_it_is_refused() -> None:
    features = bp.FeatureSet(["sma(2)"])
    stream = features.stream()
    with pytest.raises(bp.FeatureError, match="interval"):
        stream.update(tuple(CANDLES[0]))
    hours = bp.resample(CANDLES, "1h")
    broken = pickle.loads(pickle.dumps(hours[0]))._replace(close=-1.0)
    assert broken.interval_ms == 3_600_000
    with pytest.raises(bp.FeatureError, match="prices"):
        stream.update(broken)
    assert repr(stream) == "FeatureStream(1 feature, 0 bars)"
    stream.update(CANDLES[0])
    assert repr(stream) == "FeatureStream(1 feature, 1 bars of 5m)"
    with pytest.raises(bp.FeatureError, match="1h does not belong to a stream of 5m"):
        stream.update(hours[3])
    with pytest.raises(bp.FeatureError, match="1h does not belong to a stream of 5m"):
        stream.update_many(hours[3:5])
    assert stream.bars == 1


def test_bars_off_the_grid_and_holes_are_taken_as_candles_take_them() -> None:
    step = np.r_[7_000, np.diff(CANDLES.open_time)]
    step[[30, 60, 61]] *= 5
    frame = CANDLES.to_polars().with_columns(
        open_time=pl.Series(CANDLES.open_time[0] + np.cumsum(step)).cast(pl.Datetime("ms", "UTC"))
    )
    candles = bp.read_candles(
        frame, instrument="spot", symbol="X", interval="5m", on_fault="ignore"
    )
    assert candles.open_time[0] % 300_000 == 7_000
    features = bp.FeatureSet(MIXED)
    stream = features.stream()
    same([stream.update(bar) for bar in candles], features.matrix(candles, dtype="f64"))


def test_out_is_filled_and_given_back() -> None:
    stream = bp.FeatureSet(["close", "open"]).stream("5m")
    table = np.zeros((3, 2))
    for bar, row in zip(CANDLES[:3], table, strict=True):
        assert stream.update(bar, row) is row
    same(table, np.c_[CANDLES.close[:3], CANDLES.open[:3]])
    wide = np.zeros((2, 4))[:, ::2]
    stream.update(CANDLES[3], wide[1])
    same(wide[1], [CANDLES.close[3], CANDLES.open[3]])


def test_ready_says_that_every_value_is_there() -> None:
    features = bp.FeatureSet(["sma(5)", "rsi(7)@15m"])
    stream = features.stream("5m")
    for bar in CANDLES[:60]:
        row = stream.update(bar)
        assert stream.ready <= bool(np.isfinite(row).all())
    assert stream.ready


# Functions of the user's own.


@pytest.mark.parametrize("pieces", [[400], [1, 2, 397], [150, 0, 250], [133, 133, 134]])
def test_own_features_go_on_in_pieces(pieces: list[int]) -> None:
    features = bp.FeatureSet([*MIXED, SLOW, TOTAL, "zscore(slow, 5)", "diff(total, 2)"])
    whole = features.matrix(CANDLES, dtype="f64")
    stream, begin, rows = features.stream("5m"), 0, []
    for size in pieces:
        rows.append(stream.update_many(CANDLES[begin : begin + size]))
        begin += size
    np.testing.assert_allclose(np.concatenate(rows), whole, rtol=REFERENCE)
    # What does not rest on them has the same bits.
    same(np.concatenate(rows)[:, : len(MIXED)], whole[:, : len(MIXED)])


def failing(candles: bp.Candles) -> Floats:
    if candles.volume[-1] == CANDLES.volume[57]:
        raise ZeroDivisionError("no such bar")
    return candles.close


FAILING = bp.feature(failing, name="failing", memory=bp.finite(1))


def test_an_error_midway_takes_nothing() -> None:
    features = bp.FeatureSet(["ema(9)", SLOW, FAILING])
    stream, clean = features.stream("5m"), features.stream("5m")
    stream.update_many(CANDLES[:40])
    clean.update_many(CANDLES[:40])
    before = stream.snapshot()
    with pytest.raises(ZeroDivisionError) as caught:
        stream.update_many(CANDLES[40:80])
    assert caught.value.__notes__ == ["in feature `failing`, a function of your own"]
    assert stream.snapshot() == before
    same(stream.update_many(CANDLES[40:57]), clean.update_many(CANDLES[40:57]))
    with pytest.raises(ZeroDivisionError):
        stream.update(CANDLES[57])
    assert stream.snapshot() == clean.snapshot()


@pytest.mark.parametrize("many", [False, True])
def test_after_an_error_in_a_function_that_keeps_a_state_the_stream_ends(many: bool) -> None:
    def steps() -> Total:
        return Total(poison=float(CANDLES.volume[7]))

    own = bp.feature(total, name="total", memory=bp.cumulative(), stream=steps)
    stream = bp.FeatureSet(["sma(2)", own]).stream("5m")
    stream.update_many(CANDLES[:5])
    if many:
        with pytest.raises(RuntimeError, match="poisoned"):
            stream.update_many(CANDLES[5:9])
    else:
        stream.update_many(CANDLES[5:7])
        with pytest.raises(RuntimeError, match="poisoned"):
            stream.update(CANDLES[7])
    for go_on in (
        lambda: stream.update(CANDLES[8]),
        lambda: stream.update_many(CANDLES[8:]),
        lambda: stream.feed({"BTC": CANDLES[8]}),
    ):
        with pytest.raises(bp.FeatureError, match="cannot go on"):
            go_on()


def test_features_without_a_state_run_before_those_that_keep_one() -> None:
    """So that their errors leave the state where it was."""
    features = bp.FeatureSet([TOTAL, FAILING])
    stream = features.stream("5m")
    stream.update_many(CANDLES[:57])
    with pytest.raises(ZeroDivisionError):
        stream.update(CANDLES[57])
    row = stream.update(CANDLES[58])
    assert row[0] == pytest.approx(CANDLES.volume[:57].sum() + CANDLES.volume[58], rel=REFERENCE)


def test_each_stream_has_steps_of_its_own() -> None:
    features = bp.FeatureSet([TOTAL])
    first, second = features.stream("5m"), features.stream("5m")
    first.update_many(CANDLES[:50])
    same(second.update(CANDLES[0]), [CANDLES.volume[0]])


def test_a_function_sees_the_bars_that_its_memory_asks_for() -> None:
    seen = []

    def look(candles: bp.Candles) -> Floats:
        seen.append((len(candles), candles.symbol, candles.interval, candles.open_time[-1]))
        return np.zeros(len(candles))

    own = bp.feature(look, name="look", memory=bp.finite(3))
    stream = bp.FeatureSet([own]).stream(symbol="ETH")
    for bar in CANDLES[:5]:
        stream.update(bar)
    times = CANDLES.open_time[:5].tolist()
    assert seen == [(k, "ETH", "5m", t) for k, t in zip((1, 2, 3, 3, 3), times, strict=True)]


# Other symbols.


def books() -> dict[str, bp.Candles]:
    found = {}
    for k, name in enumerate(("ETH", "BTC", "XRP")):
        keep = np.random.default_rng(k).uniform(size=300) > 0.15
        found[name] = markets.walk(k, 300).take(keep).candles(name)
    return found


OF_OTHERS = ["close@BTC", "sma(4)@XRP", "ema(3)@BTC/15m", "ratio(close, sma(2)@XRP/1h)", "sma(3)"]


@pytest.mark.parametrize("own", [False, True])
def test_bars_of_others_at_times_of_their_own_are_fed(own: bool) -> None:
    held = books()
    features = bp.FeatureSet([*OF_OTHERS, *([BODY, TOTAL] if own else [])])
    frame = features.compute(held).filter(pl.col("symbol") == "ETH")
    expected = frame.select(features.names).to_numpy()
    stream = features.stream("5m", symbol="ETH")
    at = {name: {bar.open_time: bar for bar in one} for name, one in held.items()}
    rows = []
    for moment in sorted(set().union(*at.values())):
        bars = {name: known[moment] for name, known in at.items() if moment in known}
        if "ETH" in bars:
            rows.append(stream.update(bars))
        else:
            stream.feed(bars)
    np.testing.assert_allclose(rows, expected, rtol=REFERENCE)
    same(np.array(rows)[:, : len(OF_OTHERS)], expected[:, : len(OF_OTHERS)])
    again = features.stream("5m", symbol="ETH")
    same(np.array(rows), again.update_many(held))


def test_bars_of_all_symbols_come_in_time_order() -> None:
    """What is behind is refused: a row must not rest on later bars of others."""
    held = books()
    stream = bp.FeatureSet(["close@BTC"]).stream("5m", symbol="ETH")
    end = int(held["ETH"].open_time[20]) + 1
    stream.update_many({"ETH": held["ETH"][:20], "BTC": held["BTC"][:80]})
    with pytest.raises(bp.FeatureError, match="comes after that of BTC"):
        stream.update({"ETH": held["ETH"][20]})
    with pytest.raises(bp.FeatureError, match="comes after that of BTC"):
        stream.update_many({"ETH": held["ETH"][20:], "BTC": held["BTC"][80:]})
    other = bp.FeatureSet(["close@BTC"]).stream("5m", symbol="ETH")
    other.update_many({"ETH": held["ETH"][:20], "BTC": held["BTC"][:0]})
    late = held["BTC"][0]
    assert late.open_time < end
    with pytest.raises(bp.FeatureError, match="comes after that of ETH"):
        other.feed({"BTC": late})


def test_a_set_that_names_the_own_symbol_alone_takes_plain_bars() -> None:
    features = bp.FeatureSet(["close@ETH", "sma(2)"])
    plain, named = features.stream("5m", symbol="ETH"), features.stream("5m", symbol="ETH")
    assert plain.symbols == ()
    for bar in CANDLES[:5]:
        same(plain.update(bar), named.update({"ETH": bar}))
    same(plain.update_many(CANDLES[5:9]), named.update_many({"ETH": CANDLES[5:9]}))


# Snapshots.


@pytest.mark.parametrize("texts", [MIXED, [*MIXED, SLOW, "ema(slow, 3)"]], ids=["plain", "own"])
def test_a_restored_stream_goes_on_with_the_same_bits(texts: list[Any]) -> None:
    features = bp.FeatureSet(texts)
    stream = features.stream("5m")
    for cut in (0, 1, 37, 111):
        stream.update_many(CANDLES[stream.bars : cut])
        restored = features.stream("5m").restore(stream.snapshot())
        pickled = pickle.loads(pickle.dumps(stream))
        expected = features.stream("5m").update_many(CANDLES[: cut + 60])[cut:]
        for one in (restored, pickled):
            assert one.bars == cut
            same(one.update_many(CANDLES[cut : cut + 60]), expected)


def test_a_snapshot_keeps_bars_of_others_that_wait() -> None:
    held = books()
    features = bp.FeatureSet(OF_OTHERS)
    frame = features.compute(held).filter(pl.col("symbol") == "ETH")
    stream = features.stream("5m", symbol="ETH")
    end = int(held["ETH"].open_time[50])
    cut = {name: int(np.searchsorted(one.open_time, end)) for name, one in held.items()}
    stream.update_many({name: one[: cut[name]] for name, one in held.items()})
    restored = features.stream("5m", symbol="ETH").restore(stream.snapshot())
    rest = restored.update_many({name: one[cut[name] :] for name, one in held.items()})
    same(rest, frame.select(features.names).to_numpy()[50:])


def test_sets_and_own_features_pickle() -> None:
    features = bp.FeatureSet(["rsi(14)", SLOW, "zscore(slow, 9)"])
    copy = pickle.loads(pickle.dumps(features))
    assert copy == features
    assert copy.digest == features.digest
    assert pickle.loads(pickle.dumps(SLOW)) == SLOW
    same(copy.matrix(CANDLES), features.matrix(CANDLES))
    fresh = pickle.loads(pickle.dumps(features.stream()))
    same(fresh.update(CANDLES[0]), features.stream().update(CANDLES[0]))
    bar = pickle.loads(pickle.dumps(CANDLES[3]))
    assert bar == CANDLES[3]
    assert (bar.interval_ms, bar.extra) == (
        300_000,
        {name: column[3] for name, column in CANDLES.extra.items()},
    )


@pytest.mark.parametrize("texts", [MIXED, [*MIXED, SLOW]], ids=["plain", "own"])
def test_hostile_bytes_are_refused_and_change_nothing(texts: list[Any]) -> None:
    stream = bp.FeatureSet(texts).stream("5m")
    stream.update_many(CANDLES[:60])
    good = stream.snapshot()
    stream.update_many(CANDLES[60:90])
    before = stream.snapshot()
    draw = random.Random(1)
    wrong = [b"", b"BPFEATS\n", good[:-1], good[1:], good + b"\0", bytes(len(good)), good * 2]
    for _ in range(500):
        bytes_ = bytearray(good)
        for _ in range(draw.randrange(1, 4)):
            bytes_[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
        wrong += [bytes(bytes_), good[: draw.randrange(len(good))], draw.randbytes(200)]
    for one in wrong:
        if one == good:
            continue
        with pytest.raises(bp.FeatureError, match="rebuild with update_many"):
            stream.restore(one)
        assert stream.snapshot() == before
    assert stream.restore(good).bars == 60


def test_kept_bars_of_another_memory_are_refused() -> None:
    """The name is the same, so that only the kept bars can tell."""
    stream = bp.FeatureSet([SLOW]).stream("5m")
    stream.update_many(CANDLES[:10])
    longer = bp.feature(slow, name="slow", memory=bp.finite(5))
    other = bp.FeatureSet([longer]).stream("5m")
    with pytest.raises(bp.FeatureError, match="their memory was another"):
        other.restore(stream.snapshot())
    assert other.bars == 0


def forged(**columns: Any) -> bytes:
    """Kept bars with something else in place of a column."""
    held = {name: [1.0] for name in bp.Bar._fields}
    return json.dumps([{"memory": "finite(4)", "columns": {**held, **columns}}]).encode()


@pytest.mark.parametrize(
    "kept",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"[1]",
        b"[" * 100_000,
        b"\xff",
        b'[{"memory": "finite(4)"}]',
        b'[{"memory": "finite(4)", "columns": 3}]',
        b'[{"memory": "finite(4)", "columns": {}}]',
        b'[{"memory": "finite(4)", "columns": {"open_time": [1]}}]',
        forged(open_time=[1, 2]),
        forged(open_time=[float("inf")]),
        forged(open_time=1, open=1.0, high=1.0, low=1.0, close=1.0, volume=1.0),
        forged(close=["a"]),
        forged(close=[[1.0]]),
        forged(taker=[]),
    ],
)
def test_kept_bars_that_are_none_are_refused(kept: bytes) -> None:
    stream = bp.FeatureSet([SLOW, "ema(slow, 3)"]).stream("5m")
    stream.update_many(CANDLES[:10])
    snapshot = bytes(stream._core.snapshot(kept))
    before = stream.snapshot()
    with pytest.raises(bp.FeatureError, match="does not hold the bars"):
        stream.restore(snapshot)
    assert stream.snapshot() == before


# Long work.


def test_ctrl_c_ends_a_long_computation(tmp_path: Path) -> None:
    code = """
        import barproof as bp
        candles = bp.simulate_candles(1, bars=200_000)
        features = bp.FeatureSet([f"rank({n})" for n in range(20_000, 20_400)])
        print("ready", flush=True)
        try:
            features.compute(candles, threads=1)
        except KeyboardInterrupt:
            print("stopped", flush=True)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.3)
        child.send_signal(signal.SIGINT)
        assert child.communicate(timeout=30)[0] == "stopped\n"
    finally:
        child.kill()
        child.wait()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_a_window_takes_memory_as_bars_come() -> None:
    def held() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = held()
    names = ("sma", "median", "rank", "max", "wma")
    features = bp.FeatureSet([f"{f}({1_000_000 - k})" for k in range(40) for f in names])
    stream = features.stream("5m")
    stream.update_many(CANDLES)
    features.compute(CANDLES)
    assert held() - before < 100 * 2**20
    assert len(stream.snapshot()) < 2**22


def test_a_changed_bar_keeps_its_length_and_further_columns() -> None:
    bar = CANDLES[3]._replace(close=1.0)
    assert bar.close == 1.0
    features = bp.FeatureSet(["taker_imbalance()", "close"])
    assert features.stream().update(bar)[1] == 1.0
