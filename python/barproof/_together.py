"""Several bundles on one pass over a table."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from barproof.bundle import Bundle, own_table
from barproof.errors import LayoutError
from barproof.inference import take_columns
from barproof.models.protocol import Floats

__all__ = ["predict_together"]


def predict_together(
    bundles: Sequence[Bundle],
    X: Any,  # noqa: N803
    *,
    part: str | None = None,
    calibrated: bool = True,
) -> list[Floats]:
    """Ask several bundles about the same rows.

    The table is read once, and goes to each device once, however many models look at it; beyond it and the answers no
    more than a batch is held.

    Parameters
    ----------
    bundles : sequence of Bundle
        Such as ``run.bundles``.
    X : polars.DataFrame, pandas.DataFrame, pyarrow.Table or mapping
        As for :meth:`Bundle.predict`, with the columns of all of them.
    part : str, optional
        Needed if they have several.
    calibrated : bool, default True
        False gives what the models themselves say.

    Returns
    -------
    list of ndarray of shape (n_rows, n_classes), float64
        One a bundle, the same bits as of its own `predict`.

    Raises
    ------
    BundleError
        If columns are missing, or the part is not told.
    LayoutError, ParameterError
        If `bundles` holds something else, or `X` is no table of finite floats.

    Examples
    --------
    >>> import barproof as bp
    >>> candles = bp.simulate_candles(1, bars=900, edge=0.2)
    >>> X = candles.to_polars().select("open_time", score=candles.planted)
    >>> labels = bp.labels.horizon(candles, bars=3, kind="binary")
    >>> run = bp.train(bp.models.Logistic(), X, labels, bp.WalkForward(300, 100, tune=100), ledger=False)
    >>> [p.shape for p in predict_together(run.bundles[:2], X)]
    [(900, 2), (900, 2)]
    """
    given = list(bundles)
    for bundle in given:
        if not isinstance(bundle, Bundle):
            raise LayoutError(
                f"`bundles` must hold Bundles, one was {type(bundle).__name__}: see run.bundles"
            )
    fitted = [bundle.part(part) for bundle in given]
    names = list(dict.fromkeys(name for one in fitted for name in one.features))
    if not fitted:
        return []
    table = own_table(X, tuple(names))
    # Parts with the same columns share one table, or each would be sent to the device again.
    tables: dict[tuple[str, ...], Floats] = {}
    for one in fitted:
        if one.features not in tables:
            columns = np.array([names.index(name) for name in one.features], dtype=np.int64)
            tables[one.features] = take_columns(table.values, columns)
    with ExitStack() as held:
        devices = sorted({device for one in fitted for device in _devices(one.model)})
        if devices:
            fitting = importlib.import_module("barproof.models._fitting")
            for values in tables.values():
                held.enter_context(fitting.shared(values, devices))
        return [one.predict(tables[one.features], calibrated=calibrated) for one in fitted]


def _devices(model: Any) -> Iterator[str]:
    """Devices of the nets in a model."""
    if hasattr(model, "_device"):
        yield str(model._device)
    for inner in getattr(model, "models", ()):
        yield from _devices(inner)
