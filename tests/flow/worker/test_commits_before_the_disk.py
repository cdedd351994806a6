"""PostgreSQL's host loses power before what was decided and composed is on its disk: it is decided and composed again, and nothing has left before."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.compose import tick as compose
from app.decide import tick as decide
from app.deliver.transports import build_transports
from app.store.tables import alerts, attempts, events, jobs, messages, notices, runs
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering
from tests.support.migrated import migrate
from tests.support.postgres import Cluster
from tests.support.smtp import SmtpServer

pytestmark = [pytest.mark.postgres, pytest.mark.slow]
WAL_WRITER = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"


@pytest.fixture
def cluster() -> Cluster:
    return Cluster(fsync=True, settings=("autovacuum=off",))


@pytest.fixture
def server() -> SmtpServer:
    return SmtpServer()


@pytest.fixture
async def system(cluster: Cluster, server: SmtpServer, tmp_path: Path) -> AsyncIterator[SystemUnderTest]:
    with cluster, server:
        url = cluster.create_database("power")
        migrate(url)
        mail = {"smtp_url": f"smtp://localhost:{server.port}?tls=none", "admin_email": "admin@example.org"}
        async with open_system(url, tmp_path, mail_from="tocsin@example.org", **mail) as system:
            only_commits_write(cluster)
            yield system


def only_commits_write(cluster: Cluster) -> None:
    """Stop the process that brings commits to the disk for which nobody waits: what they wrote stays off it until another commit waits."""
    os.kill(int(cluster.sql(WAL_WRITER)), signal.SIGSTOP)


async def lose_power(cluster: Cluster) -> None:
    """End the server at once and start it on what it had written to its disk."""
    await asyncio.to_thread(cluster.kill)
    await asyncio.to_thread(cluster.start)
    only_commits_write(cluster)


async def test_what_did_not_reach_the_disk_is_decided_and_composed_again(
    cluster: Cluster, system: SystemUnderTest
) -> None:
    await system.receive(job="nightly", outcome="failure")
    for _ in range(2):
        await decide.tick(system.context)
        await compose.tick(system.context)
        assert [row.state for row in await system.rows(messages)] == ["queued"]
        await lose_power(cluster)
        assert [row.state for row in await system.rows(events)] == ["new"], "the accepted event waits again"
        for table in (jobs, runs, alerts, notices, messages):
            assert not await system.rows(table), "the test shows nothing where the commits waited for the disk"


async def test_an_acknowledged_alert_is_on_the_disk(cluster: Cluster, system: SystemUnderTest) -> None:
    """As whatever else an administrator or an agent changes: their commits wait, and bring all earlier ones to the disk."""
    await system.receive(job="nightly", outcome="failure")
    await decide.tick(system.context)
    await system.agent("another")
    await lose_power(cluster)
    assert [row.state for row in await system.rows(events)] == ["folded"]
    assert len(await system.rows(alerts)) == 1


async def test_what_a_sent_mail_says_is_on_the_disk(
    cluster: Cluster, server: SmtpServer, system: SystemUnderTest
) -> None:
    await system.receive(job="nightly", outcome="failure")
    await decide.tick(system.context)
    await compose.tick(system.context)
    async with delivering(system.context, build_transports(system.context.settings, system.context.secret)):
        await asyncio.to_thread(server.wait_for, 1, 60)
        await lose_power(cluster)
        assert len(await system.rows(alerts)) == 1
        [message] = await system.rows(messages)
        assert [row.message_id for row in await system.rows(attempts)] == [message.id]
        assert [(row.state, row.message_id) for row in await system.rows(notices)] == [("worded", message.id)]
