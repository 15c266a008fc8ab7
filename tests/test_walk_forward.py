"""walk_forward_optimise: who may choose, who judges, and how the parts are stitched."""

from __future__ import annotations

import math
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import _walk_forward, models
from barproof.training import train
from tests.helpers import flat, market, simulated
from tests.stands import COSTS, FREE, METRICS, Stand, chosen, fold_of, grid, poisoned, same, stand


def prefer(values: Sequence[float], metric: str) -> int | None:
    """First of the best, in plain Python."""
    less = metric in ("max_drawdown", "fees")
    best: int | None = None
    for i, value in enumerate(values):
        if math.isnan(value):
            continue
        if best is None or (value < values[best] if less else value > values[best]):
            best = i
    return best


def assert_same_run(a: bp.Result, b: bp.Result) -> None:
    assert a.trades.equals(b.trades)
    assert a.equity.equals(b.equity)
    assert a.daily_returns.equals(b.daily_returns)
    for name in METRICS:
        assert same(a.metrics[name], b.metrics[name]), name


# Choice and judgement, against plain Python.


@pytest.mark.parametrize(
    ("metric", "min_trades"),
    [("sharpe", 0), ("total_return", 4), ("max_drawdown", 2), ("trades", 0), ("fees", 1)],
)
def test_choices_and_stitching_equal_brute_force(metric: str, min_trades: int) -> None:
    run = stand(bp.WalkForward(train=400, tune=1_200, test=500, gap=5), bars=6_000)
    combinations = grid()
    oos = bp.walk_forward_optimise(
        run, combinations, costs=COSTS, metric=metric, min_trades=min_trades
    )
    assert oos.choices.height == len(run.folds) > 5
    assert oos.trials == 6
    schedule: list[tuple[Any, bp.Rules]] = []
    for row, fold in zip(oos.choices.iter_rows(named=True), run.folds, strict=True):
        window = (int(fold.tune_choose[0]), int(fold.tune_choose[-1]) + 1)
        signals = run.outputs[fold.number]
        metrics = [
            bp.backtest(run.candles, signals, combinations[i], costs=COSTS, window=window).metrics
            for i in range(6)
        ]
        values = [float(m[metric]) if m["trades"] >= min_trades else float("nan") for m in metrics]
        best = prefer(values, metric)
        assert best is not None
        assert row["fold"] == fold.number
        assert row["combination"] == best
        assert row[f"chosen_{metric}"] == values[best]
        assert row["chosen_trades"] == metrics[best]["trades"]
        rules = combinations[best]
        assert (row["entry_long"], row["entry_short"], row["stop_loss"]) == (
            rules.entry_long, rules.entry_short, rules.stop_loss,
        )  # fmt: skip
        test = (int(fold.test[0]), int(fold.test[-1]) + 1)
        alone = bp.backtest(run.candles, signals, rules, costs=COSTS, window=test).metrics
        assert same(row[f"judged_{metric}"], float(alone[metric]))
        assert row["judged_trades"] == alone["trades"]
        start = run.candles[test[0]].open_time
        assert row["start"].timestamp() * 1_000 == start
        assert row["end"].timestamp() * 1_000 == run.candles[test[1] - 1].open_time + 300_000
        schedule.append((row["start"], rules))
    # Test parts follow each other: the schedule is the choices, by time, and nothing else.
    if metric in ("sharpe", "total_return"):
        assert len(set(oos.choices["combination"])) > 1
    span = (int(run.folds[0].test[0]), int(run.folds[-1].test[-1]) + 1)
    by_hand = bp.backtest(run.candles, run.signals("test"), schedule, costs=COSTS, window=span)
    assert oos.window == span
    assert oos.rules == by_hand.rules
    assert_same_run(oos, by_hand)
    assert oos.provenance.items() >= {**by_hand.provenance, "ledger": "no project folder"}.items()


