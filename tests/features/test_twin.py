"""Every function, and nested expressions over clocks and symbols, against the twin at every bar."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from tests.features import markets, quant_signatures, twin
from tests.features.draws import expressions
from tests.features.expressions import (
    SIGNATURES,
    At,
    Call,
    Expression,
    Series,
    evaluate,
    single,
)
from tests.features.markets import KINDS, Floats, Market
from tests.tolerances import PRICE_FRACTION, REFERENCE, SCORE

CLOSE = Series("close")


def computed(expressions: list[Any], market: Market) -> dict[str, Floats]:
    """Columns of a feature set by the expression's text."""
    texts = [str(e) for e in expressions]
    frame = bp.FeatureSet(texts).compute(market.candles())
    assert frame.columns == ["open_time", *texts]
    assert frame.null_count().sum_horizontal().item() == 0
    return {text: frame[text].to_numpy() for text in texts}


def assert_equal(actual: Floats, expected: Floats, floor: Floats | float, what: str) -> None:
    """Both NaN, or within REFERENCE of the value or of `floor`, whichever is larger."""
    assert actual.shape == expected.shape, what
    with np.errstate(invalid="ignore"):
        bound = REFERENCE * np.fmax(np.abs(expected), floor)
        good = np.abs(actual - expected) <= bound
    wrong = np.flatnonzero(~(good | (np.isnan(actual) & np.isnan(expected))))
    assert not len(wrong), (
        f"{what}: {len(wrong)} of {len(actual)} bars differ, first at {wrong[0]}: "
        f"{actual[wrong[0]]!r}, twin {expected[wrong[0]]!r}"
    )


# Differences of prices, or recursions that remember them: small against the largest so far.
OF_PRICES = {
    *("hma", "zlema", "super_smoother", "elder_ray", "awesome", "dpo", "qstick", "frac_diff"),
    *("supertrend", "chandelier", "keltner", "heikin_ashi", "cusum", "donchian", "ichimoku"),
}
# Of order one where anything moves.
OF_ORDER_ONE = {
    *("skewness", "kurtosis", "realised_skewness", "realised_kurtosis", "autocorrelation"),
    *("variance_ratio", "hurst", "mean_reversion", "entropy", "permutation_entropy", "lead_lag"),
    *("robust_zscore", "quantile_skew", "spread_zscore", "fisher", "regression", "trend_fit"),
    *("coppock", "kst", "tsi", "connors_rsi", "smi", "choppiness", "jump_share", "variation"),
}


def largest(x: Floats) -> Floats:
    return np.maximum.accumulate(np.nan_to_num(np.abs(x), posinf=0.0))


def floor_of(call: Call, market: Market) -> Floats | float:
    """What differences that cancel are small against."""
    x = evaluate(call.series[0], market) if call.series else market.close
    if call.output == "position" or (call.name in OF_ORDER_ONE and call.output != "intercept"):
        return SCORE
    if call.name in OF_PRICES or call.output == "intercept":
        return PRICE_FRACTION * largest(x)
    if call.name == "covariance":
        return PRICE_FRACTION**2 * largest(x) * largest(evaluate(call.series[1], market))
    if call.name in ("realised_variance", "bipower_variation"):
        return PRICE_FRACTION**2
    if call.name == "amihud":
        return 0.0
    if call.name == "force_index":
        return PRICE_FRACTION * largest(market.close * market.volume)
    if call.name == "ease_of_movement":
        with np.errstate(all="ignore"):
            return PRICE_FRACTION * largest(
                market.close * (market.high - market.low) / market.volume
            )
    if call.name == "price_volume_trend":
        return PRICE_FRACTION * largest(market.volume)
    if call.name == "macd":
        slow = twin.ema(market, evaluate(call.series[0], market), int(call.numbers[1]))
        return PRICE_FRACTION * np.abs(slow)
    if call.name == "stddev" or call.output in ("upper", "lower"):
        x = np.abs(evaluate(call.series[0], market))
        return PRICE_FRACTION * twin.highest(market, x, int(call.numbers[0]))
    if call.name == "obv":
        return PRICE_FRACTION * np.maximum.accumulate(market.volume)
    if call.name in ("cci", "mfi", "stoch", "adx", "rsi"):
        return 100.0 * PRICE_FRACTION
    return PRICE_FRACTION


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", SIGNATURES)
def test_function(name: str, kind: str) -> None:
    market = KINDS[kind](len(name) + 100 * list(KINDS).index(kind), 300)
    calls = single(name)
    columns = computed(calls, market)
    cache: dict[Any, twin.Outputs] = {}
    for call in calls:
        key = (call.series, call.numbers)
        if key not in cache:
            series = [evaluate(x, market) for x in call.series]
            cache[key] = twin.FUNCTIONS[name](market, *series, *map(whole, call.numbers))
        out = cache[key]
        expected = out if isinstance(out, np.ndarray) else out[str(call.output)]
        assert_equal(columns[str(call)], expected, floor_of(call, market), f"{call} on {kind}")


