"""Numbers that are claimed of trades and equity, computed from the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.errors import ParameterError
from barproof.results.equity import read_equity
from barproof.results.intake import read_trades

__all__ = ["EQUITY_METRICS", "FRACTIONS", "TRADE_METRICS", "daily", "measure"]

Floats = NDArray[np.float64]

_DAY_MS = 86_400_000


def _returns(trades: pl.DataFrame) -> Floats:
    """Take returns in the order of time."""
    for name in ("exit_time", "entry_time"):
        if name in trades.columns:
            trades = trades.sort(name, maintain_order=True)
            break
    return trades["return"].to_numpy()


def _mean(values: Floats) -> float:
    """Mean; NaN of nothing."""
    return float(np.mean(values)) if len(values) else float("nan")


def _days(trades: pl.DataFrame) -> float:
    """Days from the first stamp to the last."""
    names = [n for n in ("entry_time", "exit_time") if n in trades.columns]
    if not names or not trades.height:
        return float("nan")
    stamps = [
        s for n in names for s in (trades[n].dt.epoch("ms").min(), trades[n].dt.epoch("ms").max())
    ]
    known = [float(s) for s in stamps if isinstance(s, (int, float))]
    return (max(known) - min(known)) / _DAY_MS if known else float("nan")


def _drawdown(wealth: Floats) -> float:
    """Deepest fall from a peak, as a fraction of it."""
    if not len(wealth):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.max(1.0 - wealth / np.maximum.accumulate(wealth)))


def _ratio(above: float, below: float) -> float:
    """Ratio; NaN over 0."""
    return above / below if below else float("nan")


TRADE_METRICS: dict[str, Callable[[pl.DataFrame, Floats], float]] = {
    "trades": lambda _, r: float(len(r)),
    "wins": lambda _, r: float((r > 0).sum()),
    "win_rate": lambda _, r: _mean((r > 0).astype(float)),
    "mean_return": lambda _, r: _mean(r),
    "median_return": lambda _, r: float(np.median(r)) if len(r) else float("nan"),
    "sum_return": lambda _, r: float(np.sum(r)),
    "total_return": lambda _, r: float(np.prod(1.0 + r) - 1.0),
    "mean_win": lambda _, r: _mean(r[r > 0]),
    "mean_loss": lambda _, r: _mean(r[r < 0]),
    "best_trade": lambda _, r: float(r.max()) if len(r) else float("nan"),
    "worst_trade": lambda _, r: float(r.min()) if len(r) else float("nan"),
    "payoff": lambda _, r: _ratio(_mean(r[r > 0]), -_mean(r[r < 0])),
    "profit_factor": lambda _, r: _ratio(float(r[r > 0].sum()), -float(r[r < 0].sum())),
    "max_drawdown": lambda _, r: _drawdown(np.cumprod(np.concatenate([np.ones(1), 1.0 + r]))),
    "days": lambda t, _: _days(t),
    "trades_per_day": lambda t, r: _ratio(float(len(r)), _days(t)),
}
"""Of trades: `total_return` and `max_drawdown` put the whole account into each, one after the other."""


def daily(equity: pl.DataFrame) -> Floats:
    """Give returns from the last equity of a day to that of the next.

    Parameters
    ----------
    equity : polars.DataFrame
        From :func:`barproof.read_equity`.

    Returns
    -------
    ndarray of shape (n_days - 1,)
        Fractions; days without a value are left out.
    """
    last = (
        equity.group_by_dynamic("time", every="1d")
        .agg(pl.col("equity").last())["equity"]
        .to_numpy()
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(last[1:] / last[:-1] - 1.0)


def _sharpe(equity: pl.DataFrame) -> float:
    """Annual Sharpe ratio of calendar days."""
    returns = daily(equity)
    sd = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return float(np.mean(returns)) / sd * np.sqrt(365.0) if sd > 0 else float("nan")


EQUITY_METRICS: dict[str, Callable[[pl.DataFrame], float]] = {
    "equity_return": lambda e: _ratio(float(e["equity"][-1]), float(e["equity"][0])) - 1.0,
    "equity_drawdown": lambda e: _drawdown(e["equity"].to_numpy()),
    "equity_sharpe": _sharpe,
    "final_equity": lambda e: float(e["equity"][-1]),
}
"""Of an equity curve; the Sharpe ratio is of calendar days, times the root of 365."""

FRACTIONS = frozenset(
    "win_rate mean_return median_return sum_return total_return mean_win mean_loss best_trade worst_trade max_drawdown "
    "equity_return equity_drawdown".split()
)
"""Metrics that may be told in percent."""


def measure(
    source: Any,
    metric: str,
    *,
    columns: Mapping[str, str] | None = None,
    strategy: str | None = None,
) -> tuple[float, bool]:
    """Compute one number from a table of trades or of equity.

    Parameters
    ----------
    source : path or frame
        As for :func:`barproof.read_trades`, or :func:`barproof.read_equity` where the metric is one of equity.
    metric : str
        A name of ``TRADE_METRICS`` or ``EQUITY_METRICS``.
    columns, strategy
        As there.

    Returns
    -------
    value : float
        NaN where undefined.
    fraction : bool
        Whether it is a fraction, which may be told in percent.

    Raises
    ------
    ParameterError
        If the metric is unknown.

    Examples
    --------
    >>> measure({"return": [0.1, -0.05]}, "profit_factor")
    (2.0, False)
    """
    if metric in EQUITY_METRICS:
        equity = read_equity(source, columns=columns)
        return (
            EQUITY_METRICS[metric](equity) if equity.height else float("nan")
        ), metric in FRACTIONS
    if metric not in TRADE_METRICS:
        raise ParameterError(
            f"`metric` {metric!r} is unknown; known: {', '.join((*TRADE_METRICS, *EQUITY_METRICS))}"
        )
    trades = read_trades(source, columns=columns, strategy=strategy)
    with np.errstate(all="ignore"):
        return TRADE_METRICS[metric](trades, _returns(trades)), metric in FRACTIONS
