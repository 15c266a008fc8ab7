"""How long the page is, with no combination, with ten, and with ten thousand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof.report import render
from barproof.report.sweep_explorer import MAX_COMBINATIONS, grid_of
from tests.report import fakes
from tests.report.pages import Page

LIMIT = 6_000_000
"""Bytes that a page may have at ten thousand combinations."""


@pytest.fixture(scope="module")
def market() -> tuple[bp.Candles, bp.Signals, bp.Costs]:
    candles = bp.simulate_candles(3, bars=12_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    return candles, signals, bp.Costs(taker=0.0005, slippage=0.0001)


BASE = bp.Rules(entry_long=1.5, entry_short=1.5, stop_loss=0.01, take_profit=0.01, max_hold=48)


def swept(made: tuple[bp.Candles, bp.Signals, bp.Costs], **axes: Any) -> bp.Sweep:
    candles, signals, costs = made
    return bp.sweep(
        candles, signals, bp.Grid(BASE, **axes), costs=costs, ledger=False, progress=False
    )


def test_no_combination(market: tuple[bp.Candles, bp.Signals, bp.Costs], tmp_path: Path) -> None:
    candles, signals, costs = market
    made = bp.backtest(candles, signals, BASE, costs=costs, ledger=False)
    text = made.to_html(tmp_path / "none.html").read_text("utf-8")
    page = Page(text)
    assert len(text.encode()) < LIMIT / 2
    assert "sweep" not in page.ids
    assert "Combinations tried: unknown to this report" in page.words
    assert page.columns["fig-price-data"]["o"].size == 12_000


def test_ten_combinations(market: tuple[bp.Candles, bp.Signals, bp.Costs], tmp_path: Path) -> None:
    found = swept(market, stop_loss=[0.005, 0.01], max_hold=[6, 12, 24, 48, 96])
    text = found.to_html(tmp_path / "ten.html").read_text("utf-8")
    page = Page(text)
    assert len(text.encode()) < LIMIT / 2
    assert page.columns["fig-heatmap-data"]["a0"].size == 10
    # The combination whose rules are reported is the chosen one.
    best = found.best("sharpe")
    assert f"Combination {best.combination}, whose rules this page reports" in page.words
    assert page.data["fig-heatmap-data"]["number"] == str(best.combination)


def test_ten_thousand_combinations(
    market: tuple[bp.Candles, bp.Signals, bp.Costs], tmp_path: Path
) -> None:
    steps = [round(0.003 + 0.002 * i, 4) for i in range(10)]
    found = swept(
        market,
        entry_long=[round(1 + 0.1 * i, 2) for i in range(10)],
        stop_loss=steps,
        take_profit=steps,
        max_hold=[6 * (i + 1) for i in range(10)],
    )
    assert len(found) == 10_000
    text = found.to_html(tmp_path / "many.html").read_text("utf-8")
    page = Page(text)
    assert len(text.encode()) < LIMIT
    held = page.columns["fig-heatmap-data"]
    names = [m["label"] for m in page.data["fig-heatmap-data"]["metrics"]]
    assert names[0] == "Sharpe ratio"
    # Every combination is there, and nothing but the last digits of a metric is lost.
    np.testing.assert_array_equal(held["m0"], found.pooled["sharpe"].to_numpy().astype(np.float32))
    assert "Best 20 of 10,000 combinations" in page.words
    for key in ("sweep", "distribution", "top", "trades", "unchecked", "provenance"):
        assert key in page.ids


def test_more_than_a_page_holds() -> None:
    levels = list(range(160))
    found = fakes.sweep({"max_hold": levels, "stop_loss": levels}, windows=1)
    assert found.pooled.height == 25_600
    page = Page(render(sweep=found))
    held = page.columns["fig-heatmap-data"]
    assert MAX_COMBINATIONS * 0.8 < held["m0"].size <= MAX_COMBINATIONS
    assert "of 25,600 combinations: an even choice" in page.words
    chosen = page.data["fig-heatmap-data"]["chosen"]
    assert held["m0"][chosen] == np.float32(found.pooled["sharpe"].to_numpy().max())


def test_an_axis_of_very_many_levels_is_drawn_in_stretches() -> None:
    levels = list(range(1_000))
    found = fakes.sweep({"max_hold": levels, "stop_loss": [0.01, 0.02]}, windows=1)
    page = Page(render(sweep=found))
    axes = {a["name"]: a["labels"] for a in page.data["fig-heatmap-data"]["axes"]}
    assert len(axes["max_hold"]) == 60
    assert axes["max_hold"][0] == "0 to 16"
    assert axes["max_hold"][-1] == "984 to 999"
    which = [a["name"] for a in page.data["fig-heatmap-data"]["axes"]].index("max_hold")
    codes = page.columns["fig-heatmap-data"][f"a{which}"]
    rows = found.pooled["max_hold"].to_list()
    for code, value in zip(codes, rows, strict=True):
        first, last = axes["max_hold"][code].split(" to ")
        assert int(first.replace(",", "")) <= value <= int(last.replace(",", ""))


def test_neighbours_lie_one_step_beside() -> None:
    found = fakes.sweep()
    grid = grid_of(found, "sharpe")
    rows = found.pooled.select("entry_long", "stop_loss", "max_hold").rows()
    levels: list[list[Any]] = [[0.55, 0.6, 0.65, 0.7], [None, 0.005, 0.01, 0.02], [12, 48, 96]]
    mine = [axis.index(v) for axis, v in zip(levels, rows[grid.chosen], strict=True)]
    want = {
        i
        for i, row in enumerate(rows)
        if sum(abs(axis.index(v) - m) for axis, v, m in zip(levels, row, mine, strict=True)) == 1
    }
    assert {row for _, _, row in grid.neighbours()} == want
    sharpes = found.pooled["sharpe"].to_list()
    assert sharpes[grid.chosen] == max(sharpes)
