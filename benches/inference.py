"""Workload C, inference on the processor: beside the same net fed with windows that lie ready, and beside libraries.

``python -m benches.inference [--record] [--quick] [--cases nets encoder libraries memory]``. `encoder` is the net of
4.8 million parameters in single precision, in bfloat16 and by onnxruntime, which is fed windows that lie ready.
Answers are compared before times are taken, contenders take turns, everything runs on one thread, and seconds are
those of the processor, so that a machine that others use tells the same. `memory` walks a table of 240 channels over
a million bars in a process of its own and reports what it held beyond the table: a peak that would be 115 GB if
windows were made.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from benches import timing
from benches.timing import Contender, Taken
from numpy.typing import NDArray

import barproof as bp
from barproof import models
from barproof.bundle import FittedPart

Floats = NDArray[np.float64]
CASES = ("nets", "encoder", "libraries", "memory")
PACKAGES = ("numpy", "torch", "scikit-learn", "xgboost", "lightgbm", "onnxruntime")
ENCODER = "encoder, 120 x 240"
ENCODER_ROWS = 96
ENCODER_NAMES = (
    "barproof",
    "resident windows",
    "barproof, bf16",
    "resident windows, bf16 autocast",
    "onnxruntime, resident windows",
)
HALF = 2e-2
"""Of probabilities in bfloat16, whose products keep eight bits."""


@dataclass(frozen=True)
class Shape:
    """A net of a case study, the features that it looks at, and rows that a processor answers in about a second."""

    net: Any
    features: int
    rows: int


SHAPES = {
    "FeedForward V7, 72 features": Shape(models.FeedForward(), 72, 200_000),
    "LstmClassifier, 20 x 10": Shape(models.LstmClassifier(), 10, 6_000),
    "BarTransformer, 32 x 20": Shape(models.BarTransformer(), 20, 6_000),
    "CrossMarketTransformer, 120 x 240": Shape(models.CrossMarketTransformer(), 240, 48),
}


def table(rows: int, features: int) -> Floats:
    """Noise of order one, off its scale, as raw features are."""
    return 3.0 + 2.0 * np.random.default_rng(7).standard_normal((rows, features))


def ready(net: Any, features: int, values: Floats) -> tuple[FittedPart, Any]:
    """A net as a fit leaves it, without a fit: what it says is beside the point."""
    import torch

    from barproof.models import _checks

    torch.manual_seed(0)
    module = net.module(features, 3)
    module.scaler.mean.copy_(torch.from_numpy(values.mean(axis=0)))
    module.scaler.scale.copy_(torch.from_numpy(values.std(axis=0)))
    net._module, net._classes = module.eval(), 3
    net._device = _checks.pick_device(net.name, "cpu", torch)
    names = tuple(f"f{i}" for i in range(features))
    return FittedPart(net, "ternary", names, (-1, 0, 1), {"method": None}), module


def windows_ready(module: Any, values: Floats, window: int) -> Any:
    """Every window, scaled and in single precision, one after the other in memory."""
    import torch

    scaled = ((torch.from_numpy(values) - module.scaler.mean) / module.scaler.scale).float()
    if window == 1:
        return scaled
    return scaled.unfold(0, window, 1).transpose(1, 2).contiguous()


def resident(module: Any, windows: Any, batch: int) -> Floats:
    """The plain loop over windows that lie ready."""
    import torch

    with torch.no_grad():
        out = torch.cat([module.body(part) for part in windows.split(batch)])
        found: Floats = torch.softmax(out.double(), dim=1).numpy()
    return found


def in_turn(contenders: list[Contender], runs: int) -> list[Taken]:
    """Processor seconds of contenders that take turns."""
    taken = [Taken(contender, []) for contender in contenders]
    for _ in range(runs):
        for one in taken:
            began = time.process_time()
            one.contender.run()
            one.seconds.append(time.process_time() - began)
    return taken


def nets(quick: bool, runs: int) -> list[tuple[str, int, list[Taken]]]:
    """Our call on the table beside the loop over ready windows, in batches of the same size."""
    import torch

    from barproof.models import _fitting

    torch.set_num_threads(1)
    found = []
    for name, shape in SHAPES.items():
        window = int(shape.net.window)
        rows = max(shape.rows // (8 if quick else 1), 8)
        values = table(rows + window - 1, shape.features)
        part, module = ready(shape.net, shape.features, values)
        windows = windows_ready(module, values, window)
        batch = _fitting._rows_at_once(shape.net, shape.features, torch.device("cpu"))
        at = np.arange(window - 1, len(values))

        def ours(part: FittedPart = part, values: Floats = values, at: Any = at) -> Floats:
            return part.predict(values, calibrated=False, rows=at)

        def theirs(module: Any = module, windows: Any = windows, batch: int = batch) -> Floats:
            return resident(module, windows, batch)

        np.testing.assert_allclose(ours(), theirs(), atol=1e-6)
        note = f"{rows:,} windows, batches of {min(batch, rows):,}"
        pair = [
            Contender("barproof", ours, note=note),
            Contender("resident windows", theirs, note=f"{windows.numel() * 4 / 2**20:,.0f} MiB"),
        ]
        found.append((name, rows, in_turn(pair, runs)))
    return found


def encoder_jobs(rows: int, only: str | None = None) -> dict[str, Callable[[], Floats]]:
    """The encoder's contenders by name, or one of them with no more than it needs; ImportError where that is absent."""
    import torch

    from barproof.models import _fitting

    torch.set_num_threads(1)
    wanted = ENCODER_NAMES if only is None else (only,)
    values = table(rows + 119, 240)
    at = np.arange(119, len(values))
    jobs: dict[str, Callable[[], Floats]] = {}
    windows: Any = None
    for name in wanted:
        half = name.endswith(("bf16", "autocast"))
        net = models.CrossMarketTransformer(inference="bf16" if half else "f32")
        part, module = ready(net, 240, values)
        batch = _fitting._rows_at_once(net, 240, torch.device("cpu"))
        if name.startswith("barproof"):
            jobs[name] = lambda part=part: part.predict(values, calibrated=False, rows=at)
            continue
        if windows is None:
            windows = windows_ready(module, values, 120)
        if name.startswith("onnxruntime"):
            jobs[name] = onnx_job(module, windows, batch)
        elif half:
            jobs[name] = lambda m=module, w=windows, b=batch: autocast(m, w, b)
        else:
            jobs[name] = lambda m=module, w=windows, b=batch: resident(m, w, b)
    return jobs


