"""One object of every public class, small, made the way that a user makes it."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import errors

NAMES = ["log_return(1)", "rsi(14)", "zscore(close, 50)"]
RULES = bp.Rules(entry_long=0.5, entry_short=0.5, max_hold=24)
COSTS = bp.Costs(taker=0.0005)
SYMBOL = "SIM<b>&X"
"""A name that must not become markup."""


def _study(candles: bp.Candles) -> bp.Result:
    """A procedure that finds nothing: it always buys."""
    always = bp.Signals(long=np.ones(len(candles)))
    return bp.backtest(candles, always, RULES.replace(entry_short=None), costs=COSTS, ledger=False)


@cache
def objects() -> dict[str, Any]:
    """Instances by the name of their public class; errors are made of a text."""
    candles = bp.simulate_candles(7, bars=3_000, interval="1h")
    bars = candles.to_polars().select("open_time", "open", "high", "low", "close", "volume")
    candles = bp.read_candles(bars, instrument="spot", symbol=SYMBOL)
    features = bp.FeatureSet(NAMES)
    table = features.compute(candles)
    labels = bp.labels.horizon(candles, bars=6, kind="binary")
    folds = bp.WalkForward(1_000, 500, tune=500)
    quiet: dict[str, Any] = {"ledger": False}
    run = bp.train(bp.models.Logistic(), table, labels, folds, seed=7, **quiet)
    signals, bundle = run.signals(), run.bundles[0]
    grid = bp.Grid(RULES, stop_loss=[0.01, None], max_hold=[12, 24])
    result = bp.backtest(candles, signals, RULES, costs=COSTS, **quiet)
    swept = bp.sweep(candles, signals, grid, costs=COSTS, windows="1mo", **quiet)
    plan = bp.plan(candles, signals, grid, costs=COSTS, windows="1mo")
    report = bp.audit(candles=candles, result=result, **quiet)
    folder = Path(tempfile.mkdtemp())
    with bp.LiveSession(
        bundle, RULES, costs=COSTS, state=folder / "live", candles=candles[:2_500]
    ) as session:
        decision = [session.on_bar(bar) for bar in candles[2_500:2_600]][-1]
        log = session.log()
    broken = bars.with_columns(high=bars["low"] * 0.5)
    try:
        bp.read_candles(broken, instrument="spot")
    except bp.CandleError as error:
        fault = error.faults[0]
    kept = bp.Ledger.open(folder / "ledger.sqlite")
    reference = bp.WatchReference.of(bundle, table[1_500:2_000])
    bp.backtest(candles, signals, RULES, costs=COSTS, ledger=folder / "ledger.sqlite")
    # A row as `search` writes it, without the extra that it needs.
    trials = pl.DataFrame(
        {"trial": [0], "value": [0.69], "seconds": [1.0], "model_digest": ["0"], "ledger": ["no"]}
    )
    made: dict[str, Any] = {
        "Ablation": bp.ablation(result, draws=19, resamples=100),
        "Bar": candles[0],
        "Best": swept.best("sharpe"),
        "Between": bp.between(0.1, 0.9),
        "Bundle": bundle,
        "Candles": candles,
        "CombinatorialPurged": bp.CombinatorialPurged(6, 2, labels=labels),
        "Costs": COSTS,
        "DailyReturns": swept.daily_returns,
        "DateSplit": bp.DateSplit(train=("2022-01-01", "2022-03-01"), test=("2022-03-01", "2022-04-01")),
        "Decision": decision,
        "Evaluation": bp.evaluate(bundle, candles, features=features, labels=labels),
        "Fault": fault,
        "FeatureSet": features,
        "FeatureStream": features.stream("1h"),
        "Finding": report.findings[0],
        "Fold": run.folds[0],
        "Grid": grid,
        "Instrument": candles.instrument,
        "Ledger": kept,
        "LiveLog": log,
        "LiveSession": session,
        "Memory": bp.finite(5),
        "OwnFeature": bp.feature(lambda c: c.close - c.open, name="body", memory=bp.finite(1)),
        "Parity": bp.parity(folder / "live", candles, bundle, RULES, costs=COSTS),
        "Part": bp.Part(bp.models.Logistic(), table, labels),
        "Plan": plan,
        "PortfolioResult": bp.portfolio({SYMBOL: candles}, {SYMBOL: signals}, RULES, costs=COSTS),
        "ProcedureTest": bp.procedure_test(_study, candles, count=19),
        "PurgedKFold": bp.PurgedKFold(4, labels=labels),
        "RandomEntries": bp.random_entries(result, draws=19),
        "RayExecutor": bp.RayExecutor(threads=2),
        "Reconciliation": bp.reconcile(result, bp.backtest(candles, signals, RULES, costs=bp.Costs(taker=0.001))),
        "Report": report,
        "Result": result,
        "Route": plan.paths[0],
        "Rules": RULES,
        "Run": run,
        "Sealed": bp.seal(candles, from_=2_000),
        "Search": bp.Search(trials, 0, "log_loss", bp.models.Logistic(), run, 1),
        "SignalSets": bp.SignalSets({"one": signals, "two": signals}),
        "Signals": signals,
        "Sweep": swept,
        "TrainingPlan": bp.plan_training(bp.models.Logistic(), table, labels, folds),
        "Verification": features.verify(candles[:600]),
        "WalkForward": folds,
        "WalkForwardResult": bp.walk_forward_optimise(
            run, grid, costs=COSTS, metric="total_return", min_trades=1, **quiet
        ),
        "Watch": bp.Watch(reference, outside=3.0),
        "WatchReference": reference,
    }  # fmt: skip
    return made | {name: getattr(errors, name)("<b>") for name in errors.__all__}
