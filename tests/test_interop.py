"""Tables of other libraries in, what they take out: every door, every kind, the same as from polars."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import barproof as bp
from barproof.results.equity import read_equity
from tests.tolerances import METRIC, SINGLE

BARS = 3_000
COSTS = bp.Costs(taker=0.0005)
RULES = bp.Rules(entry_long=1.0, entry_short=1.0, max_hold=12)
FOLDS = bp.WalkForward(1_000, 500, tune=400)


@cache
def market() -> bp.Candles:
    return bp.simulate_candles(3, bars=BARS, edge=0.1)


@cache
def features() -> pl.DataFrame:
    return bp.FeatureSet(["rsi(14)", "log_return(12)"]).compute(market())


@cache
def labels() -> Any:
    return bp.labels.horizon(market(), bars=12, threshold=0.002)


@cache
def trained() -> bp.Run:
    return bp.train(bp.models.Logistic(), features(), labels(), FOLDS, ledger=False, progress=False)


def traded(signals: bp.Signals) -> bp.Result:
    return bp.backtest(market(), signals, RULES, costs=COSTS, ledger=False)


@cache
def signal_table() -> pl.DataFrame:
    of = market()
    return of.to_polars().select("open_time").with_columns(long=of.planted, short=-of.planted)  # type: ignore[operator]


@cache
def result() -> bp.Result:
    return traded(bp.Signals.from_frame(signal_table(), kind="score"))


def records(frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    """A structured array: fields of NumPy's own types, text as bytes of fixed width."""
    columns = {name: frame[name].to_numpy() for name in frame.columns}
    columns = {n: v.astype("S") if v.dtype.kind in "OU" else v for n, v in columns.items()}
    made = np.empty(frame.height, dtype=[(name, v.dtype) for name, v in columns.items()])
    for name, values in columns.items():
        made[name] = values
    return made


def chunked(frame: pl.DataFrame) -> pa.Table:
    table = pa.concat_tables([frame[:7].to_arrow(), frame[7:].to_arrow()])
    assert table.column(0).num_chunks > 1
    return table


def frozen(frame: pl.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    columns = {name: frame[name].to_numpy().copy() for name in frame.columns}
    for values in columns.values():
        values.flags.writeable = False
    return columns


KINDS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars lazy": lambda f: f.lazy(),
    "pandas": lambda f: f.to_pandas(),
    "pandas with an index": lambda f: f.to_pandas().set_index(f.columns[0]),
    "pandas nullable": lambda f: f.to_pandas().convert_dtypes(),
    "pandas of Arrow types": lambda f: f.to_pandas(use_pyarrow_extension_array=True),
    "pandas in New York": lambda f: f.to_pandas().assign(
        **{f.columns[0]: f.to_pandas()[f.columns[0]].dt.tz_convert("America/New_York")}
    ),
    "Arrow table": lambda f: f.to_arrow(),
    "Arrow table in chunks": chunked,
    "Arrow record batch": lambda f: f.to_arrow().combine_chunks().to_batches()[0],
    "Arrow reader": lambda f: f.to_arrow().to_reader(),
    "mapping of NumPy": frozen,
    "mapping of Arrow": lambda f: {name: f.to_arrow()[name] for name in f.columns},
    "mapping of pandas": lambda f: {name: f.to_pandas()[name] for name in f.columns},
    "NumPy records": records,
    "NumPy records of the other order of bytes": lambda f: records(f).astype(
        records(f).dtype.newbyteorder()
    ),
    "NumPy recarray": lambda f: records(f).view(np.recarray),
}


def candles_of(table: Any) -> bp.Candles:
    return bp.read_candles(table, instrument="spot", symbol="SIM")


def funded(table: Any) -> pl.DataFrame:
    prices = market().to_polars()
    held = bp.read_candles(prices, instrument="perpetual", symbol="SIM", funding=table).funding
    assert held is not None
    return held


