"""The command line: ``barproof``, or ``python -m barproof``. Nothing here is loaded by ``import barproof``."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Words after the program's name. Default: those of this process.

    Returns
    -------
    int
        Exit code, see :mod:`barproof.cli.exits`.
    """
    from barproof.cli.app import run

    return run(arguments)
