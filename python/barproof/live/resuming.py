"""A session that finds a state: whether it is its own, and where it stood."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping
from typing import Any

import numpy as np

from barproof.candles.table import show_time
from barproof.errors import BundleError, FileError, ParameterError
from barproof.live.arrivals import Arrival
from barproof.live.decision import Decision
from barproof.live.identity import row_digest
from barproof.live.market import LiveMarket
from barproof.live.shared import SharedAccounts
from barproof.live.state import Store
from barproof.live.stepping import WHOLE, Stepper, for_stream, micro
from barproof.live.terms import Terms
from barproof.rules import Rules

__all__ = ["check_features", "check_same", "resume"]


def check_features(terms: Terms, store: Store, known: Mapping[str, str]) -> None:
    """Compute what the state computes; refuse bundles that need more."""
    told = json.loads(known["features_by_symbol"])
    for name, bundle in terms.bundles.items():
        lacking = [one for one in bundle.features if one not in told.get(name, ())]
        if name in told and lacking:
            raise BundleError(
                f"state {str(store.folder)!r} is of another feature set: it computes "
                f"{len(told[name])} features of {name}, and not `{lacking[0]}`, which the bundle needs; give "
                "the bundle that it was begun with, or another folder"
            )
    terms.names = told


def check_same(of: Stepper, store: Store, known: Mapping[str, str]) -> None:
    """Refuse a state of something else, and take its book of rules."""
    mine = of.facts()
    told = {key: json.loads(value) for key, value in known.items() if key != "format"}
    where = f"state {str(store.folder)!r}"
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
    _check_account(where, told, mine)
    of.terms.book = [Rules(**fields) for fields in told["book"]]
    if len(of.terms.book) > 1:
        of.fresh()


def _check_account(where: str, told: Mapping[str, Any], mine: Mapping[str, Any]) -> None:
    for key in ("account", "max_positions", "max_gross"):
        before, now = told.get(key), mine.get(key)
        if before != now:
            before, now = (before or "own", now or "own") if key == "account" else (before, now)
            raise ParameterError(
                f"{where} was begun with {key}={before!r}, not {now!r}: give the same, or another folder"
            )


def _short(told: Any, mine: Any) -> str:
    """Say what differs, and what it is now."""
    if isinstance(told, dict) and isinstance(mine, dict):
        for key in told:
            if told[key] != mine.get(key):
                return f"{key}={told[key]!r}, not {mine.get(key)!r}"
    return f"{told!r}, not {mine!r}"


def resume(of: Stepper, store: Store) -> None:
    """Stand where the last transaction stood."""
    clock, body = store.state()
    accounts, checkpoints = store.bodies("accounts"), store.bodies("checkpoints")
    lacking = [n for n in of.terms.symbols if n not in accounts or n not in checkpoints]
    if clock is None or lacking:
        raise FileError(
            f"live log {str(store.path)!r} holds no state of {', '.join(lacking) or 'any symbol'}: restore "
            "the folder from a copy, or give another"
        )
    if isinstance(of.accounts, SharedAccounts):
        if WHOLE not in accounts:
            raise FileError(
                f"live log {str(store.path)!r} holds no state of the shared account: restore the folder from a copy, "
                "or give another"
            )
        of.accounts.load_whole(accounts[WHOLE][1])
    told = json.loads(body)
    of.last = {name: told["last"][name] for name in of.feeds}
    of.anchor = {name: told["anchor"][name] for name in of.feeds}
    of.settled = None if clock == micro(None) else clock // 1000
    of.history = json.loads(store.session()["history_from"])
    of.sequence = store.count_events()
    funding = store.events("funding")
    for name, market in of.markets.items():
        since, saved = checkpoints[name]
        market.load_features(saved)
        _again(of, store, market, since, funding)
        of.accounts.load(name, market.load_account(accounts[name][1]))
        last = of.last[name]
        if last is not None:
            text = store.decision(name, last * 1000)
            market.last_decision = None if text is None else Decision.from_json(text)
            seen = store.bar(name, last * 1000)
            market.last_close = float("nan") if seen is None else float(seen[3])


def _again(of: Stepper, store: Store, market: LiveMarket, since: int, funding: list[Any]) -> None:
    """Take the bars since a checkpoint again: features and watch stand where they stood."""
    times: dict[int, dict[str, Any]] = {}
    for feed in market.feeds:
        for at, *values, extra in store.bars(feed, since):
            row = (at // 1000, *values)
            told = Arrival(row, json.loads(extra) if extra else {}, [])
            times.setdefault(at // 1000, {})[feed] = for_stream(market, told)
    decided = {at // 1000: rest for at, *rest in store.decided(market.symbol, since)}
    due = deque(
        (int(body["funding_time"]) // 1000, float(body["funding_rate"]))
        for _, symbol, body in funding
        if symbol == market.symbol
    )
    before = market.settlements.last
    for time in sorted(times):
        now = []
        while due and due[0][0] < time + of.terms.interval_ms:
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
                f"live log {str(store.path)!r}: features of {market.symbol} at {show_time(time)} come out "
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
