"""From options to labels that are no plain horizons, and to sweeps of label rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof import labels as makers
from barproof.candles import Candles
from barproof.cli.config import Config
from barproof.cli.inputs import grid_of, rules_of
from barproof.cli.study import KINDS, read_table
from barproof.errors import ConfigError
from barproof.labels import ExitLabels, Labels, TradeLabels
from barproof.rules import Costs

__all__ = ["METHODS", "Asked", "check_method", "make", "returns_of", "sweep_of", "text_of"]

METHODS = ("horizon", "barrier", "meta", "exits", "vote")
OWN_AXES = ("bars", "threshold", "min_volume", "side")


@dataclass(frozen=True)
class Asked:
    """What the options say about labels."""

    method: str
    bars: int | None
    threshold: float | None
    kind: str | None
    clock: str | None
    side: str | None
    rule: Sequence[str] | None
    primary: Path | None
    lengths: str | None
    k: int | None
    min_volume: float | None
    volume_bars: int
    axis: Sequence[str] | None


def check_method(asked: Asked, costs: Costs | None, sweeping: bool) -> None:
    """Refuse options that the method has no use for, before any work is done."""
    if asked.method not in METHODS:
        raise ConfigError(f"`--method` must be one of {', '.join(METHODS)}, was {asked.method!r}")
    if asked.kind is not None and asked.kind not in KINDS:
        raise ConfigError(f"`--kind` must be one of {', '.join(KINDS)}, was {asked.kind!r}")
    users = {
        "--side": (asked.side, ("barrier",)),
        "--primary": (asked.primary, ("meta", "exits")),
        "--lengths": (asked.lengths, ("vote",)),
        "--k": (asked.k, ("vote",)),
        "--rule": (asked.rule, ("barrier", "meta", "exits")),
        "--bars": (asked.bars, ("horizon",)),
    }
    for option, (value, methods) in users.items():
        if value is not None and asked.method not in methods:
            raise ConfigError(
                f"`{option}` goes with `--method` {' or '.join(methods)}, not with {asked.method}: leave it out"
            )
    if asked.axis and not sweeping:
        raise ConfigError("`--axis` is an axis of a sweep: give `--sweep`, too")
    if sweeping and asked.method not in ("horizon", "barrier"):
        raise ConfigError(
            f"`--sweep` goes with `--method` horizon or barrier, not with {asked.method}"
        )
    if asked.method in ("meta", "exits") and asked.primary is None:
        raise ConfigError(
            f"`--method {asked.method}` needs the primary signal: give `--primary` FILE with `open_time` and `side`"
        )
    if asked.method == "vote" and (asked.lengths is None or asked.k is None):
        raise ConfigError(
            "`--method vote` needs horizons and how many agree: `--lengths 6,12,24 --k 2`"
        )
    if costs is None and (sweeping or asked.method in ("barrier", "meta", "exits")):
        raise ConfigError(
            "costs are missing: give `--taker` 0.0005 (a fraction), or `--free` to go without"
        )


def make(candles: Candles, config: Config, asked: Asked, costs: Costs | None) -> Labels:
    """Labels of any method but horizon, and the volume filter over them."""
    rules = None if asked.method == "vote" else rules_of(config, asked.rule)
    threshold = 0.0 if asked.threshold is None else asked.threshold
    common: dict[str, Any] = {"costs": costs, "threshold": threshold}
    if asked.kind is not None:
        common["kind"] = asked.kind
    made: Labels
    if asked.method == "barrier":
        assert rules is not None
        made = makers.triple_barrier(candles, rules, side=asked.side or "long", **common)  # type: ignore[arg-type]
    elif asked.method == "vote":
        ballots = [
            makers.horizon(
                candles,
                bars=length,
                threshold=asked.threshold,
                kind=asked.kind or ("ternary" if asked.threshold else "binary"),  # type: ignore[arg-type]
                clock=asked.clock or "open",  # type: ignore[arg-type]
            )
            for length in numbers("--lengths", asked.lengths or "", int)
        ]
        made = makers.vote(ballots, k=asked.k or 0)
    else:
        assert rules is not None
        assert asked.primary is not None
        maker = makers.meta if asked.method == "meta" else makers.exits
        made = maker(candles, sides(asked.primary, candles), rules, **common)
    return filtered(made, asked)


def filtered(labels: Labels, asked: Asked) -> Labels:
    """Apply the volume filter, where one is asked for."""
    if asked.min_volume is None:
        return labels
    return makers.volume_filter(labels, least=asked.min_volume, bars=asked.volume_bars)


def numbers(option: str, text: str, kind: type) -> list[Any]:
    """Read numbers with commas between."""
    try:
        return [kind(word) for word in text.split(",")]
    except ValueError:
        shown = "6,12,24" if kind is int else "0.001,0.002"
        raise ConfigError(f"`{option}` must be numbers such as {shown}, was {text!r}") from None


def sides(path: Path, candles: Candles) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Sides of a primary signal, joined to the bars by time; bars that the table lacks decide nothing."""
    frame = read_table(path, "the primary signal")
    if "side" not in frame.columns:
        raise ConfigError(
            f"the primary signal {path.name!r} has no column `side`, but {', '.join(frame.columns)}: it is 1 (long), "
            "-1 (short) or 0"
        )
    bars = candles.to_polars().select("open_time")
    decided = frame.select(
        pl.col("open_time").cast(bars["open_time"].dtype), pl.col("side").cast(pl.Float64)
    )
    joined = bars.join(decided, on="open_time", how="left", maintain_order="left")
    return joined["side"].fill_null(np.nan).to_numpy()


