"""Where a session stands, and one bar clock of it: features, models, accounts, and one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from barproof.candles import Candles
from barproof.candles.interval import format_interval
from barproof.candles.table import show_time
from barproof.errors import ParameterError
from barproof.live.accounts import Accounts
from barproof.live.arrivals import Arrival, check_closed
from barproof.live.asking import signals_together
from barproof.live.decision import Decision
from barproof.live.market import LiveMarket
from barproof.live.rows import bar_row, decision_row, trade_rows
from barproof.live.settling import is_news, take_funding
from barproof.live.shared import SharedAccounts
from barproof.live.state import Store
from barproof.live.terms import Terms

__all__ = ["WHOLE", "Stepper", "for_stream", "micro"]

WHOLE = ""
"""Where the log keeps the account that all symbols share, among the accounts by symbol."""


def micro(time: int | None) -> int:
    """Microseconds; before the first bar, earlier than any."""
    return -(1 << 62) if time is None else time * 1000


def for_stream(market: LiveMarket, arrival: Arrival) -> Any:
    """Give a bar as the stream takes it; settlements go beside it."""
    if market.plain:
        return arrival.values
    time, o, h, low, c, volume = arrival.values
    fields = {"open_time": time, "open": o, "high": h, "low": low, "close": c, "volume": volume}
    return {**fields, **arrival.extra, "funding": ()}


class Stepper:
    """Markets and accounts between two bar clocks, and the step from one to the next.

    Attributes
    ----------
    markets : dict of str to LiveMarket
        By symbol.
    accounts : Accounts
        Of all symbols.
    feeds : tuple of str
        Symbols whose bars are needed.
    last, anchor : dict of str to int or None
        Opening time of the last bar, and its place on the grid, by feed.
    settled : int or None
        Last time that was decided.
    """

    def __init__(self, terms: Terms, store: Store | None) -> None:
        self.terms, self.store = terms, store
        self.fresh()

    def fresh(self) -> None:
        """Know nothing."""
        terms = self.terms
        of_all = terms.costs, terms.instruments, terms.interval_ms, terms.initial_equity
        self.accounts = (
            Accounts(*of_all)
            if terms.account == "own"
            else SharedAccounts(*of_all, terms.max_positions, terms.max_gross)
        )
        self.markets: dict[str, LiveMarket] = {}
        for name, bundle in terms.bundles.items():
            self.markets[name] = market = LiveMarket(
                name,
                bundle,
                terms.book,
                names=terms.names.get(name, list(bundle.features)),
                instrument=terms.instruments[name],
                interval_ms=terms.interval_ms,
                features=terms.features,
                watch=None if terms.watch is None else terms.watch.fresh(),
            )
            self.accounts.begin(name, terms.book, market.fed)
        feeds = dict.fromkeys(terms.symbols)
        for market in self.markets.values():
            feeds |= dict.fromkeys(market.feeds)
        self.feeds = tuple(feeds)
        self.last: dict[str, int | None] = dict.fromkeys(self.feeds)
        self.anchor: dict[str, int | None] = dict.fromkeys(self.feeds)
        self.settled: int | None = None
        self.history: dict[str, int] = {}
        self.sequence = 0
        self.events: list[tuple[Any, ...]] = []
        self._clocks = 0

    # Beginning ----------------------------------------------------------------------------------------------

    def warm(self, books: Mapping[str, Candles]) -> None:
        """Take history: features and what rules measure know it, nothing is decided on it."""
        lacking = [name for name in self.feeds if name not in books]
        if lacking:
            raise ParameterError(
                f"`candles` lack {', '.join(lacking)} of the {len(self.feeds)} symbols whose bars the session needs: "
                "give a dict of symbol to Candles"
            )
        interval_ms = self.terms.interval_ms
        for name in self.feeds:
            if books[name].interval_ms != interval_ms:
                raise ParameterError(
                    f"`candles` of {name} have bars of {books[name].interval}, the session of "
                    f"{format_interval(interval_ms)}: resample them"
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
        check_closed(end, self.feeds[0], interval_ms, self.terms.clock())
        for name, market in self.markets.items():
            market.warm({feed: books[feed] for feed in market.feeds})
            self.accounts.warm(name, books[name]._bars)
        for name in self.feeds:
            self.last[name] = end
            self.anchor[name] = end % interval_ms
            self.history[name] = int(books[name].open_time[0]) * 1000
        self.settled = end

    def facts(self) -> dict[str, Any]:
        """Gather what a session is, as its log says it."""
        first = next(iter(self.markets.values()))
        return {
            **self.terms.facts(),
            "feeds": list(self.feeds),
            "bundle_digest": first.model,
            "bundle_digests": {name: one.model for name, one in self.markets.items()},
            "features": list(first.names),
            "features_by_symbol": {name: list(one.names) for name, one in self.markets.items()},
            "features_digest": first.feature_set,
            "history_from": self.history,
        }

    def write_beginning(self) -> None:
        """Write a new log's first transaction."""
        assert self.store is not None
        at = micro(self.settled)
        rows: dict[str, Any] = {
            "checkpoints": [(name, at, one.save_features()) for name, one in self.markets.items()],
            "accounts": [(name, at, self.saved(name)) for name in self.markets] + self._whole(at),
        }
        self.store.commit(rows, clock=at, body=self._own_state(), session=self.facts())

    def _own_state(self) -> bytes:
        return json.dumps({"last": self.last, "anchor": self.anchor}).encode()

    def saved(self, symbol: str) -> bytes:
        """Give the account of a symbol, and what waits for its next bar."""
        return self.markets[symbol].save_account(self.accounts.save(symbol))

    def _whole(self, at: int) -> list[tuple[str, int, bytes]]:
        """Row of the account that all symbols share, if they do."""
        held = self.accounts
        return [(WHOLE, at, held.save_whole())] if isinstance(held, SharedAccounts) else []

    # One time -----------------------------------------------------------------------------------------------

    def step(self, time: int, there: Mapping[str, Arrival]) -> dict[str, Decision]:
        """Decide one time: features, models, accounts, and one transaction."""
        groups: dict[int, list[tuple[LiveMarket, Any]]] = {}
        for name, arrival in there.items():
            if arrival.funding and is_news(self, name, arrival):
                take_funding(self, self.markets[name], arrival.funding)
        for market in self.markets.values():
            bars = {name: for_stream(market, there[name]) for name in market.feeds if name in there}
            row = market.advance(bars)
            if row is not None:
                groups.setdefault(id(market.bundle), []).append((market, row))
        now, code = self.terms.clock(), self.terms.code
        asked = []
        for group in groups.values():
            answers = signals_together([market for market, _ in group])
            for (market, row), said in zip(group, answers, strict=True):
                bar = there[market.symbol].values
                asked.append((market, row, said, market.ask(bar, row, said)))
        after = self.accounts.step({market.symbol: told[0] for market, _, _, told in asked})
        decisions: dict[str, Decision] = {}
        rows: dict[str, list[Any]] = {"decisions": [], "trades": [], "accounts": []}
        for market, row, said, (told, withheld, entries) in asked:
            name = market.symbol
            decision = market.decide(told.bar, row, said, after[name], withheld, now, code)
            decisions[name] = decision
            if self.store is None:
                continue
            kept = row if self.terms.log_features else None
            rows["decisions"].append(decision_row(decision, kept, entries))
            rows["accounts"].append((name, time * 1000, self.saved(name)))
            if after[name][2] is not None:
                rows["trades"] += trade_rows(name, after[name][2])
            if withheld is not None:
                self.note("withheld", name, {"reason": withheld}, time)
        if isinstance(self.accounts, SharedAccounts):
            self._together(self.accounts, rows, time)
        ordered = {name: decisions[name] for name in self.terms.symbols if name in decisions}
        for name in there:
            self.last[name] = time
            if self.anchor[name] is None:
                self.anchor[name] = time % self.terms.interval_ms
        self.settled = time
        self._clocks += 1
        if self.store is not None:
            self._write(self.store, time, there, rows)
        self.events.clear()
        return ordered

    def _together(self, account: SharedAccounts, rows: dict[str, list[Any]], time: int) -> None:
        """Write what a shared account says beside its symbols: refused entries, trades that ruin ended."""
        if self.store is None:
            return
        for one in account.refused:
            self.note(
                "refused", one["symbol"], {k: v for k, v in one.items() if k != "symbol"}, time
            )
        for name, trades in account.ended:
            rows["trades"] += trade_rows(name, trades)
        rows["accounts"] += self._whole(time * 1000)

    def _write(
        self, store: Store, time: int, there: Mapping[str, Arrival], rows: dict[str, list[Any]]
    ) -> None:
        rows["bars"] = [bar_row(name, one) for name, one in there.items()]
        # Not all at once: of many symbols a few are saved at each clock.
        rows["checkpoints"] = [
            (name, time * 1000, market.save_features())
            for k, (name, market) in enumerate(self.markets.items())
            if (self._clocks + k * 7) % self.terms.checkpoint_bars == 0
        ]
        rows["events"] = list(self.events)
        store.commit(rows, clock=time * 1000, body=self._own_state())

    # Between times ------------------------------------------------------------------------------------------

    def note(
        self, kind: str, symbol: str | None, body: dict[str, Any], time: int | None = None
    ) -> None:
        """Keep an event for the next transaction."""
        self.sequence += 1
        at = self.terms.clock() if time is None else time
        self.events.append((self.sequence, at * 1000, kind, symbol, json.dumps(body)))

    def write_events(self, accounts: Any = (), session: dict[str, Any] | None = None) -> None:
        """Write the events, and the accounts of some symbols with them."""
        rows = {"events": self.events} | (
            {
                "accounts": [(n, micro(self.last[n]), self.saved(n)) for n in accounts]
                + self._whole(micro(self.settled))
            }
            if accounts
            else {}
        )
        if self.store is not None and (self.events or accounts):
            self.store.commit(rows, session=session)
        self.events.clear()
