"""Runs tocsin-report as an administrator does: the single file, by Python, as a separate process."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.core.pyz import write
from tests.support.running import Running

PATIENCE_S = 120
NOWHERE = "http://127.0.0.1:9"
COMMAND = ["sh", "-c", "printf 'its output'; printf 'its errors' >&2; exit 3"]
LATEST_S = 10.0
SLACK_S = 5.0  # for two Pythons to start and end on a busy machine


@dataclass(frozen=True)
class Reporter:
    """The program in a folder, with its settings and a spool of its own."""

    program: Path
    spool: Path
    settings: dict[str, str] = field(default_factory=dict)
    python: str = sys.executable

    def command(self, *words: str) -> list[str]:
        """Return the command line."""
        return [self.python, str(self.program), *words]

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment: nothing of the developer's settings."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TOCSIN_")}
        return {**kept, "TOCSIN_REPORT_SPOOL": str(self.spool), **self.settings}

    def __call__(self, *words: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end."""
        asked = {"capture_output": True, "timeout": PATIENCE_S, "env": self.environment, **more}
        return subprocess.run(self.command(*words), check=False, **asked)

    def start(self, *words: str, **more: Any) -> subprocess.Popen[bytes]:
        """Start it."""
        return subprocess.Popen(self.command(*words), **{"env": self.environment, **more})

    def waiting(self) -> Sequence[Path]:
        """Return the files of the events that were not sent yet."""
        return sorted((self.spool / "waiting").glob("*.json"))


def reporter(folder: Path, url: str, key: str, **settings: str) -> Reporter:
    """Build the program, and return it for a service."""
    environment = {"TOCSIN_REPORT_URL": url, "TOCSIN_REPORT_KEY": key, **settings}
    return Reporter(write("reporter", folder / "dist"), folder / "spool", environment)


def runs_as_ever(report: Reporter, job: str, **more: object) -> list[str]:
    """Run the command, see that nothing is different and that it ended in time, and return the reporter's own lines."""
    started = time.monotonic()
    done = report("run", "--job", job, "--", *COMMAND, **more)
    assert time.monotonic() - started < LATEST_S + SLACK_S
    assert (done.returncode, done.stdout) == (3, b"its output")
    assert done.stderr.startswith(b"its errors")
    words = done.stderr.removeprefix(b"its errors").decode().splitlines()
    assert len(words) <= 1
    return words


def events_of(running: Running, job: str) -> list[dict[str, Any]]:
    """Return the events that the service received of a job, oldest first."""
    found = running.ask("/v1/events", job=job, limit="200")["items"]
    return sorted(found, key=lambda one: one["occurred_at"])


def ended(running: Running, job: str) -> list[str]:
    """Return the outcomes that a job's runs ended with, oldest first."""
    return [event["outcome"] for event in events_of(running, job) if event["phase"] == "finished"]
