"""Claim: one small machine carries a million jobs that all end within ten minutes of 02:00, and tells of what matters within a second.

1 000 customers, 100 000 agents, 1 000 000 jobs on one PostgreSQL: a wave with one worker, one with two, and a shorter one with a history behind it.
BENCH_SCALE=0.01 in the environment is a hundredth of it, BENCH_DAYS=10 a history of ten days. By name only: `make bench ARGS=million`.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx

from bench.claim import Claim, Figure, at_least, at_most
from bench.ground import ADMIN_KEY, Ground, Place, Process, running
from bench.mails import add_customers, mail_settings, percentile, undecided
from bench.wave import Fleet
from bench.wave_fleet import add_fleet, add_history

RATE, AFTER_PART = 1_700, 0.2  # the wave with a history behind it has a fifth of the jobs
INTERVAL_S, LEAST_INTERVAL_S, PATIENCE_S = 300, 10, 120
LOOK_S = 0.25
_LISTS = (
    "/v1/jobs?limit=50",
    "/v1/jobs?state=failed&limit=50",
    "/v1/jobs?customer_id={customer}&limit=50",
    "/v1/jobs?customer_id={customer}&state=failed&limit=50",
    "/v1/alerts?state=open&limit=50",
    "/v1/alerts?customer_id={customer}&limit=50",
    "/v1/runs?outcome=failure&limit=50",
    "/v1/events?outcome=failure&limit=50",
    "/v1/agents?customer_id={customer}&limit=50",
    "/v1/messages?limit=50",
)
_BY_MARK = "JOIN alerts a ON a.id = n.alert_id JOIN events e ON e.id = a.event_id AND e.key LIKE '{mark}-%' WHERE n.what = 'opened'"
_CRITICAL = (
    "SELECT extract(epoch FROM m.settled_at - e.received_at) FROM notices n JOIN messages m ON m.id = n.message_id AND m.state = 'sent' "
    + _BY_MARK
    + " AND a.severity = 'critical'"
)
_OTHERS = (
    "SELECT extract(epoch FROM m.settled_at - n.due_at) FROM notices n JOIN messages m ON m.id = n.message_id AND m.state = 'sent' "
    + _BY_MARK
    + " AND a.severity <> 'critical'"
)
_DECIDED = "SELECT count(*) FROM events WHERE key LIKE '{mark}-%' AND state = 'folded'"
_WHOSE = ("the server and its workers", "PostgreSQL", "who sends the wave")
_SIZE = "SELECT pg_total_relation_size('{table}') / (SELECT count(*) FROM {table})"
_UNSENT = "SELECT (SELECT count(*) FROM notices WHERE state = 'waiting') + (SELECT count(*) FROM messages WHERE state IN ('queued', 'leased'))"


@dataclass(frozen=True, slots=True)
class _Service:
    """What the waves are sent to."""

    ground: Ground
    place: Place
    server: Process
    keys: list[str]
    fleet: Fleet
    workers: list[Process] = field(default_factory=list)  # besides the server's own

    @property
    def cpu_s(self) -> tuple[float, float]:
        """CPU time of our processes and of PostgreSQL."""
        return self.server.cpu_s + sum(worker.cpu_s for worker in self.workers), self.ground.cpu_s


@dataclass(frozen=True, slots=True)
class _Wave:
    """What one wave showed; times in seconds."""

    rate: float
    lost: int
    undecided: int
    post_p99: float
    critical: list[float]
    critical_unsent: int
    others: list[float]
    others_unsent: int
    lists: dict[str, list[float]]
    cpu_us: dict[str, float]  # an event, of whom

    @property
    def list_waits(self) -> list[float]:
        """All requests of lists."""
        return [wait for waits in self.lists.values() for wait in waits]

    @property
    def slowest_list(self) -> tuple[str, float]:
        """The list with the largest p95, and that."""
        return max(((path, percentile(waits, 0.95)) for path, waits in self.lists.items()), key=lambda one: one[1])


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Make the fleet by SQL, then send the waves one after the other."""
    scale = float(os.environ.get("BENCH_SCALE", "1"))
    fleet = Fleet(
        max(10, round(1_000 * scale)), max(1_000, round(100_000 * scale)), max(10_000, round(1_000_000 * scale))
    )
    ground = next(one for one in grounds if one.cluster is not None)
    with running("bench.sink", "1000000000") as sink, ExitStack() as stack:
        mail = mail_settings(sink)
        place = ground.place(**mail)
        interval = max(LEAST_INTERVAL_S, round(INTERVAL_S * scale))
        ground.sql(place, f"UPDATE routes SET group_interval_s = {interval}")
        environment = place.environment(**mail)
        server = stack.enter_context(running("app.cli", "serve", environment=environment))
        keys = add_customers(server, fleet.customers, "wave")
        add_fleet(ground, place, fleet)
        service = _Service(ground, place, server, keys, fleet)
        one = _wave(service, "one", fleet.jobs)
        yield from _claims(f"{fleet.jobs:,} jobs, one worker", one)
        yield from _sizes(ground, place)
        yield Claim(
            "memory of the server and its worker after the first wave", Figure.of(server.resident / 2**20), "MiB"
        )
        with worker(environment) as second:
            service.workers.append(Process(second, 0))
            two = _wave(service, "two", fleet.jobs)
            yield from _claims(f"{fleet.jobs:,} jobs, two workers", two)
            before = _size(ground, place)
            days = add_history(ground, place, fleet)
            size = (_size(ground, place) - before) / fleet.jobs / days
            yield Claim("a run a day on disk: its row, event and daily sum, with indexes", Figure.of(size), "bytes")
            after = _wave(service, "year", round(fleet.jobs * AFTER_PART))
        what = f"{fleet.jobs:,} jobs, two workers, {days} days behind them"
        yield from _claims(what, after)
        yield from _compared(what, two, after)


