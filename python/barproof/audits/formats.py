"""A report as text, Markdown, SARIF and JUnit."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from barproof import _core
from barproof.audits.catalogue import AUDITS
from barproof.audits.model import OUTCOMES, Finding

if TYPE_CHECKING:
    from barproof.audits.report import Report

__all__ = ["junit", "markdown", "sarif", "text"]

MARKS = {
    "fail": "FAIL",
    "error": "ERR!",
    "inconclusive": "????",
    "warn": "WARN",
    "skipped": "skip",
    "pass": "pass",
}
_WORDS = {"warn": "warnings", "fail": "failed", "pass": "passed", "error": "crashed"}
_INDENT = 7


def summary(report: Report) -> str:
    """Write counts, the verdict and the exit code in one line."""
    told = []
    for outcome in ("pass", "warn", "fail", "error", "inconclusive", "skipped"):
        some = [f for f in report.findings if f.outcome == outcome]
        if not some:
            continue
        word = f"{len(some)} {_WORDS.get(outcome, outcome)}"
        told.append(word[:-1] if outcome == "warn" and len(some) == 1 else word)
    accepted = sum(f.waiver is not None for f in report.findings)
    if accepted:
        told.append(f"{accepted} waived")
    listed = ", ".join(told) or "nothing"
    return (
        f"{len(report)} audit{'s' * (len(report) != 1)}: {listed}   "
        f"verdict: {report.verdict}, exit {report.exit_code}"
    )


def text(report: Report, *, width: int, lines: int | None) -> str:
    """Worst first, at most `lines` lines, the summary last."""
    out: list[str] = []
    # Room for what was left out, what was skipped, and the summary.
    room = None if lines is None else max(lines - 5, 1)
    held = 0
    shown = [f for f in report.findings if f.outcome != "skipped"]
    for finding in shown:
        block = _block(finding, width)
        if room is not None and len(out) + len(block) > room:
            break
        out += block
        held += 1
    rest = shown[held:]
    if rest:
        failed = sum(f.outcome in ("fail", "error") for f in rest)
        more = f", {failed} of them failed" if failed else ""
        out.append(f"... and {len(rest)} more{more}: to_text(lines=None) shows all")
    line = summary(report)
    needs = [AUDITS[f.id].needs for f in report.findings if f.outcome == "skipped"]
    if needs:
        listed = "; ".join(dict.fromkeys(needs))
        out += _wrap(textwrap.shorten(f"skipped, for they need: {listed}", 3 * width), width)
    if report.verdict == "nothing proved":
        line += f" ({'; '.join(report.reasons[:2])})"
    return "\n".join([*out, line])


def _block(finding: Finding, width: int) -> list[str]:
    """Lines of one finding: what, why, what to do, where to look next."""
    head = f"{finding.id} {finding.severity} {MARKS[finding.outcome]}  {finding.title}"
    lines = _wrap(head, width)
    if finding.outcome in ("pass", "skipped"):
        return lines
    if finding.outcome != "error" and finding.gate is not None and finding.outcome == "fail":
        lines += _wrap(f"why: {finding.gate.why}", width, first=" " * _INDENT)
    if finding.waiver is not None:
        lines += _wrap(_waived(finding), width, first=" " * _INDENT)
    if finding.remedy:
        lines += _wrap(f"fix: {finding.remedy}", width, first=" " * _INDENT)
    if finding.cause and finding.outcome == "fail":
        lines += _wrap(f"next: {'; '.join(finding.cause)}", width, first=" " * _INDENT)
    return lines


def _waived(finding: Finding) -> str:
    """Say who has accepted it, until when and why."""
    held = finding.waiver or {}
    return f"waived by {held.get('owner')} until {held.get('expires')}: {held.get('reason')}"


def _wrap(line: str, width: int, first: str = "") -> list[str]:
    """Break a line at words, without characters that a terminal obeys."""
    return textwrap.wrap(
        _CONTROL.sub("", line),
        max(width, 40),
        initial_indent=first,
        subsequent_indent=" " * _INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )


def markdown(report: Report) -> str:
    """Verdict, table, and a section for each open finding."""
    out = [
        f"# Audit: {report.verdict}",
        "",
        f"{summary(report)}.",
        "",
        *[f"- {_line(reason)}" for reason in report.reasons],
        "",
        "| code | severity | outcome | finding |",
        "|---|---|---|---|",
    ]
    for f in report.findings:
        out.append(f"| {f.id} | {f.severity} | {f.outcome} | {_cell(f.title)} |")
    for f in report.findings:
        if f.outcome in ("pass", "skipped"):
            continue
        out += ["", f"## {f.id} {f.outcome}: {_line(f.title)}", ""]
        if f.gate is not None:
            out.append(f"- Gate ({f.gate.source}): {_line(f.gate.why)}")
        if f.waiver is not None:
            out.append(f"- {_line(_waived(f))}")
        out += [f"- Cause: {_line(cause)}" for cause in f.cause]
        if f.remedy:
            out.append(f"- Remedy: {_line(f.remedy)}")
        rows = f.evidence.get("rows") or []
        if rows and isinstance(rows[0], dict):
            names = list(rows[0])
            total = f.evidence.get("total", len(rows))
            out += ["", f"First {len(rows)} of {total}:", ""]
            out += [f"| {' | '.join(_cell(n) for n in names)} |", "|" + "---|" * len(names)]
            out += [f"| {' | '.join(_cell(row.get(n)) for n in names)} |" for row in rows]
    return "\n".join(out) + "\n"


# What moves a cursor or turns the direction of writing on a terminal.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff0-\uffff]"
)


def _line(value: Any) -> str:
    """One line of Markdown without tags of HTML and without links, whoever named the columns."""
    shown = _CONTROL.sub("", " ".join(str(value).split()))
    return shown.replace("<", "&lt;").replace("](", "]\\(")


def _cell(value: Any) -> str:
    """One cell of a table of Markdown."""
    return _line("" if value is None else value).replace("|", "\\|")


_LEVEL = {"fail": "error", "error": "error", "warn": "warning"}
_KIND = {
    "fail": "fail",
    "error": "fail",
    "warn": "fail",
    "pass": "pass",
    "inconclusive": "open",
    "skipped": "notApplicable",
}


def sarif(report: Report) -> dict[str, Any]:
    """Build the SARIF 2.1.0 log: a rule an audit, a result a finding."""
    codes = list(AUDITS)
    rules = [
        {
            "id": audit.code,
            "name": "".join(word.capitalize() for word in audit.slug.split("-")),
            "shortDescription": {"text": audit.name},
            "fullDescription": {"text": audit.what},
            "help": {"text": audit.why},
            "properties": {"severity": audit.severity, "group": audit.group},
        }
        for audit in AUDITS.values()
    ]
    results = []
    for f in report.findings:
        # Only a result of kind "fail" has a level.
        result: dict[str, Any] = {
            "ruleId": f.id,
            "kind": _KIND[f.outcome],
            "level": _LEVEL.get(f.outcome, "none"),
            "message": {"text": f"{f.title}. {f.remedy}".strip()},
            "locations": [
                {"logicalLocations": [{"name": str(v), "kind": k} for k, v in f.scope.items()]}
            ]
            if f.scope
            else [],
            "properties": {"outcome": f.outcome, "severity": f.severity, "evidence": f.evidence},
        }
        if f.waiver is not None:
            result["suppressions"] = [
                {"kind": "external", "status": "accepted", "justification": _waived(f)}
            ]
        if f.id in codes:
            result["ruleIndex"] = codes.index(f.id)
        results.append(result)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "barproof", "version": _core.__version__, "rules": rules}
                },
                "results": results,
                "invocations": [
                    {
                        "executionSuccessful": report.verdict != "crashed",
                        "exitCode": report.exit_code,
                    }
                ],
                "properties": {"verdict": report.verdict, "required": list(report.required)},
            }
        ],
    }


def junit(report: Report) -> str:
    """Build the JUnit document: a suite a group, a case a finding."""
    groups: dict[str, list[Finding]] = {}
    for f in report.findings:
        name = AUDITS[f.id].group if f.id in AUDITS else "unknown"
        groups.setdefault(name, []).append(f)
    root = ET.Element("testsuites", name="barproof audit")
    for name, found in groups.items():
        counts = {o: sum(f.outcome == o for f in found) for o in OUTCOMES}
        required = name in report.required
        waived = sum(f.waiver is not None for f in found)
        failures = counts["fail"] - waived + (counts["inconclusive"] if required else 0)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=name,
            tests=str(len(found)),
            failures=str(failures),
            errors=str(counts["error"]),
            skipped=str(counts["skipped"] + waived + (0 if required else counts["inconclusive"])),
        )
        for f in found:
            seconds = f.provenance.get("seconds") or 0.0
            case = ET.SubElement(
                suite,
                "testcase",
                classname=f"barproof.{name}",
                name=f"{f.id} {f.slug}",
                time=f"{float(seconds):.3f}",
            )
            body = _xml(f"{f.title}\n{f.remedy}")
            title = _xml(f.title)
            if f.outcome == "error":
                ET.SubElement(case, "error", message=title, type="error").text = _xml(
                    str(f.evidence.get("traceback", ""))
                )
            elif f.waiver is not None:
                ET.SubElement(case, "skipped", message=_xml(f"{f.title}; {_waived(f)}"))
            elif f.outcome == "fail" or (f.outcome == "inconclusive" and required):
                ET.SubElement(case, "failure", message=title, type=f.outcome).text = body
            elif f.outcome in ("skipped", "inconclusive"):
                ET.SubElement(case, "skipped", message=title)
            elif f.outcome == "warn":
                ET.SubElement(case, "system-out").text = body
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _xml(value: str) -> str:
    """Leave out what XML 1.0 cannot hold."""
    return "".join(
        c
        for c in value
        if c in "\t\n\r"
        or (ord(c) >= 32 and not 0xD800 <= ord(c) < 0xE000 and c not in "\ufffe\uffff")
    )
