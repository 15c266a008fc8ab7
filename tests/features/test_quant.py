"""Functions for quantitative models against named libraries, and all of them against their twins on real bars.

Libraries do not say a word where a window holds equal values, or say something else: such rows are left to the twins.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barproof as bp
from tests.features import markets, quant_signatures
from tests.features.expressions import evaluate, single
from tests.features.markets import Floats, Market
from tests.features.test_twin import assert_equal, computed, floor_of
from tests.tolerances import PRICE_FRACTION, REFERENCE

pandas = pytest.importorskip("pandas", reason="pandas is not installed")
stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")

BARS = 400


def windows(x: Floats, width: int, compute: Callable[[Floats], float]) -> Floats:
    out = np.full(len(x), np.nan)
    for t in range(width - 1, len(x)):
        out[t] = compute(x[t - width + 1 : t + 1])
    return out


def acf(x: Floats) -> float:
    tools = pytest.importorskip("statsmodels.tsa.stattools", reason="statsmodels is not installed")
    return float(tools.acf(x, nlags=3, adjusted=False, fft=False)[3])


def dickey_fuller(x: Floats) -> float:
    tools = pytest.importorskip("statsmodels.tsa.stattools", reason="statsmodels is not installed")
    return float(tools.adfuller(x, maxlag=0, autolag=None, regression="c")[0])


def lo_mackinlay(x: Floats) -> float:
    unitroot = pytest.importorskip("arch.unitroot", reason="arch is not installed")
    return float(unitroot.VarianceRatio(np.log(x), lags=4, trend="c", debiased=True).vr)


def series(m: Market) -> Any:
    return pandas.Series(m.close)


def returns(m: Market) -> Any:
    return pandas.Series(np.log(m.close)).diff()


PEERS: dict[str, Callable[[Market], Any]] = {
    "skewness(30)": lambda m: series(m).rolling(30).skew(),
    "kurtosis(30)": lambda m: series(m).rolling(30).kurt(),
    "skewness(log_return(1), 30)": lambda m: returns(m).rolling(30).skew(),
    "kurtosis(log_return(1), 30)": lambda m: returns(m).rolling(30).kurt(),
    "quantile(30, 0.5)": lambda m: series(m).rolling(30).quantile(0.5),
    "quantile(30, 0.9)": lambda m: series(m).rolling(30).quantile(0.9),
    "quantile(31, 0.123)": lambda m: series(m).rolling(31).quantile(0.123),
    "iqr(30)": lambda m: windows(m.close, 30, stats.iqr),
    "mad(30)": lambda m: windows(m.close, 30, stats.median_abs_deviation),
    "variation(30)": lambda m: windows(m.close, 30, lambda w: stats.variation(w, ddof=1)),
    "covariance(close, volume, 30)": lambda m: series(m).rolling(30).cov(pandas.Series(m.volume)),
    "lead_lag(close, volume, 30, 2)": lambda m: (
        series(m).rolling(30).corr(pandas.Series(m.volume).shift(2))
    ),
    "regression(close, volume, 30).slope": lambda m: np.array(
        [
            stats.linregress(m.volume[t - 29 : t + 1], m.close[t - 29 : t + 1]).slope
            if t >= 29
            else np.nan
            for t in range(len(m))
        ]
    ),
    "regression(close, volume, 30).r2": lambda m: np.array(
        [
            stats.linregress(m.volume[t - 29 : t + 1], m.close[t - 29 : t + 1]).rvalue ** 2
            if t >= 29
            else np.nan
            for t in range(len(m))
        ]
    ),
    "trend_fit(30).r2": lambda m: windows(
        m.close, 30, lambda w: stats.linregress(np.arange(30), w).rvalue ** 2
    ),
    "trend_fit(30).slope": lambda m: windows(
        m.close, 30, lambda w: stats.linregress(np.arange(30), w).slope / w.mean()
    ),
    "autocorrelation(close, 30, 3)": lambda m: windows(m.close, 30, acf),
    "mean_reversion(30).t": lambda m: windows(m.close, 31, dickey_fuller),
    "variance_ratio(40, 4)": lambda m: windows(m.close, 41, lo_mackinlay),
    "entropy(log_return(1), 30, 8)": lambda m: np.r_[
        np.nan,
        windows(
            np.diff(np.log(m.close)),
            30,
            lambda w: stats.entropy(np.histogram(w, 8)[0]) / np.log(8),
        ),
    ],
    "realised_variance(30)": lambda m: (returns(m) ** 2).rolling(30).sum(),
    "ewma_volatility(30)": lambda m: seeded(returns(m) ** 2, 30) ** 0.5,
    "tracking_error(close, open, 30)": lambda m: (
        (returns(m) - pandas.Series(np.log(m.open)).diff()).rolling(30).std()
    ),
    "drawdown(30)": lambda m: series(m) / series(m).rolling(30).max() - 1,
    "up_share(30)": lambda m: (
        (series(m).diff() > 0).astype(float).rolling(30).mean().where(np.arange(len(m)) >= 30)
    ),
}


def seeded(x: Any, period: int) -> Any:
    """Exponential mean of pandas over a series whose first values are replaced by their mean."""
    head = x[1 : period + 1].mean()
    tail = pandas.concat([pandas.Series([head]), x[period + 1 :]])
    mean = tail.ewm(span=period, adjust=False).mean().to_numpy()
    return np.r_[np.full(period, np.nan), mean]


@pytest.mark.parametrize("text", PEERS)
@pytest.mark.parametrize("seed", range(2))
def test_library(text: str, seed: int) -> None:
    market = markets.walk(30 + seed, 160)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = np.asarray(PEERS[text](market), dtype=np.float64)
    actual = bp.FeatureSet([text]).compute(market.candles())[text].to_numpy()
    assert np.isfinite(actual).sum() > 100
    # Running sums of libraries, and their logarithms apart, keep fewer digits than the core's.
    np.testing.assert_allclose(actual, expected, rtol=1e-7, atol=1e-9 * np.nanmax(np.abs(expected)))


# Real bars.

DATA = os.environ.get("BARPROOF_DATA")
FILES = {
    "btc": ("binanceum_btcusdt_1h.parquet", "perpetual", "binanceum_btcusdt_funding.parquet", "1h"),
    "fx": ("fx_eurusd_1h_2017_2018.parquet", "fx", None, "1h"),
    "equity": ("us_spy_1d.parquet", "equity", None, "1d"),
}
needs_data = pytest.mark.skipif(DATA is None, reason="BARPROOF_DATA is not set")


def real(name: str) -> tuple[bp.Candles, Market]:
    """Some hundred bars of a file, and the same for the twins; what a file lacks is made up."""
    assert DATA is not None
    file, instrument, funding, interval = FILES[name]
    candles = bp.read_candles(
        Path(DATA) / file,
        instrument=instrument,
        funding=None if funding is None else Path(DATA) / funding,
        on_fault="ignore",
    )
    candles = candles[len(candles) // 2 :][:BARS]
    n = len(candles)
    assert n == BARS
    rng = np.random.default_rng(len(name))
    columns: dict[str, Any] = {
        key: np.array(getattr(candles, key))
        for key in ("open_time", "open", "high", "low", "close", "volume")
    }
    columns["volume"] = np.where(
        columns["volume"] > 0, columns["volume"], 1 + rng.integers(0, 9, n)
    )
    taker = candles.extra.get("taker_buy_volume")
    columns["taker_buy_volume"] = (
        columns["volume"] * rng.uniform(size=n) if taker is None else taker
    )
    columns["trades"] = candles.extra.get("trades", 1.0 + rng.integers(0, 99, n))
    told = candles._bars.funding_time, candles._bars.funding_rate
    if told[0] is None or told[1] is None:
        hours = 8 * markets.HOUR
        first = int(columns["open_time"][0]) // hours - 3
        last = int(columns["open_time"][-1]) // hours + 1
        time = hours * np.arange(first, last, dtype=np.int64)
        told = time, 1e-4 * rng.standard_normal(len(time))
    market = Market(
        **columns, interval=interval, funding_time=np.array(told[0]), funding_rate=np.array(told[1])
    )
    return market.candles(), market


@needs_data
@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", quant_signatures.ROWS)
def test_real_bars(name: str, file: str) -> None:
    _, market = real(file)
    calls = single(name)[:6]
    columns = computed(calls, market)
    for call in calls:
        assert_equal(
            columns[str(call)], evaluate(call, market), floor_of(call, market), f"{call} on {file}"
        )


def test_values_lie_in_the_ranges_that_the_table_gives() -> None:
    bounds = {
        "jump_share(20)": (0, 1),
        "semivariance_balance(20)": (-1, 1),
        "entropy(log_return(1), 20, 5)": (0, 1),
        "permutation_entropy(20, 3)": (0, 1),
        "trend_fit(20).r2": (0, 1),
        "efficiency_ratio(10)": (0, 1),
        "autocorrelation(close, 20, 2)": (-1, 1),
        "drawdown(20)": (-1, 0),
        "max_drawdown(20)": (-1, 0),
        "range_position(20)": (0, 1),
        "body_share()": (0, 1),
        "bar_overlap()": (0, 1),
        "run_length(7)": (-7, 7),
        "donchian(20).position": (0, 1),
        "tsi(5, 3)": (-100, 100),
        "connors_rsi(3, 2, 20)": (0, 100),
        "smi(10, 3, 3)": (-100, 100),
        "flow_imbalance(9)": (-1, 1),
        "vpin(9)": (0, 1),
        "chaikin_money_flow(9)": (-1, 1),
        "corwin_schultz(9)": (0, 2),
        "regression(close, open, 20).r2": (0, 1),
        "lead_lag(close, open, 20, 1)": (-1, 1),
        "round_distance(2)": (-0.5, 0.5),
        "session(810, 1200).since_open": (0, 24),
    }
    for kind in (markets.walk, markets.jumps, markets.flat, markets.ticks):
        table = bp.FeatureSet(list(bounds)).compute(kind(5, 600).candles())
        for text, (low, high) in bounds.items():
            known = table[text].drop_nans()
            assert len(known) > 50, text
            assert low <= known.min() <= known.max() <= high, (text, kind)  # type: ignore[operator]


def test_a_window_forgets_a_spike_of_a_trillion() -> None:
    market = markets.walk(8, 300)
    close = market.close.copy()
    close[60] *= 1e12
    texts = ["skewness(30)", "kurtosis(30)", "trend_fit(30).r2", "autocorrelation(close, 30, 2)"]
    texts += ["covariance(close, open, 30)", "regression(close, open, 30).zscore", "mad(30)"]
    spiked = Market(**{**market.__dict__, "close": close, "high": np.maximum(market.high, close)})
    clean = bp.FeatureSet(texts).compute(market.candles())
    other = bp.FeatureSet(texts).compute(spiked.candles())
    for text in texts:
        np.testing.assert_array_equal(clean[text].to_numpy()[90:], other[text].to_numpy()[90:])


def test_moments_near_a_large_offset_keep_their_digits() -> None:
    """Spreads a hundred millionth of the level: sums of raw powers would leave nothing."""
    market = markets.walk(9, 200)
    rng = np.random.default_rng(1)
    whole = rng.integers(0, 64, len(market)).astype(np.float64)
    level = 2.0**33
    moved = Market(
        **{**market.__dict__, **dict.fromkeys(("open", "high", "low", "close"), whole + level)}
    )
    texts = ["skewness(20)", "kurtosis(20)", "trend_fit(20).r2"]
    found = bp.FeatureSet(texts).compute(moved.candles())
    small = pandas.Series(whole)
    peers = {
        "skewness(20)": small.rolling(20).skew(),
        "kurtosis(20)": small.rolling(20).kurt(),
        "trend_fit(20).r2": windows(
            whole, 20, lambda w: stats.linregress(np.arange(20), w).rvalue ** 2
        ),
    }
    for text, expected in peers.items():
        np.testing.assert_allclose(
            found[text].to_numpy(), np.asarray(expected), rtol=REFERENCE, atol=PRICE_FRACTION * 1e-6
        )
