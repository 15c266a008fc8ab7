"""Slow twin of the features, written from their definitions.

Windows are computed bar by bar from the values they hold, with exactly rounded sums; recursions are plain loops.
Every function takes a `Market` and one array a series input, and gives one array, or a mapping of arrays by output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from tests.features.markets import HOUR, LENGTHS, Floats, Ints, Market

Outputs = Floats | Mapping[str, Floats]

DAY = 24 * HOUR
WEEK = 7 * DAY
# The epoch was a Thursday; the Monday after it came four days later.
FIRST_MONDAY = 4 * DAY


# Windows and recursions that the rest is made of.


def rolling(x: Floats, width: int, compute: Callable[[Floats], float]) -> Floats:
    """Apply `compute` to the last `width` values; NaN where there are fewer, or one of them is NaN."""
    out = np.full(len(x), np.nan)
    for t in range(width - 1, len(x)):
        window = x[t - width + 1 : t + 1]
        if not np.isnan(window).any():
            out[t] = compute(window)
    return out


def mean_of(window: Floats) -> float:
    return window[0] if np.ptp(window) == 0.0 else math.fsum(window) / len(window)


def deviation_of(window: Floats, ddof: int = 0) -> float:
    """Standard deviation; exactly 0 where all values are equal."""
    if np.ptp(window) == 0.0:
        return 0.0
    mean = mean_of(window)
    # The second sum takes back what the rounding of the mean cost.
    squares = math.fsum((v - mean) ** 2 for v in window)
    rest = math.fsum(v - mean for v in window)
    return math.sqrt((squares - rest * rest / len(window)) / (len(window) - ddof))


def defined(x: Floats) -> Floats:
    """What has no finite value has none."""
    return np.where(np.isfinite(x), x, np.nan)


def quotient(a: Floats, b: Floats) -> Floats:
    with np.errstate(all="ignore"):
        return defined(a / b)


def shifted(x: Floats, bars: int) -> Floats:
    out = np.full(len(x), np.nan)
    for t in range(bars, len(x)):
        out[t] = x[t - bars]
    return out


def recursive_mean(x: Floats, period: int, alpha: float) -> Floats:
    """Exponential mean, seeded with the plain mean of its first `period` values; NaN are passed over."""
    out = np.full(len(x), np.nan)
    first: list[float] = []
    state = math.nan
    for t, value in enumerate(x):
        if math.isnan(value):
            continue
        if len(first) < period:
            first.append(value)
            if len(first) == period:
                state = math.fsum(first) / period
                out[t] = state
        else:
            state = alpha * value + (1.0 - alpha) * state
            out[t] = state
    return out


def wilder(x: Floats, period: int) -> Floats:
    return recursive_mean(x, period, 1.0 / period)


def together(outputs: Mapping[str, Floats]) -> Mapping[str, Floats]:
    """Outputs of one function begin together, as in TA-Lib."""
    begun = np.logical_and.reduce(
        [np.logical_or.accumulate(~np.isnan(values)) for values in outputs.values()]
    )
    return {name: np.where(begun, values, np.nan) for name, values in outputs.items()}


def typical(market: Market) -> Floats:
    return (market.high + market.low + market.close) / 3.0


def true_range(market: Market) -> Floats:
    """Wilder's true range; the first bar has no close before it, so none."""
    out = np.full(len(market), np.nan)
    for t in range(1, len(market)):
        before = market.close[t - 1]
        out[t] = max(market.high[t], before) - min(market.low[t], before)
    return out


# Returns and averages.


def simple_return(market: Market, x: Floats, period: int = 1) -> Floats:
    return quotient(x - shifted(x, period), shifted(x, period))


def log_return(market: Market, x: Floats, period: int = 1) -> Floats:
    with np.errstate(all="ignore"):
        return defined(np.log(quotient(x, shifted(x, period))))


def sma(market: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, mean_of)


def ema(market: Market, x: Floats, period: int) -> Floats:
    return recursive_mean(x, period, 2.0 / (period + 1.0))


