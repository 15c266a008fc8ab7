"""Label sweeps of 200 cells, through the ordinary Python call, against loops in numpy and in Python.

``python -m benches.labels`` compares answers first, then takes times in turn; ``--record`` writes them to
benches/record/, ``--quick`` takes a tenth of the bars. Horizons are 10 lengths x 10 thresholds x 2 least volumes,
barriers 5 stops x 5 targets x 4 holding times x 2 sides. What would take minutes is timed on fewer cells or bars; the
note says so, and the figure is scaled.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
from benches import timing
from benches.problem import SEED, Problem, make
from benches.timing import Contender
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]
Row = tuple[Any, ...]

FEE = 0.0005
LENGTHS = (1, 2, 3, 6, 12, 24, 36, 48, 72, 96)
LEVELS = tuple(0.0005 * k for k in range(1, 11))
QUANTILES = (0.0, 0.5)
STOPS = (0.003, 0.005, 0.008, 0.012, 0.02)
TAKES = (0.004, 0.006, 0.01, 0.015, 0.025)
HOLDS = (12, 24, 48, 96)
SIDES = ("long", "short")
HORIZON_ANSWERS: tuple[str, ...] = (
    "labels",
    "positive_share",
    "negative_share",
    "mean_move",
    "effective",
)
BARRIER_ANSWERS: tuple[str, ...] = ("labels", "positive_share", "mean_return", "effective")
CASES = ("horizons", "barriers")
WITHIN = 1e-9
FULL, ONCE = "candles to frame", "levels and returns once for all cells"


def candles_of(problem: Problem) -> bp.Candles:
    """Bars of a spot market whose volume varies."""
    volume = np.exp(np.random.default_rng(1).normal(0.0, 1.0, len(problem)))
    columns = {
        name: getattr(problem, name) for name in ("open_time", "open", "high", "low", "close")
    }
    return bp.read_candles(
        {**columns, "volume": volume}, instrument="spot", symbol="BENCH", interval="1m"
    )


# horizons


def counted_uniqueness(start: NDArray[np.int64], end: NDArray[np.int64], n: int) -> float:
    """Sum of the labels' uniqueness by counting who is alive."""
    alive = np.cumsum(np.bincount(start, minlength=n + 1) - np.bincount(end + 1, minlength=n + 1))
    share = np.divide(1.0, alive, out=np.zeros(len(alive)), where=alive > 0)
    total = np.concatenate([[0.0], np.cumsum(share)])
    return float(((total[end + 1] - total[start]) / (end - start + 1)).sum())


