"""`sweep`: a grid of rules over windows, in parallel; `plan`: what it would take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._backtest import Result, Setting, daily_frame, make_result, setting
from barproof._daily import DailyReturns
from barproof._frames import METRICS, metric_series, metric_value, times
from barproof._grid import Grid
from barproof._machine import available_bytes, thread_count
from barproof._progress import Progress, reporter
from barproof._windows import Window, as_windows, overlap
from barproof.candles import Candles
from barproof.errors import Interrupted, LayoutError, ParameterError, PlanError
from barproof.ledger import Recorded, door, enter
from barproof.rules import Costs, Rules
from barproof.signals import Signals

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["Best", "DailyReturns", "Plan", "Sweep", "plan", "sweep"]

_PROBE_BARS = 50_000


@dataclass(frozen=True)
class Best:
    """The combination that a metric prefers.

    Attributes
    ----------
    combination : int
        Its number.
    rules : Rules
        Its rules.
    metric : str
        By which it was chosen.
    metrics : dict of str to float or int
        Its pooled metrics. Chosen from many, they flatter: judge it on bars that did not choose it.
    """

    combination: int
    rules: Rules
    metric: str
    metrics: dict[str, float | int]


@dataclass(frozen=True)
class Plan:
    """What a sweep would take.

    Attributes
    ----------
    combinations, windows, rows : int
        Size of the job; `rows` are those of `Sweep.frame`.
    bar_steps : int
        Bars times combinations.
    threads : int
        Worker threads.
    path : str
        Engine that each combination takes.
    memory_bytes, available_bytes : int
        Estimated peak of the results, and what the machine has free.
    seconds : float
        Estimated wall time, from a probe on the first combination.
    """

    combinations: int
    windows: int
    rows: int
    bar_steps: int
    threads: int
    path: str
    memory_bytes: int
    available_bytes: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.combinations:,} combinations x {self.windows:,} windows = {self.rows:,} rows, "
            f"{self.bar_steps / 1e9:,.2f} G bar steps on {self.threads} threads by {self.path}: "
            f"about {self.seconds:,.1f} s, {self.memory_bytes / 2**20:,.0f} MiB of "
            f"{self.available_bytes / 2**20:,.0f} MiB free"
        )


class Sweep:
    """What a sweep found.

    Attributes
    ----------
    frame : polars.DataFrame
        One row a combination and window: `combination`, `window`, `start`, `end`, the axes, the metrics.
    pooled : polars.DataFrame
        One row a combination, over all windows: `combination`, `pooling` (``"compounded"``, or ``"mean"`` over what is
        defined where windows overlap or run backwards), the axes, the metrics.
    grid : Grid
        The combinations.
    axes, axis_groups : list
        Fields that vary, and which vary together.
    windows : list of tuple of int
        Bar ranges.
    seconds : float
        Wall time.
    complete : bool
        False if it was interrupted; frames then hold the combinations that were finished.
    provenance : dict of str to str
        Digests and versions.
    """

    def __init__(
        self,
        made: Setting,
        grid: Grid,
        windows: list[Window],
        raw: dict[str, Any],
        seconds: float,
        threads: int,
    ) -> None:
        self._made = made
        self._threads = threads
        self.grid = grid
        self.windows = windows
        self.axes = list(grid.axes)
        self.axis_groups = [list(group) for group in grid.groups]
        self.seconds = seconds
        done = np.flatnonzero(raw["done"])
        self.complete = len(done) == len(grid)
        self.combinations: NDArray[np.int64] = done
        self.provenance = {
            **made.provenance(),
            "grid": grid.digest,
            "combinations": str(len(grid)),
            "windows": f"{len(windows)} within bars {self._span()[0]}..{self._span()[1]}",
        }
        pooling = "mean" if overlap(windows) else "compounded"
        self.pooled = pl.DataFrame(
            [
                pl.Series("combination", done, dtype=pl.UInt32),
                pl.Series("pooling", [pooling] * len(done), dtype=pl.String),
                *axis_series(grid, done),
                *metric_series(raw["pooled"], counts=pooling == "compounded"),
            ]
        )
        self.frame = self._frame(raw["frame"], done)

    def _frame(self, columns: list[NDArray[np.float64]], done: NDArray[np.int64]) -> pl.DataFrame:
        n = len(self.windows)
        candles = self._made.candles
        start = times(candles.open_time[[w[0] for w in self.windows]])
        end = times(candles.open_time[[w[1] - 1 for w in self.windows]] + candles.interval_ms)
        number = pl.Series(np.tile(np.arange(n), len(done)))
        return pl.DataFrame(
            [
                pl.Series("combination", np.repeat(done, n), dtype=pl.UInt32),
                number.cast(pl.UInt32).alias("window"),
                start.gather(number).alias("start"),
                end.gather(number).alias("end"),
                *axis_series(self.grid, np.repeat(done, n)),
                *metric_series(columns, counts=True),
            ]
        )

    def __len__(self) -> int:
        return len(self.combinations)

    def best(self, metric: str = "sharpe", *, min_trades: int = 0) -> Best:
        """Find the combination with the best pooled metric; the first if several share it.

        Parameters
        ----------
        metric : str, default "sharpe"
            Name of a metric; the highest is best, the lowest for those where less is better (drawdown, fees).
        min_trades : int, default 0
            Leave out combinations with fewer trades.

        Returns
        -------
        Best
            Number, rules and pooled metrics.

        Raises
        ------
        ParameterError
            If there is no such metric, or it is undefined for every combination.
        """
        row = check_metric(metric)
        at = preferred(self.pooled, row, min_trades)
        if at is None:
            raise ParameterError(
                f"`{metric}` is undefined for all {len(self):,} combinations with at least {min_trades} trades: "
                "lower the thresholds, or choose another metric"
            )
        pooled = self.pooled.row(at, named=True)
        number = int(pooled["combination"])
        metrics = {m["name"]: metric_value(m, pooled[m["name"]]) for m in METRICS}
        return Best(number, self.grid[number], metric, metrics)

    def rules(self, combination: int) -> Rules:
        """Rules of a combination.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        Rules
            Base and axes together.
        """
        if not isinstance(combination, (int, np.integer)) or combination not in self.combinations:
            raise ParameterError(
                f"combination {combination} is not in the sweep of {len(self.grid):,}: see `combination` in `pooled`"
            )
        return self.grid[combination]

    def result(self, combination: int, window: int | None = None) -> Result:
        """Backtest of one combination, run again in full.

        Parameters
        ----------
        combination : int
            Its number.
        window : int, optional
            Number of a window. Default: from the earliest window's start to the latest one's end, in one run.

        Returns
        -------
        Result
            As from :func:`barproof.backtest`.
        """
        rules = self.rules(combination)
        span = self._span() if window is None else self._window(window)
        return make_result(self._made, rules, [(0, rules)], "carry", span)

    def _span(self) -> Window:
        """From the first bar of any window to the last."""
        return min(start for start, _ in self.windows), max(stop for _, stop in self.windows)

    def _window(self, window: int) -> Window:
        if not 0 <= window < len(self.windows):
            raise ParameterError(
                f"window {window} does not exist: the sweep has {len(self.windows)}"
            )
        return self.windows[window]

    def _runs(self, combination: int) -> Iterator[tuple[int, Result]]:
        for number in range(len(self.windows)):
            yield number, self.result(combination, number)

    def trades(self, combination: int) -> pl.DataFrame:
        """Trades of a combination in all windows, run again.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        polars.DataFrame
            Columns of `Result.trades`, with `combination` and `window` filled; bars count within their window.
        """
        return pl.concat(
            result.trades.with_columns(
                pl.lit(combination, pl.UInt32).alias("combination"),
                pl.lit(number, pl.UInt32).alias("window"),
            )
            for number, result in self._runs(combination)
        )

    def equity(self, combination: int) -> pl.DataFrame:
        """Run a combination again for its marked equity; each window starts at the initial equity.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        polars.DataFrame
            Columns `window`, `open_time`, `equity`, and `compounded` (windows one after the other; null where they
            overlap).
        """
        base = self._made.initial_equity
        scale, parts = 1.0, []
        chained = not overlap(self.windows)
        for number, result in self._runs(combination):
            part = result.equity.select(
                pl.lit(number, pl.UInt32).alias("window"),
                "open_time",
                "equity",
                (pl.col("equity") * scale if chained else pl.lit(None, pl.Float64)).alias(
                    "compounded"
                ),
            )
            scale *= float(result.equity["equity"][-1]) / base
            parts.append(part)
        return pl.concat(parts)

    @cached_property
    def daily_returns(self) -> DailyReturns:
        """Daily returns of every combination, for the statistics."""
        dates = []
        for start, stop in self.windows:
            days = self._made.candles.open_time[start:stop] // 86_400_000
            dates.append(daily_frame(np.unique(days), None)["date"])
        return DailyReturns(pl.concat(dates), self.combinations, self._daily)

    def _daily(self, combinations: list[int]) -> NDArray[np.float64]:
        columns = {n: [v[c] for c in combinations] for n, v in self.grid._columns.items()}
        raw = _call(
            self._made,
            self.grid.rules,
            columns,
            len(combinations),
            self.windows,
            self._threads,
            None,
            daily=True,
        )
        if raw["interrupted"]:
            raise Interrupted("interrupted while daily returns were computed; nothing is kept")
        flat: NDArray[np.float64] = raw["daily"]
        return flat.reshape(len(combinations), -1)

    def heatmap(
        self,
        x: str | None = None,
        y: str | None = None,
        metric: str = "sharpe",
        *,
        pool: Literal["median", "mean", "max", "min"] = "median",
    ) -> go.Figure:
        """Pooled metric over two axes.

        Parameters
        ----------
        x, y : str, optional
            Fields. Default: the first of the first two axes.
        metric : str, default "sharpe"
            Name of a metric.
        pool : {"median", "mean", "max", "min"}, default "median"
            How combinations that share a cell are summed up; the best of many flatters.

        Returns
        -------
        plotly.graph_objects.Figure
            Ready to show or save.
        """
        from barproof.report.figures import heatmap_figure

        check_metric(metric)
        leads = [group[0] for group in self.axis_groups]
        x = x or (leads[0] if leads else None)
        y = y or (leads[1] if len(leads) > 1 else None)
        for name in (x, y):
            if name not in self.axes:
                raise ParameterError(
                    f"a heatmap needs two axes of the grid, was given {name!r}; axes: {', '.join(self.axes) or 'none'}"
                )
        return heatmap_figure(self, x, y, metric, pool=pool)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a report with the best combination by Sharpe ratio: one HTML file that needs no network.

        Parameters
        ----------
        path : str or Path
            File to write; replaced as a whole or not at all.
        title : str, optional
            Heading.

        Returns
        -------
        Path
            The file.
        """
        from barproof.report import write_report

        defined = bool((~np.isnan(self.pooled["sharpe"].to_numpy())).any())
        best = self.result(self.best("sharpe").combination) if defined else None
        return write_report(path, result=best, sweep=self, title=title)

    def __repr__(self) -> str:
        state = "" if self.complete else f" of {len(self.grid):,}, interrupted"
        return (
            f"Sweep({len(self):,} combinations{state} x {len(self.windows):,} windows over "
            f"{', '.join(self.axes) or 'nothing'}, {self.seconds:.2f} s)"
        )


