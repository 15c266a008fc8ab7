"""Conditions on features: ``"rsi(14) < 30 and close > sma(200)"``.

Comparisons of features and numbers, joined by ``and``, ``or``, ``not`` and round brackets; ``not`` binds tighter than
``and``, ``and`` tighter than ``or``. A condition that touches an undefined value is undefined.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from barproof.errors import FeatureError, LayoutError
from barproof.features.own import OwnFeature
from barproof.features.sets import FeatureSet

if TYPE_CHECKING:
    from barproof.candles import Candles

__all__ = ["evaluate_conditions"]

Floats = NDArray[np.float64]
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
}
# Quoted names and clocks are passed over whole: a symbol may hold any sign or word.
_TOKEN = re.compile(r'"[^"]*"|@\s*[\w-]+(?:\s*/\s*\w+)?|<=|>=|==|!=|[<>()]|\b(?:and|or|not)\b')
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_DEPTH = 32


class _Condition:
    """A condition, read: names of the features that it needs, and how to judge them."""

    def __init__(self, text: str, whole: str, depth: int = 0) -> None:
        if depth > _DEPTH:
            raise FeatureError(f"condition `{whole}` nests deeper than {_DEPTH}: split it")
        text = _unwrap(text.strip())
        self.operands: list[str] = []
        self._parts: list[_Condition] = []
        self._kind = "compare"
        for word in ("or", "and"):
            pieces = _split(text, word)
            if len(pieces) > 1:
                self._kind = word
                break
        else:
            opening = next(_tokens(text), None)
            if opening is not None and opening[:2] == (0, "not"):
                self._kind, pieces = "not", [text[3:]]
        if self._kind != "compare":
            self._parts = [_Condition(piece, whole, depth + 1) for piece in pieces]
            return
        signs = [(at, sign) for at, sign, level in _tokens(text) if sign in _COMPARE and level == 0]
        if not signs:
            raise FeatureError(
                f"condition `{text}` compares nothing, in `{whole}`: write it as rsi(14) < 30"
            )
        self._signs = [sign for _, sign in signs]
        begin = 0
        for at, sign in [*signs, (len(text), "")]:
            self.operands.append(text[begin:at].strip())
            begin = at + len(sign)
        if not all(self.operands):
            raise FeatureError(
                f"condition `{text}` lacks one side, in `{whole}`: write it as rsi(14) < 30"
            )

    def features(self) -> Iterator[str]:
        """Operands that are no numbers."""
        yield from (text for text in self.operands if not _NUMBER.fullmatch(text))
        for part in self._parts:
            yield from part.features()

    def judge(self, values: Mapping[str, Floats]) -> Floats:
        """1 where it holds, 0 where not, NaN where undefined."""
        if self._kind == "not":
            return 1.0 - self._parts[0].judge(values)
        if self._kind in ("and", "or"):
            parts = np.broadcast_arrays(*(part.judge(values) for part in self._parts))
            # A plain minimum or maximum keeps NaN: undefined stays undefined.
            held: Floats = (np.min if self._kind == "and" else np.max)(parts, axis=0)
            return held
        sides = [
            values[text] if text in values else np.asarray(float(text)) for text in self.operands
        ]
        true: Any = True
        undefined: Any = False
        for sign, a, b in zip(self._signs, sides, sides[1:], strict=False):
            true = true & _COMPARE[sign](a, b)
            undefined = undefined | np.isnan(a) | np.isnan(b)
        return np.where(undefined, np.nan, np.asarray(true, dtype=np.float64))


def _read(name: str, text: Any) -> _Condition:
    if not isinstance(text, str):
        raise LayoutError(
            f"condition of `{name}` must be text such as 'rsi(14) < 30', was {type(text).__name__}"
        )
    levels = [level for _, _, level in _tokens(f"{text} and")]
    if levels[-1] != 0 or min(levels) < 0 or '"' in re.sub(r'"[^"]*"', "", text):
        raise FeatureError(
            f"condition `{text}` has a bracket or a quote without its other half: close it"
        )
    return _Condition(text, text)


def _tokens(text: str) -> Iterator[tuple[int, str, int]]:
    """Signs and words with their positions and the depth of brackets around them."""
    level = 0
    for found in _TOKEN.finditer(text):
        sign = found[0]
        level -= sign == ")"
        yield found.start(), sign, level
        level += sign == "("


def _split(text: str, word: str) -> list[str]:
    cuts = [at for at, sign, level in _tokens(text) if sign == word and level == 0]
    begins = [0, *(at + len(word) for at in cuts)]
    return [text[a:b] for a, b in zip(begins, [*cuts, len(text)], strict=True)]


def _unwrap(text: str) -> str:
    """Take off brackets that enclose the whole."""
    while text.startswith("("):
        closing = next((at for at, sign, level in _tokens(text) if sign == ")" and level == 0), -1)
        if closing != len(text) - 1:
            break
        text = text[1:-1].strip()
    return text


def evaluate_conditions(
    candles: Candles, conditions: Mapping[str, str], own: Sequence[OwnFeature]
) -> dict[str, Floats]:
    """Judge conditions at every bar.

    Parameters
    ----------
    candles : Candles
        Bars.
    conditions : mapping of str to str
        Name to condition.
    own : sequence of OwnFeature
        The user's own features that conditions may name.

    Returns
    -------
    dict of str to ndarray of shape (n_bars,)
        1.0 where a condition holds, 0.0 where not, NaN where undefined.
    """
    from barproof.candles import Candles

    if not isinstance(candles, Candles):
        raise LayoutError(f"`candles` must be Candles, was {type(candles).__name__}")
    if isinstance(own, (str, OwnFeature)) or not isinstance(own, Sequence):
        raise LayoutError(f"`own` must be a list of bp.feature(...), was {type(own).__name__}")
    for one in own:
        if not isinstance(one, OwnFeature):
            raise LayoutError(f"`own` must hold bp.feature(...), held {type(one).__name__}")
    read = {name: _read(name, text) for name, text in conditions.items()}
    texts = list(dict.fromkeys(text for one in read.values() for text in one.features()))
    values: dict[str, Floats] = {}
    if texts:
        columns = {text: _column(text, own) for text in texts}
        known = {one.name for one in own}
        wanted = [name for name in dict.fromkeys(columns.values()) if name not in known]
        features = FeatureSet([*own, *wanted])
        if features.symbols:
            raise FeatureError(
                f"conditions name other symbols ({', '.join(features.symbols)}), but know one candles: compute them "
                f"with FeatureSet and compare the columns"
            )
        table = features.compute(candles)
        values = {text: table[name].to_numpy() for text, name in columns.items()}
    n = len(candles)
    return {name: np.broadcast_to(one.judge(values), (n,)).copy() for name, one in read.items()}


def _column(text: str, own: Sequence[OwnFeature]) -> str:
    """Name of the column that an operand stands for."""
    if any(text == one.name for one in own):
        return text
    made = FeatureSet([*own, text]).names[len(own) :]
    if len(made) > 1:
        raise FeatureError(
            f"feature `{text}` has {len(made)} outputs: choose one, such as {made[0]}"
        )
    return made[0]
