"""That the commands of the READMEs of the case studies are commands, and do what the READMEs say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer._click.exceptions import UsageError
from typer.main import get_command

from barproof.cli.app import app
from examples import casework

ROOT = Path(casework.__file__).resolve().parent.parent
PAGES = sorted((ROOT / "examples").glob("s0*/README.md"))
# What a reader has to name: a folder of candles, a bot's file.
PLACE = re.compile(r"\b(DIR|FOLDER|FILE|CANDLES)\b")


def commands(page: Path) -> list[str]:
    """Commands in blocks and in the text of a page, in order, each once."""
    text = re.sub(r"```text\n.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    block = re.findall(r"^(?:barproof|python -m examples)[^\n#]*", text, re.MULTILINE)
    inline = re.findall(r"`((?:barproof|python -m examples)[. ][^`\n]*)`", text)
    asked = [one.strip() for one in (*block, *inline)]
    return [one for one in dict.fromkeys(asked) if len(one.split()) > 2]


def parse(command: str) -> None:
    """Parse a command as the program does, and run nothing."""
    words = shlex.split(command)
    if words[0] == "python":
        _, case, script = words[2].split(".")
        assert (ROOT / "examples" / case / f"{script}.py").is_file(), command
        parser = casework._parser(case, script, "", True)
        parser.parse_args(words[3:])
        return
    found: Any = get_command(app)
    rest = words[1:]
    while hasattr(found, "commands"):
        found = found.commands[rest.pop(0)]
    found.make_context("barproof", rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_commands_parse(page: Path) -> None:
    asked = commands(page)
    # Both variants, and something beside the study.
    assert any("--broken" in one for one in asked) and any("--mended" in one for one in asked)
    assert any(one.startswith("barproof ") for one in asked)
    for one in asked:
        parse(one)


def test_a_command_that_is_none_is_seen() -> None:
    for bad in (
        "python -m examples.s003_flat.study --broken --fast",
        "barproof verify --nothing x",
        "barproof nothing",
    ):
        with pytest.raises((SystemExit, KeyError, UsageError)):
            parse(bad)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.parent.name)
def test_commands_run(page: Path, tmp_path: Path) -> None:
    """Every command of small size runs as it stands: studies first, then what looks at their folders."""
    asked = [
        one
        for one in commands(page)
        if not PLACE.search(one) and "--size full" not in one and "--data" not in one
    ]
    asked.sort(key=lambda one: one.startswith("barproof"))
    assert len(asked) > 2
    for one in asked:
        words = shlex.split(one)
        if words[0] == "barproof":
            words = ["python", "-m", *words]
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env={
                "PYTHONPATH": f"{ROOT}:{ROOT / 'python'}",
                "PATH": "/usr/bin:/bin",
                "OMP_NUM_THREADS": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        told = f"{one}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        if "--broken" in one:
            assert done.returncode == 1, told
        elif "--mended" in one:
            assert done.returncode in (0, 4), told
        else:
            # It answered: neither usage, nor a crash.
            assert done.returncode in (0, 1, 4), told
        assert done.stdout.strip(), told
