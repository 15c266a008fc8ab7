"""Markets that look like the real one and hold no edge."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from barproof.candles import Candles
from barproof.candles.simulate import simulate_candles
from barproof.errors import LayoutError, ParameterError

__all__ = ["KINDS", "Kind", "surrogate_candles"]

Kind: TypeAlias = Literal["sign", "blocks", "phase", "simulated"]
KINDS = ("sign", "blocks", "phase", "simulated")

_DAY = 86_400_000
_YEAR = 365 * _DAY

Floats: TypeAlias = NDArray[np.float64]


def surrogate_candles(
    candles: Candles,
    *,
    kind: Kind = "sign",
    seed: int = 0,
    edge: float = 0.0,
    mean_block: float | None = None,
) -> Candles:
    """Make a market of the same bars, volatility, volume and funding in which no rule can win.

    Parameters
    ----------
    candles : Candles
        The real market, at least 8 bars.
    kind : {"sign", "blocks", "phase", "simulated"}, default "sign"
        "sign": every bar where it stands, up or down at random. "blocks": bars redrawn in blocks (stationary
        bootstrap), then up or down at random. "phase": bars put in another order, in which their sizes have the same
        spectrum (memory of volatility) with random phases, then up or down at random. "simulated":
        :func:`barproof.simulate_candles` with the volatility, length and interval of these.
    seed : int, default 0
        In [0, 2**64).
    edge : float, default 0.0
        Planted edge of the simulator; other kinds hold none.
    mean_block : float, optional
        Mean length of blocks in bars. Default: those of a day, at least 8.

    Returns
    -------
    Candles
        With the same times, funding and instrument ("simulated" has funding of its own, and the times of candles
        without holes). `taker_buy_volume` is mirrored with its bar; other columns move with it.

    Raises
    ------
    LayoutError
        If it is given no candles.
    ParameterError
        If there are too few, or an argument is out of bounds.

    Notes
    -----
    A bar's way from open to close, and the gap before it, keep their sizes and take a side at random: up with chance
    ``1 / (1 + exp(size))``, so that the expected simple return of each is 0 whatever came before. A mirrored bar swaps
    high and low about its open.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=2_000, edge=0.2)
    >>> other = bp.surrogate_candles(candles, seed=5)
    >>> len(other), bool(other.volume[7] == candles.volume[7])
    (2000, True)
    """
    # Here and not above: statistics are loaded where they are used.
    from barproof.stats import stationary_indices, uniforms

    if not isinstance(candles, Candles):
        raise LayoutError(f"a surrogate needs Candles, was given {type(candles).__name__}")
    if kind not in KINDS:
        raise ParameterError(
            f"`kind` of a surrogate must be one of {', '.join(KINDS)}, was {kind!r}"
        )
    n = len(candles)
    if n < 8:
        raise ParameterError(f"a surrogate needs at least 8 bars, was given {n}")
    if edge and kind != "simulated":
        raise ParameterError(f"an edge is planted in simulated markets only, `kind` was {kind!r}")
    own = [int(u * 2.0**53) for u in uniforms(seed, 4)]
    if kind == "simulated":
        return _simulated(candles, own[0], edge)
    order = np.arange(n)
    if kind == "blocks":
        block = max(8.0, _DAY / candles.interval_ms) if mean_block is None else mean_block
        order = stationary_indices(n, mean_block=block, rows=1, seed=own[1])[0]
    elif kind == "phase":
        order = _phases(np.log(candles.high / candles.low), own[1])
    return _mirrored(candles, order, uniforms(own[2], n), uniforms(own[3], n))


def _simulated(candles: Candles, seed: int, edge: float) -> Candles:
    """Simulate candles of the same length, interval, start, price and volatility."""
    returns = np.diff(np.log(candles.close))
    annual = float(np.std(returns)) * float(np.sqrt(_YEAR / candles.interval_ms))
    made = simulate_candles(
        seed,
        bars=len(candles),
        interval=timedelta(milliseconds=candles.interval_ms),
        edge=edge,
        start=candles.start,
        price=float(np.clip(candles.open[0], 1e-12, 1e12)),
        annual_volatility=float(np.clip(annual, 1e-3, 9.99)),
    )
    changes: dict[str, Any] = {"symbol": candles.symbol, "instrument": candles.instrument}
    if candles.funding is None:
        changes |= {"funding_time": None, "funding_rate": None}
    if candles._no_funding:
        changes["no_funding"] = True
    return made._replace(**changes)


def _phases(size: Floats, seed: int) -> NDArray[np.int64]:
    """Order of the bars in which their sizes have the same spectrum, and random phases."""
    from barproof.stats import uniforms

    n = len(size)
    rank = np.empty(n)
    rank[np.argsort(size, kind="stable")] = np.arange(n)
    spectrum = np.fft.rfft(rank - rank.mean())
    turn = np.exp(2j * np.pi * uniforms(seed, len(spectrum)))
    # The mean, and of an even number the highest frequency, have no phase.
    turn[0] = 1.0
    if n % 2 == 0:
        turn[-1] = 1.0
    drawn = np.fft.irfft(spectrum * turn, n)
    order = np.empty(n, np.int64)
    order[np.argsort(drawn, kind="stable")] = np.argsort(size, kind="stable")
    return order


def _mirrored(candles: Candles, order: NDArray[np.int64], first: Floats, second: Floats) -> Candles:
    """Bars in an order, their gaps and ways up or down by two uniforms each."""
    opens, closes = candles.open, candles.close
    gap = np.zeros(len(opens))
    gap[1:] = np.abs(np.log(opens[1:] / closes[:-1]))
    gap = gap[order]
    body = np.log(closes / opens)[order]
    up, down = np.log(candles.high / opens)[order], np.log(candles.low / opens)[order]
    size = np.abs(body)
    side = np.where(first < 1 / (1 + np.exp(size)), 1.0, -1.0)
    # A bar without a way may have wicks: its side is the draw's.
    was = np.where(body < 0, -1.0, 1.0)
    turned = side != was
    up, down = np.where(turned, -down, up), np.where(turned, -up, down)
    gap = np.where(second < 1 / (1 + np.exp(gap)), gap, -gap)
    gap[0] = 0.0
    step = np.exp(gap) * np.exp(np.concatenate([[0.0], (side * size)[:-1]]))
    made = opens[0] * np.cumprod(step)
    extra = {name: values[order] for name, values in candles.extra.items()}
    volume = candles.volume[order]
    taker = extra.get("taker_buy_volume")
    if taker is not None:
        extra["taker_buy_volume"] = np.where(turned, np.maximum(volume - taker, 0.0), taker)
    return candles._replace(
        open=made,
        high=made * np.exp(up),
        low=made * np.exp(down),
        close=made * np.exp(side * size),
        volume=volume,
        extra=extra,
        planted=None,
        faults=(),
    )
