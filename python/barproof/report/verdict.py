"""The verdict that a page opens with: a word, the sentence why, what it means, and the counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from barproof.report import formats
from barproof.report.caveats import FEW_TRADES
from barproof.report.inputs import AuditLike, FindingLike
from barproof.report.tables import Html, esc

__all__ = [
    "FAILED",
    "OUTCOMES",
    "SEVERITIES",
    "anchor",
    "badge",
    "linked",
    "named",
    "page_of",
    "sentence",
    "upper",
    "verdict_banner",
    "verdict_text",
]

SEVERITIES = ("critical", "high", "medium", "low", "info")
"""Worst first."""

FAILED = ("fail", "error")

OUTCOMES = {
    "error": "Crashed",
    "fail": "Failed",
    "inconclusive": "Inconclusive",
    "warn": "Warning",
    "skipped": "Skipped",
    "pass": "Passed",
}
"""Outcomes, worst first, and how a reader is told of them."""

NOUNS = {
    "error": ("crashed", "crashed"),
    "fail": ("failed", "failed"),
    "inconclusive": ("inconclusive", "inconclusive"),
    "warn": ("warning", "warnings"),
    "skipped": ("skipped", "skipped"),
    "pass": ("passed", "passed"),
}

# A shape beside each word and colour, so that the verdict needs neither colours nor reading glasses.
MARKS = {"sound": "✓", "refuted": "✕", "crashed": "!", "nothing proved": "?"}

MEANINGS = {
    "refuted": (
        "Mend what failed before believing any number on this page: a fault of this kind makes a strategy look good "
        "that is not, or shows that it loses."
    ),
    "nothing proved": (
        "No audit refuted the strategy, and none showed that it earns. Without an answer there is no evidence in its "
        "favour, however good the numbers below look."
    ),
    "crashed": (
        "What crashed is neither a pass nor a fail, and the verdict waits for it: look at the traceback, mend the "
        "cause and audit again."
    ),
    "sound": (
        "This is no promise about the future and no advice to trade. It says that the evidence, on these bars and with "
        "simulated fills and costs, withstood the checks listed here; other faults may remain."
    ),
}

QUOTED = re.compile("`([^`]+)`")

SIMULATED = "The market is simulated: nothing follows for a real one."


def anchor(code: str) -> str:
    """Give the identifier of a finding on the page."""
    return "finding-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in str(code))


def badge(outcome: str) -> Html:
    """Write an outcome as a coloured word."""
    word = OUTCOMES.get(outcome, outcome)
    return Html(f'<span class="outcome level-{esc(outcome)}">{esc(word)}</span>')


def linked(text: str, codes: Collection[str]) -> Html:
    """Escape a text, set what stands in backticks as code, and link every code that has a finding on the page."""
    words = []
    for word in str(text).split(" "):
        bare = word.strip("().,;:")
        if bare in codes:
            before, after = word.split(bare, 1)
            words.append(f'{esc(before)}<a href="#{anchor(bare)}">{esc(bare)}</a>{esc(after)}')
        else:
            words.append(str(esc(word)))
    return Html(QUOTED.sub(r"<code>\1</code>", " ".join(words)))


def named(finding: FindingLike) -> Html:
    """Give the code of a finding as the place that links lead to."""
    return Html(f'<span id="{anchor(finding.id)}">{esc(finding.id)}</span>')


def page_of(code: str) -> Any:
    """Give the audit's own page, or None for an audit of somebody else."""
    from barproof.audits.catalogue import AUDITS

    return AUDITS.get(code)


def upper(text: str) -> str:
    """Begin a text with a capital."""
    return text[:1].upper() + text[1:]


def sentence(text: str) -> str:
    """End a text with a full stop, whatever it ended with."""
    return f"{str(text).rstrip(' .;')}."


def verdict_text(audit: AuditLike) -> tuple[str, str]:
    """Say the verdict in words.

    Parameters
    ----------
    audit : Report
        What :func:`barproof.audit` returned.

    Returns
    -------
    headline, why : str
        The verdict as a word or two, and why it is so, as plain text.
    """
    reasons = {
        "refuted": _refuted,
        "crashed": _crashed,
        "nothing proved": _unproved,
        "sound": _sound,
    }
    verdict = str(audit.verdict)
    why = reasons[verdict](audit) if verdict in reasons else _told(audit.reasons)
    return verdict[:1].upper() + verdict[1:], why


def _told(reasons: Iterable[str]) -> str:
    return " ".join(sentence(reason) for reason in reasons)


def _at_least(findings: Iterable[FindingLike], severity: str) -> list[FindingLike]:
    bar = SEVERITIES.index(severity)
    return [f for f in findings if f.severity in SEVERITIES[: bar + 1]]


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _by_severity(findings: Sequence[FindingLike]) -> str:
    counts = Counter(f.severity for f in findings)
    parts = [f"{counts[s]:,} {s}" for s in SEVERITIES if counts[s]]
    return f"{_listed(parts)} finding{'' if len(findings) == 1 else 's'}"


def _refuted(audit: AuditLike) -> str:
    failed = [f for f in audit.findings if f.outcome == "fail"]
    failed = _at_least(failed, audit.fail_on)
    if not failed:
        return _told(audit.reasons)
    worst = failed[0]
    lead = "The worst is " if len(failed) > 1 else ""
    return f"{_by_severity(failed)} failed. {lead}{worst.id}: {sentence(worst.title)}"


