"""Limits what one HTTP connection may take: the size and the duration of headers, body and answer, and its place among all connections.

uvicorn itself waits for as long as headers, a body or the reading of an answer take, and accepts connections until no file can be opened.
"""

import asyncio
import logging
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.core import metrics
from app.http.places import Limits, Places, Standing

HEAD_MOST = 128 * 1024  # bytes, plus at most one read from the network
HEAD_S = 30.0
BODY_S = 90.0  # longer than the endpoints wait: of some tools they keep what came of a body, and answer
WAITING_MOST = 10  # requests sent before the answer to an earlier one came: thousands fit into one read, and each read made room for the next
READ_S = 60.0  # for which a client may read nothing of an answer
_REFUSAL = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nretry-after: 5\r\nconnection: close\r\n\r\n"
# uvicorn logs each invalid request: whoever sends them could fill the disk.
_logger = logging.getLogger("uvicorn.error.connection")
_logger.setLevel(logging.ERROR)


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection that is too long, too slow, or idle while others need its place."""

    places: ClassVar[Places["BoundedConnection"]]

    _head_size = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None
    _read_deadline: asyncio.TimerHandle | None = None

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
            transport.write(_REFUSAL)
            transport.close()
            return
        self._wait(HEAD_S)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self.places.release(self)
        self._stop_waiting()
        if self._read_deadline is not None:
            self._read_deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Accept data, unless the headers are too long by now."""
        if self._is_in_head:
            if self._head_size > HEAD_MOST:
                self.send_400_response("The head of the request is too long.")
                return
            self._head_size += len(data)
        super().data_received(data)
        # Most requests arrive in one piece; a timer is needed only for those that do not.
        if self._deadline is None:
            if not self._is_in_head:
                self._wait(BODY_S)
            elif self._head_size:
                self._wait(HEAD_S)

    def on_headers_complete(self) -> None:
        """Continue with the body. Raises ValueError, which ends the connection, if too many requests wait for the answer to one before."""
        if len(self.pipeline) >= WAITING_MOST:
            raise ValueError("too many requests are waiting")
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the headers of the next request on this connection."""
        self._is_in_head, self._head_size = True, 0
        if self._deadline is not None:
            self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Expect the client to read the rest of an answer after which the connection is closed."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self._expect_reading()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also if its client never read the last answer."""
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


def bounded_by(limits: Limits) -> type[BoundedConnection]:
    """Return the protocol of one server, whose connections share these places."""

    class OfOneServer(BoundedConnection):
        places: ClassVar[Places[BoundedConnection]] = Places(limits)

    return OfOneServer
