"""Grids that are drawn: constraints, random and Latin-hypercube subsets, ranges, tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

BASE = bp.Rules(entry_long=0.5)


def rows(grid: bp.Grid) -> list[tuple[Any, ...]]:
    return [tuple(grid.varying(i).values()) for i in range(len(grid))]


def test_where_keeps_the_order_of_the_product() -> None:
    levels = [0.01, 0.02, 0.03]
    grid = bp.Grid(
        BASE,
        stop_loss=levels,
        take_profit=levels,
        where=lambda c: c["stop_loss"] < c["take_profit"],
    )
    assert rows(grid) == [(s, t) for s in levels for t in levels if s < t]


def test_a_random_sample_is_a_subset_without_repeats_in_order() -> None:
    every = bp.Grid(BASE, max_hold=range(1, 31), cooldown=range(10))
    drawn = bp.Grid(BASE, max_hold=range(1, 31), cooldown=range(10), sample=120, seed=4)
    assert len(drawn) == 120
    places = [rows(every).index(row) for row in rows(drawn)]
    assert places == sorted(set(places))
    assert rows(bp.Grid(BASE, max_hold=[1, 2], cooldown=[0, 1], sample=4)) == [
        (1, 0),
        (1, 1),
        (2, 0),
        (2, 1),
    ]


@pytest.mark.parametrize("count", [7, 12, 60, 100])
def test_a_latin_sample_meets_every_level_equally_often(count: int) -> None:
    axes: dict[str, Any] = {"max_hold": range(1, 8), "cooldown": range(5)}
    axes["trailing"] = [None, 0.01, 0.02]
    grid = bp.Grid(BASE, **axes, sample=count, method="latin", seed=3)
    assert len(set(rows(grid))) == len(grid) == count
    for name, levels in axes.items():
        met = Counter(grid.varying(i)[name] for i in range(count))
        assert {met[level] for level in levels} <= {
            count // len(levels),
            -(-count // len(levels)),
        }, name


def test_a_random_sample_is_less_even_than_a_latin_one() -> None:
    # What the method is for: the same count, levels of one axis met more evenly.
    def spread(method: Any) -> float:
        grid = bp.Grid(
            BASE, max_hold=range(1, 21), cooldown=range(50), sample=100, method=method, seed=1
        )
        met = Counter(grid.varying(i)["max_hold"] for i in range(100))
        return float(np.std([met[level] for level in range(1, 21)]))

    assert spread("latin") == 0.0
    assert spread("random") > 1.0


def test_a_latin_sample_of_the_whole_product_is_the_product() -> None:
    axes: dict[str, Any] = {"max_hold": [1, 2, 3], "cooldown": [0, 1, 2]}
    grid = bp.Grid(BASE, **axes, sample=9, method="latin", seed=0)
    assert set(rows(grid)) == set(rows(bp.Grid(BASE, **axes)))


@pytest.mark.parametrize("log", [False, True])
def test_a_range_is_met_once_in_each_stratum(log: bool) -> None:
    low, high, n = 0.001, 0.1, 50
    grid = bp.Grid(
        BASE,
        stop_loss=bp.between(low, high, log=log),
        max_hold=[10, 20],
        sample=n,
        method="latin",
    )
    values = np.array([grid[i].stop_loss for i in range(n)])
    share = np.log(values / low) / np.log(high / low) if log else (values - low) / (high - low)
    assert sorted(np.floor(share * n).astype(int).tolist()) == list(range(n))
    assert Counter(grid[i].max_hold for i in range(n)) == {10: 25, 20: 25}


def test_ranges_of_whole_numbers_reach_both_ends_evenly() -> None:
    grid = bp.Grid(
        BASE,
        max_hold=bp.between(1, 5),
        stop_loss=bp.between(0.01, 0.02),
        sample=500,
        method="latin",
    )
    held = [grid[i].max_hold for i in range(500)]
    assert all(type(value) is int for value in held)
    assert Counter(held) == dict.fromkeys(range(1, 6), 100)
    # On the logarithmic scale a whole number v has the room log((v + 1) / v).
    grid = bp.Grid(
        BASE,
        max_hold=bp.between(1, 7, log=True),
        stop_loss=bp.between(0.01, 0.02),
        sample=3_000,
        method="latin",
    )
    met = Counter(grid[i].max_hold for i in range(3_000))
    expected = {v: 1_000 * np.log2((v + 1) / v) for v in range(1, 8)}
    assert all(abs(met[v] - expected[v]) <= 1 for v in range(1, 8))


def test_ranges_of_one_axis_vary_together() -> None:
    both = {"entry_long": bp.between(0.5, 0.7), "entry_short": bp.between(0.5, 0.7)}
    grid = bp.Grid(BASE, both, stop_loss=[0.01, 0.02], sample=20, seed=9)
    assert grid.groups == [["entry_long", "entry_short"], ["stop_loss"]]
    assert all(grid[i].entry_long == grid[i].entry_short for i in range(20))
    assert len({grid[i].entry_long for i in range(20)}) == 20


@pytest.mark.parametrize("method", ["random", "latin"])
def test_drawn_ranges_obey_where_and_follow_the_seed(method: Any) -> None:
    def draw(seed: int) -> bp.Grid:
        return bp.Grid(
            BASE,
            stop_loss=bp.between(0.001, 0.1),
            take_profit=bp.between(0.001, 0.1),
            where=lambda c: c["take_profit"] > 2 * c["stop_loss"],
            sample=40,
            method=method,
            seed=seed,
        )

    grids = [draw(seed) for seed in (1, 1, 2)]
    assert grids[0].digest == grids[1].digest != grids[2].digest
    for stop, target in rows(grids[0]):
        assert target > 2 * stop
    assert len(grids[0]) == 40


def test_a_product_too_large_to_list_can_be_sampled() -> None:
    whole = range(1, 10_001)
    grid = bp.Grid(BASE, max_hold=whole, cooldown=whole, atr_period=whole, sample=50)
    assert len(set(rows(grid))) == 50
    assert max(grid.varying(i)["max_hold"] for i in range(50)) > 5_000


def test_a_drawn_combination_that_contradicts_itself_is_named() -> None:
    with pytest.raises(bp.RulesError, match=r"combination \d+ \(break_even=0.0\d+\) is refused: "):
        bp.Grid(
            BASE.replace(break_even_offset=0.05),
            break_even=bp.between(0.01, 0.04),
            sample=5,
            method="latin",
        )


def test_tables_keep_their_rows() -> None:
    frame = pl.DataFrame({"max_hold": [3, None, 7], "stop_loss": [0.01, 0.02, None]})
    grid = bp.Grid.table(BASE, frame)
    assert rows(grid) == [(3, 0.01), (None, 0.02), (7, None)]
    assert grid.groups == [["max_hold", "stop_loss"]]
    assert bp.Grid.table(BASE, frame.to_dict(as_series=False)).digest == grid.digest
