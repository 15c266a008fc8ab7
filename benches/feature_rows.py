"""Rows of features: one live bar against TA-Lib's handles, whole arrays, and files that do not fit memory.

``python -m benches.feature_rows [--record] [--cases row array file] [--bars N] [--big N]``. Contenders of a case take
turns, and live rows are compared with TA-Lib's before they are timed. ``file`` writes `gating_171` over ``--big`` bars
in a process of its own, for its peak, and reads nothing back.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from benches import timing
from benches.timing import Contender, Taken

import barproof as bp

SIXTEEN = [
    "sma(20)", "ema(20)", "rsi(14)", "atr(14)",
    "bbands(20, 2).upper", "bbands(20, 2).middle", "bbands(20, 2).lower",
    "macd(12, 26, 9).macd", "macd(12, 26, 9).signal", "macd(12, 26, 9).hist",
    "stddev(60)", "max(60)", "min(60)", "vwap_ratio(60)", "log_return(1)", "volume_zscore(60)",
]  # fmt: skip
"""The columns of workload B."""
HISTORY = 2_000
LIVE = 1_000
Row = Callable[[bp.Bar], np.ndarray]


def talib_rows(candles: bp.Candles) -> Row:
    """The sixteen from TA-Lib's handles, which were opened on the candles before."""
    from talib import stream

    high, low, close, volume = candles.high, candles.low, candles.close, candles.volume
    sma, ema = stream.SMA(close, 20), stream.EMA(close, 20)
    rsi, atr = stream.RSI(close, 14), stream.ATR(high, low, close, 14)
    bands, macd = stream.BBANDS(close, 20, 2.0, 2.0), stream.MACD(close, 12, 26, 9)
    spread, top, bottom = stream.STDDEV(close, 60), stream.MAX(close, 60), stream.MIN(close, 60)
    typical = (high + low + close) / 3
    money, traded = stream.SUM(typical * volume, 60), stream.SUM(volume, 60)
    mean, deviation = stream.SMA(volume, 60), stream.STDDEV(volume, 60)
    row, last = np.empty(16), float(close[-1])

    def update(bar: bp.Bar) -> np.ndarray:
        nonlocal last
        _, _, h, l, c, v = bar  # noqa: E741
        row[0], row[1], row[2] = sma.update(c), ema.update(c), rsi.update(c)
        row[3] = atr.update(h, l, c)
        row[4:7] = bands.update(c)
        row[7:10] = macd.update(c)
        row[10], row[11], row[12] = spread.update(c), top.update(c), bottom.update(c)
        price = money.update((h + l + c) / 3 * v) / traded.update(v)
        row[13] = c / price - 1
        row[14] = math.log(c / last)
        row[15] = (v - mean.update(v)) / deviation.update(v)
        last = c
        return row

    return update


def barproof_rows(features: bp.FeatureSet, candles: bp.Candles) -> Row:
    """A stream that has taken the candles before, with an array of its own to write to."""
    stream = features.stream(candles.interval)
    stream.update_many(candles[:-1])
    stream.update(candles[-1])
    update, row = stream.update, np.empty(len(features))
    return lambda bar: update(bar, out=row)


def loop(update: Row, bars: list[bp.Bar]) -> None:
    """Take bars through a function."""
    for bar in bars:
        update(bar)


def direct(features: bp.FeatureSet, candles: bp.Candles) -> Callable[[list[bp.Bar]], None]:
    """Take bars as a user's loop would: `stream.update(bar, out=row)` and nothing around it."""
    stream = features.stream(candles.interval)
    stream.update_many(candles[:-1])
    stream.update(candles[-1])
    row = np.empty(len(features))

    def run(bars: list[bp.Bar]) -> None:
        update = stream.update
        for bar in bars:
            update(bar, out=row)

    return run


def rows(runs: int) -> list[Taken]:
    """One live bar: sixteen columns beside TA-Lib, and gating_171."""
    candles = bp.simulate_candles(7, bars=HISTORY + LIVE, interval="1m")
    past, bars = candles[:HISTORY], list(candles[HISTORY:])
    sixteen, many = bp.FeatureSet(SIXTEEN), bp.FeatureSet.preset("gating_171")
    contenders = [
        Contender(
            "barproof", lambda run: run(bars), lambda: (direct(sixteen, past),), combinations=16
        ),
        Contender(
            "barproof, gating_171",
            lambda run: run(bars),
            lambda: (direct(many, past),),
            combinations=171,
        ),
    ]
    try:
        ours, theirs = barproof_rows(sixteen, past), talib_rows(past)
    except ImportError:
        print("talib is not installed: its row is left out", file=sys.stderr)
    else:
        for bar in bars[:500]:
            mine, other = ours(bar), theirs(bar)
            # Its running sums drift; price levels are compared by their size.
            if not np.allclose(mine, other, rtol=1e-6, atol=1e-7):
                raise SystemExit(f"rows differ at {bar.open_time}: {mine} and {other}")
        contenders.append(
            Contender(
                "talib handles",
                lambda update: loop(update, bars),
                lambda: (talib_rows(past),),
                combinations=16,
            )
        )
    return timing.interleave(contenders, runs)


