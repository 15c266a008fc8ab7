"""The contract of every feature: over the registry, and over random nested expressions."""

from __future__ import annotations

import functools
import itertools
import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof.errors import BarproofError
from tests.features import markets
from tests.features.draws import expressions
from tests.features.expressions import Expression
from tests.features.markets import Floats, Market
from tests.tolerances import PRICE_FRACTION, REFERENCE

CLOCKS = ("15m", "1h")


# What is tried: every function of the registry, with its defaults and with short and long windows.


def spelled(row: dict[str, Any], numbers: tuple[float, ...]) -> list[str]:
    """Texts of one function, one an output, of the close where it has a choice."""
    given_ = ["close", "open"][: sum(kind == "given" for kind, _ in row["inputs"])]
    inner = ", ".join(given_ + [f"{v:g}" for v in numbers])
    return [f"{row['name']}({inner})" + (f".{o}" if o else "") for o in row["outputs"] or [None]]


def in_bounds(row: dict[str, Any], numbers: tuple[float, ...]) -> tuple[float, ...]:
    """Shares in place of numbers that are too large for one."""
    bounds = [bound for _, bound, _ in row["parameters"]]
    return tuple(
        v % 8 / 8 if bound == "a number from 0 to 1" else v
        for v, bound in zip(numbers, bounds, strict=True)
    )


def accepted(texts: list[str]) -> bool:
    try:
        bp.FeatureSet(texts)
    except BarproofError:
        return False
    return True


@functools.cache
def variants(name: str) -> tuple[str, ...]:
    """Texts of one function of the registry."""
    (row,) = (row for row in bp._core.feature_table() if row["name"] == name)
    count = len(row["parameters"])
    defaults = tuple(default for _, _, default in row["parameters"])
    tried = [defaults] if None not in defaults else []
    # Rising and falling, so that bounds between parameters let at least one through.
    tried += [
        tuple(base + step * i for i in range(count)) for base in (2, 5, 21) for step in (2, -1)
    ]
    out: dict[str, None] = {}
    for numbers in tried:
        texts = spelled(row, in_bounds(row, numbers))
        if accepted(texts):
            out.update(dict.fromkeys(texts))
    assert out, f"no parameters found that {name} takes"
    return tuple(out)


NAMES = [row["name"] for row in bp._core.feature_table()]
every_function = pytest.mark.parametrize("name", NAMES)


def bits(values: Any) -> Any:
    """Bits of floats, one pattern for all NaN."""
    out = np.array(values, dtype=np.float64, order="C")
    out[np.isnan(out)] = np.nan
    return out.view(np.int64)


def assert_same_bits(actual: Any, expected: Any, what: object = "") -> None:
    assert np.shape(actual) == np.shape(expected), what
    wrong = np.argwhere(bits(actual) != bits(expected))
    assert not len(wrong), (
        f"{what}: first at {wrong[0]}: {np.array(actual)[tuple(wrong[0])]!r} against "
        f"{np.array(expected)[tuple(wrong[0])]!r}"
    )


def values(features: bp.FeatureSet, candles: bp.Candles, threads: int | None = None) -> Floats:
    """Columns of `compute` as an array of shape (bars, features)."""
    frame = features.compute(candles, threads=threads)
    assert frame.columns == ["open_time", *features.names]
    assert frame.null_count().sum_horizontal().item() == 0
    assert set(frame.dtypes[1:]) == {pl.Float64}
    return np.column_stack([frame[name].to_numpy() for name in features.names])


def bar(market: Market, t: int) -> dict[str, Any]:
    """One bar with its taker volume, trades and funding."""
    return market.bar(t)


def stepped(stream: Any, market: Market, rows: range) -> Floats:
    return np.array([stream.update(bar(market, t)) for t in rows])


@functools.cache
def mixed(seed: int, n: int = 400) -> tuple[Market, bp.Candles]:
    market = markets.mixed(seed, n)
    return market, market.candles()


# The laws, each for any set of features.


def check_prefix(features: bp.FeatureSet, market: Market, cuts: list[int]) -> None:
    candles = market.candles()
    whole = values(features, candles)
    for k in cuts:
        assert_same_bits(values(features, candles[:k]), whole[:k], f"prefix {k}")


def check_future(features: bp.FeatureSet, market: Market, cut: int) -> None:
    """What comes later changes nothing; the length stays."""
    other = markets.poisoned(market, slice(cut, None), cut)
    whole, poisoned = values(features, market.candles()), values(features, other.candles())
    assert_same_bits(poisoned[:cut], whole[:cut], f"bars from {cut} on changed what was before")


