"""Tools that tell start and end without naming a run: how long it took is known, whatever the order of arrival, on both databases."""

import random
from collections.abc import AsyncIterator
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from app.compose import tick as compose
from app.store.tables import job_days, runs
from tests.support.house import Lived, live_in

NIGHTS, MINUTES = 6, (7, 11, 13, 17, 19, 23)


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


def nights(lived: Lived) -> list[dict[str, Any]]:
    """A start that died, a start, and an end, each night."""
    told: list[dict[str, Any]] = []
    for night in range(NIGHTS):
        began = lived.time[0] - timedelta(days=NIGHTS - night)
        told += [
            {"phase": "started", "occurred_at": began - timedelta(minutes=30)},
            {"phase": "started", "occurred_at": began},
            {"outcome": "success", "occurred_at": began + timedelta(minutes=MINUTES[night])},
        ]
    return told


async def durations(lived: Lived) -> list[float]:
    ended = await lived.rows(runs, runs.c.ended_at.is_not(None))
    return [(run.ended_at - run.started_at).total_seconds() / 60 for run in sorted(ended, key=lambda run: run.ended_at)]


@pytest.mark.parametrize("order", ["as it happened", "backwards", "by chance"])
@pytest.mark.parametrize("at_once", [1, 4])
async def test_a_start_and_the_next_end_are_one_run(lived: Lived, order: str, at_once: int) -> None:
    told = nights(lived)
    if order == "backwards":
        told.reverse()
    elif order == "by chance":
        random.Random(7).shuffle(told)
    for number, event in enumerate(told, 1):
        await lived.receive(job="db", key=f"{event['occurred_at']}", **event)
        if number % at_once == 0:
            await lived.decide()
    await lived.decide()
    assert await durations(lived) == list(MINUTES)
    async with lived.house.store.read() as view:
        days = (await view.connection.execute(job_days.select())).all()
    assert sum(day.duration_s for day in days) == sum(MINUTES) * 60


async def test_a_mail_says_how_long_the_failed_run_took(lived: Lived) -> None:
    await lived.receive(job="db", phase="started", occurred_at=lived.time[0] - timedelta(minutes=9))
    await lived.receive(job="db", outcome="failure")
    await lived.decide()
    await compose.tick(lived.house)
    [message] = await lived.mails()
    text = message_from_bytes(message.mail, policy=default).get_body(("plain",))
    assert text is not None
    assert "Duration        9 min" in text.get_content()


async def test_whoever_tells_only_ends_or_names_runs_is_left_as_told(lived: Lived) -> None:
    await lived.receive(job="ends", outcome="success")
    await lived.receive(job="named", run="a", phase="started", occurred_at=lived.time[0] - timedelta(minutes=9))
    await lived.receive(job="named", outcome="success", metrics={"duration_s": 5})
    await lived.decide()
    ended = await lived.rows(runs, runs.c.ended_at.is_not(None))
    assert [run.started_at for run in ended] == [None, None]
