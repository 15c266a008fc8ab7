"""`backtest`: one set of rules over one window, and its result."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl

from barproof import _core
from barproof._frames import daily_frame, metrics_mapping, stats_frame, times, trades_frame
from barproof._setting import Setting, check_served, setting
from barproof._shown import shown
from barproof._windows import Bound, Window, as_window, bar_at
from barproof.candles import Candles
from barproof.errors import LayoutError, ParameterError, RulesError
from barproof.ledger import Recorded, door, enter
from barproof.rules import Costs, Rules
from barproof.signals import Signals

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Result", "backtest"]

Boundary = Literal["carry", "close"]
Schedule: TypeAlias = Sequence[tuple["int | str | date | datetime", Rules]]

_BY = ("month", "hour", "side", "regime", "reason")


@shown(lambda self: self.stats())
@dataclass(eq=False)
class Result:
    """What a backtest did.

    Attributes
    ----------
    metrics : dict of str to float or int
        By the names of docs/metrics.md; undefined is NaN.
    trades : polars.DataFrame
        One row a trade; bars count from the window's first, times are UTC, money is in quote.
    equity : polars.DataFrame
        `open_time` of each bar of the window and `equity` marked at its close.
    daily_returns : polars.DataFrame
        `date` (UTC day) and `return`.
    candles, signals, rules, costs
        What was run; `rules` is a list of (start bar, Rules) for a schedule.
    window : tuple of int
        First bar, and the bar after the last.
    initial_equity : float
        Equity before the first bar, in quote.
    provenance : dict of str to str
        Digests and versions of everything above.
    """

    metrics: dict[str, float | int]
    trades: pl.DataFrame
    equity: pl.DataFrame
    daily_returns: pl.DataFrame
    candles: Candles
    signals: Signals
    rules: Rules | list[tuple[int, Rules]]
    costs: Costs
    window: Window
    initial_equity: float
    provenance: dict[str, str]
    _hold: dict[str, float | int] = field(repr=False)
    _setting: Setting = field(repr=False)
    _boundary: Boundary = field(repr=False)

    def stats(self) -> pl.DataFrame:
        """Labelled metrics with buy-and-hold beside them.

        Buy-and-hold holds the market from the window's first open to its last close, unlevered and without costs.

        Returns
        -------
        polars.DataFrame
            Columns `metric` (label and unit), `strategy` and `buy_and_hold`; per cent where the label says so, null
            where undefined or meaningless.
        """
        bars = self.window[1] - self.window[0]
        return stats_frame(bars, self.initial_equity, self.metrics, self._hold)

    def range(self) -> tuple[dict[str, float | int], dict[str, float | int]]:
        """Metrics if every bar that holds both stop and target had gone against the trader, and for him.

        It is a range for stop against target, not a bound: entries diverge, and trailing is not covered.

        Returns
        -------
        tuple of dict
            Metrics under ``intrabar="pessimistic"`` and under ``"optimistic"``, everything else equal.
        """
        return self._range

    @cached_property
    def _range(self) -> tuple[dict[str, float | int], dict[str, float | int]]:
        pair = []
        for intrabar in ("pessimistic", "optimistic"):
            schedule = [
                (start, rules.replace(intrabar=intrabar)) for start, rules in self._schedule()
            ]
            raw = run_once(self._setting, schedule, self._boundary, self.window)
            pair.append(metrics_mapping(raw["metrics"]))
        return pair[0], pair[1]

    def _schedule(self) -> list[tuple[int, Rules]]:
        return [(0, self.rules)] if isinstance(self.rules, Rules) else self.rules

    def by(self, group: Literal["month", "hour", "side", "regime", "reason"]) -> pl.DataFrame:
        """Trades by group.

        Parameters
        ----------
        group : {"month", "hour", "side", "regime", "reason"}
            Month or UTC hour of the entry; side; tercile of the realised volatility of the 288 bars up to the signal
            bar, known at entry (cuts over the bars of the window); exit reason.

        Returns
        -------
        polars.DataFrame
            Columns `group`, `trades`, `win_rate`, `mean_return`, `pnl`, `fees`, `funding`, `mean_bars_held`.

        Raises
        ------
        ParameterError
            If there is no such group.
        """
        if group not in _BY:
            raise ParameterError(f"`group` must be one of {', '.join(_BY)}, was {group!r}")
        key = {
            "month": pl.col("entry_time").dt.strftime("%Y-%m"),
            "hour": pl.col("entry_time").dt.hour(),
            "side": pl.col("side"),
            "reason": pl.col("reason"),
            "regime": pl.lit(self._regimes()) if group == "regime" else pl.lit(""),
        }[group]
        return (
            self.trades.with_columns(key.alias("group"))
            .group_by("group")
            .agg(
                pl.len().alias("trades"),
                (pl.col("pnl") > 0).mean().alias("win_rate"),
                pl.col("return").mean().alias("mean_return"),
                pl.col("pnl").sum(),
                pl.col("fees").sum(),
                pl.col("funding").sum(),
                pl.col("bars_held").mean().alias("mean_bars_held"),
            )
            .sort("group")
        )

    def _regimes(self) -> pl.Series:
        """Volatility tercile of each trade's signal bar."""
        close = pl.Series(self.candles.close)
        volatility = close.log().diff().rolling_std(288)[self.window[0] : self.window[1]]
        low, high = (volatility.quantile(q, "linear") for q in (1 / 3, 2 / 3))
        at_entry = volatility.gather(self.trades["signal_bar"])
        if low is None or high is None:
            return pl.Series(["unknown"] * len(at_entry), dtype=pl.String)
        return pl.Series(
            [
                "unknown"
                if v is None
                else "1 calm"
                if v <= low
                else "2 normal"
                if v <= high
                else "3 turbulent"
                for v in at_entry
            ],
            dtype=pl.String,
        )

    def plot(self) -> go.Figure:
        """Interactive figure: equity, drawdown, price with entries and exits.

        Returns
        -------
        plotly.graph_objects.Figure
            Ready to show or save.
        """
        from barproof.report.figures import result_figure

        return result_figure(self)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a report: one HTML file that needs no network.

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

        return write_report(path, result=self, title=title)

    def to_pandas(
        self, *, kind: Literal["returns", "equity"] = "returns", tz: str | None = None
    ) -> pd.Series:
        """Daily returns, or the equity, as quantstats, pyfolio and empyrical take them.

        Parameters
        ----------
        kind : {"returns", "equity"}, default "returns"
            A return for each day, or the equity at its end; the equity begins with the initial one on the day before,
            so that its changes are the returns, the first day's too.
        tz : str, optional
            Zone of the index, such as ``"UTC"`` for pyfolio; by default days have none, which quantstats expects.

        Returns
        -------
        pandas.Series
            A return (fraction), or an equity, for each UTC day of the window, days without a trade included; its name
            is the symbol.

        Raises
        ------
        ParameterError
            If `kind` is neither, or pandas is not installed.
        """
        if kind not in ("returns", "equity"):
            raise ParameterError(f'`kind` must be "returns" or "equity", was {kind!r}')
        try:
            import pandas as pd
        except ImportError as error:
            raise ParameterError(
                "`to_pandas` needs pandas, which is not installed: pip install pandas, or use `daily_returns`"
            ) from error
        days = pd.DatetimeIndex(self.daily_returns["date"].to_numpy().astype("datetime64[ns]"))
        values = self.daily_returns["return"].to_numpy()
        if kind == "equity":
            start = self._setting.initial_equity
            values = start * np.concatenate([[1.0], np.cumprod(1.0 + values)])
            days = days.insert(0, days[0] - pd.Timedelta(days=1))
        index = days if tz is None else days.tz_localize(tz)
        return pd.Series(values, index=index, name=self.candles.symbol)

    def __repr__(self) -> str:
        m = self.metrics
        return (
            f"Result({self.candles.symbol}, return {m['total_return']:+.2%}, sharpe {m['sharpe']:.2f}, "
            f"max drawdown {m['max_drawdown']:.2%}, {m['trades']} trades)"
        )


