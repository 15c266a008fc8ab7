"""Groups of trials: planted ones are found, and the steps are those of scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from barproof import stats
from barproof.stats import grouping as module
from tests.tolerances import GOLDEN

near = pytest.approx


def planted(groups: int, size: int, share: float, days: int = 1_000, seed: int = 1) -> np.ndarray:
    """Trials, a row each: a group shares that part of its variance."""
    common = stats.normals(seed, groups * days).reshape(groups, days)
    own = stats.normals(seed + 50, groups * size * days).reshape(groups * size, days)
    out: np.ndarray = np.sqrt(share) * np.repeat(common, size, axis=0) + np.sqrt(1 - share) * own
    return out


@pytest.mark.parametrize(("groups", "size", "share"), [(3, 10, 0.6), (10, 25, 0.3), (25, 10, 0.7)])
def test_planted_groups_are_found_in_any_order(groups: int, size: int, share: float) -> None:
    rows = planted(groups, size, share)
    order = np.argsort(stats.uniforms(9, len(rows)))
    found = stats.clusters(np.corrcoef(rows[order]))
    truth = np.repeat(np.arange(groups), size)[order]
    assert len(set(zip(found, truth, strict=True))) == groups == found.max() + 1
    assert stats.effective_trials(rows.T).by_clusters == groups


@pytest.mark.parametrize("seed", [2, 4, 10])
def test_groups_of_unequal_strength_are_not_merged_again(seed: int) -> None:
    """By the mean over all groups, as in the paper, the second look would leave 5: the strong ones lift it."""
    parts = [
        planted(3, 8, share, 400, seed + k) for k, share in ((0, 0.9), (100, 0.55), (200, 0.3))
    ]
    assert stats.clusters(np.corrcoef(np.concatenate(parts))).max() + 1 == 9


def test_ward_silhouettes_and_distances_are_those_of_libraries() -> None:
    from scipy.cluster.hierarchy import cut_tree, linkage
    from scipy.spatial.distance import pdist, squareform
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_samples

    rows = planted(4, 6, 0.4, days=120)
    x = np.sqrt((1 - np.corrcoef(rows)) / 2)
    np.fill_diagonal(x, 0.0)
    apart = module._distances(x)
    assert apart == near(squareform(pdist(x)), abs=1e-7)
    tree = cut_tree(linkage(pdist(x), "ward"))
    for k, cut in enumerate(module._tree(apart, 12), start=2):
        assert cut.tolist() == module._in_order(tree[:, len(x) - k]).tolist()
        want = silhouette_samples(x, cut)
        assert module._silhouettes(apart, cut) == near(want, rel=1e-6, abs=1e-7)
        centres = np.array([x[cut == number].mean(axis=0) for number in range(k)])
        peer = KMeans(k, init=centres, n_init=1, tol=0.0, max_iter=50).fit(x).labels_
        assert module._k_means(x, cut).tolist() == module._in_order(peer.astype(int)).tolist()


def test_few_trials_copies_and_order() -> None:
    assert stats.clusters(np.empty((0, 0))).tolist() == []
    assert stats.clusters([[1.0]]).tolist() == [0]
    assert stats.clusters(np.ones((4, 4))).tolist() == [0, 0, 0, 0]
    assert stats.clusters([[1.0, 0.3], [0.3, 1.0]]).tolist() == [0, 1]
    rows = planted(4, 5, 0.5, days=200)
    once = stats.clusters(np.corrcoef(rows))
    twice = stats.clusters(np.corrcoef(np.concatenate([rows, rows])))
    assert twice.tolist() == [*once, *once]
    scaled = rows * np.linspace(0.5, 3, len(rows))[:, None] + 1
    assert stats.clusters(np.corrcoef(scaled)).tolist() == once.tolist()
    many = stats.effective_trials(planted(60, 10, 0.9, days=100).T)
    assert (many.clustered, many.trials) == (256, 600)
    assert many.by_clusters == near(60, abs=8)
    assert many.largest == max(
        many.by_correlation, many.by_rank, many.by_participation, many.by_clusters
    )


def test_still_trials_are_in_no_group() -> None:
    rows = planted(3, 6, 0.7, days=300)
    still = np.concatenate([rows, np.zeros((5, 300))])
    found = stats.effective_trials(still.T)
    assert found.by_clusters == 3 and found.left_out == 5
    assert found.by_rank == near(stats.effective_trials(rows.T).by_rank, rel=GOLDEN)
