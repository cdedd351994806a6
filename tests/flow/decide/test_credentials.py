"""A certificate that ends soon opens an alert as a failed backup does, once a stage, and closes it when it was replaced."""

from datetime import timedelta
from pathlib import Path

from app.core.clock import now
from app.decide import credentials
from app.store.tables import agents, alerts, events
from tests.support.context import SystemUnderTest, open_system
from tests.support.token_server import CLIENT_ID, TENANT, make_certificate


async def look(system: SystemUnderTest) -> None:
    await credentials.tick(system.context)
    await system.decide()


async def test_the_end_of_a_certificate_is_reported_in_stages_and_its_replacement_closes_the_alert(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "app.pem"
    make_certificate(file, days=60)
    settings = {
        "oauth_provider": "microsoft",
        "oauth_tenant": TENANT,
        "oauth_client_id": CLIENT_ID,
        "oauth_certificate_file": file,
    }
    async with open_system(database_url, tmp_path, **settings) as system:
        system.time[0] = now()
        await look(system)
        assert await system.rows(agents) == []
        system.pass_time(days=31)
        for _ in range(3):
            await look(system)
        (alert,) = await system.rows(alerts)
        (event,) = await system.rows(events)
        assert alert.closed_at is None
        assert "expires on" in event.message
        for days in (22, 8):
            system.pass_time(days=days)
            for _ in range(2):
                await look(system)
        assert [one.key.rpartition(":")[2] for one in await system.rows(events)] == ["30 days", "7 days", "ended"]
        make_certificate(file, days=365)
        for _ in range(2):
            await look(system)
        (alert,) = await system.rows(alerts)
        assert alert.closed_at is not None
        assert len(await system.rows(events)) == 4


async def test_a_file_that_cannot_be_read_stops_nothing(database_url: str, tmp_path: Path) -> None:
    file = tmp_path / "app.pem"
    make_certificate(file, days=10)
    async with open_system(
        database_url,
        tmp_path,
        oauth_provider="microsoft",
        oauth_tenant=TENANT,
        oauth_client_id=CLIENT_ID,
        oauth_certificate_file=file,
    ) as system:
        system.time[0] = now()
        file.unlink()
        await look(system)
        assert await system.rows(events) == []


async def test_a_secret_ends_on_the_day_in_the_settings(database_url: str, tmp_path: Path) -> None:
    async with open_system(
        database_url,
        tmp_path,
        oauth_provider="microsoft",
        oauth_tenant=TENANT,
        oauth_client_id=CLIENT_ID,
        oauth_client_secret="a~secret",
        oauth_secret_expires=(now() + timedelta(days=6)).date(),
    ) as system:
        system.time[0] = now()
        await look(system)
        (event,) = await system.rows(events)
    assert event.message.startswith("the secret in TOCSIN_OAUTH_CLIENT_SECRET expires on ")
