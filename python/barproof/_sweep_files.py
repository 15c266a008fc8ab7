"""The folder of a sweep: Parquet parts that a killed run goes on from.

::

    FOLDER/manifest.json        what was run: digests, settings, parts
    FOLDER/lock                 held by the writer, freed by the system however it ends
    FOLDER/frame/00000.parquet  rows of `Sweep.frame`, parts in its order
    FOLDER/pooled/00000.parquet rows of `Sweep.pooled`
    FOLDER/done/00000.json      written last: digests of the two files; a part without it does not count
    FOLDER/counted.json         combinations that a ledger has counted

Every file is written under a temporary name, synced and renamed. A part whose files are not what its record says is
run again, with a warning; sweeps are deterministic, so that it comes out as it was.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._machine import available_bytes
from barproof._whole import digest_of, whole
from barproof.errors import DataWarning, FileError, LayoutError, PlanError

__all__ = ["SweepFolder", "Table", "table_sizes", "write_tables"]

Table: TypeAlias = "pl.DataFrame | NDArray[np.uint8]"
"""A frame, or the bytes of its file."""

FORMAT = "barproof sweep 1"
_FOLDERS = ("frame", "pooled", "done")
_KNOWN = {*_FOLDERS, "manifest.json", "lock", "counted.json"}
# As it is in memory: strings by views, numbers as they are, twice while parts are joined.
_READ_FACTOR = 2.5


class SweepFolder:
    """Parts of one sweep, written by one process at a time.

    Parameters
    ----------
    path : str or Path
        Folder; made if it does not exist.
    facts : mapping of str to str
        What the sweep is; a folder of other facts is refused.
    parts : sequence of str
        What each part holds.
    """

    def __init__(self, path: str | Path, facts: Mapping[str, str], parts: Sequence[str]) -> None:
        if not isinstance(path, (str, Path)):
            raise LayoutError(f"`out` must be a folder, was {type(path).__name__}")
        self.path = Path(path)
        self._facts = dict(facts)
        self._parts = list(parts)
        self._lock: int | None = None
        self.finished: list[int] = []

    def __enter__(self) -> SweepFolder:
        try:
            self._open()
        except OSError as error:
            self._unlock()
            raise FileError(
                f"`out` {str(self.path)!r} cannot be written: {error.strerror or error}; choose a folder with room "
                "and write permission"
            ) from error
        except BaseException:
            self._unlock()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._unlock()

    def _open(self) -> None:
        """Make the folder or take one up that holds the same sweep; what a kill left is removed."""
        if self.path.exists() and not self.path.is_dir():
            raise FileError(f"`out` {str(self.path)!r} is a file: give the name of a folder")
        manifest = self.path / "manifest.json"
        if self.path.is_dir() and not manifest.exists():
            other = sorted(p.name for p in self.path.iterdir() if not _ours(p))
            if other:
                raise FileError(
                    f"`out` {str(self.path)!r} holds {other[0]!r} but no sweep: give a new or an empty folder"
                )
        for name in ("", *_FOLDERS):
            (self.path / name).mkdir(parents=True, exist_ok=True)
        self._take_lock()
        for folder in (self.path, *(self.path / name for name in _FOLDERS)):
            for left in folder.glob(".*.tmp"):
                left.unlink()
        if manifest.exists():
            self._compare(manifest)
        else:
            text = json.dumps(
                {"format": FORMAT, "facts": self._facts, "parts": self._parts}, indent=1
            )
            _whole(manifest, lambda path: path.write_text(text, encoding="utf-8"))
        self.finished = [i for i in range(len(self._parts)) if self._stands(i)]

    def _take_lock(self) -> None:
        handle = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError:
            os.close(handle)
            raise FileError(
                f"`out` {str(self.path)!r} is being written by another sweep: wait for it, or give another folder"
            ) from None
        self._lock = handle

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _compare(self, manifest: Path) -> None:
        """Refuse the folder of another sweep, naming what differs."""
        try:
            held = json.loads(manifest.read_text(encoding="utf-8"))
            there, parts = dict(held["facts"]), list(held["parts"])
            form = held["format"]
        except (ValueError, KeyError, TypeError):
            raise FileError(
                f"`out` {str(self.path)!r} has a manifest.json that cannot be read: give another folder, or remove it"
            ) from None
        if form != FORMAT:
            raise FileError(
                f"`out` {str(self.path)!r} is of the format {form!r}, not {FORMAT!r}: go on with the version that "
                "wrote it, or give another folder"
            )
        names = [*self._facts, *(name for name in there if name not in self._facts)]
        odd = [name for name in names if there.get(name) != self._facts.get(name)]
        if odd or parts != self._parts:
            shown = ", ".join(
                f"{name} ({_short(there.get(name))} there, {_short(self._facts.get(name))} here)"
                for name in odd
            )
            raise FileError(
                f"`out` {str(self.path)!r} holds another sweep, which differs in {shown or 'its parts'}: give another "
                "folder, or remove it"
            )

    def _file(self, folder: str, part: int) -> Path:
        return _file(self.path, folder, part)

    def _stands(self, part: int) -> bool:
        """Whether a part is finished and undamaged."""
        record = self._file("done", part)
        try:
            text = record.read_text(encoding="utf-8")
        except FileNotFoundError:
            return False
        except UnicodeDecodeError:
            text = ""
        try:
            held = json.loads(text)
            sound = all(held[f] == digest_of(self._file(f, part)) for f in ("frame", "pooled"))
        except (ValueError, KeyError, TypeError, FileNotFoundError):
            sound = False
        if not sound:
            warnings.warn(
                f"part {part} of the sweep in {str(self.path)!r} is damaged or incomplete: it is run again",
                DataWarning,
                stacklevel=2,
            )
            record.unlink()
        return sound

    def write(self, part: int, frame: Table, pooled: Table) -> None:
        """Write a part, as frames or as the bytes of their files; it counts once its record stands."""
        try:
            record = write_tables(self.path, part, frame, pooled)
            self._record(part, record)
        except OSError as error:
            raise FileError(
                f"part {part} of the sweep could not be written to {str(self.path)!r}: {error.strerror or error}; "
                "make room, then call the same sweep again"
            ) from error

    def finish(self, part: int, record: Mapping[str, str], sizes: tuple[int, ...]) -> bool:
        """Count a part that another process wrote, if its files are here; says whether they are.

        Their digests are compared when the folder is next opened.
        """
        if table_sizes(self.path, part) != sizes:
            return False
        self._record(part, record)
        return True

    def _record(self, part: int, record: Mapping[str, str]) -> None:
        text = json.dumps({"part": self._parts[part], **record})
        _whole(self._file("done", part), lambda path: path.write_text(text, encoding="utf-8"))
        self.finished = sorted({*self.finished, part})

    @property
    def counted(self) -> dict[str, int]:
        """Combinations of each symbol that a ledger has counted; "" is the only one."""
        try:
            held = json.loads((self.path / "counted.json").read_text())
            return {str(symbol): int(trials) for symbol, trials in held.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}

    @counted.setter
    def counted(self, trials: Mapping[str, int]) -> None:
        text = json.dumps(dict(trials))
        _whole(self.path / "counted.json", lambda path: path.write_text(text, encoding="utf-8"))

    def files(self, folder: str) -> list[Path]:
        """Files of the finished parts, in order."""
        return [self._file(folder, part) for part in self.finished]

    def scan(self, folder: str) -> pl.LazyFrame:
        """Rows of the finished parts, read when collected."""
        return pl.scan_parquet(self.files(folder), glob=False)

    def read(self, folder: str, rows: int) -> pl.DataFrame:
        """Rows of the finished parts, if they fit."""
        files = self.files(folder)
        gone = [file for file in files if not file.exists()]
        if gone:
            raise FileError(
                f"part {gone[0].name!r} of the sweep in {str(self.path)!r} is gone: call the same sweep again"
            )
        kinds = pl.read_parquet_schema(files[0]).values()
        width = sum(8 if kind.is_numeric() else 24 for kind in kinds)
        need, free = int(_READ_FACTOR * width * rows), available_bytes()
        if need > free:
            raise PlanError(
                f"`{folder}` of {rows:,} rows needs about {need:,} bytes, {free:,} are free: use scan(), which reads "
                "what you ask for"
            )
        return pl.concat([pl.read_parquet(file, glob=False) for file in files])


def write_tables(path: Path, part: int, frame: Table, pooled: Table) -> dict[str, str]:
    """Write the two files of a part; gives their digests."""
    record = {}
    for folder, table in (("frame", frame), ("pooled", pooled)):
        file = _file(path, folder, part)

        def write(path: Path, table: Table = table) -> None:
            if isinstance(table, pl.DataFrame):
                table.write_parquet(path, compression="lz4")
            else:
                path.write_bytes(table.data)

        _whole(file, write)
        record[folder] = digest_of(file)
    return record


def table_sizes(path: Path, part: int) -> tuple[int, ...]:
    """Bytes of the two files of a part; none of those that are not there."""
    files = [_file(path, folder, part) for folder in ("frame", "pooled")]
    return tuple(file.stat().st_size for file in files if file.exists())


def _file(path: Path, folder: str, part: int) -> Path:
    return path / folder / f"{part:05d}.{'json' if folder == 'done' else 'parquet'}"


def _ours(path: Path) -> bool:
    return path.name in _KNOWN or (path.name.startswith(".") and path.name.endswith(".tmp"))


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:12]}..."


def _whole(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file under a temporary name, sync and rename it."""
    with whole(path) as temporary:
        write(temporary)


if sys.platform == "win32":  # pragma: no cover

    def _lock(handle: int) -> None:
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)

else:

    def _lock(handle: int) -> None:
        import fcntl

        # Freed when the process ends, also by kill -9.
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
