"""A canary mail from the clock to its arrival, or to the alert by another way: over a real SMTP server, on both databases."""

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
from sqlalchemy import update

from app.compose import canaries as compose_canaries
from app.compose import tick as compose
from app.core.secret import Secret
from app.decide import canaries as decide_canaries
from app.deliver import sweep
from app.deliver.canary import canary_arrived
from app.deliver.transports import build_transports
from app.domain.canary import Canary, CanaryState
from app.domain.message import MessageState
from app.domain.own_address import PURPOSE, AddressKind, read_address
from app.domain.recipient import Address
from app.store.canaries import CANARIES, mail_times
from app.store.row_mapping import addresses_json
from app.store.summaries import SUMMARY_SCHEDULES
from app.store.summary_views import read_summary_view
from app.store.tables import alerts, canaries, events, jobs, messages
from app.store.tables_managed import recipients, summary_schedules
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.running import wait_until
from tests.support.smtp import Behave, Received, SmtpServer
from tests.support.webhook_server import reply, running

RECEIVED = [
    "from mx.example.org by imap.example.org with LMTP id 2; Mon, 23 Nov 2026 12:00:04 +0000",
    "from tocsin by mx.example.org with ESMTPS id 1; Mon, 23 Nov 2026 12:00:02 +0000",
]
SETTINGS = {
    "mail_from": "Tocsin <tocsin@example.org>",
    "bounce_address": "bounces@example.org",
    "admin_email": "ann@example.org",
    "mail_in_port": 2525,
    "smtp_timeout_s": 1,
    "webhook_allow_private": True,
    "log_level": "error",
}


@pytest.fixture
def server() -> Iterator[SmtpServer]:
    with SmtpServer() as running:
        yield running


@asynccontextmanager
async def installed(
    database_url: str, folder: Path, server: SmtpServer, **settings: Any
) -> AsyncIterator[SystemUnderTest]:
    """An AppContext that delivers to `server`."""
    smtp_url = f"smtp://localhost:{server.port}?tls=none"
    async with (
        open_system(database_url, folder, **{"smtp_url": smtp_url, **SETTINGS, **settings}) as system,
        delivering(system.context, build_transports(system.context.settings, Secret("s" * 32))),
    ):
        yield system


async def canary_rows(system: SystemUnderTest) -> list[Canary]:
    return [CANARIES.mapping.read(row) for row in await system.rows(canaries)]


async def newest(system: SystemUnderTest) -> Canary:
    return (await canary_rows(system))[-1]


def id_in(system: SystemUnderTest, received: Received) -> str:
    """Return the canary that a mail is addressed to, as our mail listener reads it."""
    found = read_address(system.context.secret.derive(PURPOSE), received.recipients[0])
    assert found is not None
    assert found[0] is AddressKind.CANARY
    return found[1]


async def arrives(system: SystemUnderTest, canary_id: str, **after: float) -> None:
    arrived_at = system.pass_time(**after)
    async with system.context.database.write() as tx:
        await canary_arrived(tx, canary_id, arrived_at, RECEIVED)


async def lose(system: SystemUnderTest) -> None:
    """Let the time pass in which the newest canary should have arrived, and decide."""
    await until(system.context, (await newest(system)).message_id, MessageState.SENT)
    system.pass_time(minutes=16)
    await decide_canaries.tick(system.context)
    await system.decide()


async def summary_counts(system: SystemUnderTest) -> tuple[int, int]:
    """Return how many jobs a summary up to now counts, and how many failed; and hold that no run was counted."""
    (row,) = await system.rows(summary_schedules)
    async with system.context.database.read() as tx:
        schedule = await SUMMARY_SCHEDULES.get(tx, row.id)
        end = system.pass_time(seconds=1)
        view = await read_summary_view(tx, schedule, number=1, start=end - timedelta(days=7), end=end)
    assert view.runs is not None
    assert view.runs.failures + view.runs.successes == view.undelivered == 0
    return view.jobs, view.failed


