"""What all audits share: making findings, timing, identities, capped evidence."""

from __future__ import annotations

import functools
import hashlib
import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof.audits.catalogue import AUDITS
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import LayoutError, ShapeError

__all__ = ["ROWS", "audited", "capped", "identity", "made", "matrix", "numbers", "plural"]

ROWS = 10
"""Rows of evidence kept; the total stands beside them."""

FEW = 30
"""Observations below which nothing is said (case S004)."""

Floats = NDArray[np.float64]
P = ParamSpec("P")


def made(
    code: str,
    outcome: Outcome,
    title: str,
    *,
    measured: Measured | None = None,
    gate: Gate | None = None,
    evidence: Mapping[str, Any] | None = None,
    cause: Iterable[str] = (),
    remedy: str = "",
    fixable: bool = False,
    scope: Mapping[str, Any] | None = None,
    assumptions: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Finding:
    """Make a finding of an audit of the table; a passed one needs no remedy."""
    audit = AUDITS[code]
    settled = outcome in ("pass", "skipped")
    return Finding(
        id=code,
        slug=audit.slug,
        outcome=outcome,
        severity=audit.severity,
        title=title,
        measured=measured,
        gate=gate,
        evidence=dict(evidence or {}),
        cause=() if settled else tuple(cause),
        remedy="" if settled else remedy,
        fixable=fixable and not settled,
        scope=dict(scope or {}),
        assumptions=dict(assumptions or {}),
        provenance=dict(provenance or {}),
        docs=audit.docs,
    )


def audited(function: Callable[P, Finding]) -> Callable[P, Finding]:
    """Write into the finding what it was made of, and how long it took."""
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def audit(*args: P.args, **options: P.kwargs) -> Finding:
        began = time.perf_counter()
        finding = function(*args, **options)
        given = {name: identity(value) for name, value in zip(names, args, strict=False)}
        given |= {name: identity(value) for name, value in options.items()}
        facts = {
            **finding.provenance,
            "inputs": {name: digest for name, digest in given.items() if digest},
            "barproof": _core.__version__,
            "numpy": np.__version__,
            "seconds": round(time.perf_counter() - began, 6),
        }
        return replace(finding, provenance=facts)

    return audit


def identity(value: Any) -> str:
    """Digest of an input; empty for what has none."""
    digest = getattr(value, "digest", None)
    if isinstance(digest, str):
        return digest
    if isinstance(value, pl.DataFrame):
        columns = [f"{name}:{identity(value[name])}" for name in value.columns]
        return _core.digest("frame/1", columns)
    if isinstance(value, pl.Series):
        if value.dtype.is_numeric() or value.dtype.is_temporal() or value.dtype == pl.Boolean:
            return identity(value.to_physical().to_numpy())
        return _core.digest("texts/1", [str(item) for item in value])
    if isinstance(value, np.ndarray) and value.dtype != object:
        held = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return _core.digest("array/1", [value.dtype.str, str(value.shape), held])
    return ""


def numbers(name: str, values: Any) -> Floats:
    """One-dimensional floats; nulls are NaN."""
    if isinstance(values, pl.Series):
        values = values.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise LayoutError(
            f"`{name}` must be an array of numbers, was {type(values).__name__}: give floats, NaN for what is missing"
        ) from None
    if array.ndim != 1:
        raise ShapeError(f"`{name}` must have one dimension, had shape {array.shape}")
    return array


def matrix(name: str, values: Any) -> Floats:
    """Two-dimensional floats."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2:
        raise ShapeError(f"`{name}` must have two dimensions, had shape {array.shape}")
    return array


def capped(rows: Iterable[Mapping[str, Any]], total: int) -> dict[str, Any]:
    """First rows of evidence, and how many there are."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if len(kept) == ROWS:
            break
        kept.append(dict(row))
    return {"rows": kept, "total": int(total)}


def plural(n: int, noun: str, many: str = "") -> str:
    """Write a count with its noun."""
    return f"{n:,} {noun if n == 1 else many or noun + 's'}"
