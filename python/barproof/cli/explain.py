"""``barproof explain``: what an audit checks, why, by which gate, with a bad and a good example."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown

from barproof._core import __version__
from barproof.cli import options, output
from barproof.cli.exits import OK

__all__ = ["explain", "list_audits"]


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="CODE", help="Such as ECO-01 or break-even-win-rate.", show_default=False
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """Explain an audit: what it checks, why, its gate and where that comes from, examples.

    Without a code it lists them.
    """
    if code is None:
        return list_audits("explain", json)
    from barproof.audits.catalogue import resolve

    audit = resolve(code)
    if json:
        output.emit_json(
            {
                "command": "explain",
                "version": __version__,
                "exit_code": OK,
                **{name: getattr(audit, name) for name in FIELDS},
                "page": audit.text(),
            }
        )
        return OK
    out = output.console()
    if out.is_terminal:
        out.print(Markdown(audit.text()))
    else:
        out.print(audit.text().rstrip("\n"), soft_wrap=True, markup=False)
    return OK


FIELDS = (
    "code",
    "name",
    "slug",
    "function",
    "group",
    "severity",
    "needs",
    "what",
    "why",
    "gate",
    "references",
    "docs",
)


def list_audits(command: str, json: bool) -> int:
    """Print every audit."""
    from barproof.audits.catalogue import AUDITS

    if json:
        output.emit_json(
            {
                "command": command,
                "version": __version__,
                "exit_code": OK,
                "audits": [
                    {name: getattr(audit, name) for name in FIELDS} for audit in AUDITS.values()
                ],
            }
        )
        return OK
    out = output.console()
    made = output.table(
        ("code", "severity", "group", "name", "needs"),
        [(a.code, a.severity, a.group, a.name, a.needs) for a in AUDITS.values()],
        left=5,
    )
    made.columns[0].no_wrap = True
    out.print(made)
    return OK