def check_stream(features: bp.FeatureSet, market: Market) -> None:
    candles = market.candles()
    expected = values(features, candles)
    stream = features.stream(market.interval)
    assert_same_bits(stepped(stream, market, range(len(market))), expected, "update")
    stream = features.stream(market.interval)
    assert_same_bits(stream.update_many(candles), expected, "update_many")


def check_chunks(features: bp.FeatureSet, market: Market, cuts: list[int]) -> None:
    candles = market.candles()
    stream = features.stream(market.interval)
    rows = [
        stepped(stream, market, range(a, b)) if b - a == 1 else stream.update_many(candles[a:b])
        for a, b in itertools.pairwise([0, *sorted(set(cuts)), len(market)])
        if b > a
    ]
    assert_same_bits(np.concatenate(rows), values(features, candles), f"pieces {cuts}")


def check_restore(features: bp.FeatureSet, market: Market, cut: int) -> None:
    candles = market.candles()
    expected = values(features, candles)
    stream = features.stream(market.interval)
    stream.update_many(candles[:cut])
    saved, ready = stream.snapshot(), stream.ready
    assert isinstance(saved, bytes)
    ahead = stream.update_many(candles[cut:])
    other = bp.FeatureSet(list(features.names)).stream(market.interval)
    other.restore(saved)
    assert other.ready == ready
    assert other.snapshot() == saved
    assert_same_bits(other.update_many(candles[cut:]), ahead, "restored")
    assert_same_bits(ahead, expected[cut:], "after the snapshot")


def check_threads(features: bp.FeatureSet, candles: bp.Candles) -> None:
    one = values(features, candles, threads=1)
    for threads in (2, 5, None):
        assert_same_bits(values(features, candles, threads=threads), one, f"threads={threads}")


def check_text(features: bp.FeatureSet) -> None:
    again = bp.FeatureSet(list(features.names))
    assert again.names == features.names
    assert again.digest == features.digest
    loose = [name.replace(", ", " ,  ").replace("(", "( ") for name in features.names]
    assert bp.FeatureSet(loose).names == features.names


def check_alone(features: bp.FeatureSet, candles: bp.Candles) -> None:
    """Order and company of features change nothing in a column."""
    whole = values(features, candles)
    back = bp.FeatureSet(list(features.names[::-1]))
    assert_same_bits(values(back, candles)[:, ::-1], whole, "the other way round")
    for i, name in enumerate(features.names):
        assert_same_bits(values(bp.FeatureSet([name]), candles)[:, 0], whole[:, i], name)


def check_start(features: bp.FeatureSet, market: Market, starts: list[int]) -> None:
    """Finite memory: the same bits from any start, and whatever lay before."""
    whole = values(features, market.candles())
    for i, (name, (kind, memory, warmup)) in enumerate(features.facts(market.interval).items()):
        assert np.isnan(whole[:warmup, i]).all() or "@" in name, name
        if kind != "finite":
            continue
        assert memory is not None
        for s in starts:
            first = s + memory - 1
            late = values(bp.FeatureSet([name]), market.candles()[s:])[memory - 1 :, 0]
            assert_same_bits(late, whole[first:, i], f"{name} from bar {s}, memory {memory}")
            other = markets.poisoned(market, slice(None, s), s).candles()
            late = values(bp.FeatureSet([name]), other)[first:, 0]
            assert_same_bits(late, whole[first:, i], f"{name} after poison up to {s}")


# Over the registry.


