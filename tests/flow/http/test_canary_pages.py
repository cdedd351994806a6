"""What the service shows of its canary mails: the API, /readyz, /metrics and the doctor; and one that goes to our own mail listener."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from app import worker
from app.cli.canary_check import check_canaries
from app.context import AppContext
from app.core.ids import new_id
from app.decide import canaries as decide_canaries
from app.deliver.canary import canary_arrived
from app.domain.canary import Canary
from app.store.canaries import insert_canary
from tests.support.api import Api, serving
from tests.support.ports import lasting_port

RECEIVED = ["from tocsin by mx.example.org with ESMTPS id 1; Mon, 23 Nov 2026 12:00:02 +0000"]
SETTINGS = {"log_level": "error", "bounce_address": "bounces@example.org", "smtp_url": "smtp://localhost:1?tls=none"}


@pytest.fixture
async def api(database_url: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(database_url, tmp_path, mail_in_port=0, **SETTINGS) as api:
        yield api


async def add_canary(context: AppContext, customer_id: str, ago: timedelta) -> Canary:
    canary_id = new_id("cny")
    canary = Canary(
        canary_id, customer_id, "smtp", "", "smtp", date(2026, 11, 1), "f", canary_id, new_id("msg"), context.clock() - ago
    )  # fmt: skip
    async with context.database.write() as tx:
        assert await insert_canary(tx, canary)
    return canary


async def arrive(context: AppContext, canary: Canary, seconds: float) -> None:
    async with context.database.write() as tx:
        assert await canary_arrived(tx, canary.id, canary.sent_at + timedelta(seconds=seconds), RECEIVED)


async def arrival_check(api: Api) -> dict[str, Any]:
    checks = (await api.ask("GET", "/readyz")).json()["checks"]
    return next(check for check in checks if check["name"] == "arrival smtp")


async def doctor_lines(api: Api) -> tuple[tuple[str, ...], tuple[str, ...]]:
    async with api.context.database.read() as tx:
        found = await check_canaries(tx, api.context.settings, api.context.clock())
    return found.wrong, found.notes


async def test_how_long_mail_takes_is_shown_and_a_loss_too(api: Api):
    customer = (await api.items("/v1/customers"))[0]["id"]
    for days, seconds in ((3, 2), (2, 4), (1, 180), (40, 9000)):
        await arrive(api.context, await add_canary(api.context, customer, timedelta(days=days)), seconds)
    words = "Your mail took 62 s on average in the last 30 days, the slowest 3 min."
    assert await arrival_check(api) == {"name": "arrival smtp", "status": "ok", "detail": words}
    assert await doctor_lines(api) == ((), (words,))
    smtp = next(it for it in (await api.tell("GET", "/v1/transports"))["items"] if it["transport"] == "smtp")
    assert smtp["mail_times"] == {"average_s": 62.0, "slowest_s": 180.0, "arrived": 3, "lost": 0}

    lost = await add_canary(api.context, customer, timedelta(minutes=16))
    await decide_canaries.tick(api.context)
    check = await arrival_check(api)
    assert check["status"] == "warning"
    assert check["detail"].endswith("the slowest 3 min. 1 of 4 test mails did not arrive.")
    (wrong,), _ = await doctor_lines(api)
    assert "by smtp was lost: it did not leave within 15 min. Mails sent this way may not arrive." in wrong
    (listed,) = await api.items("/v1/canaries", state="lost", transport="smtp")
    assert (listed["id"], listed["why"]) == (lost.id, "it did not leave within 15 min")
    assert await api.items("/v1/canaries", transport="graph") == []

    await arrive(api.context, lost, 1500)
    assert (await arrival_check(api))["status"] == "ok"
    assert (await doctor_lines(api))[0] == ()
    shown = await api.tell("GET", f"/v1/canaries/{lost.id}")
    assert (shown["state"], shown["seconds"]) == ("arrived", 1500.0)
    assert shown["hops"] == [{"by": "mx.example.org", "at": "2026-11-23T12:00:02Z"}]
    assert shown["lost_at"] is not None
    assert (await api.ask("GET", "/v1/canaries/cny_" + "0" * 28)).status_code == 404


@pytest.mark.parametrize(
    ("settings", "notes"),
    [
        pytest.param({}, 1, id="what it would bring"),
        pytest.param({"canary": False}, 0, id="turned off on purpose"),
    ],
)
async def test_where_none_are_sent_the_doctor_says_what_they_would_bring(
    sqlite_database_url: str, tmp_path: Path, settings: dict[str, Any], notes: int
):
    async with serving(sqlite_database_url, tmp_path, log_level="error", **settings) as api:
        wrong, found = await doctor_lines(api)
        refused = await api.ask("POST", "/v1/canaries:send")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_configured")
    assert (wrong, len(found)) == ((), notes)
    assert all("TOCSIN_BOUNCE_ADDRESS, and TOCSIN_MAIL_IN_PORT or TOCSIN_MAILBOX_URL" in line for line in found)


async def test_an_administrator_sends_one_at_once(api: Api):
    for _ in range(2):
        (sent,) = (await api.tell("POST", "/v1/canaries:send"))["items"]
        assert (sent["name"], sent["state"]) == ("smtp", "waiting")
        message = await api.tell("GET", f"/v1/messages/{sent['message_id']}")
        assert (message["is_alert"], message["state"]) == (False, "queued")
    assert len(await api.items("/v1/canaries")) == 2
    (entry, _) = await api.items("/v1/audit", noun="canary")
    assert entry["action"] == "send"
    assert sent["id"] in entry.values()


async def test_a_canary_goes_over_smtp_to_our_own_mail_listener(sqlite_database_url: str, tmp_path: Path):
    """Nothing is replaced here: the worker sends it, our listener receives it, and the worker reads it."""
    port = lasting_port()
    settings = {**SETTINGS, "smtp_url": f"smtp://localhost:{port}?tls=none", "mail_in_port": port}
    async with serving(sqlite_database_url, tmp_path, work=worker.run, **settings) as api, asyncio.timeout(120):
        while not (arrived := await api.items("/v1/canaries", state="arrived")):  # noqa: ASYNC110  (an API has no event)
            await asyncio.sleep(0.1)
        (canary,) = arrived
        # It may arrive before its delivery is settled.
        while (await api.tell("GET", f"/v1/messages/{canary['message_id']}"))["state"] != "sent":  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert (await arrival_check(api))["status"] == "ok"
        assert canary["seconds"] < 120
        assert await api.items("/v1/events") == []
        assert await api.items("/v1/jobs") == []
