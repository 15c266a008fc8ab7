"""Faults as records: what they say, which of them nobody can live with, and which repairs mend them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from barproof._shown import facts_of, shown

__all__ = ["REPAIR_ORDER", "STRUCTURAL", "Fault", "listing", "quoted", "suggestion"]


STRUCTURAL = frozenset(
    {
        "disorder",
        "duplicate_identical",
        "duplicate_conflict",
        "non_finite",
        "non_positive",
        "negative_volume",
    }
)
"""Faults that no engine can live with; they raise whatever `on_fault` says."""

REPAIR_ORDER = (
    "drop_non_finite",
    "drop_non_positive",
    "drop_negative_volume",
    "sort",
    "snap_to_grid",
    "drop_off_grid",
    "drop_identical",
    "keep_last",
    "keep_first",
    "fix_ohlc",
    "clip_wicks",
    "drop_zero_volume",
    "fill_gap",
    "longest_segment",
)
"""All repairs, in the order that makes sense where several are needed."""


@shown(facts_of)
@dataclass(frozen=True)
class Fault:
    """One kind of fault in candles.

    Attributes
    ----------
    code : str
        Short name, such as ``"off_grid"``.
    severity : {"error", "warning"}
        Errors raise unless `on_fault` says otherwise; warnings are kept on ``candles.faults``.
    count : int
        How often it occurs.
    rows : tuple of int
        Up to 20 rows of the source, counted from 0 (bars made by a repair: -1); jumps and wicks largest first.
    message : str
        Rows, times and values.
    remedy : str
        What to do about it.
    repair : tuple of str
        Repairs that mend it, in order; empty where there is none.
    """

    code: str
    severity: Literal["error", "warning"]
    count: int
    rows: tuple[int, ...]
    message: str
    remedy: str
    repair: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.message}; {self.remedy}"


def listing(faults: Iterable[Fault]) -> str:
    """Write faults one a line, errors first."""
    return "\n".join(f"  {fault}" for fault in sorted(faults, key=lambda f: f.severity != "error"))


def suggestion(faults: Sequence[Fault]) -> str:
    """Name the repairs for all faults at once, in an order that works, or give an empty string."""
    wanted = {name for fault in faults for name in fault.repair}
    names = [name for name in REPAIR_ORDER if name in wanted]
    return f"repair={quoted(names)}" if names else ""


def quoted(names: Iterable[str]) -> str:
    """Write repairs as the caller would."""
    return "[" + ", ".join(f'"{name}"' for name in names) + "]"
