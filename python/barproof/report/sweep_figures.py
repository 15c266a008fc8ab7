"""Figures of a sweep: heatmap over two axes, distribution of a metric, the best combination window by window."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.errors import LayoutError, ParameterError
from barproof.report import formats
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL, count_axis, dress, fade
from barproof.report.inputs import Floats, SweepLike, column

__all__ = [
    "POOLS",
    "axis_name",
    "distribution_figure",
    "effects",
    "heatmap_figure",
    "windows_figure",
]

POOLS = ("median", "best", "mean", "max", "min")
"""How combinations that share a cell become one value."""

SIGNED = frozenset(
    ("total_return", "cagr", "sharpe", "sharpe_daily", "sortino", "calmar", "expectancy", "funding")
)
"""Metrics whose sign is the first thing to see."""

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
    cells, sizes = _pool_cells(
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
                "tickformat": _tick_format(metric),
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


def _tick_format(metric: str) -> str:
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


def _pool_cells(
    values: Floats, cell: npt.NDArray[np.intp], n_cells: int, pool: str, falling: bool
) -> tuple[Floats, npt.NDArray[np.int64]]:
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
        medians = _pool_cells(values, codes, len(labels), "median", False)[0]
        medians = medians[np.isfinite(medians)]
        found.append((float(np.ptp(medians)) if medians.size else 0.0, group))
    return [group for _, group in sorted(found, key=lambda item: -item[0])]


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

    from barproof.report.figures import histogram

    seen = values[np.isfinite(values)]
    bins = int(np.clip(np.sqrt(seen.size) * 1.6, 6, 50))
    edges, counts, _ = histogram(seen, bins, tails=0.0)
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
