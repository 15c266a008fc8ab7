"""Training: which rows enter what. Garbage where nothing may look must not change a bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import barproof as bp
from barproof._folds import rows_digest
from barproof._prepare import purged
from barproof.inference import features_digest
from barproof.models import GradientBoosting, Logistic, Sklearn, TopK
from tests.models.market import candles, down, quiet, table
from tests.tolerances import REFERENCE

BARS = candles()
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=4)
WALK = bp.WalkForward(900, 500, tune=400)
BOOST = GradientBoosting(max_iter=15, min_samples_leaf=20)
MODELS = [pytest.param(BOOST, id="boosting"), pytest.param(Logistic(), id="logistic")]


def poisoned_labels(labels: Any, rows: Any, seed: int = 1) -> Any:
    """Labels with garbage at some rows; spans, and so folds, stay."""
    values = labels.values.copy()
    rng = np.random.default_rng(seed)
    if labels.kind == "regression":
        values[rows] = rng.standard_normal(len(rows))
    else:
        values[rows] = rng.choice(
            [0.0, 1.0] if labels.kind == "binary" else [-1.0, 0, 1], len(rows)
        )
    return replace(labels, values=values, start=labels.start.copy(), end=labels.end.copy())


def poisoned_features(rows: Any, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    columns = {}
    for name in X.columns[1:]:
        values = X[name].to_numpy().copy()
        values[rows] = 1e3 * rng.standard_normal(len(rows))
        columns[name] = values
    return X.with_columns(**{name: pl.Series(name, v) for name, v in columns.items()})


def raw(run: bp.Run, fold: int, part: Any = "test", calibrated: bool = False) -> Any:
    frame = run.predictions(part, fold=fold, calibrated=calibrated)
    return frame.drop("label", "part").to_numpy()


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("labels", [TERNARY, BINARY, RETURN], ids=["ternary", "binary", "return"])
def test_labels_enter_by_their_purpose_only(model: Any, labels: Any) -> None:
    options: dict[str, Any] = {"seed": 3, "select": TopK(2)}
    clean = quiet(model, X, labels, WALK, **options)
    fold = clean.folds[0]
    everything = np.arange(len(BARS))
    uses = {"train": fold.train, "tune_calibrate": fold.tune_calibrate}

    def other(rows: Any) -> Any:
        dirty = quiet(model, X, poisoned_labels(labels, rows), WALK, **options)
        assert dirty.folds[0] == fold
        return dirty

    # All but train and calibration: tune_choose, test, what was purged, and what comes after.
    outside = np.setdiff1d(everything, np.concatenate(list(uses.values())))
    assert len(outside) > len(BARS) // 2
    assert {fold.train[-1] + 1, fold.tune[-1] + 1, fold.test[0]} <= set(outside.tolist())
    dirty = other(outside)
    for calibrated in (False, True):
        for part in ("test", "tune"):
            assert np.array_equal(raw(clean, 0, part, calibrated), raw(dirty, 0, part, calibrated))
    # Calibration rows: the model stays, the calibration does not.
    dirty = other(uses["tune_calibrate"])
    assert np.array_equal(raw(clean, 0), raw(dirty, 0))
    if labels.kind != "regression":
        assert not np.array_equal(raw(clean, 0, calibrated=True), raw(dirty, 0, calibrated=True))
    # Train rows: the model does not.
    assert not np.array_equal(raw(clean, 0), raw(other(uses["train"]), 0))


@pytest.mark.parametrize("model", MODELS)
def test_features_enter_by_their_purpose_only(model: Any) -> None:
    options: dict[str, Any] = {"seed": 3, "select": TopK(2)}
    clean = quiet(model, X, TERNARY, WALK, **options)
    fold = clean.folds[0]
    everything = np.arange(len(BARS))

    def other(rows: Any) -> Any:
        return quiet(model, poisoned_features(rows), TERNARY, WALK, **options)

    # Rows of no purpose in this fold, the future above all.
    used = [fold.train, fold.tune_calibrate, fold.tune_choose, fold.test]
    dirty = other(np.setdiff1d(everything, np.concatenate(used)))
    for part in ("test", "tune"):
        assert np.array_equal(raw(clean, 0, part, True), raw(dirty, 0, part, True))
    # Half of the test rows: the other half and all that was fitted stay.
    half = fold.test[::2]
    dirty = other(half)
    assert np.array_equal(raw(clean, 0, "tune", True), raw(dirty, 0, "tune", True))
    kept = ~np.isin(fold.test, half)
    assert np.array_equal(raw(clean, 0, "test", True)[kept], raw(dirty, 0, "test", True)[kept])
    assert not np.array_equal(
        raw(clean, 0, "test", True)[~kept], raw(dirty, 0, "test", True)[~kept]
    )
    assert (
        clean.bundles[0].parts["model"].calibration == dirty.bundles[0].parts["model"].calibration
    )
    # Rows that choose rules: likewise.
    dirty = other(fold.tune_choose)
    assert np.array_equal(raw(clean, 0, "test", True), raw(dirty, 0, "test", True))
    # Calibration rows: the model stays.
    dirty = other(fold.tune_calibrate)
    assert np.array_equal(raw(clean, 0), raw(dirty, 0))
    assert not np.array_equal(raw(clean, 0, calibrated=True), raw(dirty, 0, calibrated=True))


def test_features_are_chosen_by_train_rows() -> None:
    # Elsewhere noise0 is the label itself; in the train rows it is noise.
    fold = WALK.folds(BARS, TERNARY)[0]
    known = np.where(np.isnan(TERNARY.values), 0.0, TERNARY.values)
    leak = np.where(np.isin(np.arange(len(BARS)), fold.train), X["noise0"].to_numpy(), known)
    run = quiet(Logistic(), X.with_columns(noise0=leak), TERNARY, [fold], select=TopK(1, score="f"))
    assert run.bundles[0].features == ("score",)
    told = run.bundles[0].manifest["parts"]["model"]["selection"]
    assert told == {
        "name": "TopK",
        "params": {"k": 1, "score": "f"},
        "offered": ["score", "noise0", "noise1"],
    }
    assert run.names == ("score", "noise0", "noise1")


def test_no_row_serves_two_purposes() -> None:
    run = quiet(BOOST, X, TERNARY, WALK)
    n, ends = len(BARS), TERNARY.end
    for fold, bundle in zip(run.folds, run.bundles, strict=True):
        told = bundle.manifest["rows"]
        spans: dict[str, set[int]] = {}
        for purpose, rows in told.items():
            # The rows that the digest speaks of, found again from nothing but times and labels.
            first = int(np.searchsorted(BARS.open_time, rows["from"]))
            last = int(np.searchsorted(BARS.open_time, rows["to"]))
            at = np.arange(first, last + 1)
            assert rows["digest"] == rows_digest(at)
            assert rows["n"] == len(at)
            spans[purpose] = {bar for row in at for bar in range(row, min(ends[row], n) + 1)}
        for judged, fitted in (
            ("test", "train"),
            ("test", "tune_calibrate"),
            ("test", "tune_choose"),
            ("tune_choose", "train"),
            ("tune_choose", "tune_calibrate"),
            ("tune_calibrate", "train"),
        ):
            assert not spans[judged] & spans[fitted], (judged, fitted)
        used = bundle.manifest["parts"]["model"]["train_rows"]
        assert used["digest"] == rows_digest(fold.train)
        assert bundle.manifest["parts"]["model"]["calibration"]["rows"] == rows_digest(
            fold.tune_calibrate
        )


def test_given_folds_are_purged_against_brute_force() -> None:
    rng = np.random.default_rng(4)
    n = 120
    shrunk = 0
    for _ in range(300):
        ends = np.arange(n) + rng.integers(0, 9, n)
        # Parts in any order, as purged k-fold has them.
        cuts = np.sort(rng.choice(np.arange(5, n - 5), 4, replace=False))
        blocks = np.split(np.arange(n), cuts)
        order = rng.permutation(5)
        test, tune = blocks[order[0]], blocks[order[1]]
        train = np.sort(np.concatenate([blocks[i] for i in order[2:]]))

        def meets(a: int, rows: Any, ends: Any = ends) -> bool:
            return any(a <= ends[b] and b <= ends[a] for b in rows)

        fold = bp.Fold(0, train, tune, test)
        want = [r for r in train if not meets(r, [*tune, *test])]
        want_tune = [r for r in tune if not meets(r, test)]
        half = len(want_tune) // 2
        want_calibrate = [r for r in want_tune[:half] if not meets(r, want_tune[half:])]
        if not want:
            continue
        found = purged(0, fold, ends)
        assert found.train.tolist() == want
        assert found.tune.tolist() == want_tune
        same = len(want_tune) == len(tune)
        allowed = set(fold.tune_calibrate.tolist()) if not same else set(want_calibrate)
        assert found.tune_calibrate.tolist() == [r for r in want_calibrate if r in allowed]
        assert purged(0, found, ends).train.tolist() == found.train.tolist()
        shrunk += found is not fold
    assert shrunk > 200


def test_a_splitter_and_its_folds_train_the_same() -> None:
    a = quiet(Logistic(), X, TERNARY, WALK)
    b = quiet(Logistic(), X, TERNARY, WALK.folds(BARS, TERNARY))
    assert a.folds == b.folds
    assert a.provenance == b.provenance
    # Unpurged folds are purged here.
    c = quiet(Logistic(), X, TERNARY, WALK.folds(BARS))
    assert [f.train.tolist() for f in c.folds] == [f.train.tolist() for f in a.folds]
    assert all(f.purged for f in c.folds)
    assert np.array_equal(raw(a, 0, calibrated=True), raw(c, 0, calibrated=True))


def test_parts_are_purged_by_the_longest_reach() -> None:
    far = bp.labels.horizon(BARS, bars=40, threshold=0.003)
    run = quiet(
        {"long": bp.Part(Logistic(), X, TERNARY), "short": bp.Part(Logistic(), X, far)}, folds=WALK
    )
    assert run.folds == WALK.folds(BARS, far)
    for fold in run.folds:
        assert far.end[fold.train].max() < fold.tune[0]


@pytest.mark.parametrize("model", MODELS)
def test_threads_change_nothing(model: Any) -> None:
    one = quiet(model, X, TERNARY, WALK, threads=1, seed=5)
    for threads in (2, 7):
        many = quiet(model, X, TERNARY, WALK, threads=threads, seed=5)
        assert many.provenance == one.provenance
        assert many.predictions().equals(one.predictions())
        assert [b.digest for b in many.bundles] == [b.digest for b in one.bundles]


def test_the_number_of_openmp_threads_changes_nothing() -> None:
    code = (
        "from tests.models.test_training import *\n"
        "run = quiet(BOOST, X, BINARY, WALK, seed=5)\n"
        "print(run.provenance['bundles'])"
    )
    told = set()
    for threads in ("1", "2", "3"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        told.add(done.stdout)
    assert len(told) == 1


def test_seeds() -> None:
    model = GradientBoosting(max_iter=10, min_samples_leaf=20, max_features=0.4)
    a = quiet(model, X, BINARY, WALK, seed=5)
    assert quiet(model, X, BINARY, WALK, seed=5).provenance == a.provenance
    b = quiet(model, X, BINARY, WALK, seed=6)
    assert not np.array_equal(raw(a, 0), raw(b, 0))
    seeds = [bundle.manifest["parts"]["model"]["seed"] for bundle in a.bundles + b.bundles]
    assert len(set(seeds)) == len(seeds)


@pytest.mark.parametrize("model", MODELS)
def test_an_edge_is_found_where_there_is_one(model: Any) -> None:
    areas = {}
    for edge in (0.2, 0.0):
        bars = candles(12_000, 11, edge)
        labels = bp.labels.horizon(bars, bars=3, kind="binary")
        walk = bp.WalkForward(4_000, 2_000, tune=1_000)
        frame = (
            quiet(model, table(bars), labels, walk)
            .predictions()
            .filter(pl.col("label").is_not_nan())
        )
        areas[edge] = roc_auc_score(frame["label"], frame["p_1"])
    assert areas[0.2] > 0.6
    assert abs(areas[0.0] - 0.5) < 0.05


def test_rows_are_joined_by_time() -> None:
    whole = quiet(Logistic(), X, TERNARY, WALK)
    # Rows that are missing are bars without features, wherever they stand.
    keep = np.ones(len(BARS), dtype=bool)
    keep[1_350:1_360] = False
    keep[100:120] = False
    part = quiet(Logistic(), X.filter(keep), TERNARY, WALK)
    holes = X.with_columns(
        pl.when(pl.Series(keep)).then(pl.col(name)).otherwise(None).alias(name)
        for name in X.columns[1:]
    )
    assert np.isnan(part.signals()["long"][1_350:1_360]).all()
    assert part.bundles[0].digest == quiet(Logistic(), holes, TERNARY, WALK).bundles[0].digest
    assert (
        part.bundles[0].manifest["parts"]["model"]["train_rows"]["n"]
        == len(whole.folds[0].train) - 20
    )
    # Kinds of tables and of times.
    for same in (
        X.with_columns(pl.from_epoch("open_time", time_unit="ms")),
        X.lazy(),
        X.to_pandas(),
        X.to_arrow(),
        {name: X[name].to_numpy() for name in X.columns},
        X.select("noise1", "open_time", "score", "noise0"),
        X.with_columns(pl.col("score").cast(pl.Float64)),
    ):
        found = quiet(Logistic(), same, TERNARY, WALK, features=["score", "noise0", "noise1"])
        assert found.provenance == whole.provenance


def test_table_and_joined_features() -> None:
    run = quiet(Logistic(), X[200:], TERNARY, bp.WalkForward(900, 500, tune=400))
    assert run.X.columns == X.columns
    assert run.X.height == len(BARS)
    assert np.isnan(run.X["score"][:200].to_numpy()).all()
    assert run.X["score"][200:].to_numpy().tolist() == X["score"][200:].to_list()
    assert run.X["open_time"].dtype == pl.Datetime("ms", "UTC")


def test_allowed_features() -> None:
    run = quiet(Logistic(), X, TERNARY, WALK, features=["noise1", "score"])
    assert run.names == ("noise1", "score")
    assert run.bundles[0].features == ("noise1", "score")
    assert run.provenance["features"] == features_digest(["noise1", "score"])
    assert run.provenance["features"] == bp._core.digest("features/1", ["noise1", "score"])


def test_nan_features_train_and_predict_where_the_model_allows_it() -> None:
    holed = X["noise0"].to_numpy().copy()
    holed[::4] = np.nan
    some = X.with_columns(noise0=holed)
    trees, line = (quiet(model, some, BINARY, WALK) for model in (BOOST, Logistic()))
    for run, nan in ((trees, False), (line, True)):
        for fold in range(len(run)):
            frame = run.predictions(fold=fold)
            p = frame["p_1"].to_numpy()
            at = frame["row"].to_numpy()
            assert np.array_equal(np.isnan(p), (at % 4 == 0) & nan)
        rows = run.folds[0].train
        used = run.bundles[0].manifest["parts"]["model"]["train_rows"]
        assert used["digest"] == rows_digest(rows[rows % 4 != 0] if nan else rows)
    # A row without any feature tells nothing to anyone.
    empty = X.with_columns(
        pl.when(pl.Series(np.arange(len(BARS)) % 4 == 0)).then(None).otherwise(pl.col(c)).alias(c)
        for c in X.columns[1:]
    )
    run = quiet(BOOST, empty, BINARY, WALK)
    frame = run.predictions(fold=0)
    assert np.array_equal(np.isnan(frame["p_1"].to_numpy()), frame["row"].to_numpy() % 4 == 0)


def test_selection_may_make_more_rows_complete() -> None:
    holed = X["noise0"].to_numpy().copy()
    holed[::4] = np.nan
    run = quiet(Logistic(), X.with_columns(noise0=holed), BINARY, WALK, select=TopK(1, score="f"))
    assert run.bundles[0].features == ("score",)
    used = run.bundles[0].manifest["parts"]["model"]["train_rows"]
    assert used["digest"] == rows_digest(run.folds[0].train)


@pytest.mark.parametrize("method", ["temperature", "isotonic", "platt", None])
def test_calibration_is_told_and_applied(method: str | None) -> None:
    run = quiet(Logistic(), X, TERNARY, WALK, calibrate=method)
    told = run.bundles[0].manifest["parts"]["model"]["calibration"]
    assert told["method"] == method
    same = np.array_equal(raw(run, 0), raw(run, 0, calibrated=True))
    assert same == (method is None)
    assert run.provenance["calibrate"] == str(method)


def test_folds_that_cannot_be_calibrated_say_so() -> None:
    run = quiet(Logistic(), X, BINARY, bp.WalkForward(900, 500))
    told = run.bundles[0].manifest["parts"]["model"]["calibration"]
    assert told == {"method": None, "reason": "there are no tune rows to calibrate on"}
    rows = run.folds[0].test
    assert not np.isnan(run.signals()["long"][rows]).any()
    fold = WALK.folds(BARS, BINARY)[0]
    values = BINARY.values.copy()
    values[fold.tune_calibrate] = 1.0
    one = replace(BINARY, values=values, start=BINARY.start.copy(), end=BINARY.end.copy())
    told = quiet(Logistic(), X, one, [fold]).bundles[0].manifest["parts"]["model"]["calibration"]
    assert told == {
        "method": None,
        "reason": f"{len(fold.tune_calibrate)} tune rows to calibrate on, of 1 class",
    }
    told = quiet(Logistic(), X, RETURN, WALK).bundles[0].manifest["parts"]["model"]["calibration"]
    assert told == {"method": None, "reason": "returns are not calibrated"}


def test_a_class_that_is_not_among_the_train_rows_has_no_chance() -> None:
    fold = WALK.folds(BARS, TERNARY)[0]
    values = TERNARY.values.copy()
    values[fold.train] = np.where(values[fold.train] == 0, 1.0, values[fold.train])
    labels = replace(TERNARY, values=values, start=TERNARY.start.copy(), end=TERNARY.end.copy())
    run = quiet(Logistic(), X, labels, [fold])
    for calibrated in (False, True):
        frame = run.predictions(calibrated=calibrated)
        assert (frame["p_0"] == 0.0).all()
        np.testing.assert_allclose(frame["p_-1"] + frame["p_1"], 1.0, rtol=REFERENCE)
        # The classes that there are keep their places.
        assert np.corrcoef(frame["p_1"], X["score"].to_numpy()[fold.test])[0, 1] > 0.5
    told = run.bundles[0].manifest["parts"]["model"]
    assert told["classes_met"] == [-1, 1]
    assert told["calibration"]["left_out"] == int((values[fold.tune_calibrate] == 0).sum())


def test_models_of_a_users_own_and_wrapped_ones_are_trained() -> None:
    from sklearn.naive_bayes import GaussianNB

    class Shares:
        """Forecasts the shares of the train rows."""

        name = "Shares"
        params: dict[str, Any] = {}  # noqa: RUF012
        allows_nan = True

        def clone(self) -> Any:
            return Shares()

        def fit(self, X: Any, y: Any, *, kind: str, rows: Any, ends: Any, seed: int) -> None:
            assert kind == "ternary"
            assert np.array_equal(ends, TERNARY.end[rows])
            assert np.array_equal(y, TERNARY.values[rows])
            assert np.array_equal(X[:, 0], BARS.planted[rows])  # type: ignore[index]
            self.shares = [np.mean(y == c) for c in np.unique(y)]

        def predict_proba(self, X: Any) -> Any:
            return np.tile(self.shares, (len(X), 1))

        def predict(self, X: Any) -> Any:
            raise AssertionError

    own: Any = Shares()
    run = quiet(own, X, TERNARY, WALK, calibrate=None)
    want = [np.mean(TERNARY.values[run.folds[1].train] == c) for c in (-1, 0, 1)]
    assert run.predictions(fold=1)["p_-1", "p_0", "p_1"].row(0) == pytest.approx(tuple(want))
    wrapped = quiet(Sklearn(GaussianNB()), X, TERNARY, WALK, calibrate=None)
    fold = wrapped.folds[0]
    features = X.drop("open_time").to_numpy()
    twin = GaussianNB().fit(features[fold.train], TERNARY.values[fold.train])
    np.testing.assert_allclose(
        raw(wrapped, 0)[:, -3:].astype(float),
        twin.predict_proba(features[fold.test]),
        rtol=REFERENCE,
    )


def test_the_first_fold_that_fails_is_told_whatever_the_threads() -> None:
    values = BINARY.values.copy()
    folds = WALK.folds(BARS, BINARY)
    values[folds[1].train[-600:]] = 1.0
    values[folds[1].train[:-600]] = 1.0
    labels = replace(BINARY, values=values, start=BINARY.start.copy(), end=BINARY.end.copy())
    for threads in (1, 2, 3):
        with pytest.raises(bp.TrainingError, match="of fold 1 are of class 1"):
            quiet(Logistic(), X, labels, [folds[2], folds[1], folds[0]], threads=threads)


def test_progress_counts_folds() -> None:
    seen: list[tuple[int, int]] = []
    run = quiet(
        Logistic(), X, BINARY, WALK, progress=lambda done, total: seen.append((done, total))
    )
    assert seen[-1] == (len(run), len(run))
    assert seen == sorted(seen)


def test_an_interrupt_keeps_the_folds_that_are_finished() -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    whole = quiet(BOOST, X, BINARY, bp.WalkForward(900, 100, tune=200))
    with tempfile.TemporaryDirectory() as folder:
        book = bp.Ledger.open(Path(folder) / "ledger.sqlite")
        with pytest.raises(
            bp.Interrupted, match="folds; `partial` of this exception holds them"
        ) as caught:
            quiet(
                BOOST,
                X,
                BINARY,
                bp.WalkForward(900, 100, tune=200),
                progress=stop,
                threads=1,
                ledger=book,
            )
        assert book.trials() == 1
    error = caught.value
    part = error.partial
    assert isinstance(part, bp.Run)
    assert not part.complete
    assert 1 <= len(part) == error.done < error.total == len(whole)
    first = part.predictions(fold=0)
    assert first.equals(whole.predictions(fold=0))


def test_a_real_interrupt_stops_training() -> None:
    code = (
        "import os, signal, threading, time\n"
        "from tests.models.test_training import *\n"
        "threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "slow = GradientBoosting(max_iter=2000, min_samples_leaf=20, early_stopping=False)\n"
        "try:\n"
        "    quiet(slow, X, BINARY, bp.WalkForward(900, 5, tune=200), threads=1)\n"
        "except bp.Interrupted as error:\n"
        "    print('stopped', error.done < error.total)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout == "stopped True\n", done.stderr
    assert signal.SIGINT


def test_the_ledger_counts_one_trial_a_part(tmp_path: Path) -> None:
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    run = quiet(Logistic(), X, TERNARY, WALK, ledger=book, seed=9)
    assert run.provenance["ledger"] == "run 1, 1 trial on these candles"
    quiet(
        {"long": bp.Part(Logistic(), X, TERNARY), "short": bp.Part(Logistic(), X, TERNARY)},
        folds=WALK,
        ledger=book,
    )
    assert book.trials(BARS) == 3
    row = book.show(1)
    assert (row["kind"], row["trials"], row["seed"]) == ("train", 1, 9)
    assert row["data_digest"] == BARS.digest
    assert row["parameters"]["model"] == "Logistic()"
    assert row["parameters"]["labels"] == TERNARY.digest
    assert book.verify() is None
    assert quiet(Logistic(), X, TERNARY, WALK).provenance["ledger"] == "unrecorded"


def test_the_ledger_is_asked_before_work_is_done(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.write_text("no ledger")

    class Never(Logistic):
        def clone(self) -> Any:
            raise AssertionError

    with pytest.raises(bp.LedgerError):
        quiet(Never(), X, TERNARY, WALK, ledger=path)


def test_the_manifest_is_plain_and_tells_what_was_used() -> None:
    run = quiet(BOOST, X, TERNARY, WALK, seed=4, select=TopK(2))
    for i, bundle in enumerate(run.bundles):
        told = bundle.manifest
        assert json.loads(json.dumps(told, allow_nan=False)) == told
        assert told["fold"] == i
        assert told["seed"] == 4
        assert told["data"]["candles"] == BARS.digest
        part = told["parts"]["model"]
        assert part["label"] == {"rule": TERNARY.rule, "digest": TERNARY.digest}
        assert part["model"]["params"] == BOOST.params
        assert part["classes"] == [-1, 0, 1]
        assert part["test"]["n"] == int((~np.isnan(TERNARY.values[run.folds[i].test])).sum())
        assert 0.5 < part["test"]["auc_up"]["value"] < 1
        assert told["versions"]["barproof"] == bp.__version__
        assert bundle.features_digest == told["features_digest"] == features_digest(bundle.features)
    # A copy: nobody can write another past into it.
    bundle.manifest["seed"] = 5
    assert bundle.manifest["seed"] == 4
    assert len({bundle.digest for bundle in run.bundles}) == len(run)


def test_training_leaves_the_models_of_its_caller_alone() -> None:
    model = GradientBoosting(max_iter=5, min_samples_leaf=20)
    quiet(model, X, BINARY, WALK)
    assert not hasattr(model, "iterations_")
    assert down(TERNARY).kind == "binary"
