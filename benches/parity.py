"""Parity of a live log of 50,000 bars, beside the work that it cannot do without.

``python -m benches.parity [--record] [--quick]``. The log is a session's: bars, rows of features, probabilities,
positions and trades of 50,000 five-minute bars (real ones where ``BARPROOF_DATA`` is set, else simulated), after 2,000
bars of history. It is made by the backtest path itself, and `parity` must find it equal before a time is taken.
Contenders take turns, on one thread: parity, and the three computations that it cannot do without: features,
probabilities, the backtest bar by bar.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from benches import timing
from benches.timing import Contender

import barproof as bp
from barproof.live.identity import row_digest
from barproof.live.log import DECISIONS

BARS, HISTORY = 50_000, 2_000
RULES = bp.Rules(entry_long=0.5, entry_short=0.5, stop_loss=0.01, take_profit=0.015, max_hold=48)
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
SETS = {
    "20 features": (
        "log_return(1)", "log_return(3)", "log_return(12)", "rsi(7)", "rsi(14)", "rsi(28)", "atr_ratio(14)",
        "ema_ratio(20)", "ema_ratio(50)", "zscore(close, 50)", "zscore(close, 100)", "zscore(volume, 50)",
        "rsi(14)@1h", "ema_ratio(20)@1h", "atr_ratio(14)@1h", "macd(12, 26, 9).hist", "adx(14)", "cci(20)",
        "rsi(14)@4h", "log_return(1)@1h",
    )
}  # fmt: skip


def market(bars: int) -> bp.Candles:
    """Real bars where there are any."""
    folder = os.environ.get("BARPROOF_DATA", "")
    file = Path(folder) / "binanceum_solusdt_5m.parquet"
    if folder and file.is_file():
        held = bp.read_candles(file, instrument="perpetual", funding="none", on_fault="warn")
        return held[:bars]
    return bp.simulate_candles(5, bars=bars, interval="5m")


def made(
    names: tuple[str, ...], bars: int
) -> tuple[bp.LiveLog, bp.Candles, bp.Bundle, pl.DataFrame]:
    """Make a log that a session without a fault would have written, and what made it."""
    candles = market(bars + HISTORY)
    table = bp.FeatureSet(list(names)).compute(candles)
    labels = bp.labels.horizon(candles, bars=6, kind="binary")
    folds = bp.WalkForward(min(10_000, bars // 3), min(10_000, bars // 3))
    bundle = bp.train(bp.models.Logistic(), table, labels, folds, ledger=False).bundles[0]
    p = bundle.predict(table)[:, 1]
    p[:HISTORY] = np.nan
    middle = float(np.nanmedian(p))
    rules = RULES.replace(entry_long=middle + 1e-4, entry_short=1.0 - middle + 1e-4)
    signals = bp.Signals(long=p, short=1.0 - p)
    result = bp.backtest(
        candles, signals, rules, costs=COSTS, window=(HISTORY, len(candles)), ledger=False
    )
    from barproof.live.replayed import _positions

    side, ended = _positions(result.trades, bars)
    marks = result.equity["equity"].to_numpy().astype(np.float64).copy()
    if ended:
        # The backtest closed what a session would still hold.
        marks[-1] = np.nan
    opens = candles.to_polars()["open_time"].cast(pl.Datetime("us", "UTC"))
    step = pl.duration(milliseconds=candles.interval_ms)
    rows = (
        opens[HISTORY:]
        .to_frame("open_time")
        .with_columns(
            symbol=pl.lit(candles.symbol),
            close_time=pl.col("open_time") + step,
            decided_at=pl.col("open_time") + step + pl.duration(seconds=1),
            feature_digest=pl.Series(
                [row_digest(row) for row in table.select(names).to_numpy()[HISTORY:]]
            ),
            p_long=pl.Series(p[HISTORY:]),
            p_short=pl.Series(1.0 - p[HISTORY:]),
            side=pl.Series(np.array(["flat", "long", "short"])[side]),
            equity=pl.Series(np.where(np.isnan(marks), 0.0, marks)),
            model_digest=pl.lit(bundle.digest),
        )
    )
    if np.isnan(marks[-1]):
        rows = rows.with_columns(
            equity=pl.when(pl.int_range(pl.len()) == bars - 1)
            .then(None)
            .otherwise(pl.col("equity"))
        )
    decisions = rows.select(
        rows[name].cast(kind) if name in rows.columns else pl.lit(None, dtype=kind).alias(name)
        for name, kind in DECISIONS.items()
    )
    blank = bp.LiveLog.foreign({"time": [0, 300_000], "p_long": [0.5, 0.5]})
    prices = candles.to_polars().select(
        pl.lit(candles.symbol).alias("symbol"),
        pl.col("open_time").cast(pl.Datetime("us", "UTC")),
        "open", "high", "low", "close", "volume",
    )  # fmt: skip
    trades = result.trades.filter(pl.col("reason") != "end").with_columns(
        symbol=pl.lit(candles.symbol)
    )
    log = replace(
        blank,
        bars=prices,
        decisions=decisions,
        features=decisions.select("symbol", "open_time").hstack(table.select(names)[HISTORY:]),
        trades=trades,
        session={
            "features": {candles.symbol: list(names)},
            "schedule": [(None, rules.to_dict())],
            "costs": {"taker": COSTS.taker, "maker": COSTS.maker, "slippage": COSTS.slippage},
        },
        own=True,
        notes=(),
    )
    return log, candles, bundle, table


def contenders(names: tuple[str, ...], bars: int) -> tuple[list[Contender], int]:
    """Parity, and the computations that it needs; the answer is checked first."""
    log, candles, bundle, table = made(names, bars)
    rules = bp.Rules(**log.session["schedule"][0][1])
    found = bp.parity(log, candles, bundle, rules, costs=COSTS)
    assert found.equal, str(found)
    features = bp.FeatureSet(list(names))
    rows = table.select(names)
    signals = bp.Signals(long=rows["log_return(1)"].to_numpy(), kind="score")
    jobs: dict[str, Callable[[], object]] = {
        "parity": lambda: bp.parity(log, candles, bundle, rules, costs=COSTS),
        "features alone": lambda: features.compute(candles, threads=1),
        "probabilities alone": lambda: bundle.predict(rows),
        "backtest alone, bar by bar": lambda: bp.backtest(
            candles,
            signals,
            bp.Rules(entry_long=0.004, max_hold=48),
            costs=COSTS,
            engine="replay",
            ledger=False,
        ),
    }
    return [Contender(name, run) for name, run in jobs.items()], found.compared["features"]


def main() -> None:
    """Time, show, and record where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    bars = 3_000 if asked.quick else BARS
    os.environ["BARPROOF_THREADS"] = "1"
    rows: list[dict[str, object]] = []
    for case, names in SETS.items():
        listed, compared = contenders(names, bars)
        taken = timing.interleave(listed, 2 if asked.quick else 5)
        whole = taken[0].median
        print(f"{case}, {bars:,} decisions, {compared:,} values of features compared")
        for one in taken:
            share = one.median / whole
            print(f"  {one.contender.name:28} {one.median:8.3f} s  {share:6.1%} of parity")
            rows.append(
                {
                    "case": case,
                    "contender": one.contender.name,
                    "bars": bars,
                    "threads": 1,
                    "runs": len(one.seconds),
                    "median_s": f"{one.median:.4f}",
                    "min_s": f"{min(one.seconds):.4f}",
                    "max_s": f"{max(one.seconds):.4f}",
                    "ns_a_bar": f"{one.median / bars * 1e9:.0f}",
                    "peak_mib": f"{timing.peak_mib():.0f}",
                }
            )
    if asked.record:
        where = timing.setting(bp.__version__, ("numpy", "polars", "scikit-learn"))
        print(timing.write(rows, where, "parity", timing.FEATURE_FIELDS))


if __name__ == "__main__":
    main()
