"""What each audit is tested by: a planted fault, a clean fixture, degenerate inputs, and calibration without an effect.

The planted fault and the clean fixture of a code are the bad and the good example of its page. Degenerate inputs are
made of the clean fixture: emptied, cut to one row, made missing, infinite or constant.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import barproof as bp
from barproof import audits
from barproof.audits import AUDITS
from barproof.audits.catalogue_results import JOINING

KINDS = ("empty", "one row", "missing", "infinite", "constant")

HOUR = 3_600_000
CANDLES = "candles = bp.simulate_candles(1, bars=600)\n"
ROWS = "rows = np.arange(100)\n"

OLDER: dict[str, tuple[str, str, str]] = {
    "DATA-01": (
        CANDLES + "bars = candles.to_polars()\n",
        "bar_integrity(pl.concat([bars[:100], bars[99:]]))",
        "bar_integrity(bars)",
    ),
    "DATA-02": (
        "hours = np.arange(0, 51_980, 8) * 3_600_000\n",
        'coverage({"funding": hours[-200:]}, start=0, end=51_980 * 3_600_000)',
        'coverage({"funding": hours}, start=0, end=51_980 * 3_600_000)',
    ),
    "LAB-01": (
        "",
        'degenerate_label({"test": np.ones(8_135)})',
        'degenerate_label({"test": np.arange(100) % 2.0})',
    ),
    "LAB-02": (
        CANDLES + "labels = bp.labels.horizon(candles, bars=6, threshold=0.002)\n",
        "label_against_price(np.roll(labels.values, -1), candles, rule=labels.rule)",
        "label_against_price(labels.values, candles, rule=labels.rule)",
    ),
    "LAB-03": (
        "",
        "class_balance(np.arange(100) < 3)",
        "class_balance((np.arange(100) < 30) * 1.0)",
    ),
    "SPL-01": (
        ROWS,
        "split_order([(rows[rows % 5 != 0], rows[rows % 5 == 0])])",
        "split_order([(rows[:80], rows[80:])])",
    ),
    "SPL-02": (
        ROWS,
        "purge([(rows[:80], rows[80:])], (rows, rows + 4))",
        "purge([(rows[:75], rows[80:])], (rows, rows + 4))",
    ),
    "SPL-07": (
        CANDLES,
        "lookahead(lambda c: np.roll(c.close, -1), candles)",
        "lookahead(lambda c: c.close, candles)",
    ),
    "PAR-01": (
        'model = bp.audits.auditing._Table(["a", "b"])\n',
        'feature_identity(["b", "a"], [model])',
        'feature_identity(["a", "b"], [model])',
    ),
    "PRED-01": (
        "",
        "flat_predictions(np.full(100, 0.1051))",
        "flat_predictions(np.linspace(0.2, 0.8, 100))",
    ),
    "PRED-04": (
        "labels = np.arange(100) % 2.0\n",
        "class_bias(np.r_[np.zeros(97), np.ones(3)], labels)",
        "class_bias(labels[::-1], labels)",
    ),
    "PRED-05": (
        "p = np.linspace(0, 0.15, 100)\n",
        'threshold_reachability({"long": (p, 0.75)})',
        'threshold_reachability({"long": (p, 0.12)})',
    ),
    "ECO-01": (
        "",
        "break_even_win_rate(np.tile([0.01, -0.02], 100))",
        "break_even_win_rate(np.tile([0.02, -0.01], 100))",
    ),
    "ECO-02": (
        "",
        "expectancy(np.random.default_rng(1).normal(-0.004, 0.01, 300))",
        "expectancy(np.random.default_rng(1).normal(0.004, 0.01, 300))",
    ),
    "ECO-09": ("", "few_trades([])", "few_trades(np.tile([0.02, -0.01], 100))"),
    "SIG-02": ("", "share_interval(40, 100, null=0.6)", "share_interval(70, 100, null=0.6)"),
}
"""Set-up, planted fault and clean fixture of audits whose page shows other examples."""

ALLOWED: dict[tuple[str, str], str] = {
    ("DATA-06", "constant"): "constant columns are finite; PAR-07 finds them",
    ("ECO-09", "constant"): "it counts trades, whatever they returned",
    ("OVF-06", "constant"): "equal p-values are p-values",
    ("OVF-10", "constant"): "neighbours that are all equal are a plateau",
    ("DEC-03", "infinite"): "no limit is a setting",
}
"""Degenerate input that may pass, and why."""


class Call(NamedTuple):
    """An audit and its arguments."""

    function: Callable[..., bp.Finding]
    args: list[Any]
    options: dict[str, Any]

    def __call__(self) -> bp.Finding:
        return self.function(*self.args, **self.options)


# Those on fills, claims and waivers have tests of their own: test_fills, test_claims, test_waivers.
CODES = [code for code, audit in AUDITS.items() if audit.group not in JOINING]


def planted(code: str) -> tuple[str, str, str]:
    """Set-up, planted fault and clean fixture of a code."""
    audit = AUDITS[code]
    return (audit.setup, audit.bad, audit.good) if audit.bad else OLDER[code]


def call(setup: str, text: str) -> Call:
    """Read a call of an audit without making it."""
    names: dict[str, Any] = {"np": np, "pl": pl, "bp": bp}
    exec(setup, names)
    node = ast.parse(text.strip(), mode="eval").body
    assert isinstance(node, ast.Call)
    assert isinstance(node.func, ast.Name)

    def value(part: ast.expr) -> Any:
        return eval(compile(ast.Expression(part), "<example>", "eval"), names)

    options: dict[str, Any] = {}
    for keyword in node.keywords:
        options |= {keyword.arg: value(keyword.value)} if keyword.arg else value(keyword.value)
    return Call(getattr(audits, node.func.id), [value(a) for a in node.args], options)


def worse(value: Any, kind: str) -> Any:
    """The same argument, degenerate."""
    if isinstance(value, dict):
        return {name: worse(held, kind) for name, held in value.items()}
    if isinstance(value, tuple) and value and all(isinstance(v, (np.ndarray, list)) for v in value):
        return tuple(worse(held, kind) for held in value)
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        return [worse(held, kind) for held in value]
    if isinstance(value, (bp.Candles, pl.DataFrame)):
        return value[:0] if kind == "empty" else value[:1] if kind == "one row" else value
    if isinstance(value, list):
        if kind == "empty":
            return value[:0]
        if kind == "one row":
            return value[:1]
        if all(isinstance(v, float) for v in value):
            return worse(np.array(value), kind).tolist()
        return [value[0]] * len(value) if kind == "constant" and value else value
    if isinstance(value, np.ndarray):
        if kind == "empty":
            return value[:0]
        if kind == "one row":
            return value[:1]
        if kind == "constant":
            return np.broadcast_to(value[:1], value.shape).copy() if len(value) else value
        return (
            np.full(value.shape, np.nan if kind == "missing" else np.inf)
            if value.dtype.kind == "f"
            else value
        )
    if isinstance(value, float) and kind in ("missing", "infinite"):
        return np.nan if kind == "missing" else np.inf
    return value


def same(a: Any, b: Any) -> bool:
    """Whether nothing was changed."""
    if isinstance(a, np.ndarray):
        return a.shape == b.shape and bool(np.array_equal(a, b))
    if isinstance(a, dict):
        return all(same(a[k], b[k]) for k in a)
    if isinstance(a, (tuple, list)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, pl.DataFrame):
        return a.equals(b)
    if isinstance(a, bp.Candles):
        return len(a) == len(b)
    return a is b or bool(a == b)


def degenerate(code: str) -> dict[str, Call]:
    """Degenerate calls of a code, by kind; those that change nothing are left out."""
    setup, _, good = planted(code)
    clean = call(setup, good)
    out = {}
    for kind in KINDS:
        args = [worse(value, kind) for value in clean.args]
        options = {name: worse(value, kind) for name, value in clean.options.items()}
        if not same([*clean.args, *clean.options.values()], [*args, *options.values()]):
            out[kind] = Call(clean.function, args, options)
    return out


MARKET = bp.simulate_candles(1, bars=50)

EXPLICIT: dict[str, dict[str, Callable[[], bp.Finding]]] = {
    "DATA-03": {
        "empty": lambda: audits.row_accounting(0, 0),
        "nothing used": lambda: audits.row_accounting(100, 0, lost={"all": 100}),
    },
    "SPL-05": {
        "empty": lambda: audits.reused_parts({}),
        "unnamed": lambda: audits.reused_parts({"thresholds": ""}),
    },
    "SPL-08": {
        "all missing": lambda: audits.future_perturbation(lambda c: c.close * np.nan, MARKET)
    },
    "SPL-09": {
        "all missing": lambda: audits.warmup_needed(lambda c: c.close * np.nan, MARKET, declared=5)
    },
    "CKP-03": {
        "empty": lambda: audits.architecture({}, {}),
        "one side": lambda: audits.architecture({}, {"fc.weight": (2, 3)}),
    },
    "PRED-05": {
        "empty": lambda: audits.threshold_reachability({}),
        "no bars": lambda: audits.threshold_reachability({"long": (np.empty(0), 0.5)}),
        "missing": lambda: audits.threshold_reachability({"long": (np.full(99, np.nan), 0.5)}),
    },
    "SIG-01": {
        "empty": lambda: audits.sample_size(0),
        "one": lambda: audits.sample_size(1),
        "missing": lambda: audits.sample_size(float("nan")),
    },
    "SIG-03": {
        "empty": lambda: audits.exact_binomial(0, 0),
        "one": lambda: audits.exact_binomial(1, 1),
        "impossible": lambda: audits.exact_binomial(3, 2),
    },
    "OVF-01": {
        "no ledger": lambda: audits.trial_ledger(None),
        "no trial": lambda: audits.trial_ledger(0, claimed=0),
    },
}
"""Degenerate calls that cannot be made of the clean fixture."""


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


NULLS: dict[str, Null] = {
    "DATA-04": Null(
        lambda s: audits.filter_selectivity(_coins(s) + (np.arange(200) % 4 > 0), _coins(s + 1000)),
        ("fail",),
        0.0,
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
}


def coverage_page() -> str:
    """Table of the documents: what each code is tested by."""
    lines = [
        "# What the audits are tested by",
        "",
        "<!-- Written by tools/generate.py from tests/audits/coverage.py; edit that. -->",
        "",
        (
            "Every audit meets its planted fault, which must fail or "
            "warn, a clean fixture, which must pass, and degenerate"
        ),
        (
            "inputs, which must neither pass nor raise. Fault and "
            "clean fixture are the bad and the good example of its page,"
        ),
        (
            "where it shows them in this form. Degenerate inputs are "
            "made of the clean fixture. Statistical audits are run on data"
        ),
        "without an effect: the share of false alarms by design, and the number of data sets in the quick tests.",
        "",
        "| code | planted fault | clean fixture | degenerate inputs | false alarms |",
        "|---|---|---|---|---|",
    ]
    for code in CODES:
        _, bad, good = planted(code)
        kinds = [*degenerate(code), *EXPLICIT.get(code, {})]
        null = NULLS.get(code)
        rate = f"{null.level:.1%} of {null.draws}" if null else ""
        shown = [f"`{text.replace('|', chr(92) + '|')}`" for text in (bad, good)]
        lines.append(f"| {code} | {shown[0]} | {shown[1]} | {', '.join(kinds)} | {rate} |")
    lines += ["", "Degenerate inputs that may pass, and why:", ""]
    lines += [f"- {code}, {kind}: {why}." for (code, kind), why in ALLOWED.items()]
    return "\n".join(lines) + "\n"
