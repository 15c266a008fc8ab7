"""Style and script of the page, as text that goes into it.

They lie beside this file as what they are: `static/style.css`, and scripts that make one closure together.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files

__all__ = ["script", "style"]

SCRIPTS = ("page.js", "sweep.js", "candles.js", "start.js")
"""In the order in which they run; the first two thirds only define what the last one calls."""


def _text(name: str) -> str:
    return files("barproof.report").joinpath("static", name).read_text(encoding="utf-8")


@cache
def style() -> str:
    """Read the style sheet."""
    return _text("style.css")


@cache
def script() -> str:
    """Join the scripts into one closure, so that nothing of theirs is global."""
    return f'(function(){{\n"use strict";\n{"".join(_text(name) for name in SCRIPTS)}}})();\n'
