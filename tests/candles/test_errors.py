"""Errors about candles carry what was found; their messages are held by tests/test_errors.py."""

from __future__ import annotations

import pytest

import barproof.candles
from tests.candles.error_examples import EXAMPLES


def test_candle_errors_carry_their_faults() -> None:
    call = next(e[1] for e in EXAMPLES if e[0] == "faulty")
    with pytest.raises(barproof.errors.CandleError) as caught:
        call()
    assert [(f.code, f.rows) for f in caught.value.faults] == [("non_finite", (2,)), ("ohlc", (1,))]
