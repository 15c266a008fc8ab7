"""What is refused about nets; none of it needs torch."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

from barproof.errors import BundleError, ParameterError, TrainingError
from barproof.models.protocol import Floats

_DOUBLE = ("scaler", "answer_mean", "answer_scale")
# AUDITS PAR-03.
_MEAN, _LOW, _HIGH, _SHARE, _LARGEST, _RATIO = 0.1, 0.5, 2.0, 0.95, 50.0, 1_000.0


def load_torch(name: str) -> Any:
    """Load torch, an extra."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise TrainingError(
            f"model {name} needs torch, which is not installed: pip install 'barproof[torch]'"
        ) from error


def pick_device(name: str, wanted: str, torch: Any) -> Any:
    """Device by name; ``"auto"`` takes the first accelerator."""
    there = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    if wanted.partition(":")[0] == "mps":
        raise TrainingError(
            f"`device` {wanted!r} of {name} has no double precision, which its scaler needs: this machine has "
            f'{", ".join(there)}; give one of them or "auto"'
        )
    if wanted == "auto":
        return torch.device(there[1] if len(there) > 1 else "cpu")
    if wanted not in there and f"{wanted}:0" not in there:
        raise TrainingError(
            f"`device` {wanted!r} of {name} is not there: this machine has {', '.join(there)}; give one of them or "
            '"auto"'
        )
    return torch.device(wanted)


def check_loss(name: str, epoch: int, value: float) -> None:
    """Stop where a loss is no number."""
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss of {name} is {value} in epoch {epoch}: lower `learning_rate`, or set `clip`"
        )


def halved(name: str, size: int, least: int = 1) -> int:
    """Half as many rows at once, but not fewer than `least`."""
    if size // 2 < least:
        rows = "one row" if size == 1 else f"{size} rows"
        raise TrainingError(
            f"model {name} does not fit into the memory of its device, not even with {rows} at once: take a "
            'smaller net or device="cpu"'
        )
    return size // 2


def no_room(name: str, shape: tuple[int, ...], device: Any, why: Exception) -> NoReturn:
    """Say that what is there for all batches does not fit: weights, moments, the table."""
    raise TrainingError(
        f"model {name} and its table of {shape[0]:,} rows x {shape[1]:,} features do not fit into the memory of "
        f'{device}: give fewer rows, a smaller net or device="cpu"'
    ) from why


def no_precision(name: str, precision: str, device: Any, why: Exception) -> NoReturn:
    """Say that a device has no kernels for a net in half precision."""
    raise TrainingError(
        f"{device} cannot run {name} in {precision}: {str(why).partition('. ')[0][:160]}; take another `inference`, or "
        "another device"
    ) from why


def check_heads(name: str, width: int, heads: int) -> None:
    """Heads share the width."""
    if width % heads:
        raise ParameterError(
            f"`d_model` of {name} is {width}, which its {heads} heads cannot share: make it a multiple"
        )


def scale_facts(scaled: Floats) -> dict[str, float]:
    """Measure what enters the first layer, feature by feature, as PAR-03 does."""
    mean, spread = scaled.mean(axis=0), scaled.std(axis=0)
    alive = spread > 0
    fine = (np.abs(mean) <= _MEAN) & (spread >= _LOW) & (spread <= _HIGH)
    return {
        "share": float(np.mean(fine[alive])) if alive.any() else 0.0,
        "largest": float(np.max(np.abs(scaled), initial=0.0)),
        "ratio": float(spread[alive].max() / spread[alive].min()) if alive.any() else 1.0,
    }


def check_scale(name: str, facts: Mapping[str, float]) -> None:
    """Refuse to save a net whose inputs are not of order one."""
    if facts["share"] < _SHARE or facts["largest"] > _LARGEST or facts["ratio"] > _RATIO:
        raise BundleError(
            f"inputs of the first layer of {name} fail PAR-03: {facts['share']:.0%} of the features have mean about 0 "
            f"and SD about 1 ({_SHARE:.0%} needed), the largest is {facts['largest']:.4g} SD ({_LARGEST:g} allowed); "
            "clip or rank features with such tails before training"
        )


def net_fault(module: Any, features: int) -> str:
    """Name what a module is not any more since it was trained; empty if nothing."""
    if module.training:
        return "CKP-07: its net is in train mode, where dropout and batch norm answer otherwise; call eval()"
    state = module.state_dict()
    mean, scale = state.get("scaler.mean"), state.get("scaler.scale")
    if mean is None or scale is None:
        return "PAR-05: its net has no scaler any more; load the bundle again"
    if len(mean) != features:
        return f"PAR-05: its scaler is of {len(mean)} features, the part has {features}; load the bundle again"
    if not bool((scale > 0).all()) or bool((mean == 0).all() and (scale == 1).all()):
        return "PAR-05: its scaler was never fitted; train it, or load the bundle again"
    for name, value in state.items():
        wanted = "float64" if name.partition(".")[0] in _DOUBLE else "float32"
        found = str(value.dtype).removeprefix("torch.")
        if value.is_floating_point() and found != wanted:
            return f"CKP-07: {name} of its net is {found}, not {wanted}; load the bundle again"
    return ""


def check_arrays(where: str, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Weights of a file are those of the net, by name, shape and type."""
    told = {name: (tuple(a.shape), str(a.dtype)) for name, a in found.items()}
    need = {
        name: (tuple(a.shape), str(a.dtype).removeprefix("torch.")) for name, a in wanted.items()
    }
    wrong = sorted({name for name in told.keys() | need.keys() if told.get(name) != need.get(name)})
    if wrong:
        raise BundleError(
            f"{where} holds {told.get(wrong[0], 'nothing')} as {wrong[0]!r}, the net needs "
            f"{need.get(wrong[0], 'nothing')}: the file belongs to another net"
        )
    bad = [name for name, a in found.items() if a.dtype.kind == "f" and not np.all(np.isfinite(a))]
    if bad:
        raise BundleError(
            f"{where} holds weights that are not finite, first in {bad[0]!r}: it is damaged"
        )


def check_module(name: str, out: Any, rows: int, outputs: int) -> None:
    """Refuse a module of one's own that does not answer with one row a row."""
    if tuple(out) != (rows, outputs):
        raise TrainingError(
            f"the module of {name} gives shape {tuple(out)} for {rows} rows, not ({rows}, {outputs}): one output a "
            "class, or one for returns"
        )
