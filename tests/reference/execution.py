"""Slow twin of the execution contract: bar after bar, one method per step of section 2.

Written from the text of EXECUTION.md alone. Money inside a trade is per unit of the equity `E` at
its entry (section 3); bars inside the engine are indices into the candles, those in the records
count from the start of the window.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .decisions import Decisions, Signals
from .metrics import Span, compute_metrics, daily_returns, pool_metrics
from .records import Floats, Market, Order, Piece, Position, Rules

__all__ = ["Market", "Outcome", "pool", "run", "run_schedule"]

Segment = tuple[int, Mapping[str, Any]]

PERIODS = {"spot": 365.0, "perpetual": 365.0, "equity": 252.0, "fx": 260.0}
RUIN = 1e-9  # share of the initial equity below which an account is empty
LOT_ROUNDING = 1e-9  # lots from a whole number of them
SAME_PRICE = 1e-6  # relative; within it finer candles show the price of a bar


def finer_pieces(market: Market, j: int) -> list[Piece]:
    """Finer bars inside bar j (section 7); none where they do not make up the bar."""
    finer = market.finer
    if finer is None:
        return []
    begin = int(market.open_time[j])
    since = finer.open_time - begin
    inside = [int(k) for k in np.flatnonzero((since >= 0) & (since < market.interval_ms))]
    if not inside:
        return []
    made = {
        "open": finer.open[inside[0]],
        "high": max(finer.high[k] for k in inside),
        "low": min(finer.low[k] for k in inside),
        "close": finer.close[inside[-1]],
    }
    for name, price in made.items():
        shown = float(getattr(market, name)[j])
        if abs(float(price) - shown) > SAME_PRICE * shown:
            return []
    return [
        Piece(
            float(finer.open[k]),
            float(finer.high[k]),
            float(finer.low[k]),
            first=k == inside[0],
            last=k == inside[-1],
        )
        for k in inside
    ]


@dataclass
class Outcome:
    """What one run over one window gives."""

    trades: list[dict[str, object]]
    equity: Floats
    metrics: dict[str, float]
    daily_returns: Floats
    initial_equity: float
    span: Span
    events: Counter[str] = field(default_factory=Counter)
    not_on_finer: int = 0  # bars run on themselves


class _Engine:
    """State of one run; `rules` and `last` say of each bar its rules and whether it ends a run."""

    def __init__(
        self,
        market: Market,
        signals: Signals,
        costs: Mapping[str, float],
        start: int,
        rules: Sequence[Rules | None],
        last: Sequence[bool],
        initial_equity: float,
    ) -> None:
        self.market = market
        self.events: Counter[str] = Counter()
        self.decisions = Decisions(market, signals, self.events)
        self.taker = costs["taker"]
        self.slippage = costs.get("slippage", 0.0)
        self.maker = costs.get("maker", self.taker)
        self.start = start
        self.rules = rules
        self.last = last
        self.initial = initial_equity
        self.equity = initial_equity
        self.position: Position | None = None
        self.carried: Position | None = None
        self.exit_reason: str | None = None  # of a market exit pending for the next open
        self.entry: Order | None = None  # a market entry pending for the next open
        self.limit: Order | None = None
        self.last_exit: int | None = None
        self.ruined = False
        self.trades: list[dict[str, object]] = []
        times = market.funding_time
        self.funding_times = [] if times is None else [(int(t) + 500) // 1000 * 1000 for t in times]
        self.open = [float(x) for x in market.open]
        self.high = [float(x) for x in market.high]
        self.low = [float(x) for x in market.low]
        self.close = [float(x) for x in market.close]
        bars = range(start, start + len(rules))
        self.pieces = [finer_pieces(market, bar) for bar in bars]
        self.finer: list[Piece] = []  # those that the bar is run on
        self.piece = Piece(0.0, 0.0, 0.0, first=True, last=True)

    # ---- the bar -----------------------------------------------------------------------------

    def run(self) -> Floats:
        """Every bar of the window; the marked equities."""
        marks = np.zeros(len(self.rules))
        for bar in range(self.start, self.start + len(self.rules)):
            self.bar(bar)
            marks[bar - self.start] = self.mark(bar)
        return marks

    def bar(self, j: int) -> None:
        """Run steps 1 to 8 of section 2; after ruin nothing is left to do."""
        if self.ruined:
            return
        whole = Piece(self.open[j], self.high[j], self.low[j], first=True, last=True)
        self.finer, self.piece = self.pieces[j - self.start], whole
        at_close = self.fills_at_close()
        if at_close:
            self.pending_orders(j, self.close[j - 1])
        self.carried = self.position
        self.take(j, self.charge_funding, self.liquidation_at_open, self.pending_at_open)
        for piece in self.finer or [whole]:
            self.piece = piece
            if not piece.first:
                self.carried = self.position
            self.take(
                j, self.liquidation_at_open, self.levels_at_open, self.limit_entry, self.inside
            )
        self.take(j, self.at_close)
        if self.last[j - self.start]:
            self.entry = self.limit = self.last_exit = None
        elif not self.ruined:
            self.decide(j)

    def take(self, j: int, *steps: Callable[[int], None]) -> None:
        """Take steps until ruin."""
        for step in steps:
            if not self.ruined:
                step(j)

    def seen_at_open(self) -> float | None:
        """Price that the record of an exit at the open of a piece shows of its bar; None: all of it."""
        return self.piece.open if self.piece.first else None

    def fills_at_close(self) -> bool:
        """Whether what is pending fills at the close of its signal bar."""
        if self.entry is not None:
            return self.entry.rules.fill == "close"
        if self.exit_reason is not None and self.position is not None:
            return self.position.rules.fill == "close"
        return False

    def charge_funding(self, j: int) -> None:
        """Step 1: funding due since the open of the last bar, and the liquidation it may cause."""
        position = self.carried
        rates = self.market.funding_rate
        if position is None or rates is None or self.market.kind != "perpetual":
            return
        o = self.open[j]
        until = int(self.market.open_time[j])
        since = until - 1 if position.entry_bar == j else int(self.market.open_time[j - 1])
        due = False
        for time, rate in zip(self.funding_times, rates, strict=True):
            if since < time <= until:
                position.funding -= position.side * float(rate) * position.quantity * o
                self.events["funding" if position.entry_bar < j else "funding_entry_at_close"] += 1
                self.events["funding_twice_in_bar"] += due
                due = True
        if due and self.left(position, o) <= 0.0:
            self.events["liquidation_funding"] += 1
            self.settle(j, o, -1.0, 0.0, "liquidation", o)

    def left(self, position: Position, o: float) -> float:
        """Return what funding has left of the account, per unit of the equity at entry."""
        price_part = position.side * position.quantity * (o - position.fill)
        return 1.0 - position.entry_fee + position.funding + max(price_part, -position.margin)

    def liquidation_at_open(self, j: int) -> None:
        """Step 2."""
        position = self.position
        if position is None or position is not self.carried:
            return
        if not position.reached(position.liquidation, self.piece.open):
            return
        self.events["liquidation_open"] += 1
        self.events["finer_liquidation_open"] += not self.piece.first
        self.events["liquidation_open_exit_pending"] += self.exit_reason is not None
        self.events["liquidation_open_reverse_pending"] += self.entry is not None
        self.liquidate(j, self.seen_at_open())
        self.exit_reason = None

    def pending_at_open(self, j: int) -> None:
        """Step 3 at the open; what fills at the previous close has filled before."""
        self.pending_orders(j, self.open[j])

    def pending_orders(self, j: int, base: float) -> None:
        """Fill the pending exit, then the pending entry, at `base`."""
        if self.exit_reason is not None and self.position is not None:
            reason, self.exit_reason = self.exit_reason, None
            self.exit_taker(j, base, reason, base)
        order, self.entry = self.entry, None
        if order is not None and not self.ruined:
            fill = base * (1.0 + order.side * self.slippage)
            if self.enter(j, order, fill, self.taker, inside=False):
                self.events["entry_" + order.rules.fill] += 1

    def levels_at_open(self, j: int) -> None:
        """Step 4: stop in force, then target, at the open of a carried position."""
        position = self.position
        if position is None or position is not self.carried:
            return
        o = self.piece.open
        stop = position.stop_in_force()
        if stop is not None and position.reached(stop[0], o):
            self.events[stop[1] + "_open"] += 1
            self.events["finer_stop_open"] += not self.piece.first
            self.exit_taker(j, o, stop[1], self.seen_at_open())
        elif position.target is not None and position.exceeded(position.target, o):
            self.events["take_open"] += 1
            self.events["finer_take_open"] += not self.piece.first
            self.exit_target(j, self.seen_at_open())

    def limit_entry(self, j: int) -> None:
        """Step 5."""
        order = self.limit
        if order is None or order.level is None or self.position is not None:
            return
        s, level, o = order.side, order.level, self.piece.open
        extreme = self.piece.low if s > 0 else self.piece.high
        first_valid = j == order.first_bar and self.piece.first
        if level > 0.0 and first_valid and s * o <= s * level:
            price = o * (1.0 + s * self.slippage)
            capped = s * price > s * level
            self.fill_limit(j, order, level if capped else price, self.taker, "limit_marketable")
            self.events["limit_marketable_capped"] += capped
        elif level > 0.0 and not first_valid and s * o < s * level:
            self.fill_limit(j, order, level, self.maker, "limit_open")
        elif level > 0.0 and s * extreme < s * level:
            self.fill_limit(j, order, level, self.maker, "limit_inside")
        elif j >= order.last_bar and self.piece.last:
            self.events["limit_lapsed"] += 1
            self.limit = None
        self.events["limit_touched"] += extreme == level

    def fill_limit(self, j: int, order: Order, fill: float, fee: float, event: str) -> None:
        """Fill a limit order; void for its size it is gone as well."""
        self.limit = None
        if self.enter(j, order, fill, fee, inside=event == "limit_inside"):
            self.events[event] += 1
            self.events["finer_" + event] += not self.piece.first
        else:
            self.events["limit_void"] += 1

    def inside(self, j: int) -> None:
        """Step 6: stop or liquidation against target inside the bar."""
        position = self.position
        if position is None:
            return
        s, o, low, high = position.side, self.piece.open, self.piece.low, self.piece.high
        worst, best = (low, high) if s > 0 else (high, low)
        level, reason = position.liquidation, "liquidation"
        stop = position.stop_in_force()
        if stop is not None and s * stop[0] >= s * level:
            level, reason = stop
        adverse = position.reached(level, worst)
        target = position.target
        self.events["adverse_touched"] += level == worst
        self.events["target_touched"] += target == best
        take = target is not None and position.exceeded(target, best)
        if target is not None and take:
            mode = position.rules.intrabar
            if position.inside_of is self.piece:
                take = s * target > max(s * position.fill, s * o)
                self.events["inside_fill_target_not_beyond_open"] += not take
                if take:
                    position.ambiguous = True
                    self.events["ambiguous_inside_fill_" + mode] += 1
                    take = mode == "optimistic"
                    adverse = adverse and not take
            elif adverse:
                position.ambiguous = True
                take = mode == "optimistic"
                if mode == "nearest_open":
                    take = abs(target - o) < abs(level - o)
                adverse = not take
                self.events[f"ambiguous_{mode}_{'take' if take else 'adverse'}"] += 1
        self.count_finer(j, position, adverse, take)
        if adverse and reason == "liquidation":
            self.events["liquidation_inside"] += 1
            self.liquidate(j, None)
        elif adverse:
            self.events[reason + "_inside"] += 1
            self.events["stop_base_open"] += s * o < s * level
            self.exit_taker(j, min(level, o) if s > 0 else max(level, o), reason, None)
        elif take:
            self.events["take_inside"] += 1
            self.exit_target(j, None)

    def count_finer(self, j: int, position: Position, adverse: bool, take: bool) -> None:
        """Count what finer bars tell apart."""
        if not self.finer or not (adverse or take):
            return
        s, kind = position.side, "stop" if adverse else "take"
        self.events["finer_ambiguous"] += position.ambiguous
        self.events[f"finer_{kind}_inside"] += not self.piece.first
        if position.entry_bar == j and position.inside and position.inside_of is not self.piece:
            self.events[f"finer_{kind}_after_limit"] += 1
        worst, best = (self.low[j], self.high[j]) if s > 0 else (self.high[j], self.low[j])
        stop, target = position.stop_in_force(), position.target
        if stop is not None and target is not None and not position.ambiguous:
            both = position.reached(stop[0], worst) and position.exceeded(target, best)
            self.events[f"finer_{kind}_settled"] += both

    def at_close(self, j: int) -> None:
        """Step 7: the end of the window, exits for the next open, trailing and break-even."""
        position = self.position
        if position is None:
            return
        if self.last[j - self.start]:
            self.exit_taker(j, self.close[j], "end", None)
            return
        rules = position.rules
        current = self.rules[j - self.start]
        opposite = None
        if current is not None and current.reverse:
            chosen = self.decisions.choose(j, current)
            if chosen is not None and chosen.side == -position.side:
                opposite = chosen
        long = position.side > 0
        threshold = rules.exit_long if long else rules.exit_short
        p_exit = self.decisions.signal("exit_long" if long else "exit_short", j)
        if threshold is not None and p_exit >= threshold:
            self.exit_reason = "signal"
        elif rules.max_hold is not None and j - position.entry_bar + 1 >= rules.max_hold:
            self.exit_reason = "time"
        elif opposite is not None:
            self.exit_reason = "reverse"
        if self.exit_reason is not None:
            self.entry = opposite
            if opposite is not None:
                self.events["reverse_with_" + self.exit_reason] += 1
        else:
            self.trail(j, position)

    def trail(self, j: int, position: Position) -> None:
        """Step 7c: levels from this bar's extreme, in force from the next bar."""
        s, rules = position.side, position.rules
        close_only = position.inside and position.entry_bar == j
        worst, best = (self.low[j], self.high[j]) if s > 0 else (self.high[j], self.low[j])
        if close_only:
            best = self.close[j]
        if s * best > s * position.extreme:
            position.extreme = best
        if rules.trailing is not None:
            level = position.extreme * (1.0 - s * rules.trailing)
            if position.trail is None or s * level > s * position.trail:
                position.trail = level
        if rules.break_even is not None and position.even is None:
            trigger = position.fill * (1.0 + s * rules.break_even)
            if s * position.extreme >= s * trigger:
                position.even = position.fill * (1.0 + s * rules.break_even_offset)
                self.events["breakeven_set"] += 1
        stop = position.stop_in_force()
        asked = not close_only and not self.finer
        self.events["finer_trail_not_asked"] += bool(self.finer)
        if stop is not None and asked and position.reached(stop[0], worst):
            position.ambiguous_trail = True
            self.events["ambiguous_trail"] += 1

    def decide(self, j: int) -> None:
        """Step 8: an entry decision at the close of a flat bar that is not the last."""
        rules = self.rules[j - self.start]
        if rules is None or self.position is not None or self.limit is not None:
            return
        order = self.decisions.choose(j, rules)
        if order is None:
            return
        if self.last_exit is not None and j < self.last_exit + rules.cooldown:
            self.events["cooling_down"] += 1
        elif rules.entry == "limit":
            order.level = self.close[j] * (1.0 - order.side * rules.limit_offset)
            self.limit = order
        else:
            self.entry = order

    def mark(self, j: int) -> float:
        """Step 9."""
        position = self.position
        if position is None:
            return self.equity
        move = position.side * position.quantity * (self.close[j] - position.fill)
        unit = 1.0 - position.entry_fee + position.funding + move
        self.events["mark_at_floor"] += unit <= 0.0
        return position.equity * max(unit, 0.0)

    # ---- fills -------------------------------------------------------------------------------

    def enter(self, j: int, order: Order, fill: float, rate: float, *, inside: bool) -> bool:
        """Open a position at `fill` in bar j; False if the order is void."""
        rules, s, market = order.rules, order.side, self.market
        f = self.decisions.size_fraction(order, fill)
        notional = f * rules.leverage / (1.0 + rules.leverage * max(rate, 0.0))
        if rules.sizing == "notional":
            self.events["notional_binds"] += rules.notional / self.equity < notional
            notional = min(notional, rules.notional / self.equity)
        notional = self.capped(order, notional, rate)
        quantity = notional / fill
        if market.lot > 0.0:
            asked = self.equity * quantity / market.lot
            # So near a whole number, rounding decides for one lot more or less.
            self.events["lots_by_rounding"] += abs(asked - round(asked)) <= LOT_ROUNDING
            lots = math.floor(asked)
            quantity = lots * market.lot / self.equity
        notional = quantity * fill
        if notional == 0.0:
            self.events["void_lot"] += 1
            return False
        if notional * self.equity < market.min_notional * (1.0 - 1e-12):
            self.events["void_min_notional"] += 1
            return False
        stop = target = None
        if rules.stop_loss is not None:
            kind = rules.stop_loss_kind
            d = self.decisions.distance(order, rules.stop_loss, kind, "stop", fill, f)
            stop = fill * (1.0 - s * d)
        if rules.take_profit is not None:
            kind = rules.take_profit_kind
            d = self.decisions.distance(order, rules.take_profit, kind, "target", fill, f)
            target = fill * (1.0 + s * d)
        self.events[f"sizing_{rules.sizing}"] += 1
        self.events[f"stop_kind_{rules.stop_loss_kind}"] += stop is not None
        self.events[f"take_kind_{rules.take_profit_kind}"] += target is not None
        self.position = Position(
            side=s,
            rules=rules,
            signal_bar=order.signal_bar,
            p=order.p,
            entry_bar=j,
            fill=fill,
            equity=self.equity,
            fraction=f,
            quantity=quantity,
            notional=notional,
            margin=notional / rules.leverage,
            entry_fee=rate * quantity * fill,
            stop=stop,
            target=target,
            liquidation=fill * (1.0 - s / rules.leverage) / (1.0 - s * market.maintenance),
            inside=inside or not self.piece.first,
            inside_of=self.piece if inside else None,
            extreme=-s * math.inf,
        )
        return True

    def capped(self, order: Order, notional: float, rate: float) -> float:
        """Return the notional per unit of equity that the account has room for: all of it."""
        return notional

    def exit_taker(self, j: int, base: float, reason: str, at_open: float | None) -> None:
        """Close at `base` with slippage and the taker fee."""
        assert self.position is not None
        price = base * (1.0 - self.position.side * self.slippage)
        self.close_position(j, price, self.taker, reason, at_open)

    def exit_target(self, j: int, at_open: float | None) -> None:
        """Close at the target: a resting order, or with `market` a taker at the level."""
        position = self.position
        assert position is not None
        assert position.target is not None
        if position.rules.take_profit_order == "market":
            self.exit_taker(j, position.target, "take", at_open)
        else:
            self.close_position(j, position.target, self.maker, "take", at_open)

    def close_position(
        self, j: int, price: float, rate: float, reason: str, at_open: float | None
    ) -> None:
        """Close at a fill price, the loss before the entry fee capped at the margin."""
        position = self.position
        assert position is not None
        fee = rate * position.quantity * price
        move = position.side * position.quantity * (price - position.fill) - fee
        self.events["capped_at_margin"] += move < -position.margin
        unit = max(move, -position.margin) - position.entry_fee + position.funding
        self.settle(j, price, unit, fee, reason, at_open)

    def liquidate(self, j: int, at_open: float | None) -> None:
        """Lose the margin at the liquidation level."""
        position = self.position
        assert position is not None
        unit = -position.margin - position.entry_fee + position.funding
        self.settle(j, position.liquidation, unit, 0.0, "liquidation", at_open)

    def settle(
        self, j: int, price: float, unit: float, exit_fee: float, reason: str, at_open: float | None
    ) -> None:
        """Book a trade of return `unit`; `at_open`: the last price seen by an exit at the open."""
        position = self.position
        assert position is not None
        before = position.equity
        self.events["floored_at_equity"] += unit < -1.0
        unit = max(unit, -1.0)
        self.equity = before * (1.0 + unit)
        if self.equity < RUIN * self.initial:
            self.equity, unit, self.ruined = 0.0, -1.0, True
            self.exit_reason = self.entry = self.limit = None
            self.events["ruin"] += 1
        self.position, self.last_exit = None, j
        self.record(j, position, price, unit, exit_fee, reason, at_open)

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
        """Write down a trade of return `unit`."""
        before = position.equity
        self.events["exit_" + reason] += 1
        s, times = position.side, self.market.open_time
        end = j if at_open is not None else j + 1
        prices = self.high[position.entry_bar : end] + self.low[position.entry_bar : end]
        prices += [] if at_open is None else [at_open]
        moves = [s * (x / position.fill - 1.0) for x in prices]
        closing = self.market.interval_ms if reason == "end" else 0
        self.trades.append(
            {
                "combination": 0,
                "window": 0,
                "side": s,
                "signal_bar": position.signal_bar - self.start,
                "entry_bar": position.entry_bar - self.start,
                "entry_time": int(times[position.entry_bar]),
                "entry_price": position.fill,
                "exit_bar": j - self.start,
                "exit_time": int(times[j]) + closing,
                "exit_price": price,
                "quantity": before * position.quantity,
                "notional": before * position.notional,
                "margin": before * position.margin,
                "fraction": position.fraction,
                "p_entry": position.p,
                "reason": reason,
                "bars_held": end - position.entry_bar,
                "fees": before * (position.entry_fee + exit_fee),
                "funding": before * position.funding,
                "pnl": before * unit,
                "return": unit,
                "ambiguous": position.ambiguous,
                "ambiguous_trail": position.ambiguous_trail,
                "mae": min(min(moves), 0.0),
                "mfe": max(max(moves), 0.0),
            }
        )


