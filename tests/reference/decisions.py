"""Step 8 of the execution contract, slowly: which side enters, with what size and levels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from .records import NAN, Floats, Market, Order, Rules

Signals = Mapping[str, Any]
YEAR_MS = 365.25 * 86_400_000.0


def wilder_atr(market: Market, period: int) -> Floats:
    """Average true range; first value at candle `period`, NaN before."""
    n = len(market.close)
    out = np.full(n, NAN)
    ranges = [NAN]
    for i in range(1, n):
        before = float(market.close[i - 1])
        high, low = float(market.high[i]), float(market.low[i])
        ranges.append(max(high - low, abs(high - before), abs(low - before)))
    if n <= period:
        return out
    total = 0.0
    for i in range(1, period + 1):
        total += ranges[i]
    value = total / period
    out[period] = value
    for i in range(period + 1, n):
        value = (value * (period - 1) + ranges[i]) / period
        out[i] = value
    return out


def bars_a_year(market: Market) -> float:
    """Bars in a year, by which volatility is annualised."""
    if market.kind in ("spot", "perpetual"):
        return 365.0 * 86_400_000.0 / market.interval_ms
    last_close = int(market.open_time[-1]) + market.interval_ms
    years = (last_close - int(market.open_time[0])) / YEAR_MS
    return len(market.close) / years


def annual_volatility(market: Market, bar: int, window: int) -> float:
    """Volatility of the last `window` log returns up to `bar`; NaN where there are fewer."""
    if bar < window:
        return NAN
    closes = market.close[bar - window : bar + 1]
    returns = np.log(closes[1:] / closes[:-1])
    return float(np.std(returns, ddof=1)) * math.sqrt(bars_a_year(market))


class Decisions:
    """Entry decisions on one market with its signals; keeps nothing but its ATRs."""

    def __init__(self, market: Market, signals: Signals, events: Counter[str]) -> None:
        self.market = market
        self.signals = signals
        self.events = events
        self.atr: dict[int, Floats] = {}

    def signal(self, name: str, j: int) -> float:
        """Value of an array at the close of bar j; NaN where there is none."""
        values = self.signals.get(name)
        return NAN if values is None else float(values[j])

    def atr_at(self, j: int, period: int) -> float:
        """ATR of the candles at bar j."""
        if period not in self.atr:
            self.atr[period] = wilder_atr(self.market, period)
        return float(self.atr[period][j])

    def candidate(self, side: int, j: int, rules: Rules) -> Order | None:
        """Return the order of a side that qualifies at the close of bar j, short gate aside."""
        threshold = rules.entry_long if side > 0 else rules.entry_short
        p = self.signal("long" if side > 0 else "short", j)
        if threshold is None or not p >= threshold:
            return None
        order = Order(side, rules, j, p)
        kinds = [rules.stop_loss_kind] if rules.stop_loss is not None else []
        kinds += [rules.take_profit_kind] if rules.take_profit is not None else []
        missing = "atr" in kinds and math.isnan(self.atr_at(j, rules.atr_period))
        if rules.stop_loss is not None and rules.stop_loss_kind == "signal":
            missing |= not self.signal("stop", j) > 0.0
        if rules.take_profit is not None and rules.take_profit_kind == "signal":
            missing |= not self.signal("target", j) > 0.0
        if rules.sizing == "signal":
            missing |= not self.signal("size", j) > 0.0
        if rules.sizing == "volatility":
            missing |= math.isnan(annual_volatility(self.market, j, rules.vol_window))
        # The sign of f does not depend on the fill, so the close stands in for it.
        if missing or not self.size_fraction(order, float(self.market.close[j])) > 0.0:
            self.events["entry_not_qualified"] += 1
            return None
        return order

    def choose(self, j: int, rules: Rules) -> Order | None:
        """Return the order of step 8, whatever is open, pending or cooling down."""
        long = self.candidate(1, j, rules)
        short = self.candidate(-1, j, rules)
        if rules.short_gate is not None:
            p_long = self.signal("long", j)
            if math.isnan(p_long):
                p_long = -math.inf
            if short is not None and short.p - p_long >= rules.short_gate:
                self.events["short_gate_win" if long else "short_gate_pass"] += 1
                return short
            self.events["short_gate_fail"] += short is not None
            return long
        if long is None or short is None:
            return long or short
        assert rules.entry_long is not None
        assert rules.entry_short is not None
        excess_long, excess_short = long.p - rules.entry_long, short.p - rules.entry_short
        if excess_long == excess_short:
            self.events["both_equal_none"] += 1
            return None
        self.events["both_larger_wins"] += 1
        return long if excess_long > excess_short else short

    def size_fraction(self, order: Order, fill: float) -> float:
        """Size fraction f of an order that fills at `fill`."""
        rules, j = order.rules, order.signal_bar
        if rules.sizing == "confidence":
            threshold = rules.entry_long if order.side > 0 else rules.entry_short
            assert threshold is not None
            if threshold == 1.0:
                self.events["confidence_at_threshold_one"] += 1
                return rules.fraction
            share = (order.p - threshold) / (1.0 - threshold)
            return rules.size_min + (rules.fraction - rules.size_min) * share
        if rules.sizing == "signal":
            return rules.fraction * self.signal("size", j)
        if rules.sizing == "risk":
            assert rules.stop_loss is not None
            d = self.distance(order, rules.stop_loss, rules.stop_loss_kind, "stop", fill, NAN)
            if d == 0.0:
                self.events["risk_without_distance"] += 1
                return rules.fraction
            return min(rules.risk / (rules.leverage * d), rules.fraction)
        if rules.sizing == "volatility":
            v = annual_volatility(self.market, j, rules.vol_window)
            if v == 0.0:
                self.events["volatility_zero"] += 1
                return rules.fraction
            return min(rules.vol_target / (v * rules.leverage), rules.fraction)
        return rules.fraction

    def distance(
        self, order: Order, value: float, kind: str, array: str, fill: float, f: float
    ) -> float:
        """Distance of a stop or target as a fraction of the entry fill."""
        if kind == "equity":
            return value / (f * order.rules.leverage)
        if kind == "atr":
            return value * self.atr_at(order.signal_bar, order.rules.atr_period) / fill
        if kind == "signal":
            return value * self.signal(array, order.signal_bar)
        return value
