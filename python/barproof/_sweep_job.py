"""What a sweep runs: symbols, signal sets, windows and combinations, cut into pieces for the core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from barproof import _core
from barproof._frames import METRICS, metric_series, times
from barproof._grid import Grid
from barproof._machine import thread_count
from barproof._progress import Progress
from barproof._setting import Setting, served, setting
from barproof._signal_sets import SignalSets, check_signals
from barproof._windows import Window, as_windows, overlap
from barproof.candles import Candles
from barproof.errors import LayoutError, ParameterError
from barproof.rules import Rules

__all__ = [
    "RANGE",
    "Done",
    "Job",
    "Leg",
    "Piece",
    "axis_series",
    "call",
    "prepare",
    "routes",
]

RANGE = tuple(
    (metric, way) for metric in ("total_return", "sharpe") for way in ("pessimistic", "optimistic")
)
"""Columns that `with_range=True` adds: metric, and how ambiguous bars were settled."""

PIECE_ROWS = 100_000
"""Rows of a part: about 150 MiB while it is made, and what a kill loses at most."""

PIECE_STEPS = 5_000_000_000
"""Bar steps of a part, so that long candles have parts of seconds too; at least `PIECE_LEAST` combinations."""

PIECE_LEAST = 64


@dataclass(frozen=True)
class Leg:
    """One symbol of a sweep: a setting for each set of signals, and the windows."""

    symbol: str | None
    settings: tuple[Setting, ...]
    windows: list[Window]

    @property
    def span(self) -> Window:
        """From the first bar of any window to the last."""
        return min(start for start, _ in self.windows), max(stop for _, stop in self.windows)

    @property
    def bars(self) -> int:
        """Bars of all windows together."""
        return sum(stop - start for start, stop in self.windows)

    @property
    def pooling(self) -> str:
        """How windows are pooled."""
        return "mean" if overlap(self.windows) else "compounded"


@dataclass(frozen=True)
class Piece:
    """Consecutive combinations of the grid, on one symbol with one set of signals."""

    leg: int
    signals: int
    low: int
    high: int

    def __len__(self) -> int:
        return self.high - self.low

    def text(self) -> str:
        """For manifests."""
        return f"{self.leg}:{self.signals}:{self.low}..{self.high}"


@dataclass(frozen=True)
class Done:
    """What a piece came to."""

    combinations: NDArray[np.int64]
    frame: pl.DataFrame
    pooled: pl.DataFrame
    interrupted: bool


@dataclass(frozen=True)
class Job:
    """A checked sweep."""

    legs: tuple[Leg, ...]
    names: tuple[str, ...] | None
    grid: Grid
    threads: int
    ranged: bool

    @property
    def sets(self) -> int:
        """Signal sets."""
        return 1 if self.names is None else len(self.names)

    @property
    def width(self) -> int:
        """Combinations of one symbol; their numbers count the grid within each set of signals."""
        return self.sets * len(self.grid)

    @property
    def several(self) -> bool:
        """Whether frames have a column `symbol`."""
        return self.legs[0].symbol is not None

    @property
    def rows(self) -> int:
        """Rows of the frame."""
        return self.width * sum(len(leg.windows) for leg in self.legs)

    @property
    def axes(self) -> list[str]:
        """Columns that vary."""
        return [*(() if self.names is None else ("signals",)), *self.grid.axes]

    def place(self, combination: int) -> tuple[int, int]:
        """Set of signals, and number within the grid."""
        return divmod(combination, len(self.grid))

    def pieces(self, *, whole: bool) -> list[Piece]:
        """Pieces in the order of the frame: as large as can be, or of bounded size."""
        out = []
        for number, leg in enumerate(self.legs):
            size = len(self.grid) if whole else self.piece_size(leg)
            for chosen in range(self.sets):
                for low in range(0, len(self.grid), size):
                    out.append(Piece(number, chosen, low, min(low + size, len(self.grid))))
        return out

    def piece_size(self, leg: Leg) -> int:
        """How many combinations a part has."""
        by_steps = max(PIECE_LEAST, PIECE_STEPS // leg.bars)
        return min(len(self.grid), max(1, min(PIECE_ROWS // len(leg.windows), by_steps)))

    def refuse_silence(self) -> None:
        """Refuse signals that never say anything; a mistake, where a user gave them."""
        for leg in self.legs:
            for i, made in enumerate(leg.settings):
                what = "signals" if self.names is None else f"signals {self.names[i]!r}"
                check_signals(made.signals, f"{what} of {leg.symbol!r}" if self.several else what)

    def check(self, pieces: list[Piece]) -> None:
        """Let every combination meet its signals and its instrument, over one bar."""
        for piece in pieces:
            leg = self.legs[piece.leg]
            made = leg.settings[piece.signals]
            bar = leg.windows[0][0]
            window = [(bar, bar + 1)]
            try:
                call(made, self.grid, piece.low, piece.high, window, self.threads, None)
            except (ValueError, TypeError) as error:
                name = None if self.names is None else self.names[piece.signals]
                _where(error, leg.symbol, name)
                if piece.low:
                    # The core counts from the first combination that it is given.
                    call(made, self.grid, 0, piece.high, window, self.threads, None)
                raise

    def run(self, piece: Piece, progress: Progress | None) -> Done:
        """Run a piece; `progress` takes combinations of the piece."""
        leg = self.legs[piece.leg]
        made = leg.settings[piece.signals]
        ways = self._ways(piece)
        runs: dict[str | None, dict[str, Any]] = {}
        extra = [way for way in dict.fromkeys(ways.values()) if way is not None]
        interrupted = False
        for i, way in enumerate((None, *extra)):
            report: Progress | None = None
            if progress is not None:

                def report(done: int, _: int, i: int = i, share: int = 1 + len(extra)) -> None:
                    progress((i * len(piece) + done) // share, len(piece))

            raw = call(
                made,
                self.grid,
                piece.low,
                piece.high,
                leg.windows,
                self.threads,
                report,
                intrabar=way,
            )
            runs[way] = raw
            interrupted = interrupted or bool(raw["interrupted"])
            if interrupted:
                break
        complete = len(runs) == 1 + len(extra)
        done = np.logical_and.reduce([raw["done"] for raw in runs.values()])
        if not complete:
            done = np.zeros_like(done)
        numbers = piece.signals * len(self.grid) + piece.low + np.flatnonzero(done)
        windows = len(leg.windows)

        def rows(raw: dict[str, Any], table: str) -> list[NDArray[np.float64]]:
            kept = done[raw["done"]]
            if kept.all():
                return list(raw[table])
            kept = np.repeat(kept, windows) if table == "frame" else kept
            return [c[kept] for c in raw[table]]

        tables = {}
        for table in ("frame", "pooled"):
            main = rows(runs[None], table)
            more: list[pl.Series] = []
            if self.ranged and complete:
                held = {way: rows(runs[source], table) for way, source in ways.items()}
                more = [
                    pl.Series(f"{metric}_{way}", held[way][_COLUMN[metric]])
                    for metric, way in RANGE
                ]
            elif self.ranged:
                more = [pl.Series(f"{m}_{way}", [], dtype=pl.Float64) for m, way in RANGE]
            tables[table] = main, more
        columns = self._held(leg, numbers, *tables["frame"])
        if windows == 1 and all(leg.pooling == "compounded" for leg in self.legs):
            pooled = _own_pool(columns, leg.pooling)
        else:
            pooled = self._pooled(leg, numbers, *tables["pooled"])
        return Done(numbers, pl.DataFrame(columns), pooled, interrupted)

    def _ways(self, piece: Piece) -> dict[str, str | None]:
        """Ways to settle ambiguous bars, and the run that shows each: None is the sweep's own."""
        if not self.ranged:
            return {}
        column = self.grid._columns.get("intrabar")
        own = {self.grid.rules.intrabar} if column is None else set(column[piece.low : piece.high])
        return {w: None if own == {w} else w for w in ("pessimistic", "optimistic")}

    def _axes(self, numbers: NDArray[np.int64]) -> list[pl.Series]:
        out = []
        if self.names is not None:
            names = pl.Series("signals", list(self.names), dtype=pl.String)
            out.append(names[numbers // len(self.grid)])
        at = numbers % len(self.grid)
        if np.array_equal(at, np.arange(len(self.grid))):
            return [*out, *self.grid._series]
        return [*out, *(series[at] for series in self.grid._series)]

    def _symbol(self, leg: Leg, n: int) -> list[pl.Series]:
        return [pl.Series("symbol", [leg.symbol] * n, dtype=pl.String)] if self.several else []

    def _held(
        self,
        leg: Leg,
        numbers: NDArray[np.int64],
        columns: list[NDArray[np.float64]],
        more: list[pl.Series],
    ) -> list[pl.Series]:
        """Columns of the frame."""
        n = len(leg.windows)
        candles = leg.settings[0].candles
        start = times(candles.open_time[[w[0] for w in leg.windows]])
        end = times(candles.open_time[[w[1] - 1 for w in leg.windows]] + candles.interval_ms)
        number = np.tile(np.arange(n, dtype=np.uint32), len(numbers))
        every = np.repeat(numbers, n)
        return [
            *self._symbol(leg, len(every)),
            pl.Series("combination", every.astype(np.uint32)),
            pl.Series("window", number),
            start[number].alias("start"),
            end[number].alias("end"),
            *self._axes(every),
            *metric_series(columns, counts=True),
            *more,
        ]

    def _pooled(
        self,
        leg: Leg,
        numbers: NDArray[np.int64],
        columns: list[NDArray[np.float64]],
        more: list[pl.Series],
    ) -> pl.DataFrame:
        """Frame of pooled rows of one symbol, with the axes of their combinations."""
        return pl.DataFrame(
            [
                *self._symbol(leg, len(numbers)),
                pl.Series("combination", numbers.astype(np.uint32)),
                pl.Series("pooling", [leg.pooling] * len(numbers), dtype=pl.String),
                *self._axes(numbers),
                # Means over windows or symbols are no whole numbers.
                *metric_series(columns, counts=all(g.pooling == "compounded" for g in self.legs)),
                *more,
            ]
        )

    def memory(self, pieces: list[Piece], *, kept: bool) -> int:
        """Peak of the results in bytes: of all pieces, or of the largest one and the pooled rows."""
        axes = len(self.axes) + self.several
        each = []
        for piece in pieces:
            leg = self.legs[piece.leg]
            longest = max(b - a for a, b in leg.windows)
            one = memory(len(piece), len(leg.windows), axes, longest, self.threads)
            if leg.settings[0].intrabar is not None:
                # Which finer bars lie in each.
                one += 16 * len(leg.settings[0].candles)
            each.append(one * (1 + len(set(self._ways(piece).values()) - {None})))
        if kept:
            return sum(each)
        pooled = self.width * len(self.legs) * (8 * len(METRICS) + 16 * axes + 32)
        # A part is encoded while it is still there.
        return max(each) * 3 // 2 + 2 * pooled + 512 * self.width

    def identity(self) -> dict[str, str]:
        """Digests and settings: what must be equal for two sweeps to have the same frame."""
        first = self.legs[0].settings[0]
        facts = dict(first.provenance())
        symbols = [leg.symbol or "" for leg in self.legs]
        if self.several:
            digests = [leg.settings[0].candles.digest for leg in self.legs]
            facts["candles"] = _core.digest("symbols/1", [*symbols, *digests])
            facts["symbols"] = ", ".join(symbols)
        if self.several or self.names is not None:
            items = [made.signals.digest for leg in self.legs for made in leg.settings]
            facts["signals"] = _core.digest("signals/1", [*symbols, *(self.names or ()), *items])
        if self.names is not None:
            facts["signal_sets"] = ", ".join(self.names)
        finer = [made.intrabar for leg in self.legs for made in leg.settings[:1]]
        if self.several and first.intrabar is not None:
            digests = ["" if one is None else one.digest for one in finer]
            facts["intrabar"] = _core.digest("symbols/1", [*symbols, *digests])
        facts["grid"] = self.grid.digest
        facts["combinations"] = str(self.width)
        return facts


@runtime_checkable
class Table(Protocol):
    """What runs combinations by itself: an account of several symbols."""

    def table(
        self,
        base: Rules,
        columns: dict[str, Any],
        count: int,
        windows: list[Window],
        threads: int,
        progress: Any,
        *,
        daily: bool,
    ) -> dict[str, Any]:
        """Run them."""


_COLUMN = {row["name"]: i for i, row in enumerate(METRICS)}


def _own_pool(columns: list[pl.Series], pooling: str) -> pl.DataFrame:
    """Pooled rows of one window: its own, to the bit, without what tells windows apart."""
    at = [column.name for column in columns].index("window")
    word = pl.Series("pooling", [pooling] * len(columns[at]), dtype=pl.String)
    return pl.DataFrame([*columns[:at], word, *columns[at + 3 :]])


def _where(error: BaseException, symbol: str | None, name: str | None) -> None:
    """Say which symbol and which signals were run."""
    if name is not None:
        error.add_note(f"with the signals {name!r}")
    if symbol is not None:
        error.add_note(f"on the symbol {symbol!r}")


def axis_series(grid: Grid, rows: NDArray[np.int64] | pl.Series) -> list[pl.Series]:
    """Axes of these combinations, one column each; null where the combination is."""
    return [series.gather(rows) for series in grid._series]


def memory(combinations: int, windows: int, axes: int, bars: int, threads: int) -> int:
    """Peak of results: metrics in the core, then in numpy, then in frames; one curve a thread."""
    rows = combinations * (windows + 1)
    metrics = 8 * len(METRICS)
    return rows * (3 * metrics + 64 * axes) + 512 * combinations + 24 * bars * threads


def call(
    made: Setting,
    grid: Grid,
    low: int,
    high: int,
    windows: list[Window],
    threads: int,
    progress: Progress | None,
    *,
    daily: bool = False,
    intrabar: str | None = None,
    rows: list[int] | None = None,
) -> dict[str, Any]:
    """Run combinations `low` to `high` of a grid, or these rows of it, in the core."""
    base: Rules = grid.rules
    columns = _columns(grid, low, high, rows)
    if intrabar is not None:
        base = base.replace(intrabar=intrabar)
        columns.pop("intrabar", None)
    count = high - low if rows is None else len(rows)
    if isinstance(made, Table):
        return made.table(base, columns, count, windows, threads, progress, daily=daily)
    return _core.sweep_table(
        made.candles._bars,
        made.signals._bars,
        base.to_dict(),
        columns,
        count,
        windows=windows,
        threads=threads,
        keep_daily=daily,
        progress=progress,
        finer=None if made.intrabar is None else made.intrabar._bars,
        **made.options(),
    )


def _columns(grid: Grid, low: int, high: int, rows: list[int] | None = None) -> dict[str, Any]:
    """Values of combinations `low` to `high` of a grid, or of these rows of it, by the rule that varies."""
    return {
        n: values[low:high] if rows is None else [values[i] for i in rows]
        for n, values in grid._columns.items()
    }


def routes(job: Job, pieces: list[Piece]) -> dict[tuple[str, str | None], tuple[int, int]]:
    """Count combinations, and groups of them, by the way that the core takes and its reason."""
    parts: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for piece in pieces:
        parts.setdefault((piece.leg, piece.signals), []).append((piece.low, piece.high))
    found: dict[tuple[str, str | None], tuple[int, int]] = {}
    base, columns = job.grid.rules.to_dict(), _columns(job.grid, 0, len(job.grid))
    for (leg, signals), ranges in parts.items():
        made = job.legs[leg].settings[signals]
        if isinstance(made, Table):
            path = "replay" if made.engine == "replay" else "account"
            before = found.get((path, None), (0, 0))
            found[path, None] = before[0] + sum(high - low for low, high in ranges), 0
            continue
        told = _core.sweep_paths(
            made.candles._bars,
            made.signals._bars,
            base,
            columns,
            len(job.grid),
            parts=ranges,
            windows=job.legs[leg].windows,
            threads=job.threads,
            finer=None if made.intrabar is None else made.intrabar._bars,
            **made.options(),
        )
        for path, reason, combinations, groups in told:
            before = found.get((path, reason), (0, 0))
            found[path, reason] = before[0] + combinations, before[1] + groups
    return found


def prepare(
    candles: Any,
    signals: Any,
    grid: Any,
    windows: Any,
    threads: int | None,
    with_range: bool,
    intrabar_candles: Any = None,
    *,
    told: bool = False,
    **options: Any,
) -> Job:
    """Check the arguments of a sweep; `options` are those of a setting, `told` is what finer candles leave out."""
    if not isinstance(grid, Grid):
        raise LayoutError(
            f"`grid` must be a Grid, was {type(grid).__name__}: use Grid(rules, stop_loss=[...])"
        )
    if isinstance(candles, Candles) or not isinstance(candles, Mapping):
        markets: dict[str | None, tuple[Any, Any]] = {None: (candles, signals)}
    else:
        markets = _pairs(candles, signals)
    finer = _finer(markets, intrabar_candles)
    names: tuple[str, ...] | None = None
    legs = []
    for number, (symbol, (bars, given)) in enumerate(markets.items()):
        own = given.names if isinstance(given, SignalSets) else None
        if number and own != names:
            raise ParameterError(
                f"the signals of {symbol!r} are {_sets_text(own)}, but those of {next(iter(markets))!r} "
                f"{_sets_text(names)}: give every symbol the same sets"
            )
        names = own
        sets = [given] if own is None else [given[name] for name in own]
        try:
            settings = tuple(
                setting(bars, one, intrabar_candles=finer[symbol], **options) for one in sets
            )
            spans = as_windows(bars, windows)
        except (ValueError, TypeError) as error:
            _where(error, symbol, None)
            raise
        if not told:
            served(settings[0], spans, "" if symbol is None else f" of {symbol!r}")
        legs.append(Leg(symbol, settings, spans))
    return Job(tuple(legs), names, grid, thread_count(threads), bool(with_range))


def _sets_text(names: tuple[str, ...] | None) -> str:
    return "no sets" if names is None else f"the sets {', '.join(names)}"


def _pairs(candles: Mapping[Any, Any], signals: Any) -> dict[str | None, tuple[Any, Any]]:
    """Candles and signals by symbol."""
    if not candles:
        raise ParameterError("`candles` hold no symbol: give at least one")
    if not isinstance(signals, Mapping):
        raise LayoutError(
            f"`signals` must be a mapping of symbol to signals, as `candles` is one, was {type(signals).__name__}"
        )
    for symbol in candles:
        if not isinstance(symbol, str) or not symbol.strip() or not symbol.isprintable():
            raise ParameterError(f"a symbol must be a printable text, was {symbol!r}")
    if set(signals) != set(candles):
        odd = sorted(map(str, set(signals) ^ set(candles)))
        raise ParameterError(
            f"symbol {odd[0]!r} has {'signals but no candles' if odd[0] in signals else 'candles but no signals'}: "
            "give both, or neither"
        )
    return {symbol: (candles[symbol], signals[symbol]) for symbol in candles}


def _finer(
    markets: Mapping[str | None, tuple[Any, Any]], intrabar_candles: Any
) -> dict[str | None, Any]:
    """Finer candles by symbol."""
    if intrabar_candles is None or None in markets:
        return dict.fromkeys(markets, intrabar_candles)
    if not isinstance(intrabar_candles, Mapping):
        raise LayoutError(
            "`intrabar_candles` must be a mapping of symbol to Candles, as `candles` is one, was "
            f"{type(intrabar_candles).__name__}"
        )
    if set(intrabar_candles) != set(markets):
        odd = sorted(map(str, set(intrabar_candles) ^ set(markets)))
        has = "has no" if odd[0] in markets else "is not among the candles, but has"
        raise ParameterError(
            f"symbol {odd[0]!r} {has} `intrabar_candles`: give them for every symbol, and for no other"
        )
    return {symbol: intrabar_candles[symbol] for symbol in markets}
