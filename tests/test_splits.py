"""Splits: layouts against plain definitions, purging against a row-by-row one, scikit-learn's protocol."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit, cross_val_score

import barproof as bp
from barproof.splits import rows_digest

DAY = 86_400_000
START = datetime(2024, 1, 1, tzinfo=UTC)
many = settings(max_examples=200, deadline=None)


def frame(start: datetime, hours: list[int]) -> pl.DataFrame:
    """Rows that open so many hours after `start`."""
    return pl.DataFrame({"open_time": [start + timedelta(hours=h) for h in hours]})


def hourly(days: float, holes: list[tuple[int, int]] = [], start: datetime = START) -> pl.DataFrame:  # noqa: B006
    """Hourly rows without those of the holes, given in hours."""
    hours = [h for h in range(int(days * 24)) if not any(a <= h < b for a, b in holes)]
    return frame(start, hours)


def times_of(data: pl.DataFrame, rows: Any) -> list[datetime]:
    return [t.replace(tzinfo=UTC) for t in data["open_time"].gather(rows).to_list()]


# A row-by-row definition, in plain loops.


def expected_in_bars(
    n: int, train: int, tune: int, test: int, step: int, gap: int, anchored: bool
) -> list[dict[str, list[int]]]:
    folds = []
    first = train + gap + (tune + gap if tune else 0)
    while first + test <= n:
        here: dict[str, list[int]] = {"train": [], "tune": [], "test": []}
        tune_end = first - gap
        train_end = tune_end - tune - gap if tune else tune_end
        for row in range(n):
            if first <= row < first + test:
                here["test"].append(row)
            elif tune_end - tune <= row < tune_end:
                here["tune"].append(row)
            elif row < train_end and (anchored or row >= train_end - train):
                here["train"].append(row)
        folds.append(here)
        first += step
    return folds


def expected_after_purge(
    plain: dict[str, list[int]], end: list[int]
) -> tuple[dict[str, list[int]], list[int], int]:
    """Parts without rows whose label reaches a later part, rows that calibrate, rows lost."""
    kept: dict[str, list[int]] = {"train": [], "tune": [], "test": list(plain["test"])}
    for row in plain["train"]:
        if all(end[row] < later for later in plain["tune"] + plain["test"]):
            kept["train"].append(row)
    for row in plain["tune"]:
        if all(end[row] < later for later in plain["test"]):
            kept["tune"].append(row)
    half = len(kept["tune"]) // 2
    calibrate = []
    for row in kept["tune"][:half]:
        if all(end[row] < later for later in kept["tune"][half:]):
            calibrate.append(row)
    lost = sum(len(plain[name]) - len(kept[name]) for name in kept) + half - len(calibrate)
    return kept, calibrate, lost


@st.composite
def walks(draw: Any) -> tuple[int, dict[str, Any]]:
    options = {
        "train": draw(st.integers(1, 15)),
        "tune": draw(st.integers(0, 8)),
        "test": draw(st.integers(1, 8)),
        "step": draw(st.integers(1, 10)),
        "gap": draw(st.integers(0, 4)),
        "anchored": draw(st.booleans()),
    }
    needed = options["train"] + options["tune"] + options["test"] + 2 * options["gap"]
    return needed + draw(st.integers(0, 30)), options


def splitter(options: dict[str, Any]) -> bp.WalkForward:
    return bp.WalkForward(**{**options, "tune": options["tune"] or None})


@many
@given(walk=walks(), data=st.data())
def test_purge_against_the_definition(walk: Any, data: st.DataObject) -> None:
    n, options = walk
    reach = data.draw(st.lists(st.integers(-1, 12), min_size=n, max_size=n))
    start = [i if r >= 0 else -1 for i, r in enumerate(reach)]
    end = [i + r if r >= 0 else -1 for i, r in enumerate(reach)]
    expected = expected_in_bars(n, **options)
    purged = [expected_after_purge(plain, end) for plain in expected]
    emptied = any(
        plain[name] and not kept[name]
        for plain, (kept, _, _) in zip(expected, purged, strict=True)
        for name in ("train", "tune")
    )
    walk_forward = splitter(options)
    if emptied:
        with pytest.raises(bp.WindowError, match="is left: the labels of all"):
            walk_forward.folds(range(n), (start, end))
        return
    folds = walk_forward.folds(range(n), (np.array(start), np.array(end)))
    assert len(folds) == len(purged)
    for i, (fold, (kept, calibrate, lost)) in enumerate(zip(folds, purged, strict=True)):
        assert fold.number == i
        for name in ("train", "tune", "test"):
            assert getattr(fold, name).tolist() == kept[name], name
        assert fold.tune_calibrate.tolist() == calibrate
        assert fold.purged == lost
        laws(fold, options["gap"], np.array(end))


def laws(fold: bp.Fold, gap: int, end: Any) -> None:
    """What must hold of every fold, whoever made it."""
    purposes = [fold.train, fold.tune_calibrate, fold.tune_choose, fold.test]
    used = [part for part in purposes if len(part)]
    rows = np.concatenate(used)
    assert len(np.unique(rows)) == len(rows)
    assert np.all(np.diff(rows) > 0)
    for a, b in pairwise(used):
        assert end[a].max() < b[0]
    for a, b in pairwise([part for part in (fold.train, fold.tune, fold.test) if len(part)]):
        assert b[0] - a[-1] > gap


@many
@given(walk=walks())
def test_folds_in_bars_against_the_definition(walk: Any) -> None:
    n, options = walk
    walk_forward = splitter(options)
    folds = walk_forward.folds(range(n))
    assert [
        {name: getattr(fold, name).tolist() for name in ("train", "tune", "test")} for fold in folds
    ] == expected_in_bars(n, **options)
    assert walk_forward.get_n_splits(np.zeros((n, 2))) == len(folds)
    assert all(fold.purged is None for fold in folds)
    # The same lengths as durations of regular bars.
    hours = {k: f"{v}h" if v and k != "anchored" else v for k, v in options.items()}
    assert splitter(hours).folds(hourly(n / 24 + 1e-9)) == folds
    mixed = splitter({**hours, "gap": options["gap"]})
    assert mixed.folds(hourly(n / 24 + 1e-9)) == folds
    for fold, (train, test) in zip(folds, walk_forward.split(range(n)), strict=True):
        assert np.array_equal(train, fold.train) and np.array_equal(test, fold.test)
    shared = any(a.test[-1] >= b.test[0] for a, b in pairwise(folds))
    assert not shared or walk_forward.overlapping
    assert walk_forward.overlapping == (options["step"] < options["test"])


@many
@given(
    holes=st.lists(st.tuples(st.integers(1, 700), st.integers(1, 90)), max_size=4),
    gap=st.sampled_from([0, "5h", "1d"]),
    tune=st.sampled_from([None, "3d"]),
    anchored=st.booleans(),
)
def test_durations_across_holes_against_the_definition(
    holes: list[tuple[int, int]], gap: Any, tune: Any, anchored: bool
) -> None:
    data = hourly(30, [(a, a + b) for a, b in holes])
    walk_forward = bp.WalkForward("10d", "2d", tune, gap=gap, anchored=anchored)
    opens = times_of(data, range(len(data)))
    data_end = opens[-1] + timedelta(hours=1)
    rest = {0: timedelta(0), "5h": timedelta(hours=5), "1d": timedelta(days=1)}[gap]
    tuned = timedelta(days=3) if tune else timedelta(0)
    expected = []
    origin = START
    while True:
        train_end = origin + timedelta(days=10)
        tune_start = train_end + (rest if tune else timedelta(0))
        test_start = tune_start + tuned + rest
        if test_start + timedelta(days=2) > data_end:
            break
        begin = START if anchored else origin
        parts = [
            [i for i, t in enumerate(opens) if begin <= t < train_end],
            [i for i, t in enumerate(opens) if tune_start <= t < tune_start + tuned],
            [i for i, t in enumerate(opens) if test_start <= t < test_start + timedelta(days=2)],
        ]
        if parts[0] and parts[2] and (parts[1] or not tune):
            expected.append(parts)
        origin += timedelta(days=2)
    if not expected:
        with pytest.raises(bp.WindowError):
            walk_forward.folds(data)
        return
    got = [[f.train.tolist(), f.tune.tolist(), f.test.tolist()] for f in walk_forward.folds(data)]
    assert got == expected


@many
@given(
    holes=st.lists(st.tuples(st.integers(1, 700), st.integers(1, 60)), max_size=4),
    gap=st.integers(1, 30),
)
def test_a_gap_in_bars_across_holes_drops_that_many_rows(
    holes: list[tuple[int, int]], gap: int
) -> None:
    data = hourly(40, [(a, a + b) for a, b in holes])
    folds = bp.WalkForward("10d", "2d", "3d", gap=gap).folds(data)
    tested = np.concatenate([fold.test for fold in folds])
    assert np.array_equal(tested, np.arange(tested[0], tested[-1] + 1))
    for fold in folds:
        assert fold.test[0] - fold.tune[-1] == gap + 1
        assert fold.tune[0] - fold.train[-1] == gap + 1
        opens = times_of(data, [fold.train[0], fold.train[-1]])
        assert opens[1] - opens[0] < timedelta(days=10)


def test_gap_as_duration_with_parts_in_bars() -> None:
    data = hourly(5)
    folds = bp.WalkForward(24, 12, 6, gap="3h").folds(data)
    assert folds == bp.WalkForward(24, 12, 6, gap=3).folds(data)


def test_months_follow_the_calendar() -> None:
    data = hourly(366, start=datetime(2024, 1, 1, tzinfo=UTC))
    folds = bp.WalkForward(train="1q", test="1mo").folds(data)
    starts = [times_of(data, fold.test[:1])[0] for fold in folds]
    assert starts == [datetime(2024, m, 1, tzinfo=UTC) for m in range(4, 13)]
    assert len(folds[0].train) == (31 + 29 + 31) * 24
    assert all(a.test[-1] + 1 == b.test[0] for a, b in pairwise(folds))
    assert len(folds[-1].test) == 31 * 24


def test_months_from_the_31st_do_not_drift() -> None:
    data = hourly(200, start=datetime(2023, 1, 31, 6, tzinfo=UTC))
    folds = bp.WalkForward(train="1mo", test="1mo").folds(data)
    starts = [times_of(data, fold.test[:1])[0] for fold in folds]
    assert starts == [
        datetime(2023, m, d, 6, tzinfo=UTC)
        for m, d in [(2, 28), (3, 31), (4, 30), (5, 31), (6, 30)]
    ]
    assert all(fold.train[-1] + 1 == fold.test[0] for fold in folds)
    assert all(np.array_equal(a.test, b.train) for a, b in pairwise(folds))


def test_fractions_round_down() -> None:
    (fold,) = bp.WalkForward(train=0.6, tune=0.2, test=0.2).folds(range(999))
    assert [len(part) for part in (fold.train, fold.tune, fold.test)] == [599, 199, 199]
    assert len(bp.WalkForward(0.29, 0.1).folds(range(100))[0].train) == 29


@pytest.mark.parametrize("kind", [range, np.zeros, list])
def test_lengths_in_bars_need_no_times(kind: Any) -> None:
    data = list(range(20)) if kind is list else kind(20)
    assert bp.WalkForward(10, 5).get_n_splits(data) == 2


def test_times_of_every_kind_of_frame() -> None:
    plain = hourly(10)
    walk = bp.WalkForward("4d", "1d")
    expected = walk.folds(plain)
    moments = pd.DatetimeIndex(plain["open_time"].to_list())
    in_berlin = moments.tz_convert("Europe/Berlin")
    for data in (
        plain.with_columns(pl.col("open_time").dt.epoch("ms")),
        plain.with_columns(pl.col("open_time").cast(pl.Datetime("ns"))),
        pd.DataFrame({"open_time": moments, "x": 1.0}),
        pd.DataFrame({"open_time": in_berlin, "x": 1.0}),
        pd.DataFrame({"x": np.ones(240)}, index=in_berlin),
        bp.simulate_candles(3, bars=240, interval="1h"),
    ):
        assert walk.folds(data) == expected
    days = pl.DataFrame({"open_time": [date(2024, 1, 1) + timedelta(days=i) for i in range(20)]})
    assert len(walk.folds(days)) == 16


@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("anchored", [False, True])
def test_equals_time_series_split(gap: int, anchored: bool) -> None:
    theirs = TimeSeriesSplit(
        n_splits=4, test_size=20, gap=gap, max_train_size=None if anchored else 30
    )
    X = np.zeros((30 + gap + 80, 1))
    ours = bp.WalkForward(train=30, test=20, gap=gap, anchored=anchored)
    assert ours.get_n_splits(X) == theirs.get_n_splits(X)
    for (a, b), (c, d) in zip(ours.split(X), theirs.split(X), strict=True):
        assert np.array_equal(a, c) and np.array_equal(b, d)


def test_scikit_learn_takes_the_splitters() -> None:
    random = np.random.default_rng(4)
    X = random.normal(size=(400, 2))
    y = (X[:, 0] + random.normal(size=400) > 0).astype(int)
    walk = bp.WalkForward(train=200, test=50)
    scores = cross_val_score(LogisticRegression(), X, y, cv=walk)
    assert len(scores) == 4
    assert scores.mean() > 0.6
    found = GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=walk).fit(X, y)
    assert found.n_splits_ == 4
    table = pd.DataFrame(X, index=pd.date_range("2024-01-01", periods=400, freq="h", tz="UTC"))
    for by_time in (
        bp.WalkForward("5d", "2d"),
        bp.DateSplit(train=(None, "2024-01-10"), test=("2024-01-11", None)),
    ):
        scores = cross_val_score(LogisticRegression(), table, y, cv=by_time)
        assert len(scores) == by_time.get_n_splits(table)
    spans = np.arange(400)
    cv = [(f.train, f.test) for f in walk.folds(X, (spans, spans + 5))]
    assert len(cross_val_score(LogisticRegression(), X, y, cv=cv)) == 4


def test_sweep_runs_the_test_parts() -> None:
    candles = bp.simulate_candles(7, bars=3_000, edge=0.1, interval="1h")
    signals = bp.Signals(long=candles.planted, kind="score")
    grid = bp.Grid(bp.Rules(max_hold=24), entry_long=[1.0, 1.5])
    walk = bp.WalkForward(train="30d", tune="5d", test="10d", gap="1d")
    costs = bp.Costs(taker=0.0005)
    table = bp.sweep(candles, signals, grid, costs=costs, windows=walk)
    folds = walk.folds(candles)
    assert table.windows == [(int(f.test[0]), int(f.test[-1]) + 1) for f in folds]
    assert table.pooled["pooling"].unique().to_list() == ["compounded"]
    overlapping = bp.WalkForward(train="30d", test="10d", step="5d")
    assert overlapping.overlapping
    table = bp.sweep(candles, signals, grid, costs=costs, windows=overlapping)
    assert table.pooled["pooling"].unique().to_list() == ["mean"]
    dated = bp.DateSplit(train=(None, "2022-03-01"), test=("2022-03-01", "2022-04-01"))
    assert bp.sweep(candles, signals, grid, costs=costs, windows=dated).frame.height == 2


def test_dates() -> None:
    data = hourly(60)
    split = bp.DateSplit(
        train=("2024-01-03", date(2024, 1, 20)),
        tune=(datetime(2024, 1, 20, 12), "2024-02-01"),
        test=("2024-02-01T02:00+02:00", None),
    )
    ((train, test),) = split.split(data)
    (fold,) = split.folds(data)
    assert times_of(data, [train[0], train[-1], fold.tune[0], fold.tune[-1]]) == [
        datetime(2024, 1, 3, tzinfo=UTC),
        datetime(2024, 1, 19, 23, tzinfo=UTC),
        datetime(2024, 1, 20, 12, tzinfo=UTC),
        datetime(2024, 1, 31, 23, tzinfo=UTC),
    ]
    assert test[0] == 31 * 24
    assert test[-1] == len(data) - 1
    assert split.get_n_splits(data) == 1


@many
@given(reach=st.lists(st.integers(0, 60), min_size=240, max_size=240))
def test_dates_purge(reach: list[int]) -> None:
    data = hourly(10)
    split = bp.DateSplit(
        train=("2024-01-01", "2024-01-05"),
        tune=("2024-01-05 06:00", "2024-01-08"),
        test=("2024-01-08", "2024-01-10"),
    )
    end = [i + r for i, r in enumerate(reach)]
    plain = {
        "train": list(range(96)),
        "tune": list(range(102, 168)),
        "test": list(range(168, 216)),
    }
    kept, calibrate, lost = expected_after_purge(plain, end)
    (fold,) = split.folds(data, (range(240), end))
    assert [fold.train.tolist(), fold.tune.tolist()] == [kept["train"], kept["tune"]]
    assert fold.tune_calibrate.tolist() == calibrate
    assert fold.purged == lost
    laws(fold, 0, np.array(end))


def test_labels_may_end_inside_the_gap() -> None:
    rows = np.arange(100)
    walk = bp.WalkForward(train=50, tune=20, test=20, gap=5)
    (fold,) = walk.folds(rows, (rows + 1, rows + 5))
    assert len(fold.train) == 50 and len(fold.tune) == 20
    assert fold.tune_calibrate.tolist() == list(range(55, 60))
    (fold,) = walk.folds(rows, (rows + 1, rows + 6))
    assert fold.train.tolist() == list(range(49))
    assert fold.test.tolist() == list(range(80, 100))


def test_labels_come_as_an_object_too() -> None:
    class Labels:
        start = pl.Series(range(100))
        end = pl.Series(range(3, 103))

    walk = bp.WalkForward(train=50, test=20)
    expected = walk.folds(range(100), (list(range(100)), list(range(3, 103))))
    assert walk.folds(range(100), Labels()) == expected
    assert [fold.purged for fold in expected] == [3, 3]


def test_fold_digests_name_the_rows() -> None:
    fold = bp.Fold(0, np.array([0, 1, 2, 5]), np.arange(6, 11), np.arange(11, 14))
    digests = fold.rows_digest
    assert list(digests) == ["train", "tune_calibrate", "tune_choose", "test"]
    assert len(set(digests.values())) == 4
    assert digests["train"] == rows_digest([0, 1, 2, 5])
    assert rows_digest([0, 1, 2, 5]) != rows_digest([0, 1, 2, 3, 5])
    assert rows_digest([]) != rows_digest([0])
    assert fold.tune_calibrate.tolist() == [6, 7]
    assert fold.tune_choose.tolist() == [8, 9, 10]


def test_folds_are_frozen_and_pickle() -> None:
    rows = np.arange(60)
    for walk in (bp.WalkForward(20, 10), bp.WalkForward(20, 10, 8)):
        for labels in (None, (rows, rows + 2)):
            for fold in walk.folds(rows, labels):
                copy = pickle.loads(pickle.dumps(fold))
                assert copy == fold and hash(copy) == hash(fold)
                for part in (copy.train, copy.tune, copy.test, copy.tune_calibrate):
                    assert part.dtype == np.int64 and not part.flags.writeable
    assert fold != bp.Fold(9, fold.train, fold.tune, fold.test)
    assert fold != 3
    with pytest.raises(AttributeError):
        fold.number = 3  # type: ignore[misc]


def test_splitters_pickle_and_show_what_is_set() -> None:
    walk = bp.WalkForward(0.5, 0.1, gap="1d", anchored=True)
    assert repr(walk) == "WalkForward(train=0.5, test=0.1, gap='1d', anchored=True)"
    dated = bp.DateSplit(train=("2024-01-01", "2024-02-01"), test=("2024-02-01", None))
    assert repr(dated) == (
        "DateSplit(train=('2024-01-01', '2024-02-01'), test=('2024-02-01', None))"
    )
    for split in (walk, dated):
        assert pickle.loads(pickle.dumps(split)) == split
        assert (
            eval(repr(split), {"WalkForward": bp.WalkForward, "DateSplit": bp.DateSplit}) == split
        )


@pytest.mark.parametrize(
    ("test", "step", "overlapping"),
    [
        ("5d", None, False),
        ("5d", "4d", True),
        ("24h", "1d", False),
        ("1mo", "1mo", False),
        ("1q", "1mo", True),
        ("1mo", "30d", True),
        ("1mo", "31d", False),
        ("28d", "1mo", False),
        ("29d", "1mo", True),
        (0.1, 0.05, True),
        (10, 20, False),
    ],
)
def test_overlapping(test: Any, step: Any, overlapping: bool) -> None:
    assert bp.WalkForward("60d", test, step=step).overlapping is overlapping


def test_growing_train_parts_share_memory() -> None:
    rows = np.arange(10_000)
    folds = bp.WalkForward(100, 10, anchored=True).folds(rows, (rows, rows + 5))
    assert len(folds) == 990
    assert np.shares_memory(folds[0].train, folds[-1].train)


def test_an_overlapping_test_part_still_judges_alone() -> None:
    walk = bp.WalkForward(20, 10, step=5)
    folds = walk.folds(range(50))
    assert walk.overlapping
    assert [int(f.test[0]) for f in folds] == [20, 25, 30, 35, 40]
    assert all(f.train[-1] < f.test[0] for f in folds)
