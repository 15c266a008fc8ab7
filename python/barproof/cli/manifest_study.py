"""Manifests of trained models, and of walk-forward runs that choose rules for them.

The numbers of `train` are computed again from its artefacts: bundles predict the rows of the table once more, and the
table is judged once more. Walk-forward runs keep no models, and are trained again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof._backtest import Result
from barproof._evaluate import Evaluation
from barproof._grid import Grid
from barproof._judge import judge
from barproof._walk_forward import WalkForwardResult
from barproof.bundle import AGREE, Bundle
from barproof.candles import Candles
from barproof.claims import ClaimSet
from barproof.cli import output
from barproof.cli.config import MODELS, PARAMS
from barproof.cli.evidence import chain
from barproof.cli.inputs import Market, read_market
from barproof.cli.label_kinds import sides
from barproof.cli.manifest import base_of, compare, frame_digest, market_again
from barproof.cli.study import Study, feature_table, train_study
from barproof.errors import FileError
from barproof.features import FeatureSet
from barproof.inference import CLASSES
from barproof.labels import Labels
from barproof.labels.again import remake
from barproof.results.naming import clean
from barproof.rules import Costs, Rules
from barproof.splits import WalkForward
from barproof.training import Run

__all__ = ["Asked", "train_again", "train_manifest", "walk_again", "walk_manifest"]

AGREED = 1e-9
"""How far numbers of models may lie apart: libraries of linear algebra differ from machine to machine."""


@dataclass(frozen=True)
class Asked:
    """What a walk-forward run takes beside a study."""

    rules: Rules
    costs: Costs
    grid: Mapping[str, Any] | None
    metric: str
    min_trades: int
    initial_equity: float


@dataclass(frozen=True)
class _Told:
    """Labels by the rule that a manifest tells."""

    rule: Mapping[str, Any]
    primary: Path | None

    def make(self, candles: Candles) -> Labels:
        """Make them of candles."""
        return remake(
            self.rule,
            candles,
            primary=None if self.primary is None else sides(self.primary, candles),
        )


def _study(study: Study, run: Run, root: dict[str, Any]) -> dict[str, Any]:
    """Tell a study in JSON; a table and a primary signal of its own are among the files."""
    name = next(name for name, model in MODELS.items() if type(study.model) is model)
    return {
        **root,
        "study": {
            "features": None if study.features is None else list(study.features.names),
            "labels": output.plain(dict(run.labels.rule)),
            "model": {"name": name, "params": output.plain(dict(study.model.params))},
            "select": study.select,
            "calibrate": study.calibrate,
            "exit": study.exit,
            "seed": study.seed,
            "folds": asdict(study.folds),
        },
    }


def _study_again(told: dict[str, Any], held: ClaimSet) -> Study:
    """Make the study of a manifest."""
    given = told["study"]
    own, primary = (told["files"].get(name) for name in ("features", "primary"))
    name, params = given["model"]["name"], given["model"]["params"]
    if name not in MODELS or not set(params) <= set(PARAMS[name]):
        raise FileError(
            f"the manifest names the model {clean(name)!r} with parameters that barproof does not have: update it, or "
            "restore the manifest"
        )
    # JSON has no tuples: widths of layers come back as lists.
    params = {key: tuple(v) if isinstance(v, list) else v for key, v in params.items()}
    names = given["features"]
    return Study(
        features=None if names is None else FeatureSet([str(n) for n in names]),
        own=None if own is None else held.path(own["path"]),
        labels=_Told(given["labels"], None if primary is None else held.path(primary["path"])),
        model=MODELS[name](**params),
        select=given["select"],
        calibrate=given["calibrate"],
        exit=given["exit"],
        seed=given["seed"],
        folds=WalkForward(**given["folds"]),
    )


def _files(study: Study) -> dict[str, Path | None]:
    """Name the files that a study reads."""
    return {"features": study.own, "primary": study.labels.primary}


def train_manifest(
    path: Path, run: Run, study: Study, market: Market, out: Path, pooled: Evaluation
) -> dict[str, Any]:
    """Build the manifest of a training whose table and bundles were written to a folder."""
    table = out / "predictions.parquet"
    root = base_of(path, "train", market, _files(study), {"predictions": table})
    place = (out / "bundles").resolve().relative_to(path.absolute().parent.resolve()).as_posix()
    digests = [bundle.digest for bundle in run.bundles]
    return {
        **_study(study, run, root),
        "bundles": {"path": place, "digests": digests},
        "data": run.candles.digest,
        "digests": {
            "candles": run.candles.digest,
            "predictions": frame_digest(pl.read_parquet(table)),
        },
        "metrics": {"test": _scores(pooled)},
    }


def _scores(pooled: Evaluation) -> dict[str, Any]:
    """Metrics of all test rows by name."""
    rows = pooled.frame.to_dicts()
    kept = ("value", "low", "high", "baseline", "n", "n_eff")
    made: dict[str, Any] = output.plain({r["metric"]: {k: r[k] for k in kept} for r in rows})
    return made


def train_again(told: dict[str, Any], held: ClaimSet, retrain: bool) -> list[str]:
    """Ask the bundles of a training again, and judge the table again; or train again, too."""
    study = _study_again(told, held)
    candles = read_market(market_again(told, held))
    labels = study.labels.make(candles)
    table = pl.read_parquet(held.path(told["outputs"]["predictions"]["path"]))
    bundles = _bundles(told, held)
    differ = [
        f"bundle {i} is another: digest {bundle.digest[:12]}, was {str(was)[:12]}"
        for i, (bundle, was) in enumerate(zip(bundles, told["bundles"]["digests"], strict=True))
        if bundle.digest != was
    ]
    differ += _predictions_differ(table, _asked(bundles, study, candles), labels, candles)
    if differ:
        # What nobody predicted is not worth judging.
        return differ
    made = {
        "digests": {"candles": candles.digest, "predictions": frame_digest(table)},
        "metrics": {"test": _scores(_judged(table, labels, candles))},
    }
    differ += compare(told, made, relative=AGREED)
    if retrain and not differ:
        run = train_study(study, candles, ledger=False)
        differ += [
            f"trained again, {text}"
            for text in _predictions_differ(
                table, _asked(run.bundles, study, candles), labels, candles
            )
        ]
    return differ


def _bundles(told: dict[str, Any], held: ClaimSet) -> list[Bundle]:
    """Load the bundles of a folder of the project."""
    found = []
    for number in range(len(told["bundles"]["digests"])):
        manifest = held.path(f"{told['bundles']['path']}/fold-{number}/manifest.json")
        found.append(Bundle.load(manifest.parent))
    return found


def _asked(bundles: list[Bundle], study: Study, candles: Candles) -> list[tuple[Any, float]]:
    """Predictions of every bar by each bundle, and how exactly it says the same again."""
    features = feature_table(candles, study.features, study.own)
    found = []
    for bundle in bundles:
        (part,) = bundle.parts.values()
        agree = AGREE[getattr(part.model, "precision", "f64")]
        found.append((np.asarray(bundle.predict(features), dtype=np.float64), agree))
    return found


def _rows(table: pl.DataFrame, candles: Candles) -> Any:
    """Bars of the rows of a table of predictions."""
    times = table["open_time"].dt.epoch("ms").to_numpy()
    rows = np.searchsorted(candles.open_time, times)
    if len(rows) and (
        rows.max() >= len(candles) or not np.array_equal(candles.open_time[rows], times)
    ):
        raise FileError(
            "the predictions of the manifest are of bars that the candles lack: restore the files that it names"
        )
    return rows


def _names(labels: Labels) -> list[str]:
    """Columns of predictions of such labels."""
    return [f"p_{c}" for c in CLASSES[labels.kind]] or ["prediction"]


def _predictions_differ(
    table: pl.DataFrame, asked: list[tuple[Any, float]], labels: Labels, candles: Candles
) -> list[str]:
    """Hold the rows of a table against what the bundles say of them, and its labels against the rule."""
    rows, names = _rows(table, candles), _names(labels)
    differ = []
    if not np.array_equal(table["label"].to_numpy(), labels.values[rows], equal_nan=True):
        differ.append("the labels of the predictions are not those of the rule")
    fold = table["fold"].to_numpy()
    if len(fold) and fold.max() >= len(asked):
        return [*differ, f"fold {fold.max()} of the predictions has no bundle"]
    was = table.select(names).to_numpy().astype(np.float64)
    for number, (said, agree) in enumerate(asked):
        here = fold == number
        now = said[rows[here]]
        scale = 1.0 if CLASSES[labels.kind] else float(np.nanmax(np.abs(now), initial=0.0))
        alike = np.array_equal(np.isnan(was[here]), np.isnan(now))
        gap = float(np.max(np.abs(np.nan_to_num(was[here] - now)), initial=0.0))
        if not alike or gap > agree * scale:
            differ.append(
                f"predictions of fold {number} are not those of its bundle: they differ by {gap:.3g}"
            )
    return differ


def _judged(table: pl.DataFrame, labels: Labels, candles: Candles) -> Evaluation:
    """Judge the test rows of a table of predictions."""
    test = table.filter(pl.col("part") == "test")
    rows, names = _rows(test, candles), _names(labels)
    found = np.full((len(candles), len(names)), np.nan)
    found[rows] = test.select(names).to_numpy()
    return judge(found, labels, np.sort(rows))


def walk_manifest(
    path: Path, run: Run, result: Result, study: Study, market: Market, asked: Asked
) -> dict[str, Any]:
    """Build the manifest of models and of the rules that were chosen for them, or that they were run with."""
    root = base_of(path, "walk-forward", market, _files(study))
    return {
        **_study(study, run, root),
        "rules": asked.rules.changed(),
        "grid": None if asked.grid is None else dict(asked.grid),
        "costs": asdict(asked.costs),
        "metric": asked.metric,
        "min_trades": asked.min_trades,
        "initial_equity": asked.initial_equity,
        "data": run.candles.digest,
        **_of_walk(run, result),
    }


def _of_walk(run: Run, result: Result) -> dict[str, Any]:
    """Digest of the candles; numbers of the whole, and what was chosen in each fold."""
    made: dict[str, Any] = {"folds": len(run.folds), **dict(result.metrics)}
    if isinstance(result, WalkForwardResult):
        made["combinations"] = result.trials
        made["choices"] = result.choices.to_dicts()
    return {"digests": {"candles": run.candles.digest}, "metrics": output.plain(made)}


def walk_again(told: dict[str, Any], held: ClaimSet) -> list[str]:
    """Train, choose and judge again."""
    study = _study_again(told, held)
    candles = read_market(market_again(told, held))
    rules, axes = Rules(**told["rules"]), told["grid"]
    grid = None
    if axes is not None:
        draw = {name: axes[name] for name in ("sample", "method", "seed")}
        grid = Grid(rules, *axes["groups"], **draw)
    run, result = chain(
        candles,
        study,
        rules,
        Costs(**told["costs"]),
        grid=grid,
        metric=told["metric"],
        min_trades=told["min_trades"],
        initial_equity=told["initial_equity"],
        ledger=False,
    )
    return compare(told, _of_walk(run, result), relative=AGREED)
