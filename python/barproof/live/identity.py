"""Identities that a live log carries: of a row of features, and of the code that ran."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from barproof import _core

__all__ = ["code_version", "row_digest"]


def row_digest(row: NDArray[np.float64]) -> str:
    """Identity of one row of features.

    Parameters
    ----------
    row : ndarray of shape (n_features,), float64
        In the order of the features; every NaN counts as one, and -0 as 0.

    Returns
    -------
    str
        32 hexadecimal digits.

    Examples
    --------
    >>> row_digest(np.array([0.0, np.nan])) == row_digest(np.array([-0.0, -np.nan]))
    True
    """
    held = row + 0.0
    # Squares do not cancel: their sum is NaN exactly where one of them is.
    total = held.dot(held)
    if total != total:
        held[np.isnan(held)] = np.nan
    return hashlib.blake2b(held.data, digest_size=16).hexdigest()


@cache
def code_version() -> str:
    """Version of the package and 16 digits over its files, the compiled ones included.

    Returns
    -------
    str
        Such as ``0.1.0+1f0c...``: two machines with the same text ran the same code.
    """
    folder = Path(__file__).parents[1]
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".py", ".so", ".pyd"):
            found.update(str(path.relative_to(folder)).encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return f"{_core.__version__}+{found.hexdigest()[:16]}"
