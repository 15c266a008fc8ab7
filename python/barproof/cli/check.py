"""``barproof check``: what is in candle files, and every fault with its remedy."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.text import Text

from barproof._core import __version__
from barproof.candles import Candles, Fault
from barproof.candles.columns import normalise, one_symbol
from barproof.candles.faults import REPAIR_ORDER, STRUCTURAL
from barproof.candles.sources import load
from barproof.candles.table import show_time
from barproof.cli import options
from barproof.cli.config import load_config
from barproof.cli.exits import FOUND, OK, as_options, explain
from barproof.cli.inputs import Market, market_of, read_market
from barproof.cli.output import console, emit_json, header, note
from barproof.errors import BarproofError, CandleError, ParameterError

__all__ = ["check", "market_facts"]

_CHOICES = ("raise", "warn", "ignore", "strict")


def check(
    candles: Annotated[
        list[Path] | None,
        typer.Argument(metavar="CANDLES...", help="Candle files; Parquet, Feather or CSV."),
    ] = None,
    instrument: options.InstrumentKind = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    funding: options.Funding = None,
    calendar: options.TradingCalendar = None,
    on_fault: options.OnFault = None,
    repair: options.RepairNames = None,
    config: options.ConfigFile = None,
    json: options.Json = False,
) -> int:
    """Read candles and list every fault with its rows and its remedy.

    Exit code 0 if there are no errors (warnings are fine), 1 if there are; --on-fault strict fails on warnings too.
    """
    settings = load_config(config)
    out, documents, code = console(), [], OK
    sources: list[Path | None] = list(candles or []) or [None]
    for source in sources:
        market = market_of(
            settings,
            source,
            instrument=instrument,
            symbol=symbol,
            interval=interval,
            funding=funding,
            calendar=calendar,
            on_fault=on_fault,
            repair=repair,
            funding_needed=False,
        )
        if market.on_fault not in _CHOICES:
            raise ParameterError(
                f"`--on-fault` must be one of {', '.join(_CHOICES)}, was {market.on_fault!r}"
            )
        try:
            document = _document(market)
        except BarproofError as error:
            # One file that cannot be read keeps nobody from seeing the others.
            if len(sources) < 2:
                raise
            message, code = explain(error)
            named = message if str(market.source) in message else f"{market.source}: {message}"
            note(f"error: {named}")
            documents.append({"source": market.source, "ok": False, "error": message})
            continue
        documents.append(document)
        code = max(code, OK if document["ok"] else FOUND)
        if not json:
            _show(out, market, document)
    if json:
        emit_json(
            {"command": "check", "version": __version__, "exit_code": code, "files": documents}
        )
    elif len(documents) > 1:
        bad = sum(not document["ok"] for document in documents)
        out.print(f"{len(documents)} files: {len(documents) - bad} sound, {bad} not")
    return code


def _document(market: Market) -> dict[str, Any]:
    """Read one file as leniently as can be, and say what it holds."""
    lenient = dataclasses.replace(market, on_fault="ignore")
    try:
        candles = read_market(lenient)
        facts, faults = market_facts(candles), candles.faults
    except CandleError as error:
        if not error.faults:
            raise
        facts, faults = _raw_facts(market), error.faults
    failing = [f for f in faults if _fails(f, market.on_fault)]
    return {
        "source": market.source,
        "ok": not failing,
        **facts,
        "errors": sum(f.severity == "error" for f in faults),
        "warnings": sum(f.severity == "warning" for f in faults),
        "faults": [
            dataclasses.asdict(f) for f in sorted(faults, key=lambda f: f.severity != "error")
        ],
        "remedy": _command(market, failing),
    }


def _fails(fault: Fault, on_fault: str) -> bool:
    """Whether a fault ends the command with 1."""
    if on_fault == "strict":
        return True
    return fault.severity == "error" and (on_fault == "raise" or fault.code in STRUCTURAL)


def market_facts(candles: Candles) -> dict[str, Any]:
    """Say what candles hold, for people and for JSON."""
    holes = candles.holes()
    funding = candles.funding
    facts: dict[str, Any] = {
        "symbol": candles.symbol,
        "interval": candles.interval,
        "instrument": candles.instrument.kind,
        "calendar": candles.calendar,
        "bars": len(candles),
        "start": candles.start,
        "end": candles.end,
        "holes": holes.height,
        "absent_bars": int(holes["absent"].sum()),
        "low": float(candles.low.min()),
        "high": float(candles.high.max()),
        "last_close": float(candles.close[-1]),
        "zero_volume_bars": int((candles.volume == 0).sum()),
        "extra": list(candles.extra),
        "settlements": None if funding is None else funding.height,
        "mean_funding": None
        if funding is None or not funding.height
        else float(funding["funding_rate"].to_numpy().mean()),
        "repairs": list(candles.repairs),
        "digest": candles.digest,
    }
    if funding is not None:
        share = next((f.count for f in candles.faults if f.code == "funding_share"), 0)
        facts["funded_bars"] = len(candles) - share
    return facts


def _raw_facts(market: Market) -> dict[str, Any]:
    """Say what there is to say of a file whose rows cannot become candles."""
    frame, _ = load(market.source)
    frame, named = one_symbol(frame, market.symbol)
    raw = normalise(frame)
    prices = np.concatenate([raw.low, raw.high])
    prices = prices[np.isfinite(prices) & (prices > 0)]
    return {
        "symbol": market.symbol or named,
        "rows": len(raw),
        "first": show_time(int(raw.time.min())),
        "last": show_time(int(raw.time.max())),
        "low": float(prices.min()) if len(prices) else None,
        "high": float(prices.max()) if len(prices) else None,
    }


def _command(market: Market, faults: Sequence[Fault]) -> str | None:
    """Write the command line that repairs what can be repaired."""
    wanted = {name for fault in faults for name in fault.repair}
    names = [
        *market.repair,
        *(name for name in REPAIR_ORDER if name in wanted and name not in market.repair),
    ]
    if not wanted:
        return None
    kind = market.instrument if isinstance(market.instrument, str) else market.instrument.kind
    words = ["barproof", "check", str(market.source), "--instrument", kind]
    for option in ("symbol", "interval", "funding", "calendar"):
        value = getattr(market, option)
        if value is not None:
            words += [f"--{option}", value]
    for name in names:
        words += ["--repair", name]
    return shlex.join(words)


def _show(out: Console, market: Market, document: dict[str, Any]) -> None:
    """Print one file."""
    header(out, str(market.source), _lines(document))
    faults = document["faults"]
    if not faults:
        out.print(Text("  no faults", style="green"))
    for fault in faults:
        style = "bold red" if fault["severity"] == "error" else "yellow"
        line = Text("  ").append(f"{fault['severity']} {fault['code']}", style=style)
        out.print(line.append(f" x {fault['count']:,}"), soft_wrap=True)
        _indented(out, fault["message"])
        _indented(out, f"remedy: {as_options(fault['remedy'])}")
    if document["remedy"]:
        # One line, however long, so that it can be copied.
        out.print(
            Text("  repair: ", style="dim").append(Text(document["remedy"], style="default")),
            soft_wrap=True,
        )
    out.print()


def _indented(out: Console, text: str) -> None:
    """Indent the lines of a text."""
    from rich.padding import Padding

    out.print(Padding(Text(text), (0, 0, 0, 4)))


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Lines about one file of candles."""
    if "digest" not in facts:
        return [
            (
                "rows",
                f"{facts['rows']:,} of {facts['symbol'] or 'unknown symbol'}, which cannot become candles as they are",
            ),
            ("span", f"{facts['first']} to {facts['last']} UTC"),
            (
                "price",
                "-" if facts["low"] is None else f"{facts['low']:,.10g} to {facts['high']:,.10g}",
            ),
        ]
    absent = (
        f"{facts['holes']:,} ({facts['absent_bars']:,} bars absent)" if facts["holes"] else "none"
    )
    zero = facts["zero_volume_bars"]
    rows = [
        (
            "market",
            f"{facts['symbol']} {facts['interval']}, {facts['instrument']}, calendar {facts['calendar']}",
        ),
        ("bars", f"{facts['bars']:,}"),
        ("span", f"{facts['start']:%Y-%m-%d %H:%M} to {facts['end']:%Y-%m-%d %H:%M} UTC"),
        ("holes", absent),
        (
            "price",
            f"{facts['low']:,.10g} to {facts['high']:,.10g}, last {facts['last_close']:,.10g}",
        ),
        ("volume", f"{zero:,} bars without" if zero else "in every bar"),
    ]
    if facts["instrument"] == "perpetual":
        settled = facts["settlements"]
        cover = "none attached; backtest and sweep ask for --funding"
        if settled is not None:
            share = facts["funded_bars"] / facts["bars"]
            mean = (
                f", mean {facts['mean_funding']:+.4%}" if facts["mean_funding"] is not None else ""
            )
            cover = f"{settled:,} settlements{mean}, covering {share:.1%} of the bars"
        rows.append(("funding", cover))
    if facts["extra"]:
        rows.append(("also", ", ".join(facts["extra"])))
    if facts["repairs"]:
        rows.append(("repaired", "; ".join(facts["repairs"])))
    rows.append(("digest", facts["digest"]))
    return rows
