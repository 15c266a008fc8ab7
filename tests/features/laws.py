"""What holds for any set of features, and the functions of the registry it is asked of."""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.errors import BarproofError
from tests.features import markets
from tests.features.markets import Floats, Market

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
