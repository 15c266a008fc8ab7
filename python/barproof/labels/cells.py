"""Cells of label sweeps: what the core is asked for, how labels are made again, and how they are cut into parts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from barproof import _core
from barproof._grid import Grid
from barproof._progress import Progress
from barproof.labels.forward import horizon
from barproof.labels.model import Clock, Kind, Labels
from barproof.labels.trades import engine_options, triple_barrier
from barproof.rules import Costs

__all__ = ["Cells", "HorizonCells", "TradeCells"]


class Cells(Protocol):
    """Cells of one kind of labels, in the order of the core."""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What each varies in."""

    def run(self, volume: Any, threads: int, progress: Progress | None) -> dict[str, Any]:
        """Count them."""

    def labels(self, cell: int, threads: int | None) -> Labels:
        """Labels of one cell, before volumes leave any out."""

    def parts(self, count: int) -> list[Cells]:
        """Cut them into so many, or fewer, whose counts follow each other."""


@dataclass(frozen=True, eq=False)
class HorizonCells:
    """Lengths x thresholds x least volumes; the core takes the last two from the least."""

    rows: list[dict[str, Any]]
    candles: Any
    lengths: list[Any]
    levels: list[float]
    least: list[float]
    kind: Kind
    clock: Clock

    def run(self, volume: Any, threads: int, progress: Progress | None) -> dict[str, Any]:
        """Count them."""
        found: dict[str, Any] = _core.horizon_cells(
            self.candles._bars,
            lengths=self.lengths,
            levels=sorted(self.levels),
            ternary=self.kind == "ternary",
            clock=self.clock,
            volume=volume,
            least=sorted(self.least),
            threads=threads,
            progress=progress,
        )
        return found

    def labels(self, cell: int, threads: int | None) -> Labels:
        """Labels of one cell, before volumes leave any out."""
        row = self.rows[cell]
        return horizon(
            self.candles,
            bars=row["bars"],
            threshold=row["threshold"],
            kind=self.kind,
            clock=self.clock,
            threads=threads,
        )

    def parts(self, count: int) -> list[Cells]:
        """Cut them by lengths."""
        return [
            replace(self, lengths=self.lengths[a:b]) for a, b in _spans(len(self.lengths), count)
        ]


@dataclass(frozen=True, eq=False)
class TradeCells:
    """Combinations x sides x least volumes."""

    rows: list[dict[str, Any]]
    candles: Any
    grid: Grid
    span: tuple[int, int]
    sides: list[str]
    least: list[float]
    threshold: float
    costs: Costs
    signals: Any
    initial_equity: float

    def run(self, volume: Any, threads: int, progress: Progress | None) -> dict[str, Any]:
        """Count them."""
        low, high = self.span
        longest = max(
            (self.grid[i] for i in range(len(self.grid))), key=lambda member: member.max_hold or 0
        )
        options = engine_options(
            self.candles, longest, self.costs, self.signals, self.initial_equity, None
        )
        del options["finer"]
        found = []
        total = (high - low) * len(self.sides) * len(self.least)
        for number, one in enumerate(self.sides):
            done = number * (high - low) * len(self.least)

            def report(now: int, _total: int, done: int = done) -> None:
                if progress is not None:
                    progress(done + now, total)

            cells = _core.trade_cells(
                self.candles._bars,
                self.grid.rules.to_dict(),
                {name: values[low:high] for name, values in self.grid._columns.items()},
                high - low,
                long=one == "long",
                threshold=self.threshold,
                volume=volume,
                least=self.least,
                threads=threads,
                progress=None if progress is None else report,
                **options,
            )
            found.append(cells)
        shape = (high - low, 1, len(self.least))
        return {
            name: np.concatenate([cells[name].reshape(shape) for cells in found], axis=1).ravel()
            for name in found[0]
        }

    def labels(self, cell: int, threads: int | None) -> Labels:
        """Labels of one cell, before volumes leave any out."""
        return triple_barrier(
            self.candles,
            self.grid[cell // (len(self.sides) * len(self.least))],
            costs=self.costs,
            side=self.rows[cell]["side"],
            threshold=self.threshold,
            signals=self.signals,
            initial_equity=self.initial_equity,
            threads=threads,
        )

    def parts(self, count: int) -> list[Cells]:
        """Cut them by combinations."""
        return [replace(self, span=span) for span in _spans(len(self.grid), count)]


def _spans(size: int, count: int) -> list[tuple[int, int]]:
    """Cut a length into so many parts, or into parts of one."""
    edges = np.linspace(0, size, min(size, count) + 1).round().astype(int).tolist()
    return list(pairwise(edges))
