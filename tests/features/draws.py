"""Random nested expressions for hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.features import quant_signatures
from tests.features.expressions import (
    SERIES,
    SIGNATURES,
    At,
    Call,
    Expression,
    Series,
    single,
)

# Random walks of other functions meet these bounds.
_BOUNDS = (-1.0, -0.01, 0.0, 0.01, 0.5, 1.0, 50.0, 101.0)


def fits(call: Call) -> bool:
    """Whether windows leave something of a short market."""
    return call.name == "session" or max(call.numbers, default=0) <= 60


@st.composite
def calls(
    draw: st.DrawFn,
    depth: int,
    clocks: tuple[str, ...] = (),
    names: tuple[str, ...] = tuple(SIGNATURES),
    shortest: int = 1,
) -> Call:
    """One function; its series are columns or, above `depth` 1, further expressions."""
    name = draw(st.sampled_from(names))
    signature = SIGNATURES[name]
    series = tuple(
        draw(expressions(depth - 1, clocks, names, shortest)) if depth > 1 else draw(columns())
        for _ in range(signature.series)
    )
    if name in quant_signatures.ROWS:
        numbers: tuple[float, ...] = draw(
            st.sampled_from([call.numbers for call in single(name) if fits(call)])
        )
    elif name == "clip":
        low, high = sorted(
            draw(st.lists(st.sampled_from(_BOUNDS), min_size=2, max_size=2, unique=True))
        )
        numbers = (low, high)
    elif name == "macd":
        fast = draw(st.integers(2, 4))
        numbers = (fast, fast + draw(st.integers(1, 4)), draw(st.integers(2, 5)))
    elif name == "bbands":
        numbers = (draw(st.integers(max(2, shortest), 9)), draw(st.sampled_from([0.5, 1, 2, 2.5])))
    else:
        lowest = 1 if 1 in {v for p in signature.parameters for v in p.tried} else 2
        numbers = tuple(draw(st.integers(max(lowest, shortest), 9)) for _ in signature.parameters)
    output = draw(st.sampled_from(signature.outputs)) if signature.outputs else None
    return Call(name, series, numbers, output)


def columns() -> st.SearchStrategy[Expression]:
    return st.sampled_from([Series(name) for name in SERIES])


@st.composite
def expressions(
    draw: st.DrawFn,
    depth: int,
    clocks: tuple[str, ...] = (),
    names: tuple[str, ...] = tuple(SIGNATURES),
    shortest: int = 1,
) -> Expression:
    """A call, sometimes a column where one is an argument, sometimes on a longer clock."""
    if depth < 3 and draw(st.integers(0, 3)) == 0:
        return draw(columns())
    inner = draw(calls(depth, clocks if draw(st.booleans()) else (), names, shortest))
    # No clock inside of a clock: `names` of the inner ones are drawn without.
    if clocks and not any("@" in str(x) for x in inner.series) and draw(st.integers(0, 4)) == 0:
        return At(inner, interval=draw(st.sampled_from(clocks)))
    return inner
