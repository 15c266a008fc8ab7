"""A local cluster of two worker processes, started once for the tests of this folder."""

from __future__ import annotations

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
    with bp.RayExecutor(threads=1, options=OPTIONS) as made:
        yield made
