"""The worker stops cleanly: it leases nothing new, finishes what it is sending, returns the rest, and ends within ten seconds."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import worker
from app.context import AppContext
from app.core.periodic import CANCEL_AGAIN_S
from app.domain.attempt import Outcome
from app.domain.message import MessageState, Parcel
from app.domain.recipient import Address
from app.store.heartbeats import heartbeats_since
from tests.support.context import open_system
from tests.support.outbox import life_of, message_of, post
from tests.support.smtp import Behave, SmtpServer

ANN = Address("smtp", "ann@example.org")


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@asynccontextmanager
async def context_at(
    database_url: str, folder: Path, server: SmtpServer, **settings: float
) -> AsyncIterator[AppContext]:
    """An AppContext with the real time."""
    async with open_system(
        database_url,
        folder,
        smtp_url=f"smtp://localhost:{server.port}?tls=none",
        mail_from="tocsin@example.org",
        log_level="error",
        **settings,
    ) as system:
        yield replace(system.context, clock=lambda: datetime.now(UTC))


async def stop(work: asyncio.Task[None]) -> float:
    """Stop the worker as `tocsin serve` does; return the seconds it took."""
    started = time.monotonic()
    while not work.done():
        work.cancel()
        await asyncio.wait([work], timeout=CANCEL_AGAIN_S)
    return time.monotonic() - started


async def states_of(context: AppContext, ids: list[str]) -> list[MessageState]:
    return [(await message_of(context, one)).state for one in ids]


async def reached(server: SmtpServer, place: str, times: int) -> None:
    async with asyncio.timeout(30):
        while server.count(place) < times:  # noqa: ASYNC110  (another thread counts)
            await asyncio.sleep(0.01)


async def test_messages_being_sent_are_finished_and_the_others_returned(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(delays={"DOT": 0.5})
    async with context_at(database_url, tmp_path, server, smtp_connections=2) as context:
        ids = await post(context, ANN, count=50)
        work = asyncio.create_task(worker.run(context))
        await reached(server, "DOT", 4)
        assert await stop(work) < 30
        states = await states_of(context, ids)
        sent = states.count(MessageState.SENT)
        assert states.count(MessageState.QUEUED) == len(ids) - sent
        assert len(server.messages) == sent
        lives = [attempt.outcome for one in ids for attempt in await life_of(context, one)]
        assert lives == ["sent"] * sent
        async with context.database.read() as tx:
            assert await heartbeats_since(tx, datetime(2020, 1, 1, tzinfo=UTC)) == []


async def test_a_server_that_hangs_does_not_delay_the_stop_and_the_outcome_is_unknown(
    database_url: str, tmp_path: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deliver.delivery_loop._FINISH_S", 1.0)
    server.behave = Behave(delays={"DOT": 60})
    async with context_at(database_url, tmp_path, server, smtp_connections=2, smtp_timeout_s=60) as context:
        ids = await post(context, ANN, count=9)  # two at the dot, six begun that wait for a connection, one not begun
        work = asyncio.create_task(worker.run(context))
        await reached(server, "DOT", 2)
        assert await stop(work) < 30
        states = await states_of(context, ids)
        assert (states.count(MessageState.UNKNOWN), states.count(MessageState.QUEUED)) == (2, 7)
        ends = Counter([(one.outcome, one.text) for each in ids for one in await life_of(context, each)])
        assert ends == {
            ("unknown", "the worker was stopped while this was being sent"): 2,
            ("temporary", "the worker was stopped before this was sent"): 6,
        }


@pytest.mark.parametrize("place", ["CONNECT", "MAIL", "RCPT", "DATA"])
async def test_a_stop_before_the_final_dot_is_temporary(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr("app.deliver.delivery_loop._FINISH_S", 0.5)
    server.behave = Behave(delays={place: 60})
    async with context_at(sqlite_database_url, tmp_path, server, smtp_connections=1, smtp_timeout_s=60) as context:
        ids = await post(context, ANN, count=1)
        work = asyncio.create_task(worker.run(context))
        await reached(server, place, 1)
        await stop(work)
        assert await states_of(context, ids) == [MessageState.QUEUED]
        [attempt] = await life_of(context, ids[0])
        assert (attempt.outcome, attempt.text) == ("temporary", "the worker was stopped before this was sent")


class SlowToEnd:
    """A transport whose sends never end by themselves, and each takes longer to break off than the one before."""

    def __init__(self) -> None:
        self.sending = 0

    async def send(self, parcel: Parcel) -> Outcome:
        """Wait for the end."""
        self.sending += 1
        number = self.sending
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(number * 0.3)
        raise AssertionError(parcel)

    async def close(self) -> None:
        """Do nothing."""


async def test_every_attempt_that_is_broken_off_is_written_however_long_its_end_takes(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.deliver.delivery_loop._FINISH_S", 0.1)
    async with context_at(sqlite_database_url, tmp_path, server, smtp_connections=1) as context:
        ids = await post(context, ANN, count=3)
        transport = SlowToEnd()
        work = asyncio.create_task(worker.run(context, {"smtp": transport}))
        async with asyncio.timeout(30):
            while transport.sending < len(ids):  # noqa: ASYNC110  (the transport counts)
                await asyncio.sleep(0.01)
        await stop(work)
        ends = [one.outcome for each in ids for one in await life_of(context, each)]
        assert ends == ["unknown"] * 3


async def test_a_failing_stage_stops_no_other_stage_and_is_tried_again(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    async def broken(context: AppContext) -> bool:
        calls.append(context)
        raise RuntimeError("a defect")

    monkeypatch.setattr("app.decide.tick.tick", broken)
    async with context_at(sqlite_database_url, tmp_path, server) as context:
        work = asyncio.create_task(worker.run(context))
        (one,) = await post(context, ANN)
        async with asyncio.timeout(10):
            while (await states_of(context, [one])) != ["sent"] or len(calls) < 2:  # noqa: ASYNC110  (the database knows)
                await asyncio.sleep(0.05)
        assert not work.done()
        await stop(work)


@pytest.mark.postgres
async def test_sigterm_ends_the_program_cleanly(postgres_database_url: str, tmp_path: Path, server: SmtpServer) -> None:
    server.behave = Behave(delays={"DOT": 0.3})
    async with context_at(postgres_database_url, tmp_path, server, smtp_connections=2) as context:
        ids = await post(context, ANN, count=40)
        program = _program(postgres_database_url, tmp_path, server)
        try:
            await reached(server, "DOT", 4)
            started = time.monotonic()
            program.send_signal(signal.SIGTERM)
            _, log = await asyncio.to_thread(program.communicate, timeout=45)
        finally:
            program.kill()
            program.communicate()
        assert time.monotonic() - started < 40
        assert program.returncode == 0, log.decode()
        states = await states_of(context, ids)
        assert set(states) == {MessageState.SENT, MessageState.QUEUED}
        assert states.count(MessageState.SENT) == len(server.messages)


def _program(database_url: str, folder: Path, server: SmtpServer) -> subprocess.Popen[bytes]:
    settings = {
        "TOCSIN_DATABASE_URL": database_url.replace("+asyncpg", ""),
        "TOCSIN_VAR_DIR": str(folder),
        "TOCSIN_SMTP_URL": f"smtp://localhost:{server.port}?tls=none",
        "TOCSIN_SMTP_CONNECTIONS": "2",
    }
    command = [sys.executable, "-m", "app.cli", "worker"]
    return subprocess.Popen(
        command, cwd=Path(__file__).parents[3], env={**os.environ, **settings}, stderr=subprocess.PIPE
    )
