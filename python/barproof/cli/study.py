"""From options and ``barproof.toml`` to features, labels, models and folds. Options win over the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import polars as pl

from barproof import labels as label_makers
from barproof.candles import Candles
from barproof.candles.columns import times
from barproof.candles.sources import load
from barproof.cli.config import MODELS, PARAMS, Config
from barproof.errors import ConfigError, LayoutError
from barproof.features import FeatureSet
from barproof.labels import Labels
from barproof.models import Model, TopK
from barproof.splits import WalkForward
from barproof.training import Run
from barproof.training import train as train_models

__all__ = [
    "Study",
    "feature_table",
    "features_of",
    "folds_of",
    "label_rule",
    "labels_text",
    "make_labels",
    "model_of",
    "read_table",
    "study_of",
    "table_of",
    "train_study",
]

CALIBRATE = ("temperature", "isotonic", "platt", "none")
KINDS = ("regression", "binary", "ternary")
CLOCKS = ("open", "close")


def features_of(
    config: Config, texts: Sequence[str] | None, preset: str | None = None
) -> FeatureSet | None:
    """Set of the features that are told, those of a preset first; None if none are."""
    if texts or preset is not None:
        names = list(texts or ())
    else:
        names, preset = list(config.features.names), config.features.preset
    if preset is not None:
        names = [*FeatureSet.preset(preset), *names]
    return FeatureSet(names) if names else None


def table_of(config: Config, path: Path | None) -> Path | None:
    """File with features of the user's own."""
    return path or config.features.source


def read_table(path: Path, name: str, time: str = "open_time") -> pl.DataFrame:
    """Read a table with opening times; whole numbers and flags become floats.

    Parameters
    ----------
    path : Path
        Parquet, Feather or CSV.
    name : str
        What it holds, for messages.
    time : str, default "open_time"
        Column of the times, which is called `open_time` in what comes back.

    Returns
    -------
    polars.DataFrame
        As in the file.

    Raises
    ------
    ConfigError
        If there is no such column.
    FileError
        If the file cannot be read.
    """
    frame, _ = load(path, name=name)
    if time not in frame.columns:
        raise ConfigError(
            f"{name} {path.name!r} have no column `{time}`, but {', '.join(frame.columns)}: name the bars' opening "
            "times so"
        )
    if not isinstance(frame[time].dtype, (pl.Datetime, pl.Date)):
        # Text and epochs in other units are read as in candles.
        frame = frame.with_columns(pl.Series(time, times(frame[time], time)))
    whole = [
        column
        for column, dtype in frame.schema.items()
        if column != time and (dtype.is_integer() or dtype == pl.Boolean)
    ]
    return frame.with_columns(pl.col(whole).cast(pl.Float64)).rename({time: "open_time"})


def feature_table(
    candles: Candles, features: FeatureSet | None, own: Path | None, threads: int | None = None
) -> pl.DataFrame | None:
    """Features of every bar: what is computed, and the columns of a table beside it.

    Parameters
    ----------
    candles : Candles
        Bars.
    features : FeatureSet, optional
        To compute.
    own : Path, optional
        Table to join by opening time; bars that it lacks are NaN.
    threads : int, optional
        Default: ``BARPROOF_THREADS``, else every core.

    Returns
    -------
    polars.DataFrame or None
        `open_time` and the features; None if there are neither.

    Raises
    ------
    ConfigError
        If a column of the table is called like a feature.
    LayoutError, ParameterError
        If the table cannot be joined to the candles.
    """
    computed = None if features is None else features.compute(candles, threads=threads)
    if own is None:
        return computed
    from barproof.inference import read_features

    frame = read_table(own, "features")
    twice = [name for name in frame.columns if features is not None and name in features.names]
    if twice:
        raise ConfigError(
            f"column `{twice[0]}` of {own.name!r} is called like a feature that is computed: rename one"
        )
    table = read_features(frame)
    columns = pl.DataFrame(table.onto(candles), schema=list(table.names), orient="row")
    if computed is None:
        return candles.to_polars().select("open_time").hstack(columns)
    return computed.hstack(columns)


def label_rule(
    config: Config,
    bars: int | None,
    threshold: float | None,
    kind: str | None,
    clock: str | None,
) -> dict[str, Any]:
    """Join ``[labels]`` and the label options: arguments of :func:`barproof.labels.horizon`."""
    section = config.labels
    length = section.bars if bars is None else bars
    if length is None:
        raise ConfigError(
            "the horizon of the labels is missing: give `--label-bars` 12, or set `bars` in [labels] of barproof.toml"
        )
    for option, value, known in (("--label-kind", kind, KINDS), ("--label-clock", clock, CLOCKS)):
        if value is not None and value not in known:
            raise ConfigError(f"`{option}` must be one of {', '.join(known)}, was {value!r}")
    return {
        "bars": length,
        "threshold": section.threshold if threshold is None else threshold,
        "kind": kind or section.kind,
        "clock": clock or section.clock,
    }


def make_labels(candles: Candles, rule: dict[str, Any]) -> Labels:
    """Labels by a rule of :func:`label_rule`."""
    return label_makers.horizon(candles, **rule)


def labels_text(labels: Labels) -> str:
    """Say the rule of labels in one line."""
    rule = labels.rule
    if rule["name"] != "horizon":
        told = ", ".join(f"{name} {value}" for name, value in rule.items() if name != "name")
        return f"{labels.kind}: {rule['name']}, {told}"
    beyond = f", moves beyond {rule['threshold']:.10g} count" if rule["threshold"] else ""
    ends = {
        "open": f"from the next open to the open {rule['bars']} bars on",
        "close": f"from the close to the close {rule['bars']} bars on",
    }
    return f"{labels.kind}: return {ends[rule['clock']]}{beyond}"


