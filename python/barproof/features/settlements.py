"""Funding settlements as a stream knows them, and the columns that features read of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from barproof.errors import LayoutError

__all__ = ["FUNDING_COLUMNS", "Settlements", "told"]

FUNDING_COLUMNS = (
    "funding_rate",
    "funding_time",
    "funding_rate_before",
    "funding_time_before",
    "funding_paid",
)
_SECOND = 1_000


def _rounded(time: int) -> int:
    """Time to the nearest second, a half up, as funding is when it is attached to candles."""
    return (time + _SECOND // 2) // _SECOND * _SECOND


class Settlements:
    """The last settlements of one symbol, oldest first; what no bar can read any more is forgotten."""

    def __init__(self) -> None:
        self._known: list[tuple[int, float]] = []

    def __bool__(self) -> bool:
        return bool(self._known)

    @property
    def last(self) -> int | None:
        """Time of the last one, milliseconds UTC."""
        return self._known[-1][0] if self._known else None

    @property
    def crowded(self) -> bool:
        """Whether there are more than bars can read; then :meth:`keep` is worth its time."""
        return len(self._known) > 8

    def joined_by(self, more: Iterable[tuple[int, float]]) -> Settlements:
        """Copy with later settlements; those that are not later than the last are known already."""
        new = Settlements()
        new._known = list(self._known)
        for time, rate in more:
            at = _rounded(time)
            if not new._known or at > new._known[-1][0]:
                new._known.append((at, rate))
        return new

    def columns(self, open_time: int, close_time: int) -> dict[str, float]:
        """Give what is known at the close of a bar; a settlement stamped with the very close is not yet."""
        settled = [one for one in self._known if one[0] < close_time]
        out = dict.fromkeys(FUNDING_COLUMNS, math.nan)
        for back, suffix in ((1, ""), (2, "_before")):
            if len(settled) >= back:
                time, rate = settled[-back]
                out[f"funding_time{suffix}"] = float(time)
                out[f"funding_rate{suffix}"] = rate
        out["funding_paid"] = 0.0
        for time, rate in settled:
            if time >= open_time:
                out["funding_paid"] += rate
        return out

    def keep(self, open_time: int) -> None:
        """Forget what lies before a bar that was taken, but for the last two."""
        before = sum(time < open_time for time, _ in self._known)
        del self._known[: max(0, min(before, len(self._known)) - 2)]

    def save(self) -> list[list[float]]:
        """Settlements for JSON: floats in it come back bit for bit."""
        return [[time, rate] for time, rate in self._known]

    def load(self, saved: list[list[float]]) -> None:
        """Take what was saved."""
        self._known = [(int(time), float(rate)) for time, rate in saved]


def told(bar: Any, whose: str) -> list[tuple[int, float]] | None:
    """Settlements that a bar carries; None where it says nothing of funding."""
    if not isinstance(bar, Mapping):
        carried = getattr(bar, "funding", None)
        return None if carried is None else list(carried)
    if "funding" in bar:
        given = bar["funding"]
        try:
            pairs = [(time, rate) for time, rate in given]
        except (TypeError, ValueError):
            raise LayoutError(
                f"`funding` of a bar of {whose} must be pairs of time (milliseconds UTC) and rate, was {given!r}"
            ) from None
        return [(_whole(time, whose), _rate(rate, whose)) for time, rate in pairs]
    if "funding_time" in bar and "funding_rate" in bar:
        time, rate = bar["funding_time"], bar["funding_rate"]
        if time is None or rate is None or time != time or rate != rate:
            return []  # As joined frames have it before the first settlement.
        return [(_whole(time, whose), _rate(rate, whose))]
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or hasattr(value, "__float__")


def _whole(time: Any, whose: str) -> int:
    if (
        isinstance(time, bool)
        or not _is_number(time)
        or not abs(time) <= 2**53
        or int(time) != time
    ):
        raise LayoutError(
            f"`funding_time` of {whose} must be whole milliseconds UTC, was {time!r}: such as 1704067200000"
        )
    return int(time)


def _rate(rate: Any, whose: str) -> float:
    if isinstance(rate, bool) or not _is_number(rate) or not math.isfinite(rate):
        raise LayoutError(
            f"`funding_rate` of {whose} must be a finite number, was {rate!r}: a fraction such as 0.0001"
        )
    return float(rate)
