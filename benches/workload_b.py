"""Workload B: features over five million minutes through the ordinary Python call, against other libraries.

``python -m benches.workload_b`` checks that barproof and its peers give the same columns, times them in turn and prints
what it found; ``--record`` writes it to benches/record/. ``--quick`` is a tenth of the bars and two runs, to see that
everything works.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from benches import feature_problem as workload
from benches import timing
from benches.feature_problem import COLUMNS, FADED, FEATURES, Market
from benches.peers import feature_peers as peers
from benches.peers import feature_streams
from benches.timing import Contender, Taken

import barproof as bp

AGREE = 1e-9
"""Of the answers, relative to what the feature ranges over; see `loose`."""
CASES = tuple("features sets matrix memory gating stream".split())
KEPT = ("features", "sets")
"""Cases that are timed once more in memory that stays with the process."""
NAME = "workload_b"
STREAMED = 20_000
SLOW = ("kand", "pandas")
"""Of which clearing pages is a small part; polars has an allocator of its own."""
OTHERWISE = {("tulipy", "macd"): "fixed constants for 12 and 26"}
"""As much work for another answer: timed all the same, in whole sets alone."""


def keep_memory() -> None:
    """Have the C library keep what is given back, so that peers need not ask the system for pages.

    Ours keeps it by itself; theirs is NumPy's, which comes from and goes to the system with every large array. All
    threads take from one arena, as the others shrink.
    """
    library = ctypes.CDLL(None)
    trim_threshold, mmap_max, arena_max = -1, -4, -8
    for option, value in ((mmap_max, 0), (trim_threshold, -1), (arena_max, 1)):
        if library.mallopt(option, value) != 1:
            raise SystemExit(f"the C library does not take option {option}: nothing is timed")
    first = np.ones(4 * 2**20)
    place = first.ctypes.data
    del first
    if np.empty(4 * 2**20).ctypes.data != place:
        raise SystemExit("the C library gives memory back all the same: nothing is timed")


def optional(name: str, make: Callable[[], Any]) -> Any:
    """What a peer makes, or None where its library is not installed."""
    try:
        return make()
    except ImportError as missing:
        print(f"left out: {name} ({missing})")
        return None


def loose(name: str, peer: str) -> float:
    """How far answers may lie apart: running sums of squares lose digits, which is what ours do not."""
    squares = name in ("std60", "bb20", "volz60")
    return 1e-5 if squares and peer != "barproof" else 1e-7 if squares else AGREE


@dataclass
class Bench:
    """What all cases share, and the rows they leave."""

    market: Market
    runs: int
    threads: int
    # Memory stays with the process, for all; see `keep_memory`.
    kept: bool = False
    rows: list[dict[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        m = self.market
        self.candles = m.candles
        self.sets = {name: bp.FeatureSet(texts) for name, texts in FEATURES.items()}
        self.whole = bp.FeatureSet(COLUMNS)
        self.peers: dict[str, peers.Calls] = {}
        self.queries: dict[str, peers.Call] = {}
        for name, make in (
            ("TA-Lib", peers.talib_calls),
            ("tulipy", peers.tulipy_calls),
            ("kand", peers.kand_calls),
            ("pandas", peers.pandas_calls),
        ):
            if self.kept and name in SLOW:
                continue
            if (calls := optional(name, lambda make=make: make(m))) is not None:
                self.peers[name] = calls
        loops = optional("numba", lambda: importlib.import_module("benches.peers.feature_loops"))
        if loops is not None:
            self.peers["numba, one loop a feature"] = loops.numba_calls(m)
        for name, expressions in (
            ("polars expressions", peers.polars_expressions),
            ("polars-talib", peers.polars_talib_expressions),
        ):
            if self.kept:
                continue
            made = optional(name, lambda e=expressions: peers.of_expressions(m, e()))
            if made is not None:
                self.peers[name], self.queries[name] = made
        for name in list(self.peers):
            self.agree(name)

    # ---- answers -----------------------------------------------------------------------------

    def ours(self, name: str) -> list[Any]:
        """Our columns, in the terms that peers use."""
        frame = self.sets[name].compute(self.candles, threads=1)
        columns = [frame[text].to_numpy() for text in self.sets[name].names]
        if name == "vwap60":
            return [self.market.close / (1.0 + columns[0])]
        return columns

    def agree(self, peer: str) -> None:
        """Leave out what a peer computes otherwise, loudly; stop where it is TA-Lib."""
        for name in list(self.peers[peer]):
            theirs = peers.arrays(self.peers[peer][name]())
            ours = self.ours(name)
            worst = 0.0 if len(theirs) == len(ours) else math.inf
            for a, b in zip(theirs, ours, strict=False):
                a, b = a[FADED - len(b) :], b[FADED:]
                floor = np.nanmedian(np.abs(b))
                worst = max(worst, float(np.max(np.abs(a - b) / np.fmax(np.abs(b), floor))))
            if not worst <= loose(name, peer) and (peer, name) in OTHERWISE:
                print(f"{peer}: {name} differs by {worst:.1e} ({OTHERWISE[peer, name]})")
            elif not worst <= loose(name, peer):
                message = f"{peer}: {name} differs by {worst:.1e}"
                if peer == "TA-Lib":
                    raise SystemExit(f"{message}: nothing is timed")
                print(f"left out: {message}")
                del self.peers[peer][name]
                self.queries.pop(peer, None)

    # ---- records -----------------------------------------------------------------------------

    def measure(
        self,
        case: str,
        contenders: list[Contender],
        *,
        bars: int | None = None,
        runs: int | None = None,
    ) -> None:
        """Time a case; the first contender is the one that ratios refer to."""
        for contender in contenders:
            contender.run(*contender.fresh())
        taken = timing.interleave(contenders, runs or self.runs)
        for one in taken:
            self.note(case, one, taken[0].median, bars=bars)

    def note(
        self, case: str, one: Taken, base: float, *, bars: int | None = None, peak: str = ""
    ) -> None:
        c, bars = one.contender, bars or len(self.market)
        self.rows.append(
            {
                "case": f"kept {case}" if self.kept else case,
                "contender": c.name,
                "bars": bars,
                "threads": c.threads,
                "runs": len(one.seconds),
                "median_s": f"{one.median:.6f}",
                "min_s": f"{min(one.seconds):.6f}",
                "max_s": f"{max(one.seconds):.6f}",
                "processor_s": f"{statistics.median(one.processor or one.seconds):.6f}",
                "ns_a_bar": f"{1e9 * one.median / bars:.3f}",
                "times_barproof": f"{one.median / base:.4g}",
                "peak_mib": peak,
                "note": c.note,
            }
        )
        print(
            f"{case:20} {c.name:32} {c.threads} threads {1e9 * one.median / bars:10.2f} ns a bar "
            f"({1e9 * min(one.seconds) / bars:.2f}..{1e9 * max(one.seconds) / bars:.2f}) "
            f"{one.median / base:7.2f}x {peak} {c.note}",
            flush=True,
        )

    # ---- cases -------------------------------------------------------------------------------

    def features(self) -> None:
        """Each feature on one thread, against TA-Lib."""
        theirs = self.peers.get("TA-Lib", {})
        for name, features in self.sets.items():
            contenders = [
                Contender("barproof", lambda f=features: f.compute(self.candles, threads=1))
            ]
            if name in theirs:
                contenders.append(Contender("TA-Lib", theirs[name]))
            self.measure(f"feature {name}", contenders, runs=2 * self.runs + 1)

    def sets_case(self) -> None:
        """All columns at once."""
        contenders = [
            Contender("barproof", lambda: self.whole.compute(self.candles, threads=1)),
            Contender(
                "barproof, threads",
                lambda: self.whole.compute(self.candles, threads=self.threads),
                threads=self.threads,
            ),
        ]
        pools = []
        for name, calls in self.peers.items():
            if len(calls) < len(FEATURES):
                print(f"left out of whole sets: {name}, which lacks some of it")
                continue
            slow = 5 if name.startswith(("pandas", "polars", "kand")) else None
            if (query := self.queries.get(name)) is not None:
                pool = int(os.environ.get("POLARS_MAX_THREADS", os.cpu_count() or 1))
                contenders.append(Contender(name, query, threads=pool, runs=slow))
                continue
            contenders.append(
                Contender(name, lambda c=calls: [call() for call in c.values()], runs=slow)
            )
            if name in ("TA-Lib", "numba, one loop a feature"):
                run, pool_ = peers.pooled(calls, self.threads)
                pools.append(pool_)
                contenders.append(Contender(f"{name}, threads", run, threads=self.threads))
        self.measure("set", contenders)
        for pool_ in pools:
            pool_.shutdown()

    def matrix(self) -> None:
        """All columns as rows for a model."""
        contenders = [
            Contender(
                f"barproof, {dtype}",
                lambda d=dtype, n=threads: self.whole.matrix(self.candles, dtype=d, threads=n),
                threads=threads,
            )
            for dtype in ("f32", "f64")
            for threads in dict.fromkeys((1, self.threads))
        ]
        for contender in contenders:
            contender.name += f", {contender.threads} threads"
        self.measure("matrix", contenders)

    def gating(self) -> None:
        """The largest preset over a million bars, against the set above on the same bars."""
        preset = getattr(bp.FeatureSet, "preset", None)
        if preset is None:
            print("left out: gating_171 (this version has no presets)")
            return
        features = preset("gating_171")
        candles = self.candles[: min(1_000_000, len(self.market))]
        self.measure(
            "gating_171",
            [
                Contender("barproof, 16 columns", lambda: self.whole.compute(candles, threads=1)),
                Contender("barproof, gating_171", lambda: features.compute(candles, threads=1)),
            ],
            bars=len(candles),
        )

    def memory(self) -> None:
        """Peak of a process that holds the candles and computes, by its own account, less what it held before."""
        for job in ("compute", "matrix"):
            command = [sys.executable, "-m", "benches.workload_b", "--child", job]
            command += ["--bars", str(len(self.market)), "--threads", str(self.threads)]
            done = subprocess.run(command, cwd=timing.ROOT, capture_output=True, text=True)
            if done.returncode:
                print(f"left out: memory of {job}: {done.stderr.strip().splitlines()[-1:]}")
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            note = f"{found['output_mib']:.1f} MiB of output"
            one = Taken(
                Contender(f"barproof, {job}", tuple, threads=self.threads, note=note),
                [found["seconds"]],
            )
            self.note("memory", one, one.median, peak=f"{found['more_mib']:.1f}")

    def stream(self) -> None:
        """A row of all columns a bar, one bar at a time."""
        m = self.market
        n = min(STREAMED, len(m) - 300)
        warm, bars = self.candles[:300], list(self.candles[300 : 300 + n])

        def ours() -> None:
            stream = self.whole.stream("1m")
            stream.update_many(warm)
            row = np.empty(len(self.whole))
            update = stream.update
            for bar in bars:
                update(bar, out=row)

        contenders = [Contender("barproof", ours, note="bars from candles, one array for all rows")]
        rows = [x[: 300 + n].tolist() for x in (m.open, m.high, m.low, m.close, m.volume)]
        for name in ("talib", "kand", "talipp"):
            run = optional(f"{name} streams", lambda n=name: feature_streams.stream(n, m, rows))
            if run is not None:
                runs = 3 if name == "talipp" else None
                contenders.append(Contender(f"{name} streams", run, runs=runs))
        self.measure("stream", contenders, bars=n)


def child(job: str, bars: int, threads: int) -> None:
    """One measurement in a process of its own; prints JSON."""
    candles = workload.make(bars).candles
    features = bp.FeatureSet(COLUMNS)
    features.compute(candles[:1000], threads=threads)
    features.matrix(candles[:1000], threads=threads)
    before = timing.resident_mib()
    timing.peak_mib(restart=True)
    began = time.perf_counter()
    if job == "compute":
        kept: Any = features.compute(candles, threads=threads)
        output = 8 * bars * len(features)
    else:
        kept = features.matrix(candles, threads=threads)
        output = kept.nbytes
    seconds = time.perf_counter() - began
    more = timing.peak_mib() - before
    print(json.dumps({"seconds": seconds, "more_mib": more, "output_mib": output / 2**20}))
    del kept


def kept_rows(asked: argparse.Namespace, bars: int) -> list[dict[str, object]]:
    """Features and sets in a process whose C library keeps memory."""
    cases = [case for case in asked.cases if case in KEPT]
    if not cases:
        return []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        command = [
            sys.executable,
            "-m",
            "benches.workload_b",
            "--kept",
            str(path),
            "--bars",
            str(bars),
        ]
        command += ["--runs", str(2 if asked.quick else asked.runs), "--cases", *cases]
        done = subprocess.run([*command, "--threads", str(asked.threads)], cwd=timing.ROOT)
        if done.returncode:
            print("left out: memory that stays with the process")
            return []
        found: list[dict[str, object]] = json.loads(path.read_text(encoding="utf-8"))
        return found


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a tenth of the bars, two runs")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--bars", type=int, default=workload.BARS)
    parser.add_argument("--threads", type=int, default=min(2, len(os.sched_getaffinity(0))))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--kept", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.bars, asked.threads)
        return
    if asked.kept:
        keep_memory()
    where = timing.setting(bp.__version__, timing.FEATURE_PACKAGES)
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    bars = asked.bars // 10 if asked.quick else asked.bars
    bench = Bench(
        workload.make(bars), 2 if asked.quick else asked.runs, asked.threads, bool(asked.kept)
    )
    cases = {name: getattr(bench, name, None) for name in CASES}
    cases["sets"] = bench.sets_case
    for name in asked.cases:
        case = cases[name]
        assert callable(case)
        case()
    if asked.kept:
        Path(asked.kept).write_text(json.dumps(bench.rows), encoding="utf-8")
        return
    bench.rows += kept_rows(asked, bars)
    if asked.record:
        fields = timing.FEATURE_FIELDS
        print(f"recorded in {timing.write(bench.rows, where, NAME, fields)}")


if __name__ == "__main__":
    main()
