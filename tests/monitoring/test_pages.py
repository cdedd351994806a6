"""The pages in docs/monitoring: short, linked, and each command on them works from top to bottom."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.support import curl
from tests.support.running import serving, wait_until
from tests.support.sources import ROOT

FOLDER = ROOT / "docs/monitoring"
FIRST = ("README.md", "nagios.md")  # they fetch the key and the plugin that the others use
PAGES = [*FIRST, *sorted(page.name for page in FOLDER.glob("*.md") if page.name not in FIRST)]
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


@pytest.mark.needs("icinga2")
def test_icinga_accepts_the_configuration_of_its_page(tmp_path: Path):
    [block] = re.findall(
        r"^```icinga2\n(.*?)^```$", (FOLDER / "icinga.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    own = 'const NodeName = "localhost"\nconst ZoneName = "localhost"\nconst PluginDir = "/usr/local/lib"\ninclude <itl>\n'
    (tmp_path / "page.conf").write_text(own + block, encoding="utf-8")
    for name in ("data", "log", "cache", "spool", "run"):
        (tmp_path / name).mkdir()
    places = ("DataDir=data", "LogDir=log", "CacheDir=cache", "SpoolDir=spool", "InitRunDir=run")
    defined = [f"-D{name}={tmp_path / folder}" for name, folder in (place.split("=") for place in places)]
    program = shutil.which("icinga2") or "/usr/sbin/icinga2"
    command = [
        program,
        "daemon",
        "-C",
        "-c",
        str(tmp_path / "page.conf"),
        *defined,
        "-DRunAsUser=root",
        "-DRunAsGroup=root",
    ]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 Service" in ran.stdout
