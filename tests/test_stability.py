"""How steady a choice was from fold to fold: by hand, and against scipy's rank correlation."""

from __future__ import annotations

import itertools
import math
import pickle
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

import barproof as bp
from barproof._stability import agreement, rank_correlation, stability
from tests.stands import COSTS, grid, stand
from tests.test_neighbours import NAN
from tests.tolerances import ROUNDING


def choices(**columns: list[Any]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    rows = [None if columns["a"][i] == "idle" else i for i in range(n)]
    kept = {k: [None if v == "idle" else v for v in values] for k, values in columns.items()}
    return pl.DataFrame({"combination": pl.Series(rows, dtype=pl.UInt32), **kept}, strict=False)


def test_stability_by_hand() -> None:
    frame = choices(
        a=[1.0, 1.0, "idle", 2.0, 1.0, None],
        b=[5, 5, "idle", 6, 5, 7],
        c=["x", "x", "idle", "x", "x", "x"],
    )
    found = stability(frame, [["a", "b"], ["a"], ["c"]])
    assert found.rows() == [
        ("a+b", 3, 3, 0.25, "1.0 + 5", 0.6, pytest.approx(1.3709505944546687)),
        ("a", 3, 3, 0.25, "1.0", 0.6, pytest.approx(1.3709505944546687)),
        ("c", 1, 0, 1.0, "x", 1.0, 0.0),
    ]
    assert math.copysign(1.0, found["entropy"][2]) == 1.0
    assert agreement(frame, [["a", "b"], ["c"]]) == (0.25 + 1.0) / 2
    turns = stability(choices(a=[None, 0.5, None, 0.5]), [["a"]])
    assert turns.rows() == [("a", 2, 3, 0.0, "off", 0.5, 1.0)]


def test_stability_of_one_fold_of_none_and_of_no_axis() -> None:
    one = stability(choices(a=[1.0]), [["a"]]).rows()[0]
    assert one[:3] == ("a", 1, 0)
    assert math.isnan(one[3])
    assert math.isnan(agreement(choices(a=[1.0]), [["a"]]))
    idle = stability(choices(a=["idle", "idle"]), [["a"]]).rows()[0]
    assert idle[:3] == ("a", 0, 0)
    assert idle[4] is None
    assert math.isnan(agreement(choices(a=[1.0, 2.0]), []))
    assert stability(choices(a=[1.0, 2.0]), []).height == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=3, max_size=30))
def test_the_rank_correlation_is_spearmans(pairs: list[tuple[int, int]]) -> None:
    a, b = ([float(p[i]) for p in pairs] for i in (0, 1))
    frame = pl.DataFrame({"chosen_m": [*a, None, 1.0], "judged_m": [*b, 2.0, NAN]})
    value, n = rank_correlation(frame, "m")
    assert n == len(pairs)
    if len(set(a)) < 2 or len(set(b)) < 2:
        assert math.isnan(value)
    else:
        assert value == pytest.approx(float(spearmanr(a, b).statistic), rel=ROUNDING, abs=ROUNDING)
    assert math.isnan(rank_correlation(frame[:2], "m").value)
    assert rank_correlation(frame[:0], "m").n == 0


def test_a_result_tells_how_steady_it_was() -> None:
    run = stand(bp.WalkForward(train=400, tune=1_200, test=500), bars=6_000)
    oos = bp.walk_forward_optimise(run, grid(), costs=COSTS)
    table = oos.stability
    assert table["axis"].to_list() == ["entry_long+entry_short", "stop_loss"]
    stops = oos.choices.drop_nulls("combination")["stop_loss"].to_list()
    changes = sum(a != b for a, b in itertools.pairwise(stops))
    assert table.row(1)[1:3] == (len(set(stops)), changes)
    assert oos.agreement == pytest.approx(float(table["agreement"].mean()))  # type: ignore[arg-type]
    value, n = oos.rank_correlation
    pairs = oos.choices.select("chosen_sharpe", "judged_sharpe").fill_nan(None).drop_nulls()
    assert n == pairs.height > 3
    assert value == pytest.approx(float(spearmanr(*pairs.to_numpy().T).statistic))
    copy = pickle.loads(pickle.dumps(oos))
    assert copy.stability.equals(table)
    assert copy.rank_correlation == oos.rank_correlation


def test_the_report_tells_it(tmp_path: Path) -> None:
    from barproof.report.walk_forward import choice_sentences

    run = stand(bp.WalkForward(train=400, tune=300, test=250))
    combinations = bp.Grid(
        bp.Rules(max_hold=40), entry_long=[1.0, 1.5, 2.5], stop_loss=[0.01, 0.02]
    )
    oos = bp.walk_forward_optimise(run, combinations, costs=COSTS, choose="plateau")
    told = choice_sentences(oos)
    edges = int(oos.choices["at_edge"].sum())
    assert told[0].startswith(f"From one choice to the next {oos.agreement:.0%} of the axes")
    made = oos.choices["combination"].drop_nulls()
    assert f"{edges} of {len(made)} choices stood on an edge" in told[-1]
    page = oos.to_html(tmp_path / "oos.html").read_text()
    assert all(sentence in page for sentence in told)
    assert "Sharpe ratio, plateau" in page
