"""Sweeps on a cluster: pieces cut into shards, results put together in the order of the frame."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof._account_sweep import AccountJob
from barproof._machine import thread_count
from barproof._sweep_files import SweepFolder, table_sizes, write_tables
from barproof._sweep_job import PIECE_ROWS, Done, Job, Leg, Piece
from barproof.distributed.cost import BAR, wall_seconds
from barproof.distributed.executor import Crew, Task
from barproof.errors import ClusterError

__all__ = ["cut", "outlook", "shard_size", "spread", "swept"]

SHARD_SECONDS = 5.0
"""What a shard takes at most: a lost worker costs no more, and progress moves."""

LEAST_SECONDS = 0.25
"""What a shard takes at least, if the job is large enough: some hundred times what it costs to send one."""

A_SLOT = 4
"""Shards a slot, so that the last ones do not leave most workers idle."""


@dataclass(frozen=True)
class Written:
    """A part that a worker wrote, or as the bytes of its files; `record` holds their digests, `sizes` their bytes."""

    runs: int
    frame: Any
    pooled: Any
    record: dict[str, str] | None = None
    sizes: tuple[int, ...] = ()


def shard_size(combinations: int, windows: int, seconds: float, slots: int) -> int:
    """Size a shard of so many combinations, which take a worker these seconds in all."""
    by_time = seconds / SHARD_SECONDS
    balance = min(A_SLOT * slots, seconds / LEAST_SECONDS)
    count = max(1.0, by_time, balance, combinations * windows / PIECE_ROWS)
    return max(1, int(-(-combinations // min(count, combinations))))


def cut(piece: Piece, size: int) -> list[Piece]:
    """Shards of a piece, alike in size, in its order."""
    count = -(-len(piece) // max(1, size))
    edges = np.linspace(piece.low, piece.high, count + 1).round().astype(int).tolist()
    return [replace(piece, low=a, high=b) for a, b in pairwise(edges)]


def run_piece(job: Job, piece: Piece, threads: int, out: str | None, number: int) -> Any:
    """Run a shard in a worker: frames, the bytes of its files (`out` empty), or written to the folder."""
    done = replace(job, threads=threads).run(piece, None)
    if done.interrupted:
        raise KeyboardInterrupt
    if out is None:
        return done
    runs = len(done.combinations)
    if out:
        record = write_tables(Path(out), number, done.frame, done.pooled)
        return Written(runs, None, None, record, table_sizes(Path(out), number))
    return Written(runs, _encoded(done.frame), _encoded(done.pooled))


def _encoded(table: pl.DataFrame) -> Any:
    """Bytes of a file, as an array that the object store hands over without a copy."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="lz4")
    return np.frombuffer(buffer.getbuffer(), dtype=np.uint8)


def _slim(job: Job, piece: Piece) -> Job:
    """Leave of a job what a shard of this piece needs: one symbol with one set of signals."""
    if isinstance(job, AccountJob):
        return job
    legs = []
    for number, leg in enumerate(job.legs):
        if number != piece.leg:
            legs.append(Leg(leg.symbol, (), leg.windows))
            continue
        made = leg.settings[piece.signals]
        legs.append(replace(leg, settings=(made,) * len(leg.settings)))
    return replace(job, legs=tuple(legs))


