"""From options and ``barproof.toml`` to features, labels, models and folds. Options win over the file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from barproof.candles import Candles
from barproof.cli.config import MODELS, PARAMS, Config
from barproof.cli.label_kinds import Asked, plan_of
from barproof.cli.reading import read_table
from barproof.errors import ConfigError, LayoutError
from barproof.features import FeatureSet
from barproof.labels import Labels
from barproof.ledger import Recorded
from barproof.models import Model, TopK
from barproof.splits import WalkForward
from barproof.training import Run
from barproof.training import train as train_models

__all__ = [
    "Study",
    "feature_table",
    "features_of",
    "folds_of",
    "model_of",
    "study_of",
    "table_of",
    "train_study",
]

CALIBRATE = ("temperature", "isotonic", "platt", "none")


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


class LabelMaker(Protocol):
    """Labels that are not made yet: as options ask for them, or as a manifest tells them."""

    @property
    def primary(self) -> Path | None:
        """File of the primary signal, where they look at one."""

    def make(self, candles: Candles) -> Labels:
        """Make them of candles."""


@dataclass(frozen=True)
class Study:
    """What training takes, beside candles."""

    features: FeatureSet | None
    own: Path | None
    labels: LabelMaker
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
    label: Asked | None = None,
    costs: tuple[float | None, float | None, float | None, bool] = (None, None, None, False),
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
    plan = plan_of(config, label or Asked(prefix="--label-"), costs)
    asked = plan.asked
    lone = asked.method == "exits" or (asked.method == "barrier" and asked.side != "both")
    if leave == "opposite" and lone:
        raise ConfigError(
            f"`--exit opposite` closes a side by the other's entry, and labels by {asked.method} are of one side: "
            "leave it out, or take `--label-side both`"
        )
    return Study(
        features=chosen,
        own=own,
        labels=plan,
        model=model_of(config, *model),
        select=section.select if select is None else select,
        calibrate=None if how == "none" else how,
        exit="opposite" if leave == "opposite" else None,
        seed=section.seed if seed is None else seed,
        folds=folds_of(config, *folds),
    )


def train_study(
    study: Study, candles: Candles, threads: int | None = None, *, ledger: Recorded = None
) -> Run:
    """Compute features and labels, and train."""
    labels = study.labels.make(candles)
    return train_models(
        study.model,
        feature_table(candles, study.features, study.own, threads),
        labels,
        study.folds,
        seed=study.seed,
        select=None if study.select is None else TopK(study.select),
        calibrate=study.calibrate,
        threads=threads,
        ledger=ledger,
    )
