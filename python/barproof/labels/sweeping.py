"""Many label rules at once: what each leaves to learn, and what it could pay."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from barproof import _core
from barproof._executors import Executor, crew
from barproof._grid import Grid
from barproof._machine import thread_count
from barproof._progress import Progress, reporter
from barproof._shown import shown
from barproof.errors import LayoutError, ParameterError
from barproof.labels.cells import Cells, HorizonCells, TradeCells
from barproof.labels.combine import check_least, mean_volume, volume_filter
from barproof.labels.forward import span_of
from barproof.labels.model import Clock, Kind, Labels, check_kind, check_level
from barproof.labels.skill import check_folds, feature_rows, purged_skill
from barproof.labels.trades import engine_options
from barproof.ledger import Recorded, door, enter
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.distributed.executor import Crew
    from barproof.signals import Signals

__all__ = ["LabelSweep", "sweep"]


@shown(lambda self: self.frame)
@dataclass(eq=False)
class LabelSweep:
    """What became of each cell.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a cell: `cell`, what it varies in, and

        - `labels` that are defined and kept, `kept_share` of those that are defined;
        - `positive_share`, `negative_share`: labels 1 and -1 among them;
        - `mean_move`: mean size of the moves of labels that are not 0; for trades the mean gain of label 1 before fees
          and funding, a fraction of the equity;
        - `cost`: a round trip of market orders; for trades the mean fees of label 1; `move_to_cost` their ratio;
        - `mean_return`: of trades, net, over all labels; NaN for horizons;
        - `uniqueness`: mean over the labels, `effective`: their sum, the independent labels that all are worth;
        - with features `auc`, its one-sided 95% lower bound `auc_low`, the p-value of no skill, and Holm's over all
          cells `p_holm`.

        NaN where undefined.
    candles : Candles
        Of which the labels speak.
    provenance : dict of str to str
        Digests and versions.
    """

    frame: pl.DataFrame
    candles: Candles
    provenance: dict[str, str]
    _make: Any = field(repr=False)

    def __len__(self) -> int:
        return len(self.frame)

    def labels(self, cell: int) -> Labels:
        """Labels of one cell.

        Parameters
        ----------
        cell : int
            Its number.

        Returns
        -------
        Labels
            Made again, as their own function makes them.

        Raises
        ------
        ParameterError
            If there is no such cell, or its labels are refused: one class alone, say.
        """
        if not 0 <= cell < len(self):
            raise ParameterError(f"`cell` must be from 0 to {len(self) - 1}, was {cell!r}")
        made: Labels = self._make(int(cell))
        return made

    def __repr__(self) -> str:
        return f"LabelSweep({self.candles.symbol}, {len(self):,} cells)"


def _axis(name: str, value: Any) -> list[Any]:
    """Values of an axis; one alone is a list of one."""
    many = [value] if isinstance(value, (int, float, np.number, str)) or value is None else value
    values = [v.item() if isinstance(v, np.generic) else v for v in many]
    if not values:
        raise ParameterError(f"`{name}` of a label sweep is empty: give at least one value")
    for number, one in enumerate(values):
        if one in values[:number]:
            raise ParameterError(f"`{name}` of a label sweep holds {one!r} twice: keep one")
    return values


def sweep(
    candles: Candles,
    *,
    costs: Costs,
    bars: int | Sequence[int] | None = None,
    threshold: float | Sequence[float] = 0.0,
    kind: Kind = "ternary",
    clock: Clock = "open",
    rules: Grid | Rules | None = None,
    side: str | Sequence[str] = "long",
    min_volume: float | Sequence[float] | None = None,
    volume_bars: int = 1,
    features: Any = None,
    folds: int = 5,
    max_rows: int = 20_000,
    signals: Signals | None = None,
    initial_equity: float = 10_000.0,
    threads: int | None = None,
    progress: bool | Progress | None = None,
    ledger: Recorded = None,
    executor: Executor = None,
) -> LabelSweep:
    """Look at a grid of label rules, in parallel: shares, moves against costs, uniqueness, and skill of a cheap model.

    With `bars` the cells are horizons x thresholds x least volumes, with `rules` combinations x sides x least volumes
    of :func:`triple_barrier`. Every cell is a trial, and the ledger counts it.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    costs : Costs
        Fees and slippage.
    bars : int or list of int
        Horizons. Either these or `rules`.
    threshold : float or list of float, default 0.0
        Moves that count; for trades one number, the net return that a label 1 exceeds.
    kind : {"binary", "ternary"}, default "ternary"
        Classes of horizon labels.
    clock : {"open", "close"}, default "open"
        As for :func:`horizon`.
    rules : Grid or Rules
        Barriers, as for :func:`triple_barrier`.
    side : {"long", "short"} or both in a list, default "long"
        Sides of trades.
    min_volume : float or list of float, optional
        Least volumes, as of :func:`volume_filter`. Default: all bars.
    volume_bars : int, default 1
        Bars that the volume is the mean of.
    features : FeatureSet, frame or ndarray of shape (n_bars, n_features), optional
        What a logistic regression learns label 1 from. Default: no skill is measured.
    folds : int, default 5
        Purged folds (:class:`barproof.PurgedKFold`) that it is judged on.
    max_rows : int, default 20000
        Labels that it sees at most, evenly spaced.
    signals : Signals, optional
        As for :func:`triple_barrier`.
    initial_equity : float, default 10000.0
        As for :func:`triple_barrier`.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core; the same bits for any number.
    progress : bool or callable, optional
        A bar with the time left on stderr, or a function of (done, total). Default: a bar if stderr is a terminal.
    ledger : Ledger, str, Path or bool, optional
        As for :func:`barproof.sweep`.
    executor : {"local", "ray"} or RayExecutor, optional
        Where cells are counted and their skill is measured, as for :func:`barproof.sweep`.

    Returns
    -------
    LabelSweep
        Cells in order, the last axis varying fastest.

    Raises
    ------
    LayoutError, ShapeError
        If an argument is of the wrong type or shape.
    ParameterError
        If neither or both of `bars` and `rules` are given, a value is out of bounds or stands twice, or the candles are
        too short for the longest label.
    RulesError, FundingError
        As for :func:`triple_barrier`.
    Interrupted
        On Ctrl-C.

    Notes
    -----
    The skill is the mean area under the curve over the folds. Its standard error is that of J. Hanley and B. McNeil,
    "The meaning and use of the area under a receiver operating characteristic (ROC) curve", 1982, with the labels'
    uniqueness for their number; the p-value is one-sided, under no skill.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=1_000)
    >>> found = sweep(candles, costs=bp.Costs(taker=0.0005), bars=[6, 12], threshold=[0.001, 0.002], ledger=False)
    >>> found.frame.select("bars", "threshold", "labels").rows()
    [(6, 0.001, 993), (6, 0.002, 993), (12, 0.001, 987), (12, 0.002, 987)]
    """
    if (bars is None) == (rules is None):
        given = "neither" if bars is None else "both"
        raise ParameterError(
            f"a label sweep needs `bars` (horizons) or `rules` (barriers), was given {given}: give one"
        )
    least = _axis("min_volume", 0.0 if min_volume is None else min_volume)
    least = [check_least("min_volume", one) for one in least]
    check_folds(folds, max_rows)
    pool = thread_count(threads)
    began = time.perf_counter()
    if rules is None:
        plan = _horizons(candles, costs, bars, threshold, kind, clock, least)
    else:
        plan = _trades(candles, costs, rules, side, threshold, least, signals, initial_equity)
    volume = np.ascontiguousarray(mean_volume(candles, volume_bars), dtype=np.float64)
    matrix = None if features is None else feature_rows(features, candles, pool)
    book = door(ledger)
    cells = _Kept(plan.cells, None if min_volume is None else volume_bars)
    with crew(executor) as team:
        with reporter(progress, len(plan.rows), "labels") as report:
            if team is None:
                columns = plan.cells.run(volume, pool, report)
            else:
                columns = _spread_cells(plan.cells, volume, len(plan.rows), team, report)
        columns = {name: values[plan.order] for name, values in columns.items()}
        frame = pl.DataFrame(plan.rows, infer_schema_length=None).with_row_index("cell")
        frame = frame.with_columns(
            pl.Series(name, values) for name, values in _facts(columns, plan).items()
        )
        if matrix is not None:
            with reporter(progress, len(plan.rows), "skill") as report:
                skill = Skills(cells, matrix, folds, max_rows)
                frame = _with_skill(frame, skill, team, report)

    def make(cell: int) -> Labels:
        return cells.labels(cell, threads)

    if min_volume is None:
        frame = frame.drop("min_volume")
    provenance = {
        "barproof": _core.__version__,
        "candles": candles.digest,
        "costs": f"taker={costs.taker!r}, maker={costs.maker!r}, slippage={costs.slippage!r}",
        "labels": _core.digest("label-sweep/1", [repr(row) for row in plan.rows] + [plan.said]),
    }
    made = LabelSweep(frame, candles, provenance, make)
    enter(book, "labels", made, None, trials=len(frame), seconds=time.perf_counter() - began)
    return made


@dataclass
class _Plan:
    """Cells in the order of the caller, and how the core is asked for them."""

    rows: list[dict[str, Any]]
    order: Any
    cells: Cells
    cost: float | None
    said: str


@dataclass(frozen=True, eq=False)
class _Kept:
    """Labels of cells, without those of thin volume."""

    cells: Cells
    volume_bars: int | None

    def labels(self, cell: int, threads: int | None) -> Labels:
        """Labels of one cell."""
        labels = self.cells.labels(cell, threads)
        if self.volume_bars is None:
            return labels
        least = self.cells.rows[cell]["min_volume"]
        return volume_filter(labels, least=least, bars=self.volume_bars)


@dataclass(frozen=True, eq=False)
class Skills:
    """How the skill of a cell is measured."""

    kept: _Kept
    matrix: Any
    folds: int
    max_rows: int

    def of(self, cell: int, threads: int | None) -> tuple[float, float, float]:
        """Area, bound and p-value of a cell that can be learnt."""
        labels = self.kept.labels(cell, threads)
        return tuple(purged_skill(labels, self.matrix, self.folds, self.max_rows))  # type: ignore[return-value]


def _check(candles: Any, costs: Any) -> None:
    from barproof.candles import Candles

    if not isinstance(candles, Candles):
        raise LayoutError(
            f"`candles` of a label sweep must be Candles, was {type(candles).__name__}: use read_candles(...)"
        )
    if not isinstance(costs, Costs):
        raise LayoutError(
            f"`costs` of a label sweep must be Costs, was {type(costs).__name__}: moves are held against them"
        )


def _horizons(
    candles: Any, costs: Any, bars: Any, threshold: Any, kind: Any, clock: Any, least: list[float]
) -> _Plan:
    """Cells of horizon labels."""
    _check(candles, costs)
    check_kind(kind, ("binary", "ternary"))
    lengths = _axis("bars", bars)
    levels = [check_level("threshold", one, 0.0) for one in _axis("threshold", threshold)]
    for length in lengths:
        span_of(candles, length, clock)
    rows = [
        {"bars": length, "threshold": level, "min_volume": volume}
        for length in lengths
        for level in levels
        for volume in least
    ]
    shape = (len(lengths), len(levels), len(least))
    numbers = np.arange(len(rows)).reshape(shape)
    # The core takes thresholds and volumes from the least.
    place = [np.argsort(np.argsort(values)) for values in (levels, least)]
    order = numbers[:, place[0]][:, :, place[1]].ravel()

    cells = HorizonCells(rows, candles, lengths, levels, least, kind, clock)
    trip = 2 * (costs.taker + costs.slippage)
    return _Plan(rows, order, cells, trip, f"horizon, {kind}, {clock}")


def _trades(
    candles: Any,
    costs: Any,
    rules: Any,
    side: Any,
    threshold: Any,
    least: list[float],
    signals: Any,
    initial_equity: float,
) -> _Plan:
    """Cells of trades."""
    _check(candles, costs)
    if not isinstance(rules, (Grid, Rules)):
        raise LayoutError(
            f"`rules` of a label sweep must be a Grid or Rules, was {type(rules).__name__}"
        )
    grid = rules if isinstance(rules, Grid) else Grid(rules)
    sides = _axis("side", side)
    for one in sides:
        if one not in ("long", "short"):
            raise ParameterError(f"`side` of a label sweep must be long or short, was {one!r}")
    level = check_level("threshold", threshold)
    longest = max((grid[i] for i in range(len(grid))), key=lambda member: member.max_hold or 0)
    engine_options(candles, longest, costs, signals, initial_equity, None)
    rows = [
        {**grid.varying(i), "side": one, "min_volume": volume}
        for i in range(len(grid))
        for one in sides
        for volume in least
    ]

    cells = TradeCells(
        rows,
        candles,
        grid,
        (0, len(grid)),
        sides,
        least,
        level,
        costs,
        signals,
        initial_equity,
    )
    said = f"triple_barrier, {grid.digest}, threshold {level!r}, equity {initial_equity!r}"
    return _Plan(rows, np.arange(len(rows)), cells, None, said)


def _facts(columns: dict[str, Any], plan: _Plan) -> dict[str, Any]:
    """Ratios of counts and sums."""

    def ratio(above: Any, below: Any) -> Any:
        below = np.asarray(below, dtype=np.float64)
        return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)

    labels, up, down = (columns[name].astype(np.float64) for name in ("labels", "up", "down"))
    moved = ratio(columns["moved"], up + down)
    cost = ratio(columns["fees"], up) if plan.cost is None else np.full(len(up), plan.cost)
    return {
        "labels": columns["labels"],
        "kept_share": ratio(labels, columns["defined"]),
        "positive_share": ratio(up, labels),
        "negative_share": ratio(down, labels),
        "mean_move": moved,
        "cost": cost,
        "move_to_cost": ratio(moved, cost),
        "mean_return": ratio(columns["net"], labels)
        if plan.cost is None
        else np.full(len(up), np.nan),
        "uniqueness": ratio(columns["effective"], labels),
        "effective": columns["effective"],
    }


def _with_skill(
    frame: pl.DataFrame, skills: Skills, team: Crew | None, report: Progress | None
) -> pl.DataFrame:
    """Columns of the skill."""
    from barproof import stats

    shares = frame.select("positive_share", "negative_share").rows()
    # A cell of one class has no labels to learn; NaN is neither.
    asked = [n for n, (up, down) in enumerate(shares) if 0 < up < 1 or (up == 0 and 0 < down < 1)]
    rows = [(np.nan,) * 3] * len(frame)
    if team is None:
        found: Iterable[Any] = ((n, skills.of(n, None)) for n in asked)
    else:
        found = _spread_skill(skills, asked, team)
    done = len(frame) - len(asked)
    for cell, measured in found:
        rows[cell] = measured
        done += 1
        if report is not None:
            report(done, len(frame))
    auc, low, p = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    held = np.full(len(p), np.nan)
    known = ~np.isnan(p)
    if known.any():
        held[known] = stats.holm(p[known]).p
    return frame.with_columns(
        pl.Series("auc", auc),
        pl.Series("auc_low", low),
        pl.Series("p_value", p),
        pl.Series("p_holm", held),
    )


def _spread_cells(
    cells: Cells, volume: Any, total: int, team: Crew, report: Progress | None
) -> dict[str, Any]:
    """Count cells on a cluster."""
    from barproof.distributed.executor import Task

    parts = cells.parts(4 * team.slots(team.threads))
    # Candles lie in the store once, whichever part asks for them.
    tasks = [Task(count_cells, team.share((part, volume)), (team.threads,)) for part in parts]
    found: list[dict[str, Any]] = [{}] * len(tasks)
    done = 0
    for number, columns in team.run(tasks, what="label sweep"):
        found[number] = columns
        done += len(next(iter(columns.values())))
        if report is not None:
            report(done, total)
    return {name: np.concatenate([one[name] for one in found]) for name in found[0]}


def count_cells(asked: tuple[Cells, Any], threads: int) -> dict[str, Any]:
    """Count the cells of a part in a worker."""
    cells, volume = asked
    return cells.run(volume, threads, None)


def _spread_skill(
    skills: Skills, asked: list[int], team: Crew
) -> Iterator[tuple[int, tuple[float, float, float]]]:
    """Measure the skill of cells on a cluster."""
    from barproof.distributed.executor import Task

    shared = team.share(skills)
    tasks = [Task(cell_skill, shared, (cell,)) for cell in asked]
    for number, measured in team.run(tasks, what="label skill", threads=1):
        yield asked[number], measured


def cell_skill(skills: Skills, cell: int) -> tuple[float, float, float]:
    """Measure the skill of a cell in a worker."""
    return skills.of(cell, 1)
