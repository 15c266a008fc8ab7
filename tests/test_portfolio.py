"""`portfolio`: one account for several symbols, with numbers that can be checked on paper."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import _core
from barproof._account import START_OF_TIME, rules_of
from barproof._account import account as _account
from tests.helpers import flat, market
from tests.tolerances import REFERENCE, ROUNDING

FREE = bp.Costs.free()
FEE = bp.Costs(taker=0.001)


def candles(prices: list[float], symbol: str, **options: Any) -> bp.Candles:
    """Bars that open and close at one price each."""
    rows = [(p, p, p, p) for p in prices]
    return market(rows, interval="1h", **options)._replace(symbol=symbol)


def signals(values: list[float]) -> bp.Signals:
    return bp.Signals(long=np.array(values))


def of_edge(candles: bp.Candles) -> bp.Signals:
    assert candles.planted is not None
    return bp.Signals(long=candles.planted, short=-candles.planted, kind="score")


def simulated(count: int, bars: int = 4_000) -> tuple[dict[str, bp.Candles], dict[str, bp.Signals]]:
    names = [f"S{k}" for k in range(count)]
    made = {name: bp.simulate_candles(k + 3, bars=bars, edge=0.1) for k, name in enumerate(names)}
    given_ = {name: of_edge(c) for name, c in made.items()}
    return made, given_


def test_two_entries_at_one_open_are_served_by_excess() -> None:
    bars = {"A": candles([100.0] * 5, "A"), "B": candles([100.0] * 5, "B")}
    given_ = {"A": signals([0.6, 0, 0, 0, 0]), "B": signals([0.9, 0, 0, 0, 0])}
    rules = bp.Rules(entry_long=0.5, fraction=0.7)
    result = bp.portfolio(bars, given_, rules, costs=FREE, ledger=False)
    first, second = result.trades.sort("notional", descending=True).rows(named=True)
    # B's signal lies further above its threshold: it gets all it asks for, A what is free.
    assert (first["symbol"], first["notional"]) == ("B", 7_000.0)
    assert second["symbol"] == "A"
    assert second["notional"] == pytest.approx(3_000.0, rel=ROUNDING)


def test_equal_excess_goes_by_the_order_of_the_candles() -> None:
    bars = {"Z": candles([100.0] * 5, "Z"), "A": candles([100.0] * 5, "A")}
    given_ = {"Z": signals([0.9, 0, 0, 0, 0]), "A": signals([0.9, 0, 0, 0, 0])}
    result = bp.portfolio(bars, given_, bp.Rules(entry_long=0.5), costs=FREE, ledger=False)
    assert result.trades["symbol"].to_list() == ["Z"]
    assert result.refused.select("symbol", "side", "signal_bar", "bar", "reason").rows() == [
        ("A", "long", 0, 1, "free")
    ]


def test_fees_of_open_positions_are_spent() -> None:
    bars = {"A": candles([100.0] * 6, "A"), "B": candles([100.0] * 6, "B")}
    given_ = {"A": signals([0.9, 0, 0, 0, 0, 0]), "B": signals([0, 0.9, 0, 0, 0, 0])}
    rules = bp.Rules(entry_long=0.5, fraction=0.5)
    result = bp.portfolio(bars, given_, rules, costs=FEE, ledger=False)
    a = 5_000.0 / 1.001
    b = (10_000.0 - 0.001 * a) * 0.5 / 1.001
    by_symbol = dict(result.trades.select("symbol", "notional").rows())
    assert by_symbol["A"] == pytest.approx(a, rel=ROUNDING)
    assert by_symbol["B"] == pytest.approx(b, rel=ROUNDING)


def test_refused_decides_again_at_its_next_close() -> None:
    bars = {"A": candles([100.0] * 8, "A"), "B": candles([100.0] * 8, "B")}
    given_ = {
        "A": bp.Signals(long=[0.9, 0, 0, 0, 0, 0, 0, 0], exit_long=[0, 0, 0, 0.9, 0, 0, 0, 0]),
        "B": signals([0, 0.8, 0.8, 0.8, 0.8, 0, 0, 0]),
    }
    rules = {
        "A": bp.Rules(entry_long=0.5, exit_long=0.5, fraction=0.3),
        "B": bp.Rules(entry_long=0.5, fraction=0.3),
    }
    result = bp.portfolio(bars, given_, rules, costs=FREE, max_positions=1, ledger=False)
    # A holds from open 1 to open 4. B is refused at opens 2 and 3, decides again, and enters at 4 behind A's exit.
    assert result.refused.select("symbol", "bar", "reason").rows() == [
        ("B", 2, "max_positions"),
        ("B", 3, "max_positions"),
    ]
    assert result.trades.select("symbol", "entry_bar", "exit_bar").rows() == [
        ("A", 1, 4),
        ("B", 4, 7),
    ]


def test_gross_bounds_the_notionals() -> None:
    bars = {name: candles([100.0] * 4, name) for name in "ABC"}
    given_ = {
        "A": signals([0.9, 0, 0, 0]),
        "B": signals([0.8, 0, 0, 0]),
        "C": signals([0.7, 0, 0, 0]),
    }
    rules = bp.Rules(entry_long=0.5, fraction=0.3, leverage=3.0)
    result = bp.portfolio(bars, given_, rules, costs=FREE, max_gross=1.5, ledger=False)
    by_symbol = dict(result.trades.select("symbol", "notional").rows())
    assert by_symbol["A"] == pytest.approx(9_000.0, rel=ROUNDING)
    assert by_symbol["B"] == pytest.approx(6_000.0, rel=ROUNDING)
    assert result.refused.select("symbol", "reason").rows() == [("C", "max_gross")]
    assert result.exposure["gross"].max() == pytest.approx(1.5, rel=ROUNDING)
    assert result.exposure["positions"].to_list() == [0, 2, 2, 0]


def test_a_missing_bar_leaves_the_position_and_its_last_mark() -> None:
    whole = candles([100.0, 100.0, 110.0, 120.0, 130.0], "A")
    holed = candles([100.0, 100.0, 110.0, 120.0, 130.0], "B")._take(np.array([0, 1, 4]))
    given_ = {"A": signals([0.0] * 5), "B": signals([0.9, 0, 0])}
    rules = bp.Rules(entry_long=0.5, stop_loss=0.5)
    result = bp.portfolio({"A": whole, "B": holed}, given_, rules, costs=FREE, ledger=False)
    assert result.equity["equity"].to_list() == [10_000.0, 10_000.0, 10_000.0, 10_000.0, 13_000.0]
    assert result.trades.select("symbol", "entry_bar", "exit_bar").rows() == [("B", 1, 2)]
    assert result.exposure["positions"].to_list() == [0, 1, 1, 1, 0]


def test_a_symbol_that_ends_early_is_closed_at_its_last_bar() -> None:
    bars = {"A": candles([100.0] * 6, "A"), "B": candles([100.0, 100.0, 120.0], "B")}
    given_ = {"A": signals([0.0] * 6), "B": signals([0.9, 0, 0])}
    result = bp.portfolio(bars, given_, bp.Rules(entry_long=0.5), costs=FREE, ledger=False)
    (trade,) = result.trades.rows(named=True)
    assert (trade["symbol"], trade["exit_bar"], trade["reason"]) == ("B", 2, "end")
    assert result.equity["equity"].to_list() == [
        10_000.0,
        10_000.0,
        12_000.0,
        12_000.0,
        12_000.0,
        12_000.0,
    ]


def test_margins_that_are_freed_serve_entries_of_the_same_open() -> None:
    bars = {"A": candles([100.0] * 6, "A"), "B": candles([100.0] * 6, "B")}
    given_ = {
        "A": bp.Signals(long=[0.9, 0, 0, 0, 0, 0], exit_long=[0, 0, 0.9, 0, 0, 0]),
        "B": bp.Signals(long=[0, 0, 0.9, 0, 0, 0], exit_long=[0.0] * 6),
    }
    rules = bp.Rules(entry_long=0.5, exit_long=0.5)
    result = bp.portfolio(bars, given_, rules, costs=FREE, ledger=False)
    assert result.refused.is_empty()
    assert result.trades.select("symbol", "entry_bar", "exit_bar").rows() == [
        ("A", 1, 3),
        ("B", 3, 5),
    ]


def test_what_was_missed_is_the_trade_of_an_account_of_its_own() -> None:
    bars, given_ = simulated(3)
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24, stop_loss=0.02)
    result = bp.portfolio(bars, given_, rules, costs=FEE, max_positions=1, ledger=False)
    missed = result.missed()
    assert missed.height == result.refused.height > 50
    for row in missed.sample(10, seed=1).rows(named=True):
        start = row["signal_bar"]
        alone = bp.backtest(
            bars[row["symbol"]],
            given_[row["symbol"]],
            rules,
            costs=FEE,
            window=(start, 4_000),
            ledger=False,
        )
        first = alone.trades.row(0, named=True)
        assert (first["return"], first["exit_time"]) == (row["return"], row["exit_time"])
        assert row["pnl"] == row["return"] * row["equity"]


def test_contributions_sum_to_the_account() -> None:
    bars, given_ = simulated(4)
    rules = bp.Rules(entry_long=1.0, entry_short=1.0, max_hold=24, fraction=0.4)
    result = bp.portfolio(bars, given_, rules, costs=FEE, max_gross=1.0, ledger=False)
    each = result.contribution
    assert each["symbol"].to_list() == result.symbols
    assert each["pnl"].sum() == pytest.approx(result.equity["equity"][-1] - 10_000.0, rel=REFERENCE)
    assert each["trades"].sum() == result.metrics["trades"]
    assert each["share"].sum() == pytest.approx(1.0, rel=REFERENCE)
    assert each["refused"].sum() == result.refused.height
    daily = result.daily_contributions.select(result.symbols).to_numpy()
    np.testing.assert_allclose(daily.sum(axis=1), result.daily_returns["return"], atol=REFERENCE)
    want = np.corrcoef(daily, rowvar=False)
    np.testing.assert_allclose(
        result.correlation.select(result.symbols).to_numpy(), want, rtol=REFERENCE
    )


def test_a_symbol_without_trades_is_correlated_with_nothing() -> None:
    bars, given_ = simulated(2)
    silent = {**given_, "S1": bp.Signals(long=np.zeros(4_000), short=np.zeros(4_000), kind="score")}
    result = bp.portfolio(
        bars, silent, bp.Rules(entry_long=1.5, max_hold=9), costs=FEE, ledger=False
    )
    assert result.contribution.row(1)[:3] == ("S1", 0, None)
    assert np.isnan(result.correlation["S1"].to_numpy()).all()


FRAMES = ("trades", "refused", "equity", "daily_returns", "daily_contributions")


@pytest.mark.parametrize("most", [None, 1, 2])
def test_an_account_of_many_bars_is_that_of_replay(most: int | None) -> None:
    """Beyond some hundred thousand bars threads look ahead of each symbol; what is refused leaves what they saw."""
    bars, given_ = simulated(3, 90_000)
    bars["S1"] = bars["S1"]._take(np.setdiff1d(np.arange(90_000), np.arange(40_000, 40_500)))
    given_["S1"] = of_edge(bars["S1"])
    rules = bp.Rules(
        entry_long=1.5,
        entry_short=1.5,
        stop_loss=0.01,
        take_profit=0.02,
        max_hold=48,
        fraction=0.4,
        cooldown=2,
    )
    first, second = (
        bp.portfolio(
            bars, given_, rules, costs=FEE, max_positions=most, engine=engine, ledger=False
        )
        for engine in ("indexed", "replay")
    )
    assert first.trades.height > 1_000
    assert (first.refused.height > 1_000) == (most is not None)
    for name in FRAMES:
        assert getattr(first, name).equals(getattr(second, name)), name
    for made in (first._hold, second._hold, first.metrics):
        assert made.keys() == second.metrics.keys()
    np.testing.assert_array_equal(list(first.metrics.values()), list(second.metrics.values()))
    np.testing.assert_array_equal(list(first._hold.values()), list(second._hold.values()))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="fork of POSIX")
def test_an_account_works_after_fork() -> None:
    code = """
