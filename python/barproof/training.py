"""`train`: a model a fold, on train rows only, calibrated on the first half of the tune rows.

Purposes of rows, none of which serves two in a fold: train rows choose features, the number of trees and the weights;
`tune_calibrate` rows calibrate; `tune_choose` rows are left for rules, test rows for judgement: their labels are
never looked at here.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof import _core
from barproof._calibration import METHODS, apply_calibration, fit_calibration
from barproof._executors import Executor, crew
from barproof._folds import Fold, rows_digest
from barproof._machine import thread_count
from barproof._prepare import (
    Ready,
    as_parts,
    check_memory,
    check_seed,
    fold_list,
    join_features,
    longest_spans,
    plain,
)
from barproof._progress import Progress, reporter
from barproof._run import ONLY, SIDES, FoldOutput, Part, Run
from barproof._scores import class_scores, return_scores
from barproof.bundle import Bundle, FittedPart, plain_number
from barproof.candles.table import show_time
from barproof.errors import Interrupted, LayoutError, ParameterError, TrainingError
from barproof.inference import (
    CLASSES,
    Flags,
    features_digest,
    take_columns,
    usable_rows,
    usable_windows,
    values_digest,
    window_of,
)
from barproof.labels import Labels
from barproof.ledger import Recorded, door, enter
from barproof.models._watch import Epoch, Watch, watched
from barproof.models.protocol import Floats, Ints
from barproof.models.select import check_choice

if TYPE_CHECKING:
    from barproof.candles import Candles
    from barproof.models import Model, Selector

__all__ = ["Part", "Run", "train"]

_PROBE_ROWS = 32


@dataclass(frozen=True, eq=False)
class Job:
    """What every fold needs to know."""

    candles: Candles
    folds: list[Fold]
    names: tuple[str, ...]
    values: Floats
    parts: dict[str, Ready]
    seed: int
    calibrate: str | None
    facts: dict[str, str]
    watch: Watch | None


def train(
    model: Model | Mapping[str, Part],
    X: Any = None,  # noqa: N803
    labels: Labels | None = None,
    folds: Any = None,
    *,
    seed: int = 0,
    select: Selector | None = None,
    calibrate: str | None = "temperature",
    features: Sequence[str] | None = None,
    ledger: Recorded = None,
    threads: int | None = None,
    progress: bool | Progress | None = None,
    watch: Watch | None = None,
    executor: Executor = None,
) -> Run:
    """Train a model in every fold, and predict the rows that it has not seen.

    Rows of `X` meet bars by `open_time`; bars without a row have no features. In each fold the model learns from train
    rows with a label and with features (all of them, or one for models that allow NaN). Folds run in parallel, each on
    one thread, so that results are the same bits for any number of threads.

    Parameters
    ----------
    model : Model, or mapping of str to Part
        One model for both sides, or parts named `long`, `short`, `exit_long`, `exit_short`, each with its own `X` and
        labels of the same candles.
    X : frame or mapping
        `open_time` and a float column a feature, as from ``FeatureSet.compute``; a table of your own is welcome, if
        what stands at a bar was known at its close.
    labels : Labels
        What is to be foreseen.
    folds : splitter or sequence of Fold
        A splitter is asked for folds purged by the labels' spans; given folds are purged here. Several parts are
        purged by the longest reach of each row.
    seed : int, default 0
        Of whatever is random, from 0 to 2**63 - 1; each fold and part draws its own from it.
    select : Selector, optional
        Chooses features by the train rows of each fold, such as ``models.TopK(8)``.
    calibrate : {"temperature", "isotonic", "platt"}, optional
        How probabilities are calibrated on the first half of the tune rows. None leaves them as they are; so do folds
        without such rows of two classes, and their manifest says so. Returns are not calibrated.
    features : sequence of str, optional
        Columns to take. Default: all but `open_time`.
    ledger : Ledger, str, Path or bool, optional
        Where the run is counted, one trial a part; see :class:`barproof.Ledger`. Default: the project's ledger, if
        there is a project; False leaves it unrecorded, and its provenance says so.
    threads : int, optional
        Folds trained at once. Default: ``BARPROOF_THREADS``, else every core.
    progress : bool or callable, optional
        A bar with the time left on stderr, or a function of (done, total) folds. Default: a bar if stderr is a
        terminal. Behind it stands what the net under way tells: loss, metric, rows a second, time left, memory.
    watch : callable, optional
        Called with an :class:`barproof.models.Epoch` after every epoch of every net, in the thread that trains; what it
        raises ends the training.
    executor : {"local", "ray"} or RayExecutor, optional
        Where folds are trained: threads of this process by default, or the workers of a Ray cluster, a fold on one
        processor each, to the same bits. Epochs are then not told, so that `watch` is refused.

    Returns
    -------
    Run
        Bundles, predictions and signals.

    Raises
    ------
    TrainingError
        If a fold has too little to learn from (one class, no complete row, a feature without a value), labels are of
        other candles, or a model's output is none.
    ParameterError, LayoutError, WindowError, ShapeError
        If an argument is out of bounds or of the wrong type.
    PlanError
        If the features would not fit into memory.
    Interrupted
        On Ctrl-C, a ``KeyboardInterrupt`` whose `partial` holds the folds that were finished.
    LedgerError
        If the ledger cannot be written; after the run its `result` holds the run.
    ClusterError
        If the cluster cannot be used, or no worker survives a fold.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=3_000, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, threshold=0.001)
    >>> folds = bp.WalkForward(train=1_000, tune=400, test=400)
    >>> run = bp.train(bp.models.Logistic(), X, labels, folds, seed=7, ledger=False)
    >>> len(run.bundles), run.signals()
    (4, Signals(long, short, 3,000 bars, probability))
    """
    parts = as_parts(model, X, labels, select)
    seed = check_seed(seed)
    if calibrate is not None and calibrate not in METHODS:
        raise ParameterError(f"`calibrate` must be {', '.join(METHODS)} or None, was {calibrate!r}")
    workers = thread_count(threads)
    candles = next(iter(parts.values())).labels.candles
    names, values, ready = join_features(parts, candles, features)
    spans = longest_spans(parts)
    made = fold_list(folds, candles, spans)
    check_memory(made, values, workers)
    if watch is not None and not callable(watch):
        raise LayoutError(f"`watch` must be a function of an Epoch, was {watch!r}")
    if watch is not None and executor not in (None, "local"):
        raise ParameterError(
            "`watch` is called in the process that trains, which is a worker of the cluster: leave it out, or train "
            "without `executor`"
        )
    book = door(ledger)
    shown = reporter(progress, len(made), "train")

    def listen(epoch: Epoch) -> None:
        shown.note(str(epoch))
        if watch is not None:
            watch(epoch)

    began = time.perf_counter()
    job = Job(
        candles,
        made,
        names,
        values,
        ready,
        seed,
        calibrate,
        {"features_values": values_digest(names, values)},
        listen,
    )
    with crew(executor) as team, shown as report:
        if team is None:
            results, stopped = _run_folds(job, workers, report)
        else:
            from barproof.distributed.training import spread_folds

            results, stopped = spread_folds(job, team, report)
    done = [i for i, result in enumerate(results) if result is not None]
    found = None
    if done:
        kept = [result for result in results if result is not None]
        found = Run(
            candles,
            [made[i] for i in done],
            parts,
            (names, values),
            [bundle for bundle, _ in kept],
            [output for _, output in kept],
            seed=seed,
            seconds=time.perf_counter() - began,
            complete=len(done) == len(made),
            provenance=_provenance(job, [made[i] for i in done], [b for b, _ in kept]),
        )
        # Folds of one configuration are one trial: nothing is chosen between them.
        enter(
            book,
            "train",
            found,
            None,
            trials=len(parts),
            seconds=found.seconds,
            seed=seed,
        )
    if stopped:
        raise Interrupted(
            f"interrupted after {len(done):,} of {len(made):,} folds; `partial` of this exception holds them",
            len(done),
            len(made),
            found,
        )
    assert found is not None
    return found


Outcome = tuple[Bundle, dict[str, FoldOutput]]


def _run_folds(
    job: Job, workers: int, report: Progress | None
) -> tuple[list[Outcome | None], bool]:
    """Train every fold; on Ctrl-C those that run are finished, the others left out."""
    results: list[Outcome | None] = [None] * len(job.folds)
    stopped = False

    def work(number: int) -> Outcome:
        with one_thread("openmp"):
            return train_fold(job, number)

    with one_thread("blas"):
        pool = ThreadPoolExecutor(min(workers, len(job.folds)), "barproof-train")
        tasks: list[Future[Outcome]] = []
        try:
            tasks += [pool.submit(work, i) for i in range(len(job.folds))]
            left = set(tasks)
            while left and not any(_failed(task) for task in tasks):
                ready, left = wait(left, timeout=0.1, return_when=FIRST_COMPLETED)
                if ready and report is not None:
                    report(len(job.folds) - len(left), len(job.folds))
        except KeyboardInterrupt:
            stopped = True
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    ended = [task.done() and not task.cancelled() for task in tasks]
    for number, task in enumerate(tasks):
        # Folds start in order: the first that failed is the same for any number of threads.
        if ended[number] and not (stopped and _failed(task)):
            results[number] = task.result()
    return results, stopped


def one_thread(of: str) -> Any:
    """Keep a library to one thread: sums over threads depend on how many there are.

    OpenMP keeps its limit a thread, BLAS one for all.
    """
    # Loaded first, so that the limits know its libraries.
    import sklearn.ensemble
    import sklearn.linear_model  # noqa: F401
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api=of)


def _failed(task: Future[Outcome]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is not None


def train_fold(job: Job, number: int) -> Outcome:
    """Fit and judge every part on one fold; its bundle, and what it said before calibration."""
    fold = job.folds[number]
    fitted: dict[str, FittedPart] = {}
    outputs: dict[str, FoldOutput] = {}
    for name, ready in job.parts.items():
        part = _train_part(job, number, name, ready)
        table = _columns_of(job, part.features)
        raw = {
            purpose: part.predict(table, calibrated=False, rows=rows)
            for purpose, rows in (("test", fold.test), ("tune", fold.tune_choose))
        }
        outputs[name] = FoldOutput(raw["test"], raw["tune"])
        fitted[name] = _judged(part, ready.part.labels, fold.test, raw["test"])
    needed = {feature for part in fitted.values() for feature in part.features}
    features = tuple(name for name in job.names if name in needed)
    manifest = _manifest(job, number, fitted, features)
    most = max(part.window for part in fitted.values())
    return Bundle(fitted, features, manifest, probe=_probe(job, fold, features, most)), outputs


def _columns_of(job: Job, features: tuple[str, ...]) -> Floats:
    """Table of these features, one row a bar; the run's own where it has no others."""
    return take_columns(job.values, np.array([job.names.index(name) for name in features]))


