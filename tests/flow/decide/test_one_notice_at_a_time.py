"""An alert that is reported, muted, becomes critical or is repeated: one notice at a time, neither late nor twice by any of these together."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from app.compose import tick as compose
from app.core.ids import new_id
from app.store.tables import notices
from app.store.tables_managed import rules, silences
from tests.support.context import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path) as lived:
        async with lived.context.database.write() as tx:
            await tx.connection.execute(update(rules).values(silent_after_s=None))
        yield lived


async def alert_notices(lived: Lived) -> list[Any]:
    """Decide and word all that is due, and return the notices about alerts."""
    await lived.decide()
    while await compose.tick(lived.context):
        pass
    return await lived.rows(notices, notices.c.alert_id.is_not(None))


async def fail(lived: Lived, severity: str = "error", job: str = "db") -> None:
    await lived.receive(job=job, outcome="failure", severity=severity)


async def silence(lived: Lived, hours: float) -> None:
    now = lived.time[0]
    row = {"id": new_id("sil"), "matchers": [], "comment": "", "created_by": "ann", "created_at": now}
    async with lived.context.database.write() as tx:
        await tx.connection.execute(
            insert(silences), [{**row, "starts_at": now, "ends_at": now + timedelta(hours=hours)}]
        )


async def test_an_alert_that_became_critical_is_repeated_once_a_day_from_then_on(lived: Lived) -> None:
    await fail(lived)
    await alert_notices(lived)
    critical_at = lived.pass_time(hours=6)
    await fail(lived, "critical")
    await alert_notices(lived)
    for _ in range(16):
        lived.pass_time(hours=3)
        await alert_notices(lived)
    hours = [(notice.due_at - critical_at).total_seconds() / 3600 for notice in await alert_notices(lived)]
    assert hours == [-6, 0, 24, 48]


async def test_an_alert_that_becomes_critical_several_times_is_still_repeated(lived: Lived) -> None:
    for severity in ("error", "critical", "error", "critical"):
        await fail(lived, severity)
        await alert_notices(lived)
        lived.pass_time(hours=1)
    assert len(await alert_notices(lived)) == 2
    lived.pass_time(hours=24)
    assert len(await alert_notices(lived)) == 3


async def test_an_alert_that_opened_and_became_critical_under_a_silence_is_reported_once_after_it(lived: Lived) -> None:
    await silence(lived, hours=2)
    for severity in ("error", "critical"):
        await fail(lived, severity)
        await alert_notices(lived)
        lived.pass_time(minutes=10)
    lived.pass_time(hours=2)
    sent = [(notice.what, notice.state) for notice in await alert_notices(lived) if notice.state != "suppressed"]
    assert sent == [("opened", "worded")]
    [mail] = await lived.mails()
    assert mail.subject.startswith("FAILED")


async def test_a_repeat_and_a_change_to_critical_under_a_silence_are_reported_once_after_it(lived: Lived) -> None:
    await fail(lived)
    await alert_notices(lived)
    lived.pass_time(hours=23)
    await silence(lived, hours=2)
    lived.pass_time(hours=1)
    await alert_notices(lived)
    await fail(lived, "critical")
    await alert_notices(lived)
    lived.pass_time(hours=2)
    sent = [notice.what for notice in await alert_notices(lived) if notice.state != "suppressed"]
    assert sent == ["opened", "repeated"]
    lived.pass_time(hours=24)
    assert [notice.what for notice in await alert_notices(lived) if notice.state != "suppressed"] == [*sent, "repeated"]


async def test_after_a_clock_was_set_back_alerts_are_neither_held_back_nor_sent_one_by_one(lived: Lived) -> None:
    await fail(lived)
    await alert_notices(lived)
    set_back = lived.pass_time(hours=-1)
    for job in ("a", "b", "c"):
        await fail(lived, job=job)
        await alert_notices(lived)
        lived.pass_time(minutes=1)
    dues = {notice.due_at for notice in await alert_notices(lived) if notice.created_at <= lived.time[0]}
    assert dues == {set_back + timedelta(minutes=5)}
