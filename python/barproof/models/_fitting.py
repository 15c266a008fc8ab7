"""Training and inference of torch nets: one loop for all of them.

Everything random is drawn from generators that are seeded anew for every epoch, so that a training that was killed goes
on from its last epoch to the same weights. Torch's generator is one for the whole process, so nets train one at a time.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from barproof.errors import DataWarning
from barproof.models._checks import check_loss, halved, no_precision
from barproof.models._modules import Dense, folded
from barproof.models._resuming import Saved
from barproof.models._task import Course, Steps, Task
from barproof.models._watch import Epoch, held_bytes, watcher
from barproof.models.protocol import Floats, Ints, class_weights

_LOCK = threading.Lock()
# Most rows of a batch that asks: a processor is quickest while what a batch becomes inside of a net stays in its second
# cache, rows times bars of their windows (1.7 times the speed of 4,096 rows for the LSTM of S002, twice for the
# transformer of S003); an accelerator wants work.
_ROWS_AT_ONCE, _BARS_AT_ONCE = 1_024, 8_192
_DEVICE_ROWS_AT_ONCE = 65_536
# Rows of a pass from which on it pays to fold layers together first.
_FOLDED = 4_096
# Inputs of a batch.
_BATCH_BYTES, _DEVICE_BATCH_BYTES = 16 << 20, 256 << 20
# Rows that lie closer together than this many times their number share a stretch of the table.
_STRETCH = 4
_SCALED_AT_ONCE = 65_536


class _Changes:
    """Standardised changes after some rows, made for a batch at a time: all of them would be `steps` tables."""

    def __init__(self, answers: Steps, at: Ints, scale: Floats, device: Any) -> None:
        scaled = answers.series / scale
        self._series = torch.from_numpy(scaled).to(device)
        self._at = torch.from_numpy(at).to(device)
        self._steps = answers.steps

    def __getitem__(self, rows: Any) -> Any:
        at = self._at[rows]
        ahead = self._series.unfold(0, self._steps, 1)[at + 1].transpose(1, 2)
        return (ahead - self._series[at][:, None]).float()


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
    """Features on the device, scaled once, for a training, which meets each row many times."""
    out = torch.empty(X.shape, dtype=torch.float32, device=device)
    with torch.no_grad():
        for first in range(0, len(X), _SCALED_AT_ONCE):
            part = np.ascontiguousarray(X[first : first + _SCALED_AT_ONCE])
            out[first : first + len(part)] = module.scaler(torch.from_numpy(part).to(device))
    return out


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
    saved = Saved.of(net, module, task)
    if saved is not None:
        best_state = saved.read(module, optimiser, course, best_state)
    batches = max(-(-len(task.kept) // net.batch), 1)
    first_epoch, started, most = len(course.curve), time.perf_counter(), net.batch
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
            loss, most = _gradients(net, module, table, at[rows], y[rows], weights, most)
            if net.clip is not None:
                torch.nn.utils.clip_grad_norm_(module.parameters(), net.clip)
            optimiser.step()
            losses.append(loss)
        told = {"train": float(torch.stack(losses).mean())}
        check_loss(net.name, epoch, told["train"])
        if len(task.held):
            told["held"], metric, told[metric] = _held_loss(
                net, module, table, at, y, weights, task
            )
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
        took = (time.perf_counter() - started) / (epoch + 1 - first_epoch)
        course.rows_per_second = len(task.kept) / took
        course.memory = max(course.memory, _memory(device))
        _tell(net, course, took, device)
    module.load_state_dict(best_state)
    module.eval()
    course.seconds = time.perf_counter() - began
    return course


def _gradients(
    net: Any, module: Any, table: Any, at: Any, y: Any, weights: Any, most: int
) -> tuple[Any, int]:
    """Gradients of a batch, its loss, and how many rows fit at once.

    A batch that does not fit into the memory of the device is taken in parts, whose gradients are added up: the step is
    that of the batch, but batch norm and the spread term see the parts, which have `most` rows or somewhat more.
    """

    def learn(rows: slice, share: Any) -> Any:
        # A function of its own: what it holds is free again when it fails.
        with torch.autocast(table.device.type, torch.bfloat16, enabled=net.amp):
            out = module.body(gather(table, at[rows], net.window))
        loss = _loss(net, out.float(), y[rows], weights)
        loss = loss if share is None else loss * share
        loss.backward()
        return loss.detach()

    while True:
        module.zero_grad()
        parts = max(len(at) // most, 1)
        cuts = [slice(len(at) * i // parts, len(at) * (i + 1) // parts) for i in range(parts)]
        try:
            told = [
                learn(rows, None if parts == 1 else _share(net, y, rows, weights)) for rows in cuts
            ]
        except torch.OutOfMemoryError:
            # Batch norm cannot learn from a single row.
            most = _halve(net, min(most, len(at)), table.device, 2)
            continue
        return sum(told[1:], told[0]), most


def _share(net: Any, y: Any, rows: slice, weights: Any) -> Any:
    """Weigh the loss of some rows in that of their batch: by rows, or by class weights where it is divided by them."""
    if weights is None or net.loss != "cross_entropy":
        return len(y[rows]) / len(y)
    return weights[y[rows]].sum() / weights[y].sum()


def _set_scaler(module: Any, task: Task) -> None:
    """Mean and scale of the rows that train; a constant feature keeps a scale of 1."""
    rows = task.X[np.unique(task.at[task.kept])]
    mean, scale = rows.mean(axis=0), rows.std(axis=0)
    # What is left of a constant by rounding is no scale.
    scale[scale <= 1e-12 * np.maximum(np.abs(mean), 1e-300)] = 1.0
    module.scaler.mean.copy_(torch.from_numpy(mean))
    module.scaler.scale.copy_(torch.from_numpy(scale))
    if isinstance(task.y, Steps):
        module.target_scale.copy_(torch.from_numpy(_step_scale(task.y, task.at[task.kept])))
    elif not task.classes:
        y = task.y[task.kept]
        module.answer_mean.fill_(float(y.mean()))
        module.answer_scale.fill_(float(y.std()) or 1.0)


def _step_scale(answers: Steps, at: Ints) -> Floats:
    """Root mean square of the changes over all steps, a target at a time; 1 for a series that stands still."""
    total = np.zeros(answers.series.shape[1])
    for step in range(1, answers.steps + 1):
        total += ((answers.series[at + step] - answers.series[at]) ** 2).sum(axis=0)
    scale = np.sqrt(total / (len(at) * answers.steps))
    return np.where(scale > 0.0, scale, 1.0)


def _targets(module: Any, task: Task, device: Any) -> Any:
    if isinstance(task.y, Steps):
        return _Changes(task.y, task.at, module.target_scale.cpu().numpy(), device)
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
    """Loss of a batch: squares for returns, cross-entropy or focal loss for classes."""
    functional = torch.nn.functional
    if y.dtype != torch.int64:
        return functional.mse_loss(out[:, 0] if y.ndim == 1 else out, y)
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
) -> tuple[float, str, float]:
    """Loss on the held rows, and what a reader understands: accuracy, or correlation of returns."""
    module.eval()
    total = 0.0
    held: Any = torch.from_numpy(task.held).to(table.device)
    told, met = [], []
    with torch.no_grad():

        def ask(first: int, last: int) -> Any:
            rows = held[first:last]
            out = module.body(gather(table, at[rows], net.window))
            return out, y[rows], float(_loss(net, out.float(), y[rows], weights)) * len(rows)

        for out, came, loss in _batches(net, len(held), table.shape[1], table.device, ask):
            total += loss
            told.append(
                (out.argmax(dim=1) if task.classes else out[:, 0]) if came.ndim == 1 else out
            )
            met.append(came)
    found, y_held = torch.cat(told), torch.cat(met)
    if task.classes:
        return total / len(held), "accuracy", float((found == y_held).double().mean())
    both = torch.stack([found.double().flatten(), y_held.double().flatten()])
    spread = both.std(dim=1, unbiased=False)
    if float(spread.min()) == 0.0:
        # A constant goes with nothing.
        return total / len(held), "correlation", 0.0
    centred = both - both.mean(dim=1, keepdim=True)
    return total / len(held), "correlation", float((centred[0] * centred[1]).mean() / spread.prod())


def step_bytes(net: Any, features: int, outputs: int) -> tuple[int, int]:
    """Parameters of a net, and bytes that one step holds beside them: a batch, and what is kept for its gradients."""
    kept: dict[int, int] = {}

    def keep(value: Any) -> Any:
        kept[value.data_ptr()] = value.untyped_storage().nbytes()
        return value

    with quiet_torch(net.threads):
        module = net.module(features, outputs)
        parameters = sum(p.numel() for p in module.parameters())
        own = {p.data_ptr() for p in module.parameters()}
        # A few rows tell of what a row takes; batch norm needs two.
        few = min(net.batch, 4)
        shape = (few, features) if net.window == 1 else (few, net.window, features)
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            module.train()
            out = module.body(torch.zeros(shape))
        del out
    activations = sum(size for at, size in kept.items() if at not in own)
    row = 4 * net.window * features + activations // few
    return parameters, row * net.batch


def _memory(device: Any) -> int:
    """Memory of a training: on an accelerator the most that torch has taken there."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    return held_bytes()


