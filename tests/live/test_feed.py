"""A feed that drops, repeats, delays, reorders and corrupts bars; and the exchange's feed when the network fails."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from typing import Any

import pytest

import barproof as bp
from barproof.live.feed import CcxtFeed, parse_line
from tests.live.market import candles, folder, session
from tests.live.test_session import rows

START = 1_000
REFUSED = (bp.CandleError, bp.LayoutError, bp.FundingError, bp.ParameterError)


def corrupted(bar: dict[str, Any], chance: random.Random) -> str:
    """A line that no decision may follow from."""
    bad = dict(bar)
    kind = chance.randrange(12)
    if kind == 0:
        return json.dumps(bar)[: chance.randrange(1, 60)]
    if kind == 1:
        bad["close"] = math.nan
    elif kind == 2:
        bad["low"] = -bar["low"]
    elif kind == 3:
        bad["symbol"] = "OTHER"
    elif kind == 4:
        bad["interval"] = "1h"
    elif kind == 5:
        bad["open_time"] += 86_400_000 * 40_000
    elif kind == 6:
        bad["high"] = bar["low"] / 2
    elif kind == 7:
        del bad["volume"]
    elif kind == 8:
        bad["open"] = "many"
    elif kind == 9:
        bad["open_time"] += 1_234
    elif kind == 10:
        return json.dumps([bar])
    else:
        bad["volume"] = math.inf
    return json.dumps(bad)


def line_of(bar: bp.Bar) -> dict[str, Any]:
    return {"symbol": "SIM", "interval": "5m", **bar._asdict()}


@pytest.mark.parametrize("seed", range(3))
def test_no_wrong_decision_comes_of_a_bad_feed(seed: int) -> None:
    """What the session was asked and what it said is accounted for, line by line."""
    of, chance = candles(), random.Random(seed)
    plain = session(None, START)
    want = {
        bar.open_time: plain.on_bar(tuple(bar))._replace(decided_at=0) for bar in of[START:1_400]
    }
    seen: Counter[str] = Counter()
    with folder() as state:
        live = session(state, START)
        waiting = list(of[START:1_400])
        told: list[bp.Bar] = []
        lines = decided = repeated = refused = line_breaks = 0
        while waiting:
            bar = waiting[0]
            fault = chance.choice(
                ["none"] * 4 + ["drop", "repeat", "delay", "reorder", "corrupt", "change"]
            )
            sent = [json.dumps(line_of(bar))]
            if fault == "drop" and len(waiting) > 1:
                # The next comes first: refused, until the one that was dropped is asked for again.
                sent = [json.dumps(line_of(waiting[1]))]
            elif fault == "repeat" and told:
                sent = [json.dumps(line_of(chance.choice(told)))]
            elif fault == "delay":
                sent = []
            elif fault == "reorder" and len(waiting) > 2:
                sent = [json.dumps(line_of(waiting[k])) for k in (2, 1, 0)]
            elif fault == "corrupt":
                sent = [corrupted(line_of(bar), chance)]
            elif fault == "change" and told:
                old = chance.choice(told)
                sent = [
                    json.dumps(
                        {**line_of(old), "close": old.low if old.close != old.low else old.high}
                    )
                ]
            seen[fault] += 1
            for text in sent:
                lines += 1
                before = live.last["SIM"]
                try:
                    decision = live.on_bar(parse_line(text))
                except REFUSED as error:
                    line_breaks += str(error).count("\n")
                    assert live.last["SIM"] == before
                    refused += 1
                    continue
                assert decision._replace(decided_at=0) == want[decision.open_time]
                if live.last["SIM"] != before:
                    decided += 1
                    told.append(waiting.pop(0))
                else:
                    repeated += 1
        assert lines == decided + repeated + refused
        assert (decided, line_breaks) == (400, 0)
        assert rows(state, "SELECT count(*) FROM decisions") == [(400,)]
        assert min(seen.values()) > 5
        live.close()


class Exchange:
    """Answers as one of ccxt would, and fails as told."""

    def __init__(self, of: bp.Candles, faults: list[Exception | None]) -> None:
        self.of, self.faults, self.asked = of, faults, 0

    def fetch_ohlcv(self, market: str, timeframe: str, since: int, limit: int) -> list[list[float]]:
        assert (market, timeframe) == ("SIM/USDT", "5m")
        self.asked += 1
        if self.faults and (fault := self.faults.pop(0)) is not None:
            raise fault
        # Exchanges give the forming bar too, and pages that overlap.
        return [list(bar) for bar in self.of if bar.open_time >= since][:limit]


class NetworkError(Exception):
    """Named as that of ccxt."""


class BadSymbol(Exception):  # noqa: N818 - ccxt's name
    """Named as that of ccxt."""


def feed(exchange: Any, now: int, **changes: Any) -> tuple[CcxtFeed, list[float], list[str]]:
    slept: list[float] = []
    said: list[str] = []
    given = {"sleep": slept.append, "say": said.append, "clock": lambda: now, "limit": 7, **changes}
    return CcxtFeed(exchange, {"SIM": "SIM/USDT"}, 300_000, **given), slept, said


def test_polling_gives_every_closed_bar_once_and_tries_again() -> None:
    of = candles()[:60]
    now = of[50].open_time + 1_000
    exchange = Exchange(of, [NetworkError("down"), None, TimeoutError("slow"), OSError("reset")])
    made, slept, said = feed(exchange, now)
    got = list(made.poll(["SIM"], {"SIM": of[9].open_time}))
    assert [bar["open_time"] for bar in got] == [bar.open_time for bar in of[10:50]]
    assert [bar["close"] for bar in got] == [bar.close for bar in of[10:50]]
    assert len(slept) == 3
    assert 0.5 <= slept[0] <= 0.63
    assert 1.0 <= slept[2] <= 1.25
    assert said[0].startswith("bars of SIM: NetworkError: down; try 2 of 8 in 0.")
    assert list(made.poll(["SIM"], {"SIM": of[49].open_time})) == []


def test_a_feed_gives_up_in_the_end_and_at_once_where_waiting_is_no_help() -> None:
    of = candles()[:60]
    made, slept, _ = feed(Exchange(of, [NetworkError("down")] * 9), of[50].open_time)
    with pytest.raises(bp.FileError, match="after 8 tries: NetworkError: down"):
        list(made.poll(["SIM"], {"SIM": of[9].open_time}))
    assert len(slept) == 7
    made, slept, _ = feed(Exchange(of, [BadSymbol("no such market")]), of[50].open_time)
    with pytest.raises(bp.FileError, match="will not pass by waiting"):
        list(made.poll(["SIM"], {"SIM": of[9].open_time}))
    assert slept == []
