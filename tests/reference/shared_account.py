"""Slow twin of the shared account: section 7 of the execution contract, written from its text alone.

The account keeps its realised equity as one sum of money: fees are taken out of it when they are
paid, funding when it is settled, and the price part of a position when it ends. Each symbol is an
engine of `execution.py` whose steps are taken in the order of section 7.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .decisions import Signals
from .execution import PERIODS, RUIN, _Engine
from .metrics import Span, compute_metrics, daily_returns
from .records import NAN, Floats, Market, Order, Piece, Position, Rules

SLACK = 1e-12  # relative
NOTHING_LEFT = 1e-9  # share of the equity below which there is nothing left for an entry


@dataclass(frozen=True)
class Symbol:
    """What is given for one symbol."""

    market: Market
    signals: Signals
    rules: Mapping[str, Any]
    costs: Mapping[str, float]


@dataclass
class SharedOutcome:
    """What one run of a shared account gives; trades carry the number of their symbol."""

    trades: list[dict[str, object]]
    refused: list[dict[str, object]]
    times: list[int]
    equity: Floats
    realised: list[float]
    margins: list[float]
    notionals: list[float]
    parts: list[
        list[float]
    ]  # by step and symbol: what has come of it so far, open positions marked
    metrics: dict[str, float]
    daily_returns: Floats
    events: Counter[str] = field(default_factory=Counter)


class _Leg(_Engine):
    """One symbol of an account; the money is the account's."""

    def __init__(self, account: Account, number: int, symbol: Symbol, bars: range) -> None:
        rules = Rules(**symbol.rules)
        last = [bar + 1 == bars.stop for bar in bars]
        super().__init__(
            symbol.market,
            symbol.signals,
            symbol.costs,
            bars.start,
            [rules] * len(bars),
            last,
            account.initial,
        )
        self.account = account
        self.at = self.done_with = -1  # bar under way, and the last that is over
        self.number = number
        self.bars = bars
        self.booked = 0.0  # what its closed trades made
        self.price = NAN  # last price known of it
        self.refused = False
        self.entered_at: int | None = None

    # ---- steps, apart ------------------------------------------------------------------------

    def begin(self, j: int) -> None:
        """Open the bar."""
        self.finer = []
        self.piece = Piece(self.open[j], self.high[j], self.low[j], first=True, last=True)
        self.price = self.open[j]

    def leave(self, j: int, base: float) -> None:
        """Fill the pending exit."""
        if self.exit_reason is not None and self.position is not None:
            reason, self.exit_reason = self.exit_reason, None
            self.exit_taker(j, base, reason, base)

    def leave_at_close(self, j: int) -> None:
        """Fill the pending exit at the previous close."""
        self.leave(j, self.close[j - 1])

    def join(self, j: int, base: float) -> None:
        """Fill the pending market entry."""
        order, self.entry = self.entry, None
        if order is not None:
            price = base * (1.0 + order.side * self.slippage)
            if self.enter(j, order, price, self.taker, inside=False):
                self.events["entry_" + order.rules.fill] += 1

    def before_entries(self, j: int) -> None:
        """Steps 1, 2, the exits of 3, and 4."""
        self.carried = self.position
        for step in (self.charge_funding, self.liquidation_at_open):
            self.take(j, step)
        if not self.account.ruined and not self.fills_at_close():
            self.leave(j, self.open[j])
        self.take(j, self.levels_at_open)

    def due_at_open(self, j: int) -> Order | None:
        """Return the order that fills at this open."""
        if self.position is not None:
            return None
        if self.entry is not None:
            return self.entry
        order = self.limit
        if order is None or order.level is None or order.level <= 0.0:
            return None
        s, o = order.side, self.open[j]
        at_level = s * o <= s * order.level
        better = s * o < s * order.level
        return order if (at_level if j == order.first_bar else better) else None

    def after_entries(self, j: int) -> None:
        """Do the rest of the bar."""
        self.take(j, self.limit_entry, self.inside, self.at_close)
        if self.account.ruined:
            return
        if self.last[j - self.start]:
            self.entry = self.limit = self.last_exit = None
        else:
            self.decide(j)
        self.price = self.close[j]

    # ---- money -------------------------------------------------------------------------------

    def price_part(self, position: Position) -> float:
        """Gain of an open position at the last price known, capped at its margin."""
        move = position.side * position.quantity * (self.price - position.fill)
        return position.equity * max(move, -position.margin)

    def charge_funding(self, j: int) -> None:
        """Step 1; what is paid leaves the account at once."""
        self.before = self.position.funding if self.position is not None else 0.0
        position = self.position
        super().charge_funding(j)
        if position is not None and self.position is position:
            self.account.equity += position.equity * (position.funding - self.before)

    def left(self, position: Position, o: float) -> float:
        """Return what is left of the account, where funding was due."""
        account = self.account
        account.equity += position.equity * (position.funding - self.before)
        self.before = position.funding
        return account.worth()

    def enter(self, j: int, order: Order, fill: float, rate: float, *, inside: bool) -> bool:
        """Open a position if the account has room for it."""
        account = self.account
        self.equity = account.equity
        self.reason = account.full(self)
        entered = self.reason is None and super().enter(j, order, fill, rate, inside=inside)
        if entered and self.position is not None:
            position = self.position
            account.equity -= position.equity * position.entry_fee
            self.price, self.entered_at = fill, j
            return True
        if self.reason is not None:
            account.refuse(self, j, order, fill, self.reason)
        return False

    def capped(self, order: Order, notional: float, rate: float) -> float:
        """Cap an entry at what is free and at the room for notional."""
        account, leverage = self.account, order.rules.leverage
        for name, room in (
            ("free", account.free() * leverage / (1.0 + leverage * max(rate, 0.0))),
            ("max_gross", account.room()),
        ):
            # Equal but for rounding, as where one order takes all there is, it does not bind: where the order is too
            # small besides, rounding alone tells a void one from a refused one.
            left = room / account.equity
            self.events["caps_by_rounding"] += abs(left - notional) <= SLACK * notional
            if room / account.equity < notional * (1.0 - SLACK):
                notional, self.reason = room / account.equity, name
                self.events["capped_" + name] += 1
        return notional

    def record(
        self,
        j: int,
        position: Position,
        price: float,
        unit: float,
        exit_fee: float,
        reason: str,
        at_open: float | None,
    ) -> None:
        """Write down a trade, in the order of the account."""
        super().record(j, position, price, unit, exit_fee, reason, at_open)
        tags = {"symbol": self.number, "equity": position.equity}
        self.account.trades.append({**tags, **self.trades[-1]})

    def settle(
        self, j: int, price: float, unit: float, exit_fee: float, reason: str, at_open: float | None
    ) -> None:
        """Book a trade into the account; what is left below the bound of ruin is lost too."""
        position, account = self.position, self.account
        assert position is not None
        nothing = reason == "liquidation" and unit == -1.0
        before = position.equity
        if not nothing:
            account.equity += before * (unit + position.entry_fee - position.funding)
        self.position, self.last_exit = None, j
        self.exit_reason = None
        worth = account.worth()
        if nothing or worth < RUIN * account.initial:
            self.events["ruin"] += 1
            account.ruin(self, j, position, price, exit_fee, reason, at_open)
            return
        self.booked += before * unit
        self.record(j, position, price, unit, exit_fee, reason, at_open)

    def end_in_ruin(self) -> None:
        """Close an open position at the last price known, because the account is ruined."""
        position = self.position
        if position is None:
            return
        self.position = None
        pnl = self.price_part(position) + position.equity * (position.funding - position.entry_fee)
        self.booked += pnl
        j = self.at
        at_open: float | None = self.price
        if self.price == self.close[j] and self.done_with == j:
            at_open = None
        self.record(j, position, self.price, pnl / position.equity, 0.0, "liquidation", at_open)
        if at_open is None:
            # What it is worth is known at the close.
            for trade in (self.trades[-1], self.account.trades[-1]):
                trade["exit_time"] = int(self.market.open_time[j]) + self.market.interval_ms


