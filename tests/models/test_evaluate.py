"""Evaluation: any dates, intervals, baselines, and nothing said where nothing can be said."""

from __future__ import annotations

import math
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import log_loss, roc_auc_score

import barproof as bp
from barproof._evaluate import bundle_labels
from barproof._scores import effective_rows, wilson
from barproof.models import Logistic
from tests.models.market import candles, down, quiet, table
from tests.tolerances import REFERENCE

BARS = candles()
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
WALK = bp.WalkForward(900, 500, tune=400)
RUN = quiet(Logistic(), X, BINARY, WALK)
BUNDLE = RUN.bundles[0]


def row(found: bp.Evaluation, metric: str) -> dict[str, Any]:
    return found.frame.filter(pl.col("metric") == metric).row(0, named=True)


def test_metrics_are_those_of_the_predictions() -> None:
    found = bp.evaluate(BUNDLE, BARS, start=1_300, end=2_500, X=X)
    p = BUNDLE.predict(X)[1_300:2_500, 1]
    y = BINARY.values[1_300:2_500]
    assert found.rows == (1_300, 2_500)
    assert found["auc"] == pytest.approx(roc_auc_score(y, p), rel=REFERENCE)
    assert found["log_loss"] == pytest.approx(log_loss(y, p), rel=REFERENCE)
    accuracy = row(found, "accuracy")
    share = float(np.mean((p > 0.5) == y))
    n_eff = effective_rows(BINARY.start[1_300:2_500], BINARY.end[1_300:2_500])
    assert accuracy["value"] == pytest.approx(share, rel=REFERENCE)
    assert (accuracy["low"], accuracy["high"]) == pytest.approx(
        wilson(share, n_eff, 0.95), rel=REFERENCE
    )
    assert accuracy["n"] == 1_200
    assert accuracy["n_eff"] == pytest.approx(n_eff)
    assert n_eff < 1_200 / 3
    assert accuracy["baseline"] == pytest.approx(max(y.mean(), 1 - y.mean()), rel=REFERENCE)
    for metric in ("auc", "log_loss", "brier"):
        told = row(found, metric)
        assert told["low"] < told["value"] < told["high"]
        assert told["reason"] is None
    assert row(found, "auc")["low"] > 0.5


def test_levels_and_seeds_of_intervals() -> None:
    wide, narrow = (bp.evaluate(BUNDLE, BARS, start=1_300, X=X, level=v) for v in (0.99, 0.5))
    for metric in ("accuracy", "auc", "brier"):
        a, b = row(wide, metric), row(narrow, metric)
        assert a["low"] < b["low"] < b["value"] < b["high"] < a["high"]
    again = bp.evaluate(BUNDLE, BARS, start=1_300, X=X, level=0.5)
    assert again.frame.equals(narrow.frame)
    other = bp.evaluate(BUNDLE, BARS, start=1_300, X=X, level=0.5, seed=1)
    assert row(other, "auc")["low"] != row(narrow, "auc")["low"]
    assert "50% interval" in narrow.table


def test_dates_and_other_candles() -> None:
    day = datetime.fromtimestamp(BARS.open_time[1_500] / 1000, UTC)
    assert bp.evaluate(BUNDLE, BARS, start=day, X=X).rows == (1_500, 3_000)
    other = candles(2_000, 99, 0.35)
    found = bp.evaluate(
        BUNDLE,
        other,
        start=BUNDLE.manifest["rows"]["test"]["from"] // 300_000 * 0 + 1_300,
        X=table(other),
    )
    assert found["auc"] > 0.6
    assert found.provenance["candles"] == other.digest
    blind = candles(2_000, 98, 0.0)
    nothing = row(bp.evaluate(BUNDLE, blind, start=1_300, X=table(blind)), "auc")
    assert nothing["low"] < 0.5 < nothing["high"]


def test_labels_are_made_again_by_their_rule() -> None:
    a = bp.evaluate(BUNDLE, BARS, start=1_300, X=X)
    b = bp.evaluate(BUNDLE, BARS, start=1_300, X=X, labels=BINARY)
    assert a.frame.equals(b.frame)
    fall = quiet(Logistic(), X, down(TERNARY), WALK).bundles[0]
    with pytest.raises(bp.BundleError, match="give labels="):
        bp.evaluate(fall, BARS, X=X)
    assert bp.evaluate(fall, BARS, start=1_300, X=X, labels={"model": down(TERNARY)})["auc"] > 0.6


RULES = bp.Rules(stop_loss=0.004, take_profit=0.004, max_hold=12)
COSTS = bp.Costs(taker=0.0005)


