"""Parts of the page that stand for themselves: drift, what was not checked, making it again, exits over time."""

from __future__ import annotations

import ast
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.audits.catalogue import AUDITS
from barproof.report.candle_explorer import candle_explorer
from barproof.report.evidence import drift_figure, drift_section, unchecked_section
from barproof.report.figures import attribution_figure
from barproof.report.models import run_figure
from barproof.report.packing import arrays, smallest
from barproof.report.reproduce import command, reproduction
from barproof.report.sweep_figures import parallel_figure
from tests.report import fakes
from tests.report.pages import Page, page_of
from tests.tolerances import ROUNDING


def test_drift_is_that_of_the_audit() -> None:
    found = fakes.drift(("a", "b", "c"))
    page = page_of(audit=fakes.audit(found, *fakes.GOOD))
    assert "drift" in page.ids
    assert "1 of 3 features drifts between train and test rows" in page.words
    bars, marks = drift_figure(found.evidence["rows"]).data
    assert list(bars.x) == pytest.approx([0.1, 0.15, 0.3], rel=ROUNDING)
    assert list(marks.x) == [0.2] * 3
    assert len(set(bars.marker.color[:2])) == 1
    assert bars.marker.color[2] != bars.marker.color[0]


def test_without_a_measured_drift_there_is_no_section() -> None:
    assert drift_section(None) is None
    assert drift_section(fakes.audit(*fakes.GOOD)) is None
    assert drift_section(fakes.audit(fakes.finding("PAR-06", "skipped"))) is None


def test_what_was_not_checked() -> None:
    codes = ["SPL-07", "SPL-06", "ECO-02", "CAL-05"]
    skipped = [fakes.finding(code, "skipped") for code in codes]
    page = page_of(audit=fakes.audit(*fakes.GOOD, *skipped))
    assert "4 of 10 audits did not run" in page.words
    for code in codes:
        assert str(AUDITS[code].needs) in page.words
        assert f"finding-{code}" in page.ids
    # The count beside the verdict leads there.
    assert [a["href"] for t, a in page.tags if t == "a"].count("#unchecked") == 2
    assert "What no audit sees" in page.words
    alone = page_of(fakes.result(100, 5))
    assert "No audit looked at this" in alone.words
    assert (
        "Every audit that was asked for had what it looks at"
        in unchecked_section(fakes.audit(*fakes.GOOD)).body
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["/usr/bin/barproof", "demo", "--out", "a b"], "barproof demo --out 'a b'"),
        (["/x/site-packages/barproof/__main__.py", "audit"], "barproof audit"),
        (["study.py", "--seed", "7"], "python study.py --seed 7"),
        (["/x/site-packages/pytest/__main__.py", "-q"], ""),
        (["/x/lib/ipykernel_launcher.py", "-f", "k.json"], ""),
        (["-c"], ""),
        ([""], ""),
        ([], ""),
    ],
)
def test_the_command_that_made_the_page(arguments: list[str], line: str) -> None:
    assert command(arguments) == line
    if line:
        assert shlex.split(line)[1:][-len(arguments[1:]) :] == arguments[1:]
        assert "One command makes this page again" in reproduction(None, line)


