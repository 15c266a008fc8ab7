"""What a run is made of, checked: shared by backtests, sweeps and accounts."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, TypeAlias

from barproof import _core
from barproof._windows import Window, union
from barproof.candles import Candles
from barproof.candles.table import show_time
from barproof.errors import DataWarning, LayoutError, ParameterError
from barproof.rules import Costs
from barproof.signals import Signals

_PERIODS = {"perpetual": 365.0, "spot": 365.0, "equity": 252.0, "fx": 260.0}


@dataclass(frozen=True)
class Setting:
    """What a run is made of, checked; shared by backtests and sweeps."""

    candles: Candles
    signals: Signals
    costs: Costs
    initial_equity: float
    periods_per_year: float
    engine: str
    intrabar: Candles | None = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the core."""
        instrument = self.candles.instrument
        return {
            "costs": self.costs._tuple(),
            "instrument_": (
                instrument.kind,
                instrument.maintenance,
                instrument.lot,
                instrument.min_notional,
            ),
            "initial_equity": self.initial_equity,
            "periods_per_year": self.periods_per_year,
            "engine": self.engine,
        }

    def provenance(self) -> dict[str, str]:
        """Digests and versions, for reports and records."""
        costs = self.costs
        finer = {} if self.intrabar is None else {"intrabar": self.intrabar.digest}
        return {
            "barproof": _core.__version__,
            "candles": self.candles.digest,
            "signals": self.signals.digest,
            "costs": f"taker={costs.taker!r}, maker={costs.maker!r}, slippage={costs.slippage!r}",
            "initial_equity": repr(self.initial_equity),
            "periods_per_year": repr(self.periods_per_year),
            # Only the engine that goes bar by bar knows finer candles.
            "engine": self.engine if self.intrabar is None else "replay",
            **finer,
        }


def setting(
    candles: Candles,
    signals: Signals,
    costs: Costs,
    initial_equity: float,
    periods_per_year: float | None,
    engine: str,
    intrabar_candles: Candles | None = None,
) -> Setting:
    """Check what backtests and sweeps have in common."""
    if not isinstance(candles, Candles):
        raise LayoutError(
            f"`candles` must be Candles, was {type(candles).__name__}: use read_candles(...)"
        )
    if not isinstance(signals, Signals):
        raise LayoutError(
            f"`signals` must be Signals, was {type(signals).__name__}: use Signals(long=...)"
        )
    if not isinstance(costs, Costs):
        raise LayoutError(
            f"`costs` must be Costs, was {type(costs).__name__}: use Costs(taker=...) or Costs.free()"
        )
    if not len(candles):
        raise ParameterError("`candles` hold no bars: there is nothing to run on")
    if engine not in ("indexed", "replay"):
        raise ParameterError(
            f'`engine` must be "indexed" or "replay", was {engine!r}: both give the same bits'
        )
    if not is_positive(initial_equity):
        raise ParameterError(f"`initial_equity` must be finite and > 0, was {initial_equity!r}")
    periods = _PERIODS[candles.instrument.kind] if periods_per_year is None else periods_per_year
    if not is_positive(periods):
        raise ParameterError(
            f"`periods_per_year` must be finite and > 0, was {periods!r}: 365 for crypto, 252 for shares"
        )
    aligned = signals.align(candles)
    made = Setting(candles, aligned, costs, float(initial_equity), float(periods), engine)
    return refined(made, intrabar_candles)


def is_positive(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return 0.0 < float(value) < float("inf")
    except OverflowError:
        return False


def refined(made: Setting, intrabar: Candles | None) -> Setting:
    """Check finer candles and add them."""
    if intrabar is None:
        return made
    if not isinstance(intrabar, Candles):
        raise LayoutError(
            f"`intrabar_candles` must be Candles, was {type(intrabar).__name__}: use read_candles(...)"
        )
    coarse = made.candles
    for name, fine, have in (
        ("symbol", intrabar.symbol, coarse.symbol),
        ("kind", intrabar.instrument.kind, coarse.instrument.kind),
    ):
        if fine != have and "UNKNOWN" not in (fine, have):
            raise ParameterError(
                f"`intrabar_candles` are of {name} {fine!r}, the candles of {have!r}: give the same market"
            )
    if intrabar.interval_ms >= coarse.interval_ms or coarse.interval_ms % intrabar.interval_ms:
        raise ParameterError(
            f"`intrabar_candles` are bars of {intrabar.interval}, the candles of {coarse.interval}: give a shorter "
            "interval that divides it"
        )
    return replace(made, intrabar=intrabar)


Unserved: TypeAlias = tuple[int, int, "int | None"]


def served(made: Setting, windows: Sequence[Window], of: str = "") -> None:
    """Say how many bars of all windows the finer candles do not make up; `of` names whose they are."""
    if made.intrabar is None:
        return
    # Where windows share bars, each bar is counted once.
    joined = union(windows)
    found = _core.unserved(made.candles._bars, made.intrabar._bars, [*windows, *joined])
    n = len(windows)
    check_served(made, found[:n], windows, of, told=True)
    check_served(made, found[n:], joined, of, depth=5)


def check_served(
    made: Setting,
    found: Sequence[Unserved],
    windows: Sequence[Window],
    of: str = "",
    *,
    told: bool = False,
    depth: int = 4,
) -> None:
    """Refuse windows that finer candles serve in no bar, and say how many bars they do not make up."""
    for number, (start, stop) in enumerate(windows):
        if found[number][0] == stop - start:
            which = "the window" if len(windows) == 1 else f"window {number}"
            raise ParameterError(
                f"`intrabar_candles`{of} make up none of the {stop - start:,} bars of {which}: give finer candles of "
                "its time"
            )
    bars = sum(one[0] for one in found)
    if told or not bars:
        return
    total = sum(stop - start for start, stop in windows)
    contradicted = sum(one[1] for one in found)
    first = min(one[2] for one in found if one[2] is not None)
    opens = show_time(int(made.candles.open_time[first]))
    text = (
        f"`intrabar_candles`{of} do not make up {bars:,} of {total:,} bars, the first opens {opens}"
    )
    if contradicted:
        text += f"; in {contradicted:,} they are all there and show other prices"
    warnings.warn(f"{text}: these are run on themselves", DataWarning, stacklevel=depth)
