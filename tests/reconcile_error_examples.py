"""An example of every error of `_reconcile`: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market(flat(100.0, 40))
P = bp.Signals(long=np.full(40, 0.9))


def run(**options: Any) -> bp.Result:
    rules = bp.Rules(entry_long=0.5)
    return bp.backtest(BARS, P, rules, costs=bp.Costs.free(), ledger=False, **options)


def trades(**columns: Any) -> pl.DataFrame:
    at = datetime(2024, 1, 1)
    return pl.DataFrame(
        {
            "side": ["long"],
            "entry_time": [at],
            "entry_price": [100.0],
            "exit_time": [at],
            "exit_price": [101.0],
            "quantity": [1.0],
            "pnl": [1.0],
        }
    ).with_columns(**columns)


def cut(start: int, stop: int) -> bp.Result:
    signals = bp.Signals(long=np.full(stop - start, 0.9))
    rules = bp.Rules(entry_long=0.5)
    return bp.backtest(
        BARS[start:stop],
        signals,
        rules,
        costs=bp.Costs.free(),
        window=(30 - start, 40 - start),
        ledger=False,
    )


EXAMPLES: list[Example] = [
    (
        "no run",
        lambda: bp.reconcile(run(), [1, 2]),  # type: ignore[arg-type]
        bp.LayoutError,
        "`b` must be a Result or a polars frame of trades, was list: give what backtest returns, or a table",
    ),
    (
        "within of two results",
        lambda: bp.reconcile(run(), run(), within=timedelta(minutes=1)),
        bp.ParameterError,
        "`within` is for tables of trades: two results are reconciled by running them again",
    ),
    (
        "between of trades",
        lambda: bp.reconcile(run(), trades(), between=P),
        bp.ParameterError,
        "`between` needs two results: a table of trades has no signals to replace",
    ),
    (
        "other equity",
        lambda: bp.reconcile(run(), run(initial_equity=5.0)),
        bp.ParameterError,
        "runs must begin with the same equity, but `a` has 10000.0 and `b` 5.0: run one again with the other's "
        "`initial_equity`",
    ),
    (
        "other bars",
        lambda: bp.reconcile(run(), run(window=(0, 20))),
        bp.WindowError,
        "runs must cover the same bars, but `a` has 40 and `b` 20, or their times differ: run both over the bars that "
        "they share",
    ),
    (
        "bars with other numbers",
        lambda: bp.reconcile(cut(0, 40), cut(10, 40)),
        bp.WindowError,
        "runs must number their bars alike, but `a` runs over bars 30 to 40 of its candles and `b` over 20 to 30: cut "
        "both candles alike",
    ),
    (
        "negative tolerance",
        lambda: bp.reconcile(trades(), trades(), within=timedelta(minutes=-1)),
        bp.ParameterError,
        "`within` must not be negative, was -1 day, 23:59:00: give a timedelta such as one bar",
    ),
    (
        "columns missing",
        lambda: bp.reconcile(trades(), trades().drop("pnl", "side")),
        bp.LayoutError,
        "trades of `b` lack side, pnl: they need side, entry_time, entry_price, exit_time, exit_price, quantity, pnl, and "
        "may have fees, funding",
    ),
    (
        "another side",
        lambda: bp.reconcile(trades(side=pl.lit("buy")), trades()),
        bp.ParameterError,
        "`side` of trade 0 of `a` must be long or short, was 'buy'",
    ),
    (
        "times as text",
        lambda: bp.reconcile(trades(), trades(exit_time=pl.lit("2024-01-01"))),
        bp.LayoutError,
        "`exit_time` of the trades of `b` must be datetimes, was String: cast it, UTC",
    ),
    (
        "no number",
        lambda: bp.reconcile(trades(), trades(fees=pl.lit(float("nan")))),
        bp.ParameterError,
        "`fees` of trade 0 of `b` must be a finite number, was nan: drop the trade or mend it",
    ),
]
