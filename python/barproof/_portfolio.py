"""`portfolio`: several symbols traded from one equity, and its result."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._account import START_OF_TIME, Account, Limits, account, limits, rules_of
from barproof._backtest import Boundary, Schedule
from barproof._frames import account_trades, daily_frame, metrics_mapping, stats_frame, texts, times
from barproof._shown import shown
from barproof._windows import Bound, Window
from barproof.candles import Candles
from barproof.errors import ParameterError
from barproof.ledger import Recorded, door, enter
from barproof.rules import Costs, Rules
from barproof.signals import Signals

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["PortfolioResult", "portfolio"]


@shown(lambda self: self.stats())
@dataclass(eq=False)
class PortfolioResult:
    """What an account of several symbols did.

    Attributes
    ----------
    metrics : dict of str to float or int
        Of the account, by the names of docs/metrics.md; undefined is NaN. `exposure` sums over the symbols, so it can
        exceed 1; `buy_hold_return` is the mean over them.
    trades : polars.DataFrame
        One row a trade in the order in which they closed, with its `symbol`; bars count within the symbol's own bars of
        the window, times are UTC, money is in quote, `return` is on the account's realised equity at entry.
    refused : polars.DataFrame
        Entries that the account had no room for, with `reason`: ``"max_positions"``, ``"free"`` (no equity free of
        margins) or ``"max_gross"``. :meth:`missed` says what they would have earned.
    equity : polars.DataFrame
        `open_time` of each step of the account's clock, the union of the symbols' bars, and `equity` marked at its
        close.
    daily_returns : polars.DataFrame
        `date` (UTC day) and `return` of the account.
    daily_contributions : polars.DataFrame
        `date`, and for each symbol what it added to the account's return of that day.
    symbols : list of str
        In their order, which decides between equals: that of the candles.
    rules : dict of str to Rules or list
        By symbol; a list of (start bar, Rules) for a schedule.
    max_positions, max_gross
        Limits; None where there is none.
    window : tuple of int
        First step of the clock, and the step after the last.
    initial_equity : float
        Equity before the first step, in quote.
    provenance : dict of str to str
        Digests and versions of everything above.
    """

    metrics: dict[str, float | int]
    trades: pl.DataFrame
    refused: pl.DataFrame
    equity: pl.DataFrame
    daily_returns: pl.DataFrame
    daily_contributions: pl.DataFrame
    symbols: list[str]
    rules: dict[str, Any]
    max_positions: int | None
    max_gross: float | None
    window: Window
    initial_equity: float
    provenance: dict[str, str]
    _hold: dict[str, float | int] = field(repr=False)
    _account: Account = field(repr=False)
    _schedules: dict[str, list[tuple[int, Rules]]] = field(repr=False)
    _boundary: Boundary = field(repr=False)

    def stats(self) -> pl.DataFrame:
        """Labelled metrics with buy-and-hold beside them.

        Buy-and-hold holds all symbols with equal shares from their first opens to their last closes.

        Returns
        -------
        polars.DataFrame
            As :meth:`Result.stats`.
        """
        return stats_frame(
            self.window[1] - self.window[0], self.initial_equity, self.metrics, self._hold
        )

    @cached_property
    def contribution(self) -> pl.DataFrame:
        """What each symbol gave.

        Columns `symbol`, `trades`, `win_rate`, `mean_return` (on the account's equity), `pnl`, `share` (of the sum of
        all pnl), `fees`, `funding`, `bars_held`, `refused`.
        """
        counted = self.trades.group_by("symbol").agg(
            pl.len().alias("trades"),
            (pl.col("pnl") > 0).mean().alias("win_rate"),
            pl.col("return").mean().alias("mean_return"),
            pl.col("pnl").sum(),
            pl.col("fees").sum(),
            pl.col("funding").sum(),
            pl.col("bars_held").sum(),
        )
        refused = self.refused.group_by("symbol").agg(pl.len().alias("refused"))
        table = (
            pl.DataFrame({"symbol": self.symbols})
            .join(counted, on="symbol", how="left", maintain_order="left")
            .join(refused, on="symbol", how="left", maintain_order="left")
        )
        zero = ["trades", "pnl", "fees", "funding", "bars_held", "refused"]
        table = table.with_columns(pl.col(zero).fill_null(0))
        total = table["pnl"].sum()
        share = pl.col("pnl") / total if total != 0.0 else pl.lit(None, dtype=pl.Float64)
        table = table.with_columns(share.alias("share"))
        return table.select(
            "symbol",
            "trades",
            "win_rate",
            "mean_return",
            "pnl",
            "share",
            "fees",
            "funding",
            "bars_held",
            "refused",
        )

    @cached_property
    def correlation(self) -> pl.DataFrame:
        """Correlation of the symbols' daily contributions.

        Column `symbol`, and one column a symbol; NaN for a symbol that never moved the account, or under 2 days.
        """
        moves = self.daily_contributions.select(self.symbols).to_numpy()
        n = len(self.symbols)
        out = np.full((n, n), np.nan)
        if len(moves) >= 2:
            spread = moves - moves.mean(axis=0)
            root = np.sqrt((spread**2).sum(axis=0))
            some = root > 0.0
            unit = spread[:, some] / root[some]
            out[np.ix_(some, some)] = np.clip(unit.T @ unit, -1.0, 1.0)
        columns = {symbol: out[:, k] for k, symbol in enumerate(self.symbols)}
        return pl.DataFrame({"symbol": self.symbols, **columns})

    @cached_property
    def exposure(self) -> pl.DataFrame:
        """What is held at each close of the clock.

        Columns `open_time`, `positions` (open), `gross` and `net` (notionals at entry over the marked equity, `net`
        with shorts negative), `margin` (margins over the marked equity), and one column a symbol: its part of `net`.
        NaN where the equity is 0.
        """
        clock = self._account.clock.open_time[slice(*self.window)]
        n = len(clock)
        equity = self.equity["equity"].to_numpy()
        out: dict[str, Any] = {}
        names = self.trades["symbol"].to_numpy()
        total = {"positions": np.zeros(n), "gross": np.zeros(n), "margin": np.zeros(n)}
        for symbol in self.symbols:
            mine = self.trades.filter(pl.Series(names == symbol))
            opened, closed = self._steps(symbol, mine, clock)
            side = np.where(mine["side"].to_numpy() == "long", 1.0, -1.0)
            notional = mine["notional"].to_numpy()
            held = _held(n, opened, closed, side * notional)
            total["positions"] += _held(n, opened, closed, np.ones(len(mine)))
            total["gross"] += np.abs(held)
            total["margin"] += _held(n, opened, closed, mine["margin"].to_numpy())
            out[symbol] = held
        with np.errstate(divide="ignore", invalid="ignore"):
            over = {name: np.where(equity > 0.0, x / equity, np.nan) for name, x in out.items()}
            gross, margin = (
                np.where(equity > 0.0, total[name] / equity, np.nan) for name in ("gross", "margin")
            )
        net = np.sum(list(over.values()), axis=0)
        return pl.DataFrame(
            {
                "open_time": times(clock),
                "positions": total["positions"].astype(np.uint32),
                "gross": gross,
                "net": net,
                "margin": margin,
                **over,
            }
        )

    def _steps(
        self, symbol: str, trades: pl.DataFrame, clock: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Find the steps of the clock at whose closes trades are open: the first, and the one after the last."""
        own = self._account.made[symbol].candles.open_time[
            slice(*self._account.bars(symbol, self.window))
        ]
        opened = np.searchsorted(clock, own[trades["entry_bar"].to_numpy().astype(np.int64)])
        closed = np.searchsorted(clock, own[trades["exit_bar"].to_numpy().astype(np.int64)])
        return opened, closed

    def missed(self) -> pl.DataFrame:
        """Tell what the refused entries would have earned, each alone with all the room it asked for.

        Returns
        -------
        polars.DataFrame
            :attr:`refused` with `exit_time`, `exit_reason`, `return` on the equity the account had, and `pnl`, that
            return in quote; null where the order would have been void. They exclude each other as they excluded the
            trades that were taken, so their sum is no equity.
        """
        return self._missed

    @cached_property
    def _missed(self) -> pl.DataFrame:
        """Refused entries with what each would have earned on its own."""
        numbers = {symbol: k for k, symbol in enumerate(self.symbols)}
        entries = [
            (numbers[symbol], int(bar), float(equity))
            for symbol, bar, equity in self.refused.select("symbol", "signal_bar", "equity").rows()
        ]
        legs = self._account.legs(self._schedules, self.window)
        found = _core.missed(legs, entries, self._boundary)
        ends = [None if one is None else one[0] for one in found]
        reasons = [None if one is None else one[1] for one in found]
        returns = [None if one is None else one[2] for one in found]
        earned = pl.Series("return", returns, dtype=pl.Float64)
        return self.refused.with_columns(
            pl.Series("exit_time", ends, dtype=pl.Int64).cast(pl.Datetime("ms", "UTC")),
            pl.Series("exit_reason", reasons, dtype=pl.String),
            earned,
            (earned * self.refused["equity"]).alias("pnl"),
        )

    def plot(self) -> go.Figure:
        """Interactive figure: equity, drawdown, stacked exposure by symbol.

        Returns
        -------
        plotly.graph_objects.Figure
            Ready to show or save.
        """
        from barproof.report.portfolio import portfolio_figure

        return portfolio_figure(self)

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
        from barproof.report.portfolio import write_portfolio

        return write_portfolio(path, self, title=title)

    def __repr__(self) -> str:
        m = self.metrics
        return (
            f"PortfolioResult({', '.join(self.symbols)}, return {m['total_return']:+.2%}, sharpe {m['sharpe']:.2f}, "
            f"max drawdown {m['max_drawdown']:.2%}, {m['trades']} trades, {self.refused.height} refused)"
        )


