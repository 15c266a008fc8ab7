"""`procedure_test`: the whole study run again on markets without an edge, and on markets with one."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._executors import Executor, crew
from barproof._progress import reporter
from barproof._surrogates import KINDS, Kind, surrogate_candles
from barproof._whole import whole
from barproof.candles import Candles
from barproof.errors import DataWarning, FileError, LayoutError, ParameterError
from barproof.stats._common import Stat, check_level, undefined
from barproof.stats.shares import clopper_pearson

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = ["ProcedureTest", "procedure_test"]

Study: TypeAlias = Callable[[Candles], Any]
Score: TypeAlias = "str | Callable[[Any], float]"

_LEAST = 19
"""Surrogates below which no p-value can reach 0.05."""


@dataclass(frozen=True, repr=False, eq=False)
class ProcedureTest(Stat):
    """What a whole procedure finds where there is nothing to be found.

    Attributes
    ----------
    p : float
        (1 + surrogates that score at least so high) / (1 + surrogates): uniform where the market holds no edge.
    score : float
        Of the study on the real market.
    null : ndarray of shape (surrogates,)
        Scores on markets without an edge; -inf where the study scored nothing, +inf where it failed.
    failed : int
        Surrogates on which the study raised; they count against it.
    power : polars.DataFrame
        By planted edge: `edge`, `studies`, `passed` (p at most `level` against the same null), `power`, `low`, `high`
        (exact 95%).
    claimed : float
        With ``edges="claimed"`` the edge that the study's score amounts to: where it is planted, the median study
        scores as much. NaN where it was not asked for, or the score is no better than the median without an edge.
    kind : str
        How surrogates were made.
    level : float
        Of the power.
    complete : bool
        Whether all that was asked for was run within the budget.
    seconds : float
        Time that the studies took, earlier runs included.
    errors : list of str
        First messages of studies that failed.
    """

    p: float
    score: float
    null: NDArray[np.float64]
    failed: int
    power: pl.DataFrame = field(repr=False)
    claimed: float
    kind: str
    level: float
    complete: bool
    seconds: float
    errors: list[str]


_POWER = {
    "edge": pl.Float64,
    "studies": pl.UInt32,
    "passed": pl.UInt32,
    "power": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}


def procedure_test(
    study: Study,
    candles: Candles,
    *,
    markets: Kind | Callable[[int], Candles] = "sign",
    count: int = 99,
    score: Score = "sharpe",
    edges: Sequence[float] | Literal["claimed"] = (),
    studies: int = 20,
    level: float = 0.05,
    budget: float | None = None,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    progress: bool | Callable[[int, int], None] | None = None,
    executor: Executor = None,
) -> ProcedureTest:
    """Test a whole study (features, training, choice, stitching) by running it where nothing can be found.

    Parameters
    ----------
    study : callable
        Takes candles and gives a result: the whole procedure, so that whatever it overfits it overfits here too.
    candles : Candles
        The real market.
    markets : {"sign", "blocks", "phase", "simulated"} or callable, default "sign"
        How markets without an edge are made, see :func:`barproof.surrogate_candles`; or a function of a whole number
        that gives candles.
    count : int, default 99
        Such markets, at least 19.
    score : str or callable, default "sharpe"
        Metric of the result, higher is better; or a function of what the study gives.
    edges : sequence of float or "claimed", default ()
        Edges to plant in simulated markets of the same volatility, for the power. ``"claimed"`` looks for the edge that
        makes the median of a few studies score as much as the study did on the real market (up to 50 more studies), and
        plants that.
    studies : int, default 20
        Markets an edge.
    level : float, default 0.05
        At which a planted edge counts as found.
    budget : float, optional
        Seconds after which no further study is begun; what is finished counts, and `complete` is False.
    out : str or path, optional
        File that takes each score as it comes. A later call with the same arguments goes on from there.
    seed : int, default 0
        In [0, 2**64).
    progress : bool or callable, optional
        Takes studies done and studies asked for.
    executor : {"local", "ray"} or RayExecutor, optional
        Where studies run: here, one after the other, by default, or on the workers of a Ray cluster, a study on one
        processor each. The study travels there with what it refers to, and records nothing there.

    Returns
    -------
    ProcedureTest
        Undefined where the study scores nothing on the real market, or the budget allowed fewer than 19 surrogates.

    Raises
    ------
    LayoutError, ParameterError
        If an argument is of the wrong kind or out of bounds.
    FileError
        If `out` holds another test, or is no such file.

    Notes
    -----
    A study that raises on the real market raises here. One that raises on a surrogate counts as if it had scored
    higher: the p-value never profits from failures.

    Examples
    --------
    >>> import barproof as bp
    >>> def study(candles):
    ...     signals = bp.Signals.where(candles, long="rsi(14) < 30")
    ...     return bp.backtest(candles, signals, bp.Rules(entry_long=0.5, max_hold=12), costs=bp.Costs(taker=0.0))
    >>> found = bp.procedure_test(study, bp.simulate_candles(1, bars=1_000), count=19)
    >>> 0 < found.p <= 1
    True
    """
    if not callable(study):
        raise LayoutError(
            f"`study` must take candles and give a result, was {type(study).__name__}"
        )
    if not isinstance(candles, Candles):
        raise LayoutError(f"a procedure test needs Candles, was given {type(candles).__name__}")
    if not callable(markets) and markets not in KINDS:
        raise ParameterError(
            f"`markets` must be one of {', '.join(KINDS)}, or a function, was {markets!r}"
        )
    if count < _LEAST:
        raise ParameterError(
            f"`count` must be at least {_LEAST}, was {count}: with fewer no p-value reaches 0.05"
        )
    asked = () if edges == "claimed" else edges
    if studies < 1 or isinstance(asked, str) or any(not 0 < edge < 1 for edge in asked):
        raise ParameterError(
            f'`studies` must be at least 1 and `edges` "claimed" or in (0, 1), were {studies} and '
            f"{asked if isinstance(asked, str) else list(asked)}"
        )
    check_level("level", level)
    job = _Job(study, candles, markets, score, seed)
    tasks: list[_Task] = [(None, i) for i in range(count)]
    planted: list[_Task] = [(float(edge), i) for edge in asked for i in range(studies)]
    until = math.inf if budget is None else time.monotonic() + budget
    with crew(executor) as team, _Book.open(out, job.identity()) as book:
        real = book.take((None, -1), job)
        total = len(tasks) + (len(planted) if edges != "claimed" else studies + _LOOKS * _TRIES)
        claimed = math.nan
        with reporter(progress, total, "procedure") as report:
            told = None if report is None else (lambda n: report(n, total))
            run = _Run(book, job, until, told, team)
            run.all([*tasks, *planted])
            null = np.array([book.scores[t] for t in tasks if t in book.scores])
            if edges == "claimed" and math.isfinite(real) and len(null):
                claimed = _claimed(run, real, float(np.median(null)))
                if not math.isnan(claimed):
                    planted = [(claimed, i) for i in range(studies)]
                    run.all(planted)
        known: dict[str, Any] = {
            "score": real,
            "null": null,
            "claimed": claimed,
            "failed": int(np.sum(np.isposinf(null))),
            "kind": markets if isinstance(markets, str) else "given",
            "level": level,
            "complete": run.complete,
            "seconds": book.seconds,
            "errors": book.errors[:5],
        }
        power = _power(book, planted, null, level)
    if not math.isfinite(real):
        reason = "the study scores nothing on the real market"
        return undefined(ProcedureTest, reason, **known, power=power)
    if len(null) < _LEAST:
        reason = f"the budget allowed {len(null)} surrogates, {_LEAST} are needed"
        return undefined(ProcedureTest, reason, **known, power=power)
    return ProcedureTest(p=_p(real, null), power=power, **known)


@dataclass
class _Run:
    """Tasks taken one after the other until the time is up."""

    book: _Book
    job: _Job
    until: float
    report: Callable[[int], Any] | None
    team: Crew | None = None
    done: int = 0
    complete: bool = True

    def all(self, tasks: list[_Task]) -> None:
        """Take tasks; those that nobody has time for are left out."""
        if self.team is not None:
            self._spread(tasks, self.team)
            return
        for task in tasks:
            if time.monotonic() > self.until and not self.book.knows(task):
                self.complete = False
                continue
            self.book.take(task, self.job)
            self.done += 1
            if self.report is not None:
                self.report(self.done)

    def _spread(self, tasks: list[_Task], team: Crew) -> None:
        """Take tasks on a cluster: each is written down as it ends, and counted in their order."""
        from barproof.distributed.executor import Task

        asked = [task for task in dict.fromkeys(tasks) if not self.book.knows(task)]
        self._tell(len(tasks) - len(asked))
        shared = team.share(self.job)

        def begun() -> Iterator[Task]:
            for task in asked:
                if time.monotonic() > self.until:
                    self.complete = False
                    return
                yield Task(study_alone, shared, (task,))

        rows: dict[int, dict[str, Any]] = {}
        try:
            for number, row in team.run(begun(), what="procedure test", threads=1):
                rows[number] = row
                self.book.write(row)
                self._tell(1)
        finally:
            for number in sorted(rows):
                self.book.keep(asked[number], rows[number])

    def _tell(self, more: int) -> None:
        self.done += more
        if more and self.report is not None:
            self.report(self.done)

    def median(self, edge: float) -> float:
        """Median score of a few studies on markets with an edge; NaN if the time was up."""
        tasks: list[_Task] = [(edge, i) for i in range(_TRIES)]
        self.all(tasks)
        found = [self.book.scores[t] for t in tasks if t in self.book.scores]
        # A study that failed has found nothing.
        found = [-math.inf if math.isinf(s) else s for s in found]
        return float(np.median(found)) if len(found) == _TRIES else math.nan


def _stamped(row: dict[str, Any]) -> dict[str, Any]:
    """Add the digest by which a row is known to be as it was written."""
    return row | {"sum": _core.digest("procedure row/1", [json.dumps(row, sort_keys=True)])[:16]}


def _sound(line: str) -> dict[str, Any] | None:
    """Row of a line; None where it is not as it was written."""
    try:
        row = json.loads(line)
        told = row.pop("sum")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return row if _stamped(row)["sum"] == told else None


_TRIES = 5
"""Markets by which the score of an edge is known: enough for a median that one failure does not move far."""
_LOOKS = 10
"""Edges that are tried at most: six that double, four halvings of the ratio between neighbours."""


def _claimed(run: _Run, score: float, null: float) -> float:
    """Find the edge whose median study scores so much; NaN if none is needed, or the time was up."""
    if score <= null:
        return math.nan
    low, high = 0.0, 0.03
    while True:
        found = run.median(high)
        if math.isnan(found):
            return math.nan
        if found >= score or high > 0.9:
            break
        low, high = high, min(2 * high, 0.95)
    for _ in range(4):
        middle = math.sqrt(low * high) if low else high / 2
        found = run.median(middle)
        if math.isnan(found):
            return math.nan
        low, high = (low, middle) if found >= score else (middle, high)
    return high


def _p(score: float, null: NDArray[np.float64]) -> float:
    return (1 + int(np.sum(null >= score))) / (1 + len(null))


_Task: TypeAlias = "tuple[float | None, int]"


def _power(
    book: _Book, planted: list[_Task], null: NDArray[np.float64], level: float
) -> pl.DataFrame:
    rows = []
    for edge in dict.fromkeys(edge for edge, _ in planted):
        scores = [book.scores[t] for t in planted if t[0] == edge and t in book.scores]
        # A study that failed has found nothing.
        passed = sum(not math.isinf(s) and _p(s, null) <= level for s in scores)
        interval = clopper_pearson(passed, len(scores))
        rows.append((edge, len(scores), passed, interval.estimate, interval.low, interval.high))
    return pl.DataFrame(rows, schema=_POWER, orient="row")


@dataclass(frozen=True)
class _Job:
    """A study, its markets and its score."""

    study: Study
    candles: Candles
    markets: Kind | Callable[[int], Candles]
    score: Score
    seed: int

    def identity(self) -> dict[str, str]:
        """Say what makes two tests the same; a study is known by its name alone."""
        name = getattr(self.study, "__qualname__", type(self.study).__name__)
        return {
            "candles": self.candles.digest,
            "study": name,
            "markets": self.markets if isinstance(self.markets, str) else "given",
            "score": self.score if isinstance(self.score, str) else "given",
            "seed": str(self.seed),
            "barproof": _core.__version__,
        }

    def market(self, task: _Task) -> Candles:
        """Make the market of a task: the real one, one without an edge, or one with a planted edge."""
        edge, number = task
        if edge is None and number < 0:
            return self.candles
        if callable(self.markets) and edge is None:
            return self.markets(number)
        from barproof.stats import uniforms

        stream = 0 if edge is None else 1 + int(edge * 2**40)
        own = int(uniforms((self.seed + stream) % 2**64, 1, skip=number)[0] * 2.0**53)
        if edge is None:
            return surrogate_candles(self.candles, kind=self.markets, seed=own)  # type: ignore[arg-type]
        return surrogate_candles(self.candles, kind="simulated", seed=own, edge=edge)

    def run(self, task: _Task) -> float:
        """Score the study on the market of a task; -inf where it scores nothing."""
        found = self.study(self.market(task))
        if callable(self.score):
            value = float(self.score(found))
        elif isinstance(found, (int, float)):
            value = float(found)
        else:
            metrics = getattr(found, "metrics", None)
            if metrics is None or self.score not in metrics:
                raise LayoutError(
                    f"the study must give a number or a result with the metric {self.score!r}, gave "
                    f"{type(found).__name__}: give score= a function of it"
                )
            value = float(metrics[self.score])
        return -math.inf if math.isnan(value) else value

    def row(self, task: _Task) -> dict[str, Any]:
        """Run a task, and say what came of it."""
        began, error = time.perf_counter(), ""
        try:
            value = self.run(task)
        except Exception as raised:
            # On the real market an error is the caller's to see, and so is a result without a score.
            if task == (None, -1):
                raise
            value, error = math.inf, f"{type(raised).__name__}: {raised}"
        return {
            "edge": task[0],
            "number": task[1],
            "score": value if math.isfinite(value) else str(value),
            "seconds": time.perf_counter() - began,
            "error": error,
        }


def study_alone(job: _Job, task: _Task) -> dict[str, Any]:
    """Run a task in a worker."""
    return job.row(task)


class _Book:
    """Scores by task, in memory and in a file of JSON lines."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: Any = None
        self.scores: dict[_Task, float] = {}
        self.errors: list[str] = []
        self.seconds = 0.0

    @classmethod
    def open(cls, out: str | os.PathLike[str] | None, identity: dict[str, str]) -> _Book:
        """Read what an earlier run left, or begin a file."""
        book = cls(None if out is None else Path(out))
        if book._path is None:
            return book
        lines: list[str] = []
        if book._path.exists():
            lines = book._path.read_bytes().decode("utf-8", "replace").splitlines()
        try:
            before = dict(json.loads(lines[0])["identity"]) if lines else None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise FileError(
                f"{str(book._path.name)!r} is no file of a procedure test: give out= another name"
            ) from error
        if before is not None and before != identity:
            changed = next(k for k in identity if before.get(k) != identity[k])
            raise FileError(
                f"{book._path.name!r} holds another procedure test: its `{changed}` is {before.get(changed)!r}, "
                f"not {identity[changed]!r}; give out= another name"
            )
        rows = [row for row in map(_sound, lines[1:]) if row is not None]
        for row in rows:
            book.keep((row["edge"], row["number"]), row)
        # A kill may cut the last line short.
        lost = len(lines[1:]) - len(rows) - bool(len(lines) > 1 and _sound(lines[-1]) is None)
        if lost:
            warnings.warn(
                f"{lost:,} studies of {book._path.name!r} are damaged: they are run again",
                DataWarning,
                stacklevel=4,
            )
        try:
            with whole(book._path) as fresh:
                kept = [
                    json.dumps({"identity": identity}),
                    *(json.dumps(_stamped(row)) for row in rows),
                ]
                fresh.write_text("\n".join(kept) + "\n", encoding="utf-8")
            book._file = book._path.open("a", encoding="utf-8")
        except OSError as error:
            raise FileError(
                f"`out` {str(book._path)!r} cannot be written: {error.strerror or error}; choose a folder with room "
                "and write permission"
            ) from error
        return book

    def keep(self, task: _Task, row: dict[str, Any]) -> None:
        """Count a row."""
        self.scores[task] = float(row["score"])
        self.seconds += float(row["seconds"])
        if row["error"]:
            self.errors.append(row["error"])

    def knows(self, task: _Task) -> bool:
        """Whether it was run."""
        return task in self.scores

    def take(self, task: _Task, job: _Job) -> float:
        """Score of a task, run now if it was not."""
        if task in self.scores:
            return self.scores[task]
        row = job.row(task)
        self.keep(task, row)
        self.write(row)
        return self.scores[task]

    def write(self, row: dict[str, Any]) -> None:
        """Append a row to the file, if there is one."""
        if self._file is not None:
            try:
                self._file.write(json.dumps(_stamped(row)) + "\n")
                self._file.flush()
            except OSError as cause:
                raise FileError(
                    f"`out` {str(self._path)!r} cannot be written: {cause.strerror or cause}; make room, then call the "
                    "same test again"
                ) from cause

    def __enter__(self) -> _Book:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            # What could not be written was told.
            with contextlib.suppress(OSError):
                self._file.close()
