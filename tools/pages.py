"""Pages of the site that nobody writes, and links that lead elsewhere there: hooks of mkdocs.

The README is the front page, the house papers beside it are pages of their own, and the reference of the API has a
page a subject, from `API` below. Links of the sources are those of the repository, where they are read as well.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

PAPERS = {
    "README.md": "index.md",
    "ARCHITECTURE.md": "architecture.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Papers of the root folder, and the pages that they are."""

API = {
    "Candles": "read_candles Candles Bar Instrument Fault align resample simulate_candles surrogate_candles",
    "Features": "FeatureSet FeatureStream Verification feature OwnFeature Memory finite fading cumulative",
    "Labels": "labels",
    "Models and training": "models train Run Part plan_training TrainingPlan evaluate Evaluation search Search "
    "predict_together",
    "Folds": "WalkForward DateSplit PurgedKFold CombinatorialPurged Fold",
    "Bundles": "Bundle checkpoints",
    "Backtest": "Signals Rules Costs backtest Result portfolio PortfolioResult",
    "Sweeps": "Grid between Between SignalSets plan Plan Route sweep Sweep Best DailyReturns plateau "
    "walk_forward_optimise WalkForwardResult seal Sealed",
    "Control experiments": "procedure_test ProcedureTest random_entries RandomEntries one_bar_later cost_curve "
    "ablation Ablation",
    "Audits": "audit Report Finding find_lookahead audits",
    "Results of other tools": "read_trades read_equity reconcile Reconciliation results",
    "Statistics": "stats",
    "Live": "LiveSession Decision LiveLog Watch WatchReference parity Parity",
    "Ledger": "Ledger",
    "Clusters": "RayExecutor",
    "Errors": "BarproofError BundleError CandleError ClusterError ConfigError DataWarning FeatureError FileError "
    "FundingError InternalError Interrupted LayoutError LedgerError LookaheadError ParameterError PlanError "
    "RulesError ShapeError SignalError TrainingError WindowError",
}
"""Subjects of the public names; each name has one."""

MODULES = frozenset("labels models checkpoints audits results stats".split())
"""Public names that are modules: their page shows what they offer."""

LINK = re.compile(r"(\]\()([^)\s]+)(\))")
FENCE = re.compile(r"^(```\w+)[^\n]*$", re.MULTILINE)


def public_names() -> set[str]:
    """Read ``__all__`` of the package without importing it."""
    source = ast.parse((ROOT / "python/barproof/__init__.py").read_text(encoding="utf-8"))
    for node in source.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return {str(name) for name in ast.literal_eval(node.value)} - {"__version__"}
    raise LookupError("python/barproof/__init__.py has no __all__: give it one")


def reference() -> dict[str, str]:
    """Write the pages of the reference.

    Returns
    -------
    dict
        Path below docs/ and text, in the order of the subjects.

    Raises
    ------
    LookupError
        If a public name has no subject, two, or is none.
    """
    listed = [name for names in API.values() for name in names.split()]
    wrong = set(listed) ^ public_names() | {name for name in listed if listed.count(name) > 1}
    if wrong:
        raise LookupError(
            f"public names without exactly one subject: {', '.join(sorted(wrong))}; see API in tools/pages.py"
        )
    pages = {}
    for subject, names in API.items():
        lines = [f"# {subject}", ""]
        for name in names.split():
            lines.append(f"::: barproof.{name}")
            lines += ["    options:", "      show_root_toc_entry: true"]
            if name in MODULES:
                lines += [
                    "      show_root_members_full_path: false",
                    "      show_if_no_docstring: false",
                ]
            lines.append("")
        pages[f"api/{subject.lower().replace(' ', '-')}.md"] = "\n".join(lines)
    return pages


def turned(text: str, source: str, page: str) -> str:
    """Turn the links of a paper for the site.

    Parameters
    ----------
    text : str
        Markdown.
    source : str
        Path of the paper from the repository's root, which its links start from.
    page : str
        Path of the page below docs/.

    Returns
    -------
    str
        The same with links between pages as the site has them; a link to a file that is no page is its name alone.
    """

    def turn(found: re.Match[str]) -> str:
        target, mark, fragment = found[2].partition("#")
        if not target or "://" in target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if path in PAPERS:
            path = PAPERS[path]
        elif path.startswith("docs/"):
            path = path.removeprefix("docs/")
        else:
            return f"{found[1]}#{found[3]}"
        return (
            found[1]
            + posixpath.relpath(path, posixpath.dirname(page) or ".")
            + mark
            + fragment
            + found[3]
        )

    # A link to what is no page would lead nowhere: its text stays.
    dead = re.compile(r"\[([^\]]*)\]\(#\)")
    return FENCE.sub(r"\1", dead.sub(r"\1", LINK.sub(turn, text)))


def on_config(config: Any) -> Any:
    """Give the reference its place among the pages."""

    def fill(items: list[Any]) -> list[Any]:
        filled = []
        for item in items:
            if isinstance(item, dict):
                ((title, value),) = item.items()
                if value == "api/":
                    value = list(reference())
                item = {title: fill(value) if isinstance(value, list) else value}
            filled.append(item)
        return filled

    config.nav = fill(config.nav)
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the papers of the root folder and the reference."""
    from mkdocs.structure.files import File

    made = {page: (ROOT / paper).read_text(encoding="utf-8") for paper, page in PAPERS.items()}
    for path, text in (made | reference()).items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn the links of every page."""
    path = page.file.src_uri
    source = next((paper for paper, made in PAPERS.items() if made == path), f"docs/{path}")
    return turned(markdown, source, path)
