"""Choosing: by plateaus and by functions of the user's, and who has no say."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.helpers import simulated
from tests.stands import COSTS, Stand, chosen, grid, poisoned, stand
from tests.test_neighbours import NAN, beside, median

HILL = {(2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (3, 4), (4, 2), (4, 3), (4, 4)}
SQUARE = bp.Grid(
    bp.Rules(entry_long=1.0),
    max_hold=[10, 20, 30, 40, 50, 60, 70],
    cooldown=[10, 20, 30, 40, 50, 60, 70],
)


def planted(frame: pl.DataFrame) -> list[float]:
    """A broad hill around (3, 3) that is 1.0 high, and a spike of 5.0 at (0, 6)."""
    out = []
    for hold, cool in zip(frame["max_hold"], frame["cooldown"], strict=True):
        at = (hold // 10 - 1, cool // 10 - 1)
        top = 1.2 if at == (3, 3) else 1.0
        out.append(5.0 if at == (0, 6) else top if at in HILL else 0.0)
    return out


def test_a_plateau_is_chosen_before_a_lonely_spike() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    best = bp.walk_forward_optimise(run, SQUARE, costs=COSTS, metric=planted)
    broad = bp.walk_forward_optimise(run, SQUARE, costs=COSTS, metric=planted, choose="plateau")
    assert set(best.choices["combination"]) == {6}
    assert set(best.choices["chosen_planted"]) == {5.0}
    assert set(best.choices["plateau_planted"]) == {0.0}
    assert best.choices["at_edge"].all()
    assert set(broad.choices["combination"]) == {3 * 7 + 3}
    assert set(broad.choices["chosen_planted"]) == {1.2}
    assert set(broad.choices["plateau_planted"]) == {1.0}
    assert not broad.choices["at_edge"].any()
    facts = broad.provenance
    assert (facts["metric"], facts["choose"], best.provenance["choose"]) == (
        "planted", "plateau", "best",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("metric", "min_trades"), [("sharpe", 0), ("max_drawdown", 13), ("sharpe", 15)]
)
def test_plateau_choices_equal_brute_force(metric: str, min_trades: int) -> None:
    run = stand(bp.WalkForward(train=400, tune=1_200, test=500, gap=5), bars=6_000)
    levels = [1.0, 1.5, 2.0, 2.5]
    stops = [0.02, None, 0.005]
    combinations = bp.Grid(
        bp.Rules(max_hold=40), {"entry_long": levels, "entry_short": levels}, stop_loss=stops
    )
    oos = bp.walk_forward_optimise(
        run, combinations, costs=COSTS, metric=metric, min_trades=min_trades, choose="plateau"
    )
    rows = list(itertools.product(levels, stops))
    sign = -1.0 if metric == "max_drawdown" else 1.0
    plain = bp.walk_forward_optimise(run, combinations, costs=COSTS, metric=metric)
    for row, fold in zip(oos.choices.iter_rows(named=True), run.folds, strict=True):
        window = (int(fold.tune_choose[0]), int(fold.tune_choose[-1]) + 1)
        values = []
        for i in range(len(rows)):
            m = bp.backtest(
                run.candles, run.outputs[fold.number], combinations[i], costs=COSTS, window=window
            ).metrics
            values.append(sign * m[metric] if m["trades"] >= min_trades else NAN)
        left_out = sum(math.isnan(v) for v in values)
        assert (0 < left_out < len(rows)) == (min_trades > 0)
        keys = []
        for i, one in enumerate(rows):
            near = [values[j] for j, o in enumerate(rows) if beside(one, o, [levels, stops])]
            plateau = NAN if math.isnan(values[i]) else median([values[i], *near])
            keys.append((-math.inf if math.isnan(plateau) else plateau, values[i], -i))
        best = -max(keys)[2]
        if keys[best][0] == -math.inf:
            assert row["combination"] is None
            continue
        assert row["combination"] == best
        assert row[f"chosen_{metric}"] == sign * values[best]
        assert row[f"plateau_{metric}"] == sign * keys[best][0]
        assert row["at_edge"] == (rows[best][0] in (1.0, 2.5) or rows[best][1] == 0.005)
    assert not chosen(oos).equals(chosen(plain))
    assert oos.choices["combination"].drop_nulls().n_unique() > 1
    assert oos.trials == plain.trials == 12


def test_a_fold_without_a_plateau_is_flat() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))

    def lone(frame: pl.DataFrame) -> list[float]:
        return [1.0 if i == 24 else NAN for i in frame["combination"]]

    oos = bp.walk_forward_optimise(run, SQUARE, costs=COSTS, metric=lone, choose="plateau")
    assert oos.choices["combination"].null_count() == oos.choices.height
    assert oos.choices["at_edge"].null_count() == oos.choices.height
    best = bp.walk_forward_optimise(run, SQUARE, costs=COSTS, metric=lone)
    assert set(best.choices["combination"]) == {24}
    assert best.choices["plateau_lone"].is_nan().all()


def test_a_sample_has_plateaus_too() -> None:
    run = stand(bp.WalkForward(train=500, tune=1_000, test=500))
    sampled = bp.Grid(
        bp.Rules(max_hold=40),
        entry_long=[1.0, 1.2, 1.4, 1.6],
        entry_short=[1.0, 1.2, 1.4, 1.6],
        stop_loss=[0.005, 0.01, 0.02, None],
        sample=14,
        seed=3,
    )
    oos = bp.walk_forward_optimise(run, sampled, costs=COSTS, choose="plateau")
    assert oos.choices["plateau_sharpe"].is_finite().all()
    table = bp.Grid.table(sampled.rules, pl.DataFrame(sampled._columns, strict=False))
    again = bp.walk_forward_optimise(run, table, costs=COSTS, choose="plateau")
    assert again.choices.equals(oos.choices)


def test_the_plateau_of_a_sweep() -> None:
    candles, signals = simulated(3_000)
    combinations = bp.Grid(
        bp.Rules(max_hold=40), entry_long=[1.0, 1.5, 2.5], stop_loss=[0.005, 0.02, 0.05]
    )
    swept = bp.sweep(candles, signals, combinations, costs=COSTS, windows="1d")
    for metric, sign in (("sharpe", 1.0), ("max_drawdown", -1.0), ("trades", 1.0)):
        frame = bp.plateau(swept, metric)
        assert frame.columns == [
            "combination", "entry_long", "stop_loss", metric, "neighbours", "plateau", "at_edge",
        ]  # fmt: skip
        assert frame[metric].equals(swept.pooled[metric])
        values = [sign * float(v) for v in frame[metric]]
        near = [
            {1, 3},
            {0, 2, 4},
            {1, 5},
            {0, 4, 6},
            {1, 3, 5, 7},
            {2, 4, 8},
            {3, 7},
            {4, 6, 8},
            {5, 7},
        ]
        wanted = [
            sign * median([values[i], *(values[j] for j in one)]) for i, one in enumerate(near)
        ]
        np.testing.assert_array_equal(frame["plateau"], wanted)
        assert frame["neighbours"].to_list() == [len(one) for one in near]
        assert frame["at_edge"].to_list() == [True] * 4 + [False] + [True] * 4
    few = bp.plateau(swept, min_trades=10_000)
    assert few["plateau"].is_nan().all()
    own = bp.plateau(swept, calm)
    assert own["calm"].equals(
        (swept.pooled["total_return"] - swept.pooled["max_drawdown"]).alias("calm")
    )


def test_plateaus_of_several_models_and_symbols_stay_apart() -> None:
    markets = {name: simulated(2_000, seed) for name, seed in (("A", 3), ("B", 4))}
    combinations = bp.Grid(bp.Rules(max_hold=40), entry_long=[1.0, 1.5, 2.5])
    candles = {name: one[0] for name, one in markets.items()}
    sets = {
        name: bp.SignalSets(
            {"own": one[1], "turned": bp.Signals(long=-one[1]["long"], kind="score")}
        )
        for name, one in markets.items()
    }
    frame = bp.plateau(bp.sweep(candles, sets, combinations, costs=COSTS))
    assert set(frame.columns) >= {"symbol", "signals", "entry_long"}
    for symbol, name in itertools.product("AB", ("own", "turned")):
        part = frame.filter(pl.col("symbol") == symbol, pl.col("signals") == name)
        alone = bp.plateau(bp.sweep(candles[symbol], sets[symbol][name], combinations, costs=COSTS))
        shared = ["entry_long", "sharpe", "neighbours", "plateau", "at_edge"]
        assert part.select(shared).equals(alone.select(shared))


# Nothing leaks.


def calm(frame: pl.DataFrame) -> pl.Series:
    return frame["total_return"] - frame["max_drawdown"]


def third(frame: pl.DataFrame) -> int:
    return int(frame.sort("sharpe", descending=True, nulls_last=True)["combination"][2])


WAYS: list[dict[str, Any]] = [
    {"choose": "plateau"},
    {"choose": "plateau", "metric": calm},
    {"choose": third},
    {"choose": lambda frame: frame["sortino"] - frame["max_drawdown"], "metric": calm},
]


@pytest.mark.parametrize("way", WAYS)
def test_test_rows_have_no_say(way: dict[str, Any]) -> None:
    run = stand(bp.WalkForward(train=300, tune=800, test=500, step=1_600), bars=10_000)
    clean = bp.walk_forward_optimise(run, grid(), costs=COSTS, **way)
    judged = [name for name in clean.choices.columns if name.startswith("judged_")]
    for part, has_say in (("test", False), ("train", False), ("tune_choose", True)):
        rows = np.concatenate([getattr(fold, part) for fold in run.folds])
        bad = bp.walk_forward_optimise(poisoned(run, rows), grid(), costs=COSTS, **way)
        assert chosen(bad).equals(chosen(clean)) != has_say
        if part == "test":
            assert not bad.choices[judged[0]].equals(clean.choices[judged[0]])


@pytest.mark.parametrize("way", WAYS)
def test_no_choice_knows_what_comes_after_it(way: dict[str, Any]) -> None:
    run = stand(bp.WalkForward(train=400, test=250))
    clean = bp.walk_forward_optimise(run, grid(), costs=COSTS, **way)
    skipped = len(run.folds) - clean.choices.height
    for k in range(clean.choices.height):
        after = range(int(run.folds[skipped + k].test[0]), len(run.candles))
        bad = bp.walk_forward_optimise(poisoned(run, after), grid(), costs=COSTS, **way)
        assert chosen(bad)[: k + 1].equals(chosen(clean)[: k + 1])


@pytest.mark.parametrize("way", WAYS)
def test_threads_do_not_change_a_bit(way: dict[str, Any]) -> None:
    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    one, two = (
        bp.walk_forward_optimise(run, grid(), costs=COSTS, threads=t, **way) for t in (1, 3)
    )
    assert one.choices.equals(two.choices)
    assert one.equity.equals(two.equity)


# Functions of the user's.


def small() -> Stand:
    return stand(bp.WalkForward(train=500, tune=1_000, test=500))


def test_a_function_as_metric_is_judged_by_itself() -> None:
    run = small()
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, metric=calm)
    for row, fold in zip(oos.choices.iter_rows(named=True), run.folds, strict=True):
        parts = {}
        for which, rows in (("chosen", fold.tune_choose), ("judged", fold.test)):
            window = (int(rows[0]), int(rows[-1]) + 1)
            every = [
                bp.backtest(
                    run.candles, run.outputs[fold.number], rules, costs=COSTS, window=window
                ).metrics
                for rules in (grid()[i] for i in range(6))
            ]
            parts[which] = [m["total_return"] - m["max_drawdown"] for m in every]
        best = int(np.argmax(parts["chosen"]))
        assert row["combination"] == best
        assert (row["chosen_calm"], row["judged_calm"]) == (
            parts["chosen"][best], parts["judged"][best],
        )  # fmt: skip
    assert oos.choices.schema["chosen_calm"] == pl.Float64
    named = bp.walk_forward_optimise(run, grid(), costs=COSTS, metric=lambda frame: frame["sharpe"])
    known = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    renamed = {c: c.replace("_lambda", "_sharpe") for c in named.choices.columns}
    assert named.choices.rename(renamed).equals(known.choices)


def test_the_judged_row_looks_like_the_rows_that_chose() -> None:
    run = small()
    seen: list[pl.DataFrame] = []

    def watch(frame: pl.DataFrame) -> pl.Series:
        seen.append(frame)
        return frame["sharpe"]

    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, metric=watch)
    assert [frame.height for frame in seen] == [6, 1] * len(run.folds)
    assert {tuple(frame.schema.items()) for frame in seen} == {tuple(seen[0].schema.items())}
    for row, frame in zip(oos.choices.iter_rows(named=True), seen[1::2], strict=True):
        assert frame["combination"][0] == row["combination"]
        assert frame["stop_loss"][0] == row["stop_loss"]
        assert frame["trades"][0] == row["judged_trades"]


def test_a_function_chooses_by_number_by_scores_or_not_at_all() -> None:
    run = small()
    best = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    ways: list[Any] = [
        lambda frame: frame["sharpe"],
        lambda frame: frame["sharpe"].to_numpy(),
        lambda frame: frame["sharpe"].to_list(),
        lambda frame: np.int64(frame["combination"][int(frame["sharpe"].arg_max())]),
    ]
    for way in ways:
        oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, choose=way)
        assert oos.choices.equals(best.choices)
    for silent in (lambda _: None, lambda frame: [None] * frame.height, lambda f: [NAN] * f.height):
        if silent(best.choices) is not None:
            kind = silent
            oos = bp.walk_forward_optimise(
                run,
                grid(),
                costs=COSTS,
                choose=lambda frame, kind=kind: pl.Series(kind(frame), dtype=pl.Float64),  # type: ignore[misc]
            )
        else:
            oos = bp.walk_forward_optimise(run, grid(), costs=COSTS, choose=silent)
        assert oos.choices["combination"].null_count() == len(run.folds)
        assert oos.metrics["trades"] == 0
    assert (
        "function"
        in bp.walk_forward_optimise(run, grid(), costs=COSTS, choose=third).provenance["choose"]
    )


def test_a_choosing_function_sees_only_what_may_be_chosen() -> None:
    run = small()
    everything = bp.walk_forward_optimise(run, grid(), costs=COSTS, metric="trades")
    bound = int(everything.choices["chosen_trades"].min()) - 1  # type: ignore[arg-type]
    seen: list[pl.DataFrame] = []

    def last(frame: pl.DataFrame) -> int:
        seen.append(frame)
        return int(frame["combination"][-1])

    oos = bp.walk_forward_optimise(
        run, grid(), costs=COSTS, metric=calm, choose=last, min_trades=bound
    )
    assert all(frame["trades"].min() >= bound for frame in seen)  # type: ignore[operator]
    assert any(frame.height < 6 for frame in seen)
    assert all(frame["calm"].equals(calm(frame).alias("calm")) for frame in seen)
    assert oos.choices["combination"].to_list() == [frame["combination"][-1] for frame in seen]
    none = bp.walk_forward_optimise(run, grid(), costs=COSTS, choose=last, min_trades=10_000)
    assert none.choices["combination"].null_count() == len(run.folds)
