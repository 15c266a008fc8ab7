"""`Signals.where`: conditions against numpy by hand, and random nesting against a reading of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import barproof as bp
from tests.features import markets

Floats = NDArray[np.float64]
CANDLES = markets.walk(8, 300).candles("ETH")
TABLE = bp.FeatureSet(
    ["rsi(14)", "sma(50)", "macd(12, 26, 9).hist", "sma(3)@1h", "log_return(1)"]
).compute(CANDLES)
RSI, MEAN, HIST, LONG, GROWTH = (TABLE[name].to_numpy() for name in TABLE.columns[1:])
CLOSE = CANDLES.close
MINE = bp.feature(lambda c: c.close - c.open, name="mine", memory=bp.finite(1))
OR = bp.feature(lambda c: c.close - c.open, name="or_not_and", memory=bp.finite(1))


def where(text: str, **options: Any) -> Floats:
    arrays: Floats = bp.Signals.where(CANDLES, long=text, **options)["long"]
    return arrays


def judged(held: Any, *touched: Floats) -> Floats:
    """1 and 0, NaN where something that was touched is."""
    out = np.array(np.broadcast_to(held, len(CANDLES)), dtype=np.float64)
    for values in touched:
        out[np.isnan(values)] = np.nan
    return out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rsi(14) < 50", judged(RSI < 50, RSI)),
        ("rsi(14)<50", judged(RSI < 50, RSI)),
        ("50 >= rsi(14)", judged(RSI <= 50, RSI)),
        ("rsi() != rsi(period=14)", judged(False, RSI)),
        ("close == close", judged(True)),
        ("close > sma(50)", judged(CLOSE > MEAN, MEAN)),
        ("close > sma(3)@1h", judged(CLOSE > LONG, LONG)),
        ("log_return() > -1e-3", judged(GROWTH > -0.001, GROWTH)),
        ("log_return(1) < +.5", judged(GROWTH < 0.5, GROWTH)),
        ("40 < rsi(14) < 60", judged((RSI > 40) & (RSI < 60), RSI)),
        ("close < sma(50) <= 1e9 > 2", judged(CLOSE < MEAN, MEAN)),
        ("1 < 2", judged(True)),
        ("2 < 1", judged(False)),
        ("1 < 2 and rsi(14) < 50", judged(RSI < 50, RSI)),
        # `and` binds tighter than `or`, `not` tighter than both.
        ("close > 0 or close < 0 and close < 0", judged(True)),
        ("(close > 0 or close < 0) and close < 0", judged(False)),
        ("not close > 0 and close < 0", judged(False)),
        ("not (close > 0 and close < 0)", judged(True)),
        ("not(close > 0) and close < 0", judged(False)),
        ("not(close > 0) or close > 0", judged(True)),
        ("not\tclose < 0", judged(True)),
        ("not not close > 0", judged(True)),
        ("not not not (close > 0)", judged(False)),
        ("close > 0 and not close < 0", judged(True)),
        ("((close > 0))", judged(True)),
        ("(close > 0)and(close > 1)or(close > 2)", judged(True)),
        ("close > 0\n  and close > 1", judged(True)),
        # Undefined stays undefined, whatever the other side says.
        ("close < 0 and rsi(14) < 50", judged(False, RSI)),
        ("close > 0 or rsi(14) < 50", judged(True, RSI)),
        ("not rsi(14) < 50", judged(RSI >= 50, RSI)),
        ("macd(12, 26, 9).hist > 0 and close > sma(50)", judged((HIST > 0) & (CLOSE > MEAN), HIST, MEAN)),
    ],
)  # fmt: skip
def test_conditions_by_hand(text: str, expected: Floats) -> None:
    np.testing.assert_array_equal(where(text), expected)


def test_own_features_stand_in_conditions() -> None:
    body = CLOSE - CANDLES.open
    mean = np.full(300, np.nan)
    mean[4:] = [body[t - 4 : t + 1].mean() for t in range(4, 300)]
    np.testing.assert_array_equal(where("mine > 0", own=[MINE]), judged(body > 0))
    np.testing.assert_array_equal(
        where("mine > 0 and not sma(mine, 5) > 0.01", own=(MINE,)),
        judged((body > 0) & ~(mean > 0.01), mean),
    )
    # Words inside of names are no words.
    text = "or_not_and > 0 or or_not_and < 0"
    np.testing.assert_array_equal(where(text, own=[OR]), judged(body != 0))
    # Own features that no condition names change nothing.
    np.testing.assert_array_equal(where("close > 1", own=[MINE, OR]), judged(True))


def test_columns_of_any_name_stand_in_conditions() -> None:
    frame = CANDLES.to_polars().with_columns(**{"or": pl.lit(3.0)})
    candles = bp.read_candles(frame, instrument="spot", symbol="X", interval="5m")
    signals = bp.Signals.where(candles, long='column("or") > 2 and column("or") < 4')
    assert signals["long"].tolist() == [1.0] * 300


@pytest.mark.parametrize(
    "symbol", ["@BTC-or-USD", '@"a < b"', '@"x and y"', "@not-it/1h", '@"("', "@ and-x"]
)
def test_signs_and_words_in_symbols_are_names(symbol: str) -> None:
    """They are read as symbols, of which a condition knows one alone."""
    with pytest.raises(bp.FeatureError, match="conditions name other symbols"):
        where(f"close{symbol} > 3 and close > 1")


def test_each_array_has_its_condition() -> None:
    signals = bp.Signals.where(
        CANDLES,
        long="rsi(14) < 40",
        short="rsi(14) > 60",
        exit_long="rsi(14) > 50",
        exit_short="rsi(14) < 50",
    )
    assert signals.kind == "probability"
    assert signals.names == ("long", "short", "exit_long", "exit_short")
    np.testing.assert_array_equal(signals["short"], judged(RSI > 60, RSI))
    np.testing.assert_array_equal(signals["exit_short"], judged(RSI < 50, RSI))
    rules = bp.Rules(entry_long=0.5, entry_short=1.0)
    costs = bp.Costs(taker=0.0)
    result = bp.backtest(CANDLES, signals, rules, costs=costs)
    entries = result.trades.filter(pl.col("side") == "long")["signal_bar"].to_list()
    assert entries
    assert all(RSI[bar] < 40 for bar in entries)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "condition `` compares nothing"),
        ("rsi(14)", "condition `rsi(14)` compares nothing"),
        ("rsi(14) = 30", "condition `rsi(14) = 30` compares nothing"),
        ("rsi(14) <", "condition `rsi(14) <` lacks one side"),
        ("< 3", "condition `< 3` lacks one side"),
        ("3 < < 4", "condition `3 < < 4` lacks one side"),
        ("rsi(14) < 30 and", "condition `` compares nothing, in `rsi(14) < 30 and`"),
        ("or rsi(14) < 30", "condition `` compares nothing, in `or rsi(14) < 30`"),
        ("not", "condition `` compares nothing, in `not`"),
        ("(rsi(14) < 30", "has a bracket or a quote without its other half"),
        ("rsi(14) < 30)", "has a bracket or a quote without its other half"),
        ("rsi(14)) < (30", "has a bracket or a quote without its other half"),
        (")close > 1(", "has a bracket or a quote without its other half"),
        ('close@"x > 1', "has a bracket or a quote without its other half"),
        ("rsii(14) < 30", "unknown function `rsii`; did you mean `rsi`? in feature `rsii(14)`"),
        (
            "clos > 30",
            "unknown name `clos`; did you mean `close`? in feature `clos`",
        ),
        ("mine > 0", "unknown name `mine`"),
        ("macd() > 0", "feature `macd()` has 3 outputs: choose one, such as macd(12, 26, 9).macd"),
        ("close * 2 > 3", "expected the end, found `*` at character 7 in feature `close * 2`"),
        ("close > nan", "unknown name `nan`"),
        ("close > 1_000", "expected a name, found `1` at character 1 in feature `1_000`"),
        ("(close > 1) == (close > 2)", "expected a name, found `("),
        ("not " * 40 + "close > 1", "nests deeper than 32: split it"),
        ("(" * 40 + "close > 1" + ")" * 40 + " and", "compares nothing"),
    ],
)
def test_refusals(text: str, message: str) -> None:
    with pytest.raises(bp.FeatureError) as caught:
        where(text)
    assert message in str(caught.value)


# Random nesting: the tree is drawn, written with as few brackets as may be, and judged by numpy.

LEAVES = [
    ("rsi(14) < 50", RSI < 50, RSI),
    ("close > sma(50)", CLOSE > MEAN, MEAN),
    ("open > close", CANDLES.open > CLOSE, CLOSE),
    ("45 < rsi(14) <= 55", (RSI > 45) & (RSI <= 55), RSI),
    ("2 > 1", np.ones(300, bool), CLOSE),
]
Tree = tuple[Any, ...]
TREES: st.SearchStrategy[Tree] = st.recursive(
    st.sampled_from(range(len(LEAVES))).map(lambda k: ("leaf", k)),
    lambda inner: st.one_of(
        inner.map(lambda t: ("not", t)),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner),
    ),
    max_leaves=12,
)
BINDS = {"or": 0, "and": 1, "not": 2, "leaf": 3}


def written(tree: Tree, tight: bool) -> str:
    """Text of a tree; `tight` leaves out every bracket that the precedence makes needless."""
    kind, *parts = tree
    if kind == "leaf":
        return LEAVES[parts[0]][0]

    def inner(part: Tree) -> str:
        text = written(part, tight)
        needless = BINDS[part[0]] >= BINDS[kind]
        return text if tight and needless else f"({text})"

    if kind == "not":
        return f"not {inner(parts[0])}"
    return f" {kind} ".join(map(inner, parts))


def held(tree: Tree) -> Any:
    kind, *parts = tree
    if kind == "leaf":
        return LEAVES[parts[0]][1]
    if kind == "not":
        return ~held(parts[0])
    a, b = map(held, parts)
    return a & b if kind == "and" else a | b


def touched(tree: Tree) -> list[Floats]:
    kind, *parts = tree
    if kind == "leaf":
        return [LEAVES[parts[0]][2]]
    return [values for part in parts for values in touched(part)]


@given(tree=TREES, tight=st.booleans())
def test_any_nesting_is_read_as_it_is_written(tree: Tree, tight: bool) -> None:
    np.testing.assert_array_equal(where(written(tree, tight)), judged(held(tree), *touched(tree)))


@given(st.text(alphabet='()<>=!andortc lse"@1.,', max_size=40))
def test_any_text_is_judged_or_refused(text: str) -> None:
    try:
        values = where(text)
    except bp.BarproofError:
        return
    assert set(np.unique(values[~np.isnan(values)])) <= {0.0, 1.0}
