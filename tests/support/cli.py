"""Runs `tocsin` as a person does: as a separate process, in its own folder, without the developer's settings."""

import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import preloaded
from tests.support.processes import StartedProcess, kill_family
from tests.support.running import LOG, address_in, environment, shown_by, start_service


def tocsin(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return preloaded.run(["-m", "app.cli", *words], folder, environment(**settings))


@dataclass(slots=True)
class Served:
    """A running `tocsin serve`: what it printed first, and its port."""

    process: StartedProcess
    output: str
    port: str

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM and return its exit code and how many seconds it took."""
        started = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30), time.monotonic() - started


@contextlib.contextmanager
def serving_process(folder: Path, **settings: str) -> Iterator[Served]:
    """Run `tocsin serve` on a free port until the block ends."""
    log = folder / LOG
    process = start_service(folder, environment(**({"port": "0"} | settings)))
    try:
        shown = shown_by(process, log)
        yield Served(process, shown, address_in(shown).rpartition(":")[2])
    finally:
        if process.poll() is None:
            kill_family(process)
