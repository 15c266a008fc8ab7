"""What `audit` hands to each audit: one step a code, which gives nothing where its input is not there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.calibration import (
    calibration_error,
    calibration_where_traded,
    proper_scores,
    reliability_curve,
    spiegelhalter,
)
from barproof.audits.checkpoint import bundle_manifest
from barproof.audits.contents import dead_features, feature_drift
from barproof.audits.data import milliseconds
from barproof.audits.dependence import clustered_trades
from barproof.audits.economics import trade_returns
from barproof.audits.exits import (
    concentration,
    exit_attribution,
    fill_realism,
    random_entry_control,
)
from barproof.audits.inputs import Inputs
from barproof.audits.learnable import (
    base_rate_drift,
    label_against_cost,
    label_timing,
    leaking_feature,
)
from barproof.audits.model import Finding
from barproof.audits.noise import domain_classifier, lag_test
from barproof.audits.payoff import (
    cost_sensitivity,
    drawdown_and_ruin,
    kelly_bound,
    payoff_asymmetry,
)
from barproof.audits.reuse import embargo, overlap
from barproof.audits.rows import duplicates_across_parts, enough_history
from barproof.audits.significance import (
    bootstrap_mean,
    exact_binomial,
    probabilistic_sharpe,
    sample_size,
    sharpe_interval,
    track_record,
)
from barproof.audits.skill import skill_over_baselines
from barproof.audits.splits import parts_of
from barproof.audits.sweep_steps import SWEEP_STEPS
from barproof.results.measures import daily
from barproof.rules import Rules

__all__ = [
    "DAYS_A_YEAR",
    "RESAMPLED",
    "STEPS",
    "binary_of",
    "days_of",
    "sampled",
    "span_of",
    "table_of",
]

RESAMPLED = frozenset(
    "ECO-02 ECO-03 ECO-08 ECO-11 ECO-14 SPL-10 SPL-11 SPL-12 PRED-06 PRED-12 PRED-14 CAL-02 CAL-04 SIG-08 "
    "SIG-10 OVF-04 OVF-05".split()
)
"""Audits that draw samples, or run something again many times."""

SAMPLED = 20_000
"""Rows, evenly spaced, on which features are looked at one by one."""
DRAWS = 199
DAY = 86_400_000
DAYS_A_YEAR = 365.25

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def sampled(rows: Ints) -> Ints:
    """Evenly spaced rows, no more than are needed."""
    if len(rows) <= SAMPLED:
        return rows
    return rows[np.linspace(0, len(rows) - 1, SAMPLED).astype(np.int64)]


def table_of(x: Inputs) -> pl.DataFrame | None:
    """Feature rows of a run, one a bar."""
    held = getattr(x.run, "X", None)
    return held if isinstance(held, pl.DataFrame) and held.height == len(x.market or ()) else None


def _parts(x: Inputs) -> tuple[Ints, Ints]:
    """Train and test rows of the last fold."""
    if not x.fold_list:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    last = parts_of(x.fold_list)[-1]
    return last["train"], last["test"]


def _numeric(frame: pl.DataFrame, rows: Ints) -> pl.DataFrame:
    columns = [c for c in frame.columns if c != "open_time" and frame[c].dtype.is_numeric()]
    held: pl.DataFrame = frame.select(columns)[rows]
    return held


def _classes(held: Any) -> Floats | None:
    """Labels of a few classes; None for returns."""
    y = np.asarray(getattr(held, "values", held), dtype=np.float64)
    return y if len(np.unique(y[np.isfinite(y)])) <= 10 else None


def _duplicates(x: Inputs) -> Iterator[Finding]:
    frame, (train, test) = table_of(x), _parts(x)
    if frame is not None and len(train) and len(test):
        yield duplicates_across_parts(_numeric(frame, train), _numeric(frame, test))


def _history(x: Inputs) -> Iterator[Finding]:
    train, _ = _parts(x)
    for held in x.label_sets.values():
        y = _classes(held)
        if y is None or not len(train):
            continue
        train = train[train < len(y)]
        spans = (held.start[train], held.end[train]) if hasattr(held, "start") else None
        yield enough_history(y[train], spans=spans)


def _cost(x: Inputs) -> Iterator[Finding]:
    costs = getattr(x.result, "costs", None)
    for held in x.label_sets.values():
        rule = getattr(held, "rule", None) or {}
        threshold = rule.get("threshold") if hasattr(rule, "get") else None
        if costs is not None and threshold:
            round_trip = 2 * (float(costs.taker) + float(costs.slippage))
            if round_trip > 0:
                yield label_against_cost(float(threshold), cost=round_trip)


def _timing(x: Inputs) -> Iterator[Finding]:
    if x.market is None or len(x.market) < 2:
        return
    for held in x.label_sets.values():
        rule = getattr(held, "rule", None) or {}
        bars = rule.get("bars") if hasattr(rule, "get") else None
        if not bars or len(held.values) != len(x.market):
            continue
        # On the trading clock the return runs from open to open: those are the returns that it must go with.
        opens = rule.get("clock", "open") == "open"
        price = x.market.open if opens else x.market.close
        returns = np.r_[np.nan, price[1:] / price[:-1] - 1]
        yield label_timing(held.values, returns, horizon=int(bars), start=2 if opens else 1)


def _leaks(x: Inputs) -> Iterator[Finding]:
    frame, (train, test) = table_of(x), _parts(x)
    if frame is None or not len(train) or not len(test):
        return
    for held in x.label_sets.values():
        y = np.asarray(held.values, dtype=np.float64)
        a, b = sampled(train), sampled(test)
        rows = np.r_[a, b]
        yield leaking_feature(
            _numeric(frame, rows), y[rows], train=np.arange(len(a)), test=len(a) + np.arange(len(b))
        )


def _base_rate(x: Inputs) -> Iterator[Finding]:
    market = x.market
    for held in x.label_sets.values():
        y = _classes(held)
        if y is None or market is None or len(y) != len(market):
            continue
        groups: dict[str, Any] = {
            "month": pl.Series(market.open_time)
            .cast(pl.Datetime("ms"))
            .dt.strftime("%Y%m")
            .cast(pl.Int64)
        }
        if len(x.fold_list) > 1:
            number = np.full(len(y), np.nan)
            for i, fold in enumerate(parts_of(x.fold_list)):
                number[fold["test"][fold["test"] < len(y)]] = i
            groups["fold"] = number
        worth = None
        if hasattr(held, "start"):
            good = (held.end >= 0) & np.isfinite(y)
            worth = stats.effective_labels(held.start[good], held.end[good]) if good.any() else None
        yield base_rate_drift(y, groups, n_eff=worth)


def _embargo(x: Inputs) -> Iterator[Finding]:
    if x.folds is not None or x.run is not None:
        yield embargo(x.fold_list, x.spans)


def _overlap(x: Inputs) -> Iterator[Finding]:
    if x.spans is not None:
        yield overlap(*x.spans)


def _domain(x: Inputs) -> Iterator[Finding]:
    frame, (train, test) = table_of(x), _parts(x)
    if frame is not None and len(train) and len(test):
        yield domain_classifier(
            _numeric(frame, sampled(train)), _numeric(frame, sampled(test)), seed=x.seed % 2**32
        )


def _drift(x: Inputs) -> Iterator[Finding]:
    frame, (train, test) = table_of(x), _parts(x)
    if frame is not None and len(train) and len(test):
        yield feature_drift(_numeric(frame, sampled(train)), _numeric(frame, sampled(test)))


def _dead(x: Inputs) -> Iterator[Finding]:
    frame, (train, _) = table_of(x), _parts(x)
    if frame is not None and len(train):
        yield dead_features(_numeric(frame, sampled(train)))


def _manifest(x: Inputs) -> Iterator[Finding]:
    for bundle in x.bundle_list:
        held = getattr(bundle, "manifest", None)
        if isinstance(held, dict):
            yield bundle_manifest(told_by(held))


def told_by(manifest: dict[str, Any]) -> dict[str, Any]:
    """Entries of CKP-05 as a manifest of :class:`barproof.Bundle` has them."""
    parts = manifest.get("parts")
    first: dict[str, Any] = next(iter(parts.values()), {}) if isinstance(parts, dict) else {}
    versions = manifest.get("versions") or {}
    # Thresholds, costs and metrics belong to a result, whose ledger entry names the bundles.
    kept_elsewhere = dict.fromkeys(("thresholds", "costs", "metrics"), False)
    return {
        **kept_elsewhere,
        "features": manifest.get("features"),
        # The scaler is a part of the model's own state.
        "scaler": first.get("model"),
        "label": first.get("label"),
        "horizon": first.get("label"),
        "self_test": first.get("test"),
        "calibrator": first.get("calibration") or False,
        "data": manifest.get("data"),
        "split": manifest.get("rows"),
        "code": versions.get("barproof"),
        "libraries": versions,
        "seed": manifest.get("seed"),
    }


def _judged(x: Inputs) -> Iterator[tuple[Floats, Floats]]:
    """Probabilities of class 1, or of all classes, and labels, by part over all folds."""
    frame = x.predicted
    if frame is None or "label" not in frame.columns:
        return
    pooled: dict[str, list[tuple[Floats, Floats]]] = {}
    for part, _, rows, names in x.columns(frame):
        if not names or "prediction" in names:
            continue
        p = rows.select(names).to_numpy().astype(np.float64)
        y = rows["label"].cast(pl.Float64).fill_null(np.nan).to_numpy()
        values = np.array([float(name.removeprefix("p_")) for name in names])
        number = np.full(len(y), np.nan)
        for k, value in enumerate(values):
            number[y == value] = k
        pooled.setdefault(part, []).append((p, number))
    for pairs in pooled.values():
        if len({p.shape[1] for p, _ in pairs}) == 1:
            yield np.vstack([p for p, _ in pairs]), np.concatenate([y for _, y in pairs])


def binary_of(x: Inputs) -> Iterator[tuple[Floats, Floats]]:
    """Probabilities of class 1 and labels, by part over all folds; nothing for more classes."""
    for p, y in _judged(x):
        if p.shape[1] == 2:
            yield p[:, 1], y


def span_of(x: Inputs) -> int:
    """Bars of a label, at the longest."""
    if x.spans is None:
        return 1
    start, end = x.spans
    good = end >= 0
    return int((end[good] - start[good]).max()) + 1 if good.any() else 1


def _skill(x: Inputs) -> Iterator[Finding]:
    for p, y in _judged(x):
        yield skill_over_baselines(p, y, span=span_of(x), seed=x.seed)


def _calibrated(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        yield calibration_error(p, y, span=span_of(x))


def _proper(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        yield proper_scores(p, y, seed=x.seed)


def _z(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        yield spiegelhalter(p, y, span=span_of(x))


def _curve(x: Inputs) -> Iterator[Finding]:
    span = span_of(x)
    for p, y in binary_of(x):
        # Labels that overlap are not independent draws of the forecast.
        yield reliability_curve(p[::span], y[::span], seed=x.seed)


def _payoff(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        yield payoff_asymmetry(x.trade_table, seed=x.seed)


def _kelly(x: Inputs) -> Iterator[Finding]:
    # What the positions behind the returns were is known of a result alone.
    if x.result is not None and x.trade_table is not None:
        yield kelly_bound(x.trade_table)


def _columns(x: Inputs, *names: str) -> pl.DataFrame | None:
    frame = x.trade_table
    if isinstance(frame, pl.DataFrame) and set(names) <= set(frame.columns):
        return frame
    return None


def _sensitivity(x: Inputs) -> Iterator[Finding]:
    frame = _columns(x, "return", "fees", "pnl")
    if frame is None or not frame.height:
        return
    # `return` is pnl over equity: fees in the same unit. A trade of exactly 0 has none to go by.
    held = frame.filter(pl.col("pnl") != 0)
    fees = held["fees"] / held["pnl"] * held["return"]
    gross = (held["return"] + fees).to_numpy()
    if held.height and float(fees.mean() or 0.0) > 0:  # type: ignore[arg-type]
        yield cost_sensitivity(gross, cost=float(fees.mean()))  # type: ignore[arg-type]


def days_of(x: Inputs) -> Floats | None:
    """Daily returns of a result, or of an equity curve; of calendar days."""
    held = getattr(x.result, "daily_returns", None)
    if isinstance(held, pl.DataFrame) and "return" in held.columns:
        return held["return"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return None if x.equity is None else daily(x.equity)


def _ruin(x: Inputs) -> Iterator[Finding]:
    if x.result is not None and x.trade_table is not None:
        yield drawdown_and_ruin(trade_returns(x.trade_table).values, seed=x.seed)


def _exits(x: Inputs) -> Iterator[Finding]:
    frame = _columns(x, "return", "reason")
    if frame is not None:
        bars = frame["bars_held"] if "bars_held" in frame.columns else None
        yield exit_attribution(frame["return"], frame["reason"].to_list(), bars_held=bars)


def _random(x: Inputs) -> Iterator[Finding]:
    if not _runs_again(x):
        return
    from barproof import random_entries

    held = random_entries(x.result, draws=DRAWS, seed=x.seed % 2**63)
    yield random_entry_control(held.real, held.drawn)


def _runs_again(x: Inputs) -> bool:
    """Whether the result can be run again: one of one set of rules, not one that was stitched."""
    one = isinstance(getattr(x.result, "rules", None), Rules)
    again = getattr(x.result, "_setting", None) is not None
    return one and again and x.result.trades.height > 0


def _lag(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is None or not _runs_again(x):
        return
    from barproof import one_bar_later

    later = one_bar_later(x.result)
    yield lag_test(
        x.result.trades["return"], later.trades["return"] if later.trades.height else np.zeros(0)
    )


def _concentration(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        yield concentration(x.trade_table)


def _fills(x: Inputs) -> Iterator[Finding]:
    frame = _columns(x, "ambiguous")
    if frame is not None:
        yield fill_realism(frame["ambiguous"].cast(pl.Float64))


def _traded(x: Inputs) -> Iterator[Finding]:
    rules = getattr(x.result, "rules", None)
    threshold = getattr(rules, "entry_long", None)
    if threshold is None:
        return
    span = span_of(x)
    for p, y in binary_of(x):
        # Labels that overlap are not independent draws of the forecast.
        yield calibration_where_traded(p[::span], y[::span], threshold=float(threshold))


def _size(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is not None:
        held = trade_returns(x.trade_table).finite
        worth = (
            stats.effective_size(held).size
            if len(held) > 2 and np.ptp(held) > 0
            else float(len(held))
        )
        yield sample_size(len(held), n_eff=worth if np.isfinite(worth) else None)


def _binomial(x: Inputs) -> Iterator[Finding]:
    if x.trade_table is None:
        return
    held = trade_returns(x.trade_table).finite
    up, down = held[held > 0], held[held < 0]
    if len(up) and len(down):
        null = stats.break_even(float(up.mean()), float(-down.mean()))
        yield exact_binomial(len(up), len(up) + len(down), null=null)


def _sharpe(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is not None:
        yield sharpe_interval(days, periods_per_year=DAYS_A_YEAR)


def _psr(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is not None:
        yield probabilistic_sharpe(days)


def _track(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is not None:
        yield track_record(days, periods_per_year=DAYS_A_YEAR)


def _bootstrap(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is not None:
        yield bootstrap_mean(days, seed=x.seed)


def _clusters(x: Inputs) -> Iterator[Finding]:
    frame = x.trade_table
    if isinstance(frame, pl.DataFrame) and {"return", "entry_time"} <= set(frame.columns):
        days = milliseconds("entry_time", frame["entry_time"]) // DAY
        yield clustered_trades(frame["return"], days)


STEPS: dict[str, Callable[[Inputs], Iterator[Finding]]] = {
    "DATA-07": _duplicates,
    "DATA-08": _history,
    "LAB-05": _cost,
    "LAB-06": _timing,
    "LAB-07": _leaks,
    "LAB-08": _base_rate,
    "SPL-03": _embargo,
    "SPL-06": _overlap,
    "SPL-10": _lag,
    "SPL-12": _domain,
    "PAR-06": _drift,
    "PAR-07": _dead,
    "CKP-05": _manifest,
    "PRED-06": _skill,
    "CAL-01": _calibrated,
    "CAL-02": _proper,
    "CAL-03": _z,
    "CAL-04": _curve,
    "CAL-06": _traded,
    "ECO-03": _payoff,
    "ECO-05": _kelly,
    "ECO-06": _sensitivity,
    "ECO-08": _ruin,
    "ECO-10": _exits,
    "ECO-11": _random,
    "ECO-12": _concentration,
    "ECO-13": _fills,
    "SIG-01": _size,
    "SIG-03": _binomial,
    "SIG-05": _sharpe,
    "SIG-06": _psr,
    "SIG-07": _track,
    "SIG-08": _bootstrap,
    "SIG-11": _clusters,
    **SWEEP_STEPS,
}
