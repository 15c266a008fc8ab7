"""A session against the backtest: features bit for bit, decisions and trades equal; restarts; bad input."""

from __future__ import annotations

import importlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.live.decision import Decision, decision_schema, schema_text
from barproof.live.identity import row_digest
from tests.live.market import COSTS, NAMES, RULES, candles, folder, session, signals_of, trained
from tests.tolerances import ROUNDING

jsonschema: Any = importlib.import_module("jsonschema")
START = 1_000


def rows(state: Path, text: str) -> list[tuple[Any, ...]]:
    with sqlite3.connect(state / "live.sqlite") as base:
        return base.execute(text).fetchall()


def logged_trades(state: Path) -> pl.DataFrame:
    with sqlite3.connect(state / "live.sqlite") as base:
        found = base.execute("SELECT * FROM trades ORDER BY rowid")
        names = [column[0] for column in found.description]
        return pl.DataFrame(found.fetchall(), schema=names, orient="row").drop("symbol")


def assert_trades_equal(state: Path, result: bp.Result) -> None:
    """Every closed trade equal in every column; a live run has no end that closes the last."""
    mine, want = logged_trades(state), result.trades.filter(pl.col("reason") != "end")
    assert mine.height == want.height > 0
    for name in mine.columns:
        column = want[name]
        if column.dtype == pl.Datetime("ms", "UTC"):
            column = column.dt.timestamp("us")
        got, told = mine[name].to_list(), column.to_list()
        if column.dtype == pl.Boolean:
            got = [bool(value) for value in got]
        assert got == told, name


def test_a_session_is_the_backtest_stepped_with_restarts_between() -> None:
    of = candles()
    X = bp.FeatureSet(NAMES).compute(of)
    decisions = []
    with folder() as state:
        live = session(state, START, log_features=True, checkpoint_bars=64)
        for i, bar in enumerate(of[START:]):
            decisions.append(live.on_bar(bar))
            if i in (0, 63, 64, 130, 700):
                live.close()
                live = session(state, None, log_features=True, checkpoint_bars=64)
        live.close()
        kept = rows(state, "SELECT features, feature_digest FROM decisions ORDER BY open_time")
        values = np.array([np.frombuffer(blob) for blob, _ in kept])
        want = X.drop("open_time").to_numpy()[START:]
        assert np.array_equal(values.view(np.int64), want.view(np.int64))
        assert [digest for _, digest in kept] == [row_digest(row) for row in want]
        said = np.array([d.p_long for d in decisions], dtype=float)
        batch = trained().bundles[0].predict(X)[START:, 1]
        assert np.nanmax(np.abs(said - batch)) <= ROUNDING
        result = bp.backtest(
            of,
            signals_of(decisions, len(of), START),
            RULES,
            costs=COSTS,
            window=(START, len(of)),
            engine="replay",
            ledger=False,
        )
        assert_trades_equal(state, result)
        marks = result.equity["equity"].to_numpy()
        assert [d.equity for d in decisions][:-1] == marks[:-1].tolist()


def test_decisions_have_the_published_schema_and_come_back() -> None:
    schema = decision_schema()
    path = Path(__file__).parents[2] / "docs" / "schemas" / "live-decision-1.schema.json"
    assert path.read_text(encoding="utf-8") == schema_text()
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)
    actions = set()
    for rules in (
        RULES,
        RULES.replace(entry="limit", limit_offset=0.002, limit_bars=3, exit_long=None),
    ):
        live = session(None, START, rules=rules)
        for bar in candles()[START:1_300]:
            decision = live.on_bar(bar)
            actions.add(decision.action)
            check.validate(json.loads(decision.to_json()))
            assert Decision.from_json(decision.to_json()) == decision
            if decision.order_type is not None:
                assert decision.entry_zone is not None
                low, high = decision.entry_zone
                assert low <= bar.close <= high
                assert decision.stop is not None
                assert (decision.stop < low) == (decision.side == "long")
                assert decision.valid_until is not None
                assert decision.valid_until > decision.close_time
    assert actions >= {"enter", "hold", "none", "wait", "exit"}


