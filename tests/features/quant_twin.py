"""Slow twin of the functions for quantitative models, written from their definitions; see `twin`."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from tests.features import twin
from tests.features.markets import HOUR, Floats, Market
from tests.features.twin import (
    Outputs,
    defined,
    deviation_of,
    mean_of,
    quotient,
    recursive_mean,
    rolling,
    shifted,
    together,
    true_range,
    typical,
    wilder,
)

LN2 = math.log(2.0)
DAY = 24 * HOUR
NOTHING = 1e-13
"""Share of a spread that counts as none: what rounding leaves."""


def rolled(
    columns: list[Floats], width: int, compute: Callable[..., float], *, first: int = 0
) -> Floats:
    """Apply `compute` to the last `width` rows of some columns; NaN where one is missing."""
    n = len(columns[0])
    out = np.full(n, np.nan)
    for t in range(width - 1 + first, n):
        windows = [column[t - width + 1 : t + 1] for column in columns]
        if not any(np.isnan(w).any() for w in windows):
            with np.errstate(all="ignore"):
                out[t] = compute(*windows)
    return defined(out)


def over(a: float, b: float) -> float:
    return a / b if b != 0.0 else math.nan


def logs(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        share = np.where((a > 0) & (b > 0), a / b, np.nan)
        return defined(np.array([math.log(s) if 0 < s < math.inf else math.nan for s in share]))


def growth(x: Floats) -> Floats:
    return logs(x, shifted(x, 1))


def means(x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: math.fsum(w) / len(w))


def ema_of(x: Floats, period: int) -> Floats:
    return recursive_mean(x, period, 2.0 / (period + 1.0))


def wma_of(x: Floats, period: int) -> Floats:
    weights = np.arange(1.0, period + 1.0)
    return rolling(x, period, lambda w: math.fsum(weights * w) / weights.sum())


def central(w: Floats, power: int) -> float:
    mean = w[0] + math.fsum(w - w[0]) / len(w)
    return math.fsum((w - mean) ** power) / len(w)


def co_moments(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Sums of squares and products about the means."""
    dx = (x - x[0]) - math.fsum(x - x[0]) / len(x)
    dy = (y - y[0]) - math.fsum(y - y[0]) / len(y)
    return math.fsum(dx * dx), math.fsum(dy * dy), math.fsum(dx * dy)


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


# Shapes of bars.


def gap(m: Market) -> Floats:
    return quotient(m.open, shifted(m.close, 1)) - 1


def body_return(m: Market) -> Floats:
    return m.close / m.open - 1


def of_range(m: Market, part: Floats, still: float) -> Floats:
    span = m.high - m.low
    with np.errstate(all="ignore"):
        return np.where(span == 0.0, still, part / span)


def body_share(m: Market) -> Floats:
    return of_range(m, np.abs(m.close - m.open), 0.0)


def upper_wick(m: Market) -> Floats:
    return of_range(m, m.high - np.maximum(m.open, m.close), 0.0)


def lower_wick(m: Market) -> Floats:
    return of_range(m, np.minimum(m.open, m.close) - m.low, 0.0)


def close_position(m: Market) -> Floats:
    return of_range(m, m.close - m.low, 0.5)


def bar_overlap(m: Market) -> Floats:
    out = np.full(len(m), np.nan)
    for t in range(1, len(m)):
        common = min(m.high[t - 1 : t + 1]) - max(m.low[t - 1 : t + 1])
        both = max(m.high[t - 1 : t + 1]) - min(m.low[t - 1 : t + 1])
        out[t] = max(0.0, common) / both if both else 1.0
    return out


def run_length(m: Market, x: Floats, period: int = 20) -> Floats:
    def compute(w: Floats) -> float:
        signs = np.sign(np.diff(w))[::-1]
        same = list(itertools.takewhile(lambda s: s == signs[0], signs))
        return float(signs[0]) * len(same)

    return rolling(x, period + 1, compute)


def heikin_ashi(m: Market) -> Mapping[str, Floats]:
    close = (m.open + m.high + m.low + m.close) / 4
    open_ = np.empty(len(m))
    for t in range(len(m)):
        open_[t] = (open_[t - 1] + close[t - 1]) / 2 if t else (m.open[0] + m.close[0]) / 2
    high = np.maximum.reduce([m.high, open_, close])
    low = np.minimum.reduce([m.low, open_, close])
    return {"open": open_, "high": high, "low": low, "close": close}


