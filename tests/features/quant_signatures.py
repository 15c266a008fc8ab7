"""What the functions for quantitative models take and give; `expressions` reads it.

A name maps to the number of series, the series that a single one defaults to (None: it must be given), the parameters
with default and values worth trying, and the outputs.
"""

from __future__ import annotations

from typing import TypeAlias

Row: TypeAlias = tuple[
    int, str | None, tuple[tuple[str, float | None, tuple[float, ...]], ...], tuple[str, ...]
]


def row(
    series: int = 0,
    default: str | None = None,
    parameters: tuple[tuple[str, float | None, tuple[float, ...]], ...] = (),
    outputs: tuple[str, ...] = (),
) -> Row:
    return series, default, parameters, outputs


def period(
    default: float | None, *tried: float, name: str = "period"
) -> tuple[tuple[str, float | None, tuple[float, ...]], ...]:
    return ((name, default, tried or (20, 5)),)


def bars(default: float | None, *tried: float, outputs: tuple[str, ...] = ()) -> Row:
    """Function of whole bars with a period."""
    return row(0, None, period(default, *tried), outputs)


def close(default: float | None, *tried: float, outputs: tuple[str, ...] = ()) -> Row:
    """Function of the close, unless another series is given, with a period."""
    return row(1, "close", period(default, *tried), outputs)


