"""Claim: an event of a job with a million runs costs deciding as much CPU time as one of a job with a hundred, in any order of times.

By name only, since it writes four million runs: `make bench ARGS=deciding`. BENCH_SCALE=0.01 in the environment makes the histories a hundredth as long.
"""

import asyncio
import os
from collections.abc import Iterator

from app.decide import tick as decide
from bench.claim import Claim, Figure, at_most
from bench.ground import Ground
from tests.support.context import SystemUnderTest, open_system
from tests.support.histories import SHAPES, receive_at, times_of, write_history
from tests.support.write_hold import measured_holds

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
LENGTHS = {"100": 100, "10 000": round(10_000 * SCALE), "1 000 000": round(1_000_000 * SCALE)}
NEW, ROUNDS = 200, 3


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """For each kind of run key and each order of times, jobs with histories of three lengths, by turns."""
    for ground in grounds:
        for named in (False, True):
            yield from asyncio.run(_measure(ground, named=named))


async def _measure(ground: Ground, *, named: bool) -> list[Claim]:
    place = await asyncio.to_thread(ground.place)
    kind = "with run keys" if named else "without run keys"
    claims: list[Claim] = []
    async with open_system(place.url, place.folder) as system:
        for number, runs in enumerate(LENGTHS.values()):
            await write_history(system, f"j{number}", runs, named=named, same_time=runs // 2)
        for shape in SHAPES:
            costs: dict[str, Figure] = {}
            for number, name in enumerate(LENGTHS):
                seen = [await _cpu_us(system, f"j{number}", shape, named=named) for _ in range(ROUNDS)]
                costs[name] = Figure.of(min(seen))
            for name in ("10 000", "1 000 000"):
                title = f"{ground.name}: {shape}, {kind}, {LENGTHS[name]:,} runs / 100"
                claims.append(Claim(title, costs[name], "us/event", costs["100"], at_most(1.5, of_peer=True)))
    return claims


async def _cpu_us(system: SystemUnderTest, job: str, shape: str, *, named: bool) -> float:
    await receive_at(system, job, times_of(shape, system, NEW), named=named)
    with measured_holds() as holds:
        while await decide.tick(system.context):
            pass
    return 1e6 * sum(hold.cpu_s for hold in holds.seen) / NEW
