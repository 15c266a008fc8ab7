"""How rules are chosen from a sweep: by the best value, by the plateau it stands on, or by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._frames import METRICS
from barproof._neighbours import Floats, Neighbours, floats
from barproof._sweep import check_metric
from barproof.errors import LayoutError, ParameterError, ShapeError

if TYPE_CHECKING:
    from barproof._sweep import Sweep

__all__ = ["Choose", "Metric", "plateau"]

Metric: TypeAlias = str | Callable[[pl.DataFrame], Any]
"""Name of a metric, or a function from the pooled frame to one score a row, of which the highest is best."""
Choose: TypeAlias = Literal["best", "plateau"] | Callable[[pl.DataFrame], Any]
"""How one combination is taken from the pooled frame."""


# What is judged by.


@dataclass(frozen=True)
class Scorer:
    """A metric by name, or a function of the user's."""

    name: str
    function: Callable[[pl.DataFrame], Any] | None
    less: bool
    count: bool

    @classmethod
    def read(cls, metric: Metric, axes: Sequence[str]) -> Scorer:
        """Check a metric."""
        if not callable(metric):
            if not isinstance(metric, str):
                raise LayoutError(
                    "`metric` must be the name of a metric or a function of the pooled frame, was "
                    f"{type(metric).__name__}"
                )
            row = check_metric(metric)
            return cls(metric, None, row["better"] < 0, row["unit"] == "count")
        name = name_of(metric)
        if name in {row["name"] for row in METRICS} or name in {*axes, "combination", "pooling"}:
            raise ParameterError(
                f"the function given as `metric` is called `{name}`, as a column of the frame is: call it otherwise"
            )
        return cls(name, metric, less=False, count=False)

    def values(self, pooled: pl.DataFrame) -> Floats:
        """One value a row, undefined as NaN."""
        if self.function is None:
            return floats(pooled[self.name])
        return _scores(f"`{self.name}`", self.function(pooled), pooled)

    def goodness(self, values: Floats) -> Floats:
        """Turn values so that more is better."""
        return -values if self.less else values


def name_of(function: Callable[..., Any]) -> str:
    """Name of a function, as a column may have it."""
    return str(getattr(function, "__name__", type(function).__name__)).strip("<>")


def _scores(who: str, given: Any, pooled: pl.DataFrame) -> Floats:
    """Check what a function gave back: a number a row."""
    if isinstance(given, (np.ndarray, list, tuple)):
        given = pl.Series(np.asarray(given)) if np.ndim(given) == 1 else given
    if not isinstance(given, pl.Series) or not given.dtype.is_numeric():
        what = (
            f"a Series of {given.dtype}" if isinstance(given, pl.Series) else type(given).__name__
        )
        raise LayoutError(
            f"{who} must give one score a row as a Series or an array of numbers, gave {what}"
        )
    if len(given) != pooled.height:
        raise ShapeError(
            f"{who} gave {len(given):,} scores for {pooled.height:,} rows: give one a row, NaN where there is none"
        )
    return floats(given)


# Choice.


@dataclass(frozen=True)
class Chosen:
    """One combination, by its row in the pooled frame."""

    at: int
    value: float
    plateau: float
    edge: bool


class Chooser:
    """Takes one combination from pooled frames of one grid."""

    def __init__(self, choose: Choose, scorer: Scorer, min_trades: int) -> None:
        if not callable(choose) and choose not in ("best", "plateau"):
            raise ParameterError(
                f'`choose` must be "best", "plateau" or a function of the pooled frame, was {choose!r}'
            )
        self._choose = choose
        self._scorer = scorer
        self._min_trades = min_trades
        self._neighbours: Neighbours | None = None

    @property
    def name(self) -> str:
        """How it chooses, for the provenance."""
        return f"function {name_of(self._choose)}" if callable(self._choose) else self._choose

    def prepare(self, table: pl.DataFrame, groups: Sequence[Sequence[str]]) -> None:
        """Look at the combinations, before any of them is run."""
        self._neighbours = Neighbours(table, groups)
        if self._choose == "plateau":
            self._neighbours.check('`choose="plateau"`')

    @property
    def neighbours(self) -> Neighbours:
        """Who stands beside whom."""
        assert self._neighbours is not None
        return self._neighbours

    def take(self, pooled: pl.DataFrame) -> Chosen | None:
        """Choose; None if nothing can be."""
        values = self._scorer.values(pooled)
        goodness = self._scorer.goodness(values)
        enough = pooled["trades"].to_numpy() >= self._min_trades
        goodness = np.where(enough, goodness, np.nan)
        if callable(self._choose):
            at = self._asked(self._choose, pooled, values, enough)
        elif self._choose == "plateau":
            at = highest(self.neighbours.plateau(goodness)[0], goodness)
        else:
            at = highest(goodness)
        if at is None:
            return None
        median, _ = self.neighbours.plateau(goodness, np.array([at]))
        edge = bool(self.neighbours.edge[at])
        return Chosen(at, float(values[at]), float(self._scorer.goodness(median)[0]), edge)

    def _asked(
        self,
        choose: Callable[[pl.DataFrame], Any],
        pooled: pl.DataFrame,
        values: Floats,
        enough: NDArray[np.bool_],
    ) -> int | None:
        """Ask the user's function, which sees the rows with enough trades only."""
        rows = np.flatnonzero(enough)
        if not len(rows):
            return None
        seen = pooled
        if self._scorer.function is not None:
            seen = pooled.with_columns(pl.Series(self._scorer.name, values))
        seen = seen[rows]
        given = choose(seen)
        who = f"the function `{name_of(choose)}` given as `choose`"
        if given is None:
            return None
        if isinstance(given, (int, np.integer)) and not isinstance(given, bool):
            at = np.flatnonzero(seen["combination"].to_numpy() == given)
            if not len(at):
                raise ParameterError(
                    f"{who} gave combination {given}, which is none of the {seen.height:,} it was shown: see the "
                    "column `combination`"
                )
            return int(rows[at[0]])
        at_seen = highest(_scores(who, given, seen))
        return None if at_seen is None else int(rows[at_seen])


