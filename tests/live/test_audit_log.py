"""`audit(live_log=...)`: the findings of the replay, in a report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

import barproof as bp
from tests.live.making import COSTS, NAMES, RULES, WARM, live, study

CANDLES, BUNDLE = study()
P = BUNDLE.predict(bp.FeatureSet(list(NAMES)).compute(CANDLES))[:, 1]
RESULT = bp.backtest(
    CANDLES,
    bp.Signals(long=P, short=1.0 - P),
    RULES,
    costs=COSTS,
    window=(WARM, len(CANDLES)),
    ledger=False,
)
CODES = ("PAR-02", "DEC-01", "DEC-02", "DEC-03", "DEC-06", "DEC-07")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bp.LiveLog:
    return live().log(tmp_path_factory.mktemp("audited"))


def audited(log: bp.LiveLog, **more: object) -> bp.Report:
    return bp.audit(live_log=log, resample=False, ledger=False, **more)  # type: ignore[arg-type]


def test_a_live_log_is_audited_with_the_rest(log: bp.LiveLog) -> None:
    report = audited(log, candles=CANDLES, bundles=[BUNDLE], result=RESULT)
    assert {code: report[code].outcome for code in CODES} == dict.fromkeys(CODES, "pass")
    assert "decisions" in report.required
    forged = replace(log, decisions=log.decisions.with_columns(model_digest=pl.lit("f" * 64)))
    report = audited(forged, candles=CANDLES, bundles=[BUNDLE], result=RESULT)
    assert report["DEC-06"].outcome == "fail"
    other = RESULT
    other = bp.backtest(
        CANDLES,
        bp.Signals(long=P, short=1.0 - P),
        RULES.replace(entry_long=0.5013),
        costs=COSTS,
        window=(WARM, len(CANDLES)),
        ledger=False,
    )
    report = audited(log, candles=CANDLES, bundles=[BUNDLE], result=other)
    assert report["DEC-03"].outcome == report["DEC-01"].outcome == "fail"
    assert report.verdict == "refuted"


def test_alone_it_shows_when_decisions_were_made(log: bp.LiveLog, tmp_path: Path) -> None:
    report = audited(log)
    assert report["DEC-02"].outcome == "pass" and report["DEC-01"].outcome == "skipped"
    report = audited(live(early_ms=5_000).log(tmp_path), bundles=[BUNDLE])
    assert report["DEC-02"].outcome == "fail" and report["DEC-06"].outcome == "pass"
