"""Random valid cases for the execution contract: one market, signals, rules and costs per seed.

The draws lean towards what is rare in practice (levels touched exactly, gaps, wicks, ruin, void
orders) so that a few thousand of them reach every branch of the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .records import Floats, Market

MINUTE_MS = 60_000
INTERVALS_MS = (MINUTE_MS, 5 * MINUTE_MS, 60 * MINUTE_MS, 1440 * MINUTE_MS)
KINDS = ("spot", "perpetual", "perpetual", "perpetual", "equity", "fx")
LEVERAGES = (1.0, 1.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0)
COARSE = 1 / 16  # typical move where prices are few ticks and distances dyadic: levels are touched
SIZINGS = ("fraction", "notional", "confidence", "risk", "volatility", "signal")


@dataclass(frozen=True)
class Case:
    """Everything one run needs; `rules` are those of the first segment where there is a schedule."""

    market: Market
    signals: dict[str, Any]
    rules: dict[str, Any]
    costs: dict[str, float]
    window: tuple[int, int] | None
    initial_equity: float
    schedule: list[tuple[int, dict[str, Any]]] | None
    boundary: str


class Draw:
    """A seeded generator with the few shapes of chance that the cases need."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def chance(self, p: float) -> bool:
        """Return True with probability `p`."""
        return bool(self.rng.random() < p)

    def uniform(self, low: float, high: float) -> float:
        """Draw evenly from [low, high)."""
        return float(self.rng.uniform(low, high))

    def spread(self, low: float, high: float) -> float:
        """Draw evenly in the logarithm."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def pick(self, *items: Any) -> Any:
        """Draw one of `items`."""
        return items[int(self.rng.integers(len(items)))]


def draw_length(d: Draw) -> int:
    """Draw the number of candles."""
    if d.chance(0.04):
        return d.whole(1, 8)
    return d.whole(60, 300) if d.chance(0.9) else d.whole(300, 400)


def draw_times(d: Draw, n: int, interval: int) -> NDArray[np.int64]:
    """Draw open times on the grid of the interval, with holes in some draws."""
    first = (1_600_000_000_000 // interval + d.whole(0, 5000)) * interval
    steps = np.ones(n, dtype=np.int64)
    if d.chance(0.25):
        holes = d.rng.random(n) < d.pick(0.01, 0.05)
        steps[holes] += d.rng.integers(1, d.pick(4, 60), size=int(holes.sum()))
    steps[0] = 0
    return np.asarray(first + np.cumsum(steps) * interval, dtype=np.int64)


def draw_prices(d: Draw, n: int, step: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Draw a walk of typical bar move `step` with gaps, wicks and flat runs, perhaps on ticks."""
    scale = d.spread(1e-4, 1e5)
    tick = scale * d.pick(0.002, 0.01, 0.03) if d.chance(0.35) else 0.0
    if step == COARSE:
        scale = float(np.exp2(d.whole(-13, 16)))
        tick = scale * COARSE
    gaps = step * d.pick(0.0, 0.1, 0.5, 1.5) * d.rng.standard_normal(n)
    bodies = step * d.rng.standard_normal(n) + step * d.pick(0.0, 0.0, 0.2, -0.2)
    jumps = d.rng.random(n) < d.pick(0.0, 0.02)
    gaps[jumps] += d.rng.choice([-1.0, 1.0], size=int(jumps.sum())) * 10.0 * step
    if d.chance(0.2):
        flat_from = d.whole(0, n - 1)
        flat_to = min(n, flat_from + d.whole(2, 40))
        gaps[flat_from:flat_to] = bodies[flat_from:flat_to] = 0.0
    log_close = np.clip(np.cumsum(gaps + bodies), -6.0, 6.0)
    close = scale * np.exp(log_close)
    open_ = np.concatenate([[scale], close[:-1]]) * np.exp(gaps)
    up, down = (step * np.abs(d.rng.standard_normal(n)) for _ in range(2))
    wild = d.rng.random(n) < d.pick(0.0, 0.03, 0.2)
    up[wild] *= 6.0
    down[wild] *= 6.0
    still = (gaps == 0.0) & (bodies == 0.0)
    up[still] = down[still] = 0.0
    high = np.maximum(open_, close) * np.exp(up)
    low = np.minimum(open_, close) * np.exp(-np.minimum(down, 3.0))
    if tick > 0.0:
        open_, high, low, close = (
            np.maximum(np.round(x / tick), 1.0) * tick for x in (open_, high, low, close)
        )
    return open_, high, low, close


