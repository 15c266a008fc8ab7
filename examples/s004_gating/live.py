"""What the bot of case S004 did live: other features than in the backtest, and four trades."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from examples.casework import Case
from examples.s004_gating.system import COSTS, DAY, System

DAYS = 3
SEEN = 600
"""Bars that production kept: too few for what it computed on them."""
STAMPS = ("entry_20251018_142233", "entry_20251020_090112")
"""What production said of the model that it ran: two of the four that lay there."""


def live_log(case: Case, system: System) -> tuple[bp.LiveLog, pl.DataFrame, float]:
    """Log of the last three days, trades that were made live, and the days that they took."""
    end = system.window[1]
    rows = np.arange(end - DAYS * DAY, end)
    bundle = system.run.bundles[-1]
    if case.broken:
        features, table, p = _production(system, bundle, rows)
    else:
        features, table = bundle.features, system.table[rows]
        p = {side: bundle.predict(system.table, part=side)[rows, 1] for side in ("long", "short")}
    times = system.candles.open_time[rows]
    held: dict[str, Any] = {
        "open_time": times,
        "decided_at": times + system.candles.interval_ms + 900,
        "model_hash": [STAMPS[i > 500] if case.broken else bundle.digest for i in range(len(rows))],
        "p_long": p["long"],
        "p_short": p["short"],
        **{name: table[name].to_numpy() for name in features},
    }
    # As a bot keeps it: `barproof parity bot.csv --candles candles.parquet --bundle folder/models/latest`.
    pl.DataFrame(held).write_csv(case.out / "bot.csv")
    trades = _traded(case, system, p, rows)
    log = bp.LiveLog.foreign(
        pl.DataFrame(held),
        features=list(features),
        symbol=system.candles.symbol,
        trades=trades,
    )
    if case.broken:
        return log, trades, float(DAYS)
    # Live since the last model was trained; at full size since a hundred days.
    start = end - 100 * DAY if case.full else int(system.run.folds[-1].test[0])
    lived = system.result.trades.filter(pl.col("signal_bar") >= start - system.window[0])
    return log, lived, (end - start) / DAY


def _traded(case: Case, system: System, p: dict[str, Any], rows: Any) -> pl.DataFrame:
    """Trades of the bot in the bars of the log; S004's ends after four."""
    arrays: dict[str, Any] = {}
    for name in system.signals.names:
        arrays[name] = np.full(len(system.candles), np.nan)
        if name in p or not case.broken:
            arrays[name][rows] = p[name] if name in p else system.signals[name][rows]
    done = bp.backtest(
        system.candles,
        bp.Signals(**arrays),
        system.rules,
        costs=COSTS,
        window=(int(rows[0]), int(rows[-1]) + 1),
        ledger=False,
    )
    # What only the end of the data closes is still open.
    closed = done.trades.filter(pl.col("reason") != "end")
    return closed.head(4) if case.broken else closed


def _production(
    system: System, bundle: Any, rows: Any
) -> tuple[tuple[str, ...], pl.DataFrame, dict[str, Any]]:
    """171 features of a short buffer, handed to models of 85 and 79 by their position."""
    features = bp.FeatureSet.preset("gating_171")
    first = int(rows[0]) - SEEN
    table = features.compute(system.candles[first : int(rows[-1]) + 1])[SEEN:]
    p = {}
    for side in ("long", "short"):
        part = bundle.parts[side]
        values = table.select(features.names[: len(part.features)]).to_numpy()
        p[side] = part.predict(values)[:, 1]
    return features.names, table, p
