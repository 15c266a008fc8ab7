"""Write what derives from the core's tables: the class of rules, the list of metrics, their pages in the docs.

``python tools/generate.py`` rewrites the files; ``--check`` only says whether they are up to date. The tables are in
``rust/core/src/backtest/rules.rs`` and ``metrics.rs``.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

from barproof import _core

ROOT = Path(__file__).resolve().parent.parent
NOTE = "Written by tools/generate.py from the core's tables; edit those."


def wrap(text: str, indent: int) -> str:
    """Fill a paragraph to the docstring width."""
    pad = " " * indent
    return textwrap.fill(text, 118, initial_indent=pad, subsequent_indent=pad)


def accepts(field: dict[str, Any]) -> str:
    """Say in words which values a field takes."""
    if field["choices"]:
        return ", ".join(f'`"{choice}"`' for choice in field["choices"])
    return field["bound"] or "`True`, `False`"


def rules_module() -> str:
    """Source of ``_fields.py``: a dataclass with every field of the rules."""
    fields = _core.rules_table()
    lines = [f'"""Fields of the rules and names of the metrics. {NOTE}"""', ""]
    lines += ["from __future__ import annotations", ""]
    lines += ["from dataclasses import dataclass", "from typing import Literal", ""]
    lines += ["METRICS: tuple[str, ...] = ("]
    lines += [f'    "{metric["name"]}",' for metric in _core.metrics_table()]
    lines += [")", '"""Names of the metrics, in the order of frames."""', "", ""]
    lines += ["@dataclass(frozen=True, kw_only=True)", "class RulesFields:"]
    lines += ['    """Fields of :class:`barproof.Rules`, with their defaults.', ""]
    lines += ["    Parameters", "    ----------"]
    for field in fields:
        lines += [f"    {field['name']} : {field['type']}, default {field['default']!r}"]
        bound = f" Must be {field['bound']}." if field["bound"] else ""
        lines += [wrap(field["doc"] + bound, 8)]
    lines += ['    """', ""]
    for field in fields:
        default = repr(field["default"]).replace("'", '"')
        lines += [f"    {field['name']}: {field['type']} = {default}"]
    return "\n".join(lines) + "\n"


def rules_page() -> str:
    """Page of the docs that lists the rules."""
    lines = ["# Rules", "", f"<!-- {NOTE} -->", ""]
    lines += [
        "Every field of `bp.Rules`; each may be an axis of a `Grid`. What they do with a bar is written in"
    ]
    lines += ["[execution.md](execution.md).", ""]
    lines += ["| field | accepts | default | meaning |", "|---|---|---|---|"]
    for field in _core.rules_table():
        optional = "; `None` = off" if field["default"] is None else ""
        lines += [
            f"| `{field['name']}` | {accepts(field)}{optional} | `{field['default']!r}` | {field['doc']} |"
        ]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Page of the docs that lists the metrics."""
    lines = ["# Metrics", "", f"<!-- {NOTE} -->", ""]
    lines += [
        "Keys of `result.metrics` and columns of `sweep.frame` and `sweep.pooled`. Undefined is NaN; fractions are"
    ]
    lines += ["fractions (0.01 = 1%); money is in quote.", ""]
    lines += ["| metric | label | unit | meaning |", "|---|---|---|---|"]
    for row in _core.metrics_table():
        lines += [f"| `{row['name']}` | {row['label']} | {row['unit']} | {row['doc']} |"]
    return "\n".join(lines) + "\n"


TARGETS = {
    "python/barproof/_fields.py": rules_module,
    "docs/rules.md": rules_page,
    "docs/metrics.md": metrics_page,
}


def stale() -> list[str]:
    """Files that differ from what the tables say."""
    return [
        name
        for name, make in TARGETS.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != make()
    ]


def main() -> int:
    """Write or check."""
    names = stale()
    if "--check" in sys.argv[1:]:
        for name in names:
            print(
                f"{name} does not match the core's tables: run `python tools/generate.py`",
                file=sys.stderr,
            )
        return 1 if names else 0
    for name in names:
        (ROOT / name).write_text(TARGETS[name](), encoding="utf-8")
        print(f"wrote {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
