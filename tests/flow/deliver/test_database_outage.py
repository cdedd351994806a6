"""The database dies while a worker is sending, and comes back: every message arrives, and none twice unless an attempt says unknown."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import worker
from app.domain.message import MessageState
from app.domain.recipient import Address
from tests.support.context import open_system
from tests.support.delivering import until
from tests.support.migrated import make_postgres_template, postgres_copy
from tests.support.outbox import life_of, post
from tests.support.postgres import Cluster
from tests.support.smtp import Behave, SmtpServer

pytestmark = pytest.mark.slow


@pytest.mark.postgres
async def test_a_killed_database_loses_no_message_and_sends_none_twice(tmp_path: Path) -> None:
    with Cluster() as cluster, SmtpServer() as server, postgres_copy(cluster, make_postgres_template(cluster)) as url:
        server.behave = Behave(delays={"DOT": 0.05})
        smtp_url = f"smtp://localhost:{server.port}?tls=none"
        async with open_system(url, tmp_path, smtp_url=smtp_url, mail_from="tocsin@example.org") as system:
            context = replace(system.context, clock=lambda: datetime.now(UTC))
            ids = [(await post(context, Address("smtp", f"{number}@example.org")))[0] for number in range(100)]
            work = asyncio.create_task(worker.run(context))
            await asyncio.to_thread(server.wait_for, 30)
            await asyncio.to_thread(cluster.kill)
            await asyncio.sleep(1.5)
            await asyncio.to_thread(cluster.start)
            async with asyncio.timeout(60):
                for one in ids:
                    await until(context, one, MessageState.SENT)
            work.cancel()
            await asyncio.wait([work])
            lives = {f"{number}@example.org": await life_of(context, one) for number, one in enumerate(ids)}
        received = Counter(message.recipients[0] for message in server.messages)
    assert set(received) == set(lives)
    for address, times in received.items():
        outcomes = [attempt.outcome for attempt in lives[address]]
        assert times <= 1 + outcomes.count("unknown"), outcomes
