"""``barproof fetch``: candles and funding from archives and exchanges, to files that every other command reads."""

from __future__ import annotations

import os
import re
import shlex
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from barproof._core import __version__
from barproof._whole import digest_of
from barproof.candles.interval import DAY, format_interval, parse_interval
from barproof.candles.table import show_time
from barproof.cli import check as checking
from barproof.cli import options, output
from barproof.cli.exchanges import open_exchange
from barproof.cli.exits import FOUND, OK
from barproof.cli.fetching.archive import ARCHIVES, Archive
from barproof.cli.fetching.exchange import Exchange
from barproof.cli.fetching.gather import Gatherer
from barproof.cli.fetching.periods import ms_of
from barproof.cli.fetching.store import FORMAT, Store
from barproof.cli.fetching.web import Web
from barproof.cli.inputs import Market
from barproof.errors import ConfigError, FileError
from barproof.live.feed import CcxtFeed

__all__ = ["fetch"]

_KINDS = ("perpetual", "spot")
_SOURCE, _NET = "Source", "Network"


def fetch(
    symbol: Annotated[
        str | None, typer.Argument(metavar="SYMBOL", help="Such as BTCUSDT.", show_default=False)
    ] = None,
    interval: Annotated[
        str | None, typer.Option(help="Bar length such as 5m; a day holds a whole number of them.")
    ] = None,
    instrument: Annotated[
        str | None,
        typer.Option("--instrument", "-i", metavar="KIND", help="perpetual or spot. Required."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="TIME", help="First bar, UTC, such as 2024-01-01.")
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Left out itself; default: the last bar that closed."),
    ] = None,
    funding: Annotated[
        str | None,
        typer.Option(metavar="none", help="A perpetual's settlements come too; none leaves them."),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Archive with files and checksums: binance.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    archive_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="A mirror of it, in the same layout.", rich_help_panel=_SOURCE
        ),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Exchange of ccxt, for all or for what the archive has not (yet).",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    market: Annotated[
        str | None,
        typer.Option(
            metavar="MARKET",
            help="Its name of the symbol, such as BTC/USDT:USDT.",
            rich_help_panel=_SOURCE,
        ),
    ] = None,
    exchange_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Another host for its addresses.", rich_help_panel=_SOURCE
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the files.")] = Path(),
    attempts: Annotated[
        int, typer.Option(min=1, help="Tries of one request.", rich_help_panel=_NET)
    ] = 6,
    timeout: Annotated[
        float,
        typer.Option(min=0.1, help="Seconds of silence that end a try.", rich_help_panel=_NET),
    ] = 30.0,
    pause: Annotated[
        float,
        typer.Option(
            min=0.0,
            help="Least seconds between requests to an archive.",
            rich_help_panel=_NET,
        ),
    ] = 0.1,
    json: options.Json = False,
) -> int:
    """Fetch candles, and the funding of a perpetual, and check them; after a kill the same command goes on.

    Checksums are verified, only closed bars are taken, and files are written whole or not at all. Parts are kept in
    .fetch/ of the folder, so that a later end asks for what is new alone.
    """
    name, kind, step = _asked(symbol, instrument, interval, funding)
    place = _place(out)
    if archive is None and exchange is None:
        raise ConfigError(
            "a source is missing: give `--archive binance`, or `--exchange NAME` (extra fetch), or both"
        )
    feed = None
    if exchange is not None:
        feed = _feed(exchange, exchange_url, name, market, step, attempts, timeout)
    first, last, now = _span(start, end, step, feed)
    store_of = place / ".fetch" / f"{name.lower()}_{kind}_{format_interval(step)}"
    settled = kind == "perpetual" and funding != "none"
    files = _archive(archive, archive_url, name, step, kind, attempts, timeout, pause)
    asked = None if feed is None else Exchange(feed, name, kind)
    if settled and files is None and feed is not None:
        _has(feed, "fetchFundingRateHistory", "funding of the past", "give `--funding none`")
    sources = [source.name for source in (files, asked) if source is not None]
    store = Store(store_of, sources)
    targets = _targets(place, f"{name.lower()}_{kind}", format_interval(step), settled)
    gatherer = Gatherer(store, files, asked, step, now, output.note)
    try:
        bars = gatherer.gather("candles", first, last)
        rates = gatherer.gather("funding", first, last) if settled else []
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted; {gatherer.fetched:,} new parts are kept in {str(store_of)!r}: the same command goes on there"
        ) from None
    frame = _joined(bars, "open_time", name, first, last) if bars else None
    if frame is None or not frame.height:
        raise FileError(
            f"nothing of {name} at {format_interval(step)} is in {' or in '.join(sources)} from {show_time(first)} to "
            f"{show_time(last)}: look at symbol, interval, instrument and span"
        )
    paid = _joined(rates, "funding_time", name, first, last + 1) if rates else None
    record = {
        "format": FORMAT,
        "symbol": name,
        "interval": format_interval(step),
        "instrument": kind,
        "first": show_time(first),
        "end": show_time(last),
        "parts": [
            {key: value for key, value in part.items() if key not in ("path", "format")}
            for part in [*bars, *rates]
        ],
        "absent": {
            what: [[show_time(a), show_time(b)] for a, b in spans]
            for what, spans in gatherer.absent.items()
        },
    }
    _write(targets, frame, paid, record)
    checked = Market(
        source=targets["candles"],
        instrument=kind,
        symbol=name,
        interval=format_interval(step),
        funding=None if kind == "spot" else "none" if paid is None else str(targets["funding"]),
    )
    document = checking._document(checked)
    code = OK if document["ok"] else FOUND
    if json:
        output.emit_json(
            {
                "command": "fetch",
                "version": __version__,
                "exit_code": code,
                "fetched": gatherer.fetched,
                "kept": len(bars) + len(rates) - gatherer.fetched,
                "absent": record["absent"],
                "files": {
                    what: path
                    for what, path in targets.items()
                    if what != "funding" or paid is not None
                },
                "check": document,
            }
        )
        return code
    for what, spans in gatherer.absent.items():
        for a, b in spans:
            output.warn(f"no {what} from {show_time(a)} to {show_time(b)} in the source")
    screen = output.console()
    checking._show(screen, checked, document)
    words = ["barproof", "check", str(checked.source), "--instrument", kind]
    words += ["--funding", str(checked.funding)] if checked.funding is not None else []
    screen.print(f"look again: {shlex.join(words)}", soft_wrap=True, markup=False)
    return code


