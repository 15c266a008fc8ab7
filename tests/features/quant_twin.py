"""Slow twins of the functions for quantitative models, written from their definitions; see `twin`.

Here are those of liquidity, funding, sessions, pairs and stationarity, and the table of all.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from tests.features import quant_bars, quant_statistics, twin
from tests.features.markets import HOUR, Floats, Market
from tests.features.quant_parts import DAY, NOTHING, co_moments, growth, logs, over, rolled
from tests.features.twin import (
    Outputs,
    defined,
    deviation_of,
    mean_of,
    quotient,
    rolling,
    shifted,
    typical,
)

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
    place = quant_bars.of_range(m, (m.close - m.low) - (m.high - m.close), 0.0)
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


FUNCTIONS: dict[str, Callable[..., Outputs]] = quant_statistics.FUNCTIONS | quant_bars.FUNCTIONS | {
    f.__name__: f
    for f in (
        amihud, roll_spread, corwin_schultz, abdi_ranaldo, kyle_lambda, turnover, volume_share,
        volume_surprise, trade_size, trade_intensity, flow_imbalance, vpin, chaikin_money_flow,
        ease_of_movement, price_volume_trend, nvi, pvi, day_vwap_ratio, funding_rate,
        funding_change, funding_annual, funding_age, funding_to_next, funding_sum, funding_total,
        session, time_of_month, time_of_year, weekend, new_day, time_gap, covariance, regression,
        spread_zscore, lead_lag, relative_strength, tracking_error, frac_diff, cusum,
    )
}  # fmt: skip

twin.FUNCTIONS.update(FUNCTIONS)
