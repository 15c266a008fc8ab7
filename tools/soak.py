"""Run live bars and sweeps over and over in one process: memory, open handles and bits stay as they are.

``python tools/soak.py [--minutes 10] [--json FILE]``. A round steps a live session with a state folder through 300
bars, closes it and opens it again, sweeps, trains, computes features and writes a report. Memory (resident), handles
and threads are taken after each round; the digests of a round must be those of the first. Exit code 1 where the memory
of the last rounds is beyond that of the first by more than the bound, a handle more is open, or a bit differs.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import barproof as bp

WARM = 3
"""Rounds before anything is compared: pools and caches fill."""
MOST_GROWTH = 0.05
"""Share by which the memory of the last third may exceed that of the first after the warm ones, noise of allocators."""
COSTS = bp.Costs(taker=0.0005)
NAMES = ["log_return(1)", "rsi(14)", "ema(20)", "atr(14)"]
RULES = bp.Rules(entry_long=0.5, entry_short=0.5, stop_loss=0.01, max_hold=20)


def resident() -> int:
    """Bytes of the process in memory."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    """Open files of the process."""
    return len(os.listdir("/proc/self/fd"))


class Work:
    """What a round does, on one market."""

    def __init__(self) -> None:
        self.candles = bp.simulate_candles(7, bars=2_000, edge=0.1)
        labels = bp.labels.horizon(self.candles, bars=3, kind="binary")
        self.X = bp.FeatureSet(NAMES).compute(self.candles)
        self.labels, self.walk = labels, bp.WalkForward(600, 200, tune=200)
        self.bundle = self.trained().bundles[0]

    def trained(self) -> Any:
        """Train a model a fold."""
        return bp.train(
            bp.models.Logistic(), self.X, self.labels, self.walk, ledger=False, progress=False
        )

    def round(self, folder: Path) -> str:
        """Do all of it once; the digest of what came out."""
        digest = hashlib.sha256()
        digest.update(self.bundle.predict(self.X).tobytes())
        digest.update(self.trained().bundles[0].predict(self.X).tobytes())
        state = folder / "state"
        for first in (1_000, 1_150):
            live = bp.LiveSession(
                self.bundle, RULES, costs=COSTS, state=state, candles=self.candles[:1_000],
                symbol="SIM", interval="5m", instrument=self.candles.instrument,
            )  # fmt: skip
            for bar in self.candles[first : first + 150]:
                said = live.on_bar(bar)
                told = (said.open_time, said.p_long, said.side, said.equity)
                digest.update(repr(told).encode())
            live.close()
        signals = bp.Signals(
            long=self.candles.planted,
            short=-self.candles.planted,
            kind="score",  # type: ignore[operator]
        )
        grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[0.5, 1.0, 1.5], stop_loss=[0.01, None])
        given: Any = {"costs": COSTS, "windows": "1d", "ledger": False, "progress": False}
        digest.update(bp.sweep(self.candles, signals, grid, **given).frame.write_csv().encode())
        swept = bp.sweep(self.candles, signals, grid, out=folder / "sweep", **given)
        digest.update(swept.pooled.write_csv().encode())
        result = bp.backtest(
            self.candles, signals, bp.Rules(entry_long=1.0), costs=COSTS, ledger=False
        )
        result.to_html(folder / "report.html")
        digest.update(result.trades.write_csv().encode())
        return digest.hexdigest()


def main() -> int:
    """Soak for the time that was asked for; say what was seen."""
    parser = argparse.ArgumentParser(description="soak")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    work, seen, digests = Work(), [], set()
    until = time.monotonic() + 60 * asked.minutes
    while time.monotonic() < until or len(seen) < WARM + 6:
        with tempfile.TemporaryDirectory() as folder:
            digests.add(work.round(Path(folder)))
        gc.collect()
        seen.append((resident(), handles(), threading.active_count()))
    steady = seen[WARM:]
    third = max(1, len(steady) // 3)
    first = statistics.median(memory for memory, *_ in steady[:third])
    last = statistics.median(memory for memory, *_ in steady[-third:])
    growth = last / first - 1
    opened = steady[-1][1] - steady[0][1]
    started = steady[-1][2] - steady[0][2]
    told = {
        "rounds": len(seen), "bars": 300 * len(seen), "resident_mib": round(last / 2**20, 1),
        "growth": round(growth, 4), "handles": opened,
        "threads": started, "digests": len(digests), "minutes": asked.minutes,
    }  # fmt: skip
    print(json.dumps(told))
    if asked.json is not None:
        asked.json.write_text(json.dumps(told) + "\n", encoding="utf-8")
    sound = growth <= MOST_GROWTH and opened <= 0 and started <= 0 and len(digests) == 1
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
