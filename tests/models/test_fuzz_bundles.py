"""The fuzz target of manifest and probe (fuzz/bundles.py): few cases in every run, many in the slow one."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import barproof as bp

fuzz: Any = importlib.import_module("fuzz.bundles")


def finding(seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return str(fuzz.case(seed, Path(folder)))


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1))
def test_a_forged_bundle_is_refused_or_answers_as_it_did(seed: int) -> None:
    assert finding(seed) == ""


@pytest.mark.parametrize("seed", [11, 17])
def test_what_it_found(seed: int) -> None:
    """A calibration without its method, and classes that are none, failed in the replay, behind the door."""
    assert finding(seed) == ""


@pytest.mark.slow
def test_many_forged_bundles() -> None:
    for seed in range(5_000):
        assert finding(seed) == ""


def test_cases_reach_what_they_should() -> None:
    """Most cases are refused, by many different messages; some change nothing that matters."""
    messages, sound = set(), 0
    for seed in range(40):
        with tempfile.TemporaryDirectory() as folder:
            try:
                path, _ = fuzz.forgery(seed, Path(folder))
            except Exception:  # no bundle can be written of it
                continue
            try:
                bp.Bundle.load(path)
                sound += 1
            except bp.BarproofError as error:
                messages.add(str(error)[:40])
    assert len(messages) >= 8
    assert sound >= 1


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("x"), MemoryError("x")])
def test_other_errors_are_findings(error: Exception) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    with mock.patch.object(bp.Bundle, "load", broken):
        found = [text for text in map(finding, range(4)) if text]
    assert found
    assert all(type(error).__name__ in text for text in found)


def test_memory_and_files_are_findings() -> None:
    def greedy(path: Path, **_: object) -> Any:
        kept = bytearray(fuzz.MOST_BYTES + 1)
        (path.parent / "made").write_bytes(kept[:1])
        raise bp.BundleError("no")

    with mock.patch.object(bp.Bundle, "load", greedy):
        found = next(text for text in map(finding, range(4)) if text)
    assert "MiB" in found
    assert "made files" in found
