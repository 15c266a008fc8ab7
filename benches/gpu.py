"""The accelerator: nets beside a plain DataLoader loop, memory bandwidth, and the whole chain over a million bars.

``python -m benches.gpu [--record] [--bars 1000000] [--device cuda]``. Whole in one run of less than ten minutes; where
there is no accelerator it says so in one line and ends, and with ``--record`` the record says it. Parts:

- `transformer`: the bar transformer of S003 over every window of the table, beside a Dataset and DataLoader that make
  each window on the host, as one would write it down first. The loop is timed on fewer windows, and the figure scaled.
- `feed forward`: V7 of S001 over resident rows; bytes that must move (features read, hidden layers written and read)
  a second, beside a plain copy on the same device.
- `end to end`: features, inference, a sweep of 1,000 combinations over a million bars; the share of each stage.

Answers of our call and of the loop are compared before times are taken.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from benches import timing
from benches.inference import ready, table
from numpy.typing import NDArray

import barproof as bp
from barproof import models
from barproof._machine import thread_count

Floats = NDArray[np.float64]
PACKAGES = ("numpy", "torch", "polars")
FIELDS = (
    "part", "contender", "bars", "runs", "median_s", "min_s", "max_s", "per_s", "times", "gb_per_s", "share",
    "device_mib", "note",
)  # fmt: skip
LIMIT_SECONDS = 600
NONE = "left out: this machine has no accelerator that torch knows, so nothing was measured"
FEATURES = [
    "log_return(1)", "log_return(12)", "rsi(14)", "macd(12, 26, 9).hist", "bbands(20, 2).position",
    "atr_ratio(14)", "volume_zscore(48)", "taker_imbalance()", "ema(taker_imbalance(), 6)",
    "ema(taker_imbalance(), 24)", "time_of_day()",
]  # fmt: skip


def accelerator(asked: str) -> Any:
    """The device, or None."""
    import torch

    if asked == "auto":
        return torch.device("cuda") if torch.cuda.is_available() else None
    device = torch.device(asked)
    if device.type == "cuda" and not torch.cuda.is_available():
        return None
    return device


def synchronise(device: Any) -> None:
    """Wait for what was asked of the device."""
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: Callable[[], object], device: Any, runs: int) -> list[float]:
    """Seconds of each run, until the device is done; once before, untimed."""
    run()
    taken = []
    for _ in range(runs):
        synchronise(device)
        began = time.perf_counter()
        run()
        synchronise(device)
        taken.append(time.perf_counter() - began)
    return taken


def row(
    part: str, contender: str, bars: int, seconds: list[float], **more: object
) -> dict[str, object]:
    """A line of the record."""
    median = statistics.median(seconds)
    return {
        "part": part,
        "contender": contender,
        "bars": bars,
        "runs": len(seconds),
        "median_s": f"{median:.6f}",
        "min_s": f"{min(seconds):.6f}",
        "max_s": f"{max(seconds):.6f}",
        "per_s": f"{bars / median:.0f}",
        **more,
    }


def loader_loop(
    module: Any, values: Floats, window: int, at: Any, device: Any, batch: int
) -> Floats:
    """Dataset and DataLoader as one writes them first: a window made on the host for every row."""
    import torch

    class Windows(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(at)

        def __getitem__(self, i: int) -> Any:
            last = int(at[i])
            return torch.from_numpy(values[last - window + 1 : last + 1].copy())

    found = []
    with torch.no_grad():
        for windows in torch.utils.data.DataLoader(Windows(), batch_size=batch):
            scaled = module.scaler(windows.to(device))
            found.append(torch.softmax(module.body(scaled).double(), dim=1).cpu())
    out: Floats = torch.cat(found).numpy()
    return out


def device_mib(device: Any) -> str:
    """Most that torch took on the device."""
    import torch

    if device.type != "cuda":
        return ""
    return f"{torch.cuda.max_memory_allocated(device) / 2**20:.0f}"


def transformer(device: Any, bars: int, runs: int) -> list[dict[str, object]]:
    """Every window of a table by the larger bar transformer, in single and half precision, and by the loop."""
    found = []
    net: Any = models.BarTransformer(window=48, d_model=128, heads=8, layers=3)
    values = table(bars, 20)
    part, module = ready(net, 20, values)
    net._device = device
    at = np.arange(net.window - 1, bars)
    few = at[: max(bars // 50, 64)]
    batch = 1_024
    ours = part.predict(values, calibrated=False, rows=few)
    module.to(device)
    gap = np.abs(ours - loader_loop(module, values, net.window, few, device, batch)).max()
    assert gap < 1e-3, gap
    module.to(device)
    slow = timed(
        lambda: loader_loop(module, values, net.window, few, device, batch), device, min(runs, 3)
    )
    loop = statistics.median(slow) / len(few)
    found.append(
        row(
            "transformer", "DataLoader loop", len(few), slow, times="1.0",
            note=f"window 48 x 20, batches of {batch:,}, single precision; differs by {gap:.1e}",
        )
    )  # fmt: skip
    for precision in ("f32", "bf16"):
        net.inference = precision
        quick = timed(lambda: part.predict(values, calibrated=False, rows=at), device, runs)
        found.append(
            row(
                "transformer", f"barproof {precision}", len(at), quick,
                times=f"{loop / (statistics.median(quick) / len(at)):.1f}",
                device_mib=device_mib(device), note="times the loop's speed a window",
            )
        )  # fmt: skip
    return found


def feed_forward(device: Any, bars: int, runs: int) -> list[dict[str, object]]:
    """V7 on rows that lie on the device, beside a copy there: bytes a second of both."""
    import torch

    from barproof.models import _fitting

    net: Any = models.FeedForward()
    values = table(bars, 72)
    part, module = ready(net, 72, values)
    net._device = device
    module.to(device)
    # Features in double precision; each hidden layer is written and read by product, norm and bend, of which our call
    # takes the norm into the product; the answer.
    widths = (256, 128, 64)
    ends = 72 * (8 + 4 + 4) + 3 * (4 + 8)
    moved, folded = (bars * (ends + sum(widths) * 4 * times) for times in (6, 4))
    # A gigabyte, or as much as the rows ask for where they are few.
    source = torch.empty(min(1 << 28, 256 * bars), dtype=torch.float32, device=device)
    copied = timed(source.clone, device, runs)
    copy = 2 * source.numel() * 4 / statistics.median(copied) / 1e9
    elements = source.numel()
    del source
    found = [
        row("feed forward", "copy on the device", elements, copied, gb_per_s=f"{copy:.0f}", share="1.00",
            note="single precision, read and written")
    ]  # fmt: skip
    with _fitting.shared(values, [str(device)]):
        inside = timed(lambda: part.predict(values, calibrated=False), device, runs)
    raw = torch.from_numpy(values).to(device)

    def bare() -> None:
        with torch.no_grad():
            for first in range(0, bars, 1 << 18):
                module.to(device).body(module.scaler(raw[first : first + (1 << 18)])).double()

    alone = timed(bare, device, runs)
    for name, seconds, through, what in (
        ("barproof, table resident", inside, folded, "answers on the host, checked, probabilities"),
        ("layers alone", alone, moved, "nothing leaves the device"),
    ):
        speed = through / statistics.median(seconds) / 1e9
        found.append(
            row("feed forward", name, bars, seconds, gb_per_s=f"{speed:.0f}", share=f"{speed / copy:.2f}",
                device_mib=device_mib(device), note=what)
        )  # fmt: skip
    return found


def end_to_end(device: Any, bars: int, runs: int) -> list[dict[str, object]]:
    """From candles to a table of 1,000 combinations: seconds and share of each stage."""
    candles = bp.simulate_candles(7, bars=bars, edge=0.1)
    features = bp.FeatureSet(FEATURES)
    net: Any = models.BarTransformer(device=str(device))
    stages: dict[str, list[float]] = {"features": [], "inference": [], "sweep": []}
    levels = np.linspace(0.36, 0.54, 10).tolist()
    grid = bp.Grid(
        bp.Rules(max_hold=48),
        {"entry_long": levels, "entry_short": levels},
        stop_loss=np.geomspace(0.004, 0.04, 10).tolist(),
        take_profit=np.geomspace(0.004, 0.06, 10).tolist(),
    )
    assert len(grid) == 1_000
    part = None
    for number in range(runs + 1):
        began = time.perf_counter()
        frame = features.compute(candles)
        values = np.ascontiguousarray(frame.drop("open_time").to_numpy())
        computed = time.perf_counter()
        if part is None:
            part, _ = ready(net, values.shape[1], values[~np.isnan(values).any(axis=1)])
            net._device = device
        p = part.predict(values, calibrated=False)
        asked = time.perf_counter()
        bp.sweep(
            candles, bp.Signals(long=p[:, 2], short=p[:, 0]), grid,
            costs=bp.Costs(taker=0.0005), ledger=False, progress=False,
        )  # fmt: skip
        ended = time.perf_counter()
        if number:
            for name, seconds in zip(
                stages, (computed - began, asked - computed, ended - asked), strict=True
            ):
                stages[name].append(seconds)
    whole = sum(statistics.median(seconds) for seconds in stages.values())
    threads = thread_count(None)
    return [
        row(
            "end to end", name, bars, seconds,
            share=f"{statistics.median(seconds) / whole:.3f}",
            note=f"of {whole:.2f} s, {threads} threads on the host; an untrained net, whose signals trade at will"
            if name == "sweep"
            else "",
        )
        for name, seconds in stages.items()
    ]  # fmt: skip


def main() -> None:
    """Measure, print, and record if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true", help="write benches/record/")
    parser.add_argument("--bars", type=int, default=1_000_000)
    parser.add_argument("--device", default="auto", help="cuda, or cpu to try the script out")
    parser.add_argument("--runs", type=int, default=5)
    asked = parser.parse_args()
    try:
        device = accelerator(asked.device)
    except ImportError:
        print("left out: torch is not installed")
        return
    if device is None:
        print(NONE)
        known = timing.latest("gpu")
        if asked.record and (known is None or known[1][0]["device"] == "none"):
            # Whoever looks for the record is told, instead of finding nothing; what was measured elsewhere stays.
            where = timing.setting(bp.__version__, PACKAGES) | {"device": "none"}
            rows = [
                {"part": "all", "contender": "none", "bars": asked.bars, "runs": 0, "note": NONE}
            ]
            print(f"recorded in {timing.write(rows, where, 'gpu', FIELDS)}")
        return
    began = time.perf_counter()
    rows = []
    for part in (transformer, feed_forward, end_to_end):
        if time.perf_counter() - began > LIMIT_SECONDS:
            note = f"left out: the {LIMIT_SECONDS} s of a run were over"
            print(f"{part.__name__} {note}")
            rows.append({"part": part.__name__.replace("_", " "), "runs": 0, "note": note})
            continue
        found = part(device, asked.bars, asked.runs)
        for line in found:
            print(", ".join(f"{k} {v}" for k, v in line.items() if v != ""), flush=True)
        rows += found
    took = time.perf_counter() - began
    print(f"{took:.0f} s in all; {LIMIT_SECONDS} are allowed")
    if asked.record:
        where = timing.setting(bp.__version__, PACKAGES) | {"device": name_of(device)}
        print(f"recorded in {timing.write(rows, where, 'gpu', FIELDS)}")


def name_of(device: Any) -> str:
    """Device by the maker's name, with driver runtime."""
    import torch

    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}"
    return f"{device.type}, {platform.processor() or platform.machine()}"


if __name__ == "__main__":
    main()
