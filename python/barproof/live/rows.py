"""Rows of a session's log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from barproof.live.arrivals import Arrival
from barproof.live.decision import Decision
from barproof.live.state import TRADE_COLUMNS

__all__ = ["bar_row", "decision_row", "trade_rows"]


def bar_row(symbol: str, arrival: Arrival) -> tuple[Any, ...]:
    """Give the row of a bar."""
    extra = arrival.extra
    return (
        symbol,
        arrival.values[0] * 1000,
        *arrival.values[1:],
        extra.get("taker_buy_volume"),
        json.dumps(extra) if extra else None,
    )


def decision_row(d: Decision, row: Any, entries: int) -> tuple[Any, ...]:
    """Give the row of a decision; values of the features where they are kept."""
    return (
        d.symbol,
        d.open_time * 1000,
        d.close_time * 1000,
        d.decided_at * 1000,
        d.features,
        None if row is None else row.astype("<f8").tobytes(),
        d.p_long,
        d.p_short,
        d.p_exit_long,
        d.p_exit_short,
        None,
        d.position,
        d.equity,
        d.withheld,
        entries,
        d.model,
        d.rules,
        d.code,
        d.to_json(),
    )


def trade_rows(symbol: str, trades: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Give the rows of closed trades; times in microseconds."""
    columns = []
    for name in TRADE_COLUMNS:
        values = trades[name]
        values = values.tolist() if hasattr(values, "tolist") else list(values)
        if name in ("entry_time", "exit_time"):
            values = [value * 1000 for value in values]
        columns.append(values)
    return [(symbol, *row) for row in zip(*columns, strict=True)]