async def test_a_canary_is_sent_and_its_way_and_time_are_kept(database_url: str, tmp_path: Path, server: SmtpServer):
    async with installed(database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
        await compose_canaries.tick(system.context)
        await until(system.context, (await newest(system)).message_id, MessageState.SENT)
        (received,) = server.messages
        await arrives(system, id_in(system, received), seconds=4)
        await arrives(system, id_in(system, received), seconds=60)  # a second copy, after an attempt that ended unknown
        (canary,) = await canary_rows(system)
        assert (canary.state, canary.seconds, canary.name) == (CanaryState.ARRIVED, 4.0, "smtp")
        assert [hop.by for hop in canary.hops] == ["mx.example.org", "imap.example.org"]
        async with system.context.database.read() as tx:
            times = (await mail_times(tx, system.time[0] - timedelta(days=30)))["smtp"]
        assert (times.average_s, times.slowest_s, times.arrived, times.lost) == (4.0, 4.0, 1, 0)
        await decide_canaries.tick(system.context)
        assert await system.rows(events) == []  # one that arrives is no event, run or job
        assert await system.rows(jobs) == []
    assert b"Auto-Submitted: auto-generated" in received.data
    assert received.recipients[0].startswith("bounces+c")


async def test_there_is_one_a_day(database_url: str, tmp_path: Path, server: SmtpServer):
    async with installed(database_url, tmp_path, server) as system:
        for _ in range(49):
            await compose_canaries.tick(system.context)
            system.pass_time(hours=1)
        assert len(await canary_rows(system)) == 3


@pytest.mark.parametrize(
    ("change", "count"),
    [
        pytest.param({}, 1, id="nothing changed: a new start sends none"),
        pytest.param({"mail_from": "Tocsin <other@example.org>"}, 2, id="another sender"),
        pytest.param({"smtp_url": "smtp://ann:first@localhost:2525?tls=none"}, 2, id="a login"),
        pytest.param({"smtp_timeout_s": 2}, 1, id="what does not change the way"),
        pytest.param({"retry_for_h": 5}, 1, id="what is not about mail"),
    ],
)
async def test_there_is_one_after_each_change_of_the_way(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, change: dict[str, Any], count: int
):
    async with installed(sqlite_database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
    async with installed(sqlite_database_url, tmp_path, server, **change) as changed:
        changed.time[0] = system.pass_time(minutes=6)
        for _ in range(3):
            await compose_canaries.tick(changed.context)
        rows = await canary_rows(changed)
    assert len(rows) == count
    assert not any(secret in str(row) for row in rows for secret in ("first", "other", "localhost"))


async def test_a_changed_password_is_a_change(sqlite_database_url: str, tmp_path: Path, server: SmtpServer):
    for password in ("first", "second", "second"):
        smtp_url = f"smtp://ann:{password}@localhost:{server.port}?tls=none"
        async with installed(sqlite_database_url, tmp_path, server, smtp_url=smtp_url) as system:
            system.pass_time(minutes=10 * len(await canary_rows(system)))
            await compose_canaries.tick(system.context)
            rows = await canary_rows(system)
    assert len(rows) == 2


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"bounce_address": None}, id="no address"),
        pytest.param({"mail_in_port": None}, id="nothing that receives"),
        pytest.param({"canary": False}, id="turned off"),
        pytest.param({"smtp_url": None}, id="no way"),
    ],
)
async def test_nothing_is_sent_where_it_is_off(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, settings: dict[str, Any]
):
    async with installed(sqlite_database_url, tmp_path, server, **settings) as system:
        await compose_canaries.tick(system.context)
        assert await canary_rows(system) == []


async def test_two_workers_at_once_send_one(database_url: str, tmp_path: Path, server: SmtpServer):
    async with installed(database_url, tmp_path, server) as system:
        await asyncio.gather(*(compose_canaries.tick(system.context) for _ in range(8)))
        assert len(await canary_rows(system)) == 1
        assert len(await system.rows(messages)) == 1
        await until(system.context, (await newest(system)).message_id, MessageState.SENT)
    assert len(server.messages) == 1


