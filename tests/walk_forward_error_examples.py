"""An example of every error of `_walk_forward`: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

import barproof as bp
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market(flat(100.0, 40))
P = bp.Signals(long=np.zeros(40))
COSTS = bp.Costs(taker=0.0005)
GRID = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[1, 2])
FILLS = bp.Grid(bp.Rules(entry_long=0.5), fill=["next_open", "close"])
WINDOWS = [(0, 10), (10, 20), (20, 30)]


def fold(number: int, train: Iterable[int], tune: Iterable[int], test: Iterable[int]) -> bp.Fold:
    a, b, c = (np.array(list(rows), dtype=np.int64) for rows in (train, tune, test))
    return bp.Fold(number, a, b, c)


def listed(grid: Any = GRID, signals: Any = P, **options: Any) -> object:
    options = {"windows": WINDOWS, "earlier": 1, **options}
    return bp.walk_forward_optimise(BARS, signals, grid, costs=COSTS, **options)


def run_of(*folds: Any, signals: Any = None, **options: Any) -> object:
    run = SimpleNamespace(candles=BARS, folds=folds, signals=signals or (lambda **_: P))
    return bp.walk_forward_optimise(run, GRID, costs=COSTS, **options)


def stopped() -> object:
    def signals(part: str, fold: int | None = None) -> bp.Signals:
        if fold == 1:
            raise KeyboardInterrupt
        return P

    return run_of(FIRST, SECOND, signals=signals)


FIRST = fold(0, range(5), range(5, 10), range(10, 15))
SECOND = fold(1, range(5, 10), range(10, 15), range(15, 20))

EXAMPLES: list[Example] = [
    ("min trades", lambda: listed(min_trades=-1), bp.ParameterError, "`min_trades` must be a whole number >= 0, was -1"),
    ("earlier", lambda: listed(earlier=0), bp.ParameterError, "`earlier` must be a whole number >= 1, was 0"),
    ("boundary", lambda: listed(boundary="keep"), bp.ParameterError, '`boundary` must be "carry" or "close", was \'keep\': carry keeps positions from part to part'),
    ("exit", lambda: listed(exit="opposite"), bp.ParameterError, "`exit` is 'opposite', but it belongs to a run: give exits as arrays of the signals"),
    ("run with windows", lambda: run_of(FIRST, windows="1d"), bp.LayoutError, "a run brings its own signals and windows: call walk_forward_optimise(run, grid, costs=...), or give Candles first"),
    ("grid", lambda: listed(grid=bp.Rules()), bp.LayoutError, "`grid` must be a Grid, was Rules: use Grid(rules, entry_long=[...])"),
    ("fill", lambda: listed(grid=FILLS), bp.RulesError, "axis `fill` of the grid has close and next_open, but rules that follow each other must share one: run a grid for each"),
    ("run", lambda: bp.walk_forward_optimise({}, GRID, costs=COSTS), bp.LayoutError, "what is optimised must be Candles or a run, was dict without `candles`: use train(...), or give candles, signals and grid"),  # type: ignore[call-overload]
    ("windows", lambda: listed(windows=None), bp.ParameterError, '`windows` is missing: give a duration such as "1mo", a list of (start, end) or a splitter'),
    ("windows shared", lambda: listed(windows=[(0, 10), (20, 30), (8, 20)]), bp.WindowError, "windows 0 and 2 share bars 8..9: a bar is judged once; cut the windows so that they share none"),
    ("windows few", lambda: listed(earlier=3), bp.WindowError, "`earlier` is 3, but there are 3 windows: none is left to be judged; take fewer to choose on, shorter windows, or folds with tune rows"),
    ("fold type", lambda: run_of(FIRST, (0, 5)), bp.LayoutError, "entry 1 of the folds must be a Fold, was tuple: a splitter's folds(...) makes them"),
    ("fold rows", lambda: run_of(fold(0, [0], [1], range(30, 50))), bp.WindowError, "test part of fold 0 reaches row 49, but the candles have 40 bars: make the folds of these candles"),
    ("folds none", lambda: run_of(), bp.WindowError, "there are no folds: nothing can be chosen or judged"),
    ("folds shared", lambda: listed(windows=bp.WalkForward(5, 10, tune=5, step=7)), bp.WindowError, "test parts of folds 0 and 1 share bars 17..19: a bar is judged once; make `step` at least as long as `test`"),
    ("tune missing", lambda: run_of(FIRST, fold(1, range(5), [], range(15, 20))), bp.WindowError, "fold 1 has no tune rows, but fold 0 has: give all folds tune rows, or none"),
    ("tune late", lambda: run_of(fold(0, range(5), range(20, 30), range(10, 15))), bp.WindowError, "tune rows of fold 0 reach row 29, but its test part begins at row 10: rules are chosen before they are judged"),
    ("interrupted", stopped, bp.Interrupted, "interrupted after 1 of 2 folds; `partial` of this exception holds their choices"),
]  # fmt: skip
