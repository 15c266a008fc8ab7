"""Workload B: a seeded market, and eleven features (16 columns) of it; the same arrays for all."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]

SEED = 42
BARS = 5_000_000
# What peers begin with differs (seeds of recursions); answers are compared once those have faded.
FADED = 2_000

# Name of a feature, and the text of it here.
FEATURES: dict[str, list[str]] = {
    "sma20": ["sma(20)"],
    "ema20": ["ema(20)"],
    "rsi14": ["rsi(14)"],
    "atr14": ["atr(14)"],
    "bb20": ["bbands(20, 2).upper", "bbands(20, 2).middle", "bbands(20, 2).lower"],
    "macd": ["macd(12, 26, 9).macd", "macd(12, 26, 9).signal", "macd(12, 26, 9).hist"],
    "std60": ["stddev(60)"],
    "maxmin60": ["max(60)", "min(60)"],
    "vwap60": ["vwap_ratio(60)"],
    "logret": ["log_return(1)"],
    "volz60": ["volume_zscore(60)"],
}
COLUMNS = [text for texts in FEATURES.values() for text in texts]

_START_MS = 1_577_836_800_000  # 2020-01-01 UTC
_MINUTE_MS = 60_000


@dataclass(frozen=True)
class Market:
    """Contiguous columns."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.close)

    @cached_property
    def candles(self) -> bp.Candles:
        """The same as candles without holes."""
        frame = pl.DataFrame(
            {
                "open_time": _START_MS + _MINUTE_MS * np.arange(len(self)),
                "open": self.open,
                "high": self.high,
                "low": self.low,
                "close": self.close,
                "volume": self.volume,
            }
        )
        return bp.read_candles(frame, instrument="spot", symbol="BENCH", interval="1m")


def make(bars: int = BARS) -> Market:
    """Walk in logarithms with minutes of a thousandth, volumes log-normal."""
    rng = np.random.default_rng(SEED)
    close = np.cumsum(rng.normal(0.0, 1e-3, bars))
    close -= np.linspace(0.0, close[-1], bars)  # or five million minutes end anywhere
    close = 100.0 * np.exp(close)
    start = np.r_[close[:1], close[:-1]]
    high = np.maximum(start, close) * (1.0 + rng.uniform(0.0, 5e-4, bars))
    low = np.minimum(start, close) * (1.0 - rng.uniform(0.0, 5e-4, bars))
    return Market(start, high, low, close, rng.lognormal(3.0, 1.0, bars))
