"""What `audit` hands to which audit: everything that its arguments allow, and what it says of the rest."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import audits
from barproof.audits import AUDITS
from barproof.audits.auditing import _STEPS, supply

NAMES = ["ema(20)", "rsi(14)", "atr(14)"]
COSTS = bp.Costs(taker=0.0001, slippage=0.0001)

BY_HAND = {
    "CKP-02": "checkpoints of other programs come with their readings",
    "CKP-03": "checkpoints of other programs come with their shapes",
    "DATA-03": "only who dropped rows knows why",
    "DATA-04": "filters are applied before candles are read",
    "DATA-05": "candles hold when a value was, not when it arrived",
    "ECO-07": "the run before the change is another result",
    "OVF-07": "which number is reported is not in a run",
    "OVF-08": "variants of a training are several runs",
    "OVF-11": "a prior is nobody's data",
    "PAR-04": "weights of the first layer are the framework's",
    "PAR-05": "what entered a foreign model is known to who fed it",
    "PAR-08": "channels are those of a foreign model",
    "PRED-08": "a label moved into the past holds bars that features know: which shifts count only its maker says",
    "PRED-12": "the class weight of the loss is known to who trained",
    "PRED-14": "which metric is the headline, and what a sequence is, its author says",
    "SIG-10": "the second strategy is another result",
    "SIG-04": "power is of an effect that somebody claims: that of the observed one says no more than its p-value",
    "SPL-11": "training again is a function of the caller",
}
"""Audits that no argument of `audit` can feed, and why."""

ELSEWHERE = {
    *("LAB-04", "ECO-14", "OVF-01", "PAR-02", "CKP-06"),
    *(f"DEC-0{i}" for i in range(1, 8)),
}
"""Audits that a sweep of labels, an ablation, the ledger and a live log feed; their tests are elsewhere."""


@pytest.fixture(scope="module")
def study() -> dict[str, Any]:
    """A whole study: candles with an edge, features, labels, folds, a run, signals, a result, a sweep."""
    candles = bp.simulate_candles(3, bars=3_000, edge=0.2, interval="1h")
    features = bp.FeatureSet(NAMES)
    labels = bp.labels.horizon(candles, bars=3, kind="binary")
    walk = bp.WalkForward(1_200, 600, tune=600)
    run = bp.train(bp.models.Logistic(), features.compute(candles), labels, walk, ledger=False)
    rules = bp.Rules(entry_long=0.5, entry_short=0.5, max_hold=6, stop_loss=0.01)
    result = bp.backtest(candles, run.signals(), rules, costs=COSTS, ledger=False)
    grid = bp.Grid(rules, entry_long=[0.498, 0.5, 0.502], max_hold=[4, 6, 8])
    swept = bp.sweep(candles, run.signals(), grid, costs=COSTS, ledger=False)
    return {"run": run, "result": result, "sweep": swept}


@pytest.fixture(scope="module")
def report(study: dict[str, Any]) -> bp.Report:
    claims = [
        {"id": "r2", "value": "0.9", "metric": "r2", "kind": "quoted"},
        {"id": "r", "value": "0.1", "metric": "correlation", "kind": "quoted"},
    ]
    return bp.audit(**study, claims=claims, ledger=False)


def test_every_code_is_run_or_says_why_not() -> None:
    assert sorted({*_STEPS, *BY_HAND}) == sorted(AUDITS)
    assert not set(_STEPS) & set(BY_HAND)


def test_a_whole_study_meets_every_audit_it_can(report: bp.Report) -> None:
    assert not [f for f in report if f.outcome == "error"], report.to_text(lines=None)
    left = {f.id for f in report if f.outcome == "skipped"}
    # A study of classes on one market has no returns predicted, no costs declared before, and takes no more trades.
    assert left <= {*BY_HAND, *ELSEWHERE, "PRED-10", "LAB-05", "ECO-06"}, sorted(left)
    ran = {f.id for f in report if f.outcome in ("pass", "warn", "fail")}
    assert {
        *("DATA-06", "SPL-04", "SPL-05", "SPL-08", "SPL-09", "PAR-03", "CKP-01", "CKP-04"),
        *("CKP-07", "PRED-02", "PRED-03", "PRED-07", "PRED-09", "PRED-11", "PRED-13", "ECO-04"),
    } <= ran
    for code in ("SPL-04", "SPL-08", "CKP-01", "CKP-07"):
        assert report[code].outcome == "pass", report[code].title
    for code in ("OVF-02", "OVF-03", "OVF-04", "OVF-05", "OVF-06", "OVF-09", "OVF-10"):
        assert report[code].outcome != "skipped", "the sweep was searched"
    assert report["OVF-03"].measured is not None and report["OVF-03"].measured.value == 9
    assert report["PRED-09"].outcome == "fail", "R2 0.9 with a correlation of 0.1"


def test_what_was_not_checked_says_how_to_supply_it(report: bp.Report) -> None:
    for finding in report:
        if finding.outcome != "skipped" or "supply" not in finding.evidence:
            continue
        assert finding.title == f"needs {AUDITS[finding.id].needs}"
        assert finding.evidence["not_checked"] == AUDITS[finding.id].what
        assert finding.evidence["supply"] == supply(finding.id)
    assert report["CKP-02"].evidence["supply"].startswith('more={"CKP-02": {"stored": ..., ')
    for code, audit in AUDITS.items():
        names = set(inspect.signature(getattr(audits, audit.function)).parameters)
        told = supply(code)
        assert f"bp.audits.{audit.function}" in told and all(
            n in names for n in told.split('"')[3::2]
        )


def test_a_scaler_of_all_rows_and_a_future_feature_are_found(study: dict[str, Any]) -> None:
    candles = study["run"].candles
    leaky = bp.audit(
        candles=candles,
        features=lambda c: np.r_[c.close[1:], c.close[-1]],
        resample=False,
        ledger=False,
    )
    assert leaky["SPL-07"].outcome == leaky["SPL-08"].outcome == "fail"
    slow = bp.audit(
        candles=candles,
        features=lambda c: np.cumsum(c.close) / np.arange(1, len(c) + 1),
        resample=False,
        ledger=False,
    )
    # A mean since the start needs all bars, and no window is declared.
    assert slow["SPL-07"].outcome == "pass" and slow["SPL-09"].outcome == "inconclusive"


def test_the_stop_of_a_small_position_lies_as_far_in_price(study: dict[str, Any]) -> None:
    """A stop of 1% of the price is 1% away whatever share of the account is put up (ECO-04)."""
    candles, signals = study["run"].candles, study["run"].signals()
    for fraction in (1.0, 0.1):
        rules = study["result"].rules.replace(fraction=fraction)
        result = bp.backtest(candles, signals, rules, costs=COSTS, ledger=False)
        found = bp.audit(result=result, resample=False, ledger=False)["ECO-04"]
        r = result.trades["return"].to_numpy()
        assert found.evidence["distance"] == pytest.approx(0.01)
        assert found.evidence["mean_win"] == pytest.approx(r[r > 0].mean() / fraction)
        # Of the balance a tenth of the position loses a tenth: the gate follows.
        assert found.evidence["worst_loss"] == pytest.approx(-r.min())
        assert (found.outcome == "fail") == (-r.min() > 1.25 * 0.01 * fraction)


def test_what_overlaps_is_counted_once_where_it_trades(study: dict[str, Any]) -> None:
    """CAL-06 takes one row in as many as a label looks ahead."""
    found = bp.audit(run=study["run"], result=study["result"], resample=False, ledger=False)
    runs = range(len(study["run"].folds))
    rows = pl.concat([study["run"].predictions(part="test", fold=i) for i in runs])
    labels = study["run"].labels
    span = int((labels.end - labels.start)[labels.end >= 0].max()) + 1
    assert span == 4
    apart = rows[::span].drop_nulls("label").filter(pl.col("label").is_not_nan())
    measured = found["CAL-06"].measured
    assert measured is not None and measured.n == apart.filter(pl.col("p_1") >= 0.5).height
