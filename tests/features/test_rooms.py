"""Memory that results of before have left: who gets it, how much stays, who may still look at it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.features import rooms as module
from barproof.features.rooms import HUGE_PAGE, Rooms

MIB = 2**20
pytestmark = pytest.mark.skipif(not module._KEEPS, reason="this system cannot be told")


def address(array: Any) -> int:
    """Where its first number stands."""
    return int(array.__array_interface__["data"][0])


def rooms_of(mib: int) -> Rooms:
    """Rooms of which so much is kept."""
    return Rooms(lambda: mib * MIB)


def test_memory_comes_back_with_the_last_view_and_is_handed_out_again() -> None:
    rooms = rooms_of(64)
    first = rooms.array((3, MIB), np.float64)
    assert first.shape == (3, MIB)
    assert first.flags.c_contiguous
    assert first.flags.writeable
    first.fill(7.0)
    place, view = address(first), first[1][10:20]
    series = pl.Series("x", first[2])
    del first
    gc.collect()
    # A view and a series still look at it: another array stands elsewhere.
    other = rooms.array((3, MIB), np.float64)
    assert address(other) != place
    other.fill(8.0)
    assert view.tolist() == [7.0] * 10
    assert series.sum() == 7.0 * MIB
    del view
    assert rooms.kept == 0
    del series
    gc.collect()
    assert 24 * MIB <= rooms.kept <= 30 * MIB
    again = rooms.array((3, MIB), np.float64)
    assert address(again) == place
    assert rooms.kept == 0
    again.fill(9.0)
    assert other[0, 0] == 8.0


def test_every_room_begins_with_a_huge_page_and_fits_its_array() -> None:
    rooms = rooms_of(256)
    for _ in range(2):
        for size in (HUGE_PAGE, HUGE_PAGE + 1, 3 * HUGE_PAGE - 5, 40_000_000):
            array = rooms.array((size,), np.uint8)
            assert address(array) % HUGE_PAGE == 0
            array.fill(255)
            assert int(array.sum(dtype=np.int64)) == 255 * size
            assert array.base is not None
            assert array.base.nbytes <= size + size // 8 + 3 * HUGE_PAGE


def test_kept_memory_is_bounded_and_the_oldest_goes_first() -> None:
    rooms = rooms_of(32)
    arrays = [rooms.array((8 * MIB,), np.uint8) for _ in range(5)]
    places = [address(array) for array in arrays]
    while arrays:
        del arrays[0]
        assert rooms.kept <= 32 * MIB
    # 10 MiB each, of which three fit.
    assert rooms.kept == 30 * MIB
    taken = [rooms.array((8 * MIB,), np.uint8) for _ in range(3)]
    assert {address(array) for array in taken} == set(places[2:])
    del taken
    other = rooms.array((16 * MIB,), np.uint8)
    del other
    # Lengths that came back longest ago go first, and what is larger than all that may stay is not kept.
    assert rooms.kept == 28 * MIB
    large = rooms.array((64 * MIB,), np.uint8)
    del large
    assert rooms.kept == 0


def test_a_room_serves_what_is_a_little_smaller_and_nothing_else() -> None:
    rooms = rooms_of(512)
    array = rooms.array((100 * MIB,), np.uint8)
    place = address(array)
    del array
    assert address(rooms.array((96 * MIB,), np.uint8)) == place
    for size in (50 * MIB, 110 * MIB):
        other = rooms.array((size,), np.uint8)
        assert rooms.kept == 102 * MIB
        del other
        rooms._clear()
        array = rooms.array((100 * MIB,), np.uint8)
        del array


def test_nothing_is_kept_of_small_arrays_or_where_it_is_forbidden() -> None:
    rooms = rooms_of(64)
    small = rooms.array((1_000,), np.float64)
    assert small.flags.owndata
    none = rooms_of(0).array((MIB,), np.float64)
    assert none.flags.owndata
    del small, none
    assert rooms.kept == 0


def test_a_limit_that_falls_is_kept_to() -> None:
    limit = 64 * MIB
    rooms = Rooms(lambda: limit)
    array = rooms.array((32 * MIB,), np.uint8)
    del array
    assert rooms.kept > 0
    limit = 16 * MIB
    array = rooms.array((2 * MIB,), np.uint8)
    del array
    assert rooms.kept <= limit


def test_threads_never_share_a_room() -> None:
    rooms = rooms_of(48)
    wrong: list[int] = []

    def work(number: int) -> None:
        random = np.random.default_rng(number)
        for turn in range(150):
            array = rooms.array((int(random.integers(1, 5)) * MIB,), np.int16)
            mark = number * 150 + turn
            array[:: HUGE_PAGE // 8] = mark
            if not (array[:: HUGE_PAGE // 8] == mark).all():
                wrong.append(mark)
            del array

    threads = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert (
        rooms.kept == sum(len(room) for same in rooms._free.values() for room in same) <= 48 * MIB
    )


def test_an_array_may_be_collected_while_its_thread_is_in_here() -> None:
    """The lock is held by this thread: what comes back then is let go, and nothing waits."""
    rooms = rooms_of(64)
    array = rooms.array((4 * MIB,), np.uint8)
    with rooms._lock:
        del array
        gc.collect()
    assert rooms.kept == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_begins_with_none_and_parents_keep_theirs() -> None:
    array = module.rooms.array((8 * MIB,), np.uint8)
    array.fill(1)
    place = address(array)
    del array
    kept = module.rooms.kept
    child = os.fork()
    if child == 0:
        fine = module.rooms.kept == 0
        mine = module.rooms.array((8 * MIB,), np.uint8)
        mine.fill(2)
        os._exit(0 if fine and int(mine[-1]) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert module.rooms.kept == kept
    assert address(module.rooms.array((8 * MIB,), np.uint8)) == place


def test_results_are_the_same_bits_in_memory_that_was_used() -> None:
    features = bp.FeatureSet(["sma(20)", "rsi(14)", "max(60)", "zscore(volume, 50)"])
    candles = bp.simulate_candles(7, bars=600_000)
    fresh = features.matrix(candles, dtype="f64").copy()
    table = features.compute(candles).clone()
    for _ in range(3):
        for dirt in (np.nan, 1e300):
            array = features.matrix(candles, dtype="f64")
            assert array.tobytes() == fresh.tobytes()
            array.fill(dirt)
            del array
        frame = features.compute(candles)
        for name in features:
            assert frame[name].to_numpy().tobytes() == table[name].to_numpy().tobytes()
        del frame


SYSTEM = """
import mmap
import numpy as np
from barproof.features.rooms import rooms

array = rooms.array((64 * 2**20,), np.uint8)
array.fill(1)
del array
((room,),) = rooms._free.values()

def lazy():
    found = 0
    for line in open("/proc/self/smaps"):
        if line.startswith("LazyFree:"):
            found += int(line.split()[1])
    return found / 1024

assert lazy() >= 60, lazy()
# What the system takes is fresh memory: it may do so at any time.
room.madvise(mmap.MADV_DONTNEED)
again = rooms.array((64 * 2**20,), np.uint8)
assert int(again[:: 2**20].sum()) == 0
again.fill(2)
assert lazy() < 4, lazy()
"""


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="reads what the system was told")
def test_the_system_may_take_what_is_kept() -> None:
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SYSTEM)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
