"""Pictures in README and docs: each that is shown exists, is small, and is one that the script makes."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from tools import screenshots

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = re.compile(r"!\[([^\]]*)\]\(((?:docs/)?img/[^)]+)\)")


def shown() -> dict[str, list[str]]:
    """File names of pictures, and what pages say of them."""
    found: dict[str, list[str]] = {}
    for page in PAGES:
        for words, path in SHOWN.findall(page.read_text("utf-8")):
            assert (page.parent / path).is_file(), f"{page.name} shows {path}"
            found.setdefault(Path(path).name, []).append(words)
    return found


MADE = {f"{s.name}.png" for s in screenshots.SHOTS} | {f"{n}.svg" for n in screenshots.SCREENS}


def test_every_picture_is_made_shown_and_described() -> None:
    there = {path.name for path in IMAGES.iterdir()}
    assert there == MADE
    found = shown()
    assert set(found) == MADE
    assert all(len(words) > 15 for texts in found.values() for words in texts)
    # The page that forwards people sees first is in the README.
    readme = (ROOT / "README.md").read_text("utf-8")
    assert {"report-verdict.png", "terminal-demo.svg"} <= {
        Path(path).name for _, path in SHOWN.findall(readme)
    }


@pytest.mark.parametrize("shot", screenshots.SHOTS, ids=lambda s: s.name)
def test_pictures_are_small_and_of_their_width(shot: screenshots.Shot) -> None:
    content = (IMAGES / f"{shot.name}.png").read_bytes()
    assert len(content) < screenshots.LIMIT
    width, height, depth, colours = struct.unpack(">IIBB", content[16:26])
    assert (width, height) == (shot.width, shot.height)
    assert (depth <= 8, colours) == (True, 3)  # a palette


@pytest.mark.parametrize("name", sorted(screenshots.SCREENS))
def test_drawings_fetch_nothing(name: str) -> None:
    text = (IMAGES / f"{name}.svg").read_text("utf-8")
    assert len(text) < screenshots.LIMIT
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg")
    assert "url(http" not in text
    assert "href" not in text
    assert set(re.findall(r"https?://[^\"'\s)]+", text)) <= {"http://www.w3.org/2000/svg"}
    words = re.sub(r"\s+", " ", " ".join(root.itertext()).replace("\N{NO-BREAK SPACE}", " "))
    assert f"barproof {screenshots.SCREENS[name][0]}" in words


def test_every_width_scheme_and_size_is_looked_at() -> None:
    assert screenshots.WIDTHS == (390, 820, 1440)
    assert screenshots.SCHEMES == ("light", "dark")
    assert screenshots.SIZES == (0, 10, 10_000)
