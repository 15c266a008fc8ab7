"""From options and ``barproof.toml`` to candles, signals, rules, costs and grids. Options win over the file."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import polars as pl

from barproof import _core
from barproof._grid import Grid
from barproof.candles import Candles, Instrument, read_candles
from barproof.candles.columns import times
from barproof.candles.sources import load
from barproof.cli.config import Config
from barproof.errors import ConfigError, DataWarning, ParameterError
from barproof.rules import NAMES, Costs, Rules
from barproof.signals import ARRAYS, Signals

__all__ = [
    "Market",
    "costs_of",
    "grid_from",
    "grid_of",
    "grid_parts",
    "is_trained",
    "judged_rows",
    "market_of",
    "read_market",
    "read_signals",
    "rules_of",
    "signals_asked",
    "sources_of",
]

TYPES: dict[str, str] = {row["name"]: row["type"] for row in _core.rules_table()}


@dataclass(frozen=True)
class Market:
    """What reading candles takes."""

    source: Path
    instrument: Instrument | str
    symbol: str | None = None
    interval: str | None = None
    funding: str | None = None
    calendar: str | None = None
    on_fault: str = "raise"
    repair: list[str] = field(default_factory=list)

    def options(self) -> dict[str, Any]:
        """Keyword arguments of :func:`barproof.read_candles`."""
        names = ("instrument", "symbol", "interval", "funding", "calendar", "on_fault", "repair")
        return {name: getattr(self, name) for name in names}


def market_of(
    config: Config,
    source: Path | None,
    *,
    instrument: str | None = None,
    symbol: str | None = None,
    interval: str | None = None,
    funding: str | None = None,
    calendar: str | None = None,
    on_fault: str | None = None,
    repair: Sequence[str] | None = None,
    funding_needed: bool = True,
) -> Market:
    """Join options and ``[candles]``; nothing is run where no funding is needed.

    Where another file is named than the section's `source`, what belongs to that file alone (symbol, interval,
    funding, repairs) is not taken over.
    """
    section = config.candles
    path = source or section.source
    if path is None:
        raise ConfigError(
            "candles are missing: name a file, or set `source` in [candles] of barproof.toml"
        )
    same = section.source is not None and path.absolute() == section.source.absolute()
    told = instrument or section.instrument
    if told is None:
        raise ConfigError("`--instrument` is missing: give perpetual, spot, equity or fx")
    kind = told if isinstance(told, str) else told.kind
    paid = funding or (section.funding if same else None)
    if kind == "perpetual" and paid is None and not funding_needed:
        paid = "none"
    if kind == "perpetual" and paid is None:
        raise ConfigError(
            "a perpetual pays funding: give `--funding` PATH, or `--funding none` to run without"
        )
    limits: dict[str, Any] = {} if isinstance(told, str) else told.model_dump()
    return Market(
        source=path,
        instrument=Instrument(**limits) if limits else kind,
        symbol=symbol or (section.symbol if same else None),
        interval=interval or (section.interval if same else None),
        funding=paid,
        calendar=calendar or section.calendar,
        on_fault=on_fault or section.on_fault,
        repair=list(repair or (section.repair if same else [])),
    )


def sources_of(
    config: Config, market: Market, signals: Path | None
) -> dict[str, str | Path | None]:
    """Files that are read, by what they hold: nothing may be written over them."""
    return {
        "candles": market.source,
        "settlements": None if market.funding == "none" else market.funding,
        "signals": signals or config.signals.source,
    }


def read_market(market: Market) -> Candles:
    """Read candles; a `DataWarning` becomes faults to be shown, not a second text on stderr."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return read_candles(market.source, **market.options())


