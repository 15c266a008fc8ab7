"""Local servers that play an exchange's archive and an exchange: no test asks the internet for anything."""

from __future__ import annotations

import hashlib
import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

import barproof as bp

HOUR, DAY = 3_600_000, 86_400_000


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def market(start: str = "2024-01-01", days: int = 40) -> bp.Candles:
    """Hourly candles with funding, from the first of a month on."""
    return bp.simulate_candles(5, bars=24 * days, interval="1h", start=start)


def zipped(name: str, text: str | bytes, **options: Any) -> bytes:
    """A zip file with one member."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", options.pop("kind", zipfile.ZIP_DEFLATED)) as archive:
        archive.writestr(name, text)
    return out.getvalue()


def checksum(name: str, data: bytes) -> bytes:
    return f"{hashlib.sha256(data).hexdigest()}  {name}\n".encode()


def klines(frame: pl.DataFrame, *, header: bool, micro: bool = False) -> str:
    """Rows as the archive writes them: twelve columns, with or without a header, later in microseconds."""
    scale = 1_000 if micro else 1
    lines = [
        "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
        "taker_buy_quote_volume,ignore"
    ]
    if not header:
        lines = []
    for row in frame.iter_rows(named=True):
        time_of = round(row["open_time"].timestamp() * 1000)
        prices = ",".join(repr(row[name]) for name in ("open", "high", "low", "close", "volume"))
        end = (time_of + HOUR) * scale - 1
        taken = row["taker_buy_volume"]
        lines.append(f"{time_of * scale},{prices},{end},{row['volume'] * 100!r},7,{taken!r},0,0")
    return "\n".join(lines) + "\n"


def archive_of(
    candles: bp.Candles,
    *,
    symbol: str = "ABCUSDT",
    folder: str = "futures/um",
    months: tuple[str, ...] = (),
    days: tuple[str, ...] = (),
    **form: Any,
) -> dict[str, bytes]:
    """Files of an archive by path: candles of these months and days, funding of the months."""
    files: dict[str, bytes] = {}

    def add(path: str, name: str, text: str) -> None:
        data = zipped(f"{name}.csv", text)
        files[f"/{path}/{name}.zip"] = data
        files[f"/{path}/{name}.zip.CHECKSUM"] = checksum(f"{name}.zip", data)

    form.setdefault("header", True)
    frame = candles.to_polars()
    funding = candles.funding
    for period in (*months, *days):
        often = "monthly" if len(period) == 7 else "daily"
        chosen = frame.filter(pl.col("open_time").dt.to_string("%Y-%m-%d").str.starts_with(period))
        assert chosen.height
        path = f"data/{folder}/{often}/klines/{symbol}/1h"
        add(path, f"{symbol}-1h-{period}", klines(chosen, **form))
        if often == "monthly" and funding is not None:
            told = funding.filter(
                pl.col("funding_time").dt.to_string("%Y-%m-%d").str.starts_with(period)
            )
            lines = ["calc_time,funding_interval_hours,last_funding_rate"]
            for moment, rate in told.iter_rows():
                # Stamps lie some milliseconds late.
                lines.append(f"{round(moment.timestamp() * 1000) + 16},8,{rate!r}")
            path = f"data/{folder}/monthly/fundingRate/{symbol}"
            add(path, f"{symbol}-fundingRate-{period}", "\n".join(lines) + "\n")
    return files


Fault = Callable[["Handler", bytes], None]


class Server(ThreadingHTTPServer):
    """Serves files; a fault may stand before any of them, used up one a request."""

    daemon_threads = True

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.asked = files, []  # type: tuple[dict[str, bytes], list[str]]
        self.faults: dict[str, list[Fault]] = {}
        self.answer: Callable[[str, dict[str, str]], Any] | None = None
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of the game."""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        path = unquote(url.path)
        self.server.asked.append(path)
        body = self.server.files.get(path)
        if self.server.answer is not None and body is None:
            told = self.server.answer(path, {k: v[0] for k, v in parse_qs(url.query).items()})
            body = None if told is None else json.dumps(told).encode()
        waiting = next((f for k, f in self.server.faults.items() if path.endswith(k) and f), [])
        if waiting:
            return waiting.pop(0)(self, body or b"")
        if body is None:
            return self.say(404, b"<Error>NoSuchKey</Error>")
        return self.say(200, body)

    def say(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


def status(code: int, **headers: str) -> Fault:
    return lambda handler, _: handler.say(code, b"no", None, **headers)


def truncate(handler: Handler, body: bytes) -> None:
    """Send half of what was announced, and hang up."""
    handler.say(200, body[: len(body) // 2], len(body))
    handler.close_connection = True


def corrupt(handler: Handler, body: bytes) -> None:
    """The right length, and one bit that flipped on the way."""
    handler.say(200, body[:40] + bytes([body[40] ^ 1]) + body[41:])


def hang_up(handler: Handler, _: bytes) -> None:
    handler.close_connection = True


def silence(handler: Handler, _: bytes) -> None:
    """Say nothing for longer than anybody waits."""
    time.sleep(1.5)
    handler.close_connection = True


def drip(handler: Handler, body: bytes) -> None:
    """One byte at a time, each soon enough, the whole never."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    for k in range(200):
        handler.wfile.write(body[k : k + 1])
        handler.wfile.flush()
        time.sleep(0.02)


def huge(handler: Handler, _: bytes) -> None:
    """Announce far more than a month of bars can be."""
    handler.say(200, b"x" * 1_000, 50_000_000_000)
    handler.close_connection = True


def endless(handler: Handler, _: bytes) -> None:
    """Announce nothing, and never stop."""
    handler.send_response(200)
    handler.end_headers()
    for _k in range(400):
        handler.wfile.write(b"x" * 65_536)


def moved(url: str) -> Fault:
    return lambda handler, _: handler.say(302, b"", None, Location=url)


@contextmanager
def serving(files: dict[str, bytes]) -> Iterator[Server]:
    """Serve files while the test lasts."""
    server = Server(files)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


MARKET = {
    "symbol": "ABCUSDT", "pair": "ABCUSDT", "contractType": "PERPETUAL", "status": "TRADING",
    "baseAsset": "ABC", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 4,
    "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT"],
    "deliveryDate": 4133404800000, "onboardDate": 1500000000000, "underlyingType": "COIN",
    "timeInForce": ["GTC"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "100000", "tickSize": "0.0001"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "100000", "stepSize": "0.001"},
    ],
}  # fmt: skip


def exchange_of(candles: bp.Candles, now: int) -> Callable[[str, dict[str, str]], Any]:
    """What a futures exchange answers at a time: its last bar is still forming."""
    bars: list[list[Any]] = [
        [b.open_time, *map(repr, b[1:6]), b.open_time + HOUR - 1, "0", 1, "0", "0", "0"]
        for b in candles[:]
        if int(b[0]) <= now
    ]
    assert candles.funding is not None
    paid = [
        {
            "symbol": "ABCUSDT",
            "fundingTime": round(m.timestamp() * 1000) + 9,
            "fundingRate": repr(r),
        }
        for m, r in candles.funding.iter_rows()
        if round(m.timestamp() * 1000) <= now
    ]

    def answer(path: str, query: dict[str, str]) -> Any:
        since, limit = int(query.get("startTime", 0)), int(query.get("limit", 500))
        if path.endswith("/klines"):
            # A page is smaller than what was asked for, as everywhere.
            return [row for row in bars if row[0] >= since][: min(limit, 170)]
        if path.endswith("/fundingRate"):
            return [row for row in paid if int(str(row["fundingTime"])) >= since][: min(limit, 13)]
        if path.endswith("/time"):
            return {"serverTime": now}
        if path.endswith("/exchangeInfo"):
            return {"symbols": [MARKET], "serverTime": now, "rateLimits": [], "timezone": "UTC"}
        return []

    return answer
