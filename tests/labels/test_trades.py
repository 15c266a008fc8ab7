"""Labels that are trades: against the slow twin of the contract, `bp.backtest`, and a loop over plain barriers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import _core
from tests.helpers import flat, market
from tests.reference.compare import engine
from tests.reference.draws import Case, draw
from tests.reference.execution import run
from tests.tolerances import PRICE_FRACTION, REFERENCE, ROUNDING

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
EXACT = ("entry_bar", "exit_bar", "reason", "ambiguous")
MONEY = ("entry_price", "exit_price", "return", "mae", "mfe")


def core_labels(case: Case, rules: dict[str, Any], side: int, *, by_bar: bool) -> dict[str, Any]:
    """Labels of every bar of a drawn case."""
    made = engine(case)
    full = dict(bp.Rules(**rules).to_dict())
    sides = np.full(len(case.market.close), side, dtype=np.int8)
    return _core.trade_labels(
        made.bars,
        full,
        sides,
        signals=made.signals,
        costs=made.options["costs"],
        instrument_=made.options["instrument_"],
        initial_equity=case.initial_equity,
        by_bar=by_bar,
        threads=2,
        progress=None,
        finer=None,
    )


def label_case(seed: int) -> tuple[Case, dict[str, Any]] | None:
    """Draw a case whose rules labels can follow, with a time barrier."""
    case = draw(seed)
    n = len(case.market.close)
    if case.schedule is not None or n < 3 or case.rules.get("sizing") == "confidence":
        return None
    dropped = ("entry_long", "entry_short", "short_gate", "reverse", "cooldown")
    rules = {name: value for name, value in case.rules.items() if name not in dropped}
    rules.setdefault("max_hold", 1 + seed % 30)
    return case, rules


def test_labels_are_the_trades_of_the_slow_twin() -> None:
    """Random rules and markets: every bar's decision run alone on the twin that was written from the contract."""
    compared = closed = 0
    for seed in range(400):
        drawn = label_case(seed)
        if drawn is None:
            continue
        case, rules = drawn
        n = len(case.market.close)
        side = 1 if seed % 2 else -1
        found = core_labels(case, rules, side, by_bar=False)
        again = core_labels(case, rules, side, by_bar=True)
        for name in found:
            np.testing.assert_array_equal(found[name], again[name], err_msg=f"seed {seed}: {name}")
        entry = "long" if side > 0 else "short"
        for i in range(0, n, 1 + n // 6):
            once = np.full(n, np.nan)
            once[i] = 1.0
            others = {k: v for k, v in case.signals.items() if k not in ("long", "short")}
            trades = run(
                case.market,
                {**others, entry: once},
                {**rules, f"entry_{entry}": 1.0},
                case.costs,
                initial_equity=case.initial_equity,
            ).trades
            compared += 1
            if not trades or trades[0]["reason"] == "end":
                assert found["state"][i] != 2, (seed, i)
                continue
            closed += 1
            trade, where = trades[0], f"seed {seed}, bar {i}"
            assert found["state"][i] == 2, where
            assert found["reasons"][found["reason"][i]] == trade["reason"], where
            for name in ("entry_bar", "exit_bar", "ambiguous"):
                assert found[name][i] == trade[name], where
            for name in MONEY:
                got, want = float(found[name][i]), float(trade[name])  # type: ignore[arg-type]
                assert math.isclose(
                    got, want, rel_tol=REFERENCE, abs_tol=REFERENCE * PRICE_FRACTION
                ), (where, name, got, want)
            for name in ("fees", "funding"):
                want = float(trade[name]) / case.initial_equity  # type: ignore[arg-type]
                assert math.isclose(found[name][i], want, rel_tol=REFERENCE, abs_tol=1e-15), where
    assert compared > 800
    assert closed > 500


RULES = st.fixed_dictionaries(
    {
        "stop_loss": st.sampled_from([None, 0.004, 0.01, 0.03]),
        "take_profit": st.sampled_from([None, 0.003, 0.01, 0.03]),
        "max_hold": st.sampled_from([1, 2, 7, 30]),
        "trailing": st.sampled_from([None, None, 0.006]),
        "break_even": st.sampled_from([None, None, 0.004]),
        "leverage": st.sampled_from([1.0, 3.0, 40.0]),
        "intrabar": st.sampled_from(["pessimistic", "optimistic", "nearest_open"]),
        "take_profit_order": st.sampled_from(["limit", "market"]),
        "entry": st.sampled_from(["market", "market", "limit"]),
        "limit_bars": st.sampled_from([1, 4]),
        "fraction": st.sampled_from([1.0, 0.3]),
    }
)


@settings(max_examples=25, deadline=None)
@given(rules=RULES, seed=st.integers(0, 10_000), side=st.sampled_from(["long", "short"]))
def test_labels_are_the_trades_that_backtest_takes(
    rules: dict[str, Any], seed: int, side: str
) -> None:
    n = 60
    candles = bp.simulate_candles(seed, bars=n, interval="1h")
    made = bp.Rules(**rules)
    labels = bp.labels.triple_barrier(candles, made, costs=COSTS, side=side, kind="regression")  # type: ignore[arg-type]
    entered = made.replace(**{f"entry_{side}": 0.5})
    for i, row in enumerate(labels.outcomes.iter_rows(named=True)):
        signal: Any = {side: [(i, 1.0)]}
        signals = bp.Signals.sparse(candles, **signal)
        trades = bp.backtest(
            candles, signals, entered, costs=COSTS, engine="replay", ledger=False
        ).trades
        done = trades.filter(pl.col("reason") != "end")
        if not len(done):
            assert row["state"] == ("open" if len(trades) or i + 1 == n else row["state"])
            assert row["return"] is None
            assert math.isnan(labels.values[i])
            assert labels.end[i] == (n if row["state"] == "open" else -1)
            continue
        trade = done.row(0, named=True)
        assert row["state"] == "closed"
        for name in (*EXACT, *MONEY):
            assert row[name] == trade[name], (i, name)
        assert row["fees"] == pytest.approx(trade["fees"] / 1e4, rel=ROUNDING)
        assert row["funding"] == pytest.approx(trade["funding"] / 1e4, rel=ROUNDING)
        assert labels.values[i] == trade["return"]
        assert (labels.start[i], labels.end[i]) == (i + 1, trade["exit_bar"])


def plain_barriers(c: bp.Candles, stop: float, take: float, hold: int, fee: float) -> list[Any]:
    """Long trades from the next open on, written as one would on paper: no funding, no slippage, no leverage."""
    found: list[Any] = []
    n = len(c)
    for i in range(n):
        entry = i + 1
        if entry >= n:
            found.append((math.nan, n))
            continue
        price = c.open[entry]
        out = None
        for j in range(entry, n):
            if j > entry and j - entry >= hold:
                out = (c.open[j], j)
                break
            if j > entry and c.open[j] <= price * (1 - stop):
                out = (c.open[j], j)
                break
            if c.low[j] <= price * (1 - stop):
                out = (price * (1 - stop), j)
                break
            if c.high[j] > price * (1 + take):
                out = (price * (1 + take), j)
                break
        if out is None:
            found.append((math.nan, n))
            continue
        quantity = 1 / (1 + fee) / price
        found.append((quantity * (out[0] - price) - fee * quantity * (price + out[0]), out[1]))
    return found


def test_plain_barriers_on_paper() -> None:
    candles = bp.simulate_candles(11, bars=400, interval="1h").to_polars()
    spot = bp.read_candles(candles, instrument="spot", symbol="X", interval="1h")
    rules = bp.Rules(stop_loss=0.012, take_profit=0.015, max_hold=20)
    labels = bp.labels.triple_barrier(spot, rules, costs=bp.Costs(taker=0.0007), kind="regression")
    want = plain_barriers(spot, 0.012, 0.015, 20, 0.0007)
    np.testing.assert_allclose(labels.values, [w[0] for w in want], rtol=REFERENCE, atol=1e-14)
    np.testing.assert_array_equal(labels.end, [w[1] for w in want])
    classes = bp.labels.triple_barrier(spot, rules, costs=bp.Costs(taker=0.0007))
    known = ~np.isnan(labels.values)
    assert (classes.values[known] == (labels.values[known] > 0)).all()
    assert np.isnan(classes.values[~known]).all()
    reasons = set(labels.outcomes["reason"].drop_nulls())
    assert reasons == {"stop", "take", "time"}


def test_both_sides_are_compared() -> None:
    candles = bp.simulate_candles(4, bars=600)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.008, max_hold=40)
    long, short = (
        bp.labels.triple_barrier(candles, rules, costs=COSTS, side=side, kind="regression")
        for side in ("long", "short")
    )
    both = bp.labels.triple_barrier(candles, rules, costs=COSTS, side="both", threshold=0.001)
    assert both.kind == "ternary"
    for i in range(len(candles)):
        a, b = long.values[i], short.values[i]
        if math.isnan(a) or math.isnan(b):
            assert math.isnan(both.values[i])
            assert both.end[i] == len(candles)
            continue
        want = 1 if a > 0.001 and a > b else -1 if b > 0.001 and b > a else 0
        assert both.values[i] == want
        assert both.end[i] == max(long.end[i], short.end[i])
    assert set(np.unique(both.values[both.defined])) == {-1.0, 0.0, 1.0}
    assert both.outcomes["side"].to_list() == ["long", "short"] * len(candles)


