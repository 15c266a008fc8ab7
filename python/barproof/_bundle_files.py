"""Bundles on disk: a folder that is there whole or not at all, and that is read without believing it.

`manifest.json` names every other file with its size and SHA-256 and holds a digest of itself; it must be written just
as this module writes it, so that no byte can change unseen. A digest finds damage; against somebody who writes a whole
false bundle stand the parsers: arrays and trees are checked before they are used, types come from a list, and nothing
is ever unpickled. Not Parquet: a few bytes of it can unfold to billions of rows, so probe rows are arrays too.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from barproof import _core
from barproof._whole import sync_folder
from barproof.errors import BundleError, FileError

__all__ = ["FORMAT", "MANIFEST", "is_bundle", "read_folder", "write_folder"]

FORMAT = "barproof-bundle/1"
MANIFEST = "manifest.json"
LIMIT = 64 << 20
"""Bytes that a bundle may hold and unfold to, unless the reader says more."""

# As Python objects a manifest takes some thirty times its size.
_MOST_MANIFEST = 2 << 20
_NAME = re.compile(r"[a-z0-9_]{1,60}(\.[a-z0-9_]{1,60}){1,6}")
_CHUNK = 1 << 20


def manifest_text(document: Mapping[str, Any]) -> bytes:
    """Write a manifest, in the one way there is."""
    return json.dumps(document, indent=1, allow_nan=False).encode() + b"\n"


def _own_digest(document: Mapping[str, Any]) -> str:
    rest = {name: value for name, value in document.items() if name != "digest"}
    return _core.digest("bundle-folder/1", [manifest_text(rest).decode()])


def is_bundle(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder with a manifest; nothing is read."""
    return (Path(path) / MANIFEST).is_file()


def write_folder(
    path: str | os.PathLike[str], content: Mapping[str, Any], files: Mapping[str, bytes]
) -> Path:
    """Write a bundle; whoever looks, even after a kill, sees the old one or the new one.

    All is written and synced under a hidden name beside `path`, which then takes its place in one step: by a rename, or
    where a bundle stands already by an exchange of names. A kill leaves at most the hidden folder, which can be
    deleted.

    Parameters
    ----------
    path : path-like
        Folder to make; its parent must exist. An old bundle is replaced, anything else is left alone.
    content : mapping
        What the manifest holds besides the list of files.
    files : mapping of str to bytes
        By name.

    Returns
    -------
    Path
        `path`.

    Raises
    ------
    FileError
        If something else stands there, the parent does not exist, or the system refuses.
    """
    target = Path(os.path.abspath(path))
    old = target.exists() or target.is_symlink()
    if old and not (is_bundle(target) and not target.is_symlink()):
        raise FileError(
            f"`path` {str(path)!r} exists and is no bundle: name a folder that does not exist yet"
        )
    listed = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    document = {"format": FORMAT, **content, "files": listed}
    document["digest"] = _own_digest(document)
    temporary = target.with_name(f".{target.name[:80]}.{secrets.token_hex(6)}.tmp")
    try:
        try:
            temporary.mkdir()
            for name, data in files.items():
                _write(temporary / name, data)
            _write(temporary / MANIFEST, manifest_text(document))
            sync_folder(temporary)
            if old:
                _exchange(temporary, target)
            else:
                os.rename(temporary, target)
            sync_folder(target.parent)
        finally:
            # Nothing, a half-written one, or the old one.
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as cause:
        raise FileError(
            f"`path` {str(path)!r} could not be written: {cause.strerror or cause}; choose another folder, with room "
            "and write permission"
        ) from cause
    return Path(path)


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


