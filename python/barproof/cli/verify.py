"""``barproof verify``: whether published numbers can be computed again."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from barproof._core import __version__
from barproof.claims import FILE_NAME, ClaimSet, load_claims, mentions_claims
from barproof.cli import options, output
from barproof.cli.audit import show_findings
from barproof.cli.exits import FOUND, OK
from barproof.cli.manifest import is_manifest, reproduce
from barproof.cli.worked import answer, worked
from barproof.errors import ConfigError

__all__ = ["verify"]


def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FILES",
            help="claims.toml, pages of Markdown that mention claims, manifests; or a folder with all of them.",
            show_default=False,
        ),
    ] = None,
    retrain: Annotated[
        bool,
        typer.Option("--retrain", help="Train the models of a manifest again, too."),
    ] = False,
    full: Annotated[bool, typer.Option("--all", help="Show more than one screen.")] = False,
    json: options.Json = False,
) -> int:
    """Compute published numbers again from their artefacts, and judge the claims.

    Without files: claims.toml of the working directory. Of a folder: its claims, the pages and manifests in it and
    below, and pages belong to the claims of that folder. Nothing outside of the folder of the file is read, and no
    command of a claim is run. Exit code 1 if a number is not what its artefact gives, 4 if nothing is proved.
    """
    given = [found for path in files or () for found in _expanded(path)]
    manifests = [f for f in given if f.suffix.lower() == ".json"]
    records = [f for f in given if f.suffix.lower() == ".toml"]
    pages = [f for f in given if f.suffix.lower() in (".md", ".markdown")]
    odd = [f for f in given if f not in (*manifests, *records, *pages)]
    if odd:
        raise ConfigError(
            f"{str(odd[0])!r} is neither claims (.toml), a page (.md) nor a manifest (.json): rename it"
        )
    if len(records) > 1:
        raise ConfigError("two files of claims were named: verify them one after the other")
    for path in manifests:
        if not is_manifest(path):
            raise ConfigError(
                f"{str(path)!r} is no manifest: write one with `--manifest` of backtest, sweep, train or audit --run"
            )
    claims = None
    if records or pages or not manifests:
        source = records[0] if records else Path(FILE_NAME)
        if not source.is_file():
            raise ConfigError(
                f"there is no {str(source)!r} here: name the file of the claims, see docs/claims.md"
            )
        claims = load_claims(source, pages=pages)
    runs = {str(path): reproduce(path, retrain=retrain) for path in manifests}
    report = None
    if claims is not None:
        # Loaded here: other commands do without the audits.
        from barproof.audits import audit as run_audits

        report = run_audits(claims=claims)
    code = OK if report is None else report.exit_code
    if any(runs.values()):
        code = max(code, FOUND) if code != 4 else FOUND
    rows = [] if claims is None else _rows(claims)
    systems = [] if claims is None else worked(claims, rows)
    if json:
        output.emit_json(
            {
                "command": "verify",
                "version": __version__,
                "exit_code": code,
                "claims": rows,
                "systems": systems,
                "answer": answer(systems) if systems else None,
                "manifests": runs,
                "report": None if report is None else report.to_dict(),
            }
        )
        return code
    out = output.console()
    for name, differ in runs.items():
        out.print(
            f"{name}: {'every number is the same' if not differ else 'not reproduced'}",
            soft_wrap=True,
            markup=False,
        )
        for text in differ:
            out.print(f"  {text}", soft_wrap=True, markup=False)
    if report is not None:
        if rows:
            out.print(
                output.table(
                    ("claim", "printed", "computed", ""),
                    [
                        (
                            r["id"],
                            f"{r['value']}{'%' if r['unit'] == 'percent' else ''}",
                            "-" if r["recomputed"] is None else f"{r['recomputed']:.6g}",
                            r["outcome"],
                        )
                        for r in rows
                    ],
                )
            )
            out.print()
        if systems:
            out.print(
                output.table(
                    ("system", "because", "claims", "agree", "differ", "unverified", "trades"),
                    [
                        (
                            _named(s),
                            s["because"],
                            str(s["claims"]),
                            str(s["agrees"]),
                            str(s["differs"]),
                            str(s["unverified"]),
                            "-" if s["trades"] is None else f"{s['trades']:,}",
                        )
                        for s in systems
                    ],
                    left=2,
                )
            )
            out.print()
            out.print(answer(systems), soft_wrap=True, markup=False)
            for s in systems:
                out.print(f"  next for {_named(s)}: {s['next']}", soft_wrap=True, markup=False)
            out.print()
        show_findings(out, report, full=full)
    return code


def _named(system: dict[str, Any]) -> str:
    """System and model in words."""
    return " ".join(filter(None, (system["system"], system["model"]))) or "the project"


def _expanded(path: Path) -> list[Path]:
    """Take claims, pages that mention claims, and manifests out of a folder and those below it."""
    if not path.is_dir():
        return [path]
    found = []
    for place, folders, names in os.walk(path):
        # Hidden folders, and those of tools, hold nothing that was published.
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        files = [Path(place) / name for name in sorted(names)]
        found += [file for file in files if file.name == FILE_NAME and Path(place) == path]
        found += [file for file in files if file.suffix.lower() == ".md" and mentions_claims(file)]
        found += [file for file in files if file.suffix.lower() == ".json" and is_manifest(file)]
    if not found:
        raise ConfigError(
            f"{str(path)!r} holds neither {FILE_NAME}, nor pages that mention claims, nor manifests: name another"
        )
    return found


def _rows(claims: ClaimSet) -> list[dict[str, Any]]:
    """One row a claim."""
    rows = []
    for claim in claims.claims:
        found = claims.recompute(claim)
        outcome = (
            "agrees" if found.agrees else "differs" if found.value is not None else "unverified"
        )
        rows.append(
            {
                "id": claim.id,
                "value": claim.value,
                "unit": claim.unit,
                "kind": claim.kind,
                "recomputed": found.value,
                "outcome": outcome,
                "reason": found.reason,
            }
        )
    return rows
