"""Sweeps of a shared account: grids of rules, of its limits, and of the symbols it trades."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise, product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._account import START_OF_TIME, Account, account, limits
from barproof._backtest import Boundary
from barproof._executors import Executor, crew
from barproof._grid import Grid
from barproof._machine import thread_count
from barproof._portfolio import PortfolioResult, run_account
from barproof._setting import Setting
from barproof._signal_sets import check_signals
from barproof._sweep_job import Job, Leg, Piece
from barproof._sweep_result import Metric, Sweep, metric_row, preferred
from barproof._windows import Window, as_windows
from barproof.errors import LayoutError, ParameterError, WindowError
from barproof.ledger import Recorded, door, enter
from barproof.rules import Rules

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = ["AccountJob", "AccountSetting", "AccountSweep", "AccountWalkForward", "prepare_account"]

SETUP = ("max_positions", "max_gross", "symbols")
"""Columns of a sweep that say what an account may hold, before the axes of its grid."""


@dataclass(frozen=True)
class AccountSetting(Setting):
    """An account in the place of one market: its clock stands for candles."""

    whole: Account | None = None
    max_positions: int | None = None
    max_gross: float | None = None
    traded: tuple[bool, ...] = ()

    @property
    def of(self) -> Account:
        """The account."""
        assert self.whole is not None
        return self.whole

    def provenance(self) -> dict[str, str]:
        """Digests and versions of all symbols."""
        return self.of.provenance()

    def options(self) -> dict[str, Any]:
        """Tell one account from another, for folders; the core is called by :meth:`table`."""
        each = {symbol: made.options()["instrument_"] for symbol, made in self.of.made.items()}
        return {"instrument_": tuple(each.items())}

    def table(
        self,
        base: Rules,
        columns: dict[str, Any],
        count: int,
        windows: list[Window],
        threads: int,
        progress: Any,
        *,
        daily: bool,
    ) -> dict[str, Any]:
        """Run combinations of rules on this account."""
        markets = []
        for made in self.of.made.values():
            options = made.options()
            markets.append(
                (made.candles._bars, made.signals._bars, options["costs"], options["instrument_"])
            )
        return _core.sweep_account(
            markets,
            base.to_dict(),
            columns,
            count,
            limits_=(self.max_positions, self.max_gross),
            traded=list(self.traded),
            windows=windows,
            edges=[self.of.times(window) for window in windows],
            initial_equity=self.initial_equity,
            periods_per_year=self.periods_per_year,
            engine=self.engine,
            threads=threads,
            keep_daily=daily,
            progress=progress,
        )

    def result(self, rules: Rules, span: Window) -> PortfolioResult:
        """Run one combination in full."""
        # Who is not traded enters nothing.
        idle = Rules(fill=rules.fill)
        shown = {
            symbol: rules if traded else idle
            for symbol, traded in zip(self.of.symbols, self.traded, strict=True)
        }
        schedules = {symbol: [(0, one)] for symbol, one in shown.items()}
        bounds = [(START_OF_TIME, self.max_positions, self.max_gross)]
        return run_account(self.of, schedules, shown, bounds, "carry", span)


@dataclass(frozen=True)
class AccountJob(Job):
    """A checked sweep of an account; what a set of signals is elsewhere is a setup of the account here."""

    @property
    def setups(self) -> tuple[AccountSetting, ...]:
        """What the account may hold, by number."""
        return tuple(made for made in self.legs[0].settings if isinstance(made, AccountSetting))

    @property
    def axes(self) -> list[str]:
        """Columns that vary."""
        return [*self._varying(), *self.grid.axes]

    def _varying(self) -> list[str]:
        """Columns of the setups that differ between them."""
        columns = self._columns(np.arange(self.sets))
        return [one.name for one in columns if one.n_unique() > 1]

    def _columns(self, numbers: NDArray[np.int64]) -> list[pl.Series]:
        setups = [self.setups[number] for number in numbers.tolist()]
        names = self.setups[0].of.symbols
        traded = [
            " ".join(name for name, on in zip(names, one.traded, strict=True) if on)
            for one in setups
        ]
        return [
            pl.Series("max_positions", [one.max_positions for one in setups], dtype=pl.UInt32),
            pl.Series("max_gross", [one.max_gross for one in setups], dtype=pl.Float64),
            pl.Series("symbols", traded, dtype=pl.String),
        ]

    def _axes(self, numbers: NDArray[np.int64]) -> list[pl.Series]:
        rest = replace(self, names=None)
        return [
            *self._columns(numbers // len(self.grid)),
            *super(AccountJob, rest)._axes(numbers % len(self.grid)),
        ]

    def check(self, pieces: list[Piece]) -> None:
        """Let every combination meet the account; setups are no sets of signals, and are not named as such."""
        super(AccountJob, replace(self, names=None)).check(pieces)

    def refuse_silence(self) -> None:
        """Refuse signals that never say anything."""
        for symbol, made in self.setups[0].of.made.items():
            check_signals(made.signals, f"signals of {symbol!r}")

    def identity(self) -> dict[str, str]:
        """Digests and settings: what must be equal for two sweeps to have the same frame."""
        facts = self.setups[0].provenance()
        said = [repr((one.max_positions, one.max_gross, one.traded)) for one in self.setups]
        facts["setups"] = _core.digest("setups/1", said)
        facts["account"] = "shared"
        facts["grid"] = self.grid.digest
        facts["combinations"] = str(self.width)
        return facts


class AccountSweep(Sweep):
    """What a sweep of a shared account found: as :class:`Sweep`, with the account's setup among the columns.

    `max_positions`, `max_gross` and `symbols` stand before the axes of the grid; a combination is one of the grid with
    one setup. :meth:`result` gives a :class:`PortfolioResult`.
    """

    _job: AccountJob

    def __init__(self, job: AccountJob, store: Any, seconds: float) -> None:
        super().__init__(job, store, seconds)
        self.axis_groups = [*([name] for name in job._varying()), *map(list, job.grid.groups)]

    def setup(self, combination: int) -> dict[str, Any]:
        """Tell what the account of a combination may hold.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        dict
            `max_positions`, `max_gross` and `symbols`, a list.
        """
        self.rules(combination)
        made = self._job.setups[self._job.place(int(combination))[0]]
        traded = [s for s, on in zip(made.of.symbols, made.traded, strict=True) if on]
        return {
            "max_positions": made.max_positions,
            "max_gross": made.max_gross,
            "symbols": traded,
        }

    def signals_of(self, combination: int) -> str | None:
        """Name of a combination's signals: an account has one set.

        Parameters
        ----------
        combination : int
            Its number.

        Returns
        -------
        None
            Always.
        """
        self.rules(combination)
        return None

    def result(  # type: ignore[override]
        self, combination: int, window: int | None = None, *, symbol: str | None = None
    ) -> PortfolioResult:
        """Run one combination again in full.

        Parameters
        ----------
        combination : int
            Its number.
        window : int, optional
            Number of a window. Default: from the earliest window's start to the latest one's end, in one run.
        symbol : None
            An account is run as a whole.

        Returns
        -------
        PortfolioResult
            As from :func:`barproof.portfolio`.
        """
        leg, rules = self._leg(symbol), self.rules(combination)
        made = self._job.setups[self._job.place(int(combination))[0]]
        span = leg.span if window is None else self._window(leg, window)
        return made.result(rules, span)

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write a report with the best account by Sharpe ratio: one HTML file that needs no network.

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
        from barproof.report.portfolio import portfolio_sections

        best = preferred(self.pooled, metric_row("sharpe", []), 0)
        extra = []
        if best is not None:
            extra = portfolio_sections(self.result(int(self.pooled["combination"][best])))
        return write_report(path, sweep=self, title=title, extra_sections=extra)

    def walk_forward(
        self,
        *,
        earlier: int = 3,
        metric: Metric = "sharpe",
        min_trades: int = 0,
        boundary: Boundary = "carry",
        ledger: Recorded = None,
        executor: Executor = None,
    ) -> AccountWalkForward:
        """Choose on the windows before each window, judge on it, and stitch the windows into one account.

        As :func:`walk_forward_optimise` does it for one symbol: the combination with the best metric, pooled over the
        `earlier` windows before, decides in the next one, its rules, its limits and its symbols; the first `earlier`
        windows only choose. Where nothing can be chosen nothing is entered.

        Parameters
        ----------
        earlier : int, default 3
            Windows that choose.
        metric : str or callable, default "sharpe"
            As for :meth:`best`.
        min_trades : int, default 0
            Leave out combinations with fewer trades on the windows that choose.
        boundary : {"carry", "close"}, default "carry"
            Positions live on from one window to the next under the rules of their signal bar, or are closed.
        ledger : Ledger, str, Path or bool, optional
            Where the run is counted; see :class:`barproof.Ledger`.
        executor : {"local", "ray"} or RayExecutor, optional
            Where the windows that choose are run, as for :func:`barproof.sweep`.

        Returns
        -------
        AccountWalkForward
            The stitched portfolio, with `choices` and `trials`.

        Raises
        ------
        WindowError
            If windows overlap, run backwards or leave gaps, or none is left to be judged.
        """
        (leg,) = self._job.legs
        spans = leg.windows
        if any(a[1] != b[0] for a, b in pairwise(spans)):
            raise WindowError(
                "windows of a walk-forward account must follow each other without gaps or overlap: give a duration "
                "such as '1mo', or neighbouring (start, end)"
            )
        if isinstance(earlier, bool) or not isinstance(earlier, int) or earlier < 1:
            raise ParameterError(f"`earlier` must be a whole number >= 1, was {earlier!r}")
        if len(spans) <= earlier:
            raise WindowError(
                f"`earlier` is {earlier}, but there are {len(spans)} windows: none is left to be judged; take fewer to "
                "choose on, or shorter windows"
            )
        book = door(ledger)
        began = time.perf_counter()
        row = metric_row(metric, [])
        rows, parts = [], []
        with crew(executor) as team:
            for number in range(earlier, len(spans)):
                chosen = self._choose(spans[number - earlier : number], row, min_trades, team)
                rows.append(self._judged(number, chosen, row["name"]))
                parts.append((spans[number], None if chosen is None else chosen["combination"]))
        made = self._stitch(parts, boundary)
        facts = {"grid": self.grid.digest, "metric": row["name"], "earlier": str(earlier)}
        made.provenance.update({**facts, "setups": self.provenance["setups"]})
        held = {part.name: getattr(made, part.name) for part in fields(made)}
        found = AccountWalkForward(
            **held, choices=pl.DataFrame(rows, infer_schema_length=None), trials=self._job.width
        )
        took = time.perf_counter() - began
        digest = found.provenance["rules"]
        enter(book, "walk_forward", found, digest, trials=found.trials, seconds=took)
        return found

    def _choose(
        self, windows: list[Window], row: dict[str, Any], min_trades: int, team: Crew | None
    ) -> dict[str, Any] | None:
        """Pooled row of the combination that windows choose."""
        (leg,) = self._job.legs
        job = replace(self._job, legs=(replace(leg, windows=windows),))
        if team is None:
            done = [job.run(piece, None) for piece in job.pieces(whole=True)]
        else:
            from barproof.distributed.sweeps import swept

            done = swept(job, team)
        if any(one.interrupted for one in done):
            raise KeyboardInterrupt
        pooled = pl.concat([one.pooled for one in done])
        at = preferred(pooled, row, min_trades)
        return None if at is None else pooled.row(at, named=True)

    def _judged(self, number: int, chosen: dict[str, Any] | None, name: str) -> dict[str, Any]:
        """Row of the frame of choices."""
        (leg,) = self._job.legs
        start, stop = leg.windows[number]
        clock = self._job.setups[0].of.clock
        out: dict[str, Any] = {
            "window": number,
            "start": clock.open_time[start],
            "end": clock.open_time[stop - 1] + clock.interval_ms,
            "combination": None,
        }
        axes = [*SETUP, *self.grid.axes]
        if chosen is None:
            nothing = [
                f"{which}_{what}" for what in (name, "trades") for which in ("chosen", "judged")
            ]
            return {**out, **dict.fromkeys([*axes, *nothing])}
        judged = self.result(int(chosen["combination"]), number).metrics
        out["combination"] = chosen["combination"]
        out.update({axis: chosen[axis] for axis in axes})
        for what in dict.fromkeys((name, "trades")):
            out[f"chosen_{what}"] = chosen.get(what)
            out[f"judged_{what}"] = judged.get(what)
        return out

    def _stitch(
        self, parts: list[tuple[Window, int | None]], boundary: Boundary
    ) -> PortfolioResult:
        """One account over all judged windows."""
        made = self._job.setups[0].of
        flat = Rules(fill=self.grid[0].fill)
        schedules: dict[str, dict[int, Rules]] = {symbol: {} for symbol in made.symbols}
        bounds = []
        for window, combination in parts:
            setup = (
                None if combination is None else self._job.setups[self._job.place(combination)[0]]
            )
            begins = made.times(window)[0]
            bounds.append(
                (begins, None, None)
                if setup is None
                else (begins, setup.max_positions, setup.max_gross)
            )
            for number, symbol in enumerate(made.symbols):
                own = made.made[symbol].candles.open_time
                bar = int(np.searchsorted(own, begins))
                if bar < len(own):
                    on = setup is not None and combination is not None and setup.traded[number]
                    schedules[symbol][bar] = (
                        self.rules(combination) if on and combination is not None else flat
                    )
        given = {symbol: list(each.items()) or [(0, flat)] for symbol, each in schedules.items()}
        span = parts[0][0][0], parts[-1][0][1]
        return run_account(made, given, dict(given), bounds, boundary, span)


@dataclass(eq=False, repr=False)
class AccountWalkForward(PortfolioResult):
    """What an account did whose rules, limits and symbols were chosen anew for every window.

    Everything of :class:`PortfolioResult` is here and speaks of the whole.

    Attributes
    ----------
    choices : polars.DataFrame
        One row a judged window: `window`, `start` and `end` (milliseconds UTC), `combination`, the setup and the axes,
        ``chosen_<metric>`` and `chosen_trades` on the windows that chose, ``judged_<metric>`` and `judged_trades` of
        the same combination alone on the judged one; null where nothing was chosen.
    trials : int
        Combinations that were evaluated.
    """

    choices: pl.DataFrame = field(repr=False)
    trials: int


def prepare_account(
    candles: Any,
    signals: Any,
    grid: Any,
    windows: Any,
    threads: int | None,
    max_positions: Any,
    max_gross: Any,
    symbols: Any,
    **options: Any,
) -> AccountJob:
    """Check the arguments of a sweep of an account."""
    if not isinstance(grid, Grid):
        raise LayoutError(
            f"`grid` must be a Grid, was {type(grid).__name__}: use Grid(rules, stop_loss=[...])"
        )
    made = account(
        candles,
        signals,
        options["costs"],
        options["initial_equity"],
        options["periods_per_year"],
        options["engine"],
    )
    first = made.first
    bounds = [
        limits(most, gross, made.made)
        for most, gross in product(_values(max_positions), _values(max_gross))
    ]
    subsets = _subsets(symbols, made.symbols)
    setups = tuple(
        AccountSetting(
            candles=made.clock,  # type: ignore[arg-type]
            signals=first.signals,
            costs=first.costs,
            initial_equity=first.initial_equity,
            periods_per_year=first.periods_per_year,
            engine=first.engine,
            whole=made,
            max_positions=most,
            max_gross=gross,
            traded=traded,
        )
        for (most, gross), traded in product(bounds, subsets)
    )
    spans = as_windows(made.clock, windows)  # type: ignore[arg-type]
    names = tuple(str(number) for number in range(len(setups)))
    return AccountJob((Leg(None, setups, spans),), names, grid, thread_count(threads), False)


def _values(given: Any) -> list[Any]:
    """Values of an axis; one that is no list is a list of one."""
    if isinstance(given, Sequence) and not isinstance(given, str):
        if not len(given):
            raise ParameterError(
                "a limit of the account is an empty list: give at least one value, None for no limit"
            )
        return list(given)
    return [given]


def _subsets(given: Any, symbols: list[str]) -> list[tuple[bool, ...]]:
    """Which symbols each setup trades."""
    if given is None:
        return [(True,) * len(symbols)]
    if isinstance(given, (str, Mapping)) or not isinstance(given, Sequence):
        raise LayoutError(
            f"`symbols` must be a list of lists of symbols, was {type(given).__name__}: such as [['A'], ['A', 'B']]"
        )
    out = []
    for number, subset in enumerate(given):
        if isinstance(subset, str) or not isinstance(subset, Sequence):
            raise LayoutError(
                f"entry {number} of `symbols` must be a list of symbols, was {subset!r}: such as ['A', 'B']"
            )
        odd = [name for name in subset if name not in symbols]
        if odd:
            raise ParameterError(
                f"entry {number} of `symbols` names {odd[0]!r}, which has no candles: they are of {', '.join(symbols)}"
            )
        if not subset or len(set(subset)) < len(subset):
            raise ParameterError(
                f"entry {number} of `symbols` is {list(subset)!r}: give at least one symbol, and each once"
            )
        out.append(tuple(name in subset for name in symbols))
    if not out:
        raise ParameterError("`symbols` is empty: give at least one list, or leave it out for all")
    return out
