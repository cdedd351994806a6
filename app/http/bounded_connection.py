"""Limits what one HTTP connection may take: the size and the duration of headers, body and answer, and its place among all connections.

uvicorn itself waits for as long as headers, a body or the reading of an answer take, and accepts connections until no file can be opened.
"""

import asyncio
import logging
from collections import Counter
from functools import partial
from http import HTTPStatus
from typing import Any, ClassVar

from starlette.responses import Response

from app.core import metrics
from app.core.hidden_modules import emptied
from app.core.networks import sender_of
from app.http.places import Limits, Places, Standing
from app.http.problems import problem
from app.http.whole_answer import SEND_WHOLE

# Its command line, which also loads what runs several processes and restarts them when code changes.
with emptied("uvicorn.main"):
    from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

HEAD_MOST = 128 * 1024  # bytes, plus at most one read from the network
HEAD_S = 30.0
BODY_S = 90.0  # longer than the endpoints wait: of some tools they keep what came of a body, and answer
WAITING_MOST = 10  # requests sent before the answer to an earlier one came: thousands fit into one read, and each read made room for the next
READ_S = 60.0  # for which a client may read nothing of an answer
_BUSY_S = 5  # after which a client that found no place tries again
# uvicorn logs each invalid request: whoever sends them could fill the disk.
_logger = logging.getLogger("uvicorn.error.connection")
_logger.setLevel(logging.ERROR)


def _raw(answer: Response) -> bytes:
    """Return an answer as bytes, for a connection on which no application has a request."""
    head = f"HTTP/1.1 {answer.status_code} {HTTPStatus(answer.status_code).phrase}\r\n".encode()
    lines = [name + b": " + value + b"\r\n" for name, value in answer.raw_headers]
    return b"".join([head, *lines, b"connection: close\r\n\r\n", bytes(answer.body)])


