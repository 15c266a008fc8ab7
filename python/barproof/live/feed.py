"""Feeds of closed bars: JSON lines, and exchanges through ccxt."""

from __future__ import annotations

import json
import math
import random
import time as clocks
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any

from barproof.candles.interval import format_interval
from barproof.errors import BarproofError, CandleError, FileError

__all__ = ["CcxtFeed", "parse_line"]

_KNOWN = frozenset(
    (
        "symbol",
        "interval",
        "open_time",
        "close_time",
        "server_time",
        "open",
        "high",
        "low",
        "close",
        "volume",
    )
)


def parse_line(line: str) -> dict[str, Any]:
    """Read one JSON line: a bar, a settlement (``funding_time``, ``funding_rate``) or a fill (``fill``).

    Parameters
    ----------
    line : str
        One object; times are milliseconds UTC or ISO 8601.

    Returns
    -------
    dict
        With times as milliseconds.

    Raises
    ------
    CandleError
        If it is no JSON object, holds a number twice, or a time cannot be read.
    """
    try:
        told = json.loads(line, parse_constant=_constant, object_pairs_hook=_once)
    except CandleError:
        raise
    except (ValueError, RecursionError) as error:
        why = str(error)
        raise CandleError(
            f"line is no JSON ({' '.join(why.split())[:80]}): {line.strip()[:80]!r}; give one object a line"
        ) from None
    if not isinstance(told, dict):
        raise CandleError(f"line must hold a JSON object, was {line.strip()[:80]!r}")
    for name in ("open_time", "close_time", "server_time", "funding_time", "time"):
        value = told.get(name)
        if isinstance(value, str):
            told[name] = _moment(name, value)
    return told


def _constant(name: str) -> float:
    # Python's JSON knows NaN and Infinity; here they are numbers that no check lets pass.
    return math.nan if name == "NaN" else math.inf


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    held = dict(pairs)
    if len(held) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise CandleError(f"line says `{twice}` twice: give each name once")
    return held


