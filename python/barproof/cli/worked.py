"""Which of the systems that are claimed of ever worked, and how that is known."""

from __future__ import annotations

from typing import Any

from barproof.claims import ClaimSet
from barproof.errors import BarproofError

__all__ = ["answer", "worked"]

_SAID = {
    "pass": "its trades earn more than chance explains",
    "fail": "its trades lose",
    "inconclusive": "too little to say",
}


def worked(claims: ClaimSet, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Hold each system, and each of its models, against the trades that its claims name.

    Parameters
    ----------
    claims : ClaimSet
        Claims of the project.
    rows : list of dict
        Outcome of each claim, in their order.

    Returns
    -------
    list of dict
        `system`, `model`, number of `claims` that `agree`, `differ` and are `unverified`, `trades` and their
        `evidence`; `worked` is True, False, or None where nothing shows it; `because` and `next` say why, and what to
        do.
    """
    groups: dict[tuple[str, str], list[tuple[Any, str]]] = {}
    for claim, row in zip(claims.claims, rows, strict=True):
        key = (claim.system or claims.system, claim.model)
        groups.setdefault(key, []).append((claim, row["outcome"]))
    return [_one(claims, key, held) for key, held in groups.items()]


def _one(claims: ClaimSet, key: tuple[str, str], held: list[tuple[Any, str]]) -> dict[str, Any]:
    """Say of one system what became of its claims, whether its trades earned, and what to do next."""
    counts = {name: sum(o == name for _, o in held) for name in ("agrees", "differs", "unverified")}
    # A value of a document or a column is no list of trades.
    files = dict.fromkeys(c.artefact for c, _ in held if c.artefact and not (c.pointer or c.column))
    told: dict[str, Any] = {"trades": None, "evidence": "", "worked": None}
    if not files:
        none = next((c for c, o in held if c.artefact and o == "agrees" and c.number == 0), None)
        told["because"] = "no trades were made" if none else "no file holds its trades"
        step = (
            "set a threshold that it can reach"
            if none
            else "name the file of its trades, or withdraw the claims"
        )
    for name in files:
        # Loaded here: other commands do without the audits.
        from barproof.audits import expectancy
        from barproof.results import read_trades

        try:
            trades = read_trades(claims.path(name))
        except (BarproofError, OSError) as error:
            told["because"], step = str(error), "bring a table of its trades"
            continue
        found = expectancy(trades)
        told |= {"trades": trades.height, "evidence": found.title, "because": _SAID[found.outcome]}
        told["worked"] = {"pass": True, "fail": False}.get(found.outcome)
        step = {
            "pass": "have the whole study audited: trades alone do not show how they were chosen",
            "fail": "do not trade it",
            "inconclusive": "collect more trades before anything is said of it",
        }[found.outcome]
        break
    if counts["differs"]:
        step += f"; correct {counts['differs']} claim{'s' if counts['differs'] > 1 else ''}"
    return {"system": key[0], "model": key[1], "claims": len(held), **counts, **told, "next": step}


def answer(systems: list[dict[str, Any]]) -> str:
    """Say in one sentence which worked."""
    good = [" ".join(filter(None, (s["system"], s["model"]))) for s in systems if s["worked"]]
    lost = sum(s["worked"] is False for s in systems)
    unknown = len(systems) - len(good) - lost
    shown = f"shown to have worked: {', '.join(good) if good else 'none'} of {len(systems)}"
    return f"{shown}; {lost} lost money, of {unknown} nothing is known"
