"""The sections of a sweep's page."""

from __future__ import annotations

import numpy as np
import polars as pl

from barproof.report import formats
from barproof.report.caveats import FEW_TRADES, caveat_list, sweep_caveats
from barproof.report.inputs import Floats, ResultLike, SweepLike, column, milliseconds
from barproof.report.numbers import bins_table, see, windows_table
from barproof.report.page import Section, Tile, plot, tiles
from barproof.report.sweep_explorer import Grid, explorer, grid_of, neighbours_table
from barproof.report.sweep_figures import (
    axis_name,
    distribution_bins,
    distribution_figure,
    effects,
    levels,
    parallel_figure,
    windows_figure,
)
from barproof.report.tables import Html, data_table, esc

__all__ = [
    "choose_metric",
    "describe_sweep",
    "metric_names",
    "ranking",
    "sweep_lead",
    "sweep_sections",
    "window_count",
]

TOP = 20
"""Combinations listed."""

CHOICES = (
    "sharpe",
    "total_return",
    "max_drawdown",
    "profit_factor",
    "win_rate",
    "expectancy",
    "trades",
)
"""Metrics that the heatmap offers."""

TABLE = (
    "total_return",
    "cagr",
    "sharpe",
    "sortino",
    "max_drawdown",
    "trades",
    "win_rate",
    "profit_factor",
    "expectancy",
    "exposure",
    "ambiguous_share",
)
"""Metrics that the list of combinations shows."""

MAX_LEVELS = 40
"""Levels up to which an axis is listed level by level."""

MAX_AXES = 9
"""Axes of the parallel coordinates."""

NO_METRICS = frozenset(("combination", "window", "start", "end"))


def metric_names(sweep: SweepLike) -> list[str]:
    """List the columns of the pooled rows that are numbers and no axis."""
    skip = NO_METRICS | set(sweep.axes)
    return [c for c, kind in sweep.pooled.schema.items() if c not in skip and kind.is_numeric()]


def choose_metric(sweep: SweepLike) -> str | None:
    """Choose what to rank by: the Sharpe ratio where any is defined, else the total return, else what there is."""
    names = metric_names(sweep)
    ordered = [n for n in ("sharpe", "total_return", *names) if n in names]
    for name in ordered:
        if np.isfinite(column(sweep.pooled, name)).any():
            return name
    return ordered[0] if ordered else None


def ranking(sweep: SweepLike, metric: str) -> list[int]:
    """List the rows of the pooled frame from best to worst; those without a value are left out."""
    values = column(sweep.pooled, metric)
    key = values if metric in formats.LOWER_IS_BETTER else -values
    order = np.argsort(key, kind="stable")
    return [int(i) for i in order if not np.isnan(values[i])]


def window_count(sweep: SweepLike) -> int:
    """Count the windows that a sweep ran on."""
    if "window" in sweep.frame.columns:
        return int(sweep.frame["window"].n_unique())
    return 1 if sweep.frame.height else 0


def describe_sweep(sweep: SweepLike, metric: str | None) -> str:
    """Say in one sentence what was swept and what the best and the median were."""
    n = sweep.pooled.height
    text = f"{formats.plural(n, 'combination')} of rules over {formats.plural(window_count(sweep), 'window')}"
    if metric is None or not ranking(sweep, metric):
        return f"{text}: no combination has a defined metric."
    values = column(sweep.pooled, metric)
    best = values[ranking(sweep, metric)[0]]
    middle = np.median(values[~np.isnan(values)])
    return (
        f"{text}: the best {formats.label(metric)} is {formats.metric(metric, best)}, the median "
        f"{formats.metric(metric, middle)}."
    )


def sweep_lead(sweep: SweepLike, metric: str | None) -> str:
    """Build the tiles of a sweep."""
    items = [
        Tile(
            "Combinations",
            formats.count(sweep.pooled.height),
            formats.plural(len(_axes(sweep, metric)), "axis", "axes"),
        ),
        Tile("Windows", formats.count(window_count(sweep)), "pooled per combination"),
    ]
    if metric is not None:
        values = column(sweep.pooled, metric)
        known = values[~np.isnan(values)]
        order = ranking(sweep, metric)
        name = formats.label(metric)
        best = formats.metric(metric, values[order[0]] if order else np.nan)
        items.append(Tile(f"Best {name}", best, f"chosen from {formats.count(known.size)}"))
        middle = np.median(known) if known.size else np.nan
        items.append(
            Tile(f"Median {name}", formats.metric(metric, middle), "a typical combination")
        )
    if "total_return" in sweep.pooled.columns and sweep.pooled.height:
        total = column(sweep.pooled, "total_return")
        share = float(np.mean(total > 0))
        items.append(Tile("Profitable", formats.percent(share), "combinations with a gain"))
    if "trades" in sweep.pooled.columns and sweep.pooled.height:
        made = column(sweep.pooled, "trades")
        middle = np.median(made[~np.isnan(made)]) if not np.isnan(made).all() else np.nan
        items.append(Tile("Median trades", formats.count(middle), "per combination"))
    return tiles(items)


