"""Runs `tocsin` as a person does: as a process of its own, in a folder of its own, with nothing of the developer's settings."""

import atexit
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.processes import kill_family

ROOT = Path(__file__).resolve().parents[2]
START_S = 60
_SERVES = re.compile(r"Tocsin serves on http://127\.0\.0\.1:(\d+)")


@functools.cache
def _compiled() -> str:
    """A folder for compiled code, shared by all commands of a run: compiling anew costs seconds at each start."""
    folder = tempfile.mkdtemp(prefix="tocsin-compiled-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def environment(**settings: str) -> dict[str, str]:
    """Give a clean environment with these settings."""
    ours = ("TOCSIN_", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept |= {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": _compiled()}
    return kept | {f"TOCSIN_{name.upper()}": value for name, value in settings.items()}


def tocsin(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "app.cli", *words]
    return subprocess.run(
        command, cwd=folder, env=environment(**settings), capture_output=True, text=True, timeout=180, check=False
    )


@dataclass(slots=True)
class Served:
    """A running `tocsin serve`: what it printed first, and its port."""

    process: subprocess.Popen[bytes]
    said: str
    port: str

    def stop(self) -> tuple[int, float]:
        """Ask it to stop; give its exit code and how many seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - started


@contextlib.contextmanager
def serving_process(folder: Path, **settings: str) -> Iterator[Served]:
    """Run `tocsin serve` on a free port until the block ends."""
    said = folder / "serve.log"
    with said.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve"],
            cwd=folder,
            env=environment(port="0", **settings),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        end = time.monotonic() + START_S
        while "Mail goes to" not in said.read_text(encoding="utf-8"):
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"it did not start: {said.read_text(encoding='utf-8')}")
            time.sleep(0.05)
        text = said.read_text(encoding="utf-8")
        found = _SERVES.search(text)
        assert found is not None
        yield Served(process, text, found[1])
    finally:
        if process.poll() is None:
            kill_family(process)
