"""Several symbols and longer bars, against an explicit resample and as-of join in polars."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from polars.testing import assert_frame_equal

import barproof as bp
from tests.features import markets
from tests.tolerances import ROUNDING

Floats = NDArray[np.float64]
FIVE = timedelta(minutes=5)


def market(name: str, seed: int, n: int = 400, *, drop: float = 0.1) -> bp.Candles:
    """Five-minute bars, of which some are absent."""
    walk = markets.walk(seed, n)
    keep = np.random.default_rng([seed, 3]).uniform(size=n) >= drop
    keep[0] = True
    return walk.take(keep).candles(name)


def closed(candles: bp.Candles, every: str) -> pl.DataFrame:
    """Long bars with the time at which each is known: its end, or, where its last bars are absent, the next close."""
    length = {"15m": timedelta(minutes=15), "1h": timedelta(hours=1), "4h": timedelta(hours=4)}
    frame = candles.to_polars().with_columns(known=pl.col("open_time") + FIVE).sort("open_time")
    frame = frame.with_columns(next=pl.col("known").shift(-1))
    long = frame.group_by_dynamic("open_time", every=every).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
        pl.col("known").last(),
        pl.col("next").last(),
    )
    end = pl.col("open_time") + length[every]
    return long.with_columns(
        known=pl.when(pl.col("known") == end).then(pl.col("known")).otherwise(pl.col("next"))
    ).filter(pl.col("known").is_not_null())


def known_at(base: bp.Candles, long: pl.DataFrame, column: str) -> Floats:
    """As-of join: at each close of the base, the last value that was known by then."""
    left = base.to_polars().select(known=pl.col("open_time") + FIVE)
    right = long.select("known", column).sort("known")
    joined = left.join_asof(right, on="known", strategy="backward")
    return joined[column].cast(pl.Float64).fill_null(np.nan).to_numpy()


def same(actual: pl.Series, expected: Floats) -> None:
    np.testing.assert_allclose(actual.to_numpy(), expected, rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("every", ["15m", "1h", "4h"])
def test_longer_bars_are_those_of_resample_and_an_as_of_join(seed: int, every: str) -> None:
    base = market("ETH", seed)
    long = closed(base, every).with_columns(
        mean=pl.col("close").rolling_mean(3),
        top=pl.col("high").rolling_max(2),
        change=pl.col("volume") / pl.col("volume").shift(1) - 1,
    )
    frame = bp.FeatureSet(
        [f"sma(3)@{every}", f"max(high, 2)@{every}", f"simple_return(volume, 1)@{every}"]
    ).compute(base)
    for column, name in zip(frame.columns[1:], ("mean", "top", "change"), strict=True):
        same(frame[column], known_at(base, long, name))


@pytest.mark.parametrize("seed", range(4))
def test_longer_bars_are_those_that_resample_makes(seed: int) -> None:
    base = market("ETH", seed)
    hours = bp.resample(base, "1h")
    frame = bp.FeatureSet(["close@1h", "volume@1h"]).compute(base)
    # The last value that is known at the end of the candles is the last complete bar.
    assert frame["close@1h"][-1] == hours.close[-1]
    assert set(frame["close@1h"].drop_nans().unique()) == set(hours.close.tolist())


@pytest.mark.parametrize("seed", range(4))
def test_other_symbols_are_joined_by_time(seed: int) -> None:
    eth, btc = market("ETH", seed), market("BTC", seed + 50)
    frame = bp.FeatureSet(["close@BTC", "ratio(close, close@BTC)", "sma(2)@BTC/1h"]).compute(
        {"ETH": eth, "BTC": btc}
    )
    ours = frame.filter(pl.col("symbol") == "ETH")
    other = btc.to_polars().select("open_time", btc="close")
    joined = eth.to_polars().join(other, on="open_time", how="left")
    theirs = joined["btc"].fill_null(np.nan).to_numpy()
    np.testing.assert_array_equal(ours["close@BTC"].to_numpy(), theirs)
    np.testing.assert_array_equal(ours["ratio(close, close@BTC)"].to_numpy(), eth.close / theirs)
    hours = closed(btc, "1h").with_columns(mean=pl.col("close").rolling_mean(2))
    same(ours["sma(2)@BTC/1h"], known_at(eth, hours, "mean"))
    # Of BTC itself the same text means its own bars.
    mine = frame.filter(pl.col("symbol") == "BTC")
    np.testing.assert_array_equal(mine["close@BTC"].to_numpy(), btc.close)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ("sma(ratio(close, close@SOL), 1)@BTC", "SOL"),
        ("sma(ratio(close, close@ETH), 1)@BTC", "ETH"),
        ("sma(ratio(close, close@BTC), 1)@SOL", "BTC"),
    ],
)
def test_symbols_inside_symbols_know_bars_of_their_own_time(
    seed: int, text: str, inner: str
) -> None:
    """A ratio taken on another symbol's bars sees the third symbol's bar of the same time, whatever the order."""
    outer = text.rsplit("@", 1)[1]
    books = {name: market(name, seed + 7 * k) for k, name in enumerate(("ETH", "BTC", "SOL"))}
    # A feature before it may name the symbols in another order.
    for first in ("close@SOL", "close@BTC"):
        frame = bp.FeatureSet([first, text]).compute(books).filter(pl.col("symbol") == "ETH")
        times = [set(books[name].open_time.tolist()) for name in (outer, inner)]
        prices = {
            name: dict(zip(one.open_time.tolist(), one.close.tolist(), strict=True))
            for name, one in books.items()
        }
        both = times[0] & times[1]
        expected = [
            prices[outer][t] / prices[inner][t] if t in both else np.nan
            for t in books["ETH"].open_time.tolist()
        ]
        np.testing.assert_allclose(frame[text].to_numpy(), expected, rtol=ROUNDING)
        assert np.isfinite(expected).sum() > 200


def test_only_bars_known_at_the_close_are_used() -> None:
    """Bars after a time change no row up to it, for every symbol that is cut."""
    books = {name: market(name, k) for k, name in enumerate(("ETH", "BTC"))}
    features = bp.FeatureSet(["close@1h", "close@BTC", "close@BTC/1h", "rsi(5)@BTC/15m"])
    whole = features.compute(books).filter(pl.col("symbol") == "ETH")
    for at in (40, 111, 200, 301):
        end = int(books["ETH"].open_time[at]) + 1
        cut = {n: c[: int(np.searchsorted(c.open_time, end))] for n, c in books.items()}
        part = features.compute(cut).filter(pl.col("symbol") == "ETH")
        assert_frame_equal(part, whole[: at + 1], check_exact=True)


def test_a_mapping_gives_each_symbol_the_table_that_it_has_alone() -> None:
    books = {name: market(name, k) for k, name in enumerate(("B", "A", "C"))}
    features = bp.FeatureSet(["rsi(5)", "sma(3)@1h"])
    frame = features.compute(books)
    assert frame.columns == ["symbol", "open_time", *features.names]
    assert frame["symbol"].unique(maintain_order=True).to_list() == ["B", "A", "C"]
    for name, candles in books.items():
        alone = features.compute(candles)
        assert_frame_equal(frame.filter(pl.col("symbol") == name).drop("symbol"), alone)
    matrix = features.matrix(books, dtype="f64")
    np.testing.assert_array_equal(matrix, frame.select(features.names).to_numpy())


def test_names_of_a_mapping_come_before_those_of_candles() -> None:
    eth = market("UNKNOWN", 1)
    frame = bp.FeatureSet(["close@X"]).compute({"mine": eth, "X": eth})
    np.testing.assert_array_equal(frame["close@X"].to_numpy(), np.r_[eth.close, eth.close])


def test_a_symbol_without_bars_is_an_empty_part() -> None:
    eth = market("ETH", 1)
    frame = bp.FeatureSet(["sma(3)"]).compute({"A": eth[:0], "B": eth[:5]})
    assert frame["symbol"].to_list() == ["B"] * 5
    assert frame.schema["symbol"] == pl.String
    frame = bp.FeatureSet(["close@A"]).compute({"B": eth[:5], "A": eth[:0]})
    assert frame["close@A"].is_nan().all()


def test_a_further_column_is_needed_only_where_it_is_read() -> None:
    eth = market("ETH", 1)
    btc = bp.read_candles(
        market("BTC", 2).to_polars().drop("taker_buy_volume"),
        instrument="spot",
        symbol="BTC",
        interval="5m",
        on_fault="ignore",
    )
    features = bp.FeatureSet(["taker_imbalance()", "close@BTC", "close@BTC/1h"])
    # Computed for ETH alone, as candles without the column cannot have rows of their own.
    stream = features.stream("5m", symbol="ETH")
    rows = stream.update_many({"ETH": eth, "BTC": btc})
    alone = bp.FeatureSet(["taker_imbalance()"]).matrix(eth, dtype="f64")
    np.testing.assert_array_equal(rows[:, :1], alone)
    with pytest.raises(bp.FeatureError, match="candles of BTC do not have"):
        features.compute({"ETH": eth, "BTC": btc})


def test_an_interval_of_its_own_length_is_the_bar_itself() -> None:
    eth = market("ETH", 3)
    frame = bp.FeatureSet(["rsi(5)", "rsi(5)@5m"]).compute(eth)
    np.testing.assert_array_equal(frame["rsi(5)"].to_numpy(), frame["rsi(5)@5m"].to_numpy())


def test_weeks_begin_on_mondays() -> None:
    hourly = markets.walk(1, 24 * 40, interval="1h").candles()
    frame = bp.FeatureSet(["open@1w"]).compute(hourly)
    week = 7 * 24
    expected = np.full(len(hourly), np.nan)
    for begin in range(0, len(hourly) - week, week):
        expected[begin + week - 1 :] = hourly.open[begin]
    np.testing.assert_array_equal(frame["open@1w"].to_numpy(), expected)
    assert hourly.open_time[0] == markets.MONDAY
