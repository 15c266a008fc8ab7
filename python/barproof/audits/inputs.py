"""What an audit was given, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from barproof.audits.common import identity
from barproof.errors import ParameterError

__all__ = ["Inputs"]


@dataclass
class Inputs:
    """What was given, and what follows from it."""

    candles: Any
    features: Any
    labels: Any
    folds: Any
    run: Any
    bundles: Any
    predictions: Any
    signals: Any
    sweep: Any
    result: Any
    trades: Any
    seed: int
    max_seconds: float | None
    fills: Any = None
    claims: Any = None
    equity: Any = None
    label_sweep: Any = None
    ablation: Any = None
    book: Any = None
    live_log: Any = None
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def market(self) -> Any:
        """Candles, wherever they come from."""
        labels = self.labels.values() if isinstance(self.labels, Mapping) else [self.labels]
        made = (self.run, self.result, *labels, self.label_sweep)
        others = (getattr(x, "candles", None) for x in made)
        return next((held for held in (self.candles, *others) if held is not None), None)

    def check(self) -> None:
        """Refuse things of different markets."""
        market = self.market
        others = {"run": self.run, "result": self.result, "label_sweep": self.label_sweep}
        if isinstance(self.labels, Mapping):
            others |= {f"labels[{name!r}]": held for name, held in self.labels.items()}
        else:
            others["labels"] = self.labels
        for name, thing in others.items():
            held = getattr(thing, "candles", None)
            if held is None or held is market:
                continue
            if not np.array_equal(held.open_time, market.open_time):
                raise ParameterError(
                    f"`{name}` speaks of other candles ({len(held):,} bars) than the first ({len(market):,} bars): "
                    "audit one market at a time"
                )

    def manifest(self) -> dict[str, Any]:
        """Digests of what was given."""
        out: dict[str, Any] = {}
        if self.market is not None:
            out["candles"] = self.market.digest
            out["bars"] = len(self.market)
            out["symbol"] = getattr(self.market, "symbol", "")
        for name in ("features", "predictions", "signals", "trades", "fills", "equity", "claims"):
            digest = identity(getattr(self, name))
            if digest:
                out[name] = digest
        for name, held in self.label_sets.items():
            digest = identity(held)
            if digest:
                out[f"labels {name}".strip()] = digest
        for name in ("run", "result", "sweep", "label_sweep"):
            facts = getattr(getattr(self, name), "provenance", None)
            if isinstance(facts, Mapping):
                out[name] = {str(k): str(v) for k, v in facts.items()}
        if self.bundle_list:
            out["bundles"] = [getattr(b, "digest", "") for b in self.bundle_list]
        return out

    @cached_property
    def label_sets(self) -> dict[str, Any]:
        """Labels by part; one without a name is "labels"."""
        if isinstance(self.labels, Mapping):
            return dict(self.labels)
        if self.labels is not None:
            return {"labels": self.labels}
        parts = getattr(self.run, "parts", None)
        if parts:
            return {str(name): part.labels for name, part in parts.items()}
        held = getattr(self.run, "labels", None)
        return {} if held is None else {"labels": held}

    @cached_property
    def fold_list(self) -> list[Any]:
        """Folds; a splitter is asked."""
        held = self.folds if self.folds is not None else getattr(self.run, "folds", None)
        if held is None:
            return []
        if hasattr(held, "folds"):
            spans = self.spans
            return list(held.folds(self.market, spans) if spans else held.folds(self.market))
        return list(held)

    @cached_property
    def spans(self) -> tuple[Any, Any] | None:
        """First and last bar of each row's labels: the longest reach of all parts."""
        held = [x for x in self.label_sets.values() if hasattr(x, "start") and hasattr(x, "end")]
        if not held:
            return None
        start, end = np.array(held[0].start), np.array(held[0].end)
        for more in held[1:]:
            start = np.where(
                start < 0,
                more.start,
                np.where(more.start < 0, start, np.minimum(start, more.start)),
            )
            end = np.maximum(end, more.end)
        return start, end

    @cached_property
    def bundle_list(self) -> list[Any]:
        """Bundles."""
        held = self.bundles if self.bundles is not None else getattr(self.run, "bundles", None)
        if held is None:
            return []
        return list(held) if isinstance(held, Sequence) else [held]

    @cached_property
    def path(self) -> Any:
        """Candles to features: what was given, or the feature set that the columns of the run name."""
        if self.features is not None or self.run is None:
            return self.features
        names = getattr(self.run, "names", None)
        if not names:
            return None
        try:
            from barproof.features import FeatureSet

            return FeatureSet(list(names))
        except Exception as error:
            # Columns that are no features of ours: the audit then says that it cannot recompute them.
            self.notes["features"] = str(error)
            return None

    @cached_property
    def predicted(self) -> pl.DataFrame | None:
        """Predictions: given, or of the run on its test rows."""
        if self.predictions is not None:
            return pl.DataFrame(self.predictions)
        ask = getattr(self.run, "predictions", None)
        if not callable(ask):
            return None
        frames = [ask(part="test", fold=i) for i in range(len(self.run.folds))]
        return pl.concat(frames, how="diagonal") if frames else None

    @cached_property
    def signal_set(self) -> Any:
        """Signals: given, of the result or the sweep, or of the run."""
        if self.signals is not None:
            return self.signals
        for held in (self.result, getattr(self.sweep, "_made", None)):
            if getattr(held, "signals", None) is not None:
                return held.signals  # type: ignore[union-attr]
        ask = getattr(self.run, "signals", None)
        return ask(part="test") if callable(ask) else None

    @cached_property
    def trade_table(self) -> Any:
        """Trades: given, or of the result."""
        return self.trades if self.trades is not None else getattr(self.result, "trades", None)

    @cached_property
    def parity(self) -> Any:
        """Replay of the live log; None where candles, bundle, rules or costs to replay it with are not there."""
        result, bundles = self.result, self.bundle_list
        if self.live_log is None or not bundles or result is None or self.market is None:
            return None
        from barproof.live.parity import parity

        # A run has a bundle a fold; what went live is the last.
        one = bundles[-1] if self.run is not None and self.bundles is None else bundles
        return parity(self.live_log, self.market, one, result.rules, costs=result.costs)

    def columns(self, frame: pl.DataFrame) -> Iterator[tuple[str, int, pl.DataFrame, list[str]]]:
        """Part, fold, rows and prediction columns of a table of predictions."""
        keys = [name for name in ("part", "fold") if name in frame.columns]
        if not keys:
            frame, keys = frame.with_columns(pl.lit("").alias("part")), ["part"]
        for key, rows in frame.group_by(keys, maintain_order=True):
            held = dict(zip(keys, key, strict=True))
            names = [
                name
                for name in rows.columns
                if (name.startswith("p_") or name == "prediction")
                and rows[name].null_count() < len(rows)
            ]
            yield str(held.get("part", "")), int(held.get("fold", 0)), rows, names
