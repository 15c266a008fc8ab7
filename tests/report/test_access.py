"""The page for those who do not see it, or use no mouse: headings, landmarks, names, tables, contrast."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import barproof as bp
from barproof.report import render
from barproof.report.assets import style
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL
from tests.report import fakes
from tests.report.pages import VOID, Page


class Node:
    """An element with its attributes, children and text."""

    def __init__(self, tag: str, attrs: dict[str, str], parent: Node | None) -> None:
        self.tag, self.attrs, self.parent = tag, attrs, parent
        self.inner: list[Node] = []
        self.words: list[str] = []

    def all(self, *tags: str) -> Iterator[Node]:
        """Every element below with one of these names, in order."""
        for node in self.inner:
            if not tags or node.tag in tags:
                yield node
            yield from node.all(*tags)

    @property
    def text(self) -> str:
        return " ".join([*self.words, *(n.text for n in self.inner)]).strip()

    def up(self) -> Iterator[Node]:
        node = self.parent
        while node is not None:
            yield node
            node = node.parent


class Tree(HTMLParser):
    """Reads a page into nodes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self.at = Node("", {}, None)
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {k: v or "" for k, v in attrs}, self.at)
        self.at.inner.append(node)
        if tag not in VOID:
            self.at = node

    def handle_endtag(self, tag: str) -> None:
        assert self.at.tag == tag
        assert self.at.parent is not None
        self.at = self.at.parent

    def handle_data(self, data: str) -> None:
        if self.at.tag not in ("script", "style") and data.strip():
            self.at.words.append(data.strip())


def _everything() -> str:
    limits = (fakes.blank_metrics(total_return=-0.1), fakes.blank_metrics(total_return=0.3))
    drift = fakes.drift()
    audit = fakes.audit(fakes.WIN_RATE, fakes.OVERLAP, fakes.BALANCE, fakes.SKIPPED, drift)
    made = fakes.walk_forward(limits=limits)
    return render(made, fakes.sweep(), audit=audit, run=fakes.run(names=("a", "b")))


def _account(folder: Path) -> str:
    markets = {f"S{k}": bp.simulate_candles(k, bars=1_500, edge=0.1) for k in (1, 2)}
    given = {k: bp.Signals(long=c.planted, kind="score") for k, c in markets.items()}
    rules = bp.Rules(entry_long=1.0, max_hold=24, fraction=0.5)
    costs = bp.Costs(taker=0.0005, slippage=0.0001)
    made = bp.portfolio(markets, given, rules, costs=costs, ledger=False)
    return made.to_html(folder / "account.html").read_text("utf-8")


PAGES: dict[str, Callable[[], str]] = {
    "everything": _everything,
    "result": lambda: render(fakes.result(2_000, 60)),
    "no-trades": lambda: render(fakes.result(60, 0)),
    "sweep": lambda: render(sweep=fakes.sweep()),
    "one-axis": lambda: render(sweep=fakes.sweep({"stop_loss": [0.01, 0.02, None]})),
    "run": lambda: render(run=fakes.run("binary")),
    "audit": lambda: render(audit=fakes.audit()),
    "audit-of-nothing": lambda: render(audit=fakes.audit(*fakes.GOOD)),
}


