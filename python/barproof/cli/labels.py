"""``barproof labels``: what a model is asked to foresee, and whether it could pay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from barproof._core import __version__
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.inputs import market_of, read_market, sources_of
from barproof.cli.label_kinds import (
    Asked,
    check_method,
    joined,
    label_plan,
    labels_text,
    returns_of,
    sweep_of,
    told_costs,
)
from barproof.inference import CLASSES
from barproof.labels import Labels, LabelSweep
from barproof.labels import horizon as make_horizon
from barproof.rules import Costs

__all__ = ["class_name", "labels"]

WORDS = {
    "triple barrier": {0: "lost", 1: "won"},
    "meta labels": {0: "lost", 1: "won"},
    "exit labels": {0: "stay", 1: "leave"},
}
"""What happens where the classes are of trades."""


def labels(
    candles: options.Source = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    bars: Annotated[
        int | None,
        typer.Option("--bars", "--label-bars", min=1, help="Horizon in bars."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", "--label-threshold", help="Move that counts, as a fraction: 0.002."
        ),
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind",
            "--label-kind",
            metavar="KIND",
            help="regression, binary or ternary (default with a threshold).",
        ),
    ] = None,
    clock: Annotated[
        str | None,
        typer.Option(
            "--clock",
            "--label-clock",
            metavar="CLOCK",
            help="open (default: from the next open) or close.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            "--method",
            "--label-method",
            metavar="METHOD",
            help="horizon (default), barrier (a trade's outcome), meta, exits or vote.",
        ),
    ] = None,
    rule: options.Rule = None,
    side: Annotated[
        str | None, typer.Option(metavar="SIDE", help="Of barriers: long (default), short or both.")
    ] = None,
    primary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Primary signal of meta and exits: open_time and side (1, -1 or 0).",
        ),
    ] = None,
    lengths: Annotated[
        str | None, typer.Option(metavar="N,N,...", help="Horizons that vote: 6,12,24.")
    ] = None,
    k: Annotated[int | None, typer.Option("--k", min=1, help="Votes that decide.")] = None,
    min_volume: Annotated[
        float | None, typer.Option(help="Least volume of a bar that keeps its label.")
    ] = None,
    volume_bars: Annotated[
        int | None, typer.Option(min=1, help="Bars that the volume is the mean of: 1.")
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Look at many label rules at once.")
    ] = False,
    axis: Annotated[
        list[str] | None,
        typer.Option(
            "--axis",
            "-a",
            metavar="NAME=V1,V2",
            help="Axis of the sweep: bars, threshold, min_volume; of barriers rules, side, min_volume.",
        ),
    ] = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    config: options.ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write open_time, label, start and end; of a sweep its cells.",
            rich_help_panel="Output",
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """Label every bar by what comes after it, and set the move that counts beside the costs."""
    settings = load_config(config)
    output.check_target("--out", out, output.FRAMES)
    asked = Asked(
        method, bars, threshold, kind, clock, side, rule, primary, lengths, k, min_volume, volume_bars, axis
    )  # fmt: skip
    costs = told_costs(settings, taker, maker, slippage, free)
    if sweep:
        check_method(joined(settings.labels, asked), costs, True)
        plan = None
    else:
        plan = label_plan(settings, asked, costs)
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
        funding_needed=False,
    )
    output.check_targets({"--out": out}, sources_of(settings, market, None))
    bars_read = read_market(market)
    if plan is None:
        assert costs is not None
        one = replace(asked, method=asked.method or settings.labels.method)
        return _swept(sweep_of(bars_read, settings, one, costs, False if json else None), out, json)
    made = plan.make(bars_read)
    if out is not None:
        output.write_frame(out, made.to_polars())
    facts = _facts(made, costs)
    if json:
        output.emit_json(
            {
                "command": "labels",
                "version": __version__,
                "exit_code": OK,
                "symbol": made.candles.symbol,
                **facts,
                "digest": made.digest,
                "written": {} if out is None else {"out": out},
            }
        )
        return OK
    _show(made, facts)
    if out is not None:
        output.console().print(f"out: {out}", soft_wrap=True)
    return OK


def _swept(found: LabelSweep, out: Path | None, json: bool) -> int:
    """Write and show a sweep."""
    if out is not None:
        output.write_frame(out, found.frame)
    if json:
        output.emit_json(
            {
                "command": "labels",
                "version": __version__,
                "exit_code": OK,
                "symbol": found.candles.symbol,
                "cells": found.frame,
                "provenance": found.provenance,
                "written": {} if out is None else {"out": out},
            }
        )
        return OK
    screen = output.console()
    axes = found.frame.columns[1 : found.frame.columns.index("labels")]
    output.header(
        screen,
        market_line(found.candles, 0, len(found.candles)),
        [
            ("cells", f"{len(found):,}: {', '.join(axes) or 'one'}"),
            ("costs", found.provenance["costs"]),
        ],
    )
    screen.print()
    names = ("labels", "kept", "up", "down", "move/cost", "unique", "worth")
    screen.print(
        output.table(
            ("cell", *axes, *names),
            [
                (
                    str(row["cell"]),
                    *("-" if row[name] is None else f"{row[name]}" for name in axes),
                    f"{row['labels']:,}",
                    *(
                        _percent(_number(row[name]), 1)
                        for name in ("kept_share", "positive_share", "negative_share")
                    ),
                    *(_plain_number(row[name]) for name in ("move_to_cost", "uniqueness")),
                    _plain_number(row["effective"], 0),
                )
                for row in found.frame.iter_rows(named=True)
            ],
        )
    )
    if out is not None:
        screen.print(f"out: {out}", soft_wrap=True)
    return OK


def _number(value: float) -> float | None:
    """Give a number, or nothing for one that is undefined."""
    return None if np.isnan(value) else float(value)


def _plain_number(value: float, digits: int = 3) -> str:
    """Write a number, or a dash."""
    return "-" if np.isnan(value) else f"{value:,.{digits}f}"


def class_name(kind: str, value: int) -> str:
    """Call a class by what happens."""
    if kind == "ternary":
        return {-1: "down", 0: "flat", 1: "up"}[value]
    return {0: "no rise", 1: "rise"}[value]


def _facts(made: Labels, costs: Costs | None) -> dict[str, Any]:
    """Say what the labels are, for JSON and for the screen."""
    values = made.values
    known = values[~np.isnan(values)]
    rule = made.rule.get("of", made.rule) if made.rule["name"] == "volume filter" else made.rule
    # What a label of a class was worth: the plain return over the same bars, or that of the trade.
    found = returns_of(made)
    if rule["name"] == "horizon":
        found = make_horizon(
            made.candles, bars=rule["bars"], kind="regression", clock=rule["clock"]
        ).values
    returns = np.full(len(values), np.nan) if found is None else found
    names = WORDS.get(rule["name"], {})
    if rule["name"] == "triple barrier" and made.kind == "ternary":
        names = {-1: "short", 0: "neither", 1: "long"}
    rows: list[tuple[str, int | None, Any]] = [
        (names.get(c) or class_name(made.kind, c), c, values == c) for c in CLASSES[made.kind]
    ]
    rows = rows or [("all", None, ~np.isnan(values))]
    groups = []
    for name, value, here in rows:
        inside = returns[here]
        groups.append(
            {
                "name": name,
                "class": value,
                "bars": len(inside),
                "share": len(inside) / len(known) if len(known) else None,
                "mean_return": _number(inside.mean()) if len(inside) else None,
                "sd_return": _number(inside.std()) if len(inside) else None,
            }
        )
    moves = np.abs(returns[~np.isnan(returns)])
    trip = None if costs is None else 2 * (costs.taker + costs.slippage)
    return {
        "rule": made.rule,
        "kind": made.kind,
        "bars": len(values),
        "undefined": int(len(values) - len(known)),
        "classes": groups,
        "round_trip": trip,
        "median_move": float(np.median(moves)) if len(moves) else None,
        "moves_beyond_costs": None
        if trip is None or rule["name"] != "horizon"
        else float(np.mean(moves > trip)),
        "warnings": _warnings(made, groups, trip),
    }


def _warnings(made: Labels, groups: list[dict[str, Any]], trip: float | None) -> list[str]:
    """Say what a reader of the labels should know."""
    found = []
    rule = made.rule.get("of", made.rule) if made.rule["name"] == "volume filter" else made.rule
    level = rule["threshold"] if rule["name"] == "horizon" else None
    if level is not None and made.kind != "regression" and trip is not None and trip > level:
        found.append(
            f"a move of {level:.2%} counts, but a round trip of market orders costs {trip:.2%}: a forecast that is "
            "right may still lose"
        )
    empty = [group["name"] for group in groups if not group["bars"]]
    if empty:
        found.append(
            f"no bar is {' or '.join(empty)}: make the threshold smaller, or the horizon longer"
        )
    return found


def _show(made: Labels, facts: dict[str, Any]) -> None:
    """Print labels."""
    out = output.console()
    lines = [
        ("rule", labels_text(made)),
        ("undefined", f"{facts['undefined']:,} of {facts['bars']:,} bars"),
    ]
    if facts["median_move"] is not None:
        lines.append(("moves", f"the median one is {facts['median_move']:.3%}"))
    if facts["moves_beyond_costs"] is not None:
        lines.append(
            (
                "costs",
                f"a round trip of market orders costs {facts['round_trip']:.3%}; "
                f"{facts['moves_beyond_costs']:.1%} of the moves are larger",
            )
        )
    output.header(out, market_line(made.candles, 0, len(made.candles)), lines)
    out.print()
    out.print(
        output.table(
            ("class", "label", "bars", "share", "mean return", "sd"),
            [
                (
                    group["name"],
                    "-" if group["class"] is None else f"{group['class']}",
                    f"{group['bars']:,}",
                    _percent(group["share"], 1),
                    _percent(group["mean_return"], 3, "+"),
                    _percent(group["sd_return"], 3),
                )
                for group in facts["classes"]
            ],
        )
    )
    for text in facts["warnings"]:
        output.warn(text)


def _percent(value: float | None, digits: int, sign: str = "") -> str:
    """Write a share, or a dash."""
    return "-" if value is None else f"{value:{sign}.{digits}%}"