def _exchange(a: Path, b: Path) -> None:
    """Swap two names in one step, where the system can; two renames would leave a moment with neither."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    calls: dict[str, tuple[str, Sequence[Any]]] = {
        # AT_FDCWD and RENAME_EXCHANGE of linux/fs.h; RENAME_SWAP of sys/stdio.h.
        "linux": ("renameat2", (-100, os.fsencode(a), -100, os.fsencode(b), 2)),
        "darwin": ("renamex_np", (os.fsencode(a), os.fsencode(b), 2)),
    }
    name, arguments = calls.get(sys.platform, ("", ()))
    swap: Callable[..., int] | None = getattr(library, name, None) if name else None
    if swap is None or swap(*arguments) != 0:
        raise FileError(
            f"bundle {str(b)!r} exists, and this system cannot exchange two folders in one step: save under another "
            "name, or remove it first"
        )


def read_folder(
    path: str | os.PathLike[str], *, limit: int = LIMIT
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read a bundle's manifest and files, checked against each other; what they mean is not looked at.

    Parameters
    ----------
    path : path-like
        Folder of the bundle.
    limit : int
        Bytes that its files may have.

    Returns
    -------
    document : dict
        The manifest.
    files : dict of str to bytes
        Every other file.

    Raises
    ------
    BundleError
        If the folder is no bundle of this format, or anything about it is not as the manifest says.
    """
    where = f"bundle {os.fspath(path)!r}"
    if not Path(path).is_dir():
        raise BundleError(
            f"there is no bundle {os.fspath(path)!r}: give the folder that save() made"
        )
    document = _manifest(path, where)
    listed = document["files"]
    present = sorted(entry.name for entry in os.scandir(path))
    absent = sorted({*listed} - {*present})
    if absent:
        raise BundleError(f"{where} lacks its file {absent[0]!r}: it was not copied whole")
    extra = sorted({*present} - {*listed, MANIFEST})
    if extra:
        raise BundleError(
            f"{where} holds {extra[0]!r}, which its manifest does not know: nothing may be put into it; remove it"
        )
    whole = sum(one["bytes"] for one in listed.values())
    if whole > limit:
        raise BundleError(
            f"{where} has {whole:,} bytes, the limit is {limit:,}: if you trust where it comes from, load with a "
            "larger limit_bytes="
        )
    files: dict[str, bytes] = {}
    for name, told in listed.items():
        data = _read(path, name, told["bytes"])
        if data is None or hashlib.sha256(data).hexdigest() != told["sha256"]:
            raise BundleError(
                f"{name!r} of {where} is not the file of {told['bytes']:,} bytes that was saved: it is damaged, or a "
                "link; take it from its source again"
            )
        files[name] = data
    return document, files


def _manifest(path: str | os.PathLike[str], where: str) -> dict[str, Any]:
    """Read the manifest of a bundle; one that is not as it was written is refused."""
    data = _read(path, MANIFEST, None)
    if data is None:
        raise BundleError(
            f"{where} has no readable {MANIFEST} of at most {_MOST_MANIFEST:,} bytes: give the folder that save() made"
        )
    try:
        document = json.loads(data.decode())
        faithful = isinstance(document, dict) and manifest_text(document) == data
    except (ValueError, RecursionError):
        document, faithful = None, False
    if isinstance(document, dict) and document.get("format") not in (None, FORMAT):
        raise BundleError(
            f"{where} is of format {str(document['format'])[:80]!r}, this version reads {FORMAT!r}: load it with the "
            "barproof that saved it"
        )
    if not faithful or document.get("digest") != _own_digest(document) or not _lists(document):
        raise BundleError(
            f"{MANIFEST} of {where} is not as it was written: it is damaged or was edited; take it from its source "
            "again"
        )
    whole: dict[str, Any] = document
    return whole


def _lists(document: Mapping[str, Any]) -> bool:
    """Whether the list of files is one, with names that stay inside the folder."""
    listed = document.get("files")
    return isinstance(listed, dict) and all(
        _NAME.fullmatch(name) is not None
        and name != MANIFEST
        and isinstance(told, dict)
        and set(told) == {"bytes", "sha256"}
        and type(told["bytes"]) is int
        and told["bytes"] >= 0
        for name, told in listed.items()
    )


def _read(folder: str | os.PathLike[str], name: str, size: int | None) -> bytes | None:
    """Read a plain file of just this size; None if it is a link, a pipe, or of another size."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        handle = os.open(os.path.join(folder, name), flags | getattr(os, "O_BINARY", 0))
    except OSError:
        return None
    try:
        told = os.fstat(handle)
        most = _MOST_MANIFEST if size is None else size
        if not stat.S_ISREG(told.st_mode) or told.st_size > most:
            return None
        if size is not None and told.st_size != size:
            return None
        with os.fdopen(handle, "rb", closefd=False) as stream:
            # One byte more than there should be: a file that grows meanwhile is not the one that was saved.
            data = stream.read(most + 1)
    except OSError:
        return None
    finally:
        os.close(handle)
    return data if size is None or len(data) == size else None
