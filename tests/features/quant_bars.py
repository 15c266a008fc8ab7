"""Slow twins of functions: shapes of bars, bands and oscillators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from decimal import Decimal

import numpy as np

from tests.features.markets import Floats, Market
from tests.features.quant_parts import ema_of, means, over, rolled, wma_of
from tests.features.twin import Outputs, quotient, rolling, shifted, together, true_range, wilder

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


FUNCTIONS: dict[str, Callable[..., Outputs]] = {
    f.__name__: f
    for f in (
        gap, body_return, body_share, upper_wick, lower_wick, close_position, bar_overlap,
        run_length, heikin_ashi, donchian, keltner, chandelier, supertrend, ichimoku,
        round_distance, hma, zlema, super_smoother, fisher, vortex, tsi, connors_rsi, coppock, kst,
        elder_ray, mass_index, force_index, awesome, dpo, up_share, smi, relative_vigor, qstick,
    )
}  # fmt: skip