@pytest.fixture(scope="module", params=[*PAGES, "account"])
def tree(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Node:
    name = request.param
    text = _account(tmp_path_factory.mktemp("account")) if name == "account" else PAGES[name]()
    return Tree(text).root


def test_language_title_and_landmarks(tree: Node) -> None:
    (page,) = tree.all("html")
    assert page.attrs["lang"] == "en"
    (title,) = tree.all("title")
    assert title.text
    for tag in ("header", "main", "footer", "nav"):
        assert len(list(tree.all(tag))) == 1, tag
    assert next(tree.all("nav")).attrs["aria-label"]
    (body,) = tree.all("body")
    first = next(n for n in body.all("a", "button", "select"))
    (main,) = tree.all("main")
    assert first.attrs["class"] == "skip"
    assert first.attrs["href"] == f"#{main.attrs['id']}"
    # Without it a browser scrolls there and leaves the focus where it was.
    assert main.attrs["tabindex"] == "-1"
    inside = ("header", "main", "footer")
    for section in tree.all("section"):
        assert any(n.tag in inside for n in section.up())
        assert section.attrs["aria-labelledby"]


def test_headings_are_in_order(tree: Node) -> None:
    levels = [int(n.tag[1]) for n in tree.all("h1", "h2", "h3", "h4", "h5", "h6")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    for before, after in zip(levels, levels[1:], strict=False):
        assert after <= before + 1, levels
    assert all(n.text for n in tree.all("h1", "h2", "h3", "h4"))
    for section in tree.all("section"):
        assert next(section.all()).tag == "h2"


def test_every_figure_has_a_name_and_numbers(tree: Node) -> None:
    ids = {n.attrs["id"]: n for n in tree.all() if "id" in n.attrs}
    for figure in tree.all("figure"):
        assert ids[figure.attrs["aria-labelledby"]].tag == "figcaption"
        (plot,) = (n for n in figure.all("div") if n.attrs.get("class") == "plot")
        assert plot.attrs["role"] == "img"
        assert len(plot.attrs["aria-label"]) > 20
        assert next(plot.all("noscript")).text == plot.attrs["aria-label"]
        (numbers,) = (n for n in figure.all("details") if n.attrs.get("class") == "data")
        assert "Numbers" in next(numbers.all("summary")).text
        assert next(figure.all("figcaption")).words[0] in numbers.text
        tables = [t for t in numbers.all("table") if len(list(t.all("tr"))) > 1]
        if not tables:
            # Numbers that stand on the page anyway are not repeated.
            (link,) = numbers.all("a")
            target = ids[link.attrs["href"][1:]]
            near = target if list(target.all("table")) else target.parent
            assert near is not None
            assert list(near.all("table")), link.attrs


def test_every_control_has_a_name(tree: Node) -> None:
    for select in tree.all("select"):
        labels = [n for n in select.up() if n.tag == "label"]
        assert labels
        assert labels[0].words
        assert len(list(select.all("option"))) > 1
    for button in tree.all("button"):
        assert button.text
        assert button.attrs["type"] == "button"
        group = next(n for n in button.up() if n.attrs.get("role") == "group")
        assert group.attrs["aria-label"]
    for fold in tree.all("details"):
        assert fold.inner[0].tag == "summary"
        assert fold.inner[0].text
    for link in tree.all("a"):
        assert link.text


def test_what_scrolls_is_reached_by_keyboard(tree: Node) -> None:
    for node in tree.all():
        assert int(node.attrs.get("tabindex", "0")) <= 0
        assert not any(name.startswith("on") for name in node.attrs)
        if node.attrs.get("class", "").split(" ")[0] == "scroll" or node.tag == "pre":
            assert node.attrs["tabindex"] == "0"
            assert node.attrs["role"] == "region"
            assert node.attrs["aria-label"]


def test_tables_have_captions_and_headers(tree: Node) -> None:
    for table in tree.all("table"):
        assert table.inner[0].tag == "caption"
        assert table.inner[0].text
        heads = list(next(table.all("thead")).all("th"))
        assert all(n.attrs["scope"] == "col" for n in heads)
        for row in next(table.all("tbody")).all("tr"):
            cells = list(row.all("th", "td"))
            assert len(cells) == len(heads)
            assert (cells[0].tag, cells[0].attrs["scope"]) == ("th", "row")


def test_identifiers_and_references(tree: Node) -> None:
    ids = [n.attrs["id"] for n in tree.all() if "id" in n.attrs]
    assert len(ids) == len(set(ids))
    for node in tree.all():
        for name in ("aria-labelledby", "aria-describedby", "for"):
            if name in node.attrs:
                assert node.attrs[name] in ids
        if node.tag == "a":
            assert node.attrs["href"][1:] in ids
        if "data-source" in node.attrs:
            assert node.attrs["data-source"] in ids


def _colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+):(#[0-9a-f]{3,6})", block))


def _luminance(colour: str) -> float:
    """Relative luminance by the definition of WCAG 2.1."""
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_told_from_its_absence() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # a known near miss


@pytest.mark.parametrize("scheme", ["light", "dark", "paper"])
def test_colours_can_be_told_apart(scheme: str) -> None:
    roots = re.findall(r":root\{(.*?)\}", style(), re.S)
    assert len(roots) == 3
    light = _colours(roots[0])
    found = light | _colours(roots[("light", "dark", "paper").index(scheme)])
    for ink in ("ink", "soft", "accent", "gain", "loss", "warn", "open"):
        for ground in ("page", "panel"):
            assert contrast(found[ink], found[ground]) >= 4.5, (ink, ground)
    for drawn in (ACCENT, GAIN, LOSS, NEUTRAL):
        assert contrast(drawn, found["page"]) >= 3.0, drawn


def test_focus_is_seen() -> None:
    css = style()
    assert "outline:none" not in css.replace(" ", "")
    assert "outline:0" not in css.replace(" ", "")
    shown = re.search(r"([^{}]*)\{outline:2px solid", css)
    assert shown is not None
    for kind in ("a", "button", "select", "summary", ".scroll"):
        assert f"{kind}:focus-visible" in shown.group(1)
    assert ".skip:focus{left:0}" in css


BAD = '"><script>alert(1)</script><a href="https://x.example">x</a>\'&'


def test_names_from_data_stay_text() -> None:
    market = fakes.candles(600, symbol=BAD)
    drift = fakes.drift((BAD, "rsi(14)"))
    claim = fakes.finding(
        "ECO-01",
        "fail",
        title=f"claimed {BAD}",
        evidence={"claim": BAD, "rows": [{BAD: BAD}], "total": 1},
        remedy=BAD,
        cause=(BAD,),
    )
    made = fakes.walk_forward(bars=600, count=30, candles=market)
    axes: Any = {BAD: [1, 2, 3], "stop_loss": [BAD, "a"]}
    text = render(
        made,
        fakes.sweep(axes),
        audit=fakes.audit(claim, drift, *fakes.GOOD),
        run=fakes.run(names=(BAD, "b")),
        title=BAD,
    )
    assert "<script>alert" not in text
    assert 'href="https' not in text
    page = Page(text)
    assert [tag for tag, _ in page.tags].count("script") == 2 + len(page.data)
    assert page.words.count(BAD) > 8
    # Figures read tags within texts: there none is left, but in their own templates.
    for key, figure in page.data.items():
        for name, told in _texts(figure):
            if name not in ("hovertemplate", "texttemplate") and key not in (
                "fig-heatmap-data",
                "fig-price-data",
            ):
                assert "<" not in told.replace("<br>", ""), (key, name)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, name)
    elif isinstance(value, str):
        yield name, value
