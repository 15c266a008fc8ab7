"""`parity`: what is equal is said to be equal, and every planted mismatch is found at its bar and named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from tests.live.making import BARS, COSTS, NAMES, RULES, WARM, Bar, Floats, live, study

CANDLES, BUNDLE = study()
N = BARS - WARM


def when(bar: int) -> datetime:
    """Opening time of a bar."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(CANDLES.open_time[bar]))


def held(log: Any, **changes: Any) -> bp.Parity:
    given: dict[str, Any] = {"bundle": BUNDLE, "rules": RULES, "costs": COSTS, **changes}
    return bp.parity(log, CANDLES, given.pop("bundle"), given.pop("rules"), **given)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> bp.LiveLog:
    """A log without a fault; every probability was asked alone."""
    return live(alone=True).log(tmp_path_factory.mktemp("clean"))


# --- equal ----------------------------------------------------------------------------------------------------------


def test_a_clean_log_is_one_system(clean: bp.LiveLog) -> None:
    found = held(clean)
    assert found.equal and found.first is None and found.divergences == ()
    assert found.exit_code == 0 and found.decisions == N
    assert found.compared["features"] == N * len(NAMES)
    assert found.compared["bars"] == 5 * N
    assert found.compared["probabilities"] == 2 * N
    assert found.compared["trades"] == clean.trades.height > 10
    assert {f.id: f.outcome for f in found.findings if f.id.startswith("DEC-0")} | {
        "DEC-04": "",
        "DEC-05": "",
    } == {
        "DEC-01": "pass",
        "DEC-02": "pass",
        "DEC-03": "pass",
        "DEC-04": "",
        "DEC-05": "",
        "DEC-06": "pass",
        "DEC-07": "pass",
    }
    assert found["PAR-01"].outcome == found["value-parity"].outcome == "pass"
    assert set(found.pairs["status"]) == {"same"}
    assert all(abs(one.gap) < 1e-9 for one in found.gap.values())
    assert "one system" in str(found) and json.loads(found.to_json())["equal"] is True


def test_the_replay_is_the_backtest(clean: bp.LiveLog) -> None:
    # Independent of the log: a plain backtest of the bundle's own signals over the same bars.
    p = BUNDLE.predict(bp.FeatureSet(list(NAMES)).compute(CANDLES))[:, 1]
    p[:WARM] = np.nan
    want = bp.backtest(
        CANDLES,
        bp.Signals(long=p, short=1.0 - p),
        RULES,
        costs=COSTS,
        window=(WARM, BARS),
        ledger=False,
    )
    found = held(clean).replayed[CANDLES.symbol]
    assert found.trades.equals(want.trades) and found.equity.equals(want.equity)


def test_withheld_bars_do_not_enter(tmp_path: Path) -> None:
    log = live(withheld=frozenset(range(WARM + 100, WARM + 300))).log(tmp_path)
    assert log.decisions["withheld"].is_not_null().sum() == 200
    found = held(log)
    assert found.equal
    entered = found.replayed[CANDLES.symbol].trades["signal_bar"]
    assert not entered.is_between(100, 299).any()
    # Told of no reason, the replay enters there.
    free = replace(log, decisions=log.decisions.with_columns(withheld=pl.lit(None, pl.String)))
    assert held(free).first is not None


def test_digests_alone_are_enough_to_find_the_bar(tmp_path: Path) -> None:
    blind = held(live(values=False).log(tmp_path))
    assert blind.equal and blind["PAR-02"].outcome == "pass"
    (tmp_path / "b").mkdir()
    bad = WARM + 123

    def row(k: int, values: Floats, _: Any) -> Floats:
        return values + (np.arange(5) == 1) * 1e-13 if k == bad else values

    found = held(live(values=False, row=row).log(tmp_path / "b"))
    assert found.first is not None and found.first.column == "row"
    assert found.first.open_time == when(bad) and found.first.differing == 1
    assert "not logged" in found.first.cause


# --- planted --------------------------------------------------------------------------------------------------------


def test_features_in_another_order(tmp_path: Path) -> None:
    order = (NAMES[0], NAMES[2], NAMES[1], *NAMES[3:])
    found = held(live(features=order).log(tmp_path))
    first = found.first
    assert first is not None and first.layer == "features" and first.column == NAMES[1]
    assert first.open_time == when(WARM) and first.differing == N
    assert first.cause == f"it holds the values of `{NAMES[2]}`: features are in another order"
    assert {d.column for d in found.divergences if d.layer == "features"} == {NAMES[1], NAMES[2]}
    said = next(d for d in found.divergences if d.layer == "probabilities")
    assert said.cause == "it is what this model says to the logged features: they are the cause"
    assert found["PAR-02"].outcome == "fail" and found.exit_code == 1


