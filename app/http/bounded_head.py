"""Limits the size and the duration of a request's headers: uvicorn itself collects them for as long as they come."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 128 * 1024  # bytes, plus at most one read from the network
HEAD_S = 30.0


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which closes a connection whose headers are too long or too slow."""

    _head_size = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Start to wait for headers."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Accept data, unless the headers are too long by now."""
        if self._is_in_head:
            if self._head_size > HEAD_MOST:
                self.send_400_response("The head of the request is too long.")
                return
            self._head_size += len(data)
        super().data_received(data)
        # Most headers arrive in one piece; a timer is needed only for those that do not.
        if self._is_in_head and self._head_size and self._deadline is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Continue with the body."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the headers of the next request on this connection."""
        self._is_in_head, self._head_size = True, 0
        super().on_message_complete()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
