"""What a whole sweep proves: overfitting statistics over every combination, returns streamed and not held."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._daily import DailyReturns
from barproof._executors import Executor, crew
from barproof._machine import available_bytes, thread_count
from barproof._progress import reporter
from barproof.errors import LayoutError, ParameterError
from barproof.ledger import Ledger
from barproof.stats._common import Floats, Report, Stat, check_level, undefined
from barproof.stats.cscv import Pbo, check_blocks, pbo_of_sums
from barproof.stats.deflated import Deflated, deflated_sharpe
from barproof.stats.grouping import CLUSTERED, spread
from barproof.stats.multiple import Correlations, EffectiveTrials
from barproof.stats.sharpe import moments
from barproof.stats.superior import (
    Setup,
    Spa,
    StepM,
    Superior,
    common_block,
    stepm_of,
    stepm_undefined,
)

if TYPE_CHECKING:
    from barproof._sweep_result import Sweep

__all__ = ["Overfitting", "overfitting"]

_CHUNK = 1_024
_HELD = 0.25  # of the memory that is free, before returns are computed twice instead


@dataclass(frozen=True, repr=False, eq=False)
class Overfitting(Stat):
    """What the best of a sweep is worth.

    Attributes
    ----------
    best : int
        Number of the combination with the best daily Sharpe ratio.
    sharpe : float
        That ratio, a day.
    deflated : Deflated
        Of that combination, with the ledger's number of trials and the variance over all combinations.
    pbo : Pbo
        Over all combinations.
    spa : Spa
        Against doing nothing; its `best` is a row of `frame`.
    stepm : StepM
        Which combinations are superior; rows of `frame`.
    effective : EffectiveTrials
        How many independent trials the combinations are worth.
    trials : float
        Trials that the deflated ratio counts; NaN where they are unknown.
    trials_from : str
        Who counted them.
    frame : polars.DataFrame
        One row a combination: `combination`, `sharpe` (a day), `p` (step-down adjusted).
    n, combinations : int
        Days, and combinations.
    """

    best: int
    sharpe: float
    deflated: Deflated
    pbo: Pbo
    spa: Spa
    stepm: StepM
    effective: EffectiveTrials
    trials: float
    trials_from: str
    frame: pl.DataFrame = field(repr=False)
    n: int
    combinations: int

    def __repr__(self) -> str:
        parts = "\n".join(
            f"  {name}: {getattr(self, name)!r}"
            for name in ("deflated", "pbo", "spa", "stepm", "effective")
        )
        trials = f"{self.trials:,.0f}" if math.isfinite(self.trials) else "unknown"
        return (
            f"Overfitting({self.combinations:,} combinations x {self.n:,} days, best {self.best} with a daily Sharpe "
            f"ratio of {self.sharpe:.4f}, trials {trials} ({self.trials_from})\n{parts})"
        )


def overfitting(
    sweep: Sweep,
    *,
    trials: int | None = None,
    blocks: int = 16,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    level: float = 0.05,
    memory: int | None = None,
    threads: int | None = None,
    progress: Report = None,
    executor: Executor = None,
) -> Overfitting:
    """Compute what the best combination of a sweep is worth, over all of them.

    Parameters
    ----------
    sweep : Sweep
        Of one symbol (:meth:`barproof.Sweep.of`), complete or interrupted.
    trials : int, optional
        How many combinations were ever tried on these candles. Default: what the ledger of the project has counted on
        them; without a ledger they are unknown, and the deflated ratio is undefined.
    blocks : int, default 16
        Of :func:`barproof.stats.pbo`.
    resamples, mean_block, seed, level
        Of :func:`barproof.stats.spa` and :func:`barproof.stats.stepm`.
    memory : int, optional
        Bytes that daily returns may take. Default: a quarter of what is free. Where they take more they are computed
        twice, in parts of 1,024 combinations.
    threads : int, optional
        Worker threads.
    progress : bool or callable, optional
        As in :func:`barproof.sweep`; counts combinations, each twice.
    executor : {"local", "ray"} or RayExecutor, optional
        Where resamples are made, as for :func:`barproof.stats.spa`; daily returns are computed here.

    Returns
    -------
    Overfitting
        Each part may be undefined with a reason of its own.

    Raises
    ------
    LayoutError, ParameterError
        If the sweep is none or empty, or an argument is out of bounds.

    Notes
    -----
    Returns are daily, of marked equity, as in `sweep.daily_returns`. One pass takes means, deviations, sums over blocks
    and the correlations of days; a second goes through the combinations from the worst to the best and carries the
    maximum of each resample, which gives every step-down p-value. Both see a part of the combinations at a time.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(3, bars=12_000, interval="1h")
    >>> signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    >>> grid = bp.Grid(bp.Rules(entry_long=0.5, max_hold=12), entry_long=[0.5, 1.0], max_hold=[6, 12])
    >>> table = bp.sweep(candles, signals, grid, costs=bp.Costs(taker=0.0005, slippage=0.0), ledger=False)
    >>> found = bp.stats.overfitting(table, trials=4, resamples=199)
    >>> found.pbo.trials, found.spa.p > 0.05
    (4, True)
    """
    returns = getattr(sweep, "daily_returns", None)
    if not isinstance(returns, DailyReturns):
        raise LayoutError(f"overfitting needs a Sweep, was given {type(sweep).__name__}")
    if not len(returns.combinations):
        raise ParameterError("the sweep has no finished combination: run it to the end")
    if trials is not None and trials < len(returns.combinations):
        raise ParameterError(
            f"`trials` must be at least the {len(returns.combinations):,} combinations of the sweep, was {trials!r}"
        )
    check_blocks(blocks)
    check_level("level", level)
    counted, source = _trials(sweep, trials)
    job = _Job(returns, memory)
    n = len(returns.dates)
    block = common_block(job.some(100)) if mean_block is None else float(mean_block)
    setup = Setup(n, block, resamples, seed, thread_count(threads))
    with reporter(progress, 2 * job.count, "overfitting") as report:
        measured = _measure(job, setup, blocks, report)
        with crew(executor) as workers:
            setup = replace(setup, workers=workers)
            stepm, adjusted_p = _superior(job, setup, measured, level, report)
    sharpe = measured.sharpe
    known = np.where(np.isfinite(sharpe), sharpe, -np.inf)
    at = int(np.argmax(known))
    best = int(returns.combinations[at])
    frame = pl.DataFrame(
        {"combination": returns.combinations, "sharpe": sharpe, "p": adjusted_p},
        schema_overrides={"combination": pl.UInt32},
    )
    return Overfitting(
        best=best,
        sharpe=float(sharpe[at]),
        deflated=_deflated(job, at, sharpe, counted),
        pbo=_pbo(measured, n, setup, blocks),
        spa=stepm.spa,
        stepm=stepm,
        effective=measured.correlations.result(job.some(CLUSTERED)),
        trials=math.nan if counted is None else float(counted),
        trials_from=source,
        frame=frame,
        n=n,
        combinations=job.count,
    )


def _trials(sweep: Sweep, given: int | None) -> tuple[int | None, str]:
    """Trials on the candles of a sweep, and who counted them."""
    if given is not None:
        return given, "as given"
    ledger = Ledger.find()
    if ledger is None:
        return None, "no ledger in the project, and no trials= given"
    counted = ledger.trials(sweep.provenance["candles"])
    if counted < len(sweep.combinations):
        return None, "the ledger has counted fewer trials than the sweep has"
    return counted, "the ledger, on these candles"


class _Job:
    """Daily returns by part: held while they fit, else computed again."""

    def __init__(self, returns: DailyReturns, memory: int | None) -> None:
        self._returns = returns
        self.count = len(returns.combinations)
        need = 8 * self.count * len(returns.dates)
        limit = int(_HELD * available_bytes()) if memory is None else memory
        self._held: Floats | None = None
        self._hold = need <= limit

    def some(self, most: int) -> Floats:
        """Up to so many combinations, spread evenly."""
        return self.rows(spread(self.count, most))

    def rows(self, at: NDArray[np.int64]) -> Floats:
        """Take combinations by place, a row each."""
        if self._held is not None:
            return self._held[at]
        return self._returns._compute(self._returns.combinations[at].tolist())

    def parts(self, order: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        """All combinations in an order, part by part."""
        held = (
            np.empty((self.count, len(self._returns.dates)))
            if self._hold and self._held is None
            else None
        )
        for start in range(0, self.count, _CHUNK):
            at = order[start : start + _CHUNK]
            rows = self.rows(at)
            if held is not None:
                held[at] = rows
            yield at, rows
        if held is not None:
            self._held = held


@dataclass
class _Measured:
    """What the first pass finds, by combination."""

    means: Floats
    deviations: Floats
    sharpe: Floats
    first: Floats
    second: Floats
    correlations: Correlations
    reason: str


def _measure(job: _Job, setup: Setup, blocks: int, report: Any) -> _Measured:
    """Go through all combinations once: means, deviations, ratios, sums over blocks, correlations."""
    count, n = job.count, setup.periods
    enough = n >= 2 * blocks
    width = blocks if enough else 0
    found = _Measured(
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.full(count, np.nan),
        np.zeros((width, count)),
        np.zeros((width, count)),
        Correlations(n),
        "" if enough else f"{n} days, {2 * blocks} are needed",
    )
    tests = Superior(setup, studentise="resample")
    done = 0
    for at, rows in job.parts(np.arange(count)):
        if n >= 2:
            found.means[at], found.deviations[at] = tests.measure(rows)
            spread = rows.std(axis=1)
            varied = spread > 1e-14 * np.abs(rows).max(axis=1)
            # Doing nothing earns nothing; a constant that is not 0 has no ratio.
            still = np.where(found.means[at] == 0, 0.0, np.nan)
            ratio = np.divide(found.means[at], spread, out=still, where=varied)
            found.sharpe[at] = ratio
        if enough:
            flat = np.ascontiguousarray(rows).ravel()
            first, second = _core.block_sums(flat, periods=n, blocks=blocks)
            found.first[:, at], found.second[:, at] = first, second
        found.correlations.add(rows)
        done += len(at)
        if report is not None:
            report(done, 2 * count)
    return found


def _pbo(found: _Measured, n: int, setup: Setup, blocks: int) -> Pbo:
    count = len(found.means)
    reason = found.reason or ("" if count > 1 else "1 trials, 2 are needed")
    if reason:
        return undefined(Pbo, reason, blocks=blocks, n=n, trials=count)
    return pbo_of_sums(found.first, found.second, n, setup.threads, False)


def _superior(
    job: _Job, setup: Setup, found: _Measured, level: float, report: Any
) -> tuple[StepM, Floats]:
    """Second pass: worst combination first, the maxima of the resamples carried along."""
    n, count = setup.periods, job.count
    known = setup.known(count)
    reason = ""
    if n < 4:
        reason = f"{n} days, 4 are needed"
    elif setup.mean_block > n / 5:
        reason = f"mean block {setup.mean_block:.1f} of {n} days: more than a fifth says nothing"
    elif not (found.deviations > 0).any():
        reason = "no combination varies"
    if reason:
        return stepm_undefined(reason, level, **known), np.full(count, np.nan)
    tests = Superior(setup, studentise="resample")
    statistics = tests.statistics(found.means, found.deviations)
    reached = np.zeros(count, np.uint64)
    done = count
    for at, rows in job.parts(np.argsort(statistics, kind="stable")):
        reached[at] = tests.resample(rows, found.means[at], found.deviations[at], False)
        done += len(at)
        if report is not None:
            report(done, 2 * count)
    steps = stepm_of(tests.found(found.means, found.deviations, reached), level, **known)
    return steps, steps.p


def _deflated(job: _Job, best: int, sharpe: Floats, trials: int | None) -> Deflated:
    """Deflated Sharpe ratio of the best combination, with the spread of all as that of the trials."""
    m = moments(job.rows(np.array([best]))[0])
    if not m.defined:
        return undefined(Deflated, f"the best combination: {m.reason}", n=m.n)
    known = sharpe[np.isfinite(sharpe)]
    return deflated_sharpe(
        m.sharpe,
        m.n,
        trials=trials,
        variance=float(np.var(known, ddof=1)) if len(known) > 1 else 0.0,
        skewness=m.skewness,
        kurtosis=m.kurtosis,
        rho=min(max(m.rho, -0.99), 0.99),
    )
