"""``barproof fetch`` against an archive and an exchange on this machine, good ones and all kinds of bad ones."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import barproof as bp
from barproof.cli.fetching import web as web_module

from . import servers
from .conftest import Run
from .servers import Server, archive_of, checksum, market, ms, serving, zipped

ABC = ["ABCUSDT", "-i", "perpetual", "--interval", "1h"]
SPAN = ["--start", "2024-01-03", "--end", "2024-02-09T07:00"]
JANUARY = "data/futures/um/monthly/klines/ABCUSDT/1h/ABCUSDT-1h-2024-01"
FEBRUARY = tuple(f"2024-02-{day:02}" for day in range(1, 10))
NAME = "abcusdt_perpetual_1h"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between tries are counted in other tests; here they would only be waited for."""
    plain = web_module.Web.__init__

    def init(self: Any, *args: Any, **options: Any) -> None:
        plain(self, *args, **{"sleep": lambda _: None, **options})

    monkeypatch.setattr(web_module.Web, "__init__", init)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(archive_of(market(), months=("2024-01",), days=FEBRUARY)) as made:
        yield made


def words(server: Server, *more: str) -> list[str]:
    return [
        "fetch",
        *ABC,
        *SPAN,
        "--archive",
        "binance",
        "--archive-url",
        server.url,
        "--pause",
        "0",
        *more,
    ]


def read(folder: str = ".", **options: Any) -> bp.Candles:
    """Read what was fetched, as it is."""
    path = Path(folder)
    return bp.read_candles(
        path / f"{NAME}.parquet",
        instrument="perpetual",
        funding=path / f"{NAME}_funding.parquet",
        **options,
    )


def same(got: bp.Candles, want: bp.Candles) -> None:
    for name in ("open_time", "open", "high", "low", "close", "volume"):
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)


def paid(candles: bp.Candles) -> pl.DataFrame:
    """Settlements within the span of the candles."""
    assert candles.funding is not None
    return candles.funding.filter(
        pl.col("funding_time").is_between(candles.start, candles.end, closed="left")
    )


def test_an_archive_becomes_candles_with_funding(run: Run, server: Server) -> None:
    code, out, err = run(*words(server))
    assert code == 0, err
    want = market()["2024-01-03":"2024-02-09T07:00"]
    got = read()
    same(got, want)
    assert (got.symbol, got.interval, got.holes().height) == ("ABCUSDT", "1h", 0)
    np.testing.assert_array_equal(
        got.extra["taker_buy_volume"], want.to_polars()["taker_buy_volume"].to_numpy()
    )
    # Settlements come by whole months: those of February are not there yet, and that is said.
    told = paid(want).filter(pl.col("funding_time") < pl.datetime(2024, 2, 1, time_zone="UTC"))
    assert paid(got).equals(told)
    assert "warning: no funding from 2024-02-01 00:00 to 2024-02-09 07:00 in the source" in err
    assert "holes    none" in out
    # The month is one file, each day after it another; the checksum of each was asked for.
    files = [path for path in server.asked if path.endswith(".zip")]
    assert len([f for f in files if "/daily/" in f]) == 9
    assert [f"/{JANUARY}.zip"] == [f for f in files if "klines" in f and "2024-01" in f]
    assert server.asked.count(f"/{JANUARY}.zip.CHECKSUM") == 1
    record = json.loads(Path(f"{NAME}.fetch.json").read_text())
    assert len(record["parts"]) == 11
    assert (
        record["parts"][0]["source_sha256"]
        == checksum("", server.files[f"/{JANUARY}.zip"]).decode().split()[0]
    )
    assert sorted(os.listdir()) == [
        ".fetch",
        f"{NAME}.fetch.json",
        f"{NAME}.parquet",
        f"{NAME}_funding.parquet",
    ]


def test_files_without_header_and_in_microseconds(run: Run) -> None:
    files = archive_of(market(), folder="spot", months=("2024-01",), header=False, micro=True)
    with serving(files) as server:
        spot = ["fetch", "ABCUSDT", "-i", "spot", "--interval", "1h", "--start", "2024-01-01"]
        source = ["--end", "2024-02-01", "--archive", "binance", "--archive-url", server.url]
        code, _, err = run(*spot, *source)
        assert code == 0, err
        same(bp.read_candles("abcusdt_spot_1h.parquet", instrument="spot"), market()[: 31 * 24])
        assert not [path for path in server.asked if "fundingRate" in path]