def check_metric(metric: str) -> dict[str, Any]:
    """Row of the table of metrics, by name."""
    for row in METRICS:
        if row["name"] == metric:
            return row
    raise ParameterError(
        f"unknown metric `{metric}`; known: {', '.join(r['name'] for r in METRICS)}"
    )


def preferred(pooled: pl.DataFrame, metric: dict[str, Any], min_trades: int) -> int | None:
    """Row of the best combination by a row of the table of metrics; None if the metric is defined for none."""
    values = pooled[metric["name"]].cast(pl.Float64).to_numpy()
    values = np.where(pooled["trades"].to_numpy() >= min_trades, values, np.nan)
    if np.isnan(values).all():
        return None
    return int(np.nanargmin(values) if metric["better"] < 0 else np.nanargmax(values))


def axis_series(grid: Grid, rows: NDArray[np.int64] | pl.Series) -> list[pl.Series]:
    """Axes of these combinations, one column each; null where the combination is."""
    out = []
    for name, values in grid._columns.items():
        mixed = any(isinstance(v, float) for v in values)
        plain = [
            float(v) if mixed and isinstance(v, int) and not isinstance(v, bool) else v
            for v in values
        ]
        out.append(pl.Series(name, plain, strict=False).gather(rows))
    return out


def _memory(combinations: int, windows: int, axes: int, bars: int, threads: int) -> int:
    """Peak of a sweep's results: metrics in the core, then in numpy, then in frames; one curve a thread."""
    rows = combinations * (windows + 1)
    metrics = 8 * len(METRICS)
    return rows * (3 * metrics + 64 * axes) + 512 * combinations + 24 * bars * threads


