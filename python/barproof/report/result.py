"""The sections of a result's page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from barproof.report import formats
from barproof.report.caveats import caveat_list, is_simulated, range_table, result_caveats
from barproof.report.figures import equity_figure
from barproof.report.inputs import (
    ResultLike,
    SweepLike,
    column,
    curves,
    milliseconds,
    rule_fields,
    rule_sets,
)
from barproof.report.numbers import equity_table
from barproof.report.page import Section, Tile, details, plot, tiles
from barproof.report.tables import Html, data_table, esc, facts
from barproof.report.thinning import MAX_POINTS
from barproof.report.trades import costs_section, exits_section, trades_section

__all__ = ["describe", "lead", "monthly_returns", "result_sections", "result_title", "span"]

MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def result_title(result: ResultLike) -> str:
    """Name the page after what was traded."""
    symbol = getattr(result.candles, "symbol", None) or "unnamed symbol"
    return f"Backtest of {symbol}, {getattr(result.candles, 'interval', '')} bars"


def span(result: ResultLike) -> tuple[str, str]:
    """Give the first and last opening time of the window."""
    stamps = milliseconds(result.equity["open_time"])
    if stamps.size == 0:
        return "n/a", "n/a"
    return formats.time(stamps[0]), formats.time(stamps[-1])


def describe(result: ResultLike) -> str:
    """Say in one sentence what came out."""
    m = result.metrics
    start, end = span(result)
    market = " on a simulated market" if is_simulated(result.candles) else ""
    made = formats.as_float(m.get("total_return"))
    verb = "lost" if made < 0 else "returned"
    if np.isfinite(made):
        made = abs(made)
    against = ""
    hold = formats.as_float(m.get("buy_hold_return"))
    if np.isfinite(hold):
        against = f" against {formats.percent(hold)} for buy and hold"
    return (
        f"From {start[:10]} to {end[:10]} ({formats.plural(result.equity.height, 'bar')}){market} the strategy {verb} "
        f"{formats.percent(made)}{against}, with a Sharpe ratio of {formats.metric('sharpe', m.get('sharpe'))} and a "
        f"maximum drawdown of {formats.metric('max_drawdown', m.get('max_drawdown'))}, over "
        f"{formats.plural(m.get('trades', result.trades.height), 'trade')}."
    )


def lead(result: ResultLike) -> str:
    """Build the tiles that a page opens with."""
    m = result.metrics

    def tone(name: str) -> str:
        value = formats.as_float(m.get(name))
        return "gain" if value > 0 else "loss" if value < 0 else ""

    def text(name: str) -> str:
        return formats.metric(name, m.get(name))

    days = ", under 30 days" if np.isnan(formats.as_float(m.get("cagr"))) else ""
    return tiles(
        [
            Tile(
                "Total return",
                text("total_return"),
                f"buy and hold {text('buy_hold_return')}",
                tone("total_return"),
            ),
            Tile("CAGR", text("cagr"), f"compound, a year{days}", tone("cagr")),
            Tile("Sharpe", text("sharpe"), "daily returns, annualised"),
            Tile("Max drawdown", text("max_drawdown"), "at bar closes"),
            Tile("Trades", text("trades"), f"{text('trades_per_day')} a day"),
            Tile("Win rate", text("win_rate"), f"break-even at {text('break_even_win_rate')}"),
            Tile("Profit factor", text("profit_factor"), f"payoff {text('payoff')}"),
            Tile("Exposure", text("exposure"), "of bars in a position"),
        ]
    )


def result_sections(
    result: ResultLike,
    sweep: SweepLike | None = None,
    folds: Sequence[tuple[int, int]] = (),
) -> list[Section]:
    """Build the sections of a result, in order.

    Parameters
    ----------
    result : Result
        The result.
    sweep : Sweep, optional
        The sweep that it was chosen from.
    folds : sequence of (int, int), default ()
        Judged bars of each fold, as :func:`equity_figure` takes them.

    Returns
    -------
    list of Section
        What to know, equity, statistics, months, trades, exits, costs, rules and provenance.
    """
    know = caveat_list(result_caveats(result, sweep)) + range_table(result)
    return [
        Section("know", "What to know before believing this", know),
        Section("equity", "Equity and drawdown", _equity(result, folds)),
        Section("statistics", "Statistics", _statistics(result)),
        Section("months", "Returns by month", _months(result)),
        trades_section(result),
        exits_section(result),
        costs_section(result),
        Section("rules", "Rules", _rules(result.rules, result.candles)),
    ]


def _equity(result: ResultLike, folds: Sequence[tuple[int, int]]) -> Html:
    m = result.metrics
    alt = (
        f"Equity from {formats.money(result.initial_equity)} to "
        f"{formats.metric('final_equity', m.get('final_equity'))} beside buy and hold, and the drawdown below, "
        f"{formats.metric('max_drawdown', m.get('max_drawdown'))} at worst."
    )
    notes = ["Shaded: every other fold; the numbers count folds from 0."] if folds else []
    if result.equity.height > MAX_POINTS:
        notes.append("Lines are thinned to the extremes of equal stretches of bars.")
    if folds:
        alt += f" {formats.plural(len(folds), 'fold')} of judged bars are shaded in turn."
    return plot(
        equity_figure(result, folds),
        "fig-equity",
        caption="Equity marked at bar closes, and drawdown",
        alt=alt,
        table=equity_table(curves(result)),
        note=" ".join(notes),
    )


def _statistics(result: ResultLike) -> str:
    frame = result.stats()
    named = {"metric", "strategy", "buy_and_hold"} <= set(frame.columns)
    heads = ("metric", "strategy", "buy_and_hold") if named else tuple(frame.columns[:3])
    rows = []
    for name, *values in frame.select(heads).iter_rows():
        heading = formats.stat(str(name), None)[0]
        cells = [_stat_cell(str(name), value, blank=i > 0) for i, value in enumerate(values)]
        rows.append([heading, *cells])
    headings = ["Metric", "Strategy", "Buy and hold"] if named else list(heads)
    if len(rows) < 12:
        return data_table(headings, rows, caption="Statistics", visible_caption=False, compact=True)
    half = (len(rows) + 1) // 2
    parts = [
        data_table(headings, part, caption=f"Statistics, part {i + 1} of 2", visible_caption=False)
        for i, part in enumerate((rows[:half], rows[half:]))
    ]
    return f'<div class="columns">{"".join(parts)}</div>'


def _stat_cell(name: str, value: Any, *, blank: bool) -> str:
    """Format a value; what only trades have is blank beside buy-and-hold rather than undefined."""
    if isinstance(value, str):
        return value
    if blank and np.isnan(formats.as_float(value)):
        return ""
    return formats.stat(name, value)[1]


def monthly_returns(equity: pl.DataFrame, initial: float) -> dict[tuple[int, int], float]:
    """Compute the return of each calendar month (UTC) from the equity at the last bar that opens in it.

    Parameters
    ----------
    equity : polars.DataFrame
        ``open_time`` and ``equity``.
    initial : float
        Equity before the first bar.

    Returns
    -------
    dict of (int, int) to float
        Return by (year, month); months without bars are absent, and after ruin a month's return is 0.
    """
    values = column(equity, "equity")
    months = (
        milliseconds(equity["open_time"])
        .astype("datetime64[ms]")
        .astype("datetime64[M]")
        .astype(np.int64)
    )
    if months.size == 0:
        return {}
    last = np.append(np.flatnonzero(np.diff(months)), months.size - 1)
    found: dict[tuple[int, int], float] = {}
    before = float(initial)
    for i in last:
        now = float(values[i])
        year, month = divmod(int(months[i]), 12)
        found[year + 1970, month + 1] = now / before - 1.0 if before > 0 else 0.0
        before = now
    return found


def _months(result: ResultLike) -> str:
    """Table of returns by month and year."""
    found = monthly_returns(result.equity, formats.as_float(result.initial_equity))
    if not found:
        return "<p>There are no bars in this window.</p>"
    strongest = max((abs(v) for v in found.values() if np.isfinite(v)), default=0.0)
    rows = []
    for year in sorted({y for y, _ in found}):
        of_year = [found.get((year, m)) for m in range(1, 13)]
        total = float(np.prod([1.0 + v for v in of_year if v is not None])) - 1.0
        cells = "".join(_month_cell(v, strongest) for v in of_year)
        rows.append(
            f'<tr><th scope="row">{year}</th>{cells}<td class="total">{formats.percent(total, 1)}</td></tr>'
        )
    heads = "".join(f'<th scope="col" class="num">{m}</th>' for m in (*MONTHS, "Total"))
    caption = "Returns by month"
    return (
        f'<div class="scroll months" tabindex="0" role="region" aria-label="{caption}"><table>'
        f'<caption class="aloud">{caption}</caption><thead><tr><th scope="col">Year</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="note">Of the marked equity, at the last bar that opens in a month (UTC). The first and the last '
        "month may be incomplete.</p>"
    )


def _month_cell(value: float | None, strongest: float) -> str:
    if value is None:
        return "<td></td>"
    if not np.isfinite(value) or not np.isfinite(strongest) or strongest == 0 or value == 0:
        return f"<td>{formats.percent(value, 1)}</td>"
    side = "up" if value > 0 else "down"
    weight = round(8 + 47 * min(abs(value) / strongest, 1.0))
    return f'<td class="{side}" style="--w:{weight}%">{formats.percent(value, 1)}</td>'


def _rules(rules: Any, candles: Any) -> str:
    """Lay out rules; of a schedule what stays the same once, and what changes as a table."""
    sets = rule_sets(rules)
    fields = [rule_fields(one) for _, one in sets]
    if not fields:
        return "<p>No rules are recorded.</p>"
    names = list(fields[0])
    changing = [n for n in names if any(f.get(n) != fields[0].get(n) for f in fields)]
    fixed = [n for n in names if n not in changing]
    on = [(n, formats.show(fields[0][n])) for n in fixed if fields[0][n] not in (None, False)]
    off = [
        n
        for n in fixed
        if fields[0][n] in (None, False) and not isinstance(fields[0][n], int | float)
    ]
    off += [n for n in fixed if fields[0][n] is False]
    parts: list[str] = []
    if len(sets) > 1 and changing:
        heads = ["From", *changing]
        rows = [
            [_start(start, candles), *(formats.show(f.get(n)) for n in changing)]
            for (start, _), f in zip(sets, fields, strict=True)
        ]
        table = data_table(heads, rows, caption="Rules that change over the schedule")
        parts.append(
            table if len(rows) <= 24 else details(f"Schedule of {len(rows)} sets of rules", table)
        )
    half = (len(on) + 1) // 2
    parts.append(f'<div class="columns">{facts(on[:half])}{facts(on[half:])}</div>')
    if off:
        parts.append(f'<p class="note">Off: {esc(", ".join(off))}.</p>')
    return "".join(parts)


def _start(start: Any, candles: Any) -> str:
    """Say from when rules hold: the time of their first bar, where its number is known."""
    if isinstance(start, int | np.integer) and start > 10**11:
        return formats.time(int(start))
    if isinstance(start, int | np.integer) and 0 <= start < len(candles):
        return formats.time(milliseconds(candles.to_polars()["open_time"].slice(int(start), 1))[0])
    return "start" if start is None else str(start)
