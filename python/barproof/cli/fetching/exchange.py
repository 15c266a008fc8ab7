"""Candles and settlements of the past from an exchange, page by page through ccxt."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import polars as pl

from barproof.candles.funding import rounded
from barproof.candles.interval import SECOND, format_interval
from barproof.cli.fetching.archive import Taken, settlements_frame
from barproof.cli.fetching.periods import Period
from barproof.errors import FileError
from barproof.live.feed import CcxtFeed

__all__ = ["Exchange"]

_PAGE = 500
_LEAST_PAGE = 100
"""Bars by which an empty page moves on, before any page has shown how many the exchange gives."""


class Exchange:
    """The past of one market of an exchange.

    Parameters
    ----------
    feed : CcxtFeed
        Asks, and asks again.
    symbol : str
        Of the feed.
    instrument : str
        For the name of the source.
    """

    def __init__(self, feed: CcxtFeed, symbol: str, instrument: str) -> None:
        self._feed, self._symbol = feed, symbol
        self._market = feed.markets[symbol]
        self.name = f"exchange {feed.exchange.id} {self._market} {instrument}"
        self._page = _LEAST_PAGE

    def candles(self, period: Period) -> Taken | None:
        """Give the bars of a span; None where there are none.

        Bars without prices are left out: they are holes. What the exchange gives twice or outside is passed over.
        """
        step = self._feed.interval_ms
        timeframe = format_interval(step)
        kept: list[list[float]] = []
        at = period.first
        while at < period.end:
            fetch = partial(self._feed.exchange.fetch_ohlcv, self._market, timeframe, at, _PAGE)
            told = self._feed.ask(f"bars of {self._symbol}", fetch) or []
            page = [row for row in told if row[0] is not None]
            last = at - 1
            for row in sorted(page, key=lambda row: row[0]):
                time = int(row[0])
                if not last < time < period.end:
                    continue
                last = time
                if all(value is not None for value in row[1:5]):
                    kept.append([math.nan if value is None else float(value) for value in row[1:6]])
                    kept[-1].append(time)
            self._page = max(self._page, min(_PAGE, len(page)))
            if last >= at:
                at = last + step
            elif any(int(row[0]) >= period.end for row in page):
                break
            else:
                # Nothing was traded here: some exchanges answer with an empty page, not with the next bars.
                at += self._page * step
        if not kept:
            return None
        table = np.array(kept, dtype=np.float64).reshape(-1, 6)
        columns = ("open", "high", "low", "close", "volume")
        time_of = pl.Series(table[:, 5].astype(np.int64)).cast(pl.Datetime("ms", "UTC"))
        frame = pl.DataFrame({"open_time": time_of}).with_columns(
            **{name: pl.Series(table[:, k]) for k, name in enumerate(columns)}
        )
        return Taken(frame, self.name, None, 0)

    def funding(self, period: Period) -> Taken | None:
        """Give the settlements of a span; None where there are none."""
        told: dict[int, float] = {}
        # Stamps lie some milliseconds beside the second.
        since = period.first - SECOND
        while since < period.end:
            ask = partial(
                self._feed.exchange.fetch_funding_rate_history, self._market, since, _PAGE
            )
            page = self._feed.ask(f"funding of {self._symbol}", ask) or []
            latest = since
            for row in page:
                time, rate = row.get("timestamp"), row.get("fundingRate")
                if time is None or rate is None or not math.isfinite(rate):
                    raise FileError(
                        f"{self.name} gives a settlement that is none (time {time}, rate {rate}): ask for another "
                        "span, or for `--funding none`"
                    )
                second = int(rounded(np.array([time]))[0])
                if period.first <= second < period.end:
                    told[second] = float(rate)
                latest = max(latest, int(time))
            if latest == since:
                break
            since = latest + 1
        if not told:
            return None
        times = np.array(sorted(told), dtype=np.int64)
        rates = np.array([told[int(time)] for time in times])
        return Taken(settlements_frame(times, rates), self.name, None, 0)
