"""Probabilities and decisions of a log beside those of the replay, and what they hold instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.bundle import AGREE, Bundle
from barproof.errors import BarproofError
from barproof.live.causes import same
from barproof.live.divergence import EXACT, LAYERS, Divergence, column_divergence, moment
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed, model_signals, threshold_sides
from barproof.live.trades import trade_divergences
from barproof.rules import Rules

__all__ = ["agreement", "decision_divergences", "probability_divergences"]

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def agreement(bundles: Sequence[Bundle]) -> float:
    """How far probabilities of one model may be apart: by the precision of its numbers."""
    parts = [part for bundle in bundles for part in bundle.parts.values()]
    return max((AGREE[getattr(part.model, "precision", "f64")] for part in parts), default=EXACT)


def probability_divergences(
    log: LiveLog,
    made: Replayed,
    rows: pl.DataFrame,
    bundles: Sequence[Bundle],
    rules: Any,
    features: Sequence[Divergence],
    count: dict[str, int],
) -> list[Divergence]:
    """Find where probabilities part, within what the precision of the model allows."""
    allowed = agreement(bundles)
    out: list[Divergence] = []
    for name, mine in made.signals.items():
        logged = rows[f"p_{name}"].fill_null(np.nan).to_numpy()
        if np.isnan(logged).all():
            continue
        count["probabilities"] += len(logged)
        with np.errstate(invalid="ignore"):
            size = np.maximum(1.0, np.abs(mine)) if np.nanmax(np.abs(mine)) > 1 else 1.0
            wrong = ~same(logged, mine) & ~(np.abs(logged - mine) <= allowed * size)

        def cause(
            name: str = name, logged: Floats = logged, mine: Floats = mine, wrong: Flags = wrong
        ) -> str:
            return _said_instead(
                log, made, rows, bundles, rules, features, (name, logged, mine, wrong)
            )

        out += column_divergence(
            "probabilities", made, f"p_{name}", (logged, mine), wrong, made.at, cause
        )
    return out


def _said_instead(
    log: LiveLog,
    made: Replayed,
    rows: pl.DataFrame,
    bundles: Sequence[Bundle],
    rules: Any,
    features: Sequence[Divergence],
    of: tuple[str, Floats, Floats, Flags],
) -> str:
    """Say what a column of probabilities holds instead; empty if nothing explains it."""
    name, logged, mine, wrong = of
    allowed = agreement(bundles)

    def alike(guess: Floats) -> bool:
        there = np.isfinite(logged) & np.isfinite(guess)
        with np.errstate(invalid="ignore"):
            close = np.abs(logged - guess) <= allowed
        return int(there.sum()) >= 8 and bool((close | same(logged, guess)).all())

    for other, said in made.signals.items():
        if other != name and alike(said):
            return f"it is p_{other}: sides are exchanged"
    for step in (1, -1, 2, -2):
        if alike(np.concatenate([logged[:step], mine[:-step]]) if step > 0 else
                 np.concatenate([mine[-step:], logged[step:]])):  # fmt: skip
            when = "earlier" if step > 0 else "later"
            return f"it is that of {abs(step)} bar{'s' if abs(step) > 1 else ''} {when}"
    told = set(rows["model_digest"].drop_nulls())
    others = told - {bundle.digest for bundle in bundles}
    if others:
        return f"the log names another model, {min(others)[:12]}, not {bundles[-1].digest[:12]}"
    if not any(f.layer == "features" for f in features):
        if not log.features.height and not rows["feature_digest"].drop_nulls().len():
            return "the log holds no features: whether these or the model differ cannot be told"
        if len(bundles) == 1 and _raw_fits(made, bundles[0], name, alike):
            return "it is what the model says before calibration"
        return "features agree: another model, or other weights"
    values = log.features.filter(pl.col("symbol") == made.symbol)
    if (
        values.height == rows.height
        and set(made.names) <= set(values.columns)
        and len(bundles) == 1
    ):
        frame = values.select(made.names).with_columns(pl.all().fill_null(np.nan))
        try:
            again = model_signals(bundles[0], frame, np.arange(rows.height), rules)
        except BarproofError:
            return ""
        if name in again and alike(again[name]):
            return "it is what this model says to the logged features: they are the cause"
    begins = min(f.open_time for f in features)
    parts = moment(made.candles.open_time[made.at[int(np.flatnonzero(wrong)[0])]])
    return "features differ before or at this bar" if begins <= parts else ""


def _raw_fits(made: Replayed, bundle: Bundle, name: str, alike: Callable[[Floats], bool]) -> bool:
    """Whether the log holds what the model says before calibration."""
    from dataclasses import replace

    bare = Bundle(
        {key: replace(part, calibration={"method": None}) for key, part in bundle.parts.items()},
        bundle.features,
        bundle.manifest,
    )
    frame = pl.DataFrame(
        {n: made.features[:, j] for j, n in enumerate(made.names)}, schema=list(made.names)
    )
    again = model_signals(bare, frame, made.at)
    return name in again and alike(again[name])


_WORDS = np.array(["flat", "long", "short"])


def decision_divergences(
    made: Replayed, rows: pl.DataFrame, rules: Any, log: LiveLog, count: dict[str, int]
) -> list[Divergence]:
    """Find where positions, signals and marks part."""
    out: list[Divergence] = []
    held = rows["withheld"].is_not_null().to_numpy()
    if rows["side"].null_count() < rows.height:
        logged, mine = rows["side"].to_numpy(), _WORDS[made.side]
        wrong = (logged != mine) & rows["side"].is_not_null().to_numpy()
        count["decisions"] += len(wrong)
        out += column_divergence(
            "decisions", made, "side", (logged, mine), wrong, made.at,
            lambda: _entered_at(logged, mine, rows, rules),
        )  # fmt: skip
    if rows["signal"].null_count() < rows.height and isinstance(rules, Rules):
        sides = threshold_sides(made.signals, rules)
        logged, mine = rows["signal"].to_numpy(), _WORDS[sides]
        wrong = (logged != mine) & rows["signal"].is_not_null().to_numpy() & ~held
        count["decisions"] += len(wrong)
        out += column_divergence(
            "decisions", made, "signal", (logged, mine), wrong, made.at,
            lambda: _asked_at(logged, mine, rows, rules),
        )  # fmt: skip
    marks = rows["equity"].fill_null(np.nan).to_numpy()
    if not np.isnan(marks).all():
        with np.errstate(invalid="ignore"):
            near = np.abs(marks - made.equity) <= EXACT * np.abs(made.equity)
        wrong = ~(near | np.isnan(marks) | np.isnan(made.equity))
        count["decisions"] += len(wrong)
        differs = bool(out) or _trades_differ(log, made)
        told = "" if differs else "positions agree: other costs, funding, sizes or initial equity"
        out += column_divergence(
            "decisions", made, "equity", (marks, made.equity), wrong, made.at, lambda: told
        )
    return out


def _trades_differ(log: LiveLog, made: Replayed) -> bool:
    return bool(trade_divergences(log, made, dict.fromkeys(LAYERS, 0)))


def _one(rules: Any) -> Rules | None:
    if isinstance(rules, Rules):
        return rules
    return rules[0][1] if len(rules) == 1 else None


def _entered_at(logged: Any, mine: Any, rows: pl.DataFrame, rules: Any) -> str:
    """Threshold at which live entered, from bars where it was flat and then was not."""
    one = _one(rules)
    if one is None or one.fill != "next_open":
        return ""
    flat = logged[:-1] == "flat"
    for name in ("long", "short"):
        p = rows[f"p_{name}"].fill_null(np.nan).to_numpy()[:-1]
        did = flat & (logged[1:] == name)
        left = flat & (logged[1:] == "flat") & (mine[:-1] == "flat") & (mine[1:] == name)
        told = _edge(p, did, left, getattr(one, f"entry_{name}"), name, "entered", "stayed flat")
        if told:
            return told
    return ""


def _asked_at(logged: Any, mine: Any, rows: pl.DataFrame, rules: Rules) -> str:
    """Threshold from what the log says at each close."""
    for name in ("long", "short"):
        p = rows[f"p_{name}"].fill_null(np.nan).to_numpy()
        left = (logged == "flat") & (mine == name)
        bound = getattr(rules, f"entry_{name}")
        told = _edge(p, logged == name, left, bound, name, "says", "says nothing")
        if told:
            return told
    return ""


def _edge(
    p: Floats, did: Flags, left: Flags, bound: float | None, name: str, verb: str, less: str
) -> str:
    """Say where a side begins, if one threshold explains what live did, and what only the rules do."""
    entered = p[did & np.isfinite(p)]
    if bound is None:
        return f"live goes {name}, and the rules never do" if len(entered) else ""
    if len(entered) and entered.min() < bound:
        return (
            f"live {verb} {name} from p_{name} {entered.min():.6g} on, the rules ask for {bound:.6g}: "
            "another threshold"
        )
    missed = p[left & np.isfinite(p)]
    if len(missed) and (not len(entered) or missed.max() < entered.min()):
        return f"live {less} up to p_{name} {missed.max():.6g}, the rules enter from {bound:.6g}: another threshold"
    return ""