def _crashed(audit: AuditLike) -> str:
    crashed = [f for f in audit.findings if f.outcome == "error"]
    if not crashed:
        return _told(audit.reasons)
    head = f"{formats.plural(len(crashed), 'audit')} crashed."
    failed = sum(f.outcome == "fail" for f in audit.findings)
    more = f" Of the others {failed} failed." if failed else ""
    return f"{head} {crashed[0].id}: {sentence(crashed[0].title)}{more}"


def _unproved(audit: AuditLike) -> str:
    """Say what is open; what an inconclusive audit measured says more than its code."""
    reasons = list(audit.reasons)
    by_code = {f.id: f for f in audit.findings}
    found = [(reason, by_code.get(reason.split(" ", 1)[0])) for reason in reasons]
    # Whether the mean trade earns is the question that everybody came with.
    found.sort(key=lambda item: item[1] is None or not item[1].id.startswith("ECO-02"))
    if not found:
        return "No audit came to a result."
    reason, finding = found[0]
    text = reason
    if finding is not None:
        text = _money(finding, "could be zero") or f"{finding.id}: {finding.title}"
    rest = len(found) - 1
    more = f" {formats.plural(rest, 'further question')} of the required audits stayed open."
    if rest == 1:
        more = " One further question of the required audits stayed open."
    return sentence(text[:1].upper() + text[1:]) + (more if rest else "")


def _money(finding: FindingLike, verb: str) -> str:
    """Say what the mean trade is, with its interval; empty if the finding is about something else."""
    m = finding.measured
    if finding.id != "ECO-02" or m is None or None in (m.value, m.low, m.high):
        return ""
    # Few trades say nothing whatever their interval: then the audit's own reason counts.
    few = m.n is not None and m.n < FEW_TRADES
    if verb == "could be zero" and (few or not m.low <= 0 <= m.high):
        return ""
    mean, low, high = (_signed(v) for v in (m.value, m.low, m.high))
    level = f"{m.level:.0%} interval" if m.level is not None else "interval"
    trades = f" over {formats.plural(m.n, 'trade')}" if m.n is not None else ""
    return f"The mean trade {verb}: {mean} after costs{trades}, {level} {low} to {high} (ECO-02)"


def _signed(value: float) -> str:
    text = formats.percent(value, 3)
    return f"+{text}" if value > 0 else text


def _sound(audit: AuditLike) -> str:
    """Say what a sound verdict rests on, what lies below its bar, and whether money was shown."""
    required = list(audit.required)
    bar = f"at severity {audit.fail_on} or above"
    if audit.fail_on == "critical":
        bar = "at severity critical"
    head = f"Every required group of audits came to a result and none failed {bar}."
    if not required:
        head = f"No audit that ran failed {bar}; none was required."
    below = [f for f in audit.findings if f.outcome == "fail"]
    if below:
        head += f" Below that, {_by_severity(below)} failed."
    warned = sum(f.outcome == "warn" for f in audit.findings)
    if warned:
        head += (
            f" {formats.plural(warned, 'warning')} {'asks' if warned == 1 else 'ask'} for a reason."
        )
    unclear = sum(f.outcome == "inconclusive" for f in audit.findings)
    if unclear:
        head += f" {formats.plural(unclear, 'audit')} stayed inconclusive."
    # The one measurement that is about money.
    money = next((f for f in audit.findings if f.id == "ECO-02" and f.outcome == "pass"), None)
    if money is None:
        return f"{head} Whether the strategy earns was not shown."
    return f"{head} {sentence(_money(money, 'earned') or f'{money.id}: {money.title}')}"


def verdict_banner(audit: AuditLike, *, simulated: bool = False) -> Html:
    """Lay out the verdict.

    Parameters
    ----------
    audit : Report
        What :func:`barproof.audit` returned.
    simulated : bool, default False
        Whether the market is simulated.

    Returns
    -------
    Html
        A section with the word, the reason, the meaning, the counts by outcome, and the exit code.
    """
    word, why = verdict_text(audit)
    codes = {f.id for f in audit.findings}
    verdict = str(audit.verdict)
    meaning = MEANINGS.get(verdict, "")
    if simulated:
        meaning = f"{meaning} {SIMULATED}".strip()
    kind = verdict.replace(" ", "-")
    return Html(
        f'<section id="verdict" class="verdict verdict-{esc(kind)}" aria-labelledby="verdict-title">'
        f'<h2 id="verdict-title"><span class="mark" aria-hidden="true">{MARKS.get(verdict, "")}</span>'
        f'<span><span class="aloud">Verdict: </span>{esc(word)}</span></h2>'
        f'<p class="why">{linked(why, codes)}</p><p class="means">{esc(meaning)}</p>{_counts(audit)}</section>'
    )


def _counts(audit: AuditLike) -> str:
    """Count findings by outcome, and by severity where it matters."""
    items = [f"<li><strong>{formats.plural(len(audit.findings), 'audit')}</strong></li>"]
    for outcome, (one, many) in NOUNS.items():
        some = [f for f in audit.findings if f.outcome == outcome]
        if not some:
            continue
        counts = Counter(f.severity for f in some)
        told = ", ".join(f"{counts[s]} {s}" for s in SEVERITIES if counts[s])
        more = f" <small>({esc(told)})</small>" if outcome not in ("pass", "skipped") else ""
        noun = one if len(some) == 1 else many
        told = f'<span class="outcome level-{outcome}">{len(some)} {noun}</span>'
        if outcome == "skipped":
            told = f'<a href="#unchecked">{told}</a>'
        items.append(f"<li>{told}{more}</li>")
    items.append(f"<li>Exit code <strong>{esc(audit.exit_code)}</strong></li>")
    return f'<ul class="counts" aria-label="Findings by outcome">{"".join(items)}</ul>'
