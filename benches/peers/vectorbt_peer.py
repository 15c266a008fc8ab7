"""vectorbt, one combination a call in worker processes: a whole grid in one call takes 100 MiB a column.

Its semantics differ: signals and stops of one bar meet in another order, the bar of entry has no stop, a holding time
would need a function of one's own and is left out, targets are reached and not exceeded, and a signal of the other side
is left out where a position is open. So only the size of the answer is compared: trades of the same order.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import warnings
from typing import Any

import numpy as np
from benches.problem import FEE, INITIAL, Floats, Problem

if importlib.util.find_spec("vectorbt") is None:
    raise ImportError(
        "No module named 'vectorbt'"
    )  # its workers import it, this process does without

_held: dict[str, Any] = {}


def _start(problem: Problem) -> None:
    warnings.simplefilter("ignore")
    import pandas as pd
    import vectorbt as vbt

    # Without a zone: with one, every step of vectorbt turns the index into Python objects, a hundred times slower.
    index = pd.to_datetime(problem.open_time, unit="ms")
    _held["vbt"], _held["problem"] = vbt, problem
    _held["prices"] = {
        name: pd.Series(getattr(problem, name), index) for name in ("open", "high", "low", "close")
    }


def _one(row: tuple[float, ...]) -> tuple[float, float, float, float, float]:
    entry, leave, stop, target = row
    m, prices = _held["problem"], _held["prices"]
    long, short = m.p_long >= entry, m.p_short >= entry
    both = long & short
    long, short = (
        long & ~(both & (m.p_short >= m.p_long)),
        short & ~(both & (m.p_long >= m.p_short)),
    )
    out = m.p_exit >= leave
    # Decided at a close, filled at the next open.
    long, short, out = (np.append(False, signal[:-1]) for signal in (long, short, out))
    account = _held["vbt"].Portfolio.from_signals(
        prices["close"],
        long,
        out,
        short,
        out,
        price=prices["open"],
        open=prices["open"],
        high=prices["high"],
        low=prices["low"],
        sl_stop=stop,
        tp_stop=target,
        fees=FEE,
        init_cash=INITIAL,
        upon_opposite_entry="ignore",
        freq="1min",
    )
    trades = account.trades
    return (
        float(account.final_value()) / INITIAL,
        float(trades.count()),
        float(trades.winning.count()),
        -float(account.max_drawdown()),
        float(account.sharpe_ratio()),
    )


class Vectorbt:
    """Worker processes that hold the market."""

    def __init__(self, problem: Problem, processes: int) -> None:
        self._pool = multiprocessing.get_context("spawn").Pool(processes, _start, (problem,))

    def run(self, rows: Floats) -> Floats:
        return np.array(self._pool.map(_one, [tuple(row) for row in rows.tolist()], chunksize=1))

    def close(self) -> None:
        self._pool.close()
        self._pool.join()
