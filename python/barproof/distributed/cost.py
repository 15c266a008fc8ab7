"""What a sweep costs: by entry, trade, row, bar and shard on a processor, and by shard, row and byte on the driver.

::

    processor seconds = shards * shard + bars * bar + entries * entry + trades * trade
                        + combinations * combination + rows * row
    wall seconds      = start + put bytes * byte
                        + max(working, driver seconds) + min(working, driver seconds) / rounds
    working           = prepared + processor seconds / processors
    rounds            = shards a processor: what the driver takes of the last one nobody computes beside
    driver seconds    = shards * send + rows * take

An *entry* is one that a group of combinations with the same thresholds looks at, once for all of them; a *trade* is
one of one combination; a *combination* has a row of the pooled frame; a *row* is a combination on a window; *bars* are
those that a process prepares. The coefficients are fitted to runs by least squares of the relative error, none below
zero. What was fitted where, and how far it was off on runs ten times as large, stands in docs/distributed.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

__all__ = ["BAR", "DRIVER", "Counts", "DriverCost", "WorkerCost", "wall_seconds"]


@dataclass(frozen=True)
class Counts:
    """What a sweep amounts to.

    Attributes
    ----------
    shards, bars, entries, trades, combinations, rows : float
        Parts that are run; bars that are prepared, once a process and symbol; entries looked at; trades of all
        combinations; combinations of all symbols; combinations times windows.
    """

    shards: float
    bars: float
    entries: float
    trades: float
    combinations: float
    rows: float


@dataclass(frozen=True)
class WorkerCost:
    """Seconds of one processor.

    Attributes
    ----------
    shard, bar, entry, trade, combination, row : float
        Seconds each, at least 0.
    """

    shard: float
    bar: float
    entry: float
    trade: float
    combination: float
    row: float

    def seconds(self, counts: Counts) -> float:
        """Processor seconds of so much work.

        Parameters
        ----------
        counts : Counts
            What is to be done.

        Returns
        -------
        float
            Seconds.

        Examples
        --------
        >>> WorkerCost(0.001, 0.0, 0.0, 1e-8, 0.0, 1e-6).seconds(Counts(10, 0, 0, 1_000_000, 9, 1_000))
        0.021
        """
        return float(sum(a * b for a, b in zip(astuple(self), astuple(counts), strict=True)))

    @classmethod
    def fit(cls, runs: Sequence[tuple[Counts, float]]) -> WorkerCost:
        """Fit the coefficients to runs.

        Parameters
        ----------
        runs : sequence of (Counts, float)
            What was done, and processor seconds that it took, above 0.

        Returns
        -------
        WorkerCost
            Least squares of the relative error, no coefficient below 0.

        Examples
        --------
        >>> cost = WorkerCost(0.002, 1e-8, 5e-8, 1e-8, 1e-7, 1e-6)
        >>> runs = [(Counts(k, k * k, k**3, 7.0, 2.0**k, 3.0**k), 0.0) for k in range(1, 9)]
        >>> found = WorkerCost.fit([(counts, cost.seconds(counts)) for counts, _ in runs])
        >>> abs(found.shard / cost.shard - 1) < 1e-6
        True
        """
        from scipy.optimize import nnls

        rows = np.array([astuple(counts) for counts, _ in runs], dtype=np.float64)
        seconds = np.array([took for _, took in runs], dtype=np.float64)
        weighed = rows / seconds[:, None]
        # Alike in size, so that the solver's tolerance is the same for each.
        scale = np.maximum(np.abs(weighed).max(axis=0), 1e-300)
        found, _ = nnls(weighed / scale, np.ones(len(runs)))
        return cls(*(found / scale).tolist())


@dataclass(frozen=True)
class DriverCost:
    """Seconds of the process that calls, which sends shards and takes what they found.

    Attributes
    ----------
    start : float
        Until a new worker has loaded what it needs.
    send : float
        A shard, sent and taken.
    take : float
        A row of the frame, taken.
    byte : float
        A byte put into the object store.
    """

    start: float
    send: float
    take: float
    byte: float

    def seconds(self, shards: float, rows: float) -> float:
        """Seconds of the driver alone, while workers run.

        Parameters
        ----------
        shards, rows : float
            How many are sent, and come back.

        Returns
        -------
        float
            Seconds.
        """
        return shards * self.send + rows * self.take


DRIVER = DriverCost(start=2.1, send=1.2e-3, take=1.0e-6, byte=9e-10)
"""As measured on the machine of docs/distributed.md; what `plan` counts with."""

BAR = 6e-8
"""Seconds a bar in which a process prepares candles and signals, as fitted there."""


def wall_seconds(
    processor_seconds: float,
    processors: int,
    shards: float,
    rows: float,
    put_bytes: float,
    *,
    prepared: float = 0.0,
    started: bool = False,
) -> float:
    """Wall time of a job on a cluster: workers and driver side by side, but for the driver's part of the last round.

    Parameters
    ----------
    processor_seconds : float
        Of all shards on one processor.
    processors : int
        That work at once.
    shards, rows : float
        That the driver sends and takes.
    put_bytes : float
        Of what is put into the object store.
    prepared : float, default 0
        Seconds in which each worker prepares what it works on.
    started : bool, default False
        Whether workers run already.

    Returns
    -------
    float
        Seconds.
    """
    working, driving = prepared + processor_seconds / processors, DRIVER.seconds(shards, rows)
    rounds = max(1.0, shards / processors)
    longest = max(working, driving) + min(working, driving) / rounds
    return (0.0 if started else DRIVER.start) + put_bytes * DRIVER.byte + longest
