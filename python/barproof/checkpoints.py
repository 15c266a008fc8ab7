"""Checkpoints of any origin: what is in a file, what is missing to use it, and which reading gives its metric.

Nothing of a file is executed; `_checkpoint_files.py` reads them.
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from barproof._checkpoint_files import NEEDED, Found, look_into_file, look_into_folder
from barproof._recreate import Recreation, recreate, recreate_bundle
from barproof.errors import FileError

__all__ = ["Inspection", "Layer", "Recreation", "inspect", "recreate", "recreate_bundle"]

_MOST_TENSORS = 20_000


@dataclass(frozen=True)
class Layer:
    """Tensors that belong together.

    Attributes
    ----------
    name : str
        Path of the module.
    what : str
        What their names and shapes say: ``"linear 72 -> 256"``.
    parameters : int
        Numbers that training moves; scalers, counters and running statistics are buffers, which do not count.
    """

    name: str
    what: str
    parameters: int


@dataclass(frozen=True, eq=False)
class Inspection:
    """What is in a checkpoint.

    Attributes
    ----------
    path : str
        As given.
    kind : str
        ``"barproof bundle"``, ``"safetensors"``, ``"torch"``, ``"pickle"``, ``"joblib"``, ``"skops"`` or ``"folder"``.
    size : int
        Bytes.
    tensors : polars.DataFrame
        `name`, `dtype`, `shape` and `count` of every array.
    layers : list of Layer
        The same by module.
    parameters : int
        Numbers in layers.
    facts : dict
        Plain values that stand beside the weights.
    contents : dict of str to str
        What is needed to use a model, and where it was found: empty where it is missing.
    imports : list of str
        What loading it by pickle would import or call besides numbers and containers: code that would run.
    notes : list of str
        What does not fit together.
    """

    path: str
    kind: str
    size: int
    tensors: pl.DataFrame
    layers: list[Layer]
    facts: dict[str, Any]
    contents: dict[str, str]
    imports: list[str]
    notes: list[str] = field(default_factory=list)

    @property
    def parameters(self) -> int:
        """Numbers in all layers."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def missing(self) -> list[str]:
        """What is not in it, of what is needed to use it."""
        return [name for name, where in self.contents.items() if not where]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold.

        Returns
        -------
        dict
            With the tensors as a list.
        """
        return {
            "path": self.path,
            "kind": self.kind,
            "size": self.size,
            "parameters": self.parameters,
            "layers": [vars(layer) for layer in self.layers],
            "tensors": self.tensors.to_dicts(),
            "facts": self.facts,
            "contents": self.contents,
            "missing": self.missing,
            "imports": self.imports,
            "notes": self.notes,
        }

    def __repr__(self) -> str:
        missing = ", ".join(self.missing)
        return (
            f"Inspection({self.kind}, {self.tensors.height} tensors, {self.parameters:,} parameters"
            f"{f', missing: {missing}' if missing else ''})"
        )


def inspect(path: str | os.PathLike[str]) -> Inspection:
    """Look into a checkpoint without executing anything of it.

    Parameters
    ----------
    path : path-like
        A bundle of this package; a file of safetensors, torch (``.pt``, both layouts), joblib, pickle (compressed or
        not) or skops; or a folder of such files with JSON beside them, which are looked at together.

    Returns
    -------
    Inspection
        Layers, shapes, parameters, what loading would run, and what is missing.

    Raises
    ------
    FileError
        If there is no such file.
    BundleError
        If it is of no known kind, damaged, or larger than a checkpoint needs.

    Notes
    -----
    Layers are told by names and shapes, so a tensor of an unusual module shows as "parameters". That something is
    found says that it is there, not that it is right: the audits PAR-05 and CKP-05 check a bundle.

    Examples
    --------
    >>> import pickle, tempfile
    >>> from sklearn.linear_model import LinearRegression
    >>> model = LinearRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0.0, 1.0])
    >>> with tempfile.NamedTemporaryFile(suffix=".pkl") as file:
    ...     _ = file.write(pickle.dumps(model)); file.flush()
    ...     found = inspect(file.name)
    >>> found.kind, found.contents["features"], found.missing[:2]
    ('pickle', '', ['features', 'scaler'])
    """
    given = Path(path)
    if not given.exists():
        raise FileError(f"there is no checkpoint {os.fspath(path)!r}: check the path")
    found = Found()
    if given.is_dir():
        kind, size = look_into_folder(given, found)
    else:
        size = given.stat().st_size
        kind = look_into_file(given, found, "")
    if len(found.tensors) > _MOST_TENSORS:
        found.notes.append(f"only the first {_MOST_TENSORS:,} of {len(found.tensors):,} tensors")
        found.tensors = dict(list(found.tensors.items())[:_MOST_TENSORS])
    layers = _layers(found.tensors)
    return Inspection(
        os.fspath(path),
        kind,
        size,
        pl.DataFrame(
            {
                "name": list(found.tensors),
                "dtype": [dtype for dtype, _ in found.tensors.values()],
                "shape": [list(shape) for _, shape in found.tensors.values()],
                "count": [math.prod(shape) for _, shape in found.tensors.values()],
            },
            schema={
                "name": pl.String,
                "dtype": pl.String,
                "shape": pl.List(pl.Int64),
                "count": pl.Int64,
            },
        ),
        layers,
        dict(list(found.facts.items())[:500]),
        _contents(found, layers, kind),
        found.imports,
        found.notes,
    )


_TREES = r"\.(\w*GradientBoosting|\w*Forest|\w*Tree|XGB|LGBM|Booster)\w*$"
"""Models that compare one feature with a threshold, so that its scale does not matter."""


def _contents(found: Found, layers: list[Layer], kind: str) -> dict[str, str]:
    keys = dict(found.keys)
    scaled = next((layer for layer in layers if layer.what.startswith("scaler")), None)
    if scaled is not None:
        keys["scaler"] = scaled.name
    elif kind != "folder" and "scaler" in keys and layers and "Scaler" not in keys["scaler"]:
        # A lone `mean` or `scale` belongs to some layer.
        keys.pop("scaler")
    if "scaler" not in keys and any(re.search(_TREES, name) for name in found.classes):
        keys["scaler"] = "none needed: trees"
    weights = f"{len(found.tensors):,} tensors" if found.tensors else ""
    made = (name.rpartition(".")[2] for name in found.classes if not name.startswith("builtins"))
    weights = weights or next(made, "")
    return {"weights": weights} | {name: keys.get(name, "") for name in NEEDED}


_TEXTS = ("told", "sha256")
"""Bytes that the nets of this package keep beside their weights: how they were made, and a digest."""


def _layers(tensors: dict[str, tuple[str, tuple[int, ...]]]) -> list[Layer]:
    groups: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, (dtype, shape) in tensors.items():
        if dtype == "U8" and name in _TEXTS:
            continue
        head, _, last = name.rpartition(".")
        groups.setdefault(head, {})[last] = shape
    told = {name: _told(name, group) for name, group in groups.items()}
    return [Layer(name, told[name], _learned(group, told[name])) for name, group in groups.items()]


def _learned(group: dict[str, tuple[int, ...]], what: str) -> int:
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    if what.startswith("scaler"):
        return 0
    return sum(math.prod(shape) for name, shape in group.items() if name not in buffers)


def _told(name: str, group: dict[str, tuple[int, ...]]) -> str:
    """Say what a group of tensors is, by names and shapes."""
    weight, bias = group.get("weight"), group.get("bias")
    last = name.rpartition(".")[2].lower()
    one = [shape for shape in group.values() if len(shape) == 1]
    if "weight_hh_l0" in group and "weight_ih_l0" in group:
        hidden = group["weight_hh_l0"][-1]
        gates = group["weight_hh_l0"][0] // max(hidden, 1)
        kind = {4: "LSTM", 3: "GRU", 1: "RNN"}.get(gates, "recurrent")
        deep = sum(key.startswith("weight_hh_l") and "reverse" not in key for key in group)
        return f"{kind} {group['weight_ih_l0'][-1]} -> {hidden}, {deep} layers"
    if "running_mean" in group:
        return f"batch norm {group['running_mean'][0] if group['running_mean'] else '?'}"
    if "in_proj_weight" in group:
        return f"attention {group['in_proj_weight'][-1]}"
    if (
        {"mean", "scale"} <= {*group}
        or {"mean", "std"} <= {*group}
        or {"mean_", "scale_"} <= {*group}
    ):
        return f"scaler {one[0][0] if one else '?'}"
    if "coef_" in group or "coef" in group:
        shape = group.get("coef_", group.get("coef", ()))
        return f"linear {shape[-1] if shape else '?'} -> {shape[0] if len(shape) > 1 else 1}"
    if weight is not None and len(weight) == 2:
        if bias is None and "emb" in last:
            return f"embedding {weight[0]} x {weight[1]}"
        return f"linear {weight[1]} -> {weight[0]}{'' if bias is not None else ', no bias'}"
    if weight is not None and len(weight) > 2:
        return f"convolution {weight[1]} -> {weight[0]}, {' x '.join(map(str, weight[2:]))}"
    if weight is not None and len(weight) == 1:
        return f"layer norm {weight[0]}"
    return "parameters"
