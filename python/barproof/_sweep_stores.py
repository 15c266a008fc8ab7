"""Where the frames of a sweep are: in memory, in a folder, or one symbol of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import polars as pl

from barproof._sweep_files import SweepFolder

__all__ = ["InFolder", "InMemory", "OfSymbol", "Store"]


class Store(Protocol):
    """Where the frames are: in memory, or in a folder that is read when asked."""

    def frame(self) -> pl.DataFrame:
        """Rows of all windows."""

    def pooled(self) -> pl.DataFrame:
        """Rows over all windows."""

    def scan(self) -> pl.LazyFrame:
        """Rows of all windows, not yet read."""


@dataclass(frozen=True)
class InMemory:
    """Frames that are there."""

    held: pl.DataFrame
    over: pl.DataFrame

    def frame(self) -> pl.DataFrame:
        """Rows of all windows."""
        return self.held

    def pooled(self) -> pl.DataFrame:
        """Rows over all windows."""
        return self.over

    def scan(self) -> pl.LazyFrame:
        """Rows of all windows, not yet read."""
        return self.held.lazy()


@dataclass(frozen=True)
class InFolder:
    """Parts of a folder, with the rows of both tables."""

    folder: SweepFolder
    rows: int
    over: int

    def frame(self) -> pl.DataFrame:
        """Rows of all windows."""
        return self.folder.read("frame", self.rows)

    def pooled(self) -> pl.DataFrame:
        """Rows over all windows."""
        return self.folder.read("pooled", self.over)

    def scan(self) -> pl.LazyFrame:
        """Rows of all windows, not yet read."""
        return self.folder.scan("frame")


@dataclass(frozen=True)
class OfSymbol:
    """One symbol of several."""

    whole: Store
    symbol: str

    def frame(self) -> pl.DataFrame:
        """Rows of all windows."""
        return self.scan().collect()

    def pooled(self) -> pl.DataFrame:
        """Rows over all windows."""
        return self.whole.pooled().filter(pl.col("symbol") == self.symbol).drop("symbol")

    def scan(self) -> pl.LazyFrame:
        """Rows of all windows, not yet read."""
        return self.whole.scan().filter(pl.col("symbol") == self.symbol).drop("symbol")
