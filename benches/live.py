"""Live sessions: one bar, one bar with trees, many symbols at one clock, and memory over a million bars.

``python -m benches.live [--record] [--quick]``. Answers are checked in tests/live; here they are timed. `on_bar` of
`gating_171` is timed with the model's call replaced by a constant and without a state; the state's own write is timed
beside it, in memory and on disk.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from benches import timing

import barproof as bp

RULES = bp.Rules(entry_long=0.55, entry_short=0.55, stop_loss=0.01, take_profit=0.02, max_hold=48)
COSTS = bp.Costs(taker=0.0005)
START = 14_000
Row = tuple[str, str, float, float, str]


def quantiles(seconds: list[float]) -> tuple[float, float]:
    p50, p99 = np.quantile(np.array(seconds) * 1e6, [0.5, 0.99])
    return float(p50), float(p99)


def taken(live: bp.LiveSession, bars: list[Any]) -> list[float]:
    out = []
    for bar in bars:
        begin = time.perf_counter()
        live.on_bar(bar)
        out.append(time.perf_counter() - begin)
    return out


def trained(model: Any, names: list[str], candles: bp.Candles) -> bp.Bundle:
    X = bp.FeatureSet(names).compute(candles)  # noqa: N806
    labels = bp.labels.horizon(candles, bars=3, kind="binary")
    folds = bp.WalkForward(12_000, 500, tune=1_000)
    return bp.train(model, X, labels, folds, ledger=False, progress=False).bundles[0]


def constant(markets: Any) -> list[dict[str, float]]:
    return [{"long": 0.5, "short": 0.5} for _ in markets]


def one_bar(candles: bp.Candles, place: Path) -> list[Row]:
    names = list(bp.FeatureSet.preset("gating_171").names)
    bundle = trained(bp.models.Logistic(), names, candles)
    bars = list(candles[START:])
    rows: list[Row] = []

    def made(state: Path | None) -> bp.LiveSession:
        return bp.LiveSession(bundle, RULES, costs=COSTS, state=state, candles=candles[:START])

    stream = bp.FeatureSet(names).stream(candles.interval)
    stream.update_many(candles[:START])
    alone = []
    for bar in bars:
        begin = time.perf_counter()
        stream.update(bar)
        alone.append(time.perf_counter() - begin)
    rows.append(("gating_171 row alone", "us", *quantiles(alone), "FeatureStream.update"))
    with mock.patch("barproof.live.stepping.signals_together", constant):
        rows.append(
            ("on_bar without model and write", "us", *quantiles(taken(made(None), bars)), "")
        )
    rows.append(("on_bar with Logistic, no write", "us", *quantiles(taken(made(None), bars)), ""))
    for name, folder in (("memory", Path("/dev/shm")), ("disk", place)):
        if not folder.is_dir():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as state:
            live = made(Path(state))
            store: Any = live._store
            spent: list[float] = []
            whole: Callable[..., None] = store.commit

            def commit(*args: Any, **options: Any) -> None:
                begin = time.perf_counter()
                whole(*args, **options)  # noqa: B023 - called within the turn
                spent.append(time.perf_counter() - begin)  # noqa: B023

            store.commit = commit
            taken(live, bars[: 300 if name == "disk" else len(bars)])
            rows.append(
                (f"write of one bar, {name}", "us", *quantiles(spent), "synced transaction")
            )
            live.close()
    return rows


def own_call(model: Any) -> Callable[[Any], Any]:
    """What a user of the library calls for one row: its fastest call that takes an array."""
    if isinstance(model, bp.models.LightGBM):
        return lambda row: model._booster.predict(row, num_threads=1)
    if isinstance(model, bp.models.XGBoost):
        return lambda row: model._booster.inplace_predict(row)
    held: Any = model
    return lambda row: held._model.predict_proba(row)


def with_trees(candles: bp.Candles) -> list[Row]:
    """`on_bar` beside the library's own call for the same row, in turns.

    Before each of the two a session without a model takes a bar, so that both find the same caches.
    """
    names = list(bp.FeatureSet.preset("gating_171").names)
    rows: list[Row] = []
    for name, model in (
        ("HistGradientBoosting", bp.models.GradientBoosting()),
        ("LightGBM", bp.models.LightGBM()),
        ("XGBoost", bp.models.XGBoost()),
    ):
        bundle = trained(model, names, candles)
        history = candles[:START]
        live, other, third = (
            bp.LiveSession(bundle, RULES, costs=COSTS, state=None, candles=history)
            for _ in range(3)
        )
        held: Any = bundle.part().model
        call = own_call(held)
        ours, theirs = [], []
        for bar in candles[START : START + 400]:
            with mock.patch("barproof.live.stepping.signals_together", constant):
                other.on_bar(bar)
            begin = time.perf_counter()
            live.on_bar(bar)
            ours.append(time.perf_counter() - begin)
            row = live._stepper.markets[live.symbols[0]].rows[-1:].copy()
            with mock.patch("barproof.live.stepping.signals_together", constant):
                third.on_bar(bar)
            begin = time.perf_counter()
            call(row)
            theirs.append(time.perf_counter() - begin)
        mine, theirs_ = quantiles(ours), quantiles(theirs)
        ratio = f"{mine[0] / theirs_[0]:.2f}x its own single-row call"
        rows.append((f"on_bar with {name}", "us", *mine, ratio))
        rows.append((f"{name}, single row", "us", *theirs_, "the library's own call"))
    return rows


def many_symbols(count: int, clocks: int) -> list[Row]:
    """A feed-forward net over symbols with the same bundle; state in memory and synced."""
    one = bp.simulate_candles(3, bars=START + 200)
    names = [
        "log_return(1)",
        "log_return(6)",
        "rsi(14)",
        "atr_ratio(14)",
        "zscore(close, 50)",
        "rsi(14)@1h",
    ]
    net = bp.models.FeedForward(hidden=(64, 32), epochs=1)
    bundle = trained(net, names, one)
    symbols = [f"S{k:03}" for k in range(count)]
    short = one[: START + clocks]
    rows: list[Row] = []
    for kind, folder in (("without state", None), ("with one transaction", Path("/dev/shm"))):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            state = None if folder is None else Path(place) / "state"
            live = bp.LiveSession(
                dict.fromkeys(symbols, bundle),
                RULES,
                costs=COSTS,
                state=state,
                candles=dict.fromkeys(symbols, short[START - 400 : START]),
            )
            spent = []
            for bar in short[START:]:
                bars = dict.fromkeys(symbols, bar)
                begin = time.perf_counter()
                found = live.on_bar(bars)
                spent.append(time.perf_counter() - begin)
                assert len(found) == count
            live.close()
            p50, p99 = quantiles(spent)
            rows.append(
                (f"{count} symbols a clock, {kind}", "us", p50, p99, "feed-forward net, batched")
            )
    return rows


def memory(bars: int) -> list[Row]:
    """Step so many bars of a perpetual with funding, without a state, and look at the peak."""
    candles = bp.simulate_candles(5, bars=20_000)
    bundle = trained(bp.models.Logistic(), ["log_return(1)", "rsi(14)"], candles)
    live = bp.LiveSession(
        bundle,
        RULES,
        costs=COSTS,
        state=None,
        symbol="SIM",
        interval="5m",
        instrument="perpetual",
        clock=lambda: 1 << 52,
    )
    values = [tuple(bar)[1:] for bar in candles]
    first = candles[0].open_time
    rows: list[Row] = []
    settled = 0.0
    every = 96  # bars between settlements: eight hours
    for k in range(bars):
        if k % every == 0:
            live.settle(first + k * 300_000, 0.0001)
        live.on_bar((first + k * 300_000, *values[k % len(values)]))
        if k + 1 in (bars // 10, bars):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            now = resident()
            settled = settled or now
            rows.append(
                (
                    f"resident after {k + 1:,} bars",
                    "MiB",
                    now,
                    peak,
                    f"{now - settled:+.1f} since; second: peak",
                )
            )
    return rows


def resident() -> float:
    """MiB that the process holds now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1024**2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    candles = bp.simulate_candles(7, bars=START + (300 if given.quick else 1_000))
    with tempfile.TemporaryDirectory() as place:
        rows = one_bar(candles, Path(place))
    rows += with_trees(candles)
    rows += many_symbols(50 if given.quick else 500, 20)
    rows += memory(20_000 if given.quick else 1_000_000)
    for name, unit, p50, p99, note in rows:
        print(f"{name:42} {p50:12,.1f} {p99:12,.1f} {unit:4} {note}")
    if given.record:
        began = os.environ.get(timing.RUN) or time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        stamp = began.replace(" ", "_").replace(":", "")
        path = timing.RECORDS / f"{stamp}_live.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(
                [
                    "case",
                    "unit",
                    "p50",
                    "p99",
                    "note",
                    "machine",
                    "cores",
                    "load",
                    "python",
                    "barproof",
                ]
            )
            load = os.getloadavg()[0]
            facts = [platform.processor() or platform.machine(), os.cpu_count(), f"{load:.1f}"]
            for row in rows:
                out.writerow([*row, *facts, platform.python_version(), bp.__version__])
        print(path)


if __name__ == "__main__":
    main()
