"""The plain loop: bar after bar, as one writes it first. Numba compiles the same source.

It follows docs/execution.md for what this workload uses: market entries at the next open, unit equity with the entry
fee inside the notional, stop before target inside a bar, a gap through the stop fills at the open, a target must be
exceeded and fills at its level, exits by threshold or holding time at the next open, the last bar closes at its close.
Not asked: liquidation, which at leverage 1 lies a doubling away, far behind every stop.

Returns of one combination: final equity per unit, trades, wins, largest drawdown at closes, daily Sharpe ratio.
"""

from __future__ import annotations

import math
from typing import Any

RUIN = 1e-9  # share of the initial equity below which an account is empty


def run_one(
    o: Any, h: Any, l: Any, c: Any, pl: Any, ps: Any, px: Any, day_end: Any,  # noqa: E741
    entry: float, leave: float, stop: float, target: float, max_hold: int, fee: float, periods: float,
) -> tuple[float, int, int, float, float]:  # fmt: skip
    n = len(o)
    side = 0  # of the open position
    wanted = 0  # side of the entry pending for the next open
    leaving = False  # an exit is pending for the next open
    notional = 1.0 / (1.0 + fee)
    equity = peak = before = 1.0
    p = q = entry_fee = low = high = 0.0
    entry_bar = trades = wins = days = 0
    deepest = s1 = s2 = 0.0
    ruined = False
    for j in range(n):
        closed = False
        price = 0.0
        if side != 0 and leaving:
            closed, price = True, o[j]
        elif side == 0 and wanted != 0 and not ruined:
            side, p, entry_bar = wanted, o[j], j
            q = notional / p
            entry_fee = fee * q * p
            if side > 0:
                low, high = p * (1.0 - stop), p * (1.0 + target)
            else:
                low, high = p * (1.0 - target), p * (1.0 + stop)
        leaving, wanted = False, 0
        if side > 0 and not closed:
            if o[j] <= low:
                closed, price = True, o[j]
            elif o[j] > high:
                closed, price = True, high
            elif l[j] <= low:
                closed, price = True, low
            elif h[j] > high:
                closed, price = True, high
        elif side < 0 and not closed:
            if o[j] >= high:
                closed, price = True, o[j]
            elif o[j] < low:
                closed, price = True, low
            elif h[j] >= high:
                closed, price = True, high
            elif l[j] < low:
                closed, price = True, low
        if side != 0 and not closed and j == n - 1:
            closed, price = True, c[j]
        if closed:
            gain = max(side * q * (price - p) - fee * q * price, -notional) - entry_fee
            equity = equity * (1.0 + gain)
            trades += 1
            if gain > 0.0:
                wins += 1
            side = 0
            if equity < RUIN:
                equity, ruined = 0.0, True
        if side != 0:
            mark = equity * max(1.0 - entry_fee + side * q * (c[j] - p), 0.0)
            leaving = px[j] >= leave or j - entry_bar + 1 >= max_hold
        else:
            mark = equity
            long, short = pl[j] >= entry, ps[j] >= entry
            if long and short:
                a, b = pl[j] - entry, ps[j] - entry
                long, short = a > b, b > a
            if j < n - 1:
                wanted = 1 if long else (-1 if short else 0)
        peak = max(peak, mark)
        deepest = max(deepest, 1.0 - mark / peak)
        if day_end[j]:
            r = mark / before - 1.0 if before > 0.0 else 0.0
            s1 += r
            s2 += r * r
            days += 1
            before = mark
    sharpe = math.nan
    if days > 1:
        mean = s1 / days
        variance = (s2 - days * mean * mean) / (days - 1)
        if variance > 0.0:
            sharpe = mean / math.sqrt(variance) * math.sqrt(periods)
    return equity, trades, wins, deepest, sharpe