def horizon_plain(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """As one would write it down: each cell by itself."""
    out: list[Row] = []
    n = len(c)
    for length, level, least in cells:
        h = int(length)
        moves = c.open[1 + h :] / c.open[1 : n - h] - 1.0
        kept = c.volume[: len(moves)] >= least
        at = np.flatnonzero(kept)
        x = moves[at]
        up, down = x > level, x < -level
        effective = counted_uniqueness(at + 1, at + 1 + h, n)
        out.append((len(at), up.mean(), down.mean(), np.abs(x[up | down]).mean(), effective))
    return out


def horizon_tuned(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """An expert's: returns and kept bars once a length, spans of one length without counting."""
    out: list[Row] = []
    n = len(c)
    known: dict[tuple[float, float], tuple[Floats, Floats, float]] = {}
    for length, level, least in cells:
        h = int(length)
        if (length, least) not in known:
            moves = c.open[1 + h :] / c.open[1 : n - h] - 1.0
            at = np.flatnonzero(c.volume[: len(moves)] >= least)
            x = moves[at]
            covered = np.minimum(np.diff(at), h + 1).sum() + h + 1
            known[length, least] = x, np.abs(x), float(covered) / (h + 1)
        x, size, effective = known[length, least]
        far = size > level
        up = np.count_nonzero(x > level)
        moved = np.count_nonzero(far)
        out.append((len(x), up / len(x), (moved - up) / len(x), size[far].sum() / moved, effective))
    return out


def horizon_python(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """Bar by bar in Python."""
    prices, volumes, n = c.open.tolist(), c.volume.tolist(), len(c)
    out: list[Row] = []
    for length, level, least in cells:
        h = int(length)
        up = down = kept = 0
        moved, alive = 0.0, [0] * (n + 1)
        for i in range(n - h - 1):
            if volumes[i] < least:
                continue
            kept += 1
            alive[i + 1] += 1
            alive[i + 2 + h] -= 1
            move = prices[i + 1 + h] / prices[i + 1] - 1.0
            if move > level:
                up += 1
                moved += move
            elif move < -level:
                down += 1
                moved -= move
        held, total = 0, [0.0]
        for change in alive:
            held += change
            total.append(total[-1] + (1.0 / held if held else 0.0))
        effective = 0.0
        for i in range(n - h - 1):
            if volumes[i] >= least:
                effective += (total[i + 2 + h] - total[i + 1]) / (h + 1)
        out.append((kept, up / kept, down / kept, moved / (up + down), effective))
    return out


# barriers


def closed(c: bp.Candles, sign: int, price: Floats, end: NDArray[np.int64]) -> Row:
    """Facts of long or short trades from the open after each bar; `end` is -1 where the data end first."""
    at = np.flatnonzero(end >= 0)
    entry, leave = c.open[at + 1], price[at]
    quantity = 1.0 / (1.0 + FEE) / entry
    net = sign * quantity * (leave - entry) - FEE * quantity * (entry + leave)
    effective = counted_uniqueness(at + 1, end[at], len(c))
    return len(at), float((net > 0).mean()), float(net.mean()), effective


def barrier_plain(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """Each cell by itself, all bars at once: step by step through the holding time, those still open."""
    out: list[Row] = []
    n = len(c)
    for stop_at, take_at, hold, sign in cells:
        s = int(sign)
        worst, best = (c.low, c.high) if s > 0 else (c.high, c.low)
        price, end = np.full(n, np.nan), np.full(n, -1)
        open_ = np.arange(n - 1)
        entry = c.open[1:]
        stop, take = entry * (1 - s * stop_at), entry * (1 + s * take_at)
        for k in range(int(hold)):
            open_ = open_[open_ + 1 + k < n]
            bar = open_ + 1 + k
            base, target = stop[open_], take[open_]
            stopped = s * worst[bar] <= s * base
            opened = c.open[bar]
            gapped = (s * opened <= s * base) & (k > 0)
            # A target is met at the open before the stop can be inside the bar.
            early = (s * opened > s * target) & (k > 0)
            met = s * best[bar] > s * target
            taken = early | (met & ~stopped)
            lost = ~early & stopped
            price[open_[taken]] = target[taken]
            price[open_[lost]] = np.where(gapped, opened, base)[lost]
            gone = taken | lost
            end[open_[gone]] = bar[gone]
            open_ = open_[~gone]
        open_ = open_[open_ + 1 + int(hold) < n]
        price[open_] = c.open[open_ + 1 + int(hold)]
        end[open_] = open_ + 1 + int(hold)
        out.append(closed(c, s, price, end))
    return out


def barrier_tuned(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """An expert's: the bar that reaches each level once for all cells, cells by comparing them."""
    n = len(c)
    most = int(max(cell[2] for cell in cells))
    never = np.iinfo(np.int32).max
    bars = np.arange(n - 1, dtype=np.int32)
    entry = c.open[1:]

    def reached(level: Floats, extreme: Floats, down: bool, strict: bool) -> NDArray[np.int32]:
        hit = np.full(n - 1, never, dtype=np.int32)
        left = bars
        for k in range(most):
            left = left[left + 1 + k < n]
            x, y = extreme[left + 1 + k], level[left]
            there = (x < y if strict else x <= y) if down else (x > y if strict else x >= y)
            hit[left[there]] = left[there] + 1 + k
            left = left[~there]
        return hit

    stops: dict[Any, Any] = {}
    takes: dict[Any, Any] = {}
    for stop, _, _, sign in cells:
        if (stop, sign) not in stops:
            level = entry * (1 - sign * stop)
            extreme = c.low if sign > 0 else c.high
            stops[stop, sign] = level, reached(level, extreme, sign > 0, False)
    for _, take, _, sign in cells:
        if (take, sign) not in takes:
            level = entry * (1 + sign * take)
            extreme = c.high if sign > 0 else c.low
            takes[take, sign] = level, reached(level, extreme, sign < 0, True)
    out: list[Row] = []
    for stop_at, take_at, hold, sign in cells:
        (stop, lost), (take, met) = stops[stop_at, sign], takes[take_at, sign]
        timed = bars + 1 + int(hold)
        first = np.minimum(np.minimum(lost, met), timed)
        known = first < n
        at = np.where(known, first, 0)
        opened = c.open[at]
        early = (met == first) & (first > bars + 1) & (sign * opened > sign * take)
        is_time = timed == first
        is_stop = (lost == first) & ~early
        base = np.where(sign * stop < sign * opened, stop, opened)
        price = np.where(is_time, opened, np.where(is_stop, base, take))
        end = np.where(known, first, -1)
        out.append(closed(c, int(sign), np.append(price, np.nan), np.append(end, -1)))
    return out


def barrier_python(c: bp.Candles, cells: list[Row]) -> list[Row]:
    """Trade by trade in Python."""
    o, h, l = c.open.tolist(), c.high.tolist(), c.low.tolist()  # noqa: E741
    out: list[Row] = []
    n = len(c)
    for stop_at, take_at, hold, sign in cells:
        s, most = int(sign), int(hold)
        worst, best = (l, h) if s > 0 else (h, l)
        price, end = np.full(n, np.nan), np.full(n, -1)
        for i in range(n - 1):
            entry = o[i + 1]
            stop, take = entry * (1 - s * stop_at), entry * (1 + s * take_at)
            for j in range(i + 1, min(n, i + 1 + most)):
                if j > i + 1 and s * o[j] <= s * stop:
                    price[i], end[i] = o[j], j
                    break
                if j > i + 1 and s * o[j] > s * take:
                    price[i], end[i] = take, j
                    break
                if s * worst[j] <= s * stop:
                    price[i], end[i] = stop, j
                    break
                if s * best[j] > s * take:
                    price[i], end[i] = take, j
                    break
            else:
                if i + 1 + most < n:
                    price[i], end[i] = o[i + 1 + most], i + 1 + most
        out.append(closed(c, s, price, end))
    return out


def agree(name: str, theirs: list[Row], ours: list[Row], answers: tuple[str, ...]) -> None:
    """Stop where a contender gives other answers."""
    for number, (a, b) in enumerate(zip(theirs, ours, strict=True)):
        for answer, x, y in zip(answers, a, b, strict=True):
            if not math.isclose(x, y, rel_tol=WITHIN, abs_tol=1e-15):
                raise SystemExit(
                    f"{name}: `{answer}` of cell {number} is {x!r}, barproof's {y!r}: nothing is timed"
                )


class Bench:
    """The market, and what was measured on it."""

    def __init__(self, bars: int, runs: int, threads: int) -> None:
        self.candles = candles_of(make(bars, SEED))
        self.few = self.candles[: max(3_000, bars // 50)]
        self.runs, self.threads = runs, threads
        self.rows: list[dict[str, object]] = []
        self.least = [float(np.quantile(self.candles.volume, q)) for q in QUANTILES]

    def horizon_cells(self) -> list[Row]:
        return list(product(map(float, LENGTHS), LEVELS, self.least))

    def horizons(self, candles: bp.Candles) -> list[Row]:
        found = bp.labels.sweep(
            candles, costs=bp.Costs(taker=FEE), bars=LENGTHS, threshold=LEVELS, min_volume=self.least,
            threads=self.threads, ledger=False, progress=False,
        )  # fmt: skip
        return found.frame.select(HORIZON_ANSWERS).rows()

    def barrier_cells(self) -> list[Row]:
        axes = (STOPS, TAKES, map(float, HOLDS), (1.0, -1.0))
        return list(product(*axes))

    def barriers(self, candles: bp.Candles) -> list[Row]:
        grid = bp.Grid(
            bp.Rules(), stop_loss=list(STOPS), take_profit=list(TAKES), max_hold=list(HOLDS)
        )
        found = bp.labels.sweep(
            candles, costs=bp.Costs(taker=FEE), rules=grid, side=list(SIDES),
            threads=self.threads, ledger=False, progress=False,
        )  # fmt: skip
        return found.frame.select(BARRIER_ANSWERS).rows()

    def measure(self, case: str) -> None:
        """Compare every contender on few bars and the first on all; then take turns."""
        ours: Callable[[bp.Candles], list[Row]] = getattr(self, case)
        cells: list[Row] = self.horizon_cells() if case == "horizons" else self.barrier_cells()
        if case == "horizons":
            answers, some = HORIZON_ANSWERS, slice(None, None, 20)
            loops = (horizon_tuned, horizon_plain, horizon_python)
        else:
            answers, some = BARRIER_ANSWERS, slice(None, None, 9)
            loops = (barrier_tuned, barrier_plain, barrier_python)
        tuned, plain, slow = loops
        small = ours(self.few)
        agree("numpy, tuned", tuned(self.few, cells), small, answers)
        agree("numpy, a cell at a time", plain(self.few, cells), small, answers)
        agree("python", slow(self.few, cells[some]), small[some], answers)
        agree("numpy, tuned", tuned(self.candles, cells), ours(self.candles), answers)
        chosen = cells[some]
        share = len(cells) / len(chosen)
        bars = len(self.candles) / len(self.few)
        of_cells = f"timed on {len(chosen)} of {len(cells)} cells"
        of_bars = f"timed on 2 cells and {len(self.few):,} bars"
        contenders = [
            (Contender("barproof", lambda: ours(self.candles), threads=self.threads, note=FULL), 1.0),
            (Contender("barproof, 1 thread", lambda: self.alone(ours)), 1.0),
            (Contender("numpy, tuned", lambda: tuned(self.candles, cells), runs=3, note=ONCE), 1.0),
            (Contender("numpy, a cell at a time", lambda: plain(self.candles, chosen), runs=3, note=of_cells), share),
            (Contender("python", lambda: slow(self.few, chosen[:2]), runs=2, note=of_bars), len(cells) / 2 * bars),
        ]  # fmt: skip
        taken = timing.interleave([one for one, _ in contenders], self.runs)
        base = taken[0].median
        for one, (contender, factor) in zip(taken, contenders, strict=True):
            seconds = one.median * factor
            self.rows.append(
                {
                    "case": case,
                    "contender": contender.name,
                    "bars": len(self.candles),
                    "combinations": len(cells),
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
                f"{case:10} {contender.name:26} {1e3 * seconds:12.1f} ms {seconds / base:9.1f}x {contender.note}",
                flush=True,
            )

    def alone(self, ours: Callable[[bp.Candles], list[Row]]) -> list[Row]:
        """Run the same on one thread."""
        many, self.threads = self.threads, 1
        try:
            return ours(self.candles)
        finally:
            self.threads = many


def chosen_cases(asked: list[str]) -> Iterator[str]:
    """Cases in their order."""
    return (case for case in CASES if case in asked)


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="a tenth of the bars")
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    where = timing.setting(bp.__version__, ("numpy",))
    print(", ".join(f"{name} {value}" for name, value in where.items()))
    bench = Bench(100_000 if asked.quick else 1_000_000, asked.runs, asked.threads)
    for case in chosen_cases(asked.cases):
        bench.measure(case)
    if asked.record:
        print(f"recorded in {timing.write(bench.rows, where, 'labels')}")


if __name__ == "__main__":
    main()
