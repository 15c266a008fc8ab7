"""Real fills beside the paper account: entries and exits, parts of an order, missed and extra ones, and DEC-05."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.live.market import COSTS, NAMES, candles, folder, session, trained

START, STOP = 1_000, 2_000
SAID = trained().bundles[0].predict(bp.FeatureSet(NAMES).compute(candles()))[START:STOP, 1]
MIDDLE = float(np.median(SAID))
RULES = bp.Rules(
    entry_long=MIDDLE,
    entry_short=1.0 - MIDDLE,
    stop_loss=0.006,
    take_profit=0.006,
    max_hold=12,
)
EXECUTED = 4e-4
"""What every order of the test's exchange costs beyond the price before slippage."""


def orders(state: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """The orders of the paper account, from the trades of its log, in the order of their times."""
    trades = bp.LiveLog.read(state).trades
    legs = [(row, end) for row in trades.iter_rows(named=True) for end in ("entry", "exit")]
    yield from sorted(legs, key=lambda leg: leg[0][f"{leg[1]}_time"])


def stepped(state: Path) -> bp.LiveSession:
    live = session(state, START, rules=RULES)
    for bar in candles()[START:STOP]:
        live.on_bar(bar)
    return live


def leg_of(row: dict[str, Any], end: str) -> tuple[str, float, float]:
    """Side of the order, +1 to buy, and the price before slippage; a target rests at its level and has none."""
    sign = (1.0 if row["side"] == "long" else -1.0) * (1.0 if end == "entry" else -1.0)
    slip = 0.0 if end == "exit" and row["reason"] == "take" else COSTS.slippage
    return ("buy" if sign > 0 else "sell"), sign, row[f"{end}_price"] / (1 + sign * slip)


def found_of(state: Path) -> bp.Parity:
    return bp.parity(state, candles()[:STOP], trained().bundles[0], RULES, costs=COSTS)


def test_entries_and_exits_are_put_beside_the_paper_account() -> None:
    with folder() as state:
        live = stepped(state)
        chance = np.random.default_rng(3)
        told = []
        for k, (row, end) in enumerate(orders(state)):
            side, sign, base = leg_of(row, end)
            worse = EXECUTED + float(chance.normal(0.0, 1e-5))
            # Some seconds into the bar; every fifth order in two parts around the same mean.
            at = row[f"{end}_time"] + timedelta(seconds=2)
            price, quantity = base * (1 + sign * worse), row["quantity"]
            parts = [(price, quantity)]
            if k % 5 == 0:
                parts = [
                    (price * 1.001, 0.25 * quantity),
                    (price * (1 - 0.001 / 3), 0.75 * quantity),
                ]
            for part, size in parts:
                live.on_fill(side, part, size, time=at, fee=0.5, reason=None)  # type: ignore[arg-type]
            told.append((row["side"], end, row["reason"], worse, len(parts)))
        live.close()
        found = found_of(state)
        assert found.equal, str(found)
        table = found.fills
        assert set(table["status"]) == {"matched"}
        assert table.height == len(told) > 60
        # By kind of order, so that the order of two within one bar does not matter.
        kinds = table["order"].unique().to_list()
        assert {"long entry", "short entry", "long stop", "short take"} <= set(kinds)
        for name in kinds:
            side, what = name.split()
            want = sorted(
                w for s, end, reason, w, _ in told
                if s == side and (what if what == "entry" else "exit") == end
                and (end == "entry" or reason == what)
            )  # fmt: skip
            got = sorted(table.filter(pl.col("order") == name)["slippage"].to_list())
            assert got == pytest.approx(want, abs=1e-12), name
        assert table["fills"].sum() == sum(parts for *_, parts in told)
        assert table["fee"].sum() == pytest.approx(0.5 * sum(table["fills"].to_list()))
        finding = found["DEC-05"]
        assert finding.outcome == "fail"
        rows = {row["group"]: row for row in finding.evidence["rows"]}
        # A target rests at its level: the backtest assumes no slippage there, and none is judged.
        resting = sum(end == "exit" and reason == "take" for _, end, reason, _, _ in told)
        assert rows["all"]["fills"] == len(told) - resting and resting > 5
        assert rows["all"]["mean"] == pytest.approx(EXECUTED, abs=5e-6)


def test_fills_as_assumed_pass_and_orders_without_a_partner_are_told() -> None:
    with folder() as state:
        live = stepped(state)
        every = list(orders(state))
        for k, (row, end) in enumerate(every):
            if k == 7:
                continue  # An order that was never sent.
            side, _, _ = leg_of(row, end)
            live.on_fill(side, row[f"{end}_price"], row["quantity"], time=row[f"{end}_time"])  # type: ignore[arg-type]
        quiet = list(bp.LiveLog.read(state).decisions.iter_rows(named=True))
        times = np.array([row[f"{end}_time"].timestamp() for row, end in every])
        far = next(
            row["open_time"] for row in quiet
            if np.abs(times - row["open_time"].timestamp()).min() > 3 * 300
            and times.min() < row["open_time"].timestamp() < times.max()
        )  # fmt: skip
        live.on_fill("buy", 50.0, 1.0, time=far, reason="by hand")
        live.close()
        found = found_of(state)
        counts = dict(found.fills.group_by("status").len().iter_rows())
        assert counts == {"matched": len(every) - 1, "missed": 1, "extra": 1}
        extra = found.fills.filter(pl.col("status") == "extra").row(0, named=True)
        assert (extra["order"], extra["side"], extra["paper_price"]) == ("by hand", "buy", None)
        missed = found.fills.filter(pl.col("status") == "missed").row(0, named=True)
        row, end = every[7]
        assert missed["paper_price"] == row[f"{end}_price"]
        assert found["DEC-05"].outcome == "pass"
        assert len(found.to_dict()["fills"]) == len(every) + 1


def test_a_log_without_fills_says_nothing_of_them() -> None:
    with folder() as state:
        stepped(state).close()
        found = found_of(state)
        assert found.fills.height == 0
        assert found["DEC-05"].outcome == "inconclusive"


def test_an_exit_is_told_beside_the_price_that_was_assumed() -> None:
    """At the close for an exit to the market, at the level for a stop or a target; also after a restart."""
    with folder() as state:
        live = session(state, START, rules=RULES)
        seen = set()
        for bar in candles()[START:STOP]:
            decision = live.on_bar(bar)
            if decision.position and decision.stop is not None and "held" not in seen:
                side: Any = "sell" if decision.position > 0 else "buy"
                live.close()
                live = session(state, START, rules=RULES)
                for reason, want in (
                    ("stop", decision.stop),
                    ("take", decision.target),
                    ("by hand", bar.close),
                ):
                    live.on_fill(side, bar.close, 1.0, reason=reason)
                    told = bp.LiveLog.read(state).events["body"].to_list()[-1]
                    assert f'"paper_price": {want!r}' in told
                other: Any = "buy" if side == "sell" else "sell"
                if decision.action == "hold":
                    live.on_fill(other, bar.close, 1.0)
                    told = bp.LiveLog.read(state).events["body"].to_list()[-1]
                    assert '"paper_price": null' in told
                    seen.add("held")
        live.close()
        assert seen == {"held"}
