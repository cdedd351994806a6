"""The programs for other hosts, as an administrator gets them: one file that Python runs."""

import asyncio
import subprocess
import sys
from pathlib import Path

from app.base.pyz import pack
from tests.support.api import serving


async def test_the_relay_is_downloaded_and_runs(sqlite_database_url: str, tmp_path: Path) -> None:
    async with serving(sqlite_database_url, tmp_path) as api:
        answer = await api.client.get("/downloads/tocsin-relay.pyz")
        assert answer.status_code == 200
        assert answer.content == pack("relay"), "the same bytes each time"
        assert (await api.client.get("/downloads/../app/main.py")).status_code == 404
        assert (await api.client.get("/downloads/tocsin.db")).json()["code"] == "not_found"
    program = tmp_path / "a folder" / "tocsin-relay.pyz"
    program.parent.mkdir()
    program.write_bytes(answer.content)
    command = [sys.executable, str(program), "--version"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith("tocsin-relay ")
