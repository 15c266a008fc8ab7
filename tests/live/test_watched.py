"""A watch inside a session: what it withholds, it says why, in the decision, in the log, and parity follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.bundle import Bundle
from tests.live.market import COSTS, RULES, candles, folder, session, trained

START, STOP = 1_000, 1_800
# What remembers little: rows that hang together count for few, and few rows prove no drift.
FEATURES = ("log_return(1)", "rsi(14)")
TABLE = bp.FeatureSet(list(FEATURES)).compute(candles())


def own() -> bp.Bundle:
    return trained(2_000, FEATURES).bundles[0]


def reference(shift: float = 0.0, bundle: bp.Bundle | None = None) -> bp.WatchReference:
    """Of the bars before the session, or of bars whose rsi stood elsewhere."""
    rows = TABLE[300:START].with_columns(pl.col("rsi(14)") + shift)
    return bp.WatchReference.of(bundle or own(), rows)


def sure() -> bp.Bundle:
    """The same model, sure of a rise at every bar."""
    bundle = own()
    told = {"method": "platt", "classes": [0, 1], "slope": [1.0], "intercept": [2.5]}
    parts = {name: replace(part, calibration=told) for name, part in bundle.parts.items()}
    return Bundle(parts, bundle.features, bundle.manifest)


CASES: dict[str, tuple[Callable[[], bp.Watch], str]] = {
    "drift of a feature": (
        lambda: bp.Watch(reference(-25.0), feature_psi=0.25, window=200),
        "drift of `rsi(14)`: PSI ",
    ),
    "drift of probabilities": (
        lambda: bp.Watch(reference(bundle=sure()), probability_psi=0.25, window=200),
        "drift of `p_",
    ),
    "rate": (lambda: bp.Watch(reference(), rate=4_000.0), "were claimed contradict 4000 a day"),
    "outside": (lambda: bp.Watch(reference(), outside=0.4), "far outside of the reference"),
}
CODES = {"drift of a feature": "(PAR-06)", "drift of probabilities": "(DEC-04)", "rate": "(CLM-10)"}


def watched(state: Any, watch: bp.Watch, **changes: Any) -> list[bp.Decision]:
    """Step a session, made again from its state on the way."""
    out = []
    for first, last in ((START, 1_403), (1_403, STOP)):
        given = {"bundle": own(), "watch": watch, "checkpoint_bars": 50, **changes}
        live = session(state, START, **given)
        out += [live.on_bar(bar) for bar in candles()[first:last]]
        live.close()
    return out


@pytest.mark.parametrize("name", CASES)
def test_what_is_withheld_says_why(name: str) -> None:
    made, text = CASES[name]
    with folder() as state:
        decisions = watched(state, made())
        why = [d.withheld for d in decisions]
        said = [w for w in why if w is not None]
        assert 0 < len(said) < len(decisions)
        assert all(text in w for w in said), said[0]
        assert all(CODES.get(name, "") in w for w in said)
        log = bp.LiveLog.read(state)
        assert log.decisions["withheld"].to_list() == why
        events = log.events.filter(pl.col("kind") == "withheld")
        assert events.height == len(said)
        # Nothing is entered at the bar after; what is held may stay.
        for before, now in zip(decisions, decisions[1:], strict=False):
            if before.withheld is not None and before.position == 0:
                assert now.position == 0 and before.action in ("withheld", "none", "wait")
        found = bp.parity(state, candles()[:STOP], own(), RULES, costs=COSTS)
        assert found.equal and found.exit_code == 0, str(found)


def test_outcomes_that_contradict_the_probabilities_end_the_entries() -> None:
    """Labels mature from the session's own bars; once refuted, nothing is entered any more."""
    bundle = sure()
    watch = bp.Watch(reference(bundle=bundle), calibration=True)
    with folder() as state:
        decisions = watched(state, watch, bundle=bundle)
        first = next(k for k, d in enumerate(decisions) if d.withheld is not None)
        assert "were foreseen: probabilities are refuted" in (decisions[first].withheld or "")
        assert all(d.withheld is not None for d in decisions[first:])
        assert 10 < first < 300
        # By hand: outcomes of labels that do not overlap, and two likelihood ratios of the log odds.
        opens = np.array([bar.open for bar in candles()[START:STOP]])
        p = np.array([d.p_long for d in decisions], dtype=float)
        logs, free, spoke = [0.0, 0.0], 0, None
        for k in range(len(p)):
            number = k - 4  # Entered at the next open, three bars held.
            if number >= free:
                hit = opens[number + 4] > opens[number + 1]
                odds = np.log(p[number] / (1 - p[number]))
                for i, shift in enumerate((0.5, -0.5)):
                    other = 1 / (1 + np.exp(-(odds + shift)))
                    logs[i] += np.log(other / p[number] if hit else (1 - other) / (1 - p[number]))
                free = number + 4
                if np.log(np.mean(np.exp(logs))) >= np.log(100):
                    spoke = k
                    break
        assert first == spoke


def test_a_watch_that_says_nothing_changes_nothing() -> None:
    with folder() as place:
        quiet = watched(place / "a", bp.Watch(reference(), feature_psi=50.0))
        plain = session(place / "b", START, bundle=own())
        want = [plain.on_bar(bar) for bar in candles()[START:STOP]]
        plain.close()
        assert [d._replace(decided_at=0) for d in quiet] == [d._replace(decided_at=0) for d in want]
