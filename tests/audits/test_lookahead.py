"""SPL-07 by the last rows at each cut: what whole prefixes find is found, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import audits
from barproof.audits.bar_steps import ALL_ROWS, LAST_ROWS
from barproof.features.tables import each_block, plan
from tests.audits import cases

CANDLES = cases.market()
NAMES = ["rsi(14)", "ema(20)", "sma(5)@1h", "obv()", "zscore(close, 300)", "log_return()"]
WINDOW = 16


def own(function: Any, bars: int = 5) -> bp.FeatureSet:
    mine = bp.feature(function, name="mine", memory=bp.finite(bars))
    return bp.FeatureSet(["rsi(14)", mine, "sma(mine, 3)"])


def tomorrow(candles: bp.Candles) -> Any:
    return np.append(candles.close[1:], np.nan)


def far(candles: bp.Candles) -> Any:
    """Knows whether 100 bars on the price is higher; where there is no such bar it gives 0."""
    out = np.zeros(len(candles))
    out[:-100] = candles.close[100:] > candles.close[:-100]
    return out


def share(candles: bp.Candles) -> Any:
    return candles.close / candles.close.mean()


def trailing(candles: bp.Candles) -> Any:
    return candles.close - candles.open


def test_features_of_every_memory_pass() -> None:
    found = audits.lookahead(bp.FeatureSet(NAMES), CANDLES, window=WINDOW)
    assert found.outcome == "pass", found.title
    # Five prefixes are whole; the rest by their last rows, the cumulative feature from the first bar.
    assert found.evidence["last_rows"] == {"cuts": found.evidence["cuts"] - 5, "rows": WINDOW}
    assert "cuts_beyond_memory" not in found.evidence


def test_a_preset_passes_on_a_rough_market() -> None:
    rng = np.random.default_rng(20261121)
    close = np.round(50 * np.exp(np.cumsum(0.01 * rng.standard_t(2, 6_000).clip(-9, 9))), 2)
    close[2_000:2_400] = close[2_000]  # nothing trades
    frame = pl.DataFrame(
        {
            "open_time": 1_700_000_100_000 + 300_000 * np.arange(6_000),
            "open": np.r_[close[0], close[:-1]],
            "high": np.maximum(close, np.r_[close[0], close[:-1]]),
            "low": np.minimum(close, np.r_[close[0], close[:-1]]),
            "close": close,
            "volume": np.where(rng.random(6_000) < 0.2, 0.0, rng.exponential(1e6, 6_000)),
        }
    )
    frame = pl.concat([frame[:3_000], frame[3_050:]])  # and a hole
    candles = bp.read_candles(frame, interval="5m", instrument="spot", on_fault="ignore")
    found = audits.lookahead(bp.FeatureSet.preset("gating_109"), candles, window=WINDOW)
    assert found.outcome == "pass", found.title


@pytest.mark.parametrize("function", [tomorrow, far, share])
def test_a_leak_in_an_own_feature_is_found(function: Any) -> None:
    found = audits.lookahead(own(function), CANDLES, cuts=19, window=WINDOW)
    assert found.outcome == "fail"
    assert found.scope["column"] == "mine"
    row = found.evidence["rows"][0]
    whole, cut = (own(function).compute(c)["mine"] for c in (CANDLES, CANDLES[: row["cut"] + 1]))
    told = [np.nan if row[key] is None else row[key] for key in ("whole", "cut_value")]
    np.testing.assert_array_equal(told, [whole[row["bar"]], cut[row["bar"]]])


def test_both_ways_find_the_same_faults() -> None:
    for function in (tomorrow, share, trailing):
        # A function says no memory of its own: `warmup` stands for it.
        for path in (own(function), function):
            one = audits.lookahead(path, CANDLES, warmup=5, cuts=9)
            other = audits.lookahead(path, CANDLES, warmup=5, cuts=9, window=WINDOW)
            assert one.outcome == other.outcome
            assert one.measured == other.measured
            assert one.evidence.get("rows") == other.evidence.get("rows")


def test_a_longer_memory_than_declared_is_no_lookahead() -> None:
    def expanding(candles: bp.Candles) -> Any:
        return np.maximum.accumulate(candles.close) + np.cumsum(candles.volume)

    found = audits.lookahead(expanding, CANDLES, warmup=3, window=WINDOW)
    assert found.outcome == "pass", found.title
    assert found.evidence["cuts_beyond_memory"] == found.evidence["cuts"] - 5
    # A set remembers as long as its slowest feature; prefixes that are shorter than that are whole anyway.
    found = audits.lookahead(own(expanding), CANDLES, window=WINDOW)
    assert found.outcome == "pass", found.title
    assert found.evidence["cuts_beyond_memory"] > found.evidence["cuts"] // 2


def test_models_meet_every_cut() -> None:
    features = bp.FeatureSet(["log_return()", "rsi(14)"])
    calls: list[int] = []

    def honest(frame: pl.DataFrame) -> Any:
        calls.append(len(frame))
        return cases.Model(("log_return(1)",)).predict(frame)

    def batch(frame: pl.DataFrame) -> Any:
        p = honest(frame)
        return p / np.nanmax(p, axis=0)

    found = audits.lookahead(features, CANDLES, models=honest, window=WINDOW)
    assert found.outcome == "pass" and len(calls) == 1 + found.evidence["cuts"]
    found = audits.lookahead(features, CANDLES, models=batch, window=WINDOW)
    assert found.outcome == "fail" and found.scope["column"].startswith("model ")
    assert found.measured == audits.lookahead(features, CANDLES, models=batch).measured


def test_models_with_windows_are_asked_with_the_rows_before() -> None:
    features = bp.FeatureSet(["log_return()"])
    noise = np.random.default_rng(0).uniform(-1e-6, 1e-6, len(CANDLES))

    def mean(frame: pl.DataFrame) -> Any:
        """Look at ten rows, so that the first nine have no prediction; bits depend on the number of rows."""
        p = frame["log_return(1)"].fill_nan(None).rolling_mean(10).to_numpy()
        return (0.5 + p * (1.0 + noise[len(frame) - 1]))[:, None]

    found = audits.lookahead(features, CANDLES, models=mean, models_window=10, models_agree=1e-5)
    assert found.outcome == "pass", found.title
    # Without its window the first predictions of a tail are missing; without its precision others differ.
    short = audits.lookahead(features, CANDLES, models=mean, models_window=9, models_agree=1e-5)
    assert short.outcome == "fail"
    assert audits.lookahead(features, CANDLES, models=mean, models_window=10).outcome == "fail"

    def ahead(frame: pl.DataFrame) -> Any:
        return mean(frame) + np.nanmax(frame["log_return(1)"].to_numpy())

    peeked = audits.lookahead(features, CANDLES, models=ahead, models_window=10, models_agree=1e-5)
    assert peeked.outcome == "fail" and peeked.scope["column"].startswith("model ")


def test_an_audit_compares_last_rows_of_long_candles() -> None:
    features = bp.FeatureSet(["log_return()", "ema(20)"])
    for bars, rows in ((ALL_ROWS, None), (ALL_ROWS + 1, {"cuts": 59, "rows": LAST_ROWS})):
        candles = bp.simulate_candles(5, bars=bars)
        found = bp.audit(candles=candles, features=features, ledger=False)["SPL-07"]
        assert found.outcome == "pass"
        assert (found.evidence.get("last_rows") or {}).get("rows") == (rows or {}).get("rows")
    leaky = bp.audit(candles=candles, features=own(tomorrow), ledger=False)["SPL-07"]
    assert leaky.outcome == "fail" and "mine" in leaky.evidence["columns"]
    # Of a function nothing is known.
    found = bp.audit(candles=candles, features=cases.trailing, ledger=False)["SPL-07"]
    assert found.outcome == "pass" and "last_rows" not in found.evidence


def test_blocks_are_the_table() -> None:
    features = bp.FeatureSet([*NAMES, *(f"sma({n})" for n in range(2, 600))])
    candles = bp.simulate_candles(5, bars=15_000)
    whole = features.compute(candles)
    seen = 0
    for first, block in each_block(features, plan(features, candles, None, "left"), None):
        assert first == seen
        seen += block.shape[1]
        for name, column in zip(features.names, block, strict=True):
            np.testing.assert_array_equal(column, whole[name][first:seen].to_numpy())
    assert seen == 15_000
