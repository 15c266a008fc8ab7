"""What a walk-forward choice is to do: the folds, the bars that choose and those that judge."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, TypeAlias

import numpy as np

from barproof._folds import Fold, rows_digest
from barproof._grid import Grid
from barproof._setting import Setting, setting
from barproof._windows import Window, as_windows, judged_part
from barproof.candles import Candles
from barproof.candles.table import Ints
from barproof.errors import LayoutError, ParameterError, RulesError, WindowError
from barproof.signals import Signals

__all__ = ["Exit", "Plan", "Step", "check_grid", "only", "plan_run", "plan_windows"]

Exit: TypeAlias = Literal["opposite"] | None

TUNE = "tune_choose rows"


@dataclass(frozen=True, eq=False)
class Step:
    """One fold: the bars that choose, and those that judge."""

    number: int
    judge: Window
    choose: list[Window]
    # Rows of the only window of `choose` that count; None if all do.
    rows: Ints | None = None

    def text(self) -> str:
        """Identity, for the digest of the folds."""
        parts = [f"{a}..{b}" for a, b in (*self.choose, self.judge)]
        return " ".join(parts if self.rows is None else [*parts, rows_digest(self.rows)])


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done, and where signals come from."""

    made: Setting
    # Costs, equity and the like, as a sweep takes them.
    options: dict[str, Any]
    steps: list[Step]
    chosen_on: str
    # Signals that choose, by the number of the fold.
    signals: Callable[[int], Signals]


def check_grid(grid: Any) -> None:
    if not isinstance(grid, Grid):
        raise LayoutError(
            f"`grid` must be a Grid, was {type(grid).__name__}: use Grid(rules, entry_long=[...])"
        )
    fills = sorted(set(grid._columns.get("fill", ())))
    if len(fills) > 1:
        raise RulesError(
            f"axis `fill` of the grid has {' and '.join(fills)}, but rules that follow each other must share one: "
            "run a grid for each"
        )


def plan_run(run: Any, earlier: int, exit_: Exit, options: dict[str, Any]) -> Plan:
    """Plan over the folds of a run."""
    absent = [name for name in ("candles", "folds", "signals") if not hasattr(run, name)]
    if absent:
        raise LayoutError(
            f"what is optimised must be Candles or a run, was {type(run).__name__} without `{absent[0]}`: use "
            "train(...), or give candles, signals and grid"
        )
    # Stand-ins need not know `exit` where it is not asked for.
    asked = {} if exit_ is None else {"exit": exit_}
    steps, chosen_on = _steps_of_folds(run.folds, run.candles, earlier)
    judged = run.signals(part="test", **asked)
    made = setting(run.candles, judged, **options)

    def choosing(number: int) -> Signals:
        if chosen_on != TUNE:
            return made.signals
        found = run.signals(part="tune", fold=number, **asked)
        return setting(run.candles, found, **options).signals

    return Plan(made, options, steps, chosen_on, choosing)


def plan_windows(
    candles: Candles, signals: Any, windows: Any, earlier: int, options: dict[str, Any]
) -> Plan:
    """Plan over windows of candles with signals."""
    made = setting(candles, signals, **options)
    if windows is None:
        raise ParameterError(
            '`windows` is missing: give a duration such as "1mo", a list of (start, end) or a splitter'
        )
    if hasattr(windows, "folds"):
        windows = windows.folds(candles)
    if isinstance(windows, Sequence) and any(isinstance(part, Fold) for part in windows):
        steps, chosen_on = _steps_of_folds(windows, candles, earlier)
    else:
        parts = dict(enumerate(as_windows(candles, windows)))
        cut = "cut the windows so that they share none"
        steps, chosen_on = _earlier(_in_order(parts, "windows", cut), earlier)
    return Plan(made, options, steps, chosen_on, lambda _: made.signals)


def _steps_of_folds(folds: Any, candles: Candles, earlier: int) -> tuple[list[Step], str]:
    """Plan to choose on tune rows, or on earlier test parts if there are none."""
    folds = list(folds) if isinstance(folds, Sequence) else [folds]
    for i, fold in enumerate(folds):
        if not isinstance(fold, Fold):
            raise LayoutError(
                f"entry {i} of the folds must be a Fold, was {type(fold).__name__}: a splitter's folds(...) makes them"
            )
        if len(fold.test) and fold.test[-1] >= len(candles):
            raise WindowError(
                f"test part of fold {i} reaches row {fold.test[-1]}, but the candles have {len(candles):,} bars: make "
                "the folds of these candles"
            )
    if not folds:
        raise WindowError("there are no folds: nothing can be chosen or judged")
    parts = {i: judged_part(i, (None, fold.test)) for i, fold in enumerate(folds)}
    order = _in_order(parts, "test parts of folds", "make `step` at least as long as `test`")
    tuned = [bool(len(fold.tune_choose)) for fold in folds]
    if not any(tuned):
        return _earlier(order, earlier)
    if not all(tuned):
        raise WindowError(
            f"fold {tuned.index(False)} has no tune rows, but fold {tuned.index(True)} has: give all folds tune rows, "
            "or none"
        )
    steps = []
    for number, judge in order.items():
        rows = folds[number].tune_choose
        if rows[-1] >= judge[0]:
            raise WindowError(
                f"tune rows of fold {number} reach row {rows[-1]}, but its test part begins at row {judge[0]}: rules "
                "are chosen before they are judged"
            )
        steps.append(Step(number, judge, [(int(rows[0]), int(rows[-1]) + 1)], rows))
    return steps, TUNE


def _in_order(parts: dict[int, Window], what: str, remedy: str) -> dict[int, Window]:
    """Judged windows by time, sharing no bar."""
    order = dict(sorted(parts.items(), key=lambda item: item[1]))
    for (i, a), (j, b) in pairwise(order.items()):
        if b[0] < a[1]:
            raise WindowError(
                f"{what} {i} and {j} share bars {b[0]}..{min(a[1], b[1]) - 1}: a bar is judged once; {remedy}"
            )
    return order


def _earlier(order: dict[int, Window], count: int) -> tuple[list[Step], str]:
    """Plan to choose on the windows before."""
    numbers, spans = list(order), list(order.values())
    if len(spans) <= count:
        raise WindowError(
            f"`earlier` is {count}, but there are {len(spans)} windows: none is left to be judged; take fewer to "
            "choose on, shorter windows, or folds with tune rows"
        )
    steps = [Step(numbers[i], spans[i], spans[i - count : i]) for i in range(count, len(numbers))]
    return steps, f"{count} windows before"


def only(signals: Signals, rows: Ints, span: Window) -> Signals:
    """Signals without those bars of a window that are not among `rows`; the same object if there are none."""
    blank = np.zeros(len(signals), dtype=bool)
    blank[slice(*span)] = True
    blank[rows] = False
    if not blank.any():
        return signals
    arrays = {name: np.where(blank, np.nan, signals[name]) for name in signals.names}
    return Signals(kind=signals.kind, **arrays)
