"""`FeatureSet.verify`: planted faults are caught with bar and column, right features pass."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

import barproof as bp
from barproof.features.verification import first_difference
from tests.features import markets
from tests.tolerances import REFERENCE

Floats = NDArray[np.float64]
CANDLES = markets.walk(11, 900).candles()
TIMES = CANDLES.to_polars()["open_time"].dt.strftime("%Y-%m-%d %H:%M").to_list()


def own(
    fn: Callable[..., Any],
    memory: bp.Memory,
    stream: Callable[[], Callable[[bp.Bar], float]] | None = None,
) -> bp.OwnFeature:
    return bp.feature(fn, name="mine", memory=memory, stream=stream)


def returns(candles: bp.Candles) -> Floats:
    change: Floats = np.r_[np.nan, np.diff(candles.close)] / candles.close
    return change


# Planted lookahead. Each gives its values, and whether bar t is another where the candles end at bar `end - 1`.


def next_close(candles: bp.Candles) -> Floats:
    """Shift(-1)."""
    shifted: Floats = np.append(candles.close[1:], np.nan)
    return shifted


def centred(candles: bp.Candles) -> Floats:
    """Mean of nine bars around each."""
    out = np.full(len(candles), np.nan)
    for t in range(4, len(candles) - 4):
        out[t] = candles.close[t - 4 : t + 5].mean()
    return out


def centred_to_the_edge(candles: bp.Candles) -> Floats:
    """The same, with what is there at the ends."""
    return np.array(
        [candles.close[max(0, t - 4) : t + 5].mean() for t in range(len(candles))], dtype=float
    )


def whole_sample(candles: bp.Candles) -> Floats:
    """z-score over all rows."""
    score: Floats = (candles.close - candles.close.mean()) / candles.close.std()
    return score


def backward_fill(candles: bp.Candles) -> Floats:
    """Holes of a warm-up filled from behind."""
    out = np.full(len(candles), np.nan)
    out[20:] = candles.close[:-20]
    out[:20] = candles.close[20] if len(candles) > 20 else 0.0
    return out


def daily_high(candles: bp.Candles) -> Floats:
    """High of the whole day, told from its first bar on."""
    day = candles.open_time // 86_400_000
    return np.array([candles.high[day == d].max() for d in day])


def first_row(planted: Callable[[bp.Candles], Floats], cuts: list[int]) -> int:
    """First bar that changes in any of the cuts, by comparing everything."""
    whole = planted(CANDLES)
    rows = []
    for end in cuts:
        part = planted(CANDLES[:end])
        rows += [
            t
            for t in range(end)
            if not (whole[t] == part[t] or (np.isnan(whole[t]) and np.isnan(part[t])))
        ]
    return min(rows)


PLANTED = [next_close, centred, centred_to_the_edge, whole_sample, backward_fill, daily_high]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda f: f.__name__)
@pytest.mark.parametrize("company", [[], ["rsi(14)", "sma(5)@1h"]], ids=["alone", "in company"])
def test_lookahead_is_caught_with_bar_and_column(
    planted: Callable[[bp.Candles], Floats], company: list[Any]
) -> None:
    features = bp.FeatureSet([*company, own(planted, bp.finite(30))])
    with pytest.raises(bp.LookaheadError) as caught:
        features.verify(CANDLES, seed=4)
    found = re.match(
        r"feature `mine` looks ahead: at bar (\d+) \((.*)\) it is (\S+) with (\d+) later bars and (\S+) where the "
        r"candles end at bar (\d+); use bars up to t alone: no shift",
        str(caught.value),
    )
    assert found, caught.value
    bar, end = int(found[1]), int(found[6]) + 1
    assert found[2] == TIMES[bar]
    assert int(found[4]) == len(CANDLES) - end
    whole, part = planted(CANDLES)[bar], planted(CANDLES[:end])[bar]
    np.testing.assert_equal([float(found[3]), float(found[5])], [whole, part])
    assert not np.isclose(whole, part, rtol=REFERENCE, atol=0.0)
    # No bar before it moved, in any of the cuts that were made.
    rng = np.random.default_rng(4)
    early = [5, 10, 20, 40, 80, 160, 320, 640]
    cuts = [*rng.integers(5, len(CANDLES), size=59).tolist(), *early, len(CANDLES) - 1]
    assert bar == first_row(planted, cuts)


@pytest.mark.parametrize("planted", PLANTED, ids=lambda f: f.__name__)
def test_lookahead_is_caught_through_other_features(
    planted: Callable[[bp.Candles], Floats],
) -> None:
    features = bp.FeatureSet(
        [own(planted, bp.finite(30)), "zscore(mine, 50)", "ema(lag(mine, 2), 5)"]
    )
    # The column itself stands first; without it the one that rests on it is named.
    with pytest.raises(bp.LookaheadError, match="feature `mine` looks ahead"):
        features.verify(CANDLES)


def test_the_column_that_moves_first_is_named() -> None:
    begin = CANDLES.open_time[400]
    late = own(lambda c: np.where(c.open_time > begin, next_close(c), c.close), bp.finite(9))
    with pytest.raises(bp.LookaheadError, match=r"`mine` looks ahead: at bar 4\d\d "):
        bp.FeatureSet(["close", "zscore(mine, 3)", late]).verify(CANDLES)


def rarely(first: int, every: int) -> Callable[[bp.Candles], Floats]:
    """Closes, of which some from a bar on are the next ones."""

    def compute(candles: bp.Candles) -> Floats:
        number = (candles.open_time - CANDLES.open_time[0]) // candles.interval_ms
        return np.where(
            (number >= first) & (number % every == 0), next_close(candles), candles.close
        )

    return compute


def test_a_lookahead_that_no_cut_meets_is_found_by_the_stream() -> None:
    for seed in range(5):
        features = bp.FeatureSet([own(rarely(100, 1000), bp.finite(2)), "sma(mine, 3)"])
        features.verify(CANDLES, seed=seed)
        features = bp.FeatureSet([own(rarely(100, 200), bp.finite(2)), "sma(mine, 3)"])
        with pytest.raises(bp.LookaheadError, match=r"`mine` looks ahead: at bar [2468]00 "):
            features.verify(CANDLES, seed=seed)


def test_few_cuts_find_a_fault_that_is_everywhere_and_more_find_a_rare_one() -> None:
    with pytest.raises(bp.LookaheadError):
        bp.FeatureSet([own(next_close, bp.finite(2))]).verify(CANDLES, cuts=1)
    right = own(lambda c: c.close, bp.finite(2))
    assert bp.FeatureSet([right]).verify(CANDLES, cuts=1).cuts <= 10

    # One bar in twenty, all of them behind the bars that are streamed.
    rare = own(rarely(675, 5), bp.finite(2))
    found = 0
    for seed in range(40):
        try:
            bp.FeatureSet([rare]).verify(CANDLES, seed=seed)
        except bp.LookaheadError as error:
            assert "looks ahead" in str(error)  # noqa: PT017
            found += 1
    # 95% by the docstring; 40 draws fall below 33 with probability 0.2%.
    assert found >= 33


# Memory.


def mean_of(bars: int) -> Callable[[bp.Candles], Floats]:
    def compute(candles: bp.Candles) -> Floats:
        out = np.full(len(candles), np.nan)
        for t in range(bars - 1, len(candles)):
            out[t] = candles.close[t - bars + 1 : t + 1].mean()
        return out

    return compute


def fading(alpha: float) -> Callable[[bp.Candles], Floats]:
    def compute(candles: bp.Candles) -> Floats:
        out = np.array(candles.close)
        for t in range(1, len(out)):
            out[t] = alpha * out[t] + (1 - alpha) * out[t - 1]
        return out

    return compute


@pytest.mark.parametrize(
    ("compute", "right", "wrong"),
    [
        (mean_of(20), bp.finite(20), bp.finite(19)),
        (mean_of(20), bp.fading(20), bp.fading(19)),
        # 0.8**120 is 2e-12, 0.8**60 is 2e-6.
        (fading(0.2), bp.fading(120), bp.fading(60)),
        (fading(0.2), bp.finite(200), bp.finite(60)),
        (returns, bp.finite(2), bp.finite(1)),
    ],
)
def test_memory_is_held_to_what_is_declared(
    compute: Callable[[bp.Candles], Floats], right: bp.Memory, wrong: bp.Memory
) -> None:
    features = bp.FeatureSet(["close", own(compute, right), "sma(mine, 5)"])
    assert repr(features.verify(CANDLES)) == (
        "Verification(3 features over 900 bars: no lookahead, memory and stream as declared)"
    )
    with pytest.raises(bp.FeatureError) as caught:
        bp.FeatureSet(["close", own(compute, wrong)]).verify(CANDLES)
    message = rf"feature `mine` remembers more than the declared {re.escape(str(wrong))}: at bar (\d+) it is (\S+),"
    assert re.match(message, str(caught.value)), caught.value
    assert "declare a longer memory" in str(caught.value)


def test_a_running_total_is_cumulative_and_nothing_else() -> None:
    def total(candles: bp.Candles) -> Floats:
        return np.cumsum(candles.volume)

    with pytest.raises(bp.FeatureError, match="remembers more than the declared fading"):
        bp.FeatureSet([own(total, bp.fading(300))]).verify(CANDLES)
    done = bp.FeatureSet([own(total, bp.cumulative()), "sma(5)"]).verify(CANDLES)
    assert (done.not_held, done.streamed) == (("mine",), 0)
    assert repr(done) == (
        "Verification(2 features over 900 bars: no lookahead, memory as declared; not tried: memory of mine, stream)"
    )


def test_each_memory_gets_starts_that_leave_room_for_it() -> None:
    """A short memory beside a long one must not leave the long one without a start."""
    long = own(mean_of(800), bp.finite(799))
    with pytest.raises(bp.FeatureError, match=r"remembers more than the declared finite\(799\)"):
        bp.FeatureSet(["close", "sma(3)", long]).verify(CANDLES)


def test_what_could_not_be_held_is_said() -> None:
    features = bp.FeatureSet(["sma(3)", "sma(900)", "sma(899)", "obv()"])
    done = features.verify(CANDLES)
    assert done.not_held == ("sma(900)", "obv()")
    assert done.streamed == 300
    assert done.features == 4


# States, shapes and streams.


def test_a_state_between_calls_is_caught() -> None:
    count = itertools.count()

    def drifting(candles: bp.Candles) -> Floats:
        return candles.close + next(count)

    message = r"feature `mine` gives two answers for the same candles, first at bar 0: .* must not keep a state"
    with pytest.raises(bp.FeatureError, match=message):
        bp.FeatureSet([own(drifting, bp.finite(1))]).verify(CANDLES)
    rng = np.random.default_rng(1)
    with pytest.raises(bp.FeatureError, match="two answers"):
        bp.FeatureSet([own(lambda c: rng.normal(size=len(c)), bp.finite(1))]).verify(CANDLES)


def test_another_length_at_another_end_is_caught() -> None:
    def seven(candles: bp.Candles) -> Floats:
        return candles.close[: len(candles) // 7 * 7]

    assert len(CANDLES) % 7 != 0
    with pytest.raises(bp.FeatureError, match=r"gave an array of shape \(896,\) for 900 bars"):
        bp.FeatureSet([own(seven, bp.finite(1))]).verify(CANDLES)
    whole = CANDLES[:896]
    with pytest.raises(bp.FeatureError, match="feature `mine` gave an array of shape"):
        bp.FeatureSet([own(seven, bp.finite(1))]).verify(whole)


class Mean:
    """Steps of a fading mean; `start` is what the first bar gives of itself."""

    def __init__(self, start: float = 1.0) -> None:
        self.value = np.nan
        self.start = start

    def __call__(self, bar: bp.Bar) -> float:
        if np.isnan(self.value):
            self.value = self.start * bar.close
        else:
            self.value = 0.2 * bar.close + 0.8 * self.value
        return self.value


def test_a_stream_is_held_to_the_table() -> None:
    right = own(fading(0.2), bp.fading(120), Mean)
    done = bp.FeatureSet([right, "zscore(mine, 9)", "rsi(14)"]).verify(CANDLES)
    assert done.streamed == 720
    wrong = own(fading(0.2), bp.fading(120), lambda: Mean(start=1.01))
    message = r"feature `mine` gives other values bar by bar: at bar 0 it is .* in the stream; mend its `stream=`"
    with pytest.raises(bp.FeatureError, match=message):
        bp.FeatureSet(["rsi(14)", wrong]).verify(CANDLES)


def test_a_stream_that_strays_late_is_caught() -> None:
    """Only where the whole memory is full does it forget a bar too early."""

    class Window:
        def __init__(self) -> None:
            self.held: list[float] = []

        def __call__(self, bar: bp.Bar) -> float:
            self.held = [*self.held, bar.close][-699:]
            return max(self.held)

    def highest(candles: bp.Candles) -> Floats:
        closes = pl.Series(candles.close)
        return closes.rolling_max(700, min_samples=1).to_numpy()

    down = bp.read_candles(
        markets.walk(1, 1500)
        .candles()
        .to_polars()
        .with_columns(
            **{n: 200.0 - 0.05 * np.arange(1500.0) for n in ("open", "high", "low", "close")}
        ),
        instrument="spot",
        symbol="X",
        interval="5m",
        on_fault="ignore",
    )
    bp.FeatureSet([own(highest, bp.finite(700))]).verify(down)
    with pytest.raises(bp.FeatureError, match=r"bar by bar: at bar 699 it is"):
        bp.FeatureSet([own(highest, bp.finite(700), Window)]).verify(down)


def test_values_near_zero_are_not_held_to_their_own_last_digits() -> None:
    """A difference of library sums: its rounding is that of the prices, not of the difference."""

    def gap(candles: bp.Candles) -> Floats:
        out = np.full(len(candles), np.nan)
        # Sums from the first bar of what is given: other bits from every start.
        run = np.r_[0.0, np.cumsum(candles.close)]
        if len(candles) >= 20:
            out[19:] = (run[20:] - run[:-20]) / 20 - candles.close[19:]
        return out

    bp.FeatureSet([own(gap, bp.finite(20))]).verify(CANDLES)


def test_a_spike_does_not_hide_a_fault() -> None:
    """A tolerance that is relative to the spread of the column would take anything here."""

    def spiked(candles: bp.Candles) -> Floats:
        out = next_close(candles)
        return np.where(candles.open_time == CANDLES.open_time[300], 1e15, out)

    with pytest.raises(bp.LookaheadError):
        bp.FeatureSet([own(spiked, bp.finite(2))]).verify(CANDLES)


def test_every_function_of_the_table_passes() -> None:
    texts = []
    for row in bp._core.feature_table():
        inner = ["close", "volume"][: sum(kind == "given" for kind, _ in row["inputs"])]
        numbers = [
            f"{4 + 5 * k if default is None else default:g}"
            for k, (_, _, default) in enumerate(row["parameters"])
        ]
        texts.append(f"{row['name']}({', '.join(inner + numbers)})")
    features = bp.FeatureSet([*texts, "ema(5)@1h", "zscore(rsi(14)@15m, 20)"])
    done = features.verify(markets.walk(2, 1500).candles(), cuts=9)
    facts = features.facts("5m")
    # Such as remember everything, or more than there is.
    endless = {name for name, (_, bars, _) in facts.items() if not bars or bars >= 1_400}
    assert {"obv()", "ad()", "sar(0.02, 0.2)", "kama(30)"} <= set(done.not_held) <= endless
    assert len(done.not_held) < len(texts) // 10


@pytest.mark.parametrize("kind", ["jumps", "flat", "spikes", "gaps", "ticks", "mixed"])
def test_wild_markets_are_no_fault_of_the_features(kind: str) -> None:
    """Prices that fall to a hundredth leave remnants in fading means that are large against what follows."""
    texts = ["rsi(14)", "ema_ratio(20)", "macd().hist", "ema(volume, 20)", "zscore(atr(7), 30)"]
    for seed in range(4):
        candles = getattr(markets, kind)(seed, 1_500).candles()
        bp.FeatureSet(texts).verify(candles, cuts=2, seed=seed)


def test_candles_with_holes_pass() -> None:
    features = bp.FeatureSet(["rsi(5)", "sma(9)", "max(4)@1h", own(mean_of(5), bp.finite(5))])
    features.verify(markets.holes(1, 700).candles())


def test_first_difference_tells_bits_apart() -> None:
    nan = np.nan
    a = np.array([1.0, nan, 0.0, 1.0])
    assert first_difference(a, a.copy(), 0.0) is None
    assert first_difference(a, np.array([1.0, nan, -0.0, 1.0]), 0.0) == 2
    assert first_difference(a, np.array([1.0, 1.0, 0.0, 1.0]), 0.0) == 1
    assert first_difference(a, np.array([1.0, nan, 0.0, 1.0 + 9e-10]), 1e-9) is None
    assert first_difference(a, np.array([1.0, nan, 0.0, 1.0 + 3e-9]), 1e-9) == 3
    assert first_difference(a, np.array([1.0, nan, 1e-9, 1.0]), 1e-9) == 2
    assert first_difference(a, np.array([1.0, nan, 1e-9, 1.0]), 1e-9, scale=2.0) is None


# Sets that name other symbols.


def pair(seed: int, drop: float) -> dict[str, bp.Candles]:
    found = {}
    for k, name in enumerate(("ETH", "BTC")):
        keep = np.random.default_rng([seed, k]).uniform(size=900) >= drop
        found[name] = markets.walk(seed + k, 900).take(keep).candles(name)
    return found


@pytest.mark.parametrize("drop", [0.0, 0.1])
@pytest.mark.parametrize("symbol", [None, "BTC"])
def test_sets_that_name_other_symbols_are_held_to_the_same(drop: float, symbol: str | None) -> None:
    features = bp.FeatureSet(
        [
            "close@BTC",
            "ratio(close, close@BTC)",
            "sma(ratio(close, close@BTC), 5)",
            "sma(20)@BTC",
            "sma(sma(4)@BTC, 6)",
            "max(high, 4)@BTC/15m",
            "obv()@BTC",
            "rsi(14)",
        ]
    )
    held = features.verify(pair(3, drop), symbol=symbol, cuts=3)
    assert (held.features, held.streamed) == (8, 300)
    assert held.not_held == ("obv()@BTC",)


def test_a_function_of_the_user_is_caught_beside_other_symbols() -> None:
    books = pair(4, 0.05)
    features = bp.FeatureSet([own(next_close, bp.finite(1)), "ratio(mine, close@BTC)"])
    with pytest.raises(bp.LookaheadError, match="feature `mine` looks ahead"):
        features.verify(books)


def test_other_symbols_are_cut_with_the_own_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that knew the other symbol's next bar would be found: the cut candles do not hold it."""
    books = pair(5, 0.0)
    features = bp.FeatureSet(["close@BTC"])
    later = {**books, "BTC": books["BTC"]._replace(close=np.roll(books["BTC"].close, -1))}

    def peeking(self: bp.FeatureSet, candles: Any, **options: Any) -> Floats:
        end = len(candles["ETH"])
        held = {**candles, "BTC": later["BTC"][: len(candles["BTC"])]}
        rows = genuine(self, held, **options)
        # The last bar's successor is known only where the candles hold it.
        if end < len(books["ETH"]):
            rows[-1] = np.nan
        return rows

    genuine = bp.FeatureSet.matrix
    monkeypatch.setattr(bp.FeatureSet, "matrix", peeking)
    with pytest.raises(bp.LookaheadError, match="feature `close@BTC` looks ahead"):
        features.verify(books)


def test_presets_of_several_markets_hold() -> None:
    books = bp.simulate_candles(3, bars=700, symbols=["BTC", "ETH", "WLD"])
    features = bp.FeatureSet.preset("cross_market_20").on(["BTC", "ETH", "WLD"])
    held = features.verify(books, cuts=3)
    assert (held.features, held.streamed) == (60, 300)
    # Those fade over more bars than there are.
    assert all(name.startswith(("ema_ratio(48)@", "adx(14)@")) for name in held.not_held)