class Spread:
    """Shards of a sweep on their way, and what has come back."""

    def __init__(
        self,
        job: Job,
        pieces: list[Piece],
        skip: set[int],
        sizes: list[int],
        folder: SweepFolder | None,
        crew: Crew,
    ) -> None:
        self._job, self._pieces, self._folder, self._crew = job, pieces, folder, crew
        left = [number for number in range(len(pieces)) if number not in skip]
        self._shards = [
            (number, part)
            for number in left
            for part in cut(pieces[number], sizes[pieces[number].leg])
        ]
        self._count = dict.fromkeys(left, 0)
        for number, _ in self._shards:
            self._count[number] += 1
        self._parts: dict[int, dict[int, Done]] = {number: {} for number in left}

    def _tasks(self) -> Iterator[Task]:
        """Shards in order; what a symbol needs is shared when its first one goes out."""
        at: tuple[int, int] | None = None
        shared: Any = None
        for number, part in self._shards:
            if at != (part.leg, part.signals):
                at, shared = (part.leg, part.signals), self._crew.share(_slim(self._job, part))
            yield Task(run_piece, shared, (part, self._crew.threads, self._form(number), number))

    def _form(self, number: int) -> str | None:
        """How a worker hands back: as frames, as the bytes of files, or through the folder that all nodes share."""
        if self._folder is None or self._count[number] > 1:
            return None
        return str(self._folder.path.resolve()) if self._crew.executor.shared_out else ""

    def run(self, take: Callable[[int, Done], None], done: Callable[[int], None]) -> None:
        """Run every shard; `take` gets whole pieces, `done` counts combinations."""
        runs = self._crew.run(self._tasks(), what="sweep")
        for at, found in runs:
            number, part = self._shards[at]
            if isinstance(found, Written):
                self._keep(number, found)
                done(found.runs)
                continue
            done(len(found.combinations))
            parts = self._parts[number]
            parts[part.low] = found
            if len(parts) == self._count[number]:
                take(number, self._join(number))

    def rest(self) -> Iterator[tuple[int, Done]]:
        """Pieces of which only some shards came back."""
        for number in sorted(self._parts):
            if self._parts[number]:
                yield number, self._join(number)

    def _join(self, number: int) -> Done:
        parts = self._parts.pop(number)
        ordered = [parts[low] for low in sorted(parts)]
        if len(ordered) == 1:
            return ordered[0]
        return Done(
            np.concatenate([one.combinations for one in ordered]),
            pl.concat([one.frame for one in ordered]),
            pl.concat([one.pooled for one in ordered]),
            False,
        )

    def _keep(self, number: int, found: Written) -> None:
        assert self._folder is not None
        del self._parts[number]
        if found.record is None:
            self._folder.write(number, found.frame, found.pooled)
        elif not self._folder.finish(number, found.record, found.sizes):
            raise ClusterError(
                f"part {number} was written on a node, but is not in {str(self._folder.path)!r} here: `shared_out` "
                "needs a folder that all nodes share; leave it out, and the driver writes"
            )


def swept(job: Job, crew: Crew) -> list[Done]:
    """Run a whole job for somebody who asks for many."""
    found: dict[int, Done] = {}
    pieces = job.pieces(whole=True)
    stopped, _ = spread(job, pieces, set(), None, crew, found.__setitem__, lambda _: None)
    if stopped:
        raise KeyboardInterrupt
    return [found[number] for number in range(len(pieces))]


def shard_sizes(job: Job, crew: Crew) -> tuple[list[int], float]:
    """Probe how many combinations a shard of each symbol has, and the processor seconds that all take."""
    from barproof._sweep_plan import leg_seconds

    slots = crew.slots(crew.threads)
    # Workers share a node's memory and often its cores: side by side each is slower than one thread alone.
    together = min(thread_count(None), slots * crew.threads)
    beside = replace(job, threads=together)
    sizes, total = [], 0.0
    for leg in job.legs:
        # Folds of a walk-forward ask the same of other windows.
        same = (leg.settings[0].candles.digest, job.grid.digest, leg.settings[0].engine, job.ranged)
        if same not in crew.probed:
            crew.probed[same] = together * leg_seconds(beside, leg) / leg.bars
        seconds = crew.probed[same] * leg.bars
        total += seconds
        share = seconds / crew.threads / max(1, job.sets)
        size = shard_size(len(job.grid), len(leg.windows), share, -(-slots // len(job.legs)))
        sizes.append(size)
    return sizes, total


def outlook(job: Job, pieces: list[Piece], crew: Crew) -> tuple[int, int, float]:
    """Workers, shards and seconds of a sweep on a cluster."""
    sizes, seconds = shard_sizes(job, crew)
    shards = sum(-(-len(piece) // sizes[piece.leg]) for piece in pieces)
    workers = crew.slots(crew.threads)
    processors = min(workers, shards) * crew.threads
    held = {id(made.candles): len(made.candles) for leg in job.legs for made in leg.settings}
    # Eight numbers a bar of candles and signals.
    put = 64.0 * sum(held.values())
    # A worker prepares the candles of the shards that come to it, each symbol once.
    mean = sum(held.values()) / max(1, len(held))
    prepared = BAR * min(float(sum(held.values())), mean * -(-shards // max(1, workers)))
    took = wall_seconds(
        seconds, processors, shards, job.rows, put, prepared=prepared, started=crew.started
    )
    return workers, shards, took


def spread(
    job: Job,
    pieces: list[Piece],
    skip: set[int],
    folder: SweepFolder | None,
    crew: Crew,
    take: Callable[[int, Done], None],
    report: Callable[[int], None],
) -> tuple[bool, list[tuple[int, Done]]]:
    """Run the pieces of a job on a cluster; whether Ctrl-C ended it, and what is then there of cut pieces."""
    sizes, _ = shard_sizes(job, crew)
    work = Spread(job, pieces, skip, sizes, folder, crew)
    try:
        work.run(take, report)
    except KeyboardInterrupt:
        return True, [] if folder is not None else list(work.rest())
    return False, []
