"""Every golden vector that a reader understands, by its id; the rest is listed, and never counted as passed.

``BARPROOF_GOLDEN`` names another file of the same form to run instead.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.golden.vectors import answer, tolerance

OWN = Path(__file__).with_name("statistics.json")
OTHER = os.environ.get("BARPROOF_GOLDEN")
VECTORS: list[dict[str, Any]] = json.loads(Path(OTHER or OWN).read_text(encoding="utf-8"))[
    "vectors"
]


@pytest.mark.parametrize("vector", [pytest.param(v, id=v["id"]) for v in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    found = answer(vector)
    if found is None:
        pytest.skip(f"unmapped: {vector['id']} ({vector['audit']})")
    assert found == pytest.approx(vector["value"], rel=tolerance(vector["id"]), abs=1e-300)


@pytest.mark.skipif(
    OTHER is not None, reason="another file may hold what this version does not know"
)
def test_no_vector_of_ours_is_unmapped() -> None:
    assert [v["id"] for v in VECTORS if answer(v) is None] == []


def test_what_no_reader_knows_is_unmapped() -> None:
    for vector in (
        {"id": "X1", "audit": "wilson", "inputs": "k=2 of 3", "value": [0.5]},
        {"id": "X2", "audit": "unheard of", "inputs": "k=2 n=3 95%", "value": [0.5]},
    ):
        assert answer(vector) is None


def test_a_wrong_value_is_found() -> None:
    vector = next(v for v in VECTORS if answer(v) is not None)
    wrong = [v * (1 + 1e-5) + 1e-12 for v in vector["value"]]
    assert answer(vector) != pytest.approx(wrong, rel=tolerance(vector["id"]), abs=1e-300)
