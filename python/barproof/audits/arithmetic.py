"""FILL-05 and FILL-06: whether the trades of a tool add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.common import audited, capped, made, plural, speaking
from barproof.audits.fillbars import NEEDS_PRICES, NO_TIME, alone, clock, column, frame_of
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = ["return_arithmetic", "trade_order"]

Floats = NDArray[np.float64]


@audited
def return_arithmetic(trades: Any, *, tolerance: float = 0.02) -> Finding:
    """FILL-05: the stated returns are those of the prices, after the stated fees.

    Parameters
    ----------
    trades : frame
        `return`, `entry_price`, `exit_price`, `side`; `fees` and `quantity`, `leverage`, `pnl` where they are known.
    tolerance : float, default 0.02
        Of the size of the move and the fees together, >= 0: tools divide by the notional before or after the fee.

    Returns
    -------
    Finding
        Fails where returns differ from the prices, or leave the stated fees out; warns where nothing was charged.
        Inconclusive without prices.

    Raises
    ------
    ParameterError
        If `tolerance` is negative or no number.
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> trade = {"entry_price": [100.0], "exit_price": [101.0], "side": ["long"], "return": [0.02]}
    >>> return_arithmetic(trade).outcome
    'fail'
    """
    if not tolerance >= 0:
        raise ParameterError(f"`tolerance` of returns must be >= 0, was {tolerance!r}")
    gate = Gate(
        "=",
        0,
        "default",
        f"a return that its prices do not give, within {tolerance:.0%}, was made by something else",
    )
    frame = frame_of(trades)
    needed = [c for c in ("return", "entry_price", "exit_price", "side") if c not in frame.columns]
    if needed or not frame.height:
        told = f"lack {', '.join(needed)}" if needed else "are none"
        return made("FILL-05", "inconclusive", f"the trades {told}", gate=gate, remedy=NEEDS_PRICES)
    entry, leave, stated = (column(frame, c) for c in ("entry_price", "exit_price", "return"))
    sign = np.array(
        [{"long": 1.0, "short": -1.0}.get(str(s), np.nan) for s in frame["side"].to_list()]
    )
    times = np.nan_to_num(column(frame, "leverage"), nan=1.0)
    quantity, fees = column(frame, "quantity"), np.abs(column(frame, "fees"))
    with np.errstate(divide="ignore", invalid="ignore"):
        gross = sign * (leave / entry - 1.0)
        paid = np.nan_to_num(fees / (quantity * entry), nan=0.0, posinf=0.0)
    known = np.isfinite(gross) & np.isfinite(stated)
    n = int(known.sum())
    if not n:
        return made(
            "FILL-05",
            "inconclusive",
            "no trade has both prices, a side and a return",
            gate=gate,
            remedy=NEEDS_PRICES,
        )
    net = times * (gross - paid)
    slack = tolerance * times * (np.abs(gross) + paid) + 1e-6
    off = known & (np.abs(stated - net) > slack)
    if off.any() and _on_account(frame, entry, leave, sign, quantity, fees, stated, tolerance):
        off[:] = False
    before = known & (np.abs(stated - times * gross) <= 1e-9 + 1e-9 * np.abs(gross))
    charged = bool((paid[known] > 0).any())
    unpaid = off & before
    bad = int(off.sum())
    outcome: Outcome = (
        "fail" if bad else "warn" if not charged and bool(before[known].all()) else "pass"
    )
    if bad and unpaid.sum() == bad:
        title = f"{bad:,} of {plural(n, 'return')} leave out the fees that are stated beside them"
    elif bad and _is_percent(stated[known], net[known], slack[known]):
        title = f"all {plural(n, 'return')} are 100 times what their prices give: percents, not fractions"
    elif bad:
        title = f"{bad:,} of {plural(n, 'return')} differ from what their prices give"
    elif outcome == "warn":
        title = f"{plural(n, 'return')} agree with their prices, and no cost was charged on any"
    else:
        title = f"all {plural(n, 'return')} agree with their prices{' and fees' if charged else ''}"
    index = np.flatnonzero(off)
    return made(
        "FILL-05",
        alone(outcome, n),
        title,
        **speaking(
            outcome,
            (Measured("returns that differ", bad, "count", n=n), gate),
            (
                Measured("trades that paid a cost", int((paid[known] > 0).sum()), "count", n=n),
                Gate(">", 0, "default", "a market without costs is none"),
            ),
        ),
        evidence={
            **capped(
                (
                    {
                        "trade": int(i),
                        "stated": stated[i],
                        "computed": net[i],
                        "before_fees": gross[i],
                    }
                    for i in index
                ),
                bad,
            ),
            "mean_stated": float(np.mean(stated[known])),
            "mean_computed": float(np.mean(net[known])),
        },
        cause=(
            "returns before costs",
            "percents for fractions",
            "returns on the account, or on margin",
            "edited rows",
        ),
        remedy="give net returns as fractions of the notional, with `fees`, `quantity` and `leverage` beside them",
    )


def _on_account(
    frame: pl.DataFrame,
    entry: Floats,
    leave: Floats,
    sign: Floats,
    quantity: Floats,
    fees: Floats,
    stated: Floats,
    tolerance: float,
) -> bool:
    """Whether returns are on something else than the notional, and the profits are right."""
    if not {"pnl", "quantity"} <= set(frame.columns):
        return False
    pnl = column(frame, "pnl")
    funding = np.nan_to_num(column(frame, "funding"), nan=0.0)
    gross = sign * (leave - entry) * quantity
    fee = np.nan_to_num(fees, nan=0.0)
    good = np.isfinite(pnl) & np.isfinite(gross) & np.isfinite(stated)
    size = np.abs(gross) + fee + np.abs(funding)
    right = np.minimum(np.abs(pnl - (gross - fee - funding)), np.abs(pnl - (gross - fee + funding)))
    agree = right <= tolerance * size + 1e-6 * entry * quantity
    small = np.abs(stated) < 1e-9
    with np.errstate(divide="ignore", invalid="ignore"):
        base = pnl / stated
    # What a return is of must be an amount of money that the position can be part of.
    return bool(np.all(agree[good]) and np.all(base[good & ~small] > 0))


def _is_percent(stated: Floats, net: Floats, slack: Floats) -> bool:
    return bool(np.all(np.abs(stated / 100.0 - net) <= slack))


@audited
def trade_order(trades: Any) -> Finding:
    """FILL-06: trades end after they begin, are counted once, and have sizes and prices above 0.

    Parameters
    ----------
    trades : frame
        `entry_time`, `exit_time`; further columns where they are known.

    Returns
    -------
    Finding
        Fails for exits before entries, equal rows, and prices or quantities that are not above 0 and finite. Counts
        trades that overlap. Inconclusive for fewer than 2 trades.

    Raises
    ------
    LayoutError
        If `trades` is no table.

    Examples
    --------
    >>> trade_order({"entry_time": [2_000], "exit_time": [1_000], "return": [0.1]}).outcome
    'fail'
    """
    gate = Gate(
        "=", 0, "default", "a trade that ends before it begins, or stands twice, never happened"
    )
    frame = frame_of(trades)
    timed = {"entry_time", "exit_time"} <= set(frame.columns)
    if not timed or not frame.height:
        told = "are none" if timed else "tell no times of entry and exit"
        return made("FILL-06", "inconclusive", f"the trades {told}", gate=gate, remedy=NEEDS_PRICES)
    begin, end = clock(frame, "entry_time"), clock(frame, "exit_time")
    known = (begin > NO_TIME) & (end > NO_TIME)
    back = known & (end < begin)
    first = np.zeros(frame.height, dtype=bool)
    first[frame.with_row_index("_row").unique(frame.columns, keep="first")["_row"].to_numpy()] = (
        True
    )
    twice = ~first
    zero = np.zeros(frame.height, dtype=bool)
    for name in ("entry_price", "exit_price", "quantity"):
        zero |= (column(frame, name) <= 0) | np.isinf(column(frame, name))
    bad = back | twice | zero
    order = np.argsort(begin[known], kind="stable")
    overlap = int((begin[known][order][1:] < np.maximum.accumulate(end[known][order])[:-1]).sum())
    counts = {
        "exit before entry": int(back.sum()),
        "row that stands twice": int(twice.sum()),
        "price or quantity that is not above 0 and finite": int(zero.sum()),
    }
    told = "; ".join(f"{v:,} {k}" for k, v in counts.items() if v)
    n = frame.height
    return made(
        "FILL-06",
        "fail" if bad.any() else "inconclusive" if known.sum() < 2 else "pass",
        f"{told} in {plural(n, 'trade')}"
        if told
        else f"{plural(n, 'trade')} in order; {overlap:,} begin while another is open",
        measured=Measured("impossible trades", int(bad.sum()), "count", n=n),
        gate=gate,
        evidence={
            **capped(
                (
                    {
                        "trade": int(i),
                        **dict(zip(frame.columns, frame.row(int(i)), strict=True)),
                    }
                    for i in np.flatnonzero(bad)
                ),
                int(bad.sum()),
            ),
            "counts": counts,
            "overlapping": overlap,
        },
        cause=("two exports joined", "another time zone for exits than for entries", "edited rows"),
        remedy="export the trades again, each once, with times in one zone",
    )
