"""Slow twins of functions: volatility, shapes of distributions, dependence and drawdowns."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping

import numpy as np

from tests.features.markets import Floats, Market
from tests.features.quant_parts import (
    LN2,
    NOTHING,
    central,
    co_moments,
    ema_of,
    growth,
    logs,
    over,
    rolled,
)
from tests.features.twin import (
    Outputs,
    defined,
    deviation_of,
    mean_of,
    quotient,
    rolling,
    shifted,
    true_range,
)

# Volatility.


def parkinson(m: Market, period: int = 20) -> Floats:
    square = logs(m.high, m.low) ** 2
    return rolling(square, period, lambda w: math.sqrt(math.fsum(w) / (4 * len(w) * LN2)))


def garman_klass(m: Market, period: int = 20) -> Floats:
    term = 0.5 * logs(m.high, m.low) ** 2 - (2 * LN2 - 1) * logs(m.close, m.open) ** 2
    return rolling(term, period, lambda w: math.sqrt(max(0.0, math.fsum(w) / len(w))))


def rogers(m: Market) -> Floats:
    up = logs(m.high, m.close) * logs(m.high, m.open)
    return up + logs(m.low, m.close) * logs(m.low, m.open)


def rogers_satchell(m: Market, period: int = 20) -> Floats:
    return rolling(rogers(m), period, lambda w: math.sqrt(max(0.0, math.fsum(w) / len(w))))


def yang_zhang(m: Market, period: int = 20) -> Floats:
    k = 0.34 / (1.34 + (period + 1) / (period - 1))

    def compute(gap: Floats, day: Floats, rs: Floats) -> float:
        parts = np.var(gap, ddof=1) + k * np.var(day, ddof=1) + (1 - k) * np.mean(rs)
        return math.sqrt(max(0.0, float(parts)))

    gap = logs(m.open, shifted(m.close, 1))
    return rolled([gap, logs(m.close, m.open), rogers(m)], period, compute)


def realised_variance(m: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(growth(x) ** 2, period, math.fsum)


def bipower_variation(m: Market, x: Floats, period: int = 20) -> Floats:
    def compute(r: Floats) -> float:
        pairs = math.fsum(abs(a) * abs(b) for a, b in itertools.pairwise(r.tolist()))
        return math.pi / 2 * period / (period - 1) * pairs

    return rolling(growth(x), period, compute)


def jump_share(m: Market, x: Floats, period: int = 20) -> Floats:
    smooth, whole = bipower_variation(m, x, period), realised_variance(m, x, period)
    return 1.0 - np.minimum(1.0, quotient(smooth, whole))


def downside_volatility(m: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(growth(x), period, lambda r: math.sqrt(np.mean(np.minimum(r, 0) ** 2)))


def upside_volatility(m: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(growth(x), period, lambda r: math.sqrt(np.mean(np.maximum(r, 0) ** 2)))


def semivariance_balance(m: Market, x: Floats, period: int = 20) -> Floats:
    def compute(r: Floats) -> float:
        return over(math.fsum(r[r > 0] ** 2) - math.fsum(r[r < 0] ** 2), math.fsum(r**2))

    return rolling(growth(x), period, compute)


def realised_skewness(m: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(
        growth(x),
        period,
        lambda r: math.sqrt(period) * over(math.fsum(r**3), math.fsum(r**2) ** 1.5),
    )


def realised_kurtosis(m: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(
        growth(x), period, lambda r: period * over(math.fsum(r**4), math.fsum(r**2) ** 2)
    )


def vol_of_vol(m: Market, x: Floats, period: int = 20, window: int = 60) -> Floats:
    inner = rolling(growth(x), period, lambda w: deviation_of(w, 1))
    return rolling(inner, window, lambda w: deviation_of(w, 1))


def ewma_volatility(m: Market, x: Floats, period: int = 32) -> Floats:
    return np.sqrt(ema_of(growth(x) ** 2, period))


# Shape of distributions.


def skewness(m: Market, x: Floats, period: int) -> Floats:
    def compute(w: Floats) -> float:
        n = len(w)
        return math.sqrt(n * (n - 1)) / (n - 2) * over(central(w, 3), central(w, 2) ** 1.5)

    return defined(rolling(x, period, compute))


def kurtosis(m: Market, x: Floats, period: int) -> Floats:
    def compute(w: Floats) -> float:
        n = len(w)
        excess = over(central(w, 4), central(w, 2) ** 2) - 3.0
        return (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * excess + 6.0)

    return defined(rolling(x, period, compute))


def quantile(m: Market, x: Floats, period: int, q: float = 0.5) -> Floats:
    return rolling(x, period, lambda w: float(np.quantile(w, q)))


def iqr(m: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: float(np.quantile(w, 0.75) - np.quantile(w, 0.25)))


def mad_of(w: Floats) -> float:
    return float(np.median(np.abs(w - np.median(w))))


def mad(m: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, mad_of)


def robust_zscore(m: Market, x: Floats, period: int) -> Floats:
    return rolling(
        x, period, lambda w: over(w[-1] - float(np.median(w)), 1.4826022185056018 * mad_of(w))
    )


def quantile_skew(m: Market, x: Floats, period: int) -> Floats:
    def compute(w: Floats) -> float:
        low, middle, high = (float(v) for v in np.quantile(w, [0.25, 0.5, 0.75]))
        return over((high - middle) - (middle - low), high - low)

    return rolling(x, period, compute)


def variation(m: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: over(deviation_of(w, 1), mean_of(w)))


# Dependence.


def autocorrelation(m: Market, x: Floats, period: int = 50, lag: int = 1) -> Floats:
    def compute(w: Floats) -> float:
        d = (w - w[0]) - math.fsum(w - w[0]) / len(w)
        return over(math.fsum(d[lag:] * d[:-lag]), math.fsum(d * d))

    return rolling(x, period, compute)


def variance_ratio(m: Market, x: Floats, period: int = 100, lag: int = 2) -> Floats:
    def compute(r: Floats) -> float:
        n, q = len(r), lag
        mean = math.fsum(r) / n
        short = math.fsum((r - mean) ** 2) / (n - 1)
        if np.ptp(r) == 0.0:
            return math.nan
        long = [math.fsum(r[i : i + q]) - q * mean for i in range(n - q + 1)]
        scale = q * (n - q + 1) * (1 - q / n)
        return over(math.fsum(v * v for v in long) / scale, short)

    return rolling(growth(x), period, compute)


def hurst(m: Market, x: Floats, period: int = 100) -> Floats:
    spans = [2**k for k in range(30) if 4 * 2**k <= period]

    def compute(w: Floats) -> float:
        if (w <= 0).any():
            return math.nan
        y = np.array([math.log(v) for v in w])
        squares = [float(np.mean((y[s:] - y[:-s]) ** 2)) for s in spans]
        if min(squares) == 0.0:
            return math.nan
        slope = np.polyfit(np.log(spans), np.log(squares), 1)[0]
        return float(slope) / 2

    return rolling(x, period, compute)


def entropy_of(counts: list[int], most: float) -> float:
    shares = np.array([c for c in counts if c]) / sum(counts)
    return float(-np.sum(shares * np.log(shares))) / math.log(most)


def entropy(m: Market, x: Floats, period: int = 100, bins: int = 10) -> Floats:
    def compute(w: Floats) -> float:
        low, width = w.min(), w.max() - w.min()
        if width == 0.0:
            return 0.0
        edges = [low + width * (j / bins) for j in range(1, bins)]
        which = [sum(v >= edge for edge in edges) for v in w]
        return entropy_of(list(Counter(which).values()), bins)

    return rolling(x, period, compute)


def permutation_entropy(m: Market, x: Floats, period: int = 100, order: int = 3) -> Floats:
    def compute(w: Floats) -> float:
        runs = (w[i : i + order] for i in range(len(w) - order + 1))
        kinds = Counter(tuple(np.argsort(run, kind="stable")) for run in runs)
        return entropy_of(list(kinds.values()), math.factorial(order))

    return rolling(x, period, compute)


def trend_fit(m: Market, x: Floats, period: int = 20) -> Mapping[str, Floats]:
    places = np.arange(float(period))

    def slope(w: Floats) -> float:
        tt, _, tx = co_moments(places, w)
        return over(tx / tt, math.fsum(w) / len(w))

    def r2(w: Floats) -> float:
        tt, xx, tx = co_moments(places, w)
        return over(tx * tx / tt, xx) if np.ptp(w) else math.nan

    return {"slope": rolling(x, period, slope), "r2": rolling(x, period, r2)}


def mean_reversion(m: Market, x: Floats, period: int = 100) -> Mapping[str, Floats]:
    change, before = x - shifted(x, 1), shifted(x, 1)

    def speed(c: Floats, b: Floats) -> float:
        _, bb, cb = co_moments(c, b)
        return over(cb, bb) if np.ptp(b) else math.nan

    def t(c: Floats, b: Floats) -> float:
        cc, bb, cb = co_moments(c, b)
        if not np.ptp(b):
            return math.nan
        left = cc - cb * cb / bb
        if left <= NOTHING * cc:
            return math.nan
        return cb / bb / math.sqrt(left / (len(c) - 2) / bb)

    return {
        "speed": rolled([change, before], period, speed),
        "t": rolled([change, before], period, t),
    }


def efficiency_ratio(m: Market, x: Floats, period: int = 10) -> Floats:
    def compute(w: Floats) -> float:
        path = math.fsum(np.abs(np.diff(w)))
        return abs(w[-1] - w[0]) / path if path else 0.0

    return rolling(x, period + 1, compute)


def choppiness(m: Market, period: int = 14) -> Floats:
    def compute(tr: Floats, high: Floats, low: Floats) -> float:
        path, span = math.fsum(tr), max(high) - min(low)
        return 100 * math.log(path / span) / math.log(period) if span > 0 else math.nan

    return rolled([true_range(m), m.high, m.low], period, compute)


def fractal_dimension(m: Market, half: int = 8) -> Floats:
    def compute(high: Floats, low: Floats) -> float:
        a = max(high[:half]) - min(low[:half])
        b = max(high[half:]) - min(low[half:])
        whole = max(high) - min(low)
        return math.log2((a + b) / (whole / 2)) if whole > 0 and a + b > 0 else math.nan

    return rolled([m.high, m.low], 2 * half, compute)


# Drawdowns.


def drawdown(m: Market, x: Floats, period: int = 50) -> Floats:
    return rolling(x, period, lambda w: w[-1] / max(w) - 1 if max(w) > 0 else math.nan)


def run_up(m: Market, x: Floats, period: int = 50) -> Floats:
    return rolling(x, period, lambda w: w[-1] / min(w) - 1 if min(w) > 0 else math.nan)


def max_drawdown(m: Market, x: Floats, period: int = 50) -> Floats:
    def compute(w: Floats) -> float:
        if min(w) <= 0:
            return math.nan
        return min(float(np.min(w[i:] / w[i])) - 1 for i in range(len(w)))

    return rolling(x, period, compute)


def ulcer_index(m: Market, x: Floats, period: int = 14) -> Floats:
    depth = drawdown(m, x, period)
    return rolling(depth, period, lambda w: math.sqrt(math.fsum(w * w) / len(w)))


def bars_since_high(m: Market, x: Floats, period: int = 50) -> Floats:
    return rolling(x, period, lambda w: float(np.argmax(w[::-1])))


def bars_since_low(m: Market, x: Floats, period: int = 50) -> Floats:
    return rolling(x, period, lambda w: float(np.argmin(w[::-1])))


def range_position(m: Market, x: Floats, period: int = 50) -> Floats:
    def compute(w: Floats) -> float:
        return (w[-1] - min(w)) / np.ptp(w) if np.ptp(w) else 0.5

    return rolling(x, period, compute)


def from_peak(m: Market, x: Floats) -> Mapping[str, Floats]:
    depth, age = np.full(len(x), np.nan), np.full(len(x), np.nan)
    for t in range(len(x)):
        seen = x[: t + 1]
        if np.isnan(x[t]):
            continue
        top = np.nanmax(seen)
        last = int(np.flatnonzero(seen == top)[-1])
        depth[t] = x[t] / top - 1 if top > 0 else np.nan
        age[t] = float(np.sum(~np.isnan(seen[last + 1 :])))
    return {"drawdown": depth, "age": age}


FUNCTIONS: dict[str, Callable[..., Outputs]] = {
    f.__name__: f
    for f in (
        parkinson, garman_klass, rogers_satchell, yang_zhang, realised_variance, bipower_variation,
        jump_share, downside_volatility, upside_volatility, semivariance_balance,
        realised_skewness, realised_kurtosis, vol_of_vol, ewma_volatility, skewness, kurtosis,
        quantile, iqr, mad, robust_zscore, quantile_skew, variation, autocorrelation,
        variance_ratio, hurst, entropy, permutation_entropy, trend_fit, mean_reversion,
        efficiency_ratio, choppiness, fractal_dimension, drawdown, run_up, max_drawdown,
        ulcer_index, bars_since_high, bars_since_low, range_position, from_peak,
    )
}  # fmt: skip
