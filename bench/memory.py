"""Claim: the service needs little memory at rest, and does not keep what went through it."""

import time
from collections.abc import Iterator

import httpx

from bench.claim import Claim
from bench.ground import Ground, Place, running
from bench.load import ENROL_KEY, Load
from bench.rounds import fresh_prefix

EVENTS, BATCH, FOLDED_S = 100_000, 500, 90
MIB = 1024 * 1024
_UNFOLDED = "SELECT count(*) FROM events WHERE state = 'new'"


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """`tocsin serve` with its worker, at rest and after 100 000 events were decided."""
    for ground in grounds:
        place = ground.place()
        with running("app.cli", "serve", environment=place.environment()) as server:
            with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
                _post(client, Load(fresh_prefix(), 1), 10)
                time.sleep(2)
                rest = server.resident / MIB
                _post(client, Load(fresh_prefix(), BATCH), EVENTS // BATCH)
            _wait_until_folded(ground, place)
            yield Claim(f"{ground.name}: memory at rest", rest, "MiB")
            yield Claim(f"{ground.name}: memory after {EVENTS:,} events / at rest", server.resident / MIB, "MiB", rest)


def _post(client: httpx.Client, load: Load, requests: int) -> None:
    kind = "application/json" if load.events == 1 else "application/x-ndjson"
    for _ in range(requests):
        headers = {"Authorization": f"Bearer {ENROL_KEY}", "Content-Type": kind}
        client.post("/v1/events", content=load.body(), headers=headers).raise_for_status()


def _wait_until_folded(ground: Ground, place: Place) -> None:
    end = time.monotonic() + FOLDED_S
    while (left := ground.sql(place, _UNFOLDED)) != "0" and time.monotonic() < end:
        time.sleep(0.5)
    if left != "0":
        print(f"{ground.name}: {left} events were not decided within {FOLDED_S} s")