def test_names_in_another_order(tmp_path: Path) -> None:
    order = (NAMES[0], NAMES[2], NAMES[1], *NAMES[3:])
    found = held(live(features=order, logged=order).log(tmp_path))
    first = found.first
    assert first is not None and first.column == "feature 2 of 5"
    assert (first.live, first.replayed) == (NAMES[2], NAMES[1])
    assert first.cause == "the same features in another order"
    assert found["PAR-01"].outcome == "fail"


@pytest.mark.parametrize(
    ("at", "name"),
    [
        (1, "rsi(21)"),
        (2, "zscore(close, 48)"),
        (3, "rsi(13)@1h"),
        (4, "atr_ratio(15)"),
    ],
)
def test_one_parameter_changed(tmp_path: Path, at: int, name: str) -> None:
    order = (*NAMES[:at], name, *NAMES[at + 1 :])
    found = held(live(features=order).log(tmp_path))
    first = found.first
    assert first is not None and (first.layer, first.column) == ("features", NAMES[at])
    assert first.cause == f"it holds the values of `{name}`: another parameter"
    assert [d.column for d in found.divergences if d.layer == "features"] == [NAMES[at]]


@pytest.mark.parametrize(
    ("bars", "told"),
    [
        (12, "it holds the value of 12 bars earlier: a higher timeframe that is stale"),
        (1, "it holds the value of 1 bar earlier: it is stale"),
    ],
)
def test_a_stale_higher_timeframe(tmp_path: Path, bars: int, told: str) -> None:
    kept: list[float] = []

    def row(_: int, values: Floats, __: Any) -> Floats:
        kept.append(values[3])
        values[3] = kept[-1 - bars] if len(kept) > bars else np.nan
        return values

    found = held(live(row=row).log(tmp_path))
    first = found.first
    assert first is not None and first.column == "rsi(14)@1h" and first.cause == told
    # It parts where the hour turns, not before.
    one = next(k for k in range(WARM, BARS) if _hourly()[k] != _hourly()[k - bars])
    assert first.open_time == when(one)


def _hourly() -> Floats:
    return bp.FeatureSet(["rsi(14)@1h"]).compute(CANDLES)["rsi(14)@1h"].to_numpy()


def test_a_higher_timeframe_that_knows_its_open_bar(tmp_path: Path) -> None:
    """The open hour as if it had closed: a stream that is fed the hour so far, at every bar."""
    closes = CANDLES.resample("1h")
    done = (CANDLES.open_time + CANDLES.interval_ms) // 3_600_000
    base = int(closes.open_time[0]) // 3_600_000
    rsi = bp.FeatureSet(["rsi(14)"])

    def row(k: int, values: Floats, _: Any) -> Floats:
        whole = int(done[k]) - base
        if k >= WARM and (CANDLES.open_time[k] + CANDLES.interval_ms) % 3_600_000:
            stream = rsi.stream("1h")
            for bar in closes[max(0, whole - 200) : whole]:
                stream.update(bar)
            begin = int(np.searchsorted(CANDLES.open_time, (whole + base) * 3_600_000))
            part = CANDLES[begin : k + 1]
            values[3] = stream.update(
                (
                    int(part.open_time[0]),
                    float(part.open[0]),
                    float(part.high.max()),
                    float(part.low.min()),
                    float(part.close[-1]),
                    float(part.volume.sum()),
                )
            )[0]
        return values

    found = held(live(row=row).log(tmp_path))
    first = found.first
    assert first is not None and first.column == "rsi(14)@1h"
    assert first.cause == "it agrees only where a bar of 1h closes: it knows the open one"


def test_a_forming_bar(tmp_path: Path) -> None:
    bad = WARM + 211

    def bar(k: int, whole: Bar) -> Bar:
        if k != bad:
            return whole
        time, open_, high, low, close, volume = whole
        middle = (open_ + close) / 2
        top, bottom = max(open_, middle), min(open_, middle)
        return (time, open_, min(high, top), max(low, bottom), middle, volume / 3)

    found = held(live(bar=bar).log(tmp_path))
    first = found.first
    assert first is not None and first.layer == "bars" and first.open_time == when(bad)
    assert first.differing == 1
    assert first.cause == "its range and volume are part of the bar's: it had not closed"
    later = [d for d in found.divergences if d.layer == "features"]
    assert later and all(d.open_time >= when(bad) for d in later)


def test_decisions_before_the_close(tmp_path: Path) -> None:
    early = held(live(early_ms=60_000).log(tmp_path))
    assert early.equal and early["DEC-02"].outcome == "fail" and early.exit_code == 1


