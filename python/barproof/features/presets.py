"""Feature sets that come with barproof: those of the case studies, in count and kind.

The cases tell how many features each system had and what they were made of, and not their names; the lists here are
ours. Every one of them needs open, high, low, close and volume alone. Texts are canonical: a preset never changes, and
the tests pin its digest.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PRESETS", "Preset"]


@dataclass(frozen=True)
class Preset:
    """A named list of features.

    Attributes
    ----------
    features : tuple of str
        Canonical texts in order.
    about : str
        What it is for, in a sentence.
    """

    features: tuple[str, ...]
    about: str


def _lines(text: str) -> tuple[str, ...]:
    """Features that are separated by semicolons or lines."""
    return tuple(
        one.strip() for line in text.splitlines() for one in line.split(";") if one.strip()
    )


_CROSS_MARKET = _lines("""
    log_return(1); log_return(4); log_return(24); log_return(72)
    ema_ratio(12); ema_ratio(48); sma_ratio(200); ratio(macd(12, 26, 9).hist, close)
    rsi(14); stoch(14, 3, 3).k; cci(20); adx(14); mfi(14)
    bbands(20, 2).position; bbands(20, 2).width; atr_ratio(14); realised_volatility(24)
    volume_zscore(48); vwap_ratio(24); rank(168)
""")

# Levels of prices and volumes are among them, as in the networks that were fed such levels unscaled.
_CLASSIFIER = _lines("""
    open; high; low; close; volume
    sma(5); sma(10); sma(20); sma(50); sma(100); sma(200)
    ema(5); ema(10); ema(20); ema(50); ema(100); ema(200); wma(20)
    bbands(20, 2).upper; bbands(20, 2).lower; bbands(20, 2).position; bbands(20, 2).width
    atr(14); atr_ratio(14)
    macd(12, 26, 9).macd; macd(12, 26, 9).signal; macd(12, 26, 9).hist
    rsi(7); rsi(14); rsi(21); stoch(14, 3, 3).k; stoch(14, 3, 3).d
    cci(20); adx(14); mfi(14); obv()
    log_return(1); log_return(5); log_return(15); log_return(60); log_return(240)
    sma_ratio(20); sma_ratio(50); sma_ratio(200); ema_ratio(10); ema_ratio(20); ema_ratio(50)
    stddev(20); realised_volatility(20); realised_volatility(60); realised_volatility(240); bar_range()
    volume_zscore(20); volume_zscore(60); volume_zscore(240)
    vwap_ratio(20); vwap_ratio(60); vwap_ratio(240)
    max(20); min(20); rank(60); rank(240); zscore(close, 60); zscore(close, 240)
    lag(log_return(1), 1); lag(log_return(1), 2); lag(rsi(14), 5); lag(volume_zscore(60), 5)
    time_of_day().sin; time_of_day().cos; time_of_week().sin; time_of_week().cos
""")

# What both entry models see: 55.
_BOTH = _lines("""
    log_return(1); log_return(3); log_return(6); log_return(12); log_return(24); log_return(48); log_return(288)
    rsi(7); rsi(14); rsi(28)
    ema_ratio(9); ema_ratio(21); ema_ratio(50); ema_ratio(200); sma_ratio(20); sma_ratio(100)
    ratio(macd(12, 26, 9).macd, close); ratio(macd(12, 26, 9).signal, close); ratio(macd(12, 26, 9).hist, close)
    stoch(14, 3, 3).k; stoch(14, 3, 3).d; cci(20); adx(14); mfi(14)
    atr_ratio(7); atr_ratio(14); atr_ratio(48); bbands(20, 2).position; bbands(20, 2).width
    realised_volatility(12); realised_volatility(48); realised_volatility(288); bar_range()
    zscore(close, 48); zscore(close, 288); rank(48); rank(288)
    volume_zscore(12); volume_zscore(48); volume_zscore(288); vwap_ratio(12); vwap_ratio(48); vwap_ratio(288)
    time_of_day().sin; time_of_day().cos; time_of_week().sin; time_of_week().cos
    log_return(1)@1h; rsi(14)@1h; ema_ratio(21)@1h; adx(14)@1h; atr_ratio(14)@1h; bbands(20, 2).position@1h
    log_return(1)@4h; rsi(14)@4h
