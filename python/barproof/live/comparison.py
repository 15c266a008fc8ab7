"""Log against replay, layer by layer: where each column parts for the first time, and what it holds instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._reconcile import _match, _table
from barproof.bundle import AGREE, Bundle
from barproof.candles import Candles
from barproof.errors import BarproofError
from barproof.live.causes import bar_cause, column_cause, same
from barproof.live.identity import row_digest
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed, model_signals, threshold_sides
from barproof.rules import Rules

__all__ = [
    "LAYERS",
    "Divergence",
    "agreement",
    "closed_trades",
    "compare",
    "keyed",
    "own_rows",
    "pairs_of",
]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LAYERS = ("bars", "features", "probabilities", "decisions", "trades")
"""In the order in which one follows from the other."""

EXACT, OF_SPREAD = 1e-9, 1e-6
"""Two engines in double precision: relative, or of the feature's standard deviation (PAR-02)."""
GUESSED = 12
"""Columns whose cause is looked for."""
_PRICES = ("open", "high", "low", "close", "volume")
_MONEY = ("entry_price", "exit_price", "quantity", "fees", "funding", "pnl")


@dataclass(frozen=True)
class Divergence:
    """A column that differs between live and backtest.

    Attributes
    ----------
    layer : {"bars", "features", "probabilities", "decisions", "trades"}
        What differs.
    symbol, column : str
        Where.
    open_time : datetime
        Of the first bar that differs, UTC.
    live, replayed : float or str
        Both values there.
    differing, compared : int
        Rows that differ, of how many.
    cause : str
        What the log holds instead, where that is certain; empty else.
    """

    layer: str
    symbol: str
    column: str
    open_time: datetime
    live: float | str
    replayed: float | str
    differing: int
    compared: int
    cause: str = ""

    def __str__(self) -> str:
        where = f"{self.symbol} " if self.symbol else ""
        told = f"; {self.cause}" if self.cause else ""
        return (
            f"{self.layer}: `{self.column}` of the bar {where}{self.open_time:%Y-%m-%d %H:%M} is "
            f"{_shown(self.live)} live and {_shown(self.replayed)} in the backtest "
            f"({self.differing:,} of {self.compared:,} differ){told}"
        )


def _shown(value: float | str) -> str:
    return repr(value) if isinstance(value, float) else str(value)


