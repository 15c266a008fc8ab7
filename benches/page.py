"""docs/benchmarks.md from the newest record of each bench: wins and losses alike, and where every goal stands.

``python -m benches.table`` writes it beside docs/performance.md. A goal that
is missed names the section that says what limits it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from benches import table, timing
from benches.table import Record, number, quotient

PAGE = timing.ROOT / "docs" / "benchmarks.md"
LEVEL = 0.05
"""Times that are so near to each other count as level."""
LIMITS = "performance.md#what-limits-"


@dataclass(frozen=True)
class Goal:
    """A goal of a workload: where we stand, and which section explains a miss."""

    workload: str
    text: str
    bound: float
    unit: str
    value: float | None
    most: bool
    why: str

    @property
    def met(self) -> bool | None:
        if self.value is None:
            return None
        return self.value <= self.bound if self.most else self.value >= self.bound

    def short(self) -> str:
        """By how much it is missed."""
        assert self.value is not None
        past = 100 * (self.value / self.bound - 1)
        return f"missed: over by {past:.2g}%" if self.most else f"missed: short by {-past:.2g}%"

    def row(self) -> str:
        sign = "<=" if self.most else ">="
        wanted = f"{sign} {number(self.bound, self.unit).strip()}"
        if self.value is None:
            return (
                f"| {self.workload} | {self.text} | {wanted} | not measured | [why]({self.why}) |"
            )
        limits = f"[what limits]({self.why})" if self.why else "not explained yet"
        stands = "met" if self.met else f"{self.short()}; {limits}"
        return f"| {self.workload} | {self.text} | {wanted} | {number(self.value, self.unit).strip()} | {stands} |"


# Sections of docs/performance.md that say what limits; the tests ask for one of every goal that is missed.
WHY = {
    "dense, 256 combinations, against numba tuned": f"{LIMITS}dense-grids",
    "the same against numba with candidate lists": f"{LIMITS}dense-grids",
    "~2,000 bars a trade, against numba tuned": f"{LIMITS}sparse-grids",
    "the same against candidate lists": f"{LIMITS}sparse-grids",
    "~20,000 bars a trade, against candidate lists, cold": f"{LIMITS}sparse-grids",
    "the same, warm": f"{LIMITS}sparse-grids",
    "product of 4,096 combinations, dense": f"{LIMITS}dense-grids",
    "1,024 random combinations, dense": f"{LIMITS}random-sets",
    "1,024 random combinations, sparse": f"{LIMITS}random-sets",
    "one combination": f"{LIMITS}one-combination",
    "110 windows against one window over the same bars": f"{LIMITS}many-windows",
    "two threads against one": f"{LIMITS}dense-grids",
    "row of a stream from Python": f"{LIMITS}a-row-of-a-stream",
    "gating_171, times the 16 columns": f"{LIMITS}the-largest-preset",
}
FEATURES, STATISTICS = f"{LIMITS}features", "statistics.md#what-it-costs"
INFERENCE, GPU = "performance.md#inference", "performance.md#gpu"
ENCODER = "encoder, 120 x 240"


def least(record: Record, cases: Iterable[str], theirs: str) -> float | None:
    """The least of our speeds over a peer's, over some cases."""
    found = [quotient(record.seconds(c, theirs), record.seconds(c, "barproof")) for c in cases]
    return min((value for value in found if value is not None), default=None)


def cases_with(record: Record, contender: str) -> list[str]:
    return [row["case"] for row in record.rows if row["contender"] == contender]


def beyond(record: Record) -> float | None:
    """What inference over all bars held beyond the table, as a share of the windows it looked at."""
    row = record.get("memory, 120 x 240, all bars, net of width 8", "barproof")
    if row is None:
        return None
    # "..., 106 MiB over all 999,881 windows, which would be 109,850 MiB"
    words = row["note"].replace(",", "").split()
    at = words.index("all")
    return float(words[at - 3]) / float(words[-2])


def goals() -> list[Goal]:
    """Every goal, with where it stands by the newest records."""
    found = []
    a, b, c, d = (of(name) for name in ("workload_a", "workload_b", "inference", "workload_d"))
    for one in table.GOALS:
        why = WHY.get(one.text, "")
        found.append(Goal("A", one.text, one.bound, one.unit, one.value(a), one.most, why))
    for bound in table.BOUNDS:
        why = WHY.get(bound.text, FEATURES)
        found.append(
            Goal("B", bound.text, bound.bound, bound.unit, bound.value(b), bound.most, why)
        )
    found += inference_goals(c, of("encoder")) + statistics_goals(d)
    return found


