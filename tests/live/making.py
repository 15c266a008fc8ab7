"""Logs of a live system, made by stepping: streams, single rows, and trades of an account that is not the replay's.

The log is written as a session writes it, so that what is tested is what is read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import barproof as bp
from barproof.live.identity import row_digest

NAMES = ("log_return(1)", "rsi(14)", "zscore(close, 50)", "rsi(14)@1h", "atr_ratio(14)")
RULES = bp.Rules(
    entry_long=0.501, entry_short=0.5001, stop_loss=0.01, take_profit=0.015, max_hold=36, cooldown=2
)
COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)
WARM, BARS = 2_600, 3_400
"""Bars of history, and of all."""

Floats = NDArray[np.float64]
Bar = tuple[int, float, float, float, float, float]


@cache
def study(seed: int = 7, model: str = "Logistic") -> tuple[bp.Candles, bp.Bundle]:
    """A market, and a bundle that was trained on its first half."""
    candles = bp.simulate_candles(seed, bars=BARS, edge=0.15, interval="5m")
    table = bp.FeatureSet(list(NAMES)).compute(candles)
    labels = bp.labels.horizon(candles, bars=6, kind="binary")
    folds = bp.WalkForward(1_500, 600, tune=300)
    made = getattr(bp.models, model)()
    run = bp.train(made, table, labels, folds, seed=seed, ledger=False)
    return candles, run.bundles[0]


@dataclass
class Live:
    """A live system, with the faults that are planted into it."""

    candles: bp.Candles
    bundle: bp.Bundle
    rules: bp.Rules = RULES
    costs: bp.Costs = COSTS
    features: tuple[str, ...] = NAMES
    """What it computes, in the order in which it enters the model."""
    logged: tuple[str, ...] | None = None
    """Names that it logs; default: those of the bundle."""
    bar: Callable[[int, Bar], Bar] = lambda _, bar: bar
    row: Callable[[int, Floats, list[Floats]], Floats] = lambda _, row, __: row
    p: Callable[[int, float], float] = lambda _, p: p
    early_ms: int = 0
    withheld: frozenset[int] = frozenset()
    values: bool = True
    alone: bool = False
    bars: list[Bar] = field(default_factory=list)
    rows: list[Floats] = field(default_factory=list)

    def step(self) -> None:
        """Take every bar, one after the other."""
        stream = bp.FeatureSet(list(self.features)).stream(self.candles.interval)
        for k, bar in enumerate(self.candles):
            time, open_, high, low, close, volume = bar[:6]
            seen = self.bar(k, (time, open_, high, low, close, volume))
            self.bars.append(seen)
            self.rows.append(self.row(k, stream.update(seen).copy(), self.rows))

    def told(self) -> Floats:
        """What the model says to each row; alone where it is asked so, as a session does."""
        names = list(self.bundle.features)
        out = np.full(len(self.rows), np.nan)
        step = 1 if self.alone else len(self.rows)
        for k in range(WARM, len(self.rows), step):
            frame = pl.DataFrame(np.stack(self.rows[k : k + step]), schema=names, orient="row")
            out[k : k + step] = self.bundle.predict(frame)[:, 1]
        return np.array([self.p(k, float(p)) for k, p in enumerate(out)])

    def traded(self, p: Floats) -> bp.Result:
        """The account: bars as they were seen, signals as they were said."""
        frame = pl.DataFrame(
            self.bars, schema=["open_time", "open", "high", "low", "close", "volume"], orient="row"
        )
        seen = bp.read_candles(
            frame,
            instrument=self.candles.instrument,
            symbol=self.candles.symbol,
            interval=self.candles.interval,
            funding=self.candles.funding,
            on_fault="ignore",
        )
        asked = p.copy()
        asked[list(self.withheld)] = np.nan
        return bp.backtest(
            seen,
            bp.Signals(long=asked, short=1.0 - asked),
            self.rules,
            costs=self.costs,
            window=(WARM, len(seen)),
            ledger=False,
        )

    def write(self, folder: Path) -> Path:
        """Write the log."""
        if not self.rows:
            self.step()
        p = self.told()
        result = self.traded(p)
        file = folder / "live.sqlite"
        base = sqlite3.connect(file)
        base.execute("PRAGMA journal_mode = WAL")
        trade_columns = ", ".join(f'"{name}"' for name in result.trades.columns)
        base.executescript(
            "CREATE TABLE session(key TEXT PRIMARY KEY, value);"
            "CREATE TABLE bars(symbol, open_time INTEGER, open, high, low, close, volume, taker_buy_volume);"
            "CREATE TABLE decisions(symbol, open_time INTEGER, close_time, decided_at, feature_digest, features, "
            "p_long, p_short, p_exit_long, p_exit_short, side, equity, withheld, model_digest, rules_digest, code, "
            "decision);"
            f"CREATE TABLE trades(symbol, {trade_columns});"
            "CREATE TABLE events(sequence INTEGER PRIMARY KEY, time, kind, symbol, body);"
            "CREATE TABLE state(id INTEGER PRIMARY KEY, clock, body);"
        )
        symbol, step = self.candles.symbol, self.candles.interval_ms
        names = list(self.logged or self.bundle.features)
        instrument = self.candles.instrument
        session: dict[str, Any] = {
            "format": "live/1",
            "interval_us": step * 1_000,
            "symbols": [symbol],
            "rules": self.rules.to_dict(),
            "book": [self.rules.to_dict()],
            "costs": {name: getattr(self.costs, name) for name in ("taker", "maker", "slippage")},
            "instrument": {
                name: getattr(instrument, name)
                for name in ("kind", "maintenance", "lot", "min_notional")
            },
            "initial_equity": 10_000.0,
            "features": names,
            "bundle_digest": self.bundle.digest,
            "history_from": {symbol: int(self.candles.open_time[0]) * 1_000},
            "code": bp.__version__,
        }
        base.executemany(
            "INSERT INTO session VALUES (?, ?)",
            [(k, v if isinstance(v, str) else json.dumps(v)) for k, v in session.items()],
        )
        base.executemany(
            "INSERT INTO bars VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            # The warm start is history: it is told by its first bar.
            [(symbol, bar[0] * 1_000, *bar[1:]) for bar in self.bars[WARM:]],
        )
        sides, marks = positions(result, len(self.bars) - WARM)
        for i, k in enumerate(range(WARM, len(self.bars))):
            opens = self.bars[k][0] * 1_000
            closes = opens + step * 1_000
            row = self.rows[k]
            said = None if np.isnan(p[k]) else float(p[k])
            base.execute(
                f"INSERT INTO decisions VALUES ({', '.join('?' * 17)})",
                (
                    symbol,
                    opens,
                    closes,
                    closes + 1_500_000 - self.early_ms * 1_000,
                    row_digest(row),
                    row.astype("<f8").tobytes() if self.values else None,
                    said,
                    None if said is None else 1.0 - said,
                    None,
                    None,
                    int(sides[i]),
                    float(marks[i]),
                    "by hand" if k in self.withheld else None,
                    self.bundle.digest,
                    self.rules.digest,
                    bp.__version__,
                    "{}",
                ),
            )
        marks_of = {"entry_time", "exit_time"}
        for trade in result.trades.filter(pl.col("reason") != "end").iter_rows(named=True):
            values = [
                int(v.timestamp() * 1e6) if name in marks_of else v for name, v in trade.items()
            ]
            base.execute(
                f"INSERT INTO trades VALUES ({', '.join('?' * (1 + len(values)))})",
                [symbol, *values],
            )
        base.commit()
        base.close()
        return file

    def log(self, folder: Path) -> bp.LiveLog:
        """Write it, and read it."""
        return bp.LiveLog.read(self.write(folder))


def positions(result: bp.Result, bars: int) -> tuple[NDArray[np.int64], Floats]:
    """Position after every bar, told bar by bar from the list of trades; marks, but at the end of an open trade."""
    sides = np.zeros(bars, np.int64)
    marks = result.equity["equity"].to_numpy().copy()
    trades = list(result.trades.iter_rows(named=True))
    for bar in range(bars):
        for trade in trades:
            ended = trade["reason"] != "end" and trade["exit_bar"] <= bar
            if trade["entry_bar"] <= bar and not ended:
                sides[bar] = 1 if trade["side"] == "long" else -1
    if trades and trades[-1]["reason"] == "end":
        last = trades[-1]
        sign = 1.0 if last["side"] == "long" else -1.0
        before = marks[-1] - last["pnl"]
        fee = last["quantity"] * last["entry_price"] * COSTS.taker
        close = result.candles.close[result.window[1] - 1]
        gain = sign * last["quantity"] * (close - last["entry_price"])
        marks[-1] = before - fee + last["funding"] + gain
    return sides, marks


def live(**changes: Any) -> Live:
    """The live system without a fault, with these changes."""
    candles, bundle = study()
    return replace(Live(candles, bundle), **changes, bars=[], rows=[])
