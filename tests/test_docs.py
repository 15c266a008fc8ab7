"""The documents: their code runs and prints what they show, their tables are complete, their links lead somewhere.

In ``README.md`` and ``docs/`` the ```python blocks of a page run one after the other in one namespace and an empty
folder. A ```text block right after one is what it prints. Blocks marked ```python data find the files of the folder
that ``BARPROOF_DATA`` names beside them, and are left out where it names none. What blocks marked ```python indexed
print is compared where the engine of that name is built in. A page with blocks marked ```python needs=NAME is run where
that package is installed, with whatever it warns of. The quick start has a test of its own.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import barproof as bp
from barproof import _core, errors
from barproof.candles.faults import REPAIR_ORDER, STRUCTURAL
from barproof.cli.exits import CODES
from barproof.signals import ARRAYS

ROOT = Path(__file__).resolve().parent.parent
DATA = os.environ.get("BARPROOF_DATA", "")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN_PAGES = [page for page in PAGES if page.name != "quickstart.md"]
ALL_PAGES = [*sorted(ROOT.glob("*.md")), *PAGES[1:]]
SOURCES = [
    path
    for folder in ("python", "rust", "tests", "tools", "benches")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in (".py", ".pyi", ".rs")
]

FENCE = re.compile(r"^```(?P<kind>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


def words(path: Path) -> str:
    """Text of a page without its fenced blocks."""
    return FENCE.sub("", path.read_text(encoding="utf-8"))


class Block(NamedTuple):
    """A Python block of a page, and what the page says that it prints."""

    line: int
    code: str
    data: bool
    prints: str | None
    needs: str | None


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    fences = list(FENCE.finditer(text))
    found = []
    for i, fence in enumerate(fences):
        kind = fence["kind"].split()
        if kind[:1] != ["python"]:
            continue
        after = fences[i + 1] if i + 1 < len(fences) else None
        shown = (
            after is not None
            and after["kind"].split()[:1] == ["text"]
            and not text[fence.end() : after.start()].strip()
        )
        line = text.count("\n", 0, fence.start("body"))
        compared = shown and (_core.INDEXED or "indexed" not in kind[1:])
        prints = after["body"] if after is not None and compared else None
        needs = next((word[6:] for word in kind[1:] if word.startswith("needs=")), None)
        found.append(Block(line, fence["body"], "data" in kind[1:], prints, needs))
    return found


def run(page: Path, chosen: list[Block]) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in chosen:
        if block.needs is not None:
            pytest.importorskip(block.needs, reason=f"{block.needs} is not installed")
            warnings.simplefilter("ignore")  # what it uses of others is its own to mend
        out = io.StringIO()
        # Blank lines in front, so that tracebacks name the line of the page.
        code = compile("\n" * block.line + block.code, str(page), "exec")
        with contextlib.redirect_stdout(out):
            exec(code, names)
        if block.prints is not None:
            assert out.getvalue() == block.prints, f"{short(page)}, block at line {block.line}"


@pytest.mark.parametrize("page", RUN_PAGES, ids=short)
def test_code_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(page, [block for block in blocks(page) if not block.data])


@pytest.mark.skipif(not DATA, reason="BARPROOF_DATA names no data folder")
@pytest.mark.parametrize(
    "page", [p for p in RUN_PAGES if any(b.data for b in blocks(p))], ids=short
)
def test_code_with_data_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in Path(DATA).resolve().iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    run(page, blocks(page))


def anchors(page: Path) -> set[str]:
    """Fragments that headings answer to, as code hosts make them."""
    kept = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(words(page)))
    return {title.strip().replace(" ", "-") for title in kept}


def links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Relative links of a page: as written, the file, the fragment."""
    for link in LINK.findall(words(page)):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, fragment = link.partition("#")
        yield link, ((page.parent / file) if file else page).resolve(), fragment


@pytest.mark.parametrize("page", ALL_PAGES, ids=short)
def test_links_lead_somewhere(page: Path) -> None:
    for link, target, fragment in links(page):
        assert target.exists(), link
        assert not fragment or fragment in anchors(target), link


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    to_read = [PAGES[0].resolve()]
    while to_read:
        page = to_read.pop()
        if page.suffix == ".md" and page.exists() and page not in seen:
            seen.add(page)
            to_read += [target for _, target, _ in links(page)]
    assert [short(page) for page in ALL_PAGES if page.resolve() not in seen] == []


