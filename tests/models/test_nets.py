"""Nets of torch: the scaler that cannot be lost, the loop that can be killed, and what they find."""

from __future__ import annotations

import os
import subprocess
import sys
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof import models
from barproof._tensors import read_tensors, write_tensors
from tests.models import forged
from tests.models.market import candles, quiet, table

torch = pytest.importorskip("torch")

BARS = candles()
X = table(BARS)
# A price among the features, as in S001.
PRICED = X.with_columns(close=79_568.0 + 500.0 * X["noise1"])
TERNARY = bp.labels.horizon(BARS, bars=4, threshold=0.0015)
BINARY = bp.labels.horizon(BARS, bars=4, kind="binary")
RETURN = bp.labels.horizon(BARS, bars=4)
WALK = bp.WalkForward(1_400, 600, tune=600)


def linear(features: int, outputs: int) -> Any:
    return torch.nn.Linear(features, outputs)


SMALL: dict[str, Any] = {
    "feed": models.FeedForward(hidden=(16, 8), epochs=12, batch=64, learning_rate=0.01, dropout=0.1),
    "lstm": models.LstmClassifier(
        window=4, hidden=12, layers=2, epochs=12, batch=64, learning_rate=0.01
    ),
    "bars": models.BarTransformer(
        window=4, d_model=16, heads=4, layers=1, feed_forward=16, epochs=12, batch=64,
        learning_rate=0.01,
    ),
    "cross": models.CrossMarketTransformer(
        window=4, steps=2, d_model=16, heads=4, encoders=1, decoders=1, feed_forward=16, epochs=12,
        batch=64, learning_rate=0.01,
    ),
    "own": models.Torch(factory=linear, label="linear", epochs=8, batch=64, learning_rate=0.02),
}  # fmt: skip
QUICK = {name: replace(net, epochs=2) for name, net in SMALL.items()}


def weights(bundle: bp.Bundle) -> dict[str, Any]:
    model: Any = bundle.part().model
    return {name: value.numpy() for name, value in model._module.state_dict().items()}


def same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return set(a) == set(b) and all(a[name].tobytes() == b[name].tobytes() for name in a)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("labels", [TERNARY, RETURN], ids=["ternary", "return"])
def test_the_same_bits_come_back(name: str, labels: Any, tmp_path: Path) -> None:
    made = quiet(QUICK[name], PRICED, labels, WALK).bundles[0]
    again = bp.Bundle.load(made.save(tmp_path / "b"), factory=linear)
    assert again.predict(PRICED).tobytes() == made.predict(PRICED).tobytes()
    assert again.part().model.params == made.part().model.params
    assert again.verify().same_bits
    assert same(weights(made), weights(again))


@pytest.mark.parametrize("name", QUICK)
def test_other_batches_and_threads_change_no_decision(name: str) -> None:
    from barproof.models import _fitting

    made = quiet(QUICK[name], PRICED, TERNARY, WALK).bundles[0]
    p = made.predict(PRICED, calibrated=False)
    for size in (1, 7, 64, 10_000):
        with mock.patch.object(_fitting, "_ROWS_AT_ONCE", size):
            other = made.predict(PRICED[:300], calibrated=False)
        np.testing.assert_allclose(other, p[:300], atol=1e-6)
    model: Any = made.part().model
    model.threads = 2
    other = made.predict(PRICED, calibrated=False)
    np.testing.assert_allclose(other, p, atol=1e-6)
    known = ~np.isnan(p[:, 0])
    near = np.abs(np.sort(p[known], axis=1)[:, -1] - np.sort(p[known], axis=1)[:, -2]) < 1e-5
    assert not np.any((p[known].argmax(1) != other[known].argmax(1)) & ~near)


@pytest.mark.parametrize("name", QUICK)
def test_a_prediction_of_a_row_needs_its_window_and_nothing_else(name: str) -> None:
    made = quiet(QUICK[name], PRICED, TERNARY, WALK).bundles[0]
    part = made.part()
    p = made.predict(PRICED, calibrated=False)
    assert np.isnan(p[: part.window - 1]).all() and not np.isnan(p[part.window - 1 :]).any()
    for row in (10, 999, 2_999):
        own = made.predict(PRICED[row - part.window + 1 : row + 1], calibrated=False)
        np.testing.assert_allclose(own[-1], p[row], atol=1e-6)
    holed = PRICED.with_columns(
        noise0=pl.when(pl.int_range(3_000) == 50).then(None).otherwise("noise0")
    )
    lost = np.isnan(made.predict(holed)[:, 0])
    expected = set(range(part.window - 1)) | set(range(50, 50 + part.window))
    assert set(np.flatnonzero(lost).tolist()) == expected


