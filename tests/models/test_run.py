"""Runs: which prediction feeds which array, at which bar."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.models import GradientBoosting, Logistic
from tests.models.market import candles, down, quiet, table
from tests.tolerances import ROUNDING

BARS = candles()
X = table(BARS)
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=4)
FALL = down(TERNARY)
WALK = bp.WalkForward(900, 500, tune=400)
TERNARY_RUN = quiet(Logistic(), X, TERNARY, WALK)


def placed(run: bp.Run, column: str, part: Any = "test", name: str = "model", **o: Any) -> Any:
    """Predictions at their bars, NaN elsewhere."""
    frame = run.predictions(part, **o).filter(pl.col("part") == name)
    out = np.full(len(BARS), np.nan)
    out[frame["row"].to_numpy()] = frame[column].to_numpy()
    return out


def same(a: Any, b: Any) -> bool:
    return bool(np.allclose(a, b, rtol=ROUNDING, atol=0, equal_nan=True))


@pytest.mark.parametrize("part", ["test", "tune"])
def test_ternary_classes_feed_both_sides(part: Any) -> None:
    signals = TERNARY_RUN.signals(part)
    assert (signals.names, signals.kind, len(signals)) == (
        ("long", "short"),
        "probability",
        len(BARS),
    )
    assert same(signals["long"], placed(TERNARY_RUN, "p_1", part))
    assert same(signals["short"], placed(TERNARY_RUN, "p_-1", part))


def test_binary_classes_feed_both_sides() -> None:
    run = quiet(Logistic(), X, BINARY, WALK)
    signals = run.signals()
    assert same(signals["long"], placed(run, "p_1"))
    assert same(signals["short"], 1 - placed(run, "p_1"))
    assert same(placed(run, "p_0"), 1 - placed(run, "p_1"))


def test_labels_of_trades_feed_their_own_side() -> None:
    """A long that does not pay is no short that does."""
    rules = bp.Rules(stop_loss=0.004, take_profit=0.004, max_hold=12)
    costs = bp.Costs(taker=0.0002)
    sides = np.where(np.asarray(BARS.planted) >= 0, 1.0, -1.0)
    long, short = (
        bp.labels.triple_barrier(BARS, rules, costs=costs, side=side) for side in ("long", "short")
    )
    gain = bp.labels.triple_barrier(BARS, rules, costs=costs, side="short", kind="regression")
    follow = bp.labels.meta(BARS, sides, rules, costs=costs)
    leave = bp.labels.exits(BARS, sides, rules, costs=costs)
    for labels, column, want in (
        (long, "p_1", ("long",)),
        (short, "p_1", ("short",)),
        (gain, "prediction", ("short",)),
        (bp.labels.volume_filter(long, least=0.1), "p_1", ("long",)),
        (leave, "p_1", ("exit_long", "exit_short")),
        (leave.of("short"), "p_1", ("exit_short",)),
    ):
        run = quiet(Logistic(), X, labels, WALK)
        signals = run.signals()
        assert signals.names == want
        for name in want:
            assert same(signals[name], placed(run, column))
    run = quiet(Logistic(), X, follow, WALK)
    signals = run.signals()
    found = placed(run, "p_1")
    assert same(signals["long"], np.where(sides == 1, found, np.nan))
    assert same(signals["short"], np.where(sides == -1, found, np.nan))
    # A part named after its side takes the trade's return as it is, whatever the side.
    named = quiet({"short": bp.Part(Logistic(), X, gain)}, folds=WALK)
    assert same(named.signals()["short"], placed(named, "prediction", name="short"))


def test_returns_feed_scores() -> None:
    run = quiet(Logistic(), X, RETURN, WALK)
    signals = run.signals(exit="opposite")
    assert signals.kind == "score"
    found = placed(run, "prediction")
    assert same(signals["long"], found)
    assert same(signals["short"], -found)
    assert same(signals["exit_long"], -found)
    assert same(signals["exit_short"], found)
    assert run.predictions().columns == ["fold", "row", "open_time", "part", "label", "prediction"]


def test_signals_stand_at_the_rows_of_their_purpose() -> None:
    for part, rows in (
        ("test", [fold.test for fold in TERNARY_RUN.folds]),
        ("tune", [fold.tune_choose for fold in TERNARY_RUN.folds]),
    ):
        at = np.zeros(len(BARS), dtype=bool)
        at[np.concatenate(rows)] = True
        assert np.array_equal(~np.isnan(TERNARY_RUN.signals(part)["long"]), at)  # type: ignore[arg-type]
        for number, own in enumerate(rows):
            one = TERNARY_RUN.signals(part, fold=number)["long"]  # type: ignore[arg-type]
            assert np.flatnonzero(~np.isnan(one)).tolist() == own.tolist()
            assert same(one[own], TERNARY_RUN.signals(part)["long"][own])  # type: ignore[arg-type]


def test_the_opposite_side_closes() -> None:
    signals = TERNARY_RUN.signals(exit="opposite")
    assert signals.names == ("long", "short", "exit_long", "exit_short")
    assert np.array_equal(signals["exit_long"], signals["short"], equal_nan=True)
    assert np.array_equal(signals["exit_short"], signals["long"], equal_nan=True)


def test_named_parts_feed_their_arrays() -> None:
    far = bp.labels.horizon(BARS, bars=8, threshold=0.002)
    parts = {
        "exit_short": bp.Part(Logistic(), X, far),
        "long": bp.Part(Logistic(), X, BINARY),
        "short": bp.Part(Logistic(C=0.5), X, FALL),
        "exit_long": bp.Part(Logistic(), X, far),
    }
    run = quiet(parts, folds=WALK)
    assert list(run.parts) == ["long", "short", "exit_long", "exit_short"]
    assert run.labels is BINARY
    signals = run.signals()
    assert same(signals["long"], placed(run, "p_1", name="long"))
    assert same(signals["short"], placed(run, "p_1", name="short"))
    assert same(signals["exit_long"], placed(run, "p_-1", name="exit_long"))
    assert same(signals["exit_short"], placed(run, "p_1", name="exit_short"))
    # A part is what it would be alone, in folds purged as these are.
    alone = quiet({"short": parts["short"]}, folds=run.folds)
    assert np.array_equal(alone.signals()["short"], signals["short"], equal_nan=True)
    ternary = quiet({"long": parts["exit_long"], "short": parts["exit_long"]}, folds=WALK).signals()
    assert np.array_equal(ternary["long"], signals["exit_short"], equal_nan=True)
    assert np.array_equal(ternary["short"], signals["exit_long"], equal_nan=True)


def test_named_parts_of_returns_are_signed_by_their_side() -> None:
    one = bp.Part(Logistic(), X, RETURN)
    run = quiet(dict.fromkeys(("long", "short", "exit_long", "exit_short"), one), folds=WALK)
    signals, up = run.signals(), placed(run, "prediction", name="long")
    for name, sign in (("long", 1), ("short", -1), ("exit_long", -1), ("exit_short", 1)):
        assert same(signals[name], sign * up)


def test_parts_may_have_features_of_their_own() -> None:
    other = pl.DataFrame(
        {"open_time": X["open_time"], "own": X["score"] * 2.0, "noise1": X["noise1"]}
    )
    run = quiet(
        {"long": bp.Part(Logistic(), X, TERNARY), "short": bp.Part(Logistic(), other, TERNARY)},
        folds=WALK,
    )
    assert run.names == ("score", "noise0", "noise1", "own")
    bundle = run.bundles[0]
    assert bundle.features == run.names
    assert bundle.parts["short"].features == ("own", "noise1")
    assert run.X.columns == ["open_time", *run.names]
    whole = run.X
    rows = run.folds[0].test
    assert same(bundle.predict(whole, part="short")[rows, 0], run.signals()["short"][rows])
    assert same(bundle.predict(other, part="short")[rows, 0], run.signals()["short"][rows])
    assert same(bundle.predict(whole, part="long")[rows, 2], run.signals()["long"][rows])


def test_overlapping_folds_need_a_number() -> None:
    run = quiet(Logistic(), X, TERNARY, bp.WalkForward(900, 500, tune=400, step=250))
    with pytest.raises(
        bp.TrainingError, match="is a test row of folds 0 and 1: name one with fold="
    ):
        run.signals()
    one = run.signals(fold=1)["long"]
    assert np.flatnonzero(~np.isnan(one)).tolist() == run.folds[1].test.tolist()
    frame = run.predictions()
    assert frame.height == sum(len(fold.test) for fold in run.folds)
    # Tune rows overlap too where tune is longer than the step.
    tuned = quiet(Logistic(), X, TERNARY, bp.WalkForward(900, 100, tune=400))
    with pytest.raises(bp.TrainingError, match="is a tune row of folds 0 and 1"):
        tuned.signals("tune")
    assert len(tuned.signals()) == len(BARS)


def test_predictions_are_a_table() -> None:
    frame = TERNARY_RUN.predictions()
    assert frame.columns == ["fold", "row", "open_time", "part", "label", "p_-1", "p_0", "p_1"]
    rows = np.concatenate([fold.test for fold in TERNARY_RUN.folds])
    assert frame["row"].to_list() == rows.tolist()
    assert frame["open_time"].dt.epoch("ms").to_list() == BARS.open_time[rows].tolist()
    assert np.array_equal(frame["label"].to_numpy(), TERNARY.values[rows], equal_nan=True)
    assert frame["fold"].to_list() == [i for i, f in enumerate(TERNARY_RUN.folds) for _ in f.test]
    assert set(frame["part"]) == {"model"}
    sums = frame["p_-1"] + frame["p_0"] + frame["p_1"]
    np.testing.assert_allclose(sums, 1.0, rtol=ROUNDING)
    mixed = quiet(
        {"long": bp.Part(Logistic(), X, BINARY), "short": bp.Part(Logistic(), X, TERNARY)},
        folds=WALK,
    ).predictions()
    assert mixed.columns == ["fold", "row", "open_time", "part", "label", "p_0", "p_1", "p_-1"]
    assert mixed.filter(pl.col("part") == "long")["p_-1"].is_null().all()


def test_a_bundle_repeats_what_its_run_foresaw() -> None:
    for model in (Logistic(), GradientBoosting(max_iter=10, min_samples_leaf=20)):
        run = quiet(model, X, TERNARY, WALK)
        for number, bundle in enumerate(run.bundles):
            rows = run.folds[number].test
            # By name, whatever the order and whatever else is in the table.
            shuffled = X.select("noise1", "open_time", "score", "noise0").with_columns(
                more=pl.lit("text")
            )
            found = bundle.predict(shuffled)
            assert found.shape == (len(BARS), 3)
            assert np.array_equal(found[rows, 2], run.signals(fold=number)["long"][rows])
            raw = bundle.predict(X, calibrated=False)[rows]
            frame = run.predictions(fold=number, calibrated=False)
            assert np.array_equal(raw, frame["p_-1", "p_0", "p_1"].to_numpy())
            # A few rows at a time, too.
            assert np.array_equal(bundle.predict(X[rows[:3]]), found[rows[:3]])


def test_bundles_refuse_missing_columns_and_ask_for_a_part() -> None:
    bundle = TERNARY_RUN.bundles[0]
    with pytest.raises(
        bp.BundleError, match="lack 2 of the 3 columns of the bundle: `score`, `noise0`"
    ):
        bundle.predict(X.select("noise1"))
    nothing = X.select(pl.col("score", "noise0", "noise1") * float("nan"))
    assert np.isnan(bundle.predict(nothing)).all()
    assert repr(bundle) == "Bundle(fold 0, model: Logistic, 3 features)"
    assert bundle.part() is bundle.parts["model"]


def test_runs_and_bundles_survive_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(TERNARY_RUN))
    assert again.signals() == TERNARY_RUN.signals()
    assert again.bundles[0].digest == TERNARY_RUN.bundles[0].digest
    assert again.folds == TERNARY_RUN.folds


def test_a_run_shows_itself() -> None:
    assert repr(TERNARY_RUN).startswith("Run(Logistic, 3 features, 3 folds, ")
    two = quiet({"long": bp.Part(Logistic(), X, TERNARY)}, folds=WALK)
    assert "long: Logistic" in repr(two)
    assert len(TERNARY_RUN) == 3
    assert TERNARY_RUN.seconds > 0
    assert TERNARY_RUN.complete
    assert TERNARY_RUN.candles is BARS


def test_provenance_tells_runs_apart() -> None:
    def told(**changes: Any) -> dict[str, str]:
        arguments: dict[str, Any] = {
            "model": Logistic(),
            "X": X,
            "labels": TERNARY,
            "folds": WALK,
            "seed": 0,
        }
        return quiet(**{**arguments, **changes}).provenance

    base = told()
    assert all(isinstance(v, str) for v in base.values())
    assert told() == base
    changes: dict[str, tuple[str, Any]] = {
        "model": ("model_digest", Logistic(C=2.0)),
        "X": ("features_values", X.with_columns(noise0=X["noise0"] + 1e-9)),
        "labels": ("labels", bp.labels.horizon(BARS, bars=4, threshold=0.002)),
        "folds": ("folds", bp.WalkForward(900, 500, tune=300)),
        "seed": ("seed", 1),
        "calibrate": ("calibrate", "platt"),
        "select": ("select", bp.models.TopK(2)),
        "features": ("features", ["score", "noise0"]),
    }
    for argument, (key, value) in changes.items():
        found = told(**{argument: value})
        assert found[key] != base[key], argument
        assert found["bundles"] != base["bundles"], argument
    assert base["candles"] == BARS.digest
    assert base["labels"] == TERNARY.digest


def test_signals_run_in_a_backtest_and_find_the_edge() -> None:
    run = quiet(Logistic(), X, TERNARY, WALK)
    first, last = run.folds[0].test[0], run.folds[-1].test[-1]
    result = bp.backtest(
        BARS,
        run.signals(exit="opposite"),
        bp.Rules(entry_long=0.5, entry_short=0.5, max_hold=4),
        costs=bp.Costs.free(),
        window=(int(first), int(last) + 1),
    )
    assert result.metrics["trades"] > 20
    assert result.equity["equity"][-1] > result.equity["equity"][0]
