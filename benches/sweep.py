"""Sweep through the Python call, against a plain loop over the same contract; answers are compared first.

``python benches/sweep.py`` prints the table; ``--record`` adds it to benches/record/. The peer is the reference twin in
tests/reference, a readable loop over numpy arrays: what a careful person writes first. It runs on a slice, because it
would take hours on the whole. Faster peers join with the fast engine.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

import barproof as bp

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.reference.execution import run as twin  # noqa: E402
from tests.reference.records import Market  # noqa: E402

BARS = 200_000
SLICE = 20_000
RUNS = 5
COSTS = {"taker": 0.0005, "maker": 0.0002, "slippage": 0.0001}


def grid() -> bp.Grid:
    """Four thresholds, stops, targets and leverages: 256 combinations."""
    levels = [1.0, 1.5, 2.0, 2.5]
    return bp.Grid(
        bp.Rules(max_hold=240),
        {"entry_long": levels, "entry_short": levels},
        stop_loss=[0.005, 0.01, 0.02, 0.03],
        take_profit=[0.005, 0.01, 0.02, 0.04],
        leverage=[1.0, 2.0, 3.0, 5.0],
    )


def compare(candles: bp.Candles, signals: bp.Signals, rules: bp.Rules) -> float:
    """Hold one combination on the slice against the loop; seconds the loop took."""
    market = Market(
        open_time=candles.open_time[:SLICE],
        open=candles.open[:SLICE],
        high=candles.high[:SLICE],
        low=candles.low[:SLICE],
        close=candles.close[:SLICE],
        interval_ms=candles.interval_ms,
        kind="perpetual",
        funding_time=candles._bars.funding_time,
        funding_rate=candles._bars.funding_rate,
    )
    arrays = {"kind": "score", "long": signals["long"][:SLICE], "short": signals["short"][:SLICE]}
    fields = {name: value for name, value in rules.to_dict().items() if value is not None}
    began = time.perf_counter()
    want = twin(market, arrays, fields, COSTS)
    seconds = time.perf_counter() - began
    got = bp.backtest(candles, signals, rules, costs=bp.Costs(**COSTS), window=(0, SLICE))
    assert got.trades.height == len(want.trades) > 0
    assert np.allclose(got.equity["equity"].to_numpy(), want.equity, rtol=1e-9)
    return seconds


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="add the figures to benches/record/")
    record = parser.parse_args().record
    candles = bp.simulate_candles(7, bars=BARS, edge=0.1)
    planted = candles.planted
    assert planted is not None
    signals = bp.Signals(long=planted, short=-planted, kind="score")
    combinations = grid()
    loop = (
        statistics.median(compare(candles, signals, combinations[i]) for i in (0, 100, 255)) / SLICE
    )
    rows = [("loop over numpy arrays (reference twin)", 1, 1e9 * loop, 1.0)]
    for threads in sorted({1, len(os.sched_getaffinity(0))}):
        taken = []
        for _ in range(RUNS):
            began = time.perf_counter()
            bp.sweep(
                candles,
                signals,
                combinations,
                costs=bp.Costs(**COSTS),
                windows="1mo",
                threads=threads,
            )
            taken.append(time.perf_counter() - began)
        step = statistics.median(taken) / (BARS * len(combinations))
        rows.append(("sweep, replay engine", threads, 1e9 * step, loop / step))
    for name, threads, ns, ratio in rows:
        print(f"{name:42} {threads} threads {ns:10.1f} ns per bar and combination {ratio:8.1f}x")
    if record:
        now = datetime.now(tz=UTC)
        path = ROOT / "benches" / "record" / f"{now:%Y-%m-%d}_sweep.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["engine", "threads", "ns_per_bar_and_combination", "times_the_loop", "bars",
                             "combinations", "machine", "python", "numpy", "polars", "barproof"])  # fmt: skip
            for name, threads, ns, ratio in rows:
                machine = f"{platform.machine()} {os.cpu_count()} cores"
                versions = [
                    platform.python_version(),
                    np.__version__,
                    pl.__version__,
                    bp.__version__,
                ]
                writer.writerow(
                    [
                        name,
                        threads,
                        round(ns, 2),
                        round(ratio, 1),
                        BARS,
                        len(combinations),
                        machine,
                        *versions,
                    ]
                )
        print(f"recorded in {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
