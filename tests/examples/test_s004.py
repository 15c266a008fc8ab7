"""Case S004: what fires on the five models, what is silent on the mended one, and what `verify` says of the folder."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import sklearn
from examples.s004_gating import alternatives
from examples.s004_gating.asked import shown
from examples.s004_gating.folder import _mended
from examples.s004_gating.study import CODES

import barproof as bp
from barproof.cli import main
from tests.examples.variants import FAST, SEEDS, VARIANTS, hold, play

# What else such a system shows: costs, ruin, the live log, what its grid and its few live trades cannot tell.
ALSO = {
    "broken": (
        "DEC-03 DEC-04 DEC-05 DEC-06 DEC-07 ECO-06 ECO-08 ECO-12 OVF-05 OVF-06 OVF-09 OVF-10 SIG-05 SIG-06 "
        "SIG-07 SIG-08 SIG-09 SIG-11 SPL-10 FILL-03 FILL-04"
    ).split(),
    # The winner lies on the grid's edge; days hang together; three days of forecasts are few.
    "mended": ["OVF-10", "SIG-09", "DEC-04"],
}


NAMED = {
    *("PAR-01", "PAR-02", "DEC-01", "ECO-01", "ECO-02", "ECO-03", "ECO-05", "ECO-04", "ECO-10"),
    *("SIG-01", "SIG-02", "SIG-03", "SIG-04", "PRED-05", "ECO-09", "DATA-08", "ECO-07", "OVF-08"),
    *("OVF-07", "OVF-01", "OVF-02", "OVF-04", "SPL-05", "CKP-06", "ECO-11", "CAL-06", "SPL-11"),
    *(f"CLM-{i:02}" for i in range(1, 11)),
}
"""Audits of S004 in the table of case studies."""


def test_the_study_speaks_of_all_codes_of_the_case() -> None:
    assert set(CODES) == NAMED


def held(variant: str, code: int, facts: dict[str, Any]) -> None:
    """Hold a run to its codes."""
    hold(variant, code, facts, NAMED, also=ALSO[variant])


@pytest.mark.timeout(600)
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("seed", SEEDS)
def test_codes_and_verdict(
    variant: str, seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts = play("s004_gating", variant, seed, tmp_path / "run")
    held(variant, code, facts)
    if variant == "broken":
        # Found in all trades of the backtest: four live ones alone would be inconclusive on any seed.
        assert facts["outcomes"]["ECO-03"] == "warn"
        # The stop holds 78% of all losses on seed 11, and the audit speaks of it from 80% on. The oldest scikit-learn
        # fits other models, whose stop may hold more or less.
        told = {"inconclusive"} if seed == 11 else {"warn"}
        if sklearn.__version__.startswith("1.6."):
            told = {"inconclusive", "warn"}
        assert facts["outcomes"]["ECO-10"] in told
    capsys.readouterr()
    # The folder answers the user's question.
    folder = tmp_path / "run" / "folder"
    exit_code = main(["verify", str(folder), "--json"])
    document = json.loads(capsys.readouterr().out)
    worked = {s["model"]: s["worked"] for s in document["systems"]}
    assert exit_code == document["exit_code"] == code
    if variant == "broken":
        assert set(worked) == {
            "108 windows",
            "full data",
            "v4",
            "improved labels",
            "30 days",
            "live, 171 features",
        }
        assert True not in worked.values() and worked["full data"] is False
        assert document["answer"].startswith("shown to have worked: none of 6; ")
        plain, picture = shown(["verify", str(folder)], "barproof verify")
        assert document["answer"] in plain and picture.startswith("<svg ")
        assert "none&#160;of&#160;6" in picture
        fails = {f["id"] for f in document["report"]["findings"] if f["outcome"] == "fail"}
        assert fails == {f"CLM-{i:02}" for i in range(1, 11)}
    else:
        assert worked == {"latest": True}
        assert (
            document["answer"]
            == "shown to have worked: v5 latest of 1; 0 lost money, of 0 nothing is known"
        )
    # When the features of production left those of the backtest.
    book = bp.Ledger.open(folder / "ledger.sqlite")
    changes = book.history(field="features")
    digests = [bp.FeatureSet.preset(f"gating_{n}").digest for n in (109, 171)]
    if variant == "broken":
        assert changes["before"].to_list() == [None, digests[0]]
        assert changes["after"].to_list() == digests
    else:
        assert changes.height == book.runs().height == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_there_is_nothing_to_earn_the_mended_bot_claims_nothing(tmp_path: Path) -> None:
    code, facts = play("s004_gating", "mended", FAST, tmp_path / "run", "--edge", "0")
    assert code == 4
    assert any("nothing is traded, and nothing claimed" in line for line in facts["said"])
    assert not (tmp_path / "run" / "folder").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_where_there_is_something_to_earn_the_broken_bot_is_refuted(tmp_path: Path) -> None:
    code, facts = play("s004_gating", "broken", FAST, tmp_path / "run", "--edge", "0.25")
    assert code == 1
    silent = NAMED - set(facts["fired"])
    # More trades are worth something there, and an entry model may know something.
    assert silent <= {"ECO-07", "SPL-11"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_alternatives(tmp_path: Path) -> None:
    """All six face the same bars and costs; on a market without an edge none beats doing nothing."""
    code, facts = _alternatives(tmp_path)
    rows = {row["name"]: row for row in facts["figures"]["alternatives"]}
    assert code == 1
    assert set(rows) == set(alternatives.NAMES)
    assert rows["no model at all"]["trades"] == 0
    assert not any(row["helps"] for row in rows.values())


def _alternatives(tmp_path: Path) -> tuple[int, dict[str, Any]]:
    code = alternatives.main(
        ["--broken", "--seed", str(FAST), "--out", str(tmp_path / "x"), "--quiet"]
    )
    return code, json.loads((tmp_path / "x" / "figures.json").read_text())


def test_the_claimed_interval_of_a_total_compounds_as_the_total_does(tmp_path: Path) -> None:
    # At full size thousands of trades double the account; n times the mean trade falls short of that.
    rng = np.random.default_rng(5)
    n = 4_683
    start = datetime(2022, 1, 1)
    trades = pl.DataFrame(
        {
            "return": rng.normal(0.00018, 0.0005, n),
            "entry_time": [start + timedelta(hours=i) for i in range(n)],
            "exit_time": [start + timedelta(hours=i + 1) for i in range(n)],
        }
    )
    for name in ("trades/backtest.csv", "configs/backtest.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    system: Any = SimpleNamespace(result=SimpleNamespace(trades=trades), window=(0, 288 * 540))
    total = next(c for c in _mended(tmp_path, system, trades[:80], 10.0) if c["id"] == "total")
    assert total["low"] < float(total["value"]) < total["high"]
    assert 100 * trades["return"].sum() < total["low"] < 1.2 * float(total["value"])
