"""PRED-08: what noise does to it, and how far a flipped sign must go."""

from __future__ import annotations

import numpy as np
import pytest

from barproof import audits
from barproof.audits.logits import ERRORS


def pair(n: int, r: float) -> tuple[np.ndarray, np.ndarray]:
    """Two columns whose correlation is r to the last digits."""
    x, e = np.random.default_rng(n).standard_normal((2, n))
    x = (x - x.mean()) / x.std()
    e -= e.mean() + x * np.mean(x * e)
    return x, r * x + np.sqrt(1 - r * r) * e / e.std()


@pytest.mark.parametrize(("errors", "outcome"), [(ERRORS - 0.2, "pass"), (ERRORS + 0.2, "fail")])
def test_a_flipped_sign_has_the_error_of_twice_a_correlation(errors: float, outcome: str) -> None:
    n = 400
    # A correlation of noise has the error 1 / sqrt(n), and its distance to its own opposite twice that.
    found = audits.alignment_scan(*pair(n, -errors / np.sqrt(n)), shifts=0)
    assert found.outcome == outcome
    assert found.measured is not None
    assert found.measured.value == pytest.approx(errors, rel=1e-9)


@pytest.mark.parametrize("n", [60, 200])
def test_noise_is_seldom_called_misaligned(n: int) -> None:
    rng = np.random.default_rng(n)
    alarms = sum(
        audits.alignment_scan(*rng.standard_normal((2, n))).outcome == "fail" for _ in range(500)
    )
    # Ten alignments at 0.13% each, and three binomial deviations of 500.
    assert alarms <= 500 * 0.013 + 3 * np.sqrt(500 * 0.013)
