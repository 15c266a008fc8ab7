"""The section about forecasts: bins, intervals and skill against definitions written out, and what is hard to show."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest

from barproof.report.calibration import (
    Forecasts,
    forecasts,
    reliability,
    skill_by_fold,
    skill_pooled,
)
from barproof.report.models import reliability_figure, skill_figure
from tests.report import fakes
from tests.report.pages import page_of
from tests.tolerances import ROUNDING

Z = 1.959963984540054  # the normal quantile of 0.975


def made_of(p: Any, label: Any, **more: Any) -> Forecasts:
    """Forecasts of two classes."""
    p, label = np.asarray(p, dtype=float), np.asarray(label, dtype=float)
    n = len(label)
    base: dict[str, Any] = {
        "part": "model",
        "classes": (0, 1),
        "fold": np.zeros(n, dtype=np.int64),
        "at": np.arange(n),
        "p": np.column_stack([1 - p, p]),
        "label": label,
        "repeated": 0,
        "missing": 0,
        "n_eff": float(n),
        "reach": 1,
    }
    return Forecasts(**(base | more))


def test_bins_hold_equal_shares_of_the_rows() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(2, 5, 1_000)
    label = rng.random(1_000) < p
    bins = reliability(made_of(p, label), 1)
    order = np.argsort(p)
    assert [b.n for b in bins] == [100] * 10
    for b, rows in zip(bins, np.split(order, 10), strict=True):
        assert b.mean == pytest.approx(p[rows].mean(), rel=ROUNDING)
        assert (b.low, b.high) == (p[rows].min(), p[rows].max())
        assert b.share == label[rows].mean()
        # Wilson 1927, written out.
        n, share = 100, float(label[rows].mean())
        middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n * n)) / (1 + Z**2 / n)
        assert b.share_low == pytest.approx(middle - half, rel=1e-9)
        assert b.share_high == pytest.approx(middle + half, rel=1e-9)
    assert sum(b.agrees for b in bins) >= 8


def test_a_false_calibration_is_seen() -> None:
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.3, 0.7, 5_000)
    label = rng.random(5_000) < truth
    said = 0.5 + 2 * (truth - 0.5)  # too sure on both sides
    bins = reliability(made_of(np.clip(said, 0, 1), label), 1)
    assert sum(b.agrees for b in bins) <= 4
    figure = reliability_figure(bins, np.clip(said, 0, 1), float(label.mean()))
    curve = next(t for t in figure.data if t.mode == "lines+markers")
    assert list(curve.marker.symbol) == ["circle" if b.agrees else "x" for b in bins]
    np.testing.assert_allclose(curve.error_y.array, [b.share_high - b.share for b in bins])
    assert sum(t.y.sum() for t in figure.data if t.type == "bar") == 5_000


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (29, 1), (60, 2), (299, 9), (301, 10)])
def test_few_rows_make_few_bins(n: int, bins: int) -> None:
    rng = np.random.default_rng(n)
    assert len(reliability(made_of(rng.random(n), rng.integers(0, 2, n)), 1)) == bins


def test_equal_probabilities_share_a_bin() -> None:
    p = np.repeat([0.2, 0.5], [900, 100])
    bins = reliability(made_of(p, np.ones(1_000)), 1)
    assert [(b.mean, b.n) for b in bins] == [(0.2, 900), (0.5, 100)]
    flat = reliability(made_of(np.full(100, 0.1051), np.zeros(100)), 1)
    assert [(b.mean, b.n, b.share) for b in flat] == [(0.1051, 100, 0.0)]


def test_overlapping_labels_widen_the_intervals() -> None:
    p = np.full(90, 0.4)
    label = np.arange(90) % 2
    alone = reliability(made_of(p, label), 1)[0]
    shared = reliability(made_of(p, label, n_eff=15.0), 1)[0]
    assert shared.n_eff == pytest.approx(15.0)
    assert shared.share_high - shared.share_low > 2 * (alone.share_high - alone.share_low)


def test_independent_rows_by_brute_force() -> None:
    (found,) = forecasts(fakes.run("binary", rows=40, folds=2, reach=6))
    alive = np.zeros(2_000)
    for r in range(1_000, 1_040):
        alive[r + 1 : r + 7] += 1
    worth = sum(float(np.mean(1 / alive[r + 1 : r + 7])) for r in range(1_000, 1_040))
    assert found.n_eff == pytest.approx(worth, rel=1e-12)
    assert found.reach == 6


def test_skill_by_hand() -> None:
    label = [1, 1, 0, 1, 0, 0]
    p = [0.9, 0.6, 0.2, 0.5, 0.5, 0.4]
    fold = np.array([4, 4, 4, 7, 7, 7])
    made = made_of(p, label, fold=fold, at=np.arange(6) * 1_000)
    first, second = skill_by_fold(made)
    loss = -(math.log(0.9) + math.log(0.6) + math.log(0.8)) / 3
    base = -(2 * math.log(2 / 3) + math.log(1 / 3)) / 3
    assert (first.fold, first.start, first.n) == (4, 0, 3)
    assert first.loss == pytest.approx(loss, rel=ROUNDING)
    assert first.constant == pytest.approx(base, rel=ROUNDING)
    assert first.skill == pytest.approx(1 - loss / base, rel=ROUNDING)
    assert (second.fold, second.start) == (7, 3_000)
    whole = skill_pooled(made)
    assert whole is not None
    assert whole.constant == pytest.approx(math.log(2), rel=ROUNDING)
    assert whole.loss == pytest.approx(
        -(math.log(0.9 * 0.6 * 0.8 * 0.5 * 0.5 * 0.6)) / 6, rel=ROUNDING
    )


def test_one_class_alone_has_no_skill() -> None:
    (one,) = skill_by_fold(made_of([0.9, 0.9], [1, 1]))
    assert math.isnan(one.skill)
    run = fakes.run("binary", edit=lambda f: f.with_columns(pl.lit(1.0).alias("label")))
    words = page_of(run=run).words
    assert "nothing can be told apart" in words
    assert "In 5 folds one label alone came: skill is undefined there." in words
    assert skill_figure(skill_by_fold(forecasts(run)[0])).data[0].y == (None,) * 5


def test_skill_has_an_interval_that_holds_it() -> None:
    good = skill_pooled(forecasts(fakes.run())[0])
    assert good is not None
    assert 0 < good.low < good.skill < good.high
    noise = fakes.run(edit=lambda f: f.with_columns(pl.col("label").shuffle(seed=1)))
    none = skill_pooled(forecasts(noise)[0])
    assert none is not None
    assert none.high < 0
    short = skill_pooled(forecasts(fakes.run(rows=8, folds=1))[0])
    assert short is not None
    assert math.isnan(short.low)


def test_rows_count_once() -> None:
    def twice(frame: pl.DataFrame) -> pl.DataFrame:
        again = frame.head(500).with_columns(pl.lit(9, pl.UInt32).alias("fold"))
        return pl.concat([frame, again])

    (made,) = forecasts(fakes.run("binary", rows=1_000, edit=twice))
    assert (made.label.size, made.repeated) == (1_000, 500)
    assert 9 not in made.fold
    words = page_of(run=fakes.run("binary", rows=1_000, edit=twice)).words
    assert "Left out: 500 rows that an earlier fold forecast already." in words


def test_rows_without_label_or_forecast_are_left_out_and_counted() -> None:
    def holes(frame: pl.DataFrame) -> pl.DataFrame:
        place = pl.int_range(pl.len())
        return frame.with_columns(
            pl.when(place < 30).then(math.nan).otherwise(pl.col("label")).alias("label"),
            pl.when(place >= 980).then(None).otherwise(pl.col("p_1")).alias("p_1"),
        )

    (made,) = forecasts(fakes.run("binary", rows=1_000, edit=holes))
    assert (made.label.size, made.missing) == (950, 50)
    words = page_of(run=fakes.run("binary", rows=1_000, edit=holes)).words
    assert "Left out: 50 rows without a label or a forecast." in words


def test_three_classes_have_three_curves() -> None:
    page = page_of(run=fakes.run())
    assert {k for k in page.data if "calibration" in k} == {
        f"fig-calibration-0-{c}-data" for c in range(3)
    }
    for name in ("Class −1 down", "Class 0 flat", "Class +1 up"):
        assert name in page.words
    assert "Models of BTCUSDT, 5m bars" in page.words
    assert "Fake(depth=3)" in page.words
    assert "Labels overlap, so the 3,000 rows count as 501." in page.words


def test_two_classes_have_one_curve_and_parts_are_apart() -> None:
    page = page_of(run=fakes.run("binary", names=("long", "short")))
    assert {k for k in page.data if "calibration" in k} == {
        "fig-calibration-0-1-data",
        "fig-calibration-1-1-data",
    }
    assert "Part long" in page.words
    assert "Models of 2 parts (long, short) in 5 folds" in page.words


def test_parts_of_different_classes_share_a_table() -> None:
    two, three = fakes.run("binary", names=("long",)), fakes.run(names=("both",))
    frame = pl.concat([two.frame, three.frame], how="diagonal_relaxed")
    made = fakes.Run(frame, {**two.parts, **three.parts}, (0, 1), fakes.candles(10))
    assert [f.classes for f in forecasts(made)] == [(0, 1), (-1, 0, 1)]
    assert len([k for k in page_of(run=made).data if "calibration" in k]) == 4


def test_regression_has_skill_and_no_calibration() -> None:
    page = page_of(run=fakes.run("regression"))
    assert "nothing to calibrate" in page.words
    assert not [k for k in page.data if "calibration" in k]
    (made,) = forecasts(fakes.run("regression"))
    whole = skill_pooled(made)
    assert whole is not None
    gap = made.p[:, 0] - made.label
    assert whole.skill == pytest.approx(1 - np.mean(gap**2) / np.var(made.label), rel=1e-9)


def test_named_parts_are_escaped() -> None:
    bad = "<img src=x>"
    page = page_of(run=fakes.run("binary", rows=200, names=(bad, "b")))
    assert "img" not in [tag for tag, _ in page.tags]
    assert f"Part {bad}" in page.words


@pytest.mark.parametrize("rows", [0, 1, 2, 31])
@pytest.mark.parametrize("kind", ["ternary", "binary", "regression"])
def test_small_runs(kind: str, rows: int) -> None:
    words = page_of(run=fakes.run(kind, rows=rows, folds=1)).words
    assert "nan" not in words.lower().split()


def test_no_row_is_known() -> None:
    run = fakes.run("binary", edit=lambda f: f.with_columns(pl.lit(math.nan).alias("label")))
    assert "No test row has both a label and a forecast" in page_of(run=run).words


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (lambda f: f, "% better (95% interval"),
        (lambda f: f.with_columns(pl.lit(0.5).alias("p_0"), pl.lit(0.5).alias("p_1")), "cannot be told from no skill"),
        (lambda f: f.with_columns(pl.col("label").shuffle(seed=4)), "A constant would have done better."),
    ],
)  # fmt: skip
def test_skill_is_said_in_a_sentence(edit: Any, text: str) -> None:
    assert text in page_of(run=fakes.run("binary", edit=edit)).words
