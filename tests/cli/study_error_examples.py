"""One call for every message of features, labels, train, evaluate and audit: (name, call, class, message)."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import polars as pl

import barproof as bp
from barproof import _judge
from barproof.claims import ClaimSet
from barproof.cli import (
    audit,
    bundle,
    evaluate,
    evidence,
    features,
    inputs,
    label_kinds,
    manifest,
    manifest_study,
    study,
    train,
    verify,
)
from barproof.cli.config import Config
from barproof.errors import (
    BundleError,
    ConfigError,
    FeatureError,
    FileError,
    ParameterError,
    ShapeError,
)

from .error_examples import EMPTY, folder, toml


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


LABELS = {"bars": 3}
FOLDS = {"train": 100, "tune": 40, "test": 50}
FEATURES = {"names": ["rsi(5)"]}
STUDY = config(features=FEATURES, labels=LABELS, folds=FOLDS, model={"name": "logistic"})


@contextlib.contextmanager
def market(**columns: list[Any]) -> Iterator[bp.Candles]:
    """Work in a folder with candles `c.parquet` and a table `t.parquet` of their times and these columns."""
    with folder():
        candles = bp.simulate_candles(1, bars=400)
        frame = candles.to_polars()
        frame.select("open_time", "open", "high", "low", "close", "volume").write_parquet(
            "c.parquet"
        )
        times = frame["open_time"]
        made = {name: pl.Series(name, np.resize(v, len(frame))) for name, v in columns.items()}
        pl.DataFrame({"open_time": times, **made}).write_parquet("t.parquet")
        yield candles


def own_table(named: str = "open_time", **columns: list[Any]) -> Callable[[], object]:
    def call() -> object:
        with market(**columns) as candles:
            pl.read_parquet("t.parquet").rename({"open_time": named}).write_parquet("t.parquet")
            return study.feature_table(candles, bp.FeatureSet(["rsi(5)"]), Path("t.parquet"))

    return call


def evaluated(shift: int | None = 0, **columns: list[Any]) -> Callable[[], object]:
    """Judge a table whose times are late by so many milliseconds; None writes every row twice."""

    def call() -> object:
        with market(**columns):
            frame = pl.read_parquet("t.parquet")
            late = frame.with_columns(pl.col("open_time") + pl.duration(milliseconds=shift or 0))
            (pl.concat([frame, frame]) if shift is None else late).write_parquet("t.parquet")
            return evaluate.evaluate(
                candles=Path("c.parquet"),
                predictions=Path("t.parquet"),
                instrument="spot",
                label_bars=3,
                label_threshold=0.001,
            )

    return call


def judged(found: np.ndarray[Any, Any] | None = None, **options: Any) -> Callable[[], object]:
    def call() -> object:
        labels = bp.labels.horizon(bp.simulate_candles(1, bars=50), bars=3, kind="binary")
        given = np.full((50, 2), 0.5) if found is None else found
        return _judge.judge(given, labels, np.arange(50), **options)

    return call


def train_into_a_file() -> object:
    with market():
        Path("out").write_text("")
        return train.train(
            candles=Path("c.parquet"),
            instrument="spot",
            feature=["rsi(5)"],
            label_bars=3,
            train_="100",
            test="50",
            out=Path("out/deep"),
        )


def write_where_no_folder_can_be() -> object:
    with folder(), patch.object(Path, "mkdir", side_effect=OSError(13, "Permission denied")):
        return train._write(Path("out"), None, None, {})  # type: ignore[arg-type]


def audited(**options: Any) -> Callable[[], object]:
    def call() -> object:
        with market(long=[0.5]):
            return audit.audit(**options)

    return call


def manifest_of(document: object) -> object:
    with folder():
        Path("m.json").write_text(json.dumps(document))
        return manifest.reproduce(Path("m.json"))


def trades_of(columns: list[str]) -> object:
    with folder():
        pl.DataFrame({"pnl": [1.0]}).write_csv("t.csv")
        evidence.read_trades(Path("t.csv"), evidence.Evidence(), columns, None)
    return None


def predictions_without_classes() -> object:
    with market(up=[0.5]):
        return evidence.read_predictions(Path("t.parquet"), evidence.Evidence())


def label_cells_of_something_else() -> object:
    with market(long=[0.5]):
        return evidence.read_label_cells(Path("t.parquet"))


def train_without_a_folder() -> object:
    with market():
        return train.train(
            candles=Path("c.parquet"),
            instrument="spot",
            feature=["rsi(5)"],
            label_bars=3,
            train_="100",
            test="50",
            manifest=Path("m.json"),
        )


def verify_an_empty_folder() -> object:
    with folder():
        Path("empty").mkdir()
        return verify.verify([Path("empty")])


def bars_of_other_candles() -> object:
    table = bp.simulate_candles(1, bars=9, interval="1h").to_polars()
    return manifest_study._rows(table, bp.simulate_candles(1, bars=9))


def chain_without_tune() -> object:
    told = config(grid={"axes": {"stop_loss": [0.01]}}, folds={"train": 9, "test": 9})
    made = study.study_of(told, feature=["rsi(5)"], label=label_kinds.Asked(bars=3))
    held = evidence.Evidence(candles=bp.simulate_candles(1, bars=60))
    evidence.run_chain(held, told, made, bp.Rules(), bp.Costs.free(), None)
    return None


JUDGED = SimpleNamespace(part=lambda _: SimpleNamespace(facts={"test": {"auc": {"value": 0.6}}}))

EXAMPLES: list[tuple[str, Callable[[], object], type[Exception], str]] = [
    (
        "recreate_metric",
        lambda: bundle._told(cast("bp.Bundle", JUDGED), None, "f1"),
        BundleError,
        "the manifest tells no `f1` of test rows, but auc: name one of them with `--metric`, or give `--value`",
    ),
    (
        "config_feature",
        toml('[features]\nnames = [\n  "rsi(14)",\n  "rsii(14)",\n]\n'),
        ConfigError,
        "barproof.toml, line 4: unknown function `rsii`; did you mean `rsi`? in feature `rsii(14)`, in [features]",
    ),
    (
        "config_feature_twice",
        toml('[candles]\n[features]\nnames = ["rsi(14)", "rsi(14)"]\n'),
        ConfigError,
        "barproof.toml, line 3: feature `rsi(14)` is given twice: keep one, in [features]",
    ),
    (
        "config_preset",
        toml('[features]\nnames = []\npreset = "gating_10"\n'),
        ConfigError,
        "barproof.toml, line 3: there is no preset 'gating_10'; did you mean gating_109?, in [features]",
    ),
    (
        "config_model_param",
        toml('[model]\nname = "gradient-boosting"\nparams = { max_iters = 3 }\n'),
        ConfigError,
        "barproof.toml, line 3: gradient-boosting has no parameter `max_iters`, in [model.params]; did you mean "
        "max_iter or max_bins?",
    ),
    (
        "config_folds",
        toml('[folds]\ntrain = "60"\n'),
        ConfigError,
        "barproof.toml, line 2: `train` is '60', which is no duration: write it like 5d, 12h, 30m, 2w, 1mo, 1q or 1y, "
        "in [folds]",
    ),
    (
        "features_missing",
        lambda: features.features(what="c.parquet", instrument="spot"),
        ConfigError,
        "features are missing: give `--feature` 'rsi(14)' or `--preset` NAME, or set `names` in [features] of "
        "barproof.toml",
    ),
    (
        "features_unknown",
        lambda: features.features(what="rssi"),
        FeatureError,
        "there is no file and no function `rssi`; did you mean rsi?",
    ),
    (
        "table_time",
        own_table("when"),
        ConfigError,
        "features 't.parquet' have no column `open_time`, but when: name the bars' opening times so",
    ),
    (
        "table_twice",
        own_table(**{"rsi(5)": [0.5]}),  # type: ignore[arg-type]
        ConfigError,
        "column `rsi(5)` of 't.parquet' is called like a feature that is computed: rename one",
    ),
    (
        "label_bars",
        lambda: label_kinds.label_rule(EMPTY, None, None, None, None),
        ConfigError,
        "the horizon of the labels is missing: give `--label-bars` 12, or set `bars` in [labels] of barproof.toml",
    ),
    (
        "label_kind",
        lambda: label_kinds.label_rule(EMPTY, 3, None, "triple", None),
        ConfigError,
        "`--label-kind` must be one of regression, binary, ternary, was 'triple'",
    ),
    (
        "model",
        lambda: study.model_of(EMPTY, "logistics", None),
        ConfigError,
        "`--model` must be one of gradient-boosting, logistic, xgboost, lightgbm, feed-forward, lstm, bar-transformer, "
        "cross-market-transformer, was 'logistics'; did you mean logistic?",
    ),
    (
        "param_form",
        lambda: study.model_of(EMPTY, "logistic", ["C"]),
        ConfigError,
        "`--param C` must read NAME=VALUE, such as C=1",
    ),
    (
        "param_name",
        lambda: study.model_of(EMPTY, "logistic", ["depth=3"]),
        ConfigError,
        "`--param depth=3` names no parameter of logistic; known: C, max_iter, balanced",
    ),
    (
        "folds_missing",
        lambda: study.folds_of(EMPTY, "60d", None, None, None, None, None),
        ConfigError,
        "the folds are missing `test`: give `--train` 60d `--tune` 10d `--test` 5d, or [folds] in barproof.toml",
    ),
    (
        "folds_type",
        lambda: study.folds_of(EMPTY, "true", None, "5d", None, None, None),
        ConfigError,
        'the folds are refused: `train` must be a whole number of bars, a fraction or a duration such as "5d", was '
        "True",
    ),
    (
        "folds_overlap",
        lambda: study.folds_of(EMPTY, "60d", None, "5d", "1d", None, None),
        ConfigError,
        "`step` '1d' is shorter than `test` '5d': test parts would share bars, and a bar has one prediction; make "
        "`step` as long",
    ),
    (
        "calibrate",
        lambda: study.study_of(STUDY, calibrate="sigmoid"),
        ConfigError,
        "`--calibrate` must be one of temperature, isotonic, platt, none, was 'sigmoid'",
    ),
    (
        "exit",
        lambda: study.study_of(STUDY, exit_="same"),
        ConfigError,
        "`--exit` must be opposite or none, was 'same'",
    ),
    (
        "exit_of_one_side",
        lambda: study.study_of(
            STUDY,
            exit_="opposite",
            label=label_kinds.Asked("barrier", rule=["max_hold=5"], prefix="--label-"),
            costs=(None, None, None, True),
        ),
        ConfigError,
        "`--exit opposite` closes a side by the other's entry, and labels by barrier are of one side: leave it out, or "
        "take `--label-side both`",
    ),
    (
        "study_features",
        lambda: study.study_of(EMPTY),
        ConfigError,
        "features are missing: give `--feature` 'rsi(14)' or `--feature-table` FILE, or [features] in barproof.toml",
    ),
    (
        "train_out",
        train_into_a_file,
        ConfigError,
        "`--out` 'out/deep' must be a folder, but 'out' is a file: name another",
    ),
    (
        "train_folder",
        write_where_no_folder_can_be,
        FileError,
        "`--out` 'out' cannot be made a folder: Permission denied",
    ),
    (
        "part_of_table",
        lambda: inputs.judged_rows(
            pl.DataFrame({"fold": [0], "part": ["test"]}), Path("p.parquet"), "tune"
        ),
        ConfigError,
        "'p.parquet' holds no tune rows, only test: name another part, or train with `--tune`",
    ),
    (
        "evaluate_part",
        lambda: evaluate.evaluate(part="train"),
        ConfigError,
        "`--part` must be test or tune, was 'train'",
    ),
    (
        "no_predictions",
        lambda: evaluate.evaluate(label_bars=3),
        ConfigError,
        "predictions are missing: give `--predictions` FILE or `--bundle` FOLDER, or set `source` in [signals] of "
        "barproof.toml",
    ),
    (
        "evaluate_bundle_and_rule",
        lambda: evaluate.evaluate(bundle=Path("b"), label_bars=3),
        ConfigError,
        "`--bundle` makes its own predictions and labels: leave out `--predictions`, `--signal-column`, `--signal-time` "
        "and the label options",
    ),
    (
        "evaluate_column",
        lambda: evaluate._columns(EMPTY, None, ["exit_long=p"]),
        ConfigError,
        "`--signal-column exit_long=p` must read long=COLUMN or short=COLUMN: such as long=p_up",
    ),
    (
        "evaluate_other_classes",
        evaluated(p_0=[0.4], p_1=[0.6]),
        ConfigError,
        "predictions 't.parquet' hold p_0 and p_1, but ternary labels need p_-1 and p_0 and p_1: give the label rule "
        "that they were trained by",
    ),
    (
        "evaluate_no_columns",
        evaluated(long=[0.4]),
        ConfigError,
        "predictions 't.parquet' have no column `short`, but open_time, long: ternary labels need p_-1 and p_0 and "
        "p_1, or long and short; name them such as `--signal-column long=p_up`",
    ),
    (
        "evaluate_text",
        evaluated(**{"p_-1": [0.2], "p_0": [0.3], "p_1": ["0.5"]}),  # type: ignore[arg-type]
        ConfigError,
        "column `p_1` of predictions 't.parquet' must hold numbers, was String",
    ),
    (
        "evaluate_times",
        evaluated(60_000, long=[0.2], short=[0.3]),
        ConfigError,
        "400 of 400 times of predictions 't.parquet' meet no bar, first 2022-01-01 00:01: give the bars' opening "
        "times, and candles from 2022-01-01 00:01 to 2022-01-02 09:16",
    ),
    (
        "evaluate_twice",
        evaluated(None, long=[0.2], short=[0.3]),
        ConfigError,
        "predictions 't.parquet' hold 400 rows too many, first 2022-01-01 00:00 twice: give one row a bar",
    ),
    (
        "judge_shape",
        judged(np.zeros((50, 3))),
        ShapeError,
        "predictions have shape (50, 3), not (50, 2): give a row a bar, and a column a class of binary labels",
    ),
    (
        "judge_level",
        judged(level=95.0),
        ParameterError,
        "`level` must be between 0 and 1, was 95.0",
    ),
    (
        "judge_probability",
        judged(np.tile([0.5, 0.6], (50, 1))),
        ParameterError,
        "predictions of 50 bars are no probabilities, first bar 0: 0.5, 0.6; they must lie in [0, 1] and sum to 1",
    ),
    (
        "judge_nothing",
        judged(np.full((50, 2), np.nan)),
        ParameterError,
        "none of 50 bars has both a label and a prediction: 0 have a prediction, 46 a label",
    ),
    (
        "audit_require",
        lambda: audit.audit(require=["economic"]),
        ConfigError,
        "`--require` must be one of data, labels, splits, parity, checkpoints, predictions, calibration, economics, "
        "significance, overfitting, decisions, fills, claims, waivers, was 'economic'",
    ),
    (
        "audit_fail_on",
        lambda: audit.audit(fail_on="any"),
        ConfigError,
        "`--fail-on` must be one of critical, high, medium, low, info, was 'any'",
    ),
    (
        "audit_format",
        lambda: audit.audit(format_="xml"),
        ConfigError,
        "`--format` must be one of text, json, md, sarif, junit, was 'xml'",
    ),
    (
        "audit_nothing",
        audited(),
        ConfigError,
        "there is nothing to audit: name candles, a table of trades or `--predictions`, or set `source` in [candles] "
        "of barproof.toml",
    ),
    (
        "audit_signals_alone",
        audited(signals=Path("t.parquet")),
        ConfigError,
        "signals are audited on their bars: name the candles, or set `source` in [candles] of barproof.toml",
    ),
    (
        "audit_trades",
        lambda: trades_of(["return"]),
        ConfigError,
        "`--trade-column return` must read NAME=COLUMN, such as return=net_pct",
    ),
    *[
        (
            f"verify {i}",
            lambda files=files: verify.verify([Path(f) for f in files]),
            ConfigError,
            message,
        )
        for i, (files, message) in enumerate(
            [
                (
                    ["a.txt"],
                    "'a.txt' is neither claims (.toml), a page (.md) nor a manifest (.json): rename it",
                ),
                (
                    ["a.toml", "b.toml"],
                    "two files of claims were named: verify them one after the other",
                ),
                (
                    ["a.json"],
                    "'a.json' is no manifest: write one with `--manifest` of backtest, sweep, train or audit --run",
                ),
                (
                    ["gone.toml"],
                    "there is no 'gone.toml' here: name the file of the claims, see docs/claims.md",
                ),
            ]
        )
    ],
    (
        "manifest_elsewhere",
        lambda: manifest._inside(Path("/x/a"), Path("/y")),
        ConfigError,
        "`--manifest` must lie in a folder that holds '/x/a' too, so that both can be published: move one",
    ),
    (
        "manifest_schema",
        lambda: manifest_of({"schema": "other"}),
        FileError,
        "'m.json' is no manifest of a run that this version can repeat: KeyError('schema')",
    ),
    (
        "manifest_funding",
        lambda: manifest_of(
            {
                "schema": manifest.SCHEMA,
                "files": {},
                "instrument": "spot",
                "market": {**dict.fromkeys(manifest._MARKET), "funding": "x"},
                "metrics": {},
            }
        ),
        FileError,
        "'m.json' is no manifest of a run that this version can repeat: KeyError('funding')",
    ),
    (
        "audit_two_candles",
        lambda: audit.audit(Path("c.parquet"), candles_=Path("d.parquet"), trades=Path("t.csv")),
        ConfigError,
        "'c.parquet' and `--candles` both name candles: give one of them",
    ),
    (
        "audit_predictions",
        predictions_without_classes,
        ParameterError,
        "the predictions have no column `p_1` (a probability) or `prediction` (a return), but open_time, up: say which "
        "column is which with `columns={'p_1': ...}` or `--prediction-column p_1=NAME`",
    ),
    (
        "audit_prediction_column",
        lambda: evidence.read_predictions(Path("t.parquet"), evidence.Evidence(), ["p_1"]),
        ConfigError,
        "`--prediction-column p_1` must read NAME=COLUMN, such as p_1=prob",
    ),
    (
        "audit_label_cells",
        label_cells_of_something_else,
        ConfigError,
        "`--label-cells` 't.parquet' is no frame of bp.labels.sweep, it has open_time, long: write its `.frame` to a "
        "file",
    ),
    (
        "audit_ablation",
        lambda: evidence.add_ablation(evidence.Evidence(), 0, None),
        ConfigError,
        "`--ablation` needs a backtest of one set of rules: give signals, rules and costs, or `--run` in a project "
        "without a grid",
    ),
    (
        "audit_manifest",
        audited(manifest=Path("m.json")),
        ConfigError,
        "`--manifest` of an audit is that of the run that it audits: give `--run`, or write one with `barproof "
        "backtest --manifest`",
    ),
    (
        "train_manifest",
        train_without_a_folder,
        ConfigError,
        "a manifest of a training names its table and its bundles: give `--out` FOLDER too",
    ),
    (
        "verify_folder",
        verify_an_empty_folder,
        ConfigError,
        "'empty' holds neither claims.toml, nor pages that mention claims, nor manifests: name another",
    ),
    (
        "manifest_model",
        lambda: manifest_study._study_again(
            {"files": {}, "study": {"model": {"name": "oracle", "params": {}}}},
            ClaimSet((), Path()),
        ),
        FileError,
        "the manifest names the model 'oracle' with parameters that barproof does not have: update it, or restore the "
        "manifest",
    ),
    (
        "manifest_bars",
        bars_of_other_candles,
        FileError,
        "the predictions of the manifest are of bars that the candles lack: restore the files that it names",
    ),
    (
        "audit_tune",
        chain_without_tune,
        ConfigError,
        "the rules of the grid are chosen on tune bars, and there are none: set `tune` in [folds] of barproof.toml, or take [grid] away",
    ),
]
