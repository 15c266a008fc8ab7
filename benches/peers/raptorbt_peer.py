"""raptorbt's batch call: one pair of boolean columns a combination.

Its semantics differ: an item trades one side, so only the longs are run, holding times are left out, and prices inside
a bar are taken by its own rules. So only the size of the answer is compared: trades of the same order, half as many.
It keeps every curve of every item, so the grid is given in parts.
"""

from __future__ import annotations

import numpy as np
import raptorbt
from benches.problem import FEE, INITIAL, Floats, Problem

_PART = 8


class Raptorbt:
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.times = problem.open_time * 1_000_000
        self.volume = np.ones(len(problem))

    def run(self, rows: Floats) -> Floats:
        parts = [self._part(rows[a : a + _PART]) for a in range(0, len(rows), _PART)]
        return np.concatenate(parts)

    def _part(self, rows: Floats) -> Floats:
        m = self.problem
        items = []
        # What does not vary would be shared by a careful user, and so it is here.
        enter = {level: m.p_long >= level for level in np.unique(rows[:, 0]).tolist()}
        leave = {level: m.p_exit >= level for level in np.unique(rows[:, 1]).tolist()}
        for number, (entry, exit_, stop, target) in enumerate(rows.tolist()):
            config = raptorbt.BacktestConfig(
                initial_capital=INITIAL, fees=FEE, fill_timing="next_bar_open"
            )
            config.set_fixed_stop(stop)
            config.set_fixed_target(target)
            items.append(
                raptorbt.BatchSingleItem(str(number), enter[entry], leave[exit_], 1, config=config)
            )
        found = dict(
            raptorbt.batch_single_backtest(
                self.times, m.open, m.high, m.low, m.close, self.volume, items
            )
        )
        return np.array([_answer(found[str(number)].metrics) for number in range(len(rows))])


def _answer(metrics: raptorbt.BacktestMetrics) -> tuple[float, ...]:
    return (
        metrics.end_value / INITIAL,
        metrics.total_trades,
        metrics.winning_trades,
        metrics.max_drawdown_pct / 100,
        metrics.sharpe_ratio,
    )
