"""The site: built strictly, every public name on a page, nothing fetched where it is read."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import barproof as bp

ROOT = Path(__file__).resolve().parent.parent
FETCHED = re.compile(
    r'<(?:script|img|iframe)\b[^>]*\bsrc="(?:https?:)?//[^"]*"|<link\b[^>]*\bhref="(?:https?:)?//[^"]*"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole site; a warning of any kind (dead link or anchor, page nobody links) fails the build."""
    out = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert built.returncode == 0, built.stderr[-4000:]
    return out


def test_every_public_name_has_its_place(site: Path) -> None:
    text = "".join(p.read_text(encoding="utf-8") for p in sorted((site / "api").glob("*.html")))
    names = [name for name in bp.__all__ if name != "__version__"]
    assert [name for name in names if f'id="barproof.{name}"' not in text] == []


def test_nothing_is_fetched(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    found = {
        page.name: FETCHED.findall(page.read_text(encoding="utf-8"))
        for page in pages
        if FETCHED.search(page.read_text(encoding="utf-8"))
    }
    assert found == {}
    styles = "".join(p.read_text(encoding="utf-8") for p in site.rglob("*.css"))
    assert not re.search(r"(?:@import|url\()\s*[\"']?https?://", styles)
