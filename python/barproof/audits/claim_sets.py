"""What the audits of claims share: sets of claims, and findings that list offenders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from barproof.audits.common import capped, made, speaking
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import LayoutError

__all__ = ["interval_of", "judged", "row_of", "set_of"]


def set_of(claims: Any) -> Any:
    """Take a set of claims, or make one of a file."""
    if hasattr(claims, "claims") and hasattr(claims, "recompute"):
        return claims
    from barproof.claims import ClaimSet, claims_of, load_claims

    if isinstance(claims, (str, bytes)) or hasattr(claims, "__fspath__"):
        return load_claims(claims)
    if isinstance(claims, Iterable) and not isinstance(claims, Mapping):
        from pathlib import Path

        return ClaimSet(claims_of({"claim": list(claims)}, "claims"), Path.cwd())
    raise LayoutError(
        f"`claims` must be a path to claims.toml, a ClaimSet or a list of records, was {type(claims).__name__}"
    )


def judged(
    code: str,
    bad: list[dict[str, Any]],
    looked: int,
    why: tuple[str, str],
    *,
    wrong: str,
    right: str,
    nothing: str,
    remedy: str,
    doubts: list[dict[str, Any]] | None = None,
    doubt: str = "",
    soft: Outcome = "warn",
    cause: tuple[str, ...] = (),
    assumptions: Mapping[str, str] | None = None,
) -> Finding:
    """Judge a list of offenders: any fails, doubts are softer, nothing to look at proves nothing.

    `why` holds the source of the gate and its reason.
    """
    doubts = doubts or []
    outcome: Outcome = (
        "fail" if bad else "inconclusive" if not looked else soft if doubts else "pass"
    )
    shown = bad or doubts
    first = f" (first: {shown[0]['claim']}, {shown[0]['why']})" if shown else ""
    what = f"{looked:,} claims"
    if bad:
        title = f"{len(bad):,} of {what} {wrong}{first}"
    elif not looked:
        title = nothing
    elif doubts:
        title = f"{len(doubts):,} of {what} {doubt}{first}"
    else:
        title = f"{looked:,} of {what} {right}"
    return made(
        code,
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("claims that do not hold", len(bad), "count", n=looked),
                Gate("=", 0, *why),
            ),
            (Measured("claims in doubt", len(doubts), "count", n=looked), Gate("=", 0, *why)),
        ),
        evidence=capped(shown, len(shown)),
        cause=cause,
        remedy=remedy,
        assumptions=assumptions,
    )


def row_of(claim: Any, why: str, **more: Any) -> dict[str, Any]:
    """Write an offender."""
    return {"claim": claim.id, "value": claim.value, "unit": claim.unit, "why": why, **more}


def interval_of(claim: Any) -> tuple[float, float]:
    """All numbers that are printed so, percents as fractions."""
    ends = ((claim.number - claim.half) / claim.scale, (claim.number + claim.half) / claim.scale)
    return min(ends), max(ends)