def highest(*keys: Floats) -> int | None:
    """Row of the highest value, by the next key where several share it, the first at last; None if all are NaN."""
    rows = np.flatnonzero(~np.isnan(keys[0]))
    for key in keys:
        if not len(rows):
            return None
        rows = rows[key[rows] == np.max(key[rows])]
    return int(rows[0])


def plateau(sweep: Sweep, metric: Metric = "sharpe", *, min_trades: int = 0) -> pl.DataFrame:
    """Tell for every combination of a sweep how those beside it did.

    A combination that owes its value to luck stands alone; one that has found something has neighbours that do about
    as well. The plateau of a combination is the median of a metric over itself and its neighbours.

    Parameters
    ----------
    sweep : Sweep
        Its pooled frame is read.
    metric : str or callable, default "sharpe"
        Name of a metric, or a function from the pooled frame to one score a row (higher is better).
    min_trades : int, default 0
        Combinations with fewer trades count as undefined.

    Returns
    -------
    polars.DataFrame
        One row a combination: `combination`, the axes (and `symbol`, if there are several), the metric under its name,
        `neighbours` (how many there are), `plateau` (median, in the unit of the metric; NaN where there is none) and
        `at_edge` (the combination has the lowest or highest level of an axis with three levels or more, so that better
        ones may lie beyond it).

    Raises
    ------
    ParameterError
        If there is no such metric, or nothing varies.
    LayoutError, ShapeError
        If `sweep` is no sweep, or a function gives back anything but one number a row.

    Notes
    -----
    Neighbours are one step away along one axis and equal on all others. Numbers are ordered by size, and None comes
    last: no stop is the widest stop, no threshold the highest. Fields that vary together are one axis; where text or a
    flag varies, each choice is a neighbour of each other one, unless numbers vary with it: then steps are taken among
    the rows that share the choice. Other models and other symbols are never neighbours.

    Where fewer than half of the combinations have a neighbour along every axis (a sample, a table), the nearest ones
    stand in, two for each axis: levels are ranked, every axis has the same length, distances along the axes are added,
    another choice is a whole axis away, and ties go to the lower number.

    Undefined neighbours, and those with fewer than `min_trades` trades, count as worse than any value. There is no
    plateau where the combination itself is undefined, where it has no neighbour, or where the median is undefined
    (about half of its neighbourhood is). No level is an edge beyond which its rule has no values: None, or the bound of
    a field, such as a cooldown of 0.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=5_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> grid = bp.Grid(bp.Rules(max_hold=24), entry_long=[1.0, 1.5, 2.0], stop_loss=[0.01, 0.02, None])
    >>> found = bp.plateau(bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005)))
    >>> found["neighbours"].to_list(), found["at_edge"].to_list()[3:6]
    ([2, 3, 2, 3, 4, 3, 2, 3, 2], [True, False, False])
    """
    pooled = getattr(sweep, "pooled", None)
    if not isinstance(pooled, pl.DataFrame):
        raise LayoutError(
            f"`sweep` must be a Sweep, was {type(sweep).__name__}: give what sweep(...) returned"
        )
    scorer = Scorer.read(metric, sweep.axes)
    neighbours = Neighbours(pooled, sweep.axis_groups)
    neighbours.check("a plateau")
    values = scorer.values(pooled)
    goodness = np.where(pooled["trades"].to_numpy() >= min_trades, scorer.goodness(values), np.nan)
    medians, counts = neighbours.plateau(goodness)
    kept = [c for c in pooled.columns if c in {"combination", "symbol", *sweep.axes}]
    own = pooled[scorer.name] if scorer.function is None else pl.Series(scorer.name, values)
    return pl.DataFrame(
        [
            *pooled.select(kept).get_columns(),
            own,
            pl.Series("neighbours", counts, dtype=pl.UInt32),
            pl.Series("plateau", scorer.goodness(medians)),
            pl.Series("at_edge", neighbours.edge),
        ]
    )
