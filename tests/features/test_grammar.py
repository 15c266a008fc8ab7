"""The text of features: canonical names, what is refused and with which remedy, what a set tells of itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof.errors import BarproofError
from tests.features import markets
from tests.features.laws import (
    check_text,
)

CANDLES = markets.walk(5, 200).candles("ETH")
TABLE = bp._core.feature_table()


def own(name: str = "mine") -> bp.OwnFeature:
    return bp.feature(lambda c: c.close, name=name, memory=bp.finite(1))


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("rsi()", "rsi(14)"),
        ("  rsi ( close , period = 14 ) ", "rsi(14)"),
        ("sma(high,20)", "sma(high, 20)"),
        ("clip(close, -0, 5e0)", "clip(close, 0, 5)"),
        ("clip(close, -.5, 1e-7)", "clip(close, -0.5, 0.0000001)"),
        ("rsi(14)@60m", "rsi(14)@1h"),
        ("close@168h", "close@1w"),
        ("close@1500ms", "close@1500ms"),
        ("close@BTCUSDT/90m", "close@BTCUSDT/90m"),
        ('close@"BTCUSDT"', "close@BTCUSDT"),
        ('close@"BRK.B"/1d', 'close@"BRK.B"/1d'),
        ('close@"1h"', 'close@"1h"'),
        ('close@"1H"', 'close@"1H"'),
        ("close@1INCHUSDT", "close@1INCHUSDT"),
        ('close@"a < b and c"', 'close@"a < b and c"'),
        ("column(close)", "close"),
        ("column(funding_rate)", "column(funding_rate)"),
        ('column("open interest")', 'column("open interest")'),
        ('column("ü)\t(")', 'column("ü)\t(")'),
    ],
)
def test_canonical_text_reads_as_itself(text: str, canonical: str) -> None:
    features = bp.FeatureSet([text])
    assert features.names == (canonical,)
    assert bp.FeatureSet(features.names) == features
    assert bp.FeatureSet(list(features.names)).digest == features.digest


def test_odd_names_of_columns_and_symbols() -> None:
    frame = CANDLES.to_polars().with_columns(**{"or": pl.lit(3.0)})
    candles = bp.read_candles(frame, instrument="spot", symbol="A.B", interval="5m")
    names = ["column(or)", "sma(column(or), 3)", 'close@"ü) and\t(@x/1h"', 'close@"1h"/15m']
    others = {"ü) and\t(@x/1h": candles, "1h": candles}
    table = bp.FeatureSet(names).compute({"A.B": candles, **others})
    assert table.columns == ["symbol", "open_time", *names]
    assert table["column(or)"].unique().to_list() == [3.0]
    assert table[names[2]].to_list() == 3 * candles.close.tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rsii(14)", "unknown function `rsii`; did you mean `rsi`? in feature `rsii(14)`"),
        (
            "atr_pct(14)",
            "unknown function `atr_pct` in feature `atr_pct(14)`; it is called `atr_ratio` here",
        ),
        ("rsi", "`rsi` is a function: write rsi(x=close, period=14) in feature `rsi`"),
        ("rsi(14", "expected `,` or `)`, found the end in feature `rsi(14`"),
        (
            "rsi(0)",
            "`period` of rsi must be a whole number from 1 to 1000000, was 0 in feature `rsi(0)`",
        ),
        (
            "rsi(1e9)",
            "`period` of rsi must be a whole number from 1 to 1000000, was 1000000000 in feature `rsi(1e9)`",
        ),
        (
            "rsi(length=3)",
            "unknown parameter `length`; known: period in feature `rsi(length=3)`",
        ),
        ("sma(20, close)", "features come before parameters: write sma(x=close, period)"),
        ("ratio(close)", "ratio needs a feature: write ratio(x, y) in feature `ratio(close)`"),
        ("clip(close, 5, 1)", " in feature `clip(close, 5, 1)`"),
        (
            "macd(12, 26, 9).histogram",
            "unknown output `histogram`; known: macd, signal, hist in feature `macd(12, 26, 9).histogram`",
        ),
        (
            "close@1H",
            "`1H` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h in feature `close@1H`",
        ),
        (
            "close@15min",
            "`15min` is no interval: write a number and a unit of ms, s, m, h, d, w, such as 1h in feature "
            "`close@15min`",
        ),
        (
            "sma(rsi(14)@1h, 3)@4h",
            "`1h` is not a multiple of `4h` around it, in feature `sma(rsi(14)@1h, 3)@4h`",
        ),
        (
            "column(open_time)",
            "`open_time` is the clock, not a feature: use time_of_day() or time_of_week() in feature "
            "`column(open_time)`",
        ),
        (
            "mine(3)",
            "`mine` is a feature of your own and takes no arguments: write mine alone, in feature `mine(3)`",
        ),
        (
            "sma(mine, 3)@1h",
            "feature `mine` of your own lives on the candles' own bars and cannot be asked for on another clock, "
            "in feature `sma(mine, 3)@1h`",
        ),
        (
            "sma(minee, 3)",
            "unknown name `minee`; did you mean `mine`? in feature `sma(minee, 3)`",
        ),
        ("sma('ü', 3)", "expected a name, found `'` at character 5 in feature `sma('ü', 3)`"),
        ('sma("ü", x)', 'expected a name, found `"` at character 5 in feature `sma("ü", x)`'),
        ("ü + 1", "expected a name, found `ü` at character 1 in feature `ü + 1`"),
        ("close + 1", "expected the end, found `+` at character 7 in feature `close + 1`"),
    ],
)
def test_refusals_say_where_and_what_to_do(text: str, message: str) -> None:
    with pytest.raises(bp.FeatureError) as caught:
        bp.FeatureSet([own(), text])
    found = str(caught.value)
    assert (found == message) or (not message.startswith("`") and message in found), found


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("rsi(14)", "`features` must be a list such as [\"rsi(14)\"], was 'rsi(14)'"),
        (iter(["rsi(14)"]), "`features` must be a list"),
        ({"rsi(14)"}, "`features` must be a list"),
        (None, "`features` must be a list"),
        (["rsi(14)", 3], "`features` must hold texts or bp.feature(...), held int"),
        ([np.mean], "`features` must hold texts or bp.feature(...), held "),
    ],
)
def test_a_set_takes_a_list(features: Any, message: str) -> None:
    with pytest.raises(bp.LayoutError, match=re.escape(message)):
        bp.FeatureSet(features)


def test_known_names_lead_to_functions_that_exist() -> None:
    names = {row["name"] for row in TABLE}
    for row in TABLE:
        for alias in row["known_as"]:
            assert alias not in names
            with pytest.raises(bp.FeatureError, match=f"it is called `{row['name']}` here"):
                bp.FeatureSet([f"{alias}(3)"])


def test_ten_thousand_features_make_a_set() -> None:
    features = bp.FeatureSet([f"sma({n})" for n in range(1, 10_001)])
    assert len(features) == 10_000
    assert features.compute(CANDLES[:3]).width == 10_001


def test_clocks_must_fit_the_candles() -> None:
    features = bp.FeatureSet(["close@7m"])
    message = "timeframe `7m` is not a multiple of the candles' 5m: use one that is, or resample the candles"
    for call in (
        lambda: features.compute(CANDLES),
        lambda: features.stream("5m"),
        lambda: features.facts("5m"),
        lambda: features.describe("5m"),
    ):
        with pytest.raises(bp.FeatureError, match=re.escape(message)):
            call()


def test_facts_need_the_interval_only_where_a_longer_one_is_named() -> None:
    assert bp.FeatureSet(["sma(20)", "close@BTC"]).warmup == 19
    features = bp.FeatureSet(["sma(20)", "sma(20)@1h"])
    with pytest.raises(bp.FeatureError, match=r'say how long those are, such as facts\("5m"\)'):
        _ = features.warmup
    # 21 hours of 12 bars: the first may begin inside an hour.
    assert features.facts("5m")["sma(20)@1h"] == ("finite", 252, 250)
    assert features.facts("1h")["sma(20)@1h"] == ("finite", 20, 19)


def test_describe_says_what_it_can_without_the_interval() -> None:
    features = bp.FeatureSet(["sma(20)", "sma(20)@1h", "obv()", own()])
    frame = features.describe()
    assert frame.columns == ["feature", "summary", "memory", "bars", "warmup"]
    assert frame["memory"].to_list() == ["finite", None, "cumulative", "finite"]
    assert frame["bars"].to_list() == [20, None, None, 1]
    assert frame["warmup"].to_list() == [19, None, 0, 0]
    assert features.describe("5m")["bars"].to_list() == [20, 252, None, 1]
    summary = frame["summary"].to_list()
    assert summary[1] == f"value of the last closed 1h bar; {summary[0]}"
    assert summary[3] == "feature of your own"


def test_explain_groups_outputs_and_says_formulas_once() -> None:
    features = bp.FeatureSet(
        [
            *("macd()", "rsi(14)", "zscore(macd().hist, 9)", "zscore(macd().signal, 9)"),
            *("bbands(20, 2).width@1h", "bbands(20, 2).upper@1h", own(), "sma(mine, 3)"),
        ]
    )
    text = features.explain()
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith(
        "macd(12, 26, 9).macd, macd(12, 26, 9).signal, macd(12, 26, 9).hist:"
    )
    # Two z-scores of different outputs are two features.
    assert sum(line.startswith("zscore(macd") for line in lines) == 2
    assert (
        "bbands(20, 2).width@1h, bbands(20, 2).upper@1h: value of the last closed 1h bar" in lines
    )
    assert "  mine: feature of your own" in lines
    flat = " ".join(text.split())
    for row in TABLE:
        if row["name"] in ("macd", "rsi", "zscore", "bbands", "sma"):
            assert flat.count(" ".join(row["formula"].split())) == 1
    assert lines[-1] == "10 features in 8 steps, 5 shared"


SPELLINGS = [
    ("log_return()", "log_return(1)"),
    ("log_return", None),
    ("rsi()", "rsi(14)"),
    ("rsi(close, 14)", "rsi(14)"),
    ("rsi(period=14)", "rsi(14)"),
    ("rsi(open,7)", "rsi(open, 7)"),
    (" rsi( 14 ) ", "rsi(14)"),
    ("rsi(14)@60m", "rsi(14)@1h"),
    ("rsi(14) @ 1h", "rsi(14)@1h"),
    ("macd(12,26,9).hist", "macd(12, 26, 9).hist"),
    ("macd().hist", "macd(12, 26, 9).hist"),
    ("macd(slow=30).hist", "macd(12, 30, 9).hist"),
    ("bbands(20, 2.0).width", "bbands(20, 2).width"),
    ("bbands(20, 2.50).width", "bbands(20, 2.5).width"),
    ("zscore(rsi(),100)", "zscore(rsi(14), 100)"),
    ("diff(close)", "diff(close, 1)"),
    ("clip(log_return(), -0.010, 1e-2)", "clip(log_return(1), -0.01, 0.01)"),
    ("log_return(1)@BTCUSDT/1h", "log_return(1)@BTCUSDT/1h"),
    ('log_return(1)@"BRK.B"', 'log_return(1)@"BRK.B"'),
    ('log_return(1)@"BTCUSDT"', "log_return(1)@BTCUSDT"),
    ("sma(bars=3)", None),
    ("macd(12, 26, 9).histogram", None),
    ("rsi(14", None),
    ("rsi(14))", None),
    ("rsi(14)@", None),
    ("rsi(nan)", None),
    ("rsi(-1)", None),
    ("rsi(0)", None),
    ("rsi(2.5)", None),
    ("rsi(1e30)", None),
    ("rsi(14, 15)", None),
    ("rsi(14).k", None),
    ("zscore(100)", None),
    ("zscore(macd(), 100)", None),
    ("macd(26, 12, 9).hist", None),
    ("clip(close, 2, 1)", None),
    ("", None),
    ("rsy(14)", None),
    ("rsi(14) rsi(14)", None),
    ("rsi(14)@1h@1d", None),
]


@pytest.mark.parametrize(("text", "canonical"), SPELLINGS, ids=[repr(t) for t, _ in SPELLINGS])
def test_spelling(text: str, canonical: str | None) -> None:
    if canonical is None:
        with pytest.raises(BarproofError):
            bp.FeatureSet([text])
    else:
        assert bp.FeatureSet([text]).names == (canonical,)
        assert bp.FeatureSet([text]).digest == bp.FeatureSet([canonical]).digest


def test_digest_tells_sets_apart() -> None:
    sets = [
        ["rsi(14)"],
        ["rsi(15)"],
        ["rsi(14)@1h"],
        ["rsi(14)", "rsi(15)"],
        ["rsi(15)", "rsi(14)"],
    ]
    sets += [["rsi(open, 14)"], ["rsi(14)@BTCUSDT"], ["rsi(14)@BTCUSDT/1h"]]
    assert len({bp.FeatureSet(texts).digest for texts in sets}) == len(sets)


@settings(max_examples=300, deadline=None)
@given(
    st.text(alphabet="rsimacd(), .@/\"'=-+0123456789e\n\\é", max_size=30)
    | st.text(max_size=30)
    | st.lists(
        st.sampled_from(
            ["rsi", "close", "(", ")", ",", "14", ".hist", "@", "1h", "macd", "=", "-", '"']
        ),
        max_size=12,
    ).map("".join)
)
def test_any_text_gives_a_set_or_one_of_our_errors(text: str) -> None:
    try:
        features = bp.FeatureSet([text])
    except BarproofError:
        return
    check_text(features)


def test_deep_nesting_ends_in_an_error_or_a_set() -> None:
    for depth in (10, 100, 10_000):
        text = "lag(" * depth + "close" + ", 1)" * depth
        try:
            features = bp.FeatureSet([text])
        except BarproofError:
            continue
        assert features.warmup == depth
