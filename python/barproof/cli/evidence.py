"""What ``barproof audit`` is to judge: read from files, made by the project's rules, or the whole chain run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from barproof._backtest import Result
from barproof._backtest import backtest as run_backtest
from barproof._walk_forward import walk_forward_optimise
from barproof.candles import Candles
from barproof.candles.sources import load
from barproof.cli.config import Config
from barproof.cli.inputs import (
    costs_of,
    first_given,
    grid_of,
    is_trained,
    judged_rows,
    rules_of,
)
from barproof.cli.label_kinds import Asked, plan_of, tells_labels
from barproof.cli.study import Study, features_of, folds_of, train_study
from barproof.errors import ConfigError, Interrupted
from barproof.results import holds_trades, take_trades
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.training import Run

__all__ = [
    "Evidence",
    "add_backtest",
    "add_project",
    "holds_trades",
    "read_predictions",
    "read_trades",
    "run_chain",
]


@dataclass
class Evidence:
    """What is there to be audited."""

    candles: Candles | None = None
    trades: pl.DataFrame | None = None
    fills: pl.DataFrame | None = None
    claims: Any = None
    predictions: pl.DataFrame | None = None
    signals: Signals | None = None
    features: Any = None
    labels: Any = None
    folds: Any = None
    run: Run | None = None
    result: Result | None = None
    notes: list[str] = field(default_factory=list)

    def given(self) -> dict[str, Any]:
        """Arguments of :func:`barproof.audit`."""
        names = [name for name in self.__dataclass_fields__ if name != "notes"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def read_trades(
    path: Path, evidence: Evidence, columns: Sequence[str] | None, strategy: str | None
) -> None:
    """Read trades or fills of any tool.

    Parameters
    ----------
    path : Path
        Parquet, Feather, CSV, or a result of freqtrade.
    evidence : Evidence
        Takes trades and fills, and what was understood of another tool's names.
    columns : sequence of str or None
        Each NAME=COLUMN.
    strategy : str or None
        Which of several.

    Raises
    ------
    ConfigError
        If a column is not told as NAME=COLUMN.
    """
    told: dict[str, str] = {}
    for word in columns or ():
        name, sign, column = word.partition("=")
        if not (sign and name and column):
            raise ConfigError(
                f"`--trade-column {word}` must read NAME=COLUMN, such as return=net_pct"
            )
        told[name.strip()] = column.strip()
    taken = take_trades(path, columns=told, strategy=strategy)
    evidence.trades, evidence.fills = taken.trades, taken.fills
    evidence.notes += taken.notes


def read_predictions(path: Path, evidence: Evidence) -> pl.DataFrame:
    """Read test rows of a table of predictions, with the labels of the project where there are any."""
    frame, _ = load(path, name="predictions")
    if not any(name.startswith("p_") or name == "prediction" for name in frame.columns):
        raise ConfigError(
            f"predictions {path.name!r} have no column `p_1` or `prediction`, but {', '.join(frame.columns)}: give a "
            "table of `barproof train`, or probabilities as `--signals`"
        )
    if is_trained(frame):
        frame = judged_rows(frame, path)
    if "label" not in frame.columns:
        evidence.notes.append("the predictions bring no labels: class bias is not audited")
    return frame


def add_project(evidence: Evidence, settings: Config) -> None:
    """Features, labels and folds that the project tells, on its candles."""
    candles = evidence.candles
    assert candles is not None
    evidence.features = features_of(settings, None)
    if tells_labels(settings.labels):
        nothing = (None, None, None, False)
        evidence.labels = plan_of(settings, Asked(prefix="--label-"), nothing).make(candles)
        if settings.folds.train is not None and settings.folds.test is not None:
            evidence.folds = folds_of(settings, None, None, None, None, None, None)


def add_backtest(
    evidence: Evidence,
    settings: Config,
    rule: Sequence[str] | None,
    costs: tuple[float | None, float | None, float | None, bool],
) -> None:
    """Run the rules, where rules and costs are told."""
    rules = rules_of(settings, rule)
    section = settings.costs
    priced = costs[3] or section.free or costs[0] is not None or section.taker is not None
    if not rules.changed() or evidence.trades is not None:
        return
    if not priced:
        evidence.notes.append(
            "no costs are told: the rules were not run, and no trades are audited"
        )
        return
    assert evidence.candles is not None
    assert evidence.signals is not None
    window = settings.backtest.window
    evidence.result = run_backtest(
        evidence.candles,
        evidence.signals,
        rules,
        costs=costs_of(settings, *costs),
        window=None if window is None else (window[0], window[1]),
        initial_equity=first_given(None, settings.backtest.initial_equity),
    )


def run_chain(
    evidence: Evidence,
    settings: Config,
    study: Study,
    rules: Rules,
    costs: Costs,
    threads: int | None,
) -> None:
    """Train, choose rules on tune bars where there is a grid, and judge them on test bars."""
    candles = evidence.candles
    assert candles is not None
    swept = bool(settings.grid.axes or settings.grid.together)
    grid = grid_of(settings, rules, None, None, None, None) if swept else None
    if swept and study.folds.tune is None:
        raise ConfigError(
            "the rules of the grid are chosen on tune bars, and there are none: set `tune` in [folds] of "
            "barproof.toml, or take [grid] away"
        )
    try:
        run = train_study(study, candles, threads)
    except Interrupted as stop:
        raise KeyboardInterrupt(
            f"interrupted after {stop.done:,} of {stop.total:,} folds, nothing was written"
        ) from None
    equity = first_given(None, settings.backtest.initial_equity)
    if grid is None:
        signals = run.signals(exit=study.exit)
        first = min(int(fold.test[0]) for fold in run.folds)
        last = max(int(fold.test[-1]) for fold in run.folds)
        evidence.result = run_backtest(
            candles, signals, rules, costs=costs, window=(first, last + 1), initial_equity=equity
        )
    else:
        try:
            evidence.result = walk_forward_optimise(
                run,
                grid,
                costs=costs,
                metric=settings.sweep.metric or "sharpe",
                min_trades=settings.sweep.min_trades,
                exit=study.exit,
                initial_equity=equity,
                threads=threads,
            )
        except Interrupted as stop:
            raise KeyboardInterrupt(
                f"interrupted after {stop.done:,} of {stop.total:,} combinations, nothing was written"
            ) from None
    evidence.run = run
    evidence.features = study.features if study.own is None else None
