"""The section about a training run: whether its probabilities mean what they say, and what they are worth."""

from __future__ import annotations

from typing import Any

import numpy as np

from barproof.report import formats
from barproof.report.calibration import (
    LEVEL,
    Bin,
    Forecasts,
    Skill,
    forecasts,
    reliability,
    skill_by_fold,
    skill_pooled,
)
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL, alpha, dress
from barproof.report.figures import histogram
from barproof.report.inputs import RunLike
from barproof.report.learning import learning_blocks
from barproof.report.page import Section, plot
from barproof.report.tables import Html, data_table, esc

__all__ = [
    "describe_run",
    "models_section",
    "reliability_figure",
    "run_figure",
    "run_title",
    "skill_figure",
]

ONLY = "model"
"""Name of the part of a run that names none."""


def run_title(run: RunLike) -> str:
    """Name the page after what the models foresee."""
    symbol = getattr(run.candles, "symbol", None) or "unnamed symbol"
    return f"Models of {symbol}, {getattr(run.candles, 'interval', '')} bars"


def describe_run(run: RunLike) -> str:
    """Say in one sentence what was trained."""
    named = [name for name in run.parts if name != ONLY]
    parts = f" of {formats.plural(len(named), 'part')} ({', '.join(named)})" if named else ""
    return f"Models{parts} in {formats.plural(len(run.folds), 'fold')}, each judged on bars that it never saw."


def models_section(run: RunLike) -> Section:
    """Build the section about the forecasts of a run on test rows.

    Parameters
    ----------
    run : Run
        What :func:`barproof.train` returned.

    Returns
    -------
    Section
        For every part its skill against a constant forecast, all folds and one by one, and for every class how often
        it came when it was called how likely.
    """
    found = forecasts(run)
    several = len(found) > 1
    parts: list[str] = []
    for i, made in enumerate(found):
        if several:
            parts.append(f"<h3>Part {esc(made.part)}</h3>")
        parts.append(_one(made, i, several=several))
    if not parts:
        parts.append("<p>The run has no test rows.</p>")
    parts.append(learning_blocks(run))
    return Section("models", "Calibration and skill of the models", "".join(parts))


def _class(made: Forecasts, label: int) -> str:
    """Name a class; of ternary labels -1 is down and 1 is up."""
    if made.classes == (-1, 0, 1):
        return ("\N{MINUS SIGN}1 down", "0 flat", "+1 up")[label + 1]
    return formats.show(label)


def _one(made: Forecasts, place: int, *, several: bool) -> str:
    """Lay out one part: its verdict, calibration and skill by fold."""
    if made.label.size == 0:
        return "<p>No test row has both a label and a forecast, so nothing can be judged.</p>"
    pooled = skill_pooled(made)
    folds = skill_by_fold(made)
    assert pooled is not None
    parts = [f'<p class="told">{esc(_verdict(made, pooled, folds))}</p>']
    charts: list[str] = []
    for c in _shown(made):
        bins = reliability(made, c)
        name = _class(made, made.classes[c])
        agree = sum(b.agrees for b in bins)
        base = float(np.mean(made.label == made.classes[c]))
        charts.append(
            plot(
                reliability_figure(bins, made.p[:, c], base),
                f"fig-calibration-{place}-{c}",
                caption=f"Class {name}",
                alt=(
                    f"Share of class {name} against its probability in {formats.plural(len(bins), 'bin')} of equal "
                    f"mass, and the probabilities' distribution below; {agree} of {len(bins)} bins agree with the "
                    "diagonal."
                ),
                note=_words(bins),
                table=_bins_table(name, bins),
            )
        )
    chart = _skill_chart(made, folds, place)
    if not charts:
        parts.append(
            "<p>The model foresees a number and no probability, so there is nothing to calibrate.</p>"
        )
        return "".join([*parts, chart])
    tag = "h4" if several else "h3"
    parts.append(f"<{tag}>When it says 40%, does it come 40% of the time?</{tag}>")
    # One curve alone would leave most of the line empty.
    box = "columns" if len(charts) == 1 else "charts"
    beside = chart if len(charts) == 1 else ""
    parts.append(f'<div class="{box}">{"".join(charts)}{beside}</div>{_note(made)}')
    parts.append("" if beside else chart)
    return "".join(parts)


