"""What a net is asked to learn, and how its training went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from barproof.models.protocol import Floats, Ints


@dataclass(frozen=True, eq=False)
class Steps:
    """What a net is asked to foresee of several series: their changes over each of the next steps."""

    series: Floats  # of shape (n_bars, n_targets)
    steps: int


@dataclass(frozen=True, eq=False)
class Task:
    """What a net is asked to learn."""

    X: Floats
    at: Ints  # rows of X that are labelled; a window ends there
    y: Any  # one a row of `at`, or Steps
    kept: Ints  # positions in `at` that train
    held: Ints  # positions that stop early
    classes: int  # 0 for returns
    seed: int


@dataclass
class Course:
    """How training went."""

    curve: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    resumed: int = 0
    seconds: float = 0.0
    stopped_by: str = "epochs"
    rows_per_second: float = 0.0
    memory: int = 0
