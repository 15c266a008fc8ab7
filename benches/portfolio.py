"""A shared account beside separate sweeps and beside vectorbt's cash-sharing groups, through the ordinary Python calls.

``python -m benches.portfolio`` compares answers first, then takes times in turn; ``--record`` writes them to
benches/record/. ``--bars`` and ``--symbols`` make the job smaller.

What is compared:

- ``grid``: 256 combinations (4 entries x 4 exits x 4 stops x 4 targets) on an account of twelve symbols, against twelve
  sweeps of the same grid, one a symbol; goal: within three times.
- ``single``: one combination; goal: under 150 ms for 12 x 1,000,000 bars.
- ``vectorbt``: rules that both can express, entries and exits by signals at the next open, sizes of a twelfth of the
  equity, no margin calls; ``cash_sharing=True`` with automatic call sequence off, so that both serve symbols in their
  order. Answers must agree to a millionth before anything is timed.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
from benches import problem, timing
from benches.timing import Contender
from numpy.typing import NDArray

import barproof as bp

Floats = NDArray[np.float64]
AGREE = 1e-6
GRID = {
    "entry": (0.90, 0.92, 0.94, 0.96),
    "exit": (0.6, 0.7, 0.8, 0.9),
    "stop_loss": [0.003, 0.005, 0.01, 0.02],
    "take_profit": [0.005, 0.01, 0.02, 0.04],
}


class Bench:
    """Markets of one clock, and what is asked of them."""

    def __init__(self, bars: int, symbols: int, runs: int, threads: int) -> None:
        self.made = [problem.make(bars, seed=100 + k) for k in range(symbols)]
        self.names = [f"S{k:02}" for k in range(symbols)]
        self.candles = {
            n: p.candles()._replace(symbol=n) for n, p in zip(self.names, self.made, strict=True)
        }
        self.signals = {n: p.signals() for n, p in zip(self.names, self.made, strict=True)}
        self.runs, self.threads = runs, threads
        self.share = 1.0 / symbols
        self.rows: list[dict[str, object]] = []

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
            contender.run()  # once unseen
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
        shared = lambda: bp.sweep(self.candles, self.signals, grid, account="shared", **options)  # noqa: E731
        own = lambda: [
            bp.sweep(self.candles[n], self.signals[n], grid, **options) for n in self.names
        ]  # noqa: E731
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
        run = lambda engine: bp.portfolio(  # noqa: E731
            self.candles, self.signals, rules, costs=costs, engine=engine, ledger=False
        )
        if not run("indexed").equity.equals(run("replay").equity):
            raise SystemExit("the engines differ: nothing is timed")
        self.measure(
            "single",
            1,
            [
                Contender("barproof, indexed", lambda: run("indexed")),
                Contender("barproof, replay", lambda: run("replay")),
            ],
        )

    def vectorbt(self) -> None:
        """Rules that both can express."""
        try:
            import pandas as pd
            import vectorbt as vbt
        except ImportError:
            print("vectorbt is not installed: left out")
            return
        threshold = 0.96
        rules = bp.Rules(entry_long=threshold, exit_long=0.8, fraction=self.share / 2)
        result = bp.portfolio(
            self.candles, self.signals, rules, costs=problem.costs(), ledger=False
        )
        price = pd.DataFrame({n: p.open for n, p in zip(self.names, self.made, strict=True)})
        close = pd.DataFrame({n: p.close for n, p in zip(self.names, self.made, strict=True)})

        def late(of: Any, level: float) -> Any:
            """Signals of the bar before: they fill at this open."""
            columns = {n: of(p) >= level for n, p in zip(self.names, self.made, strict=True)}
            frame = pd.DataFrame(columns).shift(1, fill_value=False)
            frame.iloc[-1] = False
            return frame

        entries = late(lambda p: p.p_long, threshold)
        exits = late(lambda p: p.p_exit, 0.8)
        # An account's trades, as orders: sizes in units as barproof's text gives them.
        size = pd.DataFrame(0.0, index=close.index, columns=self.names)
        for symbol, bar, quantity in result.trades.select("symbol", "entry_bar", "quantity").rows():
            size.iat[bar, self.names.index(symbol)] = quantity

        def run() -> Any:
            return vbt.Portfolio.from_signals(
                close,
                entries,
                exits,
                price=price,
                size=size.where(size > 0.0, np.nan),
                fees=problem.FEE,
                init_cash=problem.INITIAL,
                group_by=True,
                cash_sharing=True,
                call_seq="default",
                accumulate=False,
                upon_long_conflict="ignore",
                freq="1min",
            )

        theirs = float(run().final_value())
        ours = float(result.equity["equity"][-1])
        if abs(theirs / ours - 1.0) > AGREE:
            print(
                f"vectorbt ends with {theirs:,.4f}, barproof with {ours:,.4f}: not reconciled, not timed"
            )
            return
        self.measure(
            "vectorbt",
            1,
            [
                Contender(
                    "barproof, shared account",
                    lambda: bp.portfolio(
                        self.candles, self.signals, rules, costs=problem.costs(), ledger=False
                    ),
                ),
                Contender(
                    "vectorbt, cash sharing", run, note="sizes given, conversion not counted"
                ),
            ],
        )


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
