"""An SMTP transport that sends to a test server, shared by the SMTP tests."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from app.core.settings import load_settings
from app.deliver.transports.smtp import SmtpTransport
from app.domain.attempt import Outcome
from app.domain.message import Parcel
from tests.support.smtp import SmtpServer

MAIL = b"Subject: x\r\nMessage-ID: <m@tocsin>\r\n\r\nhello\r\n.\r\n..two\r\n"
LONG = b"x" * 997 + b".\r\n"
HUGE = LONG * 20_000  # more than the operating system buffers on a loopback connection


def parcel(body: bytes = MAIL, to: str = "ann@example.org") -> Parcel:
    return Parcel("msg_1", "rcp_1", to, "<m@tocsin>", body)


@asynccontextmanager
async def client(
    server: SmtpServer | int, *, host: str = "localhost", login: str = "", query: str = "tls=none", **settings: Any
) -> AsyncIterator[SmtpTransport]:
    port = server if isinstance(server, int) else server.port
    settings = {"smtp_timeout_s": 2, "mail_from": "Tocsin <tocsin@example.org>", **settings}
    transport = SmtpTransport.from_settings(load_settings(smtp_url=f"smtp://{login}{host}:{port}?{query}", **settings))
    try:
        yield transport
    finally:
        await transport.close()


@asynccontextmanager
async def raw_server(
    talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Run a server that need not follow the SMTP protocol. Yields the port."""
    talks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.add(task := asyncio.current_task())
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()
            talks.discard(task)

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1024)
    try:
        yield listener.sockets[0].getsockname()[1]
    finally:
        listener.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports close in the next iteration of the event loop


async def send_to(
    server: SmtpServer | int, body: bytes = MAIL, to: str = "ann@example.org", **settings: Any
) -> Outcome:
    async with client(server, **settings) as transport:
        return await transport.send(parcel(body, to))
