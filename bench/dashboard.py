"""Claim: Now with 100 000 jobs is cheap, each other page begins soon, and 50 people who keep Now open cost intake little."""

import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import httpx

from bench.claim import Claim, Figure, at_most
from bench.dashboard_pages import add_pages, measure_pages
from bench.fleet import JOBS, add_fleet, add_rows, settle
from bench.ground import Ground, Place, Process, running
from bench.load import ENROL_KEY
from bench.rounds import load

_TOKEN = re.compile(r'name="csrf" value="([0-9a-f]+)"')
OPEN, ASKED, PEOPLE, SECONDS, RATE = 1_000, 40, 50, 20.0, 500
COLD_EACH, KEPT_S = 4, 3.5  # each fourth page counts all jobs again: counts are kept for three seconds
_OPEN = (
    "INSERT INTO alerts (id, customer_id, agent_id, job_id, subject_id, kind, severity, reason, message, since, opened_at, last_at, repeats) "
    "{series} SELECT 'alr_open_' || n, {customer}, 'agt_' || n, 'job_' || (n * 100), 'job_' || (n * 100), 'failed', 'error', "
    "'1st failure', 'no space left on device ' || (n % 40), {now}, {now}, {now}, 0 FROM series"
)


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` on each database. Milliseconds of a page are CPU time of the service: other work on the machine does not lengthen it."""
    for ground in grounds:
        place = ground.place()
        add_fleet(ground, place)
        add_rows(ground, place, _OPEN, 1, OPEN)
        add_pages(ground, place)
        settle(ground, place)
        with running("app.cli", "serve", environment=place.environment()) as server:
            yield from _page_and_people(ground, place, server)


def _page_and_people(ground: Ground, place: Place, server: Process) -> Iterator[Claim]:
    link = _link(place)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        _sign_in(client, link)
        time.sleep(8)  # what it loads after its start is loaded
        cpu, walls, size = [], [], 0
        for number in range(ASKED):
            if number % COLD_EACH == 0:
                time.sleep(KEPT_S)
            before, began = server.cpu_s + ground.cpu_s, time.perf_counter()
            with client.stream("GET", "/", params={"asked": number}) as answer:  # a page of its own, which nobody kept
                parts = answer.iter_raw()
                first = next(parts)
                walls.append((time.perf_counter() - began) * 1000)
                size = len(first) + sum(len(part) for part in parts)
                answer.raise_for_status()
            cpu.append((server.cpu_s + ground.cpu_s - before) * 1000)
        p95 = statistics.quantiles(walls, n=20)[18]
        name = f"{ground.name}: Now with {JOBS:,} jobs"
        yield Claim(f"{name}, CPU time of a page", Figure.of(sum(cpu) / len(cpu)), "ms")
        yield Claim(f"{name}, first byte, p95", Figure.of(p95), "ms", target=at_most(100))
        yield Claim(f"{name}, size", Figure.of(size / 1000), "kB", target=at_most(150))
        yield from measure_pages(ground, client, _TOKEN.findall(client.get("/people").text)[0])
        everybody = [_invite(client, number) for number in range(PEOPLE)]
    alone = _intake(server)
    people = _People(server.port, everybody)
    people.start()
    watched = _intake(server)
    updates = people.stop()
    yield Claim(f"{ground.name}: intake, {RATE} events/s offered, alone", Figure.of(alone), "/s")
    lost = max(0.0, 100 * (1 - watched / alone))
    name = f"intake lost to {PEOPLE} people on Now, who read it {updates} times in {SECONDS:.0f} s"
    yield Claim(f"{ground.name}: {name}", Figure.of(lost), "%", target=at_most(5))


def _intake(server: Process) -> float:
    """Return the events a second that were accepted of what was offered."""
    return load(server.port, connections=8, events=1, seconds=SECONDS, rate=RATE)["events_s"]


class _People:
    """People who keep Now open: each hears of changes, and reads the page again, as the script of the page does."""

    def __init__(self, port: int, everybody: list[dict[str, str]]) -> None:
        self._port = port
        self._stopped, self._updates, self._opened = threading.Event(), 0, 0
        self._threads = [threading.Thread(target=self._watch, args=(own,), daemon=True) for own in everybody]

    def start(self) -> None:
        """Open all pages, and fail a job each second, so that there is something to see."""
        for thread in self._threads:
            thread.start()
        until = time.monotonic() + 30
        while self._opened < PEOPLE and time.monotonic() < until:
            time.sleep(0.1)
        if self._opened < PEOPLE:
            raise RuntimeError(f"only {self._opened} of {PEOPLE} people have a stream of changes")
        threading.Thread(target=self._fail, daemon=True).start()

    def stop(self) -> int:
        """Close all pages; return how often one was read again."""
        self._stopped.set()
        return self._updates

    def _watch(self, cookies: dict[str, str]) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=60, cookies=cookies) as client:
            client.get("/").raise_for_status()
            stamp = ""
            with client.stream("GET", "/live") as stream:
                stream.raise_for_status()
                self._opened += 1
                for line in stream.iter_lines():
                    if self._stopped.is_set():
                        return
                    if line.startswith("data: ") and line != stamp:
                        if stamp:
                            client.get("/").raise_for_status()
                            self._updates += 1
                        stamp = line

    def _fail(self) -> None:
        headers = {"Authorization": f"Bearer {ENROL_KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=60, headers=headers) as client:
            number = 0
            while not self._stopped.wait(1.0):
                number += 1
                event = {"key": f"f{number}", "agent": "host-1", "job": f"failing-{number}", "outcome": "failure"}
                client.post("/v1/events", json=event).raise_for_status()


def _link(place: Place) -> str:
    words = [sys.executable, "-m", "app.cli", "people", "add", "bench@example.org", "--role", "owner"]
    done = subprocess.run(words, env={**os.environ, **place.environment()}, check=True, capture_output=True, text=True)
    found = re.search(r"http://[^/]+(/link/\S+)", done.stdout)
    if found is None:
        raise RuntimeError(f"no link: {done.stdout}")
    return found[1]


def _invite(owner: httpx.Client, number: int) -> dict[str, str]:
    """Add a reader, sign them in, and return their cookies: one person may only keep some pages open."""
    token = _TOKEN.findall(owner.get("/people").text)[0]
    person = {
        "csrf": token,
        "name": f"Reader {number}",
        "email": f"reader{number}@example.org",
        "role": "reader",
        "sees": "all",
    }
    link = re.search(r"http://[^/]+(/link/[^<\s]+)", owner.post("/people/new", data=person).text)
    if link is None:
        raise RuntimeError("the page of people shows no link")
    with httpx.Client(base_url=owner.base_url, timeout=60) as client:
        _sign_in(client, link[1], person["name"], person["email"])
        return dict(client.cookies)


def _sign_in(client: httpx.Client, link: str, name: str = "Bench", email: str = "bench@example.org") -> None:
    token = _TOKEN.search(client.get(link).text)
    if token is None:
        raise RuntimeError("the page of the link has no form")
    client.post(link, data={"csrf": token[1], "name": name, "email": email})
