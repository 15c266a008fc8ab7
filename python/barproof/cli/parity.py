"""``barproof parity``: a live log replayed through the backtest, and the first bar at which the two part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from barproof._core import __version__
from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.cli import options, output
from barproof.cli.config import Config, load_config
from barproof.cli.inputs import costs_of, market_of, read_market, rules_of
from barproof.errors import ConfigError
from barproof.live.log import FILE, LiveLog
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    import polars as pl

    from barproof.live.divergence import Divergence
    from barproof.live.parity import Parity

__all__ = ["costs_of_log", "parity", "read_bundles", "read_log", "rules_of_log"]

_LOG = "Log of another tool"
MOST = 12
"""Rows of tables."""


def parity(
    log: Annotated[
        Path,
        typer.Argument(
            metavar="LOG",
            help="State folder of a session, its live.sqlite, or a table of anybody's bot.",
        ),
    ],
    candles: Annotated[
        list[str] | None,
        typer.Option(
            "--candles",
            metavar="[SYMBOL=]FILE",
            help="Bars of the backtest; repeated for several symbols.",
        ),
    ] = None,
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle",
            "-b",
            metavar="FOLDER",
            help="The model that is said to run; repeated where it was changed, SYMBOL=FOLDER where symbols differ.",
        ),
    ] = None,
    rule: options.Rule = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    rate: Annotated[
        float | None, typer.Option(metavar="X", help="Trades a day that are claimed, to be tested.")
    ] = None,
    latency: Annotated[
        int, typer.Option("--latency-ms", min=0, help="Time that a closed bar takes to arrive.")
    ] = 0,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--log-column",
            metavar="NAME=COLUMN",
            help="Such as open_time=ts, p_long=prob_up, side=position, or 'rsi(14)=RSI_14'.",
            rich_help_panel=_LOG,
        ),
    ] = None,
    trades: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The bot's trades.", rich_help_panel=_LOG),
    ] = None,
    stamp: Annotated[
        str,
        typer.Option(
            metavar="WHICH", help="Times of rows are those of open or close.", rich_help_panel=_LOG
        ),
    ] = "open",
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
    """Prove that live and backtest are one system, or show the first bar at which they were not.

    Exit code 1 if anything differs, 4 if nothing does but too little was compared. Without rules or costs those of the
    session's log are run, and a note says so.
    """
    settings = load_config(config)
    if not bundle:
        raise ConfigError(
            "the model is missing: give `--bundle` FOLDER, the one that is said to run"
        )
    books = _books(
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
    held = read_log(log, column, trades, stamp, next(iter(books.values())).symbol)
    notes: list[str] = []
    rules = rules_of_log(held, settings, rule, notes)
    costs = costs_of_log(held, settings, (taker, maker, slippage, free), notes)
    one = next(iter(books.values())) if len(books) == 1 else books
    from barproof.live.parity import parity as compare

    found = compare(
        held, one, read_bundles(bundle), rules, costs=costs, rate=rate, latency_ms=latency
    )
    if json:
        told = found.to_dict()
        output.emit_json(
            {
                "command": "parity",
                "version": __version__,
                **told,
                "notes": [*notes, *told["notes"]],
                "log": str(log),
            }
        )
        return found.exit_code
    _show(found, log, [*notes, *held.notes])
    return found.exit_code


def _books(config: Config, files: list[str] | None, **given: Any) -> dict[str, Candles]:
    """Read the candles of each symbol from SYMBOL=FILE."""
    out: dict[str, Candles] = {}
    words: list[str | None] = [*files] if files else [None]
    for word in words:
        name, sign, path = (word or "").partition("=")
        if word is None or not sign or Path(word).exists():
            named, source = given["symbol"], None if word is None else Path(word)
        else:
            named, source = name, Path(path)
        bars = read_market(market_of(config, source, **{**given, "symbol": named}))
        if bars.symbol in out:
            raise ConfigError(
                f"two files of `--candles` are of {bars.symbol}: give one of each symbol"
            )
        out[bars.symbol] = bars
    return out


def read_log(
    path: Path, columns: list[str] | None, trades: Path | None, stamp: str, symbol: str
) -> LiveLog:
    """Read the log of a session, or that of another tool."""
    if path.is_dir() or path.suffix.lower() in (".sqlite", ".db"):
        if columns or trades is not None:
            raise ConfigError(
                f"`--log-column` and `--trades` are for logs of other tools, and {path.name!r} is that of a session"
            )
        return LiveLog.read(path)
    told: dict[str, str] = {}
    for word in columns or ():
        name, sign, column = word.rpartition("=")
        if not (sign and name and column):
            raise ConfigError(
                f"`--log-column {word}` must read NAME=COLUMN, such as p_long=prob_up"
            )
        told[name.strip()] = column.strip()
    return LiveLog.foreign(path, columns=told, trades=trades, stamp=stamp, symbol=symbol)


def read_bundles(given: list[str]) -> Any:
    """Load bundles: a list, or lists by symbol."""
    named: dict[str, list[Bundle]] = {}
    plain: list[Bundle] = []
    for word in given:
        symbol, sign, folder = word.partition("=")
        if sign and not Path(word).exists():
            named.setdefault(symbol, []).append(Bundle.load(folder))
        else:
            plain.append(Bundle.load(word))
    if named and plain:
        raise ConfigError(
            "`--bundle` names a symbol for some and none for others: write SYMBOL=FOLDER for all, or for none"
        )
    return named or plain


def rules_of_log(log: LiveLog, config: Config, told: list[str] | None, notes: list[str]) -> Any:
    """Take the rules that are told, or else those of the log, and say so."""
    rules = rules_of(config, told)
    if rules.changed():
        return rules
    steps = log.session.get("schedule") or []
    if not steps:
        raise ConfigError(
            "rules are missing: give `--rule entry_long=0.6`, or [rules] in barproof.toml; the log holds none"
        )
    notes.append("the rules are those of the log: that they are the tested ones is not shown")
    if len(steps) == 1:
        return Rules(**steps[0][1])
    times = [log.decisions["open_time"][0], *(_moment(when) for when, _ in steps[1:])]
    return [(when, Rules(**held)) for when, (_, held) in zip(times, steps, strict=True)]


def _moment(us: int | None) -> Any:
    from datetime import UTC, datetime, timedelta

    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us or 0)


def costs_of_log(
    log: LiveLog,
    config: Config,
    told: tuple[float | None, float | None, float | None, bool],
    notes: list[str],
) -> Costs:
    """Take the costs that are told, or else those of the log, and say so."""
    section = config.costs
    silent = told == (None, None, None, False) and section.taker is None and not section.free
    held = log.session.get("costs")
    if silent and isinstance(held, dict) and "taker" in held:
        notes.append("the costs are those of the log: that they are the tested ones is not shown")
        return Costs(**held)
    return costs_of(config, *told)


def _show(found: Parity, log: Path, notes: list[str]) -> None:
    """Print the verdict, where the two part first, and every finding."""
    out = output.console()
    name = log.parent.name if log.name == FILE else log.name
    verdict = {0: "one system", 1: "not one system", 4: "nothing proved"}[found.exit_code]
    compared = ", ".join(f"{n:,} of {layer}" for layer, n in found.compared.items() if n)
    output.header(
        out,
        f"parity of {name}: {verdict}",
        [
            ("decisions", f"{found.decisions:,} replayed"),
            ("values", f"compared: {compared or 'none'}"),
        ],
    )
    if found.first is not None:
        out.print()
        out.print(Text("first divergence in ", style="bold").append(str(found.first)))
        rest = [one for one in found.divergences if one is not found.first]
        if rest:
            out.print()
            rows = [_row(one) for one in rest[:MOST]]
            head = ("then", "column", "bar", "differ", "live", "backtest")
            out.print(output.table(head, rows, left=3))
            if rest[MOST:]:
                out.print(f"{len(rest) - MOST:,} more columns: `--json` lists them")
    out.print()
    rows = [(f.id, f.outcome, f.title) for f in found.findings]
    out.print(output.table(("audit", "outcome", ""), rows, left=3))
    for symbol, gap in found.gap.items():
        if abs(gap.gap) > 0.005:
            of = f" of {symbol}" if len(found.gap) > 1 else ""
            out.print(Text(f"money{of}: {gap!r}"))
    if len(found.fills):
        out.print()
        out.print(output.table(FILL_HEAD, _fills(found.fills), left=3))
    for text in notes:
        output.note(f"note: {text}")


FILL_HEAD = ("real fills", "status", "side", "orders", "mean slippage", "worst", "fees")


def _fills(table: pl.DataFrame) -> list[tuple[str, ...]]:
    """Real fills beside the orders of the backtest, by kind of order."""
    out: list[tuple[str, ...]] = []
    for key, rows in table.group_by("order", "status", "side", maintain_order=True):
        order, status, side = (str(one) for one in key)
        slips = rows["slippage"].drop_nulls().to_list()
        mean, worst = (f"{sum(slips) / len(slips):.4%}", f"{max(slips):.4%}") if slips else ("", "")
        fees = f"{rows['fee'].sum():.6g}" if rows["fee"].drop_nulls().len() else ""
        out.append((order, status, side, f"{rows.height:,}", mean, worst, fees))
    return out


def _row(one: Divergence) -> tuple[str, ...]:
    live, mine = (
        f"{value:.6g}" if isinstance(value, float) else str(value)
        for value in (one.live, one.replayed)
    )
    when = f"{one.open_time:%Y-%m-%d %H:%M}"
    return one.layer, one.column, when, f"{one.differing:,}", live, mine
