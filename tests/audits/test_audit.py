"""`bp.audit`: gathering, required groups, crashes, planted faults in whole chains, the ledger."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.audits import AUDITS
from barproof.audits.catalogue_results import JOINING
from tests.audits import cases


@pytest.fixture(scope="module")
def run() -> cases.Run:
    return cases.run()


@pytest.fixture(scope="module")
def result() -> bp.Result:
    return cases.edged_result()


def audit(**given: Any) -> bp.Report:
    return bp.audit(**given, ledger=False)


def outcomes(report: bp.Report, *codes: str) -> dict[str, str]:
    return {code: report[code].outcome for code in codes}


def test_clean_run(run: cases.Run) -> None:
    found = audit(run=run, features=cases.Features())
    assert found.verdict == "sound", found.to_text(lines=None)
    assert found.required == ("data", "labels", "splits", "parity", "predictions")
    skipped = {f.id for f in found if f.outcome == "skipped"}
    assert {"ECO-01", "ECO-02", "ECO-09", "SIG-02", "PRED-05"} <= skipped
    assert {f.id for f in found if AUDITS[f.id].group in ("economics", "significance")} <= skipped
    assert not found.failed()


def test_clean_result(result: bp.Result) -> None:
    found = audit(result=result)
    assert found.verdict == "sound", found.to_text(lines=None)
    passed = outcomes(
        found, "ECO-01", "ECO-02", "ECO-09", "SIG-02", "PRED-05", "DATA-01", "DATA-02"
    )
    assert set(passed.values()) == {"pass"}, passed
    assert found.required == ("data", "economics", "significance")


def test_no_edge_proves_nothing_or_refutes() -> None:
    found = audit(result=cases.edged_result(edge=0.0))
    assert found.verdict in ("nothing proved", "refuted")
    assert found["ECO-02"].outcome in ("inconclusive", "fail")


def test_every_audit_is_told() -> None:
    found = audit()
    assert {f.id for f in found} == {c for c, a in AUDITS.items() if a.group not in JOINING}
    named = audit(require=JOINING)
    assert {f.id for f in named} == set(AUDITS)
    assert {f.outcome for f in found} == {"skipped"}
    assert (found.verdict, found.exit_code) == ("nothing proved", 4)
    assert found["ECO-01"].title == "needs trades"


def test_required_groups() -> None:
    trades = np.tile([0.02, -0.01], 200)
    assert audit(trades=trades).verdict == "sound"
    named = audit(trades=trades, require=["predictions"])
    assert named.verdict == "nothing proved"
    assert named.reasons == ("nothing in the group predictions came to a result",)
    assert audit(trades=trades, require="predictions").required == named.required
    # Given, and yet nothing came of it.
    assert audit(candles=cases.market(bars=1)).verdict == "nothing proved"


def test_planted_faults(run: cases.Run) -> None:
    candles, features = run.candles, cases.Features()

    def changed(**more: Any) -> cases.Run:
        return cases.Run(**{**run.__dict__, **more})

    unpurged = audit(run=cases.run(candles, gap=False), features=features)
    assert outcomes(unpurged, "SPL-01", "SPL-02") == {"SPL-01": "pass", "SPL-02": "fail"}

    values = np.ones(len(candles))
    start, end = run.labels.start.copy(), run.labels.end.copy()
    one = bp.labels.Labels(values, start, end, "binary", {}, candles)
    single = audit(run=changed(labels=one), features=features)
    assert outcomes(single, "LAB-01", "LAB-02", "LAB-03") == dict.fromkeys(
        ("LAB-01", "LAB-02", "LAB-03"), "fail"
    )

    flat = [cases.Model(b.features, slope=0.0) for b in run.bundles]
    assert audit(run=changed(bundles=flat), features=features)["PRED-01"].outcome == "fail"

    leaked = run.X.with_columns(pl.col("move").shift(-1))
    report = audit(run=changed(X=leaked), features=features)
    assert report["SPL-07"].outcome == "fail" and report.verdict == "refuted"

    extra = run.X.with_columns(tomorrow=pl.col("move").shift(-1))
    report = audit(run=cases.run(candles, X=extra), features=features)
    assert report["PAR-01"].outcome == "fail"
    assert report["PAR-01"].evidence["extra"] == [] and report["PAR-01"].evidence["absent"] == [
        "tomorrow"
    ]

    ahead = cases.Features(
        lambda c: cases.trailing(c).with_columns(pl.col("mean").rolling_mean(3, center=True))
    )
    report = audit(run=cases.run(candles, X=ahead.compute(candles)), features=ahead)
    assert report["SPL-07"].outcome == "fail" and report["SPL-07"].scope["column"] == "mean"

    shuffled = [(fold.test, fold.train) for fold in run.folds]
    assert audit(folds=shuffled, labels=run.labels)["SPL-01"].outcome == "fail"


def test_features_that_cannot_be_computed_again_prove_nothing(run: cases.Run) -> None:
    found = audit(run=run)
    assert found["SPL-07"].outcome == "inconclusive"
    assert found.verdict == "nothing proved"
    assert "SPL-07 is inconclusive" in found.reasons


def test_thresholds_out_of_reach(result: bp.Result) -> None:
    high = result.rules.replace(entry_long=0.9999999, entry_short=0.9999999)  # type: ignore[union-attr]
    silent = bp.backtest(result.candles, result.signals, high, costs=result.costs, ledger=False)
    found = audit(result=silent)
    assert found.verdict == "refuted"
    assert outcomes(found, "PRED-05", "ECO-09") == {"PRED-05": "fail", "ECO-09": "fail"}
    assert found["ECO-02"].outcome == "inconclusive"


def test_thresholds_of_a_schedule_and_of_a_sweep(result: bp.Result) -> None:
    low, high = bp.Rules(entry_long=0.6), bp.Rules(entry_long=0.999999999)
    part = bp.backtest(
        result.candles,
        result.signals,
        [(0, low), (3_000, high)],
        costs=result.costs,
        ledger=False,
    )
    folds = [(np.arange(100), np.arange(1_000, 2_000)), (np.arange(100), np.arange(4_000, 5_000))]
    found = audit(result=part, folds=folds)["PRED-05"]
    assert found.outcome == "warn" and found.scope == {"fold": 1, "side": "long"}
    grid = bp.Grid(low, entry_long=[0.7, 0.999999999])
    table = bp.sweep(result.candles, result.signals, grid, costs=result.costs, ledger=False)
    report = audit(candles=result.candles, sweep=table)
    assert report["PRED-05"].outcome == "pass"  # the lowest threshold of the grid can be reached
    grid = bp.Grid(low, entry_long=[0.9999999, 0.999999999])
    table = bp.sweep(result.candles, result.signals, grid, costs=result.costs, ledger=False)
    assert audit(sweep=table)["PRED-05"].outcome == "fail"


def test_rules_are_no_flat_forecasts(result: bp.Result) -> None:
    rule = bp.Signals(long=(result.candles.close > 100).astype(float))
    assert audit(signals=rule)["PRED-01"].outcome == "skipped"
    assert audit(signals=result.signals)["PRED-01"].outcome == "pass"


def test_a_crash_is_a_finding(run: cases.Run) -> None:
    def broken(candles: bp.Candles) -> pl.DataFrame:
        raise ZeroDivisionError("in the user's code")

    found = audit(candles=run.candles, features=broken)
    crashed = found["SPL-07"]
    assert crashed.outcome == "error"
    assert "in the user's code" in crashed.title and "broken" in crashed.evidence["traceback"]
    assert (found.verdict, found.exit_code) == ("crashed", 3)
    assert found["DATA-01"].outcome == "pass"  # the others ran
    assert audit(trades=pl.DataFrame({"pnl": [1.0]})).verdict == "crashed"


def test_trades_of_other_tools(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    frame = pl.DataFrame({"return": rng.normal(0.004, 0.01, 300), "side": ["long"] * 300})
    for trades in (
        frame,
        frame.to_pandas(),
        {"return": frame["return"].to_list()},
        frame["return"].to_numpy(),
    ):
        assert audit(trades=trades).verdict == "sound"


def test_labels_by_name_and_splitters(run: cases.Run) -> None:
    short, long = (bp.labels.horizon(run.candles, bars=b, kind="binary") for b in (3, 30))
    walk = bp.WalkForward(1_000, 500)
    found = audit(candles=run.candles, labels={"short": short, "long": long}, folds=walk)
    # A splitter is asked with the longest reach of all labels.
    assert found["SPL-02"].outcome == "pass" and found["LAB-02"].outcome == "pass"
    # The labels bring their candles.
    assert audit(labels=short)["LAB-02"].outcome == "pass"
    naked = audit(labels={"short": short, "long": long}, folds=walk.folds(run.candles, short))
    assert naked["SPL-02"].outcome == "fail"
    wrong = bp.labels.Labels(
        1 - long.values, long.start.copy(), long.end.copy(), "binary", long.rule, run.candles
    )
    mixed = audit(candles=run.candles, labels={"short": short, "long": wrong})
    assert mixed["LAB-02"].outcome == "fail" and mixed["LAB-02"].title.startswith("long: ")


def test_funding(run: cases.Run) -> None:
    bare = run.candles.with_funding("none")
    assert audit(candles=bare)["DATA-02"].outcome == "warn"
    some = run.candles.funding
    assert some is not None and len(some) > 8
    found = audit(candles=run.candles.with_funding(some[:3]))["DATA-02"]
    assert found.outcome == "fail" and found.scope["series"] == "funding"


def test_same_inputs_same_findings(result: bp.Result) -> None:
    def told(report: bp.Report) -> list[Any]:
        return [(f.id, f.outcome, f.title, f.measured, f.evidence) for f in report]

    assert told(audit(result=result, seed=4)) == told(audit(result=result, seed=4))


def test_ledger(tmp_path: Path, result: bp.Result) -> None:
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    report = bp.audit(result=result, ledger=book, seed=2**64 - 5)
    assert report.provenance["ledger"] == "run 1"
    row = book.show(1)
    assert (row["kind"], row["trials"], row["data_digest"]) == ("audit", 0, result.candles.digest)
    assert row["parameters"]["verdict"] == "sound"
    assert row["parameters"]["outcomes"]["ECO-02"] == "pass"
    assert bp.audit(trades=[0.1, 0.2], ledger=book).provenance["ledger"] == "run 2"
    assert book.trials() == 0
    assert audit().provenance["ledger"] == "unrecorded"


def test_manifest(run: cases.Run, result: bp.Result) -> None:
    found = audit(run=run, features=cases.Features())
    assert found.inputs["candles"] == run.candles.digest and found.inputs["bars"] == cases.BARS
    assert found.inputs["labels labels"] == run.labels.digest
    told = audit(result=result)
    assert told.inputs["result"]["rules"] == result.provenance["rules"]
    json.dumps(told.inputs)


def test_predictions_as_a_table(run: cases.Run) -> None:
    table = pl.concat([run.predictions(fold=i) for i in range(len(run.folds))])
    found = audit(predictions=table)
    assert outcomes(found, "PRED-01", "PRED-04") == {"PRED-01": "pass", "PRED-04": "pass"}
    assert found.required == ("predictions",)
    flat = table.with_columns(p_0=pl.lit(0.4), p_1=pl.lit(0.6))
    assert audit(predictions=flat)["PRED-01"].outcome == "fail"


FEATURES = ["log_return(1)", "log_return(3)", "rsi(14)", "rsi(14)@1h"]


def chain(edge: float, seed: int) -> dict[str, Any]:
    candles = cases.market(8_000, seed=seed, edge=edge)
    features = bp.FeatureSet(FEATURES)
    labels = bp.labels.horizon(candles, bars=3, kind="binary")
    walk = bp.WalkForward("10d", "5d", tune="5d")
    run = bp.train(
        bp.models.Logistic(), features.compute(candles), labels, walk, seed=1, ledger=False
    )
    grid = bp.Grid(
        bp.Rules(entry_long=0.5, entry_short=0.5, max_hold=6),
        {"entry_long": [0.5, 0.51, 0.52], "entry_short": [0.5, 0.51, 0.52]},
    )
    costs = bp.Costs(taker=0.00001)
    oos = bp.walk_forward_optimise(run, grid, costs=costs, ledger=False)
    return {"candles": candles, "features": features, "run": run, "result": oos}


def test_the_whole_chain() -> None:
    given = chain(0.3, 1)
    found = audit(**given)
    assert found.verdict == "sound", found.to_text(lines=None)
    assert {f.outcome for f in found if f.severity == "critical"} <= {"pass", "warn", "skipped"}
    assert "fail" not in {f.outcome for f in found}
    # Without features= the columns of the run name them.
    assert audit(run=given["run"])["SPL-07"].outcome == "pass"
    run = given["run"]
    leaked = given["features"].compute(given["candles"]).with_columns(pl.col("rsi(14)").shift(-2))
    walk = bp.WalkForward("10d", "5d", tune="5d")
    broken = bp.train(bp.models.Logistic(), leaked, run.labels, walk, seed=1, ledger=False)
    report = audit(run=broken, features=given["features"])
    assert report.verdict == "refuted" and [f.id for f in report.failed()] == ["SPL-07"]
    assert report["SPL-07"].scope["column"] == "rsi(14)"
    chosen = bp.train(
        bp.models.Logistic(),
        run.X,
        run.labels,
        walk,
        select=bp.models.TopK(2),
        seed=1,
        ledger=False,
    )
    assert audit(run=chosen)["PAR-01"].outcome == "pass"


def test_the_whole_chain_without_an_edge() -> None:
    found = audit(**chain(0.0, 2))
    assert found.verdict in ("nothing proved", "refuted")
