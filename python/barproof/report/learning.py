"""How nets learned: losses by epoch, fold by fold, and where each training stopped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from barproof.report import formats
from barproof.report.charts import ACCENT, LOSS, NEUTRAL, alpha, dress
from barproof.report.inputs import RunLike
from barproof.report.numbers import see
from barproof.report.page import details, plot
from barproof.report.tables import Html, data_table

__all__ = ["Learning", "learning_blocks", "learning_figure", "learnings"]


class Learning(NamedTuple):
    """One training of one net.

    Attributes
    ----------
    part : str
        Part of the run, with the number of the net where an ensemble has several.
    fold : int
        Number of the fold.
    train, held : list of float
        Mean loss of each epoch on the rows that train, and on the last train rows, which stop it; the latter is empty
        where none were held.
    kept : int
        Epoch whose weights were kept, counted from 0.
    why : str
        What ended it.
    """

    part: str
    fold: int
    train: list[float]
    held: list[float]
    kept: int
    why: str


def _fits(name: str, fit: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Facts of every net of a part; ensembles hold several."""
    if not isinstance(fit, Mapping):
        return
    if isinstance(fit.get("curve"), list) and fit["curve"]:
        yield name, fit
    for number, inner in enumerate(fit.get("models") or ()):
        yield from _fits(f"{name}, model {number}", inner)


def learnings(run: RunLike) -> list[Learning]:
    """Collect the curves that the bundles of a run keep; none for models that have no epochs."""
    found = []
    for number, bundle in enumerate(getattr(run, "bundles", ())):
        for name, told in bundle.manifest["parts"].items():
            for part, fit in _fits(name, told["model"].get("fit")):
                curve = fit["curve"]
                held = [point["held"] for point in curve if "held" in point]
                found.append(
                    Learning(
                        part,
                        number,
                        [point["train"] for point in curve],
                        held if len(held) == len(curve) else [],
                        int(fit["kept_epoch"]),
                        str(fit["stopped_by"]),
                    )
                )
    return found


def learning_figure(curves: list[Learning]) -> Any:
    """Draw the losses of one part, a pair of lines a fold.

    Parameters
    ----------
    curves : list of Learning
        Of one part.

    Returns
    -------
    plotly.graph_objects.Figure
        Loss against epoch: grey on the rows that train, blue on those that stop, a point where weights were kept.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    dress(figure, height=320)
    for i, one in enumerate(curves):
        epochs = list(range(1, len(one.train) + 1))
        for name, losses, colour in (
            ("train rows", one.train, NEUTRAL),
            ("held rows", one.held, ACCENT),
        ):
            figure.add_trace(
                go.Scatter(
                    x=epochs[: len(losses)],
                    y=losses,
                    mode="lines",
                    name=name,
                    legendgroup=name,
                    showlegend=i == 0 and bool(losses),
                    line={"color": alpha(colour, 0.75), "width": 1.4},
                    hovertemplate=f"fold {one.fold}, {name}, epoch %{{x}}: %{{y:.5g}}<extra></extra>",
                )
            )
        losses = one.held or one.train
        figure.add_trace(
            go.Scatter(
                x=[one.kept + 1],
                y=[losses[one.kept]],
                mode="markers",
                name="kept",
                legendgroup="kept",
                showlegend=i == 0,
                marker={"color": LOSS, "size": 7},
                hovertemplate=f"fold {one.fold} kept epoch %{{x}}: %{{y:.5g}}<extra></extra>",
            )
        )
    figure.update_xaxes(title_text="epoch", rangemode="tozero")
    figure.update_yaxes(title_text="loss")
    return figure


def learning_blocks(run: RunLike, tag: str = "h3") -> Html:
    """Write the part of the page about learning; empty where nothing has epochs.

    Parameters
    ----------
    run : Run
        What :func:`barproof.train` returned.
    tag : str, default "h3"
        Level of the heading.

    Returns
    -------
    Html
        A chart a part, and a table of the trainings.
    """
    found = learnings(run)
    if not found:
        return Html("")
    parts = [f"<{tag}>How the models learned</{tag}>"]
    for place, name in enumerate(dict.fromkeys(one.part for one in found)):
        curves = [one for one in found if one.part == name]
        early = sum(one.why != "epochs" for one in curves)
        told = f"{early} of {formats.plural(len(curves), 'training')} stopped early"
        parts.append(
            plot(
                learning_figure(curves),
                f"fig-learning-{place}",
                table=see("the table of trainings", "trainings"),
                caption="Loss by epoch" if name == "model" else f"Loss by epoch, part {name}",
                alt=f"Loss on train and held rows by epoch in {formats.plural(len(curves), 'fold')}; {told}.",
                note=(
                    f"{told}. Held rows are the last of the train rows: they stop the training and choose the epoch, "
                    "so they judge nothing."
                ),
            )
        )
    rows = [
        [
            one.part,
            str(one.fold),
            formats.count(len(one.train)),
            formats.count(one.kept + 1),
            formats.number(one.train[one.kept], 5),
            formats.number(one.held[one.kept], 5) if one.held else "n/a",
            one.why,
        ]
        for one in found
    ]
    heads = ["Part", "Fold", "Epochs", "Kept", "Train loss", "Held loss", "Ended by"]
    table = data_table(
        heads,
        rows,
        caption="Trainings",
        text_columns=(0, 6),
        visible_caption=False,
        compact=True,
    )
    parts.append(f'<div id="trainings">{details("Trainings, fold by fold", table)}</div>')
    return Html("".join(parts))
