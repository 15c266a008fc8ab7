"""Arithmetic on printed numbers: each stands for all numbers that would be printed so."""

from __future__ import annotations

import ast
import itertools
import math
import re
from collections.abc import Callable, Mapping

from barproof.errors import ParameterError

__all__ = ["annual_growth", "evaluate", "grim", "growth_bound", "least_sd"]

_REFERENCE = re.compile(r"\{([A-Za-z0-9][A-Za-z0-9._-]{0,63})\}")
_LONGEST = 500
_MOST = 8  # names: each doubles the corners
_FUNCTIONS: dict[str, Callable[[float], float]] = {
    "exp": math.exp,
    "ln": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
}


def evaluate(expression: str, values: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Least and largest value of an expression whose names are intervals.

    Parameters
    ----------
    expression : str
        Numbers, ``+ - * / **``, ``exp ln sqrt abs``, brackets, and names as ``{id}``.
    values : mapping of str to (float, float)
        Ends of each name.

    Returns
    -------
    (float, float)
        Over the corners of the intervals: exact where the expression rises or falls in each name by itself. A name has
        one value wherever it stands.

    Raises
    ------
    ParameterError
        If it is no such expression, names what is not there, or has no value.

    Examples
    --------
    >>> low, high = evaluate("({after} - {before}) / {before}", {"before": (35.25, 35.35), "after": (49.15, 49.25)})
    >>> round(low, 4), round(high, 4)
    (0.3904, 0.3972)
    """
    names = list(dict.fromkeys(_REFERENCE.findall(expression)))
    if len(expression) > _LONGEST or len(names) > _MOST:
        raise ParameterError(
            f"`derived` may have {_LONGEST} characters and {_MOST} names, has {len(expression)} and {len(names)}: "
            "split it"
        )
    missing = [name for name in names if name not in values]
    if missing:
        raise ParameterError(
            f"`derived` names {missing[0]!r}, which is no claim: write it as {{id}} of one"
        )
    plain = _REFERENCE.sub(lambda m: f"_{names.index(m[1])}", expression)
    try:
        tree = ast.parse(plain.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ParameterError(
            "`derived` is no arithmetic: write numbers, {id}, + - * / ** and brackets"
        ) from error
    ends = [values[name] for name in names]
    try:
        found = [
            _value(tree, {f"_{i}": x for i, x in enumerate(corner)})
            for corner in itertools.product(*ends)
        ]
    except (ZeroDivisionError, OverflowError, ValueError, TypeError, RecursionError) as error:
        raise ParameterError(
            f"`derived` has no value at the ends of what was rounded: {error or 'too deep'}"
        ) from error
    return min(found), max(found)


def _value(node: ast.expr, names: Mapping[str, float]) -> float:
    """Compute a parsed expression of numbers, names and a few functions; nothing else is accepted."""
    match node:
        case ast.Constant(value=int() | float() as held) if not isinstance(held, bool):
            return float(held)
        case ast.Name(id=name) if name in names:
            return names[name]
        case ast.UnaryOp(op=ast.USub(), operand=inner):
            return -_value(inner, names)
        case ast.BinOp(left=a, op=op, right=b):
            x, y = _value(a, names), _value(b, names)
            match op:
                case ast.Add():
                    return x + y
                case ast.Sub():
                    return x - y
                case ast.Mult():
                    return x * y
                case ast.Div():
                    return x / y
                case ast.Pow():
                    return math.pow(x, y)
        case ast.Call(func=ast.Name(id=name), args=[inner], keywords=[]) if name in _FUNCTIONS:
            return float(_FUNCTIONS[name](_value(inner, names)))
    raise ValueError("it holds more than arithmetic")


def grim(share: float, half: float, n: int) -> bool:
    """Whether some count of `n` gives a share that is printed so.

    Parameters
    ----------
    share, half : float
        A fraction, and half a unit of its last digit.
    n : int
        Of how many, at least 1.

    Returns
    -------
    bool
        True if there is a whole k with ``|k / n - share| <= half``.

    Notes
    -----
    The granularity test of N. Brown and J. Heathers, 2017, for shares.

    Examples
    --------
    >>> grim(0.7386, 0.00005, 2506), grim(0.6, 0.005, 3)
    (True, False)
    """
    slack = half + 1e-12
    return math.floor((share + slack) * n) >= math.ceil((share - slack) * n)


def annual_growth(total: float, days: float, *, over: float = 365.0) -> float:
    """Decimal logarithm of what a year makes of 1, where `days` make ``1 + total`` of it.

    Parameters
    ----------
    total : float
        Return over the period, a fraction above -1.
    days : float
        Length of the period.
    over : float, default 365
        Days that it is compounded over.

    Returns
    -------
    float
        ``log10(1 + total) * over / days``.

    Examples
    --------
    >>> round(annual_growth(0.3804, 5), 4)
    10.2204
    """
    return math.log10(1.0 + total) * (over / days)


def growth_bound(mean: float, n: int) -> float:
    """Logarithm of the most that `n` trades with this mean can make of 1: ``n ln(1 + mean)``.

    Parameters
    ----------
    mean : float
        Mean return of a trade, a fraction above -1.
    n : int
        Trades.

    Returns
    -------
    float
        Natural logarithm of final over initial wealth, reached where all trades are alike.

    Notes
    -----
    The logarithm is concave (Jensen). ``exp(n mean)`` is looser.

    Examples
    --------
    >>> round(growth_bound(0.01, 100), 4)
    0.995
    """
    return n * math.log1p(mean)


def least_sd(share: float, win: float, loss: float) -> float:
    """Give the least standard deviation of a trade that a win rate, a mean win and a mean loss allow.

    Parameters
    ----------
    share : float
        Of trades that win, in [0, 1].
    win, loss : float
        Mean win and mean loss, both as positive fractions.

    Returns
    -------
    float
        ``sqrt(share (1 - share)) (win + loss)``, reached where all wins are alike and all losses are.

    Examples
    --------
    >>> round(least_sd(0.5159, 0.005524, 0.010678), 6)
    0.008097
    """
    return math.sqrt(share * (1.0 - share)) * (win + loss)
