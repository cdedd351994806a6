"""A process stops at once, also in the moment in which a wakeup goes out to the others."""

import asyncio
from pathlib import Path

import pytest

from app.core.settings import load_settings
from app.core.wakeups import Wakeups
from app.store import engine as sharing
from app.store.engine import open_engines


@pytest.mark.parametrize("turns", range(5))
async def test_a_stop_right_after_a_wakeup_ends_at_once(
    postgres_database_url: str, tmp_path: Path, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "PAUSE_S", 0)
    engines = open_engines(load_settings(var_dir=tmp_path, database_url=postgres_database_url))
    other, heard = Wakeups(), Wakeups()
    async with asyncio.timeout(20), sharing.share_wakeups(heard, engines):
        for _ in range(5):
            async with sharing.share_wakeups(other, engines):
                while not heard.events.is_set():  # until it is connected and waits
                    other.wake("events")
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.02)
                other.wake("events")
                for _ in range(turns):
                    await asyncio.sleep(0)
            heard.events.clear()
    await engines.close()
