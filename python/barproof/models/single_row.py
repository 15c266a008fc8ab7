"""One row at a time: the library's own call for it where it has one, with the bits of its call for many."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from barproof.models.extras import LightGBM, XGBoost

__all__ = ["single_row"]

Floats = NDArray[np.float64]
_F64, _ROW_MAJOR, _ALL = 1, 1, -1
"""``C_API_DTYPE_FLOAT64``, row major, all iterations."""


def single_row(model: Any, features: int) -> Callable[[Floats], Floats]:
    """Give the fastest way to ask a fitted classifier about one row.

    Parameters
    ----------
    model : Model
        Fitted on two classes.
    features : int
        Columns of a row.

    Returns
    -------
    callable
        Takes an ndarray of shape (1, n_features), float64, C order, and gives one of shape (1, 2): the bits of
        ``model.predict_proba``, which it is where there is nothing faster.
    """
    if isinstance(model, LightGBM) and getattr(model, "_classes", 0) == 2:
        try:
            return _LightGBMRow(model, features)
        except (AttributeError, OSError, ImportError):
            # Not this release: the call for many rows does.
            pass
    if isinstance(model, XGBoost) and getattr(model, "_classes", 0) == 2:
        return _XGBoostRow(model)
    asked: Callable[[Floats], Floats] = model.predict_proba
    return asked


class _XGBoostRow:
    """``Booster.inplace_predict``: no matrix of the library's own is made of the row."""

    def __init__(self, model: Any) -> None:
        self._model, self._booster, self._proved = model, model._booster, False

    def __call__(self, X: Floats) -> Floats:  # noqa: N803
        p = float(self._booster.inplace_predict(X, validate_features=False)[0])
        if not self._proved:
            # The first answer is held to that of the call for many rows: another release may compute otherwise.
            whole: Floats = self._model.predict_proba(X)
            self._proved = bool(whole[0, 1] == p)
            return whole
        return np.array([[1.0 - p, p]])


class _LightGBMRow:
    """``LGBM_BoosterPredictForMatSingleRowFast``: what is set up for each call of ``Booster.predict`` is set up once.

    A call is a quarter of ``Booster.predict``. Every call is of the same shape, which is checked here and nowhere else.
    """

    def __init__(self, model: Any, features: int) -> None:
        library: Any = importlib.import_module("lightgbm.basic")._LIB
        self._model, self._features = model, features
        booster = model._booster
        self._booster = booster
        self._call = library.LGBM_BoosterPredictForMatSingleRowFast
        self._free = library.LGBM_FastConfigFree
        self._config = ctypes.c_void_p()
        failed = library.LGBM_BoosterPredictForMatSingleRowFastInit(
            booster._handle,
            ctypes.c_int(0),
            ctypes.c_int(0),
            ctypes.c_int(_ALL),
            ctypes.c_int(_F64),
            ctypes.c_int32(features),
            ctypes.c_char_p(b"num_threads=1"),
            ctypes.byref(self._config),
        )
        if failed:
            raise OSError
        self._out = np.zeros(1)
        self._length = ctypes.c_int64()
        self._into = self._out.ctypes.data_as(ctypes.POINTER(ctypes.c_double))
        self._length_at = ctypes.byref(self._length)
        self._proved = False

    def __call__(self, X: Floats) -> Floats:  # noqa: N803
        if X.shape != (1, self._features) or X.dtype != np.float64 or not X.flags.c_contiguous:
            found: Floats = self._model.predict_proba(X)
            return found
        failed = self._call(
            self._config, ctypes.c_void_p(X.ctypes.data), self._length_at, self._into
        )
        p = self._out[0]
        if failed or not self._proved:
            # The first answer is held to that of the call for many rows: another release may compute otherwise.
            whole: Floats = self._model.predict_proba(X)
            self._proved = not failed and whole[0, 1] == p
            return whole
        return np.array([[1.0 - p, p]])

    def __del__(self) -> None:
        if getattr(self, "_config", None):
            self._free(self._config)
