"""Write what derives from the core's tables: the class of rules, the list of metrics, pages of the docs.

``python tools/generate.py`` rewrites the files; ``--check`` only says whether they are up to date. The tables are in
``rust/core/src/backtest/rules.rs``, ``metrics.rs`` and the ``FUNCTIONS`` of ``rust/core/src/features``.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof
from barproof import FeatureSet, _core
from barproof.audits._shown import SHOWN
from barproof.audits.catalogue import AUDITS, pages
from barproof.features.presets import PRESETS

ROOT = Path(__file__).resolve().parent.parent
# Run as a file, the folder above is not on the path.
sys.path.insert(0, str(ROOT))

from tools import gallery  # noqa: E402

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


SAMPLE = {"bars": 1, "low": -1, "high": 1}
"""Values for parameters without a default, where a window of 20 would not do."""


def functions_page() -> str:
    """Page of the docs that lists the functions of features."""
    rows = _core.feature_table()
    lines = ["# Functions of features", "", f"<!-- {NOTE} -->", ""]
    lines += [
        f"The {len(rows)} functions that a `bp.FeatureSet` knows; how they are written, nested and put on other clocks"
    ]
    lines += [
        "is in [features.md](features.md). A parameter with a default may be left out, `x=close` is the series that a",
        "function takes where none is given first. Parameters are checked: windows are whole numbers up to 1,000,000.",
        "*Memory* and *first value* are in bars, for the call that is shown: `finite(n)` rests on the last n bars,",
        "`fading(n)` is within 1e-9 relative from any start after n bars, `cumulative` depends on its start for good.",
        "*Also known as* lists names that errors answer with the right one; they are not spellings.",
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        lines += ["", f"## {family.capitalize()}", ""]
        lines += ["| function | outputs | what it is |", "|---|---|---|"]
        members = [row for row in rows if row["family"] == family]
        for row in members:
            outputs = ", ".join(f"`.{name}`" for name in row["outputs"])
            summary = row["summary"].replace("|", "\\|")
            lines += [f"| [`{row['signature']}`](#{row['name']}) | {outputs} | {summary} |"]
        for row in members:
            lines += ["", f"### {row['name']}", "", *function_text(row)]
    return "\n".join(lines) + "\n"


def function_text(row: dict[str, Any]) -> list[str]:
    """Say everything the table knows of a function."""
    columns = [name for kind, name in row["inputs"] if kind == "column"]
    given = ["close", "volume"][: sum(kind == "given" for kind, _ in row["inputs"])]
    values = [
        f"{SAMPLE.get(name, 20) if default is None else default:g}"
        for name, _, default in row["parameters"]
    ]
    call = f"{row['name']}({', '.join(given + values)})"
    features = FeatureSet([call])
    kind, bars, warmup = features.facts()[features.names[0]]
    memory = kind if bars is None else f"{kind}({bars:,})"
    # In a fence: a line of a formula may begin with a minus.
    lines = ["```text", *textwrap.wrap(row["formula"], 100), "```", ""]
    if columns:
        lines += [f"- Reads {', '.join(f'`{name}`' for name in columns)}."]
    for name, bound, _ in row["parameters"]:
        lines += [f"- `{name}`: {bound.replace('1000000', '1,000,000')}."]
    lines += [f"- `{call}`: memory {memory}, first value at bar {warmup:,}."]
    if row["source"]:
        lines += [f"- {row['source'].rstrip('.')}."]
    if row["known_as"]:
        hints = ", ".join(f"`{name}`" for name in row["known_as"])
        lines += [f"- Also known as {hints}."]
    return lines


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
    "docs/functions.md": functions_page,
}


def presets_table() -> str:
    """List what comes with barproof, feature by feature."""
    lines = ["| preset | features | what it is for |", "|---|--:|---|"]
    for name, preset in PRESETS.items():
        lines += [f"| [`{name}`](#{name}) | {len(preset.features)} | {preset.about} |"]
    for name, preset in PRESETS.items():
        lines += ["", f"### {name}", "", "```text"]
        lines += textwrap.wrap("; ".join(preset.features), 118, break_on_hyphens=False)
        lines += ["```"]
    return "\n".join(lines)


def features_page() -> str:
    """Page of the docs on features, whose list of presets is written between two marks."""
    text = (ROOT / "docs/features.md").read_text(encoding="utf-8")
    before, begin, rest = text.partition(f"<!-- presets. {PRESETS_NOTE} -->\n")
    _, end, after = rest.partition("\n<!-- end of presets -->")
    if not begin or not end:
        raise SystemExit("docs/features.md lacks the marks between which presets are written")
    return f"{before}{begin}\n{presets_table()}\n{end}{after}"


PRESETS_NOTE = "Written by tools/generate.py from python/barproof/features/presets.py; edit that."
TARGETS["docs/features.md"] = features_page


def shown_module() -> str:
    """Source of ``audits/_shown.py``: what the examples of the audits print."""
    lines = [
        '"""What the examples of the audits print. Written by tools/generate.py; edit the examples."""',
        "",
        "from __future__ import annotations",
        "",
        "SHOWN: dict[str, str] = {",
    ]
    for audit in AUDITS.values():
        if not audit.bad:
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(audit.example[0], {"np": np, "pl": pl, "bp": barproof, "__name__": "example"})
        # The pages of this very run show it too.
        SHOWN[audit.code] = out.getvalue().strip()
        lines += [f"    {json.dumps(audit.code)}: ("]
        for text in out.getvalue().strip().splitlines():
            for piece in textwrap.wrap(text, 90, drop_whitespace=False, break_on_hyphens=False):
                lines += [f"        {json.dumps(piece, ensure_ascii=False)}"]
            lines[-1] = lines[-1][:-1] + '\\n"'
        lines += ["    ),"]
    return "\n".join([*lines, "}"]) + "\n"


def audit_pages() -> dict[str, str]:
    """Pages on the audits, and the table of what each is tested by."""
    from tests.audits.coverage import coverage_page

    return {**pages(), "docs/audits/tests.md": coverage_page()}


TARGETS["python/barproof/audits/_shown.py"] = shown_module


def texts() -> dict[str, str]:
    """Every file that derives from a table, by its path."""
    made = {name: make() for name, make in TARGETS.items()}
    return {**made, **audit_pages(), **gallery.pages()}


def stale(wanted: dict[str, str] | None = None) -> list[str]:
    """Files that differ from what the tables say, and drawings of functions that are gone."""
    wanted = texts() if wanted is None else wanted
    differ = [
        name
        for name, text in wanted.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]
    drawings = (path.relative_to(ROOT) for path in (ROOT / "docs/gallery").glob("*.svg"))
    return differ + [str(path) for path in drawings if str(path) not in wanted]


def main() -> int:
    """Write or check."""
    wanted = texts()
    names = stale(wanted)
    if "--check" in sys.argv[1:]:
        for name in names:
            print(
                f"{name} does not match the core's tables: run `python tools/generate.py`",
                file=sys.stderr,
            )
        return 1 if names else 0
    for folder in ("docs/gallery", "docs/audits"):
        (ROOT / folder).mkdir(exist_ok=True)
    for name in names:
        if name in wanted:
            (ROOT / name).write_text(wanted[name], encoding="utf-8")
            print(f"wrote {name}")
        else:
            (ROOT / name).unlink()
            print(f"removed {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
