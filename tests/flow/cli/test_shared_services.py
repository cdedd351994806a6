"""`tocsin doctor` reads which jobs have one service at a program that keeps a state for each service."""

from pathlib import Path

from sqlalchemy import update

from app.cli.shared_services_check import check_shared_services
from app.store.tables_managed import recipients, routes, summary_schedules
from tests.support.context import open_system


async def test_jobs_of_one_name_are_found_while_a_route_leads_to_the_program(database_url: str, tmp_path: Path):
    async with open_system(database_url, tmp_path) as system:
        for activity in ("backup", "verify"):
            await system.receive(agent="nas01", job="photos", activity=activity, outcome="success")
        await system.decide()
        async with system.context.database.read() as tx:
            assert await check_shared_services(tx) == []
        async with system.context.database.write() as tx:
            to = {"transport": "zabbix", "address": "zabbix://zabbix.example.org"}
            await tx.connection.execute(update(recipients).values(transports=[to]))
            [found] = await check_shared_services(tx)
        assert found.code == "transport zabbix"
        assert "photos (backup) on nas01" in found.line
        assert "photos (verify) on nas01" in found.line
        assert "add {activity}" in found.line
        async with system.context.database.write() as tx:
            for table in (routes, summary_schedules):
                await tx.connection.execute(update(table).values(enabled=False))
            assert await check_shared_services(tx) == []
