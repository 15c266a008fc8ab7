"""Case S004: five models, none of which ever worked; and what it takes to know.

``python -m examples.s004_gating.study --broken`` (or ``--mended``).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from sklearn.metrics import roc_auc_score

import barproof as bp
from examples import casework
from examples.casework import Case
from examples.s004_gating.asked import commands
from examples.s004_gating.folder import write_folder
from examples.s004_gating.live import live_log
from examples.s004_gating.system import (
    COSTS,
    DAY,
    NothingReachedError,
    System,
    build,
    stitched,
    votes,
)

WORST = ("error", "fail", "warn", "inconclusive", "pass", "skipped")
"""What was found comes before what could not be told: four live trades hide nothing that 450 show."""
CODES = (
    "PAR-01 PAR-02 DEC-01 CKP-06 ECO-01 ECO-02 ECO-03 ECO-04 ECO-05 ECO-07 ECO-09 ECO-10 ECO-11 "
    "SIG-01 SIG-02 SIG-03 SIG-04 PRED-05 DATA-08 OVF-01 OVF-02 OVF-04 OVF-07 OVF-08 SPL-05 SPL-11 CAL-06 "
    "CLM-01 CLM-02 CLM-03 CLM-04 CLM-05 CLM-06 CLM-07 CLM-08 CLM-09 CLM-10"
).split()


def study(case: Case) -> bp.Report:
    """Train, choose, trade, go live, claim; then audit each of these."""
    try:
        system = build(case)
    except NothingReachedError as found:
        case.say(f"{found}: nothing is traded, and nothing claimed")
        return bp.audit(more={"SPL-11": _permuted(case, found.run)}, seed=case.seed)
    case.write(system.candles)
    trades = system.result.trades
    case.say(
        f"{len(system.candles):,} bars, {len(system.run.folds)} times four models, {len(system.sweep)} "
        f"combinations x {len(system.sweep.frame) // len(system.sweep)} windows of 5 days"
    )
    case.say(
        f"{trades.height:,} trades, {(trades['return'] > 0).mean():.2%} wins, "
        f"{system.result.metrics['total_return']:+.2%}"
    )
    for reason, rows in trades.group_by("reason", maintain_order=True):
        loss = rows.filter(pl.col("return") < 0)["return"].sum()
        case.say(f"  by {reason[0]}: {rows.height:,} trades, losses {loss:+.2f}")
    case.figures |= {
        "trades": trades.height,
        "wins": float((trades["return"] > 0).mean()),
        "total_return": float(system.result.metrics["total_return"]),
    }
    log, lived, days = live_log(case, system)
    improved = _improved(case, system) if case.broken else None
    later = None if improved is None else _traded(system, improved, system.rules).trades
    returns = lived.select("return", "reason", "bars_held")
    reports = {
        "models": bp.audit(
            candles=system.candles,
            # To compute features again for every cut takes minutes: at full size only.
            run=system.run if case.full and not case.broken else None,
            signals=system.signals,
            sweep=system.sweep,
            result=system.result,
            more=_more(case, system, improved),
            max_seconds=120,
        ),
        "month": bp.audit(more=_month(case, system)),
        "live": bp.audit(
            candles=system.candles,
            bundles=[system.run.bundles[-1]],
            result=system.result,
            live_log=log,
            trades=returns,
            more={
                "PAR-01": {"features": log.feature_names, "bundles": system.run.bundles[-1]},
                **_few(system, returns),
            },
        ),
        "claims": bp.audit(claims=write_folder(case, system, lived, days, later)),
    }
    return joined(reports)


def joined(reports: dict[str, bp.Report]) -> bp.Report:
    """One report of several: of each audit the worst that ran, and where."""
    found: dict[str, bp.audits.Finding] = {}
    for name, report in reports.items():
        for finding in report:
            held = found.get(finding.id)
            if held is None or WORST.index(finding.outcome) < WORST.index(held.outcome):
                found[finding.id] = replace(finding, scope={"of": name, **finding.scope})
    groups = dict.fromkeys(group for report in reports.values() for group in report.required)
    return replace(reports["models"], findings=tuple(found.values()), required=tuple(groups))


def _trials(case: Case, system: System) -> dict[str, int]:
    """Trials that are told, and those that the ledger of this folder has counted."""
    counted = bp.Ledger.open(case.out / "ledger.sqlite").trials(system.candles)
    return {"counted": counted, "claimed": 5 if case.broken else counted}


def _more(case: Case, system: System, improved: bp.Signals | None) -> dict[str, Any]:
    """Give what only who ran the study knows."""
    folds = _by_window(system)
    reported = float(np.max(folds)) if case.broken else float(np.mean(folds))
    p, y = _judged(system, "long")
    won, lost = _payoff(system.result.trades)
    more: dict[str, Any] = {
        "OVF-08": _variants(case, system, improved),
        "OVF-07": {"folds": folds, "reported": reported},
        "ECO-07": _more_often(case, system, improved),
        "SPL-05": {
            "uses": {
                "thresholds": "test" if case.broken else "tune",
                "fold": "test" if case.broken else "tune",
            }
        },
        "SPL-11": _permuted(case, system.run),
        "CAL-06": {
            "probabilities": p,
            "labels": y,
            "threshold": system.rules.entry_long,
            "break_even": lost / (won + lost),
        },
        "DATA-08": _history(system),
        # After all that is tried above.
        "OVF-01": _trials(case, system),
    }
    if case.broken:
        # The case kept the returns of windows, not of days; those that share no day.
        rows = system.sweep.frame.sort("combination", "window")
        panel = rows["total_return"].to_numpy().reshape(len(system.sweep), -1).T
        apart = -(-5 * DAY // int(np.diff([low for low, _ in system.windows[:2]])[0]))
        more["OVF-04"] = {"returns": panel[::apart], "blocks": 8}
    return more


def _payoff(trades: pl.DataFrame) -> tuple[float, float]:
    r = trades["return"].to_numpy()
    return float(r[r > 0].mean()), float(-r[r < 0].mean())


def _by_window(system: System) -> list[float]:
    """Return of the chosen rules in every window."""
    rows = system.sweep.frame.filter(pl.col("combination") == system.combination)
    held: list[float] = rows["total_return"].to_list()
    return held


def _judged(system: System, part: str) -> tuple[Any, Any]:
    """Test rows of one model, one in as many as a label looks ahead: what overlaps is counted once."""
    frames = [system.run.predictions(part="test", fold=i) for i in range(len(system.run.folds))]
    rows = pl.concat(frames).filter(pl.col("part") == part)
    rows = rows.unique("row", keep="first", maintain_order=True)[:: _span(system.run, part)]
    return rows["p_1"].to_numpy(), rows["label"].to_numpy()


def _span(run: Any, part: str = "long") -> int:
    """Bars that the longest label of a part looks at."""
    labels = run.parts[part].labels
    return int((labels.end - labels.start)[labels.end >= 0].max()) + 1


def _history(system: System) -> dict[str, Any]:
    labels, rows = system.run.parts["long"].labels, system.run.folds[0].train
    return {"labels": labels.values[rows], "spans": (labels.start[rows], labels.end[rows])}


def _more_often(case: Case, system: System, improved: bp.Signals | None) -> dict[str, Any]:
    """Trades and summed return of what trades more, beside what trades less."""

    def sums(signals: bp.Signals, rules: bp.Rules) -> tuple[float, float]:
        done = _traded(system, signals, rules).trades
        return float(done.height), float(done["return"].sum())

    if improved is not None:
        # The labels that were "improved" say yes more often: one vote of three is enough.
        more = sums(improved, system.rules)
        base = sums(system.signals, system.rules)
    else:
        # The rules that were chosen, and those of the grid that trade least.
        more = sums(system.signals, system.rules)
        grid = [system.grid[i] for i in range(len(system.grid))]
        base = min(sums(system.signals, rules) for rules in grid)
    case.say(
        f"more often: {base[0]:,.0f} trades {base[1]:+.2f}, then {more[0]:,.0f} {more[1]:+.2f}"
    )
    return {
        "trades": more[0],
        "result": more[1],
        "baseline_trades": base[0],
        "baseline_result": base[1],
    }


def _traded(system: System, signals: bp.Signals, rules: bp.Rules) -> Any:
    return bp.backtest(
        system.candles, signals, rules, costs=COSTS, window=system.window, ledger=False
    )


def _improved(case: Case, system: System) -> bp.Signals:
    """Train entry models again on labels that one vote of three makes positive."""
    parts = {
        side: bp.Part(held.model, held.X, votes(case, system.candles, side, k=1))
        for side, held in system.run.parts.items()
        if side in ("long", "short")
    }
    # At full size in every window; small in the last alone.
    folds = system.run.folds if case.full else system.run.folds[-1:]
    again = bp.train(parts, folds=folds, seed=case.seed)
    said, (start, end) = stitched(again)
    held: dict[str, Any] = {name: system.signals[name].copy() for name in system.signals.names}
    for side in parts:
        held[side][start:end] = said[side][start:end]
    return bp.Signals(**held)


LATE = tuple(f"lag(ema(taker_imbalance(), 6), {bars})" for bars in (48, 24, 12, 6))
"""What takers did some hours ago."""
# What the variants of the mended study see, from nothing to all of it.
SEES = (
    ("time_of_day().sin", "time_of_day().cos"),
    ("rank(48)", "log_return(288)"),
    ("log_return(1)", "rsi(14)"),
    *((late,) for late in LATE),
    ("taker_imbalance()",),
    ("ema(taker_imbalance(), 6)",),
    ("ema(taker_imbalance(), 6)", "ema_ratio(9)"),
    ("ema(taker_imbalance(), 6)", "ema(taker_imbalance(), 24)", "ema_ratio(9)", "rsi(7)"),
)


def _variants(case: Case, system: System, improved: bp.Signals | None) -> dict[str, Any]:
    """Give a training metric of each variant, and what each earns."""
    if improved is not None:
        # Precision rises because more labels say yes; two variants show nothing.
        share = [float(np.nanmean(votes(case, system.candles, "long", k=k).values)) for k in (2, 1)]
        earned = [
            float(_traded(system, signals, system.rules).metrics["total_return"])
            for signals in (system.signals, improved)
        ]
        return {"training": share, "trading": earned}
    folds = system.run.folds[:3]
    window = (int(folds[0].test[0]), int(folds[-1].test[-1]) + 1)
    labels = system.run.parts["long"].labels
    training, trading = [], []
    table = system.table
    if "taker_imbalance()" in table.columns:
        late = bp.FeatureSet(list(LATE)).compute(system.candles)
        table = table.hstack(late.drop("open_time"))
    for names in dict.fromkeys(tuple(n for n in one if n in table.columns) for one in SEES):
        if not names:
            continue
        run = bp.train(
            bp.models.Logistic(),
            table.select("open_time", *names),
            labels,
            folds,
            seed=case.seed,
        )
        tuned = run.predictions(part="tune").drop_nulls("label")
        training.append(float(roc_auc_score(tuned["label"].to_numpy(), tuned["p_1"].to_numpy())))
        # The tenth of the bars that the variant likes best, by rows that chose nothing else.
        chosen = run.signals(part="tune", fold=0)["long"]
        rules = bp.Rules(entry_long=float(np.nanquantile(chosen, 0.9)), max_hold=9)
        done = bp.backtest(system.candles, run.signals(), rules, costs=COSTS, window=window)
        trading.append(float(np.mean(done.trades["return"].to_numpy())))
    return {"training": training, "trading": trading}


def _permuted(case: Case, run: Any) -> dict[str, Any]:
    """Train one model again, on labels in order and on shuffled ones."""
    fold, part = run.folds[0], run.parts["long"]
    span = _span(run)
    rows = np.concatenate([fold.train[:: span // 2], fold.test[:: span // 2]])
    x, y = part.X.drop("open_time")[rows].to_numpy(), part.labels.values[rows]
    known = np.isfinite(x).all(axis=1) & np.isfinite(y)
    learns = np.isin(rows, fold.train) & known
    judges = np.isin(rows, fold.test) & known

    def skill(values: Any) -> float:
        """Area under the curve on test rows, after training on the others."""
        at = np.flatnonzero(learns)
        model = part.model.clone().fit(
            x[at], values[at], kind="binary", rows=at, ends=at, seed=case.seed
        )
        return float(roc_auc_score(values[judges], model.predict_proba(x[judges])[:, 1]))

    return {
        "skill": skill,
        "labels": np.where(known, y, 0.0),
        "block": 4,
        "draws": 99 if case.full else 19,
    }


def _month(case: Case, system: System) -> dict[str, Any]:
    """Ask the model that saw 30 days whether it can ever trade; of the mended system, its first."""
    if not case.broken:
        sides = {
            side: (system.signals[side], getattr(system.rules, f"entry_{side}"))
            for side in ("long", "short")
        }
        return {
            "PRED-05": {"sides": sides},
            "ECO-09": {"trades": system.result.trades},
            "DATA-08": _history(system),
        }
    # A rare event: twice the stop within two hours.
    rules = bp.Rules(stop_loss=0.01, take_profit=0.02, max_hold=24)
    labels = bp.labels.triple_barrier(
        system.candles, rules, costs=COSTS, side="long", threshold=0.015
    )
    folds = bp.WalkForward(train=30 * DAY, test=20 * DAY).folds(system.candles, labels)[:1]
    sees = system.run.parts["long"].X
    run = bp.train(bp.models.Logistic(C=0.00003), sees, labels, folds, seed=case.seed)
    p = run.predictions(part="test")["p_1"].to_numpy()
    signals = bp.Signals(long=run.signals()["long"])
    done = bp.backtest(
        system.candles,
        signals,
        bp.Rules(entry_long=0.75, max_hold=24),
        costs=COSTS,
        window=(int(folds[0].test[0]), int(folds[0].test[-1]) + 1),
    )
    case.say(f"30-day model: highest probability {p.max():.2f}, {done.trades.height} trades")
    rows = folds[0].train
    return {
        "PRED-05": {"sides": {"long": (p, 0.75)}},
        "ECO-09": {"trades": done.trades},
        "DATA-08": {"labels": labels.values[rows], "spans": (labels.start[rows], labels.end[rows])},
    }


def _few(system: System, lived: pl.DataFrame) -> dict[str, Any]:
    """Ask what so few live trades tell of the win rate that the backtest claims."""
    won, lost = _payoff(system.result.trades)
    null, n = lost / (won + lost), lived.height
    wins = int((lived["return"] > 0).sum())
    share = float((system.result.trades["return"] > 0).mean())
    return {
        "SIG-01": {"n": n},
        "SIG-02": {"k": wins, "n": n, "null": null, "what": "live win rate"},
        "SIG-03": {"k": wins, "n": n, "null": null},
        "SIG-04": {"n": n, "share": max(share, null + 0.01), "null": null},
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the study."""
    return casework.main(study, codes=CODES, doc=__doc__, edge=True, after=commands, argv=argv)


if __name__ == "__main__":
    sys.exit(main())
