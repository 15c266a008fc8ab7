"""Audits of the trades: ECO-01, ECO-02 and ECO-09, and SIG-02."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import FEW, audited, capped, made, numbers, plural, speaking
from barproof.audits.data import milliseconds
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = ["break_even_win_rate", "expectancy", "few_trades", "share_interval", "trade_returns"]

Floats = NDArray[np.float64]


class TradeReturns(NamedTuple):
    """Returns of trades in time order.

    Attributes
    ----------
    values : ndarray
        As given, NaN and infinities included.
    finite : ndarray
        Those that are numbers.
    missing : int
        How many are not.
    """

    values: Floats
    finite: Floats
    missing: int


def trade_returns(trades: Any) -> TradeReturns:
    """Take returns from whatever holds trades, ordered by exit, else by entry, else as given."""
    if isinstance(trades, (pl.DataFrame, dict)) or hasattr(trades, "columns"):
        columns = list(trades.columns) if hasattr(trades, "columns") else list(trades)
        if "return" not in columns:
            raise ParameterError(
                f"`trades` has no column `return` (net, a fraction); it has {', '.join(map(str, columns)) or 'none'}"
            )
        values = numbers("return", _series(trades, "return"))
        for name in ("exit_time", "entry_time"):
            if name in columns and len(values):
                time = milliseconds(name, _series(trades, name))
                values = values[np.argsort(time, kind="stable")]
                break
    else:
        values = numbers("trades", getattr(trades, "trades", trades))
    good = np.isfinite(values)
    return TradeReturns(values, values[good], int(np.sum(~good)))


def _series(trades: Any, name: str) -> Any:
    column = trades[name]
    return column if isinstance(column, pl.Series) else np.asarray(column)


class _Payoff(NamedTuple):
    """Wins and losses of trades; those that returned exactly 0 are neither."""

    wins: int
    losses: int
    zeros: int
    win: float
    loss: float


def _payoff(returns: Floats) -> _Payoff:
    up, down = returns[returns > 0], returns[returns < 0]
    return _Payoff(
        len(up),
        len(down),
        len(returns) - len(up) - len(down),
        float(up.mean()) if len(up) else math.nan,
        float(-down.mean()) if len(down) else math.nan,
    )


def _unusable(code: str, held: TradeReturns, gate: Gate) -> Finding:
    return made(
        code,
        "inconclusive",
        f"{held.missing:,} of {len(held.values):,} trade returns are no finite number",
        measured=Measured("returns that are no number", held.missing, "count", n=len(held.values)),
        gate=gate,
        evidence=capped(
            (
                {"trade": int(i), "return": held.values[i]}
                for i in np.flatnonzero(~np.isfinite(held.values))
            ),
            held.missing,
        ),
        remedy="give the net return of every trade as a fraction",
    )


@audited
def break_even_win_rate(trades: Any, *, cost: float = 0.0) -> Finding:
    """ECO-01: the win rate against the one that the payoff demands.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        Return of each trade as a fraction, net of costs unless `cost` is given.
    cost : float, default 0.0
        Round-trip cost as a fraction, where the returns are before costs.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, without a win or a loss, or where a return is no number.

    Raises
    ------
    ParameterError
        If the column is missing, or the cost is negative.

    Examples
    --------
    >>> break_even_win_rate([0.01] * 40 + [-0.02] * 60).outcome
    'fail'
    """
    held = trade_returns(trades)
    gate = Gate("interval >", None, "case S004", "below it this payoff cannot profit")
    if not (math.isfinite(cost) and cost >= 0):
        raise ParameterError(f"`cost` must be finite and >= 0, was {cost!r}")
    if held.missing:
        return _unusable("ECO-01", held, gate)
    pay = _payoff(held.finite)
    decided = pay.wins + pay.losses
    remedy = "look at stop distance and exit reasons, then at whether entries beat random ones"
    evidence: dict[str, Any] = {**pay._asdict(), "cost": cost}
    assumptions = {"independent trades": "unchecked", "mean win and loss known": "violated"}
    if not pay.wins or not pay.losses:
        hopeless = decided >= FEW and not pay.wins
        what = (
            "no trade at all"
            if not decided
            else "no losing trade"
            if pay.wins
            else "no winning trade"
        )
        return made(
            "ECO-01",
            "fail" if hopeless else "inconclusive",
            f"{what} among {plural(len(held.values), 'trade')}: the payoff is unknown",
            measured=Measured(
                "win rate", pay.wins / decided if decided else math.nan, "fraction", n=decided
            ),
            gate=Gate(">", 0, "case S004", "who never wins needs no break-even"),
            evidence=evidence,
            remedy=remedy,
            assumptions=assumptions,
        )
    needed = stats.break_even(pay.win, pay.loss, cost=cost)
    rate = stats.wilson(pay.wins, decided)
    z = stats.proportion_test(pay.wins, decided, needed).z if 0 < needed < 1 else math.nan
    outcome: Outcome = "pass"
    if rate.high < needed:
        outcome = "fail"
    elif rate.low <= needed:
        outcome = "inconclusive"
    if decided < FEW:
        outcome = "inconclusive"
    relation = {"fail": "is below", "inconclusive": "cannot be told from", "pass": "is above"}[
        outcome
    ]
    ratio = (1 - rate.estimate) / rate.estimate
    evidence |= {"break_even": needed, "z": z, "payoff": pay.win / pay.loss, "payoff_needed": ratio}
    return made(
        "ECO-01",
        outcome,
        f"win rate {_share(rate)} (n={decided:,}) {relation} break-even {needed:.1%}",
        measured=Measured(
            "win rate",
            rate.estimate,
            "fraction",
            form="wins over wins and losses",
            low=rate.low,
            high=rate.high,
            level=rate.level,
            method=rate.method,
            n=decided,
        ),
        gate=Gate(
            "interval >",
            needed,
            "case S004",
            f"mean win {pay.win:+.3%}, mean loss {-pay.loss:+.3%}; "
            f"needs a payoff of {ratio:.2f} at this win rate, has {pay.win / pay.loss:.2f}",
        ),
        evidence=evidence,
        cause=("ECO-02 expectancy", "stops wider than targets", "costs above the move"),
        remedy=remedy,
        assumptions=assumptions,
    )


def _share(interval: stats.Interval) -> str:
    return f"{interval.estimate:.1%} [{interval.low * 100:.1f}, {interval.high * 100:.1f}]"


@audited
def expectancy(
    trades: Any, *, level: float = 0.95, resamples: int = 2_000, seed: int = 0
) -> Finding:
    """ECO-02: the mean trade, with its interval.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        Net return of each trade as a fraction; ordered by `exit_time` or `entry_time` where there is one, else taken as
        in time order.
    level : float, default 0.95
        Two-sided coverage of the interval, in (0, 1).
    resamples : int, default 2000
        Bootstrap rows, at least 99.
    seed : int, default 0
        In [0, 2**64).

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 trades, constant returns, memory longer than a fifth of the trades, or where a
        return is no number.

    Raises
    ------
    ParameterError
        If the column is missing or an argument is out of bounds.

    Examples
    --------
    >>> expectancy([0.01, -0.02] * 50).outcome
    'fail'
    """
    held = trade_returns(trades)
    n = len(held.values)
    gate = Gate(
        "interval >", 0.0, "default", f"the {level:.0%} interval of the mean trade must lie above 0"
    )
    remedy = "do not trade it: improve entries or exits, or lower costs, and judge on bars that chose nothing"
    if held.missing:
        return _unusable("ECO-02", held, gate)
    block = stats.block_length(held.finite)
    interval = stats.mean_interval(
        held.finite, level=level, resamples=resamples, seed=seed, mean_block=block
    )
    measured = Measured(
        "mean trade return",
        interval.estimate,
        "fraction",
        form="net of costs",
        low=interval.low,
        high=interval.high,
        level=level,
        method=interval.method,
        n=n,
    )
    evidence: dict[str, Any] = {**_payoff(held.finite)._asdict(), "mean_block": block}
    reason = ""
    if n < FEW:
        reason = f"fewer than {FEW} trades say nothing"
    elif not interval.high > interval.low:
        reason = "all trades returned the same"
    elif block > n / 5:
        reason = f"blocks of {block:.0f} trades are too long for {n:,}"
    outcome: Outcome = "pass"
    if reason:
        outcome = "inconclusive"
    elif interval.high < 0:
        outcome = "fail"
    elif interval.low <= 0:
        outcome = "inconclusive"
        reason = "nothing proved"
    shown = (
        f"{interval.estimate:+.4%} [{interval.low * 100:+.4f}, {interval.high * 100:+.4f}]"
        if n > 1
        else "unknown"
    )
    tail = f": {reason}" if reason else ": it loses money" if outcome == "fail" else ""
    return made(
        "ECO-02",
        outcome,
        f"mean trade {shown} (n={n:,}){tail}",
        measured=measured,
        gate=gate,
        evidence=evidence,
        cause=("no edge after costs", "too few trades", "ECO-01 break-even win rate"),
        remedy=remedy,
        assumptions={"stationary returns": "unchecked", "independent trades": "not assumed"},
        provenance={"seed": seed},
    )


@audited
def few_trades(trades: Any, *, minimum: int = FEW) -> Finding:
    """ECO-09: there are trades to judge.

    Parameters
    ----------
    trades : frame with a column `return`, or array_like of shape (n,)
        The trades.
    minimum : int, default 30
        Below it nothing is said.

    Returns
    -------
    Finding
        Fails without trades, inconclusive for few.

    Raises
    ------
    ParameterError
        If the column is missing, or `minimum` is below 1.

    Examples
    --------
    >>> few_trades([]).outcome, few_trades([0.01] * 4).outcome, few_trades([0.01] * 30).outcome
    ('fail', 'inconclusive', 'pass')
    """
    if minimum < 1:
        raise ParameterError(f"`minimum` of trades must be at least 1, was {minimum}")
    held = trade_returns(trades)
    n = len(held.finite)
    outcome: Outcome = "fail" if not len(held.values) else "inconclusive" if n < minimum else "pass"
    tail = ": too few to judge" if outcome == "inconclusive" else ""
    return made(
        "ECO-09",
        outcome,
        f"{plural(n, 'trade')}{tail}" if n else "no trades: nothing was lost and nothing shown",
        measured=Measured("trades", n, "count"),
        gate=Gate(
            ">=",
            minimum,
            "case S004" if minimum == FEW else "argument",
            "a floor for speaking, not evidence",
        ),
        evidence={"returns_missing": held.missing},
        cause=("PRED-05 threshold reachability", "sizes below the minimum", "a short window"),
        remedy="lower the thresholds, or run over more bars",
    )


@audited
def share_interval(
    k: float,
    n: float,
    *,
    null: float | None = None,
    n_eff: float | None = None,
    what: str = "share",
    level: float = 0.95,
) -> Finding:
    """SIG-02: a share with its interval, against the value that it must beat.

    Parameters
    ----------
    k, n : float
        Successes and trials, 0 <= k <= n.
    null : float, optional
        The value to beat: break-even for a win rate, the majority class for an accuracy. Without it the finding only
        says whether there are enough trials for an interval.
    n_eff : float, optional
        Independent trials that `n` are worth; the interval then uses these. Default: `n`, unchecked.
    what : str, default "share"
        Its name.
    level : float, default 0.95
        Two-sided coverage, in (0, 1).

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 (effective) trials.

    Raises
    ------
    ParameterError
        If a number is out of bounds.

    Examples
    --------
    >>> finding = share_interval(600, 1000, null=0.5, what="win rate")
    >>> finding.outcome, round(finding.measured.low, 3)
    ('pass', 0.569)
    """
    worth = float(n if n_eff is None else n_eff)
    if not 0 <= worth <= n:
        raise ParameterError(f"`n_eff` must lie between 0 and n = {n}, was {n_eff!r}")
    interval = stats.wilson(k / n * worth if n else 0.0, worth, level=level)
    exact = stats.clopper_pearson(int(k), int(n), level=level)
    gate = Gate(
        "interval >",
        null,
        "argument" if null is not None else "default",
        "the whole interval must lie above what no skill reaches",
    )
    outcome: Outcome = "pass"
    tail = ""
    if worth < FEW:
        outcome, tail = "inconclusive", f": fewer than {FEW} observations say nothing"
    elif null is not None and not math.isfinite(null):
        outcome, tail = "inconclusive", ": there is no number to compare it with"
    elif null is not None and interval.high < null:
        outcome, tail = "fail", f" is below {null:.1%}"
    elif null is not None and interval.low <= null:
        outcome, tail = "inconclusive", f" cannot be told from {null:.1%}"
    elif null is not None:
        tail = f" is above {null:.1%}"
    shown = _share(interval) if n else "unknown"
    size = f"n={int(n):,}" if n_eff is None else f"n={int(n):,}, worth {worth:,.0f}"
    return made(
        "SIG-02",
        outcome,
        f"{what} {shown} ({size}){tail}",
        **speaking(
            outcome,
            (
                Measured(
                    what,
                    interval.estimate,
                    "fraction",
                    low=interval.low,
                    high=interval.high,
                    level=level,
                    method="wilson",
                    n=n,
                    n_eff=n_eff,
                ),
                gate,
            ),
            (
                Measured(
                    "observations",
                    worth,
                    "count",
                    form=f"behind a {what} of {interval.estimate:.4g}" if n else "",
                    low=interval.low,
                    high=interval.high,
                    level=level,
                    n=n,
                    n_eff=n_eff,
                ),
                Gate(">=", FEW, "case S004", "there is nothing that the share must beat"),
            ),
        ),
        evidence={
            "k": k,
            "n": n,
            "exact_low": exact.low,
            "exact_high": exact.high,
            "null": null,
        },
        cause=("too few observations", "no skill"),
        remedy="quote no skill from this share; collect more independent observations",
        assumptions={"independent observations": "unchecked" if n_eff is None else "checked"},
    )