TRADES = ("entry_time", "exit_time", "side", "entry_price", "exit_price", "quantity", "fees", "pnl")

DOORS: dict[str, tuple[Callable[[], pl.DataFrame], Callable[[Any], Any]]] = {
    "candles": (
        lambda: market().to_polars().select("open_time", "open", "high", "low", "close", "volume"),
        lambda t: candles_of(t).to_polars(),
    ),
    "funding": (lambda: market().funding, funded),  # type: ignore[dict-item, return-value]
    "signals": (signal_table, lambda t: traded(bp.Signals.from_frame(t, kind="score")).trades),
    "features to predict": (
        features,
        lambda t: pl.DataFrame(trained().bundles[0].predict(t)),
    ),
    "features to train": (
        features,
        lambda t: bp.train(
            bp.models.Logistic(), t, labels(), FOLDS, ledger=False, progress=False
        ).predictions(),
    ),
    "trades": (lambda: result().trades.select(TRADES), bp.read_trades),
    "equity": (lambda: result().equity, bp.read_equity),
    "predictions": (
        lambda: _predictions(),
        lambda t: pl.DataFrame(
            [
                (f.id, f.outcome, f.title)
                for f in bp.audit(predictions=t, candles=market(), ledger=False)
            ],
            orient="row",
        ),
    ),
}


def _predictions() -> pl.DataFrame:
    held = trained().predictions()
    times = [n for n, kind in held.schema.items() if kind == pl.Datetime("ms", "UTC")]
    assert held.height > 500
    return held.select(times[0], pl.exclude(times[0]))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("door", DOORS)
def test_every_kind_through_every_door(door: str, kind: str) -> None:
    table, through = DOORS[door]
    want = through(table())
    assert want.height > 10
    assert through(KINDS[kind](table())).equals(want)


ARRAYS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "list": list,
    "polars": pl.Series,
    "pandas": pd.Series,
    "pandas nullable": lambda a: pd.Series(a).convert_dtypes(),
    "pandas of Arrow types": lambda a: pd.Series(a, dtype="double[pyarrow]"),
    "Arrow array": pa.array,
    "Arrow chunks": lambda a: pa.chunked_array([a[:9], a[9:]]),
    "strided": lambda a: np.repeat(a, 2)[::2],
    "a field of records": lambda a: np.array([(x, x) for x in a], dtype=[("x", "f8"), ("y", "f8")])[
        "x"
    ],
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_of_every_kind(kind: str) -> None:
    planted = np.array(market().planted)
    made = ARRAYS[kind](planted)
    assert (
        bp.Signals(long=made, kind="score").digest == bp.Signals(long=planted, kind="score").digest
    )
    daily = result().daily_returns["return"].to_numpy()
    assert repr(bp.stats.psr(ARRAYS[kind](daily))) == repr(bp.stats.psr(daily))


def test_what_is_missing_in_nullable_numbers_is_nan() -> None:
    gaps = signal_table().with_columns(
        long=pl.when(pl.int_range(pl.len()) % 7 == 0).then(None).otherwise(pl.col("long").round())
    )
    want = traded(bp.Signals.from_frame(gaps, kind="score")).trades
    plain = gaps.to_pandas()
    for made in (
        plain.assign(long=plain["long"].astype("Int64")),
        plain.assign(long=plain["long"].astype("int64[pyarrow]")),
        gaps.to_arrow(),
    ):
        assert traded(bp.Signals.from_frame(made, kind="score")).trades.equals(want)


def test_an_index_that_holds_no_times_is_no_feature() -> None:
    plain = features().to_pandas()
    plain.index.name = "row"
    want = trained().bundles[0].predict(features())
    np.testing.assert_array_equal(trained().bundles[0].predict(plain), want)
    run = bp.train(bp.models.Logistic(), plain, labels(), FOLDS, ledger=False, progress=False)
    assert run.names == trained().names