@pytest.mark.parametrize("earlier", [1, 3])
def test_earlier_windows_choose_pooled_as_windows_of_their_own(earlier: int) -> None:
    candles, signals = simulated(3_000)
    windows = [(100 + 400 * k, 500 + 400 * k) for k in range(7)]
    combinations = grid()
    oos = bp.walk_forward_optimise(
        candles, signals, combinations, costs=COSTS, windows=windows, earlier=earlier
    )
    assert oos.choices["fold"].to_list() == list(range(earlier, 7))
    schedule: list[tuple[Any, bp.Rules]] = []
    for row in oos.choices.iter_rows(named=True):
        before = windows[row["fold"] - earlier : row["fold"]]
        values, returns = [], []
        for i in range(6):
            one = bp.Grid(combinations[i])
            pooled = bp.sweep(candles, signals, one, costs=COSTS, windows=before).pooled
            values.append(pooled["sharpe"][0])
            returns.append(pooled["total_return"][0])
        best = prefer(values, "sharpe")
        assert best is not None
        assert (row["combination"], row["chosen_sharpe"]) == (best, values[best])
        # The pool itself: each window from the initial equity, compounded.
        growth = 1.0
        for window in before:
            alone = bp.backtest(candles, signals, combinations[best], costs=COSTS, window=window)
            growth *= 1.0 + alone.metrics["total_return"]
        assert returns[best] == pytest.approx(growth - 1.0)
        schedule.append((windows[row["fold"]][0], combinations[best]))
    span = (windows[earlier][0], windows[-1][1])
    assert_same_run(oos, bp.backtest(candles, signals, schedule, costs=COSTS, window=span))
    # Windows follow each other, so that the caller's own signals are what is judged.
    assert oos.signals == signals


def test_the_two_forms_agree() -> None:
    splitter = bp.WalkForward(train=500, tune=300, test=200, step=350)
    candles, signals = simulated(3_000)
    folds = splitter.folds(candles)
    run = Stand(candles, folds, [signals] * len(folds))
    first = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    for windows in (splitter, folds):
        second = bp.walk_forward_optimise(candles, signals, grid(), costs=COSTS, windows=windows)
        assert second.choices.equals(first.choices)
        assert second.rules == first.rules
        assert second.provenance["folds"] == first.provenance["folds"]
        assert_same_run(second, first)
    by_name = bp.walk_forward_optimise(run, grid=grid(), costs=COSTS)
    assert by_name.choices.equals(first.choices)


def test_without_tune_rows_earlier_test_parts_choose() -> None:
    splitter = bp.WalkForward(train=500, test=200)
    candles, signals = simulated(3_000)
    folds = splitter.folds(candles)
    run = Stand(candles, folds, [signals] * len(folds))
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, earlier=2)
    parts = [(int(f.test[0]), int(f.test[-1]) + 1) for f in folds]
    listed = bp.walk_forward_optimise(
        candles, signals, grid(), costs=COSTS, windows=parts, earlier=2
    )
    assert oos.choices.equals(listed.choices)
    assert_same_run(oos, listed)
    assert oos.provenance["chosen_on"] == "2 windows before"
    # Train rows are never asked for, nor tune rows that do not exist.
    assert run.asked == [("test", None, None)]
    from sklearn.model_selection import TimeSeriesSplit

    scikit = bp.walk_forward_optimise(
        candles, signals, grid(), costs=COSTS, windows=TimeSeriesSplit(6), earlier=2
    )
    assert scikit.choices["fold"].to_list() == [2, 3, 4, 5]


def test_ties_go_to_the_first() -> None:
    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    # Cooldowns of rules that hold to the end make no difference.
    tied = bp.Grid(bp.Rules(entry_long=1.0), cooldown=[3, 1, 2])
    oos = bp.walk_forward_optimise(run, tied, costs=COSTS, metric="total_return")
    assert set(oos.choices["combination"]) == {0}


# Nothing leaks from test rows, nor from train rows.


def test_test_rows_and_train_rows_have_no_say() -> None:
    # Every row serves one purpose in one fold only, so that all test rows can be poisoned at once.
    run = stand(bp.WalkForward(train=300, tune=800, test=500, step=1_600), bars=10_000)
    assert len(run.folds) == 6
    combinations = grid()
    clean = bp.walk_forward_optimise(run, combinations, costs=COSTS)
    for part in ("test", "train"):
        rows = np.concatenate([getattr(fold, part) for fold in run.folds])
        bad = bp.walk_forward_optimise(poisoned(run, rows), combinations, costs=COSTS)
        assert chosen(bad).equals(chosen(clean))
        judged = bad.choices["judged_sharpe"].equals(clean.choices["judged_sharpe"])
        assert judged == (part == "train")
    # The first half of tune calibrates the model: it does not choose either.
    rows = np.concatenate([fold.tune_calibrate for fold in run.folds])
    bad = bp.walk_forward_optimise(poisoned(run, rows), combinations, costs=COSTS)
    assert chosen(bad).equals(chosen(clean))
    rows = np.concatenate([fold.tune_choose for fold in run.folds])
    bad = bp.walk_forward_optimise(poisoned(run, rows), combinations, costs=COSTS)
    assert not chosen(bad).equals(chosen(clean))