def inference_goals(c: Record, encoder: Record) -> list[Goal]:
    """Of workload C."""
    gpu = timing.latest("gpu")
    device = gpu is not None and gpu[1][0]["device"] != "none"
    half = quotient(
        encoder.seconds(ENCODER, "resident windows, bf16 autocast"),
        encoder.seconds(ENCODER, "barproof, bf16"),
    )
    nets = least(c, cases_with(c, "resident windows"), "resident windows")
    trees = least(c, cases_with(c, "library"), "library")
    loop = on_device(gpu) if device else None
    made = (
        ("nets against the same fed with resident windows, the least", 0.95, nets, False),
        ("the encoder in bf16 against torch's autocast on resident windows", 0.95, half, False),
        ("trees against their libraries' own calls, the least", 0.95, trees, False),
        (
            "memory beyond the table over a million bars, share of the windows",
            0.01,
            beyond(c),
            True,
        ),
        ("on an H200, against a plain DataLoader loop", 5, loop, False),
    )
    return [
        Goal("C", text, bound, "x", value, most, GPU if "H200" in text else INFERENCE)
        for text, bound, value, most in made
    ]


def statistics_goals(d: Record) -> list[Goal]:
    """Of workload D."""
    arch = [
        quotient(d.seconds(case, "arch 8.0.0, StepM"), d.seconds(case, "barproof, StepM"))
        for case in ("superior 10", "superior 1")
    ]
    made = (
        ("CSCV against numpy as it is written down", 30, ratio(d, "cscv", "numpy, plain")),
        ("CSCV against numpy by matrix products", 30, ratio(d, "cscv", "numpy, matrix products")),
        ("SPA and StepM against arch, mean block 10", 20, arch[0]),
        ("the same, mean block 1", 20, arch[1]),
    )
    return [Goal("D", text, bound, "x", value, False, STATISTICS) for text, bound, value in made]


def ratio(record: Record, case: str, theirs: str) -> float | None:
    return quotient(record.seconds(case, theirs), record.seconds(case, "barproof"))


def on_device(gpu: tuple[object, list[dict[str, str]]] | None) -> float | None:
    """How many times as long as ours the plain loop took on a device."""
    rows = [] if gpu is None else gpu[1]
    found = [float(r["times"]) for r in rows if "DataLoader" in r["contender"] and r["times"]]
    return min(found, default=None)


def of(name: str) -> Record:
    """Newest record of a name; an empty one where there is none."""
    found = timing.latest(name)
    return Record([] if found is None else found[1])


# ---- tables ----------------------------------------------------------------------------------------------------------


def judged(times: float) -> str:
    """Win or loss of ours against a contender that took so many times our time."""
    if abs(times - 1.0) <= LEVEL:
        return "level"
    return "win" if times > 1.0 else "**loss**"


def held(memory: dict[tuple[str, str], dict[str, str]], workload: str, contender: str) -> str:
    row = memory.get((workload, contender))
    if row is None:
        return ""
    return f"{float(row['peak_mib']):,.0f} ({float(row['held_mib']):,.0f})"


def amount(row: dict[str, str]) -> str:
    seconds = float(row["median_s"])
    return f"{seconds:,.2f} s" if seconds >= 1 else f"{1e3 * seconds:,.3g} ms"


NUMBERS = "five numbers of every combination, 1e-9"
COUNTS = "number of trades alone: other semantics"
COLUMNS = "columns, 1e-9 of their size (sums of squares 1e-5)"


def held_a(row: dict[str, str]) -> str:
    name = row["contender"]
    if name in ("raptorbt, batch", "vectorbt, one column a call"):
        return COUNTS
    if row["case"].startswith("frameworks"):
        return row["note"].split(";")[0]
    return NUMBERS


def held_b(row: dict[str, str]) -> str:
    if row["case"].removeprefix("kept ") == "stream":
        return "not: the same features, each by its own stream"
    if row["contender"] == "tulipy":
        return f"{COLUMNS}; its MACD has other constants"
    return COLUMNS


def held_c(row: dict[str, str]) -> str:
    return row["note"] if row["note"].startswith("answers") else "probabilities, 1e-6"


def held_d(row: dict[str, str]) -> str:
    if row["contender"] == "ml4t-diagnostic":
        return "PBO, to the last bit"
    if row["case"] == "paired":
        return "the interval on the same resamples, 1e-9"
    if row["case"].startswith("superior"):
        return "exceedances on the same resamples, exactly"
    return "log odds of every split, 1e-9"


