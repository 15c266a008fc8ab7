"""Choosing: who stands beside whom, plateaus, functions of the user's, and how steady choices are."""

from __future__ import annotations

import itertools
import math
import pickle
import statistics
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import barproof as bp
from barproof._choice import highest
from barproof._neighbours import Neighbours
from barproof._stability import agreement, rank_correlation, stability
from tests.helpers import simulated
from tests.test_walk_forward import COSTS, Stand, chosen, grid, poisoned, stand
from tests.tolerances import ROUNDING

NAN = float("nan")


def found(table: dict[str, Any] | pl.DataFrame, groups: list[list[str]] | None = None) -> Any:
    frame = pl.DataFrame(table, strict=False)
    return Neighbours(frame, groups or [[name] for name in frame.columns])


def sets(neighbours: Any) -> list[set[int]]:
    rows = neighbours.of(np.arange(neighbours._n))
    return [set(row[row >= 0].tolist()) for row in rows]


# Who stands beside whom.

NUMBERS = [0.01, 0.02, 0.04, 0.05, 0.3, 1.0, -2.0]


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, list[Any]], bool]:
    """Levels by axis in any order, and whether rows are missing here and there."""
    axes: dict[str, list[Any]] = {}
    for i in range(draw(st.integers(1, 4))):
        if draw(st.integers(0, 3)) == 0:
            pool: list[Any] = draw(st.sampled_from([["x", "y", "z"], [False, True]]))
        else:
            pool = [*NUMBERS, None]
        axes[f"axis_{i}"] = draw(st.permutations(pool))[: draw(st.integers(1, min(5, len(pool))))]
    return axes, draw(st.booleans())


def order(levels: list[Any]) -> list[Any]:
    return sorted(v for v in levels if v is not None) + [None] * (None in levels)


def beside(a: tuple[Any, ...], b: tuple[Any, ...], axes: list[list[Any]]) -> bool:
    """By the words of the documentation, on one pair."""
    apart = [i for i in range(len(a)) if a[i] != b[i]]
    if len(apart) != 1:
        return False
    (i,) = apart
    if any(isinstance(v, (str, bool)) for v in axes[i]):
        return True
    ranks = order(axes[i])
    return abs(ranks.index(a[i]) - ranks.index(b[i])) == 1


@settings(max_examples=150, deadline=None)
@given(tables(), st.integers(0, 1_000))
def test_neighbours_are_one_step_away(drawn: tuple[dict[str, list[Any]], bool], seed: int) -> None:
    axes, holes = drawn
    rows = list(itertools.product(*axes.values()))
    if holes:
        rng = np.random.default_rng(seed)
        rows = [row for row in rows if rng.random() < 0.93] or rows
    columns = {name: [row[i] for row in rows] for i, name in enumerate(axes)}
    made = found(columns)
    assume(made.steps)
    present = [[row[i] for row in rows] for i in range(len(axes))]
    levels = [list(dict.fromkeys(column)) for column in present]
    wanted = [{j for j, other in enumerate(rows) if beside(row, other, levels)} for row in rows]
    assert sets(made) == wanted


def test_a_product_always_has_steps() -> None:
    for sizes in ([7], [2, 2], [5, 4, 3, 2]):
        rows = list(itertools.product(*(range(n) for n in sizes)))
        assert found({str(i): [r[i] for r in rows] for i in range(len(sizes))}).steps


def test_fields_that_vary_together_are_one_axis() -> None:
    made = found(
        {"a": [1.0, 1.0, 2.0, 2.0, 3.0, 3.0], "b": [9, 9, 8, 8, 7, 7], "c": [0.1, None] * 3},
        [["a", "b"], ["c"]],
    )
    assert [axis.names for axis in made.axes] == [["a", "b"], ["c"]]
    assert sets(made) == [{1, 2}, {0, 3}, {0, 3, 4}, {1, 2, 5}, {2, 5}, {3, 4}]
    # None on either side is no reason to part them.
    made = found({"a": [0.5, None], "b": [None, 0.5]}, [["a", "b"]])
    assert sets(made) == [{1}, {0}]