def wma(market: Market, x: Floats, period: int) -> Floats:
    weights = np.arange(1.0, period + 1.0)
    total = period * (period + 1) / 2
    return rolling(x, period, lambda w: math.fsum(w * weights) / total)


def sma_ratio(market: Market, x: Floats, period: int) -> Floats:
    return quotient(x, sma(market, x, period)) - 1.0


def ema_ratio(market: Market, x: Floats, period: int) -> Floats:
    return quotient(x, ema(market, x, period)) - 1.0


def wma_ratio(market: Market, x: Floats, period: int) -> Floats:
    return quotient(x, wma(market, x, period)) - 1.0


# Momentum.


def rsi(market: Market, x: Floats, period: int = 14) -> Floats:
    # A recursion goes on over a NaN as if the bar had not been: the change is from the last value that was one.
    change = np.full(len(x), np.nan)
    before = math.nan
    for t, value in enumerate(x):
        if not math.isnan(value):
            change[t] = value - before
            before = value
    up = wilder(np.where(np.isnan(change), np.nan, np.maximum(change, 0.0)), period)
    down = wilder(np.where(np.isnan(change), np.nan, np.maximum(-change, 0.0)), period)
    with np.errstate(all="ignore"):
        return np.where(up + down == 0.0, 50.0, 100.0 * up / (up + down))


def macd(
    market: Market, x: Floats, fast: int = 12, slow: int = 26, signal: int = 9
) -> Mapping[str, Floats]:
    line = ema(market, x, fast) - ema(market, x, slow)
    smooth = ema(market, line, signal)
    return together({"macd": line, "signal": smooth, "hist": line - smooth})


def stoch(market: Market, k: int = 14, slow_k: int = 3, slow_d: int = 3) -> Mapping[str, Floats]:
    raw = np.full(len(market), np.nan)
    for t in range(k - 1, len(market)):
        high = market.high[t - k + 1 : t + 1].max()
        low = market.low[t - k + 1 : t + 1].min()
        raw[t] = 50.0 if high == low else 100.0 * (market.close[t] - low) / (high - low)
    smooth = rolling(raw, slow_k, mean_of)
    return together({"k": smooth, "d": rolling(smooth, slow_d, mean_of)})


def cci(market: Market, period: int = 20) -> Floats:
    price = typical(market)

    def compute(window: Floats) -> float:
        mean = mean_of(window)
        spread = math.fsum(abs(v - mean) for v in window) / len(window)
        return 0.0 if np.ptp(window) == 0.0 else (window[-1] - mean) / (0.015 * spread)

    return rolling(price, period, compute)


def adx(market: Market, period: int = 14) -> Floats:
    """Wilder's own seed, as in TA-Lib: totals of one change less than the period, then each step adds one."""
    n = len(market)
    plus, minus = 0.0, 0.0
    out = np.full(n, np.nan)
    first: list[float] = []
    state = math.nan
    for t in range(1, n):
        up = market.high[t] - market.high[t - 1]
        down = market.low[t - 1] - market.low[t]
        keep = 1.0 if t < period else 1.0 - 1.0 / period
        plus = keep * plus + (up if up > down and up > 0.0 else 0.0)
        minus = keep * minus + (down if down > up and down > 0.0 else 0.0)
        if t < period:
            continue
        # The true range, which both are divided by, cancels in the directional index.
        moved = plus + minus > 0.0
        index = 100.0 * abs(plus - minus) / (plus + minus) if moved else math.nan
        if t < 2 * period:
            # Where nothing ever moved there is no direction.
            first.append(index if moved else 0.0)
            if t == 2 * period - 1:
                state = math.fsum(first) / period
                out[t] = state
        else:
            if moved:
                state += (index - state) / period
            out[t] = state
    return out


def mfi(market: Market, period: int = 14) -> Floats:
    price = typical(market)
    out = np.full(len(market), np.nan)
    for t in range(period, len(market)):
        bars = range(t - period + 1, t + 1)
        flow = [(price[i] - price[i - 1], price[i] * market.volume[i]) for i in bars]
        up = math.fsum(f for change, f in flow if change > 0.0)
        down = math.fsum(f for change, f in flow if change < 0.0)
        out[t] = 50.0 if up + down == 0.0 else 100.0 * up / (up + down)
    return out


