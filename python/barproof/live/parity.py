"""`parity`: live and backtest are one system, or the first bar at which they were not."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof._reconcile import Reconciliation, reconcile
from barproof.audits.checkpoint import live_model
from barproof.audits.decisions import (
    REPLAYED,
    closed_bars,
    configuration_parity,
    decision_replay,
    live_predictions,
    matched_trades,
)
from barproof.audits.model import Finding
from barproof.audits.parity import feature_identity
from barproof.audits.scale import feature_drift, value_parity
from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.errors import BarproofError, LayoutError, ParameterError
from barproof.live.comparison import (
    LAYERS,
    Divergence,
    agreement,
    closed_trades,
    compare,
    own_rows,
    pairs_of,
)
from barproof.live.identity import row_digest
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed, books_of, model_signals, replay
from barproof.live.slippage import real_fills
from barproof.rules import Costs, Rules

if TYPE_CHECKING:
    from barproof._backtest import Schedule

__all__ = ["Parity", "parity"]

SAMPLED = 20_000
"""Rows of training, evenly spaced, that drift is measured against."""
DAY = 86_400_000
IDENTITY = ("PAR-01", "PAR-02", "DEC-01", "DEC-02", "DEC-03", "DEC-06", "DEC-07")
"""Findings that say whether two systems are one."""


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
    models = _Models.of(bundle, held.symbols)
    if not isinstance(costs, Costs):
        raise LayoutError(
            f"`costs` must be Costs, was {type(costs).__name__}: use Costs(taker=...)"
        )
    if not held.decisions.height:
        raise ParameterError("the log holds no decisions: there is nothing to replay")
    books = books_of(candles, held)
    made = [
        replay(held, symbol, books, models[symbol], rules, costs, features)
        for symbol in held.symbols
    ]
    found: list[Divergence] = []
    compared = dict.fromkeys(LAYERS, 0)
    for one in made:
        more, count = compare(held, one, models[one.symbol], rules, books)
        found += more
        compared = {name: compared[name] + count[name] for name in LAYERS}
    found.sort(key=lambda d: (d.open_time, LAYERS.index(d.layer)))
    pairs, gap = _trades(held, made)
    findings = _findings(held, made, models, rules, costs, books, features, rate, latency_ms)
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
    )


class _Models(dict[str, list[Bundle]]):
    """Bundles by symbol."""

    @classmethod
    def of(cls, given: Any, symbols: Sequence[str]) -> _Models:
        """Read the argument."""
        out = cls()
        for symbol in symbols:
            mine = given.get(symbol) if isinstance(given, Mapping) else given
            held = (
                [mine]
                if isinstance(mine, Bundle)
                else list(mine)
                if isinstance(mine, Sequence) and not isinstance(mine, str)
                else []
            )
            if not held or not all(isinstance(one, Bundle) for one in held):
                of = f" of {symbol}" if isinstance(given, Mapping) else ""
                raise LayoutError(
                    f"`bundle`{of} must be a Bundle or several, was {type(mine).__name__}: use Bundle.load(...)"
                )
            out[symbol] = held
        return out

    @property
    def each(self) -> list[Bundle]:
        """All bundles, each once."""
        return list({bundle.digest: bundle for held in self.values() for bundle in held}.values())


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


# --- findings -------------------------------------------------------------------------------------------------------


def _findings(
    log: LiveLog,
    made: Sequence[Replayed],
    models: _Models,
    rules: Any,
    costs: Costs,
    books: Mapping[str, Candles],
    features: Any,
    rate: float | None,
    latency_ms: int,
) -> list[Finding]:
    reference = _reference(made, models, books, features)
    return [
        *_identity(log, models),
        _values(log, made, rules),
        *_drift(log, made, reference),
        _replay(log, made, models.each),
        closed_bars(
            log.decisions["close_time"], log.decisions["decided_at"], latency_ms=latency_ms
        ),
        _configuration(log, made, rules, costs),
        _predictions(log, made, reference, rate),
        real_fills(log, made, costs),
        _model(log, models),
        _matched(log, made),
    ]


def _identity(log: LiveLog, models: _Models) -> list[Finding]:
    """PAR-01 of the symbol that is worst off."""
    found = [
        feature_identity(list(names), models[symbol])
        for symbol in log.symbols
        if (names := log.features_of(symbol))
    ]
    return sorted(found, key=lambda f: f.outcome != "fail")[:1]


def _stacked(log: LiveLog, made: Sequence[Replayed]) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Features of replay and log, the same rows and columns."""
    mine, live = [], []
    for one in made:
        values = log.features.filter(pl.col("symbol") == one.symbol)
        keys = own_rows(log, one).select("open_time").with_row_index("row")
        held = values.join(keys, on="open_time", how="inner", maintain_order="right")
        names = [name for name in one.names if name in held.columns]
        if not held.height or not names:
            continue
        at = one.at[held["row"].to_numpy().astype(np.int64)]
        columns = {n: one.features[at, one.names.index(n)] for n in names}
        mine.append(pl.DataFrame(columns))
        live.append(held.select(names))
    return (pl.concat(mine), pl.concat(live)) if mine else None


