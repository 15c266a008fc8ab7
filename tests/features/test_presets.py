"""Presets: count and kind, pinned, and the 240 channels of twelve markets."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import barproof as bp
from barproof.features.presets import PRESETS

# A preset that changes is another preset: models are made for it.
DIGESTS = {
    "cross_market_20": "bf8d5b1a0731f19965eb986f74448754a5da0d08d5f5f9cf77cdc8be2486d499",
    "classifier_72": "5a7fd1cea46e40e53e89f3db100515ebf36b519ac6a8fbef36a2e83c5799f1ec",
    "gating_short_79": "7ef265266ae3f8677500260df6bad4710aaa25a5a81ddaea834fef3505b20460",
    "gating_long_85": "ac0c5ddcbad5097538e0e75f1e509520cd57a4e3b93b40dcc989946825324667",
    "gating_109": "3a2bd5f7282e2016cd0309d0b19ac54b3292a9d0c278458134b0dae0055bc0c0",
    "gating_171": "b883edb730c4b87656b5dc6164bc3bd28c588828e6f32c55ef92d3faa72ff4d9",
}
MARKETS = [
    "BTCUSDT", "ETHUSDT", "BNBUSDT", "SOLUSDT", "XRPUSDT", "ADAUSDT",
    "WLDUSDT", "DOGEUSDT", "AVAXUSDT", "LINKUSDT", "LTCUSDT", "DOTUSDT",
]  # fmt: skip
DATA = Path(os.environ.get("BARPROOF_DATA", "."))
PERPETUALS = {
    symbol: DATA / f"binanceum_{symbol.lower()}_1h.parquet"
    for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "WLDUSDT")
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_what_it_was(name: str) -> None:
    features = bp.FeatureSet.preset(name)
    assert features.names == PRESETS[name].features
    assert len(features) == int(name.rsplit("_", 1)[1])
    assert features.digest == DIGESTS[name]


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_needs_prices_and_volumes_alone_and_has_values(name: str) -> None:
    features = bp.FeatureSet.preset(name)
    assert features._graph.extra == []
    assert features.symbols == ()
    candles = bp.read_candles(
        bp.simulate_candles(3, bars=6_500)
        .to_polars()
        .select("open_time", "open", "high", "low", "close", "volume"),
        instrument="spot",
        symbol="X",
        interval="5m",
    )
    rows = features.matrix(candles, dtype="f64")
    last = rows[features.facts("5m") and max(w for _, _, w in features.facts("5m").values()) :]
    assert np.isfinite(last).all()
    # No column says what another says already, or nothing at all.
    assert (last.std(axis=0) > 0).all()
    assert len({column.tobytes() for column in last.T}) == len(features)


def test_the_gating_sets_are_made_of_each_other_as_the_case_tells() -> None:
    short, long, both, more = (
        bp.FeatureSet.preset(name).names
        for name in ("gating_short_79", "gating_long_85", "gating_109", "gating_171")
    )
    assert set(short) | set(long) == set(both)
    assert set(both) < set(more)
    assert len(set(more) - set(both)) == 62
    kept = [name for name in more if name in both]
    assert kept != list(both)
    assert sorted(kept) == sorted(both)
    digests = {bp.FeatureSet.preset(name).digest for name in PRESETS}
    assert len(digests) == len(PRESETS)


def test_the_classifier_sees_levels_as_the_case_tells() -> None:
    assert {"open", "high", "low", "close", "volume"} < set(
        bp.FeatureSet.preset("classifier_72").names
    )


def test_twelve_markets_make_240_channels_with_wld_at_120_to_139() -> None:
    one = bp.FeatureSet.preset("cross_market_20")
    books = bp.simulate_candles(5, bars=700, interval="1h", symbols=MARKETS)
    features = one.on(MARKETS)
    rows = features.matrix(books, dtype="f64", symbol="BTCUSDT")
    assert rows.shape == (700, 240)
    assert features.channels("WLDUSDT") == tuple(range(120, 140))
    assert features.names[120:140] == tuple(f"{name}@WLDUSDT" for name in one.names)
    for k, symbol in enumerate(MARKETS):
        alone = one.matrix(books[symbol], dtype="f64")
        np.testing.assert_array_equal(rows[:, 20 * k : 20 * (k + 1)], alone)
    # Whose rows they are makes no difference on one clock.
    np.testing.assert_array_equal(rows, features.matrix(books, dtype="f64", symbol="DOTUSDT"))


@pytest.mark.skipif(not all(p.is_file() for p in PERPETUALS.values()), reason="needs BARPROOF_DATA")
def test_the_four_perpetuals_on_real_hours() -> None:
    books = {
        symbol: bp.read_candles(
            path,
            instrument="perpetual",
            funding="none",
            symbol=symbol,
            interval="1h",
            on_fault="ignore",
        )
        for symbol, path in PERPETUALS.items()
    }
    one = bp.FeatureSet.preset("cross_market_20")
    features = one.on(list(books))
    rows = features.matrix(books, dtype="f64", symbol="WLDUSDT", join="inner")
    wld = books["WLDUSDT"]
    assert features.channels("WLDUSDT") == tuple(range(60, 80))
    assert features.names[60] == "log_return(1)@WLDUSDT"
    times = set.intersection(*(set(book.open_time.tolist()) for book in books.values()))
    keep = np.array([t in times for t in wld.open_time.tolist()])
    assert rows.shape == (keep.sum(), 80)
    assert keep.sum() > 4_000
    for k, (symbol, candles) in enumerate(books.items()):
        alone = one.matrix(candles, dtype="f64")
        at = np.searchsorted(candles.open_time, wld.open_time[keep])
        np.testing.assert_array_equal(rows[:, 20 * k : 20 * (k + 1)], alone[at], err_msg=symbol)
    assert np.isfinite(rows[features.warmup :]).mean() > 0.999
