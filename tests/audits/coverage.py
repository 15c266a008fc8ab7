"""What each audit is tested by: a planted fault, a clean fixture, degenerate inputs, and calibration without an effect.

The planted fault and the clean fixture of a code are the bad and the good example of its page. Degenerate inputs are
made of the clean fixture: emptied, cut to one row, made missing, infinite or constant.
"""

from __future__ import annotations

import ast
import functools
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

import barproof as bp
from barproof import audits
from barproof.audits import AUDITS
from barproof.claims import ClaimSet
from tests.audits.claim_cases import good, load, project

KINDS = ("empty", "one row", "missing", "infinite", "constant")

HOUR = 3_600_000
CANDLES = "candles = bp.simulate_candles(1, bars=600)\n"
ROWS = "rows = np.arange(100)\n"

FILLS = (
    CANDLES
    + "bars = candles.to_polars()\n"
    + "times, opens, lows, volume = (getattr(candles, n)[100:140] for n in ('open_time', 'open', 'low', "
    + "'volume'))\n"
    + "trades = {'entry_time': times, 'entry_price': opens, 'exit_price': opens * 1.01, "
    + "'side': ['long'] * 40, 'quantity': 1 / opens, 'fees': np.full(40, 0.002)}\n"
)
CLAIMS = "from tests.audits.coverage import claimed\n"
WAIVERS = (
    "from datetime import date\n"
    "from barproof.audits import Waiver\n"
    "report = bp.audit(trades=[], ledger=False)\n"
    "waiver = Waiver('ECO-09', 'a pilot', 'ann', date(2026, 1, 1), date(2026, 2, 1), accepts=0)\n"
)


@functools.cache
def _project() -> tempfile.TemporaryDirectory[str]:
    """A folder of artefacts, gone with the process."""
    held: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory()
    project(Path(held.name))
    return held


def claimed(*, also: str | None = None, **change: Any) -> ClaimSet:
    """Claims that hold, the first of them changed; `also` claims its quantity once more."""
    folder = Path(_project().name)
    rows = good(folder)
    rows[0] = {**rows[0], **change}
    if also is not None:
        again = {k: v for k, v in rows[0].items() if k not in ("metric", "low", "high")}
        rows.append({**again, "id": "again", "value": also})
    return load(folder, rows)


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
        'model = bp.audits.bar_steps._Table(["a", "b"])\n',
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
    "FILL-01": (
        FILLS,
        "fill_in_bar({**trades, 'entry_price': lows * 0.99}, candles)",
        "fill_in_bar(trades, candles)",
    ),
    "FILL-02": (
        FILLS + "holes = bp.read_candles(bars[:100].vstack(bars[130:]), instrument='spot', "
        "on_fault='ignore')\n",
        "fill_in_session(trades, holes)",
        "fill_in_session(trades, candles)",
    ),
    "FILL-03": (
        FILLS,
        "fill_volume({**trades, 'quantity': volume * 2}, candles)",
        "fill_volume({**trades, 'quantity': volume * 0.001}, candles)",
    ),
    "FILL-04": (
        FILLS,
        "fill_hindsight({**trades, 'entry_price': lows}, candles)",
        "fill_hindsight(trades, candles)",
    ),
    "FILL-05": (
        FILLS,
        "return_arithmetic({**trades, 'return': np.full(40, 0.011)})",
        "return_arithmetic({**trades, 'return': np.full(40, 0.008)})",
    ),
    "FILL-06": (
        FILLS,
        "trade_order({**trades, 'exit_time': times - 1})",
        "trade_order({**trades, 'exit_time': times + 1})",
    ),
    "CLM-01": (CLAIMS, "claim_provenance(claimed(artefact=''))", "claim_provenance(claimed())"),
    "CLM-02": (CLAIMS, "claim_recompute(claimed(value='61.0'))", "claim_recompute(claimed())"),
    "CLM-03": (CLAIMS, "claim_arithmetic(claimed(n=7))", "claim_arithmetic(claimed())"),
    "CLM-04": (
        CLAIMS,
        "claim_plausibility(claimed(period_days=3))",
        "claim_plausibility(claimed())",
    ),
    "CLM-05": (
        CLAIMS,
        "claim_kind(claimed(kind='target', text='it achieved 60% wins'))",
        "claim_kind(claimed(kind='target', text='we aim at 60% wins'))",
    ),
    "CLM-06": (CLAIMS, "claim_identity(claimed(system='v4'))", "claim_identity(claimed())"),
    "CLM-07": (CLAIMS, "claim_significance(claimed(n=20))", "claim_significance(claimed())"),
    "CLM-08": (
        CLAIMS,
        "claim_contradictions(claimed(quantity='edge', also='0.7'))",
        "claim_contradictions(claimed(quantity='edge', also='60'))",
    ),
    "CLM-09": (
        CLAIMS,
        "claim_staleness(claimed(inputs={'code.py': '0' * 64}))",
        "claim_staleness(claimed())",
    ),
    "CLM-10": (
        CLAIMS,
        "claim_rate(claimed(observed={'count': 2_000, 'days': 1.0}))",
        "claim_rate(claimed())",
    ),
    "WVR-01": (
        WAIVERS,
        "waiver_state(report, [waiver], today=date(2026, 3, 1))",
        "waiver_state(report, [waiver], today=date(2026, 1, 20))",
    ),
}
"""Set-up, planted fault and clean fixture of audits whose page shows other examples."""

