"""What runs in a worker: the version is compared, the thing made up once, and what went wrong handed back."""

from __future__ import annotations

import errno
import hashlib
import importlib
import os
import pickle
import platform
import time
from functools import cache
from pathlib import Path
from typing import Any

from barproof import _core, ledger
from barproof.distributed.packing import unpack

__all__ = ["serve", "versions"]


@cache
def versions() -> dict[str, str]:
    """Tell what must be equal for results to be the same bits: version, and the package's own Python files."""
    home, held = Path(_core.__file__ or "").parent, hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        held.update(str(path.relative_to(home).as_posix()).encode() + b"\0")
        held.update(path.read_bytes() + b"\0")
    return {
        "barproof": _core.__version__,
        "python": ".".join(platform.python_version_tuple()[:2]),
        "files": held.hexdigest()[:16],
    }


def serve(want: dict[str, str], name: tuple[str, str], shared: Any, arguments: bytes) -> Any:
    """Run one shard; every outcome is a mapping, so that an error keeps its class on the way."""
    where = {"pid": os.getpid(), "node": platform.node()}
    have = versions()
    if have != want:
        return {**where, "state": "versions", "have": have}
    # The driver alone writes the ledger.
    before, ledger.RECORDS = ledger.RECORDS, False
    began = time.perf_counter()
    try:
        call = getattr(importlib.import_module(name[0]), name[1])
        thing = None if shared is None else _thing(*shared)
        found = call(thing, *pickle.loads(arguments))
    except MemoryError as error:
        return {**where, "state": "memory", "text": str(error) or "an allocation failed"}
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return {**where, "state": "disk", "text": error.strerror}
        return {**where, "state": "error", "error": _portable(error)}
    except Exception as error:
        return {**where, "state": "error", "error": _portable(error)}
    finally:
        ledger.RECORDS = before
    return {**where, "state": "done", "found": found, "seconds": time.perf_counter() - began}


def _thing(names: list[str], refs: list[Any]) -> Any:
    """Take what shards work on from the object store or as an earlier shard left it."""
    import ray

    def load(number: int) -> Any:
        return ray.get(refs[number])

    return unpack(names, load)


def _portable(error: Exception) -> Any:
    """Pickle an error as it is, or tell its class and text where it cannot travel."""
    from ray import cloudpickle

    error.__traceback__ = None
    try:
        packed = cloudpickle.dumps(error)
        cloudpickle.loads(packed)
    except Exception:
        return f"{type(error).__name__}: {error}"
    return packed