def _shown(made: Forecasts) -> list[int]:
    """List the classes to draw: of two the second says everything."""
    n = len(made.classes)
    return [1] if n == 2 else list(range(n))


def _loss_name(made: Forecasts) -> str:
    return "log loss" if made.classes else "mean square error"


def _loss(value: float) -> str:
    """Format a loss such that small differences are seen, at any scale."""
    return formats.number(value, 4) if not 0 < abs(value) < 0.1 else formats.show(value)


def _verdict(made: Forecasts, pooled: Skill, folds: list[Skill]) -> str:
    """Say whether forecasts beat the best constant one, over all and by fold."""
    n = formats.plural(pooled.n, "test row")
    name = _loss_name(made)
    if not np.isfinite(pooled.skill):
        why = "every one of them has the same label" if made.label.size > 1 else "there is no other"
        return f"On {n} nothing can be told apart: {why}."
    size = formats.percent(abs(pooled.skill))
    how = f"{size} {'better' if pooled.skill > 0 else 'worse'}" if pooled.skill else "no better"
    interval = "interval: n/a, too few rows"
    clear = ""
    if np.isfinite(pooled.low):
        interval = (
            f"{LEVEL:.0%} interval {formats.percent(pooled.low)} to {formats.percent(pooled.high)}"
        )
        if pooled.low <= 0 <= pooled.high:
            clear = " That cannot be told from no skill."
        elif pooled.high < 0:
            clear = " A constant would have done better."
    better = sum(s.skill > 0 for s in folds)
    told = f"; better in {better} of {len(folds)} folds" if len(folds) > 1 else ""
    return (
        f"On {n} the {name} is {_loss(pooled.loss)} against {_loss(pooled.constant)} of the best constant forecast: "
        f"{how} ({interval}){told}.{clear}"
    )


def _words(bins: list[Bin]) -> str:
    agree = sum(b.agrees for b in bins)
    ends = [("The only bin", bins[0])]
    if len(bins) > 1:
        ends = [("Least likely bin", bins[0]), ("likeliest", bins[-1])]
    told = "; ".join(
        f"{name}: said {formats.percent(b.mean, 1)}, came {formats.percent(b.share, 1)}"
        for name, b in ends
    )
    return f"{told}. {agree} of {formats.plural(len(bins), 'bin')} agree with the diagonal."


def _note(made: Forecasts) -> str:
    """Say what the figures of a part were made of."""
    n = made.label.size
    told = [
        "Bins hold about equally many rows. Points on the diagonal: probabilities mean what they say; a flat line: "
        "they say nothing; the dotted line is how often the class came in all."
    ]
    worth = formats.number(made.n_eff, 0)
    if made.n_eff < 0.995 * n:
        told.append(
            f"Intervals are Wilson's at {LEVEL:.0%}. Labels overlap, so the {formats.count(n)} rows count as {worth}."
        )
    else:
        told.append(f"Intervals are Wilson's at {LEVEL:.0%}.")
    if made.missing:
        told.append(
            f"Left out: {formats.plural(made.missing, 'row')} without a label or a forecast."
        )
    if made.repeated:
        rows = formats.plural(made.repeated, "row")
        told.append(f"Left out: {rows} that an earlier fold forecast already.")
    return f'<p class="note">{esc(" ".join(told))}</p>'


