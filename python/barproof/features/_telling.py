"""What a feature set says of itself: a table of its features, and what each is made of."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import polars as pl

from barproof import _core
from barproof.features.memory import Memory

if TYPE_CHECKING:
    from barproof.features.sets import FeatureSet

__all__ = ["describe", "explain", "memory_facts"]

# The output that a call chooses, before the clock that it may stand on.
_OUTPUT = re.compile(r"\)\.\w+(@[^()]*)?$")


def describe(features: FeatureSet, interval: str | None) -> pl.DataFrame:
    """List the features, as `FeatureSet.describe` says."""
    every = features._told(interval)
    own = [memory_facts(one.memory) for one in features._own]
    rows = []
    for k, name in enumerate(features.names):
        known = every[k] if every else None
        if known is None:
            # Others of the set may need the interval, this one not.
            alone = _core.FeatureGraph([name], [one.name for one in features._own]).facts(None, own)
            known = alone[0] if alone else None
        kind, bars, warmup = known or (None, None, None)
        summary = "; ".join(text for _, _, text, _ in _outside(features._graph.explain(k)))
        rows.append((name, summary, kind, bars, warmup))
    schema = {"feature": pl.String, "summary": pl.String, "memory": pl.String}
    counts = {"bars": pl.Int64, "warmup": pl.Int64}
    return pl.DataFrame(rows, schema={**schema, **counts}, orient="row")


def explain(features: FeatureSet) -> str:
    """Say what each feature is made of, as `FeatureSet.explain` does."""
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(features.names):
        groups.setdefault(_OUTPUT.sub(r")\1", name), []).append(k)
    told: set[str] = set()
    lines: list[str] = []
    for members in groups.values():
        first, *rest = features._graph.explain(members[0])
        names = [features.names[k] for k in members]
        for depth, text, summary, formula in [(first[0], ", ".join(names), *first[2:]), *rest]:
            indent = "  " * depth
            lines += textwrap.wrap(
                f"{text}: {summary}",
                100,
                initial_indent=indent,
                subsequent_indent=indent + "  ",
            )
            if formula and formula not in told:
                told.add(formula)
                deep = indent + "    "
                lines += textwrap.wrap(formula, 100, initial_indent=deep, subsequent_indent=deep)
    steps = features._graph.steps()
    apart = sum(
        len(_core.FeatureGraph([n], [o.name for o in features._own]).steps())
        for n in features.names
    )
    shared = f", {apart - len(steps)} shared" if apart > len(steps) else ""
    many, steps_many = "s" * (len(features) != 1), "s" * (len(steps) != 1)
    lines.append(f"{len(features)} feature{many} in {len(steps)} step{steps_many}{shared}")
    return "\n".join(lines)


def memory_facts(memory: Memory) -> tuple[str, int, int]:
    """Give a memory as the core takes it; the first value is not known, so a whole memory may be undefined."""
    bars = memory.bars or 1
    return memory.kind, bars, bars - 1


def _outside(parts: list[tuple[int, str, str, str]]) -> list[tuple[int, str, str, str]]:
    """Take the outermost function, and the clocks around it."""
    last = next(
        (i for i, (_, text, _, formula) in enumerate(parts) if formula or "@" not in text), 0
    )
    return parts[: last + 1]
