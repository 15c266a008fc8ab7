"""Results and sweeps that were never run: the shape of the real ones, for the report to show."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from barproof._frames import METRICS
from barproof.audits.catalogue import AUDITS
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.report import Report

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


def finding(code: str = "ECO-01", outcome: Any = "fail", **more: Any) -> Finding:
    """A finding as an audit makes it; severity and slug are those of the catalogue."""
    audit = AUDITS[code]
    return Finding(
        id=code,
        slug=audit.slug,
        outcome=outcome,
        severity=more.pop("severity", audit.severity),
        title=more.pop("title", f"{audit.name.lower()} {outcome}"),
        docs=audit.docs,
        **more,
    )


WIN_RATE = finding(
    "ECO-01",
    "fail",
    title="win rate 51.6% [50.0, 53.2] (n=3,892) is below break-even 65.9%",
    measured=Measured(
        "win rate",
        0.5159,
        "fraction",
        form="wins over wins and losses",
        low=0.5002,
        high=0.5316,
        level=0.95,
        method="wilson",
        n=3892,
        n_eff=3100.4,
        p_value=3e-18,
    ),
    gate=Gate(">", 0.659, "case S004", "mean win +0.552%, mean loss -1.068%"),
    evidence={"break_even": 0.659, "payoff": math.inf, "note": None, "reached": [1.5] * 20},
    cause=("ECO-02 expectancy", "stops wider than targets"),
    remedy="widen the target: `Rules(take_profit=0.02)`",
    fixable=True,
    scope={"side": "long", "fold": 3},
    assumptions={"independence": "unchecked"},
    provenance={"seed": 7, "seconds": 0.25},
)

OVERLAP = finding(
    "SPL-02",
    "fail",
    title="20 of 150 labels reach into a later part",
    measured=Measured("labels that overlap", 20, "count", n=150),
    gate=Gate("=", 0, "default", "a label that looks at test bars tells the model what is in them"),
    evidence={
        "rows": [
            {"fold": i, "row": 6 + i, "ends": 10, "open_time": START, "p": 0.25, "part": "train"}
            for i in range(10)
        ],
        "total": 20,
    },
)  # fmt: skip

MEAN_TRADE = finding(
    "ECO-02",
    "inconclusive",
    title="the mean trade could be zero: +0.045% [-0.020%, +0.110%] (n=412)",
    measured=Measured(
        "mean trade return",
        0.00045,
        "fraction",
        low=-0.0002,
        high=0.0011,
        level=0.95,
        method="stationary bootstrap",
        n=412,
    ),
    gate=Gate(">", 0.0, "default", "the 95% interval of the mean trade must lie above 0"),
    remedy="gather more trades",
)

CRASH = finding(
    "LAB-02",
    "error",
    title="the audit crashed: KeyError: 'rule'",
    evidence={"traceback": "Traceback (most recent call last):\n  File ...\nKeyError: 'rule'"},
)

BALANCE = finding("LAB-03", "warn", title="class 1 holds 24.1% of 39,993 labels")
SKIPPED = finding("SPL-07", "skipped", title="skipped: needs candles and features")
GOOD = [
    finding(code, "pass") for code in ("DATA-01", "LAB-01", "SPL-01", "PAR-01", "ECO-09", "PRED-05")
]
EARNS = finding(
    "ECO-02",
    "pass",
    title="mean trade +0.207% [+0.081%, +0.338%] (n=410)",
    measured=Measured(
        "mean trade return", 0.00207, "fraction", low=0.00081, high=0.00338, level=0.95, n=410
    ),
)

GROUPS = ("labels", "splits", "economics")


def drift(names: tuple[str, ...] = ("rsi(14)", "log_return(1)", "a<b>")) -> Finding:
    """What the audit of drift finds: the first feature drifts, the others do not."""
    rows = [
        {
            "feature": name,
            "outcome": "pass" if i else "warn",
            "psi": 0.3 / (i + 1),
            "null_95": 0.2,
            "d": 0.1,
            "p": 0.01,
            "n_eff": [500, 100],
            "w1_over_sd": 0.2,
            "p_holm": 0.02 if not i else 1.0,
        }
        for i, name in enumerate(names)
    ]
    title = f"1 of {len(names)} features drift; most `{names[0]}`"
    return finding("PAR-06", "warn", title=title, evidence={"rows": rows, "total": len(rows)})


MIXED = (*GOOD, SKIPPED, BALANCE, MEAN_TRADE, OVERLAP, WIN_RATE)


def audit(*findings: Finding, **more: Any) -> Report:
    """A report of findings; with none given one that is refuted, and holds an example of every outcome but a crash."""
    some = findings or MIXED
    facts: dict[str, Any] = {
        "required": GROUPS,
        "inputs": {"candles": "c" * 64, "bars": 40_000, "result": {"engine": "replay"}},
        "provenance": {"barproof": "0.1.0", "seed": 0},
    }
    return Report(some, **(facts | more))


def choices(
    folds: int = 12, *, seed: int = 8, metric: str = "sharpe", idle: tuple[int, ...] = (3,)
) -> pl.DataFrame:
    """Choices of a walk-forward run: two axes that move together, one alone, one that never moves."""
    rng = np.random.default_rng(seed)
    week = 7 * 86_400_000
    entry = rng.choice([0.55, 0.6, 0.65], folds)
    stop = rng.choice([0.005, 0.01, 0.02], folds).tolist()
    chosen = rng.normal(2.4, 0.5, folds)
    judged = rng.normal(0.4, 1.0, folds)
    data: dict[str, Any] = {
        "fold": pl.Series(range(folds), dtype=pl.UInt32),
        "start": pl.Series([START + week * i for i in range(folds)], dtype=pl.Int64).cast(TIME),
        "end": pl.Series([START + week * (i + 1) for i in range(folds)], dtype=pl.Int64).cast(TIME),
        "combination": pl.Series(rng.integers(0, 27, folds), dtype=pl.UInt32),
        "entry_long": entry,
        "entry_short": entry,
        "stop_loss": stop,
        "max_hold": [96] * folds,
        f"chosen_{metric}": chosen,
        f"judged_{metric}": judged,
        "chosen_trades": pl.Series(rng.integers(10, 90, folds), dtype=pl.UInt32),
        "judged_trades": pl.Series(rng.integers(10, 90, folds), dtype=pl.UInt32),
    }
    frame = pl.DataFrame(data)
    blank = [c for c in frame.columns if c not in ("fold", "start", "end")]
    return frame.with_columns(
        pl.when(pl.col("fold").is_in(list(idle))).then(None).otherwise(pl.col(c)).alias(c)
        for c in blank
    )


@dataclass(frozen=True)
class WalkForward(Result):
    choices: pl.DataFrame = field(default_factory=choices)
    trials: int = 27


def walk_forward(frame: pl.DataFrame | None = None, **more: Any) -> WalkForward:
    """A result with choices."""
    made = result(**more)
    held = {name: getattr(made, name) for name in made.__dataclass_fields__}
    return WalkForward(**held, choices=choices() if frame is None else frame)


@dataclass(frozen=True)
class Labels:
    start: np.ndarray[Any, Any]
    end: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    labels: Labels


@dataclass(frozen=True)
class Run:
    frame: pl.DataFrame
    parts: Mapping[str, Part]
    folds: tuple[int, ...]
    candles: Any = None
    provenance: Mapping[str, str] = field(default_factory=lambda: {"model": "Fake(depth=3)"})

    def predictions(self, part: str = "test") -> pl.DataFrame:
        assert part == "test"
        return self.frame


def run(
    kind: str = "ternary",
    *,
    rows: int = 3_000,
    folds: int = 5,
    seed: int = 9,
    names: tuple[str, ...] = ("model",),
    reach: int = 6,
    edit: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> Run:
    """A run whose probabilities are true by construction; of regression a prediction with some skill."""
    rng = np.random.default_rng(seed)
    classes = {"ternary": [-1, 0, 1], "binary": [0, 1], "regression": []}[kind]
    row = np.arange(1_000, 1_000 + rows)
    frames = []
    for name in names:
        data: dict[str, Any] = {
            "fold": pl.Series(np.arange(rows) * folds // max(rows, 1), dtype=pl.UInt32),
            "row": row,
            "open_time": pl.Series(START + 300_000 * row, dtype=pl.Int64).cast(TIME),
            "part": [name] * rows,
        }
        if classes:
            p = rng.dirichlet(np.full(len(classes), 3.0), rows)
            drawn = (rng.random((rows, 1)) > np.cumsum(p, axis=1)).sum(axis=1)
            data["label"] = np.array(classes, dtype=float)[np.minimum(drawn, len(classes) - 1)]
            data |= {f"p_{c}": p[:, j] for j, c in enumerate(classes)}
        else:
            data["prediction"] = rng.normal(0, 0.001, rows)
            data["label"] = data["prediction"] + rng.normal(0, 0.003, rows)
        frames.append(pl.DataFrame(data))
    frame = pl.concat(frames)
    bars = 1_000 + rows
    start = np.arange(1, bars + 1)
    parts = {name: Part(Labels(start, start + reach - 1)) for name in names}
    made = frame if edit is None else edit(frame)
    return Run(made, parts, tuple(range(folds)), candles(100))