def _bins_table(name: str, bins: list[Bin]) -> Html:
    rows = [
        [
            str(i + 1),
            f"{formats.percent(b.low)} to {formats.percent(b.high)}",
            formats.percent(b.mean),
            formats.percent(b.share),
            f"{formats.percent(b.share_low)} to {formats.percent(b.share_high)}",
            formats.count(b.n),
            formats.number(b.n_eff, 0),
            "yes" if b.agrees else "no",
        ]
        for i, b in enumerate(bins)
    ]
    heads = [
        "Bin",
        "Probability",
        "Mean",
        "Came",
        f"{LEVEL:.0%} interval",
        "Rows",
        "Worth",
        "Agrees",
    ]
    return data_table(heads, rows, caption=f"Class {name}", text_columns=(0, 7), compact=True)


def _skill_chart(made: Forecasts, folds: list[Skill], place: int) -> Html:
    better = sum(s.skill > 0 for s in folds)
    note = (
        f"How much lower the {_loss_name(made)} is than that of the best constant forecast of the fold's own rows, "
        "which knows their labels; zero is no skill."
    )
    undefined = sum(not np.isfinite(s.skill) for s in folds)
    if undefined:
        note += f" In {formats.plural(undefined, 'fold')} one label alone came: skill is undefined there."
    return plot(
        skill_figure(folds),
        f"fig-skill-{place}",
        caption="Skill by fold",
        alt=f"Skill of {formats.plural(len(folds), 'fold')} over time, above zero in {better}.",
        table=_skills(made, folds),
        note=note,
    )


def _skills(made: Forecasts, folds: list[Skill]) -> Html:
    rows = [
        [
            str(s.fold),
            formats.time(s.start)[:10],
            formats.count(s.n),
            _loss(s.loss),
            _loss(s.constant),
            Html(f'<span class="{_tone(s.skill)}">{formats.percent(s.skill)}</span>'),
        ]
        for s in folds
    ]
    return data_table(
        ["Fold", "From (UTC)", "Rows", _loss_name(made).capitalize(), "Of the constant", "Skill"],
        rows,
        caption="Skill by fold",
        text_columns=(0, 1),
        visible_caption=False,
        compact=True,
    )


def _tone(value: float) -> str:
    return "gain" if value > 0 else "loss" if value < 0 else ""


