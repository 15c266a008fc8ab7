"""The demonstration: a market made up with a known edge, a noisy signal that sees it, a sweep and what it found.

The edge is planted, so the truth is known: rules that trade only strong signals should earn after costs, rules that
trade often should lose to them, and the best of many should look better than it is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from barproof._backtest import Result
from barproof._grid import Grid
from barproof._sweep import Best, Plan, Sweep, plan, sweep
from barproof.candles import Candles
from barproof.candles.simulate import simulate_candles
from barproof.rules import Costs, Rules
from barproof.signals import Signals

__all__ = [
    "BARS",
    "EDGE",
    "NOISE",
    "SEED",
    "Demo",
    "Halves",
    "make_grid",
    "make_market",
    "run_demo",
]

SEED = 7
BARS = 200_000
EDGE = 0.04
"""Correlation of the planted score with the next bar's return; set so that strong signals pay their costs here and
weak ones do not, which is a choice about the picture and no claim about real markets."""
NOISE = 1.0
"""Standard deviation of the noise on the score, whose own is 1."""
CLARITY = 1.0 / math.hypot(1.0, NOISE)
"""Correlation of the signal with the score."""
COSTS = Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
WINDOWS = "1mo"
DAYS = 365.0
MIN_TRADES = 100
"""Combinations that traded less are not called best: few trades are luck."""


@dataclass(frozen=True)
class Halves:
    """The combination that the first half of the windows prefers, in both halves.

    Attributes
    ----------
    combination : int
        Its number.
    rules : Rules
        Its rules.
    chosen, judged : float
        Sharpe ratio of its daily returns, annualised, in the half that chose it and in the other.
    judged_return : float
        Compounded return of the half that did not choose it.
    windows : tuple of int
        Windows in each half.
    """

    combination: int
    rules: Rules
    chosen: float
    judged: float
    judged_return: float
    windows: tuple[int, int]


@dataclass(frozen=True)
class Demo:
    """What the demonstration made.

    Attributes
    ----------
    candles, signals, sweep, plan
        Market, signal, every combination, and what it was expected to take.
    best : Best
        The combination with the best Sharpe ratio over all windows; it flatters.
    result : Result
        Its backtest over all bars, in one run.
    halves : Halves or None
        How a choice fares on bars that did not make it; None with fewer than four windows.
    seconds : float
        Wall time.
    """

    candles: Candles
    signals: Signals
    sweep: Sweep
    plan: Plan
    best: Best
    result: Result
    halves: Halves | None
    seconds: float


def make_market(seed: int = SEED, bars: int = BARS) -> tuple[Candles, Signals]:
    """Make the market, and a signal that sees its planted score through noise.

    Parameters
    ----------
    seed : int, default 7
        Of the market; the noise takes the next one.
    bars : int, default 200_000
        Five-minute bars.

    Returns
    -------
    candles : Candles
        A perpetual with funding.
    signals : Signals
        Scores with standard deviation 1; short is the negative of long.
    """
    candles = simulate_candles(seed, bars=bars, edge=EDGE)
    noise = np.random.default_rng(seed + 1).standard_normal(bars)
    score = (np.asarray(candles.planted) + NOISE * noise) * CLARITY
    return candles, Signals(long=score, short=-score, kind="score")


def make_grid() -> Grid:
    """Rules to try: thresholds of both sides together, stops, targets, holding times; 1,200 combinations."""
    thresholds = [1.0 + 0.25 * i for i in range(12)]
    return Grid(
        Rules(),
        {"entry_long": thresholds, "entry_short": thresholds},
        stop_loss=[0.005, 0.01, 0.02, 0.03, None],
        take_profit=[0.01, 0.02, 0.03, 0.05, None],
        max_hold=[12, 24, 48, 96],
    )


def run_demo(
    *,
    seed: int = SEED,
    bars: int = BARS,
    threads: int | None = None,
    progress: bool | None = None,
    planned: Callable[[Candles, Plan, Grid], None] | None = None,
) -> Demo:
    """Run the demonstration.

    Parameters
    ----------
    seed : int, default 7
        Of market and noise.
    bars : int, default 200_000
        Five-minute bars.
    threads : int, optional
        As for :func:`barproof.sweep`.
    progress : bool, optional
        As for :func:`barproof.sweep`.
    planned : callable, optional
        Called with candles, plan and grid before the sweep.

    Returns
    -------
    Demo
        Everything, for the terminal and for the report.
    """
    began = time.perf_counter()
    candles, signals = make_market(seed, bars)
    grid = make_grid()
    job: dict[str, Any] = {"costs": COSTS, "windows": WINDOWS, "threads": threads}
    expected = plan(candles, signals, grid, **job)
    if planned is not None:
        planned(candles, expected, grid)
    found = sweep(candles, signals, grid, progress=progress, **job)
    best = found.best("sharpe", min_trades=min(MIN_TRADES, bars // 2_000))
    return Demo(
        candles=candles,
        signals=signals,
        sweep=found,
        plan=expected,
        best=best,
        result=found.result(best.combination),
        halves=split_halves(found),
        seconds=time.perf_counter() - began,
    )


def split_halves(found: Sweep) -> Halves | None:
    """Choose on the first half of the windows, judge on the second.

    Parameters
    ----------
    found : Sweep
        With windows one after the other.

    Returns
    -------
    Halves or None
        None with fewer than four windows, or where nothing traded.
    """
    first = len(found.windows) // 2
    if first < 2:
        return None
    # Mean and mean square of the daily returns, from what each window says of its own.
    days = (pl.col("end") - pl.col("start")).dt.total_milliseconds()
    daily = pl.col("volatility") / math.sqrt(DAYS)
    halves = (
        found.frame.with_columns(
            half=pl.col("window") < first,
            weight=days / days.sum().over("combination", pl.col("window") < first),
            mean=(pl.col("sharpe_daily") * daily).fill_nan(0.0),
            spread=daily.fill_nan(0.0),
        )
        .group_by("combination", "half")
        .agg(
            mean=(pl.col("weight") * pl.col("mean")).sum(),
            square=(pl.col("weight") * (pl.col("mean") ** 2 + pl.col("spread") ** 2)).sum(),
            gain=(1 + pl.col("total_return")).product() - 1,
            trades=pl.col("trades").sum(),
        )
        .with_columns(
            sharpe=pl.col("mean")
            / (pl.col("square") - pl.col("mean") ** 2).sqrt()
            * math.sqrt(DAYS)
        )
    )
    chosen = (
        halves.filter(
            pl.col("half"), pl.col("trades") >= MIN_TRADES // 2, pl.col("sharpe").is_finite()
        )
        .sort(["sharpe", "combination"], descending=[True, False])
        .head(1)
    )
    if not chosen.height:
        return None
    number = int(chosen["combination"][0])
    judged = halves.filter(~pl.col("half"), pl.col("combination") == number)
    return Halves(
        combination=number,
        rules=found.rules(number),
        chosen=float(chosen["sharpe"][0]),
        judged=float(judged["sharpe"][0]),
        judged_return=float(judged["gain"][0]),
        windows=(first, len(found.windows) - first),
    )
