"""``barproof train``: a model a fold, and predictions of the bars that it has not seen."""

from __future__ import annotations

import json as json_format
import shutil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console

from barproof._core import __version__
from barproof._evaluate import Evaluation
from barproof._judge import judge
from barproof.candles.table import show_time
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.evaluate import METRICS, no_skill, score_text, show_evaluation
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.inputs import market_of, read_market, sources_of
from barproof.cli.label_kinds import Asked, labels_text
from barproof.cli.study import Study, study_of, train_study
from barproof.errors import ConfigError, FileError, Interrupted
from barproof.inference import CLASSES
from barproof.report.caveats import is_simulated
from barproof.training import Run

__all__ = ["judge_run", "predictions_frame", "show_run", "train"]

TABLE, RECORD, BUNDLES = "predictions.parquet", "run.json", "bundles"


def train(
    candles: options.Source = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    feature: options.Features = None,
    table: options.FeatureFile = None,
    label_bars: options.LabelBars = None,
    label_threshold: options.LabelThreshold = None,
    label_kind: options.LabelKind = None,
    label_clock: options.LabelClock = None,
    label_method: options.LabelMethod = None,
    label_side: options.LabelSide = None,
    label_rule: options.LabelRule = None,
    label_primary: options.LabelPrimary = None,
    label_lengths: options.LabelLengths = None,
    label_k: options.LabelVotes = None,
    label_min_volume: options.LabelVolume = None,
    label_volume_bars: options.LabelVolumeBars = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    model: options.ModelName = None,
    param: options.ModelParams = None,
    select: options.Select = None,
    calibrate: options.Calibrate = None,
    exit_: options.Exit = None,
    seed: options.Seed = None,
    train_: options.Train = None,
    tune: options.Tune = None,
    test: options.Test = None,
    step: options.Step = None,
    gap: options.Gap = None,
    anchored: options.Anchored = None,
    threads: options.Threads = None,
    config: options.ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help=f"Write {TABLE}, {RECORD} and a bundle a fold into it.",
            rich_help_panel="Output",
        ),
    ] = None,
    manifest: options.Manifest = None,
    json: options.Json = False,
) -> int:
    """Train walk-forward, and show what the models were worth on the bars that judge them.

    Ctrl-C stops it; with --out the folds that were finished are written.
    """
    settings = load_config(config)
    study = study_of(
        settings,
        feature=feature,
        table=table,
        label=Asked(
            label_method,
            label_bars,
            label_threshold,
            label_kind,
            label_clock,
            label_side,
            label_rule,
            label_primary,
            label_lengths,
            label_k,
            label_min_volume,
            label_volume_bars,
            prefix="--label-",
        ),
        costs=(taker, maker, slippage, free),
        model=(model, param),
        select=select,
        calibrate=calibrate,
        exit_=exit_,
        seed=seed,
        folds=(train_, tune, test, step, gap, anchored),
    )
    market = market_of(
        settings,
        candles,
        instrument=instrument,
        symbol=symbol,
        interval=interval,
        funding=funding,
        calendar=calendar,
        on_fault=on_fault,
        repair=repair,
        funding_needed=False,
    )
    output.check_target("--manifest", manifest, (".json",))
    if manifest is not None and out is None:
        raise ConfigError(
            "a manifest of a training names its table and its bundles: give `--out` FOLDER too"
        )
    if out is not None:
        _check_folder(out)
        inputs = {
            **sources_of(settings, market, None),
            "features": study.own,
            "the primary signal": study.labels.primary,
        }
        output.check_targets({"--out": out / TABLE, "--manifest": manifest}, inputs)
    bars = read_market(market)
    try:
        run = train_study(study, bars, threads)
    except Interrupted as stop:
        where = ", nothing was written"
        if out is not None and isinstance(stop.partial, Run):
            _write(
                out, stop.partial, study, _document(stop.partial, study, judge_run(stop.partial))
            )
            where = f", written to {out}"
        raise KeyboardInterrupt(
            f"interrupted after {stop.done:,} of {stop.total:,} folds{where}"
        ) from None
    pooled = judge_run(run)
    document = _document(run, study, pooled)
    written = {} if out is None else _write(out, run, study, document)
    if manifest is not None and out is not None:
        from barproof.cli.manifest import write_manifest
        from barproof.cli.manifest_study import train_manifest

        write_manifest(manifest, train_manifest(manifest, run, study, market, out, pooled))
        written["manifest"] = manifest
    if json:
        output.emit_json(
            {
                "command": "train",
                "version": __version__,
                "exit_code": OK,
                **document,
                "written": written,
            }
        )
        return OK
    show_run(output.console(), run, study, pooled)
    for text in document["warnings"]:
        output.warn(text)
    for name, path in written.items():
        output.console().print(f"{name}: {path}", soft_wrap=True)
    return OK