# Volatility.


def atr(market: Market, period: int = 14) -> Floats:
    return wilder(true_range(market), period)


def atr_ratio(market: Market, period: int = 14) -> Floats:
    return atr(market, period) / market.close


def bbands(
    market: Market, x: Floats, period: int = 20, deviations: float = 2.0
) -> Mapping[str, Floats]:
    middle = sma(market, x, period)
    reach = deviations * stddev(market, x, period)
    upper, lower = middle + reach, middle - reach
    return {
        "upper": upper,
        "middle": middle,
        "lower": lower,
        "position": quotient(x - middle + reach, 2.0 * reach),
        "width": quotient(2.0 * reach, middle),
    }


def stddev(market: Market, x: Floats, period: int = 20) -> Floats:
    return rolling(x, period, deviation_of)


def realised_volatility(market: Market, x: Floats, period: int) -> Floats:
    return rolling(log_return(market, x), period, lambda w: deviation_of(w, ddof=1))


def bar_range(market: Market) -> Floats:
    return (market.high - market.low) / market.close


# Volume.


def obv(market: Market) -> Floats:
    """Sum of the volumes of rising bars less those of falling ones; as in TA-Lib the first bar's counts as rising."""
    out = np.full(len(market), np.nan)
    total = 0.0
    for t in range(len(market)):
        if t == 0 or market.close[t] > market.close[t - 1]:
            total += market.volume[t]
        elif market.close[t] < market.close[t - 1]:
            total -= market.volume[t]
        out[t] = total
    return out


def volume_zscore(market: Market, period: int) -> Floats:
    return zscore(market, market.volume, period)


def vwap_ratio(market: Market, period: int) -> Floats:
    price = typical(market)
    out = np.full(len(market), np.nan)
    for t in range(period - 1, len(market)):
        window = slice(t - period + 1, t + 1)
        volume = math.fsum(market.volume[window])
        if volume > 0.0:
            out[t] = market.close[t] / (math.fsum((price * market.volume)[window]) / volume) - 1.0
    return out


def taker_imbalance(market: Market) -> Floats:
    taker = market.taker_buy_volume
    with np.errstate(all="ignore"):
        share = 2.0 * taker / market.volume - 1.0
    return np.where(np.isnan(taker), np.nan, np.where(market.volume == 0.0, 0.0, share))


# Windows over any series.


def highest(market: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: max(w))


def lowest(market: Market, x: Floats, period: int) -> Floats:
    return rolling(x, period, lambda w: min(w))


