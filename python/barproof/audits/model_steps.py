"""Steps of :func:`barproof.audit` that ask the models of a run again, look at its predictions, or search a sweep."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import stats
from barproof.audits.calibration import temperature
from barproof.audits.checkpoint import loss_pair, metric_reproduction, mode_parity
from barproof.audits.dependence import effective_sample
from barproof.audits.economics import trade_returns
from barproof.audits.inputs import Inputs
from barproof.audits.logits import (
    below_chance,
    logit_range,
    magnitude,
    overconfidence,
    possible_metrics,
)
from barproof.audits.model import Finding
from barproof.audits.payoff import stop_distance
from barproof.audits.perturb import future_perturbation, warmup_needed
from barproof.audits.reuse import fit_scope, reused_parts
from barproof.audits.rows import non_finite
from barproof.audits.scale import feature_scale
from barproof.audits.selection import backtest_length, multiple_looks
from barproof.audits.skill import (
    input_sensitivity,
    prediction_noise,
)
from barproof.audits.splits import parts_of
from barproof.audits.steadiness import plateau
from barproof.audits.steps import (
    DAYS_A_YEAR,
    binary_of,
    days_of,
    sampled,
    span_of,
    table_of,
)
from barproof.audits.sweep_steps import panel_of
from barproof.rules import Rules

__all__ = ["MODEL_STEPS", "Fitted", "fitted_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TAIL = 20_000
"""Last bars on which a path is computed again and again (SPL-08, SPL-09)."""
ASKED = 500
"""Rows on which a model is asked once for every feature (PRED-11)."""
ALONE = 32
"""Rows that are predicted together and one by one (CKP-07)."""


class Fitted:
    """One part of the last bundle, with the rows that it was made of and judged on.

    Attributes
    ----------
    name : str
        Of the part.
    part : FittedPart
        Model, kind, features.
    frame : polars.DataFrame
        Its features, one row a bar.
    labels : ndarray of shape (n,)
        One a bar, NaN where undefined.
    train, tune, test : ndarray of int
        Rows of the last fold.
    """

    def __init__(
        self, name: str, part: Any, frame: pl.DataFrame, labels: Floats, fold: Any
    ) -> None:
        self.name, self.part, self.labels = name, part, labels
        self.frame = frame.select(part.features)
        rows = parts_of([fold])[0]
        self.train, self.tune, self.test = (
            rows.get(purpose, np.empty(0, np.int64)) for purpose in ("train", "tune", "test")
        )

    @property
    def window(self) -> int:
        """Bars that the model looks at for one prediction."""
        return int(self.part.window)

    def values(self, rows: Ints) -> Floats:
        """Features of rows."""
        return self.frame[rows].to_numpy().astype(np.float64)

    def used(self, rows: Ints) -> Ints:
        """Rows that can be learned from: with a label and all features."""
        whole = np.isfinite(self.values(rows)).all(axis=1)
        return rows[whole & np.isfinite(self.labels[rows])]

    def predict(self, rows: Ints) -> Floats:
        """Predictions of rows now; their windows reach back."""
        if not len(rows):
            return np.empty((0, 1))
        first = max(0, int(rows.min()) - self.window + 1)
        values = self.frame[first : int(rows.max()) + 1].to_numpy().astype(np.float64)
        found: Floats = self.part.predict(values, rows=rows - first)
        return found


def fitted_of(x: Inputs) -> Iterator[Fitted]:
    """Give the parts of the last bundle of a run; nothing where there is none of ours."""
    frame = table_of(x)
    bundle = x.bundle_list[-1] if x.bundle_list else None
    parts = getattr(bundle, "parts", None)
    if frame is None or not x.fold_list or not isinstance(parts, dict):
        return
    for name, part in parts.items():
        held = x.label_sets.get(name, next(iter(x.label_sets.values()), None))
        if held is None or not hasattr(part, "features") or not hasattr(part, "window"):
            continue
        labels = np.asarray(getattr(held, "values", held), dtype=np.float64)
        if len(labels) == frame.height and set(part.features) <= set(frame.columns):
            yield Fitted(name, part, frame, labels, x.fold_list[-1])


def _finite_inputs(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        # A model that takes NaN has it for a value.
        if not getattr(held.part.model, "allows_nan", True):
            rows = {"train": held.used(held.train), "test": held.used(held.test)}
            yield non_finite({name: held.values(at) for name, at in rows.items()})


def _scope(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        mean, scale = (getattr(held.part.model, name, None) for name in ("mean_", "scale_"))
        if mean is None or scale is None:
            continue
        every = np.arange(held.frame.height)
        yield fit_scope(mean, scale, held.values(every), held.used(held.train))


def _scaled(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        mean, scale = (getattr(held.part.model, name, None) for name in ("mean_", "scale_"))
        if mean is not None and scale is not None:
            z = (held.values(sampled(held.used(held.train))) - mean) / scale
            yield feature_scale(dict(zip(held.part.features, z.T, strict=True)))


def _reused(x: Inputs) -> Iterator[Finding]:
    if not x.fold_list:
        return
    uses: dict[str, set[str]] = {}
    for fold in parts_of(x.fold_list):
        test = fold["test"]
        for choice, part in (
            ("training", "train"),
            ("calibration", "tune_calibrate"),
            ("rules", "tune_choose"),
            ("tuning", "tune"),
        ):
            rows = fold.get(part)
            if rows is not None and len(rows):
                seen = bool(np.isin(rows, test).any())
                uses.setdefault(choice, set()).add("test" if seen else part.partition("_")[0])
    yield reused_parts({choice: sorted(parts) for choice, parts in uses.items()})


def _tail(x: Inputs) -> Any:
    return x.market[-TAIL:] if len(x.market) > TAIL else x.market


def _perturbed(x: Inputs) -> Iterator[Finding]:
    if x.path is not None and x.market is not None and len(x.market):
        yield future_perturbation(x.path, _tail(x), seed=x.seed, max_seconds=x.max_seconds)


def _warmup(x: Inputs) -> Iterator[Finding]:
    if x.path is not None and x.market is not None and len(x.market):
        yield warmup_needed(x.path, _tail(x), seed=x.seed)


def _reproduced(x: Inputs) -> Iterator[Finding]:
    from barproof._scores import class_scores

    for held in fitted_of(x):
        told = getattr(held.part, "facts", {}).get("test", {})
        if held.part.kind == "regression" or not len(held.part.classes):
            continue
        p = held.predict(held.test)
        y = held.labels[held.test]
        known = np.isfinite(y) & np.isfinite(p[:, 0])
        if len(np.unique(y[known])) < 2:
            continue
        at = np.searchsorted(held.part.classes, y[known])
        for score in class_scores(p[known], at, held.part.classes):
            stored = (told.get(score.name) or {}).get("value")
            again = score.value(int(known.sum()))
            if stored is not None and stored != 0 and math.isfinite(again):
                yield metric_reproduction(float(stored), float(again))


def _log_loss(p: Floats, y: Floats, classes: Any) -> float:
    known = np.isfinite(y) & np.isfinite(p[:, 0])
    if not known.any():
        return math.nan
    at = np.searchsorted(classes, y[known])
    return float(-np.log(np.clip(p[known][np.arange(len(at)), at], 1e-12, None)).mean())


def _losses(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        if held.part.kind == "regression" or not len(held.tune):
            continue
        classes = held.part.classes
        train, tune = sampled(held.used(held.train)), sampled(held.used(held.tune))
        losses = [_log_loss(held.predict(at), held.labels[at], classes) for at in (train, tune)]
        yield loss_pair(*losses)


def _together(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        rows = held.test[-ALONE:]
        if len(rows) < 2:
            continue
        whole = held.predict(rows)
        alone = np.vstack([held.predict(rows[i : i + 1]) for i in range(len(rows))])
        from barproof.bundle import AGREE

        bound = AGREE[getattr(held.part.model, "precision", "f64")]
        yield mode_parity(
            whole[:, -1], {"batch 1": alone[:, -1]}, tolerances={"batch 1": max(bound, 1e-6)}
        )


def _logits_of(p: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        return np.log(p) - np.log1p(-p)


def _logit_size(x: Inputs) -> Iterator[Finding]:
    for p, _ in binary_of(x):
        held = p[np.isfinite(p)]
        # What has become 0 or 1 has no logit: PRED-03 judges that.
        if len(held) and ((held > 0) & (held < 1)).all():
            yield logit_range(_logits_of(held))


def _certain(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        known = np.isfinite(p)
        yield overconfidence(p[known], y[known])


def _signed(x: Inputs) -> Iterator[tuple[Floats, Floats]]:
    """Forecast and outcome around 0, part by part: of directions, or of returns."""
    for p, y in binary_of(x):
        yield p - 0.5, y - 0.5
    yield from _returns(x)


def _returns(x: Inputs) -> Iterator[tuple[Floats, Floats]]:
    """Predicted and realised returns."""
    frame = x.predicted
    if frame is None or not {"label", "prediction"} <= set(frame.columns):
        return
    rows = frame.filter(pl.col("prediction").is_not_null())
    if rows.height:
        f, y = (
            rows[c].cast(pl.Float64).fill_null(np.nan).to_numpy() for c in ("prediction", "label")
        )
        yield f, y


def _below(x: Inputs) -> Iterator[Finding]:
    for f, y in _signed(x):
        yield below_chance(f, y)


_METRICS = ("r2", "correlation", "accuracy", "auc", "mae", "rmse", "log_loss", "brier")


def _possible(x: Inputs) -> Iterator[Finding]:
    """Metrics that are claimed of one system, beside each other."""
    if x.claims is None:
        return
    systems: dict[str, dict[str, float]] = {}
    for claim in x.claims.claims:
        name = claim.metric or claim.quantity
        if name in _METRICS:
            systems.setdefault(claim.system, {})[name] = claim.number / claim.scale
    for metrics in systems.values():
        if len(metrics) > 1:
            yield possible_metrics(metrics)


def _size(x: Inputs) -> Iterator[Finding]:
    for f, y in _returns(x):
        yield magnitude(f, y)


def _sensitive(x: Inputs) -> Iterator[Finding]:
    for held in fitted_of(x):
        rows = held.used(held.test)
        if held.window > 1 or not len(rows):
            continue
        some = rows[np.linspace(0, len(rows) - 1, min(ASKED, len(rows))).astype(np.int64)]
        names = list(held.part.features)
        yield input_sensitivity(
            held.part.predict, dict(zip(names, held.values(some).T, strict=True)), seed=x.seed
        )


def _noise(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        yield prediction_noise(p, y)


def _warm(x: Inputs) -> Iterator[Finding]:
    for p, y in binary_of(x):
        known = (p > 0) & (p < 1) & np.isfinite(y)
        if known.any():
            yield temperature(_logits_of(p[known]), y[known], span=span_of(x))


def _stop(x: Inputs) -> Iterator[Finding]:
    rules = getattr(x.result, "rules", None)
    if not isinstance(rules, Rules) or rules.stop_loss is None or x.trade_table is None:
        return
    leverage = float(rules.leverage)
    # Other sizings put up another share for every trade: the whole balance is the nearest stop that they can have.
    share = float(rules.fraction) if rules.sizing == "fraction" else 1.0
    if rules.stop_loss_kind == "price":
        risk = float(rules.stop_loss) * leverage * share
    elif rules.stop_loss_kind == "equity":
        risk = float(rules.stop_loss)
    else:
        return
    r = trade_returns(x.trade_table).finite
    lost = float(-r[r < 0].min()) if (r < 0).any() else 0.0
    won = float(r[r > 0].mean()) / (leverage * share) if (r > 0).any() else None
    yield stop_distance(risk, leverage=leverage, share=share, mean_win=won, worst_loss=lost)


def _independent(x: Inputs) -> Iterator[Finding]:
    days = days_of(x)
    if days is not None:
        yield effective_sample(days)


def _looks(x: Inputs) -> Iterator[Finding]:
    """Every combination of a sweep is a look: its chance of a mean this high without an edge."""
    panel = panel_of(x)
    if panel is None or panel.shape[1] < 2:
        return
    p = np.array([1.0 - stats.psr(panel[:, j]).psr for j in range(panel.shape[1])])
    p = p[np.isfinite(p)]
    if len(p) > 1:
        yield multiple_looks(np.clip(p, 0.0, 1.0))


def _long_enough(x: Inputs) -> Iterator[Finding]:
    panel = panel_of(x)
    if panel is None or panel.shape[1] < 2:
        return
    ratios = [stats.moments(panel[:, j]).sharpe for j in range(panel.shape[1])]
    best = max((r for r in ratios if math.isfinite(r)), default=math.nan)
    yield backtest_length(
        len(panel) / DAYS_A_YEAR, trials=len(x.sweep), sharpe=best * math.sqrt(DAYS_A_YEAR)
    )


def _beside(x: Inputs) -> Iterator[Finding]:
    pooled, groups = (getattr(x.sweep, name, None) for name in ("pooled", "axis_groups"))
    if not isinstance(pooled, pl.DataFrame) or groups is None or "sharpe" not in pooled.columns:
        return
    from barproof._neighbours import Neighbours, floats

    ratios = floats(pooled["sharpe"])
    if not np.isfinite(ratios).any():
        return
    near = Neighbours(pooled, groups)
    best = int(np.nanargmax(np.where(np.isfinite(ratios), ratios, np.nan)))
    beside = near.of(np.array([best])).ravel()
    # A neighbour without trades has earned nothing.
    around = np.where(np.isfinite(ratios), ratios, 0.0)[beside[beside >= 0]]
    yield plateau(float(ratios[best]), around, on_edge=bool(near.edge[best]))


MODEL_STEPS: dict[str, Callable[[Inputs], Iterator[Finding]]] = {
    "DATA-06": _finite_inputs,
    "SPL-04": _scope,
    "SPL-05": _reused,
    "SPL-08": _perturbed,
    "SPL-09": _warmup,
    "PAR-03": _scaled,
    "CKP-01": _reproduced,
    "CKP-04": _losses,
    "CKP-07": _together,
    "PRED-02": _logit_size,
    "PRED-03": _certain,
    "PRED-07": _below,
    "PRED-09": _possible,
    "PRED-10": _size,
    "PRED-11": _sensitive,
    "PRED-13": _noise,
    "CAL-05": _warm,
    "ECO-04": _stop,
    "SIG-09": _independent,
    "OVF-06": _looks,
    "OVF-09": _long_enough,
    "OVF-10": _beside,
}
"""By code."""