def reliability_figure(bins: list[Bin], p: Any, base: float) -> Any:
    """Draw shares against probabilities, and how the probabilities are distributed.

    Parameters
    ----------
    bins : list of Bin
        Bins of one class.
    p : ndarray
        Every probability of it.
    base : float
        Share of the class among all rows.

    Returns
    -------
    plotly.graph_objects.Figure
        The curve with intervals, the diagonal and the base rate; below it a histogram on the same axis.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    mean = np.array([b.mean for b in bins])
    share = np.array([b.share for b in bins])
    outer = np.quantile(p, [0.005, 0.995])
    ends = [*outer, mean.min(), mean.max(), base]
    ends += [*(b.share_low for b in bins), *(b.share_high for b in bins)]
    room = 0.06 * max(max(ends) - min(ends), 0.02)
    low, high = max(min(ends) - room, -0.02), min(max(ends) + room, 1.02)
    figure = make_subplots(
        rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.05, row_heights=[0.8, 0.2]
    )
    dress(figure, height=390, legend=False)
    for y, dash in (([low, high], "dash"), ([base, base], "dot")):
        figure.add_trace(
            go.Scatter(
                x=[low, high],
                y=y,
                mode="lines",
                line={"color": NEUTRAL, "width": 1.2, "dash": dash},
                hoverinfo="skip",
            ),
            row=1,
            col=1,
        )
    figure.add_trace(
        go.Scatter(
            x=mean,
            y=share,
            mode="lines+markers",
            line={"color": alpha(ACCENT, 0.55), "width": 1.2},
            marker={"color": [ACCENT if b.agrees else LOSS for b in bins], "size": 8,
                    "symbol": ["circle" if b.agrees else "x" for b in bins]},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [b.share_high - b.share for b in bins],
                "arrayminus": [b.share - b.share_low for b in bins],
                "color": ACCENT,
                "thickness": 1.2,
                "width": 3,
            },
            customdata=[
                f"said {formats.percent(b.mean)}, came {formats.percent(b.share)} of {formats.count(b.n)}" for b in bins
            ],
            hovertemplate="%{customdata}<extra></extra>",
        ),
        row=1,
        col=1,
    )  # fmt: skip
    edges, counts, _ = histogram(np.clip(p, low, high), 40, tails=0.0)
    figure.add_trace(
        go.Bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges) * 0.94,
            marker={"color": alpha(ACCENT, 0.6)},
            hovertemplate="%{x:.3f}: %{y:,} rows<extra></extra>",
        ),
        row=2,
        col=1,
    )
    figure.update_xaxes(range=[low, high], tickformat=".3~%", nticks=6)
    figure.update_xaxes(title_text="Probability", row=2, col=1)
    figure.update_yaxes(range=[low, high], tickformat=".3~%", title_text="Came", row=1, col=1)
    figure.update_yaxes(title_text="Rows", nticks=3, tickformat="~s", row=2, col=1)
    return figure


def skill_figure(folds: list[Skill]) -> Any:
    """Draw the skill of each fold.

    Parameters
    ----------
    folds : list of Skill
        In the order of the folds.

    Returns
    -------
    plotly.graph_objects.Figure
        One bar a fold.
    """
    import plotly.graph_objects as go

    values = [s.skill if np.isfinite(s.skill) else None for s in folds]
    figure = go.Figure(
        go.Bar(
            x=[f"{s.fold}: {formats.time(s.start)[:10]}" for s in folds],
            y=values,
            marker={"color": [GAIN if s.skill > 0 else LOSS for s in folds]},
            customdata=[
                f"skill {formats.percent(s.skill)}<br>{formats.plural(s.n, 'row')}" for s in folds
            ],
            hovertemplate="%{x}<br>%{customdata}<extra></extra>",
        )
    )
    dress(figure, height=300, legend=False)
    figure.update_xaxes(type="category", title_text="Fold and its first bar", nticks=6, tickangle=0)
    figure.update_yaxes(title_text="Skill", tickformat=".3~%", zeroline=True)
    return figure


def run_figure(run: RunLike) -> Any:
    """Draw what the forecasts of a run are worth: a calibration curve a class, and the skill of every fold.

    Parameters
    ----------
    run : Run
        What :func:`barproof.train` returned; of several parts the first that has rows is drawn.

    Returns
    -------
    plotly.graph_objects.Figure
        One panel a class, with intervals, and one of the folds; empty without test rows.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    made = next((f for f in forecasts(run) if f.label.size), None)
    if made is None:
        return dress(go.Figure(), height=300, legend=False)
    shown = _shown(made)
    width = max(len(shown), 1)
    rows = 2 if shown else 1
    specs: list[list[Any]] = [[{} for _ in range(width)]] if shown else []
    specs.append([{"colspan": width}, *[None] * (width - 1)])
    titles = [f"Class {_class(made, made.classes[c])}" for c in shown]
    figure = make_subplots(
        rows=rows, cols=width, specs=specs, subplot_titles=[*titles, "Skill by fold"]
    )
    dress(figure, height=360 * rows, legend=False)
    for place, c in enumerate(shown, start=1):
        base = float(np.mean(made.label == made.classes[c]))
        single = reliability_figure(reliability(made, c), made.p[:, c], base)
        # The histogram below each curve stays on the page; here the curves stand side by side.
        for trace in single.data[:3]:
            trace.update(xaxis=None, yaxis=None)
            figure.add_trace(trace, row=1, col=place)
        span = list(single.layout.xaxis.range)
        figure.update_xaxes(
            range=span, tickformat=".3~%", nticks=6, title_text="Probability", row=1, col=place
        )
        figure.update_yaxes(range=span, tickformat=".3~%", title_text="Came", row=1, col=place)
    figure.add_trace(skill_figure(skill_by_fold(made)).data[0], row=rows, col=1)
    figure.update_xaxes(type="category", nticks=6, tickangle=0, row=rows, col=1)
    figure.update_yaxes(title_text="Skill", tickformat=".3~%", zeroline=True, row=rows, col=1)
    return figure
