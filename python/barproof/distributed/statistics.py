"""Resamples of a bootstrap on a cluster: shards of them, each from its own place in the one stream.

The stream is SplitMix64, whose state after `d` draws is that of a seed larger by `d` steps: a shard that begins at draw
`d` is asked for with that seed, and gives the resamples that the whole stream has there.
"""

from __future__ import annotations

import bisect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barproof.distributed.executor import Crew, Task
from barproof.stats._common import Floats
from barproof.stats.bootstrap import uniforms

if TYPE_CHECKING:
    from barproof.stats.superior import Resampling, Setup

__all__ = ["begins", "spread_resamples"]

_GAMMA = 0x9E3779B97F4A7C15
"""Step of SplitMix64."""

_LEAST_ROWS = 64
"""Resamples of a shard at least: what a thread of the core takes at once."""

_DRAWS = 1 << 20
"""Numbers of the stream that are looked at together."""


def begins(n: int, mean_block: float, rows: int, seed: int) -> list[int]:
    """Where in the stream each resample begins, and where the one after the last would.

    A resample draws its first place, then one number a step, and after each below ``1 / mean_block`` a fresh place.
    """
    p = 1.0 / mean_block
    out, drawn, looked = [0], 0, 0
    hits: list[int] = []
    for _ in range(rows):
        # The first place takes one number; of n - 1 steps some take two.
        while looked < drawn + 2 * n:
            found = np.flatnonzero(uniforms(seed, _DRAWS, skip=looked) < p) + looked
            hits = hits[bisect.bisect_left(hits, drawn) :] + found.tolist()
            looked += _DRAWS
        at, left = drawn + 1, n - 1
        place = bisect.bisect_left(hits, at)
        while left:
            hit = hits[place] if place < len(hits) else at + left
            if hit - at >= left:
                at, left = at + left, 0
                break
            left -= hit - at + 1
            at = hit + 2
            place += 1
            # A fresh place that is itself small is no step.
            while place < len(hits) and hits[place] < at:
                place += 1
        drawn = at
        out.append(drawn)
    return out


def some_resamples(
    question: Resampling,
    rows: int,
    seed: int,
    positions: NDArray[np.int64] | None,
    before: Floats | None,
    threads: int,
) -> tuple[Floats, NDArray[np.uint64]]:
    """Make the resamples of a shard, in a worker."""
    return question.run(rows, seed, positions, before, threads, None)


def spread_resamples(
    question: Resampling, setup: Setup, before: Floats | None, crew: Crew, report: Any
) -> tuple[Floats, NDArray[np.uint64]]:
    """Maxima by resample and counts by trial, as the core gives them for all at once."""
    rows = setup.resamples
    count = max(1, min(4 * crew.slots(crew.threads), rows // _LEAST_ROWS))
    edges = np.linspace(0, rows, count + 1).round().astype(int).tolist()
    spans = list(pairwise(edges))
    drawn = (
        begins(setup.periods, setup.mean_block, rows, setup.seed)
        if setup.positions is None
        else [0] * (rows + 1)
    )
    shared = crew.share(question)
    tasks = []
    for a, b in spans:
        given = None if setup.positions is None else setup.positions[a:b]
        earlier = None if before is None else before[:, a:b]
        seed = (setup.seed + drawn[a] * _GAMMA) % 2**64
        tasks.append(Task(some_resamples, shared, (b - a, seed, given, earlier, crew.threads)))
    parts: list[Floats | None] = [None] * len(tasks)
    counts, done = np.zeros(len(question.statistics), np.uint64), 0
    for number, (maxima, reached) in crew.run(tasks, what="bootstrap"):
        parts[number] = maxima
        # Whole numbers add up to the same in any order.
        counts += reached
        done += maxima.shape[1]
        if report is not None:
            report(done, rows)
    return np.concatenate([part for part in parts if part is not None], axis=1), counts
