"""An example of every error of the audits and statistics: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import LayoutError, LedgerError, ParameterError, ShapeError, audits, stats
from barproof.audits.common import matrix

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = bp.simulate_candles(1, bars=20)
MORE = bp.simulate_candles(1, bars=21)
LABELS = bp.labels.horizon(MORE, bars=2)
REPORT = bp.audit(trades=[], ledger=False)
BAD: Any = "bad"


def unwritten() -> object:
    class Book(bp.Ledger):
        def record(self, *args: Any, **options: Any) -> int:
            raise LedgerError("the ledger is full")

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return bp.audit(trades=[], ledger=Book.open(f"{folder}/ledger.sqlite"))


EXAMPLES: list[Example] = [
    (
        "level of a mean",
        lambda: stats.mean_interval([1.0], level=95),
        ParameterError,
        "`level` of a mean must lie between 0 and 1, was 95",
    ),
    (
        "no such name",
        lambda: bp.nonsense,
        AttributeError,
        "module 'barproof' has no attribute 'nonsense'",
    ),
    (
        "counts",
        lambda: stats.wilson(4, 3),
        ParameterError,
        "successes and trials must hold 0 <= k <= n, were 4 and 3",
    ),
    (
        "level",
        lambda: stats.wilson(1, 3, level=95),
        ParameterError,
        "`level` must lie between 0 and 1, was 95",
    ),
    (
        "null share",
        lambda: stats.proportion_test(1, 3, 1.0),
        ParameterError,
        "`null` share must lie between 0 and 1, was 1.0",
    ),
    (
        "chance",
        lambda: stats.binomial_tail(1, 3, 0.0),
        ParameterError,
        "`p` of one success must lie between 0 and 1, was 0.0",
    ),
    (
        "payoff",
        lambda: stats.break_even(0.5, -1.0),
        ParameterError,
        "`win`, `loss` and `cost` must be >= 0, were 0.5, -1.0 and 0.0: give sizes",
    ),
    (
        "label arrays",
        lambda: stats.effective_labels([0, 1], [1]),
        ShapeError,
        "`start` and `end` of labels must be two arrays of one length, had shapes (2,) and (1,)",
    ),
    (
        "label backwards",
        lambda: stats.effective_labels([0, 5], [1, 4]),
        ParameterError,
        "label 1 ends at bar 4, before its start at bar 5",
    ),
    (
        "seed",
        lambda: stats.uniforms(-1, 1),
        ParameterError,
        "`seed` must be a whole number in [0, 2**64), was -1",
    ),
    (
        "bootstrap",
        lambda: stats.stationary_indices(5, mean_block=0.5, rows=1, seed=0),
        ParameterError,
        "a bootstrap needs `n` >= 1, `rows` >= 1 and `mean_block` >= 1, were 5, 1 and 0.5",
    ),
    (
        "mean block of a mean",
        lambda: stats.mean_interval([1.0, 2.0], mean_block=0.5),
        ParameterError,
        "`mean_block` of a mean must be at least 1, was 0.5",
    ),
    (
        "resamples",
        lambda: stats.mean_interval([1.0, 2.0], resamples=10),
        ParameterError,
        "`resamples` must be at least 99, was 10",
    ),
    (
        "not numbers",
        lambda: audits.few_trades(["a"]),
        LayoutError,
        "`trades` must be an array of numbers, was list: give floats, NaN for what is missing",
    ),
    (
        "two dimensions",
        lambda: audits.few_trades([[1.0]]),
        ShapeError,
        "`trades` must have one dimension, had shape (1, 1)",
    ),
    (
        "three dimensions",
        lambda: matrix("p", np.zeros(3)),
        ShapeError,
        "`p` must have two dimensions, had shape (3,)",
    ),
    (
        "no returns",
        lambda: audits.expectancy(pl.DataFrame({"pnl": [1.0]})),
        ParameterError,
        "`trades` has no column `return` (net, a fraction); it has pnl",
    ),
    (
        "cost",
        lambda: audits.break_even_win_rate([0.1], cost=-1),
        ParameterError,
        "`cost` must be finite and >= 0, was -1",
    ),
    (
        "minimum",
        lambda: audits.few_trades([], minimum=0),
        ParameterError,
        "`minimum` of trades must be at least 1, was 0",
    ),
    (
        "n_eff",
        lambda: audits.share_interval(1, 2, n_eff=3),
        ParameterError,
        "`n_eff` must lie between 0 and n = 2, was 3",
    ),
    (
        "bar columns",
        lambda: audits.bar_integrity({"open_time": [1]}),
        ParameterError,
        "`bars` lack the column `open`: give open_time, open, high, low, close",
    ),
    (
        "times as text",
        lambda: audits.coverage({"x": ["a"]}, start=0, end=1),
        LayoutError,
        "`x` must hold times or milliseconds UTC, was String: write ISO 8601",
    ),
    (
        "empty span",
        lambda: audits.coverage({}, start=5, end=5),
        ParameterError,
        "the span must have `start` before `end`, was 5 to 5",
    ),
    (
        "prices of another length",
        lambda: audits.label_against_price([0.0, 1.0], [1.0]),
        ShapeError,
        "`labels` hold 2 rows, but the prices 1: give one a bar",
    ),
    (
        "no fold",
        lambda: audits.split_order([5]),
        LayoutError,
        "fold 0 must be a Fold, or rows as (train, test) or (train, tune, test), was int",
    ),
    (
        "rows as masks",
        lambda: audits.split_order([([True], [False])]),
        LayoutError,
        "`train` of fold 0 must hold row numbers, was bool: use np.flatnonzero for masks",
    ),
    (
        "no spans",
        lambda: audits.purge([([0], [1])], ([0], [1, 2])),
        LayoutError,
        "`labels` must have `start` and `end`, or be a pair of them, one bar a row",
    ),
    (
        "spans of floats",
        lambda: audits.purge([([0], [1])], ([0.5], [1.0])),
        LayoutError,
        "spans of labels must be bar numbers, were float64 and float64: -1 where a row has no label",
    ),
    (
        "no path",
        lambda: audits.lookahead(5, BARS),
        LayoutError,
        "`path` must be a FeatureSet or a function of candles, was int",
    ),
    (
        "path of cubes",
        lambda: audits.lookahead(lambda c: np.zeros((len(c), 1, 1)), BARS),
        LayoutError,
        "a path must give a frame or an array of one row a bar, gave 3 dimensions",
    ),
    (
        "cuts",
        lambda: audits.lookahead(lambda c: c.close, BARS, cuts=0),
        ParameterError,
        "`cuts` must be at least 1, was 0",
    ),
    (
        "no row at a cut",
        lambda: audits.lookahead(lambda c: c.close, BARS, window=0),
        ParameterError,
        "`window` must be at least 1 row, was 0",
    ),
    (
        "models that look at no row",
        lambda: audits.lookahead(lambda c: c.close, BARS, models_window=0),
        ParameterError,
        "`models_window` must be at least 1 row, was 0",
    ),
    (
        "no features",
        lambda: audits.feature_identity(5, ["a"]),
        LayoutError,
        "`features` must be a FeatureSet, a frame or a list of names, was int",
    ),
    (
        "no bundles",
        lambda: audits.feature_identity(["a"], 5),
        LayoutError,
        "`bundles` must be bundles or a list of feature names, was int",
    ),
    (
        "no bundle",
        lambda: audits.feature_identity(["a"], [5]),
        LayoutError,
        "bundle 0 has no `features`, was int",
    ),
    (
        "columns without classes",
        lambda: audits.class_bias(np.zeros((3, 2)), [0, 1]),
        ShapeError,
        "`predictions` of shape (3, 2) need 3 labels and 2 classes, were given 2 and 2",
    ),
    (
        "predictions without labels",
        lambda: audits.class_bias([0, 1, 0], [0, 1]),
        ShapeError,
        "`predictions` hold 3 rows, but `labels` 2: give one label a prediction",
    ),
    (
        "thresholds of another length",
        lambda: audits.threshold_reachability({"long": ([0.1, 0.2], [0.1])}),
        ShapeError,
        "values, thresholds and folds of `long` must have one length, had 2, 1 and 2",
    ),
    (
        "no such audit",
        lambda: audits.explain("ECO-1"),
        ParameterError,
        "there is no audit 'ECO-1'; did you mean ECO-01, ECO-14, ECO-13?",
    ),
    (
        "no such finding",
        lambda: REPORT["ECO-1"],
        ParameterError,
        "no finding 'ECO-1' in this report; it has ECO-14, ECO-13, ECO-12",
    ),
    (
        "no report",
        lambda: bp.Report.from_json("[]"),
        ParameterError,
        "the text is no audit report: it must be the JSON that to_json() wrote",
    ),
    (
        "another schema",
        lambda: bp.Report.from_json('{"schema": "x/9"}'),
        ParameterError,
        "the report is of schema 'x/9', this version reads 'barproof-audit/1': audit again",
    ),
    (
        "half a report",
        lambda: bp.Report.from_json('{"schema": "barproof-audit/1"}'),
        ParameterError,
        "the audit report lacks what its schema asks for ('findings'): audit again",
    ),
    (
        "severity",
        lambda: bp.audit(fail_on=BAD),
        ParameterError,
        "`fail_on` must be one of critical, high, medium, low, info, was 'bad'",
    ),
    (
        "seed of an audit",
        lambda: bp.audit(seed=-1),
        ParameterError,
        "`seed` must be a whole number in [0, 2**64 - 4), was -1",
    ),
    (
        "group",
        lambda: bp.audit(require=["economy"]),
        ParameterError,
        "unknown group 'economy' in `require`; did you mean economics?",
    ),
    (
        "other candles",
        lambda: bp.audit(candles=BARS, labels=LABELS, ledger=False),
        ParameterError,
        "`labels` speaks of other candles (21 bars) than the first (20 bars): audit one market at a time",
    ),
    ("ledger", unwritten, LedgerError, "the ledger is full"),
    (
        "arguments of one audit",
        lambda: bp.audit(more={"CKP-01": BAD}, ledger=False),
        ParameterError,
        "`more['CKP-01']` must be a mapping of arguments of bp.audits.metric_reproduction, was str",
    ),
    (
        "precision of a checkpoint",
        lambda: audits.metric_reproduction(1.0, 1.0, precision=BAD),
        ParameterError,
        "`precision` must be fp32 or mixed, was 'bad'",
    ),
    (
        "precision of features",
        lambda: audits.value_parity([1.0], [1.0], precision=BAD),
        ParameterError,
        "`precision` must be same, f64 or f32, was 'bad'",
    ),
    (
        "rows that do not fit",
        lambda: audits.below_chance([1.0, 2.0], [1.0]),
        ShapeError,
        "arrays must have one length, had `forecast` 2, `outcome` 1: give one value a row",
    ),
    (
        "log without its key",
        lambda: audits.decision_replay({"p": [1.0]}, {"bar": [1]}),
        ParameterError,
        "`log` has no column `bar`; it has p",
    ),
    (
        "cells without skill",
        lambda: audits.label_sweep({"auc": [0.5]}),
        ParameterError,
        "`cells` has no column `error`; it has auc",
    ),
    (
        "function without labels",
        lambda: audits.permuted_labels(lambda y: 0.5),
        ParameterError,
        "`skill` is a function: give `labels=` for it to learn",
    ),
    (
        "number without permutations",
        lambda: audits.permuted_labels(0.5),
        ParameterError,
        "`skill` is a number: give `permuted=`, its values on permuted labels",
    ),
    (
        "size of positions",
        lambda: audits.kelly_bound([0.1], size=0.0),
        ParameterError,
        "`size` must be finite and > 0, was 0.0",
    ),
    (
        "bars that are perturbed",
        lambda: audits.future_perturbation(lambda candles: candles.close, BARS, cuts=0),
        ParameterError,
        "`cuts` of SPL-08 must be at least 1, was 0",
    ),
]
