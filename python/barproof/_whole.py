"""Files that are there whole or not at all, and what the system says where it refuses."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import polars as pl

__all__ = ["digest_of", "sync_folder", "system_error", "whole", "write_csv"]

_ROOM = 1 << 20
"""Bytes below which a disk is full for what failed."""
_SLICE = 100_000
"""Rows of a CSV that are text at a time."""
_CODE = re.compile(r"\(os error (\d+)\)")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a temporary name in the same folder; on success it is synced and takes the file's name, else it is removed.

    Parameters
    ----------
    path : Path
        File to write; a reader sees the old one or the whole new one, after a kill too.

    Yields
    ------
    Path
        Name to write to.

    Raises
    ------
    OSError
        If the system refuses, with its code, whatever library it was told by.
    """
    # Two threads of one process may write the same file.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        sync_folder(path.absolute().parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        told = system_error(error) or _lost(error, path)
        if told is None:
            raise
        raise told from error
    finally:
        temporary.unlink(missing_ok=True)


def system_error(error: Exception) -> OSError | None:
    """Give what the system said in an error of polars, which wraps it as text; None where nothing else is to be said.

    Examples
    --------
    >>> import polars as pl
    >>> told = system_error(pl.exceptions.ComputeError("parquet: No space left on device (os error 28)"))
    >>> told.errno, told.strerror
    (28, 'No space left on device')
    """
    if isinstance(error, OSError) and error.errno is not None:
        return None
    found = _CODE.search(str(error))
    return None if found is None else OSError(int(found[1]), os.strerror(int(found[1])))


def write_csv(path: Path, frame: pl.DataFrame) -> None:
    r"""Write a frame as CSV through a file of Python's: older polars says nothing of a disk that is full.

    Examples
    --------
    >>> import tempfile
    >>> import polars as pl
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "a.csv"
    ...     write_csv(path, pl.DataFrame({"a": [1, 2]}))
    ...     path.read_bytes()
    b'a\n1\n2\n'
    """
    with path.open("wb") as file:
        file.write(frame.clear().write_csv().encode())
        for some in frame.iter_slices(_SLICE):
            file.write(some.write_csv(include_header=False).encode())


def _lost(error: Exception, path: Path) -> OSError | None:
    """Give the reason for an error of polars that says no more than that a write failed."""
    if isinstance(error, OSError) or "transport error" not in str(error):
        return None
    with contextlib.suppress(OSError):
        if shutil.disk_usage(path.absolute().parent).free < _ROOM:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return OSError(errno.EIO, os.strerror(errno.EIO))


def sync_folder(folder: Path) -> None:
    """Make the new name last a cut of the power, where the system can."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest_of(path: Path) -> str:
    """Give the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