def autocast(module: Any, windows: Any, batch: int) -> Floats:
    """The plain loop in bfloat16, as torch offers it."""
    import torch

    with torch.autocast("cpu", torch.bfloat16):
        return resident(module, windows, batch)


def onnx_session(module: Any, windows: Any) -> Any:
    """The net exported for as many windows, in onnxruntime on one thread; other numbers it would not take."""
    import io
    import logging
    import warnings

    import onnxruntime
    import torch

    file = io.BytesIO()
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.body, (windows,), dynamo=True, verbose=False).save(file)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    providers = ["CPUExecutionProvider"]
    return onnxruntime.InferenceSession(file.getvalue(), options, providers=providers)


def onnx_job(module: Any, windows: Any, batch: int) -> Callable[[], Floats]:
    """The same net, exported and run by onnxruntime in batches of the same size."""
    parts = windows.split(batch)
    sessions = {len(part): onnx_session(module, part) for part in parts}
    fed = [(sessions[len(part)], part.numpy()) for part in parts]

    def run() -> Floats:
        made = [session.run(None, {session.get_inputs()[0].name: part})[0] for session, part in fed]
        logits = np.concatenate(made).astype(np.float64)
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
        return found

    return run


def encoder(quick: bool, runs: int) -> list[tuple[str, int, list[Taken]]]:
    """Our call in both precisions beside torch's loop and onnxruntime on windows that lie ready."""
    rows = ENCODER_ROWS // (8 if quick else 1)
    jobs: dict[str, Callable[[], Floats]] = {}
    for name in ENCODER_NAMES:
        try:
            jobs |= encoder_jobs(rows, name)
        except ImportError as missing:
            print(f"left out: {name} ({missing})")
    answer = jobs["barproof"]()
    notes = {}
    for name, job in jobs.items():
        apart = float(np.abs(job() - answer).max())
        if apart > (HALF if "bf16" in name else 1e-5):
            raise SystemExit(f"{name} differs by {apart:.1e}: nothing is timed")
        notes[name] = "" if name == "barproof" else f"answers within {apart:.0e}"
    made = [Contender(name, job, note=notes[name]) for name, job in jobs.items()]
    return [(ENCODER, rows, in_turn(made, runs))]


def libraries(quick: bool, runs: int) -> list[tuple[str, int, list[Taken]]]:
    """Our call on the matrix beside the library's own."""
    from threadpoolctl import threadpool_limits

    rows = 20_000 if quick else 200_000
    values = table(rows, 50)
    rng = np.random.default_rng(1)
    y = np.sign(values[:4_000, 0] - 3.0 + rng.standard_normal(4_000)) * (rng.random(4_000) > 0.3)
    at = np.arange(4_000)

    def fitted(model: Any) -> FittedPart:
        model.fit(values[:4_000], y, kind="ternary", rows=at, ends=at, seed=0)
        names = tuple(f"f{i}" for i in range(50))
        return FittedPart(model, "ternary", names, (-1, 0, 1), {"method": None})

    import sklearn.ensemble

    forest = sklearn.ensemble.RandomForestClassifier(50, max_depth=8, n_jobs=1, random_state=0)
    given: dict[str, tuple[FittedPart, Callable[[Any], Callable[[], Any]]]] = {
        "GradientBoosting (scikit-learn)": (
            fitted(models.GradientBoosting(max_iter=50)),
            lambda m: lambda: m._model.predict_proba(values),
        ),
        "RandomForest (scikit-learn)": (
            fitted(models.Sklearn(forest)),
            lambda m: lambda: m.fitted_.predict_proba(values),
        ),
        "XGBoost": (fitted(models.XGBoost(n_estimators=50)), _xgboost(values)),
        "LightGBM": (
            fitted(models.LightGBM(n_estimators=50)),
            lambda m: lambda: m._booster.predict(values, num_threads=1),
        ),
    }
    found = []
    with threadpool_limits(1):
        for name, (part, make) in given.items():
            theirs = make(part.model)

            def ours(part: FittedPart = part) -> Floats:
                return part.predict(values, calibrated=False)

            np.testing.assert_allclose(ours(), theirs(), atol=1e-6)
            pair = [Contender("barproof", ours), Contender("library", theirs)]
            found.append((name, rows, in_turn(pair, runs)))
    return found