def worker(environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start `tocsin worker`; as a context manager it is waited for, so it must be stopped first."""
    return _Worker([sys.executable, "-m", "app.cli", "worker"], env=environment, stdout=subprocess.DEVNULL)


class _Worker(subprocess.Popen[bytes]):
    """Stops at the end of its block. Raises RuntimeError there if it had ended before."""

    def __exit__(self, *error: object) -> None:
        has_ended = self.poll() is not None
        self.terminate()
        super().__exit__(*error)  # type: ignore[arg-type]
        if has_ended and error[0] is None:
            raise RuntimeError("the second worker has ended: what was measured is one worker")


def _wave(service: _Service, mark: str, limit: int) -> _Wave:
    ground, place, server, fleet = service.ground, service.place, service.server, service.fleet
    words = (server.port, RATE, mark, fleet.customers, fleet.agents, fleet.jobs, limit)
    sender = subprocess.Popen(
        [sys.executable, "-m", "bench.wave", *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    cpu_before = service.cpu_s
    answer: list[str] = []
    sending = threading.Thread(target=lambda: answer.append(sender.communicate("\n".join(service.keys))[0]))
    sending.start()
    lists = _look_at_lists(ground, place, server, sending)
    score = json.loads(answer[0])
    left = undecided(ground, place)
    interval = int(ground.sql(place, "SELECT max(group_interval_s) FROM routes"))
    end = time.monotonic() + interval + PATIENCE_S
    while time.monotonic() < end and (undecided(ground, place) or int(ground.sql(place, _UNSENT))):
        time.sleep(1)
    used = (*(after - before for after, before in zip(service.cpu_s, cpu_before, strict=True)), score["cpu_s"])
    critical, others = (
        [float(line) for line in ground.sql(place, sql.format(mark=mark)).split()] for sql in (_CRITICAL, _OTHERS)
    )
    if score["refused"] or score["unsent"]:
        print(
            f"{mark}: {score['refused']} requests refused, {score['unsent']} events not sent in time", file=sys.stderr
        )
    return _Wave(
        rate=score["events"] / score["seconds"],
        lost=score["events"] - int(ground.sql(place, _DECIDED.format(mark=mark))),
        undecided=left,
        post_p99=score["p99_s"],
        critical=critical,
        critical_unsent=score["critical"] - len(critical),
        others=others,
        others_unsent=score["failures"] - len(others),
        lists=lists,
        cpu_us={whose: 1e6 * cpu / score["events"] for whose, cpu in zip(_WHOSE, used, strict=True)},
    )


def _look_at_lists(ground: Ground, place: Place, server: Process, sending: threading.Thread) -> dict[str, list[float]]:
    """Read each list again and again, one at a time as one person does, while the wave is sent."""
    customer = ground.sql(place, "SELECT max(id) FROM customers")
    waits: dict[str, list[float]] = {path: [] for path in _LISTS}
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
        while sending.is_alive():
            for path in _LISTS:
                begun = time.monotonic()
                client.get(path.format(customer=customer)).raise_for_status()
                waits[path].append(time.monotonic() - begun)
                time.sleep(LOOK_S / len(_LISTS))
    sending.join()
    return waits


def _claims(what: str, wave: _Wave) -> Iterator[Claim]:
    path, slowest = wave.slowest_list
    figure = Figure.of
    for whose, cpu in wave.cpu_us.items():
        yield Claim(f"{what}: CPU an event, {whose}", figure(cpu), "µs")
    yield Claim(f"{what}: events a second", figure(wave.rate), "/s", target=at_least(RATE * 0.98))
    yield Claim(f"{what}: accepted events that were not decided at the end", figure(wave.lost), "", target=at_most(0))
    yield Claim(f"{what}: undecided when the wave ends", figure(wave.undecided), "", target=at_most(RATE))
    yield Claim(f"{what}: POST, p99", figure(1000 * wave.post_p99), "ms")
    yield Claim(
        f"{what}: failures without a mail", figure(wave.critical_unsent + wave.others_unsent), "", target=at_most(0)
    )
    if wave.critical:
        yield Claim(f"{what}: critical mail after its event, p50", figure(percentile(wave.critical, 0.5)), "s")
        yield Claim(f"{what}: the latest critical mail", figure(max(wave.critical)), "s", target=at_most(1))
    if wave.others:
        late = percentile(wave.others, 0.5)
        yield Claim(f"{what}: other mails after their group was due, p50", figure(late), "s")
        yield Claim(f"{what}: the latest other mail", figure(max(wave.others)), "s", target=at_most(5))
    yield Claim(f"{what}: lists, p95", figure(1000 * percentile(wave.list_waits, 0.95)), "ms", target=at_most(100))
    yield Claim(f"{what}: the slowest list, {path}, p95", figure(1000 * slowest), "ms", target=at_most(100))


def _sizes(ground: Ground, place: Place) -> Iterator[Claim]:
    """Claim what a night's report takes on disk, rows and indexes as the pipeline wrote them."""
    sizes = {table: int(ground.sql(place, _SIZE.format(table=table))) for table in ("events", "runs", "job_days")}
    for table, size in sizes.items():
        yield Claim(f"a row of {table} on disk, with indexes", Figure.of(size), "bytes")
    yield Claim("a million reports on disk, events, runs and daily sums", Figure.of(sum(sizes.values()) / 1000), "GB")


def _size(ground: Ground, place: Place) -> int:
    return int(ground.sql(place, f"SELECT pg_database_size('{place.name}')"))


def _compared(what: str, before: _Wave, after: _Wave) -> Iterator[Claim]:
    pairs = {
        "lists, p50": (percentile(before.list_waits, 0.5), percentile(after.list_waits, 0.5)),
        "critical mail, p50": (percentile(before.critical or [0], 0.5), percentile(after.critical or [0], 0.5)),
    }
    for name, (first, then) in pairs.items():
        title = f"{what}: {name} / without the history"
        yield Claim(title, Figure.of(1000 * then), "ms", Figure.of(1000 * first), at_most(1.2, of_peer=True))
