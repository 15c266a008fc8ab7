"""Forms that other programs read: SARIF by the schema of OASIS, JUnit by the shape that servers read, JSON by ours."""

from __future__ import annotations

import hashlib
import html.parser
import importlib
import json
import re
import unicodedata
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof.audits import AUDITS, Gate, Measured
from barproof.audits.model import OUTCOMES, SEVERITIES
from barproof.audits.schema import report_schema

jsonschema: Any = importlib.import_module("jsonschema")
GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "schemas" / "sarif-schema-2.1.0.json"
SHA256 = "af47e7b67f24efe74076621fd3a5fbe7398add9e84fe820c971219a385895cea"
ODD = "a \x00<b> & ]]> \ud7ff | `x` \u202e \x1b[31m\n=1+1 \ufffe"


@cache
def sarif_schema() -> Any:
    data = GOLDEN.read_bytes()
    # A schema that was edited would hold nothing.
    assert hashlib.sha256(data).hexdigest() == SHA256
    document = json.loads(data)
    return jsonschema.validators.validator_for(document)(document)


def finding(code: str, outcome: str, **more: Any) -> bp.Finding:
    audit = AUDITS[code]
    given = {"severity": audit.severity, "title": f"{code} {outcome} {ODD}", "remedy": ODD, **more}
    return bp.Finding(id=code, slug=audit.slug, outcome=outcome, **given)  # type: ignore[arg-type]


def every_form() -> list[bp.Report]:
    """Reports with every outcome, every code, waivers, scopes, hostile texts, and none at all."""
    full = [
        finding(
            code,
            OUTCOMES[i % len(OUTCOMES)],
            scope={"symbol": ODD, "fold": i, "deep": {"a": [1, None]}},
            evidence={"rows": [{ODD: ODD, "x": np.nan}], "total": 3, "traceback": ODD},
            measured=Measured("x", float("nan"), n=3),
            gate=Gate(">", float("inf"), "default", ODD),
            cause=(ODD,),
        )
        for i, code in enumerate(AUDITS)
    ]
    days = {"created": "2029-12-01", "expires": "2030-01-01"}
    told = {"code": "ECO-12", "owner": ODD, "reason": ODD, **days}
    waiver = {**told, "accepts": 1.0, "scope": {"symbol": "X"}, "inputs": {}}
    waived = finding("ECO-12", "fail", waiver=waiver)
    real = bp.audit(trades=np.random.default_rng(4).normal(-0.004, 0.01, 300), ledger=False)
    candles = bp.simulate_candles(1, bars=300)
    priced = {
        "return": [0.1, 0.1],
        "entry_time": candles.open_time[10:12],
        "exit_time": candles.open_time[5:7],
        "entry_price": [1e-9, 1e9],
        "exit_price": [1.0, 1.0],
        "symbol": [ODD, ODD],
    }
    fills = bp.audit(trades=bp.read_trades(priced), candles=candles, ledger=False)
    return [
        bp.Report(tuple(full), ("economics",)),
        bp.Report((waived,), ()),
        bp.Report(()),
        real,
        fills,
    ]


@pytest.mark.parametrize("number", range(5))
def test_sarif_is_what_the_standard_says(number: int) -> None:
    report = every_form()[number]
    log = json.loads(report.to_sarif())
    errors = [f"{'/'.join(map(str, e.path))}: {e.message}" for e in sarif_schema().iter_errors(log)]
    assert errors == []
    check_sarif(log)


def check_sarif(log: dict[str, Any]) -> None:
    """Hold what the text of the standard asks for beyond its schema."""
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    # 3.19.23, 3.49.3: rules have ids, each its own.
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    # 3.49.7: a name is an identifier, in words that begin with capitals.
    assert all(re.fullmatch(r"([A-Z][a-z0-9]*)+", rule["name"]) for rule in driver["rules"])
    # 3.49.9 and 3.12.3: a text is plain.
    for rule in driver["rules"]:
        assert all(rule[key]["text"].strip() for key in ("shortDescription", "fullDescription"))
    for result in run["results"]:
        # 3.27.6: an index leads to the rule of the same id.
        assert ids[result["ruleIndex"]] == result["ruleId"]
        # 3.27.9, 3.27.10: what is no failure has the level none.
        assert (result["kind"] == "fail") == (result["level"] != "none")
        # 3.27.11: a message has a text.
        assert result["message"]["text"].strip()
        # 3.35: an external suppression says that it was accepted, and why.
        for one in result.get("suppressions", []):
            assert (
                one["kind"] == "external" and one["status"] == "accepted" and one["justification"]
            )
    # 3.20.14, 3.20.15: what crashed was no success.
    (invocation,) = run["invocations"]
    crashed = any(r["properties"]["outcome"] == "error" for r in run["results"])
    assert invocation["executionSuccessful"] is not crashed


