"""An example of every error of features and conditions: id, call, class, exact message."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

import barproof as bp
from barproof import _machine
from barproof.features import rooms
from barproof.features.tables import windows
from tests.helpers import flat, market

Example = tuple[str, Callable[[], object], type[BaseException], str]

BARS = market(flat(100.0, 12))
RISING = market([(float(p), float(p), float(p), float(p)) for p in range(1, 13)])
HOURS = market(flat(100.0, 3), interval="1h")
BAR = BARS[0]
PAIR = bp.FeatureSet(["close@BTC"])
FEATURES = bp.FeatureSet(["sma(2)"])


def own(fn: Any = lambda c: c.close, name: Any = "mine", **options: Any) -> bp.OwnFeature:
    return bp.feature(fn, name=name, **{"memory": bp.finite(1), **options})


def given(values: Any) -> object:
    """Compute a feature that gives these values for three bars."""
    return bp.FeatureSet([own(lambda _: values)]).compute(BARS[:3])


def stream(*features: Any, **options: Any) -> bp.FeatureStream:
    return bp.FeatureSet(features or ["sma(2)"]).stream("1m", **options)


def pair() -> bp.FeatureStream:
    return PAIR.stream("1m", symbol="ETH")


def other_behind() -> None:
    made = pair()
    made.update({"ETH": BAR})
    made.feed({"BTC": BAR})


def kept_memory(text: str) -> object:
    """Ask how much memory is kept."""
    with mock.patch.dict("os.environ", {"BARPROOF_KEPT_MIB": text}):
        return _machine.kept_bytes()


def no_room() -> object:
    """Ask for an array where the system gives no memory."""
    with mock.patch("barproof.features.rooms.mmap.mmap", side_effect=OSError):
        return rooms.Rooms(lambda: 2**40).array((3 * 2**20,), np.float64)


def own_behind() -> object:
    made = pair()
    made.feed({"BTC": BARS[1]})
    return made.update({"ETH": BAR})


def stepped(value: Any) -> object:
    """Take a bar with a stepper that gives this."""
    made = stream(own(stream=lambda: lambda _: value, memory=bp.cumulative()))
    return made.update(BAR)


def settled_twice() -> None:
    made = stream("funding_rate()")
    made.settle(1_000, 0.1)
    made.settle(999, 0.1)


def funded(**funding: Any) -> object:
    """Take a bar that says this of its funding."""
    return stream("funding_rate()").update({**BAR._asdict(), **funding})


def failed(_: bp.Bar) -> float:
    raise ArithmeticError


def go_on() -> object:
    """Use a stream whose stepper failed."""
    made = stream(own(stream=lambda: failed))
    try:
        made.update(BAR)
    except ArithmeticError:
        return made.update(BAR)
    return None


def kept(**columns: Any) -> object:
    """Restore a stream of an own feature with these kept bars."""
    made = stream(own())
    state = json.dumps([{"memory": "finite(1)", "columns": columns}])
    return made.restore(made._core.snapshot(state.encode()))


def verified(fn: Any, memory: bp.Memory, **options: Any) -> object:
    return bp.FeatureSet([own(fn, memory=memory, **options)]).verify(RISING, cuts=1)


def drifting() -> object:
    count = itertools.count()
    return verified(lambda c: c.close + next(count), bp.finite(1))


def where(long: Any = "close > 1", **options: Any) -> bp.Signals:
    return bp.Signals.where(BARS, long=long, **options)


def gathered_twice() -> None:
    clock = pair().gather()
    clock.push({"ETH": BAR})
    clock.push({"ETH": BAR})


def gathered_late() -> None:
    clock = pair().gather(patience=1)
    clock.push({"ETH": BARS[0]})
    clock.push({"ETH": BARS[1]})
    clock.push({"BTC": BARS[0]})


def from_within() -> object:
    """Ask a stream for a row from within the function that it calls."""
    made: list[bp.FeatureStream] = []

    def step(bar: bp.Bar) -> float:
        return float(made[0].update(bar)[0])

    made.append(stream(own(stream=lambda: step)))
    return made[0].update(BAR)


class Odd:
    """Steps whose state JSON cannot hold."""

    def __call__(self, bar: bp.Bar) -> float:
        return bar.close

    def save(self) -> object:
        return {1, 2}

    def load(self, state: object) -> None:
        raise AssertionError(state)


def with_(**changes: Any) -> dict[str, Any]:
    return {**BAR._asdict(), **changes}


# fmt: off
EXAMPLES: list[Example] = [
    ('text for a list', lambda: bp.FeatureSet("rsi(14)"), bp.LayoutError, '`features` must be a list such as ["rsi(14)"], was \'rsi(14)\''),
    ('no features', lambda: bp.FeatureSet([]), bp.FeatureError, '`features` holds none: give at least one, such as ["rsi(14)"]'),
    ('one name, two functions', lambda: bp.FeatureSet([own(), own(np.mean)]), bp.FeatureError, '`features` holds two features of the name `mine`: rename one'),
    ('number for a feature', lambda: bp.FeatureSet([3]), bp.LayoutError, '`features` must hold texts or bp.feature(...), held int'),  # type: ignore[list-item]
    ('feature twice', lambda: bp.FeatureSet(["rsi()", "rsi(14)"]), bp.FeatureError, 'feature `rsi(14)` is given twice: keep one'),
    ('interval not told', lambda: bp.FeatureSet(["close@1h"]).facts(), bp.FeatureError, 'memory and warm-up of features on longer bars are counted in bars of the candles: say how long those are, such as facts("5m")'),
    ('interval does not fit', lambda: bp.FeatureSet(["close@1h"]).facts("7m"), bp.FeatureError, "timeframe `1h` is not a multiple of the candles' 7m: use one that is, or resample the candles"),
    ('unknown function', lambda: bp.FeatureSet(["rsii(14)"]), bp.FeatureError, 'unknown function `rsii`; did you mean `rsi`? in feature `rsii(14)`'),
    ('out of bounds', lambda: bp.FeatureSet(["rsi(0)"]), bp.FeatureError, '`period` of rsi must be a whole number from 1 to 1000000, was 0 in feature `rsi(0)`'),
    ('timeframe no multiple', lambda: bp.FeatureSet(["close@90s"]).compute(BARS), bp.FeatureError, "timeframe `90s` is not a multiple of the candles' 1m: use one that is, or resample the candles"),
    ('symbol missing', lambda: PAIR.compute(BARS), bp.FeatureError, 'features name the symbol `BTC`, which is not among the candles of TEST: give a dict of candles by symbol'),
    ('column missing', lambda: bp.FeatureSet(["taker_imbalance()"]).compute(BARS), bp.FeatureError, '`taker_imbalance` needs the column `taker_buy_volume`, which candles of TEST do not have (further columns: none): read candles with it, or leave the feature out'),
    ('other intervals', lambda: PAIR.compute({"ETH": BARS, "BTC": HOURS}), bp.FeatureError, 'candles of BTC have bars of 1h, those of ETH of 1m: resample them to one interval'),
    ('dtype', lambda: FEATURES.matrix(BARS, dtype="f16"), bp.ParameterError, '`dtype` must be "f32" or "f64", was \'f16\''),  # type: ignore[arg-type]
    ('candles', lambda: FEATURES.compute(3), bp.LayoutError, '`candles` must be Candles or a dict of them by symbol, was int'),  # type: ignore[call-overload]
    ('no candles', lambda: FEATURES.compute({}), bp.ParameterError, '`candles` holds none: give a dict of candles by symbol'),
    ('keys of candles', lambda: FEATURES.compute({1: BARS}), bp.LayoutError, '`candles` must have symbols as keys, had 1: give text'),  # type: ignore[dict-item]
    ('symbol of a table', lambda: FEATURES.compute(BARS, symbol=3), bp.LayoutError, '`symbol` must be text such as ETHUSDT, was 3'),  # type: ignore[call-overload]
    ('symbol not there', lambda: FEATURES.matrix({"A": BARS, "B": BARS}, symbol="C"), bp.FeatureError, "`symbol` 'C' is not among the candles of A, B: name one of them"),
    ('join', lambda: FEATURES.matrix(BARS, join="outer"), bp.ParameterError, '`join` must be "left" or "inner", was \'outer\''),  # type: ignore[arg-type]
    ('out of compute', lambda: FEATURES.compute(BARS, out=3), bp.LayoutError, '`out` must be a path, was int'),  # type: ignore[call-overload]
    ('out with another ending', lambda: FEATURES.compute(BARS, out="x.csv"), bp.ParameterError, "`out` must end in .parquet, which holds columns, was 'x.csv': rename it"),
    ('out of a matrix', lambda: FEATURES.matrix(BARS, out="x.parquet"), bp.ParameterError, "`out` must end in .npy, which holds an array, was 'x.parquet': rename it"),
    ('out in no folder', lambda: FEATURES.matrix(BARS, out="/nowhere/x.npy"), bp.FileError, "`out` '/nowhere/x.npy' is a folder or lies in none: name a file in one"),
    ('out cannot be written', lambda: FEATURES.matrix(BARS, out="/proc/x.npy"), bp.FileError, "`out` '/proc/x.npy' cannot be written: No such file or directory; choose a folder with room and write permission"),
    ('windows of symbols', lambda: FEATURES.windows({"A": BARS, "B": BARS}, length=3), bp.ParameterError, "windows of 2 symbols would run from one into the next: say whose rows, such as symbol='A', or put the features of all side by side with `on`"),
    ('windows of no array', lambda: windows([1.0], 1), bp.LayoutError, '`matrix` must be an array of rows, was list: give features.matrix(...)'),  # type: ignore[arg-type]
    ('windows of a column', lambda: windows(np.zeros(3), 1), bp.LayoutError, '`matrix` must be an array of rows, was 1 dimensions: give features.matrix(...)'),
    ('windows of what length', lambda: FEATURES.windows(BARS, length=1.5), bp.LayoutError, '`length` of windows must be a whole number of rows, was 1.5'),  # type: ignore[arg-type]
    ('windows too long', lambda: FEATURES.windows(BARS, length=13), bp.ParameterError, '`length` of windows must be from 1 to the 12 rows there are, was 13'),
    ('on: text', lambda: FEATURES.on("BTC"), bp.LayoutError, '`symbols` must be a list such as ["BTCUSDT", "ETHUSDT"], was \'BTC\''),
    ('on: none', lambda: FEATURES.on([]), bp.FeatureError, '`symbols` holds none: give at least one, such as BTCUSDT'),
    ('on: number', lambda: FEATURES.on([3]), bp.LayoutError, '`symbols` must hold texts, held 3'),  # type: ignore[list-item]
    ('on: own', lambda: bp.FeatureSet([own()]).on(["A"]), bp.FeatureError, "feature `mine` of your own lives on the candles' own bars and cannot be put on symbols: compute it for each and join the tables"),
    ('on: twice', lambda: PAIR.on(["ETH"]), bp.FeatureError, 'feature `close@BTC` is of BTC already: leave it out of the set that is put on ETH'),
    ('on: quotes', lambda: FEATURES.on(['A"B']), bp.FeatureError, 'symbol `A"B` cannot be written in a feature: give text without quotation marks'),
    ('channels', lambda: PAIR.channels("ETH"), bp.FeatureError, "no feature is of 'ETH': the set names BTC"),
    ('preset', lambda: bp.FeatureSet.preset("gating_17"), bp.FeatureError, "there is no preset 'gating_17'; did you mean gating_171?"),
    ('gather: one symbol', lambda: stream().gather(), bp.FeatureError, 'gather(...) waits for several symbols, and the features name one: use update(...)'),
    ('gather: interval', lambda: PAIR.stream(symbol="ETH").gather(), bp.FeatureError, 'gather(...) needs the interval of the bars: make the stream with it, such as stream("5m", ...)'),
    ('gather: missing', lambda: pair().gather(missing="raise"), bp.ParameterError, "`missing` must be nan or skip, was 'raise'"),  # type: ignore[arg-type]
    ('gather: late', lambda: pair().gather(late="skip"), bp.ParameterError, "`late` must be raise or drop, was 'skip'"),  # type: ignore[arg-type]
    ('gather: patience', lambda: pair().gather(patience=1.5), bp.LayoutError, '`patience` must be a number of bars, was 1.5'),  # type: ignore[arg-type]
    ('gather: no patience', lambda: pair().gather(patience=0), bp.ParameterError, '`patience` must be at least 1 bar, was 0'),
    ('gather: bars', lambda: pair().gather().push(BAR), bp.LayoutError, "`bars` must be a dict of symbol to bar, was Bar: such as {'BTCUSDT': bar}"),  # type: ignore[arg-type]
    ('gather: unknown', lambda: pair().gather().push({"SOL": BAR}), bp.FeatureError, "push(...) takes bars of ETH, BTC, was given 'SOL': leave it out"),
    ('gather: twice', gathered_twice, bp.FeatureError, 'bar of ETH at 1704067200000 ms comes less than one interval after the last one at 1704067200000 ms: give each closed bar once, in time order'),
    ('gather: late bar', gathered_late, bp.FeatureError, 'bar of BTC at 1704067200000 ms comes after the row of 1704067200000 ms came out: wait longer with a larger `patience`, or leave late bars out with late="drop"'),
    ('stream: from within', from_within, bp.FeatureError, 'a function of your own calls the stream that is calling it: give it a stream of its own'),
    ('snapshot of what JSON cannot hold', lambda: stream(own(stream=Odd)).snapshot(), bp.LayoutError, '`save` of what `stream` of feature `mine` makes must give numbers, texts, lists and dicts, as JSON holds them: Object of type set is not JSON serializable'),
    ('name', lambda: own(name="a b"), bp.FeatureError, "`name` of a feature must be letters, digits and underscores, was 'a b': such as body_ratio"),
    ('name taken', lambda: own(name="rsi"), bp.FeatureError, "`name` of a feature must not be that of a column, a built-in function or a word of conditions, was 'rsi': choose another"),
    ('fn', lambda: own(3), bp.LayoutError, '`fn` of feature `mine` must take candles, was int: give a function'),
    ('memory', lambda: own(memory=3), bp.LayoutError, '`memory` of feature `mine` must be bp.finite(n), bp.fading(n) or bp.cumulative(), was 3'),
    ('stream', lambda: own(stream=3), bp.LayoutError, '`stream` of feature `mine` must make a function of one bar, was int'),
    ('kind of memory', lambda: bp.Memory("long"), bp.ParameterError, "`kind` of memory must be finite, fading or cumulative, was 'long': use bp.finite(n), bp.fading(n) or bp.cumulative()"),  # type: ignore[arg-type]
    ('bars of cumulative', lambda: bp.Memory("cumulative", 3), bp.ParameterError, '`bars` of cumulative memory must be left out, was 3: it has no end'),
    ('bars of memory', lambda: bp.finite(1.5), bp.LayoutError, '`bars` of finite memory must be a whole number, was 1.5'),  # type: ignore[arg-type]
    ('bound of memory', lambda: bp.fading(0), bp.ParameterError, '`bars` of fading memory must be from 1 to 10,000,000, was 0: a bar itself counts'),
    ('own: no numbers', lambda: given("abc"), bp.LayoutError, 'feature `mine` must give an array of numbers, gave str: one float a bar, NaN where undefined'),
    ('own: length', lambda: given([1.0, 2.0]), bp.FeatureError, 'feature `mine` gave an array of shape (2,) for 3 bars: give one value a bar, NaN where undefined'),
    ('own: infinite', lambda: given([1.0, np.inf, 2.0]), bp.FeatureError, 'feature `mine` is inf at bar 1: give finite values, NaN where undefined'),
    ('stream: symbol', lambda: stream(symbol=3), bp.LayoutError, '`symbol` of a stream must be text such as ETHUSDT, was 3'),
    ('stream: whose rows', lambda: PAIR.stream("1m"), bp.FeatureError, 'features name other symbols (BTC): say whose rows the stream makes, such as stream(symbol="ETHUSDT")'),
    ('stream: out', lambda: stream().update(BAR, np.zeros(2)), bp.LayoutError, '`out` must be a writeable float64 array of shape (1,), was float64 of shape (2,)'),
    ('stream: out no array', lambda: stream().update(BAR, 3), bp.LayoutError, '`out` must be a writeable float64 array of shape (1,), was int'),  # type: ignore[arg-type]
    ('stream: no interval', lambda: FEATURES.stream().update(tuple(BAR)), bp.FeatureError, '`interval` of the stream is not known, as the first bar does not come from candles: say it, such as stream("5m")'),
    ('stream: another interval', lambda: FEATURES.stream("1h").update(BAR), bp.FeatureError, 'bar of 1m does not belong to a stream of 1h: resample the candles'),
    ('stream: no bar', lambda: stream().update(3), bp.LayoutError, 'a bar must be bp.Bar, six values or a mapping, was int: give open_time, open, high, low, close, volume'),  # type: ignore[arg-type]
    ('stream: price', lambda: stream().update(with_(close="1")), bp.LayoutError, "`close` of a bar must be a number, was '1'"),
    ('stream: time', lambda: stream().update(with_(open_time="2024")), bp.LayoutError, "`open_time` of a bar must be milliseconds UTC or a datetime, was '2024' for UNKNOWN"),
    ('stream: time of another age', lambda: stream().update((2**60, *BAR[1:])), bp.FeatureError, 'bar of UNKNOWN at 1152921504606846976 ms is not of this age: give milliseconds since 1970'),
    ('stream: price of 0', lambda: stream().update(with_(low=0.0)), bp.FeatureError, 'bar of UNKNOWN at 1704067200000 ms must have finite prices > 0 and a volume >= 0, was 100, 100, 0, 100, 1'),
    ('stream: order', lambda: [stream_.update(BAR) for stream_ in [stream()] for _ in range(2)], bp.FeatureError, 'bar of UNKNOWN at 1704067200000 ms comes less than one interval after the last one at 1704067200000 ms: give each closed bar once, in time order'),
    ('stream: value missing', lambda: stream().update({"open_time": 0}), bp.FeatureError, 'bar of UNKNOWN has no `open`: give a mapping with open_time, open, high, low, close, volume'),
    ('funding missing', lambda: bp.FeatureSet(["funding_age()"]).compute(BARS), bp.FeatureError, '`funding_age` needs the funding of TEST, which its candles do not carry: attach it with with_funding(...)'),
    ('stream: no funding', lambda: stream("sma(funding_rate(), 2)").update(tuple(BAR)), bp.FeatureError, 'bar of UNKNOWN says nothing of funding, which `funding_rate` needs: give a mapping with `funding`, pairs of time and rate, or tell the stream by settle(...)'),
    ('settle: symbol', lambda: stream("funding_rate()").settle(0, 0.1, symbol="BTC"), bp.FeatureError, "settle(...) takes funding of UNKNOWN, was given that of 'BTC': name one of them"),
    ('settle: twice', settled_twice, bp.FeatureError, 'settlement of UNKNOWN at 999 ms does not come after the last one, which was at 1000 ms: give each once, in order'),
    ('settle: time', lambda: stream("funding_rate()").settle("noon", 0.1), bp.LayoutError, "`funding_time` of UNKNOWN must be whole milliseconds UTC, was 'noon': such as 1704067200000"),  # type: ignore[arg-type]
    ('funding: pairs', lambda: funded(funding=[3]), bp.LayoutError, '`funding` of a bar of UNKNOWN must be pairs of time (milliseconds UTC) and rate, was [3]'),
    ('funding: time', lambda: funded(funding_time=0.5, funding_rate=0.1), bp.LayoutError, '`funding_time` of UNKNOWN must be whole milliseconds UTC, was 0.5: such as 1704067200000'),
    ('funding: rate', lambda: funded(funding=[(0, float("inf"))]), bp.LayoutError, '`funding_rate` of UNKNOWN must be a finite number, was inf: a fraction such as 0.0001'),
    ('stream: column missing', lambda: stream("taker_imbalance()").update(BAR), bp.FeatureError, 'bar of UNKNOWN has no column `taker_buy_volume`, which `taker_imbalance` needs: give a mapping with it'),
    ('stream: own symbol missing', lambda: pair().update({"BTC": BAR}), bp.FeatureError, 'a bar of ETH is missing: features name BTC too, so give a dict of symbol to bar; bars of others alone go to feed(...)'),
    ('stream: times differ', lambda: pair().update({"ETH": BAR, "BTC": BARS[1]}), bp.FeatureError, 'bar of BTC opens at 1704067260000 ms, that of ETH at 1704067200000 ms: give bars of one time, and leave out what is not there'),
    ('stream: other behind', other_behind, bp.FeatureError, 'bar of BTC at 1704067200000 ms comes after that of ETH at 1704067200000 ms was taken: give bars in time order, at one time those of ETH last'),
    ('stream: own behind', own_behind, bp.FeatureError, 'bar of ETH at 1704067200000 ms comes after that of BTC at 1704067260000 ms was taken: give bars in time order, at one time those of ETH last'),
    ('stream: feed', lambda: pair().feed([BAR]), bp.LayoutError, "`bars` must be a dict of symbol to bar, was list: such as {'BTCUSDT': bar}"),  # type: ignore[arg-type]
    ('stream: feed unknown', lambda: pair().feed({"ETH": BAR}), bp.FeatureError, "feed(...) takes bars of BTC, was given 'ETH': bars of the stream's own symbol go to update(...)"),
    ('stream: many', lambda: stream().update_many([BAR]), bp.LayoutError, '`candles` must be Candles, was list'),  # type: ignore[arg-type]
    ('stream: many of symbols', lambda: pair().update_many(BARS), bp.LayoutError, '`candles` must be a dict of Candles by symbol, was Candles'),
    ('stream: many missing', lambda: pair().update_many({"ETH": BARS}), bp.FeatureError, 'candles of BTC are missing: the stream needs ETH, BTC'),
    ('stream: many no candles', lambda: pair().update_many({"ETH": BARS, "BTC": 3}), bp.LayoutError, "`candles` must hold Candles, 'BTC' is int"),  # type: ignore[dict-item]
    ('stream: many of another interval', lambda: pair().update_many({"ETH": BARS, "BTC": HOURS}), bp.FeatureError, 'candles of BTC have bars of 1h, the stream of 1m: resample them'),
    ('stream: cumulative', lambda: stream(own(memory=bp.cumulative())), bp.FeatureError, 'feature `mine` is cumulative, so a stream needs its `stream=`: a function that makes a function of one bar'),
    ('stream: no stepper', lambda: stream(own(stream=lambda: 3)), bp.LayoutError, '`stream` of feature `mine` must make a function of one bar, made int'),
    ('stream: steps no number', lambda: stepped(None), bp.LayoutError, '`stream` of feature `mine` must give a number a bar, gave None: NaN where undefined'),
    ('stream: steps infinite', lambda: stepped(np.inf), bp.FeatureError, '`stream` of feature `mine` gave inf at the bar of 1704067200000 ms: give finite values, NaN where undefined'),
    ('stream: ended', lambda: go_on(), bp.FeatureError, 'the stream cannot go on: `stream` of feature `mine` failed at a bar, and its state is not known since; make a new stream and rebuild it with update_many'),
    ('snapshot of steps', lambda: stream(own(stream=lambda: failed)).snapshot(), bp.FeatureError, 'feature `mine` keeps its state in Python, which a snapshot does not hold: give what its `stream=` makes save() and load(state), pickle the stream, or rebuild it with update_many'),
    ('snapshot of nothing', lambda: FEATURES.stream().snapshot(), bp.FeatureError, 'a stream has no state before its first bar: there is nothing to save'),
    ('restore text', lambda: stream().restore("abc"), bp.LayoutError, '`snapshot` must be bytes, was str'),  # type: ignore[arg-type]
    ('restore without interval', lambda: FEATURES.stream().restore(b""), bp.FeatureError, 'restore(...) needs the interval of the bars: make the stream with it, such as stream("5m")'),
    ('restore foreign bytes', lambda: stream().restore(bytes(300)), bp.FeatureError, 'snapshot is not one of a feature stream: rebuild with update_many of the last 2 bars'),
    ('restore damaged', lambda: stream().restore(stream().snapshot()[:-1] + b"x"), bp.FeatureError, 'snapshot is damaged: rebuild with update_many of the last 2 bars'),
    ('restore other features', lambda: stream().restore(stream("sma(3)").snapshot()), bp.FeatureError, 'snapshot is of other features, symbols or another interval: rebuild with update_many of the last 2 bars'),
    ('restore other features, cumulative', lambda: stream("obv()").restore(stream("sma(3)").snapshot()), bp.FeatureError, 'snapshot is of other features, symbols or another interval: rebuild with update_many from the first bar on, as a feature is cumulative'),
    ('restore other memory', lambda: stream(own()).restore(stream(own(memory=bp.finite(2))).snapshot()), bp.FeatureError, 'snapshot does not hold the bars of features of your own, or their memory was another: rebuild with update_many of the last 1 bar'),
    ('restore no columns', lambda: kept(open_time=[1, 2], open=[1]), bp.FeatureError, 'snapshot does not hold the bars of features of your own, or their memory was another: rebuild with update_many of the last 1 bar'),
    ('restore uneven columns', lambda: kept(**{name: [1.0] for name in BAR._fields} | {'open_time': [1, 2]}), bp.FeatureError, 'snapshot does not hold the bars of features of your own, or their memory was another: rebuild with update_many of the last 1 bar'),
    ('verify: candles', lambda: FEATURES.verify(3), bp.LayoutError, '`candles` must be Candles or a dict of them by symbol, was int'),  # type: ignore[arg-type]
    ('verify: few bars', lambda: FEATURES.verify(BARS[:9]), bp.ParameterError, '`candles` hold 9 bars: verify needs at least 10'),
    ('verify: cuts', lambda: FEATURES.verify(BARS, cuts=0), bp.ParameterError, '`cuts` must be at least 1, was 0'),
    ('verify: seed', lambda: FEATURES.verify(BARS, seed=1.5), bp.LayoutError, '`seed` must be a whole number, was 1.5'),  # type: ignore[arg-type]
    ('verify: symbols', lambda: PAIR.verify(BARS), bp.FeatureError, 'features name the symbol `BTC`, which is not among the candles of TEST: give a dict of candles by symbol'),
    ('verify: symbol', lambda: PAIR.verify({"ETH": BARS}, symbol="SOL"), bp.FeatureError, "`symbol` 'SOL' is not among the candles of ETH: name one of them"),
    ('verify: none', lambda: PAIR.verify({}), bp.ParameterError, '`candles` holds none: give a dict of candles by symbol'),
    ('verify: state', lambda: drifting(), bp.FeatureError, 'feature `mine` gives two answers for the same candles, first at bar 0: 1.0 and 2.0; it must not keep a state or draw random numbers'),
    ('verify: lookahead', lambda: verified(lambda c: np.append(c.close[1:], np.nan), bp.finite(1)), bp.LookaheadError, 'feature `mine` looks ahead: at bar 4 (2024-01-01 00:04) it is 6.0 with 7 later bars and nan where the candles end at bar 4; use bars up to t alone: no shift(-k), no centred window, no statistics over all rows'),
    ('verify: memory', lambda: verified(lambda c: np.cumsum(c.close), bp.finite(2)), bp.FeatureError, 'feature `mine` remembers more than the declared finite(2): at bar 2 it is 6.0, and 5.0 where the candles begin at bar 1; declare a longer memory, or none that ends'),
    ('verify: stream', lambda: verified(lambda c: c.close, bp.finite(1), stream=lambda: lambda bar: -bar.close), bp.FeatureError, 'feature `mine` gives other values bar by bar: at bar 0 it is 1.0 in the table and -1.0 in the stream; mend its `stream=`, or declare the memory that its function has'),
    ('where: unknown array', lambda: bp.Signals.where(BARS, lng="close > 1"), bp.ParameterError, 'unknown signal array `lng` in where(...); known: long, short, exit_long, exit_short'),
    ('where: no condition', lambda: bp.Signals.where(BARS), bp.ParameterError, 'where(...) needs a condition: such as long="rsi(14) < 30"'),
    ('where: no text', lambda: where(3), bp.LayoutError, "condition of `long` must be text such as 'rsi(14) < 30', was int"),
    ('where: candles', lambda: bp.Signals.where(3, long="close > 1"), bp.LayoutError, '`candles` must be Candles, was int'),  # type: ignore[arg-type]
    ('where: own', lambda: where(own=own()), bp.LayoutError, '`own` must be a list of bp.feature(...), was OwnFeature'),
    ('where: own holds', lambda: where(own=[3]), bp.LayoutError, '`own` must hold bp.feature(...), held int'),
    ('where: brackets', lambda: where("(close > 1"), bp.FeatureError, 'condition `(close > 1` has a bracket or a quote without its other half: close it'),
    ('where: nothing compared', lambda: where("close"), bp.FeatureError, 'condition `close` compares nothing, in `close`: write it as rsi(14) < 30'),
    ('where: one side', lambda: where("close >"), bp.FeatureError, 'condition `close >` lacks one side, in `close >`: write it as rsi(14) < 30'),
    ('where: nesting', lambda: where("not " * 33 + "close > 1"), bp.FeatureError, 'condition `not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not not close > 1` nests deeper than 32: split it'),
    ('where: outputs', lambda: where("macd() > 0"), bp.FeatureError, 'feature `macd()` has 3 outputs: choose one, such as macd(12, 26, 9).macd'),
    ('where: symbols', lambda: where("close@BTC > 0"), bp.FeatureError, 'conditions name other symbols (BTC), but know one candles: compute them with FeatureSet and compare the columns'),
    ('where: unknown feature', lambda: where("clos > 0"), bp.FeatureError, 'unknown name `clos`; did you mean `close`? in feature `clos`'),
    ('kept memory', lambda: kept_memory("-1"), bp.ParameterError, "BARPROOF_KEPT_MIB must be a whole number from 0 to 1,073,741,824, was '-1'"),
    ('no memory', no_room, MemoryError, 'unable to allocate 26 MiB for features: compute fewer at once, or to a file with out='),
]
# fmt: on
