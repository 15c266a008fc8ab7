"""Audits: a run of 1M bars and 10,000 trades without resampling, and the lookahead check of `gating_171`.

``python -m benches.audits`` takes times and says whether they meet the bounds of the benchmark list: 2 s for the audits
and 20 s for 299 cuts over 1M bars. ``--record`` writes them to benches/record/. ``--quick`` takes a tenth of the bars,
of the trades and the cuts, for which there are no bounds. Seconds of the processor stand beside those of the clock.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import polars as pl
from benches import timing

import barproof as bp
from barproof import audits

CUTS = 299  # finds a fault in 1% of the bars with 95% probability
WINDOW = 64
BOUNDS = {"audit": 2.0, "lookahead": 20.0}


def result(bars: int, trades: int) -> bp.Result:
    """A backtest on the hidden score of a simulated market, with about so many trades."""
    candles = bp.simulate_candles(20261121, bars=bars, edge=0.3)
    assert candles.planted is not None
    score = np.where(np.arange(bars) % (bars // trades) == 0, candles.planted, 0.0)
    signals = bp.Signals(long=score, short=-score, kind="score")
    rules = bp.Rules(entry_long=1e-9, entry_short=1e-9, max_hold=max(2, bars // trades // 2))
    return bp.backtest(candles, signals, rules, costs=bp.Costs(taker=0.00005), ledger=False)


def audited(held: bp.Result) -> tuple[float, dict[str, Any]]:
    """Seconds of all audits that a result allows, without those that draw samples."""
    began, busy = time.perf_counter(), time.process_time()
    report = bp.audit(result=held, candles=held.candles, resample=False, ledger=False)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    ran = [f for f in report if f.outcome != "skipped"]
    assert not [f for f in report if f.outcome == "error"]
    assert report["ECO-01"].outcome == "pass"
    assert held.trades.height > 0
    return seconds, {"cpu": round(busy, 2), "audits": len(ran), "trades": held.trades.height}


def looked(bars: int, cuts: int) -> tuple[float, dict[str, Any]]:
    """Seconds of the lookahead check with the last rows at each cut, and five prefixes whole."""
    candles = bp.simulate_candles(20261121, bars=bars)
    features = bp.FeatureSet.preset("gating_171")
    began, busy = time.perf_counter(), time.process_time()
    finding = audits.lookahead(features, candles, cuts=cuts, window=WINDOW)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    assert finding.outcome == "pass", finding.title
    # The same check finds a column of tomorrow.
    leaky = audits.lookahead(
        lambda c: c.to_polars().select("open_time", pl.col("close").shift(-1)),
        candles[:5_000],
        cuts=9,
        window=WINDOW,
        warmup=1,
    )
    assert leaky.outcome == "fail"
    assert finding.measured is not None
    return seconds, {
        "cpu": round(busy, 2),
        "cuts": finding.measured.n,
        "columns": finding.evidence["columns"],
    }


def main() -> None:
    """Take the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    part = 10 if given.quick else 1
    bars = 1_000_000 // part
    rows: list[dict[str, Any]] = []
    for name, (seconds, facts) in {
        "audit": audited(result(bars, 10_000 // part)),
        "lookahead": looked(bars, CUTS // part),
    }.items():
        bound = BOUNDS[name]
        verdict = (
            "" if given.quick else f", bound {bound:g} s: {'met' if seconds < bound else 'missed'}"
        )
        told = ", ".join(f"{value:,} {key}" for key, value in facts.items())
        print(f"{name}: {seconds:.2f} s, {bars:,} bars, {told}{verdict}")
        rows.append(
            {"case": name, "bars": bars, "seconds": round(seconds, 3), "bound_s": bound, **facts}
        )
    if given.record:
        where = timing.setting(bp.__version__)
        fields = (
            "case",
            "bars",
            "seconds",
            "bound_s",
            "cpu",
            "audits",
            "trades",
            "cuts",
            "columns",
        )
        print(f"recorded in {timing.write(rows, where, 'audits', fields)}")


if __name__ == "__main__":
    main()
