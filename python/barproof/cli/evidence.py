"""What ``barproof audit`` is to judge: read from files, made by the project's rules, or the whole chain run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from barproof._ablation import Ablation
from barproof._ablation import ablation as run_ablation
from barproof._backtest import Result
from barproof._backtest import backtest as run_backtest
from barproof._grid import Grid
from barproof._walk_forward import walk_forward_optimise
from barproof.candles import Candles
from barproof.candles.sources import load
from barproof.cli.config import Config
from barproof.cli.inputs import (
    costs_of,
    first_given,
    grid_from,
    grid_parts,
    is_trained,
    judged_rows,
    rules_of,
)
from barproof.cli.label_kinds import Asked, plan_of, tells_labels
from barproof.cli.study import Study, features_of, folds_of, train_study
from barproof.errors import ConfigError, Interrupted
from barproof.ledger import Recorded
from barproof.results import holds_trades, take_trades
from barproof.results import read_predictions as take_predictions
from barproof.rules import Costs, Rules
from barproof.signals import Signals
from barproof.training import Run

__all__ = [
    "Evidence",
    "add_ablation",
    "add_backtest",
    "add_project",
    "chain",
    "holds_trades",
    "read_label_cells",
    "read_predictions",
    "read_trades",
    "run_chain",
    "told_columns",
]


@dataclass
class Evidence:
    """What is there to be audited."""

    candles: Candles | None = None
    trades: pl.DataFrame | None = None
    fills: pl.DataFrame | None = None
    equity: pl.DataFrame | None = None
    claims: Any = None
    predictions: pl.DataFrame | None = None
    signals: Signals | None = None
    features: Any = None
    labels: Any = None
    folds: Any = None
    run: Run | None = None
    result: Result | None = None
    label_sweep: pl.DataFrame | None = None
    ablation: Ablation | None = None
    live_log: Any = None
    bundles: Any = None
    notes: list[str] = field(default_factory=list)

    def given(self) -> dict[str, Any]:
        """Arguments of :func:`barproof.audit`."""
        names = [name for name in self.__dataclass_fields__ if name != "notes"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


def told_columns(option: str, words: Sequence[str] | None, shown: str) -> dict[str, str]:
    """Read which column holds what, each NAME=COLUMN."""
    told: dict[str, str] = {}
    for word in words or ():
        name, sign, column = word.partition("=")
        if not (sign and name.strip() and column.strip()):
            raise ConfigError(f"`{option} {word}` must read NAME=COLUMN, such as {shown}")
        told[name.strip()] = column.strip()
    return told


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
    told = told_columns("--trade-column", columns, "return=net_pct")
    taken = take_trades(path, columns=told, strategy=strategy)
    evidence.trades, evidence.fills = taken.trades, taken.fills
    evidence.notes += taken.notes


def read_predictions(
    path: Path, evidence: Evidence, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """Read test rows of a table of predictions, with the labels of the project where there are any."""
    frame = take_predictions(path, columns=told_columns("--prediction-column", columns, "p_1=prob"))
    if is_trained(frame):
        frame = judged_rows(frame, path)
    if "label" not in frame.columns:
        evidence.notes.append("the predictions bring no labels: class bias is not audited")
    return frame


def read_label_cells(path: Path) -> pl.DataFrame:
    """Read the frame of a label sweep."""
    frame, _ = load(path, name="label cells")
    if not {"cell", "labels"} <= set(frame.columns):
        raise ConfigError(
            f"`--label-cells` {path.name!r} is no frame of bp.labels.sweep, it has {', '.join(frame.columns[:12])}: "
            "write its `.frame` to a file"
        )
    return frame


def add_ablation(evidence: Evidence, seed: int, threads: int | None) -> None:
    """Run entries and exits of the result with and without each other."""
    result = evidence.result
    if result is None or not isinstance(result.rules, Rules):
        raise ConfigError(
            "`--ablation` needs a backtest of one set of rules: give signals, rules and costs, or `--run` in a project "
            "without a grid"
        )
    evidence.ablation = run_ablation(result, seed=seed, threads=threads)


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


def chain(
    candles: Candles,
    study: Study,
    rules: Rules,
    costs: Costs,
    *,
    grid: Grid | None,
    metric: str,
    min_trades: int,
    initial_equity: float,
    threads: int | None = None,
    ledger: Recorded = None,
) -> tuple[Run, Result]:
    """Train, choose rules on tune bars where there is a grid, and judge them on test bars.

    Parameters
    ----------
    candles : Candles
        Bars.
    study : Study
        What to train.
    rules, costs
        Rules to run where there is no grid; costs of all runs.
    grid : Grid or None
        Rules to choose from.
    metric, min_trades
        What best means, and what traded less is left out.
    initial_equity : float
        To start with.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core.
    ledger : Ledger, str, Path or bool, optional
        Default: that of the project.

    Returns
    -------
    tuple of Run and Result
        The models, and what was judged.
    """
    try:
        run = train_study(study, candles, threads, ledger=ledger)
    except Interrupted as stop:
        raise KeyboardInterrupt(
            f"interrupted after {stop.done:,} of {stop.total:,} folds, nothing was written"
        ) from None
    if grid is None:
        first = min(int(fold.test[0]) for fold in run.folds)
        last = max(int(fold.test[-1]) for fold in run.folds)
        return run, run_backtest(
            candles,
            run.signals(exit=study.exit),
            rules,
            costs=costs,
            window=(first, last + 1),
            initial_equity=initial_equity,
            ledger=ledger,
        )
    try:
        return run, walk_forward_optimise(
            run,
            grid,
            costs=costs,
            metric=metric,
            min_trades=min_trades,
            exit=study.exit,
            initial_equity=initial_equity,
            threads=threads,
            ledger=ledger,
        )
    except Interrupted as stop:
        raise KeyboardInterrupt(
            f"interrupted after {stop.done:,} of {stop.total:,} combinations, nothing was written"
        ) from None


def run_chain(
    evidence: Evidence,
    settings: Config,
    study: Study,
    rules: Rules,
    costs: Costs,
    threads: int | None,
) -> dict[str, Any]:
    """Run the project's chain; gives what it was asked for beside study, rules and costs."""
    assert evidence.candles is not None
    swept = bool(settings.grid.axes or settings.grid.together)
    parts = grid_parts(settings, None, None, None, None) if swept else None
    if swept and study.folds.tune is None:
        raise ConfigError(
            "the rules of the grid are chosen on tune bars, and there are none: set `tune` in [folds] of "
            "barproof.toml, or take [grid] away"
        )
    asked: dict[str, Any] = {
        "metric": settings.sweep.metric or "sharpe",
        "min_trades": settings.sweep.min_trades,
        "initial_equity": first_given(None, settings.backtest.initial_equity),
    }
    evidence.run, evidence.result = chain(
        evidence.candles,
        study,
        rules,
        costs,
        grid=None if parts is None else grid_from(rules, parts),
        threads=threads,
        **asked,
    )
    evidence.features = study.features if study.own is None else None
    return {"grid": parts, **asked}
