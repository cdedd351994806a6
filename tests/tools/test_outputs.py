"""Real restic and borg make real backups, and the line of their page in docs/tools posts what they print."""

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.sources import ROOT
from tests.support.tools import Heard, hearing

WITH_TOOLS = [pytest.param(tool, marks=pytest.mark.needs(tool)) for tool in ("restic", "borg")]
# For root every file can be read; without these two rights its permissions count.
WITHOUT_RIGHTS = "setpriv --inh-caps=-dac_override,-dac_read_search --bounding-set=-dac_override,-dac_read_search"
INIT = {"restic": "restic init", "borg": "borg init -e repokey"}


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "srv").mkdir()
    (tmp_path / "srv/dump.sql").write_bytes(os.urandom(50_000))
    (tmp_path / "srv/Фото ☃.txt").write_text("привет", encoding="utf-8")
    return tmp_path


def run(script: str, folder: Path, **more: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RESTIC_REPOSITORY": str(folder / "repo"),
        "RESTIC_PASSWORD": "secret",
        "BORG_PASSPHRASE": "secret",
        **more,
    }
    done = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def line_of(tool: str, heard: Heard, folder: Path, job: str) -> str:
    """Return the line of the tool's page, for this service, job, repository and folder."""
    (line,) = re.findall(
        r"^```\n(.*?out=\$.*?)^```$",
        (ROOT / f"docs/tools/{tool}.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
    places = {
        "http://tocsin:8000": heard.running.url,
        "<key>": heard.key("token"),
        "job=photos": f"job={job}",
        "/repo::": f"{folder}/repo::",
        " /srv": f" {folder}/srv",
    }
    for name, value in places.items():
        line = line.replace(name, value)
    return line


def made(tool: str, folder: Path) -> None:
    run(f"{INIT[tool]} {folder / 'repo' if tool == 'borg' else ''}", folder)


def last(heard: Heard, job: str) -> Mapping:
    return heard.events(job)[-1]


@pytest.mark.parametrize("tool", WITH_TOOLS)
def test_a_backup_reports_its_amounts_and_a_failure_its_reason(heard: Heard, folder: Path, tool: str):
    job = f"{tool}-whole"
    line = line_of(tool, heard, folder, job)
    made(tool, folder)
    run(line, folder)
    heard.job(job, "ok")
    metrics = last(heard, job)["metrics"]
    assert metrics["files_processed"] == 2
    assert metrics["bytes_processed"] >= 50_000
    assert metrics["bytes_stored"] > 0
    assert metrics["duration_s"] >= 0
    run(line, folder, RESTIC_PASSWORD="wrong", BORG_PASSPHRASE="wrong")
    heard.job(job, "failed")
    end = last(heard, job)
    assert re.search("wrong password|passphrase", end["message"])
    run(line.replace(f"{folder}/repo", f"{folder}/nowhere"), folder, RESTIC_REPOSITORY=str(folder / "nowhere"))
    assert "nowhere" in last(heard, job)["message"] + last(heard, job)["log"]


@pytest.mark.parametrize("tool", WITH_TOOLS)
def test_a_file_that_cannot_be_read_is_a_warning_that_names_it(heard: Heard, folder: Path, tool: str):
    job = f"{tool}-partial"
    line = line_of(tool, heard, folder, job)
    made(tool, folder)
    (folder / "srv/locked.db").write_text("secret", encoding="utf-8")
    (folder / "srv/locked.db").chmod(0)
    prefix = WITHOUT_RIGHTS if os.geteuid() == 0 else ""
    run(line.replace("$(", f"$({prefix} "), folder)
    end = last(heard, job)
    assert (end["outcome"], end["metrics"]["files_failed"]) == ("warning", 1)
    assert "locked.db" in end["message"]


@pytest.mark.parametrize(
    ("tool", "command", "activity"),
    [
        pytest.param(tool, command, activity, marks=pytest.mark.needs(tool))
        for tool, command, activity in (
            ("restic", "check", "verify"),
            ("restic", "forget --keep-last 1 --prune", "prune"),
            ("borg", "check --info", "verify"),
            ("borg", "prune --list --keep-last 1", "prune"),
        )
    ],
)
def test_maintenance_of_a_repository_is_not_a_backup(
    heard: Heard, folder: Path, tool: str, command: str, activity: str
):
    job = f"{tool}-{activity}"
    line = line_of(tool, heard, folder, job)
    made(tool, folder)
    run(line, folder)
    place = "" if tool == "restic" else f" {folder}/repo"
    run(re.sub(r"\$\((?:restic|borg) .*? 2>&1\)", f"$({tool} {command}{place} 2>&1)", line), folder)
    assert [(event["activity"], event["outcome"]) for event in heard.events(job)] == [
        ("backup", "success"),
        (activity, "success"),
    ]