@pytest.mark.parametrize("name", SIGNATURES)
def test_before_1970(name: str) -> None:
    start = markets.MONDAY - 60 * 366 * 24 * markets.HOUR + 35 * markets.MINUTE
    market = markets.walk(4, 150, start=start)
    calls = single(name)
    long: list[Any] = [At(call, interval="1h") for call in calls if len(str(call)) < 12]
    columns = computed([*calls, *long], market)
    for call in calls:
        expected = evaluate(call, market)
        assert_equal(columns[str(call)], expected, floor_of(call, market), str(call))
    for one in long:
        assert_equal(columns[str(one)], evaluate(one, market), 0.1, str(one))


def whole(value: float) -> float:
    return int(value) if value == int(value) else value


def test_every_function_of_the_registry_has_a_twin_or_a_peer() -> None:
    """What TA-Lib has is held to it; tests/features/test_talib.py counts that none is left out."""
    rows = bp._core.feature_table()
    assert set(twin.FUNCTIONS) <= {row["name"] for row in rows}
    for row in rows:
        assert row["name"] in twin.FUNCTIONS or "of TA-Lib" in row["source"], row["name"]
    assert set(SIGNATURES) == set(twin.FUNCTIONS)


ROWS = [row for row in bp._core.feature_table() if row["name"] in SIGNATURES]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: str(row["name"]))
def test_registry_says_what_was_agreed(row: dict[str, Any]) -> None:
    signature = SIGNATURES[row["name"]]
    assert [(name, default) for name, _, default in row["parameters"]] == [
        (p.name, p.default) for p in signature.parameters
    ]
    assert tuple(row["outputs"]) == signature.outputs
    series = [(kind, default) for kind, default in row["inputs"] if kind != "column"]
    expected = ("series", signature.default) if signature.default_close else ("given", None)
    assert series == [expected] * signature.series


def test_series_are_features() -> None:
    market = markets.walk(1, 50)
    lagged = [Call("lag", (Series(name),), (1,)) for name in ("open", "high", "low", "close")]
    for call, values in zip(lagged, computed(lagged, market).values(), strict=True):
        assert np.array_equal(values[1:], evaluate(call.series[0], market)[:-1]), call


# NaN inside a series: candles hold them in further columns only.

TAKER = Call("taker_imbalance")
OVER_NAN: list[Expression] = [
    *(Call(name, (TAKER,), (5,)) for name in ("sma", "ema", "wma", "stddev", "median", "rank")),
    *(Call(name, (TAKER,), (5,)) for name in ("max", "min", "zscore", "lag", "diff", "rsi")),
    *(Call("macd", (TAKER,), (3, 7, 4), output) for output in ("macd", "signal", "hist")),
    *(Call("bbands", (TAKER,), (6, 1.5), output) for output in ("upper", "middle", "lower")),
    Call("clip", (TAKER,), (-0.25, 0.5)),
    Call("ratio", (TAKER, CLOSE)),
    Call("sma", (Call("ema", (TAKER,), (4,)),), (3,)),
    Call("ema", (Call("sma", (TAKER,), (4,)),), (3,)),
]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("expression", OVER_NAN, ids=str)
def test_nan_inside(expression: Expression, seed: int) -> None:
    market = markets.gaps(seed, 200)
    text = str(expression)
    assert_equal(
        computed([expression], market)[text], evaluate(expression, market), PRICE_FRACTION, text
    )


