"""Sweeps of a shared account: every row is the portfolio of its combination, to the bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof._frames import METRICS
from tests.tolerances import REFERENCE

COSTS = bp.Costs(taker=0.0005)
NAMES = [row["name"] for row in METRICS]


@pytest.fixture(scope="module")
def market() -> tuple[dict[str, bp.Candles], dict[str, bp.Signals]]:
    candles, signals = {}, {}
    for k, name in enumerate("ABC"):
        bars = bp.simulate_candles(k + 11, bars=3_000, edge=0.1)
        if k:
            # Holes, and a later start.
            keep = np.setdiff1d(np.arange(40 * k, 3_000), np.arange(500 * k, 500 * k + 90))
            bars = bars._take(keep)
        candles[name] = bars
        assert bars.planted is not None
        signals[name] = bp.Signals(long=bars.planted, short=-bars.planted, kind="score")
    return candles, signals


def swept(market: Any, **options: Any) -> Any:
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24, fraction=0.5)
    grid = bp.Grid(rules, stop_loss=[0.01, 0.03], entry_long=[1.2, 1.8])
    candles, signals = market
    return bp.sweep(
        candles,
        signals,
        grid,
        costs=COSTS,
        account="shared",
        ledger=False,
        progress=False,
        **options,
    )


def test_every_row_is_a_portfolio(market: Any) -> None:
    found = swept(
        market,
        max_positions=[None, 1],
        max_gross=[None, 0.6],
        symbols=[["A", "B", "C"], ["A", "C"]],
        windows="4d",
        threads=2,
    )
    assert found.frame.height == 32 * len(found.windows)
    assert found.axes == ["max_positions", "max_gross", "symbols", "stop_loss", "entry_long"]
    for row in found.frame.sample(12, seed=3).rows(named=True):
        setup = found.setup(row["combination"])
        assert (setup["max_positions"], setup["max_gross"]) == (
            row["max_positions"],
            row["max_gross"],
        )
        assert " ".join(setup["symbols"]) == row["symbols"]
        rules = found.rules(row["combination"])
        assert (rules.stop_loss, rules.entry_long) == (row["stop_loss"], row["entry_long"])
        chosen = {s: rules if s in setup["symbols"] else bp.Rules() for s in market[0]}
        candles, signals = market
        alone = bp.portfolio(
            candles,
            signals,
            chosen,
            costs=COSTS,
            max_positions=setup["max_positions"],
            max_gross=setup["max_gross"],
            window=found.windows[row["window"]],
            engine="replay",
            ledger=False,
        )
        np.testing.assert_array_equal(
            [row[name] for name in NAMES], [alone.metrics[name] for name in NAMES]
        )


def test_engines_and_threads_give_the_same_bits(market: Any) -> None:
    options: dict[str, Any] = {"max_positions": [1, 2], "windows": "5d"}
    first = swept(market, engine="indexed", threads=2, **options)
    second = swept(market, engine="replay", threads=1, **options)
    assert first.frame.equals(second.frame, null_equal=True)
    assert first.pooled.equals(second.pooled, null_equal=True)


def test_daily_returns_serve_the_statistics(market: Any) -> None:
    found = swept(market, max_positions=[1, 2])
    daily = found.daily_returns.to_numpy()
    assert daily.shape == (8, len(found.daily_returns.dates))
    for number in (0, 5):
        np.testing.assert_array_equal(daily[number], found.result(number).daily_returns["return"])
    best = found.best("sharpe")
    assert best.metrics["sharpe"] == found.pooled["sharpe"].max()
    np.testing.assert_array_equal(
        list(found.result(best.combination).metrics.values()), list(best.metrics.values())
    )


def test_a_folder_goes_on_where_it_was(market: Any, tmp_path: Path) -> None:
    first = swept(market, max_positions=[1, None], out=tmp_path / "s")
    again = swept(market, max_positions=[1, None], out=tmp_path / "s")
    memory = swept(market, max_positions=[1, None])
    assert first.frame.equals(memory.frame, null_equal=True)
    assert again.frame.equals(memory.frame, null_equal=True)
    with pytest.raises(bp.FileError):
        swept(market, max_positions=[2, None], out=tmp_path / "s")


def test_one_symbol_without_limits_is_a_sweep_of_its_own(market: Any) -> None:
    candles, signals = market
    one = swept(({"A": candles["A"]}, {"A": signals["A"]}))
    rules = bp.Rules(entry_long=1.5, entry_short=1.5, max_hold=24, fraction=0.5)
    grid = bp.Grid(rules, stop_loss=[0.01, 0.03], entry_long=[1.2, 1.8])
    own = bp.sweep(candles["A"], signals["A"], grid, costs=COSTS, ledger=False, progress=False)
    assert one.pooled.select(NAMES).equals(own.pooled.select(NAMES), null_equal=True)


def test_the_plan_says_the_way(market: Any) -> None:
    found = swept(market, max_positions=[1, 2])
    assert "8 share an account" in str(found.plan)


def test_walk_forward_stitches_what_was_chosen_before(market: Any) -> None:
    found = swept(market, max_positions=[1, 2], windows="2d")
    walk = found.walk_forward(earlier=2, metric="total_return", ledger=False)
    assert walk.choices.height == len(found.windows) - 2
    assert walk.trials == 8
    for row in walk.choices.rows(named=True):
        number = row["window"]
        before = swept(market, max_positions=[1, 2], windows=found.windows[number - 2 : number])
        best = before.best("total_return")
        assert (best.combination, best.metrics["total_return"]) == (
            row["combination"],
            row["chosen_total_return"],
        )
        alone = found.result(row["combination"], number)
        assert alone.metrics["total_return"] == row["judged_total_return"]
    # The last choice decides from its window on, over what was carried into it.
    last = walk.choices.row(-1, named=True)
    late = walk.trades.filter(walk.trades["entry_time"].dt.epoch("ms") > last["start"])
    assert late.height
    assert walk.equity.height == found.windows[-1][1] - found.windows[2][0]
    closed = found.walk_forward(earlier=2, metric="total_return", boundary="close", ledger=False)
    assert closed.metrics["n_end"] >= walk.metrics["n_end"]


def test_statistics_audits_and_reports_take_it(tmp_path: Path) -> None:
    candles = {name: bp.simulate_candles(k + 40, bars=12_000) for k, name in enumerate("AB")}
    noise = np.random.default_rng(5)
    signals = {}
    for name, bars in candles.items():
        said = noise.normal(size=len(bars))
        signals[name] = bp.Signals(long=said, short=-said, kind="score")
    found = swept((candles, signals), max_positions=[1, 2])
    daily = found.daily_returns.to_numpy()
    judged = bp.stats.overfitting(found, trials=8, resamples=199)
    # The same statistics of the matrix by itself.
    alone = bp.stats.pbo(daily.T)
    assert judged.pbo.pbo == alone.pbo
    ratios = daily.mean(axis=1) / daily.std(axis=1)
    assert judged.best == int(np.argmax(ratios))
    assert judged.sharpe == pytest.approx(ratios.max(), rel=REFERENCE)
    report = bp.audit(sweep=found)
    told = {finding.id: finding.outcome for finding in report.findings}
    # Signals of noise: no audit of the search calls the best one more than luck.
    assert {"OVF-02", "OVF-03", "OVF-04", "OVF-05"} <= set(told)
    assert report.exit_code != 0
    page = found.to_html(tmp_path / "sweep.html").read_text()
    assert "max_positions" in page