def test_meta_labels_are_trades_of_the_side_that_is_decided() -> None:
    candles = bp.simulate_candles(6, bars=500)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=30)
    rng = np.random.default_rng(3)
    primary = rng.choice([1.0, -1.0, 0.0, np.nan], size=500)
    made = bp.labels.meta(candles, primary, rules, costs=COSTS, kind="regression")
    sides = {
        1.0: bp.labels.triple_barrier(candles, rules, costs=COSTS, side="long", kind="regression"),
        -1.0: bp.labels.triple_barrier(
            candles, rules, costs=COSTS, side="short", kind="regression"
        ),
    }
    for i, decided in enumerate(primary):
        if decided not in sides:
            assert math.isnan(made.values[i])
            assert (made.start[i], made.end[i]) == (-1, -1)
            assert made.outcomes["side"][i] is None
            continue
        want = sides[decided]
        np.testing.assert_equal(made.values[i], want.values[i])
        assert (made.start[i], made.end[i]) == (want.start[i], want.end[i])
    classes = bp.labels.meta(candles, primary, rules, costs=COSTS, threshold=0.002)
    known = classes.defined
    assert (classes.values[known] == (made.values[known] > 0.002)).all()


def test_purging_by_spans_leaves_no_row_that_sees_the_next_part() -> None:
    candles = bp.simulate_candles(8, bars=2_000)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=60)
    labels = bp.labels.triple_barrier(candles, rules, costs=COSTS)
    for fold in bp.WalkForward(train=800, test=200).folds(candles, labels):
        first = fold.test[0]
        want = [i for i in range(first - 800, first) if labels.end[i] < first]
        assert fold.train.tolist() == want
        assert fold.purged == 800 - len(want)
        # The longest label of a row ends 61 bars after it.
        assert 0 < fold.purged <= 61