def _axes(sweep: SweepLike, metric: str | None) -> list[list[str]]:
    return effects(sweep, metric) if metric is not None else [[a] for a in sweep.axes]


def sweep_sections(
    sweep: SweepLike, metric: str | None, *, alone: bool, result: ResultLike | None = None
) -> list[Section]:
    """Build the sections of a sweep, in order.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    metric : str or None
        What combinations are ranked by; None where there is no metric at all.
    alone : bool
        Whether the page shows no result, so that the sweep brings its tiles and caveats.
    result : Result, optional
        Whose rules may be those of one combination, which is then the chosen one.

    Returns
    -------
    list of Section
        What to know, the metric over two axes, the distribution, the top combinations.
    """
    know = caveat_list(sweep_caveats(sweep, metric or "metric", window_count(sweep)))
    sections = [Section("know", "What to know before believing this", know)] if alone else []
    if metric is None or sweep.pooled.height == 0:
        text = "<p>The sweep has no combination with a metric.</p>"
        return [*sections, Section("sweep", "Sweep", text)]
    intro = "" if alone else f"{sweep_lead(sweep, metric)}<p></p>"
    sections.append(Section("sweep", "Sweep", intro + _heatmaps(sweep, metric, result)))
    sections.append(
        Section(
            "distribution",
            "All combinations",
            _distribution(sweep, metric) + _by_level(sweep, metric),
        )
    )
    sections.append(
        Section(
            "top",
            f"Top combinations by {formats.label(metric)}",
            _top(sweep, metric) + _windows(sweep, metric),
        )
    )
    return sections


def _heatmaps(sweep: SweepLike, metric: str, result: ResultLike | None) -> str:
    """Lay out the metric over axes, over all of them at once, and around the chosen point."""
    axes = _axes(sweep, metric)
    if not axes or sweep.pooled.height < 2:
        return "<p>No axis varies, so there is no surface to show.</p>"
    known = [n for n in CHOICES if n in metric_names(sweep)]
    known = [n for n in known if np.isfinite(column(sweep.pooled, n)).any()]
    offered = [metric, *(n for n in known if n != metric)]
    grid = grid_of(sweep, metric, result)
    parts: list[str] = [explorer(sweep, offered, grid)]
    if len(axes) > 1 and np.isfinite(column(sweep.pooled, metric)).any():
        parts.append(_parallel(sweep, metric, grid))
    parts.append(neighbours_table(sweep, metric, grid))
    return "".join(parts)


def _parallel(sweep: SweepLike, metric: str, grid: Grid) -> Html:
    values = column(sweep.pooled, metric)
    names = [axis_name(axis) for axis in grid.axes][:MAX_AXES]
    codes, labels = grid.codes[:, :MAX_AXES], grid.labels[:MAX_AXES]
    figure, drawn = parallel_figure(codes, labels, names, values, metric, chosen=grid.chosen)
    of = formats.plural(int(np.isfinite(values).sum()), "combination")
    note = "Where lines of the best tenth bunch on an axis, that value matters; where they fan out, it does not."
    if drawn < np.isfinite(values).sum():
        note += f" Drawn: {formats.count(drawn)} of {of}, evenly over their ranks."
    if len(grid.axes) > MAX_AXES:
        note += f" Axes: the {MAX_AXES} of {len(grid.axes)} that move the metric most."
    return plot(
        figure,
        "fig-parallel",
        caption="Combinations over all axes",
        alt=f"Parallel coordinates of {of} over {', '.join(names)} and the {formats.label(metric)}, the best tenth and "
        "the chosen one apart.",
        table=see("the table by level of each axis", "levels"),
        note=note,
    )


