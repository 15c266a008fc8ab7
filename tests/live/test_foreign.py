"""Logs of other people's bots: what they hold is found under any name, and case S004's 109 against 171 is seen."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.live.making import BARS, COSTS, NAMES, RULES, WARM, study

CANDLES, BUNDLE = study()
TABLE = bp.FeatureSet(list(NAMES)).compute(CANDLES)
P = BUNDLE.predict(TABLE)[:, 1]


def rows(**columns: Any) -> pl.DataFrame:
    """What a bot wrote: times, features, probabilities."""
    held = TABLE[WARM:].with_columns(p_long=P[WARM:], p_short=1.0 - P[WARM:])
    return held.with_columns(**columns)


def held(log: bp.LiveLog, **changes: Any) -> bp.Parity:
    given: dict[str, Any] = {"bundle": BUNDLE, "rules": RULES, "costs": COSTS, **changes}
    return bp.parity(log, CANDLES, given.pop("bundle"), given.pop("rules"), **given)


def test_a_clean_table_is_equal() -> None:
    found = held(bp.LiveLog.foreign(rows(), symbol=CANDLES.symbol))
    assert found.equal and found.compared["features"] == len(NAMES) * (BARS - WARM)


@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_files_of_any_kind(tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"bot.{kind}"
    frame = rows().rename({"open_time": "Timestamp", "p_long": "prob_up", "rsi(14)": "RSI"})
    if kind == "csv":
        frame.write_csv(file)
    elif kind == "parquet":
        frame.write_parquet(file)
    else:
        frame.write_ipc(file)
    log = bp.LiveLog.from_csv(file, columns={"rsi(14)": "RSI"})
    assert log.feature_names == NAMES
    assert held(log).equal
    assert any("`Timestamp` is taken for `open_time`" in note for note in log.notes)


def test_case_s004_109_features_of_the_model_against_171_of_the_bot() -> None:
    """A backtest on 109 features, a bot on the 171 of `gating_171`: found before any value is looked at."""
    every = bp.FeatureSet.preset("gating_171")
    assert len(every) == 171
    candles = bp.simulate_candles(5, bars=3_000, interval="5m", edge=0.1)
    quick = {name for name, facts in every.facts("5m").items() if facts[2] < 500}
    some = [name for name in every.names if name in quick][:109]
    table = every.compute(candles)
    labels = bp.labels.horizon(candles, bars=6, kind="binary")
    trained = table.select("open_time", *some)
    run = bp.train(bp.models.Logistic(), trained, labels, bp.WalkForward(1_400, 900), ledger=False)
    bundle = run.bundles[0]
    p = bundle.predict(trained)[:, 1]
    bot = table[2_400:].with_columns(p_long=p[2_400:])
    log = bp.LiveLog.foreign(bot, symbol=candles.symbol)
    found = bp.parity(log, candles, bundle, RULES, costs=COSTS)
    first = found.first
    assert first is not None and first.layer == "features"
    k = next(k for k, pair in enumerate(zip(every.names, some, strict=False)) if pair[0] != pair[1])
    assert first.column == f"feature {k + 1} of 171"
    assert (first.live, first.replayed) == (every.names[k], some[k])
    assert first.cause == "0 features of the model are absent, 62 are none of its own"
    told = found["PAR-01"]
    assert told.outcome == "fail" and told.title.startswith("171 features against 109 of the model")
    assert (told.evidence["now"], told.evidence["model"]) == (171, 109)
    assert found.exit_code == 1
    # The other way round, in another order: both are told.
    bot = table.select("open_time", *reversed(some[:80]))[2_400:]
    found = bp.parity(
        bp.LiveLog.foreign(bot, symbol=candles.symbol), candles, bundle, RULES, costs=COSTS
    )
    assert found["PAR-01"].evidence["absent"][0] == some[80]


def test_another_engine_is_held_to_the_tolerance_of_par_02() -> None:
    close = rows(**{"rsi(14)": pl.col("rsi(14)") * (1 + 1e-12)})
    assert held(bp.LiveLog.foreign(close, symbol="")).equal
    far = rows(**{"rsi(14)": pl.col("rsi(14)") * (1 + 1e-4)})
    first = held(bp.LiveLog.foreign(far, symbol="")).first
    assert first is not None and first.column == "rsi(14)"
    assert first.cause == "it is 1.0001 times the value: another unit"


def test_signals_against_thresholds() -> None:
    p = P[WARM:]
    over, under = p - 0.501, (1 - p) - 0.5001
    said = np.where((over >= 0) & (over > under), 1, np.where(under >= 0, -1, 0))
    found = held(bp.LiveLog.foreign(rows(action=said), symbol=""))
    assert found.equal and found.compared["decisions"] == len(p)
    said = np.where(p >= 0.5006, "BUY", "hold")
    found = held(
        bp.LiveLog.foreign(rows(decision=said), symbol=""), rules=bp.Rules(entry_long=0.501)
    )
    first = found.first
    assert first is not None and (first.layer, first.column) == ("decisions", "signal")
    low = p[p >= 0.5006].min()
    assert first.cause == (
        f"live says long from p_long {low:.6g} on, the rules ask for 0.501: another threshold"
    )


def test_configuration_is_compared_where_the_bot_tells_it() -> None:
    told = {"rules": {"entry_long": 0.5, "leverage": 1}, "costs": {"taker": 0.0005}}
    found = held(bp.LiveLog.foreign(rows(), symbol="", session=told))["DEC-03"]
    assert found.outcome == "fail"
    assert [row["entry"] for row in found.evidence["rows"]] == ["rules.entry_long"]


def real(result: bp.Result, **columns: Any) -> pl.DataFrame:
    return result.trades.filter(pl.col("reason") != "end").with_columns(**columns)


def test_real_fills_beside_paper() -> None:
    log = bp.LiveLog.foreign(rows(), symbol="")
    paper = held(log).replayed[""]
    sign = pl.when(pl.col("side") == "long").then(1.0).otherwise(-1.0)
    late = pl.col("entry_time") + pl.duration(seconds=3)
    same = bp.LiveLog.foreign(rows(), symbol="", trades=real(paper, entry_time=late))
    found = held(same)
    assert found.equal and found["DEC-07"].outcome == "pass"
    assert found["DEC-05"].evidence["rows"][0]["mean"] == pytest.approx(1e-4, rel=1e-6)
    worse = real(
        paper,
        entry_price=pl.col("entry_price") * (1 + sign * 9e-4),
        exit_price=pl.col("exit_price") * (1 - sign * 9e-4),
    )
    found = held(bp.LiveLog.foreign(rows(), symbol="", trades=worse))
    assert found["DEC-05"].outcome == "fail"
    assert found["DEC-05"].measured is not None
    assert all(abs(row["mean"] - 1e-3) < 2e-6 for row in found["DEC-05"].evidence["rows"])
    # Prices are the exchange's: they are no divergence of the two systems.
    assert found.equal
    parts = dict(found.gap[""].parts.select("part", "amount").iter_rows())
    assert parts["missed"] == parts["extra"] == 0.0 and parts["fills"] < 0.0


def test_times_of_closes() -> None:
    closes = pl.col("open_time") + pl.duration(minutes=5)
    log = bp.LiveLog.foreign(rows(open_time=closes), symbol="", stamp="close")
    assert log.decisions["open_time"][0] == TABLE["open_time"][WARM]
    assert held(log).equal
    named = rows(close_time=closes).drop("open_time")
    assert held(bp.LiveLog.foreign(named, symbol="")).equal
    # Taken for opens they are a bar late, and every feature says so.
    late = held(bp.LiveLog.foreign(rows(open_time=closes)[:-1], symbol=""))
    assert late.first is not None
    assert late.first.cause == "it holds the value of 1 bar earlier: it is stale"


def test_bars_in_the_table_and_beside_it() -> None:
    bars = CANDLES.to_polars()[WARM:].select("open", "high", "low", "close", "volume")
    log = bp.LiveLog.foreign(rows().hstack(bars), symbol=CANDLES.symbol)
    assert log.feature_names == NAMES and log.bars.height == BARS - WARM
    assert held(log).compared["bars"] == 5 * (BARS - WARM)
    log = bp.LiveLog.foreign(rows(), symbol=CANDLES.symbol, bars=CANDLES[WARM:])
    assert held(log).compared["bars"] == 5 * (BARS - WARM)
    off = bars.with_columns(close=pl.col("close") * 1.001)
    first = held(bp.LiveLog.foreign(rows().hstack(off), symbol=CANDLES.symbol)).first
    assert first is not None and (first.layer, first.column) == ("bars", "close")


def test_several_symbols_in_one_table() -> None:
    books = {"A": CANDLES, "B": CANDLES}
    both = pl.concat([rows(symbol=pl.lit("A")), rows(symbol=pl.lit("B"))])
    wrong = both.with_columns(
        pl.when((pl.col("symbol") == "B") & (pl.int_range(pl.len()) == 800 + 37))
        .then(99.0)
        .otherwise(pl.col("rsi(14)"))
        .alias("rsi(14)")
    )
    assert bp.parity(bp.LiveLog.foreign(both), books, BUNDLE, RULES, costs=COSTS).equal
    found = bp.parity(bp.LiveLog.foreign(wrong), books, BUNDLE, RULES, costs=COSTS)
    first = found.first
    assert first is not None and (first.symbol, first.column, first.live) == ("B", "rsi(14)", 99.0)
    assert first.open_time == TABLE["open_time"][WARM + 37].astimezone(UTC)
    other = {"A": BUNDLE, "B": study(11)[1]}
    found = bp.parity(bp.LiveLog.foreign(both), books, other, RULES, costs=COSTS)
    assert {d.symbol for d in found.divergences} == {"B"}


@pytest.mark.parametrize(
    ("stamps", "kind"),
    [
        (["2024-01-01 00:00", "2024-01-01 00:05"], "text"),
        ([1_704_067_200, 1_704_067_500], "seconds"),
        ([1_704_067_200_000, 1_704_067_500_000], "milliseconds"),
        ([1_704_067_200_000_000, 1_704_067_500_000_000], "microseconds"),
    ],
)
def test_times_of_any_unit(stamps: Any, kind: str) -> None:
    log = bp.LiveLog.foreign({"ts": stamps, "prob": [0.1, 0.2]})
    assert log.decisions["open_time"][0] == datetime(2024, 1, 1, tzinfo=UTC), kind
    assert log.decisions["close_time"][0] == log.decisions["open_time"][1]


def test_unknown_columns_are_named_and_left_out() -> None:
    log = bp.LiveLog.foreign(
        {
            "time": [0, 300_000, 600_000],
            "p_long": [0.1, 0.2, 0.3],
            "Note\x1b[31m": ["a", "b", "c"],
            "x": [1, 2, 3],
        }
    )
    assert log.feature_names == ("x",)
    assert "not read: Note[31m" in log.notes
    assert repr(log) == "LiveLog(foreign, no symbol, 3 decisions, 1 features with values, 0 trades)"
