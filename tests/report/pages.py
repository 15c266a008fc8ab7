"""Reading a page: what the tests of the report look at."""

from __future__ import annotations

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from typing import Any

import numpy as np

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
        self.columns: dict[str, dict[str, np.ndarray[Any, Any]]] = {}
        self._key = ""
        self._packed = ""
        self.library = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if found.get("id"):
            self.ids.append(str(found["id"]))
        self._packed = str(found.get("data-packed") or "")
        held = self._packed or found.get("type") == "application/json"
        self._key = str(found.get("id")) if tag == "script" and held else ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes something else"
        self._key = ""

    def handle_data(self, data: str) -> None:
        if self._packed and self._key:
            self._unpack(zlib.decompress(base64.b64decode(data, validate=True)))
        elif self._key:
            self.data[self._key] = json.loads(data, parse_constant=_refuse)
        elif self.open and self.open[-1] not in ("script", "style"):
            self.text.append(data)

    def _unpack(self, content: bytes) -> None:
        """Read what a page holds deflated: JSON, or a head and columns whose bytes stand by weight."""
        if self._key == "plotly":
            self.library = content.decode()
        elif self._packed == "text":
            self.data[self._key] = json.loads(content, parse_constant=_refuse)
        else:
            size = int.from_bytes(content[:4], "little")
            head = json.loads(content[4 : 4 + size], parse_constant=_refuse)
            at, found = 4 + size, {}
            for name, kind, n in head["columns"]:
                width = np.dtype(kind).itemsize
                planes = np.frombuffer(content[at : at + n * width], np.uint8).reshape(width, n)
                found[name] = np.frombuffer(planes.T.tobytes(), f"<{kind}")
                at += n * width
            assert at == len(content)
            self.data[self._key], self.columns[self._key] = head, found

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def _refuse(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def page_of(*args: Any, **kwargs: Any) -> Page:
    return Page(render(*args, **kwargs))