ALLOWED: dict[tuple[str, str], str] = {
    ("DATA-06", "constant"): "constant columns are finite; PAR-07 finds them",
    ("ECO-09", "constant"): "it counts trades, whatever they returned",
    ("OVF-06", "constant"): "equal p-values are p-values",
    ("OVF-10", "constant"): "neighbours that are all equal are a plateau",
    ("DEC-03", "infinite"): "no limit is a setting",
    ("FILL-01", "constant"): "FILL-06 finds trades that stand twice",
    ("FILL-02", "missing"): "it looks at times alone; FILL-01 finds prices that are none",
    ("FILL-02", "infinite"): "it looks at times alone; FILL-01 finds prices that are none",
    ("FILL-02", "constant"): "FILL-06 finds trades that stand twice",
    ("FILL-03", "constant"): "FILL-06 finds trades that stand twice",
    ("FILL-04", "constant"): "FILL-06 finds trades that stand twice",
    ("FILL-05", "constant"): "FILL-06 finds trades that stand twice",
    ("FILL-06", "missing"): "prices that are not told are FILL-01's and FILL-05's to ask for",
}
"""Degenerate input that may pass, and why."""


class Call(NamedTuple):
    """An audit and its arguments."""

    function: Callable[..., bp.Finding]
    args: list[Any]
    options: dict[str, Any]

    def __call__(self) -> bp.Finding:
        return self.function(*self.args, **self.options)


CODES = list(AUDITS)
"""All of them."""


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
    if isinstance(value, ClaimSet):
        # Claims that say nothing but their name and a number.
        kept = {"empty": [], "one row": [{"id": "a", "value": "1", "kind": "quoted"}]}
        return kept.get(kind, value)
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
    **{
        code: {
            "no facts": functools.partial(audit, [{"id": "a", "value": "1", "kind": "quoted"}]),
            "no artefact": functools.partial(
                audit, [{"id": "a", "value": "1", "metric": "win_rate", "artefact": "gone.csv"}]
            ),
        }
        for code, audit in (("CLM-01", audits.claim_provenance), ("CLM-02", audits.claim_recompute))
    },
    "WVR-01": {
        "no waiver": lambda: audits.waiver_state(bp.audit(trades=[], ledger=False), []),
        "nothing waived": lambda: audits.waiver_state(
            bp.Report(()),
            [audits.Waiver("ECO-09", "a", "b", date(2026, 1, 1), date(2026, 2, 1), 0)],
            today=date(2026, 1, 2),
        ),
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
        "without an effect: the share of false alarms by design, and the number of data sets in the quick tests; of",
        "the others it is said why there is nothing to calibrate. A test fails if a code lacks one of the four.",
        "",
        "| code | planted fault | clean fixture | degenerate inputs | false alarms |",
        "|---|---|---|---|---|",
    ]
    for code in CODES:
        _, bad, good = planted(code)
        kinds = [*degenerate(code), *EXPLICIT.get(code, {})]
        null = NULLS.get(code)
        rate = f"{null.level:.1%} of {null.draws}" if null else COUNTED[code]
        shown = [f"`{text.replace('|', chr(92) + '|')}`" for text in (bad, good)]
        lines.append(f"| {code} | {shown[0]} | {shown[1]} | {', '.join(kinds)} | {rate} |")
    lines += ["", "Degenerate inputs that may pass, and why:", ""]
    lines += [f"- {code}, {kind}: {why}." for (code, kind), why in ALLOWED.items()]
    return "\n".join(lines) + "\n"
