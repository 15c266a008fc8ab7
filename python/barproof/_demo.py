"""The demonstration: the whole chain on a market whose edge is known, and a broken twin that must be refused.

The edge is planted, so the truth is known: takers lean on a hidden score, the score moves the next bars, and features
of the takers' share can find it. The twin makes two mistakes that real studies made: a feature that looks ahead, and a
threshold that its model never reaches.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import barproof as bp

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "BARS",
    "BROKEN_CODES",
    "COSTS",
    "EDGE",
    "FOLDS",
    "SEED",
    "TWIN_BARS",
    "Demo",
    "Study",
    "broken_study",
    "run_demo",
    "study",
    "worker_threads",
]

SEED = 7
BARS = 120_000
TWIN_BARS = 60_000
EDGE = 0.1
"""Correlation of the hidden score with the next bar's return; large enough to pay its costs here, which is a choice
about the demonstration and no claim about real markets."""
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
FOLDS = bp.WalkForward(train="90d", tune="20d", test="20d")
BROKEN_CODES = ("SPL-07", "PRED-05", "ECO-09")
"""What the twin must be refused with: a feature that looks ahead, a threshold out of reach, no trades."""


@dataclass(frozen=True)
class Study:
    """One chain from candles to verdict.

    Attributes
    ----------
    candles, features, labels, run : object
        What it was made of.
    sweep : Sweep or None
        Every combination on the test rows, in hindsight; None in the twin.
    result : Result
        Out of sample.
    report : Report
        Findings and verdict.
    seconds : float
        Wall time.
    """

    candles: bp.Candles
    features: bp.FeatureSet
    labels: bp.labels.Labels
    run: bp.Run
    sweep: bp.Sweep | None
    result: bp.Result
    report: bp.Report
    seconds: float


@dataclass(frozen=True)
class Demo:
    """What the demonstration made.

    Attributes
    ----------
    honest, broken : Study
        The chain, and its twin.
    seconds : float
        Wall time.
    """

    honest: Study
    broken: Study
    seconds: float


def study(candles: bp.Candles, folds: bp.WalkForward = FOLDS) -> Study:
    """Run the whole chain: features, walk-forward training, choice of rules, judgement, audits.

    Parameters
    ----------
    candles : Candles
        With `taker_buy_volume`, as simulated ones have.
    folds : WalkForward, optional
        Default: 90 days to train, 20 to tune, 20 to test.

    Returns
    -------
    Study
        Everything.
    """
    began = time.perf_counter()
    # The quick start of the README, word for word; a test compares them.
    features = bp.FeatureSet(
        [
            "log_return(1)",
            "log_return(12)",
            "rsi(14)",
            "rsi(14)@1h",
            "macd(12, 26, 9).hist",
            "bbands(20, 2).position",
            "atr_ratio(14)",
            "volume_zscore(48)",
            "taker_imbalance()",
            "ema(taker_imbalance(), 6)",
            "ema(taker_imbalance(), 24)",
            "time_of_day()",
        ]
    )
    X = features.compute(candles)  # noqa: N806
    labels = bp.labels.horizon(candles, bars=24, threshold=0.004)
    run = bp.train(bp.models.GradientBoosting(), X, labels, folds, seed=7)
    signals = run.signals()  # test rows, each predicted by a model that never saw it

    costs = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
    thresholds = [0.36, 0.40, 0.44, 0.48, 0.52, 0.56]
    grid = bp.Grid(
        bp.Rules(fraction=0.25),
        {"entry_long": thresholds, "entry_short": thresholds},  # one axis, varying together
        stop_loss=[0.01, 0.02, 0.03, None],
        take_profit=[0.01, 0.02, 0.04, None],
        max_hold=[12, 24, 48],
    )
    table = bp.sweep(candles, signals, grid, costs=costs, windows=folds)  # hindsight
    oos = bp.walk_forward_optimise(run, grid, costs=costs, metric="sharpe", min_trades=10)

    report = bp.audit(
        candles=candles, features=features, run=run, signals=signals, sweep=table, result=oos
    )
    # Here the quick start ends.
    took = time.perf_counter() - began
    return Study(candles, features, labels, run, table, oos, report, took)


def _next_hour(candles: bp.Candles) -> NDArray[np.float64]:
    """Look ahead, as a centred mean does: the mistake that the twin is there to make."""
    padded = np.pad(candles.close, 12, mode="edge")
    centred = np.convolve(padded, np.full(25, 1 / 25), mode="valid")
    return np.asarray(centred / candles.close - 1.0)


def broken_study(candles: bp.Candles) -> Study:
    """Run the twin: a feature that looks ahead, and a threshold that no prediction reaches.

    Parameters
    ----------
    candles : Candles
        As for :func:`study`.

    Returns
    -------
    Study
        Everything; its report must refuse it with :data:`BROKEN_CODES`.
    """
    began = time.perf_counter()
    smooth = bp.feature(_next_hour, name="smooth_trend", memory=bp.finite(25))
    features = bp.FeatureSet(["log_return(1)", "rsi(14)", "atr_ratio(14)", smooth])
    table = features.compute(candles)
    labels = bp.labels.horizon(candles, bars=24, threshold=0.004)
    folds = bp.WalkForward(train="60d", tune="20d", test="20d")
    model = bp.models.GradientBoosting()
    run = bp.train(model, table, labels, folds, seed=SEED, progress=False)
    signals = run.signals()
    rules = bp.Rules(entry_long=0.9999, entry_short=0.9999, max_hold=24)
    tests = [fold.test for fold in run.folds]
    window = int(tests[0][0]), int(tests[-1][-1]) + 1
    result = bp.backtest(candles, signals, rules, costs=COSTS, window=window)
    report = bp.audit(candles=candles, features=features, run=run, signals=signals, result=result)
    took = time.perf_counter() - began
    return Study(candles, features, labels, run, None, result, report, took)


def run_demo(
    *,
    seed: int = SEED,
    bars: int = BARS,
    threads: int | None = None,
    told: Callable[[str], None] = lambda _: None,
) -> Demo:
    """Run the demonstration.

    Parameters
    ----------
    seed : int, default 7
        Of the market.
    bars : int, default 120_000
        Five-minute bars, at least 45,000: a fold takes 130 days.
    threads : int, optional
        Worker threads.
    told : callable, optional
        Called with the name of each part before it runs.

    Returns
    -------
    Demo
        Everything, for the terminal and for the report.
    """
    began = time.perf_counter()
    candles = bp.simulate_candles(seed, bars=bars, edge=EDGE)
    with worker_threads(threads):
        told("honest")
        honest = study(candles)
        told("broken")
        broken = broken_study(candles[: min(bars, TWIN_BARS)])
    return Demo(honest, broken, time.perf_counter() - began)


@contextlib.contextmanager
def worker_threads(threads: int | None) -> Iterator[None]:
    """Set the number of worker threads for a while, as its variable would.

    Parameters
    ----------
    threads : int, optional
        None leaves it as it is.
    """
    name, before = "BARPROOF_THREADS", os.environ.get("BARPROOF_THREADS")
    if threads is not None:
        os.environ[name] = str(threads)
    try:
        yield
    finally:
        if threads is not None:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before