def beside(row: dict[str, str], ours: list[dict[str, str]]) -> float:
    """How many times our time a contender took, a combination; ours is the row that is most like it.

    Like in precision, then in the number of combinations, then in threads; the first of those that are alike.
    """

    def likeness(mine: dict[str, str]) -> tuple[bool, bool, bool]:
        half = ["bf16" in one["contender"] for one in (row, mine)]
        alike = (row.get(key) == mine.get(key) for key in ("combinations", "threads"))
        return half[0] == half[1], *alike

    def each(one: dict[str, str]) -> float:
        return float(one["median_s"]) / float(one.get("combinations") or 1)

    base = max(ours, key=likeness)
    return each(row) / each(base)


def contest(
    workload: str,
    names: tuple[str, ...],
    wanted: Callable[[str], bool],
    answers: Callable[[dict[str, str]], str],
    memory_of: tuple[str, ...],
) -> list[str]:
    """Contenders of every case of a workload, by its records; peaks stand at the case that they were measured on."""
    found = {name: of(name) for name in names}
    lacking = [f"`{name}`" for name, record in found.items() if not record.rows]
    absent = f"Not measured yet: {', '.join(lacking)}."
    if len(lacking) == len(names):
        return [absent]
    memory = {(r["workload"], r["contender"]): r for r in of("peaks").rows}
    lines = [
        "| case | contender | threads | time | times barproof's time | peak MiB (held before) "
        "| answers held together | |",
        "|---|---|--:|--:|--:|--:|---|---|",
    ]
    for record in found.values():
        rows = [row for row in record.rows if wanted(row["case"]) and row.get("median_s")]
        for row in rows:
            name, case = row["contender"], row["case"]
            ours = [r for r in rows if r["case"] == case and is_ours(r["contender"])]
            times = None if is_ours(name) else beside(row, ours)
            plain = name.split(", cold")[0] if is_ours(name) else name
            shows = case.startswith(memory_of) and not (is_ours(name) and "frameworks" in case)
            cells = (
                case,
                named(row) if workload == "A" else name,
                row["threads"],
                amount(row),
                "" if times is None else f"{times:.4g}",
                held(memory, workload, plain) if shows else "",
                "" if times is None else answers(row),
                "" if times is None else judged(times),
            )
            lines.append(f"| {' | '.join(cells)} |")
    return [*lines, "", absent] if lacking else lines


def is_ours(contender: str) -> bool:
    return contender.startswith("barproof")


def named(row: dict[str, str]) -> str:
    """Contender with the number of combinations that it ran."""
    count = int(row["combinations"])
    return f"{row['contender']}, {count:,} combination{'s' if count > 1 else ''}"


def measured(name: str) -> str:
    """Which record it is, where and when it was taken."""
    found = timing.latest(name)
    if found is None:
        return f"- `{name}`: not measured yet"
    path, rows = found
    row = rows[0]
    return (
        f"- `benches/record/{path.name}`: {row['date']} UTC, commit `{row['commit']}`, {row['machine']}, "
        f"load at the start {row['load']}"
    )


def memory_table() -> list[str]:
    """Every contender's peak, with what it did."""
    rows = of("peaks").rows
    if not rows:
        return ["Not measured yet."]
    lines = [
        "| workload | contender | job | threads | peak, MiB | held before, MiB | times barproof's peak | |",
        "|---|---|---|--:|--:|--:|--:|---|",
    ]
    base: dict[tuple[str, str], float] = {}
    for row in rows:
        kind = (
            row["workload"],
            row["job"].split(",")[0].split(" ")[0] if row["workload"] == "D" else "",
        )
        peak = float(row["peak_mib"])
        ours = base.setdefault(kind, peak)
        lines.append(
            f"| {row['workload']} | {row['contender']} | {row['job']} | {row['threads']} | {peak:,.0f} | "
            f"{float(row['held_mib']):,.0f} | {peak / ours:.3g} | {row['note']} |"
        )
    return lines


