"""An example of every error of the audits of fills and claims: id, call, class, exact message."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

import barproof as bp
from barproof import LayoutError, LookaheadError, ParameterError, audits, claims
from barproof.audits import load_waivers
from barproof.audits.claim_arithmetic import evaluate
from barproof.claims import ClaimSet, claims_of, load_claims
from barproof.errors import ConfigError, FileError

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = bp.simulate_candles(1, bars=20)


def toml(text: str | bytes) -> Callable[[], object]:
    """Load this claims.toml, in a folder of its own."""

    def call() -> object:
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                Path("claims.toml").write_bytes(text.encode() if isinstance(text, str) else text)
                return load_claims("claims.toml")
            finally:
                os.chdir(before)

    return call


def artefact(name: str, *, text: str = "{}", **claim: Any) -> Callable[[], object]:
    """What a claim's artefact is refused for."""

    def call() -> object:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.json").write_text(text)
            (Path(folder) / "a.csv").write_text("x\n1\n")
            held = ClaimSet((), Path(folder))
            path = held.path(name)
            made = claims.Claim.model_validate({"id": "a", "value": "1", "artefact": name, **claim})
            return held._measure(made, path)

    return call


def large() -> object:
    with mock.patch.object(claims, "MOST_BYTES", 1):
        return artefact("a.json")()


def record(**more: Any) -> Callable[[], object]:
    return lambda: claims_of({"claim": [{"id": "a", "value": "1", **more}]}, "claims.toml")


KNOWN = ", ".join((*bp.results.TRADE_METRICS, *bp.results.EQUITY_METRICS))
HEAD = "claim 1 of 'claims.toml' (a), "

BAD: Any = 3


def waivers_of(text: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "w.toml"
        path.write_text(text)
        return load_waivers(path)


SEARCH = bp.find_lookahead(lambda bars: bars.close, BARS)
LEAK = (
    f"`column 0` at bar 0 depends on bars after 18 (cut): it is {BARS.close[19]:g}, and {BARS.close[18]:g} without them; "
    "compute it from closed bars alone"
)

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"code": None}, "waiver 1 of 'w.toml' lacks code: a waiver names them all"),
    (
        {"ever": 1},
        "waiver 1 of 'w.toml' has an unknown field 'ever': it may have scope and inputs besides",
    ),
    (
        {"code": '"X"'},
        "waiver 1 of 'w.toml' names 'X', which is no audit: see `barproof audit --list`",
    ),
    (
        {"reason": '""'},
        "`reason` of waiver 1 of 'w.toml' must be a text: say why, and who answers for it",
    ),
    (
        {"created": 1},
        "`created` of waiver 1 of 'w.toml' must be a date, such as 2026-01-31",
    ),
    (
        {"expires": "2027-01-01"},
        "`expires` of waiver 1 of 'w.toml' must lie 0 to 90 days after 2026-01-01, was 2027-01-01: look again by then",
    ),
    (
        {"accepts": '"x"'},
        "`accepts` of waiver 1 of 'w.toml' must be the measured value that is accepted, a number",
    ),
    ({"scope": 1}, "`scope` of waiver 1 of 'w.toml' must be a table of texts"),
]


def waiver(**change: Any) -> Callable[[], object]:
    rows = {
        "code": '"ECO-02"',
        "reason": '"because"',
        "owner": '"ann"',
        "created": "2026-01-01",
        "expires": "2026-02-01",
        "accepts": 1,
        **change,
    }
    text = "\n".join(f"{name} = {value}" for name, value in rows.items() if value is not None)
    return lambda: waivers_of("[[waiver]]\n" + text)


