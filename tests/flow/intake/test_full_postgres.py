"""PostgreSQL on a full disk: the answer names it, and everything goes on when there is room again."""

import shutil
from pathlib import Path

import pytest

from tests.support.api import ENROL_KEY, serving
from tests.support.migrated import migrate
from tests.support.postgres import Cluster
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.needs("root:mount")]


async def test_a_full_tablespace(tmp_path: Path) -> None:
    with Cluster() as cluster, small_disk(cluster.folder / "disk", "32m") as disk:
        space = disk.folder / "space"
        space.mkdir()
        shutil.chown(space, cluster.folder.owner(), cluster.folder.group())
        cluster.sql(f"CREATE TABLESPACE small LOCATION '{space}'")
        cluster.sql("CREATE DATABASE tocsin TABLESPACE small")
        migrate(cluster.url("tocsin"))
        async with serving(cluster.url("tocsin"), tmp_path) as api:

            async def post(part: str) -> tuple[int, str | None]:
                batch = [
                    {"agent": "sql01", "outcome": "failure", "key": f"{part}-{n}", "log": f"{n} " * 9000}
                    for n in range(200)
                ]
                answer = await api.ask("POST", "/v1/events", key=ENROL_KEY, json=batch)
                return answer.status_code, answer.json().get("code")

            assert (await post("before"))[0] in (200, 202)
            disk.fill()
            found = [await post(f"during-{number}") for number in range(5)]
            assert (503, "disk_full") in found
            disk.make_room()
            assert (await post("after"))[0] in (200, 202)
            keys = {event["key"] for event in await api.items("/v1/events?limit=500")}
            assert {"before-0", "after-0"} & keys
