"""A full disk and a read-only folder, for every kind of file: one clear error, what was there stays, and room helps."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import barproof as bp
from tests.faults.kinds import KINDS, NETS, Kind, files, read
from tests.faults.places import fill, mounted, remount

ALL = [*KINDS, *NETS]
# Bytes that are left on the full disk: none, some for the beginning of a file, and what lies between.
LEFT = (0, 4_096, 16_384)


def named(kind: Kind) -> str:
    return kind.name


def stands(place: Path) -> dict[str, bytes]:
    """What a reader could see: every file but hidden ones, and those that SQLite keeps beside it."""
    found = files(place) if place.exists() else []
    return {
        str(p.relative_to(place.parent)): p.read_bytes()
        for p in found
        if not p.name.startswith(".") and "sqlite" not in p.name
    }


@pytest.mark.parametrize("kind", ALL, ids=named)
def test_a_full_disk_is_one_error_and_what_was_there_stays(kind: Kind, tmp_path: Path) -> None:
    if kind in NETS:
        pytest.importorskip("torch")
    # Everything that is computed is computed before.
    for variant in (0, 1):
        kind.write(tmp_path / f"{variant}-{kind.path}", variant)
    with mounted(tmp_path / "disk", "size=24m") as disk:
        place = disk / kind.path
        kind.write(place, 0)
        before = read(kind, place)
        # Only what a reader sees must stay; what is appended goes on behind it.
        held = stands(place)
        failed = 0
        for left in LEFT:
            filling = fill(disk, left)
            if refused(lambda: kind.write(place, 1)):
                failed += 1
                if not kind.append:
                    assert stands(place) == held
                assert not hidden(disk), hidden(disk)
                filling.unlink()
            else:
                filling.unlink()
                kind.write(place, 0)
        assert failed or kind.append, "nothing was refused on a full disk"
        if not kind.append:
            assert read(kind, place) == before
            kind.write(place, 1)
            assert read(kind, place) != before
        else:
            assert read(kind, place)[0] in ("read", "noticed")


def refused(write: Callable[[], object]) -> bool:
    """Whether a write was refused, by an error of one printable line."""
    try:
        write()
    except bp.BarproofError as error:
        text = str(error)
    else:
        return False
    assert text.isprintable(), text
    return True


def hidden(disk: Path) -> list[Path]:
    """Temporary files that were left behind."""
    return [p for p in disk.rglob(".*") if p.suffix == ".tmp"]


@pytest.mark.parametrize("kind", ALL, ids=named)
def test_a_read_only_folder_is_one_error_and_can_be_read(kind: Kind, tmp_path: Path) -> None:
    if kind in NETS:
        pytest.importorskip("torch")
    kind.write(tmp_path / kind.path, 1)
    with mounted(tmp_path / "disk", "size=24m") as disk:
        place = disk / kind.path
        kind.write(place, 0)
        before = read(kind, place)
        held = stands(place)
        remount(disk, "ro")
        try:
            for target in (place, disk / f"other-{kind.path}"):
                if not refused(lambda target=target: kind.write(target, 1)):  # type: ignore[misc]
                    # Who goes on from what is there may have nothing to write.
                    assert kind.append and target == place, f"{target.name} was written"
            assert stands(place) == held
            if not kind.append:
                assert read(kind, place) == before
        finally:
            remount(disk, "rw")
        if not kind.append:
            kind.write(place, 1)
            assert read(kind, place) != before


def test_a_disk_that_fills_at_random_while_a_sweep_is_written(tmp_path: Path) -> None:
    """Parts that were finished stay; with room made the same sweep goes on and ends with the same rows."""
    candles = bp.simulate_candles(5, bars=2_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[0.5 + i / 100 for i in range(40)])
    costs = bp.Costs(taker=0.0005)

    def sweep(out: Path) -> bp.Sweep:
        return bp.sweep(
            candles, signals, grid, costs=costs, windows="10h", out=out, ledger=False, threads=1
        )

    want = sweep(tmp_path / "whole").frame
    chance, count = random.Random(3), 0
    with mounted(tmp_path / "disk", "size=8m") as disk:
        for turn in range(6):
            filling = fill(disk, chance.randrange(0, 20_000))
            count += refused(lambda: sweep(disk / "out"))
            filling.unlink()
            if turn % 2:
                shutil.rmtree(disk / "out", ignore_errors=True)
        assert count >= 2
        assert sweep(disk / "out").frame.equals(want)
