"""Calibrations against their definitions, written another way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.isotonic import IsotonicRegression

from barproof._calibration import METHODS, apply_calibration, fit_calibration
from tests.tolerances import METRIC, REFERENCE

MASK = (1 << 64) - 1


def splitmix(seed: int, n: int) -> Any:
    """Uniform draws of SplitMix64 (Vigna): the top 53 bits times 2**-53."""
    out, state = [], seed
    for _ in range(n):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        out.append(((z ^ (z >> 31)) >> 11) * 2.0**-53)
    return np.array(out)


def golden() -> tuple[Any, Any]:
    """Data of the golden vectors C01 to C07: p = 0.02 + 0.96u, then y with chance 0.5 + 0.6 (p - 0.5)."""
    u = splitmix(71, 800)
    p = 0.02 + 0.96 * u[:400]
    return np.column_stack([1 - p, p]), (u[400:] < 0.5 + 0.6 * (p - 0.5)).astype(np.int64)


def three(n: int = 500, seed: int = 1, sharpness: float = 2.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 3))
    truth = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    y = (rng.uniform(size=(n, 1)) > np.cumsum(truth, axis=1)).sum(axis=1)
    p = np.exp(sharpness * z)
    return p / p.sum(axis=1, keepdims=True), np.minimum(y, 2)


def loss(p: Any, y: Any) -> float:
    return float(-np.mean(np.log(p[np.arange(len(y)), y])))


def test_temperature_is_the_golden_one() -> None:
    p, y = golden()
    fitted = fit_calibration("temperature", p, y)
    assert fitted["temperature"] == pytest.approx(1.653572715025555, rel=METRIC)  # C07
    assert loss(p, y) == pytest.approx(0.6286467625235165, rel=REFERENCE)  # C05: these are its data


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperature_of_three_classes_minimises_the_loss(sharpness: float) -> None:
    p, y = three(sharpness=sharpness)

    def at(line: Any) -> float:
        q = p ** (1.0 / line[0])
        return loss(q / q.sum(axis=1, keepdims=True), y)

    want = minimize(at, [1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-15}).x[0]
    fitted = fit_calibration("temperature", p, y)
    assert fitted["temperature"] == pytest.approx(want, rel=1e3 * METRIC)
    assert fitted["temperature"] == pytest.approx(sharpness, rel=0.2)
    q = p ** (1.0 / fitted["temperature"])
    np.testing.assert_allclose(
        apply_calibration(fitted, p), q / q.sum(axis=1, keepdims=True), rtol=REFERENCE
    )


def test_platt_minimises_its_loss_with_its_targets() -> None:
    p, y = golden()
    z = np.log(p[:, 1] / p[:, 0])
    ups = y.sum()
    target = np.where(y == 1, (ups + 1) / (ups + 2), 1 / (len(y) - ups + 2))

    def at(line: Any) -> float:
        value = line[0] * z + line[1]
        return float(np.sum(np.logaddexp(0, value) - target * value))

    want = minimize(at, [1.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    fitted = fit_calibration("platt", p, y)
    assert fitted["slope"] + fitted["intercept"] == pytest.approx(
        list(want), rel=10 * METRIC, abs=METRIC
    )
    np.testing.assert_allclose(
        apply_calibration(fitted, p)[:, 1],
        1 / (1 + np.exp(-(want[0] * z + want[1]))),
        rtol=10 * METRIC,
    )


def test_isotonic_is_scikit_learns() -> None:
    p, y = golden()
    fitted = json.loads(json.dumps(fit_calibration("isotonic", p, y)))
    new = np.linspace(0, 1, 77)
    twin = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(p[:, 1], y)
    found = apply_calibration(fitted, np.column_stack([1 - new, new]))
    np.testing.assert_allclose(found[:, 1], twin.predict(new), rtol=REFERENCE, atol=REFERENCE)


@pytest.mark.parametrize("method", ["platt", "isotonic"])
def test_three_classes_are_each_calibrated_against_the_rest(method: str) -> None:
    p, y = three(sharpness=2.5)
    found = apply_calibration(fit_calibration(method, p, y), p)
    single = [
        apply_calibration(
            fit_calibration(
                method, np.column_stack([1 - p[:, k], p[:, k]]), (y == k).astype(np.int64)
            ),
            np.column_stack([1 - p[:, k], p[:, k]]),
        )[:, 1]
        for k in range(3)
    ]
    want = np.column_stack(single)
    np.testing.assert_allclose(found, want / want.sum(axis=1, keepdims=True), rtol=METRIC)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("classes", [2, 3])
def test_calibrated_rows_are_probabilities_each_by_itself(method: str, classes: int) -> None:
    p, y = three() if classes == 3 else golden()
    fitted = fit_calibration(method, p, y)
    assert json.loads(json.dumps(fitted)) == fitted
    assert fitted["n"] == len(y)
    extreme = np.vstack([p, np.eye(classes), np.full((1, classes), np.nan)])
    found = apply_calibration(fitted, extreme)
    np.testing.assert_allclose(found[:-1].sum(axis=1), 1.0, rtol=REFERENCE)
    assert np.all(found[:-1] >= 0)
    assert np.all(np.isnan(found[-1]))
    assert np.array_equal(found[7:8], apply_calibration(fitted, extreme[7:8]))
    if method != "isotonic":
        assert np.array_equal(np.argsort(found[:5, 0]), np.argsort(p[:5, 0])) or classes == 3
    assert loss(np.maximum(apply_calibration(fitted, p), 1e-15), y) <= loss(p, y)


@pytest.mark.parametrize("method", METHODS)
def test_a_class_that_the_model_never_met_keeps_its_zero(method: str) -> None:
    p2, y2 = golden()
    p = np.column_stack([p2[:, 0], np.zeros(len(y2)), p2[:, 1]])
    y = 2 * y2
    y[:3] = 1  # a model without class 1 cannot be calibrated by its rows
    fitted = fit_calibration(method, p, y, [0, 2])
    assert fitted["left_out"] == 3
    alone = fit_calibration(method, p2[3:], y2[3:])
    found = apply_calibration(fitted, p)
    assert np.all(found[:, 1] == 0.0)
    assert np.array_equal(found[:, [0, 2]], apply_calibration(alone, p2))


def test_temperatures_without_a_root_stop_at_the_bounds_and_say_so() -> None:
    y = np.tile([0, 1], 50)
    right = np.where(np.column_stack([y == 0, y == 1]), 0.8, 0.2)
    sure = fit_calibration("temperature", right, y)
    assert sure["temperature"] == 0.01
    assert "all rows right" in sure["note"]
    wrong = fit_calibration("temperature", 1 - right, y)
    assert wrong["temperature"] == 100.0
    assert "no skill" in wrong["note"]
    uniform = fit_calibration("temperature", np.full((100, 2), 0.5), y)
    assert uniform["temperature"] == 1.0
    assert "uniform" in uniform["note"]


@pytest.mark.parametrize("p", [0.1, 0.30000001, 0.49, 1.0 - 1e-7])
def test_platt_of_one_value_is_the_base_rate_whatever_its_rounding(p: float) -> None:
    """The mean of equal logits is not always that logit, so their spread is not always 0."""
    y = np.repeat([0, 1], [93, 7])
    fitted = fit_calibration("platt", np.tile([1.0 - p, p], (100, 1)), y)
    assert fitted["slope"] == [0.0]
    target = (7 * (8 / 9) + 93 * (1 / 95)) / 100
    assert fitted["intercept"] == [pytest.approx(np.log(target / (1.0 - target)), rel=1e-9)]


def test_platt_of_a_constant_forecast_is_the_base_rate() -> None:
    y = np.array([1, 0, 0, 0] * 25)
    fitted = fit_calibration("platt", np.full((100, 2), 0.5), y)
    assert fitted["slope"] == [0.0]
    want = (25 * 26 / 27 + 75 * 1 / 77) / 100
    assert apply_calibration(fitted, np.full((1, 2), 0.5))[0, 1] == pytest.approx(
        want, rel=REFERENCE
    )


def test_platt_survives_separation() -> None:
    y = np.repeat([0, 1], 50)
    p = np.where(y == 1, 0.999, 0.001)
    fitted = fit_calibration("platt", np.column_stack([1 - p, p]), y)
    found = apply_calibration(fitted, np.column_stack([1 - p, p]))
    assert found[0, 1] == pytest.approx(1 / 52, rel=METRIC)
    assert found[-1, 1] == pytest.approx(51 / 52, rel=METRIC)
