"""The bars of a log through the path of the backtest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._backtest import Result, Schedule, backtest
from barproof._portfolio import PortfolioResult, portfolio
from barproof._run import ONLY, SIDES, _side
from barproof.bundle import Bundle, own_table
from barproof.candles import Candles
from barproof.candles.table import show_time
from barproof.errors import BarproofError, BundleError, LayoutError, ParameterError
from barproof.features import FeatureSet
from barproof.live.log import LiveLog
from barproof.rules import Costs, Rules
from barproof.signals import Signals

__all__ = ["ENTRIES", "Replayed", "books_of", "model_signals", "replay", "threshold_sides"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ENTRIES = ("long", "short")
EQUITY = 10_000.0


@dataclass(frozen=True, eq=False)
class Replayed:
    """What the backtest path makes of the bars of one symbol.

    Attributes
    ----------
    symbol : str
        As the log has it.
    candles : Candles
        From the first bar that the live features knew to the one after the last decision, where there is one.
    at : ndarray of shape (n,), int64
        Bar of each decision that the candles have.
    kept : ndarray of shape (n,), int64
        Row of each of these decisions in the log's rows of the symbol.
    names : tuple of str
        Features, in the order of the model.
    features : ndarray of shape (n_bars, n_features)
        Of all bars.
    signals : dict of str to ndarray of shape (n,)
        What the bundle says at each decision.
    result : Result or PortfolioResult
        The backtest over the bars of the decisions; of symbols that share an account that of all.
    book : polars.DataFrame
        Trades of the symbol in it.
    side : ndarray of shape (n,), int8
        Position after each decision's bar: 1 long, -1 short, 0 flat.
    equity : ndarray of shape (n,)
        Marked at each decision's close; NaN where the end of the candles closed the position.
    exact : bool
        Whether the first bar of the live features is known, so that bits can be asked for.
    """

    symbol: str
    candles: Candles
    at: Ints
    kept: Ints
    names: tuple[str, ...]
    features: Floats
    signals: dict[str, Floats]
    result: Result | PortfolioResult
    book: pl.DataFrame
    side: NDArray[np.int8]
    equity: Floats
    exact: bool

    @property
    def rules(self) -> Rules:
        """Rules of the first decision."""
        held = self.result.rules
        one = held[self.symbol] if isinstance(held, dict) else held
        return one if isinstance(one, Rules) else one[0][1]

    @property
    def trades(self) -> pl.DataFrame:
        """Trades that were closed before the last decision's bar ended."""
        closes = self.candles.open_time[self.at[-1]] + self.candles.interval_ms
        return self.book.filter(
            (pl.col("reason") != "end") & (pl.col("exit_time").dt.timestamp("ms") < closes)
        )


def books_of(candles: Any, log: LiveLog) -> dict[str, Candles]:
    """Candles by symbol of the log.

    Parameters
    ----------
    candles : Candles or mapping of str to Candles
        Of one symbol whatever its name, or of all.
    log : LiveLog
        Whose symbols.

    Returns
    -------
    dict of str to Candles
        Those of the log's symbols first.
    """
    symbols = log.symbols
    if isinstance(candles, Candles):
        if len(symbols) > 1:
            raise ParameterError(
                f"the log has {len(symbols)} symbols ({', '.join(symbols[:5])}), and `candles` are of one: give a dict "
                "of symbol to Candles"
            )
        if symbols and symbols[0] not in ("", candles.symbol) and candles.symbol != "UNKNOWN":
            raise ParameterError(
                f"the log is of {symbols[0]}, `candles` are of {candles.symbol}: give those of the log's market"
            )
        return {symbols[0] if symbols else candles.symbol: candles}
    if not isinstance(candles, Mapping) or not all(
        isinstance(one, Candles) for one in candles.values()
    ):
        raise LayoutError(
            f"`candles` must be Candles or a dict of symbol to Candles, was {type(candles).__name__}: use "
            "read_candles(...)"
        )
    held = {str(name): one for name, one in candles.items()}
    if len(symbols) == 1 and symbols[0] == "" and len(held) == 1:
        return {"": next(iter(held.values()))}
    lacking = [name for name in symbols if name not in held]
    if lacking:
        raise ParameterError(
            f"`candles` lack {', '.join(lacking[:5])} of the log's {len(symbols)} symbols: they are of "
            f"{', '.join(list(held)[:5]) or 'none'}"
        )
    return {**{name: held[name] for name in symbols}, **held}


