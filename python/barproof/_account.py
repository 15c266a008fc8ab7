"""What an account of several symbols is made of, checked; shared by `portfolio` and sweeps of a shared account."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof import _core
from barproof._backtest import as_schedule
from barproof._setting import Setting, setting
from barproof._windows import Window, as_window
from barproof.candles import Instrument
from barproof.candles.table import show_time
from barproof.errors import FundingError, LayoutError, ParameterError
from barproof.rules import Rules

Ints: TypeAlias = NDArray[np.int64]
Limits: TypeAlias = tuple[int, "int | None", "float | None"]

START_OF_TIME = -(2**62)


@dataclass(frozen=True)
class Clock:
    """The union of the symbols' times; stands where candles stand for what needs times alone."""

    open_time: Ints
    interval_ms: int
    digest: str = ""

    def __len__(self) -> int:
        return len(self.open_time)

    @property
    def start(self) -> datetime:
        """Opening time of the first step."""
        return _utc(self.open_time[0])

    @property
    def end(self) -> datetime:
        """Closing time of the last step."""
        return _utc(self.open_time[-1] + self.interval_ms)


def _utc(ms: int) -> datetime:
    return np.datetime64(int(ms), "ms").item()


@dataclass(frozen=True)
class Account:
    """Symbols with their settings on one clock."""

    made: dict[str, Setting]
    clock: Clock

    @property
    def symbols(self) -> list[str]:
        """Symbols in their order, which is that of the candles."""
        return list(self.made)

    @property
    def first(self) -> Setting:
        """Setting of the first symbol; money and engine are those of all."""
        return next(iter(self.made.values()))

    def bars(self, symbol: str, span: Window) -> Window:
        """Bars of a symbol within steps of the clock."""
        begin, end = self.times(span)
        found = np.searchsorted(self.made[symbol].candles.open_time, [begin, end])
        return int(found[0]), int(found[1])

    def times(self, span: Window) -> tuple[int, int]:
        """Time of the first step, and the first time after the last."""
        return int(self.clock.open_time[span[0]]), int(self.clock.open_time[span[1] - 1]) + 1

    def window(self, window: Any) -> Window:
        """Find the steps of the clock that a window means."""
        return as_window(self.clock, window)  # type: ignore[arg-type]

    def legs(self, schedules: Mapping[str, list[tuple[int, Rules]]], span: Window) -> list[Any]:
        """Gather what the core takes."""
        out = []
        for symbol, made in self.made.items():
            options = made.options()
            out.append(
                (
                    made.candles._bars,
                    made.signals._bars,
                    [(start, rules.to_dict()) for start, rules in schedules[symbol]],
                    options["costs"],
                    options["instrument_"],
                    self.bars(symbol, span),
                )
            )
        return out

    def provenance(self) -> dict[str, str]:
        """Digests and versions, for reports and records."""
        facts = dict(self.first.provenance())
        each = self.made.values()
        facts["candles"] = self.clock.digest
        facts["signals"] = _core.digest(
            "signals/1", [*self.made, *(m.signals.digest for m in each)]
        )
        costs = list(dict.fromkeys(made.provenance()["costs"] for made in each))
        if len(costs) > 1:
            facts["costs"] = "; ".join(
                f"{s}: {m.provenance()['costs']}" for s, m in self.made.items()
            )
        facts["symbols"] = ", ".join(self.made)
        return facts


def _by_symbol(name: str, given: Any, symbols: list[str], what: str) -> dict[str, Any]:
    """One entry a symbol; anything else than a mapping is common to all."""
    if not isinstance(given, Mapping):
        return dict.fromkeys(symbols, given)
    odd = sorted(map(str, set(given) ^ set(symbols)))
    if odd:
        has = f"candles but no {what}" if odd[0] in symbols else f"{what} but no candles"
        raise ParameterError(
            f"symbol {odd[0]!r} has {has} in `{name}`: give every symbol its own, or one for all"
        )
    return {symbol: given[symbol] for symbol in symbols}


def account(
    candles: Any,
    signals: Any,
    costs: Any,
    initial_equity: float,
    periods_per_year: float | None,
    engine: str,
) -> Account:
    """Check what is given for the symbols of an account."""
    if not isinstance(candles, Mapping):
        raise LayoutError(
            f"`candles` must be a mapping of symbol to Candles, was {type(candles).__name__}: one symbol alone takes "
            "backtest(...)"
        )
    if not candles:
        raise ParameterError("`candles` hold no symbol: an account needs at least one")
    if not isinstance(signals, Mapping):
        raise LayoutError(
            f"`signals` must be a mapping of symbol to Signals, as `candles` is one, was {type(signals).__name__}"
        )
    for symbol in candles:
        if not isinstance(symbol, str) or not symbol.strip() or not symbol.isprintable():
            raise ParameterError(f"a symbol must be a printable text, was {symbol!r}")
    symbols = list(candles)
    signals = _by_symbol("signals", signals, symbols, "signals")
    costs = _by_symbol("costs", costs, symbols, "costs")
    made: dict[str, Setting] = {}
    for symbol in symbols:
        try:
            made[symbol] = setting(
                candles[symbol],
                signals[symbol],
                costs[symbol],
                initial_equity,
                periods_per_year,
                engine,
            )
        except (ValueError, TypeError) as error:
            error.add_note(f"on the symbol {symbol!r}")
            raise
        bars = made[symbol].candles
        if bars.instrument.kind == "perpetual" and bars._bars.funding_time is None:
            raise FundingError(
                f"candles of {symbol!r} are of a perpetual and carry no funding: attach it with `funding=` where they "
                'are read, or say funding="none" to run without'
            )
    every = [one.candles.open_time for one in made.values()]
    times = every[0] if _alike(made) else _union(every)
    digest = _core.digest("symbols/1", [*made, *(one.candles.digest for one in made.values())])
    return Account(made, Clock(times, next(iter(made.values())).candles.interval_ms, digest))


