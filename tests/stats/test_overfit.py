"""CSCV, SPA, StepM and the Reality Check against slow twins, peers' faults, and laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barproof import stats
from tests.stats import twins
from tests.tolerances import GOLDEN

near = pytest.approx


def noise(n: int, trials: int, seed: int = 1, shift: float = 0.0) -> np.ndarray:
    return stats.normals(seed, n * trials).reshape(n, trials) + shift


@pytest.mark.parametrize(("n", "trials", "blocks"), [(64, 6, 8), (50, 3, 4), (101, 12, 6)])
def test_pbo_is_that_of_the_definition(n: int, trials: int, blocks: int) -> None:
    panel = noise(n, trials, seed=n)
    panel[: n // 2, 0] = 0.0  # a trial that does not trade for a while
    found = stats.pbo(panel, blocks=blocks)
    share, loss, slope, logits = twins.pbo(panel, blocks)
    assert (found.pbo, found.loss) == (share, loss)
    assert found.slope == near(slope, rel=GOLDEN)
    assert sorted(found.logits) == near(logits, rel=GOLDEN)
    assert found.splits == math.comb(blocks, blocks // 2) == len(found.logits)


@settings(deadline=None, max_examples=25)
@given(
    n=st.integers(20, 60),
    trials=st.integers(1, 40),
    block=st.sampled_from([1.0, 2.5, 4.0]),
    seed=st.integers(0, 2**32),
)
def test_superior_is_that_of_the_definition(n: int, trials: int, block: float, seed: int) -> None:
    panel = noise(n, trials, seed=seed) + np.linspace(-0.5, 0.4, trials)
    index = stats.stationary_indices(n, mean_block=block, rows=150, seed=seed)
    drawn = stats.spa(panel, mean_block=block, resamples=150, seed=seed)
    found = stats.spa(panel, indices=index, mean_block=block)
    assert drawn.exceed.tolist() == found.exceed.tolist()
    for how in ("resample", "sample"):
        statistic, counts = twins.spa(panel, index, block, how)
        found = stats.spa(panel, indices=index, mean_block=block, studentise=how)
        assert found.statistic == near(statistic, rel=GOLDEN)
        assert found.exceed.tolist() == counts
        steps = stats.stepm(panel, indices=index, mean_block=block, studentise=how)
        assert steps.p == near(twins.stepm(panel, index, block, how), rel=GOLDEN)
        for level in (0.05, 0.3):
            named = stats.stepm(
                panel,
                indices=index,
                mean_block=block,
                level=level,
                studentise=how,
            ).superior
            assert named.tolist() == twins.stepwise(panel, index, block, level, how)


def test_reality_check_is_that_of_the_definition() -> None:
    panel = noise(40, 5, seed=4)
    index = stats.stationary_indices(40, mean_block=3, rows=200, seed=5)
    found = stats.reality_check(panel, indices=index, mean_block=3)
    root, means = math.sqrt(40), panel.mean(axis=0)
    stars = [root * float((panel[row].mean(axis=0) - means).max()) for row in index]
    assert found.statistic == near(root * means.max(), rel=GOLDEN)
    assert found.exceed == sum(star >= root * means.max() for star in stars)
    assert found.p == (1 + found.exceed) / 201
    assert stats.spa(panel, indices=index, mean_block=3).p_reality_check == found.p


def test_unstudentised_spa_agrees_with_arch_on_the_same_resamples() -> None:
    bootstrap = pytest.importorskip("arch.bootstrap")

    panel = noise(100, 8, seed=9) + np.linspace(-0.2, 0.2, 8)
    peer = bootstrap.SPA(np.zeros(100), -panel, block_size=5, reps=300, seed=3)
    # The resamples that it will draw.
    state = peer.bootstrap.state
    index = np.array([peer.bootstrap.update_indices() for _ in range(300)])
    peer.bootstrap.state = state
    peer.compute()
    found = stats.spa(panel, indices=index, mean_block=5, studentise="none")
    assert [int(e) / 300 for e in found.exceed] == near(list(peer.pvalues), abs=1e-12)


def test_threads_change_no_bit() -> None:
    panel = noise(90, 50)
    one, many = (stats.spa(panel, resamples=200, threads=k) for k in (1, 3))
    assert repr(one) == repr(many) and one.exceed.tolist() == many.exceed.tolist()
    a, b = (stats.pbo(panel, threads=k) for k in (1, 3))
    assert a.logits.tobytes() == b.logits.tobytes()


# ---- peers' faults -----------------------------------------------------------------------------


def test_no_p_value_is_ever_zero() -> None:
    """A published Reality Check prints p = 0.0 on pure noise, each time."""
    strong = noise(100, 3) + 5.0
    assert stats.reality_check(strong, resamples=99).p == 0.01
    assert stats.spa(strong, resamples=99).p == 0.01
    assert stats.stepm(strong, resamples=99).p == near([0.01] * 3)
    for seed in range(20):
        assert stats.reality_check(noise(100, 10, seed=seed), resamples=99, seed=seed).p > 0.01


def test_a_noisy_trial_does_not_drown_a_good_one() -> None:
    """In arch 8.0.0 `studentize` moves the recentring alone: the maximum is not studentised."""
    panel = noise(120, 6, seed=51)
    panel[:, 0] += 0.4
    panel[:, 5] *= 10
    assert stats.spa(panel, mean_block=5, seed=52).p < 0.05
    assert stats.spa(panel, mean_block=5, seed=52, studentise="none").p > 0.2
    assert stats.stepm(panel, mean_block=5, seed=52).superior.tolist() == [0]


def test_a_pair_is_resampled_together() -> None:
    a = stats.normals(41, 200)
    b = 0.9 * a + math.sqrt(1 - 0.81) * stats.normals(42, 200)
    found = stats.paired_difference(a, b, mean_block=1, resamples=2_000)
    # Var(a - b) = 2 (1 - rho), not 2.
    assert found.error == near(math.sqrt(0.2 / 200), rel=0.15)
    assert stats.paired_difference(a, a + 0.0, resamples=99).reason


def test_recentring_is_by_the_whole_sample() -> None:
    """Centred by each resample's own mean every resampled mean would be 0, and p tiny."""
    panel = noise(60, 4, seed=77)
    found = stats.reality_check(panel, resamples=400)
    assert 0.02 < found.p < 1


