"""``barproof features``: the functions there are, and features of candles as a table."""

from __future__ import annotations

import textwrap
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import typer
from rich.console import Console
from rich.text import Text

from barproof import _core
from barproof.candles import Candles
from barproof.candles.interval import format_interval
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exits import OK
from barproof.cli.findings import market_line
from barproof.cli.inputs import market_of, read_market, sources_of
from barproof.cli.study import feature_table, features_of, table_of
from barproof.errors import ConfigError, FeatureError
from barproof.features import FeatureSet, Verification

__all__ = ["features"]

_SIGNATURE = 44


def features(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="CANDLES|FUNCTION",
            help="Candles to compute features of, or the name of a function to explain.",
            show_default=False,
        ),
    ] = None,
    feature: options.Features = None,
    preset: options.FeaturePreset = None,
    table: options.FeatureFile = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    list_: Annotated[
        bool, typer.Option("--list", help="List the functions, also with candles configured.")
    ] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say what the features are made of; needs no candles.")
    ] = False,
    describe: Annotated[
        bool,
        typer.Option("--describe", help="Memory and warm-up of the features; needs no candles."),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify", help="Hold them to their contract on the candles: no lookahead, memory."
        ),
    ] = False,
    threads: options.Threads = None,
    config: options.ConfigFile = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write open_time and a column a feature.",
            rich_help_panel="Output",
        ),
    ] = None,
    json: options.Json = False,
) -> int:
    """List the functions features are made of, explain one, or compute features of candles.

    Without candles: the list, `barproof features rsi` for one of them, --explain and --describe for features. A Parquet
    file is written block by block, so that it may be larger than memory, and appears when it is whole.
    """
    settings = load_config(config)
    if list_:
        return _list(json)
    row = None if what is None else _function(what)
    if row is not None:
        if out is not None or verify:
            raise ConfigError(
                f"`{what}` is a function and no file of candles: name candles, and the function by `--feature` "
                f"'{what}(...)'"
            )
        return _page(row, json)
    output.check_target("--out", out, output.FRAMES)
    chosen = features_of(settings, feature, preset)
    own = table_of(settings, table)
    computing = what is not None or out is not None or verify
    if not computing and (explain or describe):
        return _tell(_needed(chosen), None, explain, describe, json)
    if not computing and feature is None and preset is None and table is None:
        return _list(json)
    market = market_of(
        settings,
        None if what is None else Path(what),
        instrument=instrument,
        symbol=symbol,
        interval=interval,
        funding=funding,
        calendar=calendar,
        on_fault=on_fault,
        repair=repair,
        funding_needed=False,
    )
    if chosen is None and own is None:
        _needed(chosen)
    output.check_targets({"--out": out}, {**sources_of(settings, market, None), "features": own})
    candles = read_market(market)
    if explain or describe:
        told = format_interval(candles.interval_ms)
        return _tell(_needed(chosen), told, explain, describe, json)
    held = _needed(chosen).verify(candles) if verify else None
    made: pl.DataFrame | pl.LazyFrame | None
    if chosen is not None and own is None and out is not None and out.suffix.lower() == ".parquet":
        # Block by block into the file: what does not fit memory can still be computed.
        made = chosen.compute(candles, threads=threads, out=out, progress=None)
    else:
        made = feature_table(candles, chosen, own, threads)
        if out is not None and made is not None:
            output.write_frame(out, made)
    assert made is not None
    facts = _facts(made.lazy(), chosen, candles)
    if json:
        output.emit_json(
            {
                "command": "features",
                "version": _core.__version__,
                "exit_code": OK,
                "symbol": candles.symbol,
                "bars": len(candles),
                "candles": candles.digest,
                "digest": None if chosen is None else chosen.digest,
                "features": facts,
                "verified": None if held is None else vars(held),
                "written": {} if out is None else {"out": out},
            }
        )
        return OK
    _show(output.console(), candles, facts, held)
    if out is not None:
        output.console().print(f"out: {out}", soft_wrap=True)
    return OK


def _needed(chosen: FeatureSet | None) -> FeatureSet:
    """Features that were told; there must be some."""
    if chosen is None:
        raise ConfigError(
            "features are missing: give `--feature` 'rsi(14)' or `--preset` NAME, or set `names` in [features] of "
            "barproof.toml"
        )
    return chosen


