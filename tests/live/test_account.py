"""The stepped account against whole runs: thousands of random draws that reach every rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from barproof import _core
from barproof.errors import RulesError
from tests.reference import compare
from tests.reference.draws import Case, draw

CASES, CHUNKS = 1_500, 6


def stepped(case: Case) -> tuple[list[dict[str, Any]], list[float]]:
    """Step a case bar by bar; every third bar the account is saved, thrown away and loaded."""
    e = compare.engine(case)
    bars, options = e.bars, e.options
    start, stop = options["window_"]
    names = [name for name in compare.ARRAYS if case.signals.get(name) is not None]

    def fresh() -> _core.LiveAccount:
        return _core.LiveAccount(
            [rules for _, rules in e.schedule],
            kind=case.signals.get("kind", "probability"),
            arrays=names,
            costs=options["costs"],
            instrument_=options["instrument_"],
            interval_ms=bars.interval_ms,
            initial_equity=options["initial_equity"],
        )

    account = fresh()
    m = case.market
    account.warm(compare.engine(cut(case, start)).bars) if start else None
    funded = m.kind == "perpetual" and m.funding_time is not None
    settled = np.asarray(m.funding_time if funded else [], dtype=np.int64)
    settled = (settled + 500) // 1000 * 1000
    rate = np.asarray(m.funding_rate if funded else [], dtype=np.float64)
    trades: list[dict[str, Any]] = []
    marks: list[float] = []
    arrays = [
        np.asarray(case.signals[name], float) if name in names else np.full(len(m.open), np.nan)
        for name in compare.ARRAYS
    ]
    current = None
    for i in range(start, stop):
        for k, (first, _) in enumerate(e.schedule):
            current = k if first <= i else current
        account.choose(current)
        due = (settled > (m.open_time[i - 1] if i > start else m.open_time[start])) & (
            settled <= m.open_time[i]
        )
        bar = (int(m.open_time[i]), m.open[i], m.high[i], m.low[i], m.close[i], 0.0)
        row: Any = tuple(float(array[i]) for array in arrays)
        after = account.step(
            bar, settled[due].tolist(), rate[due].tolist(), row, last=i + 1 == stop
        )
        assert after[0] == i - start
        marks.append(after[1])
        if after[2] is not None:
            columns = after[2]
            trades += [
                {name: values[k] for name, values in columns.items()}
                for k in range(len(columns["side"]))
            ]
        if i % 3 == 0:
            account = fresh().loaded(account.save())
    return trades, marks


def cut(case: Case, bars: int) -> Case:
    """Keep the first bars of a market, without signals that matter."""
    from dataclasses import replace

    m = case.market
    columns = {
        name: getattr(m, name)[:bars] for name in ("open_time", "open", "high", "low", "close")
    }
    market = replace(m, **columns, finer=None)
    signals = {
        name: np.asarray(value)[:bars] if name in compare.ARRAYS and value is not None else value
        for name, value in case.signals.items()
    }
    return replace(case, market=market, signals=signals, window=None)


def runs_live(case: Case) -> bool:
    """Leave out what only batch can do: closing at boundaries, finer bars, bars a year over all candles."""
    rules = [case.rules] if case.schedule is None else [r for _, r in case.schedule]
    swaying = any(r.get("sizing") == "volatility" for r in rules)
    closing = case.schedule is not None and case.boundary == "close"
    return not (
        closing
        or case.market.finer is not None
        or (swaying and case.market.kind not in ("spot", "perpetual"))
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_stepping_is_the_backtest(chunk: int) -> None:
    compared = traded = 0
    size = CASES // CHUNKS
    for seed in range(chunk * size, (chunk + 1) * size):
        case = draw(seed)
        if not runs_live(case):
            continue
        want = compare.replay(case)
        trades, marks = stepped(case)
        assert np.asarray(marks).tobytes() == np.asarray(want["equity"]).tobytes(), seed
        assert len(trades) == len(want["trades"]["side"]), seed
        for name, values in want["trades"].items():
            got = [trade[name] for trade in trades]
            assert np.array_equal(np.asarray(got), np.asarray(values)), (seed, name)
        compared += 1
        traded += len(trades) > 0
    assert compared > size // 2
    assert traded > size // 4


def test_volatility_sizing_needs_a_market_around_the_clock() -> None:
    rules = {"entry_long": 0.5, "sizing": "volatility", "vol_target": 0.2}
    with pytest.raises(RulesError, match="around the clock"):
        _core.LiveAccount(
            [rules],
            kind="probability",
            arrays=["long"],
            costs=(0.0, 0.0, 0.0),
            instrument_=("fx", 0.005, 0.0, 0.0),
            interval_ms=60_000,
            initial_equity=1e4,
        )
