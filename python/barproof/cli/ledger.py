"""``barproof ledger``: what was run in this project, and how many trials it was."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from barproof._core import __version__
from barproof._ledger_file import locate
from barproof.cli import options
from barproof.cli.exits import FOUND, OK
from barproof.cli.output import console, emit_json, header, table
from barproof.errors import ConfigError, FileError
from barproof.ledger import Ledger

__all__ = ["COMMANDS", "HELP"]

HELP = "What was run in this project, and how many trials it was."

LedgerPath = Annotated[
    Path | None,
    typer.Option(
        "--path",
        metavar="FILE",
        help="Ledger to read. Default: BARPROOF_LEDGER, else the project's.",
    ),
]


def _open(path: Path | None) -> Ledger:
    """Open the ledger that is meant; reading makes none."""
    meant = path or locate()
    if meant is None:
        raise ConfigError(
            "no project folder holds the working directory: make barproof.toml or .barproof, or give `--path`"
        )
    if not meant.exists():
        raise FileError(
            f"there is no ledger {str(meant)!r} yet: the first backtest or sweep in the project makes it"
        )
    return Ledger.open(meant)


def list_runs(
    last: Annotated[
        int | None, typer.Option(min=1, help="Runs to show, the newest: 20; --json: all.")
    ] = None,
    path: LedgerPath = None,
    json: options.Json = False,
) -> int:
    """List runs, the newest last."""
    runs = _open(path).runs()
    shown = runs.tail(last or (runs.height if json else 20))
    if json:
        emit_json(
            {"command": "ledger list", "version": __version__, "exit_code": OK, "runs": shown}
        )
        return OK
    out = console()
    columns = ("run", "time (UTC)", "kind", "trials", "seconds", "candles")
    out.print(
        table(
            columns,
            [
                (
                    f"{row['id']:,}",
                    f"{row['time']:%Y-%m-%d %H:%M}",
                    row["kind"],
                    f"{row['trials']:,}",
                    "-" if row["seconds"] is None else f"{row['seconds']:,.2f}",
                    row["data_digest"][:12],
                )
                for row in shown.iter_rows(named=True)
            ],
            left=3,
        )
    )
    if shown.height < runs.height:
        out.print(f"the last {shown.height:,} of {runs.height:,} runs: `--last` shows more")
    return OK


def show_run(
    run: Annotated[int, typer.Argument(metavar="ID", help="Number of the run.")],
    path: LedgerPath = None,
    json: options.Json = False,
) -> int:
    """Show everything about one run."""
    found = _open(path).show(run)
    if json:
        emit_json({"command": "ledger show", "version": __version__, "exit_code": OK, "run": found})
        return OK
    rest = found.pop("parameters")
    facts = {**found, **(rest if isinstance(rest, dict) else {"parameters": rest})}
    header(
        console(),
        f"run {found.pop('id'):,}",
        [
            (name.replace("_", " "), str(v))
            for name, v in facts.items()
            if v is not None and name != "id"
        ],
    )
    return OK


def count_trials(path: LedgerPath = None, json: options.Json = False) -> int:
    """Count the trials on every set of candles."""
    ledger = _open(path)
    frame = ledger.trials_by_data()
    total = int(frame["trials"].sum())
    if json:
        emit_json(
            {
                "command": "ledger trials",
                "version": __version__,
                "exit_code": OK,
                "trials": total,
                "data": frame,
            }
        )
        return OK
    out = console()
    out.print(
        table(
            ("candles", "trials", "runs", "first (UTC)", "last (UTC)"),
            [
                (
                    row["data_digest"][:12],
                    f"{row['trials']:,}",
                    f"{row['runs']:,}",
                    f"{row['first']:%Y-%m-%d %H:%M}",
                    f"{row['last']:%Y-%m-%d %H:%M}",
                )
                for row in frame.iter_rows(named=True)
            ],
        )
    )
    return OK


def show_history(
    field: Annotated[
        str | None,
        typer.Argument(metavar="FIELD", help="Such as data, costs, rules, features; default: all."),
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", help="Such as train or sweep.")
    ] = None,
    path: LedgerPath = None,
    json: options.Json = False,
) -> int:
    """Show when the candles, signals, rules, costs, features or model changed from run to run."""
    frame = _open(path).history(field=field, kind=kind)
    if json:
        emit_json(
            {"command": "ledger history", "version": __version__, "exit_code": OK, "changes": frame}
        )
        return OK
    console().print(
        table(
            ("run", "time (UTC)", "kind", "field", "before", "after"),
            [
                (
                    f"{row['run']:,}",
                    f"{row['time']:%Y-%m-%d %H:%M}",
                    row["kind"],
                    row["field"],
                    _short(row["before"]),
                    _short(row["after"]),
                )
                for row in frame.iter_rows(named=True)
            ],
            left=6,
        )
    )
    return OK


def _short(text: str | None) -> str:
    """Write a digest by its beginning, and any text on one line."""
    if text is None:
        return "-"
    shown = "".join(c for c in text if c.isprintable())
    return shown[:12] if len(shown) == 64 else shown if len(shown) <= 24 else f"{shown[:23]}…"


def export(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="Ends in .csv, .parquet or .json.")],
    path: LedgerPath = None,
    json: options.Json = False,
) -> int:
    """Write every run into a file."""
    written = _open(path).export(out)
    if json:
        emit_json(
            {
                "command": "ledger export",
                "version": __version__,
                "exit_code": OK,
                "written": written,
            }
        )
        return OK
    console().print(f"runs: {written}", soft_wrap=True, markup=False)
    return OK


def verify(
    head: Annotated[
        str | None,
        typer.Option(metavar="RUN:HASH", help="What an earlier verify told as the head."),
    ] = None,
    path: LedgerPath = None,
    json: options.Json = False,
) -> int:
    """Look for runs that were changed or removed since they were written.

    Exit code 1 if there are any. With --json it tells the head: written down elsewhere, it shows even a ledger that
    was rewritten as a whole.
    """
    ledger = _open(path)
    broken = ledger.verify(head=head)
    code = OK if broken is None else FOUND
    if json:
        emit_json(
            {
                "command": "ledger verify",
                "version": __version__,
                "exit_code": code,
                "sound": broken is None,
                "run": None if broken is None else broken.run,
                "reason": None if broken is None else broken.reason,
                "head": ledger.head(),
            }
        )
        return code
    sound = f"all {ledger.runs().height:,} runs are as they were written"
    text = sound if broken is None else f"broken: {broken}"
    console().print(text, soft_wrap=True, markup=False)
    return code


COMMANDS: dict[str, Callable[..., int]] = {
    "list": list_runs,
    "show": show_run,
    "trials": count_trials,
    "history": show_history,
    "export": export,
    "verify": verify,
}
