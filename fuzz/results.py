"""Fuzz the intake of other people's results and of claims: each ends in a report without a crash, or in a clear error.

``python -m fuzz.results [--minutes 10] [--seed 0]``. A case is one number. It takes a sound project (trades as tables
of each tool that is known, fills, equity, predictions, a result of freqtrade as JSON and as zip, claims, a page that
mentions them), changes some of it by its grammar or by bytes, and hands it to the doors that strangers' files come in
by. What may come out is an error of the package, of one printable line, or a report of which no audit crashed and which
says the same after a round trip. Further findings are: a passed CLM-01 or CLM-02 where the artefact or the number was
changed, characters that a terminal obeys, a file that appeared, more than 200 MB, more than ten seconds.
"""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from fuzz.forging import (
    HEADS,
    WORDS,
    Bounds,
    change,
    changed_bytes,
    changed_csv,
    one_line,
    run_cases,
    watched,
)
from tests.audits import claim_cases

import barproof as bp
from barproof.claims import load_claims
from barproof.results import holds_trades, measure, take_trades

MOST_BYTES = 200 << 20
MOST_SECONDS = 10.0
BARS = 60
ODD_RECORDS: tuple[dict[str, Any], ...] = (
    {"artefact": "../trades.csv"}, {"artefact": "/etc/passwd"}, {"artefact": "link.csv"}, {"artefact": "."},
    {"artefact": "equity.parquet"}, {"artefact": "run.json", "pointer": "/metrics"}, {"pointer": "/" * 60},
    {"column": "return", "reduce": "std"}, {"value": "1e308"}, {"value": "-0"}, {"value": "1e-300"}, {"value": True},
    {"derived": "{wins} ** {trades} ** 9"}, {"derived": "(" * 300 + "1" + ")" * 300}, {"n": 10**18}, {"n": 0},
    {"low": 9.0, "high": 1.0}, {"period_days": 1e-300}, {"observed": {"count": 10**9, "days": 1e-9}},
    {"inputs": {"../x": "", "link.csv": "", "code.py": "0" * 64}}, {"sha256": "0" * 64}, {"columns": {"return": "x"}},
    {"strategy": "S"}, {"system": "\x1b]0;x\x07"}, {"text": "we earned <script>alert(1)</script>"}, {"metric": "days"},
)  # fmt: skip


def sound_tables(candles: Any) -> dict[str, pl.DataFrame]:
    """Trades of ten bars as each tool writes them."""
    at = np.arange(4, 54, 10)
    opens, times = candles.open, candles.to_polars()["open_time"]
    a, b = opens[at], opens[at + 3]
    start, end = times[at.tolist()], times[(at + 3).tolist()]
    moved = b / a - 1
    stamps = [t.dt.strftime("%Y-%m-%d %H:%M:%S") for t in (start, end)]
    return {
        "backtesting": pl.DataFrame(
            {"Size": [5, -5, 5, 5, 5], "EntryBar": at, "ExitBar": at + 3, "EntryPrice": a, "ExitPrice": b,
             "PnL": 5 * (b - a), "ReturnPct": moved * np.array([1, -1, 1, 1, 1]), "EntryTime": stamps[0],
             "ExitTime": stamps[1], "Tag": [None, "x", "y", None, "z"]}),
        "vectorbt": pl.DataFrame(
            {"Exit Trade Id": range(5), "Column": ["c"] * 5, "Size": [1.0] * 5, "Entry Timestamp": stamps[0],
             "Avg Entry Price": a, "Entry Fees": [0.1] * 5, "Exit Timestamp": stamps[1], "Avg Exit Price": b,
             "Exit Fees": [0.1] * 5, "PnL": b - a - 0.2, "Return": moved - 0.2 / a,
             "Direction": ["Long"] * 5, "Status": ["Closed"] * 4 + ["Open"], "Position Id": range(5)}),
        "table": pl.DataFrame(
            {"return": moved, "entry_time": start, "exit_time": end, "entry_price": a, "exit_price": b,
             "side": ["long"] * 5, "symbol": ["SIM"] * 5, "reason": ["target"] * 5, "stop": a * 0.9}),
        "fills": pl.DataFrame(
            {"Date(UTC)": pl.concat(stamps), "Side": ["BUY"] * 5 + ["SELL"] * 5, "Price": np.r_[a, b],
             "Executed": [1.0] * 10, "Fee": [0.1] * 10}).sort("Date(UTC)"),
        "equity": pl.DataFrame({"time": times, "equity": 100 + np.arange(float(len(times)))}),
        "predictions": pl.DataFrame(
            {"open_time": times, "p_0": np.linspace(0.2, 0.8, len(times)),
             "p_1": 1 - np.linspace(0.2, 0.8, len(times)), "label": np.arange(float(len(times))) % 2}),
    }  # fmt: skip


