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
from tests.audits.null_cases import COUNTED, MARKET, NULLS

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
