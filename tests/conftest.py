"""Fixtures for every test: real databases, migrated, one for each test, on both engines. What a stage needs beyond that lies with its tests."""

import gc
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from xdist.scheduler import LoadFileScheduling

from tests.support import preloaded, scratch
from tests.support.examples import FULL, SHORT
from tests.support.migrated import copy_sqlite, make_postgres_template, postgres_copy, sqlite_template
from tests.support.postgres import Cluster
from tests.support.selection import LeftOut, how_to_get, lacking, select
from tests.support.shared_statements import share_statements
from tests.windows.lab import COMPILER

SCRATCH, FAILED, LEFT_OUT = pytest.StashKey[Path | None](), pytest.StashKey[bool](), pytest.StashKey[LeftOut]()
FILE = pytest.StashKey[Path]()  # whose tests run now
YOUNG_MOST = 10_000  # new objects, before garbage collection looks for garbage among them
# The folders whose files take longest come first.
ORDER = ["windows", "chaos", "tools", "programs", "cli", "house", "contract", "worker", "flow"]
ONE_AUTHORITY = Path(__file__).parent / "support/one_authority.pem"  # its key was never stored
ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--all", action="store_true", help="leave no test out: also run slow ones; a missing program is an error"
    )
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
    monkeypatch.setenv("TOCSIN_CONFIG", os.devnull)  # or var/tocsin.toml of the developer's own service would be read


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """One running cluster for the whole session. Tests that kill it make their own."""
    with Cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def postgres_template(postgres_cluster: Cluster) -> str:
    """The name of a migrated database to copy."""
    return make_postgres_template(postgres_cluster)


@pytest.fixture
def sqlite_database_url(tmp_path: Path) -> str:
    """The address of a fresh, migrated SQLite file: `sqlite+aiosqlite:///...`."""
    return copy_sqlite(sqlite_template(), tmp_path / "tocsin.db")


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


def pytest_configure(config: pytest.Config) -> None:
    """Choose the number of examples, log exceptions as the service does, and put temporary files into memory."""
    gc.disable()  # collecting the tests makes objects that stay
    if (
        signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    ):  # as under nohup: programs would inherit it, and tests of Ctrl-C wait in vain
        signal.signal(signal.SIGINT, signal.default_int_handler)
    plain = structlog.dev.ConsoleRenderer(colors=False)
    # Without a configuration structlog shows each exception with the variables of all frames, which takes a tenth of a second.
    structlog.configure([structlog.processors.add_log_level, structlog.processors.format_exc_info, plain])
    hypothesis.settings.load_profile(FULL if config.getoption("--all") else SHORT)
    preloaded.is_used = not config.getoption("--all")
    if not config.getoption("--all"):
        share_statements()
        # To load the system's 140 authorities takes 23 ms for each context of TLS, and no test calls another host.
        os.environ |= {"SSL_CERT_FILE": str(ONE_AUTHORITY), "SSL_CERT_DIR": os.devnull}
    if not hasattr(config, "workerinput"):
        config.stash[SCRATCH] = scratch.enter()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove the temporary files if all went well."""
    if folder := config.stash.get(SCRATCH, None):
        scratch.leave(folder, keep=config.stash.get(FAILED, True))


def pytest_collection_finish() -> None:
    """Keep all that was loaded out of garbage collection, as the service does, and collect more rarely: it took a tenth of the time."""
    gc.freeze()
    gc.set_threshold(YOUNG_MOST)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Collect the garbage of each file at its end and keep what stays out of later rounds. With `--all`, fail a test whose program is missing."""
    stash = item.session.stash
    if stash.get(FILE, None) != item.path:
        stash[FILE] = item.path
        gc.collect()
        gc.freeze()
    gc.set_threshold(YOUNG_MOST)  # each start of the service sets its own
    if missing := lacking(item):
        pytest.fail(f"needs {', '.join(missing)}. To get them: {how_to_get(missing)}", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """Have each worker collect the tests in another order: in a new clone, what one worker has compiled the others only load."""
    report: Any = yield
    if (number := _worker_number(collector.config)) is not None and isinstance(collector, pytest.Directory):
        random.Random(number).shuffle(report.result)
    return report


def _worker_number(config: pytest.Config) -> int | None:
    """Return the number of this worker of pytest-xdist, or None where it is none."""
    worker = getattr(config, "workerinput", None)
    return None if worker is None else int(worker["workerid"].removeprefix("gw"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the folders whose tests take longest, and leave out what this run is not for."""
    for item in items:
        if item.path.parent.name == "windows":
            for mark in (pytest.mark.windows, pytest.mark.slow, pytest.mark.needs("wine", COMPILER)):
                item.add_marker(mark)
    if _worker_number(config) is not None:
        items.sort(
            key=lambda item: item.path.parts
        )  # the same in all workers, although each collected in another order
    items.sort(key=lambda item: _turn(item.path))
    if config.getoption("--all"):
        return
    items[:], left_out, account = select(items, run_slow=any("::" in argument for argument in config.args))
    config.hook.pytest_deselected(items=left_out)
    config.stash[LEFT_OUT] = account


def _turn(path: Path) -> int:
    """Return the place of a file in the order of folders: a long file at the end would leave the other workers idle."""
    folders = path.relative_to(Path(__file__).parent).parts[:-1]
    return min((ORDER.index(folder) for folder in folders if folder in ORDER), default=len(ORDER))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Send the account of a worker to the process that reports."""
    session.config.stash[FAILED] = exitstatus != pytest.ExitCode.OK
    output, account = getattr(session.config, "workeroutput", None), session.config.stash.get(LEFT_OUT, None)
    if output is not None and account is not None:
        output["left_out"] = account.packed()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take the account of a worker. All collect the same tests, so that any worker's is the whole."""
    if packed := getattr(node, "workeroutput", {}).get("left_out"):
        node.config.stash[LEFT_OUT] = LeftOut.unpacked(packed)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """For `pytest -n`: run each file's tests in one worker, and all that need Windows in one, since there is one Windows."""
    return _Scheduling(config, log)


class _Scheduling(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        return "windows" if nodeid.startswith("tests/windows/") else super()._split_scope(nodeid)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say at the end what was left out and how to get it."""
    for line in config.stash.get(LEFT_OUT, LeftOut()).lines():
        terminalreporter.write_line(line, yellow=True, bold=True)
    if (folder := config.stash.get(SCRATCH, None)) and config.stash.get(FAILED, True):
        terminalreporter.write_line(f"The temporary files are kept in {folder} until the next run.")
