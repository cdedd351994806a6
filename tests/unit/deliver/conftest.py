"""A furnished house on both databases, for tests of delivery."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.house import Lived, live_in


@pytest.fixture
async def lived(database_url: str, tmp_path: Path) -> AsyncIterator[Lived]:
    async with live_in(database_url, tmp_path, log_level="error") as lived:
        yield lived
