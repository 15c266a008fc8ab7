"""`Report`: the findings of one run of the audits, and the verdict that they add up to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import polars as pl

from barproof._shown import shown
from barproof.audits.catalogue import AUDITS
from barproof.audits.model import OUTCOMES, SEVERITIES, Finding, Outcome, Severity, plain
from barproof.errors import ParameterError

__all__ = ["SCHEMA", "VERDICTS", "Diff", "Report", "Verdict"]

SCHEMA = "barproof-audit/1"
"""Version of what :meth:`Report.to_json` writes."""

Verdict = Literal["sound", "refuted", "crashed", "nothing proved"]
VERDICTS: dict[Verdict, int] = {"sound": 0, "refuted": 1, "crashed": 3, "nothing proved": 4}
"""Exit code of each verdict."""

# What failed stands before what is open, and that before what holds.
_TIER = {"error": 0, "fail": 0, "inconclusive": 1, "warn": 1, "skipped": 2, "pass": 3}
_OPEN = ("error", "fail", "inconclusive", "warn")


@dataclass(frozen=True)
class Diff:
    """What changed between two reports.

    Attributes
    ----------
    new : tuple of Finding
        Open now, and not before.
    fixed : tuple of Finding
        Passed now, and open before.
    changed : tuple of (Finding, Finding)
        Before and now, of findings whose outcome or numbers are others, and that are neither new nor fixed.
    """

    new: tuple[Finding, ...]
    fixed: tuple[Finding, ...]
    changed: tuple[tuple[Finding, Finding], ...]

    def __str__(self) -> str:
        lines = [f"new      {f.id} {f.outcome}: {f.title}" for f in self.new]
        lines += [f"fixed    {f.id}: {f.title}" for f in self.fixed]
        lines += [f"changed  {b.id} {a.outcome} -> {b.outcome}: {b.title}" for a, b in self.changed]
        return "\n".join(lines) or "nothing changed"


@shown(lambda self: self.to_frame().filter(pl.col("outcome") != "skipped").drop("slug", "group"))
@dataclass(frozen=True)
class Report:
    """Findings, worst first, and what they add up to.

    What failed or crashed comes first, then what is inconclusive or a warning, then what was skipped or passed; within
    each by severity.

    Attributes
    ----------
    findings : tuple of Finding
        One an audit.
    required : tuple of str
        Groups without whose evidence the run proves nothing.
    fail_on : {"critical", "high", "medium", "low", "info"}
        Least severity at which a failure refutes.
    inputs : dict
        What was audited: digests and sizes.
    provenance : dict
        Version, seed, seconds, entry in the ledger.
    schema : str
        Version of the JSON form.
    """

    findings: tuple[Finding, ...]
    required: tuple[str, ...] = ()
    fail_on: Severity = "high"
    inputs: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    schema: str = SCHEMA
    # What was audited, for the page alone: no part of what the report is, nor of what is written or pickled.
    _audited: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(sorted(self.findings, key=_worst)))
        object.__setattr__(self, "required", tuple(self.required))
        for name in ("inputs", "provenance"):
            object.__setattr__(self, name, plain(getattr(self, name)))

    def __hash__(self) -> int:
        return hash(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __getitem__(self, code: str) -> Finding:
        """Find what an audit found, by code or slug."""
        for finding in self.findings:
            if code in (finding.id, finding.slug):
                return finding
        have = [f.id for f in self.findings]
        near = get_close_matches(str(code).upper(), have, n=3, cutoff=0.5) or have
        raise ParameterError(
            f"no finding {code!r} in this report; it has {', '.join(near) or 'none'}"
        )

    def __contains__(self, code: object) -> bool:
        return any(code in (f.id, f.slug) for f in self.findings)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """Findings by outcome and severity, zeros left out."""
        pairs = Counter((f.outcome, f.severity) for f in self.findings)
        return {
            o: {s: pairs[o, s] for s in SEVERITIES if pairs[o, s]}
            for o in OUTCOMES
            if any(pairs[o, s] for s in SEVERITIES)
        }

    @property
    def verdict(self) -> Verdict:
        """``"sound"``, ``"refuted"``, ``"crashed"`` or ``"nothing proved"``."""
        return self._judged[0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the verdict is what it is, one sentence each."""
        return self._judged[1]

    @property
    def exit_code(self) -> int:
        """0 sound, 1 refuted, 3 crashed, 4 nothing proved."""
        return VERDICTS[self.verdict]

    @property
    def _judged(self) -> tuple[Verdict, tuple[str, ...]]:
        """Verdict and its reasons: what crashed, what refutes, what is open, else sound."""
        crashed = [f for f in self.findings if f.outcome == "error"]
        if crashed:
            return "crashed", tuple(f"{f.id} crashed" for f in crashed)
        bar = SEVERITIES.index(self.fail_on)
        refuted = [
            f
            for f in self.findings
            if f.outcome == "fail" and SEVERITIES.index(f.severity) <= bar and f.waiver is None
        ]
        if refuted:
            return "refuted", tuple(f"{f.id} failed" for f in refuted)
        open_questions = self._unproved()
        if open_questions:
            return "nothing proved", tuple(open_questions)
        waived = tuple(
            f"{f.id} failed and is waived by {(f.waiver or {}).get('owner')}" for f in self.waived()
        )
        unwaived = " without a waiver" if waived else ""
        return "sound", (f"no audit failed at severity {self.fail_on} or above{unwaived}", *waived)

    def _unproved(self) -> list[str]:
        """List what keeps a report without failures from being sound."""
        ran = [f for f in self.findings if f.outcome not in ("skipped", "inconclusive")]
        if not ran:
            return ["no audit came to a result"]
        told = []
        for group in self.required:
            inside = [f for f in self.findings if _group(f) == group]
            if not any(f in ran for f in inside):
                told.append(f"nothing in the group {group} came to a result")
            told += [
                f"{f.id} is inconclusive"
                for f in inside
                if f.outcome == "inconclusive" and f.severity == "critical"
            ]
        return told

    def failed(self) -> tuple[Finding, ...]:
        """List what failed or crashed, worst first.

        Returns
        -------
        tuple of Finding
            Whatever their severity.
        """
        return tuple(f for f in self.findings if f.outcome in ("fail", "error"))

    def waived(self) -> tuple[Finding, ...]:
        """List failures that somebody has accepted.

        Returns
        -------
        tuple of Finding
            Each with its `waiver`.
        """
        return tuple(f for f in self.findings if f.waiver is not None)

    def diff(self, previous: Report) -> Diff:
        """Compare with an earlier report.

        Parameters
        ----------
        previous : Report
            The earlier one.

        Returns
        -------
        Diff
            What is new, fixed and changed.
        """
        before = {f.id: f for f in previous.findings}
        new, fixed, changed = [], [], []
        for now in self.findings:
            was = before.get(now.id)
            if now.outcome in _OPEN and (was is None or was.outcome not in _OPEN):
                new.append(now)
            elif was is not None and now.outcome == "pass" and was.outcome in _OPEN:
                fixed.append(now)
            elif was is not None and (was.outcome, was.title, was.measured) != (
                now.outcome,
                now.title,
                now.measured,
            ):
                changed.append((was, now))
        return Diff(tuple(new), tuple(fixed), tuple(changed))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, the verdict included.

        Returns
        -------
        dict
            What :meth:`to_json` writes.
        """
        return {
            "schema": self.schema,
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "required": list(self.required),
            "fail_on": self.fail_on,
            "counts": self.counts,
            "inputs": self.inputs,
            "provenance": self.provenance,
            "findings": [f.to_dict() for f in self.findings],
        }

    def to_json(self) -> str:
        """Write as JSON.

        Returns
        -------
        str
            One document; NaN and infinities are null with a reason beside them.
        """
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Report:
        """Read what :meth:`to_json` wrote.

        Parameters
        ----------
        text : str
            The document.

        Returns
        -------
        Report
            Equal to the one that was written.

        Raises
        ------
        ParameterError
            If it is no report, or of another schema.
        """
        try:
            data = json.loads(text)
            schema = data["schema"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise ParameterError(
                "the text is no audit report: it must be the JSON that to_json() wrote"
            ) from error
        if schema != SCHEMA:
            raise ParameterError(
                f"the report is of schema {schema!r}, this version reads {SCHEMA!r}: audit again"
            )
        try:
            findings = tuple(Finding.from_dict(f) for f in data["findings"])
            rest = {name: data[name] for name in ("fail_on", "inputs", "provenance")}
            return cls(findings, tuple(data["required"]), **rest)
        except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
            raise ParameterError(
                f"the audit report lacks what its schema asks for ({error}): audit again"
            ) from error

    def to_frame(self) -> pl.DataFrame:
        """One row a finding, worst first.

        Returns
        -------
        polars.DataFrame
            Columns `id`, `slug`, `group`, `outcome`, `severity`, `title`, `measure`, `value`, `low`, `high`, `n`,
            `remedy`.
        """
        rows = [
            {
                "id": f.id,
                "slug": f.slug,
                "group": _group(f),
                "outcome": f.outcome,
                "severity": f.severity,
                "title": f.title,
                "measure": f.measured.name if f.measured else None,
                **{
                    name: getattr(f.measured, name) if f.measured else None
                    for name in ("value", "low", "high", "n")
                },
                "remedy": f.remedy,
            }
            for f in self.findings
        ]
        numbers = dict.fromkeys(("value", "low", "high", "n"), pl.Float64)
        texts = ("id", "slug", "group", "outcome", "severity", "title", "measure")
        schema = {**dict.fromkeys(texts, pl.String), **numbers, "remedy": pl.String}
        return pl.DataFrame(rows, schema=schema)

    def to_text(self, *, width: int = 100, lines: int | None = 24) -> str:
        """Write for a terminal: worst first, a summary last.

        Parameters
        ----------
        width : int, default 100
            Columns.
        lines : int or None, default 24
            At most so many lines; None writes everything.

        Returns
        -------
        str
            Without colours.
        """
        from barproof.audits.formats import text

        return text(self, width=width, lines=lines)

    def to_markdown(self) -> str:
        """Write as Markdown.

        Returns
        -------
        str
            Verdict, a table, and a section for each finding that is open.
        """
        from barproof.audits.formats import markdown

        return markdown(self)

    def to_sarif(self) -> str:
        """Write as SARIF 2.1.0, for code-review tools.

        Returns
        -------
        str
            One JSON document.
        """
        from barproof.audits.formats import sarif

        return json.dumps(sarif(self), indent=2, allow_nan=False)

    def to_junit(self) -> str:
        """Write as JUnit XML, for continuous integration.

        Returns
        -------
        str
            Failures as failures, inconclusive ones too where their group is required.
        """
        from barproof.audits.formats import junit

        return junit(self)

    def to_html(
        self,
        path: str | Path,
        *,
        result: Any = None,
        sweep: Any = None,
        run: Any = None,
        title: str | None = None,
    ) -> Path:
        """Write a page: verdict and findings in one HTML file that needs no network.

        Parameters
        ----------
        path : str or Path
            File to write; replaced as a whole or not at all.
        result, sweep, run : Result, Sweep, Run, optional
            Shown below the findings. Default: what was audited, where this report comes from :func:`barproof.audit`.
        title : str, optional
            Heading.

        Returns
        -------
        Path
            The file.
        """
        from barproof.report import write_report

        given = {"result": result, "sweep": sweep, "run": run}
        shown: dict[str, Any] = {
            name: self._audited.get(name) if value is None else value
            for name, value in given.items()
        }
        return write_report(path, audit=self, title=title, **shown)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        told = ", ".join(f"{sum(v.values())} {o}" for o, v in self.counts.items())
        return f"Report({self.verdict}: {told or 'no findings'})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (self.findings, self.required, self.fail_on, self.inputs, self.provenance)


def _rebuild(
    findings: Sequence[Finding],
    required: Sequence[str],
    fail_on: Severity,
    inputs: Mapping[str, Any],
    provenance: Mapping[str, Any],
) -> Report:
    return Report(tuple(findings), tuple(required), fail_on, dict(inputs), dict(provenance))


def _group(finding: Finding) -> str:
    return AUDITS[finding.id].group if finding.id in AUDITS else "unknown"


def _worst(finding: Finding) -> tuple[int, int, int, str]:
    ranks: dict[Outcome, int] = {
        "error": 0,
        "fail": 1,
        "inconclusive": 2,
        "warn": 3,
        "skipped": 4,
        "pass": 5,
    }
    severity = SEVERITIES.index(finding.severity)
    return _TIER[finding.outcome], severity, ranks[finding.outcome], finding.id
