"""Figures of a sweep: heatmap over two axes, distribution of a metric, the best combination window by window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.errors import LayoutError, ParameterError
from barproof.report import formats
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL, alpha, count_axis, dress, fade
from barproof.report.inputs import Floats, SweepLike, column

__all__ = [
    "POOLS",
    "axis_name",
    "distribution_bins",
    "distribution_figure",
    "effects",
    "heatmap_figure",
    "levels",
    "parallel_figure",
    "pool_cells",
    "tick_format",
    "windows_figure",
]

POOLS = ("median", "best", "mean", "max", "min")
"""How combinations that share a cell become one value."""

SIGNED = frozenset(
    ("total_return", "cagr", "sharpe", "sharpe_daily", "sortino", "calmar", "expectancy", "funding")
)
"""Metrics whose sign is the first thing to see."""

PLAIN_LINES, TOP_LINES = 260, 90
"""Lines of parallel coordinates at most: of ordinary combinations, and of the best tenth."""

TEXT_CELLS = 120
"""Cells up to which values are written into them."""


def heatmap_figure(
    sweep: SweepLike | pl.DataFrame,
    x: str | Sequence[str] | None = None,
    y: str | Sequence[str] | None = None,
    metric: str = "sharpe",
    *,
    pool: str = "median",
) -> Any:
    """Draw a metric over two axes of a sweep.

    Parameters
    ----------
    sweep : Sweep or polars.DataFrame
        A sweep (its pooled rows are drawn) or a frame with the columns named.
    x, y : str or sequence of str, optional
        Columns of the axes; several columns that vary together make one axis. By default the two axes of the sweep
        that move the metric most; a sweep with one axis gives one row of cells.
    metric : str, default "sharpe"
        Column drawn.
    pool : {"median", "best", "mean", "max", "min"}, default "median"
        What a cell shows of the combinations that differ on other axes only; the best is the highest value, or the
        lowest of metrics where less is better.

    Returns
    -------
    plotly.graph_objects.Figure
        The heatmap; cells without a finite value have no colour.

    Raises
    ------
    ParameterError
        If a column does not exist, `x` and `y` are the same, or `pool` is none of its choices.
    LayoutError
        If `sweep` is neither a sweep nor a frame.
    """
    import plotly.graph_objects as go

    frame = sweep if isinstance(sweep, pl.DataFrame) else getattr(sweep, "pooled", None)
    if not isinstance(frame, pl.DataFrame):
        raise LayoutError(
            f"`sweep` must be a Sweep or a polars.DataFrame, was {type(sweep).__name__}; "
            "pass what `sweep` returned, or its `.frame`"
        )
    if pool not in POOLS:
        raise ParameterError(f"`pool` must be one of {', '.join(POOLS)}, was {pool!r}")
    if metric not in frame.columns:
        raise ParameterError(
            f"`metric` {metric!r} is no column of the sweep; choose one of {', '.join(frame.columns)}"
        )
    ranked: list[list[str]] = []
    if not isinstance(sweep, pl.DataFrame) and (x is None or y is None):
        ranked = effects(sweep, metric)
    wide, tall = _columns(x), _columns(y)
    if not wide:
        wide = next((axis for axis in ranked if axis != tall), [])
    if not tall:
        tall = next((axis for axis in ranked if axis != wide), [])
    if not wide:
        raise ParameterError(
            "`x` is not given and the sweep has no axis to choose; name a column of the frame"
        )
    for name in (*wide, *tall):
        if name not in frame.columns:
            raise ParameterError(
                f"axis {name!r} is no column of the sweep; choose one of {', '.join(frame.columns)}"
            )
    if wide == tall:
        raise ParameterError(f"`x` and `y` are both {', '.join(wide)}; name two different axes")
    x_code, x_labels = levels(frame, wide)
    y_code, y_labels = levels(frame, tall) if tall else (np.zeros(frame.height, np.intp), [""])
    cells, sizes = pool_cells(
        column(frame, metric),
        y_code * len(x_labels) + x_code,
        len(x_labels) * len(y_labels),
        pool,
        metric in formats.LOWER_IS_BETTER,
    )
    shape = (len(y_labels), len(x_labels))
    notes = [
        [formats.metric(metric, v) if n else "" for v, n in zip(row, ns, strict=True)]
        for row, ns in zip(
            cells.reshape(shape).tolist(), sizes.reshape(shape).tolist(), strict=True
        )
    ]
    finite = np.where(np.isfinite(cells), cells, np.nan).reshape(shape)
    seen = finite[np.isfinite(finite)]
    # A few extreme cells would leave the others without colour: beyond the ninth decile the colour is full.
    span = float(np.quantile(np.abs(seen), 0.9 if seen.size > 8 else 1.0)) if seen.size else 1.0
    signed = metric in SIGNED
    limits = (-span, span) if signed else _limits(seen)
    narrow = shape[0] * shape[1] <= TEXT_CELLS and shape[1] <= 12
    figure = go.Figure(
        go.Heatmap(
            z=finite,
            x=x_labels,
            y=y_labels,
            text=notes,
            texttemplate="%{text}" if narrow else None,
            customdata=sizes.reshape(shape),
            colorscale=fade(diverging=signed, falling=metric in formats.LOWER_IS_BETTER),
            zmin=limits[0] or (0.0 if limits[1] else -1.0),
            zmax=limits[1] or 1.0,
            xgap=2,
            ygap=2,
            hoverongaps=False,
            hovertemplate=(
                f"{axis_name(wide)} %{{x}}<br>{axis_name(tall)} %{{y}}<br>{formats.label(metric)} %{{text}}"
                "<br>%{customdata} combinations<extra></extra>"
            ),
            colorbar={
                "orientation": "h",
                "thickness": 8,
                "len": 0.5,
                "x": 1,
                "xanchor": "right",
                "y": 1.0,
                "yanchor": "bottom",
                "outlinewidth": 0,
                "nticks": 4,
                "tickformat": tick_format(metric),
            },
        )
    )
    dress(figure, height=min(640, 150 + 34 * max(shape[0], 2)), legend=False)
    figure.update_layout(margin={"t": 56})
    figure.update_xaxes(
        type="category", title={"text": axis_name(wide), "standoff": 14}, showline=False
    )
    figure.update_yaxes(
        type="category", title_text=axis_name(tall), showgrid=False, showticklabels=bool(tall)
    )
    return figure


def _columns(axis: str | Sequence[str] | None) -> list[str]:
    if axis is None:
        return []
    return [axis] if isinstance(axis, str) else list(axis)


def tick_format(metric: str) -> str:
    """Give the format of numbers on an axis of a metric, as d3 writes it."""
    if metric in formats.PERCENT | formats.PER_TRADE:
        return ".3~%"
    return ".3~s" if metric in formats.COUNT | formats.MONEY else ".3~g"


def _limits(seen: Floats) -> tuple[float, float]:
    if seen.size == 0:
        return 0.0, 1.0
    low, high = float(seen.min()), float(seen.max())
    return (low, high) if high > low else (low - abs(low) * 0.5, high + abs(high) * 0.5)


def axis_name(columns: Sequence[str]) -> str:
    """Name an axis made of columns that vary together."""
    return " = ".join(columns) if len(columns) < 3 else f"{columns[0]} and {len(columns) - 1} more"


def levels(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[npt.NDArray[np.intp], list[str]]:
    """Give each level of an axis a number, in ascending order, what is off first.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows of a sweep.
    columns : sequence of str
        Columns that vary together.

    Returns
    -------
    codes : ndarray of shape (n_rows,)
        The level of each row.
    labels : list of str
        The name of each level, no two alike.
    """
    part = frame.select(columns)
    table = part.unique(maintain_order=True).sort(list(columns), nulls_last=False)
    rows = list(table.iter_rows())
    places = {_key(row): i for i, row in enumerate(rows)}
    codes = np.array([places[_key(row)] for row in part.iter_rows()], dtype=np.intp)
    labels: list[str] = []
    for row in rows:
        texts = [formats.show(v) for v in row]
        text = texts[0] if len(set(texts)) == 1 else " / ".join(texts)
        labels.append(text if text not in labels else f"{text} ({len(labels) + 1})")
    return codes, labels


def _key(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple("NaN" if isinstance(v, float) and v != v else v for v in row)


def pool_cells(
    values: Floats, cell: npt.NDArray[np.intp], n_cells: int, pool: str, falling: bool
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Sum up the values of each cell, NaN left out, and count the combinations in it."""
    choices: dict[str, Callable[[Floats], Any]] = {
        "median": np.median,
        "mean": np.mean,
        "best": np.min if falling else np.max,
        "max": np.max,
        "min": np.min,
    }
    summarise = choices[pool]
    out = np.full(n_cells, np.nan)
    sizes = np.bincount(cell, minlength=n_cells).astype(np.int64)
    order = np.argsort(cell, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(cell[order])) + 1) if order.size else []:
        known = values[part][~np.isnan(values[part])]
        if known.size == 0:
            continue
        with np.errstate(invalid="ignore"):
            out[cell[part[0]]] = summarise(known)
    return out, sizes


