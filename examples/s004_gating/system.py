"""The bot of case S004: four models on five-minute bars, their thresholds, and what they trade."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import barproof as bp
from examples.casework import Case

DAY = 288
BARS = 30_004
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
FREE = bp.Costs(taker=0.0, maker=0.0, slippage=0.0)
KEEP, LEAST = 8, 10
"""Features of a mended model; trades on tune rows, below which no rules are chosen."""
EDGE = {"broken": 0.0, "mended": 0.25}
"""What there is to earn in either market; volatility, volume and chance are the same in both."""
FLOW = ("taker_imbalance()", "ema(taker_imbalance(), 6)", "ema(taker_imbalance(), 24)")


@dataclass(frozen=True, eq=False)
class System:
    """What one variant trained, how its rules were chosen, and what they traded."""

    candles: bp.Candles
    features: bp.FeatureSet
    table: Any
    run: Any
    signals: bp.Signals
    grid: bp.Grid
    sweep: Any
    combination: int
    rules: bp.Rules
    result: Any
    window: tuple[int, int]
    windows: list[tuple[int, int]]


def market(case: Case) -> bp.Candles:
    """Real candles where a folder is given; else simulated ones.

    The broken variant lives on 30,004 bars with nothing to earn, where none of the five could have worked. The mended
    one has an edge to find, which shows in what takers do, and looks longer: 104 days are too few to choose and to
    judge (DATA-08, OVF-04), and 108 windows that share no day want 615.
    """
    if case.data is not None:
        return bp.read_candles(
            case.data / "binanceum_btcusdt_5m.parquet",
            instrument="perpetual",
            funding=case.data / "binanceum_btcusdt_funding.parquet",
        )
    longer = (75 + (108 * 5 if case.full else 90)) * DAY
    return bp.simulate_candles(
        case.seed, bars=BARS if case.broken else longer, edge=case.edge(EDGE[case.told.variant])
    )


class NothingReachedError(Exception):
    """No rules of the grid trade on tune rows; holds the run that says so little."""

    def __init__(self, run: Any) -> None:
        super().__init__("no rules of the grid trade on tune rows")
        self.run = run


def build(case: Case) -> System:
    """From candles to trades."""
    candles = market(case)
    features = bp.FeatureSet.preset("gating_109")
    if not case.broken and "taker_buy_volume" in candles.extra:
        features = bp.FeatureSet([*features.names, *FLOW])
    table = features.compute(candles)
    run = bp.train(_parts(case, candles, table), folds=_folds(case, candles), seed=case.seed)
    signals, window = stitched(run)
    grid = _grid(case)
    windows = _windows(case, window)
    # The case chose on the bars that it reported, before costs.
    sweep = bp.sweep(candles, signals, grid, costs=FREE if case.broken else COSTS, windows=windows)
    best = sweep.best("sharpe", min_trades=30) if case.broken else _chosen(run, grid)
    result = bp.backtest(candles, signals, best.rules, costs=COSTS, window=window)
    return System(
        candles,
        features,
        table,
        run,
        signals,
        grid,
        sweep,
        best.combination,
        best.rules,
        result,
        window,
        windows,
    )


def _parts(case: Case, candles: bp.Candles, table: Any) -> dict[str, bp.Part]:
    """Four models: entries into longs (85 features) and shorts (79), and what leaves either."""
    flow = [name for name in FLOW if name in table.columns]
    sees = {
        side: table.select("open_time", *bp.FeatureSet.preset(name).names, *flow)
        for side, name in (("long", "gating_long_85"), ("short", "gating_short_79"))
    }
    if case.broken:
        # Trees that are grown until they know the train rows by heart, and never calibrated.
        model: Any = bp.models.GradientBoosting(
            max_iter=60 if case.full else 16,
            learning_rate=0.2 if case.full else 0.4,
            max_leaf_nodes=31,
            min_samples_leaf=20,
            max_features=0.3,
            early_stopping=False,
        )
    else:
        model = bp.models.Logistic(C=0.01)
    model = case.kept(model)
    # Of 88 features the mended models keep those that tell most in the train rows; the five kept all.
    few = None if case.broken else bp.models.TopK(KEEP)
    simple = np.nan_to_num(np.sign(table["ema_ratio(21)"].to_numpy()))
    leave = bp.labels.exits(candles, simple, bp.Rules(max_hold=24), costs=FREE)
    return {
        "long": bp.Part(model, sees["long"], votes(case, candles, "long"), few),
        "short": bp.Part(model, sees["short"], votes(case, candles, "short"), few),
        "exit_long": bp.Part(model, sees["long"], leave.of("long"), few),
        "exit_short": bp.Part(model, sees["short"], leave.of("short"), few),
    }


def votes(case: Case, candles: bp.Candles, side: Any, k: int = 2) -> Any:
    """Label entries by two of three: before costs a trade of this side pays over a short, a longer, a long hold."""
    holds = (6, 12, 24) if case.broken else (3, 6, 9)
    ballots = [
        bp.labels.triple_barrier(candles, bp.Rules(max_hold=bars), costs=FREE, side=side)
        for bars in holds
    ]
    return bp.labels.vote(ballots, k=k)


def _folds(case: Case, candles: bp.Candles) -> bp.WalkForward:
    if case.broken:
        # 108 windows of 5 days on 104 days: each day is judged five times.
        step = (len(candles) - 35 * DAY) // 107 if case.full else 21 * DAY
        test = 5 * DAY if case.full else 21 * DAY
        return bp.WalkForward(train=30 * DAY, test=test, step=step)
    if case.data is not None:
        return bp.WalkForward(train=45 * DAY, tune=15 * DAY, test=5 * DAY)
    return bp.WalkForward(train=45 * DAY, tune=30 * DAY, test=(5 if case.full else 30) * DAY)


def stitched(run: Any) -> tuple[bp.Signals, tuple[int, int]]:
    """Join the test rows of all folds; where they overlap, the first bars of each, until the next model takes over."""
    starts = [int(fold.test[0]) for fold in run.folds]
    end = int(run.folds[-1].test[-1]) + 1
    arrays: dict[str, Any] = {name: np.full(len(run.candles), np.nan) for name in run.parts}
    for i, (start, stop) in enumerate(zip(starts, [*starts[1:], end], strict=True)):
        held = run.signals(fold=i)
        for name, values in arrays.items():
            values[start:stop] = held[name][start:stop]
    return bp.Signals(**arrays), (starts[0], end)


def _windows(case: Case, window: tuple[int, int]) -> list[tuple[int, int]]:
    """108 windows of 5 days; the case's overlap, and count each day five times."""
    start, end = window
    step = (end - start - 5 * DAY) // 107 if case.broken and case.full else 5 * DAY
    return [(low, low + 5 * DAY) for low in range(start, end - 5 * DAY + 1, step)]


