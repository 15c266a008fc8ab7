"""A project folder with claims: true ones, and each kind of wrong one."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof.claims import ClaimSet, load_claims

WINS, LOSSES = 120, 80
RETURNS = np.r_[np.full(WINS, 0.02), np.full(LOSSES, -0.01)]


def toml(records: list[dict[str, Any]], system: str = "v5") -> str:
    lines = [f'system = "{system}"'] if system else []
    for record in records:
        lines.append("\n[[claim]]")
        for name, value in record.items():
            # JSON's texts, numbers and lists are TOML's; tables are written inline.
            if isinstance(value, dict):
                inner = ", ".join(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in value.items())
                lines.append(f"{name} = {{ {inner} }}")
            else:
                lines.append(f"{name} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def project(folder: Path) -> Path:
    """Trades, equity and a JSON document to claim of."""
    start = np.datetime64("2024-01-01T00:00:00", "ms") + np.arange(200) * np.timedelta64(6, "h")
    order = np.random.default_rng(1).permutation(200)
    pl.DataFrame(
        {"entry_time": start, "exit_time": start + np.timedelta64(1, "h"), "return": RETURNS[order]}
    ).write_csv(folder / "trades.csv")
    days = np.datetime64("2024-01-01", "ms") + np.arange(100) * np.timedelta64(1, "D")
    equity = 100 * np.cumprod(1 + np.tile([0.01, -0.005], 50))
    pl.DataFrame({"time": days, "equity": equity}).write_parquet(folder / "equity.parquet")
    (folder / "run.json").write_text(
        json.dumps({"system": "v5", "metrics": {"sharpe": 1.27, "windows": [3, 4]}})
    )
    (folder / "code.py").write_text("raise SystemExit('never run')\n")
    return folder


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def good(folder: Path) -> list[dict[str, Any]]:
    """Claims that hold."""
    trades = {"artefact": "trades.csv", "sha256": sha(folder / "trades.csv"), "system": "v5"}
    share = {"n": 200, "low": 53.1, "high": 66.5, "null": 33.3}
    return [
        {"id": "wins", "value": "60.0", "unit": "percent", "metric": "win_rate", **share, **trades},
        {"id": "trades", "value": 200, "unit": "count", "metric": "trades", **trades},
        {"id": "mean", "value": "0.80", "unit": "percent", "metric": "mean_return", "n": 200, "low": 0.6, "high": 1.0,
         "null": 0.0, **trades},
        {"id": "sharpe", "value": 1.27, "pointer": "/metrics/sharpe", "artefact": "run.json",
         "sha256": sha(folder / "run.json"), "n": 200, "low": 0.4, "high": 2.1, "null": 0.0, "system": "v5",
         "inputs": {"code.py": sha(folder / "code.py")}},
        {"id": "rate", "value": "4.0", "metric": "trades_per_day", "unit": "count",
         "observed": {"count": 9, "days": 2.5}, **trades},
        {"id": "edge", "value": "0.80", "unit": "percent", "derived": "{wins} * 0.02 - (1 - {wins}) * 0.01",
         "kind": "expected", "text": "We expect 0.80% a trade."},
        {"id": "week", "value": "0.7", "unit": "percent", "period_days": 7, "kind": "target",
         "text": "target: 0.7% a week"},
    ]  # fmt: skip


def load(folder: Path, records: list[dict[str, Any]], **pages: str) -> ClaimSet:
    (folder / "claims.toml").write_text(toml(records))
    for name, text in pages.items():
        (folder / f"{name}.md").write_text(text)
    return load_claims(folder / "claims.toml", pages=[folder / f"{name}.md" for name in pages])
