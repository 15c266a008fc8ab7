"""``barproof backtest``: one set of rules over candles and signals."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from barproof._backtest import Result
from barproof._backtest import backtest as run_backtest
from barproof._core import __version__
from barproof._frames import HOLD, METRICS
from barproof._windows import Bound
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exits import OK
from barproof.cli.findings import caveats, market_line
from barproof.cli.inputs import (
    costs_of,
    first_given,
    market_of,
    read_market,
    read_signals,
    rules_of,
    signals_asked,
    sources_of,
)
from barproof.cli.output import metric_text
from barproof.cli.tables import HelpRules
from barproof.rules import Costs, Rules

__all__ = ["backtest", "result_document", "rules_text", "show_result"]

RANGE = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate")


def backtest(
    candles: options.Source = None,
    signals: options.SignalFile = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    signal_time: options.SignalTime = None,
    signal_column: options.SignalColumns = None,
    kind: options.SignalKind = None,
    rule: options.Rule = None,
    help_rules: HelpRules = False,  # noqa: ARG001
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    window: options.Window = None,
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
    equity: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the equity, one row a bar.", rich_help_panel="Output"
        ),
    ] = None,
    manifest: options.Manifest = None,
    json: options.Json = False,
) -> int:
    """Run one set of rules and show what it did, buy and hold beside it."""
    settings = load_config(config)
    page = report or settings.report.path
    output.check_target("--trades", trades, output.FRAMES)
    output.check_target("--equity", equity, output.FRAMES)
    output.check_target("--report", page, (".html",))
    output.check_target("--manifest", manifest, (".json",))
    base = rules_of(settings, rule)
    market = market_of(
        settings,
        candles,
        instrument=instrument,
        symbol=symbol,
        interval=interval,
        funding=funding,
        calendar=calendar,
        on_fault=on_fault,
        repair=repair,
    )
    costs = costs_of(settings, taker, maker, slippage, free)
    sources = sources_of(settings, market, signals)
    output.check_targets(
        {"--trades": trades, "--equity": equity, "--report": page, "--manifest": manifest}, sources
    )
    bars = read_market(market)
    made = read_signals(settings, signals, time=signal_time, columns=signal_column, kind=kind)
    result = run_backtest(
        bars,
        made,
        base,
        costs=costs,
        window=window or _pair(settings.backtest.window),
        initial_equity=first_given(equity_start, settings.backtest.initial_equity),
    )
    written: dict[str, Path] = {}
    if trades is not None:
        output.write_frame(trades, result.trades)
        written["trades"] = trades
    if equity is not None:
        output.write_frame(equity, result.equity)
        written["equity"] = equity
    if manifest is not None:
        from barproof.cli.manifest import manifest_of, write_manifest

        made_of = signals_asked(settings, made, signal_time, signal_column)
        table = Path(str(sources["signals"]))
        frames = {name: path for name, path in written.items() if name in ("trades", "equity")}
        write_manifest(manifest, manifest_of(manifest, result, market, table, made_of, frames))
        written["manifest"] = manifest
    if page is not None:
        written["report"] = result.to_html(page, title=settings.report.title)
    if json:
        output.emit_json(
            {
                "command": "backtest",
                "version": __version__,
                "exit_code": OK,
                **result_document(result),
                "written": written,
            }
        )
        return OK
    out = output.console()
    show_result(out, result)
    for name, path in written.items():
        out.print(f"{name}: {path}", soft_wrap=True)
    return OK


def _pair(window: list[Bound] | None) -> tuple[Bound, Bound] | None:
    """Window of the configuration, whose length has been checked."""
    return None if window is None else (window[0], window[1])


def rules_text(rules: Rules) -> str:
    """Rules as the caller would write them."""
    changed = rules.changed()
    return (
        ", ".join(f"{name} {value}" for name, value in changed.items())
        or "none: nothing is entered"
    )


def costs_text(costs: Costs) -> str:
    """Costs in basis points."""
    maker = costs.taker if costs.maker is None else costs.maker
    rates = {"taker": costs.taker, "maker": maker, "slippage": costs.slippage}
    return ", ".join(f"{name} {1e4 * rate:g} bp" for name, rate in rates.items()) + " a side"


def result_document(result: Result) -> dict[str, Any]:
    """Everything a result says, for JSON."""
    rules = result.rules if not isinstance(result.rules, list) else result.rules[0][1]
    low, high = result.range()
    return {
        "symbol": result.candles.symbol,
        "window": result.window,
        "start": result.candles[result.window[0] : result.window[1]].start,
        "end": result.candles[result.window[0] : result.window[1]].end,
        "rules": rules.to_dict(),
        "costs": {
            "taker": result.costs.taker,
            "maker": result.costs.maker,
            "slippage": result.costs.slippage,
        },
        "initial_equity": result.initial_equity,
        "metrics": result.metrics,
        "buy_and_hold": result._hold,
        "exits": result.by("reason"),
        "range": {"pessimistic": low, "optimistic": high},
        "warnings": result_caveats(result, rules),
        "provenance": result.provenance,
    }


def result_caveats(result: Result, rules: Rules) -> list[str]:
    """Caveats of a result."""
    shorts = bool((result.trades["side"] == "short").any())
    return caveats(result.candles, rules, result.costs, result.metrics, shorts=shorts)


def show_result(out: Console, result: Result) -> None:
    """Print a result."""
    rules = result.rules if not isinstance(result.rules, list) else result.rules[0][1]
    output.header(
        out,
        market_line(result.candles, *result.window),
        [
            ("rules", rules_text(rules)),
            ("signals", f"{', '.join(result.signals.names)} ({result.signals.kind})"),
            ("costs", costs_text(result.costs)),
            ("equity", output.sparkline(result.equity["equity"].to_numpy(), out)),
        ],
    )
    out.print()
    rows: list[tuple[str, str, str]] = []
    for row in METRICS:
        name = row["name"]
        if name.startswith("n_") or name == "buy_hold_return":
            continue
        held = result._hold[name] if name in HOLD else None
        rows.append(
            (
                row["label"],
                metric_text(name, result.metrics[name]),
                "" if held is None else metric_text(name, held),
            )
        )
    out.print(output.table(("", "strategy", "buy & hold"), rows))
    out.print()
    exits = result.by("reason").sort("trades", descending=True)
    if exits.height:
        out.print(
            output.table(
                ("exit", "trades", "share", "win rate", "mean return", "pnl", "bars held"),
                [
                    (
                        row["group"],
                        f"{row['trades']:,}",
                        f"{row['trades'] / result.metrics['trades']:.1%}",
                        f"{row['win_rate']:.1%}",
                        f"{row['mean_return']:+.3%}",
                        f"{row['pnl']:+,.2f}",
                        f"{row['mean_bars_held']:,.1f}",
                    )
                    for row in exits.iter_rows(named=True)
                ],
            )
        )
        out.print()
    show_range(out, result)
    for text in result_caveats(result, rules):
        output.warn(text)


def show_range(out: Console, result: Result) -> None:
    """Print what the order of stop and target inside bars could change."""
    low, high = result.range()
    share = result.metrics["ambiguous_share"]
    if result.metrics["trades"] == 0:
        return
    labels = {row["name"]: row["label"] for row in METRICS}
    if all(low[name] == high[name] for name in RANGE):
        out.print(
            Text("range: the order of stop and target inside bars changes nothing", style="dim"),
            soft_wrap=True,
        )
        return
    out.print(Text(f"stop against target in one bar: {share:.2%} of the trades", style="bold"))
    out.print(
        output.table(
            (
                "",
                "pessimistic",
                "as run",
                "optimistic",
            ),
            [
                (labels[name], *(metric_text(name, m[name]) for m in (low, result.metrics, high)))
                for name in RANGE
            ],
        )
    )