def _values(log: LiveLog, made: Sequence[Replayed], rules: Any) -> Finding:
    both = _stacked(log, made) or _by_digests(log, made)
    if both is None:
        return value_parity(np.empty((0, 1)), np.empty((0, 1)))
    exact = log.own and all(one.exact for one in made)
    threshold = rules.entry_long if isinstance(rules, Rules) else None
    said, logged = _said(log, made, "long")
    pair = (said, logged) if threshold is not None and np.isfinite(logged).any() else None
    return value_parity(
        *both,
        precision="same" if exact else "f64",
        predictions=pair,
        threshold=threshold if pair is not None else None,
    )


def _by_digests(log: LiveLog, made: Sequence[Replayed]) -> tuple[pl.DataFrame, pl.DataFrame] | None:
    """Features of the replay, twice, where the digest of every row says that the log's are the same bits."""
    frames = []
    for one in made:
        logged = own_rows(log, one)["feature_digest"].to_list()
        values = one.features[one.at]
        if logged != [row_digest(row) for row in values]:
            return None
        frames.append(pl.DataFrame(values, schema=list(one.names), orient="row"))
    held = pl.concat(frames, how="diagonal")
    return held, held


def _said(log: LiveLog, made: Sequence[Replayed], name: str) -> tuple[Any, Any]:
    """Probabilities of replay and log."""
    mine = [one.signals.get(name, np.full(len(one.at), np.nan)) for one in made]
    live = [own_rows(log, one)[f"p_{name}"].fill_null(np.nan).to_numpy() for one in made]
    return np.concatenate(mine), np.concatenate(live)


def _replay(log: LiveLog, made: Sequence[Replayed], bundles: Sequence[Bundle]) -> Finding:
    mine, live = [], []
    words = np.array(["flat", "long", "short"])
    for one in made:
        rows = own_rows(log, one)
        head = f"{one.symbol} " if len(made) > 1 else ""
        key = pl.Series("bar", [f"{head}{t:%Y-%m-%d %H:%M:%S}" for t in rows["open_time"]])
        columns: dict[str, tuple[Any, Any]] = {}
        for name, said in one.signals.items():
            columns[f"p_{name}"] = (rows[f"p_{name}"].fill_null(np.nan), said)
        columns["side"] = (rows["side"], words[one.side])
        marks = rows["equity"].fill_null(np.nan).to_numpy()
        columns["equity"] = (np.where(np.isnan(one.equity), np.nan, marks), one.equity)
        known = {
            name: pair
            for name, pair in columns.items()
            if pl.Series(pair[0]).drop_nulls().drop_nans().len() or name.startswith("p_")
            if not (name.startswith("p_") and np.isnan(np.asarray(pair[0], np.float64)).all())
        }
        live.append(pl.DataFrame({"bar": key, **{n: pair[0] for n, pair in known.items()}}))
        mine.append(pl.DataFrame({"bar": key, **{n: pair[1] for n, pair in known.items()}}))
    allowed = max(agreement(bundles), 1e-9)
    return decision_replay(
        pl.concat(live, how="diagonal"), pl.concat(mine, how="diagonal"), tolerance=allowed
    )


def _configuration(log: LiveLog, made: Sequence[Replayed], rules: Any, costs: Costs) -> Finding:
    """DEC-03: what live says of itself, against what the backtest was given."""
    one = made[0]
    book = [rules] if isinstance(rules, Rules) else [held for _, held in rules]
    backtest: dict[str, Any] = {
        "rules": book[0].to_dict() if len(book) == 1 else [repr(held) for held in book],
        "costs": {"taker": costs.taker, "maker": costs.maker, "slippage": costs.slippage},
        "instrument": {
            name: getattr(one.candles.instrument, name)
            for name in ("kind", "maintenance", "lot", "min_notional")
        },
        "interval_us": one.candles.interval_ms * 1_000,
        "symbols": [r.symbol for r in made],
        "features": list(one.names),
    }
    live: dict[str, Any] = {}
    for name, mine in backtest.items():
        told = _rules_told(log) if name == "rules" else log.told(name, one.symbol)
        if told is None:
            continue
        if isinstance(told, Mapping) and isinstance(mine, Mapping):
            # What a bot does not say is not compared; what a session says is whole.
            held = {key: _number(value) for key, value in told.items() if key in mine}
            live[name] = held
            whole = {key: _number(value) for key, value in mine.items()}
            backtest[name] = whole if log.own else {k: v for k, v in whole.items() if k in held}
        else:
            live[name] = told
    return configuration_parity(live, {name: backtest[name] for name in live})


