"""S000 rebuilt small: a stored loss, and which of all readings it was made by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof.checkpoints import recreate, recreate_bundle
from tests.models.forged import BARS, TERNARY, X, bundle
from tests.models.market import quiet

BARS_, CHANNELS, WINDOW, STEPS = 400, 6, 8, 3
RNG = np.random.default_rng(11)
NAMES = ["b_close", "b_volume", "c_close", "a_close", "a_volume", "c_volume"]
SERIES = RNG.standard_normal((BARS_, CHANNELS)).cumsum(axis=0) * [1, 5, 2, 10, 3, 0.5] + 50
MEAN, SCALE = SERIES[:250].mean(axis=0), SERIES[:250].std(axis=0)
GROUPS = {"A": [3, 4], "B": [0, 1], "C": [2, 5]}
ROWS = np.arange(260, 380)
WHOLE = RNG.standard_normal((WINDOW * CHANNELS, STEPS * CHANNELS)) / 10
OF_A = RNG.standard_normal((WINDOW * CHANNELS, STEPS * 2)) / 10


def net(weights: Any) -> Any:
    def forward(windows: Any, training: bool) -> Any:
        flat = windows.reshape(len(windows), -1) @ weights.astype(np.float32)
        if training:
            flat = flat * np.where(np.arange(flat.shape[1]) % 2, 2.0, 0.0)
        return flat.reshape(len(windows), STEPS, -1)

    return forward


def told(
    weights: Any,
    *,
    channels: Any,
    outputs: Any = None,
    shift: int = 0,
    inputs: str = "scaled",
    targets: str = "scaled",
    training: bool = False,
    reduction: str = "mean",
    order: Any = None,
    half: bool = False,
) -> float:
    """The loss as the definition says, row by row."""
    losses = []
    order = list(range(CHANNELS)) if order is None else list(order)
    for t in ROWS:
        window = SERIES[t - WINDOW + 1 : t + 1]
        if inputs == "scaled":
            window = (window - MEAN) / SCALE
        given = window[:, order].astype(np.float32)
        given = given.astype(np.float16).astype(np.float32) if half else given
        out = net(weights)(given[None], training)[0].astype(np.float64)
        out = out if outputs is None else out[:, outputs]
        row = []
        for h in range(STEPS):
            for k, c in enumerate(channels):
                y, p = SERIES[t + 1 + h + shift, c], out[h, k]
                if targets == "scaled":
                    y = (y - MEAN[c]) / SCALE[c]
                elif targets == "scaled back":
                    p = p * SCALE[c] + MEAN[c]
                row.append((p - y) ** 2)
        table = np.array(row).reshape(STEPS, -1)
        losses.append(
            {
                "mean": table.mean(),
                "sum a row": table.sum(),
                "first step": table[0].mean(),
                "last step": table[-1].mean(),
            }[reduction]
        )
    return float(np.mean(losses))


ALPHABETICAL = list(np.argsort(NAMES))
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "all": (WHOLE, {"channels": range(CHANNELS)}, {"outputs": "all"}),
    "the slice of A": (
        WHOLE,
        {"channels": [3, 4], "outputs": [3, 4]},
        {"outputs": "A out of all"},
    ),
    "A alone": (OF_A, {"channels": [3, 4]}, {"outputs": "all as A"}),
    "of another market": (OF_A, {"channels": [0, 1]}, {"outputs": "all as B"}),
    "one bar late": (OF_A, {"channels": [3, 4], "shift": 1}, {"shift": 1}),
    "two bars early": (OF_A, {"channels": [3, 4], "shift": -2}, {"shift": -2}),
    "raw targets": (OF_A, {"channels": [3, 4], "targets": "raw"}, {"targets": "raw"}),
    "scaled back": (
        OF_A,
        {"channels": [3, 4], "targets": "scaled back"},
        {"targets": "scaled back"},
    ),
    "raw inputs": (OF_A, {"channels": [3, 4], "inputs": "raw"}, {"inputs": "raw"}),
    "training mode": (OF_A, {"channels": [3, 4], "training": True}, {"mode": "training"}),
    "sums": (OF_A, {"channels": [3, 4], "reduction": "sum a row"}, {"reduction": "sum a row"}),
    "first step": (
        OF_A,
        {"channels": [3, 4], "reduction": "first step"},
        {"reduction": "first step"},
    ),
    "alphabetical": (
        OF_A,
        {"channels": [3, 4], "order": ALPHABETICAL},
        {"order": "alphabetical"},
    ),
}
PLAIN = {
    "order": "as given",
    "inputs": "scaled",
    "mode": "evaluation",
    "outputs": "all as A",
    "shift": 0,
    "targets": "scaled",
    "reduction": "mean",
}


def search(weights: Any, stored: float, precisions: Any = ("f32",)) -> Any:
    return recreate(
        net(weights),
        SERIES,
        ROWS,
        stored=stored,
        window=WINDOW,
        steps=STEPS,
        groups=GROUPS,
        names=NAMES,
        scaler=(MEAN, SCALE),
        tolerance=1e-6,
        precisions=precisions,
        batch=50,
    )


@pytest.mark.parametrize(("weights", "then", "true"), CASES.values(), ids=CASES)
def test_the_true_reading_is_named(weights: Any, then: Any, true: Any) -> None:
    found = search(weights, told(weights, **then))
    assert found.outcome == "pass", found.text
    assert {name: found.scenario[name] for name in PLAIN} == PLAIN | true
    assert found.frame["error"][0] < 1e-6
    assert (
        found.frame.height
        == found.frame.select(
            [name for name in found.frame.columns if name not in ("value", "error", "within")]
        )
        .unique()
        .height
    )
    assert found.text.startswith(f"one of {found.frame.height:,} readings gives")


def test_half_precision_is_named() -> None:
    """S000 was trained in fp16: its loss by rounded weights and inputs is not its loss in single precision."""
    torch = pytest.importorskip("torch")

    class Net(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.from_numpy(OF_A.astype(np.float32)))

        def forward(self, windows: Any) -> Any:
            return (windows.flatten(1) @ self.weight).reshape(len(windows), STEPS, -1)

    rounded = OF_A.astype(np.float16).astype(np.float32)
    for half, precision in ((True, "f16"), (False, "f32")):
        stored = told(rounded if half else OF_A, channels=[3, 4], half=half)
        found = recreate(
            Net(), SERIES, ROWS, stored=stored, window=WINDOW, steps=STEPS, groups=GROUPS, names=NAMES,
            scaler=(MEAN, SCALE), tolerance=1e-7, batch=50,
        )  # fmt: skip
        assert found.outcome == "pass" and found.scenario is not None, found.text
        # It has neither dropout nor batch norm: both modes say the same.
        shared = {name: value for name, value in PLAIN.items() if name != "mode"}
        assert {name: found.scenario[name] for name in shared} == shared
        assert found.scenario["precision"] == precision
        assert found.frame["error"][0] < 1e-6


def test_other_weights_are_told_from_other_readings() -> None:
    found = search(OF_A, told(OF_A * 1.01, channels=[3, 4]), ["f32", "f16"])
    assert found.outcome == "fail"
    assert found.scenario is None
    assert "architecture, weights or data are not those of then" in found.text
    # Readings x twice the tolerance: how many would agree by accident.
    rough = (found.frame["precision"] == "f16") | (found.frame["mode"] == "training")
    np.testing.assert_allclose(found.chance, 2e-6 * (~rough).sum() + 1e-4 * rough.sum(), rtol=1e-12)


def test_readings_that_cannot_be_told_apart_are_no_proof() -> None:
    def still(windows: Any, _: bool) -> Any:
        return np.zeros((len(windows), STEPS, 2))

    flat = np.zeros_like(SERIES) + 3.0
    found = recreate(still, flat, ROWS, stored=9.0, window=WINDOW, steps=STEPS, groups=GROUPS)
    assert found.outcome == "inconclusive"
    assert "more rows tell them apart" in found.text


def test_a_bundle_tells_on_which_rows_it_was_measured() -> None:
    made = bundle("boosting")
    values = made.predict(X)
    told_ = made.manifest["rows"]
    for purpose, shift, calibrated in (
        ("test", 0, True),
        ("tune_choose", 0, False),
        ("test", 1, True),
        ("tune_calibrate", -2, False),
    ):
        p = values if calibrated else made.predict(X, calibrated=False)
        time = BARS.open_time
        rows = np.flatnonzero((time >= told_[purpose]["from"]) & (time <= told_[purpose]["to"]))
        rows = rows[(rows + shift < len(BARS))]
        y = TERNARY.values[rows + shift]
        known = ~np.isnan(y) & ~np.isnan(p[rows, 0])
        losses = -np.log(p[rows[known], (y[known] + 1).astype(int)])
        found = recreate_bundle(
            made, BARS, stored=float(losses.mean()), metric="log_loss", X=X, labels=TERNARY
        )
        assert found.outcome == "pass", found.text
        assert found.scenario is not None
        assert (found.scenario["rows"], found.scenario["shift"]) == (purpose, shift)
        assert found.scenario["calibrated"] is calibrated


def test_a_bundle_of_returns(tmp_path: Any) -> None:
    labels = bp.labels.horizon(BARS, bars=3)
    made = quiet(bp.models.Logistic(), X, labels, bp.WalkForward(500, 150, tune=150)).bundles[0]
    stored = made.manifest["parts"]["model"]["test"]["rmse"]["value"]
    again = bp.Bundle.load(made.save(tmp_path / "b"))
    found = recreate_bundle(again, BARS, stored=stored, metric="rmse", X=X, labels=labels)
    assert found.outcome == "pass"
    assert found.scenario is not None
    assert found.scenario["rows"] == "test"
