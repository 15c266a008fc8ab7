"""Slow twin of the metrics of section 5: sums run in trade or bar order, undefined is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Trades = Sequence[Mapping[str, object]]

DAY_MS = 86_400_000
NAN = math.nan
REASONS = ("signal", "stop", "take", "trail", "breakeven", "time", "liquidation", "reverse", "end")


@dataclass(frozen=True)
class Span:
    """The stretch of candles that a run covered."""

    start_ms: int
    length_ms: int  # close time of the last bar less open time of the first
    bars: int
    growth: float  # last close / first open
    periods_per_year: float


def total(values: Iterable[float]) -> float:
    """Sum in order, without the compensation that newer Pythons build into ``sum``."""
    result = 0.0
    for value in values:
        result += value
    return result


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean; NaN of nothing."""
    return total(values) / len(values) if values else NAN


def ratio(numerator: float, denominator: float) -> float:
    """Quotient; NaN where the denominator is zero."""
    return NAN if denominator == 0.0 else numerator / denominator


def numbers(trades: Trades, name: str) -> list[float]:
    """One column of the trades as floats."""
    column = []
    for trade in trades:
        value = trade[name]
        assert isinstance(value, (bool, int, float))
        column.append(float(value))
    return column


def daily_returns(open_time: NDArray[np.int64], equity: Floats, initial: float) -> Floats:
    """Compute returns from UTC day to UTC day, by the bars opening in it; 0 from an equity of 0."""
    returns = []
    before = initial
    for bar, time in enumerate(open_time):
        last = bar + 1 == len(equity) or int(open_time[bar + 1]) // DAY_MS != int(time) // DAY_MS
        if last:
            now = float(equity[bar])
            returns.append(now / before - 1.0 if before > 0.0 else 0.0)
            before = now
    return np.array(returns)


def max_drawdown(equity: Iterable[float], initial: float) -> float:
    """Deepest fall below the running peak, as a positive fraction."""
    peak, deepest = initial, 0.0
    for value in equity:
        peak = max(peak, value)
        deepest = max(deepest, 1.0 - value / peak)
    return deepest


def longest_losing_run(pnl: Sequence[float]) -> int:
    """Most trades in a row with a loss."""
    longest = current = 0
    for value in pnl:
        current = current + 1 if value < 0.0 else 0
        longest = max(longest, current)
    return longest


def daily_metrics(days: Sequence[float], periods: float) -> dict[str, float]:
    """Volatility and the ratios of daily returns; NaN with fewer than two days."""
    if len(days) < 2:
        return dict.fromkeys(("volatility", "sharpe_daily", "sharpe", "sortino"), NAN)
    middle = mean(days)
    sd = math.sqrt(total((r - middle) ** 2 for r in days) / (len(days) - 1))
    downside = math.sqrt(mean([min(r, 0.0) ** 2 for r in days]))
    sharpe_daily = ratio(middle, sd)
    return {
        "volatility": sd * math.sqrt(periods),
        "sharpe_daily": sharpe_daily,
        "sharpe": sharpe_daily * math.sqrt(periods),
        "sortino": ratio(middle, downside) * math.sqrt(periods),
    }


def trade_metrics(trades: Trades) -> dict[str, float]:
    """Everything that needs the trades alone."""
    count = len(trades)
    pnl, returns = numbers(trades, "pnl"), numbers(trades, "return")
    winners = [r for r, x in zip(returns, pnl, strict=True) if x > 0.0]
    losers = [r for r, x in zip(returns, pnl, strict=True) if x < 0.0]
    won, lost = total(x for x in pnl if x > 0.0), -total(x for x in pnl if x < 0.0)
    mean_win, mean_loss = mean(winners), mean(losers)
    reasons = [trade["reason"] for trade in trades]
    metrics: dict[str, float] = {
        "trades": count,
        "wins": len(winners),
        "win_rate": len(winners) / count if count else NAN,
        "mean_win": mean_win,
        "mean_loss": mean_loss,
        "payoff": ratio(mean_win, -mean_loss),
        "profit_factor": math.inf if winners and not losers else ratio(won, lost),
        "expectancy": mean(returns),
        "break_even_win_rate": ratio(-mean_loss, mean_win - mean_loss),
        "mean_bars_held": mean(numbers(trades, "bars_held")),
        "longest_losing_run": longest_losing_run(pnl),
        "ambiguous_share": mean(numbers(trades, "ambiguous")),
        "ambiguous_trail_share": mean(numbers(trades, "ambiguous_trail")),
        "fees": total(numbers(trades, "fees")),
        "funding": total(numbers(trades, "funding")),
    }
    for reason in REASONS:
        metrics["n_" + reason] = reasons.count(reason)
    return metrics


def all_metrics(
    trades: Trades,
    days: Sequence[float],
    growth: float,
    drawdown: float,
    initial: float,
    span: Span,
) -> dict[str, float]:
    """Every metric of section 5, given the growth of the equity and its deepest fall."""
    years = span.length_ms / (365.25 * DAY_MS)
    cagr = growth ** (1.0 / years) - 1.0 if span.length_ms >= 30 * DAY_MS else NAN
    held = total(numbers(trades, "bars_held"))
    return {
        "total_return": growth - 1.0,
        "cagr": cagr,
        "max_drawdown": drawdown,
        "calmar": ratio(cagr, drawdown),
        "exposure": held / span.bars,
        "trades_per_day": len(trades) / (years * 365.25),
        "final_equity": initial * growth,
        "buy_hold_return": span.growth - 1.0,
        **daily_metrics(days, span.periods_per_year),
        **trade_metrics(trades),
    }


def compute_metrics(
    trades: Trades, equity: Floats, days: Floats, initial: float, span: Span
) -> dict[str, float]:
    """Metrics of one window; the equity of its last bar is that after the last trade."""
    final = float(equity[-1])
    drawdown = max_drawdown(equity.tolist(), initial)
    metrics = all_metrics(trades, days.tolist(), final / initial, drawdown, initial, span)
    metrics["final_equity"] = final
    return metrics


def pool_metrics(
    trades: Sequence[Trades],
    equity: Sequence[Floats],
    days: Sequence[Floats],
    initial: Sequence[float],
    spans: Sequence[Span],
) -> dict[str, float]:
    """Metrics over windows in time order that do not overlap, the equity compounding over them."""
    growth, bought = 1.0, 1.0
    path: list[float] = []
    for marks, start, span in zip(equity, initial, spans, strict=True):
        path += [growth * (float(mark) / start) for mark in marks]
        growth *= float(marks[-1]) / start
        bought *= span.growth
    span = Span(
        start_ms=spans[0].start_ms,
        length_ms=sum(span.length_ms for span in spans),
        bars=sum(span.bars for span in spans),
        growth=bought,
        periods_per_year=spans[0].periods_per_year,
    )
    together = [trade for part in trades for trade in part]
    all_days = [float(r) for part in days for r in part]
    return all_metrics(together, all_days, growth, max_drawdown(path, 1.0), initial[0], span)