def model_of(config: Config, name: str | None, params: Sequence[str] | None) -> Model:
    """Join ``[model]`` and the model options; parameters of the file belong to the file's model."""
    section = config.model
    chosen = name or section.name
    if chosen not in MODELS:
        near = get_close_matches(chosen, list(MODELS), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ConfigError(f"`--model` must be one of {', '.join(MODELS)}, was {chosen!r}{hint}")
    given = dict(section.params) if chosen == section.name else {}
    known = PARAMS[chosen]
    for text in params or ():
        key, sign, value = text.partition("=")
        if not sign or not value.strip():
            raise ConfigError(f"`--param {text}` must read NAME=VALUE, such as {known[0]}=1")
        if key not in known:
            near = get_close_matches(key, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(f"`--param {text}` names no parameter of {chosen}; {hint}")
        # Widths of layers, such as 64,32.
        given[key] = (
            tuple(_value(word.strip()) for word in value.split(",") if word.strip())
            if "," in value
            else _value(value.strip())
        )
    model: Model = MODELS[chosen](**given)
    return model


def _value(word: str) -> Any:
    """Read a parameter: number, flag or none; the model refuses what it cannot use."""
    plain = {"true": True, "false": False, "none": None}
    if word.lower() in plain:
        return plain[word.lower()]
    for number in (int, float):
        try:
            return number(word)
        except ValueError:
            continue
    return word


def folds_of(
    config: Config,
    train: str | None,
    tune: str | None,
    test: str | None,
    step: str | None,
    gap: str | None,
    anchored: bool | None,
) -> WalkForward:
    """Join ``[folds]`` and the fold options.

    Raises
    ------
    ConfigError
        If train or test are told nowhere, or test parts would share bars.
    ParameterError
        If a length is none.
    """
    section = config.folds
    told: dict[str, Any] = {
        name: getattr(section, name) if text is None else _value(text)
        for name, text in (
            ("train", train),
            ("tune", tune),
            ("test", test),
            ("step", step),
            ("gap", gap),
        )
    }
    if told["train"] is None or told["test"] is None:
        lacking = "train" if told["train"] is None else "test"
        raise ConfigError(
            f"the folds are missing `{lacking}`: give `--train` 60d `--tune` 10d `--test` 5d, or [folds] in "
            "barproof.toml"
        )
    # `none` on the command line takes a length of the file away.
    given = {name: value for name, value in told.items() if value is not None}
    try:
        splitter = WalkForward(**given, anchored=section.anchored if anchored is None else anchored)
    except LayoutError as error:
        raise ConfigError(f"the folds are refused: {error}") from None
    if splitter.overlapping:
        raise ConfigError(
            f"`step` {splitter.step!r} is shorter than `test` {splitter.test!r}: test parts would share bars, and a "
            "bar has one prediction; make `step` as long"
        )
    return splitter


@dataclass(frozen=True)
class Study:
    """What training takes, beside candles."""

    features: FeatureSet | None
    own: Path | None
    rule: dict[str, Any]
    model: Model
    select: int | None
    calibrate: str | None
    exit: Literal["opposite"] | None
    seed: int
    folds: WalkForward


def study_of(
    config: Config,
    *,
    feature: Sequence[str] | None = None,
    table: Path | None = None,
    label: tuple[int | None, float | None, str | None, str | None] = (None, None, None, None),
    model: tuple[str | None, Sequence[str] | None] = (None, None),
    select: int | None = None,
    calibrate: str | None = None,
    exit_: str | None = None,
    seed: int | None = None,
    folds: tuple[str | None, str | None, str | None, str | None, str | None, bool | None] = (
        *(None,) * 5,
        None,
    ),
) -> Study:
    """Join the options and sections that say what to train, before any work is done.

    Raises
    ------
    ConfigError
        If something is told nowhere, or is none of its choices.
    """
    section = config.model
    how = calibrate or section.calibrate
    if how not in CALIBRATE:
        raise ConfigError(f"`--calibrate` must be one of {', '.join(CALIBRATE)}, was {how!r}")
    leave = exit_ or section.exit
    if leave not in ("opposite", "none"):
        raise ConfigError(f"`--exit` must be opposite or none, was {leave!r}")
    chosen, own = features_of(config, feature), table_of(config, table)
    if chosen is None and own is None:
        raise ConfigError(
            "features are missing: give `--feature` 'rsi(14)' or `--feature-table` FILE, or [features] in barproof.toml"
        )
    return Study(
        features=chosen,
        own=own,
        rule=label_rule(config, *label),
        model=model_of(config, *model),
        select=section.select if select is None else select,
        calibrate=None if how == "none" else how,
        exit="opposite" if leave == "opposite" else None,
        seed=section.seed if seed is None else seed,
        folds=folds_of(config, *folds),
    )


def train_study(study: Study, candles: Candles, threads: int | None = None) -> Run:
    """Compute features and labels, and train."""
    labels = make_labels(candles, study.rule)
    return train_models(
        study.model,
        feature_table(candles, study.features, study.own, threads),
        labels,
        study.folds,
        seed=study.seed,
        select=None if study.select is None else TopK(study.select),
        calibrate=study.calibrate,
        threads=threads,
    )