import os
import barproof as bp
candles = {k: bp.simulate_candles(i, bars=120_000) for i, k in enumerate("AB")}
signals = {k: bp.Signals(long=c.planted, kind="score") for k, c in candles.items()}
rules = bp.Rules(entry_long=1.0, max_hold=24, fraction=0.5)
run = lambda: bp.portfolio(candles, signals, rules, costs=bp.Costs.free(), ledger=False)
first = run()
pid = os.fork()
if pid == 0:
    os._exit(0 if run().trades.equals(first.trades) else 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_sides_and_reasons_are_those_of_the_core() -> None:
    """They are handed over as numbers; the texts are those that a single backtest brings as texts."""
    bars, given_ = simulated(1, 3_000)
    seen: set[tuple[str, str]] = set()
    kinds: list[dict[str, Any]] = [
        {"stop_loss": 0.004, "take_profit": 0.01},
        {"trailing": 0.004, "reverse": True},
        {"break_even": 0.004, "max_hold": 9},
        {"leverage": 60.0},
    ]
    for changes in kinds:
        rules = bp.Rules(entry_long=1.0, entry_short=1.0, **changes)
        one = bp.backtest(bars["S0"], given_["S0"], rules, costs=FEE, ledger=False).trades
        both = bp.portfolio(bars, given_, rules, costs=FEE, ledger=False).trades
        assert both.select("side", "reason").equals(one.select("side", "reason"))
        seen |= set(one.select("side", "reason").rows())
    assert {side for side, _ in seen} == {"long", "short"}
    assert len({reason for _, reason in seen}) >= 7


@pytest.mark.parametrize("engine", ["indexed", "replay"])
def test_one_symbol_is_a_backtest(engine: str) -> None:
    bars, given_ = simulated(1)
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24, trailing=0.02, leverage=3.0)
    one = bp.backtest(bars["S0"], given_["S0"], rules, costs=FEE, engine=engine, ledger=False)
    account = bp.portfolio(bars, given_, rules, costs=FEE, engine=engine, ledger=False)
    assert account.equity.equals(one.equity)
    assert account.daily_returns.equals(one.daily_returns)
    assert account.trades.drop("symbol").equals(one.trades.drop("combination", "window"))
    np.testing.assert_array_equal(list(account.metrics.values()), list(one.metrics.values()))
    assert account.stats().equals(one.stats(), null_equal=True)


