"""One call for every message of ``barproof fetch`` and ``barproof init``: (name, call, class, message)."""

from __future__ import annotations

import io
import os
import ssl
import urllib.error
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from unittest import mock

from barproof.cli import fetch, init
from barproof.cli.fetching.archive import Archive
from barproof.cli.fetching.exchange import Exchange
from barproof.cli.fetching.gather import Gatherer
from barproof.cli.fetching.periods import Period, months_of
from barproof.cli.fetching.store import Store
from barproof.cli.fetching.web import Web
from barproof.errors import ConfigError, FileError
from barproof.live.feed import CcxtFeed

from .error_examples import folder
from .servers import checksum, zipped

Example = tuple[str, Callable[[], object], type[Exception], str]

HOST = "https://archive.test"
JANUARY = next(months_of(1_704_067_200_000, 1_704_067_200_001))
STEM = f"{HOST}/data/spot/monthly/klines/ABC/1h/ABC-1h-2024-01"
PAID = f"{HOST}/data/futures/um/monthly/fundingRate/ABC/ABC-fundingRate-2024-01"
ASKED: dict[str, Any] = {
    "symbol": "ABC",
    "instrument": "spot",
    "interval": "1h",
    "start": "2024-01-01",
    "archive": "binance",
}


class Answer(io.BytesIO):
    """What an opener gives: a body with headers."""

    def __init__(self, body: bytes, **headers: str) -> None:
        super().__init__(body)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


