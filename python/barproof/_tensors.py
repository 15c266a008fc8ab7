"""Named arrays in one file: the safetensors format, read by a parser that believes nothing.

Layout (https://github.com/huggingface/safetensors): eight bytes little-endian with the length of a JSON header, the
header, and the arrays one after the other. Reading looks at the header before any array and takes no memory that the
file does not hold. It needs no library; tests hold it to that of the format.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.errors import BundleError

__all__ = [
    "Declared",
    "read_header",
    "read_sealed",
    "read_tensors",
    "write_sealed",
    "write_tensors",
]

SEAL = "sha256"
"""Name of the array that holds the digest of all others."""

MOST_HEADER = 1 << 20
"""Bytes of a header; a net of ten thousand tensors needs less."""

WIDTH = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U64": 8,
    "U32": 4,
    "U16": 2,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes an element of each type of the format."""

_NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(text): name for name, text in _NUMPY.items()}


@dataclass(frozen=True)
class Declared:
    """What a header says about one array: its type, its shape, and where it lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)


def write_tensors(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """File of named arrays, in the order given; the same arrays make the same bytes."""
    header: dict[str, Any] = {}
    blocks: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        dtype = _NAMES[array.dtype.newbyteorder("=") if array.dtype.itemsize > 1 else array.dtype]
        block = np.ascontiguousarray(array, dtype=_NUMPY[dtype]).tobytes()
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [at, at + len(block)],
        }
        blocks.append(block)
        at += len(block)
    text = json.dumps(header, separators=(",", ":")).encode()
    # Arrays begin at a multiple of eight, so that they can be used where they lie.
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *blocks])


def read_header(head: bytes, size: int, where: str) -> dict[str, Declared]:
    """Look at a file of arrays without reading them.

    Parameters
    ----------
    head : bytes
        Beginning of the file, at least ``8 + MOST_HEADER`` bytes of it or all.
    size : int
        Bytes of the whole file.
    where : str
        What it is, for messages.

    Returns
    -------
    dict of str to Declared
        In the order of the header; together they fill the file without a hole.

    Raises
    ------
    BundleError
        If it is not of this format, or says what the file does not hold.
    """
    length = struct.unpack("<Q", head[:8])[0] if len(head) >= 8 else 0
    if not 2 <= length <= min(MOST_HEADER, size - 8):
        raise BundleError(
            f"{where} is no safetensors file: its first 8 bytes announce a header of {length:,} bytes, the file has "
            f"{size:,}; save it again"
        )
    try:
        told = json.loads(head[8 : 8 + length].decode())
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise BundleError(
            f"{where} is no safetensors file: its header is no JSON object; save it again"
        )
    told.pop("__metadata__", None)
    found: dict[str, Declared] = {}
    at = 8 + length
    for name, entry in told.items():
        one = _declared(entry, 8 + length)
        if one is None or one.start != at or one.stop > size:
            raise BundleError(
                f"tensor {name[:80]!r} of {where} is declared as {str(entry)[:160]}, which does not fit the {size:,} "
                "bytes of the file: it is damaged"
            )
        found[name] = one
        at = one.stop
    if at != size:
        raise BundleError(
            f"{where} has {size - at:,} bytes behind its last tensor: it is damaged, or something hides there"
        )
    return found


def _declared(entry: Any, base: int) -> Declared | None:
    """One entry of a header, or None if it contradicts itself."""
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        return None
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in WIDTH:
        return None
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or len(numbers) > 32:
            return None
        if not all(type(n) is int and 0 <= n < 1 << 48 for n in numbers):
            return None
    if len(offsets) != 2 or offsets[1] - offsets[0] != math.prod(shape) * WIDTH[dtype]:
        return None
    return Declared(dtype, tuple(shape), base + offsets[0], base + offsets[1])


def read_tensors(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """Arrays of a file, as read-only views of its bytes.

    Raises
    ------
    BundleError
        If it is not of this format, says what the file does not hold, or holds a type that numpy has not.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for name, one in read_header(data[: 8 + MOST_HEADER], len(data), where).items():
        if one.dtype not in _NUMPY:
            raise BundleError(
                f"tensor {name[:80]!r} of {where} is of type {one.dtype}, which numpy has not: save it as F32"
            )
        flat = np.frombuffer(data, dtype=_NUMPY[one.dtype], count=one.count, offset=one.start)
        arrays[name] = flat.reshape(one.shape)
    return arrays


def write_sealed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """File of named arrays that carries their digest."""
    return write_tensors({**arrays, SEAL: _seal(arrays)})


def read_sealed(data: bytes, where: str) -> dict[str, NDArray[Any]]:
    """Arrays of a file that carries their digest.

    Raises
    ------
    BundleError
        As for :func:`read_tensors`, or if the arrays are not those that were written.
    """
    arrays = read_tensors(data, where)
    told = arrays.pop(SEAL, None)
    if told is None or told.tobytes() != _seal(arrays).tobytes():
        raise BundleError(
            f"{where} is damaged: its arrays have another digest than it says; restore it from a copy"
        )
    return arrays


def _seal(arrays: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8]:
    """Digest of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{len(name)} {name} {array.dtype.str} {array.shape} ".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), dtype=np.uint8)
