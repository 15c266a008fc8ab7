"""The door of `train`: parts, features at their bars, folds that share nothing, and memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from barproof._folds import Fold, span_ends
from barproof._machine import available_bytes
from barproof._run import ONLY, SIDES, Part
from barproof.errors import LayoutError, ParameterError, PlanError, ShapeError, TrainingError
from barproof.inference import CLASSES, Flags, read_features, usable_rows
from barproof.labels import Labels
from barproof.labels.sides import direction
from barproof.models.protocol import Floats, Ints

if TYPE_CHECKING:
    from barproof.candles import Candles

_MOST_SEED = 2**63 - 1
# Copies of the train rows that a fit holds at once: as taken, as held out, and as the model keeps them.
COPIES = 4


@dataclass(frozen=True, eq=False)
class Ready:
    """A part at the door: its features at their bars."""

    part: Part
    columns: Ints  # of the run's matrix
    names: tuple[str, ...]
    usable: Flags


def check_seed(seed: object) -> int:
    """Seed of whatever is random."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)):
        raise LayoutError(f"`seed` must be a whole number, was {seed!r}")
    if not 0 <= seed <= _MOST_SEED:
        raise ParameterError(f"`seed` must be from 0 to 2**63 - 1, was {seed}")
    return int(seed)


def plain(what: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Copy of what goes into a manifest, which is plain JSON."""
    try:
        out: dict[str, Any] = json.loads(json.dumps(dict(value), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise LayoutError(
            f"{what} must be a mapping that JSON can hold, was refused: {error}"
        ) from None
    return out


def check_labels(labels: Labels, where: str) -> None:
    """Labels made by hand are looked at: one a bar, of the classes of their kind."""
    n = len(labels.candles)
    if labels.values.shape != (n,):
        raise ShapeError(
            f"`labels`{where} have shape {labels.values.shape}, but their candles {n:,} bars: give one value a bar"
        )
    classes = CLASSES[labels.kind]
    fine = np.isin(labels.values, classes) if classes else np.isfinite(labels.values)
    bad = np.flatnonzero(~fine & ~np.isnan(labels.values))
    if len(bad):
        wanted = " or ".join(str(c) for c in classes) if classes else "finite"
        raise TrainingError(
            f"label{where} of bar {bad[0]} is {labels.values[bad[0]]:g}: {labels.kind} labels are {wanted}, or NaN"
        )


def as_parts(
    model: Any,
    X: Any,  # noqa: N803
    labels: Any,
    select: Any,
) -> dict[str, Part]:
    """Parts by name, checked; one model alone is a part too."""
    if isinstance(model, Mapping):
        if X is not None or labels is not None or select is not None:
            raise ParameterError(
                "parts bring their own `X`, `labels` and `select`: give train(parts, folds=...)"
            )
        if not model:
            raise ParameterError(
                f"there are no parts to train: give at least one of {', '.join(SIDES)}"
            )
        for name, part in model.items():
            if name not in SIDES:
                raise ParameterError(f"unknown part {name!r}; known: {', '.join(SIDES)}")
            if not isinstance(part, Part):
                raise LayoutError(
                    f"part `{name}` must be a Part(model, X, labels), was {type(part).__name__}"
                )
        parts = {name: model[name] for name in SIDES if name in model}
    else:
        if X is None:
            raise LayoutError("`X` is missing: give the table of features")
        parts = {ONLY: Part(model, X, labels, select)}
    for name, part in parts.items():
        where = "" if name == ONLY else f" of part `{name}`"
        lacking = [
            member
            for member in ("name", "params", "allows_nan", "clone", "fit")
            if not hasattr(part.model, member)
        ]
        if lacking or isinstance(part.model, type):
            raise LayoutError(
                f"`model`{where} must be a model, was {part.model!r}: use one of barproof.models, or "
                "models.Sklearn(estimator)"
            )
        if not isinstance(part.labels, Labels):
            raise LayoutError(
                f"`labels`{where} must be Labels, was {type(part.labels).__name__}: see barproof.labels"
            )
        if part.select is not None and not hasattr(part.select, "choose"):
            raise LayoutError(
                f"`select`{where} must choose features, was {part.select!r}: use models.TopK(k)"
            )
        rising = part.labels.rule.get("name") == "horizon" and part.labels.kind == "binary"
        if rising and name in ("short", "exit_long"):
            # Such a part would say the opposite of its name.
            raise TrainingError(
                f"class 1 of binary horizon labels is a rise, but part `{name}` needs the chance of a fall: give it "
                "ternary labels"
            )
        way = "up" if name in ("long", "exit_short") else "down"
        if name != ONLY and direction(part.labels) not in ("", way):
            raise TrainingError(
                f"part `{name}` waits for prices to go {way}, but its labels are of trades that gain when they go the "
                "other way: give it those of its own side"
            )
        check_labels(part.labels, where)
        plain(f"`params` of {part.model.name}", part.model.params)
        plain(f"`rule` of the labels{where}", part.labels.rule)
        if part.select is not None:
            plain(f"`params` of {part.select.name}", part.select.params)
    first, *others = parts.items()
    for name, part in others:
        if part.labels.candles.digest != first[1].labels.candles.digest:
            raise TrainingError(
                f"labels of parts `{first[0]}` and `{name}` are of different candles: make all from the same"
            )
        if (part.labels.kind == "regression") != (first[1].labels.kind == "regression"):
            raise TrainingError(
                f"part `{first[0]}` has {first[1].labels.kind} labels and part `{name}` {part.labels.kind} ones: "
                "signals are all probabilities or all scores"
            )
    return parts


def join_features(
    parts: dict[str, Part], candles: Candles, wanted: Sequence[str] | None
) -> tuple[tuple[str, ...], Floats, dict[str, Ready]]:
    """One matrix for all parts, one row a bar, and the columns of each part."""
    if isinstance(wanted, str):
        raise LayoutError(f"`features` must be a list of columns, was the text {wanted!r}")
    if wanted is not None and len(set(wanted)) < len(list(wanted)):
        twice = next(name for name in wanted if list(wanted).count(name) > 1)
        raise ParameterError(f"`features` names `{twice}` twice: name each column once")
    read: dict[int, tuple[tuple[str, ...], Floats]] = {}
    at: dict[str, int] = {}
    columns: list[Floats] = []
    taken: dict[str, tuple[str, ...]] = {}
    for part_name, part in parts.items():
        if id(part.X) not in read:
            table = read_features(part.X, wanted)
            read[id(part.X)] = table.names, table.onto(candles)
        names, values = read[id(part.X)]
        taken[part_name] = names
        for j, name in enumerate(names):
            if name not in at:
                at[name] = len(columns)
                columns.append(values[:, j])
            elif not np.array_equal(columns[at[name]], values[:, j], equal_nan=True):
                raise TrainingError(
                    f"feature `{name}` of part `{part_name}` has other values than in the part before: give it another "
                    "name"
                )
    only = next(iter(read.values()))
    # One table, which is the rule, is used as it is.
    values = only[1] if len(read) == 1 else np.ascontiguousarray(np.column_stack(columns))
    ready = {}
    for name, part in parts.items():
        chosen = np.array([at[column] for column in taken[name]], dtype=np.int64)
        usable = usable_rows(values[:, chosen], allows_nan=part.model.allows_nan)
        ready[name] = Ready(part, chosen, taken[name], usable)
    return tuple(at), values, ready


def longest_spans(parts: dict[str, Part]) -> tuple[Ints, Ints]:
    """First bar of the first part's labels, last bar of the longest of all."""
    n = len(next(iter(parts.values())).labels)
    ends = np.max([span_ends(part.labels, n) for part in parts.values()], axis=0)
    starts = np.min([part.labels.start for part in parts.values()], axis=0)
    return np.where(starts < 0, ends, starts), ends


def fold_list(folds: Any, candles: Candles, spans: tuple[Ints, Ints]) -> list[Fold]:
    """Folds of a splitter or as given, checked against the candles."""
    if hasattr(folds, "folds"):
        made: list[Fold] = folds.folds(candles, spans)
        return made
    if not isinstance(folds, Sequence) or not all(isinstance(fold, Fold) for fold in folds):
        raise LayoutError(
            f"`folds` must be a splitter or a list of Fold, was {type(folds).__name__}: use "
            'WalkForward(train="60d", tune="10d", test="5d")'
        )
    if not folds:
        raise ParameterError("`folds` is an empty list: there is nothing to train")
    for i, fold in enumerate(folds):
        if not len(fold.train) or not len(fold.test):
            raise TrainingError(f"fold {i} has no train or no test rows: leave it out")
        last = max(int(rows[-1]) for rows in (fold.train, fold.tune, fold.test) if len(rows))
        if last >= len(candles):
            raise TrainingError(
                f"row {last} of fold {i} lies beyond the {len(candles):,} bars of the labels' candles: make the folds "
                "from the same candles"
            )
    return [purged(i, fold, spans[1]) for i, fold in enumerate(folds)]


def purged(number: int, fold: Fold, ends: Ints) -> Fold:
    """Drop rows of a given fold whose labels share a bar with those of a later purpose; itself if there are none.

    Bars of a row run from the row itself, where its features are known, to the last one of its label. Train rows yield
    to tune and test, tune to test, calibration to choice. Parts need not be in order: train rows after a test part
    yield to the labels that reach them.
    """

    def free(rows: Ints, judges: Ints) -> Ints:
        if not len(rows) or not len(judges):
            return rows
        last = int(max(ends[rows].max(), ends[judges].max(), rows[-1], judges[-1]))
        edges = np.zeros(last + 2, dtype=np.int64)
        np.add.at(edges, judges, 1)
        np.add.at(edges, np.maximum(ends[judges], judges) + 1, -1)
        met = np.concatenate([[0], np.cumsum(np.cumsum(edges) > 0)])
        kept: Ints = rows[met[np.maximum(ends[rows], rows) + 1] == met[rows]]
        return kept

    train = free(fold.train, np.union1d(fold.tune, fold.test))
    tune = free(fold.tune, fold.test)
    same = len(tune) == len(fold.tune)
    half = len(tune) // 2
    calibrate = fold.tune_calibrate if same else np.intersect1d(fold.tune_calibrate, tune[:half])
    calibrate = free(calibrate, tune[half:])
    if not len(train):
        raise TrainingError(
            f"no train row of fold {number} is left: the labels of all {len(fold.train):,} reach tune or test rows; "
            "make train longer or the labels shorter"
        )
    if same and len(train) == len(fold.train) and len(calibrate) == len(fold.tune_calibrate):
        return fold
    dropped = len(fold.train) - len(train) + len(fold.tune) - len(tune)
    dropped += len(fold.tune_calibrate) - len(calibrate)
    return Fold(fold.number, train, tune, fold.test, calibrate, (fold.purged or 0) + dropped)


def check_memory(folds: list[Fold], values: Floats, workers: int) -> None:
    """Refuse a job whose copies of the largest train part would not fit."""
    rows = max(len(fold.train) for fold in folds)
    held = sum(len(fold.test) + len(fold.tune) for fold in folds)
    need = 8 * (COPIES * rows * values.shape[1] * min(workers, len(folds)) + 6 * held)
    free = available_bytes()
    if need > free:
        raise PlanError(
            f"{rows:,} train rows x {values.shape[1]:,} features in {min(workers, len(folds))} folds at once need "
            f"about {need:,} bytes, {free:,} are free: take fewer threads, features or rows"
        )
