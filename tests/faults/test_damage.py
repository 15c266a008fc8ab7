"""Every kind of file, cut at many places and with other bytes in it: an error or a notice, never other data unseen.

What is promised differs: kinds with digests (`sealed`) never give anything but what was written, or say so. Tables and
documents that other tools read and write too (`open`) are refused where they cannot be read, and give no error but the
package's own. Whoever wants to know that candles are the same holds their digest against the one in a result.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

import barproof as bp
from tests.faults.kinds import KINDS, NETS, Kind, files, read

CUTS = 6
FLIPS = 30
OURS = [kind for kind in KINDS if kind.ours]


def damages(data: bytes, chance: random.Random, flips: int) -> list[tuple[str, bytes]]:
    """Ways to harm a file: cut, changed bytes, a page of zeros, more behind its end, nothing, something else."""
    n = len(data)
    made = [(f"cut at {at}", data[:at]) for at in sorted({0, 1, n // 4, n // 2, 3 * n // 4, n - 1})]
    for _ in range(flips):
        at = chance.randrange(n)
        made.append(
            (
                f"byte {at}",
                data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :],
            )
        )
    at = chance.randrange(n)
    made.append((f"zeros at {at}", data[:at] + bytes(min(512, n - at)) + data[at + 512 :]))
    made.append(("a tail", data + b"\0tail"))
    made.append(("another file", b"PK\x03\x04 something else altogether"))
    return made


def harmed(kind: Kind, folder: Path, seed: int, flips: int) -> dict[str, int]:
    """Harm every file of a kind in every way; how often a read was refused, noticed, the same, another."""
    chance = random.Random(f"{kind.name} {seed}")
    place = folder / kind.path
    kind.write(place, 0)
    want = read(kind, _copy(place, folder / "sound"))
    assert want[0] == "read", want
    counts = dict.fromkeys(("refused", "noticed", "same", "other"), 0)
    for target in files(place):
        for told, data in damages(target.read_bytes(), chance, flips):
            copy = _copy(place, folder / "harmed")
            victim = copy / target.relative_to(place) if place.is_dir() else copy
            victim.write_bytes(data)
            how, found = read(kind, copy)
            if how == "refused":
                lines = found.splitlines()
                # The faults of candles are a list.
                assert len(lines) == 1 or found.startswith("candles of "), found
                assert all(line and line.isprintable() for line in lines), found
                counts["refused"] += 1
                continue
            if kind.blank and told == "cut at 0":
                # A file that was made and never written to; a session says that it begins.
                assert how == "noticed" or kind.name == "ledger"
                continue
            same = found == want[1]
            # A notice says that something was made again: then it is what it was.
            assert same or how == "read", f"{told} of {target.name}: noticed, and yet other data"
            assert same or not kind.sealed, f"{told} of {target.name} gave other data unseen"
            counts["noticed" if how == "noticed" else "same" if same else "other"] += 1
    return counts


def _copy(place: Path, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir()
    new = to / place.name
    shutil.copytree(place, new) if place.is_dir() else shutil.copy(place, new)
    return new


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.name)
def test_harmed_files_are_refused_or_noticed(kind: Kind, tmp_path: Path) -> None:
    counts = harmed(kind, tmp_path, 1, FLIPS)
    assert counts["refused"] + counts["noticed"] >= CUTS // 2, counts


@pytest.mark.parametrize("kind", NETS, ids=lambda kind: kind.name)
def test_harmed_files_of_nets_are_refused_or_noticed(kind: Kind, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    counts = harmed(kind, tmp_path, 1, FLIPS // 2)
    assert counts["refused"] + counts["noticed"] >= CUTS // 2, counts


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize("kind", [*OURS, *NETS], ids=lambda kind: kind.name)
def test_many_harmed_files(kind: Kind, tmp_path: Path) -> None:
    if kind in NETS:
        pytest.importorskip("torch")
    counts = harmed(kind, tmp_path, 2, 1_000)
    print(kind.name, counts)  # for the record: `-rP` shows it
    assert counts["refused"] + counts["noticed"] >= CUTS // 2, counts


def test_names_of_strangers_move_no_cursor(tmp_path: Path) -> None:
    """A column named in an error came to the terminal as it was, escape sequences and all."""
    path = tmp_path / "x.csv"
    path.write_text("\x1b[2J\x1b]0;owned\x07,a\u202eb\n1,2\n", encoding="utf-8")
    with pytest.raises(bp.LayoutError) as caught:
        bp.read_candles(path, instrument="spot")
    text = str(caught.value)
    assert text.isprintable()
    assert "it has \ufffd[2J" in text