def _call(
    made: Setting,
    base: Rules,
    columns: dict[str, list[Any]],
    count: int,
    windows: list[Window],
    threads: int,
    progress: Progress | None,
    *,
    daily: bool = False,
) -> dict[str, Any]:
    return _core.sweep_table(
        made.candles._bars,
        made.signals._bars,
        base.to_dict(),
        columns,
        count,
        windows=windows,
        threads=threads,
        keep_daily=daily,
        progress=progress,
        **made.options(),
    )


def _prepare(
    candles: Candles,
    signals: Signals,
    grid: Grid,
    costs: Costs,
    windows: Any,
    initial_equity: float,
    periods_per_year: float | None,
    engine: str,
    threads: int | None,
) -> tuple[Setting, list[Window], int]:
    if not isinstance(grid, Grid):
        raise LayoutError(
            f"`grid` must be a Grid, was {type(grid).__name__}: use Grid(rules, stop_loss=[...])"
        )
    made = setting(candles, signals, costs, initial_equity, periods_per_year, engine)
    return made, as_windows(candles, windows), thread_count(threads)


def plan(
    candles: Candles,
    signals: Signals,
    grid: Grid,
    *,
    costs: Costs,
    windows: Any = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
    engine: str = "indexed",
    threads: int | None = None,
) -> Plan:
    """Tell what a sweep would take, before it is run; arguments as for :func:`sweep`.

    Parameters
    ----------
    candles, signals, grid, costs, windows, initial_equity, periods_per_year, engine, threads
        As for :func:`sweep`.

    Returns
    -------
    Plan
        Rows, memory, path and estimated time. The time comes from running the first combination over at most 50,000
        bars.
    """
    made, spans, workers = _prepare(
        candles, signals, grid, costs, windows, initial_equity, periods_per_year, engine, threads
    )
    start = spans[0][0]
    probe = (start, min(start + _PROBE_BARS, len(candles)))
    columns = {name: values[:1] for name, values in grid._columns.items()}
    # Every combination meets its signals and instrument here, over one bar; only the first is timed.
    _call(made, grid.rules, grid._columns, len(grid), [(start, start + 1)], workers, None)
    began = time.perf_counter()
    _call(made, grid.rules, columns, 1, [probe], 1, None)
    per_bar = (time.perf_counter() - began) / (probe[1] - probe[0])
    bars = sum(stop - start for start, stop in spans)
    steps = bars * len(grid)
    return Plan(
        combinations=len(grid),
        windows=len(spans),
        rows=len(grid) * len(spans),
        bar_steps=steps,
        threads=workers,
        path=engine,
        memory_bytes=_memory(
            len(grid), len(spans), len(grid.axes), max(b - a for a, b in spans), workers
        ),
        available_bytes=available_bytes(),
        seconds=steps * per_bar / min(workers, max(1, len(grid) * len(spans))),
    )


