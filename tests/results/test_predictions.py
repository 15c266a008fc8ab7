"""Predictions as a table of any make: names, lone probabilities, what is missing, and what no cell may do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.results import read_predictions


def test_columns_are_found_and_told(tmp_path: Path) -> None:
    table = pl.DataFrame({"y_proba": [0.2, 0.75], "y_true": [0, 1], "x": ["a", "b"]})
    held = read_predictions(table)
    assert held.columns == ["p_0", "p_1", "label", "x"]
    assert held["p_0"].to_list() == [0.8, 0.25] and held["label"].to_list() == [0.0, 1.0]
    table.write_csv(tmp_path / "p.csv")
    assert read_predictions(tmp_path / "p.csv").equals(held)
    told = read_predictions(
        {"up": ["55%", "10 %"], "was": [1, None]}, columns={"p_1": "up", "label": "was"}
    )
    assert told["p_1"].to_list() == pytest.approx([0.55, 0.10]) and told["label"].to_list() == [
        1.0,
        None,
    ]
    several = read_predictions({"p_1": [0.5], "p_-1": [0.2], "p_0": [0.3], "proba": [9.0]})
    assert several.columns == ["p_-1", "p_0", "p_1", "proba"]
    assert read_predictions({"forecast": [0.01], "target": [0.02]}).columns == [
        "prediction",
        "label",
    ]
    with pytest.raises(bp.ParameterError, match="which no table of predictions has"):
        read_predictions({"p_1": [0.1]}, columns={"p_up": "p_1"})


@pytest.mark.parametrize(
    "table",
    [
        {"p_1": ["many"], "label": [1]},
        {"p_1": [[0.1]], "label": [1]},
        {"p_1": [0.1], "fold": ["a"]},
        {"p_1": [0.1], "fold": [float("nan")]},
        {"likely": [0.1]},
        {},
    ],
)
def test_what_is_no_prediction_is_refused_at_the_door(table: dict[str, Any]) -> None:
    """Once such a cell made an audit crash."""
    with pytest.raises(bp.BarproofError):
        bp.audit(predictions=pl.DataFrame(table, strict=False), ledger=False)


def test_a_table_of_another_tool_is_audited_as_one_of_ours(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    p = rng.uniform(0.05, 0.95, 2_000)
    y = (rng.uniform(size=2_000) < p).astype(int)
    ours = bp.audit(predictions=pl.DataFrame({"p_0": 1 - p, "p_1": p, "label": y}), ledger=False)
    theirs = bp.audit(predictions={"proba": p, "y_true": y}, ledger=False)
    assert {f.id: f.outcome for f in theirs} == {f.id: f.outcome for f in ours}
    assert ours["CAL-01"].outcome == "pass" and ours["PRED-06"].outcome == "pass"
    # Text of a stranger beside the numbers does nothing.
    evil = "<script>alert(1)</script>"
    report = bp.audit(
        predictions={"proba": p, "y_true": y, "part": [evil] * 2_000, evil: [evil] * 2_000},
        ledger=False,
    )
    page = report.to_html(tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page and "<script" not in report.to_markdown()
