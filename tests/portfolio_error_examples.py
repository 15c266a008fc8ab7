"""An example of every error of accounts that several symbols share: id, call, class, exact message."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import barproof as bp
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]


def bars(symbol: str, **options: Any) -> bp.Candles:
    return market(flat(100.0, 10), **options)._replace(symbol=symbol)


A, B = bars("A"), bars("B")
HOURS = bars("H", interval="1h")
OFF = B._replace(open_time=B.open_time + 30_000)
PERPETUAL = bp.Candles._from_arrays(
    **{name: getattr(A, name) for name in ("open_time", "open", "high", "low", "close", "volume")},
    symbol="P",
    interval_ms=60_000,
    instrument=bp.Instrument("perpetual"),
)
SHARE = bars("S", kind="equity")
DEAR = bars("D", min_notional=50.0)
P = bp.Signals(long=np.full(10, 0.7))
RULES = bp.Rules(entry_long=0.5)
COSTS = bp.Costs(taker=0.0005)
BOTH = {"A": A, "B": B}
SIGNALS = {"A": P, "B": P}


def run(
    candles: Any = BOTH,
    signals: Any = SIGNALS,
    rules: Any = RULES,
    costs: Any = COSTS,
    **options: Any,
) -> bp.PortfolioResult:
    return bp.portfolio(candles, signals, rules, costs=costs, ledger=False, **options)


def sweep(**options: Any) -> bp.Sweep:
    given = {"account": "shared", "ledger": False, **options}
    grid = given.pop("grid", bp.Grid(RULES, max_hold=[1, 2]))
    return bp.sweep(BOTH, SIGNALS, grid, costs=COSTS, **given)


EXAMPLES: list[Example] = [
    (
        "an account of another kind",
        lambda: sweep(account="joint"),
        bp.ParameterError,
        "`account` must be own or shared, was 'joint'",
    ),
    (
        "limits without an account",
        lambda: sweep(account="own", max_positions=[1]),
        bp.ParameterError,
        '`max_positions`, `max_gross` and `symbols` are limits of a shared account: say account="shared"',
    ),
    (
        "ranges of an account",
        lambda: sweep(with_range=True),
        bp.ParameterError,
        "a shared account is run on the bars themselves, as their rules say: leave out `with_range` and "
        "`intrabar_candles`",
    ),
    (
        "rules for a grid",
        lambda: sweep(grid=RULES),
        bp.LayoutError,
        "`grid` must be a Grid, was Rules: use Grid(rules, stop_loss=[...])",
    ),
    (
        "no limits at all",
        lambda: sweep(max_gross=[]),
        bp.ParameterError,
        "a limit of the account is an empty list: give at least one value, None for no limit",
    ),
    (
        "symbols as text",
        lambda: sweep(symbols="A"),
        bp.LayoutError,
        "`symbols` must be a list of lists of symbols, was str: such as [['A'], ['A', 'B']]",
    ),
    (
        "a subset as text",
        lambda: sweep(symbols=["A"]),
        bp.LayoutError,
        "entry 0 of `symbols` must be a list of symbols, was 'A': such as ['A', 'B']",
    ),
    (
        "a symbol without candles",
        lambda: sweep(symbols=[["A"], ["A", "C"]]),
        bp.ParameterError,
        "entry 1 of `symbols` names 'C', which has no candles: they are of A, B",
    ),
    (
        "a symbol twice in a subset",
        lambda: sweep(symbols=[["A", "A"]]),
        bp.ParameterError,
        "entry 0 of `symbols` is ['A', 'A']: give at least one symbol, and each once",
    ),
    (
        "no subset",
        lambda: sweep(symbols=[]),
        bp.ParameterError,
        "`symbols` is empty: give at least one list, or leave it out for all",
    ),
    (
        "a walk over gaps",
        lambda: sweep(windows=[(0, 3), (4, 8)]).walk_forward(earlier=1),  # type: ignore[attr-defined]
        bp.WindowError,
        "windows of a walk-forward account must follow each other without gaps or overlap: give a duration such as "
        "'1mo', or neighbouring (start, end)",
    ),
    (
        "a walk on nothing",
        lambda: sweep(windows=[(0, 4), (4, 8)]).walk_forward(earlier=0),  # type: ignore[attr-defined]
        bp.ParameterError,
        "`earlier` must be a whole number >= 1, was 0",
    ),
    (
        "a walk with nothing to judge",
        lambda: sweep(windows=[(0, 4), (4, 8)]).walk_forward(earlier=2),  # type: ignore[attr-defined]
        bp.WindowError,
        "`earlier` is 2, but there are 2 windows: none is left to be judged; take fewer to choose on, or shorter "
        "windows",
    ),
    (
        "one symbol alone",
        lambda: run(A),
        bp.LayoutError,
        "`candles` must be a mapping of symbol to Candles, was Candles: one symbol alone takes backtest(...)",
    ),
    (
        "no symbol",
        lambda: run({}),
        bp.ParameterError,
        "`candles` hold no symbol: an account needs at least one",
    ),
    (
        "signals of one symbol",
        lambda: run(signals=P),
        bp.LayoutError,
        "`signals` must be a mapping of symbol to Signals, as `candles` is one, was Signals",
    ),
    (
        "a symbol without a name",
        lambda: run({" ": A}, {" ": P}),
        bp.ParameterError,
        "a symbol must be a printable text, was ' '",
    ),
    (
        "signals missing",
        lambda: run(signals={"A": P}),
        bp.ParameterError,
        "symbol 'B' has candles but no signals in `signals`: give every symbol its own, or one for all",
    ),
    (
        "signals without candles",
        lambda: run({"A": A}),
        bp.ParameterError,
        "symbol 'B' has signals but no candles in `signals`: give every symbol its own, or one for all",
    ),
    (
        "rules missing",
        lambda: run(rules={"A": RULES}),
        bp.ParameterError,
        "symbol 'B' has candles but no rules in `rules`: give every symbol its own, or one for all",
    ),
    (
        "costs missing",
        lambda: run(costs={"A": COSTS}),
        bp.ParameterError,
        "symbol 'B' has candles but no costs in `costs`: give every symbol its own, or one for all",
    ),
    (
        "no funding",
        lambda: run({"A": A, "P": PERPETUAL}, {"A": P, "P": P}),
        bp.FundingError,
        "candles of 'P' are of a perpetual and carry no funding: attach it with `funding=` where they are read, or say "
        'funding="none" to run without',
    ),
    (
        "intervals differ",
        lambda: run({"A": A, "H": HOURS}, {"A": P, "H": P}),
        bp.ParameterError,
        "candles of 'H' are bars of 1h, those of 'A' of 1m: an account has one clock; resample(...) the shorter ones",
    ),
    (
        "grids differ",
        lambda: run({"A": A, "B": OFF}),
        bp.ParameterError,
        "bar 0 of 'B' opens 2024-01-01 00:00:30, off the grid of 1m on which those of 'A' open: an account has one "
        "clock; read_candles(...) snaps times to a grid",
    ),
    (
        "years differ",
        lambda: run({"A": A, "S": SHARE}, {"A": P, "S": P}),
        bp.ParameterError,
        "'S' is of kind 'equity' with 252 periods a year, 'A' of kind 'spot' with 365: say `periods_per_year` for the "
        "account",
    ),
    (
        "a symbol twice",
        lambda: run({"A": A, "B": A}),
        bp.ParameterError,
        "'A' and 'B' are both candles of 'A': a symbol takes part once; leave one of them out",
    ),
    (
        "no positions",
        lambda: run(max_positions=0),
        bp.ParameterError,
        "`max_positions` must be a whole number >= 1, was 0: an account that may hold nothing has nothing to run; leave "
        "it out for no limit",
    ),
    (
        "half a position",
        lambda: run(max_positions=1.5),
        bp.ParameterError,
        "`max_positions` must be a whole number >= 1, was 1.5: an account that may hold nothing has nothing to run; "
        "leave it out for no limit",
    ),
    (
        "no gross",
        lambda: run(max_gross=0.0),
        bp.ParameterError,
        "`max_gross` must be finite and > 0, was 0.0: it bounds all notionals as a multiple of the equity; leave it out "
        "for no limit",
    ),
    (
        "gross below every order",
        lambda: run({"D": DEAR}, {"D": P}, max_gross=0.001),
        bp.ParameterError,
        "`max_gross` is 0.001, which leaves notionals of 10.00 at most, and every symbol asks for 50.00 or more "
        "(`min_notional`): nothing could be entered; raise it or `initial_equity`",
    ),
    (
        "boundary",
        lambda: run(boundary="keep"),
        bp.ParameterError,
        "`boundary` must be carry or close, was 'keep'",
    ),
    (
        "window outside",
        lambda: run(window=(0, 11)),
        bp.WindowError,
        "window 0 to 11 holds no bars or leaves the candles (bars 0..11): they have 10 bars, 2024-01-01 00:00 to "
        "2024-01-01 00:10",
    ),
]