EXAMPLES: list[Example] = [
    (
        "live log",
        lambda: bp.audit(live_log={"decisions": {"time": [1]}}),
        ParameterError,
        "`live_log` must be a LiveLog, was dict: use bp.LiveLog.read(...) or bp.LiveLog.foreign(...)",
    ),
    (
        "weight of the start",
        lambda: audits.start_weight(1.0, 3),
        ParameterError,
        "`alpha` must lie between 0 and 1 and `bars` be finite and >= 0, were 1.0 and 3",
    ),
    (
        "bars to forget",
        lambda: audits.bars_to_forget(0.1, tolerance=0.0),
        ParameterError,
        "`alpha` and `tolerance` must lie between 0 and 1, were 0.1 and 0.0",
    ),
    (
        "cuts beyond the bars",
        lambda: bp.find_lookahead(lambda b: b, pl.DataFrame({"x": [1.0] * 20}), cuts=[3, 19]),
        ParameterError,
        "`cuts` must lie between 0 and 18, so that later bars are left, were 3 to 19",
    ),
    (
        "no table of trades",
        lambda: audits.fill_in_bar([0.1], BARS),
        LayoutError,
        "`trades` must be a table with prices for this audit, was list: use bp.read_trades",
    ),
    (
        "tolerance of prices",
        lambda: audits.fill_in_bar({}, BARS, tolerance=-1.0),
        ParameterError,
        "`tolerance` of prices must be >= 0, was -1.0",
    ),
    (
        "share of volume",
        lambda: audits.fill_volume({}, BARS, share=2.0),
        ParameterError,
        "`share` of a bar's volume must lie in (0, 1], was 2.0",
    ),
    (
        "tolerance of returns",
        lambda: audits.return_arithmetic({}, tolerance=-1.0),
        ParameterError,
        "`tolerance` of returns must be >= 0, was -1.0",
    ),
    (
        "no claims",
        lambda: audits.claim_rate(3),
        LayoutError,
        "`claims` must be a path to claims.toml, a ClaimSet or a list of records, was int",
    ),
    (
        "no text",
        lambda: load_claims("gone.toml"),
        FileError,
        "'gone.toml' cannot be read: No such file or directory",
    ),
    ("binary", toml(b"\xff"), FileError, "'claims.toml' cannot be read: it is no text in UTF-8"),
    (
        "no toml",
        toml("x"),
        ConfigError,
        "'claims.toml' is no TOML: Expected '=' after a key in a key/value pair (at end of document); see docs/claims.md",
    ),
    (
        "deep",
        toml("x = " + "[" * 5_000),
        ConfigError,
        "'claims.toml' is nested too deeply: a claim is a flat record",
    ),
    (
        "system",
        toml("system = 3"),
        ConfigError,
        "`system` of 'claims.toml' must be a text, was int",
    ),
    (
        "unknown key",
        toml("y = 3"),
        ConfigError,
        "'claims.toml' has an unknown key 'y': it holds `system` and [[claim]] only",
    ),
    (
        "one table",
        toml("claim = 3"),
        ConfigError,
        "`claim` of 'claims.toml' must be records: write [[claim]] before each",
    ),
    (
        "unknown field",
        record(vlaue=1),
        ConfigError,
        HEAD + "vlaue: extra inputs are not permitted; see docs/claims.md",
    ),
    (
        "list as value",
        record(value=[1]),
        ConfigError,
        HEAD
        + '`value` must be a number, or a text such as "73.80" that keeps its last digit, was list; see docs/claims.md',
    ),
    (
        "word as value",
        record(value="much"),
        ConfigError,
        HEAD + "`value` must be a number, was 'much'; see docs/claims.md",
    ),
    (
        "infinite value",
        record(value="inf"),
        ConfigError,
        HEAD + "`value` must be finite, was 'inf'; see docs/claims.md",
    ),
    (
        "two places",
        record(pointer="/a", column="b"),
        ConfigError,
        HEAD + "`pointer` and `column` both say where the number is: give one; see docs/claims.md",
    ),
    (
        "metric",
        record(metric="x", artefact="a"),
        ConfigError,
        HEAD
        + f"`metric` must be one of {KNOWN}, or `pointer` or `column` say where it is, was 'x'; see docs/claims.md",
    ),
    (
        "twice",
        lambda: claims_of({"claim": [{"id": "a", "value": 1}] * 2}, "claims.toml"),
        ConfigError,
        "'claims.toml' holds the claim 'a' twice: give each an id of its own",
    ),
    (
        "absolute",
        artefact("/etc/passwd"),
        FileError,
        "artefact '/etc/passwd' must be a path relative to the project: move it there",
    ),
    (
        "outside",
        artefact("../x"),
        FileError,
        "artefact '../x' lies outside of the project: copy it there",
    ),
    (
        "absent",
        artefact("b.json"),
        FileError,
        "artefact 'b.json' is not in the project: restore it, or withdraw the claim",
    ),
    ("large", large, FileError, "artefact 'a.json' is larger than 1 bytes: publish a smaller one"),
    (
        "no document",
        artefact("a.csv", pointer="/x"),
        FileError,
        "artefact 'a.csv' cannot be read as JSON: a pointer needs a JSON document",
    ),
    (
        "nowhere",
        artefact("a.json", pointer="/x"),
        ParameterError,
        "pointer '/x' leads nowhere in the artefact: it stops at 'x'",
    ),
    (
        "no number",
        artefact("a.json", text='{"x": "1"}', pointer="/x"),
        ParameterError,
        "pointer '/x' leads to no number in the artefact",
    ),
    (
        "no column",
        artefact("a.csv", column="y"),
        ParameterError,
        "the artefact has no column 'y', but x",
    ),
    (
        "unknown metric",
        lambda: bp.results.measure({"return": [0.1]}, "x"),
        ParameterError,
        f"`metric` 'x' is unknown; known: {KNOWN}",
    ),
    (
        "long",
        lambda: evaluate("1" * 501, {}),
        ParameterError,
        "`derived` may have 500 characters and 8 names, has 501 and 0: split it",
    ),
    (
        "unknown name",
        lambda: evaluate("{b}", {}),
        ParameterError,
        "`derived` names 'b', which is no claim: write it as {id} of one",
    ),
    (
        "no arithmetic",
        lambda: evaluate("1 +", {}),
        ParameterError,
        "`derived` is no arithmetic: write numbers, {id}, + - * / ** and brackets",
    ),
    (
        "a call",
        lambda: evaluate("open(1)", {}),
        ParameterError,
        "`derived` has no value at the ends of what was rounded: it holds more than arithmetic",
    ),
    *[
        (f"waiver {i}", waiver(**change), ConfigError, message)
        for i, (change, message) in enumerate(WRONG)
    ],
    (
        "no waivers",
        lambda: load_waivers("gone.toml"),
        FileError,
        "waivers 'gone.toml' cannot be read: No such file or directory",
    ),
    (
        "waivers no toml",
        lambda: waivers_of("x"),
        ConfigError,
        "waivers 'w.toml' are no TOML: Expected '=' after a key in a key/value pair (at end of document)",
    ),
    (
        "waivers other",
        lambda: waivers_of("x = 1"),
        ConfigError,
        "waivers 'w.toml' hold more than records: write [[waiver]] before each",
    ),
    (
        "no waiver",
        lambda: audits.waiver_state(bp.Report(()), [BAD]),
        ParameterError,
        "`waivers` must hold waivers of load_waivers, held int",
    ),
    (
        "search share",
        lambda: SEARCH.missed(2),
        ParameterError,
        "`share` of the bars must lie between 0 and 1, was 2",
    ),
    (
        "search leak",
        lambda: bp.find_lookahead(lambda b: b.close[::-1].copy(), BARS).check(),
        LookaheadError,
        LEAK,
    ),
    (
        "search counts",
        lambda: bp.find_lookahead(len, BARS, cuts=0),
        ParameterError,
        "`cuts` and `tail` must be at least 1, `full` and `relative` at least 0, were 0, None, 5, 1e-09",
    ),
    (
        "search bars",
        lambda: bp.find_lookahead(len, BARS[:3]),
        ParameterError,
        "`data` has 3 bars: give at least 10, so that there is something to cut",
    ),
    (
        "search data",
        lambda: bp.find_lookahead(len, 3),
        LayoutError,
        "`data` must be candles or a table with a row a bar, was int",
    ),
    (
        "search cube",
        lambda: bp.find_lookahead(lambda b: np.zeros((20, 1, 1)), BARS),
        LayoutError,
        "the path must give one row a bar, gave 3 dimensions",
    ),
    (
        "search rows",
        lambda: bp.find_lookahead(lambda b: [1.0], BARS),
        LayoutError,
        "the path must give the same columns with one row a bar (20), gave column 0 with 1 rows",
    ),
]
