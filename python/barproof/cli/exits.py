"""Exit codes, and how an exception becomes one line and a code."""

from __future__ import annotations

import os
import re
import sys
import traceback

from barproof.errors import BarproofError, CandleError, InternalError

__all__ = [
    "CODES",
    "CRASHED",
    "FOUND",
    "INTERRUPTED",
    "NOTHING_PROVED",
    "OK",
    "PIPE",
    "USAGE",
    "ReaderGoneError",
    "StoppedError",
    "as_options",
    "explain",
    "one_line",
]

OK = 0
FOUND = 1
USAGE = 2
CRASHED = 3
NOTHING_PROVED = 4
INTERRUPTED = 130
PIPE = 141

CODES: dict[int, str] = {
    OK: "done; for check and fetch: no errors in the data; for audit: nothing failed; for parity: one system; for "
    "live: the input ended, or SIGTERM",
    FOUND: "audit refuted it, parity found a difference, check or fetch found errors in the data, doctor a fault in "
    "the installation, ledger verify a changed run, or bundle one that is not sound",
    USAGE: "usage, configuration or input is wrong; nothing was run; for live: lines came and every one was refused",
    CRASHED: "an audit crashed, which proves nothing, or a bug in barproof; please report it",
    NOTHING_PROVED: "audit or parity proved nothing: evidence is missing or inconclusive",
    INTERRUPTED: "Ctrl-C",
    PIPE: "the reader of the output went away",
}
"""Meaning of every exit code."""


_KEYWORD = re.compile(
    r"`?\b(repair|kind|funding|on_fault|interval|symbol|calendar|instrument|sample|windows)="
    r"(\[[^\]]*\]|\"[^\"]*\")?`?"
)


_CALLS = {
    "attach it with with_funding(...)": "give --funding PATH",
    'name it with columns={"open_time": ...}': "name it with --log-column open_time=NAME",
}


def as_options(text: str) -> str:
    """Write what a Python caller would pass as what stands on a command line.

    Examples
    --------
    >>> as_options('pass repair=["sort", "keep_last"] or `interval=`')
    'pass --repair sort --repair keep_last or --interval'
    >>> as_options("no funding: attach it with with_funding(...)")
    'no funding: give --funding PATH'
    """
    for call, words in _CALLS.items():
        text = text.replace(call, words)

    def option(match: re.Match[str]) -> str:
        """Write one keyword as an option."""
        name = f"--{match[1].replace('_', '-')}"
        values = re.findall(r'"([^"]*)"', match[2] or "")
        return " ".join(f"{name} {value}" for value in values) or name

    return _KEYWORD.sub(option, text)


def one_line(error: BaseException) -> str:
    """Put a message on one line; faults of candles are counted, not listed."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, CandleError) and error.faults and len(lines) > 1:
        remedy = lines[-1] if lines[-1].startswith("remedy: ") else ""
        codes = ", ".join(dict.fromkeys(fault.code for fault in error.faults))
        tail = f"; {as_options(remedy.removeprefix('remedy: '))}" if remedy else ""
        return f"{lines[0].rstrip(':')} ({codes}): list them with `barproof check`{tail}"
    return as_options(" ".join(lines)) or type(error).__name__


def explain(error: BaseException) -> tuple[str, int]:
    """Give the message and the exit code of an exception.

    With ``BARPROOF_DEBUG=1`` the traceback goes to stderr too.
    """
    if os.environ.get("BARPROOF_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, BarproofError) and not isinstance(error, InternalError):
        return one_line(error), USAGE
    where = ""
    if error.__traceback__ is not None:
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f" at {os.path.basename(last.filename)}:{last.lineno}"
    return (
        f"unexpected {type(error).__name__}{where}: {one_line(error)}; this is a bug in barproof, please report it "
        "with the output of BARPROOF_DEBUG=1 and `barproof doctor`",
        CRASHED,
    )


class StoppedError(Exception):
    """Ctrl-C, carried past the command framework, with what to say about it."""


class ReaderGoneError(Exception):
    """The reader of stdout closed it."""
