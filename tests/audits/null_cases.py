"""Data without an effect for every statistical audit, and why the others have none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import barproof as bp
from barproof import audits

MARKET = bp.simulate_candles(1, bars=50)


class Null(NamedTuple):
    """Data without an effect.

    Attributes
    ----------
    draw : callable
        Seed to finding.
    alarms : tuple of str
        Outcomes that claim an effect, or a fault, which is not there.
    level : float
        How often that may happen by design.
    draws, most : int
        Seeds, and the most alarms among them: level plus three binomial deviations.
    """

    draw: Callable[[int], bp.Finding]
    alarms: tuple[str, ...]
    level: float
    draws: int = 24

    @property
    def most(self) -> int:
        spread = (self.draws * self.level * (1 - self.level)) ** 0.5
        return int(self.draws * self.level + 3 * spread + 1)


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng([11, seed])


def _noise(seed: int, n: int = 200) -> np.ndarray:
    return _rng(seed).normal(size=n)


def _walk(seed: int, n: int = 200, rho: float = 0.3) -> np.ndarray:
    """Autocorrelated noise."""
    noise = _noise(seed, n)
    for t in range(1, n):
        noise[t] += rho * noise[t - 1]
    return noise


def _coins(seed: int, n: int = 200) -> np.ndarray:
    return (_rng(seed).uniform(size=n) < 0.5).astype(float)


def _honest(seed: int, n: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities and their labels."""
    rng = _rng(seed)
    p = rng.beta(4, 4, n)
    return p, (rng.uniform(size=n) < p).astype(float)


def _panel(seed: int) -> np.ndarray:
    return _rng(seed).normal(0, 0.01, (120, 6))


def _apart(seed: int) -> np.ndarray:
    return _rng(seed).normal(size=(300, 3))


def _certain(seed: int) -> np.ndarray:
    p = _rng(seed).beta(4, 4, 3_000)
    p[::20] = 0.995
    return p


def _coming(seed: int) -> np.ndarray:
    return (_rng(seed + 1000).uniform(size=3_000) < _certain(seed)).astype(float)


def _logit(p: np.ndarray) -> np.ndarray:
    out: np.ndarray = np.log(p / (1 - p))
    return out


def _honest_fills(seed: int) -> dict[str, Any]:
    """Buys at opens, at random bars."""
    at = np.sort(_rng(seed).choice(len(MARKET), 40, replace=False))
    return {
        "entry_time": MARKET.open_time[at],
        "entry_price": MARKET.open[at],
        "side": ["long"] * 40,
    }


