"""Tables of any make: names, units, what is missing, and texts that must not do anything."""

from __future__ import annotations

import io
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import BarproofError
from barproof.cli import main
from barproof.results import take_trades
from barproof.results.naming import clean

near = pytest.approx


def test_columns_are_told() -> None:
    table = pl.DataFrame({"a": [0.1], "b": ["2024-01-01"], "return": [9.0]})
    held = bp.read_trades(table, columns={"return": "a", "exit_time": "b"})
    assert held.columns == ["return", "exit_time"] and held["return"].to_list() == [0.1]


@pytest.mark.parametrize(
    ("columns", "value"),
    [
        ({"return": [0.015]}, 0.015),
        ({"Return [%]": [1.5]}, 0.015),
        ({"Profit %": ["1.5%"]}, 0.015),
        ({"return": ["1.5 %"]}, 0.015),
        ({"Return": ["0.015"]}, 0.015),
        ({"entry_price": [100.0], "exit_price": [101.5]}, 0.015),
        ({"entry_price": ["1,000"], "exit_price": ["1,015"]}, 0.015),
        ({"entry_price": [100.0], "exit_price": [98.5], "side": ["Sell Short"]}, -0.015),
        ({"entry_price": [100.0], "exit_price": [98.5], "side": ["SHORT"]}, 0.015),
        ({"entry_price": [100.0], "exit_price": [98.5], "quantity": [-3.0]}, 0.015),
        ({"entry_price": [100.0], "exit_price": [98.5], "is_short": [True]}, 0.015),
        ({"entry_price": [100.0], "exit_price": [102.0], "quantity": [2.0], "fees": [-1.0]}, 0.015),
    ],
)
def test_returns(columns: dict[str, Any], value: float) -> None:
    assert bp.read_trades(columns)["return"].to_list() == near([value])


def test_what_was_understood_is_said() -> None:
    held = take_trades({"Profit %": [1.5], "EntryTime": ["2024-01-01"]})
    assert held.notes == [
        "`EntryTime` is taken for `entry_time` of the trades",
        "`Profit %` is taken for `return` of the trades",
        "`Profit %` is in percent: divided by 100",
    ]


def test_both_times_of_a_terminals_history() -> None:
    """Regression: of `Open Time` and `Close Time` only the second was understood."""
    table = {
        "Open Time": ["2024-01-02 10:00"],
        "Close Time": ["2024-01-02 12:00"],
        "Type": ["sell"],
        "Open Price": [100.0],
        "Close Price": [99.0],
    }
    found = bp.read_trades(pl.DataFrame(table))
    assert [str(found[n][0])[11:16] for n in ("entry_time", "exit_time")] == ["10:00", "12:00"]
    assert found["return"].round(12).to_list() == [0.01]


def test_texts_are_made_safe() -> None:
    """Control characters, marks that turn the direction of writing, and formulas of spreadsheets."""
    bad = [
        "\x1b[31mred",
        "a\r\nb",
        "\u202egnp.exe",
        '=HYPERLINK("http://x","y")',
        "+1",
        "@x",
        "-2+3|cmd",
        "\x00",
    ]
    for text in bad:
        made = clean(text)
        assert made.isprintable() and not made.startswith(("=", "+", "-", "@"))
    held = bp.read_trades({"return": [0.1] * len(bad), "symbol": bad, "reason": bad})
    again = pl.read_csv(io.StringIO(held.write_csv()))
    for name in ("symbol", "reason"):
        assert not any(str(v).startswith(("=", "+", "-", "@")) for v in again[name])
        assert all(str(v).isprintable() for v in again[name])