def _union(times: list[Ints]) -> Ints:
    """Join the times of all symbols, each once."""
    # Sorted runs are merged, which beats a hash table of all times by far.
    every = np.sort(np.concatenate(times), kind="stable")
    joined: Ints = every[np.concatenate([[True], every[1:] != every[:-1]])]
    return joined


def _alike(made: Mapping[str, Setting]) -> bool:
    """One clock, one year, and no symbol twice; tell whether all have bars at the same times."""
    common = True
    name, first = next(iter(made.items()))
    interval = first.candles.interval_ms
    phase = int(first.candles.open_time[0]) % interval
    for symbol, one in made.items():
        bars = one.candles
        if bars.interval_ms != interval:
            raise ParameterError(
                f"candles of {symbol!r} are bars of {bars.interval}, those of {name!r} of {first.candles.interval}: an "
                "account has one clock; resample(...) the shorter ones"
            )
        # Times that are those of the first symbol need no division, which takes longer than to run an account.
        alike = one is first or bars._bars.shares_times(first.candles._bars)
        common = common and alike
        # Of bars without holes the first one tells.
        times = bars.open_time[: 1 if alike or bars._bars.even else None]
        off = np.flatnonzero(times % interval != phase)
        if len(off):
            raise ParameterError(
                f"bar {int(off[0])} of {symbol!r} opens {show_time(int(bars.open_time[off[0]]))}, off the grid of "
                f"{bars.interval} on which those of {name!r} open: an account has one clock; read_candles(...) snaps "
                "times to a grid"
            )
        if one.periods_per_year != first.periods_per_year:
            raise ParameterError(
                f"{symbol!r} is of kind {bars.instrument.kind!r} with {one.periods_per_year:g} periods a year, "
                f"{name!r} of kind {first.candles.instrument.kind!r} with {first.periods_per_year:g}: say "
                "`periods_per_year` for the account"
            )
    seen: dict[str, str] = {}
    for symbol, one in made.items():
        bars = one.candles
        # Simulated candles and those without a name are told apart by their bars alone.
        named = () if bars.symbol in ("UNKNOWN", "SIM") else (bars.symbol,)
        for key in (bars.digest, *named):
            if key in seen:
                raise ParameterError(
                    f"{seen[key]!r} and {symbol!r} are both candles of {bars.symbol!r}: a symbol takes part once; "
                    "leave one of them out"
                )
            seen[key] = symbol
    return common


def limits(
    max_positions: Any, max_gross: Any, made: Mapping[str, Setting]
) -> tuple[int | None, float | None]:
    """Check what an account lets its symbols hold together."""
    initial = next(iter(made.values())).initial_equity
    kinds = [one.candles.instrument for one in made.values()]
    return check_limits(max_positions, max_gross, initial, kinds)


def check_limits(
    max_positions: Any, max_gross: Any, initial: float, instruments: Iterable[Instrument]
) -> tuple[int | None, float | None]:
    """Refuse limits that are none, or that let nothing be entered."""
    if max_positions is not None and (
        isinstance(max_positions, bool)
        or not isinstance(max_positions, (int, np.integer))
        or max_positions < 1
    ):
        raise ParameterError(
            f"`max_positions` must be a whole number >= 1, was {max_positions!r}: an account that may hold nothing has "
            "nothing to run; leave it out for no limit"
        )
    if max_gross is None:
        return None if max_positions is None else int(max_positions), None
    if (
        isinstance(max_gross, bool)
        or not isinstance(max_gross, (int, float, np.integer, np.floating))
        or not 0.0 < max_gross < float("inf")
    ):
        raise ParameterError(
            f"`max_gross` must be finite and > 0, was {max_gross!r}: it bounds all notionals as a multiple of the "
            "equity; leave it out for no limit"
        )
    gross = float(max_gross)
    least = min(one.min_notional for one in instruments)
    if gross * initial < least:
        raise ParameterError(
            f"`max_gross` is {gross!r}, which leaves notionals of {gross * initial:,.2f} at most, and every symbol "
            f"asks for {least:,.2f} or more (`min_notional`): nothing could be entered; raise it or `initial_equity`"
        )
    return None if max_positions is None else int(max_positions), gross


def rules_of(
    rules: Any, made: Mapping[str, Setting]
) -> tuple[dict[str, list[tuple[int, Rules]]], dict[str, Any]]:
    """Schedules for the core, and what the result shows, by symbol."""
    each = _by_symbol("rules", rules, list(made), "rules")
    schedules, shown = {}, {}
    for symbol, one in each.items():
        try:
            schedules[symbol], shown[symbol] = as_schedule(made[symbol].candles, one)
        except (ValueError, TypeError) as error:
            error.add_note(f"on the symbol {symbol!r}")
            raise
    return schedules, shown