NULLS: dict[str, Null] = {
    "DATA-04": Null(
        lambda s: audits.filter_selectivity(_coins(s) + (np.arange(200) % 4 > 0), _coins(s + 1000)),
        ("fail",),
        0.0,
    ),
    "LAB-02": Null(
        lambda s: audits.label_against_price(_coins(s), 100 + np.cumsum(_noise(s + 1000))),
        ("pass", "fail"),
        0.0,
        5,
    ),
    "LAB-07": Null(
        lambda s: audits.leaking_feature(_apart(s), np.r_[_coins(s), _coins(s + 1000, 100)]),
        ("warn", "fail"),
        0.001,
        40,
    ),
    "LAB-04": Null(
        lambda s: audits.label_sweep(
            {"auc": 0.5 + 0.01 * _noise(s, 12), "error": np.full(12, 0.01)}
        ),
        ("pass",),
        0.05,
        80,
    ),
    "LAB-06": Null(
        lambda s: audits.label_timing(np.r_[_noise(s)[1:], 0.0], _noise(s), horizon=1),
        ("fail", "warn"),
        0.002,
    ),
    "LAB-08": Null(
        lambda s: audits.base_rate_drift(_coins(s), {"month": np.arange(200) // 40}),
        ("warn",),
        0.05,
        80,
    ),
    "SPL-10": Null(
        # An edge that lasts: what comes a bar later is nearly the same.
        lambda s: audits.lag_test(
            0.1 + _noise(s, 500), 0.1 + 0.95 * _noise(s, 500) + 0.31 * _noise(s + 1000, 500)
        ),
        ("warn",),
        0.02,
        40,
    ),
    "SPL-11": Null(
        lambda s: audits.permuted_labels(
            0.5 + 0.02 * _noise(s, 1)[0], permuted=0.5 + 0.02 * _noise(s + 1000, 99)
        ),
        ("pass", "fail"),
        0.05,
        80,
    ),
    "SPL-12": Null(
        lambda s: audits.domain_classifier(_apart(s)[:150], _apart(s)[150:]), ("warn",), 0.01, 5
    ),
    "PAR-06": Null(
        lambda s: audits.feature_drift(_apart(s)[:150], _apart(s)[150:]),
        ("warn", "fail"),
        0.05,
        40,
    ),
    "PRED-03": Null(
        # Certain in few rows, and as often right as it says.
        lambda s: audits.overconfidence(_certain(s), _coming(s)),
        ("fail",),
        0.025,
        200,
    ),
    "PRED-06": Null(
        lambda s: audits.skill_over_baselines(0.5 + 0.05 * _noise(s).clip(-3, 3), _coins(s + 1000)),
        ("pass",),
        0.05,
    ),
    "PRED-07": Null(
        lambda s: audits.below_chance(_walk(s), _noise(s + 1000)), ("fail",), 0.035, 200
    ),
    "PRED-08": Null(
        lambda s: audits.alignment_scan(_noise(s), _noise(s + 1000)), ("fail",), 0.01, 200
    ),
    "PRED-12": Null(
        lambda s: audits.loss_against_constant(
            0.5 + 0.05 * _noise(s).clip(-3, 3), _coins(s + 1000)
        ),
        ("pass",),
        0.025,
    ),
    "PRED-14": Null(
        lambda s: audits.consistency(1 + _noise(s, 40), claimed=1.0), ("warn", "fail"), 0.13, 80
    ),
    "CAL-01": Null(lambda s: audits.calibration_error(*_honest(s)), ("fail",), 0.01, 80),
    "CAL-02": Null(
        lambda s: audits.proper_scores(0.5 + 0.05 * _noise(s).clip(-3, 3), _coins(s + 1000)),
        ("pass",),
        0.025,
    ),
    "CAL-03": Null(lambda s: audits.spiegelhalter(*_honest(s)), ("fail",), 0.003, 80),
    "CAL-04": Null(
        lambda s: audits.reliability_curve(*_honest(s, 300), draws=400), ("warn",), 0.06
    ),
    "CAL-05": Null(
        lambda s: audits.temperature(_logit(_honest(s)[0]), _honest(s)[1]),
        ("warn", "fail"),
        0.001,
        40,
    ),
    "CAL-06": Null(
        lambda s: audits.calibration_where_traded(*_honest(s), threshold=0.6), ("fail",), 0.03, 200
    ),
    "ECO-01": Null(
        lambda s: audits.break_even_win_rate(np.where(_coins(s) > 0, 0.01, -0.01)),
        ("pass", "fail"),
        0.06,
        80,
    ),
    "ECO-02": Null(lambda s: audits.expectancy(0.01 * _walk(s)), ("pass", "fail"), 0.07),
    "ECO-05": Null(lambda s: audits.kelly_bound(0.01 * _noise(s)), ("pass", "warn"), 0.025, 80),
    "ECO-11": Null(
        lambda s: audits.random_entry_control(_noise(s, 1)[0], _noise(s + 1000, 199)),
        ("pass", "fail"),
        0.10,
        80,
    ),
    "ECO-14": Null(
        lambda s: audits.entry_exit_ablation(
            *(0.01 * _noise(s + 1000 * k) for k in range(4)), claims=["entry"]
        ),
        ("pass", "fail"),
        0.06,
    ),
    "SIG-02": Null(
        lambda s: audits.share_interval(int(_coins(s).sum()), 200, null=0.5),
        ("pass", "fail"),
        0.06,
        80,
    ),
    "SIG-03": Null(
        lambda s: audits.exact_binomial(int(_coins(s).sum()), 200), ("pass", "fail"), 0.10, 200
    ),
    "SIG-05": Null(lambda s: audits.sharpe_interval(_walk(s)), ("pass", "fail"), 0.08, 80),
    "SIG-06": Null(lambda s: audits.probabilistic_sharpe(_walk(s)), ("pass",), 0.07, 80),
    "SIG-07": Null(lambda s: audits.track_record(_walk(s)), ("pass",), 0.07, 80),
    "SIG-09": Null(lambda s: audits.effective_sample(_noise(s)), ("warn",), 0.05, 80),
    "SIG-08": Null(lambda s: audits.bootstrap_mean(_walk(s)), ("pass", "fail"), 0.07),
    "SIG-10": Null(
        lambda s: audits.paired_strategies(_noise(s), _noise(s + 1000)), ("pass", "fail"), 0.06
    ),
    "SIG-11": Null(
        lambda s: audits.clustered_trades(np.repeat(_noise(s, 40), 5), np.repeat(np.arange(40), 5)),
        ("pass", "fail"),
        0.06,
        80,
    ),
    "OVF-02": Null(lambda s: audits.deflated_sharpe(_panel(s)), ("pass",), 0.02, 40),
    "OVF-04": Null(lambda s: audits.overfit_probability(_panel(s), blocks=8), ("pass",), 0.10, 40),
    "OVF-05": Null(lambda s: audits.superior_ability(_panel(s), resamples=200), ("pass",), 0.06),
    "OVF-06": Null(
        lambda s: audits.multiple_looks(_rng(s).uniform(size=20)), ("pass", "warn"), 0.05, 200
    ),
    "OVF-07": Null(
        # Reported is the mean of five other folds.
        lambda s: audits.fold_selection(_noise(s, 5), reported=float(_noise(s + 1000, 5).mean())),
        ("warn", "fail"),
        0.115,
        200,
    ),
    "OVF-08": Null(
        lambda s: audits.training_against_trading(_noise(s, 6), _noise(s + 1000, 6)),
        ("pass",),
        0.05,
        40,
    ),
    "DEC-04": Null(
        lambda s: audits.live_predictions(_honest(s)[0], _honest(s + 1000)[0]),
        ("warn", "fail"),
        0.01,
        80,
    ),
    "DEC-05": Null(
        lambda s: audits.fill_parity(0.0004 + 0.0002 * _noise(s), assumed=0.0004),
        ("fail",),
        0.03,
        80,
    ),
    "CLM-10": Null(
        lambda s: audits.claim_rate(
            [
                {
                    "id": "rate",
                    "value": "4.6000",
                    "observed": {"count": int(_rng(s).poisson(4.6 * 9)), "days": 9.0},
                }
            ]
        ),
        ("fail",),
        0.05,
        200,
    ),
    "FILL-04": Null(lambda s: audits.fill_hindsight(_honest_fills(s), MARKET), ("fail",), 0.0, 24),
}
"""By code: data without an effect."""
COUNTED: dict[str, str] = {
    **dict.fromkeys(
        "DATA-01 DATA-02 DATA-03 DATA-05 DATA-06 DATA-07 LAB-01 SPL-01 SPL-02 SPL-03 SPL-05 PAR-01 PAR-07 CKP-03 "
        "CKP-05 CKP-06 DEC-02 DEC-03 DEC-06 DEC-07 ECO-09 ECO-13 OVF-01 FILL-01 FILL-02 FILL-03 FILL-05 FILL-06 "
        "WVR-01".split(),
        "counts rows or entries",
    ),
    **dict.fromkeys(
        "SPL-04 SPL-07 SPL-08 SPL-09 PAR-02 PAR-05 PAR-08 CKP-01 CKP-02 CKP-07 PRED-11 DEC-01".split(),
        "compares two computations of one thing",
    ),
    **dict.fromkeys(
        "DATA-08 LAB-03 LAB-05 SPL-06 PAR-03 PAR-04 CKP-04 PRED-01 PRED-02 PRED-04 PRED-05 PRED-09 PRED-10 PRED-13 "
        "ECO-03 ECO-04 ECO-06 ECO-07 ECO-08 ECO-10 ECO-12 SIG-01 SIG-04 OVF-03 OVF-09 OVF-10 OVF-11".split(),
        "holds a number against a bound of the text",
    ),
    **dict.fromkeys(
        "CLM-01 CLM-02 CLM-03 CLM-04 CLM-05 CLM-06 CLM-07 CLM-08 CLM-09".split(),
        "compares records",
    ),
}
"""Audits that reject no hypothesis, and why there is nothing to calibrate."""