def sweep_of(
    candles: Candles, config: Config, asked: Asked, costs: Costs, progress: bool | None
) -> makers.LabelSweep:
    """Sweep label rules along the axes that are told."""
    axes: dict[str, list[Any]] = {}
    others = []
    for text in asked.axis or ():
        name, _, values = text.partition("=")
        if name not in OWN_AXES:
            others.append(text)
        elif name == "side":
            axes[name] = values.split(",")
        else:
            axes[name] = numbers(f"--axis {name}", values, int if name == "bars" else float)
    options: dict[str, Any] = {
        "costs": costs,
        "volume_bars": asked.volume_bars,
        "progress": progress,
    }
    least = axes.get("min_volume", asked.min_volume)
    if asked.method == "barrier":
        if "bars" in axes or "threshold" in axes:
            raise ConfigError(
                "`--axis` bars and threshold are of horizons: barriers vary in their rules, sides and min_volume"
            )
        rules = rules_of(config, asked.rule)
        grid = grid_of(config, rules, others, None, None, None) if others else rules
        return makers.sweep(
            candles,
            rules=grid,
            side=axes.get("side", asked.side or "long"),
            threshold=asked.threshold or 0.0,
            min_volume=least,
            **options,
        )
    if others or "side" in axes:
        raise ConfigError(
            f"`--axis {others[0] if others else 'side'}` is none of horizons, which vary in bars, threshold and "
            "min_volume; rules go with `--method barrier`"
        )
    section = config.labels
    bars = axes.get("bars", section.bars if asked.bars is None else asked.bars)
    if bars is None:
        raise ConfigError("the sweep has no horizons: give `--axis bars=6,12,24`")
    level = section.threshold if asked.threshold is None else asked.threshold
    return makers.sweep(
        candles,
        bars=bars,
        threshold=axes.get("threshold", level or 0.0),
        kind=asked.kind or section.kind or "ternary",  # type: ignore[arg-type]
        clock=asked.clock or section.clock,  # type: ignore[arg-type]
        min_volume=least,
        **options,
    )


def text_of(labels: Labels) -> str:
    """Say the rule of labels that are no horizons, in one line."""
    return f"{labels.kind}: {_text(labels.rule)}"


def _text(rule: dict[str, Any]) -> str:
    """Say a rule."""
    name = rule["name"]
    if name == "volume filter":
        bars = "the bar" if rule["bars"] == 1 else f"{rule['bars']} bars"
        return f"{_text(rule['of'])}; volume of {bars} at least {rule['least']:g}"
    if name == "k of n":
        lengths = ", ".join(str(one["bars"]) for one in rule["of"])
        return f"{rule['k']} of {len(rule['of'])} horizons of {lengths} bars"
    if name == "horizon":
        beyond = f" beyond {rule['threshold']:g}" if rule["threshold"] else ""
        return f"return over {rule['bars']} bars{beyond}"
    level = f"{rule['threshold']:g}"
    what = {
        "triple barrier": f"a {rule.get('side')} trade earns more than {level}",
        "meta labels": f"the primary signal's trade earns more than {level}",
        "exit labels": f"leaving leaves more than staying by {level}",
    }[name]
    if rule.get("side") == "both":
        what = f"the better side earns more than {level}"
    return f"{what}; " + ", ".join(f"{field} {value}" for field, value in rule["rules"].items())


def returns_of(labels: Labels) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    """Say what a label of each bar was worth: the trade's return, or what leaving gains; None for votes."""
    out = np.full(len(labels), np.nan)
    if isinstance(labels, ExitLabels):
        frame = labels.outcomes
        out[frame["bar"].to_numpy()] = (frame["leave"] - frame["stay"]).to_numpy()
        return out
    if isinstance(labels, TradeLabels) and len(labels.outcomes) == len(labels):
        return labels.outcomes["return"].fill_null(np.nan).to_numpy()
    return None
