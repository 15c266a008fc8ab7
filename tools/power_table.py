"""Write the power table of docs/statistics.md: how often noise passes each gate, and how often a true edge is stopped.

``python -m tools.power_table`` draws anew and rewrites the table; ``--draws`` says how many panels a cell has.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from tests.stats.nulls import DRAWS, passed, with_edge

PAGE = Path(__file__).resolve().parent.parent / "docs" / "statistics.md"
BEGIN, END = "<!-- power table -->", "<!-- end of the power table -->"
DAYS, TRIALS = 730, 20
EDGES = (0.0, 1.0, 2.0, 3.0)


def column(kind: str, edge: float, draws: int) -> dict[str, float]:
    """Share of panels that pass each gate."""
    total: Counter[str] = Counter()
    names: list[str] = []
    for seed in range(draws):
        found = passed(with_edge(DRAWS[kind](120_000 + seed, DAYS, TRIALS), edge), seed)
        names = list(found)
        total.update(name for name, yes in found.items() if yes)
    return {name: total[name] / draws for name in names}


def main() -> None:
    """Draw, and rewrite the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    cells = [(f"noise, {kind}", column(kind, 0.0, draws)) for kind in DRAWS]
    cells += [(f"stopped, Sharpe {e:g}", column("independent", e, draws)) for e in EDGES[1:]]
    lines = [
        f"{draws} panels a column, {DAYS} days x {TRIALS} trials.",
        "",
        "| gate | " + " | ".join(name for name, _ in cells) + " |",
        "|---|" + "--:|" * len(cells),
    ]
    for gate in cells[0][1]:
        shares = [
            found[gate] if name.startswith("noise") else 1 - found[gate] for name, found in cells
        ]
        lines.append(f"| {gate} | " + " | ".join(f"{100 * s:.1f}%" for s in shares) + " |")
    text = PAGE.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    _, foot = rest.split(END)
    PAGE.write_text(head + BEGIN + "\n" + "\n".join(lines) + "\n" + END + foot, encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
