"""Nets as the case made them, and as whoever loads their weights sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import barproof as bp
from examples.casework import Case

__all__ = ["Loaded", "of_bundle", "train_v6", "train_v7"]


@dataclass(frozen=True)
class Loaded:
    """A dense net made of named arrays: ``0.weight``, ``0.bias``, ``1.running_mean``, ...

    Attributes
    ----------
    arrays : mapping of str to ndarray
        By layer.
    mean, scale : ndarray or None
        Its scaler, if it came with one.
    """

    arrays: Mapping[str, Any]
    mean: Any = None
    scale: Any = None

    @property
    def first(self) -> tuple[Any, Any]:
        """Weight and bias of the first layer."""
        return self.arrays["0.weight"], self.arrays["0.bias"]

    def entered(self, x: Any) -> Any:
        """Show rows as the first layer gets them."""
        return x if self.mean is None else (x - self.mean) / self.scale

    def first_layer(self, x: Any) -> Any:
        """Show what the first layer makes of rows."""
        return self.entered(x) @ self.first[0].T + self.first[1]

    def logits(self, x: Any) -> Any:
        """Run rows through linear layers; batch norm with ReLU behind it where there is one."""
        out = self.entered(x)
        for i in sorted({int(name.split(".")[0]) for name in self.arrays}):
            own = {k.split(".")[1]: v for k, v in self.arrays.items() if k.startswith(f"{i}.")}
            if "running_mean" in own:
                out = (out - own["running_mean"]) / np.sqrt(own["running_var"] + 1e-5)
                out = np.maximum(out * own["weight"] + own["bias"], 0.0)
            else:
                out = out @ own["weight"].T + own["bias"]
        return out


def of_bundle(path: Path) -> Loaded:
    """Read the weights file of a bundle; its scaler is in it, or there is no file."""
    from safetensors.numpy import load_file

    held = load_file(path / "model.weights.safetensors")
    body = {k.removeprefix("body."): v for k, v in held.items() if k.startswith("body.")}
    return Loaded(body, held["scaler.mean"], held["scaler.scale"])


def train_v6(x: Any, y: Any, train: Any, case: Case) -> Loaded:
    """Four linear layers on prices as they are."""
    import torch

    sizes = (72, 256, 128, 64, 3) if case.full else (72, 64, 32, 16, 3)
    torch.manual_seed(case.seed)
    net = torch.nn.Sequential(*(torch.nn.Linear(a, b) for a, b in pairwise(sizes)))
    _fit(net, x, y, train, torch.nn.functional.cross_entropy, case, epochs=1)
    return Loaded(_arrays(net))


def train_v7(x: Any, y: Any, train: Any, case: Case, symbol: str) -> tuple[Loaded, dict[str, Any]]:
    """Batch norm, dropout, focal loss, and a scaler that is no part of what is saved.

    Also tells what the checkpoint holds, by the names of a manifest (CKP-05).
    """
    import torch
    from torch import nn

    mean, scale = x[train].mean(axis=0), x[train].std(axis=0)
    layers: list[Any] = []
    width = 72
    for size in (256, 128, 64) if case.full else (64, 32):
        layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU(), nn.Dropout(0.3)]
        width = size
    torch.manual_seed(case.seed)
    net = nn.Sequential(*layers, nn.Linear(width, 3))

    def focal(logits: Any, target: Any) -> Any:
        loss = nn.functional.cross_entropy(logits, target, reduction="none", label_smoothing=0.05)
        return (0.25 * (1 - torch.exp(-loss)) ** 2 * loss).mean()

    def fitted() -> Any:
        _fit(net, (x - mean) / scale, y, train, focal, case, epochs=3)
        return net.state_dict()

    path = case.out / f"v7-{symbol}.pt"
    net.load_state_dict(case.once(path.name, fitted, torch.save, torch.load))
    net.eval()
    found = bp.checkpoints.inspect(path)
    if symbol == "BTC":
        case.figures["missing in the checkpoint"] = list(found.missing)
    return Loaded(_arrays(net)), {"weights": path.name, "calibrator": "temperature 2.5"}


def _fit(net: Any, x: Any, y: Any, train: Any, loss: Any, case: Case, *, epochs: int) -> None:
    import torch

    torch.set_num_threads(1)
    steps = torch.optim.Adam(net.parameters(), lr=1e-3)
    net.train()
    for epoch in range(epochs):
        order = np.random.default_rng([case.seed, epoch]).permutation(train)
        for rows in np.array_split(order, len(order) // (1_024 if case.full else 64)):
            given = torch.tensor(x[rows], dtype=torch.float32)
            told = loss(net(given), torch.tensor(y[rows], dtype=torch.long))
            steps.zero_grad()
            told.backward()
            steps.step()
    net.eval()


def _arrays(net: Any) -> dict[str, Any]:
    held = net.state_dict().items()
    return {k: v.double().numpy() for k, v in held if not k.endswith("tracked")}
