"""Data that go into a page: escaped where they are text, deflated where they are long.

A browser inflates them by itself (`DecompressionStream`, in every browser since 2023); the library that draws takes
four tenths of its length that way.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from barproof.report.tables import Html, esc

__all__ = ["arrays", "library", "smallest", "text"]

LONG = 12_000
"""Letters of JSON from which it is deflated."""

KINDS = {"int8": "i1", "int16": "i2", "int32": "i4", "float32": "f4", "float64": "f8", "uint8": "u1"}  # fmt: skip
"""Types that the script of the page reads."""


def _deflated(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 6)).decode("ascii")


def _held(key: str, kind: str, content: str) -> Html:
    """Hold base64 where a script finds it; a browser neither shows nor runs it."""
    return Html(
        f'<script type="text/plain" id="{esc(key)}" data-packed="{kind}">{content}</script>'
    )


def text(key: str, document: str) -> Html:
    """Put JSON into the page where a script finds it and HTML cannot end it.

    Parameters
    ----------
    key : str
        Identifier, unique on the page.
    document : str
        JSON.

    Returns
    -------
    Html
        As it is, with no ``<`` left so that no tag begins, or deflated where it is long.
    """
    if len(document) > LONG:
        return _held(key, "text", _deflated(document.encode()))
    safe = (
        document.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    )
    return Html(f'<script type="application/json" id="{esc(key)}">{safe}</script>')


def smallest(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Give whole numbers the shortest type that holds them all.

    Examples
    --------
    >>> smallest(np.array([1, -300])).dtype
    dtype('int16')
    """
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    for kind in (np.int8, np.int16, np.int32):
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return values.astype(kind)
    return values.astype(np.float64)


def arrays(key: str, head: Mapping[str, Any], columns: Mapping[str, npt.NDArray[Any]]) -> Html:
    """Put columns of numbers into the page.

    Bytes of equal weight stand together (all the first, then all the second), which deflates better.

    Parameters
    ----------
    key : str
        Identifier, unique on the page.
    head : mapping
        What is to be said of them; JSON.
    columns : mapping of str to ndarray
        Whole numbers of up to 32 bits, or floats.

    Returns
    -------
    Html
        Length of the head, the head with the columns' names, types and lengths, the columns; deflated.
    """
    listed = [
        [name, KINDS[values.dtype.name], int(values.size)] for name, values in columns.items()
    ]
    told = json.dumps({**head, "columns": listed}, allow_nan=False).encode()
    planes = [
        np.ascontiguousarray(v, dtype=v.dtype.newbyteorder("<"))
        .view(np.uint8)
        .reshape(v.size, v.dtype.itemsize)
        .T.tobytes()
        for v in columns.values()
    ]
    return _held(
        key, "arrays", _deflated(len(told).to_bytes(4, "little") + told + b"".join(planes))
    )


@cache
def library() -> str:
    """Deflate the library that draws, once a process."""
    from plotly.offline import get_plotlyjs

    return _deflated(str(get_plotlyjs()).encode())
