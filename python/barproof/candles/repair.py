"""Explicit repairs, by name, in the order given. Nothing is ever repaired that was not asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from barproof.candles.calendars import find_holes, grid_offset
from barproof.candles.checks import MAX_HOLE_MS, MAX_MISSING
from barproof.candles.faults import REPAIR_ORDER
from barproof.candles.interval import MINUTE, format_interval
from barproof.candles.prices import find_wicks
from barproof.candles.table import PRICES, Floats, Ints, Table
from barproof.errors import LayoutError, ParameterError

__all__ = ["apply_repairs", "check_repairs", "fill_bars"]

MAX_FILL = 20_000_000
"""Bars that filling may make; about 1 GiB of columns."""

Repair = Callable[[Table, int, str], tuple[Table, int]]


def check_repairs(repair: str | Sequence[str]) -> tuple[str, ...]:
    """Refuse repairs that do not exist, before anything is read."""
    if not isinstance(repair, Iterable):
        raise LayoutError(
            f"`repair` must be a name or a list of names, was {type(repair).__name__}: there are "
            f"{', '.join(REPAIR_ORDER)}"
        )
    names = (repair,) if isinstance(repair, str) else tuple(repair)
    for name in names:
        if not isinstance(name, str):
            raise LayoutError(f"`repair` must be names of repairs, holds {type(name).__name__}")
        if name not in _REPAIRS:
            near = get_close_matches(name, REPAIR_ORDER, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ParameterError(
                f"`repair` {name!r} does not exist{hint}; there are {', '.join(REPAIR_ORDER)}"
            )
    return names


def apply_repairs(
    table: Table, names: Sequence[str], interval_ms: int, calendar: str
) -> tuple[Table, tuple[str, ...]]:
    """Repair one by one.

    Returns
    -------
    table : Table
        Repaired copy; `row` still tells where each bar came from.
    record : tuple of str
        ``"name: n rows"`` for each repair, with the rows it changed, dropped or made.
    """
    record = []
    for name in names:
        table, touched = _REPAIRS[name](table, interval_ms, calendar)
        record.append(f"{name}: {touched} row{'s' if touched != 1 else ''}")
    return table, tuple(record)


def _keep(table: Table, mask: npt.NDArray[np.bool_]) -> tuple[Table, int]:
    dropped = int((~mask).sum())
    return (table.take(mask) if dropped else table), dropped


def _in_order(table: Table) -> bool:
    return bool((table.time[1:] > table.time[:-1]).all())


def _sort(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Put rows in time order; rows of one time keep their order."""
    order = np.argsort(table.time, kind="stable")
    moved = int((order != np.arange(len(order))).sum())
    return (table.take(order) if moved else table), moved


