"""Real restic, borg and rsync make real backups behind `tocsin-report`: what the administrator then sees."""

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.borgmatic import WITHOUT_RIGHTS
from tests.support.reporter import Reporter, reporter
from tests.support.tools import Heard, hearing

pytestmark = pytest.mark.needs("restic", "borg", "rsync")


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    with hearing(tmp_path_factory.mktemp("var")) as heard:
        yield heard


@dataclass(frozen=True)
class Host:
    """A host with a tree of files, on which tocsin-report runs the tools."""

    report: Reporter
    heard: Heard
    folder: Path

    @property
    def source(self) -> Path:
        return self.folder / "source"

    def tool(self, *command: str) -> None:
        """Run a tool without a report to the service."""
        environment = {**os.environ, **self.report.settings}
        subprocess.run(command, check=True, capture_output=True, env=environment, timeout=120)

    def run_reported(self, job: str, *command: str, rights: bool = True) -> tuple[int, Mapping]:
        """Run a tool behind `tocsin-report`, and return its exit code and the event of its end."""
        prefix: Sequence[str] = [] if rights or os.geteuid() else WITHOUT_RIGHTS
        done = self.report("run", "--job", job, "--", *prefix, *command)
        assert b"tocsin-report" not in done.stderr
        [event] = [event for event in self.heard.events(job) if event["phase"] == "finished"]
        return done.returncode, event


@pytest.fixture
def host(heard: Heard, tmp_path: Path) -> Host:
    (tmp_path / "source/db").mkdir(parents=True)
    (tmp_path / "source/db/dump.sql").write_bytes(os.urandom(100_000))
    (tmp_path / "source/Фото ☃.txt").write_text("привет", encoding="utf-8")
    settings = {
        "HOME": str(tmp_path),
        "RESTIC_REPOSITORY": str(tmp_path / "restic"),
        "RESTIC_PASSWORD": "right",
        "RESTIC_CACHE_DIR": str(tmp_path / "cache"),
        "BORG_REPO": str(tmp_path / "borg"),
        "BORG_PASSPHRASE": "right",
        "BORG_RELOCATED_REPO_ACCESS_IS_OK": "yes",
        "LANG": "C.UTF-8",
    }
    return Host(reporter(tmp_path, heard.running.url, heard.running.enrol_key, **settings), heard, tmp_path)


def lock_away(host: Host) -> None:
    secret = host.source / "secret.txt"
    secret.write_text("nobody reads this")
    secret.chmod(0)


def test_restic(host: Host):
    host.tool("restic", "init")
    code, event = host.run_reported("restic files", "restic", "--json", "backup", str(host.source))
    assert (code, event["outcome"], event["metrics"]["files_processed"]) == (0, "success", 2)
    assert event["metrics"]["bytes_processed"] > event["metrics"]["bytes_stored"] - 10_000 > 80_000
    assert event["message"].endswith(" saved")
    assert '"status"' not in event["log"]
    host.heard.job("restic files", "ok")

    code, event = host.run_reported("restic plain", "restic", "backup", str(host.source))
    assert (code, event["outcome"], event["metrics"]["files_processed"]) == (0, "success", 2)

    lock_away(host)
    code, event = host.run_reported("restic partial", "restic", "--json", "backup", str(host.source), rights=False)
    assert (code, event["outcome"], event["metrics"]["files_failed"]) == (3, "warning", 1)
    assert "secret.txt" in event["message"]
    assert event["extra"]["tool"] == "restic backup"
    host.heard.job("restic partial", "warning")


def test_restic_fails(host: Host):
    code, event = host.run_reported("restic nowhere", "restic", "--json", "backup", str(host.source))
    assert (code, event["outcome"]) == (1 if code == 1 else 10, "failure")
    assert "Fatal: " in event["message"] or "does not exist" in event["message"]
    host.heard.job("restic nowhere", "failed")
    host.tool("restic", "init")
    host.report.settings["RESTIC_PASSWORD"] = "wrong"
    code, event = host.run_reported("restic password", "restic", "backup", str(host.source))
    assert (code, event["outcome"]) == (1 if code == 1 else 12, "failure")
    assert "wrong password" in event["message"]
    host.heard.job("restic password", "failed")


def test_borg(host: Host):
    host.tool("borg", "init", "-e", "repokey")
    code, event = host.run_reported("borg files", "borg", "create", "--json", "::first", str(host.source))
    assert (code, event["outcome"], event["metrics"]["files_processed"]) == (0, "success", 2)
    assert event["metrics"]["bytes_processed"] > 100_000
    assert event["message"] == "archive first saved"
    host.heard.job("borg files", "ok")

    lock_away(host)
    code, event = host.run_reported(
        "borg partial", "borg", "create", "--json", "::second", str(host.source), rights=False
    )
    assert (code == 1 or 100 <= code <= 127, event["outcome"], event["metrics"]["files_failed"]) == (True, "warning", 1)
    assert "secret.txt: open: [Errno 13]" in event["message"]
    host.heard.job("borg partial", "warning")


def test_borg_fails(host: Host):
    code, event = host.run_reported("borg nowhere", "borg", "create", "::first", str(host.source))
    assert (2 <= code <= 99, event["outcome"]) == (True, "failure")
    assert "does not exist" in event["message"]
    host.heard.job("borg nowhere", "failed")
    host.tool("borg", "init", "-e", "repokey")
    host.report.settings["BORG_PASSPHRASE"] = "wrong"
    code, event = host.run_reported("borg passphrase", "borg", "create", "::first", str(host.source))
    assert (2 <= code <= 99, event["outcome"]) == (True, "failure")
    assert "is incorrect" in event["message"]
    host.heard.job("borg passphrase", "failed")


def test_rsync(host: Host):
    code, event = host.run_reported(
        "rsync files", "rsync", "-a", "--stats", f"{host.source}/", str(host.folder / "copy")
    )
    assert (code, event["outcome"]) == (0, "success")
    assert event["metrics"]["files_processed"] == event["metrics"]["files_transferred"] == 2
    assert event["metrics"]["bytes_processed"] == 100_000 + len("привет".encode())
    host.heard.job("rsync files", "ok")

    code, event = host.run_reported(
        "rsync nothing", "rsync", "-a", str(host.folder / "nowhere"), str(host.folder / "copy")
    )
    assert (code, event["outcome"]) == (23, "failure")
    assert "No such file or directory" in event["message"]
    host.heard.job("rsync nothing", "failed")


def test_a_script_has_the_outcome_of_its_exit_code(host: Host):
    host.tool("restic", "init")
    script = host.folder / "nightly.sh"
    script.write_text(f"#!/bin/sh\nset -e\nrestic --json backup {host.source}\nrestic forget --keep-last 3\nexit 9\n")
    script.chmod(0o755)
    code, event = host.run_reported("a script", str(script))
    assert (code, event["outcome"], event["metrics"]["files_processed"]) == (9, "failure", 2)
    assert event["extra"]["tool"] == "nightly.sh"