def test_one_hopeless_trial_changes_little() -> None:
    """The least favourable recentring would let poor trials water the test down."""
    panel = noise(200, 4, seed=5)
    panel[:, 0] += 0.20
    poor = np.column_stack([panel, noise(200, 40, seed=6, shift=-1.5)])
    before, after = stats.spa(panel, mean_block=1), stats.spa(poor, mean_block=1)
    assert after.p <= before.p + 0.01
    assert after.p_upper > after.p


# ---- laws --------------------------------------------------------------------------------------


def test_scale_and_order_of_trials_change_nothing() -> None:
    panel = noise(80, 9, seed=2)
    order = np.array([4, 2, 8, 0, 1, 7, 3, 6, 5])
    first = stats.spa(panel, resamples=200, mean_block=2)
    for other in (panel * 1e-3, panel[:, order]):
        again = stats.spa(other, resamples=200, mean_block=2)
        assert again.exceed.tolist() == first.exceed.tolist()
        assert again.statistic == near(first.statistic, rel=GOLDEN)
        cross = stats.pbo(other)
        assert sorted(cross.logits) == near(sorted(stats.pbo(panel).logits), rel=GOLDEN)
    p = stats.stepm(panel, resamples=200, mean_block=2).p
    assert stats.stepm(panel[:, order], resamples=200, mean_block=2).p == near(p[order])
    scaled = panel * np.linspace(0.1, 10, 9)  # each trial by its own factor
    assert stats.spa(scaled, resamples=200, mean_block=2).exceed.tolist() == first.exceed.tolist()


