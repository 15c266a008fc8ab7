"""`sweep`: a grid of rules over windows, in parallel; `plan`: what it would take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

import polars as pl

from barproof import _core
from barproof._account_sweep import AccountJob, AccountSweep, prepare_account
from barproof._daily import DailyReturns
from barproof._executors import Executor, crew
from barproof._grid import Grid
from barproof._machine import available_bytes
from barproof._progress import Progress, reporter
from barproof._signal_sets import SignalSets
from barproof._sweep_files import SweepFolder
from barproof._sweep_job import Done, Job, Piece, axis_series, prepare
from barproof._sweep_plan import Plan, Route, planned
from barproof._sweep_result import Best, Sweep, check_metric, preferred
from barproof._sweep_stores import InFolder, InMemory
from barproof.candles import Candles
from barproof.errors import Interrupted, LedgerError, ParameterError, PlanError
from barproof.ledger import Ledger, Recorded, door, enter
from barproof.rules import Costs
from barproof.signals import Signals

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = [
    "Best",
    "DailyReturns",
    "Plan",
    "Route",
    "Sweep",
    "axis_series",
    "check_metric",
    "plan",
    "preferred",
    "sweep",
    "sweep_part",
]


def plan(
    candles: Candles | Mapping[str, Candles],
    signals: Signals | SignalSets | Mapping[str, Signals | SignalSets],
    grid: Grid,
    *,
    costs: Costs,
    windows: Any = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
    engine: str = "indexed",
    threads: int | None = None,
    with_range: bool = False,
    intrabar_candles: Candles | Mapping[str, Candles] | None = None,
    out: str | Path | None = None,
    executor: Executor = None,
) -> Plan:
    """Tell what a sweep would take, before it is run; arguments as for :func:`sweep`.

    Parameters
    ----------
    candles, signals, grid, costs, windows, initial_equity, periods_per_year, engine, threads, with_range
        As for :func:`sweep`.
    intrabar_candles, out, executor
        As for :func:`sweep`; nothing is written. A cluster is asked for its processors, and its shards are counted.

    Returns
    -------
    Plan
        Rows, memory, the way of each combination, and estimated time. The time comes from running growing shares of the
        grid over at most 200,000 bars, for about a quarter of a second.
    """
    job = prepare(
        candles,
        signals,
        grid,
        windows,
        threads,
        with_range,
        intrabar_candles,
        costs=costs,
        initial_equity=initial_equity,
        periods_per_year=periods_per_year,
        engine=engine,
    )
    job.refuse_silence()
    pieces = job.pieces(whole=out is None)
    job.check(pieces)
    with crew(executor) as team:
        return planned(job, pieces, kept=out is None, team=team)


def sweep(
    candles: Candles | Mapping[str, Candles],
    signals: Signals | SignalSets | Mapping[str, Signals | SignalSets],
    grid: Grid,
    *,
    costs: Costs,
    windows: Any = None,
    initial_equity: float = 10_000.0,
    periods_per_year: float | None = None,
    engine: str = "indexed",
    threads: int | None = None,
    with_range: bool = False,
    intrabar_candles: Candles | Mapping[str, Candles] | None = None,
    out: str | Path | None = None,
    account: Literal["own", "shared"] = "own",
    max_positions: int | Sequence[int | None] | None = None,
    max_gross: float | Sequence[float | None] | None = None,
    symbols: Sequence[Sequence[str]] | None = None,
    progress: bool | Progress | None = None,
    ledger: Recorded = None,
    executor: Executor = None,
) -> Sweep:
    """Run every combination of a grid over every window, in parallel.

    Windows are runs of their own: each starts with the initial equity and closes its last position. Results are the
    same bits for any number of threads and whatever else is in the grid.

    Parameters
    ----------
    candles : Candles or mapping of str to Candles
        Bars of one symbol, or of several.
    signals : Signals, SignalSets or mapping of str to these
        One value a bar, or with times to join by; sets of them are compared as an axis, `signals`. With several symbols
        one entry each.
    grid : Grid
        Combinations of rules.
    costs : Costs
        Fees and slippage.
    windows : list of (start, end), str or splitter, optional
        Bar numbers or times, end excluded; a duration such as ``"1mo"`` or ``"5d"`` for consecutive windows; or an
        object whose ``split(candles)`` gives (train, test) rows, of which the test rows are run. Default: all bars.
        Taken for each symbol by itself.
    initial_equity : float, default 10000.0
        Of each window, in quote.
    periods_per_year : float, optional
        Annualises daily statistics. Default: 365 for spot and perpetual, 252 equity, 260 fx.
    engine : {"indexed", "replay"}, default "indexed"
        From event to event, or bar by bar, which is the definition; the results are the same bits.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core.
    with_range : bool, default False
        Run everything under ``intrabar="pessimistic"`` and ``"optimistic"``, too (where a grid is not that already),
        and add columns ``total_return_pessimistic``, ``total_return_optimistic``, ``sharpe_pessimistic`` and
        ``sharpe_optimistic``: what bars that hold both stop and target leave open.
    intrabar_candles : Candles or mapping of str to Candles, optional
        Finer candles of the same market, of a shorter interval that divides the candles', as for :func:`backtest`;
        with several symbols one entry each. Every combination is then run bar by bar, inside a bar by the finer bars
        that make it up, so that `ambiguous_share` is left to what is hidden in one of those.
    out : str or Path, optional
        Folder to write Parquet parts to instead of keeping results in memory. A sweep that was killed goes on where it
        was if it is called again, and ends with the same frame; a folder of another sweep is refused.
    account : {"own", "shared"}, default "own"
        Of several symbols each has an account of its own, or all trade from one, as for :func:`portfolio`. A shared
        account has one clock, the union of the symbols' bars, on which windows are taken; what it may hold is swept,
        too, and stands in the columns `max_positions`, `max_gross` and `symbols`. It takes one set of signals a symbol.
    max_positions, max_gross : number or list, optional
        Limits of a shared account, each an axis where it is a list; None is no limit.
    symbols : list of lists of str, optional
        Symbols that a shared account trades, an axis; the others still move its clock. Default: all.
    progress : bool or callable, optional
        A bar with the time left on stderr, or a function of (done, total). Default: a bar if stderr is a terminal.
    ledger : Ledger, str, Path or bool, optional
        Where the combinations that were run are counted; see :class:`barproof.Ledger`. Default: the project's ledger,
        if there is a project; False leaves the sweep unrecorded, and its provenance says so.
    executor : {"local", "ray"} or RayExecutor, optional
        Where it runs: threads of this process by default, or the workers of a Ray cluster, to the same bits in the
        same order; see :class:`barproof.RayExecutor`. There `threads` are those of the check before the run.

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
    FileError
        If `out` cannot be written, holds another sweep, or is being written by another process.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the sweep.
    ClusterError
        If the cluster cannot be used, or no worker survives a part of the sweep.
    RulesError, ParameterError, ShapeError, SignalError, FundingError, WindowError, LayoutError
        If an argument is out of bounds; the message names it.

    Warns
    -----
    DataWarning
        If parts of `out` are damaged; they are run again. If bars of the windows are not made up by
        `intrabar_candles`; they are run on themselves.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=5_000, edge=0.1)
    >>> signals = bp.Signals(long=candles.planted, kind="score")
    >>> grid = bp.Grid(bp.Rules(max_hold=24), entry_long=[1.0, 1.5], stop_loss=[0.01, 0.02])
    >>> bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005), windows="1w").pooled.height
    4
    """
    if account not in ("own", "shared"):
        raise ParameterError(f"`account` must be own or shared, was {account!r}")
    options: dict[str, Any] = {
        "costs": costs,
        "initial_equity": initial_equity,
        "periods_per_year": periods_per_year,
        "engine": engine,
    }
    job: Job
    if account == "shared":
        if with_range or intrabar_candles is not None:
            raise ParameterError(
                "a shared account is run on the bars themselves, as their rules say: leave out `with_range` and "
                "`intrabar_candles`"
            )
        job = prepare_account(
            candles, signals, grid, windows, threads, max_positions, max_gross, symbols, **options
        )
    else:
        if max_positions is not None or max_gross is not None or symbols is not None:
            raise ParameterError(
                '`max_positions`, `max_gross` and `symbols` are limits of a shared account: say account="shared"'
            )
        job = prepare(
            candles, signals, grid, windows, threads, with_range, intrabar_candles, **options
        )
    job.refuse_silence()
    with crew(executor) as workers:
        return _run(job, out, progress, ledger, workers)


def sweep_part(
    candles: Candles,
    signals: Signals,
    grid: Grid,
    *,
    windows: Any,
    threads: int,
    progress: bool | Progress | None,
    workers: Crew | None = None,
    **options: Any,
) -> Sweep:
    """Sweep a part of a larger job: it is not recorded, signals may be silent, of finer candles all was said."""
    job = prepare(candles, signals, grid, windows, threads, False, told=True, **options)
    return _run(job, None, progress, False, workers)


def _run(
    job: Job,
    out: str | Path | None,
    progress: bool | Progress | None,
    ledger: Recorded,
    workers: Crew | None,
) -> Sweep:
    """Refuse what does not fit into memory, then run a sweep and hand it to the ledger."""
    pieces = job.pieces(whole=out is None)
    need, free = job.memory(pieces, kept=out is None), available_bytes()
    if need > free and out is None:
        raise PlanError(
            f"{_size(job)} need about {need:,} bytes, {free:,} are free: write parts to a folder with out=, take fewer "
            "combinations (`sample=`) or longer windows"
        )
    if need > free:
        raise PlanError(
            f"one part of {_size(job)} needs about {need:,} bytes with the pooled rows, {free:,} are free: take fewer "
            "combinations (`sample=`) or longer windows"
        )
    book = door(ledger)
    if len(pieces) > 1 or workers is not None:
        job.check(pieces)
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        folder = None if out is None else stack.enter_context(_folder(job, pieces, out))
        work = _Work(job, pieces, folder)
        report = stack.enter_context(reporter(progress, work.total))
        interrupted = work.run(report) if workers is None else work.spread(workers, report)
        found = work.sweep(time.perf_counter() - began)
        _count(book, job, found, folder, work.runs)
    if interrupted:
        kept = (
            "`partial` of this exception holds them"
            if folder is None
            else f"their parts are kept in {str(folder.path)!r}, and the same call goes on from there"
        )
        raise Interrupted(
            f"interrupted after {work.runs:,} of {work.total:,} combinations; {kept}",
            work.runs,
            work.total,
            found if work.runs else None,
        )
    assert found is not None
    return found


def _size(job: Job) -> str:
    symbols = f"{len(job.legs):,} symbols x " if job.several else ""
    windows = max(len(leg.windows) for leg in job.legs)
    return f"{symbols}{job.width:,} combinations x {windows:,} windows"


def _folder(job: Job, pieces: list[Piece], out: str | Path) -> SweepFolder:
    spans = [f"{leg.symbol}:{a}..{b}" for leg in job.legs for a, b in leg.windows]
    instruments = {repr(made.options()["instrument_"]) for leg in job.legs for made in leg.settings}
    facts = {
        **job.identity(),
        "windows": _core.digest("windows/1", spans),
        "instrument": "; ".join(sorted(instruments)),
        "with_range": str(job.ranged),
    }
    return SweepFolder(out, facts, [piece.text() for piece in pieces])


class _Work:
    """Pieces, run one after the other, and what they have come to so far."""

    def __init__(self, job: Job, pieces: list[Piece], folder: SweepFolder | None) -> None:
        self._job = job
        self._pieces = pieces
        self._folder = folder
        self._done: dict[int, Done] = {}
        self._kept = 0
        self.total = job.width * len(job.legs)

    @property
    def runs(self) -> int:
        """Combinations finished, counted on every symbol."""
        if self._folder is not None:
            return sum(len(self._pieces[i]) for i in self._folder.finished)
        return self._kept + sum(len(done.combinations) for done in self._done.values())

    def run(self, report: Progress | None) -> bool:
        """Run what is not there yet; whether Ctrl-C ended it early."""
        there = set() if self._folder is None else set(self._folder.finished)
        try:
            if there and report is not None:
                report(self.runs, self.total)
            for number, piece in enumerate(self._pieces):
                if number in there:
                    continue
                if self._one(number, piece, report):
                    return True
        except KeyboardInterrupt:
            return True
        return False

    def _one(self, number: int, piece: Piece, report: Progress | None) -> bool:
        before = self.runs

        def progress(done: int, _: int) -> None:
            assert report is not None
            report(before + done, self.total)

        done = self._job.run(piece, None if report is None else progress)
        self._take(number, done)
        if self._folder is not None and number in self._folder.finished and report is not None:
            report(self.runs, self.total)
        return done.interrupted

    def _take(self, number: int, done: Done) -> None:
        """Keep what a piece came to; a folder takes whole ones."""
        if self._folder is None:
            self._done[number] = done
        elif len(done.combinations) == len(self._pieces[number]):
            self._folder.write(number, done.frame, done.pooled)

    def spread(self, workers: Crew, report: Progress | None) -> bool:
        """Run what is not there yet on a cluster; whether Ctrl-C ended it early."""
        from barproof.distributed.sweeps import spread

        there = set() if self._folder is None else set(self._folder.finished)
        finished = self.runs
        if there and report is not None:
            report(finished, self.total)

        def count(more: int) -> None:
            nonlocal finished
            finished += more
            if report is not None:
                report(finished, self.total)

        interrupted, rest = spread(
            self._job, self._pieces, there, self._folder, workers, self._take, count
        )
        for number, done in rest:
            self._take(number, done)
        return interrupted

    def sweep(self, seconds: float) -> Sweep | None:
        """Wrap what is finished; None if nothing is."""
        if self._folder is not None:
            if not self._folder.finished:
                return None
            legs = [self._job.legs[self._pieces[i].leg] for i in self._folder.finished]
            sizes = [len(self._pieces[i]) for i in self._folder.finished]
            rows = sum(n * len(leg.windows) for n, leg in zip(sizes, legs, strict=True))
            return wrapped(self._job, InFolder(self._folder, rows, sum(sizes)), seconds)
        if not self._done:
            return None
        done = [self._done[number] for number in sorted(self._done)]
        store = InMemory(_joined([d.frame for d in done]), _joined([d.pooled for d in done]))
        # The joined frames share their memory; what they were joined of may go.
        self._kept, self._done = self.runs, {}
        return wrapped(self._job, store, seconds)


def wrapped(job: Job, store: InFolder | InMemory, seconds: float) -> Sweep:
    """Sweep of the kind that its job asks for."""
    return (
        AccountSweep(job, store, seconds)
        if isinstance(job, AccountJob)
        else Sweep(job, store, seconds)
    )


def _joined(frames: list[pl.DataFrame]) -> pl.DataFrame:
    # One frame is left alone: polars' threads do not survive a fork.
    return frames[0] if len(frames) == 1 else pl.concat(frames)


def _count(
    book: Ledger | str, job: Job, found: Sweep | None, folder: SweepFolder | None, runs: int
) -> None:
    """Record what was run, each symbol for its own candles; parts of a folder are counted once."""
    if found is None or not runs:
        return
    counted = {} if folder is None else folder.counted
    now, said = dict(counted), []
    for leg in job.legs:
        key = leg.symbol or ""
        now[key] = runs if leg.symbol is None else int((found.pooled["symbol"] == key).sum())
        if not now[key]:
            continue
        facts = {**found.provenance, "candles": leg.settings[0].candles.digest}
        trials = max(0, now[key] - counted.get(key, 0))
        stand_in = SimpleNamespace(provenance=facts)
        try:
            enter(book, "sweep", stand_in, job.grid.digest, trials=trials, seconds=found.seconds)
        except LedgerError as error:
            error.result = found
            raise
        said.append(facts["ledger"])
    found.provenance["ledger"] = "; ".join(dict.fromkeys(said))
    if folder is not None and not isinstance(book, str):
        folder.counted = now
