"""`barproof live` as a process: stdin to stdout, SIGTERM and SIGKILL, and an exchange that a local server plays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import barproof
import barproof as bp
from barproof.live.decision import Decision
from tests.live.market import COSTS, candles, folder, session, trained

START = 1_000
RULES = bp.Rules(entry_long=0.5, entry_short=0.5, stop_loss=0.01, take_profit=0.01, max_hold=20)


def words(place: Path, *more: str) -> list[str]:
    """The command line of the session below."""
    rules = [f"{name}={value}" for name, value in RULES.changed().items()]
    return [
        sys.executable, "-m", "barproof", "live",
        "--bundle", f"SIM={place / 'bundle'}", "--state", str(place / "state"),
        *(word for rule in rules for word in ("--rule", rule)),
        "--taker", "0.0005", "--maker", "0.0002", "--slippage", "0.0001", *more,
    ]  # fmt: skip


def stdin_words(place: Path, *more: str) -> list[str]:
    history = (
        "--from-history",
        str(place / "history.parquet"),
        "--interval",
        "5m",
        "--instrument",
        "spot",
    )
    return words(place, *history, "--symbol", "SIM", *more)


@contextmanager
def running(command: list[str], place: Path) -> Iterator[subprocess.Popen[str]]:
    path = str(Path(barproof.__file__).parents[1])
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=place,
        env={**os.environ, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "400"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def spot() -> bp.Candles:
    of = candles()
    return bp.read_candles(of.to_polars(), instrument="spot", symbol="SIM", interval="5m")


def prepared(place: Path) -> list[Decision]:
    """Write what the command needs; gives what a session in this process says."""
    of = spot()
    trained().bundles[0].save(place / "bundle")
    of[:START].to_polars().write_parquet(place / "history.parquet")
    live = session(None, START, candles=of[:START], rules=RULES, instrument=None, interval=None)
    return [live.on_bar(bar)._replace(decided_at=0, code="") for bar in of[START : START + 60]]


def ask(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> Decision:
    assert process.stdout is not None
    return Decision.from_json(process.stdout.readline())._replace(decided_at=0, code="")


def line(bar: bp.Bar) -> str:
    return json.dumps({"symbol": "SIM", **bar._asdict()})


@pytest.mark.timeout(280)
def test_stdin_sigterm_and_sigkill() -> None:
    of = spot()
    with folder() as place:
        want = prepared(place)
        got: list[Decision] = []
        with running(stdin_words(place), place) as process:
            for bar in of[START : START + 20]:
                ask(process, line(bar))
                got.append(answer(process))
            for bad in ("{", json.dumps({"symbol": "X", **of[START + 20]._asdict()}), "[1]"):
                ask(process, bad)
            ask(process, line(of[START + 20]))
            got.append(answer(process))
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
            assert (process.returncode, out) == (0, "")
            assert err.count("warning: refused: ") == 3
            assert "Traceback" not in err
        with running(stdin_words(place), place) as process:
            # A bar that was decided before the stop gives what was said then.
            ask(process, line(of[START + 20]))
            assert answer(process) == got[-1]
            for bar in of[START + 21 : START + 40]:
                ask(process, line(bar))
                got.append(answer(process))
            process.kill()
            process.wait(timeout=60)
        with running(stdin_words(place), place) as process:
            text = "".join(line(bar) + "\n" for bar in of[START + 40 : START + 60])
            out, err = process.communicate(text, timeout=120)
            got += [
                Decision.from_json(said)._replace(decided_at=0, code="")
                for said in out.splitlines()
            ]
            assert (process.returncode, err) == (0, "")
        assert got == want


@pytest.mark.timeout(280)
def test_input_of_which_every_line_is_refused_ends_with_2() -> None:
    """One line that fits, or none at all, is no error; SIGTERM ends with 0 whatever came before."""
    of = spot()
    bad = json.dumps({"symbol": "X", **of[START]._asdict()}) + "\n"
    with folder() as place:
        want = prepared(place)
        for text, code, refused in (
            ("", 0, 0),
            (bad * 2, 2, 2),
            (bad + line(of[START]) + "\n", 0, 1),
        ):
            with running(stdin_words(place), place) as process:
                out, err = process.communicate(text, timeout=120)
            assert process.returncode == code, err
            assert err.count("warning: refused: ") == refused
            errors = [one for one in err.splitlines() if one.startswith("error: ")]
            assert len(errors) == (code == 2)
            assert len(out.splitlines()) == (text != "" and code == 0)
        assert Decision.from_json(out)._replace(decided_at=0, code="") == want[0]
        with running(stdin_words(place, "--once"), place) as process:
            process.communicate(bad, timeout=120)
        assert process.returncode == 2
        with running(stdin_words(place), place) as process:
            ask(process, bad)
            assert process.stderr is not None
            assert process.stderr.readline().startswith("warning: refused: ")
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 0


@pytest.mark.timeout(280)
def test_two_symbols_trade_from_one_account() -> None:
    of = {name: spot()._replace(symbol=name) for name in ("SIM", "TWO")}
    limits: dict[str, Any] = {"account": "shared", "max_positions": 1, "max_gross": 0.5}
    with folder() as place:
        trained().bundles[0].save(place / "bundle")
        more: list[str] = ["--bundle", f"TWO={place / 'bundle'}", "--instrument", "spot"]
        for name, bars in of.items():
            bars[:START].to_polars().write_parquet(place / f"{name}.parquet")
            bars.to_polars().write_parquet(place / f"{name}_all.parquet")
            more += ["--from-history", f"{name}={place / name}.parquet"]
        more += ["--account", "shared", "--max-positions", "1", "--max-gross", "0.5"]
        with running(words(place, *more, "--interval", "5m"), place) as process:
            text = "".join(
                json.dumps({"symbol": name, **bars[j]._asdict()}) + "\n"
                for j in range(START, START + 60)
                for name, bars in of.items()
            )
            out, err = process.communicate(text, timeout=120)
        assert (process.returncode, err) == (0, "")
        got = [
            Decision.from_json(said)._replace(decided_at=0, code="") for said in out.splitlines()
        ]
        with bp.LiveSession(
            dict.fromkeys(of, trained().bundles[0]),
            RULES,
            costs=COSTS,
            state=place / "other",
            candles={name: bars[:START] for name, bars in of.items()},
            **limits,
        ) as live:
            want = [
                one._replace(decided_at=0, code="")
                for j in range(START, START + 60)
                for one in live.on_bar({name: bars[j] for name, bars in of.items()}).values()
            ]
        assert got == want
        # Both symbols say the same at the same time, and one position is all there may be.
        refused = bp.LiveLog.read(place / "state").events.filter(kind="refused")
        assert refused.height > 0
        parity = subprocess.run(
            [
                sys.executable, "-m", "barproof", "parity", str(place / "state"), "--json",
                *(w for name in of for w in ("--candles", f"{name}={place / name}_all.parquet")),
                "--bundle", str(place / "bundle"), "--instrument", "spot", "--interval", "5m",
            ],
            capture_output=True, text=True, check=False,
            env={**os.environ, "PYTHONPATH": str(Path(barproof.__file__).parents[1])},
        )  # fmt: skip
        # Too few bars to prove anything by, yet nothing differs.
        told = json.loads(parity.stdout)
        assert (told["first"], told["divergences"]) == (None, []), parity.stderr
        assert told["compared"]["decisions"] == 2 * 120  # the position and the equity after each


@pytest.mark.timeout(200)
def test_once_decides_one_bar_and_bad_options_are_one_line() -> None:
    of = spot()
    with folder() as place:
        want = prepared(place)
        with running(stdin_words(place, "--once"), place) as process:
            text = "".join(line(bar) + "\n" for bar in of[START : START + 3])
            out, err = process.communicate(text, timeout=120)
            (said,) = out.splitlines()
            assert Decision.from_json(said)._replace(decided_at=0, code="") == want[0]
            assert (process.returncode, err) == (0, "")
        with running(stdin_words(place, "--rule", "max_hold=5"), place) as process:
            out, err = process.communicate("", timeout=120)
            assert (process.returncode, out) == (2, "")
            assert err.startswith("error: state ")
            assert err.count("\n") == 1
            assert "was begun with rules max_hold=20, not 5" in err


class Server(ThreadingHTTPServer):
    """Plays the futures API of an exchange, as much of it as ccxt asks for closed bars."""

    daemon_threads = True

    def __init__(self, of: bp.Candles, upto: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.of, self.upto, self.failures, self.asked = of, upto, 2, 0


class Handler(BaseHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.endswith("/klines"):
            self.server.asked += 1
            if self.server.failures:
                self.server.failures -= 1
                return self.reply({"code": -1001, "msg": "Internal error"}, 503)
            of = self.server.of
            since = int(query.get("startTime", 0))
            rows = [
                [b.open_time, *map(repr, b[1:6]), b.open_time + 299_999, "0", 1, "0", "0", "0"]
                for b in of[: self.server.upto]
                if b.open_time >= since
            ]
            return self.reply(rows[: int(query.get("limit", 500))])
        if url.path.endswith("/time"):
            return self.reply(
                {"serverTime": self.server.of[self.server.upto - 1].open_time + 1_000}
            )
        if url.path.endswith("/exchangeInfo"):
            return self.reply(
                {"symbols": [MARKET], "serverTime": 0, "rateLimits": [], "timezone": "UTC"}
            )
        return self.reply([])

    def reply(self, told: Any, status: int = 200) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


MARKET = {
    "symbol": "SIMUSDT", "pair": "SIMUSDT", "contractType": "PERPETUAL", "status": "TRADING",
    "baseAsset": "SIM", "quoteAsset": "USDT", "marginAsset": "USDT", "pricePrecision": 4,
    "quantityPrecision": 3, "baseAssetPrecision": 8, "quotePrecision": 8, "orderTypes": ["LIMIT"],
    "deliveryDate": 4133404800000, "onboardDate": 1500000000000, "underlyingType": "COIN",
    "timeInForce": ["GTC"],
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.0001", "maxPrice": "100000", "tickSize": "0.0001"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "100000", "stepSize": "0.001"},
    ],
}  # fmt: skip


@pytest.mark.timeout(280)
def test_an_exchange_is_polled_for_closed_bars() -> None:
    """Through ccxt itself, against a server that fails at first and shows the forming bar too."""
    pytest.importorskip("ccxt")
    of = spot()
    with folder() as place:
        want = prepared(place)
        server = Server(of, START + 31)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            url = f"http://127.0.0.1:{server.server_address[1]}"
            more = (
                "--exchange",
                "binanceusdm",
                "--exchange-url",
                url,
                "--market",
                "SIM=SIM/USDT:USDT",
                "--once",
            )
            with running(stdin_words(place, *more), place) as process:
                out, err = process.communicate(timeout=240)
                assert process.returncode == 0, err
                got = [
                    Decision.from_json(said)._replace(decided_at=0, code="")
                    for said in out.splitlines()
                ]
            # The machine's clock is years ahead of the server's bars: all that it gives have closed.
            assert got == want[:31]
            assert server.asked >= 3
            assert "try 2 of 8" in err
        finally:
            server.shutdown()
            server.server_close()
    assert COSTS.taker == 0.0005