def test_again_asks_for_nothing_and_a_later_end_for_what_is_new(
    run: Run, run_json: Callable[..., tuple[int, Any]], server: Server
) -> None:
    short = words(server)
    short[short.index("2024-02-09T07:00")] = "2024-02-05"
    assert run(*short)[0] == 0
    before = Path(f"{NAME}.parquet").read_bytes()
    server.asked.clear()
    code, document = run_json(*short)
    assert (code, document["fetched"], document["kept"]) == (0, 0, 6)
    # Only the month of settlements that was not there is asked for once more.
    assert {path for path in server.asked if "2024-02" not in path} == set()
    assert Path(f"{NAME}.parquet").read_bytes() == before
    code, document = run_json(*words(server))
    assert (code, document["fetched"], document["kept"]) == (0, 5, 6)
    same(read(), market()["2024-01-03":"2024-02-09T07:00"])


def test_a_part_that_was_damaged_on_disk_is_fetched_again(
    run: Run, run_json: Callable[..., tuple[int, Any]], server: Server
) -> None:
    assert run(*words(server))[0] == 0
    (part,) = Path(".fetch").glob("*/candles-2024-01.parquet")
    part.write_bytes(part.read_bytes()[:-9])
    Path(next(Path(".fetch").glob("*/candles-2024-02-03.json"))).write_text("{")
    code, document = run_json(*words(server))
    assert (code, document["fetched"]) == (0, 2)
    same(read(), market()["2024-01-03":"2024-02-09T07:00"])


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_after_a_kill_the_same_command_goes_on(
    server: Server, tmp_path: Path, how: signal.Signals
) -> None:
    def slow(handler: servers.Handler, body: bytes) -> None:
        time.sleep(0.15)
        handler.say(200 if body else 404, body)

    server.faults["CHECKSUM"] = [slow] * 20
    command = [sys.executable, "-m", "barproof", *words(server, "--out", str(tmp_path))]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("2024-02-03"):
            break
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert out == ""
    if how == signal.SIGINT:
        assert process.returncode == 130
        assert "parts are kept in" in err
    # Nothing but whole parts is there.
    assert [path.name for path in tmp_path.iterdir()] == [".fetch"]
    assert not list(tmp_path.rglob("*.tmp")) or how == signal.SIGKILL
    server.asked.clear()
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"/{JANUARY}.zip" not in server.asked
    assert not [path for path in server.asked if "2024-02-02" in path]
    same(read(str(tmp_path)), market()["2024-01-03":"2024-02-09T07:00"])


@pytest.mark.parametrize(
    "fault",
    [
        servers.status(503),
        servers.status(500),
        servers.status(429, Retry_After="3"),
        servers.status(418),
        servers.truncate,
        servers.corrupt,
        servers.hang_up,
    ],
    ids=["503", "500", "429", "418", "truncated", "corrupted", "hung up"],
)
def test_what_passes_is_tried_again(run: Run, server: Server, fault: servers.Fault) -> None:
    server.faults["2024-01.zip"] = [fault, fault]
    code, _, err = run(*words(server))
    assert code == 0, err
    assert f"{JANUARY}.zip: " in err
    assert "try 3 of 6" in err
    same(read(), market()["2024-01-03":"2024-02-09T07:00"])


