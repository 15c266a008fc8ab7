"""The shared account against the twin that was written from the text alone."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.helpers import START
from tests.reference.shared_by_text import Account
from tests.reference.symbol_by_text import Costs, Market, Rules
from tests.tolerances import LOST, REFERENCE

HOUR = 3_600
INITIAL = 10_000.0


class Draw:
    """One random account: markets with holes, rules by symbol, limits that bind."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng([0xACC0, seed])
        rng = self.rng
        n = int(rng.integers(30, 90))
        self.sharp = rng.random() < 0.25  # wild markets, high leverage: liquidations and ruin
        names = [f"S{k}" for k in rng.permutation(int(rng.integers(2, 7)))]
        common = self.rules() if rng.random() < 0.3 else None
        self.markets = {name: self.market(n, common or self.rules()) for name in names}
        taker = self.pick(0.0, 0.0005, 0.002)
        self.costs = Costs(
            taker=taker,
            maker=self.pick(taker, 0.0001, -0.0002),
            slippage=self.pick(0.0, 0.0003),
        )
        self.max_positions = self.pick(None, None, 1, 2, 3)
        self.max_gross = self.pick(None, None, 0.5, 1.0, 2.5)

    def pick(self, *values: Any) -> Any:
        return values[int(self.rng.integers(len(values)))]

    def rules(self) -> Rules:
        """Rules that do not contradict themselves, most of them with something to leave by."""
        rng, pick = self.rng, self.pick
        sizing = pick(
            "fraction", "fraction", "notional", "confidence", "risk", "volatility", "signal"
        )
        stop_kind = pick("price", "price", "equity", "atr", "signal")
        stop: float | None = pick(
            None, {"price": 0.01, "equity": 0.05, "atr": 1.5, "signal": 1.0}[stop_kind]
        )
        if sizing == "risk" and (stop is None or stop_kind == "equity"):
            stop_kind, stop = "price", 0.01
        if sizing == "notional" and stop_kind == "equity":
            stop_kind, stop = "price", 0.02
        take_kind = pick("price", "equity", "atr", "signal") if sizing != "notional" else "price"
        take = pick(None, {"price": 0.015, "equity": 0.1, "atr": 2.0, "signal": 1.5}[take_kind])
        limit = rng.random() < 0.3
        return Rules(
            entry_long=pick(0.6, 0.7, None),
            entry_short=pick(0.6, 0.65),
            exit_long=pick(None, None, 0.85),
            exit_short=pick(None, None, 0.85),
            short_gate=pick(None, None, None, 0.1),
            reverse=bool(rng.random() < 0.2),
            stop_loss=stop,
            take_profit=take,
            stop_loss_kind=stop_kind,
            take_profit_kind=take_kind,
            atr_period=pick(3, 5),
            take_profit_order=pick("limit", "market"),
            trailing=pick(None, None, 0.01),
            break_even=pick(None, None, 0.008),
            break_even_offset=pick(0.0, 0.002),
            max_hold=pick(None, 3, 8),
            cooldown=pick(0, 0, 2),
            entry="limit" if limit else "market",
            limit_offset=pick(0.0, 0.002, 0.006),
            limit_bars=pick(1, 3),
            fill="next_open" if limit else pick("next_open", "next_open", "next_open", "close"),
            intrabar=pick("pessimistic", "optimistic", "nearest_open"),
            leverage=pick(5.0, 20.0, 50.0) if self.sharp else pick(1.0, 2.0, 5.0),
            sizing=sizing,
            fraction=pick(0.2, 0.4, 0.7, 1.0),
            size_min=0.1,
            notional=pick(2_000.0, 9_000.0),
            risk=0.02,
            vol_target=0.5,
            vol_window=6,
        )

    def market(self, n: int, rules: Rules) -> Market:
        rng = self.rng
        wild = 0.02 if self.sharp else 0.006
        close = 100 * np.exp(np.cumsum(rng.normal(0, wild, n)))
        open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, wild / 4, n))
        high = np.maximum(open_, close) * (1 + np.abs(rng.normal(0, wild / 2, n)))
        low = np.minimum(open_, close) * (1 - np.abs(rng.normal(0, wild / 2, n)))
        keep = rng.random(n) > self.pick(0.0, 0.0, 0.15)
        keep[: int(self.pick(0, 0, 7))] = False
        keep[n - int(self.pick(0, 0, 5)) :] = False
        keep[n // 2 : n // 2 + 2] = True
        bars = [column[keep].tolist() for column in (open_, high, low, close)]
        m = int(keep.sum())
        # Few distinct values, so that excesses tie and the order of symbols decides.
        p = np.round(rng.random((4, m)), 1)
        p[rng.random((4, m)) < 0.2] = math.nan
        signals = dict(zip(("long", "short", "exit_long", "exit_short"), p.tolist(), strict=True))
        for name in ("stop", "target"):
            signals[name] = rng.choice([0.005, 0.01, 0.03, math.nan], m).tolist()
        signals["size"] = rng.choice([0.25, 0.5, 1.0, math.nan], m).tolist()
        times = (START // 1000 + HOUR * np.flatnonzero(keep)).tolist()
        first = START // 1000
        dear = 0.6 if self.sharp else 0.001
        funding = [
            (first + HOUR * k * 4 + int(self.pick(0, 0, 1_200)), float(rng.normal(0, dear)))
            for k in range(n // 4)
        ]
        return Market(
            time=times,
            open=bars[0],
            high=bars[1],
            low=bars[2],
            close=bars[3],
            rules=rules,
            signals=signals,
            funding=funding,
            maintenance=self.pick(0.0, 0.005, 0.01),
            lot=self.pick(0.0, 0.0, 0.13),
            min_notional=self.pick(0.0, 0.0, 700.0),
        )

    def run(self) -> bp.PortfolioResult:
        """The same through the public function."""
        candles, signals, rules = {}, {}, {}
        for name, m in self.markets.items():
            frame = pl.DataFrame(
                {
                    "open_time": [1000 * t for t in m.time],
                    "open": m.open,
                    "high": m.high,
                    "low": m.low,
                    "close": m.close,
                    "volume": [1.0] * len(m.time),
                }
            )
            candles[name] = bp.read_candles(
                frame,
                instrument=bp.Instrument(
                    "perpetual", maintenance=m.maintenance, lot=m.lot, min_notional=m.min_notional
                ),
                symbol=name,
                interval="1h",
                funding=pl.DataFrame(
                    {
                        "funding_time": [1000 * t for t, _ in m.funding],
                        "funding_rate": [rate for _, rate in m.funding],
                    }
                ),
                on_fault="ignore",
            )
            signals[name] = bp.Signals(**{k: np.array(v) for k, v in m.signals.items()})  # type: ignore[arg-type]
            given = {k: v for k, v in vars(m.rules).items() if v is not None}
            if m.rules.break_even is None:
                given.pop("break_even_offset")
            rules[name] = bp.Rules(**given)
        return bp.portfolio(
            candles,
            signals,
            rules,
            costs=bp.Costs(
                taker=self.costs.taker, maker=self.costs.maker, slippage=self.costs.slippage
            ),
            max_positions=self.max_positions,
            max_gross=self.max_gross,
            ledger=False,
        )


EXACT = [
    "signal_bar",
    "entry_bar",
    "exit_bar",
    "reason",
    "bars_held",
    "ambiguous",
    "ambiguous_trail",
]
PRICES = ["entry_price", "exit_price", "fraction"]
MONEY = ["quantity", "notional", "margin", "fees", "funding", "pnl"]


def compare(seed: int) -> Account:
    """Hold the engine to the twin on one draw, unless rounding decides how many lots it holds."""
    draw = Draw(seed)
    twin = Account(
        draw.markets,
        draw.costs,
        equity=INITIAL,
        max_positions=draw.max_positions,
        max_gross=draw.max_gross,
    ).run()
    if twin.by_rounding:
        return twin
    result = draw.run()
    said = f"draw {seed}"
    mine = sorted(twin.trades, key=lambda t: (t["symbol"], t["entry_bar"]))
    theirs = result.trades.sort("symbol", "entry_bar", maintain_order=True).rows(named=True)
    assert len(mine) == len(theirs), said
    for a, b in zip(mine, theirs, strict=True):
        assert (a["symbol"], a["side"]) == (b["symbol"], 1 if b["side"] == "long" else -1), said
        if a["exit_bar"] >= 0:  # others that a ruin ended are compared by what they gave
            assert [a[k] for k in EXACT] == [b[k] for k in EXACT], (said, a, b)
        for k in PRICES:
            assert b[k] == pytest.approx(a[k], rel=REFERENCE), (said, k, a, b)
        for k in MONEY:
            assert b[k] == pytest.approx(a[k], rel=REFERENCE, abs=LOST * INITIAL * REFERENCE), (
                said,
                k,
                a,
                b,
            )
    key = ["symbol", "bar", "side", "signal_bar", "reason"]
    ours = sorted(
        (r["symbol"], r["bar"], "long" if r["side"] > 0 else "short", r["signal_bar"], r["reason"])
        for r in twin.refused
    )
    assert ours == sorted(result.refused.select(key).rows()), said
    curve = result.equity["equity"].to_numpy()
    assert np.allclose(curve, twin.curve, rtol=REFERENCE, atol=LOST * INITIAL * REFERENCE), said
    # A record of what ruin ended says the bar of its last price, which may lie before the ruin.
    known = [
        twin.clock.index(draw.markets[b["symbol"]].time[b["exit_bar"]])
        for a, b in zip(mine, theirs, strict=True)
        if a["exit_bar"] < 0
    ]
    upto = min(known, default=len(twin.clock))
    held = result.exposure[:upto]
    assert held["positions"].to_list() == twin.count[:upto], said
    # Shares of an equity of nothing are undefined.
    for name, amounts in (("margin", twin.margins), ("gross", twin.gross)):
        both = zip(amounts[:upto], twin.curve[:upto], strict=True)
        values = [x / e if e > 0 else math.nan for x, e in both]
        assert np.allclose(
            held[name].to_numpy(), values, rtol=1e-7, atol=REFERENCE, equal_nan=True
        ), said
    return twin


@pytest.mark.parametrize("first", range(0, 1_000, 125))
def test_engine_agrees_with_the_text_on_a_thousand_draws(first: int) -> None:
    trades: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    ruined = rounded = 0
    for seed in range(first, first + 125):
        twin = compare(seed)
        trades.update(t["reason"] for t in twin.trades)
        refused.update(r["reason"] for r in twin.refused)
        ruined += twin.ruined
        rounded += twin.by_rounding > 0
    assert rounded <= 3
    # The draws reach what the text speaks of.
    assert set(trades) == set(
        "signal stop take trail breakeven time liquidation reverse end".split()
    )
    assert set(refused) == {"max_positions", "free", "max_gross"}
    assert min(refused.values()) > 100
    assert ruined > 5