def trade_labels(rule: str, bars: bp.Candles = BARS) -> bp.labels.Labels:
    """Binary labels of each rule that looks at more than candles."""
    sides = np.where(np.asarray(bars.planted) >= 0, 1, -1)
    made = bp.labels.horizon(bars, bars=4, kind="binary")
    if rule == "triple barrier":
        return bp.labels.triple_barrier(bars, RULES, costs=COSTS)
    if rule == "meta labels":
        return bp.labels.meta(bars, sides, RULES, costs=COSTS)
    if rule == "exit labels":
        return bp.labels.exits(bars, np.ones(len(bars)), RULES, costs=COSTS)
    if rule == "k of n":
        return bp.labels.vote([made, bp.labels.horizon(bars, bars=8, kind="binary")], k=2)
    return bp.labels.volume_filter(made, least=1.0, bars=48)


@pytest.mark.parametrize(
    "rule", ["triple barrier", "meta labels", "exit labels", "k of n", "volume filter"]
)
def test_labels_of_every_rule_are_made_again(rule: str) -> None:
    """Of other candles, by what the bundle holds, also once it was saved; the primary signal is asked for."""
    labels = trade_labels(rule)
    assert labels.rule["name"] == rule
    bundle = quiet(Logistic(), X, labels, WALK).bundles[0]
    with tempfile.TemporaryDirectory() as folder:
        bundle = bp.Bundle.load(bundle.save(f"{folder}/bundle"))
    other = candles(2_000, 99, 0.35)
    given = trade_labels(rule, other)
    primary = None
    if rule in ("meta labels", "exit labels"):
        primary = np.where(np.asarray(other.planted) >= 0, 1, -1)
        if rule == "exit labels":
            primary = np.ones(len(other))
        with pytest.raises(bp.BundleError) as told:
            bp.evaluate(bundle, other, start=1_300, X=table(other))
        assert str(told.value) == (
            "labels of part `model` cannot be made again by the rule of the bundle: labels of rule "
            f"'{rule}' look at `primary`, of which the rule keeps the digest alone: give primary= of these candles; or "
            "make them of these candles and give labels="
        )
    options: dict[str, Any] = {} if primary is None else {"primary": primary}
    found = bp.evaluate(bundle, other, start=1_300, X=table(other), **options)
    want = bp.evaluate(bundle, other, start=1_300, X=table(other), labels=given)
    assert found.frame.equals(want.frame)
    # Against the areas of scikit-learn, over the rows that have a label.
    made = given.values[1_300:]
    p = bundle.predict(table(other))[1_300:, 1]
    known = ~np.isnan(made)
    assert found["auc"] == pytest.approx(roc_auc_score(made[known], p[known]), rel=REFERENCE)


@pytest.mark.parametrize(
    "rule", [{"name": "Labels"}, {"name": "sweep"}, {"name": "horizon", "bars": 4, "threads": 2}]
)
def test_a_rule_from_elsewhere_calls_nothing(rule: dict[str, Any]) -> None:
    part = BUNDLE.part("model")
    facts = part.facts | {"label": part.facts["label"] | {"rule": rule}}
    stand_in = SimpleNamespace(part=lambda _: replace(part, facts=facts))
    with pytest.raises(bp.BundleError, match="give labels="):
        bundle_labels(stand_in, BARS, None, "model")  # type: ignore[arg-type]


def test_bars_that_trained_are_counted() -> None:
    rows = BUNDLE.manifest["rows"]
    assert bp.evaluate(BUNDLE, BARS, start=1_300, X=X).in_sample == 0
    found = bp.evaluate(BUNDLE, BARS, X=X)
    assert found.in_sample == rows["train"]["n"] + rows["tune_calibrate"]["n"]
    assert found.notes[0] == f"{found.in_sample:,} of 3,000 bars lie where the bundle was trained"
    # The second half of the tune rows fitted nothing.
    choose = RUN.folds[0].tune_choose
    assert (
        bp.evaluate(BUNDLE, BARS, start=int(choose[0]), end=int(choose[-1]) + 1, X=X).in_sample == 0
    )


def test_one_class_is_undefined_and_never_perfect() -> None:
    values = np.where(np.isnan(BINARY.values), np.nan, 1.0)
    ones = replace(BINARY, values=values, start=BINARY.start.copy(), end=BINARY.end.copy())
    found = bp.evaluate(BUNDLE, BARS, start=1_300, X=X, labels=ones)
    for told in found.frame.iter_rows(named=True):
        assert all(math.isnan(told[key]) for key in ("value", "low", "high", "baseline"))
        assert told["reason"] == "all 1,695 rows are of class 1: nothing can be told apart"
    assert "undefined" in found.table
    assert found.notes == ("all 1,695 rows are of class 1: nothing can be told apart",)


