"""Write docs/cases.md from the READMEs of the five case studies; nobody edits the page.

``python -m tools.cases`` writes it, ``--check`` says whether it is what the READMEs make.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "cases.md"
CASES = {
    "s000_cross_market": "It cannot be run again",
    "s001_raw_prices": "It is certain",
    "s002_all_up": "It is always right",
    "s003_flat": "It says nothing",
    "s004_gating": "It was another system",
}
HEAD = """# Five ways a backtest lies

<!-- Written by tools/cases.py from examples/*/README.md; edit those. -->

Each of these happened: a model was trained, a number was published, and nobody could have earned it. Each is a
study in `examples/` that runs in seconds, with the mistakes (`--broken`) and without (`--mended`); its tests
hold the audits that fire on the one and stay silent on the other.

"""
_MARKS = re.compile(r"<!-- (?:figures: [\w.-]+|end of figures|full) -->\n?")


def story(readme: str) -> str:
    """Take the title and what stands before the first command of a README."""
    text = readme.split("```", 1)[0].strip()
    return _MARKS.sub("", text)


def fired(readme: str) -> list[str]:
    """Lines of audits that fail in the first recorded figures, the code and what it says."""
    block = re.search(r"<!-- figures: broken[\w.-]* -->\n```text\n(.*?)```", readme, re.DOTALL)
    lines = block.group(1).splitlines() if block else []
    return [line for line in lines if re.match(r"[A-Z]+-\d\d +FAIL ", line)]


def page() -> str:
    """Write the page from the READMEs that are there."""
    parts = [HEAD]
    for number, (name, lie) in enumerate(CASES.items(), start=1):
        path = ROOT / "examples" / name / "README.md"
        if not path.is_file():
            continue
        readme = path.read_text(encoding="utf-8")
        title, _, body = story(readme).partition("\n")
        body = (
            body.strip()
            .replace("](../../docs/", "](")
            .replace("](#", f"](../examples/{name}/README.md#")
            .replace("is told below", "is told there")
        )
        parts.append(f"## {number}. {lie}\n\n*{title.removeprefix('# ')}.* {body}\n\n")
        found = fired(readme)[:8]
        if found:
            parts.append("```text\n" + "\n".join(line.rstrip() for line in found) + "\n```\n\n")
        parts.append(f"[The study, its figures and its commands](../examples/{name}/README.md)\n\n")
    return "".join(parts).rstrip() + "\n"


def main(words: list[str]) -> int:
    """Write or check the page."""
    made = page()
    if "--check" in words:
        same = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == made
        if not same:
            print(
                "docs/cases.md is not what the READMEs make: python -m tools.cases", file=sys.stderr
            )
        return 0 if same else 1
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
