"""`parity` of what a session wrote: equal to the bit, with and without values, with a watch that withholds."""

from __future__ import annotations

import importlib
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import barproof as bp

pytest.importorskip("barproof.live.session")
market: Any = importlib.import_module("tests.live.market")

START = 1_000


def stepped(state: Path, **changes: Any) -> None:
    """Step a session over the bars after its history."""
    live = market.session(state, START, **changes)
    for bar in market.candles()[START:]:
        live.on_bar(bar)
    live.close()


def held(state: Path) -> bp.Parity:
    return bp.parity(
        state, market.candles(), market.trained().bundles[0], market.RULES, costs=market.COSTS
    )


@pytest.mark.parametrize("values", [True, False])
def test_a_session_is_one_system_with_the_backtest(values: bool) -> None:
    bundle = market.trained().bundles[0]
    table = bp.FeatureSet(list(market.NAMES)).compute(market.candles())
    watch = bp.Watch(bp.WatchReference.of(bundle, table[500:1_000]), outside=0.3)
    with market.folder() as state:
        stepped(state, log_features=values, watch=watch)
        log = bp.LiveLog.read(state)
        assert 0 < log.decisions["withheld"].is_not_null().sum() < len(log)
        found = held(state)
        assert found.equal and found.exit_code == 0, str(found)
        assert found.compared["features"] == len(log) * len(market.NAMES)
        assert found.compared["trades"] == log.trades.height > 0


def test_what_is_changed_in_a_session_s_log_is_found() -> None:
    with market.folder() as state:
        stepped(state, log_features=False)
        assert held(state).equal
        with sqlite3.connect(state / "live.sqlite") as base:
            at = "(SELECT open_time FROM decisions ORDER BY open_time LIMIT 1 OFFSET 321)"
            base.execute(f"UPDATE decisions SET p_long = p_long + 1e-6 WHERE open_time = {at}")
            (when,) = base.execute(f"SELECT {at}").fetchone()
        with pytest.raises(bp.FileError, match="the rows of `decisions` are not as they were"):
            held(state)
        # Logs of before have no digests, and what is changed in them is found by its values.
        with sqlite3.connect(state / "live.sqlite") as base:
            base.execute("DROP TABLE sums")
        first = held(state).first
        assert first is not None
        assert (first.layer, first.column, first.differing) == ("probabilities", "p_long", 1)
        assert round(first.open_time.timestamp() * 1e6) == when