def _starts(log: LiveLog, symbol: str) -> int | None:
    """Find the opening time of the first bar that the live features knew, milliseconds."""
    if not log.own:
        return None
    told = log.told("history_from", symbol)
    if isinstance(told, (int, float)):
        return int(told) // 1_000
    mine = log.bars.filter(pl.col("symbol") == symbol)["open_time"]
    return int(mine.dt.timestamp("ms").min()) if len(mine) else None  # type: ignore[arg-type]


def model_signals(
    bundle: Bundle, frame: pl.DataFrame, rows: Ints, rules: Rules | Sequence[Any] | None = None
) -> dict[str, Floats]:
    """Ask a bundle about some rows of a table of features, by array of signals.

    Parameters
    ----------
    bundle : Bundle
        Its parts feed the arrays of their names; one without named parts feeds both entries.
    frame : polars.DataFrame
        Features of consecutive bars, found by name.
    rows : ndarray of int64
        Rows that are asked for.
    rules : Rules, optional
        Where they leave by a threshold and the bundle has no part for it, the other side's entry closes a position, as
        ``Run.signals(exit="opposite")`` has it.

    Returns
    -------
    dict of str to ndarray of shape (n_rows,)
        NaN where the model has too little to go by.
    """
    out: dict[str, Floats] = {}
    for name, part in bundle.parts.items():
        found = part.predict(own_table(frame, part.features).values, rows=rows)
        sides = ENTRIES if name == ONLY else (name,)
        for side in sides:
            out[side] = _side(found, part.kind, side, named=name != ONLY)
    for leave, enter in (("exit_long", "short"), ("exit_short", "long")):
        asked = any(getattr(one, leave, None) is not None for one in _each(rules))
        if asked and leave not in out and enter in out:
            out[leave] = out[enter]
    return {name: out[name] for name in SIDES if name in out}


def _each(rules: Any) -> list[Rules]:
    if rules is None:
        return []
    return [rules] if isinstance(rules, Rules) else [pair[1] for pair in rules]


@dataclass(frozen=True, eq=False)
class _Ready:
    """What the backtest path knows of a symbol before anything is traded."""

    symbol: str
    candles: Candles
    at: Ints
    kept: Ints
    names: tuple[str, ...]
    values: Floats
    said: dict[str, Floats]
    signals: Signals
    exact: bool

    def done(
        self,
        result: Result | PortfolioResult,
        trades: pl.DataFrame,
        side: NDArray[np.int8],
        equity: Floats,
    ) -> Replayed:
        """Join what was traded, at each decision."""
        return Replayed(
            self.symbol,
            self.candles,
            self.at,
            self.kept,
            self.names,
            self.values,
            self.said,
            result,
            trades,
            side,
            equity,
            self.exact,
        )


def replay(
    log: LiveLog,
    books: Mapping[str, Candles],
    bundles: Mapping[str, Sequence[Bundle]],
    rules: Rules | Schedule,
    costs: Costs,
    features: Any = None,
) -> list[Replayed]:
    """Run the backtest path over the bars of every symbol, on accounts of their own or on the one they share.

    Parameters
    ----------
    log : LiveLog
        What was decided, when, by which model.
    books : dict of str to Candles
        As :func:`books_of` gives them.
    bundles : mapping of str to sequence of Bundle
        By symbol: one, or all that it was given one after the other.
    rules : Rules or list of (start, Rules)
        Of the backtest.
    costs : Costs
        Of the backtest.
    features : FeatureSet, optional
        Where the bundle's names do not make one.

    Returns
    -------
    list of Replayed
        By symbol of the log, joined to it by opening time.
    """
    ready = [_ready(log, symbol, books, bundles[symbol], rules, features) for symbol in log.symbols]
    if log.told("account", log.symbols[0]) == "shared":
        return _shared(log, ready, rules, costs)
    return [_own(log, one, rules, costs) for one in ready]


