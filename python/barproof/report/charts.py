"""The look of every figure: transparent, colours that hold on white and on near-black, one layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from barproof.report import formats

__all__ = [
    "ACCENT",
    "GAIN",
    "LOSS",
    "NEUTRAL",
    "alpha",
    "count_axis",
    "date_axes",
    "dress",
    "dress_axes",
    "fade",
    "value_axis",
]

ACCENT = "#3f7fbf"
NEUTRAL = "#8b949e"
GAIN = "#2f9e77"
LOSS = "#d0604a"
INK = "#7d8690"
GRID = "rgba(128,138,148,0.22)"


def alpha(colour: str, opacity: float) -> str:
    """Give a hex colour with an opacity."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity:g})"


def fade(*, diverging: bool, falling: bool = False) -> list[list[Any]]:
    """Give a colour scale that fades into the page, whatever the page's colour.

    Parameters
    ----------
    diverging : bool
        Whether zero lies in the middle and has no colour.
    falling : bool, default False
        Whether small values are the good ones.

    Returns
    -------
    list of [float, str]
        A plotly colour scale.
    """
    if diverging:
        low, high = (GAIN, LOSS) if falling else (LOSS, GAIN)
        return [[0.0, alpha(low, 0.8)], [0.5, alpha(NEUTRAL, 0.06)], [1.0, alpha(high, 0.8)]]
    shade = LOSS if falling else ACCENT
    return [[0.0, alpha(shade, 0.04)], [1.0, alpha(shade, 0.8)]]


def dress(figure: Any, *, height: int, legend: bool = True, title: str | None = None) -> Any:
    """Give a figure the common layout and return it."""
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, -apple-system, Segoe UI, sans-serif", "size": 12, "color": INK},
        margin={"l": 58, "r": 14, "t": 46 if title else 34, "b": 44},
        showlegend=legend,
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.0,
            "xanchor": "left",
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
        hoverlabel={
            "bgcolor": "#262c33",
            "bordercolor": "#4a535d",
            "font": {"color": "#f2f4f6", "size": 12},
        },
        bargap=0.08,
    )
    if title is not None:
        figure.update_layout(title={"text": title, "x": 0, "xanchor": "left", "font": {"size": 14}})
    return dress_axes(figure)


def dress_axes(figure: Any) -> Any:
    """Give every axis the common look and return the figure."""
    common = {
        "gridcolor": GRID,
        "linecolor": GRID,
        "zerolinecolor": "rgba(128,138,148,0.55)",
        "ticks": "",
        "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
    }
    figure.update_xaxes(showgrid=False, zeroline=False, showline=True, **common)
    figure.update_yaxes(showgrid=True, zeroline=False, **common)
    return figure


def date_axes(figure: Any, times: npt.NDArray[np.datetime64]) -> Any:
    """Show times on every x axis, from the first to the last with a little room; return the figure."""
    figure.update_xaxes(type="date", hoverformat="%Y-%m-%d %H:%M", nticks=8, tickangle=0)
    if times.size > 1:
        room = (times[-1] - times[0]) / 100
        figure.update_xaxes(range=[str(times[0] - room), str(times[-1] + room)])
    return figure


def value_axis(values: npt.NDArray[np.float64], title: str) -> dict[str, Any]:
    """Choose the y axis of lines: logarithmic where positive values span more than a factor of twelve.

    Parameters
    ----------
    values : ndarray
        Everything drawn on the axis.
    title : str
        Its name.

    Returns
    -------
    dict
        Properties of a plotly axis.
    """
    seen = values[np.isfinite(values)]
    if seen.size == 0 or seen.min() <= 0 or seen.max() / seen.min() <= 12:
        return {"title_text": title, "type": "linear"}
    low, high = np.log10(seen.min()), np.log10(seen.max())
    powers = np.arange(np.floor(low), np.ceil(high) + 1)
    steps = (1, 2, 5) if high - low < 3 else (1,)
    ticks = np.array([m * 10.0**p for p in powers[:: max(1, powers.size // 8)] for m in steps])
    return {
        "title_text": f"{title} (log)",
        "type": "log",
        "tickvals": ticks,
        "ticktext": [formats.number(t, 0) if t >= 1 else f"{t:g}" for t in ticks],
    }


def count_axis(highest: int, title: str) -> dict[str, Any]:
    """Choose the y axis of counts: whole numbers only."""
    return {"title_text": title, "tickformat": ",d", "dtick": 1 if highest <= 5 else None}