@pytest.mark.parametrize("tune", [300, None])
def test_no_choice_knows_what_comes_after_it(tune: int | None) -> None:
    # Test rows of one fold are tune rows, or earlier windows, of later ones.
    run = stand(bp.WalkForward(train=400, tune=tune, test=250))
    combinations = grid(stop_loss=[1.0, 3.0], stop_loss_kind=["atr"])
    clean = bp.walk_forward_optimise(run, combinations, costs=COSTS)
    skipped = len(run.folds) - clean.choices.height
    for k in range(clean.choices.height):
        after = range(int(run.folds[skipped + k].test[0]), len(run.candles))
        bad = bp.walk_forward_optimise(poisoned(run, after), combinations, costs=COSTS)
        assert chosen(bad)[: k + 1].equals(chosen(clean)[: k + 1])
        before = clean.equity.filter(
            pl.col("open_time").dt.epoch("ms") < run.candles[after[0]].open_time
        )
        assert bad.equity[: before.height].equals(before)


def rising(n: int, start: float = 100.0, step: float = 1.0) -> list[tuple[float, ...]]:
    """Bars that go up by `step`, or down."""
    return [
        (p, max(p, p + step), min(p, p + step), p + step)
        for p in (start + step * i for i in range(n))
    ]


BOTH = {"entry_long": [0.5, None], "entry_short": [None, 0.5]}


def test_tune_rows_do_choose() -> None:
    signals = bp.Signals(long=np.full(30, 0.9), short=np.full(30, 0.9))
    fold = fold_of(0, range(10), range(10, 20), range(20, 30))
    sides = bp.Grid(bp.Rules(max_hold=2), BOTH)
    for step, wanted in ((1.0, 0), (-1.0, 1)):
        candles = market([*flat(100, 15), *rising(5, 100, step), *rising(10, 100, 1.0)])  # type: ignore[list-item]
        run = Stand(candles, [fold], [signals])
        oos = bp.walk_forward_optimise(run, sides, costs=FREE, metric="total_return")
        assert oos.choices["combination"].to_list() == [wanted]
        assert (oos.choices["judged_total_return"][0] > 0) == (wanted == 0)


def test_rows_between_choosing_rows_hold_no_signal() -> None:
    # Purging may leave holes in the tune rows; what stands there was never meant to choose.
    candles = market(rising(30))  # type: ignore[arg-type]
    fold = fold_of(0, range(10), [10, 11, 14, 18], range(20, 30))
    assert fold.tune_choose.tolist() == [14, 18]
    one = bp.Grid(bp.Rules(max_hold=1), entry_long=[0.5])
    everywhere = bp.Signals(long=np.full(30, 0.9))

    class Loose(Stand):
        def signals(self, part: str = "test", **_: Any) -> bp.Signals:
            return everywhere

    oos = bp.walk_forward_optimise(Loose(candles, [fold], []), one, costs=FREE, metric="trades")
    # Decided at 14, held in 15 and out at 16; what 18 decides would fill behind the window.
    assert oos.choices["chosen_trades"].to_list() == [1]


def test_folds_in_any_order_are_judged_in_time() -> None:
    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    mixed = Stand(run.candles, run.folds[::-1], run.outputs[::-1])
    straight = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    turned = bp.walk_forward_optimise(mixed, grid(), costs=COSTS)
    assert turned.choices["fold"].to_list() == straight.choices["fold"].to_list()[::-1]
    assert turned.choices.drop("fold").equals(straight.choices.drop("fold"))
    assert_same_run(turned, straight)


def test_exit_is_handed_to_the_run() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    bp.walk_forward_optimise(run, grid(), costs=COSTS, exit="opposite")
    assert [who[2] for who in run.asked] == ["opposite"] * (1 + len(run.folds))
    assert [who[:2] for who in run.asked] == [
        ("test", None), *(("tune", i) for i in range(len(run.folds))),
    ]  # fmt: skip


# Stitching, by hand.


