"""Windows for tests: built once, awake for the session. Where it cannot be built, these tests are left out loudly, or refused if they were asked for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.base.pyz import write
from tests.windows import lab as labs
from tests.windows.site import Site, sited

NEEDED = "WINDOWS_TESTS"  # set by `make test-windows`: then a machine without Wine is an error
_left_out: list[int] = []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what lies here, and leave it out where there is no Wine."""
    here = Path(__file__).parent
    ours = [item for item in items if here in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.windows)
    lacking = labs.missing()
    if not ours or lacking is None:
        return
    if os.environ.get(NEEDED):
        pytest.exit(f"the Windows tests were asked for, and cannot be run: {lacking}", returncode=2)
    items[:] = [item for item in items if item not in ours]
    config.hook.pytest_deselected(items=ours)
    _left_out.append(len(ours))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end what was left out, and how to get it."""
    if _left_out:
        words = f"LEFT OUT: {_left_out[0]} tests of the Windows relay, for {labs.missing()}"
        terminalreporter.write_line(words, yellow=True, bold=True)


@pytest.fixture(scope="session")
def lab() -> Iterator[labs.Lab]:
    """A Windows that runs; all tests share it."""
    with labs.built().awake() as awake:
        yield awake


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The relay as it is shipped, in a folder with a space in its name."""
    return write("relay", tmp_path_factory.mktemp("the relay"))


@pytest.fixture
def site(lab: labs.Lab, program: Path, tmp_path: Path) -> Iterator[Site]:
    """A service, a mail server, and a Windows host with Outlook on which the relay can be installed."""
    with sited(lab, program, tmp_path) as site:
        yield site
