"""Features of the user's own in sets: values, nesting, what a function may give, what a name may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import barproof as bp
from tests.features import markets

Floats = NDArray[np.float64]
CANDLES = markets.walk(5, 300).candles("ETH")


def body(candles: bp.Candles) -> Floats:
    return (candles.close - candles.open) / candles.open


def constant(value: Any) -> bp.OwnFeature:
    return bp.feature(lambda _: value, name="mine", memory=bp.finite(1))


BODY = bp.feature(body, name="body", memory=bp.finite(1))


def zscore(x: Floats, n: int) -> Floats:
    """By the definition."""
    out = np.full(len(x), np.nan)
    for t in range(n - 1, len(x)):
        window = x[t - n + 1 : t + 1]
        out[t] = (x[t] - window.mean()) / window.std()
    return out


def test_built_in_functions_take_own_features() -> None:
    features = bp.FeatureSet(["zscore(body, 50)", BODY, "lag(body, 2)", "sma(zscore(body, 9), 4)"])
    assert features.names == ("zscore(body, 50)", "body", "lag(body, 2)", "sma(zscore(body, 9), 4)")
    assert features.own == (BODY,)
    frame = features.compute(CANDLES)
    x = body(CANDLES)
    np.testing.assert_array_equal(frame["body"].to_numpy(), x)
    np.testing.assert_array_equal(frame["lag(body, 2)"].to_numpy()[2:], x[:-2])
    np.testing.assert_allclose(frame["zscore(body, 50)"].to_numpy(), zscore(x, 50), rtol=1e-9)
    inner = zscore(x, 9)
    outer = np.array([inner[max(0, t - 3) : t + 1].mean() for t in range(300)])
    outer[: 9 - 1 + 3] = np.nan
    np.testing.assert_allclose(frame["sma(zscore(body, 9), 4)"].to_numpy(), outer, rtol=1e-9)


def test_memories_of_own_and_built_in_functions_add() -> None:
    long = bp.feature(body, name="mine", memory=bp.finite(30))
    facts = bp.FeatureSet([long, "sma(mine, 5)", "ema(mine, 3)", "lag(mine, 2)"]).facts()
    assert facts["mine"] == ("finite", 30, 29)
    assert facts["sma(mine, 5)"] == ("finite", 34, 33)
    assert facts["lag(mine, 2)"] == ("finite", 32, 31)
    assert facts["ema(mine, 3)"][0] == "fading"
    endless = bp.feature(body, name="mine", memory=bp.cumulative())
    assert bp.FeatureSet([endless, "sma(mine, 5)"]).memory["sma(mine, 5)"] == ("cumulative", None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 2, 3], [1.0, 2.0, 3.0]),
        ((True, False, True), [1.0, 0.0, 1.0]),
        (np.array([1, 2, 3], np.int8), [1.0, 2.0, 3.0]),
        (np.array([1.5, np.nan, 3.0], np.float32), [1.5, np.nan, 3.0]),
        (pl.Series([1.5, None, 3.0]), [1.5, np.nan, 3.0]),
        (pl.Series([True, None, False]), [1.0, np.nan, 0.0]),
        (np.ma.masked_array([1.0, 2.0, 3.0], [False, True, False]), [1.0, np.nan, 3.0]),
        ([1.0, None, 2.0], [1.0, np.nan, 2.0]),
        (np.arange(6.0)[::2], [0.0, 2.0, 4.0]),
    ],
)
def test_what_a_function_may_give(given: Any, expected: list[float]) -> None:
    frame = bp.FeatureSet([constant(given)]).compute(CANDLES[:3])
    np.testing.assert_array_equal(frame["mine"].to_numpy(), expected)


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        (None, bp.LayoutError),
        ("abc", bp.LayoutError),
        (["1", "2", "3"], bp.LayoutError),
        (np.array([1, 2, 3], "datetime64[ms]"), bp.LayoutError),
        (np.array([1j, 2, 3]), bp.LayoutError),
        ([[1], [2, 3]], bp.BarproofError),
        ({"a": 1}, bp.LayoutError),
        (1.0, bp.FeatureError),
        ([1.0, 2.0], bp.FeatureError),
        ([[1.0], [2.0], [3.0]], bp.FeatureError),
        ([1.0, np.inf, 2.0], bp.FeatureError),
        ([1.0, 2.0, -np.inf], bp.FeatureError),
    ],
)
def test_what_a_function_must_not_give(given: Any, kind: type[Exception]) -> None:
    for compute in (bp.FeatureSet([constant(given)]).compute, constant(given).compute):
        with pytest.raises(kind, match="feature `mine`"):
            compute(CANDLES[:3])


def test_errors_of_a_function_say_whose_they_are() -> None:
    def broken(candles: bp.Candles) -> Floats:
        return candles.extra["absent"]

    own = bp.feature(broken, name="mine", memory=bp.finite(1))
    with pytest.raises(KeyError) as caught:
        bp.FeatureSet([own]).compute(CANDLES)
    assert caught.value.__notes__ == ["in feature `mine`, a function of your own"]


def test_candles_cannot_be_written_to() -> None:
    def rude(candles: bp.Candles) -> Floats:
        candles.close[0] = 1.0
        return candles.close

    with pytest.raises(ValueError, match="read-only"):
        bp.FeatureSet([bp.feature(rude, name="mine", memory=bp.finite(1))]).compute(CANDLES)


def test_a_function_that_changes_its_array_later_changes_no_table() -> None:
    held = np.arange(300.0)
    frame = bp.FeatureSet([constant(held)]).compute(CANDLES)
    held[:] = 0.0
    np.testing.assert_array_equal(frame["mine"].to_numpy(), np.arange(300.0))


def test_own_features_are_computed_for_every_symbol() -> None:
    books = {name: markets.walk(k, 40).candles(name) for k, name in enumerate("AB")}
    features = bp.FeatureSet([BODY, "lag(body, 1)"])
    expected = np.concatenate([body(one) for one in books.values()])
    frame = features.compute(books)
    np.testing.assert_array_equal(frame["body"].to_numpy(), expected)
    np.testing.assert_array_equal(features.matrix(books, dtype="f64")[:, 0], expected)


@pytest.mark.parametrize("bars", [0, 1, 2])
def test_few_bars_are_enough(bars: int) -> None:
    frame = bp.FeatureSet([BODY, "sma(body, 5)"]).compute(CANDLES[:bars])
    assert frame.height == bars
    assert frame["sma(body, 5)"].is_nan().all()


@pytest.mark.parametrize(
    "name",
    [
        *("close", "open_time", "symbol", "column", "rsi", "ratio", "and", "or", "not"),
        *("", "1st", "a b", "a-b", "a.b", "ü", "a\n", None, 3, b"mine"),
    ],
)
def test_names_that_mean_something_else_are_refused(name: Any) -> None:
    makers: list[Callable[..., bp.OwnFeature]] = [bp.feature]
    # Made by hand or by copying, the same holds.
    makers.append(lambda fn, name, memory: bp.OwnFeature(name, fn, memory))
    makers.append(lambda fn, name, memory: dataclasses.replace(BODY, name=name))
    for make in makers:
        with pytest.raises(bp.FeatureError, match="`name` of a feature must"):
            make(body, name=name, memory=bp.finite(1))


def test_a_name_stands_for_one_function() -> None:
    other = bp.feature(lambda c: c.close, name="body", memory=bp.finite(1))
    with pytest.raises(bp.FeatureError, match="two features of the name `body`"):
        bp.FeatureSet([BODY, other])
    with pytest.raises(bp.FeatureError, match="`body` is given twice"):
        bp.FeatureSet([BODY, BODY])
    assert bp.FeatureSet([BODY]) != bp.FeatureSet([other])


def test_a_set_of_a_set_keeps_own_features() -> None:
    features = bp.FeatureSet([BODY, "zscore(body, 9)"])
    assert bp.FeatureSet(features) == features
    assert features[1:] == ("zscore(body, 9)",)
    assert list(features) == list(features.names)


@pytest.mark.parametrize("bars", [True, 1.0, "3", None, np.float64(3)])
def test_memory_counts_whole_bars(bars: Any) -> None:
    for make in (bp.finite, bp.fading, lambda n: bp.Memory("finite", n)):
        with pytest.raises(bp.LayoutError, match="must be a whole number"):
            make(bars)


def test_memory_has_bounds_and_kinds() -> None:
    assert bp.finite(np.int64(3)) == bp.finite(3)  # type: ignore[arg-type]
    assert type(bp.finite(np.int64(3)).bars) is int  # type: ignore[arg-type]
    for bars in (0, -1, 10**9):
        with pytest.raises(bp.ParameterError, match="must be from 1 to 10,000,000"):
            bp.fading(bars)
    with pytest.raises(bp.ParameterError, match="must be finite, fading or cumulative"):
        bp.Memory("forever")  # type: ignore[arg-type]
    with pytest.raises(bp.ParameterError, match="must be left out"):
        bp.Memory("cumulative", 3)
    assert [str(m) for m in (bp.finite(3), bp.fading(4), bp.cumulative())] == [
        "finite(3)",
        "fading(4)",
        "cumulative",
    ]
