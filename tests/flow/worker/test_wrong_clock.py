"""A worker with a wrong clock would send what another one is sending: it refuses to start and says what to do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app import worker
from app.core.errors import ClockWrong
from tests.support.context import open_system


async def test_a_clock_that_differs_from_the_databases_is_refused(postgres_database_url: str, tmp_path: Path) -> None:
    async with open_system(postgres_database_url, tmp_path) as system:
        ahead = replace(system.context, clock=lambda: datetime.now(UTC) + timedelta(seconds=40))
        with pytest.raises(ClockWrong, match="40 s apart: run NTP"):
            await worker.run(ahead)