@pytest.mark.parametrize("rules", [{}, {"trailing": 0.01}, {"entry": "limit", "limit_bars": 5}])
def test_same_bits_on_any_number_of_threads_and_on_both_engines(rules: dict[str, Any]) -> None:
    candles = bp.simulate_candles(2, bars=30_000)
    made = bp.Rules(stop_loss=0.01, take_profit=0.02, max_hold=100, **rules)
    labels = [
        bp.labels.triple_barrier(candles, made, costs=COSTS, threads=threads, engine=name)
        for threads, name in ((1, "indexed"), (2, "indexed"), (5, "indexed"), (2, "replay"))
    ]
    for other in labels[1:]:
        assert other.outcomes.equals(labels[0].outcomes)
        assert other.values.tobytes() == labels[0].values.tobytes()
        assert (other.start.tobytes(), other.end.tobytes()) == (
            labels[0].start.tobytes(),
            labels[0].end.tobytes(),
        )
        assert other.digest == labels[0].digest


def test_what_is_inside_a_bar_is_shown_by_finer_candles() -> None:
    """Up first, down later within one hour: a target by the minutes, a stop where nobody knows."""
    hours = market([*flat(100.0, 2), (100.0, 103.0, 97.0, 100.0), *flat(100.0, 4)], interval="1h")
    path = [100.0] * 120 + [103.0] * 30 + [97.0] * 29 + [100.0] + [100.0] * 240
    bars = list(zip([100.0, *path[:-1]], path, strict=True))
    minutes = market([(o, max(o, c), min(o, c), c) for o, c in bars], interval="1m")
    rules = bp.Rules(stop_loss=0.02, take_profit=0.02, max_hold=3)
    free = bp.Costs.free()
    hidden = bp.labels.triple_barrier(hours, rules, costs=free, kind="regression")
    shown = bp.labels.triple_barrier(
        hours, rules, costs=free, kind="regression", intrabar_candles=minutes
    )
    assert (hidden.outcomes["reason"][0], hidden.outcomes["ambiguous"][0]) == ("stop", True)
    assert (shown.outcomes["reason"][0], shown.outcomes["ambiguous"][0]) == ("take", False)
    assert shown.digest != hidden.digest