def _drop_identical(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Drop rows that repeat an earlier row in every column."""
    columns = [table.price(name) for name in (*PRICES, "volume")] + list(table.extra.values())
    # Equal rows become neighbours; NaN equals NaN by bits once canonical.
    keys = [np.where(np.isnan(c), np.nan, c + 0.0).view(np.int64) for c in columns]
    order = np.lexsort((np.arange(len(table)), *keys, table.time))
    same = table.time[order][1:] == table.time[order][:-1]
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    mask = np.ones(len(table), bool)
    mask[order[1:][same]] = False
    return _keep(table, mask)


def _one_each(table: Table, last: bool) -> tuple[Table, int]:
    order = np.argsort(table.time, kind="stable")
    time = table.time[order]
    new = time[1:] != time[:-1]
    mask = np.zeros(len(table), bool)
    mask[order[np.r_[new, True] if last else np.r_[True, new]]] = True
    return _keep(table, mask)


def _keep_last(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Keep the last row of each time."""
    return _one_each(table, True) if len(table) else (table, 0)


def _keep_first(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Keep the first row of each time."""
    return _one_each(table, False) if len(table) else (table, 0)


def _snap_to_grid(table: Table, interval: int, calendar: str) -> tuple[Table, int]:
    """Round open times down to the grid; times that collide stay as duplicates."""
    if not len(table):
        return table, 0
    unit, offset = grid_offset(table.time, interval, calendar)
    if offset % min(MINUTE, interval):
        offset = 0
    time = (table.time - offset) // unit * unit + offset
    touched = int((time != table.time).sum())
    return replace(table, time=time), touched


def _drop_off_grid(table: Table, interval: int, calendar: str) -> tuple[Table, int]:
    """Drop rows off the grid that most rows lie on."""
    if not len(table):
        return table, 0
    unit, offset = grid_offset(table.time, interval, calendar)
    return _keep(table, np.asarray(table.time % unit == offset))


def _drop_non_finite(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Drop rows with a price or volume that is NaN or infinite."""
    columns = np.stack([table.price(name) for name in (*PRICES, "volume")])
    return _keep(table, np.asarray(np.isfinite(columns).all(axis=0)))


def _drop_non_positive(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Drop rows with a price of 0 or less."""
    prices = np.stack([table.price(name) for name in PRICES])
    return _keep(table, np.asarray(~(prices <= 0).any(axis=0)))


def _drop_negative_volume(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Drop rows with a volume below 0."""
    return _keep(table, ~(table.volume < 0))


def _drop_zero_volume(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Drop rows without volume."""
    return _keep(table, ~(table.volume == 0))


def _with_prices(table: Table, high: Floats, low: Floats) -> tuple[Table, int]:
    touched = int(((high != table.high) | (low != table.low)).sum())
    return replace(table, high=high, low=low), touched


def _fix_ohlc(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Widen high and low to hold open and close (and each other)."""
    prices = [table.price(name) for name in PRICES]
    return _with_prices(table, np.maximum.reduce(prices), np.minimum.reduce(prices))


def _clip_wicks(table: Table, _interval: int, _calendar: str) -> tuple[Table, int]:
    """Pull highs and lows that nothing around them explains back to the bar's open and close."""
    if not _in_order(table):
        return table, 0
    found = find_wicks(table)
    high, low = table.high.copy(), table.low.copy()
    while len(found.rows):
        up, down = found.rows[found.move > 0], found.rows[found.move < 0]
        high[up] = np.maximum(table.open[up], table.close[up])
        low[down] = np.minimum(table.open[down], table.close[down])
        # A bar can have both a high and a low out of range; the larger is found first.
        found = find_wicks(_with_prices(table, high, low)[0])
    return _with_prices(table, high, low)


def fill_bars(table: Table, time: Ints) -> Table:
    """Insert flat bars at the close before, with volume 0.

    Parameters
    ----------
    table : Table
        Candles in time order.
    time : ndarray of shape (m,), int64
        Times at which bars are absent, after the first bar.

    Returns
    -------
    Table
        Volumes and counts of trades of the new bars are 0, asks stay where they closed, other columns are NaN.
    """
    source = np.searchsorted(table.time, time, side="right") - 1
    close = table.close[source]
    made = {}
    for name, values in table.extra.items():
        if name.endswith("volume") or name == "trades":
            made[name] = np.zeros(len(time))
        elif name.startswith("ask_") and "ask_close" in table.extra:
            made[name] = table.extra["ask_close"][source]
        else:
            made[name] = np.full(len(time), np.nan)
        made[name] = np.r_[values, made[name]]
    joined = Table(
        time=np.r_[table.time, time],
        volume=np.r_[table.volume, np.zeros(len(time))],
        extra=made,
        row=np.r_[table.row, np.full(len(time), -1)],
        no_volume=table.no_volume,
        **{name: np.r_[table.price(name), close] for name in PRICES},
    )
    return joined.sorted()


def _fill_gap(table: Table, interval: int, calendar: str) -> tuple[Table, int]:
    """Fill holes of up to 24 hours with flat bars."""
    if not _in_order(table):
        return table, 0
    holes = find_holes(table.time, interval, calendar)
    short = holes.missing * interval <= MAX_HOLE_MS
    made = int(holes.missing[short].sum())
    if made > MAX_FILL:
        raise ParameterError(
            f"`repair` 'fill_gap' would make {made} bars of {format_interval(interval)} beside the "
            f"{len(table)} there are, more than {MAX_FILL}: check `interval`"
        )
    time = holes.absent(short, interval)
    return (fill_bars(table, time) if len(time) else table), len(time)


def _longest_segment(table: Table, interval: int, calendar: str) -> tuple[Table, int]:
    """Keep the longest stretch without a hole of more than 24 hours and with at most 1% of its bars absent.

    On calendars with closures: the longest stretch between holes.
    """
    if not _in_order(table) or len(table) < 2:
        return table, 0
    holes = find_holes(table.time, interval, calendar)
    at = np.searchsorted(table.time, holes.after)
    missing = np.zeros(len(table), np.int64)
    missing[at] = holes.missing
    cut = at[holes.missing * interval > MAX_HOLE_MS] if calendar == "24/7" else at
    best = (0, 0)
    for start, stop in zip(np.r_[0, cut], np.r_[cut, len(table)], strict=True):
        gone = np.cumsum(missing[start:stop])
        gone -= gone[0]
        # A stretch i..j is fit if gone[j] - gone[i] <= 1% of its slots; as a walk w that must not rise from i to j.
        slots = np.arange(len(gone)) + gone
        walk = gone - MAX_MISSING * slots
        lowest = np.minimum.accumulate(walk[::-1])[::-1]
        end = np.searchsorted(lowest, walk + MAX_MISSING, side="right") - 1
        length = end - np.arange(len(end))
        i = int(np.argmax(length))
        if length[i] + 1 > best[1] - best[0]:
            best = (int(start) + i, int(start) + int(end[i]) + 1)
    dropped = len(table) - (best[1] - best[0])
    return (table.take(slice(*best)) if dropped else table), dropped


_REPAIRS: dict[str, Repair] = {
    "sort": _sort,
    "drop_identical": _drop_identical,
    "keep_last": _keep_last,
    "keep_first": _keep_first,
    "snap_to_grid": _snap_to_grid,
    "drop_off_grid": _drop_off_grid,
    "drop_non_finite": _drop_non_finite,
    "drop_non_positive": _drop_non_positive,
    "drop_negative_volume": _drop_negative_volume,
    "drop_zero_volume": _drop_zero_volume,
    "fix_ohlc": _fix_ohlc,
    "clip_wicks": _clip_wicks,
    "fill_gap": _fill_gap,
    "longest_segment": _longest_segment,
}
