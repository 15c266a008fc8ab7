"""A read-only folder, a full disk, the state of something else, malformed lines: one error, and the state stays."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from pathlib import Path

import pytest

import barproof as bp
from barproof.live.decision import Decision
from barproof.live.state import FILE, Store
from tests.faults.places import mounted, remount
from tests.live.market import RULES, candles, folder, session, trained
from tests.live.test_command import START, answer, ask, line, prepared, running, spot, stdin_words
from tests.live.test_session import rows


def plain(bars: int) -> list[Decision]:
    live = session(None, START)
    return [live.on_bar(bar)._replace(decided_at=0) for bar in candles()[START : START + bars]]


def contents(state: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(state.iterdir())
        if not path.name.endswith("-shm")
    }


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """Nothing is decided on a full disk; with room made the same session goes on, and so does a new one."""
    of = candles()
    want = plain(40)
    with mounted(tmp_path / "disk", "size=2m") as disk:
        live = session(disk / "state", START)
        got = [live.on_bar(bar)._replace(decided_at=0) for bar in of[START : START + 10]]
        with contextlib.suppress(OSError), (disk / "other").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))

        def until_it_fails() -> None:
            for bar in of[START + 10 : START + 40]:
                got.append(live.on_bar(bar)._replace(decided_at=0))

        with pytest.raises(bp.FileError, match=r"cannot be (written|read)") as caught:
            until_it_fails()
        at = START + len(got)
        assert "\n" not in str(caught.value)
        (disk / "other").unlink()
        assert rows(disk / "state", "SELECT max(open_time) FROM decisions") == [
            (of[at - 1].open_time * 1000,)
        ]
        live.close()
        live = session(disk / "state", START)
        assert live.last["SIM"] == of[at - 1].open_time
        got += [live.on_bar(bar)._replace(decided_at=0) for bar in of[at : START + 40]]
        live.close()
        assert got == want


def test_a_read_only_folder_is_one_error_and_nothing_is_touched(tmp_path: Path) -> None:
    of = candles()
    with mounted(tmp_path / "disk", "size=8m") as disk:
        live = session(disk / "state", START)
        for bar in of[START : START + 5]:
            live.on_bar(bar)
        live.close()
        before = contents(disk / "state")
        remount(disk, "ro")
        for state in (disk / "state", disk / "other"):
            with pytest.raises(bp.FileError, match=r"writeable|written") as caught:
                session(state, START)
            assert "\n" not in str(caught.value)
        assert contents(disk / "state") == before
        remount(disk, "rw")
        live = session(disk / "state", START)
        got = [live.on_bar(bar)._replace(decided_at=0) for bar in of[START : START + 10]]
        live.close()
        assert [d._replace(decided_at=0) for d in got] == plain(10)


def test_a_folder_that_becomes_read_only_while_it_runs(tmp_path: Path) -> None:
    of = candles()
    with mounted(tmp_path / "disk", "size=8m") as disk:
        live = session(disk / "state", START)
        got = [live.on_bar(bar)._replace(decided_at=0) for bar in of[START : START + 5]]
        live.close()
        remount(disk, "ro")
        with pytest.raises(bp.FileError):
            session(disk / "state", START)
        remount(disk, "rw")
        live = session(disk / "state", START)
        got += [live.on_bar(bar)._replace(decided_at=0) for bar in of[START + 5 : START + 10]]
        live.close()
        assert got == plain(10)


def test_the_state_of_another_bundle_is_refused_and_stays() -> None:
    of = candles()
    with folder() as place:
        live = session(place / "state", START)
        for bar in of[START : START + 5]:
            live.on_bar(bar)
        live.close()
        before = contents(place / "state")
        for changes, kind, text in (
            ({"bundle": trained().bundles[1]}, bp.BundleError, "is of another bundle"),
            ({"rules": RULES.replace(max_hold=7)}, bp.ParameterError, "max_hold=20, not 7"),
            ({"costs": bp.Costs(taker=0.001)}, bp.ParameterError, "taker"),
            ({"symbol": "OTHER"}, bp.BarproofError, "OTHER|another"),
        ):
            with pytest.raises(kind, match=text) as caught:
                session(place / "state", START, **changes)
            assert "\n" not in str(caught.value)
        assert contents(place / "state") == before
        live = session(place / "state", START)
        assert live.on_bar(of[START + 5])._replace(decided_at=0) == plain(6)[-1]
        live.close()


BAD = (
    "no json at all",
    "[1, 2]",
    "{}",
    '{"open_time": 1}',
    '{"open_time": "2024-13-45T99:00:00Z", "open": 1, "high": 1, "low": 1, "close": 1, "volume": 1}',
    '{"open": 1, "open": 2}',
    '{"symbol": "SIM", "open_time": %d, "open": NaN, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": %d, "open": -1, "high": 2, "low": -2, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": %d, "open": 1, "high": 2, "low": 3, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": %d, "open": "1", "high": [], "low": {}, "close": null, "volume": 1}',
    '{"symbol": "SIM", "open_time": %d, "open": 1e999, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "OTHER", "open_time": %d, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "interval": "1h", "open_time": %d, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "interval": "x", "open_time": %d, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": 99999999999999, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": 999999999999999999999, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"symbol": "SIM", "open_time": true, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"funding_time": "soon", "funding_rate": 0.1}',
    '{"funding_time": 1700000000000, "funding_rate": "much"}',
    '{"fill": "long", "price": 1, "quantity": 1}',
    '{"fill": "buy", "price": "x", "quantity": null}',
    '{"server_time": "noon", "open_time": %d, "open": 1, "high": 2, "low": 1, "close": 1, "volume": 1}',
    '{"a":' * 2_000,
    "\\ud800 \x00 \x7f",
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("sign", [b"\xc9", b"`"])
def test_harmed_tables_are_one_line_and_an_error_of_ours(tmp_path: Path, sign: bytes) -> None:
    """SQLite quotes what it cannot make sense of: bytes that are no text ended the reading."""
    Store(tmp_path).close()
    path = tmp_path / FILE
    whole = path.read_bytes()
    at = whole.index(b"CREATE TABLE ") + len(b"CREATE ")
    path.write_bytes(whole[:at] + sign + whole[at + 1 :])
    for read in (lambda: Store(tmp_path), lambda: bp.LiveLog.read(tmp_path)):
        with pytest.raises(bp.FileError, match=r"cannot be (written|read)") as caught:
            read()
        assert str(caught.value).isprintable()


def test_a_column_by_another_name_is_seen(tmp_path: Path) -> None:
    """A turned byte in the name of a column read as a log without that column: no digest held the tables."""
    session(tmp_path, START).close()
    assert bp.LiveLog.read(tmp_path).decisions.is_empty()
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"feature_digest TEXT", b"geature_digest TEXT"))
    for read in (lambda: bp.LiveLog.read(tmp_path), lambda: session(tmp_path, None)):
        with pytest.raises(bp.FileError, match="the rows of `tables` are not as they were written"):
            read()


def test_an_index_that_passes_a_row_over_is_seen(tmp_path: Path) -> None:
    """Bars since a checkpoint are found by an index; a turned byte in it hid one, and no digest covers indexes."""
    live = session(tmp_path, START)
    for bar in candles()[START : START + 12]:
        live.on_bar(bar)
    live.close()
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as base:
        base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = base.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_bars_1'"
        ).fetchone()
        (size,) = base.execute("PRAGMA page_size").fetchone()
    path = tmp_path / FILE
    whole = bytearray(path.read_bytes())
    last = (candles()[START + 11].open_time * 1000).to_bytes(8, "big").lstrip(b"\0")
    at = whole.index(last, (page - 1) * size, page * size)
    whole[at + len(last) - 1] ^= 1
    path.write_bytes(whole)
    with pytest.raises(bp.FileError, match=r"cannot be read: .*sqlite_autoindex_bars_1.*; restore"):
        session(tmp_path, None)


def test_malformed_lines_are_one_line_each_and_decide_nothing() -> None:
    """Good bars in between are decided as if nothing else had come; each bad line is one line on stderr."""
    with folder() as place:
        want = prepared(place)
        of = spot()
        bars = list(of[START : START + 3])
        with running(stdin_words(place), place) as process:
            got = []
            for bar in bars:
                for text in BAD:
                    ask(process, text % bar.open_time if "%d" in text else text)
                ask(process, line(bar))
                got.append(answer(process))
            assert process.stdin is not None
            out, err = process.communicate()
        assert process.returncode == 0
        assert out.strip() == ""
        assert [d._replace(decided_at=0) for d in got] == [
            d._replace(decided_at=0) for d in want[: len(got)]
        ]
        refused = [text for text in err.splitlines() if "refused:" in text]
        assert len(refused) == len(BAD) * len(bars), err
        assert "Traceback" not in err
        assert rows(place / "state", "SELECT count(*) FROM decisions") == [(len(bars),)]
        assert rows(place / "state", "SELECT count(*) FROM events WHERE kind = 'fill'") == [(0,)]
