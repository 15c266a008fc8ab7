"""Case S004's alternatives as one study: which of six simpler bots is worth its costs.

``python -m examples.s004_gating.alternatives --broken`` (a market without an edge) or ``--mended`` (with one).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

import barproof as bp
from barproof.audits import entry_exit_ablation, paired_strategies
from examples import casework
from examples.casework import Case
from examples.s004_gating.study import joined
from examples.s004_gating.system import COSTS, System, build

NAMES = (
    "as it was",
    "long only",
    "exit model, simple entries",
    "ensemble vote",
    "lower leverage",
    "no model at all",
)
CODES = ["SIG-10", "ECO-14"]


def variants(system: System) -> dict[str, Any]:
    """Results of the six on the same bars, at the same costs."""
    signals, rules = system.signals, system.rules
    held = {name: signals[name] for name in signals.names}
    trend = np.nan_to_num(np.sign(system.table["ema_ratio(21)"].to_numpy()))
    # A simple entry has no probability: 1 where the trend turns, with any threshold and all of the size.
    turns = np.r_[False, trend[1:] != trend[:-1]]
    simple = {
        "long": np.where(turns & (trend > 0), 1.0, 0.0),
        "short": np.where(turns & (trend < 0), 1.0, 0.0),
    }
    given: dict[str, tuple[dict[str, Any], bp.Rules]] = {
        "as it was": (held, rules),
        "long only": (held, rules.replace(entry_short=None, exit_short=None, short_gate=None)),
        "exit model, simple entries": ({**held, **simple}, rules),
        "ensemble vote": ({**held, **_votes(system)}, rules),
        "lower leverage": (held, rules.replace(leverage=max(1.0, rules.leverage / 4))),
        "no model at all": (
            {**held, **dict.fromkeys(("long", "short"), np.zeros(len(trend)))},
            rules,
        ),
    }
    return {
        name: bp.backtest(
            system.candles, bp.Signals(**arrays), chosen, costs=COSTS, window=system.window
        )
        for name, (arrays, chosen) in given.items()
    }


def _votes(system: System) -> dict[str, Any]:
    """Mean of all folds' models that had been trained by then: two of three must say yes."""
    threshold = {side: getattr(system.rules, f"entry_{side}") for side in ("long", "short")}
    found = {}
    for side, least in threshold.items():
        answers = []
        for bundle, fold in list(zip(system.run.bundles, system.run.folds, strict=True))[-3:]:
            said = bundle.predict(system.table, part=side)[:, 1]
            said[: int(fold.test[0])] = np.nan
            answers.append(np.where(np.isnan(said), np.nan, said >= least))
        table = np.vstack(answers)
        known = np.isfinite(table).sum(axis=0)
        yes = np.nansum(table, axis=0)
        found[side] = np.where((known > 0) & (3 * yes >= 2 * known), system.signals[side], 0.0)
    return found


def study(case: Case) -> bp.Report:
    """Compare each with doing nothing (SIG-10), and what its entries and exits add (ECO-14)."""
    system = build(case)
    results = variants(system)
    nothing = results["no model at all"].daily_returns["return"].to_numpy()
    rows, reports = [], {}
    for name, result in results.items():
        daily = result.daily_returns["return"].to_numpy()
        against = paired_strategies(daily, nothing, seed=case.seed)
        made: dict[str, Any] = {
            "name": name,
            "trades": result.trades.height,
            "total_return": float(result.metrics["total_return"]),
            "helps": False,
        }
        if result.trades.height:
            parts = bp.ablation(result, draws=50 if not case.full else 200, seed=case.seed)
            effects = entry_exit_ablation(
                *(parts.daily[n] for n in ("both", "entry_only", "exit_only", "neither")),
                seed=case.seed,
            )
            made |= {
                "helps": against.outcome == "pass",
                "against_nothing": against.title,
                "entries": _ends(parts.entry),
                "exits": _ends(parts.exit),
            }
            reports[name] = bp.audit(
                ablation=parts,
                trades=result.trades.select("return"),
                more={"SIG-10": {"a": daily, "b": nothing, "seed": case.seed}},
            )
            case.say(f"{name}: {made['trades']:,} trades, {made['total_return']:+.2%}")
            case.say(f"  against doing nothing: {against.outcome}, {against.title}")
            case.say(f"  entries and exits: {effects.outcome}, {effects.title}")
        else:
            case.say(f"{name}: no trades, {made['total_return']:+.2%}")
        rows.append(made)
    case.figures["alternatives"] = rows
    good = [row["name"] for row in rows if row["helps"]]
    case.say(f"better than doing nothing: {', '.join(good) if good else 'none'}")
    return joined({"models": reports.pop("as it was"), **reports})


def _ends(interval: Any) -> list[float] | None:
    """Give the ends of an interval; JSON knows no NaN."""
    ends = [float(interval.low), float(interval.high)]
    return ends if all(np.isfinite(ends)) else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study."""
    return casework.main(study, codes=CODES, doc=__doc__, edge=True, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