def test_exits_of_a_model_end_labels() -> None:
    candles = bp.simulate_candles(9, bars=300)
    leave = np.full(300, np.nan)
    leave[::17] = 0.9
    signals = bp.Signals(exit_long=leave)
    rules = bp.Rules(max_hold=50, exit_long=0.8)
    labels = bp.labels.triple_barrier(
        candles, rules, costs=COSTS, kind="regression", signals=signals
    )
    for i in range(240):
        met = next(j for j in range(i + 1, 300) if j % 17 == 0)
        assert (labels.outcomes["reason"][i], labels.end[i]) == ("signal", met + 1)


def test_labels_train_a_model() -> None:
    candles = bp.simulate_candles(12, bars=3_000, edge=0.2)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=24)
    labels = bp.labels.triple_barrier(candles, rules, costs=bp.Costs.free(), side="both")
    features = candles.to_polars().select("open_time").with_columns(score=candles.planted)
    run_ = bp.train(
        bp.models.Logistic(), features, labels, bp.WalkForward(train=1_200, tune=300, test=300),
        ledger=False,
    )  # fmt: skip
    assert len(run_.folds) > 2
    assert run_.labels.rule["name"] == "triple barrier"


def test_rules_that_labels_cannot_follow_are_refused_by_name() -> None:
    candles = bp.simulate_candles(1, bars=100)

    def refused(**rules: Any) -> str:
        with pytest.raises(bp.RulesError) as caught:
            bp.labels.triple_barrier(candles, bp.Rules(**rules), costs=COSTS)
        return str(caught.value)

    assert refused(stop_loss=0.01) == (
        "labels of trades need `max_hold`, the time barrier: without it a label may never end"
    )
    assert refused(max_hold=5, reverse=True) == (
        "labels of trades cannot be made with reverse=True: what ends the trade would be another decision"
    )
    assert refused(max_hold=5, sizing="confidence") == (
        'labels of trades cannot be made with sizing="confidence": there is no probability yet; use sizing="fraction"'
    )
    assert "`exit_long`" in refused(max_hold=5, exit_long=0.5)


def test_labels_never_see_beyond_their_span() -> None:
    """Other prices after the end of a label change nothing of it."""
    candles = bp.simulate_candles(5, bars=300)
    rules = bp.Rules(stop_loss=0.006, take_profit=0.006, max_hold=40)
    labels = bp.labels.triple_barrier(candles, rules, costs=COSTS, kind="regression")
    for cut in (60, 150, 260):
        part = candles[:cut]
        early = bp.labels.triple_barrier(part, rules, costs=COSTS, kind="regression")
        inside = labels.end[:cut] < cut - 1
        np.testing.assert_array_equal(early.values[inside], labels.values[:cut][inside])
        assert inside.sum() > cut - 45
