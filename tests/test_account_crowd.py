"""Accounts of a sweep that are run together give the bits of those that go bar by bar, one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp

DRAWS = 60


class Draw:
    """Markets with holes and funding, rules that enter alike or not, limits that bind."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([0xC0DE, seed])
        rng = self.rng
        bars = int(rng.integers(800, 2_600))  # up to two stretches of the clock
        self.wild = rng.random() < 0.35
        self.exits = rng.random() < 0.7
        self.candles: dict[str, bp.Candles] = {}
        self.signals: dict[str, bp.Signals] = {}
        for k in range(int(rng.integers(1, 6))):
            made = bp.simulate_candles(int(rng.integers(1 << 30)), bars=bars, edge=0.1)
            start, hole = int(rng.integers(0, 60)), int(rng.integers(0, bars - 80))
            keep = np.arange(bars)
            if rng.random() < 0.5:
                keep = np.setdiff1d(np.arange(start, bars), np.arange(hole, hole + start))
            made = made._take(keep)
            assert made.planted is not None
            noise = rng.normal(size=(4, len(made)))
            side = made.planted + 0.5 * noise[0]
            made = self.perpetual(made)
            arrays = {"long": side, "short": -side}
            if self.exits:
                arrays |= {"exit_long": noise[1], "exit_short": noise[2]}
            arrays |= {"stop": 0.02 * np.abs(noise[3]) + 1e-3, "size": rng.random(len(made))}
            self.candles[f"S{k}"] = made
            self.signals[f"S{k}"] = bp.Signals(**arrays, kind="score")

    def perpetual(self, made: bp.Candles) -> bp.Candles:
        """The same bars with funding, lots and a least notional."""
        times = made.open_time
        settled = np.unique(self.rng.choice(times, size=len(times) // 40))
        dear = 0.02 if self.wild else 0.0005
        bars = {n: getattr(made, n) for n in ("open", "high", "low", "close", "volume")}
        return bp.read_candles(
            pl.DataFrame({"open_time": times, **bars}),
            instrument=bp.Instrument(
                "perpetual", lot=self.pick(0.0, 0.0, 0.13), min_notional=self.pick(0.0, 0.0, 700.0)
            ),
            interval="5m",
            funding=pl.DataFrame(
                {
                    "funding_time": settled,
                    "funding_rate": self.rng.normal(0.0, dear, len(settled)),
                }
            ),
            on_fault="ignore",
        )

    def pick(self, *values: Any) -> Any:
        """One of these."""
        return values[int(self.rng.integers(len(values)))]

    def grid(self) -> bp.Grid:
        """A grid over entries and exits."""
        exits = self.exits
        sizing: Any = (
            "fraction"
            if self.wild
            else self.pick("fraction", "fraction", "signal", "notional", "risk")
        )
        kinds = ["price"] if self.wild else ["price", "signal", "atr"]
        if sizing in ("fraction", "signal") and not self.wild:
            kinds.append("equity")
        rules = bp.Rules(
            entry_long=1.2,
            entry_short=self.pick(1.2, None),
            exit_long=1.5 if exits else None,
            exit_short=1.5 if exits else None,
            stop_loss=0.02,
            stop_loss_kind=self.pick(*kinds),
            take_profit=self.pick(None, 0.03),
            take_profit_order=self.pick("limit", "market"),
            max_hold=self.pick(None, 1, 24),
            cooldown=self.pick(0, 0, 5),
            intrabar=self.pick("pessimistic", "optimistic"),
            leverage=self.pick(60.0, 100.0) if self.wild else self.pick(1.0, 3.0),
            trailing=self.pick(None, None, None, 0.02),
            sizing=sizing,
            fraction=1.0 if self.wild else self.pick(0.2, 0.5, 1.0),
            notional=2_000.0 if sizing == "notional" else None,
            risk=0.01 if sizing == "risk" else None,
        )
        axes: dict[str, Any] = {
            "stop_loss": [0.005, 0.01, 0.04],
            "entry_long": [0.8, 1.2],
            "max_hold": [1, 12, None],
        }
        if exits:
            axes["exit_long"] = [0.8, 2.0]
        return bp.Grid(rules, **axes)


@pytest.mark.parametrize("first", range(0, DRAWS, 20))
def test_accounts_together_give_the_bits_of_replay(first: int) -> None:
    trades, ruined, funding = 0, 0, 0.0
    for seed in range(first, first + 20):
        draw = Draw(seed)
        grid = draw.grid()
        options: dict[str, Any] = {
            "costs": bp.Costs(taker=draw.pick(0.0, 0.0005), slippage=draw.pick(0.0, 0.0001)),
            "account": "shared",
            "max_positions": draw.pick(None, 1, 2),
            "max_gross": draw.pick(None, 0.7, 2.0),
            "windows": draw.pick(None, None, "4d"),
            "progress": False,
            "ledger": False,
        }
        both = [
            bp.sweep(draw.candles, draw.signals, grid, engine=engine, threads=threads, **options)
            for engine, threads in (("indexed", 2), ("replay", 1))
        ]
        for one, other in zip(
            *[(b.frame, b.pooled, b.daily_returns.to_numpy()) for b in both], strict=True
        ):
            if isinstance(one, pl.DataFrame):
                assert one.equals(other, null_equal=True), f"draw {seed}"
            else:
                np.testing.assert_array_equal(one, other, err_msg=f"draw {seed}")
        trades += int(both[0].pooled["trades"].sum())
        funding += float(both[0].pooled["funding"].abs().sum())
        ruined += int((both[0].pooled["total_return"] <= -1.0).sum())
    assert trades > 10_000
    assert ruined > 5
    assert funding != 0.0
