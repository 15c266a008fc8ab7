"""A small market on disk for the tests of the command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

import barproof as bp


@dataclass(frozen=True)
class Files:
    """Paths of what :func:`write_market` wrote."""

    folder: Path
    candles: Path
    funding: Path
    signals: Path

    @property
    def market(self) -> list[str]:
        """Words that name the market."""
        return [str(self.candles), "--instrument", "perpetual", "--funding", str(self.funding)]

    @property
    def run(self) -> list[str]:
        """Words that name market, signals and costs."""
        costs = ["--taker", "0.0005", "--slippage", "0.0001"]
        return [*self.market, "--signals", str(self.signals), "--kind", "score", *costs]


def write_market(folder: Path, bars: int = 6_000) -> Files:
    """Write candles, funding and signals of a simulated market."""
    candles = bp.simulate_candles(3, bars=bars, edge=0.1)
    files = Files(
        folder,
        folder / "simusdt_5m.parquet",
        folder / "funding.parquet",
        folder / "signals.parquet",
    )
    candles.to_polars().select("open_time", "open", "high", "low", "close", "volume").write_parquet(
        files.candles
    )
    funding = candles.funding
    assert funding is not None
    funding.write_parquet(files.funding)
    score = pl.Series("long", candles.planted)
    pl.DataFrame(
        {"open_time": candles.to_polars()["open_time"], "long": score, "short": -score}
    ).write_parquet(files.signals)
    return files
