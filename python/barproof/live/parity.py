"""`parity`: live and backtest are one system, or the first bar at which they were not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from barproof._reconcile import Reconciliation, reconcile
from barproof._shown import differences, shown
from barproof.audits.decisions import REPLAYED
from barproof.audits.model import Finding
from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.errors import LayoutError, ParameterError
from barproof.live.comparison import compare
from barproof.live.divergence import LAYERS, Divergence
from barproof.live.findings import Models, findings_of
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed, books_of, replay
from barproof.live.slippage import fill_table
from barproof.live.trades import pairs_of
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof._backtest import Schedule

__all__ = ["Parity", "parity"]

IDENTITY = ("PAR-01", "PAR-02", "DEC-01", "DEC-02", "DEC-03", "DEC-06", "DEC-07")
"""Findings that say whether two systems are one."""


@shown(differences)
@dataclass(frozen=True, eq=False)
class Parity:
    """Whether live and backtest are one system.

    Attributes
    ----------
    first : Divergence or None
        The earliest bar at which anything differs, and there the layer from which the others follow.
    divergences : tuple of Divergence
        One a column and symbol, in the order of time and layers.
    findings : tuple of Finding
        PAR-01, PAR-02, PAR-06, DEC-01 to DEC-07: what was compared, in the words of the audits.
    compared : dict of str to int
        Values that were compared: bars, features, probabilities, decisions, trades.
    decisions : int
        Rows of the log that were replayed.
    pairs : polars.DataFrame
        One row a trade of either side: `symbol`, `status` (``same``, ``changed``, ``missed``, ``extra``), `side`,
        `entry_time`, `pnl` (live less backtest).
    gap : dict of str to Reconciliation
        By symbol: the difference in money by cause, where both sides have trades with prices.
    replayed : dict of str to Result
        The backtest, by symbol.
    fills : polars.DataFrame
        Real fills that a session was told of beside the orders of the backtest, entries and exits, one row an order:
        `symbol`, `order`, `status` (``matched``, ``missed``, ``extra``), `side`, `time`, `quantity`, `fills`, `price`,
        `paper_price`, `assumed_price` (before slippage), `slippage` (positive is worse), `fee`.
    """

    first: Divergence | None
    divergences: tuple[Divergence, ...]
    findings: tuple[Finding, ...]
    compared: dict[str, int]
    decisions: int
    pairs: pl.DataFrame
    gap: dict[str, Reconciliation] = field(repr=False)
    replayed: dict[str, Any] = field(repr=False)
    notes: tuple[str, ...] = ()
    fills: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)

    @property
    def equal(self) -> bool:
        """Whether nothing differs that was compared."""
        return self.first is None

    @property
    def exit_code(self) -> int:
        """Code that the command line leaves with.

        0: one system; 1: something differs, or a finding about identity fails (PAR-01, PAR-02, DEC-01, DEC-02, DEC-03,
        DEC-06, DEC-07); 4: nothing differs, and it is too little to say so. Drift and real fills (PAR-06, DEC-04,
        DEC-05) speak of the market, not of two systems, and change no code.
        """
        failed = any(f.outcome == "fail" and f.id in IDENTITY for f in self.findings)
        if self.first is not None or failed:
            return 1
        return 0 if self._proved() else 4

    def _proved(self) -> bool:
        layers = [
            name for name in ("features", "probabilities", "decisions") if self.compared[name]
        ]
        return self.decisions >= REPLAYED and bool(layers)

    def __getitem__(self, code: str) -> Finding:
        for found in self.findings:
            if code in (found.id, found.slug):
                return found
        raise ParameterError(
            f"parity has no finding {code!r}: it has {', '.join(f.id for f in self.findings)}"
        )

    def __repr__(self) -> str:
        what = "equal" if self.equal else f"first {self.first}"
        return f"Parity({self.decisions:,} decisions, {what})"

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """Say what was compared, the first divergence, every column that differs, and the findings.

        Returns
        -------
        str
            Several lines.
        """
        told = ", ".join(f"{self.compared[name]:,} {name}" for name in LAYERS)
        lines = [f"{self.decisions:,} decisions replayed; compared: {told}"]
        if self.first is None:
            lines.append(
                "live and backtest are one system"
                if self.exit_code == 0
                else "nothing that was compared differs, but what failed or is missing below leaves it open"
            )
        else:
            lines.append(f"first divergence in {self.first}")
            rest = [one for one in self.divergences if one is not self.first]
            lines += [f"  then {one}" for one in rest[:20]]
            if rest[20:]:
                lines.append(f"  and {len(rest) - 20:,} more columns")
        lines += [f"{f.id} {f.outcome}: {f.title}" for f in self.findings]
        return "\n".join([*lines, *self.notes])

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; times are ISO text.

        Returns
        -------
        dict
            `equal`, `exit_code`, `decisions`, `compared`, `first`, `divergences`, `findings`, `pairs`, `gap`, `notes`.
        """
        shown = [_plain(one) for one in self.divergences]
        return {
            "equal": self.equal,
            "exit_code": self.exit_code,
            "decisions": self.decisions,
            "compared": dict(self.compared),
            "first": _plain(self.first) if self.first is not None else None,
            "divergences": shown,
            "findings": [f.to_dict() for f in self.findings],
            "trades": {
                status: int((self.pairs["status"] == status).sum())
                for status in ("same", "changed", "missed", "extra")
            },
            "unmatched": [
                {**row, "entry_time": row["entry_time"].isoformat()}
                for row in self.pairs.filter(pl.col("status").is_in(["missed", "extra"])).iter_rows(
                    named=True
                )
            ],
            "gap": {
                symbol: {
                    "total": one.gap,
                    "parts": dict(one.parts.select("part", "amount").iter_rows()),
                }
                for symbol, one in self.gap.items()
            },
            "fills": [
                {**row, "time": row["time"].isoformat()} for row in self.fills.iter_rows(named=True)
            ],
            "notes": list(self.notes),
        }

    def to_json(self) -> str:
        """As JSON text; numbers that are none become null.

        Returns
        -------
        str
            One document.
        """
        return json.dumps(_finite(self.to_dict()), allow_nan=False, indent=2)


