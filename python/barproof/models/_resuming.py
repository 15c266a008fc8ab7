"""Trainings of nets on disk, so that one that was killed goes on from its last epoch."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from barproof import _core
from barproof._tensors import read_sealed, write_sealed
from barproof._whole import whole
from barproof.errors import BundleError, DataWarning, FileError
from barproof.models._task import Course, Steps, Task


@dataclass(frozen=True)
class Saved:
    """A training under way, on disk: weights, best weights and moments of the optimiser after the last epoch."""

    path: Path
    identity: str

    @classmethod
    def of(cls, net: Any, module: Any, task: Task) -> Saved | None:
        """Name the file of a training and make its folder; None where nothing is to be kept."""
        if net.resume is None:
            return None
        shapes = [f"{name} {tuple(value.shape)}" for name, value in module.state_dict().items()]
        # The start, the data and the parameters tell one training from another.
        data = hashlib.sha256()
        y = task.y.series if isinstance(task.y, Steps) else task.y
        for array in (task.X, task.at, y, task.kept, task.held):
            data.update(np.ascontiguousarray(array).view(np.uint8).data)
        params = json.dumps(net.params, sort_keys=True, default=repr)
        identity = _core.digest("training/1", [params, str(task.seed), *shapes, data.hexdigest()])
        folder = Path(net.resume)
        saved = cls(folder / f"{net.name.lower()}-{identity[:16]}.safetensors", identity)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            saved._refuse(error)
        return saved

    def _refuse(self, error: OSError) -> NoReturn:
        raise FileError(
            f"`resume` {str(self.path.parent)!r} cannot be written: {error.strerror or error}; choose a folder with "
            "room and write permission"
        ) from error

    def write(self, module: Any, optimiser: Any, course: Course, best: dict[str, Any]) -> None:
        """Write the state after an epoch, whole or not at all."""
        arrays: dict[str, Any] = {}
        for prefix, state in (("now", module.state_dict()), ("best", best)):
            arrays |= {f"{prefix}/{name}": value.cpu().numpy() for name, value in state.items()}
        for i, moments in optimiser.state_dict()["state"].items():
            arrays |= {f"moment/{i}/{name}": value.cpu().numpy() for name, value in moments.items()}
        told = {
            "identity": self.identity,
            "curve": course.curve,
            "best": course.best,
            "stopped_by": course.stopped_by,
        }
        arrays["course"] = np.frombuffer(json.dumps(told).encode(), dtype=np.uint8)
        try:
            with whole(self.path) as temporary:
                temporary.write_bytes(write_sealed(arrays))
        except OSError as error:
            self._refuse(error)

    def read(
        self, module: Any, optimiser: Any, course: Course, best: dict[str, Any]
    ) -> dict[str, Any]:
        """Put back what was written; a file that is damaged is left alone, and the training begins again."""
        if not self.path.exists():
            return best
        why = "it is of another training"
        try:
            arrays = read_sealed(self.path.read_bytes(), "it")
            told = json.loads(arrays.pop("course").tobytes())
        except (BundleError, KeyError, ValueError) as error:
            told, why = {}, str(error)
        if told.get("identity") != self.identity:
            warnings.warn(
                f"the training under way in {str(self.path)!r} begins again: {why}",
                DataWarning,
                stacklevel=2,
            )
            return best
        parts: dict[str, dict[str, Any]] = {"now": {}, "best": {}}
        moments: dict[int, dict[str, Any]] = {}
        for name, array in arrays.items():
            prefix, _, rest = name.partition("/")
            value = torch.from_numpy(array.copy())
            if prefix == "moment":
                number, _, what = rest.partition("/")
                moments.setdefault(int(number), {})[what] = value
            else:
                parts[prefix][rest] = value
        module.load_state_dict(parts["now"])
        state = optimiser.state_dict()
        state["state"] = moments
        optimiser.load_state_dict(state)
        course.curve, course.best = told["curve"], told["best"]
        course.stopped_by, course.resumed = told["stopped_by"], len(told["curve"])
        return parts["best"]
