"""Frameworks that call Python at each bar: backtesting.py, akquant, and pybroker in an interpreter of its own.

All get the rules of `frameworks`: longs alone, one unit a trade, decided at a close and filled at the next open, left
by a threshold, a stop or a target. backtesting.py and akquant take stops as prices at the time of the order: they are
given the open that the order will fill at, so that distances are measured from the fill, as here. pybroker takes them
as percents.

Each answers a list of trades for every combination: bars and prices of entry and exit.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from benches import timing
from benches.problem import FEE, Floats, Problem

CASH = 1e9
Trades = dict[str, Floats]
APART = "BARPROOF_PEERS_PYTHON"
"""Names the interpreter of peers whose needs contradict those of the others."""


def trades_of(entry_bar: Any, exit_bar: Any, entry_price: Any, exit_price: Any) -> Trades:
    columns = (entry_bar, exit_bar, entry_price, exit_price)
    names = ("entry_bar", "exit_bar", "entry_price", "exit_price")
    return {n: np.asarray(c, dtype=np.float64) for n, c in zip(names, columns, strict=True)}


def next_opens(problem: Problem) -> list[float]:
    return [*problem.open[1:].tolist(), float(problem.close[-1])]


class Backtesting:
    """backtesting.py."""

    def __init__(self, problem: Problem) -> None:
        self.module: Any = importlib.import_module("backtesting")
        # Its bar of progress goes to the terminal, which nobody times.
        inside: Any = importlib.import_module("backtesting.backtesting")
        inside._tqdm = lambda taken, **_: taken
        pd: Any = importlib.import_module("pandas")
        m = problem
        self.bars = pd.DataFrame(
            {"Open": m.open, "High": m.high, "Low": m.low, "Close": m.close, "Volume": 1e6},
            index=pd.to_datetime(m.open_time, unit="ms"),
        )
        self.lists = (m.p_long.tolist(), m.p_exit.tolist(), next_opens(m))

    def run(self, rows: Floats) -> list[Trades]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return [self._one(*row) for row in rows.tolist()]

    def _one(self, entry: float, leave: float, stop: float, target: float) -> Trades:
        long, out, opens = self.lists
        last = len(long) - 1

        class Rule(self.module.Strategy):
            def init(self) -> None:
                pass

            def next(self) -> None:
                i = len(self.data) - 1
                if self.position:
                    if out[i] >= leave:
                        self.position.close()
                elif long[i] >= entry and i < last:
                    self.buy(size=1, sl=opens[i] * (1 - stop), tp=opens[i] * (1 + target))

        test = self.module.Backtest(
            self.bars, Rule, cash=CASH, commission=FEE, finalize_trades=True
        )
        t = test.run()._trades
        return trades_of(t.EntryBar, t.ExitBar, t.EntryPrice, t.ExitPrice)


class Akquant:
    """akquant; levels in its least price step, a hundredth."""

    def __init__(self, problem: Problem) -> None:
        self.module: Any = importlib.import_module("akquant")
        importlib.import_module("akquant.log").get_logger().setLevel(logging.ERROR)
        pd: Any = importlib.import_module("pandas")
        m = problem
        self.first = int(m.open_time[0])
        self.bars = pd.DataFrame(
            {
                "date": pd.to_datetime(m.open_time, unit="ms", utc=True),
                "open": m.open,
                "high": m.high,
                "low": m.low,
                "close": m.close,
                "volume": np.full(len(m), 1e6),
                "symbol": "BENCH",
            }
        )
        self.lists = (m.p_long.tolist(), m.p_exit.tolist(), next_opens(m))

    def run(self, rows: Floats) -> list[Trades]:
        return [self._one(*row) for row in rows.tolist()]

    def _one(self, entry: float, leave: float, stop: float, target: float) -> Trades:
        aq, (long, out, opens) = self.module, self.lists
        last = len(long) - 1

        class Rule(aq.Strategy):
            def __init__(self) -> None:
                self.i = -1

            def on_bar(self, _: Any) -> None:
                self.i += 1
                i = self.i
                if self.get_position("BENCH") > 0:
                    if out[i] >= leave:
                        # Legs of the bracket that wait would count as sold already.
                        self.cancel_all_orders("BENCH")
                        self.sell(symbol="BENCH", quantity=1)
                elif long[i] >= entry and i < last:
                    self.place_bracket(
                        symbol="BENCH",
                        quantity=1,
                        stop_trigger_price=round(opens[i] * (1 - stop), 2),
                        take_profit_price=round(opens[i] * (1 + target), 2),
                    )

        found = aq.run_backtest(
            data=self.bars,
            strategy=Rule,
            symbols="BENCH",
            initial_cash=CASH,
            commission_rate=FEE,
            stamp_tax_rate=0.0,
            transfer_fee_rate=0.0,
            min_commission=0.0,
            lot_size=1,
            show_progress=False,
            fill_policy=aq.NextOpen(),
        )
        t = found.trades
        bars = [
            [(int(getattr(one, name)) // 1_000_000 - self.first) // 60_000 for one in t]
            for name in ("entry_time", "exit_time")
        ]
        prices = [[one.entry_price for one in t], [one.exit_price for one in t]]
        return trades_of(*bars, *prices)


def interpreter() -> str:
    """Where pybroker can be imported; ImportError where nowhere."""
    if importlib.util.find_spec("pybroker") is not None:
        return sys.executable
    named = os.environ.get(APART, str(timing.ROOT / ".venv" / "peers" / "bin" / "python"))
    asked = [named, "-c", "import importlib.util as u; assert u.find_spec('pybroker')"]
    try:
        if subprocess.run(asked, capture_output=True).returncode == 0:
            return named
    except OSError:
        pass
    raise ImportError(f"No module named 'pybroker', neither here nor in {named}")


def version_apart(package: str) -> str:
    """Version of a package where pybroker is, or that there is none."""
    asked = f"from importlib import metadata; print(metadata.version({package!r}))"
    try:
        done = subprocess.run([interpreter(), "-c", asked], capture_output=True, text=True)
    except ImportError:
        return "absent"
    return done.stdout.strip() or "absent"


class Pybroker:
    """pybroker in a process of its own, which holds the market and answers one request a line."""

    def __init__(self, problem: Problem) -> None:
        python = interpreter()
        self.folder = tempfile.TemporaryDirectory()
        problem.save(Path(self.folder.name))
        worker = timing.ROOT / "benches" / "peers" / "pybroker_worker.py"
        command = [python, str(worker), self.folder.name, str(FEE), str(CASH)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.peak_mib = self.held_mib = 0.0

    def run(self, rows: Floats) -> list[Trades]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(rows.tolist()) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"pybroker's process ended with {self.process.wait()}")
        told = json.loads(line)
        self.held_mib, self.peak_mib = told["held_mib"], told["peak_mib"]
        with np.load(Path(self.folder.name) / "answer.npz") as found:
            return [
                trades_of(*(found[f"{name}{k}"] for name in ("e", "x", "ep", "xp")))
                for k in range(len(rows))
            ]

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()
