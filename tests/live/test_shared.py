"""One account of several symbols, stepped: the same trades, marks and refusals as `portfolio`, bit for bit."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.live.market import COSTS, folder, trained
from tests.live.test_session import rows

SYMBOLS = ["A", "B", "C"]
START, STOP = 400, 640
RULES = bp.Rules(
    entry_long=0.5, entry_short=0.5, stop_loss=0.004, max_hold=9, fraction=0.6, leverage=2.0
)
LIMITS: dict[str, Any] = {"max_positions": 2, "max_gross": 1.5}


def books() -> dict[str, bp.Candles]:
    """Three simulated perpetuals, which pay funding; B has a hole."""
    made = bp.simulate_candles(5, bars=STOP, symbols=SYMBOLS)
    keep = np.setdiff1d(np.arange(STOP), np.arange(470, 475))
    return {**made, "B": made["B"]._take(keep)}


def made(state: Any, **options: Any) -> bp.LiveSession:
    history = {
        name: one[: int(np.searchsorted(one.open_time, begin()))] for name, one in books().items()
    }
    given = {"costs": COSTS, "gap": "accept", "patience": 1, "account": "shared", **LIMITS}
    return bp.LiveSession(
        dict.fromkeys(SYMBOLS, trained().bundles[0]),
        RULES,
        state=state,
        candles=history,
        **{**given, **options},
    )


def begin() -> int:
    return int(books()["A"].open_time[START])


def stepped(state: Any, restarts: tuple[int, ...] = ()) -> list[bp.Decision]:
    """All decisions, as the log has them; bars are shown time by time."""
    held = books()
    bars = {name: {bar.open_time: bar for bar in one} for name, one in held.items()}
    live = made(state, checkpoint_bars=16)
    for number, time in enumerate(held["A"].open_time[START:].tolist()):
        live.on_bar({name: one[time] for name, one in bars.items() if time in one})
        if number in restarts:
            live.flush()
            live.close()
            live = made(state, checkpoint_bars=16)
    live.flush()
    live.close()
    text = "SELECT decision FROM decisions ORDER BY open_time, symbol"
    return [bp.Decision.from_json(one) for (one,) in rows(state, text)]


def batch(decisions: list[bp.Decision]) -> bp.PortfolioResult:
    """The portfolio on what the model said bar by bar."""
    held = books()
    signals = {}
    for name, candles in held.items():
        long, short = np.full(len(candles), np.nan), np.full(len(candles), np.nan)
        for one in decisions:
            if one.symbol == name:
                at = int(np.searchsorted(candles.open_time, one.open_time))
                long[at] = np.nan if one.p_long is None else one.p_long
                short[at] = np.nan if one.p_short is None else one.p_short
        signals[name] = bp.Signals(long=long, short=short)
    return bp.portfolio(
        held,
        signals,
        RULES,
        costs=COSTS,
        window=(START, STOP),
        ledger=False,
        **LIMITS,
    )


def test_a_session_is_a_portfolio_to_the_bit() -> None:
    with folder() as state:
        decisions = stepped(state, restarts=(30, 31, 74, 150))
        logged = rows(
            state,
            "SELECT symbol, entry_bar, exit_bar, reason, quantity, notional, pnl, funding, fees FROM trades "
            "ORDER BY exit_time, symbol, entry_bar",
        )
        refused = rows(state, "SELECT time, symbol, body FROM events WHERE kind = 'refused'")
        (whole,) = rows(state, "SELECT count(*) FROM accounts WHERE symbol = ''")
    assert whole == (1,)
    want = batch(decisions)
    columns = "symbol entry_bar exit_bar reason quantity notional pnl funding fees".split()
    # Of one time the log goes by symbols, the portfolio by what happened first.
    ordered = want.trades.sort("exit_time", "symbol", "entry_bar")
    trades = ordered.filter(pl.col("reason") != "end").select(columns)
    assert logged == trades.rows()
    assert len(logged) > 20
    told = [
        (
            time // 1000,
            symbol,
            *(json.loads(body)[k] for k in ("side", "price", "equity", "reason")),
        )
        for time, symbol, body in refused
    ]
    each = want.refused.select(
        pl.col("time").dt.epoch("ms"), "symbol", "side", "price", "equity", "reason"
    )
    assert told == each.rows()
    assert set(want.refused["reason"]) >= {"max_positions"}
    marks = dict(want.equity.select(pl.col("open_time").dt.epoch("ms"), "equity").rows()[:-1])
    for one in decisions:
        if one.open_time in marks:
            assert one.equity == marks[one.open_time]
    assert {one.symbol for one in decisions} == set(SYMBOLS)


def test_a_restart_at_any_time_changes_nothing() -> None:
    with folder() as state:
        once = stepped(state)
    with folder() as state:
        often = stepped(state, restarts=tuple(range(60, 80)))
    assert [d._replace(decided_at=0) for d in often] == [d._replace(decided_at=0) for d in once]


def test_new_rules_decide_and_positions_keep_theirs() -> None:
    with folder() as state:
        live = made(state)
        held = books()
        bars = {name: {bar.open_time: bar for bar in one} for name, one in held.items()}
        for number, time in enumerate(held["A"].open_time[START : START + 220].tolist()):
            live.on_bar({name: one[time] for name, one in bars.items() if time in one})
            if number == 110:
                live.roll(
                    trained().bundles[0], rules=RULES.replace(entry_long=1.0, entry_short=1.0)
                )
        live.close()
        rolled = int(held["A"].open_time[START + 110])
        entered = [time // 1000 for (time,) in rows(state, "SELECT entry_time FROM trades")]
        left = [time // 1000 for (time,) in rows(state, "SELECT exit_time FROM trades")]
        # What was decided before still enters and leaves by its own rules; nothing is decided after.
        assert len(entered) > 10
        assert max(entered) <= rolled + live.interval_ms < max(left)


def held_against(state: Any, **changes: Any) -> bp.Parity:
    return bp.parity(state, books(), trained().bundles[0], RULES.replace(**changes), costs=COSTS)


def test_parity_replays_the_one_account() -> None:
    with folder() as state:
        decisions = stepped(state, restarts=(30, 74))
        log = bp.LiveLog.read(state)
        found = held_against(state)
        assert found.equal, str(found.first)
        assert found.decisions == len(decisions) == len(log)
        assert found.compared["trades"] == log.trades.height > 20
        # What was refused is part of it: without limits other trades would have been made.
        assert isinstance(found.replayed["A"], bp.PortfolioResult)
        assert found.replayed["A"].refused.height > 0
        other = held_against(state, stop_loss=0.005)
        assert not other.equal
        assert other.first is not None


def test_parity_finds_a_trade_that_the_account_had_no_room_for() -> None:
    with folder() as state:
        stepped(state)
        with sqlite3.connect(state / "live.sqlite") as base:
            base.execute("UPDATE session SET value = '1' WHERE key = 'max_positions'")
            base.execute("DROP TABLE sums")  # as in logs before it, which anybody may change
        assert not held_against(state).equal


@pytest.mark.parametrize("options", [{"max_positions": 1}, {"max_gross": None}, {"account": "own"}])
def test_a_state_of_another_account_is_refused(options: dict[str, Any]) -> None:
    with folder() as state:
        made(state).close()
        if options.get("account") == "own":
            options = {"account": "own", "max_positions": None, "max_gross": None}
        with pytest.raises(bp.ParameterError, match="was begun with"):
            made(state, **options)
