"""What a training under way tells while it runs: an `Epoch` after every epoch of every net."""

from __future__ import annotations

import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Epoch", "Watch", "held_bytes", "watched", "watcher"]


@dataclass(frozen=True)
class Epoch:
    """One epoch of one net.

    Attributes
    ----------
    where : str
        Fold and part, such as ``"fold 2"`` or ``"fold 0, part `long`"``; empty outside of :func:`barproof.train`.
    model : str
        Name of the net.
    epoch, epochs : int
        How many are done, and the most there can be.
    train : float
        Mean loss on the rows that train.
    held : float or None
        Loss on the rows that stop the training; None where there are none.
    metric, value : str, float or None
        Accuracy (classes) or correlation (returns) on those rows.
    best : int
        Epoch with the least loss so far, counted from 1.
    rows_per_second : float
        Train rows.
    seconds_left : float
        Until the last epoch there can be; early stopping may come before.
    memory_bytes : int
        What the process holds, or what torch holds on an accelerator.
    device : str
        Where it runs.
    """

    where: str
    model: str
    epoch: int
    epochs: int
    train: float
    held: float | None
    metric: str | None
    value: float | None
    best: int
    rows_per_second: float
    seconds_left: float
    memory_bytes: int
    device: str

    def __str__(self) -> str:
        held = "" if self.held is None else f", held {self.held:.4f}"
        metric = "" if self.value is None else f", {self.metric} {self.value:.3f}"
        place = f"{self.where}: " if self.where else ""
        return (
            f"{place}{self.model} epoch {self.epoch}/{self.epochs}, loss {self.train:.4f}{held}{metric}, "
            f"{self.rows_per_second:,.0f} rows/s, {self.seconds_left:.0f} s left, "
            f"{self.memory_bytes / 2**20:,.0f} MiB on {self.device}"
        )


Watch: TypeAlias = Callable[[Epoch], object]

_HERE = threading.local()


@contextmanager
def watched(watch: Watch | None, where: str) -> Iterator[None]:
    """Send the epochs of this thread's trainings to a function."""
    before = watcher()
    _HERE.told = watch, where
    try:
        yield
    finally:
        _HERE.told = before


def watcher() -> tuple[Watch | None, str]:
    """Who listens in this thread, and what is trained."""
    found: tuple[Watch | None, str] = getattr(_HERE, "told", (None, ""))
    return found


def held_bytes() -> int:
    """Memory that the process holds now; the most it has held where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as told:
            return int(told.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
