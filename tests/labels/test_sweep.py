"""Label sweeps, against the labels of each cell, one by one."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import barproof as bp
from barproof.labels.skill import area_of, purged_skill
from barproof.splits import uniqueness
from tests.tolerances import REFERENCE

COSTS = bp.Costs(taker=0.0005, maker=0.0002, slippage=0.0001)


def facts(row: dict[str, Any]) -> dict[str, Any]:
    names = ("labels", "kept_share", "positive_share", "negative_share", "mean_move", "cost",
             "move_to_cost", "mean_return", "uniqueness", "effective")  # fmt: skip
    return {name: row[name] for name in names}


def hold(row: dict[str, Any], want: dict[str, float]) -> None:
    for name, value in want.items():
        assert row[name] == pytest.approx(value, rel=REFERENCE, nan_ok=True), (name, row)


@pytest.mark.parametrize("kind", ["binary", "ternary"])
@pytest.mark.parametrize("clock", ["open", "close"])
def test_horizon_cells_are_their_labels(kind: str, clock: str) -> None:
    # More bars than a part of the work holds.
    candles = bp.simulate_candles(1, bars=70_000)
    lengths, levels = [24, 1, 7], [0.002, 0.0, 0.0005]
    least = [float(np.quantile(candles.volume, q)) for q in (0.5, 0.0, 0.95)]
    found = bp.labels.sweep(
        candles, costs=COSTS, bars=lengths, threshold=levels, min_volume=least, kind=kind,  # type: ignore[arg-type]
        clock=clock, ledger=False, threads=2,  # type: ignore[arg-type]
    )  # fmt: skip
    rows = found.frame.rows(named=True)
    order = [(r["bars"], r["threshold"], r["min_volume"]) for r in rows]
    assert order == list(itertools.product(lengths, levels, least))
    for row in rows:
        prices = candles.open if clock == "open" else candles.close
        lead, h = (1 if clock == "open" else 0), row["bars"]
        moves = np.full(70_000, np.nan)
        for_all = prices[lead + h :] / prices[lead : 70_000 - h] - 1
        moves[: len(for_all)] = for_all
        kept = ~np.isnan(moves) & (candles.volume >= row["min_volume"])
        up, down = moves > row["threshold"], moves < -row["threshold"]
        down = down if kind == "ternary" else np.zeros_like(down)
        at = np.flatnonzero(kept)
        weight = uniqueness((at + lead, at + lead + h)) if len(at) else np.array([])
        counted = kept & (up | down)
        hold(
            row,
            {
                "labels": kept.sum(),
                "kept_share": kept.sum() / (~np.isnan(moves)).sum(),
                "positive_share": (kept & up).sum() / kept.sum(),
                "negative_share": (kept & down).sum() / kept.sum(),
                "mean_move": np.abs(moves[counted]).mean(),
                "cost": 0.0012,
                "mean_return": np.nan,
                "effective": weight.sum(),
                "uniqueness": weight.mean(),
            },
        )
    again = bp.labels.sweep(
        candles, costs=COSTS, bars=lengths, threshold=levels, min_volume=least, kind=kind,  # type: ignore[arg-type]
        clock=clock, ledger=False, threads=1,  # type: ignore[arg-type]
    )  # fmt: skip
    assert again.frame.equals(found.frame, null_equal=True)
    made = found.labels(4)
    assert int(made.defined.sum()) == rows[4]["labels"]
    assert made.shares()[1.0] == pytest.approx(rows[4]["positive_share"], rel=REFERENCE)


GRIDS: dict[str, tuple[dict[str, Any], dict[str, list[Any]]]] = {
    "levels": (
        {"max_hold": 48},
        {"stop_loss": [0.004, 0.01, None], "take_profit": [0.005, 0.02], "max_hold": [12, 48]},
    ),
    "moving": ({"max_hold": 30, "stop_loss": 0.01}, {"trailing": [None, 0.006], "break_even": [None, 0.004]}),
    "atr": (
        {"max_hold": 40, "stop_loss_kind": "atr", "take_profit_kind": "atr", "leverage": 5.0},
        {"stop_loss": [1.0, 3.0], "take_profit": [2.0, 4.0], "intrabar": ["pessimistic", "optimistic"]},
    ),
    "alone": (
        {"max_hold": 20, "stop_loss": 0.01, "entry": "limit", "limit_bars": 3},
        {"take_profit": [0.006, 0.02], "fraction": [1.0, 0.5]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRIDS)
def test_trade_cells_are_their_labels(name: str) -> None:
    # More bars than a shard holds.
    candles = bp.simulate_candles(3, bars=18_000)
    base, axes = GRIDS[name]
    grid = bp.Grid(bp.Rules(**base), *({field: values} for field, values in axes.items()))
    least = [0.0, float(np.quantile(candles.volume, 0.7))]
    options: dict[str, Any] = {
        "costs": COSTS, "rules": grid, "side": ["short", "long"], "min_volume": least,
        "threshold": 0.0005, "ledger": False,
    }  # fmt: skip
    found = bp.labels.sweep(candles, **options, threads=2)
    rows = found.frame.rows(named=True)
    assert len(rows) == 4 * len(grid)
    for number, row in enumerate(rows):
        rules = grid[number // 4]
        assert row["side"] == ["short", "long"][number // 2 % 2]
        labels = bp.labels.triple_barrier(
            candles, rules, costs=COSTS, side=row["side"], kind="regression"
        )
        frame = labels.outcomes
        kept = labels.defined & (candles.volume >= row["min_volume"])
        up = kept & (labels.values > 0.0005)
        fees, funding = (frame[n].fill_null(np.nan).to_numpy() for n in ("fees", "funding"))
        gross = labels.values + fees - funding
        weight = uniqueness((labels.start, labels.end), rows=np.flatnonzero(kept))
        hold(
            row,
            {
                "labels": kept.sum(),
                "kept_share": kept.sum() / labels.defined.sum(),
                "positive_share": up.sum() / kept.sum(),
                "negative_share": 0.0,
                "mean_move": gross[up].mean(),
                "cost": fees[up].mean(),
                "move_to_cost": gross[up].mean() / fees[up].mean(),
                "mean_return": labels.values[kept].mean(),
                "uniqueness": weight.mean(),
                "effective": weight.sum(),
            },
        )
    assert found.frame.equals(bp.labels.sweep(candles, **options, threads=1).frame)
    made = found.labels(5)
    assert int(made.defined.sum()) == rows[5]["labels"]


def test_skill_is_found_where_it_is_planted_and_nowhere_else() -> None:
    rng = np.random.default_rng(5)
    for edge, learnable in ((0.3, True), (0.0, False)):
        candles = bp.simulate_candles(21, bars=12_000, edge=edge)
        score = candles.planted if edge else rng.normal(size=12_000)
        assert score is not None
        features = np.column_stack([score, rng.normal(size=12_000)])
        found = bp.labels.sweep(
            candles, costs=COSTS, bars=[1, 3], threshold=[0.0005, 0.001], features=features,
            ledger=False,
        ).frame  # fmt: skip
        assert ((found["auc_low"] > 0.5) & (found["p_holm"] < 0.05)).any() == learnable
        assert (found["p_holm"] >= found["p_value"]).all()


def test_no_skill_of_overlapping_labels_looks_like_none() -> None:
    """On noise the p-values of long labels are no smaller than those of independent ones would be."""
    small = 0
    for seed in range(30):
        candles = bp.simulate_candles(seed, bars=3_000)
        # A slow feature, which overlapping labels agree with by chance.
        slow = np.cumsum(np.random.default_rng(seed).normal(size=3_000))[:, None]
        labels = bp.labels.horizon(candles, bars=40, kind="binary")
        small += purged_skill(labels, slow, 5, 20_000).p < 0.05
    assert small <= 5


def test_areas_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(2)
    for _ in range(20):
        score, truth = np.round(rng.normal(size=50), 1), rng.random(50) < 0.4
        assert area_of(score, truth) == pytest.approx(roc_auc_score(truth, score), rel=REFERENCE)


def test_every_cell_is_a_trial_of_the_ledger(tmp_path: Any) -> None:
    candles = bp.simulate_candles(1, bars=500)
    book = bp.Ledger.open(tmp_path / "ledger.sqlite")
    found = bp.labels.sweep(candles, costs=COSTS, bars=[2, 4], threshold=[0.0, 0.001], ledger=book)
    assert found.provenance["ledger"] == "run 1, 4 trials on these candles"
    seen: list[tuple[int, int]] = []
    bp.labels.sweep(
        candles, costs=COSTS, bars=[2, 4], ledger=False, progress=lambda a, b: seen.append((a, b))
    )
    assert seen[-1] == (2, 2)
    assert len(found) == 4
    assert repr(found).endswith(", 4 cells)")


def test_cells_of_one_class_are_shown_and_have_no_skill() -> None:
    candles = bp.simulate_candles(1, bars=2_000)
    features = np.random.default_rng(0).normal(size=(2_000, 2))
    found = bp.labels.sweep(
        candles, costs=COSTS, bars=2, threshold=[0.001, 0.9], features=features, ledger=False
    )
    row = found.frame.row(1, named=True)
    assert (row["positive_share"], row["negative_share"]) == (0.0, 0.0)
    assert np.isnan([row["auc"], row["p_holm"], row["mean_move"]]).all()
    assert np.isfinite(found.frame["p_holm"][0])
