"""Agreement with TA-Lib, for every function that it has, after the declared memory.

Known differences, each with a test of its own below: TA-Lib starts MACD's fast mean later, so that both means start
together, and gives 0 where there is nothing to divide by. The table of docs/features.md lists them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barproof as bp
from tests.features import markets, quant_twin, twin
from tests.features.markets import Floats, Market
from tests.features.talib_peers import ROWS, Peer, hlc
from tests.tolerances import PRICE_FRACTION, REFERENCE

talib = pytest.importorskip("talib", reason="TA-Lib is not installed")


def pair(name: str, period: int, peer: Callable[..., Any]) -> tuple[str, Peer]:
    """One function of the close with a period."""
    return f"{name}({period})", lambda m: peer(m.close, timeperiod=period)


def of_bars(name: str, period: int, peer: Callable[..., Any]) -> tuple[str, Peer]:
    return f"{name}({period})", lambda m: peer(*hlc(m), timeperiod=period)


def macd(period: tuple[int, int, int], output: int) -> tuple[str, Peer]:
    name = ("macd", "signal", "hist")[output]
    return (
        f"macd({', '.join(map(str, period))}).{name}",
        lambda m: talib.MACD(m.close, *period)[output],
    )


def stoch(period: tuple[int, int, int], output: int) -> tuple[str, Peer]:
    k, slow_k, slow_d = period
    return (
        f"stoch({k}, {slow_k}, {slow_d}).{'kd'[output]}",
        lambda m: talib.STOCH(*hlc(m), fastk_period=k, slowk_period=slow_k, slowd_period=slow_d)[
            output
        ],
    )


def bands(period: int, deviations: float, output: str) -> tuple[str, Peer]:
    def peer(m: Market) -> Floats:
        upper, middle, lower = talib.BBANDS(m.close, period, deviations, deviations)
        table: dict[str, Floats] = {
            "upper": upper,
            "middle": middle,
            "lower": lower,
            "position": (m.close - lower) / (upper - lower),
            "width": (upper - lower) / middle,
        }
        return table[output]

    return f"bbands({period}, {deviations:g}).{output}", peer


PEERS: list[tuple[str, Peer]] = [
    *(pair("simple_return", p, talib.ROCP) for p in (1, 10)),
    *(pair("sma", p, talib.SMA) for p in (2, 30)),
    *(pair("ema", p, talib.EMA) for p in (2, 30)),
    *(pair("wma", p, talib.WMA) for p in (2, 30)),
    *(
        (f"{n}_ratio(10)", lambda m, f=f: m.close / f(m.close, timeperiod=10) - 1.0)
        for n, f in (("sma", talib.SMA), ("ema", talib.EMA), ("wma", talib.WMA))
    ),
    *((f"log_return({p})", lambda m, p=p: np.log1p(talib.ROCP(m.close, p))) for p in (1, 10)),
    *(pair("rsi", p, talib.RSI) for p in (2, 14, 30)),
    *(macd(p, i) for p in ((12, 26, 9), (3, 10, 16)) for i in range(3)),
    *(stoch(p, i) for p in ((14, 3, 3), (5, 1, 2)) for i in range(2)),
    *(of_bars("cci", p, talib.CCI) for p in (2, 20)),
    *(of_bars("adx", p, talib.ADX) for p in (2, 14)),
    *(of_bars("atr", p, talib.ATR) for p in (1, 2, 14)),
    *(
        (f"atr_ratio({p})", lambda m, p=p: talib.NATR(*hlc(m), timeperiod=p) / 100.0)
        for p in (2, 14)
    ),
    *(
        bands(p, d, output)
        for p, d in ((20, 2.0), (5, 1.5))
        for output in ("upper", "middle", "lower", "position", "width")
    ),
    *(pair("stddev", p, talib.STDDEV) for p in (5, 20)),
    ("obv()", lambda m: talib.OBV(m.close, m.volume)),
    *((f"mfi({p})", lambda m, p=p: talib.MFI(*hlc(m), m.volume, timeperiod=p)) for p in (2, 14)),
    *(pair("max", p, talib.MAX) for p in (2, 30)),
    *(pair("min", p, talib.MIN) for p in (2, 30)),
    *((f"diff(close, {p})", lambda m, p=p: talib.MOM(m.close, timeperiod=p)) for p in (1, 10)),
    ("lag(stddev(5), 2)", lambda m: np.r_[np.nan, np.nan, talib.STDDEV(m.close, 5)[:-2]]),
    ("realised_volatility(10)", lambda m: deviation(np.log1p(talib.ROCP(m.close, 1)), 10)),
    ("ema(rsi(14), 5)", lambda m: talib.EMA(talib.RSI(m.close, 14), 5)),
    ("zscore(close, 20)", lambda m: score(m.close, 20)),
    ("volume_zscore(20)", lambda m: score(m.volume, 20)),
    ("vwap_ratio(20)", lambda m: m.close / vwap(m, 20) - 1.0),
]


UNITS = {text: unit for text, _, unit in ROWS}
PEERS += [(text, peer) for text, peer, _ in ROWS]


def floor_of(text: str, market: Market) -> Floats | float:
    """What differences that cancel are small against: fractions of the price, or points of an index."""
    unit = UNITS.get(text)
    if unit is None:
        points = text.startswith(("rsi", "stoch", "cci", "adx", "mfi"))
        unit = "points" if points else "price"
    price = float(np.median(market.close))
    if unit == "price":
        return PRICE_FRACTION * price
    if unit == "drift":
        # TA-Lib's triangular means and lines are running sums, which keep what every bar has rounded.
        return price
    if unit == "square":
        # TA-Lib takes the square of the mean off the mean of squares.
        return PRICE_FRACTION * price**2
    if unit == "total":
        flow = np.maximum.accumulate(np.cumsum(market.volume))
        return PRICE_FRACTION * flow
    if unit == "angle":
        # Of a slope that TA-Lib has as a difference of sums.
        return 90.0 * max(1.0, price / 1_000.0)
    if unit == "digits":
        # TA-Lib's sums of squares of prices keep fewer digits.
        return 1e3
    return {"points": 0.1, "percent": 100.0, "share": 1e-3, "index": 1e-3}[unit]


def deviation(x: Floats, period: int) -> Floats:
    out: Floats = np.r_[np.nan, talib.STDDEV(x[1:], period) * np.sqrt(period / (period - 1))]
    return out


def score(x: Floats, period: int) -> Floats:
    out: Floats = (x - talib.SMA(x, period)) / talib.STDDEV(x, period)
    return out


def vwap(m: Market, period: int) -> Floats:
    price = talib.TYPPRICE(*hlc(m))
    out: Floats = talib.SUM(price * m.volume, period) / talib.SUM(m.volume, period)
    return out


OTHER_SEEDS = ("macd(", "mama(", "kc(", "smi(")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("text", "peer"), PEERS, ids=[text for text, _ in PEERS])
def test_agreement(text: str, peer: Peer, seed: int) -> None:
    features = bp.FeatureSet([text])
    assert features.names == (text,)
    bars = features.memory[text][1] or 0
    check(text, peer, markets.walk(seed, max(3_000, bars + 1_000), sigma=0.01))


# Where there is nothing to divide by TA-Lib gives 0, and its means of that differ on.
UNDIVIDED: tuple[str, ...] = (
    "rsi",
    "mfi",
    "imi",
    "stoch",
    "willr",
    "ultosc",
    "correl",
    "beta",
    "bbands",
    "zscore",
)
UNDIVIDED += ("volume_zscore", "cci", "ema(rsi", "efficiency_ratio", "vhf")
# The same, where nothing moves or is traded at all.
AT_REST: tuple[str, ...] = (
    "kdj",
    "vwma",
    "chaikin_money_flow",
    "marketfi",
    "pvo",
    "rvol",
    "vortex",
)
# Of equal values TA-Lib may take any.
TIED = ("maxindex", "minindex", "minmaxindex")


@functools.cache
def computed(name: str) -> tuple[Market, dict[str, Floats]]:
    """A market and every feature on it: making candles costs more than the features."""
    kinds = {"ticks": markets.ticks, "flat": markets.flat}
    market = kinds[name](5, 9_000) if name in kinds else markets.real(name)
    texts = list(dict.fromkeys(text for text, _ in PEERS))
    frame = bp.FeatureSet(texts).compute(market.candles())
    return market, {text: frame[text].to_numpy() for text in texts}


def check(
    text: str, peer: Peer, market: Market, ours: Floats | None = None, *, known: bool = False
) -> None:
    """Equal once the memory is full, a cumulative one from the start; where `known`, but for what is listed."""
    features = bp.FeatureSet([text])
    kind, bars = features.memory[text]
    after = features.warmup if kind == "cumulative" else bars
    assert after is not None
    assert after < len(market) - 500
    if ours is None:
        ours = features.compute(market.candles())[text].to_numpy()
    theirs = peer(market)
    bound = REFERENCE * np.fmax(np.abs(theirs), floor_of(text, market))
    good = np.abs(ours - theirs) <= bound
    if text.startswith(TIED) and known:
        # Another of equal values.
        t = np.arange(len(market))
        ago = [(t - np.nan_to_num(x)).astype(int) for x in (ours, theirs)]
        good |= market.close[ago[0]] == market.close[ago[1]]
    if text.startswith("mfi") and known:
        # TA-Lib gives 0 where the flow is below 1, as it is where volumes are small shares.
        good |= theirs == 0.0
    far = np.flatnonzero(~good[after:])
    if text.startswith((*UNDIVIDED, *AT_REST)) and known:
        # Nothing moved there, or (MFI) the typical price but for its last digit: three times in 5,000 hours of EURUSD.
        assert len(far) < 0.01 * len(market), "more than the bars around which nothing moved"
        return
    assert not len(far), (
        f"bar {after + far[0]}: {ours[after + far[0]]!r}, TA-Lib {theirs[after + far[0]]!r}"
    )


@pytest.mark.parametrize(
    ("text", "peer"),
    [(t, p) for t, p in PEERS if not t.startswith(OTHER_SEEDS)],
    ids=[t for t, _ in PEERS if not t.startswith(OTHER_SEEDS)],
)
def test_starts_as_talib_does(text: str, peer: Peer) -> None:
    """The same seeds: equal from the first bar, and NaN at the same bars."""
    market = markets.walk(7, 300, sigma=0.01)
    ours = bp.FeatureSet([text]).compute(market.candles())[text].to_numpy().copy()
    theirs = peer(market)
    if text.startswith("stoch(") and text.endswith(".k"):
        ours[np.isnan(theirs)] = np.nan  # TA-Lib withholds k until d is there.
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    bound = REFERENCE * np.fmax(np.abs(theirs), floor_of(text, market))
    far = np.flatnonzero(np.abs(ours - theirs) > bound)
    assert not len(far), f"bar {far[0]}: {ours[far[0]]!r}, TA-Lib {theirs[far[0]]!r}"


def test_macd_starts_at_the_same_bar_from_another_seed() -> None:
    market = markets.walk(7, 200, sigma=0.01)
    ours = bp.FeatureSet(["macd(12, 26, 9).hist"]).compute(market.candles())[:, 1].to_numpy()
    theirs = talib.MACD(market.close)[2]
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    gap = np.abs(ours - theirs)[33:]
    assert gap[0] > 1e-4
    # The seed of the fast mean fades as its weights do, smoothed by the signal's.
    assert gap[100] < 1e-6 * gap[0]


def test_nothing_moved() -> None:
    """TA-Lib gives 0, which says "fell all the way"; nothing moved is the middle."""
    n = 60
    market = markets.walk(1, n)
    still: dict[str, Any] = {name: np.full(n, 100.0) for name in ("open", "high", "low", "close")}
    market = replace(market, **still)
    texts = ["rsi(14)", "mfi(14)", "stoch(14, 3, 3).k"]
    ours = bp.FeatureSet(texts).compute(market.candles())[-1]
    assert [ours[text].item() for text in texts] == [50.0] * 3
    assert talib.RSI(market.close, 14)[-1] == 0.0
    assert talib.MFI(*hlc(market), market.volume, 14)[-1] == 0.0
    assert talib.STOCH(*hlc(market))[0][-1] == 0.0


def names_of(text: str) -> str:
    """Name of the function of a feature."""
    return text.split("(")[0]


def test_every_function_without_a_twin_is_compared() -> None:
    compared = {names_of(text) for text, _ in PEERS} | set(quant_twin.FUNCTIONS)
    for row in bp._core.feature_table():
        if row["family"] == "patterns":
            continue  # tests/features/test_patterns.py goes through them all.
        assert row["name"] in compared or row["name"] in twin.FUNCTIONS, row["name"]


# Parameters that TA-Lib has and these functions do not, because they have no effect or are what the name stands for.
LEFT_OUT = {
    "var": ("nbdev",),
    "stddev": ("nbdev",),
    "kdj": ("slowk_matype", "slowd_matype"),
    "smi": ("signalperiod",),
}
# Defaults that are not TA-Lib's.
OTHER_DEFAULTS = {
    "cci": [20.0],
    "stddev": [20.0],
    "stoch": [14.0, 3.0, 3.0],
    **{name: [None] for name in ("sma", "ema", "wma", "max", "min", "hma", "zlema")},
    # Here before TA-Lib had them: the longer rate first, the published span, the mean of the range first.
    "coppock": [14.0, 11.0, 10.0],
    "qstick": [8.0],
    "smi": [10.0, 3.0, 3.0],
}
# What makes no feature, or has another name here.
NOT_HERE = {
    "mavp": "its period is a series",
    "cumsum": "a total without end",
    "div": "ratio",
    **dict.fromkeys(("acos", "asin", "atan", "cos", "sin", "tan"), "angles, which no column is"),
    **dict.fromkeys(("ceil", "floor"), "whole numbers, which a price is by accident"),
    **dict.fromkeys(("cosh", "sinh"), "beyond all bounds for a price"),
}


def test_every_function_of_talib_is_here_or_left_out_for_a_reason() -> None:
    ours = {row["name"] for row in bp._core.feature_table()}
    theirs = {name.lower() for name in talib.get_functions()}
    also = theirs - ours - set(NOT_HERE)
    # The others are read by TA-Lib's name, and become ours.
    for name in also:
        (column, *_) = bp.FeatureSet([f"{name}()"]).names
        assert names_of(column) in ours - theirs, name
    assert len(also) == 8
    assert not ours & set(NOT_HERE)
    assert len(theirs & ours) >= 180


def test_parameters_and_defaults_are_those_of_talib() -> None:
    abstract = pytest.importorskip("talib.abstract")
    known = {name.lower(): abstract.Function(name).info for name in talib.get_functions()}
    patterns = {name for name in known if name.startswith("cdl")}
    made_after = (patterns | {names_of(text) for text, _ in PEERS}) & set(known)
    compared = 0
    for row in bp._core.feature_table():
        # Of what TA-Lib has, what was made after it; some of its newest names are other people's here.
        if row["name"] not in made_after or row["name"] in ("bbands", "macd", "stoch"):
            continue
        theirs = known[row["name"]]["parameters"]
        left_out = LEFT_OUT.get(row["name"], ())
        expected = [float(v) for name, v in theirs.items() if name not in left_out]
        ours = [default for _, _, default in row["parameters"]]
        if row["name"] == "macdext":
            expected = [float(theirs[k]) for k in MACDEXT]
        assert ours == OTHER_DEFAULTS.get(row["name"], expected), row["name"]
        compared += 1
    assert compared > 50


MACDEXT = (
    "fastperiod",
    "fastmatype",
    "slowperiod",
    "slowmatype",
    "signalperiod",
    "signalmatype",
)


@pytest.mark.skipif(not markets.FOLDER, reason="BARPROOF_DATA names no data folder")
@pytest.mark.parametrize("name", markets.REAL)
@pytest.mark.parametrize(("text", "peer"), PEERS, ids=[text for text, _ in PEERS])
def test_agreement_on_real_bars(text: str, peer: Peer, name: str) -> None:
    market, columns = computed(name)
    bars = bp.FeatureSet([text]).memory[text][1] or 0
    if bars > len(market) - 600:
        pytest.skip(f"{text} fades in {bars} bars, and {name} has {len(market)}")
    if "volume" in text or "obv" in text or "mfi" in text or text.startswith(("ad(", "adosc(")):
        assert market.volume.max() > 0.0
    check(text, peer, market, columns[text], known=True)


TIES = [(t, p) for t, p in PEERS if not t.startswith((*UNDIVIDED, *TIED))]


@pytest.mark.parametrize(("text", "peer"), TIES, ids=[text for text, _ in TIES])
def test_agreement_on_ties(text: str, peer: Peer) -> None:
    """Prices on a coarse grid: equal values, bars without a body or a range."""
    market, columns = computed("ticks")
    check(text, peer, market, columns[text])


# What is left of TA-Lib's running sums where nothing moves is all that there is.
NOISE = ("ht_", "mama", "kama", "ma(", "apo", "linearreg_angle", "vwap_ratio")
STILL = [(t, p) for t, p in TIES if not t.startswith((*NOISE, *AT_REST))]


@pytest.mark.parametrize(("text", "peer"), STILL, ids=[text for text, _ in STILL])
def test_agreement_where_nothing_moves(text: str, peer: Peer) -> None:
    """Stretches in which price and volume stand still, at a price that is no short fraction."""
    market, columns = computed("flat")
    check(text, peer, market, columns[text])
