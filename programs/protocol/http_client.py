"""The HTTP client of both programs: POST to one service, every exchange bounded in time and size. Standard library only.

It follows no redirect and always verifies TLS. What an answer means is decided by its callers.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

_RETRY_AFTER_MOST_S = 3600.0


class BadAddress(ValueError):
    """The address of the service, or the file with its certificate authority, cannot be used. The text says why."""


class NoAnswer(Exception):
    """There is no usable answer of the service. Try again, after `retry_after_s` seconds if it named them. The text says why."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class KeyRejected(NoAnswer):
    """The service does not accept our key."""


class HttpAnswer(NamedTuple):
    """An answer with at most as many bytes of its body as were allowed; `is_cut` if there were more."""

    status: int
    body: bytes
    is_cut: bool = False
    retry_after_s: float | None = None


class TimeLimits(NamedTuple):
    """Limits of one exchange in seconds: to connect, for each step on the socket, and for all of it together."""

    connect: float
    step: float
    total: float


class HttpClient:
    """A client for one thread and one service. Raises BadAddress for an address or a CA file that cannot be used.

    `keeps_connection`: use one connection again and again; else each exchange has a connection of its own.
    `uses_proxy`: go through the proxy that the environment names, if it names one.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str], *, ca_file: str = "", keeps_connection: bool, uses_proxy: bool
    ) -> None:
        try:
            self._address = urlsplit(url)
            _ = self._address.port  # urlsplit checks the port only when it is read
        except ValueError as cause:
            raise BadAddress(f"the address {url!r}: {cause}") from cause
        has_more = self._address.query or self._address.fragment or self._address.username
        if self._address.scheme not in ("http", "https") or not self._address.hostname or has_more:
            raise BadAddress(f"{url!r} is not an address such as https://tocsin.example.org")
        self.host, self.is_encrypted = self._address.hostname, self._address.scheme == "https"
        self._headers = dict(headers) if keeps_connection else {**headers, "Connection": "close"}
        self._keeps_connection, self._uses_proxy = keeps_connection, uses_proxy
        self._connection: http.client.HTTPConnection | None = None
        self._tls = None
        if self.is_encrypted:
            try:
                self._tls = ssl.create_default_context(cafile=ca_file or None)
            except OSError as cause:
                raise BadAddress(f"ca_file {ca_file}: {cause.strerror or cause}") from cause

    def post(self, path: str, body: bytes, limits: TimeLimits, most: int) -> HttpAnswer:
        """Send a body to a path below the address, and return the answer with at most `most` bytes. Raises NoAnswer."""
        target = self._address.path.rstrip("/") + path
        was_kept = self._connection is not None
        try:
            try:
                return self._exchange(target, body, limits, most)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if not was_kept:
                    raise
                # The service had closed the kept connection meanwhile: send once more over a new one.
                return self._exchange(target, body, limits, most)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            self.close()
            words = f"{type(cause).__name__}: {cause}".replace("\n", " ")
            raise NoAnswer(f"no answer from {self.host}: {words}"[:300]) from cause

    def close(self) -> None:
        """Close the connection. Called from another thread, it also ends an exchange that waits for its answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            _shut_down(connection)
            connection.close()

    def _exchange(self, path: str, body: bytes, limits: TimeLimits, most: int) -> HttpAnswer:
        connection, proxy = self._connection, self._proxy()
        target, proxy_headers = path, {}
        if proxy is not None and not self.is_encrypted:
            # Without TLS a proxy wants the whole address, and its own credentials.
            target, proxy_headers = f"http://{self._address.netloc.rpartition('@')[2]}{path}", _credentials(proxy)
        with _ended_after(limits.total, connection or self._new_connection(limits.connect)) as line:
            self._connection = line
            if connection is None:
                line.connect()
            line.sock.settimeout(limits.step)
            line.request("POST", target, body, {**self._headers, **proxy_headers})
            with contextlib.closing(line.getresponse()) as answer:
                data = answer.read(most + 1)
                is_cut = len(data) > most
                if is_cut or answer.will_close or not self._keeps_connection:
                    self.close()
                retry_after = answer.getheader("Retry-After") or ""
                # In seconds (RFC 9110, 10.2.3). A date is ignored, as if there were no header.
                retry_after_s = min(float(retry_after), _RETRY_AFTER_MOST_S) if retry_after.isdecimal() else None
                return HttpAnswer(answer.status, data[:most], is_cut, retry_after_s)

    def _proxy(self) -> SplitResult | None:
        if not self._uses_proxy or not _may_have_proxy():
            return None
        from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415  (takes as long as all the rest of a call)

        found = None if proxy_bypass(self.host) else getproxies().get(self._address.scheme)
        return urlsplit(found if "://" in found else f"http://{found}") if found else None

    def _new_connection(self, timeout: float) -> http.client.HTTPConnection:
        """Return a connection that is not open yet. TLS goes through a tunnel of the proxy, which never sees our key."""
        proxy = self._proxy()
        host, port = (self.host, self._address.port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=timeout)
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=self._tls)
        if proxy is not None:
            connection.set_tunnel(self.host, self._address.port or 443, _credentials(proxy))
        return connection


def _may_have_proxy() -> bool:
    """Return whether this host may name a proxy: Windows and macOS do so outside of the environment too."""
    is_elsewhere = sys.platform in ("win32", "cygwin", "darwin")
    return is_elsewhere or any(name.lower().endswith("_proxy") for name in os.environ)


def _credentials(proxy: SplitResult) -> dict[str, str]:
    if not proxy.username:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(pair.encode()).decode("ascii")}


def _shut_down(connection: http.client.HTTPConnection) -> None:
    """End all reading and writing on a connection, also by another thread."""
    line = connection.sock
    if line is not None:
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def _ended_after(seconds: float, connection: http.client.HTTPConnection) -> Iterator[http.client.HTTPConnection]:
    """Bound a whole exchange. Raises TimeoutError.

    The time-out of a socket is not enough: a server that sends one byte a second never reaches it.
    """
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        _shut_down(connection)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    cause: Exception | None = None
    try:
        yield connection
    except (OSError, http.client.HTTPException, ValueError) as found:
        cause = found
    finally:
        timer.cancel()
    if is_late.is_set():
        raise TimeoutError(f"no whole answer within {seconds:.0f} s") from cause
    if cause is not None:
        raise cause