def _plain(one: Divergence) -> dict[str, Any]:
    return {
        "layer": one.layer,
        "symbol": one.symbol,
        "column": one.column,
        "open_time": one.open_time.isoformat(),
        "live": one.live,
        "replayed": one.replayed,
        "differing": one.differing,
        "compared": one.compared,
        "cause": one.cause,
    }


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def parity(
    log: LiveLog | str | os.PathLike[str],
    candles: Candles | Mapping[str, Candles],
    bundle: Bundle | Sequence[Bundle] | Mapping[str, Bundle | Sequence[Bundle]],
    rules: Rules | Schedule,
    *,
    costs: Costs,
    features: Any = None,
    rate: float | None = None,
    latency_ms: int = 0,
) -> Parity:
    """Replay the bars of a live log through the backtest, and find the first bar at which the two part.

    Parameters
    ----------
    log : LiveLog or path
        Of a ``LiveSession`` (its state folder), or of anybody's bot: :meth:`LiveLog.foreign`.
    candles : Candles or mapping of str to Candles
        Bars of the backtest, from the first bar on that the live features knew. Candles that reach back to the rows of
        training and test let drift be measured too.
    bundle : Bundle, sequence of Bundle, or mapping of str to either
        The model that is said to run; several where the session changed it, in their order; by symbol where symbols
        have their own.
    rules : Rules or list of (start, Rules)
        That are said to run.
    costs : Costs
        Of the backtest.
    features : FeatureSet, optional
        Where names of the bundle do not make one: features of your own.
    rate : float, optional
        Trades a day that a claim or backtest promises, to be tested (DEC-04, CLM-10). Default: those of the replay.
    latency_ms : int, default 0
        Time that a closed bar takes to arrive (DEC-02).

    Returns
    -------
    Parity
        The first divergence, all columns that differ with their first bars and, where it is certain, what they hold
        instead; and the audits' findings.

    Raises
    ------
    ParameterError
        If candles are of another market, begin too late, or no decision falls on them.
    LayoutError
        If an argument is none of its kinds.
    BundleError
        If the features of the bundle cannot be computed from the candles.
    FileError
        If the log cannot be read.

    Notes
    -----
    A session is held to bits: features, fills, profits. Probabilities may be apart by what the precision of the model
    allows (1e-9, 1e-5 in single, 5e-3 in half precision). Features of a foreign log are those of another engine and
    are held to 1e-9 relative or 1e-6 of their deviation (PAR-02), and its trades are matched within one bar.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(7, bars=3_000, edge=0.1)
    >>> features = bp.FeatureSet(["rsi(14)", "log_return(1)"])
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> X = features.compute(candles)
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(1_500, 1_000, tune=300), ledger=False)
    >>> bundle, rules = run.bundles[0], bp.Rules(entry_long=0.52, max_hold=12)
    >>> p = bundle.predict(X)[2_000:, 1]
    >>> rows = X[2_000:].with_columns(pl.Series("p_long", p))
    >>> log = LiveLog.foreign(rows, symbol=candles.symbol)
    >>> parity(log, candles, bundle, rules, costs=bp.Costs(taker=0.0005)).equal
    True
    >>> late = rows.with_columns(pl.col("rsi(14)").shift(1))
    >>> found = parity(LiveLog.foreign(late, symbol=""), candles, bundle, rules, costs=bp.Costs.free())
    >>> found.first.column, found.first.cause
    ('rsi(14)', 'it holds the value of 1 bar earlier: it is stale')
    """
    held = log if isinstance(log, LiveLog) else LiveLog.read(log)
    models = Models.of(bundle, held.symbols)
    if not isinstance(costs, Costs):
        raise LayoutError(
            f"`costs` must be Costs, was {type(costs).__name__}: use Costs(taker=...)"
        )
    if not held.decisions.height:
        raise ParameterError("the log holds no decisions: there is nothing to replay")
    books = books_of(candles, held)
    made = replay(held, books, {one: models[one] for one in held.symbols}, rules, costs, features)
    found: list[Divergence] = []
    compared = dict.fromkeys(LAYERS, 0)
    for one in made:
        more, count = compare(held, one, models[one.symbol], rules, books)
        found += more
        compared = {name: compared[name] + count[name] for name in LAYERS}
    found.sort(key=lambda d: (d.open_time, LAYERS.index(d.layer)))
    pairs, gap = _trades(held, made)
    findings = findings_of(held, made, models, rules, costs, books, features, rate, latency_ms)
    return Parity(
        found[0] if found else None,
        tuple(found),
        tuple(findings),
        compared,
        sum(len(one.at) for one in made),
        pairs,
        gap,
        {one.symbol: one.result for one in made},
        held.notes,
        fill_table(held, made, costs) if held.own else pl.DataFrame(),
    )


_PAIRS: dict[str, Any] = {
    "symbol": pl.String,
    "status": pl.String,
    "side": pl.String,
    "entry_time": pl.Datetime("us", "UTC"),
    "pnl": pl.Float64,
}


def _trades(
    log: LiveLog, made: Sequence[Replayed]
) -> tuple[pl.DataFrame, dict[str, Reconciliation]]:
    """Trades of both sides, and the money between them."""
    frames = [pl.DataFrame(schema=_PAIRS)]
    gap: dict[str, Reconciliation] = {}
    for one in made:
        both = pairs_of(log, one)
        if both is None:
            continue
        step = np.timedelta64(one.candles.interval_ms, "ms").astype(object)
        gap[one.symbol] = told = reconcile(*both, within=step)
        frames.append(
            told.pairs.select(
                pl.lit(one.symbol).alias("symbol"), "status", "side", "entry_time", "pnl"
            )
        )
    return pl.concat(frames), gap