def test_run_gives_test_rows_as_the_bundle_does() -> None:
    for name in ("lstm", "feed"):
        run = quiet(QUICK[name], PRICED, TERNARY, WALK)
        for number, bundle in enumerate(run.bundles):
            p = bundle.predict(PRICED)
            frame = run.predictions("test", fold=number)
            told = frame.select("p_-1", "p_0", "p_1").to_numpy()
            # The first test row has the bars before it: no warm-up is lost at an edge.
            assert not np.isnan(told).any()
            np.testing.assert_allclose(told, p[frame["row"].to_numpy()], atol=1e-6)
        start = int(run.folds[0].test[0])
        judged = bp.evaluate(run.bundles[0], BARS, start=start, end=start + 300, X=PRICED)
        assert judged.frame["n"][0] == 300


# --- the scaler -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_the_scaler_is_in_the_weights_and_of_train_rows_only(name: str) -> None:
    run = quiet(QUICK[name], PRICED, TERNARY, WALK)
    fold, made = run.folds[0], run.bundles[0]
    held = weights(made)
    rows = fold.train[~np.isnan(TERNARY.values[fold.train])]
    rows = rows[rows >= made.part().window - 1]
    first = rows[len(rows) - int(len(rows) * 0.2)]
    kept = rows[(TERNARY.end[rows] < first) & (rows < first)]
    raw = PRICED.select(made.features).to_numpy()[kept]
    np.testing.assert_allclose(held["scaler.mean"], raw.mean(axis=0), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(held["scaler.scale"], raw.std(axis=0), rtol=1e-12)
    assert held["scaler.mean"][made.features.index("close")] > 79_000
    # S001's logits were 15,684 and more; a scaled net stays within its target.
    model: Any = made.part().model
    logits = model._infer(PRICED.select(made.features).to_numpy(), np.arange(100, 3_000))
    assert np.abs(logits).max() < 20


def test_a_checkpoint_without_its_scaler_is_none(tmp_path: Path) -> None:
    made = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    path = made.save(tmp_path / "b")
    document, files = forged.contents(path)
    name = "model.weights.safetensors"
    arrays = dict(read_tensors(files[name], name))
    for change, message in (
        (
            {k: v for k, v in arrays.items() if not k.startswith("scaler")},
            "holds nothing as 'scaler.mean'",
        ),
        (arrays | {"scaler.mean": arrays["scaler.mean"] * 0}, "predicts its probe rows otherwise"),
        (arrays | {"scaler.scale": arrays["scaler.scale"][:2]}, r"holds \(\(2,\), 'float64'\)"),
        (arrays | {"extra": np.zeros(2)}, "as 'extra', the net needs nothing"),
        (arrays | {"scaler.mean": arrays["scaler.mean"] * np.nan}, "not finite"),
    ):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        from barproof._bundle_files import write_folder

        content = {key: document[key] for key in ("bundle", "parts")}
        forged_path = write_folder(folder / "b", content, files | {name: write_tensors(change)})
        with pytest.raises(bp.BundleError, match=message):
            bp.Bundle.load(forged_path)


@pytest.mark.parametrize("version", ["V6", "V7"])
def test_inputs_that_are_not_of_order_one_are_not_saved(version: str, tmp_path: Path) -> None:
    """The fault of S001: the scaler is there, and nobody fitted it (PAR-03)."""
    from barproof.models import _fitting

    net = QUICK["feed"]
    if version == "V6":
        net = replace(net, dropout=0.0, batch_norm=False)
    with mock.patch.object(_fitting, "_set_scaler", lambda *_: None):
        made = quiet(net, PRICED, TERNARY, WALK).bundles[0]
    model: Any = made.part().model
    raw = torch.from_numpy(PRICED.select(made.features).to_numpy()[100:]).float()
    first = next(m for m in model._module.modules() if isinstance(m, torch.nn.Linear))
    # S001 measured an activation of 12,730 in the first layer, from a close of 79,568.
    assert float(first(raw).detach().abs().max()) > 10_000
    with pytest.raises(bp.BundleError, match="fail PAR-03: 50% of the features"):
        made.save(tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_manifest_that_asks_for_a_huge_net(tmp_path: Path) -> None:
    made = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    path = made.save(tmp_path / "b")
    document, _ = forged.contents(path)
    document["parts"]["model"]["params"]["hidden"] = [65_536, 65_536, 65_536]
    forged.sign(path, document)
    with pytest.raises(bp.BundleError, match="the file belongs to another net"):
        bp.Bundle.load(path)


# --- leakage and seeds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", QUICK)
def test_nothing_but_train_rows_enters(name: str) -> None:
    clean = quiet(QUICK[name], PRICED, TERNARY, WALK, seed=3)
    fold = clean.folds[0]
    rng = np.random.default_rng(1)
    outside = np.setdiff1d(np.arange(len(BARS)), fold.train)
    values = TERNARY.values.copy()
    values[np.setdiff1d(outside, fold.tune)] = rng.choice(
        [-1.0, 0, 1], len(np.setdiff1d(outside, fold.tune))
    )
    labels = replace(TERNARY, values=values, start=TERNARY.start.copy(), end=TERNARY.end.copy())
    later = outside[outside > fold.train[-1]]
    columns = {}
    for column in PRICED.columns[1:]:
        poisoned = PRICED[column].to_numpy().copy()
        poisoned[later] = 1e3 * rng.standard_normal(len(later))
        columns[column] = poisoned
    dirty = quiet(QUICK[name], PRICED.with_columns(**columns), labels, [fold], seed=3)
    assert same(weights(clean.bundles[0]), weights(dirty.bundles[0]))
    other = quiet(QUICK[name], PRICED, TERNARY, [fold], seed=4)
    assert not same(weights(clean.bundles[0]), weights(other.bundles[0]))


def test_the_same_bits_for_any_number_of_folds_at_once() -> None:
    a, b = (
        quiet(QUICK["lstm"], PRICED, TERNARY, bp.WalkForward(1_000, 500), seed=3, threads=threads)
        for threads in (1, 2)
    )
    assert len(a.bundles) > 1
    for one, other in zip(a.bundles, b.bundles, strict=True):
        assert same(weights(one), weights(other))
    before = torch.get_rng_state()
    quiet(QUICK["feed"], PRICED, TERNARY, WALK)
    assert torch.equal(before, torch.get_rng_state())


# --- the loop ---------------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
import barproof as bp
from barproof.models import _resuming
from tests.models.test_nets import PRICED, TERNARY, WALK, SMALL, quiet
from dataclasses import replace

written = _resuming.Saved.write
left = int(sys.argv[2])

def write(self, *args):
    global left
    written(self, *args)
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

_resuming.Saved.write = write
fold = WALK.folds(TERNARY.candles, TERNARY)[0]
quiet(replace(SMALL[sys.argv[3]], epochs=5, patience=50, resume=sys.argv[1]), PRICED, TERNARY, [fold], threads=1)
"""


@pytest.mark.parametrize("name", ["feed", "lstm"])
def test_a_killed_training_ends_with_the_same_weights(name: str, tmp_path: Path) -> None:
    fold = WALK.folds(BARS, TERNARY)[0]
    net = replace(SMALL[name], epochs=5, patience=50)
    whole = quiet(net, PRICED, TERNARY, [fold]).bundles[0]
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "2", name],
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == -9
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    run = quiet(replace(net, resume=str(tmp_path)), PRICED, TERNARY, [fold])
    facts: Any = run.bundles[0].part().model.facts  # type: ignore[attr-defined]
    assert (facts["resumed_at"], facts["epochs"]) == (2, 5)
    assert same(weights(whole), weights(run.bundles[0]))
    # Another seed is another training.
    other = quiet(replace(net, resume=str(tmp_path)), PRICED, TERNARY, [fold], seed=9)
    assert other.bundles[0].part().model.facts["resumed_at"] == 0  # type: ignore[attr-defined]


def test_it_stops_early_and_keeps_the_best_epoch() -> None:
    net = models.FeedForward(
        hidden=(64, 64), epochs=60, patience=4, learning_rate=0.03, batch=64, dropout=0.0
    )
    facts: Any = quiet(net, PRICED, TERNARY, WALK).bundles[0].part().model.facts  # type: ignore[attr-defined]
    losses = [point["held"] for point in facts["curve"]]
    assert facts["epochs"] < 60
    assert facts["kept_epoch"] == int(np.argmin(losses))
    assert facts["epochs"] == facts["kept_epoch"] + 5
    assert facts["stopped_by"].startswith("loss on the last")


def test_losses_are_those_of_their_formulas() -> None:
    from barproof.models._fitting import _loss

    rng = np.random.default_rng(2)
    z = torch.from_numpy(rng.standard_normal((40, 3)))
    y = torch.from_numpy(rng.integers(0, 3, 40))
    p = np.exp(z.numpy()) / np.exp(z.numpy()).sum(axis=1, keepdims=True)
    own = p[np.arange(40), y.numpy()]
    plain = models.FeedForward()
    assert float(_loss(plain, z, y, None)) == pytest.approx(-np.log(own).mean(), rel=1e-12)
    focal = models.FeedForward(loss="focal", focal_gamma=2.0, focal_alpha=0.25)
    expected = (-0.25 * (1 - own) ** 2 * np.log(own)).mean()
    assert float(_loss(focal, z, y, None)) == pytest.approx(expected, rel=1e-12)
    smooth = models.FeedForward(label_smoothing=0.05)
    target = np.full((40, 3), 0.05 / 3)
    target[np.arange(40), y.numpy()] += 0.95
    expected = -(target * np.log(p)).sum(axis=1).mean()
    assert float(_loss(smooth, z, y, None)) == pytest.approx(expected, rel=1e-12)
    bare = models.FeedForward(loss="focal", focal_gamma=0.0, focal_alpha=1.0, label_smoothing=0.05)
    assert float(_loss(bare, z, y, None)) == pytest.approx(expected, rel=1e-12)
    spread = models.FeedForward(spread=2.0)
    expected = -np.log(own).mean() - 2.0 * p.std(axis=0).mean()
    assert float(_loss(spread, z, y, None)) == pytest.approx(expected, rel=1e-12)


def test_spread_widens_and_weights_balance() -> None:
    flat = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    wide = quiet(replace(QUICK["feed"], spread=5.0), PRICED, TERNARY, WALK).bundles[0]
    a, b = (np.nanstd(one.predict(PRICED, calibrated=False)[:, 2]) for one in (flat, wide))
    assert b > a
    rare = bp.labels.horizon(BARS, bars=4, threshold=0.004)
    for balanced in (False, True):
        made = quiet(replace(SMALL["feed"], balanced=balanced), PRICED, rare, WALK).bundles[0]
        p = np.nanmean(made.predict(PRICED, calibrated=False), axis=0)
        shares = np.array(list(rare.shares().values()))
        gap = np.abs(p - shares).max()
        assert gap < 0.1 if not balanced else gap > 0.1


# --- sizes ------------------------------------------------------------------------------------------------------------


def count(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())


def test_sizes_of_the_cases() -> None:
    v7 = count(models.FeedForward().module(72, 3))
    linear_layers = (72 * 256 + 256) + (256 * 128 + 128) + (128 * 64 + 64) + (64 * 3 + 3)
    assert v7 == linear_layers + 2 * (256 + 128 + 64)
    assert count(models.FeedForward(dropout=0.0, batch_norm=False).module(72, 3)) == linear_layers
    lstm = count(models.LstmClassifier().module(10, 2))
    first, second = 4 * 128 * (10 + 128 + 2), 4 * 128 * (128 + 128 + 2)
    assert lstm == first + second + (128 * 2 + 2) + (2 * 2 + 2)


def attention(d: int) -> int:
    return 4 * (d * d + d)


def layer(d: int, inner: int, attentions: int) -> int:
    return attentions * attention(d) + (attentions + 1) * 2 * d + 2 * d * inner + inner + d


@pytest.mark.parametrize(
    ("window", "d", "heads", "layers", "stated"),
    [(48, 128, 8, 3, 351_171), (32, 96, 4, 2, 151_875)],
    ids=["larger", "smaller"],
)
def test_the_sizes_of_s003(window: int, d: int, heads: int, layers: int, stated: int) -> None:
    """An embedding, layers of one attention each, a head; places are sines and learn nothing, heads share the width."""
    net = models.BarTransformer(window=window, d_model=d, heads=heads, layers=layers)
    embed, head = 20 * d + d, d * 3 + 3
    assert count(net.module(20, 3)) == embed + layers * layer(d, 192, 1) + head == stated
    assert count(replace(net, window=7, heads=2).module(20, 3)) == count(net.module(20, 3))
    if d == 96:
        assert count(net.module(20, 3)) == count(models.BarTransformer().module(20, 3))


def test_the_size_of_s000_and_why_it_is_not_8_995_009() -> None:
    """CKP-03: what standard layers take, what is left, and what a plain embedding and head would need of it."""
    d, inner, stated = 256, 1_024, 8_995_009
    layers = 6 * layer(d, inner, 1) + 4 * layer(d, inner, 2)
    assert (layer(d, inner, 1), layer(d, inner, 2), layers) == (789_760, 1_053_440, 8_952_320)
    left = stated - layers
    assert left == 42_689
    net = models.CrossMarketTransformer()
    embed, queries, head_20, head_240 = 240 * d + d, 24 * d, d * 20 + 20, d * 240 + 240
    assert count(net.sequence_module(240, 20)) == layers + embed + queries + head_20
    assert count(net.sequence_module(240, 240)) == layers + embed + queries + head_240
    # The difference from the case, to the last parameter: an embedding of 240 channels alone is more than what is left.
    assert (
        count(net.sequence_module(240, 20)) - stated == embed + queries + head_20 - left == 30_291
    )
    assert embed == 61_696 > left
    assert head_240 == 61_680 > left
    # Nor does any linear head of this width fit: everything else is a multiple of 256, and 42,689 is 193 beyond one.
    assert left % d == 193
    assert 193 * d + 193 > left


def test_windows_are_views() -> None:
    from barproof.models._fitting import gather

    table = torch.arange(40.0).reshape(20, 2)
    at = torch.tensor([4, 19, 7])
    found = gather(table, at, 5)
    assert found.shape == (3, 5, 2)
    for window, row in zip(found, at.tolist(), strict=True):
        assert torch.equal(window, table[row - 4 : row + 1])
    assert table.unfold(0, 5, 1).data_ptr() == table.data_ptr()


FLAT = """
import numpy as np, torch
from barproof import models
from barproof.models import _fitting

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

net = models.BarTransformer(window=100, d_model=8, heads=2, layers=1, feed_forward=8)
module = net.module(20, 3)
X = np.random.default_rng(0).standard_normal((60_000, 20))
device = torch.device("cpu")
_fitting._ROWS_AT_ONCE = 64
# The table, the libraries' own buffers and a tenth of the windows are there before.
_fitting.infer(net, module, X, np.arange(99, 60_000, 30), device)
open("/proc/self/clear_refs", "w").write("5")
before = peak()
_fitting.infer(net, module, X, np.arange(99, 60_000, 3), device)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to measure memory")
def test_inference_holds_the_table_and_a_batch() -> None:
    # What is freed goes back to the system at once, or the peak would be that of the allocator.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536"}
    done = subprocess.run(
        [sys.executable, "-c", FLAT], capture_output=True, text=True, check=True, env=environment
    )
    # All windows would be 160 MB in single precision.
    assert int(done.stdout) < 40_000  # kB


def test_out_of_memory_halves_the_batch_and_says_so() -> None:
    from barproof.models import _fitting

    made = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    model: Any = made.part().model
    body, sizes = model._module.body, []

    def scarce(batch: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > 600:
            raise torch.OutOfMemoryError("no")
        return body.__class__.forward(body, batch)

    p = made.predict(PRICED, calibrated=False)
    with (
        mock.patch.object(_fitting, "_ROWS_AT_ONCE", 4_096),
        mock.patch.object(body, "forward", scarce),
        pytest.warns(bp.DataWarning) as told,
    ):
        found = made.predict(PRICED, calibrated=False)
    assert sizes[:4] == [3_000, 2_048, 1_024, 512]
    assert str(told[-1].message) == "out of memory on cpu: going on with 512 rows at once"
    np.testing.assert_allclose(found, p, atol=1e-6)


@pytest.mark.parametrize("labels", [TERNARY, RETURN], ids=["ternary", "return"])
@pytest.mark.parametrize("balanced", [False, True])
def test_a_batch_that_does_not_fit_is_learned_in_parts(labels: Any, balanced: bool) -> None:
    """The step stays that of the whole batch: a net without batch norm ends where it would have ended."""
    if balanced and labels is RETURN:
        return
    fold = WALK.folds(BARS, labels)[0]
    net = models.Torch(
        factory=linear, label="linear", epochs=2, batch=100, learning_rate=0.02, balanced=balanced
    )
    whole = quiet(net, PRICED, labels, [fold]).bundles[0]
    sizes: list[int] = []
    made: list[Any] = []
    real = torch.nn.Linear.forward

    def scarce(layer: Any, batch: Any) -> Any:
        sizes.append(len(batch))
        # What the part before it held is free, or memory would be as short as it was.
        assert [ref() for ref in made if ref() is not None and ref().requires_grad] == []
        if len(batch) > 30:
            raise torch.OutOfMemoryError("no")
        out = real(layer, batch)
        made.append(weakref.ref(out))
        return out

    with (
        mock.patch.object(torch.nn.Linear, "forward", scarce),
        pytest.warns(bp.DataWarning) as told,
    ):
        parts = quiet(net, PRICED, labels, [fold]).bundles[0]
    assert sizes[:6] == [100, 50, 25, 25, 25, 25]
    said = [str(warning.message) for warning in told]
    assert said[:2] == [
        "out of memory on cpu: going on with 50 rows at once",
        "out of memory on cpu: going on with 25 rows at once",
    ]
    a, b = weights(whole), weights(parts)
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-4, atol=1e-6)
    # Not one of the rows before, or none of it would have been learned.
    assert np.abs(a["body.weight"]).max() > 0.01


def test_what_fits_in_no_way_is_an_error() -> None:
    def never(*_: Any) -> Any:
        raise torch.OutOfMemoryError("no")

    with (
        mock.patch.object(torch.nn.Linear, "forward", never),
        pytest.warns(bp.DataWarning),
        pytest.raises(bp.TrainingError, match=r"not even with [23] rows at once"),
    ):
        quiet(QUICK["feed"], PRICED, TERNARY, WALK)
    with (
        mock.patch("barproof.models._fitting.table_on", never),
        pytest.raises(bp.TrainingError, match=r"table of [\d,]+ rows x 4 features do not fit"),
    ):
        quiet(QUICK["feed"], PRICED, TERNARY, WALK)
    made = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    with (
        mock.patch("barproof.models._fitting._sent", never),
        pytest.raises(bp.TrainingError, match="table of 3,000 rows x 4 features do not fit"),
    ):
        made.predict(PRICED)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_folded_layers_answer_as_the_layers_do(batch_norm: bool) -> None:
    """Against the layers in double precision; weights that change afterwards are the ones that answer."""
    from barproof.models import _fitting
    from barproof.models._modules import Dense, folded

    rng = np.random.default_rng(3)
    torch.manual_seed(0)
    body = Dense(7, (16, 8), 3, 0.3, batch_norm).eval()
    for module in body:
        if isinstance(module, torch.nn.BatchNorm1d):
            for value, low, high in (
                (module.weight, 0.2, 3.0), (module.bias, -1.0, 1.0),
                (module.running_mean, -2.0, 2.0), (module.running_var, 1e-4, 4.0),
            ):  # fmt: skip
                drawn = rng.uniform(low, high, len(value)).astype(np.float32)
                with torch.no_grad():
                    value.copy_(torch.from_numpy(drawn))
    x = torch.from_numpy(rng.standard_normal((500, 7)).astype(np.float32))
    with torch.no_grad():
        found = folded(body)(x).double()
        want = body.double()(x.double())
    scale = float(want.abs().max())
    np.testing.assert_allclose(found, want, rtol=0, atol=1e-5 * scale)
    made = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    model: Any = made.part().model
    with mock.patch.object(_fitting, "_FOLDED", 1):
        before = made.predict(PRICED, calibrated=False)
        with torch.no_grad():
            model._module.body[0].weight.data.mul_(2.0)
        after = made.predict(PRICED, calibrated=False)
        with pytest.raises(bp.BundleError, match="predicts its probe rows otherwise"):
            made.verify()
    assert np.nanmax(np.abs(after - before)) > 1e-3
    np.testing.assert_allclose(made.predict(PRICED, calibrated=False), after, atol=1e-6)


def test_half_precision_is_near() -> None:
    a, b = (
        quiet(replace(SMALL["feed"], amp=amp), PRICED, TERNARY, WALK).bundles[0]
        for amp in (False, True)
    )
    gap = np.nanmax(
        np.abs(a.predict(PRICED, calibrated=False) - b.predict(PRICED, calibrated=False))
    )
    assert 0 < gap < 0.3
