"""What public objects say of themselves: in one line, in notebooks and to `rich`."""

from __future__ import annotations

import inspect
import re
from html.parser import HTMLParser
from io import StringIO
from typing import Any

import polars as pl
import pytest

import barproof as bp
from barproof import _shown, stats

from . import showing

CLASSES = [name for name in bp.__all__ if inspect.isclass(getattr(bp, name))]
TABLES = [name for name in CLASSES if hasattr(getattr(bp, name), "_repr_html_")]
SAY = {
    "Ablation": "entry=",
    "Bar": "open_time=",
    "Best": "max_hold=",
    "Between": "0.9",
    "Bundle": "3 features",
    "Candles": "3,000 bars",
    "CombinatorialPurged": "3,000 bars",
    "Costs": "taker=0.0005",
    "DailyReturns": "4 combinations x 125 days",
    "DateSplit": "2022-03-01",
    "Decision": "action=",
    "Evaluation": "auc ",
    "Fault": "code='ohlc'",
    "FeatureSet": "rsi(14)",
    "FeatureStream": "3 features",
    "Finding": "fail",
    "Fold": "500 rows",
    "Grid": "4 combinations over stop_loss, max_hold",
    "Instrument": "spot",
    "Ledger": "ledger.sqlite",
    "LiveLog": "100 decisions",
    "LiveSession": "1h",
    "Memory": "5",
    "OwnFeature": "'body', finite(1)",
    "Parity": "100 decisions, equal",
    "Part": "Logistic(), Labels(horizon, binary, 3,000 bars, 2,993 defined)",
    "Plan": "combinations=4, windows=5, rows=20",
    "PortfolioResult": "trades",
    "ProcedureTest": "p=",
    "PurgedKFold": "k=4",
    "RandomEntries": "metric='total_return'",
    "RayExecutor": "2 threads a worker",
    "Reconciliation": "gap ",
    "Report": "refuted",
    "Result": "return ",
    "Route": "combinations=4",
    "Rules": "max_hold=24",
    "Run": "3 folds",
    "Sealed": "1,000 sealed",
    "Search": "best log_loss 0.69",
    "SignalSets": "one, two",
    "Signals": "long, short, 3,000 bars",
    "Sweep": "4 combinations x 5 windows",
    "TrainingPlan": "3 trainings",
    "Verification": "600 bars",
    "WalkForward": "train=1000",
    "WalkForwardResult": "3 folds",
    "Watch": "3 features",
    "WatchReference": "3 features",
}
"""What each repr must hold: a name, a shape or a number that its reader looks for first."""


@pytest.mark.parametrize("name", CLASSES)
def test_a_repr_is_one_line_that_says_something(name: str) -> None:
    """The class by its name, what it holds, no address, and short enough for a traceback."""
    made = showing.objects()[name]
    text = repr(made)
    assert type(made) is getattr(bp, name) or name == "Bar"
    assert text.startswith(f"{type(made).__name__}(")
    assert " at 0x" not in text
    assert "\n" not in text
    assert SAY.get(name, "<b>") in text
    assert len(text) < 1_000


def test_every_class_has_an_object_here() -> None:
    assert sorted(showing.objects()) == sorted(CLASSES)
    assert sorted(SAY) == sorted(
        n for n in CLASSES if not issubclass(getattr(bp, n), BaseException)
    )


class Tags(HTMLParser):
    """Elements that were met; fails on one that is not closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.met.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(text: str) -> Tags:
    tags = Tags()
    tags.feed(text)
    tags.close()
    assert tags.open == []
    return tags


@pytest.mark.parametrize("name", TABLES)
def test_notebooks_get_a_table_with_every_text_escaped(name: str) -> None:
    made = showing.objects()[name]
    text = made._repr_html_()
    assert parsed(text).met <= {"div", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert "<b>" not in text
    assert text.count("<tr>") <= 1 + _shown.ROWS
    if showing.SYMBOL in repr(made):
        assert "SIM&lt;b&gt;&amp;X" in text


@pytest.mark.parametrize("name", TABLES)
def test_rich_prints_texts_as_they_are(name: str) -> None:
    """A name like ``[red]`` or ``<b>`` is no markup; no colours are asked for."""
    from rich.console import Console

    made, out = showing.objects()[name], StringIO()
    Console(file=out, width=4_000, force_terminal=False, highlight=False).print(made)
    first, *rest = out.getvalue().splitlines()
    assert first == repr(made)
    assert len(rest) > 3
    narrow = StringIO()
    Console(file=narrow, width=40, force_terminal=False).print(made)
    assert max(map(len, narrow.getvalue().splitlines())) <= 40


def test_what_notebooks_gain_from() -> None:
    """Whatever holds a table shows it; values alone (bars, folds, plans of features) have nothing to add."""
    assert set(CLASSES) - set(TABLES) == {
        name for name in CLASSES if issubclass(getattr(bp, name), BaseException)
    } | set(
        "Bar Between CombinatorialPurged DailyReturns DateSplit Decision FeatureStream Fold LiveSession Memory "
        "OwnFeature Part PurgedKFold RayExecutor Route Sealed SignalSets Verification WalkForward Watch "
        "WatchReference".split()
    )


def test_long_tables_are_cut_and_say_so() -> None:
    @_shown.shown(lambda _: pl.DataFrame({f"c{i}": range(1_000) for i in range(20)}))
    class Long:
        """Of a thousand rows."""

    text = Long()._repr_html_()  # type: ignore[attr-defined]
    assert re.findall(r"<td>(\.\.\. [^<]*)</td>", text) == ["... 980 more"]
    assert text.count("<tr>") == 1 + 20 + 1
    assert "<th>c11</th><th>...</th>" in text
    assert "<th>c12</th>" not in text


def test_features_on_longer_bars_are_named_without_an_interval() -> None:
    text = bp.FeatureSet(["rsi(14)", "rsi(14)@1d"])._repr_html_()  # type: ignore[attr-defined]
    assert "<td>rsi(14)@1d</td>" in text


def test_candles_show_both_ends_without_all_of_them() -> None:
    made = showing.objects()["Candles"]
    text = made._repr_html_()
    assert text.count("<tr>") == 1 + 20 + 1
    assert "2,980 more" in text
    first, last = made.to_polars()["open_time"][0], made.to_polars()["open_time"][-1]
    assert f"{first:%Y-%m-%d %H:%M}" in text
    assert f"{last:%Y-%m-%d %H:%M}" in text


@pytest.mark.parametrize(
    "name", sorted(n for n in stats.__all__ if inspect.isclass(getattr(stats, n)))
)
def test_statistics_say_why_they_are_undefined(name: str) -> None:
    """Every result of a statistic is shown as a table by itself."""
    kind = getattr(stats, name)
    if not issubclass(kind, stats._common.Stat):
        pytest.skip("no result of a statistic")
    assert "_repr_html_" in dir(kind)
