"""Every kind of file that the package writes: how it is written, and what is read back.

A kind is written in variants, so that a reader can say which one it sees: the old one, the new one, or neither.
`sealed` says what is promised about other bytes in it: a sealed kind carries digests, and whatever was changed is
refused or made again with a notice; an open kind is a table or a document that other tools read and write too, whose
reader refuses what it cannot read and cannot know of a changed digit.
"""

from __future__ import annotations

import json
import re
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import barproof as bp
from barproof import models
from barproof.cli.fetching.archive import Taken
from barproof.cli.fetching.periods import Period
from barproof.cli.fetching.store import Store
from barproof.cli.manifest import write_manifest
from barproof.cli.output import whole_file, write_frame
from tests.helpers import simulated
from tests.live.market import COSTS, candles, session, trained

VARIANTS = 3


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    `write` puts a variant at a path and `read` gives what stands there, as something that can be compared; None where
    the package never reads it, so that only a whole one can be asked for. `append` says that a write adds to what is
    there, `blank` that an empty file is a beginning.
    """

    name: str
    path: str
    write: Callable[[Path, int], object]
    read: Callable[[Path], Any]
    sealed: bool = True
    append: bool = False
    ours: bool = True
    blank: bool = False


# --- what is written --------------------------------------------------------------------------------------------------


@cache
def world(variant: int) -> tuple[bp.Candles, bp.Signals]:
    return simulated(400, seed=5 + variant)


@cache
def result(variant: int) -> bp.Result:
    return bp.backtest(
        *world(variant), bp.Rules(entry_long=1.0, max_hold=9), costs=COSTS, ledger=False
    )


@cache
def report(variant: int) -> bp.Report:
    found = result(variant)
    return bp.audit(result=found, candles=found.candles, ledger=False, resample=False)


@cache
def bundle(variant: int) -> bp.Bundle:
    return trained().bundles[variant]


def sweep(path: Path, variant: int) -> bp.Sweep:
    grid = bp.Grid(bp.Rules(max_hold=9), entry_long=[0.5, 1.0, 1.5])
    given: Any = {"costs": COSTS, "windows": "10h", "ledger": False, "threads": 1}
    return bp.sweep(*world(variant), grid, out=path, **given)


def frames(found: bp.Sweep) -> tuple[str, str]:
    return found.frame.write_csv(), found.pooled.write_csv()


FEATURES = bp.FeatureSet(["log_return(1)", "rsi(14)", "ema(20)"])
MONTH = Period("2024-01", 0, 1 << 50)


def part(path: Path, variant: int) -> object:
    frame = world(variant)[0].to_polars()
    return Store(path, ["archive"]).keep(
        "bars", MONTH, "archive", Taken(frame, "u", None, 0), 1 << 50
    )


def read_part(path: Path) -> Any:
    """A part that counts; one that does not is fetched again."""
    store = Store(path, ["archive"])
    found = store.find("bars", MONTH)
    return None if found is None else store.read([found]).write_csv()


def record(path: Path, variant: int) -> object:
    ledger = bp.Ledger.open(path)
    return bp.backtest(*world(variant), bp.Rules(entry_long=1.0), costs=COSTS, ledger=ledger)


def read_ledger(path: Path) -> Any:
    """Runs of a ledger whose chain holds; what breaks it is named."""
    ledger = bp.Ledger(path)
    broken = ledger.verify()
    if broken is not None:
        raise bp.LedgerError(str(broken))
    runs = ledger.runs().drop("time", "seconds")
    return runs.write_csv(), ledger.trials()


def live(path: Path, variant: int) -> object:
    """Bars of a session: one more than it has, or the first twelve."""
    of = candles()
    held = session(path, 1_000, clock=lambda: 1 << 50)
    try:
        last = held.last["SIM"]
        done = 0
        for bar in of[1_000 : 1_012 + variant]:
            if last is None or bar.open_time > last:
                held.on_bar(bar)
                done += 1
        return done
    finally:
        held.close()


def read_live(path: Path) -> Any:
    log = bp.LiveLog.read(path)
    decisions = log.decisions.drop("decided_at", "code")
    return decisions.write_csv(), log.bars.write_csv(), log.trades.write_csv()


def resume(path: Path) -> Any:
    """A session that goes on, with the next bar decided."""
    held = session(path, None, clock=lambda: 1 << 50)
    try:
        said = held.on_bar(candles()[1_012])
    finally:
        held.close()
    return said._replace(decided_at=0, code="")


def read_report(path: Path) -> Any:
    held = bp.Report.from_json(path.read_bytes().decode("utf-8", "replace"))
    # Times that audits took are of the process.
    return [(f.id, f.outcome, repr(f.measured)) for f in held]


def read_page(path: Path) -> Any:
    """A page as a browser would take it: whole, or it would not end so."""
    text = path.read_text(encoding="utf-8")
    assert text.rstrip().endswith("</html>"), "half a page"
    return sorted(set(re.findall(r"\b[0-9a-f]{64}\b", text)))


def read_bundle(path: Path) -> Any:
    held = bp.Bundle.load(path)
    X = bp.FeatureSet(list(held.features)).compute(candles()[:200])
    return held.predict(X).tobytes()


def read_npy(path: Path) -> Any:
    """As the page on features says: mapped, without pickles."""
    return np.load(path, allow_pickle=False).tobytes()


def snapshot(path: Path, variant: int) -> object:
    stream = FEATURES.stream("5m", symbol="SIM")
    for bar in world(variant)[0][:50]:
        stream.update(bar)
    with whole_file(path) as temporary:
        return temporary.write_bytes(stream.snapshot())


def read_snapshot(path: Path) -> Any:
    stream = FEATURES.stream("5m", symbol="SIM")
    stream.restore(path.read_bytes())
    return stream.snapshot()


STUDY_CANDLES = bp.simulate_candles(4, bars=60, interval="1h")


def procedure(path: Path, variant: int) -> Any:
    """A procedure test that goes on from its file."""

    def study(c: bp.Candles) -> float:
        return float(c.close[-1] / c.open[0] - 1)

    found = bp.procedure_test(study, STUDY_CANDLES, count=19, out=path)
    return found.null.tolist(), found.score


def forecaster(path: Path, variant: int) -> object:
    return fitted(variant).save(path)


@cache
def series() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    return pl.DataFrame(rng.standard_normal((120, 2)).cumsum(0), schema=["a", "b"])


NET: dict[str, Any] = {
    "window": 3, "steps": 1, "d_model": 4, "heads": 1, "encoders": 1, "decoders": 1, "feed_forward": 4, "dropout": 0.0,
    "epochs": 2, "batch": 32,
}  # fmt: skip


@cache
def fitted(variant: int) -> models.Forecaster:
    made = models.Forecaster(models.CrossMarketTransformer(**NET), targets=["a"])
    return made.fit(series(), seed=variant)


def read_forecaster(path: Path) -> Any:
    return models.Forecaster.load(path).predict(series()).tobytes()


def checkpoint(path: Path, variant: int) -> Any:
    """A training that keeps its epochs in a folder, and goes on from them."""
    net = models.CrossMarketTransformer(**(NET | {"resume": str(path)}))
    made = models.Forecaster(net, targets=["a"]).fit(series(), seed=7)
    return made.predict(series()).tobytes()


def table(path: Path, variant: int) -> object:
    write_frame(path, result(variant).trades)
    return path


KINDS = (
    Kind("page of a report", "report.html", lambda p, v: result(v).to_html(p), read_page, sealed=False, ours=False),
    Kind("report as JSON", "report.json", lambda p, v: _text(p, report(v).to_json()), read_report, sealed=False),
    Kind("report as SARIF", "report.sarif", lambda p, v: _text(p, report(v).to_sarif()),
         lambda p: json.loads(p.read_text("utf-8")), sealed=False, ours=False),
    Kind("bundle", "bundle", lambda p, v: bundle(v).save(p), read_bundle),
    Kind("ledger", "ledger.sqlite", record, read_ledger, append=True, blank=True),
    Kind("export of a ledger", "runs.parquet", lambda p, v: _export(p, v), lambda p: pl.read_parquet(p).shape,
         sealed=False, ours=False),
    Kind("folder of a sweep", "sweep", sweep, lambda p: frames(sweep(p, 0)), append=True),
    Kind("features as Parquet", "features.parquet", lambda p, v: FEATURES.compute(world(v)[0], out=p),
         lambda p: pl.read_parquet(p).write_csv(), sealed=False, ours=False),
    Kind("features as npy", "features.npy", lambda p, v: FEATURES.matrix(world(v)[0], out=p), read_npy, sealed=False,
         ours=False),
    Kind("part of fetched candles", "parts", part, read_part),
    Kind("candles", "candles.parquet", lambda p, v: write_frame(p, world(v)[0].to_polars()),
         lambda p: bp.read_candles(p, instrument="spot", on_fault="ignore").digest, sealed=False),
    Kind("candles as CSV", "candles.csv", lambda p, v: write_frame(p, world(v)[0].to_polars()),
         lambda p: bp.read_candles(p, instrument="spot", on_fault="ignore").digest, sealed=False),
    Kind("table of trades", "trades.csv", table, lambda p: bp.read_trades(p).write_csv(), sealed=False),
    Kind("manifest", "run.json", lambda p, v: write_manifest(p, {"schema": "x", "variant": v}),
         lambda p: json.loads(p.read_text("utf-8")), sealed=False, ours=False),
    Kind("snapshot of a stream", "stream.bin", snapshot, read_snapshot),
    Kind("state of a live session", "state", live, read_live, append=True),
    Kind("session that goes on", "state", live, resume, append=True, blank=True),
    Kind("file of a procedure test", "test.jsonl", procedure, lambda p: procedure(p, 0), append=True),
)  # fmt: skip
NETS = (
    Kind("forecaster", "net.safetensors", forecaster, read_forecaster),
    Kind("training under way", "epochs", checkpoint, lambda p: checkpoint(p, 0), append=True),
)


def _text(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _export(path: Path, variant: int) -> object:
    return book(variant).export(path)


@cache
def book(variant: int) -> bp.Ledger:
    """A ledger of so many runs and one more."""
    path = Path(tempfile.mkdtemp()) / "ledger.sqlite"
    for number in range(variant + 1):
        record(path, number)
    return bp.Ledger(path)


def read(kind: Kind, path: Path) -> tuple[str, Any]:
    """How a read ended: read, noticed (read with a warning), or refused; with what was read, or the message."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            found = kind.read(path)
        except bp.BarproofError as error:
            return "refused", str(error)
    told = [w for w in caught if issubclass(w.category, bp.DataWarning)]
    foreign = [w for w in caught if not issubclass(w.category, bp.DataWarning)]
    assert not foreign, foreign[0]
    if told:
        return "noticed", found
    return ("refused", "fetched again") if found is None else ("read", found)


def files(path: Path) -> list[Path]:
    """Files of a kind, those beside it that SQLite keeps included."""
    found = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [p for p in found if p.name != "lock" and not p.name.endswith("-shm")]


__all__ = ["KINDS", "NETS", "VARIANTS", "Kind", "files", "read", "replace"]
