"""Claim: on an idle system a failure is at the mail server in milliseconds, from before the POST to the server's 250, and costs little CPU time."""

import itertools
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import httpx

from bench.alertmanager import alert_body, alertmanager
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground, Process, running
from bench.load import ENROL_KEY
from bench.mails import Mails, failure, mailing_service, percentile
from bench.rounds import all_by_turns
from bench.statements import statements_an_alert

FAILURES, WARM, ROUNDS = 60, 5, 5
_PEER = "Alertmanager"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class _Round:
    p50_ms: float
    p95_ms: float
    cpu_ms: float


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """One job after another fails for the first time, each a mail of its own; both databases and Alertmanager by turns, into one sink."""
    with ExitStack() as stack:
        sink = stack.enter_context(running("bench.sink", "1", shown=True))
        mails = Mails(sink)
        peer = stack.enter_context(alertmanager(sink))
        contenders = {_PEER: partial(_round, peer, mails, is_ours=False)}
        for ground in grounds:
            _, server = stack.enter_context(mailing_service(ground, sink))
            contenders[ground.name] = partial(_round, server, mails, is_ours=True)
        for run in contenders.values():
            run()
        rounds = all_by_turns(contenders, rounds=ROUNDS)
    p50, p95, cpu = (Figure(tuple(getattr(one, name) for one in rounds[_PEER])) for name in _Round.__slots__)
    for ground in grounds:
        ours = [Figure(tuple(getattr(one, name) for one in rounds[ground.name])) for name in _Round.__slots__]
        yield Claim(
            f"{ground.name}: event to 250, idle, p50 / Alertmanager", ours[0], "ms", p50, at_most(15, p50.median)
        )
        yield Claim(
            f"{ground.name}: event to 250, idle, p95 / Alertmanager", ours[1], "ms", p95, at_most(30, p95.median)
        )
        yield Claim(f"{ground.name}: CPU an alert, all stages / Alertmanager", ours[2], "ms", cpu, at_most(12, 6))
        yield Claim(f"{ground.name}: SQL statements an alert", Figure.of(statements_an_alert(ground)), "")


def _round(server: Process, mails: Mails, *, is_ours: bool) -> _Round:
    waits: list[float] = []
    cpu_s = server.cpu_s
    headers = {"Authorization": f"Bearer {ENROL_KEY}", "Content-Type": "application/json"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
        for number in range(WARM + FAILURES):
            if number == WARM:
                cpu_s = server.cpu_s
            job = f"job-{next(_numbers):05d}"
            body = failure(job) if is_ours else alert_body(job, "host")
            begun = time.monotonic()
            client.post("/v1/events" if is_ours else "/api/v2/alerts", content=body).raise_for_status()
            waits.append((mails.wait_for_job(job) - begun) * 1000)
        cpu_s = server.cpu_s - cpu_s
    return _Round(percentile(waits[WARM:], 0.5), percentile(waits[WARM:], 0.95), 1000 * cpu_s / FAILURES)