""")

# Distance from lows, breakouts, momentum that turns up: 30.
_LONG = _lines("""
    ratio(close, min(12)); ratio(close, min(48)); ratio(close, min(288))
    ratio(close, lag(max(48), 1)); ratio(close, lag(max(288), 1))
    lag(rsi(14), 1); lag(rsi(14), 3); lag(rsi(14), 12); diff(rsi(14), 3); diff(rsi(14), 12)
    lag(log_return(1), 1); lag(log_return(1), 2); lag(log_return(1), 3)
    diff(ema_ratio(21), 6); diff(ema_ratio(50), 12); zscore(rsi(14), 100); zscore(mfi(14), 100)
    ratio(open, lag(close, 1)); ratio(close, open); ratio(low, open); wma_ratio(20); rank(volume, 48)
    stoch(14, 3, 3).k@1h; ema_ratio(50)@1h; mfi(14)@1h; volume_zscore(20)@1h; vwap_ratio(24)@1h
    ema_ratio(21)@4h; adx(14)@4h; bbands(20, 2).position@4h
""")

# Distance from highs, downside moves, volatility that rises: 24.
_SHORT = _lines("""
    ratio(close, max(12)); ratio(close, max(48)); ratio(close, max(288))
    ratio(close, lag(min(48), 1)); ratio(close, lag(min(288), 1))
    clip(log_return(1), -1, 0); sma(clip(log_return(1), -1, 0), 12); sma(clip(log_return(1), -1, 0), 48)
    ratio(high, open); zscore(atr_ratio(14), 100); zscore(bar_range(), 100); zscore(realised_volatility(12), 288)
    diff(atr_ratio(14), 6); diff(ratio(macd(12, 26, 9).hist, close), 3); lag(atr_ratio(14), 3)
    rank(atr_ratio(14), 288)
    realised_volatility(24)@1h; bar_range()@1h; rank(48)@1h; cci(20)@1h
    atr_ratio(14)@4h; sma_ratio(20)@4h; rsi(14)@1d; ema_ratio(20)@1d
""")

# What production had beside the 109 of the backtest: 62.
_PRODUCTION = _lines("""
    log_return(2); log_return(4); log_return(8); log_return(16); log_return(32); log_return(64); log_return(96)
    log_return(144); rsi(5); rsi(10); rsi(21); rsi(42)
    ema_ratio(5); ema_ratio(13); ema_ratio(34); ema_ratio(89); ema_ratio(144)
    sma_ratio(10); sma_ratio(50); sma_ratio(200); wma_ratio(10); wma_ratio(50)
    cci(10); cci(40); adx(7); adx(28); mfi(7); mfi(28); stoch(5, 3, 3).k; stoch(5, 3, 3).d
    bbands(10, 2).position; bbands(10, 2).width; bbands(50, 2).position; bbands(50, 2).width
    atr_ratio(21); atr_ratio(96)
    realised_volatility(6); realised_volatility(24); realised_volatility(96); realised_volatility(144)
    volume_zscore(24); volume_zscore(96); vwap_ratio(24); vwap_ratio(96)
    rank(12); rank(24); rank(96); zscore(close, 24); zscore(close, 96)
    ratio(close, median(24)); ratio(close, median(96)); ratio(macd(5, 35, 5).hist, close)
    diff(rsi(14), 1); diff(volume_zscore(48), 3); lag(log_return(1), 6); lag(bar_range(), 1)
    log_return(1)@15m; rsi(14)@15m; atr_ratio(14)@15m
    bbands(20, 2).width@1h; ratio(macd(12, 26, 9).hist, close)@1h; stoch(14, 3, 3).d@4h
""")

PRESETS: dict[str, Preset] = {
    "cross_market_20": Preset(
        _CROSS_MARKET,
        "what a model of many markets sees of each; put on 12 with `on`, it makes 240 channels",
    ),
    "classifier_72": Preset(
        _CLASSIFIER,
        "a classifier of one symbol's next move; levels of prices and volumes are among them, so it needs a scaler",
    ),
    "gating_short_79": Preset(
        _BOTH + _SHORT,
        "entries into shorts on five-minute bars: 55 that both sides see, 24 of its own",
    ),
    "gating_long_85": Preset(
        _BOTH + _LONG,
        "entries into longs on five-minute bars: 55 that both sides see, 30 of its own",
    ),
    "gating_109": Preset(_BOTH + _LONG + _SHORT, "what the two entry models see together"),
    "gating_171": Preset(
        tuple(sorted(_BOTH + _LONG + _SHORT + _PRODUCTION)),
        "those 109 and 62 more, all in the order of their names: the same model fed with it is fed with noise",
    ),
}
"""Presets by name."""