class Opener:
    """Answers by address; an exception is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers

    def open(self, request: Any, timeout: float) -> Answer:
        told = self.answers.get(request.full_url, 404)
        if isinstance(told, int):
            raise urllib.error.HTTPError(request.full_url, told, "", Message(), None)
        if isinstance(told, Exception):
            raise told
        return Answer(told[0], **told[1]) if isinstance(told, tuple) else Answer(told)


def archive(answers: dict[str, Any], kind: str = "spot", **options: Any) -> Archive:
    web = Web(HOST, opener=Opener(answers), attempts=1, sleep=lambda _: None, **options)
    return Archive(web, "ABC", 3_600_000, kind)


def served(data: bytes | Any, told: bytes | None = None, **options: Any) -> Callable[[], object]:
    """Ask for a month whose zip file is this."""
    sums = checksum("ABC-1h-2024-01.zip", data) if told is None else told
    answers = {f"{STEM}.zip": data, f"{STEM}.zip.CHECKSUM": sums}
    return lambda: archive(answers, **options).candles(JANUARY)


def answered(what: Any, **options: Any) -> Callable[[], object]:
    """Ask for a month whose checksum is answered so."""
    return lambda: archive({f"{STEM}.zip.CHECKSUM": what}, **options).candles(JANUARY)


def refusal(code: int, **headers: str) -> Exception:
    held = Message()
    for name, value in headers.items():
        held[name.replace("_", "-")] = value
    return urllib.error.HTTPError(STEM, code, "", held, None)


def asking(**changes: Any) -> Callable[[], object]:
    """Call the command."""

    def call() -> object:
        with folder():
            return fetch.fetch(**{**ASKED, **changes})

    return call


def bad_certificate() -> Exception:
    error = ssl.SSLCertVerificationError(1, "bad")
    error.verify_message = "certificate has expired"
    return urllib.error.URLError(error)


def bad_funding() -> object:
    data = zipped("ABC-fundingRate-2024-01.csv", "calc_time,rate\n1704067200000,nan\n")
    sums = checksum("ABC-fundingRate-2024-01.zip", data)
    return archive({f"{PAID}.zip": data, f"{PAID}.zip.CHECKSUM": sums}, "perpetual").funding(
        JANUARY
    )


def redirected() -> object:
    from barproof.cli.fetching.web import _Redirects

    class Sent(Opener):
        def open(self, request: Any, timeout: float) -> Answer:
            held: Any = Message()
            made = _Redirects().redirect_request(
                request, io.BytesIO(), 302, "", held, "https://other.test/x"
            )
            raise AssertionError(made)

    web = Web(HOST, opener=Sent({}))
    return web.get("x", most=1, judge=bytes)


def slow() -> object:
    ticks = iter(range(1_000, 100_000, 1_000))
    answers = {f"{STEM}.zip.CHECKSUM": b"x" * 10}
    return archive(answers, clock=lambda: float(next(ticks))).candles(JANUARY)


class Odd:
    """An exchange with a settlement that is none."""

    id = "odd"
    has: dict[str, bool] = {}  # noqa: RUF012
    timeframes = {"1m": "1m", "1h": "1h"}  # noqa: RUF012

    def fetch_funding_rate_history(self, *_: Any) -> Any:
        return [{"timestamp": 5, "fundingRate": None}]


def odd_funding() -> object:
    feed = CcxtFeed(Odd(), {"ABC": "ABC/USD"}, 3_600_000)
    return Exchange(feed, "ABC", "perpetual").funding(Period("1970-01", 0, 86_400_000))


class Ccxt:
    exchanges = ("odd", "other")
    __version__ = "4"

    @staticmethod
    def odd(_: Any) -> Odd:
        return Odd()


def with_ccxt(**changes: Any) -> Callable[[], object]:
    def call() -> object:
        with mock.patch.dict("sys.modules", {"ccxt": Ccxt}):
            return asking(archive=None, **{"exchange": "odd", **changes})()

    return call


def without_ccxt() -> object:
    with mock.patch.dict("sys.modules", {"ccxt": None}):
        return asking(archive=None, exchange="binance")()


def no_past_funding() -> object:
    with mock.patch.object(Odd, "has", {"fetchOHLCV": True}):
        return with_ccxt(instrument="perpetual")()


def taken() -> object:
    with folder():
        Path("abc_spot_1h.parquet").write_text("")
        return fetch.fetch(**ASKED)


def out_of(name: str, *, locked: bool = False) -> Callable[[], object]:
    def call() -> object:
        with folder():
            Path("file").write_text("")
            with mock.patch.object(os, "access", return_value=not locked):
                return fetch.fetch(**{**ASKED, "out": Path(name)})

    return call


def store_in_a_file() -> object:
    with folder():
        Path("file").write_text("")
        data = zipped("ABC-1h-2024-01.csv", "1704067200000,1,1,1,1,1\n")
        answers = {
            f"{STEM}.zip": data,
            f"{STEM}.zip.CHECKSUM": checksum("ABC-1h-2024-01.zip", data),
        }
        store = Store(Path("file/store"), [])
        gatherer = Gatherer(
            store, archive(answers), None, 3_600_000, 2_000_000_000_000, lambda _: None
        )
        return gatherer.gather("candles", JANUARY.first, JANUARY.end)


def nothing_there() -> object:
    found = archive({})
    with mock.patch.object(fetch, "_archive", return_value=found):
        return asking(end="2024-01-02")()


def making(name: str, **options: Any) -> Callable[[], object]:
    """Make a project in a folder that holds a file and a folder that is not empty."""

    def call() -> object:
        with folder():
            Path("file").write_text("")
            Path("full").mkdir()
            Path("full/mine").write_text("")
            return init.init(name=Path(name), **options)

    return call


def locked_folder() -> object:
    with mock.patch("os.listdir", side_effect=PermissionError(13, "Permission denied")):
        return making("full")()


def full_disk() -> object:
    with (
        mock.patch.object(Path, "write_text", side_effect=OSError(28, "No space left on device")),
        folder(),
    ):
        return init.init(name=Path("p"))


def bomb() -> bytes:
    return zipped("ABC-1h-2024-01.csv", b"1" * 500_000)


TWO = io.BytesIO()
with zipfile.ZipFile(TWO, "w") as _made:
    for _name in ("../a.csv", "b", "c", "d"):
        _made.writestr(_name, "x")

MESSAGES: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "no ccxt": (without_ccxt, ConfigError, "`--exchange` needs ccxt: install it by `pip install 'barproof[fetch]'`, or take `--archive binance`"),
    "no such exchange": (with_ccxt(exchange="othr"), ConfigError, "`--exchange othr` is not known to ccxt 4; did you mean other?"),
    "no such timeframe": (with_ccxt(interval="5m"), ConfigError, "`--interval` 5m is none of odd, which has 1m, 1h: fetch shorter bars and resample them"),
    "no bars": (with_ccxt(), ConfigError, "`--exchange odd` gives no bars through ccxt: take another exchange, or `--archive binance`"),
    "no past funding": (no_past_funding, ConfigError, "`--exchange odd` gives no funding of the past through ccxt: give `--funding none`"),
    "odd funding": (odd_funding, FileError, "exchange odd ABC/USD perpetual gives a settlement that is none (time 5, rate None): ask for another span, or for `--funding none`"),
    "no source": (asking(archive=None), ConfigError, "a source is missing: give `--archive binance`, or `--exchange NAME` (extra fetch), or both"),
    "no symbol": (asking(symbol=None), ConfigError, "`SYMBOL` is missing: name a market, such as BTCUSDT"),
    "symbol": (asking(symbol="../x"), ConfigError, "`SYMBOL` must be 1 to 40 letters, digits, - or _, was '../x': what an exchange calls it goes to `--market`"),
    "no instrument": (asking(instrument=None), ConfigError, "`--instrument` is missing: give perpetual or spot"),
    "instrument": (asking(instrument="fx"), ConfigError, "`--instrument` must be perpetual or spot, was 'fx'"),
    "funding": (asking(funding="a.csv"), ConfigError, "`--funding` takes none alone here, was 'a.csv': settlements of a perpetual are fetched without it"),
    "no interval": (asking(interval=None), ConfigError, "`--interval` is missing: give a bar length, such as 5m"),
    "interval": (asking(interval="7m"), ConfigError, "`--interval` must be a bar length that divides a day, was '7m': fetch shorter bars and resample them"),
    "no start": (asking(start=None), ConfigError, "`--start` is missing: give the time of the first bar, such as 2024-01-01"),
    "start": (asking(start="soon"), ConfigError, "`--start` must be a time such as 2024-01-31 or 2024-01-31T13:00, was 'soon'"),
    "span": (asking(end="2023-01-01"), ConfigError, "no closed bar lies between `--start` 2024-01-01 00:00 and 2023-01-01 00:00: widen the span"),
    "archive": (asking(archive="binanse"), ConfigError, "`--archive` must be binance, was 'binanse'"),
    "archive url alone": (asking(archive=None, exchange=None, archive_url="https://x.test"), ConfigError, "a source is missing: give `--archive binance`, or `--exchange NAME` (extra fetch), or both"),
    "archive url without layout": (lambda: fetch._archive(None, HOST, "ABC", 1, "spot", 1, 1.0, 0.0), ConfigError, "`--archive-url` needs the layout too: give `--archive binance` beside it"),
    "archive url": (asking(archive_url="file:///etc"), ConfigError, "`--archive-url` must begin with https:// or http:// and name a host, was 'file:///etc'"),
    "out is a file": (out_of("file"), ConfigError, "`--out` 'file' is a file: name a folder"),
    "out is nowhere": (out_of("no/o"), ConfigError, "`--out` 'no/o' lies in a folder that does not exist: mkdir 'no'"),
    "out is locked": (out_of("o", locked=True), FileError, "`--out` 'o' cannot be written to: name a folder of your own"),
    "out is taken": (taken, FileError, "'abc_spot_1h.parquet' is there and was not fetched: move it away, or give another `--out`"),
    "store": (store_in_a_file, FileError, "`--out` 'file/store' cannot be made a folder: Not a directory"),
    "nothing": (nothing_there, FileError, f"nothing of ABC at 1h is in archive {HOST} spot from 2024-01-01 00:00 to 2024-01-02 00:00: look at symbol, interval, instrument and span"),
    "refused": (answered(451), FileError, f"{STEM}.zip.CHECKSUM is refused with status 451: look at the address, or whether its host serves your country"),
    "later": (answered(refusal(429, Retry_After="7200")), FileError, f"{STEM}.zip.CHECKSUM may be asked for again in 7,200 s only (status 429): start again then, what was fetched is kept"),
    "busy": (answered(503), FileError, f"{STEM}.zip.CHECKSUM could not be fetched in 1 tries: status 503; start again, what was fetched is kept"),
    "hung up": (answered(ConnectionResetError(104, "Connection reset by peer")), FileError, f"{STEM}.zip.CHECKSUM could not be fetched in 1 tries: [Errno 104] Connection reset by peer; start again, what was fetched is kept"),
    "cut short": (answered((b"ab", {"Content_Length": "9"})), FileError, f"{STEM}.zip.CHECKSUM could not be fetched in 1 tries: cut short: 2 of 9 bytes; start again, what was fetched is kept"),
    "slow": (slow, FileError, f"{STEM}.zip.CHECKSUM could not be fetched in 1 tries: slower than 300 s; start again, what was fetched is kept"),
    "large": (answered((b"", {"Content_Length": "99999999"})), FileError, f"{STEM}.zip.CHECKSUM is larger than the 65,536 bytes that it can need: it is not the file that was asked for"),
    "certificate": (answered(bad_certificate()), FileError, f"{STEM}.zip.CHECKSUM has a certificate that does not verify (certificate has expired): look at the clock and the proxy of this machine"),
    "redirect": (redirected, FileError, f"{HOST}/x redirects to 'https://other.test/x', outside of its host, which is not followed: name that host with `--archive-url` if you trust it"),
    "no checksum": (lambda: archive({f"{STEM}.zip": b"x"}).candles(JANUARY), FileError, f"{STEM}.zip has no checksum beside it, and is not taken on trust: ask for it later, or take that span from `--exchange`"),
    "checksum": (served(b"x", b"12"), FileError, f"{STEM}.zip.CHECKSUM must hold 64 hexadecimal digits and the name ABC-1h-2024-01.zip, it holds '12'"),
    "digest": (served(b"x", b"0" * 64 + b" ABC-1h-2024-01.zip"), FileError, f"{STEM}.zip could not be fetched in 1 tries: its SHA-256 is 2d711642b726..., its checksum says 000000000000...; start again, what was fetched is kept"),
    "no zip": (served(b"x"), FileError, f"{STEM}.zip is no zip file that can be unpacked: File is not a zip file"),
    "members": (served(TWO.getvalue()), FileError, f"{STEM}.zip must hold ABC-1h-2024-01.csv alone, stored or deflated; it holds '../a.csv', 'b', 'c', ...: it is not used"),
    "bomb": (served(bomb()), FileError, f"{STEM}.zip unpacks to more than the 446,464 bytes that its period can need: it is not used"),
    "no candles": (served(zipped("ABC-1h-2024-01.csv", "a,b\n1,2\n")), FileError, f"{STEM}.zip cannot be read as candles: source lacks columns open_time, open, high, low, close; it has a, b; rename them"),
    "other month": (served(zipped("ABC-1h-2024-01.csv", "1,1,1,1,1,1\n")), FileError, f"{STEM}.zip holds no row of 2024-01: it is another file than its name says"),
    "bad funding": (bad_funding, FileError, f"{PAID}.zip cannot be read as funding: `funding_rate` is not finite in row 0 (first 2024-01-01 00:00): drop the rows or find the rates"),
    "no name": (lambda: init.init(), ConfigError, "`NAME` is missing: give the folder of the project, such as momentum"),
    "market without candles": (making("p", instrument="spot"), ConfigError, "`--instrument` and `--funding` belong to `--candles` FILE: give it, or leave them out"),
    "project is a file": (making("file"), FileError, "'file' is there and no folder: give another name"),
    "project is not empty": (making("full"), FileError, "'full' is not empty (it holds mine): give a new name; nothing was written"),
    "project is nowhere": (making("no/p"), FileError, "'no/p' lies in a folder that does not exist: mkdir 'no'"),
    "project is locked": (locked_folder, FileError, "'full' cannot be read: Permission denied"),
    "project on a full disk": (full_disk, FileError, "'p' cannot be made: No space left on device; nothing was written"),
}  # fmt: skip

EXAMPLES: list[Example] = [(name, *row) for name, row in MESSAGES.items()]
