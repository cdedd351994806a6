"""On PostgreSQL a worker that starts takes back what a dead worker of its host leased, before the leases expire, and nothing of one that lives."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from app.core.clock import now
from app.core.periodic import run_in_background
from app.core.settings import load_settings
from app.deliver import lease, sweep
from app.deliver.worker_lock import worker_locks
from app.domain.lease import Leased
from app.domain.message import MessageState
from app.domain.recipient import Address
from app.store import engine, heartbeats
from app.store.heartbeats import WorkerSession, heartbeats_since
from app.store.transactions import Database
from app.worker import run
from tests.support.context import SystemUnderTest, open_system
from tests.support.outbox import message_of, post

ANN = Address("smtp", "ann@example.org")
NAME = f"worker:{socket.gethostname()}:1:aa"


@pytest.fixture
async def system(postgres_database_url: str, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    async with open_system(postgres_database_url, tmp_path) as system:
        system.time[0] = now()  # a worker refuses to work with another clock than the database's
        yield system


async def take(system: SystemUnderTest, limit: int, holder: str) -> list[Leased]:
    until = system.time[0] + timedelta(seconds=30)
    async with system.context.database.write() as tx:
        return await lease.lease(tx, "smtp", limit, system.time[0], holder, until)


async def has_worked(system: SystemUnderTest) -> bool:
    async with system.context.database.read() as tx:
        return bool(await heartbeats_since(tx, system.time[0]))


@asynccontextmanager
async def another_worker(system: SystemUnderTest) -> AsyncIterator[None]:
    """Run a worker without transports; the block begins once it works."""
    work = asyncio.create_task(run(system.context, {}))
    while not await has_worked(system):
        assert not work.done()
        await asyncio.sleep(0.02)
    yield
    work.cancel()
    with suppress(asyncio.CancelledError):
        await work


@pytest.mark.parametrize("is_alive", [False, True])
async def test_leases_end_with_their_worker(system: SystemUnderTest, is_alive: bool) -> None:
    await post(system.context, ANN, count=3)
    begun, waiting = await take(system, 2, holder=NAME)
    (of_other_host,) = await take(system, 1, holder="worker:elsewhere:1:aa")
    async with system.context.database.write() as tx:
        await lease.begin(tx, [begun.claim], system.time[0])
    folder = system.context.settings.var_dir / "workers"
    with worker_locks(folder, "worker:") as locks:
        locks.keep_one(NAME)
        if not is_alive:
            locks.close()
        async with another_worker(system):  # the clock of the system stands still, so no lease expires
            found = [(await message_of(system.context, one.parcel.id)).state for one in (begun, waiting, of_other_host)]
    leased = MessageState.LEASED
    assert found == ([leased] * 3 if is_alive else [MessageState.UNKNOWN, MessageState.QUEUED, leased])


HOLD_AND_SEND = """
import asyncio, sys
from datetime import timedelta
from app.core.clock import now
from app.core.settings import load_settings
from app.core.periodic import run_in_background
from app.core.settings import load_settings
from app.deliver import lease, sweep
from app.store.engine import open_engines
from app.store.heartbeats import Heartbeat, WorkerSession, write_heartbeat
from app.store.transactions import Database

async def work(url, name):
    database, lock = Database(open_engines(load_settings(database_url=url))), WorkerSession()
    keeping = asyncio.create_task(lock.keep(database, name))
    async with database.write() as tx:
        await write_heartbeat(tx, Heartbeat(name, now(), now(), ("smtp",), []))
        await lease.lease_and_begin(tx, "smtp", 1, now(), name, now() + timedelta(minutes=10))
    while lock._held_since is None:
        await asyncio.sleep(0.01)
    print("sends", flush=True)
    await keeping

asyncio.run(work(*sys.argv[1:]))
"""


async def test_leases_of_a_worker_that_was_killed_on_another_host_end_with_its_session(system: SystemUnderTest) -> None:
    [message_id] = await post(system.context, ANN)
    command = sys.executable, "-c", HOLD_AND_SEND, system.context.settings.database, "worker:elsewhere:1:aa"
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"sends\n"
    system.time[0] = now()  # its start may have taken seconds
    own = WorkerSession()
    async with run_in_background(own.keep(system.context.database, NAME)):

        async def sweep_later() -> None:
            own._held_since = float("-inf")  # as if this worker had run for a while
            await sweep.tick(system.context, own)

        await sweep_later()
        assert (await message_of(system.context, message_id)).state is MessageState.LEASED, "it has just been heard of"
        system.pass_time(seconds=12)
        await sweep_later()
        state = (await message_of(system.context, message_id)).state
        assert state is MessageState.LEASED, "its session lives, though its heartbeat is late"
        process.kill()
        await process.wait()
        async with asyncio.timeout(5):
            while (await message_of(system.context, message_id)).state is MessageState.LEASED:
                await sweep_later()
    assert (await message_of(system.context, message_id)).state is MessageState.UNKNOWN, "it may have been sent"


async def test_a_worker_takes_its_lock_again_although_a_connection_is_never_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise another worker would count it as dead and send again what it is sending."""
    assert heartbeats._DEAD_AFTER.total_seconds() / 2 >= engine.LOCK_CONNECT_S + engine.LOCK_RETRY_S
    monkeypatch.setattr(engine, "LOCK_CONNECT_S", 0.1)
    monkeypatch.setattr(engine, "LOCK_RETRY_S", 0.01)
    tries = 0

    async def never_answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await stopped.wait()
        writer.close()

    stopped = asyncio.Event()
    server = await asyncio.start_server(never_answer, "127.0.0.1", 0)
    url = f"postgresql+asyncpg://ann:secret@127.0.0.1:{server.sockets[0].getsockname()[1]}/tocsin"
    database = Database(engine.open_engines(load_settings(var_dir=tmp_path, database_url=url)))
    try:
        async with run_in_background(WorkerSession().keep(database, NAME)), asyncio.timeout(10):
            while tries < 3:  # noqa: ASYNC110  (the server changes it)
                await asyncio.sleep(0.01)
    finally:
        stopped.set()
        server.close()
        await database.engines.close()