def moment(ms: int) -> datetime:
    """Milliseconds as a datetime, UTC."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(ms))


def agreement(bundles: Sequence[Bundle]) -> float:
    """How far probabilities of one model may be apart: by the precision of its numbers."""
    parts = [part for bundle in bundles for part in bundle.parts.values()]
    return max((AGREE[getattr(part.model, "precision", "f64")] for part in parts), default=EXACT)


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
    found += _probabilities(log, made, rows, bundles, rules, features, count)
    found += _decisions(made, rows, rules, log, count)
    found += _trades(log, made, count)
    return found, count


def _column(
    layer: str,
    made: Replayed,
    name: str,
    pair: tuple[Any, Any],
    wrong: Flags,
    at: NDArray[np.int64],
    cause: Callable[[], str] | None = None,
) -> list[Divergence]:
    """Divergence of one column, where it has any."""
    bad = np.flatnonzero(wrong)
    if not len(bad):
        return []
    first = int(bad[0])
    live, replayed = (
        float(v[first]) if isinstance(v[first], (float, np.floating)) else str(v[first])
        for v in pair
    )
    return [
        Divergence(
            layer,
            made.symbol,
            name,
            moment(int(made.candles.open_time[at[first]])),
            live,
            replayed,
            len(bad),
            len(wrong),
            cause() if cause is not None else "",
        )
    ]


# --- bars -----------------------------------------------------------------------------------------------------------


def _bars(log: LiveLog, made: Replayed, count: dict[str, int]) -> list[Divergence]:
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

        out += _column("bars", made, name, (live[name], bars[name]), wrong, rows, cause)
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

        found += _column("features", made, name, (logged, mine), wrong, at, cause)
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
    return _column("features", made, "row", pair, wrong, made.at, lambda: told)


# --- probabilities --------------------------------------------------------------------------------------------------


def _probabilities(
    log: LiveLog,
    made: Replayed,
    rows: pl.DataFrame,
    bundles: Sequence[Bundle],
    rules: Any,
    features: Sequence[Divergence],
    count: dict[str, int],
) -> list[Divergence]:
    allowed = agreement(bundles)
    out: list[Divergence] = []
    for name, mine in made.signals.items():
        logged = rows[f"p_{name}"].fill_null(np.nan).to_numpy()
        if np.isnan(logged).all():
            continue
        count["probabilities"] += len(logged)
        with np.errstate(invalid="ignore"):
            size = np.maximum(1.0, np.abs(mine)) if np.nanmax(np.abs(mine)) > 1 else 1.0
            wrong = ~same(logged, mine) & ~(np.abs(logged - mine) <= allowed * size)

        def cause(
            name: str = name, logged: Floats = logged, mine: Floats = mine, wrong: Flags = wrong
        ) -> str:
            return _said_instead(
                log, made, rows, bundles, rules, features, (name, logged, mine, wrong)
            )

        out += _column("probabilities", made, f"p_{name}", (logged, mine), wrong, made.at, cause)
    return out


def _said_instead(
    log: LiveLog,
    made: Replayed,
    rows: pl.DataFrame,
    bundles: Sequence[Bundle],
    rules: Any,
    features: Sequence[Divergence],
    of: tuple[str, Floats, Floats, Flags],
) -> str:
    name, logged, mine, wrong = of
    allowed = agreement(bundles)

    def alike(guess: Floats) -> bool:
        there = np.isfinite(logged) & np.isfinite(guess)
        with np.errstate(invalid="ignore"):
            close = np.abs(logged - guess) <= allowed
        return int(there.sum()) >= 8 and bool((close | same(logged, guess)).all())

    for other, said in made.signals.items():
        if other != name and alike(said):
            return f"it is p_{other}: sides are exchanged"
    for step in (1, -1, 2, -2):
        if alike(np.concatenate([logged[:step], mine[:-step]]) if step > 0 else
                 np.concatenate([mine[-step:], logged[step:]])):  # fmt: skip
            when = "earlier" if step > 0 else "later"
            return f"it is that of {abs(step)} bar{'s' if abs(step) > 1 else ''} {when}"
    told = set(rows["model_digest"].drop_nulls())
    others = told - {bundle.digest for bundle in bundles}
    if others:
        return f"the log names another model, {min(others)[:12]}, not {bundles[-1].digest[:12]}"
    if not any(f.layer == "features" for f in features):
        if not log.features.height and not rows["feature_digest"].drop_nulls().len():
            return "the log holds no features: whether these or the model differ cannot be told"
        if len(bundles) == 1 and _raw_fits(made, bundles[0], name, alike):
            return "it is what the model says before calibration"
        return "features agree: another model, or other weights"
    values = log.features.filter(pl.col("symbol") == made.symbol)
    if (
        values.height == rows.height
        and set(made.names) <= set(values.columns)
        and len(bundles) == 1
    ):
        frame = values.select(made.names).with_columns(pl.all().fill_null(np.nan))
        try:
            again = model_signals(bundles[0], frame, np.arange(rows.height), rules)
        except BarproofError:
            return ""
        if name in again and alike(again[name]):
            return "it is what this model says to the logged features: they are the cause"
    begins = min(f.open_time for f in features)
    parts = moment(made.candles.open_time[made.at[int(np.flatnonzero(wrong)[0])]])
    return "features differ before or at this bar" if begins <= parts else ""


def _raw_fits(made: Replayed, bundle: Bundle, name: str, alike: Callable[[Floats], bool]) -> bool:
    """Whether the log holds what the model says before calibration."""
    from dataclasses import replace

    bare = Bundle(
        {key: replace(part, calibration={"method": None}) for key, part in bundle.parts.items()},
        bundle.features,
        bundle.manifest,
    )
    frame = pl.DataFrame(
        {n: made.features[:, j] for j, n in enumerate(made.names)}, schema=list(made.names)
    )
    again = model_signals(bare, frame, made.at)
    return name in again and alike(again[name])


# --- decisions ------------------------------------------------------------------------------------------------------

_WORDS = np.array(["flat", "long", "short"])


def _decisions(
    made: Replayed, rows: pl.DataFrame, rules: Any, log: LiveLog, count: dict[str, int]
) -> list[Divergence]:
    out: list[Divergence] = []
    held = rows["withheld"].is_not_null().to_numpy()
    if rows["side"].null_count() < rows.height:
        logged, mine = rows["side"].to_numpy(), _WORDS[made.side]
        wrong = (logged != mine) & rows["side"].is_not_null().to_numpy()
        count["decisions"] += len(wrong)
        out += _column(
            "decisions", made, "side", (logged, mine), wrong, made.at,
            lambda: _entered_at(logged, mine, rows, rules),
        )  # fmt: skip
    if rows["signal"].null_count() < rows.height and isinstance(rules, Rules):
        sides = threshold_sides(made.signals, rules)
        logged, mine = rows["signal"].to_numpy(), _WORDS[sides]
        wrong = (logged != mine) & rows["signal"].is_not_null().to_numpy() & ~held
        count["decisions"] += len(wrong)
        out += _column(
            "decisions", made, "signal", (logged, mine), wrong, made.at,
            lambda: _asked_at(logged, mine, rows, rules),
        )  # fmt: skip
    marks = rows["equity"].fill_null(np.nan).to_numpy()
    if not np.isnan(marks).all():
        with np.errstate(invalid="ignore"):
            near = np.abs(marks - made.equity) <= EXACT * np.abs(made.equity)
        wrong = ~(near | np.isnan(marks) | np.isnan(made.equity))
        count["decisions"] += len(wrong)
        differs = bool(out) or _trades_differ(log, made)
        told = "" if differs else "positions agree: other costs, funding, sizes or initial equity"
        out += _column(
            "decisions", made, "equity", (marks, made.equity), wrong, made.at, lambda: told
        )
    return out


def _trades_differ(log: LiveLog, made: Replayed) -> bool:
    return bool(_trades(log, made, dict.fromkeys(LAYERS, 0)))


def _one(rules: Any) -> Rules | None:
    if isinstance(rules, Rules):
        return rules
    return rules[0][1] if len(rules) == 1 else None


def _entered_at(logged: Any, mine: Any, rows: pl.DataFrame, rules: Any) -> str:
    """Threshold at which live entered, from bars where it was flat and then was not."""
    one = _one(rules)
    if one is None or one.fill != "next_open":
        return ""
    flat = logged[:-1] == "flat"
    for name in ("long", "short"):
        p = rows[f"p_{name}"].fill_null(np.nan).to_numpy()[:-1]
        did = flat & (logged[1:] == name)
        left = flat & (logged[1:] == "flat") & (mine[:-1] == "flat") & (mine[1:] == name)
        told = _edge(p, did, left, getattr(one, f"entry_{name}"), name, "entered", "stayed flat")
        if told:
            return told
    return ""


def _asked_at(logged: Any, mine: Any, rows: pl.DataFrame, rules: Rules) -> str:
    """Threshold from what the log says at each close."""
    for name in ("long", "short"):
        p = rows[f"p_{name}"].fill_null(np.nan).to_numpy()
        left = (logged == "flat") & (mine == name)
        bound = getattr(rules, f"entry_{name}")
        told = _edge(p, logged == name, left, bound, name, "says", "says nothing")
        if told:
            return told
    return ""


def _edge(
    p: Floats, did: Flags, left: Flags, bound: float | None, name: str, verb: str, less: str
) -> str:
    """Say where a side begins, if one threshold explains what live did, and what only the rules do."""
    entered = p[did & np.isfinite(p)]
    if bound is None:
        return f"live goes {name}, and the rules never do" if len(entered) else ""
    if len(entered) and entered.min() < bound:
        return (
            f"live {verb} {name} from p_{name} {entered.min():.6g} on, the rules ask for {bound:.6g}: "
            "another threshold"
        )
    missed = p[left & np.isfinite(p)]
    if len(missed) and (not len(entered) or missed.max() < entered.min()):
        return f"live {less} up to p_{name} {missed.max():.6g}, the rules enter from {bound:.6g}: another threshold"
    return ""


# --- trades ---------------------------------------------------------------------------------------------------------


def _trades(log: LiveLog, made: Replayed, count: dict[str, int]) -> list[Divergence]:
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