def _ready(
    log: LiveLog,
    symbol: str,
    books: Mapping[str, Candles],
    bundles: Sequence[Bundle],
    rules: Rules | Schedule,
    features: Any,
) -> _Ready:
    """Gather what a replay of one symbol runs on: its rows, candles from the session's start, features and signals."""
    rows = log.decisions.filter(pl.col("symbol") == symbol)
    times = rows["open_time"].dt.timestamp("ms").to_numpy().astype(np.int64)
    begin = _starts(log, symbol)
    cut = {
        name: _from(one, _starts(log, name) if name in log.symbols else begin, name)
        for name, one in books.items()
    }
    mine = cut[symbol]
    at = np.searchsorted(mine.open_time, times)
    there = (at < len(mine)) & (mine.open_time[np.minimum(at, len(mine) - 1)] == times)
    kept = np.flatnonzero(there)
    if not len(kept):
        told = f"{show_time(times[0])} to {show_time(times[-1])}" if len(times) else "none"
        raise ParameterError(
            f"no decision of the log falls on a bar of `candles`: decisions {told}, bars "
            f"{show_time(mine.open_time[0])} to {show_time(mine.open_time[-1])}; "
            "give the candles of the log's market and time, and say "
            'stamp="close" if its times are those of closes'
        )
    at = at[kept].astype(np.int64)
    # One bar more, where there is one: what was decided at the last close is then a decision here too.
    stop = min(int(at[-1]) + 2, len(mine))
    cut[symbol] = mine = mine[:stop]
    frame = _table(bundles[0], cut, symbol, features)
    names = bundles[0].features
    values = own_table(frame, names).values
    signals = _said(rows[kept], bundles, frame, at, rules)
    arrays = {name: np.full(len(mine), np.nan) for name in signals}
    withheld = rows["withheld"][kept].is_not_null().to_numpy()
    for name, said in signals.items():
        arrays[name][at] = np.where(withheld, np.nan, said) if name in ENTRIES else said
    kind = "score" if next(iter(bundles[0].parts.values())).kind == "regression" else "probability"
    return _Ready(
        symbol,
        mine,
        at,
        kept.astype(np.int64),
        names,
        values,
        signals,
        Signals(**arrays, kind=kind),  # type: ignore[arg-type]
        begin is not None,
    )


def _own(log: LiveLog, one: _Ready, rules: Rules | Schedule, costs: Costs) -> Replayed:
    """Trade a symbol on an account of its own."""
    first, stop = int(one.at[0]), len(one.candles)
    result = backtest(
        one.candles,
        one.signals,
        rules,
        costs=costs,
        window=(first, stop),
        initial_equity=float(log.told("initial_equity", one.symbol) or EQUITY),
        engine="replay",
        ledger=False,
    )
    marks = result.equity["equity"].to_numpy().astype(np.float64).copy()
    side, ended = _positions(result.trades, stop - first)
    if ended:
        # The close of the last bar is only there because the candles end.
        marks[-1] = np.nan
    at = one.at - first
    return one.done(result, result.trades, side[at], marks[at])


def _shared(
    log: LiveLog, ready: Sequence[_Ready], rules: Rules | Schedule, costs: Costs
) -> list[Replayed]:
    """Trade all symbols from the one account of the session."""
    begin = min(one.candles.open_time[one.at[0]] for one in ready)
    first = ready[0].symbol
    result = portfolio(
        {one.symbol: one.candles for one in ready},
        {one.symbol: one.signals for one in ready},
        rules,
        costs=costs,
        max_positions=log.told("max_positions", first),
        max_gross=log.told("max_gross", first),
        window=(_utc(begin), None),
        initial_equity=float(log.told("initial_equity", first) or EQUITY),
        engine="replay",
        ledger=False,
    )
    clock = result.equity["open_time"].dt.epoch("ms").to_numpy()
    marks = result.equity["equity"].to_numpy().astype(np.float64).copy()
    for one in ready:
        mine = result.trades.filter(symbol=one.symbol)
        if "end" in mine["reason"]:
            # What closed only because the candles end is not what the session saw.
            marks[np.searchsorted(clock, one.candles.open_time[-1]) :] = np.nan
    out = []
    for one in ready:
        trades = result.trades.filter(symbol=one.symbol).drop("symbol")
        before = int(np.searchsorted(one.candles.open_time, begin))
        side, _ = _positions(trades, len(one.candles) - before)
        when = np.searchsorted(clock, one.candles.open_time[one.at])
        out.append(one.done(result, trades, side[one.at - before], marks[when]))
    return out


