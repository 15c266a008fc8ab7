"""Figures of docs/performance.md, and docs/benchmarks.md as a whole, from the latest records.

``python -m benches.table`` rewrites them; ``--check`` changes nothing and fails if a page does not show what the
records say; ``--discard`` makes them, and throws them away.
"""

from __future__ import annotations

import argparse
import re
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass

from benches import timing

PAGE = timing.ROOT / "docs" / "performance.md"
BLOCK = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end of figures -->)", re.DOTALL)
DENSITIES = {"dense": "dense", "2000": "~2,000 bars a trade", "20000": "~20,000"}
COLD, WARM = "barproof, cold", "barproof, warm"


class Record:
    """Rows of one record, found by case and contender."""

    def __init__(self, rows: list[dict[str, str]]) -> None:
        self.rows = rows
        self._by_name: dict[tuple[str, str, str], dict[str, str]] = {}
        for row in rows:
            case = row.get("case", row.get("part", ""))
            self._by_name[case, row["contender"], row.get("combinations", "")] = row
            self._by_name[case, row["contender"], ""] = row

    def get(self, case: str, contender: str, combinations: str = "") -> dict[str, str] | None:
        return self._by_name.get((case, contender, combinations))

    def rate(self, case: str, contender: str = COLD) -> float | None:
        """Candle-combinations a second, in thousands of millions."""
        row = self.get(case, contender)
        return None if row is None else float(row["m_candle_combinations_per_s"]) / 1e3

    def seconds(self, case: str, contender: str = COLD) -> float | None:
        row = self.get(case, contender)
        return None if row is None else float(row["median_s"])

    def faster(self, case: str, peer: str, ours: str = COLD) -> float | None:
        """How many times our speed is the peer's."""
        return quotient(self.rate(case, ours), self.rate(case, peer))

    def slower(self, case: str, other: str, base: str = COLD) -> float | None:
        """Time of one of our jobs over that of another."""
        return quotient(self.seconds(case, other), self.seconds(case, base))

    def peak(self, combinations: str) -> float | None:
        row = self.get("memory", "barproof, own process", combinations)
        return None if row is None else float(row["peak_mib"])

    def a_trade(self, contender: str) -> float | None:
        row = self.get("contract", contender)
        return None if row is None else float(row["median_s"]) / float(row["trades"])