def test_nothing_executes_in_a_report(tmp_path: Path) -> None:
    candles = bp.simulate_candles(1, bars=100)
    evil = "<script>alert(1)</script>](javascript:alert(1))\x1b[2J|=1+1"
    table = {
        "return": [0.1, 0.1],
        "entry_time": candles.open_time[10:12],
        "exit_time": candles.open_time[5:7],  # backwards, so that the rows are shown
        "entry_price": [1e-9, 1e9],
        "exit_price": [1.0, 1.0],
        "side": ["long", "long"],
        "symbol": [evil, evil],
        "reason": [evil, evil],
    }
    report = bp.audit(trades=bp.read_trades(table), candles=candles, ledger=False)
    assert report["FILL-06"].outcome == "fail"
    page = report.to_html(tmp_path / "r.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page
    markdown = report.to_markdown()
    assert "<script" not in markdown and "](javascript" not in markdown
    for text in (report.to_text(lines=None), markdown, report.to_sarif(), report.to_junit()):
        assert "\x1b" not in text
        assert not any(line.startswith(("=", "@")) for line in text.splitlines())


cells = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.floats(width=32).map(str),
    st.sampled_from(
        ["2024-01-01", "2024-13-41", "long", "buy", "=1+1", "1%", "", "NaN", "9" * 400]
    ),
)
names = st.sampled_from(
    "return ReturnPct Profit% entry_time exit_time entry_price exit_price side Size fees pnl symbol is_open Status "
    "time price quantity Side isshort leverage stop signal_time x".split()
)


@st.composite
def tables(draw: st.DrawFn) -> str:
    columns = draw(st.lists(names, min_size=1, max_size=7, unique=True))
    rows = draw(st.lists(st.lists(cells, min_size=len(columns), max_size=len(columns)), max_size=4))
    quoted = [
        '"' + str("" if c is None else c).replace('"', '""') + '"' for row in rows for c in row
    ]
    lines = [",".join(columns)]
    lines += [",".join(quoted[i : i + len(columns)]) for i in range(0, len(quoted), len(columns))]
    return "\n".join(lines)


def check_table(text: str, folder: Path) -> bool:
    """Read, audit and print whatever it is: an error of ours or a report, and nothing else."""
    path = folder / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        held = take_trades(path)
    except BarproofError:
        return False
    candles = bp.simulate_candles(1, bars=40)
    report = bp.audit(trades=held.trades, fills=held.fills, candles=candles, ledger=False)
    assert "error" not in {f.outcome for f in report}, report.to_text(lines=None)
    assert bp.Report.from_json(report.to_json()) == report
    report.to_markdown(), report.to_sarif(), report.to_junit()
    assert all(line.isprintable() for line in report.to_text(lines=None).splitlines())
    return True


