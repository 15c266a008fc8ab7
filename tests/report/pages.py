"""Reading a page: what the tests of the report look at."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

from barproof.report import render

VOID = {"area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}


class Page(HTMLParser):
    """Reads a page: checks that tags nest, collects identifiers, references, text and figures."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.ids: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.data: dict[str, Any] = {}
        self._key = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self._key = str(found.get("id")) if found.get("type") == "application/json" else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        self._key = ""

    def handle_data(self, data: str) -> None:
        if self._key:
            self.data[self._key] = json.loads(data, parse_constant=_refuse)
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def _refuse(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def page_of(*args: Any, **kwargs: Any) -> Page:
    return Page(render(*args, **kwargs))