def turn() -> tuple[Stand, bp.Grid]:
    """Up to bar 6, then down; the first fold learns long for 5 bars, the second short for 2."""
    candles = market([*rising(7), *rising(7, 107.0, -1.0)])  # type: ignore[list-item]
    folds = [
        fold_of(0, [0, 1], [2, 3, 4, 5], [6, 7, 8, 9]),
        fold_of(1, [0, 1], [4, 5, 6, 7, 8, 9], [10, 11, 12, 13]),
    ]
    first = bp.Signals.sparse(14, long=[(4, 0.9), (6, 0.9)], short=[(4, 0.9)])
    late = [(7, 0.9), *((i, 0.9) for i in range(10, 14))]
    second = bp.Signals.sparse(14, long=[(7, 0.9)], short=late)
    sides = bp.Grid(bp.Rules(), {**BOTH, "max_hold": [5, 2]})
    return Stand(candles, folds, [first, second]), sides


def shown(result: bp.Result) -> list[tuple[Any, ...]]:
    """Trades in bars of the candles."""
    start = result.window[0]
    rows = result.trades.iter_rows(named=True)
    return [(t["side"], t["entry_bar"] + start, t["exit_bar"] + start, t["reason"]) for t in rows]


def test_a_position_is_carried_across_folds_under_its_own_rules() -> None:
    run, sides = turn()
    oos = bp.walk_forward_optimise(run, sides, costs=FREE, metric="total_return")
    assert oos.choices["combination"].to_list() == [0, 1]
    # Long from the open of 7; 5 bars are full at the close of 11, deep in the part of the short rules, which may
    # enter from the close of 12 on.
    assert shown(oos) == [("long", 7, 12, "time"), ("short", 13, 13, "end")]
    assert oos.rules == [(6, sides[0]), (10, sides[1])]


def test_a_position_is_closed_at_the_end_of_its_part_if_asked() -> None:
    run, sides = turn()
    oos = bp.walk_forward_optimise(run, sides, costs=FREE, metric="total_return", boundary="close")
    assert shown(oos) == [("long", 7, 9, "end"), ("short", 11, 13, "time")]
    assert oos.provenance["boundary"] == "close"
    # Judged alone both parts do the same, in the second from the initial equity again.
    growth = (1 + oos.choices["judged_total_return"]).product()
    assert oos.metrics["final_equity"] == pytest.approx(10_000 * growth)


GAPS = [(5, 10), (15, 20), (25, 30)]


@pytest.mark.parametrize("fill", ["next_open", "close"])
@pytest.mark.parametrize("boundary", ["carry", "close"])
def test_gaps_between_parts_are_not_traded(boundary: Any, fill: Any) -> None:
    candles = market(rising(35))  # type: ignore[arg-type]
    signals = bp.Signals(long=np.full(35, 0.9))
    rules = bp.Grid(bp.Rules(max_hold=1, fill=fill), entry_long=[0.5])
    oos = bp.walk_forward_optimise(
        candles, signals, rules, costs=FREE, windows=GAPS, earlier=1, metric="trades", boundary=boundary,
    )  # fmt: skip
    bars = [entry for _, entry, _, _ in shown(oos)]
    # Every second bar: decided at 15, in at 16, out at 17, decided there again. The last may enter at 19, not at 20.
    assert bars == [16, 18, 26, 28]
    limit = 20 if boundary == "carry" else 19
    assert max(out for _, _, out, _ in shown(oos)[:2]) <= limit
    assert oos.window == (15, 30)
    assert oos.equity.height == 15


def test_a_closed_part_is_closed_at_its_last_bar() -> None:
    candles = market(rising(35))  # type: ignore[arg-type]
    signals = bp.Signals.sparse(35, long=[(6, 0.9), (18, 0.9), (26, 0.9)])
    oos = bp.walk_forward_optimise(
        candles, signals, bp.Grid(bp.Rules(), entry_long=[0.5]), costs=FREE, windows=GAPS, earlier=1,
        metric="trades", boundary="close",
    )  # fmt: skip
    assert shown(oos) == [("long", 19, 19, "end"), ("long", 27, 29, "end")]


def test_an_order_of_the_last_bar_is_not_placed() -> None:
    candles = market(rising(35))  # type: ignore[arg-type]
    signals = bp.Signals.sparse(35, long=[(6, 0.9), (19, 0.9), (28, 0.9)])
    rules = bp.Grid(bp.Rules(max_hold=1), entry_long=[0.5])
    oos = bp.walk_forward_optimise(
        candles, signals, rules, costs=FREE, windows=GAPS, earlier=1, metric="trades"
    )
    assert [entry for _, entry, _, _ in shown(oos)] == [29]
    assert oos.choices["judged_trades"].to_list() == [0, 1]
    # Where the next part follows at once, it fills there, under the rules that decided.
    joined = bp.walk_forward_optimise(
        candles, signals, rules, costs=FREE, windows=[(5, 10), (15, 20), (20, 30)], earlier=1, metric="trades",
    )  # fmt: skip
    assert [entry for _, entry, _, _ in shown(joined)] == [20, 29]