def _utc(ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(ms))


def _from(candles: Candles, begin: int | None, symbol: str) -> Candles:
    if begin is None:
        return candles
    first = int(candles.open_time[0])
    if begin < first:
        raise ParameterError(
            f"`candles`{f' of {symbol}' if symbol else ''} begin at {show_time(first)}, after the first bar that the "
            f"session knew, {show_time(begin)}: recursive features depend on their start, give candles from there on"
        )
    return candles[int(np.searchsorted(candles.open_time, begin)) :]


def _table(
    bundle: Bundle, books: Mapping[str, Candles], symbol: str, features: Any
) -> pl.DataFrame:
    """Features of a bundle over candles."""
    try:
        held = FeatureSet(list(bundle.features)) if features is None else features
        if getattr(held, "symbols", ()):
            frame: pl.DataFrame = held.compute(dict(books), symbol=symbol)
        else:
            frame = held.compute(books[symbol])
    except BarproofError as error:
        raise BundleError(
            f"features of the bundle cannot be computed from the candles: {error}; give features="
        ) from error
    return frame


def _said(
    rows: pl.DataFrame,
    bundles: Sequence[Bundle],
    frame: pl.DataFrame,
    at: Ints,
    rules: Any,
) -> dict[str, Floats]:
    """Signals at each decision, by the bundle that the log names there, or the last that it named before."""
    if len(bundles) == 1:
        return model_signals(bundles[0], frame, at, rules)
    by = {bundle.digest: k for k, bundle in enumerate(bundles)}
    which = np.zeros(len(at), dtype=np.int64)
    current = 0
    for i, digest in enumerate(rows["model_digest"]):
        current = by.get(digest, current) if digest is not None else current
        which[i] = current
    out: dict[str, Floats] = {}
    for k, bundle in enumerate(bundles):
        mine = np.flatnonzero(which == k)
        if not len(mine):
            continue
        for name, said in model_signals(bundle, frame, at[mine], rules).items():
            out.setdefault(name, np.full(len(at), np.nan))[mine] = said
    return out


def _positions(trades: pl.DataFrame, bars: int) -> tuple[NDArray[np.int8], bool]:
    """Position after each bar of the window, and whether the candles' end closed one."""
    side = np.zeros(bars, dtype=np.int8)
    ended = False
    columns = (trades[n].to_list() for n in ("side", "entry_bar", "exit_bar", "reason"))
    for which, first, last, reason in zip(*columns, strict=True):
        stop = bars if reason == "end" else last
        side[first:stop] = 1 if which == "long" else -1
        ended |= reason == "end"
    return side, ended


def threshold_sides(signals: Mapping[str, Floats], rules: Rules) -> NDArray[np.int8]:
    """Side that thresholds ask for at each close, whatever is held: step 8 of the contract without an account.

    Parameters
    ----------
    signals : dict of str to ndarray of shape (n,)
        `long` and `short`.
    rules : Rules
        `entry_long`, `entry_short`, `short_gate`.

    Returns
    -------
    ndarray of shape (n,), int8
        1 long, -1 short, 0 none.
    """
    n = len(next(iter(signals.values()), np.zeros(0)))
    nothing = np.full(n, np.nan)
    p, q = signals.get("long", nothing), signals.get("short", nothing)
    over = p - rules.entry_long if rules.entry_long is not None else nothing
    under = q - rules.entry_short if rules.entry_short is not None else nothing
    with np.errstate(invalid="ignore"):
        up, down = over >= 0, under >= 0
        if rules.short_gate is not None:
            down = down & (q - np.where(np.isnan(p), -np.inf, p) >= rules.short_gate)
            return np.where(down, -1, np.where(up, 1, 0)).astype(np.int8)
        both = up & down
        larger = np.where(over > under, 1, np.where(under > over, -1, 0))
    out = np.where(both, larger, np.where(up, 1, np.where(down, -1, 0)))
    return out.astype(np.int8)
