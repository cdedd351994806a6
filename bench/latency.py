"""Claim: on an idle system a failure is at the mail server within a fraction of a second: from before the POST to the server's 250."""

import time
from collections.abc import Iterator

import httpx

from bench.claim import Claim
from bench.ground import Ground, Process, running
from bench.load import ENROL_KEY

FAILURES, WARM = 200, 5
_ONE_MAIL_EACH = "UPDATE routes SET group_by = '[\"job\"]', group_interval_s = 0"


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """One job after another fails for the first time; each alert is a mail of its own."""
    for ground in grounds:
        with running("bench.sink", "1", shown=True) as sink:
            mail = {"smtp_url": f"smtp://127.0.0.1:{sink.port}?tls=none", "admin_email": "admin@example.org"}
            place = ground.place(**mail)
            ground.sql(place, _ONE_MAIL_EACH)
            with running("app.cli", "serve", environment=place.environment(**mail)) as server:
                waits = sorted(_fail(server.port, sink))
        yield Claim(f"{ground.name}: event to SMTP 250, p50", waits[len(waits) // 2] * 1000, "ms")
        yield Claim(f"{ground.name}: event to SMTP 250, p99", waits[len(waits) * 99 // 100] * 1000, "ms")


def _fail(port: int, sink: Process) -> list[float]:
    waits = []
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {ENROL_KEY}"}) as client:
        for number in range(WARM + FAILURES):
            job = f"job-{number:05d}"
            begun = time.monotonic()
            event = {
                "agent": "host",
                "job": job,
                "phase": "finished",
                "outcome": "failure",
                "message": "disk full",
                "key": job,
            }
            client.post("/v1/events", json=event).raise_for_status()
            moment, _, subject = sink.line().decode().partition(" ")
            if job not in subject:
                raise RuntimeError(f"waited for a mail about {job}, and there came: {subject}")
            waits.append(float(moment) - begun)
    return waits[WARM:]