@pytest.mark.parametrize(("dip", "wanted"), [(18, [18]), (19, [19]), (20, []), (21, [])])
def test_a_resting_order_lapses_with_its_part(dip: int, wanted: list[int]) -> None:
    prices = flat(100.0, 35)
    for bar in (7, dip):
        prices[bar] = (100.0, 100.0, 90.0, 100.0)
    signals = bp.Signals.sparse(35, long=[(6, 0.9), (17, 0.9)])
    rules = bp.Grid(
        bp.Rules(entry="limit", limit_offset=0.05, limit_bars=6, max_hold=1), entry_long=[0.5]
    )
    oos = bp.walk_forward_optimise(
        market(prices), signals, rules, costs=FREE, windows=GAPS, earlier=1, metric="trades"
    )
    assert [entry for _, entry, _, _ in shown(oos)] == wanted
    assert oos.choices["judged_trades"][0] == len(wanted)


def test_a_carried_position_lives_through_a_gap_without_its_signals() -> None:
    prices = flat(100.0, 35)
    prices[23] = (100.0, 100.0, 80.0, 80.0)
    arrays = np.full(35, np.nan)
    arrays[[6, 18]] = 0.9
    leave = np.full(35, np.nan)
    leave[21] = 0.9  # in the gap: no signal of a judged bar
    signals = bp.Signals(long=arrays, exit_long=leave)
    run = market(prices)
    rules = bp.Rules(stop_loss=0.1, exit_long=0.5)
    oos = bp.walk_forward_optimise(
        run, signals, bp.Grid(rules, entry_long=[0.5]), costs=FREE, windows=GAPS, earlier=1,
        metric="trades",
    )  # fmt: skip
    assert shown(oos) == [("long", 19, 23, "stop")]
    assert oos.trades["exit_price"].to_list() == [90.0]
    assert np.isnan(oos.signals["exit_long"][21])


# Folds without a choice.


def test_a_fold_in_which_nothing_is_defined_is_flat() -> None:
    run, sides = turn()
    silent = bp.Signals.sparse(14, long=[(6, 0.9)], short=[(10, 0.9)])
    nothing = Stand(run.candles, run.folds, [silent, run.outputs[1]])
    oos = bp.walk_forward_optimise(nothing, sides, costs=FREE, metric="win_rate")
    first, second = oos.choices.iter_rows(named=True)
    assert {k for k, v in first.items() if v is not None} == {"fold", "start", "end"}
    assert second["combination"] == 1
    assert [entry for _, entry, _, _ in shown(oos)] == [11]
    assert "1 without a choice" in repr(oos)
    # The other way round, a position of the first part is carried through the flat one.
    late = Stand(run.candles, run.folds, [run.outputs[0], silent])
    oos = bp.walk_forward_optimise(late, sides, costs=FREE, metric="win_rate")
    assert oos.choices["combination"].to_list() == [0, None]
    assert shown(oos) == [("long", 7, 12, "time")]
    nowhere = Stand(run.candles, run.folds, [silent, silent])
    oos = bp.walk_forward_optimise(nowhere, sides, costs=FREE, metric="win_rate")
    assert oos.choices["combination"].null_count() == 2
    assert oos.metrics["trades"] == 0
    assert oos.window == (6, 14)


def test_min_trades_can_leave_nothing() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, min_trades=10_000)
    assert oos.choices["combination"].null_count() == len(run.folds)


# What surrounds it.


def test_threads_do_not_change_a_bit() -> None:
    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    runs = [bp.walk_forward_optimise(run, grid(), costs=COSTS, threads=t) for t in (1, 2, 5)]
    for other in runs[1:]:
        assert other.choices.equals(runs[0].choices)
        assert_same_run(other, runs[0])


