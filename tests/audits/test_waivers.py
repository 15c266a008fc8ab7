"""Waivers, the published schema, and the fixture for other repositories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

import barproof as bp
from barproof.audits import Waiver, apply_waivers, load_waivers
from barproof.audits.schema import report_schema, schema_text
from barproof.audits.waivers import may_be_waived
from barproof.cli import main

ROOT = Path(__file__).resolve().parents[2]
TODAY = date(2026, 3, 1)
LOSING = np.random.default_rng(4).normal(-0.004, 0.01, 300)
BASE = Waiver("ECO-02", "a pilot", "ann", date(2026, 2, 1), date(2026, 4, 1), accepts=-0.01)
OTHER = replace(BASE, code="ECO-01", accepts=0.2)
FAILS = {"ECO-01", "ECO-02", "SIG-02", "SIG-03"}


def losing(**more: Any) -> bp.Report:
    return bp.audit(trades=LOSING, ledger=False, **more)


def test_waived_failures_stay_and_no_longer_refute() -> None:
    before = losing()
    assert {f.id for f in before.failed()} == FAILS
    more = [replace(OTHER, code="SIG-02"), replace(OTHER, code="SIG-03", accepts=1.0)]
    after = apply_waivers(before, [BASE, OTHER, *more], today=TODAY)
    assert before.verdict == "refuted" and after.verdict == "sound"
    assert {f.id for f in after.failed()} == {f.id for f in after.waived()} == FAILS
    assert after["WVR-01"].outcome == "pass"
    assert "ECO-02 failed and is waived by ann" in after.reasons
    assert "waived by ann until 2026-04-01: a pilot" in " ".join(after.to_text(lines=None).split())
    assert "waived by ann" in after.to_markdown()
    suppressed = [
        r["ruleId"]
        for r in json.loads(after.to_sarif())["runs"][0]["results"]
        if "suppressions" in r
    ]
    assert sorted(suppressed) == sorted(FAILS)
    root = ET.fromstring(after.to_junit())
    # What cannot be told of losses stays open: nobody waived it.
    assert [failure.attrib["type"] for failure in root.iter("failure")] == ["inconclusive"]
    for suite in root:
        for tag, name in (("failures", "failure"), ("skipped", "skipped")):
            assert int(suite.attrib[tag]) == len(list(suite.iter(name)))
    assert bp.Report.from_json(after.to_json()) == after
    # One is enough to refute.
    assert apply_waivers(before, [BASE], today=TODAY).verdict == "refuted"


@pytest.mark.parametrize(
    ("change", "outcome", "words"),
    [
        ({}, "pass", "1 waivers in force"),
        ({"expires": date(2026, 2, 28)}, "fail", "it expired on 2026-02-28"),
        ({"created": date(2026, 3, 2)}, "warn", "it begins on 2026-03-02"),
        ({"accepts": -0.001}, "warn", "worse than the accepted"),
        ({"code": "ECO-09"}, "warn", "ECO-09 is pass"),
        ({"code": "CLM-01"}, "warn", "CLM-01 was not run"),
        ({"scope": {"symbol": "X"}}, "warn", "its scope is symbol X"),
        ({"inputs": {"candles": "0" * 64}}, "warn", "the candles are others"),
    ],
)
def test_a_waiver_ends(change: dict[str, Any], outcome: str, words: str) -> None:
    after = apply_waivers(losing(), [replace(BASE, **change)], today=TODAY)
    state = after["WVR-01"]
    assert state.outcome == outcome and words in state.title, state.title
    assert (after["ECO-02"].waiver is not None) == (outcome == "pass")


def test_leaks_and_claims_cannot_be_waived() -> None:
    claim = [{"id": "return", "value": "38.04", "unit": "percent"}]
    before = bp.audit(claims=claim, ledger=False)
    after = apply_waivers(before, [replace(BASE, code="CLM-01", accepts=9.0)], today=TODAY)
    assert after.verdict == "refuted" and not after.waived()
    assert "CLM-01 cannot be waived" in after["WVR-01"].title
    firm = {c for c, a in bp.audits.AUDITS.items() if not may_be_waived(c, a.severity)}
    assert {"SPL-02", "SPL-07", "PAR-01", "CLM-01", "FILL-01"} <= firm
    assert not firm & {"ECO-01", "PRED-01", "DATA-01", "SIG-02"}


def test_waivers_are_data_of_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    today = date.today()
    text = "".join(
        f'[[waiver]]\ncode = "{code}"\nreason = "a pilot"\nowner = "ann"\n'
        f"created = {today}\nexpires = {today}\naccepts = {x}\n"
        for code, x in (("ECO-01", 0.0), ("ECO-02", -1.0), ("SIG-02", 0.0), ("SIG-03", 0.0))
    )
    Path("t.csv").write_text("return\n" + "\n".join(map(str, LOSING)))
    assert main(["audit", "t.csv"]) == 1
    Path("accepted.toml").write_text(text)
    assert main(["audit", "t.csv", "--waivers", "accepted.toml"]) == 0
    assert "3 waived" in capsys.readouterr().out
    Path("waivers.toml").write_text(text)
    assert main(["audit", "t.csv"]) == 0
    assert (
        losing(waivers="waivers.toml").verdict
        == losing(waivers=load_waivers("waivers.toml")).verdict
        == "sound"
    )


def test_diff_of_reports() -> None:
    now, then = losing(), bp.audit(trades=-LOSING, ledger=False)
    found = now.diff(then)
    # ECO-12 passes on gains and has nothing to say of losses.
    assert {f.id for f in found.new} == {*FAILS, "ECO-12"} and not found.fixed
    assert {f.id for f in then.diff(now).fixed} == {*FAILS, "ECO-12"}


def test_the_schema_is_published_and_holds() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert (ROOT / "docs" / "schemas" / "audit-report-1.schema.json").read_text(
        encoding="utf-8"
    ) == schema_text()
    check = jsonschema.Draft202012Validator(report_schema())
    check.check_schema(report_schema())
    whole = apply_waivers(losing(require=["claims", "fills"]), [BASE, OTHER], today=TODAY)
    for report in (whole, bp.audit(ledger=False), bp.Report(()), bp.audit(trades=[], ledger=False)):
        check.validate(json.loads(report.to_json()))
    document = json.loads(whole.to_json())
    for path, value in (
        (("verdict",), "fine"),
        (("findings", 0, "outcome"), "ok"),
        (("findings", 0, "extra"), 1),
    ):
        broken = json.loads(json.dumps(document))
        place = broken
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        assert list(check.iter_errors(broken)), path


TESTS = """
def test_good(barproof_audit):
    report = barproof_audit(trades=[0.02, -0.01] * 200)
    assert report.verdict == "sound"

def test_bad(barproof_audit):
    barproof_audit(trades=[0.01, -0.02] * 200)

def test_little(barproof_audit):
    barproof_audit(trades=[0.01])

def test_little_is_allowed(barproof_audit):
    barproof_audit(trades=[0.01], allow="nothing proved")
"""


def test_a_research_repository_gates_its_tests(tmp_path: Path) -> None:
    (tmp_path / "test_study.py").write_text(TESTS)
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")]),
    }
    entry = ["-p", "no:barproof", "-p", "barproof.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *entry, "--barproof-reports", "out"],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 2 passed" in done.stdout
    assert "barproof audit: refuted: ECO-01 failed; ECO-02 failed" in done.stdout
    assert "barproof audit: nothing proved" in done.stdout
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 12 and names[0] == "test-study-py--test-bad.json"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.entry-points.pytest11]\nbarproof = "barproof.pytest_plugin"' in text