def failing(run: Run, server: Server, message: str, *more: str) -> str:
    """The command must end with 2, one line of error, and no file but whole parts."""
    code, out, err = run(*words(server, *more))
    assert (code, out) == (2, "")
    (last,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert message in last, last
    assert [name for name in os.listdir() if name != ".fetch"] == []
    assert not list(Path().rglob("*.tmp"))
    return err


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (servers.truncate, "could not be fetched in 3 tries: cut short: "),
        (servers.corrupt, "could not be fetched in 3 tries: its SHA-256 is "),
        (servers.status(502), "could not be fetched in 3 tries: status 502"),
        (servers.hang_up, "could not be fetched in 3 tries: "),
        (servers.status(451), "is refused with status 451"),
        (servers.status(403), "is refused with status 403"),
        (servers.status(429, Retry_After="7200"), "may be asked for again in 7,200 s only"),
        (servers.huge, "is larger than the "),
        (servers.endless, "is larger than the "),
        (servers.moved("http://other.invalid/x.zip"), "redirects to 'http://other.invalid/x.zip'"),
        (servers.moved("file:///etc/passwd"), "is refused with status 302"),
    ],
    ids=[
        "truncated",
        "corrupted",
        "502",
        "hung up",
        "451",
        "403",
        "429",
        "huge",
        "endless",
        "host",
        "file",
    ],
)
def test_what_does_not_pass_is_one_line(
    run: Run, server: Server, fault: servers.Fault, message: str
) -> None:
    server.faults["2024-02-04.zip"] = [fault] * 3
    failing(run, server, message, "--attempts", "3")
    # What came before is kept; when the host is well again the same command goes on there.
    server.faults.clear()
    server.asked.clear()
    code, _, err = run(*words(server))
    assert code == 0, err
    assert f"/{JANUARY}.zip" not in server.asked
    same(read(), market()["2024-01-03":"2024-02-09T07:00"])


