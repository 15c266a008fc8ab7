"""What TA-Lib is called to check a feature against: one row a feature, with the unit its values are in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.features.markets import Floats, Market

talib = pytest.importorskip("talib", reason="TA-Lib is not installed")

Peer = Callable[[Market], Any]
Row = tuple[str, Peer, str]

# TA-Lib's names of averages, by number.
MA_TYPES = (0, 1, 2, 3, 4, 5, 6, 8)


def hlc(m: Market) -> tuple[Floats, Floats, Floats]:
    """High, low, close."""
    return m.high, m.low, m.close


def ohlc(m: Market) -> tuple[Floats, Floats, Floats, Floats]:
    """Open, high, low, close."""
    return m.open, m.high, m.low, m.close


def of_close(name: str, unit: str, *periods: int) -> list[Row]:
    """Function of the close with a period."""
    peer = getattr(talib, name.upper())
    return [
        (f"{name}({p})", lambda m, p=p: peer(m.close, timeperiod=p), unit)  # type: ignore[misc]
        for p in periods
    ]


def of_bars(name: str, unit: str, *periods: int) -> list[Row]:
    """Function of high, low and close with a period."""
    peer = getattr(talib, name.upper())
    return [
        (f"{name}({p})", lambda m, p=p: peer(*hlc(m), timeperiod=p), unit)  # type: ignore[misc]
        for p in periods
    ]


def of_range(name: str, unit: str, *periods: int) -> list[Row]:
    """Function of high and low with a period."""
    peer = getattr(talib, name.upper())
    return [
        (f"{name}({p})", lambda m, p=p: peer(m.high, m.low, timeperiod=p), unit)  # type: ignore[misc]
        for p in periods
    ]


def outputs(text: str, names: str, peer: Peer, unit: str) -> list[Row]:
    """Rows for a function with several outputs."""
    return [
        (f"{text}.{name}", lambda m, i=i: peer(m)[i], unit)  # type: ignore[misc]
        for i, name in enumerate(names.split())
    ]


def after(index: Any, period: int) -> Floats:
    """Bars since: TA-Lib counts from the first bar of the array, and gives 0 where it has nothing."""
    out: Floats = np.arange(len(index), dtype=np.float64) - index
    out[: period - 1] = np.nan
    return out


def begun(values: Any, bars: int) -> Floats:
    """Whole numbers, which TA-Lib gives as 0 where it has none."""
    out = np.array(values, dtype=np.float64)
    out[:bars] = np.nan
    return out


AVERAGES: list[Row] = [
    *of_close("dema", "price", 2, 5, 30),
    *of_close("tema", "price", 2, 5, 30),
    *of_close("trima", "drift", 2, 3, 10, 11, 30),
    *of_close("kama", "price", 2, 10, 30),
    *of_close("midpoint", "price", 2, 14),
    *of_range("midprice", "price", 2, 14),
    ("t3(5, 0.7)", lambda m: talib.T3(m.close), "price"),
    ("t3(9, 0.4)", lambda m: talib.T3(m.close, 9, 0.4), "price"),
    *(
        (f"ma({p}, {k})", lambda m, p=p, k=k: talib.MA(m.close, p, k), "drift")
        for k in MA_TYPES
        for p in (1, 3, 12)
    ),
    *outputs("accbands(20)", "upper middle lower", lambda m: talib.ACCBANDS(*hlc(m)), "price"),
]

MOMENTUM: list[Row] = [
    *of_close("mom", "price", 1, 10),
    *of_close("roc", "points", 1, 10),
    *of_close("rocp", "share", 1, 10),
    *of_close("rocr", "share", 1, 10),
    *of_close("rocr100", "points", 1, 10),
    *(
        (f"apo({f}, {s}, {k})", lambda m, f=f, s=s, k=k: talib.APO(m.close, f, s, k), "drift")
        for f, s in ((12, 26), (3, 7))
        for k in MA_TYPES
    ),
    *(
        (f"ppo({f}, {s}, {k})", lambda m, f=f, s=s, k=k: talib.PPO(m.close, f, s, k), "percent")
        for f, s, k in ((12, 26, 0), (12, 26, 1), (3, 7, 5))
    ),
    *(
        row
        for p in ((12, 0, 26, 0, 9, 0), (3, 1, 8, 1, 4, 1), (4, 2, 9, 5, 1, 0), (4, 3, 9, 1, 5, 4))
        for row in outputs(
            f"macdext({', '.join(map(str, p))})",
            "macd signal hist",
            lambda m, p=p: talib.MACDEXT(m.close, *p),  # type: ignore[misc]
            "drift",
        )
    ),
    *(
        row
        for p in (9, 1, 4)
        for row in outputs(
            f"macdfix({p})",
            "macd signal hist",
            lambda m, p=p: talib.MACDFIX(m.close, p),  # type: ignore[misc]
            "price",
        )
    ),
    *(
        row
        for p in (2, 14)
        for row in outputs(
            f"aroon({p})",
            "down up",
            lambda m, p=p: talib.AROON(m.high, m.low, p),  # type: ignore[misc]
            "points",
        )
    ),
    *of_range("aroonosc", "points", 2, 14),
    *of_close("cmo", "points", 2, 14),
    ("bop()", lambda m: talib.BOP(*ohlc(m)), "share"),
    *((f"imi({p})", lambda m, p=p: talib.IMI(m.open, m.close, p), "points") for p in (2, 14)),
    *(
        row
        for p in ((5, 3, 0), (14, 1, 0), (5, 4, 1), (5, 4, 6))
        for row in outputs(
            f"stochf({', '.join(map(str, p))})",
            "k d",
            lambda m, p=p: talib.STOCHF(*hlc(m), *p),  # type: ignore[misc]
            "points",
        )
    ),
    *(
        row
        for p in ((14, 5, 3, 0), (6, 9, 4, 1))
        for row in outputs(
            f"stochrsi({', '.join(map(str, p))})",
            "k d",
            lambda m, p=p: talib.STOCHRSI(m.close, *p),  # type: ignore[misc]
            "points",
        )
    ),
    *of_close("trix", "share", 1, 5, 30),
    ("ultosc(7, 14, 28)", lambda m: talib.ULTOSC(*hlc(m)), "points"),
    ("ultosc(9, 4, 2)", lambda m: talib.ULTOSC(*hlc(m), 9, 4, 2), "points"),
    *of_bars("willr", "points", 2, 14),
]

TREND: list[Row] = [
    *of_range("plus_dm", "price", 1, 2, 14),
    *of_range("minus_dm", "price", 1, 2, 14),
    *of_bars("plus_di", "points", 2, 14),
    *of_bars("minus_di", "points", 2, 14),
    *of_bars("dx", "points", 2, 14),
    *of_bars("adxr", "points", 2, 14),
    ("sar(0.02, 0.2)", lambda m: talib.SAR(m.high, m.low), "price"),
    ("sar(0.3, 0.1)", lambda m: talib.SAR(m.high, m.low, 0.3, 0.1), "price"),
    (
        "sarext(0, 0, 0.02, 0.02, 0.2, 0.02, 0.02, 0.2)",
        lambda m: talib.SAREXT(m.high, m.low),
        "price",
    ),
    *(
        (
            f"sarext({start}, 0.01, 0.05, 0.03, 0.3, 0.5, 0.1, 0.4)",
            lambda m, start=start: talib.SAREXT(
                m.high, m.low, start, 0.01, 0.05, 0.03, 0.3, 0.5, 0.1, 0.4
            ),
            "price",
        )
        for start in (90, -110)
    ),
]

OF_BARS: list[Row] = [
    ("trange()", lambda m: talib.TRANGE(*hlc(m)), "price"),
    *of_bars("natr", "share", 2, 14),
    ("avgprice()", lambda m: talib.AVGPRICE(*ohlc(m)), "price"),
    ("medprice()", lambda m: talib.MEDPRICE(m.high, m.low), "price"),
    ("typprice()", lambda m: talib.TYPPRICE(*hlc(m)), "price"),
    ("wclprice()", lambda m: talib.WCLPRICE(*hlc(m)), "price"),
    ("ad()", lambda m: talib.AD(*hlc(m), m.volume), "total"),
    *(
        (f"adosc({f}, {s})", lambda m, f=f, s=s: talib.ADOSC(*hlc(m), m.volume, f, s), "total")
        for f, s in ((3, 10), (2, 21))
    ),
]

STATISTICS: list[Row] = [
    *of_close("sum", "price", 2, 30),
    *of_close("var", "square", 2, 5, 30),
    *of_close("avgdev", "price", 2, 14),
    *of_close("linearreg", "drift", 2, 14),
    *of_close("linearreg_slope", "drift", 2, 14),
    *of_close("linearreg_intercept", "drift", 2, 14),
    *of_close("linearreg_angle", "angle", 2, 14),
    *of_close("tsf", "drift", 2, 14),
    *outputs("minmax(30)", "min max", lambda m: talib.MINMAX(m.close), "price"),
    ("maxindex(30)", lambda m: after(talib.MAXINDEX(m.close), 30), "index"),
    ("minindex(30)", lambda m: after(talib.MININDEX(m.close), 30), "index"),
    *(
        row
        for row in outputs(
            "minmaxindex(9)",
            "min max",
            lambda m: [after(i, 9) for i in talib.MINMAXINDEX(m.close, 9)],
            "index",
        )
    ),
    *(
        (f"correl(high, low, {p})", lambda m, p=p: talib.CORREL(m.high, m.low, p), "digits")
        for p in (3, 30)
    ),
    *(
        (f"beta(high, low, {p})", lambda m, p=p: talib.BETA(m.high, m.low, p), "digits")
        for p in (3, 5, 30)
    ),
]

CYCLES: list[Row] = [
    ("ht_dcperiod()", lambda m: talib.HT_DCPERIOD(m.close), "index"),
    ("ht_dcphase()", lambda m: talib.HT_DCPHASE(m.close), "angle"),
    *outputs("ht_phasor()", "inphase quadrature", lambda m: talib.HT_PHASOR(m.close), "price"),
    *outputs("ht_sine()", "sine leadsine", lambda m: talib.HT_SINE(m.close), "angle"),
    ("ht_trendmode()", lambda m: begun(talib.HT_TRENDMODE(m.close), 63), "index"),
    ("ht_trendline()", lambda m: talib.HT_TRENDLINE(m.close), "price"),
    *outputs("mama(0.5, 0.05)", "mama fama", lambda m: talib.MAMA(m.close), "price"),
    *outputs("mama(0.9, 0.2)", "mama fama", lambda m: talib.MAMA(m.close, 0.9, 0.2), "price"),
]

ARITHMETIC: list[Row] = [
    ("add(high, low)", lambda m: talib.ADD(m.high, m.low), "price"),
    ("sub(high, low)", lambda m: talib.SUB(m.high, m.low), "price"),
    ("mult(high, low)", lambda m: talib.MULT(m.high, m.low), "square"),
    ("ln(close)", lambda m: talib.LN(m.close), "share"),
    ("log10(close)", lambda m: talib.LOG10(m.close), "share"),
    ("sqrt(close)", lambda m: talib.SQRT(m.close), "share"),
    ("exp(bop())", lambda m: talib.EXP(talib.BOP(*ohlc(m))), "share"),
    ("tanh(bop())", lambda m: talib.TANH(talib.BOP(*ohlc(m))), "share"),
]

# What TA-Lib added in 0.8. Some have other names here too: `ao` is `awesome`, and the text of either is the same.
LATER: list[Row] = [
    ("ac(5, 34, 5)", lambda m: talib.AC(m.high, m.low), "drift"),
    ("ac(3, 8, 2)", lambda m: talib.AC(m.high, m.low, 3, 8, 2), "drift"),
    ("awesome(5, 34)", lambda m: talib.AO(m.high, m.low), "drift"),
    ("awesome(3, 8)", lambda m: talib.AO(m.high, m.low, 3, 8), "drift"),
    *of_close("cmou", "points", 2, 14),
    *((f"efficiency_ratio({p})", lambda m, p=p: talib.ER(m.close, p), "share") for p in (2, 10)),
    *(
        row
        for p in (3, 13)
        for row in outputs(
            f"elder_ray({p})",
            "bull bear",
            lambda m, p=p: talib.ERI(*hlc(m), p),  # type: ignore[misc]
            "price",
        )
    ),
    *of_close("fosc", "percent", 2, 5, 14),
    *(
        row
        for p in ((2, 2), (1, 3), (5, 2))
        for row in outputs(
            f"fractal({p[0]}, {p[1]})",
            "high low",
            lambda m, p=p: [begun(x, sum(p)) for x in talib.FRACTAL(m.high, m.low, *p)],  # type: ignore[misc]
            "points",
        )
    ),
    *(
        row
        for p in ((9, 3, 3), (5, 1, 4))
        for row in outputs(
            f"kdj({', '.join(map(str, p))})",
            "k d j",
            lambda m, p=p: talib.KDJ(*hlc(m), p[0], p[1], 13, p[2], 13),  # type: ignore[misc]
            "points",
        )
    ),
    *of_close("vhf", "share", 2, 28),
    ("wad()", lambda m: talib.WAD(*hlc(m)), "price"),
    *(
        row
        for p in ((20, 10, 2.0), (5, 14, 1.5))
        for row in outputs(
            f"kc({p[0]}, {p[1]}, {p[2]:g})",
            "upper middle lower",
            lambda m, p=p: talib.KC(*hlc(m), *p),  # type: ignore[misc]
            "price",
        )
    ),
    *of_close("rma", "price", 1, 3, 30),
    *((f"vwma({p})", lambda m, p=p: talib.VWMA(m.close, m.volume, p), "drift") for p in (1, 30)),
    *outputs(
        "heikin_ashi()",
        "open high low close",
        lambda m: talib.HA(*ohlc(m)),
        "price",
    ),
    *(
        (f"percentile({p}, {q:g})", lambda m, p=p, q=q: talib.PERCENTILE(m.close, p, q), "price")
        for p, q in ((30, 50.0), (9, 0.0), (9, 100.0), (7, 33.3))
    ),
    *of_close("percentrank", "points", 2, 100),
    *of_range("adr", "drift", 1, 14),
    *(
        (f"cvi({p}, {q})", lambda m, p=p, q=q: talib.CVI(m.high, m.low, p, q), "percent")
        for p, q in ((10, 10), (3, 1))
    ),
    *(
        (f"mass_index({p}, {q})", lambda m, p=p, q=q: talib.MASSI(m.high, m.low, p, q), "index")
        for p, q in ((9, 25), (4, 6))
    ),
    *(
        (f"rvi({p}, {q})", lambda m, p=p, q=q: talib.RVI(m.close, p, q), "points")
        for p, q in ((14, 10), (3, 2))
    ),
    *(
        (f"chaikin_money_flow({p})", lambda m, p=p: talib.CMF(*hlc(m), m.volume, p), "digits")
        for p in (2, 20)
    ),
    *(
        (f"force_index({p})", lambda m, p=p: talib.EFI(m.close, m.volume, p), "total")
        for p in (2, 13)
    ),
    ("marketfi()", lambda m: talib.MARKETFI(m.high, m.low, m.volume), "share"),
    *(
        (f"pvo({f}, {s}, {k})", lambda m, f=f, s=s, k=k: talib.PVO(m.volume, f, s, k), "percent")
        for f, s, k in ((12, 26, 1), (3, 7, 0))
    ),
    ("price_volume_trend()", lambda m: talib.PVT(m.close, m.volume), "total"),
    *((f"rvol({p})", lambda m, p=p: talib.RVOL(m.volume, p), "share") for p in (1, 20)),
    ("vwap()", lambda m: talib.VWAP(*hlc(m), m.volume), "price"),
    # Here before TA-Lib had them, under the same names.
    ("coppock(14, 11, 10)", lambda m: talib.COPPOCK(m.close), "percent"),
    *of_close("dpo", "drift", 5, 20),
    *((f"qstick({p})", lambda m, p=p: talib.QSTICK(m.open, m.close, p), "drift") for p in (2, 8)),
    ("smi(10, 3, 3)", lambda m: talib.SMI(*hlc(m), 10, 3, 3)[0], "points"),
    ("smi(13, 25, 2)", lambda m: talib.SMI(*hlc(m), 13, 25, 2)[0], "points"),
    ("tsi(25, 13)", lambda m: talib.TSI(m.close), "points"),
    *outputs("vortex(14)", "plus minus", lambda m: talib.VORTEX(*hlc(m)), "share"),
    *outputs(
        "donchian(20)", "upper middle lower", lambda m: talib.DONCHIAN(m.high, m.low), "price"
    ),
    *of_close("hma", "drift", 9, 20),
    *outputs(
        "supertrend(10, 3)",
        "line direction",
        lambda m: [x if i == 0 else begun(x, 10) for i, x in enumerate(talib.SUPERTREND(*hlc(m)))],
        "price",
    ),
    *of_close("zlema", "price", 9, 30),
    ("nvi()", lambda m: talib.NVI(m.close, m.volume) / 1000.0, "share"),
    ("pvi()", lambda m: talib.PVI(m.close, m.volume) / 1000.0, "share"),
]

ROWS: list[Row] = [
    *AVERAGES,
    *MOMENTUM,
    *TREND,
    *OF_BARS,
    *STATISTICS,
    *CYCLES,
    *ARITHMETIC,
    *LATER,
]