def judged_rows(frame: pl.DataFrame, path: Path, part: str = "test") -> pl.DataFrame:
    """Rows of one part of a table that ``barproof train`` wrote; other tables have one, and are left as they are.

    Tune rows of a fold are test rows of the one before, and have chosen rules: a table with both would give a bar two
    predictions.
    """
    if not is_trained(frame):
        return frame
    kept = frame.filter(pl.col("part") == part)
    if not kept.height:
        held = frame["part"].unique().sort()
        raise ConfigError(
            f"{path.name!r} holds no {part} rows, only {' and '.join(held) or 'a header'}: name another part, or train "
            "with `--tune`"
        )
    return kept


def is_trained(frame: pl.DataFrame) -> bool:
    """Whether a table is one that ``barproof train`` wrote."""
    return (
        {"fold", "part"} <= set(frame.columns)
        and frame["part"].dtype == pl.String
        and frame["part"].is_in(["tune", "test"]).all()
    )


def read_signals(
    config: Config,
    source: Path | None,
    *,
    time: str | None = None,
    columns: Sequence[str] | None = None,
    kind: str | None = None,
) -> Signals:
    """Read the table of signals, joined to candles by time later."""
    section = config.signals
    path = source or section.source
    if path is None:
        raise ConfigError(
            "signals are missing: give `--signals` FILE, or set `source` in [signals] of barproof.toml"
        )
    chosen = dict(section.columns)
    for text in columns or ():
        array, sign, column = text.partition("=")
        if not sign or not column or array not in ARRAYS:
            raise ConfigError(
                f"`--signal-column {text}` must read ARRAY=COLUMN with one of {', '.join(ARRAYS)}: such as long=p_up"
            )
        chosen[array] = column
    frame, _ = load(path, name="signals")
    scores = is_trained(frame) and "prediction" in frame.columns
    frame = judged_rows(frame, path)
    meaning = kind or section.kind or ("score" if scores else "probability")
    if meaning not in ("probability", "score"):
        raise ConfigError(f"`--kind` must be probability or score, was {meaning!r}")
    label = time or section.time or "open_time"
    if not chosen and not any(name in frame.columns for name in ARRAYS):
        raise ConfigError(
            f"signals {path.name!r} have no column named {', '.join(ARRAYS)}, but {', '.join(frame.columns)}: say "
            "which is which, such as `--signal-column long=p_up`"
        )
    if label in frame.columns and not isinstance(frame[label].dtype, (pl.Datetime, pl.Date)):
        # Text and epochs in other units are read as in candles.
        frame = frame.with_columns(pl.Series(label, times(frame[label], label)))
    return Signals.from_frame(frame, time=label, kind=meaning, **chosen)  # type: ignore[arg-type]


def signals_asked(
    config: Config, made: Signals, time: str | None, columns: Sequence[str] | None
) -> dict[str, Any]:
    """Give what :func:`read_signals` was asked for, options and file together, for a manifest."""
    told = [f"{array}={column}" for array, column in config.signals.columns.items()]
    return {
        "time": time or config.signals.time,
        "columns": [*told, *(columns or ())],
        "kind": made.kind,
    }


def _value(name: str, text: str) -> Any:
    """Read a rule's value as its type says; what cannot be read stays text, for the table to refuse."""
    kind, word = TYPES[name], text.strip()
    if word.lower() == "none":
        return None
    if kind == "bool":
        return {
            "true": True,
            "yes": True,
            "on": True,
            "false": False,
            "no": False,
            "off": False,
        }.get(word.lower(), word)
    for number in (int, float) if "int" in kind or "float" in kind else ():
        try:
            return number(word)
        except ValueError:
            continue
    return word


def _assignment(option: str, text: str) -> tuple[list[str], list[Any]]:
    """Read ``name=value,value`` or ``name+name=value,value``, checking names and values."""
    left, sign, right = text.partition("=")
    names = [name.strip() for name in left.split("+")]
    if not sign or not right.strip():
        raise ConfigError(
            f"`{option} {text}` must read NAME=VALUE, such as stop_loss=0.01; see `barproof rules`"
        )
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see `barproof rules`"
            raise ConfigError(f"`{option} {text}` names an unknown rule `{name}`; {hint}")
    values = [_value(names[0], part) for part in right.split(",")]
    for name in names:
        for value in values:
            try:
                _core.check_field(name, value)
            except ParameterError as error:
                raise ConfigError(f"`{option} {text}` is refused: {error}") from None
    return names, values


