"""BARPROOF_SIMD changes speed and no bit; a path that is not there is refused by name."""

import os
import subprocess
import sys

import numpy as np
import pytest

import barproof as bp
from barproof import _core

PATHS = ("portable", "avx2", "avx512")


@pytest.fixture(scope="module")
def market() -> tuple[bp.Candles, bp.Signals]:
    candles = bp.simulate_candles(3, 6_000, interval="5m")
    draws = np.random.default_rng(3).random((3, 6_000))
    long, short, leave = np.where(draws < 0.05, np.nan, draws)
    return candles, bp.Signals(long=long, short=short, exit_long=leave, exit_short=leave)


def run(market: tuple[bp.Candles, bp.Signals]) -> bp.Sweep:
    grid = bp.Grid(
        bp.Rules(max_hold=90, trailing=0.02),
        {"entry_long": [0.9, 0.99], "entry_short": [0.9, 0.99]},
        exit_long=[None, 0.97],
        stop_loss=[0.004, 0.02],
        take_profit=[0.006, 0.03],
    )
    candles, signals = market
    return bp.sweep(
        candles,
        signals,
        grid,
        costs=bp.Costs(taker=0.0005),
        windows=[(0, 2_500), (2_500, 6_000)],
        ledger=False,
        progress=False,
    )


def test_every_path_gives_the_same_frames(
    market: tuple[bp.Candles, bp.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    best = run(market)
    assert (best.pooled["trades"] > 0).all()
    taken = _core.simd_paths()
    assert taken[0] == "portable" and set(taken) <= set(PATHS)
    for path in taken:
        monkeypatch.setenv("BARPROOF_SIMD", path)
        assert _core.simd_path() == path
        found = run(market)
        assert found.frame.equals(best.frame, null_equal=True), path
        assert found.pooled.equals(best.pooled, null_equal=True), path
        assert np.array_equal(found.daily_returns.to_numpy(), best.daily_returns.to_numpy()), path


def test_every_path_gives_the_same_features(
    market: tuple[bp.Candles, bp.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    candles, _ = market
    features = bp.FeatureSet.preset("gating_171")
    best = features.compute(candles).to_numpy()
    matrix = features.matrix(candles)
    assert np.isfinite(best[-1]).all()
    for path in _core.simd_paths():
        monkeypatch.setenv("BARPROOF_SIMD", path)
        assert features.compute(candles).to_numpy().tobytes() == best.tobytes(), path
        assert features.matrix(candles).tobytes() == matrix.tobytes(), path


def test_an_unknown_path_is_refused(
    market: tuple[bp.Candles, bp.Signals], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BARPROOF_SIMD", "sse9")
    features = bp.FeatureSet(["rsi(close, 14)"])
    calls = (
        lambda: run(market),
        lambda: features.compute(market[0]),
        lambda: features.matrix(market[0]),
    )
    message = "`BARPROOF_SIMD` must be one of portable, avx2, avx512, was sse9"
    for call in calls:
        with pytest.raises(bp.ParameterError) as refused:
            call()
        assert str(refused.value) == message


def test_the_variable_holds_for_the_process() -> None:
    code = "from barproof import _core; print(_core.simd_path())"
    environment = {**os.environ, "BARPROOF_SIMD": "portable"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "portable"
