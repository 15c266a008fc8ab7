"""``barproof.toml``: what it may hold, and errors that name file, line, key, value and remedy."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from barproof import _core
from barproof._axis import Length
from barproof.errors import ConfigError, FeatureError, LayoutError, ParameterError
from barproof.features import FeatureSet
from barproof.models import (
    BarTransformer,
    CrossMarketTransformer,
    FeedForward,
    GradientBoosting,
    LightGBM,
    Logistic,
    LstmClassifier,
    XGBoost,
)
from barproof.rules import NAMES

__all__ = ["FILE_NAME", "GROUPS", "MODELS", "PARAMS", "SEVERITIES", "Config", "load_config"]

FILE_NAME = "barproof.toml"

# Bar numbers and times, checked by `_check_bounds`: pydantic would make a moment of 1970 of 1.5.
Span = Annotated[list[Any], Field(min_length=2, max_length=2)]


MODELS: dict[str, Any] = {
    "gradient-boosting": GradientBoosting,
    "logistic": Logistic,
    "xgboost": XGBoost,
    "lightgbm": LightGBM,
    "feed-forward": FeedForward,
    "lstm": LstmClassifier,
    "bar-transformer": BarTransformer,
    "cross-market-transformer": CrossMarketTransformer,
}
"""Models by their names on the command line; all but the first two are extras, loaded when they are fitted."""
PARAMS = {name: [field.name for field in fields(model)] for name, model in MODELS.items()}

Group = Literal[
    "data",
    "labels",
    "splits",
    "parity",
    "checkpoints",
    "predictions",
    "calibration",
    "economics",
    "significance",
    "overfitting",
    "decisions",
    "fills",
    "claims",
    "waivers",
]
Severity = Literal["critical", "high", "medium", "low", "info"]
GROUPS, SEVERITIES = get_args(Group), get_args(Severity)
"""As the audits have them; they are not loaded for a configuration."""


# Bars, a fraction or a duration, checked by `_check_folds`: pydantic would make 1 of true.
PartLength = Any


class Section(BaseModel):
    """A table of the file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class InstrumentSection(Section):
    """``[candles.instrument]``: a contract with its limits."""

    kind: Literal["perpetual", "spot", "equity", "fx"]
    maintenance: float = Field(default=0.005, ge=0, lt=1)
    lot: float = Field(default=0.0, ge=0)
    min_notional: float = Field(default=0.0, ge=0)


class CandlesSection(Section):
    """``[candles]``: where bars come from."""

    source: Path | None = None
    instrument: InstrumentSection | None = None
    funding: str | None = None
    symbol: str | None = None
    interval: str | None = None
    calendar: str | None = None
    on_fault: Literal["raise", "warn", "ignore", "strict"] = "raise"
    repair: list[str] = []

    @field_validator("instrument", mode="before")
    @classmethod
    def _kind_alone(cls, value: Any) -> Any:
        """Accept the kind alone, where the contract has no limits of its own."""
        return {"kind": value} if isinstance(value, str) else value


class SignalsSection(Section):
    """``[signals]``: where model outputs come from."""

    source: Path | None = None
    time: str | None = None
    kind: Literal["probability", "score"] | None = None
    columns: dict[str, str] = {}


class FeaturesSection(Section):
    """``[features]``: what a model is told about each bar."""

    names: list[str] = []
    preset: str | None = None
    source: Path | None = None


class LabelsSection(Section):
    """``[labels]``: what a model is asked to foresee."""

    bars: int | None = Field(default=None, ge=1)
    threshold: float | None = Field(default=None, ge=0)
    kind: Literal["regression", "binary", "ternary"] | None = None
    clock: Literal["open", "close"] = "open"
    method: Literal["horizon", "barrier", "meta", "exits", "vote"] = "horizon"
    side: Literal["long", "short", "both"] | None = None
    rules: dict[str, Any] = {}
    primary: Path | None = None
    lengths: list[int] | None = Field(default=None, min_length=2)
    k: int | None = Field(default=None, ge=1)
    min_volume: float | None = Field(default=None, ge=0)
    volume_bars: int = Field(default=1, ge=1)


