"""Trades of a log beside those of the replay."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

import numpy as np
import polars as pl

from barproof._reconcile import _match, _table
from barproof.errors import BarproofError
from barproof.live.causes import same
from barproof.live.divergence import Divergence, moment
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed

__all__ = ["closed_trades", "keyed", "pairs_of", "trade_divergences"]

_MONEY = ("entry_price", "exit_price", "quantity", "fees", "funding", "pnl")


def trade_divergences(log: LiveLog, made: Replayed, count: dict[str, int]) -> list[Divergence]:
    """Missed and extra trades, and of a session the numbers of all."""
    if not log.trades.height and log.own is False:
        return []
    mine = made.trades
    live = closed_trades(log, made.symbol)
    if not {"side", "entry_time"} <= set(live.columns):
        live = mine.clear()
    a, b = keyed(live), keyed(mine)
    step = timedelta(milliseconds=made.candles.interval_ms)
    matched = _match(a, b, step)
    count["trades"] += max(a.height, b.height)
    out: list[Divergence] = []
    for frame, taken, name, pair in (
        (a, {i for i, _ in matched}, "extra", ("a trade", "none")),
        (b, {j for _, j in matched}, "missed", ("none", "a trade")),
    ):
        alone = [k for k in range(frame.height) if k not in taken]
        if alone:
            first = min(alone, key=lambda k: frame["entry_time"][k])
            when = frame["entry_time"][first].replace(tzinfo=UTC)
            side = frame["side"][first]
            live_text, mine_text = (f"{text} ({side})" if text != "none" else text for text in pair)
            out.append(
                Divergence("trades", made.symbol, name, when, live_text, mine_text, len(alone),
                           frame.height)
            )  # fmt: skip
    if log.own:
        out += _values(live, mine, matched, made)
    return out


def keyed(frame: pl.DataFrame) -> pl.DataFrame:
    """Side and entry time of trades, as `reconcile` matches them."""
    times = frame["entry_time"].dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    return pl.DataFrame(
        {"side": frame["side"].cast(pl.String), "entry_time": times.cast(pl.Datetime("us"))}
    )


def _values(
    live: pl.DataFrame, mine: pl.DataFrame, matched: Sequence[tuple[int, int]], made: Replayed
) -> list[Divergence]:
    """Numbers of matched trades; of a session they are the same bits."""
    if not matched:
        return []
    a = live[[i for i, _ in matched]]
    b = mine[[j for _, j in matched]]
    out: list[Divergence] = []
    times = ("entry_time", "exit_time")
    for name in (*times, "reason", *_MONEY):
        if name not in a.columns or name not in b.columns:
            continue
        if name in times:
            x, y = (f[name].dt.timestamp("ms").to_numpy() for f in (a, b))
            wrong = x != y
            pair: Any = tuple([str(moment(int(v))) for v in z] for z in (x, y))
        elif name == "reason":
            pair = (a[name].to_list(), b[name].to_list())
            wrong = np.array([x != y for x, y in zip(*pair, strict=True)])
        else:
            pair = tuple(f[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for f in (a, b))
            wrong = ~same(*pair)
        bad = np.flatnonzero(wrong)
        if not len(bad):
            continue
        when = b["entry_time" if name.startswith("entry") or name == "quantity" else "exit_time"]
        first = min((int(k) for k in bad), key=lambda k: when[k])
        told = [float(v[first]) if not isinstance(v[first], str) else v[first] for v in pair]
        out.append(
            Divergence("trades", made.symbol, name, when[first], told[0], told[1], len(bad),
                       len(matched))
        )  # fmt: skip
    return out


def closed_trades(log: LiveLog, symbol: str) -> pl.DataFrame:
    """Trades of the log of one symbol; those that only its end closed are none."""
    live = log.trades
    if "symbol" in live.columns:
        live = live.filter(pl.col("symbol").is_in([symbol, ""]) | pl.col("symbol").is_null())
    if "reason" in live.columns:
        live = live.filter(pl.col("reason").is_null() | (pl.col("reason") != "end"))
    return live


def pairs_of(log: LiveLog, made: Replayed) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Trades of both sides as `reconcile` takes them; None where the log's lack what it needs."""
    live = closed_trades(log, made.symbol)
    try:
        _table(live, "live")
    except (BarproofError, pl.exceptions.PolarsError):
        return None
    return made.trades, live
