"""`simulate_candles`: a market whose edge is known because it was planted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, overload

import numpy as np

from barproof import _core
from barproof.candles.instrument import Instrument
from barproof.candles.interval import DAY, WEEK, parse_interval
from barproof.candles.model import Candles
from barproof.candles.table import PRICES, show_time
from barproof.errors import LayoutError, ParameterError

__all__ = ["simulate_candles"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = 253_402_300_800_000  # 10000-01-01, the first time that no calendar can write
_MONDAY = 4 * DAY  # 1970-01-01 was a Thursday; weeks begin on Mondays


@overload
def simulate_candles(
    seed: int,
    bars: int = ...,
    interval: str | timedelta = ...,
    edge: float = ...,
    symbols: None = ...,
    *,
    start: str | date | datetime = ...,
    price: float = ...,
    annual_volatility: float = ...,
    correlation: float = ...,
) -> Candles: ...
@overload
def simulate_candles(
    seed: int,
    bars: int = ...,
    interval: str | timedelta = ...,
    edge: float = ...,
    *,
    symbols: Sequence[str],
    start: str | date | datetime = ...,
    price: float = ...,
    annual_volatility: float = ...,
    correlation: float = ...,
) -> dict[str, Candles]: ...
@overload
def simulate_candles(
    seed: int,
    bars: int,
    interval: str | timedelta,
    edge: float,
    symbols: Sequence[str],
    *,
    start: str | date | datetime = ...,
    price: float = ...,
    annual_volatility: float = ...,
    correlation: float = ...,
) -> dict[str, Candles]: ...
def simulate_candles(
    seed: int,
    bars: int = 100_000,
    interval: str | timedelta = "5m",
    edge: float = 0.0,
    symbols: Sequence[str] | None = None,
    *,
    start: str | date | datetime = "2022-01-01",
    price: float = 100.0,
    annual_volatility: float = 0.6,
    correlation: float = 0.6,
) -> Candles | dict[str, Candles]:
    """Simulate candles of a perpetual, with funding and an edge of known size.

    The same arguments give the same bits on every machine. More bars or more symbols change nothing of what was there.

    Parameters
    ----------
    seed : int
        Seed of everything, in [0, 2**64).
    bars : int, default 100_000
        Bars a symbol, at least 1.
    interval : str or timedelta, default "5m"
        Bar length.
    edge : float, default 0.0
        Correlation of ``planted`` at the close of a bar with the log return of the next one, from open to close and in
        units of the bar's volatility; in [0, 1). At 0 no rule can win: the expected return of every bar is 0.
    symbols : sequence of str, optional
        Names of correlated markets. Without it there is one, named ``"SIM"``, with the bits of the first of many.
    start : str, date or datetime, default "2022-01-01"
        Opening of the first bar, ISO 8601, UTC where it names no zone; moved back to the grid of bars where it lies
        between (weeks begin on Mondays).
    price : float, default 100.0
        First price of every symbol in quote units, in [1e-12, 1e12]. The tick is a power of ten and at most 1e-5 of it.
    annual_volatility : float, default 0.6
        Standard deviation of the log return over 365 days, on average over regimes; in (0, 10].
    correlation : float, default 0.6
        Correlation of two symbols' returns in units of volatility, in [0, 1).

    Returns
    -------
    Candles or dict of str to Candles
        A dict by symbol where `symbols` is given. ``extra`` holds `taker_buy_volume`; ``planted`` the hidden score, a
        standard normal AR(1) with a half-life of 24 bars, its element t known at the close of bar t. The share that
        takers bought leans on the score, so that features can find a trace of it.

    Raises
    ------
    ParameterError
        If an argument is out of its bounds.
    LayoutError
        If an argument is of the wrong type.

    Notes
    -----
    Log returns are ``drift + s * (edge * planted[t-1] + sqrt(1 - edge**2) * noise)``. The volatility ``s`` is the
    product of a Markov chain of three regimes [1]_, a log-normal AR(1) [2]_ and a wave over the UTC day. The noise is
    normal with rare jumps [3]_, part of it shared between symbols. The drift makes the expected simple return of a bar
    0, so that log prices sink by ``s**2 / 2`` a bar. Highs and lows are those of a continuous path. Funding is settled
    at 00, 08 and 16 UTC, returns to 0.01% and follows the last returns.

    References
    ----------
    .. [1] J. D. Hamilton, "A new approach to the economic analysis of nonstationary time series and the business
       cycle", Econometrica 57, 1989.
    .. [2] S. J. Taylor, "Modelling Financial Time Series", 1986.
    .. [3] R. C. Merton, "Option pricing when underlying stock returns are discontinuous", Journal of Financial
       Economics 3, 1976.

    Examples
    --------
    >>> from barproof.candles.simulate import simulate_candles
    >>> candles = simulate_candles(7, bars=20_000, edge=0.1)
    >>> candles
    Candles(SIM, 5m, 20,000 bars, 2022-01-01 00:00 to 2022-03-11 10:40, perpetual, 209 settlements)
    >>> import numpy as np
    >>> returns = np.log(candles.close / candles.open)
    >>> bool(np.corrcoef(candles.planted[:-1], returns[1:])[0, 1] > 0.05)
    True
    >>> list(simulate_candles(7, bars=100, symbols=["BTC", "ETH"]))
    ['BTC', 'ETH']
    """
    for name, value in (("seed", seed), ("bars", bars)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise LayoutError(f"`{name}` must be a whole number, was {value!r}")
    if not 0 <= seed < 2**64:
        raise ParameterError(f"`seed` must be in [0, 2**64), was {seed}")
    if bars < 1:
        raise ParameterError(f"`bars` must be at least 1, was {bars}")
    figures: dict[str, Any] = {
        "edge": edge,
        "price": price,
        "annual_volatility": annual_volatility,
        "correlation": correlation,
    }
    for name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise LayoutError(f"`{name}` must be a number, was {value!r}")
    names = ["SIM"] if symbols is None else _names(symbols)
    interval_ms = parse_interval(interval)
    start_ms = _start(start)
    anchor = _MONDAY if interval_ms % WEEK == 0 else 0
    start_ms -= (start_ms - anchor) % interval_ms
    if start_ms + int(bars) * interval_ms > _LAST:
        raise ParameterError(
            f"`bars` must end before the year 10000, was {bars} of {interval_ms} ms from "
            f"{show_time(start_ms)}: ask for fewer or shorter bars"
        )
    markets = _core.simulate(
        seed=int(seed),
        bars=int(bars),
        interval_ms=interval_ms,
        start_ms=start_ms,
        symbols=len(names),
        **{name: float(value) for name, value in figures.items()},
    )
    found = {
        name: Candles._from_arrays(
            market["open_time"],
            *(market[column] for column in (*PRICES, "volume")),
            symbol=name,
            interval_ms=interval_ms,
            instrument=Instrument("perpetual"),
            extra={"taker_buy_volume": market["taker_buy_volume"]},
            funding_time=market["funding_time"],
            funding_rate=market["funding_rate"],
            planted=market["planted"],
        )
        for name, market in zip(names, markets, strict=True)
    }
    return found["SIM"] if symbols is None else found


def _names(symbols: Any) -> list[str]:
    """Check the names of several markets."""
    if isinstance(symbols, str) or not isinstance(symbols, Sequence):
        raise LayoutError(
            f'`symbols` must be a list of names such as ["BTC", "ETH"], was {symbols!r}'
        )
    names = list(symbols)
    if not names:
        raise ParameterError("`symbols` must name at least one market, was empty")
    for name in names:
        if not isinstance(name, str) or not name:
            raise LayoutError(f"`symbols` must hold texts that are not empty, held {name!r}")
        if names.count(name) > 1:
            raise ParameterError(f"`symbols` must differ, {name!r} is given more than once")
    return names


def _start(start: Any) -> int:
    """Read a time as milliseconds UTC."""
    moment = start
    if isinstance(start, str):
        try:
            moment = datetime.fromisoformat(start)
        except ValueError:
            raise ParameterError(
                f"`start` must be an ISO 8601 time, was {start!r}: "
                f'write "2022-01-31" or "2022-01-31 13:00"'
            ) from None
    elif isinstance(start, date) and not isinstance(start, datetime):
        moment = datetime(start.year, start.month, start.day)
    if not isinstance(moment, datetime):
        raise LayoutError(
            f"`start` must be ISO 8601 text, a date or a datetime, was {type(start).__name__}"
        )
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(milliseconds=1)
