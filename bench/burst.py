"""POSTs many small requests at once over several connections, as cheaply as it can: what is measured shares the machine with it."""

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Burst:
    """When the first POST began and the last one was answered, by `time.monotonic`, and the waits of all."""

    began: float
    ended: float
    waits: list[float]

    @property
    def seconds(self) -> float:
        """How long all POSTs took."""
        return self.ended - self.began


def post_burst(port: int, connections: Sequence[Sequence[bytes]]) -> Burst:
    """Send each connection's requests one after another, all connections at once, which are open before. Raises RuntimeError if any is refused."""
    return uvloop.run(_post(port, connections))


def request(path: str, body: bytes, key: str = "") -> bytes:
    """Return a POST of JSON."""
    bearer = f"Authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _post(port: int, connections: Sequence[Sequence[bytes]]) -> Burst:
    opened = [await asyncio.open_connection("127.0.0.1", port) for _ in connections]
    waits: list[float] = []

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, requests: Sequence[bytes]) -> None:
        for one in requests:
            begun = time.monotonic()
            writer.write(one)
            head = await reader.readuntil(b"\r\n\r\n")
            length = _LENGTH.search(head)
            body = await reader.readexactly(int(length[1])) if length else b""
            waits.append(time.monotonic() - begun)
            if not head.startswith(b"HTTP/1.1 2"):
                raise RuntimeError(f"refused: {head[:15]!r} {body[:300]!r}")

    began = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for (reader, writer), requests in zip(opened, connections, strict=True):
            tasks.create_task(send(reader, writer, requests))
    ended = time.monotonic()
    for _, writer in opened:
        writer.close()
    return Burst(began, ended, waits)
