"""In what order bars come: read, held against clock and grid, known ones answered, gaps bridged, times completed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, NoReturn

from barproof.candles.interval import format_interval, parse_interval
from barproof.candles.table import show_time
from barproof.errors import CandleError, FileError, LayoutError
from barproof.live.arrivals import Arrival, check_closed, check_place, read_bar
from barproof.live.decision import Decision
from barproof.live.resuming import resume
from barproof.live.settling import check_late, is_news
from barproof.live.stepping import Stepper

__all__ = ["Intake", "server_milliseconds"]


def server_milliseconds(told: Any) -> int:
    """Read the time of a feed."""
    if isinstance(told, bool) or not isinstance(told, (int, float)):
        raise LayoutError(
            f"`server_time` must be milliseconds UTC, was {told!r}: such as 1704067200000"
        )
    return int(told)


class Intake:
    """What stands between a feed and the steps of a session.

    Attributes
    ----------
    skew : int or None
        Milliseconds by which the clock was last ahead of that of the feed.
    broken : str or None
        Why no bar can be taken any more.
    """

    def __init__(self, stepper: Stepper) -> None:
        self._of = stepper
        self._terms = stepper.terms
        self.skew: int | None = None
        self.broken: str | None = None
        self.alone = len(stepper.feeds) == 1
        self._waiting: dict[str, deque[Arrival]] = {name: deque() for name in stepper.feeds}
        self._taken: tuple[Arrival, Decision] | None = None

    def check(self) -> None:
        """Refuse everything where the session is broken."""
        if self.broken is not None:
            raise FileError(
                f"the session cannot go on: {self.broken}; make it again from its state folder"
            )

    def report_time(self, server_time: int) -> int:
        """Compare the clock with that of the feed; what is beyond bounds is an event."""
        of, most = self._of, self._terms.max_skew
        skew = self._terms.clock() - int(server_time)
        told = self.skew is not None and abs(self.skew) > most
        if (abs(skew) > most) != told:
            of.note("skew", None, {"milliseconds": skew})
            of.write_events()
        self.skew = skew
        return skew

    def _read(self, symbol: str, bar: Any) -> Arrival:
        """Read a bar, and hold it against the clock."""
        interval_ms = self._terms.interval_ms
        if symbol not in self._of.last:
            raise CandleError(
                f"bar of {symbol} does not belong to the session of {', '.join(self._of.feeds[:5])}: leave it out"
            )
        if not isinstance(bar, tuple) and isinstance(bar, Mapping):
            told = bar.get("symbol", symbol)
            if told != symbol:
                raise CandleError(
                    f"bar of {told} does not belong to the session of {symbol}: feed that symbol, "
                    f"or name it in `symbol` where the session begins"
                )
            length = bar.get("interval")
            if length is not None and parse_interval(length) != interval_ms:
                raise CandleError(
                    f"bar of {symbol} is {length} long, the session runs on {format_interval(interval_ms)}: feed "
                    "bars of the session's interval"
                )
            if bar.get("server_time") is not None:
                self.report_time(server_milliseconds(bar["server_time"]))
        arrival = read_bar(bar, symbol, interval_ms)
        check_closed(arrival.values[0], symbol, interval_ms, self._terms.clock())
        return arrival

    def _step(self, time: int, there: Mapping[str, Arrival]) -> dict[str, Decision]:
        try:
            return self._of.step(time, there)
        except BaseException as error:
            self._recover(error)
            raise

    def _recover(self, error: BaseException) -> None:
        """Stand where the last transaction stood, after something failed on the way to the next."""
        if self._of.store is None:
            self.broken = f"{type(error).__name__} at a bar, and no state folder to go back to"
            return
        try:
            self._of.fresh()
            resume(self._of, self._of.store)
            self._taken = None
        except Exception as second:
            self.broken = f"{type(error).__name__} at a bar, and its state cannot be read: {second}"

    # One symbol ---------------------------------------------------------------------------------------------

    def one(self, bar: Any) -> Decision:
        """Take the bar of the only feed."""
        (symbol,) = self._of.feeds
        # Bars are tuples mostly, and asking whether one is a mapping takes longer than this.
        if not isinstance(bar, tuple) and isinstance(bar, Mapping) and "open_time" not in bar:
            if set(bar) != {symbol}:
                raise CandleError(
                    f"bars of {', '.join(map(str, bar)) or 'no symbol'} do not belong to the session of {symbol}: feed "
                    "that symbol"
                )
            bar = bar[symbol]
        arrival = self._read(symbol, bar)
        time = arrival.values[0]
        last = self._of.last[symbol]
        interval_ms = self._terms.interval_ms
        if last is not None and time <= last:
            return self._known(symbol, arrival)
        if self._terms.on_grid:
            check_place(time, symbol, interval_ms, self._of.anchor[symbol])
        self._check_funding(symbol, arrival)
        if last is not None and time > last + interval_ms:
            self._bridge(symbol, last, time)
        (decision,) = self._step(time, {symbol: arrival}).values()
        self._taken = (arrival, decision)
        return decision

    def _bridge(self, symbol: str, last: int, time: int) -> None:
        """Refuse, accept or fill a gap of the only symbol."""
        gap = self._terms.gap
        if gap == "raise":
            self._refuse_gap(symbol, last, time)
        self._note_gap(symbol, last, time)
        if callable(gap):
            for one in gap(symbol, last + self._terms.interval_ms, time):
                between = self._read(symbol, one)
                newest = self._of.last[symbol]
                assert newest is not None
                if not newest < between.values[0] < time:
                    raise CandleError(
                        f"bar of {symbol} at {show_time(between.values[0])} that `gap` gave does not lie between "
                        f"{show_time(newest)} and {show_time(time)}: give the bars that are missing, in order"
                    )
                self._check_funding(symbol, between)
                self._step(between.values[0], {symbol: between})

    def _known(self, symbol: str, arrival: Arrival) -> Decision:
        """Give the decision of a bar that was taken before."""
        found = self._repeated(symbol, arrival)
        if found is None:
            raise CandleError(
                f"bar of {symbol} at {show_time(arrival.values[0])} comes out of order: the last one is of "
                f"{show_time(self._of.last[symbol] or 0)}, and no decision is known of it; feed bars in time order"
            )
        return found

    def _repeated(self, symbol: str, arrival: Arrival) -> Decision | None:
        """Give what was decided on a bar that came before; one with other values is refused."""
        time, store = arrival.values[0], self._of.store
        if self._taken is not None and self._taken[0].values[0] == time and self.alone:
            held: tuple[Any, ...] | None = self._taken[0].values[1:]
            decision: Decision | None = self._taken[1]
        elif store is not None:
            held = store.bar(symbol, time * 1000)
            text = store.decision(symbol, time * 1000)
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
        missing = (time - last) // self._terms.interval_ms - 1
        raise CandleError(
            f"bar of {symbol} at {show_time(time)} leaves out {missing:,} after {show_time(last)}: feed them first, or "
            'say gap="accept" or how to catch up'
        )

    def _note_gap(self, symbol: str, last: int, time: int) -> None:
        missing = (time - last) // self._terms.interval_ms - 1
        kind = "catch_up" if callable(self._terms.gap) else "gap"
        self._of.note(kind, symbol, {"after": last * 1000, "before": time * 1000, "bars": missing})

    def _check_funding(self, symbol: str, arrival: Arrival) -> None:
        if arrival.funding and is_news(self._of, symbol, arrival):
            check_late(self._of, self._of.markets[symbol], arrival.funding)

    # Several symbols ----------------------------------------------------------------------------------------

    def several(self, bars: Mapping[str, Any]) -> dict[str, Decision]:
        """Take bars of some symbols; gives what is complete then."""
        out: dict[str, Decision] = {}
        taken: list[tuple[str, Arrival]] = []
        interval_ms, settled = self._terms.interval_ms, self._of.settled
        for symbol, bar in bars.items():
            arrival = self._read(symbol, bar)
            time = arrival.values[0]
            newest = self._newest(symbol)
            if newest is not None and time <= newest:
                known = self._repeated(symbol, arrival)
                if known is not None:
                    out[symbol] = known
                continue
            if settled is not None and time <= settled:
                raise CandleError(
                    f"bar of {symbol} at {show_time(time)} comes after the time {show_time(settled)} was "
                    "decided without it: wait longer with a larger `patience`"
                )
            if self._terms.on_grid:
                check_place(time, symbol, interval_ms, self._of.anchor[symbol])
            self._check_funding(symbol, arrival)
            if newest is not None and time > newest + interval_ms and self._terms.gap == "raise":
                self._refuse_gap(symbol, newest, time)
            taken.append((symbol, arrival))
        for symbol, arrival in taken:
            newest = self._newest(symbol)
            if newest is not None and arrival.values[0] > newest + interval_ms:
                self._note_gap(symbol, newest, arrival.values[0])
                if callable(self._terms.gap):
                    for one in self._terms.gap(symbol, newest + interval_ms, arrival.values[0]):
                        self._waiting[symbol].append(self._read(symbol, one))
            self._waiting[symbol].append(arrival)
        return out | self.release(everything=False)

    def _newest(self, symbol: str) -> int | None:
        waiting = self._waiting[symbol]
        return waiting[-1].values[0] if waiting else self._of.last[symbol]

    def release(self, *, everything: bool) -> dict[str, Decision]:
        """Decide the times that are complete, or all that have a bar."""
        out: dict[str, Decision] = {}
        while True:
            heads = [held[0].values[0] for held in self._waiting.values() if held]
            if not heads:
                return out
            time = min(heads)
            if not everything and any(self._may_come(name, time) for name in self._of.feeds):
                return out
            there = {
                name: held[0]
                for name, held in self._waiting.items()
                if held and held[0].values[0] == time
            }
            out |= self._step(time, there)
            for name in there:
                self._waiting[name].popleft()

    def _may_come(self, name: str, time: int) -> bool:
        newest = self._newest(name)
        if newest is not None and newest >= time:
            return False
        if self._terms.patience is None:
            return True
        ahead = max(t for t in map(self._newest, self._of.feeds) if t is not None)
        return ahead < time + self._terms.patience * self._terms.interval_ms


def _numbers(values: Any) -> str:
    return ", ".join(f"{value!r}" for value in values)