def median(market: Market, x: Floats, period: int) -> Floats:
    def compute(window: Floats) -> float:
        order = sorted(window)
        return float(0.5 * (order[(period - 1) // 2] + order[period // 2]))

    return rolling(x, period, compute)


def rank(market: Market, x: Floats, period: int) -> Floats:
    def compute(window: Floats) -> float:
        below = sum(v < window[-1] for v in window)
        equal = sum(v == window[-1] for v in window[:-1])
        return float((below + 0.5 * equal) / (period - 1))

    return rolling(x, period, compute)


def zscore(market: Market, x: Floats, period: int) -> Floats:
    def compute(window: Floats) -> float:
        deviation = deviation_of(window)
        away = math.fsum(window[-1] - v for v in window) / period
        return math.nan if deviation == 0.0 else away / deviation

    return rolling(x, period, compute)


# The clock and plumbing.


def _turn(phase: Floats) -> Mapping[str, Floats]:
    return {"sin": np.sin(2.0 * np.pi * phase), "cos": np.cos(2.0 * np.pi * phase)}


def time_of_day(market: Market) -> Mapping[str, Floats]:
    return _turn((market.open_time % DAY) / DAY)


def time_of_week(market: Market) -> Mapping[str, Floats]:
    return _turn(((market.open_time - FIRST_MONDAY) % WEEK) / WEEK)


def lag(market: Market, x: Floats, bars: int) -> Floats:
    return shifted(x, bars)


def diff(market: Market, x: Floats, bars: int = 1) -> Floats:
    return x - shifted(x, bars)


def clip(market: Market, x: Floats, low: float, high: float) -> Floats:
    return np.array([v if math.isnan(v) else min(max(v, low), high) for v in x])


def ratio(market: Market, x: Floats, y: Floats) -> Floats:
    return quotient(x, y)


FUNCTIONS: dict[str, Callable[..., Outputs]] = {
    "simple_return": simple_return,
    "log_return": log_return,
    "sma": sma,
    "ema": ema,
    "wma": wma,
    "sma_ratio": sma_ratio,
    "ema_ratio": ema_ratio,
    "wma_ratio": wma_ratio,
    "rsi": rsi,
    "macd": macd,
    "stoch": stoch,
    "cci": cci,
    "adx": adx,
    "mfi": mfi,
    "atr": atr,
    "atr_ratio": atr_ratio,
    "bbands": bbands,
    "stddev": stddev,
    "realised_volatility": realised_volatility,
    "bar_range": bar_range,
    "obv": obv,
    "volume_zscore": volume_zscore,
    "vwap_ratio": vwap_ratio,
    "taker_imbalance": taker_imbalance,
    "max": highest,
    "min": lowest,
    "median": median,
    "rank": rank,
    "zscore": zscore,
    "time_of_day": time_of_day,
    "time_of_week": time_of_week,
    "lag": lag,
    "diff": diff,
    "clip": clip,
    "ratio": ratio,
}


# Longer clocks and other symbols.


def buckets(market: Market, length: int) -> Ints:
    """Opening time of the long bar that each bar belongs to."""
    anchor = FIRST_MONDAY if length % WEEK == 0 else 0
    return (market.open_time - anchor) // length * length + anchor


def longer(market: Market, interval: str) -> tuple[Market, Ints]:
    """Build the closed long bars, and say at which of the market's bars each becomes known."""
    length = LENGTHS[interval]
    bucket = buckets(market, length)
    rows: list[tuple[float, ...]] = []
    known: list[int] = []
    for begin in np.unique(bucket):
        inside = np.flatnonzero(bucket == begin)
        first, last = int(inside[0]), int(inside[-1])
        if first == 0 and market.open_time[0] >= begin + market.interval_ms:
            continue  # Its beginning is absent, and nothing tells what it was.
        if market.open_time[last] + market.interval_ms >= begin + length:
            closed = last
        elif last + 1 < len(market):
            closed = last + 1
        else:
            continue  # Still open.
        cut = slice(first, last + 1)
        rows.append(
            (
                begin,
                market.open[first],
                max(market.high[cut]),
                min(market.low[cut]),
                market.close[last],
                math.fsum(market.volume[cut]),
                np.nan
                if np.isnan(market.taker_buy_volume[cut]).any()
                else math.fsum(market.taker_buy_volume[cut]),
                math.fsum(market.trades[cut]),
            )
        )
        known.append(closed)
    columns = np.array(rows, dtype=np.float64).reshape(len(rows), 8)
    time = columns[:, 0].astype(np.int64)
    o, h, l, c, v, b, n = columns.T[1:].copy()  # noqa: E741
    funding = market.funding_time, market.funding_rate
    made = Market(time, o, h, l, c, v, b, interval, n, *funding, inside=market)
    return made, np.array(known, dtype=np.int64)


def held(values: Floats, known: Ints, n: int) -> Floats:
    """Last value known at each of `n` bars."""
    out = np.full(n, np.nan)
    for value, row in zip(values, known, strict=True):
        out[row:] = value
    return out


def same_time(values: Floats, theirs: Ints, ours: Ints) -> Floats:
    """Values of the other market's bars that open with ours."""
    at = dict(zip(theirs.tolist(), values, strict=True))
    return np.array([at.get(t, np.nan) for t in ours.tolist()], dtype=np.float64)


def last_before(values: Floats, theirs: Ints, ours: Ints) -> Floats:
    """Values of the other market's last bar that opened no later than ours."""
    out = np.full(len(ours), np.nan)
    for t, time in enumerate(ours):
        rows = np.flatnonzero(theirs <= time)
        if len(rows):
            out[t] = values[rows[-1]]
    return out
