"""Feature expressions as trees: written out as canonical text, or evaluated by the twin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tests.features import quant_signatures, quant_twin, twin
from tests.features.markets import Floats, Market

SERIES = ("open", "high", "low", "close", "volume")


@dataclass(frozen=True)
class Parameter:
    """Parameter of a function: its default, and values worth trying."""

    name: str
    default: float | None
    tried: tuple[float, ...]


@dataclass(frozen=True)
class Signature:
    """What a function takes: series (True: close unless given), parameters, and what it gives."""

    series: int = 0
    default_close: bool = False
    parameters: tuple[Parameter, ...] = ()
    outputs: tuple[str, ...] = ()
    default: str = "close"


def _period(
    default: int | None = None, tried: tuple[int, ...] = (2, 5, 20), name: str = "period"
) -> tuple[Parameter, ...]:
    return (Parameter(name, default, tried),)


SIGNATURES: dict[str, Signature] = {
    "simple_return": Signature(1, True, _period(1, (1, 7))),
    "log_return": Signature(1, True, _period(1, (1, 7))),
    "sma": Signature(1, True, _period(None, (1, 2, 20))),
    "ema": Signature(1, True, _period(None, (2, 5, 20))),
    "wma": Signature(1, True, _period(None, (1, 2, 20))),
    "sma_ratio": Signature(1, True, _period()),
    "ema_ratio": Signature(1, True, _period()),
    "wma_ratio": Signature(1, True, _period()),
    "rsi": Signature(1, True, _period(14, (1, 2, 14))),
    "macd": Signature(
        1,
        True,
        (
            Parameter("fast", 12, (12, 3)),
            Parameter("slow", 26, (26, 15)),
            Parameter("signal", 9, (9, 4)),
        ),
        ("macd", "signal", "hist"),
    ),
    "stoch": Signature(
        0,
        False,
        (
            Parameter("k", 14, (14, 5)),
            Parameter("slow_k", 3, (3, 1)),
            Parameter("slow_d", 3, (3, 2)),
        ),
        ("k", "d"),
    ),
    "cci": Signature(0, False, _period(20, (3, 20))),
    "adx": Signature(0, False, _period(14, (2, 14))),
    "mfi": Signature(0, False, _period(14, (2, 14))),
    "atr": Signature(0, False, _period(14, (1, 14))),
    "atr_ratio": Signature(0, False, _period(14, (2, 14))),
    "bbands": Signature(
        1,
        True,
        (Parameter("period", 20, (20, 4)), Parameter("deviations", 2, (2, 1.5))),
        ("upper", "middle", "lower", "position", "width"),
    ),
    "stddev": Signature(1, True, _period(20)),
    "realised_volatility": Signature(1, True, _period(None, (2, 20))),
    "bar_range": Signature(),
    "obv": Signature(),
    "volume_zscore": Signature(0, False, _period()),
    "vwap_ratio": Signature(0, False, _period(None, (1, 2, 20))),
    "taker_imbalance": Signature(),
    "max": Signature(1, True, _period(None, (1, 2, 20))),
    "min": Signature(1, True, _period(None, (1, 2, 20))),
    "median": Signature(1, True, _period(None, (1, 2, 5, 20))),
    "rank": Signature(1, True, _period()),
    "zscore": Signature(1, False, _period()),
    "time_of_day": Signature(outputs=("sin", "cos")),
    "time_of_week": Signature(outputs=("sin", "cos")),
    "lag": Signature(1, False, _period(None, (1, 9), "bars")),
    "diff": Signature(1, False, _period(1, (1, 9), "bars")),
    "clip": Signature(
        1, False, (Parameter("low", None, (99.5, -1.0)), Parameter("high", None, (101.0, 100.25)))
    ),
    "ratio": Signature(2, False),
}


SIGNATURES.update(
    {
        name: Signature(
            series,
            default is not None,
            tuple(Parameter(*parameter) for parameter in parameters),
            outputs,
            default or "close",
        )
        for name, (series, default, parameters, outputs) in quant_signatures.ROWS.items()
    }
)
assert set(quant_twin.FUNCTIONS) == set(quant_signatures.ROWS)


@dataclass(frozen=True)
class Series:
    """A column of the candles."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Call:
    """A function of series and numbers."""

    name: str
    series: tuple[Expression, ...] = ()
    numbers: tuple[float, ...] = ()
    output: str | None = None

    def __str__(self) -> str:
        series = [str(x) for x in self.series]
        signature = SIGNATURES[self.name]
        if signature.default_close and series == [signature.default]:
            series = []
        text = ", ".join(series + [number(v) for v in self.numbers])
        return f"{self.name}({text})" + (f".{self.output}" if self.output else "")


@dataclass(frozen=True)
class At:
    """An expression on a longer clock, of another symbol, or both."""

    inner: Expression
    symbol: str | None = None
    interval: str | None = None

    def __str__(self) -> str:
        return f"{self.inner}@" + "/".join(x for x in (self.symbol, self.interval) if x)


Expression = Series | Call | At


def number(value: float) -> str:
    """Shortest text of a number, without the fraction of a whole one."""
    return str(int(value)) if value == int(value) else repr(float(value))


# Functions that only choose among values, so nothing is rounded.
EXACT = ("max", "min", "lag", "clip", "rank")


def evaluate(
    expression: Expression,
    market: Market,
    others: Mapping[str, Market] | None = None,
    noise: np.random.Generator | None = None,
) -> Floats:
    """Compute an expression with the twin, one value a bar of `market`; with `noise`, rounded otherwise."""
    if isinstance(expression, Series):
        return market.series(expression.name)
    if isinstance(expression, Call):
        series = [evaluate(x, market, others, noise) for x in expression.series]
        whole = [int(v) if v == int(v) else v for v in expression.numbers]
        out = twin.FUNCTIONS[expression.name](market, *series, *whole)
        if not isinstance(out, np.ndarray):
            assert expression.output is not None
            out = out[expression.output]
        if noise is not None and expression.name not in EXACT:
            size = np.abs(out)
            if expression.name.endswith("_ratio"):
                size = size + 1.0  # A quotient was rounded before 1 was taken off.
            elif expression.name in ("macd", "dpo"):
                # A difference of numbers of the size of the series.
                size = size + np.abs(series[0])
            out = out + 4.0 * np.finfo(float).eps * size * noise.uniform(-1.0, 1.0, len(out))
        return out
    source = market if expression.symbol is None else (others or {})[expression.symbol]
    if expression.interval is None:
        values = evaluate(expression.inner, source, others, noise)
        return twin.same_time(values, source.open_time, market.open_time)
    bars, known = twin.longer(source, expression.interval)
    values = twin.held(evaluate(expression.inner, bars, others, noise), known, len(source))
    if expression.symbol is None:
        return values
    return twin.last_before(values, source.open_time, market.open_time)


def single(name: str) -> list[Call]:
    """All calls of one function over the values worth trying: one parameter at a time, every output."""
    signature = SIGNATURES[name]
    series: dict[int, list[tuple[Expression, ...]]] = {
        0: [()],
        1: [(Series("close"),), (Series("volume"),)],
        2: [(Series("high"), Series("low"))],
    }
    base = tuple(p.tried[0] for p in signature.parameters)
    numbers = [base]
    for i, parameter in enumerate(signature.parameters):
        numbers += [(*base[:i], v, *base[i + 1 :]) for v in parameter.tried[1:]]
    return [
        Call(name, x, v, output)
        for x in series[signature.series]
        for v in numbers
        for output in signature.outputs or (None,)
    ]
