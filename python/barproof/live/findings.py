"""What the replay of a log shows, in the words of the audits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof.audits.checkpoint import live_model
from barproof.audits.contents import feature_drift
from barproof.audits.decisions import (
    closed_bars,
    configuration_parity,
    decision_replay,
    live_predictions,
    matched_trades,
)
from barproof.audits.model import Finding
from barproof.audits.parity import feature_identity
from barproof.audits.scale import value_parity
from barproof.bundle import Bundle
from barproof.candles import Candles
from barproof.errors import BarproofError, LayoutError
from barproof.live.comparison import own_rows
from barproof.live.identity import row_digest
from barproof.live.log import LiveLog
from barproof.live.replayed import Replayed, model_signals
from barproof.live.saying import agreement
from barproof.live.slippage import real_fills
from barproof.live.trades import closed_trades
from barproof.rules import Costs, Rules

__all__ = ["Models", "findings_of"]

SAMPLED = 20_000
"""Rows of training, evenly spaced, that drift is measured against."""
DAY = 86_400_000


class Models(dict[str, list[Bundle]]):
    """Bundles by symbol."""

    @classmethod
    def of(cls, given: Any, symbols: Sequence[str]) -> Models:
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


def findings_of(
    log: LiveLog,
    made: Sequence[Replayed],
    models: Models,
    rules: Any,
    costs: Costs,
    books: Mapping[str, Candles],
    features: Any,
    rate: float | None,
    latency_ms: int,
) -> list[Finding]:
    """Say what was compared in the words of the audits: PAR-01, PAR-02, PAR-06, DEC-01 to DEC-07."""
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


def _identity(log: LiveLog, models: Models) -> list[Finding]:
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
    """Compare logged features, and probabilities where entries hang on them, with the replay's."""
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
    """Compare logged probabilities, sides and equity with those of the replay."""
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


def _model(log: LiveLog, models: Models) -> Finding:
    claimed = models.each[-1].digest
    known = {symbol: {bundle.digest for bundle in held} for symbol, held in models.items()}
    rows = log.decisions.select("symbol", "model_digest").rows()
    # A bot that never says which model it runs: nothing can be told, and that is said.
    said = any(digest for _, digest in rows)
    hashes = [claimed if digest in known[symbol] else digest for symbol, digest in rows]
    return live_model(hashes if said else [], claimed)


def _matched(log: LiveLog, made: Sequence[Replayed]) -> Finding:
    """Compare entries of the log with those of the replay, all symbols together."""
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
    made: Sequence[Replayed], models: Models, books: Mapping[str, Candles], features: Any
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
    """Compare live probabilities and the rate of trades with what is normal."""
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
