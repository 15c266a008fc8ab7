"""The gallery of features: every function plotted on one simulated market, as small drawings of its own.

``tools/generate.py`` writes ``docs/gallery.md`` and a file a function in ``docs/gallery/``; nobody edits them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

import barproof as bp
from barproof import _core

NOTE = "Written by tools/generate.py; edit tools/gallery.py."
BARS = 1_500
"""Bars of the market; the last ones are drawn, so that what fades has faded."""
DRAWN = 160
WIDTH, HEIGHT = 320, 64
LEFT, TOP = 4, 6
# Readable on light and on dark ground.
COLOURS = ("#3b82f6", "#f97316", "#22a06b", "#a855f7", "#e11d48", "#0891b2", "#a16207", "#64748b")

CALLS = {
    "clip": "clip(zscore(close, 20), -1, 1)",
    "ratio": "ratio(close, sma(50))",
    "lag": "lag(close, 20)",
    "diff": "diff(close, 20)",
    "zscore": "zscore(close, 20)",
    "robust_zscore": "robust_zscore(close, 20)",
    "entropy": "entropy(log_return(1), 50)",
    "autocorrelation": "autocorrelation(log_return(1), 50)",
    "cusum": "cusum(log_return(1), 0.02)",
    "regression": "regression(log_return(1), log_return(1)@ETH, 60)",
    "covariance": "covariance(log_return(1), log_return(1)@ETH, 60)",
    "lead_lag": "lead_lag(log_return(1), log_return(1)@ETH, 60)",
}
"""Calls that show more than the parameters of the table do."""
SAMPLE = {"bars": 1, "low": -1, "high": 1}


def call_of(row: dict[str, Any]) -> str:
    """Write a call of a function, with values for what has no default."""
    if row["name"] in CALLS:
        return CALLS[row["name"]]
    given = ["close", "close@ETH"][: sum(kind == "given" for kind, _ in row["inputs"])]
    values = [
        f"{SAMPLE.get(name, 20) if default is None else default:.10g}"
        for name, _, default in row["parameters"]
    ]
    return f"{row['name']}({', '.join(given + values)})"


def market() -> dict[str, bp.Candles]:
    """Two hourly markets that move together."""
    return bp.simulate_candles(11, bars=BARS, interval="1h", symbols=["BTC", "ETH"])


def drawn(call: str, books: dict[str, bp.Candles]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names of the outputs of a call, and their values over the bars that are drawn."""
    features = bp.FeatureSet([call])
    while True:
        try:
            rows = features.matrix(books, dtype="f64", symbol="BTC", threads=1)
            return features.names, rows[-DRAWN:]
        except bp.FeatureError as error:
            books = _with_column(books, error)


def _with_column(books: dict[str, bp.Candles], error: bp.FeatureError) -> dict[str, bp.Candles]:
    """Add the further column that a function asks for: counts that go with the volume."""
    text = str(error)
    if " needs the column `" not in text:
        raise error
    name = text.split("`")[3]
    rng = np.random.default_rng(list(name.encode()))
    wider = {}
    for symbol, candles in books.items():
        noise = rng.lognormal(0.0, 0.3, len(candles))
        column = np.round(10 * (1 + candles.volume / candles.volume.mean()) * noise)
        wider[symbol] = candles._replace(extra={**candles.extra, name: column})
    return wider


def number(value: float) -> str:
    """Four digits, as labels have room for."""
    return f"{value:.4g}"


def svg(name: str, columns: NDArray[np.float64]) -> str:
    """Draw columns as lines over the same bars, with their smallest and largest value."""
    known = columns[np.isfinite(columns)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    span = high - low if high > low else 1.0
    floor = HEIGHT - TOP

    def y(value: float) -> str:
        # A line that never moves stands in the middle.
        share = (value - low) / span if high > low else 0.5
        return f"{floor - share * (floor - TOP):.1f}"

    right = WIDTH - 56
    step = (right - LEFT) / (DRAWN - 1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{name}">',
        f'<g font-family="sans-serif" font-size="9" fill="#808080"><text x="{right + 4}" y="{TOP + 3}">{number(high)}'
        f'</text><text x="{right + 4}" y="{floor + 3}">{number(low)}</text></g>',
    ]
    if low < 0 < high:
        lines.append(
            f'<path d="M{LEFT} {y(0.0)}H{right}" stroke="#808080" stroke-width="0.5" stroke-dasharray="2 3"/>'
        )
    for k, column in enumerate(columns.T):
        path, pen = [], "M"
        for i, value in enumerate(column.tolist()):
            if math.isfinite(value):
                path.append(f"{pen}{LEFT + i * step:.1f} {y(value)}")
                pen = "L"
            else:
                pen = "M"
        colour = COLOURS[k % len(COLOURS)]
        lines.append(
            f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="1.2"/>'
        )
    return "\n".join([*lines, "</svg>"]) + "\n"


def cell(text: str) -> str:
    """Text that may stand in a table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def pages() -> dict[str, str]:
    """Every file of the gallery, by its path."""
    books = market()
    rows = _core.feature_table()
    close = books["BTC"].close[-DRAWN:]
    found = {"docs/gallery/close.svg": svg("close", close[:, None])}
    lines = ["# Gallery", "", f"<!-- {NOTE} -->", ""]
    lines += [
        f"The {len(rows)} functions of [functions.md](functions.md) over the last {DRAWN} of {BARS:,} hours of one",
        "simulated market, whose close this is:",
        "",
        "![close](gallery/close.svg)",
        "",
        "The numbers at the right are the largest and the smallest value drawn; a broken line is at 0. Where there are",
        "several outputs their colours come in the order blue, orange, green, purple, red. `ETH` is a second market",
        "that moves with the first.",
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        lines += ["", f"## {family.capitalize()}", ""]
        lines += ["| function | on the market | formula |", "|---|---|---|"]
        for row in rows:
            if row["family"] != family:
                continue
            name, call = row["name"], call_of(row)
            found[f"docs/gallery/{name}.svg"] = svg(name, drawn(call, books)[1])
            outputs = "".join(f"<br>`.{output}`" for output in row["outputs"])
            lines.append(
                f"| [`{name}`](functions.md#{name})<br>`{call}`{outputs} | ![{name}](gallery/{name}.svg) "
                f"| {cell(row['summary'])}: {cell(row['formula'])} |"
            )
    found["docs/gallery.md"] = "\n".join(lines) + "\n"
    return found


__all__ = ["call_of", "drawn", "market", "pages", "svg"]
