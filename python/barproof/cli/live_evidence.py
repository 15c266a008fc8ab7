"""The log of a live system as evidence of ``barproof audit``."""

from __future__ import annotations

from pathlib import Path

from barproof.cli.config import Config
from barproof.cli.evidence import Evidence
from barproof.cli.parity import costs_of_log, read_bundles, read_log, rules_of_log
from barproof.errors import ConfigError

__all__ = ["add_live_log"]


def add_live_log(
    evidence: Evidence,
    config: Config,
    path: Path,
    bundles: list[str] | None,
    rule: list[str] | None,
    costs: tuple[float | None, float | None, float | None, bool],
) -> None:
    """Read a log; with candles and the bundle that is said to run, replay it.

    Parameters
    ----------
    evidence : Evidence
        Takes log, bundles, and the backtest of the log's bars where there is no other.
    config : Config
        Of the project.
    path : Path
        State folder of a session, its file, or a table of anybody's bot.
    bundles : list of str or None
        Folders.
    rule, costs
        That are said to run; those of the log where none are told.

    Raises
    ------
    ConfigError
        If bundles are told by symbol: an audit is of one.
    """
    candles = evidence.candles
    log = read_log(path, None, None, "open", "" if candles is None else candles.symbol)
    evidence.live_log = log
    if not bundles:
        evidence.notes.append(
            "the log is not replayed: give candles and `--bundle` FOLDER, the model that is said to run"
        )
        return
    held = read_bundles(bundles)
    if isinstance(held, dict):
        raise ConfigError(
            "`--bundle` of an audit names a symbol, and an audit is of one: leave it out, or use `barproof parity`"
        )
    evidence.bundles = held
    if candles is None or evidence.result is not None:
        return
    from barproof.live.parity import parity

    rules = rules_of_log(log, config, rule, evidence.notes)
    fees = costs_of_log(log, config, costs, evidence.notes)
    found = parity(log, candles, held, rules, costs=fees)
    # What is judged with the log is the backtest of its bars.
    (evidence.result,) = found.replayed.values()
