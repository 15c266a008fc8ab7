"""The report: what it says, what it must not do, and the results that are hard to show."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from subprocess import run
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.errors import FileError
from barproof.report import Section, formats, render, write_report
from barproof.report.candle_explorer import MAX_MARKS
from barproof.report.figures import equity_figure, heatmap_figure, histogram, result_figure
from barproof.report.inputs import curves, drawdown
from barproof.report.result import monthly_returns
from barproof.report.sweep import ranking
from barproof.report.thinning import MAX_POINTS, MAX_TRADES, extremes, spread
from barproof.report.trades import exits_table
from tests.report import fakes
from tests.report.pages import Page, page_of

SECTIONS = ("know", "equity", "statistics", "months", "trades", "exits", "costs", "rules")
SWEEP_SECTIONS = ("sweep", "distribution", "top")
ALWAYS = ("unchecked", "provenance")


@pytest.fixture(scope="module")
def whole() -> str:
    """A page with a result and a sweep."""
    limits = (fakes.blank_metrics(total_return=-0.1), fakes.blank_metrics(total_return=0.3))
    return render(fakes.result(limits=limits), fakes.sweep(), title="All of it")


def test_every_section_is_there(whole: str) -> None:
    page = Page(whole)
    for key in (*SECTIONS, *SWEEP_SECTIONS, *ALWAYS):
        assert page.ids.count(key) == 1, key
        assert f'href="#{key}"' in whole
    assert len(page.ids) == len(set(page.ids))
    assert {k.removesuffix("-data") for k in page.data} == {
        "fig-equity",
        "fig-price",
        "fig-returns",
        "fig-excursions",
        "fig-exits",
        "fig-attribution",
        "fig-heatmap",
        "fig-parallel",
        "fig-distribution",
        "fig-windows",
    }
    for digest in ("a" * 64, "b" * 64, "c" * 64, "5" * 64, "d" * 64):
        assert digest in page.words


def test_the_page_is_accessible(whole: str) -> None:
    page = Page(whole)
    tags = page.tags
    assert ("html", {"lang": "en"}) in tags
    assert [t for t, _ in tags if t == "h1"] == ["h1"]
    assert all(a.get("scope") in ("row", "col") for t, a in tags if t == "th")
    plots = [a for _, a in tags if a.get("class") == "plot"]
    assert plots
    assert all(a["role"] == "img" and len(str(a["aria-label"])) > 20 for a in plots)
    boxes = [a for _, a in tags if str(a.get("class", "")).startswith("scroll")]
    assert all(a.get("tabindex") == "0" and a.get("aria-label") for a in boxes)
    assert any(a.get("name") == "viewport" for t, a in tags if t == "meta")


def test_nothing_is_loaded(whole: str) -> None:
    page = Page(whole)
    for tag, found in page.tags:
        for name in ("src", "srcset", "poster", "action", "data", "background", "xlink:href"):
            assert name not in found, (tag, found)
        if "href" in found:
            assert str(found["href"]).startswith(("#", "data:")), (tag, found)
    styles = re.findall(r"<style>(.*?)</style>", whole, re.S)
    assert len(styles) == 1
    assert "url(" not in styles[0]
    assert "@import" not in styles[0]
    assert "http" not in styles[0]
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "MathJax" not in whole


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def test_plotly_is_there_once_and_the_page_stays_small(whole: str) -> None:
    assert Page(whole).library == _plotly()
    assert whole.count('id="plotly"') == 1
    assert len(whole.encode()) < 3_000_000


def test_a_long_run_stays_small() -> None:
    market = fakes.candles(400_000)
    made = fakes.result(400_000, 60_000, candles=market)
    text = render(made)
    assert len(text.encode()) < 6_000_000
    page = Page(text)
    assert f"{MAX_TRADES:,} of 60,000 trades" in re.sub(
        r"\d,\d{3} of", f"{MAX_TRADES:,} of", page.words
    )
    for trace in page.data["fig-equity-data"]["data"]:
        assert _length(trace["x"]) <= MAX_POINTS
    held = page.columns["fig-price-data"]
    assert held["o"].size == 100_000
    assert MAX_MARKS * 0.9 < held["entered"].size <= MAX_MARKS


def _length(values: Any) -> int:
    if isinstance(values, dict):
        width = {"f8": 8, "f4": 4, "i4": 4}[values["dtype"]]
        return len(values["bdata"]) * 3 // 4 // width
    return len(values)


BAD = "<script>alert(1)</script>\"'&"


def test_text_from_outside_is_escaped() -> None:
    market = fakes.candles(500, symbol=BAD, faults=(BAD,), repairs=(BAD,), digest=BAD)
    made = fakes.result(500, 60, candles=market)
    odd = made.trades.with_columns(pl.lit(BAD).alias("reason"), pl.lit(BAD).alias("side"))
    made = replace(
        made,
        trades=odd,
        rules=replace(fakes.Rules(), intrabar=BAD, fill=BAD),
        provenance={BAD: BAD},
    )
    found = fakes.sweep({"sizing": [BAD, "risk"], "max_hold": [1, 2]})
    text = render(made, replace(found, provenance={BAD: BAD}), title=BAD)
    assert "<script>alert" not in text
    assert "alert(1)</script>" not in text
    page = Page(text)
    assert BAD in page.words
    assert [t for t, _ in page.tags].count("script") == 2 + len(page.data)
    assert any(BAD in axis["labels"] for axis in page.data["fig-heatmap-data"]["axes"])


def test_json_cannot_end_its_script() -> None:
    made = fakes.result(300, 20)
    odd = made.trades.with_columns(pl.lit("</script><!--\u2028").alias("reason"))
    page = page_of(replace(made, trades=odd))
    assert page.data["fig-exits-data"]["data"][0]["y"] == ["&lt;/script>&lt;!--\u2028"]


@pytest.mark.parametrize(
    ("bars", "count"), [(1, 0), (2, 0), (60, 0), (3, 1), (60, 1), (60, 2), (60, 29), (60, 41)]
)
def test_small_results(bars: int, count: int) -> None:
    page = page_of(fakes.result(bars, count))
    assert set(SECTIONS) <= set(page.ids)
    if count == 0:
        assert "No trades" in page.words
        assert "There are no trades" in page.words
    elif count < 30:
        assert f"Only {formats.plural(count, 'trade')}" in page.words
    assert "nan" not in page.words.lower().split()
    assert "inf" not in page.words.lower().split()


def test_no_bars_at_all() -> None:
    page = page_of(fakes.result(0, 0))
    assert "There are no bars in this window" in page.words


def test_ruin() -> None:
    made = fakes.result(2_000, 50)
    line = np.where(np.arange(2_000) < 900, 10_000.0, 0.0)
    ruined = made.equity.with_columns(pl.Series("equity", line))
    metrics = {**made.metrics, "final_equity": 0.0, "total_return": -1.0, "n_liquidation": 2}
    page = page_of(replace(made, equity=ruined, metrics=metrics))
    assert "Ruin. The account went to zero" in page.words
    assert "2 liquidations" in page.words
    figure = equity_figure(replace(made, equity=ruined))
    assert figure.layout.yaxis.type == "linear"
    assert float(drawdown(line, 10_000.0).min()) == -1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e300, -1e300, 0.0])
def test_any_metric_value(value: Any) -> None:
    made = fakes.result(200, 10)
    every = dict.fromkeys(made.metrics, value)
    page = page_of(replace(made, metrics=every, limits=(every, every)))
    assert "nan" not in page.words.lower().split()
    if math.isnan(value):
        assert "n/a" in page.words
    if value == math.inf:
        assert "∞" in page.words


@pytest.mark.parametrize(
    "value", [None, "text", 10**400, -(10**400), 1e308, -0.0, 5e-324, math.nan]
)
def test_formatters_never_raise(value: Any) -> None:
    for form in (
        formats.number,
        formats.percent,
        formats.bps,
        formats.count,
        formats.money,
        formats.price,
    ):
        assert form(value)
    for name in ("sharpe", "trades", "total_return", "expectancy", "fees", "unheard_of"):
        assert formats.metric(name, value)
        assert formats.stat(name, value)[1]
    assert formats.percent(-0.0) == "0.00%"
    assert formats.number(-0.001) == "0.00"


def test_any_equity_and_trade_value() -> None:
    made = fakes.result(400, 30)
    line = np.geomspace(1e-3, 1e280, 400)
    line[5] = math.nan
    wild = {
        n: pl.Series([math.nan, math.inf, -math.inf, 1e300, 0.0] * 6)
        for n in ("return", "pnl", "mae", "fees")
    }
    odd = made.trades.with_columns(**wild)
    page = page_of(
        replace(made, equity=made.equity.with_columns(pl.Series("equity", line)), trades=odd)
    )
    assert set(SECTIONS) <= set(page.ids)


@pytest.mark.parametrize(
    ("axes", "metric"),
    [
        ({}, None),
        ({"stop_loss": [0.01]}, None),
        ({"stop_loss": [0.01, 0.02, None]}, None),
        ({"reverse": [True, False], "sizing": ["fraction", "risk"]}, None),
        ({"stop_loss": [0.01, 0.02], "max_hold": [1, 2]}, lambda i: math.nan),
        ({"stop_loss": [0.01, 0.02], "max_hold": [1, 2]}, lambda i: math.inf if i else -math.inf),
        ({"stop_loss": [0.01, 0.02], "max_hold": [1, 2]}, lambda i: 1e300 * (-1) ** i),
        ({"stop_loss": [0.01, 0.02], "max_hold": [1, 2]}, lambda i: 0.0),
    ],
)
def test_odd_sweeps(axes: Any, metric: Any) -> None:
    found = fakes.sweep(axes, windows=1 if not axes else 3, metric=metric)
    page = page_of(sweep=found)
    assert {"know", *SWEEP_SECTIONS} <= set(page.ids)
    assert "nan" not in page.words.lower().split()


def test_an_empty_sweep() -> None:
    found = fakes.sweep()
    page = page_of(sweep=replace(found, frame=found.frame.clear(), pooled=found.pooled.clear()))
    assert "no combination with a metric" in page.words


def test_what_to_know_is_stated() -> None:
    market = fakes.candles(3_000, symbol="SIMUSDT", instrument=fakes.Instrument("spot"))
    low, high = fakes.blank_metrics(total_return=-0.05), fakes.blank_metrics(total_return=0.2)
    made = fakes.result(
        3_000,
        200,
        candles=market,
        rules=replace(fakes.Rules(), fill="close", intrabar="optimistic", trailing=0.01),
        costs=fakes.Costs(0.0, 0.0, 0.0),
        limits=(low, high),
        metrics={"ambiguous_share": 0.123, "ambiguous_trail_share": 0.045},
    )
    words = page_of(made, fakes.sweep()).words
    for text in (
        "The market is simulated",
        "48 combinations of rules were tried",
        "Fills at the same close",
        "Intrabar rule: optimistic; 12.30% of trades ambiguous",
        "Trailing or break-even stops: 4.50% of trades ambiguous",
        "Range of the total return: −5.00% to 20.00%",
        "The sign of the result depends on what cannot be known",
        "Costs are free",
        "Borrowing cost is not modelled",
        "No liquidations",
    ):
        assert text in words
    honest = page_of(fakes.result(3_000, 200)).words
    assert "Fills at the next open" in honest
    assert "Combinations tried: unknown to this report" in honest
    assert "Costs: taker 5.00 bps, maker 2.00 bps, slippage 1.00 bps" in honest
    assert "simulated" not in honest
    assert "Costs are free" not in honest


def test_the_best_of_many_is_called_biased() -> None:
    words = page_of(sweep=fakes.sweep()).words
    assert "The best of 48 is biased upward" in words
    assert "Best 20 of 48 combinations" in words


def test_a_schedule_of_rules() -> None:
    plan = [(0, fakes.Rules()), (1_000, replace(fakes.Rules(), entry_long=0.7, fill="close"))]
    words = page_of(fakes.result(2_000, 50, rules=plan)).words
    assert "Rules that change over the schedule" in words
    assert "Fills at the next open" in words
    assert "Fills at the same close" in words


def test_extra_sections_and_title() -> None:
    extra = [("Mine <b>", "<p id='own'>text</p>"), Section("named", "Named", "<p>more</p>")]
    page = page_of(fakes.result(50, 3), title="A & B", extra_sections=extra)
    assert {"extra-1", "own", "named"} <= set(page.ids)
    assert "Mine <b>" in page.words
    assert "A & B" in page.words


def test_exits_add_up() -> None:
    made = fakes.result(5_000, 400)
    table = exits_table(made.trades)
    assert table["trades"].sum() == 400
    assert table["share"].sum() == pytest.approx(1.0)
    assert table["sum_pnl"].sum() == pytest.approx(made.trades["pnl"].sum())


def test_months_compound_to_the_total() -> None:
    made = fakes.result(60_000, 800)
    months = monthly_returns(made.equity, 10_000.0)
    assert len(months) == 7
    total = math.prod(1 + v for v in months.values())
    assert total == pytest.approx(made.equity["equity"][-1] / 10_000)


def test_buy_and_hold_starts_at_the_first_open_of_the_window() -> None:
    made = fakes.result(1_000, 0)
    part = replace(made, equity=made.equity.slice(400, 100), window=(400, 500))
    lines = curves(part)
    bars = made.candles.frame
    assert lines.hold[0] == pytest.approx(10_000 * bars["close"][400] / bars["open"][400])
    assert lines.hold[-1] == pytest.approx(10_000 * bars["close"][499] / bars["open"][400])


@pytest.mark.parametrize("n", [1, 3, 4_000, 4_001, 4_003, 9_999, 123_457])
def test_thinning_keeps_the_extremes(n: int) -> None:
    line = np.random.default_rng(n).normal(size=n).cumsum()
    if n > 10:
        line[n // 3] = 1e6
        line[n // 2] = -1e6
        line[n // 4] = math.nan
    keep = extremes(line)
    assert keep.size <= MAX_POINTS
    assert keep[0] == 0
    assert keep[-1] == n - 1
    assert np.all(np.diff(keep) > 0)
    assert np.nanmin(line[keep]) == np.nanmin(line)
    assert np.nanmax(line[keep]) == np.nanmax(line)
    if n <= MAX_POINTS:
        assert keep.size == n


def test_thinned_trades_keep_the_largest() -> None:
    weight = np.zeros(50_000)
    weight[[7, 33_333]] = (5.0, -9.0)
    keep = spread(50_000, 1_000, weight)
    assert keep.size <= 1_000
    assert {0, 7, 33_333, 49_999} <= set(keep.tolist())


def test_histogram_counts_everything_once() -> None:
    values = np.concatenate(
        [np.random.default_rng(1).normal(0, 0.01, 5_000), [9.0, -9.0, math.nan]]
    )
    edges, counts, outside = histogram(values)
    assert counts.sum() == 5_002
    assert outside >= 2
    assert np.abs(edges).min() < 1e-12
    for same in (np.zeros(5), np.full(300, 0.02), np.array([]), np.array([math.inf])):
        assert histogram(same)[1].sum() == np.count_nonzero(np.isfinite(same))


def test_result_figure_has_three_panels() -> None:
    figure = result_figure(fakes.result(30_000, 2_500))
    assert {t.yaxis for t in figure.data} == {"y", "y2", "y3"}
    assert {t.name for t in figure.data} >= {"Strategy", "Buy and hold", "Close", "Long entry"}
    assert all(len(t.x) <= MAX_POINTS for t in figure.data)


def test_heatmap_pools_what_shares_a_cell() -> None:
    frame = pl.DataFrame(
        {
            "stop": [0.01, 0.01, 0.02, None, 0.02],
            "hold": [5, 5, 5, 9, 9],
            "sharpe": [1.0, 3.0, math.nan, math.inf, -2.0],
            "max_drawdown": [0.1, 0.3, 0.2, 0.2, 0.2],
        }
    )
    trace = heatmap_figure(frame, "stop", "hold").data[0]
    assert list(trace.x) == ["off", "0.01", "0.02"]
    assert list(trace.y) == ["5", "9"]
    np.testing.assert_array_equal(trace.z, [[math.nan, 2.0, math.nan], [math.nan, math.nan, -2.0]])
    assert [list(row) for row in trace.text] == [["", "2.00", "n/a"], ["∞", "", "−2.00"]]
    for pool, value in {"best": 3.0, "max": 3.0, "min": 1.0, "mean": 2.0}.items():
        assert heatmap_figure(frame, "stop", "hold", pool=pool).data[0].z[0][1] == value
    best = heatmap_figure(frame, "stop", "hold", "max_drawdown", pool="best").data[0]
    assert best.z[0][1] == 0.1


def test_heatmap_of_a_sweep_chooses_axes() -> None:
    found = fakes.sweep()
    figure = heatmap_figure(found)
    titles = {figure.layout.xaxis.title.text, figure.layout.yaxis.title.text}
    assert titles <= {"entry_long = entry_short", "stop_loss", "max_hold"}
    assert len(titles) == 2
    assert heatmap_figure(found, "stop_loss", "max_hold", "trades").data[0].z.shape == (3, 4)


def test_ranking_knows_which_way_is_better() -> None:
    found = fakes.sweep()
    drawdowns = found.pooled["max_drawdown"].to_list()
    assert drawdowns[ranking(found, "max_drawdown")[0]] == min(drawdowns)
    sharpes = found.pooled["sharpe"].to_list()
    assert sharpes[ranking(found, "sharpe")[0]] == max(sharpes)


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    made = fakes.result(100, 5)
    assert write_report(path, result=made) == path
    before = path.read_bytes()
    assert before.decode().rstrip().endswith("</html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    for broken in ("os.replace", "os.fsync"):
        with (
            mock.patch(broken, side_effect=OSError(28, "No space left on device")),
            pytest.raises(FileError),
        ):
            write_report(path, result=made, title="new")
        assert path.read_bytes() == before
        assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    with mock.patch("os.replace", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        write_report(path, result=made, title="new")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
    write_report(str(path), result=made, title="new")
    assert b"<h1>new</h1>" in path.read_bytes()


def test_a_path_is_refused_before_the_work(tmp_path: Path) -> None:
    with mock.patch("barproof.report.compose.render") as work, pytest.raises(FileError):
        write_report(tmp_path, result=fakes.result(10, 0))
    work.assert_not_called()


def test_plotly_is_imported_when_needed() -> None:
    code = "import sys, barproof.report.figures, barproof.report; print('plotly' in sys.modules)"
    done = run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_real_objects(tmp_path: Path) -> None:
    candles = bp.simulate_candles(7, bars=20_000, edge=0.1)
    assert candles.planted is not None
    signals = bp.Signals(long=candles.planted, short=-candles.planted, kind="score")
    costs = bp.Costs(taker=0.0005, slippage=0.0001)
    base = bp.Rules(entry_long=1.5, entry_short=1.5, stop_loss=0.01, take_profit=0.01, max_hold=48)
    grid = bp.Grid(
        base, {"entry_long": [1.0, 1.5], "entry_short": [1.0, 1.5]}, stop_loss=[0.01, None]
    )
    found = bp.sweep(candles, signals, grid, costs=costs, windows="2w")
    made = bp.backtest(candles, signals, base, costs=costs)
    page = Page(write_report(tmp_path / "both.html", result=made, sweep=found).read_text("utf-8"))
    assert {*SECTIONS, *SWEEP_SECTIONS} <= set(page.ids)
    assert "The market is simulated" in page.words
    assert made.provenance["rules"] in page.words
    assert made.plot().data
    assert found.heatmap("entry_long", "stop_loss", pool="max").data
    assert Page(made.to_html(tmp_path / "a.html").read_text("utf-8")).data
    assert Page(found.to_html(tmp_path / "b.html").read_text("utf-8")).data
