"""From the outbox to a real SMTP server that misbehaves: what arrives, how often, and what the attempts say."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.core.secret import Secret
from app.deliver import sweep
from app.deliver.transports import build_transports, smtp_server_pool
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.outbox import MAIL, life_of, message_of, post
from tests.support.smtp import Behave, SmtpServer

ANN, ANN_AT_HOME = Address("smtp", "ann@example.org"), Address("file", "ann@home.example")
SENT, QUEUED, UNKNOWN = MessageState.SENT, MessageState.QUEUED, MessageState.UNKNOWN
DEAD, MOVED = MessageState.DEAD, MessageState.MOVED


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@asynccontextmanager
async def office(
    database_url: str, folder: Path, server: SmtpServer, login: str = "", **settings: Any
) -> AsyncIterator[SystemUnderTest]:
    """An AppContext that delivers to `server`."""
    smtp_url = settings.pop("smtp_url", f"smtp://{login}localhost:{server.port}?tls=none")
    wanted = {"mail_from": "Tocsin <tocsin@example.org>", "smtp_timeout_s": 1, "log_level": "error", **settings}
    async with (
        open_system(database_url, folder, smtp_url=smtp_url, **wanted) as system,
        delivering(system.context, build_transports(system.context.settings, Secret("s" * 32))),
    ):
        yield system


async def test_a_message_arrives_and_its_attempt_holds_the_evidence(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, SENT)
        (attempt,) = await life_of(system.context, one)
    (received,) = server.wait_for(1)
    assert received.data.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r").startswith(MAIL.rstrip())
    assert received.recipients == (ANN.address,)
    assert (attempt.outcome, attempt.code, attempt.number) == ("sent", "250", 1)
    assert message.why == f"{attempt.code} {attempt.text}"


async def test_4xx_is_tried_again_later(database_url: str, tmp_path: Path, server: SmtpServer) -> None:
    server.behave = Behave(answers={"RCPT": "451 4.7.1 greylisted"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        await until(system.context, one, QUEUED, attempts=1)
        server.behave = Behave()
        system.pass_time(minutes=1)
        await until(system.context, one, SENT)
        life = await life_of(system.context, one)
    assert [(attempt.outcome, attempt.code) for attempt in life] == [("temporary", "451"), ("sent", "250")]
    assert len(server.wait_for(1)) == 1


async def test_5xx_is_dead_at_once(database_url: str, tmp_path: Path, server: SmtpServer) -> None:
    server.behave = Behave(answers={"RCPT": "550 5.1.1 no such user"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, DEAD)
    assert (message.attempts, message.why) == (1, "550 5.1.1 no such user")


async def test_a_closed_connection_after_the_final_dot_is_unknown_and_sent_again_with_the_same_message_id(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(hang_up="DOT")
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, UNKNOWN)
        assert message.maybe_sent
        server.behave = Behave()
        system.pass_time(minutes=1)
        message = await until(system.context, one, SENT)
        assert message.maybe_sent
        life = await life_of(system.context, one)
    assert [attempt.outcome for attempt in life] == ["unknown", "sent"]
    first, second = server.wait_for(2)
    assert first.data == second.data


async def test_a_closed_connection_before_the_final_dot_is_temporary(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(hang_up="DATA")
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, QUEUED, attempts=1)
    assert not message.maybe_sent


async def test_an_idle_connection_that_was_closed_costs_no_attempt(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(idle_close_s=0.2)
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        await until(system.context, one, SENT)
        await asyncio.sleep(0.5)
        (two,) = await post(system.context, ANN)
        message = await until(system.context, two, SENT)
    assert message.attempts == 1


async def test_a_wrong_password_is_temporary_and_visible(database_url: str, tmp_path: Path) -> None:
    with SmtpServer(users={"tocsin": "right"}) as server:
        async with office(database_url, tmp_path, server, login="tocsin:wrong@") as system:
            (one,) = await post(system.context, ANN)
            message = await until(system.context, one, QUEUED, attempts=1)
            (attempt,) = await life_of(system.context, one)
    assert (attempt.outcome, attempt.code) == ("temporary", "auth")
    assert (message.why or "").startswith("auth")


async def test_after_a_refusal_the_next_transport_reaches_the_recipient(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(answers={"RCPT": "550 5.1.1 no such user"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN, ANN_AT_HOME)
        moved = await until(system.context, one, MOVED)
        await until(system.context, moved.moved_to or "", SENT)
    (written,) = (tmp_path / "mail").glob("*.eml")
    assert written.read_bytes() == MAIL


async def test_a_refused_setting_waits_for_its_repair_and_never_ends_a_message(
    database_url: str, tmp_path: Path, server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_server_pool, "AUTH_PAUSE_S", 0)
    server.behave = Behave(answers={"MAIL": "550 5.7.60 Client does not have permissions to send as this sender"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, QUEUED, attempts=1)
        assert (message.why or "").startswith("sender 550 5.7.60")
        server.behave = Behave()
        system.pass_time(minutes=1)
        await until(system.context, one, SENT)
        life = await life_of(system.context, one)
    assert [(attempt.outcome, attempt.code) for attempt in life] == [("temporary", "sender"), ("sent", "250")]


async def test_a_refused_setting_or_quota_lets_an_alert_go_by_the_next_transport_at_once(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(answers={"DOT": "550 5.4.5 Daily user sending limit exceeded"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN, ANN_AT_HOME)
        moved = await until(system.context, one, MOVED)
        await until(system.context, moved.moved_to or "", SENT)
    assert moved.attempts == 1
    assert "quota 550 5.4.5" in (moved.why or "")


async def test_the_second_server_takes_the_mail_and_the_attempt_says_so(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    with SmtpServer() as gone:
        pass
    urls = f"smtp://localhost:{gone.port}?tls=none smtp://localhost:{server.port}?tls=none"
    async with office(database_url, tmp_path, server, smtp_url=urls) as system:
        (one,) = await post(system.context, ANN)
        message = await until(system.context, one, SENT)
        (attempt,) = await life_of(system.context, one)
    assert message.why == "250 2.0.0 kept"
    assert (attempt.text or "").splitlines()[1] == f"by localhost:{server.port}"
    assert f"not by localhost:{gone.port}: connect" in (attempt.text or "")


async def test_a_full_mailbox_is_tried_for_a_while_and_then_the_next_transport_is_used(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(answers={"RCPT": "552 5.2.2 mailbox full"})
    async with office(database_url, tmp_path, server) as system:
        (one,) = await post(system.context, ANN, ANN_AT_HOME)
        waiting = await until(system.context, one, QUEUED, attempts=1)
        assert waiting.due_at - waiting.created_at > timedelta(minutes=20)
        system.pass_time(minutes=16)
        await sweep.tick(system.context)
        moved = await message_of(system.context, one)
        assert moved.state is MOVED
        await until(system.context, moved.moved_to or "", SENT)


async def test_an_alert_moves_after_a_time_when_the_server_is_away(database_url: str, tmp_path: Path) -> None:
    with SmtpServer() as gone:
        pass
    async with office(database_url, tmp_path, gone) as system:
        (one,) = await post(system.context, ANN, ANN_AT_HOME)
        await until(system.context, one, QUEUED, attempts=1)
        system.pass_time(minutes=16)
        moved = await until(system.context, one, MOVED)
        successor = await until(system.context, moved.moved_to or "", SENT)
    assert successor.message_id == moved.message_id
    assert not successor.maybe_sent


async def test_a_dead_server_does_not_hold_up_another_transport(
    database_url: str, tmp_path: Path, server: SmtpServer
) -> None:
    server.behave = Behave(delays={"CONNECT": 3})
    async with office(database_url, tmp_path, server, smtp_timeout_s=3) as system:
        slow = await post(system.context, ANN, count=20)
        quick = await post(system.context, ANN_AT_HOME, count=5)
        async with asyncio.timeout(2):
            for one in quick:
                await until(system.context, one, SENT)
        assert (await message_of(system.context, slow[0])).state is not SENT
        server.behave = Behave()


async def test_a_new_critical_alert_overtakes_a_burst(database_url: str, tmp_path: Path, server: SmtpServer) -> None:
    server.behave = Behave(delays={"DOT": 0.05})
    async with office(database_url, tmp_path, server) as system:
        burst = await post(system.context, ANN, count=600, urgency=3)
        await until(system.context, burst[0], SENT)
        (critical,) = await post(system.context, ANN, urgency=0)
        await until(system.context, critical, SENT)
        assert len(server.messages) < 500  # at once: reading 600 states takes seconds on a busy machine


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["begun", "sent"])
async def test_kill_9_during_an_attempt_is_unknown_and_sent_again(
    database_url: str, tmp_path: Path, server: SmtpServer, cut: str
) -> None:
    """A worker in its own process dies during the SMTP dialogue: before the final dot, or after it and before the reply."""
    server.behave = Behave(delays={"DATA" if cut == "begun" else "DOT": 30})
    async with open_system(database_url, tmp_path, log_level="error") as system:
        ids = await post(system.context, ANN, count=10)
        worker = _one_worker(database_url, str(tmp_path), str(server.port))
        try:
            await _under_way(system, server, ids, begun=8, talking=2)
        finally:
            os.kill(worker.pid, signal.SIGKILL)
            worker.wait()
        system.pass_time(minutes=5)
        await sweep.tick(system.context)
        states = [(await message_of(system.context, one)).state for one in ids]
        assert (states.count(UNKNOWN), states.count(QUEUED)) == (8, 2)
    server.behave = Behave()
    async with office(database_url, tmp_path, server) as system:
        system.pass_time(minutes=5)
        lives = []
        for one in ids:
            await until(system.context, one, SENT)
            lives.append([attempt.outcome for attempt in await life_of(system.context, one)])
    assert sorted(lives) == [["sent"]] * 2 + [["unknown", "sent"]] * 8
    assert len(server.wait_for(10)) == (10 if cut == "begun" else 12)


def _one_worker(*arguments: str) -> subprocess.Popen[bytes]:
    program = Path(__file__).parents[2] / "support" / "one_worker.py"
    return subprocess.Popen([sys.executable, program, *arguments])


async def _under_way(system: SystemUnderTest, server: SmtpServer, ids: list[str], *, begun: int, talking: int) -> None:
    async with asyncio.timeout(30):
        while True:
            lives = [life for one in ids for life in await life_of(system.context, one)]
            if len(lives) == begun and server.count("DATA") >= talking:
                break
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.3)  # for the dot to arrive
