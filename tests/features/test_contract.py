"""The contract of every feature, over the registry; `test_nested.py` asks it of drawn expressions."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barproof as bp
from tests.features import markets
from tests.features.laws import (
    CLOCKS,
    NAMES,
    accepted,
    assert_same_bits,
    bar,
    bits,
    check_alone,
    check_chunks,
    check_future,
    check_prefix,
    check_restore,
    check_start,
    check_stream,
    check_text,
    check_threads,
    every_function,
    in_bounds,
    mixed,
    spelled,
    values,
    variants,
)
from tests.tolerances import REFERENCE


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