def test_steps_are_taken_among_rows_that_share_a_choice() -> None:
    table = {"stop": [1.0, 0.02, 3.0, 0.01, 2.0], "kind": ["atr", "price", "atr", "price", "atr"]}
    assert sets(found(table, [["stop", "kind"]])) == [{4}, {3}, {4}, {1}, {0, 2}]
    # One number each: the choice is the axis.
    table = {"offset": [0.0, 0.01, 0.02], "entry": ["a", "b", "c"]}
    assert sets(found(table, [["offset", "entry"]])) == [{1, 2}, {0, 2}, {0, 1}]


def test_other_models_and_symbols_are_no_neighbours() -> None:
    for name in ("signals", "symbol", "anything"):
        table = {"a": [1, 2, 3] * 2, name: ["x"] * 3 + ["y"] * 3}
        groups = [["a"]] if name == "anything" else [["a"], [name]]
        assert sets(found(table, groups)) == [{1}, {0, 2}, {1}, {4}, {3, 5}, {4}]


def test_a_table_that_is_a_product_has_its_steps() -> None:
    rows = list(itertools.product([1, 2, 3], [0.1, 0.2, None], ["x", "y"]))
    shuffled = [rows[i] for i in np.random.default_rng(1).permutation(len(rows))]
    columns = {name: [row[i] for row in shuffled] for i, name in enumerate("abc")}
    together = found(columns, [["a", "b", "c"]])
    assert together.steps
    assert sets(together) == sets(found(columns))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(30, 60))
def test_without_steps_the_nearest_stand_in(seed: int, count: int) -> None:
    # Axes of 2, 3, 5 and 9 levels, whose lengths divide the scale, so that fractions tell the same.
    axes: list[list[Any]] = [
        [1.0, 2.0, 3.0, 5.0, 9.0],
        list(range(9)),
        ["x", "y"],
        [0.1, 0.2, None],
    ]
    rows: list[tuple[Any, ...]] = list(itertools.product(*axes))
    rng = np.random.default_rng(seed)
    rows = [rows[i] for i in rng.choice(len(rows), count, replace=False)]
    assume(all({row[i] for row in rows} == set(axis) for i, axis in enumerate(axes)))
    made = found({f"axis_{i}": [row[i] for row in rows] for i in range(4)})
    assert not made.steps
    assert made.rule == "8 nearest by rank"
    wanted = []
    for row in rows:
        distances = []
        for j, other in enumerate(rows):
            far = Fraction(0)
            for axis, a, b in zip(axes, row, other, strict=True):
                if isinstance(a, str):
                    far += a != b
                else:
                    far += Fraction(abs(axis.index(a) - axis.index(b)), len(axis) - 1)
            distances.append((far, j))
        others = sorted(d for d in distances if d[1] != rows.index(row))
        wanted.append({j for _, j in others[:8]})
    assert sets(made) == wanted


def test_the_nearest_are_found_however_few_there_are() -> None:
    table = {"a": [1.0, 2.0, 9.0], "b": [3.0, 1.0, 2.0], "c": [2.0, 3.0, 1.0]}
    made = found(table)
    assert not made.steps
    assert sets(made) == [{1, 2}, {0, 2}, {0, 1}]
    apart = found({**table, "symbol": ["x", "x", "y"]}, [["a"], ["b"], ["c"]])
    assert sets(apart) == [{1}, {0}, set()]


def test_rows_that_stand_twice_are_the_nearest_of_each_other() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.random(20), rng.random(20)
    made = found({"a": [*a, *a, *a], "b": [*b, *b, *b]})
    assert not made.steps
    around = sets(made)
    assert all(
        {(i + 20) % 60, (i + 40) % 60} < one and i not in one for i, one in enumerate(around)
    )
    # Six rows that are all the same are no more than four neighbours, the lowest numbers.
    made = found({"a": [0.1, 0.5, 0.9] + [0.3] * 6, "b": [0.9, 0.1, 0.5] + [0.2] * 6})
    assert made.of(np.array([8, 3])).tolist() == [[3, 4, 5, 6], [4, 5, 6, 7]]


