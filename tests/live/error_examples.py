"""An example of every error of sessions, feeds and `barproof live`: id, call, class, exact message."""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import polars as pl

import barproof as bp
from barproof.cli import live as command
from barproof.live.feed import CcxtFeed, parse_line
from tests.live.market import NAMES, RULES, candles, folder, session, trained

Example = tuple[str, Callable[[], object], type[BaseException], str]

START = 1_000
GIVEN: dict[str, Any] = {"costs": bp.Costs(taker=0.0), "state": None}


def bar(**changes: Any) -> dict[str, Any]:
    """The next bar of the market, changed."""
    return {**candles()[START]._asdict(), **changes}


def told(*bars: Any, **options: Any) -> Callable[[], object]:
    """Feed bars to a fresh session."""

    def call() -> object:
        live = session(None, START, **options)
        return [live.on_bar(one) for one in bars]

    return call


def asked(name: str, *args: Any, **options: Any) -> Callable[[], object]:
    """Ask a fresh session for something."""
    return lambda: getattr(session(None, START), name)(*args, **options)


def made(bundle: Any = None, rules: Any = RULES, **options: Any) -> Callable[[], object]:
    """Make a session."""
    return lambda: bp.LiveSession(
        trained().bundles[0] if bundle is None else bundle, rules, **{**GIVEN, **options}
    )


def several(**options: Any) -> bp.LiveSession:
    """A session of two symbols that has seen nothing."""
    bundle = trained().bundles[0]
    given = {"interval": "5m", "instrument": "spot", **GIVEN, **options}
    return bp.LiveSession({"A": bundle, "B": bundle}, RULES, **given)


def again(change: Callable[[Path], None] | None = None, **options: Any) -> Callable[[], object]:
    """Begin a session in a folder, change something, and make it again."""

    def call() -> object:
        with folder() as place:
            live = session(place / "state", START, checkpoint_bars=64)
            for one in candles()[START : START + 3]:
                live.on_bar(one)
            live.close()
            if change is not None:
                change(place / "state" / "live.sqlite")
            try:
                session(place / "state", None, **options)
            except bp.BarproofError as error:
                # The folder is another one at each call.
                error.args = (
                    re.sub("[0-9a-f]{16}", "...", str(error).replace(str(place), "place")),
                )
                raise
        return None

    return call


