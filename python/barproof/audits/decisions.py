"""Audits of live against backtest: DEC-01 to DEC-05, and DEC-07."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any

import numpy as np
import polars as pl

from barproof import stats
from barproof.audits.common import (
    FEW,
    audited,
    capped,
    made,
    numbers,
    plural,
    same_rows,
    speaking,
    unable,
)
from barproof.audits.data import milliseconds
from barproof.audits.model import Finding, Gate, Measured, Outcome
from barproof.errors import ParameterError

__all__ = [
    "closed_bars",
    "configuration_parity",
    "decision_replay",
    "fill_parity",
    "live_predictions",
    "matched_trades",
]

REPLAYED = 299
EXACT = 1e-9
PSI_WARN, PSI_FAIL = 0.10, 0.25
D_FAIL = 0.20
LEVEL = 0.01
ERRORS = 2.0
MANY = 12


def _frame(values: Any) -> pl.DataFrame:
    return values if isinstance(values, pl.DataFrame) else pl.DataFrame(dict(values))


@audited
def decision_replay(
    log: Any, replayed: Any, *, key: str = "bar", tolerance: float = EXACT
) -> Finding:
    """DEC-01: the backtest path decides as the live system did, bar by bar.

    Parameters
    ----------
    log, replayed : frame or mapping of str to array_like
        One row a bar: `key`, and any of features, probabilities, decisions, sizes, stops and reasons; columns of both
        are compared.
    key : str, default "bar"
        Column that joins them.
    tolerance : float, default 1e-9
        Relative, for numbers.

    Returns
    -------
    Finding
        Names the first bar, column and both values. Inconclusive for fewer than 299 common bars where nothing differs.

    Raises
    ------
    ParameterError
        If a table lacks the key.
    """
    a, b = _frame(log), _frame(replayed)
    for name, held in (("log", a), ("replayed", b)):
        if key not in held.columns:
            raise ParameterError(
                f"`{name}` has no column `{key}`; it has {', '.join(held.columns) or 'none'}"
            )
    gate = Gate(
        "=", 0, "case S004", "a backtest of something else than what runs says nothing about it"
    )
    remedy = "find the first bar that differs; compare its features (PAR-02), then configuration (DEC-03)"
    columns = [c for c in a.columns if c in b.columns and c != key]
    both = (
        a.unique(key, keep="first", maintain_order=True)
        .join(b.unique(key), on=key, how="inner", suffix=" replayed")
        .sort(key)
    )
    n = both.height
    if not n or not columns:
        return unable(
            "DEC-01",
            (f"{plural(n, 'common bar')}, {plural(len(columns), 'common column')}"),
            remedy,
            gate=gate,
        )
    rows: list[dict[str, Any]] = []
    wrong = np.zeros(n, bool)
    compared = mute = 0
    for name in columns:
        x, y = both[name], both[f"{name} replayed"]
        if x.dtype.is_numeric() and y.dtype.is_numeric():
            u, v = numbers(name, x), numbers(name, y)
            with np.errstate(invalid="ignore"):
                bad = ~(
                    (np.abs(u - v) <= tolerance * np.maximum(np.abs(u), np.abs(v)))
                    | (np.isnan(u) & np.isnan(v))
                    | (u == v)
                )
            finite = int(np.sum(np.isfinite(u) & np.isfinite(v)))
            compared += finite
            mute += not finite
        else:
            bad = (x.cast(pl.String) != y.cast(pl.String)).fill_null(True).to_numpy() & ~(
                x.is_null() & y.is_null()
            ).to_numpy()
            compared += int((~x.is_null()).sum())
        wrong |= bad
        if bad.any():
            first = int(np.argmax(bad))
            rows.append(
                {
                    "column": name,
                    "first_bar": both[key][first],
                    "live": x[first],
                    "replayed": y[first],
                    "bars": int(bad.sum()),
                }
            )
    total = int(wrong.sum())
    high = stats.upper_bound(total, n)
    measured = Measured(
        "share of bars that differ",
        total / n,
        "fraction",
        high=high,
        level=0.95,
        method="exact, one-sided",
        n=n,
    )
    if rows:
        rows.sort(key=lambda row: str(row["first_bar"]))
        worst = rows[0]
        return made(
            "DEC-01",
            "fail",
            (
                f"{total:,} of {n:,} bars differ, first `{worst['column']}` at "
                f"{worst['first_bar']}: live {worst['live']}, replayed {worst['replayed']}"
            ),
            measured=measured,
            gate=gate,
            evidence=capped(rows, len(rows)),
            cause=(
                "other features (PAR-01, PAR-02)",
                "bars that had not closed (DEC-02)",
                ("another configuration (DEC-03)"),
            ),
            remedy=remedy,
        )
    if n < REPLAYED or not compared or mute:
        return unable(
            "DEC-01",
            (
                f"{plural(n, 'bar')} agree, {plural(mute, 'column')} without "
                f"a number: {REPLAYED} are needed to see a fault in 1%"
            ),
            remedy,
            gate=gate,
            measured=measured,
        )
    return made(
        "DEC-01",
        "pass",
        (
            f"{n:,} bars agree in {plural(len(columns), 'column')}: "
            f"at most {high:.2%} of bars differ"
        ),
        measured=measured,
        gate=gate,
    )


@audited
def closed_bars(close_time: Any, decision_time: Any, *, latency_ms: int = 0) -> Finding:
    """DEC-02: live decisions use bars that had closed.

    Parameters
    ----------
    close_time, decision_time : array_like of shape (n,), times
        Close of the last bar that each decision used, and when it was made; milliseconds UTC or datetimes.
    latency_ms : int, default 0
        Time that a closed bar takes to arrive.

    Returns
    -------
    Finding
        Inconclusive without decisions, or where a time is missing.
    """
    a, b = milliseconds("close_time", close_time), milliseconds("decision_time", decision_time)
    n = same_rows(close_time=a, decision_time=b)
    lowest = milliseconds("missing", [math.nan])[0]
    missing = int(np.sum((a == lowest) | (b == lowest)))
    gate = Gate("=", 0, "default", "the last price of an open bar is not its close")
    remedy = "wait for the close, and log both times"
    early = (a > b - latency_ms) & (a != lowest) & (b != lowest)
    total = int(early.sum())
    rows = (
        {"row": int(i), "close_time": int(a[i]), "decision_time": int(b[i])}
        for i in np.flatnonzero(early)
    )
    if not total and (n < 2 or missing or np.ptp(a) == 0):
        return unable(
            "DEC-02",
            f"{missing:,} of {n:,} decisions lack a time, or all have one",
            remedy,
            gate=gate,
        )
    return made(
        "DEC-02",
        "fail" if total else "pass",
        (f"{total:,} of {n:,} decisions were made before their bar had closed")
        if total
        else f"all {n:,} decisions were made on closed bars",
        measured=Measured("decisions on open bars", total, "count", n=n),
        gate=gate,
        evidence=capped(rows, total),
        remedy=remedy,
    )


def _flat(value: Any, path: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping):
        out: dict[str, Any] = {}
        for key, item in value.items():
            out |= _flat(item, f"{path}.{key}" if path else str(key))
        return out
    if isinstance(value, (list, tuple)):
        return {path: [str(item) for item in value]}
    return {path: value}


def _apart(name: str, live: Any, backtest: Any) -> str:
    """Say in a title how an entry differs; of long lists how many they hold, and where they part."""
    both = isinstance(live, list) and isinstance(backtest, list)
    if not both or max(len(live), len(backtest)) <= MANY:
        return f": `{name}` is {live} live and {backtest} in the backtest"
    pairs = zip_longest(live, backtest, fillvalue="nothing")
    at, (x, y) = next((i, pair) for i, pair in enumerate(pairs) if pair[0] != pair[1])
    return (
        f": `{name}` has {len(live):,} entries live and {len(backtest):,} in the backtest, "
        f"entry {at} is {x} and {y}"
    )


@audited
def configuration_parity(
    live: Mapping[str, Any], backtest: Mapping[str, Any], *, ignore: Sequence[str] = ()
) -> Finding:
    """DEC-03: live and backtest have the same configuration.

    Parameters
    ----------
    live, backtest : mapping of str to object
        Thresholds, leverage, fees, symbols, sizing, warm-up; nested mappings are compared entry by entry.
    ignore : sequence of str, default ()
        Entries that may differ, by dotted name.

    Returns
    -------
    Finding
        Inconclusive where a side is empty.
    """
    a, b = _flat(live), _flat(backtest)
    gate = Gate(
        "=",
        0,
        "default",
        "configuration is the usual cause of a live system that does something else",
    )
    remedy = "run both from one file"
    if not a or not b or a == {"": None}:
        return unable("DEC-03", "a side has no configuration", remedy, gate=gate)
    names = [name for name in {**a, **b} if name not in ignore]
    rows = []
    unknown = 0
    for name in names:
        x, y = a.get(name, "not there"), b.get(name, "not there")
        unknown += isinstance(x, float) and isinstance(y, float) and math.isnan(x) and math.isnan(y)
        if x != y and not (x != x and y != y):
            rows.append({"entry": name, "live": str(x), "backtest": str(y)})
    if not names or (unknown and not rows):
        return unable(
            "DEC-03",
            "every entry is ignored"
            if not names
            else (f"{unknown} entries are no number on both sides"),
            remedy,
            gate=gate,
        )
    entry = rows[0]["entry"] if rows else ""
    first = _apart(entry, a.get(entry, "not there"), b.get(entry, "not there")) if rows else ""
    return made(
        "DEC-03",
        "fail" if rows else "pass",
        (f"{len(rows)} of {plural(len(names), 'entry', 'entries')} differ{first}"),
        measured=Measured("entries that differ", len(rows), "count", n=len(names)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        fixable=True,
    )


@audited
def live_predictions(
    validation: Any,
    live: Any,
    *,
    trades: int | None = None,
    days: float | None = None,
    rate: float | None = None,
) -> Finding:
    """DEC-04: live probabilities and trades are as frequent as on validation rows.

    Parameters
    ----------
    validation, live : array_like
        Probabilities of both.
    trades, days : int and float, optional
        Live trades and the days that they took.
    rate : float, optional
        Trades a day in the backtest.

    Returns
    -------
    Finding
        Inconclusive for fewer than 30 probabilities on a side, or a constant validation.
    """
    a, b = numbers("validation", validation), numbers("live", live)
    a, b = a[np.isfinite(a)], b[np.isfinite(b)]
    gate = Gate(
        "<", PSI_WARN, "default", "a model that answers otherwise than in its tests is another one"
    )
    rate_p = None
    remedy = "compare features (PAR-02) and configuration (DEC-03); then ask for drift (PAR-06)"
    if min(len(a), len(b)) < FEW or np.ptp(a) == 0:
        return unable(
            "DEC-04", f"{len(a):,} and {len(b):,} probabilities, or a constant", remedy, gate=gate
        )
    index, distance = stats.psi(a, b), stats.ks(a, b)
    real = distance.p <= LEVEL
    outcome: Outcome = "pass"
    if real and ((index.psi >= PSI_FAIL and index.psi > index.null_95) or distance.d >= D_FAIL):
        outcome = "fail"
    elif real and index.psi >= PSI_WARN and index.psi > index.null_95:
        outcome = "warn"
    title = f"PSI {index.psi:.3f} (chance up to {index.null_95:.3f}), D {distance.d:.3f} (p {distance.p:.2g})"
    evidence: dict[str, Any] = {
        "psi": index.psi,
        "null_95": index.null_95,
        "d": distance.d,
        "p": distance.p,
    }
    if trades is not None and days is not None and rate is not None:
        held = stats.rate_test(trades, days, rate)
        evidence |= {"expected_trades": held.expected, "p_rate": held.p}
        title += f"; {plural(trades, 'trade')} in {days:g} days, {held.expected:.1f} expected (p {held.p:.3g})"
        rate_p = held.p
        if held.p <= LEVEL:
            outcome = "fail"
    return made(
        "DEC-04",
        outcome,
        title,
        **speaking(
            outcome,
            (
                Measured("population stability index", index.psi, n=len(b), p_value=distance.p),
                replace(gate, threshold=max(PSI_WARN, index.null_95)),
            ),
            (
                Measured("distance of distributions", distance.d, form="Kolmogorov's D", n=len(b)),
                Gate("<", D_FAIL, "default", "a fifth of the rows lie on the other side"),
            ),
            (
                Measured("p-value of the rate", rate_p, form="Poisson, two-sided", n=trades),
                Gate(">", LEVEL, "case S004", "another rate of trades is another system"),
            ),
            (
                Measured("p-value", distance.p, form="Kolmogorov", n=len(b)),
                Gate(">", LEVEL, "default", "so far apart are two samples of one distribution"),
            ),
        ),
        evidence=evidence,
        remedy=remedy,
    )


@audited
def fill_parity(slippage: Any, *, assumed: float, groups: Any = None) -> Finding:
    """DEC-05: live fills are no worse than the backtest assumes.

    Parameters
    ----------
    slippage : array_like of shape (n,)
        Of each live fill against the price that the backtest would have had, a fraction, positive is worse.
    assumed : float
        What the backtest takes off each fill.
    groups : sequence of str, of shape (n,), optional
        Side and exit reason of each fill.

    Returns
    -------
    Finding
        By the worst group. Inconclusive for fewer than 30 fills, or values that are no number.
    """
    s = numbers("slippage", slippage)
    gate = Gate("<=", ERRORS, "default", "stops fill worse than targets: a mean over both hides it")
    remedy = "raise Costs(slippage=...) to what is measured, and audit again (ECO-06)"
    names = np.array(["all"] * len(s) if groups is None else [str(g) for g in groups])
    same_rows(slippage=s, groups=names)
    if len(s) < FEW or not np.isfinite(s).all() or not math.isfinite(assumed):
        return unable(
            "DEC-05", f"{plural(len(s), 'fill')}, or one without a number", remedy, gate=gate
        )
    rows: list[dict[str, Any]] = []
    # The whole first, then its parts where they are large enough.
    for name in dict.fromkeys(["all", *names]):
        x = s if name == "all" else s[names == name]
        if len(x) < FEW:
            continue
        held = stats.hac_mean(x)
        error = held.error if math.isfinite(held.error) and held.error > 0 else 0.0
        beyond = float(x.mean()) - assumed
        z = beyond / error if error else math.copysign(math.inf, beyond) if beyond else 0.0
        rows.append(
            {
                "group": str(name),
                "fills": len(x),
                "mean": float(x.mean()),
                "error": error,
                "errors_beyond": z,
            }
        )
    rows.sort(key=lambda row: -row["errors_beyond"])
    worst = rows[0]
    # One of k groups is beyond by chance: the bound grows with them.
    bound = ERRORS if len(rows) == 1 else ERRORS + math.log(len(rows)) / ERRORS
    return made(
        "DEC-05",
        "fail" if worst["errors_beyond"] > bound else "pass",
        (
            f"fills of {worst['group']} slip {worst['mean']:.4%} on average, {assumed:.4%} "
            f"assumed: {worst['errors_beyond']:+.1f} errors, n {worst['fills']:,}"
        ),
        measured=Measured(
            "errors beyond the assumption", worst["errors_beyond"], "standard errors", n=len(s)
        ),
        gate=replace(gate, threshold=bound),
        evidence=capped(rows, len(rows)),
        remedy=remedy,
        scope={"group": worst["group"]},
    )


@audited
def matched_trades(live: Any, backtest: Any, *, bar_ms: int, explained: int = 0) -> Finding:
    """DEC-07: every live trade is one of the backtest, and none is missing.

    Parameters
    ----------
    live, backtest : array_like of times
        Entry times of the same span, milliseconds UTC or datetimes.
    bar_ms : int
        Length of a bar: trades match within one.
    explained : int, default 0
        Unmatched trades with a known reason, such as an outage.

    Returns
    -------
    Finding
        Lists what has no partner. Inconclusive where a side has no trades.
    """
    a, b = (np.sort(milliseconds(name, x)) for name, x in (("live", live), ("backtest", backtest)))
    lowest = milliseconds("missing", [math.nan])[0]
    a, b = a[a != lowest], b[b != lowest]
    gate = Gate(
        "=", 0, "default", "a strategy without lookahead can still trade something else live"
    )
    remedy = "replay the bars of the unmatched trades (DEC-01)"
    if min(len(np.unique(a)), len(np.unique(b))) < 2:
        return unable(
            "DEC-07", f"{len(a):,} live trades and {len(b):,} of the backtest", remedy, gate=gate
        )
    i = j = matched = 0
    rows: list[dict[str, Any]] = []
    while i < len(a) or j < len(b):
        if i < len(a) and j < len(b) and abs(int(a[i]) - int(b[j])) <= bar_ms:
            i, j, matched = i + 1, j + 1, matched + 1
        elif j >= len(b) or (i < len(a) and a[i] < b[j]):
            rows.append({"time": int(a[i]), "only": "live"})
            i += 1
        else:
            rows.append({"time": int(b[j]), "only": "backtest"})
            j += 1
    alone = max(0, len(rows) - explained)
    extra = sum(row["only"] == "live" for row in rows)
    return made(
        "DEC-07",
        "fail" if alone else "pass",
        (
            f"{matched:,} trades match within a bar; {extra:,} "
            f"only live, {len(rows) - extra:,} only in the backtest"
        )
        + (f", {explained:,} explained" if explained else ""),
        measured=Measured("unmatched trades", alone, "count", n=matched + len(rows)),
        gate=gate,
        evidence=capped(rows, len(rows)),
        cause=(
            "another configuration (DEC-03)",
            "fills that were missed",
            ("bars that had not closed (DEC-02)"),
        ),
        remedy=remedy,
    )
