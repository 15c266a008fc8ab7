from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from barproof.cli import main

from .market import Files, write_market

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write_market(tmp_path_factory.mktemp("market"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder: code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("BARPROOF_DEBUG", raising=False)

    def call(*words: str) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def run_json(run: Run) -> Callable[..., tuple[int, Any]]:
    """Run with --json: code and the one document on stdout."""

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    def call(*words: str) -> tuple[int, Any]:
        code, out, _ = run(*words, "--json")
        return code, json.loads(out, parse_constant=refuse)

    return call
