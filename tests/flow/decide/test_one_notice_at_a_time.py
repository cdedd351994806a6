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
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path) as system:
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(rules).values(silent_after_s=None))
        yield system


async def alert_notices(system: SystemUnderTest) -> list[Any]:
    """Decide and word all that is due, and return the notices about alerts."""
    await system.decide()
    while await compose.tick(system.context):
        pass
    return await system.rows(notices, notices.c.alert_id.is_not(None))


async def fail(system: SystemUnderTest, severity: str = "error", job: str = "db") -> None:
    await system.receive(job=job, outcome="failure", severity=severity)


async def silence(system: SystemUnderTest, hours: float) -> None:
    now = system.time[0]
    row = {"id": new_id("sil"), "matchers": [], "comment": "", "created_by": "ann", "created_at": now}
    async with system.context.database.write() as tx:
        await tx.connection.execute(
            insert(silences), [{**row, "starts_at": now, "ends_at": now + timedelta(hours=hours)}]
        )


async def test_an_alert_that_became_critical_is_repeated_once_a_day_from_then_on(system: SystemUnderTest) -> None:
    await fail(system)
    await alert_notices(system)
    critical_at = system.pass_time(hours=6)
    await fail(system, "critical")
    await alert_notices(system)
    for _ in range(16):
        system.pass_time(hours=3)
        await alert_notices(system)
    hours = [(notice.due_at - critical_at).total_seconds() / 3600 for notice in await alert_notices(system)]
    assert hours == [-6, 0, 24, 48]


async def test_an_alert_that_becomes_critical_several_times_is_still_repeated(system: SystemUnderTest) -> None:
    for severity in ("error", "critical", "error", "critical"):
        await fail(system, severity)
        await alert_notices(system)
        system.pass_time(hours=1)
    assert len(await alert_notices(system)) == 2
    system.pass_time(hours=24)
    assert len(await alert_notices(system)) == 3


async def test_an_alert_that_opened_and_became_critical_under_a_silence_is_reported_once_after_it(
    system: SystemUnderTest,
) -> None:
    await silence(system, hours=2)
    for severity in ("error", "critical"):
        await fail(system, severity)
        await alert_notices(system)
        system.pass_time(minutes=10)
    system.pass_time(hours=2)
    sent = [(notice.what, notice.state) for notice in await alert_notices(system) if notice.state != "suppressed"]
    assert sent == [("opened", "worded")]
    [mail] = await system.mails()
    assert mail.subject.startswith("[FAILED]")


async def test_a_repeat_and_a_change_to_critical_under_a_silence_are_reported_once_after_it(
    system: SystemUnderTest,
) -> None:
    await fail(system)
    await alert_notices(system)
    system.pass_time(hours=23)
    await silence(system, hours=2)
    system.pass_time(hours=1)
    await alert_notices(system)
    await fail(system, "critical")
    await alert_notices(system)
    system.pass_time(hours=2)
    sent = [notice.what for notice in await alert_notices(system) if notice.state != "suppressed"]
    assert sent == ["opened", "repeated"]
    system.pass_time(hours=24)
    assert [notice.what for notice in await alert_notices(system) if notice.state != "suppressed"] == [
        *sent,
        "repeated",
    ]


async def test_after_a_clock_was_set_back_alerts_are_neither_held_back_nor_sent_one_by_one(
    system: SystemUnderTest,
) -> None:
    await fail(system)
    await alert_notices(system)
    set_back = system.pass_time(hours=-1)
    for job in ("a", "b", "c"):
        await fail(system, job=job)
        await alert_notices(system)
        system.pass_time(minutes=1)
    dues = {notice.due_at for notice in await alert_notices(system) if notice.created_at <= system.time[0]}
    assert dues == {set_back + timedelta(minutes=5)}
