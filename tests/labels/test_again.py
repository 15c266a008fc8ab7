"""Labels made again by their rule: the same bits of the same candles, those of the maker of others; and LAB-02."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import audits
from barproof.labels.sides import direction, fed

CANDLES = bp.simulate_candles(4, bars=1_500)
OTHER = bp.simulate_candles(5, bars=1_200)
RULES = bp.Rules(stop_loss=0.006, take_profit=0.008, max_hold=40)
COSTS = bp.Costs(taker=0.0004, maker=0.0002, slippage=0.0001)


def primary(candles: bp.Candles) -> Any:
    """Momentum of twelve bars."""
    out = np.zeros(len(candles))
    out[12:] = np.sign(candles.close[12:] / candles.close[:-12] - 1)
    return out


def signals(candles: bp.Candles) -> bp.Signals:
    """Exits every 30 bars."""
    return bp.Signals(exit_long=(np.arange(len(candles)) % 30 == 0).astype(float))


def votes(candles: bp.Candles) -> bp.labels.Labels:
    return bp.labels.vote(
        [bp.labels.horizon(candles, bars=h, kind="binary") for h in (3, 6, 12)], k=2
    )


def filtered_exits(candles: bp.Candles) -> bp.labels.Labels:
    """Those of one side, chosen after the filter, which keeps the class."""
    kept = bp.labels.volume_filter(
        bp.labels.exits(candles, primary(candles), RULES, costs=COSTS), least=1.0
    )
    assert isinstance(kept, bp.labels.ExitLabels)
    return kept.of("long")


MAKERS: dict[str, Any] = {
    "horizon": lambda c: bp.labels.horizon(c, bars=6, threshold=0.002),
    "returns": lambda c: bp.labels.horizon(c, bars=6, clock="close"),
    "barrier": lambda c: bp.labels.triple_barrier(c, RULES, costs=COSTS),
    "short": lambda c: bp.labels.triple_barrier(
        c, RULES.replace(trailing=0.01), costs=COSTS, side="short", kind="regression"
    ),
    "both": lambda c: bp.labels.triple_barrier(c, RULES, costs=COSTS, side="both", threshold=0.001),
    "meta": lambda c: bp.labels.meta(c, primary(c), RULES, costs=COSTS),
    "exits": lambda c: bp.labels.exits(c, primary(c), RULES.replace(cooldown=3), costs=COSTS),
    "exits of a side": lambda c: bp.labels.exits(c, primary(c), RULES, costs=COSTS).of("short"),
    "vote": votes,
    "filter": lambda c: bp.labels.volume_filter(votes(c), least=1.0, bars=20),
    "filtered exits": filtered_exits,
    "with signals": lambda c: bp.labels.triple_barrier(
        c, RULES.replace(exit_long=0.5), costs=COSTS, signals=signals(c)
    ),
}  # fmt: skip
FOLLOWS = {"meta", "exits", "exits of a side", "filtered exits"}


def given(name: str, candles: bp.Candles) -> dict[str, Any]:
    if name in FOLLOWS:
        return {"primary": primary(candles)}
    return {"signals": signals(candles)} if name == "with signals" else {}


@pytest.mark.parametrize("name", MAKERS)
def test_the_rule_alone_makes_them_again(name: str) -> None:
    """Through JSON, as a manifest holds it."""
    labels = MAKERS[name](CANDLES)
    rule = json.loads(json.dumps(labels.rule, allow_nan=False))
    for candles in (CANDLES, OTHER):
        want = MAKERS[name](candles)
        found = bp.labels.remake(rule, candles, **given(name, candles))
        assert type(found) is type(want)
        assert (found.rule, found.kind, found.digest) == (want.rule, want.kind, want.digest)
        for array in ("values", "start", "end"):
            assert getattr(found, array).tobytes() == getattr(want, array).tobytes()


@pytest.mark.parametrize("name", MAKERS)
def test_lab_02_holds_every_maker_to_its_rule(name: str) -> None:
    labels = MAKERS[name](CANDLES)
    found = audits.label_against_price(labels, CANDLES)
    if name == "with signals":
        assert found.outcome == "inconclusive" and "`signals`" in found.title
        return
    assert found.outcome == "pass", found.title
    # A hundredth of the labels turned round, or shifted by a bar.
    rows = np.flatnonzero(labels.defined)[::60]
    values = labels.values.copy()
    values[rows] = values[rows] + 0.01 if labels.kind == "regression" else 1.0 - values[rows] ** 2
    changed = int((values[rows] != labels.values[rows]).sum())
    turned = audits.label_against_price(replace(labels, values=values), CANDLES)
    assert turned.outcome == "fail" and turned.title.startswith(f"{changed:,} of"), turned.title


@pytest.mark.parametrize("name", ["barrier", "both", "meta", "exits", "vote"])
def test_lab_02_looks_at_the_bars_that_labels_need(name: str) -> None:
    """Purging goes by them: ends that come too early let later bars into the train rows."""
    labels = MAKERS[name](CANDLES)
    rows = np.flatnonzero(labels.defined & (labels.end > labels.start))
    end = labels.end.copy()
    end[rows] -= 1
    found = audits.label_against_price(replace(labels, end=end), CANDLES)
    assert found.outcome == "fail"
    assert f"({len(rows):,} in the bars that they need)" in found.title


@pytest.mark.parametrize(
    ("name", "arrays", "way"),
    [
        ("horizon", None, ""),
        ("barrier", ["long"], "up"),
        ("short", ["short"], "down"),
        ("both", None, ""),
        ("meta", ["long", "short"], ""),
        ("exits", ["exit_long", "exit_short"], ""),
        ("exits of a side", ["exit_short"], "up"),
        ("filtered exits", ["exit_long"], "down"),
        ("vote", None, ""),
    ],
)
def test_labels_of_trades_know_their_side(name: str, arrays: Any, way: str) -> None:
    labels = MAKERS[name](CANDLES)
    told = fed(labels)
    assert (None if told is None else list(told)) == arrays
    assert direction(labels) == way
    if name == "meta" and told is not None:
        decided = primary(CANDLES)
        np.testing.assert_array_equal(told["long"], decided == 1)
        np.testing.assert_array_equal(told["short"], decided == -1)


def test_votes_of_different_sides_feed_nothing() -> None:
    long, short = (
        bp.labels.triple_barrier(CANDLES, RULES, costs=COSTS, side=side)
        for side in ("long", "short")
    )
    with pytest.raises(bp.TrainingError, match="do not say which side class 1 is for"):
        fed(bp.labels.vote([long, short], k=1))
    assert list(fed(bp.labels.vote([long, long], k=2)) or ()) == ["long"]