# Bands.


def extremes(m: Market, period: int) -> tuple[Floats, Floats]:
    return rolling(m.high, period, max), rolling(m.low, period, min)


def donchian(m: Market, period: int = 20) -> Mapping[str, Floats]:
    high, low = extremes(m, period)
    with np.errstate(all="ignore"):
        place = np.where(high == low, 0.5, (m.close - low) / (high - low))
    middle = (high + low) / 2
    return {
        "upper": high,
        "middle": middle,
        "lower": low,
        "position": place,
        "width": (high - low) / middle,
    }


def keltner(
    m: Market, period: int = 20, atr: int = 10, multiple: float = 2.0
) -> Mapping[str, Floats]:
    middle, half = ema_of(m.close, period), multiple * wilder(true_range(m), atr)
    upper, lower = middle + half, middle - half
    place = quotient(m.close - lower, np.where(half == 0.0, 0.0, upper - lower))
    outputs = {"upper": upper, "middle": middle + 0 * half, "lower": lower}
    return {**together(outputs), "position": place}


def chandelier(m: Market, period: int = 22, multiple: float = 3.0) -> Mapping[str, Floats]:
    high, low = extremes(m, period)
    hang = multiple * wilder(true_range(m), period)
    return {"long": high - hang, "short": low + hang}


def supertrend(m: Market, period: int = 10, multiple: float = 3.0) -> Mapping[str, Floats]:
    hang = multiple * wilder(true_range(m), period)
    line, way = np.full(len(m), np.nan), np.full(len(m), np.nan)
    up, down, direction = math.nan, math.nan, 1.0
    for t in range(period, len(m)):
        middle = (m.high[t] + m.low[t]) / 2
        before = m.close[t - 1]
        new_up, new_down = middle + hang[t], middle - hang[t]
        up = new_up if math.isnan(up) or new_up < up or before > up else up
        down = new_down if math.isnan(down) or new_down > down or before < down else down
        if direction == 1.0 and m.close[t] < down:
            direction = -1.0
        elif direction == -1.0 and m.close[t] > up:
            direction = 1.0
        line[t], way[t] = (down if direction == 1.0 else up), direction
    return {"line": line, "direction": way}


def ichimoku(
    m: Market, conversion: int = 9, base: int = 26, span: int = 52
) -> Mapping[str, Floats]:
    a, b, c = (np.mean(extremes(m, n), axis=0) for n in (conversion, base, span))
    lines = {"conversion": a, "base": b, "span_a": (a + b) / 2, "span_b": c}
    return together(lines)


def round_distance(m: Market, x: Floats, digits: int = 2) -> Floats:
    out = np.full(len(x), np.nan)
    for t, value in enumerate(x):
        if math.isnan(value) or value == 0.0:
            continue
        exact = Decimal(float(abs(value)))
        # Rounded once, as a tie is one of doubles.
        scaled = float(exact.scaleb(digits - 1 - exact.adjusted()))
        out[t] = math.copysign(1.0, value) * (scaled - math.floor(scaled + 0.5))
    return out


# Oscillators.


