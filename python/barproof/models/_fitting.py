"""Training and inference of torch nets: one loop for all of them.

Everything random is drawn from generators that are seeded anew for every epoch, so that a training that was killed goes
on from its last epoch to the same weights. Torch's generator is one for the whole process, so nets train one at a time.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from barproof import _core
from barproof._tensors import read_tensors, write_tensors
from barproof.errors import DataWarning
from barproof.models._checks import check_loss, halved
from barproof.models.protocol import Floats, Ints, class_weights

_LOCK = threading.Lock()
_ROWS_AT_ONCE = 4_096


@dataclass(frozen=True, eq=False)
class Task:
    """What a net is asked to learn."""

    X: Floats
    at: Ints  # rows of X that are labelled; a window ends there
    y: Floats
    kept: Ints  # positions in `at` that train
    held: Ints  # positions that stop early
    classes: int  # 0 for returns
    seed: int


@dataclass
class Course:
    """How training went."""

    curve: list[dict[str, float]] = field(default_factory=list)
    best: int = -1
    resumed: int = 0
    seconds: float = 0.0
    stopped_by: str = "epochs"


@contextmanager
def quiet_torch(threads: int) -> Iterator[None]:
    """Torch for one at a time, with this many threads; its generator is left as it was."""
    with _LOCK, torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def seed_epoch(seed: int, epoch: int) -> int:
    """Seed of whatever is drawn in an epoch; -1 is the initialisation."""
    return int(np.random.SeedSequence([seed, epoch + 1]).generate_state(1)[0])


def table_on(X: Floats, module: Any, device: Any) -> Any:  # noqa: N803
    """Features on the device, scaled once; windows are gathered from there."""
    with torch.no_grad():
        raw = torch.from_numpy(np.ascontiguousarray(X)).to(device)
        return module.scaler(raw)


def gather(table: Any, at: Any, window: int) -> Any:
    """Rows, or windows that end at them: a view of the table, of which only a batch is copied."""
    if window == 1:
        return table[at]
    return table.unfold(0, window, 1)[at - (window - 1)].transpose(1, 2)


def fit(net: Any, module: Any, task: Task, device: Any) -> Course:
    """Train a module in place; its best weights on the held rows are left in it."""
    began = time.perf_counter()
    module.to(device)
    _set_scaler(module, task)
    table = table_on(task.X, module, device)
    at = torch.from_numpy(task.at).to(device)
    y = _targets(module, task, device)
    weights = _weights(net, task, device)
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=net.learning_rate, weight_decay=net.weight_decay
    )
    course = Course()
    best_state = {name: value.clone() for name, value in module.state_dict().items()}
    saved = _Saved.of(net, module, task)
    if saved is not None:
        best_state = saved.read(module, optimiser, course, best_state)
    batches = max(-(-len(task.kept) // net.batch), 1)
    for epoch in range(len(course.curve), net.epochs):
        if course.stopped_by != "epochs":
            break
        torch.manual_seed(seed_epoch(task.seed, epoch))
        order = torch.from_numpy(task.kept)[torch.randperm(len(task.kept))].to(device)
        module.train()
        losses = []
        for i in range(batches):
            rows = order[i * net.batch : (i + 1) * net.batch]
            if len(rows) < 2 and batches > 1:
                # Batch norm cannot learn from a single row.
                continue
            for group in optimiser.param_groups:
                group["lr"] = net.learning_rate * net._rate(
                    (epoch * batches + i) / (net.epochs * batches)
                )
            with torch.autocast(device.type, torch.bfloat16, enabled=net.amp):
                out = module.body(gather(table, at[rows], net.window))
            loss = _loss(net, out.float(), y[rows], weights)
            optimiser.zero_grad()
            loss.backward()
            if net.clip is not None:
                torch.nn.utils.clip_grad_norm_(module.parameters(), net.clip)
            optimiser.step()
            losses.append(loss.detach())
        told = {"train": float(torch.stack(losses).mean())}
        check_loss(net.name, epoch, told["train"])
        if len(task.held):
            told["held"] = _held_loss(net, module, table, at, y, weights, task)
            check_loss(net.name, epoch, told["held"])
        course.curve.append(told)
        values = [point.get("held", -i) for i, point in enumerate(course.curve)]
        if int(np.argmin(values)) == epoch or not len(task.held):
            course.best = epoch
            best_state = {name: value.clone() for name, value in module.state_dict().items()}
        if len(task.held) and epoch - course.best >= net.patience:
            course.stopped_by = f"loss on the last {len(task.held)} train rows"
        if saved is not None:
            saved.write(module, optimiser, course, best_state)
    module.load_state_dict(best_state)
    module.eval()
    course.seconds = time.perf_counter() - began
    return course


def _set_scaler(module: Any, task: Task) -> None:
    """Mean and scale of the rows that train; a constant feature keeps a scale of 1."""
    rows = task.X[np.unique(task.at[task.kept])]
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    # What is left of a constant by rounding is no scale.
    scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)] = 1.0
    module.scaler.mean.copy_(torch.from_numpy(mean))
    module.scaler.scale.copy_(torch.from_numpy(scale))
    if not task.classes:
        y = task.y[task.kept]
        module.answer_mean.fill_(float(y.mean()))
        module.answer_scale.fill_(float(y.std()) or 1.0)


def _targets(module: Any, task: Task, device: Any) -> Any:
    if task.classes:
        return torch.from_numpy(task.y.astype(np.int64)).to(device)
    y = torch.from_numpy(task.y).to(device)
    return ((y - module.answer_mean) / module.answer_scale).float()


def _weights(net: Any, task: Task, device: Any) -> Any:
    """One weight a class, or none."""
    if not (net.balanced and task.classes):
        return None
    y = task.y[task.kept]
    each = class_weights(y)
    table = [float(each[y == c][0]) if np.any(y == c) else 0.0 for c in range(task.classes)]
    return torch.tensor(table, dtype=torch.float32, device=device)


def _loss(net: Any, out: Any, y: Any, weights: Any) -> Any:
    functional = torch.nn.functional
    if y.dtype != torch.int64:
        return functional.mse_loss(out[:, 0], y)
    if net.loss == "cross_entropy":
        loss = functional.cross_entropy(out, y, weight=weights, label_smoothing=net.label_smoothing)
    else:
        # Lin et al. 2017: (1 - p)^gamma before the logarithm; smoothing spreads the target as above.
        log_p = functional.log_softmax(out, dim=1)
        k = out.shape[1]
        target = (
            functional.one_hot(y, k).to(out.dtype) * (1 - net.label_smoothing)
            + net.label_smoothing / k
        )
        each = -(target * (1 - log_p.exp()) ** net.focal_gamma * log_p).sum(dim=1)
        scale = net.focal_alpha * (weights[y] if weights is not None else 1.0)
        loss = (scale * each).mean()
    if net.spread:
        loss = loss - net.spread * torch.softmax(out, dim=1).std(dim=0, unbiased=False).mean()
    return loss


def _held_loss(
    net: Any, module: Any, table: Any, at: Any, y: Any, weights: Any, task: Task
) -> float:
    module.eval()
    total = 0.0
    held: Any = torch.from_numpy(task.held).to(table.device)
    with torch.no_grad():
        for rows in held.split(_ROWS_AT_ONCE):
            out = module.body(gather(table, at[rows], net.window))
            total += float(_loss(net, out.float(), y[rows], weights)) * len(rows)
    return total / len(held)


def infer(net: Any, module: Any, X: Floats, at: Ints, device: Any) -> Floats:  # noqa: N803
    """Ask a module about rows of a table; the answer is in double precision and in their order."""
    module.to(device).eval()
    out: list[NDArray[np.float64]] = []
    with torch.no_grad():
        table = table_on(X, module, device)
        rows = torch.from_numpy(at).to(device)
        size, first = _ROWS_AT_ONCE, 0
        while first < len(rows):
            try:
                batch = gather(table, rows[first : first + size], net.window)
                told = module.body(batch).double()
            except torch.OutOfMemoryError:
                size = halved(net.name, size)
                warnings.warn(
                    f"out of memory on {device}: going on with {size:,} rows at once",
                    DataWarning,
                    stacklevel=2,
                )
                continue
            out.append(told.cpu().numpy())
            first += size
    return np.concatenate(out)


@dataclass(frozen=True)
class _Saved:
    """A training under way, on disk: weights, best weights and moments of the optimiser after the last epoch."""

    path: Path
    identity: str

    @classmethod
    def of(cls, net: Any, module: Any, task: Task) -> _Saved | None:
        if net.resume is None:
            return None
        shapes = [f"{name} {tuple(value.shape)}" for name, value in module.state_dict().items()]
        # The start, the data and the parameters tell one training from another.
        data = hashlib.sha256()
        for array in (task.X, task.at, task.y, task.kept, task.held):
            data.update(np.ascontiguousarray(array).view(np.uint8).data)
        params = json.dumps(net.params, sort_keys=True, default=repr)
        identity = _core.digest("training/1", [params, str(task.seed), *shapes, data.hexdigest()])
        folder = Path(net.resume)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder / f"{net.name.lower()}-{identity[:16]}.safetensors", identity)

    def write(self, module: Any, optimiser: Any, course: Course, best: dict[str, Any]) -> None:
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
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("wb") as stream:
            stream.write(write_tensors(arrays))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, self.path)

    def read(
        self, module: Any, optimiser: Any, course: Course, best: dict[str, Any]
    ) -> dict[str, Any]:
        if not self.path.exists():
            return best
        arrays = read_tensors(self.path.read_bytes(), str(self.path))
        told = json.loads(arrays.pop("course").tobytes())
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
