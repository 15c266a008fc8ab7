"""CLM-01, 02, 05, 06 and 09: whether published numbers are what their artefacts give."""

from __future__ import annotations

import re
from typing import Any

from barproof.audits.claim_sets import judged, row_of, set_of
from barproof.audits.common import audited
from barproof.audits.model import Finding
from barproof.errors import BarproofError

__all__ = [
    "claim_identity",
    "claim_kind",
    "claim_provenance",
    "claim_recompute",
    "claim_staleness",
]

_MEASURED = re.compile(
    r"\b(achieved?|measured|realised|realized|returned|made|earned|proven|verified|won)\b", re.I
)
_PROMISED = re.compile(
    r"\b(expect(?:ed|s)?|targets?|targeted|goals?|planned|projected|should|aims?|hopes?|forecast|would|quoted|reported|"
    r"according|claims?|claimed)\b",
    re.I,
)


@audited
def claim_provenance(claims: Any) -> Finding:
    """CLM-01: every measured claim names an artefact of the project, with its digest.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As from ``barproof.claims.load_claims``.

    Returns
    -------
    Finding
        Fails for a measured claim without an artefact, with one that is absent or outside of the project, or whose
        digest is another. Warns where no digest is told.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_provenance([{"id": "return", "value": "38.04", "unit": "percent"}]).outcome
    'fail'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    for claim in held.claims:
        if not claim.artefact:
            if claim.kind == "measured":
                looked += 1
                bad.append(row_of(claim, "no artefact: unverified"))
            continue
        looked += 1
        try:
            found = held.sha256(claim.artefact)
        except BarproofError as error:
            bad.append(row_of(claim, str(error)))
            continue
        if not claim.sha256:
            doubts.append(row_of(claim, "no sha256: the artefact may change", sha256=found))
        elif found != claim.sha256:
            bad.append(
                row_of(
                    claim,
                    "the artefact is not the one that was claimed of",
                    sha256=found,
                    claimed=claim.sha256,
                )
            )
    return judged(
        "CLM-01",
        bad,
        looked,
        ("case S004", "a number without a file behind it is a rumour"),
        wrong="have no artefact that holds them",
        right="name artefacts of the project, unchanged",
        nothing="no claim is measured",
        doubts=doubts,
        doubt="name an artefact without its digest",
        remedy="write `artefact` and `sha256` into claims.toml, keep the file in the project, or withdraw the claim",
        cause=("a number copied from a chat or a log", "an artefact that was made again"),
    )


@audited
def claim_recompute(claims: Any) -> Finding:
    """CLM-02: every number is what its artefact gives, to the last printed digit.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`.

    Returns
    -------
    Finding
        Fails where the recomputed number is further off than half a unit of the last digit. Inconclusive where one
        cannot be recomputed.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_recompute([{"id": "return", "value": "38.04", "unit": "percent"}]).outcome
    'inconclusive'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    for claim in held.claims:
        if not claim.artefact and claim.kind != "measured":
            continue
        looked += 1
        found = held.recompute(claim)
        if found.value is None:
            doubts.append(row_of(claim, found.reason))
        elif not found.agrees:
            bad.append(
                row_of(claim, f"the artefact gives {found.value:.6g}", recomputed=found.value)
            )
    for mention in held.mentions:
        claim = held.by_id.get(mention.id)
        where = f"{mention.page}:{mention.line}"
        looked += 1
        why = _mention(mention, claim)
        if why:
            row = {"claim": mention.id, "value": mention.number, "why": f"{where}: {why}"}
            bad.append(row)
    return judged(
        "CLM-02",
        bad,
        looked,
        ("default", "a printed number says how exact it is: to half a unit of its last digit"),
        wrong="are not what their source gives",
        right="were computed again from their artefacts, to the last digit",
        nothing="no claim can be computed again",
        doubts=doubts,
        doubt="cannot be computed again",
        soft="inconclusive",
        remedy="correct the number, or name the metric, column or pointer that gives it",
        cause=("another run than the one that was published", "rounded twice", "CLM-01 provenance"),
    )


def _mention(mention: Any, claim: Any) -> str:
    """Why a number of a page is not the claim that it names; empty where it is."""
    if claim is None:
        return "there is no such claim"
    if mention.number is None:
        return "no number stands before the mark"
    from decimal import Decimal

    shown = float(mention.number)
    if mention.percent != (claim.unit == "percent"):
        shown = shown / 100.0 if mention.percent else shown * 100.0
    exponent = Decimal(mention.number).as_tuple().exponent
    unit = 10.0 ** int(exponent) if isinstance(exponent, int) else 1.0
    if mention.percent and claim.unit != "percent":
        unit /= 100.0
    # A page may print fewer digits than the record, and no others.
    slack = (
        0.5 * unit + 1e-9 * abs(claim.number)
        if unit > 2 * claim.half
        else 1e-9 * max(abs(claim.number), 1e-300)
    )
    return (
        ""
        if abs(shown - claim.number) <= slack
        else f"the page prints {mention.number}, the claim is {claim.value}"
    )


@audited
def claim_kind(claims: Any) -> Finding:
    """CLM-05: what is expected or aimed at is not told as measured.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; `text` and mentions in pages are read for English words.

    Returns
    -------
    Finding
        Fails where the words around an expected, target or quoted number speak of a measurement and of nothing else.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_kind([{"id": "wins", "value": "60", "kind": "expected", "text": "achieved a win rate of 60%"}]).outcome
    'fail'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    texts = [(claim, claim.text, "its text") for claim in held.claims if claim.text]
    texts += [
        (held.by_id[m.id], m.words, f"{m.page}:{m.line}")
        for m in held.mentions
        if m.id in held.by_id
    ]
    for claim, words, where in texts:
        looked += 1
        promised = _PROMISED.search(words) is not None
        if claim.kind == "measured" or promised:
            continue
        if _MEASURED.search(words):
            bad.append(row_of(claim, f"{where} tells it as measured", kind=claim.kind))
        else:
            doubts.append(
                row_of(claim, f"{where} does not say that it is {claim.kind}", kind=claim.kind)
            )
    return judged(
        "CLM-05",
        bad,
        looked,
        ("cases S000, S001, S004", "a hope that is printed like a result becomes one"),
        wrong="tell a hope as a measurement",
        right="say what they are",
        nothing="no claim has a text, and no page mentions one",
        doubts=doubts,
        doubt="do not say what they are",
        remedy="write `expected`, `target` or the source beside the number, or measure it",
        assumptions={"the words are English": "unchecked"},
    )


@audited
def claim_identity(claims: Any) -> Finding:
    """CLM-06: a number belongs to the system that it is claimed for.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; `system`, `model` and `data`, and what a JSON artefact says of them.

    Returns
    -------
    Finding
        Fails where a claim that is no quotation is of another system than the project's, or its artefact names another
        system, model or data. Inconclusive where nothing names one.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_identity([{"id": "return", "value": "17.55"}]).outcome
    'inconclusive'
    """
    held = set_of(claims)
    bad, looked = [], 0
    for claim in held.claims:
        told = {
            name: getattr(claim, name)
            for name in ("system", "model", "data")
            if getattr(claim, name)
        }
        facts = _facts(held, claim)
        if held.system and claim.system:
            looked += 1
            if claim.system != held.system and claim.kind != "quoted":
                bad.append(
                    row_of(claim, f"it is of {claim.system!r}, the project is {held.system!r}")
                )
                continue
        for name, value in told.items():
            if name in facts:
                looked += not (held.system and claim.system)
                if facts[name] != value:
                    bad.append(
                        row_of(
                            claim,
                            f"its artefact is of {name} {facts[name][:20]!r}, not {value[:20]!r}",
                        )
                    )
                    break
    return judged(
        "CLM-06",
        bad,
        looked,
        ("case S004", "the return of one bot says nothing about another"),
        wrong="are of another system, model or data",
        right="are of the system that they are claimed for",
        nothing="no claim, artefact or project names its system",
        remedy="measure this system, or mark the claim as `quoted`",
    )


def _facts(held: Any, claim: Any) -> dict[str, str]:
    """System, model and data of a JSON artefact, at its top."""
    if not claim.artefact.lower().endswith(".json"):
        return {}
    import json

    try:
        document = json.loads(held.path(claim.artefact).read_bytes())
    except (BarproofError, OSError, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    found = {name: document.get(name) for name in ("system", "model", "data")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


@audited
def claim_staleness(claims: Any) -> Finding:
    """CLM-09: what an artefact was made of has not changed since.

    Parameters
    ----------
    claims : path, ClaimSet or list of records
        As for :func:`claim_provenance`; `inputs` maps files of code and data to their digests, or to "" where only
        times can be compared.

    Returns
    -------
    Finding
        Fails where an input has another digest; warns where one without a digest is newer than the artefact.

    Raises
    ------
    LayoutError
        If `claims` is none of these.

    Examples
    --------
    >>> claim_staleness([{"id": "return", "value": "1"}]).outcome
    'inconclusive'
    """
    held = set_of(claims)
    bad, doubts, looked = [], [], 0
    for claim in held.claims:
        if not claim.inputs:
            continue
        looked += 1
        for name, digest in claim.inputs.items():
            try:
                if digest and held.sha256(name) != digest:
                    bad.append(row_of(claim, f"{name} has changed since", input=name))
                    break
                if not digest and claim.artefact:
                    made_at = held.path(claim.artefact).stat().st_mtime
                    if held.path(name).stat().st_mtime > made_at:
                        doubts.append(
                            row_of(claim, f"{name} is newer than the artefact", input=name)
                        )
                        break
            except (BarproofError, OSError) as error:
                bad.append(row_of(claim, str(error), input=name))
                break
    return judged(
        "CLM-09",
        bad,
        looked,
        ("default", "a number of code that is gone describes nothing"),
        wrong="are of inputs that have changed",
        right="are of the inputs as they are",
        nothing="no claim names its inputs",
        doubts=doubts,
        doubt="may be older than their inputs",
        remedy="run it again, and write the digests of what it was made of into `inputs`",
        assumptions={"times of files are those of their contents": "unchecked"},
    )
