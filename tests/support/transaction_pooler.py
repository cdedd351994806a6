"""A pooler of PostgreSQL in transaction mode, as PgBouncer is one: all clients share one session, a transaction each in turn."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator

_SSL_REQUEST = 80877103
_IDLE = b"I"  # the state in ReadyForQuery: no transaction is open


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    kind = await reader.readexactly(1)
    size = await reader.readexactly(4)
    return kind, size + await reader.readexactly(struct.unpack("!I", size)[0] - 4)


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    while True:
        size = await reader.readexactly(4)
        rest = await reader.readexactly(struct.unpack("!I", size)[0] - 4)
        if struct.unpack("!I", rest[:4])[0] != _SSL_REQUEST:
            return size + rest
        writer.write(b"N")


class _Session:
    """The one session with PostgreSQL."""

    def __init__(self, port: int) -> None:
        self.port, self.turn, self.greeting = port, asyncio.Lock(), b""

    async def greet(self, startup: bytes) -> bytes:
        """Return what PostgreSQL answered to the startup of the first client."""
        async with self.turn:
            if not self.greeting:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.writer.write(startup)
                kind = b""
                while kind != b"Z":
                    kind, body = await _message(self.reader)
                    self.greeting += kind + body
            return self.greeting

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it goes."""
        writer.write(await self.greet(await _startup(reader, writer)))
        while True:
            kind, body = await _message(reader)
            if kind == b"X":
                return
            async with self.turn:
                to_server = asyncio.create_task(self._forward(reader, kind + body))
                try:
                    state = b""
                    while state != _IDLE:
                        kind, body = await _message(self.reader)
                        state = body[-1:] if kind == b"Z" else b""
                        writer.write(kind + body)
                finally:
                    to_server.cancel()
                    with contextlib.suppress(asyncio.CancelledError, asyncio.IncompleteReadError, ConnectionError):
                        await to_server  # only then may this task read from the client again

    async def _forward(self, reader: asyncio.StreamReader, first: bytes) -> None:
        self.writer.write(first)
        while True:
            kind = await reader.read(1)
            if not kind:
                return
            size = await reader.readexactly(4)
            self.writer.write(kind + size + await reader.readexactly(struct.unpack("!I", size)[0] - 4))


@contextlib.asynccontextmanager
async def transaction_pooler(port: int) -> AsyncIterator[int]:
    """Serve the PostgreSQL at this port, and yield the port of the pooler."""
    session = _Session(port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await session.serve(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            if session.greeting:
                session.writer.close()
                await session.writer.wait_closed()