def test_levels_of_several_choices_lie_a_whole_axis_apart() -> None:
    stop = {"stop": [1.0, 0.02, 3.0, 0.01, 2.0], "kind": ["atr", "price", "atr", "price", "atr"]}
    (axis,) = found(stop, [["stop", "kind"]]).axes
    spots = axis.spots[axis.level] / 65_536
    far = np.abs(spots[:, None] - spots).sum(axis=2)
    assert far[0].tolist() == [0.0, 2.0, 1.0, 1.0, 0.5]
    assert far[1].tolist() == [2.0, 0.0, 1.0, 1.0, 1.5]


def test_an_edge_is_an_outermost_level_with_something_beyond() -> None:
    stops = [0.01, 0.02, 0.03, None]
    assert found({"stop_loss": stops}).edge.tolist() == [True, False, False, False]
    assert found({"stop_loss": [0.03, 0.01, 0.02]}).edge.tolist() == [True, True, False]
    # The bounds of a field: no cooldown is less than 0, no fraction more than 1.
    assert found({"cooldown": [0, 5, 10]}).edge.tolist() == [False, False, True]
    assert found({"max_hold": [1, 5, 10]}).edge.tolist() == [False, False, True]
    assert found({"fraction": [0.1, 0.5, 1.0]}).edge.tolist() == [True, False, False]
    assert found({"size_min": [0.0, 0.5, 1.0]}).edge.tolist() == [False, False, False]
    # Two levels have no inside, choices no order.
    assert not found({"stop_loss": [0.01, 0.02]}).edge.any()
    assert not found({"entry": ["a", "b", "c"]}).edge.any()
    both = found({"a": [1, 1, 1, 2, 2, 2, 3, 3, 3], "b": [1, 2, 3] * 3})
    assert both.edge.tolist() == [True] * 4 + [False] + [True] * 4


# The plateau.


def median(values: list[float]) -> float:
    """Of values of which NaN is worse than any; NaN where the middle is."""
    middle = statistics.median([-math.inf if math.isnan(v) else v for v in values])
    return NAN if middle == -math.inf else middle


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.integers(0, 1_000),
    st.sampled_from([0.0, 0.2, 0.6]),
)
def test_a_plateau_is_the_median_around(sizes: list[int], seed: int, gone: float) -> None:
    rows = list(itertools.product(*(range(n) for n in sizes)))
    rng = np.random.default_rng(seed)
    values = rng.integers(-4, 5, len(rows)) / 2
    values[rng.random(len(rows)) < gone] = np.nan
    made = found({str(i): [r[i] for r in rows] for i in range(len(sizes))})
    medians, counts = made.plateau(values)
    around = sets(made)
    assert counts.tolist() == [len(one) for one in around]
    for i, one in enumerate(around):
        wanted = median([values[i], *(values[j] for j in one)])
        if math.isnan(values[i]) or not one:
            wanted = NAN
        assert medians[i] == wanted or (math.isnan(medians[i]) and math.isnan(wanted))
    some = np.arange(len(rows))[::2]
    np.testing.assert_array_equal(made.plateau(values, some)[0], medians[some])


def test_infinite_values_have_a_place() -> None:
    made = found({"a": [1, 2, 3, 4]})
    medians, _ = made.plateau(np.array([math.inf, 1.0, math.inf, math.inf]))
    assert medians.tolist() == [math.inf] * 4
    medians, _ = made.plateau(np.array([math.inf, -math.inf, 2.0, 3.0]))
    assert math.isnan(medians[0])
    assert medians.tolist()[1:] == [2.0, 2.0, 2.5]


def test_equal_plateaus_are_told_apart_by_the_value_and_then_by_the_number() -> None:
    assert highest(np.array([1.0, 2.0, 2.0, 2.0]), np.array([9.0, 1.0, 3.0, 3.0])) == 2
    assert highest(np.array([NAN, 2.0, 2.0]), np.array([NAN, 1.0, 3.0])) == 2
    assert highest(np.array([NAN, NAN])) is None
    assert highest(np.array([NAN, -math.inf, NAN])) == 1


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


# How steady choices are.