def _check_folder(out: Path) -> None:
    """Refuse a folder that cannot be made, before any work is done."""
    place = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not place.is_dir():
        raise ConfigError(
            f"`--out` {str(out)!r} must be a folder, but {place.name!r} is a file: name another"
        )


def judge_run(run: Run) -> Evaluation:
    """Judge the test rows of all folds together."""
    frame = run.predictions("test")
    names = [f"p_{c}" for c in CLASSES[run.labels.kind]] or ["prediction"]
    found = np.full((len(run.candles), len(names)), np.nan)
    rows = frame["row"].to_numpy()
    found[rows] = frame.select(names).to_numpy()
    return judge(found, run.labels, np.sort(rows))


def predictions_frame(run: Run, study: Study) -> pl.DataFrame:
    """Tune rows that choose and test rows of every fold: probabilities of the classes, and signals.

    Columns `open_time`, `fold`, `part` ("tune" or "test"), `label`, one a class (``p_-1``...) or `prediction`, and the
    arrays of the signals. Rows of a fold stand together, tune before test.
    """
    frames = []
    for number, fold in enumerate(run.folds):
        for part, rows in (("tune", fold.tune_choose), ("test", fold.test)):
            if not len(rows):
                continue
            signals = run.signals(part, exit=study.exit, fold=number)  # type: ignore[arg-type]
            frame = run.predictions(part, fold=number).drop("part", "row")  # type: ignore[arg-type]
            frames.append(
                frame.with_columns(
                    pl.lit(part).alias("part"),
                    *(pl.Series(name, signals[name][rows]) for name in signals.names),
                )
            )
    made = pl.concat(frames)
    first = ["open_time", "fold", "part"]
    return made.select(*first, *(name for name in made.columns if name not in first))


def _folds(run: Run) -> list[dict[str, Any]]:
    """One row a fold: where it lies, and its metrics on test rows."""
    rows = []
    for bundle in run.bundles:
        told = bundle.manifest
        (part,) = told["parts"].values()
        judged = part["test"]
        rows.append(
            {
                "fold": told["fold"],
                "train": part["train_rows"]["n"],
                "test": judged["n"],
                "from": show_time(told["rows"]["test"]["from"]),
                "to": show_time(told["rows"]["test"]["to"]),
                "purged": told["purged"],
                "fit": part["model"]["fit"],
                "selected": part["features"] if part["selection"] else None,
                "calibration": part["calibration"]["method"],
                "not_calibrated": part["calibration"].get("reason"),
                "metrics": {name: judged[name] for name in METRICS if name in judged},
                "reason": judged.get("reason"),
            }
        )
    return rows


def _document(run: Run, study: Study, pooled: Evaluation) -> dict[str, Any]:
    """Everything a run says, for JSON."""
    folds = _folds(run)
    return {
        "symbol": run.candles.symbol,
        "features": list(run.names),
        "labels": run.labels.rule,
        "model": {"name": study.model.name, "params": dict(study.model.params)},
        "select": study.select,
        "calibrate": study.calibrate,
        "exit": study.exit,
        "seed": run.seed,
        "complete": run.complete,
        "splitter": repr(study.folds),
        "folds": folds,
        "test": pooled.frame,
        "warnings": _warnings(run, study, folds, pooled),
        "seconds": run.seconds,
        "provenance": run.provenance,
    }


