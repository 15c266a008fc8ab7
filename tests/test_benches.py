"""The benches: peers do the job that is timed, the page shows what was recorded."""

from __future__ import annotations

import csv
import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import barproof as bp

from .tolerances import REFERENCE

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ("final_equity", "trades", "wins", "max_drawdown", "sharpe")

workload: Any = importlib.import_module("benches.problem")
python_loop: Any = importlib.import_module("benches.peers.python_loop")
table: Any = importlib.import_module("benches.table")
timing: Any = importlib.import_module("benches.timing")


@pytest.fixture(scope="module")
def market() -> Any:
    return workload.make(30_000, 7)


def rows_of(kind: str) -> NDArray[np.float64]:
    """Grids that trade enough on a small market; random ones share no level."""
    rows = workload.scattered("dense", 24) if kind == "random" else workload.product("dense")[::9]
    rows = rows.copy()
    # Low thresholds: sides meet at one bar, and positions follow each other without a pause.
    rows[::3, 0] -= 0.3
    return np.asarray(rows, dtype=np.float64)


def swept(market: Any, rows: NDArray[np.float64], engine: Any = "replay") -> NDArray[np.float64]:
    found = bp.sweep(
        market.candles(),
        market.signals(),
        workload.grid_of(rows),
        costs=workload.costs(),
        initial_equity=workload.INITIAL,
        engine=engine,
        ledger=False,
    )
    answers = found.pooled.select(ANSWERS).to_numpy().astype(np.float64)
    answers[:, 0] /= workload.INITIAL
    return np.asarray(answers)