def test_nan_at_the_start_is_passed_over_by_seeds() -> None:
    market = markets.walk(3, 60)
    taker = market.taker_buy_volume.copy()
    taker[:11] = np.nan
    taker[12] = np.nan
    market = replace(market, taker_buy_volume=taker)
    column = computed([Call("ema", (TAKER,), (4,))], market)["ema(taker_imbalance(), 4)"]
    share = 2.0 * taker / market.volume - 1.0
    assert np.isnan(column[:15]).all()
    assert column[15] == pytest.approx(np.mean(share[[11, 13, 14, 15]]), rel=REFERENCE)


# Longer clocks.

ON_LONGER: list[Expression] = [
    CLOSE,
    Series("volume"),
    Call("sma", (CLOSE,), (3,)),
    Call("rsi", (CLOSE,), (4,)),
    Call("log_return", (CLOSE,), (1,)),
    Call("bar_range"),
    Call("atr", (), (3,)),
    Call("obv"),
    Call("mfi", (), (2,)),
    Call("time_of_day", (), (), "sin"),
    Call("zscore", (Call("lag", (CLOSE,), (2,)),), (4,)),
]
CLOCKS = [("5m", "15m"), ("5m", "1h"), ("5m", "4h"), ("15m", "1d"), ("4h", "1w"), ("1d", "1w")]


@pytest.mark.parametrize("kind", ["walk", "holes", "flat", "spikes"])
@pytest.mark.parametrize(("base", "long"), CLOCKS)
def test_longer_clock(base: str, long: str, kind: str) -> None:
    market = KINDS[kind](11, 400, interval=base)
    calls: list[Expression] = [At(inner, interval=long) for inner in ON_LONGER]
    # The windows of the last two run over bars of the short clock.
    calls += [Call("sma", (At(CLOSE, interval=long),), (10,))]
    calls += [Call("ratio", (CLOSE, At(Call("ema", (CLOSE,), (3,)), interval=long)))]
    columns = computed(calls, market)
    for call in calls:
        floor: Floats | float = PRICE_FRACTION
        if "obv" in str(call):
            floor = PRICE_FRACTION * np.maximum.accumulate(market.volume)
        assert_equal(columns[str(call)], evaluate(call, market), floor, f"{call} on {kind} {base}")


@pytest.mark.parametrize("long", ["15m", "1h", "4h"])
@pytest.mark.parametrize("seed", range(12))
def test_longer_clock_over_many_holes(seed: int, long: str) -> None:
    market = markets.holes(seed, 250, share=0.05 + 0.07 * seed)
    calls: list[Expression] = [At(CLOSE, interval=long), At(Series("volume"), interval=long)]
    calls += [At(Call("sma", (Series("high"),), (3,)), interval=long)]
    columns = computed(calls, market)
    for call in calls:
        assert_equal(columns[str(call)], evaluate(call, market), 0.0, f"{call} seed {seed}")


def test_longer_clock_by_hand() -> None:
    """Hours of 15m bars from 00:15: the first lacks its beginning, the third loses its end, the fourth is absent."""
    slots = np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 18, 19, 20])
    base = markets.walk(1, len(slots), interval="15m")
    close = np.arange(1.0, 1.0 + len(slots))
    market = replace(
        base,
        open_time=markets.MONDAY + 15 * markets.MINUTE * slots,
        open=close,
        high=close,
        low=close,
        close=close,
    )
    column = computed([At(CLOSE, interval="1h")], market)["close@1h"]
    nan = np.nan
    #           00:15         01:00             02:00  04:15         05:00
    expected = [nan, nan, nan, nan, nan, nan, 7, 7, 7, 9, 9, 12, 12]
    np.testing.assert_array_equal(column, expected)


# Other symbols.


def pair(seed: int) -> tuple[Market, Market]:
    """Two markets of one interval that share most of their bars."""
    ours = markets.holes(seed, 300)
    theirs = markets.walk(seed + 1, 450, start=markets.MONDAY + 20 * 5 * markets.MINUTE)
    keep = np.random.default_rng([seed, 9]).uniform(size=len(theirs)) > 0.1
    return ours, theirs.take(keep)


