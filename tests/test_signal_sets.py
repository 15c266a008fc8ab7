"""Sets of signals and several symbols in one sweep, ranges, and a user's own metric."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _sweep_plan
from tests.helpers import flat, market, simulated

COSTS = bp.Costs(taker=0.0005, maker=0.0002)
METRICS = [row["name"] for row in bp._core.metrics_table()]
GRID = bp.Grid(
    bp.Rules(max_hold=24, entry_long=1.0, entry_short=1.0),
    stop_loss=[None, 0.01, 0.02],
    take_profit=[0.01, 0.03],
)


def scores(candles: bp.Candles, sign: float = 1.0) -> bp.Signals:
    planted = candles.planted
    assert planted is not None
    return bp.Signals(long=sign * planted, short=-sign * planted, kind="score")


@pytest.fixture(scope="module")
def world() -> tuple[bp.Candles, bp.SignalSets]:
    candles, signals = simulated(3_000)
    return candles, bp.SignalSets({"good": signals, "bad": scores(candles, -1.0)})


@pytest.fixture(scope="module")
def pair() -> tuple[dict[str, bp.Candles], dict[str, bp.Signals]]:
    candles = {"BTC": simulated(3_000, seed=1)[0], "ETH": simulated(2_000, seed=2)[0]}
    return candles, {symbol: scores(one) for symbol, one in candles.items()}


def test_a_set_is_an_axis_and_each_equals_its_own_sweep(
    world: tuple[bp.Candles, bp.SignalSets],
) -> None:
    candles, sets = world
    both = bp.sweep(candles, sets, GRID, costs=COSTS, windows="3d")
    assert both.axes == ["signals", "stop_loss", "take_profit"]
    assert both.axis_groups == [["signals"], ["stop_loss"], ["take_profit"]]
    assert both.pooled["combination"].to_list() == list(range(12))
    for number, name in enumerate(sets.names):
        alone = bp.sweep(candles, sets[name], GRID, costs=COSTS, windows="3d")
        for table in ("frame", "pooled"):
            mine = getattr(both, table).filter(pl.col("signals") == name)
            shifted = mine.drop("signals").with_columns(pl.col("combination") - 6 * number)
            assert shifted.equals(getattr(alone, table))
        daily = both.daily_returns.to_numpy()[6 * number : 6 * number + 6]
        assert daily.tobytes() == alone.daily_returns.to_numpy().tobytes()
        assert (
            both.trades(6 * number + 3)
            .drop("combination")
            .equals(alone.trades(3).drop("combination"))
        )
    best = both.best("total_return")
    assert best.signals == both.signals_of(best.combination) == "good"
    assert both.best("max_drawdown").rules == GRID[both.best("max_drawdown").combination % 6]
    assert both.result(9).signals == sets["bad"]
    assert both.heatmap("signals", "stop_loss").data


def test_sets_know_their_names_and_identity() -> None:
    a, b = bp.Signals(long=[0.1]), bp.Signals(long=[0.2])
    sets = bp.SignalSets({"a": a, "b": b})
    assert sets.names == ("a", "b")
    assert list(sets) == ["a", "b"]
    assert len(sets) == 2
    assert "a" in sets
    assert "c" not in sets
    assert sets == bp.SignalSets({"a": a, "b": b})
    assert hash(sets) == hash(bp.SignalSets({"a": a, "b": b}))
    others = [bp.SignalSets({"b": b, "a": a}), bp.SignalSets({"a": b, "b": a})]
    assert all(sets != other and sets.digest != other.digest for other in others)
    assert sets != 1


def test_symbols_are_rows_and_each_equals_its_own_sweep(
    pair: tuple[dict[str, bp.Candles], dict[str, bp.Signals]],
) -> None:
    candles, signals = pair
    swept = bp.sweep(candles, signals, GRID, costs=COSTS, windows="3d")
    assert swept.symbols == ["BTC", "ETH"]
    assert swept.frame.columns[0] == swept.pooled.columns[0] == "symbol"
    for symbol in swept.symbols:
        alone = bp.sweep(candles[symbol], signals[symbol], GRID, costs=COSTS, windows="3d")
        mine = swept.of(symbol)
        assert mine.frame.equals(alone.frame)
        assert mine.pooled.equals(alone.pooled)
        assert mine.provenance == {k: v for k, v in alone.provenance.items() if k != "ledger"}
        assert mine.best("sharpe").combination == swept.best("sharpe", symbol=symbol).combination
        assert swept.equity(2, symbol=symbol).equals(alone.equity(2))
        assert swept.windows[symbol] == alone.windows
    assert "2 symbols" in repr(swept)
    assert swept.heatmap("symbol", "stop_loss").data


def test_over_symbols_a_metric_is_the_mean_and_undefined_if_one_is(
    pair: tuple[dict[str, bp.Candles], dict[str, bp.Signals]],
) -> None:
    candles, signals = pair
    quiet = {**signals, "ETH": bp.Signals(long=np.full(2_000, 0.5), kind="score")}
    swept = bp.sweep(
        candles, quiet, bp.Grid(bp.Rules(entry_long=1.0), stop_loss=[0.01, 0.02]), costs=COSTS
    )
    one, two = (swept.of(symbol).pooled for symbol in ("BTC", "ETH"))
    whole = swept.overall
    assert whole["pooling"].to_list() == ["mean of 2 symbols"] * 2
    for name in METRICS:
        a, b = (t[name].cast(pl.Float64).to_numpy() for t in (one, two))
        np.testing.assert_array_equal(whole[name].to_numpy(), (a + b) / 2)
    assert np.isnan(whole["win_rate"].to_numpy()).all()
    assert not np.isnan(one["win_rate"].to_numpy()).any()
    with pytest.raises(bp.ParameterError, match="`win_rate` is undefined for all 2 combinations"):
        swept.best("win_rate")
    at = int(whole["total_return"].arg_max() or 0)
    assert swept.best("total_return").combination == whole["combination"][at]
    assert swept.best("trades").metrics["trades"] == whole["trades"].max()


def test_sets_and_symbols_together(
    pair: tuple[dict[str, bp.Candles], dict[str, bp.Signals]],
) -> None:
    candles, _ = pair
    sets = {
        s: bp.SignalSets({"up": scores(c), "down": scores(c, -1.0)}) for s, c in candles.items()
    }
    swept = bp.sweep(candles, sets, GRID, costs=COSTS, windows=[(0, 900), (900, 1_800)])
    assert swept.frame.height == 2 * 2 * 6 * 2
    assert swept.pooled.height == 24
    assert swept.overall.height == 12
    assert swept.of("ETH").result(8).signals == sets["ETH"]["down"]
    assert swept.provenance["signal_sets"] == "up, down"
    assert swept.provenance["symbols"] == "BTC, ETH"


def test_refusals_say_where(pair: tuple[dict[str, bp.Candles], dict[str, bp.Signals]]) -> None:
    candles, signals = pair
    wrong = bp.Grid(bp.Rules(entry_long=1.0), exit_long=[None, 1.0, 2.0])
    with pytest.raises(bp.RulesError, match="combination 1: threshold `exit_long`") as caught:
        bp.sweep(candles, signals, wrong, costs=COSTS)
    assert caught.value.__notes__ == ["on the symbol 'BTC'"]
    short = {**signals, "ETH": bp.Signals(long=[0.5])}
    with pytest.raises(bp.ShapeError) as shape:
        bp.sweep(candles, short, GRID, costs=COSTS)
    assert shape.value.__notes__ == ["on the symbol 'ETH'"]


def test_trials_of_symbols_are_counted_on_their_own_candles(
    pair: tuple[dict[str, bp.Candles], dict[str, bp.Signals]], tmp_path: Any
) -> None:
    candles, signals = pair
    ledger = bp.Ledger.open(tmp_path / "ledger.sqlite")
    swept = bp.sweep(candles, signals, GRID, costs=COSTS, ledger=ledger)
    assert [ledger.trials(one) for one in candles.values()] == [6, 6]
    assert swept.provenance["ledger"].startswith("run 1, 6 trials")


def test_a_range_settles_ambiguous_bars_both_ways() -> None:
    # Every other bar holds both stop and target of what was entered at its open.
    calm, wild = (100.0, 100.0, 100.0, 100.0), (100.0, 103.0, 97.0, 100.0)
    candles = market([calm, wild] * 40)
    signals = bp.Signals(long=[0.9, 0.0] * 40)
    rules = bp.Rules(entry_long=0.5)
    rules = rules.replace(take_profit=0.02)
    grid = bp.Grid(rules, stop_loss=[0.01, 0.02], intrabar=["nearest_open", "pessimistic"])
    windows = [(0, 40), (40, 80)]
    swept = bp.sweep(candles, signals, grid, costs=COSTS, windows=windows, with_range=True)
    plain = bp.sweep(candles, signals, grid, costs=COSTS, windows=windows)
    assert plain.frame.equals(swept.frame.select(plain.frame.columns))
    for row in swept.frame.iter_rows(named=True):
        window = swept.windows[row["window"]]
        for way in ("pessimistic", "optimistic"):
            own = swept.grid[row["combination"]].replace(intrabar=way)
            alone = bp.backtest(candles, signals, own, costs=COSTS, window=window).metrics
            assert row[f"total_return_{way}"] == alone["total_return"]
            np.testing.assert_equal(row[f"sharpe_{way}"], alone["sharpe"])
        assert row["ambiguous_share"] == 1.0
        assert row["total_return_pessimistic"] < 0 < row["total_return_optimistic"]
    assert (swept.pooled["total_return_pessimistic"] < 0).all()
    assert swept.best("total_return_optimistic").metrics["total_return_optimistic"] > 0


def test_a_pessimistic_grid_is_its_own_lower_end(world: tuple[bp.Candles, bp.SignalSets]) -> None:
    swept = bp.sweep(world[0], world[1]["good"], GRID, costs=COSTS, with_range=True)
    assert swept.pooled["total_return_pessimistic"].equals(
        swept.pooled["total_return"].alias("total_return_pessimistic")
    )


def test_a_metric_of_ones_own_is_a_function_of_the_frame(
    world: tuple[bp.Candles, bp.SignalSets],
) -> None:
    swept = bp.sweep(world[0], world[1]["good"], GRID, costs=COSTS)
    wanted = swept.pooled["total_return"].to_numpy() / swept.pooled["max_drawdown"].to_numpy()

    def ratio(frame: pl.DataFrame) -> pl.Series:
        return frame["total_return"] / frame["max_drawdown"]

    best = swept.best(ratio)
    assert best.metric == "ratio"
    assert best.combination == int(np.argmax(wanted))
    expression = pl.col("total_return") / pl.col("max_drawdown")
    assert swept.best(lambda _: expression).combination == best.combination
    assert swept.best(lambda f: ratio(f).to_numpy()).combination == best.combination
    # Higher is better, also where the metric itself is one of which less is better.
    worst = swept.best(lambda f: f["max_drawdown"])
    assert worst.metrics["max_drawdown"] == swept.pooled["max_drawdown"].max()
    with pytest.raises(bp.ParameterError, match="`<lambda>` is undefined for all 6 combinations"):
        swept.best(lambda f: [None] * f.height)


def test_a_plan_does_not_multiply_what_it_costs_to_begin(
    world: tuple[bp.Candles, bp.SignalSets], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]

    class Clock:
        @staticmethod
        def perf_counter() -> float:
            return clock[0]

    def call(*_: Any, rows: list[int], **__: Any) -> None:
        clock[0] += 1.0 + 0.001 * len(rows)

    monkeypatch.setattr(_sweep_plan, "time", Clock)
    monkeypatch.setattr(_sweep_plan, "call", call)
    grid = bp.Grid(bp.Rules(entry_long=1.0), max_hold=range(1, 1_001))
    seconds = bp.plan(world[0], world[1]["good"], grid, costs=COSTS).seconds
    assert 2.0 <= seconds < 4.0
    few = bp.Grid(bp.Rules(entry_long=1.0), max_hold=[1, 2])
    assert bp.plan(world[0], world[1]["good"], few, costs=COSTS).seconds == pytest.approx(1.002)
    twice = bp.plan(world[0], world[1], few, costs=COSTS).seconds
    assert twice == pytest.approx(2.004)
    ranged = bp.plan(world[0], world[1]["good"], few, costs=COSTS, with_range=True).seconds
    assert ranged == pytest.approx(2.004)


def test_a_flat_market_has_no_range() -> None:
    candles = market(flat(100.0, 20))
    grid = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[1, 2])
    swept = bp.sweep(candles, bp.Signals(long=[0.1] * 20), grid, costs=COSTS, with_range=True)
    assert swept.pooled["total_return_optimistic"].to_list() == [0.0, 0.0]


def test_a_sweep_can_be_pickled(world: tuple[bp.Candles, bp.SignalSets]) -> None:
    swept = bp.sweep(*world, GRID, costs=COSTS)
    again = pickle.loads(pickle.dumps(swept))
    assert again.pooled.equals(swept.pooled)
    assert again.trades(7).equals(swept.trades(7))
    assert pickle.loads(pickle.dumps(world[1])) == world[1]


def test_warm_up_without_values_is_no_silence() -> None:
    candles = market(flat(100.0, 20))
    late = bp.Signals(long=[float("nan")] * 10 + [0.9] + [float("nan")] * 9)
    grid = bp.Grid(bp.Rules(entry_long=0.5), max_hold=[1, 2])
    assert bp.sweep(candles, late, grid, costs=COSTS).pooled["trades"].to_list() == [1, 1]
