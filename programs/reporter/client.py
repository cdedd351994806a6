"""Asks the service, over HTTP as wire/report.py says: through a proxy where the environment names one, no redirect followed, TLS always verified.

Each exchange is bounded as a whole, whatever the other side does. It decides nothing.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from programs.protocol import report as wire
from programs.protocol.checked import BadShape
from programs.reporter import VERSION
from programs.reporter.config import BadSettings, Settings

_ACCEPTED, _PROBLEMS = 202, (400, 413, 415, 422)
_TOO_LARGE, _BUSY, _KEY = 413, (429, 503), (401, 403)
STEP_S = 5.0  # for each step of an exchange
_SHORTEST_S = 0.1
_RETRY_MOST_S = 3600.0


class Away(Exception):
    """No answer that can be used; to be tried again, after `retry_after` seconds if the service said so. The text says why."""

    def __init__(self, words: str, retry_after: float | None = None) -> None:
        super().__init__(words)
        self.retry_after = retry_after


class ShutOut(Away):
    """The service does not take our key."""


class Unfit(Exception):
    """The service takes nothing of what was sent, and will not when it is sent again. The text says why."""


class Service:
    """The service as its administrator gave it to us. Raises BadSettings for an address or a file that cannot be used."""

    def __init__(self, settings: Settings) -> None:
        if settings.trouble:
            raise BadSettings(settings.trouble)
        self._parts = _parts(settings.url)
        self._path = self._parts.path.rstrip("/") + wire.EVENTS
        self.is_agents_key = settings.key.startswith(wire.AGENT_KEY)
        self._headers = {
            "Authorization": f"Bearer {settings.key}",
            "Content-Type": wire.LINES,
            "User-Agent": f"tocsin-report/{VERSION}",
            "Connection": "close",
        }
        self._tls = None
        if self._parts.scheme == "https":
            try:
                self._tls = ssl.create_default_context(cafile=settings.ca_file or None)
            except OSError as cause:
                raise BadSettings(f"ca_file {settings.ca_file}: {cause.strerror or cause}") from cause

    def post(self, events: Sequence[dict[str, Any]], deadline: float) -> wire.EventsAnswer:
        """Send events and give the answer, by `deadline` of the monotonic clock. Raises Away, Unfit."""
        body = b"".join(wire.line_of(event) for event in events)
        try:
            status, retry_after, data = self._exchange(body, deadline)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            said = f"{type(cause).__name__}: {cause}".replace("\n", " ")
            raise Away(f"no answer from {self._parts.hostname}: {said}"[:300]) from cause
        if status in _KEY:
            raise ShutOut(f"the service does not take our key ({status})")
        if status in _BUSY:
            raise Away(f"the service is busy ({status})", retry_after)
        answer = _answer_in(data) if status == _ACCEPTED or status in _PROBLEMS else None
        if answer is not None and answer.settled == len(events) and (status == _ACCEPTED or answer.rejected):
            return answer  # whoever else answers here does not count our events
        if status == _TOO_LARGE or (answer is not None and answer.code and answer.code not in wire.TO_BE_SENT_AGAIN):
            raise Unfit(f"{status} {answer.code}: {answer.detail}"[:300] if answer else str(status))
        raise Away(f"{self._parts.hostname} answered {status}: is it Tocsin's address?")

    def _exchange(self, body: bytes, deadline: float) -> tuple[int, float | None, bytes]:
        left = max(_SHORTEST_S, deadline - time.monotonic())
        connection, target, more = self._connection(min(STEP_S, left))
        try:
            with _ended_after(left, connection):
                connection.connect()
                connection.request("POST", target, body, {**self._headers, **more})
                with contextlib.closing(connection.getresponse()) as answer:
                    data = answer.read(wire.ANSWER_MOST + 1)
                    return answer.status, _seconds(answer.getheader("Retry-After")), data[: wire.ANSWER_MOST]
        finally:
            connection.close()

    def _connection(self, timeout: float) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        """Give a connection not yet opened, what to ask for on it, and headers for a proxy that reads them."""
        host, port = self._parts.hostname or "", self._parts.port
        proxy = None if proxy_bypass(host) else getproxies().get(self._parts.scheme)
        if not proxy:
            return self._opened(host, port, timeout), self._path, {}
        via = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        connection = self._opened(via.hostname or "", via.port or 80, timeout)
        pass_to = {"Proxy-Authorization": _basic(via)} if via.username else {}
        if self._tls is None:
            where = self._parts.netloc.rpartition("@")[2]
            return connection, f"http://{where}{self._path}", pass_to
        connection.set_tunnel(host, port or 443, pass_to)
        return connection, self._path, {}

    def _opened(self, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # is read only when asked for
    except ValueError as cause:
        raise BadSettings(f"the address {url!r}: {cause}") from cause
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise BadSettings(f"{url!r} is no address such as https://tocsin.example.org")
    return parts


def _answer_in(data: bytes) -> wire.EventsAnswer | None:
    try:
        return wire.EventsAnswer.from_json(data)
    except BadShape:
        return None


def _seconds(word: str | None) -> float | None:
    """Read Retry-After where it is in seconds (RFC 9110, 10.2.3); a date is as good as none."""
    return min(float(word), _RETRY_MOST_S) if word is not None and word.isdecimal() else None


def _basic(via: SplitResult) -> str:
    pair = f"{unquote(via.username or '')}:{unquote(via.password or '')}"
    return "Basic " + base64.b64encode(pair.encode()).decode("ascii")


@contextlib.contextmanager
def _ended_after(seconds: float, connection: http.client.HTTPConnection) -> Iterator[None]:
    """Bound the whole exchange: a server that sends one byte a second keeps within every time-out of the socket. Raises TimeoutError."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        line = connection.sock
        if line is not None:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    cause: Exception | None = None
    try:
        yield
    except (OSError, http.client.HTTPException, ValueError) as found:
        cause = found
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from cause
    if cause is not None:
        raise cause
