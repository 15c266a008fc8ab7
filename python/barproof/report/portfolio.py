"""The report of an account that several symbols share: what each held and gave, and what was refused."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from barproof.report import formats
from barproof.report.charts import ACCENT, LOSS, date_axes, dress
from barproof.report.files import check_target, write_text
from barproof.report.numbers import see
from barproof.report.page import Section, page, plot
from barproof.report.tables import data_table, facts, frame_table
from barproof.report.thinning import extremes

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from barproof._portfolio import PortfolioResult

__all__ = ["exposure_figure", "portfolio_figure", "portfolio_sections", "write_portfolio"]

PALETTE = (
    "#4063d8",
    "#e08214",
    "#389826",
    "#9558b2",
    "#cb3c33",
    "#17becf",
    "#8c6d31",
    "#e377c2",
    "#7f7f7f",
    "#bcbd22",
    "#1b9e77",
    "#a6761d",
)


def _steps(frame: pl.DataFrame, columns: list[str], limit: int = 2_000) -> pl.DataFrame:
    """Rows of a frame that lines are drawn through: an even choice, the same for all columns."""
    if frame.height <= limit:
        return frame
    at = np.unique(np.linspace(0, frame.height - 1, limit).astype(np.int64))
    return frame.select("open_time", *columns)[at]


def _add_exposure(figure: Any, result: PortfolioResult, row: int | None = None) -> None:
    import plotly.graph_objects as go

    rows = _steps(result.exposure, result.symbols)
    times = rows["open_time"].dt.replace_time_zone(None).to_numpy()
    where = {} if row is None else {"row": row, "col": 1}
    for number, symbol in enumerate(result.symbols):
        values = np.nan_to_num(rows[symbol].to_numpy())
        # Longs are stacked above zero and shorts below it.
        for side, part in (("long", np.maximum(values, 0.0)), ("short", np.minimum(values, 0.0))):
            if side == "short" and not part.any():
                continue
            figure.add_trace(
                go.Scatter(
                    x=times,
                    y=part,
                    name=symbol,
                    legendgroup=symbol,
                    showlegend=side == "long",
                    stackgroup=side,
                    line={"width": 0, "shape": "hv", "color": PALETTE[number % len(PALETTE)]},
                    hovertemplate="%{y:.2f}",
                ),
                **where,
            )


def exposure_figure(result: PortfolioResult) -> go.Figure:
    """Draw the notionals by symbol over the equity, stacked, longs above zero and shorts below.

    Parameters
    ----------
    result : PortfolioResult
        What :func:`barproof.portfolio` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        Of more than 2,000 steps an even choice is drawn.
    """
    import plotly.graph_objects as go

    figure = dress(go.Figure(), height=360)
    _add_exposure(figure, result)
    figure.update_yaxes(title="notional / equity")
    return date_axes(figure, _times(result.exposure))


def _times(frame: pl.DataFrame) -> Any:
    return frame["open_time"].dt.replace_time_zone(None).to_numpy()


def portfolio_figure(result: PortfolioResult) -> go.Figure:
    """Draw equity, drawdown, and the stacked exposure.

    Parameters
    ----------
    result : PortfolioResult
        What :func:`barproof.portfolio` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        Three panels on one time axis.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    equity = result.equity["equity"].to_numpy()
    times = _times(result.equity)
    peak = np.maximum.accumulate(np.maximum(equity, result.initial_equity))
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.035, row_heights=[0.45, 0.2, 0.35]
    )
    dress(figure, height=760)
    for row, (name, values, colour) in enumerate(
        (("equity", equity, ACCENT), ("drawdown", equity / peak - 1.0, LOSS)), start=1
    ):
        at = extremes(values)
        line = go.Scatter(
            x=times[at], y=values[at], name=name, line={"width": 1.2, "color": colour}
        )
        figure.add_trace(line, row=row, col=1)
    _add_exposure(figure, result, row=3)
    figure.update_yaxes(title="equity", row=1).update_yaxes(title="drawdown", row=2)
    figure.update_yaxes(title="notional / equity", row=3)
    return date_axes(figure, times)


