"""Candlestick patterns against TA-Lib, on candles that make each of them, and on real bars in whole ticks.

On whole numbers every sum is exact, so that a body that just is or is not as long as a mean is judged alike: values are
equal at every bar. On other prices TA-Lib's running sums may tip such a judgement.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barproof as bp
from tests.features import markets
from tests.features.markets import Floats, Market

talib = pytest.importorskip("talib", reason="TA-Lib is not installed")

PATTERNS = [row for row in bp._core.feature_table() if row["family"] == "patterns"]
every_pattern = pytest.mark.parametrize("row", PATTERNS, ids=lambda row: str(row["name"]))
# Bars of the market on which all of them are made.
BARS = 60_000
# Least times each value of a pattern must be seen.
TIMES = 4


def still(n: int) -> Market:
    price = np.full(n, 8.0)
    return replace(markets.walk(1, n), open=price, high=price, low=price, close=price)


# Markets by name: making candles of them costs more than the patterns.
MARKETS: dict[str, Callable[[], Market]] = {
    "figures": lambda: markets.figures(1, BARS),
    **{f"figures {s}": lambda s=s: markets.figures(s, 10_000) for s in (2, 3)},  # type: ignore[misc]
    # Ticks of a quarter are exact; walks and jumps have no ties.
    **{k: lambda k=k: markets.KINDS[k](11, 5_000) for k in ("walk", "ticks", "jumps")},  # type: ignore[misc]
    "still": lambda: still(60),
    **{k: lambda k=k: markets.real(k, whole=True) for k in markets.REAL},  # type: ignore[misc]
}


@functools.cache
def computed(name: str) -> tuple[Market, dict[str, Floats]]:
    market = MARKETS[name]()
    texts = [texts_of(row) for row in PATTERNS]
    frame = bp.FeatureSet(texts).compute(market.candles())
    return market, {text: frame[text].to_numpy() for text in texts}


def peer(row: dict[str, Any], market: Market, **options: float) -> Floats:
    """TA-Lib's values; it gives 0 where it has none yet."""
    bars = (market.open, market.high, market.low, market.close)
    out: Floats = getattr(talib, row["name"].upper())(*bars, **options).astype(float)
    return out


def texts_of(row: dict[str, Any]) -> str:
    return f"{row['name']}({', '.join(f'{default:g}' for _, _, default in row['parameters'])})"


def compare(row: dict[str, Any], name: str) -> Floats:
    """Equal at every bar; our values."""
    market, columns = computed(name)
    ours = columns[texts_of(row)]
    theirs = peer(row, market)
    first = bp.FeatureSet([texts_of(row)]).warmup
    assert np.isnan(ours[:first]).all()
    wrong = np.flatnonzero(ours[first:] != theirs[first:])
    assert not len(wrong), (
        f"{row['name']}: {len(wrong)} bars, first {first + wrong[0]}: {ours[first + wrong[0]]}, "
        f"TA-Lib {theirs[first + wrong[0]]}"
    )
    return ours


def test_there_are_all_of_them() -> None:
    names = talib.get_function_groups()["Pattern Recognition"]
    assert [row["name"] for row in PATTERNS] == sorted(name.lower() for name in names)
    assert len(PATTERNS) == 61


@every_pattern
def test_every_value_of_every_pattern_is_made_and_equal(row: dict[str, Any]) -> None:
    ours = compare(row, "figures")
    # The values that the table tells.
    told = {float(v) for v in re.findall(r"-?\b\d{2,3}\b", row["formula"])}
    assert told
    for value in told:
        assert np.count_nonzero(ours == value) >= TIMES, value
    assert set(np.unique(ours[~np.isnan(ours)])) == told | {0.0}
    assert not np.signbit(ours[ours == 0.0]).any()


@every_pattern
@pytest.mark.parametrize("name", [name for name in MARKETS if name not in markets.REAL])
def test_equal_on_other_markets(row: dict[str, Any], name: str) -> None:
    compare(row, name)


@pytest.mark.skipif(not markets.FOLDER, reason="BARPROOF_DATA names no data folder")
@every_pattern
@pytest.mark.parametrize("name", markets.REAL)
def test_equal_on_real_bars_in_ticks(row: dict[str, Any], name: str) -> None:
    compare(row, name)


DEEP = [row for row in PATTERNS if row["parameters"]]


@pytest.mark.parametrize("row", DEEP, ids=lambda row: str(row["name"]))
def test_penetration(row: dict[str, Any]) -> None:
    market = computed("figures")[0]
    shares = (0.0, 0.2, 0.7, 1.5)
    texts = [f"{row['name']}({share:g})" for share in shares]
    frame = bp.FeatureSet(texts).compute(market.candles())
    counts = []
    for share, text in zip(shares, texts, strict=True):
        ours = frame[text].to_numpy()
        theirs = peer(row, market, penetration=share)
        np.testing.assert_array_equal(ours[14:], theirs[14:])
        counts.append(np.count_nonzero(ours[14:]))
    assert len(set(counts)) > 1
