"""Windows for tests: built once, awake for the session. What happens where it cannot be built is decided in tests/conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.core.pyz import write
from tests.windows import lab as labs
from tests.windows.site import Site, sited


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
