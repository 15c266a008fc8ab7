"""Audits of the labels: LAB-01, LAB-02 and LAB-03."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.common import audited, capped, made, numbers, plural
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.candles import Candles
from barproof.errors import ShapeError
from barproof.labels.again import recomputed

__all__ = ["class_balance", "degenerate_label", "label_against_price"]

TOLERANCE = 0.001
MAX_HORIZON = 24
SHIFTS = (-2, -1, 0, 1, 2)
BAND = (0.25, 0.35)
RARE, COMMON = 0.05, 0.95
_SCREEN = 2_000

Floats = NDArray[np.float64]


def _values(labels: Any) -> Floats:
    return numbers("labels", getattr(labels, "values", labels))


@audited
def degenerate_label(parts: Mapping[str, Any], *, classes: Any = None) -> Finding:
    """LAB-01: every part holds every class.

    Parameters
    ----------
    parts : mapping of str to array_like
        Labels of each part; NaN is no label.
    classes : sequence of float, optional
        Classes that ought to be there. Default: all that occur in any part. Continuous labels (more than 20 values)
        must only not be constant.

    Returns
    -------
    Finding
        Fails where a part holds one class, warns where it lacks one of several.

    Examples
    --------
    >>> degenerate_label({"train": [0, 1, 1], "test": [1, 1, 1]}).outcome
    'fail'
    """
    held = {}
    for name, values in parts.items():
        array = _values(values)
        held[name] = array[np.isfinite(array)]
    if not held or all(len(values) < 2 for values in held.values()):
        total = sum(len(values) for values in held.values())
        return made(
            "LAB-01",
            "inconclusive",
            f"{plural(total, 'label')} in {plural(len(held), 'part')}: nothing to check",
            measured=Measured("labels", total, "count"),
            remedy="give labels that are defined: bp.labels.horizon(candles, bars=...)",
        )
    everything = np.unique(np.concatenate(list(held.values())))
    continuous = classes is None and len(everything) > 20
    wanted = everything if classes is None else np.unique(numbers("classes", classes))
    rows = []
    for name, values in held.items():
        present, counts = np.unique(values, return_counts=True)
        lacking = [] if continuous else [float(c) for c in np.setdiff1d(wanted, present)]
        state = "empty" if len(values) < 2 else "one class" if len(present) == 1 else ""
        state = state or ("lacks" if lacking else "")
        if state:
            shown = {f"{c:g}": int(k) for c, k in zip(present[:5], counts[:5], strict=True)}
            rows.append({"part": name, "fault": state, "counts": shown, "lacking": lacking})
    order = ["one class", "empty", "lacks"]
    rows.sort(key=lambda row: order.index(str(row["fault"])))
    single = [row for row in rows if row["fault"] == "one class"]
    empty = [row for row in rows if row["fault"] == "empty"]
    measured = Measured("parts with one class", len(single), "count", n=len(held))
    gate = Gate("=", 0, "case S002", "with one class every forecast is right and none has skill")
    evidence = capped(rows, len(rows))
    cause = (
        "LAB-02 label against price",
        "a test part too short",
        "a filter that the label depends on",
    )
    remedy = "recompute the labels with bp.labels.horizon(...), or make the part longer"
    if single:
        name = str(single[0]["part"])
        return made(
            "LAB-01",
            "fail",
            f"{len(single)} of {len(held)} parts holds one class only: {name} has "
            f"{plural(len(held[name]), 'label')}, all {held[name][0]:g}",
            measured=measured,
            gate=gate,
            evidence=evidence,
            cause=cause,
            remedy=remedy,
            scope={"part": name},
        )
    if empty:
        return made(
            "LAB-01",
            "inconclusive",
            f"{len(empty)} of {len(held)} parts has fewer than 2 labels, first {empty[0]['part']}",
            measured=measured,
            gate=gate,
            evidence=evidence,
            cause=cause,
            remedy=remedy,
        )
    if rows:
        first = rows[0]
        return made(
            "LAB-01",
            "warn",
            f"{len(rows)} of {len(held)} parts lacks a class, first {first['part']} without {first['lacking']}",
            measured=Measured("parts that lack a class", len(rows), "count", n=len(held)),
            gate=Gate("=", 0, "case S002", "a class that is not there cannot be judged"),
            evidence=evidence,
            cause=cause,
            remedy=remedy,
        )
    kinds = "values" if continuous else plural(len(wanted), "class", "classes")
    return made(
        "LAB-01",
        "pass",
        f"all {plural(len(held), 'part')} {'vary' if continuous else f'hold all {kinds}'}",
        measured=measured,
        gate=gate,
    )


class _Market(NamedTuple):
    """Prices that a label may be made from."""

    close: Floats
    open: Floats | None


def _market(candles: Any, n: int) -> _Market:
    if hasattr(candles, "close"):
        close = numbers("close", candles.close)
        open_: Floats | None = numbers("open", candles.open)
    elif hasattr(candles, "keys") or hasattr(candles, "columns"):
        close = numbers("close", candles["close"])
        open_ = numbers("open", candles["open"]) if "open" in candles else None
    else:
        close, open_ = numbers("close", candles), None
    if len(close) != n:
        raise ShapeError(f"`labels` hold {n:,} rows, but the prices {len(close):,}: give one a bar")
    return _Market(close, open_)


def _forward(prices: Floats, bars: int, lead: int) -> Floats:
    """Return from `lead` bars after each bar to `bars` bars later; NaN where prices end."""
    n = len(prices)
    out = np.full(n, np.nan)
    first = np.arange(n) + lead
    known = (first >= 0) & (first + bars < n) & (first + bars >= 0)
    begin = first[known]
    with np.errstate(divide="ignore", invalid="ignore"):
        out[known] = prices[begin + bars] / prices[begin] - 1.0
    return out


def _horizon(rule: Mapping[str, Any], market: _Market) -> Floats | None:
    """Apply a horizon rule, as docs say and not as labels.py writes it; None where it cannot be."""
    if rule.get("name") != "horizon" or rule.get("clock") not in ("open", "close"):
        return None
    opened = rule["clock"] == "open"
    prices = market.open if opened else market.close
    if prices is None:
        return None
    moves = _forward(prices, int(rule["bars"]), 1 if opened else 0)
    threshold = float(rule.get("threshold") or 0.0)
    if rule.get("kind") == "regression":
        return moves
    expected = np.full(len(moves), np.nan)
    for i in np.flatnonzero(~np.isnan(moves)):
        if moves[i] > threshold:
            expected[i] = 1.0
        else:
            expected[i] = -1.0 if rule.get("kind") == "ternary" and moves[i] < -threshold else 0.0
    return expected


@audited
def label_against_price(
    labels: Any,
    candles: Any,
    *,
    rule: Mapping[str, Any] | None = None,
    max_horizon: int = MAX_HORIZON,
) -> Finding:
    """LAB-02: the labels are what their rule gives on the prices.

    Parameters
    ----------
    labels : Labels or array_like of shape (n,)
        One a bar, NaN where there is none; classes 0 and 1, or -1, 0 and 1, or returns.
    candles : Candles, frame with `close` (and `open`), or array_like of closes
        One row a label.
    rule : mapping, optional
        As of :attr:`Labels.rule`. Default: that of the labels; without one, a rule is searched.
    max_horizon : int, default 24
        Longest horizon of the search, in bars.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 labels, or where no rule is found.

    Raises
    ------
    ShapeError
        If there is not one price a label.

    Examples
    --------
    >>> import numpy as np
    >>> close = 100 + np.cumsum(np.sin(np.arange(200.0) ** 1.1))
    >>> up = np.append(close[1:] > close[:-1], np.nan)
    >>> label_against_price(up, close).evidence["rule"]
    'close(t+1) / close(t) - 1 > 0'
    """
    values = _values(labels)
    market = _market(candles, len(values))
    rule = rule if rule is not None else getattr(labels, "rule", None)
    defined = np.isfinite(values)
    n = int(defined.sum())
    if n < 30:
        return made(
            "LAB-02",
            "inconclusive",
            f"{plural(n, 'label')}: too few to tell a rule from chance",
            measured=Measured("labels", n, "count"),
            remedy="give the labels of all bars",
        )
    expected = _horizon(rule, market) if rule else None
    if expected is not None and rule is not None:
        return _against_rule(values, expected, rule)
    if rule and rule.get("name") != "horizon" and isinstance(candles, Candles):
        again = recomputed(labels, rule, candles)
        if isinstance(again, str):
            return made(
                "LAB-02",
                "inconclusive",
                f"the labels cannot be made again by their rule {rule.get('name')!r}: {again}",
                measured=Measured("labels", n, "count"),
                evidence={"rule": dict(rule)},
                remedy="give labels whose rule looks at candles alone, or compare them with bp.labels.remake(...)",
            )
        if again is not None:
            return _against_rule(values, again.values, rule, _other_spans(labels, again))
    return _search(values, market, max_horizon, dict(rule) if rule else None)


def _other_spans(labels: Any, again: Any) -> NDArray[np.bool_]:
    """Rows whose label is said to need other bars than it does: splitters purge by what is said."""
    if not hasattr(labels, "start") or not hasattr(labels, "end"):
        return np.zeros(len(again), dtype=bool)
    # Beyond the data every end is as far.
    n = len(again)
    ends = np.minimum(labels.end, n), np.minimum(again.end, n)
    differs: NDArray[np.bool_] = (labels.start != again.start) | (ends[0] != ends[1])
    return differs


def _against_rule(
    values: Floats,
    expected: Floats,
    rule: Mapping[str, Any],
    spans: NDArray[np.bool_] | None = None,
) -> Finding:
    """Compare labels with those of their rule: values, what is undefined, and spans."""
    both = np.isfinite(values) & np.isfinite(expected)
    close = np.isclose(values, expected, rtol=1e-9, atol=1e-12)
    differs = (both & ~close) | (np.isfinite(values) != np.isfinite(expected))
    moved = int(spans.sum()) if spans is not None else 0
    if spans is not None:
        differs |= spans
    count, n = int(differs.sum()), int((np.isfinite(values) | np.isfinite(expected)).sum())
    share = count / n
    rows = (
        {"row": int(i), "label": values[i], "rule_gives": expected[i]}
        for i in np.flatnonzero(differs)
    )
    outcome: Outcome = "fail" if share > TOLERANCE else "pass"
    named = f"{rule.get('name')}({rule.get('bars')} bars, {rule.get('kind')})"
    if spans is not None:
        named = f"`{rule.get('name')}`"
    first = int(np.flatnonzero(differs)[0]) if count else -1
    title = f"{count:,} of {n:,} labels ({share:.2%}) differ from their rule {named}"
    if moved:
        title += f" ({moved:,} in the bars that they need)"
    return made(
        "LAB-02",
        outcome,
        f"{title}, first row {first}" if count else f"all {n:,} labels equal their rule {named}",
        measured=Measured("share differing", share, "fraction", n=n),
        gate=Gate(
            "<=", TOLERANCE, "default", "ties and rounding only: a model learns what labels say"
        ),
        evidence={**capped(rows, count), "rule": dict(rule)},
        cause=(
            "labels shifted against the bars",
            "another price or horizon",
            "candles that changed",
        ),
        remedy="make the labels again from these candles: bp.labels.horizon(candles, bars=...)",
        fixable=True,
    )


def _search(
    values: Floats, market: _Market, max_horizon: int, rule: dict[str, Any] | None
) -> Finding:
    """Look for a simple rule that reproduces the labels."""
    defined = values[np.isfinite(values)]
    classes, counts = np.unique(defined, return_counts=True)
    up = defined == classes[-1]
    moves = np.diff(market.close)
    rising, bars = int(np.sum(moves > 0)), int(np.sum(np.isfinite(moves)))
    test = stats.two_proportions(int(up.sum()), len(defined), rising, bars)
    evidence: dict[str, Any] = {
        "labels_up": int(up.sum()),
        "labels": len(defined),
        "bars_up": rising,
        "bars": bars,
        "z": test.z,
        "log10_p": test.log10_p,
        "declared_rule": rule,
    }
    gate = Gate("<=", TOLERANCE, "default", "a rule is found where 99.9% of the rows follow it")
    told = f"{int(up.sum()):,} of {len(defined):,} labels up, {rising:,} of {bars:,} bars (z = {test.z:.1f})"
    remedy = "declare the rule: bp.labels.horizon(candles, bars=...), or rule= as its `rule` says"
    if counts.max() >= (1 - TOLERANCE) * len(defined):
        positive = bool(np.all(market.close[np.isfinite(market.close)] > 0)) and classes[-1] > 0
        name = "close > 0" if positive else f"always {classes[np.argmax(counts)]:g}"
        return made(
            "LAB-02",
            "fail",
            f"the labels follow the rule `{name}`: {told}",
            measured=Measured(
                "share of one class", counts.max() / len(defined), "fraction", n=len(defined)
            ),
            gate=Gate("<", 1 - TOLERANCE, "case S002", "a label that never changes says nothing"),
            evidence={**evidence, "rule": name},
            cause=("the target column is a price and not a move", "LAB-01 degenerate label"),
            remedy=remedy,
        )
    if len(classes) > 20:
        best = _search_returns(values, market, max_horizon)
    else:
        best = _search_classes(values, market, max_horizon)
    measured = Measured(
        "share differing", best.error if best else np.nan, "fraction", n=len(defined)
    )
    if best is None or best.error > TOLERANCE:
        near = f"; nearest `{best.name}`, {best.error:.1%} differ" if best else ""
        return made(
            "LAB-02",
            "inconclusive",
            f"no simple rule reproduces the labels{near}: {told}",
            measured=measured,
            gate=gate,
            evidence={**evidence, "nearest": best.name if best else None},
            cause=("a filter or a rule of several steps", "labels of other candles"),
            remedy=remedy,
        )
    known = best.last <= 0
    return made(
        "LAB-02",
        "fail" if known else "pass",
        f"the labels follow `{best.name}`"
        + (", which is known at their own bar's close" if known else f": {best.error:.2%} differ"),
        measured=Measured("last bar that the rule needs", best.last, "bars after its own")
        if known
        else measured,
        gate=Gate(">", 0, "default", "what is known already needs no forecast") if known else gate,
        evidence={**evidence, "rule": best.name},
        cause=("labels shifted against the bars",),
        remedy="a label of bar t must use bars after t: shift it, or make it with bp.labels.horizon(...)",
    )


class _Rule(NamedTuple):
    """A rule that was tried: how often it errs, and the last bar that it needs."""

    error: float
    name: str
    last: int


def _moves(market: _Market, max_horizon: int) -> Any:
    """Every return that a label may follow: horizon, name, values, last bar needed; the likeliest first."""
    for name, prices in (("close", market.close), ("open", market.open)):
        if prices is None:
            continue
        for shift in sorted(SHIFTS, key=abs):
            for bars in range(1, max_horizon + 1):
                begin = f"t{shift:+d}" if shift else "t"
                text = f"{name}(t{shift + bars:+d})" if shift + bars else f"{name}(t)"
                # The open of a bar is known before its close.
                yield f"{text} / {name}({begin}) - 1", _forward(prices, bars, shift), shift + bars


def _sampled(values: Floats) -> NDArray[np.intp]:
    rows = np.flatnonzero(np.isfinite(values))
    return rows[:: max(1, len(rows) // _SCREEN)]


def _search_returns(values: Floats, market: _Market, max_horizon: int) -> _Rule | None:
    best: _Rule | None = None
    some = _sampled(values)
    for name, moves, last in _moves(market, max_horizon):
        for form, x in (("", moves), ("log of ", np.log1p(moves))):
            if np.nanmean(~np.isclose(values[some], x[some], rtol=1e-6, atol=1e-12)) > 0.05:
                continue
            both = np.isfinite(values) & np.isfinite(x)
            wrong = ~np.isclose(values[both], x[both], rtol=1e-6, atol=1e-12)
            best = _better(best, _Rule(float(np.mean(wrong)), f"{form}{name}", last))
    return best


def _search_classes(values: Floats, market: _Market, max_horizon: int) -> _Rule | None:
    """Find the move and the cuts that give the classes best."""
    best: _Rule | None = None
    classes = np.unique(values[np.isfinite(values)])
    some = _sampled(values)
    for name, moves, last in _moves(market, max_horizon):
        quick = _fit(values[some], moves[some], classes)
        if quick is None or (best is not None and best.error <= TOLERANCE and quick[0] > TOLERANCE):
            continue
        if quick[0] > 0.05 and best is not None and quick[0] >= best.error:
            continue
        full = _fit(values, moves, classes)
        if full is None:
            continue
        error, cuts = full
        shown = " / ".join(f"{cut:.6g}" for cut in cuts)
        best = _better(best, _Rule(error, f"{name} > {shown}", last))
        if best.error == 0.0:
            break
    return best


def _better(best: _Rule | None, new: _Rule) -> _Rule:
    return new if best is None or new.error < best.error else best


def _fit(labels: Floats, moves: Floats, classes: Floats) -> tuple[float, list[float]] | None:
    """Share of rows that the best thresholds get wrong: 0 where it does, else the value that separates best."""
    both = np.isfinite(labels) & np.isfinite(moves)
    if int(both.sum()) < 30:
        return None
    y, x = labels[both], moves[both]
    order = np.argsort(x, kind="stable")
    ranked = x[order]
    wrong = 0
    cuts: list[float] = []
    if len(classes) == 2:
        levels = [classes[1]]
    elif len(classes) == 3:
        # Symmetric thresholds: up beyond k, down beyond -k.
        levels = [classes[2], classes[1]]
    else:
        return None
    for level in levels:
        high = y[order] >= level
        at_zero = int(np.sum((x > 0) != (y >= level))) if len(classes) == 2 else len(y)
        # Everything from place k on counts as high.
        errors = np.r_[0, np.cumsum(high)] + np.r_[np.cumsum(~high[::-1])[::-1], 0]
        k = int(np.argmin(errors))
        if at_zero <= max(int(errors[k]), TOLERANCE * len(y)):
            wrong, cut = wrong + at_zero, 0.0
        else:
            low = ranked[k - 1] if k else ranked[0]
            top = ranked[k] if k < len(ranked) else ranked[-1]
            wrong, cut = wrong + int(errors[k]), float((low + top) / 2)
        cuts.append(cut)
    return wrong / len(y), cuts


@audited
def class_balance(labels: Any, *, band: tuple[float, float] = BAND) -> Finding:
    """LAB-03: the share of positives, and what a constant forecast scores.

    Parameters
    ----------
    labels : Labels or array_like of shape (n,)
        Classes 0 and 1, or -1, 0 and 1; NaN is no label. Each class but 0 (or the lowest) counts as positives.
    band : tuple of float, default (0.25, 0.35)
        Shares that need no explanation.

    Returns
    -------
    Finding
        Skipped for labels that are no classes; inconclusive for fewer than 30.

    Examples
    --------
    >>> class_balance([0, 0, 1] * 100).outcome
    'pass'
    """
    values = _values(labels)
    values = values[np.isfinite(values)]
    classes = np.unique(values)
    n = len(values)
    if n < 30:
        return made(
            "LAB-03",
            "inconclusive",
            f"{plural(n, 'label')}: too few for a share",
            measured=Measured("labels", n, "count"),
            remedy="give the labels of all bars",
        )
    if getattr(labels, "kind", "") == "regression" or len(classes) > 20:
        return made("LAB-03", "skipped", "the labels are no classes: they have no balance")
    rest = 0.0 if 0.0 in classes else float(classes[0])
    rows = []
    for c in classes[classes != rest] if len(classes) > 1 else classes:
        k = int(np.sum(values == c))
        base = stats.constant_forecast(k, n)
        interval = stats.wilson(k, n)
        rows.append(
            {
                "class": float(c),
                "positives": k,
                "share": base.share,
                "low": interval.low,
                "high": interval.high,
                "constant_log_loss": base.entropy,
                "constant_brier": base.brier,
                "weight": base.weight,
                "constant_weighted_log_loss": base.weighted_loss,
            }
        )
    rows.sort(key=lambda row: -abs(row["share"] - sum(band) / 2))
    worst = rows[0]
    share = worst["share"]
    outcome: Outcome = "pass"
    if not band[0] <= share <= band[1]:
        outcome = "warn"
    if share < RARE or share > COMMON or len(classes) < 2:
        outcome = "fail"
    source = "case S003" if band == BAND else "argument"
    return made(
        "LAB-03",
        outcome,
        f"class {worst['class']:g} holds {share:.1%} of {n:,} labels; a constant scores "
        f"{worst['constant_log_loss']:.4f} nats",
        measured=Measured(
            "share of positives",
            share,
            "fraction",
            low=worst["low"],
            high=worst["high"],
            level=0.95,
            method="wilson",
            n=n,
        ),
        gate=Gate(
            "within",
            f"{band[0]:g} to {band[1]:g}",
            source,
            "rare classes are hard to learn and to judge",
        ),
        evidence=capped(rows, len(rows)),
        cause=("a threshold too high or too low for the horizon", "a filter"),
        remedy="change threshold or horizon, or say why the share is right: bp.audits.class_balance(labels, band=...)",
        scope={"class": worst["class"]},
        assumptions={"independent labels": "unchecked"},
    )
