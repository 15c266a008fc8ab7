"""Log against replay, layer by layer: where each column parts for the first time, and what it holds instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.live.causes import bar_cause, column_cause, same
from barproof.live.divergence import EXACT, LAYERS, Divergence, column_divergence, moment
from barproof.live.identity import row_digest
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed
from barproof.live.saying import decision_divergences, probability_divergences
from barproof.live.trades import trade_divergences

__all__ = ["compare", "own_rows"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


OF_SPREAD = 1e-6
"""Two engines in double precision: of the standard deviation of the feature (PAR-02)."""
GUESSED = 12
"""Columns whose cause is looked for."""
_PRICES = ("open", "high", "low", "close", "volume")


def own_rows(log: LiveLog, made: Replayed) -> pl.DataFrame:
    """Decisions of the log that the replay has, row by row."""
    rows = log.decisions.filter(pl.col("symbol") == made.symbol)
    return rows[made.kept]


def compare(
    log: LiveLog,
    made: Replayed,
    bundles: Sequence[Bundle],
    rules: Any,
    books: Mapping[str, Candles],
) -> tuple[list[Divergence], dict[str, int]]:
    """Compare one symbol.

    Parameters
    ----------
    log : LiveLog
        What live logged.
    made : Replayed
        What the backtest makes of it.
    bundles : sequence of Bundle
        Asked again about the log's own features, to tell where a probability parts.
    rules : Rules or schedule
        Of the backtest.
    books : dict of str to Candles
        All candles, to compute features of other parameters.

    Returns
    -------
    divergences : list of Divergence
        In no particular order.
    compared : dict of str to int
        Values that were compared, by layer.
    """
    rows = own_rows(log, made)
    found: list[Divergence] = []
    count = dict.fromkeys(LAYERS, 0)
    found += _bars(log, made, count)
    found += _missing(log, made)
    features = _features(log, made, rows, books, count)
    found += features
    found += probability_divergences(log, made, rows, bundles, rules, features, count)
    found += decision_divergences(made, rows, rules, log, count)
    found += trade_divergences(log, made, count)
    return found, count


# --- bars -----------------------------------------------------------------------------------------------------------


def _bars(log: LiveLog, made: Replayed, count: dict[str, int]) -> list[Divergence]:
    """Where logged bars and those of the candles part: lacking, skipped, or with other values."""
    logged = log.bars.filter(pl.col("symbol").is_in([made.symbol, ""]))
    candles = made.candles
    if not logged.height:
        return []
    times = logged["open_time"].dt.timestamp("ms").to_numpy().astype(np.int64)
    at = np.searchsorted(candles.open_time, times)
    inside = (times >= candles.open_time[0]) & (times <= candles.open_time[-1])
    there = inside & (candles.open_time[np.minimum(at, len(candles) - 1)] == times)
    out: list[Divergence] = []
    lost = np.flatnonzero(inside & ~there)
    if len(lost):
        out.append(
            Divergence("bars", made.symbol, "open_time", moment(times[lost[0]]), "a bar", "none",
                       len(lost), int(inside.sum()), "the candles do not have it")
        )  # fmt: skip
    mine = np.zeros(len(candles), dtype=bool)
    mine[at[there]] = True
    span = (candles.open_time > times.min()) & (candles.open_time < times.max())
    skipped = np.flatnonzero(span & ~mine)
    if len(skipped):
        when = moment(candles.open_time[skipped[0]])
        out.append(
            Divergence("bars", made.symbol, "open_time", when, "none", "a bar", len(skipped),
                       int(span.sum()), "live never saw it")
        )  # fmt: skip
    rows = at[there]
    live = {n: logged[n].cast(pl.Float64).fill_null(np.nan).to_numpy()[there] for n in _PRICES}
    bars = {n: np.asarray(getattr(candles, n))[rows] for n in _PRICES}
    known = [n for n in _PRICES if not np.isnan(live[n]).all()]
    count["bars"] += len(rows) * len(known)
    for name in known:
        wrong = ~same(live[name], bars[name])

        def cause(wrong: Flags = wrong) -> str:
            first = int(np.flatnonzero(wrong)[0])
            one = {n: float(live[n][first]) for n in _PRICES}
            four = [n for n in _PRICES if n != "volume"]
            near = slice(max(rows[first] - 3, 0), rows[first] + 4)
            others = np.stack([np.asarray(getattr(candles, n))[near] for n in four])
            mine = np.array([one[n] for n in four])
            later = bool((others == mine[:, None]).all(axis=0).any()) and any(
                one[n] != bars[n][first] for n in four
            )
            return bar_cause(one, {n: float(bars[n][first]) for n in _PRICES}, later)

        out += column_divergence("bars", made, name, (live[name], bars[name]), wrong, rows, cause)
    return out


def _missing(log: LiveLog, made: Replayed) -> list[Divergence]:
    """Decisions without a bar, and bars without a decision."""
    rows = log.decisions.filter(pl.col("symbol") == made.symbol)
    out: list[Divergence] = []
    lost = np.setdiff1d(np.arange(rows.height), made.kept)
    if len(lost):
        when = rows["open_time"][int(lost[0])]
        out.append(
            Divergence("bars", made.symbol, "open_time", when, "a decision", "none", len(lost),
                       rows.height, "the candles have no such bar")
        )  # fmt: skip
    every = np.arange(made.at[0], made.at[-1] + 1)
    silent = np.setdiff1d(every, made.at)
    if len(silent):
        when = moment(made.candles.open_time[silent[0]])
        out.append(
            Divergence("decisions", made.symbol, "decision", when, "none", "a decision", len(silent),
                       len(every), "live decided nothing on this bar")
        )  # fmt: skip
    return out


# --- features -------------------------------------------------------------------------------------------------------


def _features(
    log: LiveLog,
    made: Replayed,
    rows: pl.DataFrame,
    books: Mapping[str, Candles],
    count: dict[str, int],
) -> list[Divergence]:
    """Where logged features and those of the candles part: names, then values, or digests alone."""
    out = _names(log, made)
    values = log.features.filter(pl.col("symbol") == made.symbol)
    if not values.height:
        return out + _digests(made, rows, count)
    keys = rows.select("open_time").with_row_index("row")
    held = values.join(keys, on="open_time", how="inner", maintain_order="right")
    which = held["row"].to_numpy().astype(np.int64)
    at = made.at[which]
    found: list[Divergence] = []
    guessed = 0
    for j, name in enumerate(made.names):
        if name not in held.columns:
            continue
        logged = held[name].fill_null(np.nan).to_numpy()
        mine = made.features[at, j]
        count["features"] += len(at)
        wrong = ~same(logged, mine)
        if wrong.any() and not (log.own and made.exact):
            wrong &= ~_near(logged, mine)
        if not wrong.any():
            continue
        guessed += 1

        def cause(name: str = name, logged: Floats = logged, guessed: int = guessed) -> str:
            if guessed > GUESSED:
                return ""
            return column_cause(
                name, logged, made.features, made.names, at, made.candles, {**books}
            )

        found += column_divergence("features", made, name, (logged, mine), wrong, at, cause)
    return out + found


def _near(a: Floats, b: Floats) -> Flags:
    """Whether two engines agree in double precision (PAR-02)."""
    good = b[np.isfinite(b)]
    spread = float(good.std()) if len(good) else 0.0
    with np.errstate(invalid="ignore"):
        bound = np.maximum(EXACT * np.maximum(np.abs(a), np.abs(b)), OF_SPREAD * spread)
        held: Flags = np.abs(a - b) <= bound
    return held


def _names(log: LiveLog, made: Replayed) -> list[Divergence]:
    """Structure before values: a list of other features."""
    logged = log.features_of(made.symbol)
    if not logged or logged == made.names:
        return []
    absent = [name for name in made.names if name not in logged]
    extra = [name for name in logged if name not in made.names]
    k = next(
        (k for k, (a, b) in enumerate(zip(logged, made.names, strict=False)) if a != b),
        min(len(logged), len(made.names)),
    )
    if absent or extra:
        cause = f"{len(absent)} features of the model are absent, {len(extra)} are none of its own"
    else:
        cause = "the same features in another order"
    told = tuple(names[k] if k < len(names) else "none" for names in (logged, made.names))
    when = moment(made.candles.open_time[made.at[0]])
    column = f"feature {k + 1} of {len(logged)}"
    wrong = sum(a != b for a, b in zip(logged, made.names, strict=False))
    wrong += abs(len(logged) - len(made.names))
    return [
        Divergence("features", made.symbol, column, when, told[0], told[1], wrong,
                   max(len(logged), len(made.names)), cause)
    ]  # fmt: skip


def _digests(made: Replayed, rows: pl.DataFrame, count: dict[str, int]) -> list[Divergence]:
    """Rows by their digests, where values were not logged."""
    logged = rows["feature_digest"].to_list()
    if not any(logged):
        return []
    mine = [row_digest(made.features[bar]) for bar in made.at]
    wrong = np.array([a is not None and a != b for a, b in zip(logged, mine, strict=True)])
    count["features"] += len(made.at) * len(made.names)
    told = "values were not logged: log them to see which feature it is"
    pair = ([(d or "none")[:12] for d in logged], [d[:12] for d in mine])
    return column_divergence("features", made, "row", pair, wrong, made.at, lambda: told)