def _asked(
    symbol: str | None, instrument: str | None, interval: str | None, funding: str | None
) -> tuple[str, str, int]:
    """Check what is asked for: a symbol that can be part of a file's name, an instrument, a bar length."""
    if symbol is None:
        raise ConfigError("`SYMBOL` is missing: name a market, such as BTCUSDT")
    if not re.fullmatch(r"[\w-]{1,40}", symbol):
        raise ConfigError(
            f"`SYMBOL` must be 1 to 40 letters, digits, - or _, was {symbol[:60]!r}: what an exchange calls it goes to "
            "`--market`"
        )
    if instrument is None:
        raise ConfigError("`--instrument` is missing: give perpetual or spot")
    if instrument not in _KINDS:
        raise ConfigError(f"`--instrument` must be perpetual or spot, was {instrument!r}")
    if funding not in (None, "none"):
        raise ConfigError(
            f"`--funding` takes none alone here, was {funding!r}: settlements of a perpetual are fetched without it"
        )
    if interval is None:
        raise ConfigError("`--interval` is missing: give a bar length, such as 5m")
    step = parse_interval(interval)
    if step > DAY or DAY % step:
        raise ConfigError(
            f"`--interval` must be a bar length that divides a day, was {interval!r}: fetch shorter bars and resample "
            "them"
        )
    return symbol, instrument, step


def _place(out: Path) -> Path:
    """Check the folder before anything is asked for."""
    if out.exists() and not out.is_dir():
        raise ConfigError(f"`--out` {str(out)!r} is a file: name a folder")
    if not out.exists() and not out.absolute().parent.is_dir():
        raise ConfigError(
            f"`--out` {str(out)!r} lies in a folder that does not exist: mkdir {str(out.parent)!r}"
        )
    if not os.access(out if out.exists() else out.absolute().parent, os.W_OK):
        raise FileError(f"`--out` {str(out)!r} cannot be written to: name a folder of your own")
    return out