def _warnings(run: Run, study: Study, folds: list[dict[str, Any]], pooled: Evaluation) -> list[str]:
    """Say what a reader of the numbers should know."""
    found = []
    if is_simulated(run.candles):
        found.append("the market is simulated: its numbers say nothing about any real one")
    bare = [one for one in folds if study.calibrate and one["calibration"] is None]
    if bare and run.labels.kind != "regression":
        more = f" and {len(bare) - 1} more" if len(bare) > 1 else ""
        found.append(f"fold {bare[0]['fold']}{more} not calibrated: {bare[0]['not_calibrated']}")
    for one in folds:
        if one["reason"]:
            found.append(f"fold {one['fold']} is not judged: {one['reason']}")
    return found + no_skill(pooled)


def _write(out: Path, run: Run, study: Study, document: dict[str, Any]) -> dict[str, Path]:
    """Write predictions and what they were made of."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(
            f"`--out` {str(out)!r} cannot be made a folder: {error.strerror or error}"
        ) from error
    output.write_frame(out / TABLE, predictions_frame(run, study))
    (out / BUNDLES).mkdir(exist_ok=True)
    for number, bundle in enumerate(run.bundles):
        bundle.save(out / BUNDLES / f"fold-{number}")
    for old in (out / BUNDLES).glob("fold-*"):
        # A longer run before this one left more of them.
        if old.name.removeprefix("fold-").isdigit() and int(old.name[5:]) >= len(run.bundles):
            shutil.rmtree(old)
    with output.whole_file(out / RECORD) as temporary:
        text = json_format.dumps(output.plain(document), indent=2, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")
    return {"predictions": out / TABLE, "record": out / RECORD, "bundles": out / BUNDLES}


def show_run(out: Console, run: Run, study: Study, pooled: Evaluation) -> None:
    """Print what was trained, fold by fold, and what all test bars say."""
    select = "" if study.select is None else f", {study.select} chosen in each fold"
    output.header(
        out,
        market_line(run.candles, 0, len(run.candles)),
        [
            ("features", f"{', '.join(run.names)}{select}"),
            ("labels", labels_text(run.labels)),
            ("model", f"{study.model!r}, seed {run.seed}"),
            ("calibrated", _calibrated(run, study)),
            ("folds", f"{len(run.folds)}: {_lengths(study)}"),
        ],
    )
    out.print()
    folds = _folds(run)
    shown = _shown(run)
    rows = []
    for one in folds:
        cells = [str(one["fold"]), one["from"][:10], f"{one['train']:,}", f"{one['test']:,}"]
        for name, what in shown:
            cells.append(score_text(name, one["metrics"].get(name, {}).get(what)))
        rows.append(cells)
    heads = [METRICS[name] if what == "value" else "of base rate" for name, what in shown]
    out.print(output.table(("fold", "test from", "train", "test", *heads), rows))
    out.print()
    bars = "bars" if run.complete else "bars of the finished folds"
    output.header(out, f"all test {bars}, in one", [])
    show_evaluation(out, pooled)


def _calibrated(run: Run, study: Study) -> str:
    """Say how probabilities were calibrated."""
    if study.calibrate is None or run.labels.kind == "regression":
        return "not"
    return f"by {study.calibrate} on the first half of the tune bars"


def _lengths(study: Study) -> str:
    """Lengths of the parts, as they were told."""
    folds = study.folds
    told = {name: getattr(folds, name) for name in ("train", "tune", "test", "step", "gap")}
    shown = [
        f"{name} {value}"
        for name, value in told.items()
        if value and not (name == "step" and value == folds.test)
    ]
    return ", ".join([*shown, *(["anchored"] if folds.anchored else [])])


def _shown(run: Run) -> list[tuple[str, str]]:
    """Metrics of the table of folds, and which of their numbers."""
    if run.labels.kind == "regression":
        return [("correlation", "value"), ("rmse", "value"), ("rmse", "baseline")]
    areas = ["auc"] if run.labels.kind == "binary" else ["auc_up", "auc_down"]
    return [(name, "value") for name in areas] + [("log_loss", "value"), ("log_loss", "baseline")]
