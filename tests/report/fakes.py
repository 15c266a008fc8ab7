"""Results and sweeps that were never run: the shape of the real ones, for the report to show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from barproof._frames import METRICS

TIME = pl.Datetime("ms", "UTC")
START = 1_609_459_200_000  # 2021-01-01
NAN = math.nan

TRADE_SCHEMA: dict[str, Any] = {
    "combination": pl.UInt32,
    "window": pl.UInt32,
    "side": pl.String,
    "signal_bar": pl.UInt32,
    "entry_bar": pl.UInt32,
    "entry_time": TIME,
    "entry_price": pl.Float64,
    "exit_bar": pl.UInt32,
    "exit_time": TIME,
    "exit_price": pl.Float64,
    "quantity": pl.Float64,
    "notional": pl.Float64,
    "margin": pl.Float64,
    "fraction": pl.Float64,
    "p_entry": pl.Float64,
    "reason": pl.String,
    "bars_held": pl.UInt32,
    "fees": pl.Float64,
    "funding": pl.Float64,
    "pnl": pl.Float64,
    "return": pl.Float64,
    "ambiguous": pl.Boolean,
    "ambiguous_trail": pl.Boolean,
    "mae": pl.Float64,
    "mfe": pl.Float64,
}


@dataclass(frozen=True)
class Instrument:
    kind: str = "perpetual"


@dataclass(frozen=True)
class Candles:
    frame: pl.DataFrame
    symbol: str = "BTCUSDT"
    interval: str = "5m"
    interval_ms: int = 300_000
    instrument: Instrument = Instrument()
    digest: str = "c" * 64
    repairs: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    planted: Any = None

    def __len__(self) -> int:
        return self.frame.height

    def to_polars(self) -> pl.DataFrame:
        return self.frame


@dataclass(frozen=True)
class Signals:
    digest: str = "5" * 64
    kind: str = "probability"


@dataclass(frozen=True)
class Rules:
    entry_long: float | None = 0.6
    entry_short: float | None = 0.6
    stop_loss: float | None = 0.01
    take_profit: float | None = 0.02
    take_profit_order: str = "limit"
    trailing: float | None = None
    break_even: float | None = None
    max_hold: int | None = 48
    entry: str = "market"
    fill: str = "next_open"
    intrabar: str = "pessimistic"
    reverse: bool = False
    leverage: float = 1.0


@dataclass(frozen=True)
class Costs:
    taker: float = 0.0005
    maker: float = 0.0002
    slippage: float = 0.0001


@dataclass(frozen=True)
class Result:
    metrics: Mapping[str, Any]
    trades: pl.DataFrame
    equity: pl.DataFrame
    candles: Candles
    signals: Signals = Signals()
    rules: Any = Rules()
    costs: Any = Costs()
    window: tuple[int, int] = (0, 0)
    initial_equity: float = 10_000.0
    provenance: Mapping[str, str] = field(
        default_factory=lambda: {"rules": "a" * 64, "costs": "b" * 64, "engine": "replay"}
    )
    limits: tuple[Mapping[str, Any], Mapping[str, Any]] | None = None

    def stats(self) -> pl.DataFrame:
        rows = [("Bars", float(self.equity.height), None)]
        for row in METRICS:
            value = float(self.metrics[row["name"]])
            share = row["unit"] == "fraction"
            title = f"{row['label']} [%]" if share else row["label"]
            rows.append((title, value * 100 if share else value, None))
        schema = {"metric": pl.String, "strategy": pl.Float64, "buy_and_hold": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def range(self) -> tuple[Mapping[str, Any], Mapping[str, Any]] | None:
        return self.limits

    def by(self, group: str) -> pl.DataFrame:
        if group == "regime":
            raise KeyError(group)
        key = pl.col("entry_time").dt.hour() if group == "hour" else pl.col("side")
        return (
            self.trades.group_by(key.alias("group"))
            .agg(pl.len().alias("trades"), pl.col("return").mean().alias("mean_return"))
            .sort("group")
        )


@dataclass(frozen=True)
class Sweep:
    frame: pl.DataFrame
    pooled: pl.DataFrame
    axes: list[str]
    axis_groups: list[list[str]]
    windows: list[tuple[int, int]]
    provenance: Mapping[str, str] = field(default_factory=lambda: {"grid": "d" * 64})


def blank_metrics(**known: Any) -> dict[str, Any]:
    counts = {row["name"]: 0 for row in METRICS if row["unit"] == "count"}
    zeros = dict.fromkeys(("exposure", "fees", "funding", "trades_per_day"), 0.0)
    return {row["name"]: NAN for row in METRICS} | counts | zeros | known


def candles(bars: int, seed: int = 1, **more: Any) -> Candles:
    rng = np.random.default_rng(seed)
    close = 30_000 * np.exp(np.cumsum(rng.normal(0.0, 0.0012, bars)))
    before = np.concatenate([[30_000.0], close])[:bars]
    frame = pl.DataFrame(
        {
            "open_time": pl.Series(START + 300_000 * np.arange(bars), dtype=pl.Int64).cast(TIME),
            "open": before,
            "high": np.maximum(before, close) * 1.0005,
            "low": np.minimum(before, close) * 0.9995,
            "close": close,
            "volume": rng.gamma(2.0, 10.0, bars),
        }
    )
    return Candles(frame, **more)


def trades(market: Candles, count: int, seed: int = 2) -> pl.DataFrame:
    """Trades one after the other, a third of them ambiguous, on prices of the market."""
    if count == 0:
        return pl.DataFrame(schema=TRADE_SCHEMA)
    rng = np.random.default_rng(seed)
    bars = len(market)
    entry = np.sort(rng.choice(np.arange(1, bars - 1), count, replace=count > bars - 2))
    held = rng.integers(1, 40, count)
    leave = np.minimum(entry + held, bars - 1)
    price = market.frame["open"].to_numpy()
    sign = rng.choice([1, -1], count)
    move = sign * (price[leave] / price[entry] - 1) + rng.normal(0.0004, 0.002, count)
    equity = 10_000 * np.cumprod(np.concatenate([[1.0], 1 + move - 0.001]))
    stamps = market.frame["open_time"].cast(pl.Int64).to_numpy()
    pnl = np.diff(equity)
    reasons = np.where(move > 0.004, "take", np.where(move < -0.004, "stop", "time"))
    data = {
        "combination": np.zeros(count),
        "window": np.zeros(count),
        "side": np.where(sign > 0, "long", "short"),
        "signal_bar": entry - 1,
        "entry_bar": entry,
        "entry_time": stamps[entry],
        "entry_price": price[entry],
        "exit_bar": leave,
        "exit_time": stamps[leave],
        "exit_price": price[entry] * (1 + sign * move),
        "quantity": equity[:-1] / price[entry],
        "notional": equity[:-1],
        "margin": equity[:-1],
        "fraction": np.ones(count),
        "p_entry": rng.uniform(0.6, 0.9, count),
        "reason": reasons,
        "bars_held": held,
        "fees": equity[:-1] * 0.001,
        "funding": rng.normal(0, 0.2, count),
        "pnl": pnl,
        "return": pnl / equity[:-1],
        "ambiguous": rng.random(count) < 0.08,
        "ambiguous_trail": rng.random(count) < 0.02,
        "mae": -np.abs(rng.normal(0, 0.004, count)),
        "mfe": np.abs(rng.normal(0, 0.005, count)),
    }
    return pl.DataFrame(data).with_columns(
        pl.col(name).cast(pl.Int64).cast(kind) if kind == TIME else pl.col(name).cast(kind)
        for name, kind in TRADE_SCHEMA.items()
    )


def result(bars: int = 20_000, count: int = 300, *, seed: int = 3, **more: Any) -> Result:
    """A result that looks real: trades on a random walk, equity that follows them, metrics that agree."""
    market = more.pop("candles", None) or candles(bars, seed)
    done = trades(market, count, seed + 1)
    steps = np.zeros(bars)
    np.add.at(steps, done["exit_bar"].to_numpy(), done["pnl"].to_numpy())
    line = np.maximum(10_000 + np.cumsum(steps), 0.0)
    equity = market.frame.select("open_time").with_columns(pl.Series("equity", line))
    peak = np.maximum(np.maximum.accumulate(line), 10_000.0) if bars else np.array([1.0])
    gains = done["return"].to_numpy()
    known: dict[str, Any] = {
        "total_return": line[-1] / 10_000 - 1 if bars else NAN,
        "max_drawdown": float(np.max(1 - line / peak)) if bars else NAN,
        "final_equity": line[-1] if bars else NAN,
        "trades": count,
        "buy_hold_return": float(market.frame["close"][-1] / market.frame["open"][0] - 1)
        if bars
        else NAN,
    }
    if count:
        up, down = gains[gains > 0], gains[gains < 0]
        known |= {
            "cagr": 0.31,
            "volatility": 0.22,
            "sharpe": 1.37,
            "sharpe_daily": 1.37 / math.sqrt(365),
            "sortino": 2.05,
            "calmar": 1.9,
            "wins": int(up.size),
            "win_rate": up.size / count,
            "mean_win": up.mean() if up.size else NAN,
            "mean_loss": down.mean() if down.size else NAN,
            "payoff": 1.1,
            "profit_factor": up.sum() / -down.sum() if down.size else math.inf,
            "expectancy": gains.mean(),
            "break_even_win_rate": 0.48,
            "exposure": 0.3,
            "mean_bars_held": float(done["bars_held"].cast(pl.Float64).to_numpy().mean()),
            "trades_per_day": 4.2,
            "longest_losing_run": 7,
            "ambiguous_share": float(done["ambiguous"].cast(pl.Float64).to_numpy().mean()),
            "ambiguous_trail_share": 0.0,
            "fees": float(done["fees"].sum()),
            "funding": float(done["funding"].sum()),
        }
    metrics = blank_metrics(**known) | more.pop("metrics", {})
    made = Result(metrics, done, equity, market, window=(0, bars))
    return replace(made, **more)


def sweep(
    axes: Mapping[str, list[Any]] | None = None,
    *,
    windows: int = 6,
    seed: int = 5,
    metric: Callable[[int], float] | None = None,
) -> Sweep:
    """A sweep over the product of axes; `entry_short` follows `entry_long`."""
    axes = {
        "entry_long": [0.55, 0.6, 0.65, 0.7],
        "stop_loss": [None, 0.005, 0.01, 0.02],
        "max_hold": [12, 48, 96],
    } if axes is None else dict(axes)  # fmt: skip
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = [{}]
    for name, values in axes.items():
        rows = [{**row, name: value} for row in rows for value in values]
    names = list(axes)
    if "entry_long" in axes:
        rows = [{**row, "entry_short": row["entry_long"]} for row in rows]
        names.append("entry_short")
    n = len(rows)
    sharpe = rng.normal(0.4, 1.1, n) + 1.5 * np.sin(np.arange(n) / max(n, 1) * 6)
    if metric is not None:
        sharpe = np.array([metric(i) for i in range(n)])
    columns = {
        "total_return": np.nan_to_num(sharpe, nan=0, posinf=5, neginf=-0.9) * 0.1,
        "cagr": sharpe * 0.08,
        "sharpe": sharpe,
        "max_drawdown": rng.uniform(0.05, 0.4, n),
        "trades": rng.integers(0, 900, n),
        "win_rate": rng.uniform(0.4, 0.6, n),
        "profit_factor": rng.uniform(0.7, 1.6, n),
    }
    base = pl.DataFrame(rows, infer_schema_length=None) if names else pl.DataFrame()
    numbers = pl.DataFrame({"combination": pl.Series(np.arange(n), dtype=pl.UInt32)})
    parts = [numbers, base, pl.DataFrame(columns)] if names else [numbers, pl.DataFrame(columns)]
    pooled = pl.concat(parts, how="horizontal")
    month = 30 * 86_400_000
    frame = pl.concat(
        pooled.with_columns(
            pl.lit(w, pl.UInt32).alias("window"),
            pl.lit(START + w * month).cast(TIME).alias("start"),
            pl.lit(START + (w + 1) * month).cast(TIME).alias("end"),
            (pl.col("total_return") / windows + pl.Series(rng.normal(0, 0.02, n))).alias(
                "total_return"
            ),
        )
        for w in range(windows)
    )
    groups = [[a, "entry_short"] if a == "entry_long" else [a] for a in axes]
    bounds = [(w * 8640, (w + 1) * 8640) for w in range(windows)]
    return Sweep(frame, pooled, names, groups, bounds)