def effects(sweep: SweepLike, metric: str) -> list[list[str]]:
    """List the axes of a sweep, the one that moves the metric most first.

    The effect of an axis is the distance between the highest and the lowest median over its levels.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    metric : str
        Column looked at.

    Returns
    -------
    list of list of str
        Axes as lists of the columns that vary together.
    """
    frame = sweep.pooled
    groups = [[c for c in g if c in frame.columns] for g in sweep.axis_groups]
    grouped = {name for group in groups for name in group}
    groups += [[a] for a in sweep.axes if a not in grouped and a in frame.columns]
    values = column(frame, metric)
    values = np.where(np.isfinite(values), values, np.nan)
    found: list[tuple[float, list[str]]] = []
    for group in (g for g in groups if g):
        codes, labels = levels(frame, group)
        medians = pool_cells(values, codes, len(labels), "median", False)[0]
        medians = medians[np.isfinite(medians)]
        found.append((float(np.ptp(medians)) if medians.size else 0.0, group))
    return [group for _, group in sorted(found, key=lambda item: -item[0])]


def distribution_bins(values: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Count combinations in bins, more of them where there are more combinations; gives edges and counts."""
    from barproof.report.figures import histogram

    seen = values[np.isfinite(values)]
    edges, counts, _ = histogram(seen, int(np.clip(np.sqrt(seen.size) * 1.6, 6, 50)), tails=0.0)
    return edges, counts


def distribution_figure(values: Floats, metric: str, best: float) -> Any:
    """Draw how a metric is distributed over combinations, with the median and the best marked.

    Parameters
    ----------
    values : ndarray
        One value a combination.
    metric : str
        Its name.
    best : float
        The value of the best combination.

    Returns
    -------
    plotly.graph_objects.Figure
        The histogram.
    """
    import plotly.graph_objects as go

    seen = values[np.isfinite(values)]
    edges, counts = distribution_bins(values)
    middle = (edges[:-1] + edges[1:]) / 2
    ranges = [
        f"{formats.metric(metric, a)} to {formats.metric(metric, b)}"
        for a, b in itertools.pairwise(edges)
    ]
    signed = metric in SIGNED
    figure = go.Figure(
        go.Bar(
            x=middle,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker={"color": [(GAIN if m > 0 else LOSS) if signed else ACCENT for m in middle]},
            customdata=ranges,
            hovertemplate="%{customdata}<br>%{y:,} combinations<extra></extra>",
        )
    )
    dress(figure, height=300, legend=False)
    figure.update_layout(margin={"t": 44})
    as_percent = metric in formats.PERCENT | formats.PER_TRADE
    figure.update_xaxes(
        title_text=formats.label(metric), tickformat=".3~%" if as_percent else None, nticks=7
    )
    figure.update_yaxes(**count_axis(int(counts.max()), "Combinations"))
    marks = [("median", float(np.median(seen)), "left")] if seen.size else []
    if np.isfinite(best):
        marks.append(("best", best, "right"))
    for name, at, side in marks:
        figure.add_vline(x=at, line_width=1.2, line_dash="dot", line_color=NEUTRAL)
        figure.add_annotation(
            x=at,
            y=1,
            yref="paper",
            yanchor="bottom",
            xanchor=side,
            yshift=14 if name == "best" else 0,
            showarrow=False,
            text=f"{name} {formats.metric(metric, at)}",
        )
    return figure


class _Look(NamedTuple):
    """How a group of lines is drawn."""

    name: str
    colour: str
    width: float


def _even(rows: npt.NDArray[np.intp], limit: int) -> npt.NDArray[np.intp]:
    """Choose rows at even steps, all where they are few."""
    at = np.unique(np.linspace(0, rows.size - 1, min(limit, rows.size)).astype(np.intp))
    return rows[at]


def parallel_figure(
    codes: npt.NDArray[np.intp],
    labels: Sequence[Sequence[str]],
    names: Sequence[str],
    values: Floats,
    metric: str,
    *,
    chosen: int = -1,
) -> tuple[Any, int]:
    """Draw combinations as lines over the axes of a sweep and the metric.

    Parameters
    ----------
    codes : ndarray of shape (n, n_axes)
        Level of each combination on each axis.
    labels : sequence of sequence of str
        Names of the levels of each axis.
    names : sequence of str
        Names of the axes.
    values : ndarray of shape (n,)
        The metric; combinations without a finite one are left out.
    metric : str
        Its name.
    chosen : int, default -1
        Combination that is drawn over all others.

    Returns
    -------
    figure : plotly.graph_objects.Figure
        Lines of the best tenth over those of the others; the chosen one on top.
    drawn : int
        Lines.
    """
    import plotly.graph_objects as go

    known = np.flatnonzero(np.isfinite(values))
    better = values[known] if metric in formats.LOWER_IS_BETTER else -values[known]
    order = known[np.argsort(better, kind="stable")]
    top = order[: max(1, len(order) // 10)]
    # Evenly over the ranks: a screen has no room for ten thousand lines.
    parts = [
        (_Look("the others", alpha(NEUTRAL, 0.22), 1.0), _even(order[len(top) :], PLAIN_LINES)),
        (_Look("best tenth", alpha(ACCENT, 0.5), 1.2), _even(top, TOP_LINES)),
        (_Look("chosen", LOSS, 3.0), order[order == chosen]),
    ]
    parts = [(look, rows) for look, rows in parts if rows.size]
    seen = values[known]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 1.0)
    width = high - low or 1.0
    across = np.arange(len(names) + 1, dtype=np.float64)
    figure = go.Figure()
    for look, rows in parts:
        tops = np.array([max(len(texts) - 1, 1) for texts in labels], dtype=np.float64)
        # Lines that share a level lie side by side, in an order that says nothing.
        beside = 0.0 if look.name == "chosen" else ((rows * 7919 % 101) / 101 - 0.5)[:, None] * 0.05
        at = np.column_stack([codes[rows] / tops + beside, (values[rows] - low) / width])
        gap = np.full((len(rows), 1), np.nan)
        figure.add_trace(
            go.Scatter(
                x=np.tile(np.append(across, np.nan), len(rows)),
                y=np.hstack([at, gap]).ravel(),
                mode="lines+markers" if look.name == "chosen" else "lines",
                name=look.name,
                line={"color": look.colour, "width": look.width},
                hoverinfo="skip",
            )
        )
    dress(figure, height=400)
    marks = [(len(names), s, formats.metric(metric, low + s * (high - low))) for s in (0, 0.5, 1)]
    for j, texts in enumerate(labels):
        every = max(1, -(-len(texts) // 12))
        marks += [(j, i / max(len(texts) - 1, 1), texts[i]) for i in range(0, len(texts), every)]
    # All at once: plotly checks the whole layout whenever something is added.
    figure.update_layout(
        annotations=[
            {"x": x, "y": y, "text": text, "showarrow": False, "xanchor": "left", "xshift": 4,
             "font": {"size": 11}, "bgcolor": "rgba(128,138,148,0.12)"}
            for x, y, text in marks
        ],
        shapes=[
            {"type": "line", "x0": x, "x1": x, "y0": -0.04, "y1": 1.04, "line": {"width": 1, "color": NEUTRAL}}
            for x in across
        ],
    )  # fmt: skip
    figure.update_xaxes(
        tickvals=list(range(len(names) + 1)),
        ticktext=[*names, formats.label(metric)],
        range=[-0.15, len(names) + 0.35],
        showline=False,
        fixedrange=True,
    )
    figure.update_yaxes(visible=False, range=[-0.06, 1.06], fixedrange=True)
    return figure, sum(rows.size for _, rows in parts)


def windows_figure(labels: Sequence[str], values: Floats, metric: str) -> Any:
    """Draw a metric window by window.

    Parameters
    ----------
    labels : sequence of str
        Names of the windows in order.
    values : ndarray
        One value a window.
    metric : str
        Its name.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar a window.
    """
    import plotly.graph_objects as go

    finite = np.where(np.isfinite(values), values, np.nan)
    signed = metric in SIGNED
    colours = [(GAIN if v > 0 else LOSS) if signed else ACCENT for v in finite]
    figure = go.Figure(
        go.Bar(
            x=list(labels),
            y=finite,
            marker={"color": colours},
            customdata=[formats.metric(metric, v) for v in values],
            hovertemplate="%{x}<br>%{customdata}<extra></extra>",
        )
    )
    dress(figure, height=280, legend=False)
    figure.update_xaxes(type="category", title_text="Window starting", nticks=8, tickangle=0)
    figure.update_yaxes(
        title_text=formats.label(metric),
        tickformat=".3~%" if metric in formats.PERCENT else None,
        zeroline=True,
    )
    return figure
