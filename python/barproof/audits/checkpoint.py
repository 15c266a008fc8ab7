"""Audits of checkpoints and bundles: CKP-01 to CKP-07."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from barproof.audits.common import (
    audited,
    capped,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = [
    "architecture",
    "bundle_manifest",
    "live_model",
    "loss_pair",
    "metric_reproduction",
    "mode_parity",
    "running_model",
    "scenario_search",
]

Precision = Literal["fp32", "mixed"]
TOLERANCE = {"fp32": 1e-4, "mixed": 5e-3}
SUSPICIOUS = 0.5
MUST = ("features", "scaler", "label", "self_test")
SHOULD = (
    "horizon",
    "thresholds",
    "calibrator",
    "costs",
    "data",
    "split",
    "code",
    "libraries",
    "seed",
    "metrics",
)
PARITY = {"fp16": 5e-3, "gpu": 5e-3}
EXACT = 1e-6
BAND = 1e-6


def _tolerance(precision: str) -> float:
    if precision not in TOLERANCE:
        raise ParameterError(f"`precision` must be fp32 or mixed, was {precision!r}")
    return TOLERANCE[precision]


@audited
def metric_reproduction(
    stored: float, recomputed: float, *, precision: Precision = "fp32"
) -> Finding:
    """CKP-01: reloading and evaluating again gives the stored metric.

    Parameters
    ----------
    stored, recomputed : float
        The metric that came with the checkpoint, and the one on the same rows now.
    precision : {"fp32", "mixed"}, default "fp32"
        1e-4 relative on the same device; 5e-3 for mixed precision or another one.

    Returns
    -------
    Finding
        Inconclusive where a number is missing or the stored one is 0.

    Raises
    ------
    ParameterError
        If `precision` is neither.
    """
    bound = _tolerance(precision)
    gate = Gate(
        "<=",
        bound,
        "case S000",
        "another number means another model, other rows or another reduction",
    )
    remedy = "search the reading that reproduces it (CKP-02); then compare architectures (CKP-03)"
    if not (math.isfinite(stored) and math.isfinite(recomputed)) or stored == 0:
        return unable(
            "CKP-01",
            f"stored {stored}, recomputed {recomputed}: no relative error",
            remedy,
            gate=gate,
        )
    error = abs(recomputed - stored) / abs(stored)
    return made(
        "CKP-01",
        "pass" if error <= bound else "fail",
        f"stored {stored:.6g}, recomputed {recomputed:.6g}: ratio {recomputed / stored:.4g}",
        measured=Measured("relative error", error, "fraction"),
        gate=gate,
        evidence={"stored": stored, "recomputed": recomputed, "ratio": recomputed / stored},
        cause=(
            "mean of batch means",
            "dropout left on",
            "loss on scaled or raw targets",
            "other targets",
        ),
        remedy=remedy,
    )


@audited
def scenario_search(
    stored: float,
    scenarios: Mapping[str, float],
    *,
    declared: str | None = None,
    precision: Precision = "fp32",
) -> Finding:
    """CKP-02: exactly one reading of the checkpoint gives its stored metric.

    Parameters
    ----------
    stored : float
        The metric that came with the checkpoint.
    scenarios : mapping of str to float
        The metric by each reading: targets, shift, scaling, mode, reduction, order, precision (``bp.checkpoints`` runs
        them).
    declared : str, optional
        The reading that the documents claim.
    precision : {"fp32", "mixed"}, default "fp32"
        As in CKP-01.

    Returns
    -------
    Finding
        Ranked by relative error. Inconclusive where several readings fit, or fewer than two were tried.

    Raises
    ------
    ParameterError
        If `precision` is neither.
    """
    bound = _tolerance(precision)
    gate = Gate(
        "=", 1, "case S000", "none means another model; several mean that these rows cannot tell"
    )
    remedy = (
        "evaluate the reading that fits everywhere; none: find "
        "the data and architecture; several: give more rows"
    )
    held = {
        str(name): float(value) for name, value in scenarios.items() if math.isfinite(float(value))
    }
    if len(held) < 2 or not math.isfinite(stored) or stored == 0:
        return unable(
            "CKP-02",
            (f"{plural(len(held), 'reading')} of a stored {stored}: nothing to choose from"),
            remedy,
            gate=gate,
        )
    rows = sorted(
        (
            {"scenario": name, "metric": value, "error": abs(value - stored) / abs(stored)}
            for name, value in held.items()
        ),
        key=lambda row: float(str(row["error"])),
    )
    fits = [row for row in rows if float(str(row["error"])) <= bound]
    chance = min(1.0, 2 * bound * len(rows))
    best = rows[0]
    outcome: Outcome = "pass" if len(fits) == 1 else "inconclusive" if fits else "fail"
    if not fits:
        title = (
            f"none of {len(rows)} readings gives {stored:.6g}: "
            f"nearest `{best['scenario']}` with {best['metric']:.6g}"
        )
    elif len(fits) > 1:
        title = f"{len(fits)} of {len(rows)} readings give {stored:.6g}: these rows cannot tell them apart"
    else:
        title = f"`{best['scenario']}` alone of {len(rows)} readings gives {stored:.6g}"
        if declared is not None and declared != best["scenario"]:
            outcome, title = "fail", f"{title}; declared is `{declared}`"
    return made(
        "CKP-02",
        outcome,
        title,
        **speaking(
            outcome,
            (Measured("readings that fit", len(fits), "count", n=len(rows)), gate),
            (
                Measured("readings that fit and are not the declared one", 1, "count", n=len(rows)),
                Gate("=", 0, "case S000", "documents must say which reading was trained"),
            ),
        ),
        evidence={**capped(rows, len(rows)), "chance_of_accident": chance},
        cause=(
            "another target slice or shift",
            "scaled against raw targets",
            "another architecture or data set",
        ),
        remedy=remedy,
    )


@audited
def architecture(
    stored: Mapping[str, Sequence[int]],
    built: Mapping[str, Sequence[int]],
    *,
    parameters: int | None = None,
    head: str | None = None,
    targets: int | None = None,
) -> Finding:
    """CKP-03: the checkpoint and the model built from its description have the same parameters.

    Parameters
    ----------
    stored, built : mapping of str to sequence of int
        Shape of each parameter in the file, and in the model that the description builds.
    parameters : int, optional
        Number of parameters that the documents state.
    head : str, optional
        Name of the last weight; its first dimension is the number of outputs.
    targets : int, optional
        Number of targets that it should have.

    Returns
    -------
    Finding
        Inconclusive where a side has no parameters.
    """
    gate = Gate(
        "=", 0, "case S000", "a load that is not strict fills what is missing with random numbers"
    )
    remedy = "load strictly; rebuild the model from the shapes in the file"
    if not stored or not built:
        return unable("CKP-03", "no parameters to compare", remedy, gate=gate)
    rows: list[dict[str, Any]] = [
        {"name": k, "why": "missing in the file"} for k in built if k not in stored
    ]
    rows += [{"name": k, "why": "unknown to the model"} for k in stored if k not in built]
    rows += [
        {"name": k, "why": "another shape", "stored": list(stored[k]), "built": list(built[k])}
        for k in stored
        if k in built and tuple(stored[k]) != tuple(built[k])
    ]
    count = sum(math.prod(int(d) for d in shape) for shape in stored.values())
    if parameters is not None and count != parameters:
        rows.append(
            {"name": "parameters", "why": "another number", "stored": count, "stated": parameters}
        )
    if head is not None and targets is not None:
        width = int(stored[head][0]) if head in stored and len(stored[head]) else None
        if width != targets:
            rows.append(
                {
                    "name": head,
                    "why": "another number of outputs",
                    "stored": width,
                    "targets": targets,
                }
            )
    title = f"{count:,} parameters in {plural(len(stored), 'tensor')}"
    if rows:
        first = rows[0]
        title += f": {plural(len(rows), 'difference')}, first `{first['name']}` ({first['why']})"
    return made(
        "CKP-03",
        "fail" if rows else "pass",
        title + ("" if rows else ", all as described"),
        measured=Measured("differences", len(rows), "count", n=len(stored)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
    )


@audited
def loss_pair(train: float, validation: float, *, constant: float | None = None) -> Finding:
    """CKP-04: the pair of train and validation loss is possible.

    Parameters
    ----------
    train, validation : float
        Losses of the same kind.
    constant : float, optional
        Loss of the best constant forecast on the validation rows.

    Returns
    -------
    Finding
        Inconclusive where a loss is missing or not above 0.
    """
    gate = Gate(
        ">=",
        SUSPICIOUS,
        "case S000",
        "a model does not do twice as well on rows that it has not seen",
    )
    remedy = "evaluate both parts with one function: same mode, reduction, target scale"
    if not (math.isfinite(train) and math.isfinite(validation)) or train <= 0 or validation <= 0:
        return unable(
            "CKP-04", f"train {train}, validation {validation}: no ratio", remedy, gate=gate
        )
    ratio = validation / train
    beaten = constant is not None and math.isfinite(constant) and validation >= constant
    outcome: Outcome = "fail" if beaten else "warn" if ratio < SUSPICIOUS else "pass"
    title = f"train {train:.6g}, validation {validation:.6g}: "
    title += f"{1 / ratio:.3g} times lower" if ratio < 1 else f"{ratio:.3g} times as high"
    if beaten:
        title += f"; a constant has {constant:.6g}"
    return made(
        "CKP-04",
        outcome,
        title,
        measured=Measured("gain over the constant", (constant or 0.0) - validation, "loss")
        if beaten
        else Measured("validation over train", ratio, "ratio"),
        gate=Gate(">", 0, "case S003", "a model must do better than one number")
        if beaten
        else gate,
        evidence={"constant": constant},
        cause=(
            "another reduction or target scale",
            "dropout or augmentation in training only",
            "a leak",
        ),
        remedy=remedy,
    )


@audited
def bundle_manifest(manifest: Mapping[str, Any]) -> Finding:
    """CKP-05: a bundle holds all that its model needs.

    Parameters
    ----------
    manifest : mapping of str to object
        What the bundle holds, by the names `features`, `scaler`, `label`, `self_test` (sample inputs with expected
        outputs), `horizon`, `thresholds`, `calibrator`, `costs`, `data`, `split`, `code`, `libraries`, `seed` and
        `metrics`; None, empty and absent mean missing. False says that the model has no such thing and needs none.

    Returns
    -------
    Finding
        Inconclusive for an empty manifest.
    """
    gate = Gate(
        "=",
        0,
        "cases S001, S002 and S004",
        "a model without its scaler, features, label and self-test cannot be run again",
    )
    remedy = "save bundles with bundle.save(path)"
    if not manifest:
        return unable("CKP-05", "an empty manifest", remedy, gate=gate)

    def absent(name: str) -> bool:
        held = manifest.get(name)
        return (
            held is None
            or (hasattr(held, "__len__") and len(held) == 0)
            or (isinstance(held, float) and math.isnan(held))
        )

    lacks = [name for name in MUST if absent(name)]
    thin = [name for name in SHOULD if absent(name)]
    outcome: Outcome = "fail" if lacks else "warn" if thin else "pass"
    if lacks:
        title = f"the bundle lacks {', '.join(lacks)}"
    elif thin:
        title = f"the bundle holds what it needs to run, and does not say {', '.join(thin)}"
    else:
        title = f"the bundle holds all of {len(MUST) + len(SHOULD)} entries"
    return made(
        "CKP-05",
        outcome,
        title,
        measured=Measured(
            "missing entries", len(lacks) + len(thin), "count", n=len(MUST) + len(SHOULD)
        ),
        gate=gate,
        evidence={"missing": lacks, "unsaid": thin},
        remedy=remedy,
    )


@audited
def running_model(hashes: Any, claimed: str) -> Finding:
    """CKP-06: the model that decided is the one that is claimed.

    Parameters
    ----------
    hashes : sequence of str
        Content hash of the weights, logged with each decision; None or empty where it was not.
    claimed : str
        Hash that the claim names.

    Returns
    -------
    Finding
        Inconclusive without decisions or without a claimed hash.
    """
    return _running("CKP-06", hashes, claimed)


@audited
def live_model(hashes: Any, claimed: str) -> Finding:
    """DEC-06: the live model is the one that was tested.

    Parameters
    ----------
    hashes : sequence of str
        Content hash of the weights, logged with each live decision; None or empty where it was not.
    claimed : str
        Hash of the bundle that was tested.

    Returns
    -------
    Finding
        As CKP-06, of which this is the live side.
    """
    return _running("DEC-06", hashes, claimed)


def _running(code: str, hashes: Any, claimed: str) -> Finding:
    """Compare the hashes of a log with the one that is claimed."""
    held = ["" if h is None else str(h) for h in hashes]
    gate = Gate("=", 0, "case S004", "nobody could say which of four files was live")
    remedy = "log the bundle's digest with every decision"
    if (len(held) < 2 and held[:1] in ([], [claimed])) or not claimed:
        return unable(code, "fewer than 2 decisions, or no claimed hash", remedy, gate=gate)
    counts: dict[str, int] = {}
    for h in held:
        counts[h] = counts.get(h, 0) + 1
    wrong = len(held) - counts.get(claimed, 0)
    rows = [
        {"hash": h or "not logged", "decisions": n}
        for h, n in sorted(counts.items(), key=lambda kv: -kv[1])
    ]
    if wrong:
        other = next((h for h in held if h != claimed), "")
        title = (
            f"{wrong:,} of {len(held):,} decisions were not made by the "
            f"claimed model, first by {other[:12] or 'one that was not logged'}"
        )
    else:
        title = f"all {len(held):,} decisions were made by {claimed[:12]}"
    return made(
        code,
        "fail" if wrong else "pass",
        title,
        measured=Measured("decisions by others", wrong, "count", n=len(held)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
    )


@audited
def mode_parity(
    reference: Any,
    others: Mapping[str, Any],
    *,
    threshold: float | None = None,
    stochastic: bool = False,
    tolerances: Mapping[str, float] | None = None,
) -> Finding:
    """CKP-07: mode, precision, device and batch size do not change predictions.

    Parameters
    ----------
    reference : array_like of shape (n,)
        Probabilities in eval mode, fp32, on the CPU, in batches.
    others : mapping of str to array_like of shape (n,)
        The same rows otherwise: `train mode`, `fp16`, `gpu`, `batch 1`, or any name.
    threshold : float, optional
        Decision threshold: no decision may flip outside of a band as wide as the tolerance.
    stochastic : bool, default False
        Whether the model has dropout or batch norm, for which `train mode` may differ.
    tolerances : mapping of str to float, optional
        Largest difference by name. Default: 5e-3 for `fp16` and `gpu`, 1e-6 else.

    Returns
    -------
    Finding
        Inconclusive without rows or variants.
    """
    p = numbers("reference", reference)
    allowed = {**PARITY, **(tolerances or {})}
    gate = Gate(
        "<=",
        PARITY["fp16"],
        "case S000",
        "batch norm in train mode answers by the other rows of the batch",
    )
    remedy = "call eval() after loading; compare precisions and devices before deployment"
    rows: list[dict[str, Any]] = []
    for name, values in others.items():
        q = numbers(name, values)
        n = same_rows(reference=p, other=q)
        good = np.isfinite(p) & np.isfinite(q)
        bound = allowed.get(name, EXACT)
        free = name == "train mode" and stochastic
        if not good.any():
            rows.append(
                {
                    "variant": name,
                    "outcome": "inconclusive",
                    "largest": math.nan,
                    "flips": 0,
                    "bound": bound,
                    "missing": 0,
                    "free": free,
                }
            )
            continue
        away = float(np.abs(p - q)[good].max())
        flips = 0
        if threshold is not None:
            near = np.abs(p - threshold) <= max(bound, BAND)
            flips = int(np.sum(((p >= threshold) != (q >= threshold)) & ~near & good))
        one_sided = int(n - good.sum()) - int(np.sum(~np.isfinite(p) & ~np.isfinite(q)))
        bad = (away > bound and not free) or (flips > 0 and not free) or one_sided > 0
        rows.append(
            {
                "variant": name,
                "outcome": "fail" if bad else "pass",
                "largest": away,
                "flips": flips,
                "bound": bound,
                "missing": one_sided,
                "free": free,
            }
        )
    held = p[np.isfinite(p)]
    if not rows or len(held) < 2 or np.ptp(held) == 0:
        return unable("CKP-07", "no rows, no variant, or one prediction for all", remedy, gate=gate)
    rows.sort(
        key=lambda row: (
            ["fail", "inconclusive", "pass"].index(row["outcome"]),
            -row["largest"] / row["bound"],
        )
    )
    worst = rows[0]
    wrong = sum(row["outcome"] == "fail" for row in rows)
    told = (
        f"`{worst['variant']}` differs by {worst['largest']:.2g} (allowed "
        f"{worst['bound']:.0e}), {plural(worst['flips'], 'decision')} flip"
    )
    return made(
        "CKP-07",
        worst["outcome"],
        told
        if worst["outcome"] != "pass"
        else (f"{plural(len(rows), 'variant')} agree; most {told}"),
        **speaking(
            worst["outcome"],
            *(
                (
                    Measured(f"largest difference of {row['variant']}", row["largest"], n=len(p)),
                    replace(gate, threshold=row["bound"]),
                )
                for row in rows
                if not row["free"]
            ),
            (
                Measured("variants that differ", wrong, "count", n=len(rows)),
                Gate("=", 0, "case S000", "no decision may flip, and no prediction be missing"),
            ),
        ),
        evidence=capped(rows, len(rows)),
        cause=("batch norm or dropout in train mode", "half precision"),
        remedy=remedy,
        scope={"variant": worst["variant"]},
    )