def arrays(bars: int, threads: int, runs: int) -> list[Taken]:
    """Whole arrays: gating_171 beside workload B's sixteen, on the same candles."""
    candles = bp.simulate_candles(7, bars=bars, interval="1m")
    many = {"sixteen": bp.FeatureSet(SIXTEEN), "gating_171": bp.FeatureSet.preset("gating_171")}
    contenders = [
        Contender(
            f"barproof, {name}",
            lambda f=features: f.matrix(candles, threads=threads),
            combinations=len(features),
            threads=threads,
        )
        for name, features in many.items()
    ]
    return timing.interleave(contenders, runs)


FILE = """
import sys, time
import barproof as bp
from benches import timing
bars, path, threads = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
candles = bp.simulate_candles(7, bars=bars, interval="1m")
features = bp.FeatureSet.preset("gating_171")
features.matrix(candles[:5_000])
timing.peak_mib(restart=True)
held = timing.peak_mib()
began = time.perf_counter()
if path.endswith(".npy"):
    features.matrix(candles, out=path, threads=threads)
elif path.endswith(".parquet"):
    features.compute(candles, out=path, threads=threads)
else:
    features.matrix(candles, threads=threads)
print(time.perf_counter() - began, held, timing.peak_mib())
"""


def file(bars: int, suffix: str, threads: int) -> tuple[float, float, float, float]:
    """Seconds, MiB before, MiB at the peak, MiB of the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"x{suffix}"
        done = subprocess.run(
            [sys.executable, "-c", FILE, str(bars), str(path), str(threads)],
            cwd=timing.ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, held, peak = map(float, done.stdout.split())
        size = path.stat().st_size / 2**20 if path.exists() else bars * 171 * 4 / 2**20
        return seconds, held, peak, size


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--cases", nargs="+", default=["row", "array", "file"])
    parser.add_argument("--bars", type=int, default=1_000_000, help="bars of whole arrays")
    parser.add_argument("--big", type=int, default=5_000_000, help="bars of files")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    where = timing.setting(bp.__version__)
    records: list[dict[str, object]] = []
    files: list[dict[str, object]] = []

    def note(case: str, taken: list[Taken], bars: int) -> None:
        first = taken[0].median / taken[0].contender.combinations
        for one in taken:
            each = one.median / bars * 1e9
            text = f"{each:,.1f} ns a bar, {min(one.seconds) / bars * 1e9:,.1f} at best"
            print(f"{case:6} {one.contender.name:24} {text}")
            records.append(
                {
                    "case": case, "contender": one.contender.name, "bars": bars,
                    "combinations": one.contender.combinations, "threads": one.contender.threads,
                    "runs": len(one.seconds), "median_s": f"{one.median:.6f}",
                    "min_s": f"{min(one.seconds):.6f}", "max_s": f"{max(one.seconds):.6f}",
                    "times_barproof": f"{one.median / one.contender.combinations / first:.4g}",
                    "note": text,
                }
            )  # fmt: skip

    if "row" in asked.cases:
        note("row", rows(max(asked.runs, 41)), LIVE)
    if "array" in asked.cases:
        note("array", arrays(asked.bars, asked.threads, asked.runs), asked.bars)
    if "file" in asked.cases:
        for suffix in (".npy", ".parquet"):
            began = time.strftime("%H:%M", time.gmtime())
            seconds, held, peak, size = file(asked.big, suffix, asked.threads)
            text = f"{held:.0f} MiB held before, file of {size:,.0f} MiB, begun {began} UTC"
            print(f"file   gating_171 to {suffix}: {seconds:.1f} s, peak {peak:,.0f} MiB; {text}")
            files.append(
                {
                    "case": f"file {suffix}", "contender": "barproof, gating_171", "bars": asked.big,
                    "combinations": 171, "threads": asked.threads, "runs": 1,
                    "median_s": f"{seconds:.6f}", "peak_mib": f"{peak:.1f}", "note": text,
                }
            )  # fmt: skip
    if "memory" in asked.cases or "array" in asked.cases:
        seconds, held, peak, size = file(asked.bars, "", asked.threads)
        text = f"{held:.0f} MiB held before, array of {size:,.0f} MiB"
        print(
            f"memory gating_171 f32: peak {peak:,.0f} MiB; {text}; {(peak - held) / size:.3f} of the array"
        )
        records.append(
            {
                "case": "memory", "contender": "barproof, gating_171", "bars": asked.bars,
                "combinations": 171, "threads": asked.threads, "runs": 1,
                "median_s": f"{seconds:.6f}", "peak_mib": f"{peak:.1f}", "note": text,
            }
        )  # fmt: skip
    for name, found in (("feature_rows", records), ("feature_files", files)):
        if asked.record and found:
            print(timing.write(list(found), where, name))


if __name__ == "__main__":
    main()
