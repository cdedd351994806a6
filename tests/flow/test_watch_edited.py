"""What the clock watches, while administrators change it: nothing falls out of sight by an edit, and nothing stays behind for ever."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.manage import agents as managed_agents
from app.manage import editing
from app.manage.editing import Editor, Noun
from app.store.tables import alerts
from tests.support.house import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        yield lived


def ann(lived: Lived) -> Editor:
    return Editor("ann", lived.time[0], lambda _: None)


async def add(lived: Lived, noun: Noun, **given: Any) -> str:
    async with lived.house.store.write() as unit:
        return (await editing.create(unit, noun, given, ann(lived))).id


async def test_an_agent_that_was_added_by_hand_and_never_came_is_told(lived: Lived) -> None:
    given = {"customer_id": lived.customer_id, "name": "new", "labels": {}, "silent_after_s": 3600}
    agent_id = await add(lived, managed_agents.NOUN, **given)
    added_at = lived.time[0]
    lived.pass_time(hours=2)
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert (alert.kind, alert.subject_id, alert.since) == ("agent_silent", agent_id, added_at)
    lived.pass_time(days=3)
    await lived.decide()
    assert len(await lived.rows(alerts)) == 1
    lived.agent_ids["new"] = agent_id
    await lived.receive("new", activity="heartbeat")
    await lived.decide()
    [alert] = await lived.rows(alerts)
    assert alert.closed_reason == "the agent was heard again"
    lived.pass_time(hours=2)
    await lived.decide()
    assert [alert.since for alert in await lived.rows(alerts)] == [added_at, lived.time[0] - timedelta(hours=2)]
