"""Ten thousand combinations over years of real minutes in one call: seconds, and the peak of the process.

``BARPROOF_DATA=... python -m benches.real_data [--record]`` reads ``binance_btcusdt_1m.parquet`` from that folder. The
signals are made as a model would make them, without one: the chance of a rise within an hour, from the momentum of the
last hour in units of its own volatility, bent so that it is right about as often as it says. They have no edge.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import numpy as np
from benches import timing
from benches.timing import Contender, Taken

import barproof as bp

FILE = "binance_btcusdt_1m.parquet"
WINDOW = 60


def signals_of(close: np.ndarray, seed: int = 7) -> bp.Signals:
    """Chances with the autocorrelation and the spread that a model on momentum gives."""
    change = np.diff(np.log(close), prepend=np.log(close[0]))
    total, square = np.cumsum(change), np.cumsum(change**2)
    momentum, spread = np.zeros_like(close), np.ones_like(close)
    momentum[WINDOW:] = total[WINDOW:] - total[:-WINDOW]
    spread[WINDOW:] = np.sqrt(np.maximum(square[WINDOW:] - square[:-WINDOW], 1e-12))
    noise = np.random.default_rng(seed).standard_normal(len(close))
    up = 1 / (1 + np.exp(-(0.8 * momentum / spread + 0.2 * noise)))
    up[:WINDOW] = np.nan
    return bp.Signals(long=up, short=1 - up, exit_long=1 - up, exit_short=up)


def grid() -> bp.Grid:
    """Ten entry thresholds, exits, stops and targets: 10,000 combinations."""
    entries = np.linspace(0.80, 0.93, 10).tolist()
    exits = np.linspace(0.55, 0.80, 10).tolist()
    return bp.Grid(
        bp.Rules(max_hold=240),
        {"entry_long": entries, "entry_short": entries},
        {"exit_long": exits, "exit_short": exits},
        stop_loss=np.geomspace(0.003, 0.03, 10).tolist(),
        take_profit=np.geomspace(0.004, 0.06, 10).tolist(),
    )


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    folder = os.environ.get("BARPROOF_DATA", "")
    path = Path(folder) / FILE
    if not folder or not path.exists():
        print(f"left out: BARPROOF_DATA names no folder with {FILE}")
        sys.exit(0)
    began = time.perf_counter()
    candles = bp.read_candles(path, instrument="spot", symbol="BTCUSDT")
    signals = signals_of(candles.close)
    built = time.perf_counter() - began
    combinations, before = grid(), timing.peak_mib(restart=True)
    seconds = []
    for _ in range(asked.runs):
        began = time.perf_counter()
        found = bp.sweep(
            candles,
            signals,
            combinations,
            costs=bp.Costs(taker=0.0005),
            ledger=False,
            progress=False,
        )
        seconds.append(time.perf_counter() - began)
    trades = int(found.pooled["trades"].sum())
    threads = len(os.sched_getaffinity(0))
    one = Taken(Contender("barproof", tuple, combinations=len(combinations)), seconds)
    years = len(candles) / 525_960
    note = (
        f"{years:.1f} years of BTCUSDT minutes; to read the file and make signals took {built:.1f} s and a peak of "
        f"{before:.0f} MiB"
    )
    row = {
        "case": "real data",
        "contender": "barproof",
        "bars": len(candles),
        "combinations": len(combinations),
        "threads": threads,
        "runs": len(seconds),
        "median_s": f"{one.median:.6f}",
        "min_s": f"{min(seconds):.6f}",
        "max_s": f"{max(seconds):.6f}",
        "trades": trades,
        "m_candle_combinations_per_s": f"{len(candles) * len(combinations) / one.median / 1e6:.1f}",
        "times_barproof": "1",
        "peak_mib": f"{timing.peak_mib():.1f}",
        "note": note,
    }
    print(", ".join(f"{name} {value}" for name, value in row.items()))
    if asked.record:
        print(f"recorded in {timing.write([row], timing.setting(bp.__version__), 'real_data')}")


if __name__ == "__main__":
    main()
