"""The pages in docs/monitoring: short, linked, and each command on them works from top to bottom."""

import os
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import curl
from tests.support.running import serving, wait_until
from tests.support.sources import ROOT

FOLDER = ROOT / "docs/monitoring"
FIRST = "README.md"  # it makes the key that the others use
PAGES = [FIRST, *sorted(page.name for page in FOLDER.glob("*.md") if page.name != FIRST)]
LINES = 40


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_short_and_its_links_have_a_target(name: str):
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES
    assert [link for link in re.findall(r"\]\(([^)\s#:]+)\)", text) if not (FOLDER / link).exists()] == []


def test_the_commands_of_all_pages_work_one_after_the_other(tmp_path: Path):
    with serving(tmp_path / "var") as running:
        event = {"agent": "sql01", "job": "nightly-sql", "outcome": "failure", "message": "repository is locked"}
        headers = {"Authorization": f"Bearer {running.enrol_key}"}
        httpx.post(f"{running.url}/v1/events", json=event, headers=headers).raise_for_status()
        wait_until("the alert", lambda: running.ask("/v1/alerts", state="open")["items"])
        blocks = [
            block
            for name in PAGES
            for block in re.findall(
                r"^```sh\n(.*?)^```$", (FOLDER / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
            )
        ]
        script = "set -euo pipefail\n" + "\n".join(blocks).replace("http://127.0.0.1:8000", running.url)
        path = f"{curl.on_path(tmp_path / 'bin')}{Path(sys.executable).parent}:{os.environ['PATH']}"
        environment = {"PATH": path, "ADMIN_KEY": running.admin_key, "LC_ALL": "C.UTF-8"}
        ran = subprocess.run(
            ["bash", "-x"],
            input=script,
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
        for part in ('"verdict":"critical"', 'state="failed"} 1', "TOCSIN CRITICAL", '2 "Backups"', "nightly-sql"):
            assert part in ran.stdout, part