def sweep(
    candles: Candles,
    signals: Signals,
    grid: Grid,
    *,
    costs: Costs,
    windows: Any = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
    engine: str = "indexed",
    threads: int | None = None,
    progress: bool | Progress | None = None,
    ledger: Recorded = None,
) -> Sweep:
    """Run every combination of a grid over every window, in parallel.

    Windows are runs of their own: each starts with the initial equity and closes its last position. Results are the
    same bits for any number of threads and whatever else is in the grid.

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    signals : Signals
        One value a bar, or with times to join by.
    grid : Grid
        Combinations of rules.
    costs : Costs
        Fees and slippage.
    windows : list of (start, end), str or splitter, optional
        Bar numbers or times, end excluded; a duration such as ``"1mo"`` or ``"5d"`` for consecutive windows; or an
        object whose ``split(candles)`` gives (train, test) rows, of which the test rows are run. Default: all bars.
    initial_equity : float, default 10000.0
        Of each window, in quote.
    periods_per_year : float, optional
        Annualises daily statistics. Default: 365 for spot and perpetual, 252 equity, 260 fx.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event, or bar by bar, which is the definition; the results are the same bits.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core.
    progress : bool or callable, optional
        A bar with the time left on stderr, or a function of (done, total). Default: a bar if stderr is a terminal.
    ledger : Ledger, str, Path or bool, optional
        Where the combinations that were run are counted; see :class:`barproof.Ledger`. Default: the project's ledger,
        if there is a project; False leaves the sweep unrecorded, and its provenance says so.

    Returns
    -------
    Sweep
        Frames, and ways to look at them.

    Raises
    ------
    Interrupted
        On Ctrl-C, a ``KeyboardInterrupt`` whose `partial` holds what was finished.
    PlanError
        If the results would not fit into memory.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the sweep.
    RulesError, ParameterError, ShapeError, SignalError, FundingError, WindowError, LayoutError
        If an argument is out of bounds; the message names it.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=5_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> grid = bp.Grid(bp.Rules(max_hold=24), entry_long=[1.0, 1.5], stop_loss=[0.01, 0.02])
    >>> bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005), windows="1w").pooled.height
    4
    """
    made, spans, workers = _prepare(
        candles, signals, grid, costs, windows, initial_equity, periods_per_year, engine, threads
    )
    need = _memory(len(grid), len(spans), len(grid.axes), max(b - a for a, b in spans), workers)
    free = available_bytes()
    if need > free:
        raise PlanError(
            f"{len(grid):,} combinations x {len(spans):,} windows need about {need:,} bytes, {free:,} are free: take "
            "fewer combinations (`sample=`) or longer windows"
        )
    book = door(ledger)
    began = time.perf_counter()
    with reporter(progress, len(grid)) as report:
        raw = _call(made, grid.rules, grid._columns, len(grid), spans, workers, report)
    found = Sweep(made, grid, spans, raw, time.perf_counter() - began, workers)
    if len(found):
        enter(book, "sweep", found, grid.digest, trials=len(found), seconds=found.seconds)
    if raw["interrupted"]:
        done = len(found)
        raise Interrupted(
            f"interrupted after {done:,} of {len(grid):,} combinations; `partial` of this exception holds them",
            done,
            len(grid),
            found if done else None,
        )
    return found
