"""The page: one HTML file that holds everything it shows and asks no network for anything."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from barproof.report import packing
from barproof.report.assets import script, style
from barproof.report.tables import Html, esc

__all__ = ["Section", "Tile", "details", "host", "page", "plot", "selector", "tiles"]

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What a browser lets the page do: run and show what is in it, load nothing."""


TEMPLATES = frozenset(("hovertemplate", "texttemplate"))
"""Texts of figures that are written here and hold no data."""

TAG = re.compile("<(?!br>)")
"""What begins a tag; a break within a text is none of the reader's business."""


@dataclass(frozen=True)
class Section:
    """One section of a page.

    Parameters
    ----------
    key : str
        Identifier, used for links within the page.
    title : str
        Heading, as plain text.
    body : str
        HTML, which the caller has escaped.
    """

    key: str
    title: str
    body: str


@dataclass(frozen=True)
class Tile:
    """One number that a page opens with.

    Parameters
    ----------
    name : str
        What it is.
    value : str
        The number, formatted.
    note : str, default ""
        A line below it.
    tone : {"", "gain", "loss"}, default ""
        Its colour.
    """

    name: str
    value: str
    note: str = ""
    tone: str = ""


def tiles(items: Sequence[Tile]) -> Html:
    """Lay out tiles in a grid that wraps."""
    cells = "".join(
        f'<div><dt>{esc(t.name)}</dt><dd class="{esc(t.tone)}">{esc(t.value)}'
        f"{f'<small>{esc(t.note)}</small>' if t.note else ''}</dd></div>"
        for t in items
    )
    return Html(f'<dl class="tiles">{cells}</dl>')


def details(title: str, body: str, *, is_open: bool = False) -> Html:
    """Fold `body`, which is HTML, under a title."""
    return Html(
        f"<details{' open' if is_open else ''}><summary>{esc(title)}</summary>{body}</details>"
    )


def host(
    key: str,
    data: str,
    *,
    caption: str,
    alt: str,
    note: str,
    height: int,
    table: str,
    controls: str = "",
    kind: str = "",
) -> Html:
    """Place a figure: its caption, its controls, where it is drawn, its numbers as a table, its data.

    Parameters
    ----------
    key : str
        Identifier, unique on the page.
    data : str
        The script element that holds its data, with the identifier ``{key}-data``.
    caption, alt, note, table
        As for :func:`plot`.
    height : int
        Pixels that are kept free until it is drawn.
    controls : str, default ""
        HTML of what the reader can choose.
    kind : str, default ""
        Which script draws it; by default the data are a figure of plotly.

    Returns
    -------
    Html
        One figure element.
    """
    more = f"<span>{esc(note)}</span>" if note else ""
    before = f'<div class="choices">{controls}</div>' if controls else ""
    live = f'<p class="note told-live" id="{key}-told" role="status"></p>' if controls else ""
    how = f' data-kind="{esc(kind)}"' if kind else ""
    return Html(
        f'<figure id="{key}-figure" aria-labelledby="{key}-caption"><figcaption id="{key}-caption">{esc(caption)}'
        f'{more}</figcaption>{before}<div class="plot" id="{key}" data-source="{key}-data"{how} role="img" '
        f'aria-label="{esc(alt)}" style="min-height:{height}px"><noscript>{esc(alt)}</noscript></div>{live}'
        f'<details class="data" id="{key}-table"><summary>Numbers<span class="aloud"> of the figure: {esc(caption)}'
        f"</span></summary>{table}</details></figure>{data}"
    )


def _inert(value: Any, key: str = "") -> Any:
    """Take the meaning from tags in the texts of a figure: plotly reads some, and links are among them."""
    if isinstance(value, dict):
        return {k: _inert(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_inert(v, key) for v in value]
    if isinstance(value, str) and "<" in value and key not in TEMPLATES:
        return TAG.sub("&lt;", value)
    return value


def plot(figure: Any, key: str, *, caption: str, alt: str, table: str, note: str = "") -> Html:
    """Place a figure.

    Parameters
    ----------
    figure : plotly.graph_objects.Figure
        The figure.
    key : str
        Identifier, unique on the page.
    caption : str
        Heading over the figure.
    alt : str
        What it shows, for those who cannot see it.
    table : str
        HTML with its numbers, folded under the figure: those who cannot see it read them there.
    note : str, default ""
        A line below the heading.

    Returns
    -------
    Html
        The figure and its data.
    """
    data = packing.text(f"{key}-data", json.dumps(_inert(json.loads(figure.to_json()))))
    height = int(figure.layout.height or 300)
    return host(key, data, caption=caption, alt=alt, note=note, height=height, table=table)


def selector(key: str, name: str, title: str, options: Sequence[tuple[str, str]]) -> Html:
    """Lay out a choice that a figure offers.

    Parameters
    ----------
    key : str
        The figure.
    name : str
        What the script calls the choice.
    title : str
        Its label.
    options : sequence of (str, str)
        Values and texts; the first one is chosen.

    Returns
    -------
    Html
        A labelled box.
    """
    inner = "".join(f'<option value="{esc(v)}">{esc(text)}</option>' for v, text in options)
    return Html(
        f'<label>{esc(title)} <select data-plot="{esc(key)}" data-name="{esc(name)}">{inner}</select></label>'
    )


def page(
    *,
    title: str,
    summary: str,
    meta: str,
    lead: str,
    sections: Sequence[Section],
    footer: str,
    verdict: str = "",
    verdict_body: str = "",
) -> str:
    """Assemble the page.

    Parameters
    ----------
    title, summary, meta, footer : str
        Plain text.
    lead : str
        HTML between the head and the first section.
    sections : sequence of Section
        In order of appearance.
    verdict : str, default ""
        The verdict in a word or two, as plain text, which the browser's tab begins with.
    verdict_body : str, default ""
        HTML below the heading, before everything else.

    Returns
    -------
    str
        The HTML document.
    """
    links = "".join(f'<li><a href="#{esc(s.key)}">{esc(s.title)}</a></li>' for s in sections)
    bodies = "".join(
        f'<section id="{esc(s.key)}" aria-labelledby="{esc(s.key)}-title">'
        f'<h2 id="{esc(s.key)}-title">{esc(s.title)}</h2>{s.body}</section>\n'
        for s in sections
    )
    about = f'<p class="summary">{esc(summary)}</p>' if summary else ""
    # An empty icon of its own keeps browsers from asking a server for one.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<title>{esc(f"{verdict}: {title}" if verdict else title)}</title>
<link rel="icon" href="data:,">
<style>{style()}</style>
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<div class="wrap">
<header>
<h1>{esc(title)}</h1>
{verdict_body}{about}
<p class="meta">{esc(meta)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main id="content" tabindex="-1">
{lead}
{bodies}</main>
<footer>{esc(footer)}</footer>
</div>
<script type="text/plain" id="plotly" data-packed="text">{packing.library()}</script>
<script>{script()}</script>
</body>
</html>
"""
