"""Workload D: CSCV, SPA and StepM over a thousand trials, a paired bootstrap: against numpy, arch, ml4t-diagnostic.

Also every overfitting statistic of a sweep of ten thousand combinations, with the peak memory of the process.

``python -m benches.workload_d`` compares answers first, then takes times in turn; ``--record`` writes them to
benches/record/. ``--quick`` takes a tenth of the trials and resamples. What a peer does once per resample is timed on
fewer resamples where the whole would take minutes; the note says so, and the figure is scaled.
"""

from __future__ import annotations

import argparse
import importlib
import math
import resource
from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
from benches import timing
from benches.timing import Contender
from numpy.typing import NDArray

import barproof as bp
from barproof import stats

Floats = NDArray[np.float64]
CASES = ("cscv", "superior", "paired", "sweep")


def panel(days: int, trials: int) -> Floats:
    """Correlated noise of a percent a day, a tenth of the trials with a little edge."""
    rng = np.random.default_rng(20261121)
    common = rng.normal(0.0, 0.006, (days, 1))
    out = common + rng.normal(0.0, 0.008, (days, trials))
    out[:, :: max(1, trials // 10)] += 0.0008
    return out


def numpy_plain(returns: Floats, blocks: int, most: int | None = None) -> Floats:
    """CSCV as one would write it down: rows of each half, mean over deviation; sorted log odds."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    logits = []
    for number, half in enumerate(combinations(range(blocks), blocks // 2)):
        if number == most:
            break
        inside = np.concatenate([parts[b] for b in half])
        outside = np.concatenate([parts[b] for b in range(blocks) if b not in half])
        here, there = returns[inside], returns[outside]
        chosen = here.mean(axis=0) / here.std(axis=0, ddof=1)
        judged = there.mean(axis=0) / there.std(axis=0, ddof=1)
        value = judged[np.argmax(chosen)]
        rank = (np.sum(judged < value) + (np.sum(judged == value) + 1) / 2) / (len(judged) + 1)
        logits.append(math.log(rank / (1 - rank)))
    return np.array(logits)


def numpy_sums(returns: Floats, blocks: int) -> Floats:
    """CSCV by sums over blocks, all halves at once by matrix products: an expert's numpy."""
    chosen, judged = ratios(returns, blocks)
    value = judged[np.arange(len(chosen)), chosen.argmax(axis=1)]
    below = (judged < value[:, None]).sum(axis=1)
    equal = (judged == value[:, None]).sum(axis=1)
    rank = (below + (equal + 1) / 2) / (returns.shape[1] + 1)
    out: Floats = np.log(rank / (1 - rank))
    return out


def numpy_parts(returns: Floats, blocks: int, part: int = 32) -> Floats:
    """The same by barproof's plan: pairs of halves, squared ratios, as many at a time as stay in the cache."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    first = np.array([returns[p].sum(axis=0) for p in parts])
    second = np.array([(returns[p] ** 2).sum(axis=0) for p in parts])
    sizes = np.array([len(p) for p in parts], dtype=float)
    ways = list(combinations(range(blocks), blocks // 2))[: math.comb(blocks, blocks // 2) // 2]
    halves = np.zeros((len(ways), blocks))
    for row, half in enumerate(ways):
        halves[row, list(half)] = 1.0
    all_first, all_second = first.sum(axis=0), second.sum(axis=0)
    out = []
    for at in range(0, len(ways), part):
        some = halves[at : at + part]
        n = (some @ sizes)[:, None]
        s1, s2 = some @ first, some @ second
        t1, t2 = all_first - s1, all_second - s2
        here = s1 * np.abs(s1) / (s2 - s1 * s1 / n)
        there = t1 * np.abs(t1) / (t2 - t1 * t1 / (len(returns) - n))
        for chosen, judged in ((here, there), (there, here)):
            value = judged[np.arange(len(some)), chosen.argmax(axis=1)][:, None]
            below = np.count_nonzero(judged < value, axis=1)
            equal = np.count_nonzero(judged == value, axis=1)
            rank = (below + (equal + 1) / 2) / (returns.shape[1] + 1)
            out.append(np.log(rank / (1 - rank)))
    return np.concatenate(out)


def ratios(returns: Floats, blocks: int) -> tuple[Floats, Floats]:
    """Sharpe ratio of every trial in each half and in the rest of it."""
    parts = np.array_split(np.arange(len(returns)), blocks)
    first = np.array([returns[p].sum(axis=0) for p in parts])
    second = np.array([(returns[p] ** 2).sum(axis=0) for p in parts])
    sizes = np.array([len(p) for p in parts], dtype=float)
    halves = np.zeros((math.comb(blocks, blocks // 2), blocks))
    for row, half in enumerate(combinations(range(blocks), blocks // 2)):
        halves[row, list(half)] = 1.0
    n = halves @ sizes
    s1, s2 = halves @ first, halves @ second
    ratio = s1 / n[:, None] / np.sqrt((s2 - s1 * s1 / n[:, None]) / (n[:, None] - 1))
    # In lexicographic order the rest of a half stands at the other end.
    return ratio, ratio[::-1]


def ml4t_pbo() -> Callable[[Floats, int], float]:
    """PBO by ml4t-diagnostic, which takes what each trial did in each half; ImportError where it is absent."""
    found: Any = importlib.import_module("ml4t.diagnostic.evaluation.stats.backtest_overfitting")
    return lambda returns, blocks: float(found.compute_pbo(*ratios(returns, blocks)).pbo)


class Bench:
    def __init__(self, days: int, trials: int, resamples: int, runs: int, threads: int) -> None:
        self.returns = panel(days, trials)
        self.resamples, self.runs, self.threads = resamples, runs, threads
        self.rows: list[dict[str, object]] = []

    def measure(self, case: str, contenders: list[tuple[Contender, float]]) -> None:
        """Take turns; the first contender is the one that ratios refer to, and each has its factor."""
        for contender, _ in contenders:
            contender.run()  # once unseen
        taken = timing.interleave([c for c, _ in contenders], self.runs)
        base = taken[0].median
        for one, (contender, factor) in zip(taken, contenders, strict=True):
            seconds = one.median * factor
            self.rows.append(
                {
                    "case": case,
                    "contender": contender.name,
                    "bars": len(self.returns),
                    "combinations": self.returns.shape[1],
                    "threads": contender.threads,
                    "runs": len(one.seconds),
                    "median_s": f"{seconds:.6f}",
                    "min_s": f"{min(one.seconds) * factor:.6f}",
                    "max_s": f"{max(one.seconds) * factor:.6f}",
                    "times_barproof": f"{seconds / base:.4g}",
                    "note": contender.note,
                }
            )
            print(
                f"{case:10} {contender.name:32} {1e3 * seconds:12.1f} ms {seconds / base:9.1f}x {contender.note}",
                flush=True,
            )

    def cscv(self) -> None:
        """S = 16: 12,870 splits."""
        returns, blocks = self.returns, 16
        ours = np.sort(stats.pbo(returns, blocks=blocks, threads=self.threads).logits)
        expert = numpy_sums(returns, blocks)
        if not np.allclose(ours, np.sort(expert), rtol=1e-9, atol=1e-12):
            raise SystemExit(
                "numpy and barproof differ in the log odds of a split: nothing is timed"
            )
        if not np.allclose(ours, np.sort(numpy_parts(returns, blocks)), rtol=1e-9, atol=1e-12):
            raise SystemExit("numpy in parts and barproof differ: nothing is timed")
        some = 200
        if not np.allclose(
            expert[:some], numpy_plain(returns, blocks, some), rtol=1e-9, atol=1e-12
        ):
            raise SystemExit("the two numpy forms differ: nothing is timed")
        others = []
        try:
            peer = ml4t_pbo()
        except ImportError as missing:
            print(f"left out: ml4t-diagnostic ({missing})")
        else:
            if not math.isclose(peer(returns, blocks), float(np.mean(ours <= 0)), rel_tol=1e-12):
                raise SystemExit("ml4t-diagnostic's PBO is another: nothing is timed")
            others.append(
                (
                    Contender(
                        "ml4t-diagnostic",
                        lambda: peer(returns, blocks),
                        runs=3,
                        note="ratios by matrix products, PBO alone",
                    ),
                    1.0,
                )
            )
        self.measure(
            "cscv",
            [
                (
                    Contender(
                        "barproof",
                        lambda: stats.pbo(returns, blocks=blocks, threads=self.threads),
                        threads=self.threads,
                        note="returns to result",
                    ),
                    1.0,
                ),
                (
                    Contender("numpy, matrix products", lambda: numpy_sums(returns, blocks)),
                    1.0,
                ),
                (
                    Contender(
                        "numpy, the same plan in parts",
                        lambda: numpy_parts(returns, blocks),
                        note="32 pairs of halves at a time",
                    ),
                    1.0,
                ),
                (
                    Contender(
                        "numpy, plain",
                        lambda: numpy_plain(returns, blocks, some),
                        note=f"timed on {some} of 12,870 splits",
                    ),
                    math.comb(16, 8) / some,
                ),
                *others,
            ],
        )

    def superior(self) -> None:
        """SPA and StepM with all their p-values."""
        try:
            from arch.bootstrap import SPA, StepM
        except ImportError as missing:
            print(f"left out: arch ({missing})")
            return
        returns, zero = self.returns, np.zeros(len(self.returns))
        count = max(99, self.resamples // 50)
        block = 10
        peer = SPA(zero, -returns, block_size=block, reps=count, seed=1)
        state = peer.bootstrap.state
        index = np.array([peer.bootstrap.update_indices() for _ in range(count)])
        peer.bootstrap.state = state
        peer.compute()
        found = stats.spa(returns, indices=index, mean_block=block, studentise="none")
        if [int(e) / count for e in found.exceed] != [float(p) for p in peer.pvalues]:
            raise SystemExit("arch and barproof differ on the same resamples: nothing is timed")

        def arch() -> None:
            # StepM runs an SPA of its own; its p-values are those of SPA.
            StepM(zero, -returns, block_size=block, reps=count, seed=1).compute()

        for mean in (block, 1):
            self.measure(
                f"superior {mean}",
                [
                    (
                        Contender(
                            "barproof, StepM",
                            lambda mean=mean: stats.stepm(
                                returns,
                                mean_block=mean,
                                resamples=self.resamples,
                                threads=self.threads,
                            ),
                            threads=self.threads,
                            note="one call with its SPA, studentised",
                        ),
                        1.0,
                    ),
                    (
                        Contender(
                            "arch 8.0.0, StepM",
                            arch,
                            runs=3,
                            note=f"one call with its SPA, timed on {count:,} of {self.resamples:,} resamples",
                        ),
                        self.resamples / count,
                    ),
                ],
            )

    def paired(self) -> None:
        """Two series over the same days, resampled alike."""
        try:
            from arch.bootstrap import StationaryBootstrap
        except ImportError as missing:
            print(f"left out: arch ({missing})")
            return
        a, b = self.returns[:, 0], self.returns[:, 1]
        count, block = self.resamples, 10
        peer = StationaryBootstrap(block, a - b, seed=1)
        state = peer.state
        index = np.array([peer.update_indices() for _ in range(count)])
        peer.state = state
        low, high = peer.conf_int(np.mean, count, method="percentile", size=0.95).ravel()
        found = stats.paired_difference(a, b, indices=index)
        if not np.allclose([found.low, found.high], [low, high], rtol=1e-9, atol=1e-15):
            raise SystemExit("arch and barproof differ on the same resamples: nothing is timed")

        def ours() -> object:
            return stats.paired_difference(a, b, resamples=count, mean_block=block)

        def arch() -> object:
            peer = StationaryBootstrap(block, a - b, seed=1)
            return peer.conf_int(np.mean, count, method="percentile", size=0.95)

        note = f"{count:,} resamples of {len(a):,} days"
        self.measure(
            "paired",
            [
                (Contender("barproof", ours, note=note), 1.0),
                (Contender("arch 8.0.0, stationary bootstrap", arch, note=note), 1.0),
            ],
        )

    def sweep(self) -> None:
        """All overfitting statistics of a sweep: every combination's daily returns, none held in Python's hands."""
        days, sides = len(self.returns), round(10 * (self.returns.shape[1] / 1_000) ** 0.25)
        candles = bp.simulate_candles(5, bars=24 * days, interval="1h")
        planted = candles.planted
        assert planted is not None
        signals = bp.Signals(long=planted, short=-planted, kind="score")
        steps = np.linspace(0.0, 1.0, sides)
        grid = bp.Grid(
            bp.Rules(entry_long=1.0, entry_short=1.0),
            entry_long=(0.5 + steps).tolist(),
            stop_loss=(0.01 + 0.05 * steps).tolist(),
            take_profit=(0.01 + 0.05 * steps).tolist(),
            max_hold=(4 + 44 * steps).astype(int).tolist(),
        )
        costs = bp.Costs(taker=0.0005, slippage=0.0)
        table = bp.sweep(candles, signals, grid, costs=costs, ledger=False, threads=self.threads)
        count = len(table.daily_returns.combinations)
        contenders = [
            (
                Contender(
                    f"barproof, {count:,} combinations, {name}",
                    lambda memory=memory: stats.overfitting(
                        table,
                        trials=count,
                        resamples=2_000,
                        threads=self.threads,
                        memory=memory,
                        progress=False,
                    ),
                    threads=self.threads,
                    runs=2,
                    note="2,000 resamples",
                ),
                1.0,
            )
            for name, memory in (("held", None), ("computed twice", 0))
        ]
        self.measure("sweep", contenders)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        for row in self.rows[-2:]:
            row["combinations"] = count
            row["peak_mib"] = f"{1_024 * peak:.0f}"
        print(f"peak of the process {peak:.2f} GiB")


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a tenth of trials and resamples")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=CASES)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    where = timing.setting(bp.__version__, ("numpy", "arch", "ml4t-diagnostic"))
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    part = 10 if asked.quick else 1
    bench = Bench(1_460, 1_000 // part, 10_000 // part, asked.runs, asked.threads)
    for name in asked.cases:
        getattr(bench, name)()
    if asked.record:
        print(f"recorded in {timing.write(bench.rows, where, 'workload_d')}")


if __name__ == "__main__":
    main()