LABEL_USERS: dict[str, tuple[str, ...]] = {
    "bars": ("horizon",),
    "clock": ("horizon", "vote"),
    "side": ("barrier",),
    "rules": ("barrier", "meta", "exits"),
    "rule": ("barrier", "meta", "exits"),
    "primary": ("meta", "exits"),
    "lengths": ("vote",),
    "k": ("vote",),
}
"""Methods that have a use for a key or option of labels; those that are not named here go with all."""


class ModelSection(Section):
    """``[model]``: what learns it."""

    name: Literal[
        "gradient-boosting",
        "logistic",
        "xgboost",
        "lightgbm",
        "feed-forward",
        "lstm",
        "bar-transformer",
        "cross-market-transformer",
    ] = "gradient-boosting"
    params: dict[str, Any] = {}
    select: int | None = Field(default=None, ge=1)
    calibrate: Literal["temperature", "isotonic", "platt", "none"] = "temperature"
    exit: Literal["opposite", "none"] = "none"
    seed: int = Field(default=0, ge=0)


class FoldsSection(Section):
    """``[folds]``: which bars train, tune and judge."""

    train: PartLength | None = None
    tune: PartLength | None = None
    test: PartLength | None = None
    step: PartLength | None = None
    gap: PartLength = 0
    anchored: bool = False


class AuditSection(Section):
    """``[audit]``: what must be judged, and what refutes."""

    require: list[Group] = []
    fail_on: Severity = "high"


class CostsSection(Section):
    """``[costs]``: fractions per side."""

    taker: float | None = Field(default=None, ge=0, lt=1)
    maker: float | None = Field(default=None, ge=-1, lt=1)
    slippage: float | None = Field(default=None, ge=0, lt=1)
    free: bool = False


class GridSection(Section):
    """``[grid]``: axes of a sweep."""

    axes: dict[str, list[Any]] = {}
    together: list[dict[str, list[Any]]] = []
    sample: int | None = Field(default=None, ge=1)
    method: Literal["random", "latin"] = "random"
    seed: int = Field(default=0, ge=0)


class BacktestSection(Section):
    """``[backtest]``: one run."""

    window: Span | None = None
    initial_equity: float | None = Field(default=None, gt=0)


class SweepSection(Section):
    """``[sweep]``: many runs."""

    windows: str | list[Span] | None = None
    metric: str | None = None
    min_trades: int = Field(default=1, ge=0)
    top: int | None = Field(default=None, ge=1)
    threads: int | None = Field(default=None, ge=1)
    initial_equity: float | None = Field(default=None, gt=0)


class ReportSection(Section):
    """``[report]``: the HTML file."""

    path: Path | None = None
    title: str | None = None


class Config(Section):
    """A whole ``barproof.toml``."""

    candles: CandlesSection = CandlesSection()
    features: FeaturesSection = FeaturesSection()
    labels: LabelsSection = LabelsSection()
    model: ModelSection = ModelSection()
    folds: FoldsSection = FoldsSection()
    signals: SignalsSection = SignalsSection()
    rules: dict[str, Any] = {}
    costs: CostsSection = CostsSection()
    grid: GridSection = GridSection()
    backtest: BacktestSection = BacktestSection()
    sweep: SweepSection = SweepSection()
    audit: AuditSection = AuditSection()
    report: ReportSection = ReportSection()


