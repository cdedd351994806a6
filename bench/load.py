"""The load: many connections that each POST, wait for the answer and POST again. A process of its own, so that it takes no time from the server's.

`python -m bench.load PORT SECONDS CONNECTIONS EVENTS PREFIX RATE [TOOL]` prints what was answered, as JSON. EVENTS 1 is one JSON object, more are
NDJSON. All connections together send at most RATE events a second; 0 is as many as are answered. With TOOL it sends what that tool sends (bench/tool_requests.py).
"""

import asyncio
import json
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvloop

from bench.tool_requests import TOOL_REQUESTS

ENROL_KEY = "bench-enrolment-key"
WARM_S, AGENTS, JOBS = 0.5, 20, 1000
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_KEY, _AT, _JOB = b"@@@@@@@@@@@@@@@@", b"2026-01-01T00:00:00.000000+00:00", b"####"
_EVENT = (
    '{"key":"@@@@@@@@@@@@@@@@-%04d","agent":"host-%02d","job":"nightly-####-%04d","run":"@@@@@@@@@@@@@@@@","phase":"finished",'
    '"outcome":"success","occurred_at":"2026-01-01T00:00:00.000000+00:00","message":"12,345 files, 10.5 GiB in 00:41:07",'
    '"metrics":{"bytes_processed":11274289152,"bytes_stored":734003200,"files_processed":12345,"files_failed":0,"duration_s":2467.5},'
    '"labels":{"site":"berlin","tier":"gold"}}'
)


@dataclass(slots=True)
class Load:
    """What all connections share: the body which gets new keys for each request, and the score."""

    prefix: str
    events: int
    rate: float = 0.0
    tool: str | None = None
    template: bytes = b""
    head: bytes = b""
    sent: int = 0
    done: int = 0
    bad: int = 0
    is_counting: bool = False
    next_at: float = 0.0
    waits: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.tool is not None:
            head, self.template = TOOL_REQUESTS[self.tool]
            self.head = head.replace("<key>", ENROL_KEY).encode()
            return
        lines = [_EVENT % (n, n % AGENTS, n) for n in range(self.events)]
        self.template = "\n".join(lines).encode()
        kind = "application/json" if self.events == 1 else "application/x-ndjson"
        self.head = (
            f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {ENROL_KEY}\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(self.template)}\r\n\r\n"
        ).encode()

    def pause_s(self, now: float) -> float:
        """Take the next turn and return how long it is until then. Turns that nobody could take in time are lost: a late load does not rush."""
        if not self.rate:
            return 0.0
        self.next_at = max(self.next_at, now - 1) + self.events / self.rate
        return self.next_at - now

    def request(self) -> bytes:
        """Return the next request, head and body."""
        if self.tool is None:
            return self.head + self.body()
        body = self.body()
        lines = f"Content-Length: {len(body)}\r\n\r\n"
        return self._marked(self.head) + lines.encode() + body

    def body(self) -> bytes:
        """Return the next body: its keys were never used before, its runs ended just now, each of another job than those right before."""
        self.sent += 1
        return self._marked(self.template).replace(_AT, datetime.now(UTC).isoformat(timespec="microseconds").encode())

    def _marked(self, template: bytes) -> bytes:
        key, job = f"{self.prefix:.6}{self.sent:010d}", f"{self.sent * self.events % JOBS:04d}"
        return template.replace(_KEY, key.encode()).replace(_JOB, job.encode())


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._buffer = b""
        self._asked_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = transport
        self._ask_in_turn()

    def data_received(self, data: bytes) -> None:
        """Send the next request when the answer is complete."""
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        length = _LENGTH.search(head)
        if length is None or len(body) < int(length[1]):
            return
        load = self._load
        if load.is_counting:
            load.waits.append(time.perf_counter() - self._asked_at)
            if self._buffer.startswith(b"HTTP/1.1 20"):
                load.done += 1
            else:
                load.bad += 1
        self._buffer = b""
        self._ask_in_turn()

    def _ask_in_turn(self) -> None:
        loop = asyncio.get_running_loop()
        if (pause_s := self._load.pause_s(loop.time())) > 0:
            loop.call_later(pause_s, self._ask)
        else:
            self._ask()

    def _ask(self) -> None:
        self._asked_at = time.perf_counter()
        self._transport.write(self._load.request())  # type: ignore[attr-defined]


async def run(load: Load, port: int, connections: int, seconds: float) -> dict[str, float]:
    """Load for `seconds` after a short warm-up and return the score."""
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", port)
    await asyncio.sleep(WARM_S)
    load.is_counting = True
    begun = time.perf_counter()
    await asyncio.sleep(seconds)
    load.is_counting = False
    took = time.perf_counter() - begun
    waits = sorted(load.waits) or [0.0]
    events = load.done * load.events
    return {
        "events_s": events / took,
        "bad": load.bad,
        "p50_s": waits[len(waits) // 2],
        "p99_s": waits[len(waits) * 99 // 100],
    }


if __name__ == "__main__":
    _port, _seconds, _connections, _events, _prefix, _rate, *_tool = sys.argv[1:]
    _load = Load(_prefix, int(_events), float(_rate), _tool[0] if _tool else None)
    print(json.dumps(uvloop.run(run(_load, int(_port), int(_connections), float(_seconds)))))
