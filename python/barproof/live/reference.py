"""`WatchReference`: what is normal for a model, measured on rows that are known to be sound."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._evaluate import bundle_table
from barproof._run import ONLY
from barproof.bundle import Bundle, own_table
from barproof.candles import Candles
from barproof.candles.table import show_time
from barproof.errors import ParameterError
from barproof.inference import CLASSES, as_frame
from barproof.live.replayed import model_signals

__all__ = ["BINS", "WatchReference", "packed", "unpacked"]

Floats = NDArray[np.float64]

BINS = 10
FEW = 100
"""Rows of a reference below which there are no deciles to speak of."""
_SIGNALS = ("long", "short")


@dataclass(frozen=True, eq=False, repr=False)
class WatchReference:
    """Deciles of features and probabilities on rows that are known to be sound.

    Made by :meth:`of`.

    Attributes
    ----------
    names : tuple of str
        Features in the order of the model, then `p_long` and `p_short`, those that it has.
    edges : ndarray of shape (n_columns, 9), float64
        Inner edges of the bins, increasing; where values tie, bins are empty. NaN for a column without values.
    shares : ndarray of shape (n_columns, 10), float64
        Share of the reference in each bin.
    worth : ndarray of shape (n_columns,), float64
        Independent rows that the reference counts as.
    pace : ndarray of shape (n_columns,), float64
        Rows that one independent row takes.
    label : dict or None
        Rule of the labels that the model foresees, where outcomes follow from bars alone.
    model : str
        Digest of the bundle.
    """

    names: tuple[str, ...]
    edges: Floats
    shares: Floats
    worth: Floats
    pace: Floats
    label: dict[str, Any] | None
    model: str

    def __repr__(self) -> str:
        told = ", ".join(name for name in self.names if name.startswith("p_"))
        return f"WatchReference({self.features:,} features, {told or 'no probabilities'}, bundle {self.model[:12]})"

    @property
    def features(self) -> int:
        """Number of features."""
        return sum(not name.startswith("p_") for name in self.names)

    @property
    def digest(self) -> str:
        """Identity, 64 hexadecimal digits."""
        texts = [self.model, json.dumps(self.label, sort_keys=True), *self.names]
        arrays = (self.edges, self.shares, self.worth, self.pace)
        return _core.digest("watch-reference/1", [*texts, *(packed(a) for a in arrays)])

    @classmethod
    def of(cls, bundle: Bundle, X: Any) -> WatchReference:  # noqa: N803
        """Measure the reference.

        Parameters
        ----------
        bundle : Bundle
            Whose features and probabilities.
        X : Candles, frame or mapping
            Features of consecutive bars, as the bundle takes them: rows of validation rather than of training, on which
            the model is surer of itself. Of candles the features are computed, and the test rows that the bundle's
            manifest names are taken.

        Returns
        -------
        WatchReference
            Of the rows in which a value is defined.

        Raises
        ------
        BundleError
            If features are missing, or cannot be computed from the candles.
        ParameterError
            If there are fewer than 100 rows, or the candles do not hold the bundle's test rows.

        Examples
        --------
        >>> import barproof as bp
        >>> candles = bp.simulate_candles(1, bars=900, edge=0.2)
        >>> X = candles.to_polars().select("open_time", score=candles.planted)
        >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
        >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(400, 200, tune=100), ledger=False)
        >>> WatchReference.of(run.bundles[0], X[500:700]).names
        ('score', 'p_long', 'p_short')
        """
        frame = _test_rows(bundle, X) if isinstance(X, Candles) else as_frame(X)
        values = own_table(frame, bundle.features).values
        if len(values) < FEW:
            raise ParameterError(
                f"a reference needs at least {FEW} rows, `X` has {len(values)}: give the rows of validation"
            )
        said = model_signals(bundle, frame, np.arange(len(values)))
        columns = [values[:, j] for j in range(values.shape[1])]
        columns += [said[name] for name in _SIGNALS if name in said]
        names = [*bundle.features, *(f"p_{name}" for name in _SIGNALS if name in said)]
        found = [_deciles(column) for column in columns]
        return cls(
            tuple(names),
            np.array([f[0] for f in found]),
            np.array([f[1] for f in found]),
            np.array([f[2] for f in found]),
            np.array([f[3] for f in found]),
            _label(bundle),
            bundle.digest,
        )


def _test_rows(bundle: Bundle, candles: Candles) -> pl.DataFrame:
    """Features of the rows that judged a bundle."""
    told = bundle.manifest.get("rows", {}).get("test", {})
    first, last = told.get("from"), told.get("to")
    if first is None or not candles.open_time[0] <= first <= last <= candles.open_time[-1]:
        span = "none" if first is None else f"{show_time(first)} to {show_time(last)}"
        raise ParameterError(
            f"the candles reach from {show_time(candles.open_time[0])} to {show_time(candles.open_time[-1])}, and the "
            f"test rows of the bundle are {span}: give candles that hold them, or a table of features"
        )
    frame = bundle_table(bundle, candles, None, None)
    begin, end = np.searchsorted(candles.open_time, [first, last + 1])
    return pl.DataFrame(frame.values[begin:end], schema=list(frame.names), orient="row")


def _deciles(values: Floats) -> tuple[Floats, Floats, float, float]:
    """Edges, shares, independent rows, and rows that one takes."""
    from barproof.stats import effective_size

    held = values[np.isfinite(values)]
    if len(held) < FEW or np.ptp(held) == 0:
        return np.full(BINS - 1, np.nan), np.full(BINS, np.nan), 0.0, 1.0
    edges = np.quantile(held, np.linspace(0, 1, BINS + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, held, side="right"), minlength=BINS)
    size = float(effective_size(held).size)
    worth = size if math.isfinite(size) and size >= 1.0 else float(len(held))
    return edges, counts / len(held), worth, len(held) / worth


def _label(bundle: Bundle) -> dict[str, Any] | None:
    """Rule of labels that bars alone decide."""
    part = bundle.parts.get(ONLY) or bundle.parts.get("long")
    rule = part.facts.get("label", {}).get("rule") if part is not None else None
    if not isinstance(rule, Mapping) or rule.get("name") != "horizon" or part is None:
        return None
    if part.kind not in ("binary", "ternary"):
        return None
    return {
        "bars": int(rule["bars"]),
        "threshold": float(rule.get("threshold") or 0.0),
        "lead": 1 if rule.get("clock", "open") == "open" else 0,
        "classes": list(CLASSES[part.kind]),
    }


def packed(values: Floats) -> str:
    """Give numbers as text, bit for bit."""
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def unpacked(text: str) -> Floats:
    """Take what :func:`packed` gave."""
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
