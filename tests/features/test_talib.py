"""Agreement with TA-Lib, for every function that it has, after the declared memory.

Known differences, each with a test of its own below: TA-Lib starts MACD's fast mean later, so that both means start
together, and gives 0 where RSI, MFI and the stochastic have nothing to divide by.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barproof as bp
from tests.features import markets
from tests.features.markets import Floats, Market
from tests.tolerances import PRICE_FRACTION, REFERENCE

talib = pytest.importorskip("talib", reason="TA-Lib is not installed")

Peer = Callable[[Market], Any]


def hlc(m: Market) -> tuple[Floats, Floats, Floats]:
    return m.high, m.low, m.close


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


def floor_of(text: str) -> float:
    """What differences that cancel are small against: fractions of the price, or points of an index."""
    points = text.startswith(("rsi", "stoch", "cci", "adx", "mfi"))
    return 100.0 * PRICE_FRACTION if points else PRICE_FRACTION


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


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("text", "peer"), PEERS, ids=[text for text, _ in PEERS])
def test_agreement(text: str, peer: Peer, seed: int) -> None:
    market = markets.walk(seed, 3_000, sigma=0.01)
    features = bp.FeatureSet([text])
    assert features.names == (text,)
    kind, bars = features.memory[text]
    after = 0 if kind == "cumulative" else bars
    assert after is not None
    assert after < 2_000, "the market is too short to see what comes after the memory"
    ours = features.compute(market.candles())[text].to_numpy()
    theirs = peer(market)
    bound = REFERENCE * np.fmax(np.abs(theirs), floor_of(text))
    far = np.flatnonzero(~(np.abs(ours - theirs) <= bound)[after:])
    assert not len(far), (
        f"bar {after + far[0]}: {ours[after + far[0]]!r}, TA-Lib {theirs[after + far[0]]!r}"
    )


@pytest.mark.parametrize(
    ("text", "peer"),
    [(t, p) for t, p in PEERS if not t.startswith("macd")],
    ids=[t for t, _ in PEERS if not t.startswith("macd")],
)
def test_starts_as_talib_does(text: str, peer: Peer) -> None:
    """The same seeds: equal from the first bar, and NaN at the same bars."""
    market = markets.walk(7, 200, sigma=0.01)
    ours = bp.FeatureSet([text]).compute(market.candles())[text].to_numpy().copy()
    theirs = peer(market)
    if text.startswith("stoch") and text.endswith(".k"):
        ours[np.isnan(theirs)] = np.nan  # TA-Lib withholds k until d is there.
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=REFERENCE, atol=REFERENCE * floor_of(text))


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
