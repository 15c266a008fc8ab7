"""An example of every error of the statistics: id, call, class, exact message."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import FileError, LayoutError, ParameterError, ShapeError, stats
from barproof._daily import DailyReturns
from tests.sweep_error_examples import sweep

Example = tuple[str, Callable[[], object], type[BaseException], str]

BAD: Any = "bad"
ROWS = np.zeros((9, 2))
MARKET = bp.simulate_candles(1, bars=40)


def done() -> bp.Result:
    signals = bp.Signals(long=np.full(40, 0.7))
    return bp.backtest(
        MARKET, signals, bp.Rules(entry_long=0.5), costs=bp.Costs(taker=0.0), ledger=False
    )


def last(candles: bp.Candles) -> float:
    return float(candles.close[-1])


def resumed(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.jsonl"
        path.write_text(text, encoding="utf-8")
        return bp.procedure_test(last, MARKET, count=19, out=path)


def of_nothing() -> Any:
    class Empty:
        daily_returns = DailyReturns(pl.Series([]), np.empty(0, np.int64), lambda _: ROWS)

    return Empty()


EXAMPLES: list[Example] = [
    (
        "level",
        lambda: stats.interval_size(0.05, level=95),
        ParameterError,
        "`level` must lie strictly between 0 and 1, was 95",
    ),
    (
        "positive",
        lambda: stats.rate_test(4, 0, 4.6),
        ParameterError,
        "`exposure` must be finite and > 0, was 0",
    ),
    (
        "seed of a bootstrap",
        lambda: stats.stationary_indices(5, mean_block=1, rows=1, seed=-1),
        ParameterError,
        "`seed` of a bootstrap must be a whole number in [0, 2**64), was -1",
    ),
    (
        "indices that are no whole numbers",
        lambda: stats.paired_difference([1.0, 2.0], [2.0, 1.0], indices=[[0.5, 1.0]]),
        ShapeError,
        "`indices` must be whole numbers of shape (resamples, 2), had shape (1, 2) of float64",
    ),
    (
        "indices out of bounds",
        lambda: stats.paired_difference([1.0, 2.0], [2.0, 1.0], indices=[[0, 2]]),
        ParameterError,
        "`indices` must lie in [0, 2), were from 0 to 2",
    ),
    (
        "bootstrap",
        lambda: stats.block_length([1.0], bootstrap=BAD),
        ParameterError,
        "`bootstrap` must be stationary or circular, was 'bad'",
    ),
    (
        "shares",
        lambda: stats.psi_of([0, 0], [1, 1]),
        ParameterError,
        "`expected` must be shares >= 0 with a sum above 0, was [0, 0]",
    ),
    (
        "bins that differ",
        lambda: stats.psi_of([1, 1], [1, 1, 1]),
        ParameterError,
        "`expected` and `actual` must have one number of shares, had 2 and 3",
    ),
    ("distance", lambda: stats.ks_p(2, 5, 5), ParameterError, "`d` must lie in [0, 1], was 2"),
    (
        "periods",
        lambda: stats.annualisation(0),
        ParameterError,
        "`periods` must be at least 1, was 0",
    ),
    (
        "payoff of a share",
        lambda: stats.expectancy(1.5, 1, 1),
        ParameterError,
        "a payoff needs `share` in [0, 1] and sizes >= 0, were 1.5, 1 and 1",
    ),
    (
        "blocks",
        lambda: stats.pbo(ROWS, blocks=7),
        ParameterError,
        "`blocks` must be an even number from 2 to 20, was 7",
    ),
    (
        "resamples of a test",
        lambda: stats.spa(ROWS, resamples=10),
        ParameterError,
        "`resamples` of a test must be at least 99, was 10",
    ),
    (
        "seed of a test",
        lambda: stats.stepm(ROWS, seed=-1),
        ParameterError,
        "`seed` of a test must be a whole number in [0, 2**64), was -1",
    ),
    (
        "studentise",
        lambda: stats.spa(stats.normals(1, 90).reshape(45, 2), studentise=BAD),
        ParameterError,
        "`studentise` must be resample, sample or none, was 'bad'",
    ),
    (
        "mean block",
        lambda: stats.reality_check(ROWS, mean_block=0.5),
        ParameterError,
        "`mean_block` must be at least 1, was 0.5",
    ),
    (
        "horizon",
        lambda: stats.diebold_mariano([1.0], [1.0], horizon=0),
        ParameterError,
        "`horizon` must be at least 1, was 0",
    ),
    (
        "alternative of forecasts",
        lambda: stats.diebold_mariano([1.0], [1.0], alternative=BAD),
        ParameterError,
        "`alternative` must be two-sided, less or greater, was 'bad'",
    ),
    (
        "calibration",
        lambda: stats.calibration_error([0.5], [1], bins=0),
        ParameterError,
        "`bins` must be at least 1 and `form` mass or width, were 0 and 'mass'",
    ),
    (
        "bins of the score",
        lambda: stats.murphy([0.5], [1], bins=0),
        ParameterError,
        "`bins` of the score must be at least 1, was 0",
    ),
    (
        "saturated logits",
        lambda: stats.saturated_temperature(5.0, 0.4),
        ParameterError,
        "`size` must be > 0 and `accuracy` in (0.5, 1), were 5.0 and 0.4",
    ),
    (
        "binomial test",
        lambda: stats.binomial_test(1, 2, alternative=BAD),
        ParameterError,
        "`alternative` must be two-sided, greater or less and `form` likelihood or doubled, "
        "were 'bad' and 'likelihood'",
    ),
    (
        "events",
        lambda: stats.rate_test(-1, 1, 1),
        ParameterError,
        "`events` must be a whole number >= 0, was -1",
    ),
    (
        "power",
        lambda: stats.power_of_share(5, 0.6, alternative=BAD),
        ParameterError,
        "`alternative` must be two-sided or greater, was 'bad'",
    ),
    (
        "autocorrelation",
        lambda: stats.sharpe_error(0.1, 10, rho=1.0),
        ParameterError,
        "`rho` must lie strictly between -1 and 1, was 1.0",
    ),
    (
        "variance of the trials",
        lambda: stats.deflated_sharpe(0.1, 10, trials=5, variance=-1.0),
        ParameterError,
        "`variance` of the trials must be >= 0, was -1.0",
    ),
    (
        "form of the size",
        lambda: stats.deflated_size(10, form=BAD),
        ParameterError,
        "`form` of the size must be 2014 or 2025, was 'bad'",
    ),
    (
        "no sweep",
        lambda: stats.overfitting(BAD),
        LayoutError,
        "overfitting needs a Sweep, was given str",
    ),
    (
        "empty sweep",
        lambda: stats.overfitting(of_nothing()),
        ParameterError,
        "the sweep has no finished combination: run it to the end",
    ),
    (
        "fewer trials than combinations",
        lambda: stats.overfitting(sweep(), trials=1),
        ParameterError,
        "`trials` must be at least the 2 combinations of the sweep, was 1",
    ),
    (
        "surrogate of nothing",
        lambda: bp.surrogate_candles(BAD),
        LayoutError,
        "a surrogate needs Candles, was given str",
    ),
    (
        "kind of a surrogate",
        lambda: bp.surrogate_candles(MARKET, kind=BAD),
        ParameterError,
        "`kind` of a surrogate must be one of sign, blocks, phase, simulated, was 'bad'",
    ),
    (
        "few bars",
        lambda: bp.surrogate_candles(MARKET[:5]),
        ParameterError,
        "a surrogate needs at least 8 bars, was given 5",
    ),
    (
        "edge of a surrogate",
        lambda: bp.surrogate_candles(MARKET, edge=0.1),
        ParameterError,
        "an edge is planted in simulated markets only, `kind` was 'sign'",
    ),
    (
        "no study",
        lambda: bp.procedure_test(BAD, MARKET),
        LayoutError,
        "`study` must take candles and give a result, was str",
    ),
    (
        "study of nothing",
        lambda: bp.procedure_test(last, BAD),
        LayoutError,
        "a procedure test needs Candles, was given str",
    ),
    (
        "markets",
        lambda: bp.procedure_test(last, MARKET, markets=BAD),
        ParameterError,
        "`markets` must be one of sign, blocks, phase, simulated, or a function, was 'bad'",
    ),
    (
        "few surrogates",
        lambda: bp.procedure_test(last, MARKET, count=9),
        ParameterError,
        "`count` must be at least 19, was 9: with fewer no p-value reaches 0.05",
    ),
    (
        "edges",
        lambda: bp.procedure_test(last, MARKET, edges=[1.5]),
        ParameterError,
        '`studies` must be at least 1 and `edges` "claimed" or in (0, 1), were 20 and [1.5]',
    ),
    (
        "score of a study",
        lambda: bp.procedure_test(lambda _: "text", MARKET),
        LayoutError,
        "the study must give a number or a result with the metric 'sharpe', gave str: give score= a function of it",
    ),
    (
        "no file of a procedure test",
        lambda: resumed("nonsense\n{}"),
        FileError,
        "'file.jsonl' is no file of a procedure test: give out= another name",
    ),
    (
        "another procedure test",
        lambda: resumed('{"identity": {"candles": "others"}}'),
        FileError,
        f"'file.jsonl' holds another procedure test: its `candles` is 'others', not '{MARKET.digest}'; "
        "give out= another name",
    ),
    (
        "no result",
        lambda: bp.random_entries(BAD),
        LayoutError,
        "random entries need the Result of one set of rules, were given str",
    ),
    (
        "few draws",
        lambda: bp.random_entries(done(), draws=5),
        ParameterError,
        "`draws` must be at least 19, was 5",
    ),
    (
        "metric of random entries",
        lambda: bp.random_entries(done(), metric="luck"),
        ParameterError,
        "the result has no metric `luck`: see docs/metrics.md",
    ),
    (
        "block of random entries",
        lambda: bp.random_entries(done(), block=0),
        ParameterError,
        "`block` must be at least 1 bar, was 0",
    ),
    (
        "ablation of nothing",
        lambda: bp.ablation(BAD),
        LayoutError,
        "an ablation needs the Result of one set of rules, was given str",
    ),
    (
        "few draws of an ablation",
        lambda: bp.ablation(done(), draws=5),
        ParameterError,
        "`draws` of an ablation must be at least 19, was 5",
    ),
    (
        "hold of an ablation",
        lambda: bp.ablation(done(), hold=0),
        ParameterError,
        "`hold` of time exits must be at least 1 bar, was 0",
    ),
    (
        "blocks of an ablation",
        lambda: bp.ablation(done(), mean_block=0.5),
        ParameterError,
        "`mean_block` of an ablation must be at least 1, was 0.5",
    ),
    (
        "control of nothing",
        lambda: bp.one_bar_later(BAD),
        LayoutError,
        "a control needs a Result, was given str",
    ),
    (
        "factors",
        lambda: bp.cost_curve(done(), factors=[-1.0]),
        ParameterError,
        "`factors` of costs must be finite and >= 0, were [-1.0]",
    ),
    (
        "correlations",
        lambda: stats.clusters([[1.0, 0.5]]),
        ShapeError,
        "`correlations` must be a square matrix of finite numbers, had shape (1, 2)",
    ),
    (
        "most groups",
        lambda: stats.clusters([[1.0]], most=1),
        ParameterError,
        "`most` groups must be at least 2, was 1",
    ),
    (
        "form",
        lambda: stats.psr([1.0], form=BAD),
        ParameterError,
        "`form` must be 2012 or 2025, was 'bad'",
    ),
    (
        "trials",
        lambda: stats.expected_maximum(0),
        ParameterError,
        "`trials` must be finite and at least 1, was 0",
    ),
]
