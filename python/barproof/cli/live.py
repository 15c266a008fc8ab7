"""``barproof live``: closed bars in, decisions out."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, Literal, cast

import typer

from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.candles.interval import parse_interval
from barproof.cli import options, output
from barproof.cli.config import load_config
from barproof.cli.exchanges import open_exchange
from barproof.cli.exits import OK, one_line
from barproof.cli.inputs import costs_of, first_given, market_of, read_market, rules_of
from barproof.errors import (
    CandleError,
    ConfigError,
    FileError,
    FundingError,
    LayoutError,
    ParameterError,
)
from barproof.live.feed import CcxtFeed, parse_line
from barproof.live.session import LiveSession

__all__ = ["live"]

_REFUSED = (CandleError, FundingError, LayoutError, ParameterError)


class _StopAsked(Exception):  # noqa: N818 - an order, not an error
    """SIGTERM while nothing was under way."""


class _Stop:
    """SIGTERM: ends a wait at once, and a bar after its transaction."""

    def __init__(self) -> None:
        self.asked = False
        self.idle = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        if self.idle:
            self.idle = False
            raise _StopAsked

    def waiting(self, wait: Callable[[], Any]) -> Any:
        """Do something that may be broken off."""
        if self.asked:
            raise _StopAsked
        self.idle = True
        try:
            return wait()
        finally:
            self.idle = False


def live(
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            "--bundle",
            "-b",
            metavar="[SYMBOL=]FOLDER",
            help="Bundle that train wrote; once a symbol.",
            rich_help_panel="Model",
        ),
    ] = None,
    state: Annotated[
        Path,
        typer.Option(metavar="FOLDER", help="Where the session keeps its state and log."),
    ] = Path("state"),
    from_history: Annotated[
        list[str] | None,
        typer.Option(
            "--from-history",
            metavar="[SYMBOL=]FILE",
            help="Candles for a warm start, once a symbol; nothing is decided on them. Not looked at where there is a "
            "state.",
            rich_help_panel="Market",
        ),
    ] = None,
    symbol: options.Symbol = None,
    interval: options.Interval = None,
    instrument: options.InstrumentKind = None,
    funding: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SYMBOL=]PATH|none",
            help="Settlements of a perpetual, once a symbol; `none` alone runs without, and says so.",
            rich_help_panel="Market",
        ),
    ] = None,
    calendar: options.TradingCalendar = None,
    rule: options.Rule = None,
    taker: options.Taker = None,
    maker: options.Maker = None,
    slippage: options.Slippage = None,
    free: options.Free = False,
    equity_start: options.Initial = None,
    account: Annotated[
        str,
        typer.Option(
            metavar="own|shared",
            help="Of several symbols: an account each, or all trade from one.",
            rich_help_panel="Account",
        ),
    ] = "own",
    max_positions: Annotated[
        int | None,
        typer.Option(
            help="Positions that a shared account holds at a time; no limit by default.",
            rich_help_panel="Account",
        ),
    ] = None,
    max_gross: Annotated[
        float | None,
        typer.Option(
            help="All notionals of a shared account as a multiple of its equity; no limit by default.",
            rich_help_panel="Account",
        ),
    ] = None,
    config: options.ConfigFile = None,
    gap: Annotated[
        str | None,
        typer.Option(
            metavar="raise|accept",
            help="Where bars are missing: refuse what comes after, or go on. An exchange is asked for them.",
        ),
    ] = None,
    patience: Annotated[
        int | None,
        typer.Option(help="Of several symbols: bars that the others may be ahead.", min=1),
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Poll this exchange of ccxt for closed bars instead of reading stdin.",
            rich_help_panel="Exchange",
        ),
    ] = None,
    market: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[SYMBOL=]MARKET",
            help="Its name of a symbol, such as BTC/USDT:USDT.",
            rich_help_panel="Exchange",
        ),
    ] = None,
    exchange_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Another host for its addresses.", rich_help_panel="Exchange"
        ),
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Decide one time and end; of an exchange, one poll.")
    ] = False,
    log_features: Annotated[
        bool, typer.Option("--log-features", help="Keep the values of the features too.")
    ] = False,
) -> int:
    """Decide bar by bar: JSON lines of closed bars on stdin, or an exchange; one JSON line a decision on stdout.

    A line is a bar (symbol, open_time, open, high, low, close, volume), a settlement (funding_time, funding_rate), or a
    fill (fill: buy or sell, price, quantity). What is refused is told on stderr and changes nothing. SIGTERM ends it
    after the bar that is under way; started again with the same options it goes on there. No order is ever sent. Where
    lines came and every one was refused, it ends with 2.
    """
    settings = load_config(config)
    if gap not in (None, "raise", "accept"):
        raise ConfigError(f"`--gap` must be raise or accept, was {gap!r}")
    rules = rules_of(settings, rule)
    if account not in ("own", "shared"):
        raise ConfigError(f"`--account` must be own or shared, was {account!r}")
    named = [word.partition("=")[0] for word in bundle or () if "=" in word]
    free_of_funding = funding == ["none"]
    settled = _by_symbol("--funding", None if free_of_funding else funding, named)
    files = _by_symbol("--from-history", from_history, named)
    books = {
        name: read_market(
            market_of(
                settings,
                Path(path),
                instrument=instrument,
                symbol=name or symbol,
                interval=interval,
                funding="none" if free_of_funding else settled.get(name),
                calendar=calendar,
            )
        )
        for name, path in files.items()
    }
    history = next(iter(books.values()), None)
    bundles = _bundles(bundle, symbol or (history.symbol if history is not None else None))
    if history is None and interval is None:
        raise ConfigError("`--interval` is missing: give it, such as 5m, or `--from-history` FILE")
    if history is None and instrument is None:
        raise ConfigError("`--instrument` is missing: give perpetual, spot, equity or fx")
    costs = costs_of(settings, taker, maker, slippage, free)
    stop = _Stop()
    before = signal.signal(signal.SIGTERM, stop)
    try:
        feed = None
        if exchange is not None:
            length = parse_interval(interval) if interval else cast("Candles", history).interval_ms
            paid = not free_of_funding and (instrument or "") == "perpetual"
            feed = _exchange(exchange, exchange_url, market, list(bundles), length, paid)
        missing: Any = (lambda name, first, end: feed.bars(name, first, end)) if feed else gap
        with LiveSession(
            bundles if len(bundles) > 1 else next(iter(bundles.values())),
            rules,
            costs=costs,
            state=state,
            candles=books if len(bundles) > 1 and "" not in books and books else history,
            symbol=next(iter(bundles)),
            interval=interval,
            instrument=instrument if history is None else None,
            funding="none" if free_of_funding else "events",
            initial_equity=first_given(equity_start, settings.backtest.initial_equity),
            gap=missing,
            patience=patience,
            log_features=log_features,
            account=cast('Literal["own", "shared"]', account),
            max_positions=max_positions,
            max_gross=max_gross,
        ) as session:
            if feed is None:
                return _read(session, stop, once)
            return _poll(session, feed, stop, once)
    except _StopAsked:
        return OK
    finally:
        signal.signal(signal.SIGTERM, before)


def _by_symbol(option: str, given: list[str] | None, symbols: list[str]) -> dict[str, str]:
    """Read words such as SYMBOL=FILE; FILE alone is that of the only one, under no name."""
    out: dict[str, str] = {}
    for word in given or ():
        name, sign, path = word.partition("=")
        if not sign or name not in symbols:
            name, path = "", word
        if name in out or (out and "" in {name, *out}):
            raise ConfigError(
                f"`{option} {word}` is one of several: name the symbol of each once, as `--bundle` does, such as "
                f"`{option} {symbols[0] if symbols else 'BTCUSDT'}=FILE`"
            )
        out[name] = path
    return out


def _bundles(given: list[str] | None, symbol: str | None) -> dict[str, Bundle]:
    """Load the bundle of each symbol from SYMBOL=FOLDER."""
    if not given:
        raise ConfigError("`--bundle` is missing: give a folder that train wrote")
    out: dict[str, Bundle] = {}
    for text in given:
        name, sign, folder = text.partition("=")
        if not sign:
            name, folder = symbol or "UNKNOWN", text
        if name in out:
            raise ConfigError(
                f"`--bundle {text}` gives {name} a second bundle: name each symbol once"
            )
        out[name] = Bundle.load(folder)
    return out


def _exchange(
    name: str,
    url: str | None,
    markets: list[str] | None,
    symbols: list[str],
    interval_ms: int,
    funding: bool,
) -> CcxtFeed:
    """Open an exchange as a feed, with its names of the symbols."""
    made = open_exchange(name, url, instead="feed bars on stdin")
    known: dict[str, str] = {}
    for text in markets or symbols:
        symbol, sign, market = text.partition("=")
        known[symbol if sign else symbols[0]] = market if sign else text
    lacking = [symbol for symbol in symbols if symbol not in known]
    if lacking:
        raise ConfigError(
            f"`--market` of {lacking[0]} is missing: such as `--market {lacking[0]}=BTC/USDT:USDT`"
        )
    return CcxtFeed(made, known, interval_ms, funding=funding, say=output.note)


def _say(decisions: Any) -> int:
    """Write decisions, a line each; gives how many."""
    found = list(decisions.values()) if isinstance(decisions, dict) else [decisions]
    for one in found:
        sys.stdout.write(one.to_json() + "\n")
    sys.stdout.flush()
    return len(found)


def _take(session: LiveSession, told: dict[str, Any]) -> int:
    """Take what a line or a poll told; gives how many decisions came of it."""
    if "fill" in told:
        side = cast('Literal["buy", "sell"]', told["fill"])
        known = ("time", "fee", "reason", "symbol")
        more = {name: told[name] for name in known if told.get(name) is not None}
        session.on_fill(side, told.get("price"), told.get("quantity"), **more)  # type: ignore[arg-type]
        return 0
    if "open_time" not in told and "funding_time" in told:
        rate: Any = told.get("funding_rate")
        session.settle(told["funding_time"], rate, symbol=told.get("symbol"))
        return 0
    return _say(session.on_bar(told))


class _Lines:
    """What came of the lines of stdin or of the bars of an exchange."""

    def __init__(self) -> None:
        self.taken = 0
        self.refused = 0
        self.first = ""

    def refuse(self, error: BaseException) -> None:
        """Tell of one that was refused."""
        why = one_line(error)
        self.first = self.first or why
        self.refused += 1
        output.warn(f"refused: {why}")

    def end(self) -> int:
        """Give the exit code: a feed of which nothing fits is wrong input, one that has gaps is a feed."""
        if self.refused and not self.taken:
            raise FileError(
                f"all {self.refused:,} lines were refused and nothing was decided; the first: {self.first}; give bars, "
                "settlements or fills as `barproof live --help` tells them"
            )
        if self.refused:
            output.note(f"{self.refused:,} lines were refused; nothing was decided on them")
        return OK


def _read(session: LiveSession, stop: _Stop, once: bool) -> int:
    """Take line by line until stdin ends."""
    lines = _Lines()
    while True:
        line = stop.waiting(sys.stdin.readline)
        if not line:
            break
        if not line.strip():
            continue
        try:
            decided = _take(session, parse_line(line))
        except _REFUSED as error:
            lines.refuse(error)
            continue
        lines.taken += 1
        if (once and decided) or stop.asked:
            break
    return lines.end()


def _poll(session: LiveSession, feed: CcxtFeed, stop: _Stop, once: bool) -> int:
    """Ask an exchange for what has closed, again and again."""
    lines = _Lines()
    while not stop.asked:
        server = stop.waiting(feed.server_time)
        if server is not None:
            session.report_time(server)
        found: Iterator[dict[str, Any]] = feed.poll(list(session.feeds), session.last)
        for bar in stop.waiting(partial(list, found)):
            try:
                _take(session, bar)
                lines.taken += 1
            except _REFUSED as error:
                lines.refuse(error)
            if stop.asked:
                return OK
        if once:
            return lines.end()
        stop.waiting(lambda: feed.wait(lambda: stop.asked))
    return OK
