"""Clocks that jump: backwards, forwards and to the ends of time, in live sessions and in the ledger."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from unittest import mock

import pytest

import barproof as bp
from tests.helpers import simulated
from tests.live.market import candles, folder, session

START = 1_000
INTERVAL = 300_000


def test_a_session_whose_clock_jumps_decides_the_same() -> None:
    """Bars carry their own time: a clock may refuse a bar that is still forming, and never changes a decision."""
    of, chance = candles(), random.Random(5)
    plain = session(None, START, clock=lambda: 1 << 50)
    want = [plain.on_bar(bar)._replace(decided_at=0) for bar in of[START : START + 60]]
    now = [1 << 50]
    with folder() as place:
        live = session(place / "state", START, clock=lambda: now[0])
        got, refused = [], 0
        for number, bar in enumerate(of[START : START + 60]):
            closed = bar.open_time + INTERVAL
            # An hour, a day or fifty years to either side of the truth.
            now[0] = closed + chance.choice([0, 1, -1, -3_600_000, 86_400_000, -(1 << 40), 1 << 41])
            if now[0] < closed:
                with pytest.raises(bp.CandleError, match=r"still forming|lies in the future"):
                    live.on_bar(bar)
                refused += 1
                now[0] = closed
            got.append(live.on_bar(bar)._replace(decided_at=0))
            if number % 20 == 19:
                # A restart while the clock stands somewhere else.
                live.close()
                now[0] = chance.choice([0, 1 << 41])
                live = session(place / "state", None, clock=lambda: now[0])
        live.close()
        assert got == want
        assert refused >= 10
        log = bp.LiveLog.read(place / "state")
        assert len(log) == 60
        # When it was decided is what the clock said, whatever that was.
        decided = log.decisions["decided_at"].to_list()
        assert decided != sorted(decided)


def test_a_ledger_whose_clock_goes_back_keeps_its_order(tmp_path: Path) -> None:
    ledger = bp.Ledger.open(tmp_path / "ledger.sqlite")
    world = simulated(300)
    times = [1_700_000_000, 1_600_000_000, 0, 4_000_000_000, 1_700_000_001]
    for seconds in times:
        with mock.patch("time.time_ns", lambda seconds=seconds: seconds * 10**9):
            bp.backtest(
                *world, bp.Rules(entry_long=1.0), costs=bp.Costs(taker=0.0005), ledger=ledger
            )
    assert ledger.verify() is None
    runs = ledger.runs()
    assert runs["id"].to_list() == [1, 2, 3, 4, 5]
    assert [int(t.timestamp()) for t in runs["time"]] == times
    head = ledger.head()
    assert ledger.verify(head=head) is None
    with sqlite3.connect(tmp_path / "ledger.sqlite") as base:
        assert base.execute("SELECT count(*) FROM runs").fetchone() == (5,)


def test_deadlines_do_not_follow_the_wall_clock(tmp_path: Path) -> None:
    """A wall clock that stands at zero or jumps ahead ends no wait and no budget early."""
    calls = []

    def study(c: bp.Candles) -> float:
        calls.append(len(c))
        return float(c.close[-1] / c.open[0] - 1)

    jumping = iter(range(0, 10**9, 10**6))
    with mock.patch("time.time", lambda: float(next(jumping))):
        found = bp.procedure_test(
            study, bp.simulate_candles(4, bars=60, interval="1h"), count=19, budget=60.0
        )
    assert found.complete
    assert len(calls) == 20