def test_documents_that_sources_name_exist() -> None:
    have = {page.name.lower() for page in ALL_PAGES}
    # The data folder describes itself; it is no part of this repository.
    have.add("data.md")
    named = {
        (short(path), name)
        for path in SOURCES
        for name in re.findall(r"\b\w+\.md\b", path.read_text(encoding="utf-8"))
    }
    assert sorted((path, name) for path, name in named if name.lower() not in have) == []


def quoted(page: str) -> set[str]:
    """Words that stand in code quotes on a page."""
    return {
        word
        for span in re.findall(r"`([^`\n]+)`", words(ROOT / page))
        for word in re.findall(r"\w+", span)
    }


def table(page: str, columns: str) -> list[list[str]]:
    """Rows of the table of a page whose header begins so."""
    lines = iter(words(ROOT / page).splitlines())
    for line in lines:
        if line.startswith(columns):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def names_of(rows: list[list[str]]) -> list[str]:
    return [row[0].strip("`") for row in rows]


def test_rules_and_metrics_are_documented() -> None:
    rules = [row["name"] for row in _core.rules_table()]
    metrics = [row["name"] for row in _core.metrics_table()]
    assert names_of(table("docs/rules.md", "| field |")) == rules
    assert names_of(table("docs/metrics.md", "| metric |")) == metrics
    # The contract speaks of each of them, too.
    assert {*rules, *metrics} - quoted("docs/execution.md") == set()


def test_choices_signals_and_records_are_documented() -> None:
    candles = bp.simulate_candles(7, bars=300)
    rules = bp.Rules(entry_long=0.0)
    signals = bp.Signals(long=[0.5] * len(candles))
    columns = bp.backtest(candles, signals, rules, costs=bp.Costs.free()).trades.columns
    choices = [choice for row in _core.rules_table() for choice in row["choices"]]
    assert {*columns, *choices, *ARRAYS} - quoted("docs/execution.md") == set()


def test_every_function_of_the_statistics_is_documented() -> None:
    rows = table("docs/statistics.md", "| subject |")
    told = [name for row in rows for name in re.findall(r"`(\w+)`", row[1])]
    assert sorted(told) == sorted(name for name in bp.stats.__all__ if name[0].islower())


def faults_in_code() -> set[tuple[str, str]]:
    """Codes and severities, wherever the candle code writes one right after the other."""
    levels = ("error", "warning")
    found = set()
    for path in (ROOT / "python/barproof/candles").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            row = (
                node.args
                if isinstance(node, ast.Call)
                else node.elts
                if isinstance(node, ast.Tuple)
                else []
            )
            values = [cell.value if isinstance(cell, ast.Constant) else None for cell in row]
            for code, level in zip(values, values[1:], strict=False):
                if (
                    isinstance(code, str)
                    and isinstance(level, str)
                    and level in levels
                    and code not in levels
                ):
                    found.add((code, level))
    return found


def test_every_fault_and_repair_is_documented() -> None:
    rows = table("docs/candles.md", "| code |")
    assert {
        (code, row[1].split(",")[0]) for code, row in zip(names_of(rows), rows, strict=True)
    } == faults_in_code()
    assert {
        code for code, row in zip(names_of(rows), rows, strict=True) if "always" in row[1]
    } == STRUCTURAL
    assert names_of(table("docs/candles.md", "| repair |")) == list(REPAIR_ORDER)


def test_every_error_and_exit_code_is_documented() -> None:
    rows = table("docs/errors.md", "| class |")
    assert sorted(names_of(rows)) == sorted(errors.__all__)
    for name, row in zip(names_of(rows), rows, strict=True):
        bases = [base.__name__ for base in getattr(errors, name).__bases__]
        assert row[1].strip("`") == bases[-1], name
    codes = {int(row[0]): row[1].replace("`", "") for row in table("docs/errors.md", "| code |")}
    assert codes == CODES
