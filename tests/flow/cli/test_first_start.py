"""The first start: an empty database works at once, whichever process starts first, and later starts apply changed settings."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, text, update

from app.admin.first_start import FirstStart, first_start
from app.cli.open_context import check_schema
from app.core.errors import BadSettings, Conflict, Unavailable
from app.core.secret import Secret, open_secret
from app.core.settings import Settings, load_settings
from app.store.engine import open_engines
from app.store.migrate import revision_state, upgrade
from app.store.tables import customers
from app.store.tables_managed import keys, recipients, routes, rules, summary_schedules
from app.store.transactions import Database
from tests.support.postgres import Cluster

ADMIN, ENROL = "an-admin-key-for-tests", "an-enrol-key-for-tests"
SECRET = Secret("s" * 32)


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(open_engines(load_settings(database_url=database_url, var_dir=tmp_path)))
    yield database
    await database.close()


async def start(database: Database, folder: Path, **settings: Any) -> FirstStart:
    return await first_start(database, load_settings(var_dir=folder, **settings), SECRET)


async def rows(database: Database, table: Any) -> list[Any]:
    async with database.read() as tx:
        return list((await tx.connection.execute(select(table).order_by(table.c.id))).all())


async def valid_hashes(database: Database) -> set[str]:
    return {row.hash for row in await rows(database, keys) if row.revoked_at is None}


def hashes(*clear: str) -> set[str]:
    return {SECRET.hash_key(one) for one in clear}


async def test_an_empty_database_gets_keys_rules_a_route_and_a_schedule(database: Database, tmp_path: Path):
    first = await start(database, tmp_path, time_zone="Europe/Berlin")
    assert first.admin_key is not None
    assert first.enrol_key is not None
    assert first.admin_key.startswith("tocsin_admin_")
    assert first.enrol_key.startswith("tocsin_enrol_")
    assert str(tmp_path / "mail") in first.mail_goes_to
    [customer] = await rows(database, customers)
    assert customer.time_zone == "Europe/Berlin"
    assert await valid_hashes(database) == hashes(first.admin_key, first.enrol_key)
    assert {row.kind: row.customer_id for row in await rows(database, keys)} == {"admin": None, "enrol": customer.id}
    assert {(row.kind, row.after_in_row, row.silent_after_s) for row in await rows(database, rules)} == {
        ("failed", 1, None),
        ("warning", 3, None),
        ("missed", 1, None),
        ("overrun", 1, None),
        ("agent_silent", 1, 48 * 3600),
        ("clock_off", 1, None),
        ("unclear", 1, None),
    }
    [recipient] = await rows(database, recipients)
    assert (recipient.name, recipient.transports) == ("admin", [{"transport": "file", "address": "admin@localhost"}])
    [route] = await rows(database, routes)
    assert (route.recipients, route.group_wait_s, route.send_recovery) == ([recipient.id], 0, True)
    [schedule] = await rows(database, summary_schedules)
    assert schedule.recipients == [recipient.id]
    assert schedule.next_at.astimezone(ZoneInfo("Europe/Berlin")).strftime("%H:%M") == "07:00"


async def test_a_second_start_changes_nothing_and_shows_no_key(database: Database, tmp_path: Path):
    first = await start(database, tmp_path)
    again = await start(database, tmp_path)
    assert (again.admin_key, again.enrol_key) == (None, None)
    assert await valid_hashes(database) == hashes(str(first.admin_key), str(first.enrol_key))
    assert len(await rows(database, rules)) == 7


async def test_many_processes_that_start_at_once_create_one_customer(database: Database, tmp_path: Path):
    firsts = await asyncio.gather(*(start(database, tmp_path) for _ in range(6)))
    assert len([one for one in firsts if one.admin_key]) == 1
    async with database.read() as tx:
        assert await tx.connection.scalar(select(func.count()).select_from(customers)) == 1


async def test_fixed_keys_replace_generated_ones(database: Database, tmp_path: Path):
    first = await start(database, tmp_path, admin_key=ADMIN, enrol_key=ENROL)
    assert (first.admin_key, first.enrol_key) == (None, None)
    assert await valid_hashes(database) == hashes(ADMIN, ENROL)


async def test_a_fixed_key_set_later_is_added_and_a_changed_one_replaced(database: Database, tmp_path: Path):
    first = await start(database, tmp_path)
    generated = hashes(str(first.admin_key), str(first.enrol_key))
    await start(database, tmp_path, admin_key=ADMIN, enrol_key=ENROL)
    assert await valid_hashes(database) == generated | hashes(ADMIN, ENROL)
    await start(database, tmp_path, admin_key=ADMIN + "2", enrol_key=ENROL)
    assert await valid_hashes(database) == generated | hashes(ADMIN + "2", ENROL)
    [customer] = await rows(database, customers)
    assert {row.customer_id for row in await rows(database, keys) if row.kind == "enrol"} == {customer.id}


async def test_a_fixed_key_that_an_admin_revoked_stays_revoked_until_it_changes(database: Database, tmp_path: Path):
    await start(database, tmp_path, admin_key=ADMIN, enrol_key=ENROL)
    async with database.write() as tx:
        await tx.connection.execute(update(keys).where(keys.c.kind == "enrol").values(revoked_at=keys.c.created_at))
    await start(database, tmp_path, admin_key=ADMIN, enrol_key=ENROL)
    assert await valid_hashes(database) == hashes(ADMIN)
    await start(database, tmp_path, admin_key=ADMIN, enrol_key=ENROL + "2")
    assert await valid_hashes(database) == hashes(ADMIN, ENROL + "2")


async def test_one_key_for_admins_and_agents_is_refused(database: Database, tmp_path: Path):
    with pytest.raises(BadSettings, match="TOCSIN_ENROL_KEY"):
        await start(database, tmp_path, admin_key=ADMIN, enrol_key=ADMIN)
    assert await rows(database, customers) == []


async def test_the_recipient_follows_the_settings_until_it_is_edited(database: Database, tmp_path: Path):
    await start(database, tmp_path)
    smtp = {"smtp_url": "smtp://mail.example.org:587", "admin_email": "ann@example.org"}
    started = await start(database, tmp_path, **smtp)
    assert started.mail_goes_to == "ann@example.org over SMTP"
    [recipient] = await rows(database, recipients)
    assert recipient.transports == [{"transport": "smtp", "address": "ann@example.org"}]
    await start(database, tmp_path, admin_email="ann@example.org")
    assert (await rows(database, recipients))[0].transports == [{"transport": "file", "address": "ann@example.org"}]
    async with database.write() as tx:
        await tx.connection.execute(update(recipients).values(follows_settings=False))
    await start(database, tmp_path, **smtp)
    assert (await rows(database, recipients))[0].transports == [{"transport": "file", "address": "ann@example.org"}]


def settings_of(url: str, folder: Path) -> Settings:
    return load_settings(database_url=url, var_dir=folder)


async def state_of(settings: Settings) -> tuple[str | None, str]:
    database = Database(open_engines(settings))
    try:
        async with database.read() as tx:
            return await revision_state(tx)
    finally:
        await database.close()


async def test_an_older_version_refuses_a_newer_schema_in_one_sentence(
    database: Database, database_url: str, tmp_path: Path
):
    async with database.write() as tx:
        await tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    settings = load_settings(database_url=database_url, var_dir=tmp_path)
    with pytest.raises(Conflict, match="a newer version upgraded it"):
        await upgrade(settings)  # `tocsin migrate`, and `tocsin serve` on SQLite
    with pytest.raises(Conflict, match="restore the backup"):
        await check_schema(database)
    assert (await state_of(settings))[0] == "9999"


async def test_a_missing_embedded_database_is_created_and_migrated(tmp_path: Path):
    settings = load_settings(var_dir=tmp_path / "new")
    await upgrade(settings)
    await upgrade(settings)
    current, head = await state_of(settings)
    assert current == head


@pytest.mark.postgres
async def test_several_hosts_migrate_at_once(postgres_cluster: Cluster, tmp_path: Path):
    settings = settings_of(postgres_cluster.create_database("migrated_at_once"), tmp_path)
    assert (await state_of(settings))[0] is None
    await asyncio.gather(*(upgrade(settings) for _ in range(3)))
    current, head = await state_of(settings)
    assert current == head
    postgres_cluster.drop_database("migrated_at_once")


async def test_a_database_that_cannot_be_reached_is_reported(tmp_path: Path):
    with pytest.raises(Unavailable):
        await upgrade(settings_of("postgresql://nobody@127.0.0.1:1/none", tmp_path))


async def test_the_secret_is_created_once_and_readable_only_by_its_owner(tmp_path: Path):
    settings = load_settings(var_dir=tmp_path / "new")
    made = await asyncio.gather(*(asyncio.to_thread(open_secret, settings) for _ in range(8)))
    assert len({one.hash_key("x") for one in made}) == 1
    file = tmp_path / "new" / "secret"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.read_text() not in repr(made)
    fixed = load_settings(var_dir=tmp_path, secret="s" * 32)
    assert open_secret(fixed).hash_key("x") == SECRET.hash_key("x") != made[0].hash_key("x")