def test_windows_are_steps_of_the_clock_or_times() -> None:
    early = candles([100.0] * 6, "A")
    late = candles([100.0] * 6, "B")
    late = late._replace(open_time=late.open_time + 3 * 3_600_000)
    given_ = {"A": signals([0.0] * 6), "B": signals([0.9] * 6)}
    rules = bp.Rules(entry_long=0.5)
    everything = bp.portfolio({"A": early, "B": late}, given_, rules, costs=FREE, ledger=False)
    assert everything.equity.height == 9
    steps = bp.portfolio(
        {"A": early, "B": late}, given_, rules, costs=FREE, window=(2, 7), ledger=False
    )
    times = bp.portfolio(
        {"A": early, "B": late},
        given_,
        rules,
        costs=FREE,
        window=("2024-01-01 02:00", "2024-01-01 07:00"),
        ledger=False,
    )
    assert steps.equity.equals(times.equity)
    assert steps.equity.height == 5
    (trade,) = steps.trades.rows(named=True)
    # B's first bar of the window is its bar 0 there.
    assert (trade["signal_bar"], trade["entry_bar"], trade["exit_bar"]) == (0, 1, 3)


def test_provenance_names_what_was_run() -> None:
    bars, given_ = simulated(2)
    rules = bp.Rules(entry_long=1.5, max_hold=24)
    one = bp.portfolio(bars, given_, rules, costs=FEE, max_positions=1, ledger=False)
    assert one.provenance["symbols"] == "S0, S1"
    assert one.provenance["limits"] == "max_positions=1, max_gross=None"
    swapped = dict(reversed(bars.items()))
    other = bp.portfolio(swapped, given_, rules, costs=FEE, max_positions=1, ledger=False)
    assert other.provenance["candles"] != one.provenance["candles"]
    again = bp.portfolio(bars, given_, rules, costs=FEE, max_positions=1, ledger=False)
    assert again.provenance == one.provenance


