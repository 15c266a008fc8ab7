"""SPL-07: planted faults and clean paths, cut whole and by the last rows at each cut, which find the same."""

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
from tests.tolerances import GOLDEN

near = pytest.approx
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


def column(expression: pl.Expr) -> Any:
    return lambda candles: candles.to_polars().select("open_time", x=expression)


CLOSE = pl.col("close")
LEAKS = {
    "shift": column(CLOSE.shift(-1)),
    "centred": column(CLOSE.rolling_mean(5, center=True)),
    "z-score": column((CLOSE - CLOSE.mean()) / CLOSE.std()),
    "rank": column(CLOSE.rank()),
    "backfill": column(pl.when(CLOSE.shift(1) < CLOSE).then(CLOSE).otherwise(None).backward_fill()),
    "open hour": column(CLOSE.last().over(pl.col("open_time").dt.truncate("1h"))),
}
CLEAN = {
    "trailing": column(CLOSE.rolling_mean(5)),
    "ewm": column(CLOSE.ewm_mean(span=20)),
    "expanding": column(CLOSE.cum_max()),
    "array": lambda candles: np.diff(candles.close, prepend=np.nan),
}


@pytest.mark.parametrize("name", LEAKS)
def test_lookahead_is_caught(name: str) -> None:
    found = audits.lookahead(LEAKS[name], CANDLES)
    assert found.outcome == "fail", found.title
    row = found.evidence["rows"][0]
    assert row["column"] == "x" and row["bar"] <= row["cut"]
    # Both values are what the path gives, with and without the later bars.
    whole = LEAKS[name](CANDLES)["x"][row["bar"]]
    cut = LEAKS[name](CANDLES[: row["cut"] + 1])["x"][row["bar"]]
    assert (row["whole"], row["cut_value"]) == (whole, cut)


@pytest.mark.parametrize("name", CLEAN)
def test_no_lookahead_no_finding(name: str) -> None:
    found = audits.lookahead(CLEAN[name], CANDLES)
    assert found.outcome == "pass", found.title


def test_worked_case() -> None:
    x = np.arange(10.0) ** 2

    def path(kind: str) -> Any:
        def compute(candles: bp.Candles) -> Any:
            values = pl.Series(x[: len(candles)])
            if kind == "trailing":
                return values.rolling_mean(3).to_numpy()
            if kind == "centred":
                return values.rolling_mean(3, center=True).to_numpy()
            return ((values - values.mean()) / values.std(ddof=0)).to_numpy()

        return compute

    candles = bp.simulate_candles(1, bars=10)
    # R02: row 5 whole and after a cut behind it.
    rows = [
        (path(kind)(candles)[5], path(kind)(candles[:6])[5])
        for kind in ("trailing", "centred", "z")
    ]
    assert rows[0] == near((16.666666666666668, 16.666666666666668), rel=GOLDEN)
    assert rows[1][0] == near(25.666666666666668, rel=GOLDEN) and np.isnan(rows[1][1])
    assert rows[2] == near((-0.13034229205807651, 1.7798253194564257), rel=GOLDEN)
    assert audits.lookahead(path("trailing"), candles).outcome == "pass"
    assert audits.lookahead(path("centred"), candles).outcome == "fail"
    assert audits.lookahead(path("z"), candles).outcome == "fail"


def test_both_directions() -> None:
    def appears(candles: bp.Candles) -> np.ndarray:
        out = np.zeros(len(candles))
        out[-1] = np.nan  # undefined on the last bar only: it appears when more come
        return out

    def vanishes(candles: bp.Candles) -> np.ndarray:
        out = np.full(len(candles), np.nan)
        out[:50], out[-1] = 0.0, 1.0
        return out

    for path in (appears, vanishes):
        row = audits.lookahead(path, CANDLES).evidence["rows"][0]
        assert (row["whole"] is None) != (row["cut_value"] is None)


def test_bits_for_feature_sets_and_a_tolerance_elsewhere() -> None:
    def jitter(candles: bp.Candles) -> pl.DataFrame:
        return pl.DataFrame(
            {
                "open_time": candles.to_polars()["open_time"],
                "x": candles.close * (1 + 1e-13 * (len(candles) % 7)),
            }
        )

    assert audits.lookahead(jitter, CANDLES).outcome == "pass"
    assert audits.lookahead(cases.Features(jitter), CANDLES).outcome == "fail"
    assert audits.lookahead(jitter, CANDLES, exact=True).outcome == "fail"


def test_a_rare_fault_of_five_per_cent_is_caught() -> None:
    def rare(candles: bp.Candles) -> np.ndarray:
        out = candles.close.copy()
        n = len(out)
        ends = np.arange(n) % 20 == 0
        out[ends] = np.r_[out[1:], np.nan][ends]
        return out

    caught = sum(audits.lookahead(rare, CANDLES, seed=s).outcome == "fail" for s in range(20))
    assert caught >= 17


def test_the_table_that_was_trained_on() -> None:
    table = cases.trailing(CANDLES)
    assert audits.lookahead(cases.trailing, CANDLES, used=table).outcome == "pass"
    assert (
        audits.lookahead(cases.trailing, CANDLES, used=table.reverse().sort("open_time")).outcome
        == "pass"
    )
    leaked = table.with_columns(pl.col("move").shift(-1))
    found = audits.lookahead(cases.trailing, CANDLES, used=leaked)
    assert found.outcome == "fail" and "trained on another table" in found.title
    assert found.scope["column"] == "move"


def test_models_on_top_of_features() -> None:
    def honest(frame: pl.DataFrame) -> Any:
        return cases.Model(("move",)).predict(frame)

    def batch(frame: pl.DataFrame) -> Any:
        p = honest(frame)
        return p / np.nanmax(p, axis=0)  # normalised over whatever rows come together

    assert audits.lookahead(cases.trailing, CANDLES, models=honest).outcome == "pass"
    found = audits.lookahead(cases.trailing, CANDLES, models=batch)
    assert found.outcome == "fail" and found.scope["column"].startswith("model ")


def test_a_budget_ends_in_inconclusive() -> None:
    found = audits.lookahead(cases.trailing, CANDLES, max_seconds=0.0)
    assert found.outcome == "inconclusive" and "budget" in found.title


def test_dropped_rows_are_differences() -> None:
    def drops(candles: bp.Candles) -> pl.DataFrame:
        return column(CLOSE.shift(-3))(candles).drop_nulls()  # type: ignore[no-any-return]

    assert audits.lookahead(drops, CANDLES).outcome == "fail"
    short = audits.lookahead(lambda candles: candles.close[:-1], CANDLES)
    assert short.outcome == "inconclusive"