def draw_funding(
    d: Draw, times: NDArray[np.int64], interval: int, size: float
) -> tuple[NDArray[np.int64] | None, Floats | None]:
    """Draw funding times around the grid, some ms off, and rates that are large in some draws."""
    if size == 0.0:
        return None, None
    every = d.pick(1, 4, 8, 8, 30) * interval // d.pick(1, 1, 3)
    span = np.arange(int(times[0]) - 2 * interval, int(times[-1]) + 2 * interval, every)
    offset = d.pick(0, 0, 17_000)
    jitter = d.rng.integers(0, d.pick(1, 50, 499), size=len(span))
    rates = size * (d.rng.standard_normal(len(span)) + d.pick(0.0, 0.5, -0.5))
    funding = (span // 1000 * 1000 + offset + jitter).astype(np.int64)
    return funding, np.asarray(rates, dtype=np.float64)


def draw_market(d: Draw, initial: float, theme: str) -> tuple[Market, float]:
    """Draw candles with their instrument, and the typical move of a bar."""
    n = draw_length(d)
    interval = d.pick(*INTERVALS_MS)
    times = draw_times(d, n, interval)
    step = d.pick(0.003, 0.01, 0.01, 0.03, 0.08, 0.2)
    kind = d.pick(*KINDS)
    rate = d.pick(0.0, 1e-4, 1e-3, 2e-2, 2e-2, 0.1)
    if theme == "coarse":
        step = COARSE
    elif theme == "funding":
        step, kind, rate = d.pick(0.01, 0.02), "perpetual", d.pick(0.02, 0.05)
    open_, high, low, close = draw_prices(d, n, step)
    funding_time, funding_rate = (
        draw_funding(d, times, interval, rate) if kind == "perpetual" else (None, None)
    )
    lot = min_notional = 0.0
    if d.chance(0.15):
        lot = initial / float(close[0]) * d.pick(1e-4, 0.05, 0.5) * d.uniform(0.7, 1.3)
    if d.chance(0.15):
        min_notional = initial * d.pick(0.001, 0.3, 0.9) * d.uniform(0.7, 1.3)
    market = Market(
        open_time=times,
        open=open_,
        high=high,
        low=low,
        close=close,
        interval_ms=interval,
        kind=kind,
        maintenance=d.pick(0.005, 0.005, 0.0, 0.015),
        lot=lot,
        min_notional=min_notional,
        funding_time=funding_time,
        funding_rate=funding_rate,
    )
    return market, step


def draw_array(d: Draw, n: int, kind: str, grid: int) -> Floats:
    """Draw one array of probabilities or scores, with NaNs in some draws."""
    values = d.rng.random(n) if kind == "probability" else d.rng.standard_normal(n)
    if grid:
        values = np.round(values * grid) / grid
    if d.chance(0.3):
        values[d.rng.random(n) < d.pick(0.05, 0.4)] = np.nan
    return np.asarray(values, dtype=np.float64)


def draw_signals(d: Draw, n: int) -> dict[str, Any]:
    """Draw the signal arrays; a long or a short side is missing in some draws."""
    kind = "probability" if d.chance(0.7) else "score"
    grid = d.pick(0, 0, 10)  # values on a grid tie, and touch thresholds
    signals: dict[str, Any] = {"kind": kind}
    sides = d.pick(("long", "short"), ("long", "short"), ("long", "short"), ("long",), ("short",))
    for name in sides:
        signals[name] = draw_array(d, n, kind, grid)
    for name in ("exit_long", "exit_short"):
        if d.chance(0.6):
            signals[name] = draw_array(d, n, kind, grid)
    for name in ("stop", "target", "size"):
        if d.chance(0.6):
            values = d.rng.uniform(0.05, 1.0, n)
            if d.chance(0.4):
                values[d.rng.random(n) < 0.2] = np.nan
            signals[name] = values
    return signals


def draw_threshold(d: Draw, kind: str, low: float, high: float) -> float:
    """Draw a threshold, on a grid in some draws so that values touch it."""
    value = d.uniform(low, high) if kind == "probability" else d.uniform(4 * low - 2, 4 * high - 2)
    return round(value, 1) if d.chance(0.5) else value


def draw_thresholds(d: Draw, signals: dict[str, Any]) -> dict[str, Any]:
    """Draw thresholds for the arrays there are, and what decides between the sides."""
    kind = signals["kind"]
    rules: dict[str, Any] = {}
    low = d.pick(0.3, 0.5, 0.8)
    common = draw_threshold(d, kind, low, 0.95) if d.chance(0.4) else None
    for side in ("long", "short"):
        if side in signals and d.chance(0.95):
            rules["entry_" + side] = common or draw_threshold(d, kind, low, 0.95)
        name = "exit_" + side
        if name in signals and d.chance(0.75):
            rules[name] = draw_threshold(d, kind, d.pick(0.3, 0.8), 0.98)
    if "entry_short" in rules and d.chance(0.25):
        rules["short_gate"] = d.pick(0.0, 0.1, 0.3, -0.2)
    if kind == "probability" and d.chance(0.06):
        rules.update(dict.fromkeys((k for k in rules if k.startswith("entry_")), 1.0))
    rules["reverse"] = d.chance(0.35)
    return rules


def draw_levels(d: Draw, signals: dict[str, Any], step: float, sizing: str) -> dict[str, Any]:
    """Draw stop, target, trailing and break-even at distances of the order of a bar's move."""
    rules: dict[str, Any] = {}
    for name, array in (("stop_loss", "stop"), ("take_profit", "target")):
        needed = name == "stop_loss" and sizing == "risk"
        if not needed and d.chance(0.3):
            continue
        kinds = ["price", "price", "atr"]
        kinds += ["signal", "signal"] if array in signals else []
        kinds += ["equity", "equity"] if sizing != "notional" and not needed else []
        kind = d.pick(*kinds)
        far = d.spread(0.3, 8.0)
        value = far if kind == "atr" else far * step * (2.0 if kind == "signal" else 1.0)
        if kind == "price" and step == COARSE:
            value = d.pick(1 / 16, 1 / 8, 1 / 4)
        rules[name], rules[name + "_kind"] = value, kind
    rules["take_profit_order"] = d.pick("limit", "limit", "market")
    rules["atr_period"] = d.pick(1, 3, 14)
    if d.chance(0.35):
        far = d.pick(1.0, 2.0, 4.0) if step == COARSE else d.spread(0.5, 8.0)
        rules["trailing"] = far * step
    if d.chance(0.35):
        far = d.pick(1.0, 2.0, 4.0) if step == COARSE else d.spread(0.2, 4.0)
        rules["break_even"] = min(far * step, 0.9)
        rules["break_even_offset"] = rules["break_even"] * d.pick(0.0, 0.25, 0.7, 1.0)
    return rules


def draw_size(
    d: Draw, signals: dict[str, Any], step: float, initial: float, maintenance: float
) -> dict[str, Any]:
    """Draw sizing and leverage."""
    refused = {"confidence"} if signals["kind"] == "score" else set()
    refused |= set() if "size" in signals else {"signal"}
    sizing = d.pick(*(name for name in SIZINGS if name not in refused))
    allowed = [x for x in LEVERAGES if x * maintenance < 1.0]
    fraction = d.pick(1.0, 1.0, 0.5, 0.1, d.uniform(0.02, 1.0))
    rules: dict[str, Any] = {"sizing": sizing, "fraction": fraction, "leverage": d.pick(*allowed)}
    if sizing == "notional":
        rules["notional"] = initial * d.spread(0.05, 5.0)
    elif sizing == "confidence":
        rules["size_min"] = fraction * d.pick(0.0, 0.0, 0.3)
    elif sizing == "risk":
        rules["risk"] = d.pick(0.005, 0.02, 0.1)
    elif sizing == "volatility":
        rules["vol_target"] = d.spread(0.05, 50.0) * step
        rules["vol_window"] = d.pick(2, 5, 20, 40)
    return rules


def draw_rules(
    d: Draw, market: Market, signals: dict[str, Any], step: float, initial: float
) -> dict[str, Any]:
    """Draw rules over every field."""
    rules = draw_size(d, signals, step, initial, market.maintenance)
    rules.update(draw_thresholds(d, signals))
    rules.update(draw_levels(d, signals, step, rules["sizing"]))
    if d.chance(0.3):
        rules["max_hold"] = d.pick(1, 2, 5, 20)
    if d.chance(0.3):
        rules["cooldown"] = d.pick(1, 2, 5, 12)
    rules["intrabar"] = d.pick("pessimistic", "optimistic", "nearest_open")
    how = d.pick("market", "market", "close", "limit", "limit")
    if how == "close":
        rules["fill"] = "close"
    elif how == "limit":
        rules["entry"] = "limit"
        rules["limit_offset"] = d.pick(0.0, 0.2 * step, 0.5 * step, step, 2.0 * step)
        rules["limit_bars"] = d.pick(1, 2, 3, 8)
    return rules


def draw_costs(d: Draw, step: float) -> dict[str, float]:
    """Draw fees and slippage: none, usual, large, or with a rebate for makers."""
    costs = {"taker": d.pick(0.0, 0.0005, 0.0005, 0.001, 0.01)}
    if d.chance(0.6):
        costs["slippage"] = d.pick(0.0, 0.0002, 0.5 * step, step)
    if d.chance(0.6):
        costs["maker"] = d.pick(0.0, 0.0002, -0.0002, -0.002)
    return costs


def draw_schedule(
    d: Draw,
    market: Market,
    signals: dict[str, Any],
    step: float,
    initial: float,
    window: tuple[int, int],
) -> list[tuple[int, dict[str, Any]]]:
    """Draw two to four segments; in half of the draws only numbers differ between them.

    ``fill`` and ``intrabar`` never differ.
    """
    start, end = window
    count = min(d.whole(2, 4), end - start)
    starts = d.rng.choice(np.arange(start, end), size=count, replace=False)
    first = draw_rules(d, market, signals, step, initial)
    numbers_only = d.chance(0.5)
    segments: list[tuple[int, dict[str, Any]]] = []
    for at in sorted(int(x) for x in starts):
        rules = dict(first)
        if segments and not numbers_only:
            rules = draw_rules(d, market, signals, step, initial)
            while rules.get("fill") != first.get("fill"):
                rules = draw_rules(d, market, signals, step, initial)
            rules["intrabar"] = first["intrabar"]
        elif segments:
            rules.update(draw_numbers(d, first))
        segments.append((at, rules))
    if d.chance(0.5):
        segments[0] = (d.whole(0, segments[0][0]), segments[0][1])
    return segments


def draw_numbers(d: Draw, rules: dict[str, Any]) -> dict[str, Any]:
    """Draw other values for the numeric rules that are set and have no ties to others."""
    new: dict[str, Any] = {}
    for name in ("stop_loss", "take_profit", "trailing", "limit_offset", "risk", "vol_target"):
        if name in rules:
            new[name] = rules[name] * d.pick(0.5, 1.0, 1.7)
    for name in ("entry_long", "entry_short", "exit_long", "exit_short"):
        if name in rules:
            new[name] = rules[name] * d.pick(0.8, 1.0, 1.0)
    for name in ("max_hold", "limit_bars", "cooldown"):
        if name in rules:
            new[name] = rules[name] + d.pick(0, 0, 1, 3)
    return new


def draw(seed: int) -> Case:
    """Draw one valid case; the same seed gives the same case."""
    d = Draw(seed)
    initial = d.pick(10_000.0, 10_000.0, 137.5, 1e6)
    theme = d.pick(*["mixed"] * 18, "coarse", "coarse", "funding")
    market, step = draw_market(d, initial, theme)
    n = len(market.close)
    signals = draw_signals(d, n)
    costs = draw_costs(d, step)
    if theme == "coarse" and d.chance(0.7):
        costs["slippage"] = 0.0
    window = None
    if n > 40 and d.chance(0.25):
        start = d.whole(1, n // 3)
        window = (start, d.whole(start + 1, n - 1))
    schedule = None
    if n > 10 and d.chance(0.1):
        schedule = draw_schedule(d, market, signals, step, initial, window or (0, n))
        rules = schedule[0][1]
    else:
        rules = draw_rules(d, market, signals, step, initial)
    if theme == "funding" and schedule is None:
        rules.update(sizing="fraction", fraction=1.0, leverage=d.pick(3.0, 5.0, 10.0))
        for name in ("stop_loss", "trailing", "break_even", "break_even_offset", "max_hold"):
            rules.pop(name, None)
    boundary = d.pick("carry", "close") if schedule is not None else "carry"
    return Case(market, signals, rules, costs, window, initial, schedule, boundary)
