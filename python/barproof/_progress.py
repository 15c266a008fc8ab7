"""Progress of long jobs, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[int, int], None]
"""Takes what is done and how much there is."""


class Quiet:
    """No progress, or the caller's own."""

    def __init__(self, report: Progress | None) -> None:
        self._report = report

    def __enter__(self) -> Progress | None:
        return self._report

    def note(self, text: str) -> None:
        """Say nothing: the caller's own function counts."""

    def __exit__(self, *_: object) -> None:
        return None


class Bar:
    """A bar on stderr with the time left; shown only if the job outlasts half a second."""

    def __init__(self, total: int, name: str) -> None:
        self._total = total
        self._name = name
        self._began = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None
        self._done = 0

    def __enter__(self) -> Progress:
        return self._report

    def _report(self, done: int, total: int) -> None:
        """Draw the bar; one that would be done within half a second is not begun."""
        if self._bar is None:
            if time.perf_counter() - self._began < 0.5:
                return
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeRemainingColumn,
            )
            from rich.progress import (
                Progress as RichProgress,
            )

            self._bar = RichProgress(
                TextColumn(self._name),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done)
        self._done = done

    def note(self, text: str) -> None:
        """Show what is under way behind the bar."""
        self._report(self._done, self._total)
        if self._bar is not None:
            self._bar.update(self._task, description=text)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def reporter(progress: bool | Progress | None, total: int, name: str = "sweep") -> Quiet | Bar:
    """Choose between a bar, the caller's function and silence."""
    if callable(progress):
        return Quiet(progress)
    shown = sys.stderr is not None and sys.stderr.isatty() if progress is None else progress
    return Bar(total, name) if shown else Quiet(None)
