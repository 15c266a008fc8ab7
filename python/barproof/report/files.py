"""Writing a report: all of it or nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from barproof._whole import sync_folder
from barproof.errors import FileError

__all__ = ["check_target", "write_text"]


def check_target(path: str | os.PathLike[str]) -> Path:
    """Refuse a path that no file can be written to, before anything is computed for it.

    Parameters
    ----------
    path : path-like
        Where to write.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    FileError
        If its folder does not exist, or it is a folder itself.
    """
    target = Path(path)
    if target.is_dir():
        raise FileError(f"`path` {str(path)!r} is a folder; name a file in it, such as report.html")
    if not target.parent.is_dir():
        raise FileError(
            f"`path` {str(path)!r} lies in a folder that does not exist; create {str(target.parent)!r} first"
        )
    return target


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write a text file such that a reader sees the old one or the whole new one.

    The text goes to a temporary name in the same folder, is synced to disk, and takes the name of the old file.

    Parameters
    ----------
    path : path-like
        Where to write; its folder must exist.
    text : str
        Content, written as UTF-8.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    FileError
        If the folder does not exist, `path` is a folder, or the system refuses.
    """
    target = check_target(path)
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        # Not a secret file: created with the permissions that any new file of the user gets.
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as cause:
        raise FileError(
            f"`path` {str(path)!r} could not be written: {cause.strerror}; "
            "choose a place with room and write permission"
        ) from cause
    sync_folder(target.parent)
    return target
