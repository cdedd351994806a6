"""The purge also deletes what grows slowly: the last notices of groups, summaries, the audit log, and mails in the folder."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from app.admin import purge
from app.admin.audit import note
from app.admin.editing import Editor
from app.core.ids import first_id_at
from app.decide import summaries as decide
from app.deliver import purge_files
from app.deliver.transports.file import file_name
from app.domain.retention import Retention
from app.store.purge import save_retention
from app.store.tables import canaries, groups, notices
from app.store.tables_managed import audit, summaries, summary_schedules
from tests.support.context import SystemUnderTest, open_system


@pytest.fixture
async def system(database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        yield system


async def purge_all(system: SystemUnderTest) -> None:
    while await purge.tick(system.context):
        pass


async def test_groups_without_recent_notices_are_deleted(system: SystemUnderTest) -> None:
    last_notices = {"old": system.time[0] - timedelta(days=500), "young": system.time[0] - timedelta(days=300)}
    rows = [{"route_id": "rte_1", "group_key": key, "told_at": at} for key, at in last_notices.items()]
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(groups), rows)
    await purge_all(system)
    async with system.context.database.read() as tx:
        assert [row.group_key for row in await tx.connection.execute(groups.select())] == ["young"]


async def test_the_audit_log_is_kept_as_long_as_history(system: SystemUnderTest) -> None:
    for days in (500, 300):
        at = system.time[0] - timedelta(days=days)
        async with system.context.database.write() as tx:
            await note(
                tx, Editor(f"ann, {days} days ago", at, system.context.wakeups.wake), "change", "route", "rte_1", None
            )
            new = update(audit).where(audit.c.at == at)
            await tx.connection.execute(new.values(id=first_id_at("aud", at) + "0" * 16))
    await purge_all(system)
    assert [row.who for row in await system.rows(audit, audit.c.noun == "route")] == ["ann, 300 days ago"]


@pytest.mark.slow
async def test_summaries_are_deleted_except_the_newest_of_each_schedule_and_those_not_composed_yet(
    system: SystemUnderTest,
) -> None:
    [schedule] = await system.rows(summary_schedules)
    made = []
    for days in (503, 502, 501):
        at = system.time[0] - timedelta(days=days)
        async with system.context.database.write() as tx:
            one = await decide.make_now(tx, schedule.id, at)
            made.append(first_id_at("sum", at) + "0" * 16)
            old = {"id": made[-1], "on_demand": False}
            await tx.connection.execute(update(summaries).where(summaries.c.id == one).values(**old))
            waiting = update(notices).where(notices.c.summary_id == one)
            await tx.connection.execute(
                waiting.values(summary_id=made[-1], state="waiting" if days == 502 else "worded")
            )
    await purge_all(system)
    assert [row.id for row in await system.rows(summaries)] == made[1:]
    async with system.context.database.write() as tx:
        await tx.connection.execute(update(notices).values(state="worded"))
    await purge_all(system)
    assert [row.id for row in await system.rows(summaries)] == made[2:]


async def test_old_mails_are_deleted_from_the_folder_and_other_files_stay(
    system: SystemUnderTest, tmp_path: Path
) -> None:
    def mail_of(days: int) -> str:
        return file_name(first_id_at("msg", system.time[0] - timedelta(days=days)) + "0" * 16)

    await purge_files.tick(system.context)  # before there is a folder
    folder = tmp_path / "mail"
    folder.mkdir()
    for name in (mail_of(500), mail_of(399), "20200101T000000.eml", "19990101-notes.txt"):
        (folder / name).write_text("")
    await purge_files.tick(system.context)
    assert {file.name for file in folder.iterdir()} == {mail_of(399), "20200101T000000.eml", "19990101-notes.txt"}
    async with system.context.database.write() as tx:
        await save_retention(tx, Retention(5, 300, version=1))
    await purge_files.tick(system.context)
    assert not (folder / mail_of(399)).exists(), "the administrators' word holds"


async def test_canaries_are_deleted_but_not_one_that_may_arrive_or_whose_alert_is_open(system: SystemUnderTest) -> None:
    old, young = (first_id_at("cny", system.time[0] - timedelta(days=days)) for days in (500, 300))
    kinds = {
        f"{old}1": ("arrived", False),
        f"{old}2": ("lost", False),
        f"{old}3": ("lost", True),
        f"{old}4": ("waiting", False),
        f"{young}5": ("arrived", False),
    }
    values = {
        "customer_id": system.customer_id,
        "transport": "smtp",
        "relay_id": "",
        "name": "smtp",
        "fingerprint": "f",
    }
    values |= {"message_id": "msg_1", "day": system.time[0].date(), "sent_at": system.time[0], "hops": []}
    rows = [
        {**values, "id": id_, "occasion": id_, "state": state, "is_reported": is_reported}
        for id_, (state, is_reported) in kinds.items()
    ]
    async with system.context.database.write() as tx:
        await tx.connection.execute(insert(canaries), rows)
    await purge_all(system)
    assert [row.id for row in await system.rows(canaries)] == [f"{old}3", f"{old}4", f"{young}5"]
