"""Every code of the table: its planted fault is found, its clean fixture passes, degenerate inputs never do."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import audits
from barproof.audits import AUDITS, GROUPS, Finding
from barproof.audits._shown import SHOWN
from barproof.audits.model import Measured
from tests.audits.conftest import disagreement
from tests.audits.coverage import (
    ALLOWED,
    CODES,
    EXPLICIT,
    KINDS,
    OLDER,
    call,
    coverage_page,
    degenerate,
    planted,
)
from tests.audits.null_cases import COUNTED, NULLS

ROOT = Path(__file__).resolve().parents[2]
MEANT = 116
"""Audits of the specification."""


def told(finding: Finding, code: str) -> Finding:
    assert finding.id == code
    assert finding.severity == AUDITS[code].severity
    assert finding.title
    assert finding.gate is not None or finding.outcome not in ("pass", "warn", "fail")
    assert Finding.from_dict(json.loads(json.dumps(finding.to_dict(), allow_nan=False))) == finding
    return finding


def test_every_code_is_there() -> None:
    families = {code.partition("-")[0] for code in CODES}
    counts = {"DATA": 8, "LAB": 8, "SPL": 12, "PAR": 8, "CKP": 7, "PRED": 14, "CAL": 6, "ECO": 14}
    counts |= {"SIG": 11, "OVF": 11, "CLM": 10, "DEC": 7}
    wanted = {f"{family}-{k:02d}" for family, n in counts.items() for k in range(1, n + 1)}
    assert wanted <= set(AUDITS) and len(wanted) == MEANT
    assert set(AUDITS) - wanted == {*(f"FILL-{k:02d}" for k in range(1, 7)), "WVR-01"}
    assert list(AUDITS) == CODES
    assert set(counts) <= families
    assert len({audit.slug for audit in AUDITS.values()}) == len(AUDITS)
    assert {audit.group for audit in AUDITS.values()} <= set(GROUPS)


@pytest.mark.parametrize("code", CODES)
def test_planted_fault_is_found(code: str) -> None:
    setup, bad, _ = planted(code)
    finding = told(call(setup, bad)(), code)
    assert finding.outcome in ("fail", "warn"), finding.title
    assert finding.remedy, "says what to do"


@pytest.mark.parametrize("code", CODES)
def test_clean_fixture_passes(code: str) -> None:
    setup, _, good = planted(code)
    finding = told(call(setup, good)(), code)
    assert finding.outcome == "pass", finding.title


@pytest.mark.parametrize("code", CODES)
def test_degenerate_inputs_never_pass_and_never_raise(code: str) -> None:
    made = degenerate(code)
    assert made or code in EXPLICIT, "has no degenerate input"
    for kind, made_call in made.items():
        finding = told(made_call(), code)
        if finding.outcome == "pass":
            assert (code, kind) in ALLOWED, f"{kind}: {finding.title}"
    for kind, explicit in EXPLICIT.get(code, {}).items():
        finding = told(explicit(), code)
        assert finding.outcome not in ("pass", "error"), f"{kind}: {finding.title}"


def test_what_may_pass_does() -> None:
    for code, kind in ALLOWED:
        assert degenerate(code)[kind]().outcome == "pass", "no exception is needed"


@pytest.mark.parametrize("code", [code for code in NULLS if code in AUDITS])
def test_false_alarms_without_an_effect(code: str) -> None:
    null = NULLS[code]
    fired = sum(null.draw(seed).outcome in null.alarms for seed in range(null.draws))
    assert fired <= null.most, f"{fired} of {null.draws}"


def test_every_statistical_audit_is_calibrated() -> None:
    """Each has data without an effect, or rejects no hypothesis: one of both, never neither."""
    assert sorted([*NULLS, *COUNTED]) == sorted(AUDITS)


def test_a_finding_that_says_two_things_is_found() -> None:
    # Without a page it is none of those that the fixture watches.
    shown = replace(audits.exact_binomial(60, 100), docs="")
    assert shown.outcome == "pass" and shown.gate is not None and disagreement(shown) == ""
    share = replace(shown, measured=Measured("share", 0.6, n=100))
    assert disagreement(share) == "the gate holds: False"
    assert disagreement(replace(shown, measured=None)) == "nothing measured, or no gate"
    assert disagreement(replace(shown, gate=replace(shown.gate, threshold="soon"))) != ""
    assert disagreement(replace(shown, outcome="inconclusive")) == ""


@pytest.mark.parametrize("code", CODES)
def test_value_and_gate_give_the_outcome(code: str) -> None:
    """What was measured, held against the stated gate, is the outcome: of fault, clean case and degenerate input."""
    setup, bad, good = planted(code)
    for made in (call(setup, bad), call(setup, good), *degenerate(code).values()):
        assert disagreement(made()) == ""


@pytest.mark.parametrize("code", [code for code in CODES if AUDITS[code].bad])
def test_the_page_shows_what_the_example_prints(code: str) -> None:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(AUDITS[code].example[0], {"np": np, "pl": pl, "bp": bp})
    assert SHOWN[code].strip() == out.getvalue().strip(), "run tools/generate.py"
    assert code not in OLDER


@pytest.mark.parametrize("code", CODES)
def test_every_page_is_whole(code: str) -> None:
    audit = AUDITS[code]
    text = audit.text()
    parts = ("**Checks.**", "**Why.**", "**Formula.**", "**Gate.**", "A bad and a good example:")
    for part in (*parts, "```python", "```text", "**References.**"):
        assert part in text
    for field in ("needs", "what", "why", "formula", "gate", "references"):
        assert len(getattr(audit, field)) > 3, field
    page = ROOT / audit.docs.partition("#")[0]
    assert text in page.read_text(encoding="utf-8"), "run tools/generate.py"
    assert audits.explain(code) == text
    function = getattr(audits, audit.function)
    assert function.__doc__.startswith(f"{code}: ")


def test_the_table_of_tests_is_in_the_docs() -> None:
    page = (ROOT / "docs" / "audits" / "tests.md").read_text(encoding="utf-8")
    assert page == coverage_page(), "run tools/generate.py"
    for code in CODES:
        assert f"| {code} |" in page
    assert KINDS == ("empty", "one row", "missing", "infinite", "constant")


def arguments(code: str, which: int = 1) -> dict[str, Any]:
    """Arguments of an example by name."""
    import inspect

    setup, *calls = planted(code)
    made = call(setup, calls[which])
    names = list(inspect.signature(made.function).parameters)
    return {**dict(zip(names, made.args, strict=False)), **made.options}


def test_everything_through_one_door() -> None:
    clean = bp.audit(more={code: arguments(code) for code in CODES}, ledger=False)
    assert {f.outcome for f in clean} == {"pass"}, clean.to_text(lines=None)
    assert clean.verdict == "sound" and clean.required == GROUPS
    faulty = bp.audit(more={code: arguments(code, 0) for code in CODES}, ledger=False)
    assert {f.outcome for f in faulty} == {"fail", "warn"}
    assert faulty.verdict == "refuted"


def test_single_arguments_replace_what_else_was_given() -> None:
    returns = np.tile([0.02, -0.01], 200)
    report = bp.audit(trades=returns, more={"sample-size-gate": {"n": 12}}, ledger=False)
    assert report["SIG-01"].outcome == "inconclusive" and report["ECO-02"].outcome == "pass"
    assert (
        "checkpoints"
        in bp.audit(more={"CKP-01": {"stored": 1.0, "recomputed": 1.0}}, ledger=False).required
    )
    # A wrong argument is a crash of that audit alone.
    wrong = bp.audit(trades=returns, more={"CKP-01": {"saved": 1.0}}, ledger=False)
    assert wrong["CKP-01"].outcome == "error" and wrong["ECO-02"].outcome == "pass"


def test_without_resampling_nothing_is_claimed() -> None:
    report = bp.audit(trades=np.tile([0.02, -0.01], 200), resample=False, ledger=False)
    assert report["ECO-02"].outcome == "inconclusive" and report["ECO-01"].outcome == "pass"
    assert report.verdict == "nothing proved"