def hold(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(theirs[:, 1:3], ours[:, 1:3])
    np.testing.assert_allclose(theirs, ours, rtol=REFERENCE, atol=REFERENCE**2)


@pytest.mark.parametrize("kind", ["product", "random"])
def test_the_plain_loop_does_the_job_of_the_sweep(market: Any, kind: str) -> None:
    rows = rows_of(kind)[:6]
    ends = np.zeros(len(market), dtype=bool)
    ends[market.day_last] = True
    names = ("open", "high", "low", "close", "p_long", "p_short", "p_exit")
    columns = [getattr(market, name).tolist() for name in names]
    fixed = (workload.MAX_HOLD, workload.FEE, workload.PERIODS)
    theirs = np.array(
        [python_loop.run_one(*columns, ends.tolist(), *row, *fixed) for row in rows.tolist()]
    )
    assert theirs[:, 1].min() > 20
    hold(theirs, swept(market, rows))


@pytest.mark.parametrize("kind", ["product", "random"])
@pytest.mark.parametrize("style", ["plain", "tuned", "lists"])
def test_numba_loops_do_the_job_of_the_sweep(market: Any, style: str, kind: str) -> None:
    pytest.importorskip("numba")
    loops = importlib.import_module("benches.peers.numba_loops").Loops(market)
    rows = rows_of(kind)
    hold(getattr(loops, style)(rows), swept(market, rows, "indexed"))


def test_a_loop_that_is_off_by_a_trade_stops_the_bench(market: Any) -> None:
    bench = importlib.import_module("benches.workload_a")
    ours = swept(market, rows_of("product")[:2])
    bench.agree("a loop", ours.copy(), ours)
    theirs = ours.copy()
    theirs[1, 1] += 1
    with pytest.raises(SystemExit, match=r"`trades` of combination 1 .* nothing is timed"):
        bench.agree("a loop", theirs, ours)


def test_markets_are_the_same_for_the_same_seed_and_have_no_edge(market: Any) -> None:
    again = workload.make(30_000, 7)
    assert again.candles().digest == market.candles().digest
    assert again.signals().digest == market.signals().digest
    assert workload.make(30_000, 8).candles().digest != market.candles().digest
    change = np.diff(np.log(market.close))
    lean = np.corrcoef(market.p_long[:-1], change)[0, 1]
    assert abs(lean) < 4 / math.sqrt(len(change))


def test_salted_objects_are_others_with_the_same_answers(market: Any) -> None:
    """What is called cold must not meet an index kept under the digest of an earlier run."""
    assert market.candles(1).digest != market.candles(2).digest
    assert market.signals(1).digest != market.signals(2).digest
    grid = workload.grid_of(rows_of("product"))
    found = [
        bp.sweep(
            market.candles(salt), market.signals(salt), grid, costs=workload.costs(), ledger=False
        )
        for salt in (0, 1)
    ]
    assert found[0].frame.equals(found[1].frame)


def test_days_are_those_of_the_clock(market: Any) -> None:
    days = market.open_time // 86_400_000
    np.testing.assert_array_equal(market.day_of, days - days[0])
    np.testing.assert_array_equal(days[market.day_last], np.unique(days))
    assert market.day_last[-1] == len(market) - 1


def test_a_grid_has_the_rows_in_their_order() -> None:
    for rows in (workload.product("dense", 3), workload.scattered("20000", 9)):
        grid = workload.grid_of(rows)
        assert len(grid) == len(rows)
        for i, (entry, leave, stop, target) in enumerate(rows.tolist()):
            got = grid[i]
            assert (got.entry_long, got.entry_short) == (entry, entry)
            assert (got.exit_long, got.exit_short) == (leave, leave)
            assert (got.stop_loss, got.take_profit) == (stop, target)


def test_combinations_for_slow_peers_stand_for_the_grid() -> None:
    some = workload.product("dense")[workload.SPREAD]
    for a in range(4):
        for b in range(a):
            assert len(np.unique(some[:, [a, b]], axis=0)) == len(some) == 16
    few = workload.product("dense")[workload.FEW]
    assert [len(np.unique(column)) for column in few.T] == [4] * 4


def test_contenders_take_turns() -> None:
    order: list[str] = []
    made = [
        timing.Contender(name, lambda _, name=name: order.append(name), lambda: (1,), runs=runs)
        for name, runs in (("a", None), ("b", 2))
    ]
    taken = timing.interleave(made, 3)
    assert order == ["a", "b", "a", "b", "a"]
    assert [len(one.seconds) for one in taken] == [3, 2]


def record(**rates: float) -> Any:
    names = {"cold": "barproof, cold", "tuned": "numba, tuned"}
    rows = [
        {
            "case": "grid dense",
            "contender": names[name],
            "combinations": "256",
            "m_candle_combinations_per_s": str(1e3 * rate),
            "median_s": str(0.256 / rate),
        }
        for name, rate in rates.items()
    ]
    return table.Record(rows)


def test_goals_say_where_they_stand() -> None:
    tuned = table.GOALS[0]
    assert (tuned.bound, tuned.stretch) == (9, 14)
    assert tuned.row(record(cold=8.9, tuned=1.0)).endswith("| 8.9x | not met |")
    assert tuned.row(record(cold=9.0, tuned=1.0)).endswith("| 9x | met |")
    assert tuned.row(record(cold=30.0, tuned=2.0)).endswith("| 15x | stretch met |")
    assert tuned.row(record(cold=9.0)).endswith("| not measured | |")
    least = next(goal for goal in table.GOALS if goal.most and goal.unit == "ms")
    one = {"case": "one dense", "contender": "barproof, cold", "combinations": "1"}
    assert least.row(table.Record([one | {"median_s": "0.0081"}])).endswith("not met |")
    assert least.row(table.Record([one | {"median_s": "0.0079"}])).endswith("| met |")


def test_the_page_shows_the_latest_records() -> None:
    page = table.PAGE.read_text(encoding="utf-8")
    assert [found[2] for found in table.BLOCK.finditer(page)] == [
        "where", "goals", "grids", "others", "feature_where", "feature_goals",
        "features", "feature_sets", "real_where", "real", "rows_where", "rows",
        "files_where", "files", "labels_where", "labels", "inference_where", "inference",
        "encoder_where", "encoder", "gpu_where", "gpu",
    ]  # fmt: skip
    assert table.render(page) == page


def test_records_name_their_machine_and_versions() -> None:
    paths = sorted(timing.RECORDS.glob("*_workload_a.csv"))
    assert paths
    for path in paths:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert rows
        for row in rows:
            assert all(row[k] for k in ("date", "commit", "machine", "threads", "numba", "barproof"))  # fmt: skip
            assert float(row["min_s"]) <= float(row["median_s"]) <= float(row["max_s"])
            if row["case"] != "memory":
                assert int(row["runs"]) >= 5, row