def test_silence_and_dripping_are_given_up(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.faults["2024-01.zip"] = [servers.silence]
    began = time.monotonic()
    failing(
        run,
        server,
        "could not be fetched in 1 tries: timed out",
        "--timeout",
        "0.3",
        "--attempts",
        "1",
    )
    assert time.monotonic() - began < 10
    plain = web_module.Web.__init__
    monkeypatch.setattr(
        web_module.Web,
        "__init__",
        lambda self, *a, **k: plain(self, *a, **{**k, "slowest": 0.3}),
    )
    server.faults["2024-01.zip"] = [servers.drip]
    failing(run, server, "slower than 0.3 s", "--attempts", "1")


def test_redirects_within_the_host_are_followed(run: Run, server: Server) -> None:
    server.files["/elsewhere.zip"] = server.files[f"/{JANUARY}.zip"]
    server.faults["2024-01.zip"] = [servers.moved(f"{server.url}/elsewhere.zip")]
    assert run(*words(server))[0] == 0
    same(read(), market()["2024-01-03":"2024-02-09T07:00"])


def packed(server: Server, data: bytes, path: str = JANUARY) -> None:
    """Put another file into the archive, with the checksum that it has."""
    server.files[f"/{path}.zip"] = data
    server.files[f"/{path}.zip.CHECKSUM"] = checksum(f"{path.rpartition('/')[2]}.zip", data)


def test_a_zip_bomb_is_not_unpacked(run: Run, server: Server) -> None:
    bomb = zipped("ABCUSDT-1h-2024-01.csv", b"1," * 20_000_000)
    assert len(bomb) < 100_000
    packed(server, bomb)
    failing(run, server, "unpacks to more than the 446,464 bytes")


def test_names_in_a_zip_are_no_paths(run: Run, server: Server, tmp_path: Path) -> None:
    for name in (
        "../../slipped.csv",
        "/tmp/slipped.csv",
        "ABCUSDT-1h-2024-02.csv",
        "x\\..\\slipped.csv",
    ):
        packed(server, zipped(name, "1,1,1,1,1,1\n"))
        failing(run, server, "must hold ABCUSDT-1h-2024-01.csv alone")
    assert not list(tmp_path.parent.rglob("slipped*"))
    assert not Path("/tmp/slipped.csv").exists()
    packed(server, zipped("ABCUSDT-1h-2024-01.csv", "1", kind=zipfile.ZIP_LZMA))
    failing(run, server, "stored or deflated")
    packed(server, b"PK no zip")
    failing(run, server, "is no zip file that can be unpacked")
    whole = archive_of(market(), months=("2024-01",))[f"/{JANUARY}.zip"]
    packed(server, whole[:60] + bytes([whole[60] ^ 0xFF]) + whole[61:])
    failing(run, server, "is no zip file that can be unpacked")


def test_a_table_that_is_none(run: Run, server: Server) -> None:
    packed(server, zipped("ABCUSDT-1h-2024-01.csv", "<html>moved</html>\n"))
    failing(run, server, "cannot be read as candles")
    packed(server, zipped("ABCUSDT-1h-2024-01.csv", "a,b\n1,2\n"))
    failing(run, server, "lacks columns open_time")
    late = market("2024-02-01", 5).to_polars()
    packed(server, zipped("ABCUSDT-1h-2024-01.csv", servers.klines(late, header=True)))
    failing(run, server, "holds no row of 2024-01: it is another file than its name says")


def test_a_checksum_is_never_done_without(run: Run, server: Server) -> None:
    whole = server.files.pop(f"/{JANUARY}.zip.CHECKSUM")
    failing(run, server, "has no checksum beside it, and is not taken on trust")
    for text in (b"", b"0" * 64, b"0" * 64 + b"  other.zip", b"\xff" * 80, b"z" + whole[1:]):
        server.files[f"/{JANUARY}.zip.CHECKSUM"] = text
        failing(run, server, "must hold 64 hexadecimal digits and the name ABCUSDT-1h-2024-01.zip")
    server.files[f"/{JANUARY}.zip.CHECKSUM"] = b"0" * 64 + b"  ABCUSDT-1h-2024-01.zip"
    failing(run, server, "its checksum says 000000000000...")


def test_holes_are_told(run: Run, run_json: Callable[..., tuple[int, Any]]) -> None:
    frame = market().to_polars()
    kept = frame.filter(
        ~pl.col("open_time").dt.to_string("%Y-%m-%d %H").is_in(["2024-01-20 05", "2024-01-20 06"])
    )
    files = archive_of(market(), months=("2024-01",))
    with serving(files) as server:
        packed(server, zipped("ABCUSDT-1h-2024-01.csv", servers.klines(kept[:742], header=True)))
        source = ["--archive", "binance", "--archive-url", server.url]
        code, out, err = run("fetch", *ABC, "--start", "2024-01-01", "--end", "2024-02-01", *source)
        assert code == 0, err
        assert "holes    1 (2 bars absent)" in out
        assert "warning hole" in out
        # A day that nobody has is a hole of 24 hours, which is an error of the data: exit code 1, the file is there.
        server.files = archive_of(
            market(), days=tuple(d for d in FEBRUARY if "05" not in d and "06" not in d)
        )
        late = ["--start", "2024-02-01", "--end", "2024-02-10", "--funding", "none", *source]
        code, document = run_json("fetch", *ABC, *late)
        assert code == document["exit_code"] == 1
        assert document["absent"]["candles"] == [["2024-02-05 00:00", "2024-02-07 00:00"]]
        assert "long_hole" in {fault["code"] for fault in document["check"]["faults"]}
        assert "--repair longest_segment" in document["check"]["remedy"]


def test_a_market_that_nobody_has(run: Run) -> None:
    with serving({}) as server:
        failing(run, server, "nothing of ABCUSDT at 1h is in archive http://127.0.0.1")
        # Two months of nothing: not sixty days of asking.
        assert len(server.asked) <= 2 * 2 * 2 * 2 + 4 * 9
        assert os.listdir() == []


def test_files_of_others_are_not_written_over(run: Run, server: Server) -> None:
    Path(f"{NAME}.parquet").write_text("mine")
    code, _, err = run(*words(server))
    assert code == 2
    assert "is there and was not fetched: move it away" in err
    assert server.asked == []
    assert Path(f"{NAME}.parquet").read_text() == "mine"


def test_a_write_that_fails_changes_nothing(
    run: Run, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*words(server))[0] == 0
    before = {path.name: path.read_bytes() for path in Path().glob("abc*")}
    short = words(server)
    short[short.index("2024-01-03")] = "2024-01-05"

    def full(self: Any, *_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    code, _, err = run(*short)
    assert code == 2
    assert "No space left on device" in err
    assert {path.name: path.read_bytes() for path in Path().glob("abc*")} == before
    assert not list(Path().rglob("*.tmp"))


def exchange(url: str, *more: str) -> list[str]:
    words = ["fetch", *ABC, "--exchange", "binanceusdm", "--exchange-url", url]
    return [*words, "--market", "ABC/USDT:USDT", *more]


@pytest.mark.timeout(120)
def test_an_exchange_gives_closed_bars_and_settlements(run: Run) -> None:
    """Through ccxt itself: pages of its own size, and a last bar that is still forming."""
    pytest.importorskip("ccxt")
    now = ms("2024-02-05T10:30")
    with serving({}) as server:
        server.answer = servers.exchange_of(market(), now)
        code, _, err = run(*exchange(server.url, "--start", "2024-01-03"))
        assert code == 0, err
        want = market()["2024-01-03":"2024-02-05T10:00"]
        got = read()
        same(got, want)
        assert paid(got).equals(paid(want))
        # An hour later the month that is under way is asked for again, the one before is not.
        server.answer = servers.exchange_of(market(), now + HOUR)
        server.asked.clear()
        assert run(*exchange(server.url, "--start", "2024-01-03"))[0] == 0
        same(read(), market()["2024-01-03":"2024-02-05T11:00"])
        assert len([path for path in server.asked if path.endswith("/klines")]) == 1


HOUR = servers.HOUR


@pytest.mark.timeout(120)
def test_a_bar_that_comes_late_is_not_held_for_absent(run: Run) -> None:
    pytest.importorskip("ccxt")
    now = ms("2024-01-05T10:30")
    with serving({}) as server:
        # The clock says 10:30, but the bar of 9:00 is not served yet.
        behind = servers.exchange_of(market(), now - 2 * HOUR)
        clock = servers.exchange_of(market(), now)
        server.answer = lambda path, query: (clock if path.endswith("/time") else behind)(
            path, query
        )
        assert run(*exchange(server.url, "--start", "2024-01-03"))[0] == 0
        assert len(read()) == 2 * 24 + 9
        server.answer = clock
        assert run(*exchange(server.url, "--start", "2024-01-03"))[0] == 0
        same(read(), market()["2024-01-03":"2024-01-05T10:00"])


@pytest.mark.timeout(120)
def test_the_exchange_gives_what_the_archive_has_not_yet(run: Run) -> None:
    pytest.importorskip("ccxt")
    now = ms("2024-02-05T10:30")
    files = archive_of(market(), months=("2024-01",), days=FEBRUARY[:3])
    with serving(files) as server:
        server.answer = servers.exchange_of(market(), now)
        source = ["--archive", "binance", "--archive-url", f"{server.url}", "--pause", "0"]
        plain = server.answer
        server.answer = lambda path, query: (
            None if path.startswith("/data/") else plain(path, query)
        )
        code, _, err = run(*exchange(server.url, "--start", "2024-01-03", *source))
        assert code == 0, err
        want = market()["2024-01-03":"2024-02-05T10:00"]
        got = read()
        same(got, want)
        assert paid(got).equals(paid(want))
        # The exchange tells less of a bar than the archive: undefined there, not invented.
        assert np.isnan(got.extra["taker_buy_volume"][-1])
        assert got.extra["taker_buy_volume"][0] > 0
        record = json.loads(Path(f"{NAME}.fetch.json").read_text())
        told = {part["source"].split()[0] for part in record["parts"]}
        assert told == {"archive", "exchange"}


@pytest.mark.timeout(120)
def test_an_exchange_that_fails_is_asked_again_and_one_that_refuses_is_not(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ccxt")
    from barproof.live import feed

    plain = feed.CcxtFeed.__init__
    monkeypatch.setattr(
        feed.CcxtFeed,
        "__init__",
        lambda self, *a, **k: plain(self, *a, **{**k, "sleep": lambda _: None}),
    )
    with serving({}) as server:
        server.answer = servers.exchange_of(market(), ms("2024-02-05T10:30"))
        server.faults["/klines"] = [servers.status(503), servers.hang_up, servers.status(502)]
        span = ["--start", "2024-02-01"]
        code, _, err = run(*exchange(server.url, *span))
        assert code == 0, err
        assert "try 4 of 6" in err
        server.faults["/klines"] = [servers.status(503)] * 9
        code, _, err = run(*exchange(server.url, *span, "--out", "other", "--attempts", "2"))
        assert code == 2
        assert "exchange does not give bars of ABCUSDT after 2 tries" in err
        assert not Path("other").exists() or os.listdir("other") == [".fetch"]
        code, _, err = run(*exchange(server.url, *span, "--market", "NO/SUCH", "--out", "other"))
        assert code == 2
        assert "exchange refuses bars of ABCUSDT: BadSymbol" in err