@every_function
def test_prefix(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    check_prefix(features, mixed(1)[0], [0, 1, 2, 3, 17, 199, 399])
    check_future(features, mixed(1)[0], 250)


@every_function
def test_prefix_across_blocks(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    market = markets.mixed(8, 2_200)
    check_prefix(features, market, [1023, 1024, 1025, 2048, 2100])
    check_chunks(features, market, [1023, 1024, 1025, 1026, 2047])


@every_function
def test_stream(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    check_stream(features, mixed(2)[0])
    check_chunks(features, mixed(2)[0], [1, 2, 5, 100, 101, 102, 333])


@every_function
def test_snapshot(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    for cut in (0, 1, 7, 150, 399):
        check_restore(features, mixed(3)[0], cut)


@every_function
def test_threads(name: str) -> None:
    check_threads(bp.FeatureSet(list(variants(name))), mixed(4, 2_500)[1])


@every_function
def test_text(name: str) -> None:
    texts = variants(name)
    features = bp.FeatureSet(list(texts))
    check_text(features)
    assert features.names == texts


@every_function
def test_alone(name: str) -> None:
    check_alone(bp.FeatureSet(list(variants(name))), mixed(5)[1])


@every_function
def test_start(name: str) -> None:
    check_start(bp.FeatureSet(list(variants(name))), mixed(6)[0], [1, 2, 3, 50, 137, 300])


@every_function
def test_fade(name: str) -> None:
    """Fading memory: within 1e-9 of any other start after the declared bars."""
    for text in variants(name):
        features = bp.FeatureSet([text])
        kind, memory = features.memory[text]
        if kind != "fading":
            continue
        assert memory is not None
        market = markets.walk(9, max(3_000, memory + 1_500), sigma=0.01)
        whole = values(features, market.candles())[:, 0]
        # Differences that cross 0 are small against what they usually are.
        size = np.fmax(np.abs(whole), np.nanmedian(np.abs(whole)))
        for s in (1, 100, 777):
            late = values(features, market.candles()[s:])[memory:, 0]
            assert len(late) > 500, f"{text} declares {memory} bars"
            far = np.abs(late - whole[s + memory :]) / size[s + memory :]
            assert np.max(far) <= REFERENCE, (text, s)


@every_function
def test_memory_is_not_longer_than_it_must(name: str) -> None:
    """The oldest bar of a finite memory is used: poisoned, it shows somewhere."""
    if name.startswith("time_of"):
        pytest.skip("depends on the clock alone")
    market = markets.walk(10, 400, sigma=0.01)
    for text in variants(name):
        features = bp.FeatureSet([text])
        kind, memory = features.memory[text]
        if kind != "finite":
            continue
        assert memory is not None
        whole = values(features, market.candles())[:, 0]
        for s in range(100, min(240, 402 - memory)):
            other = markets.poisoned(market, slice(s - 1, s), s).candles()
            t = s + memory - 2
            if bits(values(features, other)[t, 0]) != bits(whole[t]):
                break
        else:
            # Outputs that begin together may reach back less far than the last of them.
            assert memory == features.warmup + 1, f"{text} never used the oldest of {memory} bars"


@every_function
def test_warmup(name: str) -> None:
    market = markets.walk(11, 400, sigma=0.01)
    for text in variants(name):
        features = bp.FeatureSet([text])
        column = values(features, market.candles())[:, 0]
        finite = np.flatnonzero(np.isfinite(column))
        assert len(finite), text
        assert features.warmup == finite[0], text
        assert np.isfinite(column[features.warmup :]).all(), text
        stream = features.stream("5m")
        for t in range(features.warmup + 2):
            stream.update(bar(market, t))
            assert stream.ready == (t >= features.warmup), (text, t)
    together = bp.FeatureSet(list(variants(name)))
    assert together.warmup == max(bp.FeatureSet([text]).warmup for text in variants(name))


@every_function
def test_pickle(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    candles = mixed(7)[1]
    copy = pickle.loads(pickle.dumps(features))
    assert copy.names == features.names
    assert copy.digest == features.digest
    expected = values(features, candles)
    assert_same_bits(values(copy, candles), expected)
    stream = features.stream("5m")
    stream.update_many(candles[:123])
    other = pickle.loads(pickle.dumps(stream))
    assert_same_bits(other.update_many(candles[123:]), expected[123:])
    assert_same_bits(stream.update_many(candles[123:]), expected[123:])


@every_function
def test_every_parameter_has_an_effect(name: str) -> None:
    (row,) = (row for row in bp._core.feature_table() if row["name"] == name)
    market = markets.walk(12, 300, sigma=0.01)
    if row["family"] == "patterns":
        market = markets.figures(12, 60_000)
    candles = market.candles()
    defaults = {"low": 99.0, "high": 101.0, "threshold": 100.0}
    base = [5.0 * (i + 1) if d is None else d for i, (_, _, d) in enumerate(row["parameters"])]
    base = [defaults.get(p, v) for (p, _, _), v in zip(row["parameters"], base, strict=True)]
    expected = values(bp.FeatureSet(spelled(row, in_bounds(row, tuple(base)))), candles)
    for i in range(len(base)):
        # Some may not be larger, and a bound that is never met must be lower.
        tried = [
            (*base[:i], v, *base[i + 1 :]) for v in (base[i] + 1.0, base[i] / 2.0, base[i] / 8.0)
        ]
        found = [
            (bits(values(bp.FeatureSet(texts), candles)) != bits(expected)).any()
            for texts in (spelled(row, in_bounds(row, numbers)) for numbers in tried)
            if accepted(texts)
        ]
        assert any(found), (name, row["parameters"][i])


@every_function
def test_degenerate(name: str) -> None:
    """Nothing, one bar, nothing moving, no volume: the right length, and never an infinity."""
    features = bp.FeatureSet(list(variants(name)))
    market = markets.walk(13, 90)
    for n in (0, 1, 2, 90):
        assert features.compute(market.candles()[:n]).height == n
        assert features.matrix(market.candles()[:n]).shape == (n, len(features.names))
    still: dict[str, Any] = {key: np.full(90, 0.1) for key in ("open", "high", "low", "close")}
    for volume in (0.0, 0.7):
        columns: dict[str, Any] = {
            "volume": np.full(90, volume),
            "taker_buy_volume": np.full(90, volume / 2),
        }
        quiet = replace(market, **still, **columns)
        check_stream(features, quiet)
        assert not np.isinf(values(features, quiet.candles())).any()
    for seed in range(5):
        assert not np.isinf(values(features, mixed(seed)[1])).any()


@pytest.mark.parametrize("price", [1e-310, 1e-300, 1e150, 1e300])
@pytest.mark.parametrize("volume", [1e-320, 1.0, 1e300])
def test_extreme_sizes(price: float, volume: float) -> None:
    """What overflows or underflows is undefined, in the stream as in the batch."""
    market = markets.walk(17, 120)
    prices = {key: getattr(market, key) * price for key in ("open", "high", "low", "close")}
    volumes = {key: getattr(market, key) * volume for key in ("volume", "taker_buy_volume")}
    extreme = replace(market, **prices, **volumes)
    features = bp.FeatureSet([text for name in NAMES for text in variants(name)])
    assert not np.isinf(values(features, extreme.candles())).any()
    check_stream(features, extreme)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.7])
def test_windows_over_many_holes(share: float) -> None:
    """Windows hold bars, however far apart."""
    texts = [
        t for name in NAMES for t in variants(name) if bp.FeatureSet([t]).memory[t][0] == "finite"
    ]
    features = bp.FeatureSet(texts)
    market = markets.holes(18, 250, share=share)
    check_start(features, market, [1, 2, 5, 60, 150])
    check_prefix(features, market, [5, 77, 200])
    check_stream(features, market)


@every_function
def test_matrix(name: str) -> None:
    features = bp.FeatureSet(list(variants(name)))
    candles = mixed(4, 2_500)[1]
    expected = values(features, candles)
    wide = features.matrix(candles, dtype="f64")
    assert wide.dtype == np.float64
    assert wide.flags.c_contiguous
    assert_same_bits(wide, expected)
    narrow = features.matrix(candles)
    assert narrow.dtype == np.float32
    assert narrow.flags.c_contiguous
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(narrow, expected.astype(np.float32))


@every_function
def test_longer_clocks(name: str) -> None:
    """On a longer clock the laws hold as well."""
    texts = [f"{text}@{clock}" for text in variants(name)[:4] for clock in CLOCKS]
    features = bp.FeatureSet(texts)
    market = mixed(14)[0]
    check_prefix(features, market, [0, 1, 2, 3, 11, 12, 13, 201, 399])
    check_future(features, market, 250)
    check_stream(features, market)
    check_chunks(features, market, [1, 2, 5, 100, 101, 102, 333])
    check_restore(features, market, 177)
    check_text(features)
    check_start(features, market, [1, 12, 50, 137, 200])


# Nested expressions.

nested = st.lists(expressions(depth=3, clocks=CLOCKS), min_size=1, max_size=3, unique_by=str)
cuts = st.lists(st.integers(0, 150), max_size=4)
seeds = st.integers(0, 50)


def drawn(found: list[Expression]) -> bp.FeatureSet:
    features = bp.FeatureSet([str(e) for e in found])
    assert features.names == tuple(map(str, found))
    return features


@settings(max_examples=60, deadline=None)
@given(nested, seeds, cuts)
def test_nested_prefix(found: list[Expression], seed: int, at: list[int]) -> None:
    check_prefix(drawn(found), markets.mixed(seed, 150), at)
    check_future(drawn(found), markets.mixed(seed, 150), at[0] if at else 75)


@settings(max_examples=60, deadline=None)
@given(nested, seeds, cuts)
def test_nested_stream(found: list[Expression], seed: int, at: list[int]) -> None:
    market = markets.mixed(seed, 150)
    check_stream(drawn(found), market)
    check_chunks(drawn(found), market, at)


@settings(max_examples=60, deadline=None)
@given(nested, seeds, st.integers(0, 150))
def test_nested_snapshot(found: list[Expression], seed: int, at: int) -> None:
    check_restore(drawn(found), markets.mixed(seed, 150), at)


@settings(max_examples=60, deadline=None)
@given(nested, seeds)
def test_nested_company(found: list[Expression], seed: int) -> None:
    candles = markets.mixed(seed, 150).candles()
    check_text(drawn(found))
    check_threads(drawn(found), candles)
    check_alone(drawn(found), candles)


@settings(max_examples=60, deadline=None)
@given(
    nested,
    seeds,
    st.lists(st.integers(1, 100), min_size=1, max_size=3),
)
def test_nested_start(found: list[Expression], seed: int, at: list[int]) -> None:
    check_start(drawn(found), markets.mixed(seed, 150), at)


# Always defined where their inputs are.
TOTAL = (
    "sma",
    "ema",
    "wma",
    "rsi",
    "macd",
    "lag",
    "diff",
    "max",
    "min",
    "median",
    "rank",
    "clip",
    "stddev",
)


@settings(max_examples=60, deadline=None)
@given(expressions(depth=3, names=TOTAL), seeds)
def test_nested_warmup(found: Expression, seed: int) -> None:
    features = bp.FeatureSet([str(found)])
    column = values(features, markets.walk(seed, 200).candles())[:, 0]
    assert np.array_equal(np.isnan(column), np.arange(200) < features.warmup)


# Functions in whose values small differences of the input stay small. Not so RSI of one bar, rank or the z-score of
# what hardly moves: around a fading mean they may differ as long as anything does.
SMOOTH = ("sma", "ema", "wma", "lag", "max", "min", "median")


@settings(max_examples=40, deadline=None)
@given(expressions(depth=3, names=SMOOTH), seeds, st.integers(1, 200))
def test_nested_fade(found: Expression, seed: int, start: int) -> None:
    features = bp.FeatureSet([str(found)])
    ((kind, memory),) = features.memory.values()
    assert kind in ("finite", "fading")
    assert memory is not None
    market = markets.walk(seed, memory + 300, sigma=0.01)
    whole = values(features, market.candles())[start + memory :, 0]
    late = values(features, market.candles()[start:])[memory:, 0]
    bound = REFERENCE * np.fmax(np.abs(whole), PRICE_FRACTION)
    assert (np.abs(late - whole) <= bound).all(), str(found)


AROUND = [
    "ema(rsi(14), 5)",
    "rsi(ema(5), 14)",
    "macd(rsi(5), 3, 6, 4).hist",
    "zscore(ema(5), 20)",
    "ema_ratio(atr(5), 9)",
    "ratio(atr(7), ema(30))",
    "stddev(ema(10), 20)",
    "bbands(rsi(14), 20, 2).position",
]


@pytest.mark.parametrize("text", AROUND)
def test_fade_of_one_around_another(text: str) -> None:
    features = bp.FeatureSet([text])
    kind, memory = features.memory[text]
    assert kind == "fading"
    assert memory is not None
    market = markets.walk(19, memory + 900, sigma=0.01)
    whole = values(features, market.candles())[:, 0]
    size = np.fmax(np.abs(whole), np.nanmedian(np.abs(whole)))
    for s in (1, 50, 333):
        late = values(features, market.candles()[s:])[memory:, 0]
        far = np.abs(late - whole[s + memory :]) / size[s + memory :]
        assert np.max(far) <= REFERENCE, s


# NaN: candles hold them in further columns only.


def test_nan_leaves_a_window_without_a_trace() -> None:
    market = markets.walk(15, 200)
    taker = market.taker_buy_volume.copy()
    taker[100] = np.nan
    holey = replace(market, taker_buy_volume=taker)
    texts = [f"{f}(taker_imbalance(), 7)" for f in ("sma", "wma", "stddev", "max", "min")]
    texts += [f"{f}(taker_imbalance(), 7)" for f in ("median", "rank", "zscore")]
    features = bp.FeatureSet(texts)
    clean, other = values(features, market.candles()), values(features, holey.candles())
    assert np.isnan(other[100:107]).all()
    keep = np.r_[0:100, 107:200]
    assert_same_bits(other[keep], clean[keep])


def test_recursions_hold_over_nan() -> None:
    """The mean goes on as if the bar had not been."""
    market = markets.walk(16, 200)
    taker = market.taker_buy_volume.copy()
    taker[100] = np.nan
    holey = replace(market, taker_buy_volume=taker)
    features = bp.FeatureSet(["ema(taker_imbalance(), 7)"])
    rest = markets.walk(16, 200).take(np.arange(200) != 100)
    other = values(features, holey.candles())[:, 0]
    assert np.isnan(other[100])
    assert_same_bits(np.delete(other, 100), values(features, rest.candles())[:, 0])


# Text, sharing, streams.

SPELLINGS = [
    ("log_return()", "log_return(1)"),
    ("log_return", None),
    ("rsi()", "rsi(14)"),
    ("rsi(close, 14)", "rsi(14)"),
    ("rsi(period=14)", "rsi(14)"),
    ("rsi(open,7)", "rsi(open, 7)"),
    (" rsi( 14 ) ", "rsi(14)"),
    ("rsi(14)@60m", "rsi(14)@1h"),
    ("rsi(14) @ 1h", "rsi(14)@1h"),
    ("macd(12,26,9).hist", "macd(12, 26, 9).hist"),
    ("macd().hist", "macd(12, 26, 9).hist"),
    ("macd(slow=30).hist", "macd(12, 30, 9).hist"),
    ("bbands(20, 2.0).width", "bbands(20, 2).width"),
    ("bbands(20, 2.50).width", "bbands(20, 2.5).width"),
    ("zscore(rsi(),100)", "zscore(rsi(14), 100)"),
    ("diff(close)", "diff(close, 1)"),
    ("clip(log_return(), -0.010, 1e-2)", "clip(log_return(1), -0.01, 0.01)"),
    ("log_return(1)@BTCUSDT/1h", "log_return(1)@BTCUSDT/1h"),
    ('log_return(1)@"BRK.B"', 'log_return(1)@"BRK.B"'),
    ('log_return(1)@"BTCUSDT"', "log_return(1)@BTCUSDT"),
    ("sma(bars=3)", None),
    ("macd(12, 26, 9).histogram", None),
    ("rsi(14", None),
    ("rsi(14))", None),
    ("rsi(14)@", None),
    ("rsi(nan)", None),
    ("rsi(-1)", None),
    ("rsi(0)", None),
    ("rsi(2.5)", None),
    ("rsi(1e30)", None),
    ("rsi(14, 15)", None),
    ("rsi(14).k", None),
    ("zscore(100)", None),
    ("zscore(macd(), 100)", None),
    ("macd(26, 12, 9).hist", None),
    ("clip(close, 2, 1)", None),
    ("", None),
    ("rsy(14)", None),
    ("rsi(14) rsi(14)", None),
    ("rsi(14)@1h@1d", None),
]


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS, ids=[repr(t) for t, _ in SPELLINGS])
def test_spelling(text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(BarproofError):
            bp.FeatureSet([text])
    else:
        assert bp.FeatureSet([text]).names == (canonical,)
        assert bp.FeatureSet([text]).digest == bp.FeatureSet([canonical]).digest


def test_digest_tells_sets_apart() -> None:
    sets = [
        ["rsi(14)"],
        ["rsi(15)"],
        ["rsi(14)@1h"],
        ["rsi(14)", "rsi(15)"],
        ["rsi(15)", "rsi(14)"],
    ]
    sets += [["rsi(open, 14)"], ["rsi(14)@BTCUSDT"], ["rsi(14)@BTCUSDT/1h"]]
    assert len({bp.FeatureSet(texts).digest for texts in sets}) == len(sets)


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="rsimacd(), .@/\"'=-+0123456789e\n\\é", max_size=30)
    | st.text(max_size=30)
    | st.lists(
        st.sampled_from(
            ["rsi", "close", "(", ")", ",", "14", ".hist", "@", "1h", "macd", "=", "-", '"']
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_gives_a_set_or_one_of_our_errors(text: str) -> None:
    try:
        features = bp.FeatureSet([text])
    except BarproofError:
        return
    check_text(features)


def test_deep_nesting_ends_in_an_error_or_a_set() -> None:
    for depth in (10, 100, 10_000):
        text = "lag(" * depth + "close" + ", 1)" * depth
        try:
            features = bp.FeatureSet([text])
        except BarproofError:
            continue
        assert features.warmup == depth


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


# Other symbols, bar by bar.

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