CANDLES = bp.simulate_candles(1, bars=BARS)
TABLES = sound_tables(CANDLES)


def freqtrade_document(rng: np.random.Generator) -> Any:
    """Give a result of freqtrade with some places changed."""
    rows = [
        {"pair": "SIM/USDT", "stake_amount": 100.0, "amount": 1.0, "open_date": f"2024-01-0{i + 1} 00:00:00+00:00",
         "close_date": f"2024-01-0{i + 1} 05:00:00+00:00", "open_rate": 100.0, "close_rate": 101.0, "fee_open": 0.001,
         "fee_close": 0.001, "profit_ratio": 0.008, "profit_abs": 0.8, "exit_reason": "roi", "is_open": False,
         "is_short": False, "leverage": 1.0, "orders": [{"amount": 1.0}]}
        for i in range(4)
    ]  # fmt: skip
    document: Any = {"strategy": {"S": {"trades": rows, "timeframe": "1h"}}, "metadata": {"S": {}}}
    for _ in range(int(rng.integers(0, 5))):
        change(document, rng)
    return document


def write_trades(folder: Path, rng: np.random.Generator) -> Path:
    """Write trades in one of their forms."""
    how = int(rng.integers(10))
    if how <= 2:
        document = freqtrade_document(rng)
        try:
            text = json.dumps(document).encode("utf-8", "surrogatepass")
        except (TypeError, ValueError, RecursionError):
            text = b'{"strategy": {}}'
        text = changed_bytes(text, rng) if rng.random() < 0.2 else text
        if how < 2:
            path = folder / "result.json"
            path.write_bytes(text)
            return path
        path = folder / "result.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
            # Two members of one name.
            warnings.simplefilter("ignore")
            for name in rng.choice(
                ["a.json", "a_config.json", "../b.json", "a.json", "x.csv"], int(rng.integers(1, 4))
            ):
                archive.writestr(str(name), text)
        if rng.random() < 0.3:
            path.write_bytes(changed_bytes(path.read_bytes(), rng))
        return path
    frame = list(TABLES.values())[rng.integers(len(TABLES))]
    if how <= 4:
        path = folder / str(rng.choice(["t.parquet", "t.feather"]))
        names = rng.choice(HEADS, frame.width, replace=False)
        some = {c: str(n) for c, n in zip(frame.columns, names, strict=True) if rng.random() < 0.2}
        frame = frame.rename({c: n for c, n in some.items() if n not in frame.columns})
        frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_ipc(path)
        if rng.random() < 0.5:
            path.write_bytes(changed_bytes(path.read_bytes(), rng))
        return path
    path = folder / "t.csv"
    path.write_bytes(changed_csv(frame, rng))
    return path


def trade_case(folder: Path, rng: np.random.Generator) -> tuple[Callable[[], str], str]:
    """Trades, fills, equity, predictions of some form, and what is done with them."""
    path = write_trades(folder, rng)
    told = {str(n): str(c) for n, c in zip(rng.choice(["return", "side", "exit_time", "x"], 2), rng.choice(HEADS, 2),
                                           strict=True)} if rng.random() < 0.15 else {}  # fmt: skip
    kind = int(rng.integers(6))

    def run() -> str:
        if kind == 0:
            bp.read_equity(path)
            return measured(path, "equity_drawdown")
        if kind == 1:
            return measured(path, "win_rate")
        if kind == 2:
            from barproof.candles.sources import load

            frame, _ = load(path, name="predictions")
            return judged(bp.audit(predictions=frame, ledger=False, resample=False))
        holds_trades(path)
        held = take_trades(path, columns=told)
        report = bp.audit(
            trades=held.trades, fills=held.fills, candles=CANDLES, ledger=False, resample=kind == 3
        )
        shown = [str(v) for row in held.trades.select(pl.col(pl.String)).rows() for v in row]
        odd = [text for text in [*shown, *held.notes] if not text.isprintable()]
        return f"shows {odd[0]!r}" if odd else judged(report)

    return run, f"{path.name} door {kind}"


def measured(path: Path, metric: str) -> str:
    """Measure a number of a claim."""
    value, _ = measure(path, metric)
    return "" if isinstance(value, float) else f"{metric} is {type(value).__name__}"


