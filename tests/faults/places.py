"""File systems of their own, for full disks and read-only folders; the tests run as root, whom no permission stops."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(place: Path, *options: str) -> Iterator[Path]:
    """A file system in memory, where this machine lets one be mounted."""
    place.mkdir()
    mount = shutil.which("mount")
    words = [str(mount), "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def remount(place: Path, *options: str) -> None:
    """The same with other options, such as ``ro``."""
    words = ["mount", "-o", ",".join(("remount", *options)), str(place)]
    subprocess.run(words, check=True, capture_output=True)


def fill(place: Path, leave: int) -> Path:
    """Fill a file system but for so many bytes."""
    path = place / "filling"
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4_096))
    size = path.stat().st_size
    with path.open("rb+") as file:
        file.truncate(max(0, size - leave))
    return path
