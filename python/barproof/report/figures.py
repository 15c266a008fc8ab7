"""Figures of a result: equity, drawdown, trades over the price, distributions, exits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.report import formats
from barproof.report.charts import (
    ACCENT,
    GAIN,
    LOSS,
    NEUTRAL,
    alpha,
    count_axis,
    date_axes,
    dress,
    dress_axes,
    value_axis,
)
from barproof.report.inputs import Curves, Floats, ResultLike, column, curves, milliseconds
from barproof.report.sweep_figures import heatmap_figure
from barproof.report.thinning import MAX_TRADES, extremes, spread

__all__ = [
    "attribution_figure",
    "equity_figure",
    "excursion_figure",
    "exits_figure",
    "heatmap_figure",
    "result_figure",
    "returns_figure",
]

BINS = 60

LINES = (ACCENT, GAIN, LOSS, "#b07cc6", "#b5852b", "#4aa3a8", NEUTRAL)
"""Colours of lines that stand beside each other."""


def result_figure(result: ResultLike) -> Any:
    """Draw equity, drawdown, and the trades over the price.

    Lines of more than 4,000 points are thinned to their extremes, and of more than 1,500 trades an even choice and
    the largest are marked.

    Parameters
    ----------
    result : Result
        What :func:`barproof.backtest` returned.

    Returns
    -------
    plotly.graph_objects.Figure
        Three panels on one time axis.
    """
    from plotly.subplots import make_subplots

    lines = curves(result)
    figure = make_subplots(
        rows=3, cols=1, shared_xaxes=True, vertical_spacing=0.035, row_heights=[0.46, 0.19, 0.35]
    )
    dress(figure, height=720)
    _add_equity(figure, lines, row=1)
    _add_drawdown(figure, lines, row=2)
    _add_price(figure, lines, result.trades, row=3)
    return date_axes(figure, lines.times).update_layout(hovermode="x unified")


def equity_figure(result: ResultLike, folds: Sequence[tuple[int, int]] = ()) -> Any:
    """Draw equity and drawdown beside buy-and-hold.

    Parameters
    ----------
    result : Result
        What :func:`barproof.backtest` returned.
    folds : sequence of (int, int), default ()
        First opening time of each fold's judged bars and the end of them, milliseconds UTC: every other one is shaded.

    Returns
    -------
    plotly.graph_objects.Figure
        Two panels on one time axis.
    """
    from plotly.subplots import make_subplots

    lines = curves(result)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.045, row_heights=[0.7, 0.3]
    )
    dress(figure, height=470)
    _add_equity(figure, lines, row=1)
    _add_drawdown(figure, lines, row=2)
    every = max(1, -(-len(folds) // 20))
    ends = [[str(np.datetime64(int(t), "ms")) for t in fold] for fold in folds]
    figure.update_layout(
        shapes=[
            {"type": "rect", "xref": "x", "yref": "paper", "x0": left, "x1": right, "y0": 0, "y1": 1,
             "layer": "below", "line": {"width": 0}, "fillcolor": alpha(NEUTRAL, 0.13)}
            for left, right in ends[::2]
        ],
        annotations=[
            {"x": left, "y": 1, "yref": "paper", "text": str(i), "showarrow": False, "xanchor": "left",
             "yanchor": "top", "font": {"size": 10}}
            for i, (left, _) in enumerate(ends)
            if i % every == 0
        ],
    )  # fmt: skip
    return date_axes(figure, lines.times).update_layout(hovermode="x unified")


def _add_line(
    figure: Any, lines: Curves, values: Floats, *, row: int, name: str, colour: str, **more: Any
) -> None:
    import plotly.graph_objects as go

    keep = extremes(values)
    width = 1.6 if colour == ACCENT else 1.1
    mode = "lines" if keep.size > 1 else "markers"
    trace = go.Scatter(
        x=lines.times[keep],
        y=values[keep],
        name=name,
        mode=mode,
        line={"color": colour, "width": width},
        **more,
    )
    figure.add_trace(trace, row=row, col=1)


def _add_equity(figure: Any, lines: Curves, *, row: int) -> None:
    style: dict[str, Any] = {"row": row, "hovertemplate": "%{y:,.2f}"}
    if np.isfinite(lines.hold).any():
        _add_line(figure, lines, lines.hold, name="Buy and hold", colour=NEUTRAL, **style)
    _add_line(figure, lines, lines.equity, name="Strategy", colour=ACCENT, **style)
    both = np.concatenate([lines.equity, lines.hold])
    figure.update_yaxes(row=row, col=1, **value_axis(both, "Equity"))


def _add_drawdown(figure: Any, lines: Curves, *, row: int) -> None:
    style: dict[str, Any] = {"row": row, "showlegend": False, "hovertemplate": "%{y:.2%}"}
    if np.isfinite(lines.hold_drawdown).any():
        _add_line(
            figure,
            lines,
            lines.hold_drawdown,
            name="Drawdown, buy and hold",
            colour=NEUTRAL,
            **style,
        )
    _add_line(
        figure,
        lines,
        lines.drawdown,
        name="Drawdown, strategy",
        colour=LOSS,
        fill="tozeroy",
        fillcolor=alpha(LOSS, 0.22),
        **style,
    )
    figure.update_yaxes(
        title_text="Drawdown", tickformat=".3~%", rangemode="tozero", row=row, col=1
    )


def _add_price(figure: Any, lines: Curves, trades: pl.DataFrame, *, row: int) -> None:
    import plotly.graph_objects as go

    if np.isfinite(lines.close).any():
        _add_line(
            figure,
            lines,
            lines.close,
            row=row,
            name="Close",
            colour=NEUTRAL,
            hovertemplate="%{y:,.6~g}",
        )
    chosen = trades[spread(trades.height, MAX_TRADES, column(trades, "return"))]
    long = (chosen["side"].cast(pl.String) == "long").to_numpy().astype(bool)
    entered = milliseconds(chosen["entry_time"]).astype("datetime64[ms]")
    left = milliseconds(chosen["exit_time"]).astype("datetime64[ms]")
    won = column(chosen, "pnl") > 0
    size = 7 if chosen.height < 120 else 5
    marks = (
        ("Long entry", long, entered, "entry_price", "triangle-up", ACCENT),
        ("Short entry", ~long, entered, "entry_price", "triangle-down", "#b07cc6"),
        ("Exit, gain", won, left, "exit_price", "circle", GAIN),
        ("Exit, loss", ~won, left, "exit_price", "x", LOSS),
    )
    for name, mask, times, prices, symbol, colour in marks:
        if mask.any():
            figure.add_trace(
                go.Scatter(
                    x=times[mask],
                    y=column(chosen, prices)[mask],
                    name=name,
                    mode="markers",
                    marker={"symbol": symbol, "size": size, "color": colour, "opacity": 0.8},
                    hovertemplate="%{y:,.6~g}",
                ),
                row=row,
                col=1,
            )
    figure.update_yaxes(row=row, col=1, **value_axis(lines.close, "Price"))


def histogram(
    values: Floats, bins: int = BINS, *, tails: float = 0.005
) -> tuple[Floats, npt.NDArray[np.int64], int]:
    """Count values in bins of which one edge is zero.

    What lies far out is counted in the outer bins, so that one wild value does not leave all others in one bin.

    Parameters
    ----------
    values : ndarray
        Values; those that are not finite are left out.
    bins : int, default 60
        About how many bins.
    tails : float, default 0.005
        Share of the values on either side that may lie beyond the edges; none where values are few.

    Returns
    -------
    edges : ndarray of shape (k + 1,)
        Edges of the bins.
    counts : ndarray of shape (k,)
        Values in each.
    outside : int
        Values beyond the edges, counted in the outer bins.
    """
    seen = values[np.isfinite(values)]
    if seen.size == 0:
        return np.array([0.0, 1.0]), np.array([0], dtype=np.int64), 0
    low, high = (float(q) for q in np.quantile(seen, [tails, 1 - tails]))
    if seen.size < 200:
        low, high = float(seen.min()), float(seen.max())
    size = max(abs(low), abs(high))
    if not np.isfinite(high - low) or high - low <= 1e-9 * size or high == low:
        half = 0.1 * size or 0.01
        middle = low / 2 + high / 2
        edges = np.array([middle - half, middle + half])
    else:
        width = (high - low) / bins
        first, last = int(np.floor(low / width)), int(np.ceil(high / width))
        edges = np.arange(first, max(last, first + 1) + 1) * width
    inside = np.clip(seen, edges[0], edges[-1])
    counts = np.histogram(inside, edges)[0].astype(np.int64)
    return edges, counts, int(np.count_nonzero((seen < edges[0]) | (seen > edges[-1])))


def returns_figure(trades: pl.DataFrame) -> tuple[Any, int]:
    """Draw the distribution of returns per trade.

    Parameters
    ----------
    trades : polars.DataFrame
        Trades of a result.

    Returns
    -------
    figure : plotly.graph_objects.Figure
        The histogram.
    outside : int
        Trades beyond its edges, counted in the outer bins.
    """
    import plotly.graph_objects as go

    values = column(trades, "return")
    edges, counts, outside = histogram(values)
    middle = (edges[:-1] + edges[1:]) / 2
    ranges = [
        f"{formats.percent(a, 3)} to {formats.percent(b, 3)}" for a, b in itertools.pairwise(edges)
    ]
    figure = go.Figure(
        go.Bar(
            x=middle,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker={"color": [GAIN if m > 0 else LOSS for m in middle]},
            customdata=ranges,
            hovertemplate="%{customdata}<br>%{y:,} trades<extra></extra>",
        )
    )
    dress(figure, height=300, legend=False)
    figure.update_xaxes(title_text="Return per trade", tickformat=".3~%", nticks=7)
    figure.update_yaxes(**count_axis(int(counts.max()), "Trades"))
    seen = values[np.isfinite(values)]
    if seen.size:
        mark = {
            "x": float(seen.mean()),
            "line_width": 1.2,
            "line_dash": "dot",
            "line_color": NEUTRAL,
        }
        figure.add_vline(**mark)
        figure.add_annotation(
            x=mark["x"],
            y=1,
            yref="paper",
            yanchor="bottom",
            showarrow=False,
            text=f"mean {formats.percent(mark['x'], 3)}",
        )
    return figure, outside


def excursion_figure(trades: pl.DataFrame) -> tuple[Any, int]:
    """Draw how far each trade went against and for its holder.

    Parameters
    ----------
    trades : polars.DataFrame
        Trades of a result.

    Returns
    -------
    figure : plotly.graph_objects.Figure
        Maximum adverse against maximum favourable excursion.
    shown : int
        Trades drawn.
    """
    import plotly.graph_objects as go

    chosen = trades[spread(trades.height, MAX_TRADES, column(trades, "return"))]
    won = column(chosen, "pnl") > 0
    figure = go.Figure()
    for name, mask, colour, symbol in (
        ("Gain", won, GAIN, "circle"),
        ("Loss", ~won, LOSS, "x-thin-open"),
    ):
        if mask.any():
            part = chosen.filter(pl.Series(mask))
            notes = [
                f"{reason}, {formats.percent(value, 3)}"
                for reason, value in zip(
                    part["reason"].cast(pl.String), column(part, "return"), strict=True
                )
            ]
            figure.add_trace(
                go.Scatter(
                    x=column(part, "mae"),
                    y=column(part, "mfe"),
                    name=name,
                    mode="markers",
                    marker={
                        "color": colour,
                        "size": 5,
                        "symbol": symbol,
                        "opacity": 0.65,
                        "line": {"width": 1, "color": colour},
                    },
                    customdata=notes,
                    hovertemplate="MAE %{x:.2%}, MFE %{y:.2%}<br>%{customdata}<extra></extra>",
                )
            )
    dress(figure, height=300)
    figure.update_xaxes(title_text="Worst excursion (MAE)", tickformat=".3~%", nticks=7)
    figure.update_yaxes(title_text="Best excursion (MFE)", tickformat=".3~%")
    return figure, chosen.height


def exits_figure(table: pl.DataFrame) -> Any:
    """Draw the sum of PnL by exit reason.

    Parameters
    ----------
    table : polars.DataFrame
        Columns ``reason``, ``trades`` and ``sum_pnl``.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar a reason.
    """
    import plotly.graph_objects as go

    table = table.reverse()
    pnl = column(table, "sum_pnl")
    figure = go.Figure(
        go.Bar(
            x=pnl,
            y=table["reason"].to_list(),
            orientation="h",
            marker={"color": [GAIN if v > 0 else LOSS for v in pnl]},
            customdata=table["trades"].to_list(),
            hovertemplate="%{y}: %{x:,.2f}, %{customdata:,} trades<extra></extra>",
        )
    )
    dress(figure, height=110 + 30 * max(table.height, 1), legend=False)
    dress_axes(figure)
    figure.update_xaxes(title_text="Sum of PnL", showgrid=True, zeroline=True, nticks=6)
    figure.update_yaxes(showgrid=False, type="category")
    return figure


def attribution_figure(trades: pl.DataFrame, reasons: Sequence[str]) -> Any:
    """Draw the running sum of PnL of each exit reason.

    Parameters
    ----------
    trades : polars.DataFrame
        Trades of a result.
    reasons : sequence of str
        Exit reasons, each a line.

    Returns
    -------
    plotly.graph_objects.Figure
        Steps over the time of exit; lines of more than 800 trades are thinned to their extremes.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    left = milliseconds(trades["exit_time"]).astype("datetime64[ms]")
    named = trades["reason"].cast(pl.String).to_numpy()
    for i, reason in enumerate(reasons):
        rows = np.flatnonzero(named == reason)
        rows = rows[np.argsort(left[rows], kind="stable")]
        total = np.nancumsum(column(trades, "pnl")[rows])
        keep = extremes(total, 800)
        figure.add_trace(
            go.Scatter(
                x=left[rows][keep],
                y=total[keep],
                name=str(reason),
                mode="lines" if rows.size > 1 else "markers",
                line={"shape": "hv", "width": 1.8, "color": LINES[i % len(LINES)]},
                hovertemplate="%{y:,.2f}",
            )
        )
    dress(figure, height=300)
    figure.update_yaxes(title_text="Sum of PnL", zeroline=True)
    figure.update_xaxes(type="date", nticks=5, tickangle=0)
    return figure.update_layout(hovermode="x unified")