def rules_of(config: Config, rules: Sequence[str] | None) -> Rules:
    """Join ``[rules]`` and ``--rule``."""
    given = dict(config.rules)
    for text in rules or ():
        names, values = _assignment("--rule", text)
        if len(values) > 1:
            raise ConfigError(
                f"`--rule {text}` has {len(values)} values: give one, or sweep it with `--axis`"
            )
        given |= dict.fromkeys(names, values[0])
    return Rules(**given)


DEFAULT_EQUITY = 10_000.0
"""As in the library."""


def first_given(option: float | None, configured: float | None) -> float:
    """Equity to start with: the option, else the configuration, else the default; 0 is given, not absent."""
    given = configured if option is None else option
    return DEFAULT_EQUITY if given is None else given


def costs_of(
    config: Config, taker: float | None, maker: float | None, slippage: float | None, free: bool
) -> Costs:
    """Join ``[costs]`` and the cost options; costs must be named or declined."""
    section = config.costs
    if free and (taker is not None or maker is not None or slippage is not None):
        raise ConfigError("`--free` and rates exclude each other: leave one out")
    if section.free and (
        section.taker is not None or section.maker is not None or section.slippage
    ):
        raise ConfigError("`free = true` and rates in [costs] exclude each other: leave one out")
    if free or (section.free and taker is None):
        return Costs.free()
    rate = section.taker if taker is None else taker
    if rate is None:
        raise ConfigError(
            "costs are missing: give `--taker` 0.0005 (a fraction), or `--free` to run without"
        )
    return Costs(
        taker=rate,
        maker=section.maker if maker is None else maker,
        slippage=(section.slippage or 0.0) if slippage is None else slippage,
    )


def grid_of(
    config: Config,
    rules: Rules,
    axis: Sequence[str] | None,
    together: Sequence[str] | None,
    sample: int | None,
    seed: int | None,
    method: str | None = None,
) -> Grid:
    """Join ``[grid]`` and the axes of the command line; an axis of the command line replaces the file's."""
    return grid_from(rules, grid_parts(config, axis, together, sample, seed, method))


def grid_from(rules: Rules, parts: Mapping[str, Any]) -> Grid:
    """Make a grid of its parts."""
    given = dict(parts)
    return Grid(rules, *given.pop("groups"), **given)


def grid_parts(
    config: Config,
    axis: Sequence[str] | None,
    together: Sequence[str] | None,
    sample: int | None,
    seed: int | None,
    method: str | None = None,
) -> dict[str, Any]:
    """Give axes, and how combinations are drawn of them: what a grid takes beside its base."""
    groups: list[dict[str, list[Any]]] = []
    for text in together or ():
        group: dict[str, list[Any]] = {}
        for part in text.split():
            names, values = _assignment("--together", part)
            group |= dict.fromkeys(names, values)
        if not group:
            raise ConfigError(
                '`--together` is empty: name rules with their values, such as "stop_loss=0.01,0.02 max_hold=12,24"'
            )
        groups.append(group)
    for text in axis or ():
        names, values = _assignment("--axis", text)
        groups.append(dict.fromkeys(names, values))
    named = {name for group in groups for name in group}
    filed = [*config.grid.together, *({name: values} for name, values in config.grid.axes.items())]
    groups = [group for group in filed if not named & set(group)] + groups
    if not groups:
        raise ConfigError(
            "the sweep has no axis: give `--axis stop_loss=0.005,0.01,none`, or [grid] in barproof.toml"
        )
    return {
        "groups": groups,
        "sample": config.grid.sample if sample is None else sample,
        "method": config.grid.method if method is None else method,
        "seed": config.grid.seed if seed is None else seed,
    }
