"""Asks the service, over HTTP as wire/relay.py says. Bounds everything that comes back; follows no redirect; decides nothing.

TLS is always verified. Plain HTTP is taken only to this host itself: a key must not travel in the clear.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from programs.protocol import relay as wire
from programs.protocol.checked import BadShape
from programs.protocol.relay import ASKED_MOST, RelayHeartbeat, RelayInstructions, instructions_from_json

T = TypeVar("T")
_OK, _UNAUTHORIZED, _FORBIDDEN = 200, 401, 403
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class BadServer(ValueError):
    """The address of the service cannot be used; the text says why."""


class Away(Exception):
    """The service gave no answer that can be used; to be tried again. The text says why."""


class ShutOut(Away):
    """The service does not take our key."""


class Service:
    """The service as one thread asks it: one connection, kept."""

    def __init__(self, server: str, key: str, ca_file: str = "", patience_s: float = 20.0) -> None:
        parts = _parts(server)
        if (
            parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
            or parts.username
        ):
            raise BadServer(f"{server!r} is no address such as https://tocsin.example.org")
        if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
            raise BadServer("use https: the key would travel in the clear")
        self._host, self._port, self._path = parts.hostname, parts.port, parts.path.rstrip("/")
        self._tls = ssl.create_default_context(cafile=ca_file or None) if parts.scheme == "https" else None
        self._headers = {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "User-Agent": "tocsin-relay",
        }
        self.patience_s = patience_s  # for each step of an exchange; twice that for a whole one
        self._connection: http.client.HTTPConnection | None = None

    def lease(self, wait_s: float, most: int, holding: Sequence[wire.LeaseClaim]) -> wire.LeaseAnswer:
        """Wait for messages. Raises Away."""
        asked = {"wait_s": wait_s, "most": most, "holding": [one.__dict__ for one in holding]}
        return self._read(wire.LeaseAnswer.from_json, self._post(wire.LEASE, asked, wait_s, wire.ANSWER_MOST))

    def begin(self, claim: wire.LeaseClaim) -> bool:
        """Say whether this may be sent now. Raises Away."""
        return claim in self._claims(wire.BEGIN, [claim])

    def renew(self, claims: Sequence[wire.LeaseClaim]) -> Sequence[wire.LeaseClaim]:
        """Prolong, and give those still held. Raises Away."""
        return self._claims(wire.RENEW, claims)

    def hand_in(self, receipts: Sequence[wire.RelayReceipt]) -> Sequence[wire.ReceiptAnswer]:
        """Hand in. Raises Away."""
        return self._read(
            wire.ReceiptAnswer.list_from_json, self._post(wire.RECEIPTS, wire.RelayReceipts(receipts).as_json())
        )

    def beat(self, heartbeat: RelayHeartbeat) -> RelayInstructions:
        """Tell how we are. Raises Away."""
        return self._read(instructions_from_json, self._post(wire.HEARTBEAT, heartbeat.as_json()))

    def close(self) -> None:
        """Close the connection; from another thread, this ends what waits on it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            if connection.sock is not None:
                with contextlib.suppress(OSError):
                    connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _claims(self, path: str, claims: Sequence[wire.LeaseClaim]) -> Sequence[wire.LeaseClaim]:
        return self._read(wire.LeaseClaims.from_json, self._post(path, wire.LeaseClaims(claims).as_json())).claims

    def _read(self, reader: Callable[[bytes], T], data: bytes) -> T:
        try:
            return reader(data)
        except BadShape as wrong:
            raise Away(f"the service's answer is not as agreed: {wrong}") from wrong

    def _post(self, path: str, body: Any, wait_s: float = 0.0, most: int = ASKED_MOST) -> bytes:  # noqa: ANN401  (JSON)
        try:
            status, data = self._exchange(path, json.dumps(body).encode("ascii"), self.patience_s + wait_s, most)
        except (OSError, http.client.HTTPException, ValueError) as cause:
            self.close()
            raise Away(f"{type(cause).__name__}: {cause}"[:300]) from cause
        if status in (_UNAUTHORIZED, _FORBIDDEN):
            raise ShutOut(f"the service does not take our key ({status}): make a new one there, and install again")
        if status != _OK:
            raise Away(f"the service answered {status}")
        return data

    def _exchange(self, path: str, body: bytes, timeout: float, most: int) -> tuple[int, bytes]:
        """Send over the kept connection, or once more over a new one if that was closed meanwhile."""
        for _ in range(2):
            was_kept = self._connection is not None
            connection = self._connection or self._open()
            self._connection = connection
            try:
                if not was_kept:
                    connection.connect()
                connection.sock.settimeout(timeout)
                with _ended_after(timeout + self.patience_s, connection.sock):
                    connection.request("POST", self._path + path, body, self._headers)
                    with contextlib.closing(connection.getresponse()) as answer:
                        return self._answer(answer, most)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                self.close()
                if not was_kept:
                    raise
        raise ConnectionResetError("it hung up twice")

    def _answer(self, answer: http.client.HTTPResponse, most: int) -> tuple[int, bytes]:
        data = answer.read(most + 1)
        if len(data) > most:
            raise ValueError(f"an answer of more than {most} bytes")
        if answer.will_close:
            self.close()
        return answer.status, data

    def _open(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self.patience_s)
        return http.client.HTTPSConnection(self._host, self._port, timeout=self.patience_s, context=self._tls)


def _parts(server: str) -> SplitResult:
    try:
        parts = urlsplit(server)
        _ = parts.port  # is read only when asked for
    except ValueError as cause:
        raise BadServer(f"{server!r}: {cause}") from cause
    return parts


@contextlib.contextmanager
def _ended_after(seconds: float, line: socket.socket) -> Iterator[None]:
    """Bound the whole exchange: a server that sends one byte a second keeps within every time-out of the socket. Raises TimeoutError."""
    is_late = threading.Event()

    def end() -> None:
        is_late.set()
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, http.client.HTTPException) as cause:
        if is_late.is_set():
            raise TimeoutError(f"no whole answer within {seconds:g} s") from cause
        raise
    finally:
        timer.cancel()
