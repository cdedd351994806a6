"""The way from a failure to a mail: a service that sends to a sink, failures to POST, and the mails that the sink prints."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx

from bench.ground import ADMIN_KEY, Ground, Place, Process, running

ONE_MAIL_EACH = "UPDATE routes SET group_by = '[\"job\"]', group_interval_s = 0"
_JOB = re.compile(r"\bjob-[\w-]+")


def mail_settings(sink: Process) -> dict[str, str]:
    """Return the settings of a service that sends to the sink."""
    return {"smtp_url": f"smtp://127.0.0.1:{sink.port}?tls=none", "admin_email": "admin@example.org"}


@contextmanager
def mailing_service(ground: Ground, sink: Process, *, one_mail_each: bool = True) -> Iterator[tuple[Place, Process]]:
    """Run `tocsin serve` on a new database; each failure is a mail of its own, or the route stays as it is by default."""
    mail = mail_settings(sink)
    place = ground.place(**mail)
    if one_mail_each:
        ground.sql(place, ONE_MAIL_EACH)
    with running("app.cli", "serve", environment=place.environment(**mail)) as server:
        yield place, server


def failure(job: str, agent: str = "host", **fields: str) -> bytes:
    """Return the body of a POST to /v1/events."""
    event = {"agent": agent, "job": job, "phase": "finished", "outcome": "failure", "message": "disk full", "key": job}
    return json.dumps({**event, **fields}).encode()


class Mails:
    """What the sink took, read as it comes: the moment of each 250, by the job that the subject names.

    The moments are those of `time.monotonic`, which all processes share.
    """

    def __init__(self, sink: Process) -> None:
        self.moments: dict[str, float] = {}
        self.subjects: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        threading.Thread(target=self._read, args=(sink,), daemon=True).start()

    def _read(self, sink: Process) -> None:
        for line in sink.popen.stdout or ():
            moment, _, subject = line.decode().strip().partition(" ")
            with self._changed:
                self.subjects.append((float(moment), subject))
                if job := _JOB.search(subject):
                    self.moments.setdefault(job[0], float(moment))
                self._changed.notify_all()

    def wait_for(self, is_done: Callable[["Mails"], bool], seconds: float) -> bool:
        """Wait until it is so, for so long at most; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: is_done(self), seconds)

    def wait_for_job(self, job: str, seconds: float = 10) -> float:
        """Return the moment at which the job's mail was taken. Raises RuntimeError if it does not come."""
        if not self.wait_for(lambda mails: job in mails.moments, seconds):
            raise RuntimeError(f"no mail about {job} within {seconds} s; the last one: {self.subjects[-1:]}")
        return self.moments[job]


def percentile(values: list[float], part: float) -> float:
    """Return the value that this part of all values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def wait_until_idle(ground: Ground, place: Place, seconds: float) -> int:
    """Wait until no event is undecided, for so long at most; return how many are."""
    end = time.monotonic() + seconds
    while (left := undecided(ground, place)) and time.monotonic() < end:
        time.sleep(0.25)
    return left


def undecided(ground: Ground, place: Place) -> int:
    """Count the events that wait for a decision."""
    return int(ground.sql(place, "SELECT count(*) FROM events WHERE state = 'new'"))


def add_customers(server: Process, number: int, name: str) -> list[str]:
    """Create customers and return an enrolment key of each."""
    keys = []
    headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
        for one in range(number):
            customer = (
                client.post("/v1/customers", json={"name": f"{name}-{one:03d}", "time_zone": "UTC"})
                .raise_for_status()
                .json()
            )
            asked = {"kind": "enrol", "name": f"{name}-{one:03d}", "customer_id": customer["id"]}
            keys.append(client.post("/v1/keys", json=asked).raise_for_status().json()["key"])
    return keys
