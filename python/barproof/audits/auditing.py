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
from barproof.audits.bar_steps import BAR_STEPS
from barproof.audits.catalogue import AUDITS, GROUPS, resolve
from barproof.audits.claim_sets import set_of
from barproof.audits.common import made
from barproof.audits.inputs import Inputs
from barproof.audits.live_steps import LIVE_STEPS
from barproof.audits.model import Finding, Severity
from barproof.audits.model_steps import MODEL_STEPS
from barproof.audits.report import Report
from barproof.audits.results_steps import RESULT_STEPS, joins
from barproof.audits.steps import RESAMPLED, STEPS
from barproof.audits.waivers import Waiver, apply_waivers, load_waivers
from barproof.errors import LedgerError, ParameterError
from barproof.ledger import Ledger, Recorded, door
from barproof.results.equity import read_equity
from barproof.results.predictions import read_predictions

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
    """Count the audit in the ledger, and say in the report where it stands."""
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


_STEPS: dict[str, Callable[[Inputs], Iterator[Finding]]] = {
    **BAR_STEPS,
    **STEPS,
    **MODEL_STEPS,
    **RESULT_STEPS,
    **LIVE_STEPS,
}
