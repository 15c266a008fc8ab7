"""Each audit: a planted fault, a clean case, its gate, and what only looks like evidence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barproof as bp
from barproof import audits, stats
from tests.audits import cases
from tests.tolerances import GOLDEN

near = pytest.approx
HOUR = 3_600_000
CANDLES = cases.market()
BARS = CANDLES.to_polars()
ROWS = np.arange(60)


# DATA-01


def test_clean_bars() -> None:
    for bars in (CANDLES, BARS, {name: BARS[name].to_numpy() for name in BARS.columns}):
        assert audits.bar_integrity(bars).outcome == "pass"


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("duplicate time", lambda b: pl.concat([b[:100], b[99:]])),
        ("bar out of order", lambda b: pl.concat([b[:100], b[101:102], b[100:101], b[102:]])),
        ("bar whose range does not hold its prices", lambda b: b.with_columns(high=pl.col("low") * 0.9)),
        ("price that is not finite", lambda b: b.with_columns(close=pl.lit(float("nan")))),
        ("price that is not positive", lambda b: b.with_columns(low=pl.lit(-1.0))),
        ("volume that is negative or missing", lambda b: b.with_columns(volume=-1 - pl.col("volume"))),
        ("bar off the grid", lambda b: b.with_columns(
            open_time=pl.col("open_time") + pl.duration(milliseconds=(pl.int_range(pl.len()) == 50).cast(pl.Int64)))),
        ("missing time", lambda b: b.with_columns(
            open_time=pl.when(pl.int_range(pl.len()) == 9).then(None).otherwise(pl.col("open_time")))),
    ],
)  # fmt: skip
def test_impossible_bars(name: str, change: Any) -> None:
    found = audits.bar_integrity(change(BARS))
    assert found.outcome == "fail"
    assert found.evidence["faults"][name] > 0
    assert any(row["fault"] == name for row in found.evidence["rows"])


def test_holes_and_stale_bars_warn() -> None:
    long = pl.concat([BARS[:500], BARS[525:]])
    found = audits.bar_integrity(long)
    assert found.outcome == "warn" and found.evidence["longest_hole"] == 25
    # 24 bars of 30,000 in one hole are let pass, on share and on length.
    many = bp.simulate_candles(1, bars=30_000).to_polars()
    assert audits.bar_integrity(pl.concat([many[:500], many[524:]])).outcome == "pass"
    some = many.filter(pl.int_range(pl.len()) % 500 != 7)  # 0.2% are missing
    assert audits.bar_integrity(some).outcome == "warn"
    still = BARS.with_columns(
        pl.when(pl.int_range(pl.len()).is_between(100, 129)).then(7.0).otherwise(pl.col(c)).alias(c)
        for c in ("open", "high", "low", "close")
    )
    found = audits.bar_integrity(still)
    assert found.outcome == "warn" and found.evidence["stale_run"] == 30


# DATA-02


def test_coverage_of_the_case() -> None:
    loaded = (51_980 - 8 * np.arange(1, 201)) * HOUR
    found = audits.coverage({"funding": loaded}, start=0, end=51_980 * HOUR)
    assert found.outcome == "fail" and found.measured is not None
    assert found.measured.value == near(200 / 6498)
    every = np.arange(0, 51_980, 8) * HOUR
    assert audits.coverage({"funding": every}, start=0, end=51_980 * HOUR).outcome == "pass"


@pytest.mark.parametrize(("kept", "result"), [(0.96, "pass"), (0.9, "warn"), (0.4, "fail")])
def test_coverage_gates(kept: float, result: str) -> None:
    times = (np.arange(1_000) * HOUR)[: round(1_000 * kept)]
    given = {"whole": np.arange(1_000) * HOUR, "part": times}
    found = audits.coverage(given, start=0, end=1_000 * HOUR)
    assert (found.outcome, found.scope["series"]) == (
        result,
        "part" if result != "pass" else found.scope["series"],
    )
    start = datetime(1970, 1, 1, tzinfo=UTC)
    dated = pl.Series([start + timedelta(hours=int(t) // HOUR) for t in times])
    end = start + timedelta(hours=1_000)
    assert audits.coverage({"part": dated}, start=start, end=end).outcome == result


def test_rows_closer_together_do_not_fill_a_hole() -> None:
    half = np.repeat(np.arange(0, 500) * HOUR, 2) + np.tile([0, 1], 500)
    found = audits.coverage({"x": half}, start=0, end=1_000 * HOUR, period_ms=HOUR)
    assert found.measured is not None and found.measured.value == near(0.5)


# LAB-01


def test_one_class() -> None:
    assert audits.degenerate_label({"test": np.ones(8135)}).outcome == "fail"
    found = audits.degenerate_label({"train": [0, 1] * 20, "test": [1.0] * 40 + [np.nan]})
    assert found.outcome == "fail" and found.scope == {"part": "test"}
    assert found.evidence["rows"][0]["counts"] == {"1": 40}
    assert audits.degenerate_label({"train": [0, 1] * 20, "test": [1, 0]}).outcome == "pass"
    assert audits.degenerate_label({"a": [-1, 0, 1], "b": [0, 1]}).outcome == "warn"
    assert audits.degenerate_label({"a": [0, 1]}, classes=[-1, 0, 1]).outcome == "warn"
    assert audits.degenerate_label({"a": [0, 1], "b": [np.nan]}).outcome == "inconclusive"
    returns = np.linspace(-1, 1, 100)
    assert audits.degenerate_label({"a": returns, "b": returns[:30]}).outcome == "pass"
    assert audits.degenerate_label({"a": returns, "b": np.zeros(30)}).outcome == "fail"


# LAB-02

RULES: list[dict[str, Any]] = [
    {"bars": 6, "threshold": 0.002},
    {"bars": 1, "kind": "binary"},
    {"bars": 3, "kind": "regression"},
    {"bars": 12, "kind": "binary", "threshold": 0.001, "clock": "close"},
    {"bars": 2, "kind": "ternary", "clock": "close"},
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_labels_equal_their_rule(rule: dict[str, Any]) -> None:
    labels = bp.labels.horizon(CANDLES, **rule)
    assert audits.label_against_price(labels, CANDLES).outcome == "pass"
    # A bar early, a bar late, and the labels of another rule.
    for wrong in (np.roll(labels.values, 1), np.roll(labels.values, -1), -labels.values):
        found = audits.label_against_price(wrong, CANDLES, rule=labels.rule)
        assert found.outcome == "fail"
        row = found.evidence["rows"][0]
        assert row["label"] != row["rule_gives"]


def test_a_thousandth_may_differ() -> None:
    labels = bp.labels.horizon(CANDLES, bars=5, kind="binary")
    for count, result in ((2, "pass"), (4, "fail")):
        values = labels.values.copy()
        values[100 : 100 + count] = 1 - values[100 : 100 + count]
        found = audits.label_against_price(values, CANDLES, rule=labels.rule)
        assert (found.outcome, found.evidence["total"]) == (result, count)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_rule_is_found(rule: dict[str, Any]) -> None:
    labels = bp.labels.horizon(CANDLES, **rule)
    found = audits.label_against_price(labels.values, CANDLES)
    assert found.outcome == "pass", found.title
    a = 1 if rule.get("clock") != "close" else 0
    price = "open" if a else "close"
    begin = f"{price}(t+1)" if a else f"{price}(t)"
    assert found.evidence["rule"].startswith(f"{price}(t+{rule['bars'] + a}) / {begin} - 1")


def test_labels_that_are_known_at_their_close_fail() -> None:
    up = np.r_[np.nan, (np.diff(CANDLES.close) > 0).astype(float)]  # of the bar that has closed
    found = audits.label_against_price(up, CANDLES)
    assert found.outcome == "fail" and found.evidence["rule"] == "close(t) / close(t-1) - 1 > 0"


def test_labels_of_the_case() -> None:
    rng = np.random.default_rng(1)
    moves = np.r_[np.ones(4142), -np.ones(3987)]
    close = 1_000 + np.r_[0, np.cumsum(rng.permutation(moves) * 0.01)]
    found = audits.label_against_price(np.ones(8130), close)
    assert found.outcome == "fail" and found.evidence["rule"] == "close > 0"
    # C14 has 8,135 labels of 8,129 moves; one more bar of price than moves here.
    assert found.evidence["z"] == near(72.70, rel=1e-3)
    assert found.evidence["log10_p"] == near(-1149.7, rel=1e-3)


def test_no_rule_is_no_pass() -> None:
    noise = np.random.default_rng(2).integers(0, 2, len(CANDLES))
    assert audits.label_against_price(noise, CANDLES).outcome == "inconclusive"


# LAB-03


def test_balance() -> None:
    values = np.r_[np.ones(57076), np.zeros(293853 - 57076)]
    found = audits.class_balance(values)
    row = found.evidence["rows"][0]
    assert found.outcome == "warn"
    told = (row["share"], row["constant_log_loss"], row["constant_brier"], row["weight"])
    assert told == near(
        (0.19423317100727233, 0.49230321397718, 0.15650664628773203, 4.148451187889831), rel=GOLDEN
    )  # C11
    assert row["constant_weighted_log_loss"] == near(1.1170300114100733, rel=GOLDEN)
    assert audits.class_balance(values, band=(0.15, 0.25)).outcome == "pass"
    for share, result in (
        (0.03, "fail"),
        (0.2, "warn"),
        (0.3, "pass"),
        (0.5, "warn"),
        (0.97, "fail"),
    ):
        assert audits.class_balance(np.arange(1000) < 1000 * share).outcome == result
    assert audits.class_balance(np.tile([-1, 0, 1], 100)).outcome == "pass"
    assert audits.class_balance(np.r_[np.full(2, -1), np.zeros(60), np.ones(38)]).outcome == "fail"
    returns = bp.labels.horizon(CANDLES, bars=3)
    assert audits.class_balance(returns).outcome == "skipped"


# PAR-01


def test_identity() -> None:
    names = [f"f{i}" for i in range(171)]
    found = audits.feature_identity(names[:109], names)
    assert found.outcome == "fail" and "109 features against 171" in found.title
    assert found.evidence["absent"][0] == "f109"
    assert audits.feature_identity(names[::-1], names).outcome == "fail"
    assert audits.feature_identity(names, names).outcome == "pass"
    assert audits.feature_identity([*names, names[0]], names).outcome == "fail"
    frame = pl.DataFrame({"open_time": [0], "a": [1.0], "b": [2.0]})
    model = cases.Model(("a", "b"))
    assert audits.feature_identity(frame, [model, model]).outcome == "pass"
    assert audits.feature_identity(frame.select("b", "a"), model).outcome == "fail"
    model.features_digest = "0" * 64
    assert audits.feature_identity(frame, model).outcome == "fail"


def test_models_that_choose_their_features() -> None:
    class Chosen(cases.Model):
        parts = {"model": type("Fitted", (), {"facts": {"selection": {"name": "top_k"}}})()}  # noqa: RUF012

    assert audits.feature_identity(["a", "b", "c"], Chosen(("a", "c"))).outcome == "pass"
    assert audits.feature_identity(["a", "b", "c"], Chosen(("c", "a"))).outcome == "fail"
    assert audits.feature_identity(["a", "b"], Chosen(("a", "c"))).outcome == "fail"


# PRED-01


def test_flat_predictions() -> None:
    rng = np.random.default_rng(1)
    p = rng.uniform(0.1, 0.3, 1_000)
    assert audits.flat_predictions(p).outcome == "pass"
    for sd, result in ((5e-5, "fail"), (5e-4, "warn"), (5e-3, "pass")):
        z = (p - p.mean()) / p.std()
        assert audits.flat_predictions(0.1051 + sd * z).outcome == result
    assert audits.flat_predictions(np.round(p, 1)).outcome == "fail"  # three values
    assert (
        audits.flat_predictions(np.where(np.arange(2000) < 15, rng.uniform(size=2000), 0.2)).outcome
        == "fail"
    )
    found = audits.flat_predictions({"fold 0": p, "fold 1": np.full(100, 0.2)})
    assert found.outcome == "fail" and found.scope == {"group": "fold 1"}
    assert audits.flat_predictions({"fold 0": p, "fold 1": p[:10]}).outcome == "inconclusive"


# PRED-04


def test_class_bias() -> None:
    labels = np.repeat([0, 1], [60, 40])
    found = audits.class_bias(np.repeat([0, 1], [97, 3]), labels)
    assert found.outcome == "fail"
    assert found.evidence["rows"][0]["log10_tail"] == near(np.log10(3e-18), abs=0.2)
    assert audits.class_bias(np.repeat([0, 1], [55, 45]), labels).outcome == "pass"
    assert audits.class_bias(np.repeat([0, 1], [85, 15]), labels).outcome == "warn"  # ratio 0.375
    assert audits.class_bias(np.repeat([0, 1], [50, 50]), np.ones(100)).outcome == "inconclusive"


def test_an_honest_weak_forecast_only_warns() -> None:
    rng = np.random.default_rng(5)
    y = rng.choice([-1.0, 0.0, 1.0], size=3_000, p=[0.2, 0.6, 0.2])
    p = np.column_stack([np.full(3_000, 0.2), np.full(3_000, 0.6), np.full(3_000, 0.2)])
    p += rng.normal(0, 0.01, p.shape)
    assert audits.class_bias(p, y, classes=[-1, 0, 1]).outcome == "warn"
    sure = np.clip(p + np.array([-0.15, 0.38, -0.15]), 0.001, 1)
    assert audits.class_bias(sure, y, classes=[-1, 0, 1]).outcome == "fail"


# PRED-05


def test_thresholds_of_the_case() -> None:
    p = np.linspace(0.01, 0.15, 8641)
    found = audits.threshold_reachability({"long": (p, 0.75)})
    assert found.outcome == "fail" and found.measured is not None
    assert found.measured.high == near(0.00034662805706808797, rel=GOLDEN)  # P20
    assert "0.15 against a threshold of 0.75" in found.title
    assert (
        audits.threshold_reachability({"long": (p, 0.15)}).outcome == "pass"
    )  # at the threshold counts
    folds = np.repeat([0, 1], [8000, 641])
    assert audits.threshold_reachability({"long": (p, 0.14)}, folds=folds).outcome == "warn"
    two = {"long": (p, 0.1), "short": (p, 0.5)}
    found = audits.threshold_reachability(two)
    assert found.outcome == "warn" and found.scope["side"] == "short"
    off = np.full(8641, np.nan)
    assert audits.threshold_reachability({"long": (p, off)}).outcome == "inconclusive"
    later = np.where(np.arange(8641) < 8600, 0.9, 0.1)  # a schedule
    assert audits.threshold_reachability({"long": (p, later)}).outcome == "pass"


# ECO-01


def option_a() -> Any:
    return np.r_[np.full(2008, 0.005524), np.full(1884, -0.010678)]


def test_break_even_of_the_case() -> None:
    found = audits.break_even_win_rate(option_a())
    assert found.outcome == "fail" and found.gate is not None and found.measured is not None
    assert found.gate.threshold == near(0.6590544377237377, rel=GOLDEN)  # E01
    assert found.evidence["z"] == near(-18.836347804846742, rel=GOLDEN)  # P13
    low, high = stats.wilson(2008, 3892)[1:3]
    assert (found.measured.low, found.measured.high) == (low, high)
    other = np.r_[np.full(1600, 0.003766), np.full(1472, -0.007892)]
    gate = audits.break_even_win_rate(other).gate
    assert gate is not None and gate.threshold == near(0.6769600274489621, rel=GOLDEN)  # E02
    costly = audits.break_even_win_rate(option_a(), cost=0.001).gate
    assert costly is not None and costly.threshold == near(0.7207752129366745, rel=GOLDEN)  # E14


def test_break_even_gates() -> None:
    assert audits.break_even_win_rate(np.tile([0.02, -0.01], 300)).outcome == "pass"
    assert audits.break_even_win_rate(np.tile([0.0101, -0.01], 300)).outcome == "inconclusive"
    assert (
        audits.break_even_win_rate(np.tile([0.03, -0.01], 10)).outcome == "inconclusive"
    )  # 20 trades
    assert audits.break_even_win_rate(np.full(100, -0.01)).outcome == "fail"
    assert audits.break_even_win_rate(np.full(100, 0.01)).outcome == "inconclusive"
    # Trades that return nothing are neither wins nor losses.
    padded = np.r_[np.tile([0.02, -0.01], 300), np.zeros(5_000)]
    found = audits.break_even_win_rate(padded)
    assert found.outcome == "pass" and found.evidence["zeros"] == 5_000


@settings(deadline=None)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1_000))
def test_scaling_returns_changes_no_outcome(scale: float, seed: int) -> None:
    x = np.random.default_rng(seed).normal(0.001, 0.01, 60)
    for audit in (audits.break_even_win_rate, audits.few_trades):
        assert audit(x).outcome == audit(scale * x).outcome
    found, scaled = audits.expectancy(x, resamples=99), audits.expectancy(scale * x, resamples=99)
    assert found.outcome == scaled.outcome
    one, other = found.measured, scaled.measured
    assert one is not None and other is not None
    if one.low is None:  # blocks as long as a fifth of the trades, which no scale changes
        assert other.low is None and found.outcome == "inconclusive"
    else:
        assert other.low == near(scale * one.low, rel=1e-6)


# ECO-02


def test_expectancy() -> None:
    noise = stats.normals(3, 400) * 0.01
    noise -= noise.mean()
    for shift, result in ((-0.002, "fail"), (0.0, "inconclusive"), (0.002, "pass")):
        found = audits.expectancy(noise + shift)
        assert found.outcome == result
        assert found.measured is not None and found.measured.value == near(shift, abs=1e-9)
    rng = np.random.default_rng(9)
    assert audits.expectancy(rng.permutation(option_a())).outcome == "fail"
    assert audits.expectancy(noise[:29] + 0.1).outcome == "inconclusive"
    assert audits.expectancy(np.full(100, 0.01)).outcome == "inconclusive"
    trend = np.repeat([0.01, -0.001, 0.02], 20)
    assert audits.expectancy(trend).outcome == "inconclusive"  # blocks as long as a fifth of it
    again = audits.expectancy(noise, seed=5)
    assert again.measured == audits.expectancy(noise, seed=5).measured
    assert again.measured != audits.expectancy(noise, seed=6).measured


def test_trades_are_put_in_time_order() -> None:
    x = np.cumsum(stats.normals(3, 100)) * 0.001  # memory that disorder would hide
    time = np.arange(100) * 60_000
    order = np.random.default_rng(1).permutation(100)
    ordered = pl.DataFrame({"return": x, "exit_time": time})
    expected = audits.expectancy(x).measured
    texts = pl.from_epoch("exit_time", "ms").dt.to_string("%Y-%m-%d %H:%M:%S")
    for frame in (
        ordered,
        ordered[order],
        ordered[order].to_pandas(),
        ordered[order].with_columns(exit_time=texts),
    ):
        assert audits.expectancy(frame).measured == expected
    dated = (
        ordered[order].with_columns(entry_time=pl.from_epoch("exit_time", "ms")).drop("exit_time")
    )
    assert audits.expectancy(dated).measured == expected
    assert audits.expectancy(x[order]).measured != expected


# ECO-09 and SIG-02


def test_few_trades() -> None:
    assert [audits.few_trades(np.ones(n)).outcome for n in (0, 1, 4, 29, 30)] == [
        *("fail", "inconclusive", "inconclusive", "inconclusive", "pass")
    ]


def test_shares() -> None:
    found = audits.share_interval(2, 3)
    assert found.outcome == "inconclusive" and found.measured is not None
    assert (found.measured.low, found.measured.high) == near(
        (0.2076596008020477, 0.9385080552796037), rel=GOLDEN
    )  # P01
    assert found.evidence["exact_low"] == near(0.09429932405024609, rel=GOLDEN)  # P04
    for k, result in ((600, "pass"), (520, "inconclusive"), (400, "fail")):
        assert audits.share_interval(k, 1_000, null=0.5).outcome == result
    assert audits.share_interval(600, 1_000, null=0.5, n_eff=50).outcome == "inconclusive"
    assert audits.share_interval(600, 1_000).outcome == "pass"
    # A win rate that is "significant" against one half, and far below break-even.
    assert audits.share_interval(2008, 3892, null=0.6590544377237377).outcome == "fail"


# Degenerate inputs

ODD: dict[str, Any] = {
    "empty": [],
    "one": [1.0],
    "two": [0.0, 1.0],
    "constant": [0.5] * 60,
    "zeros": [0.0] * 60,
    "nan": [np.nan] * 60,
    "some nan": [np.nan, 1.0, 0.0, 0.3] * 15,
    "infinite": [np.inf, -np.inf, 1.0] * 20,
    "one class": [1.0] * 60,
}


@pytest.mark.parametrize("name", ODD)
def test_degenerate_inputs_never_pass(name: str) -> None:
    x = np.array(ODD[name])
    n = len(x)
    found = {
        "ECO-01": audits.break_even_win_rate(x),
        "ECO-02": audits.expectancy(x, resamples=99),
        "LAB-01": audits.degenerate_label({"test": x}),
        "LAB-02": audits.label_against_price(x, np.linspace(1, 2, n)),
        "LAB-03": audits.class_balance(x),
        "PRED-01": audits.flat_predictions(x),
        "PRED-04": audits.class_bias(x, x),
        "PRED-05": audits.threshold_reachability({"long": (x, 2.0)}),
        "DATA-01": audits.bar_integrity(
            dict.fromkeys(("open_time", "open", "high", "low", "close"), x)
        ),
        "DATA-02": audits.coverage({"x": x}, start=0, end=10**9),
        "SPL-07": audits.lookahead(
            lambda candles: np.resize(x, len(candles)) if n else x, CANDLES[:5]
        ),
    }
    # Two values, or values with holes, are no fault of a label as such.
    if name in ("two", "some nan"):
        del found["LAB-01"], found["LAB-03"], found["PRED-04"]
    for code, finding in found.items():
        assert finding.id == code
        assert finding.outcome in ("fail", "inconclusive", "warn", "skipped"), finding.title
        assert finding.outcome != "warn" or code == "LAB-03"
        assert bp.Finding.from_dict(finding.to_dict()) == finding


def test_nothing_given_never_passes() -> None:
    for found in (
        audits.degenerate_label({}),
        audits.flat_predictions({}),
        audits.threshold_reachability({}),
        audits.split_order([]),
        audits.purge([], None),
        audits.feature_identity([], []),
        audits.feature_identity(["a"], []),
        audits.few_trades([]),
        audits.share_interval(0, 0),
        audits.bar_integrity(CANDLES[:0]),
        audits.bar_integrity(CANDLES[:1]),
        audits.lookahead(cases.trailing, CANDLES[:0]),
        audits.lookahead(lambda candles: np.full(len(candles), np.nan), CANDLES),
    ):
        assert found.outcome in ("fail", "inconclusive")
    assert audits.coverage({}, start=0, end=1).outcome == "skipped"


def test_findings_say_what_they_were_made_of() -> None:
    found = audits.expectancy(option_a(), seed=3, resamples=99)
    facts = found.provenance
    assert facts["seed"] == 3 and facts["seconds"] >= 0 and facts["barproof"] == bp.__version__
    assert set(facts["inputs"]) == {"trades"} and len(facts["inputs"]["trades"]) == 64
    other = audits.expectancy(option_a() * 2, resamples=99)
    assert other.provenance["inputs"] != facts["inputs"]
    assert found.docs == "docs/audits/economics.md#eco-02-expectancy"
    assert found.assumptions["stationary returns"] == "unchecked"
    held = audits.bar_integrity(CANDLES)
    assert held.provenance["inputs"] == {"bars": CANDLES.digest}


def test_the_temperature_of_three_classes() -> None:
    # Case S001: a head of three classes, and logits of raw prices.
    logits = 3 * stats.normals(7, 3_000).reshape(1_000, 3)
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    came = (stats.uniforms(8, 1_000)[:, None] > chance.cumsum(axis=1)).sum(axis=1)
    assert audits.temperature(logits, came).outcome == "pass"
    hot = audits.temperature(1e4 * logits, came)
    assert hot.outcome == "fail"
    assert hot.measured is not None and hot.measured.value == near(1e4, rel=0.2)
    assert audits.temperature(np.tile([9.0, 0.0, 0.0], (1_000, 1)), came).outcome != "pass"


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("bars", "horizon"), [(1_500, 24), (800, 12), (4_000, 96)])
def test_few_long_labels_are_no_shifted_ones(bars: int, horizon: int, seed: int) -> None:
    """Regression: sound labels over many bars failed LAB-06 on less than 25 times their length squared."""
    returns = np.random.default_rng(seed).normal(0, 0.01, bars)
    sums = np.convolve(returns, np.ones(horizon), "valid")
    ahead = np.full(bars, np.nan)
    ahead[: bars - horizon] = np.sign(sums[1:])
    passed = np.full(bars, np.nan)
    passed[horizon - 1 :] = np.sign(sums)
    sound = audits.label_timing(ahead, returns, horizon=horizon)
    assert sound.outcome == "pass", sound.title
    assert f"all of its own {horizon} bars together" in sound.title
    gone = audits.label_timing(passed, returns, horizon=horizon)
    assert gone.outcome == "fail", gone.title


def test_a_long_list_that_differs_is_told_by_where_it_parts() -> None:
    names = [f"rsi({n})" for n in range(2, 40)]
    more = [*names, "adx(14)"]
    found = audits.configuration_parity({"features": more}, {"features": names})
    assert found.outcome == "fail"
    assert found.title == (
        "1 of 1 entry differ: `features` has 39 entries live and 38 in the backtest, entry 38 is adx(14) and nothing"
    )
    # Short ones are shown.
    found = audits.configuration_parity({"symbols": ["BTC"]}, {"symbols": ["ETH"]})
    assert (
        found.title == "1 of 1 entry differ: `symbols` is ['BTC'] live and ['ETH'] in the backtest"
    )
