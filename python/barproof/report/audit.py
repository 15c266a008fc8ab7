"""The section of an audit's findings, worst first."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from barproof.report import formats
from barproof.report.inputs import AuditLike, FindingLike
from barproof.report.page import Section, details
from barproof.report.tables import Html, data_table, esc, facts
from barproof.report.verdict import FAILED, anchor, badge, linked, named, page_of, upper

__all__ = ["audit_facts", "findings_section", "measured_text"]

OPENED = 3
"""Failures that are unfolded; more would hide the result below them."""

ROWS, COLUMNS, ITEMS, LETTERS = 50, 16, 12, 2_000
"""What is shown of evidence at most."""

OPERATORS = {
    "<=": "at most",
    "<": "below",
    ">=": "at least",
    ">": "above",
    "=": "exactly",
    "==": "exactly",
}


def findings_section(audit: AuditLike) -> Section:
    """Build the section of the findings.

    Parameters
    ----------
    audit : Report
        What :func:`barproof.audit` returned; its findings stand worst first.

    Returns
    -------
    Section
        Findings that failed or stayed open as cards that unfold, those that passed as a table; those that were skipped
        stand where it says what was not checked.
    """
    codes = {f.id for f in audit.findings}
    some = [f for f in audit.findings if f.outcome not in ("pass", "skipped")]
    passed = [f for f in audit.findings if f.outcome == "pass"]
    unfolded = [f.id for f in some if f.outcome in FAILED][:OPENED]
    parts: list[str] = []
    if not audit.findings:
        parts.append("<p>No audit ran: there is nothing to find here.</p>")
    elif not some:
        parts.append(
            "<p>Nothing failed, and no question stayed open among the audits that ran.</p>"
        )
    parts += [_item(f, codes, is_open=f.id in unfolded) for f in some]
    if passed:
        rows = [
            [named(f), f.severity, linked(upper(f.title), ()), measured_text(f)] for f in passed
        ]
        table = data_table(
            ["Code", "Severity", "Finding", "Measured"],
            rows,
            caption="Audits that passed",
            text_columns=(0, 1, 2, 3),
            visible_caption=False,
            prose=(2, 3),
        )
        parts.append(details(f"Passed: {formats.plural(len(passed), 'audit')}", table))
    return Section("findings", "Findings, worst first", "".join(parts))


def audit_facts(audit: AuditLike) -> list[tuple[str, Any]]:
    """List what was audited and by what, for the provenance."""
    pairs = [("audit: required groups", ", ".join(audit.required) or "none")]
    pairs += [(f"audited: {_name(k)}", _text(k, v)) for k, v in audit.inputs.items()]
    pairs += [(f"audit: {_name(k)}", _text(k, v)) for k, v in audit.provenance.items()]
    return pairs


def _item(finding: FindingLike, codes: Collection[str], *, is_open: bool) -> str:
    """Lay out one finding: what was measured against which gate, why it matters, what to do, its evidence."""
    page = page_of(finding.id)
    name = page.name if page is not None else _name(finding.slug)
    judged: list[tuple[str, Any]] = []
    if finding.measured is not None:
        judged.append(("Measured", _measured(finding.measured)))
    if finding.gate is not None:
        judged.append(("Gate", linked(_gate(finding), codes)))
    pairs: list[tuple[str, Any]] = []
    if finding.cause:
        causes = "".join(f"<li>{linked(c, codes)}</li>" for c in finding.cause)
        pairs.append(("Likely causes", Html(f"<ol>{causes}</ol>")))
    if finding.remedy:
        hint = '<span class="hint">mechanical</span>' if finding.fixable else ""
        remedy = linked(upper(finding.remedy), codes)
        pairs.append(("What to do", Html(f"<strong>{remedy}</strong>{hint}")))
    if finding.scope:
        pairs.append(("Scope", _pairs(finding.scope)))
    if finding.assumptions:
        pairs.append(("Assumptions", _pairs(finding.assumptions)))
    if finding.waiver:
        pairs.append(("Waived", _pairs(finding.waiver)))
    if page is not None:
        pairs.append(("What it checks", linked(page.what, ())))
        pairs.append(("Why it matters", linked(page.why, ())))
    explain = f"<code>barproof explain {esc(finding.id)}</code>"
    docs = f", <code>{esc(finding.docs)}</code>" if finding.docs else ""
    pairs.append(("More", Html(explain + docs)))
    known = {name: finding.provenance.get(name) for name in ("seed", "seconds")}
    own = {name: value for name, value in known.items() if value is not None}
    if own:
        pairs.append(("Computed with", _pairs(own)))
    body = facts(judged, kind="finding") if judged else ""
    body += _evidence(finding) + facts(pairs, kind="finding")
    title = linked(upper(finding.title), ())
    do = ""
    if finding.remedy:
        do = f'<span class="do"><b>What to do:</b> {linked(upper(finding.remedy), ())}</span>'
    return (
        f'<details class="finding level-{esc(finding.outcome)}" id="{anchor(finding.id)}"'
        f"{' open' if is_open else ''}><summary>"
        f'<span class="head">{badge(finding.outcome)}<span class="code">{esc(finding.id)}</span>'
        f'<span class="severity">{esc(finding.severity)}</span>'
        f'<span class="what"><span class="title">{title}</span>'
        f'<span class="name">{esc(name)}</span>{do}</span></span></summary>{body}</details>'
    )


def _share(value: Any) -> str:
    """Format a fraction as per cent with as many digits as it takes to see it."""
    x = abs(formats.as_float(value))
    if not np.isfinite(x) or x == 0 or x >= 0.01:
        return formats.percent(value)
    return formats.percent(value, 3) if x >= 1e-4 else f"{formats.show(float(value) * 100)}%"


def _number(value: Any, unit: str) -> str:
    if value is None:
        return "undefined"
    if isinstance(value, str):
        return value
    if unit == "fraction":
        return _share(value)
    x = formats.as_float(value)
    text = formats.count(int(x)) if x.is_integer() and abs(x) < 1e15 else formats.show(value)
    return text if unit in ("", "count") else f"{text} {unit}"


def measured_text(finding: FindingLike) -> str:
    """Say what a finding measured in one line: value, interval, number of observations."""
    m = finding.measured
    if m is None:
        return ""
    interval = ""
    if m.low is not None and m.high is not None:
        interval = f" [{_number(m.low, m.unit)}, {_number(m.high, m.unit)}]"
    n = f", n = {formats.count(m.n)}" if m.n is not None else ""
    return f"{m.name} {_number(m.value, m.unit)}{interval}{n}"


def _measured(m: Any) -> Html:
    """Format what was measured, with its interval and number of rows."""
    head = f"<strong>{esc(m.name)} {esc(_number(m.value, m.unit))}</strong>"
    told = [m.form] if m.form else []
    if m.low is not None and m.high is not None:
        level = f"{_share(m.level).replace('.00%', '%')} interval " if m.level is not None else ""
        method = f" ({m.method})" if m.method else ""
        told.append(f"{level}{_number(m.low, m.unit)} to {_number(m.high, m.unit)}{method}")
    if m.n is not None:
        told.append(f"n = {formats.count(m.n)}")
    if m.n_eff is not None:
        told.append(f"worth {formats.number(m.n_eff, 0)} independent ones")
    if m.p_value is not None:
        told.append(f"p = {formats.show(float(m.p_value)) if m.p_value else '0'}")
    if m.reason:
        told.append(m.reason)
    return Html(head + (f"; {esc('; '.join(told))}" if told else ""))


def _gate(finding: FindingLike) -> str:
    gate = finding.gate
    unit = finding.measured.unit if finding.measured is not None else ""
    bound = ""
    if gate.threshold is not None:
        operator = OPERATORS.get(str(gate.operator), str(gate.operator))
        bound = f"{operator} {_number(gate.threshold, unit)}".strip()
    source = f" ({gate.source})" if gate.source else ""
    why = f": {gate.why}" if gate.why else ""
    return f"{bound}{source}{why}".strip().removeprefix(": ")


def _name(key: Any) -> str:
    return str(key).replace("_", " ").replace("-", " ")


def _pairs(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{_name(k)}: {_text(k, v)}" for k, v in values.items())


def _text(key: Any, value: Any) -> str:
    """Format a value of evidence on one line."""
    if value is None:
        return formats.MISSING
    if isinstance(value, Mapping):
        return _pairs(value)
    if isinstance(value, list | tuple):
        shown = ", ".join(_text(key, v) for v in value[:ITEMS])
        rest = len(value) - ITEMS
        return f"{shown} and {formats.count(rest)} more" if rest > 0 else shown or "none"
    whole = isinstance(value, int) and not isinstance(value, bool)
    if whole and "time" in str(key) and value > 10**11:
        return formats.time(value)
    text = formats.show(value)
    return text if len(text) <= LETTERS else f"{text[:LETTERS]} ..."


def _evidence(finding: FindingLike) -> str:
    """Lay out evidence: offending rows as a table, numbers as a list, long texts as they are."""
    given = dict(finding.evidence)
    rows = given.pop("rows", None)
    total = given.pop("total", None)
    parts: list[str] = []
    if isinstance(rows, list) and rows:
        count = int(total) if isinstance(total, int | float) else len(rows)
        caption = f"Evidence: {len(rows)} of {count:,}" if count > len(rows) else "Evidence"
        parts.append(_rows(rows, caption))
    elif total:
        given["total"] = total
    simple: list[tuple[str, Any]] = []
    for key, value in given.items():
        base = key.removesuffix("_reason")
        if base != key and base in given:
            continue
        if isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            parts.append(_rows(value, _name(key).capitalize()))
        elif isinstance(value, str) and ("\n" in value or len(value) > 160):
            parts.append(_long(_name(key).capitalize(), value))
        else:
            why = given.get(f"{key}_reason")
            simple.append((_name(key), _text(key, value) + (f" ({why})" if why else "")))
    if simple:
        parts.insert(0, f'<p class="label">Evidence</p>{facts(simple, kind="evidence")}')
    return "".join(parts)


def _long(name: str, text: str) -> str:
    # The end of a traceback says what happened.
    shown = text if len(text) <= LETTERS else f"... {text[-LETTERS:]}"
    return (
        f'<p class="label">{esc(name)}</p><pre class="long" tabindex="0" role="region" '
        f'aria-label="{esc(name)}">{esc(shown)}</pre>'
    )


def _rows(rows: Sequence[Any], caption: str) -> Html:
    """Lay out offending rows as a table, the first ones and columns alone."""
    shown = [row if isinstance(row, Mapping) else {"value": row} for row in rows[:ROWS]]
    names = list(dict.fromkeys(str(k) for row in shown for k in row))[:COLUMNS]
    if not names:
        return Html(f"<pre>{esc(json.dumps(list(rows[:ROWS]), default=str))}</pre>")
    cells = [[_text(n, row[n]) if n in row else "" for n in names] for row in shown]
    words = [i for i, n in enumerate(names) if any(isinstance(row.get(n), str) for row in shown)]
    return data_table(
        [_name(n) for n in names],
        cells,
        caption=caption,
        text_columns=(0, *words),
        compact=True,
    )