def _distribution(sweep: SweepLike, metric: str) -> Html:
    values = column(sweep.pooled, metric)
    order = ranking(sweep, metric)
    best = float(values[order[0]]) if order else np.nan
    known = values[np.isfinite(values)]
    n = formats.count(known.size)
    note = (
        f"The best of {n} is biased upward: it was picked because it is the highest. The middle of this distribution "
        "says more about the idea than its end does."
        if known.size > 1
        else ""
    )
    middle = formats.metric(metric, np.median(known) if known.size else np.nan)
    edges, counts = distribution_bins(values)
    return plot(
        distribution_figure(values, metric, best),
        "fig-distribution",
        caption=f"{formats.label(metric)} over combinations",
        alt=(
            f"Histogram of {formats.label(metric)} over {n} combinations, median {middle}, best "
            f"{formats.metric(metric, best)}."
        ),
        table=bins_table(
            edges, counts, name=formats.label(metric), what="Combinations", metric=metric
        ),
        note=note,
    )


def _by_level(sweep: SweepLike, metric: str) -> str:
    """Lay out the metric by level of each axis: what moves it, and what does not."""
    axes = _axes(sweep, metric)
    values = column(sweep.pooled, metric)
    tables: list[str] = []
    for axis in axes:
        codes, labels = levels(sweep.pooled, axis)
        if len(labels) > MAX_LEVELS:
            continue
        rows = []
        for i, text in enumerate(labels):
            part = values[codes == i]
            known = part[~np.isnan(part)]
            shown = [np.nan] * 3
            if known.size:
                # The nearest value and no mean of two, so that infinities stay what they are.
                shown = [np.quantile(known, q, method="nearest") for q in (0.0, 0.5, 1.0)]
            rows.append(
                [text, formats.count(part.size), *(formats.metric(metric, v) for v in shown)]
            )
        heads = [axis_name(axis), "Combinations", "Lowest", "Median", "Highest"]
        caption = f"{formats.label(metric)} by {axis_name(axis)}"
        tables.append(data_table(heads, rows, caption=caption, visible_caption=False))
    if not tables:
        return '<p id="levels">Axes have too many levels to list.</p>'
    title = f'<h3 id="levels">{esc(formats.label(metric))} by level of each axis</h3>'
    return f'{title}<div class="flow">{"".join(tables)}</div>'


def _top(sweep: SweepLike, metric: str) -> Html:
    order = ranking(sweep, metric)[:TOP]
    frame = sweep.pooled[order]
    axes = []
    for axis in _axes(sweep, metric):
        codes, labels = levels(frame, axis)
        axes.append((axis_name(axis), [labels[c] for c in codes]))
    names = [metric] + [n for n in TABLE if n in frame.columns and n != metric]
    rows = []
    for i, row in enumerate(frame.iter_rows(named=True)):
        rows.append(
            [
                str(i + 1),
                str(row.get("combination", "")),
                *(texts[i] for _, texts in axes),
                *(formats.metric(n, row[n]) for n in names),
            ]
        )
    heads = ["Rank", "No.", *(name for name, _ in axes), *(formats.label(n) for n in names)]
    shown = f"Best {len(rows)} of {formats.plural(sweep.pooled.height, 'combination')}, pooled over windows"
    few = int(np.count_nonzero(column(frame, "trades") < FEW_TRADES))
    note = ""
    if few:
        text = (
            f"{few} of these have fewer than {FEW_TRADES} trades; their figures are mostly chance."
        )
        note = f'<p class="note">{text}</p>'
    return Html(data_table(heads, rows, caption=shown, text_columns=()) + note)


def _windows(sweep: SweepLike, metric: str) -> str:
    """Draw the best combination window by window."""
    frame = sweep.frame
    order = ranking(sweep, metric)
    if not order or window_count(sweep) < 2 or not {"combination", "window"} <= set(frame.columns):
        return ""
    best = sweep.pooled["combination"][order[0]]
    rows = frame.filter(pl.col("combination") == best).sort("window")
    shown = "total_return" if "total_return" in rows.columns else metric
    if shown not in rows.columns:
        return ""
    values: Floats = column(rows, shown)
    labels = [str(w) for w in rows["window"].to_list()]
    if "start" in rows.columns and isinstance(rows.schema["start"], pl.Datetime):
        labels = [formats.time(t)[:10] for t in milliseconds(rows["start"])]
    gained = int(np.count_nonzero(values > 0))
    return plot(
        windows_figure(labels, values, shown),
        "fig-windows",
        caption=f"{formats.label(shown)} of combination {best}, window by window",
        alt=f"{formats.label(shown)} of the best combination in "
        f"{formats.plural(len(labels), 'window')}, {gained} positive.",
        table=windows_table(labels, values, shown),
        note=f"{gained} of {len(labels)} windows gained.",
    )
