"""The checks behind validation: every fault, with its rows and its remedy, in one pass.

Times are checked as they stand; everything that needs neighbours (holes, jumps, stale runs) is checked in time order,
so that disorder does not hide the rest. Row numbers are those of the source.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from barproof.candles.calendars import Holes, find_holes, grid_offset
from barproof.candles.columns import rows_text
from barproof.candles.faults import Fault, quoted
from barproof.candles.interval import DAY, MINUTE, format_interval
from barproof.candles.prices import K, Outliers, find_jumps, find_wicks
from barproof.candles.table import PRICES, Floats, Ints, Table, show_time

__all__ = ["MAX_HOLE_MS", "MAX_MISSING", "find_faults"]

ROWS_KEPT = 20  # rows kept on a fault
SHOWN = 5  # rows named in its message
MAX_HOLE_MS = DAY
MAX_MISSING = 0.01
MOSTLY_ABSENT = 0.5
STALE_BARS = 30


def find_faults(table: Table, interval_ms: int, calendar: str) -> list[Fault]:
    """Check everything.

    Parameters
    ----------
    table : Table
        Candles in the order in which they came.
    interval_ms : int
        Bar length.
    calendar : str
        ``"24/7"``, ``"sessions"`` or the name of an exchange calendar.

    Returns
    -------
    list of Fault
        Empty for perfect candles.
    """
    faults = _order(table)
    ordered = table.sorted()
    faults += _duplicates(ordered)
    faults += _grid(table, interval_ms, calendar)
    faults += _values(table)
    faults += _holes(
        ordered, find_holes(ordered.time, interval_ms, calendar), interval_ms, calendar
    )
    single = ordered
    if len(ordered) and bool((ordered.time[1:] == ordered.time[:-1]).any()):
        single = ordered.take(np.r_[ordered.time[1:] != ordered.time[:-1], True])
    faults += _stale(single)
    faults += _jumps(single, find_jumps(single, interval_ms, calendar), calendar != "24/7")
    faults += _wicks(single, find_wicks(single))
    faults += _quotes(table)
    return faults


def _rows(table: Table, index: Ints) -> tuple[int, ...]:
    return tuple(int(row) for row in table.row[index[:ROWS_KEPT]])


def _named(table: Table, index: Ints) -> str:
    return rows_text(table.row[index[:SHOWN]], len(index))


def _order(table: Table) -> list[Fault]:
    at = np.flatnonzero(table.time[1:] < table.time[:-1]) + 1
    if not len(at):
        return []
    i = int(at[0])
    return [
        Fault(
            "disorder",
            "error",
            len(at),
            _rows(table, at),
            f"time goes back at {_named(table, at)} "
            f"(first from {show_time(table.time[i - 1])} to {show_time(table.time[i])})",
            'pass repair=["sort"]',
            ("sort",),
        )
    ]


def _duplicates(table: Table) -> list[Fault]:
    again = table.time[1:] == table.time[:-1]
    if not again.any():
        return []
    same = again.copy()
    for values in (*(table.price(name) for name in (*PRICES, "volume")), *table.extra.values()):
        equal = values[1:] == values[:-1]
        same &= equal | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    faults = []
    identical = np.flatnonzero(same) + 1
    if len(identical):
        faults.append(
            Fault(
                "duplicate_identical",
                "error",
                len(identical),
                _rows(table, identical),
                f"the same bar again in {_named(table, identical)} "
                f"(first {show_time(table.time[identical[0]])})",
                'pass repair=["drop_identical"]',
                ("drop_identical",),
            )
        )
    conflict = np.flatnonzero(again & ~same) + 1
    if len(conflict):
        i = int(conflict[0])
        grown = int((table.volume[conflict] > table.volume[conflict - 1]).sum())
        faults.append(
            Fault(
                "duplicate_conflict",
                "error",
                len(conflict),
                _rows(table, conflict),
                f"another bar of a time already given in {_named(table, conflict)} (first "
                f"{show_time(table.time[i])}: close {table.close[i - 1]:g}, then {table.close[i]:g}; "
                f"the later row has more volume in {grown} of {len(conflict)})",
                'pass repair=["keep_last"] (right where the earlier row was still forming) or ["keep_first"]',
                ("keep_last",),
            )
        )
    return faults


def _grid(table: Table, interval_ms: int, calendar: str) -> list[Fault]:
    if not len(table):
        return []
    unit, offset = grid_offset(table.time, interval_ms, calendar)
    faults = []
    off = np.flatnonzero(table.time % unit != offset)
    if len(off):
        floor = (table.time - offset) // unit
        collide = len(np.unique(floor)) < len(np.unique(table.time))
        repair = ("snap_to_grid", "keep_first") if collide else ("snap_to_grid",)
        faults.append(
            Fault(
                "off_grid",
                "error",
                len(off),
                _rows(table, off),
                f"open times off the {format_interval(interval_ms)} grid in {_named(table, off)} "
                f"(first {show_time(table.time[off[0]])})",
                f"pass repair={quoted(repair)} (rounds down"
                + ("; where that collides the row on the grid comes first) " if collide else ") ")
                + 'or ["drop_off_grid"], or give `interval=` if it is another',
                repair,
            )
        )
    if offset % min(MINUTE, interval_ms):
        faults.append(
            Fault(
                "grid_offset",
                "warning",
                len(table) - len(off),
                _rows(table, np.arange(min(len(table), ROWS_KEPT))),
                f"open times lie {offset} ms behind the {format_interval(interval_ms)} clock "
                f"(first {show_time(table.time[0])}), as close times do",
                'shift the times if they are close times, or pass repair=["snap_to_grid"]',
                ("snap_to_grid",),
            )
        )
    return faults


def _values(table: Table) -> list[Fault]:
    prices = np.stack([table.price(name) for name in PRICES])
    volume = table.volume
    faults = []
    unfit = ~np.isfinite(prices)
    bad = np.flatnonzero(unfit.any(axis=0) | ~np.isfinite(volume))
    if len(bad):
        faults.append(
            Fault(
                "non_finite",
                "error",
                len(bad),
                _rows(table, bad),
                f"prices or volume not finite in {_named(table, bad)} ({_bar(table, bad[0])})",
                'pass repair=["drop_non_finite"]',
                ("drop_non_finite",),
            )
        )
    bad = np.flatnonzero((prices <= 0).any(axis=0))
    if len(bad):
        faults.append(
            Fault(
                "non_positive",
                "error",
                len(bad),
                _rows(table, bad),
                f"prices not above 0 in {_named(table, bad)} ({_bar(table, bad[0])})",
                'pass repair=["drop_non_positive"]',
                ("drop_non_positive",),
            )
        )
    bad = np.flatnonzero(volume < 0)
    if len(bad):
        faults.append(
            Fault(
                "negative_volume",
                "error",
                len(bad),
                _rows(table, bad),
                f"volume below 0 in {_named(table, bad)} ({_bar(table, bad[0])})",
                'pass repair=["drop_negative_volume"]',
                ("drop_negative_volume",),
            )
        )
    top = np.maximum(table.open, table.close)
    bottom = np.minimum(table.open, table.close)
    bad = np.flatnonzero((table.high < top) | (table.low > bottom) | (table.high < table.low))
    if len(bad):
        faults.append(
            Fault(
                "ohlc",
                "error",
                len(bad),
                _rows(table, bad),
                f"high or low does not hold open and close in {_named(table, bad)} "
                f"({_bar(table, bad[0])})",
                'pass repair=["fix_ohlc"] (widens high and low)',
                ("fix_ohlc",),
            )
        )
    if table.no_volume or (len(table) and not volume.any()):
        how = (
            "there is no volume column, read as 0" if table.no_volume else "volume is 0 throughout"
        )
        faults.append(
            Fault(
                "no_volume",
                "warning",
                len(table),
                (),
                how,
                "do not use features or labels that need volume",
            )
        )
    made = int((table.row < 0).sum())
    if made > MAX_MISSING * len(table):
        faults.append(
            Fault(
                "filled",
                "warning",
                made,
                _rows(table, np.flatnonzero(table.row < 0)),
                f"{made} of {len(table)} bars ({made / len(table):.1%}) were made by a repair",
                "look for a complete source before believing a backtest on them",
            )
        )
    return faults


def _bar(table: Table, i: int) -> str:
    return (
        f"first {show_time(table.time[i])}: open {table.open[i]:g}, high {table.high[i]:g}, "
        f"low {table.low[i]:g}, close {table.close[i]:g}, volume {table.volume[i]:g}"
    )


def _holes(table: Table, holes: Holes, interval_ms: int, calendar: str) -> list[Fault]:
    faults = []
    if holes.outside:
        faults.append(
            Fault(
                "off_session",
                "warning",
                holes.outside,
                (),
                f"{holes.outside} bars lie outside the sessions of {calendar}",
                "check `calendar` and the time zone of the source",
            )
        )
    count = len(holes.missing)
    if not count:
        return faults
    total = int(holes.missing.sum())
    share = total / holes.expected
    always = calendar == "24/7"
    long = always & (holes.missing * interval_ms > MAX_HOLE_MS)
    if always and share > MAX_MISSING:
        # Where most bars would be made up, filling is no repair to recommend.
        fillable = ("fill_gap",) if share < MOSTLY_ABSENT and not long.all() else ()
        faults.append(
            Fault(
                "missing_share",
                "error",
                total,
                (),
                f"{total} of {holes.expected} bars ({share:.1%}) are absent in {count} hole{'s' if count > 1 else ''}, "
                f"more than {MAX_MISSING:.0%}",
                "find a complete source, or pass "
                + (
                    'repair=["fill_gap"] (flat bars in holes of up to 24 hours) or '
                    if fillable
                    else ""
                )
                + 'repair=["longest_segment"]',
                (*fillable, "longest_segment"),
            )
        )
    for mask, code, severity, remedy, repair in (
        (
            long,
            "long_hole",
            "error",
            'find the missing part, or pass repair=["longest_segment"] or read the parts one by one',
            ("longest_segment",),
        ),
        (
            ~long,
            "hole",
            "warning",
            'none needed for outages, features and trades live with them; else repair=["fill_gap"]'
            if always and share <= MAX_MISSING
            else "see missing_share"
            if always
            else "give the name of an exchange calendar as `calendar=` for exact closures",
            (),
        ),
    ):
        at = np.flatnonzero(mask)
        if not len(at):
            continue
        first = np.searchsorted(table.time, holes.after[at])
        kind: Literal["error", "warning"] = "error" if severity == "error" else "warning"
        shown = "; ".join(
            f"row {int(table.row[min(int(r), len(table) - 1)])} {show_time(holes.before[i])} -> "
            f"{show_time(holes.after[i])} ({int(holes.missing[i])} absent)"
            for i, r in zip(at[:SHOWN], first, strict=False)
        )
        more = f" and {len(at) - SHOWN} more" if len(at) > SHOWN else ""
        size = " of more than 24 hours" if code == "long_hole" else ""
        faults.append(
            Fault(
                code,
                kind,
                len(at),
                _rows(table, np.minimum(first, len(table) - 1)),
                f"{len(at)} hole{'s' if len(at) > 1 else ''}{size}, "
                f"{int(holes.missing[at].sum())} bars absent: {shown}{more}",
                remedy,
                repair,
            )
        )
    return faults


def _stale(table: Table) -> list[Fault]:
    """Find runs of bars that repeat one price without volume."""
    n = len(table)
    if n < STALE_BARS:
        return []
    flat = (table.high == table.low) & (table.volume == 0)
    flat[1:] &= table.close[1:] == table.close[:-1]
    edge = np.flatnonzero(np.diff(np.r_[False, flat, False].astype(np.int8)))
    start, stop = edge[::2], edge[1::2]
    length = stop - start
    keep = length >= STALE_BARS
    start, length = start[keep], length[keep]
    if not len(start):
        return []
    longest = int(np.argmax(length))
    return [
        Fault(
            "stale_run",
            "warning",
            len(start),
            _rows(table, start),
            f"{len(start)} run{'s' if len(start) > 1 else ''} of {STALE_BARS} or more bars with one "
            f"price and no volume, {int(length.sum())} bars, starting at {_named(table, start)} "
            f"(longest {int(length[longest])} from {show_time(table.time[start[longest]])})",
            'the market was frozen or the bars are made up; pass repair=["drop_zero_volume"] to leave '
            "them out",
            ("drop_zero_volume",),
        )
    ]


def _jumps(table: Table, found: Outliers, shares: bool) -> list[Fault]:
    if not len(found.rows):
        return []
    shown = "; ".join(
        f"row {int(table.row[i])} {show_time(table.time[i])} close {table.close[i - 1]:g} -> "
        f"{table.close[i]:g} ({deviations:.0f} deviations{_split(move) if shares else ''})"
        for i, move, deviations in zip(*(part[:SHOWN] for part in found), strict=True)
    )
    return [
        Fault(
            "jump",
            "warning",
            len(found.rows),
            _rows(table, found.rows),
            f"closes more than {K:g} robust deviations from the one before, {len(found.rows)} in "
            f"all, largest first: {shown}",
            "compare with another source; adjust prices for splits; a true event needs nothing",
        )
    ]


def _split(move: float) -> str:
    """Name the share split that a move looks like."""
    ratio = float(np.exp(min(abs(move), 5.0)))
    for parts in (2, 3, 4, 5, 7, 10, 20):
        if abs(ratio / parts - 1) < 0.1:
            return f", like a {parts}:1 split" if move < 0 else f", like a 1:{parts} split"
    return ""


def _wicks(table: Table, found: Outliers) -> list[Fault]:
    if not len(found.rows):
        return []
    shown = "; ".join(
        f"row {int(table.row[i])} {show_time(table.time[i])} "
        f"{'high' if move > 0 else 'low'} {(table.high if move > 0 else table.low)[i]:g} beside close "
        f"{table.close[i]:g} ({deviations:.0f} deviations)"
        for i, move, deviations in zip(*(part[:SHOWN] for part in found), strict=True)
    )
    return [
        Fault(
            "wick",
            "warning",
            len(found.rows),
            _rows(table, found.rows),
            f"highs or lows more than {K:g} robust deviations beyond the prices around them, "
            f"{len(found.rows)} in all, largest first: {shown}",
            'compare with another source; for bad ticks pass repair=["clip_wicks"]',
            ("clip_wicks",),
        )
    ]


def _quotes(table: Table) -> list[Fault]:
    """Check ask columns against the bid in the plain ones."""
    crossed = np.zeros(len(table), bool)
    for name in PRICES:
        ask: Floats | None = table.extra.get(f"ask_{name}")
        if ask is not None:
            crossed |= ask < table.price(name)
    at = np.flatnonzero(crossed)
    if not len(at):
        return []
    return [
        Fault(
            "crossed",
            "warning",
            len(at),
            _rows(table, at),
            f"ask below bid in {_named(table, at)} (first {show_time(table.time[at[0]])})",
            "check which columns are bid and ask",
        )
    ]
