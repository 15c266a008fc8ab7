"""`audit`: gather what was given, run every audit that it allows, and add up."""

from __future__ import annotations

import inspect
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, get_args

import numpy as np
import polars as pl

from barproof import _core, audits
from barproof.audits.catalogue import AUDITS, GROUPS, resolve
from barproof.audits.claim_sets import set_of
from barproof.audits.common import made, numbers
from barproof.audits.data import bar_integrity, coverage
from barproof.audits.economics import (
    break_even_win_rate,
    expectancy,
    few_trades,
    share_interval,
    trade_returns,
)
from barproof.audits.inputs import Inputs
from barproof.audits.labels import class_balance, degenerate_label, label_against_price
from barproof.audits.live_steps import LIVE_STEPS
from barproof.audits.lookahead import RELATIVE, lookahead
from barproof.audits.model import Finding, Severity
from barproof.audits.model_steps import MODEL_STEPS
from barproof.audits.parity import feature_identity
from barproof.audits.predictions import class_bias, flat_predictions, threshold_reachability
from barproof.audits.report import Report
from barproof.audits.results_steps import RESULT_STEPS, joins
from barproof.audits.splits import parts_of, purge, split_order
from barproof.audits.steps import RESAMPLED, STEPS
from barproof.audits.waivers import Waiver, apply_waivers, load_waivers
from barproof.bundle import AGREE
from barproof.errors import LedgerError, ParameterError
from barproof.features import FeatureSet
from barproof.inference import window_of
from barproof.ledger import Ledger, Recorded, door
from barproof.results.equity import read_equity
from barproof.results.predictions import read_predictions
from barproof.rules import Rules
from barproof.stats import break_even

__all__ = ["audit"]

# Worst first, to choose one finding of several parts.
_WORSE = ("error", "fail", "inconclusive", "warn", "pass", "skipped")
_REQUIRES = {
    "candles": ("data",),
    "labels": ("labels",),
    "folds": ("splits",),
    "features": ("splits",),
    "run": ("data", "labels", "splits", "parity", "predictions"),
    "bundles": ("parity",),
    "predictions": ("predictions",),
    "signals": ("predictions",),
    "sweep": ("predictions",),
    "result": ("data", "economics", "significance"),
    "trades": ("economics", "significance"),
    "fills": ("fills",),
    "live_log": ("decisions",),
    "equity": ("significance",),
    "claims": ("claims",),
    "label_sweep": ("labels",),
    "ablation": ("economics",),
}
_FUNDING = "funding"
ALL_ROWS = 20_000
"""Bars up to which SPL-07 compares all rows of each prefix, whatever the features remember."""
LAST_ROWS = 64


