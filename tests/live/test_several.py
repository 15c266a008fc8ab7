"""Several symbols at one bar clock: each as if it were alone, in one transaction, whatever order bars come in."""

from __future__ import annotations

import random

import pytest

import barproof as bp
from tests.live.market import COSTS, RULES, folder, trained
from tests.live.test_session import rows
from tests.tolerances import ROUNDING

SYMBOLS = ["A", "B", "C"]
START, STOP = 400, 520


def books() -> dict[str, bp.Candles]:
    return bp.simulate_candles(3, bars=STOP, symbols=SYMBOLS)


def alone(of: bp.Candles) -> list[bp.Decision]:
    live = bp.LiveSession(trained().bundles[0], RULES, costs=COSTS, state=None, candles=of[:START])
    return [live.on_bar(bar)._replace(decided_at=0, symbol="") for bar in of[START:]]


def made(state: object, **options: object) -> bp.LiveSession:
    bundle = trained().bundles[0]
    given = {"costs": COSTS, "state": state, **options}
    if "candles" not in given:
        given["candles"] = {name: one[:START] for name, one in books().items()}
    return bp.LiveSession(dict.fromkeys(SYMBOLS, bundle), RULES, **given)  # type: ignore[arg-type]


def test_each_symbol_is_decided_as_if_it_were_alone() -> None:
    """Bars come one by one in any order of symbols, some ahead; a restart in between forgets none."""
    chance = random.Random(1)
    all_books = books()
    with folder() as state:
        live = made(state, checkpoint_bars=16)
        got: dict[str, list[bp.Decision]] = {name: [] for name in SYMBOLS}
        for i in range(START, STOP):
            for name in chance.sample(SYMBOLS, 3):
                found = live.on_bar({name: all_books[name][i]})
                assert set(found) in (set(), set(SYMBOLS))
                for symbol, decision in found.items():
                    got[symbol].append(decision._replace(decided_at=0, symbol=""))
            if i in (STOP - 60, STOP - 3):
                live.close()
                live = made(state, checkpoint_bars=16)
        live.close()
        assert rows(state, "SELECT count(DISTINCT open_time), count(*) FROM decisions") == [
            (STOP - START, 3 * (STOP - START))
        ]
    for name in SYMBOLS:
        want = alone(all_books[name])
        said = [d.p_long for d in got[name]]
        assert said == pytest.approx([d.p_long for d in want], rel=ROUNDING)
        assert [
            d._replace(p_long=0, p_short=0, p_exit_long=0, confidence=0) for d in got[name]
        ] == [d._replace(p_long=0, p_short=0, p_exit_long=0, confidence=0) for d in want]


def test_a_missing_bar_is_given_up_and_the_position_stays() -> None:
    all_books = books()
    live = made(None, patience=1, gap="accept")
    for i in range(START, START + 5):
        bars = {
            name: all_books[name][i] for name in SYMBOLS if not (name == "B" and i == START + 2)
        }
        found = live.on_bar(bars)
        if i == START + 2:
            assert found == {}
        elif i == START + 3:
            # B shows a later bar: that of before does not come any more, and both times are decided.
            assert set(found) == set(SYMBOLS)
    assert live.last == {name: all_books[name][START + 4].open_time for name in SYMBOLS}
    decision = live.decision("B")
    assert decision is not None
    assert decision.open_time == all_books["B"][START + 4].open_time
    live.on_bar({"A": all_books["A"][START + 5]})
    assert live.last["A"] == all_books["A"][START + 4].open_time
    assert set(live.flush()) == {"A"}
