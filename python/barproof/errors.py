"""Errors and warnings that barproof raises.

Every message names the argument, the value, the bound or the row, and the remedy. All errors derive from
:class:`BarproofError`, so ``except bp.BarproofError`` catches whatever barproof refuses, and from the built-in class
that a Python user expects (``ValueError``, ``TypeError``, ``RuntimeError``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = [
    "BarproofError",
    "BundleError",
    "CandleError",
    "ClusterError",
    "ConfigError",
    "DataWarning",
    "FeatureError",
    "FileError",
    "FundingError",
    "InternalError",
    "Interrupted",
    "LayoutError",
    "LedgerError",
    "LookaheadError",
    "ParameterError",
    "PlanError",
    "RulesError",
    "ShapeError",
    "SignalError",
    "TrainingError",
    "WindowError",
]


class BarproofError(Exception):
    """Base of every error that barproof raises on purpose."""

    def __str__(self) -> str:
        # Messages quote names of columns and cells of strangers: no character of theirs may move a cursor.
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in text)


def in_one_line(error: BaseException, most: int = 160) -> str:
    """Tell what somebody else's error says, for a message of ours: SQLite quotes whole tables, parsers whole pages."""
    return " ".join(str(error).split())[:most] or type(error).__name__


class ParameterError(BarproofError, ValueError):
    """An argument is out of its bounds or not one of its choices."""


class RulesError(ParameterError):
    """Rules, costs or a grid contradict themselves or lack what they need."""


class ShapeError(BarproofError, ValueError):
    """Arrays that belong together differ in length or dimension."""


class SignalError(BarproofError, ValueError):
    """A signal array holds a value that no signal can have."""


class CandleError(BarproofError, ValueError):
    """Candles that cannot be trusted.

    Attributes
    ----------
    faults : tuple
        Every fault found, not only the first one.
    """

    def __init__(self, message: str, faults: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.faults = tuple(faults)

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.faults))


class FundingError(BarproofError, ValueError):
    """Funding is missing where it is owed, or cannot be attached."""


class WindowError(BarproofError, ValueError):
    """A window holds no bars or lies outside the candles."""


class PlanError(BarproofError, ValueError):
    """What was asked for does not fit into memory."""


class TrainingError(BarproofError, ValueError):
    """A model cannot be trained on what was given."""


class BundleError(BarproofError, ValueError):
    """A bundle cannot be used on what was given."""


class FileError(BarproofError, ValueError):
    """A file is missing, unreadable, or not what its name says."""


class ConfigError(BarproofError, ValueError):
    """``barproof.toml`` or a command-line option is wrong."""


class FeatureError(ParameterError):
    """A feature cannot be read, cannot be computed on these candles, or breaks its contract."""


class LookaheadError(BarproofError, ValueError):
    """A value at bar t would have to know bars after t."""


class LedgerError(BarproofError, ValueError):
    """The ledger is damaged, locked, too new, or cannot be written.

    Attributes
    ----------
    result : object or None
        What was run and could not be recorded, so that it is not lost.
    """

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class ClusterError(BarproofError, RuntimeError):
    """A cluster cannot be used: not there, not the same barproof, or a shard that no worker survived."""


class LayoutError(BarproofError, TypeError):
    """A value has the wrong type or dtype."""


class InternalError(BarproofError, RuntimeError):
    """A bug in barproof; please report it with the message."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a sweep or training.

    Attributes
    ----------
    done, total : int
        Combinations finished and asked for.
    partial : object or None
        What was finished before the interrupt: a :class:`barproof.Sweep` for sweeps, the frame of choices for
        :func:`barproof.walk_forward_optimise`.
    """

    def __init__(self, message: str, done: int = 0, total: int = 0, partial: Any = None) -> None:
        super().__init__(message)
        self.done = done
        self.total = total
        self.partial = partial


class DataWarning(UserWarning):
    """Data that barproof was asked to accept although it found faults."""
