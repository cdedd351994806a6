"""Checks the migrations against the tables: one chain, the same result on both databases, up, down to an empty database, and up again."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

import app.store.tables_managed  # noqa: F401  (its tables are in the metadata too)
from app.store.migrate import newest_revision
from app.store.tables_managed import metadata
from tests.support.migrated import ALEMBIC_INI


def test_there_is_one_chain_of_migrations():
    chain = ScriptDirectory.from_config(Config(ALEMBIC_INI))
    assert len(chain.get_heads()) == 1
    assert len(chain.get_bases()) == 1
    assert chain.get_current_head() == newest_revision(), "the file's name must begin with its revision"


def test_the_migrations_make_the_tables_that_the_code_uses(database_url: str):
    _run(database_url, command.check)  # raises when autogenerate would change anything


async def test_down_to_nothing_and_up_again(database_url: str):
    made = await _schema(database_url)
    assert set(metadata.tables) <= set(made)
    _run(database_url, command.downgrade, "base")
    assert set(await _schema(database_url)) <= {"alembic_version"}
    _run(database_url, command.upgrade, "head")
    assert await _schema(database_url) == made


async def test_a_message_keeps_its_bytes_when_its_body_moves(database_url: str):
    """Migration 0004 moves the bodies out of the messages table, in a database with rows, and keeps the attempts."""
    mail = b"Subject: FAILED\r\n\r\n\x00\xff"
    _run(database_url, command.downgrade, "0003")
    at = "1795500000000000" if database_url.startswith("sqlite") else "now()"  # microseconds there
    await _execute(database_url, _MESSAGE.format(at=at), {"body": mail})
    await _execute(database_url, "INSERT INTO attempts (id, message_id, number, holder, token, started_at) " + _ATTEMPT)
    _run(database_url, command.upgrade, "head")
    assert await _execute(database_url, "SELECT message_id, mail, webhook FROM bodies") == [("msg_1", mail, None)]
    assert await _execute(database_url, "SELECT message_id FROM attempts") == [("msg_1",)]
    _run(database_url, command.downgrade, "0003")
    assert await _execute(database_url, "SELECT id, mail_body, webhook_body FROM messages") == [("msg_1", mail, None)]


async def test_a_migration_that_fails_changes_nothing_and_can_be_run_again(database_url: str):
    _run(database_url, command.downgrade, "0003")
    before = await _schema(database_url)
    await _execute(database_url, "CREATE VIEW stone AS SELECT webhook_body FROM messages")  # a column in use stays
    with pytest.raises(DBAPIError):
        _run(database_url, command.upgrade, "head")
    await _execute(database_url, "DROP VIEW stone")
    assert await _schema(database_url) == before
    _run(database_url, command.upgrade, "head")
    assert await _execute(database_url, "SELECT count(*) FROM bodies") == [(0,)]


async def test_an_installation_in_use_gets_the_rule_for_unclear_texts(database_url: str):
    """Migration 0010 adds it, unless there are no rules (a new database) or one of that name."""
    count = "SELECT count(*) FROM rules WHERE kind = 'unclear'"
    _run(database_url, command.downgrade, "0009")
    _run(database_url, command.upgrade, "head")
    assert await _execute(database_url, count) == [(0,)], "a new database gets its rules at the first start"
    _run(database_url, command.downgrade, "0009")
    at = "1795500000000000" if database_url.startswith("sqlite") else "now()"
    await _execute(
        database_url,
        "INSERT INTO rules (id, name, position, enabled, kind, matchers, after_in_row, retry_within_s, created_at)"
        f" VALUES ('rul_1', 'failed', 1, true, 'failed', '[]', 1, 0, {at})",
    )
    _run(database_url, command.upgrade, "head")
    assert await _execute(database_url, count) == [(1,)]


async def test_a_relay_that_was_stuck_or_paused_by_its_host_gets_probes_and_one_paused_by_a_person_stays_paused(
    database_url: str,
):
    _run(database_url, command.downgrade, "0014")
    at = "1795500000000000" if database_url.startswith("sqlite") else "now()"
    customer = f"INSERT INTO customers (id, name, time_zone, created_at) VALUES ('cus_1', 'A', 'UTC', {at})"
    await _execute(database_url, customer)
    columns = "id, customer_id, name, customers, recipients, silent_after_s, oldest_after_s, said, created_at"
    for name, more, values in (
        ("stuck", "stuck_at, stuck_why", f"{at}, 'taken back'"),
        ("logon", "paused_at, paused_why", f"{at}, 'logon_failed: 0x80040111'"),
        ("window", "paused_at, paused_why", f"{at}, 'needs_ui: Choose Profile'"),
        ("person", "paused_at, paused_why", f"{at}, 'we move the server (admin)'"),
    ):
        row = f"'rly_{name}', 'cus_1', '{name}', '[]', '[]', 300, 900, '{{}}', {at}, {values}"
        await _execute(database_url, f"INSERT INTO relays ({columns}, {more}) VALUES ({row})")
    _run(database_url, command.upgrade, "head")
    state = "SELECT name, broken_by, paused_at IS NOT NULL, probe_at IS NOT NULL FROM relays ORDER BY name"
    assert await _execute(database_url, state) == [
        ("logon", "logon_failed", False, True),
        ("person", None, True, False),
        ("stuck", "stuck", False, True),
        ("window", None, True, False),
    ]


_MESSAGE = """INSERT INTO messages (id, recipient_id, transport, place, address, state, urgency, is_alert, subject, message_id,
created_at, due_at, move_on_at, give_up_at, attempts, maybe_sent, mail_body)
VALUES ('msg_1', 'rcp_1', 'smtp', 0, 'a@b.example', 'queued', 1, true, 's', '<m@tocsin>',
{at}, {at}, {at}, {at}, 0, false, :body)"""
_ATTEMPT = "SELECT 'att_1', id, 1, 'w', 't', created_at FROM messages"


async def _execute(url: str, statement: str, values: dict[str, object] | None = None) -> list[tuple[object, ...]]:
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.begin() as connection:
        found = await connection.execute(text(statement), values or {})
        rows = [tuple(row) for row in found.all()] if found.returns_rows else []
    await engine.dispose()
    return rows


def _run(url: str, what, *revision: str) -> None:
    config = Config(ALEMBIC_INI)
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    # env.py starts an event loop of its own, which a thread that already runs one refuses.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(what, config, *revision).result()


async def _schema(url: str) -> dict[str, tuple[set[str], set[str]]]:
    """Return each table's columns, indexes and constraints by name."""
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        found = await connection.run_sync(_look)
    await engine.dispose()
    return found


def _look(connection: Connection) -> dict[str, tuple[set[str], set[str]]]:
    seen = inspect(connection)
    return {
        table: (
            {f"{column['name']} {column['type']!r} {column['nullable']}" for column in seen.get_columns(table)},
            {
                str(one["name"])
                for one in [
                    *seen.get_indexes(table),
                    *seen.get_unique_constraints(table),
                    *seen.get_foreign_keys(table),
                ]
            },
        )
        for table in seen.get_table_names()
    }
