"""`walk_forward_optimise`: rules chosen on earlier bars, judged on the next, stitched into one backtest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol, overload

import numpy as np
import polars as pl

from barproof import _core
from barproof._backtest import Boundary, Result, make_result, run_once
from barproof._choice import Choose, Chooser, Chosen, Metric, Scorer
from barproof._executors import Executor, crew
from barproof._folds import Fold
from barproof._frames import METRICS, metrics_mapping, times
from barproof._grid import Grid
from barproof._machine import thread_count
from barproof._progress import Progress, reporter
from barproof._setting import served
from barproof._stability import RankCorrelation, agreement, rank_correlation, stability
from barproof._sweep import axis_series
from barproof._sweep import sweep_part as sweep
from barproof._walk_forward_plan import Exit, Plan, Step, check_grid, only, plan_run, plan_windows
from barproof._windows import Window, union
from barproof.candles import Candles
from barproof.errors import Interrupted, LayoutError, ParameterError
from barproof.ledger import Recorded, door, enter
from barproof.rules import Costs, Rules
from barproof.signals import Signals

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = ["WalkForwardResult", "walk_forward_optimise"]

KIND = "walk_forward_optimise"


class RunLike(Protocol):
    """What is asked of a run: its candles, its folds, and the signals of a part of them."""

    @property
    def candles(self) -> Candles:
        """Bars that the folds count."""

    @property
    def folds(self) -> Sequence[Fold]:
        """Folds, one model each."""

    @property
    def signals(self) -> Callable[..., Signals]:
        """Takes ``part=`` ("tune" or "test"), ``fold=`` and ``exit=``; gives one value a bar of the candles."""


@dataclass(eq=False, repr=False)
class WalkForwardResult(Result):
    """What rules did that were chosen anew for every fold: one backtest over all judged bars.

    Everything of :class:`Result` is here and speaks of the whole: `rules` is the schedule, a list of (start bar,
    Rules), with flat rules (which never enter) wherever nothing may be entered; `window` runs from the first judged bar
    to the last; `signals` are those of the judged bars; `provenance` names grid, metric and folds too.

    Attributes
    ----------
    choices : polars.DataFrame
        One row a fold, in time order: `fold`, `start` and `end` of its judged bars (UTC, end excluded),
        `combination`, the axes, ``chosen_<metric>`` and `chosen_trades` on the bars that chose, ``judged_<metric>``
        and `judged_trades` of the same combination on the judged bars, run alone from the initial equity;
        ``plateau_<metric>``, the median over the chosen combination and its neighbours on the bars that chose, NaN
        where there is none, and `at_edge`, whether it has an outermost level of an axis: both as in
        :func:`barproof.plateau`. All but the first three are null where nothing was chosen: nothing is entered in that
        fold.
    trials : int
        Combinations that were evaluated.
    axis_groups : list of list of str
        Axes of the grid; fields that vary together are one.
    """

    choices: pl.DataFrame = field(repr=False)
    trials: int
    axis_groups: list[list[str]]

    @property
    def stability(self) -> pl.DataFrame:
        """How steady the choice was, one row an axis.

        Over the folds with a choice, in time order: `axis` (fields that vary together joined by +), `distinct` (values
        that were chosen), `changes` (from one such fold to the next), `agreement` (share of these steps without a
        change; NaN with one fold), `most_common` (as text; the first of several) and its `share` of the folds, and
        `entropy` of the shares in bits: 0 if one value was always chosen, 1 for two in turn. It describes; a choice
        that never moves may be wrong, and one that moves may follow the market.
        """
        return stability(self.choices, self.axis_groups)

    @property
    def agreement(self) -> float:
        """Mean over the axes of the share of steps from fold to fold that left an axis unchanged; NaN if undefined."""
        return agreement(self.choices, self.axis_groups)

    @property
    def rank_correlation(self) -> RankCorrelation:
        """Spearman's correlation, over the folds, of the metric where it chose with the metric where it was judged.

        With `n`, the folds in which both are defined; NaN under three of them, or if either is the same in all. It
        describes these folds and tests nothing: folds are few, and those that choose on earlier windows share bars.
        """
        return rank_correlation(self.choices, self.provenance["metric"])

    def __repr__(self) -> str:
        m = self.metrics
        undefined = self.choices["combination"].null_count()
        idle = f", {undefined} without a choice" if undefined else ""
        return (
            f"WalkForwardResult({self.candles.symbol}, {self.choices.height} folds{idle} x {self.trials:,} "
            f"combinations by {self.provenance['metric']}, return {m['total_return']:+.2%}, sharpe {m['sharpe']:.2f}, "
            f"max drawdown {m['max_drawdown']:.2%}, {m['trades']} trades)"
        )


@overload
def walk_forward_optimise(
    data: RunLike,
    signals: Grid,
    /,
    *,
    costs: Costs,
    metric: Metric = ...,
    choose: Choose = ...,
    min_trades: int = ...,
    exit: Exit = ...,
    earlier: int = ...,
    boundary: Boundary = ...,
    initial_equity: float = ...,
    periods_per_year: float | None = ...,
    engine: str = ...,
    intrabar_candles: Candles | None = ...,
    threads: int | None = ...,
    progress: bool | Progress | None = ...,
    ledger: Recorded = ...,
    executor: Executor = ...,
) -> WalkForwardResult: ...
@overload
def walk_forward_optimise(
    data: RunLike,
    *,
    grid: Grid,
    costs: Costs,
    metric: Metric = ...,
    choose: Choose = ...,
    min_trades: int = ...,
    exit: Exit = ...,
    earlier: int = ...,
    boundary: Boundary = ...,
    initial_equity: float = ...,
    periods_per_year: float | None = ...,
    engine: str = ...,
    intrabar_candles: Candles | None = ...,
    threads: int | None = ...,
    progress: bool | Progress | None = ...,
    ledger: Recorded = ...,
    executor: Executor = ...,
) -> WalkForwardResult: ...
@overload
def walk_forward_optimise(
    data: Candles,
    signals: Signals,
    grid: Grid,
    *,
    costs: Costs,
    windows: Any,
    earlier: int = ...,
    metric: Metric = ...,
    choose: Choose = ...,
    min_trades: int = ...,
    boundary: Boundary = ...,
    initial_equity: float = ...,
    periods_per_year: float | None = ...,
    engine: str = ...,
    intrabar_candles: Candles | None = ...,
    threads: int | None = ...,
    progress: bool | Progress | None = ...,
    ledger: Recorded = ...,
    executor: Executor = ...,
) -> WalkForwardResult: ...
def walk_forward_optimise(
    data: Candles | RunLike,
    signals: Signals | Grid | None = None,
    grid: Grid | None = None,
    *,
    costs: Costs,
    windows: Any = None,
    earlier: int = 3,
    metric: Metric = "sharpe",
    choose: Choose = "best",
    min_trades: int = 0,
    exit: Exit = None,  # noqa: A002
    boundary: Boundary = "carry",
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
    engine: str = "indexed",
    intrabar_candles: Candles | None = None,
    threads: int | None = None,
    progress: bool | Progress | None = None,
    ledger: Recorded = None,
    executor: Executor = None,
) -> WalkForwardResult:
    """Choose rules on bars before each fold's test part, judge them on it, and stitch the parts into one backtest.

    Two forms: ``walk_forward_optimise(run, grid, costs=...)`` and ``walk_forward_optimise(candles, signals, grid,
    costs=..., windows=...)``. In each fold a sweep of the whole grid chooses one combination by its pooled metric:

    - where folds have tune rows, on ``fold.tune_choose`` alone, which trained neither the model nor its calibration
      (one window from the first of these rows to the last; signals of other rows do not exist for it);
    - elsewhere on the `earlier` judged windows before, pooled as windows of their own; the first `earlier` windows
      are then judged by nothing and only choose.

    Train rows never choose, and nothing at or after the start of a test part has a say in its rules. The stitched
    backtest is a schedule: each choice decides from the first bar of its test part to the last. With
    ``boundary="carry"`` a position lives on under the rules of its signal bar, also through the bars between two test
    parts (``step`` longer than ``test``), where it meets its stops, its target and its `max_hold`; signals of those
    bars do not exist for it, and nothing is entered there: an order that could only fill behind the test part is not
    placed, and a resting one is withdrawn at its end. The same holds for a fold without a choice.

    Parameters
    ----------
    data : run or Candles
        What :func:`barproof.train` gives, or anything with `candles`, `folds` and ``signals(part=, fold=)``; else the
        bars of one symbol, with `signals` and `windows`.
    signals : Signals
        With candles: one value a bar, or with times to join by. They must be out of sample in every window: only who
        made them knows.
    grid : Grid
        Combinations of rules, which share `fill`; the second positional argument after a run.
    costs : Costs
        Fees and slippage.
    windows : list of (start, end), str, splitter or list of Fold, optional
        With candles, and required there: as for :func:`barproof.sweep`. A splitter with tune rows chooses on these.
        In time order, sharing no bar.
    earlier : int, default 3
        Windows that choose, where there are no tune rows.
    metric : str or callable, default "sharpe"
        Name of a metric; the highest is best, the lowest for those where less is better. Or a function that takes a
        pooled frame (as `Sweep.pooled`: axes and metrics, one row a combination) and gives one score a row, of which
        the highest is best, NaN where there is none; it is called by its ``__name__``. Where the chosen combination is
        judged it is asked again, with that one row.
    choose : {"best", "plateau"} or callable, default "best"
        The best value, the first if several share it; or the highest median over a combination and its neighbours
        (:func:`barproof.plateau`), which a lonely value does not move: the best value decides between equal medians.
        Or a function that takes the pooled frame of the bars that choose, without the rows left out by `min_trades`
        and with the scores of a `metric` of your own, and gives the number of a combination, or one score a row, of
        which the highest is best, or None: nothing is entered in that fold.
    min_trades : int, default 0
        Leave out combinations with fewer trades on the bars that choose; as neighbours they count as undefined.
    exit : {"opposite"}, optional
        With a run: passed to ``run.signals``.
    boundary : {"carry", "close"}, default "carry"
        Positions live on from one test part to the next, or are closed at the end of each.
    initial_equity : float, default 10000.0
        Of every choosing window, of every test part run alone, and of the whole, in quote.
    periods_per_year : float, optional
        Annualises daily statistics. Default: 365 for spot and perpetual, 252 equity, 260 fx.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event, or bar by bar, which is the definition; the results are the same bits.
    intrabar_candles : Candles, optional
        Finer candles of the same market, as for :func:`barproof.backtest`: they settle bars that hold both stop and
        target, where rules are chosen and where they are judged.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core. Results are the same bits for any number.
    progress : bool or callable, optional
        A bar on stderr, or a function of (done, total), which count combinations over all folds. Default: a bar if
        stderr is a terminal.
    ledger : Ledger, str, Path or bool, optional
        Where the run is counted; see :class:`barproof.Ledger`. Its trials are the combinations of the grid: each is one
        configuration, however many folds it was tried in. Default: the project's ledger, if there is a project; False
        leaves the run unrecorded, and its provenance says so.
    executor : {"local", "ray"} or RayExecutor, optional
        Where the sweeps that choose run, as for :func:`barproof.sweep`.

    Returns
    -------
    WalkForwardResult
        The stitched backtest, with `choices`, `trials` and `stability`.

    Raises
    ------
    Interrupted
        On Ctrl-C, a ``KeyboardInterrupt`` whose `partial` is the frame of choices made so far.
    WindowError
        If test parts share bars, choosing rows are not before them, or too few windows are left to be judged.
    RulesError
        If the grid varies `fill`, or rules need signals that are not there.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the result.
    ParameterError, ShapeError, SignalError, FundingError, PlanError, LayoutError
        If an argument is out of bounds, or a function gives back something else; the message names it.

    Warns
    -----
    DataWarning
        If bars of the windows are not made up by `intrabar_candles`; they are run on themselves.

    Notes
    -----
    ``oos.metrics`` speak of the whole and are what the procedure of choosing earned; ``judged_<metric>`` of a fold is
    made like ``chosen_<metric>``, flat at both ends, so that the two can be compared. How much better the chosen
    looks than the judged is how much the choice flattered.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=8_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> grid = bp.Grid(bp.Rules(max_hold=24), entry_long=[1.0, 1.5], stop_loss=[0.01, 0.02])
    >>> oos = bp.walk_forward_optimise(
    ...     candles, signals, grid, costs=bp.Costs(taker=0.0005), windows="1w", earlier=2
    ... )
    >>> oos.choices["fold"].to_list(), oos.trials
    ([2, 3], 4)
    >>> oos.metrics["trades"] == oos.trades.height
    True
    """
    for name, value, least in (("min_trades", min_trades, 0), ("earlier", earlier, 1)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ParameterError(f"`{name}` must be a whole number >= {least}, was {value!r}")
    if boundary not in ("carry", "close"):
        raise ParameterError(
            f'`boundary` must be "carry" or "close", was {boundary!r}: carry keeps positions from part to part'
        )
    options: dict[str, Any] = {
        "intrabar_candles": intrabar_candles,
        "costs": costs,
        "initial_equity": initial_equity,
        "periods_per_year": periods_per_year,
        "engine": engine,
    }
    if isinstance(data, Candles):
        if exit is not None:
            raise ParameterError(
                f"`exit` is {exit!r}, but it belongs to a run: give exits as arrays of the signals"
            )
        check_grid(grid)
        plan = plan_windows(data, signals, windows, earlier, options)
    else:
        if isinstance(signals, Grid) and grid is None:
            signals, grid = None, signals
        if signals is not None or windows is not None:
            raise LayoutError(
                "a run brings its own signals and windows: call walk_forward_optimise(run, grid, costs=...), or give "
                "Candles first"
            )
        check_grid(grid)
        plan = plan_run(data, earlier, exit, options)
    assert grid is not None
    scorer = Scorer.read(metric, grid.axes)
    chooser = Chooser(choose, scorer, int(min_trades))
    numbers = pl.Series("combination", np.arange(len(grid)))
    chooser.prepare(pl.DataFrame([numbers, *axis_series(grid, numbers)]), grid.groups)
    workers = thread_count(threads)
    served(plan.made, union([w for step in plan.steps for w in (*step.choose, step.judge)]))
    book = door(ledger)
    began = time.perf_counter()
    facts = {
        "grid": grid.digest,
        "combinations": str(len(grid)),
        "metric": scorer.name,
        "choose": chooser.name,
        "min_trades": str(int(min_trades)),
        "folds": _core.digest("folds/1", [step.text() for step in plan.steps]),
        "chosen_on": plan.chosen_on,
        "boundary": boundary,
    }
    walk = _Walk(plan, grid, scorer, chooser, workers)
    try:
        with (
            crew(executor) as team,
            reporter(progress, len(grid) * len(plan.steps), "walk-forward") as report,
        ):
            walk.run(report, team)
        result = walk.stitch(boundary, facts)
    except KeyboardInterrupt as stop:
        finished, n = len(walk.found), len(plan.steps)
        begun = getattr(stop, "done", 0)
        tried = len(grid) if finished else begun
        if tried:
            made_of = {**plan.made.provenance(), **facts, "window": "{}..{}".format(*walk.span)}
            took = time.perf_counter() - began
            partial = SimpleNamespace(provenance=made_of)
            enter(book, KIND, partial, grid.digest, trials=tried, seconds=took)
        raise Interrupted(
            f"interrupted after {finished} of {n} folds; `partial` of this exception holds their choices",
            finished * len(grid) + begun,
            n * len(grid),
            walk.choices(),
        ) from None
    took = time.perf_counter() - began
    enter(book, KIND, result, grid.digest, trials=len(grid), seconds=took)
    return result


@dataclass(frozen=True)
class _Found:
    """What one fold came to."""

    combination: int | None
    # The metric, and the trades.
    chosen: tuple[float, float] | None = None
    judged: tuple[float, float] | None = None
    choice: Chosen | None = None


class _Walk:
    """The folds, one after the other, and what they have come to so far."""

    def __init__(
        self, plan: Plan, grid: Grid, scorer: Scorer, chooser: Chooser, threads: int
    ) -> None:
        self._plan = plan
        self._grid = grid
        self._scorer = scorer
        self._chooser = chooser
        self._threads = threads
        self.found: list[_Found] = []

    def run(self, report: Progress | None, team: Crew | None) -> None:
        """Choose and judge, fold by fold."""
        for step in self._plan.steps:
            self.found.append(self._one(step, report, team))

    def _one(self, step: Step, report: Progress | None, team: Crew | None) -> _Found:
        """Sweep the grid over what one step chooses on, choose, and judge the choice on its rows."""
        made, grid = self._plan.made, self._grid
        signals = self._plan.signals(step.number)
        if step.rows is not None:
            signals = only(signals, step.rows, step.choose[0])
        before, total = len(self.found) * len(grid), len(self._plan.steps) * len(grid)

        def progress(done: int, _: int) -> None:
            if report is not None:
                report(before + done, total)

        swept = sweep(
            made.candles,
            signals,
            grid,
            windows=step.choose,
            **self._plan.options,
            threads=self._threads,
            progress=progress if report is not None else False,
            workers=team,
        )
        choice = self._chooser.take(swept.pooled)
        if choice is None:
            return _Found(None)
        row = swept.pooled[[choice.at]]
        combination = int(row["combination"][0])
        raw = run_once(made, [(0, grid[combination])], "carry", step.judge)
        judged = self._judged(row, metrics_mapping(raw["metrics"]))
        return _Found(
            combination,
            (choice.value, row["trades"][0]),
            (float(self._scorer.values(judged)[0]), judged["trades"][0]),
            choice,
        )

    @staticmethod
    def _judged(row: pl.DataFrame, metrics: dict[str, float | int]) -> pl.DataFrame:
        """Put the judged metrics in place of the chosen ones, as a pooled frame would have them."""
        found = [
            pl.Series(one["name"], [metrics[one["name"]]], dtype=row[one["name"]].dtype)
            for one in METRICS
        ]
        return row.with_columns(pl.Series("pooling", ["compounded"]), *found)

    def choices(self) -> pl.DataFrame:
        """Frame of what was chosen so far."""
        found, candles = self.found, self._plan.made.candles
        done = self._plan.steps[: len(found)]
        rows = pl.Series("combination", [one.combination for one in found], dtype=pl.UInt32)
        last = [step.judge[1] - 1 for step in done]
        name, count = self._scorer.name, self._scorer.count
        columns = [
            pl.Series("fold", [step.number for step in done], dtype=pl.UInt32),
            times(candles.open_time[[step.judge[0] for step in done]]).alias("start"),
            times(candles.open_time[last] + candles.interval_ms).alias("end"),
            rows,
            *axis_series(self._grid, rows),
        ]
        for what in dict.fromkeys((name, "trades")):
            for which in ("chosen", "judged"):
                pairs = [getattr(one, which) for one in found]
                column = [None if pair is None else pair[what != name] for pair in pairs]
                kind = pl.UInt32 if count or what == "trades" else pl.Float64
                columns.append(pl.Series(f"{which}_{what}", column, strict=False).cast(kind))
        made = [one.choice for one in found]
        plateau = [None if choice is None else choice.plateau for choice in made]
        edge = [None if choice is None else choice.edge for choice in made]
        columns.append(pl.Series(f"plateau_{name}", plateau, dtype=pl.Float64))
        columns.append(pl.Series("at_edge", edge, dtype=pl.Boolean))
        return pl.DataFrame(columns)

    @property
    def span(self) -> Window:
        """From the first judged bar to the last."""
        steps = self._plan.steps
        return steps[0].judge[0], steps[-1].judge[1]

    def stitch(self, boundary: Boundary, facts: dict[str, str]) -> WalkForwardResult:
        """One backtest over all judged bars."""
        made, schedule = self._plan.made, self._schedule(boundary)
        judged = np.concatenate([np.arange(*step.judge) for step in self._plan.steps])
        made = replace(made, signals=only(made.signals, judged, self.span))
        result = make_result(made, schedule, schedule, boundary, self.span, told=True)
        result.provenance.update(facts)
        held = {part.name: getattr(result, part.name) for part in fields(result)}
        groups = [axis.names for axis in self._chooser.neighbours.axes]
        return WalkForwardResult(
            **held, choices=self.choices(), trials=len(self._grid), axis_groups=groups
        )

    def _schedule(self, boundary: Boundary) -> list[tuple[int, Rules]]:
        """Rules by the bar from which on they decide; flat ones where nothing may be entered."""
        flat = Rules(fill=self._grid[0].fill)
        parts: list[tuple[Window, Rules | None]] = []
        for step, one in zip(self._plan.steps, self.found, strict=True):
            if parts and parts[-1][0][1] < step.judge[0]:
                parts.append(((parts[-1][0][1], step.judge[0]), None))
            rules = None if one.combination is None else self._grid[one.combination]
            parts.append((step.judge, rules))
        out: dict[int, Rules] = {}
        for k, ((start, stop), rules) in enumerate(parts):
            if rules is None:
                if not out or out[max(out)] is not flat:
                    out[start] = flat
                continue
            out[start] = rules
            ends = k + 1 < len(parts) and parts[k + 1][1] is None
            if ends and boundary == "carry":
                # What is decided at the last close fills behind the part; a resting order must lapse within it. Where
                # parts close, the engine forgets both.
                if rules.entry == "limit":
                    for bar in range(max(start, stop - rules.limit_bars), stop - 1):
                        out[bar] = rules.replace(limit_bars=stop - 1 - bar)
                out[stop - 1] = flat
        return list(out.items())
