"""Claim: a scrape of 100 000 jobs takes seconds and little memory, and a status of all of them milliseconds."""

import threading
import time
from collections.abc import Iterator

import httpx
import psutil

from bench.claim import Claim, Figure, at_most
from bench.fleet import JOBS, add_history, add_jobs, settle
from bench.ground import ADMIN_KEY, Ground, Process, running

AGENTS, SCRAPES, ASKED = 1_000, 3, 20
MIB = 1024 * 1024
# Each job has a newest run with amounts, as in use.
_NEWEST = (
    "UPDATE jobs SET last_run_id = 'run_' || substr(id, 5), overdue_at = last_came_at + {day}, next_due_at = last_came_at + {day}",
    'UPDATE runs SET metrics = \'{"bytes_processed": 11274289152, "bytes_stored": 734003200, "duration_s": 2467.5}\'',
)


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` on each database. Seconds are CPU time of the service: other work on the machine does not lengthen it."""
    for ground in grounds:
        place = ground.place()
        add_jobs(ground, place, AGENTS, JOBS)
        add_history(ground, place, 0, JOBS)
        day = "interval '1 day'" if ground.cluster else "86400000000"
        ground.sql(place, *(statement.replace("{day}", day) for statement in _NEWEST))
        settle(ground, place)
        environment = place.environment(worker="false") if ground.cluster else place.environment()
        with running("app.cli", "serve", environment=environment) as server:
            headers = {"Authorization": f"Bearer {ADMIN_KEY}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=120, headers=headers) as client:
                client.get("/v1/status").raise_for_status()
                time.sleep(8)  # what it loads after its start is loaded, and what a worker does first is done
                seconds, walls, grown, size = [], [], [], 0
                for _ in range(SCRAPES):
                    cpu, wall, more, size = _scrape(server, client)
                    seconds.append(cpu)
                    walls.append(wall)
                    grown.append(more)
                before = server.cpu_s
                for _ in range(ASKED):
                    client.get("/v1/status").raise_for_status()
                asked = (server.cpu_s - before) / ASKED * 1000
                counted = [_counted_again(server, client) for _ in range(SCRAPES)]
        name = f"{ground.name}: a scrape of {JOBS:,} jobs"
        yield Claim(f"{name}, CPU time", Figure.of(*seconds), "s", target=at_most(3))
        yield Claim(f"{name}, elapsed", Figure.of(*walls), "s")
        yield Claim(f"{name}, memory that it adds", Figure.of(*grown), "MiB", target=at_most(20))
        yield Claim(f"{name}, answer", Figure.of(size / MIB), "MiB")
        name = f"{ground.name}: a status of {JOBS:,} jobs"
        yield Claim(f"{name}, CPU time on average of {ASKED} in a row", Figure.of(asked), "ms", target=at_most(5))
        yield Claim(f"{name}, CPU time of the first after three seconds, which counts again", Figure.of(*counted), "ms")


def _counted_again(server: Process, client: httpx.Client) -> float:
    """Ask for the status once its counts are too old to be used, and return the CPU time in milliseconds."""
    time.sleep(3.2)
    before = server.cpu_s
    client.get("/v1/status").raise_for_status()
    return (server.cpu_s - before) * 1000


def _scrape(server: Process, client: httpx.Client) -> tuple[float, float, float, int]:
    """Scrape once; return CPU seconds, seconds, the memory in MiB that was held more at its highest, and the bytes of the answer."""
    process = psutil.Process(server.popen.pid)
    before, highest, stopped, size = process.memory_info().rss, 0, threading.Event(), 0

    def watch() -> None:
        nonlocal highest
        while not stopped.wait(0.01):
            highest = max(highest, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu, begun = server.cpu_s, time.perf_counter()
    with client.stream("GET", "/metrics/jobs") as answer:
        answer.raise_for_status()
        for piece in answer.iter_raw():
            size += len(piece)
    used, took = server.cpu_s - cpu, time.perf_counter() - begun
    stopped.set()
    watcher.join()
    return used, took, max(0, highest - before) / MIB, size
