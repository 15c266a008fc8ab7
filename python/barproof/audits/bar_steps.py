"""Steps of :func:`barproof.audit` that look at bars, labels, folds, predictions and trades as they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from barproof.audits.common import made, numbers
from barproof.audits.data import bar_integrity, coverage
from barproof.audits.differing import RELATIVE
from barproof.audits.economics import (
    break_even_win_rate,
    expectancy,
    few_trades,
    share_interval,
    trade_returns,
)
from barproof.audits.inputs import Inputs
from barproof.audits.labels import class_balance, degenerate_label, label_against_price
from barproof.audits.lookahead import lookahead
from barproof.audits.model import Finding
from barproof.audits.parity import feature_identity
from barproof.audits.predictions import class_bias, flat_predictions, threshold_reachability
from barproof.audits.splits import parts_of, purge, split_order
from barproof.bundle import AGREE
from barproof.features import FeatureSet
from barproof.inference import window_of
from barproof.rules import Rules
from barproof.stats import break_even

__all__ = ["ALL_ROWS", "BAR_STEPS", "LAST_ROWS"]

_FUNDING = "funding"
ALL_ROWS = 20_000
"""Bars up to which SPL-07 compares all rows of each prefix, whatever the features remember."""
LAST_ROWS = 64


def _scoped(finding: Finding, name: str, count: int) -> Finding:
    """Say of which part a finding speaks, where there are several."""
    if count < 2:
        return finding
    return replace(finding, scope={"part": name, **finding.scope}, title=f"{name}: {finding.title}")


def _bars(x: Inputs) -> Iterator[Finding]:
    if x.market is not None:
        yield bar_integrity(x.market)


def _auxiliary(x: Inputs) -> Iterator[Finding]:
    candles = x.market
    if candles is None or not len(candles):
        return
    step = candles.interval_ms
    series: dict[str, Any] = {}
    periods: dict[str, int] = {}
    for name, values in candles.extra.items():
        series[name] = candles.open_time[np.isfinite(values)]
        periods[name] = step
    funding = candles.funding
    if funding is not None:
        series[_FUNDING] = funding["funding_time"]
    declined = (_FUNDING,) if candles.instrument.kind == "perpetual" and funding is None else ()
    if series or declined:
        first, last = int(candles.open_time[0]), int(candles.open_time[-1]) + step
        # Holes of the bars themselves are no holes of what is joined to them.
        for name in periods:
            periods[name] = max(step, round((last - first) / len(candles)))
        yield coverage(series, start=first, end=last, period_ms=periods, declined=declined)


def _degenerate(x: Inputs) -> Iterator[Finding]:
    if not x.label_sets:
        return
    parts: dict[str, Any] = {}
    several = len(x.label_sets) > 1
    for name, held in x.label_sets.items():
        values = numbers("labels", getattr(held, "values", held))
        head = f"{name} " if several else ""
        if not x.fold_list:
            parts[f"{head}all"] = values
        for i, fold in enumerate(parts_of(x.fold_list)):
            whole = () if "tune_choose" in fold else ("tune",)
            for part in ("train", *whole, "tune_calibrate", "tune_choose", "test"):
                rows = fold.get(part, np.empty(0, np.int64))
                if len(rows):
                    parts[f"{head}fold {i} {part}"] = values[rows]
    kinds = {getattr(held, "kind", "") for held in x.label_sets.values()}
    wanted = {"binary": (0.0, 1.0), "ternary": (-1.0, 0.0, 1.0)}
    kind = kinds.pop() if len(kinds) == 1 else ""
    yield degenerate_label(parts, classes=wanted.get(kind))


def _against_price(x: Inputs) -> Iterator[Finding]:
    if x.market is None:
        return
    for name, held in x.label_sets.items():
        yield _scoped(label_against_price(held, x.market), name, len(x.label_sets))


def _balance(x: Inputs) -> Iterator[Finding]:
    for name, held in x.label_sets.items():
        yield _scoped(class_balance(held), name, len(x.label_sets))


def _order(x: Inputs) -> Iterator[Finding]:
    if x.folds is not None or x.run is not None:
        yield split_order(x.fold_list)


def _purge(x: Inputs) -> Iterator[Finding]:
    if x.folds is not None or x.run is not None:
        yield purge(x.fold_list, x.spans)


def _lookahead(x: Inputs) -> Iterator[Finding]:
    if x.market is None:
        return
    used = getattr(x.run, "X", None)
    if x.path is None:
        if x.run is not None:
            yield made(
                "SPL-07",
                "inconclusive",
                "the features of the run cannot be computed again: whether they look ahead is unknown",
                evidence={"reason": x.notes.get("features", "its columns name no features")},
                remedy="give features=: the FeatureSet, or a function of candles",
            )
        return
    yield lookahead(
        x.path,
        x.market,
        seed=x.seed,
        models=_models(x) if x.run is not None else None,
        **_memory(x),
        used=used,
        # Features tell what they remember: the last rows at each cut then say as much as all, in a tenth of the time.
        window=LAST_ROWS if len(x.market) > ALL_ROWS and isinstance(x.path, FeatureSet) else None,
        max_seconds=x.max_seconds,
    )


def _memory(x: Inputs) -> dict[str, Any]:
    """Say how many rows models of the last bundle look at, and how exactly they say the same again."""
    parts = getattr(x.bundle_list[-1], "parts", None) if x.bundle_list else None
    fitted = [part.model for part in parts.values()] if isinstance(parts, Mapping) else []
    return {
        "models_window": max((window_of(model) for model in fitted), default=1),
        "models_agree": max(
            (AGREE[getattr(model, "precision", "f64")] for model in fitted), default=RELATIVE
        ),
    }


def _models(x: Inputs) -> Callable[[Any], Any] | None:
    """Predictions of all parts of the last bundle, on a table of features."""
    if not x.bundle_list:
        return None
    bundle = x.bundle_list[-1]
    parts = getattr(bundle, "parts", None)
    names = list(parts) if isinstance(parts, Mapping) and parts else []

    def predict(frame: Any) -> pl.DataFrame:
        answers = (
            {name: bundle.predict(frame, part=name) for name in names}
            if names
            else {"": bundle.predict(frame)}
        )
        columns: dict[str, Any] = {}
        for name, values in answers.items():
            table = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
            columns |= {f"{name} {k}".strip(): table[:, k] for k in range(table.shape[1])}
        return pl.DataFrame(columns)

    return predict


class _Table:
    """Feature columns of a run, as if a model had been trained on them."""

    def __init__(self, names: Iterable[str]) -> None:
        self.features = tuple(names)


def _identity(x: Inputs) -> Iterator[Finding]:
    if not x.bundle_list:
        return
    names = getattr(x.run, "names", None)
    now = x.features if hasattr(x.features, "names") else names
    now = now if now is not None else getattr(x.run, "X", None)
    if now is None:
        return
    trained = list(x.bundle_list)
    if names is not None and now is not names:
        trained.insert(0, _Table(names))
    yield feature_identity(now, trained)


def _flat(x: Inputs) -> Iterator[Finding]:
    groups: dict[str, Any] = {}
    if x.predicted is not None:
        for part, fold, rows, names in x.columns(x.predicted):
            # Of two probabilities that add up to 1 one says it all.
            for name in names[1:] if names == ["p_0", "p_1"] else names:
                groups[f"{part} fold {fold} {name}".strip()] = rows[name]
    elif x.signal_set is not None:
        held = x.signal_set
        for name in held.names:
            if name in ("long", "short", "exit_long", "exit_short"):
                groups[name] = held[name]
        values: Any = (
            np.unique(np.concatenate([v[np.isfinite(v)] for v in groups.values()]))
            if groups
            else []
        )
        if groups and set(values) <= {0.0, 1.0} and x.run is None:
            yield made("PRED-01", "skipped", "the signals are rules (0 or 1), not forecasts")
            return
    if groups:
        yield flat_predictions(groups)


def _bias(x: Inputs) -> Iterator[Finding]:
    if x.predicted is None or "label" not in x.predicted.columns:
        return
    pooled: dict[str, list[tuple[pl.DataFrame, list[str]]]] = {}
    for part, _, rows, names in x.columns(x.predicted):
        pooled.setdefault(part, []).append((rows, names))
    for part, groups in pooled.items():
        names = groups[0][1]
        if "prediction" in names or not names:
            yield made("PRED-04", "skipped", "predictions of returns have no classes")
            continue
        rows = pl.concat([g for g, _ in groups], how="diagonal")
        p = np.column_stack([numbers(name, rows[name]) for name in names])
        classes = [float(name.removeprefix("p_")) for name in names]
        finding = class_bias(p, numbers("label", rows["label"]), classes=classes)
        yield _scoped(finding, part, len(pooled))


def _reach(x: Inputs) -> Iterator[Finding]:
    held = x.signal_set
    rules = getattr(x.result, "rules", None)
    if held is None or (rules is None and x.sweep is None):
        return
    n = len(held)
    sides: dict[str, tuple[Any, Any]] = {}
    for side in ("long", "short"):
        if side not in held.names:
            continue
        bound = (
            _thresholds(rules, f"entry_{side}", n)
            if rules is not None
            else np.full(n, _lowest(x.sweep, f"entry_{side}"))
        )
        if np.any(np.isfinite(bound)):
            sides[side] = (held[side], bound)
    if not sides:
        yield made(
            "PRED-05",
            "inconclusive",
            "no side has both a signal and a threshold: nothing could ever be entered",
            remedy="set entry_long or entry_short",
        )
        return
    yield threshold_reachability(sides, folds=_fold_numbers(x, n))


def _fold_numbers(x: Inputs, n: int) -> Any:
    """Fold of each bar by its test rows; -1 outside of the window and of all folds."""
    numbers_ = np.full(n, -1, np.int64)
    for i, fold in enumerate(parts_of(x.fold_list)):
        numbers_[fold["test"][fold["test"] < n]] = i
    if not x.fold_list:
        numbers_[:] = 0
    window = getattr(x.result, "window", None)
    if window is not None:
        numbers_[: window[0]] = -1
        numbers_[window[1] :] = -1
    return numbers_


def _thresholds(rules: Any, name: str, n: int) -> Any:
    """Threshold of each bar; NaN where the side is off."""
    schedule = [(0, rules)] if isinstance(rules, Rules) else list(rules)
    out = np.full(n, np.nan)
    for start, one in schedule:
        value = getattr(one, name)
        out[start:] = np.nan if value is None else value
    return out


def _lowest(sweep: Any, name: str) -> float:
    """Lowest threshold of a grid, which all others need at least."""
    if name in sweep.pooled.columns:
        lowest = sweep.pooled[name].cast(pl.Float64).min()
        return float("nan") if lowest is None else float(lowest)
    value = getattr(sweep.grid.rules, name)
    return float("nan") if value is None else float(value)


def _break_even(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        yield break_even_win_rate(x.trade_table)


def _expectancy(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        yield expectancy(x.trade_table, seed=x.seed)


def _count(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        yield few_trades(x.trade_table)


def _win_rate(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is None:
        return
    held = trade_returns(x.trade_table).finite
    up, down = held[held > 0], held[held < 0]
    null = break_even(float(up.mean()), float(-down.mean())) if len(up) and len(down) else None
    yield share_interval(len(up), len(up) + len(down), null=null, what="win rate")


BAR_STEPS: dict[str, Callable[[Inputs], Iterator[Finding]]] = {
    "DATA-01": _bars,
    "DATA-02": _auxiliary,
    "LAB-01": _degenerate,
    "LAB-02": _against_price,
    "LAB-03": _balance,
    "SPL-01": _order,
    "SPL-02": _purge,
    "SPL-07": _lookahead,
    "PAR-01": _identity,
    "PRED-01": _flat,
    "PRED-04": _bias,
    "PRED-05": _reach,
    "ECO-01": _break_even,
    "ECO-02": _expectancy,
    "ECO-09": _count,
    "SIG-02": _win_rate,
}
