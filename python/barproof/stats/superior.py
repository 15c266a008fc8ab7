"""The best of many trials: whether it beats anything, and which of them do (Reality Check, SPA, StepM)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from barproof import _core
from barproof._executors import Executor, crew
from barproof._machine import thread_count
from barproof._progress import reporter
from barproof.errors import ParameterError
from barproof.stats._common import Floats, Report, Stat, check_level, panel, series, undefined
from barproof.stats.bootstrap import block_length, given_indices
from barproof.stats.grouping import spread

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = ["RealityCheck", "Spa", "StepM", "reality_check", "spa", "stepm"]

Studentise: TypeAlias = Literal["resample", "sample", "none"]

_LEAST_SHARE = 0.1
"""Of the variance by blocks that the corrected one keeps at least; strong negative dependence would take more."""


@dataclass(frozen=True, repr=False, eq=False)
class Spa(Stat):
    """Test of superior predictive ability.

    Attributes
    ----------
    p : float
        Consistent p-value: what to gate on.
    p_lower, p_upper : float
        Bounds of it: liberal (about 8% of noise passes at 5%) and conservative.
    p_reality_check : float
        Of White's test on the same resamples, which is not studentised.
    statistic : float
        Largest studentised mean, at least 0.
    best : int
        Column of that trial.
    exceed : ndarray of shape (3,), int
        Resamples at least so large: lower, consistent, upper; p is (1 + exceed) / (1 + resamples), never 0.
    mean_block : float
        Mean length of the blocks (NaN where indices were given without it).
    resamples, n, trials, left_out : int
        Resamples, periods, trials, and trials without variation, which nothing can be said of.
    """

    p: float
    p_lower: float
    p_upper: float
    p_reality_check: float
    statistic: float
    best: int
    exceed: NDArray[np.int64]
    mean_block: float
    resamples: int
    n: int
    trials: int
    left_out: int


@dataclass(frozen=True, repr=False, eq=False)
class RealityCheck(Stat):
    """White's Reality Check.

    Attributes
    ----------
    p : float
        (1 + exceed) / (1 + resamples), never 0.
    statistic : float
        Largest mean times the root of the number of periods.
    best : int
        Column of that trial.
    exceed, resamples, n, trials : int
        Resamples at least so large, resamples, periods, trials.
    mean_block : float
        Mean length of the blocks.
    """

    p: float
    statistic: float
    best: int
    exceed: int
    resamples: int
    n: int
    trials: int
    mean_block: float


@dataclass(frozen=True, repr=False, eq=False)
class StepM(Stat):
    """Which trials are superior, with the chance of naming any falsely bounded.

    Attributes
    ----------
    superior : ndarray of int
        Columns whose adjusted p-value is at most `level`.
    p : ndarray of shape (trials,)
        Step-down adjusted p-values; NaN for trials without variation.
    level : float
        Family-wise.
    mean_block : float
        Mean length of the blocks.
    resamples, n, trials, left_out : int
        As in :class:`Spa`.
    spa : Spa
        The test of the best on the same resamples, for nothing.
    """

    superior: NDArray[np.int64]
    p: Floats
    level: float
    mean_block: float
    resamples: int
    n: int
    trials: int
    left_out: int
    spa: Spa


@dataclass(frozen=True)
class Setup:
    """How resamples are made and on what."""

    periods: int
    mean_block: float
    resamples: int
    seed: int
    threads: int
    positions: NDArray[np.int64] | None = None
    workers: Crew | None = None

    def known(self, trials: int) -> dict[str, Any]:
        """Tell what results say of it, defined or not."""
        return {
            "mean_block": self.mean_block,
            "resamples": self.resamples,
            "n": self.periods,
            "trials": trials,
        }


@dataclass(frozen=True, eq=False)
class Resampling:
    """What is asked of every resample."""

    returns: Floats
    periods: int
    deviations: Floats
    offsets: tuple[Floats, Floats]
    statistics: Floats
    anew: bool
    mean_block: float

    def run(
        self,
        rows: int,
        seed: int,
        positions: NDArray[np.int64] | None,
        before: Floats | None,
        threads: int,
        progress: Any,
    ) -> tuple[Floats, NDArray[np.uint64]]:
        """Maxima by resample, and how many resamples reach each trial."""
        return _core.resampled_maxima(
            self.returns,
            periods=self.periods,
            deviations=self.deviations,
            offsets=self.offsets,
            statistics=self.statistics,
            before=None if before is None else np.ascontiguousarray(before).ravel(),
            positions=None if positions is None else np.ascontiguousarray(positions).ravel(),
            anew=self.anew,
            mean_block=self.mean_block,
            rows=rows,
            seed=seed,
            threads=threads,
            progress=progress,
        )


class Superior:
    """Statistics of trials, then maxima over their resamples, part by part in the order of the statistics."""

    def __init__(self, setup: Setup, *, studentise: Studentise) -> None:
        self.setup = setup
        self._studentise = studentise != "none"
        self._anew = studentise == "resample"
        self._maxima: Floats | None = None

    def measure(self, rows: Floats) -> tuple[Floats, Floats]:
        """Means and long-run deviations of trials, a row each; a deviation of 0 is rounding at most."""
        means = rows.mean(axis=1)
        block = self.setup.mean_block
        deviations = self._deviations(rows, block)
        if self._anew:
            # A geometric block cuts memory short, so that a deviation by blocks is too small, by about as much more
            # at half the length. Resamples have none of that: their memory is that of their blocks.
            half = self._deviations(rows, max(1.0, block / 2))
            flat = 2.0 * deviations**2 - half**2
            deviations = np.sqrt(np.maximum(flat, _LEAST_SHARE * deviations**2))
        size = np.abs(rows).max(axis=1, initial=0.0)
        return means, np.where(deviations > 1e-13 * size, deviations, 0.0)

    def _deviations(self, rows: Floats, block: float) -> Floats:
        found: Floats = _core.long_run_deviations(
            np.ascontiguousarray(rows).ravel(), periods=self.setup.periods, mean_block=block
        )
        return found

    def statistics(self, means: Floats, deviations: Floats) -> Floats:
        """Compute what trials are compared by; -inf where there is nothing."""
        root = math.sqrt(self.setup.periods)
        scale = deviations if self._studentise else np.ones_like(deviations)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(deviations > 0, root * means / scale, -np.inf)

    def resample(
        self, rows: Floats, means: Floats, deviations: Floats, report: Report
    ) -> NDArray[np.uint64]:
        """Take the next trials, in the order of their statistics; how many resamples reach each."""
        setup, n = self.setup, self.setup.periods
        root = math.sqrt(n)
        # Divided by 1 instead of a deviation, maxima are those of means.
        scale = deviations if self._studentise else (deviations > 0).astype(np.float64)
        safe = np.where(scale > 0, scale, 1.0)
        bound = -deviations / root * math.sqrt(max(0.0, 2 * math.log(max(math.log(n), 1.0))))
        lower = root * np.minimum(means, 0.0) / safe
        consistent = np.where(means >= bound, 0.0, root * means / safe)
        statistics = self.statistics(means, deviations)
        with reporter(report, setup.resamples, "resamples") as shown:
            question = Resampling(
                np.ascontiguousarray(rows).ravel(),
                n,
                np.ascontiguousarray(scale),
                (lower, consistent),
                statistics,
                self._anew,
                setup.mean_block,
            )
            if setup.workers is None:
                self._maxima, counts = question.run(
                    setup.resamples,
                    setup.seed,
                    setup.positions,
                    self._maxima,
                    setup.threads,
                    shown,
                )
            else:
                from barproof.distributed.statistics import spread_resamples

                self._maxima, counts = spread_resamples(
                    question, setup, self._maxima, setup.workers, shown
                )
        return counts

    def exceed(self, statistic: float, plain: float) -> tuple[NDArray[np.int64], int]:
        """Resamples at least so large: lower, consistent, upper of the test, and of the plain maximum."""
        assert self._maxima is not None
        upper, lower, consistent, raw = self._maxima
        # The statistic is at least 0, and so is its resampled twin.
        found = [int(np.sum(np.maximum(m, 0.0) >= statistic)) for m in (lower, consistent, upper)]
        return np.array(found, dtype=np.int64), int(np.sum(raw >= plain))

    def found(self, means: Floats, deviations: Floats, reached: NDArray[np.uint64]) -> Found:
        """Put together what all trials came to, in their own order."""
        statistics = self.statistics(means, deviations)
        varied = np.where(deviations > 0, means, -np.inf)
        best, best_plain = int(np.argmax(statistics)), int(np.argmax(varied))
        statistic = max(0.0, float(statistics[best]))
        plain = math.sqrt(self.setup.periods) * float(varied[best_plain])
        exceed, exceed_plain = self.exceed(statistic, plain)
        left = int(np.sum(deviations == 0))
        return Found(
            statistics, statistic, plain, best, best_plain, exceed, exceed_plain, reached, left
        )


@dataclass(frozen=True)
class Found:
    """What one pass over the resamples gives."""

    statistics: Floats
    statistic: float
    plain: float
    best: int
    best_plain: int
    exceed: NDArray[np.int64]
    exceed_plain: int
    reached: NDArray[np.uint64]
    left_out: int


def stepm_of(found: Found, level: float, **known: Any) -> StepM:
    """Put the stepwise test together: p-values are monotone from the best trial to the worst."""
    order = np.argsort(-found.statistics, kind="stable")
    raw = (1.0 + found.reached[order].astype(np.float64)) / (1.0 + known["resamples"])
    p = np.empty(len(order))
    p[order] = np.maximum.accumulate(raw)
    p[~np.isfinite(found.statistics)] = np.nan
    superior = np.flatnonzero(p <= level)
    spa = spa_of(found, **known)
    return StepM(superior, p, level=level, left_out=found.left_out, spa=spa, **known)


def stepm_undefined(reason: str, level: float, **known: Any) -> StepM:
    """Say why there is none, nor a test of the best."""
    spa = undefined(Spa, reason, **known)
    return undefined(StepM, reason, **known, level=level, spa=spa)


def _question(
    returns: ArrayLike,
    benchmark: ArrayLike | None,
    resamples: int,
    mean_block: float | None,
    seed: int,
    indices: ArrayLike | None,
    threads: int | None,
) -> tuple[Floats, Setup, str]:
    """Differences, a row a trial, how to resample them, and why nothing can be said of them."""
    if resamples < 99:
        raise ParameterError(f"`resamples` of a test must be at least 99, was {resamples!r}")
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**64:
        raise ParameterError(f"`seed` of a test must be a whole number in [0, 2**64), was {seed!r}")
    if mean_block is not None and not mean_block >= 1:
        raise ParameterError(f"`mean_block` must be at least 1, was {mean_block!r}")
    workers = thread_count(threads)
    x, reason = panel(returns, least=4, columns=1)
    n = x.shape[0]
    if not reason and benchmark is not None:
        base, why = series(benchmark, least=0, varies=False)
        if why:
            reason = f"the benchmark: {why}"
        elif len(base) != n:
            reason = f"{len(base)} periods of the benchmark for {n}: put both on one calendar first"
        else:
            x = x - base[:, None]
    rows = np.ascontiguousarray(x.T)
    if reason:
        return rows, Setup(n, math.nan, resamples, seed, workers), reason
    positions = None if indices is None else given_indices(indices, n)
    count = resamples if positions is None else len(positions)
    block = common_block(rows) if mean_block is None else float(mean_block)
    if block > n / 5:
        reason = f"mean block {block:.1f} of {n} periods: more than a fifth says nothing"
    return rows, Setup(n, block, count, seed, workers, positions), reason


def common_block(rows: Floats) -> float:
    """Mean block length for a panel: the median of up to 100 trials spread evenly over it."""
    chosen = spread(len(rows), 100)
    lengths = [block_length(rows[k]) for k in chosen if np.ptp(rows[k]) > 0]
    return float(np.median(lengths)) if lengths else 1.0


def _run(
    rows: Floats, setup: Setup, studentise: Studentise, progress: Report, executor: Executor
) -> Found | str:
    """Measure the trials, resample them, and count how often a resample reaches each; text where undefined."""
    if studentise not in ("resample", "sample", "none"):
        raise ParameterError(f"`studentise` must be resample, sample or none, was {studentise!r}")
    job = Superior(setup, studentise=studentise)
    means, deviations = job.measure(rows)
    if not (deviations > 0).any():
        return "no trial varies against the benchmark"
    statistics = job.statistics(means, deviations)
    order = np.argsort(statistics, kind="stable")
    with crew(executor) as workers:
        job.setup = replace(setup, workers=workers)
        counts = job.resample(rows[order], means[order], deviations[order], progress)
    reached = np.empty(len(rows), np.uint64)
    reached[order] = counts
    return job.found(means, deviations, reached)


def spa(
    returns: ArrayLike,
    *,
    benchmark: ArrayLike | None = None,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    indices: ArrayLike | None = None,
    studentise: Studentise = "resample",
    threads: int | None = None,
    progress: Report = None,
    executor: Executor = None,
) -> Spa:
    """Test whether the best of many trials beats a benchmark at all.

    Parameters
    ----------
    returns : array_like of shape (n_periods, n_trials)
        Returns (not losses) of every trial on one calendar, the discarded ones too.
    benchmark : array_like of shape (n_periods,), optional
        Returns to beat. Default: 0.
    resamples : int, default 2000
        Resamples of the stationary bootstrap, at least 99; one set of indices serves all trials.
    mean_block : float, optional
        Mean length of blocks. Default: the median of :func:`barproof.stats.block_length` over up to 100 trials.
    seed : int, default 0
        In [0, 2**64).
    indices : array_like of shape (resamples, n_periods), optional
        Resamples by position, instead of drawn ones; `mean_block` then belongs to the deviations alone.
    studentise : {"resample", "sample", "none"}, default "resample"
        Divide each resampled mean by the long-run deviation of its own resample; by the sample's, as P. Hansen has it;
        or by none, where one noisy trial can drown a good one.
    threads : int, optional
        Worker threads; the result has the same bits for any number.
    progress : bool or callable, optional
        As in :func:`barproof.sweep`.
    executor : {"local", "ray"} or RayExecutor, optional
        Where resamples are made: threads of this process by default, or the workers of a Ray cluster, to the same bits.

    Returns
    -------
    Spa
        Undefined for a ragged panel, values that are not finite, fewer than four periods, no trial that varies, or
        blocks beyond a fifth of the sample.

    Raises
    ------
    ParameterError, ShapeError
        If an argument is out of bounds.

    Notes
    -----
    P. Hansen 2005: the largest ``sqrt(n) mean / w``, at least 0, against resamples recentred by means that are not far
    below 0: where ``mean >= -w / sqrt(n) sqrt(2 ln ln n)``. w is the root of the long-run variance that the stationary
    bootstrap implies (D. Politis and J. Romano 1994), v(b) with the mean block b. With the sample's w in the resamples
    too, noise with a skewness of -2 passes at 5% in 16% of cases (20 trials, 365 days): resamples are studentised by
    their own blocks' sums (F. Goetze and H. R. Kuensch 1996), as J. Romano and M. Wolf 2005 advise. v(b) itself is too
    small where returns have memory, as blocks cut it short: of AR(1) with 0.2 it misses a tenth, and 8% of such noise
    passes at 5% (8 trials, 200 days). So with "resample" the sample's own variance is ``2 v(b) - v(max(1, b / 2))``,
    in which the first-order error cancels (a flat-top window, D. Politis and J. Romano 1995), and 5% pass.

    Examples
    --------
    >>> from barproof.stats import normals
    >>> noise = normals(7, 400).reshape(200, 2)
    >>> spa(noise, resamples=199).p > 0.05
    True
    """
    rows, setup, reason = _question(
        returns, benchmark, resamples, mean_block, seed, indices, threads
    )
    known = setup.known(len(rows))
    found = reason or _run(rows, setup, studentise, progress, executor)
    if isinstance(found, str):
        return undefined(Spa, found, **known)
    return spa_of(found, **known)


def spa_of(found: Found, **known: Any) -> Spa:
    """Put the test together."""
    b = known["resamples"]
    lower, consistent, upper = ((1 + int(e)) / (1 + b) for e in found.exceed)
    return Spa(
        p=consistent,
        p_lower=lower,
        p_upper=upper,
        p_reality_check=(1 + found.exceed_plain) / (1 + b),
        statistic=found.statistic,
        best=found.best,
        exceed=found.exceed,
        left_out=found.left_out,
        **known,
    )


def reality_check(
    returns: ArrayLike,
    *,
    benchmark: ArrayLike | None = None,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    indices: ArrayLike | None = None,
    threads: int | None = None,
    progress: Report = None,
    executor: Executor = None,
) -> RealityCheck:
    """Test whether the trial with the best mean beats a benchmark.

    Parameters
    ----------
    returns, benchmark, resamples, mean_block, seed, indices, threads, progress, executor
        As in :func:`spa`.

    Returns
    -------
    RealityCheck
        Undefined as in :func:`spa`.

    Raises
    ------
    ParameterError, ShapeError
        If an argument is out of bounds.

    Notes
    -----
    H. White 2000: the largest ``sqrt(n) mean`` against resamples, every trial centred by its own mean over the whole
    sample. Conservative where there are poor trials, and ruled by noisy ones: :func:`spa` is the better test. Nothing
    makes up for blocks that cut memory short: it claims its level for independent returns, and 7.7% of AR(1) noise with
    0.2 passes at 5% (10 trials, 250 days), as does ``spa(studentise="none")``.

    Examples
    --------
    >>> from barproof.stats import normals
    >>> noise = normals(7, 400).reshape(200, 2)
    >>> reality_check(noise, resamples=199).p > 0.05
    True
    """
    rows, setup, reason = _question(
        returns, benchmark, resamples, mean_block, seed, indices, threads
    )
    known = setup.known(len(rows))
    found = reason or _run(rows, setup, "none", progress, executor)
    if isinstance(found, str):
        return undefined(RealityCheck, found, **known)
    p = (1 + found.exceed_plain) / (1 + setup.resamples)
    return RealityCheck(p, found.plain, found.best_plain, found.exceed_plain, **known)


def stepm(
    returns: ArrayLike,
    *,
    benchmark: ArrayLike | None = None,
    level: float = 0.05,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
    indices: ArrayLike | None = None,
    studentise: Studentise = "resample",
    threads: int | None = None,
    progress: Report = None,
    executor: Executor = None,
) -> StepM:
    """Name the trials that beat a benchmark, with the chance of naming any falsely bounded.

    Parameters
    ----------
    level : float, default 0.05
        Family-wise.
    returns, benchmark, resamples, mean_block, seed, indices, studentise, threads, progress, executor
        As in :func:`spa`.

    Returns
    -------
    StepM
        Undefined as in :func:`spa`.

    Raises
    ------
    ParameterError, ShapeError
        If an argument is out of bounds.

    Notes
    -----
    J. Romano and M. Wolf 2005, as adjusted p-values: that of a trial counts the resamples in which the maximum over all
    trials that do no better reaches its statistic, made monotone from the best on. Rejecting what is at most `level` is
    the stepwise procedure.

    Examples
    --------
    >>> from barproof.stats import normals
    >>> stepm(normals(7, 400).reshape(200, 2) + [0.0, 0.5], resamples=199).superior.tolist()
    [1]
    """
    check_level("level", level)
    rows, setup, reason = _question(
        returns, benchmark, resamples, mean_block, seed, indices, threads
    )
    known = setup.known(len(rows))
    found = reason or _run(rows, setup, studentise, progress, executor)
    if isinstance(found, str):
        return stepm_undefined(found, level, **known)
    return stepm_of(found, level, **known)
