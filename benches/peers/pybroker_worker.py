"""A process that runs pybroker over a market in a folder: rows of a grid in, one line of JSON out.

Started by `framework_peers.Pybroker` with an interpreter that has pybroker; it needs nothing of this project. Trades go
to answer.npz in the folder.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pybroker
from pybroker import FeeMode, PriceType, Strategy, StrategyConfig


def memory(name: str) -> float:
    """MiB by the system's account of this process."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def main() -> None:
    """Answer until nothing more is asked."""
    folder, fee, cash = Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
    pybroker.disable_logging()
    pybroker.disable_progress_bar()
    pybroker.register_columns("p_long", "p_exit")
    names = ("open", "high", "low", "close", "p_long", "p_exit")
    held = {name: np.load(folder / f"{name}.npy") for name in names}
    times = np.load(folder / "open_time.npy")
    bars = pd.DataFrame({"date": pd.to_datetime(times, unit="ms"), **held, "volume": 1e6})
    bars["symbol"] = "BENCH"
    settings = StrategyConfig(
        initial_cash=cash,
        fee_mode=FeeMode.ORDER_PERCENT,
        fee_amount=100 * fee,
        enable_fractional_shares=True,
        round_fill_price=False,
        round_test_result=False,
    )

    def one(entry: float, leave: float, stop: float, target: float) -> Any:
        def rule(context: Any) -> None:
            if context.long_pos():
                if context.p_exit[-1] >= leave:
                    context.sell_all_shares()
                    context.sell_fill_price = PriceType.OPEN
            elif context.p_long[-1] >= entry:
                context.buy_shares = 1
                context.buy_fill_price = PriceType.OPEN
                context.stop_loss_pct, context.stop_profit_pct = 100 * stop, 100 * target

        strategy = Strategy(bars, bars["date"].min(), bars["date"].max(), settings)
        strategy.add_execution(rule, "BENCH")
        return strategy.backtest(warmup=1, calc_bootstrap=False).trades

    def bar_of(dates: Any) -> Any:
        return (dates.astype("datetime64[ms]").astype("int64").to_numpy() - times[0]) // 60_000

    for line in sys.stdin:
        before = memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        found = {}
        for k, row in enumerate(json.loads(line)):
            t = one(*row)
            found[f"e{k}"], found[f"x{k}"] = bar_of(t["entry_date"]), bar_of(t["exit_date"])
            found[f"ep{k}"] = t["entry"].to_numpy(dtype=float)
            found[f"xp{k}"] = t["exit"].to_numpy(dtype=float)
        np.savez(folder / "answer.npz", **found)
        print(json.dumps({"held_mib": before, "peak_mib": memory("VmHWM")}), flush=True)


if __name__ == "__main__":
    main()
