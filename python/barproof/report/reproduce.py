"""How to make the numbers of a page again: the command that made it, or the call."""

from __future__ import annotations

import shlex
import sys
from pathlib import PurePath
from typing import Any

from barproof.report.inputs import ResultLike, rule_fields, rule_sets
from barproof.report.tables import Html, esc

__all__ = ["command", "reproduction"]


def command(arguments: list[str] | None = None) -> str:
    """Give the command line of this process, where it is one that a reader can repeat.

    Parameters
    ----------
    arguments : list of str, optional
        Default: those of the process.

    Returns
    -------
    str
        A line for a shell: barproof's own command or a script of the user's; empty for a notebook, a test runner, an
        embedded interpreter.
    """
    first, *rest = sys.argv if arguments is None else arguments or [""]
    path = PurePath(first)
    if path.stem == "barproof" or path.parts[-2:] == ("barproof", "__main__.py"):
        return shlex.join(["barproof", *rest])
    installed = {"site-packages", "dist-packages", "lib"} & set(path.parts)
    if path.suffix == ".py" and path.name != "__main__.py" and not installed:
        module = getattr(sys.modules["__main__"], "__spec__", None) if arguments is None else None
        what = [first] if module is None else ["-m", module.name]
        return shlex.join(["python", *what, *rest])
    return ""


def _call(result: ResultLike) -> str:
    """Write the call that gives a result again, from its parts; empty for rules that change."""
    sets = rule_sets(result.rules)
    if len(sets) != 1 or not hasattr(result, "window"):
        return ""
    costs = ", ".join(f"{name}={value!r}" for name, value in rule_fields(result.costs).items())
    fields = rule_fields(sets[0][1])
    plain: Any = type(sets[0][1])
    try:
        usual = rule_fields(plain())
    except TypeError:
        usual = {}
    rules = ", ".join(f"{n}={v!r}" for n, v in fields.items() if n not in usual or usual[n] != v)
    window = tuple(int(end) for end in getattr(result, "window", (0, 0)))
    return (
        "import barproof as bp\n\n"
        "# candles and signals: those whose digests stand below\n"
        "result = bp.backtest(\n    candles,\n    signals,\n"
        f"    bp.Rules({rules}),\n    costs=bp.Costs({costs}),\n"
        f"    window={window!r},\n    initial_equity={float(result.initial_equity)!r},\n)"
    )


def reproduction(result: ResultLike | None, line: str | None = None) -> Html:
    """Lay out the command that made the page, or else the call that makes its result.

    Parameters
    ----------
    result : Result, optional
        What is reported.
    line : str, optional
        The command; by default that of this process, if a reader can repeat it.

    Returns
    -------
    Html
        A heading and text to copy; empty where neither is known.
    """
    line = command() if line is None else line
    text = "" if result is None else _call(result)
    parts = []
    if line:
        parts.append(_block("One command makes this page again", line))
    elif text:
        parts.append(_block("One call makes this result again", text))
    else:
        return Html("")
    note = "On the same data and version the digests below come out the same; where one differs, so may the numbers."
    return Html(f'{"".join(parts)}<p class="note">{note}</p>')


def _block(title: str, text: str) -> str:
    return (
        f'<h3>{esc(title)}</h3><pre class="command" tabindex="0" role="region" aria-label="{esc(title)}">'
        f"<code>{esc(text)}</code></pre>"
    )