def choices(**columns: list[Any]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    rows = [None if columns["a"][i] == "idle" else i for i in range(n)]
    kept = {k: [None if v == "idle" else v for v in values] for k, values in columns.items()}
    return pl.DataFrame({"combination": pl.Series(rows, dtype=pl.UInt32), **kept}, strict=False)


def test_stability_by_hand() -> None:
    frame = choices(
        a=[1.0, 1.0, "idle", 2.0, 1.0, None],
        b=[5, 5, "idle", 6, 5, 7],
        c=["x", "x", "idle", "x", "x", "x"],
    )
    found = stability(frame, [["a", "b"], ["a"], ["c"]])
    assert found.rows() == [
        ("a+b", 3, 3, 0.25, "1.0 + 5", 0.6, pytest.approx(1.3709505944546687)),
        ("a", 3, 3, 0.25, "1.0", 0.6, pytest.approx(1.3709505944546687)),
        ("c", 1, 0, 1.0, "x", 1.0, 0.0),
    ]
    assert math.copysign(1.0, found["entropy"][2]) == 1.0
    assert agreement(frame, [["a", "b"], ["c"]]) == (0.25 + 1.0) / 2
    turns = stability(choices(a=[None, 0.5, None, 0.5]), [["a"]])
    assert turns.rows() == [("a", 2, 3, 0.0, "off", 0.5, 1.0)]


def test_stability_of_one_fold_of_none_and_of_no_axis() -> None:
    one = stability(choices(a=[1.0]), [["a"]]).rows()[0]
    assert one[:3] == ("a", 1, 0)
    assert math.isnan(one[3])
    assert math.isnan(agreement(choices(a=[1.0]), [["a"]]))
    idle = stability(choices(a=["idle", "idle"]), [["a"]]).rows()[0]
    assert idle[:3] == ("a", 0, 0)
    assert idle[4] is None
    assert math.isnan(agreement(choices(a=[1.0, 2.0]), []))
    assert stability(choices(a=[1.0, 2.0]), []).height == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    a, b = ([float(p[i]) for p in pairs] for i in (0, 1))
    frame = pl.DataFrame({"chosen_m": [*a, None, 1.0], "judged_m": [*b, 2.0, NAN]})
    value, n = rank_correlation(frame, "m")
    assert n == len(pairs)
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(float(spearmanr(a, b).statistic), rel=ROUNDING, abs=ROUNDING)
    assert math.isnan(rank_correlation(frame[:2], "m").value)
    assert rank_correlation(frame[:0], "m").n == 0


def test_a_result_tells_how_steady_it_was() -> None:
    run = stand(bp.WalkForward(train=400, tune=1_200, test=500), bars=6_000)
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    table = oos.stability
    assert table["axis"].to_list() == ["entry_long+entry_short", "stop_loss"]
    stops = oos.choices.drop_nulls("combination")["stop_loss"].to_list()
    changes = sum(a != b for a, b in itertools.pairwise(stops))
    assert table.row(1)[1:3] == (len(set(stops)), changes)
    assert oos.agreement == pytest.approx(float(table["agreement"].mean()))  # type: ignore[arg-type]
    value, n = oos.rank_correlation
    pairs = oos.choices.select("chosen_sharpe", "judged_sharpe").fill_nan(None).drop_nulls()
    assert n == pairs.height > 3
    assert value == pytest.approx(float(spearmanr(*pairs.to_numpy().T).statistic))
    copy = pickle.loads(pickle.dumps(oos))
    assert copy.stability.equals(table)
    assert copy.rank_correlation == oos.rank_correlation


def test_the_report_tells_it(tmp_path: Path) -> None:
    from barproof.report.walk_forward import choice_sentences

    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    combinations = bp.Grid(
        bp.Rules(max_hold=40), entry_long=[1.0, 1.5, 2.5], stop_loss=[0.01, 0.02]
    )
    oos = bp.walk_forward_optimise(run, combinations, costs=COSTS, choose="plateau")
    told = choice_sentences(oos)
    edges = int(oos.choices["at_edge"].sum())
    assert told[0].startswith(f"From one choice to the next {oos.agreement:.0%} of the axes")
    made = oos.choices["combination"].drop_nulls()
    assert f"{edges} of {len(made)} choices stood on an edge" in told[-1]
    page = oos.to_html(tmp_path / "oos.html").read_text()
    assert all(sentence in page for sentence in told)
    assert "Sharpe ratio, plateau" in page
