"""/healthz, /readyz and /metrics as a load balancer and Prometheus see them: states and numbers, no key needed, and no names."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.context import AppContext
from app.core import metrics
from app.core.clock import now
from app.core.errors import BadSettings
from app.core.secret import Secret
from app.core.settings import load_settings
from app.core.wakeups import Wakeups
from app.deliver.transport import FakeTransport
from app.domain.attempt import Permanent, Sent
from app.domain.message import MessageState
from app.domain.notice import Notice, NoticeKind, NoticeState
from app.domain.recipient import Address
from app.http import health
from app.http import metrics as metrics_page
from app.store.engine import open_engines
from app.store.heartbeats import Heartbeat, write_heartbeat
from app.store.notices import insert_notices
from app.store.transactions import Database
from tests.support.api import serving
from tests.support.context import SystemUnderTest, open_system
from tests.support.delivering import delivering, until
from tests.support.outbox import post

ANN = Address("smtp", "secret.name@example.org")


class Site:
    """The two health endpoints of an app."""

    def __init__(self, system: SystemUnderTest, client: httpx.AsyncClient) -> None:
        self.system = system
        self.client = client

    async def worker_beats(self, *transports: str) -> None:
        context = self.system.context
        async with context.database.write() as tx:
            at = context.clock()
            await write_heartbeat(tx, Heartbeat("worker:host.secret.example:1", at, at, transports, metrics.snapshot()))

    async def ready(self) -> tuple[int, dict[str, Any]]:
        answer = await self.client.get("/readyz")
        checks = {check["name"]: check for check in answer.json()["checks"]}
        return answer.status_code, {"status": answer.json()["status"], **checks}

    async def numbers(self) -> dict[tuple[str, ...], float]:
        answer = await self.client.get("/metrics")
        assert answer.status_code == 200
        assert "secret" not in answer.text
        families = text_string_to_metric_families(answer.text)
        samples = [sample for family in families for sample in family.samples]
        return {
            (one.name, *(value for name, value in sorted(one.labels.items()) if name != "worker")): one.value
            for one in samples
        }


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_system(database_url, tmp_path, log_level="error") as system:
        app = FastAPI()
        app.state.context = system.context
        app.include_router(health.router)
        app.include_router(metrics_page.router)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://tocsin") as client:
            yield Site(system, client)


async def test_healthz_needs_no_database(site: Site) -> None:
    await site.system.context.database.close()
    assert (await site.client.get("/healthz")).json() == {"status": "ok"}


async def test_ready_as_long_as_a_worker_has_heartbeats(site: Site) -> None:
    status, found = await site.ready()
    assert (status, found["status"], found["worker"]["status"]) == (503, "failed", "failed")
    await site.worker_beats("smtp")
    status, found = await site.ready()
    assert (status, found["status"], found["worker"]["detail"]) == (200, "ok", "1 running, last heartbeat 0 s ago")
    site.system.pass_time(seconds=31)
    assert (await site.ready())[0] == 503


async def test_not_ready_before_the_migrations_ran(site: Site) -> None:
    await site.worker_beats()
    async with site.system.context.database.write() as tx:
        await tx.connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    status, found = await site.ready()
    assert (status, found["migrations"]["status"]) == (503, "failed")
    assert "run `tocsin migrate`" in found["migrations"]["detail"]


async def test_a_server_of_the_old_version_stays_ready_during_an_upgrade(site: Site) -> None:
    """Otherwise a load balancer would take all servers out of use when `tocsin migrate` ends, before one of them is restarted."""
    await site.worker_beats("smtp")
    async with site.system.context.database.write() as tx:
        await tx.connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    status, found = await site.ready()
    assert (status, found["migrations"]["status"]) == (200, "warning")
    assert "restart this server" in found["migrations"]["detail"]
    assert found["worker"]["status"] == found["transport smtp"]["status"] == "ok", "the other checks still run"


async def test_not_ready_when_the_database_is_gone(tmp_path: Path) -> None:
    settings = load_settings(var_dir=tmp_path, database_url="postgresql://nobody@127.0.0.1:1/nothing")
    store = Database(open_engines(settings))
    app = FastAPI()
    app.state.context = AppContext(settings, store, Wakeups(), Secret("s" * 32), now)
    app.include_router(health.router)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://tocsin") as client:
        answer = await client.get("/readyz")
    await store.close()
    assert answer.status_code == 503
    assert answer.json()["checks"] == [
        {"name": "database", "status": "failed", "detail": "the database does not answer; the log has the reason"}
    ]


async def test_a_failing_transport_is_a_warning_and_events_are_still_accepted(site: Site) -> None:
    await site.worker_beats("smtp")
    assert (await site.ready())[1]["transport smtp"]["status"] == "ok"
    (one,) = await post(site.system.context, ANN)
    async with delivering(site.system.context, {"smtp": FakeTransport([Permanent("550", "no such user secret.name")])}):
        await until(site.system.context, one, MessageState.DEAD)
    await post(site.system.context, Address("webhook", "https://secret.example/"))
    site.system.pass_time(minutes=20)
    await site.worker_beats("smtp")
    status, found = await site.ready()
    assert (status, found["status"]) == (200, "warning")
    assert found["transport smtp"]["detail"] == (
        "1 message(s) were given up within a day: see GET /v1/messages?state=dead; the last attempt ended permanent"
    )
    assert found["transport webhook"]["detail"] == (
        "messages wait for it, but no worker serves it: is it configured?; the oldest of 1 waiting message(s) is 20 min old"
    )
    assert "secret" not in (await site.client.get("/readyz")).text


@pytest.mark.slow
async def test_metrics_count_rows_and_the_work_of_workers(site: Site) -> None:
    before = (await site.numbers()).get(("tocsin_attempts_total", "sent", "smtp"), 0)
    context = site.system.context
    await post(context, Address("webhook", "https://secret.example/"), count=2)
    site.system.pass_time(minutes=1)
    (one,) = await post(context, ANN)
    async with delivering(context, {"smtp": FakeTransport([Sent("250", "ok")])}):
        await until(context, one, MessageState.SENT)
    await site.worker_beats("smtp")
    await asyncio.sleep(metrics_page.KEPT_S)
    found = await site.numbers()
    assert found["tocsin_outbox_messages", "queued", "webhook"] == 2
    assert found["tocsin_outbox_oldest_seconds", "webhook"] == timedelta(minutes=1).total_seconds()
    assert found["tocsin_alerts_open", "failed"] == 0
    assert found["tocsin_attempts_total", "sent", "smtp"] >= before + 1
    assert found["tocsin_stage_seconds_count", "worded_to_sent"] >= 1
    assert found["tocsin_worker_heartbeat_seconds",] == 0


async def test_metrics_query_the_database_once_however_many_clients_scrape(site: Site) -> None:
    await asyncio.gather(*(site.numbers() for _ in range(5)))
    await post(site.system.context, ANN)
    assert ("tocsin_outbox_messages", "queued", "smtp") not in await site.numbers()


async def test_notices_that_are_not_composed_are_a_warning(site: Site) -> None:
    context = site.system.context
    at = context.clock()
    notice = Notice("ntc_1", NoticeKind.SUMMARY, NoticeState.WAITING, "it was time", at, "summary", 3, "one", at)
    async with context.database.write() as tx:
        await insert_notices(tx, [notice])
    site.system.pass_time(minutes=4)
    await site.worker_beats()
    assert (await site.ready())[1]["wording"]["status"] == "ok"
    site.system.pass_time(minutes=8)
    await site.worker_beats()
    status, found = await site.ready()
    assert (status, found["status"]) == (200, "warning"), "events must still be taken in"
    assert found["wording"]["detail"].startswith("1 notice(s) wait to be composed, the oldest for 12 min")


async def test_a_worker_that_stopped_at_its_start_is_reported_with_the_reason(
    database_url: str, tmp_path: Path
) -> None:
    async def fail(_context: AppContext) -> None:
        raise BadSettings(f"TOCSIN_SMTP_CA_FILE: cannot use {tmp_path}")

    async with serving(database_url, tmp_path, work=fail, log_level="error") as api:
        await asyncio.sleep(0.1)
        answer = await api.client.get("/readyz")
    assert answer.status_code == 503
    [worker] = [check for check in answer.json()["checks"] if check["name"] == "worker"]
    assert worker["detail"].endswith("the worker in this process stopped: TOCSIN_SMTP_CA_FILE, see the log")
    assert str(tmp_path) not in answer.text


async def test_intake_is_ready_without_a_worker(sqlite_database_url: str, tmp_path: Path):
    async with serving(sqlite_database_url, tmp_path) as api:
        assert (await api.ask("GET", "/readyz")).status_code == 503
        answer = await api.ask("GET", "/readyz", params={"for": "intake"})
        assert (answer.status_code, answer.json()["status"]) == (200, "ok")
        assert [check["name"] for check in answer.json()["checks"]] == ["database", "migrations"]


async def test_transports_to_programs_that_nobody_uses_are_not_listed(site: Site) -> None:
    await site.worker_beats("smtp", "syslog", "webhook")
    _, found = await site.ready()
    assert [name for name in found if name.startswith("transport ")] == ["transport smtp"]
    (one,) = await post(site.system.context, Address("webhook", "https://hooks.example/"))
    async with delivering(site.system.context, {"webhook": FakeTransport([Sent("200", "")])}):
        await until(site.system.context, one, MessageState.SENT)
    _, found = await site.ready()
    assert [name for name in found if name.startswith("transport ")] == ["transport smtp", "transport webhook"]