def test_an_order_becomes_the_position_that_it_announced() -> None:
    live = session(None, START, rules=RULES.replace(exit_long=None))
    previous = None
    met = 0
    for bar in candles()[START:1_400]:
        decision = live.on_bar(bar)
        if previous is not None and previous.action == "enter" and decision.position != 0:
            assert decision.position == (1 if previous.side == "long" else -1)
            # Sizes and levels were those of a fill at the close; the fill is at the next open, which is near.
            assert decision.stop == pytest.approx(previous.stop, rel=0.02)
            met += 1
        previous = decision
    assert met > 5


def test_funding_is_an_input_like_bars() -> None:
    """Told by bars or before them, the account pays what the backtest charges."""
    of = candles()
    rules = bp.Rules(entry_long=0.0, entry_short=None, max_hold=300)
    time, rate = of._bars.funding_time, of._bars.funding_rate
    assert time is not None and rate is not None
    paid = []
    for told in (False, True):
        with folder() as state:
            live = session(state, START, rules=rules)
            upcoming = iter(
                [
                    (t, r)
                    for t, r in zip(time, rate, strict=True)
                    if t > of[START - 1].open_time + 300_000
                ]
            )
            following = next(upcoming, None)
            for i, bar in enumerate(of[START:]):
                while told and following is not None and following[0] <= bar.open_time:
                    live.settle(int(following[0]), float(following[1]))
                    following = next(upcoming, None)
                live.on_bar(tuple(bar) if told else bar)
                if i == 500:
                    live.close()
                    live = session(state, None, rules=rules)
            live.close()
            signals = bp.Signals(long=np.ones(len(of)))
            result = bp.backtest(
                of, signals, rules, costs=COSTS, window=(START, len(of)), ledger=False
            )
            mine = logged_trades(state)
            want = result.trades.filter(pl.col("reason") != "end")
            paid.append((mine["funding"].to_list(), mine["pnl"].to_list()))
            assert mine["funding"].to_list() == want["funding"].to_list()
            assert any(value != 0.0 for value in mine["funding"])
            kept = [
                json.loads(body)
                for (body,) in rows(state, "SELECT body FROM events WHERE kind = 'funding'")
            ]
            assert {one["funding_time"] // 1000 for one in kept} <= set(time.tolist())
            assert len(kept) >= 3
    assert paid[0] == paid[1]


def test_late_funding_is_refused() -> None:
    live = session(None, START)
    bar = candles()[START]
    live.on_bar(tuple(bar))
    with pytest.raises(bp.FundingError, match="comes after the bar"):
        live.settle(bar.open_time, 0.0001)


def test_rolling_changes_the_model_at_a_bar_boundary() -> None:
    """Equal to a schedule of the two models and rules; a restart wants the model in force."""
    of, run = candles(), trained()
    other = RULES.replace(stop_loss=2.5, max_hold=7)
    X = bp.FeatureSet(NAMES).compute(of)
    decisions = []
    with folder() as state:
        live = session(state, START)
        for i, bar in enumerate(of[START:1_600]):
            if i == 300:
                live.roll(run.bundles[1], rules=other)
                live.close()
                with pytest.raises(bp.BundleError, match="is of another bundle"):
                    session(state, None)
                live = session(state, None, bundle=run.bundles[1], rules=other)
            decisions.append(live.on_bar(bar))
        live.close()
        said = np.array([d.p_long for d in decisions], dtype=float)
        first, second = (bundle.predict(X)[START:1_600, 1] for bundle in run.bundles[:2])
        assert np.abs(said[:300] - first[:300]).max() <= ROUNDING
        assert np.abs(said[300:] - second[300:]).max() <= ROUNDING
        assert {d.model for d in decisions} == {b.digest for b in run.bundles[:2]}
        result = bp.backtest(
            of[:1_600],
            signals_of(decisions, 1_600, START),
            [(START, RULES), (START + 300, other)],
            costs=COSTS,
            window=(START, 1_600),
            engine="replay",
            ledger=False,
        )
        assert_trades_equal(state, result)
        (body,) = [
            json.loads(b) for (b,) in rows(state, "SELECT body FROM events WHERE kind = 'roll'")
        ]
        assert body["bundle"] == run.bundles[1].digest


def test_a_duplicate_bar_gives_the_stored_decision_and_another_raises() -> None:
    of = candles()
    with folder() as state:
        live = session(state, START)
        made = [live.on_bar(bar) for bar in of[START : START + 5]]
        before = rows(state, "SELECT count(*) FROM decisions")
        assert live.on_bar(of[START + 4]) == made[4]
        assert live.on_bar(of[START + 1]) == made[1]
        live.close()
        live = session(state, None)
        assert live.on_bar(of[START + 4]) == made[4]
        for at in (START + 4, START + 1):
            with pytest.raises(bp.CandleError, match="was seen with other values"):
                live.on_bar(of[at]._replace(volume=of[at].volume + 1.0))
        with pytest.raises(bp.CandleError, match="comes out of order"):
            live.on_bar(of[START - 1])
        assert rows(state, "SELECT count(*) FROM decisions") == before
        assert live.on_bar(of[START + 5]).open_time == of[START + 5].open_time
        live.close()


def test_gaps_are_refused_accepted_or_caught_up() -> None:
    of = candles()
    plain = session(None, START)
    want = [plain.on_bar(bar) for bar in of[START : START + 9]]
    live = session(None, START)
    live.on_bar(of[START])
    with pytest.raises(bp.CandleError, match="leaves out 2 after"):
        live.on_bar(of[START + 3])
    assert live.on_bar(of[START + 1])[:3] == want[1][:3]

    asked = []

    def missing(symbol: str, first: int, end: int) -> list[bp.Bar]:
        asked.append((symbol, (end - first) // 300_000))
        return [bar for bar in of if first <= bar.open_time < end]

    with folder() as state:
        live = session(state, START, gap=missing)
        live.on_bar(of[START])
        got = live.on_bar(of[START + 8])
        assert asked == [("SIM", 7)]
        assert got._replace(decided_at=0) == want[8]._replace(decided_at=0)
        assert rows(state, "SELECT count(*) FROM decisions") == [(9,)]
        assert rows(state, "SELECT kind FROM events WHERE kind = 'catch_up'") == [("catch_up",)]
        live.close()
    # With a hole: as a backtest over candles with one.
    hole = np.r_[0 : START + 3, START + 10 : 1_500]
    holed = of._take(hole)
    live = session(None, START, gap="accept")
    decisions = [live.on_bar(bar) for bar in holed[START:]]
    signals = signals_of(decisions, len(holed), START)
    result = bp.backtest(
        holed,
        signals,
        RULES,
        costs=COSTS,
        window=(START, len(holed)),
        engine="replay",
        ledger=False,
    )
    assert [d.equity for d in decisions][:-1] == result.equity["equity"].to_list()[:-1]


def test_bars_that_have_not_closed_are_refused_by_the_clock() -> None:
    bar = candles()[START]
    now = [bar.open_time + 299_999]
    live = session(None, START, clock=lambda: now[0])
    with pytest.raises(bp.CandleError, match=r"still forming: it closes in 0\.001 s"):
        live.on_bar(bar)
    now[0] = bar.open_time - 1
    with pytest.raises(bp.CandleError, match="lies in the future"):
        live.on_bar(bar)
    now[0] = bar.open_time + 300_000
    assert live.on_bar(bar).decided_at == now[0]


def test_clock_skew_is_reported_once() -> None:
    bar = candles()[START]
    with folder() as state:
        live = session(state, START, clock=lambda: bar.open_time + 300_000)
        assert live.report_time(bar.open_time + 299_500) == 500
        assert live.report_time(bar.open_time + 290_000) == 10_000
        assert live.report_time(bar.open_time + 290_100) == 9_900
        assert live.report_time(bar.open_time + 300_000) == 0
        found = rows(state, "SELECT body FROM events WHERE kind = 'skew'")
        assert [json.loads(body)["milliseconds"] for (body,) in found] == [10_000, 0]
        live.close()


def test_a_model_that_fails_leaves_the_state_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    of = candles()
    plain = session(None, START)
    want = [plain.on_bar(bar) for bar in of[START : START + 6]]
    with folder() as state:
        live = session(state, START)
        got = [live.on_bar(bar) for bar in of[START : START + 3]]
        from barproof.live import stepping as module

        def fails(_: Any) -> Any:
            raise RuntimeError("out of memory")

        whole = vars(module)["signals_together"]
        monkeypatch.setattr(module, "signals_together", fails)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="out of memory"):
                live.on_bar(of[START + 3])
        monkeypatch.setattr(module, "signals_together", whole)
        got += [live.on_bar(bar) for bar in of[START + 3 : START + 6]]
        assert [d._replace(decided_at=0) for d in got] == [d._replace(decided_at=0) for d in want]
        live.close()


def test_a_full_disk_is_one_error_and_the_bar_can_come_again() -> None:
    """SQLite's own bound on the size of the file stands for the disk: it fails with the same code."""
    of = candles()
    with folder() as state:
        live = session(state, START)
        live.on_bar(of[START])
        assert live._store is not None
        base = live._store._base
        (pages,) = base.execute("PRAGMA page_count").fetchone()
        base.execute(f"PRAGMA max_page_count = {pages}")
        full = 0
        at = START + 1
        while not full:
            try:
                live.on_bar(of[at])
                at += 1
            except bp.FileError:
                full = at
        with pytest.raises(
            bp.FileError, match="written: database or disk is full; the disk is full"
        ):
            live.on_bar(of[full])
        last = rows(state, "SELECT max(open_time) FROM decisions")
        assert last == [(of[full - 1].open_time * 1000,)]
        base.execute("PRAGMA max_page_count = 100000")
        got = live.on_bar(of[full])
        live.close()
        plain = session(None, START)
        want = [plain.on_bar(bar) for bar in of[START : full + 1]][-1]
        assert got._replace(decided_at=0) == want._replace(decided_at=0)


def test_a_withheld_entry_is_a_signal_that_was_not_there() -> None:
    """A watch withholds entries: exits and stops stay, and the decision says why."""

    class Every:
        digest = "every"

        def __init__(self) -> None:
            self.seen = self.entries = 0

        def fresh(self) -> Every:
            return Every()

        def update(
            self, row: Any, signals: Any, *, time: int, bar: Any, entries: int
        ) -> str | None:
            self.seen += 1
            self.entries += entries
            return "too many" if self.seen % 3 == 0 else None

        def state(self) -> dict[str, int]:
            return {"seen": self.seen, "entries": self.entries}

        def restored(self, state: dict[str, int]) -> Every:
            new = Every()
            new.seen, new.entries = state["seen"], state["entries"]
            return new

    of = candles()
    with folder() as state:
        decisions = []
        live = session(state, START, watch=Every(), checkpoint_bars=16)
        for i, bar in enumerate(of[START:1_300]):
            decisions.append(live.on_bar(bar))
            if i % 77 == 5:
                live.close()
                live = session(state, None, watch=Every(), checkpoint_bars=16)
        watch = live._stepper.markets["SIM"].watch
        live.close()
        assert watch.seen == 300
        assert [d.withheld for d in decisions] == [None, None, "too many"] * 100
        said = signals_of(decisions, 1_300, START)
        held = np.arange(1_300) % 3 == (START + 2) % 3
        arrays: dict[str, Any] = {name: np.array(said[name]) for name in said.names}
        for name in ("long", "short"):
            arrays[name][held] = np.nan
        result = bp.backtest(
            of[:1_300],
            bp.Signals(**arrays),
            RULES,
            costs=COSTS,
            window=(START, 1_300),
            engine="replay",
            ledger=False,
        )
        assert_trades_equal(state, result)
        assert abs(watch.entries - result.trades.height) <= 1
        assert {d.action for d in decisions} >= {"withheld"}


def test_fills_are_kept_beside_the_paper_account() -> None:
    with folder() as state:
        live = session(state, START)
        order = None
        for bar in candles()[START:]:
            decision = live.on_bar(bar)
            if decision.action == "enter":
                order = decision
                break
        assert order is not None and order.entry_zone is not None
        side: Any = "buy" if order.side == "long" else "sell"
        live.on_fill(side, order.entry_zone[0] * 1.001, 0.5, reason="entry")
        (body,) = rows(state, "SELECT body FROM events WHERE kind = 'fill'")[0]
        told = json.loads(body)
        assert told["paper_price"] == order.entry_zone[0]
        assert told["price"] / told["paper_price"] == pytest.approx(1.001)
        live.close()
