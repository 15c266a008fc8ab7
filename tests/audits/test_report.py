"""Findings and reports: plain data, verdicts, and every form in which they are written."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import barproof as bp
from barproof.audits import AUDITS, GROUPS, VERDICTS, Gate, Measured, explain
from barproof.audits.catalogue_results import JOINING
from barproof.audits.model import OUTCOMES, SEVERITIES, plain

ROOT = Path(__file__).resolve().parents[2]


# Findings of a report without fills, claims and waivers.
TOLD = sum(audit.group not in JOINING for audit in AUDITS.values())


def finding(code: str = "ECO-02", outcome: str = "pass", **more: object) -> bp.Finding:
    audit = AUDITS[code]
    given = {"severity": audit.severity, "title": f"{code} {outcome}", **more}
    return bp.Finding(id=code, slug=audit.slug, outcome=outcome, **given)  # type: ignore[arg-type]


def report(*pairs: tuple[str, str], required: tuple[str, ...] = (), **more: object) -> bp.Report:
    return bp.Report(tuple(finding(*pair) for pair in pairs), required, **more)  # type: ignore[arg-type]


def test_numbers_that_json_lacks_are_null_with_a_reason() -> None:
    odd = finding(
        measured=Measured("auc", float("nan"), high=float("inf"), n=8135),
        gate=Gate(">", float("inf"), "default", "why"),
        evidence={
            "x": np.float32(1.5),
            "bad": -np.inf,
            "list": [1.0, np.nan],
            "array": np.arange(2),
            "series": pl.Series([1, 2]),
            "when": datetime(2024, 1, 1, tzinfo=UTC),
            "deep": {"flag": np.bool_(True)},
        },
    )
    assert odd.measured is not None and odd.gate is not None
    assert odd.measured.value is None and odd.measured.n == 8135
    assert odd.measured.reason == "value: not a number; high: infinite"
    assert odd.gate.threshold is None
    assert odd.evidence == {
        "x": 1.5,
        "bad": None,
        "bad_reason": "minus infinite",
        "list": [1.0, None],
        "list_reason": "element 1: not a number",
        "array": [0, 1],
        "series": [1, 2],
        "when": "2024-01-01T00:00:00+00:00",
        "deep": {"flag": True},
    }
    json.dumps(odd.to_dict(), allow_nan=False)
    assert bp.Finding.from_dict(json.loads(json.dumps(odd.to_dict()))) == odd


def test_findings_do_not_change() -> None:
    with pytest.raises(AttributeError):
        finding().outcome = "fail"  # type: ignore[misc]


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(trees)
def test_plain_data_round_trips(tree: object) -> None:
    made = plain(tree)
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert plain(made) == made


def test_verdicts() -> None:
    assert VERDICTS == {"sound": 0, "refuted": 1, "crashed": 3, "nothing proved": 4}
    every = ("data", "economics")
    cases = [
        ([("ECO-02", "pass"), ("DATA-01", "pass")], "sound"),
        ([("ECO-02", "pass"), ("DATA-01", "warn")], "sound"),
        ([("ECO-02", "fail"), ("DATA-01", "pass")], "refuted"),
        ([("ECO-02", "pass"), ("DATA-01", "fail")], "refuted"),
        # 1 wins over 4, 3 over both.
        ([("ECO-02", "inconclusive"), ("DATA-01", "fail")], "refuted"),
        ([("ECO-02", "error"), ("DATA-01", "fail")], "crashed"),
        # A critical audit of a required group that cannot tell.
        ([("ECO-02", "inconclusive"), ("ECO-01", "pass"), ("DATA-01", "pass")], "nothing proved"),
        # A group with nothing but what was skipped or cannot tell.
        ([("ECO-02", "pass"), ("DATA-01", "inconclusive")], "nothing proved"),
        ([("ECO-02", "pass"), ("DATA-01", "skipped")], "nothing proved"),
        ([("ECO-02", "pass")], "nothing proved"),
        ([], "nothing proved"),
    ]
    for pairs, verdict in cases:
        found = report(*pairs, required=every)
        assert found.verdict == verdict, pairs
        assert found.exit_code == VERDICTS[found.verdict]
        assert found.reasons
    # Nothing ran at all, though nothing was required.
    assert report().verdict == "nothing proved"
    assert report(("ECO-02", "skipped")).verdict == "nothing proved"
    # What is inconclusive in a group that nobody asked for proves nothing, and refutes nothing.
    assert report(("ECO-02", "inconclusive"), ("DATA-01", "pass")).verdict == "sound"


def test_failures_below_the_bar_do_not_refute() -> None:
    pairs = [("DATA-01", "fail")]
    assert report(*pairs).verdict == "refuted"
    assert report(*pairs, fail_on="critical").verdict == "sound"
    assert report(("ECO-02", "fail"), fail_on="critical").verdict == "refuted"


@given(st.lists(st.tuples(st.sampled_from(sorted(AUDITS)), st.sampled_from(OUTCOMES)), max_size=8))
def test_never_sound_with_a_failure_or_a_crash(pairs: list[tuple[str, str]]) -> None:
    found = report(*pairs)
    outcomes = {o for _, o in pairs}
    assert (found.verdict == "crashed") == ("error" in outcomes)
    # Severities from `fail_on` on refute: high by default.
    refuted = any(o == "fail" and AUDITS[c].severity in ("critical", "high") for c, o in pairs)
    if refuted or "error" in outcomes or not outcomes - {"skipped", "inconclusive"}:
        assert found.verdict != "sound"


def test_worst_first() -> None:
    pairs = list(product(["ECO-02", "DATA-01"], OUTCOMES))
    ordered = [(f.id, f.outcome) for f in report(*pairs)]
    assert ordered == [
        ("ECO-02", "error"),
        ("ECO-02", "fail"),
        ("DATA-01", "error"),
        ("DATA-01", "fail"),
        ("ECO-02", "inconclusive"),
        ("ECO-02", "warn"),
        ("DATA-01", "inconclusive"),
        ("DATA-01", "warn"),
        ("ECO-02", "skipped"),
        ("DATA-01", "skipped"),
        ("ECO-02", "pass"),
        ("DATA-01", "pass"),
    ]


def some() -> bp.Report:
    rng = np.random.default_rng(4)
    return bp.audit(trades=rng.normal(-0.004, 0.01, 300), require=["data"], ledger=False)


def test_access() -> None:
    found = some()
    assert found["ECO-02"] is found["expectancy"]
    assert "ECO-02" in found and "expectancy" in found and "ECO-99" not in found
    assert len(found) == TOLD
    assert [f.id for f in found.failed()] == [f.id for f in found if f.outcome == "fail"]
    counted = sum(n for row in found.counts.values() for n in row.values())
    assert counted == len(found) and found.counts["fail"]["critical"] == 2


def test_json_round_trip() -> None:
    found = some()
    again = bp.Report.from_json(found.to_json())
    assert again == found and again.to_json() == found.to_json()
    data = json.loads(found.to_json())
    assert data["schema"] == "barproof-audit/1"
    assert set(data) == {
        *("schema", "verdict", "exit_code", "reasons", "required", "fail_on", "counts"),
        *("inputs", "provenance", "findings"),
    }
    assert set(data["findings"][0]) == {
        *("id", "slug", "outcome", "severity", "title", "measured", "gate", "evidence", "cause"),
        *("remedy", "fixable", "scope", "assumptions", "provenance", "waiver", "docs"),
    }
    assert pickle.loads(pickle.dumps(found)) == found == copy.deepcopy(found)
    assert len({found, again}) == 1


def test_text_fits_a_screen() -> None:
    found = some()
    for lines in (10, 24, 40):
        assert len(found.to_text(lines=lines).splitlines()) <= lines + 1
    text = found.to_text()
    assert text.splitlines()[0].startswith("ECO-01 critical FAIL  win rate")
    assert text.splitlines()[-1].endswith("verdict: refuted, exit 1")
    assert "deploy" not in found.to_text(lines=None) + found.to_markdown()
    assert all(len(line) <= 80 for line in found.to_text(width=80, lines=None).splitlines()[:-1])


def test_markdown() -> None:
    text = some().to_markdown()
    assert text.startswith("# Audit: refuted\n")
    assert "## ECO-02 fail: mean trade" in text
    rows = [line for line in text.splitlines() if line.startswith(("| ECO", "| DATA"))]
    assert len(rows) == sum(code.startswith(("ECO", "DATA")) for code in AUDITS)


def test_sarif_has_the_structure_of_the_standard() -> None:
    found = some()
    log = json.loads(found.to_sarif())
    assert log["version"] == "2.1.0" and len(log["runs"]) == 1
    run = log["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(AUDITS)
    assert len(run["results"]) == TOLD
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["kind"] in ("pass", "open", "notApplicable", "fail")
        # 3.27.10: any other kind than "fail" has the level "none".
        assert (result["kind"] == "fail") == (result["level"] in ("error", "warning", "note"))
    assert run["invocations"][0]["exitCode"] == 1


def test_junit_counts_its_cases() -> None:
    found = some()
    root = ET.fromstring(found.to_junit())
    assert root.tag == "testsuites"
    assert {suite.attrib["name"] for suite in root} <= set(GROUPS)
    cases = list(root.iter("testcase"))
    assert len(cases) == TOLD
    for suite in root:
        for tag, name in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(suite.attrib[tag]) == len(list(suite.iter(name)))
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    crashed = bp.Report(
        (finding("ECO-02", "error", title="a \x00 <b>", evidence={"traceback": "x\x01 & y"}),)
    )
    assert ET.fromstring(crashed.to_junit()).find(".//error") is not None


def test_frame() -> None:
    frame = some().to_frame()
    assert frame.height == TOLD
    assert frame["id"].to_list() == [f.id for f in some()]
    row = frame.row(by_predicate=pl.col("id") == "ECO-09", named=True)
    assert row["value"] == 300 and row["group"] == "economics"
    assert bp.Report(()).to_frame().columns == frame.columns


def test_diff() -> None:
    before = report(("ECO-01", "pass"), ("ECO-02", "fail"), ("ECO-09", "warn"), ("LAB-01", "pass"))
    after = report(
        ("ECO-01", "fail"), ("ECO-02", "pass"), ("ECO-09", "inconclusive"), ("LAB-01", "pass")
    )
    found = after.diff(before)
    assert [f.id for f in found.new] == ["ECO-01"]
    assert [f.id for f in found.fixed] == ["ECO-02"]
    assert [(a.outcome, b.outcome) for a, b in found.changed] == [("warn", "inconclusive")]
    assert str(after.diff(after)) == "nothing changed"
    assert "new      ECO-01 fail" in str(found)


def test_the_pages_are_the_table() -> None:
    for name, text in bp.audits.pages().items():
        assert (ROOT / name).read_text(encoding="utf-8") == text, "run tools/generate.py"
    index = bp.audits.page()
    for code, audit in AUDITS.items():
        page, _, anchor = audit.docs.partition("#")
        assert f"[{code}]({page.removeprefix('docs/')}#{anchor})" in index
        assert explain(audit.slug.upper()) == explain(code)
        assert audit.severity in SEVERITIES and audit.group in GROUPS


def test_importing_audits_loads_numpy_and_polars_only() -> None:
    import subprocess
    import sys

    code = (
        "import sys, barproof; lazy = 'barproof.audits' not in sys.modules and 'barproof.stats' not in sys.modules; "
        "barproof.audit; heavy = {'scipy', 'sklearn', 'pydantic', 'plotly', 'rich'} & set(sys.modules); "
        "print(lazy, sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "True []"


def test_html(tmp_path: Path) -> None:
    path = some().to_html(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    assert "ECO-02" in text and "refuted" in text.lower()


def test_permuted_columns_matter_to_identity_alone() -> None:
    from tests.audits import cases

    run = cases.run()
    mixed = run.X.select("open_time", "mean", "move")
    other = cases.Run(**{**run.__dict__, "X": mixed})
    features = cases.Features()
    one = bp.audit(run=run, features=features, ledger=False)
    two = bp.audit(run=other, features=features, ledger=False)
    differ = [f.id for f in two if f.outcome != one[f.id].outcome]
    assert differ == ["PAR-01"]


def test_a_page_shows_what_was_audited_without_being_told(tmp_path: Path) -> None:
    candles = bp.simulate_candles(3, bars=2_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24)
    result = bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.0005), ledger=False)
    report = bp.audit(candles=candles, result=result, ledger=False)
    page = report.to_html(tmp_path / "whole.html").read_text(encoding="utf-8")
    alone = pickle.loads(pickle.dumps(report))
    assert alone == report
    findings = alone.to_html(tmp_path / "findings.html").read_text(encoding="utf-8")
    assert "Equity and drawdown" in page
    assert "Equity and drawdown" not in findings
