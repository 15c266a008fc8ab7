"""What the slow twin of the execution contract passes around: candles, rules, orders, positions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
NAN = math.nan


@dataclass(frozen=True)
class Market:
    """Candles with their instrument; times in ms UTC."""

    open_time: NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    interval_ms: int
    kind: str
    maintenance: float = 0.005
    lot: float = 0.0
    min_notional: float = 0.0
    funding_time: NDArray[np.int64] | None = None
    funding_rate: Floats | None = None
    finer: Market | None = None  # candles of the same symbol and a shorter interval


@dataclass(frozen=True, eq=False)
class Piece:
    """What steps 2, 4, 5 and 6 go through: a bar, or one of the finer bars inside it."""

    open: float
    high: float
    low: float
    first: bool  # opens with its bar
    last: bool


@dataclass(frozen=True)
class Rules:
    """Every field of section 1 with its default."""

    entry_long: float | None = None
    entry_short: float | None = None
    exit_long: float | None = None
    exit_short: float | None = None
    short_gate: float | None = None
    reverse: bool = False
    stop_loss: float | None = None
    stop_loss_kind: str = "price"
    take_profit: float | None = None
    take_profit_kind: str = "price"
    take_profit_order: str = "limit"
    atr_period: int = 14
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
    notional: float = NAN
    risk: float = NAN
    vol_target: float = NAN
    vol_window: int = 288


@dataclass
class Order:
    """An entry decided at the close of `signal_bar`; `level` is set for a limit order."""

    side: int
    rules: Rules
    signal_bar: int
    p: float
    level: float | None = None

    @property
    def first_bar(self) -> int:
        """First bar in which the order may fill."""
        return self.signal_bar + 1

    @property
    def last_bar(self) -> int:
        """Last bar in which a limit order may fill."""
        return self.signal_bar + self.rules.limit_bars


@dataclass
class Position:
    """An open position; quantity, notional, margin, fees and funding are per unit of `equity`."""

    side: int
    rules: Rules
    signal_bar: int
    p: float
    entry_bar: int
    fill: float
    equity: float
    fraction: float
    quantity: float
    notional: float
    margin: float
    entry_fee: float
    stop: float | None
    target: float | None
    liquidation: float
    inside: bool  # a limit entry filled after the open of its bar
    inside_of: Piece | None  # what a limit entry filled inside of, not at its open
    extreme: float
    trail: float | None = None
    even: float | None = None
    funding: float = 0.0
    ambiguous: bool = False
    ambiguous_trail: bool = False

    def reached(self, level: float, price: float) -> bool:
        """Whether `price` is at `level` or worse."""
        return level > 0.0 and self.side * price <= self.side * level

    def exceeded(self, level: float, price: float) -> bool:
        """Whether `price` executes the target at `level`."""
        if level <= 0.0:
            return False
        if self.rules.take_profit_order == "market":
            return self.side * price >= self.side * level
        return self.side * price > self.side * level

    def stop_in_force(self) -> tuple[float, str] | None:
        """Most favourable of stop, break-even and trailing level, with its reason."""
        best: tuple[float, str] | None = None
        for level, reason in ((self.stop, "stop"), (self.even, "breakeven"), (self.trail, "trail")):
            if level is not None and (best is None or self.side * level > self.side * best[0]):
                best = (level, reason)
        return best