def sql(text: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        with sqlite3.connect(path) as base:
            base.execute(text)

    return change


def other_features() -> bp.Bundle:
    return trained(2_000, ("log_return(2)", "rsi(7)")).bundles[0]


def other_kind() -> bp.Bundle:
    """Of the session's features, but it forecasts returns."""
    bars = candles(2_000)
    X = bp.FeatureSet(list(NAMES)).compute(bars)
    labels = bp.labels.horizon(bars, bars=3, kind="regression")
    folds = bp.WalkForward(500, 200, tune=200)
    model = bp.models.GradientBoosting(max_iter=2)
    return bp.train(model, X, labels, folds, ledger=False, progress=False).bundles[0]


def blocked(call: Callable[[Path], object]) -> Callable[[], object]:
    """Do something with a file where a folder should be."""

    def run() -> object:
        with folder() as place:
            (place / "file").write_text("x")
            try:
                return call(place / "file")
            except bp.BarproofError as error:
                error.args = (str(error).replace(str(place), "place"),)
                raise

    return run


def foreign(path: Path) -> object:
    path.unlink()
    path.mkdir()
    (path / "live.sqlite").write_text("no database, but long enough to be looked at as one" * 40)
    return session(path)


def other_format(path: Path) -> object:
    path.unlink()
    path.mkdir()
    with sqlite3.connect(path / "live.sqlite") as base:
        base.execute("CREATE TABLE session (key TEXT PRIMARY KEY, value TEXT)")
        base.execute("INSERT INTO session VALUES ('format', 'live/9')")
    return session(path)


def broken() -> object:
    live = session(None, START)
    with mock.patch("barproof.live.stepping.signals_together", side_effect=RuntimeError("gone")):
        try:
            live.on_bar(candles()[START])
        except RuntimeError:
            return live.on_bar(candles()[START])
    return None


def late_of_two() -> object:
    live = several(patience=1)
    bars = [bar(open_time=candles()[START].open_time + k * 300_000) for k in range(3)]
    for one in bars:
        live.on_bar({"A": one})
    return live.on_bar({"B": bars[0]})


def gap_of_two() -> object:
    live = several()
    of = candles()
    live.on_bar({"A": tuple(of[START]), "B": tuple(of[START])})
    return live.on_bar({"A": tuple(of[START + 2])})


def wrong_catch_up() -> object:
    of = candles()
    live = session(None, START, gap=lambda _a, _b, _c: [of[START + 5]])
    live.on_bar(of[START])
    return live.on_bar(of[START + 3])


def rolled(bundle: Any = None, rules: Any = None) -> object:
    live = session(None, START)
    live.roll(trained().bundles[1] if bundle is None else bundle, rules=rules)
    return live


def exchange(fault: Exception, attempts: int = 1) -> Callable[[], object]:
    class Fails:
        def fetch_ohlcv(self, *_: Any) -> Any:
            raise fault

    feed = CcxtFeed(Fails(), {"A": "A/B"}, 300_000, attempts=attempts, sleep=lambda _: None)
    return lambda: list(feed.bars("A", 0, 300_000))


def cli(**options: Any) -> Callable[[], object]:
    given = {"interval": "5m", "instrument": "spot", "free": True, "state": Path("never")}
    return lambda: command.live(**{**given, **options})


def with_bundle(**options: Any) -> Callable[[], object]:
    def call() -> object:
        with folder() as place:
            trained().bundles[0].save(place / "b")
            names = options.get("twice", ["A"])
            bundles = [f"{name}={place / 'b'}" for name in names]
            try:
                given = {name: value for name, value in options.items() if name != "twice"}
                return cli(**{"bundle": bundles, "state": place / "s", **given})()
            except bp.BarproofError as error:
                error.args = (str(error).replace(str(place), "place"),)
                raise

    return call


def nothing_fits() -> object:
    with mock.patch("sys.stdin", io.StringIO('[1]\n\n{"open": 1}\n')):
        return with_bundle()()


def without_ccxt() -> object:
    with mock.patch.dict("sys.modules", {"ccxt": None}):
        return command._exchange("binance", None, None, ["A"], 300_000, False)


class Ccxt:
    """Stands for the library where it is not installed."""

    exchanges = ("binance",)
    binance = dict
    __version__ = "4"


def with_ccxt(name: str, markets: list[str] | None) -> object:
    with mock.patch.dict("sys.modules", {"ccxt": Ccxt}):
        return command._exchange(name, None, markets, ["A", "B"], 300_000, False)


TIMES = candles().open_time
CALLS: list[tuple[str, Callable[[], object], type[BaseException]]] = [
    ("rules", made(rules={"entry_long": 0.5}), bp.LayoutError),
    ("costs", made(costs=0.1, interval="5m", instrument="spot"), bp.LayoutError),
    ("funding", made(funding="some"), bp.ParameterError),
    ("interval", made(instrument="spot"), bp.ParameterError),
    ("instrument", made(interval="5m"), bp.ParameterError),
    ("equity", made(interval="5m", instrument="spot", initial_equity=0), bp.ParameterError),
    ("checkpoints", made(interval="5m", instrument="spot", checkpoint_bars=0), bp.ParameterError),
    ("gap", made(interval="5m", instrument="spot", gap="skip"), bp.ParameterError),
    ("bundle", made(bundle=3), bp.LayoutError),
    ("bundles", made(bundle={"A": 3}), bp.LayoutError),
    ("candles", made(candles=3), bp.LayoutError),
    ("features", made(candles=candles(), features=bp.FeatureSet(["rsi(14)"])), bp.BundleError),
    (
        "unknown features",
        lambda: bp.LiveSession(_planted(), RULES, candles=candles(), **GIVEN),
        bp.BundleError,
    ),
    ("warm start lacks a symbol", lambda: several(candles={"A": candles()}), bp.ParameterError),
    (
        "warm start of other bars",
        made(candles=candles().resample("1h"), interval="5m"),
        bp.ParameterError,
    ),
    (
        "warm start of other ends",
        lambda: several(candles={"A": candles(), "B": candles()[:100]}),
        bp.ParameterError,
    ),
    ("state of another bundle", again(bundle=trained().bundles[1]), bp.BundleError),
    ("state of other features", again(bundle=other_features()), bp.BundleError),
    ("state of other rules", again(rules=RULES.replace(max_hold=3)), bp.ParameterError),
    ("state without accounts", again(sql("DELETE FROM accounts")), bp.FileError),
    (
        "features that come out otherwise",
        again(sql("UPDATE bars SET close = close * 1.01, high = high * 1.02")),
        bp.FileError,
    ),
    (
        "digests that are none",
        again(sql("UPDATE sums SET digest = 'x=' WHERE name = 'state'")),
        bp.FileError,
    ),
    ("no database", blocked(foreign), bp.FileError),
    ("another format", blocked(other_format), bp.FileError),
    ("no folder", blocked(lambda path: session(path / "state")), bp.FileError),
    ("broken", broken, bp.FileError),
    ("bars of several", lambda: several().on_bar(tuple(candles()[0])), bp.LayoutError),
    ("another symbol alone", told({"X": bar()}), bp.CandleError),
    ("another symbol", lambda: several().on_bar({"C": bar()}), bp.CandleError),
    ("another symbol in the bar", told(bar(symbol="X")), bp.CandleError),
    ("another interval told", told(bar(interval="1h")), bp.CandleError),
    (
        "another interval by the close",
        told(bar(close_time=int(TIMES[START]) + 3_599_999)),
        bp.CandleError,
    ),
    ("off the grid", told(bar(open_time=int(TIMES[START]) + 1_000)), bp.CandleError),
    ("no volume", told({k: v for k, v in bar().items() if k != "volume"}), bp.CandleError),
    ("NaN", told(bar(close=float("nan"))), bp.CandleError),
    ("forming", told(bar(), clock=lambda: int(TIMES[START]) + 299_000), bp.CandleError),
    ("future", told(bar(), clock=lambda: int(TIMES[START]) - 400_000), bp.CandleError),
    ("out of order", told(bar(open_time=int(TIMES[START - 5]))), bp.CandleError),
    ("other values", told(candles()[START], bar(volume=1.0)), bp.CandleError),
    ("gap of bars", told(candles()[START + 2]), bp.CandleError),
    ("gap of two", gap_of_two, bp.CandleError),
    ("catch up", wrong_catch_up, bp.CandleError),
    ("late of two", late_of_two, bp.CandleError),
    ("late settlement", lambda: _settled_late(), bp.FundingError),
    ("settlement twice", lambda: _settled_twice(), bp.FundingError),
    ("settlement of spot", lambda: several().settle(0, 0.1, symbol="A"), bp.FundingError),
    ("no such symbol", lambda: several().decision("C"), bp.ParameterError),
    ("roll of no bundle", lambda: rolled(3), bp.LayoutError),
    ("roll of other features", lambda: rolled(other_features()), bp.BundleError),
    ("roll of another kind", lambda: rolled(other_kind()), bp.BundleError),
    ("roll of other measures", lambda: rolled(rules=RULES.replace(atr_period=7)), bp.RulesError),
    ("side of a fill", asked("on_fill", "long", 1.0, 1.0), bp.ParameterError),
    ("price of a fill", asked("on_fill", "buy", 0.0, 1.0), bp.ParameterError),
    ("server time", asked("report_time", "now"), bp.LayoutError),
    ("no log", asked("log"), bp.FileError),
    ("no JSON", lambda: parse_line("{"), bp.CandleError),
    ("no object", lambda: parse_line("[1]"), bp.CandleError),
    ("twice", lambda: parse_line('{"open": 1, "open": 2}'), bp.CandleError),
    ("time", lambda: parse_line('{"open_time": "noon"}'), bp.CandleError),
    ("exchange refuses", exchange(ValueError("no such market")), bp.FileError),
    ("exchange is silent", exchange(TimeoutError("slow"), 2), bp.FileError),
    ("gap of the command", cli(gap="skip"), bp.ConfigError),
    ("account of the command", cli(account="joint"), bp.ConfigError),
    (
        "histories without names",
        with_bundle(twice=["A", "B"], from_history=["a.parquet", "b.parquet"]),
        bp.ConfigError,
    ),
    ("no bundle", cli(), bp.ConfigError),
    ("two of one symbol", with_bundle(twice=["A", "A"]), bp.ConfigError),
    ("no interval", with_bundle(interval=None), bp.ConfigError),
    ("no instrument", with_bundle(instrument=None), bp.ConfigError),
    ("nothing fits", nothing_fits, bp.FileError),
    ("no ccxt", without_ccxt, bp.ConfigError),
    ("no such exchange", lambda: with_ccxt("nyse", None), bp.ConfigError),
    ("no market", lambda: with_ccxt("binance", ["A=A/B"]), bp.ConfigError),
]


def _planted() -> bp.Bundle:
    from tests.models.market import quiet, table

    of = candles()
    labels = bp.labels.horizon(of, bars=3, kind="binary")
    X = table(of, noise=0) if of.planted is not None else pl.DataFrame()
    return quiet(bp.models.Logistic(), X, labels, bp.WalkForward(500, 200, tune=200)).bundles[0]


def _settled_late() -> object:
    live = session(None, START)
    live.on_bar(tuple(candles()[START]))
    live.settle(int(TIMES[START]), 0.0001)
    return live


def _settled_twice() -> object:
    live = session(None, START)
    live.settle(int(TIMES[START]) + 300_000, 0.0001)
    live.settle(int(TIMES[START]) + 300_000, 0.0001)
    return live


MESSAGES: dict[str, str] = {
    "rules": "`rules` of a live session must be Rules, was dict: roll(..., rules=) changes them",
    "costs": "`costs` of a live session must be Costs, was float: use Costs(taker=...)",
    "funding": '`funding` must be "events" or "none", was \'some\'',
    "interval": '`interval` of a live session is not known: give it, such as interval="5m", or candles= to start warm',
    "instrument": '`instrument` of a live session is not known: give it, such as instrument="perpetual", or candles=',
    "equity": "`initial_equity` must be finite and > 0, was 0",
    "checkpoints": "`checkpoint_bars` must be a whole number >= 1, was 0",
    "gap": '`gap` must be "raise", "accept" or a function of symbol, first and end, was \'skip\'',
    "bundle": "`bundle` must be a Bundle or a dict of symbol to Bundle, was int: see run.bundles",
    "bundles": "`bundle` of A must be a Bundle, was int: see run.bundles",
    "candles": "`candles` of a live session must be Candles or a dict of symbol to Candles, was int",
    "features": "`features` lack 4 of the 5 columns of the bundle, first `log_return(1)`: give the set that it was trained on",
    "unknown features": "features of the bundle of SIM cannot be computed live: unknown name `score`; did you mean `zscore`? in feature `score`; give features=",
    "warm start lacks a symbol": "`candles` lack B of the 2 symbols whose bars the session needs: give a dict of symbol to Candles",
    "warm start of other bars": "`candles` of SIM have bars of 1h, the session of 5m: resample them",
    "warm start of other ends": "`candles` end at different bars (2022-01-01 08:15, 2022-01-07 22:35): cut them to the same last bar",
    "state of another bundle": "state 'place/state' is of another bundle, ..., and not ...: give that one and change it by roll(...), or give another folder",
    "state of other features": "state 'place/state' is of another feature set: it computes 5 features of SIM, and not `log_return(2)`, which the bundle needs; give the bundle that it was begun with, or another folder",
    "state of other rules": "state 'place/state' was begun with rules max_hold=20, not 3: give the same, or another folder",
    "state without accounts": "live log 'place/state/live.sqlite' holds no state of SIM: restore the folder from a copy, or give another",
    "features that come out otherwise": "live log 'place/state/live.sqlite': features of SIM at 2022-01-04 11:20 come out otherwise than they were logged; the code or the file has changed, begin a new session",
    "digests that are none": "live log 'place/state/live.sqlite' is damaged: its digests are none, invalid literal for int() with base 16: 'x='; restore the folder from a copy, or give another",
    "no database": "live log 'place/file/live.sqlite' cannot be written: file is not a database; restore the folder from a copy, or give another",
    "another format": "live log 'place/file/live.sqlite' has format 'live/9', this version writes 'live/1': go on with the version that began it, or give another folder",
    "no folder": "`state` folder 'place/file/state' cannot be made: Not a directory; give one that can be written",
    "broken": "the session cannot go on: RuntimeError at a bar, and no state folder to go back to; make it again from its state folder",
    "bars of several": "a bar of a session of 2 symbols must be a mapping of symbol to bar, was tuple: such as {'A': bar}",
    "another symbol alone": "bars of X do not belong to the session of SIM: feed that symbol",
    "another symbol": "bar of C does not belong to the session of A, B: leave it out",
    "another symbol in the bar": "bar of X does not belong to the session of SIM: feed that symbol, or name it in `symbol` where the session begins",
    "another interval told": "bar of SIM is 1h long, the session runs on 5m: feed bars of the session's interval",
    "another interval by the close": "bar of SIM at 2022-01-04 11:20 is 1h long, the session runs on 5m: feed bars of the session's interval",
    "off the grid": "bar of SIM at 2022-01-04 11:20:01 lies off the grid of 5m bars that the session has seen: feed bars of the session's interval, stamped with their opening times",
    "no volume": "bar of SIM has no `volume`: give a mapping with open_time, open, high, low, close, volume",
    "NaN": "bar of SIM at 2022-01-04 11:20 must have finite prices > 0, a high and a low that hold the others and a volume >= 0, was open 100.44, high 100.527, low 100.216, close nan, volume 6098.6: ask the feed again",
    "forming": "bar of SIM at 2022-01-04 11:20 is still forming: it closes in 1 s by the clock, 2022-01-04 11:24:59; feed closed bars only",
    "future": "bar of SIM at 2022-01-04 11:15 lies in the future: the clock says 2022-01-04 11:13:20; set the clock right, or the times of the feed",
    "out of order": "bar of SIM at 2022-01-04 10:55 comes out of order: the last one is of 2022-01-04 11:15, and no decision is known of it; feed bars in time order",
    "other values": "bar of SIM at 2022-01-04 11:20 was seen with other values: open, high, low, close, volume 100.44, 100.527, 100.216, 100.347, 6098.6, now 100.44, 100.527, 100.216, 100.347, 1.0; a closed bar does not change, find out which is right",
    "gap of bars": 'bar of SIM at 2022-01-04 11:30 leaves out 2 after 2022-01-04 11:15: feed them first, or say gap="accept" or how to catch up',
    "gap of two": 'bar of A at 2022-01-04 11:30 leaves out 1 after 2022-01-04 11:20: feed them first, or say gap="accept" or how to catch up',
    "catch up": "bar of SIM at 2022-01-04 11:45 that `gap` gave does not lie between 2022-01-04 11:20 and 2022-01-04 11:35: give the bars that are missing, in order",
    "late of two": "bar of B at 2022-01-04 11:20 comes after the time 2022-01-04 11:25 was decided without it: wait longer with a larger `patience`",
    "late settlement": "settlement of SIM at 2022-01-04 11:20 comes after the bar of 2022-01-04 11:20 was taken, which would have known it: tell settlements before the bar that follows them",
    "settlement twice": "settlement of SIM at 2022-01-04 11:25 does not come after the last one, of 2022-01-04 11:25: give each once, in order",
    "settlement of spot": "settlement of A is not expected: the session runs without funding; leave it out",
    "no such symbol": "`symbol` must be one of A, B, was 'C'",
    "roll of no bundle": "`bundle` of roll(...) must be a Bundle, was int: see run.bundles",
    "roll of other features": "the bundle needs 2 features that the session of SIM does not compute, first `log_return(2)`: begin another session with it",
    "roll of another kind": "the bundle gives signals of kind 'score', the session of SIM trades 'probability', to which the thresholds of its rules belong: begin another session with it",
    "roll of other measures": "`rules` of roll(...) need an ATR or a volatility that the session of SIM has not measured from its start: keep `atr_period` and `vol_window`, or begin another session",
    "side of a fill": '`side` of a fill must be "buy" or "sell", was \'long\'',
    "price of a fill": "`price` of a fill must be finite and > 0, was 0.0",
    "server time": "`server_time` must be milliseconds UTC, was 'now': such as 1704067200000",
    "no log": "a session with state=None keeps no log: give it a folder",
    "no JSON": "line is no JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1)): '{'; give one object a line",
    "no object": "line must hold a JSON object, was '[1]'",
    "twice": "line says `open` twice: give each name once",
    "time": "`open_time` must be milliseconds UTC or ISO 8601, was 'noon': such as 2024-01-31T13:00:00Z",
    "exchange refuses": "exchange refuses bars of A: ValueError: no such market; this will not pass by waiting",
    "exchange is silent": "exchange does not give bars of A after 2 tries: TimeoutError: slow; start again, it goes on where it stood",
    "gap of the command": "`--gap` must be raise or accept, was 'skip'",
    "account of the command": "`--account` must be own or shared, was 'joint'",
    "histories without names": "`--from-history b.parquet` is one of several: name the symbol of each once, as `--bundle` "
    "does, such as `--from-history A=FILE`",
    "no bundle": "`--bundle` is missing: give a folder that train wrote",
    "two of one symbol": "`--bundle A=place/b` gives A a second bundle: name each symbol once",
    "no interval": "`--interval` is missing: give it, such as 5m, or `--from-history` FILE",
    "no instrument": "`--instrument` is missing: give perpetual, spot, equity or fx",
    "nothing fits": "all 2 lines were refused and nothing was decided; the first: line must hold a JSON object, was '[1]'; "
    "give bars, settlements or fills as `barproof live --help` tells them",
    "no ccxt": "`--exchange` needs ccxt: install it by `pip install 'barproof[fetch]'`, or feed bars on stdin",
    "no such exchange": "`--exchange nyse` is not known to ccxt 4: ccxt.exchanges lists what is",
    "no market": "`--market` of B is missing: such as `--market B=BTC/USDT:USDT`",
}
"""By the names above."""

EXAMPLES: list[Example] = [(name, call, kind, MESSAGES.get(name, "")) for name, call, kind in CALLS]