def test_bars_of_another_time(tmp_path: Path) -> None:
    bad = WARM + 50

    def bar(k: int, whole: Bar) -> Bar:
        if k != bad:
            return whole
        _, open_, high, low, close, volume = CANDLES[k - 1][:6]
        return (whole[0], open_, high, low, close, volume)

    first = held(live(bar=bar).log(tmp_path)).first
    assert first is not None and first.layer == "bars" and first.open_time == when(bad)
    assert first.cause.startswith("it is the bar of another time")


@pytest.mark.parametrize(("size", "verb"), [(0.5006, "entered"), (0.5013, "stayed flat")])
def test_another_threshold(tmp_path: Path, size: float, verb: str) -> None:
    changed = RULES.replace(entry_long=size)
    log = live(rules=changed).log(tmp_path)
    found = held(log)
    first = found.first
    assert first is not None and first.layer == "decisions" and first.column == "side"
    # The first bar after a close between the two thresholds at which only one of them entered.
    p = log.decisions["p_long"].to_numpy()
    at = int((first.open_time - when(WARM)) / timedelta(minutes=5))
    assert min(size, 0.501) <= p[at - 1] < max(size, 0.501)
    assert "another threshold" in first.cause and verb in first.cause
    told = found["DEC-03"]
    assert told.outcome == "fail"
    assert told.evidence["rows"] == [
        {"entry": "rules.entry_long", "live": str(size), "backtest": "0.501"}
    ]
    assert held(log, rules=changed).equal


def test_another_model(tmp_path: Path) -> None:
    _, other = study(11)
    log = live(bundle=other).log(tmp_path)
    found = held(log)
    first = found.first
    assert first is not None and first.layer == "probabilities" and first.open_time == when(WARM)
    assert first.cause == (
        f"the log names another model, {other.digest[:12]}, not {BUNDLE.digest[:12]}"
    )
    assert found["DEC-06"].outcome == "fail"
    assert found["PAR-02"].title.startswith("features agree, but")
    # One that claims to be the tested one is told by what it says.
    forged = replace(log, decisions=log.decisions.with_columns(model_digest=pl.lit(BUNDLE.digest)))
    first = held(forged).first
    assert first is not None and first.cause == "features agree: another model, or other weights"
    assert held(log, bundle=other).equal


def test_a_model_changed_at_a_bar_boundary(tmp_path: Path) -> None:
    """`roll`: rows before and after are asked of the bundle that each names."""
    _, other = study(11)
    turn = WARM + 400
    one, two = live(), live(bundle=other)
    for part in (one, two):
        part.step()
    p, q = one.told(), two.told()
    one.p = lambda k, _: q[k] if k >= turn else p[k]
    log = one.log(tmp_path)
    rolled = pl.Series([BUNDLE.digest] * 400 + [other.digest] * (N - 400))
    log = replace(log, decisions=log.decisions.with_columns(model_digest=rolled))
    assert held(log, bundle=[BUNDLE, other]).equal
    alone = held(log)
    assert alone.first is not None and alone.first.open_time == when(turn)


def test_other_costs_are_found_in_the_money(tmp_path: Path) -> None:
    dearer = bp.Costs(taker=0.0009, maker=0.0002, slippage=0.0001)
    log = live(costs=dearer).log(tmp_path)
    found = held(log)
    first = found.first
    assert first is not None and first.layer in ("decisions", "trades")
    assert found["DEC-03"].outcome == "fail"
    assert {d.column for d in found.divergences if d.layer == "trades"} <= {
        "quantity",
        "fees",
        "funding",
        "pnl",
    }
    parts = dict(found.gap[CANDLES.symbol].parts.select("part", "amount").iter_rows())
    assert abs(parts["fees"]) > 10 * abs(parts["fills"])


def test_missed_and_extra_trades_are_listed(clean: bp.LiveLog) -> None:
    trades = clean.trades
    extra = trades[5].with_columns(
        entry_time=pl.col("entry_time") + pl.duration(hours=3, minutes=7),
        side=pl.when(pl.col("side") == "long").then(pl.lit("short")).otherwise(pl.lit("long")),
    )
    log = replace(clean, trades=pl.concat([trades[:3], trades[4:], extra]))
    found = held(log)
    assert {d.column for d in found.divergences} == {"missed", "extra"}
    told = found.pairs.filter(pl.col("status") != "same")
    assert dict(told.group_by("status").len().iter_rows()) == {"missed": 1, "extra": 1}
    assert found["DEC-07"].outcome == "fail"
    missed = told.filter(pl.col("status") == "missed")["entry_time"][0]
    assert missed == trades["entry_time"][3]
    document = json.loads(found.to_json())
    assert [row["status"] for row in document["unmatched"]].count("missed") == 1