def hma(m: Market, x: Floats, period: int) -> Floats:
    inner = 2 * wma_of(x, period // 2) - wma_of(x, period)
    return wma_of(inner, math.isqrt(period))


def zlema(m: Market, x: Floats, period: int) -> Floats:
    known = x[~np.isnan(x)]
    inner = ema_of(2 * known - shifted(known, (period - 1) // 2), period)
    out = np.full(len(x), np.nan)
    out[~np.isnan(x)] = inner
    return out


def super_smoother(m: Market, x: Floats, period: int) -> Floats:
    angle = math.sqrt(2) * math.pi / period
    d = math.exp(-angle)
    b, c = 2 * d * math.cos(angle), -(d**2)
    keep = ~np.isnan(x)
    v = x[keep]
    y = v.astype(float)
    for t in range(2, len(v)):
        y[t] = (1 - b - c) * (v[t] + v[t - 1]) / 2 + b * y[t - 1] + c * y[t - 2]
    y[:2] = np.nan
    out = np.full(len(x), np.nan)
    out[keep] = y
    return out


def fisher(m: Market, period: int = 10) -> Mapping[str, Floats]:
    middle = (m.high + m.low) / 2
    high, low = rolling(middle, period, max), rolling(middle, period, min)
    value, trigger = np.full(len(m), np.nan), np.full(len(m), np.nan)
    s = f = 0.0
    for t in range(period - 1, len(m)):
        span = high[t] - low[t]
        place = 2 * (middle[t] - low[t]) / span - 1 if span else 0.0
        s = min(0.999, max(-0.999, 0.33 * place + 0.67 * s))
        before, f = f, 0.5 * math.log((1 + s) / (1 - s)) + 0.5 * f
        if t >= period:
            value[t], trigger[t] = f, before
    return {"fisher": value, "trigger": trigger}


def vortex(m: Market, period: int = 14) -> Mapping[str, Floats]:
    up = np.abs(m.high - shifted(m.low, 1))
    down = np.abs(m.low - shifted(m.high, 1))
    tr = true_range(m)
    return {
        "plus": rolled([up, tr], period, lambda a, b: over(math.fsum(a), math.fsum(b))),
        "minus": rolled([down, tr], period, lambda a, b: over(math.fsum(a), math.fsum(b))),
    }


def tsi(m: Market, x: Floats, long: int = 25, short: int = 13) -> Floats:
    keep = ~np.isnan(x)
    change = np.diff(x[keep], prepend=np.nan)
    net = ema_of(ema_of(change, long), short)
    size = ema_of(ema_of(np.abs(change), long), short)
    out = np.full(len(x), np.nan)
    out[keep] = np.where(size == 0.0, 0.0, 100 * quotient(net, size))
    return out


def rsi_of(x: Floats, period: int) -> Floats:
    change = np.diff(x, prepend=np.nan)
    up, down = wilder(np.maximum(change, 0), period), wilder(np.maximum(-change, 0), period)
    return np.where(up + down == 0.0, 50.0, 100 * quotient(up, up + down))


def connors_rsi(m: Market, x: Floats, period: int = 3, run: int = 2, rank: int = 100) -> Floats:
    keep = ~np.isnan(x)
    v = x[keep]
    runs = np.full(len(v), np.nan)
    for t in range(1, len(v)):
        sign = float(np.sign(v[t] - v[t - 1]))
        before = runs[t - 1] if t > 1 and runs[t - 1] * sign > 0 else 0.0
        runs[t] = min(rank, max(-rank, before + sign))
    of_run = np.full(len(v), np.nan)
    of_run[1:] = rsi_of(runs[1:], run)
    change = quotient(v - shifted(v, 1), shifted(v, 1))
    place = rolling(change, rank + 1, lambda w: 100 * float(np.sum(w[:-1] < w[-1])) / rank)
    out = np.full(len(x), np.nan)
    out[keep] = (rsi_of(v, period) + of_run + place) / 3
    return out


def rate(x: Floats, bars: int) -> Floats:
    return 100 * quotient(x - shifted(x, bars), shifted(x, bars))


def coppock(m: Market, x: Floats, long: int = 14, short: int = 11, period: int = 10) -> Floats:
    return wma_of(rate(x, long) + rate(x, short), period)


def kst(m: Market, x: Floats, signal: int = 9) -> Mapping[str, Floats]:
    line = means(rate(x, 10), 10) + 2 * means(rate(x, 15), 10) + 3 * means(rate(x, 20), 10)
    line = line + 4 * means(rate(x, 30), 15)
    slow = means(line, signal)
    return {"kst": np.where(np.isnan(slow), np.nan, line), "signal": slow}


def elder_ray(m: Market, period: int = 13) -> Mapping[str, Floats]:
    mean = ema_of(m.close, period)
    return {"bull": m.high - mean, "bear": m.low - mean}


def mass_index(m: Market, ema: int = 9, period: int = 25) -> Floats:
    once = ema_of(m.high - m.low, ema)
    return rolling(quotient(once, ema_of(once, ema)), period, math.fsum)


def force_index(m: Market, period: int = 13) -> Floats:
    return ema_of((m.close - shifted(m.close, 1)) * m.volume, period)


def awesome(m: Market, fast: int = 5, slow: int = 34) -> Floats:
    middle = (m.high + m.low) / 2
    return means(middle, fast) - means(middle, slow)


def dpo(m: Market, x: Floats, period: int = 20) -> Floats:
    return shifted(x, period // 2 + 1) - means(x, period)


def up_share(m: Market, x: Floats, period: int = 12) -> Floats:
    return rolling(x, period + 1, lambda w: float(np.mean(np.diff(w) > 0)))


def smi(m: Market, period: int = 10, first: int = 3, second: int = 3) -> Floats:
    high, low = extremes(m, period)
    far = ema_of(ema_of(m.close - (high + low) / 2, first), second)
    span = ema_of(ema_of(high - low, first), second)
    return np.where(span == 0.0, 0.0, 100 * quotient(far, span / 2))


def tapered(x: Floats) -> Floats:
    return (x + 2 * shifted(x, 1) + 2 * shifted(x, 2) + shifted(x, 3)) / 6


def relative_vigor(m: Market, period: int = 10) -> Mapping[str, Floats]:
    body, span = tapered(m.close - m.open), tapered(m.high - m.low)
    vigor = rolled(
        [body, span], period, lambda a, b: math.fsum(a) / math.fsum(b) if math.fsum(b) else 0.0
    )
    signal = tapered(vigor)
    return {"vigor": np.where(np.isnan(signal), np.nan, vigor), "signal": signal}


def qstick(m: Market, period: int = 8) -> Floats:
    return means(m.close - m.open, period)


# Liquidity and flow.


def amihud(m: Market, period: int = 20) -> Floats:
    moved = np.abs(quotient(m.close - shifted(m.close, 1), shifted(m.close, 1)))

    def compute(move: Floats, money: Floats) -> float:
        traded = money != 0.0
        terms = move[traded] / money[traded]
        return math.fsum(terms) / len(terms) if len(terms) else math.nan

    return rolled([moved, m.close * m.volume], period, compute)


def roll_spread(m: Market, x: Floats, period: int = 20) -> Floats:
    r = growth(x)

    def compute(a: Floats, b: Floats) -> float:
        c = co_moments(a, b)[2] / (len(a) - 1)
        return 2 * math.sqrt(-c) if c < 0 else 0.0

    return rolled([r, shifted(r, 1)], period, compute)


def corwin_schultz(m: Market, period: int = 20) -> Floats:
    term = np.full(len(m), np.nan)
    for t in range(1, len(m)):
        pair = slice(t - 1, t + 1)
        beta = sum(math.log(h / l) ** 2 for h, l in zip(m.high[pair], m.low[pair], strict=True))  # noqa: E741
        gamma = math.log(max(m.high[pair]) / min(m.low[pair])) ** 2
        scale = 3 - 2 * math.sqrt(2)
        alpha = (math.sqrt(2 * beta) - math.sqrt(beta)) / scale - math.sqrt(gamma / scale)
        term[t] = max(0.0, 2 * (math.exp(alpha) - 1) / (1 + math.exp(alpha)))
    return rolling(term, period, lambda w: math.fsum(w) / len(w))


def abdi_ranaldo(m: Market, period: int = 20) -> Floats:
    term = np.full(len(m), np.nan)
    for t in range(1, len(m)):
        c = math.log(m.close[t - 1])
        old = (math.log(m.high[t - 1]) + math.log(m.low[t - 1])) / 2
        new = (math.log(m.high[t]) + math.log(m.low[t])) / 2
        term[t] = (c - old) * (c - new)
    return rolling(term, period, lambda w: 2 * math.sqrt(max(0.0, math.fsum(w) / len(w))))


def kyle_lambda(m: Market, period: int = 20) -> Floats:
    flow = 2 * m.taker_buy_volume - m.volume

    def compute(r: Floats, q: Floats) -> float:
        _, qq, rq = co_moments(r, q)
        return over(rq, qq) if np.ptp(q) else math.nan

    return rolled([growth(m.close), flow], period, compute)


def turnover(m: Market) -> Floats:
    return m.close * m.volume


def volume_share(m: Market, period: int = 20) -> Floats:
    return rolling(m.volume, period, lambda w: over(w[-1], math.fsum(w)))


def surprise(x: Floats, period: int) -> Floats:
    def compute(w: Floats) -> float:
        return over(w[-1], math.fsum(w[:-1]) / period) - 1

    return rolling(x, period + 1, compute)


def volume_surprise(m: Market, period: int = 20) -> Floats:
    return surprise(m.volume, period)


def trade_size(m: Market) -> Floats:
    return quotient(m.volume, m.trades)


def trade_intensity(m: Market, period: int = 20) -> Floats:
    return surprise(m.trades, period)


def flow_imbalance(m: Market, period: int = 20) -> Floats:
    def compute(bought: Floats, volume: Floats) -> float:
        return over(math.fsum(bought) - math.fsum(volume - bought), math.fsum(volume))

    return rolled([m.taker_buy_volume, m.volume], period, compute)


def vpin(m: Market, period: int = 20) -> Floats:
    def compute(bought: Floats, volume: Floats) -> float:
        return over(math.fsum(np.abs(bought - (volume - bought))), math.fsum(volume))

    return rolled([m.taker_buy_volume, m.volume], period, compute)


def chaikin_money_flow(m: Market, period: int = 20) -> Floats:
    place = of_range(m, (m.close - m.low) - (m.high - m.close), 0.0)
    return rolled(
        [place * m.volume, m.volume], period, lambda a, b: over(math.fsum(a), math.fsum(b))
    )


def ease_of_movement(m: Market, period: int = 14) -> Floats:
    middle = (m.high + m.low) / 2
    with np.errstate(all="ignore"):
        term = (middle - shifted(middle, 1)) * (m.high - m.low) / m.volume
    term = np.where((m.volume == 0.0) & (np.arange(len(m)) > 0), 0.0, term)
    return rolling(term, period, lambda w: math.fsum(w) / len(w))


def price_volume_trend(m: Market) -> Floats:
    term = m.volume * quotient(m.close - shifted(m.close, 1), shifted(m.close, 1))
    term[0] = 0.0
    return np.array([math.fsum(term[: t + 1]) for t in range(len(m))])


def volume_index(m: Market, way: float) -> Floats:
    out = np.ones(len(m))
    for t in range(1, len(m)):
        counts = np.sign(m.volume[t] - m.volume[t - 1]) == way
        out[t] = out[t - 1] * (m.close[t] / m.close[t - 1] if counts else 1.0)
    return out


def nvi(m: Market) -> Floats:
    return volume_index(m, -1.0)


def pvi(m: Market) -> Floats:
    return volume_index(m, 1.0)


def day_vwap_ratio(m: Market) -> Floats:
    out = np.full(len(m), np.nan)
    day = m.open_time // DAY
    for t in range(len(m)):
        same = np.flatnonzero(day[: t + 1] == day[t])
        volume = math.fsum(m.volume[same])
        mean = over(math.fsum(typical(m)[same] * m.volume[same]), volume)
        out[t] = m.close[t] / mean - 1
    return out


# Funding.


def settled(m: Market, t: int) -> list[tuple[int, float]]:
    """Settlements before the close of a bar; of a longer one, of the last bar inside."""
    close = m.open_time[t] + m.interval_ms
    if m.inside is not None:
        return settled(m.inside, int(np.searchsorted(m.inside.open_time, close)) - 1)
    pairs = zip(m.funding_time.tolist(), m.funding_rate.tolist(), strict=True)
    return [(time, rate) for time, rate in pairs if time < close]


def each_bar(m: Market, compute: Callable[[int, list[tuple[int, float]]], float]) -> Floats:
    out = np.full(len(m), np.nan)
    for t in range(len(m)):
        known = settled(m, t)
        if len(known) >= 2:
            out[t] = compute(int(m.open_time[t]) + m.interval_ms, known)
    return out


def funding_rate(m: Market) -> Floats:
    return each_bar(m, lambda _, known: known[-1][1])


def funding_change(m: Market) -> Floats:
    return each_bar(m, lambda _, known: known[-1][1] - known[-2][1])


def funding_annual(m: Market) -> Floats:
    year = 365.25 * DAY
    return each_bar(m, lambda _, known: known[-1][1] * year / (known[-1][0] - known[-2][0]))


def funding_age(m: Market) -> Floats:
    return each_bar(m, lambda close, known: (close - known[-1][0]) / HOUR)


def funding_to_next(m: Market) -> Floats:
    def compute(close: int, known: list[tuple[int, float]]) -> float:
        due, spacing = known[-1][0], known[-1][0] - known[-2][0]
        while due < close:
            due += spacing
        return (due - close) / HOUR

    return each_bar(m, compute)


def funding_paid(m: Market) -> Floats:
    out = np.zeros(len(m))
    if m.inside is not None:
        paid, time = funding_paid(m.inside), m.inside.open_time
        for t, begin in enumerate(m.open_time):
            out[t] = math.fsum(paid[(time >= begin) & (time < begin + m.interval_ms)])
        return out
    for t in range(len(m)):
        out[t] = math.fsum(rate for time, rate in settled(m, t) if time >= m.open_time[t])
    return out


def funding_sum(m: Market, period: int = 288) -> Floats:
    return rolling(funding_paid(m), period, math.fsum)


def funding_total(m: Market) -> Floats:
    paid = funding_paid(m)
    return np.array([math.fsum(paid[: t + 1]) for t in range(len(m))])


# Sessions.


def moments(m: Market) -> list[datetime]:
    start = datetime(1970, 1, 1, tzinfo=UTC)
    return [start + timedelta(milliseconds=int(time)) for time in m.open_time]


def session(m: Market, open: int = 810, close: int = 1200) -> Mapping[str, Floats]:  # noqa: A002
    minute = np.array([60.0 * d.hour + d.minute + d.second / 60 for d in moments(m)])
    after, before = minute >= open, minute < close % 1440
    inside = after & before if close % 1440 > open else after | before
    return {
        "inside": inside.astype(float),
        "since_open": ((minute - open) % 1440) / 60,
        "to_close": ((close - minute) % 1440) / 60,
    }


def circle(shares: list[float]) -> Mapping[str, Floats]:
    angle = [math.tau * share for share in shares]
    return {
        "sin": np.array([math.sin(a) for a in angle]),
        "cos": np.array([math.cos(a) for a in angle]),
    }


def time_of_month(m: Market) -> Mapping[str, Floats]:
    shares = []
    for d in moments(m):
        begin = datetime(d.year, d.month, 1, tzinfo=UTC)
        end = (begin + timedelta(days=32)).replace(day=1)
        shares.append((d - begin) / (end - begin))
    return circle(shares)


def time_of_year(m: Market) -> Mapping[str, Floats]:
    shares = []
    for d in moments(m):
        begin, end = datetime(d.year, 1, 1, tzinfo=UTC), datetime(d.year + 1, 1, 1, tzinfo=UTC)
        shares.append((d - begin) / (end - begin))
    return circle(shares)


def weekend(m: Market) -> Floats:
    return np.array([float(d.weekday() >= 5) for d in moments(m)])


def new_day(m: Market) -> Floats:
    days = [d.date() for d in moments(m)]
    return np.array([math.nan, *(float(a != b) for a, b in itertools.pairwise(days))][: len(m)])


def time_gap(m: Market) -> Floats:
    return (m.open_time - shifted(m.open_time.astype(float), 1)) / HOUR


# Pairs.


def covariance(m: Market, x: Floats, y: Floats, period: int = 60) -> Floats:
    return rolled([x, y], period, lambda a, b: co_moments(a, b)[2] / (len(a) - 1))


def regression(m: Market, x: Floats, y: Floats, period: int = 60) -> Mapping[str, Floats]:
    def slope_of(a: Floats, b: Floats) -> float:
        _, bb, ab = co_moments(a, b)
        return over(ab, bb) if np.ptp(b) else math.nan

    def intercept(a: Floats, b: Floats) -> float:
        return float(np.mean(a)) - slope_of(a, b) * float(np.mean(b))

    def r2(a: Floats, b: Floats) -> float:
        aa, bb, ab = co_moments(a, b)
        return ab * ab / aa / bb if np.ptp(a) and np.ptp(b) else math.nan

    def score(a: Floats, b: Floats) -> float:
        slope = slope_of(a, b)
        left = (a - float(np.mean(a))) - slope * (b - float(np.mean(b)))
        spread = math.fsum(left**2) / len(a)
        if not spread > NOTHING * float(np.var(a)):
            return math.nan
        return float(left[-1]) / math.sqrt(spread)

    names = {"slope": slope_of, "intercept": intercept, "r2": r2, "zscore": score}
    return {name: rolled([x, y], period, compute) for name, compute in names.items()}


def spread_zscore(m: Market, x: Floats, y: Floats, period: int = 60) -> Floats:
    def compute(w: Floats) -> float:
        return over(w[-1] - mean_of(w), deviation_of(w)) if np.ptp(w) else math.nan

    return rolling(logs(x, y), period, compute)


def lead_lag(m: Market, x: Floats, y: Floats, period: int = 60, lag: int = 1) -> Floats:
    def compute(a: Floats, b: Floats) -> float:
        aa, bb, ab = co_moments(a, b)
        return ab / math.sqrt(aa) / math.sqrt(bb) if np.ptp(a) and np.ptp(b) else math.nan

    return rolled([x, shifted(y, lag)], period, compute)


def quotients(x: Floats, period: int) -> Floats:
    """Logarithms of quotients, which two negative numbers have too."""
    with np.errstate(all="ignore"):
        share = x / shifted(x, period)
    return defined(np.array([math.log(s) if 0 < s < math.inf else math.nan for s in share]))


def relative_strength(m: Market, x: Floats, y: Floats, period: int = 60) -> Floats:
    return quotients(x, period) - quotients(y, period)


def tracking_error(m: Market, x: Floats, y: Floats, period: int = 60) -> Floats:
    both = quotients(x, 1) - quotients(y, 1)
    return rolling(both, period, lambda w: deviation_of(w, 1))


# Stationarity.


def frac_diff(m: Market, x: Floats, order: float = 0.4, width: int = 100) -> Floats:
    weights = [1.0]
    for k in range(1, width):
        weights.append(-weights[-1] * (order - k + 1) / k)
    return rolling(
        x, width, lambda w: math.fsum(a * b for a, b in zip(weights, w[::-1], strict=True))
    )


def cusum(m: Market, x: Floats, threshold: float) -> Mapping[str, Floats]:
    up, down, event = (np.full(len(x), np.nan) for _ in range(3))
    high = low = 0.0
    for t, value in enumerate(x):
        if math.isnan(value):
            continue
        high, low = max(0.0, high + value), min(0.0, low + value)
        up[t], down[t], event[t] = high, low, 0.0
        if low < -threshold:
            event[t], low = -1.0, 0.0
        elif high > threshold:
            event[t], high = 1.0, 0.0
    return {"up": up, "down": down, "event": event}


FUNCTIONS: dict[str, Callable[..., Outputs]] = {
    f.__name__: f
    for f in (
        parkinson, garman_klass, rogers_satchell, yang_zhang, realised_variance, bipower_variation,
        jump_share, downside_volatility, upside_volatility, semivariance_balance, realised_skewness,
        realised_kurtosis, vol_of_vol, ewma_volatility, skewness, kurtosis, quantile, iqr, mad,
        robust_zscore, quantile_skew, variation, autocorrelation, variance_ratio, hurst, entropy,
        permutation_entropy, trend_fit, mean_reversion, efficiency_ratio, choppiness,
        fractal_dimension, drawdown, run_up, max_drawdown, ulcer_index, bars_since_high,
        bars_since_low, range_position, from_peak, gap, body_return, body_share, upper_wick,
        lower_wick, close_position, bar_overlap, run_length, heikin_ashi, donchian, keltner,
        chandelier, supertrend, ichimoku, round_distance, hma, zlema, super_smoother, fisher, vortex,
        tsi, connors_rsi, coppock, kst, elder_ray, mass_index, force_index, awesome, dpo, up_share,
        smi, relative_vigor, qstick, amihud, roll_spread, corwin_schultz, abdi_ranaldo, kyle_lambda,
        turnover, volume_share, volume_surprise, trade_size, trade_intensity, flow_imbalance, vpin,
        chaikin_money_flow, ease_of_movement, price_volume_trend, nvi, pvi, day_vwap_ratio,
        funding_rate, funding_change, funding_annual, funding_age, funding_to_next, funding_sum,
        funding_total, session, time_of_month, time_of_year, weekend, new_day, time_gap, covariance,
        regression, spread_zscore, lead_lag, relative_strength, tracking_error, frac_diff, cusum,
    )
}  # fmt: skip

twin.FUNCTIONS.update(FUNCTIONS)