class Account:
    """One equity for several symbols."""

    def __init__(
        self,
        symbols: Sequence[Symbol],
        max_positions: int | None,
        max_gross: float | None,
        window: tuple[int, int] | None,
        initial: float,
    ) -> None:
        self.initial = self.equity = initial  # realised
        self.max_positions, self.max_gross = max_positions, max_gross
        self.ruined = False
        self.refusals: list[dict[str, object]] = []
        self.trades: list[dict[str, object]] = []
        self.legs: list[_Leg] = []
        for number, symbol in enumerate(symbols):
            times = [int(t) for t in symbol.market.open_time]
            inside = [
                k for k, t in enumerate(times) if window is None or window[0] <= t < window[1]
            ]
            bars = range(inside[0], inside[-1] + 1) if inside else range(0)
            self.legs.append(_Leg(self, number, symbol, bars))

    def held(self) -> list[tuple[_Leg, Position]]:
        """Open positions with their symbols."""
        return [(leg, leg.position) for leg in self.legs if leg.position is not None]

    def margins(self) -> float:
        """Margins in use."""
        return sum(position.equity * position.margin for _, position in self.held())

    def notionals(self) -> float:
        """Notionals in use."""
        return sum(position.equity * position.notional for _, position in self.held())

    def free(self) -> float:
        """What is left for margins and fees."""
        return self.equity - self.margins()

    def room(self) -> float:
        """What is left for notionals."""
        if self.max_gross is None:
            return float("inf")
        return self.max_gross * self.equity - self.notionals()

    def worth(self) -> float:
        """Realised equity and every price part, capped at its margin."""
        return self.equity + sum(leg.price_part(position) for leg, position in self.held())

    def marked(self) -> float:
        """Step 9."""
        if self.ruined:
            return 0.0
        gains = sum(
            position.equity * position.side * position.quantity * (leg.price - position.fill)
            for leg, position in self.held()
        )
        return max(self.equity + gains, 0.0)

    def full(self, leg: _Leg) -> str | None:
        """Return why nothing can be entered."""
        if self.max_positions is not None and len(self.held()) >= self.max_positions:
            return "max_positions"
        if self.equity <= 0.0 or self.free() < NOTHING_LEFT * self.equity:
            return "free"
        if self.room() < NOTHING_LEFT * self.equity:
            return "max_gross"
        return None

    def refuse(self, leg: _Leg, j: int, order: Order, fill: float, reason: str) -> None:
        """Write down an entry that was refused."""
        self.refusals.append(
            {
                "symbol": leg.number,
                "side": order.side,
                "signal_bar": order.signal_bar - leg.start,
                "bar": j - leg.start,
                "price": fill,
                "reason": reason,
            }
        )

    def ruin(
        self,
        leg: _Leg,
        j: int,
        position: Position,
        price: float,
        exit_fee: float,
        reason: str,
        at_open: float | None,
    ) -> None:
        """End everything: the trade that ruined the account takes what the others leave."""
        self.ruined = True
        others = 0.0
        for other, held in self.held():
            others += other.price_part(held)
            others += held.equity * (held.funding - held.entry_fee)
        booked = sum(each.booked for each in self.legs)
        pnl = -(self.initial + booked + others)
        leg.booked += pnl
        leg.record(j, position, price, pnl / position.equity, exit_fee, reason, at_open)
        for other in self.legs:
            other.end_in_ruin()
            other.ruined = True
        self.equity = 0.0