def test_a_missing_third_class_leaves_the_other_metrics() -> None:
    bundle = quiet(Logistic(), X, TERNARY, WALK).bundles[0]
    values = np.where(TERNARY.values == 1, 0.0, TERNARY.values)
    few = replace(TERNARY, values=values, start=TERNARY.start.copy(), end=TERNARY.end.copy())
    found = bp.evaluate(bundle, BARS, start=1_300, X=X, labels=few)
    assert math.isnan(found["auc_up"])
    assert row(found, "auc_up")["reason"] == "auc_up: one side of it is missing"
    assert found["auc_down"] > 0.6


def test_too_few_rows_for_a_block_have_no_interval() -> None:
    found = bp.evaluate(BUNDLE, BARS, start=1_300, end=1_308, X=X)
    told = row(found, "log_loss")
    assert math.isnan(told["low"])
    assert told["reason"] == "8 rows are less than two blocks of 5: no interval"
    assert not math.isnan(row(found, "accuracy")["low"])


def test_rows_without_label_or_prediction_do_not_count() -> None:
    some = X.with_columns(
        score=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("score"))
    )
    found = bp.evaluate(BUNDLE, BARS, start=1_300, X=some)
    at = np.arange(1_300, 3_000)
    assert row(found, "auc")["n"] == int(np.sum((at % 3 != 0) & ~np.isnan(BINARY.values[at])))


def test_calibration_table_is_a_tally_of_the_rows() -> None:
    found = bp.evaluate(BUNDLE, BARS, start=1_300, X=X).calibration
    p, y = BUNDLE.predict(X)[1_300:2_995, 1], BINARY.values[1_300:2_995]
    assert found.columns == ["part", "class", "bin", "mean_p", "share", "n"]
    assert set(found["class"]) == {1}
    assert found["n"].sum() == 1_695
    for told in found.iter_rows(named=True):
        here = (p >= told["bin"] / 10) & (p < (told["bin"] + 1) / 10)
        assert told["n"] == here.sum()
        assert told["mean_p"] == pytest.approx(p[here].mean(), rel=REFERENCE)
        assert told["share"] == pytest.approx(y[here].mean(), rel=REFERENCE)
    ternary = quiet(Logistic(), X, TERNARY, WALK).bundles[0]
    three = bp.evaluate(ternary, BARS, start=1_300, X=X).calibration
    assert set(three["class"]) == {-1, 0, 1}
    assert three.group_by("class").agg(pl.col("n").sum())["n"].to_list() == [1_695] * 3


def test_returns_are_judged_by_direction_and_correlation() -> None:
    labels = bp.labels.horizon(BARS, bars=4)
    bundle = quiet(Logistic(), X, labels, WALK).bundles[0]
    found = bp.evaluate(bundle, BARS, start=1_300, X=X)
    assert found.frame["metric"].to_list() == ["direction", "correlation", "r2", "rmse"]
    p, y = bundle.predict(X)[1_300:2_995, 0], labels.values[1_300:2_995]
    assert found["correlation"] == pytest.approx(np.corrcoef(p, y)[0, 1], rel=REFERENCE)
    assert row(found, "correlation")["low"] > 0
    assert found.calibration.height == 0
    assert found.notes == ()


def test_every_part_is_judged() -> None:
    parts = {"long": bp.Part(Logistic(), X, TERNARY), "exit_long": bp.Part(Logistic(), X, BINARY)}
    parts["exit_short"] = parts.pop("exit_long")
    bundle = quiet(parts, folds=WALK).bundles[0]
    found = bp.evaluate(bundle, BARS, start=1_300, X=X)
    assert found.frame["part"].unique(maintain_order=True).to_list() == ["long", "exit_short"]
    assert "exit_short auc" in found.table
    alone = bp.evaluate(BUNDLE, BARS, start=1_300, X=X)
    both = found.frame.filter(pl.col("part") == "exit_short")
    assert both["metric"].to_list() == alone.frame["metric"].to_list()


def test_features_are_computed_from_their_names() -> None:
    asked: list[Any] = []

    class FeatureSet:
        def __init__(self, names: list[str]) -> None:
            asked.append(names)

        def compute(self, bars: bp.Candles) -> pl.DataFrame:
            return table(bars)

    want = bp.evaluate(BUNDLE, BARS, start=1_300, X=X).frame
    with mock.patch.dict(
        sys.modules, {"barproof.features": SimpleNamespace(FeatureSet=FeatureSet)}
    ):
        assert bp.evaluate(BUNDLE, BARS, start=1_300).frame.equals(want)
    assert asked == [["score", "noise0", "noise1"]]
    assert bp.evaluate(BUNDLE, BARS, start=1_300, features=FeatureSet([])).frame.equals(want)


def test_uncalibrated_bundles_are_noted() -> None:
    bundle = quiet(Logistic(), X, BINARY, bp.WalkForward(900, 500)).bundles[0]
    found = bp.evaluate(bundle, BARS, start=1_300, X=X)
    assert found.notes == ("not calibrated: there are no tune rows to calibrate on",)
    assert str(found) == found.table
