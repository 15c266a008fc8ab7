"""The fuzz target of candles (fuzz/candles.py): few cases in every run, many in the slow one."""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

import barproof as bp

fuzz: Any = importlib.import_module("fuzz.candles")


def finding(seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return str(fuzz.case(seed, Path(folder)))


def test_any_table_becomes_candles_or_an_error() -> None:
    assert [text for text in map(finding, range(40)) if text] == []


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_many_tables() -> None:
    assert [text for text in map(finding, range(10_000)) if text] == []


def test_a_fault_would_be_found() -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    with mock.patch.object(bp, "read_candles", broken):
        assert all("ZeroDivisionError" in finding(seed) for seed in range(3))
