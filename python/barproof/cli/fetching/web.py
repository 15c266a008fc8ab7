"""Files of one host: tried again where that may help, never longer, larger or elsewhere than allowed.

What comes from the net is not trusted: an answer has a size that it may reach and a time that it may take, a redirect
may not leave the host, and only http and https are spoken. What the caller's judge calls damaged (a checksum that does
not fit, a file that was cut short) is asked for again like a connection that broke.
"""

from __future__ import annotations

import email.utils
import http.client
import random
import ssl
import time as clocks
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import IO, Any, TypeVar
from urllib.parse import quote, urlsplit

from barproof._core import __version__
from barproof.errors import ConfigError, FileError

__all__ = ["DamagedError", "Web"]

Judged = TypeVar("Judged")

_CHUNK = 65_536
_LATER = frozenset((408, 418, 425, 429))
"""Answers below 500 that ask to come again: too slow, too early, too often (418 is how one exchange says it)."""
_ABSENT = frozenset((404, 410))


class DamagedError(Exception):
    """What came is not what was sent, or nothing came; asking again may help, after some seconds."""

    def __init__(self, why: str, after: float = 0.0) -> None:
        super().__init__(why)
        self.after = after


class _OutsideError(Exception):
    """A redirect that leaves the host."""


def _place(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of an address."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects inside of the host alone, and few of them."""

    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Follow, or refuse."""
        if _place(newurl) != _place(req.full_url):
            raise _OutsideError(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Web:
    """Files below one address.

    Parameters
    ----------
    base : str
        Address that paths are joined to; http or https.
    attempts : int, default 6
        Tries of one file.
    timeout : float, default 30.0
        Seconds of silence after which a try is given up.
    slowest : float, default 300.0
        Seconds that one try may take in all, so that a host cannot drip.
    pause : float, default 0.1
        Least seconds from one request to the next.
    first_wait, longest_wait : float
        Seconds between tries: doubled each time, with a share of chance, up to the longest. A host that asks for more
        (``Retry-After``) is given it up to the longest, and left alone where it asks for more than that.
    say : callable
        Told of every try that failed, one line.
    """

    def __init__(
        self,
        base: str,
        *,
        attempts: int = 6,
        timeout: float = 30.0,
        slowest: float = 300.0,
        pause: float = 0.1,
        first_wait: float = 0.5,
        longest_wait: float = 120.0,
        say: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = clocks.sleep,
        clock: Callable[[], float] = clocks.monotonic,
        opener: Any = None,
    ) -> None:
        parts = urlsplit(base)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"`--archive-url` must begin with https:// or http:// and name a host, was {base!r}"
            )
        self.base = base.rstrip("/")
        self._attempts, self._timeout, self._slowest = attempts, timeout, slowest
        self._pause, self._first, self._longest = pause, first_wait, longest_wait
        self._say, self._sleep, self._clock = say, sleep, clock
        self._opener = opener or urllib.request.build_opener(_Redirects())
        self._jitter = random.Random(0)
        self._before: float | None = None
        self.requests = 0

    def get(
        self, path: str, *, most: int, judge: Callable[[bytes], Judged]
    ) -> tuple[str, Judged] | None:
        """Ask for a file until it is there and whole.

        Parameters
        ----------
        path : str
            Below the base; quoted here.
        most : int
            Bytes that it may have.
        judge : callable
            Turns the bytes into what is given back, or raises `DamagedError`.

        Returns
        -------
        tuple of (str, object) or None
            Its address and what the judge made of it; None where the host has no such file.

        Raises
        ------
        FileError
            If the host refuses, sends elsewhere or too much, or never answers with something whole.
        """
        url = f"{self.base}/{quote(path)}"
        wait = self._first
        for attempt in range(1, self._attempts + 1):
            try:
                return self._try(url, most, judge)
            except DamagedError as error:
                if attempt == self._attempts:
                    raise FileError(
                        f"{url} could not be fetched in {attempt} tries: {error}; start again, what was fetched is kept"
                    ) from error
                pause = max(wait * (1.0 + 0.25 * self._jitter.random()), error.after)
                again = f"try {attempt + 1} of {self._attempts} in {pause:.1f} s"
                self._say(f"{url}: {error}; {again}")
            self._sleep(pause)
            wait = min(2.0 * wait, self._longest)
        raise AssertionError

    def _try(
        self, url: str, most: int, judge: Callable[[bytes], Judged]
    ) -> tuple[str, Judged] | None:
        """Ask once; `DamagedError` where asking again may help."""
        self._keep_apart()
        try:
            return url, judge(self._read(url, most))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _ABSENT:
                return None
            if error.code < 500 and error.code not in _LATER:
                raise FileError(
                    f"{url} is refused with status {error.code}: look at the address, or whether its host serves your "
                    "country"
                ) from error
            after = _asked_wait(error.headers.get("Retry-After"))
            if after > self._longest:
                raise FileError(
                    f"{url} may be asked for again in {after:,.0f} s only (status {error.code}): start again then, "
                    "what was fetched is kept"
                ) from error
            raise DamagedError(f"status {error.code}", after) from error
        except _OutsideError as error:
            raise FileError(
                f"{url} redirects to {str(error)[:120]!r}, outside of its host, which is not followed: name that host "
                "with `--archive-url` if you trust it"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            cause = getattr(error, "reason", error)
            if isinstance(cause, ssl.SSLCertVerificationError):
                raise FileError(
                    f"{url} has a certificate that does not verify ({cause.verify_message}): look at the clock and the "
                    "proxy of this machine"
                ) from error
            raise DamagedError(
                " ".join(str(cause).split())[:160] or type(cause).__name__
            ) from error

    def _keep_apart(self) -> None:
        """Wait until the host may be asked again."""
        if self._before is not None:
            left = self._before + self._pause - self._clock()
            if left > 0:
                self._sleep(left)
        self._before = self._clock()
        self.requests += 1

    def _read(self, url: str, most: int) -> bytes:
        """Read one answer within its bounds of size and time."""
        request = urllib.request.Request(url, headers={"User-Agent": f"barproof/{__version__}"})
        began = self._clock()
        with self._opener.open(request, timeout=self._timeout) as answer:
            told = answer.headers.get("Content-Length")
            length = int(told) if told is not None and told.isdecimal() else None
            parts: list[bytes] = []
            size = 0
            while (length or 0) <= most and size <= most:
                # `read1` returns after one packet, so that slowness is seen between them.
                part = answer.read1(_CHUNK)
                if not part:
                    break
                parts.append(part)
                size += len(part)
                if self._clock() - began > self._slowest:
                    raise DamagedError(f"slower than {self._slowest:g} s")
        if (length or 0) > most or size > most:
            raise FileError(
                f"{url} is larger than the {most:,} bytes that it can need: it is not the file that was asked for"
            )
        if length is not None and size != length:
            raise DamagedError(f"cut short: {size:,} of {length:,} bytes")
        return b"".join(parts)


def _asked_wait(text: str | None) -> float:
    """Seconds that ``Retry-After`` asks for: a number, or a date."""
    if text is None:
        return 0.0
    if text.strip().isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp() - clocks.time())