def test_bars_that_live_never_saw(clean: bp.LiveLog) -> None:
    gone = when(WARM + 77)
    log = replace(
        clean,
        bars=clean.bars.filter(pl.col("open_time") != gone),
        decisions=clean.decisions.filter(pl.col("open_time") != gone),
        features=clean.features.filter(pl.col("open_time") != gone),
    )
    found = held(log)
    assert found.first is not None and found.first.open_time == gone
    assert (found.first.layer, found.first.cause) == ("bars", "live never saw it")
    assert ("decisions", "decision") in {(d.layer, d.column) for d in found.divergences}


def test_candles_that_lack_a_bar(clean: bp.LiveLog) -> None:
    keep = np.arange(BARS) != WARM + 77
    frame = CANDLES.to_polars().filter(pl.Series(keep))
    holed = bp.read_candles(
        frame,
        instrument=CANDLES.instrument,
        symbol=CANDLES.symbol,
        interval="5m",
        funding=CANDLES.funding,
        on_fault="ignore",
    )
    found = bp.parity(clean, holed, BUNDLE, RULES, costs=COSTS)
    assert found.first is not None and found.first.open_time == when(WARM + 77)
    assert found.first.cause in ("the candles do not have it", "the candles have no such bar")


def test_the_rate_that_was_claimed(clean: bp.LiveLog) -> None:
    days = N * 5 / 1_440
    honest = clean.trades.height / days
    assert held(clean, rate=honest)["DEC-04"].evidence["p_rate"] > 0.5
    found = held(clean, rate=6 * honest)["DEC-04"]
    assert found.outcome == "fail" and found.evidence["p_rate"] < 0.01


def test_few_rows_prove_nothing(clean: bp.LiveLog) -> None:
    few = clean.decisions[:200]
    log = replace(
        clean, decisions=few, features=clean.features[:200],
        trades=clean.trades.filter(pl.col("exit_time") <= few["open_time"][-1]),
    )  # fmt: skip
    found = held(log)
    assert found.equal and found.exit_code == 4


def test_a_warm_start_that_is_too_short(tmp_path: Path) -> None:
    """Recursions that began later part from the first bar on, and less with every bar."""
    short = CANDLES[WARM - 60 :]

    def late() -> list[Floats]:
        stream = bp.FeatureSet(list(NAMES)).stream("5m")
        return [stream.update(bar).copy() for bar in short]

    rows = late()

    def row(k: int, values: Floats, _: Any) -> Floats:
        return np.where(np.arange(5) == 1, rows[k - WARM + 60], values) if k >= WARM else values

    first = held(live(row=row).log(tmp_path)).first
    assert first is not None and first.column == "rsi(14)" and first.open_time == when(WARM)
    assert first.cause == "the difference dies out: it was started with too little history"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda v: np.float64(np.float32(v)), "it is rounded to single precision"),
        (lambda v: v * 100.0, "it is 100 times the value: another unit"),
        (lambda _: 50.0, "it is 50 at every bar: it does not move"),
        (lambda _: np.nan, "it is undefined at every bar"),
    ],
)
def test_what_a_column_holds_instead(clean: bp.LiveLog, change: Any, told: str) -> None:
    values = [float(change(v)) for v in clean.features["rsi(14)"]]
    log = replace(clean, features=clean.features.with_columns(pl.Series("rsi(14)", values)))
    first = held(log).first
    assert first is not None and first.column == "rsi(14)" and first.cause == told
    noisy = [v * (1 + 1e-6 * ((k * 7) % 5)) for k, v in enumerate(clean.features["rsi(14)"])]
    log = replace(clean, features=clean.features.with_columns(pl.Series("rsi(14)", noisy)))
    first = held(log).first
    assert first is not None and first.cause == ""


def test_probabilities_that_are_exchanged_late_or_uncalibrated(clean: bp.LiveLog) -> None:
    p, q = clean.decisions["p_long"], clean.decisions["p_short"]
    swapped = replace(clean, decisions=clean.decisions.with_columns(p_long=q, p_short=p))
    first = held(swapped).first
    assert first is not None and first.cause == "it is p_short: sides are exchanged"
    late = replace(
        clean, decisions=clean.decisions.with_columns(p_long=p.shift(1), p_short=q.shift(1))
    )
    first = held(late).first
    assert first is not None and first.cause == "it is that of 1 bar earlier"
    table = bp.FeatureSet(list(NAMES)).compute(CANDLES)[WARM:]
    raw = BUNDLE.predict(table, calibrated=False)
    bare = replace(
        clean,
        decisions=clean.decisions.with_columns(
            p_long=pl.Series(raw[:, 1]), p_short=pl.Series(1.0 - raw[:, 1])
        ),
    )
    first = held(bare).first
    assert first is not None and first.cause == "it is what the model says before calibration"
