"""A local cluster of two worker processes, started once for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

import barproof as bp

OPTIONS: dict[str, Any] = {
    "num_cpus": 2,
    "object_store_memory": 120_000_000,
    "include_dashboard": False,
}


@pytest.fixture(scope="session")
def cluster() -> Iterator[bp.RayExecutor]:
    """Two processes of one thread each."""
    pytest.importorskip("ray", reason="needs the extra barproof[cluster]")
    # Ray gives its workers the niceness 15: on a busy machine they would wait for everybody else.
    os.environ.setdefault("RAY_worker_niceness", "0")
    with bp.RayExecutor(threads=1, options=OPTIONS) as made:
        yield made
