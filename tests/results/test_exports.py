"""Exports that the tools make themselves, in this test: what is read is what they say, and what they do is found."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import barproof as bp
from barproof.results import read_fills, round_trips, take_trades

near = pytest.approx
# What these tools use of pandas is theirs to mend.
pytestmark = pytest.mark.filterwarnings("ignore")
BARS = 1_200
FEE = 0.001


@pytest.fixture(scope="module")
def candles() -> bp.Candles:
    return bp.simulate_candles(7, bars=BARS, interval="1h")


@pytest.fixture(scope="module")
def frame(candles: bp.Candles) -> pd.DataFrame:
    index = pd.DatetimeIndex(pd.to_datetime(np.asarray(candles.open_time), unit="ms"))
    names = ("open", "high", "low", "close", "volume")
    return pd.DataFrame({n.title(): np.array(getattr(candles, n)) for n in names}, index=index)


@pytest.fixture(scope="module")
def stats(frame: pd.DataFrame) -> Any:
    """A run of backtesting.py, long and short."""
    backtesting = pytest.importorskip("backtesting")

    class Flip(backtesting.Strategy):  # type: ignore[misc, name-defined]
        def init(self) -> None: ...

        def next(self) -> None:
            bar = len(self.data)
            if bar % 8 == 0:
                if self.position:
                    self.position.close()
                elif bar // 16 % 3:
                    self.buy(size=0.5)
                else:
                    self.sell(size=0.5)

    run = backtesting.Backtest(frame, Flip, cash=10_000_000, commission=FEE, finalize_trades=True)
    backtesting.backtesting._tqdm = lambda iterable, **_: iterable
    return run.run()


@pytest.fixture(scope="module")
def portfolio(frame: pd.DataFrame) -> Any:
    """A run of vectorbt at its defaults: it fills at the close that decided."""
    vectorbt = pytest.importorskip("vectorbt")
    at = np.arange(len(frame))
    entries, exits = pd.Series(at % 20 == 5, frame.index), pd.Series(at % 20 == 15, frame.index)
    return vectorbt.Portfolio.from_signals(frame["Close"], entries, exits, fees=FEE, freq="1h")


def test_backtesting(stats: Any, candles: bp.Candles, tmp_path: Path) -> None:
    held = take_trades(stats)
    theirs = stats._trades
    assert held.tool == "backtesting.py" and held.trades.height == len(theirs) > 60
    assert held.trades["return"].to_list() == near(theirs["ReturnPct"].to_list())
    assert held.trades["fees"].sum() == near(stats["Commissions [$]"])
    assert (held.trades["return"].to_numpy() > 0).mean() * 100 == near(stats["Win Rate [%]"])
    sides = ["long" if size > 0 else "short" for size in theirs["Size"]]
    assert held.trades["side"].to_list() == sides and set(sides) == {"long", "short"}
    # The same from a file, and from the frame.
    theirs.to_csv(tmp_path / "trades.csv", index=False)
    theirs.drop(columns=["Duration", "SL", "TP", "Tag"]).to_parquet(tmp_path / "trades.parquet")
    for source in (tmp_path / "trades.csv", tmp_path / "trades.parquet", theirs):
        again = bp.read_trades(source)
        assert again.select("return", "entry_time", "side").equals(
            held.trades.select("return", "entry_time", "side")
        )
    report = bp.audit(trades=held.trades, candles=candles, ledger=False)
    outcomes = {f.id: f.outcome for f in report}
    # It fills at the next open, as it says, and its returns are its prices'.
    for code in ("FILL-01", "FILL-02", "FILL-04", "FILL-05", "FILL-06"):
        assert outcomes[code] == "pass", report[code].title
    assert outcomes["ECO-09"] == "pass"
    equity = bp.read_equity(stats)
    assert equity["equity"].to_list() == near(stats._equity_curve["Equity"].to_list())


def test_vectorbt(portfolio: Any, candles: bp.Candles, tmp_path: Path) -> None:
    held = take_trades(portfolio)
    theirs = portfolio.trades.records_readable
    closed = theirs[theirs["Status"] == "Closed"]
    assert held.tool == "vectorbt" and held.trades.height == len(closed) == 60
    assert held.trades["return"].to_list() == near(closed["Return"].to_list())
    assert held.trades["fees"].to_list() == near(
        (closed["Entry Fees"] + closed["Exit Fees"]).to_list()
    )
    theirs.to_csv(tmp_path / "trades.csv", index=False)
    assert bp.read_trades(tmp_path / "trades.csv")["return"].to_list() == near(
        closed["Return"].to_list()
    )
    report = bp.audit(trades=held.trades, candles=candles, ledger=False)
    assert report["FILL-04"].outcome == "warn"
    assert "decided and filled at one price" in report["FILL-04"].title
    assert report["FILL-04"].evidence["same_close"] == 60
    for code in ("FILL-01", "FILL-02", "FILL-05", "FILL-06"):
        assert report[code].outcome == "pass", report[code].title
    assert bp.read_equity(portfolio)["equity"].to_list() == near(portfolio.value().to_list())


def test_open_trades_are_left_out(frame: pd.DataFrame) -> None:
    vectorbt = pytest.importorskip("vectorbt")
    entry = pd.Series(np.arange(len(frame)) == 7, frame.index)
    held = take_trades(
        vectorbt.Portfolio.from_signals(frame["Close"], entry, ~(entry | True), freq="1h")
    )
    assert held.trades.height == 0
    assert held.notes[-1] == "1 trades that are still open are left out"


def test_orders_are_fills(portfolio: Any, candles: bp.Candles) -> None:
    """The round trips that are made of its orders are the trades that it makes of them."""
    orders = portfolio.orders.records_readable
    held = take_trades(orders)
    assert held.tool == "fills" and held.fills is not None and held.fills.height == len(orders)
    theirs = portfolio.trades.records_readable
    for ours, name in (("pnl", "PnL"), ("return", "Return"), ("entry_price", "Avg Entry Price")):
        assert held.trades[ours].to_list() == near(theirs[name].to_list(), rel=1e-9), name
    report = bp.audit(trades=held.trades, fills=held.fills, candles=candles, ledger=False)
    assert report["FILL-01"].measured is not None and report["FILL-01"].measured.n == 120
    assert "fills" in report.required


def freqtrade_trade(
    candles: bp.Candles, i: int, j: int, short: bool = False, **more: Any
) -> dict[str, Any]:
    """A trade as freqtrade writes it: filled at opens, fees as rates, the return after them."""
    start, end = (
        str(np.datetime64(int(candles.open_time[k]), "ms"))[:19].replace("T", " ") for k in (i, j)
    )
    a, b = float(candles.open[i]), float(candles.open[j])
    up, down = (b * (1 - FEE)) / (a * (1 + FEE)) - 1, 1 - (b * (1 + FEE)) / (a * (1 - FEE))
    ratio = down if short else up
    return {
        "pair": "SIM/USDT",
        "stake_amount": 100.0,
        "amount": 100.0 / a,
        "open_date": f"{start}+00:00",
        "close_date": f"{end}+00:00",
        "open_rate": a,
        "close_rate": b,
        "fee_open": FEE,
        "fee_close": FEE,
        "profit_ratio": ratio,
        "profit_abs": 100.0 * ratio,
        "exit_reason": "exit_signal",
        "is_open": False,
        "is_short": short,
        "leverage": 1.0,
        "enter_tag": None,
        "orders": [{"amount": 1.0}],
        **more,
    }


@pytest.fixture
def result(candles: bp.Candles) -> dict[str, Any]:
    rows = [freqtrade_trade(candles, i, i + 6, short=i % 3 == 0) for i in range(20, 1_100, 20)]
    rows.append(freqtrade_trade(candles, 1_150, 1_160, is_open=True))
    return {"strategy": {"Sample": {"trades": rows, "timeframe": "1h"}}, "strategy_comparison": []}


def test_freqtrade(result: dict[str, Any], candles: bp.Candles, tmp_path: Path) -> None:
    text = json.dumps(result)
    (tmp_path / "r.json").write_text(text)
    with zipfile.ZipFile(tmp_path / "r.zip", "w") as archive:
        archive.writestr("backtest-result-2024.json", text)
        archive.writestr("backtest-result-2024_config.json", "{}")
        archive.writestr("backtest-result-2024_Sample.py", "raise SystemExit('never run')")
    one = take_trades(tmp_path / "r.json")
    assert one.tool == "freqtrade" and one.trades.height == 54
    assert "54 trades of freqtrade, under its names" in one.notes[1] or one.notes[1].startswith(
        "54"
    )
    assert take_trades(tmp_path / "r.zip").trades.equals(one.trades)
    assert take_trades(result).trades.equals(one.trades)
    rows = result["strategy"]["Sample"]["trades"][:-1]
    assert one.trades["return"].to_list() == near([row["profit_ratio"] for row in rows])
    report = bp.audit(trades=one.trades, candles=candles, ledger=False)
    for code in ("FILL-01", "FILL-02", "FILL-04", "FILL-05", "FILL-06"):
        assert report[code].outcome == "pass", report[code].title


def test_names_of_freqtrade_that_are_hostile(candles: bp.Candles) -> None:
    row = freqtrade_trade(
        candles, 20, 26, pair="=cmd|' /C calc'!A0", exit_reason="\x1b[2J<script>alert(1)</script>"
    )
    held = bp.read_trades({"strategy": {"\x1b]0;x\x07S": {"trades": [row]}}})
    assert held["symbol"].to_list() == ["'=cmd|' /C calc'!A0"]
    assert held["reason"].to_list() == ["[2J<script>alert(1)</script>"]


def _binance() -> Iterator[dict[str, str]]:
    rows = ["2024-01-01 00:00:00,BUY,100,1,0.1", "2024-01-01 01:00:00,BUY,102,1,0.1",
            "2024-01-01 02:00:00,SELL,105,3,0.3", "2024-01-01 03:00:00,BUY,104,1,0.1"]  # fmt: skip
    for row in rows:
        yield dict(
            zip(("Date(UTC)", "Side", "Price", "Executed", "Fee"), row.split(","), strict=True)
        )


def test_fills_of_a_broker() -> None:
    """Worked by hand: bought 2 at a mean of 101, sold at 105; the rest of that sale is short 1, closed at 104."""
    fills = read_fills(pl.DataFrame(list(_binance())))
    trips = round_trips(fills)
    assert trips["side"].to_list() == ["long", "short"]
    assert trips["entry_price"].to_list() == near([101.0, 105.0])
    assert trips["pnl"].to_list() == near([2 * 4 - 0.2 - 0.2, 1 - 0.1 - 0.1])
    assert trips["return"].to_list() == near([7.6 / 202, 0.8 / 105])
    assert trips["fees"].sum() == near(fills["fees"].sum())
    signed = pl.DataFrame(
        {"date": ["2024-01-01", "2024-01-02"], "price": [10.0, 12.0], "qty": [5.0, -5.0]}
    )
    assert round_trips(read_fills(signed))["return"].to_list() == near([0.2])


def test_pybroker() -> None:
    """Rows that pybroker 2.0.2 wrote (its README's form): percents of two decimals, before fees."""
    rows = pl.DataFrame(
        {
            "type": ["long", "long", "short"],
            "symbol": ["SIM"] * 3,
            "entry_date": ["2022-01-17 12:50:00", "2022-01-17 17:20:00", "2022-01-17 22:00:00"],
            "exit_date": ["2022-01-17 14:05:00", "2022-01-17 19:15:00", "2022-01-17 22:40:00"],
            "entry": [93.92, 93.84, 93.33],
            "exit": [94.53, 94.01, 93.86],
            "shares": [112.786601, 113.512947, 114.215963],
            "pnl": [68.8, 19.3, -60.53],
            "return_pct": [0.65, 0.18, -0.57],
            "agg_pnl": [1012.31, 1031.6, 971.08],
        }
    )
    held = take_trades(rows)
    assert held.tool == "pybroker"
    assert held.trades["return"].to_list() == near([0.0065, 0.0018, -0.0057])
    assert held.trades["side"].to_list() == ["long", "long", "short"]
    assert any("before them" in note for note in held.notes)


@pytest.mark.parametrize(("scale", "name"), [(1.0, "return_pct"), (100.0, "profit_percent")])
def test_percents_are_told_by_their_prices(scale: float, name: str) -> None:
    """The same trades whether a name with `pct` holds fractions or percents."""
    rng = np.random.default_rng(3)
    moved = rng.normal(0.0, 0.02, 40)
    rows = pl.DataFrame(
        {
            "side": ["long"] * 40,
            "entry_price": np.full(40, 100.0),
            "exit_price": 100.0 * (1.0 + moved),
            name: scale * (moved - 0.001),
        }
    )
    trades = take_trades(rows, columns={"return": name}).trades
    assert trades["return"].to_numpy() == near(moved - 0.001)
