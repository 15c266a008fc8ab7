"""docs/cli.md: its commands are run, and print what it says.

``python -m tests.cli.test_page --update`` writes the outputs into the page.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import typer

import barproof
from barproof.cli.app import app
from tests.helpers import as_compared

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
FENCE = re.compile(r"^```(?P<kind>\w*)(?: file=(?P<file>\S+))?\n(?P<body>.*?)^```$", re.S | re.M)
ENDS = re.compile(r"# ends with (\d+)$")


def run(command: str, folder: Path) -> str:
    """Run one command: stdout, then what it said on stderr, without blanks at the ends of lines."""
    words = shlex.split(command, comments=True)
    assert words[0] == "barproof"
    env = {
        **os.environ,
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "PYTHONIOENCODING": "utf-8",
        "PYTHONPATH": str(Path(barproof.__file__).parents[1]),
    }
    env.pop("BARPROOF_LEDGER", None)
    done = subprocess.run(
        [sys.executable, "-m", "barproof", *words[1:]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    ends = ENDS.search(command)
    assert done.returncode == (int(ends[1]) if ends else 0), f"{command}: {done.stderr}"
    lines = (done.stdout.rstrip("\n") + "\n" + done.stderr).rstrip("\n").splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines)


def regenerated(text: str) -> str:
    """Write the files of the page and run its commands: the page with the outputs of now."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def block(match: re.Match[str]) -> str:
            if match["file"]:
                (folder / match["file"]).write_text(match["body"], encoding="utf-8")
                if match["kind"] == "python":
                    subprocess.run([sys.executable, match["file"]], cwd=folder, check=True)
            if match["kind"] != "console":
                return match[0]
            commands = [line for line in match["body"].splitlines() if line.startswith("$ ")]
            answers = "\n".join(f"{line}\n{run(line[2:], folder)}" for line in commands)
            return f"```console\n{answers}```"

        return FENCE.sub(block, text)


def test_commands_print_what_the_page_says() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert as_compared(regenerated(text)) == as_compared(text)


def test_every_command_and_option_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    group = typer.main.get_command(app)
    assert isinstance(group.commands, dict)  # type: ignore[attr-defined]
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        assert f"`barproof {name}" in text, name
        for parameter in command.params:
            spelt = [word for word in parameter.opts if word.startswith("--")]
            if spelt and parameter.name != "help" and name not in ("demo",):
                assert any(word in text for word in spelt), f"{name} {spelt}"


if __name__ == "__main__" and "--update" in sys.argv:
    PAGE.write_text(regenerated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