def audit(
    *,
    candles: Any = None,
    features: Any = None,
    labels: Any = None,
    folds: Any = None,
    run: Any = None,
    bundles: Any = None,
    predictions: Any = None,
    signals: Any = None,
    sweep: Any = None,
    result: Any = None,
    trades: Any = None,
    fills: Any = None,
    equity: Any = None,
    live_log: Any = None,
    claims: Any = None,
    label_sweep: Any = None,
    ablation: Any = None,
    more: Mapping[str, Mapping[str, Any]] | None = None,
    resample: bool = True,
    require: Iterable[str] = (),
    fail_on: Severity = "high",
    seed: int = 0,
    max_seconds: float | None = None,
    waivers: str | os.PathLike[str] | Iterable[Waiver] | None = None,
    ledger: Recorded = None,
) -> Report:
    """Run every audit that the given things allow.

    Parameters
    ----------
    candles : Candles, optional
        Bars. Default: those of the run or the result.
    features : FeatureSet or callable, optional
        Candles to features, one row a bar. Default: for a run, the FeatureSet of its columns where they make one.
    labels : Labels or mapping of str to Labels, optional
        Default: those of the run.
    folds : splitter or iterable of Fold, optional
        Default: those of the run.
    run : Run, optional
        Brings candles, labels, folds, bundles and predictions.
    bundles : Bundle or sequence of Bundle, optional
        Default: those of the run.
    predictions : frame, optional
        As from ``Run.predictions``: a column a class such as `p_0` and `p_1`, or `prediction`; `label`, `fold` and
        `part` where there are any. Out of sample, which only who made them knows. Default: those of the run on test
        rows.
    signals : Signals, optional
        Default: those of the result, or the run's on test rows.
    sweep : Sweep, optional
        Its thresholds are audited where there is no result.
    result : Result, optional
        Brings trades, rules, signals and candles.
    trades : frame with a column `return`, or array_like, optional
        Trades of any tool: net returns as fractions; `entry_time` and `exit_time` order them. With prices, as from
        :func:`barproof.read_trades`, they are held against the candles (group fills).
    fills : frame, optional
        Single fills of any tool, as from ``barproof.results.read_fills``. Default: entries and exits of `trades`.
    equity : path, frame or result of another tool, optional
        An equity curve, as for :func:`barproof.read_equity`: its daily returns are audited where there is no result.
    live_log : None
        Not audited in this version.
    live_log : LiveLog, optional
        What a live system logged. With candles, bundles and a result (whose rules and costs are meant) it is replayed
        as by :func:`barproof.parity` (group decisions, and PAR-02); alone it shows when decisions were made (DEC-02).
    claims : path of claims.toml, ClaimSet, or list of records, optional
        Published numbers, to be computed again (group claims); see ``barproof.claims.load_claims``.
    label_sweep : LabelSweep, optional
        From :func:`barproof.labels.sweep` with `features`, or its frame: whether labels of any cell can be learned
        (LAB-04). Where `labels` are those of a cell, it is the chosen one, and its neighbours count.
    ablation : Ablation, optional
        From :func:`barproof.ablation`: whether entries and exits each help (ECO-14).
    more : mapping of str to mapping, optional
        What only you can tell: arguments of single audits by code or slug, such as
        ``{"CKP-01": {"stored": 0.0096, "recomputed": 0.0309}}``. They replace what the other arguments give.
    resample : bool, default True
        Whether to draw bootstraps and random entries; without, their audits are inconclusive.
    require : iterable of str, default ()
        Groups without whose evidence nothing is proved: data, labels, splits, parity, checkpoints, predictions,
        calibration, economics, significance, overfitting, decisions. Groups whose input was given are required anyway.
    fail_on : {"critical", "high", "medium", "low", "info"}, default "high"
        Least severity at which a failure refutes.
    seed : int, default 0
        Of bootstrap and random cuts, in [0, 2**64 - 4).
    max_seconds : float, optional
        Budget of the recomputation of features (SPL-07).
    waivers : path of waivers.toml, or iterable of Waiver, optional
        Failures that are accepted: they stay in the report and no longer refute; see docs/claims.md.
    ledger : Ledger, str, Path, bool, optional
        Where to record it, as in :func:`barproof.backtest`; an audit counts no trials. The trials that it holds on
        these candles, of whatever process, are those of OVF-01 and OVF-02.

    Returns
    -------
    Report
        One finding an audit, also for those that lacked their input. An audit that raises is a finding too.

    Raises
    ------
    ParameterError
        If a group or a code is unknown, or things speak of different candles.
    LedgerError
        If it cannot be recorded; the error carries the report.

    Examples
    --------
    >>> import numpy as np
    >>> report = audit(trades=np.tile([0.02, -0.01], 200), ledger=False)
    >>> report.verdict, report["ECO-02"].outcome
    ('sound', 'pass')
    """
    given = {
        "candles": candles,
        "features": features,
        "labels": labels,
        "folds": folds,
        "run": run,
        "bundles": bundles,
        "predictions": None if predictions is None else read_predictions(predictions),
        "signals": signals,
        "sweep": sweep,
        "result": result,
        "trades": trades,
        "fills": fills,
        "live_log": live_log,
        "equity": None if equity is None else read_equity(equity),
        "claims": None if claims is None else set_of(claims),
        "label_sweep": label_sweep,
        "ablation": ablation,
    }
    if live_log is not None and not hasattr(live_log, "decisions"):
        raise ParameterError(
            f"`live_log` must be a LiveLog, was {type(live_log).__name__}: use bp.LiveLog.read(...) or "
            "bp.LiveLog.foreign(...)"
        )
    if fail_on not in get_args(Severity):
        raise ParameterError(
            f"`fail_on` must be one of {', '.join(get_args(Severity))}, was {fail_on!r}"
        )
    if isinstance(seed, bool) or not hasattr(seed, "__index__") or not 0 <= seed < 2**64 - 4:
        raise ParameterError(f"`seed` must be a whole number in [0, 2**64 - 4), was {seed!r}")
    told = _told(more)
    wanted = [require] if isinstance(require, str) else list(require)
    required = _required(given, [*wanted, *(AUDITS[code].group for code in told)])
    accepted = load_waivers(waivers) if isinstance(waivers, (str, os.PathLike)) else waivers
    book = door(ledger)
    began = time.perf_counter()
    inputs = Inputs(**given, seed=int(seed), max_seconds=max_seconds)
    inputs.book = book if isinstance(book, Ledger) else None
    inputs.check()
    findings = [
        _guarded(code, inputs, told.get(code), resample=resample)
        for code in AUDITS
        if joins(code, inputs, required)
    ]
    seconds = time.perf_counter() - began
    report = Report(
        tuple(findings),
        required,
        fail_on,
        inputs.manifest(),
        {
            "barproof": _core.__version__,
            "python": platform.python_version(),
            "numpy": np.__version__,
            "polars": pl.__version__,
            "seed": int(seed),
            "seconds": round(seconds, 3),
        },
    )
    if accepted is not None:
        report = apply_waivers(report, accepted)
    report._audited.update(result=result, sweep=sweep, run=run)
    return _recorded(book, report, inputs, seconds)


