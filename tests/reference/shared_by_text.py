"""The shared account, written from the text of the execution contract and from nothing else.

A second twin beside `shared_account.py`: its writer had not read the engine, nor the first twin, when the
rules below were set down. Where the text leaves a choice it takes the one that docs/accounts.md names. One
function a step of the page, plain floats, one dict a position, no speed. Money is kept in quote (the engine
keeps it per unit of equity), so prices, bars, reasons and refusals must be equal and money must agree to
rounding.
"""

from __future__ import annotations

import math
from typing import Any

from tests.reference.symbol_by_text import NAN, Costs, Market, Symbol

ROUNDING = 1e-12  # what asks for all there is asks for no more
LOT_ROUNDING = 1e-9  # so near a whole number of lots, rounding decides for one more or less
TINY = 1e-9  # of the initial equity: below it an account is ruined


class Account:
    """One equity for several symbols."""

    def __init__(
        self,
        markets: dict[str, Market],
        costs: Costs,
        *,
        equity: float = 10_000.0,
        max_positions: int | None = None,
        max_gross: float | None = None,
    ) -> None:
        self.initial = equity
        self.equity = equity
        self.costs = costs
        self.max_positions = max_positions
        self.max_gross = max_gross
        self.symbols = [Symbol(name, k, market) for k, (name, market) in enumerate(markets.items())]
        self.ruined = False
        self.by_rounding = 0  # sizes that rounding decides
        self.trades: list[dict[str, Any]] = []
        self.refused: list[dict[str, Any]] = []
        self.clock: list[int] = sorted({t for market in markets.values() for t in market.time})
        self.curve: list[float] = []
        self.margins: list[float] = []
        self.gross: list[float] = []
        self.count: list[int] = []

    # -- sums over open positions ----------------------------------------------------------------

    def open_positions(self) -> list[Symbol]:
        """List the symbols that hold something."""
        return [s for s in self.symbols if s.position is not None]

    def margin_in_use(self) -> float:
        """Sum the margins of open positions."""
        return math.fsum(s.position["margin"] for s in self.open_positions())  # type: ignore[index]

    def notional_in_use(self) -> float:
        """Sum the notionals of open positions, as they were at their fills."""
        return math.fsum(s.position["notional"] for s in self.open_positions())  # type: ignore[index]

    def realised(self) -> float:
        """E: closed trades, the fees paid and the funding settled for what is open."""
        held = [s.position for s in self.open_positions()]
        return math.fsum([self.equity, *(p["funding"] - p["entry_fee"] for p in held if p)])

    def price_part(self, s: Symbol, *, capped: bool) -> float:
        """What the last price known makes of a position, no loss beyond its margin where capped."""
        pos = s.position
        assert pos is not None
        price: float = pos["side"] * pos["quantity"] * (s.price - pos["entry"])
        return max(price, -pos["margin"]) if capped else price

    def worth(self, *, capped: bool) -> float:
        """Realised equity and the price part of every open position."""
        return math.fsum(
            [self.realised(), *(self.price_part(s, capped=capped) for s in self.open_positions())]
        )

    # -- leaving and entering --------------------------------------------------------------------

    def close(
        self,
        s: Symbol,
        j: int,
        base: float,
        reason: str,
        *,
        taker: bool = True,
        inside: bool = False,
    ) -> None:
        """Close the position of a symbol in its bar j at a base price."""
        pos = s.position
        assert pos is not None
        side = pos["side"]
        price, fee = base, 0.0
        if reason == "liquidation":
            price_part = -pos["margin"]
        else:
            if taker:
                price = base * (1 - side * self.costs.slippage)
            fee = (self.costs.taker if taker else self.costs.maker) * pos["quantity"] * price
            price_part = max(side * pos["quantity"] * (price - pos["entry"]) - fee, -pos["margin"])
        pnl = price_part - pos["entry_fee"] + pos["funding"]
        s.position = None
        left = self.worth(capped=True) + pnl
        s.position = pos
        if left < TINY * self.initial:
            self.ruin(s, j, price, reason, fee, inside)
        else:
            self.book(s, j, price, reason, pnl, fee, inside)

    def ruin(self, s: Symbol, j: int, price: float, reason: str, fee: float, inside: bool) -> None:
        """End every position at the last price known; the trade that ruined takes the rest."""
        self.ruined = True
        for other in self.open_positions():
            pos = other.position
            if other is not s and pos is not None:
                pnl = self.price_part(other, capped=True) + pos["funding"] - pos["entry_fee"]
                self.book(other, -1, other.price, "liquidation", pnl, 0.0, False)
        self.book(s, j, price, reason, -self.equity, fee, inside)

    def book(
        self, s: Symbol, j: int, price: float, reason: str, pnl: float, fee: float, inside: bool
    ) -> None:
        """Write a trade down and take its pnl into the account's equity."""
        pos = s.position
        assert pos is not None
        self.equity += pnl
        self.trades.append(
            {
                "symbol": s.name,
                "side": pos["side"],
                "signal_bar": pos["signal_bar"],
                "entry_bar": pos["entry_bar"],
                "entry_price": pos["entry"],
                "exit_bar": j,
                "exit_price": price,
                "reason": reason,
                "quantity": pos["quantity"],
                "notional": pos["notional"],
                "margin": pos["margin"],
                "fraction": pos["f"],
                "fees": pos["entry_fee"] + fee,
                "funding": pos["funding"],
                "pnl": pnl,
                "bars_held": j - pos["entry_bar"] + (1 if inside else 0),
                "ambiguous": pos["ambiguous"],
                "ambiguous_trail": pos["ambiguous_trail"],
            }
        )
        s.position = None
        s.exit_queued = None
        s.last_exit = j

    def refuse(self, s: Symbol, order: dict[str, Any], j: int, reason: str) -> None:
        """Write down an order that the account did not let in."""
        self.refused.append(
            {
                "symbol": s.name,
                "side": order["side"],
                "signal_bar": order["bar"],
                "bar": j,
                "reason": reason,
            }
        )

    def enter(
        self, s: Symbol, order: dict[str, Any], j: int, fill: float, *, taker: bool, inside: bool
    ) -> None:
        """Fill an entry as far as the account has room; else refuse it."""
        r, m = s.r, s.m
        rate = self.costs.taker if taker else self.costs.maker
        side, bar = order["side"], order["bar"]
        distance = NAN
        if r.stop_loss is not None and r.stop_loss_kind != "equity":
            distance = {
                "price": r.stop_loss,
                "atr": r.stop_loss * s.atr[bar] / fill if s.atr is not None else NAN,
                "signal": r.stop_loss * s.value("stop", bar),
            }[r.stop_loss_kind]
        f = order["f"]
        if r.sizing == "risk":
            assert r.risk is not None
            f = r.fraction if distance == 0 else min(r.fraction, r.risk / (r.leverage * distance))
        if self.max_positions is not None and len(self.open_positions()) >= self.max_positions:
            self.refuse(s, order, j, "max_positions")
            return
        per_unit = r.leverage / (1 + r.leverage * max(rate, 0.0))
        equity = self.realised()
        wanted = equity * f * per_unit
        if r.sizing == "notional":
            assert r.notional is not None
            wanted = min(wanted, r.notional)
        free = equity - self.margin_in_use()
        if free <= TINY * equity:
            self.refuse(s, order, j, "free")
            return
        notional, bound = wanted, None
        if free * per_unit < notional * (1 - ROUNDING):
            notional, bound = free * per_unit, "free"
        if self.max_gross is not None:
            left = self.max_gross * equity - self.notional_in_use()
            if left <= TINY * equity:
                self.refuse(s, order, j, "max_gross")
                return
            if left < notional * (1 - ROUNDING):
                notional, bound = left, "max_gross"
        quantity = notional / fill
        if m.lot > 0:
            lots = quantity / m.lot
            self.by_rounding += abs(lots - round(lots)) <= LOT_ROUNDING
            quantity = math.floor(lots) * m.lot
        notional = quantity * fill
        if notional == 0 or notional < m.min_notional * (1 - 1e-12):
            if bound is not None:  # it is the room that is too small, not what the rules asked for
                self.refuse(s, order, j, bound)
            return
        stop: float | None = None
        if r.stop_loss is not None:
            d = r.stop_loss / (f * r.leverage) if r.stop_loss_kind == "equity" else distance
            stop = fill * (1 - side * d)
        target: float | None = None
        if r.take_profit is not None:
            d = {
                "price": r.take_profit,
                "equity": r.take_profit / (f * r.leverage),
                "atr": r.take_profit * s.atr[bar] / fill if s.atr is not None else NAN,
                "signal": r.take_profit * s.value("target", bar),
            }[r.take_profit_kind]
            target = fill * (1 + side * d)
        if side > 0:
            liquidation = fill * (1 - 1 / r.leverage) / (1 - m.maintenance)
        else:
            liquidation = fill * (1 + 1 / r.leverage) / (1 + m.maintenance)
        s.price = fill  # the last price known of it
        s.position = {
            "side": side,
            "signal_bar": bar,
            "entry_bar": j,
            "entry": fill,
            "f": f,
            "quantity": quantity,
            "notional": notional,
            "margin": notional / r.leverage,
            "entry_fee": rate * quantity * fill,
            "funding": 0.0,
            "stop": stop,
            "trail": None,
            "breakeven": None,
            "target": target,
            "liquidation": liquidation,
            "extreme": None,
            "inside": inside,
            "ambiguous": False,
            "ambiguous_trail": False,
        }

    # -- the steps of a bar ----------------------------------------------------------------------

    def step_1(self, s: Symbol, j: int, *, just_entered: bool) -> None:
        """Charge funding due up to this open, and end an account that it has used up."""
        pos = s.position
        if pos is None:
            return
        now = s.m.time[j]
        before = s.m.time[j - 1] if j else now - 1
        due = [rate for t, rate in s.m.funding if (t == now if just_entered else before < t <= now)]
        for rate in due:
            pos["funding"] -= pos["side"] * rate * pos["quantity"] * s.m.open[j]
        if due and self.worth(capped=True) <= 0:
            self.ruin(s, j, s.m.open[j], "liquidation", 0.0, False)

    def step_2(self, s: Symbol, j: int) -> None:
        """Liquidate a carried position whose level the open reaches; its queued exit dies."""
        pos = s.position
        if pos is None:
            return
        level = pos["liquidation"]
        if level > 0 and pos["side"] * s.m.open[j] <= pos["side"] * level:
            self.close(s, j, level, "liquidation")

    def step_3_exit(self, s: Symbol, j: int, base: float) -> None:
        """Fill a queued exit."""
        if s.position is not None and s.exit_queued is not None:
            self.close(s, j, base, s.exit_queued)

    def step_4(self, s: Symbol, j: int) -> None:
        """Stop and target of a carried position at the open."""
        pos = s.position
        if pos is None:
            return
        side, o = pos["side"], s.m.open[j]
        stop = s.stop_in_force()
        if stop is not None and side * o <= side * stop[0]:
            self.close(s, j, o, stop[1])
            return
        target = pos["target"]
        if target is not None and target > 0:
            market = s.r.take_profit_order == "market"
            if side * o > side * target or (market and o == target):
                self.close(s, j, target, "take", taker=market)

    def limit_at_open(self, s: Symbol, j: int) -> tuple[float, bool] | None:
        """Fill price of a resting limit order at this open, and whether it takes."""
        order = s.limit
        if order is None or s.position is not None:
            return None
        side, level, o = order["side"], order["level"], s.m.open[j]
        if j == order["bar"] + 1:
            if side * o <= side * level:
                slipped = o * (1 + side * self.costs.slippage)
                return (min(slipped, level) if side > 0 else max(slipped, level)), True
        elif side * o < side * level:
            return level, False
        return None

    def step_5_inside(self, s: Symbol, j: int) -> None:
        """Fill a limit order that the bar trades through, or let it lapse."""
        order = s.limit
        if order is None or s.position is not None:
            return
        side, level = order["side"], order["level"]
        through = s.m.low[j] < level if side > 0 else s.m.high[j] > level
        if through:
            s.limit = None
            self.enter(s, order, j, level, taker=False, inside=True)
        elif j >= order["bar"] + s.r.limit_bars:
            s.limit = None

    def step_6(self, s: Symbol, j: int) -> None:
        """Stop, liquidation and target inside the bar."""
        pos = s.position
        if pos is None:
            return
        side = pos["side"]
        o, h, low = s.m.open[j], s.m.high[j], s.m.low[j]
        bad, good = (low, h) if side > 0 else (h, low)
        level, reason = NAN, ""
        stop = s.stop_in_force()
        if stop is not None:
            level, reason = stop
        liquidation = pos["liquidation"]
        if liquidation > 0 and (stop is None or side * liquidation > side * level):
            level, reason = liquidation, "liquidation"
        adverse = bool(reason) and side * bad <= side * level
        target = pos["target"]
        market = s.r.take_profit_order == "market"
        hit = False
        if target is not None and target > 0:
            hit = side * good > side * target or (market and good == target)
        filled_inside = pos["inside"] and pos["entry_bar"] == j
        if filled_inside and hit:
            best = max(side * pos["entry"], side * o)
            hit = side * target > best
        take = hit
        if filled_inside and hit:
            pos["ambiguous"] = True
            take = s.r.intrabar == "optimistic"
        elif adverse and hit:
            pos["ambiguous"] = True
            if s.r.intrabar == "pessimistic":
                take = False
            elif s.r.intrabar == "nearest_open":
                take = abs(target - o) < abs(level - o)
        if take:
            self.close(s, j, target, "take", taker=market, inside=True)
        elif adverse:
            base = level
            if reason != "liquidation":
                base = min(level, o) if side > 0 else max(level, o)
            self.close(s, j, base, reason, inside=True)

    def step_7(self, s: Symbol, j: int) -> None:
        """What the close decides of an open position."""
        pos = s.position
        if pos is None:
            return
        r, side = s.r, pos["side"]
        if j == len(s.m.close) - 1:
            self.close(s, j, s.m.close[j], "end", inside=True)
            return
        other = s.choose(j) if r.reverse else None
        opposite = other is not None and other["side"] == -side
        threshold = r.exit_long if side > 0 else r.exit_short
        p = s.value("exit_long" if side > 0 else "exit_short", j)
        if threshold is not None and p >= threshold:
            s.exit_queued = "signal"
        elif r.max_hold is not None and j - pos["entry_bar"] + 1 >= r.max_hold:
            s.exit_queued = "time"
        elif opposite:
            s.exit_queued = "reverse"
        if opposite:
            s.entry_queued = other
        h, low, c = s.m.high[j], s.m.low[j], s.m.close[j]
        close_only = pos["inside"] and pos["entry_bar"] == j
        best = c if close_only else (h if side > 0 else low)
        if pos["extreme"] is None or side * best > side * pos["extreme"]:
            pos["extreme"] = best
        if s.exit_queued is not None:
            return
        extreme, entry = pos["extreme"], pos["entry"]
        if r.trailing is not None:
            pos["trail"] = extreme * (1 - side * r.trailing)
        if r.break_even is not None and side * extreme >= side * entry * (1 + side * r.break_even):
            pos["breakeven"] = entry * (1 + side * r.break_even_offset)
        bad = low if side > 0 else h
        for level in (pos["trail"], pos["breakeven"]):
            if level is not None and not close_only and side * bad <= side * level:
                pos["ambiguous_trail"] = True

    def step_8(self, s: Symbol, j: int) -> None:
        """Decide an entry at the close of a flat symbol."""
        r = s.r
        if s.position is not None or s.limit is not None or j == len(s.m.close) - 1:
            return
        if s.last_exit is not None and j <= s.last_exit + r.cooldown - 1:
            return
        order = s.choose(j)
        if order is None:
            return
        if r.entry == "limit":
            order["level"] = s.m.close[j] * (1 - order["side"] * r.limit_offset)
            s.limit = order
        else:
            s.entry_queued = order

    # -- the clock -------------------------------------------------------------------------------

    def entries(self, due: list[tuple[Symbol, int, dict[str, Any], float, bool]]) -> None:
        """Let the entries of one moment in, the larger excess first, then by symbol."""
        for s, j, order, fill, taker in sorted(due, key=lambda e: (-e[2]["excess"], e[0].rank)):
            if not self.ruined:
                self.enter(s, order, j, fill, taker=taker, inside=False)

    def step(self, now: int) -> None:
        """Run one moment of the clock."""
        here = [(s, s.at[now]) for s in self.symbols if now in s.at]
        just_entered: set[str] = set()
        # fill="close": what step 3 does is done at the previous close, before step 1
        early = [(s, j) for s, j in here if s.r.fill == "close" and j > 0]
        for s, j in early:
            if not self.ruined:
                self.step_3_exit(s, j, s.m.close[j - 1])
        due = []
        for s, j in early:
            order, s.entry_queued = s.entry_queued, None
            if order is not None:
                just_entered.add(s.name)
                due.append(
                    (
                        s,
                        j,
                        order,
                        s.m.close[j - 1] * (1 + order["side"] * self.costs.slippage),
                        True,
                    )
                )
        self.entries(due)
        for s, j in here:
            s.price = s.m.open[j]
        for s, j in here:
            if not self.ruined:
                self.step_1(s, j, just_entered=s.name in just_entered)
            if not self.ruined:
                self.step_2(s, j)
            if not self.ruined:
                self.step_3_exit(s, j, s.m.open[j])
            if not self.ruined:
                self.step_4(s, j)
        due = []
        for s, j in here:
            order, s.entry_queued = s.entry_queued, None
            if order is not None:
                due.append(
                    (s, j, order, s.m.open[j] * (1 + order["side"] * self.costs.slippage), True)
                )
            at_open = self.limit_at_open(s, j)
            if at_open is not None:
                assert s.limit is not None
                due.append((s, j, s.limit, *at_open))
                s.limit = None
        self.entries(due)
        for s, j in here:
            for step in (self.step_5_inside, self.step_6, self.step_7, self.step_8):
                if not self.ruined:
                    step(s, j)
            s.price = s.m.close[j]
        self.curve.append(0.0 if self.ruined else max(0.0, self.worth(capped=False)))
        self.margins.append(0.0 if self.ruined else self.margin_in_use())
        self.gross.append(0.0 if self.ruined else self.notional_in_use())
        self.count.append(0 if self.ruined else len(self.open_positions()))

    def run(self) -> Account:
        """Run every moment of the clock; after ruin nothing happens any more."""
        for now in self.clock:
            if self.ruined:
                self.curve.append(0.0)
                self.margins.append(0.0)
                self.gross.append(0.0)
                self.count.append(0)
            else:
                self.step(now)
        return self
