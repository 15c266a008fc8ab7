"""Candles: reading, validation, repair, resampling, funding."""

from __future__ import annotations

from barproof.candles.bar import Bar
from barproof.candles.faults import Fault
from barproof.candles.instrument import Instrument
from barproof.candles.model import Candles
from barproof.candles.reading import read_candles
from barproof.candles.resample import align, resample

__all__ = ["Bar", "Candles", "Fault", "Instrument", "align", "read_candles", "resample"]
