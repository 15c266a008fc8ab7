"""Money: break-even, Kelly in both forms, ruin, what compounding allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from barproof.errors import ParameterError
from barproof.stats._common import Stat, check_level, check_positive, series, undefined
from barproof.stats.bootstrap import block_length, stationary_indices

__all__ = [
    "Growth",
    "Ruin",
    "break_even",
    "expectancy",
    "growth_identity",
    "kelly_fixed_odds",
    "kelly_leverage",
    "ruin",
    "stop_distance",
]


def break_even(win: float, loss: float, *, cost: float = 0.0) -> float:
    """Win rate at which a payoff earns nothing.

    Parameters
    ----------
    win, loss : float
        Mean win and mean loss, both as positive numbers in one unit.
    cost : float, default 0.0
        Round-trip cost in the same unit, where `win` and `loss` are before costs.

    Returns
    -------
    float
        ``(loss + cost) / (win + loss)``; above 1 where no win rate is enough, NaN where nothing is won or lost.

    Raises
    ------
    ParameterError
        If a number is negative.

    Examples
    --------
    >>> round(break_even(0.5524, 1.0678), 4)
    0.6591
    """
    if min(win, loss, cost) < 0:
        raise ParameterError(
            f"`win`, `loss` and `cost` must be >= 0, were {win!r}, {loss!r} and {cost!r}: give sizes"
        )
    return (loss + cost) / (win + loss) if win + loss > 0 else math.nan


def expectancy(share: float, win: float, loss: float) -> float:
    """Compute the mean trade from a win rate and a payoff.

    Parameters
    ----------
    share : float
        Win rate, in [0, 1].
    win, loss : float
        Mean win and mean loss, both as positive numbers.

    Returns
    -------
    float
        ``share * win - (1 - share) * loss``, in the unit of `win`; with `loss` = 1 in multiples of the risk.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> round(expectancy(0.52, 1, 2), 2)
    -0.44
    """
    _payoff(share, win, loss)
    return share * win - (1 - share) * loss


def kelly_fixed_odds(share: float, win: float, loss: float) -> float:
    """Compute the share of capital to risk at the stop, with fixed odds.

    Parameters
    ----------
    share : float
        Win rate, in [0, 1].
    win, loss : float
        Mean win and mean loss, both as positive numbers.

    Returns
    -------
    float
        ``p - q / b`` with odds ``b = win / loss``; not above 0 where nothing should be risked; NaN where `win` is 0.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Notes
    -----
    J. Kelly 1956. Trades are taken to be independent with two outcomes. Not :func:`kelly_leverage`: the two have been
    swapped in releases of other libraries.

    Examples
    --------
    >>> round(kelly_fixed_odds(0.6, 1, 1), 2)
    0.2
    """
    _payoff(share, win, loss)
    return share - (1 - share) * loss / win if win > 0 else math.nan


def kelly_leverage(share: float, win: float, loss: float) -> float:
    """Compute the position, in multiples of equity, of fastest growth.

    Parameters
    ----------
    share : float
        Win rate, in [0, 1].
    win, loss : float
        Mean win and mean loss as fractions of the position, both positive.

    Returns
    -------
    float
        ``p / l - q / w``; NaN where `win` or `loss` is 0.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Notes
    -----
    Maximises ``p ln(1 + f w) + q ln(1 - f l)`` (J. Kelly 1956; E. Thorp 2006).

    Examples
    --------
    >>> round(kelly_leverage(0.6, 0.01, 0.01), 1)
    20.0
    """
    _payoff(share, win, loss)
    return share / loss - (1 - share) / win if win > 0 and loss > 0 else math.nan


def stop_distance(risk: float, *, leverage: float, share: float = 1.0) -> float:
    """Compute how far, as a fraction of price, a stop on a share of balance lies.

    Parameters
    ----------
    risk : float
        Share of balance that the stop may cost.
    leverage : float
        Of the position.
    share : float, default 1.0
        Share of balance that is put in.

    Returns
    -------
    float
        ``risk / (leverage * share)``.

    Raises
    ------
    ParameterError
        If a number is not above 0.

    Examples
    --------
    >>> stop_distance(0.03, leverage=4)
    0.0075
    """
    for name, value in (("risk", risk), ("leverage", leverage), ("share", share)):
        check_positive(name, value)
    return risk / (leverage * share)


@dataclass(frozen=True, repr=False, eq=False)
class Growth(Stat):
    """What mean and growth of trades say of their spread.

    Attributes
    ----------
    growth : float
        Mean logarithmic growth a trade.
    deviation : float
        Standard deviation a trade that mean and growth imply, to second order.
    """

    growth: float
    deviation: float


def growth_identity(mean: float, n: int, final: float) -> Growth:
    """Hold a mean trade against the equity that it came to.

    Parameters
    ----------
    mean : float
        Mean return a trade.
    n : int
        Trades, all equity in each.
    final : float
        Final over initial equity, > 0.

    Returns
    -------
    Growth
        ``sd^2 = 2 (m - g) - m^2``; undefined where growth is above what the mean allows: final <= exp(n mean).

    Raises
    ------
    ParameterError
        If `n` or `final` is not above 0.

    Examples
    --------
    >>> growth_identity(0.01, 100, 2.0).defined
    True
    """
    check_positive("n", n)
    check_positive("final", final)
    if not math.isfinite(mean):
        return undefined(Growth, f"the mean is {mean}")
    growth = math.log(final) / n
    square = 2 * (mean - growth) - mean * mean
    if square < 0 or growth > mean:
        reason = f"growth of {growth:.3g} a trade is more than a mean of {mean:.3g} allows"
        return undefined(Growth, reason, growth=growth)
    return Growth(growth, math.sqrt(square))


@dataclass(frozen=True, repr=False, eq=False)
class Ruin(Stat):
    """How often resampled trades end in ruin.

    Attributes
    ----------
    probability : float
        Share of resamples, each so long as the sample, that lose `limit` of a peak: (1 + #) / (1 + resamples).
    drawdown : float
        Median of the largest drawdowns, a fraction.
    worst : float
        Their 95% quantile.
    final : float
        Median of final over initial equity.
    mean_block : float
        Mean length of the blocks.
    n, resamples : int
        Returns, and resamples.
    """

    probability: float
    drawdown: float
    worst: float
    final: float
    mean_block: float
    n: int
    resamples: int


def ruin(
    returns: ArrayLike,
    *,
    limit: float = 0.5,
    resamples: int = 2_000,
    mean_block: float | None = None,
    seed: int = 0,
) -> Ruin:
    """Compute the chance of losing a share of equity, by the stationary bootstrap.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns in time order, of equity, above -1 or equal.
    limit : float, default 0.5
        Loss from a peak that counts as ruin, in (0, 1).
    resamples : int, default 2000
        Resamples of n returns.
    mean_block : float, optional
        Mean length of blocks. Default: :func:`block_length` of the returns.
    seed : int, default 0
        In [0, 2**64).

    Returns
    -------
    Ruin
        Undefined for fewer than two returns, values that are not finite, or blocks beyond a fifth of the sample.

    Raises
    ------
    ParameterError
        If an argument is out of bounds.

    Examples
    --------
    >>> from barproof.stats import normals
    >>> ruin(0.01 * normals(1, 100), resamples=200).probability < 0.05
    True
    """
    check_level("limit", limit)
    x, reason = series(returns, varies=False)
    if not reason and float(x.min()) < -1:
        reason = f"a return of {x.min():.3g} loses more than there is"
    if reason:
        return undefined(Ruin, reason, n=len(x))
    block = block_length(x) if mean_block is None else float(mean_block)
    if block > len(x) / 5:
        reason = f"mean block {block:.1f} of {len(x)} returns: more than a fifth says nothing"
        return undefined(Ruin, reason, n=len(x), mean_block=block)
    index = stationary_indices(len(x), mean_block=block, rows=resamples, seed=seed)
    drawdowns, finals = np.empty(resamples), np.empty(resamples)
    for row, at in enumerate(index):
        equity = np.cumprod(np.concatenate([[1.0], 1.0 + x[at]]))
        drawdowns[row] = np.max(1.0 - equity / np.maximum.accumulate(equity))
        finals[row] = equity[-1]
    ruined = int(np.sum(drawdowns >= limit))
    return Ruin(
        (1 + ruined) / (1 + resamples),
        float(np.median(drawdowns)),
        float(np.quantile(drawdowns, 0.95)),
        float(np.median(finals)),
        block,
        len(x),
        resamples,
    )


def _payoff(share: float, win: float, loss: float) -> None:
    if not (0 <= share <= 1 and 0 <= win < math.inf and 0 <= loss < math.inf):
        raise ParameterError(
            f"a payoff needs `share` in [0, 1] and sizes >= 0, were {share!r}, {win!r} and {loss!r}"
        )
