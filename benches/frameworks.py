"""Workload A in frameworks that call Python at each bar: backtesting.py, akquant and pybroker.

``python -m benches.frameworks`` holds every trade of theirs against ours, times them in turn and prints what it
found; ``--record`` writes it to benches/record/, ``--quick`` takes a fifth of the bars. The market and the grid are
those of `workload_a`, its first 100,000 minutes, longs alone and without the holding time, which all of them can
express. They run four combinations that stand for the 256; speeds are of those four and are not scaled by anything
else.

A trade is alike if it enters and leaves at the same bars and prices (1e-6, akquant's price step). What is not alike
is a peer's own semantics: a stop that is not looked at on the bar of the entry (akquant, pybroker), a target that the
open has passed already and that fills there instead of at its level.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import fields, replace
from typing import Any

import numpy as np
import polars as pl
from benches import problem as workload
from benches import timing
from benches.peers import framework_peers as peers
from benches.problem import Floats, Problem
from benches.timing import Contender

import barproof as bp

BARS = 100_000
ALIKE = 0.9
"""Share of trades below which a peer does another job."""
CLOSE = 1e-6
NAMES = ("backtesting.py", "akquant", "pybroker")
PACKAGES = ("numpy", "polars", "pandas", "backtesting", "akquant", "lib-pybroker")
PEERS: dict[str, Any] = {
    "backtesting.py": peers.Backtesting,
    "akquant": peers.Akquant,
    "pybroker": peers.Pybroker,
}


def first(problem: Problem, bars: int) -> Problem:
    """The market's first bars."""
    cut = {f.name: np.ascontiguousarray(getattr(problem, f.name)[:bars]) for f in fields(problem)}
    return replace(problem, **cut)


def rules() -> bp.Rules:
    return bp.Rules()


def grid_of(rows: Floats) -> bp.Grid:
    """Long sides of the rows, in their order."""
    names = ("entry_long", "exit_long", "stop_loss", "take_profit")
    return bp.Grid.table(rules(), dict(zip(names, rows.T.tolist(), strict=True)))


def signals_of(problem: Problem) -> bp.Signals:
    return bp.Signals(long=problem.p_long, exit_long=problem.p_exit)


def ours(candles: bp.Candles, signals: bp.Signals, row: list[float]) -> pl.DataFrame:
    """Trades of one combination."""
    entry, leave, stop, target = row
    asked = rules().replace(entry_long=entry, exit_long=leave, stop_loss=stop, take_profit=target)
    found = bp.backtest(candles, signals, asked, costs=workload.costs(), ledger=False)
    return found.trades.select("entry_bar", "exit_bar", "entry_price", "exit_price").cast(
        pl.Float64
    )


def compare(mine: pl.DataFrame, theirs: peers.Trades) -> tuple[int, int]:
    """Trades that are alike in bars and prices, and how many there are in either."""
    both = mine.join(pl.DataFrame(theirs), on="entry_bar", how="inner", suffix="_theirs")
    same = pl.col("exit_bar") == pl.col("exit_bar_theirs")
    for name in ("entry_price", "exit_price"):
        same &= (pl.col(name) / pl.col(f"{name}_theirs") - 1.0).abs() <= CLOSE
    alike = both.filter(same).height
    return alike, mine.height + len(theirs["entry_bar"]) - both.height


def reconciled(
    name: str, rows: Floats, theirs: list[peers.Trades], mine: list[pl.DataFrame]
) -> str:
    """How many trades are alike; stops the bench where too few are."""
    counted = [compare(a, b) for a, b in zip(mine, theirs, strict=True)]
    alike, either = (sum(column) for column in zip(*counted, strict=True))
    note = f"{alike:,} of {either:,} trades alike in bars and prices"
    print(f"{name}: {note}, over {len(rows)} combinations", flush=True)
    if alike < ALIKE * either:
        raise SystemExit(f"{name}: only {note}: it does another job, nothing is timed")
    return note


def measure(problem: Problem, runs: int, threads: int) -> list[dict[str, object]]:
    """Hold trades against trades, then take turns."""
    candles, signals = problem.candles(), signals_of(problem)
    whole, few = workload.product("dense"), workload.product("dense")[workload.FEW]
    mine = [ours(candles, signals, row) for row in few.tolist()]
    salt = 0

    def cold() -> tuple[bp.Candles, bp.Signals]:
        nonlocal salt
        salt += 1
        long = problem.p_long.copy()
        long[-1] = 1e-9 * salt  # nobody can act on the last bar
        fresh = problem.candles(salt), bp.Signals(long=long, exit_long=problem.p_exit)
        _ = fresh[0].digest, fresh[1].digest
        return fresh

    def sweep(rows: Floats) -> Any:
        grid, costs = grid_of(rows), workload.costs()
        return lambda candles, signals: bp.sweep(
            candles, signals, grid, costs=costs, threads=threads, ledger=False, progress=False
        )

    contenders = [
        Contender("barproof, cold", sweep(whole), cold, len(whole), threads),
        Contender("barproof, cold, the same 4", sweep(few), cold, len(few), threads),
    ]
    stop = []
    for name, make in PEERS.items():
        try:
            peer = make(problem)
        except ImportError as missing:
            print(f"left out: {name} ({missing})")
            continue
        note = reconciled(name, few, peer.run(few), mine)
        if hasattr(peer, "close"):
            stop.append(peer)
        note += f"; measured on {len(few)} combinations"
        call = Contender(name, lambda p=peer: p.run(few), combinations=len(few), note=note, runs=3)
        contenders.append(call)
    for contender in contenders[:2]:
        contender.run(*contender.fresh())
    taken = timing.interleave(contenders, runs)
    for peer in stop:
        peer.close()
    made = sum(frame.height for frame in mine)
    base = taken[0].median / taken[0].contender.combinations
    rows = []
    for one in taken:
        c = one.contender
        rate = len(problem) * c.combinations / one.median / 1e6
        rows.append(
            {
                "case": "frameworks dense",
                "contender": c.name,
                "bars": len(problem),
                "combinations": c.combinations,
                "threads": c.threads,
                "runs": len(one.seconds),
                "median_s": f"{one.median:.6f}",
                "min_s": f"{min(one.seconds):.6f}",
                "max_s": f"{max(one.seconds):.6f}",
                "trades": made,
                "m_candle_combinations_per_s": f"{rate:.4g}",
                "times_barproof": f"{one.median / c.combinations / base:.4g}",
                "note": c.note,
            }
        )
        print(
            f"{c.name:28} {c.combinations:4} combinations {one.median:9.4f} s {rate:12,.3f} M/s",
            flush=True,
        )
    return rows


def where() -> dict[str, str]:
    """Versions too of what is installed apart."""
    told = timing.setting(bp.__version__, PACKAGES)
    if told["lib_pybroker"] == "absent":
        told["lib_pybroker"] = peers.version_apart("lib-pybroker")
    return told


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a fifth of the bars, two runs")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    asked = parser.parse_args()
    told = where()
    print(", ".join(f"{name} {value}" for name, value in told.items()))
    bars = BARS // 5 if asked.quick else BARS
    rows = measure(first(workload.make(), bars), 2 if asked.quick else asked.runs, asked.threads)
    if asked.record:
        print(f"recorded in {timing.write(rows, told, 'frameworks')}")


if __name__ == "__main__":
    main()