def test_what_comes_out_goes_on() -> None:
    """Frames lead to pandas, Arrow and NumPy; candles come back from each as they were."""
    of = market()
    bars = of.to_polars().select("open_time", "open", "high", "low", "close", "volume")
    for out in (bars.to_pandas(), bars.to_arrow(), bars.to_numpy(structured=True)):
        assert candles_of(out) == candles_of(bars)
    trades = result().trades
    assert trades.to_pandas()["pnl"].tolist() == trades["pnl"].to_list()
    assert trades.to_arrow()["pnl"].to_pylist() == trades["pnl"].to_list()


def test_equity_in_the_form_of_quantstats() -> None:
    """Its changes are the returns, the first day's too; each value is the equity at the end of its day."""
    made = result()
    returns, equity = made.to_pandas(), made.to_pandas(kind="equity")
    assert len(equity) == len(returns) + 1
    np.testing.assert_allclose(equity.pct_change().dropna(), returns, rtol=METRIC, atol=METRIC)
    days = made.equity.with_columns(day=pl.col("open_time").dt.date())
    ends = days.group_by("day", maintain_order=True).agg(pl.col("equity").last())
    np.testing.assert_allclose(equity.iloc[1:], ends["equity"], rtol=METRIC)
    assert equity.iloc[0] == 10_000.0
    assert str(made.to_pandas(kind="equity", tz="UTC").index.tz) == "UTC"
    assert read_equity(equity.rename("equity").to_frame()).height == len(equity)


def test_quantstats_and_empyrical_agree_with_our_metrics() -> None:
    """Sharpe ratio and total return, from days and from equity."""
    made = result()
    returns, year = made.to_pandas(), round(float(made.provenance["periods_per_year"]))
    sharpe, total = made.metrics["sharpe"], made.metrics["total_return"]
    quantstats = pytest.importorskip("quantstats")
    assert quantstats.stats.sharpe(returns, periods=year) == pytest.approx(sharpe, rel=1e-9)
    assert quantstats.stats.comp(returns) == pytest.approx(total, rel=1e-9)
    daily = made.to_pandas(kind="equity")
    assert quantstats.stats.comp(daily.pct_change().dropna()) == pytest.approx(total, rel=1e-9)
    empyrical = pytest.importorskip("empyrical")
    utc = made.to_pandas(tz="UTC")
    assert empyrical.sharpe_ratio(utc, annualization=year) == pytest.approx(sharpe, rel=1e-9)
    assert empyrical.cum_returns_final(utc) == pytest.approx(total, rel=1e-9)


def test_pyfolio_takes_them() -> None:
    """Its table of performance."""
    pyfolio = pytest.importorskip("pyfolio")
    made = result()
    found = pyfolio.timeseries.perf_stats(made.to_pandas(tz="UTC"))
    assert found["Cumulative returns"] == pytest.approx(made.metrics["total_return"], rel=1e-9)


def test_a_pipeline_of_scikit_learn_is_a_model() -> None:
    """What it predicts is what the pipeline itself, fitted on the same rows, predicts."""
    line = make_pipeline(StandardScaler(), LogisticRegression(C=0.5))
    model = bp.models.Sklearn(line)
    run = bp.train(model, features(), labels(), FOLDS, calibrate=None, ledger=False, progress=False)
    fold, names = run.folds[0], list(run.names)
    X = features().select(names).to_numpy()
    y = np.asarray(labels().values)
    rows = np.asarray(fold.train)
    rows = rows[np.isfinite(X[rows]).all(axis=1) & np.isfinite(y[rows])]
    twin = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(X[rows], y[rows])
    test = np.asarray(fold.test)
    test = test[np.isfinite(X[test]).all(axis=1)]
    got = run.bundles[0].predict(features())[test]
    np.testing.assert_allclose(got, twin.predict_proba(X[test]), rtol=0, atol=SINGLE)
    assert len(test) > 400 and run.signals().kind == "probability"
