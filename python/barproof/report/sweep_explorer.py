"""A sweep that the reader turns over: any metric over any two axes, made in the page from the combinations themselves.

The page holds the levels and metrics of every combination, a few bytes each; a figure for every choice would take far
more room, and seconds to make.
"""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from barproof.report import formats, packing
from barproof.report.charts import dress, fade
from barproof.report.inputs import Floats, ResultLike, SweepLike, column, rule_fields, rule_sets
from barproof.report.page import host, selector
from barproof.report.sweep_figures import (
    SIGNED,
    axis_name,
    effects,
    levels,
    pool_cells,
    tick_format,
)
from barproof.report.tables import Html, data_table, esc
from barproof.report.thinning import spread

__all__ = ["MAX_COMBINATIONS", "Grid", "explorer", "grid_of", "neighbours_table"]

MAX_COMBINATIONS = 20_000
"""Combinations that the page holds; of more an even choice, and those around the chosen one."""

MAX_PAIRS = 45
"""Pairs of axes that are offered."""

MANY = 200
"""Levels from which an axis is drawn in stretches of levels."""

STRETCHES = 60
"""Stretches of such an axis."""

SHOWN = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "profit_factor")
"""Metrics in the table of neighbours."""


class Grid(NamedTuple):
    """Combinations by their levels.

    Attributes
    ----------
    axes : list of list of str
        Columns of each axis; the axis that moves the metric most comes first.
    codes : ndarray of shape (n, n_axes)
        Level of each combination on each axis.
    labels : list of list of str
        Names of the levels.
    chosen : int
        Row of the combination that was chosen; -1 without one.
    why : str
        Why that one.
    """

    axes: list[list[str]]
    codes: npt.NDArray[np.intp]
    labels: list[list[str]]
    chosen: int
    why: str

    def neighbours(self) -> list[tuple[int, int, int]]:
        """List what lies one level beside the chosen combination on one axis: axis, step, row."""
        if self.chosen < 0:
            return []
        places = {tuple(row): i for i, row in enumerate(self.codes.tolist())}
        found = []
        for axis in range(len(self.axes)):
            for step in (-1, 1):
                beside = self.codes[self.chosen].tolist()
                beside[axis] += step
                if (row := places.get(tuple(beside))) is not None:
                    found.append((axis, step, row))
        return found


def grid_of(sweep: SweepLike, metric: str, result: ResultLike | None = None) -> Grid:
    """Give the levels of a sweep numbers, and find the chosen combination.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    metric : str
        What combinations are ranked by.
    result : Result, optional
        A result of one set of rules: the combination with these is the chosen one. Else the best of the metric is.

    Returns
    -------
    Grid
        With the axes that have several levels first.
    """
    axes = effects(sweep, metric)
    found = [levels(sweep.pooled, axis) for axis in axes]
    codes = (
        np.column_stack([c for c, _ in found])
        if found
        else np.zeros((sweep.pooled.height, 0), np.intp)
    )
    row, why = _row_of_rules(sweep, result), "whose rules this page reports"
    if row < 0:
        values = column(sweep.pooled, metric)
        falling = metric in formats.LOWER_IS_BETTER
        key = np.where(np.isfinite(values), values if falling else -values, np.inf)
        row = int(np.argmin(key)) if np.isfinite(key).any() else -1
        why = f"which has the best {formats.label(metric)} in hindsight"
    return Grid(axes, codes, [names for _, names in found], row, why)


def _row_of_rules(sweep: SweepLike, result: ResultLike | None) -> int:
    """Find the one row whose axes hold the rules of a result; -1 where there is none, or several."""
    sets = [] if result is None else rule_sets(result.rules)
    if len(sets) != 1:
        return -1
    held = rule_fields(sets[0][1])
    names = [a for a in sweep.axes if a in held and a in sweep.pooled.columns]
    if not names or len(names) < len(sweep.axes):
        return -1
    wanted = tuple(held[name] for name in names)
    rows = [i for i, row in enumerate(sweep.pooled.select(names).iter_rows()) if row == wanted]
    return rows[0] if len(rows) == 1 else -1


