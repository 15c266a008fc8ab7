"""Steps of :func:`barproof.audit` for what was tried: sweeps, the ledger, label sweeps, ablations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.common import made, numbers, unable
from barproof.audits.exits import entry_exit_ablation
from barproof.audits.inputs import Inputs
from barproof.audits.learnable import label_sweep
from barproof.audits.model import Finding, Gate, Measured
from barproof.audits.selection import (
    deflated_sharpe,
    effective_trials,
    overfit_probability,
    superior_ability,
    trial_ledger,
)
from barproof.errors import ParameterError, PlanError

__all__ = ["SWEEP_STEPS", "panel_of"]

COLUMNS = 2_000
"""Combinations of a sweep whose daily returns are held against each other."""

Floats = NDArray[np.float64]
Step = Callable[[Inputs], Iterator[Finding]]


@dataclass(frozen=True)
class _Panel:
    """Daily returns of a sweep, one column a combination that traded."""

    returns: Floats
    combinations: int
    refused: str = ""

    def said(self, finding: Finding) -> Finding:
        """Say which columns a finding speaks of, where it is not all of them."""
        columns = self.returns.shape[1]
        if columns == self.combinations:
            return finding
        told = f"{columns:,} that trade, the best among them, of {self.combinations:,}"
        return replace(finding, scope={"combinations": told, **finding.scope})


def _panel(x: Inputs) -> _Panel | None:
    """Daily returns of the combinations of a sweep."""
    if x.sweep is None or not hasattr(x.sweep, "daily_returns"):
        return None
    if "panel" not in x.notes:
        x.notes["panel"] = _panel_of(x.sweep)
    held: _Panel = x.notes["panel"]
    return held


def _panel_of(sweep: Any) -> _Panel:
    """Take all columns that vary; of very many the best and evenly spaced others."""
    try:
        daily = sweep.daily_returns
        kept: list[NDArray[np.int64]] = []
        ratios: list[Floats] = []
        done = 0
        for rows in daily.chunks():
            spread = rows.std(axis=1)
            kept.append(np.flatnonzero(spread > 0) + done)
            done += len(rows)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios.append(rows.mean(axis=1) / spread)
        traded, ratio = np.concatenate(kept), np.concatenate(ratios)
        if len(traded) > COLUMNS:
            best = traded[int(np.argmax(ratio[traded]))]
            spaced = traded[np.linspace(0, len(traded) - 1, COLUMNS - 1).astype(np.int64)]
            traded = np.unique(np.r_[best, spaced])
        numbers_ = np.asarray(daily.combinations)[traded]
        panel = daily._compute(numbers_.tolist()).T if len(traded) else np.empty((0, 0))
        return _Panel(panel, len(sweep))
    except (ParameterError, PlanError) as error:
        return _Panel(np.empty((0, 0)), len(sweep), str(error))


def panel_of(x: Inputs) -> Floats | None:
    """Daily returns of the combinations of a sweep that traded, one column each; None without any."""
    held = _panel(x)
    return None if held is None or held.refused or not held.returns.size else held.returns


def _of_panel(code: str, make: Callable[[Inputs, _Panel], Finding]) -> Step:
    """Step of an audit of all combinations of a sweep."""

    def step(x: Inputs) -> Iterator[Finding]:
        """Give the finding, or why the sweep allows none."""
        panel = _panel(x)
        if panel is None:
            return
        if panel.refused or not panel.returns.size:
            yield unable(code, panel.refused or "no combination of the sweep traded")
            return
        yield panel.said(make(x, panel))

    return step


def _label_cells(x: Inputs) -> Iterator[Finding]:
    """Whether labels of some cell can be learned (LAB-04)."""
    held = x.label_sweep
    if held is None:
        return
    frame = getattr(held, "frame", held)
    if not {"auc", "p_value"} <= set(frame.columns):
        yield unable(
            "LAB-04",
            f"the sweep of {frame.height:,} labels measured no skill",
            "sweep them with features=, so that a cheap model is judged on purged folds",
        )
        return
    axes = tuple(frame.columns[1 : frame.columns.index("labels")])
    # The error that the sweep's own test of no skill was made with: its p-value comes out again.
    p = np.clip(numbers("p_value", frame["p_value"]), 1e-300, 1 - 1e-16)
    z = np.array([-NormalDist().inv_cdf(v) if v == v else np.nan for v in p.tolist()])
    with np.errstate(divide="ignore", invalid="ignore"):
        above = numbers("auc", frame["auc"]) - 0.5
        error = np.where((z == 0) | (above == 0), 1.0, above / z)
    cells = frame.with_columns(pl.Series("error", error))
    yield label_sweep(cells, axes=axes, chosen=_chosen_cell(x, frame))


def _chosen_cell(x: Inputs, frame: pl.DataFrame) -> int | None:
    """Cell whose labels are those that are used."""
    used = {getattr(one, "digest", "") for one in x.label_sets.values()} - {""}
    if not used or not hasattr(x.label_sweep, "labels"):
        return None
    for cell in range(frame.height):
        try:
            if x.label_sweep.labels(cell).digest in used:
                return cell
        except ParameterError:
            # Labels of one class, which nobody can have used.
            continue
    return None


def _ablated(x: Inputs) -> Iterator[Finding]:
    """Whether entries and exits each help (ECO-14)."""
    held = x.ablation
    if held is None:
        return
    if held.reason:
        yield unable("ECO-14", held.reason)
        return
    names = ("both", "entry_only", "exit_only", "neither")
    yield entry_exit_ablation(*(held.daily[name] for name in names), seed=x.seed)


@dataclass(frozen=True)
class _Tried:
    """Trials on the data, by the ledger; `doubt` says why they may be more."""

    counted: int
    doubt: str = ""
    broken: bool = False


def _tried(x: Inputs) -> _Tried:
    """Count the trials on these candles that any process has recorded."""
    if "tried" not in x.notes:
        x.notes["tried"] = _count_trials(x)
    held: _Tried = x.notes["tried"]
    return held


def _data(x: Inputs) -> Any:
    """Candles that were tried on, or their digest; a sweep knows no more of them."""
    if x.market is not None:
        return x.market
    return getattr(x.sweep, "provenance", {}).get("candles")


def _count_trials(x: Inputs) -> _Tried:
    """Ask the ledger, and doubt what it says where there is reason to."""
    if x.book is None or _data(x) is None:
        return _Tried(0, "no ledger counts the trials on these data")
    broken = x.book.verify()
    if broken is not None:
        return _Tried(0, f"the ledger is not what was written: {broken}", broken=True)
    counted = x.book.trials(_data(x))
    own = max(int(getattr(x.result, "trials", 0)), 0 if x.sweep is None else len(x.sweep))
    if counted < own:
        doubt = f"the ledger counts {counted:,} trials on these data, and {own:,} were made here alone: unrecorded"
        return _Tried(counted, doubt)
    return _Tried(counted)


def _ledger(x: Inputs) -> Iterator[Finding]:
    """Whether all trials on the data are counted (OVF-01)."""
    # Trades of other tools were not chosen in this ledger.
    if x.book is None or _data(x) is None or (x.run is x.result is x.sweep is None):
        return
    held = _tried(x)
    remedy = "keep the ledger on in every run, and restore a copy of a damaged one"
    if held.broken:
        yield made(
            "OVF-01",
            "fail",
            held.doubt,
            measured=Measured("damage to the ledger", 1, "count", form="the first that is met"),
            gate=Gate("=", 0, "AUDITS A.10", "an edited ledger counts nothing"),
            remedy=remedy,
        )
    elif held.doubt:
        yield unable("OVF-01", held.doubt, remedy)
    else:
        yield trial_ledger(held.counted)


def _deflated(x: Inputs, panel: _Panel) -> Finding:
    """Whether the best is better than the best of so many by luck (OVF-02)."""
    held = _tried(x)
    found = deflated_sharpe(panel.returns, trials=max(held.counted, panel.combinations))
    # With more trials the hurdle is higher: a failure stays one, and a pass is unproved.
    if held.doubt and found.outcome == "pass":
        found = replace(
            found,
            outcome="inconclusive",
            title=f"{found.title}; {held.doubt}",
            remedy="record every run in the ledger, and audit with it",
        )
    return found


SWEEP_STEPS: dict[str, Step] = {
    "LAB-04": _label_cells,
    "ECO-14": _ablated,
    "OVF-01": _ledger,
    "OVF-02": _of_panel("OVF-02", _deflated),
    "OVF-03": _of_panel("OVF-03", lambda _, p: effective_trials(p.returns, claimed=p.combinations)),
    "OVF-04": _of_panel("OVF-04", lambda _, p: overfit_probability(p.returns, blocks=8)),
    "OVF-05": _of_panel("OVF-05", lambda x, p: superior_ability(p.returns, seed=x.seed)),
}
