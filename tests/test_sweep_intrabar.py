"""Sweeps on finer candles, against one backtest a combination; ways that combinations take."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import _core
from barproof._fields import METRICS
from tests.helpers import flat, market

FOLDER = os.environ.get("BARPROOF_DATA", "")
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)


def world(seed: int = 3, minutes: int = 6_000) -> tuple[bp.Candles, bp.Candles, bp.Signals]:
    """Minutes, quarters of an hour made of them, and signals on these."""
    fine = bp.simulate_candles(seed, bars=minutes, interval="1m")
    candles = bp.resample(fine, "15m")
    rng = np.random.default_rng(seed)
    signals = bp.Signals(
        long=rng.random(len(candles)),
        short=rng.random(len(candles)),
        exit_long=rng.random(len(candles)),
    )
    return fine, candles, signals


def grid() -> bp.Grid:
    base = bp.Rules(entry_long=0.7, entry_short=0.8, take_profit=0.002, max_hold=40)
    return bp.Grid(
        base,
        {"entry": ["market", "limit"], "limit_offset": [0.0, 0.0005]},
        stop_loss=[0.001, 0.004],
        exit_long=[None, 0.95],
        trailing=[None, 0.003],
        intrabar=["pessimistic", "nearest_open"],
    )


def check(found: bp.Sweep, fine: bp.Candles, candles: bp.Candles, signals: bp.Signals) -> None:
    """Every row is the backtest of its combination on its window, bit for bit."""
    for row in found.frame.iter_rows(named=True):
        window = found.windows[row["window"]]
        alone = bp.backtest(
            candles,
            signals,
            found.rules(row["combination"]),
            costs=COSTS,
            window=window,
            intrabar_candles=fine,
            ledger=False,
        )
        for name in METRICS:
            assert repr(float(row[name])) == repr(float(alone.metrics[name])), (name, row)


@pytest.mark.parametrize("threads", [1, 3])
def test_every_row_is_the_backtest_on_finer_candles(threads: int) -> None:
    fine, candles, signals = world()
    windows = [(0, 150), (150, 290), (300, 400)]
    found = bp.sweep(
        candles,
        signals,
        grid(),
        costs=COSTS,
        windows=windows,
        threads=threads,
        intrabar_candles=fine,
    )
    check(found, fine, candles, signals)
    blind = bp.sweep(candles, signals, grid(), costs=COSTS, windows=windows, threads=threads)
    assert not found.frame["total_return"].equals(blind.frame["total_return"])
    seen, hidden = (one.frame["ambiguous_share"].to_numpy() for one in (found, blind))
    assert np.nanmean(seen) < np.nanmean(hidden)
    facts = found.provenance
    assert (facts["engine"], facts["intrabar"]) == ("replay", fine.digest)
    assert "intrabar" not in blind.provenance
    # What is run again runs on the finer candles, too.
    best = found.best("total_return")
    runs = found.trades(best.combination)
    assert runs.height == best.metrics["trades"]
    assert runs["ambiguous"].sum() == round(best.metrics["ambiguous_share"] * runs.height)
    daily = found.daily_returns.to_numpy()[best.combination]
    assert np.prod(1 + daily) == pytest.approx(1 + best.metrics["total_return"])


def test_a_single_combination_splits_its_windows_and_stays_the_same() -> None:
    fine, candles, signals = world()
    one = bp.Grid(bp.Rules(entry_long=0.7, stop_loss=0.002), take_profit=[0.002])
    found = bp.sweep(
        candles, signals, one, costs=COSTS, windows="6h", threads=3, intrabar_candles=fine
    )
    check(found, fine, candles, signals)


def test_the_range_is_that_of_finer_candles() -> None:
    fine, candles, signals = world()
    found = bp.sweep(candles, signals, grid(), costs=COSTS, with_range=True, intrabar_candles=fine)
    settled = 0
    for row in found.frame.iter_rows(named=True):
        rules = found.rules(row["combination"])
        for way in ("pessimistic", "optimistic"):
            alone = bp.backtest(
                candles,
                signals,
                rules.replace(intrabar=way),
                costs=COSTS,
                intrabar_candles=fine,
                ledger=False,
            )
            assert row[f"total_return_{way}"] == alone.metrics["total_return"]
            assert repr(row[f"sharpe_{way}"]) == repr(alone.metrics["sharpe"])
        settled += row["total_return_pessimistic"] == row["total_return_optimistic"]
    blind = bp.sweep(candles, signals, grid(), costs=COSTS, with_range=True)
    apart = blind.frame["total_return_pessimistic"] != blind.frame["total_return_optimistic"]
    assert settled > len(found) - int(apart.sum())


def test_each_symbol_runs_on_its_own_finer_candles() -> None:
    worlds = {name: world(seed) for name, seed in (("A", 3), ("B", 4))}
    fine = {name: one[0] for name, one in worlds.items()}
    candles = {name: one[1] for name, one in worlds.items()}
    signals = {name: one[2] for name, one in worlds.items()}
    many = bp.sweep(candles, signals, grid(), costs=COSTS, intrabar_candles=fine)
    for name in worlds:
        check(many.of(name), fine[name], candles[name], signals[name])
    assert len({many.provenance["intrabar"], *(one.digest for one in fine.values())}) == 3


def test_a_folder_of_other_finer_candles_is_refused(tmp_path: Path) -> None:
    fine, candles, signals = world()

    def go(finer: bp.Candles | None) -> bp.Sweep:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", bp.DataWarning)
            return bp.sweep(
                candles,
                signals,
                grid(),
                costs=COSTS,
                intrabar_candles=finer,
                out=tmp_path / "parts",
            )

    first = go(fine)
    whole = bp.sweep(candles, signals, grid(), costs=COSTS, intrabar_candles=fine)
    assert first.frame.equals(whole.frame)
    assert go(fine).frame.equals(first.frame)
    with pytest.raises(bp.FileError, match="intrabar"):
        go(None)
    with pytest.raises(bp.FileError, match="intrabar"):
        go(fine[:-30])


def test_bars_that_are_not_made_up_are_counted_once_and_said_once() -> None:
    fine, candles, signals = world()
    with pytest.warns(bp.DataWarning) as caught:
        found = bp.sweep(
            candles,
            signals,
            bp.Grid(bp.Rules(entry_long=0.7), stop_loss=[0.001, 0.002]),
            costs=COSTS,
            windows=[(0, 390), (300, 400)],
            intrabar_candles=fine[: 395 * 15],
        )
    assert len(caught) == 1
    assert str(caught[0].message).startswith(
        "`intrabar_candles` do not make up 5 of 400 bars, the first opens "
    )
    assert Path(caught[0].filename) == Path(__file__)
    # Said when it was run: runs again say it in their provenance alone.
    assert found.result(0, 1).provenance["intrabar_missing"] == "5"
    assert found.result(0, 0).provenance["intrabar_missing"] == "0"


def test_rules_are_chosen_and_judged_on_finer_candles() -> None:
    fine, candles, signals = world()
    small = bp.Grid(bp.Rules(entry_long=0.7, take_profit=0.002), stop_loss=[0.001, 0.002, 0.004])
    oos = bp.walk_forward_optimise(
        candles,
        signals,
        small,
        costs=COSTS,
        windows=[(0, 100), (100, 200), (200, 300), (300, 400)],
        earlier=2,
        metric="total_return",
        min_trades=1,
        intrabar_candles=fine,
    )
    assert oos.provenance["intrabar"] == fine.digest
    for row in oos.choices.iter_rows(named=True):
        k = row["fold"]
        past = bp.sweep(
            candles,
            signals,
            small,
            costs=COSTS,
            windows=[(100 * i, 100 * i + 100) for i in (k - 2, k - 1)],
            intrabar_candles=fine,
        )
        assert past.best("total_return", min_trades=1).combination == row["combination"]
        alone = bp.backtest(
            candles,
            signals,
            small[row["combination"]],
            costs=COSTS,
            window=(100 * k, 100 * k + 100),
            intrabar_candles=fine,
        )
        assert alone.metrics["total_return"] == row["judged_total_return"]
    schedule = [(100 * k, small[c]) for k, c in oos.choices.select("fold", "combination").rows()]
    whole = bp.backtest(
        candles, signals, schedule, costs=COSTS, window=(200, 400), intrabar_candles=fine
    )
    assert oos.trades.equals(whole.trades)


@pytest.mark.skipif(not FOLDER, reason="BARPROOF_DATA names no data folder")
@pytest.mark.parametrize("interval", ["5m", "1h"])
def test_real_minutes_settle_a_sweep(interval: str) -> None:
    fine = bp.read_candles(
        Path(FOLDER) / "binanceum_btcusdt_1m_2023.parquet", instrument="perpetual", funding="none"
    )
    candles = bp.resample(fine, interval)
    rng = np.random.default_rng(3)
    signals = bp.Signals(long=rng.random(len(candles)), short=rng.random(len(candles)))
    distances = {"5m": [0.0005, 0.0008, 0.0015], "1h": [0.002, 0.003, 0.005]}[interval]
    real = bp.Grid(
        bp.Rules(entry_long=0.7, entry_short=0.7, fraction=0.1),
        stop_loss=distances,
        take_profit=distances,
    )
    options: dict[str, Any] = {"costs": COSTS, "windows": "1w"}
    blind = bp.sweep(candles, signals, real, **options).pooled
    found = bp.sweep(candles, signals, real, **options, intrabar_candles=fine)
    check(found, fine, candles, signals)
    before, after = (
        np.average(table["ambiguous_share"].to_numpy(), weights=table["trades"].to_numpy())
        for table in (blind, found.pooled)
    )
    assert before > max(0.02, 5 * after)


# ---- ways ----------------------------------------------------------------------------------------


def ways(plan: bp.Plan) -> list[tuple[str, str | None, int, int]]:
    return [(r.path, r.reason, r.combinations, r.groups) for r in plan.paths]


def with_indexed(*told: tuple[str, str | None, int, int]) -> list[tuple[str, str | None, int, int]]:
    """Ways as told; bar by bar in a build that has no other way."""
    if _core.INDEXED:
        return list(told)
    return [("replay", "built without `indexed`", sum(way[2] for way in told), 0)]


def test_a_plan_names_the_way_of_each_group_and_why() -> None:
    fine, candles, signals = world()
    options: dict[str, Any] = {"costs": COSTS, "threads": 1}
    mixed = bp.Grid(
        bp.Rules(entry_short=0.8, take_profit=0.002),
        entry_long=[0.6, 0.7, 0.8],
        stop_loss=[0.001, 0.002],
        reverse=[False, True],
    )
    told = bp.plan(candles, signals, mixed, **options)
    assert ways(told) == with_indexed(("shared", None, 6, 3), ("walk", "reversing", 6, 0))
    assert told.path == ("indexed" if _core.INDEXED else "replay")
    said = (
        "6 share their entries in 3 groups; 6 walk by themselves (reversing)"
        if _core.INDEXED
        else "12 go bar by bar (built without `indexed`)"
    )
    assert str(told).endswith(f"MiB free; {said}")
    assert ways(bp.sweep(candles, signals, mixed, **options).plan) == ways(told)
    exact = bp.plan(candles, signals, mixed, engine="replay", **options)
    assert (exact.path, ways(exact)) == ("replay", [("replay", "asked for", 12, 0)])
    finer = bp.plan(candles, signals, mixed, intrabar_candles=fine, **options)
    why = "finer candles" if _core.INDEXED else "built without `indexed`"
    assert (finer.path, ways(finer)) == ("replay", [("replay", why, 12, 0)])
    assert str(finer).endswith(f"; 12 go bar by bar ({why})")
    overlapping = bp.plan(candles, signals, mixed, windows=[(0, 20), (10, 30)], **options)
    assert sorted(ways(overlapping), key=str) == with_indexed(
        ("walk", "reversing", 6, 0),
        ("walk", "windows overlap or run backwards", 6, 0),
    )


def test_ways_are_counted_over_symbols_sets_and_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, candles, signals = world()
    sets = bp.SignalSets({"a": signals, "b": signals})
    plain = bp.Grid(bp.Rules(entry_long=0.7), stop_loss=[0.001, 0.002, 0.003, 0.004])
    several: Any = {"X": candles, "Y": candles}, {"X": sets, "Y": sets}, plain
    options: dict[str, Any] = {"costs": COSTS, "threads": 1}
    assert ways(bp.plan(*several, **options)) == with_indexed(("shared", None, 16, 4))
    # Parts of two: groups are within a part.
    monkeypatch.setattr("barproof._sweep_job.PIECE_STEPS", 1)
    monkeypatch.setattr("barproof._sweep_job.PIECE_LEAST", 2)
    told = bp.plan(*several, **options, out=tmp_path / "parts")
    assert (told.parts, ways(told)) == (8, with_indexed(("shared", None, 16, 8)))
    found = bp.sweep(*several, **options, out=tmp_path / "parts")
    assert (found.plan.parts, ways(found.plan)) == (8, ways(told))
    assert found.plan.seconds == found.seconds


def test_candles_whose_range_does_not_hold_their_open_go_bar_by_bar() -> None:
    rows = flat(100.0, 40)
    rows[20] = (80.0, 100.0, 100.0, 100.0)
    candles = market(rows)
    signals = bp.Signals.sparse(candles, long=[(1, 0.9)])
    rules = bp.Grid(bp.Rules(entry_long=0.5), stop_loss=[0.1])
    told = bp.plan(candles, signals, rules, costs=bp.Costs.free(), threads=1)
    why = "bars whose range does not hold their open and close"
    assert ways(told) == with_indexed(("replay", why, 1, 0))
    for engine in ("indexed", "replay"):
        found = bp.sweep(candles, signals, rules, costs=bp.Costs.free(), engine=engine)
        assert found.pooled["n_stop"].to_list() == [1]
        assert found.pooled["final_equity"].to_list() == [8_000.0]