def claim_case(folder: Path, rng: np.random.Generator) -> tuple[Callable[[], str], str]:
    """Claims, their artefacts and a page, changed."""
    claim_cases.project(folder)
    rows = claim_cases.good(folder)
    (folder / "link.csv").symlink_to("/etc/hostname")
    truth = {row["id"]: str(row["value"]) for row in rows}
    told = []
    for _ in range(int(rng.integers(0, 4))):
        record = rows[rng.integers(len(rows))]
        if rng.random() < 0.5:
            more = ODD_RECORDS[rng.integers(len(ODD_RECORDS))]
            record |= more
            told.append(str(more))
        elif rng.random() < 0.5:
            told.append(change(rows, rng))
            rows = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
            if not rows:
                break
        else:
            shift = float(rng.choice([-1.0, 0.2, 7.0]))
            with_shift = {"wins": 60.0, "trades": 200.0, "mean": 0.80, "rate": 4.0}
            if record.get("id") in with_shift:
                record["value"] = f"{with_shift[str(record['id'])] + shift:.2f}"
                told.append(f"{record['id']} by {shift}")
    try:
        text = claim_cases.toml(rows)
    except (TypeError, ValueError, RecursionError, AttributeError):
        text = ""
    data = text.encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        data, cut = changed_bytes(data, rng), True
    else:
        cut = False
    (folder / "claims.toml").write_bytes(data)
    touched = rng.random() < 0.25
    if touched:
        name = str(rng.choice(["trades.csv", "equity.parquet", "run.json"]))
        old = (folder / name).read_bytes()
        new = changed_bytes(old, rng)
        (folder / name).write_bytes(new)
        touched = new != old and name != "equity.parquet"
        told.append(f"{name} changed")
    page = "".join(
        f"{truth.get(i, '3')}{rng.choice(['', '%', ' '])}<!-- claim: {i} -->{rng.choice(list(WORDS))}\n"
        for i in rng.choice(["wins", "trades", "sharpe", "nobody", "wins"], 3)
    )
    (folder / "page.md").write_text(page, encoding="utf-8", errors="replace")

    def run() -> str:
        held = load_claims(folder / "claims.toml", pages=[folder / "page.md"])
        report = bp.audit(claims=held, ledger=False)
        found = judged(report)
        pinned = {"wins", "trades", "mean", "rate", "sharpe"}
        whole = {c.id for c in held.claims if c.sha256 and c.kind == "measured"} >= pinned
        if touched and whole and not told_others(told) and report["CLM-01"].outcome == "pass":
            found += " CLM-01 passes over a changed artefact"
        for claim in held.claims:
            again = held.recompute(claim)
            exact = {"win_rate": 60.0, "trades": 200.0, "mean_return": 0.8}.get(claim.metric)
            plain = claim.unit == ("count" if claim.metric == "trades" else "percent")
            same = (
                claim.artefact == "trades.csv"
                and not touched
                and not claim.columns
                and not claim.pointer
            )
            if exact is None or not plain or not same or claim.column:
                continue
            wrong = abs(exact - claim.number) > claim.half * (1 + 1e-6) + 1e-6
            if wrong and again.agrees:
                found += f" {claim.id} {claim.value} agrees with {exact}"
            if wrong and report["CLM-02"].outcome == "pass" and claim.kind == "measured":
                found += f" CLM-02 passes {claim.id} {claim.value}"
        return found

    return run, "; ".join(["claims", *told, *(["bytes"] if cut else [])])


def told_others(told: list[str]) -> bool:
    """Whether more was changed than artefacts, so that a record may no longer pin its file."""
    return any(not text.endswith(" changed") for text in told)


def judged(report: bp.Report) -> str:
    """Look at a report: no audit crashed, it survives a round trip, and nothing in it moves a cursor."""
    crashed = [f"{f.id} {f.title}" for f in report if f.outcome == "error"]
    if crashed:
        return f"crashed: {crashed[0]}"
    if bp.Report.from_json(report.to_json()) != report:
        return "the report is another after a round trip"
    report.to_junit()
    json.loads(report.to_sarif())
    markdown = report.to_markdown()
    if "<script" in markdown or "<img" in markdown or "](javascript" in markdown:
        return "Markdown with tags or links of a stranger"
    lines = report.to_text(lines=None).splitlines() + markdown.splitlines()
    odd = [line for line in lines if not line.isprintable()]
    return f"shows {odd[0]!r}" if odd else ""


def case(seed: int, folder: Path) -> str:
    """Run one case; the finding, or nothing."""
    rng = np.random.default_rng(seed)
    run, told = (claim_case if rng.random() < 0.4 else trade_case)(folder, rng)
    return watched(seed, told, run, folder, Bounds(MOST_SECONDS, MOST_BYTES), one_line)


if __name__ == "__main__":
    run_cases(__doc__, case)
