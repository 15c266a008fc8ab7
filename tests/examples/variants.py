"""How the ten variants of the case studies are held to their codes."""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

FIRES = ("fail", "warn", "inconclusive")
FAST = 7
"""Seed that `make test` runs; the other two are slow."""
SEEDS = [FAST, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (11, 23))]
VARIANTS = ["broken", "mended"]


def play(case: str, variant: str, seed: int, out: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Run a study as its command line does; exit code and ``figures.json``."""
    study = importlib.import_module(f"examples.{case}.study")
    options = [f"--{variant}", "--seed", str(seed), "--out", str(out), "--quiet", *more]
    code = study.main(options)
    facts: dict[str, Any] = json.loads((out / "figures.json").read_text(encoding="utf-8"))
    return code, facts


def hold(
    variant: str,
    code: int,
    facts: dict[str, Any],
    named: Collection[str],
    *,
    also: Collection[str] = (),
) -> None:
    """Hold a variant to its set of codes.

    Broken: every named code fires, and beside them only those in `also`; exit 1. Mended: every named code passes, only
    those in `also` fire; exit 0 or 4.
    """
    outcomes = facts["outcomes"]
    fired = {name for name, outcome in outcomes.items() if outcome in FIRES}
    assert code == facts["exit_code"]
    if variant == "broken":
        assert code == 1
        assert set(named) <= fired, sorted(set(named) - fired)
        assert fired <= {*named, *also}, sorted(fired - {*named, *also})
    else:
        assert code in (0, 4)
        assert {name: outcomes[name] for name in named} == dict.fromkeys(named, "pass")
        assert fired <= set(also), sorted(fired - set(also))
