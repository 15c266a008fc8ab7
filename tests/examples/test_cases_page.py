"""The page that is made of the READMEs of the case studies."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from examples.casework import fill, records_of
from tools import cases

FOLDERS = sorted(p.parent for p in (cases.ROOT / "examples").glob("s0*/README.md"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)
def test_a_readme_prints_what_was_recorded(folder: Path) -> None:
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert fill(text, records_of(folder)) == text, "run: python -m examples.casework"


def test_the_page_is_made_of_the_readmes() -> None:
    made, there = cases.page(), cases.PAGE.read_text(encoding="utf-8")
    sections = {text.split("\n", 1)[0]: text.rstrip() for text in made.split("\n## ")[1:]}
    held = {text.split("\n", 1)[0]: text.rstrip() for text in there.split("\n## ")[1:]}
    assert {"4. It says nothing", "5. It was another system"} <= set(held)
    for title, text in held.items():
        assert text == sections[title], "run: python -m tools.cases"
    assert "PRED-01  FAIL" in held["4. It says nothing"]
    assert "PAR-01   FAIL" in held["5. It was another system"]


def test_the_picture_shows_the_recorded_verdict() -> None:
    record = cases.ROOT / "examples" / "s004_gating" / "record"
    said = (record / "verify-broken-small.txt").read_text(encoding="utf-8")
    picture = (record / "verify-broken-small.svg").read_text(encoding="utf-8")
    assert picture.startswith("<svg ") and len(picture) < 60_000
    shown = html.unescape(re.sub(r"<[^>]+>", " ", picture)).replace("\xa0", " ")
    assert "shown to have worked: none of 6" in said
    words = set(said.split())
    assert len(words) > 100 and words <= set(shown.split()), sorted(words - set(shown.split()))
    assert "record/verify-broken-small.svg" in (record.parent / "README.md").read_text()


def test_a_missing_readme_leaves_its_section_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "examples" / "s003_flat"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# S003: a title\n\nA story.\n\n```console\nx\n```\n")
    monkeypatch.setattr(cases, "ROOT", tmp_path)
    assert cases.page().count("\n## ") == 1
    assert "*S003: a title.* A story." in cases.page()
