"""Options that several commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "Anchored",
    "Calibrate",
    "ConfigFile",
    "Exit",
    "FeatureFile",
    "FeaturePreset",
    "Features",
    "Free",
    "Funding",
    "Gap",
    "Initial",
    "InstrumentKind",
    "Interval",
    "Json",
    "LabelBars",
    "LabelClock",
    "LabelKind",
    "LabelThreshold",
    "Maker",
    "Manifest",
    "ModelName",
    "ModelParams",
    "OnFault",
    "RepairNames",
    "Report",
    "Rule",
    "Seed",
    "Select",
    "SignalColumns",
    "SignalFile",
    "SignalKind",
    "SignalTime",
    "Slippage",
    "Source",
    "Step",
    "Symbol",
    "Taker",
    "Test",
    "Threads",
    "TradingCalendar",
    "Train",
    "Tune",
    "Window",
]

_MARKET, _SIGNALS, _COSTS, _OUTPUT = "Market", "Signals", "Costs", "Output"
_FEATURES, _LABELS, _MODEL, _FOLDS = "Features", "Labels", "Model", "Folds"

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
Manifest = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.json",
        help="Write what `barproof verify` needs to compute every number again.",
        rich_help_panel=_OUTPUT,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON document instead of tables.", rich_help_panel=_OUTPUT
    ),
]

Features = Annotated[
    list[str] | None,
    typer.Option(
        "--feature",
        "-f",
        metavar="TEXT",
        help="Such as 'rsi(14)' or 'rsi(14)@1h'; quote it; may be repeated.",
        rich_help_panel=_FEATURES,
    ),
]
FeaturePreset = Annotated[
    str | None,
    typer.Option(
        "--preset",
        metavar="NAME",
        help="A set that comes with barproof, such as gating_109; before what --feature adds.",
        rich_help_panel=_FEATURES,
    ),
]
FeatureFile = Annotated[
    Path | None,
    typer.Option(
        "--feature-table",
        metavar="FILE",
        help="Features of your own: open_time and number columns.",
        rich_help_panel=_FEATURES,
    ),
]
LabelBars = Annotated[
    int | None,
    typer.Option(
        "--label-bars", min=1, help="Horizon of the labels in bars.", rich_help_panel=_LABELS
    ),
]
LabelThreshold = Annotated[
    float | None,
    typer.Option(
        "--label-threshold",
        help="Move that counts, as a fraction: 0.002.",
        rich_help_panel=_LABELS,
    ),
]
LabelKind = Annotated[
    str | None,
    typer.Option(
        "--label-kind",
        metavar="KIND",
        help="regression, binary or ternary (default with a threshold).",
        rich_help_panel=_LABELS,
    ),
]
LabelClock = Annotated[
    str | None,
    typer.Option(
        "--label-clock",
        metavar="CLOCK",
        help="open (default: from the next open) or close.",
        rich_help_panel=_LABELS,
    ),
]
LabelMethod = Annotated[
    str | None,
    typer.Option(
        metavar="METHOD",
        help="horizon (default), barrier (a trade's outcome), meta, exits or vote.",
        rich_help_panel=_LABELS,
    ),
]
LabelSide = Annotated[
    str | None,
    typer.Option(
        metavar="SIDE",
        help="Of barriers: long (default), short or both.",
        rich_help_panel=_LABELS,
    ),
]
LabelRule = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Rule of labels of trades, such as stop_loss=0.01; max_hold is needed.",
        rich_help_panel=_LABELS,
    ),
]
LabelPrimary = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Primary signal of meta and exits: open_time and side (1, -1 or 0).",
        rich_help_panel=_LABELS,
    ),
]
LabelLengths = Annotated[
    str | None,
    typer.Option(metavar="N,N,...", help="Horizons that vote.", rich_help_panel=_LABELS),
]
LabelVotes = Annotated[
    int | None, typer.Option(min=1, help="Votes that decide.", rich_help_panel=_LABELS)
]
LabelVolume = Annotated[
    float | None,
    typer.Option(help="Least volume of a bar that keeps its label.", rich_help_panel=_LABELS),
]
LabelVolumeBars = Annotated[
    int | None,
    typer.Option(min=1, help="Bars that the volume is the mean of.", rich_help_panel=_LABELS),
]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME",
        help="gradient-boosting (default), logistic, xgboost, lightgbm, feed-forward, lstm, bar-transformer or "
        "cross-market-transformer.",
        rich_help_panel=_MODEL,
    ),
]
ModelParams = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        metavar="NAME=VALUE",
        help="Parameter of the model, such as max_iter=40 or hidden=64,32.",
        rich_help_panel=_MODEL,
    ),
]
Select = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="K",
        help="Keep the K most telling features, chosen in each fold.",
        rich_help_panel=_MODEL,
    ),
]
Calibrate = Annotated[
    str | None,
    typer.Option(
        metavar="HOW",
        help="temperature (default), isotonic, platt or none.",
        rich_help_panel=_MODEL,
    ),
]
Exit = Annotated[
    str | None,
    typer.Option(
        "--exit",
        metavar="HOW",
        help="opposite: the other side's entry closes a position.",
        rich_help_panel=_MODEL,
    ),
]
Seed = Annotated[
    int | None, typer.Option(min=0, help="Seed of what is random: 0.", rich_help_panel=_MODEL)
]
Train = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="LENGTH",
        help="60d, a number of bars, or a fraction.",
        rich_help_panel=_FOLDS,
    ),
]
Tune = Annotated[
    str | None,
    typer.Option(
        "--tune",
        metavar="LENGTH",
        help="Then this much, to calibrate and to choose rules.",
        rich_help_panel=_FOLDS,
    ),
]
Test = Annotated[
    str | None,
    typer.Option(
        "--test", metavar="LENGTH", help="Then this much, to judge.", rich_help_panel=_FOLDS
    ),
]
Step = Annotated[
    str | None,
    typer.Option(
        "--step",
        metavar="LENGTH",
        help="From fold to fold: as long as test.",
        rich_help_panel=_FOLDS,
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        "--gap",
        metavar="LENGTH",
        help="Bars left out before tune and before test: 0.",
        rich_help_panel=_FOLDS,
    ),
]
Anchored = Annotated[
    bool | None,
    typer.Option(
        "--anchored/--rolling",
        help="Train from the first bar on, or on the last bars (default).",
        rich_help_panel=_FOLDS,
        show_default=False,
    ),
]
Window = Annotated[
    tuple[str, str] | None,
    typer.Option(metavar="START END", help="Times such as 2024-01-31; the end is left out."),
]
Threads = Annotated[
    int | None, typer.Option(min=1, help="Default: BARPROOF_THREADS, else every core.")
]
