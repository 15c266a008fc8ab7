"""Tables of any make: names, units, what is missing, and texts that must not do anything."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import BarproofError
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
