"""What a sweep takes: rows, memory, time, and the way of each combination."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from barproof._frames import METRICS
from barproof._machine import available_bytes
from barproof._shown import facts_of, shown
from barproof._sweep_job import Job, Leg, Piece, call, routes
from barproof._windows import Window

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew

__all__ = ["Plan", "Route", "planned"]

_PROBE_BARS = 200_000
_PROBE_SECONDS = 0.25
_PROBE_BLOCK = 8
# Of a row of the frame on the disk, and to write it there: 40 numbers of which a third are counts.
_DISK_BYTES = 6 * len(METRICS)
_WRITE_SECONDS = 2e-6

_WAYS = {
    "shared": "share their entries",
    "walk": "walk by themselves",
    "account": "share an account",
    "replay": "go bar by bar",
}


@dataclass(frozen=True)
class Route:
    """Combinations that take one way, for one reason; every way gives the same bits.

    Attributes
    ----------
    path : str
        ``"shared"``: from event to event, each entry looked at once for all combinations that enter alike;
        ``"walk"``: from event to event, by itself; ``"replay"``: bar by bar.
    reason : str or None
        What keeps them from a shorter way.
    combinations, groups : int
        How many they are, and how many groups of them enter alike.
    """

    path: str
    reason: str | None
    combinations: int
    groups: int

    def __str__(self) -> str:
        way = _WAYS.get(self.path, f"go by {self.path}")
        groups = (
            f" in {self.groups:,} group{'s' if self.groups != 1 else ''}" if self.groups else ""
        )
        why = f" ({self.reason})" if self.reason else ""
        return f"{self.combinations:,} {way}{groups}{why}"


@shown(facts_of)
@dataclass(frozen=True)
class Plan:
    """What a sweep would take.

    Attributes
    ----------
    combinations, windows, rows : int
        Size of the job; `windows` are those of all symbols together, `rows` are those of `Sweep.frame`.
    bar_steps : int
        Bars times combinations.
    threads : int
        Worker threads.
    path : str
        Engine: ``"indexed"``, or ``"replay"`` where that was asked for, or the candles or finer candles need it.
    paths : tuple of Route
        Ways that combinations take; every symbol and set of signals counts its own.
    memory_bytes, available_bytes : int
        Estimated peak of the results, and what the machine has free.
    seconds : float
        Estimated wall time, from a probe; of `Sweep.plan` what it took.
    parts, disk_bytes : int
        With ``out=`` the parts that the folder will hold, and its estimated size; else 0.
    workers, shards : int
        With ``executor=`` workers that run at once, of `threads` each, and shards that are sent to them; else 1 and 0.
    """

    combinations: int
    windows: int
    rows: int
    bar_steps: int
    threads: int
    path: str
    paths: tuple[Route, ...]
    memory_bytes: int
    available_bytes: int
    seconds: float
    parts: int = 0
    disk_bytes: int = 0
    workers: int = 1
    shards: int = 0

    def __str__(self) -> str:
        disk = (
            f", {self.parts:,} parts of together {self.disk_bytes / 2**20:,.0f} MiB on the disk"
            if self.parts
            else ""
        )
        crew = ""
        if self.shards:
            crew = f"{self.workers:,} workers for {self.shards:,} shards, each with "
        return (
            f"{self.combinations:,} combinations x {self.windows:,} windows = {self.rows:,} rows, "
            f"{self.bar_steps / 1e9:,.2f} G bar steps on {crew}{self.threads} threads by {self.path}: "
            f"about {self.seconds:,.1f} s, {self.memory_bytes / 2**20:,.0f} MiB of "
            f"{self.available_bytes / 2**20:,.0f} MiB free{disk}; "
            + "; ".join(str(route) for route in self.paths)
        )


def planned(
    job: Job,
    pieces: list[Piece],
    *,
    kept: bool,
    seconds: float | None = None,
    team: Crew | None = None,
) -> Plan:
    """Plan of a job; `seconds` that it took, else they are estimated, on a cluster if there is one."""
    rows = job.rows
    found = routes(job, pieces)
    workers, shards, threads = 1, 0, job.threads
    if team is not None:
        from barproof.distributed.sweeps import outlook

        workers, shards, seconds = outlook(job, pieces, team)
        threads = team.threads
    if seconds is None:
        seconds = _probe(job) + (0.0 if kept else _WRITE_SECONDS * rows)
    paths = tuple(Route(path, reason, *counts) for (path, reason), counts in found.items())
    return Plan(
        combinations=job.width,
        windows=sum(len(leg.windows) for leg in job.legs),
        rows=rows,
        bar_steps=sum(leg.bars for leg in job.legs) * job.width,
        threads=threads,
        path="replay" if all(route.path == "replay" for route in paths) else "indexed",
        paths=paths,
        memory_bytes=job.memory(pieces, kept=kept),
        available_bytes=available_bytes(),
        seconds=seconds,
        parts=0 if kept else len(pieces),
        disk_bytes=0 if kept else _DISK_BYTES * (rows + job.width * len(job.legs)),
        workers=workers,
        shards=shards,
    )


def _probe(job: Job) -> float:
    """Seconds that a job takes, from growing shares of its first leg."""
    leg = job.legs[0]
    return leg_seconds(job, leg) * sum(one.bars for one in job.legs) / leg.bars


def leg_seconds(job: Job, leg: Leg) -> float:
    """Seconds that a leg takes, from growing shares of it; what it costs to begin is not multiplied."""
    windows = _some(leg)
    share = leg.bars / sum(b - a for a, b in windows)
    n = len(job.grid)
    tried: list[tuple[int, float]] = []
    spent, size = 0.0, min(n, _PROBE_BLOCK)
    while True:
        rows = _spread(n, size)
        took = float("inf")
        for _ in range(2):
            began = time.perf_counter()
            call(leg.settings[0], job.grid, 0, 0, windows, job.threads, None, rows=rows)
            last = time.perf_counter() - began
            took, spent = min(took, last), spent + last
            # Only what is short enough to be ruled by its first touch of memory is run again.
            if last > _PROBE_SECONDS / 10:
                break
        tried.append((len(rows), took))
        if len(rows) == n or (len(tried) > 1 and spent > _PROBE_SECONDS):
            break
        size = min(n, 3 * size)
    count, seconds = tried[-1]
    each = seconds / count
    if len(tried) > 1 and tried[-1][0] > tried[-2][0]:
        rise = (seconds - tried[-2][1]) / (count - tried[-2][0])
        # Noise can turn the slope over; what is left of the mean bounds it from below.
        each = min(each, max(rise, each / 20))
    whole = (seconds + each * (n - count)) * share
    ranged = 1 + len({way for way in job._ways(Piece(0, 0, 0, n)).values() if way is not None})
    return whole * job.sets * ranged


def _some(leg: Leg) -> list[Window]:
    """Windows of a leg, or so many of them, spread evenly, as fit the probe."""
    if leg.bars <= _PROBE_BARS:
        return leg.windows
    count = max(1, int(len(leg.windows) * _PROBE_BARS / leg.bars))
    chosen = np.linspace(0, len(leg.windows) - 1, count).astype(int)
    room = max(1, _PROBE_BARS // count)
    picked = [leg.windows[i] for i in dict.fromkeys(chosen.tolist())]
    return [(start, min(stop, start + room)) for start, stop in picked]


def _spread(count: int, size: int) -> list[int]:
    """Numbers of `size` combinations in runs of neighbours, which share work, spread over the grid."""
    if size >= count:
        return list(range(count))
    starts = np.linspace(0, count - _PROBE_BLOCK, max(1, size // _PROBE_BLOCK)).astype(int)
    rows = {int(start) + i for start in starts for i in range(_PROBE_BLOCK)}
    return sorted(row for row in rows if row < count)