def _rules_told(log: LiveLog) -> Any:
    """Rules of the log: fields of one set, or texts of several in their order."""
    steps = log.session.get("schedule")
    if steps is None:
        return log.session.get("rules")
    if len(steps) == 1:
        return steps[0][1]
    return [repr(Rules(**held)) for _, held in steps]


def _number(value: Any) -> Any:
    """Whole numbers of JSON are the same as floats; flags are not."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _model(log: LiveLog, models: _Models) -> Finding:
    claimed = models.each[-1].digest
    known = {symbol: {bundle.digest for bundle in held} for symbol, held in models.items()}
    rows = log.decisions.select("symbol", "model_digest").rows()
    # A bot that never says which model it runs: nothing can be told, and that is said.
    said = any(digest for _, digest in rows)
    hashes = [claimed if digest in known[symbol] else digest for symbol, digest in rows]
    return live_model(hashes if said else [], claimed)


def _matched(log: LiveLog, made: Sequence[Replayed]) -> Finding:
    live, mine = [], []
    span = max(len(one.candles) * one.candles.interval_ms for one in made) + DAY
    for k, one in enumerate(made):
        # Symbols stand far apart, so that no trade of one meets one of another.
        shift = k * 2 * span
        both = closed_trades(log, one.symbol)
        if "entry_time" in both.columns:
            live.append(both["entry_time"].dt.timestamp("ms").to_numpy() + shift)
        mine.append(one.trades["entry_time"].dt.timestamp("ms").to_numpy() + shift)
    step = made[0].candles.interval_ms
    empty = np.empty(0, np.int64)
    return matched_trades(
        np.concatenate([empty, *live]), np.concatenate([empty, *mine]), bar_ms=step
    )


# --- against the rows of training -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reference:
    """Rows of training, and probabilities on rows of test, of the last bundle."""

    features: pl.DataFrame
    said: NDArray[np.float64]


def _reference(
    made: Sequence[Replayed], models: _Models, books: Mapping[str, Candles], features: Any
) -> _Reference | None:
    """Gather what the candles show of the rows that made the bundle; None where they do not reach back to them."""
    one = made[0]
    bundle = models[one.symbol][-1]
    market = books[one.symbol]
    rows = bundle.manifest.get("rows", {})
    spans: dict[str, NDArray[np.int64]] = {}
    for name in ("train", "test"):
        told = rows.get(name, {})
        if told.get("from") is None:
            return None
        begin, end = np.searchsorted(market.open_time, [told["from"], told["to"] + 1])
        if market.open_time[0] > told["from"] or end <= begin:
            return None
        # Live rows are no reference for themselves.
        end = min(
            int(end), int(np.searchsorted(market.open_time, one.candles.open_time[one.at[0]]))
        )
        spans[name] = np.arange(begin, max(end, begin), dtype=np.int64)
    if not len(spans["train"]):
        return None
    from barproof.live.replayed import _table

    try:
        frame = _table(bundle, books, one.symbol, features)
    except BarproofError:
        return None
    said = model_signals(bundle, frame, spans["test"]).get("long", np.empty(0))
    train = spans["train"]
    step = max(1, len(train) // SAMPLED)
    return _Reference(frame.select(bundle.features)[train[::step]], said)


def _drift(log: LiveLog, made: Sequence[Replayed], reference: _Reference | None) -> list[Finding]:
    if reference is None:
        return []
    both = _stacked(log, made)
    if both is None:
        columns = {n: made[0].features[made[0].at, j] for j, n in enumerate(made[0].names)}
        return [feature_drift(reference.features, pl.DataFrame(columns))]
    return [feature_drift(reference.features, both[1])]


def _predictions(
    log: LiveLog, made: Sequence[Replayed], reference: _Reference | None, rate: float | None
) -> Finding:
    _, live = _said(log, made, "long")
    said = np.empty(0) if reference is None else reference.said
    first, last = (
        min(o.candles.open_time[o.at[0]] for o in made),
        max(o.candles.open_time[o.at[-1]] for o in made),
    )
    days = float(last - first + made[0].candles.interval_ms) / DAY
    known = "entry_time" in log.trades.columns
    trades = log.trades.height if known else None
    if rate is None and known:
        rate = sum(one.trades.height for one in made) / days or None
    if trades is None or rate is None:
        return live_predictions(said, live)
    found = live_predictions(said, live, trades=trades, days=days, rate=rate)
    if found.outcome == "inconclusive":
        # The rate can be told without a reference of probabilities.
        return _rated(found, trades, days, rate)
    return found


def _rated(found: Finding, trades: int, days: float, rate: float) -> Finding:
    from barproof.stats import rate_test

    held = rate_test(trades, days, rate)
    told = f"{trades:,} trades in {days:.4g} days, {held.expected:.1f} expected (p {held.p:.3g})"
    evidence = {**found.evidence, "expected_trades": held.expected, "p_rate": held.p}
    if held.p <= 0.01:
        return replace(found, outcome="fail", title=told, evidence=evidence)
    return replace(found, title=f"{found.title}; {told}", evidence=evidence)
