"""HTML tables: escaped, with headers that a screen reader can follow, scrolling inside their own box."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from barproof.report import formats

__all__ = ["Html", "data_table", "esc", "facts", "frame_table"]


WIDE = 14
"""Columns that fit on paper in letters of the usual size."""


class Html(str):
    """Text that is HTML already and is not escaped again."""

    __slots__ = ()


def esc(value: Any) -> Html:
    """Escape text for HTML; :class:`Html` passes unchanged."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


def data_table(
    headings: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    caption: str,
    text_columns: Iterable[int] = (0,),
    visible_caption: bool = True,
    compact: bool = False,
    prose: Iterable[int] = (),
) -> Html:
    """Lay out rows under headings.

    Parameters
    ----------
    headings : sequence of str
        One a column.
    rows : iterable of sequences
        Cells as text (escaped here) or :class:`Html`; the first cell heads its row.
    caption : str
        What the table shows; also the name of its scroll box.
    text_columns : iterable of int, default (0,)
        Columns aligned left; the others hold numbers and are aligned right.
    visible_caption : bool, default True
        Whether the caption is seen, or only read aloud.
    compact : bool, default False
        Whether the table is as narrow as its content.
    prose : iterable of int, default ()
        Columns of sentences, which break into lines.

    Returns
    -------
    Html
        The table in its scroll box.
    """
    left = frozenset(text_columns)
    wide = frozenset(prose)
    kinds = [
        ' class="prose"' if i in wide else "" if i in left else ' class="num"'
        for i in range(len(headings))
    ]
    head = "".join(
        f'<th scope="col"{kind}>{esc(h)}</th>' for h, kind in zip(headings, kinds, strict=True)
    )
    body: list[str] = []
    for row in rows:
        first, *rest = row
        cells = [f'<th scope="row"{kinds[0]}>{esc(first)}</th>']
        cells += [f"<td{kind}>{esc(cell)}</td>" for cell, kind in zip(rest, kinds[1:], strict=True)]
        body.append(f"<tr>{''.join(cells)}</tr>")
    hidden = "" if visible_caption else ' class="aloud"'
    box = "scroll compact" if compact else "scroll wide" if len(headings) > WIDE else "scroll"
    return Html(
        f'<div class="{box}" tabindex="0" role="region" aria-label="{esc(caption)}"><table>'
        f"<caption{hidden}><span>{esc(caption)}</span></caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def frame_table(frame: pl.DataFrame, *, caption: str, key: str | None = None) -> Html:
    """Lay out a frame, each column formatted by its name.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows to show.
    caption : str
        What the table shows.
    key : str, optional
        Column that heads the rows; the first one by default.

    Returns
    -------
    Html
        The table in its scroll box.
    """
    names = [key, *(c for c in frame.columns if c != key)] if key else frame.columns
    if not names:
        return Html(f"<p>{esc(caption)}: nothing to show.</p>")
    numeric = [frame.schema[name].is_numeric() for name in names]
    rows = [
        [_cell(name, value) if i else formats.show(value) for i, (name, value) in enumerate(pairs)]
        for pairs in (list(zip(names, row, strict=True)) for row in frame.select(names).iter_rows())
    ]
    left = [i for i, is_number in enumerate(numeric) if i == 0 or not is_number]
    headings = [formats.label(name) for name in names]
    return data_table(headings, rows, caption=caption, text_columns=left)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return formats.MISSING
    return str(value) if isinstance(value, str) else formats.metric(name, value)


def facts(pairs: Iterable[tuple[str, Any]], *, kind: str = "") -> Html:
    """Lay out names and values as a definition list.

    Parameters
    ----------
    pairs : iterable of (str, Any)
        Names and values; values as text or :class:`Html`.
    kind : {"", "code", "figures"}, default ""
        Whether values are set in a fixed-width face, as digests are, or aligned right, as numbers are.

    Returns
    -------
    Html
        The list.
    """
    rows = "".join(f"<div><dt>{esc(k)}</dt><dd>{esc(v)}</dd></div>" for k, v in pairs)
    return Html(f'<dl class="facts {kind}">{rows}</dl>')