def test_a_run_is_one_trial_of_the_ledger(tmp_path: Any) -> None:
    bars, given_ = simulated(2, 500)
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    rules = bp.Rules(entry_long=1.5, max_hold=24)
    result = bp.portfolio(bars, given_, rules, costs=FEE, ledger=book)
    assert result.provenance["ledger"].startswith("run 1, 1 trial")


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(1, 3),
    st.floats(0.1, 3.0),
    st.floats(0.1, 1.0),
    st.floats(1.0, 5.0),
)
def test_limits_hold_at_every_close(
    seed: int, positions: int, gross: float, fraction: float, leverage: float
) -> None:
    made = {f"S{k}": bp.simulate_candles(seed + k, bars=300, edge=0.2) for k in range(4)}
    given_ = {n: of_edge(c) for n, c in made.items()}
    rules = bp.Rules(
        entry_long=0.5,
        entry_short=0.5,
        max_hold=7,
        fraction=fraction,
        leverage=leverage,
        stop_loss=0.05,
    )
    result = bp.portfolio(
        made, given_, rules, costs=FEE, max_positions=positions, max_gross=gross, ledger=False
    )
    held = result.exposure
    assert (held["positions"] <= positions).all()
    # Bounds are held against the realised equity at each entry.
    for trade in result.trades.rows(named=True):
        assert trade["notional"] <= gross * trade["pnl"] / trade["return"] * (1 + REFERENCE)
        assert trade["margin"] <= trade["pnl"] / trade["return"] * (1 + REFERENCE)


