"""Where a call runs: threads of this process, or the workers of a cluster, which are loaded when asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from barproof.distributed.executor import Crew, RayExecutor

__all__ = ["Executor", "crew"]

Executor: TypeAlias = "str | RayExecutor | None"
"""``"local"`` or None, ``"ray"``, or a :class:`RayExecutor`."""


@contextlib.contextmanager
def crew(executor: Any) -> Iterator[Crew | None]:
    """Workers of an executor for one call; None for threads of this process."""
    if executor is None or (isinstance(executor, str) and executor == "local"):
        yield None
        return
    from barproof.distributed.executor import entered

    with entered(executor) as workers:
        yield workers
