"""Stages that have nothing to do wait for their wakeup; what comes without one, or while wakeups are lost, is seen within a bound."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.compose import tick as compose
from app.core import wakeups
from app.core.periodic import Idle
from app.core.settings import load_settings
from app.core.wakeups import IDLE, Wakeups
from app.decide import tick as decide
from app.deliver.transport import FakeTransport
from app.domain.attempt import Sent
from app.domain.recipient import Address
from app.store.engine import open_engines, share_wakeups
from tests.support.context import open_system
from tests.support.delivering import delivering
from tests.support.outbox import post

ANN = Address("smtp", "ann@example.org")


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110  (another task changes it)
            await asyncio.sleep(0.01)


async def test_stages_with_nothing_to_do_ask_to_wait_for_their_wakeup(database_url: str, tmp_path: Path) -> None:
    async with open_system(database_url, tmp_path) as system:
        assert await decide.tick(system.context) == Idle(IDLE)
        assert await compose.tick(system.context) == Idle(IDLE)


async def test_an_event_that_another_worker_holds_keeps_deciding_awake(
    postgres_database_url: str, tmp_path: Path
) -> None:
    """Nobody wakes this worker if the other one is killed before it decides."""
    async with open_system(postgres_database_url, tmp_path) as system:
        await system.receive(job="nightly", outcome="failure")
        async with system.context.database.write() as other:
            await other.connection.execute(text("SELECT id FROM events FOR UPDATE"))
            assert await decide.tick(system.context) is False


async def test_a_message_that_nobody_announces_is_sent_within_the_bound(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "IDLE", timedelta(seconds=1.5))
    transport = FakeTransport([Sent("250", "taken")])
    async with open_system(database_url, tmp_path) as system, delivering(system.context, {"smtp": transport}):
        await asyncio.sleep(0.3)  # it has looked and found nothing
        await post(system.context, ANN)
        await until(lambda: bool(transport.sent))


async def test_wakeups_are_heard_again_soon_after_their_connections_were_cut(
    postgres_database_url: str, tmp_path: Path
) -> None:
    engines = open_engines(load_settings(var_dir=tmp_path, database_url=postgres_database_url))
    here, other = Wakeups(), Wakeups()
    async with share_wakeups(here, engines), share_wakeups(other, engines):
        await until(lambda: here.are_heard and other.are_heard)
        for stage in (here.events, here.notices):
            stage.clear()
        async with engines.writer.connect() as connection:
            await connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
            )
        await until(here.events.is_set)  # what was announced while it was away is looked for
        other.wake("notices")
        await until(lambda: here.are_heard and other.are_heard and here.notices.is_set())
        here.notices.clear()
        other.wake("notices")
        await until(here.notices.is_set)
    await engines.close()