def test_the_schema_refuses_what_it_should() -> None:
    """Or the test above could not fail."""
    changes: tuple[Callable[[Any], object], ...] = (
        lambda log: log.pop("version"),
        lambda log: log.update(version="2.0.0"),
        lambda log: log["runs"][0]["tool"]["driver"].pop("name"),
        lambda log: log["runs"][0]["results"][0].update(level="critical"),
        lambda log: log["runs"][0]["results"][0].update(kind="warn"),
        lambda log: log["runs"][0]["results"][0].pop("message"),
        lambda log: log["runs"][0]["results"][0].update(ruleIndex=-2),
        lambda log: log["runs"][0]["results"][0].update(mine=1),
        lambda log: log["runs"][0]["invocations"][0].pop("executionSuccessful"),
        lambda log: log["runs"][0]["results"][0].update(suppressions=[{"kind": "mine"}]),
    )
    for change in changes:
        log = json.loads(every_form()[3].to_sarif())
        change(log)
        assert list(sarif_schema().iter_errors(log))


# Elements and attributes as Jenkins reads them, junit-10.xsd of its xunit-plugin: required, then others.
JUNIT: dict[str, tuple[set[str], set[str], set[str]]] = {
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname", "id", "package"},
        {"properties", "testcase", "system-out", "system-err"},
    ),
    "testcase": (
        {"name"},
        {"classname", "time", "group"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "skipped": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "failure": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}


def check_junit(text: str) -> ET.Element:
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n')
    root = ET.fromstring(text.encode())
    assert root.tag == "testsuites"
    for element in root.iter():
        needed, known, inside = JUNIT[element.tag]
        assert needed <= set(element.attrib) <= needed | known, element.tag
        assert {child.tag for child in element} <= inside, element.tag
        if inside:
            assert not (element.text or "").strip(), f"text in {element.tag}"
        for name in {"tests", "failures", "errors", "skipped"} & set(element.attrib):
            assert re.fullmatch(r"\d+", element.attrib[name])
        assert re.fullmatch(r"\d+\.\d{3}", element.attrib.get("time", "0.000"))
    for suite in root:
        for count, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            # Nothing is two things at once.
            assert int(suite.attrib[count]) == len(list(suite.iter(tag)))
        assert int(suite.attrib["tests"]) == len(list(suite)) == len(suite.findall("testcase"))
        for case in suite:
            assert len([c for c in case if c.tag in ("failure", "error", "skipped")]) <= 1
            assert case.attrib["classname"] and case.attrib["name"]
    return root


@pytest.mark.parametrize("number", range(5))
def test_junit_has_the_shape_that_servers_read(number: int) -> None:
    report = every_form()[number]
    root = check_junit(report.to_junit())
    cases = {c.attrib["name"].split()[0]: c for c in root.iter("testcase")}
    assert set(cases) == {f.id for f in report}
    for f in report:
        tags = {child.tag for child in cases[f.id]}
        required = AUDITS[f.id].group in report.required
        if f.outcome == "fail":
            assert tags == ({"skipped"} if f.waiver else {"failure"})
        elif f.outcome == "inconclusive":
            assert tags == ({"failure"} if required else {"skipped"})
        else:
            want = {
                "error": {"error"},
                "skipped": {"skipped"},
                "warn": {"system-out"},
                "pass": set(),
            }
            assert tags == want[f.outcome]


@pytest.mark.parametrize("number", range(5))
def test_json_is_what_we_publish(number: int) -> None:
    report = every_form()[number]
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(report.to_json()))
    assert bp.Report.from_json(report.to_json()) == report


class Tags(html.parser.HTMLParser):
    """Tags of a text; Markdown hands them on to a browser."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Keep it."""
        self.found.append(tag)


@pytest.mark.parametrize("number", range(5))
def test_markdown_has_whole_tables_and_no_tags(number: int) -> None:
    text = every_form()[number].to_markdown()
    tags = Tags()
    tags.feed(text)
    assert tags.found == []
    # Controls, marks that turn the direction of writing, and halves of characters.
    assert not {unicodedata.category(c) for c in text if c != "\n"} & {"Cc", "Cf", "Cs"}
    width = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        columns = len(re.findall(r"(?<!\\)\|", line))
        assert width in (0, columns), line
        width = columns


hostile = st.text(max_size=40) | st.sampled_from(
    [ODD, "|", "](javascript:x)", "<script>", "]]>", "--"]
)
findings = st.builds(
    finding,
    st.sampled_from(sorted(AUDITS)),
    st.sampled_from(OUTCOMES),
    severity=st.sampled_from(SEVERITIES),
    title=hostile,
    remedy=hostile,
    cause=st.lists(hostile, max_size=2).map(tuple),
    scope=st.dictionaries(hostile, hostile | st.integers() | st.floats(), max_size=2),
    evidence=st.dictionaries(hostile, hostile | st.lists(st.floats(), max_size=2), max_size=3),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(findings, max_size=4))
def test_whatever_a_finding_says(held: list[bp.Finding]) -> None:
    report = bp.Report(tuple(held), ())
    log = json.loads(report.to_sarif())
    assert list(sarif_schema().iter_errors(log)) == []
    check_junit(report.to_junit())
    jsonschema.Draft202012Validator(report_schema()).validate(json.loads(report.to_json()))