def _tell(net: Any, course: Course, took: float, device: Any) -> None:
    """Tell whoever listens what the last epoch gave."""
    watch, where = watcher()
    if watch is None:
        return
    point = course.curve[-1]
    metric = next((name for name in ("accuracy", "correlation") if name in point), None)
    watch(
        Epoch(
            where,
            net.name,
            len(course.curve),
            net.epochs,
            point["train"],
            point.get("held"),
            metric,
            None if metric is None else point[metric],
            course.best + 1,
            course.rows_per_second,
            took * (net.epochs - len(course.curve)),
            _memory(device),
            str(device),
        )
    )


def _rows_at_once(net: Any, features: int, device: Any) -> int:
    """Rows of a batch that asks and does not learn: windows of many channels are few at a time."""
    if device.type == "cpu":
        most, rows = _BATCH_BYTES, min(_ROWS_AT_ONCE, max(_BARS_AT_ONCE // net.window, 16))
    else:
        most, rows = _DEVICE_BATCH_BYTES, _DEVICE_ROWS_AT_ONCE
    return int(min(rows, max(most // (4 * net.window * features), 1)))


def _batches(
    net: Any, count: int, features: int, device: Any, ask: Callable[[int, int], Any]
) -> Iterator[Any]:
    """Ask about rows a batch at a time; one that does not fit into the memory of the device is halved."""
    size, first = _rows_at_once(net, features, device), 0
    while first < count:
        try:
            told = ask(first, min(first + size, count))
        except torch.OutOfMemoryError:
            size = _halve(net, size, device)
            continue
        yield told
        first += size


def _halve(net: Any, size: int, device: Any, least: int = 1) -> int:
    size = halved(net.name, size, least)
    warnings.warn(
        f"out of memory on {device}: going on with {size:,} rows at once", DataWarning, stacklevel=3
    )
    return size


_RESIDENT: dict[tuple[int, str], Any] = {}


@contextmanager
def resident(X: Floats, device: Any) -> Iterator[Any]:  # noqa: N803
    """Raw features on a device; a table that :func:`shared` holds there is not sent again."""
    key = id(X), str(device)
    if key in _RESIDENT:
        if _RESIDENT[key] is None:
            _RESIDENT[key] = _sent(X, device)
        yield _RESIDENT[key]
        return
    yield _sent(X, device)


def _sent(X: Floats, device: Any) -> Any:  # noqa: N803
    return torch.from_numpy(np.ascontiguousarray(X)).to(device)


@contextmanager
def shared(X: Floats, devices: Iterable[str]) -> Iterator[None]:  # noqa: N803
    """Keep a table on these devices, once it is there, while several models are asked about it."""
    keys = {(id(X), str(device)) for device in devices} - _RESIDENT.keys()
    _RESIDENT.update(dict.fromkeys(keys))
    try:
        yield
    finally:
        for key in keys:
            del _RESIDENT[key]


def _windows(module: Any, raw: Any, rows: Ints, window: int) -> Any:
    """Scaled windows that end at some rows, made of the stretch of the table that they share.

    The table stays as it is: what is scaled is a stretch as long as the batch. Rows that lie far apart are taken one by
    one.
    """
    low, high = int(rows.min()) - window + 1, int(rows.max()) + 1
    if window == 1 and high - low == len(rows) and bool(np.all(np.diff(rows) == 1)):
        return module.scaler(raw[low:high])
    if high - low <= _STRETCH * (len(rows) + window):
        at = torch.from_numpy(rows - low).to(raw.device)
        return gather(module.scaler(raw[low:high]), at, window)
    at = torch.from_numpy(rows).to(raw.device)
    if window == 1:
        return module.scaler(raw[at])
    back = torch.arange(1 - window, 1, device=raw.device)
    return module.scaler(raw[at[:, None] + back])


def infer(net: Any, module: Any, X: Floats, at: Ints, device: Any) -> Floats:  # noqa: N803
    """Ask a module about rows of a table; the answer is in double precision and in their order."""
    module.to(device).eval()
    out: NDArray[np.float64] | None = None
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(net.inference)
    body = _compiled(module) if net.compiled else module.body
    if body is module.body and half is None and isinstance(body, Dense) and len(at) >= _FOLDED:
        body = folded(body)
    with torch.no_grad(), resident(X, device) as raw:

        def ask(first: int, last: int) -> Any:
            batch = _windows(module, raw, at[first:last], net.window)
            try:
                with nullcontext() if half is None else torch.autocast(device.type, half):
                    return body(batch).double()
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                if half is None:
                    raise
                no_precision(net.name, net.inference, device, error)

        first = 0
        for told in _batches(net, len(at), X.shape[1], device, ask):
            if out is None:
                out = np.empty((len(at), *told.shape[1:]))
            out[first : first + len(told)] = told.cpu().numpy()
            first += len(told)
    assert out is not None
    return out


def _compiled(module: Any) -> Any:
    """Compile the body, once a module and for any batch size."""
    if not hasattr(module, "_compiled"):
        object.__setattr__(module, "_compiled", torch.compile(module.body, dynamic=True))
    return module._compiled