def quotient(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b


@dataclass(frozen=True)
class Goal:
    """A bound, and how to read where we stand from a record; `most` says that less is better."""

    text: str
    bound: float
    unit: str
    value: Callable[[Record], float | None]
    stretch: float | None = None
    most: bool = False

    def row(self, record: Record) -> str:
        value = self.value(record)
        sign = "<=" if self.most else ">="
        wanted = f"{sign} {number(self.bound, self.unit)}"
        if self.stretch is not None:
            wanted += f" (stretch {number(self.stretch, self.unit)})"
        if value is None:
            return f"| {self.text} | {wanted} | not measured | |"
        met = value <= self.bound if self.most else value >= self.bound
        past = self.stretch is not None and value >= self.stretch
        stands = "stretch met" if past else "met" if met else "not met"
        return f"| {self.text} | {wanted} | {number(value, self.unit)} | {stands} |"


GOALS = (
    Goal("dense, 256 combinations, against numba tuned", 9, "x", lambda r: r.faster("grid dense", "numba, tuned"), 14),
    Goal("the same against numba with candidate lists", 4, "x", lambda r: r.faster("grid dense", "numba, lists"), 8.5),
    Goal("~2,000 bars a trade, against numba tuned", 17, "x", lambda r: r.faster("grid 2000", "numba, tuned")),
    Goal("the same against candidate lists", 1.7, "x", lambda r: r.faster("grid 2000", "numba, lists")),
    Goal("~20,000 bars a trade, against candidate lists, cold", 0.5, "x",
         lambda r: r.faster("grid 20000", "numba, lists")),
    Goal("the same, warm", 1, "x", lambda r: r.faster("grid 20000", "numba, lists", WARM)),
    Goal("product of 4,096 combinations, dense", 20, "G/s", lambda r: r.rate("product 4096"), 50),
    Goal("1,024 random combinations, dense", 4.5, "G/s", lambda r: r.rate("random dense")),
    Goal("1,024 random combinations, sparse", 30, "G/s", lambda r: r.rate("random 20000")),
    Goal("against raptorbt", 150, "x", lambda r: r.faster("libraries dense", "raptorbt, batch")),
    Goal("against vectorbt", 200, "x", lambda r: r.faster("libraries dense", "vectorbt, one column a call")),
    Goal("against the pure Python loop", 1000, "x", lambda r: r.faster("libraries dense", "python loop over lists")),
    Goal("one combination", 8, "ms", lambda r: quotient(r.seconds("one dense"), 1e-3), most=True),
    Goal("110 windows against one window over the same bars", 1.3, "x",
         lambda r: r.slower("windows", f"{COLD}, 110 windows"), most=True),
    Goal("two threads against one", 1.8, "x", lambda r: r.slower("threads", f"{COLD}, 1 thread")),
    Goal("full contract against simple rules, time a trade", 2, "x",
         lambda r: quotient(r.a_trade("barproof, full contract"), r.a_trade("barproof, simple rules")), most=True),
    Goal("AVX2 against AVX-512", 0.6, "x", lambda r: r.faster("paths", "barproof, avx512", "barproof, avx2")),
    Goal("portable against AVX-512", 0.3, "x", lambda r: r.faster("paths", "barproof, avx512", "barproof, portable")),
    Goal("peak memory, 256 combinations", 250, "MiB", lambda r: r.peak("256"), most=True),
    Goal("peak memory, 4,096 combinations over 256", 1.1, "x",
         lambda r: quotient(r.peak("4096"), r.peak("256")), most=True),
)  # fmt: skip


def number(value: float, unit: str) -> str:
    digits = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{digits}{unit}" if unit == "x" else f"{digits} {unit}"


def goals(record: Record) -> list[str]:
    head = ["| goal | wanted | measured | |", "|---|---|--:|---|"]
    return head + [goal.row(record) for goal in GOALS]


def grids(record: Record) -> list[str]:
    names = list(dict.fromkeys(r["contender"] for r in record.rows if r["case"].startswith("grid ")))  # fmt: skip
    lines = [
        "| M candle-combinations a second | " + " | ".join(DENSITIES.values()) + " |",
        "|---|" + "--:|" * len(DENSITIES),
    ]
    for name in names:
        cells = []
        for density in DENSITIES:
            rate, ratio = record.rate(f"grid {density}", name), record.faster(f"grid {density}", name)  # fmt: skip
            shown = "" if rate is None else f"{1e3 * rate:,.0f}"
            if rate is not None and ratio is not None and not name.startswith("barproof"):
                shown += f" ({ratio:.3g}x)"
            cells.append(shown)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def others(record: Record) -> list[str]:
    lines = [
        "| case | contender | combinations | median (min to max), ms | M/s | times barproof's time | |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for row in record.rows:
        if not row["case"].startswith("grid "):
            spread = " to ".join(f"{1e3 * float(row[k]):,.1f}" for k in ("min_s", "max_s"))
            note = row["note"]
            if row["peak_mib"]:
                note = f"{float(row['peak_mib']):.0f} MiB peak in the sweep; {note}"
            lines.append(
                f"| {row['case']} | {row['contender']} | {int(row['combinations']):,} | "
                f"{1e3 * float(row['median_s']):,.1f} ({spread}) | "
                f"{float(row['m_candle_combinations_per_s']):,.0f} | {row['times_barproof']} | {note} |"
            )
    return lines


def real(record: Record) -> list[str]:
    return [
        f"{int(row['combinations']):,} combinations x {int(row['bars']):,} bars ({row['note']}), "
        f"{int(row['trades']):,} trades, {row['threads']} threads: **{float(row['median_s']):.1f} s** "
        f"({float(row['min_s']):.1f} to {float(row['max_s']):.1f} in {row['runs']} runs), "
        f"{float(row['m_candle_combinations_per_s']) / 1e3:.2f} G candle-combinations a second, peak "
        f"**{float(row['peak_mib']):.0f} MiB**."
        for row in record.rows
    ]


def where(record: Record) -> list[str]:
    row = record.rows[0]
    libraries = ("numba", "vectorbt", "vectorbt_rust", "raptorbt", "numpy", "polars", "python")
    return [
        f"Measured {row['date']} UTC at commit `{row['commit']}` on {row['machine']} "
        f"(load at the start {row['load']}), barproof {row['barproof']}, "
        + ", ".join(f"{name.replace('_', '-')} {row[name]}" for name in libraries)
        + "."
    ]


@dataclass(frozen=True)
class Bound:
    """A goal for features; `most` says that less is better."""

    text: str
    bound: float
    unit: str
    value: Callable[[Record], float | None]
    most: bool = True

    def row(self, record: Record) -> str:
        value, sign = self.value(record), "<=" if self.most else ">="
        wanted = f"{sign} {number(self.bound, self.unit)}"
        if value is None:
            return f"| {self.text} | {wanted} | not measured | |"
        met = value <= self.bound if self.most else value >= self.bound
        stands = "met" if met else "not met"
        return f"| {self.text} | {wanted} | {number(value, self.unit)} | {stands} |"


def each_feature(record: Record, prefix: str = "") -> dict[str, float]:
    """How many times TA-Lib's speed ours is, by feature; with the prefix "kept " in memory that stays."""
    start, found = f"{prefix}feature ", {}
    for row in record.rows:
        case = row["case"]
        if case.startswith(start) and row["contender"] == "barproof":
            ratio = quotient(record.seconds(case, "TA-Lib"), record.seconds(case, "barproof"))
            if ratio is not None:
                found[case.removeprefix(start)] = ratio
    return found


def mean_gain(record: Record, prefix: str = "") -> float | None:
    found = each_feature(record, prefix)
    return statistics.geometric_mean(found.values()) if found else None


def ns_a_bar(record: Record, case: str, contender: str) -> float | None:
    row = record.get(case, contender)
    return None if row is None else float(row["ns_a_bar"])


def gain(record: Record, peer: str, ours: str = "barproof", case: str = "set") -> float | None:
    return quotient(record.seconds(case, peer), record.seconds(case, ours))


def over_output(record: Record, job: str) -> float | None:
    """Peak over what was held before, as a share of the output."""
    row = record.get("memory", f"barproof, {job}")
    return None if row is None else float(row["peak_mib"]) / float(row["note"].split()[0])


BOUNDS = (
    Bound("16 columns, one thread", 28, "ns", lambda r: ns_a_bar(r, "set", "barproof")),
    Bound("the same on two", 17, "ns", lambda r: ns_a_bar(r, "set", "barproof, threads")),
    Bound("against TA-Lib, one thread", 1.3, "x", lambda r: gain(r, "TA-Lib"), most=False),
    Bound("against TA-Lib, two threads", 1.3, "x",
          lambda r: gain(r, "TA-Lib, threads", "barproof, threads"), most=False),
    Bound("against polars expressions, two threads each", 7.7, "x",
          lambda r: gain(r, "polars expressions", "barproof, threads"), most=False),
    Bound("against pandas", 9.8, "x", lambda r: gain(r, "pandas"), most=False),
    Bound("each feature against TA-Lib, geometric mean", 1.3, "x",
          mean_gain, most=False),
    Bound("each feature against TA-Lib, the least", 0.9, "x",
          lambda r: min(each_feature(r).values(), default=None), most=False),
    Bound("in memory that stays for both: 16 columns against TA-Lib, one thread", 1.3, "x",
          lambda r: gain(r, "TA-Lib", case="kept set"), most=False),
    Bound("the same on two", 1.3, "x",
          lambda r: gain(r, "TA-Lib, threads", "barproof, threads", case="kept set"), most=False),
    Bound("the same, each feature, geometric mean", 1.3, "x",
          lambda r: mean_gain(r, "kept "), most=False),
    Bound("the same, each feature, the least", 0.9, "x",
          lambda r: min(each_feature(r, "kept ").values(), default=None), most=False),
    Bound("row of a stream from Python", 300, "ns", lambda r: ns_a_bar(r, "stream", "barproof")),
    Bound("gating_171, times the 16 columns", 12, "x",
          lambda r: quotient(r.seconds("gating_171", "barproof, gating_171"),
                             r.seconds("gating_171", "barproof, 16 columns"))),
    Bound("peak memory of `matrix` over its output", 1.1, "x", lambda r: over_output(r, "matrix")),
)  # fmt: skip


def bounds(record: Record) -> list[str]:
    head = ["| goal | wanted | measured | |", "|---|---|--:|---|"]
    return head + [bound.row(record) for bound in BOUNDS]


def features(record: Record) -> list[str]:
    lines = [
        "| feature | barproof, median (best), ns a bar | TA-Lib | times its speed "
        "| both in kept memory: barproof | TA-Lib | times its speed |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, ratio in each_feature(record).items():
        cells = []
        for prefix, times in (("", ratio), ("kept ", each_feature(record, "kept ").get(name))):
            for who in ("barproof", "TA-Lib"):
                row = record.get(f"{prefix}feature {name}", who)
                cells.append("" if row is None else median_and_best(row))
            cells.append("" if times is None else f"{times:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def median_and_best(row: dict[str, str]) -> str:
    median, best = (1e9 * float(row[key]) / int(row["bars"]) for key in ("median_s", "min_s"))
    return f"{median:.2f} ({best:.2f})"


def feature_sets(record: Record) -> list[str]:
    lines = [
        "| case | contender | threads | median (min to max), ns a bar | times barproof's time | |",
        "|---|---|--:|--:|--:|---|",
    ]
    for row in record.rows:
        if not row["case"].removeprefix("kept ").startswith("feature "):
            bars = int(row["bars"])
            low, mid, high = (
                f"{1e9 * float(row[k]) / bars:,.1f}" for k in ("min_s", "median_s", "max_s")
            )
            note = row["note"]
            if row["peak_mib"]:
                note = f"{float(row['peak_mib']):,.0f} MiB more at the peak; {note}"
            lines.append(
                f"| {row['case']} | {row['contender']} | {row['threads']} | {mid} ({low} to {high}) | "
                f"{row['times_barproof']} | {note} |"
            )
    return lines


def feature_where(record: Record) -> list[str]:
    row = record.rows[0]
    libraries = (
        "ta_lib",
        "tulipy",
        "kand",
        "polars_talib",
        "talipp",
        "pandas",
        "numba",
        "numpy",
        "polars",
        "python",
    )
    named = (f"{name.replace('_', '-')} {row.get(name) or row.get('TA_Lib')}" for name in libraries)
    return [
        f"Measured {row['date']} UTC at commit `{row['commit']}` on {row['machine']} "
        f"(load at the start {row['load']}), {int(row['bars']):,} bars, barproof {row['barproof']}, "
        + ", ".join(named)
        + "."
    ]


def rows(record: Record) -> list[str]:
    """Rows and arrays of features: the best run beside the median, as one bar takes less than a spell of noise."""
    lines = [
        "| case | contender | columns | threads | a bar, median (best), ns | a column's time over the first's |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for row in record.rows:
        if row["case"] == "memory":
            continue
        bars = int(row["bars"])
        median, best = (1e9 * float(row[k]) / bars for k in ("median_s", "min_s"))
        lines.append(
            f"| {row['case']} | {row['contender']} | {row['combinations']} | {row['threads']} | "
            f"{median:,.0f} ({best:,.0f}) | {row['times_barproof']} |"
        )
    memory = record.get("memory", "barproof, gating_171")
    if memory is not None:
        lines += [
            "",
            f"One `matrix` of {int(memory['bars']):,} bars x {memory['combinations']} in f32: peak "
            f"**{float(memory['peak_mib']):,.0f} MiB** ({memory['note']}).",
        ]
    return lines


def files(record: Record) -> list[str]:
    return [
        f"- `gating_171` over {int(row['bars']):,} bars to `{row['case'].split()[1]}`, {row['threads']} threads: "
        f"**{float(row['median_s']):,.0f} s**, peak **{float(row['peak_mib']):,.0f} MiB** ({row['note']})."
        for row in record.rows
    ]


def plain_where(record: Record) -> list[str]:
    """Where and with what: every version that the record names."""
    row = record.rows[0]
    known = ("date", "commit", "machine", "load")
    first = list(row).index("date")
    named = [f"{k.replace('_', '-')} {v}" for k, v in list(row.items())[first:] if k not in known]
    return [
        f"Measured {row['date']} UTC at commit `{row['commit']}` on {row['machine']} "
        f"(load at the start {row['load']}), {', '.join(named)}."
    ]


def beside(record: Record) -> list[str]:
    """Contenders of each case, with how many times barproof's time each took."""
    lines = [
        "| case | contender | threads | median (min to max), s | times barproof's time | |",
        "|---|---|--:|--:|--:|---|",
    ]
    for row in record.rows:
        if not row.get("median_s"):
            lines.append(
                f"| {row['case']} | {row['contender']} | {row['threads']} | | | {row['note']} |"
            )
            continue
        low, mid, high = (f"{float(row[k]):,.3f}" for k in ("min_s", "median_s", "max_s"))
        lines.append(
            f"| {row['case']} | {row['contender']} | {row['threads']} | {mid} ({low} to {high}) | "
            f"{row['times_barproof']} | {row['note']} |"
        )
    return lines


def accelerator(record: Record) -> list[str]:
    """What a GPU did, or that there was none."""
    if record.rows[0]["device"] == "none":
        return [f"{record.rows[0]['note']}."]
    lines = [
        "| part | contender | bars | median, s | a second | times | GB/s | share | |",
        "|---|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in record.rows:
        told = (
            row[k]
            for k in (
                "part",
                "contender",
                "bars",
                "median_s",
                "per_s",
                "times",
                "gb_per_s",
                "share",
                "note",
            )
        )
        lines.append(f"| {' | '.join(told)} |")
    return lines


BLOCKS = {
    "labels": ("labels", beside),
    "labels_where": ("labels", plain_where),
    "inference": ("inference", beside),
    "inference_where": ("inference", plain_where),
    "encoder": ("encoder", beside),
    "encoder_where": ("encoder", plain_where),
    "gpu": ("gpu", accelerator),
    "gpu_where": ("gpu", plain_where),
    "feature_where": ("workload_b", feature_where),
    "feature_goals": ("workload_b", bounds),
    "features": ("workload_b", features),
    "feature_sets": ("workload_b", feature_sets),
    "rows": ("feature_rows", rows),
    "rows_where": ("feature_rows", where),
    "files": ("feature_files", files),
    "files_where": ("feature_files", where),
    "where": ("workload_a", where),
    "goals": ("workload_a", goals),
    "grids": ("workload_a", grids),
    "others": ("workload_a", others),
    "real": ("real_data", real),
    "real_where": ("real_data", where),
}


def render(page: str) -> str:
    """The page with every block of figures as the latest records have it."""

    def block(found: re.Match[str]) -> str:
        name, make = BLOCKS[found[2]]
        record = timing.latest(name)
        lines = ["Not measured yet."] if record is None else make(Record(record[1]))
        return found[1] + "\n" + "\n".join(lines) + "\n\n" + found[3]

    return BLOCK.sub(block, page)


def main() -> None:
    """Rewrite the pages, or check them."""
    from benches import page as benchmarks

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--discard", action="store_true")
    asked = parser.parse_args()
    check = asked.check
    for path, made in (
        (PAGE, render(PAGE.read_text(encoding="utf-8"))),
        (benchmarks.PAGE, benchmarks.render()),
    ):
        name = f"docs/{path.name}"
        if check and (not path.exists() or path.read_text(encoding="utf-8") != made):
            sys.exit(f"{name} does not show the latest records: run python -m benches.table")
        if not check and not asked.discard:
            path.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