def _grid(case: Case) -> bp.Grid:
    if case.broken:
        rules = bp.Rules(
            leverage=4,
            sizing="confidence",
            size_min=0.2,
            stop_loss=0.03,
            stop_loss_kind="equity",
            take_profit_kind="equity",
            short_gate=0.05,
        )
        return bp.Grid(
            rules,
            _together("entry", [0.75, 0.80]),
            _together("exit", [0.75, 0.80, 0.90]),
            take_profit=[0.006, 0.008, 0.010],
        )
    # Three percent of the account without leverage; the stop lies 1.4% away.
    rules = bp.Rules(fraction=0.03, stop_loss=0.014, short_gate=0.0)
    return bp.Grid(
        rules,
        _together("entry", [0.56, 0.60, 0.64]),
        _together("exit", [0.60, 0.70]),
        max_hold=[12, 36],
    )


def _together(what: str, levels: list[float]) -> dict[str, list[float]]:
    return {f"{what}_long": levels, f"{what}_short": levels}


def _chosen(run: Any, grid: bp.Grid) -> Any:
    """Choose rules on the tune rows of the first window, before any judged bar; they are never changed."""
    first = run.signals(part="tune", fold=0)
    rows = run.folds[0].tune
    found = bp.sweep(
        run.candles, first, grid, costs=COSTS, windows=[(int(rows[0]), int(rows[-1]) + 1)]
    )
    if not (found.frame["trades"] >= LEAST).any():
        raise NothingReachedError(run)
    return found.best("sharpe", min_trades=LEAST)
