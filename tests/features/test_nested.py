"""Drawn expressions, nested three deep: the laws hold for what functions make of each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from tests.features import markets
from tests.features.draws import expressions
from tests.features.expressions import Expression
from tests.features.laws import (
    CLOCKS,
    check_alone,
    check_chunks,
    check_future,
    check_prefix,
    check_restore,
    check_start,
    check_stream,
    check_text,
    check_threads,
    values,
)
from tests.tolerances import PRICE_FRACTION, REFERENCE

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
