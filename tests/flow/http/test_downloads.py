"""The programs for other hosts, as an administrator gets them: one file that Python runs."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.pyz import pack
from tests.support.api import serving


@pytest.mark.parametrize(("name", "folder"), [("tocsin-relay", "relay"), ("tocsin-report", "reporter")])
async def test_a_program_is_downloaded_and_runs(
    sqlite_database_url: str, tmp_path: Path, name: str, folder: str
) -> None:
    async with serving(sqlite_database_url, tmp_path) as api:
        answer = await api.client.get(f"/downloads/{name}.pyz")
        assert answer.status_code == 200
        assert answer.content == pack(folder), "the same bytes each time"
        assert (await api.client.get("/downloads/../app/main.py")).status_code == 404
        assert (await api.client.get("/downloads/tocsin.db")).json()["code"] == "not_found"
    program = tmp_path / "a folder" / f"{name}.pyz"
    program.parent.mkdir()
    program.write_bytes(answer.content)
    command = [sys.executable, str(program), "--version"]
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.startswith(f"{name} ")
