"""The demonstration that `make demo` runs, as a script: a market with a known edge, a sweep, a report.

Run it with ``python examples/demo.py``; the options are those of ``barproof demo`` (``--help`` lists them). What it
does is in ``barproof._demo``: about a hundred lines that make a market, a signal and a grid and sweep them.
"""

from __future__ import annotations

import sys

from barproof.cli import main

if __name__ == "__main__":
    sys.exit(main(["demo", *sys.argv[1:]]))
