"""The section about rules that were chosen anew for every fold: what was chosen, and what came of it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import polars as pl

from barproof.report import formats
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL, alpha, dress
from barproof.report.inputs import Floats, ResultLike, column, milliseconds
from barproof.report.numbers import see
from barproof.report.page import Section, details, plot
from barproof.report.sweep_figures import SIGNED, axis_name, levels
from barproof.report.tables import Html, data_table, esc

__all__ = [
    "axis_groups",
    "choice_sentences",
    "choices_of",
    "chosen_metric",
    "judged_figure",
    "loss_sentence",
    "steps_figure",
    "walk_forward_section",
]

PANELS = 10
"""Axes drawn; further ones are in the table."""

LISTED = 40
"""Folds up to which the table stands open."""


class Pairs(NamedTuple):
    """A metric on the bars that chose and on those that judged, one value a fold, undefined as NaN."""

    metric: str
    chosen: Floats
    judged: Floats


def choices_of(result: ResultLike | None) -> pl.DataFrame | None:
    """Give the choices of a walk-forward result; None for any other result."""
    frame = getattr(result, "choices", None)
    if not isinstance(frame, pl.DataFrame):
        return None
    return frame if {"fold", "start", "end", "combination"} <= set(frame.columns) else None


def chosen_metric(choices: pl.DataFrame) -> str | None:
    """Name the metric that combinations were chosen by."""
    names = [c.removeprefix("chosen_") for c in choices.columns if c.startswith("chosen_")]
    return next((n for n in names if f"judged_{n}" in choices.columns), None)


def _axes(choices: pl.DataFrame) -> list[str]:
    fixed = {"fold", "start", "end", "combination", "at_edge"}
    told = ("chosen_", "judged_", "plateau_")
    return [c for c in choices.columns if c not in fixed and not c.startswith(told)]


def axis_groups(choices: pl.DataFrame) -> tuple[list[list[str]], list[str]]:
    """Group the axes of choices.

    Parameters
    ----------
    choices : polars.DataFrame
        One row a fold.

    Returns
    -------
    moving : list of list of str
        Axes whose value differs between folds; those that always agree with each other stand together.
    fixed : list of str
        Axes that had one value in every fold.
    """
    made = choices.filter(pl.col("combination").is_not_null())
    moving: list[list[str]] = []
    fixed: list[str] = []
    for name in _axes(choices):
        if made[name].n_unique() < 2:
            fixed.append(name)
            continue
        values = made[name].to_list()
        for group in moving:
            if made[group[0]].to_list() == values:
                group.append(name)
                break
        else:
            moving.append([name])
    return moving, fixed


def _pairs(choices: pl.DataFrame, metric: str) -> Pairs:
    return Pairs(metric, column(choices, f"chosen_{metric}"), column(choices, f"judged_{metric}"))


def _worse(pairs: Pairs) -> Floats:
    """Compute by how much each fold did worse than it was chosen for; NaN where one side is not finite."""
    with np.errstate(invalid="ignore"):
        gap = pairs.chosen - pairs.judged
    gap = -gap if pairs.metric in formats.LOWER_IS_BETTER else gap
    return np.where(np.isfinite(gap), gap, np.nan)


def loss_sentence(choices: pl.DataFrame) -> str:
    """Say how much was lost between choosing and judging.

    Parameters
    ----------
    choices : polars.DataFrame
        One row a fold.

    Returns
    -------
    str
        Means over the folds where both are finite, and in how many of them the judged bars did worse.
    """
    metric = chosen_metric(choices)
    if choices.height == 0 or metric is None:
        return "No fold was judged, so nothing is known of how the choice holds."
    pairs = _pairs(choices, metric)
    gap = _worse(pairs)
    known = ~np.isnan(gap)
    name = _within(metric)
    n = int(np.count_nonzero(known))
    if n == 0:
        return (
            f"No fold has a defined {name} both where it was chosen and where it was judged, so what the choice cost "
            "cannot be told."
        )
    chosen, judged = (
        formats.metric(metric, np.mean(v[known])) for v in (pairs.chosen, pairs.judged)
    )
    lost = float(np.mean(gap[known]))
    size = formats.metric(metric, abs(lost))
    folds = "In the one fold" if n == 1 else f"Over {n} folds, on average,"
    head = (
        f"{folds} the chosen rules had a {name} of {chosen} on the bars that chose them and {judged} on the bars that "
        "judged them: "
    )
    head += f"{size} was lost between choosing and judging." if lost > 0 else (
        f"nothing was lost between choosing and judging, the judged bars did better by {size}."
        if lost < 0
        else "nothing was lost between choosing and judging."
    )  # fmt: skip
    if n > 1:
        head += (
            f" The judged bars did worse in {int(np.count_nonzero(gap[known] > 0))} of {n} folds"
        )
        if metric in SIGNED:
            above = int(np.count_nonzero(pairs.judged[known] > 0))
            head += f" and stood above zero in {above}"
        head += "."
    return head


def choice_sentences(result: ResultLike) -> list[str]:
    """Say how steady the choice was, and whether it stood on an edge of the grid.

    Parameters
    ----------
    result : Result
        What :func:`barproof.walk_forward_optimise` returned; what it does not tell is left out.

    Returns
    -------
    list of str
        Sentences.
    """
    choices = choices_of(result)
    if choices is None:
        return []
    made = choices.filter(pl.col("combination").is_not_null())
    told = []
    agreement = getattr(result, "agreement", float("nan"))
    if np.isfinite(agreement):
        told.append(
            f"From one choice to the next {agreement:.0%} of the axes kept their value, on average."
        )
    ranks, n = getattr(result, "rank_correlation", (float("nan"), 0))
    metric = chosen_metric(choices)
    if metric is not None and np.isfinite(ranks):
        told.append(
            f"Over {n} folds the {_within(metric)} where rules were chosen and where they were judged has a rank "
            f"correlation of {formats.number(ranks, 2)}; so few folds prove nothing."
        )
    if "at_edge" in made.columns and made.height:
        edges = int(made["at_edge"].sum())
        of = f"{edges} of {formats.plural(made.height, 'choice')} stood on an edge of the grid"
        told.append(
            f"{of}: better values may lie beyond it." if edges else "No choice stood on an edge of the grid."
        )  # fmt: skip
    return told


def _within(metric: str) -> str:
    """Give the heading of a metric as it reads within a sentence: people and abbreviations keep their capitals."""
    name = formats.label(metric)
    keeps = name[:2].isupper() or name.startswith(("Sharpe", "Sortino", "Calmar"))
    return name if keeps else name[:1].lower() + name[1:]


def walk_forward_section(result: ResultLike) -> Section | None:
    """Build the section of a walk-forward result; None for any other result.

    Parameters
    ----------
    result : Result
        What :func:`barproof.walk_forward_optimise` returned.

    Returns
    -------
    Section or None
        What was lost between choosing and judging, the metric of each fold on both, the values chosen over time, and
        a table.
    """
    choices = choices_of(result)
    if choices is None:
        return None
    metric = chosen_metric(choices)
    parts = [f'<p class="told">{esc(loss_sentence(choices))}</p>']
    if choices.height == 0 or metric is None:
        return Section("walk-forward", "Walk-forward: chosen, then judged", "".join(parts))
    parts.append(_notes(result, choices))
    pairs = _pairs(choices, metric)
    gap = _worse(pairs)
    if np.isfinite(pairs.chosen).any() or np.isfinite(pairs.judged).any():
        worse = int(np.count_nonzero(gap > 0))
        parts.append(
            plot(
                judged_figure(choices),
                "fig-judged",
                caption=f"{formats.label(metric)} of the chosen rules: where they were chosen, and where they were "
                "judged",
                alt=(
                    f"{formats.label(metric)} on the bars that chose and on the bars that judged, one pair a fold; "
                    f"the judged one is worse in {worse} of {formats.plural(choices.height, 'fold')}."
                ),
                table=see("the table of choices", "choices"),
                note="A pair a fold, at the start of its judged bars. Long lines down: the choice fitted the past.",
            )
        )
    moving, fixed = axis_groups(choices)
    if moving:
        note = "A choice that jumps from fold to fold fits noise; one that stays, or drifts, may have found something."
        if len(moving) > PANELS:
            note += f" Drawn: {PANELS} of {len(moving)} axes; all are in the table."
        parts.append(
            plot(
                steps_figure(choices),
                "fig-choices",
                caption="Values that each fold chose",
                alt=f"Values chosen over time. {_changes(choices, moving)}",
                table=see("the table of choices", "choices"),
                note=note,
            )
        )
    parts.append(_steady(choices, fixed, moving, choice_sentences(result)))
    parts.append(f'<div id="choices">{_table(choices, metric, gap)}</div>')
    return Section("walk-forward", "Walk-forward: chosen, then judged", "".join(parts))


def _notes(result: ResultLike, choices: pl.DataFrame) -> str:
    """Say how many were tried, which folds were idle, and how both numbers of a fold are made."""
    trials = getattr(result, "trials", None)
    told = []
    if isinstance(trials, int) and trials > 1:
        told.append(f"Each fold chose among {formats.plural(trials, 'combination')} of rules.")
    idle = choices["combination"].null_count()
    if idle:
        told.append(
            f"In {idle} of {formats.plural(choices.height, 'fold')} no combination had a defined metric; nothing was "
            "entered there."
        )
    if choices.height == 1:
        told.append("One fold is one observation: it cannot show whether choosing works.")
    alone = "Both numbers of a fold are made alike, flat at both ends and from the initial equity"
    carried = (
        ""
        if result.provenance.get("boundary") == "close"
        else "; the result carries positions from fold to fold"
    )
    told.append(f"{alone}{carried}.")
    return f'<p class="note">{esc(" ".join(told))}</p>'


def _changes(choices: pl.DataFrame, groups: list[list[str]]) -> str:
    made = choices.filter(pl.col("combination").is_not_null())
    told = []
    for group in groups:
        codes, _ = levels(made, group)
        changed = int(np.count_nonzero(np.diff(codes)))
        told.append(
            f"{axis_name(group)} took {len(set(codes.tolist()))} values and changed {formats.plural(changed, 'time')}."
        )
    return " ".join(told)


def _steady(
    choices: pl.DataFrame, fixed: list[str], moving: list[list[str]], more: list[str]
) -> str:
    """Say what changed from fold to fold, and what stayed."""
    made = choices.filter(pl.col("combination").is_not_null())
    told = []
    if moving:
        told.append(_changes(choices, moving))
    if fixed and made.height:
        listed = ", ".join(f"{name} {formats.show(made[name][0])}" for name in fixed)
        verb = "The same in every fold" if made.height > 1 else "Chosen"
        told.append(f"{verb}: {listed}.")
    told += more
    return f'<p class="note">{esc(" ".join(told))}</p>' if told else ""


def _table(choices: pl.DataFrame, metric: str, gap: Floats) -> Html:
    """Table of choices by fold, with what they were chosen for and what they did."""
    axes = _axes(choices)
    names = [metric, "trades"] if metric != "trades" else [metric]
    plateau = f"plateau_{metric}" in choices.columns
    start, end = milliseconds(choices["start"]), milliseconds(choices["end"])
    rows = []
    for i, row in enumerate(choices.iter_rows(named=True)):
        idle = row["combination"] is None
        tone = "loss" if gap[i] > 0 else "gain" if gap[i] < 0 else ""
        change = -gap[i] if metric not in formats.LOWER_IS_BETTER else gap[i]
        text = formats.metric(metric, change)
        cells: list[Any] = [
            str(row["fold"]),
            formats.time(start[i])[:10],
            formats.time(end[i])[:10],
            "none" if idle else str(row["combination"]),
            *("" if idle else formats.show(row[a]) for a in axes),
            formats.metric(metric, row[f"chosen_{metric}"]),
            formats.metric(metric, row[f"judged_{metric}"]),
            Html(f'<span class="{tone}">{f"+{text}" if change > 0 else text}</span>'),
        ]
        for name in names[1:]:
            cells += [
                "" if idle else formats.count(row.get(f"{w}_{name}")) for w in ("chosen", "judged")
            ]
        if plateau:
            cells.append("" if idle else formats.metric(metric, row[f"plateau_{metric}"]))
        rows.append(cells)
    label = formats.label(metric)
    heads = ["Fold", "Judged from", "to (UTC)", "No.", *axes]
    heads += [f"{label}, chosen", f"{label}, judged", "Change"]
    heads += [
        h for n in names[1:] for h in (f"{formats.label(n)}, chosen", f"{formats.label(n)}, judged")
    ]
    if plateau:
        heads.append(f"{label}, plateau")
    caption = "Choices, fold by fold"
    if len(rows) <= LISTED:
        return data_table(heads, rows, caption=caption, text_columns=(0, 1, 2))
    table = data_table(heads, rows, caption=caption, text_columns=(0, 1, 2), visible_caption=False)
    return details(f"Choices of {formats.plural(len(rows), 'fold')}", table)


def _times(choices: pl.DataFrame) -> tuple[Any, Any]:
    start, end = (milliseconds(choices[n]).astype("datetime64[ms]") for n in ("start", "end"))
    return start, end


def _span_axis(figure: Any, choices: pl.DataFrame) -> Any:
    """Show the same stretch of time on every figure of the section."""
    start, end = _times(choices)
    room = (end[-1] - start[0]) / 50
    figure.update_xaxes(
        type="date",
        hoverformat="%Y-%m-%d",
        nticks=8,
        tickangle=0,
        range=[str(start[0] - room), str(end[-1] + room)],
    )
    return figure


def judged_figure(choices: pl.DataFrame) -> Any:
    """Draw the metric where it was chosen against where it was judged, one pair a fold.

    Parameters
    ----------
    choices : polars.DataFrame
        One row a fold.

    Returns
    -------
    plotly.graph_objects.Figure
        Pairs of marks joined by a line, over the start of the judged bars; what is not finite is not drawn.
    """
    import plotly.graph_objects as go

    metric = chosen_metric(choices) or "metric"
    pairs = _pairs(choices, metric)
    start, _ = _times(choices)
    gap = _worse(pairs)
    figure = go.Figure()
    for name, mask, colour in (("worse", gap > 0, LOSS), ("better", gap < 0, GAIN)):
        if mask.any():
            n = int(np.count_nonzero(mask))
            x = np.repeat(start[mask], 3)
            y = np.column_stack(
                [pairs.chosen[mask], pairs.judged[mask], np.full(n, np.nan)]
            ).ravel()
            figure.add_trace(
                go.Scatter(
                    x=x,
                    y=y,
                    mode="lines",
                    name=f"judged {name}",
                    line={"color": alpha(colour, 0.75), "width": 2},
                    hoverinfo="skip",
                )
            )
    looks = (
        ("on the bars that chose", pairs.chosen, "circle-open", NEUTRAL),
        ("on the bars that judged", pairs.judged, "diamond", ACCENT),
    )
    for name, values, symbol, colour in looks:
        figure.add_trace(
            go.Scatter(
                x=start,
                y=np.where(np.isfinite(values), values, np.nan),
                mode="markers",
                name=name,
                marker={
                    "symbol": symbol,
                    "color": colour,
                    "size": 9,
                    "line": {"color": colour, "width": 2},
                },
                customdata=[formats.metric(metric, v) for v in values],
                hovertemplate="%{x}: %{customdata}<extra></extra>",
            )
        )
    dress(figure, height=320)
    as_percent = metric in formats.PERCENT | formats.PER_TRADE
    figure.update_yaxes(
        title_text=formats.label(metric), tickformat=".3~%" if as_percent else None, zeroline=True
    )
    return _span_axis(figure, choices)


def steps_figure(choices: pl.DataFrame) -> Any:
    """Draw the values that each fold chose, one panel an axis that moves.

    Parameters
    ----------
    choices : polars.DataFrame
        One row a fold, at least one axis differing between folds.

    Returns
    -------
    plotly.graph_objects.Figure
        A step line a panel, broken where a fold has no choice.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    groups = axis_groups(choices)[0][:PANELS]
    made = choices["combination"].is_not_null().to_numpy()
    start, end = _times(choices)
    found = [levels(choices.filter(pl.Series(made)), group) for group in groups]
    sizes = [26 + 20 * min(max(len(labels), 2), 8) for _, labels in found]
    height = sum(sizes) + 34 * len(groups) + 60
    figure = make_subplots(
        rows=len(groups),
        cols=1,
        shared_xaxes=True,
        vertical_spacing=34 / (height - 60) if len(groups) > 1 else 0.0,
        row_heights=[float(s) for s in sizes],
        subplot_titles=[axis_name(g) for g in groups],
    )
    dress(figure, height=height, legend=False)
    for row, (codes, labels) in enumerate(found, start=1):
        value = np.full(choices.height, np.nan)
        value[made] = codes
        texts = [labels[int(v)] if np.isfinite(v) else "" for v in value]
        figure.add_trace(
            go.Scatter(
                x=np.column_stack([start, end]).ravel(),
                y=np.repeat(value, 2),
                mode="lines+markers" if choices.height == 1 else "lines",
                line={"color": ACCENT, "width": 2},
                customdata=np.repeat(texts, 2),
                hovertemplate="%{x}: %{customdata}<extra></extra>",
                connectgaps=False,
            ),
            row=row,
            col=1,
        )
        every = max(1, -(-len(labels) // 8))
        figure.update_yaxes(
            tickvals=list(range(len(labels)))[::every],
            ticktext=labels[::every],
            range=[-0.4, len(labels) - 0.6],
            row=row,
            col=1,
        )
    figure.update_annotations(x=0, xanchor="left", font={"size": 12})
    return _span_axis(figure, choices)
