"""A real HTTP server that responds as scripted, and a webhook posted to it, shared by the webhook tests."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpcore

from app.deliver.transports.public_only import IpAddress
from app.deliver.transports.webhook import WebhookTransport
from app.domain.attempt import Outcome
from app.domain.message import Parcel

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SECRET = b"server secret of at least 32 bytes"
BODY = b'{"type":"alert","data":"\xc3\xa9"}'
Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Keeps the requests, and lets `answer` handle each connection."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0
        self.port = 0
        self.talks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.talks.add(task := asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                request = head + await reader.readexactly(length)
                self.requests.append(request)
                await self.answer(request, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.talks.discard(task)

    async def stop(self) -> None:
        for task in list(self.talks):
            task.cancel()
        await asyncio.gather(*self.talks, return_exceptions=True)
        await asyncio.sleep(0.01)  # the transports close in the next iteration of the event loop


@asynccontextmanager
async def running(answer: Answer | bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    async def fixed(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    server = Server(fixed if isinstance(answer, bytes) else answer)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await server.stop()


def reply(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def post(
    url: str,
    *,
    timeout_s: float = 5,
    network: httpcore.AsyncNetworkBackend | None = None,
    body: bytes = BODY,
    is_shown: Callable[[IpAddress], bool] = lambda _: True,
) -> Outcome:
    """POST to a server of this host, whose answers are shown as those of a public one."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unused here; loading the system's authorities takes 50 ms
    webhook = WebhookTransport(SECRET, timeout_s, network=network, tls=tls, clock=lambda: NOW, is_shown=is_shown)
    try:
        return await webhook.send(Parcel("msg_1", "rcp_1", url, "msg_first", body))
    finally:
        await webhook.close()


async def post_to(answer: Answer | bytes, **how: float) -> Outcome:
    async with running(answer) as server:
        return await post(f"http://127.0.0.1:{server.port}/hook", **how)
