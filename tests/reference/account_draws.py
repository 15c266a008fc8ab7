"""Random shared accounts: 1 to 6 symbols on one clock, with holes, limits that bind, funding, gaps and ruin."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .draws import (
    INTERVALS_MS,
    Draw,
    draw_costs,
    draw_funding,
    draw_market,
    draw_rules,
    draw_signals,
)
from .records import Market
from .shared_account import Symbol


@dataclass(frozen=True)
class AccountCase:
    """Everything one run of a shared account needs."""

    symbols: list[Symbol]
    max_positions: int | None
    max_gross: float | None
    window: tuple[int, int] | None  # open times, end excluded
    initial_equity: float


def on_clock(d: Draw, market: Market, interval: int, first: int, dense: bool) -> Market:
    """Put the bars of a market on times of one grid, beginning somewhere near ``first``."""
    n = len(market.close)
    steps = np.ones(n, dtype=np.int64)
    if d.chance(0.6):
        holes = d.rng.random(n) < d.pick(0.02, 0.1, 0.4)
        steps[holes] += d.rng.integers(1, d.pick(2, 6, 30), size=int(holes.sum()))
    steps[0] = 0 if dense else d.whole(0, d.pick(1, 20, 120))
    times = first + np.cumsum(steps) * interval
    market = replace(market, open_time=times, interval_ms=interval, finer=None)
    if market.kind != "perpetual":
        return market
    size = 0.0 if market.funding_rate is None else float(np.std(market.funding_rate))
    if size == 0.0:
        return replace(market, funding_time=None, funding_rate=None)
    funding_time, funding_rate = draw_funding(d, times, interval, size)
    return replace(market, funding_time=funding_time, funding_rate=funding_rate)


def draw_account(seed: int, count: int | None = None) -> AccountCase:
    """Draw one valid case; the same seed gives the same case."""
    d = Draw(seed + 7_000_000)
    initial = d.pick(10_000.0, 10_000.0, 137.5, 1e6)
    theme = d.pick(*["mixed"] * 8, "coarse", "funding")
    if count is None:
        count = d.whole(2, 6)
    interval = d.pick(*INTERVALS_MS)
    first = (1_600_000_000_000 // interval + d.whole(0, 5000)) * interval
    common = d.chance(0.3)
    symbols: list[Symbol] = []
    shared_costs = None
    for k in range(count):
        market, step = draw_market(d, initial, theme)
        if len(market.close) > 120 and d.chance(0.8):
            market = replace(
                market,
                **{
                    name: getattr(market, name)[:120]
                    for name in ("open_time", "open", "high", "low", "close")
                },
            )
        market = on_clock(d, market, interval, first, dense=k == 0)
        signals = draw_signals(d, len(market.close))
        rules = draw_rules(d, market, signals, step, initial)
        rules["fraction"] = min(rules["fraction"], d.pick(1.0, 0.6, 1.0 / count))
        if "size_min" in rules:
            rules["size_min"] = min(rules["size_min"], rules["fraction"])
        if theme == "funding":
            allowed = min(10.0, 0.9 / max(market.maintenance, 1e-9))
            rules.update(
                sizing="fraction",
                fraction=d.pick(1.0, 0.5),
                leverage=min(allowed, d.pick(3.0, 5.0, 10.0)),
            )
            for name in (
                "size_min",
                "stop_loss",
                "trailing",
                "break_even",
                "break_even_offset",
                "max_hold",
            ):
                rules.pop(name, None)
        costs = draw_costs(d, step)
        if common:
            shared_costs = shared_costs or costs
            costs = shared_costs
        symbols.append(Symbol(market, signals, rules, costs))
    max_positions = d.pick(None, 1, 2, 3)
    max_gross = d.pick(None, None, d.spread(0.05, 1.0), d.spread(0.5, 20.0))
    window = None
    if d.chance(0.3):
        times = np.unique(np.concatenate([s.market.open_time for s in symbols]))
        a = d.whole(0, len(times) // 3)
        b = d.whole(a + 1, len(times))
        window = int(times[a]), int(times[b - 1]) + 1
    return AccountCase(symbols, max_positions, max_gross, window, initial)