def _told(more: Mapping[str, Mapping[str, Any]] | None) -> dict[str, Mapping[str, Any]]:
    """Arguments of single audits by code."""
    out: dict[str, Mapping[str, Any]] = {}
    for name, options in (more or {}).items():
        code = resolve(name).code
        if not isinstance(options, Mapping):
            raise ParameterError(
                f"`more[{name!r}]` must be a mapping of arguments of bp.audits.{AUDITS[code].function}, was "
                f"{type(options).__name__}"
            )
        out[code] = options
    return out


def _required(given: Mapping[str, Any], require: list[str]) -> tuple[str, ...]:
    for group in require:
        if group not in GROUPS:
            near = get_close_matches(str(group), GROUPS, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(GROUPS)}"
            raise ParameterError(f"unknown group {group!r} in `require`; {hint}")
    wanted = set(require)
    for name, value in given.items():
        if value is not None:
            wanted.update(_REQUIRES[name])
    return tuple(group for group in GROUPS if group in wanted)


def _recorded(book: Ledger | str, report: Report, inputs: Inputs, seconds: float) -> Report:
    if isinstance(book, str):
        return replace(report, provenance={**report.provenance, "ledger": book})
    outcomes = {f.id: f.outcome for f in report.findings}
    data = inputs.market.digest if inputs.market is not None else ""
    try:
        number = book.record(
            "audit",
            data=data or _core.digest("audit/1", [str(report.inputs)]),
            trials=0,
            seconds=seconds,
            # The ledger holds signed numbers.
            seed=inputs.seed if inputs.seed < 2**63 else None,
            parameters={"verdict": report.verdict, "outcomes": outcomes},
        )
    except LedgerError as error:
        error.result = report
        raise
    return replace(report, provenance={**report.provenance, "ledger": f"run {number:,}"})


def _guarded(
    code: str, inputs: Inputs, options: Mapping[str, Any] | None = None, *, resample: bool = True
) -> Finding:
    """Run one audit; whatever it raises becomes a finding."""
    if code in RESAMPLED and not resample:
        return made(
            code,
            "inconclusive",
            "left out: it draws samples, and resample=False was given",
            remedy="audit again with resample=True",
        )
    try:
        if options is not None:
            function: Callable[..., Finding] = getattr(audits, AUDITS[code].function)
            return function(**options)
        found = [f for f in _STEPS[code](inputs) if f is not None] if code in _STEPS else []
    except Exception as error:
        lines = traceback.format_exception(error)
        return made(
            code,
            "error",
            f"the audit crashed: {type(error).__name__}: {' '.join(str(error).split())[:200]}",
            evidence={"traceback": "".join(lines)[-8_000:]},
            remedy="mend what was given, or report this with the traceback",
        )
    if not found:
        return made(
            code,
            "skipped",
            f"needs {AUDITS[code].needs}",
            evidence={"not_checked": AUDITS[code].what, "supply": supply(code)},
        )
    found.sort(key=lambda f: _WORSE.index(f.outcome))
    return found[0]


def supply(code: str) -> str:
    """How to give an audit by hand what it needs.

    Parameters
    ----------
    code : str
        Of the audit.

    Returns
    -------
    str
        The argument `more` of :func:`audit`, with the audit's own arguments.

    Examples
    --------
    >>> supply("CKP-01")
    'more={"CKP-01": {"stored": ..., "recomputed": ...}}, the arguments of bp.audits.metric_reproduction'
    """
    function = AUDITS[code].function
    needed = [
        name
        for name, parameter in inspect.signature(getattr(audits, function)).parameters.items()
        if parameter.default is parameter.empty
    ]
    told = ", ".join(f'"{name}": ...' for name in needed)
    return f'more={{"{code}": {{{told}}}}}, the arguments of bp.audits.{function}'


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


_STEPS: dict[str, Callable[[Inputs], Iterator[Finding]]] = {
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
    **STEPS,
    **MODEL_STEPS,
    **RESULT_STEPS,
    **LIVE_STEPS,
}
