"""The page: one HTML file that holds everything it shows and asks no network for anything."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from barproof.report.assets import CSS, SCRIPT
from barproof.report.tables import Html, esc

__all__ = ["Section", "Tile", "chooser", "details", "page", "plot", "tiles"]

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)
"""What a browser lets the page do: run and show what is in it, load nothing."""


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


def _data(key: str, text: str) -> str:
    """Put JSON where a script finds it and HTML cannot end it: no ``<`` survives, so no tag begins."""
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{key}-data">{safe}</script>'


def _host(key: str, alt: str, caption: str, note: str, height: int, before: str = "") -> str:
    more = f"<span>{esc(note)}</span>" if note else ""
    return (
        f"<figure><figcaption>{esc(caption)}{more}</figcaption>{before}"
        f'<div class="plot" id="{key}" data-source="{key}-data" role="img" aria-label="{esc(alt)}" '
        f'style="min-height:{height}px"><noscript>{esc(alt)}</noscript></div></figure>'
    )


def plot(figure: Any, key: str, *, caption: str, alt: str, note: str = "") -> Html:
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
    note : str, default ""
        A line below the heading.

    Returns
    -------
    Html
        The figure and its data.
    """
    host = _host(key, alt, caption, note, int(figure.layout.height or 300))
    return Html(host + _data(key, figure.to_json()))


def chooser(
    figures: Mapping[tuple[str, ...], Any],
    choices: Sequence[tuple[str, Sequence[tuple[str, str]]]],
    key: str,
    *,
    caption: str,
    alt: str,
    note: str = "",
) -> Html:
    """Place a figure of which the reader chooses the variant.

    Parameters
    ----------
    figures : mapping of tuple of str to plotly.graph_objects.Figure
        One figure for every combination of values of the choices; the first is shown first.
    choices : sequence of (str, sequence of (str, str))
        Name of each choice, and its options as (value, text); values hold no blanks. What has one option only is not
        shown as a choice.
    key : str
        Identifier, unique on the page.
    caption, alt, note : str
        As in :func:`plot`.

    Returns
    -------
    Html
        The choices, the figure and its data.
    """
    free = [i for i, (_, options) in enumerate(choices) if len(options) > 1]
    picks = "".join(
        f'<label>{esc(name)} <select data-plot="{key}">'
        + "".join(f'<option value="{esc(value)}">{esc(text)}</option>' for value, text in options)
        + "</select></label>"
        for name, options in (choices[i] for i in free)
    )
    height = int(next(iter(figures.values())).layout.height or 300)
    variants = ",".join(
        f"{json.dumps(' '.join(k[i] for i in free))}:{f.to_json()}" for k, f in figures.items()
    )
    data = f'{{"alt":{json.dumps(alt)},"choices":{{{variants}}}}}'
    before = f'<div class="choices">{picks}</div>' if picks else ""
    return Html(_host(key, alt, caption, note, height, before) + _data(key, data))


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
    from plotly.offline import get_plotlyjs

    links = "".join(f'<li><a href="#{esc(s.key)}">{esc(s.title)}</a></li>' for s in sections)
    bodies = "".join(
        f'<section id="{esc(s.key)}" aria-labelledby="{esc(s.key)}-title">'
        f'<h2 id="{esc(s.key)}-title">{esc(s.title)}</h2>{s.body}</section>\n'
        for s in sections
    )
    about = f'<p class="summary">{esc(summary)}</p>' if summary else ""
    library = get_plotlyjs().replace("</script", "<\\/script")
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
<style>{CSS}</style>
</head>
<body>
<div class="wrap">
<header>
<h1>{esc(title)}</h1>
{verdict_body}{about}
<p class="meta">{esc(meta)}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>
<main>
{lead}
{bodies}</main>
<footer>{esc(footer)}</footer>
</div>
<script>{library}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""
