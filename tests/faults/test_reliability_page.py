"""The page on reliability: every test, command and file that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "reliability.md"
TEXT = PAGE.read_text(encoding="utf-8") + (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)))
FILES = sorted(set(re.findall(r"`((?:tests|fuzz|tools)/[\w./]*)`", TEXT)))
TARGETS = sorted(set(re.findall(r"TARGET=(\w+)", TEXT)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_named_tests_exist(path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in found


def test_every_row_of_faults_names_a_test() -> None:
    section = PAGE.read_text(encoding="utf-8").split("## Faults and outcomes")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    assert [row for row in rows if "::test_" not in row] == []


@pytest.mark.parametrize("path", FILES)
def test_named_files_exist(path: str) -> None:
    assert (ROOT / path).exists()


def test_named_commands_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    made = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    asked = set(re.findall(r"`make ([a-z-]+)", TEXT))
    assert asked >= {"fuzz", "soak", "miri", "mutants", "coverage"}
    assert asked <= made
    rust = {path.stem for path in (ROOT / "fuzz" / "fuzz_targets").glob("*.rs")}
    python = set(re.findall(r"^PYTHON_FUZZ := (.*)$", makefile, re.MULTILINE)[0].split())
    assert set(TARGETS) <= rust | python
    for target in rust:
        assert (ROOT / "fuzz" / "corpus" / f"{target}.tar.gz").exists(), target
        assert f'name = "{target}"' in (ROOT / "fuzz" / "Cargo.toml").read_text(encoding="utf-8")
    for target in python:
        assert (ROOT / "fuzz" / f"{target}.py").exists(), target


def test_slow_commands_select_tests() -> None:
    for path in re.findall(r"`pytest -m slow (tests/[\w/]+\.py)`", TEXT):
        assert "@pytest.mark.slow" in (ROOT / path).read_text(encoding="utf-8"), path
