"""Fields of the rules and names of the metrics. Written by tools/generate.py from the core's tables; edit those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

METRICS: tuple[str, ...] = (
    "total_return",
    "cagr",
    "volatility",
    "sharpe_daily",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "trades",
    "wins",
    "win_rate",
    "mean_win",
    "mean_loss",
    "payoff",
    "profit_factor",
    "expectancy",
    "break_even_win_rate",
    "exposure",
    "mean_bars_held",
    "trades_per_day",
    "longest_losing_run",
    "n_signal",
    "n_stop",
    "n_take",
    "n_trail",
    "n_breakeven",
    "n_time",
    "n_liquidation",
    "n_reverse",
    "n_end",
    "ambiguous_share",
    "ambiguous_trail_share",
    "fees",
    "funding",
    "final_equity",
    "buy_hold_return",
)
"""Names of the metrics, in the order of frames."""


@dataclass(frozen=True, kw_only=True)
class RulesFields:
    """Fields of :class:`barproof.Rules`, with their defaults.

    Parameters
    ----------
    entry_long : float | None, default None
        Enter long where the signal `long` is at or above this threshold; None never does. Must be finite.
    entry_short : float | None, default None
        Enter short where the signal `short` is at or above this threshold; None never does. Must be finite.
    exit_long : float | None, default None
        Leave a long position where the signal `exit_long` is at or above this threshold. Must be finite.
    exit_short : float | None, default None
        Leave a short position where the signal `exit_short` is at or above this threshold. Must be finite.
    short_gate : float | None, default None
        Short only where `short` exceeds `long` by at least this much; a short that passes wins over a long. Must be
        finite.
    reverse : bool, default False
        Leave and enter the other side at once when the entry decision would choose the other side.
    stop_loss : float | None, default None
        Stop distance in the unit of `stop_loss_kind`. Must be > 0.
    stop_loss_kind : Literal["price", "equity", "atr", "signal"], default 'price'
        Unit of `stop_loss`: fraction of the price, fraction of the equity, multiple of the ATR, multiple of the
        signal `stop`.
    take_profit : float | None, default None
        Target distance in the unit of `take_profit_kind`. Must be > 0.
    take_profit_kind : Literal["price", "equity", "atr", "signal"], default 'price'
        Unit of `take_profit`, as for the stop; `signal` multiplies the signal `target`.
    take_profit_order : Literal["limit", "market"], default 'limit'
        A resting order must be traded through and pays the maker fee; a market order fires at the touch and pays
        slippage.
    atr_period : int, default 14
        Bars of Wilder's average true range for distances of kind `atr`. Must be a whole number >= 1.
    trailing : float | None, default None
        Trailing stop: distance from the best price since entry, as a fraction of that price. Must be > 0.
    break_even : float | None, default None
        Gain, as a fraction of the entry price, from which the stop is moved to break-even. Must be >= 0.
    break_even_offset : float, default 0.0
        Where the break-even stop lies beyond the entry price, as a fraction; at most `break_even`. Must be finite.
    max_hold : int | None, default None
        Leave after this many bars. Must be a whole number >= 1.
    cooldown : int, default 0
        Bars after an exit without a new decision. Must be a whole number >= 0.
    entry : Literal["market", "limit"], default 'market'
        Enter by market order, or by a resting order at `limit_offset`.
    limit_offset : float, default 0.0
        Distance of the limit entry from the signal bar's close, as a fraction, on the favourable side. Must be >= 0.
    limit_bars : int, default 1
        Bars for which a limit entry is valid. Must be a whole number >= 1.
    fill : Literal["next_open", "close"], default 'next_open'
        Fill decisions at the next open; `close` fills at the close that decided, which is optimistic and flagged.
    intrabar : Literal["pessimistic", "optimistic", "nearest_open"], default 'pessimistic'
        Which of stop and target wins when both lie inside one bar.
    leverage : float, default 1.0
        Notional per margin; leverage times the maintenance rate must stay below 1. Must be > 0.
    sizing : Literal["fraction", "notional", "confidence", "risk", "volatility", "signal"], default 'fraction'
        How the share of the equity put up as margin is chosen.
    fraction : float, default 1.0
        Largest share of the equity put up as margin and entry fee. Must be in (0, 1].
    size_min : float, default 0.0
        Share of the equity at the threshold itself, for sizing by confidence. Must be in [0, 1].
    notional : float | None, default None
        Largest notional of a position in quote, for sizing by notional. Must be > 0.
    risk : float | None, default None
        Share of the equity lost at the stop before costs, for sizing by risk. Must be > 0.
    vol_target : float | None, default None
        Volatility a year that a position should have, for sizing by volatility. Must be > 0.
    vol_window : int, default 288
        One-bar returns over which volatility is measured, for sizing by volatility. Must be a whole number >= 2.
    """

    entry_long: float | None = None
    entry_short: float | None = None
    exit_long: float | None = None
    exit_short: float | None = None
    short_gate: float | None = None
    reverse: bool = False
    stop_loss: float | None = None
    stop_loss_kind: Literal["price", "equity", "atr", "signal"] = "price"
    take_profit: float | None = None
    take_profit_kind: Literal["price", "equity", "atr", "signal"] = "price"
    take_profit_order: Literal["limit", "market"] = "limit"
    atr_period: int = 14
    trailing: float | None = None
    break_even: float | None = None
    break_even_offset: float = 0.0
    max_hold: int | None = None
    cooldown: int = 0
    entry: Literal["market", "limit"] = "market"
    limit_offset: float = 0.0
    limit_bars: int = 1
    fill: Literal["next_open", "close"] = "next_open"
    intrabar: Literal["pessimistic", "optimistic", "nearest_open"] = "pessimistic"
    leverage: float = 1.0
    sizing: Literal["fraction", "notional", "confidence", "risk", "volatility", "signal"] = "fraction"
    fraction: float = 1.0
    size_min: float = 0.0
    notional: float | None = None
    risk: float | None = None
    vol_target: float | None = None
    vol_window: int = 288
