"""Claim: a summary over 100 000 jobs takes seconds, and no longer when ten times the events and history lie behind it."""

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
from bench.claim import Claim
from bench.fleet import JOBS, add_fleet, add_history
from bench.ground import Ground, Place
from bench.rounds import by_turns

HISTORY = 100_000


def measure(grounds: list[Ground]) -> Iterator[Claim]:
    """Gather and word it, by turns with one event, run and closed alert behind each job, and with ten."""
    for ground in grounds:
        places = {events: ground.place() for events in (HISTORY, 10 * HISTORY)}
        for events, place in places.items():
            add_fleet(ground, place)
            add_history(ground, place, 0, events)
        took = by_turns({str(events): partial(_take, place) for events, place in places.items()}, min)
        few, many = took.values()
        yield Claim(f"{ground.name}: a summary over {JOBS:,} jobs, {HISTORY:,} events behind it", few, "s")
        yield Claim(f"{ground.name}: the same with {10 * HISTORY:,} events / before", many, "s", few, at_most=1.25)


def _take(place: Place) -> float:
    return uvloop.run(_summarise(place))


async def _summarise(place: Place) -> float:
    settings = place.settings()
    database = Database(open_engines(settings))
    end = datetime.now(UTC)  # the jobs of the fleet were created some hours ago
    schedule = SummarySchedule("sch_bench", "every morning", (), end)
    begun = time.perf_counter()
    async with database.read() as tx:
        view = await read_summary_view(tx, schedule, number=1, start=end - timedelta(days=1), end=end)
    mail = summary_mail.render(view, base_url="https://tocsin.example.org")
    took = time.perf_counter() - begun
    if view.jobs != JOBS or not mail.html:
        raise RuntimeError(f"the summary contains {view.jobs} jobs")
    await database.close()
    return took
