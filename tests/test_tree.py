"""The tree as a stranger reads it: tests assert something, and ARCHITECTURE.md names what is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ASSERTS = re.compile(r"pytest\.(raises|warns|fail)|\bassert_|check_estimator|check_returncode")
"""Calls that fail where something is wrong, beside the statement."""
MAP = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w./*-]+(?:\.(?:py|rs|md|toml)|/))`", MAP)))
SOURCES = ("python", "rust", "tests", "docs", "tools", "benches", "examples", "fuzz")


def functions() -> Iterator[tuple[Path, ast.FunctionDef]]:
    """Every function of the tests."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                yield path, node


def fails(node: ast.AST) -> bool:
    """Whether it holds something against something itself."""
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Assert, ast.Raise)):
            return True
        if isinstance(inner, ast.Call) and ASSERTS.search(ast.unparse(inner.func)):
            return True
    return False


def names(node: ast.AST) -> set[str]:
    """Names that it uses."""
    found = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    return found | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}


def idle(found: list[tuple[str, ast.FunctionDef]]) -> list[str]:
    """Tests that assert nothing, neither themselves nor by a function of the tests that they use."""
    sound = {node.name for _, node in found if fails(node)}
    uses = [(node.name, names(node)) for _, node in found]
    grown = True
    while grown:
        more = {name for name, used in uses if used & sound} - sound
        grown = bool(more)
        sound |= more
    return [
        f"{where}: {node.name}"
        for where, node in found
        if node.name.startswith("test_") and node.name not in sound
    ]


def test_every_test_asserts_something() -> None:
    found = [(str(path.relative_to(ROOT)), node) for path, node in functions()]
    assert len(found) > 2_000
    assert idle(found) == []


def test_an_idle_test_is_seen() -> None:
    text = """
def held(x): assert x
def by(x): held(x)
def test_a(): by(1)
def test_b(): print(1)
def test_c():
    with pytest.raises(ValueError): int("x")
"""
    tree = ast.parse(text)
    found = [("x", node) for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert idle(found) == ["x: test_b"]


@cache
def tree() -> list[str]:
    """Paths of files below the folders of sources, as the map would name them."""
    found = [path.relative_to(ROOT).as_posix() for path in ROOT.iterdir() if path.is_file()]
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                found.append(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.parametrize("name", NAMED)
def test_the_map_names_what_is_there(name: str) -> None:
    end = "." if name.endswith("/") else "$"
    wanted = re.compile(r"(^|/)" + re.escape(name).replace(r"\*", "[^/]*") + end)
    assert any(wanted.search(path) for path in tree())