def _held(
    n: int, opened: NDArray[np.int64], closed: NDArray[np.int64], amount: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Amounts of one symbol's trades over steps; they follow each other, so none is summed with another."""
    out = np.zeros(n)
    for a, b, x in zip(opened.tolist(), closed.tolist(), amount.tolist(), strict=True):
        out[a:b] = x
    return out


def run_account(
    made: Account,
    schedules: dict[str, list[tuple[int, Rules]]],
    shown: dict[str, Any],
    limits_: list[Limits],
    boundary: Boundary,
    span: Window,
) -> PortfolioResult:
    """Run and wrap."""
    first = made.first
    raw = _core.portfolio(
        made.legs(schedules, span),
        limits_,
        boundary=boundary,
        initial_equity=first.initial_equity,
        periods_per_year=first.periods_per_year,
        engine=first.engine,
        parts=False,
    )
    symbols = made.symbols
    digests = [
        _core.digest("schedule/1", [f"{s}:{rules.digest}" for s, rules in schedules[symbol]])
        for symbol in symbols
    ]
    (_, max_positions, max_gross), *later = limits_
    said = f"max_positions={max_positions!r}, max_gross={max_gross!r}"
    if later:
        # They change, so that there is no one limit to show.
        said = _core.digest("limits/1", [repr(one) for one in limits_])
        max_positions = max_gross = None
    return PortfolioResult(
        metrics=metrics_mapping(raw["metrics"]),
        trades=account_trades(raw["trades"], symbols),
        refused=_refused(raw["refused"], symbols),
        equity=pl.DataFrame(
            {"open_time": times(made.clock.open_time[slice(*span)]), "equity": raw["equity"]}
        ),
        daily_returns=daily_frame(raw["days"], raw["daily_returns"]),
        daily_contributions=_contributions(raw, symbols, first.initial_equity),
        symbols=symbols,
        rules=shown,
        max_positions=max_positions,
        max_gross=max_gross,
        window=span,
        initial_equity=first.initial_equity,
        provenance={
            **made.provenance(),
            "rules": _core.digest("symbols/1", [*symbols, *digests]),
            "limits": said,
            "window": f"{span[0]}..{span[1]}",
        },
        _hold=metrics_mapping(raw["hold"]),
        _account=made,
        _schedules=schedules,
        _boundary=boundary,
    )


def _refused(columns: Mapping[str, Any], symbols: list[str]) -> pl.DataFrame:
    """Frame of the entries that an account refused."""
    return pl.DataFrame(
        [
            texts("symbol", symbols, columns["symbol"]),
            pl.Series("side", columns["side"], dtype=pl.String),
            pl.Series("signal_bar", columns["signal_bar"].astype(np.uint32)),
            pl.Series("bar", columns["bar"].astype(np.uint32)),
            times(columns["time"]).alias("time"),
            pl.Series("price", columns["price"]),
            pl.Series("p_entry", columns["p_entry"]),
            pl.Series("equity", columns["equity"]),
            pl.Series("reason", columns["reason"], dtype=pl.String),
        ]
    )


def _contributions(raw: Mapping[str, Any], symbols: list[str], initial: float) -> pl.DataFrame:
    """Divide by symbols the account's return of each day."""
    n = len(raw["days"])
    parts = raw["day_parts"].reshape(n, len(symbols))
    before = initial + np.concatenate([np.zeros(1), parts.sum(axis=1)[:-1]])
    moves = np.diff(parts, axis=0, prepend=0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(before[:, None] > 0.0, moves / before[:, None], 0.0)
    date = pl.Series("date", raw["days"], dtype=pl.Int32).cast(pl.Date)
    return pl.DataFrame([date, *(pl.Series(s, shares[:, k]) for k, s in enumerate(symbols))])


def portfolio(
    candles: Mapping[str, Candles],
    signals: Mapping[str, Signals],
    rules: Rules | Schedule | Mapping[str, Rules | Schedule],
    *,
    costs: Costs | Mapping[str, Costs],
    max_positions: int | None = None,
    max_gross: float | None = None,
    window: tuple[Bound, Bound] | None = None,
    initial_equity: float = 10_000.0,
    engine: str = "indexed",
    periods_per_year: float | None = None,
    boundary: Boundary = "carry",
    ledger: Recorded = None,
) -> PortfolioResult:
    """Trade several symbols from one equity, exactly as docs/execution.md says (section 7, shared account).

    Sizes are shares of the account's realised equity: closed trades, less the fees and with the funding of open
    positions. A position's margin plus fee must fit what is free of margins, and all notionals `max_gross`; an entry
    gets what there is, and is refused where that is nothing. Entries due at one open are served by larger excess of
    their signal over its threshold, then in the order of `candles`. The clock is the union of the symbols' bars: where
    a bar is missing, the position stays and is marked at its last close. A symbol's position closes at its last bar.

    Parameters
    ----------
    candles : mapping of str to Candles
        Bars by symbol, of one interval and one grid; they may begin, end and have holes where they like.
    signals : mapping of str to Signals
        One entry a symbol: one value a bar, or with times to join by.
    rules : Rules, schedule, or mapping of str to these
        Common to all, or by symbol; a schedule is a list of (start, Rules) as for :func:`backtest`.
    costs : Costs or mapping of str to Costs
        Fees and slippage, common or by symbol.
    max_positions : int, optional
        Positions open at a time, at least 1. Default: no limit.
    max_gross : float, optional
        Bound on the sum of notionals at entry, as a multiple of the realised equity. Default: no limit.
    window : tuple, optional
        (start, end), steps of the account's clock or times, end excluded. Default: all.
    initial_equity : float, default 10000.0
        In quote.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event where the rules allow it, or bar by bar, which is the definition; the results are the same
        bits.
    periods_per_year : float, optional
        Annualises daily statistics. Default: by kind, which must then be alike.
    boundary : {"carry", "close"}, default "carry"
        In a schedule: positions keep the rules of their signal bar across changes, or are closed at each.
    ledger : Ledger, str, Path or bool, optional
        Where this run is counted as one trial; see :class:`barproof.Ledger`.

    Returns
    -------
    PortfolioResult
        Trades, refused entries, equity, metrics, and what each symbol gave. With one symbol and no limits the same bits
        as :func:`backtest`.

    Raises
    ------
    ParameterError
        If intervals, grids or periods a year differ, a symbol is given twice or has no signals, or a limit lets nothing
        be entered.
    FundingError
        If a perpetual carries no funding.
    RulesError, ShapeError, SignalError, WindowError, LayoutError
        If an argument is out of bounds; the message or its note names the symbol.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the result.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = {name: bp.simulate_candles(k, bars=5_000, edge=0.1) for k, name in enumerate("AB")}
    >>> signals = {name: bp.Signals(long=c.planted, kind="score") for name, c in candles.items()}
    >>> rules = bp.Rules(entry_long=1.5, max_hold=24, fraction=0.5)
    >>> result = bp.portfolio(candles, signals, rules, costs=bp.Costs(taker=0.0005), max_positions=1)
    >>> set(result.refused["reason"]) == {"max_positions"}
    True
    """
    if boundary not in ("carry", "close"):
        raise ParameterError(f"`boundary` must be carry or close, was {boundary!r}")
    made = account(candles, signals, costs, initial_equity, periods_per_year, engine)
    schedules, shown = rules_of(rules, made.made)
    most, gross = limits(max_positions, max_gross, made.made)
    span = made.window(window)
    book = door(ledger)
    began = time.perf_counter()
    result = run_account(made, schedules, shown, [(START_OF_TIME, most, gross)], boundary, span)
    took = time.perf_counter() - began
    enter(book, "portfolio", result, result.provenance["rules"], trials=1, seconds=took)
    return result
