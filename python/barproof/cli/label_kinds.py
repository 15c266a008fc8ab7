"""From options to labels that are no plain horizons, and to sweeps of label rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from barproof import labels as makers
from barproof.candles import Candles
from barproof.cli.config import LABEL_USERS, Config, LabelsSection
from barproof.cli.inputs import costs_of, grid_of, rules_of
from barproof.cli.reading import read_table
from barproof.errors import ConfigError
from barproof.labels import ExitLabels, Labels, TradeLabels
from barproof.rules import Costs, Rules

__all__ = [
    "METHODS",
    "Asked",
    "LabelPlan",
    "check_method",
    "joined",
    "label_plan",
    "label_rule",
    "labels_text",
    "plan_of",
    "returns_of",
    "sides",
    "sweep_of",
    "tells_labels",
    "told_costs",
]

METHODS = ("horizon", "barrier", "meta", "exits", "vote")
KINDS = ("regression", "binary", "ternary")
CLOCKS = ("open", "close")
OF_TRADES = ("barrier", "meta", "exits")
OWN_AXES = ("bars", "threshold", "min_volume", "side")


@dataclass(frozen=True)
class Asked:
    """What the options say about labels."""

    method: str | None = None
    bars: int | None = None
    threshold: float | None = None
    kind: str | None = None
    clock: str | None = None
    side: str | None = None
    rule: Sequence[str] | None = None
    primary: Path | None = None
    lengths: str | None = None
    k: int | None = None
    min_volume: float | None = None
    volume_bars: int | None = None
    axis: Sequence[str] | None = None
    prefix: str = "--"
    """What the options begin with."""


@dataclass(frozen=True)
class LabelPlan:
    """Labels that options and ``[labels]`` ask for, checked before any work is done."""

    config: Config
    asked: Asked
    costs: Costs | None

    @property
    def primary(self) -> Path | None:
        """File of the primary signal."""
        return self.asked.primary

    def make(self, candles: Candles) -> Labels:
        """Make them."""
        if self.asked.method != "horizon":
            return make(candles, self.config, self.asked, self.costs)
        asked = self.asked
        rule = label_rule(self.config, asked.bars, asked.threshold, asked.kind, asked.clock)
        return filtered(makers.horizon(candles, **rule), asked)


def plan_of(
    config: Config,
    asked: Asked,
    costs: tuple[float | None, float | None, float | None, bool],
) -> LabelPlan:
    """Join ``[labels]`` and the label options; what the file says of another method is not looked at.

    Raises
    ------
    ConfigError
        If something is missing, or is told that the method has no use for.
    """
    plan = label_plan(config, asked, told_costs(config, *costs))
    if plan.asked.method not in OF_TRADES and (
        costs[3] or any(one is not None for one in costs[:3])
    ):
        raise ConfigError(
            f"costs are told, but labels by {plan.asked.method} have no use for them: leave `--taker`, `--maker`, "
            "`--slippage` and `--free` out"
        )
    return plan


def label_plan(config: Config, asked: Asked, costs: Costs | None) -> LabelPlan:
    """Join ``[labels]`` and the label options, where costs may be told for more than the labels."""
    whole = joined(config.labels, asked)
    check_method(whole, costs, False)
    if whole.method == "horizon":
        label_rule(config, whole.bars, whole.threshold, whole.kind, whole.clock)
    return LabelPlan(config, whole, costs)


def joined(section: LabelsSection, asked: Asked) -> Asked:
    """Options, and what ``[labels]`` says of the same method."""
    method = asked.method or section.method
    told: dict[str, Any] = {
        name: getattr(section, name)
        for name in ("bars", "threshold", "kind", "side", "primary", "k", "min_volume")
    }
    told["lengths"] = None if section.lengths is None else ",".join(map(str, section.lengths))
    found: dict[str, Any] = {
        "method": method,
        "volume_bars": asked.volume_bars or section.volume_bars,
    }
    for name, value in told.items():
        given = getattr(asked, name)
        if given is None and method == section.method and method in LABEL_USERS.get(name, METHODS):
            given = value
        found[name] = given
    found["clock"] = asked.clock or (section.clock if method in LABEL_USERS["clock"] else None)
    return replace(asked, **found)


def tells_labels(section: LabelsSection) -> bool:
    """Whether ``[labels]`` says what is to be foreseen."""
    return section.bars is not None or section.method != "horizon"


def told_costs(
    config: Config,
    taker: float | None,
    maker: float | None,
    slippage: float | None,
    free: bool,
) -> Costs | None:
    """Costs, where any are told: plain labels do not need them."""
    section = config.costs
    if free or section.free or taker is not None or section.taker is not None:
        return costs_of(config, taker, maker, slippage, free)
    return None


def label_rule(
    config: Config,
    bars: int | None,
    threshold: float | None,
    kind: str | None,
    clock: str | None,
) -> dict[str, Any]:
    """Join ``[labels]`` and the label options: arguments of :func:`barproof.labels.horizon`."""
    section = config.labels
    length = section.bars if bars is None else bars
    if length is None:
        raise ConfigError(
            "the horizon of the labels is missing: give `--label-bars` 12, or set `bars` in [labels] of barproof.toml"
        )
    for option, value, known in (("--label-kind", kind, KINDS), ("--label-clock", clock, CLOCKS)):
        if value is not None and value not in known:
            raise ConfigError(f"`{option}` must be one of {', '.join(known)}, was {value!r}")
    return {
        "bars": length,
        "threshold": section.threshold if threshold is None else threshold,
        "kind": kind or section.kind,
        "clock": clock or section.clock,
    }


def labels_text(labels: Labels) -> str:
    """Say the rule of labels in one line."""
    rule = labels.rule
    if rule["name"] != "horizon":
        return f"{labels.kind}: {_text(rule)}"
    beyond = f", moves beyond {rule['threshold']:.10g} count" if rule["threshold"] else ""
    ends = {
        "open": f"from the next open to the open {rule['bars']} bars on",
        "close": f"from the close to the close {rule['bars']} bars on",
    }
    return f"{labels.kind}: return {ends[rule['clock']]}{beyond}"


def check_method(asked: Asked, costs: Costs | None, sweeping: bool) -> None:
    """Refuse options that the method has no use for, before any work is done."""
    p, method = asked.prefix, asked.method
    if method not in METHODS:
        raise ConfigError(f"`{p}method` must be one of {', '.join(METHODS)}, was {method!r}")
    if asked.kind is not None and asked.kind not in KINDS:
        raise ConfigError(f"`{p}kind` must be one of {', '.join(KINDS)}, was {asked.kind!r}")
    for name in ("side", "primary", "lengths", "k", "rule", "bars"):
        if getattr(asked, name) is not None and method not in LABEL_USERS[name]:
            raise ConfigError(
                f"`{p}{name}` goes with `{p}method` {' or '.join(LABEL_USERS[name])}, not with {method}: leave it out"
            )
    if asked.axis and not sweeping:
        raise ConfigError("`--axis` is an axis of a sweep: give `--sweep`, too")
    if sweeping and method not in ("horizon", "barrier"):
        raise ConfigError(f"`--sweep` goes with `--method` horizon or barrier, not with {method}")
    if method in ("meta", "exits") and asked.primary is None:
        raise ConfigError(
            f"`{p}method {method}` needs the primary signal: give `{p}primary` FILE with `open_time` and `side`"
        )
    if method == "vote" and (asked.lengths is None or asked.k is None):
        raise ConfigError(
            f"`{p}method vote` needs horizons and how many agree: `{p}lengths 6,12,24 {p}k 2`"
        )
    if costs is None and (sweeping or method in OF_TRADES):
        raise ConfigError(
            "costs are missing: give `--taker` 0.0005 (a fraction), or `--free` to go without"
        )


def label_rules(config: Config, asked: Asked) -> Rules:
    """Rules of labels of trades: ``[rules]``, over them those of ``[labels.rules]``, over them the options."""
    whole = config.model_copy(update={"rules": {**config.rules, **config.labels.rules}})
    return rules_of(whole, asked.rule)


def make(candles: Candles, config: Config, asked: Asked, costs: Costs | None) -> Labels:
    """Labels of any method but horizon, and the volume filter over them."""
    rules = None if asked.method == "vote" else label_rules(config, asked)
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
            for length in numbers(f"{asked.prefix}lengths", asked.lengths or "", int)
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
    return makers.volume_filter(labels, least=asked.min_volume, bars=asked.volume_bars or 1)


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
        "volume_bars": asked.volume_bars or 1,
        "progress": progress,
    }
    least = axes.get("min_volume", asked.min_volume)
    if asked.method == "barrier":
        if "bars" in axes or "threshold" in axes:
            raise ConfigError(
                "`--axis` bars and threshold are of horizons: barriers vary in their rules, sides and min_volume"
            )
        rules = label_rules(config, asked)
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
