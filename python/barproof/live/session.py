"""`LiveSession`: the backtest, one closed bar at a time."""

from __future__ import annotations

import json
import os
import time as clocks
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self

import numpy as np

from barproof.bundle import Bundle
from barproof.candles import Candles, Instrument
from barproof.candles.instrument import as_instrument
from barproof.candles.interval import format_interval, parse_interval
from barproof.candles.table import show_time
from barproof.errors import (
    BundleError,
    CandleError,
    FileError,
    FundingError,
    LayoutError,
    ParameterError,
    RulesError,
)
from barproof.features import FeatureSet
from barproof.live.arrivals import Arrival, check_closed, check_place, read_bar
from barproof.live.decision import Decision
from barproof.live.identity import code_version, row_digest
from barproof.live.market import LiveMarket, arrays_of, signals_together
from barproof.live.state import FORMAT, TRADE_COLUMNS, Store
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["LiveSession"]

Gap = Literal["raise", "accept"]
CatchUp = Callable[[str, int, int], Iterable[Any]]

_DAY_MS = 86_400_000


def _wall() -> int:
    return clocks.time_ns() // 1_000_000


class LiveSession:
    """Features, model, rules and a paper account on closed bars, one decision a bar.

    It is :func:`barproof.backtest` with ``engine="replay"`` stepped: the same code takes each bar, so that a backtest
    over the same candles has the same features and trades, bit for bit. No order is ever sent.

    With a `state` folder every bar clock is one synced transaction. After a kill at any instant the same call goes on
    where the last transaction stood, with the same bits; feed the bars after :attr:`last` again.

    Parameters
    ----------
    bundle : Bundle, or mapping of str to Bundle
        What to ask, by symbol where there are several; each symbol has an account of its own.
    rules : Rules
        What turns predictions into trades. Where rules leave by a signal that no part of the bundle gives, the other
        side's entry signal closes a position, as ``run.signals(exit="opposite")`` has it.
    costs : Costs
        Of the paper account.
    state : path-like or None, default "state/"
        Folder of the log; made if it is not there. None keeps nothing.
    candles : Candles, or mapping of str to Candles, optional
        History for a warm start: features know it, nothing is decided on it. Only where the state is new.
    symbol, interval, instrument : optional
        Where neither `candles` nor a mapping of bundles says so: name, bar length such as ``"5m"``, kind or Instrument
        (default: that of the candles).
    funding : {"events", "none"}, default "events"
        Whether a perpetual pays funding, which then comes with bars or by :meth:`settle`.
    initial_equity : float, default 10,000
        Of each account, in quote.
    features : FeatureSet, optional
        Where the bundle's names do not make one: features of your own.
    clock : callable, optional
        Gives the time in milliseconds UTC. Default: that of the machine.
    gap : {"raise", "accept"} or callable, default "raise"
        What to do where bars are missing: refuse the bar; go on as a backtest over candles with a hole; or call
        ``gap(symbol, first, end)`` (opening times in milliseconds, the end left out) for the bars in between, which are
        taken first. Markets in sessions (equity, fx) accept by default.
    patience : int, optional
        With several symbols: bars that the others may be ahead before a missing bar is given up. Default: wait.
    watch : Watch, optional
        Decides when entries are withheld; a fresh copy for each symbol.
    log_features : bool, default False
        Keep the values of the features too, not only their digest.
    max_skew : int, default 1,000
        Milliseconds that the clock may be apart from a feed's ``server_time`` before it is reported.
    checkpoint_bars : int, default 256
        Bars between two saves of the features' state; a restart takes the bars since again.

    Attributes
    ----------
    symbols : tuple of str
        That are traded.
    feeds : tuple of str
        Whose bars it needs: the same, and symbols that features name.
    last : dict of str to int or None
        Opening time of the last bar taken, by feed, milliseconds UTC.
    skew : int or None
        Last known distance of the clock from that of the feed, milliseconds; positive where ours is ahead.

    Raises
    ------
    BundleError
        If features of the bundle cannot be computed, or the state is of another bundle.
    RulesError, ParameterError, LayoutError
        If an argument is wrong, or the state is of other rules, costs or markets.
    FileError
        If the folder cannot be written, or is damaged.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=1_500)
    >>> X = bp.FeatureSet(["log_return(1)", "rsi(14)"]).compute(candles)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(600, 200, tune=200), ledger=False)
    >>> rules = bp.Rules(entry_long=0.5, max_hold=3)
    >>> costs = bp.Costs(taker=0.0005)
    >>> session = bp.LiveSession(run.bundles[0], rules, costs=costs, state=None, candles=candles[:1_000])
    >>> decision = session.on_bar(candles[1_000])
    >>> decision.symbol, decision.close_time - decision.open_time
    ('SIM', 300000)
    """

    def __init__(
        self,
        bundle: Bundle | Mapping[str, Bundle],
        rules: Rules,
        *,
        costs: Costs,
        state: str | os.PathLike[str] | None = "state/",
        candles: Candles | Mapping[str, Candles] | None = None,
        symbol: str | None = None,
        interval: str | None = None,
        instrument: Instrument | str | None = None,
        funding: Literal["events", "none"] = "events",
        initial_equity: float = 10_000.0,
        features: FeatureSet | None = None,
        clock: Callable[[], int] | None = None,
        gap: Gap | CatchUp | None = None,
        patience: int | None = None,
        watch: Any = None,
        log_features: bool = False,
        max_skew: int = 1_000,
        checkpoint_bars: int = 256,
    ) -> None:
        bundles, books = _markets(bundle, candles, symbol)
        if not isinstance(rules, Rules):
            raise LayoutError(
                f"`rules` of a live session must be Rules, was {type(rules).__name__}: roll(..., rules=) changes them"
            )
        if not isinstance(costs, Costs):
            raise LayoutError(
                f"`costs` of a live session must be Costs, was {type(costs).__name__}: use Costs(taker=...)"
            )
        if funding not in ("events", "none"):
            raise ParameterError(f'`funding` must be "events" or "none", was {funding!r}')
        first = next(iter(books.values()), None)
        if interval is None and first is None:
            raise ParameterError(
                '`interval` of a live session is not known: give it, such as interval="5m", or candles= to start warm'
            )
        if instrument is None and first is None:
            raise ParameterError(
                '`instrument` of a live session is not known: give it, such as instrument="perpetual", or candles='
            )
        if not 0.0 < float(initial_equity) < float("inf"):
            raise ParameterError(f"`initial_equity` must be finite and > 0, was {initial_equity!r}")
        for name, value, least in (
            ("checkpoint_bars", checkpoint_bars, 1),
            ("max_skew", max_skew, 0),
            ("patience", 1 if patience is None else patience, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ParameterError(f"`{name}` must be a whole number >= {least}, was {value!r}")
        self.interval_ms = parse_interval(interval) if interval else first.interval_ms  # type: ignore[union-attr]
        self.symbols = tuple(bundles)
        self._rules = [rules]
        self._costs = costs
        self._funding = funding
        self._equity = float(initial_equity)
        self._clock = _wall if clock is None else clock
        self._patience = patience
        self._log_features = log_features
        self._max_skew = max_skew
        self._every = checkpoint_bars
        self._features = features
        self._watch = watch
        self._code = code_version()
        self._instruments = {
            name: books[name].instrument if instrument is None and name in books else
            (as_instrument(instrument) if instrument is not None else first.instrument)  # type: ignore[union-attr]
            for name in self.symbols
        }  # fmt: skip
        around = all(one.kind in ("perpetual", "spot") for one in self._instruments.values())
        self._gap: Gap | CatchUp = gap if gap is not None else ("raise" if around else "accept")
        if not callable(self._gap) and self._gap not in ("raise", "accept"):
            raise ParameterError(
                f'`gap` must be "raise", "accept" or a function of symbol, first and end, was {gap!r}'
            )
        self._on_grid = around
        self.skew: int | None = None
        self._bundles = bundles
        self._names: dict[str, list[str]] = {name: list(b.features) for name, b in bundles.items()}
        self._broken: str | None = None
        self._store = None if state is None else Store(state)
        try:
            self._begin(books)
        except BaseException:
            self.close()
            raise

    # Beginning ----------------------------------------------------------------------------------------------

    def _fresh(self) -> None:
        """Make markets that know nothing."""
        self._markets = {
            name: LiveMarket(
                name,
                bundle,
                self._rules,
                names=self._names.get(name, list(bundle.features)),
                costs=self._costs,
                instrument=self._instruments[name],
                interval_ms=self.interval_ms,
                initial_equity=self._equity,
                features=self._features,
                watch=None if self._watch is None else self._watch.fresh(),
            )
            for name, bundle in self._bundles.items()
        }
        feeds = dict.fromkeys(self.symbols)
        for market in self._markets.values():
            feeds |= dict.fromkeys(market.feeds)
        self.feeds = tuple(feeds)
        self.last: dict[str, int | None] = dict.fromkeys(self.feeds)
        self._anchor: dict[str, int | None] = dict.fromkeys(self.feeds)
        self._waiting: dict[str, deque[Arrival]] = {name: deque() for name in self.feeds}
        self._settled: int | None = None
        self._history: dict[str, int] = {}
        self._sequence = 0
        self._events: list[tuple[Any, ...]] = []
        self._alone = len(self.feeds) == 1
        self._taken: tuple[Arrival, Decision] | None = None
        self._clocks = 0

    def _begin(self, books: Mapping[str, Candles]) -> None:
        known = {} if self._store is None else self._store.session()
        if "bundle_digests" in known:
            told = json.loads(known["features_by_symbol"])
            for name, bundle in self._bundles.items():
                lacking = [one for one in bundle.features if one not in told.get(name, ())]
                if name in told and lacking:
                    raise BundleError(
                        f"state {str(self._store.folder)!r} is of another feature set: it computes "  # type: ignore[union-attr]
                        f"{len(told[name])} features of {name}, and not `{lacking[0]}`, which the bundle needs; give "
                        "the bundle that it was begun with, or another folder"
                    )
            self._names = told
            self._fresh()
            self._check_same(known)
            self._resume()
            return
        self._fresh()
        if books:
            self._warm(books)
        if self._store is not None:
            self._write_beginning()

    def _warm(self, books: Mapping[str, Candles]) -> None:
        lacking = [name for name in self.feeds if name not in books]
        if lacking:
            raise ParameterError(
                f"`candles` lack {', '.join(lacking)} of the {len(self.feeds)} symbols whose bars the session needs: "
                "give a dict of symbol to Candles"
            )
        for name in self.feeds:
            if books[name].interval_ms != self.interval_ms:
                raise ParameterError(
                    f"`candles` of {name} have bars of {books[name].interval}, the session of "
                    f"{format_interval(self.interval_ms)}: resample them"
                )
        ends = {int(books[name].open_time[-1]) for name in self.feeds if len(books[name])}
        if len(ends) > 1:
            raise ParameterError(
                f"`candles` end at different bars ({', '.join(show_time(t) for t in sorted(ends))}): cut them to the "
                "same last bar"
            )
        if not ends:
            return
        (end,) = ends
        check_closed(end, self.feeds[0], self.interval_ms, self._clock())
        for market in self._markets.values():
            market.warm({name: books[name] for name in market.feeds})
        for name in self.feeds:
            self.last[name] = end
            self._anchor[name] = end % self.interval_ms
            self._history[name] = int(books[name].open_time[0]) * 1000
        self._settled = end

    def _facts(self) -> dict[str, Any]:
        """Gather what a session is, as its log says it."""
        first = self._markets[self.symbols[0]]
        limits = {
            name: {
                "kind": one.kind,
                "maintenance": one.maintenance,
                "lot": one.lot,
                "min_notional": one.min_notional,
            }
            for name, one in self._instruments.items()
        }
        taker, maker, slippage = self._costs._tuple()
        return {
            "format": FORMAT,
            "interval_us": self.interval_ms * 1000,
            "symbols": list(self.symbols),
            "feeds": list(self.feeds),
            "rules": self._rules[-1].to_dict(),
            "book": [one.to_dict() for one in self._rules],
            "costs": {"taker": taker, "maker": maker, "slippage": slippage},
            "instrument": limits[self.symbols[0]],
            "instruments": limits,
            "initial_equity": self._equity,
            "funding": self._funding,
            "bundle_digest": first.model,
            "bundle_digests": {name: one.model for name, one in self._markets.items()},
            "features": list(first.names),
            "features_by_symbol": {name: list(one.names) for name, one in self._markets.items()},
            "features_digest": first.feature_set,
            "history_from": self._history,
            "watch_digest": None if self._watch is None else self._watch.digest,
            "code": self._code,
        }

    def _write_beginning(self) -> None:
        assert self._store is not None
        rows: dict[str, Any] = {
            "checkpoints": [
                (name, self._micro(self._settled), one.save_features())
                for name, one in self._markets.items()
            ],
            "accounts": [
                (name, self._micro(self._settled), one.save_account())
                for name, one in self._markets.items()
            ],
        }
        self._store.commit(
            rows,
            clock=self._micro(self._settled),
            body=json.dumps(self._own_state()).encode(),
            session=self._facts(),
        )

    def _own_state(self) -> dict[str, Any]:
        return {"last": self.last, "anchor": self._anchor}

    @staticmethod
    def _micro(time: int | None) -> int:
        """Microseconds; before the first bar, earlier than any."""
        return -(1 << 62) if time is None else time * 1000

    def _check_same(self, known: Mapping[str, str]) -> None:
        """Refuse a state of something else."""
        mine = self._facts()
        told = {key: json.loads(value) for key, value in known.items() if key != "format"}
        where = f"state {str(self._store.folder)!r}"  # type: ignore[union-attr]
        if told["bundle_digests"] != mine["bundle_digests"]:
            raise BundleError(
                f"{where} is of another bundle, {told['bundle_digest'][:16]}, and not {mine['bundle_digest'][:16]}: "
                "give that one and change it by roll(...), or give another folder"
            )
        for key, what in (
            ("symbols", "symbols"),
            ("interval_us", "an interval of"),
            ("costs", "costs"),
            ("instruments", "instruments"),
            ("initial_equity", "an initial equity of"),
            ("funding", "funding"),
            ("watch_digest", "a watch"),
            ("rules", "rules"),
        ):
            if told.get(key) != mine[key]:
                raise ParameterError(
                    f"{where} was begun with {what} {_short(told.get(key), mine[key])}: give the same, or another "
                    "folder"
                )
        self._rules = [Rules(**fields) for fields in told["book"]]

    def _resume(self) -> None:
        """Stand where the last transaction stood."""
        assert self._store is not None
        if len(self._rules) > 1:
            self._fresh()
        clock, body = self._store.state()
        accounts, checkpoints = self._store.bodies("accounts"), self._store.bodies("checkpoints")
        lacking = [n for n in self.symbols if n not in accounts or n not in checkpoints]
        if clock is None or lacking:
            raise FileError(
                f"live log {str(self._store.path)!r} holds no state of {', '.join(lacking) or 'any symbol'}: restore "
                "the folder from a copy, or give another"
            )
        told = json.loads(body)
        self.last = {name: told["last"][name] for name in self.feeds}
        self._anchor = {name: told["anchor"][name] for name in self.feeds}
        self._settled = None if clock == self._micro(None) else clock // 1000
        self._history = json.loads(self._store.session()["history_from"])
        self._sequence = self._store.count_events()
        funding = self._store.events("funding")
        for name, market in self._markets.items():
            since, saved = checkpoints[name]
            market.load_features(saved)
            self._again(market, since, funding)
            market.load_account(accounts[name][1])
            if self.last[name] is not None:
                text = self._store.decision(name, self.last[name] * 1000)  # type: ignore[operator]
                market.last_decision = None if text is None else Decision.from_json(text)

    def _again(self, market: LiveMarket, since: int, funding: list[Any]) -> None:
        """Take the bars since a checkpoint again: features and watch stand where they stood."""
        assert self._store is not None
        times: dict[int, dict[str, Any]] = {}
        for feed in market.feeds:
            for at, *values, extra in self._store.bars(feed, since):
                row = (at // 1000, *values)
                told = Arrival(row, json.loads(extra) if extra else {}, [])
                times.setdefault(at // 1000, {})[feed] = self._for_stream(market, told)
        decided = {at // 1000: rest for at, *rest in self._store.decided(market.symbol, since)}
        due = deque(
            (int(body["funding_time"]) // 1000, float(body["funding_rate"]))
            for _, symbol, body in funding
            if symbol == market.symbol
        )
        before = market.settlements.last
        for time in sorted(times):
            now = []
            while due and due[0][0] < time + self.interval_ms:
                now.append(due.popleft())
            new = [one for one in now if before is None or one[0] > before]
            if market.funded:
                known = market.stream._funding[0].last
                for at, rate in new:
                    if known is None or at > known:
                        market.stream.settle(at, rate)
            features = market.advance(times[time])
            if features is None or time not in decided:
                continue
            digest, *said, entries = decided[time]
            if row_digest(features) != digest:
                raise FileError(
                    f"live log {str(self._store.path)!r}: features of {market.symbol} at {show_time(time)} come out "
                    "otherwise than they were logged; the code or the file has changed, begin a new session"
                )
            if market.watch is not None:
                names = ("long", "short", "exit_long", "exit_short")
                told_signals = {
                    name: np.nan if value is None else value
                    for name, value in zip(names, said, strict=True)
                    if name in market.arrays
                }
                bar = times[time][market.symbol]
                prices = tuple(bar.values())[1:5] if isinstance(bar, dict) else bar[1:5]
                market.watch.update(
                    features, told_signals, time=time * 1000, bar=prices, entries=entries
                )

    # Bars ---------------------------------------------------------------------------------------------------

    def on_bar(self, bar: Any) -> Any:
        """Take a closed bar.

        Parameters
        ----------
        bar : Bar, six values or mapping; a mapping of symbol to bar where there are several
            As :meth:`barproof.FeatureStream.update` takes it; a mapping may say ``symbol``, ``interval``,
            ``close_time``, ``server_time`` and ``funding`` too.

        Returns
        -------
        Decision, or dict of str to Decision
            For several symbols those that are complete now: a time is decided when every symbol has shown its bar of
            that time or a later one. A bar that was taken before gives the decision of then.

        Raises
        ------
        CandleError
            If the bar is no sound closed bar of the session that comes next; nothing has changed then.
        FundingError
            If a settlement comes after the bar that it belongs to.
        LayoutError
            If it is no bar.
        FileError
            If the log cannot be written; nothing has changed then.
        """
        if self._broken is not None:
            raise FileError(
                f"the session cannot go on: {self._broken}; make it again from its state folder"
            )
        if self._alone:
            (symbol,) = self.feeds
            if isinstance(bar, Mapping) and "open_time" not in bar:
                bar = self._only(bar, symbol)
            return self._one(symbol, bar)
        if not isinstance(bar, Mapping):
            raise LayoutError(
                f"a bar of a session of {len(self.feeds)} symbols must be a mapping of symbol to bar, was "
                f"{type(bar).__name__}: such as {{{self.feeds[0]!r}: bar}}"
            )
        if "open_time" in bar:
            bar = {str(bar.get("symbol")): bar}
        return self._several(bar)

    def _only(self, bar: Mapping[str, Any], symbol: str) -> Any:
        if set(bar) != {symbol}:
            raise CandleError(
                f"bars of {', '.join(map(str, bar)) or 'no symbol'} do not belong to the session of {symbol}: feed "
                "that symbol"
            )
        return bar[symbol]

    def _read(self, symbol: str, bar: Any) -> Arrival:
        """Read a bar, and hold it against the clock."""
        if symbol not in self.last:
            raise CandleError(
                f"bar of {symbol} does not belong to the session of {', '.join(self.feeds[:5])}: leave it out"
            )
        if isinstance(bar, Mapping):
            told = bar.get("symbol", symbol)
            if told != symbol:
                raise CandleError(
                    f"bar of {told} does not belong to the session of {symbol}: feed that symbol"
                )
            length = bar.get("interval")
            if length is not None and parse_interval(length) != self.interval_ms:
                raise CandleError(
                    f"bar of {symbol} is {length} long, the session runs on {format_interval(self.interval_ms)}: feed "
                    "bars of the session's interval"
                )
            if bar.get("server_time") is not None:
                self.report_time(bar["server_time"])
        arrival = read_bar(bar, symbol, self.interval_ms)
        check_closed(arrival.values[0], symbol, self.interval_ms, self._clock())
        return arrival

    def _one(self, symbol: str, bar: Any) -> Decision:
        arrival = self._read(symbol, bar)
        time = arrival.values[0]
        last = self.last[symbol]
        if last is not None and time <= last:
            return self._known(symbol, arrival)
        if self._on_grid:
            check_place(time, symbol, self.interval_ms, self._anchor[symbol])
        self._check_funding(symbol, arrival)
        if last is not None and time > last + self.interval_ms:
            self._bridge(symbol, last, time)
        try:
            (decision,) = self._clock_done(time, {symbol: arrival}).values()
        except BaseException as error:
            self._recover(error)
            raise
        self._taken = (arrival, decision)
        return decision

    def _several(self, bars: Mapping[str, Any]) -> dict[str, Decision]:
        out: dict[str, Decision] = {}
        taken: list[tuple[str, Arrival]] = []
        for symbol, bar in bars.items():
            arrival = self._read(symbol, bar)
            time = arrival.values[0]
            newest = self._newest(symbol)
            if newest is not None and time <= newest:
                known = self._repeated(symbol, arrival)
                if known is not None:
                    out[symbol] = known
                continue
            if self._settled is not None and time <= self._settled:
                raise CandleError(
                    f"bar of {symbol} at {show_time(time)} comes after the time {show_time(self._settled)} was "
                    "decided without it: wait longer with a larger `patience`"
                )
            if self._on_grid:
                check_place(time, symbol, self.interval_ms, self._anchor[symbol])
            self._check_funding(symbol, arrival)
            if newest is not None and time > newest + self.interval_ms and self._gap == "raise":
                self._refuse_gap(symbol, newest, time)
            taken.append((symbol, arrival))
        for symbol, arrival in taken:
            newest = self._newest(symbol)
            if newest is not None and arrival.values[0] > newest + self.interval_ms:
                self._note_gap(symbol, newest, arrival.values[0])
                if callable(self._gap):
                    for one in self._gap(symbol, newest + self.interval_ms, arrival.values[0]):
                        between = self._read(symbol, one)
                        self._waiting[symbol].append(between)
            self._waiting[symbol].append(arrival)
        return out | self._release(everything=False)

    def flush(self) -> dict[str, Decision]:
        """Give up waiting: symbols that have no bar so far have none.

        Returns
        -------
        dict of str to Decision
            The last of each symbol that was decided.
        """
        return self._release(everything=True)

    def _newest(self, symbol: str) -> int | None:
        waiting = self._waiting[symbol]
        return waiting[-1].values[0] if waiting else self.last[symbol]

    def _release(self, *, everything: bool) -> dict[str, Decision]:
        out: dict[str, Decision] = {}
        while True:
            heads = [held[0].values[0] for held in self._waiting.values() if held]
            if not heads:
                return out
            time = min(heads)
            if not everything and any(self._may_come(name, time) for name in self.feeds):
                return out
            there = {
                name: held[0]
                for name, held in self._waiting.items()
                if held and held[0].values[0] == time
            }
            try:
                out |= self._clock_done(time, there)
            except BaseException as error:
                self._recover(error)
                raise
            for name in there:
                self._waiting[name].popleft()

    def _may_come(self, name: str, time: int) -> bool:
        newest = self._newest(name)
        if newest is not None and newest >= time:
            return False
        if self._patience is None:
            return True
        ahead = max(t for t in map(self._newest, self.feeds) if t is not None)
        return ahead < time + self._patience * self.interval_ms

    def _known(self, symbol: str, arrival: Arrival) -> Decision:
        """Give the decision of a bar that was taken before."""
        found = self._repeated(symbol, arrival)
        if found is None:
            raise CandleError(
                f"bar of {symbol} at {show_time(arrival.values[0])} comes out of order: the last one is of "
                f"{show_time(self.last[symbol] or 0)}, and no decision is known of it; feed bars in time order"
            )
        return found

    def _repeated(self, symbol: str, arrival: Arrival) -> Decision | None:
        time = arrival.values[0]
        if self._taken is not None and self._taken[0].values[0] == time and self._alone:
            held: tuple[Any, ...] | None = self._taken[0].values[1:]
            decision: Decision | None = self._taken[1]
        elif self._store is not None:
            held = self._store.bar(symbol, time * 1000)
            text = self._store.decision(symbol, time * 1000)
            decision = None if text is None else Decision.from_json(text)
        else:
            held, decision = None, None
            waiting = [one for one in self._waiting[symbol] if one.values[0] == time]
            if waiting:
                held = waiting[0].values[1:]
        if held is not None and tuple(held) != tuple(arrival.values[1:]):
            raise CandleError(
                f"bar of {symbol} at {show_time(time)} was seen with other values: open, high, low, close, volume "
                f"{_numbers(held)}, now {_numbers(arrival.values[1:])}; a closed bar does not change, find out which "
                "is right"
            )
        return decision

    def _refuse_gap(self, symbol: str, last: int, time: int) -> NoReturn:
        missing = (time - last) // self.interval_ms - 1
        raise CandleError(
            f"bar of {symbol} at {show_time(time)} leaves out {missing:,} after {show_time(last)}: feed them first, or "
            'say gap="accept" or how to catch up'
        )

    def _note_gap(self, symbol: str, last: int, time: int) -> None:
        missing = (time - last) // self.interval_ms - 1
        kind = "catch_up" if callable(self._gap) else "gap"
        self._note(kind, symbol, {"after": last * 1000, "before": time * 1000, "bars": missing})

    def _bridge(self, symbol: str, last: int, time: int) -> None:
        """Refuse, accept or fill a gap of the only symbol."""
        if self._gap == "raise":
            self._refuse_gap(symbol, last, time)
        self._note_gap(symbol, last, time)
        if callable(self._gap):
            for one in self._gap(symbol, last + self.interval_ms, time):
                between = self._read(symbol, one)
                newest = self.last[symbol]
                assert newest is not None
                if not newest < between.values[0] < time:
                    raise CandleError(
                        f"bar of {symbol} at {show_time(between.values[0])} that `gap` gave does not lie between "
                        f"{show_time(newest)} and {show_time(time)}: give the bars that are missing, in order"
                    )
                self._check_funding(symbol, between)
                try:
                    self._clock_done(between.values[0], {symbol: between})
                except BaseException as error:
                    self._recover(error)
                    raise

    def _for_stream(self, market: LiveMarket, arrival: Arrival) -> Any:
        """Give a bar as the stream takes it; settlements go beside it."""
        if market.plain:
            return arrival.values
        time, o, h, low, c, volume = arrival.values
        fields = {"open_time": time, "open": o, "high": h, "low": low, "close": c, "volume": volume}
        return {**fields, **arrival.extra, "funding": ()}

    def _clock_done(self, time: int, there: Mapping[str, Arrival]) -> dict[str, Decision]:
        """Decide one time: features, models, accounts, and one transaction."""
        asked: dict[int, list[tuple[LiveMarket, Any]]] = {}
        for name, arrival in there.items():
            if arrival.funding and self._is_news(name, arrival):
                self._take_funding(self._markets[name], arrival.funding)
        for market in self._markets.values():
            bars = {
                name: self._for_stream(market, there[name])
                for name in market.feeds
                if name in there
            }
            row = market.advance(bars)
            if row is not None:
                asked.setdefault(id(market.bundle), []).append((market, row))
        now = self._clock()
        decisions: dict[str, Decision] = {}
        rows: dict[str, list[Any]] = {"decisions": [], "trades": [], "accounts": []}
        for group in asked.values():
            answers = signals_together([market for market, _ in group])
            for (market, row), said in zip(group, answers, strict=True):
                bar = there[market.symbol].values
                decision, trades, entries = market.decide(bar, row, said, now, self._code)
                decisions[market.symbol] = decision
                if self._store is not None:
                    self._rows_of(rows, market, decision, row, trades, entries)
        ordered = {name: decisions[name] for name in self.symbols if name in decisions}
        for name in there:
            self.last[name] = time
            if self._anchor[name] is None:
                self._anchor[name] = time % self.interval_ms
        self._settled = time
        self._clocks += 1
        if self._store is not None:
            self._write(time, there, rows)
        self._events.clear()
        return ordered

    def _rows_of(
        self,
        rows: dict[str, list[Any]],
        market: LiveMarket,
        decision: Decision,
        row: Any,
        trades: dict[str, Any] | None,
        entries: int,
    ) -> None:
        """Rows of the log for one decision."""
        d = decision
        blob = row.astype("<f8").tobytes() if self._log_features else None
        rows["decisions"].append(
            (
                d.symbol,
                d.open_time * 1000,
                d.close_time * 1000,
                d.decided_at * 1000,
                d.features,
                blob,
                d.p_long,
                d.p_short,
                d.p_exit_long,
                d.p_exit_short,
                None,
                d.position,
                d.equity,
                d.withheld,
                entries,
                d.model,
                d.rules,
                d.code,
                d.to_json(),
            )
        )
        rows["accounts"].append((d.symbol, d.open_time * 1000, market.save_account()))
        if trades is not None:
            rows["trades"] += _trade_rows(d.symbol, trades)
        if d.withheld is not None:
            self._note("withheld", d.symbol, {"reason": d.withheld}, d.open_time)

    def _write(self, time: int, there: Mapping[str, Arrival], rows: dict[str, list[Any]]) -> None:
        assert self._store is not None
        rows["bars"] = [
            (
                name,
                one.values[0] * 1000,
                *one.values[1:],
                one.extra.get("taker_buy_volume"),
                json.dumps(one.extra) if one.extra else None,
            )
            for name, one in there.items()
        ]
        # Not all at once: of many symbols a few are saved at each clock.
        rows["checkpoints"] = [
            (name, time * 1000, market.save_features())
            for k, (name, market) in enumerate(self._markets.items())
            if (self._clocks + k * 7) % self._every == 0
        ]
        rows["events"] = list(self._events)
        self._store.commit(rows, clock=time * 1000, body=json.dumps(self._own_state()).encode())

    def _note(
        self, kind: str, symbol: str | None, body: dict[str, Any], time: int | None = None
    ) -> None:
        """Keep an event for the next transaction."""
        self._sequence += 1
        at = self._clock() if time is None else time
        self._events.append((self._sequence, at * 1000, kind, symbol, json.dumps(body)))

    def _write_events(self) -> None:
        if self._store is not None and self._events:
            self._store.commit({"events": self._events})
        self._events.clear()

    def _recover(self, error: BaseException) -> None:
        """Stand where the last transaction stood, after something failed on the way to the next."""
        waiting = self._waiting
        if self._store is None:
            self._broken = f"{type(error).__name__} at a bar, and no state folder to go back to"
            return
        try:
            self._fresh()
            self._resume()
            self._waiting = waiting
            self._taken = None
        except Exception as second:
            self._broken = (
                f"{type(error).__name__} at a bar, and its state cannot be read: {second}"
            )

    # Funding, models, fills ---------------------------------------------------------------------------------

    def _check_funding(self, symbol: str, arrival: Arrival) -> None:
        if arrival.funding and self._is_news(symbol, arrival):
            self._late(self._markets[symbol], arrival.funding)

    def _is_news(self, symbol: str, arrival: Arrival) -> bool:
        """Whether a bar tells of a settlement that is not known: most repeat the last two."""
        market = self._markets.get(symbol)
        if market is None:
            return False
        known = market.settlements.last
        return known is None or arrival.funding[-1][0] >= known + 500

    def _late(self, market: LiveMarket, found: Iterable[tuple[int, float]]) -> None:
        """Refuse settlements of bars that were taken."""
        if market.instrument.kind != "perpetual" or self._funding == "none":
            return
        last = self.last[market.symbol]
        known = market.settlements.last
        for time, _ in found:
            at = (time + 500) // 1000 * 1000
            if known is not None and at <= known:
                continue
            if last is None:
                continue
            bound = last + (self.interval_ms - 1 if market.funded else 0)
            if at <= bound and self._has_decided(market):
                raise FundingError(
                    f"settlement of {market.symbol} at {show_time(at)} comes after the bar of {show_time(last)} was "
                    "taken, which would have known it: tell settlements before the bar that follows them"
                )

    def _has_decided(self, market: LiveMarket) -> bool:
        return market.account.bars > 0

    def _take_funding(self, market: LiveMarket, found: Iterable[tuple[int, float]]) -> None:
        if market.instrument.kind != "perpetual" or self._funding == "none":
            return
        for time, rate in market.settle(list(found)):
            self._note(
                "funding",
                market.symbol,
                {"funding_time": time * 1000, "funding_rate": rate},
                time,
            )

    def settle(
        self, funding_time: int | datetime, funding_rate: float, *, symbol: str | None = None
    ) -> None:
        """Take a settlement of funding, before the bar that follows it.

        Parameters
        ----------
        funding_time : int or datetime
            Milliseconds UTC; rounded to the nearest second, as in candles.
        funding_rate : float
            A fraction; positive where longs pay shorts.
        symbol : str, optional
            Whose; needed where there are several.

        Raises
        ------
        FundingError
            If it is late, known already, or the market pays none.
        """
        name = self._symbol(symbol)
        market = self._markets[name]
        if market.instrument.kind != "perpetual" or self._funding == "none":
            raise FundingError(
                f"settlement of {name} is not expected: the session runs without funding; leave it out"
            )
        from barproof.features._bar_reading import milliseconds
        from barproof.features.settlements import told

        at = milliseconds(funding_time, name)
        found = told({"funding": [(at, funding_rate)]}, name) or []
        self._late(market, found)
        if (
            market.settlements.last is not None
            and (at + 500) // 1000 * 1000 <= market.settlements.last
        ):
            raise FundingError(
                f"settlement of {name} at {show_time(at)} does not come after the last one, of "
                f"{show_time(market.settlements.last)}: give each once, in order"
            )
        self._take_funding(market, found)
        if self._store is not None:
            self._store.commit(
                {
                    "events": self._events,
                    "accounts": [(name, self._micro(self.last[name]), market.save_account())],
                }
            )
        self._events.clear()

    def _symbol(self, symbol: str | None) -> str:
        if symbol is None and len(self.symbols) == 1:
            return self.symbols[0]
        if symbol not in self._markets:
            raise ParameterError(
                f"`symbol` must be one of {', '.join(self.symbols[:5])}, was {symbol!r}"
            )
        return str(symbol)

    def roll(
        self, bundle: Bundle, *, rules: Rules | None = None, symbol: str | None = None
    ) -> None:
        """Change the model, and the rules if given, from the next bar on; recorded in the log.

        A position keeps the rules of its signal bar, as in a schedule of :func:`barproof.backtest`. Where the session
        is made again from its state, give the bundle and the rules that are in force.

        Parameters
        ----------
        bundle : Bundle
            Trained on the session's features, or some of them.
        rules : Rules, optional
            In force for all symbols from now on. ATR and volatility must be measured as before.
        symbol : str, optional
            Whose model. Default: of all.

        Raises
        ------
        BundleError
            If the bundle needs other features.
        RulesError
            If the rules need what the session does not measure.
        LayoutError
            If it is no bundle.
        """
        if not isinstance(bundle, Bundle):
            raise LayoutError(
                f"`bundle` of roll(...) must be a Bundle, was {type(bundle).__name__}: see run.bundles"
            )
        names = self.symbols if symbol is None else (self._symbol(symbol),)
        book = list(self._rules)
        if rules is not None:
            book.append(rules)
        new: dict[str, Any] = {}
        for name, market in self._markets.items():
            changed = bundle if name in names else market.bundle
            lacking = [one for one in changed.features if one not in market.names]
            if lacking:
                raise BundleError(
                    f"the bundle needs {len(lacking)} features that the session of {name} does not compute, first "
                    f"`{lacking[0]}`: begin another session with it"
                )
            feeding: dict[str, None] = {}
            for one in book:
                feeding |= dict.fromkeys(arrays_of(changed, one))
            fresh = market.new_account(book, list(feeding))
            try:
                new[name] = fresh.loaded(market.account.save())
            except RulesError as error:
                raise RulesError(
                    f"`rules` of roll(...) need an ATR or a volatility that the session of {name} has not measured "
                    "from its start: keep `atr_period` and `vol_window`, or begin another session"
                ) from error
            new[name].choose(len(book) - 1)
        self._rules = book
        for name, market in self._markets.items():
            market.use(bundle if name in names else market.bundle, book)
            market.account = new[name]
            self._bundles[name] = market.bundle
            if name in names:
                self._note(
                    "roll",
                    name,
                    {
                        "bundle": market.model,
                        "rules": market.rules_digest,
                        "after": self._micro(self.last[name]),
                    },
                )
        if self._store is not None:
            accounts = [
                (name, self._micro(self.last[name]), one.save_account())
                for name, one in self._markets.items()
            ]
            self._store.commit(
                {"events": self._events, "accounts": accounts}, session=self._facts()
            )
        self._events.clear()

    def on_fill(
        self,
        side: Literal["buy", "sell"],
        price: float,
        quantity: float,
        *,
        time: int | datetime | None = None,
        fee: float = 0.0,
        reason: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Record a real fill beside the paper account.

        Parameters
        ----------
        side : {"buy", "sell"}
            Of the order.
        price, quantity : float
            In quote, and in units of the base.
        time : int or datetime, optional
            Milliseconds UTC. Default: now.
        fee : float, default 0
            Paid, in quote.
        reason : str, optional
            Such as "entry", "stop", "take".
        symbol : str, optional
            Whose; needed where there are several.

        Raises
        ------
        ParameterError, LayoutError
            If a value is out of its bounds.
        """
        from barproof.features._bar_reading import milliseconds

        name = self._symbol(symbol)
        if side not in ("buy", "sell"):
            raise ParameterError(f'`side` of a fill must be "buy" or "sell", was {side!r}')
        for what, value in (("price", price), ("quantity", quantity)):
            if not (isinstance(value, (int, float)) and 0.0 < value < float("inf")):
                raise ParameterError(f"`{what}` of a fill must be finite and > 0, was {value!r}")
        at = self._clock() if time is None else milliseconds(time, name)
        paper = self._paper_price(name, side)
        body = {
            "time": at * 1000,
            "side": side,
            "price": float(price),
            "quantity": float(quantity),
            "fee": float(fee),
            "reason": reason,
            "paper_price": paper,
        }
        self._note("fill", name, body, at)
        self._write_events()

    def _paper_price(self, name: str, side: str) -> float | None:
        """Give what the paper account assumes for an order on this side, before slippage."""
        decision = self._markets[name].last_decision
        if decision is None:
            return None
        if decision.entry_zone is None:
            return None
        buys = decision.side == "long"
        return decision.entry_zone[0 if buys else 1] if (side == "buy") == buys else None

    def report_time(self, server_time: int) -> int:
        """Compare the clock with that of the feed; a skew beyond `max_skew` is logged.

        Parameters
        ----------
        server_time : int
            Milliseconds UTC by the feed, now.

        Returns
        -------
        int
            Milliseconds by which the session's clock is ahead.

        Raises
        ------
        LayoutError
            If it is no number.
        """
        if isinstance(server_time, bool) or not isinstance(server_time, (int, float)):
            raise LayoutError(
                f"`server_time` must be milliseconds UTC, was {server_time!r}: such as 1704067200000"
            )
        skew = self._clock() - int(server_time)
        told = self.skew is not None and abs(self.skew) > self._max_skew
        if (abs(skew) > self._max_skew) != told:
            self._note("skew", None, {"milliseconds": skew})
            self._write_events()
        self.skew = skew
        return skew

    # Looking ------------------------------------------------------------------------------------------------

    def decision(self, symbol: str | None = None) -> Decision | None:
        """Give the last decision of a symbol.

        Parameters
        ----------
        symbol : str, optional
            Whose; needed where there are several.

        Returns
        -------
        Decision or None
            None before the first.
        """
        return self._markets[self._symbol(symbol)].last_decision

    def log(self) -> Any:
        """Read the log, as of the last transaction.

        Returns
        -------
        LiveLog
            For :func:`barproof.parity` and :func:`barproof.audit`.

        Raises
        ------
        FileError
            If the session keeps no state.
        """
        if self._store is None:
            raise FileError("a session with state=None keeps no log: give it a folder")
        from importlib import import_module

        return import_module("barproof.live.log").LiveLog.read(self._store.folder)

    def close(self) -> None:
        """Let go of the file; the session ends, its state stays."""
        if getattr(self, "_store", None) is not None:
            self._store.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        last = max((t for t in self.last.values() if t is not None), default=None)
        upto = "no bars yet" if last is None else f"up to {show_time(last)}"
        return f"LiveSession({', '.join(self.symbols[:5])}, {format_interval(self.interval_ms)}, {upto})"


def _markets(
    bundle: Any, candles: Any, symbol: str | None
) -> tuple[dict[str, Bundle], dict[str, Candles]]:
    """Bundles and candles by symbol."""
    if isinstance(bundle, Bundle):
        if symbol is None:
            symbol = candles.symbol if isinstance(candles, Candles) else None
        if symbol is None:
            symbol = "UNKNOWN"
        bundles = {symbol: bundle}
    elif isinstance(bundle, Mapping) and bundle:
        bundles = {str(name): one for name, one in bundle.items()}
    else:
        raise LayoutError(
            f"`bundle` must be a Bundle or a dict of symbol to Bundle, was {type(bundle).__name__}: see run.bundles"
        )
    for name, one in bundles.items():
        if not isinstance(one, Bundle):
            raise LayoutError(
                f"`bundle` of {name} must be a Bundle, was {type(one).__name__}: see run.bundles"
            )
    if candles is None:
        return bundles, {}
    books = {next(iter(bundles)): candles} if isinstance(candles, Candles) else candles
    if not isinstance(books, Mapping) or not all(isinstance(c, Candles) for c in books.values()):
        raise LayoutError(
            f"`candles` of a live session must be Candles or a dict of symbol to Candles, was {type(candles).__name__}"
        )
    return bundles, dict(books)


def _trade_rows(symbol: str, trades: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    columns = []
    for name in TRADE_COLUMNS:
        values = trades[name]
        values = values.tolist() if hasattr(values, "tolist") else list(values)
        if name in ("entry_time", "exit_time"):
            values = [value * 1000 for value in values]
        columns.append(values)
    return [(symbol, *row) for row in zip(*columns, strict=True)]


def _numbers(values: Any) -> str:
    return ", ".join(f"{value!r}" for value in values)


def _short(told: Any, mine: Any) -> str:
    """Say what differs, and what it is now."""
    if isinstance(told, dict) and isinstance(mine, dict):
        for key in told:
            if told[key] != mine.get(key):
                return f"{key}={told[key]!r}, not {mine.get(key)!r}"
    return f"{told!r}, not {mine!r}"
