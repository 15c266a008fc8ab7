"""A folder as case S004 left it: claims, trades, models, configurations; and as it should have been."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from examples.casework import Case
from examples.s004_gating.system import DAY, System

# With fees, funding and profit a reader can compute every return again (FILL-05).
KEPT = (
    "side entry_time entry_price exit_time exit_price quantity reason bars_held fees funding pnl return"
).split()
PAGE = {
    "broken": """# Opportunity gating bot

The bot returned +38.04%<!-- claim: window-return --> per 5-day window over 108 windows, with
73.86%<!-- claim: window-wins --> wins and 4.6<!-- claim: window-rate --> trades a day. With 0.80/0.80 it earned
+29.02%<!-- claim: week-return --> a week. Four live trades: success.
""",
    "mended": """# Gating bot

{wins}%<!-- claim: wins --> of {trades}<!-- claim: trades --> trades won, {rate}<!-- claim: rate --> a day.
Next month it is expected to earn {mean}%<!-- claim: next --> a trade.
""",
}


def write_folder(
    case: Case,
    system: System,
    lived: pl.DataFrame,
    days: float,
    improved: pl.DataFrame | None = None,
) -> Path:
    """Write the folder and return its ``claims.toml``; it is there whole or not at all."""
    folder, part = case.out / "folder", case.out / ".folder.part"
    if folder.exists():
        return folder / "claims.toml"
    if part.exists():
        shutil.rmtree(part)
    for name in ("trades", "models", "configs"):
        (part / name).mkdir(parents=True)
    files = {"backtest": system.result.trades, "live": lived}
    if improved is not None:
        files["improved"] = improved
    for name, trades in files.items():
        trades.select(KEPT).write_csv(part / "trades" / f"{name}.csv")
    _config(part / "configs" / "backtest.json", system, system.features.names)
    production = bp.FeatureSet.preset("gating_171").names if case.broken else system.features.names
    system.run.bundles[-1].save(part / "models" / "latest")
    if case.broken:
        (part / "trades" / "month.json").write_text('{"trades": 0, "highest": 0.15}\n')
    told = _broken(part, system) if case.broken else _mended(part, system, lived, days)
    # Production was set up after the claims were made.
    _config(part / "configs" / "production.json", system, production)
    _trainings(case, part / "ledger.sqlite", system, production)
    if case.broken:
        with (part / "configs" / "backtest.json").open("a") as file:
            file.write("\n")
    _toml(part / "claims.toml", "v5", told)
    numbers = {claim["id"]: claim["value"] for claim in told}
    page = PAGE[case.told.variant]
    (part / "README.md").write_text(
        page
        if case.broken
        else page.format(
            **{name: numbers[name] for name in ("wins", "trades", "rate")}, mean=numbers["next"]
        )
    )
    os.replace(part, folder)
    return folder / "claims.toml"


def _config(path: Path, system: System, features: tuple[str, ...]) -> None:
    told = {"features": list(features), "rules": system.rules.to_dict()}
    path.write_text(json.dumps(told, indent=1, default=str) + "\n")


def _trainings(case: Case, book: Path, system: System, production: tuple[str, ...]) -> None:
    """Train the last window again, on what the backtest saw and on what production computed.

    Each training enters itself: `barproof ledger history features --path .../ledger.sqlite`.
    """
    labels, fold = system.run.parts["long"].labels, system.run.folds[-1]
    seen = [system.table.select("open_time", *system.features.names)]
    if production != system.features.names:
        seen.append(bp.FeatureSet(list(production)).compute(system.candles))
    for table in seen:
        bp.train(
            bp.models.Logistic(C=0.003),
            table,
            labels,
            [fold],
            seed=case.seed,
            calibrate=None,
            ledger=book,
            progress=False,
        )


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _broken(folder: Path, system: System) -> list[dict[str, Any]]:
    """Give what S004 said: of 2,506 trades in 108 windows, of another bot, of weeks to come, of four trades."""
    own = {
        "artefact": "trades/backtest.csv",
        "sha256": _sha(folder / "trades" / "backtest.csv"),
        "inputs": {"configs/backtest.json": _sha(folder / "configs" / "backtest.json")},
        "model": "full data",
    }
    live = {"artefact": "trades/live.csv", "sha256": _sha(folder / "trades" / "live.csv")}
    better = {
        "artefact": "trades/improved.csv",
        "sha256": _sha(folder / "trades" / "improved.csv"),
        "model": "improved labels",
    }
    r = system.result.trades["return"]
    windows = {"model": "108 windows"}
    return [
        {
            "id": "window-return",
            "value": "38.04",
            "unit": "percent",
            "period_days": 5,
            "text": "returned +38.04% per 5-day window",
            **windows,
        },
        {
            "id": "window-wins",
            "value": "73.86",
            "unit": "percent",
            "metric": "win_rate",
            "n": 2506,
            **windows,
        },
        {"id": "window-trades", "value": "2506", "unit": "count", "metric": "trades", **windows},
        {
            "id": "window-rate",
            "value": "4.6",
            "derived": "{window-trades} / 108 / 5",
            "observed": {"count": 4, "days": 3.0},
            **windows,
        },
        {
            "id": "full-wins",
            "value": "73.86",
            "unit": "percent",
            "metric": "win_rate",
            "n": len(r),
            **own,
        },
        {
            "id": "full-return",
            "value": f"{((1 + r).product() - 1) * 100:.2f}",
            "unit": "percent",
            "metric": "total_return",
            "n": len(r),
            **own,
        },
        {
            "id": "week-return",
            "value": "29.02",
            "unit": "percent",
            "kind": "expected",
            "period_days": 7,
            "text": "0.80/0.80 earned +29.02% a week",
            **windows,
        },
        {
            "id": "v4-return",
            "value": "17.55",
            "unit": "percent",
            "system": "v4",
            "model": "v4",
            "text": "the previous bot made +17.55%",
        },
        {"id": "even", "value": "52", "unit": "percent", "kind": "quoted", "model": "full data"},
        {
            "id": "even-edge",
            "value": "-48",
            "unit": "percent",
            "kind": "quoted",
            "derived": "{even} - (1 - {even}) * 2",
            "model": "full data",
        },
        {"id": "net-a", "value": "-0.10", "unit": "percent", "quantity": "net edge", **better},
        {"id": "net-b", "value": "-0.22", "unit": "percent", "quantity": "net edge", **better},
        {
            "id": "month-trades",
            "value": "0",
            "unit": "count",
            "artefact": "trades/month.json",
            "pointer": "/trades",
            "sha256": _sha(folder / "trades" / "month.json"),
            "model": "30 days",
        },
        {
            "id": "live-trades",
            "value": "4",
            "unit": "count",
            "metric": "trades",
            "model": "live, 171 features",
            "text": "four live trades: success",
            **live,
        },
    ]


def _mended(folder: Path, system: System, lived: pl.DataFrame, days: float) -> list[dict[str, Any]]:
    """Give numbers with their files, their intervals, and what no skill would give."""
    trades = system.result.trades
    r = trades["return"].to_numpy()
    n, wins = len(r), int((r > 0).sum())
    won, lost = float(r[r > 0].mean()), float(-r[r < 0].mean())
    interval, mean = bp.stats.wilson(wins, n), bp.stats.mean_interval(r)
    # What compounds is the mean of logarithms.
    growth = bp.stats.mean_interval(np.log1p(r))
    span = (trades["exit_time"].max() - trades["entry_time"].min()).total_seconds() / 86_400
    tested = (system.window[1] - system.window[0]) / DAY
    own = {
        "system": "v5",
        "model": "latest",
        "artefact": "trades/backtest.csv",
        "sha256": _sha(folder / "trades" / "backtest.csv"),
        "inputs": {"configs/backtest.json": _sha(folder / "configs" / "backtest.json")},
    }
    share = {"unit": "percent", "n": n}
    return [
        {
            "id": "wins",
            "value": f"{100 * wins / n:.2f}",
            "metric": "win_rate",
            "low": round(100 * interval.low, 2),
            "high": round(100 * interval.high, 2),
            "null": round(100 * lost / (won + lost), 2),
            "text": "wins, measured on test bars",
            **share,
            **own,
        },
        {"id": "trades", "value": str(n), "unit": "count", "metric": "trades", **own},
        {
            "id": "mean",
            "value": f"{100 * r.mean():.4f}",
            "metric": "mean_return",
            "low": round(100 * mean.low, 4),
            "high": round(100 * mean.high, 4),
            "null": 0.0,
            **share,
            **own,
        },
        {
            "id": "total",
            "value": f"{100 * float(pl.Series(1 + r).product() - 1):.2f}",
            "metric": "total_return",
            "period_days": tested,
            "low": round(100 * float(np.expm1(n * growth.low)), 2),
            "high": round(100 * float(np.expm1(n * growth.high)), 2),
            "null": 0.0,
            **share,
            **own,
        },
        {
            "id": "rate",
            "value": f"{n / span:.1f}",
            "metric": "trades_per_day",
            "observed": {"count": lived.height, "days": days},
            "n": n,
            "low": round((n - 1.96 * n**0.5) / span, 2),
            "high": round((n + 1.96 * n**0.5) / span, 2),
            "null": 0.0,
            **own,
        },
        {
            "id": "next",
            "value": f"{100 * r.mean():.2f}",
            "unit": "percent",
            "kind": "expected",
            "quantity": "mean trade, expected",
            "system": "v5",
            "model": "latest",
            "text": "expected: the mean of the past",
            "derived": "{mean}",
        },
        {
            "id": "again",
            "value": f"{100 * wins / n:.1f}",
            "metric": "win_rate",
            "low": round(100 * interval.low, 2),
            "high": round(100 * interval.high, 2),
            "null": round(100 * lost / (won + lost), 2),
            **share,
            **own,
        },
    ]


def _toml(path: Path, system: str, claims: list[dict[str, Any]]) -> None:
    lines = [f'system = "{system}"']
    for claim in claims:
        lines += ["", "[[claim]]"]
        for name, value in claim.items():
            if isinstance(value, dict):
                inner = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
                lines.append(f"{name} = {{ {inner} }}")
            else:
                lines.append(f"{name} = {json.dumps(value)}")
    path.write_text("\n".join(lines) + "\n")