def _moment(name: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise CandleError(
            f"`{name}` must be milliseconds UTC or ISO 8601, was {text[:40]!r}: such as 2024-01-31T13:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000)


class CcxtFeed:
    """Closed bars of an exchange, polled through ccxt.

    Parameters
    ----------
    exchange : object
        Of ccxt: has ``fetch_ohlcv(market, timeframe, since, limit)``, and maybe ``fetch_time()`` and
        ``fetch_funding_rate_history(market, since, limit)``.
    markets : dict of str to str
        Symbol of the session to market of the exchange, such as ``{"BTCUSDT": "BTC/USDT:USDT"}``.
    interval_ms : int
        Bar length.
    funding : bool, default False
        Whether to ask for settlements.
    attempts : int, default 8
        Tries of one request before the feed gives up.
    first_wait, longest_wait : float
        Seconds between tries: doubled each time, with a share of chance, up to the longest.
    delay : float, default 2.0
        Seconds after a close before a bar is asked for.
    say : callable, optional
        Told of every failed try, one line.
    """

    def __init__(
        self,
        exchange: Any,
        markets: dict[str, str],
        interval_ms: int,
        *,
        funding: bool = False,
        attempts: int = 8,
        first_wait: float = 0.5,
        longest_wait: float = 60.0,
        delay: float = 2.0,
        limit: int = 500,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = clocks.sleep,
        clock: Callable[[], int] = lambda: clocks.time_ns() // 1_000_000,
    ) -> None:
        self.exchange, self.markets, self.interval_ms = exchange, markets, interval_ms
        self._funding = funding
        self._attempts, self._first, self._longest = attempts, first_wait, longest_wait
        self._delay, self._limit = delay, limit
        self._say, self._sleep, self._clock = say, sleep, clock
        self._jitter = random.Random(0)
        self._settled: dict[str, int] = {}
        self.tries = 0

    def ask(self, what: str, request: Callable[[], Any]) -> Any:
        """Ask until it answers: failures of the network and refusals for being too fast are tried again.

        Parameters
        ----------
        what : str
            For messages.
        request : callable
            Without arguments.

        Returns
        -------
        object
            Its answer.

        Raises
        ------
        FileError
            If it never answers, or refuses for another reason.
        """
        wait = self._first
        for attempt in range(1, self._attempts + 1):
            self.tries += 1
            try:
                return request()
            except BarproofError:
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
                if not _passing(error):
                    raise FileError(
                        f"exchange refuses {what}: {why}; this will not pass by waiting"
                    ) from error
                if attempt == self._attempts:
                    raise FileError(
                        f"exchange does not give {what} after {attempt} tries: {why}; start again, it goes on "
                        "where it stood"
                    ) from error
                pause = wait * (1.0 + 0.25 * self._jitter.random())
                self._say(f"{what}: {why}; try {attempt + 1} of {self._attempts} in {pause:.1f} s")
                self._sleep(pause)
                wait = min(2.0 * wait, self._longest)
        raise AssertionError

    def server_time(self) -> int | None:
        """Ask for the time of the exchange, milliseconds UTC, where it tells."""
        fetch = getattr(self.exchange, "fetch_time", None)
        if fetch is None:
            return None
        told = self.ask("its time", fetch)
        return None if told is None else int(told)

    def bars(self, symbol: str, first: int, end: int) -> Iterator[dict[str, Any]]:
        """Give closed bars of a symbol, from one opening time to another that is left out.

        Parameters
        ----------
        symbol : str
            Of the session.
        first, end : int
            Milliseconds UTC.

        Yields
        ------
        dict
            Bars in time order; rows that the exchange gives outside are passed over.
        """
        market = self.markets[symbol]
        timeframe = format_interval(self.interval_ms)
        at = first
        while at < end:
            fetch = partial(self.exchange.fetch_ohlcv, market, timeframe, at, self._limit)
            rows = self.ask(f"bars of {symbol}", fetch)
            last = at - 1
            for row in sorted(rows or [], key=lambda row: row[0]):
                time = int(row[0])
                if last < time < end and time >= at:
                    last = time
                    yield {
                        "symbol": symbol,
                        **dict(
                            zip(
                                ("open_time", "open", "high", "low", "close", "volume"),
                                (time, *(None if v is None else float(v) for v in row[1:6])),
                                strict=True,
                            )
                        ),
                    }
            if last < at:
                return
            at = last + self.interval_ms

    def settlements(self, symbol: str, since: int) -> list[tuple[int, float]]:
        """Give settlements after a time.

        Parameters
        ----------
        symbol : str
            Of the session.
        since : int
            Milliseconds UTC.

        Returns
        -------
        list of (int, float)
            Times and rates; empty where funding was not asked for.
        """
        if not self._funding:
            return []
        rows = self.ask(
            f"funding of {symbol}",
            lambda: self.exchange.fetch_funding_rate_history(
                self.markets[symbol], since + 1, self._limit
            ),
        )
        found = sorted((int(row["timestamp"]), float(row["fundingRate"])) for row in rows or [])
        return [one for one in found if one[0] > since]

    def poll(self, symbols: list[str], last: dict[str, int | None]) -> Iterator[dict[str, Any]]:
        """Give bars of several symbols that have closed since their last ones, by time.

        Parameters
        ----------
        symbols : list of str
            Of the session.
        last : dict
            Opening time of the last bar of each; None begins with the last closed one.

        Yields
        ------
        dict
            Bars; a settlement comes with the bar that follows it.
        """
        now = self._clock()
        end = (now // self.interval_ms) * self.interval_ms
        found: list[dict[str, Any]] = []
        for symbol in symbols:
            before = last[symbol]
            first = end - self.interval_ms if before is None else before + self.interval_ms
            if first >= end:
                continue
            since = self._settled.get(symbol, first - 3 * 8 * 3_600_000)
            settled = self.settlements(symbol, since)
            for bar in self.bars(symbol, first, end):
                closes = bar["open_time"] + self.interval_ms
                bar["funding"] = [one for one in settled if one[0] < closes]
                if bar["funding"]:
                    self._settled[symbol] = bar["funding"][-1][0]
                    settled = [one for one in settled if one[0] >= closes]
                if not self._funding:
                    del bar["funding"]
                found.append(bar)
        found.sort(key=lambda bar: bar["open_time"])
        yield from found

    def wait(self, stopped: Callable[[], bool]) -> None:
        """Sleep until the next bar has closed, in short steps."""
        now = self._clock()
        due = (now // self.interval_ms + 1) * self.interval_ms + round(self._delay * 1000)
        while not stopped() and self._clock() < due:
            self._sleep(min(0.2, max(0.0, (due - self._clock()) / 1000)))


def _passing(error: Exception) -> bool:
    """Whether trying again may help: what ccxt calls an error of the network, and those of the operating system."""
    names = {kind.__name__ for kind in type(error).__mro__}
    refused = {"AuthenticationError", "BadSymbol", "BadRequest", "NotSupported", "PermissionDenied"}
    if names & refused:
        return False
    return bool(
        names & {"NetworkError", "OperationFailed", "ExchangeNotAvailable", "RateLimitExceeded"}
        or isinstance(error, (OSError, TimeoutError))
    )