def _moment(option: str, text: str) -> int:
    """Read a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"`{option}` must be a time such as 2024-01-31 or 2024-01-31T13:00, was {text[:40]!r}"
        ) from None
    return ms_of(moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC))


def _span(
    start: str | None, end: str | None, step: int, feed: CcxtFeed | None
) -> tuple[int, int, int]:
    """First bar, end, and the close of the last closed bar, by the exchange's clock where it tells."""
    if start is None:
        raise ConfigError(
            "`--start` is missing: give the time of the first bar, such as 2024-01-01"
        )
    first = -(-_moment("--start", start) // step) * step
    last = None if end is None else _moment("--end", end) // step * step
    now = time.time_ns() // 1_000_000
    if feed is not None and feed.exchange.has.get("fetchTime"):
        now = min(now, feed.server_time() or now)
    closed = now // step * step
    last = closed if last is None else min(last, closed)
    if first >= last:
        raise ConfigError(
            f"no closed bar lies between `--start` {show_time(first)} and {show_time(last)}: widen the span"
        )
    return first, last, closed


def _archive(
    name: str | None,
    url: str | None,
    symbol: str,
    step: int,
    kind: str,
    attempts: int,
    timeout: float,
    pause: float,
) -> Archive | None:
    """Make the archive that is meant."""
    if name is None:
        if url is not None:
            raise ConfigError(
                "`--archive-url` needs the layout too: give `--archive binance` beside it"
            )
        return None
    if name not in ARCHIVES:
        raise ConfigError(f"`--archive` must be {' or '.join(ARCHIVES)}, was {name!r}")
    web = Web(
        url or ARCHIVES[name], attempts=attempts, timeout=timeout, pause=pause, say=output.note
    )
    return Archive(web, symbol.upper(), step, kind)


def _feed(
    name: str,
    url: str | None,
    symbol: str,
    market: str | None,
    step: int,
    attempts: int,
    timeout: float,
) -> CcxtFeed:
    """Open the exchange that is meant."""
    made = open_exchange(name, url, instead="take `--archive binance`", timeout=timeout)
    known = getattr(made, "timeframes", None) or {}
    if known and format_interval(step) not in known:
        raise ConfigError(
            f"`--interval` {format_interval(step)} is none of {name}, which has {', '.join(known)}: fetch shorter bars "
            "and resample them"
        )
    feed = CcxtFeed(
        made, {symbol: market or symbol}, step, funding=True, attempts=attempts, say=output.note
    )
    _has(feed, "fetchOHLCV", "bars", "take another exchange, or `--archive binance`")
    return feed


def _has(feed: CcxtFeed, call: str, what: str, remedy: str) -> None:
    """Refuse an exchange that does not give something."""
    if not feed.exchange.has.get(call):
        raise ConfigError(f"`--exchange {feed.exchange.id}` gives no {what} through ccxt: {remedy}")


def _targets(place: Path, stem: str, interval: str, settled: bool) -> dict[str, Path]:
    """Name the files, and refuse to write over what was not fetched."""
    targets = {"candles": place / f"{stem}_{interval}.parquet"}
    if settled:
        targets["funding"] = place / f"{stem}_{interval}_funding.parquet"
    targets["record"] = place / f"{stem}_{interval}.fetch.json"
    for path in targets.values():
        if path.exists() and not targets["record"].exists():
            raise FileError(
                f"{str(path)!r} is there and was not fetched: move it away, or give another `--out`"
            )
    return targets


def _joined(
    parts: list[dict[str, Any]], column: str, symbol: str, first: int, end: int
) -> pl.DataFrame:
    """Join parts, cut to the span, with the name of the market."""
    frame = Store.read(parts)
    at = frame[column].dt.epoch("ms")
    kept = frame.filter((at >= first) & (at < end))
    return kept.with_columns(symbol=pl.lit(symbol))


def _write(
    targets: dict[str, Path],
    frame: pl.DataFrame,
    paid: pl.DataFrame | None,
    record: dict[str, Any],
) -> None:
    """Write all files under temporary names, and only then give them theirs."""
    import json
    from contextlib import ExitStack

    with ExitStack() as stack:
        written: dict[str, Path] = {}
        for what, path in targets.items():
            if what == "funding" and paid is None:
                continue
            written[what] = stack.enter_context(output.whole_file(path))
            if what == "candles":
                frame.write_parquet(written[what])
            elif what == "funding" and paid is not None:
                paid.write_parquet(written[what])
        digests = {
            targets[what].name: digest_of(path)
            for what, path in written.items()
            if what != "record"
        }
        made = {**record, "files": digests, "barproof": __version__}
        written["record"].write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