OF_OTHERS: list[Expression] = [
    At(CLOSE, "BTCUSDT"),
    At(Call("log_return", (CLOSE,), (1,)), "BTCUSDT"),
    At(Call("rsi", (CLOSE,), (5,)), "BTCUSDT"),
    At(Call("log_return", (CLOSE,), (1,)), "BTCUSDT", "1h"),
    At(Call("ema", (CLOSE,), (3,)), "BTCUSDT", "15m"),
    Call("ratio", (CLOSE, At(CLOSE, "BTCUSDT"))),
    Call("zscore", (Call("ratio", (CLOSE, At(CLOSE, "BTCUSDT", "1h"))),), (8,)),
]


@pytest.mark.parametrize("seed", range(5))
def test_other_symbols(seed: int) -> None:
    ours, theirs = pair(seed)
    texts = [str(e) for e in OF_OTHERS]
    features = bp.FeatureSet(texts)
    frame = features.compute(
        {"ETHUSDT": ours.candles("ETHUSDT"), "BTCUSDT": theirs.candles("BTCUSDT")}
    )
    assert frame.columns == ["symbol", "open_time", *texts]
    assert frame["symbol"].to_list() == ["ETHUSDT"] * len(ours) + ["BTCUSDT"] * len(theirs)
    others: Mapping[str, Market] = {"ETHUSDT": ours, "BTCUSDT": theirs}
    for symbol, market in others.items():
        rows = frame.filter(pl.col("symbol") == symbol)
        for expression, text in zip(OF_OTHERS, texts, strict=True):
            expected = evaluate(expression, market, others)
            assert_equal(rows[text].to_numpy(), expected, PRICE_FRACTION, f"{text} of {symbol}")


# Random nested expressions. Where the last digits of the input or of a step between move the twin, rounding moves the
# feature too: that much is allowed on top, and where they make or unmake a NaN nothing is said.


# Counts, orders and bins jump where rounding decides a tie, and ratios of what hardly moves are noise.
STEADY = (
    *(name for name in SIGNATURES if name not in quant_signatures.ROWS),
    *("parkinson", "yang_zhang", "downside_volatility", "quantile", "iqr", "drawdown", "run_up"),
    *("max_drawdown", "range_position", "donchian", "hma", "zlema", "super_smoother", "coppock"),
    *("efficiency_ratio", "frac_diff", "dpo", "flow_imbalance", "heikin_ashi", "funding_rate"),
    *("funding_sum", "session", "relative_strength", "body_share"),
)


@settings(max_examples=100, deadline=None)
@given(
    # Windows of two make some functions constant but for rounding, of which a z-score would be noise.
    st.lists(
        expressions(depth=3, clocks=("15m", "1h"), names=STEADY, shortest=3),
        min_size=1,
        max_size=3,
        unique_by=str,
    ),
    st.sampled_from(["walk", "jumps", "gaps", "holes"]),
    st.integers(0, 1000),
)
def test_nested(drawn: list[Expression], kind: str, seed: int) -> None:
    market = KINDS[kind](seed, 120)
    columns = computed(drawn, market)
    for expression in drawn:
        actual, expected = columns[str(expression)], evaluate(expression, market)
        moved = [
            evaluate(expression, market, noise=np.random.default_rng([seed, s])) for s in range(4)
        ]
        with np.errstate(all="ignore"):
            reach = np.max([np.abs(m - expected) for m in moved], axis=0)
            reach = np.maximum.accumulate(np.nan_to_num(reach))
            bound = 100 * reach + REFERENCE * np.fmax(np.abs(expected), PRICE_FRACTION)
            good = np.abs(actual - expected) <= bound
        same = np.isnan(actual) & np.isnan(expected)
        unclear = np.any([np.isnan(m) != np.isnan(expected) for m in moved], axis=0)
        # No digit of the twin holds: a divisor that is 0 but for rounding, which may be 0 elsewhere.
        unclear |= 100 * reach >= np.abs(expected)
        wrong = np.flatnonzero(~(good | same | np.logical_or.accumulate(unclear)))
        assert not len(wrong), (
            f"{expression} on {kind} {seed}: bar {wrong[0]}: {actual[wrong[0]]!r}, "
            f"twin {expected[wrong[0]]!r}, reach {reach[wrong[0]]!r}"
        )
