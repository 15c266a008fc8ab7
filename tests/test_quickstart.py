"""Every command of docs/quickstart.md is run, and prints what the document says.

``python tests/test_quickstart.py --update`` writes the outputs into the document.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[1] / "docs" / "quickstart.md"
FENCE = re.compile(r"^```(?P<kind>\w*)(?: file=(?P<file>\S+))?\n(?P<body>.*?)^```$", re.S | re.M)
DATA = os.environ.get("BARPROOF_DATA")

# What depends on the machine or the hour, and what takes its place in the document.
VOLATILE = (
    (re.compile(r"on \d+ threads?, about [\d,.]+ (s|min|h)\b"), "on 2 threads, about 1 s"),
    (re.compile(r"\b\d+\.\d s\b"), "1.0 s"),
    (re.compile(r"[ \t]+$", re.M), ""),
)


def data_folder() -> Path:
    if not DATA or not Path(DATA).is_dir():
        pytest.skip("BARPROOF_DATA names no folder")
    return Path(DATA).resolve()


def blocks(text: str) -> Iterator[re.Match[str]]:
    """Fenced blocks in order."""
    return FENCE.finditer(text)


def commands(body: str) -> list[str]:
    """Commands of a console block."""
    return [line[2:] for line in body.splitlines() if line.startswith("$ ")]


def run(command: str, folder: Path, data: Path) -> str:
    """Run one command as a reader would: stdout, then what it said on stderr."""
    words = [
        word.replace("$DATA", str(data))
        for word in shlex.split(command.replace("$DATA", "'$DATA'"), posix=True)
    ]
    programs = {"barproof": [sys.executable, "-m", "barproof"], "python": [sys.executable]}
    env = {
        **os.environ,
        "DATA": str(data),
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "BARPROOF_THREADS": "2",
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [*programs.get(words[0], [words[0]]), *words[1:]],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    # An audit that finds something ends with 1, one that proves nothing with 4: answers, and printed as such.
    good = (0, 1, 4) if words[1:2] == ["audit"] else (0,)
    assert done.returncode in good, f"{command}: {done.stderr}"
    return normalise((done.stdout + done.stderr).replace(str(data), "$DATA"))


def normalise(text: str) -> str:
    for pattern, plain in VOLATILE:
        text = pattern.sub(plain, text)
    return text.strip("\n")


def answered(body: str, folder: Path, data: Path) -> str:
    """Console block with the output that its commands print now."""
    parts = []
    for command in commands(body):
        output = run(command, folder, data)
        parts.append(f"$ {command}\n" + (f"{output}\n" if output else ""))
    return "".join(parts)


def regenerate(text: str, data: Path) -> str:
    """Document with every file written, every command run and every output filled in."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def block(match: re.Match[str]) -> str:
            if match["file"]:
                (folder / match["file"]).write_text(match["body"], encoding="utf-8")
            if match["kind"] == "console":
                return f"```console\n{answered(match['body'], folder, data)}```"
            if match["kind"] == "python" and not match["file"]:
                (folder / "_block.py").write_text(match["body"], encoding="utf-8")
                run("python _block.py", folder, data)
            return match[0]

        return FENCE.sub(block, text)


def test_quickstart_prints_what_it_says() -> None:
    # Not above: the page is written by this file as a script.
    from tests.helpers import as_compared

    data = data_folder()
    text = DOCUMENT.read_text(encoding="utf-8")
    now = regenerate(text, data)
    for old, new in zip(blocks(text), blocks(now), strict=True):
        assert as_compared(normalise(new["body"])) == as_compared(normalise(old["body"]))


def test_every_command_has_an_output_or_needs_none() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    found = [command for block in blocks(text) for command in commands(block["body"])]
    shown = {"check", "features", "labels", "train", "evaluate", "backtest", "sweep", "audit"}
    assert shown <= {command.split()[1] for command in found}


if __name__ == "__main__":
    if sys.argv[1:] != ["--update"] or not DATA:
        sys.exit("usage: BARPROOF_DATA=FOLDER python tests/test_quickstart.py --update")
    document = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(regenerate(document, Path(DATA).resolve()), encoding="utf-8")
