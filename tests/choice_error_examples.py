"""An example of every error of `_choice`: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market(flat(100.0, 40))
P = bp.Signals(long=np.full(40, 0.9))
GRID = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[1, 2, 3])
LONE = bp.Grid(bp.Rules(entry_long=0.5))


def walk(grid: bp.Grid = GRID, **options: Any) -> object:
    windows = [(0, 20), (20, 40)]
    return bp.walk_forward_optimise(
        BARS, P, grid, costs=bp.Costs.free(), windows=windows, earlier=1, **options
    )


def swept(grid: bp.Grid = GRID) -> bp.Sweep:
    return bp.sweep(BARS, P, grid, costs=bp.Costs.free())


def sharpe(frame: pl.DataFrame) -> pl.Series:
    return frame["sharpe"]


def few(frame: pl.DataFrame) -> list[float]:
    return [1.0, 2.0]


def words(frame: pl.DataFrame) -> pl.Series:
    return pl.Series(["a"] * frame.height)


def nothing(frame: pl.DataFrame) -> None:
    return None


def outside(frame: pl.DataFrame) -> int:
    return 7


def yes(frame: pl.DataFrame) -> bool:
    return True


EXAMPLES: list[Example] = [
    ("metric type", lambda: walk(metric=3), bp.LayoutError, "`metric` must be the name of a metric or a function of the pooled frame, was int"),
    ("metric name", lambda: walk(metric=sharpe), bp.ParameterError, "the function given as `metric` is called `sharpe`, as a column of the frame is: call it otherwise"),
    ("metric nothing", lambda: walk(metric=nothing), bp.LayoutError, "`nothing` must give one score a row as a Series or an array of numbers, gave NoneType"),
    ("metric words", lambda: walk(metric=words), bp.LayoutError, "`words` must give one score a row as a Series or an array of numbers, gave a Series of String"),
    ("metric few", lambda: bp.plateau(swept(), few), bp.ShapeError, "`few` gave 2 scores for 3 rows: give one a row, NaN where there is none"),
    ("choose", lambda: walk(choose="median"), bp.ParameterError, "`choose` must be \"best\", \"plateau\" or a function of the pooled frame, was 'median'"),
    ("choose outside", lambda: walk(choose=outside), bp.ParameterError, "the function `outside` given as `choose` gave combination 7, which is none of the 3 it was shown: see the column `combination`"),
    ("choose bool", lambda: walk(choose=yes), bp.LayoutError, "the function `yes` given as `choose` must give one score a row as a Series or an array of numbers, gave bool"),
    ("choose few", lambda: walk(choose=few), bp.ShapeError, "the function `few` given as `choose` gave 2 scores for 3 rows: give one a row, NaN where there is none"),
    ("no lattice", lambda: walk(LONE, choose="plateau"), bp.ParameterError, '`choose="plateau"` needs combinations that stand beside each other, but no number or choice of the grid varies: give it an axis'),
    ("plateau of one", lambda: bp.plateau(swept(LONE)), bp.ParameterError, "a plateau needs combinations that stand beside each other, but no number or choice of the grid varies: give it an axis"),
    ("sweep", lambda: bp.plateau(3), bp.LayoutError, "`sweep` must be a Sweep, was int: give what sweep(...) returned"),  # type: ignore[arg-type]
]  # fmt: skip
