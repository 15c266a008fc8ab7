"""Audits of payoff, size and ruin: ECO-03 to ECO-08."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import FEW, audited, made, numbers, plural, speaking, unable
from barproof.audits.economics import _payoff, _unusable, trade_returns
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = [
    "cost_sensitivity",
    "drawdown_and_ruin",
    "kelly_bound",
    "overtrading",
    "payoff_asymmetry",
    "stop_distance",
]

ASYMMETRY = 2.0
MARGIN = 1.25
COSTS = 1.5
MORE = 0.20
DRAWDOWN, RUIN = 0.50, 0.05
RESAMPLES = 2_000

Floats = NDArray[np.float64]


@audited
def payoff_asymmetry(trades: Any, *, seed: int = 0) -> Finding:
    """ECO-03: the mean loss is not a multiple of the mean win.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        Net return of each trade, a fraction.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, without a win or a loss, or where a return is no number.
    """
    held = trade_returns(trades)
    gate = Gate(
        "<",
        ASYMMETRY,
        "case S004",
        "no fault in itself: sellers of options live there; one with ECO-01",
    )
    remedy = "look at stop distance (ECO-04) and exit reasons (ECO-10)"
    if held.missing:
        return _unusable("ECO-03", held, gate)
    r = held.finite
    pay = _payoff(r)
    if len(r) < FEW or not pay.wins or not pay.losses:
        return unable(
            "ECO-03",
            f"{plural(len(r), 'trade')}, {pay.wins} won and {pay.losses} lost",
            remedy,
            gate=gate,
        )
    ratio = pay.loss / pay.win
    block = max(1.0, stats.block_length(r)) if len(r) > 1 else 1.0
    drawn = r[
        stats.stationary_indices(
            len(r), mean_block=block if math.isfinite(block) else 1.0, rows=RESAMPLES, seed=seed
        )
    ]
    with np.errstate(invalid="ignore", divide="ignore"):
        up, down = np.where(drawn > 0, drawn, np.nan), np.where(drawn < 0, -drawn, np.nan)
        counts = (drawn > 0).any(axis=1) & (drawn < 0).any(axis=1)
        ratios = np.nanmean(down[counts], axis=1) / np.nanmean(up[counts], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975]) if len(ratios) else (math.nan, math.nan)
    needs = stats.break_even(pay.win, pay.loss)
    return made(
        "ECO-03",
        "warn" if ratio >= ASYMMETRY else "pass",
        f"the mean loss {pay.loss:.3%} is {ratio:.2f} times the "
        f"mean win {pay.win:.3%} [{low:.2f}, {high:.2f}]: needs "
        f"{needs:.1%} wins, has {pay.wins / (pay.wins + pay.losses):.1%}",
        measured=Measured(
            "mean loss over mean win",
            ratio,
            "ratio",
            low=low,
            high=high,
            level=0.95,
            method="stationary bootstrap",
            n=len(r),
        ),
        gate=gate,
        evidence={**pay._asdict(), "break_even": needs},
        remedy=remedy,
        provenance={"seed": seed},
    )


@audited
def stop_distance(
    risk: float,
    *,
    leverage: float,
    share: float = 1.0,
    mean_win: float | None = None,
    worst_loss: float | None = None,
    bar_range: float | None = None,
    maintenance: float = 0.005,
) -> Finding:
    """ECO-04: the stop lies where the price can reach it, before liquidation, and is honoured.

    Parameters
    ----------
    risk : float
        Loss at the stop, a fraction of balance.
    leverage : float
        Position over margin.
    share : float, default 1.0
        Balance that is margin.
    mean_win : float, optional
        Mean win as a move of price, a fraction.
    worst_loss : float, optional
        Largest realised loss of a trade, a positive fraction of balance.
    bar_range : float, optional
        Median range of a bar as a fraction of price, for the evidence.
    maintenance : float, default 0.005
        Maintenance margin, a fraction of position.

    Returns
    -------
    Finding
        Inconclusive where a number is missing, or there is neither mean win nor worst loss to compare with.
    """
    why = "3% of balance at 4x and a fifth of the balance is 3.75% of price"
    gate = Gate("<=", None, "case S004", why)
    remedy = "set the stop in units of the bar range (ATR), and the size from it"
    if not all(math.isfinite(v) and v > 0 for v in (risk, leverage, share)):
        return unable(
            "ECO-04",
            (f"risk {risk}, leverage {leverage}, share {share}: all must be above 0"),
            remedy,
            gate=gate,
        )
    distance = stats.stop_distance(risk, leverage=leverage, share=share)
    liquidation = 1 / leverage - maintenance
    evidence = {
        "distance": distance,
        "liquidation": liquidation,
        "mean_win": mean_win,
        "worst_loss": worst_loss,
        "bar_ranges": distance / bar_range if bar_range else None,
    }
    small = f"{risk:.1%}" if risk >= 0.01 else f"{risk:.3%}"
    title = f"a stop of {small} of balance at {leverage:g}x with {share:.0%} of it lies {distance:.2%} away"
    usable_win = mean_win is not None and math.isfinite(mean_win) and mean_win > 0
    usable_loss = worst_loss is not None and math.isfinite(worst_loss) and worst_loss >= 0
    outcome: Outcome = "pass" if usable_win or usable_loss else "inconclusive"
    if usable_win and mean_win is not None and distance > 2 * mean_win:
        outcome, title = "warn", f"{title}: {distance / mean_win:.1f} mean wins"
    if distance > liquidation:
        outcome, title = "fail", f"{title}, beyond liquidation at {liquidation:.2%}"
    elif usable_loss and worst_loss is not None and worst_loss > MARGIN * risk:
        outcome, title = (
            "fail",
            f"the stop is not honoured: {risk:.1%} was the risk, {worst_loss:.1%} the worst loss",
        )
    return made(
        "ECO-04",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("worst loss", worst_loss if usable_loss else None, "fraction of balance"),
                Gate("<=", MARGIN * risk, "case S004", "a stop that is not honoured is no stop"),
            )
            if outcome == "fail" and distance <= liquidation
            else (
                Measured("stop distance", distance, "fraction of price"),
                Gate("<=", liquidation, "default", "beyond it the exchange closes the position"),
            )
            if outcome == "fail" or not usable_win
            else (
                Measured("stop distance", distance, "fraction of price"),
                Gate("<=", 2 * (mean_win or 0.0), "case S004", why),
            ),
        ),
        evidence=evidence,
        cause=("risk given in balance and read as price", ("gaps, or a stop on another price")),
        remedy=remedy,
    )


@audited
def kelly_bound(trades: Any, *, size: float = 1.0) -> Finding:
    """ECO-05: positions are no larger than half of what growth allows.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        Net return of each trade on the account, a fraction.
    size : float, default 1.0
        Multiple of the positions behind these returns.

    Returns
    -------
    Finding
        Form `kelly_leverage`, at Wilson's lower bound of the win rate. Inconclusive for fewer than 30 trades, without a
        win or a loss, or where the bound allows no size though the estimate does.

    Raises
    ------
    ParameterError
        If `size` is not above 0.
    """
    if not (math.isfinite(size) and size > 0):
        raise ParameterError(f"`size` must be finite and > 0, was {size!r}")
    held = trade_returns(trades)
    gate = Gate(
        ">=",
        2 * size,
        "case S004",
        ("beyond the bound growth falls, and the bound is estimated: half of it is the most"),
    )
    remedy = "trade nothing where the bound is 0 or below; else at most half of it"
    if held.missing:
        return _unusable("ECO-05", held, gate)
    r = held.finite
    pay = _payoff(r)
    decided = pay.wins + pay.losses
    if len(r) < FEW or not pay.wins or not pay.losses:
        return unable(
            "ECO-05",
            f"{plural(len(r), 'trade')}, {pay.wins} won and {pay.losses} lost",
            remedy,
            gate=gate,
        )
    share = pay.wins / decided
    low = stats.wilson(pay.wins, decided).low
    point, bound = (stats.kelly_leverage(p, pay.win, pay.loss) for p in (share, low))
    outcome: Outcome
    if point <= 0:
        outcome, told = "fail", "no size is justified"
    elif bound <= 0:
        outcome, told = "inconclusive", "at the lower bound of the win rate none is"
    else:
        used = size / bound
        outcome = "fail" if bound < size else "warn" if bound < 2 * size else "pass"
        told = f"{used:.2f} of the bound is used"
    return made(
        "ECO-05",
        outcome,
        f"growth allows {point:.3g} times these positions, {bound:.3g} times at the lower bound: {told}",
        measured=Measured(
            "Kelly multiple of the positions",
            bound,
            form=("kelly_leverage, lower bound of the win rate"),
            n=len(r),
        ),
        gate=gate,
        evidence={
            "estimate": point,
            "fixed_odds": stats.kelly_fixed_odds(low, pay.win, pay.loss),
            "size": size,
            **pay._asdict(),
        },
        remedy=remedy,
        assumptions={"independent trades": "unchecked", "wins and losses of one size": "violated"},
    )


@audited
def cost_sensitivity(gross: Any, *, cost: float) -> Finding:
    """ECO-06: the edge outlives half as much cost again.

    Parameters
    ----------
    gross : array_like of shape (n,)
        Return of each trade before costs, a fraction.
    cost : float
        Assumed cost of a trade, both ways, in the same unit.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, or a cost that is not above 0.
    """
    r = numbers("gross", gross)
    gate = Gate(">=", COSTS, "default", "fees change and slippage is a guess")
    remedy = "trade less often, or with limit orders; measure slippage live (DEC-05)"
    if len(r) < FEW or not np.isfinite(r).all() or np.ptp(r) == 0 or not 0 < cost < math.inf:
        return unable(
            "ECO-06",
            f"{plural(len(r), 'trade')} at a cost of {cost}, or all the same: no curve",
            remedy,
            gate=gate,
        )
    even = float(r.mean())
    curve = [{"cost": k * cost, "mean_net": even - k * cost} for k in (0, 0.5, 1, 1.5, 2, 3)]
    ratio = even / cost
    return made(
        "ECO-06",
        "pass" if ratio >= COSTS else "fail",
        f"the edge is gone at a cost of {even:.4%} a trade, {ratio:.2f} times the {cost:.4%} assumed",
        measured=Measured("break-even cost over assumed", ratio, "ratio", n=len(r)),
        gate=gate,
        evidence={"rows": curve, "break_even_cost": even},
        remedy=remedy,
    )


@audited
def overtrading(
    trades: float,
    result: float,
    *,
    baseline_trades: float,
    baseline_result: float,
    cost: float | None = None,
    gross: float | None = None,
) -> Finding:
    """ECO-07: trades that were added earn their keep.

    Parameters
    ----------
    trades, result : float
        Number of trades and summed return, of the whole or of a window.
    baseline_trades, baseline_result : float
        The same before the change.
    cost : float, optional
        Cost of a trade, a fraction of notional, to say what is left of wealth before any loss.
    gross : float, optional
        Summed return before costs, for the share that costs take.

    Returns
    -------
    Finding
        Inconclusive where a number is missing, or a side has no trades.
    """
    gate = Gate(">", 0, "case S004", "39% more trades took 40% of the return")
    remedy = "raise the threshold until added trades earn more than they cost"
    given = (trades, result, baseline_trades, baseline_result)
    if not all(math.isfinite(v) for v in given) or trades <= 0 or baseline_trades <= 0:
        return unable(
            "ECO-07",
            f"{trades} trades against {baseline_trades}: nothing to compare",
            remedy,
            gate=gate,
        )
    added, more = trades - baseline_trades, trades / baseline_trades - 1
    marginal = (result - baseline_result) / added if added else math.nan
    drag = math.exp(-trades * cost) if cost is not None else None
    evidence = {
        "added": added,
        "more": more,
        "marginal": marginal,
        "wealth_left_after_costs": drag,
        "cost_share_of_gross": trades * cost / gross if cost is not None and gross else None,
    }
    bad = more > MORE and marginal <= 0
    title = f"{more:+.0%} trades, result {result:g} instead of {baseline_result:g}"
    if added:
        title += (
            f": {marginal:+.3g} for each trade added"
            if added > 0
            else (f": {-marginal:+.3g} for each trade left out")
        )
    if drag is not None:
        title += f"; costs alone leave {drag:.1%} of wealth"
    return made(
        "ECO-07",
        "fail" if bad else "pass",
        title,
        **speaking(
            "fail" if bad else "pass",
            (Measured("result of an added trade", marginal, n=trades), gate),
            (
                Measured("trades added", more, "fraction", n=trades),
                Gate("<=", MORE, "case S004", "so few more are the noise of two runs"),
            ),
        ),
        evidence=evidence,
        remedy=remedy,
    )


def _depth(returns: Floats) -> tuple[float, int, float]:
    """Largest drawdown, periods under water at the longest, and final equity, of an account that began at 1."""
    equity = np.cumprod(np.maximum(1 + returns, 0.0))
    path = np.r_[1.0, equity]
    top = np.maximum.accumulate(path)
    under = path < top
    longest = current = 0
    for wet in under:
        current = current + 1 if wet else 0
        longest = max(longest, current)
    return float((1 - path / top).max()), longest, float(path[-1])


@audited
def drawdown_and_ruin(returns: Any, *, limit: float = DRAWDOWN, seed: int = 0) -> Finding:
    """ECO-08: the account survives.

    Parameters
    ----------
    returns : array_like of shape (n,)
        Returns of the account by period or trade, in time order, fractions.
    limit : float, default 0.5
        Loss from a peak that is ruin.
    seed : int, default 0
        Of the bootstrap.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 returns without a ruin in them, or where one is no number.
    """
    r = numbers("returns", returns)
    gate = Gate("<=", RUIN, "case S004", "-99.99% is a failure whatever the average trade")
    remedy = "trade smaller (ECO-05), and ask whether there is an edge at all (ECO-02)"
    if not len(r) or not np.isfinite(r).all():
        return unable(
            "ECO-08", f"{plural(len(r), 'return')}, or one that is no number", remedy, gate=gate
        )
    depth, under, final = _depth(r)
    held = stats.ruin(r, limit=limit, seed=seed)
    chance = held.probability
    outcome: Outcome
    if depth > limit:
        outcome = "fail"
    elif len(r) < FEW or math.isnan(chance) or np.ptp(r) == 0:
        outcome = "inconclusive"
    else:
        outcome = "fail" if chance > RUIN else "pass"
    return made(
        "ECO-08",
        outcome,
        (
            f"the largest drawdown is {depth:.1%}, the account ends at "
            f"{final:.4g}; resampled, {chance:.1%} lose {limit:.0%} of a peak"
        ),
        **speaking(
            outcome,
            (
                Measured(
                    "chance of ruin",
                    chance,
                    "fraction",
                    form=(f"{limit:.0%} from a peak within {len(r):,} periods"),
                    n=len(r),
                ),
                gate,
            ),
            (
                Measured("largest drawdown", depth, "fraction", n=len(r)),
                Gate("<=", limit, "case S004", "half of a peak is twice to climb back"),
            ),
        ),
        evidence={
            "drawdown": depth,
            "periods_under_water": under,
            "final": final,
            "median_drawdown": held.drawdown,
            "worst_twentieth": held.worst,
        },
        remedy=remedy,
        provenance={"seed": seed},
    )