def test_flat_markets_lose_their_fees_and_no_more() -> None:
    bars = {name: market(flat(100.0, 50), interval="1h")._replace(symbol=name) for name in "AB"}
    given_ = {name: bp.Signals(long=np.full(50, 0.9)) for name in "AB"}
    rules = bp.Rules(entry_long=0.5, max_hold=3, fraction=0.5)
    result = bp.portfolio(bars, given_, rules, costs=FEE, ledger=False)
    assert isinstance(result.trades, pl.DataFrame)
    assert result.trades["pnl"].sum() == pytest.approx(-result.metrics["fees"], rel=REFERENCE)


def test_it_takes_what_there_is_and_keeps_its_books(tmp_path: Any) -> None:
    """The report says exposure by symbol, what each gave, what was refused and what that would have earned."""
    bars, given_ = simulated(3, 2_000)
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24, stop_loss=0.02)
    result = bp.portfolio(bars, given_, rules, costs=FEE, max_positions=1, ledger=False)
    page = result.to_html(tmp_path / "account.html").read_text()
    for part in ("What each symbol gave", "Refused entries, and what they would have earned"):
        assert part in page
    figure = result.plot()
    stacked = [trace.name for trace in figure.data if getattr(trace, "stackgroup", None)]
    assert set(result.symbols) <= set(stacked)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(2, 5),
    st.one_of(st.none(), st.integers(1, 3)),
    st.one_of(st.none(), st.floats(0.2, 3.0)),
    st.floats(0.2, 1.0),
    st.floats(1.0, 8.0),
    st.booleans(),
)
def test_equity_is_the_sum_of_its_parts_and_margins_fit_it(
    seed: int,
    count: int,
    positions: int | None,
    gross: float | None,
    fraction: float,
    leverage: float,
    holes: bool,
) -> None:
    chance = np.random.default_rng(seed)
    made, given_ = {}, {}
    for k in range(count):
        bars = bp.simulate_candles(seed + k, bars=200, edge=0.2)
        if holes:
            bars = bars._take(np.sort(chance.choice(200, size=150, replace=False)))
        made[f"S{k}"], given_[f"S{k}"] = bars, of_edge(bars)
    rules = bp.Rules(
        entry_long=0.5,
        entry_short=0.5,
        max_hold=11,
        fraction=fraction,
        leverage=leverage,
        stop_loss=0.03,
        take_profit=0.02,
    )
    account = _account(made, given_, FEE, 10_000.0, None, "indexed")
    schedules, _ = rules_of(rules, account.made)
    span = account.window(None)
    raw = _core.portfolio(
        account.legs(schedules, span),
        [(START_OF_TIME, positions, gross)],
        boundary="carry",
        initial_equity=10_000.0,
        periods_per_year=365.0,
        engine="indexed",
        parts=True,
    )
    parts = raw["parts"].reshape(-1, count)
    scale = max(10_000.0, float(np.abs(parts).max()))
    whole = np.maximum(10_000.0 + parts.sum(axis=1), 0.0)
    np.testing.assert_allclose(raw["equity"], whole, rtol=REFERENCE, atol=REFERENCE * scale)
    # Funding that is paid is taken out of what is realised, and can eat into a margin that is in use.
    paid = np.abs(raw["trades"]["funding"]).sum()
    assert (raw["margins"] <= raw["realised"] + paid + REFERENCE * scale).all()
    assert raw["equity"][-1] == pytest.approx(10_000.0 + raw["trades"]["pnl"].sum(), rel=REFERENCE)