class UnfinishedBodies:
    """Bounds the memory of bodies that have not come whole: an endpoint may keep up to 16 MiB of each, and of some before it knows the key."""

    def __init__(self, most: int) -> None:
        self._most, self._total = most, 0
        self._sizes: dict[BoundedConnection, int] = {}  # the one that began first comes first

    def add(self, connection: "BoundedConnection", size: int) -> None:
        """Count bytes. If there are too many, end the oldest body of the address that has most: a slow one rather than an honest large one."""
        self._sizes[connection] = self._sizes.get(connection, 0) + size
        self._total += size
        while self._total > self._most:
            by_sender = Counter[str]()
            for one, held in self._sizes.items():
                by_sender[one.sender] += held
            (largest, _), *_ = by_sender.most_common(1)
            oldest = next(one for one in self._sizes if one.sender == largest)
            self.remove(oldest)
            metrics.CONNECTIONS_CUT.labels("http", "memory").inc()
            oldest.make_room()

    def remove(self, connection: "BoundedConnection") -> None:
        """Count a connection no longer: its body is whole, or its end is near."""
        self._total -= self._sizes.pop(connection, 0)


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection that is too long, too slow, or idle while others need its place."""

    places: ClassVar[Places["BoundedConnection"]]
    bodies: ClassVar[UnfinishedBodies]

    _head_size = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None
    _read_deadline: asyncio.TimerHandle | None = None

    @property
    def sender(self) -> str:
        """The address of the other side, for which its network stands in IPv6."""
        return sender_of(self.client[0]) if self.client else ""

    @property
    def standing(self) -> Standing:
        """Whether it makes room for others: unless a whole request is being answered, and the client reads the answer."""
        cycle: RequestResponseCycle | None = self.cycle
        is_served = cycle is not None and not (cycle.response_complete or cycle.more_body or self.flow.write_paused)
        return Standing.SERVED if is_served else Standing.STRANGER

    def make_room(self) -> None:
        """Close the connection for the sake of another. What came of a body is kept by the endpoints that keep such bodies."""
        self.transport.abort()

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Start to wait for headers, if there is a place."""
        super().connection_made(transport)
        self.logger = _logger
        if not self.places.take(self, self.client[0] if self.client else None):
            detail = "all connections are in use; try again"
            transport.write(_raw(problem(503, "overloaded", detail, headers={"retry-after": str(_BUSY_S)})))
            transport.close()
            return
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self.places.release(self)
        self.bodies.remove(self)
        self._stop_waiting()
        if self._read_deadline is not None:
            self._read_deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Accept data, unless the headers are too long by now."""
        if self._is_in_head:
            if self._head_size > HEAD_MOST:
                self._refuse(431, "head_too_long", f"address and headers are longer than {HEAD_MOST} bytes")
                return
            self._head_size += len(data)
        super().data_received(data)
        # Most requests arrive in one piece; a timer is needed only for those that do not.
        if not self._is_in_head:
            if self._deadline is None:
                self._wait(BODY_S)
            self.bodies.add(self, len(data))
        elif self._head_size and self._deadline is None:
            self._wait(HEAD_S)

    def send_400_response(self, msg: str) -> None:
        """Answer what is no valid HTTP/1.1 in the form of every refusal."""
        self._refuse(400, "malformed_request", msg)

    def _refuse(self, status: int, code: str, detail: str) -> None:
        if not self._owes_another_answer:  # a client would read the refusal as the answer to its earlier request
            self.transport.write(_raw(problem(status, code, detail)))
        self.transport.close()

    @property
    def _owes_another_answer(self) -> bool:
        """Whether the next answer on this connection belongs to an earlier request, or the refused one has its answer, or a part of it."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None:
            return False
        if self._is_in_head:
            return not cycle.response_complete
        return bool(self.pipeline) or cycle.response_started

    def on_headers_complete(self) -> None:
        """Continue with the body. Raises ValueError, which ends the connection, if too many requests wait for the answer to one before."""
        if len(self.pipeline) >= WAITING_MOST:
            raise ValueError("too many requests are waiting")
        super().on_headers_complete()
        self._is_in_head = False
        self._stop_waiting()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401
        """Let the app send its answer whole (http/whole_answer.py)."""
        send_whole: Any = partial(self._send_whole, cycle)  # uvicorn's type knows no extension of its own
        cycle.scope["extensions"] = {SEND_WHOLE: send_whole}
        super()._start_asgi_task(cycle, app)

    def _send_whole(self, cycle: RequestResponseCycle, status: int, answer: bytes) -> bool:
        """Do what `cycle.send` does with a whole answer; return False where only that can do it."""
        if self.flow.write_paused or cycle.disconnected or not cycle.keep_alive:
            return False
        cycle.waiting_for_100_continue = False
        cycle.response_started = cycle.response_complete = True
        head = [STATUS_LINE[status]]
        for name, value in cycle.default_headers:  # the date
            head += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join((*head, answer)))
        cycle.message_event.set()
        cycle.on_response()
        return True

    def on_message_complete(self) -> None:
        """Expect the headers of the next request on this connection."""
        self._is_in_head, self._head_size = True, 0
        if self._deadline is not None:  # it took more than one piece
            self._stop_waiting()
            self.bodies.remove(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expect the client to read the rest of an answer after which the connection is closed."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._expect_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its client never read the last answer."""
        super().timeout_keep_alive_handler()
        self._expect_reading()

    def pause_writing(self) -> None:
        """Expect the client to read what was sent."""
        super().pause_writing()
        self._expect_reading()

    def resume_writing(self) -> None:
        """Stop waiting for the client to read."""
        super().resume_writing()
        if self._read_deadline is not None and not self.transport.is_closing():
            self._read_deadline.cancel()
            self._read_deadline = None

    def _wait(self, seconds: float) -> None:
        self._deadline = self.loop.call_later(seconds, self._end_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _expect_reading(self) -> None:
        if self._read_deadline is None:
            self._read_deadline = self.loop.call_later(READ_S, self._end_slow)

    def _end_slow(self) -> None:
        """End the connection: a normal close would wait for a client that reads nothing."""
        metrics.CONNECTIONS_CUT.labels("http", "slow").inc()
        self.transport.abort()


def bounded_by(limits: Limits, unfinished_most: int) -> type[BoundedConnection]:
    """Return the protocol of one server, whose connections share these places, and so many bytes of unfinished bodies."""

    class OfOneServer(BoundedConnection):
        places: ClassVar[Places[BoundedConnection]] = Places(limits)
        bodies: ClassVar[UnfinishedBodies] = UnfinishedBodies(unfinished_most)

    return OfOneServer