def load_config(path: Path | None) -> Config:
    """Read the configuration.

    Parameters
    ----------
    path : Path, optional
        File to read. Default: ``barproof.toml`` of the working directory if there is one, else nothing.

    Returns
    -------
    Config
        Validated; relative paths are resolved against the file's folder.

    Raises
    ------
    ConfigError
        If the file is absent, is no TOML, or holds what it must not; names file, line, key and value.
    """
    if path is None:
        path = Path(FILE_NAME)
        if not path.is_file():
            return Config()
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"`--config` {str(path)!r} does not exist: name a file like {FILE_NAME}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(
            f"`--config` {str(path)!r} cannot be read as UTF-8 text: {why}"
        ) from error
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is no valid TOML: {_lower(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{path} is nested too deeply: a setting lies two levels deep") from None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        _refuse(path, text, error)
    _check_rules(path, text, config)
    _check_labels(path, text, config)
    _check_features(path, text, config)
    _check_params(path, text, config)
    _check_folds(path, text, config)
    _check_bounds(path, text, config)
    return _resolve(config, path.absolute().parent)


def _resolve(config: Config, folder: Path) -> Config:
    """Make relative paths relative to the file that names them."""
    for section, field in (
        (config.candles, "source"),
        (config.features, "source"),
        (config.labels, "primary"),
        (config.signals, "source"),
        (config.report, "path"),
    ):
        value = getattr(section, field)
        if value is not None:
            setattr(section, field, folder / value)
    if config.candles.funding not in (None, "none"):
        config.candles.funding = str(folder / str(config.candles.funding))
    return config


def _refuse(path: Path, text: str, error: ValidationError) -> NoReturn:
    """Raise the first thing that pydantic found."""
    found = error.errors()
    # Of the members of a union, the one that was understood furthest.
    first = max(found, key=lambda one: len(one["loc"]))
    # Members of unions are named in the location; they are no keys of the file.
    keys = [part for part in first["loc"] if isinstance(part, int) or _is_key(part)]
    line = find_line(text, keys)
    # An element of a list is told by its value.
    named = [str(part) for part in keys if not isinstance(part, int)]
    key, section = named[-1], ".".join(named[:-1])
    place = f"[{section}]" if section else "the file"
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    if first["type"] == "extra_forbidden":
        raise ConfigError(
            f"{path}, line {line}: unknown key `{key}` in {place}; {_nearest(key, keys[:-1])}{more}"
        )
    if first["type"] == "missing":
        raise ConfigError(f"{path}, line {line}: key `{key}` is missing in {place}: add it{more}")
    # What pydantic says of a path names a class.
    told = "input should be a path" if first["type"] == "path_type" else _lower(first["msg"])
    problem = re.sub(r"^\w+ should ", "must ", told)
    problem = re.sub(r"(, unable to .*| after validation, .*)$", "", problem)
    raise ConfigError(
        f"{path}, line {line}: `{key}` in {place} {problem}, was {first['input']!r}{more}"
    )


def _is_key(part: str) -> bool:
    """Whether a line of TOML sets a key."""
    return not part.startswith(("constrained-", "list[")) and part not in ("str", "int")


def _nearest(key: str, parents: Sequence[Any]) -> str:
    """Name the keys that may have been meant."""
    model: type[BaseModel] = Config
    for part in parents:
        annotation = (
            model.model_fields[str(part)].annotation if str(part) in model.model_fields else None
        )
        choices = [annotation, *getattr(annotation, "__args__", ())]
        model = next(
            (c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)), model
        )
    known = list(model.model_fields)
    near = get_close_matches(key, known, n=2)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"


def _check_rules(path: Path, text: str, config: Config) -> None:
    """Check names and values of ``[rules]`` and ``[grid]`` with the table of rules."""
    axes = [(("grid", "axes"), config.grid.axes)]
    axes += [(("grid", "together"), group) for group in config.grid.together]
    values: list[tuple[tuple[str, ...], str, list[Any]]] = [
        (("rules",), name, [value]) for name, value in config.rules.items()
    ]
    values += [(("labels", "rules"), name, [value]) for name, value in config.labels.rules.items()]
    values += [(where, name, items) for where, group in axes for name, items in group.items()]
    for where, name, items in values:
        line = find_line(text, [*where, name])
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "see `barproof rules`"
            raise ConfigError(
                f"{path}, line {line}: unknown rule `{name}` in [{'.'.join(where)}]; {hint}"
            )
        for i, value in enumerate(items):
            items[i] = None if value == "none" else value
            try:
                _core.check_field(name, items[i])
            except (ParameterError, LayoutError) as error:
                raise ConfigError(f"{path}, line {line}: {error}, in [{'.'.join(where)}]") from None
        if where == ("rules",):
            config.rules[name] = items[0]
        elif where == ("labels", "rules"):
            config.labels.rules[name] = items[0]


def _check_labels(path: Path, text: str, config: Config) -> None:
    """Refuse keys of ``[labels]`` that its method has no use for."""
    section = config.labels
    for name in section.model_fields_set:
        users = LABEL_USERS.get(name, (section.method,))
        if section.method not in users:
            line = find_line(text, ["labels", name])
            raise ConfigError(
                f"{path}, line {line}: `{name}` in [labels] goes with method {' or '.join(users)}, not with "
                f"{section.method}: leave it out"
            )


def _check_bounds(path: Path, text: str, config: Config) -> None:
    """Check that windows are made of bar numbers and times."""
    many = config.sweep.windows if isinstance(config.sweep.windows, list) else []
    one = [] if config.backtest.window is None else [config.backtest.window]
    for section, key, spans in (("backtest", "window", one), ("sweep", "windows", many)):
        for span in spans:
            if any(isinstance(v, bool) or not isinstance(v, (int, str, date)) for v in span):
                line = find_line(text, [section, key])
                raise ConfigError(
                    f"{path}, line {line}: `{key}` in [{section}] must hold bar numbers or times such as 2024-01-31, "
                    f"was {span!r}"
                )


def _check_features(path: Path, text: str, config: Config) -> None:
    """Read ``[features]``: each alone, so that its line is known, then all together."""
    names, preset = config.features.names, config.features.preset
    if preset is not None:
        try:
            FeatureSet([*FeatureSet.preset(preset), *names])
        except FeatureError as error:
            line = find_line(text, ["features", "preset"])
            raise ConfigError(f"{path}, line {line}: {error}, in [features]") from None
    for asked in [[name] for name in names] + ([names] if len(names) > 1 else []):
        try:
            FeatureSet(asked)
        except FeatureError as error:
            line = _line_of_text(text, ["features", "names"], asked[0] if len(asked) == 1 else None)
            raise ConfigError(f"{path}, line {line}: {error}, in [features]") from None


def _check_params(path: Path, text: str, config: Config) -> None:
    """Check names of ``[model] params`` with those of the model."""
    params, known = config.model.params, PARAMS[config.model.name]
    for name, value in params.items():
        if name not in known:
            line = find_line(text, ["model", "params", name])
            near = get_close_matches(name, known, n=2)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            raise ConfigError(
                f"{path}, line {line}: {config.model.name} has no parameter `{name}`, in [model.params]; {hint}"
            )
        params[name] = None if value == "none" else value


def _check_folds(path: Path, text: str, config: Config) -> None:
    """Check the lengths of ``[folds]``."""
    for name in ("train", "tune", "test", "step", "gap"):
        value = getattr(config.folds, name)
        if value is None:
            continue
        try:
            Length.read(name, value, least=0 if name == "gap" else 1)
        except (ParameterError, LayoutError) as error:
            line = find_line(text, ["folds", name])
            raise ConfigError(f"{path}, line {line}: {error}, in [folds]") from None


def _line_of_text(text: str, keys: Sequence[Any], wanted: str | None) -> int:
    """Line of a text in a list, or that of the list."""
    first = find_line(text, keys)
    for number, line in enumerate(text.splitlines()[first - 1 :], first):
        if wanted is not None and any(q + wanted + q in line for q in "\"'"):
            return number
    return first


def find_line(text: str, keys: Sequence[Any]) -> int:
    """Find the line, from 1, on which a key of the file stands; the nearest parent's if it is not found."""
    names = [str(key) for key in keys if not isinstance(key, int)]
    lines = text.splitlines()
    best = 1
    # A header may hold several keys, and so may the left side of an assignment.
    for depth in range(len(names), 0, -1):
        wanted = ".".join(names[:depth])
        for number, line in enumerate(lines, 1):
            if re.match(rf"\s*\[+\s*{re.escape(wanted)}\s*\]+", line):
                return _below(lines, number, names[depth:])
    for number, line in enumerate(lines, 1):
        if re.match(rf"\s*{re.escape(names[0])}\s*[.=]" if names else r"$^", line):
            return _below(lines, number - 1, names)
    return best


def _below(lines: Sequence[str], header: int, names: Sequence[str]) -> int:
    """Find keys one after the other below a header."""
    at = header
    for name in names:
        key = rf"(?:^|[\s{{,.])[\"']?{re.escape(name)}[\"']?\s*[.=]"
        for number in range(max(at, 1), len(lines) + 1):
            if number > header and re.match(r"\s*\[[^\[]*\]\s*(#.*)?$", lines[number - 1]):
                break
            if re.search(key, lines[number - 1].split("#")[0]):
                at = number
                break
    return max(at, 1)


def _lower(message: str) -> str:
    """Message in the house's form: lower case at the start, no full stop at the end."""
    return (message[:1].lower() + message[1:]).rstrip(".")
