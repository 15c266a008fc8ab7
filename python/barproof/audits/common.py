"""What all audits share: making findings, timing, identities, capped evidence."""

from __future__ import annotations

import functools
import hashlib
import inspect
import math
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

__all__ = [
    "ROWS",
    "auc",
    "audited",
    "capped",
    "correlation",
    "identity",
    "made",
    "matrix",
    "numbers",
    "plural",
    "same_rows",
    "speaking",
    "table",
    "unable",
]

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


def speaking(outcome: Outcome, *checks: tuple[Measured, Gate]) -> dict[str, Any]:
    """Choose among the checks of an audit the one that its outcome speaks of.

    For a pass the first whose gate holds, for a warning or a failure the first whose gate does not; else the first.
    """
    wanted = {"pass": True, "warn": False, "fail": False}.get(outcome)
    for measured, gate in checks:
        if wanted is not None and gate.holds(measured) is wanted:
            return {"measured": measured, "gate": gate}
    measured, gate = checks[0]
    return {"measured": measured, "gate": gate}


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


def same_rows(**arrays: Any) -> int:
    """Count the rows that all arrays have."""
    sizes = {name: len(held) for name, held in arrays.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"`{name}` {size:,}" for name, size in sizes.items())
        raise ShapeError(f"arrays must have one length, had {told}: give one value a row")
    return next(iter(sizes.values()))


def table(name: str, values: Any) -> tuple[Floats, list[str]]:
    """Matrix of floats, one column a feature, and the names of its columns."""
    if isinstance(values, pl.DataFrame) or hasattr(values, "columns"):
        names = [str(c) for c in values.columns if str(c) != "open_time"]
        columns = [numbers(c, pl.Series(values[c])) for c in names]
        return (np.column_stack(columns) if columns else np.empty((len(values), 0))), names
    if isinstance(values, Mapping):
        columns = [numbers(str(c), v) for c, v in values.items()]
        same_rows(**{str(c): v for c, v in zip(values, columns, strict=True)}) if columns else 0
        return (np.column_stack(columns) if columns else np.empty((0, 0))), [str(c) for c in values]
    array = np.asarray(values, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else matrix(name, array)
    return array, [f"column {i}" for i in range(array.shape[1])]


def auc(x: Any, positive: Any) -> float:
    """Area under the curve of a score: Mann and Whitney's, ties count half; NaN for one class."""
    values, up = np.asarray(x, np.float64), np.asarray(positive, bool)
    ones = int(up.sum())
    zeros = len(up) - ones
    if not ones or not zeros:
        return math.nan
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[up].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def correlation(a: Any, b: Any) -> float:
    """Pearson's correlation of rows where both are finite; NaN for constants and fewer than 3 rows."""
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    good = np.isfinite(x) & np.isfinite(y)
    x, y = x[good], y[good]
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    x, y = x - x.mean(), y - y.mean()
    size = math.sqrt(float(x @ x) * float(y @ y))
    return max(-1.0, min(1.0, float(x @ y) / size)) if size else math.nan


def unable(code: str, why: str, remedy: str = "", **more: Any) -> Finding:
    """Say that the input cannot tell."""
    return made(code, "inconclusive", why, remedy=remedy or f"give {AUDITS[code].needs}", **more)


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
