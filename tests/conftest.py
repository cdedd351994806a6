"""Fixtures for every test: real databases, migrated, one for each test, on both engines. What a stage needs beyond that lies with its tests."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

from tests.support.migrated import copy_sqlite, make_postgres_template, make_sqlite_template, postgres_copy
from tests.support.postgres import Cluster
from tests.windows.lab import missing

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz-s", type=float, default=0.0, help="seconds to go on with each property of tests/fuzz")


def pytest_make_parametrize_id(val: Any, argname: str) -> str | None:
    """Packed bytes can hold the time of day: in an id they would have two processes collect different tests."""
    return argname if isinstance(val, bytes) and not val.isascii() else None


@pytest.fixture
def fuzz_s(request: pytest.FixtureRequest) -> float:
    """How long `make fuzz` goes on with one property; 0 in an ordinary run."""
    return float(request.config.getoption("--fuzz-s"))


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("TOCSIN_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """One running cluster for the whole session. Tests that kill it make their own."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: Cluster) -> str:
    """The name of a migrated database to copy."""
    return make_postgres_template(postgres_cluster)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file to copy."""
    return make_sqlite_template(tmp_path_factory.mktemp("template") / "tocsin.db")


@pytest.fixture
def sqlite_database_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The address of a fresh, migrated SQLite file: `sqlite+aiosqlite:///...`."""
    return copy_sqlite(sqlite_template, tmp_path / "tocsin.db")


@pytest.fixture
def postgres_database_url(postgres_cluster: Cluster, postgres_template: str) -> Iterator[str]:
    """The address of a fresh, migrated PostgreSQL database: `postgresql+asyncpg://...`."""
    with postgres_copy(postgres_cluster, postgres_template) as url:
        yield url


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The address of a fresh, migrated database; a test that asks for it runs once on each engine."""
    # By name, so that a run of the SQLite half alone starts no cluster.
    return str(request.getfixturevalue("sqlite_database_url" if request.param == "sqlite" else "postgres_database_url"))


NEEDED = "WINDOWS_TESTS"  # set by `make test-windows`: then a machine without Wine is an error


def pytest_sessionstart() -> None:
    """Refuse where the Windows tests were asked for and cannot be run."""
    if os.environ.get(NEEDED) and (lacking := missing()):
        pytest.exit(f"the Windows tests were asked for, and cannot be run: {lacking}", returncode=2)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the Windows tests out where there is no Wine; else begin with them, for they take longest."""
    on_windows = [item for item in items if item.path.parent.name == "windows"]
    others = [item for item in items if item.path.parent.name != "windows"]
    for item in on_windows:
        item.add_marker(pytest.mark.windows)
    if on_windows and missing():
        config.hook.pytest_deselected(items=on_windows)
        on_windows = []
    items[:] = on_windows + others


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """For `pytest -n`: each file's tests in one place, and all that need Windows in one, since there is one Windows."""
    return _Scheduling(config, log)


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "windows" if nodeid.startswith("tests/windows/") else super()._split_scope(nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what was left out, and how to get it."""
    whole = {"tests", "tests/windows", str(config.rootpath)}
    if whole & {one.rstrip("/") for one in config.args} and (lacking := missing()):
        terminalreporter.write_line(f"LEFT OUT: the tests of the Windows relay, for {lacking}", yellow=True, bold=True)
