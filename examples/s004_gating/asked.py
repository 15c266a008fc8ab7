"""What the commands of the README say of the folder of case S004, as text and as they look on a terminal."""

from __future__ import annotations

import io
import os
from contextlib import redirect_stdout
from unittest import mock

from barproof.cli import main
from examples.casework import Case

COLUMNS = 120


def commands(case: Case) -> dict[str, str]:
    """Ask `barproof verify` and `barproof ledger history` about the folder that was written."""
    folder = case.out / "folder"
    if not folder.exists() or case.told.name not in ("broken-small", "mended-small"):
        return {}
    asked = {
        "verify": ["verify", str(folder)],
        "history": ["ledger", "history", "features", "--path", str(folder / "ledger.sqlite")],
    }
    files = {}
    for name, words in asked.items():
        plain, picture = shown(words, f"barproof {name.replace('history', 'ledger history')}")
        files[f"{name}-{case.told.name}.txt"] = plain
        if name == "verify" and case.broken:
            files[f"{name}-{case.told.name}.svg"] = picture
    return files


def shown(words: list[str], title: str) -> tuple[str, str]:
    """Run a command of barproof as on a terminal; its text, and a picture of it as SVG."""
    from rich.console import Console
    from rich.text import Text

    looks = {"COLUMNS": str(COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    with redirect_stdout(io.StringIO()) as out, mock.patch.dict(os.environ, looks):
        os.environ.pop("NO_COLOR", None)
        main(words)
    said = Text.from_ansi(out.getvalue())
    terminal = Console(file=io.StringIO(), width=COLUMNS, record=True, force_terminal=True)
    terminal.print(said)
    return said.plain, terminal.export_svg(title=title)
