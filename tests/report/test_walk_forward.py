"""The section about rules that were chosen anew for every fold."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from barproof.report.walk_forward import (
    axis_groups,
    judged_figure,
    loss_sentence,
    steps_figure,
    walk_forward_section,
)
from tests.report import fakes
from tests.report.pages import Page, page_of


def metric_of(
    chosen: list[float | None], judged: list[float | None], metric: str = "sharpe"
) -> pl.DataFrame:
    frame = fakes.choices(len(chosen), metric=metric, idle=())
    return frame.with_columns(
        pl.Series(f"chosen_{metric}", chosen, dtype=pl.Float64),
        pl.Series(f"judged_{metric}", judged, dtype=pl.Float64),
    )


NAN, INF = math.nan, math.inf

SENTENCES: list[tuple[pl.DataFrame, str]] = [
    (
        metric_of([3.0, 1.0, 2.0], [1.0, -1.0, 3.0]),
        "Over 3 folds, on average, the chosen rules had a Sharpe ratio of 2.00 on the bars that chose them and 1.00 on "
        "the bars that judged them: 1.00 was lost between choosing and judging. The judged bars did worse in 2 of 3 "
        "folds and stood above zero in 2.",
    ),
    (
        metric_of([1.0, 1.0], [2.0, 4.0]),
        "Over 2 folds, on average, the chosen rules had a Sharpe ratio of 1.00 on the bars that chose them and 3.00 on "
        "the bars that judged them: nothing was lost between choosing and judging, the judged bars did better by 2.00. "
        "The judged bars did worse in 0 of 2 folds and stood above zero in 2.",
    ),
    (
        metric_of([0.1, 0.3], [0.2, 0.5], "max_drawdown"),
        "Over 2 folds, on average, the chosen rules had a max. drawdown of 20.00% on the bars that chose them and "
        "35.00% on the bars that judged them: 15.00% was lost between choosing and judging. The judged bars did worse "
        "in 2 of 2 folds.",
    ),
    (
        metric_of([2.0, INF, 5.0, None], [1.0, 1.0, NAN, None]),
        "In the one fold the chosen rules had a Sharpe ratio of 2.00 on the bars that chose them and 1.00 on the bars "
        "that judged them: 1.00 was lost between choosing and judging.",
    ),
    (
        metric_of([1.0], [1.0], "win_rate"),
        "In the one fold the chosen rules had a win rate of 100.00% on the bars that chose them and 100.00% on the "
        "bars that judged them: nothing was lost between choosing and judging.",
    ),
    (
        metric_of([2.0], [None]),
        "No fold has a defined Sharpe ratio both where it was chosen and where it was judged, so what the choice cost "
        "cannot be told.",
    ),
    (metric_of([], []), "No fold was judged, so nothing is known of how the choice holds."),
]  # fmt: skip


@pytest.mark.parametrize(("frame", "text"), SENTENCES)
def test_what_was_lost_between_choosing_and_judging(frame: pl.DataFrame, text: str) -> None:
    assert loss_sentence(frame) == text
    assert text in page_of(fakes.walk_forward(frame, bars=100, count=3)).words


def test_axes_that_move_together_share_a_panel() -> None:
    assert axis_groups(fakes.choices()) == (
        [["entry_long", "entry_short"], ["stop_loss"]],
        ["max_hold"],
    )
    assert axis_groups(fakes.choices(1, idle=())) == (
        [],
        ["entry_long", "entry_short", "stop_loss", "max_hold"],
    )


def test_a_step_a_fold_and_a_gap_where_nothing_was_chosen() -> None:
    frame = fakes.choices(4, idle=(2,)).with_columns(
        pl.Series("stop_loss", [0.02, None, None, 0.01]),
        *(pl.lit(0.6).alias(name) for name in ("entry_long", "entry_short")),
    )
    figure = steps_figure(frame)
    (trace,) = figure.data
    np.testing.assert_array_equal(trace.y, [2, 2, 0, 0, NAN, NAN, 1, 1])
    assert list(figure.layout.yaxis.ticktext) == ["off", "0.01", "0.02"]
    assert list(trace.customdata) == ["0.02", "0.02", "off", "off", "", "", "0.01", "0.01"]
    day = np.timedelta64(1, "D")
    start = np.datetime64(fakes.START, "ms")
    np.testing.assert_array_equal(trace.x, [start + day * d for d in (0, 7, 7, 14, 14, 21, 21, 28)])
    assert not trace.connectgaps


def test_pairs_are_joined_by_a_line_that_says_which_way() -> None:
    figure = judged_figure(metric_of([3.0, 1.0, INF, None], [1.0, 2.0, 1.0, 0.5]))
    lines = {t.name: t for t in figure.data if t.mode == "lines"}
    np.testing.assert_array_equal(lines["judged worse"].y, [3.0, 1.0, NAN])
    np.testing.assert_array_equal(lines["judged better"].y, [1.0, 2.0, NAN])
    marks = {t.name: t for t in figure.data if t.mode == "markers"}
    np.testing.assert_array_equal(marks["on the bars that chose"].y, [3.0, 1.0, NAN, NAN])
    np.testing.assert_array_equal(marks["on the bars that judged"].y, [1.0, 2.0, 1.0, 0.5])
    assert list(marks["on the bars that chose"].customdata) == ["3.00", "1.00", "∞", "n/a"]


def test_a_smaller_drawdown_is_better() -> None:
    figure = judged_figure(metric_of([0.1, 0.3], [0.2, 0.2], "max_drawdown"))
    lines = {t.name: t for t in figure.data if t.mode == "lines"}
    np.testing.assert_array_equal(lines["judged worse"].y, [0.1, 0.2, NAN])
    np.testing.assert_array_equal(lines["judged better"].y, [0.3, 0.2, NAN])


def test_the_table_lists_every_fold() -> None:
    frame = metric_of([3.0, 1.0], [1.25, 2.0])
    section = walk_forward_section(fakes.walk_forward(frame, bars=50, count=2))
    assert section is not None
    words = Page(section.body).words
    assert "0 2021-01-01 2021-01-08" in words
    assert "3.00 1.25 −1.75" in words
    assert "1.00 2.00 +1.00" in words
    assert "Each fold chose among 27 combinations" in words


def test_folds_without_a_choice_are_said() -> None:
    words = page_of(fakes.walk_forward(fakes.choices(5, idle=(1, 2)), bars=50, count=2)).words
    assert (
        "In 2 of 5 folds no combination had a defined metric; nothing was entered there." in words
    )
    assert "none n/a" in words.replace("  ", " ").replace(" ", " ")


def test_what_never_changed_is_said() -> None:
    words = page_of(fakes.walk_forward(fakes.choices(6, idle=()))).words
    assert "The same in every fold: max_hold 96." in words
    assert "stop_loss took" in words
    one = page_of(fakes.walk_forward(fakes.choices(1, idle=()))).words
    assert "One fold is one observation" in one
    assert "max_hold 96." in one


def test_closed_positions_are_not_said_to_be_carried() -> None:
    made = fakes.walk_forward(bars=50, count=2)
    told = "the result carries positions from fold to fold"
    assert told in page_of(made).words
    closed = replace(made, provenance={"boundary": "close"})
    assert told not in page_of(closed).words


def test_many_folds_fold_away() -> None:
    text = page_of(fakes.walk_forward(fakes.choices(60))).words
    assert "Choices of 60 folds" in text


def test_many_axes_are_capped() -> None:
    rng = np.random.default_rng(3)
    frame = fakes.choices(6, idle=()).with_columns(
        pl.Series(f"axis_{i}", rng.permutation(6)) for i in range(14)
    )
    words = page_of(fakes.walk_forward(frame, bars=50, count=2)).words
    assert "Drawn: 10 of 16 axes; all are in the table." in words


@pytest.mark.parametrize("values", [[NAN] * 4, [INF, -INF, 1e300, -1e300], [None] * 4, [0.0] * 4])
def test_any_metric_value(values: list[Any]) -> None:
    frame = metric_of(values, values[::-1])
    words = page_of(fakes.walk_forward(frame, bars=50, count=2)).words
    assert "nan" not in words.lower().split()
    assert "inf" not in words.lower().split()


def test_text_from_axes_is_escaped() -> None:
    bad = "<img src=x>"
    frame = fakes.choices(4, idle=()).with_columns(pl.Series("a<b", [bad, "x", bad, "y"]))
    section = walk_forward_section(fakes.walk_forward(frame, bars=50, count=2))
    assert section is not None
    assert "<img" not in section.body
    assert bad in Page(section.body).words


def test_other_results_have_no_such_section() -> None:
    assert walk_forward_section(fakes.result(50, 2)) is None