def _xgboost(values: Floats) -> Callable[[Any], Callable[[], Any]]:
    import xgboost

    return lambda m: lambda: m._booster.predict(xgboost.DMatrix(values, nthread=1))


MEMORY = """
import sys
import numpy as np, torch
from benches import timing
from benches.inference import ready, table
from barproof import models
from barproof.models import _fitting

bars, asked, full = (int(word) for word in sys.argv[1:])
torch.set_num_threads(1)
sizes = {} if full else dict(d_model=8, heads=1, encoders=1, decoders=1, feed_forward=8, steps=2)
net = models.CrossMarketTransformer(**sizes)
X = np.empty((bars, 240))
rng = np.random.default_rng(0)
for first in range(0, bars, 10_000):
    X[first:first + 10_000] = rng.standard_normal((min(10_000, bars - first), 240))
part, _ = ready(net, 240, X[:1_000])
batch = _fitting._rows_at_once(net, 240, torch.device("cpu"))
# What the libraries take once is there before.
part.predict(X[:400], calibrated=False, rows=np.arange(119, 400))
found = []
for rows in (2 * batch, asked):
    before = timing.resident_mib()
    timing.peak_mib(restart=True)
    part.predict(X, calibrated=False, rows=np.arange(bars - rows, bars))
    found.append(timing.peak_mib() - before)
print(X.nbytes / 2**20, *found, batch)
"""


def memory(quick: bool) -> list[dict[str, object]]:
    """What inference holds beyond the table: all bars by a narrow net of the same windows, some by the whole net.

    The whole net would take hours for a million bars on a processor; that its peak over twenty batches is that over two
    shows that nothing adds up.
    """
    bars = 100_000 if quick else 1_000_000
    found: list[dict[str, object]] = []
    for name, asked, full in (
        ("all bars, net of width 8", bars - 119, 0),
        ("last bars, whole net", 272 if quick else 1_360, 1),
    ):
        words = [sys.executable, "-c", MEMORY, str(bars), str(asked), str(full)]
        # What is freed goes back to the system at once, or the peak would be that of the allocator.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
        done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
        matrix, few, beyond, batch = (float(word) for word in done.stdout.split())
        windows = asked * 120 * 240 * 4 / 2**20
        found.append(
            {
                "case": f"memory, 120 x 240, {name}",
                "contender": "barproof",
                "bars": bars,
                "threads": 1,
                "runs": 1,
                "peak_mib": f"{matrix + beyond:.0f}",
                "note": f"table {matrix:.0f} MiB, beyond it {few:.0f} MiB over 2 batches of {batch:.0f}, "
                f"{beyond:.0f} MiB over all {asked:,} windows, which would be {windows:,.0f} MiB",
            }
        )
    return found


def record_of(case: str, rows: int, taken: list[Taken]) -> list[dict[str, object]]:
    """Rows of the record: how many times as long as ours each took."""
    ours = taken[0].median
    return [
        {
            "case": case,
            "contender": one.contender.name,
            "bars": rows,
            "threads": 1,
            "runs": len(one.seconds),
            "median_s": f"{one.median:.6f}",
            "min_s": f"{min(one.seconds):.6f}",
            "max_s": f"{max(one.seconds):.6f}",
            "ns_a_bar": f"{one.median / rows * 1e9:.0f}",
            "times_barproof": f"{one.median / ours:.3f}",
            "note": one.contender.note,
        }
        for one in taken
    ]


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--quick", action="store_true", help="an eighth of the rows")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    asked = parser.parse_args()
    rows: list[dict[str, object]] = []
    for case, measure in (("nets", nets), ("libraries", libraries)):
        if case in asked.cases:
            for name, n, taken in measure(asked.quick, asked.runs):
                rows += record_of(name, n, taken)
    if "memory" in asked.cases:
        rows += memory(asked.quick)
    apart: list[dict[str, object]] = []
    if "encoder" in asked.cases:
        for name, n, taken in encoder(asked.quick, asked.runs):
            apart += record_of(name, n, taken)
    for row in rows + apart:
        print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""))
    if asked.record:
        where = timing.setting(bp.__version__, PACKAGES)
        for name, found in (("inference", rows), ("encoder", apart)):
            if found:
                print(f"recorded in {timing.write(found, where, name, timing.FEATURE_FIELDS)}")


if __name__ == "__main__":
    main()
