"""Memory for large results, kept for the next ones when a result is let go of.

To touch fresh memory is to wait until the system has cleared its pages: of the sixteen columns of workload B (610 MiB)
that is most of the time, and far more on a virtual machine whose host takes free pages away. Pages that held an earlier
result need no clearing. So arrays from here lie in mappings of their own, which come back when the last view of an
array has gone, and are handed out again.

What is kept is bounded, and lent rather than held: the system is told that it may take these pages whenever it runs
short (``MADV_FREE``), and what it takes is fresh memory the next time. Where a system cannot be told so, nothing is
kept and arrays are NumPy's. Contents are whatever was there, as with ``np.empty``.

Measured on 640 MB (EPYC, Linux 6.18 in a virtual machine): 28 ms to write to pages that were kept, 210 to fresh ones
that the machine had at hand, 3,000 to those that its host had taken; 0.3 to tell the system of them.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import threading
import weakref
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof._machine import kept_bytes

__all__ = ["HUGE_PAGE", "Rooms", "rooms"]

HUGE_PAGE = 2 * 2**20
# Smaller ones come from what the process keeps anyway.
_LEAST = HUGE_PAGE
# A room may be so much larger than what it is taken for.
_SLACK = 8
_KEEPS = hasattr(mmap, "MADV_FREE") and hasattr(mmap, "MADV_HUGEPAGE")


class Rooms:
    """Mappings that no array uses.

    Threads may share it. What comes back while a thread is in here is let go instead: an array may be collected at any
    instruction, also at one of this class in the same thread, and then nothing may wait.

    Parameters
    ----------
    limit : callable
        Bytes that are kept at most, asked for with each array; 0: nothing is, and arrays are NumPy's.
    """

    def __init__(self, limit: Callable[[], int]) -> None:
        self._told = limit
        self._limit = 0
        self._clear()

    def _clear(self) -> None:
        # In a forked child too: pages that it shares would be copied when they are written to, and the lock may be held
        # by a thread that is not there.
        self._lock = threading.Lock()
        # By length, those last that came back last.
        self._free: dict[int, list[mmap.mmap]] = {}
        self.kept = 0

    def array(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Make an array of any contents, row-major; large ones begin with a huge page.

        Parameters
        ----------
        shape : tuple of int
            Its shape.
        dtype : dtype
            Of numbers.

        Returns
        -------
        ndarray
            Writable; its memory comes back when no view of it is left.
        """
        kind = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        self._limit = self._told() if _KEEPS else 0
        if size < _LEAST or not self._limit:
            return np.empty(shape, kind)
        # A huge page begins at a multiple of its size, a mapping perhaps not.
        length = (-(-size // HUGE_PAGE) + 1) * HUGE_PAGE
        room = self._taken(length) or _fresh(length)
        whole = np.frombuffer(room, np.uint8)
        weakref.finalize(whole, self._back, room).atexit = False
        skip = -whole.__array_interface__["data"][0] % HUGE_PAGE
        made: NDArray[Any] = whole[skip : skip + size].view(kind).reshape(shape)
        return made

    def _taken(self, length: int) -> mmap.mmap | None:
        with self._lock:
            most = length + length // _SLACK
            fitting = min((n for n in self._free if length <= n <= most), default=None)
            return None if fitting is None else self._out(fitting, -1)

    def _out(self, length: int, which: int) -> mmap.mmap:
        room = self._free[length].pop(which)
        if not self._free[length]:
            del self._free[length]
        self.kept -= length
        return room

    def _back(self, room: mmap.mmap) -> None:
        """Keep a room that its last user left, and drop others where all would be too much."""
        size = len(room)
        # Pages of a mapping that is not kept go back to the system with the last reference to it, which is ours.
        if not self._lock.acquire(blocking=False):
            return
        try:
            while self._free and self.kept + size > self._limit:
                self._out(next(iter(self._free)), 0)
            if size > self._limit:
                return
            room.madvise(mmap.MADV_FREE)
            self._free[size] = [*self._free.pop(size, ()), room]
            self.kept += size
        except OSError:
            # A kernel that cannot be told: let it go.
            pass
        finally:
            self._lock.release()


def _fresh(length: int) -> mmap.mmap:
    try:
        room = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(
            f"unable to allocate {length / 2**20:,.0f} MiB for features: compute fewer at once, or to a file with out="
        ) from error
    with contextlib.suppress(OSError):  # A kernel without them.
        room.madvise(mmap.MADV_HUGEPAGE)
    return room


rooms = Rooms(kept_bytes)
"""Those of this process."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=rooms._clear)
