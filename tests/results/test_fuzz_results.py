"""The fuzz target of claims and trade intake (fuzz/results.py): few cases in every run, many in the slow one."""

from __future__ import annotations

import importlib
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import barproof as bp

fuzz: Any = importlib.import_module("fuzz.results")


def finding(seed: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return str(fuzz.case(seed, Path(folder)))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**32 - 1))
def test_a_strangers_file_is_judged_or_refused(seed: int) -> None:
    assert finding(seed) == ""


@pytest.mark.parametrize("seed", [13])
def test_what_it_found(seed: int) -> None:
    """Predictions whose cells are no numbers made an audit crash: they are refused at the door."""
    assert finding(seed) == ""


@pytest.mark.slow
def test_many_files_of_strangers() -> None:
    for seed in range(5_000):
        assert finding(seed) == ""


def test_cases_reach_what_they_should() -> None:
    """Some cases end in a report, and the others are refused, for many different reasons and at each door."""
    refused: Counter[str] = Counter()
    judged = 0
    for seed in range(60):
        with tempfile.TemporaryDirectory() as folder:
            rng = np.random.default_rng(seed)
            make = fuzz.claim_case if rng.random() < 0.4 else fuzz.trade_case
            run, _ = make(Path(folder), rng)
            try:
                run()
                judged += 1
            except bp.BarproofError as error:
                refused[str(error)[:30]] += 1
    assert judged >= 15
    assert len(refused) >= 10


def test_a_fault_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An intake that panics, one that writes, and claims that always agree are findings."""
    trades = [s for s in range(400) if np.random.default_rng(s).random() >= 0.4][:12]

    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("division by zero")

    with monkeypatch.context() as patch:
        patch.setattr(fuzz, "take_trades", broken)
        patch.setattr(fuzz, "measure", broken)
        assert any("ZeroDivisionError" in finding(seed) for seed in trades)
    from barproof.claims import ClaimSet, Recomputed

    claims = [s for s in range(400) if np.random.default_rng(s).random() < 0.4][:25]
    with monkeypatch.context() as patch:
        patch.setattr(ClaimSet, "_recompute", lambda *_: Recomputed(1.0, "", True))
        assert any("agrees with" in finding(seed) for seed in claims)