ROWS: dict[str, Row] = {
    "parkinson": bars(20, 20, 1, 5),
    "garman_klass": bars(20, 20, 1, 5),
    "rogers_satchell": bars(20, 20, 1, 5),
    "yang_zhang": bars(20, 20, 2, 5),
    "realised_variance": close(20, 20, 1, 5),
    "bipower_variation": close(20, 20, 2, 5),
    "jump_share": close(20, 20, 2, 5),
    "downside_volatility": close(20, 20, 3),
    "upside_volatility": close(20, 20, 3),
    "semivariance_balance": close(20, 20, 3),
    "realised_skewness": close(20, 20, 3),
    "realised_kurtosis": close(20, 20, 3),
    "vol_of_vol": row(1, "close", (("period", 20, (20, 5)), ("window", 60, (60, 9)))),
    "ewma_volatility": close(32, 32, 3),
    "skewness": close(None, 20, 3, 7),
    "kurtosis": close(None, 20, 4, 7),
    "quantile": row(1, "close", (("period", None, (20, 1, 6)), ("q", 0.5, (0.5, 0, 0.9, 1)))),
    "iqr": close(None, 20, 2, 7),
    "mad": close(None, 20, 2, 7),
    "robust_zscore": row(1, None, period(None, 20, 3, 8)),
    "quantile_skew": close(None, 20, 3, 8),
    "variation": close(None, 20, 2, 7),
    "autocorrelation": row(1, None, (("period", 50, (50, 9)), ("lag", 1, (1, 4)))),
    "variance_ratio": row(1, "close", (("period", 100, (100, 12)), ("lag", 2, (2, 5)))),
    "hurst": close(100, 100, 8, 33),
    "entropy": row(1, None, (("period", 100, (100, 9)), ("bins", 10, (10, 3)))),
    "permutation_entropy": row(1, "close", (("period", 100, (100, 9)), ("order", 3, (3, 2, 5)))),
    "trend_fit": close(20, 20, 3, outputs=("slope", "r2")),
    "mean_reversion": close(100, 100, 9, outputs=("speed", "t")),
    "efficiency_ratio": close(10, 10, 2),
    "choppiness": bars(14, 14, 2),
    "fractal_dimension": row(0, None, period(8, 8, 1, 3, name="half")),
    "drawdown": close(50, 50, 2),
    "run_up": close(50, 50, 2),
    "max_drawdown": close(50, 50, 2, 9),
    "ulcer_index": close(14, 14, 3),
    "bars_since_high": row(1, "high", period(50, 50, 2, 9)),
    "bars_since_low": row(1, "low", period(50, 50, 2, 9)),
    "range_position": close(50, 50, 2),
    "from_peak": row(1, "close", (), ("drawdown", "age")),
    "gap": row(),
    "body_return": row(),
    "body_share": row(),
    "upper_wick": row(),
    "lower_wick": row(),
    "close_position": row(),
    "bar_overlap": row(),
    "run_length": close(20, 20, 1, 3),
    "heikin_ashi": row(0, None, (), ("open", "high", "low", "close")),
    "donchian": bars(20, 20, 1, outputs=("upper", "middle", "lower", "position", "width")),
    "keltner": row(
        0,
        None,
        (("period", 20, (20, 3)), ("atr", 10, (10, 25)), ("multiple", 2, (2, 0.5))),
        ("upper", "middle", "lower", "position"),
    ),
    "chandelier": row(
        0, None, (("period", 22, (22, 3)), ("multiple", 3, (3, 0.5))), ("long", "short")
    ),
    "supertrend": row(
        0, None, (("period", 10, (10, 3)), ("multiple", 3, (3, 1.5))), ("line", "direction")
    ),
    "ichimoku": row(
        0,
        None,
        (("conversion", 9, (9, 3)), ("base", 26, (26, 5)), ("span", 52, (52, 4))),
        ("conversion", "base", "span_a", "span_b"),
    ),
    "round_distance": row(1, "close", period(2, 2, 1, 4, name="digits")),
    "hma": close(None, 16, 2, 9),
    "zlema": close(None, 20, 3, 4),
    "super_smoother": close(None, 10, 2, 20),
    "fisher": bars(10, 10, 1, 3, outputs=("fisher", "trigger")),
    "vortex": bars(14, 14, 1, outputs=("plus", "minus")),
    "tsi": row(1, "close", (("long", 25, (25, 4)), ("short", 13, (13, 3)))),
    "connors_rsi": row(
        1, "close", (("period", 3, (3, 9)), ("run", 2, (2, 5)), ("rank", 100, (100, 7)))
    ),
    "coppock": row(
        1, "close", (("long", 14, (14, 3)), ("short", 11, (11, 2)), ("period", 10, (10, 4)))
    ),
    "kst": row(1, "close", period(9, 9, 2, name="signal"), ("kst", "signal")),
    "elder_ray": bars(13, 13, 2, outputs=("bull", "bear")),
    "mass_index": row(0, None, (("ema", 9, (9, 3)), ("period", 25, (25, 4)))),
    "force_index": bars(13, 13, 2),
    "awesome": row(0, None, (("fast", 5, (5, 3)), ("slow", 34, (34, 8)))),
    "dpo": close(20, 20, 2, 5),
    "up_share": close(12, 12, 1),
    "smi": row(0, None, (("period", 10, (10, 4)), ("first", 3, (3, 5)), ("second", 3, (3, 2)))),
    "relative_vigor": bars(10, 10, 2, outputs=("vigor", "signal")),
    "qstick": bars(8, 8, 1),
    "amihud": bars(20, 20, 1),
    "roll_spread": close(20, 20, 2),
    "corwin_schultz": bars(20, 20, 1),
    "abdi_ranaldo": bars(20, 20, 1),
    "kyle_lambda": bars(20, 20, 3),
    "turnover": row(),
    "volume_share": bars(20, 20, 2),
    "volume_surprise": bars(20, 20, 1),
    "trade_size": row(),
    "trade_intensity": bars(20, 20, 1),
    "flow_imbalance": bars(20, 20, 1),
    "vpin": bars(20, 20, 1),
    "chaikin_money_flow": bars(20, 20, 1),
    "ease_of_movement": bars(14, 14, 1),
    "price_volume_trend": row(),
    "nvi": row(),
    "pvi": row(),
    "day_vwap_ratio": row(),
    "funding_rate": row(),
    "funding_change": row(),
    "funding_annual": row(),
    "funding_age": row(),
    "funding_to_next": row(),
    "funding_sum": bars(288, 40, 3),
    "funding_total": row(),
    "session": row(
        0,
        None,
        (("open", 810, (810, 1320)), ("close", 1200, (1200, 1440))),
        ("inside", "since_open", "to_close"),
    ),
    "time_of_month": row(0, None, (), ("sin", "cos")),
    "time_of_year": row(0, None, (), ("sin", "cos")),
    "weekend": row(),
    "new_day": row(),
    "time_gap": row(),
    "covariance": row(2, None, period(60, 60, 3)),
    "regression": row(2, None, period(60, 60, 5), ("slope", "intercept", "r2", "zscore")),
    "spread_zscore": row(2, None, period(60, 60, 3)),
    "lead_lag": row(2, None, (("period", 60, (60, 5)), ("lag", 1, (1, 4)))),
    "relative_strength": row(2, None, period(60, 60, 1)),
    "tracking_error": row(2, None, period(60, 60, 3)),
    "frac_diff": row(1, "close", (("order", 0.4, (0.4, 1.5)), ("width", 100, (100, 7)))),
    "cusum": row(1, None, (("threshold", None, (150, 3)),), ("up", "down", "event")),
}