def as_schedule(
    candles: Candles, rules: Rules | Schedule
) -> tuple[list[tuple[int, Rules]], Rules | list[tuple[int, Rules]]]:
    """(start bar, rules) pairs for the core, and what the result shows."""
    if isinstance(rules, Rules):
        return [(0, rules)], rules
    if not isinstance(rules, Sequence) or isinstance(rules, str):
        raise LayoutError(
            f"`rules` must be Rules or a list of (start, Rules), was {type(rules).__name__}"
        )
    out: list[tuple[int, Rules]] = []
    for i, pair in enumerate(rules):
        if not isinstance(pair, tuple) or len(pair) != 2 or not isinstance(pair[1], Rules):
            raise RulesError(
                f"entry {i} of the schedule must be a pair (start, Rules), was {pair!r}"
            )
        start = bar_at(candles, pair[0], f"start of schedule entry {i}", 0)
        out.append((start, pair[1]))
    return out, out


def run_once(
    made: Setting, schedule: list[tuple[int, Rules]], boundary: str, window: Window
) -> dict[str, Any]:
    """Run one window in the core: columns of trades, equity and metrics."""
    return _core.backtest(
        made.candles._bars,
        made.signals._bars,
        [(start, rules.to_dict()) for start, rules in schedule],
        boundary=boundary,
        window_=window,
        intrabar=None if made.intrabar is None else made.intrabar._bars,
        **made.options(),
    )


