"""Claim: the service needs little memory at rest, and does not keep what went through it."""

import time
from collections.abc import Iterator

import httpx

from app.intake.reading_process import IDLE_S
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground, Process, running
from bench.load import ENROL_KEY, Load
from bench.mails import wait_until_idle
from bench.rounds import fresh_prefix

EVENTS, BATCH, FOLDED_S = 200_000, 500, 150
LOADED_S, SAME_S, SAME_MIB = 60, 5, 0.5
MIB = 1024 * 1024


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` with its worker, at rest and after 200 000 events were decided; all of its processes together, what they share once."""
    for ground in grounds:
        place = ground.place()
        with running("app.cli", "serve", environment=place.environment()) as server:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
                _post(client, Load(fresh_prefix(), 1), 10)
                rest = _at_rest(server)
                _post(client, Load(fresh_prefix(), BATCH), EVENTS // BATCH)
            left = wait_until_idle(ground, place, FOLDED_S)
            time.sleep(IDLE_S + 1)  # then the processes have ended that read the bodies
            after = server.resident / MIB
        yield Claim(f"{ground.name}: memory at rest", Figure.of(rest), "MiB", target=at_most(110, 90))
        behind = f" (of which {left:,} were not decided within {FOLDED_S} s)" if left else ""
        title = f"{ground.name}: memory after {EVENTS:,} events{behind}"
        yield Claim(title, Figure.of(after), "MiB", target=at_most(140, 120))


def _at_rest(server: Process) -> float:
    """Return the MiB of the server when they have not changed for five seconds: what it loads after it answers counts too."""
    seen: list[float] = []
    for _ in range(LOADED_S):
        time.sleep(1)
        seen.append(server.resident / MIB)
        latest = seen[-SAME_S:]
        if len(latest) == SAME_S and max(latest) - min(latest) < SAME_MIB:
            break
    return seen[-1]


def _post(client: httpx.Client, load: Load, requests: int) -> None:
    kind = "application/json" if load.events == 1 else "application/x-ndjson"
    for _ in range(requests):
        headers = {"Authorization": f"Bearer {ENROL_KEY}", "Content-Type": kind}
        client.post("/v1/events", content=load.body(), headers=headers).raise_for_status()
