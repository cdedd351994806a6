"""A night's wave: every job of a fleet ends within minutes, at a fixed rate, whether or not the answers come in time.

`python -m bench.wave PORT RATE MARK CUSTOMERS AGENTS JOBS LIMIT < KEYS` sends one event a job, for LIMIT jobs at most, and prints what was answered, as JSON.
KEYS has one enrolment key a line, in the order of the customers. An agent in 50 sends what its spool kept, all its jobs in one request; one request in 200 is
sent twice, as by an agent that did not see the answer. What is refused is sent again, as agents do, with the same keys. Of a thousand jobs one fails critically, and ten more fail.
"""

import asyncio
import collections
import json
import random
import re
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import uvloop

CONNECTIONS = 64
SPOOL_EACH, TWICE_EACH = 50, 200
MOST_QUEUED = 20_000  # beyond it the service does not take the rate, and the load has shown that
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fleet:
    """Job n belongs to agent n % agents, and that to customer n % customers. Names are as `bench/million.py` makes them."""

    customers: int
    agents: int
    jobs: int


@dataclass(slots=True)
class Score:
    """What was answered."""

    events: int = 0
    critical: int = 0
    failures: int = 0
    refused: int = 0
    unsent: int = 0
    waits: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Asked:
    began: float  # when it was due
    request: bytes
    events: int  # that count: none of a request that is sent a second time


def outcome_of(mark: str, job: int) -> tuple[str, str]:
    """Return outcome and severity of a job in the wave of this mark: others fail in another wave."""
    place = (job * 7 + sum(mark.encode())) % 1000
    if place == 0:
        return "failure", "critical"
    return ("failure", "error") if place <= 10 else ("success", "info")  # noqa: PLR2004  (ten in a thousand)


class Sender:
    """Sends requests at their moments over the connections that are free."""

    def __init__(self, keys: list[str], fleet: Fleet, mark: str) -> None:
        self.score = Score()
        self._keys, self._fleet, self._mark = keys, fleet, mark
        self._queue: collections.deque[_Asked] = collections.deque()
        self._idle: list[_Connection] = []
        self._open = 0
        self._quiet = asyncio.Event()

    def requests(self, limit: int) -> list[list[int]]:
        """Return the jobs of each request, in a mixed order that is the same each time."""
        fleet = self._fleet
        asked: list[list[int]] = []
        for agent in range(fleet.agents):
            jobs = list(range(agent, min(fleet.jobs, limit), fleet.agents))
            asked.extend([jobs] if agent % SPOOL_EACH == 0 and jobs else [[job] for job in jobs])
        random.Random(1).shuffle(asked)
        return asked

    async def run(self, port: int, rate: float, limit: int) -> None:
        """Send everything at the rate, then wait for the answers."""
        loop = asyncio.get_running_loop()
        self._port = port
        for _ in range(CONNECTIONS):
            await self._connect()
        begun, sent, last = loop.time(), 0, [0]
        for number, jobs in enumerate(self.requests(limit)):
            if (pause := begun + sent / rate - loop.time()) > 0:
                await asyncio.sleep(pause)
            elif number % 100 == 0:
                await asyncio.sleep(0)
            if len(self._queue) > MOST_QUEUED:
                self.score.unsent += len(jobs)
                continue
            sent += len(jobs)
            self._put(jobs)
            if number % TWICE_EACH == 0:
                self._put(last, counts=False)
            last = jobs
        await self._quiet.wait()

    def answered(self, connection: "_Connection", asked: _Asked, *, is_good: bool) -> None:
        """Count an answer and use its connection again. A refused request goes to the end of the queue."""
        self._open -= 1
        if is_good:
            self.score.waits.append(time.perf_counter() - asked.began)
            self.score.events += asked.events
        else:
            self.score.refused += 1
            self._queue.append(asked)
        self.take(connection)

    def lost(self, connection: "_Connection", asked: _Asked) -> None:
        """Replace a connection that the server closed, as it does with idle ones. What it had not answered is sent again."""
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._open -= 1
            self.score.refused += 1
            self._queue.append(asked)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: _Connection(self), "127.0.0.1", self._port)

    def take(self, connection: "_Connection") -> None:
        """Let a connection send what waits longest, or wait itself."""
        if not self._queue:
            self._idle.append(connection)
            if not self._open:
                self._quiet.set()
            return
        self._open += 1
        connection.send(self._queue.popleft())

    def _put(self, jobs: list[int], *, counts: bool = True) -> None:
        self._quiet.clear()
        body = b"[" + b",".join(self._event(job, counts=counts) for job in jobs) + b"]"
        key = self._keys[jobs[0] % self._fleet.customers]
        head = (
            f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._queue.append(_Asked(time.perf_counter(), head.encode() + body, len(jobs) if counts else 0))
        if self._idle:
            self.take(self._idle.pop())

    def _event(self, job: int, *, counts: bool) -> bytes:
        outcome, severity = outcome_of(self._mark, job)
        if counts and outcome == "failure":
            self.score.critical += severity == "critical"
            self.score.failures += severity != "critical"
        event = {
            "key": f"{self._mark}-{job}",
            "agent": f"host-{job % self._fleet.agents}",
            "job": f"nightly-{job}",
            "run": f"{self._mark}-{job}",
            "phase": "finished",
            "outcome": outcome,
            "severity": severity,
            "occurred_at": datetime.now(UTC).isoformat(),
            "message": "12,345 files, 10.5 GiB in 00:41:07" if outcome == "success" else "repository is locked",
            "metrics": {"bytes_processed": 11274289152, "files_processed": 12345, "duration_s": 2467.5},
        }
        return json.dumps(event).encode()


class _Connection(asyncio.Protocol):
    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._buffer = b""
        self._asked = _Asked(0.0, b"", 0)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._sender.take(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._sender.lost(self, self._asked)

    def send(self, asked: _Asked) -> None:
        self._asked = asked
        self._transport.write(asked.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        is_good = self._buffer.startswith(b"HTTP/1.1 20")
        self._buffer = b""
        self._sender.answered(self, self._asked, is_good=is_good)


def main() -> None:
    """Send the wave and print the score; the waits are from the moment at which a request was due."""
    port, rate, mark, customers, agents, jobs, limit = sys.argv[1:]
    sender = Sender(sys.stdin.read().split(), Fleet(int(customers), int(agents), int(jobs)), mark)
    begun = time.monotonic()
    uvloop.run(sender.run(int(port), float(rate), int(limit)))
    waits = sorted(sender.score.waits)
    score = sender.score
    print(
        json.dumps(
            {
                "events": score.events,
                "critical": score.critical,
                "failures": score.failures,
                "refused": score.refused,
                "unsent": score.unsent,
                "seconds": time.monotonic() - begun,
                "cpu_s": time.process_time(),
                "p99_s": waits[len(waits) * 99 // 100],
            }
        )
    )


if __name__ == "__main__":
    main()
