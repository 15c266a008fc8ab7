"""``barproof portfolio``: several symbols traded from one equity."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from barproof._core import __version__
from barproof._frames import METRICS
from barproof._portfolio import PortfolioResult
from barproof._portfolio import portfolio as run_portfolio
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exits import OK
from barproof.cli.inputs import (
    costs_of,
    first_given,
    market_of,
    read_market,
    read_signals,
    rules_of,
)
from barproof.cli.output import metric_text
from barproof.cli.tables import HelpRules
from barproof.errors import ConfigError

__all__ = ["portfolio", "portfolio_document", "show_portfolio"]


def portfolio(
    candles: Annotated[
        list[str],
        typer.Argument(
            metavar="SYMBOL=CANDLES...", help="Candles of each symbol: Parquet, Feather or CSV."
        ),
    ],
    signals: Annotated[
        list[str],
        typer.Option(
            "--signals",
            "-s",
            metavar="SYMBOL=FILE",
            help="Table of model outputs of each symbol, one row a bar.",
        ),
    ],
    instrument: options.InstrumentKind = None,
    funding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SYMBOL=PATH|none",
            help="Settlements of a perpetual; `none` alone runs all symbols without, and says so.",
        ),
    ] = None,
    signal_time: options.SignalTime = None,
    signal_column: options.SignalColumns = None,
    kind: options.SignalKind = None,
    rule: options.Rule = None,
    help_rules: HelpRules = False,  # noqa: ARG001
    max_positions: Annotated[
        int | None, typer.Option(help="Positions open at a time; no limit by default.")
    ] = None,
    max_gross: Annotated[
        float | None,
        typer.Option(help="All notionals as a multiple of the equity; no limit by default."),
    ] = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    window: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="START END", help="Times such as 2024-01-31; the end is left out."),
    ] = None,
    equity_start: options.Initial = None,
    config: options.ConfigFile = None,
    report: options.Report = None,
    trades: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the trades: .parquet, .csv or .feather.",
            rich_help_panel="Output",
        ),
    ] = None,
    refused: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the refused entries with what they would have earned.",
            rich_help_panel="Output",
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """Trade several symbols from one equity: what each gave, what was refused and what it would have earned."""
    settings = load_config(config)
    paths, tables = _pairs("candles", candles), _pairs("--signals", signals)
    settled = _settlements(funding, list(paths))
    for symbol in tables:
        if symbol not in paths:
            raise ConfigError(
                f"`--signals {symbol}=...` names a symbol without candles: give {symbol}=CANDLES, or leave it out"
            )
    for symbol in paths:
        if symbol not in tables:
            raise ConfigError(f"symbol {symbol!r} has no signals: give `--signals {symbol}=FILE`")
    output.check_target("--trades", trades, output.FRAMES)
    output.check_target("--refused", refused, output.FRAMES)
    output.check_target("--report", report, (".html",))
    sources: dict[str, str | Path | None] = {}
    for symbol, path in paths.items():
        sources[f"candles of {symbol}"] = Path(path)
        sources[f"signals of {symbol}"] = Path(tables[symbol])
    output.check_targets({"--trades": trades, "--refused": refused, "--report": report}, sources)
    base = rules_of(settings, rule)
    costs = costs_of(settings, taker, maker, slippage, free)
    bars, made = {}, {}
    for symbol, path in paths.items():
        market = market_of(
            settings,
            Path(path),
            instrument=instrument,
            symbol=symbol,
            interval=None,
            funding=settled.get(symbol),
            calendar=None,
            on_fault=None,
            repair=None,
        )
        bars[symbol] = read_market(market)
        made[symbol] = read_signals(
            settings, Path(tables[symbol]), time=signal_time, columns=signal_column, kind=kind
        )
    result = run_portfolio(
        bars,
        made,
        base,
        costs=costs,
        max_positions=max_positions,
        max_gross=max_gross,
        window=window,
        initial_equity=first_given(equity_start, settings.backtest.initial_equity),
    )
    written: dict[str, Path] = {}
    if trades is not None:
        output.write_frame(trades, result.trades)
        written["trades"] = trades
    if refused is not None:
        output.write_frame(refused, result.missed())
        written["refused"] = refused
    if report is not None:
        written["report"] = result.to_html(report)
    if json:
        output.emit_json(
            {
                "command": "portfolio",
                "version": __version__,
                "exit_code": OK,
                **portfolio_document(result),
                "written": written,
            }
        )
        return OK
    out = output.console()
    show_portfolio(out, result)
    for name, file in written.items():
        out.print(f"{name}: {file}", soft_wrap=True)
    return OK


def _pairs(name: str, texts: list[str]) -> dict[str, str]:
    """Files by symbol."""
    found: dict[str, str] = {}
    for text in texts:
        symbol, sign, path = text.partition("=")
        if not sign or not symbol or not path:
            raise ConfigError(
                f"`{name} {text}` must read SYMBOL=FILE: such as BTCUSDT=btcusdt.parquet"
            )
        if symbol in found:
            raise ConfigError(f"`{name}` names the symbol {symbol!r} twice: give it once")
        found[symbol] = path
    return found


def _settlements(texts: list[str] | None, symbols: list[str]) -> dict[str, str]:
    """Settlements by symbol; `none` alone is for all."""
    if texts == ["none"]:
        return dict.fromkeys(symbols, "none")
    found = _pairs("--funding", texts or [])
    for symbol in found:
        if symbol not in symbols:
            raise ConfigError(
                f"`--funding {symbol}=...` names a symbol without candles: give {symbol}=CANDLES, or leave it out"
            )
    return found


def portfolio_document(result: PortfolioResult) -> dict[str, Any]:
    """Everything a result says, for JSON."""
    return {
        "symbols": result.symbols,
        "window": result.window,
        "max_positions": result.max_positions,
        "max_gross": result.max_gross,
        "initial_equity": result.initial_equity,
        "metrics": result.metrics,
        "buy_and_hold": result._hold,
        "contribution": result.contribution,
        "correlation": result.correlation,
        "refused": _missed(result),
        "provenance": result.provenance,
    }


def _missed(result: PortfolioResult) -> Any:
    """Refused entries by symbol and reason, with what they would have earned."""
    import polars as pl

    return (
        result.missed()
        .group_by("symbol", "reason", maintain_order=True)
        .agg(
            pl.len().alias("refused"),
            (pl.col("pnl") > 0).mean().alias("win_rate"),
            pl.col("return").mean().alias("mean_return"),
            pl.col("pnl").sum(),
        )
    )


def show_portfolio(out: Console, result: PortfolioResult) -> None:
    """Print a result."""
    limits = [
        f"{name} {value:g}"
        for name, value in (("positions", result.max_positions), ("gross", result.max_gross))
        if value is not None
    ]
    output.header(
        out,
        f"account of {', '.join(result.symbols)}, {result.equity.height:,} steps",
        [
            ("limits", ", ".join(limits) or "none"),
            ("equity", output.sparkline(result.equity["equity"].to_numpy(), out)),
        ],
    )
    out.print()
    rows = [
        (row["label"], metric_text(row["name"], result.metrics[row["name"]]))
        for row in METRICS
        if not row["name"].startswith("n_")
    ]
    out.print(output.table(("", "account"), rows))
    out.print()
    out.print(
        output.table(
            ("symbol", "trades", "win rate", "pnl", "share", "fees", "funding", "refused"),
            [
                (
                    row["symbol"],
                    f"{row['trades']:,}",
                    "" if row["win_rate"] is None else f"{row['win_rate']:.1%}",
                    f"{row['pnl']:+,.2f}",
                    "" if row["share"] is None else f"{row['share']:.1%}",
                    f"{row['fees']:,.2f}",
                    f"{row['funding']:+,.2f}",
                    f"{row['refused']:,}",
                )
                for row in result.contribution.iter_rows(named=True)
            ],
        )
    )
    if result.refused.is_empty():
        return
    out.print()
    out.print(
        output.table(
            ("refused", "reason", "entries", "would have won", "mean return", "pnl, each alone"),
            [
                (
                    row["symbol"],
                    row["reason"],
                    f"{row['refused']:,}",
                    "" if row["win_rate"] is None else f"{row['win_rate']:.1%}",
                    "" if row["mean_return"] is None else f"{row['mean_return']:+.3%}",
                    f"{row['pnl']:+,.2f}",
                )
                for row in _missed(result).iter_rows(named=True)
            ],
        )
    )