@settings(max_examples=60, deadline=None)
@given(text=tables())
def test_any_table(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_table(text, tmp_path_factory.mktemp("t"))


@pytest.mark.slow
@settings(max_examples=5_000, deadline=None)
@given(text=st.one_of(tables(), st.text(max_size=200)))
def test_any_table_at_length(text: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    check_table(text, tmp_path_factory.mktemp("t"))


class Page(HTMLParser):
    """What a browser makes of a page: its tags, and what could run or be followed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.risky: list[tuple[str, str, str | None]] = []
        self.scripts: list[str] = []
        self._inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        """Count it, and keep handlers and addresses that run something."""
        self.tags[tag] += 1
        self._inside = tag == "script"
        for name, value in attrs:
            runs = (
                (value or "")
                .strip()
                .lower()
                .startswith(("javascript:", "data:text/html", "vbscript:"))
            )
            if name.startswith("on") or runs:
                self.risky.append((tag, name, value))

    def handle_data(self, data: str) -> None:
        """Keep what stands in a script."""
        if self._inside:
            self.scripts.append(data)
            self._inside = False


EVIL = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "<a href='javascript:alert(1)'>x</a>",
    "{{7*7}}</style><style>*{display:none}",
    "<!--<script>",
    "]]><script>",
    "&lt;script&gt;alert(1)",
)


def page_of(texts: list[str], folder: Path) -> Page:
    """The HTML report of trades with these symbols and reasons, as the command line writes it."""
    candles = bp.simulate_candles(1, bars=400, interval="1h")
    at = np.arange(len(texts)) * 4 + 10
    opens = candles.to_polars()["open_time"]
    pl.DataFrame(
        {
            "return": [0.5, -0.5] * (len(texts) // 2),
            "entry_time": opens[(at + 2).tolist()],
            "exit_time": opens[at.tolist()],  # backwards, so that the rows are shown
            "entry_price": [1e-9] * len(texts),
            "exit_price": [1.0] * len(texts),
            "symbol": texts,
            "reason": texts,
        }
    ).write_csv(folder / "t.csv")
    candles.to_polars().write_parquet(folder / "c.parquet")
    words = ["audit", "t.csv", "--candles", "c.parquet", "-i", "spot", "--html", "r.html"]
    assert main(words) == 1
    return Page((folder / "r.html").read_text(encoding="utf-8"))


def test_no_script_arises_from_a_strangers_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page of hostile trades has the tags of the page of plain ones, and nothing in it runs what they say."""
    monkeypatch.chdir(tmp_path)
    plain = page_of(["SIM"] * len(EVIL), tmp_path)
    hostile = page_of(list(EVIL), tmp_path)
    assert hostile.tags == plain.tags and hostile.tags["table"] > 0
    assert hostile.risky == plain.risky == []
    assert not any("alert(1)" in text for text in hostile.scripts)
    # It is shown all the same, as text.
    assert "alert(1)" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_no_script_arises_from_the_name_of_a_market(tmp_path: Path) -> None:
    """A symbol and the names of columns stand in the figures' data, inside a script."""
    evil = "</script><script>alert(1)</script>"
    frame = bp.simulate_candles(1, bars=2_000, interval="1h", edge=0.2)
    score = frame.planted

    def page(symbol: str) -> Page:
        candles = bp.read_candles(frame.to_polars(), instrument="spot", symbol=symbol)
        result = bp.backtest(
            candles,
            bp.Signals(long=score, kind="score"),
            bp.Rules(entry_long=1.0, max_hold=6),
            costs=bp.Costs(taker=0.0001),
            ledger=False,
        )
        report = bp.audit(candles=candles, result=result, ledger=False, resample=False)
        return Page(report.to_html(tmp_path / "r.html").read_text(encoding="utf-8"))

    try:
        hostile = page(evil)
    except bp.BarproofError:
        return  # refused at the door
    plain = page("SIM")
    assert set(hostile.tags) == set(plain.tags) and hostile.risky == plain.risky
    for tag in ("script", "style", "img", "svg", "iframe", "object", "link"):
        assert hostile.tags[tag] == plain.tags[tag], tag


def test_an_equity_curve_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its daily returns by hand, from CSV and from Parquet, with columns that are told."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(6)
    returns = rng.normal(0.003, 0.01, 400)
    start = np.datetime64("2023-01-01T00:00", "ms")
    worth = 100 * np.cumprod(np.r_[1.0, 1 + returns])
    table = pl.DataFrame(
        {
            "when": start + np.arange(401) * np.timedelta64(1, "D"),
            "mine": worth,
            "close": worth[::-1],
        }
    )
    table.write_parquet("e.parquet")
    table.write_csv("e.csv")
    told = {"time": "when", "equity": "mine"}
    for name in ("e.parquet", "e.csv"):
        assert bp.read_equity(name, columns=told)["equity"].to_list() == near(worth.tolist())
    report = bp.audit(equity=bp.read_equity("e.csv", columns=told), ledger=False)
    sharpe = report["SIG-05"].measured
    assert sharpe is not None and sharpe.value is not None and sharpe.n == 400
    assert sharpe.value == near(returns.mean() / returns.std(), rel=5e-3)
    assert report.required == ("significance",) and report["SIG-08"].outcome == "pass"
    assert report["ECO-01"].outcome == "skipped"
    words = ["audit", "--equity", "e.csv", "--equity-column", "time=when"]
    assert main([*words, "--equity-column", "equity=mine", "--format", "json"]) == report.exit_code
    assert main(["audit", "--equity", "e.csv", "--equity-column", "time"]) == 2
    with pytest.raises(bp.ParameterError, match="the equity lacks time; it has when, x"):
        bp.read_equity(pl.DataFrame({"when": ["2024-01-01"], "x": [1.0], "equity": [1.0]}))
