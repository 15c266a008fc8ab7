"""Which combinations are neighbours, and plateaus: against brute force."""

from __future__ import annotations

import itertools
import math
import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import polars as pl
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from barproof._choice import highest
from barproof._neighbours import Neighbours

NAN = float("nan")


def found(table: dict[str, Any] | pl.DataFrame, groups: list[list[str]] | None = None) -> Any:
    frame = pl.DataFrame(table, strict=False)
    return Neighbours(frame, groups or [[name] for name in frame.columns])


def sets(neighbours: Any) -> list[set[int]]:
    rows = neighbours.of(np.arange(neighbours._n))
    return [set(row[row >= 0].tolist()) for row in rows]


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
