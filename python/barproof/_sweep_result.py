"""`Sweep`: what a sweep found, and ways to look at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._backtest import Result, make_result
from barproof._daily import DailyReturns
from barproof._frames import METRICS, daily_frame
from barproof._setting import Setting
from barproof._shown import best_rows, facts, shown
from barproof._sweep_job import RANGE, Job, Leg, call
from barproof._sweep_stores import InFolder, OfSymbol, Store
from barproof._windows import Window, overlap
from barproof.errors import Interrupted, LayoutError, ParameterError, ShapeError
from barproof.rules import Rules

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from barproof._sweep_plan import Plan

__all__ = ["Best", "Metric", "Sweep", "check_metric", "preferred"]

Metric: TypeAlias = "str | Callable[[pl.DataFrame], Any]"
"""Name of a metric, or a function of the pooled frame to one number a row, higher is better."""


@shown(lambda self: facts({**self.rules.changed(), **self.metrics}))
@dataclass(frozen=True, repr=False)
class Best:
    """The combination that a metric prefers.

    Attributes
    ----------
    combination : int
        Its number.
    rules : Rules
        Its rules.
    metric : str
        By which it was chosen; the name of the function, where it was one.
    metrics : dict of str to float or int
        Its pooled metrics. Chosen from many, they flatter: judge it on bars that did not choose it.
    signals : str or None
        Name of its signals, where several sets were compared.
    """

    combination: int
    rules: Rules
    metric: str
    metrics: dict[str, float | int]
    signals: str | None = None

    def __repr__(self) -> str:
        of = "" if self.signals is None else f" of {self.signals!r}"
        told = (
            f", {self.metric} {self.metrics[self.metric]:.4g}"
            if self.metric in self.metrics
            else ""
        )
        return f"Best({self.combination:,}{of}: {self.rules!r}{told}, {self.metrics['trades']:,.0f} trades)"


def _in_all(numbers: NDArray[np.uint32], times: int) -> NDArray[np.int64]:
    """Numbers that are there so many times, in order."""
    if times == 1:
        return np.sort(numbers.astype(np.int64))
    found, counts = np.unique(numbers, return_counts=True)
    kept: NDArray[np.int64] = found[counts == times].astype(np.int64)
    return kept


@shown(best_rows)
class Sweep:
    """What a sweep found.

    Attributes
    ----------
    symbols : list of str
        Symbols that were run; empty where candles were given without one.
    grid : Grid
        The combinations of rules. Where sets of signals are compared, a combination is one of the grid with one set:
        number `n` is number ``n % len(grid)`` of the grid.
    axes, axis_groups : list
        Columns that vary, and which vary together.
    windows : list of tuple of int, or dict
        Bar ranges; by symbol where there are several.
    combinations : ndarray of int
        Numbers of the combinations that were finished, on every symbol.
    seconds : float
        Wall time.
    complete : bool
        False if it was interrupted; frames then hold the combinations that were finished.
    provenance : dict of str to str
        Digests and versions.
    """

    def __init__(self, job: Job, store: Store, seconds: float) -> None:
        self._job = job
        self._store = store
        self.grid = job.grid
        self.axes = job.axes
        sets = [["signals"]] if job.names is not None else []
        self.axis_groups = [*sets, *(list(group) for group in job.grid.groups)]
        self.symbols = [leg.symbol for leg in job.legs if leg.symbol is not None]
        self.windows: Any = (
            {leg.symbol: leg.windows for leg in job.legs} if job.several else job.legs[0].windows
        )
        self.seconds = seconds
        numbers = self.pooled["combination"].to_numpy()
        self.combinations: NDArray[np.int64] = _in_all(numbers, len(job.legs))
        self.complete = len(self.combinations) == job.width
        spans = [f"{len(leg.windows)} within bars {leg.span[0]}..{leg.span[1]}" for leg in job.legs]
        self.provenance = {**job.identity(), "windows": "; ".join(dict.fromkeys(spans))}

    @cached_property
    def plan(self) -> Plan:
        """What the sweep took: rows, memory, the way of each combination, and its wall time as `seconds`."""
        from barproof._sweep_plan import planned

        kept = not isinstance(self._store, InFolder)
        return planned(self._job, self._job.pieces(whole=kept), kept=kept, seconds=self.seconds)

    @property
    def frame(self) -> pl.DataFrame:
        """One row a combination and window.

        Columns: `combination`, `window`, `start`, `end`, the axes, the metrics; with several symbols `symbol` first,
        with sets of signals `signals` before the axes. Of a sweep with ``out=`` it is read from the folder at each
        call, and refused with PlanError where it does not fit; :meth:`scan` reads what is asked for.
        """
        return self._store.frame()

    def scan(self) -> pl.LazyFrame:
        """Rows of :attr:`frame`, to be filtered and summed up before they are read.

        Returns
        -------
        polars.LazyFrame
            Of the parts of the folder, or of the frame in memory.
        """
        return self._store.scan()

    @cached_property
    def pooled(self) -> pl.DataFrame:
        """One row a combination, over all windows; with several symbols one a symbol and combination.

        Columns: `combination`, `pooling` (``"compounded"``, or ``"mean"`` over what is defined where windows overlap or
        run backwards), the axes, the metrics; `symbol` and `signals` as in :attr:`frame`.
        """
        return self._store.pooled()

    @cached_property
    def overall(self) -> pl.DataFrame:
        """One row a combination, over all symbols: `pooled` itself unless there are several.

        Every metric is the plain mean over the symbols, undefined where it is undefined on one of them, so that one
        lucky symbol cannot speak for all; `pooling` is ``"mean of n symbols"``. Combinations that were not finished on
        every symbol are left out.
        """
        legs = len(self._job.legs)
        if not self.symbols:
            return self.pooled
        kept = np.isin(self.pooled["combination"].to_numpy(), self.combinations)
        table = self.pooled if kept.all() else self.pooled.filter(pl.Series(kept))
        n = len(self.combinations)
        first = table.head(n).drop("symbol")
        metrics = [m["name"] for m in METRICS] + self._range_names()
        columns = {
            name: table[name].cast(pl.Float64).to_numpy().reshape(legs, n).sum(axis=0) / legs
            for name in metrics
        }
        return first.with_columns(
            pl.lit(f"mean of {legs} symbols").alias("pooling"),
            *(pl.Series(name, values) for name, values in columns.items()),
        )

    def _range_names(self) -> list[str]:
        return [f"{metric}_{way}" for metric, way in RANGE] if self._job.ranged else []

    def of(self, symbol: str) -> Sweep:
        """Take one symbol of several.

        Parameters
        ----------
        symbol : str
            One of `symbols`.

        Returns
        -------
        Sweep
            As if this symbol had been swept alone.

        Raises
        ------
        ParameterError
            If there is no such symbol.
        """
        leg = self._leg(symbol)
        job = replace(self._job, legs=(replace(leg, symbol=None),))
        return Sweep(job, OfSymbol(self._store, symbol), self.seconds)

    def _leg(self, symbol: str | None) -> Leg:
        """Leg of a symbol; None is the only one."""
        if symbol is None and not self.symbols:
            return self._job.legs[0]
        if symbol is None:
            raise ParameterError(
                f"the sweep has the symbols {', '.join(self.symbols)}: say which, such as symbol={self.symbols[0]!r} "
                f"or of({self.symbols[0]!r})"
            )
        for leg in self._job.legs:
            if leg.symbol == symbol:
                return leg
        raise ParameterError(
            f"symbol {symbol!r} is not in the sweep; it has: {', '.join(self.symbols) or 'one without a name'}"
        )

    @property
    def _made(self) -> Setting:
        """Setting of the only symbol and set of signals."""
        if len(self._job.legs) > 1 or self._job.sets > 1:
            raise AttributeError(
                "a sweep over several symbols or sets of signals has no one setting"
            )
        return self._job.legs[0].settings[0]

    def __len__(self) -> int:
        return len(self.combinations)

    def best(
        self, metric: Metric = "sharpe", *, min_trades: int = 0, symbol: str | None = None
    ) -> Best:
        """Find the combination with the best pooled metric; the first if several share it.

        Parameters
        ----------
        metric : str or callable, default "sharpe"
            Name of a metric; the highest is best, the lowest for those where less is better (drawdown, fees). Or a
            function of the pooled frame that gives one number a row (a polars Series or expression, or an array), of
            which the highest is best; NaN and null are undefined.
        min_trades : int, default 0
            Leave out combinations with fewer trades (over several symbols: fewer on average).
        symbol : str, optional
            Choose on this symbol. Default: on the mean over all, :attr:`overall`.

        Returns
        -------
        Best
            Number, rules and pooled metrics.

        Raises
        ------
        ParameterError
            If there is no such metric or symbol, or it is undefined for every combination.
        LayoutError, ShapeError
            If a function does not give one number a row.
        """
        if symbol is not None:
            self._leg(symbol)
        table = self.overall if symbol is None else OfSymbol(self._store, symbol).pooled()
        row = metric_row(metric, self._range_names())
        at = preferred(table, row, min_trades)
        if at is None:
            raise ParameterError(
                f"`{row['name']}` is undefined for all {table.height:,} combinations with at least {min_trades} "
                "trades: lower the thresholds, or choose another metric"
            )
        pooled = table.row(at, named=True)
        number = int(pooled["combination"])
        names = [*(m["name"] for m in METRICS), *self._range_names()]
        metrics = {name: pooled[name] for name in names}
        return Best(number, self.rules(number), row["name"], metrics, pooled.get("signals"))

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
                f"combination {combination} is not in the sweep of {self._job.width:,}: see `combination` in `pooled`"
            )
        return self.grid[self._job.place(int(combination))[1]]

    def signals_of(self, combination: int) -> str | None:
        """Name of a combination's signals; None where there is one set.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        str or None
            Name in the :class:`barproof.SignalSets`.
        """
        self.rules(combination)
        names = self._job.names
        return None if names is None else names[self._job.place(int(combination))[0]]

    def result(
        self, combination: int, window: int | None = None, *, symbol: str | None = None
    ) -> Result:
        """Backtest of one combination, run again in full.

        Parameters
        ----------
        combination : int
            Its number.
        window : int, optional
            Number of a window. Default: from the earliest window's start to the latest one's end, in one run.
        symbol : str, optional
            Which of several symbols.

        Returns
        -------
        Result
            As from :func:`barproof.backtest`.
        """
        leg, rules = self._leg(symbol), self.rules(combination)
        made = leg.settings[self._job.place(int(combination))[0]]
        span = leg.span if window is None else self._window(leg, window)
        return make_result(made, rules, [(0, rules)], "carry", span, told=True)

    def _window(self, leg: Leg, window: int) -> Window:
        if not 0 <= window < len(leg.windows):
            raise ParameterError(
                f"window {window} does not exist: the sweep has {len(leg.windows)}"
            )
        return leg.windows[window]

    def _runs(self, combination: int, symbol: str | None) -> Iterator[tuple[int, Result]]:
        for number in range(len(self._leg(symbol).windows)):
            yield number, self.result(combination, number, symbol=symbol)

    def trades(self, combination: int, *, symbol: str | None = None) -> pl.DataFrame:
        """Trades of a combination in all windows, run again.

        Parameters
        ----------
        combination : int
            Its number.
        symbol : str, optional
            Which of several symbols.

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
            for number, result in self._runs(combination, symbol)
        )

    def equity(self, combination: int, *, symbol: str | None = None) -> pl.DataFrame:
        """Run a combination again for its marked equity; each window starts at the initial equity.

        Parameters
        ----------
        combination : int
            Its number.
        symbol : str, optional
            Which of several symbols.

        Returns
        -------
        polars.DataFrame
            Columns `window`, `open_time`, `equity`, and `compounded` (windows one after the other; null where they
            overlap).
        """
        leg = self._leg(symbol)
        base = leg.settings[0].initial_equity
        scale, parts = 1.0, []
        chained = not overlap(leg.windows)
        for number, result in self._runs(combination, symbol):
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
        """Daily returns of every combination, for the statistics; of several symbols take one with :meth:`of`."""
        leg, dates = self._leg(None), []
        for start, stop in leg.windows:
            days = leg.settings[0].candles.open_time[start:stop] // 86_400_000
            dates.append(daily_frame(np.unique(days), None)["date"])
        return DailyReturns(pl.concat(dates), self.combinations, self._daily)

    def _daily(self, combinations: list[int]) -> NDArray[np.float64]:
        """Run combinations again for their daily returns, one row each."""
        leg, parts = self._leg(None), []
        places = [self._job.place(number) for number in combinations]
        # Neighbours of one set of signals run together.
        cuts = [i for i in range(1, len(places)) if places[i][0] != places[i - 1][0]]
        for low, high in zip([0, *cuts], [*cuts, len(places)], strict=True):
            raw = call(
                leg.settings[places[low][0]],
                self.grid,
                0,
                0,
                leg.windows,
                self._job.threads,
                None,
                daily=True,
                rows=[number for _, number in places[low:high]],
            )
            if raw["interrupted"]:
                raise Interrupted("interrupted while daily returns were computed; nothing is kept")
            flat: NDArray[np.float64] = raw["daily"]
            parts.append(flat.reshape(high - low, -1))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

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
            Fields, or ``"signals"`` or ``"symbol"`` where there are several. Default: the first of the first two axes.
            Over several symbols their mean is drawn, unless `symbol` is an axis.
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

        metric_row(metric, self._range_names())
        leads = [group[0] for group in self.axis_groups]
        x = x or (leads[0] if leads else None)
        y = y or (leads[1] if len(leads) > 1 else None)
        known = [*self.axes, *(["symbol"] if self.symbols else [])]
        for name in (x, y):
            if name not in known:
                raise ParameterError(
                    f"a heatmap needs two axes of the grid, was given {name!r}; axes: {', '.join(known) or 'none'}"
                )
        table = self.pooled if "symbol" in (x, y) else self.overall
        return heatmap_figure(table, x, y, metric, pool=pool)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a report with the best combination by Sharpe ratio: one HTML file that needs no network.

        Of several symbols take one with :meth:`of`.

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

        self._leg(None)
        defined = bool((~np.isnan(self.pooled["sharpe"].to_numpy())).any())
        best = self.result(self.best("sharpe").combination) if defined else None
        return write_report(path, result=best, sweep=self, title=title)

    def __repr__(self) -> str:
        state = "" if self.complete else f" of {self._job.width:,}, interrupted"
        windows = sorted({len(leg.windows) for leg in self._job.legs})
        shown = " to ".join(f"{n:,}" for n in dict.fromkeys((windows[0], windows[-1])))
        symbols = f" x {len(self.symbols):,} symbols" if self.symbols else ""
        return (
            f"Sweep({len(self):,} combinations{state} x {shown} windows{symbols} over "
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


def metric_row(metric: Metric, more: list[str]) -> dict[str, Any]:
    """Row of a metric: of the table, of the columns of a range, or of a function of the frame."""
    if isinstance(metric, str):
        return {"name": metric, "better": 1} if metric in more else check_metric(metric)
    if not callable(metric):
        raise LayoutError(
            f"`metric` must be the name of a metric or a function of the pooled frame, was {type(metric).__name__}"
        )
    return {"name": getattr(metric, "__name__", "metric"), "better": 1, "function": metric}


def scores(pooled: pl.DataFrame, metric: dict[str, Any]) -> NDArray[np.float64]:
    """One number a row by a metric's row; undefined is NaN."""
    function = metric.get("function")
    if function is None:
        named: NDArray[np.float64] = pooled[metric["name"]].cast(pl.Float64).to_numpy()
        return named
    found = function(pooled)
    if isinstance(found, pl.Expr):
        found = pooled.select(found.alias("score")).to_series()
    series = found if isinstance(found, pl.Series) else None
    try:
        values = (
            np.asarray(found, dtype=np.float64)
            if series is None
            else series.cast(pl.Float64).to_numpy()
        )
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        raise LayoutError(
            f"`metric` must give numbers, one a row of the frame, gave {type(found).__name__}"
            + ("" if series is None else f" of {series.dtype}")
        ) from None
    if values.shape != (pooled.height,):
        raise ShapeError(
            f"`metric` must give one number a row of the frame, which has {pooled.height:,}, gave the shape "
            f"{values.shape}"
        )
    return values


def preferred(pooled: pl.DataFrame, metric: dict[str, Any], min_trades: int) -> int | None:
    """Row of the best combination by a metric's row; None if the metric is defined for none."""
    values = scores(pooled, metric)
    values = np.where(pooled["trades"].to_numpy() >= min_trades, values, np.nan)
    if np.isnan(values).all():
        return None
    return int(np.nanargmin(values) if metric["better"] < 0 else np.nanargmax(values))
