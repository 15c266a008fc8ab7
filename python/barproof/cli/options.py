"""Options that several commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from barproof._frames import METRICS

__all__ = [
    "ConfigFile",
    "Free",
    "Funding",
    "Initial",
    "InstrumentKind",
    "Interval",
    "Json",
    "Maker",
    "OnFault",
    "RepairNames",
    "Report",
    "Rule",
    "SignalColumns",
    "SignalFile",
    "SignalKind",
    "SignalTime",
    "Slippage",
    "Source",
    "Symbol",
    "Taker",
    "TradingCalendar",
]

_MARKET, _SIGNALS, _COSTS, _OUTPUT = "Market", "Signals", "Costs", "Output"

Source = Annotated[
    Path | None,
    typer.Argument(
        metavar="CANDLES", help="Parquet, Feather or CSV (also .gz, .zip) with candles."
    ),
]
InstrumentKind = Annotated[
    str | None,
    typer.Option(
        "--instrument",
        "-i",
        metavar="KIND",
        help="perpetual, spot, equity or fx. Required.",
        rich_help_panel=_MARKET,
    ),
]
Symbol = Annotated[
    str | None,
    typer.Option(
        help="Name of the market; inferred where the data says it.", rich_help_panel=_MARKET
    ),
]
Interval = Annotated[
    str | None,
    typer.Option(help="Bar length such as 5m; inferred from the times.", rich_help_panel=_MARKET),
]
Funding = Annotated[
    str | None,
    typer.Option(
        metavar="PATH|none",
        help="Settlements of a perpetual; none runs without, and says so.",
        rich_help_panel=_MARKET,
    ),
]
TradingCalendar = Annotated[
    str | None,
    typer.Option(
        "--calendar", help="24/7, sessions, or an exchange such as XNYS.", rich_help_panel=_MARKET
    ),
]
OnFault = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT",
        help="raise, warn, ignore, or strict (warnings fail too).",
        rich_help_panel=_MARKET,
    ),
]
RepairNames = Annotated[
    list[str] | None,
    typer.Option(
        "--repair",
        metavar="NAME",
        help="Repair by name, in order; may be repeated.",
        rich_help_panel=_MARKET,
    ),
]
SignalFile = Annotated[
    Path | None,
    typer.Option(
        "--signals",
        "-s",
        metavar="FILE",
        help="Table of model outputs, one row a bar.",
        rich_help_panel=_SIGNALS,
    ),
]
SignalTime = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column with the bars' opening times: open_time.",
        rich_help_panel=_SIGNALS,
    ),
]
SignalColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--signal-column",
        metavar="ARRAY=COLUMN",
        help="Such as long=p_up; columns named long, short, ... need no telling.",
        rich_help_panel=_SIGNALS,
    ),
]
SignalKind = Annotated[
    str | None,
    typer.Option(
        "--kind", metavar="KIND", help="probability (default) or score.", rich_help_panel=_SIGNALS
    ),
]
Rule = Annotated[
    list[str] | None,
    typer.Option(
        "--rule",
        "-r",
        metavar="NAME=VALUE",
        help="Such as stop_loss=0.01; none switches off. `barproof rules` lists them.",
    ),
]
Taker = Annotated[
    float | None,
    typer.Option(help="Fee of market orders, as a fraction: 0.0005.", rich_help_panel=_COSTS),
]
Maker = Annotated[
    float | None,
    typer.Option(help="Fee of resting orders; as taker if left out.", rich_help_panel=_COSTS),
]
Slippage = Annotated[
    float | None,
    typer.Option(help="Adverse change of market orders' prices.", rich_help_panel=_COSTS),
]
Free = Annotated[
    bool,
    typer.Option(
        "--free", help="No costs at all: a paper market, and flagged.", rich_help_panel=_COSTS
    ),
]
Initial = Annotated[
    float | None, typer.Option("--equity-start", metavar="MONEY", help="Initial equity: 10000.")
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="FILE",
        help="barproof.toml to read, in place of the one in this folder.",
    ),
]
Report = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html", help="Write a report: one HTML file.", rich_help_panel=_OUTPUT
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document instead of tables.", rich_help_panel=_OUTPUT
    ),
]

METRIC_NAMES = tuple(row["name"] for row in METRICS)
