"""What is asked of whom: months of the archive, then days, then the exchange; what nobody has is told.

An archive has a file a month once the month is over, and a file a day until then (settlements by the month alone). So a
month is asked for as a whole, then day by day; what the archive has not (yet) is asked of the exchange, where one was
named. Only bars that have closed are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from barproof.candles.interval import DAY, MINUTE
from barproof.cli.fetching.archive import Archive
from barproof.cli.fetching.exchange import Exchange
from barproof.cli.fetching.periods import Period, days_of, joined, months_of
from barproof.cli.fetching.store import Store

__all__ = ["Gatherer"]

_LATE = 60 * DAY
"""Age from which on a month that is not there, nor its first and last day, is taken to have no days at all."""
_SHORT = 5 * MINUTE
"""Bars shorter than this are asked of exchanges by the day: a kill then loses few pages."""


@dataclass
class Gatherer:
    """Collects the parts of a span.

    Attributes
    ----------
    store : Store
        Where parts lie.
    archive, exchange : object or None
        Sources, in the order in which they are asked.
    interval_ms, now : int
        Bar length, and the time of the latest bar's close.
    say : callable
        Told of each part that was fetched.
    fetched : int
        Parts that were fetched now.
    """

    store: Store
    archive: Archive | None
    exchange: Exchange | None
    interval_ms: int
    now: int
    say: Callable[[str], None]
    fetched: int = 0
    absent: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def gather(self, kind: str, first: int, end: int) -> list[dict[str, Any]]:
        """Collect a span of ``"candles"`` or ``"funding"``; gives the records of its parts, in time order."""
        self.absent[kind] = []
        parts = [
            part for month in months_of(first, end) for part in self._month(kind, month, first, end)
        ]
        self.absent[kind] = joined(self.absent[kind])
        return parts

    def _month(self, kind: str, month: Period, first: int, end: int) -> list[dict[str, Any]]:
        wanted = month.cut(first, end)
        there = self.store.find(kind, wanted)
        if there is not None:
            return [there]
        days = [day for day in days_of(month) if day.first < wanted.end and wanted.first < day.end]
        if self.archive is None or kind == "funding":
            if self.archive is not None and month.end <= self.now:
                part = self._ask(self.archive, kind, month)
                if part is not None:
                    return [part]
            if self.exchange is not None and kind == "candles" and self.interval_ms < _SHORT:
                return self._days(kind, days, first, end, archived=False)
            return self._last(kind, wanted)
        if month.end <= self.now and not all(self.store.find(kind, day) for day in days):
            part = self._ask(self.archive, kind, month)
            if part is not None:
                return [part]
            if month.end <= self.now - _LATE:
                ends = dict.fromkeys((days[0], days[-1]))
                if not any(
                    self.store.find(kind, d) or self._ask(self.archive, kind, d) for d in ends
                ):
                    if self.exchange is not None and self.interval_ms < _SHORT:
                        return self._days(kind, days, first, end, archived=False)
                    return self._last(kind, wanted)
        return self._days(kind, days, first, end, archived=True)

    def _days(
        self, kind: str, days: list[Period], first: int, end: int, *, archived: bool
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for day in days:
            wanted = day.cut(first, end)
            part = self.store.find(kind, wanted)
            if part is None and archived and self.archive is not None and day.end <= self.now:
                part = self._ask(self.archive, kind, day)
            found += [part] if part is not None else self._last(kind, wanted)
        return found

    def _last(self, kind: str, wanted: Period) -> list[dict[str, Any]]:
        """Ask the exchange, where there is one; else it is absent."""
        part = None if self.exchange is None else self._ask(self.exchange, kind, wanted)
        if part is None:
            self.absent[kind].append((wanted.first, wanted.end))
            return []
        return [part]

    def _ask(self, source: Archive | Exchange, kind: str, period: Period) -> dict[str, Any] | None:
        taken = source.candles(period) if kind == "candles" else source.funding(period)
        if taken is None:
            return None
        end = period.end
        if source is self.exchange and end > self.now - DAY:
            # What has just closed may not be there yet: the part is good up to what came, and asked for again later.
            latest = int(taken.frame.to_series(0).dt.epoch("ms").max())  # type: ignore[arg-type]
            end = min(end, latest + (self.interval_ms if kind == "candles" else 1))
        part = self.store.keep(kind, period, source.name, taken, end)
        self.fetched += 1
        what = "bars" if kind == "candles" else "settlements"
        left = f", {taken.outside:,} outside of it left out" if taken.outside else ""
        self.say(f"{period.name}: {taken.frame.height:,} {what}{left}")
        return part
