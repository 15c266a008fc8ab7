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
from barproof.candles.columns import times
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
from barproof.cli.study import (
    Study,
    features_of,
    folds_of,
    label_rule,
    make_labels,
    train_study,
)
from barproof.errors import ConfigError, Interrupted
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

# Names that other tools give to what is asked for: backtesting.py, vectorbt, freqtrade.
TRADE_NAMES = {
    "return": ("return", "ReturnPct", "Return", "profit_ratio"),
    "entry_time": ("entry_time", "EntryTime", "Entry Timestamp", "open_date"),
    "exit_time": ("exit_time", "ExitTime", "Exit Timestamp", "close_date"),
}


@dataclass
class Evidence:
    """What is there to be audited."""

    candles: Candles | None = None
    trades: pl.DataFrame | None = None
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


def holds_trades(path: Path) -> bool:
    """Whether a file holds trades, and no candles."""
    columns = load(path, name="source")[0].columns
    prices = {column.lower() for column in columns} >= {"high", "low"}
    return not prices and any(name in columns for name in TRADE_NAMES["return"])


def read_trades(path: Path, notes: list[str]) -> pl.DataFrame:
    """Read trades of any tool.

    Parameters
    ----------
    path : Path
        Parquet, Feather or CSV.
    notes : list of str
        Takes what was understood of another tool's names.

    Returns
    -------
    polars.DataFrame
        `return`, and `entry_time` and `exit_time` (UTC) where they are told.

    Raises
    ------
    ConfigError
        If there is no column of returns.
    """
    frame, _ = load(path, name="trades")
    columns = []
    for name, aliases in TRADE_NAMES.items():
        found = next((alias for alias in aliases if alias in frame.columns), None)
        if found is None:
            continue
        column = frame[found]
        if name != "return" and not isinstance(column.dtype, (pl.Datetime, pl.Date)):
            column = pl.Series(name, times(column, found))
        columns.append(column.alias(name))
        if found != name:
            notes.append(f"`{found}` is taken for `{name}` of the trades")
    if not columns or columns[0].name != "return":
        raise ConfigError(
            f"trades {path.name!r} have no column `return` (net, a fraction), but {', '.join(frame.columns)}: name "
            "it so"
        )
    return pl.DataFrame(columns)


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
    if settings.labels.bars is not None:
        evidence.labels = make_labels(candles, label_rule(settings, None, None, None, None))
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
