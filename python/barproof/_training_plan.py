"""What a training takes: time, memory, and money where a machine has a price."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof._folds import Fold
from barproof._machine import available_bytes, thread_count
from barproof._prepare import (
    COPIES,
    Ready,
    as_parts,
    check_seed,
    fold_list,
    join_features,
    longest_spans,
)
from barproof._run import Part
from barproof._shown import facts_of, shown
from barproof.errors import ParameterError, TrainingError
from barproof.inference import take_columns, usable_windows, window_of
from barproof.labels import Labels
from barproof.models.protocol import Floats, Ints

if TYPE_CHECKING:
    from barproof.models import Model

__all__ = ["TrainingPlan", "plan_training"]

_PROBE_SECONDS = 0.5
_LEAST = 256


@shown(facts_of)
@dataclass(frozen=True)
class TrainingPlan:
    """What a training would take.

    Attributes
    ----------
    folds, parts, trainings : int
        Size of the job; a training is one part in one fold.
    rows : int
        Train rows of all trainings together.
    parameters : int
        Weights of the largest net; 0 where there is none.
    threads : int
        Folds trained at once; nets train one at a time.
    seconds : float
        Estimated wall time at most: early stopping ends sooner.
    memory_bytes, available_bytes : int
        Estimated peak, and what this machine has free.
    device_bytes : int
        Of it what a net holds on its device: weights, gradients, moments, the table and a batch; 0 without nets.
    cost : float or None
        Of the seconds at the price that was given.
    measured : float
        Seconds that the probe took.
    """

    folds: int
    parts: int
    trainings: int
    rows: int
    parameters: int
    threads: int
    seconds: float
    memory_bytes: int
    available_bytes: int
    device_bytes: int
    cost: float | None
    measured: float

    @property
    def fits(self) -> bool:
        """Whether the memory is there."""
        return self.memory_bytes <= self.available_bytes

    def __repr__(self) -> str:
        weights = f", {self.parameters:,} parameters" if self.parameters else ""
        price = "" if self.cost is None else f", costs at most {self.cost:,.2f}"
        return (
            f"TrainingPlan({self.trainings:,} trainings on {self.rows:,} rows{weights}, at most {self.seconds:,.1f} s, "
            f"{self.memory_bytes / 2**20:,.0f} MiB of {self.available_bytes / 2**20:,.0f} free{price})"
        )


def plan_training(
    model: Model | Mapping[str, Part],
    X: Any = None,  # noqa: N803
    labels: Labels | None = None,
    folds: Any = None,
    *,
    features: Sequence[str] | None = None,
    seed: int = 0,
    threads: int | None = None,
    price_per_hour: float | None = None,
) -> TrainingPlan:
    """Estimate what :func:`barproof.train` would take, without training it.

    A copy of each part is fitted on the first train rows of the first fold, on twice as many rows each time until half
    a second is over: what a row more costs, and what is paid once, make the time of all folds. Nets are fitted for one
    epoch, and once for three, which tells what an epoch costs. Choice of features and calibration are not counted.
    Nothing is recorded.

    Parameters
    ----------
    model, X, labels, folds, features, seed, threads
        As for :func:`barproof.train`.
    price_per_hour : float, optional
        Of the machine, in any currency.

    Returns
    -------
    TrainingPlan
        Time, memory and cost.

    Raises
    ------
    TrainingError
        If the first fold has no rows to learn from.
    ParameterError, LayoutError
        As for :func:`barproof.train`, or if the price is none.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=3_000, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, threshold=0.001)
    >>> folds = bp.WalkForward(train=1_000, tune=400, test=400)
    >>> plan = bp.plan_training(bp.models.Logistic(), X, labels, folds, price_per_hour=2.0)
    >>> plan.trainings, plan.fits, plan.cost < 1.0
    (4, True, True)
    """
    parts = as_parts(model, X, labels, None)
    seed = check_seed(seed)
    workers = thread_count(threads)
    if price_per_hour is not None and not 0.0 <= price_per_hour < float("inf"):
        raise ParameterError(f"`price_per_hour` must be at least 0, was {price_per_hour!r}")
    began = time.perf_counter()
    candles = next(iter(parts.values())).labels.candles
    _, values, ready = join_features(parts, candles, features)
    made = fold_list(folds, candles, longest_spans(parts))
    at_once = min(workers, len(made))
    seconds, rows, parameters, device = 0.0, 0, 0, 0
    for name, one in ready.items():
        met = [_rows(fold, one, values) for fold in made]
        if not len(met[0]):
            raise TrainingError(
                f"no train row of fold 0, part `{name}`, is complete and has a label: make train longer than the "
                "features' warm-up"
            )
        fixed, each = _probe(one, values, met[0], seed)
        took = [fixed + each * len(at) for at in met]
        nets = list(_nets(one.part.model))
        # Torch has one generator for the process: nets wait for each other.
        seconds += sum(took) if nets else max(sum(took) / at_once, max(took))
        rows += sum(len(at) for at in met)
        for net in nets:
            weights, needed = _net_bytes(net, len(one.columns), one.part.labels, len(candles))
            parameters, device = max(parameters, weights), max(device, needed)
    most = max(len(fold.train) for fold in made)
    held = sum(len(fold.test) + len(fold.tune) for fold in made)
    memory = values.nbytes + 8 * (COPIES * most * values.shape[1] * at_once + 6 * held) + device
    return TrainingPlan(
        folds=len(made),
        parts=len(parts),
        trainings=len(made) * len(parts),
        rows=rows,
        parameters=parameters,
        threads=at_once,
        seconds=seconds,
        memory_bytes=int(memory),
        available_bytes=available_bytes(),
        device_bytes=int(device),
        cost=None if price_per_hour is None else price_per_hour * seconds / 3_600,
        measured=time.perf_counter() - began,
    )


def _rows(fold: Fold, one: Ready, values: Floats) -> Ints:
    """Train rows of a fold that a part can learn from."""
    window = window_of(one.part.model)
    usable = one.usable
    if window > 1:
        table = take_columns(values, one.columns)
        usable = usable_windows(table, window, allows_nan=one.part.model.allows_nan)
    labelled = fold.train[~np.isnan(one.part.labels.values[fold.train])]
    return labelled[usable[labelled]]


def _probe(one: Ready, values: Floats, rows: Ints, seed: int) -> tuple[float, float]:
    """Seconds of a training, and of each row of it: from fits on more and more rows."""
    model, labels = one.part.model, one.part.labels
    epochs = int(getattr(model, "epochs", 0)) if hasattr(model, "resume") else 0
    table, window = take_columns(values, one.columns), window_of(model)

    def fit(at: Ints, passes: int = 1) -> float:
        """Fit a copy on some rows, and tell the seconds it took."""
        short = model.clone()
        if epochs:
            short = replace(short, epochs=passes, patience=passes, resume=None)  # type: ignore[type-var]
        seen = table[at] if window == 1 else table[: at[-1] + 1]
        began = time.perf_counter()
        short.fit(
            seen,
            labels.values[at],
            kind=labels.kind,
            rows=at,
            ends=labels.end[at],
            seed=seed % 2**32,
        )
        return time.perf_counter() - began

    met: list[tuple[int, float]] = []
    began, size, last = time.perf_counter(), min(_LEAST, len(rows)), rows[:0]
    while True:
        at = rows[:size]
        if labels.kind == "regression" or len(np.unique(labels.values[at])) > 1:
            if not met:
                # Libraries are loaded, and memory is touched, only once.
                fit(at)
            met.append((len(at), fit(at)))
            last = at
        if size == len(rows) or (len(met) > 1 and time.perf_counter() - began > _PROBE_SECONDS):
            break
        size = min(2 * size, len(rows))
    if not met:
        raise TrainingError(
            f"all {len(rows):,} train rows of fold 0 are of one class: make train longer, or the threshold of the "
            "labels smaller"
        )
    (few, quick), (many, slow) = met[0], met[-1]
    if epochs:
        # An epoch more costs what its rows cost; the rest is paid once.
        epoch = max((fit(last, 3) - slow) / 2, 0.0)
        return max(slow - epoch, 0.0), epochs * epoch / many
    if few == many:
        return 0.0, slow / many
    each = max((slow - quick) / (many - few), 0.0)
    return max(slow - each * many, 0.0), each


def _nets(model: Any) -> list[Any]:
    """Nets of torch in a model."""
    if hasattr(model, "module") and hasattr(model, "epochs"):
        return [model]
    inner = [*getattr(model, "models", ()), *([model.model] if hasattr(model, "model") else [])]
    return [net for one in inner for net in _nets(one)]


def _net_bytes(net: Any, features: int, labels: Labels, bars: int) -> tuple[int, int]:
    """Weights of a net, and what its training holds on the device."""
    from barproof.models import _fitting

    classes = (
        1
        if labels.kind == "regression"
        else len(np.unique(labels.values[~np.isnan(labels.values)]))
    )
    weights, batch = _fitting.step_bytes(net, features, max(classes, 1))
    # Weights, the best ones, gradients and two moments; the table, in single precision; a batch and what is kept of it.
    return weights, 5 * 4 * weights + 4 * bars * features + batch