def _function(word: str) -> dict[str, Any] | None:
    """Row of the function that is named, by any of its names; None if the word is a file."""
    if not word.isidentifier() or Path(word).exists():
        return None
    rows = _core.feature_table()
    for row in rows:
        if word.lower() in (row["name"], *row["known_as"]):
            return row
    names = [name for row in rows for name in (row["name"], *row["known_as"])]
    near = get_close_matches(word.lower(), names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else "see `barproof features`"
    raise FeatureError(f"there is no file and no function `{word}`; {hint}")


def _list(json: bool) -> int:
    """Print every function."""
    rows = _core.feature_table()
    if json:
        output.emit_json(
            {
                "command": "features",
                "version": _core.__version__,
                "exit_code": OK,
                "functions": [_plain(row) for row in rows],
            }
        )
        return OK
    made = output.table(
        ("function", "meaning"),
        [
            (
                row["signature"],
                row["summary"] + (f" (.{', .'.join(row['outputs'])})" if row["outputs"] else ""),
            )
            for row in rows
        ],
        left=2,
    )
    # Some functions have more parameters than a line holds: what they mean must stay beside them.
    made.columns[0].max_width = _SIGNATURE
    out = output.console()
    out.print(made)
    out.print()
    out.print(
        "What takes x or y takes another feature: zscore(rsi(14), 100). rsi(14)@1h is of the last closed hour, "
        "macd(12, 26, 9).hist one of several outputs. `barproof features NAME` explains a function."
    )
    return OK


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """Row of the table with names instead of places."""
    return {
        **row,
        "inputs": [{"kind": kind, "default": default} for kind, default in row["inputs"]],
        "parameters": [
            {"name": name, "accepts": accepts, "default": default}
            for name, accepts, default in row["parameters"]
        ],
    }


def _page(row: dict[str, Any], json: bool) -> int:
    """Print everything about one function."""
    if json:
        output.emit_json(
            {
                "command": "features",
                "version": _core.__version__,
                "exit_code": OK,
                "function": _plain(row),
            }
        )
        return OK
    taken = [default or "any feature" for _, default in row["inputs"]]
    lines = [
        ("formula", row["formula"]),
        *(
            (name, accepts + ("" if default is None else f"; default {default:.10g}"))
            for name, accepts, default in row["parameters"]
        ),
        ("reads", ", ".join(taken)),
        *([("outputs", ", ".join(row["outputs"]))] if row["outputs"] else []),
        ("source", row["source"]),
        ("known as", ", ".join(row["known_as"])),
    ]
    output.header(output.console(), f"{row['signature']}: {row['summary']}", lines)
    return OK


def _tell(
    chosen: FeatureSet, interval: str | None, explain: bool, describe: bool, json: bool
) -> int:
    """Say what features are made of, and what they remember."""
    frame = chosen.describe(interval) if describe or json else None
    if json:
        output.emit_json(
            {
                "command": "features",
                "version": _core.__version__,
                "exit_code": OK,
                "digest": chosen.digest,
                "interval": interval,
                "features": frame,
                "explanation": chosen.explain().splitlines(),
            }
        )
        return OK
    out = output.console()
    if explain:
        for line in chosen.explain().splitlines():
            words = line.lstrip()
            indent = " " * (len(line) - len(words) + 4)
            out.print(
                Text(
                    textwrap.fill(
                        words,
                        out.width,
                        initial_indent=indent[4:],
                        subsequent_indent=indent,
                        break_on_hyphens=False,
                    )
                )
            )
    if frame is not None:
        out.print(
            output.table(
                ("feature", "meaning", "memory", "bars", "warm-up"),
                [
                    (
                        row["feature"],
                        row["summary"],
                        row["memory"] or "-",
                        "-" if row["bars"] is None else f"{row['bars']:,}",
                        "-" if row["warmup"] is None else f"{row['warmup']:,}",
                    )
                    for row in frame.iter_rows(named=True)
                ],
                left=3,
            )
        )
        if frame["memory"].null_count():
            out.print("-: counted in bars of the candles; name candles to see them")
    return OK


def _facts(made: pl.LazyFrame, chosen: FeatureSet | None, candles: Candles) -> list[dict[str, Any]]:
    """One row a feature: where it begins, and how its values lie; a column at a time, as it may be a large file."""
    warmups = {} if chosen is None else chosen.facts(format_interval(candles.interval_ms))
    facts = []
    for name in made.collect_schema().names()[1:]:
        values = made.select(pl.col(name)).collect()[name].to_numpy()
        known = np.flatnonzero(~np.isnan(values))
        inside = values[known]
        facts.append(
            {
                "feature": name,
                "warmup": warmups[name][2] if name in warmups else None,
                "first": int(known[0]) if len(known) else None,
                "undefined": int(len(values) - len(known)),
                "mean": float(inside.mean()) if len(known) else None,
                "sd": float(inside.std()) if len(known) else None,
                "low": float(inside.min()) if len(known) else None,
                "high": float(inside.max()) if len(known) else None,
                "last": float(values[-1]),
            }
        )
    return facts


def _show(
    out: Console, candles: Candles, facts: list[dict[str, Any]], held: Verification | None
) -> None:
    """Print the features of candles."""
    lines = [("features", f"{len(facts)}")]
    if held is not None:
        lines.append(
            (
                "verified",
                f"no lookahead at {held.cuts} cuts, memory from {held.starts} starts, "
                f"{held.streamed:,} bars one by one",
            )
        )
    output.header(out, market_line(candles, 0, len(candles)), lines)
    out.print()
    columns = ("feature", "undefined", "mean", "sd", "low", "high")
    out.print(
        output.table(
            columns,
            [
                (
                    one["feature"],
                    f"{one['undefined']:,}",
                    *(_number(one[name]) for name in ("mean", "sd", "low", "high")),
                )
                for one in facts
            ],
        )
    )


def _number(value: float | None) -> str:
    """Write a number in few digits."""
    return "-" if value is None or np.isnan(value) else f"{value:.4g}"
