"""Waivers: failures that somebody has accepted, for a reason, up to a value and a day."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from barproof.audits.catalogue import AUDITS
from barproof.audits.common import capped, made
from barproof.audits.model import Finding, Gate, Measured, Outcome, Severity
from barproof.errors import ConfigError, FileError, ParameterError
from barproof.results.naming import clean

if TYPE_CHECKING:
    from barproof.audits.report import Report

__all__ = [
    "LONGEST_DAYS",
    "Waiver",
    "apply_waivers",
    "load_waivers",
    "may_be_waived",
    "waiver_state",
]

LONGEST_DAYS = 90
"""Days that a waiver may last."""

_FIELDS = ("code", "reason", "owner", "created", "expires", "accepts")
_FIRM = ("SPL", "PAR", "CKP", "CLM", "DEC", "FILL")
"""Families whose critical audits nothing excuses: leakage, scalers, identity, claims, fills that could not happen."""

_FIRM_CODES = ("LAB-06", "LAB-07", "DATA-05")


@dataclass(frozen=True)
class Waiver:
    """A failure that is accepted.

    Attributes
    ----------
    code : str
        Of the audit.
    reason, owner : str
        Why, and who answers for it.
    created, expires : date
        At most 90 days apart; it no longer matches on the day after `expires`.
    accepts : float
        The worst measured value that is accepted.
    scope : dict of str to str
        What the scope of the finding must say, such as ``{"symbol": "BTCUSDT"}``; `measure` names what was measured.
    inputs : dict of str to str
        Digests that the report's inputs must have, such as ``{"candles": "9f..."}``.
    """

    code: str
    reason: str
    owner: str
    created: date
    expires: date
    accepts: float
    scope: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)

    def __hash__(self) -> int:
        return hash((self.code, self.reason, self.owner, self.created, self.expires))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data.

        Returns
        -------
        dict
            Dates as ISO text.
        """
        return {
            **asdict(self),
            "created": self.created.isoformat(),
            "expires": self.expires.isoformat(),
        }


def load_waivers(source: str | os.PathLike[str]) -> tuple[Waiver, ...]:
    """Read waivers from a file of the repository.

    Parameters
    ----------
    source : path
        TOML with ``[[waiver]]`` records.

    Returns
    -------
    tuple of Waiver
        In the order of the file.

    Raises
    ------
    FileError
        If there is no such file.
    ConfigError
        If it is no TOML, or a record lacks a field, has an unknown one, or lasts longer than 90 days.
    """
    path = Path(source)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(
            f"waivers {str(path)!r} cannot be read: {error.strerror or error}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"waivers {path.name!r} are no TOML: {clean(error)}") from error
    rows = document.get("waiver", [])
    if set(document) - {"waiver"} or not isinstance(rows, list):
        raise ConfigError(
            f"waivers {path.name!r} hold more than records: write [[waiver]] before each"
        )
    return tuple(_waiver(row, f"waiver {i + 1} of {path.name!r}") for i, row in enumerate(rows))


def _waiver(row: Any, where: str) -> Waiver:
    """Check one record."""
    given = dict(row) if isinstance(row, Mapping) else {}
    missing = [name for name in _FIELDS if name not in given]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(missing)}: a waiver names them all")
    unknown = [name for name in given if name not in (*_FIELDS, "scope", "inputs")]
    if unknown:
        raise ConfigError(
            f"{where} has an unknown field {clean(unknown[0])!r}: it may have scope and inputs besides"
        )
    if given["code"] not in AUDITS:
        raise ConfigError(
            f"{where} names {clean(given['code'])!r}, which is no audit: see `barproof audit --list`"
        )
    for name in ("reason", "owner"):
        if not isinstance(given[name], str) or len(given[name].strip()) < 3:
            raise ConfigError(
                f"`{name}` of {where} must be a text: say why, and who answers for it"
            )
    for name in ("created", "expires"):
        if not isinstance(given[name], date) or isinstance(given[name], datetime):
            raise ConfigError(f"`{name}` of {where} must be a date, such as 2026-01-31")
    if not given["created"] <= given["expires"] <= given["created"] + timedelta(days=LONGEST_DAYS):
        raise ConfigError(
            f"`expires` of {where} must lie 0 to {LONGEST_DAYS} days after {given['created']}, was {given['expires']}: "
            "look again by then"
        )
    if isinstance(given["accepts"], bool) or not isinstance(given["accepts"], (int, float)):
        raise ConfigError(
            f"`accepts` of {where} must be the measured value that is accepted, a number"
        )
    for name in ("scope", "inputs"):
        held = given.setdefault(name, {})
        if not isinstance(held, Mapping):
            raise ConfigError(f"`{name}` of {where} must be a table of texts")
        given[name] = {str(k): str(v) for k, v in held.items()}
    given["accepts"] = float(given["accepts"])
    given["reason"], given["owner"] = clean(given["reason"]), clean(given["owner"])
    return Waiver(**given)


def may_be_waived(code: str, severity: Severity) -> bool:
    """Tell whether a failure of this audit can be accepted at all.

    Parameters
    ----------
    code : str
        Of the audit.
    severity : str
        Of the finding.

    Returns
    -------
    bool
        False for critical audits of leakage, scalers, identity, claims and impossible fills.

    Examples
    --------
    >>> may_be_waived("PRED-01", "critical"), may_be_waived("SPL-07", "critical")
    (True, False)
    """
    return not (severity == "critical" and (code.partition("-")[0] in _FIRM or code in _FIRM_CODES))