def portfolio_sections(result: PortfolioResult) -> list[Section]:
    """Sections of a report: equity and exposure, contribution, correlation, refused entries, statistics.

    Parameters
    ----------
    result : PortfolioResult
        What :func:`barproof.portfolio` returned.

    Returns
    -------
    list of Section
        In order of appearance.
    """
    figure = plot(
        portfolio_figure(result),
        "account",
        caption="Equity, drawdown, and notionals by symbol over the equity, longs above zero and shorts below.",
        table=see("the statistics of the account", "statistics"),
        alt=f"Equity of an account of {len(result.symbols)} symbols with its stacked exposure.",
    )
    held = result.exposure
    body = figure + facts(
        [
            ("Most positions at a close", formats.count(held["positions"].max())),
            ("Highest gross exposure", formats.number(held["gross"].fill_nan(None).max() or 0.0)),
            (
                "Highest share of margins",
                formats.percent(held["margin"].fill_nan(None).max() or 0.0),
            ),
            ("Closes with nothing held", formats.percent((held["positions"] == 0).mean())),
        ]
    )
    given = frame_table(
        result.contribution, caption="What each symbol gave, in quote.", key="symbol"
    )
    table = result.correlation
    rows = [
        [row[0], *("n/a" if value != value else f"{value:.2f}" for value in row[1:])]
        for row in table.iter_rows()
    ]
    alike = data_table(
        table.columns,
        rows,
        caption="Correlation of daily contributions to the account.",
        compact=True,
    )
    return [
        Section("equity", "Account", body),
        Section("contribution", "Contribution", given + alike),
        Section("refused", "What was refused", _refused(result)),
        Section(
            "statistics",
            "Statistics",
            frame_table(result.stats(), caption="Metrics of the account."),
        ),
    ]


def _refused(result: PortfolioResult) -> str:
    if result.refused.is_empty():
        return "<p>No entry was refused: the account had room for all.</p>"
    missed = result.missed()
    table = missed.group_by("symbol", "reason", maintain_order=True).agg(
        pl.len().alias("refused"),
        (pl.col("pnl") > 0).mean().alias("win_rate"),
        pl.col("return").mean().alias("mean_return"),
        pl.col("pnl").sum(),
    )
    text = (
        "<p>Each is shown with what it would have earned alone, with all the room it asked for, on the equity the "
        "account had then. They exclude each other as they excluded the trades that were taken, so the sums are no "
        "equity that could have been had.</p>"
    )
    return text + frame_table(
        table, caption="Refused entries, and what they would have earned.", key="symbol"
    )


def write_portfolio(
    path: str | os.PathLike[str], result: PortfolioResult, *, title: str | None = None
) -> Path:
    """Write the report of an account as one HTML file.

    Parameters
    ----------
    path : path-like
        Where to write; its folder must exist. What is there is replaced only once the new file is whole.
    result : PortfolioResult
        What :func:`barproof.portfolio` returned.
    title : str, optional
        Heading.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    FileError
        If `path` cannot be written.
    """
    check_target(path)
    m = result.metrics
    summary = (
        f"{formats.percent(m['total_return'])} with a largest drawdown of {formats.percent(m['max_drawdown'])}, "
        f"{formats.plural(m['trades'], 'trade')} of {formats.plural(len(result.symbols), 'symbol')}, "
        f"{formats.count(result.refused.height)} refused."
    )
    sections = portfolio_sections(result)
    known = facts(list(result.provenance.items()))
    text = page(
        title=title or f"Account of {', '.join(result.symbols)}",
        summary=summary,
        meta=f"barproof {result.provenance['barproof']}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        lead="",
        sections=[*sections, Section("provenance", "What was run", known)],
        footer=f"barproof {result.provenance['barproof']} on Python {platform.python_version()}",
    )
    return write_text(path, text)
