"""PostgreSQL on a full disk, or with another error of its disk: the answer, /readyz and a metric name it, and everything goes on when there is room again."""

import shutil
from pathlib import Path

import pytest

from app.core import metrics
from tests.support.api import ENROL_KEY, Api, serving
from tests.support.migrated import migrate
from tests.support.postgres import Cluster
from tests.support.small_disk import small_disk

pytestmark = [pytest.mark.postgres]


def registry_value(name: str) -> float | None:
    return metrics.HTTP.get_sample_value(name)


async def named_by_readyz(api: Api) -> str | None:
    checks = (await api.ask("GET", "/readyz")).json()["checks"]
    return next(check for check in checks if check["name"] == "database").get("code")


FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'could not extend file "base/5/16384": %', '{text}' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON {table} EXECUTE FUNCTION fail();
"""


@pytest.mark.parametrize(
    ("state", "text", "code"),
    [
        ("53100", "No space left on device", "disk_full"),
        ("XX000", "Disk quota exceeded", "disk_quota_reached"),
        ("58030", "Disk quota exceeded", "disk_quota_reached"),
        ("XX000", "File too large", "file_size_limit"),
        ("42501", "Read-only file system", "database_read_only"),
        ("58030", "Input/output error", "disk_error"),
    ],
)
async def test_an_error_of_the_servers_disk_is_named(
    postgres_database_url: str, tmp_path: Path, state: str, text: str, code: str
) -> None:
    async with serving(postgres_database_url, tmp_path) as api:
        for table in ("events", "listening"):
            statements = FAIL.format(text=text, state=state, table=table).replace("fail()", f"fail_{table}()")
            async with api.context.database.write() as tx:
                for statement in statements.strip().split(";\nCREATE TRIGGER"):
                    whole = statement if statement.startswith("CREATE F") else f"CREATE TRIGGER{statement}"
                    await tx.connection.exec_driver_sql(whole.rstrip().removesuffix(";"))
        answer = await api.ask("POST", "/v1/events", key=ENROL_KEY, json={"agent": "sql01", "outcome": "failure"})
        assert (answer.status_code, answer.json()["code"]) == (503, code)
        assert await named_by_readyz(api) == code


@pytest.mark.slow
@pytest.mark.needs("root:mount")
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
            assert await named_by_readyz(api) == "disk_full"
            assert registry_value("tocsin_database_writable") == 0
            disk.make_room()
            assert (await post("after"))[0] in (200, 202)
            keys = {event["key"] for event in await api.items("/v1/events?limit=500")}
            assert {"before-0", "after-0"} & keys
