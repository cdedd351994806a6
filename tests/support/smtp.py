"""A real SMTP server on a loopback port, in its own thread, that keeps messages and misbehaves on request."""

import asyncio
import contextlib
import ssl
import tempfile
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import trustme

from tests.support.smtp_script import Behave, Received
from tests.support.smtp_session import MisbehavingSession

__all__ = ["Behave", "Received", "SmtpServer"]

POLL_S = 0.01
STOP_S = 10
END_S = 5


class SmtpServer:
    """`with SmtpServer(behave=Behave(answers={"RCPT": "550 no"})) as server: server.port, server.messages`.

    `behave` may be changed at any time, also amid a connection. With `users` or `tokens` a login is required.
    `ca_file` is a PEM file of the authority that the server's certificate (for `localhost` and 127.0.0.1) comes from.
    """

    host = "127.0.0.1"

    def __init__(
        self,
        behave: Behave | None = None,
        *,
        tls: Literal["none", "starttls", "tls"] = "none",
        users: dict[str, str] | None = None,
        tokens: dict[str, str] | None = None,
        mechanisms: tuple[str, ...] = ("PLAIN", "LOGIN", "XOAUTH2"),
        pipelining: bool = True,
    ) -> None:
        self.behave = behave or Behave()
        self.tls = tls
        self.pipelining = pipelining
        self.users = users or {}
        self.tokens = tokens or {}
        needed = (*(("PLAIN", "LOGIN") if self.users else ()), *(("XOAUTH2",) if self.tokens else ()))
        self.mechanisms = frozenset(mechanisms) & frozenset(needed)
        self.port = 0
        self.connections = 0
        self.messages: list[Received] = []
        self.places: list[tuple[int, str]] = []
        self._sessions: set[MisbehavingSession] = set()

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="tocsin-smtp-")
        self.ca_file = Path(self._folder.name) / "ca.pem"
        self._context = self._make_certificate() if self.tls != "none" else None
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), name="smtp-server", daemon=True)
        self._thread.start()
        if not started.wait(STOP_S):
            raise RuntimeError("the SMTP server did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        self._folder.cleanup()

    @property
    def open_connections(self) -> int:
        """Return how many clients are connected now."""
        return sum(session.transport is not None for session in list(self._sessions))

    def count(self, place: str) -> int:
        """Return how often a place of the dialogue was reached, over all connections."""
        return sum(name == place for _, name in list(self.places))

    def wait_for(self, messages: int, timeout_s: float = 10) -> list[Received]:
        """Wait, blocking, until so many messages are kept. Raises TimeoutError."""
        end = time.monotonic() + timeout_s
        while len(self.messages) < messages:
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.messages)} of {messages} messages after {timeout_s} s")
            time.sleep(POLL_S)
        return list(self.messages)

    def note(self, connection: int, place: str) -> None:
        """Called by the sessions."""
        self.places.append((connection, place))

    def keep(self, message: Received) -> None:
        """Called by the sessions."""
        self.messages.append(message)

    def _run(self, started: threading.Event) -> None:
        loop = self._loop
        asyncio.set_event_loop(loop)
        loop.set_exception_handler(_ignore_lost_connections)
        implicit = self._context if self.tls == "tls" else None
        server = loop.run_until_complete(loop.create_server(self._new_session, self.host, 0, ssl=implicit))
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        loop.run_forever()
        server.close()
        loop.run_until_complete(self._end_sessions())
        loop.close()

    def _new_session(self) -> MisbehavingSession:
        self.connections += 1
        session = MisbehavingSession(
            self, self.connections, self._context if self.tls == "starttls" else None, loop=self._loop
        )
        self._sessions.add(session)
        return session

    async def _end_sessions(self) -> None:
        for session in self._sessions:
            if session.transport is not None:
                # Python 3.11.2 cannot abort a TLS connection that was closed twice; its end is then awaited below.
                with contextlib.suppress(AttributeError):
                    session.transport.abort()
        # A transport that did not report its end would keep its socket open, and another test would fail for that.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(END_S):
                while any(session.transport is not None for session in self._sessions):  # noqa: ASYNC110
                    await asyncio.sleep(0)
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _make_certificate(self) -> ssl.SSLContext:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca_file)
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        return context


def _ignore_lost_connections(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Ignore clients that disconnect within a command, which these tests do on purpose; show any other error."""
    if not isinstance(context.get("exception"), ConnectionError | ssl.SSLError):
        loop.default_exception_handler(context)