def _probe(job: Job, fold: Fold, features: tuple[str, ...], window: int) -> Floats:
    """Rows that a bundle is checked by when it is loaded: spread over train and test, whole ones first.

    For a model with a window: the bars up to some test rows.
    """
    if window > 1:
        last = int(fold.test[min(len(fold.test), _PROBE_ROWS) - 1])
        table = _columns_of(job, features)
        return np.ascontiguousarray(table[max(int(fold.test[0]) - window + 1, 0) : last + 1])
    columns = np.array([job.names.index(name) for name in features], dtype=np.int64)
    rows = []
    for purpose in (fold.train, fold.test):
        whole = purpose[usable_rows(job.values[np.ix_(purpose, columns)], allows_nan=False)]
        offered = whole if len(whole) else purpose
        rows.append(offered[np.linspace(0, len(offered) - 1, _PROBE_ROWS // 2).astype(np.int64)])
    return np.ascontiguousarray(job.values[np.ix_(np.concatenate(rows), columns)])


def _train_part(job: Job, number: int, name: str, ready: Ready) -> FittedPart:
    """Fit one part on the labelled train rows of a fold, its features chosen there, and calibrate it."""
    fold, part, kind = job.folds[number], ready.part, ready.part.labels.kind
    values, ends = part.labels.values, part.labels.end
    where = f"fold {number}" if name == ONLY else f"fold {number}, part `{name}`"
    labelled = fold.train[~np.isnan(values[fold.train])]
    if not len(labelled):
        raise TrainingError(
            f"no train row of {where} has a label: {len(fold.train):,} rows, all undefined"
        )
    empty = np.flatnonzero(np.all(np.isnan(job.values[np.ix_(labelled, ready.columns)]), axis=0))
    if len(empty):
        raise TrainingError(
            f"feature `{ready.names[empty[0]]}` has no value in the {len(labelled):,} train rows of {where}: make "
            "train longer than its warm-up, start later, or leave it out"
        )
    columns = ready.columns
    rows, met = _learnable(labelled, ready.usable, part.labels, len(columns), where)
    selection: dict[str, Any] | None = None
    if part.select is not None:
        chosen = part.select.choose(job.values[np.ix_(rows, columns)], values[rows], kind=kind)
        columns = columns[check_choice(part.select.name, chosen, len(columns))]
        selection = {
            "name": part.select.name,
            "params": dict(part.select.params),
            "offered": list(ready.names),
        }
        # With fewer features other rows are complete.
        usable = usable_rows(job.values[:, columns], allows_nan=part.model.allows_nan)
        rows, met = _learnable(labelled, usable, part.labels, len(columns), where)
    window = window_of(part.model)
    if window > 1:
        table = take_columns(job.values, columns)
        whole = usable_windows(table, window, allows_nan=part.model.allows_nan)
        if not whole[labelled].any():
            raise TrainingError(
                f"no train row of {where} has a whole window of {window:,} bars: {len(rows):,} rows have label and "
                f"features, and the last is bar {int(rows[-1]):,}; make train longer, or the window shorter"
            )
        rows, met = _learnable(labelled, whole, part.labels, len(columns), where)
    y = values[rows]
    model = part.model.clone()
    stream = np.random.SeedSequence([job.seed, number, (ONLY, *SIDES).index(name)])
    # A window reaches back to earlier bars, and never beyond the last train row.
    seen = (
        job.values[np.ix_(rows, columns)]
        if window == 1
        else take_columns(job.values, columns)[: rows[-1] + 1]
    )
    with watched(job.watch, where):
        model.fit(
            seen,
            y,
            kind=kind,
            rows=rows,
            ends=ends[rows],
            seed=int(stream.generate_state(1)[0]),
        )
    features = tuple(job.names[c] for c in columns)
    bare = FittedPart(model, kind, features, met, {"method": None, "reason": "not yet"})
    calibration = _calibrated(job, bare, part.labels, fold.tune_calibrate, columns)
    facts = {
        "model": {
            "name": model.name,
            "params": dict(model.params),
            "digest": model_digest(part.model),
            "fit": plain(f"`facts` of {model.name}", getattr(model, "facts", {})),
        },
        "kind": kind,
        "classes": list(CLASSES[kind]),
        "classes_met": list(met),
        "label": {"rule": dict(part.labels.rule), "digest": part.labels.digest},
        "features": list(features),
        "features_digest": features_digest(features),
        "selection": selection,
        "calibration": calibration,
        "train_rows": {
            "n": len(rows),
            "digest": rows_digest(rows),
            "shares": {str(c): float(np.mean(y == c)) for c in met},
        },
        "seed": int(stream.generate_state(1)[0]),
    }
    return FittedPart(model, kind, features, met, calibration, facts)


def _learnable(
    labelled: Ints, usable: Flags, labels: Labels, features: int, where: str
) -> tuple[Ints, tuple[int, ...]]:
    """Train rows that a model can use, and their classes."""
    rows = labelled[usable[labelled]]
    if not len(rows):
        raise TrainingError(
            f"no train row of {where} is complete: in each of {len(labelled):,} rows one of {features} features is "
            "NaN; make train longer than their warm-up, or leave features out"
        )
    if labels.kind == "regression":
        return rows, ()
    met = tuple(int(c) for c in np.unique(labels.values[rows]))
    if len(met) < 2:
        raise TrainingError(
            f"all {len(rows):,} train rows of {where} are of class {met[0]}: make train longer, or the threshold of "
            "the labels smaller"
        )
    return rows, met


def _calibrated(
    job: Job, part: FittedPart, labels: Labels, rows: Ints, columns: Ints
) -> dict[str, Any]:
    """Fit the calibration on tune rows; where it cannot be, why."""
    if job.calibrate is None:
        return {"method": None, "reason": "calibrate=None"}
    if part.kind == "regression":
        return {"method": None, "reason": "returns are not calibrated"}
    if not len(rows):
        return {"method": None, "reason": "there are no tune rows to calibrate on"}
    p = part.predict(take_columns(job.values, columns), calibrated=False, rows=rows)
    known = ~np.isnan(labels.values[rows]) & ~np.isnan(p[:, 0])
    classes = labels.values[rows][known]
    usable = np.isin(classes, part.met)
    found = np.unique(classes[usable])
    if len(found) < 2:
        return {
            "method": None,
            "reason": f"{int(usable.sum())} tune rows to calibrate on, of {len(found)} class",
        }
    y = np.searchsorted(part.classes, classes)
    met = [part.classes.index(c) for c in part.met]
    fitted = fit_calibration(job.calibrate, p[known], y, met)
    return fitted | {"rows": rows_digest(rows[known][usable])}


def _judged(part: FittedPart, labels: Labels, rows: Ints, raw: Floats) -> FittedPart:
    """Add the scores on test rows; nothing is chosen by them."""
    found = apply_calibration(part.calibration, raw)
    known = ~np.isnan(labels.values[rows]) & ~np.isnan(found[:, 0])
    y = labels.values[rows][known]
    metrics: dict[str, Any] = {"n": len(y)}
    if part.kind == "regression":
        scores = return_scores(found[known, 0], y) if len(y) else []
    else:
        several = len(np.unique(y)) > 1
        at = np.searchsorted(part.classes, y)
        scores = class_scores(found[known], at, part.classes) if several else []
        metrics["classes"] = {str(c): int(np.count_nonzero(y == c)) for c in part.classes}
    for score in scores:
        metrics[score.name] = {
            "value": plain_number(score.value(len(y))),
            "baseline": plain_number(score.baseline),
        }
    if not scores:
        metrics["reason"] = "the test rows with label and prediction are of one class, or none"
    facts = part.facts | {
        "test": metrics,
        "predictions_digest": values_digest([str(c) for c in part.classes], found),
    }
    return FittedPart(part.model, part.kind, part.features, part.met, part.calibration, facts)


def model_digest(model: Model) -> str:
    """Identity of a configuration: its name and params."""
    return _core.digest(
        "model/1", [model.name, json.dumps(dict(model.params), sort_keys=True, default=repr)]
    )


def _manifest(
    job: Job, number: int, parts: dict[str, FittedPart], features: tuple[str, ...]
) -> dict[str, Any]:
    """Write what a bundle says of itself: rows, data, features, labels, parts."""
    fold, open_time = job.folds[number], job.candles.open_time
    rows = {
        "train": fold.train,
        "tune_calibrate": fold.tune_calibrate,
        "tune_choose": fold.tune_choose,
        "test": fold.test,
    }
    digests = fold.rows_digest
    return {
        "format": "bundle/1",
        "fold": number,
        "features": list(features),
        "features_digest": features_digest(features),
        "offered": list(job.names),
        "data": {
            "candles": job.candles.digest,
            "symbol": job.candles.symbol,
            "interval": job.candles.interval,
            **job.facts,
        },
        "rows": {
            purpose: {
                "digest": digests[purpose],
                "n": len(at),
                # Opening times of the first and the last bar, milliseconds UTC.
                "from": int(open_time[at[0]]) if len(at) else None,
                "to": int(open_time[at[-1]]) if len(at) else None,
                "shown": f"{show_time(open_time[at[0]])} to {show_time(open_time[at[-1]])}"
                if len(at)
                else "",
            }
            for purpose, at in rows.items()
        },
        "purged": fold.purged,
        "parts": {name: part.facts for name, part in parts.items()},
        "seed": job.seed,
        "versions": _versions(),
    }


def _versions() -> dict[str, str]:
    found = {"barproof": _core.__version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _provenance(job: Job, folds: list[Fold], bundles: list[Bundle]) -> dict[str, str]:
    """Digests and settings of a run; texts of several parts as JSON by name."""
    parts = job.parts.items()
    first = min(int(fold.test[0]) for fold in folds)
    last = max(int(fold.test[-1]) for fold in folds)
    told = [digest for fold in folds for digest in fold.rows_digest.values()]
    single = len(job.parts) == 1 and ONLY in job.parts

    def each(value: dict[str, str]) -> str:
        return value[ONLY] if single else json.dumps(value)

    return {
        "barproof": _core.__version__,
        "candles": job.candles.digest,
        "features": features_digest(job.names),
        "features_values": job.facts["features_values"],
        "labels": each({name: ready.part.labels.digest for name, ready in parts}),
        "model": each({name: repr(ready.part.model) for name, ready in parts}),
        "model_digest": each({name: model_digest(ready.part.model) for name, ready in parts}),
        "select": each({name: repr(ready.part.select) for name, ready in parts}),
        "calibrate": str(job.calibrate),
        "folds": _core.digest("folds/1", told),
        "windows": f"{len(folds)} within bars {first}..{last + 1}",
        "bundles": _core.digest("bundles/1", [bundle.digest for bundle in bundles]),
        "seed": str(job.seed),
    }
