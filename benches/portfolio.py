"""A shared account beside separate sweeps and beside vectorbt's cash-sharing groups, through the ordinary Python calls.

``python -m benches.portfolio`` compares answers first, then takes times in turn; ``--record`` writes them to
benches/record/. ``--bars`` and ``--symbols`` make the job smaller.

What is compared:

- ``grid``: 256 combinations (4 entries x 4 exits x 4 stops x 4 targets) on an account of twelve symbols, against twelve
  sweeps of the same grid, one a symbol; goal: within three times.
- ``single``: one combination; goal: under 150 ms for 12 x 1,000,000 bars. What is timed is the call of a user who has
  looked at the same candles and signals before, with equity, trades, refused entries, daily returns and metrics in hand
  when it ends; exposure, contributions and correlations are made when they are asked for. Candles and signals keep
  their digests and indexes from the first call on: what that takes is a row of its own.
- ``vectorbt``: what both can express: long entries and exits by signals at the next open, a fixed notional, fees, one
  cash balance that is too small for all, so that late entries get what is left or nothing. ``call_seq="auto"`` sells
  before it buys. Every trade must agree in symbol, bars, size and profit before anything is timed.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import polars as pl
from benches import problem, timing
from benches.timing import Contender
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]
Candles: TypeAlias = dict[str, bp.Candles]
Signals: TypeAlias = dict[str, bp.Signals]
ENGINES = ("indexed", "replay")
AGREE = 1e-6
VECTORBT_BARS = 100_000
"""Bars a symbol at most beside vectorbt, whose orders of twelve millions of bars would fill the memory."""
GRID = {
    "entry": (0.90, 0.92, 0.94, 0.96),
    "exit": (0.6, 0.7, 0.8, 0.9),
    "stop_loss": [0.003, 0.005, 0.01, 0.02],
    "take_profit": [0.005, 0.01, 0.02, 0.04],
}


class Bench:
    """Markets of one clock, and what is asked of them."""

    def __init__(
        self,
        bars: int,
        symbols: int,
        runs: int,
        threads: int,
        rows: list[dict[str, object]] | None = None,
    ) -> None:
        self.made = [problem.make(bars, seed=100 + k) for k in range(symbols)]
        self.names = [f"S{k:02}" for k in range(symbols)]
        self.candles = {
            n: p.candles()._replace(symbol=n) for n, p in zip(self.names, self.made, strict=True)
        }
        self.signals = {n: p.signals() for n, p in zip(self.names, self.made, strict=True)}
        self.runs, self.threads = runs, threads
        self.share = 1.0 / symbols
        self.rows = [] if rows is None else rows
        self.salt = 0

    @property
    def base(self) -> bp.Rules:
        return bp.Rules(
            entry_long=0.9,
            entry_short=0.9,
            exit_long=0.7,
            exit_short=0.7,
            stop_loss=0.01,
            take_profit=0.02,
            max_hold=problem.MAX_HOLD,
            fraction=self.share,
        )

    @property
    def grid(self) -> bp.Grid:
        return bp.Grid(
            self.base,
            {"entry_long": list(GRID["entry"]), "entry_short": list(GRID["entry"])},
            {"exit_long": list(GRID["exit"]), "exit_short": list(GRID["exit"])},
            stop_loss=GRID["stop_loss"],
            take_profit=GRID["take_profit"],
        )

    def measure(self, case: str, combinations: int, contenders: list[Contender]) -> None:
        """Take turns; the first contender is the one that ratios refer to."""
        for contender in contenders:
            contender.run(*contender.fresh())  # once unseen
        taken = timing.interleave(contenders, self.runs)
        base = taken[0].median
        for one in taken:
            self.rows.append(
                {
                    "case": case,
                    "contender": one.contender.name,
                    "bars": len(self.made[0]) * len(self.made),
                    "combinations": combinations,
                    "threads": one.contender.threads,
                    "runs": len(one.seconds),
                    "median_s": f"{one.median:.6f}",
                    "min_s": f"{min(one.seconds):.6f}",
                    "max_s": f"{max(one.seconds):.6f}",
                    "times_barproof": f"{one.median / base:.4g}",
                    "note": one.contender.note,
                }
            )
            print(
                f"{case:9} {one.contender.name:28} {1e3 * one.median:12.1f} ms {one.median / base:8.2f}x",
                flush=True,
            )

    def sweeps(self) -> None:
        """A grid on one account against a sweep a symbol."""
        options: dict[str, Any] = {
            "costs": problem.costs(),
            "threads": self.threads,
            "progress": False,
            "ledger": False,
        }
        grid = self.grid
        names, candles, signals = self.names, self.candles, self.signals

        def shared() -> bp.Sweep:
            return bp.sweep(candles, signals, grid, account="shared", **options)

        def own() -> list[bp.Sweep]:
            return [bp.sweep(candles[name], signals[name], grid, **options) for name in names]

        found = shared()
        for number in (0, len(grid) - 1):
            alone = bp.portfolio(
                self.candles,
                self.signals,
                grid[number],
                costs=problem.costs(),
                engine="replay",
                ledger=False,
            )
            row = found.pooled.row(number, named=True)
            if any(row[name] != value for name, value in alone.metrics.items() if value == value):
                raise SystemExit(
                    f"combination {number} is not the account of replay: nothing is timed"
                )
        self.measure(
            "grid",
            len(grid),
            [
                Contender("barproof, shared account", shared, threads=self.threads),
                Contender("barproof, a sweep a symbol", own, threads=self.threads),
            ],
        )

    def single(self) -> None:
        """One combination."""
        rules, costs = self.base, problem.costs()

        def run(candles: Candles, signals: Signals, engine: str = "indexed") -> Any:
            result = bp.portfolio(candles, signals, rules, costs=costs, engine=engine, ledger=False)
            return result, result.equity, result.trades, result.metrics

        def known() -> tuple[Candles, Signals]:
            return self.candles, self.signals

        def unknown() -> tuple[Candles, Signals]:
            """Candles and signals that nobody has looked at."""
            self.salt += 1
            both = list(zip(self.names, self.made, strict=True))
            candles = {n: p.candles(self.salt)._replace(symbol=n) for n, p in both}
            return candles, {n: p.signals(self.salt) for n, p in both}

        for name in ("equity", "trades", "refused", "daily_returns", "daily_contributions"):
            fast, slow = (getattr(run(*known(), engine)[0], name) for engine in ENGINES)
            if not fast.equals(slow):
                raise SystemExit(f"the engines differ in {name}: nothing is timed")
        self.measure(
            "single",
            1,
            [
                Contender("barproof, indexed", run, known, threads=_cores()),
                Contender("barproof, replay", partial(run, engine="replay"), known),
                Contender(
                    "barproof, first call", run, unknown, threads=_cores(), runs=2,
                    note="candles and signals not seen before: digests and indexes are made",
                ),
            ],
        )  # fmt: skip

    def vectorbt(self) -> None:
        """Rules that both can express."""
        try:
            import pandas as pd
            import vectorbt as vbt
        except ImportError:
            print("vectorbt is not installed: left out")
            return
        if len(self.made[0]) > VECTORBT_BARS:
            Bench(VECTORBT_BARS, len(self.names), self.runs, self.threads, self.rows).vectorbt()
            return
        entries, exits = self._said()
        signals = {
            name: bp.Signals(long=entries[name], exit_long=exits[name]) for name in self.names
        }
        # Each asks for a fifth of the balance: of twelve, those that come late get what is left, or nothing.
        value = problem.INITIAL / 5
        rules = bp.Rules(entry_long=0.5, exit_long=0.5, sizing="notional", notional=value)
        price = pd.DataFrame({n: p.open for n, p in zip(self.names, self.made, strict=True)})
        close = pd.DataFrame({n: p.close for n, p in zip(self.names, self.made, strict=True)})
        price.iloc[-1] = close.iloc[-1]
        # A signal of the bar before fills at this open; what is held at the end is sold at its close.
        enter, leave = (
            (pd.DataFrame(each) >= 0.5).shift(1, fill_value=False) for each in (entries, exits)
        )
        enter.iloc[-1], leave.iloc[-1] = False, True

        def ours() -> bp.PortfolioResult:
            return bp.portfolio(self.candles, signals, rules, costs=problem.costs(), ledger=False)

        def theirs() -> Any:
            return vbt.Portfolio.from_signals(
                close,
                enter,
                leave,
                price=price,
                val_price=price,
                size=value,
                size_type="value",
                fees=problem.FEE,
                init_cash=problem.INITIAL,
                group_by=True,
                cash_sharing=True,
                call_seq="auto",
                accumulate=False,
                upon_long_conflict="ignore",
                freq="1min",
            )

        result, made = ours(), theirs()
        print(f"vectorbt: {self._apart(result, made)}; {result.refused.height:,} refused by us")
        self.measure(
            "vectorbt",
            1,
            [
                Contender("barproof, shared account", ours),
                Contender(
                    "vectorbt, cash sharing",
                    lambda: theirs().final_value(),
                    note="orders and final value; its tables are made when asked for",
                ),
            ],
        )

    def _said(self) -> tuple[dict[str, Floats], dict[str, Floats]]:
        """Entries and exits as 0 and 1; never both at once, and none that the last bars could not fill."""
        entries, exits = {}, {}
        for name, made in zip(self.names, self.made, strict=True):
            enter, leave = made.p_long >= 0.9, made.p_exit >= 0.6
            leave &= ~enter
            enter[-3:] = leave[-3:] = False
            entries[name], exits[name] = enter.astype(float), leave.astype(float)
        return entries, exits

    def _apart(self, result: bp.PortfolioResult, made: Any) -> str:
        """Hold every trade against every trade; stops the bench where one differs."""
        theirs = made.trades.records.sort_values(["entry_idx", "col"])
        places = {name: number for number, name in enumerate(self.names)}
        ours = result.trades.with_columns(col=pl.col("symbol").replace_strict(places))
        ours = ours.sort("entry_bar", "col")
        columns = (("col", "col"), ("entry_bar", "entry_idx"), ("exit_bar", "exit_idx"))
        money = (("quantity", "size"), ("pnl", "pnl"))
        if ours.height != len(theirs):
            raise SystemExit(f"{ours.height} trades, vectorbt {len(theirs)}: nothing is timed")
        for mine, other in columns:
            if not np.array_equal(ours[mine].to_numpy(), theirs[other].to_numpy()):
                raise SystemExit(f"trades differ in {mine}: nothing is timed")
        for mine, other in money:
            a, b = ours[mine].to_numpy(), theirs[other].to_numpy()
            if not np.allclose(a, b, rtol=AGREE, atol=AGREE * problem.INITIAL):
                raise SystemExit(f"trades differ in {mine}: nothing is timed")
        return f"{ours.height:,} trades are alike in bars, sizes and profits"


def _cores() -> int:
    """Threads that one account goes on: those of the machine."""
    return min(8, len(os.sched_getaffinity(0)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bars", type=int, default=problem.BARS)
    parser.add_argument("--symbols", type=int, default=12)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cases", nargs="*", default=["grid", "single", "vectorbt"])
    parser.add_argument("--record", action="store_true")
    given = parser.parse_args()
    bench = Bench(given.bars, given.symbols, given.runs, given.threads)
    for case in given.cases:
        {"grid": bench.sweeps, "single": bench.single, "vectorbt": bench.vectorbt}[case]()
    if given.record:
        print(timing.write(bench.rows, timing.setting(bp.__version__), "portfolio"))


if __name__ == "__main__":
    main()
