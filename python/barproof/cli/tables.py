"""``barproof rules`` and ``barproof metrics``: the tables from which everything else derives."""

from __future__ import annotations

from typing import Annotated

import typer

from barproof import _core
from barproof._frames import METRICS
from barproof.cli import options
from barproof.cli.exits import OK
from barproof.cli.output import console, emit_json, table

__all__ = ["HelpRules", "help_rules", "metrics", "rules", "show_rules"]


def show_rules() -> None:
    """Print every field of the rules."""
    rows = []
    for row in _core.rules_table():
        accepts = (
            ", ".join(row["choices"])
            or row["bound"]
            or ("true, false" if row["type"] == "bool" else "any")
        )
        if "None" in row["type"]:
            accepts += "; none = off"
        default = {None: "none", True: "true", False: "false"}.get(
            row["default"], str(row["default"])
        )
        rows.append((row["name"], accepts, str(default), row["doc"]))
    made = table(("rule", "accepts", "default", "meaning"), rows, left=4)
    made.columns[0].no_wrap = True
    console().print(made)


def help_rules(value: bool) -> None:
    """Answer ``--help-rules``."""
    if value:
        show_rules()
        raise typer.Exit(OK)


HelpRules = Annotated[
    bool,
    typer.Option(
        "--help-rules", callback=help_rules, is_eager=True, help="List the rules and leave."
    ),
]


def rules(json: options.Json = False) -> int:
    """List every rule with its bounds, default and meaning."""
    if json:
        emit_json(
            {"command": "rules", "version": _core.__version__, "rules": list(_core.rules_table())}
        )
    else:
        show_rules()
    return OK


def metrics(json: options.Json = False) -> int:
    """List every metric with its unit and meaning."""
    if json:
        emit_json({"command": "metrics", "version": _core.__version__, "metrics": list(METRICS)})
        return OK
    rows = [(row["name"], row["unit"], row["doc"]) for row in METRICS]
    made = table(("metric", "unit", "meaning"), rows, left=3)
    made.columns[0].no_wrap = True
    console().print(made)
    return OK
