"""Surrogates hold what they should and no edge; the procedure test is uniform on noise and finds what is there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import barproof as bp
from barproof import stats
from barproof._surrogates import KINDS
from tests.tolerances import REFERENCE

near = pytest.approx
COSTS = bp.Costs(taker=0.0, slippage=0.0)
GRID = bp.Grid(bp.Rules(entry_long=0.5, entry_short=0.5), entry_long=[0.5, 1.0], max_hold=[4, 12])


def follows_takers(candles: bp.Candles) -> float:
    """A small study with a choice in it: the best of four combinations, by its own Sharpe ratio."""
    share = candles.extra["taker_buy_volume"] / np.maximum(candles.volume, 1e-12)
    score = (share - share.mean()) / max(float(share.std()), 1e-12)
    signals = bp.Signals(long=score, short=-score, kind="score")
    table = bp.sweep(candles, signals, GRID, costs=COSTS, ledger=False, threads=1, progress=False)
    return float(np.nan_to_num(table.pooled["sharpe"].to_numpy(), nan=-np.inf).max())


@pytest.mark.parametrize("kind", KINDS)
def test_surrogates_are_markets_of_the_same_kind(kind: str) -> None:
    candles = bp.simulate_candles(3, bars=4_000, interval="1h", edge=0.3)
    other = bp.surrogate_candles(candles, kind=kind, seed=8)  # type: ignore[arg-type]
    again = bp.surrogate_candles(candles, kind=kind, seed=8)  # type: ignore[arg-type]
    assert other.digest == again.digest != bp.surrogate_candles(candles, kind=kind, seed=9).digest  # type: ignore[arg-type]
    assert other.open_time.tolist() == candles.open_time.tolist()
    assert other.instrument == candles.instrument and other.funding is not None
    # Good enough to be read again: order, prices, volumes.
    assert bp.read_candles(other.to_polars(), instrument="perpetual", interval="1h", funding="none")
    was, now = (np.log(c.close / c.open) for c in (candles, other))
    assert now.std() == near(was.std(), rel=0.25)
    if kind in ("sign", "phase"):
        assert np.sort(np.abs(now)) == near(np.sort(np.abs(was)), rel=1e-6, abs=1e-12)
        assert np.sort(other.volume).tolist() == np.sort(candles.volume).tolist()
    if kind == "sign":
        spread = np.log(candles.high / candles.low)
        assert np.log(other.high / other.low) == near(spread, rel=1e-6, abs=1e-12)
    # Volatility clusters in all of them.
    size = np.abs(now)
    assert np.corrcoef(size[:-1], size[1:])[0, 1] > 0.03


@pytest.mark.parametrize("kind", ["sign", "blocks", "phase"])
def test_surrogates_hold_no_edge_and_no_drift(kind: str) -> None:
    candles = bp.simulate_candles(3, bars=20_000, interval="1h", edge=0.3)

    def relation(c: bp.Candles) -> tuple[float, float]:
        share = c.extra["taker_buy_volume"] / c.volume
        move = c.close[1:] / c.open[1:] - 1
        error = float(move.std()) / np.sqrt(len(move))
        return float(np.corrcoef(share[:-1], move)[0, 1]), float(move.mean()) / error

    assert relation(candles)[0] > 0.1
    found = [relation(bp.surrogate_candles(candles, kind=kind, seed=s)) for s in range(12)]  # type: ignore[arg-type]
    assert max(abs(r) for r, _ in found) < 4 / np.sqrt(20_000)
    # The expected simple return of every bar is 0: twelve means within their errors.
    assert abs(sum(z for _, z in found)) / np.sqrt(12) < 3.5


def test_a_mirrored_bar_keeps_its_shape() -> None:
    candles = bp.simulate_candles(5, bars=500)
    other = bp.surrogate_candles(candles, seed=1)
    up, down = np.log(candles.high / candles.open), np.log(candles.low / candles.open)
    for t in range(500):
        high, low = np.log(other.high[t] / other.open[t]), np.log(other.low[t] / other.open[t])
        same = near((up[t], down[t]), rel=1e-6, abs=1e-12)
        turned = near((-down[t], -up[t]), rel=1e-6, abs=1e-12)
        assert (high, low) == same or (high, low) == turned
        taker = other.extra["taker_buy_volume"][t]
        own = candles.extra["taker_buy_volume"][t]
        assert taker in (near(own), near(candles.volume[t] - own, abs=1e-9))


def test_an_edge_is_found_and_its_power_is_that_of_planted_edges() -> None:
    candles = bp.simulate_candles(2, bars=6_000, interval="1h", edge=0.2)
    found = bp.procedure_test(
        follows_takers, candles, count=39, edges=[0.01, 0.25], studies=8, seed=3
    )
    assert found.p == 1 / 40 and found.complete and not found.failed
    weak, strong = found.power["power"].to_list()
    assert strong == 1.0 and weak < strong
    assert found.power["passed"][1] == 8
    assert found.score == follows_takers(candles)


def leans(candles: bp.Candles) -> float:
    """How the next return goes with the planted score: a study whose score is the edge itself, with its noise."""
    assert candles.planted is not None
    move = np.diff(np.log(candles.open[1:]))
    return float(np.corrcoef(candles.planted[:-2], move)[0, 1])


def test_the_edge_that_a_study_claims_is_found_and_planted() -> None:
    candles = bp.simulate_candles(2, bars=6_000, interval="1h", edge=0.2)
    told: list[int] = []
    found = bp.procedure_test(
        leans,
        candles,
        markets=lambda i: bp.simulate_candles(100 + i, bars=6_000, interval="1h"),
        count=19,
        edges="claimed",
        studies=8,
        progress=lambda done, _: told.append(done),
    )
    assert 0.15 < found.claimed < 0.27
    assert found.power["edge"].to_list() == [found.claimed]
    assert found.power["passed"].to_list() == [8]
    assert told == sorted(told)
    # What scores no better than the median without an edge claims none, and a time that is up finds none.
    empty = bp.simulate_candles(104, bars=6_000, interval="1h")
    low = bp.procedure_test(
        lambda c: -abs(leans(c)) - 0.1 * (c is empty), empty, count=19, edges="claimed"
    )
    assert np.isnan(low.claimed) and not low.power.height
    late = bp.procedure_test(leans, candles, count=19, edges="claimed", budget=0.0)
    assert np.isnan(late.claimed) and not late.complete


def p_values(tests: int, bars: int) -> np.ndarray:
    found = []
    for seed in range(tests):
        candles = bp.simulate_candles(50_000 + seed, bars=bars, interval="1h")
        found.append(bp.procedure_test(follows_takers, candles, count=19, seed=seed).p)
    return np.array(found)


def calibrated(p: np.ndarray) -> None:
    """Uniform on 0.05, 0.10, ..., 1: shares at three places within exact bounds."""
    for at in (0.05, 0.25, 0.5):
        k = int(np.sum(p <= at + 1e-9))
        assert stats.binomial_test(k, len(p), at).p > 0.005, (at, k)


def test_p_values_are_uniform_on_noise() -> None:
    calibrated(p_values(30, 600))


@pytest.mark.slow
def test_p_values_are_uniform_on_noise_in_many_studies() -> None:
    p = p_values(300, 600)
    print(
        "shares at 0.05, 0.10, 0.25, 0.50:",
        [float(np.mean(p <= a + 1e-9)) for a in (0.05, 0.1, 0.25, 0.5)],
    )
    calibrated(p)


@pytest.mark.slow
@pytest.mark.parametrize("edge", [0.02, 0.1, 0.25])
def test_stated_power_is_what_markets_with_that_edge_find(edge: float) -> None:
    """Five tests state a power; markets that hold the edge are tested against surrogates of their own."""
    stated = np.zeros(2, np.int64)
    for seed in range(5):
        candles = bp.simulate_candles(70_000 + seed, bars=600, interval="1h")
        found = bp.procedure_test(
            follows_takers, candles, count=99, edges=[edge], studies=40, seed=seed
        )
        passed, studies = int(found.power["passed"][0]), int(found.power["studies"][0])
        stated += (passed, studies - passed)
    own = np.zeros(2, np.int64)
    for seed in range(60):
        candles = bp.simulate_candles(80_000 + seed, bars=600, interval="1h", edge=edge)
        hit = bp.procedure_test(follows_takers, candles, count=19, seed=seed).p <= 0.05
        own += (int(hit), int(not hit))
    print(edge, stated.tolist(), own.tolist())
    from scipy.stats import fisher_exact

    assert fisher_exact([stated, own]).pvalue > 0.005


def test_a_budget_ends_it_and_a_file_goes_on(tmp_path: Path) -> None:
    candles = bp.simulate_candles(4, bars=300, interval="1h")
    path = tmp_path / "test.jsonl"
    calls: list[int] = []

    def study(c: bp.Candles) -> float:
        calls.append(len(c))
        return float(c.close[-1] / c.open[0] - 1)

    none = bp.procedure_test(study, candles, count=20, budget=0.0, out=path)
    assert not none.defined and "budget" in none.reason and not none.complete
    assert np.isnan(none.p) and len(calls) == 1
    whole = bp.procedure_test(study, candles, count=20, out=path)
    assert whole.complete and whole.defined and len(calls) == 21
    # All is known: nothing runs again.
    again = bp.procedure_test(study, candles, count=20, out=path)
    assert (again.p, len(calls)) == (whole.p, 21)
    assert again.null.tolist() == whole.null.tolist()
    # A last line that a kill cut short is run again.
    text = path.read_text(encoding="utf-8")
    path.write_text(text[:-30], encoding="utf-8")
    mended = bp.procedure_test(study, candles, count=20, out=path)
    assert mended.null.tolist() == whole.null.tolist() and len(calls) == 22
    assert all(json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())


def test_failures_never_help() -> None:
    candles = bp.simulate_candles(4, bars=300, interval="1h")

    def moody(c: bp.Candles) -> float:
        if c.digest == candles.digest:
            return 1e9
        raise ValueError("no trades")

    found = bp.procedure_test(moody, candles, count=19)
    assert found.p == 1.0 and found.failed == 19 and "no trades" in found.errors[0]
    nothing = bp.procedure_test(lambda c: float("nan"), candles, count=19)
    assert not nothing.defined and "scores nothing" in nothing.reason
    with pytest.raises(ValueError, match="broken"):
        bp.procedure_test(lambda c: int("broken"), candles, count=19)


def test_own_markets_and_results() -> None:
    candles = bp.simulate_candles(4, bars=400, interval="1h")
    seen = []

    def market(number: int) -> bp.Candles:
        return bp.simulate_candles(900 + number, bars=400, interval="1h")

    def study(c: bp.Candles) -> bp.Result:
        signals = bp.Signals.where(c, long="rsi(14) < 40")
        return bp.backtest(
            c, signals, bp.Rules(entry_long=0.5, max_hold=6), costs=COSTS, ledger=False
        )

    found = bp.procedure_test(
        study,
        candles,
        markets=market,
        count=19,
        score="total_return",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.score == near(study(candles).metrics["total_return"], rel=REFERENCE)
    assert found.kind == "given" and seen[-1] == (19, 19)
    own = bp.procedure_test(
        study, candles, markets=market, count=19, score=lambda r: r.metrics["trades"]
    )
    assert own.defined and own.score == study(candles).metrics["trades"]
