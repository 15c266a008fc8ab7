"""Every public function on input that says nothing: no number, no crash; a reason where the result can hold one.

Bad arguments are out of bounds and raise an error of barproof; bad data gives an undefined result. One row a function:
what it makes of data, and which kinds of bad data are good for it (a constant is one forecast, and one value is a
count).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import BarproofError, stats

# ---- data that says nothing --------------------------------------------------------------------

GOOD = stats.normals(3, 60)
NOTHING: dict[str, Any] = {
    "none": [],
    "one": [0.1],
    "constant": [0.1] * 60,
    "NaN": [math.nan if i == 7 else float(x) for i, x in enumerate(GOOD)],
    "inf": [math.inf if i == 7 else float(x) for i, x in enumerate(GOOD)],
    "text": ["a", "b"],
    "table": np.zeros((2, 3, 2)),
    "ragged": [[1.0], [2.0, 3.0]],
}
PANELS: dict[str, Any] = {
    "none": np.empty((0, 3)),
    "no trials": np.empty((60, 0)),
    "one": np.ones((1, 3)),
    "constant": np.zeros((60, 3)),
    "NaN": np.where(
        np.arange(180).reshape(60, 3) == 7, np.nan, 0.1 * np.arange(180).reshape(60, 3) ** 0.5
    ),
    "inf": np.where(
        np.arange(180).reshape(60, 3) == 7, np.inf, 0.1 * np.arange(180).reshape(60, 3) ** 0.5
    ),
    "text": [["a"], ["b"]],
    "ragged": [[1.0], [2.0, 3.0]],
    "table": np.zeros((2, 3, 2)),
}
FAST: dict[str, Any] = {"resamples": 99}

SERIES: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "moments": (stats.moments, set()),
    "psr": (stats.psr, set()),
    "sharpe_hac": (stats.sharpe_hac, set()),
    "hac_mean": (stats.hac_mean, set()),
    "effective_size": (stats.effective_size, set()),
    "autocorrelations": (stats.autocorrelations, set()),
    "mean_interval": (lambda x: stats.mean_interval(x, **FAST), set()),
    # Of a short or still series blocks of one say that nothing is known.
    "block_length": (stats.block_length, {"none", "one", "constant"}),
    "ruin": (lambda x: stats.ruin(x, **FAST), {"constant"}),
    "paired_difference": (lambda x: stats.paired_difference(x, GOOD, **FAST), {"constant"}),
    "sharpe_difference": (lambda x: stats.sharpe_difference(x, GOOD), set()),
    "diebold_mariano": (lambda x: stats.diebold_mariano(x, GOOD), {"constant"}),
    "clustered_mean": (lambda x: stats.clustered_mean(x, np.arange(len(x))), set()),
    "psi": (lambda x: stats.psi(x, GOOD), set()),
    "ks": (lambda x: stats.ks(x, GOOD), {"one", "constant"}),
    "wasserstein": (lambda x: stats.wasserstein(x, GOOD), set()),
    "holm": (stats.holm, {"one", "constant"}),
    "benjamini_hochberg": (stats.benjamini_hochberg, {"one", "constant"}),
    "benjamini_yekutieli": (stats.benjamini_yekutieli, {"one", "constant"}),
    "bonferroni": (stats.bonferroni, {"one", "constant"}),
    "sidak": (stats.sidak, {"one", "constant"}),
    "calibration_error": (
        lambda x: stats.calibration_error(x, np.ones(len(x))),
        {"one", "constant"},
    ),
    "scores": (lambda x: stats.scores(x, np.ones(len(x))), {"one", "constant"}),
    "murphy": (lambda x: stats.murphy(x, np.ones(len(x))), {"one", "constant"}),
    "spiegelhalter": (lambda x: stats.spiegelhalter(x, np.ones(len(x))), {"one", "constant"}),
    "temperature": (lambda x: stats.temperature(x, np.ones(len(x))), set()),
    "effective_size_of": (lambda x: stats.effective_size_of(60, x), {"none", "one", "constant"}),
    "annualisation": (lambda x: stats.annualisation(2, x), {"one", "constant", "none"}),
    "jensen_shannon": (lambda x: stats.jensen_shannon(x, x), {"one", "constant"}),
    "psi_of": (lambda x: stats.psi_of(x, x), {"one", "constant"}),
    "effective_labels": (lambda x: stats.effective_labels(x, x), {"none", "one", "constant"}),
}
MATRICES: dict[str, tuple[Callable[[Any], Any], set[str]]] = {
    "pbo": (lambda x: stats.pbo(x, blocks=4), {"constant"}),
    "spa": (lambda x: stats.spa(x, **FAST), set()),
    "stepm": (lambda x: stats.stepm(x, **FAST), set()),
    "reality_check": (lambda x: stats.reality_check(x, **FAST), set()),
    "effective_trials": (stats.effective_trials, set()),
    "effective_rank": (stats.effective_rank, set()),
    "clusters": (stats.clusters, set()),
}
NAN, INF = math.nan, math.inf
NUMBERS: dict[str, list[Callable[[], Any]]] = {
    "binomial_tail": [
        lambda: stats.binomial_tail(3, 2, 0.5),
        lambda: stats.binomial_tail(1, 2, NAN),
    ],
    "binomial_test": [lambda: stats.binomial_test(0, 0), lambda: stats.binomial_test(1, 2, NAN)],
    "break_even": [lambda: stats.break_even(NAN, 1.0), lambda: stats.break_even(1.0, INF)],
    "clopper_pearson": [lambda: stats.clopper_pearson(0, 0), lambda: stats.clopper_pearson(3, 2)],
    "wilson": [lambda: stats.wilson(0, 0), lambda: stats.wilson(NAN, 4)],
    "upper_bound": [lambda: stats.upper_bound(0, 0), lambda: stats.upper_bound(3, 2)],
    "proportion_test": [
        lambda: stats.proportion_test(0, 0, 0.5),
        lambda: stats.proportion_test(1, 2, NAN),
    ],
    "two_proportions": [
        lambda: stats.two_proportions(0, 0, 1, 2),
        lambda: stats.two_proportions(NAN, 3, 1, 2),
    ],
    "mcnemar": [lambda: stats.mcnemar(0, 0), lambda: stats.mcnemar(-1, 2)],
    "rate_test": [lambda: stats.rate_test(-1, 1.0, 1.0), lambda: stats.rate_test(1, NAN, 1.0)],
    "required_trials": [
        lambda: stats.required_trials(0.5, 0.5),
        lambda: stats.required_trials(0.5, NAN),
    ],
    "detectable_share": [lambda: stats.detectable_share(0), lambda: stats.detectable_share(1)],
    "interval_size": [lambda: stats.interval_size(NAN), lambda: stats.interval_size(0.0)],
    "power_of_share": [lambda: stats.power_of_share(5, NAN), lambda: stats.power_of_share(5, 1.0)],
    "least_trials": [lambda: stats.least_trials(NAN), lambda: stats.least_trials(1.0)],
    "constant_forecast": [
        lambda: stats.constant_forecast(0, 0),
        lambda: stats.constant_forecast(3, 2),
    ],
    "deflated_sharpe": [
        lambda: stats.deflated_sharpe(0.1, 500, trials=None, variance=0.1),
        lambda: stats.deflated_sharpe(NAN, 500, trials=4, variance=0.1),
        lambda: stats.deflated_sharpe(0.1, 1, trials=4, variance=0.1),
        lambda: stats.deflated_sharpe(0.1, 500, trials=4, variance=NAN),
    ],
    "deflated_size": [lambda: stats.deflated_size(NAN), lambda: stats.deflated_size(0)],
    "deviation_of_maximum": [lambda: stats.deviation_of_maximum(NAN)],
    "expected_maximum": [lambda: stats.expected_maximum(NAN), lambda: stats.expected_maximum(INF)],
    "effective_trials_of": [
        lambda: stats.effective_trials_of(NAN, 0.5),
        lambda: stats.effective_trials_of(5, NAN),
    ],
    "expectancy": [lambda: stats.expectancy(NAN, 1.0, 1.0)],
    "growth_identity": [
        lambda: stats.growth_identity(NAN, 5, 1.0),
        lambda: stats.growth_identity(0.1, 0, 1.0),
    ],
    "kelly_fixed_odds": [
        lambda: stats.kelly_fixed_odds(NAN, 1.0, 1.0),
        lambda: stats.kelly_fixed_odds(0.5, 0.0, 1.0),
    ],
    "kelly_leverage": [
        lambda: stats.kelly_leverage(NAN, 1.0, 1.0),
        lambda: stats.kelly_leverage(0.5, 0.0, 1.0),
    ],
    "ks_p": [lambda: stats.ks_p(NAN, 5, 5), lambda: stats.ks_p(0.5, 0, 5)],
    "min_backtest_years": [
        lambda: stats.min_backtest_years(NAN),
        lambda: stats.min_backtest_years(5, NAN),
    ],
    "min_track_record": [lambda: stats.min_track_record(NAN)],
    "odds_of_skill": [
        lambda: stats.odds_of_skill(250, skill=NAN, prior=0.5),
        lambda: stats.odds_of_skill(0, skill=0.1, prior=0.5),
    ],
    "psi_null": [lambda: stats.psi_null(10, 0, 5), lambda: stats.psi_null(1, 5, 5)],
    "psr_of": [lambda: stats.psr_of(NAN, 500), lambda: stats.psr_of(0.1, 1)],
    "saturated_temperature": [lambda: stats.saturated_temperature(NAN, 0.9)],
    "sharpe_error": [lambda: stats.sharpe_error(NAN, 100), lambda: stats.sharpe_error(0.1, 0)],
    "spread_of_forecast": [lambda: stats.spread_of_forecast(NAN, 0.5)],
    "stationary_indices": [lambda: stats.stationary_indices(0, mean_block=1, rows=1, seed=0)],
    "stop_distance": [lambda: stats.stop_distance(NAN, leverage=4)],
    "uniforms": [lambda: stats.uniforms(-1, 3)],
    "normals": [lambda: stats.normals(-1, 3)],
}
# Bad sweeps stand in tests/stats/test_sweeps.py.
ELSEWHERE = {"overfitting"}


def silent(call: Callable[[], Any]) -> None:
    """An undefined result, NaN or nothing, or an error of barproof."""
    try:
        found = call()
    except BarproofError:
        return
    if isinstance(found, stats.Stat):
        assert not found.defined and len(found.reason) > 5, found
        return
    numbers = found if isinstance(found, tuple) else (found,)
    if isinstance(found, stats.Interval):
        assert not found.defined and len(found.reason) > 5, found
        numbers = (found.low, found.high)
    flat = [np.ravel(np.asarray(n, dtype=object)) for n in numbers]
    values = [x for part in flat for x in part if isinstance(x, float)]
    assert all(math.isnan(x) for x in values), found


def test_every_public_function_is_in_the_table() -> None:
    functions = {name for name in stats.__all__ if not isinstance(getattr(stats, name), type)}
    assert functions == {*SERIES, *MATRICES, *NUMBERS, *ELSEWHERE}


@pytest.mark.parametrize("kind", NOTHING)
@pytest.mark.parametrize("name", SERIES)
def test_series_that_say_nothing(name: str, kind: str) -> None:
    call, fine = SERIES[name]
    if kind in fine:
        call(NOTHING[kind])
    else:
        silent(lambda: call(NOTHING[kind]))


@pytest.mark.parametrize("kind", PANELS)
@pytest.mark.parametrize("name", MATRICES)
def test_panels_that_say_nothing(name: str, kind: str) -> None:
    call, fine = MATRICES[name]
    if kind in fine:
        call(PANELS[kind])
    else:
        silent(lambda: call(PANELS[kind]))


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_that_say_nothing(name: str) -> None:
    for call in NUMBERS[name]:
        silent(call)


def test_calendars_that_do_not_match_and_blocks_that_are_too_long() -> None:
    unequal: tuple[Callable[[], stats.Stat], ...] = (
        lambda: stats.paired_difference(GOOD, GOOD[:-1], **FAST),
        lambda: stats.sharpe_difference(GOOD, GOOD[:-1]),
        lambda: stats.diebold_mariano(GOOD, GOOD[:-1]),
        lambda: stats.clustered_mean(GOOD, np.arange(59)),
        lambda: stats.scores(GOOD**2 / 99, np.ones(59)),
        lambda: stats.spa(GOOD[:, None], benchmark=GOOD[:-1], **FAST),
        lambda: stats.stepm(GOOD[:, None], benchmark=[[1.0], [2.0, 3.0]], **FAST),
        lambda: stats.reality_check(GOOD[:, None], benchmark=["a"] * 60, **FAST),
        lambda: stats.spa(GOOD[:, None], benchmark=GOOD * np.nan, **FAST),
        lambda: stats.clustered_mean(GOOD, [[1], [2, 3]]),
        lambda: stats.clustered_mean(GOOD, np.where(GOOD > 0, np.nan, 1.0)),
    )
    for call in unequal:
        silent(call)
    long: tuple[Callable[[], stats.Stat | stats.Interval], ...] = (
        lambda: stats.mean_interval(GOOD, mean_block=13, **FAST),
        lambda: stats.mean_interval(np.arange(20.0), **FAST),
        lambda: stats.paired_difference(GOOD, -GOOD, mean_block=13, **FAST),
        lambda: stats.sharpe_difference(GOOD, -GOOD, mean_block=13, **FAST),
        lambda: stats.ruin(0.01 * GOOD, mean_block=13, **FAST),
        lambda: stats.spa(GOOD[:, None], mean_block=13, **FAST),
        lambda: stats.stepm(GOOD[:, None], mean_block=13, **FAST),
        lambda: stats.reality_check(GOOD[:, None], mean_block=13, **FAST),
    )
    for too_long in long:
        assert "fifth" in too_long().reason


def test_labels_far_apart_take_no_memory_between_them() -> None:
    """Such as times in nanoseconds where bars were asked for."""
    far = 10**15
    assert stats.effective_labels([0, far], [1, far + 1]) == pytest.approx(2.0)
    assert math.isnan(stats.effective_labels([0.0, 1e30], [1.0, 1e30]))


EXTREMES: dict[str, Any] = {
    "huge": 1e200 * GOOD,
    "largest": 1e307 * GOOD,
    "one is huge": np.where(np.arange(60) == 5, 1e300, GOOD),
    "tiny": 1e-200 * GOOD,
    "denormal": 1e-310 * GOOD,
    "a constant but for rounding": np.nextafter(0.1, np.where(GOOD > 0, 1, 0)),
    "two": [0.0, 1.0],
    "truth values": [True, False] * 30,
    "complex": [1 + 2j] * 60,
    "dates": np.arange(60).astype("datetime64[D]"),
    "nothing at all": [None] * 60,
    "objects": [object()] * 60,
}
# NaN in a result that is defined, by its docstring: not asked for, of one class, or without a limit.
MAY_BE_NAN = {"p_bootstrap", "brier_skill", "log_skill"}


def finite(found: Any) -> None:
    """No infinity and no NaN in what claims to be defined."""
    if isinstance(found, stats.Stat) and found.defined:
        for field in fields(found):
            value = getattr(found, field.name)
            if isinstance(value, float) and field.name not in MAY_BE_NAN:
                assert math.isfinite(value), (field.name, found)


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("name", SERIES)
def test_extreme_series_neither_crash_nor_warn(name: str, kind: str) -> None:
    """Warnings are errors here: an overflow inside would be one."""
    with contextlib.suppress(BarproofError):
        finite(SERIES[name][0](EXTREMES[kind]))


@pytest.mark.parametrize("kind", EXTREMES)
@pytest.mark.parametrize("name", MATRICES)
def test_extreme_panels_neither_crash_nor_warn(name: str, kind: str) -> None:
    column = np.asarray(EXTREMES[kind])
    with contextlib.suppress(BarproofError):
        finite(MATRICES[name][0](np.column_stack([column, column[::-1]])))


def test_surrogates_and_procedures_of_nothing() -> None:
    few = bp.simulate_candles(1, bars=5)
    silent(lambda: bp.surrogate_candles(few))
    silent(lambda: bp.procedure_test(lambda _: math.nan, bp.simulate_candles(1, bars=40), count=19))