def _held(grid: Grid, values: Floats) -> npt.NDArray[np.intp]:
    """Choose the rows that the page holds."""
    n = len(grid.codes)
    keep = spread(n, MAX_COMBINATIONS - 200, np.where(np.isfinite(values), values, 0.0))
    around = [row for _, _, row in grid.neighbours()]
    return np.unique(
        np.concatenate([keep, np.array([max(grid.chosen, 0), *around], dtype=np.intp)])
    )


def _coarse(grid: Grid) -> Grid:
    """Put levels of axes that have very many into stretches, so that cells can be seen."""
    codes, labels = grid.codes.copy(), []
    for j, names in enumerate(grid.labels):
        n = len(names)
        if n <= MANY:
            labels.append(names)
            continue
        codes[:, j] = codes[:, j] * STRETCHES // n
        first = [-(-i * n // STRETCHES) for i in range(STRETCHES + 1)]
        labels.append([f"{names[a]} to {names[b - 1]}" for a, b in pairwise(first)])
    return grid._replace(codes=codes, labels=labels)


def _kind(name: str) -> dict[str, Any]:
    """Say how the script writes a metric, as :func:`barproof.report.formats.metric` does."""
    digits: int | None = 2
    if name in formats.PER_TRADE:
        digits = 3
    elif name in formats.COUNT:
        digits = 0
    elif name == "sharpe_daily":
        digits = 4
    elif name not in formats.PERCENT and name not in formats.LABELS:
        digits = None
    return {"percent": name in formats.PERCENT | formats.PER_TRADE, "digits": digits}


def explorer(sweep: SweepLike, offered: list[str], grid: Grid, key: str = "fig-heatmap") -> Html:
    """Place the figure of a sweep over two axes, with its choices.

    Parameters
    ----------
    sweep : Sweep
        Of two combinations or more, and one axis or more.
    offered : list of str
        Metrics to choose from, the first one first.
    grid : Grid
        Of the sweep.
    key : str, default "fig-heatmap"
        Identifier, unique on the page.

    Returns
    -------
    Html
        Choices, figure, table and data.
    """
    import plotly.graph_objects as go

    pooled, axes = sweep.pooled, grid.axes
    rows = _held(grid, column(pooled, offered[0]))
    around = [row for _, _, row in grid.neighbours()]
    grid = _coarse(grid)
    labels = grid.labels
    place = {int(row): i for i, row in enumerate(rows)}
    pairs = list(combinations(range(len(axes)), 2))[:MAX_PAIRS]
    named = [axis_name(axis) for axis in axes]
    options = {
        "metric": [(str(i), formats.label(name)) for i, name in enumerate(offered)],
        "pool": [(p, f"{p} of its combinations") for p in ("median", "mean", "best", "worst")],
        "axes": [(f"{a}-{b}", f"{named[a]} × {named[b]}") for a, b in pairs] or [("0", named[0])],
        "view": [("heatmap", "heatmap"), ("surface", "surface")] if pairs else [],
    }
    titles = {"metric": "Metric", "pool": "Cell shows", "axes": "Axes", "view": "As"}
    controls = "".join(
        selector(key, name, titles[name], choices)
        for name, choices in options.items()
        if len(choices) > 1
    )
    layout = dress(go.Figure(), height=300, legend=False).layout.to_plotly_json()
    head = {
        "axes": [{"name": n, "labels": texts} for n, texts in zip(named, labels, strict=True)],
        "metrics": [
            {
                "label": formats.label(name),
                "signed": name in SIGNED,
                "falling": name in formats.LOWER_IS_BETTER,
                "scale": fade(diverging=name in SIGNED, falling=name in formats.LOWER_IS_BETTER),
                "ticks": tick_format(name),
                **_kind(name),
            }
            for name in offered
        ],
        "pairs": [value for value, _ in options["axes"]],
        "chosen": place[max(grid.chosen, 0)],
        "neighbours": [place[row] for row in around],
        "number": str(pooled["combination"][max(grid.chosen, 0)])
        if "combination" in pooled.columns
        else "",
        "layout": {**layout, "template": None},
    }
    columns = {f"a{j}": packing.smallest(grid.codes[rows, j]) for j in range(len(axes))}
    columns |= {f"m{i}": column(pooled, n)[rows].astype(np.float32) for i, n in enumerate(offered)}
    note = "A surface that is even around its best cell is worth more than a lone peak."
    if len(axes) > 2:
        note = (
            "Axes are ordered by how much they move the metric, the strongest pair first. Combinations that differ on "
            "other axes only share a cell."
        )
    if len(rows) < pooled.height:
        note += (
            f" Drawn from {formats.count(len(rows))} of {formats.plural(pooled.height, 'combination')}: an even "
            "choice, the most extreme, and those around the chosen one."
        )
    over = f"{named[0]} and {named[1]}" if pairs else named[0]
    tall = min(len(texts) for texts in labels[:2])
    return host(
        key,
        packing.arrays(f"{key}-data", head, columns),
        caption="Metric over two axes" if pairs else "Metric over one axis",
        alt=f"{formats.label(offered[0])} over {over}, the median of the combinations of a cell.",
        note=note,
        height=min(640, 150 + 34 * max(tall if pairs else 2, 2)),
        table=_table(grid, column(pooled, offered[0]), offered[0]),
        controls=controls,
        kind="sweep",
    )


def _table(grid: Grid, values: Floats, metric: str) -> Html:
    """Lay out the median over the first two axes, which the script keeps in step with the figure."""
    wide, tall = 0, 1 if len(grid.axes) > 1 else None
    across = grid.labels[wide]
    up = grid.labels[tall] if tall is not None else [formats.label(metric)]
    place = grid.codes[:, wide] + (grid.codes[:, tall] * len(across) if tall is not None else 0)
    cells, sizes = pool_cells(values, place, len(across) * len(up), "median", falling=False)
    rows = [
        [name]
        + [
            formats.metric(metric, cells[j * len(across) + i]) if sizes[j * len(across) + i] else ""
            for i in range(len(across))
        ]
        for j, name in enumerate(up)
    ]
    over = axis_name(grid.axes[wide])
    corner = over if tall is None else f"{axis_name(grid.axes[tall])} / {over}"
    caption = f"{formats.label(metric)} over {over}"
    return data_table([corner, *across], rows, caption=caption, visible_caption=False, compact=True)


def neighbours_table(sweep: SweepLike, metric: str, grid: Grid) -> str:
    """Lay out the chosen combination and what lies one step beside it.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    metric : str
        What combinations are ranked by.
    grid : Grid
        Of the sweep.

    Returns
    -------
    str
        A sentence and a table; empty without a chosen combination.
    """
    if grid.chosen < 0:
        return ""
    pooled = sweep.pooled
    names = [metric, *(n for n in SHOWN if n in pooled.columns and n != metric)]
    around = grid.neighbours()

    def cells(row: int) -> list[str]:
        return [formats.metric(name, column(pooled, name)[row]) for name in names]

    rows: list[list[Any]] = [[Html("<strong>Chosen</strong>"), "", *cells(grid.chosen)]]
    for axis, step, row in around:
        level = grid.labels[axis][grid.codes[row, axis]]
        rows.append(
            [f"{axis_name(grid.axes[axis])} {'down' if step < 0 else 'up'}", level, *cells(row)]
        )
    values = column(pooled, metric)
    beside = values[[row for _, _, row in around]]
    beside = beside[np.isfinite(beside)]
    number = pooled["combination"][grid.chosen] if "combination" in pooled.columns else grid.chosen
    own = formats.metric(metric, values[grid.chosen])
    told = f"Combination {number}, {grid.why}, has a {formats.label(metric)} of {own}"
    told += (
        f"; the median of its {len(beside)} neighbours is {formats.metric(metric, np.median(beside))}, the lowest "
        f"{formats.metric(metric, beside.min())}."
        if beside.size
        else "; it has no neighbour with a defined one."
    )
    edges = [
        axis_name(axis)
        for j, axis in enumerate(grid.axes)
        if len(grid.labels[j]) > 2 and grid.codes[grid.chosen, j] in (0, len(grid.labels[j]) - 1)
    ]
    if edges:
        told += (
            f" It stands on the edge of {', '.join(edges)}: better values may lie beyond the grid."
        )
    table = data_table(
        ["One step", "To", *(formats.label(n) for n in names)],
        rows,
        caption="The chosen combination and its neighbours",
        text_columns=(0,),
    )
    return f'<h3>The chosen point and its neighbours</h3><p class="told">{esc(told)}</p>{table}'
