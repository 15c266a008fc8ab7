"""Windows do not drift: millions of bars near 1e5 with volumes of 1e12 among small ones, against exact sums.

Prices are whole cents and volumes whole thousandths, which no float holds exactly; so a plain running sum drifts
on them (shown below), while sums of cents and thousandths over a window are exact in 64-bit integers: differences of
running sums that wrap are right modulo 2**64, and the windows' own sums fit. Squares and products of volumes do not
fit; those are summed as Python integers, around every spike that leaves a window and at random bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import barproof as bp
from tests.features.markets import MINUTE, MONDAY, Floats
from tests.tolerances import DEVIATION, REFERENCE, ROUNDING, SCORE

Ints = NDArray[np.int64]

WIDTHS = (20, 240)
LEVEL = 10_000_000  # cents
SPIKE = 10**15  # thousandths


@dataclass(frozen=True)
class Cents:
    """Prices in cents, volumes in thousandths."""

    high: Ints
    low: Ints
    close: Ints
    volume: Ints
    spikes: Ints

    def candles(self) -> bp.Candles:
        n = len(self.close)
        frame = pl.DataFrame(
            {
                "open_time": MONDAY + MINUTE * np.arange(n),
                "open": self.close / 100.0,
                "high": self.high / 100.0,
                "low": self.low / 100.0,
                "close": self.close / 100.0,
                "volume": self.volume / 1000.0,
            }
        )
        return bp.read_candles(frame, instrument="spot", interval="1m", on_fault="ignore")


def cents(n: int, spikes: int) -> Cents:
    """Walk that is turned back between 1e5 - 2,500 and 1e5 + 2,500."""
    rng = np.random.default_rng(n)
    walk = np.cumsum(rng.integers(-1_000, 1_001, n))
    close = LEVEL + np.abs(walk % 1_000_000 - 500_000) - 250_000
    high = close + rng.integers(0, 1_250, n)
    low = close - rng.integers(0, 1_250, n)
    volume = rng.integers(1_000, 1_000_000, n)
    hit = np.unique(rng.integers(1_000, n - 1_000, spikes))
    volume[hit] = SPIKE
    return Cents(high, low, close, volume, hit)


def summed(x: Ints, width: int) -> Ints:
    """Exact sum of the last `width` values; running sums may wrap, their differences do not."""
    total = np.cumsum(x, dtype=np.int64)
    out = total[width - 1 :].copy()
    out[1:] -= total[:-width]
    return out


def weighted(x: Ints, width: int) -> Ints:
    """Exact sum with weights 1 to `width`, the last weighing most."""
    n = len(x)
    turn = summed(x * np.arange(n, dtype=np.int64), width)
    first = np.arange(n - width + 1, dtype=np.int64)
    return turn - (first - 1) * summed(x, width)


def assert_near(actual: Floats, expected: Floats, rel: float, floor: float, what: str) -> None:
    gap = np.abs(actual - expected)
    wrong = np.flatnonzero(~(gap <= rel * np.maximum(np.abs(expected), floor)))
    assert not len(wrong), (
        f"{what}: {len(wrong)} bars, first {wrong[0]}: {actual[wrong[0]]!r}, "
        f"exactly {expected[wrong[0]]!r}"
    )


def check_prices(market: Cents, column: dict[str, Floats], w: int) -> None:
    """Every bar, in 64-bit integers."""
    x = market.close
    total = summed(x, w)
    mean = total / (100.0 * w)
    assert_near(column[f"sma({w})"][w - 1 :], mean, ROUNDING, 0.0, f"sma({w})")
    middle = column[f"bbands({w}, 2).middle"][w - 1 :]
    assert_near(middle, mean, ROUNDING, 0.0, f"bbands({w}).middle")
    exact = weighted(x, w) / (100.0 * (w * (w + 1) // 2))
    assert_near(column[f"wma({w})"][w - 1 :], exact, ROUNDING, 0.0, f"wma({w})")

    # Less the level, or the squares' sums times the width would not fit.
    y = x - LEVEL
    total = summed(y, w)
    spread = np.sqrt((w * summed(y * y, w) - total * total).astype(np.float64)) / (100.0 * w)
    away = (w * y[w - 1 :] - total) / (100.0 * w)
    assert spread.min() > 0.0
    deviation = column[f"stddev({w})"][w - 1 :]
    assert_near(deviation, spread, DEVIATION, 0.0, f"stddev({w})")
    score = column[f"zscore(close, {w})"][w - 1 :]
    assert_near(score, away / spread, REFERENCE, SCORE, f"zscore({w})")
    for output, side in (("upper", 2.0), ("lower", -2.0)):
        band = column[f"bbands({w}, 2).{output}"][w - 1 :]
        assert_near(band, mean + side * spread, ROUNDING, 0.0, f"bbands({w}).{output}")
    position = column[f"bbands({w}, 2).position"][w - 1 :]
    exact = (away + 2.0 * spread) / (4.0 * spread)
    assert_near(position, exact, REFERENCE, SCORE, f"bbands({w}).position")
    width = column[f"bbands({w}, 2).width"][w - 1 :]
    assert_near(width, 4.0 * spread / mean, REFERENCE, 0.0, f"bbands({w}).width")


def check_volumes(market: Cents, column: dict[str, Floats], w: int, rows: Ints) -> None:
    """Plain means at every bar; squares and products at chosen ones, in integers of any length."""
    mean = summed(market.volume, w) / (1000.0 * w)
    assert_near(column[f"sma(volume, {w})"][w - 1 :], mean, ROUNDING, 0.0, f"sma(volume, {w})")
    scores, ratios = column[f"volume_zscore({w})"], column[f"vwap_ratio({w})"]
    typical = market.high + market.low + market.close
    for t in rows.tolist():
        window = market.volume[t - w + 1 : t + 1].tolist()
        total = sum(window)
        spread = w * sum(v * v for v in window) - total * total
        # Correctly rounded: a wide integer root with bits to spare.
        root = math.isqrt(spread << 128) / (1 << 64)
        exact = (w * window[-1] - total) / root
        assert abs(scores[t] - exact) <= REFERENCE * max(abs(exact), SCORE), (w, t)
        paid = sum(p * v for p, v in zip(typical[t - w + 1 : t + 1].tolist(), window, strict=True))
        exact = (3 * int(market.close[t]) * total - paid) / paid
        assert abs(ratios[t] - exact) <= ROUNDING, (w, t)


def check(n: int, spikes: int) -> None:
    market = cents(n, spikes)
    candles = market.candles()
    rng = np.random.default_rng(1)
    for w in WIDTHS:
        texts = [
            f"sma({w})",
            f"wma({w})",
            f"stddev({w})",
            f"zscore(close, {w})",
            f"vwap_ratio({w})",
        ]
        texts += [f"bbands({w}, 2).{o}" for o in ("upper", "middle", "lower", "position", "width")]
        texts += [f"volume_zscore({w})", f"sma(volume, {w})"]
        frame = bp.FeatureSet(texts).compute(candles)
        column = {text: frame[text].to_numpy() for text in texts}
        assert all(np.isnan(column[text][: w - 1]).all() for text in texts)
        check_prices(market, column, w)
        # Before, while and after each spike is the oldest of the window; and anywhere.
        after = (market.spikes[:200, None] + w + np.arange(-2, 20)).ravel()
        rows = np.unique(np.r_[after, rng.integers(w, n, 2_000)])
        check_volumes(market, column, w, rows[rows < n])


def run_along(x: list[float], w: int) -> float:
    """What adding the new value and taking off the old one makes of the last window."""
    total = math.fsum(x[:w])
    for new, old in zip(x[w:], x, strict=False):
        total += new - old
    return total


def test_the_data_makes_running_sums_drift() -> None:
    """Or it would show nothing."""
    w, candles = 20, cents(200_000, 200).candles()
    volume, close = candles.volume.tolist(), candles.close.tolist()
    exact = math.fsum(volume[-w:])
    assert abs(run_along(volume, w) - exact) > 1e3 * ROUNDING * exact
    mean = run_along(close, w) / w
    drifted = math.sqrt(run_along([v * v for v in close], w) / w - mean * mean)
    exact = float(np.std(candles.close[-w:]))
    assert abs(drifted - exact) > 1e3 * DEVIATION * exact


def test_a_million_bars() -> None:
    check(1_000_000, 200)


@pytest.mark.slow
def test_ten_million_bars() -> None:
    check(10_000_000, 2_000)
