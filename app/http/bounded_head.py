"""Bounds the head of a request in size and time: the server itself would gather one for as long as it comes. It reads nothing of it."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MOST = 128 * 1024  # a piece from the network more, at most
HEAD_S = 30.0


class BoundedHead(HttpToolsProtocol):
    """uvicorn's protocol, which hangs up on a head that is too long or too slow."""

    _head_size = 0
    _is_in_head = True
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what comes, unless the head has been too long by now."""
        if self._is_in_head:
            if self._head_size > HEAD_MOST:
                self.send_400_response("The head of the request is too long.")
                return
            self._head_size += len(data)
        super().data_received(data)
        # Most heads come whole: only for one that does not is there anything to wait for.
        if self._is_in_head and self._head_size and self._deadline is None:
            self._wait()

    def on_headers_complete(self) -> None:
        """Go on to the body."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Be ready for the next head on this line."""
        self._is_in_head, self._head_size = True, 0
        super().on_message_complete()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(HEAD_S, self._hang_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _hang_up(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()
