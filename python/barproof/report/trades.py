"""Sections about trades: their distribution, the single trades, the exits, what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from barproof.report import formats
from barproof.report.candle_explorer import candle_explorer
from barproof.report.figures import (
    attribution_figure,
    excursion_figure,
    exits_figure,
    histogram,
    returns_figure,
)
from barproof.report.inputs import ResultLike, column, mean, milliseconds, rule_fields, rule_sets
from barproof.report.numbers import bins_table, excursions_table, see
from barproof.report.page import Section, details, plot
from barproof.report.tables import Html, data_table, facts

__all__ = ["costs_section", "exits_section", "exits_table", "trades_section"]

LISTED = 10
"""Trades in each of the four lists."""

TAKER_EXITS = ("signal", "stop", "trail", "breakeven", "time", "reverse", "end")


def trades_section(result: ResultLike) -> Section:
    """Build the section about single trades."""
    trades = result.trades
    if trades.height == 0:
        return Section("trades", "Trades", "<p>There are no trades in this window.</p>")
    returns, outside = returns_figure(trades)
    excursions, shown = excursion_figure(trades)
    typical = formats.percent(mean(column(trades, "return")), 3)
    beyond = (
        f"{formats.plural(outside, 'trade')} beyond the outer bins are counted in them."
        if outside
        else ""
    )
    capped = (
        f"Drawn: {formats.count(shown)} of {formats.plural(trades.height, 'trade')}, an even choice and the largest."
        if shown < trades.height
        else ""
    )
    body = candle_explorer(result, table=see("the lists of trades", "trade-lists"))
    edges, counts, _ = histogram(column(trades, "return"))
    body = Html(
        body
        + '<div class="columns">'
        + plot(
            returns,
            "fig-returns",
            caption="Return per trade",
            alt=f"Histogram of the returns of {formats.plural(trades.height, 'trade')}, mean {typical}.",
            table=bins_table(
                edges, counts, name="Return per trade", what="Trades", metric="return"
            ),
            note=beyond,
        )
        + plot(
            excursions,
            "fig-excursions",
            caption="Worst against best excursion",
            alt="Maximum adverse against maximum favourable excursion of trades, gains and losses apart.",
            table=excursions_table(trades),
            note=capped,
        )
        + "</div>"
    )
    lists = f'<div id="trade-lists" tabindex="-1">{_lists(trades)}</div>'
    return Section("trades", "Trades", body + lists + _groups(result))


def _lists(trades: pl.DataFrame) -> str:
    """List all trades, or where they are many the best, worst, first and last."""
    if trades.height <= 4 * LISTED:
        return _list(trades, f"All {formats.plural(trades.height, 'trade')}")
    order = np.argsort(-np.nan_to_num(column(trades, "return"), nan=-np.inf), kind="stable")
    best, worst = trades[order[:LISTED]], trades[order[::-1][:LISTED]]
    return "".join(
        details(title, _list(part, title, seen=False), is_open=is_open)
        for title, part, is_open in (
            (f"Best {LISTED} trades", best, True),
            (f"Worst {LISTED} trades", worst, True),
            (f"First {LISTED} trades", trades.head(LISTED), False),
            (f"Last {LISTED} trades", trades.tail(LISTED), False),
        )
    )


def _list(trades: pl.DataFrame, caption: str, *, seen: bool = True) -> Html:
    """Table of trades."""
    entered, left = milliseconds(trades["entry_time"]), milliseconds(trades["exit_time"])
    rows = []
    for i, trade in enumerate(trades.iter_rows(named=True)):
        doubt = "yes" if trade.get("ambiguous") else "trail" if trade.get("ambiguous_trail") else ""
        gain = formats.as_float(trade["pnl"])
        tone = "gain" if gain > 0 else "loss" if gain < 0 else ""
        rows.append(
            [
                formats.time(entered[i]),
                str(trade["side"]),
                formats.price(trade["entry_price"]),
                formats.time(left[i]),
                formats.price(trade["exit_price"]),
                str(trade["reason"]),
                formats.count(trade.get("bars_held")),
                Html(f'<span class="{tone}">{formats.percent(trade["return"], 3)}</span>'),
                formats.money(trade["pnl"]),
                formats.money(trade.get("fees")),
                formats.money(trade.get("funding")),
                formats.percent(trade.get("mae")),
                formats.percent(trade.get("mfe")),
                doubt,
            ]
        )
    return data_table(
        [
            "Entry (UTC)",
            "Side",
            "Price",
            "Exit (UTC)",
            "Price",
            "Reason",
            "Bars",
            "Return",
            "PnL",
            "Fees",
            "Funding",
            "MAE",
            "MFE",
            "Ambiguous",
        ],
        rows,
        caption=caption,
        text_columns=(0, 1, 3, 5, 13),
        visible_caption=seen,
    )


def _groups(result: ResultLike) -> str:
    """Lay out trades by side, regime and hour; a key that the result cannot group by is left out."""
    parts = []
    for key, title in (
        ("side", "By side"),
        ("regime", "By volatility regime"),
        ("hour", "By hour of entry"),
    ):
        frame = _grouped(result, key)
        if frame is not None and frame.height:
            parts.append(details(title, _group_table(frame, title)))
    return "".join(parts)


def _grouped(result: ResultLike, key: str) -> pl.DataFrame | None:
    try:
        return result.by(key)
    except (KeyError, NotImplementedError, ValueError):
        return None


def _group_table(frame: pl.DataFrame, title: str) -> Html:
    key, *names = frame.columns
    rows = []
    for row in frame.iter_rows(named=True):
        cells = [
            formats.metric(n, row[n]) if row[n] is not None else formats.MISSING for n in names
        ]
        rows.append([formats.show(row[key]) if row[key] is not None else formats.MISSING, *cells])
    heads = [title.removeprefix("By ").capitalize(), *(formats.label(n) for n in names)]
    return data_table(heads, rows, caption=title, visible_caption=False)


def exits_table(trades: pl.DataFrame) -> pl.DataFrame:
    """Summarise trades by exit reason.

    Parameters
    ----------
    trades : polars.DataFrame
        Trades of a result.

    Returns
    -------
    polars.DataFrame
        ``reason``, ``trades``, ``share``, ``win_rate``, ``mean_return``, ``sum_pnl``, ``mean_bars_held``,
        ``ambiguous_share``, the most frequent reason first.
    """
    return (
        trades.with_columns(pl.col("reason").cast(pl.String))
        .group_by("reason", maintain_order=True)
        .agg(
            pl.len().alias("trades"),
            (pl.len() / max(trades.height, 1)).alias("share"),
            (pl.col("pnl") > 0).mean().alias("win_rate"),
            pl.col("return").mean().alias("mean_return"),
            pl.col("pnl").sum().alias("sum_pnl"),
            pl.col("bars_held").mean().alias("mean_bars_held"),
            pl.col("ambiguous").cast(pl.Float64).mean().alias("ambiguous_share"),
        )
        .sort("trades", "reason", descending=[True, False])
    )


def exits_section(result: ResultLike) -> Section:
    """Build the section that says which exits earned and which lost."""
    trades = result.trades
    if trades.height == 0:
        return Section("exits", "Exits", "<p>There are no trades, hence no exits.</p>")
    table = exits_table(trades)
    rows = [
        [str(row["reason"]), *(formats.metric(n, row[n]) for n in table.columns[1:])]
        for row in table.iter_rows(named=True)
    ]
    heads = [
        "Reason",
        "Trades",
        "Share",
        "Win rate",
        "Mean return",
        "Sum of PnL",
        "Mean bars held",
        "Ambiguous",
    ]
    top = table.row(0, named=True)
    alt = (
        f"Sum of PnL by exit reason; the most frequent is {top['reason']} with "
        f"{formats.percent(top['share'])} of trades."
    )
    body = data_table(heads, rows, caption="Exits by reason", visible_caption=False)
    chart = plot(
        exits_figure(table),
        "fig-exits",
        caption="Sum of PnL by exit reason",
        alt=alt,
        table=see("the table of exits by reason", "exits"),
    )
    over = plot(
        attribution_figure(trades, list(table["reason"])),
        "fig-attribution",
        caption="What each exit reason gave, summed over time",
        alt=f"Running sums of PnL, a line an exit reason; at the end {_ends(table)}.",
        table=_attribution_table(trades, list(table["reason"])),
        note="A result that one reason carries falls with it.",
    )
    return Section("exits", "Exits", f'{body}<div class="columns">{chart}{over}</div>')


def _ends(table: pl.DataFrame) -> str:
    """Say what each reason summed up to."""
    return ", ".join(
        f"{row['reason']} {formats.money(row['sum_pnl'])}" for row in table.iter_rows(named=True)
    )


def _attribution_table(trades: pl.DataFrame, reasons: list[str]) -> Html:
    """Lay out the sum of PnL by month of exit and reason."""
    months = trades.select(
        pl.col("exit_time").dt.strftime("%Y-%m").alias("month"),
        pl.col("reason").cast(pl.String),
        pl.col("pnl"),
    )
    sums = {
        (month, reason): pnl
        for month, reason, pnl in months.group_by("month", "reason")
        .agg(pl.col("pnl").sum())
        .iter_rows()
    }
    rows = [
        [month, *(formats.money(sums[month, r]) if (month, r) in sums else "" for r in reasons)]
        for month in sorted({month for month, _ in sums})
    ]
    return data_table(
        ["Month of exit", *reasons], rows, caption="PnL by month and exit reason", compact=True
    )


def _slippage(result: ResultLike, rate: float) -> float:
    """Estimate what slippage took: the rate on the notional of taker fills."""
    trades = result.trades
    market = all(
        rule_fields(r).get("entry", "market") == "market" for _, r in rule_sets(result.rules)
    )
    limit = any(
        rule_fields(r).get("take_profit_order") == "limit" for _, r in rule_sets(result.rules)
    )
    taken = TAKER_EXITS if limit else (*TAKER_EXITS, "take")
    entries = column(trades, "notional") if market else np.zeros(trades.height)
    exits = column(trades, "exit_price") * column(trades, "quantity")
    exits = np.where(trades["reason"].cast(pl.String).is_in(list(taken)).to_numpy(), exits, 0.0)
    return float(rate * (np.nansum(entries) + np.nansum(exits)))


def costs_section(result: ResultLike) -> Section:
    """Build the section about fees, funding and slippage, and how much of the profit they took."""
    trades = result.trades
    taker, maker, slippage = (
        formats.as_float(getattr(result.costs, n, None)) for n in ("taker", "maker", "slippage")
    )
    fees = formats.as_float(result.metrics.get("fees"))
    funding = formats.as_float(result.metrics.get("funding"))
    pnl = column(trades, "pnl")
    gross = pnl + column(trades, "fees") - column(trades, "funding")
    profit = float(gross[gross > 0].sum())
    notional = column(trades, "notional")
    turnover = float(
        np.nansum(notional + column(trades, "exit_price") * column(trades, "quantity"))
    )
    pairs: list[tuple[str, Any]] = [
        ("Taker fee", formats.bps(taker)),
        ("Maker fee", formats.bps(maker)),
        ("Slippage of taker fills", formats.bps(slippage)),
        ("Fees paid", formats.money(fees)),
        ("Funding received (negative: paid)", formats.money(funding)),
        (
            "Slippage paid, estimated",
            formats.money(_slippage(result, slippage)) if trades.height else "n/a",
        ),
    ]
    base = float(np.nansum(notional))
    mean_gross = float(np.nansum(gross)) / base if base > 0 else np.nan
    mean_fees = fees / base if base > 0 else np.nan
    initial = formats.as_float(result.initial_equity)
    more: list[tuple[str, Any]] = [
        ("Gross result, before fees and funding", formats.money(np.nansum(gross))),
        ("Gross profit, trades that gained before fees", formats.money(profit)),
        (
            "Fees as a share of gross profit",
            formats.percent(fees / profit if profit > 0 else np.nan),
        ),
        (
            "Turnover, multiples of initial equity",
            formats.number(turnover / initial if initial else np.nan, 1),
        ),
        ("Gross result per notional entered", formats.bps(mean_gross)),
        ("Fees per notional entered, round trip", formats.bps(mean_fees)),
    ]
    note = (
        '<p class="note">Slippage is part of the fill prices, so the gross result is after slippage. Its estimate is '
        "the rate on the notional of fills that take liquidity"
        ", limit entries left out.</p>"
    )
    body = f'<div class="columns">{facts(pairs, kind="figures")}{facts(more, kind="figures")}</div>{note}'
    return Section("costs", "Costs", body)