async def test_a_lost_canary_is_reported_by_another_way_and_the_next_one_closes_it(
    database_url: str, tmp_path: Path, server: SmtpServer
):
    """From sending to the alert: SMTP accepts the canary and it never comes, so the alert goes by webhook, and then back."""
    async with running(reply("204 No Content")) as hook, installed(database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
        await lose(system)
        lost = await newest(system)
        assert lost.state is CanaryState.LOST
        assert "within 15 min, although smtp accepted it (250" in (lost.why or "")

        addresses = addresses_json(
            [Address("smtp", "ann@example.org"), Address("webhook", f"http://127.0.0.1:{hook.port}/")]
        )
        async with system.context.database.write() as tx:
            await tx.connection.execute(update(recipients).values(transports=addresses))
        system.pass_time(minutes=1)
        await compose.tick(system.context)
        (report,) = await system.rows(messages, messages.c.is_alert)
        assert (report.transport, report.place) == ("webhook", 1)
        await until(system.context, report.id, MessageState.SENT)
        (alert,) = await system.rows(alerts)
        assert "The canary mail of 12:00 UTC by smtp was lost" in alert.message

        system.pass_time(hours=1)
        await compose_canaries.tick(system.context)
        again = await newest(system)
        assert again.occasion == f"after {lost.id}"
        await until(system.context, again.message_id, MessageState.SENT)
        await arrives(system, again.id, seconds=3)
        await system.decide()
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        system.pass_time(minutes=5)
        await compose.tick(system.context)
        recovery = (await system.rows(messages, messages.c.is_alert))[-1]
        assert (recovery.transport, recovery.place) == ("smtp", 0)  # this way works again


async def test_a_late_one_is_noted_and_closes_the_alert(database_url: str, tmp_path: Path, server: SmtpServer):
    async with installed(database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
        await lose(system)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is None
        assert await summary_counts(system) == (1, 1)  # shown as failed, as long as mail is lost
        late = await newest(system)
        await arrives(system, late.id, minutes=30)
        await system.decide()
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        assert await summary_counts(system) == (0, 0)
        late = await newest(system)
        assert (late.state, late.seconds, late.is_reported) == (CanaryState.ARRIVED, 46 * 60.0 + 1, False)
        assert late.why is not None  # that it was called lost is still known


async def test_a_refused_one_is_reported_at_once_and_counts_as_nobody_s_mail(
    database_url: str, tmp_path: Path, server: SmtpServer
):
    server.behave = Behave(answers={"RCPT": "550 5.1.1 no such user"})
    async with installed(database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
        await until(system.context, (await newest(system)).message_id, MessageState.DEAD)
        await decide_canaries.tick(system.context)
        await system.decide()
        lost = await newest(system)
        assert (lost.why or "").startswith("it could not be sent (550 5.1.1 no such user")
        assert len(await system.rows(alerts)) == 1


async def test_turned_off_the_alert_about_it_closes(database_url: str, tmp_path: Path, server: SmtpServer):
    async with installed(database_url, tmp_path, server) as system:
        await compose_canaries.tick(system.context)
        await lose(system)
    async with installed(database_url, tmp_path, server, canary=False) as off:
        off.time[0] = system.pass_time(minutes=5)
        await decide_canaries.tick(off.context)
        await off.decide()
        (alert,) = await off.rows(alerts)
    assert alert.closed_at is not None


@pytest.mark.slow
@pytest.mark.parametrize("place", ["MAIL", "DOT"])
async def test_a_killed_service_leaves_one_canary(
    sqlite_database_url: str, tmp_path: Path, server: SmtpServer, place: str
):
    """`kill -9` before the mail is handed over and after it: one canary, one message, and after a new start it is sent."""
    server.behave = Behave(delays={place: 60})
    worker = _start_worker(sqlite_database_url, str(tmp_path), str(server.port))
    try:
        await asyncio.to_thread(wait_until, place, lambda: server.count(place))
    finally:
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    server.behave = Behave()
    async with installed(sqlite_database_url, tmp_path, server) as system:
        system.pass_time(minutes=5)
        await compose_canaries.tick(system.context)
        (canary,) = await canary_rows(system)
        await sweep.tick(system.context)
        await until(system.context, canary.message_id, MessageState.SENT)
        assert len(await system.rows(messages)) == 1


def _start_worker(*arguments: str) -> subprocess.Popen[bytes]:
    program = Path(__file__).parents[2] / "support" / "canary_worker.py"
    return subprocess.Popen([sys.executable, program, *arguments])
