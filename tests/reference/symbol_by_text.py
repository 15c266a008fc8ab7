"""One symbol of a shared account: its bars and rules, what it decides at a close, what it holds and orders.

Half of the twin in `shared_by_text.py`, written from the same text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

NAN = math.nan


@dataclass
class Rules:
    """The rules of one symbol, with the defaults of the contract."""

    entry_long: float | None = None
    entry_short: float | None = None
    exit_long: float | None = None
    exit_short: float | None = None
    short_gate: float | None = None
    reverse: bool = False
    stop_loss: float | None = None
    take_profit: float | None = None
    stop_loss_kind: str = "price"
    take_profit_kind: str = "price"
    atr_period: int = 14
    take_profit_order: str = "limit"
    trailing: float | None = None
    break_even: float | None = None
    break_even_offset: float = 0.0
    max_hold: int | None = None
    cooldown: int = 0
    entry: str = "market"
    limit_offset: float = 0.0
    limit_bars: int = 1
    fill: str = "next_open"
    intrabar: str = "pessimistic"
    leverage: float = 1.0
    sizing: str = "fraction"
    fraction: float = 1.0
    size_min: float = 0.0
    notional: float | None = None
    risk: float | None = None
    vol_target: float | None = None
    vol_window: int = 288


@dataclass
class Market:
    """One symbol: bars by open time in seconds, signal arrays, funding, the contract's numbers, its rules."""

    time: list[int]
    open: list[float]
    high: list[float]
    low: list[float]
    close: list[float]
    rules: Rules
    interval: int = 3600
    signals: dict[str, list[float]] = field(default_factory=dict)
    funding: list[tuple[int, float]] = field(default_factory=list)
    maintenance: float = 0.005
    lot: float = 0.0
    min_notional: float = 0.0


@dataclass
class Costs:
    """Fee rates of takers and makers, and slippage of takers."""

    taker: float
    maker: float
    slippage: float = 0.0


def atr(market: Market, period: int) -> list[float]:
    """Wilder's average true range: the first `period` ranges' mean, from the second bar on."""
    out = [NAN] * len(market.close)
    ranges: list[float] = []
    value = NAN
    for j in range(1, len(out)):
        before = market.close[j - 1]
        h, low = market.high[j], market.low[j]
        ranges.append(max(h - low, abs(h - before), abs(low - before)))
        if j == period:
            value = sum(ranges) / period
        elif j > period:
            value = (value * (period - 1) + ranges[-1]) / period
        out[j] = value
    return out


def volatility(market: Market, window: int) -> list[float]:
    """Yearly deviation of the last `window` log returns."""
    out = [NAN] * len(market.close)
    logs = [math.log(b / a) for a, b in zip(market.close, market.close[1:], strict=False)]
    for j in range(window, len(out)):
        last = logs[j - window : j]
        mean = math.fsum(last) / window
        variance = math.fsum((x - mean) ** 2 for x in last) / (window - 1)
        out[j] = math.sqrt(variance) * math.sqrt(365 * 86400 / market.interval)
    return out


class Symbol:
    """What one symbol holds and has ordered."""

    def __init__(self, name: str, rank: int, market: Market) -> None:
        self.name = name
        self.rank = rank
        self.m = market
        self.r = market.rules
        self.at = {t: j for j, t in enumerate(market.time)}
        self.position: dict[str, Any] | None = None
        self.exit_queued: str | None = None
        self.entry_queued: dict[str, Any] | None = None
        self.limit: dict[str, Any] | None = None
        self.last_exit: int | None = None
        self.price = NAN  # last price seen: the open or the close of the last bar
        needs_atr = "atr" in (
            self.r.stop_loss_kind if self.r.stop_loss else "",
            self.r.take_profit_kind if self.r.take_profit else "",
        )
        self.atr = atr(market, self.r.atr_period) if needs_atr else None
        self.vol = volatility(market, self.r.vol_window) if self.r.sizing == "volatility" else None

    def value(self, name: str, j: int) -> float:
        """Value of a signal array at bar j; NaN where there is none."""
        array = self.m.signals.get(name)
        return NAN if array is None else array[j]

    # -- step 8: which side, if any --------------------------------------------------------------

    def fraction_at(self, j: int, p: float, threshold: float) -> float:
        """Size fraction f as far as the signal bar tells it (risk: known only at the fill)."""
        r = self.r
        if r.sizing == "confidence":
            if threshold == 1:
                return r.fraction
            return r.size_min + (r.fraction - r.size_min) * (p - threshold) / (1 - threshold)
        if r.sizing == "signal":
            return r.fraction * self.value("size", j)
        if r.sizing == "volatility":
            assert self.vol is not None and r.vol_target is not None
            v = self.vol[j]
            return r.fraction if v == 0 else min(r.fraction, r.vol_target / (v * r.leverage))
        return r.fraction

    def qualifies(self, j: int, side: int) -> float | None:
        """p of the side if it qualifies at the close of bar j."""
        r = self.r
        threshold = r.entry_long if side > 0 else r.entry_short
        p = self.value("long" if side > 0 else "short", j)
        if threshold is None or not p >= threshold:
            return None
        if self.atr is not None and math.isnan(self.atr[j]):
            return None
        if (
            r.stop_loss is not None
            and r.stop_loss_kind == "signal"
            and not self.value("stop", j) > 0
        ):
            return None
        if (
            r.take_profit is not None
            and r.take_profit_kind == "signal"
            and not self.value("target", j) > 0
        ):
            return None
        if r.sizing == "signal" and not self.value("size", j) > 0:
            return None
        if self.vol is not None and math.isnan(self.vol[j]):
            return None
        if not self.fraction_at(j, p, threshold) > 0:
            return None
        return p

    def choose(self, j: int) -> dict[str, Any] | None:
        """Decide the side of an entry at the close of bar j, with what its fill must know."""
        r = self.r
        long, short = self.qualifies(j, 1), self.qualifies(j, -1)
        if r.short_gate is not None:
            if short is not None:
                against = self.value("long", j)
                if math.isnan(against):
                    against = -math.inf
                if not short - against >= r.short_gate:
                    short = None
            if short is not None:
                long = None
        elif long is not None and short is not None:
            above_long = long - r.entry_long  # type: ignore[operator]
            above_short = short - r.entry_short  # type: ignore[operator]
            if above_long == above_short:
                return None
            if above_long > above_short:
                short = None
            else:
                long = None
        if long is None and short is None:
            return None
        side, p = (1, long) if long is not None else (-1, short)
        threshold = r.entry_long if side > 0 else r.entry_short
        assert p is not None and threshold is not None
        return {
            "side": side,
            "bar": j,
            "p": p,
            "excess": p - threshold,
            "f": self.fraction_at(j, p, threshold),
        }

    # -- levels ----------------------------------------------------------------------------------

    def stop_in_force(self) -> tuple[float, str] | None:
        """Most favourable of stop, break-even and trailing level; levels not above zero never fire."""
        pos = self.position
        assert pos is not None
        best: tuple[float, str] | None = None
        for reason in ("stop", "breakeven", "trail"):
            level = pos[reason]
            if level is None or level <= 0:
                continue
            if best is None or pos["side"] * level > pos["side"] * best[0]:
                best = (level, reason)
        return best
