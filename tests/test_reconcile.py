"""`reconcile`: planted causes are found whole, and parts always sum to the gap."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import barproof as bp
from barproof._reconcile import FIELDS
from tests.helpers import simulated
from tests.tolerances import REFERENCE

CANDLES = bp.simulate_candles(11, bars=3_000, edge=0.1)
assert CANDLES.planted is not None
SCORES: NDArray[np.float64] = CANDLES.planted
RULES = bp.Rules(
    entry_long=1.2, entry_short=1.2, stop_loss=0.01, take_profit=0.02, max_hold=60, leverage=2.0
)
COSTS = bp.Costs(taker=0.0005, maker=0.0001, slippage=0.0001)


def signals(scores: Any) -> bp.Signals:
    return bp.Signals(long=scores, short=-scores, kind="score")


def run(
    *,
    candles: bp.Candles = CANDLES,
    scores: Any = SCORES,
    rules: Any = RULES,
    costs: bp.Costs = COSTS,
    **options: Any,
) -> bp.Result:
    return bp.backtest(candles, signals(scores), rules, costs=costs, ledger=False, **options)


PAPER = run()


def found(a: bp.Result, b: bp.Result, **options: Any) -> dict[str, float]:
    """Parts that are not zero; they sum to the gap."""
    made = bp.reconcile(a, b, **options)
    gap = b.metrics["final_equity"] - a.metrics["final_equity"]
    assert made.gap == gap
    for column in ("amount", "forward", "backward"):
        assert math.isclose(math.fsum(made.parts[column]), gap, rel_tol=0, abs_tol=REFERENCE * 1e4)
    return {row[0]: row[1] for row in made.parts.iter_rows() if row[1] != 0.0}


def moved() -> bp.Candles:
    """The same market with other opens, as another feed shows it."""
    frame = CANDLES.to_polars()
    opens = CANDLES.open * (1 + 1e-4 * np.random.default_rng(3).standard_normal(len(CANDLES)))
    frame = frame.with_columns(
        pl.Series("open", opens),
        pl.Series("high", np.maximum(CANDLES.high, opens)),
        pl.Series("low", np.minimum(CANDLES.low, opens)),
    )
    return bp.read_candles(
        frame,
        instrument=CANDLES.instrument,
        symbol=CANDLES.symbol,
        interval=CANDLES.interval,
        funding=CANDLES.funding,
    )


def dearer() -> bp.Candles:
    """The same market with other funding."""
    funding = CANDLES.funding
    assert funding is not None
    return CANDLES.with_funding(funding.with_columns(pl.col("funding_rate") * 3 + 1e-4))


NOISY = np.where(np.arange(3_000) % 7 == 0, SCORES - 0.4, SCORES)

CAUSES: dict[str, dict[str, Any]] = {
    "market": {"candles": moved()},
    "signals": {"scores": NOISY},
    "threshold": {"rules": RULES.replace(entry_long=1.4, entry_short=1.4)},
    "exits": {"rules": RULES.replace(stop_loss=0.02, max_hold=30)},
    "timing": {"rules": RULES.replace(cooldown=5)},
    "size": {"rules": RULES.replace(leverage=1.0, fraction=0.5)},
    "fills": {"costs": bp.Costs(taker=0.0005, maker=0.0001, slippage=0.0006)},
    "fees": {"costs": bp.Costs(taker=0.0009, maker=0.0004, slippage=0.0001)},
    "funding": {"candles": dearer()},
}


@pytest.mark.parametrize("cause", CAUSES)
def test_a_single_cause_gets_the_whole_gap(cause: str) -> None:
    live = run(**CAUSES[cause])
    assert live.metrics["final_equity"] != PAPER.metrics["final_equity"]
    assert list(found(PAPER, live)) == [cause]
    assert list(found(live, PAPER)) == [cause]


def test_features_and_model_are_told_apart_by_what_lies_between() -> None:
    # A model that doubles is replaced by one that does not; features of every seventh bar differ.
    a, b, between = 2 * SCORES, NOISY, 2 * NOISY
    paper, live = run(scores=a), run(scores=b)
    parts = bp.reconcile(paper, live, between=signals(between)).parts
    amounts = dict(parts.select("part", "amount").iter_rows())
    middle = run(scores=between).metrics["final_equity"]
    assert amounts["features"] == middle - paper.metrics["final_equity"]
    assert amounts["model"] == live.metrics["final_equity"] - middle
    only = run(scores=between)
    assert list(found(paper, only, between=signals(between))) == ["features"]


def test_two_causes_share_what_they_do_together() -> None:
    both = run(rules=CAUSES["threshold"]["rules"], costs=CAUSES["fees"]["costs"])
    alone = [run(**CAUSES[name]).metrics["final_equity"] for name in ("threshold", "fees")]
    start, end = PAPER.metrics["final_equity"], both.metrics["final_equity"]
    amounts = found(PAPER, both)
    assert set(amounts) == {"threshold", "fees"}
    # The Shapley value of two, from the four runs.
    want = 0.5 * ((alone[0] - start) + (end - alone[1]))
    assert math.isclose(amounts["threshold"], want, rel_tol=REFERENCE)


def test_schedules_change_as_one() -> None:
    schedule = [(0, RULES), (1_500, RULES.replace(stop_loss=0.03))]
    assert list(found(PAPER, run(rules=schedule))) == ["rules"]
    kept = run(rules=schedule, costs=CAUSES["fees"]["costs"])
    assert list(found(run(rules=schedule), kept)) == ["fees"]


def test_causes_that_only_hold_together_go_to_the_later_one() -> None:
    # Thresholds on exit signals need the signals: neither half runs alone in one of the orders.
    leave = bp.Signals(
        long=SCORES, short=-SCORES, exit_long=-SCORES, exit_short=SCORES, kind="score"
    )
    rules = RULES.replace(exit_long=0.5, exit_short=0.5)
    live = bp.backtest(CANDLES, leave, rules, costs=COSTS, ledger=False)
    amounts = found(PAPER, live)
    assert set(amounts) <= {"signals", "threshold"} and "threshold" in amounts


def test_every_field_of_the_rules_has_its_part() -> None:
    told = [name for names in FIELDS.values() for name in names]
    assert sorted(told) == sorted(bp.Rules().to_dict())


def test_equal_runs_have_no_gap() -> None:
    made = bp.reconcile(PAPER, run())
    assert made.gap == 0.0 and (made.parts["amount"] == 0.0).all()
    assert set(made.pairs["status"]) == {"same"}
    assert repr(made) == "Reconciliation(gap +0.00: none)"


# --- trades ---------------------------------------------------------------------------------------------------------


def amounts(made: bp.Reconciliation) -> dict[str, float]:
    total = math.fsum(made.parts["amount"])
    assert math.isclose(total, made.gap, rel_tol=REFERENCE, abs_tol=1e-6)
    return {row[0]: row[1] for row in made.parts.iter_rows() if abs(row[1]) > 1e-6}


def test_a_table_of_the_same_trades_has_no_gap() -> None:
    made = bp.reconcile(PAPER, PAPER.trades)
    assert amounts(made) == {} and set(made.pairs["status"]) == {"same"}


def test_missed_and_extra_trades_are_their_profit() -> None:
    trades = PAPER.trades
    without = trades[[k for k in range(len(trades)) if k not in (3, 8)]]
    made = bp.reconcile(PAPER, without)
    assert amounts(made) == pytest.approx({"missed": -(trades["pnl"][3] + trades["pnl"][8])})
    assert made.pairs.filter(pl.col("status") == "missed")["a"].to_list() == [3, 8]
    made = bp.reconcile(without, PAPER)
    assert amounts(made) == pytest.approx({"extra": trades["pnl"][3] + trades["pnl"][8]})
    assert made.pairs.filter(pl.col("status") == "extra")["b"].to_list() == [3, 8]


def changed(**columns: Any) -> pl.DataFrame:
    """Trades with other values, and the profit that follows from them."""
    trades = PAPER.trades.filter(pl.col("reason") != "liquidation").with_columns(**columns)
    sign = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
    gross = sign * pl.col("quantity") * (pl.col("exit_price") - pl.col("entry_price"))
    return trades.with_columns(pnl=gross - pl.col("fees") + pl.col("funding"))


@pytest.mark.parametrize(
    ("part", "columns"),
    [
        ("fees", {"fees": pl.col("fees") * 2}),
        ("funding", {"funding": pl.col("funding") - 1.0}),
        ("size", {"quantity": pl.col("quantity") * 0.5}),
        ("fills", {"entry_price": pl.col("entry_price") * 1.001}),
        ("fills", {"exit_price": pl.col("exit_price") * 0.999}),
        (
            "timing",
            {
                "entry_time": pl.col("entry_time")
                + pl.duration(minutes=CANDLES.interval_ms // 60_000),
                "entry_price": pl.col("entry_price") * 1.001,
            },
        ),
    ],
)
def test_a_cause_planted_in_trades_is_found_whole(part: str, columns: dict[str, Any]) -> None:
    made = bp.reconcile(
        changed(), changed(**columns), within=timedelta(milliseconds=CANDLES.interval_ms)
    )
    assert list(amounts(made)) == [part]
    assert "missed" not in set(made.pairs["status"])


def test_fills_within_the_bar_are_no_timing() -> None:
    late = changed(
        entry_time=pl.col("entry_time") + pl.duration(seconds=20),
        entry_price=pl.col("entry_price") * 1.001,
    )
    assert "timing" not in amounts(bp.reconcile(PAPER, late))
    assert "fills" in amounts(bp.reconcile(PAPER, late))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_parts_of_any_two_tables_sum_to_the_gap(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def table() -> pl.DataFrame:
        n = int(rng.integers(0, 30))
        start = np.datetime64("2024-01-01", "us") + rng.integers(0, 40, n) * np.timedelta64(
            60_000_000, "us"
        )
        return pl.DataFrame(
            {
                "side": pl.Series(rng.choice(["long", "short"], n), dtype=pl.String),
                "entry_time": pl.Series(start, dtype=pl.Datetime("us")),
                "entry_price": rng.uniform(90, 110, n),
                "exit_time": pl.Series(start, dtype=pl.Datetime("us")) + timedelta(minutes=5),
                "exit_price": rng.uniform(90, 110, n),
                "quantity": rng.uniform(0.1, 2, n),
                "pnl": rng.standard_normal(n),
            }
        )

    a, b = table(), table()
    made = bp.reconcile(a, b)
    assert math.isclose(made.gap, math.fsum(b["pnl"]) - math.fsum(a["pnl"]), abs_tol=1e-9)
    assert math.isclose(math.fsum(made.parts["amount"]), made.gap, abs_tol=1e-9)
    assert math.isclose(made.pairs["pnl"].sum(), made.gap, abs_tol=1e-9)
    # Nobody is matched twice, and only with his own side.
    for column, whole in (("a", a), ("b", b)):
        assert sorted(made.pairs[column].drop_nulls()) == list(range(len(whole)))


def test_a_simulated_market_of_another_kind_goes_through() -> None:
    candles, scores = simulated(2_000)
    a = bp.backtest(candles, scores, RULES, costs=COSTS, ledger=False)
    b = bp.backtest(candles, scores, RULES, costs=bp.Costs.free(), ledger=False)
    assert set(found(a, b)) == {"fills", "fees"}