def test_the_call_gives_the_same_result() -> None:
    candles = bp.simulate_candles(7, bars=3_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    rules = bp.Rules(entry_long=1.2, entry_short=1.3, stop_loss=0.01, max_hold=24)
    costs = bp.Costs(taker=0.0004, slippage=0.0001)
    made = bp.backtest(
        candles,
        signals,
        rules,
        costs=costs,
        window=(500, 2_500),
        initial_equity=5_000.0,
        ledger=False,
    )
    words = Page(reproduction(made, "")).words
    code = words.removeprefix("One call makes this result again ").split(" On the same data")[0]
    # Whitespace is folded in the words of a page; comments would swallow the rest.
    code = code.replace("# candles and signals: those whose digests stand below", "; ")
    tree = ast.parse(code.replace("import barproof as bp ;", "import barproof as bp;"))
    held: dict[str, Any] = {"candles": candles, "signals": signals}
    exec(compile(tree, "page", "exec"), held)
    again = held["result"]
    assert again.trades.equals(made.trades)
    assert again.equity.equals(made.equity)
    assert again.provenance["rules"] == made.provenance["rules"]


def test_exits_over_time_end_at_their_sums() -> None:
    made = fakes.result(5_000, 400)
    reasons = made.trades["reason"].unique().sort().to_list()
    figure = attribution_figure(made.trades, reasons)
    for trace in figure.data:
        own = made.trades.filter(pl.col("reason") == trace.name)
        assert trace.y[-1] == pytest.approx(own["pnl"].sum(), rel=ROUNDING)
        assert np.all(np.diff(np.asarray(trace.x).astype("datetime64[ms]").astype(np.int64)) >= 0)


def test_candles_in_the_page_are_those_of_the_result() -> None:
    made = fakes.result(3_000, 50)
    text = candle_explorer(made, table="")
    page = Page(text)
    head, held = page.data["fig-price-data"], page.columns["fig-price-data"]
    bars = made.candles.frame
    tick = head["tick"]
    close = np.cumsum(held["o"].astype(np.int64) + held["c"])
    first = close - held["c"]
    found = {
        "open": first,
        "close": close,
        "high": np.maximum(first, close) + held["h"],
        "low": np.minimum(first, close) - held["l"],
    }
    for name, ticks in found.items():
        # Half a tick at most, and a tick is a thousandth of a typical bar or less than ten times that.
        assert np.abs(ticks * tick - bars[name].to_numpy()).max() <= tick * 0.5001
    assert tick <= np.median((bars["high"] - bars["low"]).to_numpy()) / 100
    stamps = head["start"] + np.cumsum(held["t"].astype(np.int64)) * head["unit"]
    np.testing.assert_array_equal(stamps, bars["open_time"].dt.epoch("ms").to_numpy())
    trades = made.trades.sort("entry_time")
    np.testing.assert_array_equal(held["bought"], trades["entry_price"].to_numpy())
    np.testing.assert_array_equal(held["entered"], trades["entry_time"].dt.epoch("ms").to_numpy())
    assert [head["reasons"][i] for i in held["reason"]] == trades["reason"].to_list()


def test_many_bars_make_one() -> None:
    made = fakes.result(260_000, 5)
    held = Page(candle_explorer(made, table="")).columns["fig-price-data"]
    head = Page(candle_explorer(made, table="")).data["fig-price-data"]
    assert head["step"] == 3 * 300_000
    assert held["o"].size == -(-260_000 // 3)
    bars = made.candles.frame
    close = np.cumsum(held["o"].astype(np.int64) + held["c"])
    high = np.maximum(close, close - held["c"]) + held["h"]
    whole = bars["high"].to_numpy()[: 260_000 // 3 * 3].reshape(-1, 3).max(axis=1)
    assert np.abs(high[: whole.size] * head["tick"] - whole).max() <= head["tick"] * 0.5001


def test_bars_without_prices_are_left_out() -> None:
    made = fakes.result(200, 5)
    holes = made.candles.frame.with_columns(
        close=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("close"))
    )
    held = Page(
        candle_explorer(replace(made, candles=replace(made.candles, frame=holes)), table="")
    ).columns
    assert held["fig-price-data"]["o"].size == 200 - 29
    none = made.candles.frame.with_columns(close=pl.lit(None, pl.Float64))
    text = candle_explorer(replace(made, candles=replace(made.candles, frame=none)), table="")
    assert "no bar with prices" in text


def test_columns_survive_packing() -> None:
    rng = np.random.default_rng(4)
    columns = {
        "a": smallest(rng.integers(-100, 100, 500)),
        "b": smallest(rng.integers(-30_000, 30_000, 500)),
        "c": smallest(rng.integers(-(2**31), 2**31 - 1, 500)),
        "d": rng.normal(size=500),
        "e": rng.normal(size=500).astype(np.float32),
        "f": np.array([], dtype=np.int8),
    }
    assert [v.dtype.itemsize for v in columns.values()] == [1, 2, 4, 8, 4, 1]
    page = Page(arrays("k", {"told": "</script>"}, columns))
    assert page.data["k"]["told"] == "</script>"
    for name, values in columns.items():
        np.testing.assert_array_equal(page.columns["k"][name], values)


def test_parallel_lines_are_the_combinations() -> None:
    codes = np.array([[0, 0], [1, 0], [2, 1], [0, 1]])
    values = np.array([0.5, np.nan, 2.0, -1.0])
    figure, drawn = parallel_figure(
        codes, [["1", "2", "3"], ["off", "on"]], ["a", "b"], values, "sharpe", chosen=2
    )
    assert drawn == 4  # three with a value, the best of them once more as the chosen one
    chosen = figure.data[-1]
    assert chosen.name == "chosen"
    np.testing.assert_allclose(chosen.y[:3], [1.0, 1.0, 1.0])
    assert np.isnan(chosen.y[3])
    assert {t.name for t in figure.data} == {"the others", "best tenth", "chosen"}


@pytest.mark.parametrize(("kind", "panels"), [("ternary", 4), ("binary", 2), ("regression", 1)])
def test_a_run_plots_itself(kind: str, panels: int) -> None:
    figure = run_figure(fakes.run(kind))
    assert len({t.xaxis for t in figure.data}) == panels
    assert figure.data[-1].type == "bar"
    assert len(figure.data[-1].x) == 5
    assert not run_figure(fakes.run(kind, rows=0)).data


def test_a_real_run_plots_itself(tmp_path: Path) -> None:
    candles = bp.simulate_candles(7, bars=4_000, edge=0.2)
    table = candles.to_polars().select("open_time").with_columns(score=candles.planted)
    labels = bp.labels.horizon(candles, bars=6, threshold=0.002)
    folds = bp.WalkForward(1_500, 600, tune=600)
    run = bp.train(bp.models.Logistic(), table, labels, folds, seed=7, ledger=False)
    assert len(run.plot().data) == 10
    run.plot().write_html(tmp_path / "run.html", include_plotlyjs=False)
