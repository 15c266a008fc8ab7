"""`Watch`: it speaks where something moved, keeps silent where nothing did, and goes on from its state."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.stats import poisson

import barproof as bp
from barproof.live.watch import Watch, WatchReference
from tests.live.making import NAMES, WARM, study

CANDLES, BUNDLE = study()
TABLE = bp.FeatureSet(list(NAMES)).compute(CANDLES)
VALUES = TABLE.select(NAMES).to_numpy()
FIVE = 300_000_000
Floats = NDArray[np.float64]


def slow(n: int, rng: np.random.Generator, memory: float) -> Floats:
    """A normal series that remembers, of deviation 1."""
    noise = rng.standard_normal(n) * np.sqrt(1.0 - memory**2)
    out = np.empty(n)
    out[0] = rng.standard_normal()
    for k in range(1, n):
        out[k] = memory * out[k - 1] + noise[k]
    return out


def reference(values: Floats, label: dict[str, Any] | None = None) -> WatchReference:
    """Deciles of columns without a model behind them."""
    from barproof.live.reference import _deciles

    found = [_deciles(values[:, j]) for j in range(values.shape[1])]
    names = (*(f"x{j}" for j in range(values.shape[1] - 1)), "p_long")
    edges, shares, worth, pace = (np.array(column) for column in zip(*found, strict=True))
    return WatchReference(names, edges, shares, worth, pace, label, "none")


def table(rng: np.random.Generator, n: int, columns: int = 8) -> Floats:
    """Features of several memories, and a probability."""
    memories = np.linspace(0.0, 0.98, columns)
    held = np.column_stack([slow(n, rng, m) for m in memories])
    return np.column_stack([held, 1.0 / (1.0 + np.exp(-held[:, 0]))])


def fed(watch: Watch, rows: Floats, start: int = 0) -> list[str | None]:
    return [
        watch.update(row[:-1], {"long": row[-1]}, time=(start + k) * FIVE)
        for k, row in enumerate(rows)
    ]


def test_drift_of_one_feature_is_found_and_named() -> None:
    rng = np.random.default_rng(3)
    watch = Watch(reference(table(rng, 8_000)), feature_psi=0.25, window=500, every=50)
    rows = table(rng, 3_000)
    assert set(fed(watch, rows[:1_000])) == {None}
    rows[1_000:, 3] += 1.5
    told = fed(watch, rows[1_000:], 1_000)
    first = next(k for k, text in enumerate(told) if text)
    assert 50 <= first < 500
    text = told[first] or ""
    assert "drift of `x3`" in text and "PAR-06" in text
    # What is over is over: one window later nothing is left of it.
    rows = table(rng, 1_600)
    assert fed(watch, rows, 3_000)[-1] is None


def test_drift_of_probabilities() -> None:
    rng = np.random.default_rng(4)
    watch = Watch(reference(table(rng, 8_000)), probability_psi=0.25, window=500)
    rows = table(rng, 1_000)
    rows[:, -1] *= 0.5
    told = [text for text in fed(watch, rows) if text]
    assert told and told[0].startswith("drift of `p_long`: PSI ") and "DEC-04" in told[0]


def test_the_index_is_that_of_the_statistics() -> None:
    rng = np.random.default_rng(5)
    past, now = table(rng, 6_000), table(rng, 700) + 0.3
    watch = Watch(reference(past), window=1_000, every=100)
    fed(watch, now)
    for j, name in enumerate(watch.reference.names):
        want = bp.stats.psi(past[:, j], now[:, j]).psi
        assert watch.report()["psi"][name] == pytest.approx(want, rel=0.02)


def test_nothing_moved_and_nothing_is_said() -> None:
    """False alarms over 30 markets of features that remember up to 50 bars, judged 40 times each."""
    alarms = 0
    for seed in range(30):
        rng = np.random.default_rng(100 + seed)
        watch = Watch(
            reference(table(rng, 6_000, 5)), feature_psi=0.10, probability_psi=0.10, window=500
        )
        alarms += any(fed(watch, table(rng, 2_000, 5)))
    assert alarms <= 3


def test_a_value_far_outside_withholds_its_bar_alone() -> None:
    rng = np.random.default_rng(6)
    watch = Watch(reference(table(rng, 2_000)), outside=4.0)
    rows = table(rng, 100)
    rows[40, 2] = 1e6
    told = fed(watch, rows)
    assert [k for k, text in enumerate(told) if text] == [40]
    assert told[40] is not None and told[40].startswith("`x2` is 1e+06, far outside")


def test_too_few_trades_refute_a_claim() -> None:
    """Case S004: 4.6 trades a day were claimed."""
    rng = np.random.default_rng(7)
    ref = reference(table(rng, 500))
    watch = Watch(ref, rate=4.6)
    row = table(rng, 1)[0]
    said = None
    for k in range(288 * 10):
        trades = 1 if k in (100, 400, 700, 800) else 0
        said = watch.update(row[:-1], {"long": row[-1]}, time=k * FIVE, entries=trades)
        if said:
            break
    assert said is not None and "contradict 4.6 a day" in said and "CLM-10" in said
    assert 3 < k / 288 < 5
    # The fixed-sample p-value at that bar is below the level too.
    assert poisson.cdf(4, watch.report()["expected_trades"]) < 0.01
    # It stays said.
    assert watch.update(row[:-1], {"long": row[-1]}, time=10**15, entries=0) is not None


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_the_test_of_the_rate_may_be_looked_at_every_bar(factor: float) -> None:
    rng = np.random.default_rng(8)
    ref = reference(table(rng, 500))
    row = table(rng, 1)[0]
    found = 0
    for _ in range(60):
        watch = Watch(ref, rate=4.6, level=0.05)
        trades = rng.poisson(4.6 * factor / 24, 24 * 20)
        told = [
            watch.update(row[:-1], {"long": 0.5}, time=(k + 1) * 12 * FIVE, entries=int(t))
            for k, t in enumerate(trades)
        ]
        found += told[-1] is not None
    # 20 days, 480 looks: a fixed-sample test at 5% would speak in far more.
    assert found <= 7 if factor == 1.0 else found == 60


def labelled(watch: Watch, rng: np.random.Generator, shift: float, n: int) -> str | None:
    """Bars whose rise over 3 bars happens with the odds of p, shifted."""
    p = rng.uniform(0.3, 0.7, n)
    opens = np.full(n + 5, 100.0)
    for k in range(0, n, 3):
        odds = np.log(p[k] / (1 - p[k])) + shift
        up = rng.uniform() < 1 / (1 + np.exp(-odds))
        opens[k + 2 : k + 4] = opens[k + 1]
        opens[k + 4] = opens[k + 1] * (1.01 if up else 0.99)
    said = None
    for k in range(n):
        bar = (opens[k], opens[k], opens[k], opens[k])
        asked = p[k] if k % 3 == 0 else np.nan
        said = watch.update(np.zeros(1), {"long": asked}, time=k * FIVE, bar=bar)
        if said:
            return said
    return said


LABEL = {"bars": 3, "threshold": 0.0, "lead": 1, "classes": [0, 1]}


def test_calibration_as_labels_mature() -> None:
    rng = np.random.default_rng(9)
    ref = reference(rng.standard_normal((200, 2)), LABEL)
    silent = sum(
        labelled(Watch(ref, calibration=True, level=0.05), rng, 0.0, 1_500) is None
        for _ in range(40)
    )
    assert silent >= 35
    loud = [labelled(Watch(ref, calibration=True, level=0.05), rng, -0.8, 1_500) for _ in range(10)]
    assert all(text is not None and "probabilities are refuted" in text for text in loud)


def test_outcomes_are_those_of_the_labels() -> None:
    """What matures from bars is what `horizon` says of the same candles."""
    labels = bp.labels.horizon(CANDLES, bars=6, kind="binary")
    watch = Watch(WatchReference.of(BUNDLE, TABLE[1_800:2_400]))
    p = BUNDLE.predict(TABLE)[:, 1]
    n = 900
    for k in range(WARM - n, WARM):
        bar = tuple(CANDLES[k])[1:5]
        watch.update(VALUES[k], {"long": p[k]}, time=int(CANDLES.open_time[k]) * 1_000, bar=bar)
    report = watch.report()
    known = n - 7
    assert report["matured"] == known
    want = labels.values[WARM - n : WARM - 7]
    assert report["came_true"] == pytest.approx(want.mean(), abs=1e-12)
    assert report["foreseen"] == pytest.approx(p[WARM - n : WARM - 7].mean(), abs=1e-12)


def test_outcomes_told_by_hand() -> None:
    rng = np.random.default_rng(10)
    watch = Watch(reference(rng.standard_normal((200, 2)), None), level=0.05)
    for _ in range(40):
        watch.mature(0.9, 0)
    assert watch.report()["calibration_evidence"] > 1e3
    assert (watch.report()["foreseen"], watch.report()["came_true"]) == (pytest.approx(0.9), 0.0)


def test_a_state_goes_on_with_the_same_bits() -> None:
    rng = np.random.default_rng(11)
    rules: dict[str, Any] = {
        "feature_psi": 0.1, "probability_psi": 0.1, "rate": 50.0, "outside": 3.0, "calibration": True
    }  # fmt: skip
    rows = table(rng, 1_400)
    rows[700:, 1] += 1.0
    whole = Watch(reference(table(rng, 3_000), LABEL), window=300, **rules)

    def step(watch: Watch, k: int) -> str | None:
        bar = (100.0 + k % 7, 110.0, 90.0, 100.0)
        return watch.update(
            rows[k, :-1], {"long": rows[k, -1]}, time=k * FIVE, bar=bar, entries=k % 9 == 0
        )

    broken = whole.fresh()
    for k in range(1_400):
        if k % 37 == 0:
            state = json.loads(json.dumps(broken.state(), allow_nan=False))
            broken = (broken if k % 2 else pickle.loads(pickle.dumps(broken))).restored(state)
        assert step(whole, k) == step(broken, k)
    assert whole.report() == broken.report() and whole.state() == broken.state()
    assert any(whole.report()["withheld"])


def test_memory_is_flat() -> None:
    rng = np.random.default_rng(12)
    watch = Watch(reference(table(rng, 1_000), LABEL), rate=4.6, feature_psi=0.25, window=200)
    sizes = []
    for k, row in enumerate(np.tile(table(rng, 500), (6, 1))):
        watch.update(row[:-1], {"long": row[-1]}, time=k * FIVE, bar=(1.0, 1.0, 1.0, 1.0))
        if k in (600, 2_900):
            sizes.append(len(json.dumps(watch.state())))
    assert abs(sizes[1] - sizes[0]) < 60


def test_the_reference_of_a_bundle_is_its_own_test_rows() -> None:
    told = BUNDLE.manifest["rows"]["test"]
    begin, end = np.searchsorted(CANDLES.open_time, [told["from"], told["to"] + 1])
    found = WatchReference.of(BUNDLE, CANDLES)
    assert found.digest == WatchReference.of(BUNDLE, TABLE[int(begin) : int(end)]).digest
    assert found.names == (*NAMES, "p_long", "p_short")
    j = NAMES.index("rsi(14)")
    want = np.quantile(VALUES[begin:end, j], np.linspace(0.1, 0.9, 9))
    np.testing.assert_allclose(found.edges[j], want, rtol=1e-12)
    assert found.label == {"bars": 6, "threshold": 0.0, "lead": 1, "classes": [0, 1]}


def test_undefined_values_are_not_counted() -> None:
    rng = np.random.default_rng(13)
    watch = Watch(reference(table(rng, 1_000)), feature_psi=0.1, window=100, every=10)
    rows = table(rng, 300)
    rows[:, 2] = np.nan
    assert not any("x2" in (text or "") for text in fed(watch, rows))
    assert watch.report()["psi"]["x2"] is None
    assert pl.Series([watch.report()["psi"]["x1"]]).is_finite().all()
