"""Extension module: take, call, wrap. Nothing here is public; the package in front of it is."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INDEXED",
    "RELEASE_BUILD",
    "Bars",
    "FeatureGraph",
    "FeatureStream",
    "FeatureTable",
    "LiveAccount",
    "LiveShared",
    "Signals",
    "TargetTable",
    "__version__",
    "backtest",
    "block_sums",
    "block_sums_of_table",
    "check_field",
    "check_rules",
    "check_table",
    "cscv_splits",
    "digest",
    "exit_labels",
    "feature_table",
    "horizon_cells",
    "horizon_labels",
    "long_run_deviations",
    "metrics_table",
    "missed",
    "portfolio",
    "resampled_maxima",
    "rules_table",
    "simd_path",
    "simd_paths",
    "simulate",
    "stationary_positions",
    "sweep_account",
    "sweep_entries",
    "sweep_paths",
    "sweep_table",
    "trade_cells",
    "trade_labels",
    "unserved",
    "vote_labels",
]

__version__: str
RELEASE_BUILD: bool
INDEXED: bool

_Floats = NDArray[np.float64]
_Times = NDArray[np.int64]
_Costs = tuple[float, float, float]
_Instrument = tuple[str, float, float, float]

@final
class Bars:
    """Immutable candle columns, digested once."""

    def __new__(
        cls,
        open_time: _Times,
        open: _Floats,
        high: _Floats,
        low: _Floats,
        close: _Floats,
        volume: _Floats,
        *,
        interval_ms: int,
        extra: Mapping[str, _Floats],
        funding_time: _Times | None,
        funding_rate: _Floats | None,
        labels: Sequence[tuple[str, str]],
    ) -> Bars: ...
    @property
    def open_time(self) -> _Times: ...
    @property
    def even(self) -> bool: ...
    def shares_times(self, other: Bars) -> bool: ...
    @property
    def open(self) -> _Floats: ...
    @property
    def high(self) -> _Floats: ...
    @property
    def low(self) -> _Floats: ...
    @property
    def close(self) -> _Floats: ...
    @property
    def volume(self) -> _Floats: ...
    @property
    def extra(self) -> dict[str, _Floats]: ...
    @property
    def funding_time(self) -> _Times | None: ...
    @property
    def funding_rate(self) -> _Floats | None: ...
    @property
    def interval_ms(self) -> int: ...
    @property
    def labels(self) -> list[tuple[str, str]]: ...
    @property
    def digest(self) -> str: ...
    def __len__(self) -> int: ...

@final
class Signals:
    """Immutable signal arrays, checked and digested once."""

    def __new__(cls, kind: str, arrays: Mapping[str, _Floats | None]) -> Signals: ...
    @property
    def kind(self) -> str: ...
    @property
    def digest(self) -> str: ...
    def array(self, name: str) -> _Floats | None: ...
    def __len__(self) -> int: ...

@final
class FeatureGraph:
    """A compiled set of features."""

    def __new__(cls, features: Sequence[str], own: Sequence[str]) -> FeatureGraph: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def digest(self) -> str: ...
    @property
    def symbols(self) -> list[str]: ...
    @property
    def extra(self) -> list[str]: ...
    @property
    def readers(self) -> list[str]: ...
    def facts(
        self, interval_ms: int | None, own: Sequence[tuple[str, int, int]]
    ) -> list[tuple[str, int | None, int]] | None: ...
    def steps(self) -> list[tuple[int, str, list[int], int, int]]: ...
    def explain(self, feature: int) -> list[tuple[int, str, str, str]]: ...
    def compute(
        self,
        symbols: Sequence[tuple[str, Bars]],
        own: Sequence[_Floats],
        out: Sequence[_Floats],
        *,
        threads: int,
    ) -> None: ...
    def table(
        self,
        books: Sequence[tuple[Sequence[tuple[str, Bars]], Sequence[_Floats], _Times | None]],
        *,
        threads: int,
    ) -> FeatureTable: ...
    @property
    def of(self) -> list[str | None]: ...
    def on(self, symbol: str) -> list[str]: ...
    def stream(self, symbol: str, interval_ms: int) -> FeatureStream: ...

@final
class FeatureTable:
    """Rows of features that are written into arrays, in order."""

    @property
    def rows(self) -> int: ...
    @property
    def width(self) -> int: ...
    def fill(
        self, out: NDArray[Any], *, columns: bool, progress: Callable[[int], None] | None
    ) -> int: ...

@final
class FeatureStream:
    """Features bar by bar."""

    @property
    def feeds(self) -> list[str]: ...
    @property
    def bars(self) -> int: ...
    @property
    def last_time(self) -> int | None: ...
    @property
    def reads(self) -> list[list[bool]]: ...
    def copy(self) -> FeatureStream: ...
    def hand_on(self, slow: Callable[[Any, Any], _Floats]) -> None: ...
    def know(self, class_: type) -> None: ...
    def row(self, bar: Any, out: _Floats | None = None) -> _Floats: ...
    def check(self, feed: int, bar: tuple[Any, ...], extra: Sequence[float]) -> None: ...
    def feed(self, feed: int, bar: tuple[Any, ...], extra: Sequence[float]) -> None: ...
    def update(
        self,
        bar: tuple[Any, ...],
        extra: Sequence[float],
        own: Sequence[float],
        out: _Floats | None,
    ) -> _Floats: ...
    def update_many(self, symbols: Sequence[Bars], own: Sequence[_Floats]) -> _Floats: ...
    def snapshot(self, more: bytes) -> bytes: ...
    def restored(self, bytes: bytes, needed: str) -> tuple[FeatureStream, bytes]: ...

_Shown: TypeAlias = tuple[
    int, int, float, float, float, float, float, float, float, float
]  # side, entry time, price, quantity, fraction, leverage, stop, target, liquidation, p
_Planned: TypeAlias = tuple[int, float | None, int, bool, _Shown | None]
_After: TypeAlias = tuple[
    int, float, dict[str, Any] | None, _Shown | None, str | None, _Planned | None, bool
]

@final
class LiveAccount:
    """One account, stepped bar by bar."""

    def __new__(
        cls,
        book: Sequence[dict[str, Any]],
        *,
        kind: str,
        arrays: Sequence[str],
        costs: _Costs,
        instrument_: _Instrument,
        interval_ms: int,
        initial_equity: float,
    ) -> LiveAccount: ...
    @property
    def bars(self) -> int: ...
    @property
    def last_time(self) -> int | None: ...
    def choose(self, number: int | None) -> None: ...
    def warm(self, bars: Bars) -> None: ...
    def step(
        self,
        bar: tuple[int, float, float, float, float, float],
        funding_time: Sequence[int],
        funding_rate: Sequence[float],
        row: tuple[float, float, float, float, float, float, float],
        last: bool = False,
    ) -> _After: ...
    def save(self) -> bytes: ...
    def loaded(self, bytes: bytes) -> LiveAccount: ...

@final
class LiveShared:
    """One account of several symbols, stepped time by time."""

    def __new__(
        cls,
        symbols: Sequence[LiveAccount],
        *,
        max_positions: int | None,
        max_gross: float | None,
    ) -> LiveShared: ...
    def bars(self, symbol: int) -> int: ...
    def choose(self, symbol: int, number: int | None) -> None: ...
    def warm(self, symbol: int, bars: Bars) -> None: ...
    def step(
        self,
        bars: Sequence[
            tuple[
                int,
                tuple[int, float, float, float, float, float],
                Sequence[int],
                Sequence[float],
                tuple[float, float, float, float, float, float, float],
                bool,
            ]
        ],
    ) -> tuple[
        list[tuple[int, _After]], list[tuple[int, dict[str, Any]]], dict[str, Any] | None
    ]: ...
    def save(self) -> bytes: ...
    def loaded(self, bytes: bytes) -> LiveShared: ...

def digest(kind: str, items: Sequence[str]) -> str: ...
def check_field(name: str, object: object) -> None: ...
def check_rules(fields: dict[str, Any]) -> dict[str, Any]: ...
def check_table(
    base: dict[str, Any], columns: dict[str, list[Any]], count: int
) -> tuple[int, str] | None: ...
def feature_table() -> list[dict[str, Any]]: ...
def rules_table() -> list[dict[str, Any]]: ...
def metrics_table() -> list[dict[str, Any]]: ...
def backtest(
    bars: Bars,
    signals: Signals,
    schedule: Sequence[tuple[int, dict[str, Any]]],
    *,
    boundary: str,
    costs: _Costs,
    instrument_: _Instrument,
    window_: tuple[int, int],
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    intrabar: Bars | None = None,
) -> dict[str, Any]: ...
def portfolio(
    legs: Sequence[
        tuple[
            Bars,
            Signals,
            Sequence[tuple[int, dict[str, Any]]],
            _Costs,
            _Instrument,
            tuple[int, int],
        ]
    ],
    limits_: Sequence[tuple[int, int | None, float | None]],
    *,
    boundary: str,
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    parts: bool,
) -> dict[str, Any]: ...
def sweep_account(
    markets: Sequence[tuple[Bars, Signals, _Costs, _Instrument]],
    base: dict[str, Any],
    columns: dict[str, list[Any]],
    count: int,
    *,
    limits_: tuple[int | None, float | None],
    traded: list[bool],
    windows: list[tuple[int, int]],
    edges: list[tuple[int, int]],
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    threads: int,
    keep_daily: bool,
    progress: Any,
) -> dict[str, Any]: ...
def missed(
    legs: Sequence[Any], entries: Sequence[tuple[int, int, float]], boundary: str
) -> list[tuple[int, str, float] | None]: ...
def sweep_table(
    bars: Bars,
    signals: Signals,
    base: dict[str, Any],
    columns: dict[str, list[Any]],
    count: int,
    *,
    costs: _Costs,
    instrument_: _Instrument,
    windows: Sequence[tuple[int, int]],
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    threads: int,
    keep_daily: bool,
    progress: Callable[[int, int], None] | None,
    finer: Bars | None = None,
) -> dict[str, Any]: ...
def sweep_entries(
    bars: Bars,
    signals: Signals,
    base: dict[str, Any],
    *,
    long: tuple[NDArray[np.int64], NDArray[np.float64], list[int]] | None,
    short: tuple[NDArray[np.int64], NDArray[np.float64], list[int]] | None,
    costs: _Costs,
    instrument_: _Instrument,
    window_: tuple[int, int],
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    threads: int,
    keep_daily: bool,
    progress: Callable[[int, int], None] | None,
    finer: Bars | None = None,
) -> dict[str, Any]: ...
def sweep_paths(
    bars: Bars,
    signals: Signals,
    base: dict[str, Any],
    columns: dict[str, list[Any]],
    count: int,
    *,
    parts: Sequence[tuple[int, int]],
    costs: _Costs,
    instrument_: _Instrument,
    windows: Sequence[tuple[int, int]],
    initial_equity: float,
    periods_per_year: float,
    engine: str,
    threads: int,
    finer: Bars | None = None,
) -> list[tuple[str, str | None, int, int]]: ...
def unserved(
    bars: Bars, finer: Bars, windows: Sequence[tuple[int, int]]
) -> list[tuple[int, int, int | None]]: ...
def simulate(
    *,
    seed: int,
    bars: int,
    interval_ms: int,
    start_ms: int,
    edge: float,
    symbols: int,
    price: float,
    annual_volatility: float,
    correlation: float,
) -> list[dict[str, NDArray[Any]]]: ...
def simd_path() -> str:
    """Instructions that the engine uses now, by the name that `BARPROOF_SIMD` takes."""

def simd_paths() -> list[str]:
    """Instructions that this machine has, the plainest first."""

def stationary_positions(
    n: int, *, mean_block: float, rows: int, seed: int, threads: int
) -> NDArray[np.int64]: ...
def block_sums(
    returns: NDArray[np.float64], *, periods: int, blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def block_sums_of_table(
    returns: NDArray[np.float64], *, blocks: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
def cscv_splits(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    periods: int,
    blocks: int,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, NDArray[Any]]: ...
def long_run_deviations(
    returns: NDArray[np.float64], *, periods: int, mean_block: float
) -> NDArray[np.float64]: ...
def resampled_maxima(
    returns: NDArray[np.float64],
    *,
    periods: int,
    deviations: NDArray[np.float64],
    offsets: tuple[NDArray[np.float64], NDArray[np.float64]],
    statistics: NDArray[np.float64],
    before: NDArray[np.float64] | None,
    positions: NDArray[np.int64] | None,
    anew: bool,
    mean_block: float,
    rows: int,
    seed: int,
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> tuple[NDArray[np.float64], NDArray[np.uint64]]: ...

@final
class TargetTable:
    """A table whose rows to come are gathered as rows x steps x channels."""

    def __new__(
        cls,
        values: _Floats,
        *,
        width: int,
        channels: Sequence[int],
        steps: int,
        form: str,
    ) -> TargetTable: ...
    def gather(self, rows: NDArray[np.int64], single: bool, threads: int) -> NDArray[Any]: ...

def horizon_labels(
    bars: Bars, *, horizon_bars: int, threshold: float, kind: str, clock: str, threads: int
) -> _Floats:
    """Give the returns over the bars after each bar, or their classes; NaN where the prices end before."""

def vote_labels(ballots: Sequence[_Floats], *, k: int, threads: int) -> _Floats:
    """1 or -1 where at least k of the ballots are, else 0; NaN where one of them is."""

def trade_labels(
    bars: Bars,
    fields: Mapping[str, Any],
    sides: NDArray[np.int8],
    *,
    signals: Signals | None,
    costs: _Costs,
    instrument_: _Instrument,
    initial_equity: float,
    by_bar: bool,
    threads: int,
    progress: Callable[[int, int], None] | None,
    finer: Bars | None,
) -> dict[str, Any]:
    """Try one decision a bar (1 long, -1 short, 0 none), each with an account of its own."""

def exit_labels(
    bars: Bars,
    fields: Mapping[str, Any],
    sides: NDArray[np.int8],
    *,
    signals: Signals | None,
    costs: _Costs,
    instrument_: _Instrument,
    initial_equity: float,
    threads: int,
    finer: Bars | None,
) -> dict[str, Any]:
    """Try leaving at every close at which a position is held, beside staying."""

def horizon_cells(
    bars: Bars,
    *,
    lengths: Sequence[int],
    levels: Sequence[float],
    ternary: bool,
    clock: str,
    volume: _Floats,
    least: Sequence[float],
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Count and sum horizon labels, a cell a length, threshold and volume; both lists increase."""

def trade_cells(
    bars: Bars,
    base: Mapping[str, Any],
    columns: Mapping[str, Sequence[Any]],
    count: int,
    *,
    long: bool,
    threshold: float,
    signals: Signals | None,
    costs: _Costs,
    instrument_: _Instrument,
    initial_equity: float,
    volume: _Floats,
    least: Sequence[float],
    threads: int,
    progress: Callable[[int, int], None] | None,
) -> dict[str, Any]:
    """Count and sum trade labels, a cell a combination of rules and volume."""