def _badness(gate: Gate | None, value: float) -> float:
    """How bad a value is by its gate: larger is worse."""
    operator = gate.operator.rpartition(" ")[2] if gate is not None else "<="
    if operator == "within" and gate is not None:
        low, high = gate.bounds
        return max(low - value, value - high, 0.0)
    return -value if operator in (">", ">=") else value


def _why_not(waiver: Waiver, finding: Finding, inputs: Mapping[str, Any], today: date) -> str:
    """Why a waiver does not cover a failure; empty if it does."""
    if finding.outcome != "fail":
        return f"{finding.id} is {finding.outcome}"
    if not may_be_waived(finding.id, finding.severity):
        return f"{finding.id} cannot be waived"
    if today > waiver.expires:
        return f"it expired on {waiver.expires}"
    if today < waiver.created:
        return f"it begins on {waiver.created}"
    for name, value in waiver.scope.items():
        told = finding.scope.get(name)
        if name == "measure" and finding.measured is not None:
            told = finding.measured.name
        if str(told) != value:
            return f"its scope is {name} {value}"
    for name, digest in waiver.inputs.items():
        if inputs.get(name) != digest:
            return f"the {name} are others than those that it speaks of"
    found = finding.measured.value if finding.measured is not None else None
    if found is None:
        return "nothing was measured"
    if _badness(finding.gate, found) > _badness(finding.gate, waiver.accepts):
        return f"the measured value is {found:g}, worse than the accepted {waiver.accepts:g}"
    return ""


def apply_waivers(
    report: Report, waivers: Iterable[Waiver], *, today: date | None = None
) -> Report:
    """Mark the failures of a report that are accepted, and judge the waivers.

    Parameters
    ----------
    report : Report
        Of :func:`barproof.audit`.
    waivers : iterable of Waiver
        From :func:`load_waivers`.
    today : date, optional
        Default: the day, UTC.

    Returns
    -------
    Report
        Waived findings stay, with their waiver; they no longer refute. WVR-01 says which waivers are of no use.
    """
    held = tuple(waivers)
    state = waiver_state(report, held, today=today)
    day = _day(today)
    findings = []
    for finding in report.findings:
        match = next(
            (
                w
                for w in held
                if w.code == finding.id and not _why_not(w, finding, report.inputs, day)
            ),
            None,
        )
        findings.append(finding if match is None else replace(finding, waiver=match.to_dict()))
    marked = replace(report, findings=(*findings, state))
    return marked


def _day(today: date | None) -> date:
    from datetime import UTC

    return datetime.now(UTC).date() if today is None else today


def waiver_state(
    report: Report, waivers: Iterable[Waiver], *, today: date | None = None
) -> Finding:
    """WVR-01: every waiver is in force, and needed.

    Parameters
    ----------
    report : Report
        What was found.
    waivers : iterable of Waiver
        From :func:`load_waivers`.
    today : date, optional
        Default: the day, UTC.

    Returns
    -------
    Finding
        Fails where a waiver has expired; warns where one covers nothing, or speaks of what cannot be waived;
        inconclusive without any.

    Raises
    ------
    ParameterError
        If a waiver is none.

    Examples
    --------
    >>> import barproof as bp
    >>> from datetime import date
    >>> accepted = Waiver("ECO-09", "a short pilot", "ann", date(2026, 1, 1), date(2026, 2, 1), 0.0)
    >>> report = bp.audit(trades=[], ledger=False)
    >>> waiver_state(report, [accepted], today=date(2026, 1, 20)).outcome
    'pass'
    >>> waiver_state(report, [accepted], today=date(2026, 3, 1)).outcome
    'fail'
    """
    day = _day(today)
    rows: list[dict[str, Any]] = []
    expired = 0
    held = list(waivers)
    for waiver in held:
        if not isinstance(waiver, Waiver):
            raise ParameterError(
                f"`waivers` must hold waivers of load_waivers, held {type(waiver).__name__}"
            )
        if day > waiver.expires:
            expired += 1
            why = f"it expired on {waiver.expires}"
        else:
            named = [f for f in report.findings if f.id == waiver.code]
            reasons = [_why_not(waiver, f, report.inputs, day) for f in named] or [
                f"{waiver.code} was not run"
            ]
            why = "" if "" in reasons else reasons[0]
        if why:
            rows.append(
                {"code": waiver.code, "owner": waiver.owner, "reason": waiver.reason, "why": why}
            )
    outcome: Outcome = "fail" if expired else "warn" if rows else "pass" if held else "inconclusive"
    told = f" (first: {rows[0]['code']}, {rows[0]['why']})" if rows else ""
    if expired:
        title = f"{expired:,} of {len(held):,} waivers have expired{told}"
    elif rows:
        title = f"{len(rows):,} of {len(held):,} waivers cover nothing{told}"
    else:
        title = f"{len(held):,} waivers in force" if held else "no waiver to look at"
    return made(
        "WVR-01",
        outcome,
        title,
        measured=Measured("waivers of no use", len(rows), "count", n=len(held)),
        gate=Gate("=", 0, "default", "a waiver that nobody looks at again is a gate that is gone"),
        evidence=capped(rows, len(rows)),
        remedy="take it out, or look again and write a new one with a new date",
    )