def run(
    market: Market,
    signals: Signals,
    rules: Mapping[str, Any],
    costs: Mapping[str, float],
    *,
    window: tuple[int, int] | None = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
) -> Outcome:
    """Run one set of rules over one window of the candles."""
    return run_schedule(
        market,
        signals,
        [(0, rules)],
        costs,
        window=window,
        initial_equity=initial_equity,
        periods_per_year=periods_per_year,
    )


def run_schedule(
    market: Market,
    signals: Signals,
    schedule: Sequence[Segment],
    costs: Mapping[str, float],
    *,
    boundary: str = "carry",
    window: tuple[int, int] | None = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
) -> Outcome:
    """Run rules that change at bar boundaries; no entries before the first start.

    With ``boundary="close"`` each segment ends as a run of its own, and the account carries on.
    The ways to fill must agree between segments.
    """
    start, end = (0, len(market.close)) if window is None else window
    parsed = [(at, Rules(**rules)) for at, rules in schedule]
    assert len({rules.fill for _, rules in parsed}) == 1
    in_force: list[Rules | None] = []
    for bar in range(start, end):
        current = [rules for at, rules in parsed if at <= bar]
        in_force.append(current[-1] if current else None)
    starts = {at for at, _ in parsed} if boundary == "close" else set()
    last = [bar + 1 == end or bar + 1 in starts for bar in range(start, end)]
    engine = _Engine(market, signals, costs, start, in_force, last, initial_equity)
    marks = engine.run()
    start_ms = int(market.open_time[start])
    span = Span(
        start_ms=start_ms,
        length_ms=int(market.open_time[end - 1]) + market.interval_ms - start_ms,
        bars=end - start,
        growth=float(market.close[end - 1]) / float(market.open[start]),
        periods_per_year=PERIODS[market.kind] if periods_per_year is None else periods_per_year,
    )
    days = daily_returns(market.open_time[start:end], marks, initial_equity)
    metrics = compute_metrics(engine.trades, marks, days, initial_equity, span)
    return Outcome(
        engine.trades,
        marks,
        metrics,
        days,
        initial_equity,
        span,
        engine.events,
        sum(not pieces for pieces in engine.pieces),
    )


def pool(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Pooled metrics over windows of one market that do not overlap, in any order."""
    ordered = sorted(outcomes, key=lambda outcome: outcome.span.start_ms)
    return pool_metrics(
        [outcome.trades for outcome in ordered],
        [outcome.equity for outcome in ordered],
        [outcome.daily_returns for outcome in ordered],
        [outcome.initial_equity for outcome in ordered],
        [outcome.span for outcome in ordered],
    )