HEAD = """# Benchmarks

Barproof beside every peer that could be installed, wins and losses alike, each answer held against ours before a time
was taken. [Performance](performance.md) says what is measured and how, and what limits what falls short. This page is
written by `benches/page.py` from the newest records in `benches/record/`; nobody edits it by hand.

`make bench` runs everything on this page in one go. Only ratios within one table count: the machine is shared, and
figures of different records do not compare. *Times barproof's time* is per combination, against the row of barproof in
the same case that is most like the contender: as many combinations, as many threads, the same precision, where it ran
so. A *loss* is a contender that took less than 95% of that time; within 5% is *level*.

Of memory stands the most that a fresh process held which does the job once, libraries and data included, and in
brackets what it held just before.
"""
OF_A = """## A: grids of thresholds

A million minutes; 256 combinations of entry, exit, stop and target unless the table says another number. The
frameworks call Python at each bar: they run four combinations, longs alone, on the first 100,000 minutes, and so does
barproof beside them. What they do otherwise (a stop that is not looked at on the bar of the entry, a target that the
open has passed) is in `benches/frameworks.py`.
"""
OF_B = """## B: features

Eleven features, 16 columns, over five million minutes; *kept*: in memory that stays with the process, for all.
"""
OF_C = """## C: inference

Nets on windows, one thread of a processor, seconds of the processor. *Resident windows* is torch's own loop over
windows that lie ready in memory. The accelerator's figures are in [performance](performance.md#gpu).
"""
OF_D = """## D: statistics

1,460 days x 1,000 trials. What a peer does once per resample is timed on fewer where the whole would take minutes;
times are scaled and the record says on how many.
"""
MEMORY = """## Memory

One fresh process a contender. For less than the whole job, the column *job* says how much of it.
"""
ELSEWHERE = """Other jobs have records and sections of their own: [accounts](performance.md#accounts),
[real data](performance.md#real-data), [rows of features](performance.md#rows-of-features),
[labels](performance.md#labels), [live sessions](live.md), [audits](audits.md).
"""
CASES_A = ("grid", "libraries", "frameworks", "product", "random", "one")
RECORDS = (
    "workload_a",
    "frameworks",
    "workload_b",
    "inference",
    "encoder",
    "gpu",
    "workload_d",
    "peaks",
)


def of_a(case: str) -> bool:
    return case.startswith(CASES_A)


def of_b(case: str) -> bool:
    return case.removeprefix("kept ").startswith(("feature ", "set", "stream"))


def of_d(case: str) -> bool:
    return case != "sweep"  # ours alone


def of_c(case: str) -> bool:
    return not case.startswith("memory")


def render() -> str:
    """The page."""
    standing = goals()
    met = sum(goal.met is True for goal in standing)
    missed = sum(goal.met is False for goal in standing)
    rest = len(standing) - met - missed
    peaks_a = ("grid dense", "libraries dense", "frameworks")
    grids = ("workload_a", "frameworks")
    parts: list[list[str]] = [
        [HEAD],
        ["## Goals\n", f"{met} met, {missed} missed, {rest} not measured on this machine.\n"],
        ["| workload | goal | wanted | measured | |", "|---|---|---|--:|---|"],
        [*(goal.row() for goal in standing), ""],
        [OF_A, *contest("A", grids, of_a, held_a, peaks_a), ""],
        [OF_B, *contest("B", ("workload_b",), of_b, held_b, ("set",)), ""],
        [OF_C, *contest("C", ("inference", "encoder"), of_c, held_c, ("encoder",)), ""],
        [OF_D, *contest("D", ("workload_d",), of_d, held_d, ("cscv", "superior 10")), ""],
        [MEMORY, *memory_table(), ""],
        ["## Instructions\n", *instructions(), ""],
        ["## Records\n", *(measured(name) for name in RECORDS), ""],
        [ELSEWHERE.rstrip("\n"), ""],
    ]
    return "\n".join(line for part in parts for line in part)


def instructions() -> list[str]:
    """The baseline that `make instructions` holds every build to."""
    from benches import instructions as counts

    found, made_by = counts.read()
    lines = [
        "Counts do not drift with the machine, times do: `make instructions` runs small fixed workloads under",
        f"callgrind and fails where one takes over {counts.MOST:.0%} more or fewer instructions than the baseline in",
        "`benches/instructions.csv`, by name. valgrind knows no AVX-512, so each runs on the AVX2 path and on the",
        f"portable one (`BARPROOF_SIMD=avx2`, `portable`). The baseline is of {made_by}.",
        "",
        "| workload | AVX2 | portable |",
        "|---|--:|--:|",
    ]
    for name in dict.fromkeys(name for name, _ in found):
        cells = (f"{found[name, path] / 1e6:,.1f} M" for path in counts.PATHS)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines
