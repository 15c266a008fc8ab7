"""Labels of labels, and the volume filter, against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest

import barproof as bp


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("kind", ["binary", "ternary"])
def test_votes_are_counted(kind: str, k: int) -> None:
    candles = bp.simulate_candles(1, bars=400)
    ballots = [
        bp.labels.horizon(candles, bars=h, threshold=0.001, kind=kind)  # type: ignore[arg-type]
        for h in (3, 6, 12)
    ]
    labels = bp.labels.vote(ballots, k=k)
    assert labels.kind == kind
    for i in range(400):
        said = [one.values[i] for one in ballots]
        assert labels.start[i] == i + 1
        assert labels.end[i] == i + 13
        if any(math.isnan(v) for v in said):
            assert math.isnan(labels.values[i])
            continue
        up, down = said.count(1.0) >= k, said.count(-1.0) >= k
        assert labels.values[i] == (1 if up and not down else -1 if down and not up else 0)
    assert labels.digest != bp.labels.vote(ballots[::-1], k=k).digest
    assert labels.values.tobytes() == bp.labels.vote(ballots, k=k, threads=1).values.tobytes()


def test_a_vote_without_a_span_has_none() -> None:
    candles = bp.simulate_candles(1, bars=400)
    a = bp.labels.horizon(candles, bars=3, kind="binary")
    b = bp.labels.volume_filter(a, least=float(np.median(candles.volume)))
    labels = bp.labels.vote([a, b], k=1)
    out = b.start < 0
    assert out.sum() > 100
    assert (labels.end[out] == -1).all()
    assert np.isnan(labels.values[out]).all()


@pytest.mark.parametrize("bars", [1, 7])
def test_the_filter_looks_at_volume_up_to_the_bar(bars: int) -> None:
    candles = bp.simulate_candles(2, bars=500)
    labels = bp.labels.horizon(candles, bars=6, threshold=0.002)
    least = float(np.quantile(candles.volume, 0.6))
    kept = bp.labels.volume_filter(labels, least=least, bars=bars)
    for i in range(500):
        window = candles.volume[max(0, i - bars + 1) : i + 1]
        inside = len(window) == bars and np.mean(window) >= least
        np.testing.assert_equal(kept.values[i], labels.values[i] if inside else math.nan)
        want = (labels.start[i], labels.end[i]) if inside else (-1, -1)
        assert (kept.start[i], kept.end[i]) == want
    assert 50 < kept.defined.sum() < 300
    assert kept.rule["of"] == labels.rule


def test_a_filter_keeps_the_trades() -> None:
    candles = bp.simulate_candles(2, bars=500)
    rules = bp.Rules(stop_loss=0.01, take_profit=0.01, max_hold=20)
    labels = bp.labels.triple_barrier(candles, rules, costs=bp.Costs(taker=0.0005))
    kept = bp.labels.volume_filter(labels, least=float(np.median(candles.volume)))
    assert isinstance(kept, bp.labels.TradeLabels)
    assert kept.outcomes.equals(labels.outcomes)


def test_uniqueness_of_what_is_defined() -> None:
    candles = bp.simulate_candles(2, bars=300)
    rules = bp.Rules(stop_loss=0.006, take_profit=0.006, max_hold=20)
    labels = bp.labels.volume_filter(
        bp.labels.triple_barrier(candles, rules, costs=bp.Costs(taker=0.0005)),
        least=float(np.median(candles.volume)),
    )
    alive = [
        sum(1 for k in range(300) if labels.defined[k] and labels.start[k] <= t <= labels.end[k])
        for t in range(301)
    ]
    found = labels.uniqueness()
    for i in range(300):
        if not labels.defined[i]:
            assert math.isnan(found[i])
            continue
        span = range(labels.start[i], labels.end[i] + 1)
        assert found[i] == pytest.approx(np.mean([1 / alive[t] for t in span]), rel=1e-12)
