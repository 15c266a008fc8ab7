"""The numbers of figures as tables, for those who read rather than look."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.report import formats
from barproof.report.inputs import Curves, Floats, column
from barproof.report.tables import Html, data_table

__all__ = ["bins_table", "equity_table", "excursions_table", "see", "windows_table"]

STEPS = 24
"""Rows of a table of a line."""


def see(text: str, key: str) -> Html:
    """Point to a table that stands on the page already."""
    return Html(f'<p>They stand in <a href="#{key}">{text}</a>.</p>')


def equity_table(lines: Curves) -> Html:
    """Lay out equity, buy and hold and drawdowns at even steps from the first bar to the last."""
    n = lines.equity.size
    if n == 0:
        return Html("<p>There are no bars.</p>")
    at = np.unique(np.linspace(0, n - 1, min(n, STEPS)).astype(np.intp))
    stamps = lines.times.astype("datetime64[ms]").astype(np.int64)
    bounds = np.append(at, n)
    rows = []
    for k, i in enumerate(at):
        # The deepest since the row before: a drawdown between two rows must not be lost.
        since = slice(at[k - 1] + 1 if k else 0, bounds[k] + 1)
        deepest = [
            np.nanmin(v[since]) if np.isfinite(v[since]).any() else np.nan
            for v in (lines.drawdown, lines.hold_drawdown)
        ]
        rows.append(
            [
                formats.time(stamps[i]),
                formats.money(lines.equity[i]),
                formats.percent(deepest[0]),
                formats.money(lines.hold[i]),
                formats.percent(deepest[1]),
            ]
        )
    heads = [
        "Bar (UTC)",
        "Equity",
        "Deepest drawdown since the row before",
        "Buy and hold",
        "Its drawdown",
    ]
    return data_table(heads, rows, caption="Equity at even steps", compact=True)


def bins_table(
    edges: Floats, counts: npt.NDArray[np.int64], *, name: str, what: str, metric: str
) -> Html:
    """Lay out a histogram.

    Parameters
    ----------
    edges : ndarray of shape (k + 1,)
        Edges of the bins.
    counts : ndarray of shape (k,)
        Counts.
    name, what : str
        What lies across, and what is counted.
    metric : str
        Name that says how edges are written.

    Returns
    -------
    Html
        A row a bin that holds something.
    """
    total = max(int(counts.sum()), 1)
    rows = [
        [
            f"{formats.metric(metric, a)} to {formats.metric(metric, b)}",
            formats.count(int(c)),
            formats.percent(c / total, 1),
        ]
        for (a, b), c in zip(itertools.pairwise(edges), counts, strict=True)
        if c
    ]
    return data_table(
        [name, what, "Share"], rows, caption=f"{what} by {name.lower()}", compact=True
    )


def excursions_table(trades: pl.DataFrame) -> Html:
    """Lay out deciles of the worst and best excursion, of gains and losses."""
    won = column(trades, "pnl") > 0
    rows = []
    for name, q in (("1 in 10 below", 0.1), ("median", 0.5), ("9 in 10 below", 0.9)):
        cells = []
        for mask in (won, ~won):
            for side in ("mae", "mfe"):
                values = column(trades, side)[mask]
                values = values[np.isfinite(values)]
                cells.append(formats.percent(np.quantile(values, q) if values.size else np.nan))
        rows.append([name, *cells])
    heads = ["Of trades", "MAE, gains", "MFE, gains", "MAE, losses", "MFE, losses"]
    return data_table(heads, rows, caption="Excursions of gains and losses", compact=True)


def windows_table(labels: Sequence[str], values: Floats, metric: str) -> Html:
    """Lay out a metric window by window."""
    rows = [[text, formats.metric(metric, v)] for text, v in zip(labels, values, strict=True)]
    title = formats.label(metric)
    return data_table(["Window", title], rows, caption=f"{title} by window", compact=True)
