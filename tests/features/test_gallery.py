"""The gallery: every function is there, drawn from its own values, and the files stay small."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from tools import gallery

import barproof as bp

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "gallery.md"
ROWS = bp._core.feature_table()
SPACE = "{http://www.w3.org/2000/svg}"


def test_every_function_has_its_row_its_formula_and_its_drawing() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for row in ROWS:
        name = row["name"]
        (line,) = (one for one in text.splitlines() if one.startswith(f"| [`{name}`]"))
        assert f"![{name}](gallery/{name}.svg)" in line
        assert gallery.cell(row["formula"]) in line
        assert bp.FeatureSet([gallery.call_of(row)])
        assert (ROOT / "docs" / "gallery" / f"{name}.svg").is_file()


def test_the_gallery_stays_small() -> None:
    files = list((ROOT / "docs" / "gallery").glob("*.svg"))
    size = sum(path.stat().st_size for path in (*files, PAGE))
    assert size < 1_500_000
    assert size / len(files) < 9_000


@pytest.mark.parametrize("name", [row["name"] for row in ROWS])
def test_a_drawing_shows_the_values(name: str) -> None:
    """Points of each line, put back on the scale that the labels tell, are the values to the height of a pixel."""
    root = ElementTree.fromstring((ROOT / "docs" / "gallery" / f"{name}.svg").read_text())
    high, low = (float(text.text or "nan") for text in root.iter(f"{SPACE}text"))
    paths = [path.get("d") or "" for path in root.iter(f"{SPACE}path") if path.get("fill")]
    row = next(row for row in ROWS if row["name"] == name)
    names, values = gallery.drawn(gallery.call_of(row), gallery.market())
    assert len(paths) == len(names) == max(1, len(row["outputs"]))
    span = high - low if high > low else 1.0
    for path, column in zip(paths, values.T, strict=True):
        points = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", path)]
        known = column[np.isfinite(column)]
        assert len(points) == len(known)
        if high > low:
            floor = gallery.HEIGHT - gallery.TOP
            shown = low + (floor - np.array(points)) / (floor - gallery.TOP) * span
            # Labels have four digits, points a tenth of a pixel.
            off = 2e-3 * max(abs(high), abs(low)) + 2e-3 * span
            np.testing.assert_allclose(shown, known, atol=off, rtol=0)
