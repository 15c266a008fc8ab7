"""Trades on candles: the page holds the bars, and draws as many to a candle as suit what is in sight."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from barproof.report import formats, packing
from barproof.report.charts import ACCENT, GAIN, LOSS, NEUTRAL, dress
from barproof.report.inputs import Floats, ResultLike, column, milliseconds
from barproof.report.page import host
from barproof.report.tables import Html, esc
from barproof.report.thinning import spread

__all__ = ["MAX_BARS", "MAX_MARKS", "candle_explorer"]

MAX_BARS = 120_000
"""Bars that the page holds; of more several make one."""

MAX_MARKS = 6_000
"""Trades that it holds; of more an even choice and the largest."""

SHORT = "#b07cc6"

BUTTONS = (
    ("all", "Everything"),
    ("earlier", "Earlier"),
    ("later", "Later"),
    ("closer", "Zoom in"),
    ("wider", "Zoom out"),
    ("previous", "Previous trade"),
    ("next", "Next trade"),
)


def _bars(result: ResultLike) -> tuple[npt.NDArray[np.int64], list[Floats]]:
    """Give times and prices of the bars of the window; what has no finite price is left out."""
    frame = result.candles.to_polars()
    at, stamps = milliseconds(frame["open_time"]), milliseconds(result.equity["open_time"])
    if not stamps.size or not at.size:
        return np.empty(0, np.int64), [np.empty(0)] * 4
    inside = (at >= stamps[0]) & (at <= stamps[-1])
    prices = [column(frame, name)[inside] for name in ("open", "high", "low", "close")]
    known = np.isfinite(np.array(prices)).all(axis=0)
    return at[inside][known], [p[known] for p in prices]


def _merged(
    at: npt.NDArray[np.int64], prices: list[Floats], every: int
) -> tuple[npt.NDArray[np.int64], list[Floats]]:
    """Make one bar of every few."""
    starts = np.arange(0, at.size, every)
    ends = np.minimum(starts + every, at.size) - 1
    first, high, low, close = prices
    return at[starts], [
        first[starts],
        np.maximum.reduceat(high, starts),
        np.minimum.reduceat(low, starts),
        close[ends],
    ]


def _tick(prices: list[Floats]) -> float:
    """Choose a unit of price: a power of ten, a hundredth of a typical bar or finer, that 31 bits can count."""
    height = prices[1] - prices[2]
    typical = float(np.median(height[height > 0])) if (height > 0).any() else 0.0
    top = float(np.abs(prices[1]).max())
    least = max(top / 2**30, 1e-300)
    return float(10.0 ** np.ceil(np.log10(max(typical / 1_000, least))))


def candle_explorer(result: ResultLike, *, table: str, key: str = "fig-price") -> Html:
    """Place the figure of trades on candles, with its buttons.

    Parameters
    ----------
    result : Result
        With one trade or more.
    table : str
        HTML with the numbers of trades.
    key : str, default "fig-price"
        Identifier, unique on the page.

    Returns
    -------
    Html
        Buttons, figure, table and data; a sentence where no bar has prices.
    """
    import plotly.graph_objects as go

    at, prices = _bars(result)
    if not at.size:
        return Html(
            "<p>The window has no bar with prices, so trades cannot be drawn over them.</p>"
        )
    every = -(-at.size // MAX_BARS)
    step = int(getattr(result.candles, "interval_ms", 0) or _step(at))
    if every > 1:
        at, prices = _merged(at, prices, every)
        step *= every
    tick = _tick(prices)
    first, high, low, close = (np.round(p / tick).astype(np.int64) for p in prices)
    gaps = np.diff(at, prepend=at[0])
    unit = step if not np.any(gaps % step) else 1
    columns: dict[str, npt.NDArray[np.int64]] = {
        "t": gaps // unit,
        "o": first - np.concatenate([[0], close[:-1]]),
        "c": close - first,
        "h": high - np.maximum(first, close),
        "l": np.minimum(first, close) - low,
    }
    marks, reasons, shown = _marks(result.trades)
    layout = dress(go.Figure(), height=440).layout.to_plotly_json()
    head = {
        "start": int(at[0]),
        "step": step,
        "unit": unit,
        "tick": tick,
        "reasons": reasons,
        "gain": GAIN,
        "loss": LOSS,
        "long": ACCENT,
        "short": SHORT,
        "bar": NEUTRAL,
        "layout": {**layout, "template": None},
    }
    notes = ["Drag over a stretch to zoom into it, or use the buttons; the finest candles are "]
    notes.append(
        f"of {formats.duration(step)}."
        if every == 1
        else f"{every} bars, {formats.duration(step)}."
    )
    if shown < result.trades.height:
        notes.append(
            f" Drawn: {formats.count(shown)} of {formats.plural(result.trades.height, 'trade')}, an even choice and "
            "the largest."
        )
    controls = "".join(
        f'<button type="button" data-plot="{key}" data-act="{act}">{esc(text)}</button>'
        for act, text in BUTTONS
    )
    trades = formats.plural(result.trades.height, "trade")
    return host(
        key,
        packing.arrays(
            f"{key}-data", head, {n: packing.smallest(v) for n, v in columns.items()} | marks
        ),
        caption="Entries and exits on the candles",
        alt=f"Candles from {formats.time(at[0])} to {formats.time(at[-1])} with entries and exits of {trades}.",
        note="".join(notes),
        height=440,
        table=table,
        controls=f'<div class="steps" role="group" aria-label="What the candles show">{controls}</div>',
        kind="candles",
    )


def _step(at: npt.NDArray[np.int64]) -> int:
    """Give the usual distance of bars."""
    return int(np.median(np.diff(at))) if at.size > 1 else 60_000


def _marks(trades: pl.DataFrame) -> tuple[dict[str, npt.NDArray[np.generic]], list[str], int]:
    """Collect what is drawn of trades: columns, the reasons by number, how many."""
    chosen = trades[spread(trades.height, MAX_MARKS, column(trades, "return"))].sort("entry_time")
    named = [str(r) for r in chosen["reason"].cast(pl.String).fill_null("n/a").to_list()]
    reasons = list(dict.fromkeys(named))
    places = {name: i for i, name in enumerate(reasons)}
    long = (chosen["side"].cast(pl.String) == "long").to_numpy()
    marks: dict[str, npt.NDArray[np.generic]] = {
        "entered": milliseconds(chosen["entry_time"]).astype(np.float64),
        "left": milliseconds(chosen["exit_time"]).astype(np.float64),
        "bought": column(chosen, "entry_price"),
        "sold": column(chosen, "exit_price"),
        "ret": column(chosen, "return").astype(np.float32),
        "side": np.where(long, 1, -1).astype(np.int8),
        "reason": packing.smallest(np.array([places[name] for name in named], dtype=np.int64)),
    }
    return marks, reasons, chosen.height