def order_excess(order: Order) -> float:
    """How far the signal of an order lies above its threshold."""
    threshold = order.rules.entry_long if order.side > 0 else order.rules.entry_short
    assert threshold is not None
    return order.p - threshold


def enter_in_order(due: list[tuple[Order, _Leg, int, float | None]]) -> None:
    """Fill entries by larger excess, then by symbol; without a base price at the open."""
    for _, leg, j, base in sorted(due, key=lambda one: (-order_excess(one[0]), one[1].number)):
        if leg.account.ruined:
            return
        if base is not None:
            leg.join(j, base)
        else:
            leg.limit_entry(j)


def step(account: Account, bars: list[tuple[_Leg, int]]) -> None:
    """One time step: the symbols that have a bar, in symbol order."""
    for leg, j in bars:
        leg.begin(j)
        leg.at = j
    closing = [(leg, j) for leg, j in bars if leg.fills_at_close()]
    for leg, j in closing:
        leg.take(j, leg.leave_at_close)
    enter_in_order(
        [
            (leg.entry, leg, j, leg.close[j - 1])
            for leg, j in closing
            if leg.entry is not None and not account.ruined
        ]
    )
    for leg, j in bars:
        # Filled at the previous close: what it knew then is the open's price from here on.
        leg.price = leg.open[j]
    for leg, j in bars:
        leg.take(j, leg.before_entries)
    due = [(leg.due_at_open(j), leg, j) for leg, j in bars if not account.ruined]
    enter_in_order(
        [
            (order, leg, j, leg.open[j] if leg.entry is not None else None)
            for order, leg, j in due
            if order is not None
        ]
    )
    for leg, j in bars:
        leg.take(j, leg.after_entries)
        leg.done_with = j


def run_shared(
    symbols: Sequence[Symbol],
    *,
    max_positions: int | None = None,
    max_gross: float | None = None,
    window: tuple[int, int] | None = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
) -> SharedOutcome:
    """Run one account over the union of its symbols' times in ``window`` (open times, end excluded)."""
    account = Account(symbols, max_positions, max_gross, window, initial_equity)
    bar_at = [{int(leg.market.open_time[j]): j for j in leg.bars} for leg in account.legs]
    times = sorted({time for bars in bar_at for time in bars})
    marks, parts = [], []
    realised, margins, notionals = [], [], []
    for time in times:
        if not account.ruined:
            here = [
                (leg, bars[time])
                for leg, bars in zip(account.legs, bar_at, strict=True)
                if time in bars
            ]
            step(account, here)
        marks.append(account.marked())
        realised.append(account.equity)
        margins.append(account.margins())
        notionals.append(account.notionals())
        parts.append([part(leg) for leg in account.legs])
    held = [leg for leg in account.legs if len(leg.bars)]
    growth = [leg.close[leg.bars[-1]] / leg.open[leg.bars[0]] for leg in held]
    market = symbols[0].market
    span = Span(
        start_ms=times[0],
        length_ms=times[-1] + market.interval_ms - times[0],
        bars=len(times),
        growth=sum(growth) / len(growth),
        periods_per_year=PERIODS[market.kind] if periods_per_year is None else periods_per_year,
    )
    equity = np.array(marks)
    days = daily_returns(np.array(times), equity, initial_equity)
    events: Counter[str] = Counter()
    for leg in account.legs:
        events.update(leg.events)
    return SharedOutcome(
        account.trades,
        account.refusals,
        times,
        equity,
        realised,
        margins,
        notionals,
        parts,
        compute_metrics(account.trades, equity, days, initial_equity, span),
        days,
        events,
    )


def part(leg: _Leg) -> float:
    """What has come of a symbol so far, its open position marked."""
    position = leg.position
    if position is None:
        return leg.booked
    move = position.side * position.quantity * (leg.price - position.fill)
    return leg.booked + position.equity * (move + position.funding - position.entry_fee)