def make_result(
    made: Setting,
    shown: Rules | list[tuple[int, Rules]],
    schedule: list[tuple[int, Rules]],
    boundary: Boundary,
    window: Window,
    *,
    told: bool = False,
) -> Result:
    """Run and wrap; `told` where it was said before which bars the finer candles leave out."""
    raw = run_once(made, schedule, boundary, window)
    start, stop = window
    finer = {}
    if made.intrabar is not None:
        check_served(made, [raw["unserved"]], [window], told=told)
        finer = {"intrabar_missing": str(raw["unserved"][0])}
    digest = _core.digest("schedule/1", [f"{s}:{rules.digest}" for s, rules in schedule])
    return Result(
        metrics=metrics_mapping(raw["metrics"]),
        trades=trades_frame(raw["trades"]),
        equity=pl.DataFrame(
            {"open_time": times(made.candles.open_time[start:stop]), "equity": raw["equity"]}
        ),
        daily_returns=daily_frame(raw["days"], raw["daily_returns"]),
        candles=made.candles,
        signals=made.signals,
        rules=shown,
        costs=made.costs,
        window=window,
        initial_equity=made.initial_equity,
        provenance={
            **made.provenance(),
            "rules": schedule[0][1].digest if isinstance(shown, Rules) else digest,
            "window": f"{start}..{stop}",
            **finer,
        },
        _hold=metrics_mapping(raw["hold"]),
        _setting=made,
        _boundary=boundary,
    )


def backtest(
    candles: Candles,
    signals: Signals,
    rules: Rules | Schedule,
    *,
    costs: Costs,
    window: tuple[Bound, Bound] | None = None,
    intrabar_candles: Candles | None = None,
    initial_equity: float = 10_000.0,
    engine: str = "indexed",
    periods_per_year: float | None = None,
    boundary: Boundary = "carry",
    ledger: Recorded = None,
) -> Result:
    """Run rules over candles and signals, exactly as docs/execution.md says.

    Signals of bar t are known at its close and trade at the open of bar t + 1 (``fill="close"`` asks for less and is
    flagged).

    Parameters
    ----------
    candles : Candles
        Bars of one symbol.
    signals : Signals
        One value a bar, or with times to join by.
    rules : Rules or list of (start, Rules)
        A list is a schedule: each entry decides from the first bar that opens at or after its start (a bar number or
        a time) until the next; before the first nothing is entered.
    costs : Costs
        Fees and slippage.
    window : tuple, optional
        (start, end), bar numbers or times, end excluded. Default: all bars.
    intrabar_candles : Candles, optional
        Finer candles of the same market, such as minutes under hours: they show in which order a bar met its levels.
        Entries are still decided, and stops moved, at the closes of `candles`. Bars that they do not make up (some are
        missing, or show other prices) are run on themselves, are counted as ``intrabar_missing`` in the provenance, and
        warn. Such runs take the bar-by-bar engine.
    initial_equity : float, default 10000.0
        In quote.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event, or bar by bar, which is the definition; the results are the same bits. The provenance
        names the one that ran.
    periods_per_year : float, optional
        Annualises daily statistics. Default: 365 for spot and perpetual, 252 equity, 260 fx.
    boundary : {"carry", "close"}, default "carry"
        In a schedule: positions keep the rules of their signal bar across changes, or are closed at each.
    ledger : Ledger, str, Path or bool, optional
        Where this run is counted as one trial; see :class:`barproof.Ledger`. Default: the project's ledger, if there
        is a project; False leaves the run unrecorded, and its provenance says so.

    Returns
    -------
    Result
        Trades, equity, metrics and the ways to look at them.

    Raises
    ------
    RulesError
        If rules contradict themselves or need signals that are not there.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the result.
    ParameterError, ShapeError, SignalError, FundingError, WindowError, LayoutError
        If an argument is out of bounds; the message names it.

    Warns
    -----
    DataWarning
        If bars of the window are not made up by `intrabar_candles`.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=5_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    >>> rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24)
    >>> result = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0005))
    >>> result.trades.height == result.metrics["trades"]
    True
    """
    if boundary not in ("carry", "close"):
        raise ParameterError(f"`boundary` must be carry or close, was {boundary!r}")
    made = setting(
        candles, signals, costs, initial_equity, periods_per_year, engine, intrabar_candles
    )
    schedule, shown = as_schedule(candles, rules)
    span = as_window(candles, window)
    book = door(ledger)
    began = time.perf_counter()
    result = make_result(made, shown, schedule, boundary, span)
    took = time.perf_counter() - began
    enter(book, "backtest", result, result.provenance["rules"], trials=1, seconds=took)
    return result