def test_the_result_is_a_result(tmp_path: Path) -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    assert isinstance(oos, bp.Result)
    copy = pickle.loads(pickle.dumps(oos))
    assert type(copy) is bp.WalkForwardResult
    assert copy.choices.equals(oos.choices)
    assert copy.trials == oos.trials == 6
    assert copy.provenance == oos.provenance
    assert_same_run(copy, oos)
    text = repr(oos)
    assert text.startswith("WalkForwardResult(SIM, 3 folds x 6 combinations by sharpe, return ")
    assert text.endswith(f"{oos.metrics['trades']} trades)")
    assert oos.to_html(tmp_path / "oos.html").stat().st_size > 100_000
    assert oos.stats().height > 10
    assert oos.range()[0]["trades"] > 0
    facts = oos.provenance
    assert (facts["grid"], facts["metric"]) == (grid().digest, "sharpe")
    assert (facts["combinations"], facts["min_trades"]) == ("6", "0")
    assert facts["chosen_on"] == "tune_choose rows"
    fewer = Stand(run.candles, run.folds[1:], run.outputs[1:])
    other = bp.walk_forward_optimise(fewer, grid(), costs=COSTS)
    assert other.provenance["folds"] != facts["folds"]


def test_progress_counts_combinations_over_all_folds() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    seen: list[tuple[int, int]] = []
    bp.walk_forward_optimise(
        run, grid(), costs=COSTS, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == sorted(seen)
    assert seen[-1] == (18, 18)
    assert {total for _, total in seen} == {18}


def test_the_ledger_counts_configurations_once(tmp_path: Path) -> None:
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, ledger=book)
    assert oos.provenance["ledger"] == "run 1, 6 trials on these candles"
    row = book.show(1)
    assert (row["kind"], row["trials"]) == ("walk_forward_optimise", 6)
    assert row["data_digest"] == run.candles.digest
    assert row["parameters"]["metric"] == "sharpe"
    assert row["parameters"]["folds"] == oos.provenance["folds"]
    assert book.runs().height == 1


class Stopping(Stand):
    """Ctrl-C is pressed while the third fold is asked for its signals."""

    def signals(self, part: str = "test", *, fold: int | None = None, **rest: Any) -> bp.Signals:
        if fold == 2:
            raise KeyboardInterrupt
        return super().signals(part, fold=fold, **rest)


def test_ctrl_c_keeps_the_choices_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    whole = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    stopping = Stopping(run.candles, run.folds, run.outputs)
    with pytest.raises(bp.Interrupted) as caught:
        bp.walk_forward_optimise(stopping, grid(), costs=COSTS, ledger=book)
    assert caught.value.partial.equals(whole.choices[:2])
    assert (caught.value.done, caught.value.total) == (12, 6 * len(run.folds))
    assert book.show(1)["trials"] == 6

    def stop(*_: Any, **__: Any) -> None:
        raise bp.Interrupted("interrupted", 4, 6)

    # Within the first sweep: nothing is chosen, but four combinations were tried.
    monkeypatch.setattr(_walk_forward, "sweep", stop)
    with pytest.raises(bp.Interrupted) as caught:
        bp.walk_forward_optimise(run, grid(), costs=COSTS, ledger=book)
    assert caught.value.partial.height == 0
    assert caught.value.partial.columns == whole.choices.columns
    assert caught.value.done == 4
    assert book.show(2)["trials"] == 4


def test_a_trained_run_is_served_like_its_stand_in() -> None:
    candles = bp.simulate_candles(7, bars=6_000, edge=0.3)
    planted = candles.planted
    assert planted is not None
    rng = np.random.default_rng(0)
    table = {"open_time": candles.open_time, "trace": planted + rng.normal(size=len(candles))}
    labels = bp.labels.horizon(candles, bars=6, threshold=0.001)
    folds = bp.WalkForward(train=1_500, tune=1_200, test=600, gap=8)
    run = train(models.Logistic(), pl.DataFrame(table), labels, folds, seed=7)
    levels = [0.4, 0.45, 0.5]
    combinations = bp.Grid(bp.Rules(max_hold=12), {"entry_long": levels, "entry_short": levels})
    oos = bp.walk_forward_optimise(run, combinations, costs=COSTS, exit="opposite")
    judged = run.signals(part="test", exit="opposite")
    outputs = []
    for i, fold in enumerate(run.folds):
        tuned = run.signals(part="tune", exit="opposite", fold=i)
        arrays = {name: tuned[name].copy() for name in tuned.names}
        for name, array in arrays.items():
            array[fold.test] = judged[name][fold.test]
        outputs.append(bp.Signals(kind="probability", **arrays))
    again = bp.walk_forward_optimise(Stand(candles, run.folds, outputs), combinations, costs=COSTS)
    assert oos.choices.equals(again.choices)
    assert_same_run(oos, again)
    assert oos.metrics["trades"] > 20
