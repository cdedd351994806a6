"""Claim: a summary over 1 000 jobs takes milliseconds, over 100 000 a second, and no longer when five times the events and history lie behind it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import uvloop

from app.compose import summary_mail
from app.domain.summary_schedule import SummarySchedule
from app.store.engine import open_engines
from app.store.summary_views import read_summary_view
from app.store.transactions import Database
from bench.claim import Claim, at_most
from bench.fleet import JOBS, add_fleet, add_history
from bench.ground import Ground, Place
from bench.rounds import by_turns

FEW, HISTORY, MORE, ROUNDS = 1_000, 100_000, 5, 3


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Gather and word it, on both databases by turns: over few jobs, over many, and over many with more events, runs and closed alerts."""
    contenders = {}
    for ground in grounds:
        for name, jobs, events in (("few", FEW, 0), ("many", JOBS, HISTORY), ("more", JOBS, MORE * HISTORY)):
            place = ground.place()
            add_fleet(ground, place, jobs)
            if events:
                add_history(ground, place, 0, events)
            contenders[f"{ground.name} {name}"] = partial(_take, place, jobs)
    took = by_turns(contenders, rounds=ROUNDS)
    for ground in grounds:
        few, many, more = (took[f"{ground.name} {name}"] for name in ("few", "many", "more"))
        yield Claim(f"{ground.name}: a summary over {FEW:,} jobs", few, "s", target=at_most(0.08, 0.05))
        yield Claim(
            f"{ground.name}: a summary over {JOBS:,} jobs, {HISTORY:,} events behind it",
            many,
            "s",
            target=at_most(1.5, 1),
        )
        title = f"{ground.name}: the same with {MORE * HISTORY:,} events / before"
        yield Claim(title, more, "s", many, at_most(1.25, of_peer=True))


def _take(place: Place, jobs: int) -> float:
    return uvloop.run(_summarise(place, jobs))


async def _summarise(place: Place, jobs: int) -> float:
    settings = place.settings()
    database = Database(open_engines(settings))
    end = datetime.now(UTC)  # the jobs of the fleet were created some hours ago
    schedule = SummarySchedule("sch_bench", "every morning", (), end)
    begun = time.perf_counter()
    async with database.read() as tx:
        view = await read_summary_view(tx, schedule, number=1, start=end - timedelta(days=1), end=end)
    mail = summary_mail.render(view, base_url="https://tocsin.example.org")
    took = time.perf_counter() - begun
    if view.jobs != jobs or not mail.html:
        raise RuntimeError(f"the summary contains {view.jobs} jobs")
    await database.close()
    return took
