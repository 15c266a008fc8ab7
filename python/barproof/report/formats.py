"""How a number, a time and a metric read in a report.

What is undefined reads ``n/a`` and what is infinite ``∞``; no formatter raises for a value that a metric can take.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from barproof import _core

__all__ = [
    "LOWER_IS_BETTER",
    "as_float",
    "bps",
    "count",
    "duration",
    "label",
    "metric",
    "money",
    "number",
    "percent",
    "plural",
    "price",
    "show",
    "stat",
    "time",
]

MINUS = "\N{MINUS SIGN}"
MISSING = "n/a"

_TABLE: tuple[dict[str, Any], ...] = tuple(_core.metrics_table())


def _sentence(text: str) -> str:
    """Write a label of the table as a heading: no hash sign, capitals only where a word has several."""
    first, *rest = text.removeprefix("# ").split(" ")
    return " ".join([first, *(w if sum(c.isupper() for c in w) > 1 else w.lower() for w in rest)])


LABELS = {row["name"]: _sentence(row["label"]) for row in _TABLE} | {
    "total_return": "Total return",
    "pnl": "PnL",
    "sum_pnl": "Sum of PnL",
}
"""Headings of metrics, and of other columns that differ from their key with a capital letter and blanks."""

_BY_LABEL = {row["label"]: row["name"] for row in _TABLE}


def _unit(unit: str) -> frozenset[str]:
    return frozenset(row["name"] for row in _TABLE if row["unit"] == unit)


PER_TRADE = frozenset(("mean_win", "mean_loss", "expectancy", "return", "mean_return"))
PERCENT = (_unit("fraction") - PER_TRADE) | {"share", "fraction", "mae", "mfe"}
MONEY = _unit("quote") | {"pnl", "sum_pnl", "notional", "equity_initial"}
COUNT = _unit("count") | {"bars", "bars_held", "combinations"}

LOWER_IS_BETTER = frozenset(row["name"] for row in _TABLE if row["better"] < 0)
"""Metrics of which the smallest is the best."""


def as_float(value: Any) -> float:
    """Turn whatever a metric holds into a float; what is no number becomes NaN."""
    if value is None:
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        return math.nan


def _special(x: float) -> str | None:
    if math.isnan(x):
        return MISSING
    if math.isinf(x):
        return "∞" if x > 0 else f"{MINUS}∞"
    return None


def _sign(text: str) -> str:
    if text.startswith("-") and not any(c in "123456789" for c in text.split("e")[0]):
        text = text[1:]
    return text.replace("-", MINUS)


def number(value: Any, digits: int = 2) -> str:
    """Format with thousands separators; numbers that would take a line are written with an exponent.

    Parameters
    ----------
    value : Any
        A number, or what stands for an undefined one.
    digits : int, default 2
        Decimal places.

    Returns
    -------
    str
        The text; ``n/a`` for NaN, None and what is no number.

    Examples
    --------
    >>> number(12345.678), number(float("nan")), number(float("inf")), number(3.2e15)
    ('12,345.68', 'n/a', '∞', '3.20e+15')
    """
    x = as_float(value)
    special = _special(x)
    if special is not None:
        return special
    if abs(x) >= 1e9:
        return _sign(f"{x:.2e}")
    return _sign(f"{x:,.{digits}f}")


def percent(value: Any, digits: int = 2) -> str:
    """Format a fraction as per cent.

    Examples
    --------
    >>> percent(0.1234), percent(-0.5, 0), percent(None)
    ('12.34%', '−50%', 'n/a')
    """
    x = as_float(value)
    special = _special(x)
    if special is not None:
        return special
    if abs(x) >= 1e7:
        return _sign(f"{x * 100:.2e}%" if abs(x) < 1e300 else f"{x:.2e} times")
    return _sign(f"{x * 100:,.{digits}f}%")


def bps(value: Any) -> str:
    """Format a fraction as basis points."""
    x = as_float(value)
    text = number(x * 1e4, 2)
    return text if text == MISSING else f"{text} bps"


def count(value: Any) -> str:
    """Format a count."""
    if isinstance(value, int) and abs(value) < 10**15:
        return _sign(f"{value:,}")
    x = as_float(value)
    special = _special(x)
    if special is not None:
        return special
    return number(x, 0)


def money(value: Any) -> str:
    """Format an amount in quote currency."""
    return number(value, 2)


def price(value: Any) -> str:
    """Format a price with six significant digits, and at least two decimals from 1 on."""
    x = as_float(value)
    special = _special(x)
    if special is not None:
        return special
    size = abs(x)
    if size >= 1e9 or (size != 0 and size < 1e-8):
        return _sign(f"{x:.4e}")
    if size == 0:
        return "0"
    digits = (
        max(2, 5 - math.floor(math.log10(size))) if size >= 1 else 5 - math.floor(math.log10(size))
    )
    return _sign(f"{x:,.{digits}f}")


def time(ms: Any) -> str:
    """Format milliseconds UTC as ``YYYY-MM-DD HH:MM``."""
    if ms is None:
        return MISSING
    stamp = np.datetime64(int(ms), "ms")
    return str(np.datetime_as_string(stamp, unit="m")).replace("T", " ")


def duration(ms: Any) -> str:
    """Format a span of milliseconds in the unit that suits it."""
    x = as_float(ms)
    special = _special(x)
    if special is not None:
        return special
    for unit, size in (("years", 365.25 * 86_400_000), ("days", 86_400_000), ("hours", 3_600_000)):
        if x >= 2 * size:
            return f"{number(x / size, 1)} {unit}"
    return f"{number(x / 60_000, 0)} minutes"


def plural(n: Any, noun: str, nouns: str | None = None) -> str:
    """Format a count with its noun.

    Examples
    --------
    >>> plural(1, "trade"), plural(1200, "trade")
    ('1 trade', '1,200 trades')
    """
    word = noun if as_float(n) == 1 else (nouns or f"{noun}s")
    return f"{count(n)} {word}"


def label(name: str) -> str:
    """Give the heading of a metric or column."""
    if name in LABELS:
        return LABELS[name]
    words = name.replace("_", " ")
    return words[:1].upper() + words[1:]


def metric(name: str, value: Any) -> str:
    """Format a metric by its name.

    Parameters
    ----------
    name : str
        A name of the metrics table, such as ``"total_return"``.
    value : Any
        Its value.

    Returns
    -------
    str
        Per cent for fractions, separators for counts and amounts, two decimals for ratios.

    Examples
    --------
    >>> metric("win_rate", 0.5), metric("trades", 1234), metric("profit_factor", float("inf"))
    ('50.00%', '1,234', '∞')
    """
    if name in PERCENT:
        return percent(value)
    if name in PER_TRADE:
        return percent(value, 3)
    if name in MONEY:
        return money(value)
    if name in COUNT:
        return count(value)
    if name == "sharpe_daily":
        return number(value, 4)
    if name in LABELS:
        return number(value, 2)
    return show(value)


def stat(title: str, value: Any) -> tuple[str, str]:
    """Format a row of ``Result.stats()``.

    Parameters
    ----------
    title : str
        Name or label of a metric; a label may end with ``[%]``, and its value is then in per cent.
    value : Any
        Its value.

    Returns
    -------
    heading, text : str
        The metric's heading and the value.

    Examples
    --------
    >>> stat("Win Rate [%]", 51.25), stat("Bars", 1000.0)
    (('Win rate', '51.25%'), ('Bars', '1,000'))
    """
    plain = title.removesuffix(" [%]")
    name = _BY_LABEL.get(plain, plain)
    if name not in LABELS:
        name = plain.lower().replace(" ", "_")
    if plain == title:
        return label(name), metric(name, value)
    share = as_float(value) / 100.0
    return label(name), metric(name, share) if name in PERCENT | PER_TRADE else percent(share)


def show(value: Any) -> str:
    """Format a value of unknown kind: rules, axis levels, provenance."""
    if value is None:
        return "off"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return count(int(value))
    if isinstance(value, float | np.floating):
        x = float(value)
        special = _special(x)
        if special is not None:
            return special
        return _sign(f"{x:,.2f}" if 1e3 <= abs(x) < 1e9 else f"{x:.6g}")
    return str(value)
