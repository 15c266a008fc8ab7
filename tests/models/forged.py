"""Bundles and checkpoints as somebody would forge them: with digests that fit, so that only the parsers are left."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

import barproof as bp
from barproof import models
from barproof._bundle_files import MANIFEST, write_folder
from barproof._tensors import read_tensors, write_tensors
from tests.models.market import candles, quiet, table

BARS = candles(900)
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=3, threshold=0.001)
BINARY = bp.labels.horizon(BARS, bars=3, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=3)
WALK = bp.WalkForward(500, 150, tune=150)

MAKERS: dict[str, Callable[[], bp.Run]] = {
    "logistic": lambda: quiet(models.Logistic(), X, TERNARY, WALK),
    "boosting": lambda: quiet(
        models.GradientBoosting(max_iter=6, min_samples_leaf=20), X, TERNARY, WALK
    ),
    "forest": lambda: quiet(
        models.Sklearn(RandomForestClassifier(5, max_depth=3)), X, BINARY, WALK
    ),
}


@lru_cache(maxsize=8)
def bundle(name: str = "logistic") -> bp.Bundle:
    return MAKERS[name]().bundles[0]


def sound(folder: Path, name: str = "logistic") -> Path:
    path: Path = bundle(name).save(folder / "bundle")
    return path


def contents(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Manifest and files, as they stand."""
    document = json.loads((path / MANIFEST).read_text())
    files = {name: (path / name).read_bytes() for name in document["files"]}
    return document, files


def forge(
    folder: Path, name: str, edit: Callable[[dict[str, Any], dict[str, bytes]], object]
) -> Path:
    """A bundle whose manifest and files were edited and signed again."""
    document, files = contents(sound(folder, name))
    for key in ("digest", "files", "format"):
        document.pop(key)
    edit(document, files)
    return write_folder(folder / "bundle", document, files)


def sign(path: Path, document: dict[str, Any]) -> None:
    """Write a manifest with the digest that belongs to it."""
    from barproof._bundle_files import _own_digest, manifest_text

    document.pop("digest", None)
    document["digest"] = _own_digest(document)
    (path / MANIFEST).write_bytes(manifest_text(document))


class Payload:
    """What a pickle would run."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def payload(canary: Path) -> bytes:
    return pickle.dumps(Payload(canary))


def header(told: object, length: int | None = None, data: bytes = b"") -> bytes:
    text = told if isinstance(told, bytes) else json.dumps(told).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(dtype: Any = "F64", shape: Any = (1,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


EIGHT = b"\0" * 8
BROKEN_TENSORS: dict[str, bytes] = {
    "empty": b"",
    "seven bytes": b"1234567",
    "header beyond the file": header(b"{}", 1 << 60),
    "header of nothing": header(b"", 0),
    "no JSON": header(b"{]"),
    "no object": header([1]),
    "not UTF-8": header(b"\xff\xfe"),
    "deep": header(b'{"a":' * 5000),
    "huge tensor": header({"a": entry(shape=[1 << 40], offsets=[0, 1 << 43])}, data=EIGHT),
    "more than 64 bits": header(
        {"a": entry(shape=[1 << 33, 1 << 33], offsets=[0, 1 << 69])}, data=EIGHT
    ),
    "overlap": header({"a": entry(), "b": entry()}, data=EIGHT),
    "hole": header({"a": entry(offsets=[8, 16])}, data=EIGHT * 2),
    "tail": header({"a": entry()}, data=EIGHT * 2),
    "short": header({"a": entry(shape=[2], offsets=[0, 16])}, data=EIGHT),
    "shape and offsets": header({"a": entry(shape=[2])}, data=EIGHT),
    "negative": header({"a": entry(shape=[-1], offsets=[8, 0])}, data=EIGHT),
    "true": header({"a": entry(shape=[True])}, data=EIGHT),
    "float": header({"a": entry(shape=[1.0])}, data=EIGHT),
    "unknown type": header({"a": entry("F128")}, data=EIGHT),
    "type is a list": header({"a": entry([])}, data=EIGHT),
    "no entry": header({"a": 3}, data=EIGHT),
    "another key": header({"a": entry() | {"code": "x"}}, data=EIGHT),
    "many axes": header({"a": entry(shape=[1] * 40)}, data=EIGHT),
    "three offsets": header({"a": entry(offsets=[0, 4, 8])}, data=EIGHT),
}


def zipped(members: dict[str, bytes], *, squeeze: bool = False) -> bytes:
    out = io.BytesIO()
    how = zipfile.ZIP_DEFLATED if squeeze else zipfile.ZIP_STORED
    with zipfile.ZipFile(out, "w", how) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def unzipped(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def npy(shape: str, data: bytes = b"", dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}"
    text += " " * (-(len(text) + 11) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode() + data


def swap_schema(data: bytes, old: str, new: str) -> bytes:
    members = unzipped(data)
    text = members["schema.json"].decode()
    assert old in text
    return zipped(members | {"schema.json": text.replace(old, new).encode()})


def with_nodes(data: bytes, change: Callable[[Any], None]) -> bytes:
    """Trees of boosting with other nodes."""
    members = unzipped(data)
    for name, content in members.items():
        if name.endswith(".npy"):
            array = np.load(io.BytesIO(content))
            if array.dtype.names and "left" in array.dtype.names and not np.all(array["is_leaf"]):
                array = array.copy()
                change(array)
                out = io.BytesIO()
                np.save(out, array)
                return zipped(members | {name: out.getvalue()})
    raise AssertionError("no tree with two leaves")


def set_node(field: str, value: int) -> Callable[[Any], None]:
    def change(nodes: Any) -> None:
        nodes[field][int(np.flatnonzero(nodes["is_leaf"] == 0)[0])] = value

    return change


def with_weights(files: dict[str, bytes], name: str, change: Callable[[Any], Any]) -> None:
    arrays = dict(read_tensors(files[name], name))
    files[name] = write_tensors(change(arrays))
