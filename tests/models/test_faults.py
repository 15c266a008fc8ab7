"""Faults between training and use, each caught by its name: scaler, order of features, type of numbers, mode."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof import models
from barproof._bundle_files import write_folder
from barproof._tensors import read_tensors, write_tensors
from barproof.inference import changed_decisions
from tests.models import forged
from tests.models.market import quiet
from tests.models.test_nets import BINARY, PRICED, QUICK, RETURN, TERNARY, WALK

torch = pytest.importorskip("torch")

NETS = ["feed", "lstm", "bars", "cross"]


def made(name: str, labels: Any = TERNARY) -> bp.Bundle:
    return quiet(QUICK[name], PRICED, labels, WALK).bundles[0]


def module(bundle: bp.Bundle) -> Any:
    model: Any = bundle.part().model
    return model._module


def drop_scaler(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).scaler = torch.nn.Identity()
    return bundle


def forget_scaler(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).scaler.mean.zero_()
    module(bundle).scaler.scale.fill_(1.0)
    return bundle


def other_scaler(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).scaler.mean = torch.zeros(2, dtype=torch.float64)
    return bundle


def half(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).body.half()
    return bundle


def single_scaler(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).scaler.float()
    return bundle


def train_mode(bundle: bp.Bundle) -> bp.Bundle:
    module(bundle).train()
    return bundle


def reordered(bundle: bp.Bundle) -> bp.Bundle:
    part = replace(bundle.parts["model"], features=tuple(reversed(bundle.part().features)))
    bundle.parts["model"] = part
    return bundle


FAULTS = [
    (drop_scaler, "PAR-05: its net has no scaler any more"),
    (forget_scaler, "PAR-05: its scaler was never fitted"),
    (other_scaler, "PAR-05: its scaler is of 2 features, the part has 4"),
    (half, r"CKP-07: body\.\S+ of its net is float16, not float32"),
    (single_scaler, r"CKP-07: scaler\.mean of its net is float32, not float64"),
    (train_mode, "CKP-07: its net is in train mode"),
    (reordered, "PAR-01: names or order of its 4 features are not those that it was trained with"),
]


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("break_it", "message"), FAULTS, ids=[f.__name__ for f, _ in FAULTS])
def test_each_fault_is_caught_by_name(
    break_it: Any, message: str, name: str, tmp_path: Path
) -> None:
    bundle = made(name)
    assert bundle.verify().same_bits
    broken = break_it(bundle)
    with pytest.raises(bp.BundleError, match=f"part `model` fails {message}"):
        broken.verify()
    with pytest.raises(bp.BundleError):
        broken.save(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NETS)
def test_a_net_in_an_ensemble_is_looked_at_too(name: str) -> None:
    run = quiet(models.Ensemble([QUICK[name], QUICK[name]]), PRICED, BINARY, WALK)
    bundle = run.bundles[0]
    assert bundle.verify().same_bits
    inner: Any = bundle.part().model
    inner.models[1]._module.train()
    with pytest.raises(bp.BundleError, match="part `model` fails CKP-07: its net is in train mode"):
        bundle.verify()


def test_the_same_faults_in_files_are_caught_by_name(tmp_path: Path) -> None:
    path = made("lstm").save(tmp_path / "good")
    document, files = forged.contents(path)
    name = "model.weights.safetensors"
    arrays = dict(read_tensors(files[name], name))
    halves = {k: v.astype(np.float16) if v.dtype == np.float32 else v for k, v in arrays.items()}
    bare = {k: v for k, v in arrays.items() if not k.startswith("scaler")}
    turned = {key: document[key] for key in ("bundle", "parts")}
    turned = turned | {
        "bundle": turned["bundle"] | {"features": turned["bundle"]["features"][::-1]}
    }
    plain = {key: document[key] for key in ("bundle", "parts")}
    for number, (content, weights, message) in enumerate(
        (
            (plain, bare, "holds nothing as 'scaler.mean'"),
            (plain, halves, "holds .*'float16'.* the net needs .*'float32'"),
            (turned, arrays, "names or order were changed"),
        )
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        forgery = write_folder(folder / "b", content, files | {name: write_tensors(weights)})
        with pytest.raises(bp.BundleError, match=message):
            bp.Bundle.load(forgery)


def test_columns_of_a_table_may_stand_in_any_order() -> None:
    for name in NETS:
        bundle = made(name)
        turned = PRICED.select(["open_time", *reversed(PRICED.columns[1:])])
        assert bundle.predict(turned).tobytes() == bundle.predict(PRICED).tobytes()


def kernels(bundle: bp.Bundle) -> bool:
    """Whether this processor runs LSTMs in the precision; if not, the message says so."""
    try:
        bundle.predict(PRICED)
    except bp.TrainingError as error:
        if str(error).startswith("cpu cannot run LstmClassifier in "):
            return False
        raise
    return True


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("labels", [TERNARY, RETURN], ids=["ternary", "return"])
def test_precisions_agree_within_their_tolerance(name: str, labels: Any) -> None:
    """CKP-07: single against half precision within 5e-3, and no decision changes away from the edge."""
    bundle = made(name, labels)
    model: Any = bundle.part().model
    p = bundle.predict(PRICED, calibrated=False)
    scale = 1.0 if labels is TERNARY else float(np.nanstd(labels.values))
    for precision in ("bf16", "fp16"):
        model.inference = precision
        if name == "lstm" and not kernels(bundle):
            continue
        q = bundle.predict(PRICED, calibrated=False)
        told = changed_decisions(p, q)
        assert 0 < told.difference <= (5e-2 if precision == "bf16" else 5e-3) * scale
        assert (told.lost, told.rows) == (0, len(PRICED) - model.window + 1)
        # Decisions that change are those that hung in the balance.
        other = np.flatnonzero(~np.isnan(p[:, 0]))
        top = np.sort(p[other], axis=1)
        margin = np.abs(p[other, 0]) if labels is RETURN else top[:, -1] - top[:, -2]
        clear = margin > 2 * told.difference
        assert changed_decisions(p[other][clear], q[other][clear]).decisions == 0
    model.inference = "f32"
    assert bundle.predict(PRICED, calibrated=False).tobytes() == p.tobytes()


def test_changed_decisions_are_counted() -> None:
    nan = float("nan")
    a = np.array([[0.2, 0.3, 0.5], [0.4, 0.3, 0.3], [nan] * 3, [0.1, 0.1, 0.8]])
    b = np.array([[0.2, 0.5, 0.3], [0.3, 0.3, 0.4], [0.1] * 3, [0.1, 0.1, 0.8]])
    told = changed_decisions(a, b)
    assert (told.rows, told.decisions, told.lost) == (3, 2, 1)
    assert told.difference == pytest.approx(0.2)
    assert changed_decisions(a, b, threshold=0.45).decisions == 1
    assert changed_decisions(np.array([[1.0], [-1.0]]), np.array([[2.0], [1.0]])).decisions == 1


@pytest.mark.parametrize("name", ["feed", "lstm"])
def test_all_folds_and_several_models_in_one_call(name: str) -> None:
    run = quiet(QUICK[name], PRICED, TERNARY, bp.WalkForward(1_000, 500))
    other = quiet(models.Logistic(), PRICED.drop("noise1"), TERNARY, bp.WalkForward(1_000, 500))
    together = run.predict(PRICED)
    assert together.shape == (len(run.bundles), len(PRICED), 3)
    for bundle, p in zip(run.bundles, together, strict=True):
        assert p.tobytes() == bundle.predict(PRICED).tobytes()
    mixed = [run.bundles[0], other.bundles[1], run.bundles[1]]
    for bundle, p in zip(mixed, bp.predict_together(mixed, PRICED), strict=True):
        assert p.tobytes() == bundle.predict(PRICED).tobytes()
    assert bp.predict_together([], PRICED) == []
    from barproof.models import _fitting

    assert _fitting._RESIDENT == {}


def test_a_table_is_sent_to_a_device_once() -> None:
    from unittest import mock

    from barproof.models import _fitting

    run = quiet(QUICK["feed"], PRICED, TERNARY, bp.WalkForward(1_000, 500))
    with mock.patch.object(_fitting, "_sent", wraps=_fitting._sent) as sent:
        run.predict(PRICED)
    assert len(run.bundles) > 1
    assert sent.call_count == 1


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="torch compiles from 2.0 on")
def test_compiled_nets_say_the_same() -> None:
    bundle = quiet(QUICK["feed"], PRICED, TERNARY, WALK).bundles[0]
    model: Any = bundle.part().model
    p = bundle.predict(PRICED, calibrated=False)
    model.compiled = True
    calls = []

    def compiled(body: Any, **_: Any) -> Any:
        calls.append(body)
        return body

    # The compiler itself needs a C++ toolchain, which a user's machine may lack.
    from unittest import mock

    with mock.patch.object(torch, "compile", compiled):
        q = bundle.predict(PRICED, calibrated=False)
        bundle.predict(PRICED, calibrated=False)
    assert len(calls) == 1
    np.testing.assert_allclose(q, p, atol=1e-6)
    assert model.precision == "half"