def test_copies_of_a_trial_are_not_more_evidence() -> None:
    panel = noise(80, 3, seed=3)
    twice = np.column_stack([panel, panel])
    a = stats.spa(panel, resamples=200, mean_block=2)
    assert stats.spa(twice, resamples=200, mean_block=2).exceed.tolist() == a.exceed.tolist()
    one, two = stats.effective_trials(panel), stats.effective_trials(twice)
    assert two.by_rank == near(one.by_rank, rel=GOLDEN)
    assert two.by_participation == near(one.by_participation, rel=GOLDEN)


def test_edges_are_found_and_overfitting_is_seen() -> None:
    panel = noise(400, 20, seed=11)
    assert stats.pbo(panel, blocks=8).pbo > 0.1
    panel[:, 7] += 0.25
    assert stats.pbo(panel, blocks=8).pbo < 0.1
    found = stats.spa(panel)
    assert found.p < 0.05 and found.best == 7


# ---- bad input ---------------------------------------------------------------------------------

GAP = noise(40, 3)
GAP[7, 1] = np.nan
ENDLESS = noise(40, 3)
ENDLESS[7, 1] = np.inf

BAD = [
    ([], "dimensions"),
    ([[0.1, 0.2], [0.1]], "ragged"),
    ([["a", "b"]], "ragged"),
    (np.zeros((0, 3)), "0 periods"),
    (np.zeros((1, 3)), "1 periods"),
    (np.zeros((40, 0)), "0 trials"),
    (GAP, "return 7 of trial 1 is nan"),
    (ENDLESS, "return 7 of trial 1 is inf"),
    (np.zeros((5, 3, 2)), "dimensions"),
]


@pytest.mark.parametrize(("panel", "why"), BAD)
def test_bad_panels_have_a_reason_and_no_number(panel: object, why: str) -> None:
    for found in (
        stats.pbo(panel, blocks=4),  # type: ignore[arg-type]
        stats.spa(panel, resamples=99),  # type: ignore[arg-type]
        stats.stepm(panel, resamples=99),  # type: ignore[arg-type]
        stats.reality_check(panel, resamples=99),  # type: ignore[arg-type]
        stats.effective_trials(panel),  # type: ignore[arg-type]
    ):
        assert not found.defined and why in found.reason
        assert "undefined" in repr(found)
    assert math.isnan(stats.pbo(panel, blocks=4).pbo)  # type: ignore[arg-type]
    assert math.isnan(stats.spa(panel, resamples=99).p)  # type: ignore[arg-type]
    assert not len(stats.stepm(panel, resamples=99).superior)  # type: ignore[arg-type]


def test_constants_blocks_and_calendars() -> None:
    flat = np.zeros((40, 3))
    assert "varies" in stats.spa(flat, resamples=99).reason
    assert "varies" in stats.effective_trials(flat).reason
    constant = noise(40, 3)
    constant[:, 1] = 0.001
    assert "trial 1 must be 0 or varying" in stats.pbo(constant, blocks=4).reason
    found = stats.spa(constant, resamples=99)
    assert found.left_out == 1
    assert np.isnan(stats.stepm(constant, resamples=99).p).tolist() == [False, True, False]
    slow = np.column_stack([np.arange(40.0), np.arange(40.0) ** 2])
    assert "fifth" in stats.spa(slow, resamples=99).reason
    assert "fifth" in stats.stepm(noise(20, 2), mean_block=5, resamples=99).reason
    late = stats.spa(noise(40, 2), benchmark=np.zeros(39), resamples=99)
    assert "benchmark" in late.reason
    same = noise(40, 2)
    against = stats.spa(same, benchmark=same[:, 0], resamples=99)
    assert against.left_out == 1 and against.best == 1


def test_trials_without_trades_count_as_zero() -> None:
    panel = noise(64, 5, seed=8, shift=-0.4)
    panel[:, 3] = 0.0
    found = stats.pbo(panel, blocks=8)
    # All others lose: doing nothing is best in most halves and stays so in the others.
    assert found.pbo < 0.2 and found.loss < 0.2
