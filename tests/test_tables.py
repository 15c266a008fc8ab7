"""What derives from the core's tables is up to date."""

from __future__ import annotations

import dataclasses
import inspect

from tools import generate

import barproof as bp
from barproof import _core


def test_generated_files_match_the_tables() -> None:
    assert generate.stale() == []


def test_rules_have_the_tables_fields_and_defaults() -> None:
    table = _core.rules_table()
    assert [field.name for field in dataclasses.fields(bp.Rules)] == [row["name"] for row in table]
    assert bp.Rules().to_dict() == {row["name"]: row["default"] for row in table}
    assert list(inspect.signature(bp.Rules).parameters) == [row["name"] for row in table]


def test_defaults_are_those_of_the_contract() -> None:
    assert bp.Rules().to_dict() == {
        "entry_long": None, "entry_short": None, "exit_long": None, "exit_short": None, "short_gate": None,
        "reverse": False, "stop_loss": None, "stop_loss_kind": "price", "take_profit": None,
        "take_profit_kind": "price", "take_profit_order": "limit", "atr_period": 14, "trailing": None,
        "break_even": None, "break_even_offset": 0.0, "max_hold": None, "cooldown": 0, "entry": "market",
        "limit_offset": 0.0, "limit_bars": 1, "fill": "next_open", "intrabar": "pessimistic", "leverage": 1.0,
        "sizing": "fraction", "fraction": 1.0, "size_min": 0.0, "notional": None, "risk": None, "vol_target": None,
        "vol_window": 288,
    }  # fmt: skip
    assert bp.Instrument("spot") == bp.Instrument(
        "spot", maintenance=0.005, lot=0.0, min_notional=0.0
    )


def test_metrics_are_those_of_the_contract() -> None:
    assert [row["name"] for row in _core.metrics_table()] == [
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
    ]
