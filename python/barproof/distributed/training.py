"""Folds of a training on a cluster, each on one processor of its own."""

from __future__ import annotations

from dataclasses import replace

from barproof._progress import Progress
from barproof.distributed.executor import Crew, Task
from barproof.training import Job, Outcome, one_thread, train_fold

__all__ = ["fold_alone", "spread_folds"]


def spread_folds(
    job: Job, team: Crew, report: Progress | None
) -> tuple[list[Outcome | None], bool]:
    """Train every fold on a cluster; on Ctrl-C those that run are given up."""
    results: list[Outcome | None] = [None] * len(job.folds)
    # Frames are in the matrix already; epochs are told in the process that trains.
    parts = {n: replace(r, part=replace(r.part, X=None)) for n, r in job.parts.items()}
    shared = team.share(replace(job, parts=parts, watch=None))
    tasks = [Task(fold_alone, shared, (number,)) for number in range(len(job.folds))]
    done = 0
    try:
        for number, found in team.run(tasks, what="training", threads=1, gpus=team.executor.gpus):
            results[number] = found
            done += 1
            if report is not None:
                report(done, len(tasks))
    except KeyboardInterrupt:
        return results, True
    return results, False


def fold_alone(job: Job, number: int) -> Outcome:
    """Train a fold in a process of its own."""
    with one_thread("openmp"), one_thread("blas"):
        return train_fold(job, number)
