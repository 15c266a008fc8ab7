"""What the five case studies share: the command line, the folder of a run, going on after a stop, the exit code.

A study is one function of a :class:`Case`. It asks the case which variant it is, says what it finds, keeps what took
long, and returns what :func:`barproof.audit` reported. ``python -m examples.casework`` puts the figures that the
studies recorded into their READMEs.
"""

from __future__ import annotations

import argparse
import ast
import errno
import hashlib
import importlib.util
import json
import os
import pickle
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

import barproof as bp
from barproof.cli.exits import INTERRUPTED, USAGE, explain

__all__ = ["Case", "Told", "fill", "main"]

T = TypeVar("T")
M = TypeVar("M", bound=Any)
Size = Literal["small", "full"]
Variant = Literal["broken", "mended"]

FIRES = ("fail", "warn", "inconclusive")
"""Outcomes that count as firing; a pass is silent, and what was skipped shows nothing."""
_ORDER = ("error", "fail", "inconclusive", "warn", "skipped", "pass")
_CODES = (3, 1, 4, 0)  # worst first, as barproof's own exit codes rank
_FREE_BYTES = 200_000_000
_MARKS = re.compile(
    r"(?P<head><!-- figures: (?P<name>[\w.-]+) -->\n).*?(?P<tail><!-- end of figures -->)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Told:
    """What was asked for on the command line."""

    case: str
    variant: Variant
    size: Size
    seed: int
    data: str | None
    script: str = "study"
    edge: float | None = None

    @property
    def name(self) -> str:
        """Name of its record, and of its folder."""
        which = "" if self.script == "study" else f"{self.script}-"
        market = "-data" if self.data else "" if self.edge is None else f"-edge-{self.edge:g}"
        return f"{which}{self.variant}-{self.size}{market}"


@dataclass
class Case:
    """One run of a study.

    Attributes
    ----------
    told : Told
        Variant, size, seed, data.
    out : Path
        Folder of this run.
    figures : dict
        Numbers worth keeping; they go to ``figures.json``.
    """

    told: Told
    out: Path
    figures: dict[str, Any] = field(default_factory=dict)
    _lines: list[str] = field(default_factory=list)
    _quiet: bool = False

    @property
    def broken(self) -> bool:
        """Whether to make the mistakes of the case."""
        return self.told.variant == "broken"

    @property
    def full(self) -> bool:
        """Whether to take the case's true shape."""
        return self.told.size == "full"

    @property
    def seed(self) -> int:
        """Of the market, and of whatever else is random."""
        return self.told.seed

    @property
    def data(self) -> Path | None:
        """Folder with real candles, if there is one."""
        return None if self.told.data is None else Path(self.told.data)

    def edge(self, usual: float) -> float:
        """Edge of the simulated market: what was asked for, or what is usual for this variant."""
        return usual if self.told.edge is None else self.told.edge

    def say(self, text: str = "") -> None:
        """Print a line, and keep it for the record."""
        self._lines += text.splitlines() or [""]
        if not self._quiet:
            print(text, flush=True)

    def resume(self, name: str) -> str:
        """Folder in which a net saves its training epoch by epoch (``resume=`` of the nets)."""
        folder = self.out / name
        folder.mkdir(parents=True, exist_ok=True)
        return str(folder)

    def write(self, candles: bp.Candles) -> None:
        """Write the market of the study, as the commands of the READMEs read it."""
        candles.to_polars().write_parquet(self.out / "candles.parquet")
        if candles.funding is not None:
            candles.funding.write_parquet(self.out / "funding.parquet")

    def kept(self, model: M) -> M:
        """Let a model keep each of its fits in the folder, so that a run that was stopped goes on with the next one.

        A fit is found again by everything that it depends on: the model, its rows, its labels, its seed.
        """
        made: M = model.clone()
        folder = Path(self.resume("fits"))

        def fit(X: Any, y: Any, **told: Any) -> Any:  # noqa: N803
            asked = [
                repr(model),
                repr(sorted((k, np.asarray(v).tolist()) for k, v in told.items())),
            ]
            digest = hashlib.sha256("\n".join(asked).encode())
            for array in (X, y):
                digest.update(np.ascontiguousarray(array).tobytes())
            path = folder / f"{digest.hexdigest()[:24]}.pickle"
            # What is fitted is the plain model again.
            for name in own:
                vars(made).pop(name, None)
            if path.exists():
                vars(made).update(pickle.loads(path.read_bytes()))
                return made
            made.fit(X, y, **told)
            part = path.with_suffix(".part")
            part.write_bytes(pickle.dumps(vars(made)))
            os.replace(part, path)
            return made

        own = {"fit": fit, "clone": lambda: self.kept(model)}
        vars(made).update(own)
        return made

    def pickled(self, name: str, make: Callable[[], T]) -> T:
        """Make something that takes long, or read what an earlier run of the same study pickled in this folder."""

        def save(made: T, path: Path) -> None:
            path.write_bytes(pickle.dumps(made))

        def load(path: Path) -> T:
            found: T = pickle.loads(path.read_bytes())
            return found

        return self.once(f"{name}.pickle", make, save, load)

    def once(
        self,
        name: str,
        make: Callable[[], T],
        save: Callable[[T, Path], object],
        load: Callable[[Path], T],
    ) -> T:
        """Make something that takes long, or load what an earlier run of the same study made.

        What `save` writes, a file or a folder, stands under another name until it is whole.
        """
        path = self.out / name
        if path.exists():
            return load(path)
        made = make()
        part = self.out / f".{name}.part"
        if part.is_dir():
            shutil.rmtree(part)
        save(made, part)
        os.replace(part, path)
        return made


Reports = bp.Report | Mapping[str, bp.Report]
Study = Callable[[Case], Reports]


def main(
    study: Study,
    *,
    codes: Sequence[str],
    doc: str | None = None,
    extras: Sequence[str] = (),
    edge: bool = False,
    real: bool = True,
    after: Callable[[Case], Mapping[str, str]] | None = None,
    argv: Sequence[str] | None = None,
) -> int:
    """Run a study from the command line.

    Parameters
    ----------
    study : callable
        From a case to a report, or to reports by name (one a symbol).
    codes : sequence of str
        Audits that must fire on the broken variant and pass on the mended one.
    doc : str, optional
        Docstring of the script; its first line describes the command.
    extras : sequence of str
        Packages that it needs beside barproof: ``torch``, ``xgboost``.
    edge : bool, default False
        Whether the market can be had with more or less to earn in it, ``--edge``.
    real : bool, default True
        Whether it can be run on real candles, ``--data``.
    after : callable, optional
        From a finished case to further files of its record, such as what a command says of the folder.
    argv : sequence of str, optional
        Default: what the process was given.

    Returns
    -------
    int
        Exit code of the audit, the worst of several; 2 where nothing could be run; 130 after Ctrl-C.
    """
    script = Path(sys.modules[study.__module__].__file__ or "study.py").resolve()
    name = script.parent.name
    told, out, record, quiet = _read(argv, script, (doc or "").strip().split("\n")[0], edge, real)
    for package in extras:
        if importlib.util.find_spec(package) is None:
            return _refuse(
                f"{name} needs {package}: pip install 'barproof[{'torch' if package == 'torch' else 'boost'}]'"
            )
    case = Case(told, out, _quiet=quiet)
    try:
        before = _open(case)
        if before is not None:
            case.say("\n".join(before["said"]))
            print(f"(run before: {out}; another --out runs it again)", file=sys.stderr)
            return int(before["exit_code"])
        with _ledger(out / "ledger.sqlite"):
            made = digest(script.parent)
            code = _run(case, study, codes)
        if record:
            _record(case, script.parent, made, {} if after is None else after(case))
    except KeyboardInterrupt:
        print(f"stopped; the same command goes on with what is in {out}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        why = error.strerror or str(error)
        at = f" ({error.filename})" if error.filename else ""
        kept = "; what was finished is kept" if error.errno == errno.ENOSPC else ""
        return _refuse(f"{why}{at}: free some space or name another folder with --out{kept}")
    except _RefusedError as error:
        return _refuse(str(error))
    except Exception as error:
        message, code = explain(error)
        print(message, file=sys.stderr)
    return code


class _RefusedError(Exception):
    """What was asked for cannot be run."""


def _refuse(message: str) -> int:
    print(message, file=sys.stderr)
    return USAGE


def _parser(
    name: str, script: str, about: str, edge: bool, real: bool = True
) -> argparse.ArgumentParser:
    """Options of every study."""
    parser = argparse.ArgumentParser(prog=f"python -m examples.{name}.{script}", description=about)
    variant = parser.add_mutually_exclusive_group(required=True)
    variant.add_argument("--broken", action="store_true", help="with the mistakes of the case")
    variant.add_argument("--mended", action="store_true", help="without them")
    parser.add_argument(
        "--size", choices=["small", "full"], default="small", help="minutes, or the case's shape"
    )
    parser.add_argument("--seed", type=int, default=7, help="of market and training (7)")
    if real:
        parser.add_argument(
            "--data",
            nargs="?",
            const=os.environ.get("BARPROOF_DATA", ""),
            metavar="FOLDER",
            help="real candles instead of simulated ones; default: $BARPROOF_DATA",
        )
    if edge:
        parser.add_argument(
            "--edge",
            type=float,
            metavar="X",
            help="what the simulated market has to earn, from 0 for nothing to below 1; default: the study's",
        )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: cases/NAME/RUN")
    parser.add_argument("--record", action="store_true", help="keep the output beside the script")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
    return parser


def _read(
    argv: Sequence[str] | None, script: Path, about: str, edge: bool, real: bool
) -> tuple[Told, Path, bool, bool]:
    """Read what was asked for, where it goes, whether it is recorded, whether it says anything."""
    name = script.parent.name
    parser = _parser(name, script.stem, about, edge, real)
    asked = parser.parse_args(argv)
    data = getattr(asked, "data", None)
    if data is not None and not Path(data or "/nowhere").is_dir():
        parser.error(
            f"--data: {data!r} is no folder; name one with candle files, or set BARPROOF_DATA"
        )
    if asked.seed < 0:
        parser.error(f"--seed: must be at least 0, was {asked.seed}")
    there = getattr(asked, "edge", None)
    if there is not None and not 0 <= there < 1:
        parser.error(f"--edge: must be from 0 to below 1, was {there:g}")
    if there is not None and data is not None:
        parser.error("--edge: real candles earn what they earn; leave out --edge or --data")
    variant: Variant = "broken" if asked.broken else "mended"
    told = Told(name, variant, asked.size, asked.seed, data, script.stem, there)
    out = asked.out or Path("cases") / name / f"{told.name}-{told.seed}"
    return told, out, asked.record, asked.quiet


def _open(case: Case) -> dict[str, Any] | None:
    """Make the folder, or find in it what this very run has finished."""
    case.out.mkdir(parents=True, exist_ok=True)
    mark, done = case.out / "case.json", case.out / "figures.json"
    mine = asdict(case.told)
    if mark.exists():
        theirs = json.loads(mark.read_text(encoding="utf-8"))
        if theirs != mine:
            other = ", ".join(f"{k} {theirs.get(k)}" for k in mine if theirs.get(k) != mine[k])
            raise _RefusedError(
                f"{case.out} holds another run ({other}): name another folder with --out, or delete it"
            )
    elif any(case.out.iterdir()):
        raise _RefusedError(f"{case.out} holds other files: name an empty folder with --out")
    if done.exists():
        found: dict[str, Any] = json.loads(done.read_text(encoding="utf-8"))
        return found
    free = shutil.disk_usage(case.out).free
    if free < _FREE_BYTES:
        raise _RefusedError(
            f"{case.out} has {free / 1e6:,.0f} MB left, a run may take {_FREE_BYTES / 1e6:,.0f}: free some, or name "
            "another folder with --out"
        )
    _write(mark, json.dumps(mine))
    return None


def _run(case: Case, study: Study, codes: Sequence[str]) -> int:
    began, busy = time.perf_counter(), time.process_time()
    found = study(case)
    reports = dict(found) if isinstance(found, Mapping) else {"": found}
    wall, cpu = time.perf_counter() - began, time.process_time() - busy
    outcomes = _outcomes(reports)
    fired = sorted(code for code, outcome in outcomes.items() if outcome in FIRES)
    code = next(c for c in _CODES if any(r.exit_code == c for r in reports.values()))
    verdict = next(r.verdict for r in reports.values() if r.exit_code == code)
    case.say()
    for named in codes:
        if not any(named in report for report in reports.values()):
            # A study that ends early looks at less.
            continue
        worst = _worst(reports, named)
        case.say(f"{named:8} {worst.outcome.upper():12} {worst.title}")
    case.say(f"verdict: {verdict} (exit {code})")
    for name, report in reports.items():
        _write(case.out / f"report{'-' if name else ''}{name}.json", report.to_json())
    facts = {
        **asdict(case.told),
        "exit_code": code,
        "verdict": verdict,
        "fired": fired,
        "outcomes": outcomes,
        "figures": case.figures,
        "seconds": round(wall, 1),
        "processor_seconds": round(cpu, 1),
        "peak_mb": _peak_mb(),
        "machine": f"{os.cpu_count()} cores {platform.machine()}, Python {platform.python_version()}",
        "barproof": bp.__version__,
        "said": case._lines,
    }
    # Last: whoever finds it finds everything.
    _write(case.out / "figures.json", json.dumps(facts, indent=1, allow_nan=False))
    return code


def _outcomes(reports: Mapping[str, bp.Report]) -> dict[str, str]:
    """Worst outcome of each audit over all reports."""
    ids = dict.fromkeys(finding.id for report in reports.values() for finding in report)
    return {code: _worst(reports, code).outcome for code in ids}


def _worst(reports: Mapping[str, bp.Report], code: str) -> bp.audits.Finding:
    found = [report[code] for report in reports.values() if code in report]
    return min(found, key=lambda finding: _ORDER.index(finding.outcome))


def _peak_mb() -> int | None:
    """Memory that the process held at most, where the system tells."""
    try:
        import resource
    except ImportError:
        return None
    # Kibibytes on Linux, bytes on macOS.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def _record(case: Case, folder: Path, script: str, further: Mapping[str, str]) -> None:
    """Keep what was said, and what it took, beside the script."""
    facts = json.loads((case.out / "figures.json").read_text(encoding="utf-8"))
    (folder / "record").mkdir(exist_ok=True)
    took = (
        f"{facts['seconds']:,.0f} s, {facts['processor_seconds']:,.0f} s of processor, "
        f"{facts['peak_mb'] or 0:,} MB at most ({facts['machine']}, seed {case.seed}, script {script})"
    )
    texts = {f"{case.told.name}.txt": "\n".join([*facts["said"], took]), **further}
    for name, text in texts.items():
        lines = [line.rstrip() for line in text.rstrip("\n").splitlines()]
        _write(folder / "record" / name, "\n".join(lines) + "\n")


def digest(folder: Path) -> str:
    """Digest of what the scripts of a study do: comments, docstrings and layout are left out.

    A record names it, so that a figure of another script is seen (:func:`stale`).
    """
    trees = []
    for path in sorted(folder.glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if isinstance(body, list):
                # A string on its own says something and does nothing.
                body[:] = [
                    line
                    for line in body
                    if not (
                        isinstance(line, ast.Expr)
                        and isinstance(line.value, ast.Constant)
                        and isinstance(line.value.value, str)
                    )
                ]
        trees.append(ast.dump(tree))
    return hashlib.sha256("\n".join(trees).encode()).hexdigest()[:8]


def stale(folder: Path) -> list[str]:
    """Names of the records that an earlier script of a study made."""
    now = f"script {digest(folder)})"
    return [
        name for name, text in records_of(folder).items() if "script " in text and now not in text
    ]


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    os.replace(part, path)


@contextmanager
def _ledger(path: Path) -> Iterator[None]:
    """Record every run and trial of the study in its folder."""
    before = os.environ.get("BARPROOF_LEDGER")
    os.environ["BARPROOF_LEDGER"] = str(path)
    try:
        yield
    finally:
        os.environ.pop("BARPROOF_LEDGER")
        if before is not None:
            os.environ["BARPROOF_LEDGER"] = before


def fill(readme: str, records: Mapping[str, str]) -> str:
    r"""Put recorded figures between the marks of a README.

    Parameters
    ----------
    readme : str
        Text with ``<!-- figures: NAME -->`` and ``<!-- end of figures -->``.
    records : mapping of str to str
        Record by name, such as ``broken-full``.

    Returns
    -------
    str
        The text with a fenced block between each pair of marks.

    Examples
    --------
    >>> print(fill("<!-- figures: a -->\n<!-- end of figures -->", {"a": "1 of 2\n"}))
    <!-- figures: a -->
    ```text
    1 of 2
    ```
    <!-- end of figures -->
    """
    return _MARKS.sub(lambda m: f"{m['head']}```text\n{records[m['name']]}```\n{m['tail']}", readme)


def records_of(folder: Path) -> dict[str, str]:
    """Read the records of one study, by name."""
    return {
        path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("record/*.txt"))
    }


if __name__ == "__main__":
    for page in sorted(Path(__file__).parent.glob("*/README.md")):
        text = page.read_text(encoding="utf-8")
        _write(page, fill(text, records_of(page.parent)))
        for old in stale(page.parent):
            print(f"{page.parent.name}: {old} was recorded by an earlier script", file=sys.stderr)
